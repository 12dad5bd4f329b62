"""Winograd, ReLU behind a convolution and the crop behind an upsampling, on the real CuPy.

The table of ops (test_cupy_ops.py) has none of them: its convolutions are too small for Winograd,
and the others are steps of a plan. Each array is an allocation of its own, with a guard behind it.
"""
import numpy as np
import pytest
from gpu_compare import with_dtype
from gpu_samples import MORE_OPS, SAMPLERS, SMALL_THRESHOLDS
from samples import picks

from tinyfcn import ops
from tinyfcn.dispatch import reference_only
from tinyfcn.kernels.gpu import im2col
from tinyfcn.kernels.registry import find_kernel
from tinyfcn.ops.fused import conv_relu

pytestmark = pytest.mark.cupy

TOLERANCES = dict(float32=1e-5, float64=1e-12)          # of the largest value, or of 1


def assert_close(a, b, tol, what):
    if b is None:
        assert a is None, what
        return
    assert a.shape == b.shape and a.flags.c_contiguous, what
    assert np.abs(a.get() - b).max() <= tol * max(1, np.abs(b).max()), what


@pytest.mark.parametrize('in_pieces', [False, True], ids=['whole', 'in pieces'])
@pytest.mark.parametrize('dtype', TOLERANCES)
@pytest.mark.parametrize('name', ['winograd', 'conv_relu', 'upsample_crop'])
def test_a_kernel_equals_numpy(real_cupy, name, dtype, in_pieces, monkeypatch):
    for module, attribute, value in SMALL_THRESHOLDS:
        monkeypatch.setattr(module, attribute, value)
    if in_pieces:
        monkeypatch.setattr(im2col, 'MAX_PIECE', 1)
        monkeypatch.setattr(im2col, 'MIN_SUM', 3)
    for i in range(12):
        sample = with_dtype(SAMPLERS[name](picks(i)), dtype)
        op = getattr(ops, sample.op, None) or MORE_OPS[sample.op]
        on_host = [a if a is None else a.astype('float64') for a in sample.args]
        with reference_only():
            true_y, true_cache = op(*on_host, **sample.kwargs)
            dy = np.random.default_rng(i).standard_normal(true_y.shape).astype(dtype)
            true_grads = op.backward(dy.astype('float64'), true_cache)
        args = [a if a is None else real_cupy.asarray(a) for a in sample.args]
        assert find_kernel(sample.op, False, *args, **sample.kwargs)
        y, cache = op(*args, **sample.kwargs)
        grads = op.backward(real_cupy.asarray(dy), cache)
        for what, own, true in zip(('y', 'dx', 'dw', 'db'), (y, *grads), (true_y, *true_grads)):
            assert_close(own, true, TOLERANCES[dtype], f'{what} of {sample}')


def test_a_convolution_writes_a_part_of_a_concat(real_cupy):
    """One image; the channels of several lie apart, and the reference copies them."""
    rng = np.random.default_rng(0)
    w = real_cupy.asarray(rng.standard_normal((3, 4, 3, 3), 'float32'))
    for images in 1, 2:
        x = real_cupy.asarray(rng.standard_normal((images, 4, 8, 8), 'float32'))
        whole = real_cupy.full((images, 7, 8, 8), -1, 'float32')
        part = whole[:, 2:5]
        assert bool(find_kernel('conv_relu', False, x, w, pad=1, out=part)) == (images == 1)
        y, _ = conv_relu(x, w, pad=1, out=part)
        expected, _ = conv_relu(x, w, pad=1)
        assert y is part
        np.testing.assert_array_equal(whole.get()[:, 2:5], expected.get())
        assert (whole.get()[:, [0, 1, 5, 6]] == -1).all()
