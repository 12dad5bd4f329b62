"""Pointwise ops in blocks that stay in the cache, on all threads. Results keep the layout of x."""
import numpy as np

from ...runtime.threads import parallel, split_range
from ..registry import kernel
from .blocking import blocks

BLOCK = 1 << 18         # values of a block
MIN_SIZE = 1 << 16      # values; below this the reference is done before a thread wakes


def _is_large(x):
    return x.dtype == 'float32' and x.ndim == 4 and x.size >= MIN_SIZE


@kernel('relu', 'numpy', accepts=lambda x, overwrite=False: _is_large(x))
def relu(x, overwrite=False):
    y = x if overwrite else np.empty_like(x)
    for_blocks(lambda x, y: np.maximum(x, 0, out=y), x, y)
    return y, (y,)


@kernel('relu_backward', 'numpy', accepts=lambda dy, cache: (
    _is_large(dy) and dy.shape == cache[0].shape and dy.dtype == cache[0].dtype))
def relu_backward(dy, cache):
    y, = cache
    dx = np.empty_like(dy)
    for_blocks(_mask_gradient, dy, y, dx)
    return dx,


def _mask_gradient(dy, y, dx):
    np.greater(y, 0, out=dx)                            # 0. or 1., of the dtype of dx
    np.multiply(dy, dx, out=dx)


@kernel('dropout', 'numpy', accepts=lambda x, p=.5, train=False, rng=None: (
    x.dtype == 'float32' and x.ndim == 4 and x.size > 0 and train
    and isinstance(p, float) and 0 <= p < 1 and hasattr(rng, 'random')))
def dropout(x, p=.5, train=False, rng=None):
    p = float(p)
    kept = np.empty_like(x, bool)
    kept[...] = rng.random(x.shape, 'float32') >= p     # drawn in the order of the reference
    y = x * kept
    y *= 1 / (1 - p)
    return y, (x.shape, kept, p)


@kernel('crop_backward', 'numpy', accepts=lambda dy, cache: (
    dy.dtype == 'float32' and dy.shape == (*cache[0][:2], *cache[1])))
def crop_backward(dy, cache):
    (n, c, height, width), (h, w), (top, left) = cache
    dx = np.empty((n, height, width, c), dy.dtype)
    dx[:, :top] = 0
    dx[:, top + h:] = 0
    dx[:, :, :left] = 0
    dx[:, :, left + w:] = 0
    dx[:, top:top + h, left:left + w] = dy.transpose(0, 2, 3, 1)
    return dx.transpose(0, 3, 1, 2),


def for_blocks(function, *arrays):
    """Call function(block of each array) for all blocks of whole rows; blocks are (N, H, W, C)."""
    arrays = [x.transpose(0, 2, 3, 1) for x in arrays]
    n, h, w, c = arrays[0].shape
    max_rows = 1 + BLOCK // (w * c)

    def work(part):
        for block in blocks(part, h, max_rows):
            function(*(x[block] for x in arrays))

    # one block is done before another thread wakes
    parallel(work, split_range(n * h, 4 * max_rows))
