"""im2col on the GPU, and one product for each piece of the columns that scratch memory takes.

    y  = w · cols + b
    x  = Mᵀ dy + b          cols = wᵀ · dy, and every pixel gathers its taps: no atomics
    dw = dy · colsᵀ         in blocks of places, whose sums are added in one order

Places are counted through all pictures, so that few places of many pictures are one product, and
w is read once, as it lies.
"""
from math import prod
from numbers import Integral

from ...geometry import conv_size, extent, window
from ...runtime.backend import array_module
from ..registry import kernel
from .launch import launch, suited

SCRATCH = 1 << 28       # values of scratch memory in a piece: 1 GiB of float32
DEEP = 512              # places that are summed by one product; a GPU has 132 multiprocessors or
SUMS = 1 << 23          # more, and dw of 64 filters gives work to one: so it is taken in blocks


@kernel('im2col', 'cupy', accepts=lambda x, ksize, stride=1, pad=0, dilation=1: (
    x.ndim == 4 and suited(x)))
def im2col(x, ksize, stride=1, pad=0, dilation=1):
    ksize, *geometry = window(ksize, stride, pad, dilation)
    size = conv_size(x.shape[2:], ksize, *geometry)
    return (columns(x, ksize, size, geometry, 0, len(x), size[0] * size[1]),
            (x.shape, ksize, *geometry))


@kernel('col2im', 'cupy', accepts=lambda cols, shape, ksize, stride=1, pad=0, dilation=1: (
    cols.ndim == 3 and suited(cols) and _of_windows(cols, shape, ksize, stride, pad, dilation)))
def col2im(cols, shape, ksize, stride=1, pad=0, dilation=1):
    ksize, *geometry = window(ksize, stride, pad, dilation)
    n, c, size = len(cols), cols.shape[1] // prod(ksize), tuple(shape[-2:])
    x = array_module(cols).empty((n, c, *map(int, size)), cols.dtype)
    gather(cols, None, x, ksize, conv_size(size, ksize, *geometry), geometry, 0, n, cols.shape[2])
    return x, (x.shape, ksize, *geometry)


# ---- The road

def convolve(x, w, b, size, geometry, groups):
    """x (N, C, H, W), w (K, C/G, kh, kw) -> y (N, K, *size)."""
    (n, c), (k, _, *ksize), area = x.shape[:2], w.shape, size[0] * size[1]
    filters, y = w.reshape(groups, k // groups, -1), array_module(x).empty((n, k, *size), x.dtype)
    for first, count in pieces(n * area, c * prod(ksize) + k):
        cols = columns(x, ksize, size, geometry, first, 1, count)
        m = multiply(filters, cols.reshape(groups, -1, count))
        launch('im2col', 'to_pictures', m.size, m, b, y, n, k, area, first, count, b is not None)
    return y


def transpose(dy, w, b, size, geometry, groups):
    """dy (N, K, OH, OW), w (K, C/G, kh, kw) -> x (N, C, *size)."""
    (n, k, *places), (_, c, *ksize) = dy.shape, w.shape
    filters = w.reshape(groups, k // groups, -1).swapaxes(1, 2)
    x = array_module(dy).empty((n, c * groups, *size), dy.dtype)
    for first, count in pieces(n * prod(places), x.shape[1] * prod(ksize) + k):
        seen = joined(dy, first, 1, count).reshape(groups, -1, count)
        cols = multiply(filters, seen).reshape(1, -1, count)
        gather(cols, b, x, ksize, places, geometry, first, 1, count)
    return x


def correlate(x, dy, shape, geometry, groups):
    """dw (K, C/G, kh, kw) = ⟨x, dy⟩."""
    xp, n, (k, *taps), size = array_module(x), len(x), shape, dy.shape[2:]
    length, ksize = prod(taps), taps[1:]
    count, blocks, most = shares(n * size[0] * size[1], k * length, groups * length + k)
    dw = xp.empty((blocks, groups, k // groups, length), x.dtype)
    for start in range(0, blocks, most):
        part = dw[start:start + most]
        seen = joined(dy, start * count, len(part), count)
        cols = xp.empty((len(part) * groups, count, length), x.dtype)
        launch('im2col', 'im2col_turned', cols.size, x, cols, *x.shape, *_flat(ksize, geometry),
               *size, start * count, len(part), count, n * size[0] * size[1], groups)
        multiply(seen.reshape(-1, k // groups, count), cols,
                 out=part.reshape(-1, k // groups, length))
    return (dw[0] if blocks == 1 else dw.sum(0)).reshape(shape)


# ---- What the roads share

def columns(x, ksize, size, geometry, first, blocks, count):
    """(blocks, C·kh·kw, count): the windows of so many places, from `first` on."""
    xp, (n, c) = array_module(x), x.shape[:2]
    x, cols = xp.ascontiguousarray(x), xp.empty((blocks, c * prod(ksize), count), x.dtype)
    launch('im2col', 'im2col', blocks * c * count, x, cols, *x.shape, *_flat(ksize, geometry),
           *size, first, blocks, count, n * size[0] * size[1])
    return cols


def gather(cols, b, x, ksize, size, geometry, first, blocks, count):
    """What these windows bring to x, onto b or onto what the windows before them brought."""
    cols = array_module(cols).ascontiguousarray(cols)
    launch('im2col', 'col2im', x.size, cols, b, x, *x.shape,
           *_flat(ksize, geometry), *size, first, blocks, count, b is not None, first > 0)


def joined(y, first, blocks, count):
    """(N, K, OH, OW) -> (blocks, K, count); all pictures, each one a block, lie so already."""
    if (first, blocks, count) == (0, len(y), y.shape[2] * y.shape[3]):
        return y.reshape(blocks, -1, count)
    return columns(y, (1, 1), y.shape[2:], ((1, 1), (0, 0), (1, 1)), first, blocks, count)


def multiply(a, b, out=None):
    """a @ b, of a batch of matrices.

    One pair goes as two matrices: CuPy then turns neither in memory, and cuBLAS may divide the sum.
    """
    xp = array_module(a)
    if len(a) == len(b) == 1:
        return xp.matmul(a[0], b[0], out=None if out is None else out[0])[None]
    return xp.matmul(a, b, out=out)


def pieces(places, each):
    """(first, count) of even pieces that scratch memory takes, `each` values for a place."""
    parts = -(-places // max(1, SCRATCH // each))
    count = -(-places // parts)
    for first in range(0, places, count):
        yield first, min(count, places - first)


def shares(places, sums, each):
    """-> places in a block, blocks, and how many of them scratch memory takes at once"""
    blocks = max(1, min(places // DEEP, SUMS // sums))
    count = min(-(-places // blocks), max(1, SCRATCH // each))
    return count, -(-places // count), max(1, SCRATCH // (each * count))


def _flat(ksize, geometry):
    return *ksize, *(number for pair in geometry for number in pair)


def _of_windows(cols, shape, *how):
    """Whether these are the columns of such an image; why not is for the body to say."""
    if not hasattr(shape, '__len__') or not all(isinstance(v, Integral) for v in shape):
        return False
    ksize, stride, pad, dilation = window(*how)
    c = cols.shape[1] // prod(ksize)
    size = conv_size(extent(shape, c, len(cols)), ksize, stride, pad, dilation)
    return cols.shape[1:] == (c * prod(ksize), prod(size))
