"""Convolutions with few windows and many filters: no copy of w, and threads share its rows.

    y  = w · cols + b           fc6 of VGG-16: 4096 filters of 7·7·512 at 16·16 windows
    dx = Mᵀ dy                  each thread has its channels of dx
    dw = dy · colsᵀ

M is the matrix of the convolution; cols (C·kh·kw, windows) is small beside w.
"""
from itertools import product

import numpy as np
from numpy.lib.stride_tricks import as_strided

from .blocking import parallel_for


def convolve(x, w, b, size, geometry):
    """x (N, H, W, C), w (K, C, kh, kw) -> y (N, *size, K)."""
    cols = _columns(x, w.shape[2:], size, geometry)
    filters = w.reshape(len(w), -1)
    y = np.empty((cols.shape[1], len(w)), x.dtype)

    def work(part):
        np.matmul(cols.T, filters[part].T, out=y[:, part])
        if b is not None:
            y[:, part] += b[part]

    parallel_for(work, count=len(w), cost=cols.size)
    return y.reshape(len(x), *size, len(w))


def weight_gradient(x, dy, shape, geometry):
    """x (N, H, W, C), dy (N, OH, OW, K) -> dw (K, C, kh, kw) = dy · colsᵀ."""
    cols = _columns(x, shape[2:], dy.shape[1:3], geometry)
    dy = dy.reshape(-1, shape[0])
    dw = np.empty((shape[0], len(cols)), x.dtype)

    def work(part):
        np.matmul(dy[:, part].T, cols.T, out=dw[part])

    parallel_for(work, count=len(dw), cost=cols.size)
    return dw.reshape(shape)


def convolve_transposed(dy, w, size, geometry):
    """dy (N, OH, OW, K), w (K, C, kh, kw) -> dx (N, *size, C)."""
    n, oh, ow, k = dy.shape
    _, c, kh, kw = w.shape
    (s, t), (p, q), (d, e) = geometry                                   # stride, pad, dilation
    height = max(size[0] + 2 * p, (oh - 1) * s + (kh - 1) * d + 1)
    width = max(size[1] + 2 * q, (ow - 1) * t + (kw - 1) * e + 1)
    dy = dy.reshape(-1, k)
    dx = np.empty((n, *size, c), dy.dtype)

    def work(part):
        products = (w[:, part].reshape(k, -1).T @ dy.T).reshape(-1, kh, kw, n, oh, ow)
        padded = np.zeros((len(products), n, height, width), dy.dtype)
        for i, j in product(range(kh), range(kw)):
            rows = slice(i * d, i * d + s * oh, s)
            columns = slice(j * e, j * e + t * ow, t)
            padded[:, :, rows, columns] += products[:, i, j]
        dx[..., part] = padded[:, :, p:p + size[0], q:q + size[1]].transpose(1, 2, 3, 0)

    parallel_for(work, count=c, cost=dy.size * kh * kw)
    return dx


def _columns(x, ksize, size, geometry):
    """(C·kh·kw, windows of all images)."""
    n, h, w, c = x.shape
    (s, t), (p, q), (d, e) = geometry
    padded = np.zeros((c, n, h + 2 * p, w + 2 * q), x.dtype)
    padded[:, :, p:p + h, q:q + w] = x.transpose(3, 0, 1, 2)
    channel, image, row, column = padded.strides
    windows = as_strided(padded, (c, *ksize, n, *size),
                         (channel, d * row, e * column, image, s * row, t * column))
    return windows.reshape(c * ksize[0] * ksize[1], -1)
