"""One confusion matrix over a whole data set, and all scores of the paper computed from it.

    hist = sum(confusion(label, pred, n_class) for label, pred in data_set)
    scores(hist)['mean_iu']

The mean IU of the paper is computed from the pixels of all images at once. The mean over the images
of each image's own mean IU is a different number.
"""
from typing import Any, TypedDict

import numpy as np
from numpy.typing import NDArray

from .geometry import count, integer
from .runtime.backend import array_module

__all__ = ['Scores', 'confusion', 'scores']

LARGEST = 1 << 28       # counts of a confusion matrix: 2 GB


class Scores(TypedDict):
    """The four metrics of the paper, 0 … 1, and the IU of each class."""

    pixel_acc: float
    mean_acc: float
    mean_iu: float
    fw_iu: float
    iu: NDArray[np.float64]             # (C,)


def confusion(label: NDArray[Any], pred: NDArray[Any], n_class: int,
              ignore: int = 255) -> NDArray[np.int64]:
    """hist[i, j] = how many pixels of class i are predicted to be of class j.

    label, pred: integers, both of one shape -> (n_class, n_class) int64
    Pixels labelled `ignore` do not count, whatever is predicted there.

    >>> confusion(np.array([0, 0, 1, 255]), np.array([0, 1, 1, 1]), n_class=2)
    array([[1, 1],
           [0, 1]])
    """
    n_class = count(n_class, 'n_class')
    if n_class * n_class >= LARGEST:
        raise ValueError(f'n_class is {n_class}: {n_class}×{n_class} counts are too many')
    ignore = integer(ignore, 'ignore')
    arrays = dict(label=label, pred=pred)
    for name, array in arrays.items():
        dtype = getattr(array, 'dtype', type(array).__name__)
        if getattr(dtype, 'kind', 'none') not in ('i', 'u'):
            raise TypeError(f'{name} is {dtype}; an array of integers is needed')
    if label.shape != pred.shape:
        raise ValueError(f'label has shape {label.shape} and pred {pred.shape}; '
                         f'one prediction for each pixel is needed')
    xp = array_module(label)
    valid = label != ignore
    for name, array in arrays.items():
        # such a pixel would be counted as one of another pair of classes
        invalid = valid & ((array < 0) | (array >= n_class))
        if invalid.any():
            first = tuple(int(i) for i in xp.argwhere(invalid)[0])
            raise ValueError(f'{name} {array[first]} at {first}: there are classes '
                             f'0 … {n_class - 1}, and pixels labelled {ignore} are ignored; '
                             f'{invalid.sum()} of {invalid.size} pixels are invalid')
    # bincount takes integers of the machine's own size; in a browser they have 32 bits
    pairs = n_class * label[valid].astype('intp') + pred[valid].astype('intp')
    counts: NDArray[np.int64] = xp.bincount(pairs, minlength=n_class * n_class)
    return counts.astype('int64', copy=False).reshape(n_class, n_class)


def scores(hist: NDArray[Any]) -> Scores:
    """IUᵢ = nᵢᵢ / (tᵢ + Σⱼ nⱼᵢ − nᵢᵢ), where nᵢⱼ is hist and tᵢ = Σⱼ nᵢⱼ the pixels of class i.

    hist (C, C) -> dict of floats: pixel_acc, mean_acc, mean_iu, fw_iu; and iu (C,)
    The IU of a class that is predicted but never true is 0. A class that is neither has IU nan and
    counts in no mean. mean_acc is the mean over the true classes. Without any pixel every score is
    nan.

    >>> scores(np.array([[3, 1], [0, 4]]))['mean_iu']
    0.775
    """
    xp = array_module(hist)
    if hist.ndim != 2 or hist.shape[0] != hist.shape[1] or not hist.size:
        raise ValueError(f'hist has shape {hist.shape}; a square matrix is needed, with a row and '
                         f'a column for each class')
    if hist.dtype.kind not in 'iuf':
        raise TypeError(f'hist is {hist.dtype}; numbers of pixels are needed')
    strange = ~(hist >= 0)                                      # negative, or nan
    if strange.any():
        i, j = (int(k) for k in xp.argwhere(strange)[0])
        raise ValueError(f'hist holds {hist[i, j]} at ({i}, {j}); numbers of pixels are needed, '
                         f'0 or more')

    def ratio(part: Any, whole: Any) -> Any:
        return part / xp.where(whole > 0, whole, xp.nan)        # x / nan is nan, without a warning

    def mean(x: Any) -> Any:
        return ratio(xp.nansum(x), (~xp.isnan(x)).sum())

    right = hist.diagonal()
    true = hist.sum(1)
    predicted = hist.sum(0)
    iu = ratio(right, true + predicted - right)
    return Scores(
        pixel_acc=float(ratio(right.sum(), true.sum())),
        mean_acc=float(mean(ratio(right, true))),
        mean_iu=float(mean(iu)),
        fw_iu=float(ratio(xp.nansum(true * iu), true.sum())),
        iu=iu,
    )
