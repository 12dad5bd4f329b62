"""Pointwise ops in one launch; written with array expressions they are two or three."""
from ...runtime.backend import array_module
from ..registry import kernel
from .launch import are_gpu_floats, launch


@kernel('relu_backward', 'cupy', accepts=lambda dy, cache: (
    are_gpu_floats(dy, cache[0]) and dy.shape == cache[0].shape))
def relu_backward(dy, cache):
    y, = cache
    xp = array_module(dy)
    dx = xp.empty(dy.shape, dy.dtype)
    launch('pointwise', 'relu_backward', dx.size, xp.ascontiguousarray(dy),
           xp.ascontiguousarray(y), dx, dx.size)
    return dx,


@kernel('dropout', 'cupy', accepts=lambda x, p=.5, train=False, rng=None: (
    are_gpu_floats(x) and train is True and isinstance(p, float) and 0 <= p <= 1
    and hasattr(rng, 'random')))
def dropout(x, p=.5, train=False, rng=None):
    xp = array_module(x)
    p = float(p)
    kept = xp.asarray(rng.random(x.shape, 'float32') >= p)      # drawn on the host, as the CPU does
    y = xp.empty(x.shape, x.dtype)
    scale = 1 / (1 - p) if p < 1 else 0.
    launch('pointwise', 'dropout', y.size, xp.ascontiguousarray(x), kept, y, scale, y.size)
    return y, (x.shape, kept, p)
