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
steps are the pixels of a line, and its runs the lines of the patch:

    for k in range(K):                              # 32 filters at a time
        for i in range(kh):
            for j, c in product(range(kw), range(C)):   # 12 at a time
                for r in range(OH):                                         # a run each
                    for o in range(OW):                                     # the steps of a run
                        dw[k, c, i, j] += x[r·s + i, o·s + j, c] * dy[r, o, k]
"""
from functools import cache

import numpy as np

from . import blocking, small_maps
from .blocking import parallel_for, scratch
from .images import Image, layout, pixel
from .jit import compiled
from .memory import clear_floats, copy_floats, load_strided, store_strided
from .schedule import is_pointwise, schedule_correlate, schedule_gather, schedule_phases
from .simd import LANES
from .tile import tile
from .vec import LOWEST, load, store

PARTIAL_SUMS = 4        # of dw, at least, whatever the number of threads
MIN_ROWS = 20           # rows of dwᵀ, at least


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
def under_windows(x, n, first, count, windows, window, patch):
    """What `count` rows of so many windows read of image n, from row `first` of them on.

    -> its address, and how many values there are from one window to that below, and to the next
    """
    top = first * window.row_stride + window.top
    if window.is_padded:
        line = (windows - 1) * window.column_stride + window.columns
        fill(patch, x, n, top, window.left, (count - 1) * window.row_stride + window.rows, line)
        source, row, column = patch, line * x.channels, x.channels
    else:
        source = pixel(x, n, top, window.left, 0)
        row, column = x.row_stride // 4, x.column_stride // 4
    return source, row * window.row_stride, column * window.column_stride


@compiled
def pack(w, shape, strides, packed, width, start, stop):
    """packed (panels, kh, kw, C, width) = w (K, C, kh, kw), zeros behind filter K; panels start …
    stop. w and packed are addresses, the strides of w are bytes."""
    filters, channels, kh, kw = shape
    for panel in range(start, stop):
        for k in range(0, width, LANES):
            first = panel * width + k
            for c in range(channels):
                for i in range(kh):
                    for j in range(kw):
                        source = (w + first * strides[0] + c * strides[1] + i * strides[2]
                                  + j * strides[3])
                        row = ((panel * kh + i) * kw + j) * channels + c
                        store(packed + 4 * (row * width + k), LANES,
                              load_strided(source, strides[0], filters - first))


@cache
def gather_with(rows, vectors):
    """`gather` in tiles of this shape."""
    width = vectors * LANES

    @compiled
    def gather(x, y, w, bias, least, offsets, window, patch, start, stop):
        """Rows start … stop of y, counted through all images. w, bias, offsets and patch are
        addresses; offsets: where each run begins, in x and in a panel of w."""
        panel_size = window.runs * window.depth * width
        at = start
        while at < stop:
            n = at // y.rows
            first = at % y.rows
            count = min(window.block, y.rows - first, stop - at)
            source, row, column = under_windows(x, n, first, count, y.columns, window, patch)
            for k in range(0, y.channels, width):
                for r in range(count):
                    for o in range(0, y.columns, rows):
                        o = min(o, y.columns - rows)
                        tile(rows, vectors, 0,
                             source + 4 * (r * row + o * column), column, 1,
                             w + 4 * (k // width) * panel_size,
                             offsets, window.runs, window.depth, pixel(y, n, first + r, o, k),
                             y.column_stride // 4, bias + 4 * k, least, y.channels - k)
            at += count
    return gather


@cache
def correlate_with(rows, vectors):
    """`correlate` in tiles of this shape."""
    width = vectors * LANES

    @compiled
    def correlate(x, dy, sums, partials, panels, run_starts, window, memory, start, stop):
        """sums (partials, panels, runs, length, width) = xᵀ dy, items start … stop.

        An item is a panel of a partial sum, which is that of some rows of dy, counted through all
        images. run_starts: where each of the window.runs runs begins; its window.depth values are
        rows of the sums, and `length` rounds them up to whole tiles. The last tile reads a few
        values behind the run, and what becomes of them is never used. memory: an array of offsets,
        the addresses of a patch and of a panel of dy.
        """
        offsets, patch, panel = memory
        length = -(-window.depth // rows) * rows
        item = start
        while item < stop:
            partial = item // panels
            first_panel = item % panels
            end_panel = min(panels, first_panel + stop - item)
            item += end_panel - first_panel
            at = dy.images * dy.rows * partial // partials
            end = dy.images * dy.rows * (partial + 1) // partials
            while at < end:
                n = at // dy.rows
                first = at % dy.rows
                count = min(window.block, dy.rows - first, end - at)
                at += count
                source, row, column = under_windows(x, n, first, count, dy.columns, window, patch)
                for r in range(count):
                    offsets[2 * r] = r * row
                    offsets[2 * r + 1] = r * dy.columns * width
                for k in range(first_panel, end_panel):
                    pack_gradient(dy, panel, n, first, count, k * width, width)
                    for g in range(window.runs):
                        for i in range(0, window.depth, rows):
                            target = ((partial * panels + k) * window.runs + g) * length + i
                            tile(rows, vectors, 1,
                                 source + 4 * (run_starts[g] + i), 1, column, panel,
                                 offsets.ctypes.data, count, dy.columns,
                                 sums + 4 * target * width, width, 0, LOWEST, 0)
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
def unpack(sums, runs, length, width, dw, shape, start, stop):
    """dw (K, C, kh, kw) = sums (panels, runs, length, width), of the panels start … stop.

    A run is one tap, or several side by side.
    """
    filters, channels, kh, kw = shape
    taps = kh * kw
    for panel in range(start, stop):
        for c in range(0, channels, LANES):
            for k in range(min(width, filters - panel * width)):
                for tap in range(taps):
                    run, own = divmod(tap, taps // runs)
                    row = (panel * runs + run) * length + own * channels + c
                    value = load_strided(sums + 4 * (row * width + k), 4 * width, channels - c)
                    target = dw + 4 * (((panel * width + k) * channels + c) * taps + tap)
                    store_strided(target, 4 * taps, channels - c, value)


@compiled
def unpack_transposed(sums, runs, length, width, dw, shape, start, stop):
    """The same for dwᵀ (C, K, 1, 1), whose panels are channels of dw, and whose rows its filters.
    """
    filters, channels, _, _ = shape
    for panel in range(start, stop):
        for k in range(filters):
            source = sums + 4 * (panel * length + k) * width
            target = dw + 4 * (k * channels + panel * width)
            left = min(width, channels - panel * width)
            for c in range(0, left, LANES):
                store(target + 4 * c, left - c, load(source + 4 * c, LANES))


# ---- The three functions of an algorithm (conv.py)

def convolve(x, w, b, y, geometry, least):
    """x (N, H, W, C), w (K, C, kh, kw) -> y (N, OH, OW, K) = max(M x + b, least)."""
    schedule = schedule_gather(layout(x), layout(y), w.shape, geometry)
    _convolve_as(schedule, x, w, b, y, least)


def convolve_transposed(dy, w, dx, geometry):
    """dy (N, OH, OW, K), w (K, C, kh, kw) -> dx (N, H, W, C).

    Pixel Y of dx was read by tap a of window (Y + p − a·d) / s, where that is whole: so along each
    axis the pixels with the same (Y + p) mod s, a *phase*, meet the same taps, and dx at these
    pixels is a convolution of dy with these taps, the last of them first. At stride 2, of 3 taps
    without padding, the even pixels meet taps 0 and 2, the odd ones tap 1.
    """
    phases = schedule_phases(layout(dy), layout(dx), w.shape, geometry)
    if any(p.schedule and p.schedule.window.is_padded for p in phases) and not np.isfinite(w.sum()):
        # zeros beside dy times ∞ would be NaN; a sum that overflows is slower, not wrong
        return small_maps.convolve_transposed(dy, w, dx, geometry)
    filters = w.swapaxes(0, 1)
    for pixels, taps, schedule in phases:
        dx_there = dx[pixels]
        if schedule:
            _convolve_as(schedule, dy, filters[taps][:, :, ::-1, ::-1], None, dx_there, LOWEST)
        else:                                               # no window reads these pixels
            dx_there[:] = 0


def weight_gradient(x, dy, dw, geometry):
    """x (N, H, W, C), dy (N, OH, OW, K) -> dw (K, C, kh, kw).

    The threads share the panels of filters. Where those are few, dw is the sum of PARTIAL_SUMS
    sums, each of some rows. No number of threads changes which rows, or the order of the sums.

    Where a pixel is its own window, dwᵀ = Σ x · dy is as good, and faster if that has fewer rows:
    a panel reads all of them again.
    """
    k, c, kh, kw = dw.shape
    is_transposed = is_pointwise(dw.shape, geometry) and c > k >= MIN_ROWS
    if is_transposed:
        x, dy, k, c = dy, x, c, k
    schedule = schedule_correlate(layout(x), layout(dy), (k, c, kh, kw), geometry)
    window = schedule.window
    rows, vectors = schedule.tile
    width = vectors * LANES
    panels = -(-k // width)
    length = -(-window.depth // rows) * rows
    columns = schedule.y[2]
    cost = dy.size * c * kh * kw // panels              # of a panel
    is_split = panels < PARTIAL_SUMS and panels * cost >= blocking.MIN_WORK
    partials = PARTIAL_SUMS if is_split else 1
    sums = np.zeros((partials, panels * window.runs * length * width), x.dtype)
    correlate = correlate_with(rows, vectors)

    def work(part):
        offsets = np.empty(2 * window.block, np.int64)
        patch = scratch('patch', schedule.patch)
        panel = scratch('panel', window.block * columns * width)
        correlate(Image(x.ctypes.data, *schedule.x), Image(dy.ctypes.data, *schedule.y),
                  sums.ctypes.data, partials, panels, schedule.run_starts, window,
                  (offsets, patch.ctypes.data, panel.ctypes.data), part.start, part.stop)

    parallel_for(work, count=partials * panels, cost=cost // partials + 1)
    with np.errstate(all='ignore'):                         # rows behind the last hold anything
        sums = sums[0] if partials == 1 else sums.sum(0)
    finish = unpack_transposed if is_transposed else unpack
    parallel_for(lambda part: finish(sums.ctypes.data, window.runs, length, width, dw.ctypes.data,
                                     dw.shape, part.start, part.stop),
                 count=panels, cost=8 * width * c * kh * kw)


def _convolve_as(schedule, x, w, b, y, least):
    """The convolution, with schedule, of x, w and b, into y."""
    k, c, kh, kw = w.shape
    rows, vectors = schedule.tile
    window = schedule.window
    width = vectors * LANES
    panels = -(-k // width)
    packed = np.empty(panels * width * w[0].size, x.dtype)
    parallel_for(lambda part: pack(w.ctypes.data, w.shape, w.strides, packed.ctypes.data, width,
                                   part.start, part.stop),
                 count=panels, cost=8 * width * w[0].size)
    bias = np.zeros(panels * width, x.dtype)
    if b is not None:
        bias[:k] = b
    gather = gather_with(rows, vectors)

    def work(part):
        patch = scratch('patch', schedule.patch)
        gather(Image(x.ctypes.data, *schedule.x), Image(y.ctypes.data, *schedule.y),
               packed.ctypes.data, bias.ctypes.data, least, schedule.run_starts.ctypes.data,
               window, patch.ctypes.data, part.start, part.stop)

    n, oh, ow, *_ = schedule.y
    parallel_for(work, count=n * oh, cost=ow * w.size)
