"""Pooling. The backward of a max pool finds the switches and scatters dy to where they point.

    switches = max_switches(x)          where the largest pixel of each window is: row·W + column
    y = take(x, switches)               gather: max_pool(x) in two steps
    x = unpool(y, switches, size)       scatter, the transpose of take (DeconvNet, SegNet)

Output sizes are rounded up, as in Caffe; ceil=False rounds down.
"""
from functools import reduce
from itertools import product
from typing import Any

from ..dispatch import accelerated, backward_of
from ..geometry import axes, extent, pool_size, window
from ..runtime.backend import array_module, on_host
from .arguments import Array, Cache, Pair, check_gradient, check_shape, floats, integers
from .matrix import separable, sparse_like


@accelerated
def max_switches(x: Array, ksize: Pair, stride: Pair | None = None, pad: Pair = 0,
                 ceil: bool = True) -> tuple[Array, Cache]:
    """argmax over every window; the first of equals.

    x (N, C, H, W) -> (N, C, OH, OW) integers in 0 … H·W−1

    >>> import numpy as np
    >>> switches, cache = max_switches(np.array([[[[1., 5.], [2., 3.]]]]), 2)
    >>> switches.item()
    1
    """
    xp = floats(4, x=x)
    windows, (down, right), (top, left) = _windows(x, ksize, stride, pad, ceil)
    *shape, oh, ow, kh, kw = windows.shape
    tap = windows.reshape(*shape, oh, ow, kh * kw).argmax(-1)
    row = tap // kw + down * xp.arange(oh)[:, None] - top
    column = tap % kw + right * xp.arange(ow) - left
    # where a window holds nothing but −inf the first of equals may be padding: clip to the image
    return row.clip(0) * x.shape[3] + column.clip(0), ()


@backward_of(max_switches)
def max_switches_backward(dy: Array, cache: Any) -> tuple[None]:
    """A switch is a position: it has no gradient."""
    return None,


@accelerated
def take(x: Array, switches: Array) -> tuple[Array, Cache]:
    """y[n, c, i, j] = x[n, c, switches[n, c, i, j]].

    x (N, C, H, W), switches (N, C, OH, OW) -> y (N, C, OH, OW)

    >>> import numpy as np
    >>> y, cache = take(np.array([[[[1., 5.], [2., 3.]]]]), np.array([[[[1]]]]))
    >>> y.item()
    5.0
    """
    xp = floats(4, x=x)
    n, c, h, w = x.shape
    _check_switches(switches, h, w)
    check_shape((n, c, *switches.shape[2:]), 'the planes of x', switches=switches)
    y = xp.take_along_axis(x.reshape(n, c, h * w), switches.reshape(n, c, -1), axis=2)
    return y.reshape(switches.shape), (switches, (h, w))


@backward_of(take)
def take_backward(dy: Array, cache: Any) -> tuple[Array, None]:
    switches, size = cache
    check_gradient(dy, switches.shape)
    dx, _ = unpool(dy, switches, size)
    return dx, None


@accelerated
def unpool(y: Array, switches: Array, size: Pair) -> tuple[Array, Cache]:
    """x[n, c, switches[n, c, i, j]] += y[n, c, i, j], and 0 elsewhere.

    y and switches (N, C, OH, OW) -> x (N, C, *size), the size of the map that was pooled

    >>> import numpy as np
    >>> x, cache = unpool(np.array([[[[5.]]]]), np.array([[[[1]]]]), (2, 2))
    >>> x[0, 0]
    array([[0., 5.],
           [0., 0.]])
    """
    xp = floats(4, y=y)
    n, c = y.shape[:2]
    h, w = extent(size, c, n)
    _check_switches(switches, h, w)
    check_shape(y.shape, 'the shape of y', switches=switches)
    planes = h * w * xp.arange(n * c).reshape(n, c, 1, 1)           # where each plane begins
    x = xp.zeros(n * c * h * w, y.dtype)
    pixels = (planes + switches.astype('int64')).ravel()
    xp.add.at(x, pixels, y.ravel())                                 # windows overlap: add
    return x.reshape(n, c, h, w), (switches, (n, c, h, w))


@backward_of(unpool)
def unpool_backward(dy: Array, cache: Any) -> tuple[Array, None]:
    switches, shape = cache
    check_gradient(dy, shape)
    dx, _ = take(dy, switches)
    return dx, None


@accelerated
def max_pool(x: Array, ksize: Pair, stride: Pair | None = None, pad: Pair = 0,
             ceil: bool = True) -> tuple[Array, Cache]:
    """y = the largest pixel of every window.

    x (N, C, H, W) -> y (N, C, OH, OW); stride=None is ksize

    >>> import numpy as np
    >>> y, cache = max_pool(np.arange(9.).reshape(1, 1, 3, 3), 2)   # the last windows hang over
    >>> y[0, 0]
    array([[4., 5.],
           [7., 8.]])
    """
    xp = floats(4, x=x)
    geometry: dict[str, Any] = dict(ksize=ksize, stride=stride, pad=pad, ceil=ceil)
    windows, *_ = _windows(x, **geometry)
    taps = product(*map(range, windows.shape[4:]))
    y = reduce(xp.maximum, (windows[..., i, j] for i, j in taps))
    return y, (x, y, geometry)


@backward_of(max_pool)
@accelerated
def max_pool_backward(dy: Array, cache: Any) -> tuple[Array]:
    x, y, geometry = cache
    check_gradient(dy, y.shape)
    switches, _ = max_switches(x, **geometry)
    dx, _ = unpool(dy, switches, x.shape[2:])
    return dx,


@accelerated
def avg_pool(x: Array, ksize: Pair, stride: Pair | None = None, pad: Pair = 0,
             ceil: bool = True) -> tuple[Array, Cache]:
    """y = the mean of every window; padding counts as zeros, pixels beyond it do not count.

    x (N, C, H, W) -> y (N, C, OH, OW); stride=None is ksize

    >>> import numpy as np
    >>> y, cache = avg_pool(np.arange(9.).reshape(1, 1, 3, 3), 2)
    >>> y[0, 0]
    array([[2. , 3.5],
           [6.5, 8. ]])
    """
    xp = floats(4, x=x)
    sizes = pool_size(x.shape[2:], ksize, stride, pad, ceil)
    ksize, stride, pad, _ = window(ksize, ksize if stride is None else stride, pad)

    def matrix(n: int, out: int, k: int, s: int, p: int) -> Any:
        first = s * xp.arange(out) - p
        return _means(x, n, first, xp.minimum(first + k, n + p))

    rows, columns = map(matrix, x.shape[2:], sizes, ksize, stride, pad)
    return separable(x, rows, columns)


@backward_of(avg_pool)
def avg_pool_backward(dy: Array, cache: Any) -> tuple[Array]:
    dx, *_ = separable.backward(dy, cache)
    return dx,


@accelerated
def avg_pool_to(x: Array, bins: Pair) -> tuple[Array, Cache]:
    """y = the mean of every bin of a grid over the image: adaptive pooling, the pyramid of PSPNet.

    x (N, C, H, W) -> y (N, C, *bins); bin i covers ⌊i·H/bins⌋ … ⌈(i+1)·H/bins⌉ − 1

    >>> import numpy as np
    >>> y, cache = avg_pool_to(np.arange(4.).reshape(1, 1, 2, 2), 1)
    >>> y.item()
    1.5
    """
    xp = floats(4, x=x)

    def matrix(n: int, out: int) -> Any:
        i = xp.arange(out)
        return _means(x, n, i * n // out, -(-(i + 1) * n // out))

    rows, columns = map(matrix, x.shape[2:], axes(bins, 'bins', 1))
    return separable(x, rows, columns)


@backward_of(avg_pool_to)
def avg_pool_to_backward(dy: Array, cache: Any) -> tuple[Array]:
    dx, *_ = separable.backward(dy, cache)
    return dx,


def _windows(x: Array, ksize: Pair, stride: Pair | None, pad: Pair, ceil: bool,
             ) -> tuple[Array, tuple[int, int], tuple[int, int]]:
    """A view of every window, −∞ outside the image; the stride; the padding.

    x (N, C, H, W) -> (N, C, OH, OW, kh, kw)
    """
    xp = array_module(x)
    h, w = x.shape[2:]
    oh, ow = pool_size((h, w), ksize, stride, pad, ceil)
    stride = ksize if stride is None else stride
    (kh, kw), (down, right), (top, left), _ = window(ksize, stride, pad)
    below = max(0, (oh - 1) * down + kh - h - top)                  # the last window hangs over
    beside = max(0, (ow - 1) * right + kw - w - left)
    padded = xp.pad(x, ((0, 0), (0, 0), (top, below), (left, beside)), constant_values=-xp.inf)
    windows = xp.lib.stride_tricks.sliding_window_view(padded, (kh, kw), axis=(2, 3))
    return windows[:, :, ::down, ::right], (down, right), (top, left)


def _means(x: Array, n: int, first: Array, end: Array) -> Any:
    """Row i averages the pixels first[i] … end[i]−1 of n; those outside the image count as 0."""
    pixels = array_module(x).arange(n)
    inside = (pixels >= first[:, None]) & (pixels < end[:, None])
    return sparse_like(x, inside / (end - first)[:, None])


def _check_switches(switches: Array, h: int, w: int) -> None:
    """Refuse switches that point outside their plane: they would reach into the next one."""
    integers(4, switches=switches)
    if on_host(switches) and switches.size and not 0 <= switches.min() <= switches.max() < h * w:
        raise ValueError(f'switches reach from {switches.min()} to {switches.max()}; a plane of '
                         f'{h}×{w} has 0 … {h * w - 1}: is this the size of the map that was '
                         f'pooled?')
