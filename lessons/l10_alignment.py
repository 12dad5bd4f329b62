# %% [markdown]
# # 10. Alignment
#
# **Where do 19, 27 and 31 come from?**
#
# *About 100 minutes, with its exercises.*
#
# FCN-32s crops its scores at an offset of 19 rows and columns. FCN-16s crops at 5 and 27, FCN-8s at
# 5, 9 and 31. Few questions about these nets are asked more often, and the usual answers are "that
# is how it is" and "any number that fits will do". Neither is true. The numbers follow from three
# sums that fit on a napkin, and the same sums give you the crops of a net that you design yourself.
# They describe the **alignment** of each map with the image.
#
# These three nets of the paper are made from VGG-16, a net that classifies whole images (lesson
# 11). All that you need of it here is the order of its boxes: five blocks of 3×3 convolutions, each
# with a 2×2 pooling after it (`pool1` … `pool5`), then two layers of 4096 channels, `fc6` and
# `fc7`. This part is called the **trunk**. After it a 1×1 convolution, `score_fr`, computes a score
# for each class, in one cell for every 32×32 pixels. FCN-32s upsamples these scores to the image;
# FCN-16s first adds scores made from `pool4`, and FCN-8s also scores made from `pool3` (lesson 12).

# %% tags=["hide-input"]
import matplotlib.pyplot as plt
import numpy as np

import tinyfcn
from tinyfcn import ops, viz
from tinyfcn.course import tracing
from tinyfcn.data import shapes
from tinyfcn.layers import add, conv, crop, max_pool, upsample
from tinyfcn.course.exercises import check
from tinyfcn.models.fcn import stride32
from tinyfcn.models.vgg import vgg16_trunk
from tinyfcn.net.alignment import Alignment

plt.rcParams['figure.dpi'] = 100

# %% [markdown]
# ## Every cell has a position over the image
#
# A value deep in a net (a *unit*, or a cell of its map) is computed from a window of pixels, so it
# has a position over the image: the centre of that window. Take a 3×3 convolution padded by 1 and a
# 2×2 pooling after it, and look at one axis; the other is the same.

# %%
small = tinyfcn.Net(channels=1)
small.conv1 = conv(small.data, 1, 3, pad=1)
small.pool1 = max_pool(small.conv1, 2)

# %% tags=["hide-input"]
# draw what unit 2 of pool1 depends on
rows = ['pool1', 'conv1', 'data']
reads = {'pool1': [2], 'conv1': [4, 5], 'data': [3, 4, 5, 6]}      # what unit 2 of pool1 depends on
fig, ax = plt.subplots(figsize=(7, 1.8))
for height, name in enumerate(reversed(rows)):
    alignment = small[name].alignment
    count = small.sizes((10, 10))[name][0]
    at = [float(alignment.scale[0] * i + alignment.shift[0]) for i in range(count)]
    ax.scatter(at, [height] * count, s=160, c='white', edgecolors='#667799', zorder=2)
    ax.scatter([at[i] for i in reads[name]], [height] * len(reads[name]), s=160, c='#fbc56d',
               edgecolors='#c05a20', zorder=3)
    ax.text(-2.2, height, name, va='center')
for above, below in [((4.5, 2), (4, 1)), ((4.5, 2), (5, 1)),
                     *(((c, 1), (c + d, 0)) for c in (4, 5) for d in (-1, 0, 1))]:
    ax.plot(*zip(above, below), c='#c05a20', lw=1, zorder=1)
ax.set(xlim=(-2.4, 9.6), ylim=(-.5, 2.5), yticks=[], xticks=range(10), xlabel='pixel of the image')
ax.spines[:].set_visible(False)
plt.show()

# %% [markdown]
# Unit 2 of `pool1`, and all that it depends on, is orange: at the bottom the four pixels 3 … 6,
# whose centre is 4.5, *between* two pixels, like the centre of any even number of neighbours. The
# units beside it are centred 2 pixels further left and right. So three numbers describe the
# alignment of the whole row:
#
# - its **receptive field**: how many pixels a unit depends on, here 4 (`field` in the code);
# - its **stride**: the distance of neighbouring units in pixels of the image, here 2;
# - its **shift**: the position of unit 0, here 0.5.
#
# ```
# image = stride·i + shift                unit 2 of pool1:  2·2 + 0.5 = 4.5
# ```
#
# ## Three sums
#
# Put one more layer on top, with a window of k units, its own stride s and padding p. Its unit i
# reads k units of the row below, the first of which is `s·i − p`: that was lesson 02. Their centre
# is `s·i − p + (k − 1)/2`. Neighbouring units of the row below are `stride` pixels apart: the
# stride of a row is counted in pixels of the image, over all layers so far. Therefore
#
# ```
# field   grows by          stride·(k − 1)
# shift   grows by          stride·((k − 1)/2 − p)
# stride  is multiplied by  s                             (last: the sums above use the old one)
# ```
#
# The image itself has receptive field 1, stride 1 and shift 0. By hand, for two blocks as above:
#
# | layer | field | stride | shift |
# | --- | --- | --- | --- |
# | image | 1 | 1 | 0 |
# | conv 3, pad 1 | 1 + 1·2 = 3 | 1 | 0 + 1·(1 − 1) = 0 |
# | pool 2, stride 2 | 3 + 1·1 = 4 | 2 | 0 + 1·0.5 = 0.5 |
# | conv 3, pad 1 | 4 + 2·2 = 8 | 2 | 0.5 + 2·(1 − 1) = 0.5 |
# | pool 2, stride 2 | 8 + 2·1 = 10 | 4 | 0.5 + 2·0.5 = 1.5 |
#
# A 3×3 window that is padded by 1 does not change the shift; a 2×2 pooling increases it by half of
# the stride. That is nearly all you need for VGG.
#
# ### Exercise: alignment
#
# `layers` is a list of (ksize, stride, pad), from the image upwards. Give (field, stride, shift) of
# the last one.

# %%
def alignment_mine(layers):
    """[(ksize, stride, pad), …] -> (field, stride, shift)"""
    raise NotImplementedError


check('alignment', alignment_mine)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def alignment_mine(layers):
#     field, stride, shift = 1, 1, 0
#     for k, s, p in layers:
#         field += stride * (k - 1)
#         shift += stride * ((k - 1) / 2 - p)
#         stride *= s
#     return field, stride, shift
# ```
#
# </details>
#
# The library has the same three sums, for both axes and in exact fractions. Its `reach` is k − 1,
# or dilation·(k − 1) if the taps are dilated (lesson 17). It calls the stride of a row `scale`,
# because `stride` is the argument of the layer. The letters s, b and f are scale, shift and field
# of the row below; t is the stride of the layer.

# %%
viz.show_source(Alignment.window)

# %% [markdown]
# ## Check it on a net
#
# Sums can be wrong, so check them on a net. Set the gradient of a single unit to 1, run the
# backward pass (lesson 06), and see which pixels have a gradient: exactly those in the receptive
# field of the unit. All weights are 1, so that nothing cancels, and strided convolutions replace
# pooling, which passes its gradient to one pixel only (lesson 07).
#
# First by hand: what are receptive field, stride and shift of `conv3` below, and where is its unit
# (2, 3)?
#
# <details><summary>Answer</summary>
#
# 13, 4 and 3; so it is at row 4·2 + 3 = 11 and column 4·3 + 3 = 15.
#
# </details>

# %%
net = tinyfcn.Net(channels=1, dtype='float64')
net.conv1 = conv(net.data, 1, 3, stride=2, pad=1)
net.conv2 = conv(net.conv1, 1, 3, pad=1)
net.conv3 = conv(net.conv2, 1, 4, stride=2)
for w in net.params.values():
    w[...] = 1

y = net.forward(np.ones((1, 1, 32, 32)), keep=True)
dy = np.zeros_like(y)
dy[0, 0, 2, 3] = 1
net.backward(conv3=dy)
gradient = net.grads['data'][0, 0]

# %% tags=["hide-input"]
# check the sums by hand
field, stride, shift = 13, 4, 3                         # by hand
alignment = net.conv3.alignment
assert (alignment.field[0], alignment.scale[0], alignment.shift[0]) == (field, stride, shift)
row = stride * 2 + shift                                # image = stride·i + shift
column = stride * 3 + shift
radius = (field - 1) // 2
pixels = np.argwhere(gradient)
assert pixels.min(0).tolist() == [row - radius, column - radius]
assert pixels.max(0).tolist() == [row + radius, column + radius]

_, ax = plt.subplots(figsize=(3.2, 3))
ax.imshow(gradient, cmap='Oranges')
ax.plot(column, row, 'k+', ms=12)
ax.set_title(f'{field}×{field} pixels around ({row}, {column})', fontsize=10)
plt.show()

# %% [markdown]
# The cross is the position that the three sums predict. The shade is the number of paths from a
# pixel to the unit: the centre of a receptive field has more influence than its border.
#
# ## Two more sums: upsampling and crop
#
# Upsampling by f is the reverse (lessons 08 and 09). Cell i adds a bilinear kernel of ksize = 2·f
# to the fine units `f·i … f·i + ksize − 1`, whose centre is `f·i + (ksize − 1)/2`. So fine unit 0
# is (ksize − 1)/2 *fine* units before cell 0:
#
# ```
# stride  is divided by f
# shift   falls by      stride·(ksize − 1)/2                  (the new, fine stride)
# ```
#
# Two rows can be added, cell by cell, if they have the same stride and the same shift. If one of
# them starts earlier, its first cells are cropped. How many? That is the second exercise.
#
# ### Exercise: crop
#
# `fine` and `coarse` are two alignments (field, stride, shift) of the same stride; the coarse one
# has been upsampled already. How many units of `fine` are before unit 0 of `coarse`?

# %%
def crop_mine(fine, coarse):
    """two (field, stride, shift) -> an integer"""
    raise NotImplementedError


check('crop', crop_mine)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def crop_mine(fine, coarse):
#     _, stride, fine_shift = fine
#     _, _, coarse_shift = coarse
#     return int((coarse_shift - fine_shift) / stride)
# ```
#
# </details>
#
# The library's own function is `offset_between` in `tinyfcn/net/alignment.py`, the same line with
# two errors: for an offset below 0, and for one that is not an integer. You will meet both below.
#
# ## Your turn: the crops of FCN-8s
#
# Now you can derive the famous numbers, before you read on. The nets of the paper pad the first
# convolution by 100; your function takes any `pad` (try 120 on paper). These are all the facts you
# need:
#
# | part | layers |
# | --- | --- |
# | VGG-16, up to fc6 | conv1_1 is 3×3, padded by `pad`; twelve more 3×3 convolutions, padded by 1 |
# | | five poolings of 2×2 with stride 2; a score layer reads pool3, another pool4 |
# | fc6, fc7, score layers | fc6 is 7×7 without padding; fc7 and all score layers are 1×1 |
# | after the scores | upsample by 2, then crop the scores of pool4 to match, and add |
# | | upsample by 2, then crop the scores of pool3 to match, and add |
# | | upsample by 8, then crop to the image |
#
# How many rows are cropped off the top at each of the three places? Start with the shifts of pool3,
# pool4 and of the scores; use only the sums above.

# %%
def crops_mine(pad):
    """-> the crop of pool4's scores, of pool3's, and the last one, to the image"""
    raise NotImplementedError


check('crops', crops_mine)

# %% [markdown]
# <details><summary>Hint: the first shifts</summary>
#
# conv1_1 adds 1·((3 − 1)/2 − pad) = 1 − pad. The other 3×3 windows add nothing. Five poolings add
# half of the stride each: 0.5, 1, 2, 4 and 8. So pool3 is at 8·i + 4.5 − pad, pool4 at
# 16·i + 8.5 − pad. fc6 adds 3 cells of stride 32: the scores are at 32·i + 112.5 − pad.
#
# </details>
#
# <details><summary>Solution</summary>
#
# ```python
# def crops_mine(pad):
#     pool3 = 1 - pad + .5 + 1 + 2
#     pool4 = pool3 + 4
#     score = pool4 + 8 + 32 * 3
#     by_2 = score - 16 * 1.5                     # stride 16, a kernel of 4
#     by_4 = by_2 - 8 * 1.5                       # stride 8, a kernel of 4
#     by_32 = by_4 - 1 * 7.5                      # stride 1, a kernel of 16
#     return (by_2 - pool4) / 16, (by_4 - pool3) / 8, 0 - by_32
# ```
#
# For a pad of 120 they are 5, 9 and 51. The padding moves all maps of the trunk by the same number
# of pixels, so they stay aligned with each other: only the last crop, to the image, depends on it.
#
# </details>

# %% [markdown]
# ## The alignment of VGG-16
#
# Now the real net. `seed=None` leaves its weights at zero: we only look at its geometry, nothing
# runs.

# %%
fcn32s, fcn16s, fcn8s = (tinyfcn.build(name, seed=None) for name in ('fcn32s', 'fcn16s', 'fcn8s'))

print(f'{"box":9} {"position":22} receptive field in pixels')
for name in 'data conv1_1 conv1_2 pool1 pool2 pool3 pool4 pool5 fc6 fc7 score_fr'.split():
    alignment = fcn32s[name].alignment
    print(f'{name:9} {str(alignment):22} {alignment.field[0]}')

# %% tags=["hide-input"]
# check
alignment = fcn32s.score_fr.alignment
assert (alignment.field[0], alignment.scale[0], alignment.shift[0]) == (404, 32, 12.5)

# %% [markdown]
# The shift of the scores in one sum is (1 − 100) + (0.5 + 1 + 2 + 4 + 8) + 32·3 = **12.5**.
# `conv1_1` is padded by 100, where a padding of 1 would not change the shift: −99. Five poolings
# add half of 1, 2, 4, 8 and 16 pixels: +15.5. And fc6, a 7×7 window without padding at stride 32,
# adds three of its cells: +96. So the first score of FCN-32s is centred on pixel 12.5, the next on
# 44.5, and each has a receptive field of 404 pixels.
#
# Drag the cell of `fc6` (or use the arrow keys) and watch which cells it reads, box by box, down to
# the image. The image has 160×160 pixels; everything around it is padding.

# %%
photo, _ = shapes.generate(seed=3, index=4, size=(160, 160), n_class=5, difficulty=.15)
tracing.receptive_field(fcn32s, 'pool3', 'pool4', 'pool5', 'fc6', size=(160, 160), image=photo)

# %% [markdown]
# ## Why pad 100?
#
# As a classifier VGG-16 pads its first convolution by 1, like all others. Let us build FCN-32s in
# this way.

# %%
def padded_by(margin):
    """FCN-32s with few channels, and another padding of its first convolution."""
    n = tinyfcn.Net(seed=None)
    vgg16_trunk(n, n.data, width=1 / 32, pad=margin)
    stride32(n, 21)
    return n


try:
    padded_by(1)
except ValueError as error:
    print(error)

# %% [markdown]
# Padded by 1, the first score would be centred on pixel 111.5. Upsampling spreads it by 32 pixels
# in each direction, and the first 80 pixels would have no score. Each pixel of padding moves the
# scores one pixel to the left, so 81 would be just enough there.
#
# But fc6 needs a window of 7 cells. `pool5` has a seventh cell only if the row before the poolings
# is longer than 6·32 = 192, and `conv1_1` gives a row of H + 2·pad − 2. For an image of 33 pixels a
# pad of 81 is enough; an image of a single pixel needs 97. Let the net confirm it, for every height
# up to 999; this also checks that the scores reach the other end of the image.

# %%
def too_short(margin):
    """The heights among 1 … 999 of which this net cannot make scores for every pixel."""
    n = padded_by(margin)
    heights = []
    for height in range(1, 1000):
        try:
            n.sizes((height, height))
        except ValueError:
            heights.append(height)
    return heights


failures = {margin: too_short(margin) for margin in (81, 96, 97)}
for margin, heights in failures.items():
    print(f'pad {margin}: too short for {len(heights)} of 999 heights')

# %% tags=["hide-input"]
assert failures == {81: [*range(1, 33)], 96: [1, 2], 97: []}

# %% [markdown]
# So 100 is neither magic nor arbitrary: 97 is the smallest padding that works for every image, and
# 100 is the next round number. It has a price: of a 500×500 image the first convolutions compute
# 698×698 values, 1.95 times as many.
#
# ## 19; 5 and 27; 5, 9 and 31
#
# If you wrote `crops_mine`, you have these already. With a pad of 100:
#
# **FCN-32s.** The scores are at 32·i + 12.5. A kernel of 64 brings them to stride 1 and to shift
# 12.5 − 63/2 = −19. The upsampled scores start 19 pixels before the image does. The crop offset is
# **19**.
#
# **FCN-16s.** Upsampled by 2 (a kernel of 4), the scores are at 16·i + 12.5 − 16·1.5 = 16·i − 11.5.
# `pool4` is at 16·i − 91.5, so it starts (−11.5 + 91.5)/16 = **5** cells earlier: crop at 5. The
# sum is upsampled by 16 (a kernel of 32): −11.5 − 31/2 = −27. Crop at **27**.
#
# **FCN-8s.** The sum at 16·i − 11.5 is upsampled by 2 again: 8·i − 11.5 − 8·1.5 = 8·i − 23.5.
# `pool3` is at 8·i − 95.5, which is 72/8 = **9** cells earlier. Then by 8 (a kernel of 16):
# −23.5 − 15/2 = −31. Crop at **31**.
#
# That is all. These numbers are not written anywhere in the models of this library; the nets
# compute them by the same sums:

# %%
for net in fcn32s, fcn16s, fcn8s:
    crops = [box for box in net.boxes.values() if 'offset' in box.kwargs]
    print({box.name: box.kwargs['offset'][0] for box in crops})

# %% tags=["hide-input"]
assert fcn32s.score.kwargs['offset'][0] == 19
assert [fcn16s[name].kwargs['offset'][0] for name in ('score_pool4c', 'score')] == [5, 27]
assert [fcn8s[name].kwargs['offset'][0]
        for name in ('score_pool4c', 'score_pool3c', 'score')] == [5, 9, 31]

# %% [markdown]
# FCN-8s explains its crops in its summary:

# %%
print(fcn8s.summary().split('\n\n', 1)[1])

# %% [markdown]
# The player shows the positions of three rows over a small image: the scores of `pool4`, those of
# them that the crop keeps, and the upsampled scores. Cells that are added must have the same
# position.

# %%
tracing.fusion(fcn16s, (40, 40), 'score_pool4', 'score_pool4c', 'upscore2',
               image=photo[40:80, 40:80])

# %% [markdown]
# ## A stack to change
#
# Here is FCN-16s once more, without the layers that change neither the stride nor the shift. Its
# last sum, `fuse_pool4`, crops `pool4` and adds it. Click on a line of the table to see the map of
# this layer over the image, its receptive field, and its three sums. Then change it: its kernel,
# stride or padding, or drag the orange handle. All lines below follow.
#
# Drag the handle of `conv1` inwards: which line turns orange first, at which padding, and why? Set
# the crop of `score` to 22. And give `fc6` a kernel of 8: which crops change?

# %%
n = tinyfcn.Net(channels=1, seed=None)
n.conv1 = conv(n.data, 1, 3, pad=100)
n.pool1 = max_pool(n.conv1, 2)
n.pool2 = max_pool(n.pool1, 2)
n.pool3 = max_pool(n.pool2, 2)
n.pool4 = max_pool(n.pool3, 2)
n.pool5 = max_pool(n.pool4, 2)
n.fc6 = conv(n.pool5, 1, 7)
n.upscore2 = upsample(n.fc6, 2)
n.pool4c = crop(n.pool4, like=n.upscore2)
n.fuse_pool4 = add(n.upscore2, n.pool4c)
n.upscore16 = upsample(n.fuse_pool4, 16)
n.score = crop(n.upscore16, like=n.data)

tracing.stack(n, 160, image=photo)

# %% [markdown]
# With a padding of 72 the first upsampled score is on pixel 1, and no crop can bring it to pixel 0.
# The crop of `pool4` stays 5: the padding moves `pool4` and the scores together. With a crop of 22
# every score is 5 pixels off. A kernel of 8 moves the cells of `fc6` by half a cell, 16 pixels.
# That is one cell of `pool4`, so its crop is 6, and the last crop is 11.
#
# The crop calculator on the site does the same for layers that you type, and the command
# `tinyfcn explain` writes a page in which a click on a pixel shows what it depends on in every box:
# [both are described here](../docs/explainer.md).
#
# ## "Any number that fits will do"
#
# For a 500×500 image the upsampled scores of FCN-32s are 544 high, so every crop from 0 to 44
# *fits*, and no error is raised. Would 22, the middle, not be as good as 19? To test it, set the
# score of every cell to its own position: a ramp. After upsampling and cropping, the score of pixel
# y should be y.

# %%
count = fcn32s.sizes((500, 500))['score_fr'][0]
cells = 32. * np.arange(count) + 12.5
ramp = ops.upsample(cells.reshape(1, 1, -1, 1), (32, 1))[0].ravel()
assert (count, len(ramp)) == (16, 544)

pixels = np.arange(500)
inside = slice(100, 400)                                # away from the border, for every crop
for offset in 0, 18, 19, 20, 22, 34, 44:
    error = ramp[offset:offset + 500] - pixels
    print(f'crop {offset:2}: each row has the scores of the row at {error[inside][0]:+.0f}')
    assert (error[inside] == offset - 19).all()

# %% [markdown]
# Only 19 is right, and it is exact. With an offset wrong by one, every score is one pixel off.
# (Near the ends the kernels have no neighbour to overlap with; there the scores come from fewer
# cells, as lesson 09 showed.) What does a wrong offset cost? Take a perfect prediction and shift
# it:

# %%
image, label = shapes.generate(seed=3, index=4, size=(160, 192), n_class=5, difficulty=.15)
target = label[16:, 16:]
perfect = np.where(label == 255, 0, label)              # a prediction has no void

# %% tags=["hide-input"]
# draw masks that are off by some pixels
shown = {}
mean_iu = []
for off in 1, 3, 15:
    shifted = perfect[16 - off:len(label) - off, 16 - off:label.shape[1] - off]
    hist = tinyfcn.metrics.confusion(target, shifted, 5)
    mean_iu.append(tinyfcn.metrics.scores(hist)['mean_iu'])
    shown[f'off by {off}: {100 * mean_iu[-1]:.1f}'] = viz.error_map(target, shifted)
assert 1 > mean_iu[0] > mean_iu[1] > mean_iu[2]
viz.side_by_side(shown, width=2.4)

# %% [markdown]
# The titles give mean IU in per cent; errors are red. On the right is the offset 34 in place of 19,
# which is recommended in some forums. A net that is *trained* with a wrong crop can learn to
# compensate for the shift; the published weights, which were trained with 19, cannot.

# %% [markdown]
# ## Round down, and rows are missing
#
# Now you can also see how expensive lesson 07's lost rows are. FCN-32s has 500 + 198 = 698 rows
# before its five poolings, fc6 turns n rows into n − 6, upsampling turns n into 32·(n + 1), and the
# crop starts at row 19. Rounding down, for how many image heights are too few rows left?

# %%
def pooled(rows, ceil):
    """The rows that are left of so many after five poolings by 2."""
    for _ in range(5):
        rows = -(-rows // 2) if ceil else rows // 2
    return rows


def score_rows(height, ceil):
    """The rows from which FCN-32s crops its scores; 0 if fc6 has fewer than seven rows."""
    n = pooled(height + 198, ceil) - 6
    return 32 * (n + 1) if n > 0 else 0


for ceil in (True, False):
    rows = score_rows(500, ceil)
    cropped = np.zeros(rows)[19:19 + 500]
    failing = [h for h in range(1, 3000) if score_rows(h, ceil) < 19 + h]
    print(f'ceil={ceil}: {rows} rows; the slice 19 … 518 has {len(cropped)}; '
          f'too short for {len(failing)} of 2999 heights')

# %% tags=["hide-input"]
assert score_rows(500, ceil=True) == fcn32s.sizes((500, 500))['upscore'][0] and len(cropped) == 493
assert not {224, 256, 320, 512} & {*failing} and {375, 500} <= {*failing}

# %% [markdown]
# For 500 rows **seven rows of scores are missing, and NumPy raises no error.** The 26 rows that
# rounding down loses are the last of 698, which contain only padding; but the score map ends
# earlier, and after upsampling it no longer reaches the end of the image. That is why FCN rounds
# up. 224, 256, 320 and 512 are among the heights that work, so a test with these finds nothing.
#
# ## Your own net, padded by 1
#
# Most nets are not padded by 100. Here is one with three blocks and stride 8.

# %%
def own_net(last, margin):
    """Three blocks, a convolution of last×last padded by `margin`, upsampling by 8."""
    n = tinyfcn.Net(channels=3)
    x = n.data
    for block, depth in enumerate([8, 16, 32], start=1):
        x = n[f'conv{block}'] = conv(x, depth, 3, pad=1)
        x = n[f'pool{block}'] = max_pool(x, 2)
    n.score_fr = conv(x, 5, last, pad=margin)
    n.upscore = upsample(n.score_fr, 8)
    n.score = crop(n.upscore, like=n.data)
    return n


own = own_net(last=1, margin=0)
print('score_fr:', own.score_fr.alignment, '  upscore:', own.upscore.alignment)
print('crop', own.score.kwargs['offset'][0])

# %% tags=["hide-input"]
assert own.score.kwargs['offset'] == (4, 4)

# %% [markdown]
# Poolings of 2 up to stride S add (S − 1)/2 to the shift, and a bilinear kernel of 2·S subtracts
# (2·S − 1)/2: together −S/2. So a net of 3×3 windows padded by 1 and 2×2 poolings is cropped at
# **half of its stride**: 4 for 8, 16 for 32. A transposed convolution with pad = S/2 crops just
# that by itself, at both ends:

# %%
padded = upsample(own.score_fr, 8, pad=4)
assert padded.alignment == own.data.alignment
print('upsampled with pad 4:', padded.alignment)

# %% [markdown]
# **Change this and run again.** Give `own_net` another last window: 3 with a margin of 1, then 5
# with 2, then 4 with 2, then 5 with 0. Work out the crop before you run the cell. Expect 4, 4, 8,
# and an error for the last: two cells of padding are missing, so the scores start 12 pixels inside
# the image.

# %%
last_window, last_margin = 3, 1                         # try: (5, 2), (4, 2), (5, 0), (9, 4)
try:
    print(own_net(last_window, last_margin).score.kwargs['offset'])
except ValueError as error:
    print(error)

# %% [markdown]
# ## Half a pixel: why AlexNet needs 63
#
# VGG's poolings have even windows, so the shift of its scores is a half-integer, 12.5; the bilinear
# kernel of 64 is even, so it changes the shift by a half-integer, 31.5. The halves cancel.
# AlexNet, an older classifier that the paper also turned into an FCN, has odd windows, 11, 3 and 5:
# their centre is a pixel. Its fc6 is 6×6 without padding and adds 32·2.5 = 80, an integer too. By
# hand (each line has window/stride, what is added to the shift, and the shift after it):
#
# ```
# conv1 11/4, pad 100     1·(5 − 100)     −95
# pool1 3/2               4·1             −91
# pool2 3/2               8·1             −83         (conv2 … conv5 leave the shift as it is)
# pool5 3/2               16·1            −67
# fc6 6                   32·2.5           13
# ```
#
# A bilinear kernel of 64 would put the first pixel at 13 − 31.5 = −18.5. Half a pixel cannot be
# cropped:

# %%
alexnet = tinyfcn.build('fcn_alexnet', seed=None)
assert float(alexnet.score_fr.alignment.shift[0]) == 13
try:
    crop(upsample(alexnet.score_fr, 32), like=alexnet.data)
except ValueError as error:
    print(error)

# %% [markdown]
# A bilinear kernel of 63 has the same slopes, 1/32 per pixel, but its maximum is *on* a pixel:
# 13 − 31 = −18. So AlexNet's crop is 18. GoogLeNet's windows are odd as well, and its FCN uses 63
# for the same reason. Neighbouring kernels still sum to one everywhere between the cells:

# %%
googlenet = tinyfcn.build('fcn_googlenet', seed=None)
alexnet_offset, _ = alexnet.score.kwargs['offset']
googlenet_offset, _ = googlenet.score.kwargs['offset']
print('AlexNet', alexnet_offset, '  GoogLeNet', googlenet_offset)

# %% tags=["hide-input"]
assert (alexnet_offset, googlenet_offset) == (18, 98)

for ksize in 63, 64:
    ones = ops.upsample(np.ones((1, 1, 5, 1)), (32, 1), (ksize, 1))[0].ravel()
    assert np.allclose(ones[32:-32], 1)

# %% [markdown]
# ## What PyTorch calls this
#
# PyTorch's tensors do not store their alignment, so it has no name there. You find
#
# - the crop as a slice, `score[:, :, 19:19 + h, 19:19 + w]`. A slice that extends beyond the end
#   gives fewer rows without an error, and with `MaxPool2d(ceil_mode=False)`, the default, that
#   happens;
# - `ConvTranspose2d(padding=p)`, which crops p units from every side; our S/2 from above;
# - `F.interpolate(mode='bilinear', align_corners=False)`, which aligns the *edges* of the small map
#   with those of the large one: cell i is placed at S·i + (S − 1)/2. That is right for 2×2
#   poolings. The usual ResNets have odd windows (7, 3, 1) with symmetric padding: their cell i is
#   at S·i. So their scores at stride 8 are 3.5 pixels off, and the net has to learn to compensate
#   for that.

# %%
resnet_like = tinyfcn.Net(channels=3)
resnet_like.conv1 = conv(resnet_like.data, 8, 7, stride=2, pad=3)
resnet_like.pool1 = max_pool(resnet_like.conv1, 3, stride=2, pad=1)
resnet_like.conv2 = conv(resnet_like.pool1, 8, 3, stride=2, pad=1)
alignment = resnet_like.conv2.alignment
assert (alignment.scale[0], alignment.shift[0]) == (8, 0)

cells = 8. * np.arange(16)                              # the value of a cell is its position
ramp = ops.resize(cells.reshape(1, 1, -1, 1), (128, 1))[0].ravel()
assert (ramp[8:-8] - np.arange(128)[8:-8] == -3.5).all()
print('pixel 64 gets the score of pixel', ramp[64])

# %% [markdown]
# ## Three questions
#
# 1. Four blocks of a 3×3 convolution padded by 1 and a 2×2 pooling, then a bilinear kernel of 32:
#    what is the alignment of the scores, and where are they cropped?
#
# <details><summary>Answer</summary>
#
# They are at 16·i + 7.5, because 0.5 + 1 + 2 + 4 = 7.5. The kernel subtracts 31/2 = 15.5, which
# gives −8: crop at 8, half of the stride.
#
# </details>
#
# 2. You insert one more 3×3 convolution, without padding, before pool1 of FCN-8s. Which of 5, 9 and
#    31 change?
#
# <details><summary>Answer</summary>
#
# Only the last: all maps after it move one pixel to the right, so they stay aligned with each
# other, and the final crop becomes 30.
#
# </details>
#
# 3. Two rows at stride 16 start at −11.5 and at −83.5. What is the crop?
#
# <details><summary>Answer</summary>
#
# 72/16 = 4.5. There is none: the cells of one lie between those of the other. Change a pad, or use
# an odd ksize where one of them is upsampled.
#
# </details>
#
# **Next:** the scores are aligned with the image. But how can a net that was trained to classify
# whole images have scores for positions at all? Lesson 11 turns a classifier into a score map.
