# %% [markdown]
# # 00. Start here: a picture in, a mask out
#
# **How does a net say, of every pixel, what it shows?**
#
# In the next twenty minutes a small net learns to do it in front of you, and you look inside. You
# need Python and a little NumPy; of nets you need to know nothing, for each word is explained where
# it first comes up. Run one cell after the other with Shift+Enter.

# %%
from functools import cache

import matplotlib.pyplot as plt
import numpy as np

import tinyfcn
from tinyfcn import ops, viz
from tinyfcn.course import tracing
from tinyfcn.course.exercises import check

plt.rcParams['figure.dpi'] = 70

# %% [markdown]
# ## A picture, and the answer
#
# Our pictures are drawn by the computer: discs, triangles and rings on a ground. So there are as
# many as we like, and we know exactly what each pixel shows.

# %%
drawn = dict(size=(64, 80), n_class=4, difficulty=0.)
school = tinyfcn.data.load_dataset('shapes', split='train', **drawn)
unseen = tinyfcn.data.load_dataset('shapes', split='test', **drawn)

image, label = unseen[12]
print('image', image.shape, image.dtype, '   label', label.shape, label.dtype)
print('classes', dict(enumerate(unseen.classes)), '   in this label', np.unique(label))


# %%
viz.side_by_side({'image': image, 'label, in colours': viz.colours(label)}, width=2.3)

# %% [markdown]
# An **image** holds three numbers for each pixel: how red, how green and how blue it is, from 0 to
# 255. A **label** holds one: the number of the class that the pixel shows. The pale line around
# each shape is 255 and means **void**: on an edge a pixel is partly shape and partly ground, and
# nobody can say which.
#
# To **segment** a picture is to find the label when only the image is given. The answer is called
# a **mask**, or a prediction.
#
# ## A net in eleven lines
#
# Nobody tells our net what a disc is. It has some fifteen thousand numbers, its
# **weights**, which begin at random, and a fixed way of reckoning from an image and those weights
# to an answer. That way is written down as a list of named **boxes**, one a line:

# %%
from tinyfcn.init import zeros
from tinyfcn.layers import conv, crop, max_pool, relu, upsample


def little_net(n, n_class):
    """Eleven boxes, from the image to a score for each class at each pixel."""
    n.conv1   = conv(n.data, 12, 3, pad=1)
    n.relu1   = relu(n.conv1)
    n.pool1   = max_pool(n.relu1, 2)

    n.conv2   = conv(n.pool1, 16, 5, pad=2)
    n.relu2   = relu(n.conv2)
    n.pool2   = max_pool(n.relu2, 2)

    n.conv3   = conv(n.pool2, 24, 5, pad=2)
    n.relu3   = relu(n.conv3)
    n.coarse  = conv(n.relu3, n_class, 1, init=zeros)

    n.upscore = upsample(n.coarse, 4)
    n.score   = crop(n.upscore, like=n.data)


net = tinyfcn.Net(channels=3)
little_net(net, n_class=4)
net

# %% [markdown]
# Read `n.pool1 = max_pool(n.relu1, 2)` as: the box *pool1* takes what *relu1* gives and pools it by
# two. `conv(n.data, 12, 3, pad=1)` makes 12 sums at each pixel, over the 3×3 pixels around it;
# `pad` keeps the size. (The twelfth box is `data`, the image itself.) Five words are all the net is
# made of, and a line each will do for today:
#
# | word | what it gives | its size | lesson |
# | --- | --- | --- | --- |
# | `conv` | weighted sums of a pixel and its neighbours; 12 sums, 12 **channels** | the same | 02 |
# | `relu` | whatever is below zero becomes zero | the same | 05 |
# | `max_pool(…, 2)` | the largest of each 2×2 cells | half, rounded up | 06 |
# | `upsample(…, f)` | f times as fine, with ramps between | H becomes (H + 1)·f | 07, 08 |
# | `crop(…, like=n.data)` | what hangs over the image is cut off | that of the image | 09 |
#
# ## It learns
#
# Before it has learned anything, the last weights are zero (`init=zeros`), and so is every answer.
# Then it is shown four pictures with their labels; each weight is moved a little in the direction
# that would have made the answers better; and that is one **step**. How wrong the answers were is
# one number, the **loss**: training makes it small. (How the direction is found is lesson 05, the
# loss is lesson 12.) A **recipe** is a plain dict that says how many steps there are and how large
# (`lr`); `start=None` means from random weights. Eighty pictures go to school here, again and
# again; it takes some seconds.

# %%
school = school.of(school.names[:80])
school.read = cache(school.read)                        # drawn once, then kept
recipe = tinyfcn.recipes.recipe('shapes-8s', start=None, steps=170, batch=4, lr=4e-3)
rows = tinyfcn.fit(net, school, recipe)

loss = [row['loss'] for row in rows]
plt.figure(figsize=(4, 1.8))
plt.plot(loss)
plt.xlabel('step')
plt.ylabel('loss')
plt.tight_layout()

# %% [markdown]
# ## What it says of a picture that it has never seen

# %%
mask = tinyfcn.predict(net, image)
viz.side_by_side({'image': image, 'truth': viz.colours(label), 'the mask': viz.colours(mask)},
                 width=2.2)

# %% [markdown]
# A mask is one class a pixel, but the net does not name classes. It gives a **score** for each
# class at each pixel: a number, the higher the more it speaks for that class. The mask is where
# the highest stands (`argmax`). White is 5 and more, black is −5 and less:

# %%
from tinyfcn.data.transforms import prepare

x = prepare(image, recipe['preprocess'], net.dtype)     # numbers about 0, and the channels first
score = net.forward(x)
print('x', x.shape, '   score', score.shape)

viz.side_by_side(dict(zip(unseen.classes, score[0].clip(-5, 5))), width=1.6)

# %% [markdown]
# One pixel, in numbers; the highest wins:

# %%
row, column = np.unravel_index(score[0, 1:].max(0).argmax(), label.shape)
for name, value in zip(unseen.classes, score[0, :, row, column]):
    print(f'{name:12}{value:8.2f}')
print(f'pixel ({row}, {column}): the mask says {unseen.classes[mask[row, column]]}')

assert (score[0].argmax(0) == mask).all()               # predict is prepare, forward, argmax

# %% [markdown]
# How good is the net, over many pictures? The share of pixels that it gets right sounds like a
# fair answer:

# %%
judged = tinyfcn.evaluate(net, unseen.of(unseen.names[:20]))
print(f'{judged["pixel_acc"]:.1%} of the pixels are right')
assert judged['mean_iu'] > .6

# %% [markdown]
# It is not a fair answer, and lesson 01 shows why.
#
# ## The walk
#
# `net.forward` goes from box to box to the end. `net.walk` goes the same way and stops at each box,
# to let you look. `next()` takes you one box further; what the box gave has a shape of four
# numbers, **(N, C, H, W)**: how many pictures, channels, rows, columns.

# %%
walk = net.walk(x)
for _ in range(3):
    box, y = next(walk)
    print(f'{box.line:42}{y.shape}')

# %% [markdown]
# The next cell goes one box further, to *conv2*, and draws five of its 16 channels. Each shows
# where in the picture something was found, and nobody has told the net what to look for. **Run it
# again and again**: each time it takes you one box on. (Behind the last there is nothing, and
# `next` raises `StopIteration`: begin a new walk above.)

# %%
box, y = next(walk)
viz.side_by_side({f'{box.name}, {i}': y[0, i] for i in range(min(5, box.channels))}, width=1.4)

# %% [markdown]
# What was passed stays at hand, by name: `net.values['pool1']` is a plain NumPy array. The way
# back, on which a net learns, is `net.walk_back`, just the same in reverse. It is lesson 05.
#
# ## Three ideas, and no fourth
#
# All of tinyfcn is made of three things. An **op** is a pair of plain functions, the way forward
# and the way back. This is the whole of `relu` (`xp` is NumPy here, or its twin on a graphics card;
# `floats` and `gradient` refuse arrays that do not fit):

# %%
viz.show_source(ops.relu, backward=True)

# %%
y, cache = ops.relu(np.array([-2., 3.]))                # cache: what the way back needs to know
dx, = ops.relu.backward(np.array([10., 10.]), cache)    # how much each input matters: 0 and 10
print(y, dx)
assert y.tolist() == [0, 3] and dx.tolist() == [0, 10]

# %% [markdown]
# A **box** is an op with a name, the boxes it reads and the weights it owns:

# %%
box = net.conv2
print(box.line, '    reads', box.inputs, '    channels', box.channels)
print({name: w.shape for name, w in net.params.items() if name.startswith('conv2')})

# %% [markdown]
# And a **net** is a list of boxes. Its summary has a line for each. *stride*: how many pixels of
# the image lie from one cell of this box to the next; *sees*: how many pixels of the image, each
# way, one cell depends on; *begins*: where in the image its first cell has its centre. In the
# end a score sees 37 pixels each way, over half the height of our pictures; you will work these
# numbers out by hand in lesson 09. Below the table stands why `crop` begins where it does.

# %%
print(net.summary())

# %% [markdown]
# Drag a cell of *coarse* along the image, and see what it depends on:

# %%
tracing.places(net, 'pool1', 'pool2', 'coarse', size=(40, 48))

# %% [markdown]
# The net of the paper that this course is about, FCN-8s, has 49 boxes and 134 million weights, and
# is written in the same words. This is the end of it, the part that made it famous; it uses only
# words that you have met, and `add`:

# %%
from tinyfcn.models import fcn

viz.show_source(fcn.stride8)

# %% [markdown]
# Coarse answers from deep in the net are added to finer ones from less deep in it. Why, and how the
# pieces are made to lie exactly over one another, are lessons 09 and 11.
#
# ## Your turn
#
# A picture of 50×70 pixels comes in. How large is each of these five boxes? The table of words
# above has the rules; think, fill in pairs of (rows, columns), and run the cell. Grey is right,
# yours is dashed.

# %%
mine = dict(conv1=None, pool1=None, pool2=None, upscore=None, score=None)


def compare(mine, right):
    """Both as rectangles, one over the other."""
    _, axes = plt.subplots(1, len(mine), figsize=(8, 1.9), sharex=True, sharey=True)
    for ax, (name, size) in zip(axes, mine.items()):
        size, (h, w) = size and tuple(size), right[name]
        ax.add_patch(plt.Rectangle((0, 0), w, h, color='#c9d6e4'))
        if size:
            ax.add_patch(plt.Rectangle((0, 0), *size[::-1], fill=False, ls='--', ec='#c2571a'))
        says = 'not yet' if size is None else 'right' if size == (h, w) else f'{size}: no'
        ax.set(xlim=(-4, 90), ylim=(70, -4), title=f'{name}\n{says}')
        ax.axis('off')
    plt.tight_layout()


compare(mine, right=net.sizes((50, 70)))

# %% [markdown]
# <details><summary>Solution</summary>
#
# 25 is odd, and is halved upwards: 13. And 13 cells become (13 + 1)·4 = 56 rows, of which `crop`
# keeps 50.
#
# ```python
# mine = dict(conv1=(50, 70), pool1=(25, 35), pool2=(13, 18), upscore=(56, 76), score=(50, 70))
# compare(mine, right=net.sizes((50, 70)))
# ```
#
# </details>

# %% [markdown]
# ## And now with a check
#
# In the lessons you also write functions, and `check` tries yours beside the library's, on small
# cases first. Here is one that you can write at once.
#
# A net does not read an image as it is stored. It wants numbers about zero, and the channels first.
# The nets of the paper want blue before green before red besides, for in that order the software of
# their authors read pictures. So: from (H, W, 3) of red, green, blue make (3, H, W) of blue, green,
# red; take away 104, 117 and 123, the means of each over very many photographs; and let it be
# float32.
#
# 1. Run the cell as it is: *not yet*.
# 2. Put `return image.transpose(2, 0, 1)` where `raise …` stands, and run it: you see the smallest
#    case that goes wrong, your answer beside the right one, and a hint where the mistake is known.
# 3. Mend it.

# %%
def preprocess_mine(image):
    """(H, W, 3) uint8, red green blue -> (3, H, W) float32, blue green red, less their means"""
    raise NotImplementedError


check('preprocess', preprocess_mine)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def preprocess_mine(image):
#     blue_first = image[:, :, ::-1].astype('float32')
#     return (blue_first - np.float32([104, 117, 123])).transpose(2, 0, 1)
# ```
#
# (Without `astype`, numbers of `uint8` would be taken away from, and below 0 they start again at
# 255.)
#
# </details>

# %% [markdown]
# ## Change this and run again
#
# Go back to the cell with the recipe, set `steps=15`, and run everything from
# `net = tinyfcn.Net(channels=3)` on. Expect a black mask: *background everywhere* is the first
# thing that a net learns. And yet four pixels of five are right! With `difficulty=.5` in the second
# cell the shapes are smaller, fainter and keep less to their colours; run all, and expect many
# mistakes (and the assertion that this net is any good to fail).
#
# ## The course
#
# | lessons | what they answer |
# | --- | --- |
# | 01 | how good is a mask? |
# | 02, 03, 04 | what is a convolution: one number at a time, as columns, as a matrix |
# | 05 | how does a net find the direction in which to move its weights? |
# | 06, 07, 08 | how does it get coarser, and how finer again? |
# | 09, 10, 11 | where does a box lie over the image? from a classifier to FCN-32s, 16s and 8s |
# | 12, 13 | training: on shapes, then on real photographs |
# | 14 | the same code on a graphics card |
#
# In a hurry? 03, 04, 05, 07, 09 and 11 are the spine.
#
# ## What PyTorch calls this
#
# | here | PyTorch |
# | --- | --- |
# | an op and its backward | `torch.autograd.Function` |
# | a box, a net | `nn.Module` |
# | `net.params` | `model.named_parameters()` |
# | score | logits |
# | mask: `score.argmax(1)` | `logits.argmax(1)` |
# | `net.walk_back` | `loss.backward()`, by autograd |
# | void, 255 | `ignore_index=255` |
#
# The order of the axes, (N, C, H, W), is the same.
#
# ## Three questions
#
# 1. Before the first step every score is zero. What does the mask show then?
#
# <details><summary>Answer</summary>
#
# Background everywhere: where all are equal, `argmax` takes the first.
#
# </details>
#
# 2. Could this net segment a picture of 500×375 pixels, without being changed?
#
# <details><summary>Answer</summary>
#
# Yes: no box knows the size of the picture; each only says what happens around a pixel. Nets of
# this kind are called *fully convolutional*, and that is the name of the paper.
#
# </details>
#
# 3. `net.coarse` has one cell for every 4×4 pixels. What can the mask therefore not follow exactly?
#
# <details><summary>Answer</summary>
#
# Thin parts and sharp corners: between two cells there is only a ramp. At stride 32 it is eight
# times as bad, which is what FCN-8s was invented for.
#
# </details>
#
# **Next, 01:** a net that has learned nothing can have three pixels of four right. How do you judge
# a mask without being fooled?
