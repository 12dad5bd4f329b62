"""Winograd's F(4×4, 3×3): 16 outputs of a 3×3 window by 36 products of each channel, not 144.

    y  = Aᵀ [(G w Gᵀ) ⊙ (Bᵀ x B)] A         on tiles of 6×6 pixels, every 4
    dw = Gᵀ [(A dy Aᵀ) ⊙ (Bᵀ x B)] G        the same, read the other way

A transform of both axes of a tile is one product with a 36×36 Kronecker matrix, the sum over the
channels 36 products of matrices. (Lavin & Gray 2016.) In float32 about 1e-5 of the maximum is lost.
"""
from itertools import product

import numpy as np
from numpy.lib.stride_tricks import as_strided

from .blocking import IN_PIECES, blocks, fill, multiply, rows_in, scratch, spread

BLOCK = 1 << 19         # values in a block of transformed tiles, 2 MB, but at least so many tiles:
TILES = 256             # what is once for a block, such as adding up dw, has a price too


def _both_axes(rows):
    matrix = np.array(rows, 'float32')
    return np.kron(matrix, matrix)


OF_X = _both_axes([[4, 0, -5, 0, 1, 0], [0, -4, -4, 1, 1, 0], [0, 4, -4, -1, 1, 0],
                   [0, -2, -1, 2, 1, 0], [0, 2, -1, -2, 1, 0], [0, 4, 0, -5, 0, 1]])     # Bᵀ, 36×36
OF_W = _both_axes([[1/4, 0, 0], [-1/6, -1/6, -1/6], [-1/6, 1/6, -1/6],
                   [1/24, 1/12, 1/6], [1/24, -1/12, 1/6], [0, 0, 1]])                    # G, 36×9
TO_Y = _both_axes([[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0],
                   [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]])                            # Aᵀ, 16×36
OF_Y = TO_Y.T.copy()                                                                     # A, 36×16
EVERYWHERE = 7          # the one of the 36 that Aᵀ…A adds to all 16 outputs: where a bias belongs


def convolve(x, w, b, size, geometry):
    """x (N, H, W, C), w (K, C, 3, 3) -> y (N, *size, K)."""
    _, pad, _ = geometry
    return _over_tiles(x, _spectrum(w, OF_W).swapaxes(1, 2), b, size, pad)


def transpose(dy, w, size, geometry):
    """A convolution again, with the filters turned by 180° and their two depths exchanged."""
    _, pad, _ = geometry
    return _over_tiles(dy, _spectrum(w, OF_W[:, ::-1]), None, size, [2 - p for p in pad])


def correlate(x, dy, shape, geometry):
    """dw (K, C, 3, 3) = ⟨x, dy⟩."""
    _, pad, _ = geometry
    (n, oh, ow, k), c = dy.shape, x.shape[3]
    high, wide = -(-oh // 4), -(-ow // 4)
    most = _most(wide, c, k)

    def work(part):
        total = None
        for pictures, band in blocks(part, high, most):
            tiles = rows_in(pictures, band) * wide
            v, u = scratch('v', 36, tiles, c), scratch('u', 36, tiles, k)
            _transform(OF_X, x[pictures], band, pad, wide, out=v)
            _transform(OF_Y, dy[pictures], band, (0, 0), wide, out=u)
            dw = u.swapaxes(1, 2) @ v                                       # (36, K, C)
            total = dw if total is None else np.add(total, dw, out=total)
        return total

    totals, dw = spread(work, n * high, 36 * wide * c * k), np.empty((k, c, 9), x.dtype)

    def gather(part):
        total = sum(each[:, part] for each in totals).reshape(36, -1, c)
        np.matmul(OF_W.T, total.swapaxes(0, 1), out=dw[part].swapaxes(1, 2))

    spread(gather, k, 324 * c)
    return dw.reshape(shape)


def _over_tiles(x, u, b, size, pad):
    """x (N, H, W, C), u (36, C, K) -> y (N, *size, K)."""
    (n, _, _, c), k = x.shape, u.shape[2]
    high, wide = -(-size[0] // 4), -(-size[1] // 4)
    most = _most(wide, c, k)
    u = np.ascontiguousarray(u) if c * k <= IN_PIECES else u    # in order, for products in pieces
    y = np.empty((n, *size, k), x.dtype)

    def work(part):
        for pictures, band in blocks(part, high, most):
            rows = rows_in(pictures, band)
            v = scratch('v', 36, rows * wide, c)
            _transform(OF_X, x[pictures], band, pad, wide, out=v)
            m = scratch('m', 36, rows * wide, k)
            multiply(v, u, out=m)
            if b is not None:
                m[EVERYWHERE] += b
            z = scratch('v', 16, rows * wide * k)
            _product(TO_Y, m.reshape(36, -1), out=z)
            z = z.reshape(4, 4, pictures.stop - pictures.start, -1, wide, k)
            for i, j in product(range(4), range(4)):
                place = y[pictures, 4 * band.start + i:4 * band.stop:4, j::4]
                place[:] = z[i, j, :, :place.shape[1], :place.shape[2]]

    spread(work, n * high, 36 * wide * c * k)
    return y


def _most(wide, c, k):
    """How many rows of tiles make a block."""
    return max(BLOCK // (36 * wide * max(c, k)), -(-TILES // wide))


def _transform(matrix, images, band, pad, wide, out):
    """A band of tiles of the images, gathered and transformed: out (36, tiles, C)."""
    (n, _, _, c), rows = images.shape, band.stop - band.start
    size = 6 if matrix is OF_X else 4
    patch = scratch('patch', n, 4 * rows + size - 4, 4 * wide + size - 4, c)
    fill(patch, images, 4 * band.start - pad[0], -pad[1])
    picture, row, column, one = patch.strides
    tiles = scratch('m', size, size, n, rows, wide, c)
    tiles[:] = as_strided(patch, tiles.shape, (row, column, picture, 4 * row, 4 * column, one))
    _product(matrix, tiles.reshape(size * size, -1), out=out.reshape(36, -1))


def _product(matrix, tiles, out):
    """matrix @ tiles, in pieces so small that OpenBLAS packs none of them: a quarter faster."""
    whole = tiles.shape[1] // 512 * 512
    pieces = [a[:, :whole].reshape(len(a), -1, 512).swapaxes(0, 1) for a in (tiles, out)]
    np.matmul(matrix, pieces[0], out=pieces[1])
    np.matmul(matrix, tiles[:, whole:], out=out[:, whole:])


def _spectrum(w, matrix):
    """G w Gᵀ: (K, C, 3, 3) -> (36, K, C)."""
    k, c, u = len(w), w.shape[1], np.empty((36, *w.shape[:2]), w.dtype)
    taps, matrix = w.reshape(k, c, 9).swapaxes(1, 2), np.ascontiguousarray(matrix)

    def work(part):
        np.matmul(matrix, taps[part], out=u[:, part].swapaxes(0, 1))

    spread(work, k, 324 * c)
    return u
