# %% [markdown]
# # 14. Training
#
# **Loss, gradients, a step: how do they become a net that segments images it has never seen?**
#
# *About 50 minutes, with its exercises.*
#
# You know the loss and its gradient with respect to the scores, the step of SGD (lesson 05), and
# the backward pass through every box (lessons 06 and 13). Lessons 11 and 12 have trained nets with
# them. This lesson opens the loop: one step by hand, the settings that people argue about, and the
# two tests that every training run should pass.

# %% tags=["hide-input"]
from copy import deepcopy
from dataclasses import replace
from functools import cache

import matplotlib.pyplot as plt
import numpy as np

import tinyfcn
from tinyfcn import ops, viz
from tinyfcn.course import own, tracing
from tinyfcn.course.exercises import check
from tinyfcn.course.player import Player
from tinyfcn.data.batches import batches
from tinyfcn.data.shapes import shapes
from tinyfcn.init import zeros
from tinyfcn.layers import add, batch_norm, conv, crop, max_pool, relu, upsample
from tinyfcn.training import loop as training

plt.rcParams.update({'figure.dpi': 100, 'image.interpolation': 'nearest'})

# %% [markdown]
# ## A step of SGD, in full
#
# Lesson 05 had the gradient g, the learning rate lr and momentum μ. Two more settings belong to a
# step:
#
# - **weight decay** adds λ·w to g, so that weights that are not needed shrink;
# - a **learning rate schedule** lowers lr during training; "poly" means lr·(1 − step/total)^0.9.
#
# ```
# v ← μ·v + lr·(g + λ·w)
# w ← w − v
# ```
#
# Step through it for two weights; the second has no gradient, only decay:

# %% tags=["hide-input"]
# step through SGD with momentum and weight decay
g = np.array([1., 0.])
params = {'w': np.array([2., 2.])}
sgd = tinyfcn.optim.SGD(lr=.5, momentum=.5, weight_decay=.1)
frames = []
for step in range(5):
    sgd.lr = tinyfcn.optim.poly(.5, step, 5)
    v_before = float(sgd.velocity['w'][0]) if 'w' in sgd.velocity else 0.
    w_before = float(params['w'][0])
    sgd.step(params, {'w': g})
    v = sgd.velocity['w']
    frames.append(dict(
        caption=f'v[0] = 0.5·{v_before:.3f} + {sgd.lr:.3f}·(1 + 0.1·{w_before:.3f}) = {v[0]:.3f}, '
                f'w[0] = {params["w"][0]:.3f}'.replace('-', '−'),
        set={'lr': [[0, 0, sgd.lr]], 'v': [[0, i, float(v[i])] for i in (0, 1)],
             'w': [[0, i, float(params['w'][i])] for i in (0, 1)]},
        highlight={'lr': [[0, 0]], 'v': [[0, 0]], 'w': [[0, 0]]}))
Player(dict(kind='grid', title='five steps of SGD with momentum and weight decay', frames=frames,
            grids=[dict(name='g', title='g', values=[[1, 0]], row=0, colours='signed'),
                   dict(name='lr', title='lr', values=[[.5]], row=0, colours='shade'),
                   dict(name='v', title='v', values=[[0, 0]], row=0, colours='signed'),
                   dict(name='w', title='w', values=[[2, 2]], row=0, colours='signed')]))

# %% [markdown]
# ### Exercise: a step of SGD
#
# g ← g + decay·w; v ← momentum·v + lr·g; w ← w − v. (`decay` is λ, `momentum` is μ.) Return the new
# w and v, and do not modify the arguments: a step that is tried and rejected must leave no trace.

# %%
def sgd_mine(w, g, v, lr, momentum, decay):
    raise NotImplementedError


check('sgd', sgd_mine)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def sgd_mine(w, g, v, lr, momentum, decay):
#     v = momentum * v + lr * (g + decay * w)
#     return w - v, v
# ```
#
# </details>
#
# The library's own lines update large arrays in place, to save memory and time:

# %%
viz.show_source(tinyfcn.optim.sgd_update)

# %% [markdown]
# ## A net to train
#
# The data set has images of 48×64 with discs, triangles and rings, generated on the fly. The net is
# a small FCN: three convolutions, two poolings, a coarse prediction at stride 4, and one skip at
# stride 2 (lesson 12). One op is new, because this net starts from random weights: **batch
# normalisation** shifts and scales each channel to mean 0 and variance 1 over all pixels of the
# batch, then by two learned numbers, so that the outputs of all layers start with a similar
# magnitude. (One of the two numbers is a bias; hence `bias=False` in the convolutions. In
# prediction, running averages of the training batches replace the mean and variance of the batch.)
#
# A *recipe* holds all these settings (the hyperparameters); those that are not given have defaults.
# `lr_power` is the exponent of poly, and `rules={}` means the same lr and decay for all weights.

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
updated = [name for name in grads if grads[name].any()]
print(f'weights with a nonzero gradient in the first step: {", ".join(updated)}')

# %% tags=["hide-input"]
assert np.isclose(row['loss'], loss) and np.isclose(loss, np.log(4), rtol=1e-5)
assert all(np.allclose(mine.params[name], net.params[name], atol=1e-6) for name in net.params)

# %% [markdown]
# Why only the two score layers? Their weights are zero, and the backward of a convolution
# multiplies by its weights (dx = Mᵀ dy, lesson 06). After this step they are no longer zero, and
# the second step updates the whole net:

# %%
score = net.forward(image, train=True)
grads = net.backward(score=ops.softmax_cross_entropy(score, label, reduce='mean')[1])
nonzero = [name for name in grads if grads[name].any()]
print(f'now {len(nonzero)} of {len(net.params)} arrays of weights')

# %% tags=["hide-input"]
assert len(updated) < len(nonzero) == len(grads)

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

# %% tags=["hide-input"]
# draw the loss maps
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
# The generator is paused after its first step. Let it run to the end, and look at the mask of one
# **held-out** image now and then: an image that is not used for training. Step through it: at first
# everything is background, then the shapes appear, coarse, and their outlines come last.

# %%
val_image, val_label = val_set[11]
history = []
masks = {}
for row in rows:
    history.append(row['loss'])
    if row['step'] in (2, 5, 10, 20, 40, 80, 130):
        masks[row['step']] = tinyfcn.predict(net, val_image)
tracing.training(val_image, val_label, masks)

# %% [markdown]
# One image says little. Evaluate the net on all sixty held-out images (a validation set), with one
# confusion matrix over all of them (lesson 01):

# %%
scores = tinyfcn.evaluate(net, val_set)
print(f'mean IU {scores["mean_iu"]:.3f} on {len(val_set)} held-out images; IU by class:',
      dict(zip(val_set.classes, scores['iu'].round(2).tolist())))

# %% tags=["hide-input"]
assert scores['mean_iu'] > .9

# %% tags=["hide-input"]
# draw the loss
plt.figure(figsize=(6, 2.1))
plt.semilogy(history, color='#9aa0aa', lw=.8)
plt.semilogy(np.convolve(history, np.ones(10) / 10, 'valid'), color='#0072b2')
plt.title('loss at each step, and the mean of ten', fontsize=9)
plt.xlabel('step', fontsize=9)
plt.tight_layout()

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
# ## Your own functions train a net
#
# You have written a convolution and its backward pass, pooling, upsampling, a loss and a step of
# SGD. That is all that a training needs. Copy your solutions of lessons 00 to 09 and of this one
# into a file `mine.py`, below `import numpy as np`, and run in a terminal:
#
# ```
# tinyfcn demo --with mine.py
# ```
#
# First each function is checked, as in its lesson; one that is wrong is refused, with its hint. Then
# a small FCN-8s is trained twice from the same weights, with your functions and with the library's
# alone. The losses should agree, and a table says how much longer each part takes. What is not in
# the file remains the library's. A convolution by loops is slow: without `conv2d_mine`, your
# `im2col_mine` computes it, with one matrix product.
#
# The next cell does the same for ten steps, with one function: the solution of lesson 03. Put your
# own in its place. (`tinyfcn.course.progress()` lists the exercises that you have passed.)

# %%
def im2col_mine(x, ksize, stride, pad):
    x = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    windows = np.lib.stride_tricks.sliding_window_view(x, ksize, axis=(2, 3))
    windows = windows[:, :, ::stride, ::stride]
    count, depth, oh, ow, kh, kw = windows.shape
    return windows.transpose(0, 1, 4, 5, 2, 3).reshape(count, depth * kh * kw, oh * ow)


for functions in {'im2col': im2col_mine}, {}:
    ten_steps = own.train(functions, steps=10)
    print(', '.join(f'{loss:.3f}' for loss in ten_steps.losses[::3]), *functions)

# %% [markdown]
# ## What PyTorch calls this
#
# - `loss.backward(); optimizer.step(); optimizer.zero_grad()` is one step. Here there is nothing to
#   zero: `net.backward` returns new gradients each time.
# - `torch.optim.SGD(lr, momentum, weight_decay)` and `lr_scheduler.PolynomialLR(power=0.9)`.
# - `model.train()` and `model.eval()` switch batch normalisation and dropout; here it is the
#   argument `train=True` of `forward`.
#
# ## Three questions
#
# 1. A net overfits one image, but on the held-out images it predicts background everywhere, even
#    after many steps on the whole training set. What do you look at first?
#
# <details><summary>Answer</summary>
#
# At the loss of the training set. If it is still near log C, the net has not learned: lr is too
# small, or the training is too short. If it is low, the net has learned its training images, and
# the held-out ones differ: more images, or augmentation (lesson 15).
#
# </details>
#
# 2. Why are the score layers initialised to zero, and may the layers before them be zero, too?
#
# <details><summary>Answer</summary>
#
# With zero score layers the first loss is exactly log C, and no class is preferred. The layers
# before them must not be zero: then every feature is zero and no gradient passes in either
# direction, so nothing would ever change.
#
# </details>
#
# 3. The poly schedule of a run of 1000 steps. What is the learning rate after half of them?
#
# <details><summary>Answer</summary>
#
# lr·(1 − 0.5)^0.9 = 0.54·lr: the schedule is close to a straight line down to zero.
#
# </details>
#
# **Next, 15:** the same with photographs; and why the authors' learning rate is 0.0000000001.
