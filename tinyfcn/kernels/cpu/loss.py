"""The loss in blocks of pixels, turned so that the classes are long rows: no sum over 21 values."""
import numpy as np

from ...runtime.threads import parallel, shares
from ..registry import kernel
from .blocking import blocks

BLOCK = 1 << 18         # values of a block: it stays in the cache from the maximum to the gradient


def _suits(score, label, ignore=255, reduce='sum', class_weight=None, pixel_weight=None):
    if not (score.dtype == 'float32' and score.ndim == 4 and score.size > 0
            and isinstance(label, np.ndarray) and label.dtype.kind in 'iu'
            and label.shape == (len(score), *score.shape[2:]) and reduce in ('sum', 'mean')
            and class_weight is None and pixel_weight is None):
        return False
    classes = (label >= 0) & (label < score.shape[1]) | (label == ignore)
    return bool(classes.all())                          # the body says which one is none


@kernel('softmax_cross_entropy', 'numpy', accepts=_suits)
def softmax_cross_entropy(score, label, ignore=255, reduce='sum',
                          class_weight=None, pixel_weight=None):
    n, c, h, w = score.shape
    score, valid = score.transpose(0, 2, 3, 1), label != ignore
    each = 1. if reduce == 'sum' else 1. / max(int(valid.sum()), 1)
    dscore = np.empty((n, h, w, c), score.dtype)

    def lose(part):
        loss = 0.
        for here in blocks(part, h, 1 + BLOCK // (w * c)):
            p = score[here].reshape(-1, c).T.copy()                         # (C, pixels)
            weight = valid[here].ravel() * np.float32(each)
            truth = np.where(valid[here], label[here], 0).ravel().astype(np.intp), \
                np.arange(p.shape[1])
            p -= p.max(0)                                                   # exp never overflows
            of_truth = p[truth]
            np.exp(p, out=p)
            total = p.sum(0)
            loss += (weight * (np.log(total) - of_truth)).sum(dtype='float64')
            p *= weight / total
            p[truth] -= weight
            dscore[here] = p.T.reshape(dscore[here].shape)
        return loss

    losses = parallel(lose, shares(n * h, 1 + BLOCK // (w * c)))
    return np.float64(sum(losses)), dscore.transpose(0, 3, 1, 2)
