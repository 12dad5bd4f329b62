# %% [markdown]
# # 13. Training on PASCAL VOC
#
# **What must lie on the disk, and which numbers must be chosen, before an FCN learns from
# photographs? And why on earth is the learning rate 1e-10?**
#
# The real thing takes 2 GB of files and days of computing. So everything here runs on six small
# pictures that we write to a temporary folder *in the very layout of VOC*: the loader, the check
# and the training are those of the real runs. At the end stand the commands for the real thing.

# %%
import subprocess
import sys
from copy import copy, deepcopy
from pathlib import Path
from tempfile import TemporaryDirectory

import matplotlib.pyplot as plt
import numpy as np
from PIL import Image

import tinyfcn
from tinyfcn import ops, viz
from tinyfcn.training import loop as training, recipes
from tinyfcn.cli.tables import PAPER_VOC_TEST, iu_table
from tinyfcn.data import load_dataset
from tinyfcn.data.batches import batches
from tinyfcn.data.shapes import generate
from tinyfcn.data.transforms import prepare
from tinyfcn.course.exercises import check
from tinyfcn.course.player import Player

plt.rcParams.update({'figure.dpi': 60, 'image.interpolation': 'nearest'})

# %% [markdown]
# ## What VOC is
#
# The PASCAL Visual Object Classes challenge: photographs from flickr, and for a part of them a mask
# that says of every pixel which of 20 kinds of object it shows, or background. Three sets matter:
#
# | set | pictures | what for |
# | --- | --- | --- |
# | VOC 2011 train | 1,112 | the paper's first experiments (its Table 1) |
# | SBD train (Hariharan et al. 2011) | 8,498 | pictures of VOC, outlined by others: all else |
# | seg11valid | 736 | what is judged by |
#
# Why 736, and not the whole of VOC 2011 val? SBD's training set has pictures of VOC's val in it. A
# net must not be judged by what it has learned from, so those were taken out.
#
# How well FCN-8s did on the test set of VOC 2012, class by class, as later papers repeat it:

# %%
paper = dict(sorted(PAPER_VOC_TEST.items(), key=lambda item: item[1]))
assert abs(np.mean([*paper.values()]) - 62.2) < .05                 # the paper's mean IU
figure, ax = plt.subplots(figsize=(8, 2.4), layout='constrained')
ax.bar(paper.keys(), paper.values(), color='#0072b2')
ax.axhline(62.2, color='#d55e00', lw=1)
ax.tick_params(axis='x', rotation=60, labelsize=8)
ax.set_title('IU in per cent; the line is their mean, 62.2', fontsize=9)
plt.show()

# %% [markdown]
# What is thin (a bicycle's spokes) or never twice alike (a chair) is hard.
#
# ## The folder
#
#     VOC/JPEGImages/2011_000001.jpg                  the photograph
#     VOC/SegmentationClass/2011_000001.png           its mask
#     VOC/ImageSets/Segmentation/train.txt            names, one a line
#
# Our pictures are shapes, of twenty kinds, which is as many as VOC has: the disc plays the
# aeroplane, the triangle the bicycle, and so on. As in VOC, they differ in size.

# %%
place = TemporaryDirectory()
root = Path(place.name) / 'VOC'
for part in 'JPEGImages', 'SegmentationClass', 'ImageSets/Segmentation':
    (root / part).mkdir(parents=True)

sizes = [(90, 120), (120, 90), (90, 120), (100, 110), (90, 120), (80, 120)]
names = [f'2011_{i:06}' for i in range(len(sizes))]
for i, (name, size) in enumerate(zip(names, sizes)):
    image, label = generate(seed=5, index=i, size=size, n_class=21, difficulty=.1)
    Image.fromarray(image).save(root / f'JPEGImages/{name}.jpg', quality=95)
    viz.write_label(root / f'SegmentationClass/{name}.png', label)
(root / 'ImageSets/Segmentation/train.txt').write_text('\n'.join(names[:4]) + '\n')
(root / 'ImageSets/Segmentation/val.txt').write_text('\n'.join(names[4:]) + '\n')

pictures = load_dataset('voc', root, 'train')
image, label = pictures[0]
print(f'{len(pictures)} pictures, {len(pictures.classes)} classes; image {image.shape}, '
      f'label {label.shape}, {np.unique(label).tolist()} in it')
figure, axes = plt.subplots(1, 3, figsize=(5, 1.35), layout='constrained')
shown = [('image', image), ('label in its colours', viz.colours(label)), ('void', label == 255)]
for ax, (title, pixels) in zip(axes, shown):
    ax.imshow(pixels, cmap='gray')
    ax.set_title(title, fontsize=9)
    ax.axis('off')

# %% [markdown]
# Around every object runs a **void border**, 255: where exactly an aeroplane ends, two people would
# not draw alike, so nobody is judged there. Nothing is learned there either (lesson 12).
#
# ## A mask is numbers that look like colours
#
# A palette PNG keeps one number a pixel, and beside them a table that says in which colour to show
# each number. Read the numbers. Whoever turns the picture into RGB reads the table instead, has to
# guess the numbers back, and easily makes a class of void: its colour is a cream, (224, 224, 192).

# %%
with Image.open(root / f'SegmentationClass/{names[0]}.png') as mask:
    print('mode', mask.mode, 'with the values', np.unique(np.asarray(mask)).tolist())
    print('as RGB: ', np.unique(np.asarray(mask.convert('RGB')).reshape(-1, 3), axis=0).tolist())
assert viz.palette()[255].tolist() == [224, 224, 192]

# %% [markdown]
# The colours follow from the number's bits: bits 0, 1 and 2 are the *highest* bits of red, green
# and blue, bits 3, 4 and 5 the next lower ones, and so on. So neighbours in number are far apart in
# colour. For 15, person, binary 1111: bits 0, 1, 2 give 128, 128, 128; bit 3 adds 64 to red.

# %%
assert viz.palette()[15].tolist() == [128 + 64, 128, 128]
figure, ax = plt.subplots(figsize=(8, 1.5), layout='constrained')
ax.imshow(viz.palette(21)[None], aspect='auto')
ax.set_xticks(range(21), [f'{i} {name}' for i, name in enumerate(pictures.classes)], rotation=70,
              fontsize=7, ha='right')
ax.set_yticks([])
plt.show()

# %% [markdown]
# ## From the picture to what the net reads
#
# VGG-16's weights were learned in Caffe, the library of the time, which read pictures with their
# channels in the order **blue, green, red**; and the mean of each was taken off, so that values lie
# on both sides of 0. A net that begins with these weights must be given the same:
# x = BGR − (104.0, 116.7, 122.7). No error tells you if you forget it; the net is only worse. Step
# through a picture of 1×3 pixels, pure red, pure green, white:

# %%
VGG = dict(order='BGR', scale=1, mean=(104.00699, 116.66877, 122.67892), std=(1, 1, 1))
small = np.array([[[255, 0, 0], [0, 255, 0], [255, 255, 255]]], 'uint8')        # (H, W, 3), RGB
x = prepare(small, VGG)[0]
three = [[0, j] for j in range(3)]
frames = [dict(caption=f'x[{c}] = {colour} − {VGG["mean"][c]:.1f}',
               set={f'x{c}': [[0, j, round(float(x[c, 0, j]), 1)] for j in range(3)]},
               highlight={colour: three, f'x{c}': three})
          for c, colour in enumerate(['blue', 'green', 'red'])]
Player(dict(kind='grid', title='from RGB to BGR less the mean', frames=frames, grids=[
    *(dict(name=colour, title=colour, values=small[:, :, c].tolist(), row=0)
      for c, colour in enumerate(['red', 'green', 'blue'])),
    *(dict(name=f'x{c}', title=f'x[{c}]', values=[[None] * 3], row=1) for c in range(3))]))

# %% [markdown]
# One trap lies in the type. A picture is uint8, 0 … 255, and knows no number below 0: there
# 0 − 104 comes out as 152. Turn it into floats *first*.

# %%
assert (np.array([0], 'uint8') - np.uint8(104)).tolist() == [152]

# %% [markdown]
# Here is the function that all pictures pass through; `scale` and `std` are for other weights.

# %%
viz.show_source(prepare)

# %% [markdown]
# ### Exercise: prepare a picture
#
# image (H, W, 3), uint8, red green blue → (3, H, W), float32, blue green red, less (104, 117, 123).

# %%
def preprocess_mine(image):
    raise NotImplementedError


check('preprocess', preprocess_mine)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def preprocess_mine(image):
#     bgr = image[:, :, ::-1].astype('float32') - np.array([104, 117, 123], 'float32')
#     return bgr.transpose(2, 0, 1)
# ```
#
# </details>

# %% [markdown]
# ## Look before you train
#
# A run takes days, and one bad file in thousands stops it, or worse, does not. `tinyfcn check`
# reads every picture first. Let us do what an image editor does in passing, and save a mask as RGB:

# %%
def tinyfcn_(*words):
    """The command line, as in a terminal."""
    return subprocess.run([sys.executable, '-m', 'tinyfcn', *words], cwd=place.name, text=True,
                          capture_output=True, encoding='utf-8')


mask = root / f'SegmentationClass/{names[1]}.png'
whole = mask.read_bytes()
with Image.open(mask) as opened:
    coloured = opened.convert('RGB')
coloured.save(mask)
spoiled = tinyfcn_('check', 'voc', '--data', 'VOC')
print(spoiled.stdout, spoiled.stderr)
assert spoiled.returncode == 2

mask.write_bytes(whole)
assert tinyfcn_('check', 'voc', '--data', 'VOC').returncode == 0

# %% [markdown]
# ## A batch of one
#
# Photographs differ in size, and an FCN takes any size, so the authors scaled and cropped nothing:
# **one picture a step, as it is**. Were two of different sizes to share an array, the smaller would
# have to be padded, its image with the mean and its label with void:

# %%
for many in 1, 2:
    stream = batches(pictures, VGG, batch=many)
    seen, x, y = next(stream)
    stream.close()
    padding = y.size - sum(pictures[pictures.names.index(name)][1].size for name in seen)
    print(f'batch of {many}: image {x.shape}, label {y.shape}, {padding:,} pixels of padding')

# %% [markdown]
# ## Two recipes
#
# The authors trained twice. The paper's words (CVPR 2015) are a *mean* loss over twenty pictures.
# The nets that they published later take the *sum* over one picture, with heavy momentum. Here are
# both, for FCN-32s:

# %%
older, heavy = recipes.get_recipe('voc-fcn32s-table2'), recipes.get_recipe('voc-fcn32s')
print(f'{"":14}{"accumulated":>12}{"heavy":>12}')
for key in 'loss lr momentum batch iter_size steps'.split():
    print(f'{key:14}{getattr(older, key):>12}{getattr(heavy, key):>12}')
for aim in 'pixel_acc', 'mean_iu':
    print(f'{aim:14}{older.target[aim]:>12}{heavy.target[aim]:>12}')

# %% [markdown]
# `iter_size` 20 means: twenty pictures, one after the other, and the mean of their gradients moves
# the weights once. (The paper does not say for how many steps; 10,000 of twenty pictures are our
# choice.) The heavy recipe came out 4 points of mean IU ahead.
#
# **Why 1e-10?** Follow how far a weight goes, in the end, for a gradient that stays the same:
#
# 1. The sum is as many times the mean as there are pixels: 500 × 375 = 187,500 in a usual picture,
#    250,000 in one of 500 × 500. An lr of 1e-10 for the sum is one of 1.9e-5 for the mean.
# 2. Momentum 0.99 makes it 1/(1 − 0.99) = 100 times as far (lesson 12): 1.9e-3.
# 3. The other recipe: 1e-4, and momentum 0.9, ten times: 1e-3.
#
# So these two learning rates, a factor of a million apart, mean nearly the same.

# %%
pixels = 500 * 375
by_sum = [1e-10, 1e-10 * pixels, 1e-10 * pixels / (1 - .99)]
by_mean = [1e-4, 1e-4, 1e-4 / (1 - .9)]
figure, ax = plt.subplots(figsize=(7, 2.4), layout='constrained')
lines = [(by_sum, 'heavy', '#0072b2', -14), (by_mean, 'accumulated', '#d55e00', 8)]
for rates, name, colour, off in lines:
    ax.semilogy(['lr as written', 'for a mean over pixels', 'with momentum'], rates, 'o-',
                color=colour, label=name)
    for i, value in enumerate(rates):
        up = off if i < 2 else -off                     # at the end the lines have crossed
        ax.annotate(f'{value:.2g}', (i, value), (0, up), textcoords='offset points', fontsize=8,
                    color=colour, ha='center')
ax.margins(x=.1, y=.25)
ax.legend(fontsize=8)
assert np.isclose(by_sum[1], 1.875e-5) and 1 < by_sum[2] / by_mean[2] < 2
plt.show()

# %% [markdown]
# And heavy momentum does the averaging that the twenty pictures did. The velocity is a sum over the
# past in which a picture k steps back weighs μᵏ, so about 1/(1 − μ) = 100 pictures have a say. To
# forget as fast *per picture* as 0.9 does per twenty, μ would be 0.9^(1/20) = 0.995.

# %%
assert round(.9 ** (1 / 20), 3) == .995

# %% [markdown]
# A mix-up of the two is the most common way to see nan, or a net that stands still. The library
# refuses it:

# %%
for wrong in dict(lr=1e-4), dict(loss='mean'):
    try:
        recipes.get_recipe('voc-fcn32s', **wrong)
    except ValueError as error:
        print(f'{wrong}: {error}\n')

# %% [markdown]
# One consequence that few notice: weight decay is multiplied by lr too. Under the heavy recipe
# weights shrink, over the whole training, by 1e-10 · 5e-4 · 100 · 100,000 = 5e-7 of themselves. It
# stands in the authors' settings, and does nothing.

# %%
shrinks = heavy['lr'] * heavy['weight_decay'] / (1 - heavy['momentum']) * heavy['steps']
assert np.isclose(shrinks, 5e-7)

# %% [markdown]
# ### Exercise: a step of SGD, in Caffe's order
#
# g ← g + decay·w; v ← momentum·v + lr·g; w ← w − v. Give the new w and v, and leave the arrays that
# you were given as they were.

# %%
def sgd_mine(w, g, v, lr, momentum, decay):
    raise NotImplementedError


check('sgd', sgd_mine)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def sgd_mine(w, g, v, lr, momentum, decay):
#     v = momentum * v + lr * (g + decay * w)
#     return w - v, v
# ```
#
# </details>

# %% [markdown]
# ## A few real steps
#
# FCN-32s itself, every layer a sixteenth as wide and with random weights, not VGG-16's, on our four
# pictures, by the authors' recipe, lr 1e-10 and all; only of 100,000 steps we take six. The score
# layer begins at zero, so the first loss must be log 21 for each pixel that counts.

# %%
net = tinyfcn.build('fcn32s', width=1/16)
begun = deepcopy(net)
recipe = recipes.get_recipe('voc-fcn32s', steps=6)
rows = training.train(net, pictures, recipe, training.make_optimizer(recipe))
row = next(rows)


def each(row):
    """The loss of a step for each pixel that counts."""
    label = pictures[pictures.names.index(row['names'][0])][1]
    return row['loss'] / np.count_nonzero(label != 255)


print(f'step 1, {row["names"][0]}: loss {row["loss"]:,.0f}, for each pixel {each(row):.4f}')
assert np.isclose(each(row), np.log(21), rtol=1e-5)

losses = [each(row) for row in rows]
print('and then', ' '.join(f'{loss:.2f}' for loss in losses))
assert losses[-1] < np.log(21) / 2

# %% [markdown]
# **Change this and run again:** steps=6 to 12. The loss rises again, to about log 21: so heavy a
# momentum cannot stop where it first is low, and rolls on. It takes some hundreds of steps to
# settle, which nobody notices among 100,000.
#
# And if the recipes are mixed by force, behind the back of the check? This is what a nan looks like
# from inside:

# %%
mixed = copy(recipe)
object.__setattr__(mixed, 'lr', 1e-4)                   # a recipe is frozen, and checks itself
try:
    [*training.train(deepcopy(begun), pictures, mixed, training.make_optimizer(mixed))]
except ValueError as error:
    print(error)

# %% [markdown]
# Sum and mean, once more, in code: the sum with lr/n and the mean with lr make the same step, but
# for the last digits (n pixels count, and weight decay is off).

# %%
image, label = pictures[0]
x, y = prepare(image, VGG), label[None]
n, moved = int((y != 255).sum()), {}
for reduce, lr in ('sum', 1e-3 / n), ('mean', 1e-3):
    pupil = deepcopy(begun)
    score = pupil.forward(x, train=True)
    _, dscore = ops.softmax_cross_entropy(score, y, reduce=reduce)
    tinyfcn.optim.SGD(lr, momentum=.99).step(pupil.params, pupil.backward(score=dscore))
    moved[reduce] = pupil.params['score_fr.w']
assert moved['sum'].any() and np.allclose(moved['sum'], moved['mean'], rtol=1e-3, atol=1e-9)

# %% [markdown]
# And how good is the net? The table of classes tells what the mean alone would not:

# %%
valid = load_dataset('voc', root, 'val')
hist = sum(tinyfcn.metrics.confusion(label, tinyfcn.predict(net, image), 21)
           for image, label in (valid[i] for i in range(len(valid))))
print(iu_table(tinyfcn.metrics.scores(hist), hist, valid.classes))

# %% [markdown]
# All background: the trap of lesson 01, and the stage that every training passes first. From random
# weights, six steps lead no further. The column on the right had ImageNet's weights
# and 100,000 steps a stage.

# %% [markdown]
# ## The real thing
#
# These are the commands. A file of VGG-16's weights (.caffemodel, .pth, .npz or .h5) has to be got
# from where it is published; `tinyfcn weights inspect FILE` looks into it.
#
#     tinyfcn data voc2011                                    into data/, or --from FILE
#     tinyfcn data sbd
#     tinyfcn check sbd
#     tinyfcn check voc --split seg11valid
#     tinyfcn train voc-fcn32s --weights VGG16.caffemodel     lr 1e-10
#     tinyfcn train voc-fcn16s                                from 32s' best; lr 1e-12
#     tinyfcn train voc-fcn8s                                 from 16s' best; lr 1e-14
#     tinyfcn eval runs/voc-fcn8s voc --split seg11valid
#
# Each finer net begins where the coarser one stands, at a hundredth of its lr, so that what is
# learned is refined and not shaken. Ctrl-C stops a run, and `--resume` goes on. How long? On two
# CPU cores a step of FCN-8s on 500×500 pixels took about 5 seconds (`benchmarks/RESULTS.md`):

# %%
print(f'100,000 steps of 5 s: {100_000 * 5 / 86_400:.1f} days')
place.cleanup()

# %% [markdown]
# So a stage on a CPU is a matter of patience. Nobody has run these VOC recipes in this library from
# end to end yet; their aims are the authors' own scores. `tinyfcn train stanford-16s`, on real
# photographs with SqueezeNet's weights, is the smaller one to begin with.

# %% [markdown]
# ## What PyTorch calls this
#
# - `torchvision.datasets.VOCSegmentation` and `SBDataset` read these folders; the mask is a palette
#   image, to be read by `np.array(mask)` and not by `ToTensor`, which divides by 255.
# - torchvision's own weights want RGB, scaled to 0 … 1, less (0.485, 0.456, 0.406), divided by
#   (0.229, 0.224, 0.225). Caffe's want BGR, 0 … 255. Here both are a `preprocess` of the weights.
# - iter_size is called *gradient accumulation*: several `loss.backward()` before one `step()`.

# %% [markdown]
# ## Three questions
#
# 1. A colleague trains with the mean loss at lr 1e-10, "as the authors did". What will he see?
#
# <details><summary>Answer</summary>
#
# A loss that stays at log 21 = 3.04. His steps are some 200,000 times too small.
#
# </details>
#
# 2. Why may one not resize a mask as one resizes a photograph, by averaging neighbours?
#
# <details><summary>Answer</summary>
#
# The mean of class 2 and class 14 is class 8, which is in neither place; and near 255 it invents
# numbers that are no class at all. Take the nearest pixel's number instead.
#
# </details>
#
# 3. Your loader reads masks by their colours, and colours it does not know become 0. What does the
#    net learn of the borders?
#
# <details><summary>Answer</summary>
#
# The cream of void becomes background: the net is taught, and judged, that a frame of background
# runs around every object.
#
# </details>
#
# **Next, 14:** it takes the same code to a graphics card.
