"""im2col in row blocks: the columns of a block are multiplied while they are still in the cache.

    y  = cols · wᵀ + b          gather
    dx = Mᵀ dy                  scatter: a row of taps at a time, each thread its own rows of dx
    dw = dyᵀ · cols             correlate

cols (places, kh·kw·C), pixels by rows: with the channels side by side a window is kh long runs.
"""
import numpy as np
from numpy.lib.stride_tricks import as_strided

from . import small_maps as filters
from .blocking import IN_PIECES, blocks, fill, meeting, multiply, scratch, spread

BLOCK = 1 << 18         # values in the columns of a block, 1 MB, but at least so many places:
PLACES = 256            # a product of fewer is mostly occupied with w


def convolve(x, w, b, size, geometry):
    """x (N, H, W, C), w (K, C, kh, kw) -> y (N, *size, K)."""
    n, k, ksize = len(x), len(w), w.shape[2:]
    rows = w.transpose(0, 2, 3, 1).reshape(k, -1).T                     # (kh·kw·C, K)
    if rows.size <= IN_PIECES:
        rows = rows.copy('C')                   # in order, for products in pieces
    y = np.empty((n, *size, k), x.dtype)

    def work(part):
        for here, cols in _columns(x, part, size, ksize, geometry):
            place = y[here].reshape(-1, k)
            multiply(cols, rows, out=place)
            if b is not None:
                place += b

    spread(work, n * size[0], size[1] * w.size)
    return y


def correlate(x, dy, shape, geometry):
    """dw (K, C, kh, kw) = ⟨x, dy⟩."""
    (n, oh, ow, k), (_, c, kh, kw) = dy.shape, shape

    def work(part):
        return sum(dy[here].reshape(-1, k).T @ cols for here, cols in
                   _columns(x, part, (oh, ow), (kh, kw), geometry))

    dw = sum(spread(work, n * oh, ow * k * c * kh * kw))
    return np.ascontiguousarray(dw.reshape(k, kh, kw, c).transpose(0, 3, 1, 2))


def transpose(dy, w, size, geometry):
    """dy (N, OH, OW, K), w (K, C, kh, kw) -> dx (N, *size, C)."""
    (n, oh, ow, k), (_, c, kh, kw) = dy.shape, w.shape
    (s, t), (p, q), (d, e) = geometry                                   # stride, pad, dilation
    if (s, t) == (1, 1) and kh * kw > 1 and k >= 4 * c:     # columns of dy would be far larger
        return filters.transpose(dy, w, size, geometry)
    if (s, t) == (1, 1):                        # a convolution with the filters turned by 180°
        pad = d * (kh - 1) - p, e * (kw - 1) - q
        return convolve(dy, w[:, :, ::-1, ::-1].swapaxes(0, 1), None, size, ((1, 1), pad, (d, e)))
    of_row = np.ascontiguousarray(w.transpose(2, 0, 3, 1)).reshape(kh, k, kw * c)
    dx = np.empty((n, *size, c), dy.dtype)
    most = max(s, BLOCK // (size[1] * c))
    columns = [meeting(range(size[1]), ow, t, j * e - q) for j in range(kw)]

    def work(part):
        for pictures, band in blocks(part, size[0], most):
            here = dx[pictures, band]
            here[:] = 0
            for i in range(kh):
                rows, at = meeting(range(band.start, band.stop), oh, s, i * d - p)
                seen = dy[pictures, rows]
                if not seen.size:
                    continue
                stamps = seen.reshape(-1, k) @ of_row[i]
                stamps = stamps.reshape(*seen.shape[:3], kw, c)
                for j, (reached, there) in enumerate(columns):
                    if reached.start < reached.stop:
                        here[:, at, there] += stamps[:, :, reached, j]

    spread(work, n * size[0], max(1, dy.size * w[0].size // (n * size[0])))
    return dx


def _columns(x, part, size, ksize, geometry):
    """Block by block of `part`: where it is, and its columns (places, kh·kw·C)."""
    c, (kh, kw), (s, t), (p, q), (d, e) = x.shape[3], ksize, *geometry
    if (kh, kw, p, q) == (1, 1, 0, 0):                                  # a pixel is its own column
        for pictures, rows in blocks(part, size[0], part.stop):
            seen = slice(rows.start * s, rows.stop * s - s + 1, s)
            yield (pictures, rows), x[pictures, seen, :size[1] * t - t + 1:t].reshape(-1, c)
        return
    most = max(BLOCK // (size[1] * kh * kw * c), -(-PLACES // size[1]))
    for pictures, rows in blocks(part, size[0], most):
        shape = pictures.stop - pictures.start, rows.stop - rows.start, size[1]
        patch = scratch('patch', shape[0], shape[1] * s - s + (kh - 1) * d + 1,
                        size[1] * t - t + (kw - 1) * e + 1, c)
        fill(patch, x[pictures], rows.start * s - p, -q)
        picture, row, column, one = patch.strides
        cols = scratch('cols', *shape, kh, kw, c)
        cols[:] = as_strided(patch, cols.shape,
                             (picture, s * row, t * column, d * row, e * column, one))
        yield (pictures, rows), cols.reshape(-1, kh * kw * c)
