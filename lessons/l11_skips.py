# %% [markdown]
# # 11. Skips
#
# **FCN-32s knows what is there. How do 16s and 8s get the outline?**
#
# One score stands for 32×32 pixels. However good it is, between two of them there is nothing but a
# straight line. The paper's second idea is to ask earlier layers, which have seen less but know
# where, and to add what they say.

# %%
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

plt.rcParams['figure.dpi'] = 60

# %% [markdown]
# ## What coarse scores cannot say
#
# Suppose a net makes no mistake at all: each coarse cell knows exactly which share of its f×f
# pixels is of which class. Upsample those shares and take the best class of each pixel. How good
# can that be? (Means of f×f stand at f·i + (f − 1)/2, a tent of 2·f brings them to −f/2: lesson 09
# says to crop f/2.)

# %%
def perfect_but_coarse(label, factor):
    """The best class of each pixel, from the shares of the classes in cells of factor×factor."""
    shares = (label == np.arange(5)[:, None, None])[None].astype(float)         # void is in none
    cells, _ = ops.avg_pool(shares, factor)
    fine, _ = ops.upsample(cells, factor)
    same, _ = ops.crop(fine, label.shape, factor // 2)
    return same[0].argmax(0).astype('uint8')


labels = [shapes.generate(3, index, (128, 160), n_class=5, difficulty=.15)[1] for index in range(8)]
bound = {}
for factor in 32, 16, 8:
    hist = sum(metrics.confusion(label, perfect_but_coarse(label, factor), 5) for label in labels)
    bound[factor] = metrics.scores(hist)['mean_iu']
    print(f'cells of {factor:2} pixels: mean IU {100 * bound[factor]:5.1f} at best')
assert sorted(bound.values()) == list(bound.values())

fig, axes = plt.subplots(1, 4, figsize=(8, 1.9))
for ax, factor in zip(axes, (None, 32, 16, 8)):
    shown = labels[4] if factor is None else perfect_but_coarse(labels[4], factor)
    ax.imshow(viz.colours(shown))
    ax.set_title(f'cells of {factor}' if factor else 'truth', fontsize=10)
    ax.axis('off')
plt.show()

# %% [markdown]
# At 32 even the all-knowing net loses a good part, at 8 little. The paper made the same table for
# VOC. So finer cells are worth having. But layers with finer cells have a smaller field (lesson
# 09: pool3 sees 44 pixels, pool4 100, fc6 404): they see an edge and cannot tell a cat's from a
# dog's. Both are needed: coarse layers say *what*, fine ones *where*.
#
# ## Three heads
#
# What is laid on the trunk is short. Read them one after the other; each adds one stanza.

# %%
viz.show_source(fcn.stride32)

# %%
viz.show_source(fcn.stride16)

# %%
viz.show_source(fcn.stride8)

# %% [markdown]
# A stanza says: score the finer layer by a 1×1 convolution, so that it speaks in classes as well;
# cut out the part that lies over the coarse scores; add. The coarse scores have been upsampled by
# 2 before, for only cells of one stride can be added.
#
# ## By hand

# %%
coarse = np.array([[0., 4],
                   [4, 8]])[None, None]
skip = np.zeros((1, 1, 8, 8))
skip[0, 0, 3, 4] = 10                                   # the finer layer is sure of one cell

doubled, _ = ops.upsample(coarse, 2)
cut, _ = ops.crop(skip, doubled.shape[2:], 1)           # its cells lie one before: offset 1
fused = doubled + cut
print('upsampled by 2\n', doubled[0, 0], '\n\nplus the skip, cropped at 1\n', fused[0, 0])
assert np.argwhere(fused - doubled).tolist() == [[0, 0, 2, 3]]

# %% [markdown]
# Cell (3, 4) of the skip has become (2, 3): a crop takes from the top left, as in lesson 09. (The
# rim of the upsampled scores is lower, for no tent comes from outside. The final crop cuts it
# off.)
#
# ### Exercise: fuse
#
# `coarse` (N, C, h, w), `skip` (N, C, H, W) of half the stride, and the crop's `offset` (one
# number for both axes, or a pair). Upsample the coarse scores by 2 and add the part of the skip
# that lies over them. You may use `ops.upsample`.

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
# ## Grids that lie on each other
#
# In FCN-16s `pool4` stands at 16·i − 91.5 and the upsampled scores at 16·i − 11.5, five cells
# later. Step through the cells that are added: each pair stands over the same pixel.

# %%
fcn16s = tinyfcn.build('fcn16s', n_class=5, width=1 / 16)      # every layer a sixteenth as wide
tracing.fusion(fcn16s, (64, 64), 'score_pool4', 'score_pool4c', 'upscore2')

# %% [markdown]
# The same in the net as it runs. We walk to `upscore2`, then take the fusion one box at a time:

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
assert fcn16s.upscore2.alignment == fcn16s.score_pool4c.alignment == fcn16s.fuse_pool4.alignment
assert fcn16s.score_pool4c.kwargs['offset'] == (5, 5)

# %% [markdown]
# ## A skip that says nothing
#
# The score layers of the skips begin at zero. So on the day when FCN-16s is made of FCN-32s, its
# skip adds nothing, and the paper says that it starts from unmodified predictions. Is that so? 32s
# upsamples by 32 at once and crops 19; 16s by 2, then by 16, and crops 27. Begin with scores that
# lie on a straight line, each cell saying where it stands:

# %%
def up(x, factor):
    return ops.upsample(x, (factor, 1))[0]


def both_ways(cells):
    """A column of 16 cells, upsampled to 500 pixels as FCN-32s and as FCN-16s do."""
    cells = np.reshape(cells, (1, 1, 16, 1))
    at_once, in_two = up(cells, 32), up(up(cells, 2), 16)
    return at_once[0, 0, 19:519, 0], in_two[0, 0, 27:527, 0]


line_32s, line_16s = both_ways(32. * np.arange(16) + 12.5)
inside = slice(32, 470)                                 # where no tent is missing
assert (line_32s[inside] == np.arange(500)[inside]).all()
assert (line_16s[inside] == line_32s[inside]).all()
print('on a straight line: the same, to the last bit')

cells = np.random.default_rng(0).standard_normal(16)
curve_32s, curve_16s = both_ways(cells)
rms = np.sqrt(((curve_16s - curve_32s)[inside] ** 2).mean())
print(f'on random scores: apart by {rms:.2f} (rms), of scores that spread by {cells.std():.2f}')
assert rms > .05

fig, ax = plt.subplots(figsize=(6, 2.2))
ax.plot(curve_32s, c='#3b6ea5', label='by 32')
ax.plot(curve_16s, c='#c05a20', label='by 2, then by 16')
ax.plot(32 * np.arange(16) + 12.5, cells, 'k.', ms=8, label='scores')
ax.set(xlim=(100, 300), xlabel='pixel')
ax.legend(fontsize=8, loc='lower right')
plt.show()

# %% [markdown]
# The first result checks every crop at once: were 5, 19 or 27 off by one, the lines would part.
# The second says that "unmodified" is nearly true. By 32 the line goes through each score. By 2
# the new cells lie a quarter of the way to either side of the old ones, *on* the straight pieces;
# none lies on the corner itself, and the next upsampling cuts that corner off. A smoother curve,
# not a wrong one.
#
# ## Three nets, one from the other
#
# Now let it happen, with the paper's staging: train the coarse net; put its weights into the next,
# whose new skip is zero; train on; once more. VGG-16 would take days, so everything is a quarter as
# large here: pictures of 48×64, and the strides 8, 4 and 2 in place of 32, 16 and 8.
#
# The convolutions are padded by 1, as in your own net of lesson 09. So it is the *upsampled* scores
# that begin early, one cell, and they are cropped like the skip. The rest is as in the three heads.

# %%
def quarter(skips, loud=1.):
    """Stride 8; 4 with one skip, 2 with two. `loud` is for later: a factor before the skips."""
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
        n[f'score_{finer}']    = conv(scale(n[finer], loud), 5, 1, init=zeros)
        n[f'upscore_{finer}']  = upsample(x, 2)
        n[f'upscore_{finer}c'] = crop(n[f'upscore_{finer}'], like=n[f'score_{finer}'])
        x = n[f'fuse_{finer}'] = add(n[f'upscore_{finer}c'], n[f'score_{finer}'])
    n.upscore = upsample(x, 8 // 2 ** skips)
    n.score   = crop(n.upscore, like=n.data)
    return n


fused = quarter(skips=2)
print([fused[name].kwargs['offset'][0] for name in ('upscore_pool2c', 'upscore_pool1c', 'score')])

# %% [markdown]
# Offsets 1, 1 and 1: half of the factor 2 each time. And now school, a few seconds. (`fit` does
# what lesson 10 did by hand: forward, how wrong, backward, a small move. `TINY` says how images
# are made ready, and four of them a step. Lesson 12 opens both.)

# %%
HOW = dict(size=(48, 64), n_class=5, difficulty=.1)
pictures = shapes.shapes(split='train', **HOW)
pictures = pictures.subset(pictures.names[:60])
pictures.read = cache(pictures.read)                    # drawn once, then kept
unseen = shapes.shapes(split='test', **HOW)
unseen = unseen.subset(unseen.names[:20])
unseen.read = cache(unseen.read)

nets, mean_iu, before = {}, {}, None
for skips, lr, steps in [(0, 5e-3, 110), (1, 4e-3, 40), (2, 4e-3, 40)]:
    net, name = quarter(skips), f'stride {8 // 2 ** skips}'
    if before:
        report = tinyfcn.weights.transplant(net, before)
        print(f'{"":9} copied {len(report.copied)} weights; zero: {", ".join(report.missing)}')
    tinyfcn.fit(net, pictures, dict(TINY, lr=lr, steps=steps, lr_power=.9))
    nets[name], before = net, net.params
    mean_iu[name] = tinyfcn.evaluate(net, unseen)['mean_iu']
    print(f'{name}: mean IU {100 * mean_iu[name]:.1f}')
assert mean_iu['stride 8'] < mean_iu['stride 4'] < mean_iu['stride 2']

# %% [markdown]
# ## On a picture of yours
#
# Put the path of a picture in place of `None`. (Nets that have only ever seen drawn shapes will
# find discs and flowers in your kitchen. The point is how the outlines change.) Left as it is, the
# cell takes a picture that the nets have not seen.

# %%
MY_PICTURE = None

if MY_PICTURE:
    image = read_image(MY_PICTURE)
    every = -(-max(image.shape) // 96)                  # at most 96 pixels a side
    image = image[::every, ::every]
else:
    image, _ = unseen[3]

fig, axes = plt.subplots(1, 4, figsize=(8.4, 2))
axes[0].imshow(image)
axes[0].set_title('picture', fontsize=10)
for ax, (name, net) in zip(axes[1:], nets.items()):
    ax.imshow(viz.colours(tinyfcn.predict(net, image)))
    ax.set_title(name, fontsize=10)
for ax in axes:
    ax.axis('off')
plt.show()

# %% [markdown]
# And the skips of one net, the last, turned on one by one: a score layer with zero weights says
# nothing.

# %%
def with_skips(net, *speaking):
    """A copy in which only these skips have a say."""
    other = deepcopy(net)
    for name in ('score_pool2', 'score_pool1'):
        if name not in speaking:
            other.params[f'{name}.w'][...] = other.params[f'{name}.b'][...] = 0
    return other


turned_on = {'no skip': (), '+ pool2': ('score_pool2',),
             '+ pool1': ('score_pool2', 'score_pool1')}
fig, axes = plt.subplots(1, 3, figsize=(6.6, 2))
for ax, (title, speaking) in zip(axes, turned_on.items()):
    net = with_skips(nets['stride 2'], *speaking)
    ax.imshow(viz.colours(tinyfcn.predict(net, image)))
    mean_iu[title] = tinyfcn.evaluate(net, unseen)['mean_iu']
    ax.set_title(f'{title}: {100 * mean_iu[title]:.1f}', fontsize=10)
for ax in axes:
    ax.axis('off')
plt.show()
assert mean_iu['no skip'] < mean_iu['stride 2'] - .1

# %% [markdown]
# Above each, mean IU in per cent on the unseen pictures. Without its skips the last net loses a
# good part of its score: its coarse scores have come to rely on the others for the outline.
#
# **Change this and run again.** Let only `score_pool1` speak: `'+ pool1': ('score_pool1',)`. Expect
# little gain over no skip at all, for pool1 sees 4 pixels. Or take out the coarse scores: in
# `with_skips` put `'score_fr'` in place of `'score_pool2'`. Expect mean IU to fall below that of no
# skip: sharp outlines, wrong names.
#
# ## Why naive fusion hurts
#
# Why not train 8s in one go, skips and all? People who try it with VGG-16 report that it does not
# learn. To see why, look at one score, s = w·x, and one step of descent at rate r, when the loss
# asks for ds:
#
# ```
# w ← w − r·ds·x          so          s ← s − r·ds·(x·x)
# ```
#
# The score moves by r·|x|² times what was asked: the *square* of the size of the features.

# %%
x, w = np.array([3., 4.]), np.array([.5, -1.])
r, ds = .1, -.2                                         # the loss asks s to grow
s, moved = w @ x, (w - r * ds * x) @ x
print(f's moves from {s:g} to {moved:g}, by r·|ds|·|x|² = {r * abs(ds) * (x @ x):g}')
assert np.isclose(moved - s, -r * ds * (x @ x))

# %% [markdown]
# So a rate that is right for one layer is wrong for another whose features are larger. How large
# are they here?

# %%
some = np.concatenate([prepare(unseen[i][0], TINY['preprocess']) for i in range(8)])
nets['stride 2'].forward(some, keep=True)
for name in 'pool1', 'pool2', 'relu4':
    features = nets['stride 2'].values[name]
    print(f'{name}: |x|² of a cell is {(features ** 2).sum(1).mean():7.1f} on average, '
          f'of {features.shape[1]} channels')

# %% [markdown]
# Nobody arranged these sizes, and they are far apart; a single rate cannot suit them all. Now make
# the skips thirty times as loud, |x|² 900 times as large, and train the last net on from the first,
# both skips at once, by plain descent with momentum (lesson 12).

# %%
ways = {'as it is': (1., .005), '30 times as loud': (30., .005),
        '30 times as loud, rate / 900': (30., .005 / 900)}
fig, ax = plt.subplots(figsize=(5, 2.2))
largest = {}
for name, (loud, lr) in ways.items():
    net = quarter(2, loud)
    tinyfcn.weights.transplant(net, nets['stride 8'].params)
    rows = tinyfcn.fit(net, pictures, dict(TINY, optimizer='sgd', momentum=.9, lr=lr, steps=12))
    losses = [row['loss'] for row in rows]
    ax.semilogy(losses, label=name)
    largest[name] = max(losses)
    print(f'{name:28} first loss {losses[0]:.2f}, largest {largest[name]:6.2f}')
ax.set(xlabel='step', ylabel='loss')
ax.legend(fontsize=8)
plt.show()
assert largest['30 times as loud'] > 10 * largest['as it is']
assert largest['30 times as loud, rate / 900'] < 1.2 * largest['as it is']

# %% [markdown]
# Too loud, and the skips shout the others down: each step overshoots, and the loss leaps up. At a
# 900th of the rate they are calm, but then all the rest hardly moves at all. The paper's cures are
# these two:
#
# - **in stages**: the coarse net learns first at the full rate; then each skip is added at a rate a
#   hundred times lower, when not much is left to move;
# - **at once**: the skips are *scaled* down, by fixed factors, before they are scored. Then one
#   rate suits all. In our case it would be 1/30.

# %%
viz.show_source(fcn.fcn8s_at_once)

# %% [markdown]
# Factors of 0.01 and 0.0001, |x|² by 10⁴ and 10⁸: so different in size are the features of VGG-16.
#
# ## What PyTorch calls this
#
# - A *skip connection*. The sum is `+`; the upsampling `nn.ConvTranspose2d(c, c, 4, stride=2,
#   groups=c, bias=False)` with bilinear weights, or `F.interpolate(scale_factor=2)`.
# - torchvision's `fcn_resnet50` has no skips: it keeps stride 8 with dilated convolutions instead.
# - U-Net and its many children *concatenate* (`torch.cat`) where FCN adds. It is the same family: a
#   1×1 convolution of two maps laid side by side is the sum of a 1×1 convolution of each.

# %%
rng = np.random.default_rng(0)
a, b = rng.standard_normal((1, 3, 4, 4)), rng.standard_normal((1, 6, 4, 4))
w = rng.standard_normal((5, 9, 1, 1))
joined, _ = ops.conv2d(ops.concat(a, b)[0], w)
parted = ops.conv2d(a, w[:, :3])[0] + ops.conv2d(b, w[:, 3:])[0]
assert np.allclose(joined, parted)

# %% [markdown]
# ## Three questions
#
# 1. Why are the coarse scores upsampled to the skip's stride, and not the skip pooled down to
#    theirs?
#
# <details><summary>Answer</summary>
#
# Pooling would throw away just what the skip is asked for: where, to the cell.
#
# </details>
#
# 2. At the first step of the second stage `score_pool4` is zero. Does it get a gradient? Does
#    pool4 get one through it?
#
# <details><summary>Answer</summary>
#
# `score_pool4` does: its gradient is ds·x, and x, the features, are not zero. pool4 gets none
# through it, for that would be wᵀ·ds with w = 0. After one step w is not zero, and it does.
#
# </details>
#
# 3. FCN-8s could go on: a skip from pool2, at stride 4. What would the next crop be, for VGG-16?
#
# <details><summary>Answer</summary>
#
# The sum at 8·i − 23.5 is upsampled by 2: −23.5 − 4·1.5 = −29.5. pool2 stands at 4·i − 97.5. So
# (−29.5 + 97.5)/4 = 17. The paper stopped at 8s, where the gains had become small.
#
# </details>
#
# **Next:** we have let nets learn three times now and looked away. Lesson 12 looks: the loss of
# every pixel, the void, the momentum.
