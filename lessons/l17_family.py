# %% [markdown]
# # 17. The family
#
# **What parts DeconvNet, SegNet, U-Net, DeepLab and PSPNet from FCN?**
#
# Within two years FCN had cousins, and each has a paper of its own with a large figure in it. Seen
# from here they differ in few things: how far they go down, how they come up again, and what they
# lay beside what. You know nearly all the parts. This lesson puts the nets side by side.

# %%
import matplotlib.pyplot as plt
import numpy as np
from IPython.display import HTML

import tinyfcn
from tinyfcn import ops, viz
from tinyfcn.course import tracing
from tinyfcn.data import shapes
from tinyfcn.course.exercises import check
from tinyfcn.models import autoencoder, segnet, unet
from tinyfcn.models.deconvnet import pool_with_switches, unpool_block
from tinyfcn.models.pspnet import BINS, pyramid
from tinyfcn.net.summary import beside, multiply_adds

plt.rcParams['figure.dpi'] = 60

# %% [markdown]
# ## One table
#
# Nobody typed these rows: each is read off the net itself. `seed=None` leaves all weights at zero,
# for nothing runs.

# %%
names = ('fcn32s fcn8s cae_fcn deconvnet segnet unet deeplab_largefov deeplab_aspp '
         'deeplab_resnet101 pspnet').split()
family = {name: tinyfcn.build(name, seed=None) for name in names}
table = [line.split('|')[1:-1] for line in beside(family).splitlines()]
del table[1]                                            # Markdown's line under the head
HTML(f'<table>{"".join("<tr><td>" + "</td><td>".join(row) + "</td></tr>" for row in table)}</table>')

# %% [markdown]
# - **deep**: the most convolutions on any way from the image to a score;
# - **stride**: the largest on the way, how coarse the map becomes at its coarsest;
# - **sees**: the pixels that a score sees (lesson 09); "all" where something is a mean over the
#   whole picture;
# - **holes**: the dilations (lesson 15);
# - **joins by**, **comes up by**: how ways meet, and how maps become larger again. *Tents* are
# bilinear (lesson 08), *deconv* is a transposed convolution that learns (lesson 07), *switches* are
# unpooling (lesson 06).
#
# Read down the last two columns, and the family falls into three. One part goes back to where the
# pixels are, step by step: by switches alone (SegNet), with deconvolutions (DeconvNet), or with all
# that it has seen on the way down (U-Net). One part never goes far away: holes, and stride 8
# (DeepLab, PSPNet). FCN stands between, with sums of scores.
#
# ## What arrives
#
# Take a map, pool it three times by 2 and bring it back to its size in each of these ways, with no
# weights at all. What is there for the convolutions that follow to work with?

# %%
image, _ = shapes.generate(3, 9, (48, 64), n_class=5, difficulty=.2)
grey = image.mean(2)[None, None]
right, down = np.diff(grey, axis=3)[:, :, 1:], np.diff(grey, axis=2)[..., 1:]
outline = np.hypot(right, down)                         # 47×63: how fast it gets brighter

x, switches, before = outline, [], []
for _ in range(3):
    switches.append(ops.max_switches(x, 2)[0])
    before.append(x.shape[2:])
    x, _ = ops.take(x, switches[-1])
print('pooled three times:', outline.shape[2:], '->', x.shape[2:])

tents, _ = ops.crop(ops.upsample(x, 8)[0], outline.shape[2:], 4)        # half the stride: lesson 09
back = x
for switch, shape in zip(reversed(switches), reversed(before)):
    back, _ = ops.unpool(back, switch, shape)
both, _ = ops.concat(tents, outline)

fig, axes = plt.subplots(1, 4, figsize=(9, 1.9))
for ax, (title, shown) in zip(axes, {'an outline': outline, 'tents': tents, 'switches': back,
                                     'pooled, as it is': x}.items()):
    ax.imshow(shown[0, 0], cmap='gray', vmax=outline.max())
    ax.set_title(title, fontsize=10)
    ax.axis('off')
plt.show()

for name, came in ('tents', tents), ('switches', back):
    right = (came == outline)[came > 0].mean()
    print(f'{name:8} say something at {100 * (came > 0).mean():5.1f} % of the places, and there '
          f'{100 * right:5.1f} % is what had been')
print('U-Net lays the outline itself beside: channels', both.shape[1])
assert (back == outline)[back > 0].all() and (both[:, 1:] == outline).all()

# %% [markdown]
# Tents say something everywhere, and it is blurred. Switches say little, one number in 64, but each
# in its own place, to the pixel. U-Net keeps the fine map whole and lays it beside; that costs
# memory, and nothing has to be guessed.
#
# ## Switches: DeconvNet and SegNet
#
# Both pool with switches and unpool with them in mirrored order. These two functions hold it
# together, and SegNet is then a page of names:

# %%
viz.show_source(pool_with_switches)

# %%
viz.show_source(unpool_block)

# %%
viz.show_source(segnet.segnet)

# %% [markdown]
# DeconvNet goes further down, until no place is left: VGG-16's fc6 takes its 7×7 cells to a single
# one, and a deconvolution of 7×7 stamps them out again. That is what it pays for:

# %%
net = family['deconvnet']
sizes = net.sizes((224, 224))
for name in 'pool5', 'fc6', 'fc7', 'fc6-deconv', 'unpool5', 'score':
    own = net.params[f'{name}.w'].size if f'{name}.w' in net.params else 0
    print(f'{name:11} {sizes[name][0]:3}×{sizes[name][1]:<3} {own:>12,} weights')

total = {name: sum(w.size for w in family[name].params.values()) for name in names}
waist = net.params['fc6.w'].size + net.params['fc6-deconv.w'].size
print(f'{100 * waist / total["deconvnet"]:.0f} % of all its weights are in fc6 and fc6-deconv')
assert sizes['fc6'] == (1, 1) and total['deconvnet'] == 251_805_653

# %% [markdown]
# SegNet leaves this waist out and is about a ninth as large. Both were drawn for one size of
# picture. Here any will do, since unpooling is told the size (lesson 06): a map of 45 rows pools to
# 23 and comes back as 45.

# %%
odd = family['segnet'].sizes((360, 480))
print([odd[name][0] for name in ('pool3', 'pool4', 'pool5', 'pool5_D', 'pool4_D', 'pool3_D')])
assert odd['pool5_D'][0] == odd['pool4'][0] == 23

# %% [markdown]
# ## Crops: U-Net
#
# U-Net pads nothing. Each 3×3 convolution costs a row on every side, on the way down and on the way
# up, so that the score is smaller than the image: 388 rows of 572. What it lays beside is larger
# than what comes up, and has to be cropped.

# %%
viz.show_source(unet)

# %%
side = 572                                              # the experiment below changes this
net = family['unet']
sizes = net.sizes((side, side))
for level, skip in (4, 'drop4'), (3, 'relu3_2'), (2, 'relu2_2'), (1, 'relu1_2'):
    offset = net[f'crop{level}'].kwargs['offset'][0]
    comes, wanted = sizes[skip][0], sizes[f'upconv{level}'][0]
    print(f'level {level}: {skip:7} has {comes} rows, {wanted} come up; crop from row {offset}, '
          f'half of what is too much: {(comes - wanted) / 2:g}')
    assert side != 572 or offset == (comes - wanted) / 2
print(f'score: {sizes["score"][0]} rows, {net.score.alignment}')
assert side != 572 or sizes['score'] == (388, 388)
assert net.score.alignment.shift[0] == 92

# %% [markdown]
# 4, 16, 40, 88: by lesson 09's sums, as 5, 9 and 31 were. But here the offset is always *half of
# what is too much*, the middle. In lesson 11 the middle was a mistake, for poolings that round up
# make room at one end only. The published U-Net takes 572 rows because nothing has to be rounded
# then, and so both ends of a row are treated alike in all that it does.
#
# Score 0 stands over pixel 92. Who wants a score for all pixels shows U-Net a larger picture, its
# border mirrored, and takes large pictures tile by tile. Or pads (`unet_same`), as most do today.
#
# Step through the cells that are laid beside each other at the coarsest level:

# %%
tracing.fusion(net, (188, 188), 'drop4', 'crop4', 'upconv4')

# %% [markdown]
# ### Exercise: concat_skip
#
# `up` (N, C, h, w) has come up, `skip` (N, D, H, W) is larger by an even number of rows and of
# columns. Cut the middle out of `skip` and lay it behind `up`, along the channels.

# %%
def concat_skip_mine(up, skip):
    raise NotImplementedError


check('concat_skip', concat_skip_mine)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def concat_skip_mine(up, skip):
#     h, w = up.shape[2:]
#     top, left = (skip.shape[2] - h) // 2, (skip.shape[3] - w) // 2
#     return np.concatenate([up, skip[:, :, top:top + h, left:left + w]], 1)
# ```
#
# </details>
#
# **Change this and run again.** Two cells above, set `side = 188` and then `side = 180`. Before you
# look: does the first crop change? (No: between the two, level 4 loses 4 rows on either side,
# whatever the size. At 180 an odd number of rows is pooled and rounded up; half of what is too much
# is no whole number then, and the net's own offset, which knows the places, is right as ever.)
#
# ## A pyramid: PSPNet
#
# PSPNet stands where DeepLab stands, ResNet at stride 8, but does not look far by holes. It looks
# at *everything*, coarsely: the mean of the whole map, the means of its quarters, of 3×3 and of 6×6
# **bins**. Each grid goes through a 1×1, is made as large as the map, and is laid beside it. A
# boat-like thing is more likely to be a boat when the whole picture is full of water.

# %%
viz.show_source(pyramid)

# %%
scene = image.transpose(2, 0, 1)[None] / 255
fig, axes = plt.subplots(1, 5, figsize=(9, 1.7))
axes[0].imshow(image)
for ax, bins in zip(axes[1:], BINS):
    means, _ = ops.avg_pool_to(scene, bins)
    ax.imshow(means[0].transpose(1, 2, 0), extent=(0, 64, 48, 0))
    ax.set_title(f'{bins}×{bins} bins', fontsize=10)
for ax in axes:
    ax.axis('off')
plt.show()
whole, _ = ops.avg_pool_to(scene, 1)
assert np.allclose(whole[0, :, 0, 0], scene.mean((0, 2, 3)))

# %% [markdown]
# A pooling has a window and a stride, and the number of windows follows from the size of the map.
# Here the number is given and the windows follow: bin i of n goes from i·H/n, rounded *down*, to
# (i + 1)·H/n, rounded *up*. Where H is no multiple of n two bins share a row, and no row is left
# out. Step through five rows and three bins:

# %%
tracing.avg_pool_to(np.arange(25).reshape(5, 5) % 7, 3)

# %% [markdown]
# ### Exercise: pyramid_pool
#
# `x` is (N, C, H, W), `bins` how many there are along each axis. Give the means, (N, C, bins,
# bins).

# %%
def pyramid_pool_mine(x, bins):
    raise NotImplementedError


check('pyramid_pool', pyramid_pool_mine)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def pyramid_pool_mine(x, bins):
#     n, c, h, w = x.shape
#     y = np.empty((n, c, bins, bins))
#     for i in range(bins):
#         for j in range(bins):
#             rows = slice(i * h // bins, -(-(i + 1) * h // bins))
#             columns = slice(j * w // bins, -(-(j + 1) * w // bins))
#             y[:, :, i, j] = x[:, :, rows, columns].mean((2, 3))
#     return y
# ```
#
# </details>
#
# A mean over everything has no place over the image, so lesson 09's sums end here; the net says so
# instead of inventing one. The scores keep theirs all the same, because `resize(like=…)` brings the
# bins back onto the grid of the map:

# %%
net = family['pspnet']
print('ppm/pool1:', net['ppm/pool1'].alignment)
print('score8:   ', net.score8.alignment)
assert not net['ppm/pool1'].alignment and net.score8.alignment.scale[0] == 8

# %% [markdown]
# ## The autoencoder, which needs no labels
#
# The oldest way up is the one that learns from nothing but pictures: go down, come up by switches,
# and give the *picture itself* back. The loss is the difference. Whatever the waist has learned to
# keep can then begin another net, whose boxes bear the same names:

# %%
viz.show_source(autoencoder.cae)

# %%
cae, fcn = (tinyfcn.build(name, width=1 / 4) for name in ('cae', 'cae_fcn'))
report = tinyfcn.weights.transplant(fcn, {**cae.params, **cae.state})
print(len(report.copied), 'arrays copied')
print('still to be learned:', ', '.join(sorted({name.split('.')[0] for name in report.missing})))
assert (fcn.params['conv3.w'] == cae.params['conv3.w']).all()

# %% [markdown]
# So the family is held together by names: VGG-16's weights go into FCN, DeconvNet, SegNet and
# DeepLab, ResNet's into DeepLab and PSPNet, the autoencoder's into its FCN.
#
# ## Which one?
#
# Three questions decide more than the table. *Is there a trunk with trained weights?* If so, take a
# net that is built on it. *Are outlines everything, and pictures few and alike*, as under a
# microscope? U-Net. *Must it run on many pixels?* Count before you choose; here are the
# multiplications for 320×320, in thousand millions. (U-Net as published scores the middle 148×148
# of them.)

# %%
costs = {}
for name, net in family.items():
    sizes = net.sizes((320, 320))
    costs[name] = sum(multiply_adds(net, box, sizes) for box in net.route(train=False)) / 1e9
for name, billions in sorted(costs.items(), key=lambda pair: pair[1]):
    print(f'{name:18} {billions:7.1f}  {"▇" * round(billions / 8)}')

assert family['unet'].sizes((320, 320))['score'] == (148, 148)

# %% [markdown]
# ## What PyTorch calls this
#
# | here | PyTorch |
# | --- | --- |
# | `max_switches`, `take` | `F.max_pool2d(x, 2, return_indices=True)` |
# | `unpool(x, switches, like=y)` | `F.max_unpool2d(x, indices, 2, output_size=y.shape[2:])` |
# | `deconv(x, c, 2, stride=2)` | `nn.ConvTranspose2d(…, c, 2, stride=2)` |
# | `concat(up, skip)` | `torch.cat([up, skip], 1)` |
# | `avg_pool_to(x, bins)` | `F.adaptive_avg_pool2d(x, bins)` |
# | `resize(x, like=y, align_corners=True)` | `F.interpolate(x, y.shape[2:], mode='bilinear', align_corners=True)` |
#
# torchvision has `fcn_resnet50` and `deeplabv3_resnet50`. There are many copies of U-Net, and the
# one used most pads its convolutions, normalises, and enlarges what comes up to the skip's size.
#
# ## Three questions
#
# 1. U-Net's skip and what comes up are concatenated and convolved. FCN adds scores. Why does FCN
#    need no concatenation?
#
# <details><summary>Answer</summary>
#
# Lesson 11 has shown it: a 1×1 of two maps side by side is the sum of a 1×1 of each. FCN's score
# layers are such 1×1s, so its sum *is* a concatenation, followed by a single linear layer. U-Net
# has two 3×3s with a ReLU after it, and they can ask for more than a sum.
#
# </details>
#
# 2. Somebody trains PSPNet with one picture a step, and a batch norm after the bin of 1×1 refuses.
#    Why?
#
# <details><summary>Answer</summary>
#
# One picture and one bin are one value for each channel. Less its own mean it is 0, whatever it
# was. Two pictures at least are needed, or a norm that is frozen.
#
# </details>
#
# 3. Which nets of the table could run on a picture of 100×100 pixels, which is smaller than what
#    their scores see?
#
# <details><summary>Answer</summary>
#
# Ask them: `net.sizes((100, 100))`. All that pad can, for what a score sees beyond the border is
# padding. U-Net as published refuses, its convolutions have eaten the map by then, and so does
# DeconvNet, whose fc6 finds no 7×7 cells.
#
# </details>
#
# **Next:** this was the last lesson. `tinyfcn train folder --data my` is waiting for your own
# pictures, and every line that it runs is one that you have read.
