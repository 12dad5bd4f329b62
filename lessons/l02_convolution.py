# %% [markdown]
# # 02. Convolution, one number at a time
#
# **How can nine numbers find every edge of a picture?**

# %%
import numpy as np

import tinyfcn
from tinyfcn import ops, viz
from tinyfcn.course import tracing
from tinyfcn.course.exercises import check

# %% [markdown]
# ## First see it work
#
# A small table of numbers, the **kernel**, is laid on a picture, moved pixel by pixel, and at each
# place gives one number. Two kernels, two answers:

# %%
image, _ = tinyfcn.data.load_dataset('shapes', split='test', size=(44, 58), difficulty=.05)[3]
grey = image.mean(2)

upright = np.array([[-1., 0, 1],
                    [-1., 0, 1],
                    [-1., 0, 1]])
level = upright.T


def filtered(picture, kernel):
    """What a kernel gives on a grey picture."""
    return ops.conv2d(picture[None, None], kernel[None, None])[0][0, 0]


viz.side_by_side({'picture': grey, 'upright edges': filtered(grey, upright),
                  'level edges': filtered(grey, level),
                  'both': np.hypot(filtered(grey, upright), filtered(grey, level))})

# %% [markdown]
# White is a step from dark to bright, black from bright to dark, grey is nothing. Nobody told the
# nine numbers where the shapes are. Let us look how they do it.
#
# ## One window, one number
#
# A picture of 5×5 with a bright corner. The kernel covers a **window** of 3×3 pixels. Multiply each
# pixel by the number that lies on it, and add up all nine:

# %%
x = np.array([[1., 1, 1, 5, 5],
              [1., 1, 1, 5, 5],
              [1., 1, 1, 5, 5],
              [1., 1, 1, 1, 1],
              [1., 1, 1, 1, 1]])

window = x[0:3, 1:4]                                    # the one that begins at row 0, column 1
print(window * upright)
print('sum', (window * upright).sum())

assert (window * upright).sum() == 12

# %% [markdown]
# The right column counts plus, the left one minus: 15 − 3. Where left and right are equally bright
# the sum is 0. So this kernel measures *how much brighter it is on the right*. It is all a
# convolution ever does: with i and j for the place of the window, and a and b counting in it,
#
#     y[i, j] = Σ w[a, b] · x[i + a, j + b]        over all a, b of the kernel
#
# Step through all nine places. The line under the grids is the sum that is being done.

# %%
tracing.convolution(x, upright)

# %%
y = filtered(x, upright)
print(y)

assert y.tolist() == [[0, 12, 12], [0, 8, 8], [0, 4, 4]]

# %% [markdown]
# The answers fade downwards, as fewer rows of the bright corner lie in the window.
#
# ## The border: padding
#
# From 5×5 came 3×3: a window of three has only three places among five pixels. With each
# convolution a picture would lose its border. **Padding** puts zeros around it; with `pad=1` and
# 3×3, the output is as large as the input. It has a price: at the border pixels are mixed with
# zeros that are not in the picture. Each number of this kernel is 1/9, so it takes the mean; in a
# corner, five of the nine are such zeros:

# %%
blur = np.full((3, 3), 1 / 9)
flat, _ = ops.conv2d(np.ones((1, 1, 4, 4)), blur[None, None], pad=1)
print(flat[0, 0].round(2))

assert np.isclose(flat[0, 0, 0, 0], 4 / 9) and np.isclose(flat[0, 0, 1, 1], 1)

# %% [markdown]
# ## Fewer places: stride
#
# With `stride=2` the window goes two pixels at a time. The output is about half as large, and each
# number stands for a place two pixels after the one before. Here are padding and stride together;
# in the last column the kernel finds an edge that is none, from bright to the zeros outside.

# %%
tracing.convolution(x, upright, stride=2, pad=1)

# %% [markdown]
# ## How large is the output?
#
# Take one axis: H pixels, a window of k, padding p on both sides, stride s. Window number i covers
# the pixels from s·i − p to s·i − p + k − 1. The last pixel there is, padding and all, is
# H + p − 1, and the window must not reach beyond it:
#
#     s·i − p + k − 1 ≤ H + p − 1        so        i ≤ (H + 2p − k) / s
#
# The first window is number 0. So there are
#
#     ⌊(H + 2p − k) / s⌋ + 1
#
# of them, where ⌊ ⌋ rounds down: a window that does not fit whole is left out.

# %%
for h, k, s, p in [(5, 3, 1, 0), (5, 3, 1, 1), (5, 3, 2, 1), (8, 3, 2, 0), (500, 3, 1, 100)]:
    places = [i for i in range(h + 2 * p) if s * i + k <= h + 2 * p]        # by counting
    out, _ = ops.conv2d(np.zeros((1, 1, h, h)), np.zeros((1, 1, k, k)), stride=s, pad=p)
    print(f'{h:3} pixels, window {k}, stride {s}, pad {p:3}: {out.shape[2]}')
    assert out.shape[2] == len(places) == (h + 2 * p - k) // s + 1

# %% [markdown]
# The last line is the first layer of the paper's net. Yes, it pads by 100 pixels; lesson 09 knows
# why, and what becomes of them.
#
# ## Colours: channels
#
# A colour picture has three **channels**. Then the kernel has three too, one for each, and the sum
# goes over all of them: still one number for each window. Here are two channels, and a kernel that
# looks for *bright in the first and dark in the second*:

# %%
two = np.array([[[3., 3, 0], [3, 3, 0], [0, 0, 0]],
                [[0., 2, 2], [0, 2, 2], [0, 0, 0]]])
wants = np.stack([np.ones((2, 2)), -np.ones((2, 2))])
tracing.convolution(two, wants)

# %% [markdown]
# A kernel may even be 1×1. Then it sees a single pixel and only mixes its channels. This one asks
# *how much more red than green and blue?*

# %%
rgb = image.transpose(2, 0, 1)[None].astype(float)  # (N, C, H, W): pictures, channels, rows, …
redder = np.array([1, -.5, -.5]).reshape(1, 3, 1, 1)
red, _ = ops.conv2d(rgb, redder)
viz.side_by_side({'picture': image, 'how much redder': red[0, 0]})

# %% [markdown]
# ## Many kernels, and a bias
#
# One kernel gives one channel. K kernels give K channels, which the next convolution reads as its
# input: so nets grow deep. At last, each kernel has one more number, its **bias** b, which is added
# to all that it gives: it decides how large a sum has to be to count as *found*. So we have
#
#     y[n, k, i, j] = b[k] + Σ w[k, c, a, b] · x[n, c, s·i − p + a, s·j − p + b]
#
# with four axes everywhere, of which the last two are places:
#
# | array | shape | |
# | --- | --- | --- |
# | x | (N, C, H, W) | N pictures, C channels |
# | w | (K, C, kh, kw) | K kernels, each with C channels; also called filters |
# | b | (K,) | one for each kernel |
# | y | (N, K, OH, OW) | each kernel has become a channel |

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
# Write it. Two loops over the places of the output are enough, or four or six; what counts is that
# each number is right. `stride` and `pad` are whole numbers, the same for rows and columns.

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
#     (n, c, h, wide), (k, _, kh, kw) = x.shape, w.shape
#     oh, ow = (h + 2 * pad - kh) // stride + 1, (wide + 2 * pad - kw) // stride + 1
#     x = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
#     y = np.empty((n, k, oh, ow))
#     for i in range(oh):
#         for j in range(ow):
#             window = x[:, :, stride * i:stride * i + kh, stride * j:stride * j + kw]
#             y[:, :, i, j] = window.reshape(n, -1) @ w.reshape(k, -1).T + b
#     return y
# ```
#
# Each window is laid out as one long row of C·kh·kw numbers, and so is each kernel: a sum of
# products is then a matrix product. Keep that thought.
#
# </details>

# %% [markdown]
# The library's own definition, which every net here runs:

# %%
viz.show_source(ops.conv2d)

# %% [markdown]
# There is no loop in it! All windows are laid out side by side by `im2col`, and one matrix product
# does the rest. That is lesson 03. (`groups` and `dilation` are for other nets; at 1 they do
# nothing.)
#
# It pays to be quick here. Each number of the output costs C·kh·kw multiplications, and the second
# layer of the paper's net, 64 kernels of 64 channels, has many numbers to give for a picture of
# 500×500:

# %%
products = 64 * 64 * 3 * 3 * 698 * 698                  # 500 + 2·100 − 2 = 698
print(f'{products:,} multiplications')
assert round(products / 1e9) == 18

# %% [markdown]
# ## Change this and run again
#
# Make kernels of your own. Expect: numbers that add up to 1 keep the brightness; numbers that add
# up to 0 leave only changes; a single 1 beside the centre shifts the picture. Try
# `[[0, 1, 0], [1, -4, 1], [0, 1, 0]]`, and try all of it on `image[:, :, 0]` instead of `grey`.

# %%
kernels = {
    'blur: sum 1': np.full((5, 5), 1 / 25),
    'sharpen: sum 1': np.array([[0., -1, 0], [-1, 5, -1], [0, -1, 0]]),
    'slope: sum 0': np.array([[-2., -1, 0], [-1, 0, 1], [0, 1, 2]]),
    'yours': np.array([[0., 0, 0], [0, 1, 0], [0, 0, 0]]),
}
assert (filtered(grey, kernels['yours']) == grey[1:-1, 1:-1]).all()     # as it stands: no change
viz.side_by_side({name: filtered(grey, kernel) for name, kernel in kernels.items()})

# %% [markdown]
# A net has no such list. Its kernels begin at random and are learned; but look into the first
# layer of one that has been trained well, and there are edges and colours again.
#
# ## What PyTorch calls this
#
# | here | PyTorch |
# | --- | --- |
# | `ops.conv2d(x, w, b, stride=2, pad=1)[0]` | `F.conv2d(x, w, b, stride=2, padding=1)` |
# | `n.conv1 = conv(n.data, 16, 3, pad=1)` | `nn.Conv2d(3, 16, 3, padding=1)` |
# | w (K, C, kh, kw) | `weight`, (out_channels, in_channels, kh, kw) |
# | pad so that the size stays, by hand | the same, or `padding='same'` with stride 1 |
#
# The numbers and the shapes are the same.
#
# In mathematics a convolution turns the kernel around first; what nets do is there called
# **cross-correlation**. NumPy keeps the two apart. For a kernel that is learned it makes no
# difference, and everybody says convolution; lesson 07 meets the turned kernel again.

# %%
line, kernel = np.array([1, 2, 4, 8]), np.array([-1, 0, 1])
print('cross-correlation', np.correlate(line, kernel, 'valid'),
      '   convolution', np.convolve(line, kernel, 'valid'))

assert np.correlate(line, kernel, 'valid').tolist() == [3, 6]
assert np.convolve(line, kernel[::-1], 'valid').tolist() == [3, 6]
ours, _ = ops.conv2d(line.reshape(1, 1, 1, 4) * 1., kernel.reshape(1, 1, 1, 3) * 1.)
assert ours.ravel().tolist() == [3, 6]

# %% [markdown]
# ## Three questions
#
# 1. A picture of 8×8, a window of 3, stride 2, no padding. How large is the output? Which pixels
#    does no window ever see?
#
# <details><summary>Answer</summary>
#
# ⌊(8 − 3) / 2⌋ + 1 = 3 each way: the windows begin at 0, 2 and 4, and the last one ends at pixel 6.
# The last row and the last column are never seen.
#
# </details>
#
# 2. Two convolutions of 3×3, one after the other: how many pixels does one number of the second
#    depend on? How many weights is that, beside a single kernel which sees as much?
#
# <details><summary>Answer</summary>
#
# On 5×5: three cells of the first, the outer two of which see one pixel further. 9 + 9 = 18 weights
# (with one channel), where a 5×5 kernel has 25. That is why VGG, the net that the paper builds on,
# is made of 3×3 alone.
#
# </details>
#
# 3. The same kernel is used at every place. What would be lost if each place had its own?
#
# <details><summary>Answer</summary>
#
# What was learned in one place would not be known in another, there would be thousands of times as
# many weights, and the net would fit pictures of one size only.
#
# </details>
#
# **Next, 03:** all windows at once. How a convolution becomes one matrix product.
