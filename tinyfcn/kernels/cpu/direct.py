"""Convolution without im2col: tiles (tile.py) that read the windows of an image where they lie.

    y  = M x + b            convolve
    dx = Mᵀ dy              convolve_transposed: a convolution of dy for each phase of the stride
    dw = Σ dy · x[t]        weight_gradient

M is the matrix of the convolution (ops/conv.py). The first as loops, one image, stride s, padded x:

    for r in range(OH):
        for o in range(OW):                         # 12 pixels of a line at a time
            for k in range(K):                      # 32 filters at a time
                y[r, o, k] = b[k]
                for i in range(kh):                                         # a run each
                    for j, c in product(range(kw), range(C)):               # the steps of a run
                        y[r, o, k] += x[r·s + i, o·s + j, c] * w[k, c, i, j]

With the channels of a pixel side by side in memory, the kw·C numbers that row i of a window covers
lie side by side too, so j and c are one loop, and the tile needs no column. `gather` is this nest
with three additions:

1. w is packed: the filters of a panel (as many as a tile has) side by side, for each tap and
   channel. A step then reads one short piece of it, the next step the next piece.
2. Some rows of x, with zeros around the image, are copied into a *patch* that stays in the cache
   while all panels pass over it. Where nothing is padded, x itself is read.
3. The last tile of a line overlaps the one before it, and computes those pixels once more.

`correlate` exchanges the roles: the rows of a tile are the kw·C numbers under a row of taps, its
steps are the pixels of a line, and its runs the lines of the patch.
"""
from functools import cache
from math import gcd
from typing import NamedTuple

import numpy as np

from ..convolution import Geometry
from . import small_maps
from .blocking import parallel_for, scratch
from .images import image_of, pixel
from .jit import compiled
from .memory import clear_floats, copy_floats
from .simd import LANES
from .tile import choose_shape, tile
from .vec import load, store

PATCH = 1 << 16         # values of a patch, 256 kB
LARGE_FILTERS = 1 << 18  # values of w above which more pixels should pass for each read of it
MIN_PIXELS = 512        # so many then
PANEL = 1 << 14         # values of a packed panel of dy, 64 kB: of the L1 and L2 cache
MIN_STEPS = 64          # pixels of a tile of dw, at least: each costs an addition to the sums
PARTS = 4               # pieces of the work on dw, at least, whatever the number of threads
LONGEST_LINE = 400      # pixels, see _fold


class Window(NamedTuple):
    """How windows lie on an image, in pixels."""

    rows: int               # from the first tap to the last, both included
    columns: int
    row_stride: int
    column_stride: int
    top: int                # of the first window; negative in the padding
    left: int
    runs: int               # pieces of a window that lie side by side in memory
    depth: int              # values of such a piece
    block: int              # rows of y that share a patch
    is_padded: int          # whether x must be copied into a patch first


# ---- The loops

@compiled
def fill(patch, x, n, top, left, rows, columns):
    """patch (rows, columns, C) = image n of x from (top, left) on, and zeros outside the image."""
    c = x.channels
    first = min(max(0, -left), columns)
    end = max(first, min(columns, x.columns - left))
    for r in range(rows):
        line = patch + 4 * r * columns * c
        if top + r < 0 or top + r >= x.rows or end == first:
            clear_floats(line, columns * c)
            continue
        clear_floats(line, first * c)
        clear_floats(line + 4 * end * c, (columns - end) * c)
        target = line + 4 * first * c
        source = pixel(x, n, top + r, left + first, 0)
        if x.column_stride == 4 * c:
            copy_floats(target, source, (end - first) * c)
        else:                                       # some of the channels, a group
            for j in range(end - first):
                copy_floats(target + 4 * j * c, source + j * x.column_stride, c)


@compiled
def pack(w, packed, start, stop):
    """packed (panels, kh, kw, C, width) = w (K, C, kh, kw) of any strides, zeros behind filter K.

    In blocks of 16 channels: a filter's taps of 16 channels lie side by side, and what is written
    stays in the cache until the last filter of the panel has been there.
    """
    filters, channels, kh, kw = w.shape
    width = packed.shape[4]
    for panel in range(start, stop):
        present = min(width, filters - panel * width)
        for c0 in range(0, channels, 16):
            for k in range(present):
                for i in range(kh):
                    for j in range(kw):
                        for c in range(c0, min(channels, c0 + 16)):
                            packed[panel, i, j, c, k] = w[panel * width + k, c, i, j]
        if present < width:
            packed[panel, :, :, :, present:] = 0


@cache
def gather_with(rows, vectors):
    """`gather` in tiles of this shape."""
    width = vectors * LANES

    @compiled
    def gather(x, y, w, bias, offsets, window, patch, start, stop):
        """Rows start … stop of y, counted through all images. w, bias, …, patch are addresses."""
        line = (y.columns - 1) * window.column_stride + window.columns
        panel_size = window.runs * window.depth * width
        at = start
        while at < stop:
            n = at // y.rows
            first = at % y.rows
            count = min(window.block, y.rows - first, stop - at)
            top = first * window.row_stride + window.top
            if window.is_padded:
                fill(patch, x, n, top, window.left,
                     (count - 1) * window.row_stride + window.rows, line)
                source, row, column = patch, line * x.channels, x.channels
            else:
                source = pixel(x, n, top, window.left, 0)
                row, column = x.row_stride // 4, x.column_stride // 4
            for k in range(0, y.channels, width):
                for r in range(count):
                    for o in range(0, y.columns, rows):
                        o = min(o, y.columns - rows)
                        tile(rows, vectors, 0,
                             source + 4 * (r * window.row_stride * row
                                           + o * window.column_stride * column),
                             window.column_stride * column, 1, w + 4 * (k // width) * panel_size,
                             offsets, window.runs, window.depth, pixel(y, n, first + r, o, k),
                             y.column_stride // 4, bias + 4 * k, y.channels - k)
            at += count
    return gather


@cache
def correlate_with(rows, vectors):
    """`correlate` in tiles of this shape."""
    width = vectors * LANES

    @compiled
    def correlate(x, dy, sums, pieces, offsets, window, patch, panel, panels, start, stop):
        """sums (panels, runs, length, width) += xᵀ dy over rows start … stop of dy.

        panels: the first of those to compute, and the end. pieces: where each of the window.runs
        pieces of a window begins; its window.depth values are the rows of the sums, and `length`
        rounds them up to whole tiles.
        """
        line = (dy.columns - 1) * window.column_stride + window.columns
        length = -(-window.depth // rows) * rows
        at = start
        while at < stop:
            n = at // dy.rows
            first = at % dy.rows
            count = min(window.block, dy.rows - first, stop - at)
            top = first * window.row_stride + window.top
            if window.is_padded:
                fill(patch, x, n, top, window.left,
                     (count - 1) * window.row_stride + window.rows, line)
                source, row, column = patch, line * x.channels, x.channels
            else:
                source = pixel(x, n, top, window.left, 0)
                row, column = x.row_stride // 4, x.column_stride // 4
            for r in range(count):
                offsets[2 * r] = r * window.row_stride * row
                offsets[2 * r + 1] = r * dy.columns * width
            for k in range(panels[0], panels[1]):
                pack_gradient(dy, panel, n, first, count, k * width, width)
                for g in range(window.runs):
                    for i in range(0, window.depth, rows):
                        target = ((k - panels[0]) * window.runs + g) * length + i
                        tile(rows, vectors, 1, source + 4 * (pieces[g] + i), 1,
                             window.column_stride * column, panel, offsets.ctypes.data, count,
                             dy.columns, sums + 4 * target * width, width, 0, 0)
            at += count
    return correlate


@compiled
def pack_gradient(dy, panel, n, first, count, k, width):
    """panel (count, OW, width) = dy of filters k … k + width, zeros behind the last of them."""
    for r in range(count):
        for o in range(dy.columns):
            source = pixel(dy, n, first + r, o, k)
            target = panel + 4 * (r * dy.columns + o) * width
            for v in range(0, width, LANES):
                store(target + 4 * v, LANES, load(source + 4 * v, dy.channels - k - v))


@compiled
def unpack(sums, dw, start, stop):
    """dw (K, C, kh, kw) = Σ of sums (parts, panels, kh, kw, C, width), panels start … stop.

    In blocks of 16 channels, as in `pack`.
    """
    filters, channels, kh, kw = dw.shape
    width = sums.shape[5]
    for panel in range(start, stop):
        for c0 in range(0, channels, 16):
            for k in range(min(width, filters - panel * width)):
                for i in range(kh):
                    for j in range(kw):
                        for c in range(c0, min(channels, c0 + 16)):
                            total = sums[0, panel, i, j, c, k]
                            for part in range(1, len(sums)):
                                total += sums[part, panel, i, j, c, k]
                            dw[panel * width + k, c, i, j] = total


# ---- The three functions of an algorithm (convolution.py)

def convolve(x, w, b, size, geometry):
    """x (N, H, W, C), w (K, C, kh, kw) -> y (N, *size, K)."""
    y = np.empty((len(x), *size, len(w)), x.dtype)
    _convolve_into(y, x, w, b, geometry)
    return y


def convolve_transposed(dy, w, size, geometry):
    """dy (N, OH, OW, K), w (K, C, kh, kw) -> dx (N, *size, C).

    Pixel Y of dx was read by tap a of window (Y + p − a·d) / s, where that is whole: so along each
    axis the pixels with the same (Y + p) mod s, a *phase*, meet the same taps, and dx at these
    pixels is a convolution of dy with these taps, the last of them first.
    """
    if not np.isfinite(w.sum()):        # zeros beside dy times ∞ would be NaN
        return small_maps.convolve_transposed(dy, w, size, geometry)
    dx = np.empty((len(dy), *size, w.shape[1]), dy.dtype)
    filters = w.swapaxes(0, 1)
    phases = [[*_phases(*axis)] for axis in zip(size, w.shape[2:], *geometry)]
    for rows in phases[0]:
        for columns in phases[1]:
            part = dx[:, rows.pixels, columns.pixels]
            taps = filters[:, :, rows.taps, columns.taps]
            if not part.size:
                continue
            if not taps.size:                               # no window reads these pixels
                part[:] = 0
                continue
            dilation = rows.dilation, columns.dilation
            _convolve_into(part, dy, taps[:, :, ::-1, ::-1], None,
                           Geometry((1, 1), (rows.pad, columns.pad), dilation))
    return dx


def weight_gradient(x, dy, shape, geometry):
    """x (N, H, W, C), dy (N, OH, OW, K) -> dw (K, C, kh, kw).

    The threads share the panels of filters. Where those are few, dw is the sum of PARTS partial
    sums, each of some rows. No number of threads changes which rows, or the order of the sums.
    """
    k, c, kh, kw = shape
    if _is_pointwise(shape, geometry) and x.flags.c_contiguous and dy.flags.c_contiguous:
        x, dy = _fold(x), _fold(dy)
    n, oh, ow, _ = dy.shape
    length = (kw if geometry.dilation[1] == 1 else 1) * c
    rows, vectors = choose_shape(length, k)
    width = vectors * LANES
    window, pieces = _window(x, dy, shape, geometry, is_whole=length % rows == 0)
    block = min(PATCH * 2 // (_line(window, ow) * c * window.row_stride),
                max(PANEL // (ow * width), -(-MIN_STEPS // ow)))
    window = window._replace(block=max(1, min(oh, block)))

    panels = -(-k // width)
    parts = PARTS if panels < PARTS else 1
    sums = np.zeros((parts, panels, window.runs, -(-length // rows) * rows, width), x.dtype)
    correlate = correlate_with(rows, vectors)
    items = [(part, panel) for part in range(parts) for panel in range(panels)]

    def work(chosen):
        patch = scratch('patch', _patch_size(window, ow, c))
        panel = scratch('panel', window.block * ow * width)
        offsets = np.empty(2 * window.block, np.int64)
        for part, first, end in spans(items[chosen]):
            correlate(image_of(x), image_of(dy), sums[part, first].ctypes.data, pieces, offsets,
                      window, patch.ctypes.data, panel.ctypes.data, (first, end),
                      n * oh * part // parts, n * oh * (part + 1) // parts)

    parallel_for(work, count=len(items), cost=n * oh * ow * width * c * kh * kw // parts)
    dw = np.empty(shape, x.dtype)
    sums = sums[:, :, :, :length].reshape(parts, panels, kh, kw, c, width)
    parallel_for(lambda part: unpack(sums, dw, part.start, part.stop), count=panels,
                 cost=8 * parts * c * kh * kw * width)
    return dw


# ---- What they share

def _convolve_into(y, x, w, b, geometry):
    """y (N, OH, OW, K), a view perhaps, = the convolution of x (N, H, W, C) with w, + b.

    A negative pad leaves out the first pixels.
    """
    k, c, kh, kw = w.shape
    if _is_pointwise(w.shape, geometry) and x.flags.c_contiguous and y.flags.c_contiguous:
        x, y = _fold(x), _fold(y)
    n, oh, ow, _ = y.shape
    rows, vectors = choose_shape(ow, k)
    width = vectors * LANES
    window, pieces = _window(x, y, w.shape, geometry, is_whole=True)
    block = (PATCH // (_line(window, ow) * c) - window.rows) // window.row_stride + 1
    if w.size > LARGE_FILTERS:
        block = max(block, -(-MIN_PIXELS // ow))
    window = window._replace(block=max(1, min(oh, block)))

    panels = -(-k // width)
    packed = np.empty((panels, kh, kw, c, width), x.dtype)
    parallel_for(lambda part: pack(w, packed, part.start, part.stop), count=panels,
                 cost=8 * c * kh * kw * width)
    bias = np.zeros(panels * width, x.dtype)
    if b is not None:
        bias[:k] = b
    offsets = np.stack([pieces, np.arange(window.runs) * window.depth * width], axis=1)
    gather = gather_with(rows, vectors)

    def work(part):
        patch = scratch('patch', _patch_size(window, ow, c))
        gather(image_of(x), image_of(y), packed.ctypes.data, bias.ctypes.data, offsets.ctypes.data,
               window, patch.ctypes.data, part.start, part.stop)

    parallel_for(work, count=n * oh, cost=ow * w.size)


def _window(x, y, shape, geometry, is_whole):
    """The Window, without its block, and where each run of it begins, in values.

    is_whole: whether tiles read nothing behind the window's own values.
    """
    _, c, kh, kw = shape
    (s, t), (p, q), (d, e) = geometry
    _, h, w, _ = x.shape
    rows = (kh - 1) * d + 1
    columns = (kw - 1) * e + 1
    is_inside = (max(p, q) <= 0 and (y.shape[1] - 1) * s + rows - p <= h
                 and (y.shape[2] - 1) * t + columns - q <= w)
    # a run of several taps needs them side by side
    is_dense = x.strides[2] == x.itemsize * c or kw == 1 or e > 1
    is_padded = not (is_inside and is_dense and is_whole)
    if is_padded:
        column = c
        row = ((y.shape[2] - 1) * t + columns) * c
    else:
        row, column = (stride // x.itemsize for stride in x.strides[1:3])
    taps = [0] if e == 1 else range(kw)
    pieces = np.array([i * d * row + j * e * column for i in range(kh) for j in taps])
    depth = kw * c if e == 1 else c
    return Window(rows, columns, s, t, -p, -q, len(pieces), depth, 1, int(is_padded)), pieces


def _line(window, pixels):
    """How many pixels of x a line of so many pixels of y reads."""
    return (pixels - 1) * window.column_stride + window.columns


def _patch_size(window, pixels, channels):
    """The values of a patch, and room behind it for a tile that reaches beyond."""
    if not window.is_padded:
        return 1
    height = (window.block - 1) * window.row_stride + window.rows
    return height * _line(window, pixels) * channels + 4 * LANES


def _is_pointwise(shape, geometry):
    """Whether a pixel is its own window."""
    return (*shape[2:], *geometry.stride, *geometry.pad) == (1, 1, 1, 1, 0, 0)


def _fold(x):
    """(N, H, W, C) -> (1, rows, columns, C) in the same order, with few and long rows.

    Where a pixel is its own window it does not matter where a row of the image ends, and long rows
    are cut into tiles with less overlap.
    """
    pixels = len(x) * x.shape[1] * x.shape[2]
    columns = max(_largest_divisor(pixels), x.shape[2])
    return x.reshape(1, pixels // columns, columns, x.shape[3])


@cache
def _largest_divisor(count):
    """The largest number up to LONGEST_LINE that divides the count."""
    return max(length for length in range(1, LONGEST_LINE + 1) if count % length == 0)


class Phase(NamedTuple):
    """The pixels of an axis that meet the same taps."""

    pixels: slice
    taps: slice
    pad: int                # of the convolution of dy that computes these pixels
    dilation: int


def _phases(size, taps, stride, pad, dilation):
    """All phases of an axis: tap a is read at pixel Y where Y + pad − a·dilation is a multiple of
    the stride. Of the taps that meet a phase each is `step` behind the one before."""
    common = gcd(stride, dilation)
    step = stride // common
    for phase in range(stride):
        pixels = slice((phase - pad) % stride, size, stride)
        meeting = [a for a in range(min(step, taps)) if (a * dilation - phase) % stride == 0]
        if not meeting:
            yield Phase(pixels, slice(0), 0, 1)
            continue
        first = meeting[0]
        count = len(range(first, taps, step))
        # the window that reads the first pixel by its first tap, of which the others lie before
        window = (pixels.start + pad - first * dilation) // stride
        reach = (count - 1) * (dilation // common)
        yield Phase(pixels, slice(first, taps, step), reach - window, dilation // common)


def spans(items):
    """[(part, panel), …] -> (part, first panel, end) for each part."""
    for part in sorted({part for part, _ in items}):
        panels = [panel for own, panel in items if own == part]
        yield part, panels[0], panels[-1] + 1
