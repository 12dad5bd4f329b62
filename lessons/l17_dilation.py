# %% [markdown]
# # 17. Dilation
#
# **How can a net have a large receptive field without losing resolution?**
#
# *About 65 minutes, with its exercises.*
#
# FCN halves its maps five times, so that a window of 3×3 covers a large part of the image; then it
# needs bilinear upsampling and skips to recover the resolution (lessons 09 and 12). DeepLab stops
# halving at stride 8, and increases the distance between the taps of its windows instead: it uses
# **dilated** convolutions, which leave holes between their taps and are therefore also called
# **atrous** (from French *à trous*, with holes).

# %% tags=["hide-input"]
import matplotlib.pyplot as plt
import numpy as np

import tinyfcn
from tinyfcn import ops, viz
from tinyfcn.course import tracing
from tinyfcn.layers import conv
from tinyfcn.course.exercises import check
from tinyfcn.models import deeplab
from tinyfcn.net.alignment import Alignment
from tinyfcn.net.summary import multiply_adds

plt.rcParams['figure.dpi'] = 100

# %% [markdown]
# ## By hand: what a stride discards
#
# Take a row of twelve numbers, and a kernel of three that was trained on rows with every second
# number left out, as by a stride of 2.

# %%
row = np.array([3., 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8])
w = np.array([1., 0, -1])


def convolve_row(x, dilation=1):
    """The convolution of a row x with w."""
    y, _ = ops.conv2d(x.reshape(1, 1, 1, -1), w.reshape(1, 1, 1, 3), dilation=(1, dilation))
    return y.ravel()


coarse = convolve_row(row[::2])
print('kept     ', row[::2], '->', coarse)
print('discarded', row[1::2])

# %% [markdown]
# How can we get outputs for all positions, with the same w and no new training? Keep the whole row.
# Then numbers that were neighbours under w are two apart, so put the taps of w two apart as well:

# %%
dense = convolve_row(row, dilation=2)
print('dense         ', dense)
print('every second  ', dense[::2], '   from the numbers kept')
print('and the others', dense[1::2], '   from those discarded')

# %% tags=["hide-input"]
assert (dense[::2] == coarse).all()                     # from the numbers that the stride kept
assert (dense[1::2] == convolve_row(row[1::2])).all()      # and from those it discarded
assert dense[0] == 3 * 1 + 4 * 0 + 5 * -1

# %% [markdown]
# Every second output is an old one, and between them are the outputs for the numbers that were
# discarded. This is a dilated convolution. The distance between neighbouring taps is its
# **dilation**: 1 is an ordinary convolution, 2 leaves out one pixel between two taps.
#
# In two dimensions (step through it): nine taps, nine products, but five rows and five columns.

# %%
numbers = np.random.default_rng(0).integers(0, 5, (7, 7))
tracing.convolution(numbers, [[1, 0, -1], [2, 0, -2], [1, 0, -1]], dilation=2)

# %% [markdown]
# ### Exercise: dilate_kernel
#
# A dilated convolution equals an ordinary one whose kernel is larger and mostly zero. `w` is (K, C,
# kh, kw): insert the zeros.

# %%
def dilate_kernel_mine(w, dilation):
    raise NotImplementedError


check('dilate_kernel', dilate_kernel_mine)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def dilate_kernel_mine(w, dilation):
#     k, c, kh, kw = w.shape
#     wide = np.zeros((k, c, (kh - 1) * dilation + 1, (kw - 1) * dilation + 1))
#     wide[:, :, ::dilation, ::dilation] = w
#     return wide
# ```
#
# </details>
#
# So why not do that? Because multiplying by zero takes as long as by any other number: with
# dilation 12 a kernel of 9 taps would have 625. The op never touches the zeros. In im2col
# (lesson 03) tap i of a window starts at pixel i·dilation, and that is the only difference:

# %%
viz.show_source(ops.im2col)

# %% tags=["hide-input"]
# check: the same as a kernel with zeros between its taps
rng = np.random.default_rng(1)
image = rng.standard_normal((1, 3, 9, 8))
kernels = rng.standard_normal((4, 3, 3, 3))
wide = np.zeros((4, 3, 7, 7))
wide[:, :, ::3, ::3] = kernels
assert np.allclose(ops.conv2d(image, kernels, pad=3, dilation=3)[0],
                   ops.conv2d(image, wide, pad=3)[0], atol=1e-12)       # sums in another order

# %% [markdown]
# ## The receptive field grows, the stride does not
#
# In the three sums of lesson 10 a window extends over ksize − 1 steps of the map below. Now it
# extends over dilation·(ksize − 1). The rest is unchanged:

# %%
viz.show_source(Alignment.window)

# %%
def stacked(dilations):
    """Three 3×3 convolutions, one after the other, padded to keep the size."""
    n = tinyfcn.Net(channels=1, dtype='float64')
    x = n.data
    for i, dilation in enumerate(dilations, start=1):
        x = n[f'conv{i}'] = conv(x, 1, 3, pad=dilation, dilation=dilation, bias=False)
    return n


for dilations in (1, 1, 1), (2, 2, 2), (1, 2, 4):
    n = stacked(dilations)
    alignment = n.conv3.alignment
    print(f'dilations {dilations}: {sum(w.size for w in n.params.values())} weights, '
          f'stride {alignment.scale[0]}, receptive field {alignment.field[0]}')

# %% tags=["hide-input"]
# check
fields = [stacked(d).conv3.alignment.field[0] for d in [(1, 1, 1), (2, 2, 2), (1, 2, 4)]]
assert fields == [7, 13, 15]

# %% [markdown]
# With 1, 2, 4, 8, … the receptive field about doubles with each layer, as with pooling. But there
# is still a unit for every pixel.
#
# ## From strides to dilation, with the same weights
#
# Take a net that was trained with strides. To get denser outputs, remove strides; then the kernels
# of all later layers must be dilated, or they cover only half the extent for which they were
# trained. Here is a small net made by hand. It computes means of 4×4 pixels, every 4 pixels, and
# applies a 7×7 kernel that detects bright discs: positive inside a circle, and negative outside.

# %%
i, j = np.indices((7, 7)) - 3
disc = np.where(np.hypot(i, j) < 2.8, 1., 0)
disc = (disc - disc.mean())[None, None]

y, x = np.indices((96, 128))
scene = np.random.default_rng(0).normal(0, .04, (96, 128))
for top, left, radius in [(30, 34, 11), (62, 96, 11), (24, 90, 2.8), (72, 30, 2.8), (80, 58, 2.8)]:
    scene += np.hypot(y - top, x - left) < radius
scene = scene[None, None]


def detect(stride, dilation):
    means, _ = ops.avg_pool(scene, 4, stride=stride, ceil=False)
    return ops.conv2d(means, disc, pad=3 * dilation, dilation=dilation)[0][0, 0]


shown = {'stride 4': detect(4, 1), 'stride 1, dilation 4': detect(1, 4),
         'stride 1, dilation 1': detect(1, 1)}

# %% tags=["hide-input"]
assert np.allclose(shown['stride 1, dilation 4'][::4, ::4], shown['stride 4'], atol=1e-12)
viz.side_by_side({'image': viz.heat(scene[0, 0]),
                  **{name: viz.heat(scores) for name, scores in shown.items()}}, width=2.1)

# %% [markdown]
# The 49 weights are the same in all three. At stride 4 they locate the two large discs to the cell.
# At stride 1 with dilation 4 they locate them to the pixel, and every fourth score is the old one.
# Without dilation they respond to discs a quarter as large: they find the three small spots, and
# the edges of the large discs. That is not what they were designed for.
#
# **Change this and run again.** Stride 2 with dilation 2. Predict first: which discs are found, and
# how large is the map? (The large ones, because 2·2 is 4; about 47×63.)

# %%
my_stride, my_dilation = 4, 1                           # try: (2, 2), (2, 1), (8, 1), (1, 8)

found = detect(my_stride, my_dilation)
viz.side_by_side({f'{found.shape[0]}×{found.shape[1]}': viz.heat(found)}, width=2.2)

# %% [markdown]
# ### Exercise: stride_to_dilation
#
# `strides` are those of the layers of a trained net, from the image upwards. Let the total stride
# grow to `output_stride` and no further: if a layer would exceed it, its stride becomes 1, and the
# windows of all layers *after* it are dilated by the stride that was removed. Return the remaining
# strides and the dilations, as two arrays. By hand, with `output_stride` = 2: the strides 2, 2, 1
# become 2, 1, 1, and the dilations are 1, 1, 2.

# %%
def stride_to_dilation_mine(strides, output_stride):
    raise NotImplementedError


check('stride_to_dilation', stride_to_dilation_mine)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def stride_to_dilation_mine(strides, output_stride):
#     step = 1
#     dilation = 1
#     new_strides = []
#     dilations = []
#     for s in strides:
#         dilations.append(dilation)
#         if step * s > output_stride:
#             dilation *= s
#             s = 1
#         step *= s
#         new_strides.append(s)
#     return np.array(new_strides), np.array(dilations)
# ```
#
# </details>
#
# ## DeepLab
#
# This is what DeepLab does to VGG-16, whose strides are those of its five poolings. The output
# stride is 8: so `pool4` and `pool5` have stride 1, conv5 has dilation 2, and fc6 would need
# dilation 4.

# %%
viz.show_source(deeplab.dilated_vgg16)

# %%
largefov = tinyfcn.build('deeplab_largefov', seed=None)
for name in 'pool3', 'conv4_1', 'pool4', 'conv5_1', 'pool5', 'fc6_12':
    box = largefov[name]
    print(f'{name:8} stride {box.kwargs["stride"]}, dilation {box.kwargs.get("dilation", 1)}, '
          f'receptive field {box.alignment.field[0]}, total stride {box.alignment.scale[0]}')

# %% tags=["hide-input"]
assert largefov.score8.alignment.scale[0] == 8

# %% [markdown]
# Two things differ from the rule. The poolings are not dilated, so the scores are not exactly the
# old ones. And fc6 is not VGG's 7×7 with dilation 4: it is a 3×3 with dilation **12** and a quarter
# of the kernels. Why? Count the multiplications:

# %%
def cost(net, size):
    """Multiplications for one image, in billions."""
    sizes = net.sizes(size)
    return sum(multiply_adds(net, box, sizes) for box in net.boxes.values()) / 1e9


fcn32s = tinyfcn.build('fcn32s', seed=None)
size = (321, 321)
fc6 = fcn32s.params['fc6.w'].size
for name, net, box in ('FCN-32s', fcn32s, 'fc6'), ('LargeFOV', largefov, 'fc6_12'):
    h, w = net.sizes(size)[box]
    n_weights = sum(values.size for values in net.params.values())
    print(f'{name}: {n_weights:,} weights; the whole net costs {cost(net, size):.1f} billion')
    print(f'    fc6 has {h}×{w} positions: as a 7×7 with 4096 kernels it would cost '
          f'{fc6 * h * w / 1e9:.1f} billion')

# %% [markdown]
# That is the price of dense outputs: at stride 8 a layer has sixteen times as many positions as at
# stride 32 (not quite, because FCN-32s pads by 100). So the widest layer had to be made narrower.
#
# ## Gridding: pixels that have no influence
#
# The receptive field of three windows with dilation 2 is 13 pixels. But do all 13 have influence?
# Run the backward pass from one unit with a gradient of 1 (lesson 06) and all taps set to 1: the
# gradient of a pixel is the number of paths from it to the unit. Pixels without a path are empty.

# %%
tracing.paths([2, 2, 2])

# %% [markdown]
# Six of the 13 have no influence. Even units depend only on even pixels, odd units only on odd
# ones: these are two independent nets, four in two dimensions, interleaved like the squares of a
# chessboard, and neighbouring scores need not be consistent. This is called **gridding**. With
# dilations that have no common factor no pixel is left out:

# %%
tracing.paths([1, 2, 4])

# %% [markdown]
# Here is the same in two dimensions. And one of the four independent nets by itself: noise is added
# to every pixel except those in an even row and an even column, and the scores at these positions
# do not change by one bit.

# %% tags=["hide-input"]
# draw the number of paths from each pixel
fig, axes = plt.subplots(1, 3, figsize=(7.5, 2.6))
for ax, dilations in zip(axes, [(1, 1, 1), (2, 2, 2), (1, 2, 4)]):
    n = stacked(dilations)
    for w in n.params.values():
        w[...] = 1
    y = n.forward(np.zeros((1, 1, 17, 17)), keep=True)
    dy = np.zeros_like(y)
    dy[0, 0, 8, 8] = 1
    n.backward(conv3=dy)
    n_paths = n.grads['data'][0, 0]
    ax.imshow(np.where(n_paths > 0, n_paths, np.nan), cmap='Oranges', vmin=0)
    ax.set_facecolor('#dde3ea')
    ax.set(xticks=[], yticks=[])
    ax.set_title(f'{dilations}: {(n_paths > 0).sum()} pixels', fontsize=10)
plt.show()

n = stacked((2, 2, 2))
rng = np.random.default_rng(2)
clean = rng.standard_normal((1, 1, 24, 24))
noisy = clean + rng.standard_normal(clean.shape)
noisy[..., ::2, ::2] = clean[..., ::2, ::2]
clean_score = n.forward(clean)
noisy_score = n.forward(noisy)
assert (clean_score[..., ::2, ::2] == noisy_score[..., ::2, ::2]).all()
assert (clean_score[..., 1::2, 1::2] != noisy_score[..., 1::2, 1::2]).all()

# %% [markdown]
# ## Atrous spatial pyramid pooling
#
# Which dilation should fc6 have, when a bird may be small and a bus large? DeepLab's second version
# uses four dilations in parallel and adds the four scores: **atrous spatial pyramid pooling**,
# ASPP. (`n.branch('_6')` adds `_6` to the names of all boxes that are made in it.)

# %%
viz.show_source(deeplab.deeplab_aspp)

# %%
viz.show_source(deeplab.dilated_fc6_fc7)

# %% [markdown]
# Here are the taps of the four on the map of an image of 321×321, which has 41×41 positions. The
# printed numbers say how many of the nine taps lie on the map and not on the padding: on average
# over all positions, counted by convolving ones with ones.

# %%
side = largefov.sizes(size)['score8'][0]
ones = np.ones((1, 1, side, side))
kernel = np.ones((1, 1, 3, 3))
mean_taps = {}
for rate in deeplab.RATES:
    on_map, _ = ops.conv2d(ones, kernel, pad=rate, dilation=rate)
    mean_taps[rate] = on_map.mean()
    print(f'dilation {rate:2}: {mean_taps[rate]:.1f} of 9 taps on the map; in the middle '
          f'{on_map[0, 0, side // 2, side // 2]:.0f}')

# %% tags=["hide-input"]
assert side == 41 and sorted(mean_taps.values(), reverse=True) == [*mean_taps.values()]

fig, axes = plt.subplots(1, 4, figsize=(9, 2.3))
for ax, rate in zip(axes, deeplab.RATES):
    at = side // 2 + rate * np.array([-1, 0, 1])
    ax.add_patch(plt.Rectangle((-.5, -.5), side, side, color='#dde3ea'))
    ax.scatter(*np.meshgrid(at, at), c='#c05a20', s=18)
    ax.set(xlim=(-6, side + 5), ylim=(side + 5, -6), aspect='equal')
    ax.set_title(f'dilation {rate}', fontsize=10)
    ax.axis('off')
plt.show()

# %% [markdown]
# With dilation 24 even the unit in the middle has a single tap on the map: such a 3×3 is an
# expensive 1×1. DeepLab's third version therefore adds a mean over the whole map to its rates, as
# PSPNet has (lesson 19).
#
# ResNet-101 is treated in the same way: the last two of its four groups of layers have no stride
# and dilations of 2 and 4. The first window of a group already has the dilation of its group; by
# the rule of the exercise it would start one layer later.

# %%
resnet = tinyfcn.build('deeplab_resnet101', width=1 / 16, seed=None)
for name in 'layer2/1', 'layer3/0', 'layer3/1', 'layer4/0', 'layer4/1':
    box = resnet[f'{name}/conv2']
    print(f'{name}/conv2: dilation {box.kwargs["dilation"]}, total stride {box.alignment.scale[0]}')

# %% tags=["hide-input"]
assert resnet['layer4/2'].alignment.scale[0] == 8

# %% [markdown]
# ## What PyTorch calls this
#
# - `nn.Conv2d(…, 3, padding=d, dilation=d)` keeps the size, as here.
# - `nn.MaxPool2d`, `nn.Unfold` and `nn.ConvTranspose2d` have `dilation`, too.
# - torchvision's ResNets take `replace_stride_with_dilation=[False, True, True]`: that is our
#   exercise, and turns stride 32 into 8. `fcn_resnet50` and `deeplabv3_resnet50` are built on it.
#
# ## Three questions
#
# 1. A 3×3 with dilation 12, at stride 8. By how much does it increase the receptive field?
#
# <details><summary>Answer</summary>
#
# By 8·12·2 = 192 pixels. In `deeplab_largefov` the receptive field of pool5, 227, would become 419;
# the average pooling of 3×3 in between adds another 16.
#
# </details>
#
# 2. Is a stride of 2 followed by a convolution the same as a convolution with dilation 2 followed
#    by a stride of 2?
#
# <details><summary>Answer</summary>
#
# Yes, that is the equation at the beginning of this lesson. The second computes four times as much
# and discards three quarters of it.
#
# </details>
#
# 3. Why not remove *all* strides of VGG-16?
#
# <details><summary>Answer</summary>
#
# Counting as in lesson 11, every layer would run at all pixels: conv5 at 256 times as many
# positions as in VGG, with dilation 16. Memory runs out first. And neighbouring pixels of conv5
# would have nearly the same values, because their receptive fields differ by only one pixel.
#
# </details>
#
# **Next:** scores at stride 8, upsampled bilinearly: the outlines are still blurred. DeepLab
# refines them by another kind of model, a conditional random field, in which pixels exchange
# messages. That is lesson 18.
