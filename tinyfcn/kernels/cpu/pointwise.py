"""ReLU, leaky or not, and dropout.

    y = x where x > 0, else slope · x         dx = dy where x > 0, else slope · dy

Of ReLU itself the slope is 0, but not a factor: 0 · ∞ would be NaN.
"""
from math import isfinite

import numpy as np

from ..dropout import draw_kept, scale_of_kept
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
    y = _rectify(x, overwrite, False, ZERO)
    return y, (y,)


@kernel('leaky_relu', 'numpy', accepts=lambda x, slope=.01: (
    _is_image(x) and isinstance(slope, float) and isfinite(slope)))
def leaky_relu(x, slope=.01):
    return _rectify(x, False, True, np.float32(slope)), (x, float(slope))


def _rectify(x, overwrite, leaky, slope):
    is_plain = x.flags.c_contiguous                     # (N, C, H, W) stays as it is
    x = x if is_plain else np.ascontiguousarray(channels_last(x))
    y = x if overwrite else np.empty_like(x)
    rows_in_parallel(_rectified, [x, y], leaky, slope)
    return y if is_plain else y.transpose(0, 3, 1, 2)


@kernel('relu_backward', 'numpy', accepts=lambda dy, cache: (
    _is_image(dy) and dy.shape == cache[0].shape and dy.dtype == cache[0].dtype))
def relu_backward(dy, cache):
    return _rectify_backward(dy, *cache, False, ZERO),


@kernel('leaky_relu_backward', 'numpy', accepts=lambda dy, cache: (
    _is_image(dy) and dy.shape == cache[0].shape and dy.dtype == cache[0].dtype))
def leaky_relu_backward(dy, cache):
    x, slope = cache
    return _rectify_backward(dy, x, True, np.float32(slope)),


def _rectify_backward(dy, x, leaky, slope):
    """x may be y: both are above 0 at the same places."""
    dy = channels_last(dy)
    dx = np.empty(dy.shape, dy.dtype)
    rows_in_parallel(_rectified_backward, [dy, channels_last(x), dx], leaky, slope)
    return dx.transpose(0, 3, 1, 2)


def _accepts_dropout(x, p=.5, train=False, rng=None):
    return (_is_image(x) and train is True
            and isinstance(p, float) and 0 <= p <= 1 and hasattr(rng, 'random'))


@kernel('dropout', 'numpy', accepts=_accepts_dropout)
def dropout(x, p=.5, train=False, rng=None):
    p = float(p)
    kept = np.empty_like(x, bool)
    kept[...] = draw_kept(rng, x.shape, p)              # in the order of the reference
    y = x * kept
    y *= scale_of_kept(p)
    return y, (x.shape, kept, p)


# ---- The loops. Rows start … stop of all images, counted through

@compiled
def _rectified(x, y, leaky, slope, start, stop):
    """NaN is not less than 0, and stays."""
    length = x.columns * x.channels
    for row in range(start, stop):
        n, i = divmod(row, x.rows)
        for c in range(0, length, LANES):
            value = load(pixel(x, n, i, 0, c), length - c)
            below = slope * value if leaky else full(ZERO)
            store(pixel(y, n, i, 0, c), length - c, where(value < ZERO, below, value))


@compiled
def _rectified_backward(dy, x, dx, leaky, slope, start, stop):
    for row in range(start, stop):
        n, i = divmod(row, dx.rows)
        for j in range(dx.columns):
            for c in range(0, dx.channels, LANES):
                left = dx.channels - c
                given = load(pixel(dy, n, i, j, c), left)
                below = slope * given if leaky else full(ZERO)
                is_positive = load(pixel(x, n, i, j, c), left) > ZERO
                store(pixel(dx, n, i, j, c), left, where(is_positive, given, below))
