"""The focal loss: a pixelwise loss in which pixels that are easy count for little."""
from typing import Any, Literal

from ..dispatch import accelerated, backward_of
from ..geometry import integer
from .arguments import Array, choice, floats, number
from .loss import check_labels, class_weights, log_softmax, pixel_weights, softmax_cross_entropy


@accelerated
def focal_loss(score: Array, label: Array, ignore: int = 255, gamma: float = 2.,
               reduce: Literal['sum', 'mean', 'none'] = 'sum',
               class_weight: Array | None = None,
               pixel_weight: Array | None = None) -> tuple[Any, Array]:
    """loss = −Σ (1 − p)^gamma · log p,  p = softmax(score)[label] (Lin et al. 2017).

    A pixel whose class is already known with p = 0.9 weighs a hundredth of what it weighs in
    `softmax_cross_entropy`, which is the case gamma=0. All other arguments, and what is returned,
    are as there.

    >>> import numpy as np
    >>> loss, dscore = focal_loss(np.zeros((1, 2, 1, 1)), np.array([[[1]]]))
    >>> round(float(loss), 4), dscore.round(4).ravel().tolist()
    (0.1733, [0.2983, -0.2983])
    """
    xp = floats(4, score=score)
    ignore = integer(ignore, 'ignore')
    gamma = _exponent(gamma)
    check_labels(label, score.shape, ignore)
    choice(reduce, 'reduce', 'sum', 'mean', 'none')
    valid = label != ignore
    at = xp.where(valid, label, 0).astype('int64')[:, None]         # (N, 1, H, W)
    of_class = class_weights(score, class_weight)
    weight = pixel_weights(score, valid, pixel_weight) * xp.where(valid, of_class[at[:, 0]], 0)
    if reduce == 'mean':
        weight = weight / xp.maximum(valid.sum(), 1).astype(score.dtype)

    # an ignored pixel may hold anything; 0 times infinity would not be 0
    every_log_p = log_softmax(xp.where(valid[:, None], score, 0))
    log_p = xp.take_along_axis(every_log_p, at, axis=1)
    p = xp.exp(log_p)
    missing = -xp.expm1(log_p)                  # 1 − p, with all its digits where p is nearly 1
    focus = missing ** gamma
    loss = weight * (focus * -log_p)[:, 0]
    # the slope of −(1 − p)^gamma · log p over −log p; log p / (1 − p) is −1 where p is 1
    ratio = xp.where(missing > 0, log_p / xp.where(missing > 0, missing, 1), -1)
    slope = focus * (1 - gamma * p * ratio)
    truth = xp.arange(score.shape[1])[:, None, None] == at
    dscore = (xp.exp(every_log_p) - truth) * slope * weight[:, None]
    return loss if reduce == 'none' else loss.sum(dtype='float64'), dscore


@backward_of(focal_loss)
def focal_loss_backward(dy: Any, cache: Array) -> tuple[Array, None]:
    """As of softmax_cross_entropy: the cache is already the gradient."""
    dscore, _ = softmax_cross_entropy.backward(dy, cache)
    return dscore, None


def _exponent(gamma: float) -> float:
    gamma = number(gamma, 'gamma')
    if not 0 <= gamma < float('inf'):
        raise ValueError(f'gamma is {gamma!r}: a number of at least 0 is needed')
    return gamma
