"""Convolutions of float32 on the CPU: which algorithm runs, and how groups are split.

    winograd        3×3 at stride 1 and dilation 1, with at least 16 channels on both sides and
                    enough windows to pay for the transforms
    small_maps      fewer than one window for two filters, where to pack w would cost more than it
                    saves: BLAS multiplies w as it is
    direct          everything else, except small problems, which are left to the reference

An algorithm computes one group. Its functions write into their last array, which may be some of the
channels of a larger one:

    convolve(x, w, b, y, geometry, least)           y  = max(M x + b, least)
    convolve_transposed(dy, w, dx, geometry)        dx = Mᵀ dy
    weight_gradient(x, dy, dw, geometry)            dw[t] = Σ dy · x[t]

    x, dx (N, H, W, C), y, dy (N, OH, OW, K), each with adjacent channels; w, dw (K, C, kh, kw)

Arrays of any strides come in. Results have the shape (N, C, H, W) and the memory order
(N, H, W, C). README.md says what the thresholds rest on.
"""
import numpy as np

from .. import convolution
from . import direct, small_maps, winograd
from .blocking import channels_last
from .images import pixel, rows_in_parallel
from .jit import compiled
from .simd import LANES
from .vec import LOWEST, ZERO, full, load, store, where

SMALL = 1 << 20                 # multiplications
WINOGRAD_CHANNELS = 16          # from here on Winograd's transforms pay
WINOGRAD_WORK = 24_000          # windows · channels
SIDE_BY_SIDE = 1 << 26          # multiplications of dx, and of dw


def choose_exact(problem):
    """The algorithm that rounds no more than the reference; None where that is fast enough."""
    k = problem.out_channels
    c = problem.in_channels
    ksize = problem.ksize
    if problem.groups * problem.windows * k * c * ksize[0] * ksize[1] < SMALL:
        return None
    return small_maps if 2 * problem.windows < k else direct


def choose_winograd(problem):
    """Winograd where it is faster; None elsewhere."""
    k = problem.out_channels
    c = problem.in_channels
    geometry = problem.geometry
    if (problem.ksize, geometry.stride, geometry.dilation) != ((3, 3), (1, 1), (1, 1)):
        return None
    channels = min(k, c)
    enough = (channels * problem.windows >= WINOGRAD_WORK
              and 10 * problem.windows >= 9 * max(k, c))
    return winograd if channels >= WINOGRAD_CHANNELS and enough else None


def is_supported(*arrays):
    """Whether all are NumPy arrays of float32, none of them empty, at addresses of floats."""
    for a in arrays:
        if not (isinstance(a, np.ndarray) and a.dtype == np.float32 and a.size
                and a.flags.aligned):
            return False
    return True


# ---- One algorithm, group by group

def convolve(algorithm, x, w, b, size, geometry, groups):
    """x (N, H, W, C) -> y (N, K, OH, OW)."""
    y = np.empty((len(x), *size, len(w)), x.dtype)
    _convolve_groups(algorithm, x, w, b, y, geometry, groups, LOWEST)
    return y.transpose(0, 3, 1, 2)


def convolve_relu(algorithm, x, w, b, size, geometry, groups, out):
    """x (N, H, W, C), out (N, K, OH, OW) or None -> y (N, K, OH, OW), which is `out` if given."""
    may_write = out is not None and (out.strides[1] == out.itemsize and out.flags.writeable
                                     and not np.may_share_memory(out, x))
    y = out.transpose(0, 2, 3, 1) if may_write else np.empty((len(x), *size, len(w)), x.dtype)
    _convolve_groups(algorithm, x, w, b, y, geometry, groups, ZERO)
    if out is None:
        return y.transpose(0, 3, 1, 2)
    if not may_write:
        out[...] = y.transpose(0, 3, 1, 2)
    return out


def _convolve_groups(algorithm, x, w, b, y, geometry, groups, least):
    for filters, channels in _groups(w.shape, groups):
        bias = None if b is None else b[filters]
        algorithm.convolve(x[..., channels], w[filters], bias, y[..., filters], geometry, least)


def convolve_transposed(algorithm, dy, w, b, size, geometry, groups):
    """dy (N, OH, OW, K) -> dx (N, C, H, W)."""
    dx = np.empty((len(dy), *size, w.shape[1] * groups), dy.dtype)
    for filters, channels in _groups(w.shape, groups):
        algorithm.convolve_transposed(dy[..., filters], w[filters], dx[..., channels], geometry)
    if b is not None:
        dx += b
    return dx.transpose(0, 3, 1, 2)


def weight_gradient(algorithm, x, dy, shape, geometry, groups):
    """x (N, H, W, C), dy (N, OH, OW, K) -> dw of `shape`."""
    dw = np.empty(shape, x.dtype)
    for filters, channels in _groups(shape, groups):
        algorithm.weight_gradient(x[..., channels], dy[..., filters], dw[filters], geometry)
    return dw


def _groups(shape, groups):
    """For each group, the slice of its filters and the slice of the channels that they read."""
    k = shape[0] // groups
    c = shape[1]
    return [(slice(g * k, g * k + k), slice(g * c, g * c + c)) for g in range(groups)]


# ---- db, and the mask of ReLU

def sum_pixels(dy):
    """dy (N, OH, OW, K) -> db (K,), row by row: the same bits for any number of threads."""
    sums = np.zeros((len(dy), dy.shape[1], 1, dy.shape[3]), dy.dtype)
    rows_in_parallel(_sum_rows, [sums, dy])
    return sums.sum((0, 1, 2))


def mask_and_sum(dy, y):
    """dy and y (N, K, OH, OW) -> dy where y > 0, else 0; and db (K,), the sum of that."""
    dy = channels_last(dy)
    masked = np.empty(dy.shape, dy.dtype)
    sums = np.zeros((len(dy), dy.shape[1], 1, dy.shape[3]), dy.dtype)
    rows_in_parallel(_mask_and_sum, [dy, channels_last(y), sums, masked])
    return masked.transpose(0, 3, 1, 2), sums.sum((0, 1, 2))


@compiled
def _sum_rows(sums, dy, start, stop):
    """sums (N, OH, 1, K) += the pixels of each row."""
    for row in range(start, stop):
        n, i = divmod(row, dy.rows)
        for j in range(dy.columns):
            for k in range(0, dy.channels, LANES):
                left = dy.channels - k
                total = load(pixel(sums, n, i, 0, k), left) + load(pixel(dy, n, i, j, k), left)
                store(pixel(sums, n, i, 0, k), left, total)


@compiled
def _mask_and_sum(dy, y, sums, masked, start, stop):
    """masked = dy where y > 0, and `sums` += the pixels of each row of it."""
    for row in range(start, stop):
        n, i = divmod(row, dy.rows)
        for j in range(dy.columns):
            for k in range(0, dy.channels, LANES):
                left = dy.channels - k
                is_positive = load(pixel(y, n, i, j, k), left) > full(ZERO)
                value = where(is_positive, load(pixel(dy, n, i, j, k), left), full(ZERO))
                store(pixel(masked, n, i, j, k), left, value)
                store(pixel(sums, n, i, 0, k), left, load(pixel(sums, n, i, 0, k), left) + value)


BACKEND = convolution.Backend(
    'numpy', is_supported, image_layout=channels_last, weight_layout=lambda w: w,
    convolve=convolve, convolve_transposed=convolve_transposed, weight_gradient=weight_gradient,
    sum_pixels=sum_pixels, side_by_side=SIDE_BY_SIDE, convolve_relu=convolve_relu,
    mask_and_sum=mask_and_sum)


def register(choose, exact):
    """Register the ops with this choice of an algorithm."""
    convolution.register(BACKEND, choose, exact)


register(choose_winograd, exact=False)
register(choose_exact, exact=True)
