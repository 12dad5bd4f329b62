"""Max pooling in blocks of rows that stay in the cache.

    y  = the largest row of each window, then the largest column of those
    dx = dy where x == y, the first of equals: a mask for each tap, no switch and no scatter
"""
from itertools import product

import numpy as np
from numpy.lib.stride_tricks import as_strided

from ...geometry import pool_size, window
from ...runtime.threads import parallel, shares
from ..registry import kernel
from .blocking import blocks, fill, meeting, scratch

BLOCK = 1 << 18         # values of a block: with all that is made of them they stay in the cache


@kernel('max_pool', 'numpy', accepts=lambda x, ksize, stride=None, pad=0, ceil=True: (
    x.dtype == 'float32' and x.ndim == 4 and x.size > 0))
def max_pool(x, ksize, stride=None, pad=0, ceil=True):
    how = dict(ksize=ksize, stride=stride, pad=pad, ceil=ceil)
    (n, c, _, w), (oh, ow) = x.shape, pool_size(x.shape[2:], **how)
    rows, columns = _along_each(ksize, stride, pad)
    pixels, y = x.transpose(0, 2, 3, 1), np.empty((n, oh, ow, c), x.dtype)
    height = 1 + BLOCK // (rows[1] * w * c)

    def pool(part):
        for pictures, band in blocks(part, oh, height):
            best = np.empty((pictures.stop - pictures.start, band.stop - band.start, w, c), x.dtype)
            _largest(pixels[pictures], best, 1, band.start, *rows)
            _largest(best, y[pictures, band], 2, 0, *columns)

    parallel(pool, shares(n * oh, 4 * height))      # a block is done before a thread has woken
    y = y.transpose(0, 3, 1, 2)
    return y, (x, y, how)


def _largest(x, y, axis, first, ksize, stride, pad):
    """y = the largest of each window along an axis, from window `first` on."""
    taps = [meeting(range(x.shape[axis]), y.shape[axis], stride, first * stride + tap - pad)
            for tap in range(ksize)]
    taps.sort(key=lambda tap: tap[0].start - tap[0].stop)       # what all windows meet, first
    x, y = x.swapaxes(0, axis), y.swapaxes(0, axis)
    (windows, pixels), *rest = taps
    if windows != slice(0, len(y)):
        y[...] = -np.inf
    y[windows] = x[pixels]
    for windows, pixels in rest:
        if windows.start < windows.stop:
            np.maximum(y[windows], x[pixels], out=y[windows])


@kernel('max_pool_backward', 'numpy', accepts=lambda dy, cache: (
    dy.dtype == cache[1].dtype == 'float32' and dy.shape == cache[1].shape
    and -np.inf < cache[1].min()))      # NaN and −∞ are for the body, which knows the first of them
def max_pool_backward(dy, cache):
    x, y, how = cache
    rows, columns = _along_each(how['ksize'], how['stride'], how['pad'])
    (kh, s, p), (kw, t, q) = rows, columns
    x, y, bits = (a.transpose(0, 2, 3, 1) for a in (x, y, dy.view('int32')))
    (_, h, w, c), (n, oh, ow, _), dx = x.shape, y.shape, np.empty(x.shape, x.dtype)
    height, above = 1 + BLOCK // (s * w * c), -(-kh // s) - 1   # windows above reach into a block

    def give(part):
        for pictures, band in blocks(part, oh, height):
            met = pictures, slice(max(0, band.start - above), band.stop)
            own = slice(max(0, band.start * s - p),
                        h if band.stop == oh else max(0, band.stop * s - p))
            top, largest = met[1].start * s - p, y[met]
            patch, windows = _windows(x[pictures], largest.shape, top, own.stop - top,
                                      rows, columns)
            hit = scratch('cols', -(-windows.size // 4)).view(bool)[:windows.size]
            hit = np.equal(windows, largest, out=hit.reshape(windows.shape))
            free = ~hit[0, 0]
            for tap in [*np.ndindex(kh, kw)][1:]:
                hit[tap] &= free
                free ^= hit[tap]
            beyond = (s * largest.shape[1], t * ow) if s <= kh and t <= kw else (0, 0)
            patch[:, beyond[0]:] = patch[:, :, beyond[1]:] = 0      # the first taps fill the others
            for i, j in product(range(0, kh, s), range(0, kw, t)):
                taps = slice(i, i + s), slice(j, j + t)             # these share no pixel
                share = scratch('m', *hit[taps].shape).view('int32')
                np.negative(hit[taps].view('int8'), out=share)      # all bits, or none
                share &= bits[met]
                if (i, j) == (0, 0):
                    windows[taps] = share.view('float32')
                else:
                    windows[taps] += share.view('float32')
            dx[pictures, own] = patch[:, own.start - top:own.stop - top, q:q + w]

    parallel(give, shares(n * oh, 2 * height))
    return dx.transpose(0, 3, 1, 2),


def _windows(x, shape, top, high, rows, columns):
    """A copy of x from row `top` on, −∞ around it, and its windows, tap by tap.

    shape (P, R, OW, C) -> (P, high or more, W or more, C), (kh, kw, P, R, OW, C)
    """
    (count, down, across, c), (kh, s, _), (kw, t, q) = shape, rows, columns
    patch = scratch('patch', count, max(down * s - s + kh, high),
                    max(across * t - t + kw, x.shape[2] + q), c)
    fill(patch, x, top, -q, -np.inf)
    picture, row, column, one = patch.strides
    return patch, as_strided(patch, (kh, kw, *shape),
                             (row, column, picture, s * row, t * column, one))


def _along_each(ksize, stride, pad):
    """(ksize, stride, pad) of the rows, and of the columns."""
    return zip(*window(ksize, ksize if stride is None else stride, pad)[:3])
