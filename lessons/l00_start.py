# %% [markdown]
# # 00. Start here: an image in, a mask out
#
# **How does a net assign a class to every pixel of an image?**
#
# *About 70 minutes, with its exercises.*
#
# You train a small net to do it, and look inside. You need Python and a little NumPy; you need to
# know nothing about neural networks, because each term is explained where it first appears. Run one
# cell after the other with Shift+Enter. Some cells are folded: they import, draw or check what is
# shown, as their first line says, and you need not read them. Click on one to open it.

# %% tags=["hide-input"]
# imports
import functools

import matplotlib.pyplot as plt
import numpy as np

import tinyfcn
from tinyfcn import ops, viz
from tinyfcn.course import tracing
from tinyfcn.course.exercises import check

plt.rcParams['figure.dpi'] = 80

# %% [markdown]
# ## An image and its label
#
# Our images are synthetic. The computer generates discs, triangles and rings on a background, so
# there are as many as we like, and we know exactly what each pixel shows.

# %%
options = dict(size=(64, 80), n_class=4, difficulty=0.)
train_set = tinyfcn.data.load_dataset('shapes', split='train', **options)
test_set = tinyfcn.data.load_dataset('shapes', split='test', **options)

image, label = test_set[12]
print('image', image.shape, image.dtype, '   label', label.shape, label.dtype)
print('classes', dict(enumerate(test_set.classes)), '   in this label', np.unique(label))


# %%
viz.side_by_side({'image': image, 'label, in colours': viz.colours(label)}, width=2.3)

# %% [markdown]
# An **image** holds three numbers for each pixel: how red, how green and how blue it is, from 0
# to 255. A **label** holds one: the number of the class that the pixel shows. Drawn in colours,
# background is black, a disc red and a triangle green. (The label of an image is also called its
# ground truth.) The pale line around each shape is 255 and means **void**: a pixel on an edge is
# partly shape and partly background, so it has no single true class.
#
# To **segment** an image is to find the label when only the image is given. The answer is called a
# **mask**, or a prediction.
#
# ## A net in eleven lines
#
# Our net contains no rule that says what a disc is. It has some fifteen thousand numbers, its
# **weights**, which start as random numbers, and a fixed way to compute an answer from an image and
# those weights. That computation is written down as a list of named **boxes**, one a line. (Other
# libraries say layer, module or node.)

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
# Read `n.pool1 = max_pool(n.relu1, 2)` as: the box *pool1* takes the output of *relu1* and pools it
# by two. `conv(n.data, 12, 3, pad=1)` makes 12 sums at each pixel, over the 3×3 pixels around it;
# `pad` keeps the size. (The twelfth box is `data`, the image itself.) The net is made of five kinds
# of boxes. One line each is enough for today:
#
# | box | what it computes | size of the output | lesson |
# | --- | --- | --- | --- |
# | `conv` | weighted sums of a pixel and its neighbours; 12 sums, 12 **channels** | same | 02 |
# | `relu` | numbers below zero become zero | same | 06 |
# | `max_pool(…, 2)` | the largest number of each 2×2 window | half, rounded up | 07 |
# | `upsample(…, f)` | f times as fine, linear ramps in between | H becomes (H + 1)·f | 08, 09 |
# | `crop(…, like=n.data)` | cuts off everything beyond the image | that of the image | 10 |
#
# ## Training
#
# Before training, the last weights are zero (`init=zeros`), and so is every score. In one **step**
# of training the net is given four images with their labels (a **batch**), and each weight is moved
# a little in the direction that would have made the answers better. One number, the **loss**, says
# how wrong the answers were; training makes it small. How this is done is *a promise for now*:
# lesson 05 explains the loss, lesson 06 how the direction is found, and lesson 14 training as a
# whole. Here you only see what it achieves. A **recipe** says how many steps there are and how
# large they are (`lr`, the learning rate); `init_from=None` means from random weights. The training
# set has eighty images, which are used again and again; this takes some seconds.

# %%
train_set = train_set.subset(train_set.names[:80])
train_set.read = functools.cache(train_set.read)        # generate each image once, then keep it
recipe = tinyfcn.training.get_recipe('shapes-8s', init_from=None, steps=170, batch=4, lr=4e-3)
rows = tinyfcn.fit(net, train_set, recipe)

# %% tags=["hide-input"]
# draw the loss of each step
plt.figure(figsize=(4, 1.8))
plt.plot([row['loss'] for row in rows])
plt.xlabel('step')
plt.ylabel('loss')
plt.tight_layout()

# %% [markdown]
# ## Prediction on an image from the test set

# %%
mask = tinyfcn.predict(net, image)
viz.side_by_side({'image': image, 'label': viz.colours(label), 'mask': viz.colours(mask)},
                 width=2.2)

# %% [markdown]
# The mask has one class for each pixel, but the net does not output classes. It outputs a **score**
# for each class at each pixel: the higher the score, the more likely the class. The mask is the
# class with the highest score (`argmax`). Here are the scores of each class; white is 5 and more,
# black is −5 and less:

# %%
from tinyfcn.data.transforms import prepare

x = prepare(image, recipe.preprocess, net.dtype)     # values around 0, channels first
score = net.forward(x)
print('x', x.shape, '   score', score.shape)

viz.side_by_side(dict(zip(test_set.classes, score[0].clip(-5, 5))), width=1.4)

# %% [markdown]
# One pixel, in numbers; the highest wins:

# %%
row, column = np.unravel_index(score[0, 1:].max(0).argmax(), label.shape)
for name, value in zip(test_set.classes, score[0, :, row, column]):
    print(f'{name:12}{value:8.2f}')
print(f'pixel ({row}, {column}): its class in the mask is {test_set.classes[mask[row, column]]}')

# %% tags=["hide-input"]
# check: predict is prepare, forward and argmax
assert (score[0].argmax(0) == mask).all()

# %% [markdown]
# How good is the net on many images? To find out, we **evaluate** it on images that were **held
# out** from training, the test set. The share of pixels that it gets right seems a fair measure:

# %%
scores = tinyfcn.evaluate(net, test_set.subset(test_set.names[:20]))
print(f'{scores["pixel_acc"]:.1%} of the pixels are right')

# %% tags=["hide-input"]
# check: the net has learned something
assert scores['mean_iu'] > .6

# %% [markdown]
# It is not fair, and lesson 01 shows why.
#
# ## The forward pass, box by box
#
# `net.forward` computes all boxes in order: this is the **forward pass**. `net.walk` does the same
# as a generator, which stops after each box so that you can look at its output. `next()` takes you
# one box further. An output has four axes, **(N, C, H, W)**: images, channels, rows, columns.

# %%
walk = net.walk(x)
for _ in range(3):
    box, y = next(walk)
    print(f'{box.line:42}{y.shape}')

# %% [markdown]
# The next cell goes one box further, to *conv2*, and draws four of its 16 channels. Each channel
# responds to some feature, and shows where in the image it was found; which features these are was
# learned in training. **Run it again and again**: each time it takes you one box further, and after
# the last box it starts again.

# %%
box, y = next(walk, (None, None))
if box is None:                                         # that was the last box
    walk = net.walk(x)
    box, y = next(walk)
viz.side_by_side({f'{box.name}, {i}': y[0, i] for i in range(min(4, box.channels))}, width=1.4)

# %% [markdown]
# Or step through all of them. On the left is what a box reads, on the right what it writes; each
# shows the channels with the largest numbers:

# %%
tracing.walk(net, x[..., 20:48, 24:56])                   # a part of the image

# %% [markdown]
# All outputs so far are kept by name: `net.values['pool1']` is a plain NumPy array. The **backward
# pass**, which computes the gradients that training needs, is `net.walk_back`: the same boxes in
# reverse order. It is the subject of lesson 06.
#
# ## Three concepts
#
# All of tinyfcn is built from three concepts. An **op** is a pair of plain functions, forward and
# backward. This is the whole of `relu`. (`xp` is the library of the array, NumPy, or CuPy on a GPU;
# `floats`, `flag` and `check_gradient` reject arguments that do not fit.)

# %%
viz.show_source(ops.relu, backward=True)

# %%
y, cache = ops.relu(np.array([-2., 3.]))                # cache: what backward needs
dx, = ops.relu.backward(np.array([10., 10.]), cache)    # a tuple: the gradient of each input
print(y, dx)

# %% tags=["hide-input"]
# check the numbers above
assert y.tolist() == [0, 3] and dx.tolist() == [0, 10]

# %% [markdown]
# A **box** is an op with a name, the boxes that it reads and the weights that it owns:

# %%
box = net.conv2
print(box.line, '    reads', box.inputs, '    channels', box.channels)
print({name: w.shape for name, w in net.params.items() if name.startswith('conv2')})

# %% [markdown]
# And a **net** is a list of boxes. Its summary has a line for each. *stride* is the distance, in
# pixels of the image, between neighbouring cells of the output; *field* is the **receptive field**,
# that is how many pixels of the image, along each axis, one cell depends on; *begins* is the pixel
# on which the first cell is centred. The receptive field of a cell of *coarse* is 30 pixels, almost
# half the height of our images; you will work out such numbers by hand in lesson 10. Below the
# table the summary explains the offset of `crop`: how many rows and columns it cuts off at the top
# left.

# %%
print(net.summary())

# %% [markdown]
# Drag a cell of *coarse* over the image to see its receptive field:

# %%
tracing.receptive_field(net, 'pool1', 'pool2', 'coarse', size=(32, 48))

# %% [markdown]
# This course is about the paper *Fully Convolutional Networks for Semantic Segmentation*, by Long,
# Shelhamer and Darrell. Its best net, FCN-8s, has 49 boxes and 134 million weights, and is written
# in the same way. This is the end of it, the part that made it famous (`up` is `upsample`); it uses
# only boxes that you have met, and `add`:

# %%
from tinyfcn.models import fcn

viz.show_source(fcn.stride8)

# %% [markdown]
# Coarse scores from the deepest layer are added to finer scores from earlier layers. Lesson 12
# explains why, and lesson 10 how the maps are aligned exactly.
#
# ## Your turn
#
# The input is an image of 50×70 pixels. How large is the output of each of these five boxes? The
# table above has the rules. Fill in pairs of (rows, columns) and run the cell. The right size is
# grey, yours is dashed.

# %% tags=["hide-input"]
# draw sizes, yours and the right ones
def compare(mine, right):
    """Draw both sizes as rectangles, one over the other."""
    _, axes = plt.subplots(1, len(mine), figsize=(8, 1.9), sharex=True, sharey=True)
    for ax, (name, size) in zip(axes, mine.items()):
        h, w = right[name]
        ax.add_patch(plt.Rectangle((0, 0), w, h, color='#c9d6e4'))
        result = 'not yet'
        if size is not None:
            rows, columns = np.broadcast_to(size, 2)
            ax.add_patch(plt.Rectangle((0, 0), columns, rows, fill=False, ls='--', ec='#c2571a'))
            result = 'right' if (rows, columns) == (h, w) else f'{rows}×{columns} is wrong'
        ax.set(xlim=(-4, 90), ylim=(70, -4), title=f'{name}\n{result}')
        ax.axis('off')
    plt.tight_layout()


# %%
mine = dict(conv1=None, pool1=None, pool2=None, upscore=None, score=None)
compare(mine, right=net.sizes((50, 70)))

# %% [markdown]
# <details><summary>Solution</summary>
#
# 25 is odd, so half of it is rounded up: 13. And 13 cells become (13 + 1)·4 = 56 rows, of which
# `crop` keeps 50.
#
# ```python
# mine = dict(conv1=(50, 70), pool1=(25, 35), pool2=(13, 18), upscore=(56, 76), score=(50, 70))
# compare(mine, right=net.sizes((50, 70)))
# ```
#
# </details>

# %% [markdown]
# ## An exercise with a check
#
# In the lessons you also write functions, and `check` compares yours with the library's, on small
# cases first. Here is one that you can write at once.
#
# A net does not read an image as it is stored. Its input is centred around zero and has the
# channels first. The nets of the paper also expect them in the order blue, green, red,
# because the authors' software read images in that order. So convert (H, W, 3) in the order red,
# green, blue to (3, H, W) in the order blue, green, red; subtract 104, 117 and 123, the channel
# means over a large set of photographs; and return float32.
#
# 1. Run the cell as it is: *not yet*.
# 2. Replace `raise …` by `return image.transpose(2, 0, 1)` and run it: you see the smallest case
#    that fails, your result beside the right one, and a hint if the mistake is a known one.
# 3. Correct it.

# %%
def preprocess_mine(image):
    """(H, W, 3) uint8, RGB -> (3, H, W) float32, BGR minus the channel means"""
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
# (Without `astype` the subtraction is done in `uint8`, where results below 0 wrap around to 255.)
#
# </details>

# %% [markdown]
# ## Change this and run again
#
# Cells with `# try:` are there to be changed, in every lesson: put one of the values after it, or
# one of your own, in place of the first, and run the cell again. Nothing else depends on it.
#
# Here the same net is trained for 15 steps instead of 170. Expect a black mask: *background
# everywhere* is the first thing that a net learns, and after 60 steps it has hardly got beyond it.
# And yet four pixels out of five are right! With a `difficulty` of .5 the shapes are smaller, have
# less contrast, and their colours vary more: expect many mistakes.

# %%
steps, difficulty = 15, 0.                              # try: (60, 0.), (170, .5), (3, 1.)

other = dict(options, difficulty=difficulty)
other_test_set = tinyfcn.data.load_dataset('shapes', split='test', **other)
other_train_set = tinyfcn.data.load_dataset('shapes', split='train', **other)
other_train_set = other_train_set.subset(other_train_set.names[:80])
other_train_set.read = functools.cache(other_train_set.read)

other_net = tinyfcn.Net(channels=3)
little_net(other_net, n_class=4)
tinyfcn.fit(other_net, other_train_set, tinyfcn.training.get_recipe(
    'shapes-8s', init_from=None, steps=steps, batch=4, lr=4e-3))

other_scores = tinyfcn.evaluate(other_net, other_test_set.subset(other_test_set.names[:20]))
print(f'{other_scores["pixel_acc"]:.1%} of the pixels are right')
other_image, other_label = other_test_set[12]
viz.side_by_side({'image': other_image, 'label': viz.colours(other_label),
                  'mask': viz.colours(tinyfcn.predict(other_net, other_image))}, width=2.2)

# %% [markdown]
# ## The course
#
# | lessons | the question |
# | --- | --- |
# | 01 | how good is a mask? |
# | 02, 03, 04 | what is a convolution: one number at a time, as columns, as a matrix |
# | 05, 06 | how wrong is a net, and in which direction should its weights move? |
# | 07, 08, 09 | how do its maps become coarser, and finer again? |
# | 10, 11, 12 | how are maps aligned with the image? from a classifier to FCN-32s, 16s and 8s |
# | 13, 14, 15 | training: through the whole net, on synthetic shapes, on photographs |
# | 16 | the same code on a GPU |
# | 17, 18, 19 | related nets: dilation, random fields, and the family |
#
# In a hurry? The short way is 03, 04, 06, 08, 10 and 12, about 6 hours.
#
# ## What PyTorch calls this
#
# | here | PyTorch |
# | --- | --- |
# | an op and its backward | `torch.autograd.Function` |
# | a box or a net | `nn.Module` |
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
# Background everywhere: if all scores are equal, `argmax` takes the first class.
#
# </details>
#
# 2. Could this net segment an image of 500×375 pixels without being changed?
#
# <details><summary>Answer</summary>
#
# Yes: no box depends on the size of the image; each only defines a computation around each pixel.
# Nets of this kind are called *fully convolutional*, which gave the paper its title.
#
# </details>
#
# 3. `net.coarse` has one cell for every 4×4 pixels. Which details can the mask therefore not
#    follow?
#
# <details><summary>Answer</summary>
#
# Thin parts and sharp corners: between two cells there is only linear interpolation. At stride 32
# it is eight times as bad, which is why FCN-8s was invented.
#
# </details>
#
# **Next, 01:** a net that has learned nothing can have three pixels out of four right. How do you
# measure the quality of a mask without being misled?
