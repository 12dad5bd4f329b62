"""Max pooling: a loop over the windows, and over the pixels of each.

    y[n, r, o]  = max of x[n, i, j] over the window of row r, column o
    dx[n, i, j] = Σ dy[n, r, o] over the windows of which (i, j) is the first largest pixel

    for r, o: for each LANES channels: for i, j in the window: compare

A window of k pixels from r·s − p on is clipped to the image. NaN is larger than all numbers; of
equal pixels the first counts.
"""
import numpy as np

from ...geometry import is_dense, pool_size, window
from ..registry import kernel
from .blocking import channels_last
from .images import pixel, rows_in_parallel
from .jit import compiled
from .simd import LANES
from .vec import LOWEST, ZERO, full, is_nan, load, store, store_int, where

MAX_PIXELS = 1 << 24        # a float32 counts no further, and switches are found as floats


def _accepts(x, ksize, stride=None, pad=0, ceil=True, dilation=1):
    return x.dtype == 'float32' and x.ndim == 4 and x.size > 0 and is_dense(dilation)


def _accepts_backward(dy, cache):
    _, y, kwargs = cache
    return (dy.dtype == y.dtype == 'float32' and dy.shape == y.shape and dy.size > 0
            and is_dense(kwargs['dilation']))


def _windows(ksize, stride, pad):
    """ksize, stride and padding, (kh, kw, sh, sw, ph, pw)."""
    ksize, stride, pad, _ = window(ksize, ksize if stride is None else stride, pad)
    return *ksize, *stride, *pad


@kernel('max_pool', 'numpy', accepts=_accepts)
def max_pool(x, ksize, stride=None, pad=0, ceil=True, dilation=1):
    kwargs = dict(ksize=ksize, stride=stride, pad=pad, ceil=ceil, dilation=dilation)
    pixels = channels_last(x)
    y = np.empty((len(x), *pool_size(x.shape[2:], **kwargs), x.shape[1]), x.dtype)
    rows_in_parallel(_max_pool, [pixels, y], _windows(ksize, stride, pad))
    y = y.transpose(0, 3, 1, 2)
    return y, (x, y, kwargs)


@kernel('max_pool_backward', 'numpy', accepts=_accepts_backward)
def max_pool_backward(dy, cache):
    x, y, kwargs = cache
    x, y, dy = map(channels_last, (x, y, dy))
    dx = np.empty(x.shape, x.dtype)
    rows_in_parallel(_max_pool_backward, [x, y, dy, dx],
                     _windows(kwargs['ksize'], kwargs['stride'], kwargs['pad']))
    return dx.transpose(0, 3, 1, 2),


@kernel('max_switches', 'numpy', accepts=lambda x, *args, **kwargs: (
    _accepts(x, *args, **kwargs) and x.shape[2] * x.shape[3] <= MAX_PIXELS))
def max_switches(x, ksize, stride=None, pad=0, ceil=True, dilation=1):
    pixels = channels_last(x)
    size = pool_size(x.shape[2:], ksize, stride, pad, ceil, dilation)
    switches = np.empty((len(x), *size, x.shape[1]), 'int32')
    rows_in_parallel(_max_switches, [pixels, switches], _windows(ksize, stride, pad))
    return switches.transpose(0, 3, 1, 2), ()


# ---- The loops. Rows start … stop of all images, counted through

@compiled
def _clip(start, length, size):
    """The part of start … start + length that is in the image."""
    return max(0, start), min(size, start + length)


@compiled
def _is_larger(value, best):
    """NaN is larger than a number; nothing is larger than NaN."""
    return (value > best) | is_nan(value)


@compiled
def _is_best(value, best):
    """Of the pixels of a window: where one is NaN, so is the largest."""
    return (value == best) | is_nan(value)


@compiled
def _max_pool(x, y, windows, start, stop):
    kh, kw, sh, sw, ph, pw = windows
    for row in range(start, stop):
        n, r = divmod(row, y.rows)
        top, bottom = _clip(r * sh - ph, kh, x.rows)
        for o in range(y.columns):
            left, right = _clip(o * sw - pw, kw, x.columns)
            for c in range(0, x.channels, LANES):
                best = full(LOWEST)
                for i in range(top, bottom):
                    for j in range(left, right):
                        value = load(pixel(x, n, i, j, c), x.channels - c)
                        best = where(_is_larger(value, best), value, best)
                store(pixel(y, n, r, o, c), x.channels - c, best)


@compiled
def _max_switches(x, switches, windows, start, stop):
    """The position i·W + j of the first largest pixel."""
    kh, kw, sh, sw, ph, pw = windows
    for row in range(start, stop):
        n, r = divmod(row, switches.rows)
        top, bottom = _clip(r * sh - ph, kh, x.rows)
        for o in range(switches.columns):
            left, right = _clip(o * sw - pw, kw, x.columns)
            for c in range(0, x.channels, LANES):
                best = load(pixel(x, n, top, left, c), x.channels - c)
                found = full(np.float32(top * x.columns + left))
                for i in range(top, bottom):
                    for j in range(left, right):
                        value = load(pixel(x, n, i, j, c), x.channels - c)
                        position = np.float32(i * x.columns + j)
                        larger = (value > best) | (is_nan(value) & (best == best))
                        found = where(larger, position, found)
                        best = where(larger, value, best)
                store_int(pixel(switches, n, r, o, c), x.channels - c, found)


@compiled
def _max_pool_backward(x, y, dy, dx, windows, start, stop):
    """Each window gives its dy to its first largest pixel, in dx rows start … stop only."""
    row = start
    while row < stop:                                   # the rows of one image after the other
        n, top = divmod(row, dx.rows)
        bottom = min(dx.rows, top + stop - row)
        _add_gradients(x, y, dy, dx, windows, n, top, bottom)
        row += bottom - top


@compiled
def _add_gradients(x, y, dy, dx, windows, n, first_row, end_row):
    """dx rows first_row … end_row of image n; each is cleared when the first window comes to it."""
    kh, kw, sh, sw, ph, pw = windows
    cleared = first_row
    for r in range(max(0, (first_row + ph - kh + sh) // sh),
                   min(y.rows, (end_row - 1 + ph) // sh + 1)):
        top, bottom = _clip(r * sh - ph, kh, x.rows)
        cleared = _clear(dx, n, cleared, min(bottom, end_row))
        for o in range(y.columns):
            left, right = _clip(o * sw - pw, kw, x.columns)
            for c in range(0, x.channels, LANES):
                count = x.channels - c
                best = load(pixel(y, n, r, o, c), count)
                given = load(pixel(dy, n, r, o, c), count)      # 0 as soon as a pixel has it
                for i in range(top, first_row):                 # another thread's
                    for j in range(left, right):
                        is_best = _is_best(load(pixel(x, n, i, j, c), count), best)
                        given = where(is_best, ZERO, given)
                for i in range(max(top, first_row), min(bottom, end_row)):
                    for j in range(left, right):
                        is_best = _is_best(load(pixel(x, n, i, j, c), count), best)
                        at = pixel(dx, n, i, j, c)
                        store(at, count, load(at, count) + where(is_best, given, ZERO))
                        given = where(is_best, ZERO, given)
    _clear(dx, n, cleared, end_row)


@compiled
def _clear(dx, n, first_row, end_row):
    """Zeros in these rows, if there are any. -> the first row below"""
    for i in range(first_row, end_row):
        for j in range(dx.columns):
            for c in range(0, dx.channels, LANES):
                store(pixel(dx, n, i, j, c), dx.channels - c, ZERO)
    return max(first_row, end_row)
