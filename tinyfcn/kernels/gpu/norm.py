"""Normalisation on the GPU, and the sum over each channel, which every bias needs too.

A sum over images and pixels is made slice by slice, so that 64 channels occupy a whole GPU, and
always in the same order. Passes over memory: batch_norm in training reads x twice and writes y;
its backward reads dy and x twice and writes dx.
"""
from math import prod
from numbers import Integral, Real

from ...geometry import LIMIT
from ...runtime.backend import array_module
from ..registry import kernel
from .launch import are_gpu_floats, launch

MIN_SLICE = 8192        # values of a slice of a sum, at least
MAX_SLICES = 2048       # slices of all channels together, about
PART = 2048             # values of a plane that a block normalises
MAX_BLOCKS = 1 << 16    # of a launch


def channel_sums(x):
    """Σ over (N, H, W): C-contiguous (N, C, H, W) -> (C,)."""
    xp = array_module(x)
    n, c, pixels = _sizes(x)
    slices = _slices(n, c, pixels)
    total = xp.empty((c, slices), x.dtype)
    launch('sums', 'sums', x.size, x, total, n, c, pixels, slices, blocks=c * slices)
    return add_parts(total, 1)


def mask_and_sum(dy, y):
    """The gradient before ReLU, dy where y > 0, and Σ of that: twice (N, C, H, W) -> those, (C,)"""
    xp = array_module(dy)
    dy, y = map(xp.ascontiguousarray, (dy, y))
    n, c, pixels = _sizes(dy)
    slices = _slices(n, c, pixels)
    masked = xp.empty(dy.shape, dy.dtype)
    total = xp.empty((c, slices), dy.dtype)
    launch('sums', 'masked_sums', dy.size, dy, y, masked, total, n, c, pixels, slices,
           blocks=c * slices)
    return masked, add_parts(total, 1)


def add_parts(parts, axis):
    """Σ along one axis of C-contiguous `parts`, in their order."""
    shape = parts.shape[:axis] + parts.shape[axis + 1:]
    if parts.shape[axis] == 1:
        return parts.reshape(shape)
    y = array_module(parts).empty(shape, parts.dtype)
    launch('sums', 'add_parts', y.size, parts, y, prod(shape[:axis]), parts.shape[axis],
           prod(shape[axis:]))
    return y


def _accepts_batch_norm(x, w, b, mean, var, train=False, eps=1e-5, frozen=False, momentum=.1):
    if not (x.ndim == 4 and are_gpu_floats(x) and isinstance(eps, Real)
            and isinstance(momentum, Real) and 0 <= momentum <= 1):
        return False
    return x.size > x.shape[1] and all(
        isinstance(v, type(x)) and v.dtype == x.dtype and v.shape == x.shape[1:2]
        for v in (w, b, mean, var))


@kernel('batch_norm', 'cupy', accepts=_accepts_batch_norm)
def batch_norm(x, w, b, mean, var, train=False, eps=1e-5, frozen=False, momentum=.1):
    xp = array_module(x)
    sizes = _sizes(x)
    cached = [x, w, mean]                   # the cache holds the arrays that were given
    x, w, b, mean, var = map(xp.ascontiguousarray, (x, w, b, mean, var))
    use_batch = train and not frozen
    state = ()
    if use_batch:
        mean, var, new_mean, new_var = _moments(x, mean, var, float(momentum))
        cached[2] = mean
        state = (new_mean, new_var),
    inverse = xp.empty_like(w)
    y = xp.empty_like(x)
    parts = -(-sizes[2] // PART)
    launch('norm', 'normalise', x.size, x, mean, var, w, b, inverse, y, *sizes, parts,
           float(eps), blocks=_grid(sizes, parts))
    return y, (*cached, inverse, use_batch), *state


@kernel('batch_norm_backward', 'cupy', accepts=lambda dy, cache: (
    dy.ndim == 4 and are_gpu_floats(dy, cache[0]) and dy.shape == cache[0].shape))
def batch_norm_backward(dy, cache):
    xp = array_module(dy)
    *arrays, use_batch = cache
    dy, x, w, mean, inverse = map(xp.ascontiguousarray, (dy, *arrays))
    sizes = _sizes(dy)
    slices = _slices(*sizes)
    parts = -(-sizes[2] // PART)
    total = xp.empty((2, sizes[1], slices), dy.dtype)
    launch('sums', 'products', dy.size, dy, x, mean, inverse, total, *sizes, slices,
           blocks=sizes[1] * slices)
    dw, db = add_parts(total, 2)
    dx = xp.empty_like(dy)
    launch('norm', 'normalise_backward', dy.size, dy, x, w, mean, inverse, dw, db, dx, *sizes,
           parts, bool(use_batch), blocks=_grid(sizes, parts))
    return dx, dw, db, None, None


def _moments(x, mean, var, momentum):
    """The batch's mean and var, and the running ones moved towards them: four times (C,)."""
    xp = array_module(x)
    n, c, pixels = _sizes(x)
    slices = _slices(n, c, pixels)
    means, squares = xp.empty((2, c, slices), x.dtype)
    launch('sums', 'moments', x.size, x, means, squares, n, c, pixels, slices, blocks=c * slices)
    moments = [xp.empty(c, x.dtype) for _ in range(4)]
    launch('norm', 'combine_moments', c, means, squares, mean, var, *moments, n * pixels, c,
           slices, momentum)
    return moments


# ---- Local response normalisation

def _accepts_local_response_norm(x, size=5, alpha=1e-4, beta=.75, k=1.):
    return (isinstance(size, Integral) and 0 < size < LIMIT and x.ndim == 4 and are_gpu_floats(x)
            and all(isinstance(v, Real) for v in (alpha, beta, k)))


@kernel('local_response_norm', 'cupy', accepts=_accepts_local_response_norm)
def local_response_norm(x, size=5, alpha=1e-4, beta=.75, k=1.):
    xp = array_module(x)
    size = int(size)
    alpha = float(alpha)
    beta = float(beta)
    n, c, pixels = _sizes(x)
    y = xp.empty(x.shape, x.dtype)
    s = xp.empty(x.shape, x.dtype)
    launch('lrn', 'forward', x.size, xp.ascontiguousarray(x), y, s, n * c, c, pixels,
           size, alpha / size, beta, float(k))
    return y, (x, y, s, size, alpha, beta)


@kernel('local_response_norm_backward', 'cupy', accepts=lambda dy, cache: (
    dy.ndim == 4 and are_gpu_floats(dy, cache[0]) and dy.shape == cache[0].shape))
def local_response_norm_backward(dy, cache):
    xp = array_module(dy)
    x, y, s, size, alpha, beta = cache
    dy, x, y = map(xp.ascontiguousarray, (dy, x, y))
    n, c, pixels = _sizes(dy)
    dx = xp.empty_like(dy)
    launch('lrn', 'backward', dy.size, dy, x, y, s, dx, n * c, c, pixels, size,
           2 * alpha * beta / size, beta)
    return dx,


# ---- Sizes

def _sizes(x):
    """N, C and the pixels of a plane."""
    n, c, h, w = x.shape
    return n, c, h * w


def _slices(n, c, pixels):
    """Into how many slices the sum of a channel is split."""
    return max(1, min(n * pixels // MIN_SLICE, MAX_SLICES // c))


def _grid(sizes, parts):
    """How many blocks run, one for each part of each plane."""
    n, c, _ = sizes
    return min(n * c * parts, MAX_BLOCKS)
