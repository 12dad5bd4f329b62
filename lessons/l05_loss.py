# %% [markdown]
# # 05. The loss
#
# **A net has given every pixel a score for each class. How wrong are they, in one number, and which
# way should they move?**
#
# *About 50 minutes, with its exercises.*
#
# So far all weights were given: we chose them, or the library did. A net *learns* its weights. For
# that it needs one number that says how wrong its scores are, the **loss**, and the direction in
# which the loss falls. This lesson is about the scores alone. Lesson 06 goes on from the scores to
# the weights.

# %% tags=["hide-input"]
# imports
import matplotlib.pyplot as plt
import numpy as np

import tinyfcn
from tinyfcn import ops, viz
from tinyfcn.course import tracing
from tinyfcn.course.exercises import check

plt.rcParams['figure.dpi'] = 100

# %% [markdown]
# ## One pixel, by hand
#
# A pixel has one score for each class, which may be any number. Two steps turn the scores into a
# loss:
#
# 1. **softmax** turns them into probabilities: p[c] = exp(s[c]) / Σ exp(s). All are positive, and
#    they sum to 1. Adding 1 to a score multiplies exp(s) by 2.7.
# 2. the **loss** is −log p[truth], called **cross-entropy**: 0 if the net is certain and right, and
#    unbounded if it is certain and wrong. (log is the natural logarithm, `np.log`.)

# %%
s = np.array([2., 1., -1.])
truth = 1
p = np.exp(s) / np.exp(s).sum()
loss = -np.log(p[truth])
print(f'p    = {p.round(3)}\nloss = {loss:.3f}')

# %% [markdown]
# The probability of the true class is 0.259, so the loss is −log 0.259 = 1.35.
#
# ## Which way should the scores move?
#
# Move one score a little, by ε, and see how much the loss changes. The change divided by ε is the
# rate at which the loss grows with that score: its **gradient**. To be exact, move the score up and
# down by ε and divide the difference by 2ε. This estimate is called a central **finite
# difference**.

# %%
def loss_of(s):
    return -np.log(np.exp(s[truth]) / np.exp(s).sum())


numerical = []
for delta in 1e-6 * np.eye(3):                  # one score after the other
    numerical.append((loss_of(s + delta) - loss_of(s - delta)) / 2e-6)
print(f'p        = {p.round(3)}\ngradient = {np.round(numerical, 3)}')

# %% tags=["hide-input"]
# check: p − 1 at the truth, p elsewhere; and draw the bars
assert np.allclose(numerical, p - [0, 1, 0], atol=1e-6)

_, axes = plt.subplots(1, 3, figsize=(8.5, 1.9), sharex=True, layout='constrained')
bars = [('score s', s), ('probability p', p),
        ('gradient: p − 1 at the truth, p elsewhere', numerical)]
for ax, (title, values) in zip(axes, bars):
    ax.bar(['0', '1 (truth)', '2'], values, color=['#9aa0aa', '#0072b2', '#9aa0aa'])
    ax.axhline(0, color='black', lw=.8)
    ax.set_title(title, fontsize=9)

# %% [markdown]
# Compare the two lines. The gradient is **p − 1 at the true class and p at every other class**.
# This is surprisingly simple, and easy to interpret: a step against the gradient raises the true
# score in proportion to 1 − p, and lowers each wrong score in proportion to its p. The gradients of
# a pixel sum to 0, and for a pixel that is right and certain they vanish.
#
# Two details that every implementation must get right.
#
# - **exp overflows.** exp(1000) is infinite. But adding one number to all scores of a pixel changes
#   no p, so the largest score is subtracted first, and then no exponent is above 0.
# - **An untrained net** gives the same score to all C classes. Then every p is 1/C and the loss is
#   log C. Remember that number: the weights of FCN's last layers start at zero, so if the loss of a
#   training run starts at another value, something is wrong.

# %%
big = np.array([1000., 999., 997.])[None, :, None, None]            # (N, C, H, W), one pixel
large_scores, _ = ops.softmax_cross_entropy(big, np.array([[[1]]]))
same_minus_1000, _ = ops.softmax_cross_entropy(big - 1000, np.array([[[1]]]))
print(f'the loss of scores around 1000: {large_scores:.4f}, and minus 1000: {same_minus_1000:.4f}')

equal_scores, _ = ops.softmax_cross_entropy(np.zeros((1, 21, 1, 1)), np.array([[[7]]]))
print(f'the loss of equal scores for 21 classes: {equal_scores:.4f} = log 21')

# %% tags=["hide-input"]
# check
assert np.isclose(large_scores, same_minus_1000) and np.isclose(equal_scores, np.log(21))

# %% [markdown]
# ## All pixels, and void pixels
#
# The loss of an image is the **sum** over its pixels, and the gradient of each pixel depends only
# on its own p. A pixel labelled 255 is void: its true class is unknown (lesson 01). It adds nothing
# to the loss, and its gradient is exactly 0 for any scores. Step through five pixels and three
# classes; every number below comes from the library's own op. **dscore** is the gradient of the
# loss with respect to the score, and has its shape.

# %%
score = np.array([[2., 0, -1, 1, 3],            # a row for each class, a column for each pixel
                  [1., 0, 2, 1, 0],
                  [-1., 0, 1, -2, 0]])
label = np.array([0, 1, 1, 255, 2])
tracing.loss(score, label)

# %% [markdown]
# Pixel 1 has equal scores and the loss log 3 = 1.1; pixel 4 has a high score for class 0, which is
# wrong, and the largest loss.
#
# `reduce='mean'` divides by the number of pixels that are not void. The direction is the same and
# only the length differs. With the sum an image of twice as many pixels has about twice the
# gradient; with the mean every image has the same weight. Lesson 15 uses this.

# %%
by_sum = ops.softmax_cross_entropy(score[None, :, None], label[None, None])
by_mean = ops.softmax_cross_entropy(score[None, :, None], label[None, None], reduce='mean')
print(f'sum {by_sum[0]:.3f}, mean {by_mean[0]:.3f} over 4 pixels; pixel 3 is void')

# %% tags=["hide-input"]
# check: the sum is 4 times the mean; no gradient at the void pixel
assert np.allclose(by_sum[1], 4 * by_mean[1]) and not by_sum[1][..., 3].any()

# %% [markdown]
# ### Exercise: the loss and its gradient
#
# The inputs are score (N, C, H, W) and label (N, H, W), integers. Return the sum of the loss over
# all pixels whose label is not 255, and dscore, with the shape of score. A boolean array (N, C, H,
# W), True at the true class of each pixel, is `np.arange(C)[:, None, None] == label[:, None]`.

# %%
def softmax_cross_entropy_mine(score, label):
    """score (N, C, H, W), label (N, H, W) -> loss, a number; dscore (N, C, H, W)"""
    raise NotImplementedError


check('softmax_cross_entropy', softmax_cross_entropy_mine)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def softmax_cross_entropy_mine(score, label):
#     valid = (label != 255)[:, None]
#     truth = np.arange(score.shape[1])[:, None, None] == label[:, None]
#     shifted = score - score.max(1, keepdims=True)
#     log_p = shifted - np.log(np.exp(shifted).sum(1, keepdims=True))
#     loss = -log_p[truth].sum()                  # no class is 255, so truth excludes void
#     return loss, (np.exp(log_p) - truth) * valid
# ```
#
# </details>

# %% [markdown]
# This is the library's op, forward and backward. The gradient is so cheap that the forward computes
# it as well, and the backward only returns it. The lines from `shifted` to `dscore` are what you
# have just written. The others check the arguments, or are for three options that this course does
# not use: weights of classes, weights of pixels, and label smoothing. (`floats` checks the array
# and returns its library, here NumPy.)

# %%
viz.show_source(ops.softmax_cross_entropy, backward=True)

# %% [markdown]
# ## Downhill, step by step
#
# Suppose that we know the gradient g of the loss not only for the scores but for every weight w of
# the net; the next lesson computes it. Then training is simple: move each weight a little against
# its gradient, compute the gradients again, and repeat. This is **gradient descent**,
#
#     w ← w − lr·g
#
# where lr is the **learning rate**. It has a weakness: where the loss is a narrow valley, g points
# across it, not along it. **Momentum** helps. A velocity v accumulates the gradients, and each step
# keeps only the share μ of it:
#
#     v ← μ·v + lr·g
#     w ← w − v
#
# Components that alternate in sign cancel in v; components of constant sign add up. If g stays
# constant, v grows to lr·g·(1 + μ + μ² + …) = **lr·g / (1 − μ)**: ten times as far at μ = 0.9, a
# hundred times at 0.99. With g = 1 and lr = 1, by the library's SGD (stochastic gradient descent;
# *stochastic*, because in training the images of each step are drawn at random):

# %%
params = {'w': np.zeros(1)}
sgd = tinyfcn.optim.SGD(lr=1, momentum=.9)
v = 0.
for i in range(1, 31):
    sgd.step(params, {'w': np.ones(1)})
    before = v
    v = float(sgd.velocity['w'][0])
    if i <= 4 or i == 30:
        print(f'step {i:2}   v = 0.9·{before:.3f} + 1 = {v:.3f}   w = {params["w"][0]:.3f}')

# %% tags=["hide-input"]
# check: (1 − 0.9³⁰) / (1 − 0.9)
assert np.isclose(v, (1 - .9 ** 30) / (1 - .9)) and v < 10

# %% [markdown]
# Now a valley with two weights, thirty times as steep along one axis as along the other, without
# momentum. Step through it: each step goes back and forth across the valley, and only a little
# along it. (The lines are positions of equal loss; lr and momentum can be changed in the player,
# too.)

# %%
VALLEY = dict(curvature=(1., 30.), start=(-4., 1.))
tracing.descent(lr=.05, momentum=0., **VALLEY)

# %% [markdown]
# **Change this and run again:** with momentum 0.8 the same 40 steps end at the minimum. With 0.99
# the weights overshoot it and swing back. And with lr .07 and no momentum each step crosses the
# valley and ends higher: the training *diverges*. The steepest direction limits lr.

# %%
rate, mu = .05, .8                                      # try: (.05, .99), (.07, 0.), (.07, .99)

tracing.descent(rate, mu, **VALLEY)

# %% tags=["hide-input"]
# check: 0.8 ends lower, lr .07 ends higher than the start
ends = {(lr, momentum): tracing.descent(lr, momentum, **VALLEY).trace['frames'][-1]['loss']
        for lr, momentum in [(.05, 0.), (.05, .8), (.07, 0.)]}
assert 10 * ends[.05, .8] < ends[.05, 0.] < 23 < ends[.07, 0.]          # 23 at the start

# %% [markdown]
# Another rule that you will meet is **Adam**: it divides each weight's step by the recent magnitude
# of its own gradient, so that one learning rate suits all weights.
#
# ## What PyTorch calls this
#
# - `nn.CrossEntropyLoss(ignore_index=255, reduction='sum')`, or `'mean'`. If *every* pixel is void,
#   its mean is nan (0/0) and ours is 0.
# - `torch.optim.SGD(momentum=0.9)` computes v ← μ·v + g, w ← w − lr·v: the same, as long as lr is
#   constant. Ours has lr inside v, as in Caffe, the library of the paper's authors.
# - Scores are called *logits*.
#
# ## Three questions
#
# 1. A training run with 5 classes starts at a loss of 1.609 per pixel and stays there. What is
#    likely broken?
#
# <details><summary>Answer</summary>
#
# log 5 = 1.609: all scores are equal and stay so. The weights get no gradient (for example all are
# zero, because those of a trained net were never loaded), or lr is far too small.
#
# </details>
#
# 2. Half of the pixels of an image are void. How does that change the gradient of a pixel that is
#    not void, with the sum and with the mean?
#
# <details><summary>Answer</summary>
#
# With the sum not at all. With the mean it doubles, because the sum is divided by half as many
# pixels.
#
# </details>
#
# 3. You raise momentum from 0.9 to 0.99 and change nothing else. Why may it diverge?
#
# <details><summary>Answer</summary>
#
# A constant gradient now moves a weight by 100·lr·g per step, not 10·lr·g. Divide lr by ten.
#
# </details>
#
# **Next, 06:** from the gradient of the scores to that of every weight, starting with a single
# convolution.
