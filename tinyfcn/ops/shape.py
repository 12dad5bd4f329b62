"""Ops that move values and compute nothing."""
from ..dispatch import accelerated, backward_of
from ..geometry import axes, crop_size
from ..runtime.backend import array_module
from .arguments import floats, gradient, number, numbered, shaped


def concat(*xs):
    """Stack along the channels.

    x1 (N, C1, H, W), x2 (N, C2, H, W), … -> y (N, C1 + C2 + …, H, W)
    """
    xp = floats(4, **numbered(xs))
    n, _, h, w = xs[0].shape
    for name, x in numbered(xs).items():
        shaped((n, x.shape[1], h, w), 'pictures, rows and columns as x1 has', **{name: x})
    return xp.concatenate(xs, axis=1), [x.shape for x in xs]


@backward_of(concat)
def concat_backward(dy, cache):
    ends = [sum(shape[1] for shape in cache[:i + 1]) for i in range(len(cache))]
    n, _, h, w = cache[0]
    gradient(dy, (n, ends[-1], h, w))
    return tuple(dy[:, end - shape[1]:end] for shape, end in zip(cache, ends))


def channels(x, start, stop):
    """The channels start … stop−1: what concat has joined, parted again.

    x (N, C, H, W) -> y (N, stop − start, H, W)
    """
    floats(4, x=x)
    start, stop = axes((start, stop), 'start, stop')
    if not start < stop <= x.shape[1]:
        raise ValueError(f'channels {start} … {stop - 1} are not there: x has {x.shape[1]}')
    return x[:, start:stop], (x.shape, start, stop)


@backward_of(channels)
def channels_backward(dy, cache):
    """Zeros above and below dy."""
    (n, c, h, w), start, stop = cache
    gradient(dy, (n, stop - start, h, w))
    dx = array_module(dy).zeros((n, c, h, w), dy.dtype)
    dx[:, start:stop] = dy
    return dx,


def crop(x, size, offset=0):
    """Cut `size` out of x, `offset` rows and columns from its top left.

    x (N, C, H, W) -> y (N, C, *size)
    """
    floats(4, x=x)
    (h, w), (top, left) = crop_size(x.shape[2:], size, offset), axes(offset, 'offset')
    return x[:, :, top:top + h, left:left + w], (x.shape, (h, w), (top, left))


@backward_of(crop)
@accelerated
def crop_backward(dy, cache):
    """Zeros around dy."""
    shape, (h, w), (top, left) = cache
    gradient(dy, (*shape[:2], h, w))
    dx = array_module(dy).zeros(shape, dy.dtype)
    dx[:, :, top:top + h, left:left + w] = dy
    return dx,


def pad(x, before, after=None, value=0.):
    """Add rows on top and columns at the left, then as many, or `after`, below and at the right.

    x (N, C, H, W) -> y (N, C, top + H + bottom, left + W + right)
    """
    xp = floats(4, x=x)
    top, left = axes(before, 'before')
    bottom, right = axes(before if after is None else after, 'after')
    value = number(value, 'value')
    y = xp.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)), constant_values=value)
    return y, (x.shape, y.shape, (top, left))


@backward_of(pad)
def pad_backward(dy, cache):
    """The transpose of padding is cropping."""
    shape, padded, offset = cache
    gradient(dy, padded)
    return crop(dy, shape[2:], offset)[:1]
