"""The vocabulary: each word makes one box.   n.score_fr = conv(n.drop7, n_class, 1)

A word joins an op with what the op alone does not know: its weights, how its size follows from
those it reads, and where it sits over the image.
"""
from functools import partial

from . import geometry, ops
from .box import Box, word
from .geometry import axes
from .init import he_normal, ones, zeros
from .place import Nowhere, offset_between, together


def thin(channels, width):
    """The channels of a net that is `width` times as wide: even, for those that part in two."""
    return max(2, 2 * round(channels * width / 2))


# ---- convolution and its transpose ------------------------------------------------------------
@word
def conv(x, channels, ksize, stride=1, pad=0, dilation=1, groups=1, bias=True, init=he_normal):
    """A learned convolution."""
    window, ksize = dict(stride=stride, pad=pad, dilation=dilation), axes(ksize, 'ksize', 1)
    weights = _weights(x, channels, groups, bias, init, (channels, x.channels // groups, *ksize))
    return Box(ops.conv2d, x, channels=channels, weights=weights,
               place=x.place.window(ksize, **window),
               sized=partial(geometry.conv_size, ksize=ksize, **window), groups=groups, **window)


@word
def deconv(x, channels, ksize, stride=1, pad=0, groups=1, bias=True, init=None):
    """A learned transposed convolution. init=bilinear begins as `upsample` does."""
    window, ksize = dict(stride=stride, pad=pad), axes(ksize, 'ksize', 1)
    # of its taps an output meets every stride-th along each axis
    met = [-(-k // s) for k, s in zip(ksize, axes(stride, 'stride', 1))]
    init = init or partial(he_normal, fan_in=x.channels // groups * met[0] * met[1])
    weights = _weights(x, channels, groups, bias, init, (x.channels, channels // groups, *ksize))
    return Box(ops.conv_transpose2d, x, channels=channels, weights=weights,
               place=x.place.transposed(ksize, **window), groups=groups, **window,
               sized=partial(geometry.transposed_size, ksize=ksize, **window))


def _weights(x, channels, groups, bias, init, shape):
    geometry.count(channels, 'channels')
    if x.channels % groups or channels % groups:
        raise ValueError(f'groups={groups} does not divide {x.channels} channels into {channels}')
    return {'w': (init, shape), **({'b': (zeros, (channels,))} if bias else {})}


@word
def upsample(x, factor, ksize=None, pad=0):
    """Fixed bilinear upsampling: it owns no weights."""
    ksize = geometry.tent_size(factor, ksize)
    return Box(ops.upsample, x, place=x.place.transposed(ksize, factor, pad),
               sized=partial(geometry.transposed_size, ksize=ksize, stride=factor, pad=pad),
               factor=factor, ksize=ksize, pad=pad)


@word
def resize(x, like, align_corners=False):
    """Bilinear to the size of `like`, whose place over the image it takes."""
    return Box(ops.resize, x, like=like, place=x.place.onto(like.place),
               sized=geometry.last_size, align_corners=align_corners)


# ---- pooling ----------------------------------------------------------------------------------
def _pool(op, x, ksize, stride, pad, ceil):
    window = dict(stride=ksize if stride is None else stride, pad=pad)
    return Box(op, x, place=x.place.window(ksize, **window),
               sized=partial(geometry.pool_size, ksize=ksize, ceil=ceil, **window),
               ksize=ksize, ceil=ceil, **window)


@word
def max_pool(x, ksize, stride=None, pad=0, ceil=True):
    """The largest of every window."""
    return _pool(ops.max_pool, x, ksize, stride, pad, ceil)


@word
def max_switches(x, ksize, stride=None, pad=0, ceil=True):
    """Where the largest of every window stands: read by `take` and `unpool`."""
    return _pool(ops.max_switches, x, ksize, stride, pad, ceil)


@word
def avg_pool(x, ksize, stride=None, pad=0, ceil=True):
    """The mean of every window."""
    return _pool(ops.avg_pool, x, ksize, stride, pad, ceil)


@word
def take(x, switches):
    """The values of x where the switches point."""
    return Box(ops.take, x, switches, place=switches.place, sized=geometry.last_size)


@word
def unpool(x, switches, like):
    """Every value back where its switch points, in the size of `like`: the box that was pooled."""
    return Box(ops.unpool, x, switches, like=like, place=x.place.onto(like.place),
               sized=geometry.last_size)


@word
def avg_pool_to(x, bins):
    """The mean of every bin of a grid: the pyramid of PSPNet."""
    bins = axes(bins, 'bins', 1)
    return Box(ops.avg_pool_to, x, sized=partial(geometry.given_size, size=bins), bins=bins,
               place=Nowhere(f'{x} was averaged into {bins[0]}×{bins[1]} bins, whatever its size'))


# ---- one value at a time ----------------------------------------------------------------------
@word
def relu(x):
    """max(x, 0)."""
    return Box(ops.relu, x)


@word
def leaky_relu(x, slope=.01):
    """x, or slope·x below zero."""
    return Box(ops.leaky_relu, x, slope=slope)


@word
def dropout(x, p=.5):
    """In training each unit is 0 with probability p."""
    return Box(ops.dropout, x, p=p)


@word
def scale(x, factor):
    """A fixed factor."""
    return Box(ops.scale, x, factor=factor)


@word
def add(*xs):
    """The sum of boxes that lie over the same pixels."""
    return Box(ops.add, *_alike(*xs), place=together(*xs))


@word
def multiply(a, b):
    """The product of two boxes that lie over the same pixels."""
    return Box(ops.multiply, *_alike(a, b), place=together(a, b))


def _alike(*xs):
    for x in xs:
        if x.channels != xs[0].channels:
            raise ValueError(f'{x} has {x.channels} channels and {xs[0]} {xs[0].channels}')
    return xs


# ---- channels, edges --------------------------------------------------------------------------
@word
def concat(*xs):
    """Channels side by side, of boxes that lie over the same pixels."""
    return Box(ops.concat, *xs, channels=sum(x.channels for x in xs), place=together(*xs))


@word
def channels(x, start, stop):
    """The channels start … stop−1: one sensor of several."""
    return Box(ops.channels, x, channels=stop - start, start=start, stop=stop)


@word
def crop(x, like, offset=None):
    """x where it lies over `like`, in its size. The offset follows from the places of the two."""
    offset = offset_between(x, like) if offset is None else axes(offset, 'offset')
    return Box(ops.crop, x, like=like, place=x.place.moved(offset),
               sized=partial(geometry.crop_size, offset=offset), offset=offset)


@word
def pad(x, before, after=None, value=0.):
    """Rows and columns of `value` around x."""
    before, after = axes(before, 'before'), axes(before if after is None else after, 'after')
    return Box(ops.pad, x, place=x.place.moved([-n for n in before]),
               sized=partial(geometry.pad_size, before=before, after=after),
               before=before, after=after, value=value)


# ---- normalisation ----------------------------------------------------------------------------
@word
def batch_norm(x, eps=1e-5, frozen=False):
    """Each channel to mean 0 and variance 1 over the batch, then a learned scale and shift."""
    zero, one = (zeros, (x.channels,)), (ones, (x.channels,))
    return Box(ops.batch_norm, x, weights={'w': one, 'b': zero}, state={'mean': zero, 'var': one},
               eps=eps, frozen=frozen)


@word
def local_response_norm(x, size=5, alpha=1e-4, beta=.75, k=1.):
    """Each value divided by the energy of its neighbouring channels (AlexNet, GoogLeNet)."""
    return Box(ops.local_response_norm, x, size=size, alpha=alpha, beta=beta, k=k)
