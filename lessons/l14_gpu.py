# %% [markdown]
# # 14. The same code on a GPU
#
# **What has to change in a convolution so that it runs on a graphics card?**
#
# A graphics card has thousands of small arithmetic units and memory of its own. CuPy is a library
# that offers NumPy's functions on it, by the same names. If a card and CuPy are here, this lesson
# runs on both; if not, on NumPy alone, and says so.

# %%
from concurrent.futures import ThreadPoolExecutor
from time import perf_counter, sleep

import matplotlib.pyplot as plt
import numpy as np

import tinyfcn
from tinyfcn import ops, viz
from tinyfcn.runtime.backend import array_module
from tinyfcn.runtime.gpu import gpu_status
from tinyfcn.course.exercises import check
from tinyfcn.course.player import Player

plt.rcParams['figure.dpi'] = 70

# %% [markdown]
# ## Is there one? Ask layer by layer
#
# Between this cell and a number that a card has computed lie several layers, and each can be
# missing by itself. So `gpu_status()` (and `tinyfcn doctor`) goes up from the bottom and stops at
# the first that fails:
#
# 1. **wheel**: is CuPy, the Python package, installed? There is one for each generation of CUDA,
#    NVIDIA's tools.
# 2. **driver**: does the system know a card?
# 3. **toolkit**: are CUDA's tools here? A driver counts cards, yet without a compiler nothing can be
#    made for them.
# 4. **kernel**: does a small program run on the card, and is its answer right? Such a program is
#    called a kernel too, and is no kin of a convolution's.

# %%
status = gpu_status()
for layer, fine, words in status:
    print(f'{layer:8}{"yes" if fine else "no":5}{words}')
gpu = all(fine for _, fine, _ in status)
if gpu:
    import cupy as there  # `there` makes arrays in the card's memory
else:
    there = np
    print('\nNo card can compute here: below, "there" is NumPy too, and all answers are the same.')

# %% [markdown]
# ## The backend is the array
#
# Many libraries have a switch: a global device, a flag, a second class for each layer. But an array
# knows already where it lies. So each op begins by asking its own argument:

# %%
viz.show_source(array_module)

# %% [markdown]
# `xp` is the custom for "numpy or cupy, as the case may be". An op then says `xp.where`, `xp.zeros`
# and never `np.where`; methods such as `x.max()` belong to the array anyway. There is no flag that
# could disagree with the data. Look for `xp` in the loss of lesson 12 (`floats` checks the dtypes
# and gives `array_module(score)` back):

# %%
viz.show_source(ops.softmax_cross_entropy)

# %% [markdown]
# And for what is *missing*: no loop over pixels, no `float(…)` but at the very end, and a check of
# the labels only on the host: to look at a number, Python would have to wait for the card.

# %% [markdown]
# ## Up, across, and down again
#
# The card's memory is not the computer's, which CuPy's words call the *host*. Arrays are carried up
# and down, and that is slow beside what the card then does with them: carry once, compute long,
# bring little back.
#
#     x = cupy.asarray(x)             up
#     y, cache = ops.conv2d(x, w)     across: w must be up there too
#     y = cupy.asnumpy(y)             down

# %%
figure, ax = plt.subplots(figsize=(7.5, 1.8), layout='constrained')
for left, title, words in [(0, 'host', 'files, pictures, Python\nnumpy.ndarray'),
                           (6, 'card', 'weights, values, gradients\ncupy.ndarray')]:
    ax.add_patch(plt.Rectangle((left, 0), 4, 2, fill=False, color='#0072b2'))
    ax.text(left + 2, 1.65, title, ha='center', weight='bold')
    ax.text(left + 2, .55, words, ha='center', fontsize=9)
for y, begin, end, words in [(1.5, 4, 6, 'asarray: a batch'), (.6, 6, 4, 'asnumpy: a loss')]:
    ax.annotate('', (end, y), (begin, y), arrowprops=dict(arrowstyle='->', color='#d55e00'))
    ax.text(5, y + .1, words, ha='center', fontsize=8)
ax.set(xlim=(-.2, 10.2), ylim=(-.1, 2.1))
ax.axis('off')
plt.show()

# %% [markdown]
# Here is a step of training by the ops alone: convolution, ReLU, loss, and all of it back. The
# function does not say where it runs. We hand it arrays from here, then arrays from there.

# %%
def a_step(x, w, b, label):
    """-> loss, dw"""
    y, of_conv = ops.conv2d(x, w, b, pad=1)
    score, of_relu = ops.relu(y)
    loss, dscore = ops.softmax_cross_entropy(score, label, reduce='mean')
    dy, = ops.relu.backward(dscore, of_relu)
    _, dw, _ = ops.conv2d.backward(dy, of_conv)
    return loss, dw


def host(a):
    """Down from the card; what is here already stays."""
    return a.get() if hasattr(a, 'get') else a


rng = np.random.default_rng(0)
shapes = [(2, 3, 24, 32), (5, 3, 3, 3), (5,)]
here = [rng.standard_normal(shape).astype('float32') for shape in shapes]
here.append(rng.integers(0, 5, (2, 24, 32)))
up = [there.asarray(a) for a in here]

(loss, dw), (loss_up, dw_up) = a_step(*here), a_step(*up)
print(f'here : loss {float(loss):.6f}, dw is a {type(dw).__module__} array')
print(f'there: loss {float(loss_up):.6f}, dw is a {type(dw_up).__module__} array')
assert np.isclose(float(loss), float(loss_up), rtol=1e-5)
assert np.allclose(dw, host(dw_up), rtol=1e-3, atol=1e-6)

# %% [markdown]
# *Close*, not equal: two machines add in different orders, and sums of floats depend on the order
# (below). A net walks the same way. Its weights are a dict of arrays, so to move a net is to
# move its dict, which is all that `net.to('gpu')` does; `next()` then goes box by box, up there:

# %%
net = tinyfcn.build('tiny_8s', n_class=5)
for values in net.params, net.state:
    values.update({name: there.asarray(a) for name, a in values.items()})
walk = net.walk(up[0])
for _ in range(3):
    box, y = next(walk)
    print(f'{box.name:10} {str(y.shape):18} {type(y).__module__}')
walk.close()

# %% [markdown]
# What is no array, or lies on the wrong side, is refused in a sentence; nothing is carried in
# silence, for a copy hidden in each step is how a card comes to be slower than the host.

# %%
try:
    ops.relu([[1., -1.]])
except TypeError as error:
    print(error)
if gpu:
    try:
        ops.conv2d(up[0], here[1])
    except TypeError as error:
        print(error)

# %% [markdown]
# ### Exercise: anywhere
#
# Give (x − mean) / deviation over all of x, with the mean and the standard deviation of x, computed
# by the module that x belongs to. The check hands in arrays of NumPy, and then one of another make,
# which NumPy's functions do not understand.

# %%
def anywhere_mine(x):
    raise NotImplementedError


check('anywhere', anywhere_mine)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def anywhere_mine(x):
#     xp = array_module(x)
#     return (x - xp.mean(x)) / xp.std(x)
# ```
#
# </details>

# %% [markdown]
# ## The timing trap
#
# A call on the card is a *request*. Python puts it into a queue and goes on at once; the card works
# the queue off in its own time. Python waits only when it needs a number, or is told to. Step
# through three requests of four ticks each, and see when the clock is read:

# %%
frames = []
for tick in range(13):
    number, row = tick // 4 + 1, []
    if tick < 3:
        row.append(f'Python asks for {tick + 1}')
    if tick == 3:
        row.append('Python has asked for all. A clock read NOW says 3 ticks: wrong')
    if 3 < tick < 12:
        row.append('synchronise: Python waits')
    if tick < 12:
        row.append(f'the card works on {number}')
    else:
        row.append('done. A clock read now says 12 ticks: right')
    changed = {'card': [[0, tick, number]]} if tick < 12 else {}
    if tick < 3:
        changed['python'] = [[0, tick, tick + 1]]
    lit = {name: [[0, tick]] for name in changed}
    frames.append(dict(say='; '.join(row), set=changed, lit=lit))
Player(dict(kind='grid', title='a queue of three requests', frames=frames, grids=[
    dict(name='python', title='Python asks for', values=[[None] * 12], row=0),
    dict(name='card', title='the card works on', values=[[None] * 12], row=1)]))

# %% [markdown]
# The trap can be seen without a card: a thread that works while Python goes on is such a queue.

# %%
with ThreadPoolExecutor(1) as card:
    start = perf_counter()
    asked = card.submit(sleep, .3)
    wrong = perf_counter() - start
    asked.result()                                      # synchronise
    right = perf_counter() - start
print(f'asked in a small part of the time: {wrong < right / 5}; worked 0.3 s: {right >= .29}')
assert wrong < right / 5

if gpu:
    a = there.ones((4096, 4096), 'float32')
    (a @ a).sum().item()                                # the first call compiles: do not time it
    there.cuda.Device().synchronize()
    start = perf_counter()
    b = a @ a
    wrong = perf_counter() - start
    there.cuda.Device().synchronize()
    right = perf_counter() - start
    print(f'a product on the card: {1e3 * wrong:.2f} ms to ask, {1e3 * right:.2f} ms to compute')

# %% [markdown]
# So, before a clock is read: `cupy.cuda.Device().synchronize()`. And do not time the first call:
# kernels are compiled when they are first needed. The same trap has a second face: whatever looks at
# a number makes Python wait, and the queue runs dry. A step of `tinyfcn train --device gpu` looks at
# one, its loss.

# %% [markdown]
# ## float64, and the last digit
#
# **float64.** Gradient checks need it (lesson 05), training does not: on a card for games float64
# runs at a small fraction of the speed of float32, and everywhere it takes twice the memory.
#
# **Determinism.** A sum of floats depends on its order. A kernel that lets thousands of threads
# add into one place in whatever order they come gives another last digit on each run. One that
# lets each output gather its own inputs, in a fixed order, does not. Three numbers are enough:

# %%
one, other = (.1 + .2) + .3, .1 + (.2 + .3)
print(one, other, one == other)
assert one != other

values = rng.standard_normal(100_000).astype('float32')
for name, order in ('first to last', 1), ('last to first', -1):
    total = np.add.accumulate(values[::order])[-1]
    print(f'{name}: {total:.5f}')
assert np.add.accumulate(values)[-1] != np.add.accumulate(values[::-1])[-1]

# %% [markdown]
# So compare a card with the host by `allclose`, at a tolerance that you can explain: never by `==`.
#
# **Change this and run again:** in `a_step`'s data, 'float32' to 'float64'. On a card, see how much
# closer the two losses come; without one they are equal either way.

# %% [markdown]
# ## What PyTorch calls this
#
# - `x.to('cuda')` or `x.cuda()` is up, `x.cpu().numpy()` down. There too the tensor decides where
#   an op runs, and a mixture is refused: "Expected all tensors to be on the same device".
# - `torch.cuda.synchronize()` before a clock is read.
# - `torch.use_deterministic_algorithms(True)` refuses the kernels that add in any order.
# - `xp = array_module(x)` is what the *array API standard* calls `x.__array_namespace__()`.

# %% [markdown]
# ## Three questions
#
# 1. A function says `np.zeros(x.shape)` in its middle, and x lies on a card. What happens?
#
# <details><summary>Answer</summary>
#
# The zeros lie on the host. The first line that joins them with x is refused, for CuPy carries
# nothing in silence. `xp.zeros` is needed, or `xp.zeros_like(x)`.
#
# </details>
#
# 2. "My card convolves in 20 µs, whatever the size!" What was measured?
#
# <details><summary>Answer</summary>
#
# How long it takes to put a request into the queue. Synchronise, then read the clock.
#
# </details>
#
# 3. Two runs on one card differ in the sixth digit after one step. Is there a bug?
#
# <details><summary>Answer</summary>
#
# Not of need: some kernel adds in no fixed order. If no two runs may differ, choose kernels that
# gather. If they differ in the second digit, look for a bug.
#
# </details>
#
# **Next:** FCN is told to its end. Its cousins remain: lesson 15 makes windows see further by
# putting holes into them.
