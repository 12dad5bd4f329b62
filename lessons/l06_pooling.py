# %% [markdown]
# # 06. Pooling
#
# **Three of four numbers are thrown away: what is gained, and can the fourth find its way back?**
#
# A net that is to say "there is a cat" can afford to forget where its left ear was. One that is to
# say it of every pixel cannot. Pooling is where the *where* gets lost; so this lesson also shows
# how to write it down.

# %%
import matplotlib.pyplot as plt
import numpy as np

import tinyfcn
from tinyfcn import ops, viz
from tinyfcn.course import tracing
from tinyfcn.course.exercises import check

plt.rcParams['figure.dpi'] = 80

# %% [markdown]
# ## Why pool: see more, with less
#
# A 3×3 convolution sees three pixels by three, and a cat is larger than that. Pool the picture by 2
# first: each 2×2 square becomes one number, and the same 3×3 window now covers 6×6 pixels. Pool
# again, and it covers 12×12. The squares are what one 3×3 window covers after 0, 1, 2, 3 and 4
# poolings:

# %%
image, label = tinyfcn.data.load_dataset('shapes', size=(96, 128), n_class=5, difficulty=0)[0]

plt.figure(figsize=(3.6, 2.7))
plt.imshow(viz.colours(label))
for pooled in range(5):
    side = 3 * 2 ** pooled
    corner = 43 - side / 2, 48 - side / 2                   # all about the middle of the shape
    plt.gca().add_patch(plt.Rectangle(corner, side, side, fill=False, edgecolor='orange', lw=2))
plt.title('3, 6, 12, 24 and 48 pixels wide', fontsize=9)
plt.axis('off')
plt.tight_layout()

# %% [markdown]
# (The convolutions in between widen it further; lesson 09 does the whole sum.) And all later
# convolutions have a quarter of the places to visit. What that saves can be counted in FCN-32s, the
# simplest net of the paper: a convolution multiplies each of its weights once at every place.

# %%
net = tinyfcn.build('fcn32s', n_class=21, seed=None)        # seed=None: weights all zero, at once
sizes = net.sizes((500, 500))                               # of every box, without running it


def multiplications(sizes):
    return sum(net.params[f'{name}.w'].size * sizes[name][0] * sizes[name][1]
               for name, box in net.boxes.items() if f'{name}.w' in net.params)


unpooled = {name: sizes['conv1_1'] for name in sizes}       # had no pooling made the maps smaller
now, then = multiplications(sizes), multiplications(unpooled)
print(f'with its five poolings {now:.1e}, without any {then:.1e}: {then / now:.0f} times as many')
assert then > 200 * now

# %% [markdown]
# ## The largest, and where it stood
#
# **Max pooling** keeps the largest number of every window. Windows here are 2×2 and move by 2, so
# they do not overlap. By hand:

# %%
x = np.array([[1., 3., 2., 1.],
              [4., 2., 0., 5.],
              [6., 1., 7., 3.],
              [0., 2., 3., 8.]])

y = np.zeros((2, 2))
for i in range(2):
    for j in range(2):
        y[i, j] = x[2 * i:2 * i + 2, 2 * j:2 * j + 2].max()

assert (y == [[4, 5], [6, 8]]).all()
assert (y == ops.max_pool(x[None, None], 2)[0]).all()       # the library's, on (N, C, H, W)
viz.grids(x=x, y=y)

# %% [markdown]
# Where did the 4 stand? In row 1, column 0. Number the pixels of x row by row, `row·W + column`, as
# `x.ravel()` lays them: 0 to 15. Then a place is a single number, and the place of a window's
# largest is its **switch**. Three small functions share the work:

# %%
switches, _ = ops.max_switches(x[None, None], 2)            # where the largest stand
taken, _ = ops.take(x[None, None], switches)                # look there
back, _ = ops.unpool(taken, switches, size=(4, 4))          # and put back there

assert (switches[0, 0] == [[4, 7], [8, 15]]).all()
assert (taken[0, 0] == y).all()                             # so max_pool = take at the switches
viz.grids(x=x, switches=switches[0, 0], taken=taken[0, 0], unpooled=back[0, 0])

# %% [markdown]
# `unpool` is the way back: a map of the old size, each value where it came from, zeros for the
# three of four that nobody remembers. Step through both ways:

# %%
tracing.max_pool(x, 2)

# %% [markdown]
# **Change this and run again:** the call above with `ksize=3, stride=1`, that is
# `tracing.max_pool(x, 3, stride=1)`. Windows now overlap. Before you look: how many windows are
# there, and which pixels are the largest of more than one? (Four. The 7 wins all those it is in
# that the 8 is not in: three. So in the way back it receives three times.)

# %%
switches_over, _ = ops.max_switches(x[None, None], 3, stride=1)
assert (switches_over[0, 0] == [[10, 10], [10, 15]]).all()

# %% [markdown]
# ## The real functions
#
# `_windows` is a view of all windows, shaped (N, C, OH, OW, kh, kw), like im2col's before it is
# flattened (lesson 03). `max_pool` lays the taps on one another and keeps the larger.

# %%
viz.show_source(ops.max_pool, backward=True)

# %%
viz.show_source(ops.unpool, backward=True)

# %% [markdown]
# ## The gradient goes where the largest stood
#
# Nudge the 4, and y[0, 0] follows by just as much. Nudge the 3 beside it, and nothing happens: it
# was not the largest. So the slope is 1 at the switch and 0 elsewhere, and the gradient dy of y is
# *scattered to the switches*. That is unpooling, and it is all that the backward above does.

# %%
dy = np.array([[10., 20.], [30., 40.]])
y, cache = ops.max_pool(x[None, None], 2)
dx, = ops.max_pool.backward(dy[None, None], cache)

assert (dx == ops.unpool(dy[None, None], switches, (4, 4))[0]).all()
viz.grids(dy=dy, switches=switches[0, 0], dx=dx[0, 0])

# %% [markdown]
# In the language of lesson 04: once the switches are known, taking is a matrix P with a single 1 in
# each row, at the switch. Then y = P x, and the way back is dx = Pᵀ dy, as it was for convolution.
# Only, this matrix is not given by weights. It depends on x: another picture, another P.

# %%
P = np.zeros((4, 16))
P[np.arange(4), switches.ravel()] = 1

assert (P @ x.ravel() == y.ravel()).all()
assert (P.T @ dy.ravel() == dx.ravel()).all()
viz.grids(P=P)

# %% [markdown]
# AlexNet pools 3×3 windows every 2 pixels: neighbours share a row or a column. A pixel may then be
# the largest of several windows, and it gets the gradients of all of them: **they add**, as in
# col2im (lesson 05). This is why `unpool` adds with `np.add.at`: `x[switches] += …` would keep one
# and lose the others.

# %%
peak = np.zeros((1, 1, 5, 5))
peak[0, 0, 2, 2] = 9
y, cache = ops.max_pool(peak, 3, stride=2)
dx, = ops.max_pool.backward(np.ones_like(y), cache)
assert (y == 9).all() and dx[0, 0, 2, 2] == 4               # four windows, one winner
viz.grids(x=peak[0, 0], y=y[0, 0], dx_for_dy_of_ones=dx[0, 0])

# %% [markdown]
# ## When two are equal
#
# Then the switch is the first of them, row by row. It has to be *one*: were both switched, the
# gradient would arrive twice. A gradient check sees one half at such a place, for nudged upwards
# either pixel takes y along, and nudged downwards neither does. That was lesson 05's third trap:

# %%
tie = np.array([[5., 5.], [1., 2.]])[None, None]
y, cache = ops.max_pool(tie, 2)
dx, = ops.max_pool.backward(np.ones_like(y), cache)
assert (dx[0, 0] == [[1, 0], [0, 0]]).all()                 # all of it to the first

nudge = np.zeros_like(tie)
nudge[0, 0, 0, 0] = 1e-6
above, below = (ops.max_pool(tie + step * nudge, 2)[0].item() for step in (1, -1))
slope = (above - below) / 2e-6
assert abs(slope - .5) < 1e-6                               # 1 upwards, 0 downwards: half

# %% [markdown]
# Neither is wrong. In a net most ties are windows full of zeros behind a ReLU, and there the
# gradient dies in the ReLU anyway.
#
# ## Odd sizes: round up, or lose a row
#
# Five pixels hold two windows of two, and one pixel is left over. Either a third window hangs over
# the edge (**round up**: Caffe, and so FCN), or the last row and column are never looked at
# (**round down**: most others unless told). In x the largest number stands in the last row:

# %%
x5 = np.arange(25.).reshape(1, 1, 5, 5)
up, _ = ops.max_pool(x5, 2)
down, _ = ops.max_pool(x5, 2, ceil=False)
assert up.shape[2:] == (3, 3) and up.max() == 24
assert down.shape[2:] == (2, 2) and down.max() == 18        # 19 to 24 were never seen
viz.grids(x=x5[0, 0], rounded_up=up[0, 0], rounded_down=down[0, 0])

# %% [markdown]
# What hangs over the edge holds nothing, and nothing must never win: it is **minus infinity**, not
# zero. With zeros a window of negative numbers would give a 0 that stands nowhere in the picture.
# The same holds for padding:

# %%
cold = np.full((1, 1, 3, 3), -7.)
assert (ops.max_pool(cold, 2)[0] == -7).all()
assert (ops.max_pool(cold, 3, stride=1, pad=1)[0] == -7).all()
assert (ops.max_pool(np.pad(cold, ((0, 0), (0, 0), (1, 1), (1, 1))), 3, stride=1)[0]
        [0, 0] == [[0, 0, 0], [0, -7, 0], [0, 0, 0]]).all()         # padded with zeros: wrong

# %% [markdown]
# ## The rows that go missing in FCN
#
# A lost row sounds harmless. Follow a picture of 500 rows through FCN-32s. Its first convolution
# pads by 100 (lesson 09 says why), which makes 698 rows; then come five poolings.

# %%
def pooled(rows, ceil):
    """The rows before and after each of five poolings by 2."""
    steps = [rows]
    for _ in range(5):
        steps.append(-(-steps[-1] // 2) if ceil else steps[-1] // 2)
    return steps


up, down = pooled(698, ceil=True), pooled(698, ceil=False)
print('rounded up  ', *up)
print('rounded down', *down)
assert up == [698, *(sizes[f'pool{i}'][0] for i in range(1, 6))]    # what the net does

lost = [rows % 2 * 2 ** i for i, rows in enumerate(down[:5])]
print('lost, in rows of the picture:', lost, 'together', sum(lost))
assert sum(lost) == 698 - 32 * down[5] == 26

# %% [markdown]
# A row of pool4 stands for 16 rows of the picture, so losing one there costs 16 at once. Next comes
# fc6, a window of 7×7, which makes n − 6 rows of n. At the end FCN enlarges its n rows of scores to
# 32·(n + 1) (lessons 07 and 08), and of these the answer is cut, beginning at row 19 (lesson 09).

# %%
def score_rows(height, ceil):
    """How many rows FCN-32s has to cut the answer from; none where fc6 finds no seven rows."""
    n = pooled(height + 198, ceil)[5] - 6
    return 32 * (n + 1) if n > 0 else 0


for ceil in (True, False):
    rows = score_rows(500, ceil)
    answer = np.zeros(rows)[19:19 + 500]
    print(f'ceil={ceil}: {rows} rows, of which 19 … 518 are {len(answer)}')
assert len(answer) == 493

# %% [markdown]
# **Seven rows of the answer are missing, and NumPy does not complain:** a slice beyond the end is
# simply shorter. (`ops.crop` does complain.) Pictures of 224, 256, 320 or 512 rows are all right,
# and so the bug hides in tests. How many heights are not?

# %%
def fails(ceil):
    return [h for h in range(1, 3000) if score_rows(h, ceil) < 19 + h]


assert not fails(ceil=True)
print(len(fails(ceil=False)), 'of 2999 heights when rounded down, none when rounded up')
assert not {224, 256, 320, 512} & {*fails(ceil=False)}
assert {375, 500} <= {*fails(ceil=False)}

# %% [markdown]
# ## Back to where they were: DeconvNet and SegNet
#
# FCN pools five times and finds its way back by skips (lesson 11). Two nets that came soon after
# took the other road. Their second half mirrors the first, and for each pooling it has an
# **unpooling that reads that pooling's switches**. What comes out is sparse but exactly in place;
# the convolutions that follow fill the gaps. Here is an outline, pooled by 4 and put back, with its
# switches and without (then all that is left is to choose a corner):

# %%
grey = image.mean(2)[None, None]
slope_filters = np.array([[[[-1., 0, 1], [-2, 0, 2], [-1, 0, 1]]],
                          [[[-1., -2, -1], [0, 0, 0], [1, 2, 1]]]])     # how fast it gets brighter
slopes, _ = ops.conv2d(grey, slope_filters)                             # to the right, downwards
outline = (np.sqrt((slopes ** 2).sum(1, keepdims=True)) - 60).clip(0, 340)

small, _ = ops.max_pool(outline, 4)
switches, _ = ops.max_switches(outline, 4)
placed, _ = ops.unpool(small, switches, outline.shape[2:])
corners = np.zeros_like(outline)
corners[..., ::4, ::4] = small

_, axs = plt.subplots(1, 4, figsize=(8, 1.7))
for ax, (title, shown) in zip(axs, {'outline': outline, 'pooled by 4': small,
                                    'put back by switches': placed,
                                    'put back top left': corners}.items()):
    ax.imshow(shown[0, 0], cmap='gray')
    ax.set_title(title, fontsize=9)
    ax.axis('off')
plt.tight_layout()

for name, sparse in (('by switches', placed), ('top left', corners)):
    print(f'{name}: {(sparse == outline)[sparse > 0].mean():.0%} stand where they stood')
assert (placed == outline)[placed > 0].all()
assert (corners == outline)[corners > 0].mean() < .2

# %% [markdown]
# In a net, one line each. Walk it with `next()` and look at the sizes: 11 rows, 6, and 11 again.

# %%
from tinyfcn.layers import conv, max_pool, max_switches, unpool

n = tinyfcn.Net(channels=1, dtype='float64')
n.conv1    = conv(n.data, 4, 3, pad=1)
n.pool1    = max_pool(n.conv1, 2)
n.switches = max_switches(n.conv1, 2)
n.unpool1  = unpool(n.pool1, n.switches, like=n.conv1)
n.score    = conv(n.unpool1, 2, 3, pad=1)

walk = n.walk(grey[..., :11, :14])
for _ in range(5):
    box, y = next(walk)
    print(f'{box.name:9}', y.shape)

# %% [markdown]
# `like=n.conv1` is not decoration. Both 11 and 12 rows pool to 6, and nothing in the 6 tells which
# it was; SegNet, too, has to be told (45 rows pool to 23, and 2·23 is 46). The columns matter even
# more: a switch is row·W + column, and read with another W it points somewhere else.

# %%
x = np.diag(np.arange(1., 6))[None, None]                   # a diagonal, 5×5
y, _ = ops.max_pool(x, 2)
switches, _ = ops.max_switches(x, 2)
right, _ = ops.unpool(y, switches, (5, 5))
wrong, _ = ops.unpool(y, switches, (6, 6))
viz.grids(x=x[0, 0], put_back_in_5x5=right[0, 0], in_6x6_by_mistake=wrong[0, 0])

# %% [markdown]
# ## Now you
#
# Write max pooling, rounding up. `x` is (N, C, H, W); `ksize` and `stride` are whole numbers, one
# for both axes. Loops over the windows are welcome.

# %%
def max_pool_mine(x, ksize, stride):
    """The largest of every window, the last of which may hang over the edge."""
    raise NotImplementedError('yours to write')


check('max_pool', max_pool_mine)

# %% [markdown]
# <details><summary>Solution</summary>
#
# A slice that reaches over the edge is simply shorter, and for once that is what we want: there is
# nothing to win out there.
#
# ```python
# def max_pool_mine(x, ksize, stride):
#     n, c, h, w = x.shape
#     oh, ow = (-(-(length - ksize) // stride) + 1 for length in (h, w))
#     y = np.empty((n, c, oh, ow), x.dtype)
#     for i in range(oh):
#         for j in range(ow):
#             top, left = i * stride, j * stride
#             y[:, :, i, j] = x[:, :, top:top + ksize, left:left + ksize].max((2, 3))
#     return y
# ```
#
# </details>

# %% [markdown]
# And the way back. `y` and `switches` are (N, C, OH, OW), `size` is (H, W); where switches meet,
# values add.

# %%
def unpool_mine(y, switches, size):
    """Every value where its switch says, zeros elsewhere: (N, C, *size)."""
    raise NotImplementedError('yours to write')


check('unpool', unpool_mine)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def unpool_mine(y, switches, size):
#     n, c = y.shape[:2]
#     x = np.zeros((n, c, size[0] * size[1]), y.dtype)
#     for plane in np.ndindex(n, c):
#         np.add.at(x[plane], switches[plane].ravel(), y[plane].ravel())
#     return x.reshape(n, c, *size)
# ```
#
# </details>

# %% [markdown]
# ## What PyTorch calls this
#
# | here | PyTorch |
# | --- | --- |
# | `ops.max_pool(x, 2)` | `F.max_pool2d(x, 2, ceil_mode=True)`; it rounds down unless told |
# | `ops.max_switches(x, 2)` | the second result of it with `return_indices=True` |
# | `ops.unpool(y, switches, size)` | `F.max_unpool2d(y, indices, 2, output_size=size)` |
# | `ops.take(x, switches)` | `x.flatten(2).gather(2, indices.flatten(2))`, reshaped |
#
# PyTorch's indices are our switches, row·W + column. Where several windows have one winner, its
# unpooling keeps one value instead of adding them.
#
# ## Three questions
#
# 1. For which y is `max_pool(unpool(y, switches, size), 2)` not y again, though no windows overlap?
#
# <details><summary>Answer</summary>
#
# Where a value of y is negative: unpooling puts zeros beside it, and zero is larger. Behind a ReLU
# there are no negative values, so there the two ways do undo one another in this order.
#
# </details>
#
# 2. Average pooling gives the mean of every window. Is it a convolution? Is max pooling?
#
# <details><summary>Answer</summary>
#
# Average pooling is: every channel by itself, a 2×2 kernel of quarters, stride 2. Its matrix is the
# same for every picture. Max pooling is none: max(a + b) is not max(a) + max(b), and its P changes
# with x.
#
# </details>
#
# 3. FCN-32s with rounding down: why did not a single *pixel of the picture* get lost for 500 rows,
#    and yet the answer was too short?
#
# <details><summary>Answer</summary>
#
# The 26 rows that fall out are the last of 698, of which the last 98 see only padding. The picture
# is seen; but the map of scores ends earlier, and enlarged it no longer reaches the picture's end.
#
# </details>
#
# **Next:** unpooling puts single numbers back and leaves holes. Lesson 07 has the other way up,
# which stamps a whole pattern for each number: the transposed convolution.
