"""Ops that look at one value at a time."""
from ..dispatch import accelerated, backward_of
from ..runtime.backend import array_module
from .arguments import floats, gradient, number, numbered, shaped


@accelerated
def relu(x, overwrite=False):
    """y = max(x, 0); with overwrite=True in the memory of x, which nobody reads any more."""
    xp = floats(x=x)
    y = xp.maximum(x, 0, out=x if overwrite else None)
    return y, (y,)


@backward_of(relu)
@accelerated
def relu_backward(dy, cache):
    y, = cache
    gradient(dy, y.shape, y=y)
    return dy * (y > 0),


@accelerated
def leaky_relu(x, slope=.01):
    """y = x where x > 0, else slope·x."""
    xp, slope = floats(x=x), number(slope, 'slope')
    return xp.where(x > 0, x, x * slope), (x, slope)


@backward_of(leaky_relu)
def leaky_relu_backward(dy, cache):
    x, slope = cache
    gradient(dy, x.shape, x=x)
    return array_module(dy).where(x > 0, dy, dy * slope),


@accelerated
def dropout(x, p=.5, train=False, rng=None):
    """Training: y = x / (1 − p) or 0 with probability p, each unit for itself; otherwise y = x."""
    xp, p = floats(x=x), number(p, 'p')
    if not 0 <= p < 1:
        raise ValueError(f'p is {p!r}: a probability in 0 ≤ p < 1 is needed')
    if not train:
        return x, (x.shape, None, p)
    if not hasattr(rng, 'random'):
        raise ValueError('dropout draws when training: pass rng=numpy.random.default_rng(seed)')
    kept = xp.asarray(rng.random(x.shape, 'float32') >= p)  # drawn on the host: on any device alike
    return x * kept * (1 / (1 - p)), (x.shape, kept, p)


@backward_of(dropout)
def dropout_backward(dy, cache):
    shape, kept, p = cache
    gradient(dy, shape)
    return dy if kept is None else dy * kept * (1 / (1 - p)),


def add(*xs):
    """y = x₁ + x₂ + …, all of one shape."""
    floats(**numbered(xs))
    shaped(xs[0].shape, 'the shape of x1', **numbered(xs))
    return sum(xs[1:], xs[0]), (len(xs), xs[0].shape)


@backward_of(add)
def add_backward(dy, cache):
    count, shape = cache
    gradient(dy, shape)
    return (dy,) * count


def multiply(a, b):
    """y = a · b, both of one shape."""
    floats(a=a, b=b)
    shaped(a.shape, 'the shape of a', b=b)
    return a * b, (a, b)


@backward_of(multiply)
def multiply_backward(dy, cache):
    a, b = cache
    gradient(dy, a.shape, a=a)
    return dy * b, dy * a


def scale(x, factor):
    """y = factor · x, a fixed number."""
    floats(x=x)
    factor = number(factor, 'factor')
    return x * factor, (x.shape, factor)


@backward_of(scale)
def scale_backward(dy, cache):
    shape, factor = cache
    gradient(dy, shape)
    return dy * factor,
