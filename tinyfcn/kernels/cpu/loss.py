"""The loss, and its gradient on the same walk over the pixels.

    loss   = Σ over pixels:  log(Σ over classes e^(score − m)) − (score[label] − m),  m = max score
    dscore = softmax(score) − 1 at the label

    for each pixel: m; e^(score − m) and its sum, LANES classes at a time; divide

The five passes over the score that NumPy makes are made while one pixel is in the cache.
"""
import math
from numbers import Integral, Real

import numpy as np

from ..registry import kernel
from .blocking import channels_last
from .images import pixel, rows_in_parallel
from .jit import compiled
from .simd import LANES
from .vec import (
    LOWEST,
    ZERO,
    exp,
    first,
    full,
    largest,
    load,
    read,
    store,
    total,
    where,
    write,
)

MAX_PRODUCT = 1e200     # far below the largest float64, also when multiplied by one more sum


def _accepts(score, label, ignore=255, reduce='sum', class_weight=None, pixel_weight=None,
             label_smoothing=0.):
    plain = (class_weight is None and pixel_weight is None and isinstance(label_smoothing, Real)
             and label_smoothing == 0 and isinstance(reduce, str)
             and reduce in ('sum', 'mean'))
    if not (plain and score.dtype == 'float32' and score.ndim == 4 and score.size > 0
            and isinstance(ignore, Integral)
            and isinstance(label, np.ndarray) and label.dtype.kind in 'iu'
            and label.shape == (len(score), *score.shape[2:])):
        return False
    is_class = (label >= 0) & (label < score.shape[1])
    valid = is_class | (label == ignore)
    return bool(valid.all())                            # the reference names the invalid label


@kernel('softmax_cross_entropy', 'numpy', accepts=_accepts)
def softmax_cross_entropy(score, label, ignore=255, reduce='sum', class_weight=None,
                          pixel_weight=None, label_smoothing=0.):
    score = channels_last(score)
    counted = label != ignore
    true_class = np.full(label.shape, -1, 'int32')
    np.copyto(true_class, label, where=counted, casting='unsafe')
    weight = 1. if reduce == 'sum' else 1. / max(int(counted.sum()), 1)
    dscore = np.empty(score.shape, score.dtype)
    losses = np.empty(label.shape[:2])                  # of each row: the same sums on any threads
    rows_in_parallel(_cross_entropy, [score, dscore], true_class, losses, np.float32(weight))
    return np.float64(losses.sum() * np.float32(weight)), dscore.transpose(0, 3, 1, 2)


@compiled
def _cross_entropy(score, dscore, true_class, losses, weight, start, stop):
    """Rows start … stop; a pixel without a class, −1, counts for nothing, whatever its score."""
    for row in range(start, stop):
        n, i = divmod(row, score.rows)
        loss = 0.
        product = 1.                                    # of sums: one logarithm for many pixels
        for j in range(score.columns):
            k = true_class[n, i, j]
            if k < 0:
                _clear(dscore, n, i, j)
                continue
            m = _largest_score(score, n, i, j)
            sum_of_exp = _exponentials(score, dscore, n, i, j, m)
            loss -= read(pixel(score, n, i, j, k)) - m
            product *= sum_of_exp
            if not product < MAX_PRODUCT:
                loss += math.log(product)
                product = 1.
            _multiply(dscore, n, i, j, weight / sum_of_exp)
            at_label = pixel(dscore, n, i, j, k)
            write(at_label, read(at_label) - weight)
        losses[n, i] = loss + math.log(product)


@compiled
def _largest_score(score, n, i, j):
    best = full(LOWEST)
    for c in range(0, score.channels, LANES):
        left = score.channels - c
        value = where(first(left), load(pixel(score, n, i, j, c), left), full(LOWEST))
        best = where(value > best, value, best)
    return largest(best)


@compiled
def _exponentials(score, dscore, n, i, j, m):
    """dscore = e^(score − m). -> their sum"""
    sums = full(ZERO)
    for c in range(0, score.channels, LANES):
        left = score.channels - c
        value = where(first(left), load(pixel(score, n, i, j, c), left), full(LOWEST))
        power = exp(value - full(m))
        store(pixel(dscore, n, i, j, c), left, power)
        sums = sums + power
    return total(sums)


@compiled
def _multiply(dscore, n, i, j, factor):
    for c in range(0, dscore.channels, LANES):
        at = pixel(dscore, n, i, j, c)
        store(at, dscore.channels - c, load(at, dscore.channels - c) * full(factor))


@compiled
def _clear(dscore, n, i, j):
    for c in range(0, dscore.channels, LANES):
        store(pixel(dscore, n, i, j, c), dscore.channels - c, full(ZERO))
