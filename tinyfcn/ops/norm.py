"""Normalisation: over the batch, and over neighbouring channels."""
from typing import Any

from ..dispatch import accelerated, backward_of
from ..geometry import count, flag
from ..runtime.backend import array_module
from .arguments import Array, Cache, check_gradient, check_shape, floats, number, share


@accelerated
def batch_norm(x: Array, w: Array, b: Array, mean: Array, var: Array, train: bool = False,
               eps: float = 1e-5, frozen: bool = False, momentum: float = .1) -> tuple[Any, ...]:
    """y = w·(x − mean) / √(var + ε) + b, channel by channel.

    x (N, C, H, W); w, b, mean, var (C,) -> y (N, C, H, W)
    -> y, cache. Training uses the mean and variance of the batch and returns a third value, the
    new running (mean, var): old + momentum·(that of the batch − old), var unbiased. With `frozen`
    training uses the given ones too, and returns no third value.

    >>> import numpy as np
    >>> one, zero = np.ones(1), np.zeros(1)
    >>> x = np.array([[[[1., 3.]]]])
    >>> y, cache, (mean, var) = batch_norm(x, one, zero, zero, one, train=True)
    >>> y.round(3).ravel().tolist(), mean.round(3).tolist()
    ([-1.0, 1.0], [0.2])
    """
    floats(4, x=x)
    floats(x=x, w=w, b=b, mean=mean, var=var)
    check_shape(x.shape[1:2], 'one value for each channel of x', w=w, b=b, mean=mean, var=var)
    momentum = share(momentum, 'momentum')
    of_batch = flag(train, 'train') and not flag(frozen, 'frozen')
    state: tuple[Any, ...] = ()
    if of_batch:
        each = x.size // x.shape[1]
        if each < 2:
            values = 'one value' if each else 'no value'
            raise ValueError(f'x {x.shape} has {values} for each channel, which has no variance: '
                             f'take a larger batch or image, or frozen=True')
        running = mean, var
        mean = x.mean((0, 2, 3))
        var = x.var((0, 2, 3))
        unbiased = var * (each / (each - 1))
        state = tuple(old + momentum * (new - old) for old, new in zip(running, (mean, unbiased))),
    if not (eps := number(eps, 'eps')) >= 0:
        raise ValueError(f'eps is {eps!r}: a number of 0 or more is needed')
    inverse = 1 / (var + eps) ** .5
    x_hat = (x - _each(mean)) * _each(inverse)
    return x_hat * _each(w) + _each(b), (x, w, mean, inverse, of_batch), *state


@backward_of(batch_norm)
@accelerated
def batch_norm_backward(dy: Array, cache: Any) -> tuple[Array, Array, Array, None, None]:
    """dx = w/σ · (dy − mean(dy) − x̂ · mean(dy·x̂)); w/σ · dy where mean and var were given."""
    x, w, mean, inverse, of_batch = cache
    check_gradient(dy, x.shape, x=x)
    x_hat = (x - _each(mean)) * _each(inverse)
    dw = (dy * x_hat).sum((0, 2, 3))
    db = dy.sum((0, 2, 3))
    dx = dy
    if of_batch:
        each = dy.size // dy.shape[1]
        dx = dy - _each(db / each) - x_hat * _each(dw / each)
    return dx * _each(w * inverse), dw, db, None, None


@accelerated
def local_response_norm(x: Array, size: int = 5, alpha: float = 1e-4, beta: float = .75,
                        k: float = 1.) -> tuple[Array, Cache]:
    """y = x / sᵝ, where s = k + α/size · Σ x² over the `size` channels around each.

    x (N, C, H, W) -> y of the same shape. As in Caffe, α is divided by `size`, and channels that do
    not exist count as zeros. Of an even size one channel more is before than after, as in PyTorch.

    >>> import numpy as np
    >>> y, cache = local_response_norm(np.ones((1, 1, 1, 1)), size=1, alpha=3., beta=1.)
    >>> y.item()
    0.25
    """
    floats(4, x=x)
    size = count(size, 'size')
    alpha = number(alpha, 'alpha')
    beta = number(beta, 'beta')
    s = number(k, 'k') + alpha / size * _neighbours(x * x, size // 2, (size - 1) // 2)
    y = x * s ** -beta
    return y, (x, y, s, size, alpha, beta)


@backward_of(local_response_norm)
@accelerated
def local_response_norm_backward(dy: Array, cache: Any) -> tuple[Array]:
    """dx = dy / sᵝ − 2αβ/size · x · Σ dy·y/s over the channels of which each is a neighbour."""
    x, y, s, size, alpha, beta = cache
    check_gradient(dy, x.shape, x=x)
    through_sums = _neighbours(dy * y / s, (size - 1) // 2, size // 2)
    return dy * s ** -beta - (2 * alpha * beta / size) * x * through_sums,


def _each(v: Array) -> Array:
    """(C,) -> (C, 1, 1): one value for each channel of an image."""
    return v[:, None, None]


def _neighbours(x: Array, before: int, after: int) -> Any:
    """The sum over each channel, `before` channels before it and `after` channels after it."""
    c = x.shape[1]
    before = min(before, c - 1)
    after = min(after, c - 1)
    padded = array_module(x).pad(x, ((0, 0), (before, after), (0, 0), (0, 0)))
    return sum(padded[:, i:i + c] for i in range(before + 1 + after))
