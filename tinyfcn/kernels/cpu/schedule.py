"""In which tiles and blocks a convolution is computed: what follows from shapes alone.

    schedule_gather(x, y, shape, geometry)          for convolve
    schedule_phases(dy, dx, shape, geometry)        for convolve_transposed
    schedule_correlate(x, dy, shape, geometry)      for weight_gradient

x, y, dx and dy are layouts (images.py), `shape` is that of w. What the words mean:

    step    a tap and a channel: one product of each sum of a tile
    run     the steps that lie side by side in memory: a row of taps, if its channels do
    line    a row of x, as long as a row of y needs it
    patch   the lines that a block reads, copied with zeros around the image
    panel   as many filters as a tile has columns
    block   the rows of y that share a patch
"""
from functools import cache, lru_cache
from math import gcd
from typing import NamedTuple

import numpy as np

from ..convolution import Geometry
from .simd import LANES
from .tile import choose_shape

PATCH = 1 << 16         # values of a patch, 256 kB
LARGE_FILTERS = 1 << 18  # values of w above which more pixels should pass for each read of it
MIN_PIXELS = 512        # so many then
PANEL = 1 << 14         # values of a packed panel of dy, 64 kB: of the L1 and L2 cache
MIN_STEPS = 64          # pixels of a tile of dw, at least: each costs an addition to the sums
LONGEST_LINE = 400      # pixels, see _fold


class Window(NamedTuple):
    """How windows lie on an image, in pixels."""

    rows: int               # from the first tap to the last, both included
    columns: int
    row_stride: int
    column_stride: int
    top: int                # of the first window; negative in the padding
    left: int
    runs: int               # in a window
    depth: int              # steps of a run
    block: int              # rows of y that share a patch
    is_padded: int          # whether x must be copied into a patch first


class Schedule(NamedTuple):
    """The tiles of a convolution, and the windows of the images that they read."""

    x: tuple[int, ...]      # the layout of x, and
    y: tuple[int, ...]      # of y (or dy): see images.py
    tile: tuple[int, int]   # rows and vectors
    window: Window
    # where each run of a window begins, in values of x; of schedule_gather (in x, in a panel of w)
    run_starts: np.ndarray
    patch: int              # values of a patch


@lru_cache(maxsize=4096)
def schedule_gather(x, y, shape, geometry):
    """A negative pad, of a phase, leaves out the first pixels."""
    k, c, kh, kw = shape
    x, y = _fold(x, y, shape, geometry)
    ow = y[2]
    rows, vectors = choose_shape(ow, k)
    window, starts = _window(x, y, shape, geometry, is_whole=True)
    block = (PATCH // (_line(window, ow) * c) - window.rows) // window.row_stride + 1
    if k * c * kh * kw > LARGE_FILTERS:
        block = max(block, -(-MIN_PIXELS // ow))
    window = window._replace(block=max(1, min(y[1], block)))
    offsets = np.stack([starts, np.arange(window.runs) * window.depth * vectors * LANES], axis=1)
    return Schedule(x, y, (rows, vectors), window, offsets, _patch_size(window, ow, c))


@lru_cache(maxsize=4096)
def schedule_correlate(x, dy, shape, geometry):
    """The rows of a tile are steps here, and its steps are pixels of a line."""
    k, c, kh, kw = shape
    x, dy = _fold(x, dy, shape, geometry)
    ow = dy[2]
    depth = (kw if geometry.dilation[1] == 1 else 1) * c
    rows, vectors = choose_shape(depth, k)
    window, starts = _window(x, dy, shape, geometry, is_whole=depth % rows == 0)
    block = min(PATCH * 2 // (_line(window, ow) * c * window.row_stride),
                max(PANEL // (ow * vectors * LANES), -(-MIN_STEPS // ow)))
    window = window._replace(block=max(1, min(dy[1], block)))
    return Schedule(x, dy, (rows, vectors), window, starts, _patch_size(window, ow, c))


class PhasePixels(NamedTuple):
    """The pixels of dx in one phase of each axis, which are one convolution of dy."""

    pixels: tuple[slice, ...]
    taps: tuple[slice, ...]         # of w (C, K, kh, kw)
    schedule: Schedule | None       # None: no window reads them


@lru_cache(maxsize=4096)
def schedule_phases(dy, dx, shape, geometry):
    """-> the pixels of each pair of phases"""
    n, h, w, c, image, row, column = dx
    k, _, kh, kw = shape
    found = []
    for rows in _phases(h, kh, *(of_axis[0] for of_axis in geometry)):
        for columns in _phases(w, kw, *(of_axis[1] for of_axis in geometry)):
            size = len(range(h)[rows.pixels]), len(range(w)[columns.pixels])
            ksize = len(range(kh)[rows.taps]), len(range(kw)[columns.taps])
            if 0 in size:
                continue
            schedule = None
            if 0 not in ksize:
                pixels = (n, *size, c, image, row * geometry.stride[0],
                          column * geometry.stride[1])
                schedule = schedule_gather(
                    dy, pixels, (c, k, *ksize),
                    Geometry((1, 1), (rows.pad, columns.pad), (rows.dilation, columns.dilation)))
            found.append(PhasePixels(np.s_[:, rows.pixels, columns.pixels],
                                     np.s_[:, :, rows.taps, columns.taps], schedule))
    return found


def _window(x, y, shape, geometry, is_whole):
    """The Window, without its block, and where each run of it begins, in values.

    is_whole: whether tiles read nothing behind the window's own values.
    """
    _, c, kh, kw = shape
    (s, t), (p, q), (d, e) = geometry
    _, h, w, _, _, x_row, x_column = x
    rows = (kh - 1) * d + 1
    columns = (kw - 1) * e + 1
    is_inside = (max(p, q) <= 0 and (y[1] - 1) * s + rows - p <= h
                 and (y[2] - 1) * t + columns - q <= w)
    # a run of several taps needs them side by side
    is_dense = x_column == 4 * c or kw == 1 or e > 1
    is_padded = not (is_inside and is_dense and is_whole)
    row, column = x_row // 4, x_column // 4
    if is_padded:
        column = c
        row = ((y[2] - 1) * t + columns) * c
    taps = [0] if e == 1 else range(kw)
    starts = np.array([i * d * row + j * e * column for i in range(kh) for j in taps])
    depth = kw * c if e == 1 else c
    return Window(rows, columns, s, t, -p, -q, len(starts), depth, 1, int(is_padded)), starts


def _line(window, pixels):
    """How many pixels of x a line of so many pixels of y reads."""
    return (pixels - 1) * window.column_stride + window.columns


def _patch_size(window, pixels, channels):
    """The values of a patch, and room behind it for a tile that reaches beyond."""
    if not window.is_padded:
        return 1
    height = (window.block - 1) * window.row_stride + window.rows
    return height * _line(window, pixels) * channels + 4 * LANES


def is_pointwise(shape, geometry):
    """Whether a pixel is its own window."""
    return (*shape[2:], *geometry.stride, *geometry.pad) == (1, 1, 1, 1, 0, 0)


def _fold(x, y, shape, geometry):
    """The layouts of x and y, as one image of few and long rows where a pixel is its own window.

    There it does not matter where a row of the image ends, and long rows are cut into tiles with
    less overlap. The distance from a pixel to the next must be the same everywhere, also from row
    to row and from image to image.
    """
    n, h, w, *_ = x
    is_even = all(row == w * column and (n == 1 or image == h * row)
                  for *_, image, row, column in (x, y))
    if not (is_even and is_pointwise(shape, geometry)):
        return x, y
    columns = max(_largest_divisor(n * h * w), w)
    rows = n * h * w // columns
    return tuple((1, rows, columns, c, rows * columns * column, columns * column, column)
                 for *_, c, _, _, column in (x, y))


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
