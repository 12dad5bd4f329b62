"""Pooling. A max pool is two steps: find the switches, take the values there; unpool is the transpose of take.

    switches = max_switches(x)      where each window's largest pixel stands, as row·W + column
    y = take(x, switches)           gather     unpool backward
    x = unpool(y, switches, size)   scatter    take backward (DeconvNet's and SegNet's unpooling)

All pooling rounds up by default, as Caffe does; `ceil=False` rounds down.
"""
from ..geometry import axes, extent, pool_size
from ..pair import accelerated, backward_of
from .arguments import floats, gradient, integers, on_host, shaped
from .matrix import averages, separable


@accelerated
def max_switches(x, ksize, stride=None, pad=0, ceil=True):
    """argmax over every window; the first of equals.

    x (N, C, H, W) -> (N, C, OH, OW) integers in 0 … H·W−1
    """
    xp = floats(4, x=x)
    h, w = x.shape[2:]
    oh, ow = pool_size((h, w), ksize, stride, pad, ceil)
    stride = axes(ksize if stride is None else stride, 'stride', 1)
    (kh, kw), (top, left) = axes(ksize, 'ksize', 1), axes(pad, 'pad')
    bottom, right = (max(0, (o - 1) * s + k - n - p) for o, s, k, n, p in
                     zip((oh, ow), stride, (kh, kw), (h, w), (top, left)))     # how far the last window hangs over
    padded = xp.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)), constant_values=-xp.inf)
    windows = xp.lib.stride_tricks.sliding_window_view(padded, (kh, kw), axis=(2, 3))
    windows = windows[:, :, ::stride[0], ::stride[1]][:, :, :oh, :ow].reshape(*x.shape[:2], oh, ow, kh * kw)
    first = windows.argmax(-1)
    row = first // kw + (xp.arange(oh) * stride[0] - top)[:, None]
    column = first % kw + xp.arange(ow) * stride[1] - left
    # where every pixel is −inf the first of equals may be padding: step onto the image
    return xp.clip(row, 0, h - 1) * w + xp.clip(column, 0, w - 1), ()


@backward_of(max_switches)
def max_switches_backward(dy, cache):
    """A switch is a position: it has no gradient."""
    return None,


@accelerated
def take(x, switches):
    """y[n, c, i, j] = x[n, c, switches[n, c, i, j]].

    x (N, C, H, W), switches (N, C, OH, OW) integers -> y (N, C, OH, OW)
    """
    xp = floats(4, x=x)
    n, c, h, w = x.shape
    _within(switches, h, w)
    shaped((n, c, *switches.shape[2:]), 'the planes of x', switches=switches)
    y = xp.take_along_axis(x.reshape(n, c, h * w), switches.reshape(n, c, -1), axis=2)
    return y.reshape(switches.shape), (switches, (h, w))


@backward_of(take)
def take_backward(dy, cache):
    return unpool(dy, *cache)[0], None


@accelerated
def unpool(y, switches, size):
    """x[n, c, switches[n, c, i, j]] += y[n, c, i, j]: put every value back where its switch says, zeros elsewhere.

    y (N, C, OH, OW), switches likewise -> x (N, C, H, W), where `size` is (H, W) of what was pooled
    """
    xp = floats(4, y=y)
    (n, c), (h, w) = y.shape[:2], extent(size)
    _within(switches, h, w)
    shaped(y.shape, 'the shape of y', switches=switches)
    planes = xp.arange(n * c).reshape(n, c, 1, 1) * (h * w)
    x = xp.zeros(n * c * h * w, y.dtype)
    xp.add.at(x, (planes + switches).ravel(), y.ravel())               # overlapping windows may share a pixel: add
    return x.reshape(n, c, h, w), (switches,)


@backward_of(unpool)
def unpool_backward(dy, cache):
    return take(dy, *cache)[0], None


@accelerated
def max_pool(x, ksize, stride=None, pad=0, ceil=True):
    """y = the largest pixel of every window.

    x (N, C, H, W) -> y (N, C, OH, OW)
    """
    switches, _ = max_switches(x, ksize, stride, pad, ceil)
    return take(x, switches)


@backward_of(max_pool)
def max_pool_backward(dy, cache):
    switches, size = cache
    gradient(dy, switches.shape)
    return unpool(dy, switches, size)[:1]


@accelerated
def avg_pool(x, ksize, stride=None, pad=0, ceil=True):
    """y = the mean of every window; padding counts as zeros, what hangs over the padding does not count (Caffe).

    x (N, C, H, W) -> y (N, C, OH, OW)
    """
    xp = floats(4, x=x)
    sizes = pool_size(x.shape[2:], ksize, stride, pad, ceil)
    ksize, stride, pad = (axes(v, 'geometry') for v in (ksize, ksize if stride is None else stride, pad))

    def matrix(n, out, k, s, p):
        first = xp.arange(out) * s - p
        last = xp.minimum(first + k, n + p)
        return averages(x, first, last, n)

    return separable(x, *map(matrix, x.shape[2:], sizes, ksize, stride, pad))


@backward_of(avg_pool)
def avg_pool_backward(dy, cache):
    return separable.backward(dy, cache)[:1]


@accelerated
def avg_pool_to(x, bins):
    """Cut the image into a grid of bins and average each (the pyramid of PSPNet); bins share a pixel where H/b is broken.

    x (N, C, H, W) -> y (N, C, *bins); bin i covers floor(i·H/b) … ceil((i+1)·H/b) − 1
    """
    xp = floats(4, x=x)

    def matrix(n, out):
        i = xp.arange(out)
        return averages(x, i * n // out, -(-(i + 1) * n // out), n)

    return separable(x, *map(matrix, x.shape[2:], axes(bins, 'bins', 1)))


@backward_of(avg_pool_to)
def avg_pool_to_backward(dy, cache):
    return separable.backward(dy, cache)[:1]


def _within(switches, h, w):
    """Refuse switches that point beside the plane: they would reach into the next one."""
    integers(4, switches=switches)
    if on_host(switches) and switches.size and not 0 <= switches.min() <= switches.max() < h * w:
        raise ValueError(f'switches reach from {switches.min()} to {switches.max()}; a plane of {h}×{w} has '
                         f'0 … {h * w - 1}: is this the size of what was pooled?')
