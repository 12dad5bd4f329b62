"""The focal loss: cross-entropy in which pixels whose class is already known count for little."""
from typing import Any, Literal

from ..dispatch import backward_of
from ..runtime.backend import array_module
from .arguments import Array, choice, number
from .loss import class_weights, pixel_weights, softmax_cross_entropy


def focal_loss(score: Array, label: Array, ignore: int = 255, gamma: float = 2.,
               reduce: Literal['sum', 'mean', 'none'] = 'sum',
               class_weight: Array | None = None,
               pixel_weight: Array | None = None) -> tuple[Any, Array]:
    """loss = −Σ (1 − p)^gamma · log p,  p = softmax(score)[label]  (Lin et al. 2017).

    A pixel whose class has p = 0.9 counts for a hundredth of what it does in
    `softmax_cross_entropy`, which is the case gamma=0. All other arguments, and what is returned,
    are as there.

    >>> import numpy as np
    >>> loss, dscore = focal_loss(np.zeros((1, 2, 1, 1)), np.array([[[1]]]))
    >>> round(float(loss), 4), dscore.round(4).ravel().tolist()
    (0.1733, [0.2983, -0.2983])
    """
    gamma = _exponent(gamma)
    choice(reduce, 'reduce', 'sum', 'mean', 'none')
    each, deach = softmax_cross_entropy(score, label, ignore, reduce='none')    # −log p
    xp = array_module(score)
    valid = label != ignore
    at = xp.where(valid, label, 0).astype('int64')
    of_class = class_weights(score, class_weight)
    weight = pixel_weights(score, valid, pixel_weight) * xp.where(valid, of_class[at], 0)
    if reduce == 'mean':
        weight = weight / xp.maximum(valid.sum(), 1).astype(score.dtype)

    rest = -xp.expm1(-each)                                                     # 1 − p
    focus = rest ** gamma
    loss = weight * focus * each
    # d((1 − p)^gamma · each) / d each; where p is 1, each / (1 − p) is 1
    ratio = xp.where(rest > 0, each / xp.where(rest > 0, rest, 1), 1)
    slope = focus * (1 + gamma * (1 - rest) * ratio)
    dscore = deach * (slope * weight)[:, None]
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
