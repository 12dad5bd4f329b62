"""Pointwise ops that are one launch here, and two or three where they are written with arrays."""
from ...runtime.backend import array_module
from ..registry import kernel
from .launch import launch, suited


@kernel('relu_backward', 'cupy', accepts=lambda dy, cache: (
    suited(dy, cache[0]) and dy.shape == cache[0].shape))
def relu_backward(dy, cache):
    y, = cache
    xp, dx = array_module(dy), array_module(dy).empty(dy.shape, dy.dtype)
    launch('pointwise', 'relu_backward', dx.size, xp.ascontiguousarray(dy),
           xp.ascontiguousarray(y), dx, dx.size)
    return dx,


@kernel('dropout', 'cupy', accepts=lambda x, p=.5, train=False, rng=None: (
    suited(x) and train and isinstance(p, float) and 0 <= p < 1 and hasattr(rng, 'random')))
def dropout(x, p=.5, train=False, rng=None):
    xp, p = array_module(x), float(p)
    kept = xp.asarray(rng.random(x.shape, 'float32') >= p)
    y = xp.empty(x.shape, x.dtype)
    launch('pointwise', 'dropout', y.size, xp.ascontiguousarray(x), kept, y, 1 / (1 - p), y.size)
    return y, (x.shape, kept, p)
