"""1×1 at stride 1 on the GPU: a pixel is its own column. A product for each picture, of w and x as
they lie; one for all pictures would have to bring their places together first.

    y  = w · x + b
    x  = wᵀ · dy + b
    dw = Σ dy · xᵀ          picture by picture
"""
from ...runtime.backend import array_module


def convolve(x, w, b, size, geometry, groups):
    """x (N, C, H, W), w (K, C, 1, 1) -> y (N, K, H, W)."""
    return _mixed(w.reshape(w.shape[:2]), x, b)


def transpose(dy, w, b, size, geometry, groups):
    """dy (N, K, H, W), w (K, C, 1, 1) -> x (N, C, H, W)."""
    return _mixed(w.reshape(w.shape[:2]).T, dy, b)


def correlate(x, dy, shape, geometry, groups):
    """dw (K, C, 1, 1) = ⟨x, dy⟩."""
    dw = None
    for pixels, gradients in zip(x, dy):
        part = gradients.reshape(shape[0], -1) @ pixels.reshape(shape[1], -1).T
        if dw is None:
            dw = part
        else:
            dw += part
    return dw.reshape(shape)


def _mixed(w, x, b):
    """(K, C) · (N, C, H, W) + b."""
    xp, (n, c, *size) = array_module(x), x.shape
    y = xp.empty((n, len(w), *size), x.dtype)
    for i in range(n):
        xp.matmul(w, x[i].reshape(c, -1), out=y[i].reshape(len(w), -1))
    if b is not None:
        y += b[:, None, None]
    return y
