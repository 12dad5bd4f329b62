# %% [markdown]
# # 12. Training
#
# **A net has computed scores for every pixel, and the label holds the true classes. Which way
# should each of its weights move, and how far?**
#
# You know how the backward pass computes gradients through every box (lesson 05). Two things are
# missing: where the first gradient comes from, and how the gradients change the weights. This
# lesson covers both, and then trains a net.

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
# A pixel has one score for each class, which may be any number. Two steps turn the scores into a
# loss:
#
# 1. **softmax** turns them into probabilities: p[c] = exp(s[c]) / Σ exp(s). All are positive, and
#    they sum to 1. Adding 1 to a score multiplies exp(s) by 2.7.
# 2. the **loss** is −log p[truth], called **cross-entropy**: 0 if the net is certain and right, and
#    unbounded if it is certain and wrong.

# %%
s = np.array([2., 1., -1.])
truth = 1
p = np.exp(s) / np.exp(s).sum()
loss = -np.log(p[truth])
print(f'p    = {p.round(3)}\nloss = {loss:.3f}')


def loss_of(s):
    return -np.log(np.exp(s[truth]) / np.exp(s).sum())


numerical = []                      # the gradient by finite differences (lesson 05)
for delta in 1e-6 * np.eye(3):
    numerical.append((loss_of(s + delta) - loss_of(s - delta)) / 2e-6)
print(f'its gradient: {np.round(numerical, 3)}')
assert np.allclose(numerical, p - [0, 1, 0], atol=1e-6)

# %% [markdown]
# Look at the last line, and at p. The gradient is **p − 1 at the true class and p at every other
# class**. This is surprisingly simple, and easy to interpret: a step against the gradient raises
# the true score in proportion to 1 − p, and lowers each wrong score in proportion to its p. The
# gradients of a pixel sum to 0, and for a pixel that is right and certain they vanish.

# %%
figure, axes = plt.subplots(1, 3, figsize=(8, 1.9), sharex=True, layout='constrained')
bars = [('score s', s), ('probability p', p),
        ('gradient p − 1 at the truth, p elsewhere', numerical)]
for ax, (title, values) in zip(axes, bars):
    ax.bar(['0', '1 (truth)', '2'], values, color=['#9aa0aa', '#0072b2', '#9aa0aa'])
    ax.axhline(0, color='black', lw=.8)
    ax.set_title(title, fontsize=8)

# %% [markdown]
# Two details that every implementation must get right.
#
# - **exp overflows.** exp(1000) is infinite. But adding one number to all scores of a pixel changes
#   no p, so the largest score is subtracted first, and then no exponent is above 0.
# - **An untrained net** gives the same score to all C classes. Then every p is 1/C and the loss is
#   log C. Remember that number: if the loss of a training run starts at another value, something is
#   wrong.

# %%
big = np.array([1000., 999., 997.])[None, :, None, None]            # (N, C, H, W), one pixel
loss, _ = ops.softmax_cross_entropy(big, np.array([[[1]]]))
assert np.isclose(loss, ops.softmax_cross_entropy(big - 1000, np.array([[[1]]]))[0])
loss, _ = ops.softmax_cross_entropy(np.zeros((1, 21, 1, 1)), np.array([[[7]]]))
print(f'the loss of equal scores for 21 classes is {loss:.4f} = log 21')
assert np.isclose(loss, np.log(21))

# %% [markdown]
# ## All pixels, and void pixels
#
# The loss of an image is the **sum** over its pixels, and the gradient of each pixel depends only
# on its own p. A pixel labelled 255 is void: its true class is unknown (lesson 01). It adds nothing
# to the loss, and its gradient is exactly 0 for any scores. Step through five pixels and three
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
    pixel_loss, _ = ops.softmax_cross_entropy(score[None, :, None, j:j + 1],
                                              label[None, None, j:j + 1])
    cells = [[i, j] for i in range(3)]
    caption = f'pixel {j} is void: its loss and its gradient are 0'
    if label[j] != 255:
        p = dscore[label[j], j] + 1
        caption = f'true class {label[j]}: p = {p:.3f}, loss = −log p = {pixel_loss:.3f}'
    gradients = [[i, j, float(dscore[i, j])] for i in range(3)]
    frames.append(dict(
        caption=caption, set=dict(loss=[[0, j, float(pixel_loss)]], dscore=gradients),
        highlight=dict(score=cells, label=[[0, j]], dscore=cells, loss=[[0, j]])))
Player(dict(
    kind='grid', title='softmax loss, one pixel after the other', frames=frames,
    grids=[dict(name='score', title='score: one row per class', values=score.tolist(), row=0),
           dict(name='label', title='label', values=[label.tolist()], row=0),
           dict(name='dscore', title='dscore', values=empty, row=1),
           dict(name='loss', title='loss', values=[[None] * 5], row=1)]))

# %% [markdown]
# Pixel 1 has equal scores and the loss log 3 = 1.1; pixel 4 has a high score for class 0, which is
# wrong, and the largest loss. This is the op, forward and backward. Its gradient is so cheap that
# the forward computes it as well, and the backward only returns it.

# %%
viz.show_source(ops.softmax_cross_entropy, backward=True)

# %% [markdown]
# `reduce='mean'` divides by the number of pixels that are not void. The direction is the same and
# only the length differs, so **a learning rate belongs to one of the two**. With the sum an image
# twice as large has twice the gradient; with the mean every image has the same weight. Lesson 13
# uses this.

# %%
by_sum = ops.softmax_cross_entropy(score[None, :, None], label[None, None])
by_mean = ops.softmax_cross_entropy(score[None, :, None], label[None, None], reduce='mean')
print(f'sum {by_sum[0]:.3f}, mean {by_mean[0]:.3f} over 4 pixels; the fifth is void')
assert np.allclose(by_sum[1], 4 * by_mean[1]) and not dscore[:, 3].any()

# %% [markdown]
# ### Exercise: the loss and its gradient
#
# The inputs are score (N, C, H, W) and label (N, H, W), integers. Return the sum of the loss over
# all pixels that are not 255, and dscore, with the shape of score. The true classes as a mask (N,
# C, H, W) are `np.arange(C)[:, None, None] == label[:, None]`.

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
#     loss = -log_p[truth].sum()                  # no class is 255, so truth excludes void
#     return loss, (np.exp(log_p) - truth) * valid
# ```
#
# </details>

# %% [markdown]
# ## Momentum: how the weights move
#
# Now `net.backward` gives a gradient g for every weight w. Gradient descent is w ← w − lr·g, with a
# learning rate lr. It has a weakness: where the loss is a narrow valley, g points across it, not
# along it. **Momentum** helps. A velocity v accumulates gradients with exponential decay:
#
#     v ← μ·v + lr·g
#     w ← w − v
#
# Components that alternate in sign cancel in v; components of constant sign add up. If g stays
# constant, v grows to lr·g·(1 + μ + μ² + …) = **lr·g / (1 − μ)**: ten times as far at μ = 0.9, a
# hundred times at 0.99. With g = 1 and lr = 1, by the library's SGD:

# %%
params = {'w': np.zeros(1)}
sgd = tinyfcn.optim.SGD(lr=1, momentum=.9)
v = 0.
for i in range(1, 31):
    sgd.step(params, {'w': np.ones(1)})
    before = v
    v = float(sgd.velocity['w'][0])
    if i <= 4 or i == 30:
        print(f'step {i:2}   v = 0.9·{before:.3f} + 1 = {v:.3f}   w = {params["w"][0]:.3f}')
assert np.isclose(v, (1 - .9 ** 30) / (1 - .9)) and v < 10

# %%
def path(momentum, lr, steps=40):
    """Gradient descent on ½(w₀² + 30 w₁²), a valley thirty times as steep along one axis."""
    params = {'w': np.array([-4., 1.])}
    sgd = tinyfcn.optim.SGD(lr=lr, momentum=momentum)
    positions = [params['w'].copy()]
    for _ in range(steps):
        sgd.step(params, {'w': np.array([1., 30.]) * params['w']})
        positions.append(params['w'].copy())
    return np.array(positions)


a, b = np.meshgrid(np.linspace(-4.5, 1.5, 50), np.linspace(-1.3, 1.3, 40))
figure, axes = plt.subplots(1, 2, figsize=(6.5, 1.7), sharey=True, layout='constrained')
for ax, momentum in zip(axes, (0., .8)):
    positions = path(momentum, lr=.02)
    ax.contour(a, b, (a * a + 30 * b * b) / 2, 5, colors='#9aa0aa', linewidths=.6)
    ax.plot(*positions.T, 'o-', ms=2.5, lw=1, color='#d55e00')
    distance = np.hypot(*positions[-1])
    ax.set_title(f'momentum {momentum}: {distance:.2f} from the minimum', fontsize=8)
assert np.hypot(*path(.8, .02)[-1]) < .1 < 1 < np.hypot(*path(0., .02)[-1])

# %% [markdown]
# **Change this and run again:** momentum 0.8 to 0.99 (it overshoots the minimum and swings back),
# or lr=.02 to .07 with momentum 0 (each step crosses the valley and ends higher: it *diverges*; the
# steepest direction limits lr).

# %%
mu, rate = .8, .02                                      # try: (.99, .02), (0., .07), (.99, .07)

positions = path(mu, rate)
plt.figure(figsize=(3.2, 1.7))
plt.contour(a, b, (a * a + 30 * b * b) / 2, 5, colors='#9aa0aa', linewidths=.6)
plt.plot(*positions.T, 'o-', ms=2.5, lw=1, color='#d55e00')
plt.title(f'{np.hypot(*positions[-1]):.2f} from the minimum', fontsize=8)
plt.show()

# %% [markdown]
# Three more terms. **Weight decay** adds λ·w to g, so that unneeded weights shrink. A **learning
# rate schedule** lowers lr during training; "poly" means lr·(1 − it/total)^0.9. **Adam** divides
# each weight's step by the recent magnitude of its own gradient; `make demo` uses it.

# %% [markdown]
# ## A net to train
#
# The data set has images of 48×64 with discs, triangles and rings, generated on the fly. The net is
# a small FCN: three convolutions, two poolings, a coarse prediction at stride 4, and one skip at
# stride 2 (lesson 11). One op is new, because this net starts from random weights: **batch
# normalisation** shifts and scales each channel to mean 0 and variance 1 over all pixels of the
# batch, then by two learned numbers, so that the outputs of all layers start with a similar
# magnitude.
#
# A *recipe* holds all these settings (the hyperparameters); those that are not given have defaults.

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
train_set = shapes(split='train', **SIZE)
val_set = shapes(split='val', **SIZE)
train_set = train_set.subset(train_set.names[:160])
train_set.read = cache(train_set.read)                  # generate each image once, then keep it
recipe = tinyfcn.training.Recipe(
    loss='mean', lr=.1, momentum=.9, weight_decay=0., rules={}, lr_power=.9, steps=130, batch=4,
    preprocess=CENTRED)
net = tinyfcn.Net(channels=3)
small(net, n_class=4)
print(net)

# %% [markdown]
# ## One step, by hand and with next()
#
# A step has four parts: forward, loss, backward, update. `training.train` is a generator that
# repeats them; each `next()` runs one step. Here both versions take the same batch, and end with
# the same weights.

# %%
mine = deepcopy(net)
names, image, label = next(batches(train_set, CENTRED, batch=4))
score = mine.forward(image, train=True)
loss, dscore = ops.softmax_cross_entropy(score, label, reduce='mean')
grads = mine.backward(score=dscore)
tinyfcn.optim.SGD(lr=.1, momentum=.9).step(mine.params, grads)

rows = training.train(net, train_set, recipe, training.make_optimizer(recipe))
row = next(rows)
print(row)
print(f'log 4 = {np.log(4):.4f}: the score layers start at zero')
assert np.isclose(row['loss'], loss) and np.isclose(loss, np.log(4), rtol=1e-5)
assert all(np.allclose(mine.params[name], net.params[name], atol=1e-6) for name in net.params)
updated = [name for name in grads if grads[name].any()]
print(f'weights with a nonzero gradient in the first step: {", ".join(updated)}')

# %% [markdown]
# Why only the two score layers? Their weights are zero, and the backward of a convolution
# multiplies by its weights (dx = Mᵀ dy, lesson 05). After this step they are no longer zero, and
# the second step updates the whole net:

# %%
score = net.forward(image, train=True)
grads = net.backward(score=ops.softmax_cross_entropy(score, label, reduce='mean')[1])
assert len(updated) < len(grads) and all(g.any() for g in grads.values())
print(f'now {len(grads)} of {len(net.params)} arrays of weights')

# %% [markdown]
# ## First, overfit one image
#
# Before you spend hours on training, test the minimum: can the net **overfit** a single image, that
# is, learn it exactly? If it cannot, something is broken, and no amount of data will help. The loss
# map shows each pixel's −log p: bright where the loss is high.

# %%
def loss_map(net, image, label):
    """−log p[truth] of each pixel of one image, with train=True; nan where void."""
    score = net.forward(image, train=True)[0]
    log_p = score - np.log(np.exp(score).sum(0))
    classes = np.where(label == 255, 0, label).astype(int)
    loss = -np.take_along_axis(log_p, classes, 0)[0]
    return np.where(label[0] == 255, np.nan, loss)


single_image = train_set.subset(['15'])
_, image, label = next(batches(single_image, CENTRED))
overfit_net = tinyfcn.Net(channels=3)
small(overfit_net, n_class=4)
overfit_recipe = replace(recipe, steps=40, batch=1, lr=.03)
maps = {0: loss_map(overfit_net, image, label)}
losses = []
optimizer = training.make_optimizer(overfit_recipe)
for row in training.train(overfit_net, single_image, overfit_recipe, optimizer):
    losses.append(row['loss'])
    if row['step'] in (3, 40):
        maps[row['step']] = loss_map(overfit_net, image, label)

figure, axes = plt.subplots(1, 5, figsize=(7.5, 1.4), layout='constrained')
axes[0].imshow(single_image[0][0])
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
# At step 0 every pixel has the loss log 4. After three steps the loss is lowest on the background,
# which is most of the image, and still highest on the ring. After forty steps it is low everywhere.

# %% [markdown]
# ## Then, held-out images
#
# The generator is paused after its first step. Let it run to the end; then evaluate the net on
# sixty **held-out** images, which were not used for training (a validation set), with one confusion
# matrix over all of them (lesson 01).

# %%
history = [row['loss'] for row in rows]
scores = tinyfcn.evaluate(net, val_set)
print(f'mean IU {scores["mean_iu"]:.3f} on {len(val_set)} held-out images; IU by class:',
      dict(zip(val_set.classes, scores['iu'].round(2).tolist())))
assert scores['mean_iu'] > .9

# %%
figure, axes = plt.subplots(1, 4, figsize=(7.5, 1.6), layout='constrained',
                            gridspec_kw=dict(width_ratios=[1.6, 1, 1, 1]))
axes[0].semilogy(history, color='#9aa0aa', lw=.8)
axes[0].semilogy(np.convolve(history, np.ones(10) / 10, 'valid'), color='#0072b2')
axes[0].set_title('loss at each step, and the mean of ten', fontsize=8)
image, label = val_set[11]
shown = [('image', image), ('label', viz.colours(label)),
         ('prediction', viz.colours(tinyfcn.predict(net, image)))]
for ax, (title, pixels) in zip(axes[1:], shown):
    ax.imshow(pixels)
    ax.set_title(title, fontsize=8)
    ax.axis('off')

# %% [markdown]
# **Change this and run again:** the first forty steps of another net. Set lr from .1 to .001 (the
# loss falls too slowly), to 3 (it jumps, or training stops with an error that names the first box
# whose values are not finite), or momentum to 0 (slower). With a difficulty of 0.5 the shapes are
# smaller, have less contrast and other colours; the net then needs far more steps, as in
# `make demo`.

# %%
my_lr = .1                                              # try: .001, 3., 1000.
my_momentum = .9                                        # try: 0.
my_difficulty = 0.                                      # try: .5

my_recipe = replace(recipe, lr=my_lr, momentum=my_momentum)
my_set = shapes(split='train', **dict(SIZE, difficulty=my_difficulty)).subset(train_set.names)
my_net = tinyfcn.Net(channels=3)
small(my_net, n_class=4)
my_rows = training.train(my_net, my_set, my_recipe, training.make_optimizer(my_recipe))
my_losses = []
try:
    for _ in range(40):
        my_losses.append(next(my_rows)['loss'])
except ValueError as error:
    print(error)

plt.figure(figsize=(3.5, 1.6))
plt.semilogy(range(2, 41), history[:39], color='#9aa0aa', lw=3, label='from above')
plt.semilogy(range(1, len(my_losses) + 1), my_losses, color='#0072b2', lw=1, label='yours')
plt.legend(fontsize=8)
plt.show()

# %% [markdown]
# ## What PyTorch calls this
#
# - `nn.CrossEntropyLoss(ignore_index=255, reduction='sum')`, or `'mean'`. If *every* pixel is void,
#   its mean is nan (0/0) and ours is 0.
# - `torch.optim.SGD(momentum=0.9)` computes v ← μ·v + g, w ← w − lr·v: the same, as long as lr is
#   constant. Ours has lr inside v, as in Caffe, the library of the paper's authors.
# - `loss.backward(); optimizer.step(); optimizer.zero_grad()` is one step. Here there is nothing to
#   zero: `net.backward` returns new gradients each time.

# %% [markdown]
# ## Three questions
#
# 1. A training run with 5 classes starts at a loss of 1.609 per pixel and stays there. What is
#    likely broken?
#
# <details><summary>Answer</summary>
#
# log 5 = 1.609: all scores are equal and stay so. The weights get no gradient (for example all are
# zero, because those of the trunk were never loaded), or lr is far too small.
#
# </details>
#
# 2. Half of the pixels of an image are void. How does that change the gradient of a pixel that is
#    not void, with the sum and with the mean?
#
# <details><summary>Answer</summary>
#
# With the sum not at all. With the mean it doubles, because the sum is divided by half as many
# pixels.
#
# </details>
#
# 3. You raise momentum from 0.9 to 0.99 and change nothing else. Why may it diverge?
#
# <details><summary>Answer</summary>
#
# A constant gradient now moves a weight by 100·lr·g per step, not 10·lr·g. Divide lr by ten.
#
# </details>
#
# **Next, 13:** the same with photographs; and why the authors' learning rate is 0.0000000001.
