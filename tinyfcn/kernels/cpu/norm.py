"""Normalisation over neighbouring channels, which are adjacent in memory, in blocks of rows."""
from numbers import Integral, Real

import numpy as np

from ...geometry import LIMIT
from ..registry import kernel
from .pointwise import apply_in_blocks


def _accepts(x, size=5, alpha=1e-4, beta=.75, k=1.):
    return (x.dtype == 'float32' and x.ndim == 4 and x.size > 0
            and isinstance(size, Integral) and 0 < size < LIMIT
            and all(isinstance(v, Real) for v in (alpha, beta, k)))


@kernel('local_response_norm', 'numpy', accepts=_accepts)
def local_response_norm(x, size=5, alpha=1e-4, beta=.75, k=1.):
    size = int(size)
    # a NumPy scalar would widen float32
    alpha = float(alpha)
    beta = float(beta)
    k = float(k)
    y = np.empty_like(x)
    s = np.empty_like(x)

    def normalise(x, y, s):
        _sum_neighbours(x * x, size // 2, (size - 1) // 2, out=s)
        s *= alpha / size
        s += k
        np.power(s, -beta, out=y)
        y *= x

    apply_in_blocks(normalise, x, y, s)
    return y, (x, y, s, size, alpha, beta)


@kernel('local_response_norm_backward', 'numpy', accepts=lambda dy, cache: (
    dy.dtype == cache[0].dtype == 'float32' and dy.shape == cache[0].shape and dy.size > 0))
def local_response_norm_backward(dy, cache):
    x, y, s, size, alpha, beta = cache
    dx = np.empty_like(dy)

    def backward(dy, x, y, s, dx):
        through_sums = np.empty(dx.shape, dx.dtype)
        _sum_neighbours(dy * y / s, (size - 1) // 2, size // 2, out=through_sums)
        through_sums *= 2 * alpha * beta / size
        through_sums *= x
        np.power(s, -beta, out=dx)
        dx *= dy
        dx -= through_sums

    apply_in_blocks(backward, dy, x, y, s, dx)
    return dx,


def _sum_neighbours(x, before, after, out):
    """The sum over each channel, `before` channels before it and `after` after it.   (…, C)"""
    c = x.shape[-1]
    before = min(before, c - 1)
    after = min(after, c - 1)
    padded = np.zeros((*x.shape[:-1], before + c + after), x.dtype)
    padded[..., before:before + c] = x
    out[...] = padded[..., :c]
    for i in range(1, before + 1 + after):
        out += padded[..., i:i + c]
