"""Winograd's F(4×4, 3×3): 16 outputs of a 3×3 filter by 36 multiplications per channel, not 144.

    y  = Aᵀ [(G w Gᵀ) ⊙ (Bᵀ x B)] A         Lavin & Gray 2016, with the names of the paper
    dw = Gᵀ [(A dy Aᵀ) ⊙ (Bᵀ x B)] G        the gradient of that by w: each matrix is transposed
    dx = Aᵀ [(G w' Gᵀ) ⊙ (Bᵀ dy B)] A       the first once more: w' is w rotated by 180°

In the code u is G w Gᵀ (or A dy Aᵀ), v is Bᵀ x B, and m their product summed over the channels. How
it works:

1. y is cut into tiles of 4×4 outputs. A 3×3 filter reads 6×6 pixels for them, so the tiles of x
   start every 4 pixels, are 6 wide, and overlap by 2.
2. Bᵀ x B turns the 36 pixels of a tile into 36 other numbers, G w Gᵀ the 9 taps of a filter into
   36. In these numbers the convolution is an elementwise product ⊙.
3. The sum over the input channels makes that product a matrix product: for each of the 36 numbers
   one (tiles, C) @ (C, K). This is where the time goes: 36 multiplications for 16 outputs, where
   the direct sum has 144. It is made of the tiles of tile.py.
4. Aᵀ … A turns the 36 sums of a tile into its 16 outputs.

A transform M X Mᵀ is emitted from its matrix, number by number, for LANES channels at a time. A few
rows of tiles at a time go through steps 2 to 4, so that v and m stay in the cache.

The matrices (winograd_matrices.py) evaluate polynomials at five points and at ∞. With 0, ±1, ±2,
the points of the paper, numbers that differ in size by 8² meet in one sum. With 0, ±2/3, ±3/2,
whose product is 1, the largest error of float32 is about a quarter: 1 to 5 millionths of the
largest value.
"""
from functools import cache

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from ..winograd_matrices import toom_cook
from . import blocking, simd
from .blocking import parallel_for, scratch
from .direct import fill, pack
from .images import image_of, pixel
from .jit import compiled
from .memory import store_strided
from .simd import FLOAT, FLOATS, LANES, SIZE
from .tile import choose_shape, tile
from .vec import LOWEST, full, load, store, where

INPUT, FILTER, OUTPUT = toom_cook()                     # Bᵀ, G, Aᵀ in exact fractions
MATRICES = (INPUT, FILTER, OUTPUT, [*zip(*OUTPUT)], [*zip(*FILTER)])
TO_V, TO_U, TO_Y, TO_U_OF_DY, TO_DW = range(len(MATRICES))

BLOCK = 350_000         # values of v and m together, 1.4 MB of the L2 cache, …
SMALL_FILTERS = 1 << 14  # … while w has at most so many; else so many tiles that u is read seldom:
MIN_TILES = 160
MIN_TILES_OF_DW = 256
PARTIAL_SUMS = 4        # of dw, at least, as in direct.py


# ---- The transforms

@intrinsic(prefer_literal=True)
def transform(typing, which, source, row, column, target, target_row, target_column):
    """target[i, j] = (M X Mᵀ)[i, j], where X[i, j] = source[i, j], for LANES channels.

    M is MATRICES[which]. Element (i, j) of an array at an address lies i·row + j·column behind it.
    """
    if not isinstance(which, types.Literal):
        return None
    matrix = MATRICES[which.literal_value]

    def emit(context, b, sig, args):
        _, source, row, column, target, target_row, target_column = args
        source, target = (b.inttoptr(address, FLOAT.as_pointer()) for address in (source, target))

        def at(pointer, i, row, j, column):
            return b.gep(pointer, [b.add(b.mul(SIZE(i), row), b.mul(SIZE(j), column))])

        size = range(len(matrix[0]))
        columns = [emit_product(b, matrix, [simd.load(b, at(source, i, row, j, column))
                                            for i in size]) for j in size]
        for i in range(len(matrix)):
            values = emit_product(b, matrix, [each[i] for each in columns])
            for j, value in enumerate(values):
                simd.store(b, value, at(target, i, target_row, j, target_column))
        return context.get_dummy_value()

    n = types.intp
    return types.void(which, n, n, n, n, n, n), emit


def emit_product(b, matrix, xs):
    """matrix · xs, a list of vectors.

    Two rows that differ only in the signs of some columns are made together: one is even + odd,
    the other even − odd, where odd is the sum over those columns.
    """
    products = [None] * len(matrix)
    for i, row in enumerate(matrix):
        for j, other in enumerate(matrix[:i]):
            even = [v if v == u else 0 for v, u in zip(row, other)]
            odd = [v if v == -u else 0 for v, u in zip(row, other)]
            covers = all(v == e or v == o for v, e, o in zip(row, even, odd))
            if products[i] is products[j] is None and covers and any(even) and any(odd):
                even, odd = emit_sum(b, even, xs), emit_sum(b, odd, xs)
                products[i], products[j] = b.fadd(even, odd), b.fsub(even, odd)
    return [emit_sum(b, row, xs) if product is None else product
            for row, product in zip(matrix, products)]


def emit_sum(b, row, xs):
    """Σ row · xs, beginning with a factor of 1, which needs no multiplication."""
    total = None
    terms = [(factor, x) for factor, x in zip(row, xs) if factor]
    for factor, x in sorted(terms, key=lambda term: (term[0] != 1, abs(term[0]) != 1)):
        constant = ir.Constant(FLOATS, [float(factor)] * LANES)
        if total is None:
            total = x if factor == 1 else b.fmul(x, constant)
        elif abs(factor) == 1:
            total = b.fadd(total, x) if factor == 1 else b.fsub(total, x)
        else:
            total = simd.call(b, f'llvm.fma.v{LANES}f32', FLOATS, x, constant, total)
    return total


@compiled
def transform_filters(packed, u, start, stop):
    """u (36, panels, C, width) = G w Gᵀ of packed w (panels, 3, 3, C, width), panels start … stop.
    """
    _, panels, channels, width = u.shape
    size = channels * width
    for panel in range(start, stop):
        for at in range(0, size, LANES):
            transform(TO_U, packed.ctypes.data + 4 * (panel * 9 * size + at), 3 * size, size,
                      u.ctypes.data + 4 * (panel * size + at), 6 * panels * size, panels * size)


@compiled
def transform_image(x, n, top, left, rows, columns, patch, v, tiles, pitch):
    """v (36, tiles, pitch) = Bᵀ x B of rows × columns tiles of image n, the first at (top, left).

    Lanes behind the last channel are computed from whatever follows in the patch, and read by none.
    """
    line = (4 * columns + 2) * x.channels
    fill(patch, x, n, top, left, 4 * rows + 2, 4 * columns + 2)
    step = tiles * pitch
    for i in range(rows):
        for j in range(columns):
            for c in range(0, x.channels, LANES):
                transform(TO_V, patch + 4 * (4 * i * line + 4 * j * x.channels + c), line,
                          x.channels, v + 4 * ((i * columns + j) * pitch + c), 6 * step, step)


@compiled
def transform_gradient(dy, n, top, rows, columns, patch, u, panels, width):
    """u (36, panels, tiles, width) = A dy Aᵀ, of the panels from the first to the end."""
    line = 4 * columns * dy.channels
    fill(patch, dy, n, top, 0, 4 * rows, 4 * columns)
    tiles = rows * columns
    step = (panels[1] - panels[0]) * tiles * width
    for i in range(rows):
        for j in range(columns):
            for k in range(panels[0] * width, min(dy.channels, panels[1] * width), LANES):
                panel = k // width - panels[0]
                transform(TO_U_OF_DY, patch + 4 * (4 * i * line + 4 * j * dy.channels + k), line,
                          dy.channels,
                          u + 4 * ((panel * tiles + i * columns + j) * width + k % width),
                          6 * step, step)


@compiled
def transform_back(m, y, bias, least, n, top, rows, columns, tiles, pitch, outputs):
    """The tiles of y from row `top` on = max(Aᵀ m A + bias, least), of m (36, tiles, pitch).

    Tiles at the lower and right border may reach beyond the image.
    """
    step = tiles * pitch
    for i in range(rows):
        for j in range(columns):
            for k in range(0, y.channels, LANES):
                transform(TO_Y, m + 4 * ((i * columns + j) * pitch + k), 6 * step, step, outputs,
                          4 * LANES, LANES)
                added = load(bias + 4 * k, LANES)
                for r in range(min(4, y.rows - top - 4 * i)):
                    for c in range(min(4, y.columns - 4 * j)):
                        value = load(outputs + 4 * (4 * r + c) * LANES, LANES) + added
                        value = where(value < full(least), full(least), value)
                        store(pixel(y, n, top + 4 * i + r, 4 * j + c, k), y.channels - k, value)


@compiled
def transform_gradient_back(sums, dw, panels, length, width, filters, channels, taps, start, stop):
    """dw (K, C, 3, 3) = Gᵀ s G of s (36, panels, length, width), channels start … stop.

    sums, dw and taps, memory of 9 vectors, are addresses.
    """
    step = panels * length * width                      # from one of the 36 to the next
    for c in range(start, stop):
        for k in range(0, filters, LANES):
            transform(TO_DW, sums + 4 * ((k // width * length + c) * width + k % width), 6 * step,
                      step, taps, 3 * LANES, LANES)
            for tap in range(9):
                store_strided(dw + 4 * ((k * channels + c) * 9 + tap), 4 * 9 * channels,
                              filters - k, load(taps + 4 * tap * LANES, LANES))


# ---- The products

@cache
def gather_with(rows, vectors):
    """`gather` in tiles of this shape."""
    width = vectors * LANES

    @compiled
    def gather(x, y, u, bias, least, offsets, padding, block, memory, start, stop):
        """Rows of tiles start … stop of y, counted through all images, `block` of them at a time.

        memory: addresses of the patch, of v, of m and of the outputs of a tile.
        """
        patch, v, m, outputs = memory
        pitch = -(-x.channels // LANES) * LANES
        filters = -(-y.channels // width) * width
        tile_rows = (y.rows + 3) // 4
        columns = (y.columns + 3) // 4
        at = start
        while at < stop:
            n = at // tile_rows
            first = at % tile_rows
            count = min(block, tile_rows - first, stop - at)
            tiles = max(rows, count * columns)          # those behind the last are not written back
            transform_image(x, n, 4 * first - padding[0], -padding[1], count, columns, patch, v,
                            tiles, pitch)
            for f in range(36):
                for k in range(0, filters, width):
                    for t in range(0, tiles, rows):
                        t = min(t, tiles - rows)
                        tile(rows, vectors, 0, v + 4 * (f * tiles + t) * pitch, pitch, 1,
                             u + 4 * (f * filters + k) * x.channels, offsets, 1, x.channels,
                             m + 4 * ((f * tiles + t) * filters + k), filters, bias, LOWEST,
                             width)
            transform_back(m, y, bias + 4 * filters, least, n, 4 * first, count, columns, tiles,
                           filters, outputs)
            at += count
    return gather


@cache
def correlate_with(rows, vectors):
    """`correlate` in tiles of this shape."""
    width = vectors * LANES

    @compiled
    def correlate(x, dy, sums, partials, panels, offsets, padding, block, memory, start,
                  stop):
        """sums (partials, 36, panels, length, width) = Σ over tiles of v · u, items start … stop.

        An item is a panel of a partial sum, which is that of some rows of tiles, as in direct.py.
        """
        patch, v, u = memory
        pitch = -(-x.channels // LANES) * LANES
        length = -(-x.channels // rows) * rows
        tile_rows = (dy.rows + 3) // 4
        columns = (dy.columns + 3) // 4
        item = start
        while item < stop:
            partial = item // panels
            first_panel = item % panels
            own = min(panels - first_panel, stop - item)
            item += own
            at = dy.images * tile_rows * partial // partials
            end = dy.images * tile_rows * (partial + 1) // partials
            while at < end:
                n = at // tile_rows
                first = at % tile_rows
                count = min(block, tile_rows - first, end - at)
                at += count
                tiles = count * columns
                transform_image(x, n, 4 * first - padding[0], -padding[1], count, columns, patch,
                                v, tiles, pitch)
                transform_gradient(dy, n, 4 * first, count, columns, patch, u,
                                   (first_panel, first_panel + own), width)
                for f in range(36):
                    for k in range(own):
                        source = u + 4 * (f * own + k) * tiles * width
                        panel = (36 * partial + f) * panels + first_panel + k
                        for c in range(0, x.channels, rows):
                            tile(rows, vectors, 1, v + 4 * (f * tiles * pitch + c), 1, pitch,
                                 source, offsets, 1, tiles,
                                 sums + 4 * (panel * length + c) * width, width, 0, LOWEST, 0)
    return correlate


# ---- The three functions of an algorithm (conv.py)

def convolve(x, w, b, y, geometry, least):
    """x (N, H, W, C), w (K, C, 3, 3) -> y (N, OH, OW, K) = max(M x + b, least)."""
    _convolve_tiles(x, w, b, y, geometry.pad, least)


def convolve_transposed(dy, w, dx, geometry):
    """dy (N, OH, OW, K), w (K, C, 3, 3) -> dx (N, H, W, C).

    A convolution with the filters rotated by 180°, and input and output channels exchanged.
    """
    rotated = w[:, :, ::-1, ::-1].swapaxes(0, 1)
    p, q = geometry.pad
    _convolve_tiles(dy, rotated, None, dx, (2 - p, 2 - q), LOWEST)


def weight_gradient(x, dy, dw, geometry):
    """x (N, H, W, C), dy (N, OH, OW, K) -> dw (K, C, 3, 3), the second equation."""
    n, oh, ow, k = dy.shape
    c = x.shape[3]
    tile_rows = -(-oh // 4)
    columns = -(-ow // 4)
    rows, vectors = choose_shape(c, k)
    width = vectors * LANES
    panels = -(-k // width)
    length = -(-c // rows) * rows
    cost = 36 * n * tile_rows * columns * c * width     # of a panel
    is_split = panels < PARTIAL_SUMS and panels * cost >= blocking.MIN_WORK
    partials = PARTIAL_SUMS if is_split else 1
    block = _block(columns, c, k, SMALL_FILTERS // 4, MIN_TILES_OF_DW, tile_rows)
    tiles = block * columns
    sums = np.zeros((partials, 36 * panels * length * width), x.dtype)
    offsets = np.zeros(2, np.int64)
    correlate = correlate_with(rows, vectors)

    def work(part):
        patch = scratch('patch', (4 * block + 2) * (4 * columns + 2) * max(c, k) + 2 * LANES)
        v = scratch('v', 36 * tiles * (c + LANES) + rows)
        u = scratch('u', 36 * tiles * panels * width)
        memory = patch.ctypes.data, v.ctypes.data, u.ctypes.data
        correlate(image_of(x), image_of(dy), sums.ctypes.data, partials, panels,
                  offsets.ctypes.data, geometry.pad, block, memory, part.start, part.stop)

    parallel_for(work, count=partials * panels, cost=cost // partials + 1)
    with np.errstate(all='ignore'):                         # rows behind the last hold anything
        sums = sums[0] if partials == 1 else sums.sum(0)

    def finish(part):
        taps = scratch('outputs', 9 * LANES)
        transform_gradient_back(sums.ctypes.data, dw.ctypes.data, panels, length, width, k, c,
                                taps.ctypes.data, part.start, part.stop)

    parallel_for(finish, count=c, cost=8 * 36 * k)


def _convolve_tiles(x, w, b, y, pad, least):
    """x (N, H, W, C), w (K, C, 3, 3) of any strides -> y (N, OH, OW, K)."""
    n, oh, ow, k = y.shape
    c = x.shape[3]
    tile_rows = -(-oh // 4)
    columns = -(-ow // 4)
    block = _block(columns, c, k, SMALL_FILTERS, MIN_TILES, tile_rows)
    rows, vectors = choose_shape(block * columns, k)
    width = vectors * LANES
    panels = -(-k // width)
    packed = np.empty((panels, 3, 3, c, width), x.dtype)
    u = np.empty((36, panels, c, width), x.dtype)

    def prepare(part):
        pack(w.ctypes.data, w.shape, w.strides, packed.ctypes.data, width, part.start, part.stop)
        transform_filters(packed, u, part.start, part.stop)

    parallel_for(prepare, count=panels, cost=8 * 36 * c * width)
    # the tiles begin at zero, and the bias is added behind the last transform
    bias = np.zeros(2 * panels * width, x.dtype)
    if b is not None:
        bias[panels * width:][:k] = b
    tiles = max(rows, block * columns)
    offsets = np.zeros(2, np.int64)
    gather = gather_with(rows, vectors)

    def work(part):
        patch = scratch('patch', (4 * block + 2) * (4 * columns + 2) * c + 2 * LANES)
        v = scratch('v', 36 * tiles * (c + LANES))
        m = scratch('m', 36 * tiles * panels * width)
        outputs = scratch('outputs', 16 * LANES)
        memory = tuple(array.ctypes.data for array in (patch, v, m, outputs))
        gather(image_of(x), image_of(y), u.ctypes.data, bias.ctypes.data, least,
               offsets.ctypes.data, pad, block, memory, part.start, part.stop)

    parallel_for(work, count=n * tile_rows, cost=36 * columns * c * k)


def _block(columns, c, k, small, tiles, tile_rows):
    """How many rows of tiles go through the steps together."""
    if c * k <= small:
        tiles = BLOCK // (36 * (c + k))
    return max(1, min(tile_rows, round(tiles / columns)))
