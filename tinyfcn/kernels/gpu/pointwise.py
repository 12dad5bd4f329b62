"""Pointwise ops in one launch; written with array expressions they are two or three."""
import numpy as np

from ...runtime.backend import array_module, is_cupy
from ..dropout import draw_kept, scale_of_kept
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
    """Drawn on the host, as the CPU draws; a bit for each unit is uploaded."""
    xp = array_module(x)
    p = float(p)
    bits = xp.asarray(np.packbits(draw_kept(rng, x.shape, p), bitorder='little'))
    kept = xp.empty(x.shape, bool)
    y = xp.empty(x.shape, x.dtype)
    launch('pointwise', 'dropout', y.size, xp.ascontiguousarray(x), bits, kept, y,
           scale_of_kept(p), y.size)
    return y, (x.shape, kept, p)


@kernel('dropout_backward', 'cupy', accepts=lambda dy, cache: (
    are_gpu_floats(dy) and dy.shape == cache[0] and is_cupy(cache[1])))
def dropout_backward(dy, cache):
    _, kept, p = cache
    xp = array_module(dy)
    dx = xp.empty(dy.shape, dy.dtype)
    launch('pointwise', 'dropout_backward', dx.size, xp.ascontiguousarray(dy),
           xp.ascontiguousarray(kept), dx, scale_of_kept(p), dx.size)
    return dx,
