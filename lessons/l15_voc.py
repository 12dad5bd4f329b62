# %% [markdown]
# # 15. Training on PASCAL VOC
#
# **Which files and which hyperparameters do you need to train an FCN on photographs? And why on
# earth is the learning rate 1e-10?**
#
# *About 50 minutes, with its exercises.*
#
# The real data set has 2 GB of files, and training takes days. So everything here runs on six small
# images that we write to a temporary folder *in the layout of VOC*: the loader, the check and the
# training are those of real runs. The commands for the real data set are at the end.

# %% tags=["hide-input"]
import os
from contextlib import redirect_stderr, redirect_stdout
from copy import copy, deepcopy
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.cbook import get_sample_data
from PIL import Image

import tinyfcn
from tinyfcn import ops, viz
from tinyfcn.training import loop as training, recipes
from tinyfcn.cli import main
from tinyfcn.cli.tables import PAPER_VOC_TEST, iu_table
from tinyfcn.data import load_dataset
from tinyfcn.data.batches import batches
from tinyfcn.data.images import read_image
from tinyfcn.data.shapes import generate
from tinyfcn.data.transforms import prepare, resize_shorter
from tinyfcn.course.exercises import check
from tinyfcn.course.player import Player
from tinyfcn.weights.cache import cached_weights

plt.rcParams.update({'figure.dpi': 100, 'image.interpolation': 'nearest'})

# %% [markdown]
# ## What VOC is
#
# The PASCAL Visual Object Classes challenge provides photographs from Flickr, and for some of them
# a label image that assigns every pixel to one of 20 object classes or to the background. Three
# sets matter:
#
# | set | images | used for |
# | --- | --- | --- |
# | VOC 2011 train | 1,112 | training, first experiments (Table 1 of the paper) |
# | SBD train (Hariharan et al. 2011) | 8,498 | all other training: VOC images, new annotations |
# | seg11valid | 736 | evaluation (the held-out validation set) |
#
# Why 736, and not all of VOC 2011 val? SBD's training set contains images of VOC's val. A net must
# not be evaluated on images that it was trained on, so those were removed.
#
# The results of FCN-8s on the test set of VOC 2012 by class, as cited in later papers:

# %% tags=["hide-input"]
# draw the IU of each class in the paper
paper = dict(sorted(PAPER_VOC_TEST.items(), key=lambda item: item[1]))
assert abs(np.mean([*paper.values()]) - 62.2) < .05                 # the paper's mean IU
figure, ax = plt.subplots(figsize=(8, 2.4), layout='constrained')
ax.bar(paper.keys(), paper.values(), color='#0072b2')
ax.axhline(62.2, color='#d55e00', lw=1)
ax.tick_params(axis='x', rotation=60, labelsize=8)
ax.set_title('IU in per cent; the line is their mean, 62.2', fontsize=9)
plt.show()

# %% [markdown]
# Thin objects (the spokes of a bicycle) and classes of varied appearance (chairs) are hard.
#
# ## The folder
#
#     VOC/JPEGImages/2011_000001.jpg                  the photograph
#     VOC/SegmentationClass/2011_000001.png           its label image
#     VOC/ImageSets/Segmentation/train.txt            names, one per line
#
# Our images show shapes of twenty kinds, as many as VOC has classes: the disc stands for the
# aeroplane, the triangle for the bicycle, and so on. As in VOC, the images differ in size.

# %% tags=["hide-input"]
# make a small data set in the form of VOC
folder = TemporaryDirectory()                           # deleted when the kernel stops
root = Path(folder.name) / 'VOC'
for part in 'JPEGImages', 'SegmentationClass', 'ImageSets/Segmentation':
    (root / part).mkdir(parents=True)

sizes = [(90, 120), (120, 90), (90, 120), (100, 110), (90, 120), (80, 120)]
names = [f'2011_{i:06}' for i in range(len(sizes))]
for i, (name, size) in enumerate(zip(names, sizes)):
    image, label = generate(seed=5, index=i, size=size, n_class=21, difficulty=.1)
    Image.fromarray(image).save(root / f'JPEGImages/{name}.jpg', quality=95)
    viz.write_label(root / f'SegmentationClass/{name}.png', label)
for subset, listed in ('train', names[:4]), ('val', names[4:]):
    (root / f'ImageSets/Segmentation/{subset}.txt').write_text('\n'.join(listed) + '\n')

# %%
dataset = load_dataset('voc', root, 'train')
image, label = dataset[0]
print(f'{len(dataset)} images, {len(dataset.classes)} classes; image {image.shape}, '
      f'label {label.shape} with the values {np.unique(label).tolist()}')

# %% tags=["hide-input"]
# draw an image, its label and void
viz.side_by_side({'image': image, 'label in its colours': viz.colours(label),
                  'void': label == 255}, width=2.4)

# %% [markdown]
# Every object has a **void border**, 255: two people would not draw its outline in exactly the same
# way, so these pixels are not evaluated. They are not used in training either (lesson 05).
#
# ## A label image holds class numbers, not colours
#
# A palette PNG stores one number per pixel, and a table (the palette) with the colour in which to
# display each number. Read the numbers. If you convert the file to RGB, you get the colours of the
# table instead, have to map them back to class numbers, and easily turn void into a class: its
# colour is a cream, (224, 224, 192).

# %%
with Image.open(root / f'SegmentationClass/{names[0]}.png') as mask:
    print('mode', mask.mode, 'with the values', np.unique(np.asarray(mask)).tolist())
    print('as RGB: ', np.unique(np.asarray(mask.convert('RGB')).reshape(-1, 3), axis=0).tolist())

# %% tags=["hide-input"]
assert viz.palette()[255].tolist() == [224, 224, 192]

# %% [markdown]
# The colours are computed from the bits of the class number: bits 0, 1 and 2 are the *highest* bits
# of red, green and blue, bits 3, 4 and 5 the next lower ones, and so on. So consecutive numbers
# have very different colours. For 15, person, binary 1111: bits 0, 1, 2 give 128, 128, 128; bit 3
# adds 64 to red.

# %% tags=["hide-input"]
assert viz.palette()[15].tolist() == [128 + 64, 128, 128]
figure, ax = plt.subplots(figsize=(8, 1.5), layout='constrained')
ax.imshow(viz.palette(21)[None], aspect='auto')
ax.set_xticks(range(21), [f'{i} {name}' for i, name in enumerate(dataset.classes)], rotation=70,
              fontsize=7, ha='right')
ax.set_yticks([])
plt.show()

# %% [markdown]
# ## Preprocessing: from the image to the input of the net
#
# VGG-16's weights were trained in Caffe, the library of the time, which read images with the
# channels in the order **blue, green, red**; and the mean of each channel was subtracted, so that
# the values are centred around 0. A net that is initialised with these weights needs the same
# input: x = BGR − (104.0, 116.7, 122.7). If you forget it, there is no error; the net is only
# worse. Step through an image of 1×3 pixels, pure red, pure green, white:

# %%
VGG = dict(order='BGR', scale=1, mean=(104.00699, 116.66877, 122.67892), std=(1, 1, 1))

# %% tags=["hide-input"]
# step through the preparation of three pixels
small = np.array([[[255, 0, 0], [0, 255, 0], [255, 255, 255]]], 'uint8')        # (H, W, 3), RGB
x = prepare(small, VGG)[0]
cells = [[0, j] for j in range(3)]
frames = [dict(caption=f'x[{c}] = {colour} − {VGG["mean"][c]:.1f}',
               set={f'x{c}': [[0, j, round(float(x[c, 0, j]), 1)] for j in range(3)]},
               highlight={colour: cells, f'x{c}': cells})
          for c, colour in enumerate(['blue', 'green', 'red'])]
# each number on its own share of the light: 255 of red is #ff0000
planes = np.where(np.eye(3, dtype=bool)[:, None], small[0].T[..., None], 0).astype('uint8')
shades = [[['#' + bytes(pixel.tolist()).hex() for pixel in row]] for row in planes]
Player(dict(kind='grid', title='from RGB to BGR minus the mean', frames=frames, grids=[
    *(dict(name=colour, title=colour, values=small[:, :, c].tolist(), row=0, colours=shades[c])
      for c, colour in enumerate(['red', 'green', 'blue'])),
    *(dict(name=f'x{c}', title=f'x[{c}]', values=[[None] * 3], row=1, colours='signed')
      for c in range(3))]))

# %% [markdown]
# Beware of the dtype. An image is uint8, 0 … 255, without negative numbers: there 0 − 104
# gives 152. Convert it to floats *first*.

# %%
print(np.array([0], 'uint8') - np.uint8(104))

# %% [markdown]
# Here is the function that prepares all images; `scale` and `std` are for other weights.

# %%
viz.show_source(prepare)

# %% [markdown]
# ### Exercise: prepare an image
#
# image (H, W, 3), uint8, RGB → (3, H, W), float32, BGR minus (104, 117, 123).

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
# ### What happens if you forget it
#
# The weights of GoogLeNet were trained in Caffe as well. If they are on this computer
# (`tinyfcn weights get googlenet` downloads them, 54 MB; see lesson 11), the next cell classifies a
# photo that it prepares in four ways: yours, or the portrait of Grace Hopper from matplotlib.

# %%
photo_file = ''                                         # the path of a photo, such as 'dog.jpg'

# %% tags=["hide-input"]
# classify a photo, prepared in four ways
portrait = get_sample_data('grace_hopper.jpg', asfileobj=False)
photo = resize_shorter(read_image(photo_file or portrait), 512)

if cached_weights('googlenet'):
    googlenet = tinyfcn.pretrained('googlenet')
    needed = googlenet.about['preprocess']
    ways = {
        'as needed': needed,
        'as RGB': dict(needed, order='RGB', mean=needed['mean'][::-1]),
        'without the mean': dict(needed, mean=(0, 0, 0)),
        "as for torchvision's weights": dict(order='RGB', scale=1/255, mean=(.485, .456, .406),
                                             std=(.229, .224, .225))}
    for way, preprocess in ways.items():
        score = googlenet.forward(prepare(photo, preprocess)).ravel()
        prob = np.exp(score - score.max())
        prob /= prob.sum()
        print(f'{way:30} {100 * prob.max():3.0f} %  {googlenet.about["classes"][prob.argmax()]}')
else:
    print("GoogLeNet's weights are not here yet: `tinyfcn weights get googlenet` gets them")

# %% [markdown]
# For the portrait GoogLeNet says *Windsor tie* with 80 %. As RGB this becomes 53 %, without the
# mean 70 %; prepared as for torchvision's weights, it is a *mosquito net* with 41 %. Not one of
# them is an error. That is why in this library the preprocessing belongs to the weights: a training
# that starts from them prepares its images as they need it.

# %% [markdown]
# ## Check the data before training
#
# Training takes days, and one bad file in thousands stops it, or worse, goes unnoticed.
# `tinyfcn check` validates every image and label first. Let us do what many image editors do, and
# save a label image as RGB:

# %%
def run_tinyfcn(*arguments):
    """Run a command of tinyfcn in our folder. -> its exit status, and the lines that it prints"""
    printed = StringIO()
    started_in = os.getcwd()
    os.chdir(folder.name)
    try:
        with redirect_stdout(printed), redirect_stderr(printed):
            status = main(arguments)
    finally:
        os.chdir(started_in)
    return status, printed.getvalue().splitlines()


label_file = root / f'SegmentationClass/{names[1]}.png'
original = label_file.read_bytes()
with Image.open(label_file) as opened:
    rgb = opened.convert('RGB')
rgb.save(label_file)
status, lines = run_tinyfcn('check', 'voc', '--data', 'VOC')
print(lines[0], lines[-1], sep='\n')                    # between them: the share of each class

# %% tags=["hide-input"]
assert status == 2
label_file.write_bytes(original)                        # repaired
assert run_tinyfcn('check', 'voc', '--data', 'VOC')[0] == 0

# %% [markdown]
# ## A batch size of one
#
# Photographs differ in size, and an FCN accepts any size. So the authors trained on whole images of
# their original size, with a batch size of one: **one image per step**. Their final recipe also has
# no **augmentation** (random flips, scales and crops of the training images): in the paper
# mirroring and jittering gave no noticeable improvement. If two images of different sizes are to be
# in one array, the smaller has to be padded, its image with the mean and its label with void:

# %%
for batch_size in 1, 2:
    stream = batches(dataset, VGG, batch=batch_size)
    batch_names, x, y = next(stream)
    stream.close()
    used = sum(dataset[dataset.names.index(name)][1].size for name in batch_names)
    print(f'batch size {batch_size}: image {x.shape}, label {y.shape}, '
          f'{y.size - used:,} pixels of padding')

# %% [markdown]
# ## Two recipes
#
# The authors used two recipes. The paper (CVPR 2015) has the *mean* loss over minibatches of twenty
# images. The nets that they published later were trained with the *sum* over one image and high
# momentum; the files are named *heavy*. Here are both, for FCN-32s:

# %%
older = recipes.get_recipe('voc-fcn32s-table2')
heavy = recipes.get_recipe('voc-fcn32s')
print(f'{"":14}{"accumulated":>12}{"heavy":>12}')
for key in 'loss lr momentum batch iter_size steps'.split():
    print(f'{key:14}{getattr(older, key):>12}{getattr(heavy, key):>12}')
for metric in 'pixel_acc', 'mean_iu':
    print(f'{metric:14}{older.target[metric]:>12}{heavy.target[metric]:>12}')

# %% [markdown]
# `iter_size` 20 means that the gradients of twenty images are computed one after the other, and
# their mean updates the weights once (gradient accumulation). (The paper does not give the number
# of steps; 10,000 of twenty images each are our choice.) The heavy recipe reached 4 points more
# mean IU.
#
# **Why 1e-10?** Compute how far a weight finally moves for a constant gradient:
#
# 1. The sum is the mean times the number of pixels: 500 × 375 = 187,500 in a typical image, 250,000
#    in one of 500 × 500. An lr of 1e-10 for the sum equals one of 1.9e-5 for the mean.
# 2. Momentum 0.99 multiplies the step by 1/(1 − 0.99) = 100 (lesson 05): 1.9e-3.
# 3. The other recipe has lr 1e-4 and momentum 0.9, a factor of ten: 1e-3.
#
# So in a single step these two learning rates, which differ by a factor of a million, have nearly
# the same effect.

# %% tags=["hide-input"]
# draw the learning rates
pixels = 500 * 375
by_sum = [1e-10, 1e-10 * pixels, 1e-10 * pixels / (1 - .99)]
by_mean = [1e-4, 1e-4, 1e-4 / (1 - .9)]
figure, ax = plt.subplots(figsize=(7, 2.4), layout='constrained')
lines = [(by_sum, 'heavy', '#0072b2', -14), (by_mean, 'accumulated', '#d55e00', 8)]
for rates, name, colour, offset in lines:
    ax.semilogy(['lr as written', 'for a mean over pixels', 'with momentum'], rates, 'o-',
                color=colour, label=name)
    for i, value in enumerate(rates):
        up = offset if i < 2 else -offset               # the lines cross before the last point
        ax.annotate(f'{value:.2g}', (i, value), (0, up), textcoords='offset points', fontsize=8,
                    color=colour, ha='center')
ax.margins(x=.1, y=.25)
ax.legend(fontsize=8)
assert np.isclose(by_sum[1], 1.875e-5) and 1 < by_sum[2] / by_mean[2] < 2
plt.show()

# %% [markdown]
# And high momentum averages over images, as the minibatch of twenty did. The velocity is a sum over
# past gradients in which an image k steps back has the weight μᵏ, so about 1/(1 − μ) = 100 images
# contribute. For the same decay *per image* as 0.9 per twenty images, μ would be
# 0.9^(1/20) = 0.995.

# %% tags=["hide-input"]
assert round(.9 ** (1 / 20), 3) == .995

# %% [markdown]
# Mixing up the two is the most common cause of nan, or of a net that does not learn. The library
# rejects it:

# %%
for wrong in dict(lr=1e-4), dict(loss='mean'):
    try:
        recipes.get_recipe('voc-fcn32s', **wrong)
    except ValueError as error:
        print(f'{wrong}: {error}\n')

# %% [markdown]
# One consequence is easily overlooked: weight decay is multiplied by lr too. With the heavy recipe
# the weights shrink during the whole training by a factor of only
# 1e-10 · 5e-4 · 100 · 100,000 = 5e-7. Weight decay is in the authors' settings, but has no effect.

# %% tags=["hide-input"]
# check
shrinkage = heavy.lr * heavy.weight_decay / (1 - heavy.momentum) * heavy.steps
assert np.isclose(shrinkage, 5e-7)

# %% [markdown]
# ## A few real steps
#
# Now train FCN-32s itself, with every layer a sixteenth as wide and random weights instead of
# VGG-16's, on our four images by the authors' recipe, including lr 1e-10; but for six steps, not
# 100,000. The score layer starts at zero, so the first loss must be log 21 for each pixel that is
# not void.

# %%
net = tinyfcn.build('fcn32s', width=1/16)
initial_net = deepcopy(net)
recipe = recipes.get_recipe('voc-fcn32s', steps=6)
rows = training.train(net, dataset, recipe, training.make_optimizer(recipe))
row = next(rows)


def loss_per_pixel(row):
    """The loss of a step, divided by the number of pixels that are not void."""
    label = dataset[dataset.names.index(row['names'][0])][1]
    return row['loss'] / np.count_nonzero(label != 255)


print(f'step 1, {row["names"][0]}: loss {row["loss"]:,.0f}, per pixel {loss_per_pixel(row):.4f}')

# %% tags=["hide-input"]
assert np.isclose(loss_per_pixel(row), np.log(21), rtol=1e-5)

# %%
losses = [loss_per_pixel(row) for row in rows]
print('steps 2 to 6', ' '.join(f'{loss:.2f}' for loss in losses))

# %% tags=["hide-input"]
assert losses[-1] < np.log(21) / 2

# %% [markdown]
# **Change this and run again:** 6 steps to 12. The loss rises again, to about log 21: with such
# high momentum the weights overshoot the first minimum. It takes some hundreds of steps to settle,
# which does not matter among 100,000.

# %%
steps = 6                                               # try: 12, 20, 1

same_net = deepcopy(initial_net)
same_recipe = recipes.get_recipe('voc-fcn32s', steps=steps)
for row in training.train(same_net, dataset, same_recipe, training.make_optimizer(same_recipe)):
    print(f'{loss_per_pixel(row):.2f}', end=' ')

# %% [markdown]
# And if you force a mixture of the recipes, and bypass the check? Then training diverges, and stops
# with this error:

# %%
mixed = copy(recipe)
object.__setattr__(mixed, 'lr', 1e-4)                   # a recipe is frozen, and checks itself
try:
    [*training.train(deepcopy(initial_net), dataset, mixed, training.make_optimizer(mixed))]
except ValueError as error:
    print(error)

# %% [markdown]
# The sum and the mean once more, in code: with n pixels that are not void, and without weight
# decay, the sum with lr/n and the mean with lr take the same step, up to rounding.

# %% tags=["hide-input"]
# check: one step by the sum, one by the mean
image, label = dataset[0]
x = prepare(image, VGG)
y = label[None]
n = int((y != 255).sum())
updated = {}
for reduce, lr in ('sum', 1e-3 / n), ('mean', 1e-3):
    copied_net = deepcopy(initial_net)
    score = copied_net.forward(x, train=True)
    _, dscore = ops.softmax_cross_entropy(score, y, reduce=reduce)
    tinyfcn.optim.SGD(lr, momentum=.99).step(copied_net.params, copied_net.backward(score=dscore))
    updated[reduce] = copied_net.params['score_fr.w']
assert updated['sum'].any() and np.allclose(updated['sum'], updated['mean'], rtol=1e-3, atol=1e-9)

# %% [markdown]
# And how good is the net? The table by class shows what the mean does not:

# %%
val_set = load_dataset('voc', root, 'val')
hist = sum(tinyfcn.metrics.confusion(label, tinyfcn.predict(net, image), 21)
           for image, label in (val_set[i] for i in range(len(val_set))))
print(iu_table(tinyfcn.metrics.scores(hist), hist, val_set.classes))

# %% [markdown]
# All background: the trap of lesson 01, and the first stage of every training run. From random
# weights, six steps lead no further. The column on the right started from weights trained on
# ImageNet, with 100,000 steps per stage.
#
# ## A net that has been trained
#
# Nets that were trained on VOC's classes are published, too. One command gets the FCN of
# torchvision, on ResNet-50, and another the FCN-8s of the paper:
#
#     tinyfcn weights get fcn_resnet50                        142 MB
#     tinyfcn weights get pascal-fcn8s-dag                    about 500 MB
#
# If one of them is here, the next cell segments the photo with it.

# %% tags=["hide-input"]
# the mask of a trained net, if its weights are here
available = [name for name in ('fcn_resnet50', 'pascal-fcn8s-dag') if cached_weights(name)]
if available:
    trained_net = tinyfcn.pretrained(available[0])
    photo_mask = tinyfcn.predict(trained_net, photo)
    figure, axes = plt.subplots(1, 2, figsize=(10, 6), layout='constrained')
    axes[0].imshow(photo)
    axes[1].imshow(viz.overlay(photo, photo_mask, trained_net.about['classes']))
    for ax in axes:
        ax.axis('off')
    plt.show()
else:
    print('No weights of such a net are here yet: `tinyfcn weights get fcn_resnet50` gets them')

# %% [markdown]
# In a terminal, `tinyfcn predict fcn_resnet50 photo.jpg` writes such an overlay, and downloads the
# weights if they are not here.

# %% [markdown]
# ## Training on the real data set
#
# These are the commands. The first one gets the weights of VGG-16 that the authors started from.
#
#     tinyfcn weights get vgg16                               553 MB
#     tinyfcn data voc2011                                    into data/, or --from FILE
#     tinyfcn data sbd
#     tinyfcn check sbd
#     tinyfcn check voc --split seg11valid
#     tinyfcn train voc-fcn32s                                from VGG-16; lr 1e-10
#     tinyfcn train voc-fcn16s                                from the best of 32s; lr 1e-12
#     tinyfcn train voc-fcn8s                                 from the best of 16s; lr 1e-14
#     tinyfcn eval runs/voc-fcn8s voc --split seg11valid
#
# Each finer net is initialised from the coarser one and trained at a hundredth of its lr, so that
# the learned weights are refined and not destroyed. Ctrl-C stops a run, and `--resume` continues
# it. How long does it take? On two CPU cores a step of FCN-8s on 500×500 pixels took about 5
# seconds (`benchmarks/RESULTS.md`):

# %%
print(f'100,000 steps of 5 s: {100_000 * 5 / 86_400:.1f} days')

# %% [markdown]
# So a stage on a CPU takes patience. These VOC recipes have not yet been run from start to end in
# this library; their targets are the results published by the authors.
# `tinyfcn train stanford-16s`, on photographs and with SqueezeNet's weights
# (`tinyfcn weights get squeezenet`, 5 MB), is a smaller run to start with.

# %% [markdown]
# ## What PyTorch calls this
#
# - `torchvision.datasets.VOCSegmentation` and `SBDataset` read these folders; the mask is a palette
#   image, to be read by `np.array(mask)` and not by `ToTensor`, which divides by 255.
# - torchvision's own weights want RGB, scaled to 0 … 1, less (0.485, 0.456, 0.406), divided by
#   (0.229, 0.224, 0.225). Caffe's want BGR, 0 … 255. Here both are a setting of the weights,
#   `preprocess`.
# - `torchvision.models.segmentation.fcn_resnet50(weights='DEFAULT')` is the net that
#   `tinyfcn.pretrained('fcn_resnet50')` builds from the same file.
# - iter_size is called *gradient accumulation*: several `loss.backward()` before one `step()`.

# %% [markdown]
# ## Three questions
#
# 1. A colleague trains with the mean loss at lr 1e-10, "as the authors did". What will happen?
#
# <details><summary>Answer</summary>
#
# The loss stays at log 21 = 3.04. The steps are about 200,000 times too small.
#
# </details>
#
# 2. Why should you not resize a label image like a photograph, by averaging neighbours?
#
# <details><summary>Answer</summary>
#
# The mean of class 2 and class 14 is class 8, which is wrong for both; and near 255 averaging gives
# numbers that are no class at all. Use the number of the nearest pixel instead.
#
# </details>
#
# 3. Your loader maps colours to classes, and unknown colours become 0. What does the net learn at
#    the borders?
#
# <details><summary>Answer</summary>
#
# The cream of void becomes background: the net is trained, and evaluated, as if every object were
# surrounded by a frame of background.
#
# </details>
#
# **Next, 16:** the same code on a GPU.
