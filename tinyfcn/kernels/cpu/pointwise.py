"""Pointwise ops in blocks that stay in the cache, on all threads; what comes keeps its layout."""
import numpy as np

from ...runtime.threads import parallel, shares
from ..registry import kernel
from .blocking import blocks

BLOCK = 1 << 18         # values of a block
LARGE = 1 << 16         # below this a thread is not worth waking


def _large(x):
    return x.dtype == 'float32' and x.ndim == 4 and x.size >= LARGE


@kernel('relu', 'numpy', accepts=lambda x, overwrite=False: _large(x))
def relu(x, overwrite=False):
    y = x if overwrite else np.empty_like(x)
    by_rows(lambda x, y: np.maximum(x, 0, out=y), x, y)
    return y, (y,)


@kernel('relu_backward', 'numpy', accepts=lambda dy, cache: (
    _large(dy) and dy.shape == cache[0].shape and dy.dtype == cache[0].dtype))
def relu_backward(dy, cache):
    dx = np.empty_like(dy)
    by_rows(passed, dy, cache[0], dx)
    return dx,


def passed(dy, y, dx):
    np.greater(y, 0, out=dx)                            # 0 or 1, but as dx counts
    np.multiply(dy, dx, out=dx)


@kernel('dropout', 'numpy', accepts=lambda x, p=.5, train=False, rng=None: (
    x.dtype == 'float32' and x.ndim == 4 and x.size > 0 and train
    and isinstance(p, float) and 0 <= p < 1 and hasattr(rng, 'random')))
def dropout(x, p=.5, train=False, rng=None):
    p, kept = float(p), np.empty_like(x, bool)          # drawn in the definition's order
    kept[...] = rng.random(x.shape, 'float32') >= p
    y = x * kept
    y *= 1 / (1 - p)
    return y, (x.shape, kept, p)


@kernel('crop_backward', 'numpy', accepts=lambda dy, cache: (
    dy.dtype == 'float32' and dy.shape == (*cache[0][:2], *cache[1])))
def crop_backward(dy, cache):
    (n, c, height, width), (h, w), (top, left) = cache
    dx = np.empty((n, height, width, c), dy.dtype)
    dx[:, :top] = dx[:, top + h:] = dx[:, :, :left] = dx[:, :, left + w:] = 0
    dx[:, top:top + h, left:left + w] = dy.transpose(0, 2, 3, 1)
    return dx.transpose(0, 3, 1, 2),


def by_rows(function, *arrays):
    """function(block of each array), for blocks of whole rows."""
    arrays = [x.transpose(0, 2, 3, 1) for x in arrays]
    n, h, w, c = arrays[0].shape
    height = 1 + BLOCK // (w * c)

    def work(part):
        for here in blocks(part, h, height):
            function(*(x[here] for x in arrays))

    parallel(work, shares(n * h, 4 * height))       # a block is done before a thread has woken
