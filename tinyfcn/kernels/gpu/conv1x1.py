"""1×1 convolutions at stride 1 on the GPU: a pixel is its own column, so nothing is unrolled.

    y  = w · x + b
    x  = wᵀ · dy + b
    dw = Σ dy · xᵀ          image by image

One product for each image. A single product for all would first have to bring the pixels of all
images together in memory.
"""
from ...runtime.backend import array_module


def convolve(x, w, b, size, geometry, groups):
    """x (N, C, H, W), w (K, C, 1, 1) -> y (N, K, H, W)."""
    return _multiply_channels(w.reshape(w.shape[:2]), x, b)


def convolve_transposed(dy, w, b, size, geometry, groups):
    """dy (N, K, H, W), w (K, C, 1, 1) -> x (N, C, H, W)."""
    return _multiply_channels(w.reshape(w.shape[:2]).T, dy, b)


def weight_gradient(x, dy, shape, geometry, groups):
    """x (N, C, H, W), dy (N, K, H, W) -> dw (K, C, 1, 1)."""
    dw = None
    for pixels, gradient in zip(x, dy):
        part = gradient.reshape(shape[0], -1) @ pixels.reshape(shape[1], -1).T
        if dw is None:
            dw = part
        else:
            dw += part
    return dw.reshape(shape)


def _multiply_channels(w, x, b):
    """(K, C) · (N, C, H, W) + b -> (N, K, H, W)."""
    xp = array_module(x)
    n, c, *size = x.shape
    y = xp.empty((n, len(w), *size), x.dtype)
    for i in range(n):
        xp.matmul(w, x[i].reshape(c, -1), out=y[i].reshape(len(w), -1))
    if b is not None:
        y += b[:, None, None]
    return y
