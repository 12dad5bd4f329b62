# %% [markdown]
# # 06. Backpropagation
#
# **How does one backward pass find, for each of a million weights, which way to move it?**
#
# *About 70 minutes, with its exercises.*
#
# Lesson 05 found the gradient of the loss L with respect to the *scores*: for each of them, how
# fast L grows with it. To train, we need the same for every *weight*. We could measure it one
# weight at a time, with two forward passes for each. **Backpropagation** computes all gradients in
# one **backward pass**, which takes about as long as two forward passes. It needs one rule for each
# op, and one rule for the net. Here you write the rule of the convolution; lesson 13 goes back
# through the whole FCN-8s.
#
# The notation of the course: **dy** is the gradient of L with respect to y. It has the shape of y,
# and each of its numbers says how fast L grows with that number of y. dx, dw and db are the same
# for x, w and b.

# %% tags=["hide-input"]
# imports
import matplotlib.pyplot as plt
import numpy as np

import tinyfcn
from tinyfcn import gradcheck, layers, ops, viz
from tinyfcn.course import tracing
from tinyfcn.course.exercises import check
from tinyfcn.dispatch import backward_of
from tinyfcn.ops.conv import weight_gradient

# %% [markdown]
# ## The idea in one figure
#
# Forward (blue), a box reads x and w and computes y. Backward (orange), it receives dy from the
# boxes that read y; it passes dx on to the box that computed x, and stores dw for its weights. It
# needs to know nothing about L or the rest of the net. That is why every op in tinyfcn is just a
# pair of functions.

# %% tags=["hide-input"]
# draw a box, forward and backward
figure, ax = plt.subplots(figsize=(5, 2), dpi=110)
ax.add_patch(plt.Rectangle((0, 0), 3, 2, facecolor='#edf2f7', edgecolor='#4a5568'))
ax.text(1.5, 1, 'conv2d', ha='center', va='center')
for start, end, at, name in [((-2, 1.5), (0, 1.5), (-2.4, 1.5), 'x'),
                             ((3, 1.5), (5, 1.5), (5.4, 1.5), 'y'),
                             ((.8, 3), (.8, 2), (.8, 3.3), 'w')]:
    ax.annotate('', end, start, arrowprops=dict(arrowstyle='-|>', color='#2b6cb0', lw=1.6))
    ax.text(*at, name, ha='center', va='center', color='#2b6cb0')
for start, end, at, name in [((5, .5), (3, .5), (5.4, .5), 'dy'),
                             ((0, .5), (-2, .5), (-2.4, .5), 'dx'),
                             ((2.2, 2), (2.2, 3), (2.2, 3.3), 'dw')]:
    ax.annotate('', end, start, arrowprops=dict(arrowstyle='-|>', color='#c05621', lw=1.6))
    ax.text(*at, name, ha='center', va='center', color='#c05621')
ax.set(xlim=(-3, 6), ylim=(-.2, 3.6))
ax.axis('off')
plt.show()

# %% [markdown]
# ## One window, by hand
#
# A window of three pixels, three weights and a bias give one number y. Let the loss be L = y². Its
# derivative is 2y, so dy = 2y. If x[0] grows by ε, y grows by w[0]·ε, and L by dy·w[0]·ε: so
# dx[0] = dy·w[0]. Rates along a chain multiply; this is the **chain rule**, and it is all the
# calculus that we need.

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
# Note how they cross: the gradient of x is computed from w, and that of w from x. So the backward
# pass needs the inputs of the forward pass. They are stored in the *cache*.
#
# Check it numerically, by a central **finite difference** as in lesson 05: move x[0] by a small ε
# up and down, and divide the change of L by 2ε. It gives the *numerical* gradient, the chain rule
# the *analytic* one.

# %%
def loss(x):
    return ((w * x).sum() + b) ** 2


eps = 1e-5
delta = np.array([eps, 0, 0])
numerical = (loss(x + delta) - loss(x - delta)) / (2 * eps)
print(f'finite difference {numerical:.6f}, chain rule {dx[0]:.6f}')

# %% tags=["hide-input"]
# check: the two agree
assert abs(numerical - dx[0]) < 1e-8

# %% [markdown]
# ## Many windows: gradients add
#
# Now take a line of four pixels and a kernel of two taps, which gives three outputs. Pixel 1 is in
# two windows. If it changes, *both* outputs change, and L changes by the sum of the two effects.
# The same is true of the weights: each is used at three positions. **A value that is used several
# times gets the sum of its gradients.**

# %%
x = np.array([1., 4, 2, 3])
w = np.array([5., -1])
dy = np.array([1., 10, 100])                    # of any loss; these digits are easy to tell apart

dx = np.zeros(4)
dw = np.zeros(2)
for i in range(3):                              # window i reads the pixels i and i + 1
    dx[i:i + 2] += dy[i] * w
    dw += dy[i] * x[i:i + 2]
print('dx', dx)
print('dw', dw)

# %% [markdown]
# You have met this dx. A row of lesson 04's M says which pixels an output reads; a column says to
# which outputs a pixel contributes; and dx[j] is the sum over the outputs to which pixel j
# contributes, dx[j] = Σ M[i, j]·dy[i]. That is **dx = Mᵀ dy**. And dw, where each tap sums the
# pixels that it was multiplied with, times dy, is a product with lesson 03's columns:

# %%
M = np.array([[5., -1, 0, 0],
              [0, 5, -1, 0],
              [0, 0, 5, -1]])
cols = np.array([[1., 4, 2],                    # the pixels under tap 0 at the three positions
                 [4, 2, 3]])                    # and under tap 1
print('Mᵀ dy           ', M.T @ dy, '   dx', dx)
print('columns times dy', cols @ dy, '   dw', dw)

# %% tags=["hide-input"]
# check: the products are dx and dw
assert np.array_equal(dx, M.T @ dy) and np.array_equal(dw, cols @ dy)

# %% [markdown]
# The three rules, then, for any convolution y = M x + b:
#
# ```
# dx = Mᵀ dy          dy goes back along the connections of the forward pass
# dw = ⟨x, dy⟩        for every tap: the pixels under it, times dy, summed over all positions
# db = Σ dy           the bias was added at every position
# ```
#
# With several images, dw and db are summed over them too.
#
# ## Step through it
#
# Each step handles one number of dy, and does two things: the window's pixels, times this dy, are
# added to dw; the kernel, times this dy, is added to dx under the window. Watch the middle of dx:
# four windows add to it.

# %%
tracing.backward(x=[[1, 2, 0], [3, 1, 2], [0, 5, 1]], w=[[1, -1], [2, 3]], dy=[[1, 10], [2, -1]])

# %% [markdown]
# ## The library's own lines

# %%
viz.show_source(ops.conv2d.backward)

# %% [markdown]
# The three rules are there, each behind an `if`: `want` says which of the gradients are needed. dx
# is `conv_transpose2d(dy, w)`: multiplication by Mᵀ has a name and a lesson of its own, 08.
# (`unseen` counts the last rows and columns that no window reached, because the stride did not
# divide the size: their gradient is 0.) And dw:

# %%
viz.show_source(weight_gradient)

# %% [markdown]
# `groups` is 1 here, as in lesson 02, so this is a product of dy with the columns. Try the op on
# two images of three channels; the folded cell compares its gradients with the three rules, dx
# with M.T @ dy and dw with dy @ cols.T.

# %%
rng = np.random.default_rng(5)
x, w, b = (rng.standard_normal(shape) for shape in [(2, 3, 7, 6), (4, 3, 3, 3), 4])
y, cache = ops.conv2d(x, w, b, stride=2, pad=1)
dy = rng.standard_normal(y.shape)
dx, dw, db = ops.conv2d.backward(dy, cache)

# %% tags=["hide-input"]
# check the three rules: M for dx, columns for dw, a sum for db
M = ops.conv_matrix(w, (7, 6), stride=2, pad=1)
for i in range(2):                              # the two images of the batch
    assert np.allclose(dx[i].ravel(), M.T @ dy[i].ravel())

cols, _ = ops.im2col(x, 3, stride=2, pad=1)
assert np.allclose(dw.reshape(4, -1), sum(dy[i].reshape(4, -1) @ cols[i].T for i in range(2)))
assert np.allclose(db, dy.sum((0, 2, 3)))
print('dx', dx.shape, '  dw', dw.shape, '  db', db.shape)

# %% [markdown]
# ## Columns back to the image: add, do not assign
#
# M is too large for real images. But y = w · im2col(x) has two steps, and each has its own
# backward. The product: `dcols = w.reshape(K, -1).T @ dy`, where dy has a row for each of the K
# kernels and a column for each position. Then every number of dcols must go back to the pixel that
# it was copied from, and this is **col2im**. A pixel was copied into several columns, so several
# values come back to it, and they are added.

# %%
tracing.col2im(np.arange(1., 17).reshape(4, 4), size=(3, 3), ksize=(2, 2))

# %% [markdown]
# "Should `+=` not be `=`?" is a frequent question about such code. Let us try both. We unroll an
# image of ones and put it back. If the values are added, each pixel should be the number of windows
# that contain it.

# %%
def put_back(cols, size, ksize, adds):
    """One channel, stride 1, no padding."""
    image = np.zeros(size)
    kh, kw = ksize
    positions = np.ndindex(size[0] - kh + 1, size[1] - kw + 1)
    for (i, j), column in zip(positions, cols.T):
        if adds:
            image[i:i + kh, j:j + kw] += column.reshape(ksize)
        else:
            image[i:i + kh, j:j + kw] = column.reshape(ksize)
    return image


ones, _ = ops.im2col(np.ones((1, 1, 5, 5)), 3)
window_count = put_back(ones[0], (5, 5), (3, 3), adds=True)
print(window_count.astype(int))
print(put_back(ones[0], (5, 5), (3, 3), adds=False).astype(int))

# %% tags=["hide-input"]
# check: as col2im, nine windows in the middle, one in a corner
assert np.array_equal(window_count, ops.col2im(ones, (5, 5), 3)[0][0, 0])
assert window_count[2, 2] == 9 and window_count[0, 0] == 1

# %% [markdown]
# With `=` only the last window counts, and the contributions of the others are lost. Nothing
# crashes; the net just learns worse, or not at all. Only a test finds such a mistake, and the test
# comes below. First write col2im yourself.
#
# ## Your turn: col2im
#
# Write the complete function, with images, channels, stride and padding. `size` is (H, W) and
# `ksize` is a pair, (kh, kw). Values that fall on the padding are discarded at the end, because no
# pixel was there.

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
#     height, width = size
#     kh, kw = ksize
#     oh = (height + 2 * pad - kh) // stride + 1
#     ow = (width + 2 * pad - kw) // stride + 1
#     cols = cols.reshape(len(cols), -1, kh, kw, oh, ow)
#     x = np.zeros((*cols.shape[:2], height + 2 * pad, width + 2 * pad))
#     for i, j in np.ndindex(oh, ow):
#         top = i * stride
#         left = j * stride
#         x[:, :, top:top + kh, left:left + kw] += cols[..., i, j]
#     return x[:, :, pad:pad + height, pad:pad + width]
# ```
#
# </details>

# %% [markdown]
# ## The gradient check
#
# How can we know that a backward is right? By finite differences, as above. Checking every pixel
# and every weight would take two runs each. There is a shorter way: move *all* of x at once along a
# random direction v. Then L should grow at the rate ⟨v, dx⟩, the sum of v·dx over all elements. It
# is very unlikely that a wrong dx passes for one direction, and practically impossible for three.
# Any L will do: the library uses L = Σ u·y with random numbers u, because then dy is simply u.

# %%
print(gradcheck.check(ops.conv2d, x, w, b, stride=2, pad=1))

# %% [markdown]
# Now test it on the mistake from above: an im2col whose backward assigns instead of adding.
# (`backward_of` connects the two functions of an op.)

# %%
def unroll(x, ksize):
    return ops.im2col(x, ksize)


@backward_of(unroll)
def unroll_backward(dcols, cache):
    shape, ksize, *_ = cache
    dx = put_back(dcols[0], shape[2:], ksize, adds=False)
    return dx[None, None],                      # a backward always returns a tuple


plane = rng.standard_normal((1, 1, 5, 5))
report = gradcheck.check(unroll, plane, (3, 3))
print(report)

# %% tags=["hide-input"]
# check: the mistake is found, and im2col passes
assert not report.ok
assert gradcheck.check(ops.im2col, plane, (3, 3)).ok

# %% [markdown]
# ### Three traps
#
# A gradient check can also fail although the backward is right. **First, float32.** The step ε
# should be small, because we want the derivative *at* this point: the error of (L(x+ε) − L(x−ε)) /
# 2ε grows with ε². But a difference of two nearly equal numbers loses digits, and this rounding
# error grows as ε shrinks. In between, the total error has a minimum. In float64 it is tiny; in
# float32 it is so large that right and wrong gradients look alike. Therefore: check in float64.

# %% tags=["hide-input"]
# draw the error of a finite difference
figure, ax = plt.subplots(figsize=(4, 2), dpi=110)
steps = 10. ** -np.arange(0, 13)
best = {}
for dtype in np.float32, np.float64:
    one = dtype(1)
    slopes = [(np.exp(one + dtype(e)) - np.exp(one - dtype(e))) / dtype(2 * e) for e in steps]
    error = abs(np.array(slopes, 'float64') / np.e - 1)
    best[dtype.__name__] = error.min()
    ax.loglog(steps, error.clip(1e-13), 'o-', ms=3, label=dtype.__name__)
ax.set_xlabel('ε', fontsize=9)
ax.set_title('relative error of the derivative of exp at 1', fontsize=9)
ax.legend(fontsize=8)
plt.show()
assert best['float64'] < 1e-9 and best['float32'] > 1e-6

# %% [markdown]
# **Second, kinks.** relu is 0 below zero and x above. At 0 it has a kink and no derivative. The
# central difference there is the mean of the slopes on both sides, one half.
#
# **Third, ties.** Take the maximum of a and b. If they are equal, moving either of them up raises
# the maximum, moving it down does not, and again each gets one half. A backward gives the whole
# gradient to one of them.

# %%
print('relu at 0:   finite difference', (max(eps, 0) - max(-eps, 0)) / (2 * eps))
_, cache = ops.relu(np.zeros(1))
print('             backward         ', ops.relu.backward(np.ones(1), cache)[0][0])

tie = np.array([1., 1])
for cell in range(2):
    up = tie.copy()
    down = tie.copy()
    up[cell] += eps
    down[cell] -= eps
    print(f'max, cell {cell}: finite difference {(up.max() - down.max()) / (2 * eps):.3f}')

# %% tags=["hide-input"]
# check: relu is right, but fails at its kink
assert not gradcheck.check(ops.relu, np.zeros(4)).ok
assert gradcheck.check(ops.relu, np.array([-2., -1, 1, 2])).ok  # the same, away from the kink

# %% [markdown]
# Neither matters for training: at such a point either gradient will do. But a check must avoid
# these points. Random inputs do, because they are hardly ever 0 or equal.
#
# ## Your turn: the backward of a convolution
#
# Write the three rules. You may use `ops.im2col` and `ops.col2im`, or your own.

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
#     rows = dy.reshape(n, k, -1)                                 # (N, K, positions)
#     cols, _ = ops.im2col(x, w.shape[2:], stride, pad)           # (N, taps, positions)
#     dw = (rows @ cols.transpose(0, 2, 1)).sum(0).reshape(w.shape)
#     dcols = w.reshape(k, -1).T @ rows                           # (N, taps, positions)
#     dx, _ = ops.col2im(dcols, x.shape[2:], w.shape[2:], stride, pad)
#     return dx, dw, dy.sum((0, 2, 3))
# ```
#
# </details>

# %% [markdown]
# ## From an op to a net
#
# A net is a list of boxes, each of which reads boxes earlier in the list. The backward pass goes
# through the list from the end. When it reaches a box, all boxes that read it have been handled, so
# its dy is complete; its op computes the gradients of its inputs; these are passed to earlier
# boxes. One rule has to be added, and you know it already: *where a value was read twice, its
# gradients add.* The smallest such net is a diamond:
#
# ```
#          ┌─── relu1 = relu(data) ────┐
# data ────┤                           ├──── total = add(data, relu1)
#          └───────────────────────────┘
# ```

# %%
diamond = tinyfcn.Net(channels=1, dtype='float64')
diamond.relu1 = layers.relu(diamond.data)
diamond.total = layers.add(diamond.data, diamond.relu1)

x = np.array([-1., 2, -3, 4]).reshape(1, 1, 1, 4)
for box, y in diamond.walk(x):                          # the forward pass, box by box
    print(f'{box.line:24}', y.ravel())

dtotal = np.array([1., 10, 100, 1000]).reshape(x.shape)
for box, dinputs in diamond.walk_back(total=dtotal):    # the backward pass
    for name, dinput in zip(box.reads, dinputs):
        print(f'backward of {box.name:5} to {name:5}', dinput.ravel())

# %% [markdown]
# `add` passes the same dy to both of its inputs. `relu` lets the gradient through where its input
# was above zero. At `data` the two paths meet, and `diamond.grads` holds their sum: dy once where x
# < 0, twice where x > 0.

# %%
print(diamond.grads['data'].ravel().astype(int))

# %% tags=["hide-input"]
# check
assert np.array_equal(diamond.grads['data'], dtotal * (1 + (x > 0)))

# %% [markdown]
# That is all of backpropagation: `net.backward(score=dscore)` starts from the gradient of the
# scores, which lesson 05 computes, and returns the gradient of every weight. With a step of SGD
# after it, you could train any net now; lesson 11 does.
#
# ## Change this and run again
#
# The finite difference of the first example, with a step of your choice. The loss is y², so with
# any large step the central difference is still exact up to rounding: a parabola has no error of
# ε². Try the *fourth* power, too, and see where the two errors take over. Expect the best step
# near 1e-5; at 1e-14 hardly a digit is right.

# %%
power = 2                                               # try: 4, 9
my_step = 1e-5                                          # try: 1., 1e-2, 1e-14

window = np.array([2., 3, 1])
taps = np.array([1., -1, 2])
offset_b = .5
output = (window * taps).sum() + offset_b
by_chain_rule = power * output ** (power - 1) * taps[0]
moved = [((window + [sign * my_step, 0, 0]) * taps).sum() + offset_b for sign in (1, -1)]
by_difference = (moved[0] ** power - moved[1] ** power) / (2 * my_step)
print(f'chain rule {by_chain_rule:.10g}, finite difference {by_difference:.10g}')

# %% [markdown]
# ## What PyTorch calls this
#
# | here | PyTorch |
# | --- | --- |
# | `op.backward(dy, cache)` | `backward(ctx, dy)` of a `torch.autograd.Function` |
# | the cache | `ctx.saved_tensors` |
# | `net.backward(score=dscore)` | `score.backward(dscore)`, or `loss.backward()` |
# | `net.grads['conv2.w']` | `conv2.weight.grad` |
# | `gradcheck.check` | `torch.autograd.gradcheck`, which wants float64 too |
# | `ops.col2im` | `F.fold` |
#
# ## Three questions
#
# 1. dx = Mᵀ dy needs no x, and dw = ⟨x, dy⟩ needs no w. What does the cache have to hold if the
#    weights of a layer are frozen (not trained)?
#
# <details><summary>Answer</summary>
#
# Only w (and x's size). x need not be kept, which for large images is most of the memory. And if
# nothing before the layer is trained either, dx is not needed, and the backward pass may stop
# there.
#
# </details>
#
# 2. A gradient check of a whole net fails in one weight of a million, by 3 per cent; for another
#    random image it passes. What do you suspect first?
#
# <details><summary>Answer</summary>
#
# A kink or a tie: the input of some relu was so near to 0, or two pixels under a maximum were so
# nearly equal, that the step crossed over. Take a smaller ε: the effect of a kink disappears, a
# mistake stays.
#
# </details>
#
# 3. A 1×1 convolution of one channel multiplies every pixel by the same w. What are dx and dw?
#
# <details><summary>Answer</summary>
#
# dx = w·dy, pixel by pixel. dw is a single number, Σ x·dy over all pixels and images, because w was
# used at each of them.
#
# </details>
#
# **Next:** of all boxes `max_pool` is special: its backward must know *where* each maximum was.
# Lesson 07.
