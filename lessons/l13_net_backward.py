# %% [markdown]
# # 13. The backward pass of a net
#
# **How do the gradients find their way through the whole FCN-8s, where some maps are read twice?**
#
# *About 55 minutes, with its exercises.*
#
# In lesson 06 you wrote the backward of one op, and met the one rule for a net: *where a value was
# read twice, its gradients add.* Since then you have met the other boxes of FCN-8s: pooling,
# upsampling, crops and skips. Now you write the backward pass of the whole net yourself, and
# compare it with the library's, bit for bit.

# %% tags=["hide-input"]
from base64 import b64encode
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from IPython.display import HTML

import tinyfcn
from tinyfcn import viz
from tinyfcn.course import tracing
from tinyfcn.course.exercises import check
from tinyfcn.course.player import Player
from tinyfcn.models import fcn

rng = np.random.default_rng(5)

# %% [markdown]
# ## The rule once more, on numbers
#
# Here is a small net in which every value is one number. Value 0 is the input; each later value is
# a weighted sum of earlier ones:
#
# ```
# v1 = 2·v0            v2 = 3·v1            v3 = 1·v1 + 4·v2            score = v3
# ```
#
# Start with dscore = 1 and go backward. v3 reads v1 and v2, so v2 receives 4, and v1 receives 1.
# Then v2 reads v1, which receives 3·4 = 12 *more*: 13. Then v1 reads v0: 2·13 = 26. Step through
# it. A box is handled when all boxes that read it have been handled; going through the list from
# its end guarantees that.

# %% tags=["hide-input"]
# step through the gradients of four values
FACTORS = [[], [(0, 2)], [(1, 3)], [(1, 1), (2, 4)]]    # of each value: (value it reads, factor)
gradients = [0, 0, 0, 1]
frames = [dict(caption='the gradient of the score is given: 1', set={}, highlight={'d': [[0, 3]]})]
for i in (3, 2, 1):
    for read, factor in FACTORS[i]:
        before = gradients[read]
        gradients[read] = before + factor * gradients[i]
        frames.append(dict(
            caption=f'backward of v{i} to v{read}: d[v{read}] = {before} + {factor}·{gradients[i]} '
                    f'= {gradients[read]}',
            set={'d': [[0, read, gradients[read]]]}, highlight={'d': [[0, i], [0, read]]}))
assert gradients == [26, 13, 4, 1]
Player(dict(kind='grid', title='gradients of v0, v1, v2, v3', frames=frames, grids=[
    dict(name='d', title='d: the gradients of v0, v1, v2, v3', values=[[0, 0, 0, 1]], row=0,
         colours='shade')]))

# %% [markdown]
# ### Exercise: backpropagate
#
# The net is given by a matrix F: `F[i, j]` is the factor with which value i reads value j, and 0
# where it does not read it. So value i is Σ F[i, j]·value[j], for j < i. Value 0 is the input, the
# last value the score; row 0 is all zeros. Return the gradients of all values, an array of n
# numbers; `dscore` is that of the last.

# %%
def backpropagate_mine(F, dscore):
    """F (n, n), dscore a number -> the gradients of the n values"""
    raise NotImplementedError


check('backpropagate', backpropagate_mine)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def backpropagate_mine(F, dscore):
#     d = np.zeros(len(F))
#     d[-1] = dscore
#     for i in reversed(range(len(F))):           # d[i] is complete: all that read i came before
#         d += F[i] * d[i]
#     return d
# ```
#
# The loop body is dx = Mᵀ dy for a single row of M, and `+=` is the rule.
#
# </details>

# %% [markdown]
# ## FCN-8s
#
# Now the net of the paper, each of its layers a sixteenth as wide, and a small image of noise. One
# op needs a word. **Dropout**, in training, sets about half of the values to zero, at random, and
# doubles the others; its cache stores which. It keeps a net from relying on single values. For the
# backward pass we only need to know which box reads which, and the figure shows that.
#
# Two preparations are needed. The net computes in float64, and all weights that are initialised to
# zero (biases and score layers) get small random numbers. With zero biases the wide border of zeros
# with which FCN pads would be right on the kink of relu; with zero weights in the score layers no
# gradient would pass, because their dx is Mᵀ dy.

# %%
net = tinyfcn.build('fcn8s', n_class=3, width=1 / 16, dtype='float64')
for values in net.params.values():
    if not values.any():
        values += .1 * rng.standard_normal(values.shape)

# %% tags=["hide-input"]
# as wide as it is, so that it can be read: scroll sideways
with TemporaryDirectory() as folder:
    viz.draw_net(net, f'{folder}/net.png', dpi=90)
    drawing = b64encode(Path(f'{folder}/net.png').read_bytes()).decode()
HTML(f'<div style="overflow-x: auto"><img src="data:image/png;base64,{drawing}" '
     f'alt="The boxes of FCN-8s and what each reads" style="max-width: none"></div>')

# %% [markdown]
# (The figure is wide; scroll it sideways. Bars are convolutions with their ReLUs, and after fc6 and
# fc7 dropout. Crops stand at the arrows.) Each of the two skips begins where a map has two arrows.
#
# First the forward pass. `walk` keeps each box's value in `net.values`, its cache in `net.caches`.

# %%
image = rng.standard_normal((1, 3, 32, 32))
boxes = list(net.walk(image, train=True))       # all of them, (box, y)
box, y = boxes[-1]
print(net, 'ends with', box.line, y.shape)

# %% [markdown]
# The backward pass starts with the gradient of the scores, `dscore`, which would come from the loss
# (lesson 05). For us any values will do, so ours are random, like the u of the gradient check. A
# dict `d` will hold the gradient of every value and every weight, by name. And this is the only
# helper that we use:

# %%
d = {'score': rng.standard_normal(y.shape)}


def back(name):
    """The backward of a box: the gradient of its value -> a tuple, one gradient for each input"""
    return net[name].op.backward(d[name], net.caches[name])


# %% [markdown]
# Now look at the code of FCN-8s,

# %%
viz.show_source(fcn.stride8)

# %% [markdown]
# and read it **from the last line to the first**. Each line of it becomes a line below: the box on
# the left of the forward line is now on the right, and its inputs are on the left. (`back` returns
# a tuple; hence the comma after a single name.)

# %%
d['upscore8'],                        = back('score')           # a crop: zeros around dscore
d['fuse_pool3'],                      = back('upscore8')        # from fine to coarse
d['upscore_pool4'], d['score_pool3c'] = back('fuse_pool3')      # a sum: the same for both
d['score_pool3'],                     = back('score_pool3c')
d['pool3'], d['score_pool3.w'], d['score_pool3.b'] = back('score_pool3')    # first part: see below

d['fuse_pool4'],                      = back('upscore_pool4')
d['upscore2'], d['score_pool4c']      = back('fuse_pool4')
d['score_pool4'],                     = back('score_pool4c')
d['pool4'], d['score_pool4.w'], d['score_pool4.b'] = back('score_pool4')    # first part as well

d['score_fr'],                        = back('upscore2')
d['drop7'], d['score_fr.w'], d['score_fr.b'] = back('score_fr')

print({name: d[name].shape[1:] for name in ['upscore8', 'fuse_pool3', 'fuse_pool4', 'score_fr']})

# %% [markdown]
# That was the head, the part after the trunk. Does the library do the same? `net.walk_back` is its
# backward pass as a generator; `next()` takes one box at a time, and each of your lines is compared
# with it, bit for bit.

# %%
walk = net.walk_back(score=d['score'])

for _ in range(11):
    box, dinputs = next(walk)
    for name, expected in zip(box.reads, dinputs):
        assert np.array_equal(d[name], expected), name
    print(f'{box.name:13} -> {", ".join(box.reads)}')

# %% [markdown]
# The library visits the boxes in the order of your lines. Now the trunk (also called backbone),
# from `drop7` up to the image. It is a plain chain, in which each box reads one other, so a loop
# will do. Two boxes in it are special: **pool4 and pool3 are read twice**, by the trunk and by a
# score layer, and already have the gradients from their score layers. They are two diamonds, and
# there the gradients add.

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

    box, dinputs = next(walk)                   # the library, one box further
    assert box.name == name
    for mine, expected in zip([dx, *dweights], dinputs):
        assert np.array_equal(mine, expected)
    name = above

assert next(walk, None) is None                 # the library is done, too

# %% [markdown]
# That is the whole backward pass. Compare every gradient of every value and weight, yours and the
# library's:

# %% tags=["hide-input"]
assert d.keys() == net.grads.keys()
assert all(np.array_equal(d[name], net.grads[name]) for name in d)
count = sum(d[name].size for name in net.params)
print(f'{len(d)} arrays are equal; in them {count:,} gradients of weights')

# %% [markdown]
# They agree with each other; but are they *right*? One last finite difference will tell: move all
# weights at once, along a random direction v, by ε = 10⁻⁸ up and down. Your gradients predict how
# fast L = Σ dscore·score grows; two forward passes measure it.

# %%
v = {name: rng.standard_normal(values.shape) for name, values in net.params.items()}


def perturbed_loss(step):
    """L, when all weights have moved by step·v."""
    other = net.astype('float64')               # a copy
    for name, values in other.params.items():
        values += step * v[name]
    return (d['score'] * other.forward(image, train=True)).sum()


eps = 1e-8
analytic = sum((v[name] * d[name]).sum() for name in net.params)
numerical = (perturbed_loss(eps) - perturbed_loss(-eps)) / (2 * eps)
print(f'analytic (your lines) {analytic:.4f}, numerical (finite difference) {numerical:.4f}')

# %% tags=["hide-input"]
assert abs(numerical - analytic) < 1e-5 * abs(analytic)

# %% [markdown]
# Every weight of the net has contributed to this one number, through every line that you wrote.
#
# ## The whole way back
#
# Step through it once more. A picture is the size of the gradient of a box, added over its channels,
# white where it is largest. Above is the trunk, in the middle are the scores, below are the sums.
# Watch `pool4` and `pool3`: each gets a second gradient, from the next block of the trunk.

# %%
rows = [['pool3', 'pool4', 'fc7'],
        ['score_pool3c', 'score_pool4c', 'score_fr'],
        ['fuse_pool3', 'fuse_pool4', 'upscore2'],
        ['score']]
tracing.walk_back(net, image, rows, score=d['score'])

# %% [markdown]
# ## Change this and run again
#
# Here is the backward pass once more: all your lines in one loop, on a net of its own.
#
# * With `gradients_add = False` a second gradient of a value replaces the first. Down to `conv5_1`
#   all still agrees. The backward of `pool4` is the first that goes wrong, and everything before it
#   in the net.
# * With `nonzero = False` the weights that start at zero stay zero, and the trunk's gradients are
#   all exactly zero. How can such a net learn? (Its score layers learn first: *their* dw is not
#   zero. After one step their weights are no longer zero, and the trunk starts to learn.)

# %%
gradients_add = True                                    # try: False
nonzero = True                                          # try: False
my_width = 1 / 16                                       # try: 1 / 32

other = tinyfcn.build('fcn8s', n_class=3, width=my_width, dtype='float64')
if nonzero:
    for values in other.params.values():
        if not values.any():
            values += .1 * np.random.default_rng(0).standard_normal(values.shape)
list(other.walk(image, train=True))

by_hand = {'score': d['score']}
first_wrong = None
for box, dinputs in other.walk_back(score=d['score']):
    mine = box.op.backward(by_hand[box.name], other.caches[box.name])
    for name, own, expected in zip(box.reads, mine, dinputs):
        if not np.array_equal(own, expected) and first_wrong is None:
            first_wrong = f'the backward of {box.name}'
        by_hand[name] = by_hand[name] + own if gradients_add and name in by_hand else own
zero = [name for name in other.params if not by_hand[name].any()]
print(f'first wrong: {first_wrong}; of {len(other.params)} arrays of weights {len(zero)} have a '
      f'gradient of zero')

# %% [markdown]
# And take a larger ε for the finite difference: with 1e-6 the two differ in the fourth digit, with
# 1e-3 by nearly a half. Nothing is wrong with your lines: among so many relus some inputs are near
# the kink. That is why the step above is so very small. But if it is too small, as 1e-15, rounding
# is what remains of the difference of two losses.

# %%
small_step = 1e-8                                       # try: 1e-6, 1e-3, 1e-15

difference = perturbed_loss(small_step) - perturbed_loss(-small_step)
print(f'analytic {analytic:.4f}, numerical {difference / (2 * small_step):.4f}')

# %% [markdown]
# ## What PyTorch calls this
#
# | here | PyTorch |
# | --- | --- |
# | `net.walk_back(score=dscore)` | what `score.backward(dscore)` does inside |
# | `net.grads['fc6.w']` | `fc6.weight.grad` |
# | gradients add | the same; over several calls too, hence `optimizer.zero_grad()` |
# | `dropout(x, p=.5)` | `nn.Dropout(.5)`, `model.train()` and `model.eval()` |
#
# The one difference: PyTorch records the list of ops while it computes (*autograd*). Here it is
# defined beforehand, and so you could read it backwards.
#
# ## Three questions
#
# 1. `add` passes the same array to both of its inputs. Why must code that sums gradients be written
#    `d = d + dx` and never `d += dx`?
#
# <details><summary>Answer</summary>
#
# `+=` writes into the array, and the array is also the other input's gradient. In lesson 06's
# diamond, the gradient that reaches `data` through `relu1` would be added into the gradient of
# `relu1`, and into `dtotal`, which is still the same array and belongs to the caller.
#
# </details>
#
# 2. Which maps are read twice in FCN-16s, and which in FCN-32s?
#
# <details><summary>Answer</summary>
#
# In FCN-16s only pool4, which has a skip. FCN-32s is a plain chain: no gradients have to be added.
#
# </details>
#
# 3. Only the three score layers are trained, and the trunk is frozen. How far does the backward
#    pass have to go?
#
# <details><summary>Answer</summary>
#
# To `score_fr`, `score_pool4` and `score_pool3`, and no further: of these only dw and db are
# needed, no dx. All of the trunk, by far the largest part, is left out.
#
# </details>
#
# **Next, 14:** you have the loss, the gradients and the step. Now train a net with all three.
