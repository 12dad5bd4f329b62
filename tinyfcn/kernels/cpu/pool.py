"""Max pooling in blocks of rows that stay in the cache.

    y  = the largest row of each window, then the largest column of those
    dx = dy where x == y, at the first of equal pixels: a mask for each tap, no stored positions
"""
from itertools import product

import numpy as np
from numpy.lib.stride_tricks import as_strided

from ...geometry import is_dense, pool_size
from ...runtime.threads import parallel, split_range
from ..registry import kernel
from .blocking import blocks, copy_padded, overlap, scratch
from .window_axis import window_axes

BLOCK = 1 << 18         # values of a block; with everything computed from them they fit the cache


def _accepts(x, ksize, stride=None, pad=0, ceil=True, dilation=1):
    return x.dtype == 'float32' and x.ndim == 4 and x.size > 0 and is_dense(dilation)


@kernel('max_pool', 'numpy', accepts=_accepts)
def max_pool(x, ksize, stride=None, pad=0, ceil=True, dilation=1):
    kwargs = dict(ksize=ksize, stride=stride, pad=pad, ceil=ceil, dilation=dilation)
    n, c, _, w = x.shape
    oh, ow = pool_size(x.shape[2:], **kwargs)
    down, across = window_axes(x.shape[2:], ksize, stride, pad)
    pixels = x.transpose(0, 2, 3, 1)
    y = np.empty((n, oh, ow, c), x.dtype)
    max_rows = 1 + BLOCK // (down.stride * w * c)

    def pool(part):
        for images, rows in blocks(part, oh, max_rows):
            count = images.stop - images.start
            of_rows = np.empty((count, rows.stop - rows.start, w, c), x.dtype)
            _max_along(pixels[images], of_rows, 1, rows.start, down)
            _max_along(of_rows, y[images, rows], 2, 0, across)

    # four blocks for a thread, or it is done before another one wakes
    parallel(pool, split_range(n * oh, 4 * max_rows))
    y = y.transpose(0, 3, 1, 2)
    return y, (x, y, kwargs)


def _max_along(x, y, axis, first, window):
    """y = the largest pixel of each window along an axis, from window `first` on."""
    taps = [overlap(range(x.shape[axis]), y.shape[axis], window.stride,
                    first * window.stride + tap - window.pad)
            for tap in range(window.ksize)]
    # begin with the tap that is inside the image for most windows: y is filled by a copy
    taps.sort(key=lambda tap: tap[0].start - tap[0].stop)
    x = x.swapaxes(0, axis)
    y = y.swapaxes(0, axis)
    (windows, pixels), *rest = taps
    if windows != slice(0, len(y)):
        y[...] = -np.inf
    y[windows] = x[pixels]
    for windows, pixels in rest:
        if windows.start < windows.stop:
            np.maximum(y[windows], x[pixels], out=y[windows])


def _accepts_backward(dy, cache):
    _, y, kwargs = cache
    return (dy.dtype == y.dtype == 'float32' and dy.shape == y.shape and dy.size > 0
            and is_dense(kwargs['dilation'])
            and -np.inf < y.min())          # the reference knows which NaN or −∞ was the first


@kernel('max_pool_backward', 'numpy', accepts=_accepts_backward)
def max_pool_backward(dy, cache):
    x, y, kwargs = cache
    down, across = window_axes(x.shape[2:], kwargs['ksize'], kwargs['stride'], kwargs['pad'])
    x = x.transpose(0, 2, 3, 1)
    y = y.transpose(0, 2, 3, 1)
    dy_bits = dy.view('int32').transpose(0, 2, 3, 1)
    _, h, w, c = x.shape
    n, oh, ow, _ = y.shape
    dx = np.empty(x.shape, x.dtype)
    max_rows = 1 + BLOCK // (down.stride * w * c)
    rows_above = -(-down.ksize // down.stride) - 1      # of windows that reach into a block

    def backward(part):
        for images, rows in blocks(part, oh, max_rows):
            # 1. The block owns the rows of dx from its first window's top on, up to the next
            #    block's. The windows of some rows above also reach into them.
            windows = images, slice(max(0, rows.start - rows_above), rows.stop)
            first_row = max(0, rows.start * down.stride - down.pad)
            end_row = h if rows.stop == oh else max(0, rows.stop * down.stride - down.pad)
            top = windows[1].start * down.stride - down.pad
            largest = y[windows]

            # 2. A padded copy of the pixels, and a view of it tap by tap.
            patch, taps = _taps(x[images], largest.shape, top, end_row - top, down, across)
            # 3. At which tap is the first of each window's largest pixels?
            is_first = _first_largest(taps, largest)
            # 4. The copy is no longer needed: overwrite its pixels with their gradients.
            _add_gradients(patch, taps, is_first, dy_bits[windows], down, across)
            dx[images, first_row:end_row] = patch[:, first_row - top:end_row - top,
                                                  across.pad:across.pad + w]

    parallel(backward, split_range(n * oh, 2 * max_rows))
    return dx.transpose(0, 3, 1, 2),


def _first_largest(taps, largest):
    """A mask like taps (kh, kw, N, rows, OW, C): true at the first maximum of each window."""
    mask = scratch('cols', -(-taps.size // 4)).view(bool)[:taps.size]
    mask = np.equal(taps, largest, out=mask.reshape(taps.shape))
    unclaimed = ~mask[0, 0]
    for tap in [*np.ndindex(*mask.shape[:2])][1:]:
        mask[tap] &= unclaimed          # an earlier tap of equal value goes first
        unclaimed ^= mask[tap]
    return mask


def _add_gradients(patch, taps, is_first, dy_bits, down, across):
    """Fill `patch`, of which `taps` is a view, with the gradient of each of its pixels.

    A pixel gets the dy of every window whose first maximum it is. Windows overlap where the stride
    is smaller than ksize, so one pixel may be several taps, and what they get is added. But taps
    less than a stride apart are different pixels in all windows. So the taps are taken in groups
    of stride × stride: the first group is written, which fills all pixels below it, and the other
    groups are added.
    """
    kh, kw, _, rows, ow, _ = taps.shape
    s = down.stride
    t = across.stride
    # the pixels that the first group does not write must be 0; with gaps between windows, all
    written = (s * rows, t * ow) if s <= kh and t <= kw else (0, 0)
    patch[:, written[0]:] = 0
    patch[:, :, written[1]:] = 0
    for i, j in product(range(0, kh, s), range(0, kw, t)):
        group = slice(i, i + s), slice(j, j + t)
        # dy where the mask is true, else 0, without a multiplication: −1 has all bits set
        gradient = scratch('m', *is_first[group].shape).view('int32')
        np.negative(is_first[group].view('int8'), out=gradient)
        gradient &= dy_bits
        if (i, j) == (0, 0):
            taps[group] = gradient.view('float32')
        else:
            taps[group] += gradient.view('float32')


def _taps(x, shape, top, height, down, across):
    """A copy of x from row `top` on, −∞ around the image, and a view of its windows tap by tap.

    shape (N, rows, OW, C) -> (N, height or more, W or more, C), (kh, kw, N, rows, OW, C)
    """
    count, rows, columns, c = shape
    s = down.stride
    t = across.stride
    patch = scratch('patch', count, max(rows * s - s + down.ksize, height),
                    max(columns * t - t + across.ksize, x.shape[2] + across.pad), c)
    copy_padded(patch, x, top, -across.pad, -np.inf)
    image, row, column, channel = patch.strides
    return patch, as_strided(patch, (down.ksize, across.ksize, *shape),
                             (row, column, image, s * row, t * column, channel))
