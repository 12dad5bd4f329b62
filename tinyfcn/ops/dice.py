"""The Dice loss, which compares the area of each class and not its pixels one by one."""
from typing import Any

from ..dispatch import accelerated, backward_of
from ..geometry import integer
from ..runtime.backend import array_module
from .arguments import Array, floats
from .loss import check_labels, class_weights, softmax_cross_entropy


@accelerated
def dice_loss(score: Array, label: Array, ignore: int = 255,
              class_weight: Array | None = None) -> tuple[Any, Array]:
    """loss = 1 − mean over classes of 2 Σ p·t / (Σ p + Σ t)  (Drozdzal et al. 2016).

    p = softmax(score), t is 1 where the label is the class and 0 elsewhere. The sums are over all
    pixels of the batch whose label is not `ignore`, the mean over the classes that these pixels
    have, so that a class counts as much as any other, however small it is.

    score (N, C, H, W), label (N, H, W), class_weight (C,) of the mean
    -> a float64 number in 0 … 1, and its gradient dscore, which is also the whole cache
    If all pixels are ignored, loss and gradient are 0.

    >>> import numpy as np
    >>> loss, dscore = dice_loss(np.zeros((1, 2, 1, 2)), np.array([[[0, 1]]]))
    >>> float(loss), dscore[0, :, 0].tolist()
    (0.5, [[-0.125, 0.125], [0.125, -0.125]])
    """
    xp = floats(4, score=score)
    ignore = integer(ignore, 'ignore')
    check_labels(label, score.shape, ignore)
    valid = (label != ignore)[:, None]                              # (N, 1, H, W)
    truth = (xp.arange(score.shape[1])[:, None, None] == label[:, None]) & valid
    # an ignored pixel may hold anything; 0 times infinity would not be 0
    p = _softmax(xp.where(valid, score, 0)) * valid

    pixels = truth.sum((0, 2, 3))
    both = (p * truth).sum((0, 2, 3), dtype='float64')              # (C,): Σ p·t
    either = p.sum((0, 2, 3), dtype='float64') + pixels             # Σ p + Σ t
    share = _shares(class_weights(score, class_weight), pixels > 0)
    loss = (share * (1 - 2 * both / xp.maximum(either, 1))).sum()

    # a class that is there has Σ p + Σ t ≥ 1, and the share of any other is 0
    of_true = (-2 * share / xp.maximum(either, 1)).astype(score.dtype)[:, None, None]
    of_any = (2 * share * both / xp.maximum(either, 1) ** 2).astype(score.dtype)[:, None, None]
    dp = truth * of_true + of_any
    dscore = p * (dp - (p * dp).sum(1, keepdims=True))              # through the softmax
    return loss, dscore


@backward_of(dice_loss)
def dice_loss_backward(dy: Any, cache: Array) -> tuple[Array, None]:
    """As of softmax_cross_entropy: the cache is already the gradient."""
    dscore, _ = softmax_cross_entropy.backward(dy, cache)
    return dscore, None


def _softmax(score: Array) -> Array:
    xp = array_module(score)
    power = xp.exp(score - score.max(1, keepdims=True))             # so that exp cannot overflow
    p: Array = power / power.sum(1, keepdims=True)
    return p


def _shares(weight: Array, found: Array) -> Array:
    """(C,): how much each class counts in the mean, together 1; all 0 where no class is found."""
    xp = array_module(weight)
    weight = xp.where(found, weight, 0)
    total = weight.sum()
    shares: Array = weight / xp.where(total > 0, total, 1)
    return shares
