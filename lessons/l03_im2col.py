# %% [markdown]
# # 03. A window becomes a column
#
# **How do the many small sums of a convolution become one matrix product?**
#
# *About 45 minutes, with its exercises.*
#
# In lesson 02 a window stopped at every position of the image, and each stop cost a small sum of
# products. Here the sums stay the same, number by number; only the pixels are first laid out
# differently. Every window becomes a column, all columns stand side by side in a matrix, and a
# single matrix product does the rest. Laying out the pixels in this way is called **im2col**, image
# to columns.

# %% tags=["hide-input"]
# imports, and a function that draws numbers in a grid
from time import perf_counter

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import ListedColormap

import tinyfcn
from tinyfcn import ops, viz
from tinyfcn.course import tracing
from tinyfcn.course.exercises import check

TINTS = ListedColormap(['white', '#fbd38d', '#bee3f8', '#c6f6d5'])


def grid(ax, values, tint, title):
    """Draw numbers in a grid; tint holds the index (0 … 3) of each cell's background colour."""
    ax.pcolormesh(tint, cmap=TINTS, vmin=0, vmax=3, edgecolors='#718096', linewidth=.7)
    for (i, j), value in np.ndenumerate(values):
        ax.text(j + .5, i + .5, f'{value:g}', ha='center', va='center', fontsize=9)
    ax.set_title(title, fontsize=10)
    ax.set_aspect('equal')
    ax.invert_yaxis()
    ax.axis('off')


# %% [markdown]
# ## The idea in one figure
#
# In a 4×4 image a window of 2×2 has 3×3 positions, so there are nine columns. Three of the windows
# are coloured. Follow each to its column: the column holds its four pixels, row by row from the
# top, and the columns are in the order in which the window visits its positions.

# %% tags=["hide-input"]
# draw x and its columns
x = np.array([[1., 2, 0, 4],
              [3, 1, 2, 1],
              [0, 5, 1, 2],
              [2, 3, 4, 0]])
cols, _ = ops.im2col(x[None, None], 2)          # [None, None]: one image, one channel

tint = np.zeros((4, 4))
tint[0:2, 0:2] = 1
tint[0:2, 2:4] = 2
tint[2:4, 1:3] = 3
column_tint = np.zeros((4, 9))
column_tint[:, 0] = 1
column_tint[:, 2] = 2
column_tint[:, 7] = 3

figure, (left, right) = plt.subplots(1, 2, figsize=(6.4, 2), dpi=110, width_ratios=[4, 9])
grid(left, x, tint, 'x')
grid(right, cols[0], column_tint, 'im2col(x): a column for each position')
plt.show()

# %% [markdown]
# ## By hand
#
# Now the kernel. Flattened in the same order as the windows, it is a row of four numbers. Row times
# column is the sum of products that lesson 02 computed at that position; row times *matrix*
# computes all of them.

# %%
w = np.array([[1., -1],
              [0, 2]])

columns = []
for i in range(3):
    for j in range(3):
        columns.append(x[i:i + 2, j:j + 2].ravel())
by_hand = np.stack(columns, axis=1)

y = w.ravel() @ by_hand                         # (4,) times (4, 9) gives (9,)
print(by_hand)
print(y.reshape(3, 3))

# %% tags=["hide-input"]
# check: im2col and conv2d give the same
assert np.array_equal(by_hand, cols[0])
assert np.array_equal(y.reshape(3, 3), ops.conv2d(x[None, None], w[None, None])[0][0, 0])

# %% [markdown]
# The first number is 1·1 − 1·2 + 0·3 + 2·1 = 1. Check one more yourself.
#
# ## Step through it
#
# Here is the same with a 3×3 kernel for vertical edges, on a corner of the image with a border of
# zeros (`pad=1`). Use the buttons, or click into the frame and press the arrow keys.

# %%
tracing.im2col(x[1:, :3], np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]]), pad=1)

# %% [markdown]
# Notice how often one pixel is copied: the 5 in the middle is in all nine columns, once for each
# window that contains it. Keep that number in mind, it is the price of the method.
#
# ## Stride: fewer columns, the same rows
#
# A window that moves two pixels at a time stops at fewer positions. The columns that remain are
# columns of the matrix above, unchanged.

# %%
image = x[None, None]
every, _ = ops.im2col(image, 3, pad=1)
second, _ = ops.im2col(image, 3, stride=2, pad=1)
print(every.shape, second.shape)

# %% tags=["hide-input"]
# check: the positions (0, 0), (0, 2), (2, 0) and (2, 2)
assert np.array_equal(second, every[:, :, [0, 2, 8, 10]])

# %% [markdown]
# ## Channels are stacked below each other
#
# A window over C channels holds C·k·k numbers, and they need an order: channel by channel, and
# within each channel row by row. To make the order visible, the second channel here is the first
# plus 10.

# %%
plane = np.arange(9.).reshape(3, 3)
image = np.stack([plane, plane + 10])[None]                     # (N, C, H, W) = (1, 2, 3, 3)
cols, _ = ops.im2col(image, 2)
print(cols.shape)
print(cols[0])

# %% [markdown]
# Why this order and no other? Because the kernels w (K, C, kh, kw) are stored in memory in just
# this order: `w.reshape(K, -1)` makes each of the K kernels a row without moving a number. So
#
# ```
# y            =  w.reshape(K, C·kh·kw)  @  im2col(x)
# K×positions     K×taps                    taps×positions
# ```
#
# A **tap** is one number of a kernel, and there are C·kh·kw of them. In the figure the two channels
# have two colours: numbers that are multiplied with each other have the same colour.

# %%
rng = np.random.default_rng(3)
w = rng.integers(-2, 3, (2, 2, 2, 2)).astype('float64')         # K = 2 kernels
rows = w.reshape(2, -1)
y = rows @ cols[0]                                              # (2, 8) times (8, 4)

# %% tags=["hide-input"]
# draw the product
assert np.array_equal(y.reshape(2, 2, 2), ops.conv2d(image, w)[0][0])

band = np.repeat([1, 2], 4)                                     # the channel of each tap
figure, axes = plt.subplots(1, 3, figsize=(7, 2.7), dpi=110, width_ratios=[8, 4, 4])
grid(axes[0], rows, np.tile(band, (2, 1)), 'w: a kernel in each row')
grid(axes[1], cols[0], np.tile(band[:, None], (1, 4)), '@  im2col(x)')
grid(axes[2], y, np.zeros((2, 4)), '=  y: a channel in each row')
plt.show()

# %% [markdown]
# ## The library's own lines
#
# Here is the real function. It has a loop, but not the one above: that one ran over the
# *positions*, and there are 487,204 of them in a layer that we shall meet below; this one runs over
# the *taps*, and there are nine.

# %%
viz.show_source(ops.im2col)

# %% [markdown]
# A few notes. `floats` checks that its argument is an array of floats with four axes, and returns
# its module (NumPy, here). `_windows` is the shape of the result before it is flattened, `_taps`
# the slices of pixels that each tap is multiplied with. `dilation` (the distance between
# neighbouring taps) is 1 here, and the second value that is returned, the *cache*, is for the
# backward pass: lesson 06.
#
# Looping over the taps means filling the matrix by rows instead of columns. A column is a window. A
# **row** holds the pixels that one tap is multiplied with at all positions: the whole image,
# shifted a little. So im2col of a 3×3 window is nine shifted copies of the image, and convolution
# is their weighted sum. Here are five rows for a larger window, of 9×9 with `pad=4`, so that the
# shifts can be seen:

# %% tags=["hide-input"]
# draw shifted copies
down, right = np.mgrid[:24, :24]
disc = ((down - 11.5) ** 2 + (right - 9) ** 2 < 40).astype('float64')
cols, _ = ops.im2col(disc[None, None], 9, pad=4)
shifted = cols[0].reshape(9, 9, 24, 24)         # row and column of the tap, then of the position

figure, axes = plt.subplots(1, 6, figsize=(7, 1.5), dpi=110)
axes[0].imshow(disc, cmap='Blues')
axes[0].set_title('x', fontsize=9)
for ax, (i, j) in zip(axes[1:], [(0, 0), (0, 8), (4, 4), (8, 0), (8, 8)]):
    ax.imshow(shifted[i, j], cmap='Blues')
    ax.set_title(f'tap ({i}, {j})', fontsize=9)
for ax in axes:
    ax.axis('off')
plt.show()

# %% [markdown]
# With the columns available, convolution is short: you saw these lines at the end of lesson 02, and
# now you can read them. `_by_group(w, groups)` is our `w.reshape(K, -1)`, because with `groups=1`
# there is only one group.

# %%
viz.show_source(ops.conv2d)

# %% [markdown]
# ## Why it is fast
#
# It does not compute less: the products are the same, one by one. But the matrix product is the
# most thoroughly optimised loop there is. NumPy passes it to a library called **BLAS** (here
# usually OpenBLAS), which multiplies several numbers with each instruction, splits the matrices
# into blocks that fit into the CPU's cache, and uses more than one core.
#
# So measure. The slow version is a plain loop over everything, with one more handicap: Python
# interprets every single product. (The folded cell only says whether the factor is more than 20; to
# see it on your computer, print `slow / fast` there.)

# %%
def conv2d_loops(x, w):
    """x (C, H, W), w (K, C, kh, kw) -> y (K, OH, OW), one product at a time."""
    n_out, n_in, kh, kw = w.shape
    _, height, width = x.shape
    y = np.zeros((n_out, height - kh + 1, width - kw + 1))
    for k, i, j in np.ndindex(y.shape):
        for c, a, b in np.ndindex(n_in, kh, kw):
            y[k, i, j] += w[k, c, a, b] * x[c, i + a, j + b]
    return y

# %% tags=["hide-input"]
# measure
def seconds(function):
    start = perf_counter()
    function()
    return perf_counter() - start


x = rng.standard_normal((4, 20, 20))
w = rng.standard_normal((8, 4, 3, 3))
slow = seconds(lambda: conv2d_loops(x, w))
fast = min(seconds(lambda: w.reshape(8, -1) @ ops.im2col(x[None], 3)[0]) for _ in range(5))

assert np.allclose(conv2d_loops(x, w), ops.conv2d(x[None], w)[0][0])
print(f'{w.size * 18 * 18:,} products; im2col is more than 20 times as fast: {slow > 20 * fast}')

# %% [markdown]
# ## What it costs
#
# Memory. A pixel is copied once for every window that contains it, k·k times at stride 1. Take
# VGG-16's second layer, `conv1_2`, on an image of 500×500. FCN pads the image by 100 on every side
# (lesson 10 explains why), and the layer reads 64 channels of 698×698:

# %%
net = tinyfcn.build('fcn8s', n_class=21, seed=None)             # only needed for its sizes
height, width = net.sizes((500, 500))['conv1_2']
channels_in = 64
n_tap = 3 * 3
megabyte = 1e6

print(f'{height}×{width} positions')
print(f'x    {channels_in * height * width * 4 / megabyte:7.0f} MB     float32: 4 bytes a number')
print(f'cols {channels_in * n_tap * height * width * 4 / megabyte:7.0f} MB')

# %% tags=["hide-input"]
# check
assert (height, width) == (698, 698)
assert round(channels_in * n_tap * height * width * 4 / megabyte) == 1123

# %% [markdown]
# More than a gigabyte, for one layer and one image. The library therefore does two things. First,
# for the backward pass it keeps x and never the columns: they are computed again when they are
# needed. Second, for large images it builds no columns at all. The pixels of a row of a window are
# neighbours in memory already, so loops that are compiled for this CPU read them there
# (`tinyfcn/kernels/cpu/direct.py`). The code above remains the definition.
#
# ## Change this and run again
#
# Before each run predict `cols.shape`: with `stride=2`; with `padding=2`; with `ksize=1`. The last
# case is special. A 1×1 window holds one pixel of each channel, so the columns are the image
# itself, and the convolution is a plain matrix product over its pixels. FCN's score layers are of
# that kind.

# %%
ksize = 3                                                       # try: 1, 6
stride = 1                                                      # try: 2, 3
padding = 0                                                     # try: 2, 10

image = rng.standard_normal((1, 2, 6, 6))
cols, _ = ops.im2col(image, ksize, stride, padding)
print(cols.shape, 'is', round(cols.size / image.size, 2), 'times as large as the image')

# %% tags=["hide-input"]
# check: the columns are the image
image = rng.standard_normal((1, 2, 6, 6))
assert np.array_equal(ops.im2col(image, 1)[0], image.reshape(1, 2, 36))

# %% [markdown]
# ## Your turn
#
# Write im2col. `ksize` is a pair; `stride` and `pad` are integers. Loops over positions or over
# taps are both fine. Or try it without a loop: `np.lib.stride_tricks.sliding_window_view(x, (kh,
# kw), axis=(2, 3))` shows all windows of an array without copying, in the shape (N, C, H−kh+1,
# W−kw+1, kh, kw).

# %%
def im2col_mine(x, ksize, stride, pad):
    """x (N, C, H, W) -> (N, C·kh·kw, OH·OW)"""
    raise NotImplementedError


check('im2col', im2col_mine)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def im2col_mine(x, ksize, stride, pad):
#     x = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
#     windows = np.lib.stride_tricks.sliding_window_view(x, ksize, axis=(2, 3))
#     windows = windows[:, :, ::stride, ::stride]                 # (N, C, OH, OW, kh, kw)
#     n, c, oh, ow, kh, kw = windows.shape
#     return windows.transpose(0, 1, 4, 5, 2, 3).reshape(n, c * kh * kw, oh * ow)
# ```
#
# The transpose is essential: the axes of the taps must come before those of the positions, or the
# rows of the matrix do not correspond to taps.
#
# </details>

# %% [markdown]
# ## What PyTorch calls this
#
# | here | PyTorch |
# | --- | --- |
# | `ops.im2col(x, 3, stride=2, pad=1)` | `F.unfold(x, 3, stride=2, padding=1)` |
# | `ops.col2im` (lesson 06) | `F.fold` |
# | `w.reshape(K, -1) @ cols` | one of the algorithms that `F.conv2d` may use |
#
# (F is `torch.nn.functional`.) The rows are in the same order, too. The name im2col comes from
# MATLAB; Caffe, in which FCN was written, computes its convolutions this way. *Implicit GEMM*, in
# papers on GPUs, is the same product without storing the columns (GEMM is BLAS's name for a matrix
# product).
#
# ## Three questions
#
# 1. x is (1, 3, 5, 5), the window 3×3, stride 1, no padding. What is the shape of the columns? How
#    often does the pixel in the middle occur, and how often one in a corner?
#
# <details><summary>Answer</summary>
#
# (1, 27, 9): 3·3·3 taps, 3×3 positions. The middle pixel of a channel is in all nine windows and
# occurs nine times; a corner pixel is in one.
#
# </details>
#
# 2. Suppose w is stored as (K, kh, kw, C), flattened and multiplied. What happens?
#
# <details><summary>Answer</summary>
#
# Nothing visible: the shapes fit, there is no error, and every number is wrong unless C or kh·kw
# is 1. Only a comparison with a slow reference implementation finds it, which is why tinyfcn's
# tests have plain loops for every op.
#
# </details>
#
# 3. At which stride does im2col of a 3×3 window no longer duplicate pixels?
#
# <details><summary>Answer</summary>
#
# At 3: the windows are then side by side without overlap, and every pixel is copied once.
#
# </details>
#
# **Next:** here the pixels were copied into a matrix and the kernel was a vector. Lesson 04 does
# the opposite: the image is the vector, and the kernel becomes the matrix.
