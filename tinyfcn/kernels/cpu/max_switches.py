"""The switches of a max pool: a byte for each window remembers which tap was largest."""
import numpy as np

from ...geometry import axes, pool_size, window
from ...runtime.threads import parallel, shares
from ..registry import kernel
from .blocking import blocks

BLOCK = 1 << 16         # values of a block: with all that is made of them they stay in the cache

def _suits_pool(x, ksize, stride=None, pad=0, ceil=True):
    return x.dtype == 'float32' and x.ndim == 4 and x.size > 0 \
        and max(axes(ksize, 'ksize', 1)) <= 3 and x.shape[2] * x.shape[3] < 1 << 31


@kernel('max_switches', 'numpy', accepts=_suits_pool)
def max_switches(x, ksize, stride=None, pad=0, ceil=True):
    return _pooled(x, ksize, stride, pad, ceil)[1], ()


def _pooled(x, ksize, stride, pad, ceil):
    """-> y and switches (N, C, OH, OW), int32, both channels-last"""
    oh, ow = pool_size(x.shape[2:], ksize, stride, pad, ceil)
    (kh, kw), (down, right), (above, left), _ = window(ksize, ksize if stride is None else stride,
                                                       pad)
    x = x.transpose(0, 2, 3, 1)
    n, _, w, c = x.shape
    y, switches = np.empty((n, oh, ow, c), x.dtype), np.empty((n, oh, ow, c), 'int32')
    corner = _corners(oh, ow, down, right, w) - np.int32(above * w + left)
    height = max(1, BLOCK // (down * w * c))

    def pool(part):
        for here in blocks(part, oh, height):
            pictures, rows = here
            first = down * rows.start - above               # row of the block, if it is there
            seen = x[pictures, max(0, first):down * (rows.stop - 1) - above + kh]
            out, switch = y[here], switches[here]
            how = (kh, down, max(0, -first)), (kw, right, left)
            row, column = _largest(seen, out, *how, np.greater)
            if np.isnan(out.max()):             # rare, and twice the work: the first NaN is largest
                row, column = _largest(seen, out, *how, _above)
            np.multiply(row, w, out=switch, dtype='int32')
            switch += column
            switch += corner[rows]

    parallel(pool, shares(n * oh, least=height))
    return y.transpose(0, 3, 1, 2), switches.transpose(0, 3, 1, 2)


def _largest(x, y, rows, columns, above):
    """Fill y (P, R, OW, C) with each window's largest. -> its row and column in the window, bytes

    Taps come in order and only a larger one replaces another: the first of equals stays. rows and
    columns are ksize, stride and padding along an axis.
    """
    first, tap_of_first, taps = _taps(x.shape[2], y.shape[2], *columns)
    best = x[:, :, first].copy()
    at = np.empty(best.shape, 'uint8')
    at[...] = tap_of_first[:, None]
    for j, windows, pixels in taps:
        tap, held, column = x[:, :, pixels], best[:, :, windows], at[:, :, windows]
        np.maximum(column, j * above(tap, held).view('uint8'), out=column)
        np.maximum(held, tap, out=held)

    first, tap_of_first, taps = _taps(x.shape[1], y.shape[1], *rows)
    y[...], columns = best[:, first], at[:, first].copy()
    rows = np.empty(y.shape, 'uint8')
    rows[...] = tap_of_first[:, None, None]
    for i, windows, pixels in taps:
        tap, held = best[:, pixels], y[:, windows]
        more = above(tap, held).view('uint8')
        column, row = columns[:, windows], rows[:, windows]
        column ^= (column ^ at[:, pixels]) * more       # the tap's where more, else its own
        np.maximum(row, i * more, out=row)
        np.maximum(held, tap, out=held)
    return rows, columns


def _taps(n, out, ksize, stride, pad):
    """The pixel of each window's first tap within the image, that tap, and all later taps.

    -> (out,), (out,), [(tap, slice of the windows that it meets, slice of the pixels)]
    """
    corner, taps = stride * np.arange(out) - pad, []
    for tap in range(1, ksize):
        begin, end = max(0, -((tap - pad) // stride)), min(out, -((tap - pad - n) // stride))
        if begin < end:
            start = stride * begin + tap - pad
            end_of = start + stride * (end - begin)
            taps.append((tap, slice(begin, end), slice(start, end_of, stride)))
    # without padding a slice says the same, and is quicker than a list of places
    first = corner.clip(0) if pad else slice(0, stride * out, stride)
    return first, (-corner).clip(0).astype('uint8'), taps


def _above(tap, held):
    """tap > held, where NaN is larger than all."""
    return ((tap > held) | np.isnan(tap)) & ~np.isnan(held)


def _corners(oh, ow, down, right, w):
    """Where each window begins: row·W + column.   (OH, OW, 1)"""
    rows, columns = np.arange(oh, dtype='int32'), np.arange(ow, dtype='int32')
    return (down * w * rows[:, None] + right * columns)[..., None]
