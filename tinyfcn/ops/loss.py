"""The pixelwise loss of the paper."""
from typing import Literal

import numpy as np

from ..dispatch import accelerated, backward_of
from ..runtime.backend import on_host
from .arguments import Array, check_shape, floats, integers


@accelerated
def softmax_cross_entropy(score: Array, label: Array, ignore: int = 255,
                          reduce: Literal['sum', 'mean'] = 'sum',
                          class_weight: Array | None = None,
                          pixel_weight: Array | None = None) -> tuple[np.float64, Array]:
    """loss = −Σ log softmax(score)[label] over every pixel whose label is not `ignore`.

    score (N, C, H, W), label (N, H, W), class_weight (C,), pixel_weight (N, H, W)
    -> a float64 number, and its gradient dscore, which is also the whole cache
    reduce='mean' divides by the number of these pixels; if there are none, loss and gradient are 0

    >>> import numpy as np
    >>> loss, dscore = softmax_cross_entropy(np.zeros((1, 2, 1, 1)), np.array([[[1]]]))
    >>> round(float(loss), 4), dscore.ravel().tolist()
    (0.6931, [0.5, -0.5])
    """
    xp = floats(4, score=score)
    c = score.shape[1]
    check_labels(label, score.shape, ignore)
    if reduce not in ('sum', 'mean'):
        raise ValueError(f"reduce is {reduce!r}: 'sum' or 'mean'")
    valid = label != ignore
    at = xp.where(valid, label, 0).astype('int64')[:, None]         # (N, 1, H, W)
    weight = valid.astype(score.dtype)
    if class_weight is not None:
        floats(score=score, class_weight=class_weight)
        check_shape((c,), 'one weight for each class', class_weight=class_weight)
        weight = weight * class_weight[at[:, 0]]
    if pixel_weight is not None:
        floats(score=score, pixel_weight=pixel_weight)
        check_shape(label.shape, 'one weight for each pixel', pixel_weight=pixel_weight)
        weight = weight * pixel_weight
    if reduce == 'mean':
        weight = weight / xp.maximum(valid.sum(), 1).astype(score.dtype)

    shifted = score - score.max(1, keepdims=True)                   # so that exp cannot overflow
    p = xp.exp(shifted)
    total = p.sum(1, keepdims=True)
    log_p = xp.take_along_axis(shifted, at, axis=1) - xp.log(total)
    loss = (weight * -log_p[:, 0]).sum(dtype='float64')
    truth = xp.arange(c)[:, None, None] == at
    return loss, (p / total - truth) * weight[:, None]


@backward_of(softmax_cross_entropy)
def softmax_cross_entropy_backward(dy: float, cache: Array) -> tuple[Array, None]:
    """The cache is already the gradient; dy is a number, 1 for the loss itself."""
    return cache * float(dy), None


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
