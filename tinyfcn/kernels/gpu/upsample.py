"""y = rows · x · columnsᵀ on the GPU, in one launch: in either matrix a line is a short band.

Upsampling, resizing and averaging are of this form, and so is the backward of each. A sparse
matrix made on the GPU would ask the host how many entries it has; a band is its formula on a grid.
"""
from functools import cached_property, lru_cache
from math import ceil

from ...geometry import axes, bilinear_size, pool_size, transposed_size, window
from ...runtime.backend import array_module
from ..registry import kernel
from .launch import launch, suited


class Bands:
    """A thin matrix: line i has the entries data[i] from column first[i] on.

    entry(i, j) is its formula; along=(first, width) says where the entries of a line may be, and
    across=(first, width) those of a column, so that the transpose is of this kind too.
    """

    def __init__(self, xp, dtype, shape, entry, along, across):
        self.formula, self.shape = (xp, dtype, entry, along, across), shape
        first, width = along
        i = xp.arange(shape[0])
        self.first = xp.asarray(first(i), 'int32')
        j = self.first[:, None] + xp.arange(width)
        inside = (j >= 0) & (j < shape[1])
        self.data = (inside * entry(i[:, None], j)).astype(dtype)

    @cached_property
    def T(self):
        xp, dtype, entry, along, across = self.formula
        return Bands(xp, dtype, self.shape[::-1], lambda i, j: entry(j, i), across, along)

    def toarray(self):
        xp, dtype, entry, *_ = self.formula
        lines, columns = map(xp.arange, self.shape)
        return entry(lines[:, None], columns).astype(dtype)

    def __matmul__(self, x):
        """For a readable body that gets what was made here."""
        return self.toarray() @ x


def _along_both(x, sizes, make, *each):
    """A matrix for each axis, made once: an epoch asks for the same ones at every step."""
    xp = array_module(x)
    return [_made(xp, xp.cuda.runtime.getDevice(), x.dtype, make, *how)
            for how in zip(x.shape[2:], sizes, *each)]


@lru_cache(512)
def _made(xp, device, dtype, make, n, out, *how):
    return Bands(xp, dtype, (out, n), *make(xp, n, out, *how))


def _suits(x):
    return x.ndim == 4 and suited(x)


def _fits(x, size):
    """Whether an int counts the values of y."""
    return len(x) * x.shape[1] * size[0] * size[1] < 1 << 31


@kernel('separable', 'cupy', accepts=lambda x, rows, columns: (
    isinstance(rows, Bands) and isinstance(columns, Bands) and x.ndim == 4
    and suited(x, rows.data, columns.data) and x.shape[2:] == (rows.shape[1], columns.shape[1])
    and _fits(x, (rows.shape[0], columns.shape[0]))))
def separable(x, rows, columns):
    xp, (n, c, h, w), (oh, ow) = array_module(x), x.shape, (len(rows.data), len(columns.data))
    y = xp.empty((n, c, oh, ow), x.dtype)
    launch('upsample', 'separable', y.size, xp.ascontiguousarray(x), rows.first, rows.data,
           columns.first, columns.data, y, n * c, h, w, oh, ow,
           rows.data.shape[1], columns.data.shape[1])
    return y, (x.shape, rows, columns)


# ---- Which entries the matrices have, in the bodies' words: formula, along a line, along a column

@kernel('upsample', 'cupy', accepts=lambda x, factor, ksize=None, pad=0: _suits(x) and _fits(
    x, transposed_size(x.shape[2:], bilinear_size(factor, ksize), factor, pad)))
def upsample(x, factor, ksize=None, pad=0):
    factor, ksize, pad = axes(factor, 'factor', 1), bilinear_size(factor, ksize), axes(pad, 'pad')
    size = transposed_size(x.shape[2:], ksize, factor, pad)
    return separable(x, *_along_both(x, size, _tents, factor, ksize, pad))


def _tents(xp, n, out, f, k, p):
    centre, slope = (k - 1) / 2, (k + 1) // 2
    return (lambda i, j: (1 - abs(i + p - j * f - centre) / slope).clip(0),
            (lambda i: (i + p - k) // f + 1, ceil(k / f)), (lambda j: j * f - p, k))


@kernel('resize', 'cupy', accepts=lambda x, size, align_corners=False: (
    _suits(x) and _fits(x, axes(size, 'size', 1))))
def resize(x, size, align_corners=False):
    make = _between_corners if align_corners else _between_edges
    return separable(x, *_along_both(x, axes(size, 'size', 1), make))


def _between_corners(xp, n, out):
    return _nearest(xp, out, (n - 1) / max(out - 1, 1), lambda i, step: i * step)


def _between_edges(xp, n, out):
    return _nearest(xp, out, n / out, lambda i, step: ((i + .5) * step - .5).clip(0, n - 1))


def _nearest(xp, out, step, at):
    def lines(j):                               # all that may be nearer than 1 to column j
        return xp.floor((j - 1) / step - .5) if step else 0 * j
    return (lambda i, j: (1 - abs(at(i, step) - j)).clip(0),
            (lambda i: xp.floor(at(i, step)), 2), (lines, ceil(2.5 / step) + 2 if step else out))


@kernel('avg_pool', 'cupy', accepts=lambda x, ksize, stride=None, pad=0, ceil=True: _suits(x))
def avg_pool(x, ksize, stride=None, pad=0, ceil=True):
    sizes = pool_size(x.shape[2:], ksize, stride, pad, ceil)
    ksize, stride, pad, _ = window(ksize, ksize if stride is None else stride, pad)
    return separable(x, *_along_both(x, sizes, _windows, ksize, stride, pad))


def _windows(xp, n, out, k, s, p):
    return (lambda i, j: _mean(j, s * i - p, xp.minimum(s * i - p + k, n + p)),
            (lambda i: s * i - p, k), (lambda j: (j + p - k) // s + 1, ceil(k / s)))


@kernel('avg_pool_to', 'cupy', accepts=lambda x, bins: (
    _suits(x) and _fits(x, axes(bins, 'bins', 1))))
def avg_pool_to(x, bins):
    return separable(x, *_along_both(x, axes(bins, 'bins', 1), _bins))


def _bins(xp, n, out):
    return (lambda i, j: _mean(j, i * n // out, -(-(i + 1) * n // out)),
            (lambda i: i * n // out, n // out + 2), (lambda j: j * out // n, out // n + 2))


def _mean(j, first, end):
    return ((j >= first) & (j < end)) / (end - first).clip(1)      # of no window, beyond the last
