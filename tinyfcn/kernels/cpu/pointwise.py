"""ReLU and dropout.

    y = max(x, 0)         dx = dy where y > 0, else 0
"""
import numpy as np

from ..registry import kernel
from .blocking import channels_last
from .images import pixel, rows_in_parallel
from .jit import compiled
from .simd import LANES
from .vec import ZERO, full, load, store, where


def _is_image(x):
    return x.dtype == 'float32' and x.ndim == 4 and x.size > 0


def _is_dense(x):
    """Whether the values of x fill their memory without a gap, in either layout."""
    return x.flags.c_contiguous or x.transpose(0, 2, 3, 1).flags.c_contiguous


@kernel('relu', 'numpy', accepts=lambda x, overwrite=False: (
    _is_image(x) and isinstance(overwrite, bool) and (_is_dense(x) or not overwrite)))
def relu(x, overwrite=False):
    if x.flags.c_contiguous:                            # (N, C, H, W): stays as it is
        y = x if overwrite else np.empty_like(x)
        rows_in_parallel(_relu, [x, y])
        return y, (y,)
    pixels = np.ascontiguousarray(channels_last(x))
    y = pixels if overwrite else np.empty(pixels.shape, x.dtype)
    rows_in_parallel(_relu, [pixels, y])
    y = y.transpose(0, 3, 1, 2)
    return y, (y,)


@kernel('relu_backward', 'numpy', accepts=lambda dy, cache: (
    _is_image(dy) and dy.shape == cache[0].shape and dy.dtype == cache[0].dtype))
def relu_backward(dy, cache):
    y, = cache
    dy = channels_last(dy)
    dx = np.empty(dy.shape, dy.dtype)
    rows_in_parallel(_relu_backward, [dy, channels_last(y), dx])
    return dx.transpose(0, 3, 1, 2),


def _accepts_dropout(x, p=.5, train=False, rng=None):
    return (_is_image(x) and train is True
            and isinstance(p, float) and 0 <= p <= 1 and hasattr(rng, 'random'))


@kernel('dropout', 'numpy', accepts=_accepts_dropout)
def dropout(x, p=.5, train=False, rng=None):
    p = float(p)
    kept = np.empty_like(x, bool)
    kept[...] = rng.random(x.shape, 'float32') >= p     # drawn in the order of the reference
    y = x * kept
    y *= 1 / (1 - p) if p < 1 else 0
    return y, (x.shape, kept, p)


# ---- The loops. Rows start … stop of all images, counted through

@compiled
def _relu(x, y, start, stop):
    """NaN is not less than 0, and stays."""
    length = x.columns * x.channels
    for row in range(start, stop):
        n, i = divmod(row, x.rows)
        for c in range(0, length, LANES):
            value = load(pixel(x, n, i, 0, c), length - c)
            store(pixel(y, n, i, 0, c), length - c, where(value < full(ZERO), full(ZERO), value))


@compiled
def _relu_backward(dy, y, dx, start, stop):
    for row in range(start, stop):
        n, i = divmod(row, dx.rows)
        for j in range(dx.columns):
            for c in range(0, dx.channels, LANES):
                left = dx.channels - c
                given = load(pixel(dy, n, i, j, c), left)
                is_positive = load(pixel(y, n, i, j, c), left) > full(ZERO)
                store(pixel(dx, n, i, j, c), left, where(is_positive, given, full(ZERO)))
