# %% [markdown]
# # 12. Training
#
# **A net has made a score for every pixel, and the label says what is true. Which way should each
# of its weights move, and how far?**
#
# You know how a gradient walks back through every box (lesson 05). Two ends are still loose: where
# the first gradient comes from, and what is done with the last one. This lesson ties both, and
# then a net learns before your eyes.

# %%
from copy import deepcopy
from dataclasses import replace
from functools import cache

import matplotlib.pyplot as plt
import numpy as np

import tinyfcn
from tinyfcn import ops, viz
from tinyfcn.training import loop as training
from tinyfcn.data.batches import batches
from tinyfcn.data.shapes import shapes
from tinyfcn.init import zeros
from tinyfcn.layers import add, batch_norm, conv, crop, max_pool, relu, upsample
from tinyfcn.course.exercises import check
from tinyfcn.course.player import Player

plt.rcParams.update({'figure.dpi': 56, 'image.interpolation': 'nearest'})

# %% [markdown]
# ## One pixel, by hand
#
# A pixel has one score for each class, any numbers at all. Two steps make them a punishment:
#
# 1. **softmax** makes them probabilities: p[c] = exp(s[c]) / Σ exp(s). All are positive, and they
#    sum to 1; one more in the score is 2.7 times as much in p.
# 2. the **loss** is −log p[truth]: 0 when the net is sure and right, without bound when it is sure
#    and wrong.

# %%
s, truth = np.array([2., 1., -1.]), 1
p = np.exp(s) / np.exp(s).sum()
loss = -np.log(p[truth])
print(f'p    = {p.round(3)}\nloss = {loss:.3f}')

nudged = []                         # how the loss changes with each score, by trying (lesson 05)
for c in range(3):
    up, down = s.copy(), s.copy()
    up[c], down[c] = s[c] + 1e-6, s[c] - 1e-6
    up, down = (-np.log(np.exp(t[truth]) / np.exp(t).sum()) for t in (up, down))
    nudged.append((up - down) / 2e-6)
print(f'its slope in each score: {np.round(nudged, 3)}')
assert np.allclose(nudged, p - [0, 1, 0], atol=1e-6)

# %% [markdown]
# Look at the last line, and at p. The slope is **p − 1 at the true class and p at every other**.
# After all those exponentials and logarithms nothing simpler could be left, and it reads well: the
# true score is pushed up by what p lacks, each wrong one down by what it has. The pushes of a
# pixel sum to 0, and a pixel that is right and sure pushes no more.

# %%
figure, axes = plt.subplots(1, 3, figsize=(8, 1.9), sharex=True, layout='constrained')
bars = [('score s', s), ('probability p', p), ('gradient p − 1 at the truth, p elsewhere', nudged)]
for ax, (title, values) in zip(axes, bars):
    ax.bar(['0', '1 (truth)', '2'], values, color=['#9aa0aa', '#0072b2', '#9aa0aa'])
    ax.axhline(0, color='black', lw=.8)
    ax.set_title(title, fontsize=8)

# %% [markdown]
# Two details that every implementation must get right.
#
# - **exp overflows.** exp(1000) is infinite. But adding one number to all scores of a pixel changes
#   no p, so the largest score is subtracted first, and then no exponent is above 0.
# - **A net that knows nothing** gives the same score to all C classes. Then every p is 1/C and the
#   loss is log C. Keep that number in mind: a training whose loss begins elsewhere has begun with
#   something odd.

# %%
big = np.array([1000., 999., 997.])[None, :, None, None]            # (N, C, H, W), one pixel
loss, _ = ops.softmax_cross_entropy(big, np.array([[[1]]]))
assert np.isclose(loss, ops.softmax_cross_entropy(big - 1000, np.array([[[1]]]))[0])
loss, _ = ops.softmax_cross_entropy(np.zeros((1, 21, 1, 1)), np.array([[[7]]]))
print(f'knowing nothing of 21 classes costs {loss:.4f} = log 21')
assert np.isclose(loss, np.log(21))

# %% [markdown]
# ## All pixels, and those that are void
#
# A picture's loss is the **sum** over its pixels, and each pixel's gradient is its own p − 1. A
# pixel labelled 255 is void: nobody knows what is there (lesson 01). It adds nothing to the loss
# and its gradient is exactly 0, whatever the net says of it. Step through five pixels and three
# classes; every number below comes from the library's own op.

# %%
score = np.array([[2., 0, -1, 1, 3],
                  [1., 0, 2, 1, 0],
                  [-1., 0, 1, -2, 0]])
label = np.array([0, 1, 1, 255, 2])
total, dscore = ops.softmax_cross_entropy(score[None, :, None], label[None, None])
dscore = dscore[0, :, 0]

empty = [[None] * 5 for _ in range(3)]
frames = []
for j in range(5):
    own, _ = ops.softmax_cross_entropy(score[None, :, None, j:j + 1], label[None, None, j:j + 1])
    here = [[i, j] for i in range(3)]
    caption = f'pixel {j} is void: loss 0, and nothing is pushed'
    if label[j] != 255:
        caption = f'truth {label[j]}: p = {dscore[label[j], j] + 1:.3f}, loss = −log p = {own:.3f}'
    pushes = [[i, j, float(dscore[i, j])] for i in range(3)]
    frames.append(dict(
        caption=caption, set=dict(loss=[[0, j, float(own)]], dscore=pushes),
        highlight=dict(score=here, label=[[0, j]], dscore=here, loss=[[0, j]])))
Player(dict(
    kind='grid', title='softmax loss, one pixel after the other', frames=frames,
    grids=[dict(name='score', title='score: a row a class', values=score.tolist(), row=0),
           dict(name='label', title='label', values=[label.tolist()], row=0),
           dict(name='dscore', title='dscore', values=empty, row=1),
           dict(name='loss', title='loss', values=[[None] * 5], row=1)]))

# %% [markdown]
# Pixel 1 knows nothing and pays log 3 = 1.1; pixel 4 is sure of class 0, is wrong, and pays most.
# This is the op, forward and back. Its gradient is so cheap that the forward makes it at once, and
# the backward only hands it out.

# %%
viz.show_source(ops.softmax_cross_entropy, backward=True)

# %% [markdown]
# `reduce='mean'` divides by the number of pixels that are not void. The direction is the same and
# only the length differs, so **a learning rate belongs to one of the two**. With the sum a picture
# twice as large pulls twice as hard; with the mean every picture pulls alike. Lesson 13 makes use
# of this.

# %%
by_sum = ops.softmax_cross_entropy(score[None, :, None], label[None, None])
by_mean = ops.softmax_cross_entropy(score[None, :, None], label[None, None], reduce='mean')
print(f'sum {by_sum[0]:.3f}, mean {by_mean[0]:.3f}: 4 pixels count, the fifth is void')
assert np.allclose(by_sum[1], 4 * by_mean[1]) and not dscore[:, 3].any()

# %% [markdown]
# ### Exercise: the loss and its gradient
#
# score (N, C, H, W), label (N, H, W) of whole numbers. Give the sum of the loss over all pixels
# that are not 255, and dscore, of the shape of score. The truth, (N, C, H, W), is
# `np.arange(C)[:, None, None] == label[:, None]`.

# %%
def softmax_cross_entropy_mine(score, label):
    raise NotImplementedError


check('softmax_cross_entropy', softmax_cross_entropy_mine)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def softmax_cross_entropy_mine(score, label):
#     valid = (label != 255)[:, None]
#     truth = np.arange(score.shape[1])[:, None, None] == label[:, None]
#     shifted = score - score.max(1, keepdims=True)
#     log_p = shifted - np.log(np.exp(shifted).sum(1, keepdims=True))
#     loss = -log_p[truth].sum()                  # no class is 255, so truth skips the void
#     return loss, (np.exp(log_p) - truth) * valid
# ```
#
# </details>

# %% [markdown]
# ## Momentum: how the weights move
#
# Now `net.backward` gives a gradient g for every weight w. Gradient descent is w ← w − lr·g, with
# a learning rate lr. It has a weakness: where the loss is a narrow valley, g points across it, not
# along it. **Momentum** remembers. A velocity v collects gradients and forgets them slowly:
#
#     v ← μ·v + lr·g
#     w ← w − v
#
# What points now left, now right cancels in v; what points the same way adds up. If g stays the
# same for long, v grows to lr·g·(1 + μ + μ² + …) = **lr·g / (1 − μ)**: ten times as far at μ = 0.9,
# a hundred times at 0.99. With g = 1 and lr = 1, by the library's SGD:

# %%
params, sgd = {'w': np.zeros(1)}, tinyfcn.optim.SGD(lr=1, momentum=.9)
v = 0.
for i in range(1, 31):
    sgd.step(params, {'w': np.ones(1)})
    before, v = v, float(sgd.velocity['w'][0])
    if i <= 4 or i == 30:
        print(f'step {i:2}   v = 0.9·{before:.3f} + 1 = {v:.3f}   w = {params["w"][0]:.3f}')
assert np.isclose(v, (1 - .9 ** 30) / (1 - .9)) and v < 10

# %%
def path(momentum, lr, steps=40):
    """Down a valley, ½(w₀² + 30 w₁²), thirty times as steep in one direction as in the other."""
    params, sgd = {'w': np.array([-4., 1.])}, tinyfcn.optim.SGD(lr=lr, momentum=momentum)
    walked = [params['w'].copy()]
    for _ in range(steps):
        sgd.step(params, {'w': np.array([1., 30.]) * params['w']})
        walked.append(params['w'].copy())
    return np.array(walked)


a, b = np.meshgrid(np.linspace(-4.5, 1.5, 50), np.linspace(-1.3, 1.3, 40))
figure, axes = plt.subplots(1, 2, figsize=(6.5, 1.7), sharey=True, layout='constrained')
for ax, momentum in zip(axes, (0., .8)):
    walked = path(momentum, lr=.02)
    ax.contour(a, b, (a * a + 30 * b * b) / 2, 5, colors='#9aa0aa', linewidths=.6)
    ax.plot(*walked.T, 'o-', ms=2.5, lw=1, color='#d55e00')
    ax.set_title(f'momentum {momentum}: {np.hypot(*walked[-1]):.2f} from the bottom', fontsize=8)
assert np.hypot(*path(.8, .02)[-1]) < .1 < 1 < np.hypot(*path(0., .02)[-1])

# %% [markdown]
# **Change this and run again:** momentum 0.8 to 0.99 (it swings far past the bottom and back), or
# lr=.02 to .07 with momentum 0 (each step crosses the valley and lands higher: it *diverges*; the
# steepest direction decides how large lr may be).
#
# Three more words that you will meet. **Weight decay** adds λ·w to g, so that weights nobody needs
# shrink. A **schedule** lowers lr as training goes on; "poly" means lr·(1 − it/total)^0.9. **Adam**
# divides each weight's step by the recent size of its own gradient; `make demo` uses it.

# %% [markdown]
# ## A net to train
#
# Pictures of 48×64 with discs, triangles and rings, drawn as they are asked for; and an FCN in
# small: three convolutions, two pools, a coarse prediction at stride 4, one skip at stride 2
# (lesson 11). One box is new, for this net begins from random weights: **batch normalisation**
# shifts and scales each channel to mean 0 and variance 1 over all pixels of the batch, then by two
# learned numbers, so that no layer starts too loud or too quiet for the next.
#
# A *recipe* holds all that was said above; what it leaves out has defaults.

# %%
def small(n, n_class):
    x = n.data
    for i, (depth, ksize) in enumerate([(8, 3), (16, 3), (24, 5)], start=1):
        x = n[f'conv{i}'] = conv(x, depth, ksize, pad=ksize // 2, bias=False)
        x = n[f'bn{i}'] = batch_norm(x)
        x = n[f'relu{i}'] = relu(x)
        if i < 3:
            x = n[f'pool{i}'] = max_pool(x, 2)

    n.coarse = conv(n.relu3, n_class, 1, init=zeros)                    # every 4 pixels
    n.upscore2 = upsample(n.coarse, 2)
    n.fine = conv(n.pool1, n_class, 1, init=zeros)                      # every 2 pixels
    n.fused = add(n.fine, crop(n.upscore2, like=n.fine))
    n.score = crop(upsample(n.fused, 2), like=n.data)


CENTRED = dict(order='RGB', scale=1 / 64, mean=(2., 2., 2.), std=(1, 1, 1))     # about −2 … 2
SIZE = dict(size=(48, 64), n_class=4, difficulty=0.)
pictures, unseen = shapes(split='train', **SIZE), shapes(split='val', **SIZE)
pictures = pictures.subset(pictures.names[:160])
pictures.read = cache(pictures.read)                    # drawn once, then kept
recipe = tinyfcn.training.Recipe(
    loss='mean', lr=.1, momentum=.9, weight_decay=0., rules={}, lr_power=.9, steps=130, batch=4,
    preprocess=CENTRED)
net = tinyfcn.Net(channels=3)
small(net, n_class=4)
print(net)

# %% [markdown]
# ## One step, by hand and with next()
#
# A step is four lines: forward, loss, backward, move. `training.train` is a generator that does
# them again and again; `next()` lets it do them once. Both take the same batch here, and end at the
# same weights.

# %%
mine = deepcopy(net)
names, image, label = next(batches(pictures, CENTRED, batch=4))
score = mine.forward(image, train=True)
loss, dscore = ops.softmax_cross_entropy(score, label, reduce='mean')
grads = mine.backward(score=dscore)
tinyfcn.optim.SGD(lr=.1, momentum=.9).step(mine.params, grads)

rows = training.train(net, pictures, recipe, training.make_optimizer(recipe))
row = next(rows)
print(row)
print(f'log 4 = {np.log(4):.4f}: the score layers begin at zero')
assert np.isclose(row['loss'], loss) and np.isclose(loss, np.log(4), rtol=1e-5)
assert all(np.allclose(mine.params[name], net.params[name], atol=1e-6) for name in net.params)
moved = [name for name in grads if grads[name].any()]
print(f'weights that felt a push in the first step: {", ".join(moved)}')

# %% [markdown]
# Only the two score layers and nothing below? Their weights are zero, and a gradient goes back
# through a convolution by way of its weights (dx = Mᵀ dy, lesson 05). After this step they are not
# zero any more, and the second push reaches the whole net:

# %%
score = net.forward(image, train=True)
grads = net.backward(score=ops.softmax_cross_entropy(score, label, reduce='mean')[1])
assert len(moved) < len(grads) and all(g.any() for g in grads.values())
print(f'now {len(grads)} of {len(net.params)} arrays of weights')

# %% [markdown]
# ## First, one picture by heart
#
# Before hours are spent, ask the least: can the net learn a single picture by heart? If it
# cannot, something is broken, and no amount of data will mend it. The loss map shows each
# pixel's −log p: bright where the net pays.

# %%
def loss_map(net, image, label):
    """−log p[truth] of each pixel of one picture, as training sees it; void is nan."""
    score = net.forward(image, train=True)[0]
    log_p = score - np.log(np.exp(score).sum(0))
    own = -np.take_along_axis(log_p, np.where(label == 255, 0, label).astype(int), 0)[0]
    return np.where(label[0] == 255, np.nan, own)


one = pictures.subset(['15'])
_, image, label = next(batches(one, CENTRED))
pupil = tinyfcn.Net(channels=3)
small(pupil, n_class=4)
plan = replace(recipe, steps=40, batch=1, lr=.03)
maps, losses = {0: loss_map(pupil, image, label)}, []
for row in training.train(pupil, one, plan, training.make_optimizer(plan)):
    losses.append(row['loss'])
    if row['step'] in (3, 40):
        maps[row['step']] = loss_map(pupil, image, label)

figure, axes = plt.subplots(1, 5, figsize=(7.5, 1.4), layout='constrained')
axes[0].imshow(one[0][0])
axes[1].imshow(viz.colours(label[0]))
for ax, (step, values) in zip(axes[2:], maps.items()):
    ax.imshow(values, vmin=0, vmax=1.4, cmap='magma')
    ax.set_title(f'loss map, step {step}', fontsize=8)
for ax, title in zip(axes, ('image', 'label, void in cream')):
    ax.set_title(title, fontsize=8)
for ax in axes:
    ax.axis('off')
print(f'loss {losses[0]:.3f} -> {losses[-1]:.3f}')
assert losses[-1] < .1
assert maps[3][label[0] == 0].mean() < maps[3][label[0] == 3].mean()

# %% [markdown]
# At step 0 every pixel pays log 4 alike. After three steps the ground, which is most of the
# picture, is the cheapest, and the ring still the dearest. After forty all is known.

# %% [markdown]
# ## Then, pictures it has never seen
#
# The generator stands after its first step. Let it go on to the end; `evaluate` then judges the net
# on sixty pictures of another stream, with one confusion matrix over all of them (lesson 01).

# %%
history = [row['loss'] for row in rows]
scores = tinyfcn.evaluate(net, unseen)
print(f'mean IU {scores["mean_iu"]:.3f} on {len(unseen)} unseen pictures; by class:',
      dict(zip(unseen.classes, scores['iu'].round(2).tolist())))
assert scores['mean_iu'] > .9

# %%
figure, axes = plt.subplots(1, 4, figsize=(7.5, 1.6), layout='constrained',
                            gridspec_kw=dict(width_ratios=[1.6, 1, 1, 1]))
axes[0].semilogy(history, color='#9aa0aa', lw=.8)
axes[0].semilogy(np.convolve(history, np.ones(10) / 10, 'valid'), color='#0072b2')
axes[0].set_title('loss at each step, and the mean of ten', fontsize=8)
image, label = unseen[11]
shown = [('image', image), ('label', viz.colours(label)),
         ('prediction', viz.colours(tinyfcn.predict(net, image)))]
for ax, (title, pixels) in zip(axes[1:], shown):
    ax.imshow(pixels)
    ax.set_title(title, fontsize=8)
    ax.axis('off')

# %% [markdown]
# **Change this and run again:** in `recipe`, lr=.1 to .001 (the curve sinks too slowly), to 3 (it
# jumps about, or stops with a sentence that names the first box whose values were not finite), or
# momentum to 0 (slower). In `SIZE`, difficulty to 0.5: smaller, fainter, other colours; it would
# then need far more steps, as `make demo` takes them.

# %% [markdown]
# ## What PyTorch calls this
#
# - `nn.CrossEntropyLoss(ignore_index=255, reduction='sum')`, or `'mean'`. If *every* pixel is void,
#   its mean is nan (0/0) and ours is 0.
# - `torch.optim.SGD(momentum=0.9)` computes v ← μ·v + g, w ← w − lr·v: the same, as long as lr
#   stays the same. Ours has lr inside v, as in Caffe, the paper's authors' library.
# - `loss.backward(); optimizer.step(); optimizer.zero_grad()` is one step. We have nothing to zero:
#   `net.backward` gives new gradients each time.

# %% [markdown]
# ## Three questions
#
# 1. A training with 5 classes begins at a loss of 1.609 a pixel and stays there for ever. What is
#    likely broken?
#
# <details><summary>Answer</summary>
#
# log 5 = 1.609: all scores are equal and stay so. No gradient reaches weights that matter: all
# weights are zero, say, because those of the trunk were never loaded, or lr is far too small.
#
# </details>
#
# 2. Half of the pixels of a picture are void. How does that change the gradient of a pixel that
#    counts, with the sum and with the mean?
#
# <details><summary>Answer</summary>
#
# With the sum not at all. With the mean it doubles, for the sum is divided by half as many.
#
# </details>
#
# 3. You raise momentum from 0.9 to 0.99 and change nothing else. Why may it diverge?
#
# <details><summary>Answer</summary>
#
# A lasting gradient now moves a weight 100·lr·g a step, not 10·lr·g. Lower lr tenfold.
#
# </details>
#
# **Next, 13:** the same with photographs; and why the authors' learning rate is 0.0000000001.
