"""The loss in blocks of pixels, transposed so that each class is one long row of memory."""
from numbers import Integral, Real

import numpy as np

from ...runtime.threads import parallel, split_range
from ..registry import kernel
from .blocking import blocks

BLOCK = 1 << 18         # values of a block: it stays in the cache from the maximum to the gradient


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
    n, c, h, w = score.shape
    score = score.transpose(0, 2, 3, 1)
    counted = label != ignore
    weight_of_pixel = 1. if reduce == 'sum' else 1. / max(int(counted.sum()), 1)
    dscore = np.empty((n, h, w, c), score.dtype)
    max_rows = 1 + BLOCK // (w * c)

    def sum_loss(part):
        loss = 0.
        for block in blocks(part, h, max_rows):
            p = score[block].reshape(-1, c).T.copy()                        # (C, pixels)
            weight = counted[block].ravel() * np.float32(weight_of_pixel)
            labels = np.where(counted[block], label[block], 0).ravel().astype(np.intp)
            true_class = labels, np.arange(p.shape[1])

            top = p.max(0)
            strange = ~np.isfinite(top) & ~counted[block].ravel()
            p[:, strange] = 0                       # what an ignored pixel holds does not matter
            top[strange] = 0
            p -= top                                                        # exp never overflows
            true_score = np.where(weight, p[true_class], 0)
            np.exp(p, out=p)
            total = p.sum(0)
            loss += (weight * (np.log(total) - true_score)).sum(dtype='float64')
            # dscore = weight · (softmax − 1 at the label)
            p *= weight / total
            p[true_class] -= weight
            dscore[block] = p.T.reshape(dscore[block].shape)
        return loss

    losses = parallel(sum_loss, split_range(n * h, max_rows))
    return np.float64(sum(losses)), dscore.transpose(0, 3, 1, 2)
