# %% [markdown]
# # 01. Pixels to metrics
#
# **How good is a mask, in one number that does not mislead you?**
#
# *About 60 minutes, with its exercises.*

# %% tags=["hide-input"]
# imports
import numpy as np

import tinyfcn
from tinyfcn import metrics, viz
from tinyfcn.course import tracing
from tinyfcn.course.exercises import check

# %% [markdown]
# ## Sixteen pixels
#
# An image of 4×4 pixels has three classes: 0, which is the background, 1 and 2. On the left is the
# ground truth (the *label*), on the right a prediction. 255 is *void*, pale here: the true class is
# unknown, so these pixels are not evaluated.

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
# ## The confusion matrix
#
# Draw a table with a row for each true class and a column for each predicted one. Each pixel adds 1
# to the cell *(true class, predicted class)*. Void pixels are not counted. The table is called the
# **confusion matrix**; here it is, pixel by pixel. Press play, or use the arrow keys.

# %%
tracing.confusion(label, pred, 3)

# %%
hist = metrics.confusion(label, pred, n_class=3)
print(hist)

# %% tags=["hide-input"]
# check the table: 16 pixels, two of them void
assert hist.tolist() == [[5, 1, 0], [0, 3, 0], [1, 0, 4]]
assert hist.sum() == 14

# %% [markdown]
# Read it row by row. Row 0: of six background pixels, five were predicted correctly and one was
# mistaken for class 1. Row 2: of five pixels of class 2, one was mistaken for background. Correct
# predictions are on the diagonal. All metrics in this course are computed from this table.
#
# ### Your turn
#
# Write it. A loop over pixels will do; a trick without a loop is in the solution.

# %%
def confusion_mine(label, pred, n_class):
    """hist[i, j] = how many pixels of class i are predicted as class j; 255 is not counted."""
    raise NotImplementedError


check('confusion', confusion_mine)

# %% [markdown]
# <details><summary>Solution</summary>
#
# Give each pair (i, j) the number n_class·i + j, its position when the cells of the table are
# counted row by row. Then one `bincount` counts all pairs at once.
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
# The library's function does just this, in its last three lines; those before them reject what is
# no class:

# %%
viz.show_source(metrics.confusion)

# %% [markdown]
# ## The paper's four metrics
#
# Write nᵢⱼ for the cell in row i, column j; tᵢ = Σⱼ nᵢⱼ for the pixels whose *true* class is i, a
# sum along a row; pᵢ = Σⱼ nⱼᵢ for those *predicted* as i, a sum down a column. C is the number of
# classes.
#
# | metric | formula | in words |
# | --- | --- | --- |
# | pixel accuracy | Σᵢ nᵢᵢ / Σᵢ tᵢ | the share of all pixels that are right |
# | mean accuracy | (1/C) Σᵢ nᵢᵢ / tᵢ | the same share within each class, then the mean |
# | mean IU | (1/C) Σᵢ nᵢᵢ / (tᵢ + pᵢ − nᵢᵢ) | intersection over union, the mean over classes |
# | frequency weighted IU | Σᵢ (tᵢ / Σₖ tₖ) · IUᵢ | large classes count for more |
#
# The third is the one that papers compare. **IU** is short for **intersection over union** (also
# written IoU, or the Jaccard index). Lay the true pixels of a class over the predicted ones: their
# intersection is the set of pixels that are in both, their union the set of pixels that are in at
# least one. IU is the size of the first divided by the size of the second. It is 1 when the two
# sets are equal and 0 when they do not overlap, and it counts both kinds of mistakes: pixels that
# were missed (false negatives) and pixels that were wrongly claimed (false positives).

# %%
true_2 = label == 2
predicted_2 = (pred == 2) & (label != 255)                      # void is in neither set
intersection = true_2 & predicted_2
union = true_2 | predicted_2
print(f'intersection {intersection.sum()}, union {union.sum()}')

# %% tags=["hide-input"]
# draw the four sets
assert intersection.sum() == 4 and union.sum() == 5
viz.side_by_side({'true 2': viz.colours(2 * true_2),
                  'predicted 2': viz.colours(2 * predicted_2),
                  'intersection: 4': viz.colours(2 * intersection),
                  'union: 5': viz.colours(2 * union)}, width=1.4)

# %% [markdown]
# By hand, from the table `[[5, 1, 0], [0, 3, 0], [1, 0, 4]]`:
#
#     class    true tᵢ    predicted pᵢ    right nᵢᵢ    IU
#     0        6          6               5            5 / (6 + 6 − 5) = 5/7
#     1        3          4               3            3 / (3 + 4 − 3) = 3/4
#     2        5          4               4            4 / (5 + 4 − 4) = 4/5

# %%
scores = metrics.scores(hist)
for name, value in scores.items():
    print(f'{name:10}', np.round(value, 4))

# %% tags=["hide-input"]
# check: the metrics by hand
assert np.allclose(scores['iu'], [5/7, 3/4, 4/5])
assert np.isclose(scores['pixel_acc'], 12/14)
assert np.isclose(scores['mean_acc'], (5/6 + 3/3 + 4/5) / 3)
assert np.isclose(scores['mean_iu'], (5/7 + 3/4 + 4/5) / 3)
assert np.isclose(scores['fw_iu'], (6 * 5/7 + 3 * 3/4 + 5 * 4/5) / 14)

# %% [markdown]
# ### Your turn
#
# Compute mean IU from a confusion matrix. There is one special case: a class that occurs neither in
# the labels *nor* in the predictions has IU 0/0. It tells us nothing, so leave it out of the mean.

# %%
def mean_iu_mine(hist):
    """The mean IU over the classes that occur in the labels or in the predictions. -> float"""
    raise NotImplementedError


check('mean_iu', mean_iu_mine)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def mean_iu_mine(hist):
#     intersection = hist.diagonal()
#     union = hist.sum(1) + hist.sum(0) - intersection            # true + predicted - both
#     occurs = union > 0
#     return float((intersection[occurs] / union[occurs]).mean())
# ```
#
# </details>

# %% [markdown]
# The library computes all four metrics from the same three sums. Before that it rejects whatever is
# not a table of counts; `ratio` and `mean` leave out classes without pixels.

# %%
viz.show_source(metrics.scores)

# %% [markdown]
# ## The all-background trap
#
# Why is pixel accuracy not enough? Here are images with as many classes as those of PASCAL VOC, the
# data set on which the paper is evaluated: 20 kinds of objects and the background. And here is a
# net that has learned nothing at all. It always predicts *background*.

# %%
dataset = tinyfcn.data.load_dataset('shapes', split='val', size=(96, 128), n_class=21,
                                    difficulty=.8)
labels = [dataset[i][1] for i in range(40)]

hist = sum(metrics.confusion(label, np.zeros_like(label), 21) for label in labels)
trap = metrics.scores(hist)

for name in ('pixel_acc', 'mean_acc', 'mean_iu', 'fw_iu'):
    print(f'{name:10}{trap[name]:7.1%}')
viz.side_by_side({f'label {i}': viz.colours(labels[i]) for i in range(5)}, width=1.6)

# %% [markdown]
# Nearly three pixels out of four are right! Mean IU is not misled. Background has IU = (pixels that
# are background) / (all pixels), because the net claims them all: this is just the pixel accuracy.
# The other twenty classes have IU 0. So mean IU is the share of background divided by 21, and mean
# accuracy is 1/21. The folded cell checks this.

# %% tags=["hide-input"]
# check: mean IU is the share of background / 21
share = hist[0].sum() / hist.sum()
assert (hist.sum(1) > 0).all()                          # each class occurs
assert np.isclose(trap['pixel_acc'], share)
assert np.isclose(trap['mean_iu'], share / 21)
assert np.isclose(trap['mean_acc'], 1 / 21)
assert np.isclose(trap['fw_iu'], share ** 2)            # its own share of its own IU

# %% [markdown]
# On VOC itself background is about 73 % of the pixels, and 0.73 / 21 = 3.5 %. Remember that number.
# "My net reaches 73 % and then stops improving" and "my mean IU is 3.5 %" describe the same
# failure: the net predicts background everywhere and does not get beyond it. This is one of the
# most common problems that people report with these nets. FCN-8s, by the way, has 90.3 % of the
# pixels right in the paper, and a mean IU of 62.7 %.
#
# ## Void: 255
#
# A pixel on an edge belongs partly to one object and partly to another. So VOC has a void border
# around each object, and our shapes have one too. A void pixel is not counted, *whatever* is
# predicted there:

# %%
label = labels[1]
void = label == 255
guess = np.where(void, 7, label)                        # predicts class 7 on every edge


def mean_iu_of(label, pred):
    return metrics.scores(metrics.confusion(label, pred, 21))['mean_iu']


print(f'void: {void.mean():.1%} of the pixels')
print('ignored:       ', mean_iu_of(label, guess))

as_background = np.where(void, 0, label)                        # a mistake: void read as background
print('as background: ', round(mean_iu_of(as_background, guess), 3))

# %% tags=["hide-input"]
# draw the label and the guess
assert mean_iu_of(label, guess) == 1
assert mean_iu_of(as_background, guess) < .85
viz.side_by_side({'label': viz.colours(label), 'guess': viz.colours(guess)}, width=2)

# %% [markdown]
# Void is allowed in labels only. A prediction must be a class; any other value is rejected.

# %%
try:
    metrics.confusion(np.array([[0, 1]]), np.array([[0, 255]]), 2)
except ValueError as error:
    print(error)

# %% [markdown]
# ## One confusion matrix for the whole data set
#
# Two images contain objects of one class. In the first the object is large, and the prediction is
# right; in the second it has four pixels, and the prediction misses it. What is the IU of that
# class?

# %%
large, small = np.zeros((2, 20, 20), int)
large[:10, :10] = 1
small[:2, :2] = 1
tables = [metrics.confusion(large, large, 2), metrics.confusion(small, 0 * small, 2)]

each = [metrics.scores(table)['iu'][1].item() for table in tables]
whole = metrics.scores(sum(tables))['iu'][1]
print(f'each image {each}, their mean {np.mean(each):.3f}; the whole set {whole:.3f}')

# %% tags=["hide-input"]
# check: 1/2, and 100/104
assert np.mean(each) == .5 and np.isclose(whole, 100 / 104)

# %% [markdown]
# 0.5 or 0.96? The paper, VOC and this library add up the confusion matrices of **all** images first
# and compute the metrics once. The mean over images is a different number, which cannot be compared
# with the paper. Keep the sum:
#
#     hist = sum(confusion(label, pred, n_class) for label, pred in batches)
#
# ## Classes that do not occur
#
# A class that occurs neither in the labels nor in the predictions has IU 0/0, which is `nan`, and
# is left out of the means. But a single wrong pixel is enough to bring it in, with IU 0:

# %%
perfect = np.diag([90, 10, 0])                          # class 2 does not occur
stray = np.array([[89, 0, 1], [0, 10, 0], [0, 0, 0]])   # a background pixel predicted as 2
for table in perfect, stray:
    scores = metrics.scores(table)
    print(f'IU {np.round(scores["iu"], 3)}   mean IU {scores["mean_iu"]:.3f}   '
          f'mean acc {scores["mean_acc"]:.3f}')

# %% tags=["hide-input"]
# check: 1, and (89/90 + 1 + 0) / 3
assert metrics.scores(perfect)['mean_iu'] == 1
assert np.isclose(metrics.scores(stray)['mean_iu'], (89/90 + 1 + 0) / 3)

# %% [markdown]
# One pixel out of a hundred, and mean IU fell by a third. So evaluate on many images, in which all
# classes occur. (Mean accuracy hardly changed: it is a mean over the classes that occur in the
# labels only. The two means are over different classes!)
#
# ## Change this and run again
#
# How accurate must a mask be? We shift a perfect mask to the right by a few pixels and compute IU.
# Guess first: what is left after 4 pixels? Then change `side`, and see which size suffers most from
# a shift.

# %%
side = 24                                               # try: 6, 40, 1
target = np.zeros((64, 64), int)
target[20:20 + side, 20:20 + side] = 1
for shift in (0, 1, 2, 4, 8):
    table = metrics.confusion(target, np.roll(target, shift, axis=1), 2)
    print(f'shifted by {shift}:   pixel acc {metrics.scores(table)["pixel_acc"]:.3f}   '
          f'IU of class 1 {metrics.scores(table)["iu"][1]:.3f}')

# %% [markdown]
# The two squares have (side − shift) columns in common and cover (side + shift): the IU is the
# quotient of the two. With `side = 6`, a shift of four pixels leaves 2/10.

# %% tags=["hide-input"]
# check: 6 − 4 columns of 6 + 4
small_target = np.zeros((64, 64), int)
small_target[20:26, 20:26] = 1
table = metrics.confusion(small_target, np.roll(small_target, 4, axis=1), 2)
assert np.isclose(metrics.scores(table)['iu'][1], 2 / 10)

# %% [markdown]
# So a net with only one score for every 32×32 pixels, the simplest one of the paper, cannot do well
# on small objects, however well it is trained.
#
# ## What PyTorch calls this
#
# | here | elsewhere |
# | --- | --- |
# | `confusion(label, pred, n)` | `sklearn.metrics.confusion_matrix` |
# | IU | IoU, or Jaccard index: `torchmetrics.JaccardIndex`; mean IU is mIoU |
# | 255 is void | `ignore_index=255`; beware, the default of `nn.CrossEntropyLoss` is −100 |
# | not here | Dice, or F1: 2·IU / (1 + IU), which ranks masks in the same order |
#
# Before you compare two numbers, check whether each is a mean over images or is computed once for
# the whole data set.
#
# ## Three questions
#
# 1. A net predicts *class 1* for every pixel of a data set in which 10 % of the pixels are of
#    class 1. What is the accuracy of class 1, and what is its IU?
#
# <details><summary>Answer</summary>
#
# Accuracy 1, because all of its pixels were found; IU 0.1, because the net claimed the other 90 %
# too. That is why papers report IU and not accuracy.
#
# </details>
#
# 2. Which of the four metrics can be high although one of the classes is never found?
#
# <details><summary>Answer</summary>
#
# Pixel accuracy and frequency weighted IU, if that class is rare. In the two means each class has
# the same weight.
#
# </details>
#
# 3. Can a net reach a mean IU of 1 on a data set with void borders and still get the edges wrong?
#
# <details><summary>Answer</summary>
#
# Yes, wherever they are void, because those pixels are not evaluated. The pixels right beside the
# void border are.
#
# </details>
#
# **Next, 02:** what happens inside `conv`, one number at a time.
