"""Normalisation over the batch.

    y  = w·x̂ + b,  x̂ = (x − mean) / √(var + ε)
    dx = w/σ · (dy − mean(dy) − x̂ · mean(dy·x̂)), or w/σ · dy where mean and var were given

    for each row: for each LANES channels: add up the pixels, twice

A sum over the batch is the sum of those of its rows, whichever thread computes them. A row is in
the cache when its squares are added up, so the mean that they are taken from is that of the row:
    Σ (x − mean)² = Σ over rows: Σ (x − mean of the row)² + pixels · (mean of the row − mean)²
"""
import numpy as np

from ..registry import kernel
from .blocking import channels_last
from .images import pixel, rows_in_parallel
from .jit import compiled
from .simd import LANES
from .vec import ZERO, full, load, store


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
        mean, var = _mean_and_variance(pixels)
        unbiased = var * (each / (each - 1))
        state = tuple(old + momentum * (new - old) for old, new in zip(running, (mean, unbiased))),
    inverse = 1 / (var + eps) ** .5
    y = np.empty(pixels.shape, x.dtype)
    of_channel = [np.ascontiguousarray(a) for a in (mean, inverse, w, b)]
    rows_in_parallel(_batch_norm, [pixels, y], *(a.ctypes.data for a in of_channel))
    return y.transpose(0, 3, 1, 2), (x, w, mean, inverse, of_batch), *state


@kernel('batch_norm_backward', 'numpy', accepts=lambda dy, cache: (
    dy.dtype == cache[0].dtype == 'float32' and dy.shape == cache[0].shape and dy.size > 0))
def batch_norm_backward(dy, cache):
    x, w, mean, inverse, of_batch = cache
    each = np.float32(dy.size // dy.shape[1])
    dy = channels_last(dy)
    x = channels_last(x)
    mean = np.ascontiguousarray(mean)
    sums = _of_rows(_sum_gradients, dy, x, mean=mean.ctypes.data).sum(1, dtype='float64')
    dw, db = (sums * [inverse, np.ones_like(inverse)]).astype('float32')
    of_channel = [mean, w * inverse, db / each, dw * inverse / each]
    dx = np.empty(dy.shape, dy.dtype)
    rows_in_parallel(_batch_norm_backward, [dy, x, dx], of_batch,
                     *(a.ctypes.data for a in of_channel))
    return dx.transpose(0, 3, 1, 2), dw, db, None, None


def _mean_and_variance(x):
    means, squares = _of_rows(_moments, x)
    mean = means.mean(0, dtype='float64')
    var = squares.mean(0, dtype='float64') / x.shape[2] + ((means - mean) ** 2).mean(0)
    return mean.astype('float32'), var.astype('float32')


def _of_rows(loop, *arrays, **of_channel):
    """Two sums that the loop makes of each row of all images, each (N·H, C)."""
    n, rows, _, c = arrays[0].shape
    sums = np.empty((2, n, rows, 1, c), 'float32')
    rows_in_parallel(loop, [*arrays, *sums], *of_channel.values())
    return sums.reshape(2, n * rows, c)


# ---- The loops. Rows start … stop of all images, counted through

@compiled
def _moments(x, means, squares, start, stop):
    """The mean, and Σ (x − mean)²."""
    for row in range(start, stop):
        n, i = divmod(row, x.rows)
        for c in range(0, x.channels, LANES):
            left = x.channels - c
            total = full(ZERO)
            for j in range(x.columns):
                total = total + load(pixel(x, n, i, j, c), left)
            count = np.float32(x.columns)
            mean = total / count
            rest = full(ZERO)                           # what rounding left of Σ (x − mean)
            square = full(ZERO)
            for j in range(x.columns):
                difference = load(pixel(x, n, i, j, c), left) - mean
                rest = rest + difference
                square = square + difference * difference
            store(pixel(means, n, i, 0, c), left, mean + rest / count)
            store(pixel(squares, n, i, 0, c), left, square - rest * rest / count)


@compiled
def _sum_gradients(dy, x, of_w, of_b, mean, start, stop):
    """Σ dy·(x − mean) and Σ dy."""
    for row in range(start, stop):
        n, i = divmod(row, dy.rows)
        for c in range(0, dy.channels, LANES):
            left = dy.channels - c
            dw = full(ZERO)
            db = full(ZERO)
            for j in range(dy.columns):
                given = load(pixel(dy, n, i, j, c), left)
                dw = dw + given * (load(pixel(x, n, i, j, c), left) - load(mean + 4 * c, left))
                db = db + given
            store(pixel(of_w, n, i, 0, c), left, dw)
            store(pixel(of_b, n, i, 0, c), left, db)


@compiled
def _batch_norm(x, y, mean, inverse, w, b, start, stop):
    for row in range(start, stop):
        n, i = divmod(row, x.rows)
        for j in range(x.columns):
            for c in range(0, x.channels, LANES):
                left = x.channels - c
                value = load(pixel(x, n, i, j, c), left) - load(mean + 4 * c, left)
                value = value * load(inverse + 4 * c, left)
                value = value * load(w + 4 * c, left) + load(b + 4 * c, left)
                store(pixel(y, n, i, j, c), left, value)


@compiled
def _batch_norm_backward(dy, x, dx, of_batch, mean, scale, mean_dy, slope, start, stop):
    """dx = scale · (dy − mean(dy) − (x − mean) · slope)."""
    for row in range(start, stop):
        n, i = divmod(row, dx.rows)
        for j in range(dx.columns):
            for c in range(0, dx.channels, LANES):
                left = dx.channels - c
                value = load(pixel(dy, n, i, j, c), left)
                if of_batch:
                    through_var = load(pixel(x, n, i, j, c), left) - load(mean + 4 * c, left)
                    through_var = through_var * load(slope + 4 * c, left)
                    value = value - load(mean_dy + 4 * c, left) - through_var
                store(pixel(dx, n, i, j, c), left, value * load(scale + 4 * c, left))
