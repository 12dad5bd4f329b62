"""y = rows · x · columnsᵀ on the GPU, in one launch: a line of either matrix is a short band.

Upsampling, resizing and averaging have this form, and so has the backward of each. To build a
sparse matrix on the GPU, CuPy asks the GPU how many entries it has, and the host waits. A band
matrix is a formula evaluated on a grid, so nothing waits.
"""
from collections.abc import Callable
from functools import cached_property, lru_cache
from math import ceil
from typing import Any, NamedTuple

from ...geometry import (
    axes,
    bilinear_size,
    crop_size,
    is_dense,
    pool_size,
    transposed_size,
    useful_taps,
    window,
)
from ...runtime.backend import array_module
from ..registry import kernel
from . import tape
from .launch import are_gpu_floats, launch


class Band(NamedTuple):
    """Where the entries of line i may be: `width` of them, from first(i) on."""

    first: Callable[[Any], Any]
    width: int


class BandFormula(NamedTuple):
    """A matrix by its formula entry(row, column), and where its entries may be other than 0."""

    entry: Callable[[Any, Any], Any]
    in_row: Band
    in_column: Band


class BandMatrix:
    """A thin matrix: row i has the entries data[i], from column first[i] on.

    It knows the band of its columns too, so its transpose is a BandMatrix.
    """

    def __init__(self, xp, dtype, shape, formula):
        self.xp = xp
        self.dtype = dtype
        self.shape = shape
        self.formula = formula
        i = xp.arange(shape[0])
        self.first = xp.asarray(formula.in_row.first(i), 'int32')
        j = self.first[:, None] + xp.arange(formula.in_row.width)
        inside = (j >= 0) & (j < shape[1])
        self.data = (inside * formula.entry(i[:, None], j)).astype(dtype)

    @cached_property
    def T(self):
        entry, in_row, in_column = self.formula
        transposed = BandFormula(lambda i, j: entry(j, i), in_column, in_row)
        return BandMatrix(self.xp, self.dtype, self.shape[::-1], transposed)

    def toarray(self):
        rows, columns = map(self.xp.arange, self.shape)
        return self.formula.entry(rows[:, None], columns).astype(self.dtype)

    def __matmul__(self, x):
        """For a reference implementation that is given a cache made here."""
        return self.toarray() @ x


tape.constants.add(BandMatrix)


def _along_both_axes(x, sizes, make, *options):
    """The matrix of each axis. Each is made once: an epoch needs the same ones at every step."""
    xp = array_module(x)
    device = xp.cuda.runtime.getDevice()
    return [_matrix(xp, device, x.dtype, make, *of_axis)
            for of_axis in zip(x.shape[2:], sizes, *options)]


@lru_cache(512)
def _matrix(xp, device, dtype, make, n, out, *options):
    return BandMatrix(xp, dtype, (out, n), make(xp, n, out, *options))


def _is_image(x):
    return x.ndim == 4 and are_gpu_floats(x)


def _int_counts(x, size):
    """Whether an int can index an output of this (H, W)."""
    return len(x) * x.shape[1] * size[0] * size[1] < 1 << 31


def _accepts_separable(x, rows, columns):
    return (isinstance(rows, BandMatrix) and isinstance(columns, BandMatrix) and x.ndim == 4
            and are_gpu_floats(x, rows.data, columns.data)
            and x.shape[2:] == (rows.shape[1], columns.shape[1])
            and _int_counts(x, (rows.shape[0], columns.shape[0])))


@kernel('separable', 'cupy', accepts=_accepts_separable)
def separable(x, rows, columns):
    xp = array_module(x)
    n, c, h, w = x.shape
    oh = len(rows.data)
    ow = len(columns.data)
    y = xp.empty((n, c, oh, ow), x.dtype)
    launch('upsample', 'separable', y.size, xp.ascontiguousarray(x), rows.first, rows.data,
           columns.first, columns.data, y, n * c, h, w, oh, ow,
           rows.data.shape[1], columns.data.shape[1])
    return y, (x.shape, rows, columns)


# ---- The ops, each with the formula of its matrix

@kernel('upsample', 'cupy', accepts=lambda x, factor, ksize=None, pad=0: _is_image(x) and (
    _int_counts(x, transposed_size(x.shape[2:], bilinear_size(factor, ksize), factor, pad))))
def upsample(x, factor, ksize=None, pad=0):
    factor = axes(factor, 'factor', 1)
    ksize = bilinear_size(factor, ksize)
    pad = axes(pad, 'pad')
    size = transposed_size(x.shape[2:], ksize, factor, pad)
    return separable(x, *_along_both_axes(x, size, _bilinear, factor, ksize, pad))


@kernel('upsample_crop', 'cupy', accepts=lambda x, factor, size, offset=0, ksize=None, pad=0: (
    _is_image(x) and _int_counts(x, axes(size, 'size', 1))))
def upsample_crop(x, factor, size, offset=0, ksize=None, pad=0):
    """Pixels before the first that is taken are left out, as padding is: p is pad + offset."""
    factor = axes(factor, 'factor', 1)
    ksize = bilinear_size(factor, ksize)
    pad = axes(pad, 'pad')
    size = crop_size(transposed_size(x.shape[2:], ksize, factor, pad), size, offset)
    before = [p + first for p, first in zip(pad, axes(offset, 'offset'))]
    return separable(x, *_along_both_axes(x, size, _bilinear, factor, ksize, before))


def _bilinear(xp, n, out, f, k, p):
    centre = (k - 1) / 2
    slope = (k + 1) // 2
    return BandFormula(
        entry=lambda i, j: (1 - abs(i + p - j * f - centre) / slope).clip(0),
        in_row=Band(lambda i: (i + p - k) // f + 1, ceil(k / f)),
        in_column=Band(lambda j: j * f - p, k))


def _accepts_resize(x, size=None, align_corners=False, scale=None, mode='bilinear'):
    return (_is_image(x) and size is not None and scale is None and mode == 'bilinear'
            and _int_counts(x, axes(size, 'size', 1)))


@kernel('resize', 'cupy', accepts=_accepts_resize)
def resize(x, size, align_corners=False, scale=None, mode='bilinear'):
    make = _align_corners if align_corners else _align_edges
    return separable(x, *_along_both_axes(x, axes(size, 'size', 1), make))


def _align_corners(xp, n, out):
    """The first and the last pixel of input and output are at the same place."""
    return _interpolation(xp, out, (n - 1) / max(out - 1, 1), lambda i, step: i * step)


def _align_edges(xp, n, out):
    """The edges of the first and the last pixel of input and output are at the same place."""
    return _interpolation(xp, out, n / out,
                          lambda i, step: ((i + .5) * step - .5).clip(0, n - 1))


def _interpolation(xp, out, step, position):
    """Linear interpolation at position(i, step) between the two nearest pixels."""
    def first_row(j):           # of all outputs that may be nearer than 1 to pixel j
        return xp.floor((j - 1) / step - .5) if step else 0 * j

    return BandFormula(
        entry=lambda i, j: (1 - abs(position(i, step) - j)).clip(0),
        in_row=Band(lambda i: xp.floor(position(i, step)), 2),
        in_column=Band(first_row, ceil(2.5 / step) + 2 if step else out))


def _accepts_avg_pool(x, ksize, stride=None, pad=0, ceil=True, dilation=1, count_include_pad=True):
    return _is_image(x) and is_dense(dilation)


@kernel('avg_pool', 'cupy', accepts=_accepts_avg_pool)
def avg_pool(x, ksize, stride=None, pad=0, ceil=True, dilation=1, count_include_pad=True):
    sizes = pool_size(x.shape[2:], ksize, stride, pad, ceil)
    ksize, stride, pad, _ = window(ksize, ksize if stride is None else stride, pad)
    counts_pad = bool(count_include_pad), bool(count_include_pad)
    return separable(x, *_along_both_axes(x, sizes, _windows, ksize, stride, pad, counts_pad))


def _windows(xp, n, out, k, s, p, counts_pad):
    begin, end = (-p, n + p) if counts_pad else (0, n)          # pixels that count
    return BandFormula(
        entry=lambda i, j: _mean(j, xp.maximum(s * i - p, begin), xp.minimum(s * i - p + k, end)),
        in_row=Band(lambda i: s * i - p, useful_taps(n, k, p)),
        in_column=Band(lambda j: ((j + p - k) // s + 1).clip(0), min(ceil(k / s), out)))


@kernel('avg_pool_to', 'cupy', accepts=lambda x, bins: (
    _is_image(x) and _int_counts(x, axes(bins, 'bins', 1))))
def avg_pool_to(x, bins):
    return separable(x, *_along_both_axes(x, axes(bins, 'bins', 1), _bins))


def _bins(xp, n, out):
    return BandFormula(
        entry=lambda i, j: _mean(j, i * n // out, -(-(i + 1) * n // out)),
        in_row=Band(lambda i: i * n // out, n // out + 2),
        in_column=Band(lambda j: j * out // n, out // n + 2))


def _mean(j, first, end):
    """The weight of pixel j in the mean over first … end − 1."""
    # beyond the last window end − first may be 0 or less
    return ((j >= first) & (j < end)) / (end - first).clip(1)
