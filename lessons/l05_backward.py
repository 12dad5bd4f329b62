# %% [markdown]
# # 05. Going back
#
# **How does each of a million weights learn which way to move, in a single walk back?**
#
# How wrong an answer was is one number, the loss L. To learn is to ask of every weight: were it a
# little larger, would L grow or shrink, and how fast? This rate is the **gradient** of the weight.
# One could try it out, a weight at a time, with a whole walk of the net for each. Going back finds
# all of them in about the time of two more walks, and this is **backpropagation**. It needs one
# rule for each op, and one sentence for the net. At the end of this lesson you go back through the
# whole of FCN-8s yourself.
#
# The notation of the course: **dy** has the shape of y, and says of each of its cells how fast L
# grows with it. dx, dw and db say the same of x, w and b.

# %%
from io import BytesIO

import matplotlib.pyplot as plt
import numpy as np
from PIL import Image

import tinyfcn
from tinyfcn import gradcheck, layers, ops, viz
from tinyfcn.course import tracing
from tinyfcn.course.exercises import check
from tinyfcn.models import fcn
from tinyfcn.ops.conv import weight_gradient
from tinyfcn.dispatch import backward_of

# %% [markdown]
# ## The picture
#
# Forward, a box reads x and w and makes y. Backward, it is handed dy, by whoever read y; and it
# hands dx to whoever made x, and keeps dw for its weights. It knows nothing of L, and nothing of
# the rest of the net. That is why every op in tinyfcn is a pair of functions, and no more.

# %%
figure, ax = plt.subplots(figsize=(5, 2), dpi=75)
ax.add_patch(plt.Rectangle((0, 0), 3, 2, facecolor='#edf2f7', edgecolor='#4a5568'))
ax.text(1.5, 1, 'conv2d', ha='center', va='center')
for start, end, at, words in [((-2, 1.5), (0, 1.5), (-2.4, 1.5), 'x'),
                              ((3, 1.5), (5, 1.5), (5.4, 1.5), 'y'),
                              ((.8, 3), (.8, 2), (.8, 3.3), 'w')]:
    ax.annotate('', end, start, arrowprops=dict(arrowstyle='-|>', color='#2b6cb0', lw=1.6))
    ax.text(*at, words, ha='center', va='center', color='#2b6cb0')
for start, end, at, words in [((5, .5), (3, .5), (5.4, .5), 'dy'),
                              ((0, .5), (-2, .5), (-2.4, .5), 'dx'),
                              ((2.2, 2), (2.2, 3), (2.2, 3.3), 'dw')]:
    ax.annotate('', end, start, arrowprops=dict(arrowstyle='-|>', color='#c05621', lw=1.6))
    ax.text(*at, words, ha='center', va='center', color='#c05621')
ax.set(xlim=(-3, 6), ylim=(-.2, 3.6))
ax.axis('off')
plt.show()

# %% [markdown]
# ## One window, by hand
#
# A window of three pixels, three weights and a bias make one number y. Let the loss be L = y². Its
# slope is 2y, so dy = 2y. If x[0] grows by a little, y grows w[0] times that little, and L grows dy
# times as much again: dx[0] = dy·w[0]. Rates along a chain multiply; this is the **chain rule**,
# and it is all the calculus that we need.

# %%
x = np.array([2., 3, 1])
w = np.array([1., -1, 2])
b = .5

y = (w * x).sum() + b                           # 2 − 3 + 2 + 0.5 = 1.5
dy = 2 * y                                      # of L = y²

dx = dy * w                                     # y grows by w[k] for each unit of x[k]
dw = dy * x                                     # and by x[k] for each unit of w[k]
db = dy                                         # and by 1 for each unit of b
print('dx', dx, '  dw', dw, '  db', db)

# %% [markdown]
# Note how they cross: the gradient of x is made of w, and that of w of x. So the way back has to
# remember what came in on the way forward. This is what the *cache* holds.
#
# Do you believe it? Nudge x[0] a little up and a little down, and see how L moves:

# %%
def loss(x):
    return ((w * x).sum() + b) ** 2


eps = 1e-5
nudge = np.array([eps, 0, 0])
slope = (loss(x + nudge) - loss(x - nudge)) / (2 * eps)
print(f'by a nudge {slope:.6f}, by the chain rule {dx[0]:.6f}')
assert abs(slope - dx[0]) < 1e-8

# %% [markdown]
# ## Many windows: gradients add
#
# Now a line of four pixels and a kernel of two taps, which makes three outputs. Pixel 1 is seen by
# two windows. If it grows, *both* outputs grow, and L by the sum of what each brings. The same is
# true of the weights: each is used at three places. **What is used several times gets the sum of
# its gradients.**

# %%
x = np.array([1., 4, 2, 3])
w = np.array([5., -1])
dy = np.array([1., 10, 100])                    # of any loss; these are easy to tell apart

dx, dw = np.zeros(4), np.zeros(2)
for i in range(3):                              # window i sees the pixels i and i + 1
    dx[i:i + 2] += dy[i] * w
    dw += dy[i] * x[i:i + 2]
print('dx', dx)
print('dw', dw)

# %% [markdown]
# You have met this dx. A row of lesson 04's M says what an output reads; a column, to whom a pixel
# gives; and dx[j] is the sum over all to whom pixel j gives, dx[j] = Σ M[i, j]·dy[i]. That is **dx
# = Mᵀ dy**. And dw, where each tap sums what it met times dy, is a product with lesson 03's
# columns:

# %%
M = np.array([[5., -1, 0, 0],
              [0, 5, -1, 0],
              [0, 0, 5, -1]])
cols = np.array([[1., 4, 2],                    # what tap 0 meets at the three places
                 [4, 2, 3]])                    # and tap 1
assert np.array_equal(dx, M.T @ dy)
assert np.array_equal(dw, cols @ dy)

# %% [markdown]
# The three rules, then, for any convolution y = M x + b:
#
# ```
# dx = Mᵀ dy          every output hands back along the connections it read from
# dw = ⟨x, dy⟩        every tap: the pixels it met, times dy, summed over all places and pictures
# db = Σ dy           the bias was added everywhere
# ```
#
# ## Step through it
#
# One cell of dy after the other. Two things happen each time: the window's pixels, times this dy,
# are added to dw; the kernel, times this dy, is added to dx under the window. Watch the middle of
# dx: it is written to four times.

# %%
tracing.backward(x=[[1, 2, 0], [3, 1, 2], [0, 5, 1]], w=[[1, -1], [2, 3]], dy=[[1, 10], [2, -1]])

# %% [markdown]
# ## The library's own lines

# %%
viz.show_source(ops.conv2d.backward)

# %% [markdown]
# The three rules are there, each behind an `if`: `want` says which of them is needed at all. dx is
# `conv_transpose2d(dy, w)`: multiplication by Mᵀ has a name of its own, and a lesson, 07. (`unseen`
# counts last rows and columns that no window reached, because the stride did not divide the size:
# their gradient is 0.) And dw:

# %%
viz.show_source(weight_gradient)

# %%
rng = np.random.default_rng(5)
x, w, b = (rng.standard_normal(shape) for shape in [(2, 3, 7, 6), (4, 3, 3, 3), 4])
y, cache = ops.conv2d(x, w, b, stride=2, pad=1)
dy = rng.standard_normal(y.shape)
dx, dw, db = ops.conv2d.backward(dy, cache)

M = ops.conv_matrix(w, (7, 6), stride=2, pad=1)
for picture in range(2):
    assert np.allclose(dx[picture].ravel(), M.T @ dy[picture].ravel())

cols, _ = ops.im2col(x, 3, stride=2, pad=1)
assert np.allclose(dw.reshape(4, -1), sum(dy[i].reshape(4, -1) @ cols[i].T for i in range(2)))
assert np.allclose(db, dy.sum((0, 2, 3)))
print('dx', dx.shape, '  dw', dw.shape, '  db', db.shape)

# %% [markdown]
# ## Columns back to the image: add, do not put
#
# Nobody builds M for a real image. But y = w · im2col(x) is two steps, and each can be gone back.
# Through the product: `dcols = w.reshape(K, -1).T @ dy`. Then every cell of dcols must go back to
# the pixel that it was copied from, and this is **col2im**. A pixel was copied into many columns;
# so many values come back to it; so they are added.

# %%
tracing.col2im(np.arange(1., 17).reshape(4, 4), size=(3, 3), ksize=(2, 2))

# %% [markdown]
# "Should `+=` not be `=`?" readers of such code ask again and again. See what becomes of it. We
# unroll an image of ones and put it back. Added, each pixel should say how many windows saw it.

# %%
def put_back(cols, size, ksize, adds):
    """One channel, stride 1, no padding."""
    image, (kh, kw) = np.zeros(size), ksize
    places = np.ndindex(size[0] - kh + 1, size[1] - kw + 1)
    for (i, j), column in zip(places, cols.T):
        if adds:
            image[i:i + kh, j:j + kw] += column.reshape(ksize)
        else:
            image[i:i + kh, j:j + kw] = column.reshape(ksize)
    return image


ones, _ = ops.im2col(np.ones((1, 1, 5, 5)), 3)
seen = put_back(ones[0], (5, 5), (3, 3), adds=True)
print(seen.astype(int))
print(put_back(ones[0], (5, 5), (3, 3), adds=False).astype(int))
assert np.array_equal(seen, ops.col2im(ones, (5, 5), 3)[0][0, 0])
assert seen[2, 2] == 9 and seen[0, 0] == 1

# %% [markdown]
# With `=` the last window wins, and what the others knew is lost. Nothing crashes; the net learns
# worse, or not at all, and nobody knows why. It takes a test to see it, and the test comes below.
# First write it yourself.
#
# ## Your turn: col2im
#
# The whole of it: pictures, channels, stride and padding. `size` is (H, W) and `ksize` a pair. What
# lands in the padding is thrown away at the end: no pixel was there.

# %%
def col2im_mine(cols, size, ksize, stride, pad):
    """cols (N, C·kh·kw, OH·OW) -> (N, C, H, W)"""
    raise NotImplementedError


check('col2im', col2im_mine)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def col2im_mine(cols, size, ksize, stride, pad):
#     (high, wide), (kh, kw) = size, ksize
#     oh, ow = (high + 2 * pad - kh) // stride + 1, (wide + 2 * pad - kw) // stride + 1
#     cols = cols.reshape(len(cols), -1, kh, kw, oh, ow)
#     x = np.zeros((*cols.shape[:2], high + 2 * pad, wide + 2 * pad))
#     for i, j in np.ndindex(oh, ow):
#         top, left = i * stride, j * stride
#         x[:, :, top:top + kh, left:left + kw] += cols[..., i, j]
#     return x[:, :, pad:pad + high, pad:pad + wide]
# ```
#
# </details>

# %% [markdown]
# ## The gradient check
#
# How can one know that a backward is right? By nudging, as we did above. To ask every pixel and
# every weight would take two runs each. There is a shorter way: nudge *all* of x at once, along
# some random direction v. Then L should grow at the rate ⟨v, dx⟩, the sum of v·dx over all cells. A
# wrong dx would need great luck to pass, and three directions leave no luck. As for L, any will do:
# the library takes L = Σ u·y with random numbers u, for then dy is simply u.

# %%
print(gradcheck.check(ops.conv2d, x, w, b, stride=2, pad=1))

# %% [markdown]
# Now give it the mistake from above: an im2col whose way back forgets to add. (`backward_of` is how
# tinyfcn ties the two functions of an op together.)

# %%
def unroll(x, ksize):
    return ops.im2col(x, ksize)


@backward_of(unroll)
def unroll_backward(dcols, cache):
    shape, ksize, *_ = cache
    dx = put_back(dcols[0], shape[2:], ksize, adds=False)
    return dx[None, None],                      # the comma: a backward returns a tuple, of one here


plane = rng.standard_normal((1, 1, 5, 5))
report = gradcheck.check(unroll, plane, (3, 3))
print(report)
assert not report.ok
assert gradcheck.check(ops.im2col, plane, (3, 3)).ok

# %% [markdown]
# ### Three traps
#
# A gradient check can also be wrong itself, and accuse the innocent. **First, float32.** The nudge
# ε should be small, for the slope is meant *at* this point: the error of (L(x+ε) − L(x−ε)) / 2ε
# grows with ε². But a difference of two nearly equal numbers loses digits, and this error grows as
# ε shrinks. In between lies a valley. In float64 it is deep; in float32 it is so shallow that right
# and wrong look alike. Therefore: check in float64.

# %%
figure, ax = plt.subplots(figsize=(4, 2), dpi=75)
steps, best = 10. ** -np.arange(0, 13), {}
for kind in np.float32, np.float64:
    at = kind(1)
    slopes = [(np.exp(at + kind(e)) - np.exp(at - kind(e))) / kind(2 * e) for e in steps]
    error = abs(np.array(slopes, 'float64') / np.e - 1)
    best[kind.__name__] = error.min()
    ax.loglog(steps, error.clip(1e-13), 'o-', ms=3, label=kind.__name__)
ax.set_xlabel('ε', fontsize=9)
ax.set_title('error of the slope of exp at 1', fontsize=9)
ax.legend(fontsize=8)
plt.show()
assert best['float64'] < 1e-9 and best['float32'] > 1e-6

# %% [markdown]
# **Second, kinks.** relu is 0 below zero and x above. At 0 it has a corner and no slope. A nudge
# from there goes up the slope on one side and nowhere on the other, and reports a half.
#
# **Third, ties.** The largest of a and b: if they are equal, nudging either upwards raises the
# maximum, downwards does not, and again each gets a half. A backward gives all to one of them.

# %%
print('relu at 0:   by a nudge', (max(eps, 0) - max(-eps, 0)) / (2 * eps))
print('             by backward', ops.relu.backward(np.ones(1), ops.relu(np.zeros(1))[1])[0][0])

tie = np.array([1., 1])
for cell in range(2):
    up, down = tie.copy(), tie.copy()
    up[cell] += eps
    down[cell] -= eps
    print(f'max, cell {cell}: by a nudge {(up.max() - down.max()) / (2 * eps):.3f}')

assert not gradcheck.check(ops.relu, np.zeros(4)).ok            # an innocent, accused
assert gradcheck.check(ops.relu, np.array([-2., -1, 1, 2])).ok  # the same, off the kink

# %% [markdown]
# Neither matters for training: at such a point either answer will do. But a check must keep away
# from them, by inputs that are random and hence hardly ever 0 or equal.
#
# ## Your turn: the way back through a convolution
#
# The three rules. You may use `ops.im2col` and `ops.col2im`, or your own.

# %%
def conv2d_backward_mine(dy, x, w, stride, pad):
    """dy (N, K, OH, OW), x (N, C, H, W), w (K, C, kh, kw) -> dx, dw, db"""
    raise NotImplementedError


check('conv2d_backward', conv2d_backward_mine)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def conv2d_backward_mine(dy, x, w, stride, pad):
#     n, k = dy.shape[:2]
#     rows = dy.reshape(n, k, -1)                                 # (N, K, places)
#     cols, _ = ops.im2col(x, w.shape[2:], stride, pad)           # (N, taps, places)
#     dw = (rows @ cols.transpose(0, 2, 1)).sum(0).reshape(w.shape)
#     dcols = w.reshape(k, -1).T @ rows                           # (N, taps, places)
#     dx, _ = ops.col2im(dcols, x.shape[2:], w.shape[2:], stride, pad)
#     return dx, dw, dy.sum((0, 2, 3))
# ```
#
# </details>

# %% [markdown]
# ## From an op to a net
#
# A net is a list of boxes, each of which reads boxes above it. To go back, walk the list from its
# end. When a box's turn comes, all who read it have had theirs, so its dy is complete; its op makes
# gradients of what it read; they are handed up. One sentence has to be added, and you know it
# already: *where a value was read twice, its gradients add.* The smallest such net is a diamond:
#
# ```
#          ┌──── bent = relu(data) ────┐
# data ────┤                           ├──── total = add(data, bent)
#          └───────────────────────────┘
# ```

# %%
diamond = tinyfcn.Net(channels=1, dtype='float64')
diamond.bent = layers.relu(diamond.data)
diamond.total = layers.add(diamond.data, diamond.bent)

x = np.array([-1., 2, -3, 4]).reshape(1, 1, 1, 4)
for box, y in diamond.walk(x):
    print(f'{box.line:24}', y.ravel())

dtotal = np.array([1., 10, 100, 1000]).reshape(x.shape)
walk = diamond.walk_back(total=dtotal)
for box, dreads in walk:
    for name, dread in zip(box.reads, dreads):
        print(f'back through {box.name:5} to {name:5}', dread.ravel())

# %% [markdown]
# `add` hands the same dy to both whom it read. `relu` lets pass what was above zero. At `data` the
# two ways meet, and `diamond.grads` holds their sum: once where x < 0, twice where x > 0.

# %%
print(diamond.grads['data'].ravel().astype(int))
assert np.array_equal(diamond.grads['data'], dtotal * (1 + (x > 0)))

# %% [markdown]
# ## FCN-8s, backwards, by hand
#
# You have now all that it takes to go back through the net of the paper. Here is FCN-8s, each of
# its layers a sixteenth as wide, and a small picture of noise. What each box is *for* will come:
# pooling in lesson 06, upsampling in 07 and 08, crops in 09, the sums in 11. (One word is new:
# *dropout*, in training, sets about half of the values to zero, at random, and its cache remembers
# which.) To go back one need not know more. One needs to know who reads whom, and the figure says
# that.
#
# Two preparations. The net computes in float64, and all weights that begin at zero (biases and
# score layers) get small random numbers. Zero biases would leave the wide border of zeros that FCN
# pads right on the kink of relu; score layers of zero would send nothing back, for their dx is Mᵀ
# dy.

# %%
net = tinyfcn.build('fcn8s', n_class=3, width=1 / 16, dtype='float64')
for values in net.params.values():
    if not values.any():
        values += .1 * rng.standard_normal(values.shape)

figure = BytesIO()
viz.draw_net(net, figure, dpi=80)
Image.open(figure)

# %% [markdown]
# Forward. `walk` keeps each box's value in `net.values`, its cache in `net.caches`.

# %%
image = rng.standard_normal((1, 3, 32, 32))
boxes = list(net.walk(image, train=True))       # all of them, (box, y)
box, y = boxes[-1]
print(net, 'ends with', box.line, y.shape)

# %% [markdown]
# The gradient that it all begins with, `dscore`, would come from the loss of lesson 12. The way
# back does not care where it comes from; ours is random, as the u of the gradient check. A dict `d`
# will hold the gradient of every value and every weight, by name. And this is the only tool that we
# allow ourselves:

# %%
d = {'score': rng.standard_normal(y.shape)}


def back(name):
    """What the op of a box makes of the gradient of its value. -> a tuple, one for each it reads"""
    return net[name].op.backward(d[name], net.caches[name])


# %% [markdown]
# Now put the figure in front of you,

# %%
viz.show_source(fcn.stride8)

# %% [markdown]
# and read it **from the last line to the first**. Each line of the figure becomes a line below:
# what stood on the left, stands on the right; what was read, is given. (`back` returns a tuple;
# hence the comma behind a single name.)

# %%
d['upscore8'],                        = back('score')           # a crop: zeros around dscore
d['fuse_pool3'],                      = back('upscore8')        # from fine to coarse
d['upscore_pool4'], d['score_pool3c'] = back('fuse_pool3')      # a sum: the same for both
d['score_pool3'],                     = back('score_pool3c')
d['pool3'], d['score_pool3.w'], d['score_pool3.b'] = back('score_pool3')    # one half: see below

d['fuse_pool4'],                      = back('upscore_pool4')
d['upscore2'], d['score_pool4c']      = back('fuse_pool4')
d['score_pool4'],                     = back('score_pool4c')
d['pool4'], d['score_pool4.w'], d['score_pool4.b'] = back('score_pool4')    # one half as well

d['score_fr'],                        = back('upscore2')
d['drop7'], d['score_fr.w'], d['score_fr.b'] = back('score_fr')

print({name: d[name].shape[1:] for name in ['upscore8', 'fuse_pool3', 'fuse_pool4', 'score_fr']})

# %% [markdown]
# That was the head. Does the library do the same? `net.walk_back` is its walk; `next()` takes one
# box at a time, and each of your lines is held against it, to the last bit.

# %%
walk = net.walk_back(score=d['score'])

for _ in range(11):
    box, dreads = next(walk)
    for name, theirs in zip(box.reads, dreads):
        assert np.array_equal(d[name], theirs), name
    print(f'{box.name:13} -> {", ".join(box.reads)}')

# %% [markdown]
# The library goes from box to box in the order of your lines. Now the trunk, from `drop7` up to the
# image. It is a plain chain, in which each box reads one other, and so a loop will do. Two boxes in
# it are special: **pool4 and pool3 are read twice**, by the trunk and by a score layer, and the
# score layers have brought their halves already. They are two diamonds, and there the gradients
# add.

# %%
name = 'drop7'
while name != 'data':
    dx, *dweights = back(name)
    above, = net[name].inputs
    if above in d:
        print(f'{above} had a gradient already: they add')
        d[above] = d[above] + dx
    else:
        d[above] = dx
    for own, dw in zip(net[name].weights, dweights):
        d[f'{name}.{own}'] = dw

    box, dreads = next(walk)                    # the library, one box further
    assert box.name == name
    assert all(np.array_equal(mine, theirs) for mine, theirs in zip([dx, *dweights], dreads))
    name = above

assert next(walk, None) is None                 # and it is at the end, too

# %% [markdown]
# That is all of it. Every gradient of every value and weight, yours and the library's:

# %%
assert d.keys() == net.grads.keys()
assert all(np.array_equal(d[name], net.grads[name]) for name in d)
count = sum(d[name].size for name in net.params)
print(f'{len(d)} arrays are equal; in them {count:,} gradients of weights')

# %% [markdown]
# They agree with each other; but are they *right*? One last nudge tells: move all these weights at
# once, along a random direction v, by a hundred-millionth. You foretell how fast L = Σ dscore·score
# will grow; then the net runs twice, and says how fast it did.

# %%
v = {name: rng.standard_normal(values.shape) for name, values in net.params.items()}


def moved(step):
    """L, when all weights have moved by step·v."""
    other = net.astype('float64')               # a copy
    for name, values in other.params.items():
        values += step * v[name]
    return (d['score'] * other.forward(image, train=True)).sum()


eps = 1e-8
foretold = sum((v[name] * d[name]).sum() for name in net.params)
nudged = (moved(eps) - moved(-eps)) / (2 * eps)
print(f'by your lines {foretold:.4f}, by a nudge {nudged:.4f}')
assert abs(nudged - foretold) < 1e-5 * abs(foretold)

# %% [markdown]
# One number, to which every weight of the net has contributed, through every line that you wrote.
#
# ## Change this and run again
#
# * Leave out the loop over `net.params.values()` and run from there: the trunk's gradients are all
#   zero, and not only small. How could such a net ever learn? (Its score layers learn first:
#   *their* dw is not zero. After one step they are no longer zero, and the trunk begins.)
# * In the trunk's loop write `d[above] = dx` instead of the sum. At `conv5_1` all still agrees, for
#   what it hands up is right. It is `pool4` whose turn goes wrong, and everything above it.
# * Nudge with `eps = 1e-6`, and the two are a per cent apart. Nothing is wrong with your lines:
#   among so many relus some stand near their kink. That is why the nudge above is so very small.
#
# ## What PyTorch calls this
#
# | here | PyTorch |
# | --- | --- |
# | `op.backward(dy, cache)` | `backward(ctx, dy)` of a `torch.autograd.Function` |
# | the cache | `ctx.saved_tensors` |
# | `net.backward(score=dscore)` | `score.backward(dscore)`, or `loss.backward()` |
# | `net.grads['fc6.w']` | `fc6.weight.grad` |
# | gradients add | the same; over several calls too, hence `optimizer.zero_grad()` |
# | `gradcheck.check` | `torch.autograd.gradcheck`, which wants float64 too |
# | `ops.col2im` | `F.fold` |
#
# The one difference: PyTorch writes the list of boxes down while it computes (*autograd*). Here it
# is written down beforehand, in the figure, and so you could read it backwards.
#
# ## Three questions
#
# 1. `add` gives the same array to both whom it read. Why must whoever adds up gradients write
#    `d = d + dx` and never `d += dx`?
#
# <details><summary>Answer</summary>
#
# `+=` writes into the array, and the array is also the other one's gradient. In the diamond, what
# comes to `data` through `bent` would be written into the gradient of `bent`, and into `dtotal`,
# which is still the same array and belongs to whoever called.
#
# </details>
#
# 2. dx = Mᵀ dy needs no x, and dw = ⟨x, dy⟩ needs no w. What does the cache have to hold if the
#    weights of a layer do not learn?
#
# <details><summary>Answer</summary>
#
# Only w (and x's size). x need not be kept, which for large images is most of the memory. And if
# nothing above the layer learns either, dx is not wanted, and the walk back may stop there.
#
# </details>
#
# 3. A gradient check of a whole net fails in one weight of a million, by 3 per cent; for another
#    random image it passes. What do you suspect first?
#
# <details><summary>Answer</summary>
#
# A kink or a tie: some relu stood so near to 0, or two pixels under a maximum were so nearly equal,
# that the nudge crossed over. Take a smaller nudge: a kink goes away, a mistake stays.
#
# </details>
#
# **Next:** of the boxes that you went back through, `max_pool` was the strangest: to go back it
# must know *where* each maximum stood. Lesson 06.
