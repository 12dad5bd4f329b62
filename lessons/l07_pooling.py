# %% [markdown]
# # 07. Pooling
#
# **Three of four numbers are discarded: what is gained, and can the fourth be put back where it
# was?**
#
# *About 65 minutes, with its exercises.*
#
# A classifier that only has to say "there is a cat" may forget where its left ear was. A net that
# classifies every pixel may not. Pooling loses this spatial information, so this lesson also shows
# how to record it.

# %% tags=["hide-input"]
# imports
import matplotlib.pyplot as plt
import numpy as np

import tinyfcn
from tinyfcn import ops, viz
from tinyfcn.course import tracing
from tinyfcn.course.exercises import check

plt.rcParams['figure.dpi'] = 100

# %% [markdown]
# ## Why pool: a larger receptive field at lower cost
#
# A 3×3 convolution reads three pixels by three, and a cat is larger than that. Pool the image by 2
# first: each 2×2 square becomes one number, and the same 3×3 window now covers 6×6 pixels. Pool
# again, and it covers 12×12. The part of the image that an output depends on is its **receptive
# field**. The squares show what one 3×3 window covers after 0, 1, 2, 3 and 4 poolings:

# %% tags=["hide-input"]
# draw windows of five sizes
image, label = tinyfcn.data.load_dataset('shapes', size=(96, 128), n_class=5, difficulty=0)[0]

plt.figure(figsize=(3.6, 2.7))
plt.imshow(viz.colours(label))
for pooled in range(5):
    side = 3 * 2 ** pooled
    corner = 43 - side / 2, 48 - side / 2                   # all centred on the shape
    plt.gca().add_patch(plt.Rectangle(corner, side, side, fill=False, edgecolor='orange', lw=2))
plt.title('3, 6, 12, 24 and 48 pixels wide', fontsize=9)
plt.axis('off')
plt.tight_layout()

# %% [markdown]
# (The convolutions in between make the receptive field even larger; lesson 10 computes it.) And all
# later convolutions have a quarter of the positions. What that saves can be counted for FCN-32s,
# the simplest net of the paper: a convolution multiplies each of its weights once at every
# position.

# %%
net = tinyfcn.build('fcn32s', n_class=21, seed=None)        # seed=None: weights stay zero, quick
sizes = net.sizes((500, 500))                               # of every box, without running it


def multiplications(sizes):
    return sum(net.params[f'{name}.w'].size * sizes[name][0] * sizes[name][1]
               for name, box in net.boxes.items() if f'{name}.w' in net.params)


unpooled = {name: sizes['conv1_1'] for name in sizes}       # if no pooling made the maps smaller
with_pooling = multiplications(sizes)
without = multiplications(unpooled)
ratio = without / with_pooling
print(f'with its five poolings {with_pooling:.1e}, without any {without:.1e}: '
      f'{ratio:.0f} times as many')

# %% tags=["hide-input"]
# check: a factor above 200
assert ratio > 200

# %% [markdown]
# ## The maximum, and where it was
#
# **Max pooling** keeps the largest number of every window. Here windows are 2×2 and move by 2, so
# they do not overlap. By hand:

# %%
x = np.array([[1., 3., 2., 1.],
              [4., 2., 0., 5.],
              [6., 1., 7., 3.],
              [0., 2., 3., 8.]])

y = np.zeros((2, 2))
for i in range(2):
    for j in range(2):
        y[i, j] = x[2 * i:2 * i + 2, 2 * j:2 * j + 2].max()

viz.show_matrices(x=x, y=y)

# %% tags=["hide-input"]
# check: the same as ops.max_pool
assert (y == [[4, 5], [6, 8]]).all()
assert (y == ops.max_pool(x[None, None], 2)[0]).all()       # the library's, on (N, C, H, W)

# %% [markdown]
# Where was the 4? In row 1, column 0. Number the pixels of x row by row, `row·W + column`, in the
# order of `x.ravel()`: 0 to 15. Then a position is a single number, and the position of a window's
# maximum is its **switch** (PyTorch says *index*). Three small functions work with switches:

# %%
switches, _ = ops.max_switches(x[None, None], 2)            # where the maxima are
taken, _ = ops.take(x[None, None], switches)                # read there
back, _ = ops.unpool(taken, switches, size=(4, 4))          # write back there

viz.show_matrices(x=x, switches=switches[0, 0], taken=taken[0, 0], unpooled=back[0, 0])

# %% tags=["hide-input"]
# check: max_pool is take at the switches
assert (switches[0, 0] == [[4, 7], [8, 15]]).all()
assert (taken[0, 0] == y).all()                             # so max_pool = take at the switches

# %% [markdown]
# `unpool` reverses it: it gives a map of the old size, with each value where it came from and zeros
# for the three of four that were discarded. Step through both directions:

# %%
ksize, stride = 2, 2                                        # try: (3, 1), (2, 1), (4, 4)

tracing.max_pool([[1, 3, 2, 1], [4, 2, 0, 5], [6, 1, 7, 3], [0, 2, 3, 8]], ksize, stride)

# %% [markdown]
# **Change this and run again:** `ksize, stride = 3, 1`. Windows now overlap. Before you run it: how
# many windows are there, and which pixel is the maximum of more than one? (Four windows. The 7 is
# the maximum of the three windows that do not contain the 8. So in the backward pass it receives
# three gradients.)

# %% tags=["hide-input"]
# check: three windows have their maximum at pixel 10, the 7
switches_over, _ = ops.max_switches(x[None, None], 3, stride=1)
assert (switches_over[0, 0] == [[10, 10], [10, 15]]).all()

# %% [markdown]
# ## The real functions
#
# `_windows` gives a view of all windows, shaped (N, C, OH, OW, kh, kw): `windows[..., i, j]` holds
# the pixel under tap (i, j) of every window. `max_pool` takes the maximum over the taps, array by
# array. Its backward is `unpool`, as the next section explains.

# %%
viz.show_source(ops.max_pool, backward=True)

# %%
viz.show_source(ops.unpool, backward=True)

# %% [markdown]
# ## The gradient goes where the maximum was
#
# Change the 4 a little, and y[0, 0] changes by just as much. Change the 3 beside it, and nothing
# happens: it is not the maximum. So the derivative is 1 at the switch and 0 elsewhere, and the
# gradient dy is *scattered to the switches*. That is unpooling, and it is all that the backward
# above does.

# %%
dy = np.array([[10., 20.], [30., 40.]])
y, cache = ops.max_pool(x[None, None], 2)
dx, = ops.max_pool.backward(dy[None, None], cache)

viz.show_matrices(dy=dy, switches=switches[0, 0], dx=dx[0, 0])

# %% tags=["hide-input"]
# check: the backward is unpool
assert (dx == ops.unpool(dy[None, None], switches, (4, 4))[0]).all()

# %% [markdown]
# In terms of lesson 04: once the switches are known, `take` is a matrix P with a single 1 in each
# row, at the switch. Then y = P x, and the backward is dx = Pᵀ dy, as for convolution. But this
# matrix does not come from weights. It depends on x: another image has another P.

# %%
P = np.zeros((4, 16))
P[np.arange(4), switches.ravel()] = 1

viz.show_matrices(P=P)

# %% tags=["hide-input"]
# check: y = P x and dx = Pᵀ dy
assert (P @ x.ravel() == y.ravel()).all()
assert (P.T @ dy.ravel() == dx.ravel()).all()

# %% [markdown]
# AlexNet pools 3×3 windows every 2 pixels: neighbours share a row or a column. A pixel may then be
# the maximum of several windows, and it gets the gradients of all of them: **they add**, as in
# col2im (lesson 06). This is why `unpool` uses `np.add.at`: `x[switches] += …` would keep only one
# of them.

# %%
peak = np.zeros((1, 1, 5, 5))
peak[0, 0, 2, 2] = 9
y, cache = ops.max_pool(peak, 3, stride=2)
dx, = ops.max_pool.backward(np.ones_like(y), cache)
viz.show_matrices(x=peak[0, 0], y=y[0, 0], dx_for_dy_of_ones=dx[0, 0])

# %% tags=["hide-input"]
# check: four windows, one maximum
assert (y == 9).all() and dx[0, 0, 2, 2] == 4

# %% [markdown]
# ## Ties
#
# If two values are equal, the switch is the first of them, row by row. There has to be only *one*:
# otherwise the gradient would arrive twice. A finite difference gives one half at such a point,
# because moving either pixel up changes y, and moving it down does not. That was lesson 06's third
# trap:

# %%
tie = np.array([[5., 5.], [1., 2.]])[None, None]
y, cache = ops.max_pool(tie, 2)
dx, = ops.max_pool.backward(np.ones_like(y), cache)
print('dx', *dx[0, 0].ravel())                              # all of it to the first

delta = np.zeros_like(tie)
delta[0, 0, 0, 0] = 1e-6
above, below = (ops.max_pool(tie + sign * delta, 2)[0].item() for sign in (1, -1))
numerical = (above - below) / 2e-6
print(f'finite difference {numerical:.3f}')                 # slope 1 upwards, 0 downwards

# %% tags=["hide-input"]
# check: all of it to the first, and one half
assert (dx[0, 0] == [[1, 0], [0, 0]]).all() and abs(numerical - .5) < 1e-6

# %% [markdown]
# Neither is wrong. In a net most ties are windows full of zeros after a ReLU, and there the ReLU
# makes the gradient zero anyway.
#
# ## Odd sizes: round up, or lose a row
#
# Two windows of two fit into five pixels, and one pixel is left over. Either a third window extends
# beyond the edge (**round up**, also called ceil mode: Caffe, and so FCN), or the last row and
# column are ignored (**round down**: the default of most other libraries). In x the largest number
# is in the last row:

# %%
x5 = np.arange(25.).reshape(1, 1, 5, 5)
up, _ = ops.max_pool(x5, 2)
down, _ = ops.max_pool(x5, 2, ceil=False)
viz.show_matrices(x=x5[0, 0], rounded_up=up[0, 0], rounded_down=down[0, 0])

# %% tags=["hide-input"]
# check: rounded down, 19 to 24 are ignored
assert up.shape[2:] == (3, 3) and up.max() == 24
assert down.shape[2:] == (2, 2) and down.max() == 18        # 19 to 24 are ignored

# %% [markdown]
# Positions beyond the edge must never be the maximum, so they count as **minus infinity**, not
# zero. With zeros a window of negative numbers would give a 0 that is nowhere in the image. The
# same holds for padding:

# %%
negative = np.full((1, 1, 3, 3), -7.)
with_zeros = np.pad(negative, ((0, 0), (0, 0), (1, 1), (1, 1)))
viz.show_matrices(padded_with_minus_infinity=ops.max_pool(negative, 3, stride=1, pad=1)[0][0, 0],
                  padded_with_zeros=ops.max_pool(with_zeros, 3, stride=1)[0][0, 0])

# %% tags=["hide-input"]
# check: with zeros, eight outputs are no pixel
assert (ops.max_pool(negative, 2)[0] == -7).all()
assert (ops.max_pool(negative, 3, stride=1, pad=1)[0] == -7).all()
assert (ops.max_pool(with_zeros, 3, stride=1)[0] == 0).sum() == 8       # wrong: no pixel is 0

# %% [markdown]
# ## The rows that go missing
#
# A lost row sounds harmless. Follow an image of 500 rows through five poolings, as many as FCN has.

# %%
def pooled(rows, ceil):
    """The rows before and after each of five poolings by 2."""
    counts = [rows]
    for _ in range(5):
        counts.append(-(-counts[-1] // 2) if ceil else counts[-1] // 2)
    return counts


up = pooled(500, ceil=True)
down = pooled(500, ceil=False)
print('rounded up  ', *up)
print('rounded down', *down)

lost = [rows % 2 * 2 ** i for i, rows in enumerate(down[:5])]
print('lost, in rows of the image:', lost, 'together', sum(lost))

# %% tags=["hide-input"]
# check: 20 rows
assert up[5] * 32 >= 500 and sum(lost) == 500 - 32 * down[5] == 20

# %% [markdown]
# After four poolings a row stands for 16 rows of the image, so losing one there costs 16 at once.
# Rounded up, 16 rows of scores, each for 32 rows of the image, are enough for 500. Rounded down
# there are 15, for 480: **20 rows of the image have no scores, and NumPy raises no error.** A slice
# of 500 rows out of 480 is simply shorter. (`ops.crop` does raise an error.) Images of 224, 256,
# 320 or 512 rows are multiples of 32 and work, so tests with these sizes do not find the bug.
# Lesson 10 counts for how many sizes FCN-32s fails.
#
# ## Unpooling in nets: DeconvNet and SegNet
#
# FCN pools five times and recovers the detail by skips (lesson 12). Two nets that appeared soon
# after do it differently. Their second half, the *decoder*, mirrors the first, the *encoder*, and
# for each pooling it has an **unpooling that reads that pooling's switches**. The result is sparse
# but exactly in place; the convolutions that follow fill the gaps. Here is an edge image, pooled by
# 4 and unpooled, with its switches and without (then each value can only be put in a corner of its
# window):

# %%
grey = image.mean(2)[None, None]
gradient_filters = np.array([[[[-1., 0, 1], [-2, 0, 2], [-1, 0, 1]]],
                             [[[-1., -2, -1], [0, 0, 0], [1, 2, 1]]]])  # right, down (Sobel)
slopes, _ = ops.conv2d(grey, gradient_filters)
outline = (np.sqrt((slopes ** 2).sum(1, keepdims=True)) - 60).clip(0, 340)

small, _ = ops.max_pool(outline, 4)
switches, _ = ops.max_switches(outline, 4)
placed, _ = ops.unpool(small, switches, outline.shape[2:])
corners = np.zeros_like(outline)
corners[..., ::4, ::4] = small

for name, sparse in (('by switches', placed), ('top left', corners)):
    print(f'{name}: {(sparse == outline)[sparse > 0].mean():.0%} are where they were')

# %% tags=["hide-input"]
# draw the four maps
assert (placed == outline)[placed > 0].all()
assert (corners == outline)[corners > 0].mean() < .2
viz.side_by_side({'outline': outline[0, 0], 'pooled by 4': small[0, 0],
                  'unpooled by switches': placed[0, 0],
                  'unpooled to top left': corners[0, 0]}, width=2.4)

# %% [markdown]
# In a net each op is one line. Step through it with `next()` and look at the sizes: 11 rows, 6, and
# 11 again.

# %%
from tinyfcn.layers import conv, max_pool, max_switches, unpool

n = tinyfcn.Net(channels=1, dtype='float64')
n.conv1    = conv(n.data, 4, 3, pad=1)
n.pool1    = max_pool(n.conv1, 2)
n.switches = max_switches(n.conv1, 2)
n.unpool1  = unpool(n.pool1, n.switches, like=n.conv1)
n.score    = conv(n.unpool1, 2, 3, pad=1)

walk = n.walk(grey[..., :11, :14])
for _ in range(5):
    box, y = next(walk)
    print(f'{box.name:9}', y.shape)

# %% [markdown]
# `like=n.conv1` is necessary. Both 11 and 12 rows pool to 6, and the 6 rows do not determine which
# it was; SegNet needs the size, too (45 rows pool to 23, and 2·23 is 46). The columns matter even
# more: a switch is row·W + column, and with another W it points to another pixel.

# %%
x = np.diag(np.arange(1., 6))[None, None]                   # a diagonal, 5×5
y, _ = ops.max_pool(x, 2)
switches, _ = ops.max_switches(x, 2)
right, _ = ops.unpool(y, switches, (5, 5))
wrong, _ = ops.unpool(y, switches, (6, 6))
viz.show_matrices(x=x[0, 0], unpooled_to_5x5=right[0, 0], to_6x6_by_mistake=wrong[0, 0])

# %% [markdown]
# ## Your turn
#
# Write max pooling that rounds up. `x` is (N, C, H, W); `ksize` and `stride` are integers, the same
# for both axes, and `stride` is at most `ksize`. Loops over the windows are fine.

# %%
def max_pool_mine(x, ksize, stride):
    """The maximum of every window; the last one may extend beyond the edge."""
    raise NotImplementedError


check('max_pool', max_pool_mine)

# %% [markdown]
# <details><summary>Solution</summary>
#
# A slice that extends beyond the edge is simply shorter, and here that is what we want: nothing out
# there can be the maximum.
#
# ```python
# def max_pool_mine(x, ksize, stride):
#     n, c, h, w = x.shape
#     oh, ow = (-(-(length - ksize) // stride) + 1 for length in (h, w))
#     y = np.empty((n, c, oh, ow), x.dtype)
#     for i in range(oh):
#         for j in range(ow):
#             top, left = i * stride, j * stride
#             y[:, :, i, j] = x[:, :, top:top + ksize, left:left + ksize].max((2, 3))
#     return y
# ```
#
# </details>

# %% [markdown]
# Now the reverse. `y` and `switches` are (N, C, OH, OW), `size` is (H, W); values with the same
# switch are added.

# %%
def unpool_mine(y, switches, size):
    """Every value at its switch, zeros elsewhere: (N, C, *size)."""
    raise NotImplementedError


check('unpool', unpool_mine)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def unpool_mine(y, switches, size):
#     n, c = y.shape[:2]
#     x = np.zeros((n, c, size[0] * size[1]), y.dtype)
#     for plane in np.ndindex(n, c):
#         np.add.at(x[plane], switches[plane].ravel(), y[plane].ravel())
#     return x.reshape(n, c, *size)
# ```
#
# </details>

# %% [markdown]
# ## What PyTorch calls this
#
# | here | PyTorch |
# | --- | --- |
# | `ops.max_pool(x, 2)` | `F.max_pool2d(x, 2, ceil_mode=True)`; it rounds down by default |
# | `ops.max_switches(x, 2)` | the second result of it with `return_indices=True` |
# | `ops.unpool(y, switches, size)` | `F.max_unpool2d(y, indices, 2, output_size=size)` |
# | `ops.take(x, switches)` | `x.flatten(2).gather(2, indices.flatten(2))`, reshaped |
#
# PyTorch's indices are our switches, row·W + column. If several windows share a maximum, PyTorch's
# unpooling keeps one value instead of adding them.
#
# ## Three questions
#
# 1. For which y is `max_pool(unpool(y, switches, size), 2)` not y again, although no windows
#    overlap?
#
# <details><summary>Answer</summary>
#
# If a value of y is negative: unpooling puts zeros beside it, and zero is larger. After a ReLU
# there are no negative values, so there pooling does undo unpooling.
#
# </details>
#
# 2. Average pooling gives the mean of every window. Is it a convolution? Is max pooling?
#
# <details><summary>Answer</summary>
#
# Average pooling is: every channel by itself, a 2×2 kernel of quarters, stride 2. Its matrix is the
# same for every image. Max pooling is not: max(a + b) is not max(a) + max(b), and its P depends on
# x.
#
# </details>
#
# 3. An image of 500 rows is pooled five times, rounding *up*, and its 16 rows of scores are
#    upsampled by 32. What is beyond row 500, and does it do harm?
#
# <details><summary>Answer</summary>
#
# Twelve rows that belong to no pixel: the last windows extended beyond the edge. They are cropped,
# and do no harm.
#
# </details>
#
# **Next:** unpooling puts single numbers back and leaves zeros between them. Lesson 08 shows the
# other way to make maps larger, which adds a whole pattern for each number: the transposed
# convolution.
