"""Normalisation: over the batch, and over neighbouring channels."""
from ..dispatch import accelerated, backward_of
from ..geometry import count
from ..runtime.backend import array_module
from .arguments import floats, gradient, number, shaped

MOMENTUM = .1       # how far the running statistics move towards those of a batch, as in PyTorch


@accelerated
def batch_norm(x, w, b, mean, var, train=False, eps=1e-5, frozen=False):
    """y = w·(x − mean) / √(var + ε) + b, each channel for itself.

    x (N, C, H, W); w, b, mean, var (C,) -> y (N, C, H, W)
    Training uses the batch's own mean and var, and returns a third value: the running (mean, var),
    moved towards them (var unbiased). `frozen` keeps to the given ones in training too.
    """
    floats(4, x=x)
    floats(x=x, w=w, b=b, mean=mean, var=var)
    shaped(x.shape[1:2], 'one value for each channel of x', w=w, b=b, mean=mean, var=var)
    of_batch, state = train and not frozen, ()
    if of_batch:
        each = x.size // x.shape[1]
        if each < 2:
            raise ValueError(f'x {x.shape} has one value for each channel, which has no variance: '
                             f'take a larger batch or image, or frozen=True')
        running, mean, var = (mean, var), x.mean((0, 2, 3)), x.var((0, 2, 3))
        moved = mean, var * (each / (each - 1))
        state = tuple(old + MOMENTUM * (new - old) for old, new in zip(running, moved)),
    inverse = 1 / (var + number(eps, 'eps')) ** .5
    x_hat = (x - _each(mean)) * _each(inverse)
    return x_hat * _each(w) + _each(b), (x_hat, w, inverse, of_batch), *state


@backward_of(batch_norm)
@accelerated
def batch_norm_backward(dy, cache):
    """dx = w/σ · (dy − mean(dy) − x̂ · mean(dy·x̂)); w/σ · dy where mean and var were given."""
    x_hat, w, inverse, of_batch = cache
    gradient(dy, x_hat.shape, x=x_hat)
    dw, db = (dy * x_hat).sum((0, 2, 3)), dy.sum((0, 2, 3))
    dx = dy
    if of_batch:
        each = dy.size // dy.shape[1]
        dx = dy - _each(db / each) - x_hat * _each(dw / each)
    return dx * _each(w * inverse), dw, db, None, None


@accelerated
def local_response_norm(x, size=5, alpha=1e-4, beta=.75, k=1.):
    """y = x / sᵝ, where s = k + α/size · Σ x² over the `size` channels around each.

    x (N, C, H, W) -> y likewise. As in Caffe, α is divided, and beyond the ends there are zeros.
    """
    floats(4, x=x)
    size, alpha, beta = count(size, 'size'), number(alpha, 'alpha'), number(beta, 'beta')
    if size % 2 == 0:
        raise ValueError(f'size is {size!r}: an odd number, as many channels on either side')
    s = number(k, 'k') + alpha / size * _neighbours(x * x, size)
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
    """The sum over the `size` channels around each channel."""
    xp, c, half = array_module(x), x.shape[1], size // 2
    padded = xp.pad(x, ((0, 0), (half, half), (0, 0), (0, 0)))
    return sum(padded[:, i:i + c] for i in range(size))
