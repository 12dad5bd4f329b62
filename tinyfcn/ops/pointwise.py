"""Pointwise ops: each output value depends on the input values at the same place alone."""
from typing import Any

from ..dispatch import accelerated, backward_of
from ..geometry import flag
from ..runtime.backend import array_module
from .arguments import Array, Cache, check_gradient, check_shape, floats, number, numbered, share


@accelerated
def relu(x: Array, overwrite: bool = False) -> tuple[Array, Cache]:
    """y = max(x, 0); with overwrite=True in the memory of x, when x is not needed afterwards.

    >>> import numpy as np
    >>> y, cache = relu(np.array([-1., 2.]))
    >>> y
    array([0., 2.])
    """
    xp = floats(x=x)
    y = xp.maximum(x, 0, out=x if flag(overwrite, 'overwrite') else None)
    return y, (y,)


@backward_of(relu)
@accelerated
def relu_backward(dy: Array, cache: Any) -> tuple[Array]:
    y, = cache
    check_gradient(dy, y.shape, y=y)
    return array_module(dy).where(y > 0, dy, 0),


@accelerated
def leaky_relu(x: Array, slope: float = .01) -> tuple[Array, Cache]:
    """y = x where x > 0, else slope·x.

    >>> import numpy as np
    >>> y, cache = leaky_relu(np.array([-1., 2.]), slope=.5)
    >>> y
    array([-0.5,  2. ])
    """
    xp = floats(x=x)
    slope = number(slope, 'slope')
    return xp.where(x > 0, x, x * slope), (x, slope)


@backward_of(leaky_relu)
@accelerated
def leaky_relu_backward(dy: Array, cache: Any) -> tuple[Array]:
    x, slope = cache
    check_gradient(dy, x.shape, x=x)
    return array_module(dy).where(x > 0, dy, dy * slope),


@accelerated
def dropout(x: Array, p: float = .5, train: bool = False, rng: Any = None) -> tuple[Array, Cache]:
    """In training y = 0 with probability p, else x / (1 − p), unit by unit; otherwise y = x.

    p=1 drops all units. `rng` is a numpy.random.Generator. It draws on the host, so CPU and GPU
    drop the same units.

    >>> import numpy as np
    >>> y, cache = dropout(np.ones(4), p=.5, train=True, rng=np.random.default_rng(0))
    >>> y
    array([2., 2., 2., 0.])
    """
    xp = floats(x=x)
    p = share(p, 'p')
    if not flag(train, 'train'):
        return x, (x.shape, None, p)
    if not hasattr(rng, 'random'):
        raise ValueError('dropout draws when training: pass rng=numpy.random.default_rng(seed)')
    kept = xp.asarray(rng.random(x.shape, 'float32') >= p)
    return x * kept * _scale_of_kept(p), (x.shape, kept, p)


@backward_of(dropout)
@accelerated
def dropout_backward(dy: Array, cache: Any) -> tuple[Array]:
    shape, kept, p = cache
    check_gradient(dy, shape)
    return dy if kept is None else dy * kept * _scale_of_kept(p),


def _scale_of_kept(p: float) -> float:
    """1 / (1 − p), by which the units that are kept make up for the others."""
    return 1 / (1 - p) if p < 1 else 0.


@accelerated
def add(*xs: Array) -> tuple[Array, Cache]:
    """y = x₁ + x₂ + …, all of one shape.

    >>> import numpy as np
    >>> y, cache = add(np.ones(2), np.ones(2), np.ones(2))
    >>> y
    array([3., 3.])
    """
    floats(**numbered(xs))
    check_shape(xs[0].shape, 'the shape of x1', **numbered(xs))
    return sum(xs[1:], xs[0]), (len(xs), xs[0].shape)


@backward_of(add)
def add_backward(dy: Array, cache: Any) -> tuple[Array, ...]:
    count, shape = cache
    check_gradient(dy, shape)
    return tuple(dy for _ in range(count))


@accelerated
def multiply(a: Array, b: Array) -> tuple[Array, Cache]:
    """y = a · b, both of one shape.

    >>> import numpy as np
    >>> y, cache = multiply(np.array([2.]), np.array([3.]))
    >>> multiply.backward(np.array([1.]), cache)
    (array([3.]), array([2.]))
    """
    floats(a=a, b=b)
    check_shape(a.shape, 'the shape of a', b=b)
    return a * b, (a, b)


@backward_of(multiply)
def multiply_backward(dy: Array, cache: Any) -> tuple[Array, Array]:
    a, b = cache
    check_gradient(dy, a.shape, a=a)
    return dy * b, dy * a


@accelerated
def scale(x: Array, factor: float) -> tuple[Array, Cache]:
    """y = factor · x, where factor is a fixed number.

    >>> import numpy as np
    >>> y, cache = scale(np.array([2.]), .5)
    >>> y
    array([1.])
    """
    floats(x=x)
    factor = number(factor, 'factor')
    return x * factor, (x.shape, factor)


@backward_of(scale)
def scale_backward(dy: Array, cache: Any) -> tuple[Array]:
    shape, factor = cache
    check_gradient(dy, shape)
    return dy * factor,
