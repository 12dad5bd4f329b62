# %% [markdown]
# # 09. Places
#
# **Where do 19, 27 and 31 come from?**
#
# FCN-32s cuts 19 rows and columns off its scores. FCN-16s cuts 5 and 27, FCN-8s 5, 9 and 31. Hardly
# anything about these nets is asked more often, and the usual answers are "that is how it is" and
# "any number that fits will do". Neither is true. The numbers follow from three sums that fit on a
# napkin, and the same sums tell you the crops of a net that you draw yourself.

# %%
import matplotlib.pyplot as plt
import numpy as np

import tinyfcn
from tinyfcn import ops, viz
from tinyfcn.course import tracing
from tinyfcn.data import shapes
from tinyfcn.layers import conv, crop, max_pool, upsample
from tinyfcn.course.exercises import check
from tinyfcn.models.fcn import stride32
from tinyfcn.models.vgg import vgg16_trunk
from tinyfcn.net.alignment import Alignment

plt.rcParams['figure.dpi'] = 60

# %% [markdown]
# ## A cell stands over pixels
#
# A value deep in a net is computed from some pixels, so it stands *over* them. Where? Take a 3×3
# convolution padded by 1 and a 2×2 pooling after it, and look at one axis; the other is the same.

# %%
small = tinyfcn.Net(channels=1)
small.conv1 = conv(small.data, 1, 3, pad=1)
small.pool1 = max_pool(small.conv1, 2)

rows = ['pool1', 'conv1', 'data']
reads = {'pool1': [2], 'conv1': [4, 5], 'data': [3, 4, 5, 6]}       # what unit 2 of pool1 sees
fig, ax = plt.subplots(figsize=(7, 1.8))
for height, name in enumerate(reversed(rows)):
    place, count = small[name].alignment, small.sizes((10, 10))[name][0]
    at = [float(place.scale[0] * i + place.shift[0]) for i in range(count)]
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
# Unit 2 of `pool1` sees the four pixels 3 … 6, and its middle is 4.5: it stands *between* two
# pixels, as the middle of any two neighbours does. Its neighbours stand 2 pixels further left and
# right. So three numbers say all there is to say of the whole row:
#
# - its **field**: how many pixels a unit sees, here 4. It is called the *receptive field*;
# - its **stride**: how many pixels lie between two units, here 2;
# - its **shift**: where unit 0 stands, here 0.5.
#
# ```
# image = stride·i + shift                unit 2 of pool1:  2·2 + 0.5 = 4.5
# ```
#
# ## Three sums
#
# Put one more layer (ksize, stride, pad) on top. Its unit i reads ksize units of the row
# below, the first of which is `stride·i − pad`: that was lesson 02. Their middle is
# `stride·i − pad + (ksize − 1)/2`. A unit of the row below is `step` pixels wide, `step` being the
# stride over the image that has come together so far. Therefore
#
# ```
# field   grows by          step·(ksize − 1)
# shift   grows by          step·((ksize − 1)/2 − pad)
# step    is multiplied by  the layer's own stride            (last: the sums above use the old one)
# ```
#
# The image itself has field 1, step 1 and shift 0. By hand, for two blocks as above:
#
# | layer | field | step | shift |
# | --- | --- | --- | --- |
# | image | 1 | 1 | 0 |
# | conv 3, pad 1 | 1 + 1·2 = 3 | 1 | 0 + 1·(1 − 1) = 0 |
# | pool 2, stride 2 | 3 + 1·1 = 4 | 2 | 0 + 1·0.5 = 0.5 |
# | conv 3, pad 1 | 4 + 2·2 = 8 | 2 | 0.5 + 2·(1 − 1) = 0.5 |
# | pool 2, stride 2 | 8 + 2·1 = 10 | 4 | 0.5 + 2·0.5 = 1.5 |
#
# A 3×3 window that is padded by 1 leaves the middle where it was; a 2×2 pooling moves it by half of
# the step. That is nearly all you need for VGG.
#
# ### Exercise: alignment
#
# `layers` is a list of (ksize, stride, pad), from the image upwards. Give (field, stride, shift) of
# the last one.

# %%
def alignment_mine(layers):
    raise NotImplementedError


check('alignment', alignment_mine)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def alignment_mine(layers):
#     field, step, shift = 1, 1, 0
#     for k, s, p in layers:
#         field += step * (k - 1)
#         shift += step * ((k - 1) / 2 - p)
#         step *= s
#     return field, step, shift
# ```
#
# </details>
#
# The library has the same three sums, for both axes and in exact fractions. What it calls `reach`
# is ksize − 1, unless a dilation has pulled the taps apart; `scale` is our step.

# %%
viz.show_source(Alignment.window)

# %% [markdown]
# ## Is it true? Ask a net
#
# Sums can be wrong, so let a net answer. Put a gradient of 1 on a single unit, walk back (lesson
# 05), and see which pixels have a gradient: exactly those that the unit sees. All weights are 1,
# so that nothing cancels, and strided convolutions stand in for pooling, which sends its gradient
# to one pixel only (lesson 06).

# %%
asked = tinyfcn.Net(channels=1, dtype='float64')
asked.conv1 = conv(asked.data, 1, 3, stride=2, pad=1)
asked.conv2 = conv(asked.conv1, 1, 3, pad=1)
asked.conv3 = conv(asked.conv2, 1, 4, stride=2)
for w in asked.params.values():
    w[...] = 1

y = asked.forward(np.ones((1, 1, 32, 32)), keep=True)
dy = np.zeros_like(y)
dy[0, 0, 2, 3] = 1
asked.backward(conv3=dy)
seen = asked.grads['data'][0, 0]

field, stride, shift = 13, 4, 3                         # by hand; do it before you believe it
place = asked.conv3.alignment
assert (place.field[0], place.scale[0], place.shift[0]) == (field, stride, shift)
row, column = 4 * 2 + 3, 4 * 3 + 3                      # image = stride·i + shift
reach = (field - 1) // 2
where = np.argwhere(seen)
assert where.min(0).tolist() == [row - reach, column - reach]
assert where.max(0).tolist() == [row + reach, column + reach]

fig, ax = plt.subplots(figsize=(3.2, 3))
ax.imshow(seen, cmap='Oranges')
ax.plot(column, row, 'k+', ms=12)
ax.set_title(f'{field}×{field} pixels around ({row}, {column})', fontsize=10)
plt.show()

# %% [markdown]
# The cross is where the three sums said. The shade tells by how many ways a pixel reaches the unit:
# the middle of a field counts for more than its rim.
#
# ## The column of VGG-16
#
# Now the real net. `seed=None` leaves its weights at zero: we only look at its plan, nothing runs.

# %%
fcn32s, fcn16s, fcn8s = (tinyfcn.build(name, seed=None) for name in ('fcn32s', 'fcn16s', 'fcn8s'))

print(f'{"box":9} {"stands at":22} sees')
for name in 'data conv1_1 conv1_2 pool1 pool2 pool3 pool4 pool5 fc6 fc7 score_fr'.split():
    place = fcn32s[name].alignment
    print(f'{name:9} {str(place):22} {place.field[0]} pixels')

place = fcn32s.score_fr.alignment
assert (place.field[0], place.scale[0], float(place.shift[0])) == (404, 32, 12.5)
assert 12.5 == (1 - 100) + (.5 + 1 + 2 + 4 + 8) + 32 * 3

# %% [markdown]
# The last line is the whole column in one sum. `conv1_1` is padded by 100 where 1 would have left
# it in the middle: −99. Five poolings move by half of 1, 2, 4, 8 and 16 pixels: +15.5. And fc6, a
# 7×7 window without padding at stride 32, moves by three of its cells: +96. Together **12.5**: the
# first score of FCN-32s stands over pixel 12.5, the next over 44.5, and each sees 404 pixels.
#
# Drag the cell of `fc6` (or use the arrow keys) and watch which cells it reads, box by box, down to
# the image. The image has 160 pixels; what a cell sees left of 0 and right of 159 is padding.

# %%
tracing.receptive_field(fcn32s, 'pool3', 'pool4', 'pool5', 'fc6', size=(160, 160))

# %% [markdown]
# ## Why pad 100?
#
# As a classifier VGG-16 pads its first convolution by 1, like all others. Let us draw FCN-32s so.

# %%
def padded_by(margin):
    """FCN-32s, very thin, with another padding of its first convolution."""
    n = tinyfcn.Net(seed=None)
    vgg16_trunk(n, n.data, width=1 / 32, pad=margin)
    stride32(n, 21)
    return n


try:
    padded_by(1)
except ValueError as error:
    print(error)

# %% [markdown]
# Padded by 1, the first score would stand over pixel 111.5, and even when it is spread out by 32 in
# each direction nobody says anything about the first 80 pixels. Each pixel of padding moves the
# scores one pixel to the left, so 81 would be just enough there.
#
# But fc6 wants a window of 7 cells. `pool5` has a seventh cell only if the row before the poolings
# is longer than 6·32 = 192, and `conv1_1` makes a row of H + 2·pad − 2. A picture of 33 pixels gets
# there with pad 81; a picture of a single pixel needs pad 97. The net itself should confirm it, for
# every height up to 999, which also tries out whether the scores reach the far end.

# %%
def too_short(margin):
    """The heights among 1 … 999 of which this net cannot make scores for every pixel."""
    n, heights = padded_by(margin), []
    for height in range(1, 1000):
        try:
            n.sizes((height, height))
        except ValueError:
            heights.append(height)
    return heights


failures = {margin: too_short(margin) for margin in (81, 96, 97)}
print(failures)
assert failures == {81: [*range(1, 33)], 96: [1, 2], 97: []}

# %% [markdown]
# So 100 is neither sacred nor arbitrary: 97 is the least that serves every image, and 100 is the
# round number above it. It has a price: of a 500×500 image the first convolutions compute 698×698
# values, 1.95 times as many.
#
# ## The way back: 19
#
# Upsampling by f goes the other way (lessons 07 and 08). Cell i stamps a tent of ksize = 2·f onto
# the fine units `f·i … f·i + ksize − 1`, whose middle is `f·i + (ksize − 1)/2`. So fine unit 0
# stands (ksize − 1)/2 *fine* steps before cell 0:
#
# ```
# step    is divided by f
# shift   falls by      step·(ksize − 1)/2                    (the new, fine step)
# ```
#
# **FCN-32s.** The scores stand at 32·i + 12.5. A tent of 64 brings them to step 1 and to shift
# 12.5 − 63/2 = −19. The upsampled scores begin 19 pixels before the image does. Cut off **19**.
#
# **FCN-16s.** Upsampled by 2 (a tent of 4), the scores stand at 16·i + 12.5 − 16·1.5 = 16·i −
# 11.5. `pool4` stands at 16·i − 91.5, so it begins (−11.5 + 91.5)/16 = **5** cells earlier: cut 5.
# The sum is upsampled by 16 (a tent of 32): −11.5 − 31/2 = −27. Cut **27**.
#
# **FCN-8s.** The sum at 16·i − 11.5 is upsampled by 2 again: 8·i − 11.5 − 8·1.5 = 8·i − 23.5.
# `pool3` stands at 8·i − 95.5, which is 72/8 = **9** cells earlier. Then by 8 (a tent of 16):
# −23.5 − 15/2 = −31. Cut **31**.
#
# That is all. Nobody typed these numbers into the nets of this library; they do the same sums:

# %%
for net in fcn32s, fcn16s, fcn8s:
    print({box.name: box.kwargs['offset'][0] for box in net.boxes.values() if 'offset' in box.kwargs})

assert fcn32s.score.kwargs['offset'][0] == 19
assert [fcn16s[name].kwargs['offset'][0] for name in ('score_pool4c', 'score')] == [5, 27]
assert [fcn8s[name].kwargs['offset'][0]
        for name in ('score_pool4c', 'score_pool3c', 'score')] == [5, 9, 31]

print(fcn8s.summary().split('\n\n', 1)[1])              # why, in the net's own words

# %% [markdown]
# Two rulers: where the cells of `pool4` and of the upsampled scores lie over a small image, and
# which of pool4's the crop keeps. Cells that are to be added must lie on top of each other.

# %%
tracing.fusion(fcn16s, (40, 40), 'score_pool4', 'score_pool4c', 'upscore2')

# %% [markdown]
# ### Exercise: crop
#
# `fine` and `coarse` are two places (field, stride, shift) of the same stride; the coarse one has
# been upsampled already. How many units of `fine` lie before unit 0 of `coarse`?

# %%
def crop_mine(fine, coarse):
    raise NotImplementedError


check('crop', crop_mine)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def crop_mine(fine, coarse):
#     (_, stride, begins), (_, _, wanted) = fine, coarse
#     return int((wanted - begins) / stride)
# ```
#
# </details>
#
# The library's own is `offset_between` in `tinyfcn/place.py`, the same line with two refusals: an
# offset below 0 (you met that above), and one that is no whole number (you will).
#
# ## "Any number that fits will do"
#
# For a 500×500 image the upsampled scores of FCN-32s are 544 high, so every crop from 0 to 44
# *fits*, and no error is raised. Is 22, the middle, not fairer than 19? Let every cell say where
# it stands: a ramp. Upsampled and cropped, pixel y ought to say y.

# %%
count = fcn32s.sizes((500, 500))['score_fr'][0]
cells = 32. * np.arange(count) + 12.5
said = ops.upsample(cells.reshape(1, 1, -1, 1), (32, 1))[0].ravel()
assert (count, len(said)) == (16, 544)

pixels = np.arange(500)
inside = slice(100, 400)                                # where tents overlap, whatever the crop
for offset in 0, 18, 19, 20, 22, 34, 44:
    wrong = said[offset:offset + 500] - pixels
    assert (wrong[inside] == offset - 19).all()
    print(f'crop {offset:2}: every pixel has the score of the one {wrong[inside][0]:+.0f} away')

# %% [markdown]
# Only 19 is right, to the last bit. One off is one pixel off, everywhere, for ever. (Near the ends
# the tents have no neighbour to overlap with; the image's border is drawn by fewer cells, as
# lesson 08 showed.) What does it cost? Take a perfect prediction and shift it:

# %%
image, label = shapes.generate(seed=3, index=4, size=(160, 192), n_class=5, difficulty=.15)
truth = label[16:, 16:]
plain = np.where(label == 255, 0, label)                # a prediction has no void

fig, axes = plt.subplots(1, 3, figsize=(6.4, 2))
mean_iu = {}
for ax, off in zip(axes, (1, 3, 15)):
    shifted = plain[16 - off:len(label) - off, 16 - off:label.shape[1] - off]
    hist = tinyfcn.metrics.confusion(truth, shifted, 5)
    mean_iu[off] = tinyfcn.metrics.scores(hist)['mean_iu']
    ax.imshow(viz.errors(truth, shifted))
    ax.set_title(f'off by {off}: {100 * mean_iu[off]:.1f}', fontsize=10)
    ax.axis('off')
plt.show()
assert 1 > mean_iu[1] > mean_iu[3] > mean_iu[15]

# %% [markdown]
# Mean IU in per cent, errors in red. An answer that one finds on the net, 34 in place of 19, is the
# picture on the right. A net that is *trained* with a wrong crop can learn to look to the side, for
# its filters see both; the published weights, which learned with 19, cannot.
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
assert own.score.kwargs['offset'] == (4, 4)

# %% [markdown]
# Poolings of 2 up to stride S move by (S − 1)/2, a tent of 2·S comes back by (2·S − 1)/2: what is
# left is S/2. So a net of 3×3 windows padded by 1 and 2×2 poolings is cropped by **half of its
# stride**: 4 for 8, 16 for 32. A transposed convolution with pad = S/2 cuts just that off by
# itself, at both ends:

# %%
whole = upsample(own.score_fr, 8, pad=4)
assert whole.alignment == own.data.alignment
print('upsampled with pad 4:', whole.alignment)

# %% [markdown]
# **Change this and run again.** Give `own_net` another last window: `last=3, margin=1`, then
# `last=5, margin=2`, then `last=4, margin=2`, then `last=5, margin=0`. Work out the crop before
# you press the key. Expect 4, 4, 8, and for the last a refusal: two cells of padding are missing,
# so the scores begin 12 pixels inside the image.

# %%
print(own_net(last=3, margin=1).score.kwargs['offset'])

# %% [markdown]
# ## Half a pixel: why AlexNet needs 63
#
# VGG's poolings are even, so its scores stand at a half, 12.5; a tent of 64 is even, so it moves
# by a half, 31.5. The halves cancel. AlexNet's windows are odd, 11, 3 and 5: they have a pixel in
# their middle. Its fc6 is 6×6 without padding and moves by 32·2.5 = 80, which is whole too. By
# hand:
#
# ```
# conv1 11/4, pad 100     1·(5 − 100)     −95
# pool1 3/2               4·1             −91
# pool2 3/2               8·1             −83         (conv2 … conv5 are padded to stay)
# pool5 3/2               16·1            −67
# fc6 6                   32·2.5           13
# ```
#
# A tent of 64 would put the first pixel at 13 − 31.5 = −18.5. Half a pixel cannot be cut off:

# %%
alexnet = tinyfcn.build('fcn_alexnet', seed=None)
assert float(alexnet.score_fr.alignment.shift[0]) == 13
try:
    crop(upsample(alexnet.score_fr, 32), like=alexnet.data)
except ValueError as error:
    print(error)

# %% [markdown]
# A tent of 63 has the same slopes, 1/32 a pixel, but its top lies *on* a pixel: 13 − 31 = −18. So
# AlexNet's crop is 18. GoogLeNet's windows are odd as well, and its FCN takes 63 for the same
# reason. Neighbouring tents still add up to one everywhere between the cells:

# %%
googlenet = tinyfcn.build('fcn_googlenet', seed=None)
print('AlexNet', alexnet.score.kwargs['offset'][0], '  GoogLeNet', googlenet.score.kwargs['offset'][0])
assert (alexnet.score.kwargs['offset'][0], googlenet.score.kwargs['offset'][0]) == (18, 98)

for ksize in 63, 64:
    ones = ops.upsample(np.ones((1, 1, 5, 1)), (32, 1), (ksize, 1))[0].ravel()
    assert np.allclose(ones[32:-32], 1)

# %% [markdown]
# ## What PyTorch calls this
#
# PyTorch's tensors do not know where they stand, so there is no name for it. You meet
#
# - the crop as a slice, `score[:, :, 19:19 + h, 19:19 + w]`. A slice that reaches beyond the end
#   gives fewer rows without a word, and with `MaxPool2d(ceil_mode=False)`, the default, that
#   happens;
# - `ConvTranspose2d(padding=p)`, which cuts p units off every side; our S/2 from above;
# - `F.interpolate(mode='bilinear', align_corners=False)`, which lays the *edges* of the small map
#   on those of the large one: cell i comes to stand at S·i + (S − 1)/2. That is right for 2×2
#   poolings. The usual ResNets have odd windows (7, 3, 1), padded to stay: their cell i stands at
#   S·i. So their scores at stride 8 land 3.5 pixels off, and the net has to learn to look to the
#   side.

# %%
resnet_like = tinyfcn.Net(channels=3)
resnet_like.conv1 = conv(resnet_like.data, 8, 7, stride=2, pad=3)
resnet_like.pool1 = max_pool(resnet_like.conv1, 3, stride=2, pad=1)
resnet_like.conv2 = conv(resnet_like.pool1, 8, 3, stride=2, pad=1)
place = resnet_like.conv2.alignment
assert (place.scale[0], place.shift[0]) == (8, 0)

cells = 8. * np.arange(16)                              # every cell says where it stands
said = ops.resize(cells.reshape(1, 1, -1, 1), (128, 1))[0].ravel()
assert (said[8:-8] - np.arange(128)[8:-8] == -3.5).all()
print('pixel 64 is given what belongs to pixel', said[64])

# %% [markdown]
# ## Three questions
#
# 1. Four blocks of a 3×3 convolution padded by 1 and a 2×2 pooling, then a tent of 32: where do the
#    scores stand, and what is cut off?
#
# <details><summary>Answer</summary>
#
# At 16·i + 7.5, for 0.5 + 1 + 2 + 4 = 7.5. The tent goes back by 31/2 = 15.5, to −8: cut 8, which
# is half of the stride.
#
# </details>
#
# 2. Somebody pads VGG by 120 instead of 100. Which of 5, 9 and 31 change in FCN-8s?
#
# <details><summary>Answer</summary>
#
# Only the last: everything in the trunk moves 20 pixels to the left together, so the skips lie as
# before relative to each other, and the final crop becomes 51.
#
# </details>
#
# 3. Two rows at stride 16 begin at −11.5 and at −83.5. What is the crop?
#
# <details><summary>Answer</summary>
#
# 72/16 = 4.5. There is none: the cells of the one lie between those of the other. Change a pad, or
# take an odd tent where one of them was upsampled.
#
# </details>
#
# **Next:** the scores stand where they should. But why does a net that was taught to name whole
# pictures have scores for places at all? Lesson 10 turns a classifier into a map.
