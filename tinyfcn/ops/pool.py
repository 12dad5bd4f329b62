"""Pooling. The backward of a max pool finds the switches, and scatters to where they point.

    switches = max_switches(x)          where each window's largest pixel stands: row·W + column
    y = take(x, switches)               gather: max_pool(x) in two steps
    x = unpool(y, switches, size)       scatter, the transpose of take (DeconvNet, SegNet)

All pooling rounds up, as Caffe does; ceil=False rounds down.
"""
from functools import reduce
from itertools import product

from ..dispatch import accelerated, backward_of
from ..geometry import axes, extent, pool_size, window
from ..runtime.backend import array_module, on_host
from .arguments import floats, gradient, integers, shaped
from .matrix import separable, thin_matrix


@accelerated
def max_switches(x, ksize, stride=None, pad=0, ceil=True):
    """argmax over every window; the first of equals.

    x (N, C, H, W) -> (N, C, OH, OW) whole numbers in 0 … H·W−1
    """
    xp = floats(4, x=x)
    windows, (down, right), (top, left) = _windows(x, ksize, stride, pad, ceil)
    *shape, oh, ow, kh, kw = windows.shape
    tap = windows.reshape(*shape, oh, ow, kh * kw).argmax(-1)
    row = tap // kw + down * xp.arange(oh)[:, None] - top
    column = tap % kw + right * xp.arange(ow) - left
    # in a window of nothing but −inf the first of equals may be padding: step onto the image
    return row.clip(0) * x.shape[3] + column.clip(0), ()


@backward_of(max_switches)
def max_switches_backward(dy, cache):
    """A switch is a position: it has no gradient."""
    return None,


@accelerated
def take(x, switches):
    """y[n, c, i, j] = x[n, c, switches[n, c, i, j]].

    x (N, C, H, W), switches (N, C, OH, OW) -> y (N, C, OH, OW)
    """
    xp = floats(4, x=x)
    n, c, h, w = x.shape
    _within(switches, h, w)
    shaped((n, c, *switches.shape[2:]), 'the planes of x', switches=switches)
    y = xp.take_along_axis(x.reshape(n, c, h * w), switches.reshape(n, c, -1), axis=2)
    return y.reshape(switches.shape), (switches, (h, w))


@backward_of(take)
def take_backward(dy, cache):
    switches, size = cache
    gradient(dy, switches.shape)
    return unpool(dy, switches, size)[0], None


@accelerated
def unpool(y, switches, size):
    """x[n, c, switches[n, c, i, j]] += y[n, c, i, j]: each value where its switch says, else 0.

    y (N, C, OH, OW), switches likewise -> x (N, C, *size); `size` is that of what was pooled
    """
    xp = floats(4, y=y)
    (n, c), (h, w) = y.shape[:2], extent(size, y.shape[1], len(y))
    _within(switches, h, w)
    shaped(y.shape, 'the shape of y', switches=switches)
    planes = h * w * xp.arange(n * c).reshape(n, c, 1, 1)           # where each plane begins
    x = xp.zeros(n * c * h * w, y.dtype)
    pixels = (planes + switches.astype('int64')).ravel()
    xp.add.at(x, pixels, y.ravel())                                 # windows overlap: add
    return x.reshape(n, c, h, w), (switches, (n, c, h, w))


@backward_of(unpool)
def unpool_backward(dy, cache):
    switches, shape = cache
    gradient(dy, shape)
    return take(dy, switches)[0], None


@accelerated
def max_pool(x, ksize, stride=None, pad=0, ceil=True):
    """y = the largest pixel of every window.

    x (N, C, H, W) -> y (N, C, OH, OW)
    """
    xp, how = floats(4, x=x), dict(ksize=ksize, stride=stride, pad=pad, ceil=ceil)
    windows, *_ = _windows(x, **how)
    taps = product(*map(range, windows.shape[4:]))
    y = reduce(xp.maximum, (windows[..., i, j] for i, j in taps))
    return y, (x, y, how)


@backward_of(max_pool)
@accelerated
def max_pool_backward(dy, cache):
    x, y, how = cache
    gradient(dy, y.shape)
    switches, _ = max_switches(x, **how)
    return unpool(dy, switches, x.shape[2:])[0],


@accelerated
def avg_pool(x, ksize, stride=None, pad=0, ceil=True):
    """y = the mean of every window: padding counts as zeros, what lies beyond it does not count.

    x (N, C, H, W) -> y (N, C, OH, OW)
    """
    xp = floats(4, x=x)
    sizes = pool_size(x.shape[2:], ksize, stride, pad, ceil)
    ksize, stride, pad, _ = window(ksize, ksize if stride is None else stride, pad)

    def matrix(n, out, k, s, p):
        first = s * xp.arange(out) - p
        return _means(x, n, first, xp.minimum(first + k, n + p))

    return separable(x, *map(matrix, x.shape[2:], sizes, ksize, stride, pad))


@backward_of(avg_pool)
def avg_pool_backward(dy, cache):
    return separable.backward(dy, cache)[:1]


@accelerated
def avg_pool_to(x, bins):
    """y = the mean of every bin of a grid laid over the image: PSPNet's pyramid.

    x (N, C, H, W) -> y (N, C, *bins); bin i covers ⌊i·H/bins⌋ … ⌈(i+1)·H/bins⌉ − 1
    """
    xp = floats(4, x=x)

    def matrix(n, out):
        i = xp.arange(out)
        return _means(x, n, i * n // out, -(-(i + 1) * n // out))

    return separable(x, *map(matrix, x.shape[2:], axes(bins, 'bins', 1)))


@backward_of(avg_pool_to)
def avg_pool_to_backward(dy, cache):
    return separable.backward(dy, cache)[:1]


def _windows(x, ksize, stride, pad, ceil):
    """A view of every window, −∞ where there is no image; the stride, the padding.

    x (N, C, H, W) -> (N, C, OH, OW, kh, kw)
    """
    xp, (h, w) = array_module(x), x.shape[2:]
    oh, ow = pool_size((h, w), ksize, stride, pad, ceil)
    stride = ksize if stride is None else stride
    (kh, kw), (down, right), (top, left), _ = window(ksize, stride, pad)
    below = max(0, (oh - 1) * down + kh - h - top)                  # the last window hangs over
    beside = max(0, (ow - 1) * right + kw - w - left)
    padded = xp.pad(x, ((0, 0), (0, 0), (top, below), (left, beside)), constant_values=-xp.inf)
    windows = xp.lib.stride_tricks.sliding_window_view(padded, (kh, kw), axis=(2, 3))
    return windows[:, :, ::down, ::right], (down, right), (top, left)


def _means(x, n, first, end):
    """Row i of the matrix averages the pixels first[i] … end[i]−1 of n; those not there are 0."""
    pixels = array_module(x).arange(n)
    inside = (pixels >= first[:, None]) & (pixels < end[:, None])
    return thin_matrix(x, inside / (end - first)[:, None])


def _within(switches, h, w):
    """Refuse switches that point beside their plane: they would reach into the next one."""
    integers(4, switches=switches)
    if on_host(switches) and switches.size and not 0 <= switches.min() <= switches.max() < h * w:
        raise ValueError(f'switches reach from {switches.min()} to {switches.max()}; a plane of '
                         f'{h}×{w} has 0 … {h * w - 1}: is this the size of what was pooled?')
