"""Winograd's F(4×4, 3×3): 16 outputs of a 3×3 filter by 36 multiplications per channel, not 144.

    y  = Aᵀ [(G w Gᵀ) ⊙ (Bᵀ x B)] A         Lavin & Gray 2016, with the names of the paper
    dw = Gᵀ [(A dy Aᵀ) ⊙ (Bᵀ x B)] G        the gradient of that by w: each matrix is transposed
    dx = Aᵀ [(G w' Gᵀ) ⊙ (Bᵀ dy B)] A       the first once more: w' is w rotated by 180°

In the code u is G w Gᵀ (or A dy Aᵀ), v is Bᵀ x B, m their product summed over the channels, and z
the outputs of all tiles. How it works:

1. y is cut into tiles of 4×4 outputs. A 3×3 filter reads 6×6 pixels for them, so the tiles of x
   start every 4 pixels, are 6 wide, and overlap by 2.
2. Bᵀ x B turns the 36 pixels of a tile into 36 other numbers, G w Gᵀ the 9 taps of a filter into
   36. In these numbers the convolution is an elementwise product ⊙.
3. The sum over the input channels makes that product a matrix product: for each of the 36 numbers
   one (tiles, C) @ (C, K). This is where the time goes: 36 multiplications for 16 outputs, where
   the direct sum has 144.
4. Aᵀ … A turns the 36 sums of a tile into its 16 outputs.

Each transform acts on the rows and on the columns of a tile. For a flattened tile both together are
one matrix, a Kronecker product: vec(Bᵀ x B) = (Bᵀ ⊗ Bᵀ) vec(x), of 36×36 values. So a transform of
all tiles at once is one matrix product. In float32 it rounds by about 1e-5 of the largest value.
"""
from itertools import product

import numpy as np
from numpy.lib.stride_tricks import as_strided

from .blocking import (
    SMALL_MATRIX,
    blocks,
    copy_padded,
    count_rows,
    multiply,
    parallel_for,
    scratch,
)

BLOCK = 1 << 19         # values of a block of transformed tiles, 2 MB
PARTS = 4               # partial sums of dw
MIN_TILES = 256         # of a block, at least: each block costs something, such as adding up dw
PIECE = 512             # columns of one small product, see _apply


def _both_axes(rows):
    """The transform of an axis -> of both axes of a flattened tile: the Kronecker product."""
    matrix = np.array(rows, 'float32')
    return np.kron(matrix, matrix)


INPUT = _both_axes([                                    # Bᵀ, for both axes 36×36
    [4, 0, -5, 0, 1, 0], [0, -4, -4, 1, 1, 0], [0, 4, -4, -1, 1, 0],
    [0, -2, -1, 2, 1, 0], [0, 2, -1, -2, 1, 0], [0, 4, 0, -5, 0, 1]])
FILTER = _both_axes([                                   # G, for both axes 36×9
    [1/4, 0, 0], [-1/6, -1/6, -1/6], [-1/6, 1/6, -1/6],
    [1/24, 1/12, 1/6], [1/24, -1/12, 1/6], [0, 0, 1]])
OUTPUT = _both_axes([                                   # Aᵀ, for both axes 16×36
    [1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0],
    [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]])
OUTPUT_GRADIENT = OUTPUT.T.copy()                       # A, for both axes 36×16: dy -> 36 numbers
BIAS = 7                # the one of the 36 numbers that OUTPUT adds, once, to each of 16 outputs


def convolve(x, w, b, size, geometry):
    """x (N, H, W, C), w (K, C, 3, 3) -> y (N, *size, K)."""
    u = _transform_filters(w, FILTER).swapaxes(1, 2)
    return _convolve_tiles(x, u, b, size, geometry.pad)


def convolve_transposed(dy, w, size, geometry):
    """dy (N, OH, OW, K), w (K, C, 3, 3) -> dx (N, *size, C).

    A convolution with the filters rotated by 180°, and input and output channels exchanged.
    """
    u = _transform_filters(w, FILTER[:, ::-1])          # reversed columns: rotated filters
    return _convolve_tiles(dy, u, None, size, [2 - p for p in geometry.pad])


def weight_gradient(x, dy, shape, geometry):
    """x (N, H, W, C), dy (N, OH, OW, K) -> dw (K, C, 3, 3), the second equation."""
    n, oh, ow, k = dy.shape
    c = x.shape[3]
    tile_rows = -(-oh // 4)
    tile_columns = -(-ow // 4)
    max_rows = _max_tile_rows(tile_columns, c, k)

    def add_up(part):
        total = None
        for images, band in blocks(part, tile_rows, max_rows):
            tiles = count_rows(images, band) * tile_columns
            v = scratch('v', 36, tiles, c)
            u = scratch('u', 36, tiles, k)
            _transform(INPUT, 6, x[images], band, geometry.pad, tile_columns, out=v)
            _transform(OUTPUT_GRADIENT, 4, dy[images], band, (0, 0), tile_columns, out=u)
            dw = u.swapaxes(1, 2) @ v                                       # (36, K, C)
            total = dw if total is None else np.add(total, dw, out=total)
        return total

    # always the same partial sums, so that the threads do not decide how they are rounded
    rows = n * tile_rows
    ends = [rows * i // PARTS for i in range(PARTS + 1)]
    parts = [slice(start, end) for start, end in zip(ends, ends[1:]) if start < end]
    totals = parallel_for(lambda some: [add_up(part) for part in parts[some]], count=len(parts),
                          cost=36 * tile_columns * c * k * rows // len(parts))
    totals = [total for each in totals for total in each]
    dw = np.empty((k, c, 9), x.dtype)

    def transform_back(part):
        total = sum(each[:, part] for each in totals)                       # (36, K, C)
        np.matmul(FILTER.T, total.swapaxes(0, 1), out=dw[part].swapaxes(1, 2))

    parallel_for(transform_back, count=k, cost=36 * 9 * c)
    return dw.reshape(shape)


def _convolve_tiles(x, u, b, size, pad):
    """x (N, H, W, C), transformed filters u (36, C, K) -> y (N, *size, K)."""
    n, _, _, c = x.shape
    k = u.shape[2]
    tile_rows = -(-size[0] // 4)
    tile_columns = -(-size[1] // 4)
    max_rows = _max_tile_rows(tile_columns, c, k)
    if c * k <= SMALL_MATRIX:
        u = np.ascontiguousarray(u)                     # for products in pieces
    y = np.empty((n, *size, k), x.dtype)

    def work(part):
        for images, band in blocks(part, tile_rows, max_rows):
            rows = count_rows(images, band)
            # 1. all tiles of the block, transformed
            v = scratch('v', 36, rows * tile_columns, c)
            _transform(INPUT, 6, x[images], band, pad, tile_columns, out=v)
            # 2. 36 products: the sum over the input channels
            m = scratch('m', 36, rows * tile_columns, k)
            multiply(v, u, out=m)
            if b is not None:
                m[BIAS] += b
            # 3. back to 4×4 outputs; v has been read, so its memory serves for z
            z = scratch('v', 16, rows * tile_columns * k)
            _apply(OUTPUT, m.reshape(36, -1), out=z)
            # 4. output (i, j) of every tile goes to every fourth pixel; tiles at the lower and
            #    right border may reach beyond the image
            z = z.reshape(4, 4, images.stop - images.start, -1, tile_columns, k)
            for i, j in product(range(4), range(4)):
                out = y[images, 4 * band.start + i:4 * band.stop:4, j::4]
                out[:] = z[i, j, :, :out.shape[1], :out.shape[2]]

    parallel_for(work, count=n * tile_rows, cost=36 * tile_columns * c * k)
    return y


def _max_tile_rows(tile_columns, c, k):
    """How many rows of tiles make a block."""
    return max(BLOCK // (36 * tile_columns * max(c, k)), -(-MIN_TILES // tile_columns))


def _transform(matrix, size, images, band, pad, tile_columns, out):
    """Gather the tiles of a band of tile rows, transform them: out (36, tiles, C) = matrix @ tiles.

    images (N, H, W, C), cut every 4 pixels into tiles of size × size; matrix (36, size²)
    """
    n, _, _, c = images.shape
    rows = band.stop - band.start
    # 1. the pixels under the band, with zeros around the image
    patch = scratch('patch', n, 4 * rows + size - 4, 4 * tile_columns + size - 4, c)
    copy_padded(patch, images, 4 * band.start - pad[0], -pad[1])
    # 2. the tiles, which may overlap, as a view, and one copy that lays them out side by side
    image, row, column, channel = patch.strides
    tiles = scratch('m', size, size, n, rows, tile_columns, c)
    tiles[:] = as_strided(patch, tiles.shape, (row, column, image, 4 * row, 4 * column, channel))
    # 3. one product for all of them
    _apply(matrix, tiles.reshape(size * size, -1), out=out.reshape(36, -1))


def _apply(matrix, tiles, out):
    """out = matrix @ tiles, in pieces.   (a, b) @ (b, columns) -> (a, columns)

    The pieces are so small that OpenBLAS does not pack them (see multiply in blocking.py):
    measured, a quarter faster.
    """
    whole = tiles.shape[1] // PIECE * PIECE
    tile_pieces, out_pieces = (a[:, :whole].reshape(len(a), -1, PIECE).swapaxes(0, 1)
                               for a in (tiles, out))
    np.matmul(matrix, tile_pieces, out=out_pieces)
    np.matmul(matrix, tiles[:, whole:], out=out[:, whole:])


def _transform_filters(w, matrix):
    """G w Gᵀ: (K, C, 3, 3) -> (36, K, C)."""
    k, c = w.shape[:2]
    u = np.empty((36, k, c), w.dtype)
    taps = w.reshape(k, c, 9).swapaxes(1, 2)
    matrix = np.ascontiguousarray(matrix)

    def work(part):
        np.matmul(matrix, taps[part], out=u[:, part].swapaxes(0, 1))

    parallel_for(work, count=k, cost=36 * 9 * c)
    return u
