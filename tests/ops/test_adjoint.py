"""⟨Mx, y⟩ = ⟨x, Mᵀy⟩ on 200 random geometries of every linear op.

Mᵀ is what backward does, and often a public op as well: conv_transpose2d is the transpose of
conv2d, col2im of im2col, unpool of take. Both are held to it.
"""
import numpy as np
import pytest
from samples import both, random_samples

from tinyfcn import ops

COUNT = 200


def adjoint(x, mx, y, mty):
    """Compared with the length of both: the sums may cancel, their rounding does not."""
    assert mty.shape == x.shape
    assert mx.shape == y.shape
    difference = abs((mx * y).sum() - (x * mty).sum())
    assert difference <= 1e-11 * np.linalg.norm(mx) * np.linalg.norm(y)


# ---- Mᵀ by another op: (x, arrays and geometry) -> Mx, and Mᵀ as a function of y

def conv2d(x, w, b, stride, pad, dilation, groups):
    how = dict(stride=stride, pad=pad, dilation=dilation, groups=groups)
    unseen = tuple((n + 2 * p - d * (k - 1) - 1) % s for n, k, s, p, d in       # by any window
                   zip(x.shape[2:], w.shape[2:], both(stride), both(pad), both(dilation)))
    return (ops.conv2d(x, w, **how)[0],
            lambda y: ops.conv_transpose2d(y, w, **how, output_padding=unseen)[0])


def conv_transpose2d(x, w, b, output_padding=0, **how):
    mx, _ = ops.conv_transpose2d(x, w, **how, output_padding=output_padding)
    return mx, lambda y: ops.conv2d(y, w, **how)[0]


def im2col(x, **how):
    return ops.im2col(x, **how)[0], lambda y: ops.col2im(y, x.shape, **how)[0]


def col2im(cols, shape, **how):
    return ops.col2im(cols, shape, **how)[0], lambda y: ops.im2col(y, **how)[0]


def max_pool(x, **how):
    """Linear once the switches are fixed."""
    switches, _ = ops.max_switches(x, **how)
    return ops.take(x, switches)[0], lambda y: ops.unpool(y, switches, x.shape)[0]


def take(x, switches):
    return ops.take(x, switches)[0], lambda y: ops.unpool(y, switches, x.shape[2:])[0]


def unpool(y, switches, size):
    return ops.unpool(y, switches, size)[0], lambda x: ops.take(x, switches)[0]


def crop(x, size, offset):
    def transpose(y):
        after = [n - o - m for n, o, m in zip(x.shape[2:], both(offset), y.shape[2:])]
        return ops.pad(y, offset, after)[0]
    return ops.crop(x, size, offset)[0], transpose


def upsample(x, factor, ksize=None, pad=0):
    """The transpose of a convolution, channel by channel, whose kernel is bilinear."""
    c = x.shape[1]
    mx, _ = ops.upsample(x, factor, ksize, pad)
    peak, _ = ops.upsample(np.ones((1, 1, 1, 1)), factor, ksize)        # what one pixel becomes
    kernels = np.repeat(peak, c, axis=0)
    return mx, lambda y: ops.conv2d(y, kernels, stride=factor, pad=pad, groups=c)[0]


PAIRS = conv2d, conv_transpose2d, im2col, col2im, max_pool, take, unpool, crop, upsample


@pytest.mark.parametrize('pair', PAIRS, ids=[pair.__name__ for pair in PAIRS])
def test_the_paired_op_is_the_transpose(pair):
    rng = np.random.default_rng(2)
    for sample in random_samples(pair.__name__, COUNT):
        x, *others = sample.args
        mx, transpose = pair(x, *others, **sample.kwargs)
        y = rng.standard_normal(mx.shape)
        adjoint(x, mx, y, transpose(y))


@pytest.mark.parametrize('name', [
    'conv2d', 'conv_transpose2d', 'im2col', 'col2im', 'max_pool', 'take', 'unpool', 'avg_pool',
    'avg_pool_to', 'upsample', 'resize', 'crop', 'channels', 'scale'])
def test_backward_is_the_transpose(name):
    op, rng = getattr(ops, name), np.random.default_rng(2)
    for sample in random_samples(name, COUNT):
        x, *others = sample.args
        if name.startswith('conv'):
            others = others[:1]                 # a bias is not linear, it is added
        mx, cache = op(x, *others, **sample.kwargs)
        y = rng.standard_normal(mx.shape)
        adjoint(x, mx, y, op.backward(y, cache)[0])


@pytest.mark.parametrize('name', ['conv2d', 'conv_transpose2d'])
def test_dw_is_the_transpose_of_w(name):
    """y is linear in w as well: ⟨M(w) x, y⟩ = ⟨w, dw⟩, and likewise for b alone."""
    op, rng = getattr(ops, name), np.random.default_rng(2)
    for sample in random_samples(name, COUNT):
        x, w, b = sample.args
        y, cache = op(x, w, b, **sample.kwargs)
        dy = rng.standard_normal(y.shape)
        _, dw, db = op.backward(dy, cache)
        without, _ = op(x, w, **sample.kwargs)
        adjoint(w, without, dy, dw)
        if b is not None:
            adjoint(b, y - without, dy, db)
