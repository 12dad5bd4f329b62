# %% [markdown]
# # 19. The FCN family
#
# **How do DeconvNet, SegNet, U-Net, DeepLab and PSPNet differ from FCN?**
#
# *About 65 minutes, with its exercises.*
#
# Within two years several related nets appeared, each with a paper of its own. They differ in few
# things: how coarse their maps become, how they are upsampled, and which maps are fused. You know
# nearly all the parts. This lesson compares the nets.

# %% tags=["hide-input"]
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
from tinyfcn.net.summary import compare_nets, multiply_adds

plt.rcParams['figure.dpi'] = 100

# %% [markdown]
# ## One table
#
# The rows of this table are computed from the nets themselves. `seed=None` leaves all weights at
# zero, because nothing runs. Each net is built when it is needed: all of them together would take
# 3 GB of memory.

# %%
names = ('fcn32s fcn8s cae_fcn deconvnet segnet unet deeplab_largefov deeplab_aspp '
         'deeplab_resnet101 pspnet').split()


def build_empty(name):
    return tinyfcn.build(name, seed=None)


tables = [compare_nets({name: build_empty(name)}).splitlines() for name in names]
lines = [tables[0][0], *(row for _, _, row in tables)]      # Markdown's head, and a row for each net
head, *rows = ['<tr><td>' + '</td><td>'.join(line.split('|')[1:-1]) + '</td></tr>'
               for line in lines]
head = head.replace('td>', 'th>')
HTML(f'<table><thead>{head}</thead><tbody>{"".join(rows)}</tbody></table>')

# %% [markdown]
# - **conv depth**: the largest number of convolutions on any path from the image to a score;
# - **stride**: the largest stride on the way, that of the coarsest map;
# - **receptive field**: that of a score (lesson 10); "all" if the net computes a mean over the
#   whole image;
# - **dilation**: the dilations other than 1 (lesson 17);
# - **normalisation**: batch normalisation (lesson 14), or an older kind;
# - **fusion**, **upsampling**: how maps are combined, and how they become larger again: *bilinear*
#   (lesson 09), *deconv*, a learned transposed convolution (lesson 08), or *switches*, that is
#   unpooling (lesson 07).
#
# The last two columns divide the family into three groups. *Encoder–decoder* nets return to full
# resolution step by step: by switches alone (SegNet), with deconvolutions (DeconvNet), or by
# concatenating the maps of the encoder (U-Net). *Dilated* nets keep stride 8 (DeepLab, PSPNet). FCN
# is in between, with sums of scores.
#
# ## What upsampling preserves
#
# Take a map, pool it three times by 2 and upsample it to its old size in each of these ways,
# without any weights. Which information do the convolutions that follow receive?

# %%
image, _ = shapes.generate(3, 9, (48, 64), n_class=5, difficulty=.2)
grey = image.mean(2)[None, None]
right = np.diff(grey, axis=3)[:, :, 1:]
down = np.diff(grey, axis=2)[..., 1:]
outline = np.hypot(right, down)                         # 47×63: the magnitude of the gradient

x = outline
switches = []
sizes = []
for _ in range(3):
    switches.append(ops.max_switches(x, 2)[0])
    sizes.append(x.shape[2:])
    x, _ = ops.take(x, switches[-1])
print('pooled three times:', outline.shape[2:], '->', x.shape[2:])

bilinear, _ = ops.crop(ops.upsample(x, 8)[0], outline.shape[2:], 4)     # crop 4: lesson 10
unpooled_map = x
for switch, size in zip(reversed(switches), reversed(sizes)):
    unpooled_map, _ = ops.unpool(unpooled_map, switch, size)
both, _ = ops.concat(bilinear, outline)


for name, restored in ('bilinear', bilinear), ('switches', unpooled_map):
    nonzero = restored > 0
    equal = (restored == outline)[nonzero].mean()
    print(f'{name}: {100 * nonzero.mean():5.1f} % of the positions are not zero; of these '
          f'{100 * equal:5.1f} % have the original value')
print('U-Net concatenates the original map: channels', both.shape[1])

# %% tags=["hide-input"]
assert (unpooled_map == outline)[unpooled_map > 0].all() and (both[:, 1:] == outline).all()
viz.side_by_side({'edges': outline[0, 0], 'bilinear': bilinear[0, 0],
                  'switches': unpooled_map[0, 0], 'pooled': x[0, 0]}, width=2.3)

# %% [markdown]
# Bilinear upsampling gives values everywhere, but blurred. Unpooling by switches gives few values,
# one in 64, but each exactly where it was. U-Net keeps the complete fine map and concatenates it;
# that costs memory, and no information is lost.
#
# ## Switches: DeconvNet and SegNet
#
# Both pool with switches and unpool with them in mirrored order. With these two functions, SegNet
# is short:

# %%
viz.show_source(pool_with_switches)

# %%
viz.show_source(unpool_block)

# %%
viz.show_source(segnet.segnet)

# %% [markdown]
# DeconvNet reduces the map to a single position: VGG-16's fc6 maps its 7×7 cells to one, and a
# deconvolution of 7×7 maps this one back to 7×7. These two layers have most of its weights:

# %%
net = build_empty('deconvnet')
sizes = net.sizes((224, 224))
for name in 'pool5', 'fc6', 'fc7', 'fc6-deconv', 'unpool5', 'score':
    count = net.params[f'{name}.w'].size if f'{name}.w' in net.params else 0
    print(f'{name:11} {sizes[name][0]:3}×{sizes[name][1]:<3} {count:>12,} weights')

total = sum(w.size for w in net.params.values())
bottleneck = net.params['fc6.w'].size + net.params['fc6-deconv.w'].size
print(f'{100 * bottleneck / total:.0f} % of all its weights are in fc6 and fc6-deconv')

# %% tags=["hide-input"]
assert sizes['fc6'] == (1, 1) and total == 251_805_653

# %% [markdown]
# SegNet omits this bottleneck and is about a ninth as large. Both were designed for one image size.
# Here any size works, since unpooling is given the size (lesson 07): a map of 45 rows pools to 23
# and is unpooled to 45.

# %%
odd = build_empty('segnet').sizes((360, 480))
print([odd[name][0] for name in ('pool3', 'pool4', 'pool5', 'pool5_D', 'pool4_D', 'pool3_D')])

# %% tags=["hide-input"]
assert odd['pool5_D'][0] == odd['pool4'][0] == 23

# %% [markdown]
# ## Concatenation: U-Net
#
# U-Net uses no padding. Each 3×3 convolution loses a row on every side, in the encoder and in the
# decoder, so that the score map is smaller than the image: 388 rows of 572. The encoder's map at a
# skip is larger than the upsampled one, and has to be cropped.

# %%
viz.show_source(unet)

# %%
rows_of_image = 572                                     # try: 188, 180, 1000
net = build_empty('unet')
sizes = net.sizes((rows_of_image, rows_of_image))
for level, skip in (4, 'drop4'), (3, 'relu3_2'), (2, 'relu2_2'), (1, 'relu1_2'):
    offset = net[f'crop{level}'].kwargs['offset'][0]
    skip_rows = sizes[skip][0]
    up_rows = sizes[f'upconv{level}'][0]
    print(f'level {level}: {skip:7} has {skip_rows} rows, upconv{level} {up_rows}; crop offset '
          f'{offset}, half of the difference: {(skip_rows - up_rows) / 2:g}')
print(f'score: {sizes["score"][0]} rows, {net.score.alignment}')

# %% tags=["hide-input"]
# check
sizes = net.sizes((572, 572))
for level, skip in (4, 'drop4'), (3, 'relu3_2'), (2, 'relu2_2'), (1, 'relu1_2'):
    difference = sizes[skip][0] - sizes[f'upconv{level}'][0]
    assert net[f'crop{level}'].kwargs['offset'][0] == difference / 2
assert sizes['score'] == (388, 388) and net.score.alignment.shift[0] == 92

# %% [markdown]
# 4, 16, 40, 88: they follow from lesson 10's sums, like 5, 9 and 31. But here the offset is always
# *half of the difference*, a centre crop. In FCN a centre crop is wrong, because poolings that
# round up add cells at one end only. The published U-Net reads 572 rows because then nothing has to
# be rounded, and both ends of a row are treated alike.
#
# **Change this and run again.** In the cell above, set `rows_of_image` to 188 and then to 180.
# Predict first: does the first crop change? (No: between the two maps level 4 loses 4 rows on
# either side, whatever the size. At 180 an odd number of rows is pooled and rounded up; half of the
# difference is then not an integer, but the net's own offset, which is computed from the alignment,
# is still right.)
#
# Score 0 is at pixel 92. To get scores for all pixels, extend the image by mirroring its border,
# and process large images in tiles. Or use padding (`unet_same`), as most implementations do today.
#
# Step through the cells that are concatenated at the coarsest level:

# %%
tracing.fusion(net, (188, 188), 'drop4', 'crop4', 'upconv4')

# %% [markdown]
# ### Exercise: concat_skip
#
# `up` (N, C, h, w) is the upsampled map, `skip` (N, D, H, W) is larger by an even number of rows
# and of columns. Take the centre crop of `skip` and concatenate it after `up`, along the channels.

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
#     top = (skip.shape[2] - h) // 2
#     left = (skip.shape[3] - w) // 2
#     return np.concatenate([up, skip[:, :, top:top + h, left:left + w]], 1)
# ```
#
# </details>
#
# ## Pyramid pooling: PSPNet
#
# PSPNet is built on ResNet at stride 8, like DeepLab, but adds context by pooling over the whole
# map: the mean of the whole map, and the means of 2×2, of 3×3 and of 6×6 **bins**. Each grid goes
# through a 1×1 convolution, is upsampled to the size of the map, and is concatenated with it. This
# provides *global* context: an object that looks like a boat is more likely to be a boat if the
# image is full of water.

# %%
viz.show_source(pyramid)

# %%
scene = image.transpose(2, 0, 1)[None] / 255
shown = {'image': image}
for bins in BINS:
    means, _ = ops.avg_pool_to(scene, bins)
    shown[f'{bins}×{bins} bins'] = means[0].transpose(1, 2, 0)
viz.side_by_side(shown, width=1.9)

# %% tags=["hide-input"]
# check
whole, _ = ops.avg_pool_to(scene, 1)
assert np.allclose(whole[0, :, 0, 0], scene.mean((0, 2, 3)))

# %% [markdown]
# An ordinary pooling has a window and a stride, and the number of windows follows from the size of
# the map. Here the number of bins is given and the windows follow (*adaptive* pooling): bin i of n
# extends from i·H/n, rounded *down*, to (i + 1)·H/n, rounded *up*. If H is not a multiple of n, two
# bins share a row, and no row is left out. Step through five rows and three bins:

# %%
tracing.avg_pool_to(np.arange(25).reshape(5, 5) % 7, 3)

# %% [markdown]
# ### Exercise: pyramid_pool
#
# `x` is (N, C, H, W), `bins` the number of bins along each axis. Return the means, (N, C, bins,
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
# Adaptive pooling has no fixed alignment with the image, so lesson 10's sums do not apply; the net
# reports this instead of inventing one. The scores do have an alignment, because `resize(like=…)`
# resamples the bins to the grid of the map:

# %%
net = build_empty('pspnet')
print('ppm/pool1:', net['ppm/pool1'].alignment)
print('score8:   ', net.score8.alignment)

# %% tags=["hide-input"]
assert not net['ppm/pool1'].alignment and net.score8.alignment.scale[0] == 8

# %% [markdown]
# ## The autoencoder: training without labels
#
# The oldest decoder is trained on images only: an **autoencoder** pools, unpools by switches, and
# reconstructs its *input image*. The loss is the difference. The features that it has learned can
# then initialise another net (this is called **pretraining**), whose boxes have the same names:

# %%
viz.show_source(autoencoder.cae)

# %%
cae, fcn = (tinyfcn.build(name, width=1 / 4) for name in ('cae', 'cae_fcn'))
report = tinyfcn.weights.transplant(fcn, {**cae.params, **cae.state})
print(len(report.copied), 'arrays copied')
print('still to be trained:', ', '.join(sorted({name.split('.')[0] for name in report.missing})))

# %% tags=["hide-input"]
assert (fcn.params['conv3.w'] == cae.params['conv3.w']).all()

# %% [markdown]
# So weights are transferred by the names of the boxes: VGG-16's to FCN, DeconvNet, SegNet and
# DeepLab, ResNet's to DeepLab and PSPNet, the autoencoder's to its FCN.
#
# ## Which one?
#
# Three questions matter more than the table. *Are there pretrained weights?* If so, choose a net
# with that trunk. *Do outlines matter most, and are the images few and similar*, as in microscopy?
# Choose U-Net. *Must it process many pixels?* Compare the cost; here are the multiplications for
# 320×320, in billions. (U-Net as published has scores for the middle 148×148 only.)

# %%
costs = {}
for name in names:
    net = build_empty(name)
    sizes = net.sizes((320, 320))
    costs[name] = sum(multiply_adds(net, box, sizes) for box in net.route(train=False)) / 1e9
for name, billions in sorted(costs.items(), key=lambda pair: pair[1]):
    print(f'{name:18} {billions:6.1f} billion  {"▇" * round(billions / 8)}')

# %% tags=["hide-input"]
assert build_empty('unet').sizes((320, 320))['score'] == (148, 148)

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
# | `resize(x, like=y, align_corners=True)` | `F.interpolate(…, align_corners=True)` |
#
# torchvision has `fcn_resnet50` and `deeplabv3_resnet50`. There are many implementations of U-Net;
# the most popular ones pad their convolutions, use batch normalisation, and resize the upsampled
# map to the skip's size.
#
# ## Three questions
#
# 1. U-Net concatenates the skip with the upsampled map, and convolves them. FCN adds scores. Why
#    does FCN need no concatenation?
#
# <details><summary>Answer</summary>
#
# See lesson 12: a 1×1 convolution of two concatenated maps is the sum of a 1×1 convolution of each.
# FCN's score layers are such 1×1 convolutions, so its sum *is* a concatenation, followed by a
# single linear layer. U-Net has two 3×3 convolutions with ReLUs after it, which can compute more
# than a sum.
#
# </details>
#
# 2. When PSPNet is trained with a batch size of one, the batch norm after the bin of 1×1 raises an
#    error. Why?
#
# <details><summary>Answer</summary>
#
# One image and one bin give one value for each channel. Minus its own mean it is always 0. At least
# two images are needed, or a frozen batch norm.
#
# </details>
#
# 3. Which nets of the table can run on an image of 100×100 pixels, which is smaller than their
#    receptive fields?
#
# <details><summary>Answer</summary>
#
# Try `net.sizes((100, 100))`. All nets with padding can, because the rest of the receptive field is
# padding. U-Net as published raises an error, because its convolutions use up the map, and so does
# DeconvNet, whose fc6 needs 7×7 cells.
#
# </details>
#
# **Next:** this was the last lesson. `tinyfcn train folder --data my` trains on your own images,
# and you now know every step that it takes.
