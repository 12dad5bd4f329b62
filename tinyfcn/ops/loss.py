"""The pixelwise loss of the paper."""
from typing import Any, Literal

from ..dispatch import accelerated, backward_of
from ..geometry import integer
from ..runtime.backend import array_module, on_host
from .arguments import Array, check_gradient, check_shape, choice, floats, integers, number, share


@accelerated
def softmax_cross_entropy(score: Array, label: Array, ignore: int = 255,
                          reduce: Literal['sum', 'mean', 'none'] = 'sum',
                          class_weight: Array | None = None,
                          pixel_weight: Array | None = None,
                          label_smoothing: float = 0.) -> tuple[Any, Array]:
    """loss = −Σ log softmax(score)[label] over every pixel whose label is not `ignore`.

    score (N, C, H, W), label (N, H, W), class_weight (C,), pixel_weight (N, H, W)
    -> a float64 number, and its gradient dscore, which is also the whole cache
    reduce='mean' divides by the number of these pixels; if there are none, loss and gradient are 0.
    reduce='none' gives the loss of each pixel, (N, H, W), which is 0 where it is ignored.
    label_smoothing=ε gives the share ε of every label to all C classes alike.

    >>> import numpy as np
    >>> loss, dscore = softmax_cross_entropy(np.zeros((1, 2, 1, 1)), np.array([[[1]]]))
    >>> round(float(loss), 4), dscore.ravel().tolist()
    (0.6931, [0.5, -0.5])
    """
    xp = floats(4, score=score)
    c = score.shape[1]
    ignore = integer(ignore, 'ignore')
    smoothing = share(label_smoothing, 'label_smoothing')
    check_labels(label, score.shape, ignore)
    choice(reduce, 'reduce', 'sum', 'mean', 'none')
    valid = label != ignore
    at = xp.where(valid, label, 0).astype('int64')[:, None]         # (N, 1, H, W)
    of_pixel = pixel_weights(score, valid, pixel_weight)
    of_class = class_weights(score, class_weight)
    weight = of_pixel * xp.where(valid, of_class[at[:, 0]], 0)
    if reduce == 'mean':
        count = xp.maximum(valid.sum(), 1).astype(score.dtype)
        weight = weight / count
        of_pixel = of_pixel / count

    # an ignored pixel may hold anything; 0 times infinity would not be 0
    score = xp.where(valid[:, None], score, 0)
    shifted = score - score.max(1, keepdims=True)                   # so that exp cannot overflow
    p = xp.exp(shifted)
    total = p.sum(1, keepdims=True)
    log_p = xp.take_along_axis(shifted, at, axis=1) - xp.log(total)
    loss = weight * -log_p[:, 0]
    truth = xp.arange(c)[:, None, None] == at
    dscore = (p / total - truth) * weight[:, None]
    if smoothing:
        of_all = of_pixel[:, None] * (of_class * (smoothing / c))[:, None, None]
        loss = (1 - smoothing) * loss + (of_all * (xp.log(total) - shifted)).sum(1)
        dscore = (1 - smoothing) * dscore + p / total * of_all.sum(1, keepdims=True) - of_all
    return loss if reduce == 'none' else loss.sum(dtype='float64'), dscore


@backward_of(softmax_cross_entropy)
def softmax_cross_entropy_backward(dy: Any, cache: Array) -> tuple[Array, None]:
    """The cache is already the gradient; dy is a number, 1 for the loss itself.

    Of the losses of reduce='none' dy is an array of the same shape (N, H, W).
    """
    if getattr(dy, 'ndim', 0) == 3:
        check_gradient(dy, (len(cache), *cache.shape[2:]), score=cache)
        return cache * dy[:, None], None
    if getattr(dy, 'ndim', None) == 0:
        dy = dy.item()
    return cache * number(dy, 'dy'), None


def pixel_weights(score: Array, valid: Array, pixel_weight: Array | None) -> Array:
    """(N, H, W): 0 where a pixel is ignored."""
    if pixel_weight is None:
        return valid.astype(score.dtype)
    floats(score=score, pixel_weight=pixel_weight)
    check_shape(valid.shape, 'one weight for each pixel', pixel_weight=pixel_weight)
    weight: Array = array_module(score).where(valid, pixel_weight, 0)
    return weight


def class_weights(score: Array, class_weight: Array | None) -> Array:
    """(C,): 1 by default."""
    c = score.shape[1]
    if class_weight is None:
        ones: Array = array_module(score).ones(c, score.dtype)
        return ones
    floats(score=score, class_weight=class_weight)
    check_shape((c,), 'one weight for each class', class_weight=class_weight)
    return class_weight


def check_labels(label: Array, shape: tuple[int, ...], ignore: int = 255) -> None:
    """Refuse a label that is not a class, and say where the first one is."""
    n, c, h, w = shape
    xp = integers(3, label=label)
    check_shape((n, h, w), 'one label for each pixel of score', label=label)
    if not on_host(label):
        return
    strange = (label != ignore) & ((label < 0) | (label >= c))
    if strange.any():
        i, row, column = xp.argwhere(strange)[0]
        raise ValueError(f'label {label[i, row, column]} at row {row}, column {column} of image '
                         f'{i}, and {strange.sum()} such pixels in all: score has {c} classes, '
                         f'0 … {c - 1}, and {ignore} is ignored')
