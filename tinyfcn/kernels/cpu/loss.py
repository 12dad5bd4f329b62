"""The loss, and its gradient on the same walk over the pixels.

    loss   = Σ over pixels:  log(Σ over classes e^(score − m)) + m − score[label],  m = max score
    dscore = softmax(score) − 1 at the label;           both times the weight of the pixel

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
from .vec import (
    LOWEST,
    ZERO,
    exp,
    first_lanes,
    full,
    largest,
    load,
    read,
    store,
    total,
    where,
    write,
)


def _accepts(score, label, ignore=255, reduce='sum', class_weight=None, pixel_weight=None,
             label_smoothing=0.):
    plain = (isinstance(label_smoothing, Real) and label_smoothing == 0
             and isinstance(reduce, str) and reduce in ('sum', 'mean', 'none'))
    return (plain and accepts_labels(score, label, ignore)
            and is_weight(class_weight, score.shape[1:2])
            and is_weight(pixel_weight, label.shape))


def accepts_labels(score, label, ignore):
    """Whether these are scores and labels for a kernel; the reference names an invalid label."""
    if not (score.dtype == 'float32' and score.ndim == 4 and score.size > 0
            and isinstance(ignore, Integral)
            and isinstance(label, np.ndarray) and label.dtype.kind in 'iu'
            and label.shape == (len(score), *score.shape[2:])):
        return False
    is_class = (label >= 0) & (label < score.shape[1])
    valid = is_class | (label == ignore)
    return bool(valid.all())


def is_weight(weight, shape):
    return weight is None or (isinstance(weight, np.ndarray) and weight.dtype == 'float32'
                              and weight.shape == shape)


@kernel('softmax_cross_entropy', 'numpy', accepts=_accepts)
def softmax_cross_entropy(score, label, ignore=255, reduce='sum', class_weight=None,
                          pixel_weight=None, label_smoothing=0.):
    score = channels_last(score)
    true_class = classes_of(label, ignore)
    counted = true_class >= 0
    weights = np.ones(label.shape, 'float32')           # of each pixel
    if class_weight is not None:
        weights = class_weight[true_class]
    if pixel_weight is not None:
        weights = np.ascontiguousarray(weights * pixel_weight)
    scale = np.float32(1 if reduce != 'mean' else 1 / max(int(counted.sum()), 1))
    dscore = np.empty(score.shape, score.dtype)
    sums = np.ones(label.shape, 'float32')
    margins = np.zeros(label.shape, 'float32')
    rows_in_parallel(_cross_entropy, [score, dscore], true_class, weights, sums, margins, scale)
    losses = np.log(sums) + margins
    if class_weight is not None or pixel_weight is not None:
        losses *= np.where(counted, weights, 0)         # not NaN, where a pixel is ignored
    dscore = dscore.transpose(0, 3, 1, 2)
    return losses if reduce == 'none' else losses.sum(dtype='float64') * scale, dscore


def classes_of(label, ignore):
    """The label as int32, −1 where it is ignored."""
    true_class = np.full(label.shape, -1, 'int32')
    np.copyto(true_class, label, where=label != ignore, casting='unsafe')
    return true_class


@compiled
def _cross_entropy(score, dscore, true_class, weights, sums, margins, scale, start, stop):
    """dscore, and of each pixel Σ e^(score − m) and m − score[label].   scale times all gradients

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
            m = largest_of(x, score.channels)
            sums[n, i, j] = exponentials(x, dx, score.channels, m)
            margins[n, i, j] = m - read(x + 4 * k)
            weight = scale * weights[n, i, j]
            factor = weight / sums[n, i, j]
            for c in range(0, score.channels, LANES):
                power = load(dx + 4 * c, score.channels - c)
                store(dx + 4 * c, score.channels - c, power * factor)
            write(dx + 4 * k, read(dx + 4 * k) - weight)


@compiled
def _scores(x, c, channels):
    """LANES scores from class c on, −∞ for a class that does not exist."""
    left = channels - c
    return where(first_lanes(left), load(x + 4 * c, left), LOWEST)


@compiled
def largest_of(x, channels):
    best = full(LOWEST)
    for c in range(0, channels, LANES):
        value = _scores(x, c, channels)
        best = where(value > best, value, best)
    return largest(best)


@compiled
def exponentials(x, dx, channels, m):
    """dx = e^(x − m). -> their sum"""
    sums = full(ZERO)
    for c in range(0, channels, LANES):
        power = exp(_scores(x, c, channels) - m)
        store(dx + 4 * c, channels - c, power)
        sums = sums + power
    return total(sums)
