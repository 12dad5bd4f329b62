"""The switches of a max pool: which pixel was the largest of each window.

The position of the maximum within its window fits into a byte, so rows and columns are compared and
stored as bytes, and become positions in the image at the end.
"""
import numpy as np

from ...geometry import axes, is_dense, pool_size
from ...runtime.threads import parallel, split_range
from ..registry import kernel
from .blocking import blocks
from .window_axis import window_axes

BLOCK = 1 << 16         # values of a block; with everything computed from them they fit the cache
MAX_KSIZE = 3           # the largest window for which this is faster than the reference


def _accepts(x, ksize, stride=None, pad=0, ceil=True, dilation=1):
    if not (x.dtype == 'float32' and x.ndim == 4 and x.size > 0 and is_dense(dilation)):
        return False
    _, _, h, w = x.shape
    down, _ = axes(ksize if stride is None else stride, 'stride', 1)
    return (max(axes(ksize, 'ksize', 1)) <= MAX_KSIZE
            and max(h, down) * w < 1 << 31)             # positions fit into an int32


@kernel('max_switches', 'numpy', accepts=_accepts)
def max_switches(x, ksize, stride=None, pad=0, ceil=True, dilation=1):
    oh, ow = pool_size(x.shape[2:], ksize, stride, pad, ceil)
    down, across = window_axes(x.shape[2:], ksize, stride, pad)
    x = x.transpose(0, 2, 3, 1)
    n, _, w, c = x.shape
    switches = np.empty((n, oh, ow, c), 'int32')
    corners = _corners(oh, ow, down, across, w)
    max_rows = max(1, BLOCK // (down.stride * w * c))

    def find(part):
        for images, rows in blocks(part, oh, max_rows):
            first = down.stride * rows.start - down.pad         # negative where it is padding
            end = down.stride * (rows.stop - 1) - down.pad + down.ksize
            pixels = x[images, max(0, first):end]
            block_down = down._replace(pad=max(0, -first))
            largest = np.empty((len(pixels), rows.stop - rows.start, ow, c), x.dtype)
            row, column = _argmax(pixels, largest, block_down, across, np.greater)
            if np.isnan(largest.max()):         # rare, and twice the work
                row, column = _argmax(pixels, largest, block_down, across, _greater_or_nan)
            switch = switches[images, rows]
            np.multiply(row, w, out=switch, dtype='int32')
            switch += column
            switch += corners[rows]

    parallel(find, split_range(n * oh, min_length=max_rows))
    return switches.transpose(0, 3, 1, 2), ()


def _argmax(x, y, down, across, greater):
    """Fill y (N, rows, OW, C) with each window's largest. -> its row and column there, in bytes

    First along the columns of every row, then along the rows. Taps come in order, and only a
    greater one replaces an earlier one: of equal pixels the first is kept.
    """
    # 1. each row of pixels: the largest of the window's columns, and which one it is
    first, tap_of_first, taps = _taps(x.shape[2], y.shape[2], across)
    best = x[:, :, first].copy()
    column_of_best = np.empty(best.shape, 'uint8')
    column_of_best[...] = tap_of_first[:, None]
    for j, windows, pixels in taps:
        tap = x[:, :, pixels]
        so_far = best[:, :, windows]
        column = column_of_best[:, :, windows]
        # j where the tap is greater, 0 elsewhere; j only grows, so the maximum is the right one
        np.maximum(column, j * greater(tap, so_far).view('uint8'), out=column)
        np.maximum(so_far, tap, out=so_far)

    # 2. the largest of the window's rows; the column comes along from the row that wins
    first, tap_of_first, taps = _taps(x.shape[1], y.shape[1], down)
    y[...] = best[:, first]
    columns = column_of_best[:, first].copy()
    rows = np.empty(y.shape, 'uint8')
    rows[...] = tap_of_first[:, None, None]
    for i, windows, pixels in taps:
        tap = best[:, pixels]
        so_far = y[:, windows]
        is_greater = greater(tap, so_far).view('uint8')
        column = columns[:, windows]
        row = rows[:, windows]
        column ^= (column ^ column_of_best[:, pixels]) * is_greater     # where(…), without a copy
        np.maximum(row, i * is_greater, out=row)
        np.maximum(so_far, tap, out=so_far)
    return rows, columns


def _taps(n, out, window):
    """The first tap of each of `out` windows that is inside the image, and all later taps.

    -> the pixel of that tap, its number in the window, both (out,), and a list of (number, slice of
    the windows that have the tap inside the image, slice of the pixels that it reads)
    """
    ksize, stride, pad = window
    corner = stride * np.arange(out) - pad
    taps = []
    for tap in range(1, ksize):
        begin = max(0, -((tap - pad) // stride))
        end = min(out, -((tap - pad - n) // stride))
        if begin < end:
            start = stride * begin + tap - pad
            pixels = slice(start, start + stride * (end - begin), stride)
            taps.append((tap, slice(begin, end), pixels))
    # without padding a slice gives the same pixels, and is faster than an index array
    first = corner.clip(0) if pad else slice(0, stride * out, stride)
    return first, (-corner).clip(0).astype('uint8'), taps


def _greater_or_nan(tap, so_far):
    """tap > so_far, where NaN is greater than all numbers."""
    return ((tap > so_far) | np.isnan(tap)) & ~np.isnan(so_far)


def _corners(oh, ow, down, across, w):
    """Where each window begins: row·W + column, negative in the padding.   (OH, OW, 1), int32"""
    rows = np.arange(oh, dtype='int32')
    columns = np.arange(ow, dtype='int32')
    corners = (down.stride * w * rows[:, None] + across.stride * columns)[..., None]
    return corners - np.int32(down.pad * w + across.pad)
