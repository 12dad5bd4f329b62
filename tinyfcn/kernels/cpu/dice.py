"""The Dice loss and its gradient: two walks over the pixels.

    p      = softmax(score)
    loss   = 1 − Σ over classes: share · 2 Σ p·t / (Σ p + Σ t),     t is 1 at the label
    dscore = p · (dp − Σ over classes p·dp),                        dp = of_any + t · of_true

    for each pixel: p, which is written where dscore will be; add it to the sums of its row
    for each pixel: Σ p·dp; dscore in place of p

dp is the same for all pixels of a class, and known when the first walk has ended.
"""
import numpy as np

from ..registry import kernel
from .blocking import channels_last
from .images import pixel, rows_in_parallel
from .jit import compiled
from .loss import accepts_labels, classes_of, exponentials, is_weight, largest_of
from .simd import LANES
from .vec import ZERO, full, load, read, store, total, write


def _accepts(score, label, ignore=255, class_weight=None):
    return (accepts_labels(score, label, ignore) and is_weight(class_weight, score.shape[1:2]))


@kernel('dice_loss', 'numpy', accepts=_accepts)
def dice_loss(score, label, ignore=255, class_weight=None):
    score = channels_last(score)
    n, h, _, c = score.shape
    true_class = classes_of(label, ignore)
    dscore = np.empty(score.shape, score.dtype)
    sums = np.zeros((n * h, 3, c))                      # of each row: Σ p, Σ t and Σ p·t
    rows_in_parallel(_probabilities, [score, dscore], true_class, sums)
    p, pixels, both = sums.sum(0)

    share = np.where(pixels > 0, 1 if class_weight is None else class_weight, 0)
    share = share / (share.sum() if share.sum() > 0 else 1)
    either = np.maximum(p + pixels, 1)
    of_true = (-2 * share / either).astype('float32')
    of_any = (2 * share * both / either ** 2).astype('float32')
    rows_in_parallel(_through_softmax, [dscore], true_class, of_true, of_any)
    return (share * (1 - 2 * both / either)).sum(), dscore.transpose(0, 3, 1, 2)


@compiled
def _probabilities(score, p, true_class, sums, start, stop):
    """p, and for each row its sums. A pixel without a class, −1, counts for nothing."""
    for row in range(start, stop):
        n, i = divmod(row, score.rows)
        for j in range(score.columns):
            x = pixel(score, n, i, j, 0)
            y = pixel(p, n, i, j, 0)
            k = true_class[n, i, j]
            if k < 0:
                for c in range(0, score.channels, LANES):
                    store(y + 4 * c, score.channels - c, ZERO)
                continue
            power = exponentials(x, y, score.channels, largest_of(x, score.channels))
            for c in range(0, score.channels, LANES):
                store(y + 4 * c, score.channels - c, load(y + 4 * c, score.channels - c) / power)
            for c in range(score.channels):
                sums[row, 0, c] += read(y + 4 * c)
            sums[row, 1, k] += 1
            sums[row, 2, k] += read(y + 4 * k)


@compiled
def _through_softmax(p, true_class, of_true, of_any, start, stop):
    """dscore in place of p."""
    any_class = of_any.ctypes.data
    for row in range(start, stop):
        n, i = divmod(row, p.rows)
        for j in range(p.columns):
            k = true_class[n, i, j]
            if k < 0:
                continue                                # p is 0 there
            y = pixel(p, n, i, j, 0)
            of_label = read(y + 4 * k) * of_true[k]
            sums = full(ZERO)
            for c in range(0, p.channels, LANES):
                left = p.channels - c
                sums = sums + load(y + 4 * c, left) * load(any_class + 4 * c, left)
            mean = total(sums) + of_label
            for c in range(0, p.channels, LANES):
                left = p.channels - c
                dp = load(any_class + 4 * c, left) - mean
                store(y + 4 * c, left, load(y + 4 * c, left) * dp)
            write(y + 4 * k, read(y + 4 * k) + of_label)
