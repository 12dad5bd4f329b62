"""The loss on the GPU. Its value stays there, and so does the number of pixels that count."""
from numbers import Real
from operator import index

from ...runtime.backend import array_module, is_cupy
from ..registry import kernel
from .launch import are_gpu_floats, launch

MAX_PARTS = 1024        # partial sums: fixed, so that every GPU adds in the same order


def _accepts(score, label, ignore=255, reduce='sum', class_weight=None, pixel_weight=None,
             label_smoothing=0.):
    weights = [weight for weight in (class_weight, pixel_weight) if weight is not None]
    if not (score.ndim == 4 and are_gpu_floats(score, *weights)
            and isinstance(reduce, str) and reduce in ('sum', 'mean')
            and isinstance(label_smoothing, Real) and label_smoothing == 0
            and isinstance(ignore, int) and -1 << 31 <= ignore < 1 << 31):
        return False
    shape = len(score), *score.shape[2:]
    return (is_cupy(label) and label.dtype.kind in 'iu' and label.shape == shape
            and (class_weight is None or class_weight.shape == score.shape[1:2])
            and (pixel_weight is None or pixel_weight.shape == shape))


@kernel('softmax_cross_entropy', 'cupy', accepts=_accepts)
def softmax_cross_entropy(score, label, ignore=255, reduce='sum', class_weight=None,
                          pixel_weight=None, label_smoothing=0.):
    xp = array_module(score)
    n, c, h, w = score.shape
    ignore = index(ignore)
    score = xp.ascontiguousarray(score)
    label = xp.ascontiguousarray(label, 'int32')
    class_weight, pixel_weight = (weight if weight is None else xp.ascontiguousarray(weight)
                                  for weight in (class_weight, pixel_weight))
    blocks = min(MAX_PARTS, -(-label.size // 256))
    parts = xp.empty(blocks, 'float64')
    dscore = xp.empty(score.shape, score.dtype)

    def total():
        result = xp.empty((), 'float64')
        launch('loss', 'total', blocks, parts, result, blocks, blocks=1)
        return result

    valid = None
    if reduce == 'mean':
        launch('loss', 'valid', label.size, label, parts, label.size, ignore, blocks,
               blocks=blocks)
        valid = total()
    launch('loss', 'softmax_cross_entropy', label.size, score, label, class_weight, pixel_weight,
           valid, dscore, parts, n, c, h * w, ignore, class_weight is not None,
           pixel_weight is not None, valid is not None, blocks, blocks=blocks)
    return total(), dscore
