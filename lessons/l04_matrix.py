# %% [markdown]
# # 04. Convolution as a matrix
#
# **A convolution is a linear map, and every linear map is a matrix: which one?**
#
# *About 45 minutes, with its exercises.*
#
# In lesson 03 the pixels were copied into a matrix and the kernel was a vector. Now the image stays
# as it is, one long vector x, and the kernel becomes a matrix M, so that
#
# ```
# y = M x
# ```
#
# Large images are not convolved this way. But M is the best way to *think* about convolution: the
# backward pass through a layer (lesson 06) and enlarging an image (lesson 08) both use this same M,
# transposed.

# %% tags=["hide-input"]
# imports, and a function that draws a matrix of taps
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import ListedColormap

from tinyfcn import ops, viz
from tinyfcn.course import tracing
from tinyfcn.course.exercises import check

COLOURS = ['#f7f7f7', *(plt.cm.tab20(i) for i in (1, 0, 3, 2, 5, 4, 7, 6, 9))]
TAPS = ListedColormap(COLOURS)                  # no tap, then taps 1 … 9


def draw_taps(ax, M, title, lines=None):
    """Draw a matrix of tap numbers with a colour for each tap; lines separate its blocks."""
    ax.imshow(M, cmap=TAPS, vmin=0, vmax=9, interpolation='nearest', aspect='equal')
    for i in np.arange(0, M.shape[0], (lines or M.shape)[0])[1:]:
        ax.axhline(i - .5, color='black', lw=.6)
    for j in np.arange(0, M.shape[1], (lines or M.shape)[1])[1:]:
        ax.axvline(j - .5, color='black', lw=.6)
    ax.set_title(title, fontsize=9)
    ax.set(xticks=[], yticks=[])


# %% [markdown]
# ## The idea in one figure
#
# Take an image of 6×6 and a kernel of 3×3. On the left is the kernel: nine taps, one colour each.
# On the right is M: 36 columns, one for each pixel, and 16 rows, one for each of the 4×4 outputs.
# Most of it is zero, the other entries form bands, and there are only nine colours.

# %%
numbered = np.arange(1., 10).reshape(1, 1, 3, 3)                # the taps by their numbers
M = ops.conv_matrix(numbered, (6, 6)).toarray()

# %% tags=["hide-input"]
# draw w and M
figure, (left, right) = plt.subplots(1, 2, figsize=(6.4, 2.5), dpi=110, width_ratios=[1, 5])
draw_taps(left, numbered[0, 0], 'w', lines=(1, 1))
draw_taps(right, M, 'M(w): 16 outputs × 36 pixels', lines=(4, 6))
plt.show()

# %% [markdown]
# ## By hand, in one dimension
#
# Take five pixels in a line and a kernel of three. Every output is the kernel laid over its three
# pixels; the other two pixels have the weight zero. Write those zeros down, and each output is a
# row.

# %%
w = np.array([1., -2, 3])
M = np.zeros((3, 5))
for i in range(3):
    M[i, i:i + 3] = w                           # the kernel, shifted by one
print(M)

x = np.array([2., 0, 1, 4, 1])
print(M @ x)
y, _ = ops.conv2d(x.reshape(1, 1, 1, 5), w.reshape(1, 1, 1, 3))

# %% tags=["hide-input"]
# check: M x is the convolution
assert np.array_equal(M @ x, y.ravel())

# %% [markdown]
# The same numbers along every diagonal: such a matrix is called a **Toeplitz** matrix.
#
# ## In two dimensions: one column at a time
#
# Images have two dimensions, but M acts on vectors, so both x and y are flattened row by row into
# long vectors: that is what `ravel()` does. The columns of M can then be computed one at a time.
# Convolve an image in which one pixel is 1 and all others are 0: the output is that pixel's column
# of M.

# %%
w = numbered                                    # 1 2 3 / 4 5 6 / 7 8 9
columns = []
for j in range(16):                             # an image of 4×4 has 16 pixels
    unit = np.zeros(16)
    unit[j] = 1
    y, _ = ops.conv2d(unit.reshape(1, 1, 4, 4), w)
    columns.append(y.ravel())
M = np.stack(columns, axis=1)
print(M.astype(int))

# %% [markdown]
# Why is that enough? Because convolution is *linear*: twice the image gives twice the output, and
# the output of a sum is the sum of the outputs. Any image is a sum of such one-pixel images, each
# times its pixel; so its output is the sum of the columns of M, each times its pixel. And this sum
# is what M @ x means.

# %%
rng = np.random.default_rng(4)
x = rng.standard_normal((1, 1, 4, 4))
y, _ = ops.conv2d(x, w)
assert np.allclose(M @ x.ravel(), y.ravel())
assert np.allclose(ops.conv2d(2 * x, w)[0], 2 * y)              # linear
assert np.allclose(ops.conv2d(x + unit.reshape(x.shape), w)[0].ravel(), y.ravel() + M[:, 15])

# %% [markdown]
# (The bias b is added afterwards: y = M x + b. With it the map is no longer linear in the strict
# sense, which is why it stays outside of M.)
#
# ## Step through it
#
# We have computed M column by column; here it is filled row by row, as the window slides over an
# image of 3×3. Watch the bands of a row: the window's rows of pixels are three apart in the long
# vector, because the image is three pixels wide. With `pad=1` most windows extend beyond the edge,
# and taps that lie on padding have no entry in M: padding with zeros means leaving out.

# %%
tracing.matrix([[3, 1, 2], [0, 5, 1], [2, 3, 4]], [[1, 2, 3], [4, 5, 6], [7, 8, 9]], pad=1)

# %% [markdown]
# ## The library's own lines
#
# `conv_matrix` returns a **sparse** matrix (SciPy's): it stores only the entries that are not zero,
# row by row, each with its column. `.toarray()` fills in the zeros, `@` multiplies without ever
# touching them, and `.nnz` is the number of stored entries. The idea is in the lines after the
# comment; those before it check the arguments and compute sizes. (`groups` is 1, as in lesson 02.)

# %%
viz.show_source(ops.conv_matrix)

# %% [markdown]
# Which pixel is each tap multiplied with at each position? Lesson 03 has answered that: `im2col`.
# So `im2col` is given an image whose pixels are their own numbers, 1, 2, 3, …; the numbers in the
# result (`meets`) say in which column of M each entry belongs. A 0 is padding and has no column:
# only the `real` entries are kept.

# %%
M = ops.conv_matrix(w, (4, 4))
print(M.shape, 'with', M.nnz, 'entries of', M.shape[0] * M.shape[1])

# %% tags=["hide-input"]
# check: the same matrix as ours
assert np.array_equal(M.toarray(), np.stack(columns, axis=1))

# %%
numbers = np.arange(1., 17).reshape(1, 1, 4, 4)
pixels, _ = ops.im2col(numbers, 3)
print(pixels[0].T.astype(int))                  # a row for each output: the pixels that it reads

# %% [markdown]
# ## The effect of stride, padding and channels
#
# Padding adds rows, because there are more outputs, and the rows of outputs at the border have
# fewer entries. A stride of 2 removes rows: in those that remain, the kernel moves by two pixels.

# %% tags=["hide-input"]
# draw M for three geometries
figure, axes = plt.subplots(1, 3, figsize=(7, 2.7), dpi=110)
for ax, (stride, padding) in zip(axes, [(1, 0), (1, 1), (2, 1)]):
    M = ops.conv_matrix(w, (6, 6), stride, padding).toarray()
    draw_taps(ax, M, f'stride {stride}, pad {padding}: {M.shape[0]}×{M.shape[1]}')
plt.show()

# %% [markdown]
# Channels make blocks. With C = 2 channels in and K = 3 out, x is the first channel's pixels
# followed by the second's, and M has 3×2 blocks. Block (k, c) is a matrix like those above, for the
# kernel w[k, c]: the contribution of channel c to output k. Along a row of blocks the channels are
# summed, just as in lesson 02. (Blue weights are positive, red ones negative.)

# %%
kernels = rng.standard_normal((3, 2, 3, 3))
M = ops.conv_matrix(kernels, (4, 4))            # (3·4, 2·16)

# %% tags=["hide-input"]
# check a block, and draw all six
block = M.toarray().reshape(3, 4, 2, 16)[1, :, 0]
assert np.array_equal(block, ops.conv_matrix(kernels[1:2, 0:1], (4, 4)).toarray())

x = rng.standard_normal((1, 2, 4, 4))
assert np.allclose(M @ x.ravel(), ops.conv2d(x, kernels)[0].ravel())

figure, ax = plt.subplots(figsize=(4.6, 2), dpi=110)
limit = abs(M.toarray()).max()
ax.imshow(M.toarray(), cmap='RdBu', vmin=-limit, vmax=limit)
ax.hlines([3.5, 7.5], -.5, 31.5, color='black', lw=.8)
ax.vlines(15.5, -.5, 11.5, color='black', lw=.8)
ax.set(xticks=[7.5, 23.5], xticklabels=['channel 0', 'channel 1'],
       yticks=[1.5, 5.5, 9.5], yticklabels=['output 0', 'output 1', 'output 2'])
plt.show()

# %% [markdown]
# ## How many entries
#
# Every output has one entry for each tap: **K·C·kh·kw·OH·OW** in all, and fewer where there is
# padding. Of the C·H·W columns, a row uses only C·kh·kw.

# %%
M = ops.conv_matrix(w, (64, 64))
print(f'3×3 on 64×64: {M.nnz:,} of {M.shape[0] * M.shape[1]:,} entries, '
      f'{100 * M.nnz / (M.shape[0] * M.shape[1]):.2f} per cent')

# %% tags=["hide-input"]
# check: with padding, two taps along each axis are beyond the edge
assert M.nnz == 9 * 62 * 62
padded = ops.conv_matrix(w, (64, 64), pad=1)
assert padded.nnz == (3 * 64 - 2) ** 2

# %% [markdown]
# So even without its zeros M has an entry for each product, and is practical only for small layers.
# For lesson 03's layer of VGG-16, 64 channels to 64 at 698×698, the function raises an error and
# explains why:

# %%
try:
    ops.conv_matrix(np.zeros((64, 64, 3, 3)), (698, 698), pad=1)
except ValueError as error:
    print(error)

# %% [markdown]
# ## Two savings that make a convolution
#
# A layer in which *every* output reads *every* pixel with a weight of its own is called **fully
# connected**; its matrix has no zeros. A convolution is such a layer with two restrictions:
#
# * *locality*: an output reads only nearby pixels, so most entries are 0;
# * *weight sharing*: the same weights are used everywhere, so the entries that remain have few
#   different values.
#
# With locality alone there would still be a weight for each entry. Weight sharing leaves nine
# numbers to learn, whatever the size of the image, and lets one net read images of any size: FCN is
# built on this.

# %% tags=["hide-input"]
# draw three kinds of layers
M = ops.conv_matrix(numbered, (6, 6)).toarray()
full = rng.integers(1, 10, M.shape)
local = np.where(M > 0, full, 0)
figure, axes = plt.subplots(1, 3, figsize=(7, 1.7), dpi=110)
for ax, matrix, kind in zip(axes, [full, local, M], ['fully connected', 'local', 'convolution']):
    count = 9 if matrix is M else np.count_nonzero(matrix)
    draw_taps(ax, matrix, f'{kind}: {count} weights')
plt.show()
assert np.count_nonzero(full) == 576 and np.count_nonzero(M) == 144
assert len(np.unique(M)) == 1 + 9               # 0, and nine taps

# %% [markdown]
# ## The transpose Mᵀ
#
# A row of M says which pixels an *output* reads. A column says the opposite: to which outputs a
# *pixel* contributes, and with which weight. Turn columns into rows, and you have **Mᵀ**, the
# transpose. It maps arrays of the size of y to arrays of the size of x.

# %%
M = ops.conv_matrix(numbered, (4, 4))
print(M.toarray()[:, 5].reshape(2, 2))          # pixel (1, 1) contributes to all four outputs

y = M @ np.arange(16.)
back = M.T @ y
print('M', M.shape, 'maps 16 numbers to', y.size, '   Mᵀ', M.T.shape, 'maps them to', back.size)

# %% tags=["hide-input"]
# check: Mᵀ is no inverse
assert not np.allclose(back, np.arange(16.))

# %% [markdown]
# Mᵀ does not undo M. It sends values along the same connections, with the same weights, in the
# other direction. In lesson 06 these values will be gradients, dx = Mᵀ dy; in lesson 08 they will
# be images that become larger.
#
# ## Change this and run again
#
# Predict the shape and the pattern first. What does `stride=3` do to the bands? What does `pad=2`
# do, where more outputs lie at the edge? What about an image of 3×3, which leaves a single row, or
# one of 3×12, long and flat?

# %%
size = 6, 6                             # try: (3, 3), (3, 12)
geometry = dict(stride=1, pad=0)        # try: dict(stride=3, pad=0), dict(stride=1, pad=2)

M = ops.conv_matrix(numbered, size, **geometry)
figure, ax = plt.subplots(figsize=(4, 2.4), dpi=110)
draw_taps(ax, M.toarray(), f'{M.shape[0]}×{M.shape[1]}, {M.nnz} entries')
plt.show()

# %% [markdown]
# ## Your turn
#
# Write conv_matrix as a dense matrix, zeros included. `size` is (H, W); `stride` and `pad` are
# integers. A hint: start with zeros of six axes, (K, OH, OW, C, H, W), fill in the weights that
# each output uses, and `reshape` at the end.

# %%
def conv_matrix_mine(w, size, stride, pad):
    """w (K, C, kh, kw) -> (K·OH·OW, C·H·W)"""
    raise NotImplementedError


check('conv_matrix', conv_matrix_mine)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def conv_matrix_mine(w, size, stride, pad):
#     k, c, kh, kw = w.shape
#     height, width = size
#     oh = (height + 2 * pad - kh) // stride + 1
#     ow = (width + 2 * pad - kw) // stride + 1
#     M = np.zeros((k, oh, ow, c, height, width))
#     for i, j, a, b in np.ndindex(oh, ow, kh, kw):
#         row = i * stride + a - pad
#         column = j * stride + b - pad
#         if 0 <= row < height and 0 <= column < width:           # else the tap is on padding
#             M[:, i, j, :, row, column] = w[:, :, a, b]
#     return M.reshape(k * oh * ow, c * height * width)
# ```
#
# The two lines that compute `row` and `column` are the whole geometry of convolution: output i, tap
# a, pixel i·stride + a − pad. Lesson 10 follows them through a net.
#
# </details>

# %% [markdown]
# ## What PyTorch calls this
#
# PyTorch never builds M for an image, but its names refer to it:
#
# | here | PyTorch, SciPy |
# | --- | --- |
# | `M @ x` | `F.conv2d(x, w)` |
# | `M.T @ y` | `F.conv_transpose2d(y, w)`: *transpose* means this Mᵀ |
# | M in one dimension | `scipy.linalg.toeplitz` makes such matrices |
# | a full matrix | `nn.Linear` |
#
# In books M is called *doubly block Toeplitz*: blocks repeat along diagonals, and within each block
# numbers repeat along diagonals, as in the first figure of this lesson. tinyfcn does build M in one
# case. Its bilinear upsampling (lesson 09) is a small Mᵀ for the rows of an image and one for the
# columns.
#
# ## Three questions
#
# 1. w is (8, 3, 5, 5), the image 20×20, no padding, stride 1. How many rows, columns, entries and
#    different values does M have?
#
# <details><summary>Answer</summary>
#
# The output is 16×16. Rows 8·16·16 = 2048, columns 3·20·20 = 1200, entries 8·3·25·256 = 153,600,
# values 8·3·25 = 600, and zero.
#
# </details>
#
# 2. Every row of M sums to the same number if there is no padding. Which number? What changes with
#    padding?
#
# <details><summary>Answer</summary>
#
# For one kernel, the sum of its taps: that is the output everywhere for an image of ones. With
# padding the rows at the border lack some taps, and have another sum: near its border a padded net
# computes with zeros that are not in the image.
#
# </details>
#
# 3. Lesson 03 had y = w · im2col(x), this one has y = M(w) · x. What is repeated in which matrix?
#
# <details><summary>Answer</summary>
#
# In im2col(x) pixels are repeated, each once for every window that contains it; in M(w) weights are
# repeated, each once for every position at which it is used. The sums are the same. Each form shows
# that y is linear in the factor that was *not* made a matrix: lesson 06 needs both.
#
# </details>
#
# **Next, 05:** so far all weights were given. To learn them, a net first needs a number that says
# how wrong it is. After that, lesson 06 uses Mᵀ.
