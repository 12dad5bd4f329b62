"""Normalisation over neighbouring channels, which lie side by side, in blocks of rows."""
from numbers import Integral, Real

import numpy as np

from ..registry import kernel
from .pointwise import by_rows


def _suits(x, size=5, alpha=1e-4, beta=.75, k=1.):
    return x.dtype == 'float32' and x.ndim == 4 and x.size > 0 and isinstance(size, Integral) \
        and size % 2 == 1 and size > 0 and all(isinstance(v, Real) for v in (alpha, beta, k))


@kernel('local_response_norm', 'numpy', accepts=_suits)
def local_response_norm(x, size=5, alpha=1e-4, beta=.75, k=1.):
    size, alpha, beta, k = int(size), float(alpha), float(beta), float(k)   # theirs would widen
    y, s = np.empty_like(x), np.empty_like(x)

    def normalise(x, y, s):
        _neighbours(x * x, size, out=s)
        s *= alpha / size
        s += k
        np.power(s, -beta, out=y)
        y *= x

    by_rows(normalise, x, y, s)
    return y, (x, y, s, size, alpha, beta)


@kernel('local_response_norm_backward', 'numpy', accepts=lambda dy, cache: (
    dy.dtype == cache[0].dtype == 'float32' and dy.shape == cache[0].shape))
def local_response_norm_backward(dy, cache):
    x, y, s, size, alpha, beta = cache
    dx = np.empty_like(dy)

    def back(dy, x, y, s, dx):
        around = np.empty(dx.shape, dx.dtype)
        _neighbours(dy * y / s, size, out=around)
        around *= 2 * alpha * beta / size
        around *= x
        np.power(s, -beta, out=dx)
        dx *= dy
        dx -= around

    by_rows(back, dy, x, y, s, dx)
    return dx,


def _neighbours(x, size, out):
    """The sum over the `size` channels around each.   (…, C)"""
    c, half = x.shape[-1], size // 2
    padded = np.zeros((*x.shape[:-1], c + 2 * half), x.dtype)
    padded[..., half:half + c] = x
    out[...] = padded[..., :c]
    for i in range(1, size):
        out += padded[..., i:i + c]
