# %% [markdown]
# # 02. Convolution, one number at a time
#
# **How can nine numbers find every edge of an image?**
#
# *About 50 minutes, with its exercises.*

# %% tags=["hide-input"]
# imports
import numpy as np

import tinyfcn
from tinyfcn import ops, viz
from tinyfcn.course import tracing
from tinyfcn.course.exercises import check

# %% [markdown]
# ## First see it work
#
# A small table of numbers, the **kernel** (or filter), is laid on an image and moved pixel by
# pixel, and at each position it gives one number. Two kernels give two different outputs:

# %%
image, _ = tinyfcn.data.load_dataset('shapes', split='test', size=(44, 58), difficulty=.05)[3]
grey = image.mean(2)

vertical = np.array([[-1., 0, 1],
                    [-1., 0, 1],
                    [-1., 0, 1]])
horizontal = vertical.T


def convolve(image, kernel):
    """The convolution of a grey image (H, W) with one kernel (kh, kw)."""
    x = image[None, None].astype(float)                 # conv2d reads (N, C, H, W): one image,
    w = kernel[None, None].astype(float)                # one channel, one kernel
    y, _ = ops.conv2d(x, w)                             # an op returns its output and a cache
    return y[0, 0]


viz.side_by_side({'image': grey, 'vertical edges': convolve(grey, vertical),
                  'horizontal edges': convolve(grey, horizontal),
                  'both': np.hypot(convolve(grey, vertical), convolve(grey, horizontal))})

# %% [markdown]
# White marks a step from dark to bright, black one from bright to dark, and grey no edge: from left
# to right in the second picture, from top to bottom in the third. The last one, √(vertical² +
# horizontal²), is bright at every edge. The nine numbers contain nothing about where the shapes
# are. Let us see how they work.
#
# ## One window, one number
#
# Here is an image of 5×5 pixels with a bright corner. The kernel covers a **window** of 3×3 pixels.
# Multiply each pixel by the number of the kernel that lies on it, and add up all nine products:

# %%
x = np.array([[1., 1, 1, 5, 5],
              [1., 1, 1, 5, 5],
              [1., 1, 1, 5, 5],
              [1., 1, 1, 1, 1],
              [1., 1, 1, 1, 1]])

window = x[0:3, 1:4]                                    # starts at row 0, column 1
print(window * vertical)
print('sum', (window * vertical).sum())

# %% tags=["hide-input"]
# check: 15 − 3
assert (window * vertical).sum() == 12

# %% [markdown]
# The right column counts positively, the left one negatively: 15 − 3. Where left and right are
# equally bright, the sum is 0. So this kernel measures *how much brighter it is on the right*. This
# is all that a convolution does. With (i, j) for the position of the window, and (ky, kx) for the
# row and the column inside it,
#
#     y[i, j] = Σ w[ky, kx] · x[i + ky, j + kx]        over all ky, kx of the kernel
#
# Step through all nine positions. The line under the grids shows the sum for the current one. Click
# on an output to go to it, press *edit* to change the numbers, or *predict* to be asked for each
# output before you see it.

# %%
tracing.convolution(x, vertical)

# %%
y = convolve(x, vertical)
print(y)

# %% tags=["hide-input"]
# check
assert y.tolist() == [[0, 12, 12], [0, 8, 8], [0, 4, 4]]

# %% [markdown]
# The outputs become smaller towards the bottom, because fewer rows of the bright corner lie in the
# window.
#
# ## The border: padding
#
# The output is 3×3 although the input is 5×5: a window of three pixels has only three positions
# among five. With each convolution an image would lose its border. **Padding** puts zeros around
# it; with `pad=1` and a 3×3 kernel, the output is as large as the input. Padding has a price: at
# the border, pixels are mixed with zeros that are not in the image. Each number of this kernel is
# 1/9, so it computes the mean; in a corner, five of the nine numbers are such zeros:

# %%
blur = np.full((3, 3), 1 / 9)
flat, _ = ops.conv2d(np.ones((1, 1, 4, 4)), blur[None, None], pad=1)
print(flat[0, 0].round(2))

# %% tags=["hide-input"]
# check: four of nine in the corner
assert np.isclose(flat[0, 0, 0, 0], 4 / 9) and np.isclose(flat[0, 0, 1, 1], 1)

# %% [markdown]
# ## Fewer positions: stride
#
# With `stride=2` the window moves two pixels at a time. The output is about half as large, and
# neighbouring outputs belong to positions two pixels apart. Here are padding and stride together;
# in the last column the kernel finds a false edge, from bright pixels to the zeros outside.

# %%
tracing.convolution(x, vertical, stride=2, pad=1)

# %% [markdown]
# ## How large is the output?
#
# Take one axis: H pixels, a window of k, padding p on both sides, stride s. Window number i covers
# the pixels from s·i − p to s·i − p + k − 1. The last pixel, including padding, is H + p − 1, and
# the window must not reach beyond it:
#
#     s·i − p + k − 1 ≤ H + p − 1        so        i ≤ (H + 2p − k) / s
#
# The first window is number 0. So there are
#
#     ⌊(H + 2p − k) / s⌋ + 1
#
# of them, where ⌊ ⌋ rounds down: a window that does not fit completely is left out.

# %%
for h, k, s, p in [(5, 3, 1, 0), (5, 3, 1, 1), (5, 3, 2, 1), (8, 3, 2, 0), (500, 3, 1, 100)]:
    positions = [i for i in range(h + 2 * p) if s * i + k <= h + 2 * p]        # by counting
    out, _ = ops.conv2d(np.zeros((1, 1, h, h)), np.zeros((1, 1, k, k)), stride=s, pad=p)
    print(f'{h:3} pixels, window {k}, stride {s}, pad {p:3}: {out.shape[2]}')
    assert out.shape[2] == len(positions) == (h + 2 * p - k) // s + 1      # the formula

# %% [markdown]
# The last line is the first layer of the paper's net. Yes, it pads by 100 pixels; lesson 10
# explains why, and what happens to them.
#
# ## Colours: channels
#
# A colour image has three **channels**. Then the kernel has three channels too, and the sum runs
# over all of them: still one number for each window. Here are an image of two channels and a kernel
# that responds to *bright in the first and dark in the second*:

# %%
two_channels = np.array([[[3., 3, 0], [3, 3, 0], [0, 0, 0]],
                         [[0., 2, 2], [0, 2, 2], [0, 0, 0]]])
difference = np.stack([np.ones((2, 2)), -np.ones((2, 2))])
tracing.convolution(two_channels, difference)

# %% [markdown]
# A kernel may even be 1×1. Then it covers a single pixel and only mixes its channels. This one
# computes *how much more red than green and blue* there is:

# %%
rgb = image.transpose(2, 0, 1)[None].astype(float)  # (N, C, H, W): images, channels, rows, …
redder = np.array([1, -.5, -.5]).reshape(1, 3, 1, 1)
red, _ = ops.conv2d(rgb, redder)
viz.side_by_side({'image': image, 'how much redder': red[0, 0]})

# %% [markdown]
# ## Many kernels, and a bias
#
# One kernel gives one output channel. K kernels give K channels, which the next convolution reads
# as its input: this is how deep nets are built. Finally, each kernel has one more number, its
# **bias** b, which is added to all of its outputs: it sets the threshold above which a feature
# counts as *found*. So we have
#
#     y[n, k, i, j] = b[k] + Σ w[k, c, ky, kx] · x[n, c, s·i − p + ky, s·j − p + kx]
#
# Every array has four axes, except b; the last two are positions:
#
# | array | shape | |
# | --- | --- | --- |
# | x | (N, C, H, W) | N images, C channels |
# | w | (K, C, kh, kw) | K kernels (also called filters), each with C channels |
# | b | (K,) | one for each kernel |
# | y | (N, K, OH, OW) | one channel for each kernel |

# %%
greener = redder[:, [1, 0, 2]]
w = np.concatenate([redder, greener])                   # two kernels
found, _ = ops.conv2d(rgb, w, np.array([-25., -25.]))
found, _ = ops.relu(found)                              # below zero: not found
print('x', rgb.shape, '   w', w.shape, '   y', found.shape)
viz.side_by_side({'redder by 25': found[0, 0], 'greener by 25': found[0, 1]})

# %% [markdown]
# ## Your turn
#
# Write the convolution. Two loops over the positions of the output are enough; four or six are fine
# too. What matters is that each number is right. `stride` and `pad` are integers, the same for rows
# and columns.

# %%
def conv2d_mine(x, w, b, stride, pad):
    """x (N, C, H, W), w (K, C, kh, kw), b (K,) -> y (N, K, OH, OW)"""
    raise NotImplementedError


check('conv2d', conv2d_mine)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def conv2d_mine(x, w, b, stride, pad):
#     n, c, height, width = x.shape
#     k, _, kh, kw = w.shape
#     oh = (height + 2 * pad - kh) // stride + 1
#     ow = (width + 2 * pad - kw) // stride + 1
#     x = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
#     y = np.empty((n, k, oh, ow))
#     for i in range(oh):
#         for j in range(ow):
#             window = x[:, :, stride * i:stride * i + kh, stride * j:stride * j + kw]
#             y[:, :, i, j] = window.reshape(n, -1) @ w.reshape(k, -1).T + b
#     return y
# ```
#
# Each window is flattened into one long row of C·kh·kw numbers, and so is each kernel: the sum of
# products is then a matrix product. Lesson 03 builds on this.
#
# </details>

# %% [markdown]
# The library's own definition, which every net here uses:

# %%
viz.show_source(ops.conv2d)

# %% [markdown]
# There is no loop in it! `im2col` lays out all windows side by side, and one matrix product does
# the rest. That is lesson 03. (`groups` and `dilation` are for other nets; with the value 1 they
# have no effect.)
#
# Speed matters. Each number of the output costs C·kh·kw multiplications. The second layer of the
# paper's net has 64 kernels of 64 channels; for a single image of 500×500 it needs

# %%
products = 64 * 64 * 3 * 3 * 698 * 698                  # 500 + 2·100 − 2 = 698
print(f'{products:,} multiplications')

# %% tags=["hide-input"]
# check: 18 billion
assert round(products / 1e9) == 18

# %% [markdown]
# ## Change this and run again
#
# Make kernels of your own. Kernels whose numbers add up to 1 preserve the brightness; kernels whose
# numbers add up to 0 respond only to changes; a single 1 beside the centre shifts the image. So far
# `yours` leaves the image as it is. (Black is the smallest number of each picture and white the
# largest, whatever they are; so its mean is in its title.) Try all of them on `image[:, :, 0]`
# instead of `grey`, too.

# %%
yours = [[0, 0, 0], [0, 1, 0], [0, 0, 0]]   # try: [[0, 1, 0], [1, -4, 1], [0, 1, 0]], [[1] * 9]
channel = grey                                          # try: image[:, :, 0], image[:, :, 2]

kernels = {
    'blur: sum 1': np.full((5, 5), 1 / 25),
    'sharpen: sum 1': np.array([[0., -1, 0], [-1, 5, -1], [0, -1, 0]]),
    'slope: sum 0': np.array([[-2., -1, 0], [-1, 0, 1], [0, 1, 2]]),
    'yours': np.array(yours),
}
outputs = {name: convolve(channel, kernel) for name, kernel in kernels.items()}
viz.side_by_side({f'{name}, mean {y.mean():.0f}': y for name, y in outputs.items()}, width=1.9)

# %% tags=["hide-input"]
# check: only the border is lost
identity = np.array([[0, 0, 0], [0, 1, 0], [0, 0, 0]])
assert (convolve(grey, identity) == grey[1:-1, 1:-1]).all()             # the border is lost

# %% [markdown]
# A net has no such list. Its kernels start as random numbers and are learned; but the first layer
# of a well-trained net again contains detectors of edges and colours.
#
# ## What PyTorch calls this
#
# | here | PyTorch |
# | --- | --- |
# | `ops.conv2d(x, w, b, stride=2, pad=1)[0]` | `F.conv2d(x, w, b, stride=2, padding=1)` |
# | `n.conv1 = conv(n.data, 16, 3, pad=1)` | `nn.Conv2d(3, 16, 3, padding=1)` |
# | w (K, C, kh, kw) | `weight`, (out_channels, in_channels, kh, kw) |
# | choose pad so that the size stays the same | the same, or `padding='same'` with stride 1 |
#
# The numbers and the shapes are the same.
#
# In mathematics a convolution flips the kernel first; what nets compute is called
# **cross-correlation** there. NumPy has a function for each. For a kernel that is learned it makes
# no difference, and the field says convolution; the flipped kernel returns in lesson 08.

# %%
line = np.array([1, 2, 4, 8])
kernel = np.array([-1, 0, 1])
print('cross-correlation', np.correlate(line, kernel, 'valid'),
      '   convolution', np.convolve(line, kernel, 'valid'))

# %% tags=["hide-input"]
# check: ours is the cross-correlation
assert np.correlate(line, kernel, 'valid').tolist() == [3, 6]
assert np.convolve(line, kernel[::-1], 'valid').tolist() == [3, 6]
ours, _ = ops.conv2d(line.reshape(1, 1, 1, 4) * 1., kernel.reshape(1, 1, 1, 3) * 1.)
assert ours.ravel().tolist() == [3, 6]

# %% [markdown]
# ## Three questions
#
# 1. An image of 8×8, a window of 3, stride 2, no padding. How large is the output? Which pixels are
#    in no window?
#
# <details><summary>Answer</summary>
#
# ⌊(8 − 3) / 2⌋ + 1 = 3 along each axis: the windows start at 0, 2 and 4, and the last one ends at
# pixel 6. The last row and the last column are in no window.
#
# </details>
#
# 2. Two convolutions of 3×3, one after the other: how many pixels does one number of the second
#    depend on? How many weights do they have, compared with a single kernel that covers as much?
#
# <details><summary>Answer</summary>
#
# On 5×5, its receptive field: it reads three cells of the first along each axis, and the outer two
# reach one pixel further. 9 + 9 = 18 weights (with one channel), where a 5×5 kernel has 25. That is
# why VGG, the net that the paper builds on, is made of 3×3 alone.
#
# </details>
#
# 3. The same kernel is used at every position. What would be lost if each position had its own?
#
# <details><summary>Answer</summary>
#
# What was learned at one position would not apply at another, there would be thousands of times as
# many weights, and the net would accept images of one size only.
#
# </details>
#
# **Next, 03:** all windows at once. How a convolution becomes one matrix product.
