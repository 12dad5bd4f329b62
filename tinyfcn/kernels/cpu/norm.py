"""Normalisation over neighbouring channels, with the power that AlexNet and GoogLeNet have.

    s  = k + α/size · Σ x² over the `size` channels around each
    y  = x · s^(−3/4)
    dx = dy · s^(−3/4) − 2αβ/size · x · Σ dy·y/s over the channels of which each is a neighbour

    for each pixel: write x² into a line with zeros at both ends; add up `size` of them for each

s^(−3/4) is 1 / (√s · √√s). The reference computes any other power.
"""
from numbers import Integral, Real

import numpy as np

from ...geometry import LIMIT
from ..registry import kernel
from .blocking import channels_last
from .images import pixel, rows_in_parallel
from .jit import compiled
from .simd import LANES
from .vec import ONE, ZERO, full, load, sqrt, store

BETA = .75


def _accepts(x, size=5, alpha=1e-4, beta=BETA, k=1.):
    return (x.dtype == 'float32' and x.ndim == 4 and x.size > 0
            and isinstance(size, Integral) and 0 < size < LIMIT
            and all(isinstance(v, Real) for v in (alpha, beta, k)) and beta == BETA)


@kernel('local_response_norm', 'numpy', accepts=_accepts)
def local_response_norm(x, size=5, alpha=1e-4, beta=BETA, k=1.):
    size = int(size)
    alpha = float(alpha)
    pixels = channels_last(x)
    y = np.empty(pixels.shape, x.dtype)
    s = np.empty(pixels.shape, x.dtype)
    before, after = _neighbours(size, x.shape[1])
    rows_in_parallel(_normalise, [pixels, y, s], before, after,
                     np.float32(alpha / size), np.float32(k))
    y = y.transpose(0, 3, 1, 2)
    return y, (x, y, s.transpose(0, 3, 1, 2), size, alpha, BETA)


@kernel('local_response_norm_backward', 'numpy', accepts=lambda dy, cache: (
    dy.dtype == cache[0].dtype == 'float32' and dy.shape == cache[0].shape and dy.size > 0
    and cache[5] == BETA))
def local_response_norm_backward(dy, cache):
    x, y, s, size, alpha, beta = cache
    arrays = list(map(channels_last, (dy, x, y, s)))
    dx = np.empty(arrays[0].shape, dy.dtype)
    before, after = _neighbours(size, x.shape[1])
    rows_in_parallel(_normalise_backward, [*arrays, dx], after, before,
                     np.float32(2 * alpha * beta / size))
    return dx.transpose(0, 3, 1, 2),


def _neighbours(size, channels):
    """How many channels before and after each are its neighbours."""
    return min(size // 2, channels - 1), min((size - 1) // 2, channels - 1)


# ---- The loops. Rows start … stop of all images, counted through

@compiled
def _power(s):
    """s^(−3/4)."""
    root = sqrt(s)
    return ONE / (root * sqrt(root))


@compiled
def _sum_of(line, c, count):
    """line[c] + … + line[c + count − 1], for LANES values of c."""
    result = full(ZERO)
    for d in range(count):
        result = result + load(line.ctypes.data + 4 * (c + d), LANES)
    return result


@compiled
def _normalise(x, y, s, before, after, factor, k, start, stop):
    line = np.zeros(x.channels + before + after + LANES, np.float32)
    squares = line.ctypes.data + 4 * before
    for row in range(start, stop):
        n, i = divmod(row, x.rows)
        for j in range(x.columns):
            for c in range(0, x.channels, LANES):
                value = load(pixel(x, n, i, j, c), x.channels - c)
                store(squares + 4 * c, x.channels - c, value * value)
            for c in range(0, x.channels, LANES):
                left = x.channels - c
                total = k + factor * _sum_of(line, c, before + 1 + after)
                store(pixel(s, n, i, j, c), left, total)
                value = load(pixel(x, n, i, j, c), left)
                store(pixel(y, n, i, j, c), left, value * _power(total))


@compiled
def _normalise_backward(dy, x, y, s, dx, before, after, factor, start, stop):
    line = np.zeros(x.channels + before + after + LANES, np.float32)
    products = line.ctypes.data + 4 * before
    for row in range(start, stop):
        n, i = divmod(row, x.rows)
        for j in range(x.columns):
            for c in range(0, x.channels, LANES):
                left = x.channels - c
                product = load(pixel(dy, n, i, j, c), left) * load(pixel(y, n, i, j, c), left)
                store(products + 4 * c, left, product / load(pixel(s, n, i, j, c), left))
            for c in range(0, x.channels, LANES):
                left = x.channels - c
                through_sums = _sum_of(line, c, before + 1 + after)
                through_sums = factor * load(pixel(x, n, i, j, c), left) * through_sums
                through_x = load(pixel(dy, n, i, j, c), left)
                through_x = through_x * _power(load(pixel(s, n, i, j, c), left))
                store(pixel(dx, n, i, j, c), left, through_x - through_sums)
