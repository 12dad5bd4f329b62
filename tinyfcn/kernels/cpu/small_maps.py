"""Convolutions with few windows and many filters: no copy of w, and threads share its rows.

    y  = w · cols + b           fc6 of VGG-16: 4096 filters of 7·7·512 at 16·16 windows
    dx = Mᵀ dy                  each thread has its channels of dx
    dw = dy · colsᵀ

M is the matrix of the convolution; cols (C·kh·kw, windows) is small beside w.
"""
from itertools import product

import numpy as np
from numpy.lib.stride_tricks import as_strided

from ...runtime.blas_threads import one_blas_thread
from .blocking import parallel_for

# BLAS rounds an item differently in a matrix of another size, so the sizes of the products must not
# depend on the number of threads: they are those of at most four blocks
BLOCKS = 4, 2, 1
LEAST_BLOCK = 128           # items; with fewer, copying the other matrix takes too large a part


def convolve(x, w, b, y, geometry, least):
    """x (N, H, W, C), w (K, C, kh, kw) -> y (N, OH, OW, K) = max(M x + b, least)."""
    cols = _columns(x, w.shape[2:], y.shape[1:3], geometry)
    filters = w.reshape(len(w), -1)

    def work(part):
        product = cols.T @ filters[part].T
        if b is not None:
            product += b[part]
        np.maximum(product, least, out=product)
        y[..., part] = product.reshape(*y.shape[:3], -1)

    with one_blas_thread():
        parallel_for_blocks(work, count=len(w), cost=cols.size)


def weight_gradient(x, dy, dw, geometry):
    """x (N, H, W, C), dy (N, OH, OW, K) -> dw (K, C, kh, kw) = dy · colsᵀ."""
    cols = _columns(x, dw.shape[2:], dy.shape[1:3], geometry)
    dy = dy.reshape(-1, len(dw))
    rows = dw.reshape(len(dw), -1)                      # of the same memory

    def work(part):
        np.matmul(dy[:, part].T, cols.T, out=rows[part])

    with one_blas_thread():
        parallel_for_blocks(work, count=len(dw), cost=cols.size)


def convolve_transposed(dy, w, dx, geometry):
    """dy (N, OH, OW, K), w (K, C, kh, kw) -> dx (N, H, W, C)."""
    n, oh, ow, k = dy.shape
    _, c, kh, kw = w.shape
    (s, t), (p, q), (d, e) = geometry                                   # stride, pad, dilation
    _, rows, columns, _ = dx.shape
    height = max(rows + 2 * p, (oh - 1) * s + (kh - 1) * d + 1)
    width = max(columns + 2 * q, (ow - 1) * t + (kw - 1) * e + 1)
    dy = dy.reshape(-1, k)

    def work(part):
        products = (w[:, part].reshape(k, -1).T @ dy.T).reshape(-1, kh, kw, n, oh, ow)
        padded = np.zeros((len(products), n, height, width), dy.dtype)
        for i, j in product(range(kh), range(kw)):
            padded[:, :, i * d:i * d + s * oh:s, j * e:j * e + t * ow:t] += products[:, i, j]
        dx[..., part] = padded[:, :, p:p + rows, q:q + columns].transpose(1, 2, 3, 0)

    with one_blas_thread():
        parallel_for_blocks(work, count=c, cost=dy.size * kh * kw)


def parallel_for_blocks(work, count, cost):
    """As parallel_for, in blocks that are the same for any number of threads."""
    blocks = next((n for n in BLOCKS if count >= n * LEAST_BLOCK), 1)
    bounds = [count * i // blocks for i in range(blocks + 1)]

    def work_on(part):
        for i in range(part.start, part.stop):
            work(slice(bounds[i], bounds[i + 1]))

    parallel_for(work_on, count=blocks, cost=cost * (count // blocks))


def _columns(x, ksize, size, geometry):
    """(C·kh·kw, windows of all images)."""
    n, h, w, c = x.shape
    (s, t), (p, q), (d, e) = geometry
    padded = x.transpose(3, 0, 1, 2)
    if p or q:
        padded = np.zeros((c, n, h + 2 * p, w + 2 * q), x.dtype)
        padded[:, :, p:p + h, q:q + w] = x.transpose(3, 0, 1, 2)
    channel, image, row, column = padded.strides
    windows = as_strided(padded, (c, *ksize, n, *size),
                         (channel, d * row, e * column, image, s * row, t * column))
    return windows.reshape(c * ksize[0] * ksize[1], -1)
