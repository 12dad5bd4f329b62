"""ReLU and dropout, whose results keep the layout of x. ReLU runs in blocks on all threads."""
import numpy as np

from ...runtime.threads import parallel, split_range
from ..registry import kernel
from .blocking import blocks

BLOCK = 1 << 18         # values of a block
MIN_SIZE = 1 << 16      # values; with fewer the reference is as fast


def _is_large(x):
    return x.dtype == 'float32' and x.ndim == 4 and x.size >= MIN_SIZE


@kernel('relu', 'numpy', accepts=lambda x, overwrite=False: (
    _is_large(x) and isinstance(overwrite, bool)))
def relu(x, overwrite=False):
    y = x if overwrite else np.empty_like(x)
    apply_in_blocks(lambda x, y: np.maximum(x, 0, out=y), x, y)
    return y, (y,)


@kernel('relu_backward', 'numpy', accepts=lambda dy, cache: (
    _is_large(dy) and dy.shape == cache[0].shape and dy.dtype == cache[0].dtype))
def relu_backward(dy, cache):
    y, = cache
    dx = np.empty_like(dy)
    apply_in_blocks(_mask_gradient, dy, y, dx)
    return dx,


def _mask_gradient(dy, y, dx):
    """Fill dx: dy where y > 0, else 0, also where dy is not finite."""
    bits = dx.view('int32')
    np.greater(y, 0, out=bits)
    np.negative(bits, out=bits)                         # −1 has all bits set, 0 has none
    bits &= dy.view('int32')


def _accepts_dropout(x, p=.5, train=False, rng=None):
    return (x.dtype == 'float32' and x.ndim == 4 and x.size > 0 and train is True
            and isinstance(p, float) and 0 <= p <= 1 and hasattr(rng, 'random'))


@kernel('dropout', 'numpy', accepts=_accepts_dropout)
def dropout(x, p=.5, train=False, rng=None):
    p = float(p)
    kept = np.empty_like(x, bool)
    kept[...] = rng.random(x.shape, 'float32') >= p     # drawn in the order of the reference
    y = x * kept
    y *= 1 / (1 - p) if p < 1 else 0
    return y, (x.shape, kept, p)


def apply_in_blocks(function, *arrays):
    """Call function(block of each array) for all blocks of whole rows; blocks are (N, H, W, C)."""
    arrays = [x.transpose(0, 2, 3, 1) for x in arrays]
    n, h, w, c = arrays[0].shape
    max_rows = 1 + BLOCK // (w * c)                     # at least one row

    def work(part):
        for block in blocks(part, h, max_rows):
            function(*(x[block] for x in arrays))

    # four blocks for a thread, or it is done before another one wakes
    parallel(work, split_range(n * h, 4 * max_rows))
