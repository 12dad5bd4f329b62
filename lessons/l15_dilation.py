# %% [markdown]
# # 15. Holes
#
# **How does a net see far without forgetting where?**
#
# FCN halves its maps five times, so that a window of 3×3 comes to see a good part of the picture;
# then it needs tents and skips to find its way back (lessons 08 and 11). DeepLab does not go so far
# away. It stops halving at stride 8, and spreads the taps of its windows instead.

# %%
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

plt.rcParams['figure.dpi'] = 60

# %% [markdown]
# ## By hand: what a stride throws away
#
# A row of twelve numbers, and a kernel of three that somebody has trained on rows of which every
# other number is kept, as a stride of 2 keeps them.

# %%
row = np.array([3., 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8])
w = np.array([1., 0, -1])


def convolved(x, dilation=1):
    """y = x convolved with w, along a row."""
    y, _ = ops.conv2d(x.reshape(1, 1, 1, -1), w.reshape(1, 1, 1, 3), dilation=(1, dilation))
    return y.ravel()


coarse = convolved(row[::2])
print('kept       ', row[::2], '->', coarse)
print('thrown away', row[1::2])

# %% [markdown]
# How can we have an answer at all twelve places, with the same w and nothing learned anew? Keep the
# row as it is. Then the numbers that w met side by side lie two apart, so let the taps of w lie two
# apart as well:

# %%
dense = convolved(row, dilation=2)
print(dense)
assert (dense[::2] == coarse).all()                     # what the stride kept
assert (dense[1::2] == convolved(row[1::2])).all()      # and what it threw away
assert dense[0] == 3 * 1 + 4 * 0 + 5 * -1

# %% [markdown]
# Every other answer is the old one, and between them stand the answers about what had been thrown
# away. This is a convolution **with holes**, *à trous* in French, from which English has made
# *atrous*; it is also called dilated. How far the taps lie apart is its **dilation**: 1 is an
# ordinary convolution, 2 has a hole of one pixel between two taps.
#
# In two dimensions (step through it): nine taps, nine products, but five rows and five columns.

# %%
numbers = np.random.default_rng(0).integers(0, 5, (7, 7))
tracing.convolution(numbers, [[1, 0, -1], [2, 0, -2], [1, 0, -1]], dilation=2)

# %% [markdown]
# ### Exercise: dilate_kernel
#
# A convolution with holes is an ordinary one, whose kernel is larger and mostly zero. `w` is
# (K, C, kh, kw): put the zeros in.

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
# So why not do that? Because zeros are multiplied as slowly as other numbers: with dilation 12 a
# kernel of 9 taps would have 625. The op never meets the zeros. In im2col (lesson 03) tap i of a
# window begins at pixel i·dilation, and that is all there is to it:

# %%
viz.show_source(ops.im2col)

# %%
rng = np.random.default_rng(1)
image, filters = rng.standard_normal((1, 3, 9, 8)), rng.standard_normal((4, 3, 3, 3))
wide = np.zeros((4, 3, 7, 7))
wide[:, :, ::3, ::3] = filters
assert np.allclose(ops.conv2d(image, filters, pad=3, dilation=3)[0],
                   ops.conv2d(image, wide, pad=3)[0], atol=1e-12)       # sums in another order

# %% [markdown]
# ## The field grows, the stride does not
#
# In the three sums of lesson 09 a window reached over ksize − 1 of the units below. Now it reaches
# over dilation·(ksize − 1). The rest stays:

# %%
viz.show_source(Alignment.window)

# %%
def stacked(dilations):
    """Three convolutions of 3×3, one on the other, padded to keep the size."""
    n = tinyfcn.Net(channels=1, dtype='float64')
    x = n.data
    for i, hole in enumerate(dilations, start=1):
        x = n[f'conv{i}'] = conv(x, 1, 3, pad=hole, dilation=hole, bias=False)
    return n


for dilations in (1, 1, 1), (2, 2, 2), (1, 2, 4):
    n = stacked(dilations)
    place = n.conv3.alignment
    print(f'taps {dilations} apart: {sum(w.size for w in n.params.values())} weights, '
          f'stride {place.scale[0]}, sees {place.field[0]}×{place.field[1]}')
assert [stacked(d).conv3.alignment.field[0] for d in [(1, 1, 1), (2, 2, 2), (1, 2, 4)]] == [7, 13, 15]

# %% [markdown]
# With 1, 2, 4, 8, … the field about doubles with each layer, as with poolings. But a unit still
# stands over every pixel.
#
# ## Every weight where it learned
#
# Take a net that somebody has trained, with strides. To let it answer more densely, leave strides
# out; then all windows above them need holes, or they look at a scene of half the size. Here is a
# little net made by hand. It takes means of 4×4 pixels, every 4 pixels, and lays a window of 7×7
# over them which finds bright discs: one inside a circle, and less outside of it.

# %%
i, j = np.indices((7, 7)) - 3
disc = np.where(np.hypot(i, j) < 2.8, 1., 0)
disc = (disc - disc.mean())[None, None]

y, x = np.indices((96, 128))
scene = np.random.default_rng(0).normal(0, .04, (96, 128))
for top, left, radius in [(30, 34, 11), (62, 96, 11), (24, 90, 2.8), (72, 30, 2.8), (80, 58, 2.8)]:
    scene += np.hypot(y - top, x - left) < radius
scene = scene[None, None]


def found(stride, dilation):
    means, _ = ops.avg_pool(scene, 4, stride=stride, ceil=False)
    return ops.conv2d(means, disc, pad=3 * dilation, dilation=dilation)[0][0, 0]


shown = {'stride 4': found(4, 1), 'stride 1, taps 4 apart': found(1, 4),
         'stride 1, no holes': found(1, 1)}
assert np.allclose(shown['stride 1, taps 4 apart'][::4, ::4], shown['stride 4'], atol=1e-12)

fig, axes = plt.subplots(1, 4, figsize=(8, 1.8))
axes[0].imshow(scene[0, 0], cmap='gray')
axes[0].set_title('a scene', fontsize=10)
for ax, (title, scores) in zip(axes[1:], shown.items()):
    ax.imshow(scores, cmap='inferno')
    ax.set_title(title, fontsize=10)
for ax in axes:
    ax.axis('off')
plt.show()

# %% [markdown]
# The 49 weights are the same in all three. At stride 4 they find the two large discs, to the cell.
# At stride 1 and with their taps 4 apart they find them to the pixel, and every fourth score is
# the old one. Without holes they look for discs a quarter as large: they find the three specks, and
# the rims of the large discs. That is not what they were taught.
#
# **Change this and run again.** Add `'taps 2 apart': found(2, 2)` to `shown` (and a fifth of the
# `subplots`). Before you look: which discs are found, and how large is the map? (The large ones,
# for 2·2 is 4; about 47×63.)
#
# ### Exercise: stride_to_dilation
#
# `strides` are those of the layers of a trained net, from the image upwards. Let its stride grow to
# `output_stride` and no further: where a layer would lead beyond that, its stride becomes 1, and
# the windows of all layers *after* it need holes. Give the strides that are left and the dilations,
# as two arrays. By hand, with `output_stride` = 2: the strides 2, 2, 1 become 2, 1, 1, and the
# dilations are 1, 1, 2.

# %%
def stride_to_dilation_mine(strides, output_stride):
    raise NotImplementedError


check('stride_to_dilation', stride_to_dilation_mine)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def stride_to_dilation_mine(strides, output_stride):
#     step, hole, kept, holes = 1, 1, [], []
#     for s in strides:
#         holes.append(hole)
#         if step * s > output_stride:
#             hole, s = hole * s, 1
#         step *= s
#         kept.append(s)
#     return np.array(kept), np.array(holes)
# ```
#
# </details>
#
# ## DeepLab
#
# This is what DeepLab does to VGG-16, whose strides are those of its five poolings. At most 8: so
# `pool4` and `pool5` do not stride, conv5 needs taps 2 apart, and fc6 taps 4 apart.

# %%
viz.show_source(deeplab.atrous_vgg16)

# %%
largefov = tinyfcn.build('deeplab_largefov', seed=None)
for name in 'pool3', 'conv4_1', 'pool4', 'conv5_1', 'pool5', 'fc6_12':
    box = largefov[name]
    print(f'{name:8} stride {box.kwargs["stride"]}, dilation {box.kwargs.get("dilation", 1)}, '
          f'sees {box.alignment.field[0]} pixels, every {box.alignment.scale[0]}')
assert largefov.score8.alignment.scale[0] == 8

# %% [markdown]
# Two things differ from the rule. The poolings have got no holes, so the scores are not exactly the
# old ones. And fc6 is not VGG's 7×7 with taps 4 apart: it is a 3×3 with taps **12** apart and with
# a quarter of the filters. Why? Count:

# %%
def cost(net, size):
    """Multiplications for one picture, in thousand millions."""
    sizes = net.sizes(size)
    return sum(multiply_adds(net, box, sizes) for box in net.boxes.values()) / 1e9


fcn32s, size = tinyfcn.build('fcn32s', seed=None), (321, 321)
fc6 = fcn32s.params['fc6.w'].size
for name, net, box in ('FCN-32s', fcn32s, 'fc6'), ('LargeFOV', largefov, 'fc6_12'):
    down, across = net.sizes(size)[box]
    print(f'{name:8} {sum(w.size for w in net.params.values()):11,} weights; the whole net costs '
          f'{cost(net, size):.1f}\n{"":9}{down}×{across} places for fc6: a 7×7 with 4096 filters '
          f'costs {fc6 * down * across / 1e9:.1f} there')

# %% [markdown]
# That is the price of density: at stride 8 a layer runs at sixteen times as many places as at
# stride 32 (not quite, for FCN-32s pads by 100). So the widest layer had to become narrow.
#
# ## Gridding: who is not seen
#
# Three windows with taps 2 apart see 13 pixels. Do they? Walk back from one unit with a gradient of
# 1 (lesson 05) and all taps at 1: the gradient of a pixel counts the ways by which it reaches the
# unit. What no way reaches is empty.

# %%
tracing.paths([2, 2, 2])

# %% [markdown]
# Six of the 13 have no say. Even pixels speak to even units, odd ones to odd units, and never does
# one kind hear of the other: there are two nets here, four in two dimensions, that lie in each
# other like the colours of a chessboard, each with its own idea of the picture. This is called
# **gridding**. Dilations that have no common factor leave no pixel out:

# %%
tracing.paths([1, 2, 4])

# %% [markdown]
# In two dimensions, and of gridding's four nets one by itself: noise is put on every pixel but
# those in an even row and an even column, and the scores at such places do not move by one bit.

# %%
fig, axes = plt.subplots(1, 3, figsize=(7.5, 2.6))
for ax, dilations in zip(axes, [(1, 1, 1), (2, 2, 2), (1, 2, 4)]):
    n = stacked(dilations)
    for w in n.params.values():
        w[...] = 1
    y = n.forward(np.zeros((1, 1, 17, 17)), keep=True)
    dy = np.zeros_like(y)
    dy[0, 0, 8, 8] = 1
    n.backward(conv3=dy)
    n_ways = n.grads['data'][0, 0]
    ax.imshow(np.where(n_ways > 0, n_ways, np.nan), cmap='Oranges', vmin=0)
    ax.set_facecolor('#dde3ea')
    ax.set(xticks=[], yticks=[])
    ax.set_title(f'{dilations}: {(n_ways > 0).sum()} pixels', fontsize=10)
plt.show()

n, rng = stacked((2, 2, 2)), np.random.default_rng(2)
quiet = rng.standard_normal((1, 1, 24, 24))
noisy = quiet + rng.standard_normal(quiet.shape)
noisy[..., ::2, ::2] = quiet[..., ::2, ::2]
a, b = n.forward(quiet), n.forward(noisy)
assert (a[..., ::2, ::2] == b[..., ::2, ::2]).all()
assert (a[..., 1::2, 1::2] != b[..., 1::2, 1::2]).all()

# %% [markdown]
# ## A pyramid of holes
#
# How far apart should the taps of fc6 be, when a bird may be small and a bus large? DeepLab's
# second version asks four at once and adds what they say: **atrous spatial pyramid pooling**, ASPP.

# %%
viz.show_source(deeplab.deeplab_aspp)

# %%
viz.show_source(deeplab.fov)

# %% [markdown]
# Here are the taps of the four over the map of a picture of 321×321, which has 41×41 places. Beside
# them, how many of their nine taps lie on the map and not in the padding: on the average over all
# places, counted by convolving ones with ones.

# %%
side = largefov.sizes(size)['score8'][0]
ones, nine = np.ones((1, 1, side, side)), np.ones((1, 1, 3, 3))
met = {}
for rate in deeplab.RATES:
    on_map, _ = ops.conv2d(ones, nine, pad=rate, dilation=rate)
    met[rate] = on_map.mean()
    print(f'taps {rate:2} apart: {met[rate]:.1f} of 9 on the map; in the middle '
          f'{on_map[0, 0, side // 2, side // 2]:.0f}')
assert side == 41 and sorted(met.values(), reverse=True) == [*met.values()]

fig, axes = plt.subplots(1, 4, figsize=(9, 2.3))
for ax, rate in zip(axes, deeplab.RATES):
    at = side // 2 + rate * np.array([-1, 0, 1])
    ax.add_patch(plt.Rectangle((-.5, -.5), side, side, color='#dde3ea'))
    ax.scatter(*np.meshgrid(at, at), c='#c05a20', s=18)
    ax.set(xlim=(-6, side + 5), ylim=(side + 5, -6), aspect='equal')
    ax.set_title(f'{rate} apart', fontsize=10)
    ax.axis('off')
plt.show()

# %% [markdown]
# With taps 24 apart even the unit in the middle has a single tap on the map: such a 3×3 has become
# a 1×1, dearly. DeepLab's third version therefore lays a mean over the whole map beside its rates,
# as PSPNet has (lesson 17).
#
# ResNet-101 is treated alike: of its four groups of layers the last two keep their stride and get
# holes of 2 and 4. The first window of a group already has its group's hole; by the rule of the
# exercise it would come one later.

# %%
resnet = tinyfcn.build('deeplab_resnet101', width=1 / 16, seed=None)
for name in 'layer2/1', 'layer3/0', 'layer3/1', 'layer4/0', 'layer4/1':
    box = resnet[f'{name}/conv2']
    print(f'{name}/conv2: dilation {box.kwargs["dilation"]}, stride so far {box.alignment.scale[0]}')
assert resnet['layer4/2'].alignment.scale[0] == 8

# %% [markdown]
# ## What PyTorch calls this
#
# - `nn.Conv2d(…, 3, padding=d, dilation=d)` keeps the size, as here.
# - `nn.MaxPool2d` and `nn.Unfold` know `dilation`, too; `nn.ConvTranspose2d` as well.
# - torchvision's ResNets take `replace_stride_with_dilation=[False, True, True]`: that is our
#   exercise, and what makes stride 8 of 32. `fcn_resnet50` and `deeplabv3_resnet50` are built on
#   it.
#
# ## Three questions
#
# 1. A 3×3 with taps 12 apart, at stride 8. By how much does it widen the field?
#
# <details><summary>Answer</summary>
#
# By 8·12·2 = 192 pixels. In `deeplab_largefov` the field of pool5, 227, becomes 419 if nothing else
# stood between; its average pooling of 3×3 adds another 16.
#
# </details>
#
# 2. Is a stride of 2 followed by a convolution the same as a convolution with taps 2 apart followed
#    by a stride of 2?
#
# <details><summary>Answer</summary>
#
# Yes, that is the equation at the beginning of this lesson. The second way computes four times as
# much and throws three quarters of it away.
#
# </details>
#
# 3. Why has nobody proposed to leave out *all* strides of VGG-16?
#
# <details><summary>Answer</summary>
#
# By lesson 10's counting every layer above would run at all pixels: conv5 at 256 times as many
# places as in VGG, with taps 16 apart. The memory goes first. And neighbouring pixels of conv5
# would say nearly the same, for their fields overlap in all but a pixel.
#
# </details>
#
# **Next:** scores at stride 8 and a tent of 15: the outlines are still soft. DeepLab hands them to
# another kind of model, in which the pixels talk to each other. That is lesson 16.
