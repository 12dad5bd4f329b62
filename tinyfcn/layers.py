"""The layers of models: each call makes one box.   n.score_fr = conv(n.drop7, n_class, 1)

A layer joins an op with what the op does not know: its weights, the size of its output, and its
alignment with the image.
"""
from __future__ import annotations

from collections.abc import Callable
from functools import partial
from math import inf
from numbers import Real
from typing import Any

from . import geometry, ops
from .geometry import Pair, axes
from .init import he_normal, ones, zeros
from .net.alignment import Unaligned, common_alignment, offset_between
from .net.box import ArraySpecs, Box, Init, layer


def scale_width(channels: int, width: float) -> int:
    """`width` times as many channels, rounded to an even number, since some layers halve them.

    >>> scale_width(64, 1/16), scale_width(64, 1/64)
    (4, 2)
    """
    return max(2, 2 * round(channels * check_width(width) / 2))


def check_width(width: float) -> float:
    """A finite number above 0: an int or a float of Python, whatever it was.

    >>> check_width(1/16)
    0.0625
    """
    message = f'width is {width!r}: a finite number above 0 is needed, such as 1 or 1/16'
    if not isinstance(width, Real) or isinstance(width, bool):
        raise TypeError(message)
    if not 0 < width < inf:
        raise ValueError(message)
    return width if isinstance(width, int | float) else float(width)


def check_n_class(n_class: int) -> int:
    """An integer, 1 or more.

    >>> check_n_class(21)
    21
    """
    return geometry.count(n_class, 'n_class')


# ---- convolution and its transpose ------------------------------------------------------------
@layer
def conv(x: Box, channels: int, ksize: Pair, stride: Pair = 1, pad: Pair = 0, dilation: Pair = 1,
         groups: int = 1, bias: bool = True, init: Init = he_normal) -> Box:
    """A learned convolution.

    >>> from tinyfcn import Net
    >>> n = Net(channels=3)
    >>> n.conv1 = conv(n.data, 8, 3, pad=1)
    >>> n.params['conv1.w'].shape, n.sizes((5, 6))['conv1']
    ((8, 3, 3, 3), (5, 6))
    """
    window: dict[str, Any] = dict(stride=stride, pad=pad, dilation=dilation)
    ksize = axes(ksize, 'ksize', 1)
    channels = geometry.count(channels, 'channels')
    groups = geometry.count(groups, 'groups')
    weights = _weights(x, channels, groups, bias, init, (channels, x.channels // groups, *ksize))
    return Box(ops.conv2d, x, channels=channels, weights=weights,
               alignment=x.alignment.window(ksize, **window),
               output_size=partial(geometry.conv_size, ksize=ksize, **window),
               groups=groups, **window)


@layer
def deconv(x: Box, channels: int, ksize: Pair, stride: Pair = 1, pad: Pair = 0, groups: int = 1,
           bias: bool = True, init: Init | None = None) -> Box:
    """A learned transposed convolution. With init=bilinear it starts as `upsample`.

    >>> from tinyfcn import Net
    >>> n = Net(channels=3)
    >>> n.up = deconv(n.data, 8, 4, stride=2, pad=1)
    >>> n.params['up.w'].shape, n.sizes((5, 6))['up']
    ((3, 8, 4, 4), (10, 12))
    """
    window: dict[str, Any] = dict(stride=stride, pad=pad)
    ksize = axes(ksize, 'ksize', 1)
    channels = geometry.count(channels, 'channels')
    groups = geometry.count(groups, 'groups')
    # an output is a sum over every stride-th tap along each axis
    taps = [-(-k // s) for k, s in zip(ksize, axes(stride, 'stride', 1))]
    init = init or partial(he_normal, fan_in=x.channels // groups * taps[0] * taps[1])
    weights = _weights(x, channels, groups, bias, init, (x.channels, channels // groups, *ksize))
    return Box(ops.conv_transpose2d, x, channels=channels, weights=weights,
               alignment=x.alignment.transposed(ksize, **window), groups=groups, **window,
               output_size=partial(geometry.transposed_size, ksize=ksize, **window))


def _weights(x: Box, channels: int, groups: int, bias: bool, init: Init,
             shape: tuple[int, ...]) -> ArraySpecs:
    if not callable(init):
        raise TypeError(f'init is {init!r}: a function (shape, rng) is needed, such as init.zeros')
    if x.channels % groups or channels % groups:
        raise ValueError(f'groups={groups} does not divide {x.channels} channels into {channels}')
    weights: dict[str, tuple[Init, tuple[int, ...]]] = {'w': (init, shape)}
    if bias:
        weights['b'] = zeros, (channels,)
    return weights


@layer
def upsample(x: Box, factor: Pair, ksize: Pair | None = None, pad: Pair = 0) -> Box:
    """Fixed bilinear upsampling, without weights.

    >>> from tinyfcn import Net
    >>> n = Net(channels=3)
    >>> n.up = upsample(n.data, 2, pad=1)
    >>> n.sizes((5, 6))['up']
    (10, 12)
    """
    ksize = geometry.bilinear_size(factor, ksize)
    return Box(ops.upsample, x, alignment=x.alignment.transposed(ksize, factor, pad),
               output_size=partial(geometry.transposed_size, ksize=ksize, stride=factor, pad=pad),
               factor=factor, ksize=ksize, pad=pad)


@layer
def resize(x: Box, like: Box, align_corners: bool = False, mode: str = 'bilinear') -> Box:
    """Interpolation to the size and the alignment of `like`: bilinear, or the nearest pixel.

    >>> from tinyfcn import Net
    >>> n = Net(channels=3)
    >>> n.pool = max_pool(n.data, 2)
    >>> n.back = resize(n.pool, like=n.data)
    >>> n.sizes((5, 6))
    {'data': (5, 6), 'pool': (3, 3), 'back': (5, 6)}
    """
    return Box(ops.resize, x, like=like, alignment=x.alignment.resampled_to(like.alignment),
               output_size=geometry.last_size, align_corners=align_corners, mode=mode)


# ---- pooling ----------------------------------------------------------------------------------
def _pool(op: Callable[..., Any], x: Box, ksize: Pair, stride: Pair | None, pad: Pair,
          ceil: bool, dilation: Pair, **kwargs: Any) -> Box:
    window: dict[str, Any] = dict(stride=ksize if stride is None else stride, pad=pad,
                                  dilation=dilation)
    return Box(op, x, alignment=x.alignment.window(ksize, **window),
               output_size=partial(geometry.pool_size, ksize=ksize, ceil=ceil, **window),
               ksize=ksize, ceil=ceil, **window, **kwargs)


@layer
def max_pool(x: Box, ksize: Pair, stride: Pair | None = None, pad: Pair = 0, ceil: bool = True,
             dilation: Pair = 1) -> Box:
    """The largest value of every window.

    >>> from tinyfcn import Net
    >>> n = Net(channels=3)
    >>> n.pool = max_pool(n.data, 2)
    >>> print(n.pool.alignment, n.sizes((5, 6))['pool'])
    image = 2·i + 0.5 (3, 3)
    """
    return _pool(ops.max_pool, x, ksize, stride, pad, ceil, dilation)


@layer
def max_switches(x: Box, ksize: Pair, stride: Pair | None = None, pad: Pair = 0,
                 ceil: bool = True, dilation: Pair = 1) -> Box:
    """The position of the largest value of every window, for `take` and `unpool`.

    >>> from tinyfcn import Net
    >>> n = Net(channels=3)
    >>> n.switches = max_switches(n.data, 2)
    >>> n.pool = take(n.data, n.switches)
    >>> n.sizes((5, 6))['pool']
    (3, 3)
    """
    return _pool(ops.max_switches, x, ksize, stride, pad, ceil, dilation)


@layer
def avg_pool(x: Box, ksize: Pair, stride: Pair | None = None, pad: Pair = 0, ceil: bool = True,
             dilation: Pair = 1, count_include_pad: bool = True) -> Box:
    """The mean of every window, over padding too or over the pixels of x alone.

    >>> from tinyfcn import Net
    >>> n = Net(channels=3)
    >>> n.pool = avg_pool(n.data, 3, stride=1, pad=1)
    >>> n.sizes((5, 6))['pool']
    (5, 6)
    """
    return _pool(ops.avg_pool, x, ksize, stride, pad, ceil, dilation,
                 count_include_pad=count_include_pad)


@layer
def take(x: Box, switches: Box) -> Box:
    """The values of x where the switches point.

    >>> from tinyfcn import Net
    >>> n = Net(channels=3)
    >>> n.switches = max_switches(n.data, 2)
    >>> n.pool = take(n.data, n.switches)
    >>> n.sizes((5, 6))['pool']
    (3, 3)
    """
    return Box(ops.take, x, switches, alignment=switches.alignment, output_size=geometry.last_size)


@layer
def unpool(x: Box, switches: Box, like: Box) -> Box:
    """Every value back where its switch points, at the size of `like`, the box that was pooled.

    >>> from tinyfcn import Net
    >>> n = Net(channels=3)
    >>> n.switches = max_switches(n.data, 2)
    >>> n.pool = take(n.data, n.switches)
    >>> n.back = unpool(n.pool, n.switches, like=n.data)
    >>> n.sizes((5, 6))['back']
    (5, 6)
    """
    return Box(ops.unpool, x, switches, like=like,
               alignment=x.alignment.resampled_to(like.alignment),
               output_size=geometry.last_size)


@layer
def avg_pool_to(x: Box, bins: Pair) -> Box:
    """The mean of every bin of a grid: adaptive pooling, the pyramid of PSPNet.

    >>> from tinyfcn import Net
    >>> n = Net(channels=3)
    >>> n.bins = avg_pool_to(n.data, 2)
    >>> n.sizes((5, 6))['bins']
    (2, 2)
    """
    bins = axes(bins, 'bins', 1)
    reason = f'{x} was averaged into {bins[0]}×{bins[1]} bins, whatever its size'
    return Box(ops.avg_pool_to, x, output_size=partial(geometry.given_size, size=bins),
               alignment=Unaligned(reason), bins=bins)


# ---- one value at a time ----------------------------------------------------------------------
@layer
def relu(x: Box) -> Box:
    """max(x, 0).

    >>> from tinyfcn import Net
    >>> n = Net(channels=3)
    >>> n.relu1 = relu(n.data)
    >>> n.relu1.channels, n.sizes((5, 6))['relu1']
    (3, (5, 6))
    """
    return Box(ops.relu, x)


@layer
def leaky_relu(x: Box, slope: float = .01) -> Box:
    """x, or slope·x below zero.

    >>> from tinyfcn import Net
    >>> n = Net(channels=3)
    >>> n.relu1 = leaky_relu(n.data, slope=.1)
    >>> n.relu1.kwargs
    {'slope': 0.1}
    """
    return Box(ops.leaky_relu, x, slope=slope)


@layer
def dropout(x: Box, p: float = .5) -> Box:
    """In training each unit is 0 with probability p.

    >>> from tinyfcn import Net
    >>> n = Net(channels=3)
    >>> n.drop6 = dropout(n.data, p=.5)
    >>> n.drop6.kwargs
    {'p': 0.5}
    """
    return Box(ops.dropout, x, p=p)


@layer
def scale(x: Box, factor: float) -> Box:
    """x times a fixed number.

    >>> from tinyfcn import Net
    >>> n = Net(channels=3)
    >>> n.scale_pool4 = scale(n.data, .01)
    >>> n.scale_pool4.kwargs
    {'factor': 0.01}
    """
    return Box(ops.scale, x, factor=factor)


@layer
def add(*xs: Box) -> Box:
    """The sum of boxes that lie over the same pixels.

    >>> from tinyfcn import Net
    >>> n = Net(channels=3)
    >>> n.conv1 = conv(n.data, 3, 3, pad=1)
    >>> n.sum = add(n.data, n.conv1)
    >>> n.sum.inputs
    ['data', 'conv1']
    """
    _check_channels(*xs)
    return Box(ops.add, *xs, alignment=common_alignment(*xs))


@layer
def multiply(a: Box, b: Box) -> Box:
    """The product of two boxes that lie over the same pixels.

    >>> from tinyfcn import Net
    >>> n = Net(channels=3)
    >>> n.gate = conv(n.data, 3, 1)
    >>> n.product = multiply(n.data, n.gate)
    >>> n.product.inputs
    ['data', 'gate']
    """
    _check_channels(a, b)
    return Box(ops.multiply, a, b, alignment=common_alignment(a, b))


def _check_channels(*xs: Box) -> None:
    for x in xs:
        if x.channels != xs[0].channels:
            raise ValueError(f'{x} has {x.channels} channels and {xs[0]} {xs[0].channels}')


# ---- channels, edges --------------------------------------------------------------------------
@layer
def concat(*xs: Box) -> Box:
    """The channels of several boxes that lie over the same pixels, in one.

    >>> from tinyfcn import Net
    >>> n = Net(channels=3)
    >>> n.conv1 = conv(n.data, 8, 3, pad=1)
    >>> n.both = concat(n.data, n.conv1)
    >>> n.both.channels
    11
    """
    return Box(ops.concat, *xs, channels=sum(x.channels for x in xs),
               alignment=common_alignment(*xs))


@layer
def channels(x: Box, start: int, stop: int) -> Box:
    """The channels start … stop−1, for instance one of several sensors.

    >>> from tinyfcn import Net
    >>> n = Net(channels=6)
    >>> n.rgb = channels(n.data, 0, 3)
    >>> n.hha = channels(n.data, 3, 6)
    >>> n.rgb.channels, n.hha.channels
    (3, 3)
    """
    start, stop = axes((start, stop), 'start and stop')
    if not start < stop <= x.channels:
        raise ValueError(f'channels {start} to {stop} of a box that has {x.channels}')
    return Box(ops.channels, x, channels=stop - start, start=start, stop=stop)


@layer
def crop(x: Box, like: Box, offset: Pair | None = None) -> Box:
    """The part of x that lies over `like`. The offset is derived from their alignments.

    >>> from tinyfcn import Net
    >>> n = Net(channels=3)
    >>> n.conv1 = conv(n.data, 8, 3, pad=2)
    >>> n.crop1 = crop(n.conv1, like=n.data)
    >>> n.crop1.kwargs['offset'], n.sizes((5, 6))['crop1']
    ((1, 1), (5, 6))
    """
    offset = offset_between(x, like) if offset is None else axes(offset, 'offset')
    return Box(ops.crop, x, like=like, alignment=x.alignment.shifted(offset),
               output_size=partial(geometry.crop_size, offset=offset), offset=offset)


@layer
def pad(x: Box, before: Pair, after: Pair | None = None, value: float = 0.) -> Box:
    """Rows and columns of `value` around x.

    >>> from tinyfcn import Net
    >>> n = Net(channels=3)
    >>> n.padded = pad(n.data, 2)
    >>> n.sizes((5, 6))['padded']
    (9, 10)
    """
    before = axes(before, 'before')
    after = before if after is None else axes(after, 'after')
    return Box(ops.pad, x, alignment=x.alignment.shifted([-n for n in before]),
               output_size=partial(geometry.pad_size, before=before, after=after),
               before=before, after=after, value=value)


# ---- normalisation ----------------------------------------------------------------------------
@layer
def batch_norm(x: Box, eps: float = 1e-5, frozen: bool = False, momentum: float = .1) -> Box:
    """Each channel to mean 0 and variance 1 over the batch, then a learned scale and shift.

    >>> from tinyfcn import Net
    >>> n = Net(channels=3)
    >>> n.bn1 = batch_norm(n.data)
    >>> [*n.params], [*n.state]
    (['bn1.w', 'bn1.b'], ['bn1.mean', 'bn1.var'])
    """
    zero: tuple[Init, tuple[int]] = (zeros, (x.channels,))
    one: tuple[Init, tuple[int]] = (ones, (x.channels,))
    return Box(ops.batch_norm, x, weights={'w': one, 'b': zero}, state={'mean': zero, 'var': one},
               eps=eps, frozen=frozen, momentum=momentum)


@layer
def local_response_norm(x: Box, size: int = 5, alpha: float = 1e-4, beta: float = .75,
                        k: float = 1.) -> Box:
    """Each value divided by the energy of its neighbouring channels (AlexNet, GoogLeNet).

    >>> from tinyfcn import Net
    >>> n = Net(channels=3)
    >>> n.norm1 = local_response_norm(n.data)
    >>> n.norm1.kwargs['size']
    5
    """
    return Box(ops.local_response_norm, x, size=size, alpha=alpha, beta=beta, k=k)
