"""Normalisation on the GPU, and the sums over each channel that it shares with every bias.

A sum over pictures and pixels is taken slice by slice, so that a net of 64 channels fills a card,
and in one order. Passes over an image: batch_norm in training reads x twice and writes x̂ and y,
its backward reads dy and x̂ twice and writes dx.
"""
from numbers import Integral, Real

from ...runtime.backend import array_module
from ..registry import kernel
from .launch import launch, suited

SLICE, BLOCKS = 8192, 2048      # values of a slice, at least; slices of all channels, about
PART = 2048                     # values of a plane that a block passes over
MOMENTUM = .1                   # as the body has it


def channel_sums(x):
    """Σ over (N, H, W): (N, C, H, W) in C order -> (C,)."""
    xp = array_module(x)
    sizes = n, c, size = _sizes(x)
    slices = _slices(*sizes)
    total = xp.empty((c, slices), x.dtype)
    launch('sums', 'sums', x.size, x, total, *sizes, slices, blocks=c * slices)
    return total[:, 0] if slices == 1 else total.sum(1)


@kernel('batch_norm', 'cupy', accepts=lambda x, w, b, mean, var, train=False, eps=1e-5,
          frozen=False: x.ndim == 4 and suited(x) and isinstance(eps, Real) and all(
              isinstance(v, type(x)) and v.dtype == x.dtype and v.shape == x.shape[1:2]
              for v in (w, b, mean, var)) and x.size > x.shape[1])
def batch_norm(x, w, b, mean, var, train=False, eps=1e-5, frozen=False):
    xp = array_module(x)
    sizes, of_batch, state = _sizes(x), train and not frozen, ()
    w_given, (x, w, b, mean, var) = w, map(xp.ascontiguousarray, (x, w, b, mean, var))
    if of_batch:
        mean, var, *moved = _moments(x, mean, var)
        state = tuple(moved),
    inverse, x_hat, y = xp.empty_like(w), xp.empty_like(x), xp.empty_like(x)
    parts = -(-sizes[2] // PART)
    launch('norm', 'normalise', x.size, x, mean, var, w, b, inverse, x_hat, y, *sizes, parts,
           float(eps), blocks=_grid(sizes, parts))
    return y, (x_hat, w_given, inverse, of_batch), *state


@kernel('batch_norm_backward', 'cupy', accepts=lambda dy, cache: (
    dy.ndim == 4 and suited(dy, cache[0]) and dy.shape == cache[0].shape))
def batch_norm_backward(dy, cache):
    xp = array_module(dy)
    x_hat, w, inverse, of_batch = cache
    dy, w, sizes = xp.ascontiguousarray(dy), xp.ascontiguousarray(w), _sizes(dy)
    slices, parts = _slices(*sizes), -(-sizes[2] // PART)
    total = xp.empty((2, sizes[1], slices), dy.dtype)
    launch('sums', 'products', dy.size, dy, x_hat, total, *sizes, slices,
           blocks=sizes[1] * slices)
    dw, db = total.sum(2)
    dx = xp.empty_like(dy)
    launch('norm', 'denormalise', dy.size, dy, x_hat, w, inverse, dw, db, dx, *sizes, parts,
           bool(of_batch), blocks=_grid(sizes, parts))
    return dx, dw, db, None, None


@kernel('local_response_norm', 'cupy', accepts=lambda x, size=5, alpha=1e-4, beta=.75, k=1.: (
    x.ndim == 4 and suited(x) and isinstance(size, Integral) and size > 0 and size % 2 == 1
    and all(isinstance(v, Real) for v in (alpha, beta, k))))
def local_response_norm(x, size=5, alpha=1e-4, beta=.75, k=1.):
    xp = array_module(x)
    size, alpha, beta = int(size), float(alpha), float(beta)
    n, c, pixels = _sizes(x)
    y, s = xp.empty(x.shape, x.dtype), xp.empty(x.shape, x.dtype)
    launch('lrn', 'forward', x.size, xp.ascontiguousarray(x), y, s, n * c, c, pixels,
           size, alpha / size, beta, float(k))
    return y, (x, y, s, size, alpha, beta)


@kernel('local_response_norm_backward', 'cupy', accepts=lambda dy, cache: (
    dy.ndim == 4 and suited(dy, cache[0]) and dy.shape == cache[0].shape))
def local_response_norm_backward(dy, cache):
    xp = array_module(dy)
    x, y, s, size, alpha, beta = cache
    dy, x, y = map(xp.ascontiguousarray, (dy, x, y))
    n, c, pixels = _sizes(dy)
    dx = xp.empty_like(dy)
    launch('lrn', 'backward', dy.size, dy, x, y, s, dx, n * c, c, pixels, size,
           2 * alpha * beta / size, beta)
    return dx,


def _moments(x, mean, var):
    """The batch's own mean and var (C,), and the running ones, moved towards them."""
    xp = array_module(x)
    sizes = n, c, size = _sizes(x)
    slices = _slices(*sizes)
    means, squares = xp.empty((2, c, slices), x.dtype)
    launch('sums', 'moments', x.size, x, means, squares, *sizes, slices, blocks=c * slices)
    settled = [xp.empty(c, x.dtype) for _ in range(4)]
    launch('norm', 'settle', c, means, squares, mean, var, *settled, n * size, c, slices, MOMENTUM)
    return settled


def _sizes(x):
    """N, C and the pixels of a plane."""
    n, c, h, w = x.shape
    return n, c, h * w


def _slices(n, c, size):
    return max(1, min(n * size // SLICE, BLOCKS // c))


def _grid(sizes, parts):
    n, c, _ = sizes
    return min(n * c * parts, 1 << 16)

