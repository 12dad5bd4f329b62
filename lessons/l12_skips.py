# %% [markdown]
# # 12. Skips
#
# **FCN-32s knows what is in the image. How do 16s and 8s get the outlines?**
#
# *About 65 minutes, with its exercises.*
#
# One score stands for 32×32 pixels. However good the scores are, between two of them there is only
# linear interpolation. The paper's second idea is to add scores from earlier layers, which have
# smaller receptive fields but finer positions. Such a connection is called a **skip**, or skip
# connection.

# %% tags=["hide-input"]
from copy import deepcopy
from functools import cache

import matplotlib.pyplot as plt
import numpy as np

import tinyfcn
from tinyfcn import metrics, ops, viz
from tinyfcn.course import tracing
from tinyfcn.data import shapes
from tinyfcn.data.transforms import prepare
from tinyfcn.data.images import read_image
from tinyfcn.init import zeros
from tinyfcn.layers import add, conv, crop, max_pool, relu, scale, upsample
from tinyfcn.course.exercises import check
from tinyfcn.models import fcn
from tinyfcn.training.recipes.ours import TINY

plt.rcParams['figure.dpi'] = 100

# %% [markdown]
# ## What coarse scores cannot represent
#
# Suppose a net makes no mistake at all: each coarse cell holds exactly the share of each class in
# its f×f pixels. Upsample those shares and take the best class of each pixel. How good can that be?
# (Means of f×f are at f·i + (f − 1)/2, and a bilinear kernel of 2·f brings them to −f/2: by lesson
# 10 the crop is f/2.)

# %%
def perfect_but_coarse(label, factor):
    """The best class of each pixel, from the shares of the classes in cells of factor×factor."""
    shares = (label == np.arange(5)[:, None, None])[None].astype(float)         # void is in none
    cells, _ = ops.avg_pool(shares, factor)
    fine, _ = ops.upsample(cells, factor)
    cropped, _ = ops.crop(fine, label.shape, factor // 2)
    return cropped[0].argmax(0).astype('uint8')


labels = [shapes.generate(3, index, (128, 160), n_class=5, difficulty=.15)[1] for index in range(8)]
bound = {}
for factor in 32, 16, 8:
    hist = sum(metrics.confusion(label, perfect_but_coarse(label, factor), 5) for label in labels)
    bound[factor] = metrics.scores(hist)['mean_iu']
    print(f'cells of {factor:2} pixels: mean IU {100 * bound[factor]:5.1f} at best')

# %% tags=["hide-input"]
assert sorted(bound.values()) == list(bound.values())
shown = {f'cells of {factor}': viz.colours(perfect_but_coarse(labels[4], factor))
         for factor in (32, 16, 8)}
viz.side_by_side({'truth': viz.colours(labels[4]), **shown}, width=2.1)

# %% [markdown]
# At 32 even the perfect net loses a good part, at 8 little. The paper has the same table for VOC.
# So finer cells are worth having. But layers with finer cells have smaller receptive fields (lesson
# 10: pool3 44 pixels, pool4 100, fc6 404): they respond to an edge and cannot tell a cat's from a
# dog's. Both are needed: coarse layers provide *what*, fine ones *where*.
#
# ## Three heads
#
# The part after the trunk, the *head*, is short. Read the three heads one after the other; each
# adds one skip. `n.drop7` is the last map of the trunk; `up` is `upsample`, or `deconv` if the
# kernels are to be learned. `pool4` and `pool3` may be replaced: see the end of the lesson.

# %%
viz.show_source(fcn.stride32)

# %%
viz.show_source(fcn.stride16)

# %%
viz.show_source(fcn.stride8)

# %% [markdown]
# Each skip does three things: score the finer layer by a 1×1 convolution, so that it has one
# channel for each class; crop the part that lies over the coarse scores; add. The coarse scores
# have been upsampled by 2 before, because only maps of the same stride can be added.
#
# ## By hand

# %%
coarse = np.array([[0., 4],
                   [4, 8]])[None, None]
skip = np.zeros((1, 1, 8, 8))
skip[0, 0, 3, 4] = 10                                   # a high score in one cell

doubled, _ = ops.upsample(coarse, 2)
cropped, _ = ops.crop(skip, doubled.shape[2:], 1)       # it starts one cell earlier: offset 1
fused = doubled + cropped
print('upsampled by 2\n', doubled[0, 0], '\n\nplus the skip, cropped at 1\n', fused[0, 0])

# %% tags=["hide-input"]
assert np.argwhere(fused - doubled).tolist() == [[0, 0, 2, 3]]

# %% [markdown]
# Cell (3, 4) of the skip has become (2, 3): the crop offset counts from the top left, as in
# lesson 10. (The border of the upsampled scores is lower, because there are no neighbours outside.
# The final crop removes it.)
#
# ### Exercise: fuse
#
# `coarse` (N, C, h, w), `skip` (N, C, H, W) of half the stride, and the crop's `offset` (one number
# for both axes, or a pair). Upsample the coarse scores by 2 and add the part of the skip that is
# aligned with them. You may use `ops.upsample`.

# %%
def fuse_mine(coarse, skip, offset):
    raise NotImplementedError


check('fuse', fuse_mine)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def fuse_mine(coarse, skip, offset):
#     doubled, _ = ops.upsample(coarse, 2)
#     top, left = np.broadcast_to(offset, 2)
#     h, w = doubled.shape[2:]
#     return doubled + skip[:, :, top:top + h, left:left + w]
# ```
#
# </details>
#
# ## Aligned grids
#
# In FCN-16s `pool4` is at 16·i − 91.5 and the upsampled scores at 16·i − 11.5, five cells later.
# Step through the cells that are added: both cells of each pair have the same position over the
# image.

# %%
fcn16s = tinyfcn.build('fcn16s', n_class=5, width=1 / 16)      # every layer a sixteenth as wide
tracing.fusion(fcn16s, (64, 64), 'score_pool4', 'score_pool4c', 'upscore2')

# %% [markdown]
# The same in the net as it runs. We step to `upscore2`, then through the fusion one box at a time:

# %%
walk = fcn16s.walk(np.zeros((1, 3, 64, 64), 'float32'))
box = None
while box is not fcn16s.upscore2:
    box, y = next(walk)
print(f'{box.line:50} {y.shape[2:]}  {box.alignment}')

# %%
for _ in range(3):
    box, y = next(walk)
    print(f'{box.line:50} {y.shape[2:]}  {box.alignment}')

# %% tags=["hide-input"]
assert fcn16s.upscore2.alignment == fcn16s.score_pool4c.alignment == fcn16s.fuse_pool4.alignment
assert fcn16s.score_pool4c.kwargs['offset'] == (5, 5)

# %% [markdown]
# ## A skip that starts at zero
#
# The score layers of the skips are initialised to zero. So when FCN-16s is initialised from
# FCN-32s, its skip adds nothing, and the paper says that the net starts from unmodified
# predictions. Is that so? 32s upsamples by 32 at once and crops at 19; 16s by 2, then by 16, and
# crops at 27. First use scores on a straight line, where the value of each cell is its position:

# %%
def up(x, factor):
    return ops.upsample(x, (factor, 1))[0]


def both_ways(cells):
    """A column of 16 cells, upsampled to 500 pixels as FCN-32s and as FCN-16s do."""
    cells = np.reshape(cells, (1, 1, 16, 1))
    at_once = up(cells, 32)
    in_two = up(up(cells, 2), 16)
    return at_once[0, 0, 19:519, 0], in_two[0, 0, 27:527, 0]


line_32s, line_16s = both_ways(32. * np.arange(16) + 12.5)
inside = slice(32, 470)                                 # away from the border
print('on a straight line the same, bit for bit:', (line_16s[inside] == line_32s[inside]).all())

cells = np.random.default_rng(0).standard_normal(16)
curve_32s, curve_16s = both_ways(cells)
rms = np.sqrt(((curve_16s - curve_32s)[inside] ** 2).mean())
print(f'on random scores: a difference of {rms:.2f} (rms); their deviation is {cells.std():.2f}')

# %% tags=["hide-input"]
assert (line_32s[inside] == np.arange(500)[inside]).all()
assert (line_16s[inside] == line_32s[inside]).all() and rms > .05

fig, ax = plt.subplots(figsize=(6, 2.2))
ax.plot(curve_32s, c='#3b6ea5', label='by 32')
ax.plot(curve_16s, c='#c05a20', label='by 2, then by 16')
ax.plot(32 * np.arange(16) + 12.5, cells, 'k.', ms=8, label='scores')
ax.set(xlim=(100, 300), xlabel='pixel')
ax.legend(fontsize=8, loc='lower left')
plt.show()

# %% [markdown]
# The first result checks all crops at once: if 5, 19 or 27 were off by one, the lines would differ.
# The second shows that "unmodified" is nearly true. Upsampled by 32, the line goes through each
# score. Upsampled by 2, the new cells are a quarter of the way to either side of the old ones, *on*
# the straight pieces; none is on the corner itself, and the next upsampling cuts that corner off.
# The curve is smoother, not wrong.
#
# ## Three nets, trained in stages
#
# Now train the nets in the paper's stages: train the coarse net; initialise the next one, whose new
# skip is zero, with its weights; continue training; repeat once more. VGG-16 would take days, so
# everything is a quarter as large here: images of 48×64, and the strides 8, 4 and 2 in place of 32,
# 16 and 8.
#
# The convolutions are padded by 1, as in your own net of lesson 10. So it is the *upsampled* scores
# that start one cell early, and they are cropped to match the skip. The rest is as in the three
# heads.

# %%
def quarter(skips, gain=1.):
    """Stride 8; 4 with one skip, 2 with two. `gain` is for later: a factor before the skips."""
    n = tinyfcn.Net(channels=3)
    x = n.data
    for block, depth in enumerate([12, 16, 24], start=1):
        x = n[f'conv{block}'] = conv(x, depth, 3, pad=1)
        x = n[f'relu{block}'] = relu(x)
        x = n[f'pool{block}'] = max_pool(x, 2)
    n.fc4   = conv(x, 48, 5, pad=2)
    n.relu4 = relu(n.fc4)
    x = n.score_fr = conv(n.relu4, 5, 1, init=zeros)
    for finer in ['pool2', 'pool1'][:skips]:
        n[f'score_{finer}']    = conv(scale(n[finer], gain), 5, 1, init=zeros)
        n[f'upscore_{finer}']  = upsample(x, 2)
        n[f'upscore_{finer}c'] = crop(n[f'upscore_{finer}'], like=n[f'score_{finer}'])
        x = n[f'fuse_{finer}'] = add(n[f'upscore_{finer}c'], n[f'score_{finer}'])
    n.upscore = upsample(x, 8 // 2 ** skips)
    n.score   = crop(n.upscore, like=n.data)
    return n


fused = quarter(skips=2)
print([fused[name].kwargs['offset'][0] for name in ('upscore_pool2c', 'upscore_pool1c', 'score')])

# %% [markdown]
# Offsets 1, 1 and 1: half of the factor 2 each time. Now train, for a few seconds. (`fit` does what
# lesson 11 did by hand: forward pass, loss, backward pass, a step of the optimizer. `TINY` says how
# images are made ready, and that four of them make a step; lesson 14 explains the rest of it.)

# %%
OPTIONS = dict(size=(48, 64), n_class=5, difficulty=.1)
train_set = shapes.shapes(split='train', **OPTIONS)
train_set = train_set.subset(train_set.names[:60])
train_set.read = cache(train_set.read)                  # generate each image once, then keep it
test_set = shapes.shapes(split='test', **OPTIONS)
test_set = test_set.subset(test_set.names[:20])
test_set.read = cache(test_set.read)

nets = {}
mean_iu = {}
before = None
for skips, lr, steps in [(0, 5e-3, 110), (1, 4e-3, 40), (2, 4e-3, 40)]:
    net = quarter(skips)
    name = f'stride {8 // 2 ** skips}'
    if before:
        report = tinyfcn.weights.transplant(net, before)
        print(f'{"":9} copied {len(report.copied)} weights; zero: {", ".join(report.missing)}')
    tinyfcn.fit(net, train_set, dict(TINY, lr=lr, steps=steps, lr_power=.9))
    nets[name] = net
    before = net.params
    mean_iu[name] = tinyfcn.evaluate(net, test_set)['mean_iu']
    print(f'{name}: mean IU {100 * mean_iu[name]:.1f}')

# %% tags=["hide-input"]
assert mean_iu['stride 8'] < mean_iu['stride 4'] < mean_iu['stride 2']

# %% [markdown]
# ## On an image of your own
#
# Replace `None` by the path of an image. (Nets that were trained on synthetic shapes will find
# discs and flowers in your photo. The point is how the outlines change.) Without a path the cell
# uses a held-out image.

# %%
MY_IMAGE = None             # try: '../benchmarks/results/demo.png', '../docs/why.png', 'im2col.gif'

if MY_IMAGE:
    image = read_image(MY_IMAGE)
    step = -(-max(image.shape) // 96)                   # at most 96 pixels a side
    image = image[::step, ::step]
else:
    image, _ = test_set[3]
viz.side_by_side({'image': image, **{name: viz.colours(tinyfcn.predict(net, image))
                                     for name, net in nets.items()}}, width=2.1)

# %% [markdown]
# Now turn on the skips of the last net one by one: a skip whose score layer has zero weights adds
# nothing.

# %%
def without(net, *names):
    """A copy of the net in which the weights of these score layers are zero."""
    other = deepcopy(net)
    for name in names:
        other.params[f'{name}.w'][...] = other.params[f'{name}.b'][...] = 0
    return other


turned_off = {'no skip': ('score_pool2', 'score_pool1'), '+ pool2': ('score_pool1',),
              '+ pool1': ()}
for title, names in turned_off.items():
    mean_iu[title] = tinyfcn.evaluate(without(nets['stride 2'], *names), test_set)['mean_iu']
    print(f'{title:8} mean IU {100 * mean_iu[title]:.1f}')

# %%
held_out, its_label = test_set[3]
tracing.skips(nets['stride 2'], prepare(held_out, TINY['preprocess']), its_label,
              ['score_pool2', 'score_pool1'])

# %% tags=["hide-input"]
assert mean_iu['no skip'] < mean_iu['stride 2'] - .1

# %% [markdown]
# The printed numbers are over all held-out images, the player shows one of them. Without its skips
# the last net loses a good part of its mean IU: its coarse scores now rely on the skips for the
# outlines.
#
# The command `tinyfcn explain` writes a page in which you can switch off the skips of FCN-8s on a
# picture of your own, and the crop calculator on the site shows the crops of layers that you type:
# [both are described here](../docs/explainer.md).
#
# **Change this and run again.** Here only the skip from pool1 is active. Expect a part of the gain
# and not all of it, because the receptive field of pool1 is 4 pixels. Or remove the coarse scores,
# `score_fr`. Expect mean IU to fall below that of no skip: sharp outlines, wrong classes.

# %%
removed = ['score_pool2']                               # try: ['score_fr'], ['score_pool1'], []

partial_net = without(nets['stride 2'], *removed)
partial_iu = tinyfcn.evaluate(partial_net, test_set)['mean_iu']
partial_mask = viz.colours(tinyfcn.predict(partial_net, image))
viz.side_by_side({f'mean IU {100 * partial_iu:.1f}': partial_mask}, width=2.2)

# %% [markdown]
# ## Why naive fusion hurts
#
# Why not train 8s at once, with all its skips? People who try it with VGG-16 report that it does
# not learn. To see why, consider one score, s = w·x, and one step of gradient descent with learning
# rate r, when the gradient of the loss is ds:
#
# ```
# w ← w − r·ds·x          so          s ← s − r·ds·(x·x)
# ```
#
# The score changes by r·|x|² times its gradient: the *square* of the magnitude of the features.

# %%
x = np.array([3., 4.])
w = np.array([.5, -1.])
r = .1
ds = -.2                                                # a larger s would lower the loss
before = w @ x
after = (w - r * ds * x) @ x
print(f's moves from {before:g} to {after:g}, by r·|ds|·|x|² = {r * abs(ds) * (x @ x):g}')

# %% tags=["hide-input"]
assert np.isclose(after - before, -r * ds * (x @ x))

# %% [markdown]
# So a learning rate that is right for one layer is wrong for another whose features are larger. How
# large are they here?

# %%
batch = np.concatenate([prepare(test_set[i][0], TINY['preprocess']) for i in range(8)])
nets['stride 2'].forward(batch, keep=True)
for name in 'pool1', 'pool2', 'relu4':
    features = nets['stride 2'].values[name]
    print(f'{name}: |x|² of a cell is {(features ** 2).sum(1).mean():7.1f} on average, '
          f'of {features.shape[1]} channels')

# %% [markdown]
# These magnitudes differ widely, so a single learning rate cannot suit all layers. Now multiply the
# inputs of the skips by thirty, which makes |x|² 900 times as large, and train the last net from
# the weights of the first, both skips at once, by gradient descent with momentum (lesson 05).

# %%
variants = {'unchanged': (1., .005), 'gain 30': (30., .005),
            'gain 30, rate / 900': (30., .005 / 900)}
losses = {}
for name, (gain, lr) in variants.items():
    net = quarter(2, gain)
    tinyfcn.weights.transplant(net, nets['stride 8'].params)
    rows = tinyfcn.fit(net, train_set, dict(TINY, optimizer='sgd', momentum=.9, lr=lr, steps=12))
    losses[name] = [row['loss'] for row in rows]
    print(f'{name:20} first loss {losses[name][0]:.2f}, largest {max(losses[name]):6.2f}')

# %% tags=["hide-input"]
# draw the losses
fig, ax = plt.subplots(figsize=(5, 2.4), layout='constrained')
for name, values in losses.items():
    ax.semilogy(values, label=name)
ax.set(xlabel='step', ylabel='loss')
fig.legend(fontsize=8, loc='outside upper center', ncols=3, frameon=False)
plt.show()
assert max(losses['gain 30']) > 10 * max(losses['unchanged'])
assert max(losses['gain 30, rate / 900']) < 1.2 * max(losses['unchanged'])

# %% [markdown]
# With the gain of 30 each step overshoots, and the loss jumps up. At a 900th of the rate the skips
# are stable, but then the other layers hardly learn. The paper has two remedies:
#
# - **in stages**: the coarse net is trained first, at the full rate; then each skip is added at a
#   rate a hundred times lower, when only small changes are needed;
# - **at once**: the inputs of the skips are *scaled* down by fixed factors before they are scored.
#   Then one rate suits all layers. In our example the factor would be 1/30.
#
# The optimizer Adam needs neither: it divides the step of each weight by the size of that weight's
# own gradients. The recipe `stanford` trains all skips at once by Adam.

# %%
viz.show_source(fcn.fcn8s_at_once)

# %% [markdown]
# The factors are 0.01 and 0.0001, which reduces |x|² by 10⁴ and 10⁸: so different in magnitude are
# the features of VGG-16.
#
# ## What PyTorch calls this
#
# - A *skip connection*. The sum is `+`; the upsampling `nn.ConvTranspose2d(c, c, 4, stride=2,
#   groups=c, bias=False)` with bilinear weights, or `F.interpolate(scale_factor=2)`.
# - torchvision's `fcn_resnet50` has no skips: it keeps stride 8 with dilated convolutions instead.
# - U-Net and its many children *concatenate* (`torch.cat`) where FCN adds. The two are related: a
#   1×1 convolution of two concatenated maps is the sum of a 1×1 convolution of each.

# %% tags=["hide-input"]
# check: a convolution of both is the sum of two convolutions
rng = np.random.default_rng(0)
a = rng.standard_normal((1, 3, 4, 4))
b = rng.standard_normal((1, 6, 4, 4))
w = rng.standard_normal((5, 9, 1, 1))
concatenated, _ = ops.conv2d(ops.concat(a, b)[0], w)
separate = ops.conv2d(a, w[:, :3])[0] + ops.conv2d(b, w[:, 3:])[0]
assert np.allclose(concatenated, separate)

# %% [markdown]
# ## Three questions
#
# 1. Why are the coarse scores upsampled to the skip's stride, instead of pooling the skip down to
#    theirs?
#
# <details><summary>Answer</summary>
#
# Pooling would discard just what the skip is for: precise positions.
#
# </details>
#
# 2. At the first step of the second stage `score_pool4` is zero. Does it get a gradient? Does
#    pool4 get one through it?
#
# <details><summary>Answer</summary>
#
# `score_pool4` does: its gradient is ds·x, and the features x are not zero. pool4 gets none through
# it, because that would be wᵀ·ds with w = 0. After one step w is not zero, and it does.
#
# </details>
#
# 3. FCN-8s could go on: a skip from pool2, at stride 4. What would the next crop be, for VGG-16?
#
# <details><summary>Answer</summary>
#
# The sum at 8·i − 23.5 is upsampled by 2: −23.5 − 4·1.5 = −29.5. pool2 is at 4·i − 97.5. So
# (−29.5 + 97.5)/4 = 17. The paper stopped at 8s, because the gains had become small.
#
# </details>
#
# **Next, 13:** FCN-8s is complete, and you know each of its boxes. How does the gradient find its
# way back through all of them?
