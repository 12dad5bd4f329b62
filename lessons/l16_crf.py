# %% [markdown]
# # 16. The pixels talk
#
# **Can the pixels of a picture settle among themselves what the net has left open?**
#
# A net with scores at stride 8 knows what is there, and its outlines are soft: between two scores
# lies a straight line (lesson 08). But the outline can be *seen*. Where the colour changes, the
# class often changes too, and pixels of one colour that lie close together are likely to be of one
# class. A fully connected conditional random field, CRF, lets all pixels tell each other so.

# %%
from itertools import product

import matplotlib.pyplot as plt
import numpy as np

from tinyfcn.prediction import crf
from tinyfcn import metrics, ops, viz
from tinyfcn.course import tracing
from tinyfcn.data import shapes
from tinyfcn.course.exercises import check

plt.rcParams['figure.dpi'] = 60

# %% [markdown]
# ## What the net has left open
#
# As in lesson 11 we take a net that makes no mistake, only its cells are 8×8 pixels: each class has
# the share of the cell that it really has. Upsampled, these shares are probabilities, one for each
# class at each pixel. (A little doubt, .02, is left everywhere: whoever is quite certain cannot be
# talked to.)

# %%
def soft(label, factor=8):
    """Probabilities (5, H, W): the classes' shares in cells of factor×factor, upsampled."""
    shares = (label == np.arange(5)[:, None, None])[None].astype(float)         # void is in none
    cells, _ = ops.avg_pool(shares, factor)
    fine, _ = ops.upsample(cells, factor)
    same, _ = ops.crop(fine, label.shape, factor // 2)
    doubt = same[0] + .02
    return doubt / doubt.sum(0)


def scene(index, size=(48, 64), difficulty=.2):
    image, label = shapes.generate(3, index, size, n_class=5, difficulty=difficulty)
    return image, label, soft(label)


image, label, prob = scene(9)
fig, axes = plt.subplots(1, 3, figsize=(7, 1.9))
for ax, (title, shown) in zip(axes, {'picture': image, 'truth': viz.colours(label),
                                     'what the net says': viz.colours(prob.argmax(0))}.items()):
    ax.imshow(shown)
    ax.set_title(title, fontsize=10)
    ax.axis('off')
plt.show()

# %% [markdown]
# ## By hand: a row of five pixels
#
# Two of them are dark and three are bright. There are two classes. The net is fairly sure of the
# two ends, and in the middle it has no idea. A **labelling** gives each pixel a class, and its
# **energy** says how little we like it:
#
# ```
# E(l) = − Σ log p(l of each pixel)   +   Σ over pairs with two different classes of k(pair)
#          what the net says                what neighbours of one colour do not like
# ```
#
# k is near 1 for two pixels of one colour that stand side by side, and near 0 if they are far apart
# or of different colours:
#
# ```
# k(i, j) = exp(−|place − place|² / 2α²  −  |colour − colour|² / 2β²)
# ```

# %%
grey = np.array([40., 40, 200, 200, 200])
p = np.array([[.9, .6, .5, .4, .1],                     # of class 0
              [.1, .4, .5, .6, .9]])

places = np.arange(5.)
alpha, beta = 2., 30.
k = np.exp(-np.subtract.outer(places, places) ** 2 / (2 * alpha ** 2)
           - np.subtract.outer(grey, grey) ** 2 / (2 * beta ** 2))
print(k.round(2))


def energy_of(labelling):
    labelling = np.array(labelling)
    says = -np.log(p[labelling, range(5)]).sum()
    differ = labelling[:, None] != labelling            # each pair is in there twice
    return says + (k * differ).sum() / 2


ranked = sorted(product((0, 1), repeat=5), key=energy_of)
for labelling in ranked[:3] + ranked[-1:]:
    print(labelling, f'{energy_of(labelling):.2f}')
assert ranked[0] == (0, 0, 1, 1, 1)

# %% [markdown]
# All 32 labellings were tried, and the best is the right one: the pixel in the middle, of which the
# net knew nothing, goes with those of its colour. A picture of 500×400 pixels with 21 classes has
# 21 to the power of 200,000 labellings. Nobody tries them all.
#
# ## How loud is whom
#
# Before we go on, one thing is mended. A pixel in the middle of a large wall has thousands alike,
# one of a thin wire has a few, and the wall would always be louder. So the kernel is
# **normalised**: each entry is divided by the root of the sum of its row and of its column,
#
# ```
# k̂(i, j) = k(i, j) / √(Σ k(i, ·) · Σ k(·, j))
# ```
#
# and a weight w before it means the same in every picture. There are two kernels. One knows places
# and colours (α, β, weight w₁), as above. The other, narrower one knows places alone (γ, w₂): it
# takes single specks away.

# %%
HOW = dict(w1=4, alpha=10, beta=20, w2=1, gamma=1)
small, small_label, small_prob = scene(9, size=(32, 40))
hear = crf.message_passing(small, HOW, True, 'float64')        # a function of x (N, C)
loud = hear(np.eye(32 * 40)).reshape(32, 40, 32, 40)    # to each pixel, from all
assert np.allclose(loud[3, 5, 9, 7], loud[9, 7, 3, 5])

fig, axes = plt.subplots(1, 4, figsize=(8, 1.7))
axes[0].imshow(small)
for ax, (i, j) in zip(axes[1:], [(17, 9), (12, 27), (24, 20)]):
    ax.imshow(np.sqrt(loud[i, j]), cmap='inferno')      # the root, to see the soft ones as well
    ax.plot(j, i, 'c+', ms=9)
for ax in axes:
    ax.axis('off')
plt.show()

# %% [markdown]
# Whom the pixel at the cross hears: those around it that look like it, and hardly anybody beyond
# the next edge. No outline has been computed anywhere. It is in the colours.
#
# ### Exercise: bilateral_kernel
#
# `image` is (H, W, 3), whole numbers of 8 bits. Give the normalised kernel k̂ of places and
# colours, (N, N) for the N = H·W pixels, row by row. |colour − colour|² is the sum over all three.

# %%
def bilateral_kernel_mine(image, alpha, beta):
    raise NotImplementedError


check('bilateral_kernel', bilateral_kernel_mine)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def bilateral_kernel_mine(image, alpha, beta):
#     places = np.indices(image.shape[:2]).reshape(2, -1).T / alpha
#     x = np.hstack([places, image.reshape(-1, 3) / beta])
#     k = np.exp(-((x[:, None] - x) ** 2).sum(2) / 2)
#     root = np.sqrt(k.sum(1))
#     return k / root / root[:, None]
# ```
#
# </details>
#
# ## Mean field: everybody listens, everybody thinks again
#
# If the best labelling cannot be found, let each pixel keep a *belief* q, a probability for each
# class, and let it listen to the beliefs of all the others. It **hears** the sum of k̂ times their
# q, class by class. Then it takes what the net says, times e to the power of what it hears, and
# divides so that its beliefs sum to 1:
#
# ```
# heard = Σ over j of k̂(i, j)·q(j)                 for each class
# q     = p · e^heard / sum over the classes
# ```
#
# All at once, and again, and again. Among all beliefs in which each pixel decides for itself, this
# finds some that lie near to the CRF's own, and with each round not a worse one; such a way is
# called **mean field**. Step through one round: the two columns on the left are darker, the net has
# the edge in the wrong place, and one pixel on the right is of another opinion than all around it.

# %%
tiny = np.full((4, 5, 3), 180, 'uint8')
tiny[:, :2] = 100
p1 = np.array([[.2, .4, .6, .8, .9],                    # class 1: of what is bright
               [.2, .6, .6, .8, .9],
               [.2, .6, .4, .8, .2],
               [.2, .4, .4, .8, .9]])
loose = dict(w1=3, alpha=2, beta=60, w2=1, gamma=1)
after, _ = crf.mean_field(np.stack([p1, 1 - p1]), tiny, loose, 1, exact=True)
assert ((after > .5) == (tiny[..., 0] == 180)).all()    # a round, and all of them are right
tracing.mean_field([1 - p1, p1], tiny, loose)

# %%
viz.show_source(crf.mean_field)

# %% [markdown]
# In the source p is a log, so that what is heard is added; the largest is subtracted before exp, as
# in lesson 12. `pairs` is the function
# that we have called `hear`.
#
# ### Exercise: mean_field
#
# `prob` (C, H, W) is what the net says, `iterations` how many rounds there are.
# `crf.message_passing(image, settings, True, 'float64')` gives you a function of q (N, C) that
# returns what is heard, (N, C). Give the beliefs (C, H, W).

# %%
def mean_field_mine(prob, image, settings, iterations):
    raise NotImplementedError


check('mean_field', mean_field_mine)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def mean_field_mine(prob, image, settings, iterations):
#     hear = crf.message_passing(image, settings, True, 'float64')
#     p = q = prob.reshape(len(prob), -1).T
#     for _ in range(iterations):
#         q = p * np.exp(hear(q))
#         q = q / q.sum(1, keepdims=True)
#     return q.T.reshape(prob.shape)
# ```
#
# </details>
#
# ## The energy falls
#
# Beliefs have an energy, too: how far they have gone from what the net says, plus half of all that
# is heard from pixels which believe something else. No exact round makes it larger. (The kernel
# counts i = j as well and so has no negative eigenvalue; that is why.) Let us see.

# %%
beliefs = [small_prob]
for _ in range(8):
    beliefs.append(crf.mean_field(small_prob, small, HOW, len(beliefs), exact=True))
energies = [crf.energy(q, small_prob, small, HOW) for q in beliefs]
print(*(f'{energy:.1f}' for energy in energies))
assert all(b <= a for a, b in zip(energies, energies[1:]))
assert all(np.allclose(q.sum(0), 1) for q in beliefs)

fig, axes = plt.subplots(1, 5, figsize=(9, 1.7))
axes[0].plot(energies, 'o-', c='#c05a20', ms=3)
axes[0].set(xlabel='round', yticks=[])
axes[0].set_title('energy', fontsize=10)
for ax, n in zip(axes[1:], (0, 1, 2, 8)):
    ax.imshow(viz.colours(beliefs[n].argmax(0)))
    ax.set_title(f'round {n}', fontsize=10)
    ax.axis('off')
plt.show()

# %% [markdown]
# ## All pairs, without all pairs
#
# 32×40 pixels have 1.6 million pairs, which is nothing; 320×240 pixels have 5.9 thousand million.
# The way out is to think of a pixel as a *point* of five coordinates, row/α and column/α and three
# colours/β. Then k depends on the distance of two points alone, and hearing is a blur in five
# dimensions, which can be done as any blur of a large picture: make it smaller, blur there, make it
# larger again. The corners of the coarse grid are those of a **permutohedral lattice**, of which a
# point has only six around it (a grid of cubes would have 32). Each pixel *splats* its q onto its
# six corners, neighbouring corners mix, and each pixel *slices* its answer out of the same six.

# %%
viz.show_source(crf.lattice_filter)

# %%
pixels = 320 * 240
print(f'{pixels ** 2 / 1e9:.1f} thousand million pairs; {6 * pixels:,} entries of S')

exact = crf.mean_field(small_prob, small, HOW, exact=True)
quick = crf.mean_field(small_prob, small, HOW)
same = (exact.argmax(0) == quick.argmax(0)).mean()
print(f'32×40 pixels, ten rounds: beliefs differ by {np.abs(exact - quick).mean():.3f} on average, '
      f'{100 * same:.1f} % agree')
assert same > .98

# %% [markdown]
# It is an approximation, a good one for what it is used for.
#
# ## Does it help?
#
# Four pictures with the soft answers from above; mean IU in per cent, of all four together.

# %%
scenes = [scene(index) for index in (1, 4, 7, 9)]


def judged(how):
    """Mean IU after ten rounds, and the masks; as the net says it where `how` is None."""
    masks = [(prob if how is None else crf.mean_field(prob, image, how)).argmax(0)
             for image, _, prob in scenes]
    hist = sum(metrics.confusion(label, mask, 5) for (_, label, _), mask in zip(scenes, masks))
    return metrics.scores(hist)['mean_iu'], masks


ways = {'the net alone': None, 'places and colours': HOW,
        'places alone': dict(HOW, w1=0, w2=4, gamma=3), 'beta = 200': dict(HOW, beta=200)}
mean_iu = {}
fig, axes = plt.subplots(1, 5, figsize=(9, 1.8))
axes[0].imshow(scenes[1][0])
for ax, (name, how) in zip(axes[1:], ways.items()):
    mean_iu[name], masks = judged(how)
    ax.set_title(f'{name}: {100 * mean_iu[name]:.1f}', fontsize=8)
    ax.imshow(viz.colours(masks[1]))
for ax in axes:
    ax.axis('off')
plt.show()
assert mean_iu['places and colours'] > mean_iu['the net alone'] > mean_iu['places alone']

# %% [markdown]
# With colours the outlines snap into place. With places alone they are only smoothed, and corners
# are lost. With a β so large that no colour counts, whatever is small is outvoted by what lies
# around it.
#
# It can go wrong. The same on fewer pixels, where cells of 8 leave little of a thin ring:

# %%
image, label, prob = scene(8, size=(32, 40))
after = crf.mean_field(prob, image, HOW)
before_and_after = [metrics.scores(metrics.confusion(label, x.argmax(0), 5))['mean_iu']
                    for x in (prob, after)]
fig, axes = plt.subplots(1, 4, figsize=(7.5, 1.8))
for ax, shown in zip(axes, (image, viz.colours(label), viz.colours(prob.argmax(0)),
                            viz.colours(after.argmax(0)))):
    ax.imshow(shown)
    ax.axis('off')
for ax, title in zip(axes, ['picture', 'truth', *(f'{100 * iu:.1f}' for iu in before_and_after)]):
    ax.set_title(title, fontsize=10)
plt.show()
assert before_and_after[1] < before_and_after[0]

# %% [markdown]
# The net has said little of the ring, and part of that in the wrong place; the ground around it is
# larger and surer of itself. Pixels only tell each other what the net has told them.
#
# These pictures are kind: their shapes have colours of their own. On photographs the gain is small,
# and it depends on the setting. On 112 pictures of Stanford's backgrounds and a net with mean IU
# 65.1, DeepLab's published setting gave 67.4, and another well-known one 65.8 with a *lower* pixel
# accuracy ([measured](../benchmarks/RESULTS.md)). So a setting is chosen on pictures with known
# truth, as any other number that nobody learns.
#
# **Change this and run again.** Where `scenes` are made put `scene(index, difficulty=.9)` in the
# place of `scene(index)`: shapes hardly keep to a colour of their own, and textures are stronger.
# Expect that almost nothing is gained, for what the CRF goes by is not there. Then, with the old
# scenes, `HOW` with `beta=2`: expect a small gain, for hardly a pixel finds others that look like
# it.
#
# ## Where it stands in DeepLab
#
# After the net, and apart from it: the net is trained without the CRF, and its numbers are searched
# for on a few pictures. In this library it is
# `tinyfcn predict … --crf` and `tinyfcn eval … --crf`, with the settings that were published:

# %%
for name, how in crf.SETTINGS.items():
    print(f'{name:18} {how}')

# %% [markdown]
# ## What PyTorch calls this
#
# PyTorch has no such layer. People use the package `pydensecrf`, whose names are `sxy` for α (and
# for γ), `srgb` for β, and `compat` for w. It asks for −log p, its *unary*, and normalises the
# kernels as we do. That the classes are all equally unlike each other is the *Potts* model.
#
# In CRF-RNN (2015) the rounds are layers of the net, for a sum, an exp and a softmax have a
# backward as anything else. DeepLab's third version did without the CRF.
#
# ## Three questions
#
# 1. A pixel of which the net is certain: p = 1 for one class, 0 for the others. What can it be
#    told?
#
# <details><summary>Answer</summary>
#
# Nothing: 0 times e to the power of anything is 0. It tells the others, though. That is why a
# little doubt was left in our probabilities.
#
# </details>
#
# 2. All weights are 0. What does the CRF do?
#
# <details><summary>Answer</summary>
#
# Nothing is heard, e⁰ is 1, and q is p, after any number of rounds.
#
# </details>
#
# 3. Why does the rule reward what is heard of the *same* class, when the energy punishes pairs of
#    *different* classes?
#
# <details><summary>Answer</summary>
#
# What is heard of all classes together is the same number for each of them, since beliefs sum to 1.
# What is heard of the others is that number minus what is heard of the same. A number that is added
# to all classes is divided out by the sum over the classes.
#
# </details>
#
# **Next:** nets with switches, with crops, with holes, with pyramids. Lesson 17 lays them beside
# each other.
