# %% [markdown]
# # 11. Convolutionalised
#
# **How can a net that was trained to say what is in an image also say where?**
#
# *About 65 minutes, with its exercises.*
#
# VGG-16 is a *classifier*: it reads 224×224 pixels and outputs 1000 numbers, one for each class. It
# ends with "fully connected" layers, which accept exactly one image size and seem to discard all
# spatial information. The paper's first idea is that they do not: they are convolutions whose
# kernel is as large as their input, and on a larger input they can slide.

# %% tags=["hide-input"]
from copy import deepcopy

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.cbook import get_sample_data

import tinyfcn
from tinyfcn import ops, viz
from tinyfcn.course import tracing
from tinyfcn.data import shapes
from tinyfcn.data.images import read_image
from tinyfcn.data.transforms import prepare, resize_shorter
from tinyfcn.layers import conv, max_pool, relu
from tinyfcn.course.exercises import check
from tinyfcn.models import vgg
from tinyfcn.net.summary import multiply_adds
from tinyfcn.weights.cache import cached_weights

plt.rcParams.update({'figure.dpi': 100, 'image.interpolation': 'nearest'})
CLASS_COLOURS = plt.get_cmap('tab10')

# %% [markdown]
# ## By hand: a row of weights is a kernel
#
# The earlier layers have computed a map f of 2 channels, 2×2 each. A fully connected layer flattens
# it to 8 numbers, channel after channel, and multiplies by W, with one row for each output.

# %%
f = np.array([[[1., 2], [3, 4]],
              [[5, 6], [7, 8]]])
W = np.array([[1., 0, 0, 0, 0, 0, 0, 1],                # the first and the last: 1 + 8
              [1, 1, 1, 1, 0, 0, 0, 0],                 # all of channel 0: 10
              [0, 0, 0, 0, 1, -1, 0, 0]])               # a difference in channel 1: 5 − 6

print('fully connected:', W @ f.ravel())

kernels = W.reshape(3, 2, 2, 2)                         # three kernels as large as the map
y, _ = ops.conv2d(f[None], kernels)
print('convolution:    ', y.ravel(), '  of shape', y.shape)

# %% tags=["hide-input"]
assert np.array_equal(W @ f.ravel(), y.ravel())

# %% [markdown]
# A kernel as large as its map has a single position, and there it computes what the row did: the
# same products, the same sum. Not one weight has changed; only its index has four numbers now.
#
# The difference appears on a *larger* map. The fully connected layer fails, because its rows have 8
# numbers. The kernel slides. Here is the first of them on a map of 3×4 (step through it):

# %%
larger = np.random.default_rng(0).integers(0, 5, (2, 3, 4)).astype(float)
tracing.convolution(larger, kernels[0])

# %%
y, _ = ops.conv2d(larger[None], kernels)
for i in range(2):
    for j in range(3):
        window = larger[:, i:i + 2, j:j + 2]
        assert np.array_equal(y[0, :, i, j], W @ window.ravel())
print(y.shape[2:], 'positions: at each, the fully connected layer on the window there')

# %% [markdown]
# ### Exercise: to_conv
#
# `w` (K, channels·h·w) holds the rows of a fully connected layer that flattens maps of `channels`
# channels and `size` = (h, w). Return the kernels (K, channels, h, w).

# %%
def to_conv_mine(w, channels, size):
    raise NotImplementedError


check('to_conv', to_conv_mine)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def to_conv_mine(w, channels, size):
#     return w.reshape(len(w), channels, *size)
# ```
#
# </details>
#
# It is one line, but there is a way to get it wrong. TensorFlow and Keras flatten with the channels
# *last*. Their rows, reshaped as if the channels came first, have the right shape and the numbers
# in the wrong order:

# %%
rows_last = W.reshape(3, 2, 2, 2).transpose(0, 2, 3, 1).reshape(3, 8)      # as Keras would store W
naive = rows_last.reshape(3, 2, 2, 2)
right = rows_last.reshape(3, 2, 2, 2).transpose(0, 3, 1, 2)                # (h, w, C) -> (C, h, w)
print('expected', W @ f.ravel(), '  naive', ops.conv2d(f[None], naive)[0].ravel(),
      '  right', ops.conv2d(f[None], right)[0].ravel())

# %% tags=["hide-input"]
assert not np.array_equal(naive, kernels) and np.array_equal(right, kernels)

# %% [markdown]
# ## The real thing
#
# These are the fully connected layers of VGG-16 and AlexNet in this library. They are written as
# convolutions from the start: fc6 with a kernel of the size of its input map, fc7 with 1×1.
# (Dropout sets a random half of the values to zero during training: lesson 13.)

# %%
viz.show_source(vgg.fc6_fc7)

# %%
vgg16 = tinyfcn.build('vgg16', seed=None)               # zeros: only its geometry is used
print('fc6', vgg16.params['fc6.w'].shape, '=', f'{vgg16.params["fc6.w"].size:,} weights')
for size in (224, 224), (384, 512):
    print(size, '-> fc6', vgg16.sizes(size)['fc6'], ' fc8', vgg16.sizes(size)['fc8'])

# %% tags=["hide-input"]
assert vgg16.params['fc6.w'].size == 4096 * 25088 and 25088 == 512 * 7 * 7
assert vgg16.sizes((224, 224))['fc8'] == (1, 1) and vgg16.sizes((384, 512))['fc8'] == (6, 10)

# %% [markdown]
# ## A classifier of our own
#
# Let us train a small one to classify the pixel in the middle of a window of 34×34 pixels. No
# convolution is padded, and 34 is chosen so that every pooling has an even input: 34 → 32 → 16 → 14
# → 7. Its fc3 is then a kernel of 7×7.

# %%
def classifier(side, margin):
    """Two blocks, a fully connected layer written as a convolution, and a score for each class."""
    n = tinyfcn.Net(channels=3)
    n.conv1 = conv(n.data, 16, 3, pad=margin)
    n.relu1 = relu(n.conv1)
    n.pool1 = max_pool(n.relu1, 2)
    n.conv2 = conv(n.pool1, 24, 3, pad=margin)
    n.relu2 = relu(n.conv2)
    n.pool2 = max_pool(n.relu2, 2)
    n.fc3 = conv(n.pool2, 32, n.sizes((side, side))['pool2'])
    n.relu3 = relu(n.fc3)
    n.score = conv(n.relu3, 5, 1)
    return n


net = classifier(side=34, margin=0)
net.sizes((34, 34))

# %% [markdown]
# The windows are cut from synthetic images of discs, triangles, rings and flowers. Each step is
# what you know: the forward pass, the loss (lesson 05), the backward pass (lesson 06), and a step
# of the optimizer Adam (lesson 05). What else matters in training is the subject of lesson 14.

# %%
def normalise(image):
    """(H, W, 3) of 0 … 255 -> (3, H, W) around zero."""
    return image.transpose(2, 0, 1).astype('float32') / 64 - 2


def windows(seed, count, side=34, per_class=10):
    """Windows from `count` images, and the class of their centre pixel; per_class of each class."""
    rng = np.random.default_rng(seed)
    inputs = []
    classes = []
    for index in range(count):
        image, label = shapes.generate(seed, index, (64, 80), n_class=5, difficulty=.15)
        centre = label[side // 2:side // 2 + 65 - side, side // 2:side // 2 + 81 - side]
        for c in np.unique(centre[centre < 255]):
            for i, j in rng.permutation(np.argwhere(centre == c))[:per_class]:
                inputs.append(normalise(image[i:i + side, j:j + side]))
                classes.append(c)
    return np.stack(inputs), np.array(classes, 'int64')


x, label = windows(seed=1, count=60)
rng = np.random.default_rng(0)
adam = tinyfcn.optim.Adam(lr=3e-3)
for _ in range(150):
    batch = rng.integers(0, len(x), 16)
    score = net.forward(x[batch], train=True)                       # (16, 5, 1, 1)
    loss, dscore = ops.softmax_cross_entropy(score, label[batch, None, None], reduce='mean')
    adam.step(net.params, net.backward(score=dscore))

test_x, test_label = windows(seed=2, count=20)
accuracy = (net.forward(test_x).argmax(1).ravel() == test_label).mean()
print(f'{len(x)} training windows; of {len(test_x)} held-out windows {100 * accuracy:.0f} % right')

# %% tags=["hide-input"]
assert accuracy > .75

# %% [markdown]
# ## One pass over a larger image
#
# Put four of the images together into one of 126×158. The classifier was trained on 34×34 pixels,
# but all its boxes accept any size. `next()` takes us through the net one box at a time:

# %%
scenes = [shapes.generate(3, index, (64, 80), n_class=5, difficulty=.15) for index in range(4)]
mosaic, label = (np.concatenate([np.concatenate(part[:2], 1), np.concatenate(part[2:], 1)])
                 [:126, :158] for part in zip(*scenes))
image = normalise(mosaic)[None]

walk = net.walk(image)
for _ in range(3):
    box, y = next(walk)
    print(f'{box.line:32} {y.shape}')

# %%
for box, y in walk:
    print(f'{box.line:32} {y.shape}')
score_map = net.values['score']
print('\nscore:', net.score.alignment, '  receptive field', net.score.alignment.field[0])

# %% tags=["hide-input"]
assert score_map.shape == (1, 5, 24, 32) and net.score.alignment.field[0] == 34

# %% [markdown]
# The result is a map of 24×32 scores. From lesson 10 you know their alignment, 4·i + 16.5, and
# their receptive field, 34 pixels: exactly the window on which the classifier was trained. So here
# is the claim: each of the 768 scores equals the output of the classifier for the window at (4·i,
# 4·j). Check all of them:

# %%
def compare_windows(start):
    """The scores of all windows, cut `start` pixels further on, against those of one pass."""
    tops = range(start, 93, 4)
    lefts = range(start, 125, 4)
    windows_of_34 = np.stack([image[0, :, i:i + 34, j:j + 34] for i in tops for j in lefts])
    one_by_one = net.forward(windows_of_34)[..., 0, 0]              # a row for each window
    at_once = score_map[0, :, :len(tops), :len(lefts)].reshape(5, -1).T
    difference = np.abs(one_by_one - at_once).max() / np.abs(at_once).max()
    print(f'{len(one_by_one)} windows one by one against one pass: '
          + ('equal up to rounding' if difference < 1e-5
             else f'they differ by up to {100 * difference:.0f} %'))
    return difference


assert compare_windows(start=0) < 1e-5

# %% tags=["hide-input"]
# the fully connected form, with rows of 24·7·7 weights, gives the same for a single window
rows = net.params['fc3.w'].reshape(32, -1)
bias = net.params['fc3.b']
net.forward(image[:, :, :34, :34], keep=True)
flat = rows @ net.values['pool2'].ravel() + bias
# float32 sums 1,176 products, in another order here and there
assert np.allclose(flat, net.values['fc3'].ravel(), atol=1e-5 * np.abs(flat).max())

# %% [markdown]
# **Change this and run again.** Cut the windows one pixel further down and to the right. Expect
# them *not* to be equal: the score map has a stride of 4, and no score belongs to these windows.

# %%
further = 1                                             # try: 2, 3, 0

compare_windows(further);

# %% [markdown]
# ## The heat map
#
# The scores of one class, drawn at their positions over the image, are the heat map of the paper's
# Figure 2. White lines are the outlines of the shapes. The border has no scores, because the
# windows there are incomplete. FCN pads the image so that every pixel has a score.

# %% tags=["hide-input"]
# draw the scores over the image
alignment = net.score.alignment
edges = [float(alignment.scale[0]) * i - 2 + float(alignment.shift[0]) for i in (0, 24, 32)]
extent = edges[0], edges[2], edges[1], edges[0]         # a cell is a 4×4 square
fig, axes = plt.subplots(1, 3, figsize=(8, 2.5), layout='constrained')
axes[0].set_title('the image', fontsize=10)
axes[0].imshow(mosaic)
axes[1].set_title('score of "triangle"', fontsize=10)
axes[1].imshow(score_map[0, 2], extent=extent, cmap='inferno')
axes[2].set_title('the best class of each cell', fontsize=10)
axes[2].imshow(CLASS_COLOURS(score_map[0].argmax(0)), extent=extent)
for c, class_name in enumerate(shapes.CLASSES[:5]):
    axes[2].plot([], [], 's', color=CLASS_COLOURS(c), label=class_name)
fig.legend(loc='outside lower right', ncols=5, fontsize=8, frameon=False)
for ax in axes:
    ax.contour(label, levels=[.5], colors='white', linewidths=.8)       # the outlines of the shapes
    ax.set(xlim=(0, 158), ylim=(126, 0))
    ax.axis('off')
plt.show()

# %% [markdown]
# The net was trained with one class for each window, and now it segments. The result is coarse, one
# cell for 4×4 pixels; with VGG it is one for 32×32. Upsampling (lesson 09) and skips (lesson 12)
# address that.
#
# ## What it costs
#
# The windows overlap. What two windows share is computed once in a single pass, and twice in two
# passes. So count the multiplications:

# %%
def cost(net, size):
    sizes = net.sizes(size)
    return sum(multiply_adds(net, box, sizes) for box in net.boxes.values())


alexnet = tinyfcn.build('alexnet', seed=None)
grid = alexnet.sizes((500, 500))['fc8']
for name, model, window, image_size, count in [('ours', net, (34, 34), (126, 158), 24 * 32),
                                               ('AlexNet', alexnet, (227, 227), (500, 500), 100)]:
    windows_cost = count * cost(model, window)
    one_pass = cost(model, image_size)
    print(f'{name:8} {count} windows: {windows_cost / 1e6:9,.0f} million; '
          f'one pass: {one_pass / 1e6:7,.0f} million, {windows_cost / one_pass:.0f} times less')

# %% tags=["hide-input"]
assert grid == (10, 10)

# %% [markdown]
# AlexNet on 500×500 pixels gives a grid of 10×10: the paper's own example.
#
# ## The effect of padding
#
# Our net has no padding, and that is why the results were equal up to rounding. VGG pads each of
# its convolutions by 1. Let us pad ours: 32 → 32 → 16 → 16 → 8, and fc3 is 8×8. (Its weights are
# random; what follows holds for any weights.)

# %%
padded = classifier(side=32, margin=1)
padded.forward(image, keep=True)
image_map = padded.values['pool2'][0]
image_fc3 = padded.values['fc3'][0]

tops = range(0, 95, 4)
lefts = range(0, 127, 4)
crops = np.stack([image[0, :, i:i + 32, j:j + 32] for i in tops for j in lefts])
crop_fc3 = padded.forward(crops, until='fc3')[..., 0, 0]

same_positions = image_fc3[:, :len(tops), :len(lefts)].reshape(32, -1).T
rms = np.sqrt(((same_positions - crop_fc3) ** 2).mean() / (crop_fc3 ** 2).mean())
print(f'fc3 of the whole image and of each crop differ by {100 * rms:.0f} % (rms)')

# %% tags=["hide-input"]
assert rms > .05

# %% [markdown]
# This is more than rounding. (rms is the root of the mean square.) Where does it come from? Take
# one crop from the middle, and compare its 8×8 cells of `pool2` with the same cells of the whole
# image.

# %%
i, j = 8, 12
inner = image_map[:, i:i + 8, j:j + 8]
from_crop = padded.forward(crops[i * len(lefts) + j][None], until='pool2')[0]
difference = np.abs(from_crop - inner).max(0)
print(f'{(difference > 1e-5).sum()} cells of 64 differ, all of them at the border')

# %% tags=["hide-input"]
assert difference[1:-1, 1:-1].max() < 1e-5
viz.side_by_side({'crop − image, cells of pool2': difference}, width=2.6)

# %% [markdown]
# At the border of a crop a padded convolution reads zeros. In the whole image there is no border at
# that position, and it reads the neighbouring pixels. So the border of the map differs, the inside
# does not, and fc3, which reads all 64 cells, depends on both. The first half of the claim remains
# true: a cell of fc3 is the fully connected layer on *its own window of the map*.

# %%
rows = padded.params['fc3.w'].reshape(32, -1)
bias = padded.params['fc3.b']
flat = rows @ inner.ravel() + bias
print('fc3 of the map:', image_fc3[:3, i, j].round(3), '  of its window:', flat[:3].round(3))
print('ours: trained on', 32, 'pixels, receptive field', padded.fc3.alignment.field[0])
print('VGG-16: trained on', 224, 'pixels, receptive field', vgg16.fc6.alignment.field[0])

# %% tags=["hide-input"]
assert np.allclose(flat, image_fc3[:, i, j], atol=1e-5 * np.abs(flat).max())
assert (padded.fc3.alignment.field[0], vgg16.fc6.alignment.field[0]) == (38, 404)

# %% [markdown]
# Look at the last line. As a classifier VGG-16 reads 224×224 pixels, and everything beyond is zero.
# As an FCN each of its cells has a receptive field of 404×404, because each of its thirteen
# paddings is replaced by real pixels. So the cells do not equal the classifier's outputs on crops,
# and need not: they use more context. That the weights were trained with less context is corrected
# by the training that follows, called **fine-tuning**.
#
# ## Moving real weights
#
# Weight files store fully connected layers as rows. `transplant` finds that rows of 24·7·7 fit a
# kernel of 24 channels and 7×7, reshapes them and reports it. (It assumes channels first, as in
# files of Caffe and PyTorch.)

# %%
file = deepcopy(net.params)
file['fc3.w'] = file['fc3.w'].reshape(32, -1)           # as in the file of a classifier
file['score.w'] = file['score.w'].reshape(5, -1)

fresh = classifier(side=34, margin=0)
print(tinyfcn.weights.transplant(fresh, file))

# %% tags=["hide-input"]
assert np.array_equal(fresh.forward(image), score_map)

# %% [markdown]
# ## A classifier of 1000 classes
#
# Our net knows four shapes and the background. GoogLeNet, another net of VGG's year, knows the 1000
# classes of ImageNet. Its last layer is fully connected, too; here it is a 1×1 convolution, whose
# map of scores is averaged at the end. This command, in a terminal, downloads its weights once
# (54 MB) and keeps them:
#
#     tinyfcn weights get googlenet
#
# The cells below use GoogLeNet if its weights are there. The photo may be yours; without one it is
# a portrait of Grace Hopper that is installed with matplotlib. Without the weights, these cells use
# our own net and the four images of shapes, and you can go on.

# %%
photo_file = ''                                         # the path of a photo, such as 'dog.jpg'

# %% tags=["hide-input"]
# the scores of a photo, if the weights of GoogLeNet are here
if cached_weights('googlenet'):
    expert = tinyfcn.pretrained('googlenet')
    map_name = 'loss3/classifier'                       # the box before the average
    window, stride = 224, 32
    first = 0                                           # the best class
    figure_size = 8, 3.7
    opacity = .7                                        # of a map over the photo
    names = expert.about['classes']
    preprocess = expert.about['preprocess']
    portrait = get_sample_data('grace_hopper.jpg', asfileobj=False)
    photo = resize_shorter(read_image(photo_file or portrait), 512)
    backdrop = photo
else:
    print("GoogLeNet's weights are not here yet (`tinyfcn weights get googlenet` gets them): "
          'this is our own net.\n')
    expert = net
    map_name = 'score'
    window, stride = 34, 4
    first = 'triangle'
    figure_size = 6, 2.8
    opacity = 1
    names = shapes.CLASSES[:5]
    preprocess = dict(order='RGB', scale=1/64, mean=(2, 2, 2), std=(1, 1, 1))       # normalise
    photo = mosaic
    backdrop = np.full_like(photo, 255)                 # the photo is in the figure above

x_photo = prepare(photo, preprocess)
photo_map = expert.forward(x_photo, until=map_name)[0]
mean_score = photo_map.mean((1, 2))
prob = np.exp(mean_score - mean_score.max())
prob /= prob.sum()
ranking = np.argsort(-prob)
print(f'{photo.shape[0]}×{photo.shape[1]} pixels, a map of {photo_map.shape[1]}×'
      f'{photo_map.shape[2]} scores for each class')
for c in ranking[:5]:
    print(f'{100 * prob[c]:4.0f} %  {names[c]}')

# %% [markdown]
# These are the five best classes of the whole image: the softmax of the mean over all positions.
# For the portrait GoogLeNet says *Windsor tie*. (In a terminal, `tinyfcn predict googlenet
# photo.jpg` says the same of a photo at 256 pixels on its shorter side. There it is an *academic
# gown*: a net knows things in the size in which it was trained on them, and a tie is seldom that
# small.) Now look at the positions: where is a class, and which class is best at each position?

# %% tags=["hide-input"]
# draw the scores over the photo
photo_alignment = expert[map_name].alignment
top, left = (float(shift - stride / 2) for shift in photo_alignment.shift)
h, w = photo_map.shape[1:]
photo_extent = left, left + stride * w, top + stride * h, top           # a cell is a square


def show_class(ax, which):
    """Draw the scores of a class over the photo; which: its rank, or a part of its name."""
    if isinstance(which, str):
        found = [c for c in ranking if which in names[c]]
    else:
        found = [ranking[which]]
    if found:
        ax.imshow(photo_map[found[0]], extent=photo_extent, cmap='inferno', alpha=opacity,
                  zorder=1)
        show_photo(ax, f'score of "{names[found[0]]}"')
    else:
        show_photo(ax, f'none of {len(names)} classes is a {which}')


def show_photo(ax, title):
    ax.imshow(backdrop, zorder=0)
    ax.set_title(title, fontsize=10)
    ax.set(xlim=(0, photo.shape[1]), ylim=(len(photo), 0))
    ax.axis('off')


best = photo_map.argmax(0)
classes, counts = np.unique(best, return_counts=True)
best_colours = np.full((h, w, 3), 128, 'uint8')         # rare classes stay grey
fig, axes = plt.subplots(1, 3 if backdrop is photo else 2, figsize=figure_size,
                         layout='constrained')
if backdrop is photo:
    show_photo(axes[0], 'the image')
show_class(axes[-2], first)
for rank, c in enumerate(classes[np.argsort(-counts)][:4]):
    colour = CLASS_COLOURS(rank)[:3]
    best_colours[best == c] = np.multiply(colour, 255)
    axes[-1].plot([], [], 's', color=colour, label=names[c])
axes[-1].imshow(best_colours, extent=photo_extent, alpha=opacity, zorder=1)
axes[-1].legend(loc='upper center', bbox_to_anchor=(.5, 0), ncols=2, fontsize=8, frameon=False)
show_photo(axes[-1], 'the best class of each cell')
plt.show()

# %% [markdown]
# In the portrait GoogLeNet finds the tie where it is. Around the cap the best class is
# *pickelhaube*, a helmet with a spike: ImageNet has no cap of the navy, and this comes nearest.
# The labels that it was trained with do not say *where* anything is.
#
# In a terminal, `tinyfcn draw googlenet --heatmap dog photo.jpg -o heat.png` draws a finer map: it
# applies the last layer to each cell of 32×32 pixels, without the mean over 7×7 of them that
# precedes it in GoogLeNet.
#
# **Change this and run again.** Give the rank of another class, or a part of its name.

# %%
wanted = 1                                              # try: 2, 'suit', 'flower', 'helmet'

figure, ax = plt.subplots(figsize=(figure_size[0] / 3, figure_size[1]))
show_class(ax, wanted)

# %% [markdown]
# And the windows? Cut them from the image, classify them one by one, and compare with the cells of
# one pass. Ours are equal up to rounding, as before. GoogLeNet pads its convolutions as VGG does,
# and the receptive field of its cells is 907 pixels, more than a whole photo. So expect its scores
# to be similar and not equal.

# %%
rows_of_windows = range(0, len(photo) - window + 1, 2 * stride)         # every second cell
columns = range(0, photo.shape[1] - window + 1, 2 * stride)
one_by_one = np.concatenate([
    expert.forward(np.stack([x_photo[0, :, i:i + window, j:j + window] for j in columns]),
                   until=map_name)[..., 0, 0] for i in rows_of_windows])
cells = [photo_map[:, i // stride, j // stride] for i in rows_of_windows for j in columns]
at_once = np.stack(cells)

rms = np.sqrt(((at_once - one_by_one) ** 2).mean() / (one_by_one ** 2).mean())
same = (at_once.argmax(1) == one_by_one.argmax(1)).mean()
ratio = photo_map[0].size * cost(expert, (window, window)) / cost(expert, photo.shape[:2])
print(f'receptive field of a cell: {expert[map_name].alignment.field[0]} pixels')
print(f'{len(cells)} windows of {window}×{window}: scores differ by '
      + ('rounding only' if rms < 1e-5 else f'{100 * rms:.0f} % (rms)')
      + f'; the best class is the same in {100 * same:.0f} %')
print(f'all windows one by one take {ratio:.0f} times as many multiplications as one pass')

# %% [markdown]
# ## What PyTorch calls this
#
# - A fully connected layer is `nn.Linear`; its weight is (out, in), our W. It follows `nn.Flatten`.
# - The conversion is `conv.weight.data = linear.weight.data.view(4096, 512, 7, 7)`: a `view`, our
#   reshape.
# - torchvision's VGG puts an `AdaptiveAvgPool2d((7, 7))` in front, which averages any map to 7×7
#   cells. So it accepts every image size and still gives one answer, because spatial information is
#   averaged away. For an FCN it has to be removed.
# - ResNet has a single fully connected layer, after a mean over all positions. As a 1×1 convolution
#   *before* the mean it gives a map, which is known as a class activation map (CAM).
#
# ## Three questions
#
# 1. A classifier's map before its fully connected layer is 256 channels of 6×6 (AlexNet). How many
#    weights does each kernel of fc6 have, and how many positions does it have on a map of 15×15?
#
# <details><summary>Answer</summary>
#
# 256·6·6 = 9,216 weights, and (15 − 6 + 1)² = 100 positions: the 10×10 grid from above.
#
# </details>
#
# 2. Why does fc7 become a convolution of 1×1, not of 7×7?
#
# <details><summary>Answer</summary>
#
# Its input is the output of fc6, 4096 numbers at a single position. A kernel as large as that map
# is 1×1. On larger images it is applied at each position of fc6 separately.
#
# </details>
#
# 3. Suppose you cut each crop with 96 more pixels of the image on all four sides, run the padded
#    VGG-16 over it, and take the middle score. Is it the score of the whole image now?
#
# <details><summary>Answer</summary>
#
# Yes. The receptive field of a score is 404 pixels, and the crop has 224 + 2·96 = 416: the new
# border lies outside. (90 more would be enough for the receptive field, but the stride is 32, and
# 96 is a multiple of it.)
#
# </details>
#
# **Next:** one score for 32×32 pixels is coarse. Lesson 12 adds scores from finer layers, correctly
# aligned.
