"""The ops once more, as their definitions: plain loops over indices, slow and easy to check.

One function an op, with the op's name and arguments; it returns y alone. Nothing is shared with
tinyfcn and nothing is clever: a doubt about an op is settled here.
"""
from itertools import product
from math import ceil as round_up, exp, floor, log, sqrt

import numpy as np


def both(v):
    """An int or a pair -> a pair."""
    return v if isinstance(v, tuple) else (v, v)


def every(*shape):
    """Every index of an array of this shape, the last axis fastest."""
    return product(*map(range, shape))


def starts(n, reach, stride, pad, ceil=False):
    """Where the windows along an axis of n pixels begin; rows −pad … −1 are padding.

    Rounding down, windows end within the padding. Rounding up, they go on until one has reached
    its end; one that would begin beyond the image is dropped.
    """
    if not ceil:
        return list(range(-pad, n + pad - reach + 1, stride))
    found = [-pad]
    while found[-1] + reach < n + pad:
        found.append(found[-1] + stride)
    return found[:-1] if found[-1] >= n else found


def grid(x, ksize, stride, pad, dilation=1, ceil=False):
    """The rows and the columns where windows begin, over the images of x."""
    return [starts(n, d * (k - 1) + 1, s, p, ceil) for n, k, s, p, d in
            zip(x.shape[2:], both(ksize), both(stride), both(pad), both(dilation))]


# ---- Convolution

def im2col(x, ksize, stride=1, pad=0, dilation=1):
    (n, c, h, w), (kh, kw), (dh, dw) = x.shape, both(ksize), both(dilation)
    tops, lefts = grid(x, ksize, stride, pad, dilation)
    y = np.zeros((n, c * kh * kw, len(tops) * len(lefts)))
    for m, q, u, v in every(n, c, kh, kw):
        for i, j in every(len(tops), len(lefts)):
            row, column = tops[i] + u * dh, lefts[j] + v * dw
            if 0 <= row < h and 0 <= column < w:
                y[m, (q * kh + u) * kw + v, i * len(lefts) + j] = x[m, q, row, column]
    return y


def col2im(cols, shape, ksize, stride=1, pad=0, dilation=1):
    (h, w), (kh, kw), (dh, dw) = shape[-2:], both(ksize), both(dilation)
    n, c = cols.shape[0], cols.shape[1] // (kh * kw)
    y = np.zeros((n, c, h, w))
    tops, lefts = grid(y, ksize, stride, pad, dilation)
    for m, q, u, v in every(n, c, kh, kw):
        for i, j in every(len(tops), len(lefts)):
            row, column = tops[i] + u * dh, lefts[j] + v * dw
            if 0 <= row < h and 0 <= column < w:
                y[m, q, row, column] += cols[m, (q * kh + u) * kw + v, i * len(lefts) + j]
    return y


def conv2d(x, w, b=None, stride=1, pad=0, dilation=1, groups=1):
    (n, _, height, width), (k, depth, kh, kw), (dh, dw) = x.shape, w.shape, both(dilation)
    tops, lefts = grid(x, (kh, kw), stride, pad, dilation)
    y = np.zeros((n, k, len(tops), len(lefts)))
    for m, f, i, j in every(*y.shape):
        first = f // (k // groups) * depth                  # of the channels that this group reads
        total = 0. if b is None else b[f]
        for q, u, v in every(depth, kh, kw):
            row, column = tops[i] + u * dh, lefts[j] + v * dw
            if 0 <= row < height and 0 <= column < width:
                total += w[f, q, u, v] * x[m, first + q, row, column]
        y[m, f, i, j] = total
    return y


def conv_transpose2d(x, w, b=None, stride=1, pad=0, dilation=1, groups=1, output_padding=0):
    (n, c, h, wide), (_, depth, kh, kw) = x.shape, w.shape
    (sh, sw), (ph, pw), (dh, dw) = both(stride), both(pad), both(dilation)
    eh, ew = both(output_padding)
    y = np.zeros((n, depth * groups, (h - 1) * sh - 2 * ph + dh * (kh - 1) + 1 + eh,
                  (wide - 1) * sw - 2 * pw + dw * (kw - 1) + 1 + ew))
    if b is not None:
        for m, f, i, j in every(*y.shape):
            y[m, f, i, j] = b[f]
    for m, q, i, j in every(*x.shape):
        first = q // (c // groups) * depth                  # of the channels that this group makes
        for f, u, v in every(depth, kh, kw):
            row, column = i * sh - ph + u * dh, j * sw - pw + v * dw
            if 0 <= row < y.shape[2] and 0 <= column < y.shape[3]:
                y[m, first + f, row, column] += w[q, f, u, v] * x[m, q, i, j]
    return y


# ---- Pooling

def taps(start, k, dilation):
    """The pixels that a window reads along an axis."""
    return range(start, start + k * dilation, dilation)


def max_switches(x, ksize, stride=None, pad=0, ceil=True, dilation=1):
    (n, c, h, w), (kh, kw), (dh, dw) = x.shape, both(ksize), both(dilation)
    tops, lefts = grid(x, ksize, ksize if stride is None else stride, pad, dilation, ceil)
    y = np.zeros((n, c, len(tops), len(lefts)), int)
    for m, q, i, j in every(*y.shape):
        seen = [(row, column) for row in taps(tops[i], kh, dh) if 0 <= row < h
                for column in taps(lefts[j], kw, dw) if 0 <= column < w]
        row, column = max(seen, key=lambda at: x[m, q, at[0], at[1]])       # the first of equals
        y[m, q, i, j] = row * w + column
    return y


def take(x, switches):
    y = np.zeros(switches.shape)
    for m, q, i, j in every(*y.shape):
        row, column = divmod(int(switches[m, q, i, j]), x.shape[3])
        y[m, q, i, j] = x[m, q, row, column]
    return y


def unpool(y, switches, size):
    x = np.zeros((*y.shape[:2], *size[-2:]))
    for m, q, i, j in every(*y.shape):
        row, column = divmod(int(switches[m, q, i, j]), size[-1])
        x[m, q, row, column] += y[m, q, i, j]
    return x


def max_pool(x, ksize, stride=None, pad=0, ceil=True, dilation=1):
    return take(x, max_switches(x, ksize, stride, pad, ceil, dilation))


def avg_pool(x, ksize, stride=None, pad=0, ceil=True, dilation=1, count_include_pad=True):
    (n, c, h, w), (kh, kw), (ph, pw), (dh, dw) = x.shape, both(ksize), both(pad), both(dilation)
    tops, lefts = grid(x, ksize, ksize if stride is None else stride, pad, dilation, ceil)
    y = np.zeros((n, c, len(tops), len(lefts)))
    for i, j in every(len(tops), len(lefts)):
        rows, columns = taps(tops[i], kh, dh), taps(lefts[j], kw, dw)
        if count_include_pad:                               # padding counts, what hangs over not
            count = sum(row < h + ph for row in rows) * sum(column < w + pw for column in columns)
        else:
            count = sum(0 <= row < h for row in rows) * sum(0 <= column < w for column in columns)
        inside = [(row, column) for row in rows if 0 <= row < h
                  for column in columns if 0 <= column < w]
        for m, q in every(n, c):
            y[m, q, i, j] = sum(x[m, q, row, column] for row, column in inside) / count
    return y


def avg_pool_to(x, bins):
    (n, c, h, w), (bh, bw) = x.shape, both(bins)
    y = np.zeros((n, c, bh, bw))
    for m, q, i, j in every(*y.shape):
        rows = range(floor(i * h / bh), round_up((i + 1) * h / bh))
        columns = range(floor(j * w / bw), round_up((j + 1) * w / bw))
        y[m, q, i, j] = sum(x[m, q, row, column] for row in rows for column in columns)
        y[m, q, i, j] /= len(rows) * len(columns)
    return y


# ---- Fixed upsampling

def upsample(x, factor, ksize=None, pad=0):
    (n, c, h, w), (fh, fw), (ph, pw) = x.shape, both(factor), both(pad)
    kh, kw = both(ksize) if ksize else (2 * fh - fh % 2, 2 * fw - fw % 2)
    y = np.zeros((n, c, (h - 1) * fh + kh - 2 * ph, (w - 1) * fw + kw - 2 * pw))
    for m, q, i, j in every(*x.shape):
        for u, v in every(kh, kw):
            row, column = i * fh - ph + u, j * fw - pw + v
            if 0 <= row < y.shape[2] and 0 <= column < y.shape[3]:
                weight = (1 - abs(u - (kh - 1) / 2) / fh) * (1 - abs(v - (kw - 1) / 2) / fw)
                y[m, q, row, column] += weight * x[m, q, i, j]
    return y


def resize(x, size=None, align_corners=False, scale=None, mode='bilinear'):
    n, c, h, w = x.shape
    if scale is None:
        oh, ow = both(size)
        steps = h / oh, w / ow
    else:
        oh, ow = (floor(n * s) for n, s in zip((h, w), both(scale)))
        steps = [1 if n == out else 1 / s for n, out, s in zip((h, w), (oh, ow), both(scale))]
    y = np.zeros((n, c, oh, ow))
    for m, q, i, j in every(*y.shape):
        if mode == 'nearest':
            y[m, q, i, j] = x[m, q, _nearest(i, h, steps[0]), _nearest(j, w, steps[1])]
            continue
        (top, bottom, down), (left, right, across) = (
            _between(i, h, oh, steps[0], align_corners),
            _between(j, w, ow, steps[1], align_corners))
        upper = (1 - across) * x[m, q, top, left] + across * x[m, q, top, right]
        lower = (1 - across) * x[m, q, bottom, left] + across * x[m, q, bottom, right]
        y[m, q, i, j] = (1 - down) * upper + down * lower
    return y


def _nearest(i, n, step):
    """The pixel of n in which row i begins; the little is for rounding."""
    return min(floor(i * step + 1e-9), n - 1)


def _between(i, n, out, step, align_corners):
    """The two pixels of n between which pixel i of `out` lies, and how far along."""
    if align_corners:
        at = i * (n - 1) / (out - 1) if out > 1 else 0
    else:
        at = min(max((i + .5) * step - .5, 0), n - 1)
    low = floor(at)
    return low, min(low + 1, n - 1), at - low


# ---- Pointwise

def relu(x):
    return leaky_relu(x, 0)


def leaky_relu(x, slope=.01):
    y = np.zeros(x.shape)
    for at in every(*x.shape):
        y[at] = x[at] if x[at] > 0 else slope * x[at]
    return y


def dropout(x, p=.5, train=False, rng=None):
    if not train:
        return x
    draws, y = rng.random(x.shape, 'float32'), np.zeros(x.shape)
    for at in every(*x.shape):
        y[at] = x[at] / (1 - p) if draws[at] >= p else 0    # no draw is 1
    return y


def add(*xs):
    y = np.zeros(xs[0].shape)
    for at in every(*y.shape):
        y[at] = sum(x[at] for x in xs)
    return y


def multiply(a, b):
    y = np.zeros(a.shape)
    for at in every(*y.shape):
        y[at] = a[at] * b[at]
    return y


def scale(x, factor):
    y = np.zeros(x.shape)
    for at in every(*x.shape):
        y[at] = factor * x[at]
    return y


# ---- Shape

def concat(*xs):
    n, _, h, w = xs[0].shape
    y = np.zeros((n, sum(x.shape[1] for x in xs), h, w))
    first = 0
    for x in xs:
        for m, q, i, j in every(*x.shape):
            y[m, first + q, i, j] = x[m, q, i, j]
        first += x.shape[1]
    return y


def channels(x, start, stop):
    n, _, h, w = x.shape
    y = np.zeros((n, stop - start, h, w))
    for m, q, i, j in every(*y.shape):
        y[m, q, i, j] = x[m, start + q, i, j]
    return y


def crop(x, size, offset=0):
    y, (top, left) = np.zeros((*x.shape[:2], *both(size))), both(offset)
    for m, q, i, j in every(*y.shape):
        y[m, q, i, j] = x[m, q, top + i, left + j]
    return y


def pad(x, before, after=None, value=0.):
    (n, c, h, w), (top, left) = x.shape, both(before)
    bottom, right = both(before if after is None else after)
    y = np.full((n, c, top + h + bottom, left + w + right), value)
    for m, q, i, j in every(*x.shape):
        y[m, q, top + i, left + j] = x[m, q, i, j]
    return y


# ---- Normalisation and loss

def batch_norm(x, w, b, mean, var, train=False, eps=1e-5, frozen=False, momentum=.1):
    y, (n, c, h, wide) = np.zeros(x.shape), x.shape
    for q in range(c):
        values = [x[m, q, i, j] for m, i, j in every(n, h, wide)]
        centre, spread = mean[q], var[q]
        if train and not frozen:
            centre = sum(values) / len(values)
            spread = sum((v - centre) ** 2 for v in values) / len(values)
        for m, i, j in every(n, h, wide):
            y[m, q, i, j] = w[q] * (x[m, q, i, j] - centre) / sqrt(spread + eps) + b[q]
    return y


def local_response_norm(x, size=5, alpha=1e-4, beta=.75, k=1.):
    y, c = np.zeros(x.shape), x.shape[1]
    for m, q, i, j in every(*x.shape):
        near = range(max(0, q - size // 2), min(c, q + (size - 1) // 2 + 1))
        squares = sum(x[m, other, i, j] ** 2 for other in near)
        y[m, q, i, j] = x[m, q, i, j] / (k + alpha / size * squares) ** beta
    return y


def softmax_cross_entropy(score, label, ignore=255, reduce='sum', class_weight=None,
                          pixel_weight=None, label_smoothing=0.):
    n, c, h, w = score.shape
    losses, valid = np.zeros((n, h, w)), 0
    for m, i, j in every(n, h, w):
        truth = label[m, i, j]
        if truth == ignore:
            continue
        top = max(score[m, q, i, j] for q in range(c))
        total = sum(exp(score[m, q, i, j] - top) for q in range(c))
        for q in range(c):
            target = label_smoothing / c + (1 - label_smoothing) * (q == truth)
            weight = 1. if class_weight is None else class_weight[q]
            weight *= 1. if pixel_weight is None else pixel_weight[m, i, j]
            losses[m, i, j] += target * weight * (log(total) - (score[m, q, i, j] - top))
        valid += 1
    if reduce == 'none':
        return losses
    return losses.sum() / max(valid, 1) if reduce == 'mean' else losses.sum()


def focal_loss(score, label, ignore=255, gamma=2., reduce='sum', class_weight=None,
               pixel_weight=None):
    losses = softmax_cross_entropy(score, label, ignore, 'none')
    n, _, h, w = score.shape
    for m, i, j in every(n, h, w):
        p = exp(-losses[m, i, j])
        if label[m, i, j] != ignore:
            losses[m, i, j] *= (1 - p) ** gamma
            losses[m, i, j] *= 1. if class_weight is None else class_weight[label[m, i, j]]
            losses[m, i, j] *= 1. if pixel_weight is None else pixel_weight[m, i, j]
    if reduce == 'none':
        return losses
    valid = sum(label[place] != ignore for place in every(n, h, w))
    return losses.sum() / max(valid, 1) if reduce == 'mean' else losses.sum()


def dice_loss(score, label, ignore=255, class_weight=None):
    n, c, h, w = score.shape
    both, either, found = [0.] * c, [0.] * c, [False] * c
    for m, i, j in every(n, h, w):
        if label[m, i, j] == ignore:
            continue
        top = max(score[m, q, i, j] for q in range(c))
        total = sum(exp(score[m, q, i, j] - top) for q in range(c))
        for q in range(c):
            p = exp(score[m, q, i, j] - top) / total
            either[q] += p
            if label[m, i, j] == q:
                found[q] = True
                either[q] += 1
                both[q] += p
    loss = weights = 0.
    for q in range(c):
        if found[q]:
            weight = 1. if class_weight is None else class_weight[q]
            loss += weight * (1 - 2 * both[q] / either[q])
            weights += weight
    return loss / weights if any(found) else 0.
