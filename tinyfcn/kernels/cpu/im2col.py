"""im2col in blocks of rows: the columns of a block are multiplied while they are in the cache.

    y  = cols · wᵀ + b          gather
    dx = Mᵀ dy                  scatter, one row of taps at a time; each thread has its rows of dx
    dw = dyᵀ · cols

M is the matrix of the convolution. cols has the shape (windows, kh·kw·C), one window a row. With
the channels of a pixel side by side, a window is kh long runs of memory.
"""
import numpy as np
from numpy.lib.stride_tricks import as_strided

from ..convolution import Geometry
from . import small_maps
from .blocking import (
    SMALL_MATRIX,
    blocks,
    copy_padded,
    multiply,
    overlap,
    parallel_for,
    scratch,
)

BLOCK = 1 << 18         # values of the columns of a block, 1 MB
MIN_WINDOWS = 256       # windows of a block, at least: with fewer, a product mostly reads w


def convolve(x, w, b, size, geometry):
    """x (N, H, W, C), w (K, C, kh, kw) -> y (N, *size, K)."""
    n = len(x)
    k = len(w)
    ksize = w.shape[2:]
    matrix = w.transpose(0, 2, 3, 1).reshape(k, -1).T                   # (kh·kw·C, K)
    if matrix.size <= SMALL_MATRIX:
        matrix = matrix.copy('C')               # contiguous, for products in pieces
    y = np.empty((n, *size, k), x.dtype)

    def work(part):
        for block, cols in _columns(x, part, size, ksize, geometry):
            out = y[block].reshape(-1, k)
            multiply(cols, matrix, out=out)
            if b is not None:
                out += b

    parallel_for(work, count=n * size[0], cost=size[1] * w.size)
    return y


def weight_gradient(x, dy, shape, geometry):
    """x (N, H, W, C), dy (N, OH, OW, K) -> dw (K, C, kh, kw) = Σ dyᵀ · cols."""
    n, oh, ow, k = dy.shape
    _, c, kh, kw = shape

    def work(part):
        return sum(dy[block].reshape(-1, k).T @ cols
                   for block, cols in _columns(x, part, (oh, ow), (kh, kw), geometry))

    dw = sum(parallel_for(work, count=n * oh, cost=ow * k * c * kh * kw))
    return np.ascontiguousarray(dw.reshape(k, kh, kw, c).transpose(0, 3, 1, 2))


def convolve_transposed(dy, w, size, geometry):
    """dy (N, OH, OW, K), w (K, C, kh, kw) -> dx (N, *size, C)."""
    k, c, kh, kw = w.shape
    if geometry.stride != (1, 1):
        return _scatter(dy, w, size, geometry)
    if kh * kw > 1 and k >= 4 * c:              # the columns of dy would be far larger than of dx
        return small_maps.convolve_transposed(dy, w, size, geometry)
    # at stride 1 the transpose is a convolution with the filters rotated by 180°
    p, q = geometry.pad
    d, e = geometry.dilation
    rotated = w[:, :, ::-1, ::-1].swapaxes(0, 1)
    pad = d * (kh - 1) - p, e * (kw - 1) - q
    return convolve(dy, rotated, None, size, Geometry((1, 1), pad, (d, e)))


def _scatter(dy, w, size, geometry):
    """The transpose at any stride.

    For each block of rows of dx and each row i of the filter: the rows of dy whose windows reach
    the block are multiplied by that row of filter taps, and the products are added to the pixels
    that the taps had read. A block belongs to one thread, so no two threads add to one pixel.
    """
    n, oh, ow, k = dy.shape
    _, c, kh, kw = w.shape
    (s, t), (p, q), (d, e) = geometry                                   # stride, pad, dilation
    filter_rows = np.ascontiguousarray(w.transpose(2, 0, 3, 1)).reshape(kh, k, kw * c)
    dx = np.empty((n, *size, c), dy.dtype)
    max_rows = max(s, BLOCK // (size[1] * c))
    columns = [overlap(range(size[1]), ow, t, j * e - q) for j in range(kw)]

    def work(part):
        for images, rows in blocks(part, size[0], max_rows):
            block = dx[images, rows]
            block[:] = 0
            for i in range(kh):
                windows, pixels = overlap(range(rows.start, rows.stop), oh, s, i * d - p)
                gradient = dy[images, windows]
                if not gradient.size:
                    continue
                products = gradient.reshape(-1, k) @ filter_rows[i]
                products = products.reshape(*gradient.shape[:3], kw, c)
                for j, (column_windows, column_pixels) in enumerate(columns):
                    if column_windows.start < column_windows.stop:
                        block[:, pixels, column_pixels] += products[:, :, column_windows, j]

    parallel_for(work, count=n * size[0], cost=max(1, dy.size * w[0].size // (n * size[0])))
    return dx


def _columns(x, part, size, ksize, geometry):
    """For each block of `part`: where it lies in y, and its columns (windows, kh·kw·C)."""
    c = x.shape[3]
    kh, kw = ksize
    (s, t), (p, q), (d, e) = geometry
    if (kh, kw, p, q) == (1, 1, 0, 0):                          # a pixel is its own column
        for images, rows in blocks(part, size[0], part.stop):
            read = slice(rows.start * s, rows.stop * s - s + 1, s)
            yield (images, rows), x[images, read, :size[1] * t - t + 1:t].reshape(-1, c)
        return

    max_rows = max(BLOCK // (size[1] * kh * kw * c), -(-MIN_WINDOWS // size[1]))
    for images, rows in blocks(part, size[0], max_rows):
        count = images.stop - images.start
        height = rows.stop - rows.start
        # 1. the pixels that the block reads, with zeros around the image
        patch = scratch('patch', count, height * s - s + (kh - 1) * d + 1,
                        size[1] * t - t + (kw - 1) * e + 1, c)
        copy_padded(patch, x[images], rows.start * s - p, -q)
        # 2. all windows of the patch as a view, and one copy that lays them out as columns
        image, row, column, channel = patch.strides
        cols = scratch('cols', count, height, size[1], kh, kw, c)
        cols[:] = as_strided(patch, cols.shape,
                             (image, s * row, t * column, d * row, e * column, channel))
        yield (images, rows), cols.reshape(-1, kh * kw * c)
