# %% [markdown]
# # 01. Pixels to metrics
#
# **How good is a mask, in one number that does not fool you?**

# %%
import numpy as np

import tinyfcn
from tinyfcn import metrics, viz
from tinyfcn.course import tracing
from tinyfcn.course.exercises import check

# %% [markdown]
# ## Sixteen pixels
#
# A picture of 4×4 pixels and three classes: 0 background, 1 and 2. Left is the truth (the
# *label*), right what some net predicts. 255 is *void*, pale here: nobody knows, so nobody is
# judged there.

# %%
label = np.array([[0, 0, 0, 1],
                  [0, 0, 1, 1],
                  [0, 2, 2, 255],
                  [255, 2, 2, 2]])
pred = np.array([[0, 0, 1, 1],
                 [0, 0, 1, 1],
                 [0, 2, 0, 2],
                 [1, 2, 2, 2]])
viz.side_by_side({'label': viz.colours(label), 'pred': viz.colours(pred)})

# %% [markdown]
# ## Every pixel drops into a cell
#
# Draw a table with a row for each true class and a column for each predicted one. Each pixel adds 1
# to the cell *(what it is, what it is said to be)*. Void pixels drop into none. The table is called
# the **confusion matrix**; here it is, pixel by pixel. Play it, or press the arrow keys.

# %%
tracing.confusion(label, pred, 3)

# %%
hist = metrics.confusion(label, pred, n_class=3)
print(hist)

assert hist.tolist() == [[5, 1, 0], [0, 3, 0], [1, 0, 4]]
assert hist.sum() == 14                                 # 16 pixels, two of them void

# %% [markdown]
# Read it aloud. Row 0: of six background pixels five were found and one was taken for class 1. Row
# 2: of five pixels of class 2 one was taken for background. What is right stands on the diagonal.
# Everything we shall ever say about a mask is read off this table.
#
# ### Your turn
#
# Write it. A loop over pixels will do; a trick without a loop is in the solution.

# %%
def confusion_mine(label, pred, n_class):
    """hist[i, j] = how many pixels of class i are said to be of class j; 255 counts nowhere."""
    raise NotImplementedError


check('confusion', confusion_mine)

# %% [markdown]
# <details><summary>Solution</summary>
#
# Each pair (i, j) has a number of its own, n_class·i + j, as the cells of a table have when they
# are counted row by row. So one `bincount` counts all pairs at once.
#
# ```python
# def confusion_mine(label, pred, n_class):
#     valid = label != 255
#     pairs = n_class * label[valid].astype(int) + pred[valid].astype(int)
#     return np.bincount(pairs, minlength=n_class * n_class).reshape(n_class, n_class)
# ```
#
# (Labels are mostly `uint8`, which ends at 255; without `astype` the product would wrap around.)
#
# </details>

# %% [markdown]
# The library's own does just this, after it has made sure that the numbers can be classes at all:

# %%
viz.show_source(metrics.confusion)

# %% [markdown]
# ## The paper's four metrics
#
# Write nᵢⱼ for the cell in row i, column j; tᵢ = Σⱼ nᵢⱼ for the pixels that *are* of class i, a sum
# along a row; pᵢ = Σⱼ nⱼᵢ for those *said* to be, a sum down a column. C is the number of classes.
#
# | metric | formula | in words |
# | --- | --- | --- |
# | pixel accuracy | Σᵢ nᵢᵢ / Σᵢ tᵢ | the share of all pixels that are right |
# | mean accuracy | (1/C) Σᵢ nᵢᵢ / tᵢ | that share in each class, then the mean |
# | mean IU | (1/C) Σᵢ nᵢᵢ / (tᵢ + pᵢ − nᵢᵢ) | intersection over union, the mean over classes |
# | frequency weighted IU | Σᵢ (tᵢ / Σₖ tₖ) · IUᵢ | large classes count for more |
#
# The third is the one that people compare. Lay the true pixels of a class over the predicted ones:
# IU is how many pixels both have, over how many at least one has. It is 1 when they agree and 0
# when they do not touch, and both kinds of mistake cost: pixels missed, and pixels wrongly claimed.

# %%
is_2, said_2 = (label == 2), (pred == 2) & (label != 255)
assert (is_2 & said_2).sum() == 4 and (is_2 | said_2).sum() == 5
viz.side_by_side({'is 2': viz.colours(2 * is_2), 'is said to be 2': viz.colours(2 * said_2),
                  'both: 4': viz.colours(2 * (is_2 & said_2)),
                  'at least one: 5': viz.colours(2 * (is_2 | said_2))}, width=1.4)

# %% [markdown]
# By hand, from the table `[[5, 1, 0], [0, 3, 0], [1, 0, 4]]`:
#
#     class    true tᵢ    predicted pᵢ    right nᵢᵢ    IU
#     0        6          6               5            5 / (6 + 6 − 5) = 5/7
#     1        3          4               3            3 / (3 + 4 − 3) = 3/4
#     2        5          4               4            4 / (5 + 4 − 4) = 4/5

# %%
found = metrics.scores(hist)
for name, value in found.items():
    print(f'{name:10}', np.round(value, 4))

assert np.allclose(found['iu'], [5/7, 3/4, 4/5])
assert np.isclose(found['pixel_acc'], 12/14)
assert np.isclose(found['mean_acc'], (5/6 + 3/3 + 4/5) / 3)
assert np.isclose(found['mean_iu'], (5/7 + 3/4 + 4/5) / 3)
assert np.isclose(found['fw_iu'], (6 * 5/7 + 3 * 3/4 + 5 * 4/5) / 14)

# %% [markdown]
# ### Your turn
#
# From a confusion matrix to mean IU. One thing to think of: a class that is nowhere true *and*
# nowhere predicted has IU 0/0. It tells us nothing, so leave it out of the mean.

# %%
def mean_iu_mine(hist):
    """The mean of IU over the classes that are true or predicted somewhere. -> float"""
    raise NotImplementedError


check('mean_iu', mean_iu_mine)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def mean_iu_mine(hist):
#     right, true, predicted = hist.diagonal(), hist.sum(1), hist.sum(0)
#     union = true + predicted - right
#     there = union > 0
#     return float((right[there] / union[there]).mean())
# ```
#
# </details>

# %%
viz.show_source(metrics.scores)

# %% [markdown]
# ## The all-background trap
#
# Now the reason for all this. Here are pictures as full as those of PASCAL VOC, the set that the
# paper is judged on: 20 kinds of things before a background. And here is a net that has learned
# nothing at all. It says *background*, always.

# %%
many = tinyfcn.data.load_dataset('shapes', split='val', size=(96, 128), n_class=21, difficulty=.8)
labels = [many[i][1] for i in range(40)]

lazy = sum(metrics.confusion(label, np.zeros_like(label), 21) for label in labels)
trap = metrics.scores(lazy)

for name in ('pixel_acc', 'mean_acc', 'mean_iu', 'fw_iu'):
    print(f'{name:10}{trap[name]:7.1%}')
viz.side_by_side({f'label {i}': viz.colours(labels[i]) for i in range(5)}, width=1.6)

# %% [markdown]
# Nearly three pixels of four are right! Mean IU is not fooled. Background has IU = (pixels that are
# background) / (all pixels), for the net claims them all: just the pixel accuracy. The other twenty
# classes have IU 0. So mean IU is the share of background over 21, and mean accuracy is 1/21:

# %%
share = lazy[0].sum() / lazy.sum()
assert (lazy.sum(1) > 0).all()                          # each class is there
assert np.isclose(trap['pixel_acc'], share)
assert np.isclose(trap['mean_iu'], share / 21)
assert np.isclose(trap['mean_acc'], 1 / 21)
assert np.isclose(trap['fw_iu'], share ** 2)            # its own share of its own IU

# %% [markdown]
# On VOC itself background is about 73 % of the pixels, and 0.73 / 21 = 3.5 %. Remember that number.
# "My net reaches 73 % and then stands still" and "my mean IU is 3.5 %" are the same sentence: the
# net has found the laziest answer and stays there. It is among the commonest troubles that people
# report with these nets. FCN-8s, by the way, has 90.3 % of the pixels right in the paper, and a
# mean IU of 62.7 %.
#
# ## Void: 255
#
# On an edge, a pixel is partly this and partly that. So VOC draws a void line around each thing,
# and our shapes have one too. A void pixel counts nowhere, *whatever* is predicted there:

# %%
label = labels[1]
edge = label == 255
guess = np.where(edge, 7, label)                        # claims class 7 on every edge
print(f'void: {edge.mean():.1%} of the pixels')
print('ignored:       ', metrics.scores(metrics.confusion(label, guess, 21))['mean_iu'])

taken = np.where(edge, 0, label)                        # a mistake: void read as background
print('as background: ', round(metrics.scores(metrics.confusion(taken, guess, 21))['mean_iu'], 3))

assert metrics.scores(metrics.confusion(label, guess, 21))['mean_iu'] == 1
assert metrics.scores(metrics.confusion(taken, guess, 21))['mean_iu'] < .85
viz.side_by_side({'label': viz.colours(label), 'guess': viz.colours(guess)}, width=2)

# %% [markdown]
# Void belongs to labels alone: a prediction has to name a class, and one that does not is refused.

# %%
try:
    metrics.confusion(np.array([[0, 1]]), np.array([[0, 255]]), 2)
except ValueError as error:
    print(error)

# %% [markdown]
# ## One table for the whole set
#
# Two pictures with one kind of thing. In the first it is large and found, in the second it is four
# pixels, and missed. What is the IU of that class?

# %%
large, small = np.zeros((2, 20, 20), int)
large[:10, :10] = 1
small[:2, :2] = 1
tables = [metrics.confusion(large, large, 2), metrics.confusion(small, 0 * small, 2)]

each = [metrics.scores(table)['iu'][1].item() for table in tables]
whole = metrics.scores(sum(tables))['iu'][1]
print(f'of each picture {each}, their mean {np.mean(each):.3f}; of the set {whole:.3f}')

assert np.mean(each) == .5 and np.isclose(whole, 100 / 104)

# %% [markdown]
# 0.5 or 0.96? The paper, VOC and this library add up the tables of **all** pictures first and read
# the scores off once. The mean over pictures is another number; whoever reports it cannot be
# compared with the paper. Keep the sum:
#
#     hist = sum(confusion(label, pred, n_class) for label, pred in pictures)
#
# ## Classes that are not there
#
# A class that is neither true nor predicted has IU 0/0: `nan`, and no mean counts it. But one
# single wrong pixel is enough to bring it in, with IU 0:

# %%
perfect = np.diag([90, 10, 0])                          # class 2 is nowhere
stray = np.array([[89, 0, 1], [0, 10, 0], [0, 0, 0]])   # one background pixel said to be 2
for table in perfect, stray:
    found = metrics.scores(table)
    print(f'IU {np.round(found["iu"], 3)}   mean IU {found["mean_iu"]:.3f}   '
          f'mean acc {found["mean_acc"]:.3f}')

assert metrics.scores(perfect)['mean_iu'] == 1
assert np.isclose(metrics.scores(stray)['mean_iu'], (89/90 + 1 + 0) / 3)

# %% [markdown]
# One pixel of a hundred, and mean IU fell by a third. So judge on many pictures, among which all
# classes occur. (Mean accuracy hardly moved: it looks only at classes that are true somewhere. The
# two means are over different classes!)
#
# ## Change this and run again
#
# How exact must a mask be? We shift a perfect mask to the right by a few pixels and look at IU.
# Guess first: what is left after 4 pixels? Then change `side`, and see whom a shift hurts most.

# %%
side = 24
thing = np.zeros((64, 64), int)
thing[20:20 + side, 20:20 + side] = 1
for shift in (0, 1, 2, 4, 8):
    table = metrics.confusion(thing, np.roll(thing, shift, axis=1), 2)
    print(f'shifted by {shift}:   pixel acc {metrics.scores(table)["pixel_acc"]:.3f}   '
          f'IU of the thing {metrics.scores(table)["iu"][1]:.3f}')
    assert np.isclose(metrics.scores(table)['iu'][1], (side - shift) / (side + shift))

# %% [markdown]
# The two squares have (side − shift) columns in common and cover (side + shift): that is the IU.
# With `side = 6`, four pixels leave 2/10. A net whose answers lie 32 pixels apart cannot do well on
# small things, however clever it is.
#
# ## What PyTorch calls this
#
# | here | elsewhere |
# | --- | --- |
# | `confusion(label, pred, n)` | `sklearn.metrics.confusion_matrix` |
# | IU | IoU, or Jaccard index: `torchmetrics.JaccardIndex`; mean IU is mIoU |
# | 255 is void | `ignore_index=255`; beware, the default of `nn.CrossEntropyLoss` is −100 |
# | not here | Dice, or F1: 2·IU / (1 + IU), the same order of masks, kinder numbers |
#
# Look whether a metric takes the mean over pictures or over the whole set before you compare.
#
# ## Three questions
#
# 1. A net says *class 1* for every pixel of a set where class 1 has 10 % of them. What is the
#    accuracy of class 1, what its IU?
#
# <details><summary>Answer</summary>
#
# Accuracy 1, for all of its pixels were found; IU 0.1, for it claimed the other 90 % too. That is
# why IU and not accuracy.
#
# </details>
#
# 2. Which of the four metrics can be high although one of the classes is never found?
#
# <details><summary>Answer</summary>
#
# Pixel accuracy and frequency weighted IU, if that class is rare. In the two means each class has
# the same vote.
#
# </details>
#
# 3. Can a net reach a mean IU of 1 on a set with void edges and yet get the edges wrong?
#
# <details><summary>Answer</summary>
#
# Yes, wherever they are void: nobody looks there. What it says right beside the void line counts.
#
# </details>
#
# **Next, 02:** what happens inside `conv`, one number at a time.
