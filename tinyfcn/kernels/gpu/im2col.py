"""im2col on the GPU, and a product for each piece of the columns that fits into scratch memory.

    y  = w · cols + b
    dx = Mᵀ dy + b          cols = wᵀ · dy, and every pixel gathers its taps: no atomics
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
from .norm import add_parts
from .product import RUN, multiply, round_up

MAX_PIECE = 1 << 28     # values of scratch memory in a piece: 1 GiB of float32
MIN_SUM = 512           # places that one product sums, at least
MAX_SUMS = 1 << 23      # values of all partial sums of dw together, about
ALIGNED = 4             # a row of y that is a multiple of this begins where four floats are loaded


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

def convolve(x, w, b, y, geometry, groups, relu):
    """x (N, C, H, W), w (K, C/G, kh, kw) -> y (N, K, OH, OW)."""
    n, c = x.shape[:2]
    k, _, *ksize = w.shape
    size = y.shape[2:]
    area = prod(size)
    filters = w.reshape(groups, k // groups, -1)
    # the places of one image are the pixels of y in their order
    is_written_directly = n == 1 and area % ALIGNED == 0
    for first, count in pieces(n * area, c * prod(ksize) + k):
        cols = columns(x, ksize, size, geometry, first, 1, count).reshape(groups, -1, count)
        if is_written_directly:
            part = y.reshape(groups, k // groups, area)[:, :, first:first + count]
            multiply(filters, cols[:, :, :part.shape[2]], out=part)
        else:
            m = multiply(filters, cols)
            launch('im2col', 'to_images', m.size, m, b, y, n, k, area, first, count,
                   b is not None, relu)
    if is_written_directly:
        add_bias(y, b, relu)


def convolve_transposed(dy, w, b, dx, geometry, groups):
    """dy (N, K, OH, OW), w (K, C/G, kh, kw) -> dx (N, C, H, W)."""
    n, k, *size = dy.shape
    ksize = w.shape[2:]
    filters = w.reshape(groups, k // groups, -1).swapaxes(1, 2)
    for first, count in pieces(n * prod(size), dx.shape[1] * prod(ksize) + k):
        gradients = by_place(dy, first, 1, count).reshape(groups, -1, count)
        cols = multiply(filters, gradients).reshape(1, -1, count)
        gather(cols, b, dx, ksize, size, geometry, first, 1, count)


def weight_gradient(x, dy, shape, geometry, groups):
    """x (N, C, H, W), dy (N, K, OH, OW) -> dw (K, C/G, kh, kw)."""
    size = dy.shape[2:]
    k, *taps = shape
    length = prod(taps)
    plan = split_sum(len(x) * prod(size), k * length, groups * length + k)
    dw = array_module(x).empty((plan.blocks, groups, k // groups, length), x.dtype)
    for start in range(0, plan.blocks, plan.at_once):
        part = dw[start:start + plan.at_once]
        place = start * plan.places, len(part), plan.places
        gradients = by_place(dy, *place).reshape(-1, k // groups, plan.places)
        cols = columns(x, taps[1:], size, geometry, *place).reshape(-1, length, plan.places)
        multiply(gradients, cols.swapaxes(1, 2), out=part.reshape(-1, k // groups, length))
    return add_parts(dw, 0).reshape(shape)


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


def add_bias(y, b, relu):
    """Add b (K,) to y (N, K, H, W), or nothing for None; with relu, max(0, ·) of that; in place."""
    if b is not None or relu:
        n, k, *size = y.shape
        launch('im2col', 'add_bias', y.size, b, y, n, k, prod(size), b is not None, relu)


def pieces(places, values):
    """(first, count) of even pieces whose scratch memory fits, `values` values for a place.

    The last piece may reach behind the last place: its rows too are a multiple of RUN long.
    """
    parts = -(-places // _most_places(values))
    count = round_up(-(-places // parts))
    for first in range(0, places, count):
        yield first, min(count, round_up(places - first))


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
    count = min(round_up(-(-places // blocks)), _most_places(values))
    return SumPlan(count, -(-places // count), max(1, MAX_PIECE // (values * count)))


def _most_places(values):
    """How many places, a multiple of RUN and at least one, fit into scratch memory."""
    return max(RUN, MAX_PIECE // values // RUN * RUN)


def _flat(ksize, geometry):
    """ksize, stride, pad and dilation, each along both axes: eight numbers for a kernel."""
    return *ksize, *(number for pair in geometry for number in pair)
