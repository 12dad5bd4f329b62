"""Every op with every sample of the table through the real CuPy: values, types, transfers.

The reference implementation runs on a GPU unchanged, and so do the kernels. Both give what NumPy
gives in float64, field by field of the cache too, in whatever order the threads run, and copy
nothing to the host on the way.
"""
from contextlib import nullcontext
from importlib import import_module
from typing import NamedTuple

import numpy as np
import pytest
from fake_cuda.driver import counting, threads_reversed
from samples import TABLE, changed
from test_ops import backward, cast, forward, some_dy

from tinyfcn import ops
from tinyfcn.dispatch import reference_only
from tinyfcn.kernels.registry import find_kernel

pytestmark = pytest.mark.cupy

IMPLEMENTATIONS = dict(reference=reference_only, kernels=nullcontext)
TOLERANCES = dict(float32=1e-6, float64=1e-12)          # of the largest value, or of 1

# Uploads and waits of an op, forward and backward. Dropout draws on the host and uploads its bits.
# A reference that needs sparse matrices builds them on the GPU, where CuPy waits for the number of
# their entries; of a window view CuPy checks the size on the GPU. The kernels of these ops do not.
NOTHING = 0, 0
OF_DROPOUT = 1, 0
OF_REFERENCE = dict(avg_pool=(0, 12), avg_pool_to=(0, 12), resize=(0, 12), upsample=(2, 12),
                    max_pool=(2, 4), max_switches=(1, 2))


def assert_alike(on_gpu, expected, exact, tol):
    """The arrays are on the GPU, with the types of `expected` and the values of `exact`."""
    if isinstance(expected, tuple | list):
        assert type(on_gpu) is type(expected) and len(on_gpu) == len(expected)
        for fields in zip(on_gpu, expected, exact):
            assert_alike(*fields, tol)
    elif isinstance(expected, dict):
        assert on_gpu.keys() == expected.keys()
        for key in expected:
            assert_alike(on_gpu[key], expected[key], exact[key], tol)
    elif hasattr(expected, 'toarray'):
        assert_alike(on_gpu.toarray(), expected.toarray(), exact.toarray(), tol)
    elif isinstance(expected, np.ndarray | np.generic):
        assert type(on_gpu).__module__ == 'cupy', f'{type(on_gpu)} is not on the GPU'
        assert on_gpu.shape == expected.shape
        # only switches, which are integers, may have another width
        if on_gpu.dtype.kind not in 'iu' or expected.dtype.kind not in 'iu':
            assert on_gpu.dtype == expected.dtype, f'{on_gpu.dtype} instead of {expected.dtype}'
        assert_close(on_gpu.get(), exact, tol if expected.dtype.kind == 'f' else 0)
    else:
        assert type(on_gpu) is type(expected) and on_gpu == expected


def assert_close(a, b, tol):
    error = np.max(np.abs(np.subtract(a, b, dtype='float64')), initial=0)
    assert error <= tol * max(1, np.max(np.abs(b), initial=0)), f'differs by {error:.3g}'


def forward_backward(sample, dy):
    """-> y, cache, the new running statistics, the gradients"""
    y, cache, *state = forward(sample)
    return y, cache, state, backward(sample, dy, cache)


def allowed_transfers(sample, implementation):
    """How often this sample's op exchanges data with the host, forward and backward."""
    if sample.op == 'dropout' and sample.kwargs.get('train'):
        return OF_DROPOUT
    uses_kernel = implementation == 'kernels' and find_kernel(
        sample.op, False, *sample.args, **sample.kwargs)
    return NOTHING if uses_kernel else OF_REFERENCE.get(sample.op, NOTHING)


class OnNumpy(NamedTuple):
    """What NumPy computes of a sample: y, cache, statistics and gradients."""

    dy: np.ndarray
    results: tuple          # in the dtype of the sample
    exact: tuple            # in float64


def compute_on_numpy(sample):
    with reference_only():
        dy = some_dy(forward(sample)[0])
        return OnNumpy(dy, forward_backward(sample, dy),
                       forward_backward(cast(sample, 'float64'), np.asarray(dy, 'float64')))


def check(cupy, sample, on_numpy, implementation, tol):
    """The sample on the GPU gives the expected results with no more transfers than allowed."""
    on_gpu = changed(sample, cupy.asarray)
    dy = cupy.asarray(on_numpy.dy) if on_numpy.dy.shape else on_numpy.dy
    with IMPLEMENTATIONS[implementation](), counting() as counts:
        results = forward_backward(on_gpu, dy)
    assert_alike(results, on_numpy.results, on_numpy.exact, tol)
    transfers = counts['uploads'], counts['waits']
    assert transfers == allowed_transfers(on_gpu, implementation), 'uploads, waits'
    with IMPLEMENTATIONS[implementation](), threads_reversed():
        results = forward_backward(on_gpu, dy)
    assert_alike(results, on_numpy.results, on_numpy.exact, tol)


@pytest.mark.parametrize('implementation', IMPLEMENTATIONS)
@pytest.mark.parametrize('dtype', TOLERANCES)
@pytest.mark.parametrize('sample', TABLE.values(), ids=TABLE)
def test_an_op_on_the_gpu_equals_numpy(real_cupy, sample, dtype, implementation):
    sample = cast(sample, dtype)
    check(real_cupy, sample, compute_on_numpy(sample), implementation, TOLERANCES[dtype])


@pytest.mark.parametrize('kwargs', [{}, dict(stride=2, pad=1), dict(dilation=2), dict(groups=2)])
def test_the_matrix_of_a_convolution_is_built_on_the_gpu(real_cupy, kwargs):
    rng = np.random.default_rng(1)
    x = rng.standard_normal((1, 4, 7, 6))
    w = rng.standard_normal((2, 4 // kwargs.get('groups', 1), 3, 3))
    y, cache = ops.conv2d(x, w, **kwargs)
    dx, *_ = ops.conv2d.backward(y, cache)
    m = ops.conv_matrix(real_cupy.asarray(w), x.shape[2:], **kwargs)
    assert isinstance(m, import_module('cupyx.scipy.sparse').csr_array)
    assert_close((m @ real_cupy.asarray(x).ravel()).get(), y.ravel(), 1e-12)
    assert_close((m.T @ real_cupy.asarray(y).ravel()).get(), dx.ravel(), 1e-12)


# ---- Mixed arrays and transfers inside an op are found

MISTAKES = {
    'a NumPy array': (
        lambda x, xp: np.maximum(x, np.zeros(x.shape, x.dtype)), TypeError, 'Unsupported type'),
    'a conversion to NumPy': (
        lambda x, xp: np.maximum(np.asarray(x), 0), TypeError, 'Implicit conversion'),
    'a NumPy index': (
        lambda x, xp: x.clip(0)[np.arange(len(x))], AssertionError, 'uploads, waits'),
    'a result on the host': (
        lambda x, xp: np.maximum(x.get(), 0), AssertionError, 'is not on the GPU'),
    'a detour over the host': (
        lambda x, xp: xp.asarray(np.maximum(x.get(), 0)), AssertionError, 'uploads, waits'),
    'a condition on values': (
        lambda x, xp: x.clip(0) if (x > 0).any() else 0 * x, AssertionError, 'uploads, waits'),
    'unwritten memory': (lambda x, xp: xp.empty_like(x), AssertionError, 'differs by nan'),
    'a wider dtype': (
        lambda x, xp: x.clip(0) * np.float64(1), AssertionError, 'float64 instead of float32'),
}


@pytest.mark.parametrize('relu, error, message', MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_inside_an_op_is_found(real_cupy, monkeypatch, relu, error, message):
    sample = cast(TABLE['relu-0'], 'float32')
    on_numpy = compute_on_numpy(sample)

    def planted(x):
        y = relu(x, real_cupy)
        return y, (y,)

    planted.backward = lambda dy, cache: (dy * real_cupy.asarray(cache[0] > 0),)
    monkeypatch.setattr(ops, 'relu', planted)
    with pytest.raises(error, match=message):
        check(real_cupy, sample, on_numpy, 'reference', 1e-6)
