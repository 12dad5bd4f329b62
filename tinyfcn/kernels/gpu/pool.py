"""Pooling on the GPU: one launch each, where the reference lays out every window in memory."""
from ...geometry import extent, is_dense, pool_size, useful_taps, window
from ...runtime.backend import array_module, is_cupy
from ..registry import kernel
from .launch import are_gpu_floats, launch


def _accepts_pool(x, ksize, stride=None, pad=0, ceil=True, dilation=1):
    return x.ndim == 4 and are_gpu_floats(x) and is_dense(dilation)     # else the reference


@kernel('max_pool', 'cupy', accepts=_accepts_pool)
def max_pool(x, ksize, stride=None, pad=0, ceil=True, dilation=1):
    kwargs = dict(ksize=ksize, stride=stride, pad=pad, ceil=ceil, dilation=dilation)
    xp = array_module(x)
    x = xp.ascontiguousarray(x)
    shape, sizes = _sizes(x, ksize, stride, pad, ceil)
    y = xp.empty(shape, x.dtype)
    launch('pool', 'max_pool', y.size, x, y, *sizes)
    return y, (x, y, kwargs)


@kernel('max_switches', 'cupy', accepts=_accepts_pool)
def max_switches(x, ksize, stride=None, pad=0, ceil=True, dilation=1):
    xp = array_module(x)
    shape, sizes = _sizes(x, ksize, stride, pad, ceil)
    switches = xp.empty(shape, 'int64')
    launch('pool', 'max_switches', switches.size, xp.ascontiguousarray(x), switches, *sizes)
    return switches, ()


@kernel('max_pool_backward', 'cupy', accepts=lambda dy, cache: (
    are_gpu_floats(dy, *cache[:2]) and dy.shape == cache[1].shape
    and is_dense(cache[2]['dilation'])))
def max_pool_backward(dy, cache):
    x, y, kwargs = cache
    xp = array_module(dy)
    dx = xp.empty(x.shape, x.dtype)
    _, sizes = _sizes(x, kwargs['ksize'], kwargs['stride'], kwargs['pad'], kwargs['ceil'])
    launch('pool', 'max_pool_backward', dx.size, xp.ascontiguousarray(dy),
           xp.ascontiguousarray(x), xp.ascontiguousarray(y), dx, *sizes)
    return dx,


def _sizes(x, ksize, stride, pad, ceil):
    """The shape of y, and the numbers that a kernel takes: planes, h, w, oh, ow, the window."""
    n, c, h, w = x.shape
    oh, ow = pool_size(x.shape[2:], ksize, stride, pad, ceil)
    ksize, stride, pad, _ = window(ksize, ksize if stride is None else stride, pad)
    ksize = map(useful_taps, (h, w), ksize, pad)
    return (n, c, oh, ow), (n * c, h, w, oh, ow, *ksize, *stride, *pad)


# ---- Switches

def _are_switches(switches, shape):
    return (switches.dtype.kind in 'iu' and switches.ndim == 4 and switches.size > 0
            and is_cupy(switches) and switches.shape[:2] == shape[:2])


@kernel('take', 'cupy', accepts=lambda x, switches: (
    x.ndim == 4 and are_gpu_floats(x) and _are_switches(switches, x.shape)
    and switches.size < 1 << 31))
def take(x, switches):
    xp = array_module(x)
    n, c, h, w = x.shape
    oh, ow = switches.shape[2:]
    y = xp.empty(switches.shape, x.dtype)
    launch('pool', 'take', y.size, xp.ascontiguousarray(x),
           xp.ascontiguousarray(switches, 'int64'), y, n * c, h * w, oh * ow)
    return y, (switches, (h, w))


def _accepts_unpool(y, switches, size):
    if not (y.ndim == 4 and are_gpu_floats(y) and _are_switches(switches, y.shape)
            and switches.shape == y.shape):
        return False
    h, w = extent(size, y.shape[1], len(y))
    return y.shape[0] * y.shape[1] * h * w < 1 << 31


@kernel('unpool', 'cupy', accepts=_accepts_unpool)
def unpool(y, switches, size):
    xp = array_module(y)
    n, c, oh, ow = y.shape
    h, w = extent(size, c, n)
    switches_64 = xp.ascontiguousarray(switches, 'int64')
    # 1. between which rows and columns of pixels do the switches of a line of windows lie?
    bounds = xp.empty((n * c, oh + ow, 2), 'int32')
    launch('pool', 'bounds', n * c * (oh + ow), switches_64, bounds, n * c, w, oh, ow)
    # 2. which lines of windows may then reach a row or column of pixels?
    reach = xp.empty((n * c, h + w, 2), 'int32')
    launch('pool', 'reach', n * c * (h + w), bounds, reach, n * c, h, w, oh, ow)
    # 3. every pixel gathers from those windows
    x = xp.empty((n, c, h, w), y.dtype)
    launch('pool', 'unpool', x.size, xp.ascontiguousarray(y), switches_64, reach, x, n * c, h, w,
           oh, ow)
    return x, (switches, x.shape)
