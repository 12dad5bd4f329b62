# %% [markdown]
# # 16. The same code on a GPU
#
# **What has to change in a convolution so that it runs on a GPU?**
#
# *About 45 minutes, with its exercises.*
#
# A GPU has thousands of small arithmetic units and its own memory. CuPy is a library that
# implements NumPy's functions on it, under the same names. If a GPU and CuPy are available, this
# lesson uses both; if not, it uses NumPy only, and says so.

# %% tags=["hide-input"]
import asyncio
from time import perf_counter

import matplotlib.pyplot as plt
import numpy as np

import tinyfcn
from tinyfcn import ops, viz
from tinyfcn.runtime.backend import array_module
from tinyfcn.runtime.gpu import gpu_status
from tinyfcn.course.exercises import check
from tinyfcn.course.player import Player

plt.rcParams['figure.dpi'] = 100

# %% [markdown]
# ## Is there a GPU? Check layer by layer
#
# Several layers of software are needed to compute on a GPU, and each of them can be missing. So
# `gpu_status()` (and `tinyfcn doctor`) checks them in this order and stops at the first that fails:
#
# 1. **wheel**: is CuPy, the Python package, installed? There is one for each major version of CUDA,
#    NVIDIA's toolkit.
# 2. **driver**: does the system find a GPU?
# 3. **toolkit**: are the CUDA tools installed? A driver finds GPUs, but without a compiler no
#    programs can be built for them.
# 4. **kernel**: does a small program run on the GPU, and is its result right? Such a program is
#    called a kernel too; it has nothing to do with the kernel of a convolution.

# %%
status = gpu_status()
for layer, ok, message in status:
    print(f'{layer:8}{"yes" if ok else "no":5}{message}')
gpu = all(ok for _, ok, _ in status)
if gpu:
    import cupy
    device = cupy                                       # creates arrays in the GPU's memory
else:
    device = np
    print('\nNo GPU is available: below, `device` is NumPy, and all results are the same.')

# %% [markdown]
# ## The backend is the array
#
# Many libraries have a switch: a global device, a flag, a second class for each layer. But an array
# already has a type that says where it is stored. So each op first determines the module of its
# argument:

# %%
viz.show_source(array_module)

# %% [markdown]
# `xp` is the usual name for "numpy or cupy". An op then uses `xp.where`, `xp.zeros` and never
# `np.where`; methods such as `x.max()` belong to the array anyway. There is no flag that could
# contradict the data. Look for `xp` in the loss of lesson 05 (`floats` checks the dtypes and
# returns `array_module(score)`):

# %%
viz.show_source(ops.softmax_cross_entropy)

# %% [markdown]
# Note also what is *missing*: there is no loop over pixels, no `float(…)` except at the very end,
# and labels are checked only on the host, because reading a number from the GPU makes Python wait.

# %% [markdown]
# ## Copying to the GPU and back
#
# The memory of the GPU (the *device*) is separate from that of the CPU (the *host*). Copying arrays
# between them is slow compared with the computation: so copy once, compute for long, and copy
# little back.
#
#     x = cupy.asarray(x)             host to device
#     y, cache = ops.conv2d(x, w)     on the device: w must be there too
#     y = cupy.asnumpy(y)             device to host

# %% tags=["hide-input"]
# draw host and device
figure, ax = plt.subplots(figsize=(7.5, 1.8), layout='constrained')
for left, title, text in [(0, 'host', 'files, images, Python\nnumpy.ndarray'),
                          (6, 'device', 'weights, values, gradients\ncupy.ndarray')]:
    ax.add_patch(plt.Rectangle((left, 0), 4, 2, fill=False, color='#0072b2'))
    ax.text(left + 2, 1.65, title, ha='center', weight='bold')
    ax.text(left + 2, .55, text, ha='center', fontsize=9)
for y, begin, end, text in [(1.5, 4, 6, 'asarray: a batch'), (.6, 6, 4, 'asnumpy: a loss')]:
    ax.annotate('', (end, y), (begin, y), arrowprops=dict(arrowstyle='->', color='#d55e00'))
    ax.text(5, y + .1, text, ha='center', fontsize=8)
ax.set(xlim=(-.2, 10.2), ylim=(-.1, 2.1))
ax.axis('off')
plt.show()

# %% [markdown]
# Here is a step of training with ops only: convolution, ReLU, loss, and their backward. The
# function does not say where it runs. We call it with arrays on the host, then with arrays on the
# device.

# %%
def training_step(x, w, b, label):
    """-> loss, dw"""
    y, conv_cache = ops.conv2d(x, w, b, pad=1)
    score, relu_cache = ops.relu(y)
    loss, dscore = ops.softmax_cross_entropy(score, label, reduce='mean')
    dy, = ops.relu.backward(dscore, relu_cache)
    _, dw, _ = ops.conv2d.backward(dy, conv_cache)
    return loss, dw


def to_host(a):
    """Copy an array from the device; an array on the host is returned unchanged."""
    return a.get() if hasattr(a, 'get') else a


rng = np.random.default_rng(0)
shapes = [(2, 3, 24, 32), (5, 3, 3, 3), (5,)]
on_host = [rng.standard_normal(shape).astype('float32') for shape in shapes]
on_host.append(rng.integers(0, 5, (2, 24, 32)))
on_device = [device.asarray(a) for a in on_host]

loss, dw = training_step(*on_host)
device_loss, device_dw = training_step(*on_device)
print(f'host:   loss {float(loss):.6f}, dw is a {type(dw).__module__} array')
print(f'device: loss {float(device_loss):.6f}, dw is a {type(device_dw).__module__} array')

# %% tags=["hide-input"]
assert np.isclose(float(loss), float(device_loss), rtol=1e-5)
assert np.allclose(dw, to_host(device_dw), rtol=1e-3, atol=1e-6)

# %% [markdown]
# *Close*, not equal: the two devices add in different orders, and sums of floats depend on the
# order (see below). A net works in the same way. Its weights are a dict of arrays, and moving a net
# means moving these arrays, which is all that `net.to('gpu')` does; `next()` then goes box by box
# on the device:

# %%
net = tinyfcn.build('tiny_8s', n_class=5)
for values in net.params, net.state:
    values.update({name: device.asarray(a) for name, a in values.items()})
walk = net.walk(on_device[0])
for _ in range(3):
    box, y = next(walk)
    print(f'{box.name:10} {str(y.shape):18} {type(y).__module__}')
walk.close()

# %% [markdown]
# A value that is not an array, or an array on the wrong device, raises an error. Nothing is copied
# implicitly, because hidden copies in each step can make a GPU slower than the CPU.

# %%
try:
    ops.relu([[1., -1.]])
except TypeError as error:
    print(error)
if gpu:
    try:
        ops.conv2d(on_device[0], on_host[1])
    except TypeError as error:
        print(error)

# %% [markdown]
# ### Exercise: standardize
#
# Return (x − mean) / deviation over all of x, with the mean and the standard deviation of x,
# computed by the module that x belongs to. The check passes arrays of NumPy, and then one of
# another library, which NumPy's functions do not accept.

# %%
def standardize_mine(x):
    raise NotImplementedError


check('standardize', standardize_mine)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def standardize_mine(x):
#     xp = array_module(x)
#     return (x - xp.mean(x)) / xp.std(x)
# ```
#
# </details>

# %% [markdown]
# ## The timing trap
#
# A call on the GPU is *asynchronous*. Python puts a request into a queue and continues at once; the
# GPU processes the queue in order. Python waits only when it needs a number, or when it
# synchronises explicitly. Step through three requests of four ticks each, and see when the clock is
# read:

# %% tags=["hide-input"]
# step through the queue of a GPU
frames = []
for tick in range(13):
    number = tick // 4 + 1
    captions = []
    if tick < 3:
        captions.append(f'Python requests {tick + 1}')
    if tick == 3:
        captions.append('Python has sent all requests. The time measured NOW is 3 ticks: wrong')
    if 3 < tick < 12:
        captions.append('synchronise: Python waits')
    if tick < 12:
        captions.append(f'the GPU computes {number}')
    else:
        captions.append('done. The time measured now is 12 ticks: right')
    changed = {'gpu': [[0, tick, number]]} if tick < 12 else {}
    if tick < 3:
        changed['python'] = [[0, tick, tick + 1]]
    highlight = {name: [[0, tick]] for name in changed}
    frames.append(dict(caption='; '.join(captions), set=changed, highlight=highlight))
Player(dict(kind='grid', title='a queue of three requests', frames=frames, grids=[
    dict(name='python', title='Python requests', values=[[None] * 12], row=0, colours='classes'),
    dict(name='gpu', title='the GPU computes', values=[[None] * 12], row=1, colours='classes')]))

# %% [markdown]
# The trap can be shown without a GPU: a timer runs while Python continues; `await` synchronises.

# %%
start = perf_counter()
request = asyncio.create_task(asyncio.sleep(1))         # work that takes a second
wrong = perf_counter() - start
await request                                           # synchronise
right = perf_counter() - start
print(f'after sending: {wrong:.0f} s; after synchronising: {right:.0f} s')

# %% tags=["hide-input"]
assert wrong < right / 5

if gpu:
    a = device.ones((4096, 4096), 'float32')
    (a @ a).sum().item()                                # the first call compiles: do not time it
    device.cuda.Device().synchronize()
    start = perf_counter()
    b = a @ a
    wrong = perf_counter() - start
    device.cuda.Device().synchronize()
    right = perf_counter() - start
    print(f'a product on the GPU: {1e3 * wrong:.2f} ms to send, {1e3 * right:.2f} ms to compute')

# %% [markdown]
# So call `cupy.cuda.Device().synchronize()` before reading the clock. And do not time the first
# call: kernels are compiled when they are first needed. The same effect can also slow down a
# program: reading a number makes Python wait, and the queue becomes empty. A step of
# `tinyfcn train --device gpu` reads only one number, its loss.

# %% [markdown]
# ## float64, and the last digit
#
# **float64.** Gradient checks need it (lesson 06), training does not: on consumer GPUs float64 runs
# at a small fraction of the speed of float32, and it always takes twice the memory.
#
# **Determinism.** A sum of floats depends on its order. A kernel in which thousands of threads add
# to one memory location in arbitrary order (with *atomic* operations) gives different last digits
# on each run. A kernel in which each output gathers its inputs in a fixed order does not. Three
# numbers are enough to show it:

# %%
left_first = (.1 + .2) + .3
right_first = .1 + (.2 + .3)
print(left_first, right_first, left_first == right_first)

values = rng.standard_normal(100_000).astype('float32')
for name, order in ('first to last', 1), ('last to first', -1):
    total = np.add.accumulate(values[::order])[-1]
    print(f'{name}: {total:.5f}')

# %% tags=["hide-input"]
assert left_first != right_first
assert np.add.accumulate(values)[-1] != np.add.accumulate(values[::-1])[-1]

# %% [markdown]
# So compare results of GPU and CPU by `allclose`, with a tolerance that you can justify, and never
# by `==`.
#
# **Change this and run again:** the data of `training_step` from 'float32' to 'float64'. On a GPU,
# see how much closer the two losses are; without one they are equal in both cases.

# %%
dtype = 'float32'                                       # try: 'float64'
image_rows = 24                                         # try: 1, 300

_, my_w, my_b, _ = on_host
my_x = np.random.default_rng(1).standard_normal((2, 3, image_rows, 32))
my_label = np.random.default_rng(2).integers(0, 5, (2, image_rows, 32))
converted = [*(a.astype(dtype) for a in (my_x, my_w, my_b)), my_label]
host_loss, _ = training_step(*converted)
device_loss, _ = training_step(*(device.asarray(a) for a in converted))
print(f'the losses differ by {abs(float(host_loss) - float(device_loss)):.1e}')

# %% [markdown]
# ## What PyTorch calls this
#
# - `x.to('cuda')` or `x.cuda()` copies to the GPU, `x.cpu().numpy()` back. There, too, the tensor
#   decides where an op runs, and mixing devices raises an error: "Expected all tensors to be on the
#   same device".
# - `torch.cuda.synchronize()` before a clock is read.
# - `torch.use_deterministic_algorithms(True)` rejects kernels that add in arbitrary order.
# - `xp = array_module(x)` is what the *array API standard* calls `x.__array_namespace__()`.

# %% [markdown]
# ## Three questions
#
# 1. A function contains `np.zeros(x.shape)`, and x is on the GPU. What happens?
#
# <details><summary>Answer</summary>
#
# The zeros are on the host. The first line that combines them with x raises an error, because CuPy
# copies nothing implicitly. Use `xp.zeros`, or `xp.zeros_like(x)`.
#
# </details>
#
# 2. "A convolution takes 20 µs on my GPU, whatever the size!" What was measured?
#
# <details><summary>Answer</summary>
#
# The time to put a request into the queue. Synchronise, then read the clock.
#
# </details>
#
# 3. Two runs on one GPU differ in the sixth digit after one step. Is there a bug?
#
# <details><summary>Answer</summary>
#
# Not necessarily: some kernel may add in arbitrary order. If runs must be reproducible, choose
# kernels that gather. If they differ in the second digit, look for a bug.
#
# </details>
#
# **Next:** this completes FCN. The last three lessons are about related nets: lesson 17 enlarges
# receptive fields by dilation.
