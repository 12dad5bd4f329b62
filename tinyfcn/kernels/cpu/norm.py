"""Normalisation: over the batch, and over neighbouring channels. For each pixel:

    x̂  = (x − mean) / √(var + ε),  y = w·x̂ + b                                       (batch_norm)
    dx = w/σ · (dy − mean(dy) − x̂ · mean(dy·x̂)), or w/σ · dy where mean and var were given

    s  = k + α/size · Σ x² over the `size` channels around each              (local_response_norm)
    y  = x · s^(−3/4)
    dx = dy · s^(−3/4) − 2αβ/size · x · Σ dy·y/s over the channels of which each is a neighbour

The means of a batch are those of its rows, so that they are the same on any number of threads. The
sum over neighbours reads a line that has zeros at both ends. The power is the one of AlexNet and
GoogLeNet, s^(−3/4) = 1 / (√s · √√s); the reference computes any other.
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

LRN_BETA = .75


# ---- Over the batch

def _accepts_batch_norm(x, w, b, mean, var, train=False, eps=1e-5, frozen=False, momentum=.1):
    of_channel = w, b, mean, var
    return (all(isinstance(a, np.ndarray) and a.dtype == 'float32' for a in (x, *of_channel))
            and x.ndim == 4 and x.size >= 2 * x.shape[1] > 0
            and all(a.shape == x.shape[1:2] for a in of_channel)
            and all(isinstance(v, bool) for v in (train, frozen))
            and all(isinstance(v, float) for v in (eps, momentum))
            and eps >= 0 and 0 <= momentum <= 1)


@kernel('batch_norm', 'numpy', accepts=_accepts_batch_norm)
def batch_norm(x, w, b, mean, var, train=False, eps=1e-5, frozen=False, momentum=.1):
    pixels = channels_last(x)
    each = x.size // x.shape[1]
    eps = float(eps)                                    # a NumPy scalar would widen float32
    momentum = float(momentum)
    of_batch = train and not frozen
    state = ()
    if of_batch:
        running = mean, var
        mean = _add_rows(_sum_row, [pixels], 1)[0] / np.float32(each)
        var = _add_rows(_sum_squares, [pixels], 1, mean.ctypes.data)[0] / np.float32(each)
        unbiased = var * (each / (each - 1))
        state = tuple(old + momentum * (new - old) for old, new in zip(running, (mean, unbiased))),
    inverse = 1 / (var + eps) ** .5
    x_hat = np.empty(pixels.shape, x.dtype)
    y = np.empty(pixels.shape, x.dtype)
    of_channel = [np.ascontiguousarray(a) for a in (mean, inverse, w, b)]
    rows_in_parallel(_batch_norm, [pixels, x_hat, y], *(a.ctypes.data for a in of_channel))
    return y.transpose(0, 3, 1, 2), (x_hat.transpose(0, 3, 1, 2), w, inverse, of_batch), *state


@kernel('batch_norm_backward', 'numpy', accepts=lambda dy, cache: (
    dy.dtype == cache[0].dtype == 'float32' and dy.shape == cache[0].shape and dy.size > 0))
def batch_norm_backward(dy, cache):
    x_hat, w, inverse, of_batch = cache
    each = np.float32(dy.size // dy.shape[1])
    dy = channels_last(dy)
    x_hat = channels_last(x_hat)
    dw, db = _add_rows(_sum_gradients, [dy, x_hat], 2)
    of_channel = [w * inverse, db / each * of_batch, dw / each * of_batch]
    dx = np.empty(dy.shape, dy.dtype)
    rows_in_parallel(_batch_norm_backward, [dy, x_hat, dx], *(a.ctypes.data for a in of_channel))
    return dx.transpose(0, 3, 1, 2), dw, db, None, None


def _add_rows(loop, arrays, count, *args):
    """Add up `count` sums that the loop makes of each row of all images.   -> count times (C,)"""
    n, rows, _, c = arrays[0].shape
    sums = [np.empty((n, rows, 1, c), 'float32') for _ in range(count)]
    rows_in_parallel(loop, [*arrays, *sums], *args)
    return [each.sum((0, 1, 2), dtype='float64').astype('float32') for each in sums]


# The loops. Rows start … stop of all images, counted through

@compiled
def _sum_row(x, sums, start, stop):
    for row in range(start, stop):
        n, i = divmod(row, x.rows)
        for c in range(0, x.channels, LANES):
            left = x.channels - c
            total = full(ZERO)
            for j in range(x.columns):
                total = total + load(pixel(x, n, i, j, c), left)
            store(pixel(sums, n, i, 0, c), left, total)


@compiled
def _sum_squares(x, sums, mean, start, stop):
    """Σ (x − mean)²."""
    for row in range(start, stop):
        n, i = divmod(row, x.rows)
        for c in range(0, x.channels, LANES):
            left = x.channels - c
            total = full(ZERO)
            for j in range(x.columns):
                difference = load(pixel(x, n, i, j, c), left) - load(mean + 4 * c, left)
                total = total + difference * difference
            store(pixel(sums, n, i, 0, c), left, total)


@compiled
def _sum_gradients(dy, x_hat, of_w, of_b, start, stop):
    """Σ dy·x̂ and Σ dy."""
    for row in range(start, stop):
        n, i = divmod(row, dy.rows)
        for c in range(0, dy.channels, LANES):
            left = dy.channels - c
            dw = full(ZERO)
            db = full(ZERO)
            for j in range(dy.columns):
                given = load(pixel(dy, n, i, j, c), left)
                dw = dw + given * load(pixel(x_hat, n, i, j, c), left)
                db = db + given
            store(pixel(of_w, n, i, 0, c), left, dw)
            store(pixel(of_b, n, i, 0, c), left, db)


@compiled
def _batch_norm(x, x_hat, y, mean, inverse, w, b, start, stop):
    for row in range(start, stop):
        n, i = divmod(row, x.rows)
        for j in range(x.columns):
            for c in range(0, x.channels, LANES):
                left = x.channels - c
                value = load(pixel(x, n, i, j, c), left) - load(mean + 4 * c, left)
                value = value * load(inverse + 4 * c, left)
                store(pixel(x_hat, n, i, j, c), left, value)
                value = value * load(w + 4 * c, left) + load(b + 4 * c, left)
                store(pixel(y, n, i, j, c), left, value)


@compiled
def _batch_norm_backward(dy, x_hat, dx, scale, mean_dy, mean_product, start, stop):
    for row in range(start, stop):
        n, i = divmod(row, dx.rows)
        for j in range(dx.columns):
            for c in range(0, dx.channels, LANES):
                left = dx.channels - c
                value = load(pixel(dy, n, i, j, c), left) - load(mean_dy + 4 * c, left)
                through_var = load(mean_product + 4 * c, left)
                through_var = load(pixel(x_hat, n, i, j, c), left) * through_var
                value = (value - through_var) * load(scale + 4 * c, left)
                store(pixel(dx, n, i, j, c), left, value)


# ---- Over neighbouring channels

def _accepts(x, size=5, alpha=1e-4, beta=LRN_BETA, k=1.):
    return (x.dtype == 'float32' and x.ndim == 4 and x.size > 0
            and isinstance(size, Integral) and 0 < size < LIMIT
            and all(isinstance(v, Real) for v in (alpha, beta, k)) and beta == LRN_BETA)


@kernel('local_response_norm', 'numpy', accepts=_accepts)
def local_response_norm(x, size=5, alpha=1e-4, beta=LRN_BETA, k=1.):
    size = int(size)
    alpha = float(alpha)
    pixels = channels_last(x)
    y = np.empty(pixels.shape, x.dtype)
    s = np.empty(pixels.shape, x.dtype)
    before, after = _neighbours(size, x.shape[1])
    rows_in_parallel(_normalise, [pixels, y, s], before, after,
                     np.float32(alpha / size), np.float32(k))
    y = y.transpose(0, 3, 1, 2)
    return y, (x, y, s.transpose(0, 3, 1, 2), size, alpha, LRN_BETA)


@kernel('local_response_norm_backward', 'numpy', accepts=lambda dy, cache: (
    dy.dtype == cache[0].dtype == 'float32' and dy.shape == cache[0].shape and dy.size > 0
    and cache[5] == LRN_BETA))
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


# The loops

@compiled
def _power(s):
    """s^(−3/4)."""
    root = sqrt(s)
    return full(ONE) / (root * sqrt(root))


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
                total = full(k) + full(factor) * _sum_of(line, c, before + 1 + after)
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
                through_sums = full(factor) * load(pixel(x, n, i, j, c), left) * through_sums
                through_x = load(pixel(dy, n, i, j, c), left)
                through_x = through_x * _power(load(pixel(s, n, i, j, c), left))
                store(pixel(dx, n, i, j, c), left, through_x - through_sums)
