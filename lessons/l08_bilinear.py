# %% [markdown]
# # 08. Bilinear upsampling
#
# **Which stamp turns six rough rows of scores into ninety-six smooth ones, before anything is
# learned?**
#
# Lesson 07 had an operation that enlarges, with any kernel. This one finds *the* kernel that FCN
# begins with: two straight slopes, a tent.

# %%
from time import perf_counter

import matplotlib.pyplot as plt
import numpy as np

import tinyfcn
from tinyfcn import ops, viz
from tinyfcn.course import tracing
from tinyfcn.course.exercises import check

plt.rcParams['figure.dpi'] = 80
rng = np.random.default_rng(0)

# %% [markdown]
# Suppose a net knew everything, but only every 16 pixels: for each square of 16×16, which part of
# it each class covers. (`avg_pool`, the mean of every window, of a map that is 1 where the class
# is; void counts for none.) To say something of every pixel, one can repeat each score 16 times, or
# run smoothly from each to the next. The class with the highest score wins the pixel:

# %%
image, label = tinyfcn.data.load_dataset('shapes', size=(96, 128), n_class=5, difficulty=0)[15]
cover = np.stack([label == c for c in range(5)])[None].astype(float)        # (1, 5, 96, 128)
score, _ = ops.avg_pool(cover, 16)                                          # (1, 5, 6, 8)

blocks = score.repeat(16, 2).repeat(16, 3)
smooth, _ = ops.upsample(score, 16, pad=8)

_, axs = plt.subplots(1, 3, figsize=(7, 2))
for ax, (title, classes) in zip(axs, {'truth': label, 'repeated': blocks.argmax(1)[0],
                                      'bilinear': smooth.argmax(1)[0]}.items()):
    ax.imshow(viz.colours(classes))
    ax.set_title(title, fontsize=9)
    ax.axis('off')
plt.tight_layout()

known = label != 255
right = {name: (answer.argmax(1)[0] == label)[known].mean()
         for name, answer in (('repeated', blocks), ('bilinear', smooth))}
print({name: f'{share:.1%} of the pixels right' for name, share in right.items()})
assert right['bilinear'] > right['repeated']

# %% [markdown]
# The scores are the same 6×8 in both. **Change this and run again:** 16 to 8 (and `pad` to 4): now
# nearly every pixel is right. Then 32 (and 16): both fail, and being smooth does not help. What was
# never seen apart, no upsampling can part again; that is what FCN's skips are for (lesson 11).
#
# ## Straight lines are made of tents
#
# Three values, one apart, joined by straight lines. A quarter of the way from x[0] to x[1], the
# line is at ¾·x[0] + ¼·x[1]. Now ask the other way round, as in lesson 07: what does *one* value
# contribute, and where? All of itself at its own place, half of itself halfway to a neighbour,
# nothing from the neighbour on. That is a **tent**. The line is the sum of the tents.

# %%
x = np.array([1., 3., 2.])
at = np.linspace(-1, 3, 201)
tents = [(1 - abs(at - i)).clip(0) for i in range(3)]               # of height 1, one for each

plt.figure(figsize=(5, 2.2))
for value, each in zip(x, tents):
    plt.fill_between(at, value * each, alpha=.3)
plt.plot(at, sum(value * each for value, each in zip(x, tents)), 'k', lw=2)
plt.plot(range(3), x, 'ko')
plt.title('three tents and their sum', fontsize=9)
plt.tight_layout()

between = (at >= 0) & (at <= 2)
line = sum(value * each for value, each in zip(x, tents))
assert np.allclose(line[between], np.interp(at, range(3), x)[between])
assert np.allclose(sum(tents)[between], 1)                          # they overlap, and sum to one

# %% [markdown]
# Two things to keep. **The tents sum to one** between the first value and the last: where all
# values are 7, so is the line. And beyond the ends the line falls to zero, for there is no
# neighbour to hold it up. We come back to that.
#
# ## The stamp: a tent, sampled
#
# To enlarge by a factor f, each old pixel is parted into f new ones. Their centres lie 1/f apart,
# and evenly about the old centre. For f = 2 that is ¼ to the left and to the right; the next are at
# ¾. The tent is above zero from −1 to 1, so it meets 2f of them: **ksize = 2·f**. Its values there:

# %%
def taps_of(factor):
    """The places of the new pixels under one tent, from its centre, and the tent there."""
    places = (np.arange(2 * factor) + .5) / factor - 1
    return places, 1 - abs(places)


for factor in (2, 3, 4):
    places, taps = taps_of(factor)
    print(f'f = {factor}: ', *(f'{2 * factor * tap:.0f}' for tap in taps), f' / {2 * factor}')
    assert np.isclose(taps.sum(), factor)                           # each x is spread over f pixels

assert (taps_of(2)[1] == [1 / 4, 3 / 4, 3 / 4, 1 / 4]).all()

# %% [markdown]
# Odd numbers, up and down again. Counted in taps instead of places, this is the library's formula:
# the centre is (ksize − 1)/2, and the slope falls by 1/f a tap. It knows an odd tent as well, which
# comes below.

# %%
from tinyfcn.init import bilinear_1d

for factor in (2, 4, 8, 32):
    assert np.allclose(bilinear_1d(2 * factor), taps_of(factor)[1])
viz.show_source(bilinear_1d)

# %% [markdown]
# **Interpolation is a transposed convolution with this stamp and stride f.** Step through it: each
# value stamps its tent, two further on, and where two overlap they add up to the straight line.

# %%
tracing.bilinear([4., 8., 4., 12.], 2)

# %% [markdown]
# ## Two dimensions: the product
#
# *Bilinear* means linear in each of two directions: first along the rows, then along the columns.
# One pixel then spreads tent by tent, and its stamp is the product of two of them, `k[i, j] =
# t[i]·t[j]`. For f = 2, in sixteenths:

# %%
kernel = np.outer(bilinear_1d(4), bilinear_1d(4))
print((16 * kernel).astype(int))
assert kernel.sum() == 4                                            # f² new pixels for each old one

x = rng.standard_normal((1, 3, 5, 6))                               # three classes
y, _ = ops.upsample(x, 2)
one_by_one = [ops.conv_transpose2d(x[:, [c]], kernel[None, None], stride=2)[0] for c in range(3)]
assert np.allclose(y, np.concatenate(one_by_one, axis=1))           # each class by itself
assert y.shape == (1, 3, 12, 14)                                    # (H + 1)·f

flat, _ = ops.upsample(np.ones((1, 1, 5, 6)), 2)
assert (flat[0, 0, 2:-2, 2:-2] == 1).all()                          # sums to one, inside

# %%
viz.show_source(ops.upsample)

# %% [markdown]
# Read it with lesson 07: `matrix` is Mᵀ for one axis, the tent as w. `separable` applies one such
# matrix along the rows of every picture and one along its columns. No kernel in two dimensions is
# ever built; below we count what that saves.
#
# ## Where it is interpolation, and where it is not
#
# The new pixel a lies at (a − (ksize − 1)/2)/f of the old ones. Wherever it has an old pixel on
# both sides, upsampling *is* interpolation, and `np.interp` agrees. Before the first and after the
# last `np.interp` holds the last value; the tents fade away.

# %%
x = np.array([1., 3., 2.])
y, _ = ops.upsample(x[None, None, None], (1, 4))                    # along the second axis only
y = y[0, 0, 0]
at = (np.arange(len(y)) - 3.5) / 4
inside = (at >= 0) & (at <= 2)
held = np.interp(at, range(3), x)

assert np.allclose(y[inside], held[inside])                         # equal inside
assert not np.isclose(y[~inside], held[~inside]).any()              # and nowhere at the border
assert np.allclose(y[:4], x[0] * np.array([1, 3, 5, 7]) / 8)        # one slope of one tent

plt.figure(figsize=(5, 2))
plt.plot(at, held, 'o-', color='tab:orange', ms=4, label='np.interp holds the edge')
plt.plot(at, y, 'ko', ms=4, label='the tents fade')
plt.plot(range(3), x, 'ks', ms=9, fillstyle='none')
plt.legend(fontsize=8)
plt.tight_layout()

# %% [markdown]
# Most of that rim is cut off afterwards, but not all. Does the rest hurt? Beyond the first old
# pixel *every* class fades by the same factor, and the highest score stays the highest. So the
# answer is the same as if the edge had been held; only the net seems less sure there. To hold the
# edge, repeat the outermost scores once, upsample, and cut:

# %%
score = rng.standard_normal((1, 5, 4, 4))
faded, _ = ops.upsample(score, 32)
wider = np.pad(score, ((0, 0), (0, 0), (1, 1), (1, 1)), mode='edge')
edge_held = ops.upsample(wider, 32)[0][..., 32:-32, 32:-32]

assert faded.shape == edge_held.shape
assert np.allclose(faded[..., 32:-32, 32:-32], edge_held[..., 32:-32, 32:-32])
assert not np.allclose(faded, edge_held)                            # the scores differ at the rim
assert (faded.argmax(1) == edge_held.argmax(1)).all()               # the classes nowhere

resized, _ = ops.resize(score, (128, 128))                          # the library's: edges held too
assert np.allclose(edge_held[..., 16:-16, 16:-16], resized)

# %% [markdown]
# ## Half a pixel: the odd tent
#
# With an even tent no new pixel lies on an old one: they lie in pairs about it. With an odd one, of
# ksize 2·f − 1, every f-th new pixel is an old one, unchanged. For f = 2 it is ½ 1 ½.

# %%
assert bilinear_1d(3) == [.5, 1, .5]
y, _ = ops.upsample(x[None, None, None], (1, 2), ksize=(1, 3))
print(y[0, 0, 0])
assert (y[0, 0, 0, 1::2] == x).all()

# %% [markdown]
# Which is right? It depends on where the coarse pixels lie over the image. Pooling by 2 puts one in
# the middle of two pixels, *between* them, and 2·f fits. A 3×3 convolution with stride 2 and pad 1
# puts one *on* every second pixel, and the even tent would come to lie half a pixel beside the
# image. Our nets know where their boxes lie (lesson 09 does the sum), and refuse:

# %%
from tinyfcn.layers import conv, crop, upsample

n = tinyfcn.Net(channels=1)
n.coarse = conv(n.data, 1, 3, stride=2, pad=1)
n.even   = upsample(n.coarse, 2)                                    # ksize 4
try:
    n.score = crop(n.even, like=n.data)
except ValueError as error:
    print(error)

n.odd    = upsample(n.coarse, 2, ksize=3)
n.score  = crop(n.odd, like=n.data)
assert n['score'].kwargs['offset'] == (1, 1)

# %% [markdown]
# VGG-16 shrinks by pooling 2×2 alone, so its FCNs take 64, 16 and 4. AlexNet's windows are odd, and
# its FCN takes 63.
#
# ## A checkerboard meter
#
# Lesson 07 ended with stamps that overlap unevenly. Here is a meter for it. An output of phase p
# (its number modulo the stride) meets only the taps p, p + s, p + 2s … Their **sum** says how
# bright a flat input comes out there, the sum of their **squares** how loud noise does. Uneven from
# phase to phase is a checkerboard.

# %%
def meter(taps, stride):
    """For each phase: the gain of a flat input, and of noise."""
    phases = [np.array(taps[p::stride]) for p in range(stride)]
    return [tap.sum() for tap in phases], [(tap ** 2).sum() for tap in phases]


for name, taps, stride in (('ones, 3', [1, 1, 1], 2), ('ones, 4', [1, 1, 1, 1], 2),
                           ('tent, 3', bilinear_1d(3), 2), ('tent, 4', bilinear_1d(4), 2),
                           ('tent, 8', bilinear_1d(8), 4)):
    flat, noise = meter(taps, stride)
    print(f'{name}, stride {stride}:  flat', *(f'{v:g}' for v in flat),
          '  noise', *(f'{v:.3g}' for v in noise))

assert meter([1, 1, 1], 2)[0] == [2, 1]                             # a checkerboard at once
assert meter(bilinear_1d(3), 2) == ([1, 1], [.5, 1])                       # flat even, noise uneven
assert meter(bilinear_1d(4), 2) == ([1, 1], [.625, .625])                  # even in both

# %% [markdown]
# So a tent of 3 is no checkerboard as it stands: flat scores stay flat. But of its outputs one in
# two is a plain copy and the others are means, and scores that jitter show it. ksize 4 with stride
# 2 treats all alike. (For larger factors no tent is quite even in noise: a mean of two is always
# quieter than something close to one of them.)

# %%
_, axs = plt.subplots(1, 2, figsize=(4.4, 2.1))
for ax, ksize in zip(axs, (3, 4)):
    y, _ = ops.upsample(rng.standard_normal((1, 2000, 8, 8)), 2, ksize=ksize)
    loud = (y ** 2).mean((0, 1))[4:-4, 4:-4]
    ax.imshow(loud, cmap='gray', vmin=0, vmax=1)
    ax.set_title(f'ksize {ksize}: noise, mean square', fontsize=9)
    ax.axis('off')
    assert loud.max() / loud.min() > 3 if ksize == 3 else loud.max() / loud.min() < 1.5
plt.tight_layout()

# %% [markdown]
# ## The same for every class, so a sparse product will do
#
# FCN-32s enlarges 21 classes from 16×16 to 544×544 with a kernel of 64×64. Caffe's net holds it as
# an ordinary deconvolution, whose w is (21, 21, 64, 64): a kernel from *every* class to every
# class, of which only the 21 on the diagonal are not zero. How many multiplications?

# %%
line = np.array(bilinear_1d(64)).reshape(1, 1, 64, 1)
U = ops.conv_matrix(line, (544, 1), stride=(32, 1)).T               # Mᵀ along one axis
assert U.shape == (544, 16) and U.nnz == 16 * 64                    # two numbers a row, inside

counts = {'dense, every class to every class': 16 * 16 * 21 * 21 * 64 * 64,
          'the diagonal alone': 16 * 16 * 21 * 64 * 64,
          'U x Uᵀ, one axis after the other': 21 * (16 * U.nnz + 544 * U.nnz)}
for name, count in counts.items():
    print(f'{name:34} {count / 1e6:6.0f} million')
dense, diagonal, products = counts.values()
assert 30 < dense / products < 50

# %% [markdown]
# Nearly forty times fewer. `ops.upsample` does it so, and owns no weights. Timed (a coarse
# measurement, so we ask for no more than three times):

# %%
score = rng.standard_normal((1, 21, 16, 16)).astype('float32')
w = tinyfcn.init.bilinear((21, 21, 64, 64), rng)


def seconds(work):
    """The better of two."""
    took = []
    for _ in range(2):
        start = perf_counter()
        work()
        took.append(perf_counter() - start)
    return min(took)


by_deconvolution, _ = ops.conv_transpose2d(score, w, stride=32)
by_products, _ = ops.upsample(score, 32)
assert np.allclose(by_deconvolution, by_products, atol=1e-5)
assert (seconds(lambda: ops.conv_transpose2d(score, w, stride=32))
        > 3 * seconds(lambda: ops.upsample(score, 32)))

# %% [markdown]
# ## Fixed, or only a beginning?
#
# A transposed convolution may also *begin* as a tent and then learn: `init.bilinear` fills w so,
# and `learned` is the word for it in FCN.

# %%
viz.show_source(tinyfcn.init.bilinear)

# %%
viz.show_source(tinyfcn.models.fcn.learned_upsample)

# %%
w = tinyfcn.init.bilinear((5, 5, 4, 4), rng)
score = rng.standard_normal((1, 5, 6, 6)).astype('float32')
stamped, _ = ops.conv_transpose2d(score, w, stride=2)
assert np.allclose(stamped, ops.upsample(score, 2)[0], atol=1e-6)       # how it begins

fixed = tinyfcn.build('fcn8s', n_class=21, seed=None)
learns = tinyfcn.build('fcn8s', n_class=21, seed=None, up='learned')
for name, box in fixed.boxes.items():
    if box.op is ops.upsample:
        print(f'{name:14} factor {box.kwargs["factor"]}: weights 0 if fixed, '
              f'{learns.params[name + ".w"].size:,} if learned')

# %% [markdown]
# The paper says: the last one is fixed and bilinear, those in between begin bilinear and learn. In
# the nets that its authors gave away all are fixed, and so they are here unless told
# `up='learned'`. Why? The last one only makes scores smooth. At stride 32 it would bring 1.8
# million weights for that, and a tent has none to get wrong. Those in between are small and cheap
# to learn; but they, too, already begin with what they are for.
#
# Walk a small FCN-8s and stop wherever something is enlarged:

# %%
net = tinyfcn.build('tiny_8s', n_class=5)
picture = (image.transpose(2, 0, 1)[None] / 128 - 1).astype('float32')
for box, y in net.walk(picture):
    if box.op is ops.upsample:
        print(f'{box.name:14} {net.values[box.inputs[0]].shape[2:]} -> {y.shape[2:]}')

# %% [markdown]
# ## Now you
#
# The kernel, for any factor.

# %%
def bilinear_mine(factor):
    """The stamp that enlarges by `factor`: (2·factor, 2·factor)."""
    raise NotImplementedError('yours to write')


check('bilinear', bilinear_mine)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def bilinear_mine(factor):
#     places = np.arange(2 * factor) - (2 * factor - 1) / 2           # from the centre, in taps
#     line = 1 - abs(places) / factor
#     return np.outer(line, line)
# ```
#
# </details>

# %% [markdown]
# ## What PyTorch calls this
#
# | here | PyTorch |
# | --- | --- |
# | `ops.upsample(x, f, pad=f//2)` | `F.conv_transpose2d(x, w, stride=f, padding=f//2, groups=C)` |
# | `ops.resize(x, (f·H, f·W))` | `F.interpolate(x, scale_factor=f, mode='bilinear')` |
# | `ops.resize(x, size, align_corners=True)` | `F.interpolate(…, align_corners=True)` |
#
# In the first, f is even and w (C, 1, 2f, 2f) is the kernel, C times: `groups=C` keeps every
# channel to itself. The second is the same inside and holds the edges. The third lays corner pixels
# on corner pixels: its step is (H − 1)/(f·H − 1) and not 1/f, so its pixels lie elsewhere, and
# nothing in this lesson fits it.
#
# ## Three questions
#
# 1. Why do the taps of the kernel for factor f sum to f², and not to one?
#
# <details><summary>Answer</summary>
#
# One pixel becomes f² new ones, and each of these must be as bright as it was. What sums to one is
# what *meets at an output*: one tap in f along each axis.
#
# </details>
#
# 2. An even tent gives (H + 1)·f rows, one f more than the picture has. Where do they come from?
#
# <details><summary>Answer</summary>
#
# From the outer slopes of the first and of the last tent: f/2 rows each lie beyond the old pixels'
# edges. `pad=f//2` cuts them off.
#
# </details>
#
# 3. Is enlarging by 2 and then by 16 the same as enlarging by 32?
#
# <details><summary>Answer</summary>
#
# No. After the first, the corners of the line lie at the new pixels, a little beside the old ones;
# the second joins those by straight lines and so cuts the old corners. Where the values rise
# evenly, there are no corners to cut and the two agree. Lesson 11 needs both halves of this answer.
#
# </details>
#
# **Next:** we have cut "what hangs over" a few times now, and always knew where. FCN cuts at 19, at
# 5 and 27, at 5, 9 and 31. Lesson 09 finds out why.
