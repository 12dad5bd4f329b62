# %% [markdown]
# # 10. Convolutionalised
#
# **How does a net that was taught what is in a picture come to say where?**
#
# VGG-16 reads 224×224 pixels and answers with 1000 numbers, one a class. It ends with "fully
# connected" layers, which want exactly one size of picture, and which seem to throw every place
# away. The paper's first idea is that they do no such thing: they are convolutions already, and
# nobody has let them slide.

# %%
from copy import deepcopy

import matplotlib.pyplot as plt
import numpy as np

import tinyfcn
from tinyfcn import ops, viz
from tinyfcn.course import tracing
from tinyfcn.data import shapes
from tinyfcn.layers import conv, max_pool, relu
from tinyfcn.course.exercises import check
from tinyfcn.models import vgg
from tinyfcn.net.summary import multiply_adds

plt.rcParams['figure.dpi'] = 60

# %% [markdown]
# ## By hand: a row of weights is a filter
#
# The layers below have made a map f of 2 channels, 2×2 each. A fully connected layer flattens it
# to 8 numbers, channel after channel, and multiplies: one row of W for each output.

# %%
f = np.array([[[1., 2], [3, 4]],
              [[5, 6], [7, 8]]])
W = np.array([[1., 0, 0, 0, 0, 0, 0, 1],                # the first and the last: 1 + 8
              [1, 1, 1, 1, 0, 0, 0, 0],                 # all of channel 0: 10
              [0, 0, 0, 0, 1, -1, 0, 0]])               # a difference in channel 1: 5 − 6

print('fully connected:', W @ f.ravel())

filters = W.reshape(3, 2, 2, 2)                         # three filters as large as the whole map
y, _ = ops.conv2d(f[None], filters)
print('convolution:    ', y.ravel(), '  of shape', y.shape)
assert np.array_equal(W @ f.ravel(), y.ravel())

# %% [markdown]
# A filter as large as its map has a single place to lie in, and there it computes what the row
# did: the same products, the same sum. Not one weight has changed; only its address has four
# numbers now.
#
# What has changed is what happens on a *larger* map. The fully connected layer refuses: its row
# has 8 numbers and no more. The filter slides. Here is the first of them on a map of 3×4 (step
# through it):

# %%
larger = np.random.default_rng(0).integers(0, 5, (2, 3, 4)).astype(float)
tracing.convolution(larger, filters[0])

# %%
y, _ = ops.conv2d(larger[None], filters)
for i in range(2):
    for j in range(3):
        window = larger[:, i:i + 2, j:j + 2]
        assert np.array_equal(y[0, :, i, j], W @ window.ravel())
print(y.shape[2:], 'places: at each, the fully connected layer on the window that lies there')

# %% [markdown]
# ### Exercise: to_conv
#
# `w` (K, channels·h·w) are the rows of a fully connected layer that flattened maps of `channels`
# channels and `size` = (h, w). Give the filters (K, channels, h, w).

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
# One line, and yet there is a way to get it wrong. TensorFlow and Keras flatten with the channels
# *last*. Their rows, reshaped as if the channels came first, have the right shape and the wrong
# numbers in it:

# %%
rows_last = W.reshape(3, 2, 2, 2).transpose(0, 2, 3, 1).reshape(3, 8)      # as Keras would keep W
naive = rows_last.reshape(3, 2, 2, 2)
right = rows_last.reshape(3, 2, 2, 2).transpose(0, 3, 1, 2)                # (h, w, C) -> (C, h, w)
print('wanted', W @ f.ravel(), '  naive', ops.conv2d(f[None], naive)[0].ravel(),
      '  right', ops.conv2d(f[None], right)[0].ravel())
assert not np.array_equal(naive, filters) and np.array_equal(right, filters)

# %% [markdown]
# ## The real thing
#
# These are the fully connected layers of VGG-16 and AlexNet in this library. They have never been
# anything but convolutions: fc6 with the size of the map below it, fc7 of 1×1.

# %%
viz.show_source(vgg.fc6_fc7)

# %%
vgg16 = tinyfcn.build('vgg16', seed=None)               # zeros: we look at the plan only
print('fc6', vgg16.params['fc6.w'].shape, '=', f'{vgg16.params["fc6.w"].size:,} weights')
for size in (224, 224), (384, 512):
    print(size, '-> fc6', vgg16.sizes(size)['fc6'], ' fc8', vgg16.sizes(size)['fc8'])
assert vgg16.params['fc6.w'].size == 4096 * 25088 and 25088 == 512 * 7 * 7
assert vgg16.sizes((224, 224))['fc8'] == (1, 1) and vgg16.sizes((384, 512))['fc8'] == (6, 10)

# %% [markdown]
# ## A classifier of our own
#
# Let us teach a small one to say what is in the middle of a window of 34×34 pixels. No convolution
# is padded, and 34 is chosen so that every pooling comes out even: 34 → 32 → 16 → 14 → 7. Its fc3
# is then a filter of 7×7.

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
# The windows are cut from drawn pictures of discs, triangles, rings and flowers. How learning
# works is the matter of lesson 12; take these lines as they come: forward, how wrong (`loss`),
# backward (lesson 05), and Adam moves each weight a little.

# %%
def ready(image):
    """(H, W, 3) of 0 … 255 -> (3, H, W) about zero."""
    return image.transpose(2, 0, 1).astype('float32') / 64 - 2


def windows(seed, pictures, side=34, each=10):
    """Windows, and the class of the pixel in their middle; of each class as many."""
    rng, found, kinds = np.random.default_rng(seed), [], []
    for index in range(pictures):
        image, label = shapes.generate(seed, index, (64, 80), n_class=5, difficulty=.15)
        middle = label[side // 2:side // 2 + 65 - side, side // 2:side // 2 + 81 - side]
        for kind in np.unique(middle[middle < 255]):
            for i, j in rng.permutation(np.argwhere(middle == kind))[:each]:
                found.append(ready(image[i:i + side, j:j + side]))
                kinds.append(kind)
    return np.stack(found), np.array(kinds, 'int64')


x, kind = windows(seed=1, pictures=60)
rng, adam = np.random.default_rng(0), tinyfcn.optim.Adam(lr=3e-3)
for _ in range(150):
    some = rng.integers(0, len(x), 16)
    score = net.forward(x[some], train=True)                        # (16, 5, 1, 1)
    loss, dscore = ops.softmax_cross_entropy(score, kind[some, None, None], reduce='mean')
    adam.step(net.params, net.backward(score=dscore))

unseen, truth = windows(seed=2, pictures=20)
right = (net.forward(unseen).argmax(1).ravel() == truth).mean()
print(f'{len(x)} windows to learn from; of {len(unseen)} unseen ones {100 * right:.0f} % right')
assert right > .75

# %% [markdown]
# ## Let it slide
#
# Four of the pictures, laid side by side, make one of 126×158. The classifier has never seen more
# than 34×34, but nothing in it minds. `next()` takes us through the net one box at a time:

# %%
scenes = [shapes.generate(3, index, (64, 80), n_class=5, difficulty=.15) for index in range(4)]
picture, label = (np.concatenate([np.concatenate(part[:2], 1), np.concatenate(part[2:], 1)])
                  [:126, :158] for part in zip(*scenes))
image = ready(picture)[None]

walk = net.walk(image)
for _ in range(3):
    box, y = next(walk)
    print(f'{box.line:32} {y.shape}')

# %%
for box, y in walk:
    print(f'{box.line:32} {y.shape}')
score_map = net.values['score']
print('\nscore stands at', net.score.alignment, 'and sees', net.score.alignment.field[0], 'pixels')
assert score_map.shape == (1, 5, 24, 32) and net.score.alignment.field[0] == 34

# %% [markdown]
# A map of 24×32 scores. From lesson 09 you know where each stands, 4·i + 16.5, and that it sees 34
# pixels: exactly the window that the classifier was taught with. So here is the claim: each of the
# 768 scores is what the classifier says of the window cut out at (4·i, 4·j). All of them:

# %%
start = 0                                               # the experiment below changes this
down, across = range(start, 93, 4), range(start, 125, 4)
crops = np.stack([image[0, :, i:i + 34, j:j + 34] for i in down for j in across])
one_by_one = net.forward(crops)[..., 0, 0]              # a row for each window
at_once = score_map[0, :, :len(down), :len(across)].reshape(5, -1).T
apart = np.abs(one_by_one - at_once).max() / np.abs(at_once).max()
print(f'{len(crops)} windows one by one against one pass: '
      + ('equal but for rounding' if apart < 1e-5 else f'apart by up to {100 * apart:.0f} %'))

# %%
# and the fully connected form, a row of 24·7·7 weights, says the same of a single window
rows, bias = net.params['fc3.w'].reshape(32, -1), net.params['fc3.b']
net.forward(crops[:1], keep=True)
flat = rows @ net.values['pool2'].ravel() + bias
# float32 sums 1,176 products, in another order here and there
assert np.allclose(flat, net.values['fc3'].ravel(), atol=1e-5 * np.abs(flat).max())
assert start or apart < 1e-5

# %% [markdown]
# **Change this and run again.** Set `start = 1`, so that the windows are cut one pixel further
# down and to the right. Expect them *not* to be equal: the poolings step in fours, and nowhere did
# the net look at that window.
#
# ## The heat map
#
# The scores of one class, laid over the picture where they stand, are the paper's Figure 2. The rim
# has no score: half a window is missing there. FCN pads the image so that it has.

# %%
place = net.score.alignment
edges = [float(place.scale[0]) * i - 2 + float(place.shift[0]) for i in (0, 24, 32)]
extent = edges[0], edges[2], edges[1], edges[0]         # a cell is a square of 4 around its place
fig, axes = plt.subplots(1, 3, figsize=(8, 2.3))
axes[0].set_title('the picture', fontsize=10)
axes[1].set_title('score of "triangle"', fontsize=10)
axes[1].imshow(score_map[0, 2], extent=extent, cmap='inferno', alpha=.8, zorder=1)
axes[2].set_title('the best class of each cell', fontsize=10)
axes[2].imshow(viz.colours(score_map[0].argmax(0)), extent=extent, alpha=.7, zorder=1)
for ax in axes:
    ax.imshow(picture, zorder=0)
    ax.set(xlim=(0, 158), ylim=(126, 0))
    ax.axis('off')
plt.show()

# %% [markdown]
# It was taught one word for each window, and it draws. Coarsely, one cell for 4×4 pixels; with VGG
# one for 32×32. Upsampling (lesson 08) and skips (lesson 11) are about that.
#
# ## What it costs
#
# The windows overlap, and what two windows share is computed once in the one pass and twice in
# two. So count the multiplications:

# %%
def cost(net, size):
    sizes = net.sizes(size)
    return sum(multiply_adds(net, box, sizes) for box in net.boxes.values())


alexnet = tinyfcn.build('alexnet', seed=None)
grid = alexnet.sizes((500, 500))['fc8']
for name, classes, window, whole, places in [('ours', net, (34, 34), (126, 158), 24 * 32),
                                             ('AlexNet', alexnet, (227, 227), (500, 500), 100)]:
    single, one_pass = cost(classes, window), cost(classes, whole)
    print(f'{name:8} {places} windows: {places * single / 1e6:9,.0f} million; '
          f'one pass: {one_pass / 1e6:7,.0f} million, {places * single / one_pass:.0f} times less')
assert grid == (10, 10)

# %% [markdown]
# AlexNet on 500×500 pixels gives a grid of 10×10: the paper's own example.
#
# ## With padding, it is another story
#
# Our net had no padding, and that is why the claim held to the last digit. VGG pads each of its
# convolutions by 1. Let us pad ours: 32 → 32 → 16 → 16 → 8, and fc3 is 8×8. (Its weights are as
# chance made them; what follows holds for any.)

# %%
padded = classifier(side=32, margin=1)
padded.forward(image, keep=True)
whole_map, whole_fc3 = padded.values['pool2'][0], padded.values['fc3'][0]

down, across = range(0, 95, 4), range(0, 127, 4)
crops = np.stack([image[0, :, i:i + 32, j:j + 32] for i in down for j in across])
crop_fc3 = padded.forward(crops, until='fc3')[..., 0, 0]

same_places = whole_fc3[:, :len(down), :len(across)].reshape(32, -1).T
rms = np.sqrt(((same_places - crop_fc3) ** 2).mean() / (crop_fc3 ** 2).mean())
print(f'fc3 of the whole picture and of each crop differ by {100 * rms:.0f} % (rms)')
assert rms > .05

# %% [markdown]
# Not rounding any more. (rms is the root of the mean square.) Where does it come from? Take one
# crop from the middle, and lay its 8×8 cells of `pool2` beside the same cells of the whole
# picture.

# %%
i, j = 8, 12
inner = whole_map[:, i:i + 8, j:j + 8]
alone = padded.forward(crops[i * len(across) + j][None], until='pool2')[0]
difference = np.abs(alone - inner).max(0)

fig, ax = plt.subplots(figsize=(3, 2.6))
ax.imshow(difference, cmap='Oranges')
ax.set_title('crop − whole, cells of pool2', fontsize=10)
ax.axis('off')
plt.show()
assert difference[1:-1, 1:-1].max() == 0 or difference[1:-1, 1:-1].max() < 1e-5
print(f'{(difference > 1e-5).sum()} cells of 64 differ, all of them on the rim')

# %% [markdown]
# At the border of a crop a padded convolution reads zeros. In the whole picture there is no border
# at that place, and it reads the neighbours. So the rim differs, the inside does not, and fc3,
# which reads all 64 cells, hears both. What stays true is the first half of the claim: a cell of
# fc3 is the fully connected layer on *its own window of the map*.

# %%
rows, bias = padded.params['fc3.w'].reshape(32, -1), padded.params['fc3.b']
flat = rows @ inner.ravel() + bias
assert np.allclose(flat, whole_fc3[:, i, j], atol=1e-5 * np.abs(flat).max())

print('ours: taught with', 32, 'pixels, a cell sees', padded.fc3.alignment.field[0])
print('VGG-16: taught with', 224, 'pixels, a cell sees', vgg16.fc6.alignment.field[0])
assert (padded.fc3.alignment.field[0], vgg16.fc6.alignment.field[0]) == (38, 404)

# %% [markdown]
# Look at the last line. As a classifier VGG-16 never had more than 224×224 pixels in front of it,
# and everything beyond was zero. As an FCN each of its cells sees 404×404, because each of its
# thirteen paddings is filled with what really is there. The cells are not the classifier's answers
# on crops, and nobody wants them to be: they know more of the surroundings. That they
# were taught with less, the training that follows (fine-tuning) makes good.
#
# ## Moving real weights
#
# Files keep fully connected layers as rows. `transplant` finds that rows of 24·7·7 fit a filter of
# 24 channels and 7×7, and says that it has reshaped them. (It reshapes channels first, as Caffe
# and PyTorch keep them.)

# %%
file = deepcopy(net.params)
file['fc3.w'] = file['fc3.w'].reshape(32, -1)           # as a file of a classifier would have it
file['score.w'] = file['score.w'].reshape(5, -1)

fresh = classifier(side=34, margin=0)
print(tinyfcn.weights.transplant(fresh, file))
assert np.array_equal(fresh.forward(image), score_map)

# %% [markdown]
# ## What PyTorch calls this
#
# - A fully connected layer is `nn.Linear`; its weight is (out, in), our W. Before it stands
#   `nn.Flatten`.
# - The move is `conv.weight.data = linear.weight.data.view(4096, 512, 7, 7)`: a `view`, our
#   reshape.
# - torchvision's VGG puts an `AdaptiveAvgPool2d((7, 7))` in front, which squeezes any picture into
#   7×7 cells. So it accepts every size, and still gives one answer: the places are averaged away.
#   For an FCN it has to go.
# - ResNet has a single fully connected layer, behind a mean over all places. As a 1×1 convolution
#   *before* the mean it gives a map, which is known as a class activation map (CAM).
#
# ## Three questions
#
# 1. A classifier's map before its fully connected layer is 256 channels of 6×6 (AlexNet). How many
#    weights has each filter of fc6, and how many places has it on a map of 15×15?
#
# <details><summary>Answer</summary>
#
# 256·6·6 = 9,216 weights, and (15 − 6 + 1)² = 100 places: the 10×10 grid from above.
#
# </details>
#
# 2. Why does fc7 become a convolution of 1×1, not of 7×7?
#
# <details><summary>Answer</summary>
#
# What it flattens is the answer of fc6, 4096 numbers at a single place. A filter as large as that
# map is 1×1. On larger pictures it then runs at each place of fc6 on its own.
#
# </details>
#
# 3. Somebody cuts each crop with 96 more pixels of the picture on all four sides, runs the padded
#    VGG-16 over it, and takes the middle score. Is it the score of the whole picture now?
#
# <details><summary>Answer</summary>
#
# Yes. A score sees 404 pixels, and 224 + 2·96 = 416 are there: what the new border invents lies
# outside. (90 more would be enough to see, but the poolings step by 32, and 96 is three of their
# steps.)
#
# </details>
#
# **Next:** one score for 32×32 pixels is coarse. Lesson 11 asks finer layers for help, and makes
# sure that they stand in the right place when they answer.
