"""im2col on the GPU, and a product for each piece of the columns that fits into scratch memory.

    y  = w · cols + b
    x  = Mᵀ dy + b          cols = wᵀ · dy, and every pixel gathers its taps: no atomics
    dw = dy · colsᵀ         in blocks of places, whose sums are added in a fixed order

A place is where a window lies. Places are counted through all images, so a few places of many
images are one product, and w is read once, without a copy.
"""
from math import prod
from numbers import Integral
from typing import NamedTuple

from ...geometry import conv_size, extent, window
from ...runtime.backend import array_module
from ..registry import kernel
from .launch import are_gpu_floats, launch

MAX_PIECE = 1 << 28     # values of scratch memory in a piece: 1 GiB of float32
MIN_SUM = 512           # places that one product sums, at least
MAX_SUMS = 1 << 23      # values of all partial sums of dw together, about


@kernel('im2col', 'cupy', accepts=lambda x, ksize, stride=1, pad=0, dilation=1: (
    x.ndim == 4 and are_gpu_floats(x)))
def im2col(x, ksize, stride=1, pad=0, dilation=1):
    ksize, *geometry = window(ksize, stride, pad, dilation)
    size = conv_size(x.shape[2:], ksize, *geometry)
    return (columns(x, ksize, size, geometry, 0, len(x), size[0] * size[1]),
            (x.shape, ksize, *geometry))


def _accepts_col2im(cols, shape, ksize, stride=1, pad=0, dilation=1):
    """Whether `cols` are the columns of such an image; the reference says why they are not."""
    if cols.ndim != 3 or not are_gpu_floats(cols):
        return False
    if not hasattr(shape, '__len__') or not all(isinstance(v, Integral) for v in shape):
        return False
    ksize, stride, pad, dilation = window(ksize, stride, pad, dilation)
    c = cols.shape[1] // prod(ksize)
    size = conv_size(extent(shape, c, len(cols)), ksize, stride, pad, dilation)
    return cols.shape[1:] == (c * prod(ksize), prod(size))


@kernel('col2im', 'cupy', accepts=_accepts_col2im)
def col2im(cols, shape, ksize, stride=1, pad=0, dilation=1):
    ksize, *geometry = window(ksize, stride, pad, dilation)
    n = len(cols)
    c = cols.shape[1] // prod(ksize)
    size = tuple(map(int, shape[-2:]))
    x = array_module(cols).empty((n, c, *size), cols.dtype)
    gather(cols, None, x, ksize, conv_size(size, ksize, *geometry), geometry, 0, n, cols.shape[2])
    return x, (x.shape, ksize, *geometry)


# ---- The algorithm

def convolve(x, w, b, size, geometry, groups):
    """x (N, C, H, W), w (K, C/G, kh, kw) -> y (N, K, *size)."""
    n, c = x.shape[:2]
    k, _, *ksize = w.shape
    area = size[0] * size[1]
    filters = w.reshape(groups, k // groups, -1)
    y = array_module(x).empty((n, k, *size), x.dtype)
    for first, count in pieces(n * area, c * prod(ksize) + k):
        cols = columns(x, ksize, size, geometry, first, 1, count)
        m = multiply(filters, cols.reshape(groups, -1, count))
        launch('im2col', 'to_images', m.size, m, b, y, n, k, area, first, count, b is not None)
    return y


def convolve_transposed(dy, w, b, size, geometry, groups):
    """dy (N, K, OH, OW), w (K, C/G, kh, kw) -> x (N, C, *size)."""
    n, k, *out_size = dy.shape
    _, c, *ksize = w.shape
    filters = w.reshape(groups, k // groups, -1).swapaxes(1, 2)
    x = array_module(dy).empty((n, c * groups, *size), dy.dtype)
    for first, count in pieces(n * prod(out_size), x.shape[1] * prod(ksize) + k):
        gradients = by_place(dy, first, 1, count).reshape(groups, -1, count)
        cols = multiply(filters, gradients).reshape(1, -1, count)
        gather(cols, b, x, ksize, out_size, geometry, first, 1, count)
    return x


def weight_gradient(x, dy, shape, geometry, groups):
    """x (N, C, H, W), dy (N, K, OH, OW) -> dw (K, C/G, kh, kw)."""
    xp = array_module(x)
    n = len(x)
    size = dy.shape[2:]
    k, *taps = shape
    length = prod(taps)
    ksize = taps[1:]
    places = n * size[0] * size[1]
    plan = split_sum(places, k * length, groups * length + k)
    dw = xp.empty((plan.blocks, groups, k // groups, length), x.dtype)
    for start in range(0, plan.blocks, plan.at_once):
        part = dw[start:start + plan.at_once]
        first = start * plan.places
        gradients = by_place(dy, first, len(part), plan.places)
        cols = xp.empty((len(part) * groups, plan.places, length), x.dtype)
        launch('im2col', 'im2col_transposed', cols.size, x, cols, *x.shape,
               *_flat(ksize, geometry), *size, first, len(part), plan.places, places, groups)
        multiply(gradients.reshape(-1, k // groups, plan.places), cols,
                 out=part.reshape(-1, k // groups, length))
    return (dw[0] if plan.blocks == 1 else dw.sum(0)).reshape(shape)


# ---- What the algorithms share

def columns(x, ksize, size, geometry, first, blocks, count):
    """(blocks, C·kh·kw, count): the windows at blocks · count places, from place `first` on."""
    xp = array_module(x)
    n, c = x.shape[:2]
    x = xp.ascontiguousarray(x)
    cols = xp.empty((blocks, c * prod(ksize), count), x.dtype)
    launch('im2col', 'im2col', blocks * c * count, x, cols, *x.shape, *_flat(ksize, geometry),
           *size, first, blocks, count, n * size[0] * size[1])
    return cols


def gather(cols, b, x, ksize, size, geometry, first, blocks, count):
    """Fill x from these columns: the first ones are added to b, all others to what x holds."""
    cols = array_module(cols).ascontiguousarray(cols)
    launch('im2col', 'col2im', x.size, cols, b, x, *x.shape,
           *_flat(ksize, geometry), *size, first, blocks, count, b is not None, first > 0)


def by_place(y, first, blocks, count):
    """(N, K, OH, OW) -> (blocks, K, count); no copy where each image is a block."""
    if (first, blocks, count) == (0, len(y), y.shape[2] * y.shape[3]):
        return y.reshape(blocks, -1, count)
    return columns(y, (1, 1), y.shape[2:], ((1, 1), (0, 0), (1, 1)), first, blocks, count)


def multiply(a, b, out=None):
    """a @ b, of a batch of matrices.

    A batch of one is multiplied as two matrices: then CuPy copies neither into another order, and
    cuBLAS may split the sum over several blocks.
    """
    xp = array_module(a)
    if len(a) == len(b) == 1:
        return xp.matmul(a[0], b[0], out=None if out is None else out[0])[None]
    return xp.matmul(a, b, out=out)


def pieces(places, values):
    """(first, count) of even pieces whose scratch memory fits, `values` values for a place."""
    parts = -(-places // max(1, MAX_PIECE // values))
    count = -(-places // parts)
    for first in range(0, places, count):
        yield first, min(count, places - first)


class SumPlan(NamedTuple):
    """How a sum over all places is split into partial sums."""

    places: int         # of a block; the last one may have fewer
    blocks: int
    at_once: int        # blocks that fit into scratch memory together


def split_sum(places, results, values):
    """A SumPlan for a sum with `results` results, which reads `values` values at each place.

    dw of few filters is a small result with a long sum. One product would occupy few of a GPU's
    multiprocessors (an H100 has 132), so the places are split into blocks.
    """
    blocks = max(1, min(places // MIN_SUM, MAX_SUMS // results))
    count = min(-(-places // blocks), max(1, MAX_PIECE // values))
    return SumPlan(count, -(-places // count), max(1, MAX_PIECE // (values * count)))


def _flat(ksize, geometry):
    """ksize, stride, pad and dilation, each along both axes: eight numbers for a kernel."""
    return *ksize, *(number for pair in geometry for number in pair)
