"""Normalisation: over the batch, and over neighbouring channels."""
from ..backend import array_module
from ..geometry import axes
from ..pair import accelerated, backward_of
from .arguments import floats, gradient, shaped

MOMENTUM = .1                                   # of the running statistics, as PyTorch defines it


@accelerated
def batch_norm(x, w, b, mean, var, train=False, eps=1e-5, frozen=False):
    """y = w·(x − mean) / √(var + ε) + b, each channel for itself.

    x (N, C, H, W); w, b, mean, var (C,). Training takes mean and var from the batch and returns a third value, the
    running (mean, var) moved towards them (var unbiased); `frozen` keeps to the running ones in training too.
    """
    floats(4, x=x)
    floats(1, w=w, b=b, mean=mean, var=var)
    floats(x=x, w=w)
    shaped(x.shape[1:2], 'one value for each channel of x', w=w, b=b, mean=mean, var=var)
    by_batch = train and not frozen
    state = ()
    if by_batch:
        count = x.size // x.shape[1]
        if count < 2:
            raise ValueError(f'x {x.shape} has one value per channel: their variance is 0, and y would be b; use a larger '
                             f'batch or image, or frozen=True')
        running = mean, var
        mean, var = x.mean((0, 2, 3)), x.var((0, 2, 3))
        state = tuple((1 - MOMENTUM) * old + MOMENTUM * new
                      for old, new in zip(running, (mean, var * (count / (count - 1))))),
    inverse = 1 / (var + float(eps)) ** .5
    x_hat = (x - _each(mean)) * _each(inverse)
    return x_hat * _each(w) + _each(b), (x_hat, w, inverse, by_batch), *state


@backward_of(batch_norm)
@accelerated
def batch_norm_backward(dy, cache):
    """dx = w/σ · (dy − mean(dy) − x̂·mean(dy·x̂)); statistics that were given do not depend on x: dx = w/σ · dy."""
    x_hat, w, inverse, by_batch = cache
    gradient(dy, x_hat.shape, x=x_hat)
    dw, db = (dy * x_hat).sum((0, 2, 3)), dy.sum((0, 2, 3))
    if by_batch:
        count = dy.size // dy.shape[1]
        dx = dy - _each(db / count) - x_hat * _each(dw / count)
    else:
        dx = dy
    return dx * _each(w * inverse), dw, db, None, None


@accelerated
def local_response_norm(x, size=5, alpha=1e-4, beta=.75, k=1.):
    """y = x / sᵝ,  s = k + α/size · Σ x² over the `size` channels around each (Caffe: α is divided, zeros beyond the ends).

    x (N, C, H, W) -> y likewise
    """
    floats(4, x=x)
    if axes(size, 'size', 1)[0] % 2 == 0:
        raise ValueError(f'size is {size!r}: an odd number of channels is needed, as many on either side')
    alpha, beta = float(alpha), float(beta)
    s = float(k) + alpha / size * _neighbours(x * x, size)
    y = x * s ** -beta
    return y, (x, y, s, size, alpha, beta)


@backward_of(local_response_norm)
@accelerated
def local_response_norm_backward(dy, cache):
    """dx = dy / sᵝ − 2αβ/size · x · Σ dy·y/s over the same neighbours."""
    x, y, s, size, alpha, beta = cache
    gradient(dy, x.shape, x=x)
    return dy * s ** -beta - (2 * alpha * beta / size) * x * _neighbours(dy * y / s, size),


def _each(v):
    """(C,) -> (C, 1, 1): one value for each channel of an image."""
    return v[:, None, None]


def _neighbours(x, size):
    """The sum over `size` channels around each channel."""
    xp, half, c = array_module(x), size // 2, x.shape[1]
    padded = xp.pad(x, ((0, 0), (half, half), (0, 0), (0, 0)))
    return sum(padded[:, i:i + c] for i in range(size))
