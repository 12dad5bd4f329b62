"""Upsampling layers with fixed bilinear weights, which are constants of our nets."""
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .arrays import Arrays


def bilinear_kernel(ksize: Iterable[int]) -> NDArray[np.float64]:
    """(kh, kw): along each axis 1 − |i − (k − 1)/2| / ⌈k/2⌉, which is Caffe's bilinear filler."""
    rows, columns = (1 - abs(np.arange(k) - (k - 1) / 2) / ((k + 1) // 2) for k in ksize)
    return np.outer(rows, columns)


def is_bilinear(w: NDArray[Any]) -> bool:
    """Whether w is a bilinear kernel from each channel to itself.   w (C, C or 1, kh, kw)"""
    channels, depth, *ksize = w.shape
    if not w.size or depth not in (1, channels):
        return False
    expected = np.zeros_like(w)
    own_channel = range(channels) if depth > 1 else 0
    expected[range(channels), own_channel] = bilinear_kernel(ksize)
    return bool(abs(w - expected).max(initial=0) < 1e-6)


def without_bilinear(arrays: Arrays) -> tuple[Arrays, dict[str, tuple[int, ...]]]:
    """Leave out bilinear layers called up…  -> arrays, their ksize {'upscore': (64, 64), …}

    All are left out or none: a net learns all of its upsampling layers, or none of them.

    >>> w = np.outer([.25, .75, .75, .25], [.25, .75, .75, .25])[None, None]
    >>> without_bilinear({'upscore2.w': w, 'fc7.b': np.ones(3)})
    ({'fc7.b': array([1., 1., 1.])}, {'upscore2': (4, 4)})
    """
    fixed: dict[str, tuple[int, ...]] = {}
    for name, w in arrays.items():
        box, _, kind = name.rpartition('.')
        if not box.startswith('up') or kind == 'b' and not w.any():
            continue
        if kind != 'w' or w.ndim != 4 or not is_bilinear(w):
            return arrays, {}
        fixed[box] = w.shape[2:]
    kept = {name: w for name, w in arrays.items() if name.rpartition('.')[0] not in fixed}
    return kept, fixed
