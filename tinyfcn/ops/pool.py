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
from ..geometry import Size, axes, extent, flag, image_size, pool_size, useful_taps, window
from ..runtime.backend import array_module, on_host
from .arguments import Array, Cache, Pair, check_gradient, check_shape, floats, integers
from .matrix import keep_matrices, separable, sparse_rows


@accelerated
def max_switches(x: Array, ksize: Pair, stride: Pair | None = None, pad: Pair = 0,
                 ceil: bool = True, dilation: Pair = 1) -> tuple[Array, Cache]:
    """argmax over every window; the first of equals.

    x (N, C, H, W) -> (N, C, OH, OW) integers in 0 … H·W−1

    >>> import numpy as np
    >>> switches, cache = max_switches(np.array([[[[1., 5.], [2., 3.]]]]), 2)
    >>> switches.item()
    1
    """
    xp = floats(4, x=x)
    windows, (down, right), (top, left), (dh, dw) = _windows(x, ksize, stride, pad, ceil, dilation)
    *shape, oh, ow, kh, kw = windows.shape
    tap = windows.reshape(*shape, oh, ow, kh * kw).argmax(-1)
    row = tap // kw * dh + down * xp.arange(oh)[:, None] - top
    column = tap % kw * dw + right * xp.arange(ow) - left
    # where a window holds nothing but −inf the first of equals may be padding: take the first tap
    # that lies in the image
    row = xp.where(row < 0, row % dh, row)
    column = xp.where(column < 0, column % dw, column)
    return row * x.shape[3] + column, ()


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
    oh, ow = switches.shape[2:]
    y = xp.take_along_axis(x.reshape(n, c, h * w), switches.reshape(n, c, oh * ow), axis=2)
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
    h, w = image_size(*extent(size, c, n))
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
             ceil: bool = True, dilation: Pair = 1) -> tuple[Array, Cache]:
    """y = the largest pixel of every window.

    x (N, C, H, W) -> y (N, C, OH, OW); stride=None is ksize
    With dilation d a window reads every d-th pixel only.

    >>> import numpy as np
    >>> y, cache = max_pool(np.arange(9.).reshape(1, 1, 3, 3), 2)   # the last windows hang over
    >>> y[0, 0]
    array([[4., 5.],
           [7., 8.]])
    """
    xp = floats(4, x=x)
    geometry: dict[str, Any] = dict(ksize=ksize, stride=stride, pad=pad, ceil=ceil,
                                    dilation=dilation)
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
             ceil: bool = True, dilation: Pair = 1, count_include_pad: bool = True,
             ) -> tuple[Array, Cache]:
    """y = the mean of every window; padding counts as zeros, pixels beyond it do not count.

    x (N, C, H, W) -> y (N, C, OH, OW); stride=None is ksize
    With dilation d a window reads every d-th pixel only; with count_include_pad=False y is the mean
    of the pixels of the image alone.

    >>> import numpy as np
    >>> y, cache = avg_pool(np.arange(9.).reshape(1, 1, 3, 3), 2)
    >>> y[0, 0]
    array([[2. , 3.5],
           [6.5, 8. ]])
    """
    xp = floats(4, x=x)
    include_pad = flag(count_include_pad, 'count_include_pad')
    sizes = pool_size(x.shape[2:], ksize, stride, pad, ceil, dilation)
    ksize, stride, pad, dilation = window(ksize, ksize if stride is None else stride, pad, dilation)
    rows, columns = (_mean_matrix(xp, x.dtype, include_pad, *axis)
                     for axis in zip(x.shape[2:], sizes, ksize, stride, pad, dilation))
    return separable(x, rows, columns)


@keep_matrices
def _mean_matrix(xp: Any, dtype: Any, include_pad: bool, n: int, out: int, k: int, s: int, p: int,
                 d: int) -> Any:
    first = (s * xp.arange(out) - p)[:, None]
    begin, end = (-p, n + p) if include_pad else (0, n)                 # pixels that count
    skipped = -((first - begin) // d)                                   # taps before the first one
    count = xp.minimum(k, -((first - end) // d)) - skipped.clip(0)
    pixels = first + d * xp.arange(useful_taps(n, k, p, d))
    return sparse_rows(xp, dtype, n, pixels, 1 / count)


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
    rows, columns = (_bin_matrix(xp, x.dtype, *axis)
                     for axis in zip(x.shape[2:], image_size(*axes(bins, 'bins', 1))))
    return separable(x, rows, columns)


@keep_matrices
def _bin_matrix(xp: Any, dtype: Any, n: int, out: int) -> Any:
    i = xp.arange(out)[:, None]
    first = i * n // out
    end = -(-(i + 1) * n // out)
    pixels = first + xp.arange(n // out + 2)                            # as many as a bin can have
    return sparse_rows(xp, dtype, n, pixels, (pixels < end) / (end - first))


@backward_of(avg_pool_to)
def avg_pool_to_backward(dy: Array, cache: Any) -> tuple[Array]:
    dx, *_ = separable.backward(dy, cache)
    return dx,


def _windows(x: Array, ksize: Pair, stride: Pair | None, pad: Pair, ceil: bool, dilation: Pair,
             ) -> tuple[Array, Size, Size, Size]:
    """A view of every window, −∞ outside the image; the stride; the padding; the dilation.

    x (N, C, H, W) -> (N, C, OH, OW, kh, kw), less taps that are outside the image in every window
    """
    xp = array_module(x)
    h, w = x.shape[2:]
    oh, ow = pool_size((h, w), ksize, stride, pad, ceil, dilation)
    stride = ksize if stride is None else stride
    ksize, (down, right), (top, left), (dh, dw) = window(ksize, stride, pad, dilation)
    kh, kw = map(useful_taps, (h, w), ksize, (top, left), (dh, dw))
    high = dh * (kh - 1) + 1
    wide = dw * (kw - 1) + 1
    below = max(0, (oh - 1) * down + high - h - top)                # the last window hangs over
    beside = max(0, (ow - 1) * right + wide - w - left)
    padded = xp.pad(x, ((0, 0), (0, 0), (top, below), (left, beside)), constant_values=-xp.inf)
    windows = xp.lib.stride_tricks.sliding_window_view(padded, (high, wide), axis=(2, 3))
    windows = windows[:, :, ::down, ::right, ::dh, ::dw]
    return windows[:, :, :oh, :ow], (down, right), (top, left), (dh, dw)


def _check_switches(switches: Array, h: int, w: int) -> None:
    """Refuse switches that point outside their plane: they would reach into the next one."""
    integers(4, switches=switches)
    if on_host(switches) and switches.size and not 0 <= switches.min() <= switches.max() < h * w:
        raise ValueError(f'switches reach from {switches.min()} to {switches.max()}; a plane of '
                         f'{h}×{w} has 0 … {h * w - 1}: is this the size of the map that was '
                         f'pooled?')
