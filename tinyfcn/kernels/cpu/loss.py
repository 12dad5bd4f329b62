"""The loss, and its gradient on the same walk over the pixels.

    loss   = Σ over pixels:  log(Σ over classes e^(score − m)) + m − score[label],  m = max score
    dscore = softmax(score) − 1 at the label

    for each pixel: m; e^(score − m) and its sum, LANES classes at a time; divide

The five passes over the score that NumPy makes are made while one pixel is in the cache.
"""
from numbers import Integral, Real

import numpy as np

from ..registry import kernel
from .blocking import channels_last
from .images import pixel, rows_in_parallel
from .jit import compiled
from .simd import LANES
from .vec import LOWEST, ZERO, exp, first, full, largest, load, read, store, total, where, write


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
    weight = np.float32(1 if reduce == 'sum' else 1 / max(int(counted.sum()), 1))
    dscore = np.empty(score.shape, score.dtype)
    sums = np.ones(label.shape, 'float32')
    margins = np.zeros(label.shape, 'float32')
    rows_in_parallel(_cross_entropy, [score, dscore], true_class, sums, margins, weight)
    losses = np.log(sums) + margins
    return losses.sum(dtype='float64') * weight, dscore.transpose(0, 3, 1, 2)


@compiled
def _cross_entropy(score, dscore, true_class, sums, margins, weight, start, stop):
    """dscore, and of each pixel Σ e^(score − m) and m − score[label].

    A pixel without a class, −1, counts for nothing, whatever its score.
    """
    for row in range(start, stop):
        n, i = divmod(row, score.rows)
        for j in range(score.columns):
            x = pixel(score, n, i, j, 0)
            dx = pixel(dscore, n, i, j, 0)
            k = true_class[n, i, j]
            if k < 0:
                for c in range(0, score.channels, LANES):
                    store(dx + 4 * c, score.channels - c, ZERO)
                continue
            m = _largest_of(x, score.channels)
            sums[n, i, j] = _exponentials(x, dx, score.channels, m)
            margins[n, i, j] = m - read(x + 4 * k)
            factor = weight / sums[n, i, j]
            for c in range(0, score.channels, LANES):
                power = load(dx + 4 * c, score.channels - c)
                store(dx + 4 * c, score.channels - c, power * factor)
            write(dx + 4 * k, read(dx + 4 * k) - weight)


@compiled
def _scores(x, c, channels):
    """LANES scores from class c on, −∞ for a class that does not exist."""
    left = channels - c
    return where(first(left), load(x + 4 * c, left), LOWEST)


@compiled
def _largest_of(x, channels):
    best = full(LOWEST)
    for c in range(0, channels, LANES):
        value = _scores(x, c, channels)
        best = where(value > best, value, best)
    return largest(best)


@compiled
def _exponentials(x, dx, channels, m):
    """dx = e^(x − m). -> their sum"""
    sums = full(ZERO)
    for c in range(0, channels, LANES):
        power = exp(_scores(x, c, channels) - m)
        store(dx + 4 * c, channels - c, power)
        sums = sums + power
    return total(sums)
