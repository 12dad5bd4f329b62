"""1×1 convolutions at stride 1 on the GPU: a pixel is its own column, so nothing is unrolled.

    y  = w · x + b
    dx = wᵀ · dy + b
    dw = Σ dy · xᵀ          image by image

One product for each image, all of them in one call. A single product for all would first have to
bring the pixels of all images together in memory.
"""
from ...runtime.backend import array_module
from .im2col import add_bias
from .product import multiply


def convolve(x, w, b, y, geometry, groups, relu):
    """x (N, C, H, W), w (K, C, 1, 1) -> y (N, K, H, W)."""
    multiply(w.reshape(1, *w.shape[:2]), _as_matrices(x), out=_as_matrices(y))
    add_bias(y, b, relu)


def convolve_transposed(dy, w, b, dx, geometry, groups):
    """dy (N, K, H, W), w (K, C, 1, 1) -> dx (N, C, H, W)."""
    w = w.reshape(1, *w.shape[:2]).swapaxes(1, 2)
    multiply(w, _as_matrices(dy), out=_as_matrices(dx))
    add_bias(dx, b, False)


def weight_gradient(x, dy, shape, geometry, groups):
    """x (N, C, H, W), dy (N, K, H, W) -> dw (K, C, 1, 1)."""
    dw = array_module(x).empty((1, *shape[:2]), x.dtype)
    dy = _as_matrices(dy)
    pixels = _as_matrices(x).swapaxes(1, 2)
    for i in range(len(x)):
        multiply(dy[i:i + 1], pixels[i:i + 1], out=dw, add=i > 0)
    return dw.reshape(shape)


def _as_matrices(x):
    """(N, C, H, W) -> (N, C, H·W)"""
    return x.reshape(*x.shape[:2], -1)
