# %% [markdown]
# # 18. Conditional random fields
#
# **How can a CRF sharpen the outlines that a net leaves blurred?**
#
# *About 65 minutes, with its exercises.*
#
# A net with scores at stride 8 knows what is in the image, but its outlines are blurred: between
# two scores there is only linear interpolation (lesson 09). But the outlines are visible in the
# image. Where the colour changes, the class often changes too, and nearby pixels of similar colour
# are likely to be of one class. A fully connected **conditional random field** (CRF) is a model of
# just this: it connects all pairs of pixels, weighted by how similar they are, and finds a mask
# that agrees both with the net and with these connections.

# %% tags=["hide-input"]
from itertools import product

import matplotlib.pyplot as plt
import numpy as np

from tinyfcn.prediction import crf
from tinyfcn import metrics, ops, viz
from tinyfcn.course import tracing
from tinyfcn.data import shapes
from tinyfcn.course.exercises import check

plt.rcParams['figure.dpi'] = 100

# %% [markdown]
# ## Blurred probabilities
#
# As in lesson 12 we simulate a net that makes no mistake, but whose cells are 8×8 pixels: each
# class has the share of the cell that it really has. Upsampled, these shares are probabilities, one
# for each class at each pixel. (.02 is added everywhere: a probability of exactly 0 or 1 could
# never change, see the questions at the end.)

# %%
def blurred_prob(label, factor=8):
    """Probabilities (5, H, W): the classes' shares in cells of factor×factor, upsampled."""
    shares = (label == np.arange(5)[:, None, None])[None].astype(float)         # void is in none
    cells, _ = ops.avg_pool(shares, factor)
    fine, _ = ops.upsample(cells, factor)
    cropped, _ = ops.crop(fine, label.shape, factor // 2)
    prob = cropped[0] + .02
    return prob / prob.sum(0)


def scene(index, size=(48, 64), difficulty=.2):
    image, label = shapes.generate(3, index, size, n_class=5, difficulty=difficulty)
    return image, label, blurred_prob(label)


image, label, prob = scene(9)
viz.side_by_side({'image': image, 'label': viz.colours(label),
                  'prediction': viz.colours(prob.argmax(0))}, width=2.3)

# %% [markdown]
# ## By hand: a row of five pixels
#
# Two of them are dark and three are bright. There are two classes. The net is fairly certain at the
# two ends, and undecided in the middle. A **labelling** assigns a class to each pixel, and its
# **energy** is low if the labelling is plausible:
#
# ```
# E(l) = − Σ log p(l of each pixel)   +   Σ over pairs with two different classes of k(pair)
#          unary term: the net              pairwise term: similar pixels, different classes
# ```
#
# k is near 1 for two neighbouring pixels of the same colour, and near 0 if they are far apart or of
# different colours:
#
# ```
# k(i, j) = exp(−|position − position|² / 2α²  −  |colour − colour|² / 2β²)
# ```

# %%
grey = np.array([40., 40, 200, 200, 200])
p = np.array([[.9, .6, .5, .4, .1],                     # of class 0
              [.1, .4, .5, .6, .9]])

positions = np.arange(5.)
alpha = 2.
beta = 30.
# np.subtract.outer(a, a)[i, j] is a[i] − a[j]
k = np.exp(-np.subtract.outer(positions, positions) ** 2 / (2 * alpha ** 2)
           - np.subtract.outer(grey, grey) ** 2 / (2 * beta ** 2))
print(k.round(2))


def energy_of(labelling):
    labelling = np.array(labelling)
    unary = -np.log(p[labelling, range(5)]).sum()
    different = labelling[:, None] != labelling         # contains each pair twice
    return unary + (k * different).sum() / 2


ranked = sorted(product((0, 1), repeat=5), key=energy_of)
for labelling in ranked[:3] + ranked[-1:]:
    print(labelling, f'{energy_of(labelling):.2f}')

# %% tags=["hide-input"]
assert ranked[0] == (0, 0, 1, 1, 1)

# %% [markdown]
# We tried all 32 labellings, and the best is the right one: the pixel in the middle, where the net
# was undecided, gets the class of those with its colour. An image of 500×400 pixels with 21 classes
# has 21 to the power of 200,000 labellings, far too many to try.
#
# ## Normalised pairwise weights
#
# First, one correction. A pixel in the middle of a large wall has thousands of similar pixels, one
# of a thin wire has only a few, and the wall would always have more weight. So the kernel is
# **normalised**: each entry is divided by the root of the product of the sums of its row and of its
# column,
#
# ```
# k̂(i, j) = k(i, j) / √(Σ k(i, ·) · Σ k(·, j))
# ```
#
# so that a weight w in front of it has the same effect in every image. There are two kernels. One
# depends on positions and colours (α, β, weight w₁), as above; it is called *bilateral*. The other,
# narrower one depends on positions only (γ, w₂); it removes single wrong pixels.

# %%
SETTINGS = dict(w1=4, alpha=10, beta=20, w2=1, gamma=1)
small, small_label, small_prob = scene(9, size=(32, 40))
# exact=True: all pairs, no approximation; the result is a function of x (N, C)
send_messages = crf.message_passing(small, SETTINGS, exact=True, dtype='float64')
weight = send_messages(np.eye(32 * 40)).reshape(32, 40, 32, 40)           # of each pair of pixels

# %% tags=["hide-input"]
assert np.allclose(weight[3, 5, 9, 7], weight[9, 7, 3, 5])

fig, axes = plt.subplots(1, 4, figsize=(8, 1.7))
axes[0].imshow(small)
for ax, (i, j) in zip(axes[1:], [(17, 9), (12, 27), (24, 20)]):
    ax.imshow(np.sqrt(weight[i, j]), cmap='inferno')    # the root, to show small weights too
    ax.plot(j, i, 'c+', ms=9)
for ax in axes:
    ax.axis('off')
plt.show()

# %% [markdown]
# These are the weights with which the pixel at the cross is connected to all others: high for
# nearby pixels of similar colour, and close to zero beyond the next edge. No edge detection was
# needed; the colours determine the weights.
#
# ### Exercise: bilateral_kernel
#
# `image` is (H, W, 3), uint8. Return the normalised kernel k̂ of positions and colours, (N, N) for
# the N = H·W pixels, row by row. |colour − colour|² is the sum over all three channels.

# %%
def bilateral_kernel_mine(image, alpha, beta):
    raise NotImplementedError


check('bilateral_kernel', bilateral_kernel_mine)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def bilateral_kernel_mine(image, alpha, beta):
#     positions = np.indices(image.shape[:2]).reshape(2, -1).T / alpha
#     x = np.hstack([positions, image.reshape(-1, 3) / beta])
#     k = np.exp(-((x[:, None] - x) ** 2).sum(2) / 2)
#     root = np.sqrt(k.sum(1))
#     return k / root / root[:, None]
# ```
#
# </details>
#
# ## Mean field: repeated message passing
#
# We cannot search for the best labelling. Instead, each pixel gets a *belief* q, a probability for
# each class, which is updated from the beliefs of all other pixels. Each pixel receives a
# **message**, for each class the sum of k̂ times the q of the others. This is called **message
# passing**. The new belief is the probability p of the net times e to the power of the message,
# normalised to sum to 1:
#
# ```
# message = Σ over j of k̂(i, j)·q(j)                 for each class
# q       = p · e^message / sum over the classes
# ```
#
# All pixels are updated at once, and this is repeated for several rounds. The method is called the
# **mean field** approximation: among all distributions in which the pixels are independent, it
# looks for one close to the distribution of the CRF, and each round improves it or leaves it
# unchanged. Step through one round: the two columns on the left are darker, the net has the edge at
# the wrong position, and one pixel on the right differs from all around it.

# %%
tiny = np.full((4, 5, 3), 180, 'uint8')
tiny[:, :2] = 100
p1 = np.array([[.2, .4, .6, .8, .9],                    # class 1: the bright pixels
               [.2, .6, .6, .8, .9],
               [.2, .6, .4, .8, .2],
               [.2, .4, .4, .8, .9]])
settings = dict(w1=3, alpha=2, beta=60, w2=1, gamma=1)
after, _ = crf.mean_field(np.stack([p1, 1 - p1]), tiny, settings, 1, exact=True)

tracing.mean_field([1 - p1, p1], tiny, settings)

# %% tags=["hide-input"]
assert ((after > .5) == (tiny[..., 0] == 180)).all()    # one round, and all are right

# %%
viz.show_source(crf.mean_field)

# %% [markdown]
# In the source p is a logarithm, so that the message is added; the largest value is subtracted
# before exp, as in lesson 05. `send_messages` is the same function as ours.
#
# ### Exercise: mean_field
#
# `prob` (C, H, W) holds the probabilities of the net, `iterations` is the number of rounds.
# `crf.message_passing(image, settings, exact=True, dtype='float64')` gives you a function of q
# (N, C) that returns the messages, (N, C). Return the beliefs (C, H, W).

# %%
def mean_field_mine(prob, image, settings, iterations):
    raise NotImplementedError


check('mean_field', mean_field_mine)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def mean_field_mine(prob, image, settings, iterations):
#     send_messages = crf.message_passing(image, settings, exact=True, dtype='float64')
#     p = q = prob.reshape(len(prob), -1).T
#     for _ in range(iterations):
#         q = p * np.exp(send_messages(q))
#         q = q / q.sum(1, keepdims=True)
#     return q.T.reshape(prob.shape)
# ```
#
# </details>
#
# ## The energy decreases
#
# Beliefs have an energy, too: their distance from the probabilities of the net, plus half of the
# messages between different classes. No exact round makes it larger. (The reason is that the kernel
# includes i = j and so has no negative eigenvalue.) Let us check that.

# %%
beliefs = [small_prob]
for _ in range(8):
    beliefs.append(crf.mean_field(small_prob, small, SETTINGS, len(beliefs), exact=True))
energies = [crf.energy(q, small_prob, small, SETTINGS) for q in beliefs]
print(*(f'{energy:.1f}' for energy in energies))

# %% tags=["hide-input"]
assert all(b <= a for a, b in zip(energies, energies[1:]))
assert all(np.allclose(q.sum(0), 1) for q in beliefs)
viz.side_by_side({f'round {n}': viz.colours(beliefs[n].argmax(0)) for n in (0, 1, 2, 8)},
                 width=2.1)

# %% [markdown]
# ## All pairs, computed efficiently
#
# 32×40 pixels have 1.6 million pairs, which is few; 320×240 pixels have 5.9 billion. The solution
# is to regard a pixel as a *point* with five coordinates, row/α, column/α and three colours/β. Then
# k depends only on the distance of two points, and message passing is a Gaussian blur in five
# dimensions. It can be computed like any blur of a large image: downsample, blur, upsample. The
# vertices of the coarse grid are those of a **permutohedral lattice**, in which a point is
# surrounded by only six vertices (in a grid of cubes by 32). Each pixel *splats* its q onto its six
# vertices, neighbouring vertices are blurred, and each pixel *slices* (interpolates) its result
# from the same six.
#
# Here is the source. Its docstring has the idea in steps; the details are for a second reading.

# %%
viz.show_source(crf.lattice_filter)

# %%
pixels = 320 * 240
print(f'{pixels ** 2 / 1e9:.1f} billion pairs; {6 * pixels:,} entries of S')

exact = crf.mean_field(small_prob, small, SETTINGS, exact=True)
approximate = crf.mean_field(small_prob, small, SETTINGS)
difference = np.abs(exact - approximate).mean()
agreement = (exact.argmax(0) == approximate.argmax(0)).mean()
print(f'32×40 pixels, ten rounds: beliefs differ by {difference:.3f} on average, '
      f'{100 * agreement:.1f} % of the classes agree')

# %% tags=["hide-input"]
assert agreement > .98

# %% [markdown]
# It is an approximation, and good enough for this purpose.
#
# ## Does it help?
#
# Evaluate it on four images with the blurred probabilities from above; the titles give mean IU in
# per cent, over all four together.

# %%
scenes = [scene(index) for index in (1, 4, 7, 9)]


def evaluate_crf(scenes, settings):
    """Mean IU after ten rounds, and the masks; without the CRF if settings is None."""
    masks = [(prob if settings is None else crf.mean_field(prob, image, settings)).argmax(0)
             for image, _, prob in scenes]
    hist = sum(metrics.confusion(label, mask, 5) for (_, label, _), mask in zip(scenes, masks))
    return metrics.scores(hist)['mean_iu'], masks


variants = {'the net alone': None, 'positions and colours': SETTINGS,
            'positions alone': dict(SETTINGS, w1=0, w2=4, gamma=3),
            'beta = 200': dict(SETTINGS, beta=200)}
mean_iu = {}
shown = {'image': scenes[1][0]}
for name, settings in variants.items():
    mean_iu[name], masks = evaluate_crf(scenes, settings)
    shown[f'{name}: {100 * mean_iu[name]:.1f}'] = viz.colours(masks[1])
viz.side_by_side(shown, width=2)

# %% tags=["hide-input"]
assert mean_iu['positions and colours'] > mean_iu['the net alone'] > mean_iu['positions alone']

# %% [markdown]
# With colours the outlines become sharp. With positions alone they are only smoothed, and corners
# are lost. With a β so large that colours hardly matter, small shapes are absorbed by their
# surroundings.
#
# It can also fail. Here is the same on fewer pixels, where cells of 8 leave little of a thin ring:

# %%
image, label, prob = scene(8, size=(32, 40))
after = crf.mean_field(prob, image, SETTINGS)
before_and_after = [metrics.scores(metrics.confusion(label, x.argmax(0), 5))['mean_iu']
                    for x in (prob, after)]
viz.side_by_side({'image': image, 'label': viz.colours(label),
                  f'before: {100 * before_and_after[0]:.1f}': viz.colours(prob.argmax(0)),
                  f'after: {100 * before_and_after[1]:.1f}': viz.colours(after.argmax(0))},
                 width=2.1)

# %% tags=["hide-input"]
assert before_and_after[1] < before_and_after[0]

# %% [markdown]
# The probabilities of the ring are low, and partly at the wrong position; the background around it
# is larger and more certain. Message passing only spreads information that the net has provided.
#
# These images are easy: each shape has its own colour. On photographs the gain is small, and it
# depends on the settings. On 112 images of the Stanford Background data set and a net with mean IU
# 65.1, DeepLab's published settings gave 67.4, and another well-known setting 65.8 with a *lower*
# pixel accuracy ([measured](../benchmarks/RESULTS.md)). So the settings are hyperparameters, which
# are chosen on a validation set.
#
# **Change this and run again.** Make scenes with a difficulty of .9: the colours of a shape vary,
# and textures are stronger. Expect almost no gain, because colours no longer indicate the class.
# Then, with the old scenes, set beta to 2: expect a small gain, because hardly any pixels are
# similar enough to be connected.

# %%
my_difficulty, my_beta = .2, 20                         # try: (.9, 20), (.2, 2), (1., 1000)

my_scenes = [scene(index, difficulty=my_difficulty) for index in (1, 4, 7, 9)]
for name, settings in ('the net alone', None), ('with the CRF', dict(SETTINGS, beta=my_beta)):
    print(f'{name}: mean IU {100 * evaluate_crf(my_scenes, settings)[0]:.1f}')

# %% [markdown]
# ## The CRF in DeepLab
#
# It is a separate step after the net: the net is trained without the CRF, and the settings of the
# CRF are chosen by a search on a few images. In this library it is `tinyfcn predict … --crf` and
# `tinyfcn eval … --crf`, with the settings that were published:

# %%
for name, settings in crf.SETTINGS.items():
    print(f'{name:18} {settings}')

# %% [markdown]
# ## What PyTorch calls this
#
# PyTorch has no such layer. People use the package `pydensecrf`, whose names are `sxy` for α (and
# for γ), `srgb` for β, and `compat` for w. It asks for −log p, its *unary*, and normalises the
# kernels as we do. That every pair of different classes has the same penalty is called the *Potts*
# model.
#
# In CRF-RNN (2015) the rounds are layers of the net, because a sum, an exp and a softmax have a
# backward like any other op. DeepLab's third version no longer uses the CRF.
#
# ## Three questions
#
# 1. At some pixel the net is certain: p = 1 for one class, 0 for the others. How can messages
#    change it?
#
# <details><summary>Answer</summary>
#
# They cannot: 0 times e to the power of anything is 0. (It still sends messages to the others.)
# That is why we added .02 to our probabilities.
#
# </details>
#
# 2. All weights are 0. What does the CRF do?
#
# <details><summary>Answer</summary>
#
# Nothing: the messages are 0, e⁰ is 1, and q is p after any number of rounds.
#
# </details>
#
# 3. Why does the update reward messages of the *same* class, when the energy penalises pairs of
#    *different* classes?
#
# <details><summary>Answer</summary>
#
# The sum of the messages over all classes is the same number for each class, since beliefs sum
# to 1. The messages of the other classes are that number minus the message of the same class. A
# number that is added to all classes cancels in the normalisation.
#
# </details>
#
# **Next:** nets with switches, with crops, with dilation, with pyramids. Lesson 19 compares them.
