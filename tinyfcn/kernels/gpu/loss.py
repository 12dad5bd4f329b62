"""The loss on the GPU: its value stays there, and so does the number of pixels that count."""
from operator import index

from ...runtime.backend import array_module
from ..registry import kernel
from .launch import launch, suited

PARTS = 1024            # blocks, at most: as many partial sums, whatever the card


def _suits(score, label, ignore=255, reduce='sum', class_weight=None, pixel_weight=None):
    shape = (len(score), *score.shape[2:])
    weights = [weight for weight in (class_weight, pixel_weight) if weight is not None]
    return score.ndim == 4 and suited(score, *weights) \
        and type(label).__module__.split('.')[0] == 'cupy' and label.dtype.kind in 'iu' \
        and label.shape == shape and reduce in ('sum', 'mean') \
        and isinstance(ignore, int) and -1 << 31 <= ignore < 1 << 31 \
        and (class_weight is None or class_weight.shape == score.shape[1:2]) \
        and (pixel_weight is None or pixel_weight.shape == shape)


@kernel('softmax_cross_entropy', 'cupy', accepts=_suits)
def softmax_cross_entropy(score, label, ignore=255, reduce='sum',
                          class_weight=None, pixel_weight=None):
    xp, (n, c, h, w), ignore = array_module(score), score.shape, index(ignore)
    score, label = xp.ascontiguousarray(score), xp.ascontiguousarray(label, 'int32')
    class_weight, pixel_weight = (weight if weight is None else xp.ascontiguousarray(weight)
                                  for weight in (class_weight, pixel_weight))
    blocks = min(PARTS, -(-label.size // 256))
    parts, dscore = xp.empty(blocks, 'float64'), xp.empty(score.shape, score.dtype)

    def total():
        sum = xp.empty((), 'float64')
        launch('loss', 'total', blocks, parts, sum, blocks, blocks=1)
        return sum

    valid = None
    if reduce == 'mean':
        launch('loss', 'valid', label.size, label, parts, label.size, ignore, blocks,
               blocks=blocks)
        valid = total()
    launch('loss', 'softmax_cross_entropy', label.size, score, label, class_weight, pixel_weight,
           valid, dscore, parts, n, c, h * w, ignore, class_weight is not None,
           pixel_weight is not None, valid is not None, blocks, blocks=blocks)
    return total(), dscore
