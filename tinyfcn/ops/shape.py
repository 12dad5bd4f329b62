"""Ops that move values without computing: concatenation, slices, crops and padding."""
from typing import Any

from ..dispatch import accelerated, backward_of
from ..geometry import axes, crop_size, pad_size
from ..runtime.backend import array_module
from .arguments import Array, Cache, Pair, check_gradient, check_shape, floats, number, numbered


@accelerated
def concat(*xs: Array) -> tuple[Array, Any]:
    """Stack along the channels.

    x1 (N, C1, H, W), x2 (N, C2, H, W), … -> y (N, C1 + C2 + …, H, W)

    >>> import numpy as np
    >>> y, cache = concat(np.zeros((1, 2, 4, 4)), np.zeros((1, 3, 4, 4)))
    >>> y.shape
    (1, 5, 4, 4)
    """
    xp = floats(4, **numbered(xs))
    n, _, h, w = xs[0].shape
    for name, x in numbered(xs).items():
        check_shape((n, x.shape[1], h, w), 'the batch size, rows and columns of x1', **{name: x})
    return xp.concatenate(xs, axis=1), [x.shape for x in xs]


@backward_of(concat)
def concat_backward(dy: Array, cache: Any) -> tuple[Array, ...]:
    ends = [sum(shape[1] for shape in cache[:i + 1]) for i in range(len(cache))]
    n, _, h, w = cache[0]
    check_gradient(dy, (n, ends[-1], h, w))
    return tuple(dy[:, end - shape[1]:end] for shape, end in zip(cache, ends))


@accelerated
def channels(x: Array, start: int, stop: int) -> tuple[Array, Cache]:
    """The channels start … stop−1: the inverse of concat.

    x (N, C, H, W) -> y (N, stop − start, H, W)

    >>> import numpy as np
    >>> y, cache = channels(np.zeros((1, 4, 5, 5)), 3, 4)       # the depth of an RGBD image
    >>> y.shape
    (1, 1, 5, 5)
    """
    floats(4, x=x)
    start, stop = axes((start, stop), 'start, stop')
    if not start < stop <= x.shape[1]:
        raise ValueError(f'channels {start} … {stop - 1} are not there: x has {x.shape[1]}')
    return x[:, start:stop], (x.shape, start, stop)


@backward_of(channels)
def channels_backward(dy: Array, cache: Any) -> tuple[Array]:
    """Zeros in all other channels."""
    (n, c, h, w), start, stop = cache
    check_gradient(dy, (n, stop - start, h, w))
    dx = array_module(dy).zeros((n, c, h, w), dy.dtype)
    dx[:, start:stop] = dy
    return dx,


@accelerated
def crop(x: Array, size: Pair, offset: Pair = 0) -> tuple[Array, Cache]:
    """Cut `size` out of x, `offset` rows and columns from its top left.

    x (N, C, H, W) -> y (N, C, *size)

    >>> import numpy as np
    >>> y, cache = crop(np.arange(9.).reshape(1, 1, 3, 3), (2, 2), offset=(1, 0))
    >>> y[0, 0]
    array([[3., 4.],
           [6., 7.]])
    """
    floats(4, x=x)
    h, w = crop_size(x.shape[2:], size, offset)
    top, left = axes(offset, 'offset')
    return x[:, :, top:top + h, left:left + w], (x.shape, (h, w), (top, left))


@backward_of(crop)
@accelerated
def crop_backward(dy: Array, cache: Any) -> tuple[Array]:
    """Zeros around dy."""
    shape, (h, w), (top, left) = cache
    check_gradient(dy, (*shape[:2], h, w))
    dx = array_module(dy).zeros(shape, dy.dtype)
    dx[:, :, top:top + h, left:left + w] = dy
    return dx,


@accelerated
def pad(x: Array, before: Pair, after: Pair | None = None, value: float = 0.,
        ) -> tuple[Array, Cache]:
    """Add `before` rows on top and columns at the left, and `after` (or as many) at the other ends.

    x (N, C, H, W) -> y (N, C, top + H + bottom, left + W + right)

    >>> import numpy as np
    >>> y, cache = pad(np.ones((1, 1, 1, 2)), before=(0, 1))
    >>> y[0, 0]
    array([[0., 1., 1., 0.]])
    """
    xp = floats(4, x=x)
    top, left = axes(before, 'before')
    bottom, right = axes(before if after is None else after, 'after')
    value = number(value, 'value')
    pad_size(x.shape[2:], (top, left), (bottom, right))
    y = xp.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)), constant_values=value)
    return y, (x.shape, y.shape, (top, left))


@backward_of(pad)
def pad_backward(dy: Array, cache: Any) -> tuple[Array]:
    """The transpose of padding is cropping."""
    shape, padded, offset = cache
    check_gradient(dy, padded)
    dx, _ = crop(dy, shape[2:], offset)
    return dx,
