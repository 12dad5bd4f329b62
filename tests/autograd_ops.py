"""The ops a third time, for an automatic derivative: sums over the taps of a window.

HIPS autograd differentiates these formulae, so that the backwards of tinyfcn meet a gradient that
that no hand has written. One function an op, with its name and arguments; it returns y alone.
What tap i of an axis sees is a matrix of zeros and ones; its transpose puts things back.
"""
import autograd.numpy as np
import numpy
from autograd.tracer import getval


def both(v):
    """An int or a pair -> a pair."""
    return v if isinstance(v, tuple) else (v, v)


def selection(n, out, taps, stride, pad, dilation=1):
    """For each tap i the (out, n) matrix whose row o selects pixel o·stride + i·dilation − pad."""
    pixel, o = numpy.arange(n), numpy.arange(out)[:, None]
    return [(pixel == o * stride + i * dilation - pad) * 1. for i in range(taps)]


def gather(size, out, ksize, stride, pad, dilation=1):
    """(i, j, R, Q) for every tap of a window: it sees R x Qᵀ."""
    rows, columns = (selection(*axis) for axis in zip(size, out, ksize, both(stride), both(pad),
                                                      both(dilation)))
    return [(i, j, r, q) for i, r in enumerate(rows) for j, q in enumerate(columns)]


def fitted(size, ksize, stride, pad, dilation):
    """How many windows fit, rounding down."""
    return [(n + 2 * p - d * (k - 1) - 1) // s + 1 for n, k, s, p, d in
            zip(size, ksize, both(stride), both(pad), both(dilation))]


def pooled(size, ksize, stride, pad, ceil, dilation):
    """How many windows a pooling has."""
    out = []
    for n, k, s, p, d in zip(size, ksize, stride, pad, both(dilation)):
        spare = n + 2 * p - d * (k - 1) - 1
        count = numpy.ceil(spare / s) + 1 if ceil else spare // s + 1
        out.append(int(count - ((count - 1) * s - p >= n)))
    return out


# ---- Convolution: y = Σ w[i, j] · R x Qᵀ over taps; the transpose is Σ w[i, j] · Rᵀ x Q

def conv2d(x, w, b=None, stride=1, pad=0, dilation=1, groups=1):
    (n, c, *size), (k, _, *ksize) = x.shape, w.shape
    out = fitted(size, ksize, stride, pad, dilation)
    x = np.reshape(x, (n, groups, c // groups, *size))
    w = np.reshape(w, (groups, k // groups, c // groups, *ksize))
    y = sum(np.einsum('gkc,ngchw->ngkhw', w[:, :, :, i, j], r @ x @ q.T)
            for i, j, r, q in gather(size, out, ksize, stride, pad, dilation))
    return _plus(np.reshape(y, (n, k, *out)), b)


def conv_transpose2d(x, w, b=None, stride=1, pad=0, dilation=1, groups=1, output_padding=0):
    (n, c, *out), (_, depth, *ksize) = x.shape, w.shape
    size = [(o - 1) * s - 2 * p + d * (k - 1) + 1 + e for o, k, s, p, d, e in
            zip(out, ksize, both(stride), both(pad), both(dilation), both(output_padding))]
    x = np.reshape(x, (n, groups, c // groups, *out))
    w = np.reshape(w, (groups, c // groups, depth, *ksize))
    y = sum(np.einsum('gck,ngchw->ngkhw', w[:, :, :, i, j], r.T @ x @ q)
            for i, j, r, q in gather(size, out, ksize, stride, pad, dilation))
    return _plus(np.reshape(y, (n, depth * groups, *size)), b)


def _plus(y, b):
    return y if b is None else y + b[:, None, None]


def im2col(x, ksize, stride=1, pad=0, dilation=1):
    (n, c, *size), ksize = x.shape, both(ksize)
    out = fitted(size, ksize, stride, pad, dilation)
    seen = [r @ x @ q.T for _, _, r, q in gather(size, out, ksize, stride, pad, dilation)]
    return np.reshape(np.stack(seen, axis=2), (n, c * ksize[0] * ksize[1], -1))


def col2im(cols, shape, ksize, stride=1, pad=0, dilation=1):
    size, ksize = shape[-2:], both(ksize)
    out = fitted(size, ksize, stride, pad, dilation)
    cols = np.reshape(cols, (len(cols), -1, *ksize, *out))
    return sum(r.T @ cols[:, :, i, j] @ q
               for i, j, r, q in gather(size, out, ksize, stride, pad, dilation))


# ---- Pooling: the maximum, or the mean, of R x Qᵀ over taps

def max_pool(x, ksize, stride=None, pad=0, ceil=True, dilation=1):
    return np.max(_seen(x, ksize, stride, pad, ceil, dilation), axis=0)


def max_switches(x, ksize, stride=None, pad=0, ceil=True, dilation=1):
    height, width = x.shape[2:]
    numbers = numpy.arange(1., height * width + 1).reshape(1, 1, height, width)
    seen = _seen(x, ksize, stride, pad, ceil, dilation)
    pixels = _seen(numbers, ksize, stride, pad, ceil, dilation) * numpy.ones_like(seen)
    first = seen.argmax(0)[None]
    return numpy.take_along_axis(pixels, first, axis=0)[0].astype(int) - 1


def _seen(x, ksize, stride, pad, ceil, dilation):
    """What each tap sees, −∞ beyond the image."""
    taps = _pool_taps(x, ksize, stride, pad, ceil, dilation)[0]
    beyond = [numpy.where(r.sum(1)[:, None] * q.sum(1) > 0, 0, -numpy.inf) for r, q in taps]
    return np.stack([r @ x @ q.T + outside for (r, q), outside in zip(taps, beyond)])


def avg_pool(x, ksize, stride=None, pad=0, ceil=True, dilation=1, count_include_pad=True):
    taps, size, out, *geometry = _pool_taps(x, ksize, stride, pad, ceil, dilation)
    total = sum(r @ x @ q.T for r, q in taps)
    if not count_include_pad:
        return total / sum(r.sum(1)[:, None] * q.sum(1) for r, q in taps)
    high, wide = (sum(s * numpy.arange(o) + d * tap < n + 2 * p for tap in range(k))
                  for n, o, k, s, p, d in zip(size, out, *geometry))    # cut where padding ends
    return total / (high[:, None] * wide)


def _pool_taps(x, ksize, stride, pad, ceil, dilation):
    """(R, Q) of every tap that sees something; (H, W), (OH, OW); the geometry, both axes each."""
    size, ksize, pad, dilation = x.shape[2:], both(ksize), both(pad), both(dilation)
    stride = both(ksize if stride is None else stride)
    out = pooled(size, ksize, stride, pad, ceil, dilation)
    axes = [[tap for tap in selection(*axis) if tap.any()]
            for axis in zip(size, out, ksize, stride, pad, dilation)]
    return [(r, q) for r in axes[0] for q in axes[1]], size, out, ksize, stride, pad, dilation


def avg_pool_to(x, bins):
    (h, w), (bh, bw) = x.shape[2:], both(bins)
    return np.stack([np.stack([
        np.mean(x[:, :, i * h // bh:-(-(i + 1) * h // bh), j * w // bw:-(-(j + 1) * w // bw)],
                axis=(2, 3)) for j in range(bw)], axis=2) for i in range(bh)], axis=2)


def take(x, switches):
    n, c, oh, ow = switches.shape
    chosen = _one_hot(switches, x.shape[2] * x.shape[3])
    y = np.einsum('ncop,ncp->nco', chosen, np.reshape(x, (n, c, -1)))
    return np.reshape(y, (n, c, oh, ow))


def unpool(y, switches, size):
    n, c, *_ = y.shape
    h, w = size[-2:]
    x = np.einsum('ncop,nco->ncp', _one_hot(switches, h * w), np.reshape(y, (n, c, -1)))
    return np.reshape(x, (n, c, h, w))


def _one_hot(switches, pixels):
    """(N, C, OH, OW) -> (N, C, OH·OW, H·W): 1 where the switch points."""
    n, c, *_ = switches.shape
    return (switches.reshape(n, c, -1, 1) == numpy.arange(pixels)) * 1.


# ---- Fixed upsampling

def upsample(x, factor, ksize=None, pad=0):
    """Long's upsample_filt, stamped by a transposed convolution, channel by channel."""
    factor, pad = both(factor), both(pad)
    ksize = both(ksize) if ksize else [2 * f - f % 2 for f in factor]
    size = [(n - 1) * f + k - 2 * p for n, f, k, p in zip(x.shape[2:], factor, ksize, pad)]
    rows, columns = map(_tent, ksize)
    return sum(rows[i] * columns[j] * (r.T @ x @ q)
               for i, j, r, q in gather(size, x.shape[2:], ksize, factor, pad))


def _tent(size):
    factor = (size + 1) // 2
    centre = factor - 1 if size % 2 else factor - .5
    return 1 - abs(numpy.arange(size) - centre) / factor


def resize(x, size=None, align_corners=False, scale=None, mode='bilinear'):
    """Along one axis a step from the pixel before to the pixel after; then along the other."""
    if scale is not None:
        size = tuple(int(n * s) for n, s in zip(x.shape[2:], both(scale)))
    for axis, out in zip((2, 3), both(size)):
        n, i = x.shape[axis], numpy.arange(out)
        step = n / out if scale is None or n == out else 1 / both(scale)[axis - 2]
        if mode == 'nearest':
            pixels = numpy.minimum((i * step + 1e-9).astype(int), n - 1)
            x = x[(slice(None),) * axis + (pixels,)]
            continue
        at = (numpy.linspace(0, n - 1, out) if align_corners
              else numpy.clip((i + .5) * step - .5, 0, n - 1))
        before = numpy.minimum(at.astype(int), max(n - 2, 0))
        after = numpy.minimum(before + 1, n - 1)
        share = (at - before).reshape(-1, *[1] * (3 - axis))
        low, high = (x[(slice(None),) * axis + (pixels,)] for pixels in (before, after))
        x = low + share * (high - low)
    return x


# ---- Pointwise and shape

def relu(x):
    return np.maximum(x, 0)


def leaky_relu(x, slope=.01):
    return np.maximum(x, 0) + slope * np.minimum(x, 0)


def dropout(x, p=.5, train=False, rng=None):
    if not train:
        return 1 * x
    return x * (rng.random(x.shape, 'float32') >= p) / (1 - p if p < 1 else 1)


def add(*xs):
    return sum(xs)


def multiply(a, b):
    return a * b


def scale(x, factor):
    return factor * x


def concat(*xs):
    return np.concatenate(xs, axis=1)


def channels(x, start, stop):
    chosen = numpy.arange(start, stop)[:, None] == numpy.arange(x.shape[1])
    return np.einsum('kc,nchw->nkhw', chosen * 1., x)


def crop(x, size, offset=0):
    (r,), (q,) = (selection(n, out, 1, 1, -start) for n, out, start in
                  zip(x.shape[2:], both(size), both(offset)))
    return r @ x @ q.T


def pad(x, before, after=None, value=0.):
    (h, w), (top, left) = x.shape[2:], both(before)
    bottom, right = both(before if after is None else after)
    (r,), (q,) = (selection(first + n + last, n, 1, 1, -first) for n, first, last in
                  ((h, top, bottom), (w, left, right)))
    return r.T @ (x - value) @ q + value


# ---- Normalisation and loss

def batch_norm(x, w, b, mean, var, train=False, eps=1e-5, frozen=False, momentum=.1):
    if train and not frozen:
        mean, var = np.mean(x, axis=(0, 2, 3)), np.var(x, axis=(0, 2, 3))
    w, b, mean, var = (v[:, None, None] for v in (w, b, mean, var))
    return w * (x - mean) / np.sqrt(var + eps) + b


def local_response_norm(x, size=5, alpha=1e-4, beta=.75, k=1.):
    channel = numpy.arange(x.shape[1])
    after = channel - channel[:, None]                      # how far behind each channel another is
    near = (-(size // 2) <= after) & (after <= (size - 1) // 2)
    return x / (k + alpha / size * np.einsum('kc,nchw->nkhw', near * 1., x ** 2)) ** beta


def softmax_cross_entropy(score, label, ignore=255, reduce='sum', class_weight=None,
                          pixel_weight=None, label_smoothing=0.):
    c = score.shape[1]
    valid = label != ignore
    truth = label[:, None] == numpy.arange(c)[:, None, None]
    weight = ((1 - label_smoothing) * truth + label_smoothing / c) * valid[:, None]
    if class_weight is not None:
        weight = weight * class_weight[:, None, None]
    if pixel_weight is not None:
        weight = weight * pixel_weight[:, None]
    top = numpy.max(getval(score), axis=1, keepdims=True)       # a constant moves no loss
    log_sum = top + np.log(np.sum(np.exp(score - top), axis=1, keepdims=True))
    losses = np.sum(weight * (log_sum - score), axis=1)
    if reduce == 'none':
        return losses
    return np.sum(losses) / max(valid.sum(), 1) if reduce == 'mean' else np.sum(losses)


def focal_loss(score, label, ignore=255, gamma=2., reduce='sum', class_weight=None,
               pixel_weight=None):
    losses = softmax_cross_entropy(score, label, ignore, 'none')
    valid = label != ignore
    # 1 − p from the scores of the other classes, which keeps its digits where p is nearly 1
    top = numpy.max(getval(score), axis=1, keepdims=True)
    powers = np.exp(score - top)
    others = label[:, None] != numpy.arange(score.shape[1])[:, None, None]
    missing = np.sum(powers * others, axis=1) / np.sum(powers, axis=1)
    one_class = score.shape[1] == 1             # then 1 − p is 0, and 0 to a root has no slope
    focus = float(gamma == 0) if one_class else missing ** gamma
    weight = valid * 1.
    if class_weight is not None:
        weight = weight * class_weight[numpy.where(valid, label, 0).astype(int)]
    if pixel_weight is not None:
        weight = weight * pixel_weight
    losses = weight * focus * losses
    if reduce == 'none':
        return losses
    return np.sum(losses) / max(valid.sum(), 1) if reduce == 'mean' else np.sum(losses)


def dice_loss(score, label, ignore=255, class_weight=None):
    c = score.shape[1]
    truth = (label[:, None] == numpy.arange(c)[:, None, None]) & (label != ignore)[:, None]
    truth = numpy.moveaxis(truth, 1, 0).reshape(c, -1)
    powers = np.exp(score - numpy.max(getval(score), axis=1, keepdims=True))
    p = powers / np.sum(powers, axis=1, keepdims=True) * (label != ignore)[:, None]
    p = np.reshape(np.moveaxis(p, 1, 0), (c, -1))
    weight = numpy.any(truth, axis=1) * (1. if class_weight is None else class_weight)
    dice = 2 * np.sum(p * truth, axis=1) / (np.sum(p + truth, axis=1) + (weight == 0))
    return np.sum(weight * (1 - dice)) / (numpy.sum(weight) or 1)
