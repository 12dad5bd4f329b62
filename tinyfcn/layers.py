"""The vocabulary: each word makes one box.   n.score_fr = conv(n.drop7, n_class, 1)

A word joins an op with what the op alone does not know: its weights, how its size follows from
those it reads, and where it sits over the image.
"""
from functools import partial

from . import geometry, ops
from .geometry import axes
from .init import he_normal, ones, zeros
from .net.alignment import Unaligned, common_alignment, offset_between
from .net.box import Box, layer


def scale_width(channels, width):
    """The channels of a net that is `width` times as wide: even, for those that part in two."""
    return max(2, 2 * round(channels * width / 2))


# ---- convolution and its transpose ------------------------------------------------------------
@layer
def conv(x, channels, ksize, stride=1, pad=0, dilation=1, groups=1, bias=True, init=he_normal):
    """A learned convolution."""
    window = dict(stride=stride, pad=pad, dilation=dilation)
    ksize = axes(ksize, 'ksize', 1)
    weights = _weights(x, channels, groups, bias, init, (channels, x.channels // groups, *ksize))
    return Box(ops.conv2d, x, channels=channels, weights=weights,
               alignment=x.alignment.window(ksize, **window),
               output_size=partial(geometry.conv_size, ksize=ksize, **window),
               groups=groups, **window)


@layer
def deconv(x, channels, ksize, stride=1, pad=0, groups=1, bias=True, init=None):
    """A learned transposed convolution. init=bilinear begins as `upsample` does."""
    window = dict(stride=stride, pad=pad)
    ksize = axes(ksize, 'ksize', 1)
    # of its taps an output meets every stride-th along each axis
    met = [-(-k // s) for k, s in zip(ksize, axes(stride, 'stride', 1))]
    init = init or partial(he_normal, fan_in=x.channels // groups * met[0] * met[1])
    weights = _weights(x, channels, groups, bias, init, (x.channels, channels // groups, *ksize))
    return Box(ops.conv_transpose2d, x, channels=channels, weights=weights,
               alignment=x.alignment.transposed(ksize, **window), groups=groups, **window,
               output_size=partial(geometry.transposed_size, ksize=ksize, **window))


def _weights(x, channels, groups, bias, init, shape):
    geometry.count(channels, 'channels')
    if x.channels % groups or channels % groups:
        raise ValueError(f'groups={groups} does not divide {x.channels} channels into {channels}')
    return {'w': (init, shape), **({'b': (zeros, (channels,))} if bias else {})}


@layer
def upsample(x, factor, ksize=None, pad=0):
    """Fixed bilinear upsampling: it owns no weights."""
    ksize = geometry.bilinear_size(factor, ksize)
    return Box(ops.upsample, x, alignment=x.alignment.transposed(ksize, factor, pad),
               output_size=partial(geometry.transposed_size, ksize=ksize, stride=factor, pad=pad),
               factor=factor, ksize=ksize, pad=pad)


@layer
def resize(x, like, align_corners=False):
    """Bilinear to the size of `like`, whose place over the image it takes."""
    return Box(ops.resize, x, like=like, alignment=x.alignment.resampled_to(like.alignment),
               output_size=geometry.last_size, align_corners=align_corners)


# ---- pooling ----------------------------------------------------------------------------------
def _pool(op, x, ksize, stride, pad, ceil):
    window = dict(stride=ksize if stride is None else stride, pad=pad)
    return Box(op, x, alignment=x.alignment.window(ksize, **window),
               output_size=partial(geometry.pool_size, ksize=ksize, ceil=ceil, **window),
               ksize=ksize, ceil=ceil, **window)


@layer
def max_pool(x, ksize, stride=None, pad=0, ceil=True):
    """The largest of every window."""
    return _pool(ops.max_pool, x, ksize, stride, pad, ceil)


@layer
def max_switches(x, ksize, stride=None, pad=0, ceil=True):
    """Where the largest of every window stands: read by `take` and `unpool`."""
    return _pool(ops.max_switches, x, ksize, stride, pad, ceil)


@layer
def avg_pool(x, ksize, stride=None, pad=0, ceil=True):
    """The mean of every window."""
    return _pool(ops.avg_pool, x, ksize, stride, pad, ceil)


@layer
def take(x, switches):
    """The values of x where the switches point."""
    return Box(ops.take, x, switches, alignment=switches.alignment, output_size=geometry.last_size)


@layer
def unpool(x, switches, like):
    """Every value back where its switch points, in the size of `like`: the box that was pooled."""
    return Box(ops.unpool, x, switches, like=like,
               alignment=x.alignment.resampled_to(like.alignment),
               output_size=geometry.last_size)


@layer
def avg_pool_to(x, bins):
    """The mean of every bin of a grid: the pyramid of PSPNet."""
    bins = axes(bins, 'bins', 1)
    reason = f'{x} was averaged into {bins[0]}×{bins[1]} bins, whatever its size'
    return Box(ops.avg_pool_to, x, output_size=partial(geometry.given_size, size=bins),
               alignment=Unaligned(reason), bins=bins)


# ---- one value at a time ----------------------------------------------------------------------
@layer
def relu(x):
    """max(x, 0)."""
    return Box(ops.relu, x)


@layer
def leaky_relu(x, slope=.01):
    """x, or slope·x below zero."""
    return Box(ops.leaky_relu, x, slope=slope)


@layer
def dropout(x, p=.5):
    """In training each unit is 0 with probability p."""
    return Box(ops.dropout, x, p=p)


@layer
def scale(x, factor):
    """A fixed factor."""
    return Box(ops.scale, x, factor=factor)


@layer
def add(*xs):
    """The sum of boxes that lie over the same pixels."""
    return Box(ops.add, *_alike(*xs), alignment=common_alignment(*xs))


@layer
def multiply(a, b):
    """The product of two boxes that lie over the same pixels."""
    return Box(ops.multiply, *_alike(a, b), alignment=common_alignment(a, b))


def _alike(*xs):
    for x in xs:
        if x.channels != xs[0].channels:
            raise ValueError(f'{x} has {x.channels} channels and {xs[0]} {xs[0].channels}')
    return xs


# ---- channels, edges --------------------------------------------------------------------------
@layer
def concat(*xs):
    """Channels side by side, of boxes that lie over the same pixels."""
    return Box(ops.concat, *xs, channels=sum(x.channels for x in xs),
               alignment=common_alignment(*xs))


@layer
def channels(x, start, stop):
    """The channels start … stop−1: one sensor of several."""
    return Box(ops.channels, x, channels=stop - start, start=start, stop=stop)


@layer
def crop(x, like, offset=None):
    """x where it lies over `like`, in its size. The offset follows from the places of the two."""
    offset = offset_between(x, like) if offset is None else axes(offset, 'offset')
    return Box(ops.crop, x, like=like, alignment=x.alignment.shifted(offset),
               output_size=partial(geometry.crop_size, offset=offset), offset=offset)


@layer
def pad(x, before, after=None, value=0.):
    """Rows and columns of `value` around x."""
    before = axes(before, 'before')
    after = before if after is None else axes(after, 'after')
    return Box(ops.pad, x, alignment=x.alignment.shifted([-n for n in before]),
               output_size=partial(geometry.pad_size, before=before, after=after),
               before=before, after=after, value=value)


# ---- normalisation ----------------------------------------------------------------------------
@layer
def batch_norm(x, eps=1e-5, frozen=False):
    """Each channel to mean 0 and variance 1 over the batch, then a learned scale and shift."""
    zero = zeros, (x.channels,)
    one = ones, (x.channels,)
    return Box(ops.batch_norm, x, weights={'w': one, 'b': zero}, state={'mean': zero, 'var': one},
               eps=eps, frozen=frozen)


@layer
def local_response_norm(x, size=5, alpha=1e-4, beta=.75, k=1.):
    """Each value divided by the energy of its neighbouring channels (AlexNet, GoogLeNet)."""
    return Box(ops.local_response_norm, x, size=size, alpha=alpha, beta=beta, k=k)
