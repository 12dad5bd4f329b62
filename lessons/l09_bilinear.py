# %% [markdown]
# # 09. Bilinear upsampling
#
# **Which kernel upsamples six coarse rows of scores to ninety-six smooth ones, before anything is
# learned?**
#
# *About 50 minutes, with its exercises.*
#
# Lesson 08 introduced an operation that upsamples with any kernel. This one derives *the* kernel
# that FCN starts with, the **bilinear kernel**.

# %% tags=["hide-input"]
# imports
from time import perf_counter

import matplotlib.pyplot as plt
import numpy as np

import tinyfcn
from tinyfcn import ops, viz
from tinyfcn.course import tracing
from tinyfcn.course.exercises import check

plt.rcParams['figure.dpi'] = 100
rng = np.random.default_rng(0)

# %% [markdown]
# Suppose a net made no mistakes, but had only one score for every 16×16 pixels: the share of the
# square that each class covers. (We compute it with `avg_pool`, the mean of every window, of a map
# that is 1 where the class is; void belongs to no class.) To get a score for every pixel, we can
# repeat each score 16 times, or interpolate between neighbouring scores. The mask is the class with
# the highest score:

# %%
image, label = tinyfcn.data.load_dataset('shapes', size=(96, 128), n_class=5, difficulty=0)[15]
shares = np.stack([label == c for c in range(5)])[None].astype(float)        # (1, 5, 96, 128)
valid = label != 255


def from_coarse(side):
    """The masks from one score for every side×side pixels: repeated, and interpolated."""
    score, _ = ops.avg_pool(shares, side)                                    # (1, 5, 6, 8) for 16
    blocks = score.repeat(side, 2).repeat(side, 3)
    smooth, _ = ops.upsample(score, side, pad=side // 2)
    return {name: scores.argmax(1)[0, :96, :128]
            for name, scores in (('repeated', blocks), ('bilinear', smooth))}


def share_right(mask):
    """The share of the pixels that are right."""
    return (mask == label)[valid].mean()


# %%
cell = 16                                                           # try: 8, 32, 5, 64

masks = from_coarse(cell)
for name, mask in masks.items():
    print(f'{name}: {share_right(mask):.1%} of the pixels are right')
viz.side_by_side({name: viz.colours(mask) for name, mask in {'label': label, **masks}.items()},
                 width=2.4)

# %% tags=["hide-input"]
# check: interpolation is right more often
masks = from_coarse(16)
assert share_right(masks['bilinear']) > share_right(masks['repeated'])

# %% [markdown]
# The scores are the same 6×8 in both. **Change this and run again:** `cell` from 16 to 8: now
# nearly every pixel is right. Then 32: both fail, and smoothness does not help. Upsampling
# cannot restore details that the coarse scores do not contain; that is what FCN's skips are for
# (lesson 12).
#
# ## Linear interpolation is a sum of triangle functions
#
# Three values, one apart, joined by straight lines. A quarter of the way from x[0] to x[1], the
# line is at ¾·x[0] + ¼·x[1]. Now look at it the other way round, as in lesson 08: what does *one*
# value contribute, and where? Its full value at its own position, half of it halfway to a
# neighbour, and nothing from the neighbour on. This function is a triangle (also called hat or tent
# function). The interpolated line is the sum of the triangles.

# %%
x = np.array([1., 3., 2.])
at = np.linspace(-1, 3, 201)
triangles = [(1 - abs(at - i)).clip(0) for i in range(3)]           # one for each value, height 1

line = sum(value * triangle for value, triangle in zip(x, triangles))

# %% tags=["hide-input"]
# draw the triangles; check that they sum to one
plt.figure(figsize=(5, 2.2))
for value, triangle in zip(x, triangles):
    plt.fill_between(at, value * triangle, alpha=.3)
plt.plot(at, line, 'k', lw=2)
plt.plot(range(3), x, 'ko')
plt.title('three triangles and their sum', fontsize=9)
plt.tight_layout()

between = (at >= 0) & (at <= 2)
assert np.allclose(line[between], np.interp(at, range(3), x)[between])
assert np.allclose(sum(triangles)[between], 1)                      # they overlap, and sum to one

# %% [markdown]
# Remember two things. **The triangles sum to one** between the first value and the last: where all
# values are 7, so is the line. And beyond the ends the line falls to zero, because there is no
# neighbour. We return to that below.
#
# ## The kernel: the triangle, sampled
#
# To upsample by a factor f, each old pixel is divided into f new ones. Their centres are 1/f apart,
# and symmetric about the old centre. For f = 2 they are ¼ to the left and to the right; the next
# are at ¾. The triangle is above zero from −1 to 1, so it contains 2f of them: **ksize = 2·f**. Its
# values there:

# %%
def taps_of(factor):
    """The new pixels under one triangle, as distances from its centre, and its values there."""
    distances = (np.arange(2 * factor) + .5) / factor - 1
    return distances, 1 - abs(distances)


for factor in (2, 3, 4):
    _, taps = taps_of(factor)
    print(f'f = {factor}: ', *(f'{2 * factor * tap:.0f}' for tap in taps), f' / {2 * factor}')
    assert np.isclose(taps.sum(), factor)                           # each x is spread over f pixels

# %% tags=["hide-input"]
# check: ¼ ¾ ¾ ¼
assert (taps_of(2)[1] == [1 / 4, 3 / 4, 3 / 4, 1 / 4]).all()

# %% [markdown]
# The odd numbers, up and down. In units of taps, this is the library's formula: the centre is
# (ksize − 1)/2, and the values fall by 1/f per tap. It also has a variant for odd ksize, see below.

# %%
from tinyfcn.init import bilinear_1d

viz.show_source(bilinear_1d)

# %% tags=["hide-input"]
# check: the same taps
for factor in (2, 4, 8, 32):
    assert np.allclose(bilinear_1d(2 * factor), taps_of(factor)[1])

# %% [markdown]
# **Linear interpolation is a transposed convolution with this kernel and stride f.** Step through
# it: each value adds its copy of the kernel, two positions further on, and where two overlap they
# add up to the straight line.

# %%
tracing.bilinear([4., 8., 4., 12.], 2)

# %% [markdown]
# ## Two dimensions: the product
#
# *Bilinear* means linear in each of two directions: first along the rows, then along the columns.
# The bilinear kernel is the product of two triangles, `k[i, j] = t[i]·t[j]`. For f = 2, in
# sixteenths:

# %%
kernel = np.outer(bilinear_1d(4), bilinear_1d(4))
print((16 * kernel).astype(int))

# %% tags=["hide-input"]
# check: upsample does this for each class separately
assert kernel.sum() == 4                                        # f² new pixels for each old one

x = rng.standard_normal((1, 3, 5, 6))                               # three classes
y, _ = ops.upsample(x, 2)
one_by_one = [ops.conv_transpose2d(x[:, [c]], kernel[None, None], stride=2)[0] for c in range(3)]
assert np.allclose(y, np.concatenate(one_by_one, axis=1))           # each class separately
assert y.shape == (1, 3, 12, 14)                                    # (H + 1)·f

flat, _ = ops.upsample(np.ones((1, 1, 5, 6)), 2)
assert (flat[0, 0, 2:-2, 2:-2] == 1).all()                          # sums to one inside

# %%
viz.show_source(ops.upsample)

# %% [markdown]
# In terms of lesson 08: `bilinear_matrix` is Mᵀ for one axis, with the triangle as w. `separable`
# applies one such matrix along the rows of every image and one along its columns. No kernel in two
# dimensions is ever built; below we count what that saves.
#
# ## Where it is interpolation, and where it is not
#
# The new pixel a is at position (a − (ksize − 1)/2)/f of the old ones. Wherever it has an old pixel
# on both sides, upsampling *is* interpolation, and equals `np.interp`. Before the first pixel and
# after the last one, `np.interp` repeats the edge value, while upsampling decreases to zero.

# %%
x = np.array([1., 3., 2.])
y, _ = ops.upsample(x[None, None, None], (1, 4))                    # along the second axis only
y = y[0, 0, 0]
at = (np.arange(len(y)) - 3.5) / 4
inside = (at >= 0) & (at <= 2)
clamped = np.interp(at, range(3), x)

# %% tags=["hide-input"]
# draw both, and check them
assert np.allclose(y[inside], clamped[inside])                         # equal inside
assert not np.isclose(y[~inside], clamped[~inside]).any()              # different at the border
assert np.allclose(y[:4], x[0] * np.array([1, 3, 5, 7]) / 8)        # one slope of one triangle

plt.figure(figsize=(5, 2))
plt.plot(at, clamped, 'o-', color='tab:orange', ms=4, label='np.interp repeats the edge')
plt.plot(at, y, 'ko', ms=4, label='upsample decreases to zero')
plt.plot(range(3), x, 'ks', ms=9, fillstyle='none')
plt.legend(fontsize=8)
plt.tight_layout()

# %% [markdown]
# Most of that border is cropped afterwards, but not all. Does the rest do harm? Beyond the first
# old pixel the scores of *every* class decrease by the same factor, and the highest score stays the
# highest. So the mask is the same as if the edge value had been repeated; only the probabilities
# are less certain there. To repeat the edge values, pad the scores with them, upsample, and crop:

# %%
score = rng.standard_normal((1, 5, 4, 4))
decreasing, _ = ops.upsample(score, 32)
wider = np.pad(score, ((0, 0), (0, 0), (1, 1), (1, 1)), mode='edge')
edge_repeated = ops.upsample(wider, 32)[0][..., 32:-32, 32:-32]

different = decreasing.argmax(1) != edge_repeated.argmax(1)
print(f'scores that differ: {(abs(decreasing - edge_repeated) > 1e-9).mean():.0%}, classes: '
      f'{different.mean():.0%}')

# %% tags=["hide-input"]
# check: as edges repeated by resize
assert decreasing.shape == edge_repeated.shape
assert np.allclose(decreasing[..., 32:-32, 32:-32], edge_repeated[..., 32:-32, 32:-32])
assert not np.allclose(decreasing, edge_repeated)                  # the scores differ there
assert not different.any()                                          # the classes do not

resized, _ = ops.resize(score, (128, 128))                          # repeats the edges too
assert np.allclose(edge_repeated[..., 16:-16, 16:-16], resized)

# %% [markdown]
# ## Half a pixel: the kernel of odd size
#
# With an even ksize no new pixel is on an old one: they are in pairs around it. With an odd ksize,
# 2·f − 1, every f-th new pixel is an old one, unchanged. For f = 2 the kernel is ½ 1 ½.

# %%
y, _ = ops.upsample(x[None, None, None], (1, 2), ksize=(1, 3))
print('kernel', bilinear_1d(3), '  x', x, '  upsampled', y[0, 0, 0])

# %% tags=["hide-input"]
# check: ½ 1 ½; the old pixels are unchanged
assert bilinear_1d(3) == [.5, 1, .5] and (y[0, 0, 0, 1::2] == x).all()

# %% [markdown]
# Which is right? It depends on the alignment of the coarse pixels with the image. Pooling by 2 puts
# one *between* two pixels, and 2·f is right. A 3×3 convolution with stride 2 and pad 1 puts one
# *on* every second pixel, and with the even kernel the result would be half a pixel off. Our nets
# know the alignment of their boxes (lesson 10 computes it), and reject this:

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

# %% tags=["hide-input"]
# check: the offset is (1, 1)
assert n['score'].kwargs['offset'] == (1, 1)

# %% [markdown]
# VGG-16 reduces the size only by 2×2 pooling, so its FCNs use ksize 64, 16 and 4. AlexNet's windows
# are odd, and its FCN uses 63.
#
# ## Measuring checkerboard patterns
#
# Lesson 08 ended with kernels that overlap unevenly. This can be measured. An output of phase p
# (its index modulo the stride s) uses only the taps p, p + s, p + 2s … Their **sum** is the gain of
# a constant input there, the sum of their **squares** the gain of the power of noise. If a gain
# differs between phases, there is a checkerboard pattern.

# %%
def gains(taps, stride):
    """For each phase: the gain of a constant input, and of the power of noise."""
    phases = [np.array(taps[p::stride]) for p in range(stride)]
    return [tap.sum() for tap in phases], [(tap ** 2).sum() for tap in phases]


for name, taps, stride in (('ones, 3', [1, 1, 1], 2), ('ones, 4', [1, 1, 1, 1], 2),
                           ('bilinear, 3', bilinear_1d(3), 2), ('bilinear, 4', bilinear_1d(4), 2),
                           ('bilinear, 8', bilinear_1d(8), 4)):
    flat, noise = gains(taps, stride)
    print(f'{name}, stride {stride}:  constant', *(f'{v:g}' for v in flat),
          '  noise', *(f'{v:.3g}' for v in noise))

# %% tags=["hide-input"]
# check: a checkerboard; even for constants only; even for both
assert gains([1, 1, 1], 2)[0] == [2, 1]                             # a checkerboard
assert gains(bilinear_1d(3), 2) == ([1, 1], [.5, 1])                # even for constants only
assert gains(bilinear_1d(4), 2) == ([1, 1], [.625, .625])           # even for both

# %% [markdown]
# So the bilinear kernel of size 3 has no checkerboard for constant scores: they stay constant. But
# every second output is a copy of an input and the others are means of two, which is visible when
# the scores are noisy. ksize 4 with stride 2 treats all outputs alike. (For larger factors no
# bilinear kernel is quite even for noise: a mean of two values has less variance than a value close
# to one of them.)

# %% tags=["hide-input"]
# draw the mean square of noise
_, axs = plt.subplots(1, 2, figsize=(4.4, 2.1))
for ax, ksize in zip(axs, (3, 4)):
    y, _ = ops.upsample(rng.standard_normal((1, 2000, 8, 8)), 2, ksize=ksize)
    power = (y ** 2).mean((0, 1))[4:-4, 4:-4]
    ax.imshow(power, cmap='gray', vmin=0, vmax=1)
    ax.set_title(f'ksize {ksize}: noise, mean square', fontsize=9)
    ax.axis('off')
    ratio = power.max() / power.min()
    assert ratio > 3 if ksize == 3 else ratio < 1.5
plt.tight_layout()

# %% [markdown]
# ## The same for every class: a sparse product is enough
#
# FCN-32s upsamples 21 classes from 16×16 to 544×544 with a kernel of 64×64. In Caffe's net it is an
# ordinary deconvolution, whose w is (21, 21, 64, 64): a kernel from *every* class to every class,
# of which only the 21 on the diagonal are not zero. How many multiplications?

# %%
line = np.array(bilinear_1d(64)).reshape(1, 1, 64, 1)
U = ops.conv_matrix(line, (544, 1), stride=(32, 1)).T               # Mᵀ along one axis
assert U.shape == (544, 16) and U.nnz == 16 * 64                    # two numbers a row, inside

counts = {'dense, every class to every class': 16 * 16 * 21 * 21 * 64 * 64,
          'the diagonal alone': 16 * 16 * 21 * 64 * 64,
          'U x Uᵀ, one axis after the other': 21 * (16 * U.nnz + 544 * U.nnz)}
for name, count in counts.items():
    print(f'{name:34} {count / 1e6:6.0f} million')

# %% tags=["hide-input"]
# check: 30 to 50 times
dense, diagonal, products = counts.values()
assert 30 < dense / products < 50

# %% [markdown]
# Nearly forty times fewer. `ops.upsample` works this way, and has no weights. The folded cell
# measures the time of both (coarsely, so it asks only for a factor of three):

# %% tags=["hide-input"]
# measure both
score = rng.standard_normal((1, 21, 16, 16)).astype('float32')
w = tinyfcn.init.bilinear((21, 21, 64, 64), rng)


def seconds(function):
    """The shorter of two runs."""
    measured = []
    for _ in range(2):
        start = perf_counter()
        function()
        measured.append(perf_counter() - start)
    return min(measured)


by_deconvolution, _ = ops.conv_transpose2d(score, w, stride=32)
by_products, _ = ops.upsample(score, 32)
assert np.allclose(by_deconvolution, by_products, atol=1e-5)
slow = seconds(lambda: ops.conv_transpose2d(score, w, stride=32))
fast = seconds(lambda: ops.upsample(score, 32))
print('the products are more than three times as fast:', slow > 3 * fast)

# %% [markdown]
# ## Fixed, or only initialised?
#
# A transposed convolution may also be *initialised* to the bilinear kernel and then learn:
# `init.bilinear` fills w in this way, and FCN's layer for it is below.

# %%
viz.show_source(tinyfcn.init.bilinear)

# %%
viz.show_source(tinyfcn.models.fcn.learned_upsample)

# %%
w = tinyfcn.init.bilinear((5, 5, 4, 4), rng)
score = rng.standard_normal((1, 5, 6, 6)).astype('float32')
stamped, _ = ops.conv_transpose2d(score, w, stride=2)
assert np.allclose(stamped, ops.upsample(score, 2)[0], atol=1e-6)       # as initialised

fixed = tinyfcn.build('fcn8s', n_class=21, seed=None)
learned = tinyfcn.build('fcn8s', n_class=21, seed=None, up='learned')
for name, box in fixed.boxes.items():
    if box.op is ops.upsample:
        print(f'{name:14} factor {box.kwargs["factor"]}: weights 0 if fixed, '
              f'{learned.params[name + ".w"].size:,} if learned')

# %% [markdown]
# In the paper, the last upsampling is fixed and bilinear, and those in between are initialised to
# bilinear and learned. In the nets that its authors published all are fixed, and so they are here
# by default (`up='learned'` changes it). Why? The last one only makes scores smooth. At stride 32
# learning it would take 1.8 million weights, and the fixed kernel has none. Those in between are
# small and cheap to learn, but their initial values already do the job.
#
# Step through a small FCN-8s and print every upsampling:

# %%
net = tinyfcn.build('tiny_8s', n_class=5)
x = (image.transpose(2, 0, 1)[None] / 128 - 1).astype('float32')
for box, y in net.walk(x):
    if box.op is ops.upsample:
        print(f'{box.name:14} {net.values[box.inputs[0]].shape[2:]} -> {y.shape[2:]}')

# %% [markdown]
# ## Your turn
#
# Write the bilinear kernel for any factor.

# %%
def bilinear_mine(factor):
    """The bilinear kernel that upsamples by `factor`: (2·factor, 2·factor)."""
    raise NotImplementedError


check('bilinear', bilinear_mine)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def bilinear_mine(factor):
#     distances = np.arange(2 * factor) - (2 * factor - 1) / 2        # from the centre, in taps
#     triangle = 1 - abs(distances) / factor
#     return np.outer(triangle, triangle)
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
# In the first, f is even and w (C, 1, 2f, 2f) holds the kernel C times: `groups=C` keeps the
# channels separate. The second gives the same values inside and repeats the edges. The third aligns
# the corner pixels of both maps: its step is (H − 1)/(f·H − 1) and not 1/f, so its pixels are at
# other positions, and nothing in this lesson applies to it.
#
# ## Three questions
#
# 1. Why do the taps of the kernel for factor f sum to f², and not to one?
#
# <details><summary>Answer</summary>
#
# One pixel becomes f² new ones, and each of these must be as bright as the old one. The taps that
# *contribute to one output* sum to one: one tap in f along each axis.
#
# </details>
#
# 2. With an even ksize the output has (H + 1)·f rows, f more than the image has. Where do they come
#    from?
#
# <details><summary>Answer</summary>
#
# From the outer halves of the first and the last triangle: f/2 rows each lie beyond the edges of
# the old pixels. `pad=f//2` crops them.
#
# </details>
#
# 3. Is upsampling by 2 and then by 16 the same as upsampling by 32?
#
# <details><summary>Answer</summary>
#
# No. The first upsampling samples the line at the new pixels, which are a little beside the old
# ones; the second joins these samples by straight lines and so cuts off the corners at the old
# pixels. Where the values rise linearly, there are no corners and the two agree. Lesson 12 needs
# both parts of this answer.
#
# </details>
#
# **Next:** we have cropped the output a few times now, and always knew the offset. FCN crops at 19,
# at 5 and 27, at 5, 9 and 31. Lesson 10 derives these numbers.
