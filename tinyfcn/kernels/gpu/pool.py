"""Pooling on the GPU: a launch each, where the bodies lay out every window."""
from ...geometry import extent, pool_size, window
from ...runtime.backend import array_module
from ..registry import kernel
from .launch import launch, suited


def _suits_pool(x, ksize, stride=None, pad=0, ceil=True):
    return x.ndim == 4 and suited(x)


@kernel('max_pool', 'cupy', accepts=_suits_pool)
def max_pool(x, ksize, stride=None, pad=0, ceil=True):
    how = dict(ksize=ksize, stride=stride, pad=pad, ceil=ceil)
    xp = array_module(x)
    x, (shape, sizes) = xp.ascontiguousarray(x), _sizes(x, **how)
    y = xp.empty(shape, x.dtype)
    launch('pool', 'max_pool', y.size, x, y, *sizes)
    return y, (x, y, how)


@kernel('max_switches', 'cupy', accepts=_suits_pool)
def max_switches(x, ksize, stride=None, pad=0, ceil=True):
    xp = array_module(x)
    shape, sizes = _sizes(x, ksize, stride, pad, ceil)
    switches = xp.empty(shape, 'int64')
    launch('pool', 'max_switches', switches.size, xp.ascontiguousarray(x), switches, *sizes)
    return switches, ()


@kernel('max_pool_backward', 'cupy', accepts=lambda dy, cache: (
    suited(dy, *cache[:2]) and dy.shape == cache[1].shape))
def max_pool_backward(dy, cache):
    x, y, how = cache
    xp = array_module(dy)
    x, y, dx = xp.ascontiguousarray(x), xp.ascontiguousarray(y), xp.empty(x.shape, x.dtype)
    launch('pool', 'max_pool_backward', dx.size, xp.ascontiguousarray(dy), x, y, dx,
           *_sizes(x, **how)[1])
    return dx,


def _sizes(x, ksize, stride, pad, ceil):
    """The shape of y, and all that the kernels ask: planes, h, w, oh, ow, and the window."""
    (n, c, h, w), (oh, ow) = x.shape, pool_size(x.shape[2:], ksize, stride, pad, ceil)
    ksize, stride, pad, _ = window(ksize, ksize if stride is None else stride, pad)
    return (n, c, oh, ow), (n * c, h, w, oh, ow, *ksize, *stride, *pad)


# ---- Switches

def _are_switches(switches, shape):
    return switches.dtype.kind in 'iu' and switches.ndim == 4 and switches.size > 0 \
        and type(switches).__module__.split('.')[0] == 'cupy' and switches.shape[:2] == shape[:2]


@kernel('take', 'cupy', accepts=lambda x, switches: (
    x.ndim == 4 and suited(x) and _are_switches(switches, x.shape) and switches.size < 1 << 31))
def take(x, switches):
    xp, (n, c, h, w), (*_, oh, ow) = array_module(x), x.shape, switches.shape
    y = xp.empty(switches.shape, x.dtype)
    launch('pool', 'take', y.size, xp.ascontiguousarray(x),
           xp.ascontiguousarray(switches, 'int64'), y, n * c, h * w, oh * ow)
    return y, (switches, (h, w))


def _suits_unpool(y, switches, size):
    if not (y.ndim == 4 and suited(y) and _are_switches(switches, y.shape)
            and switches.shape == y.shape):
        return False
    h, w = extent(size, y.shape[1], len(y))
    return y.shape[0] * y.shape[1] * h * w < 1 << 31


@kernel('unpool', 'cupy', accepts=_suits_unpool)
def unpool(y, switches, size):
    xp, (n, c, oh, ow) = array_module(y), y.shape
    h, w = extent(size, c, n)
    at = xp.ascontiguousarray(switches, 'int64')
    bounds = xp.empty((n * c, oh + ow, 2), 'int32')
    launch('pool', 'bounds', n * c * (oh + ow), at, bounds, n * c, w, oh, ow)
    reach = xp.empty((n * c, h + w, 2), 'int32')
    launch('pool', 'reach', n * c * (h + w), bounds, reach, n * c, h, w, oh, ow)
    x = xp.empty((n, c, h, w), y.dtype)
    launch('pool', 'unpool', x.size, xp.ascontiguousarray(y), at, reach, x, n * c, h, w, oh, ow)
    return x, (switches, x.shape)
