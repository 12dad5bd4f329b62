"""Every op with every sample of the table, on arrays of fake_cupy.

The reference implementation runs there unchanged and gives what it gives on NumPy; so do the GPU
kernels, which cuda_emulator.py compiles. Nothing is copied to the host on the way.
"""
import sys
from contextlib import nullcontext

import numpy as np
import pytest
from fake_cupy import use_fake_cupy
from samples import TABLE, changed
from test_ops import backward, cast, forward, rounding, some_dy

from tinyfcn import ops
from tinyfcn.dispatch import reference_only
from tinyfcn.kernels.registry import find_kernel

pytestmark = pytest.mark.gpuproof

IMPLEMENTATIONS = dict(reference=reference_only, kernels=nullcontext)

# Uploads, downloads, synchronisations of an op, forward and backward. Dropout draws on the host and
# uploads one array: bytes, or bits for the kernel. A reference that needs sparse matrices builds
# them on the GPU, where CuPy waits for the number of their entries; the kernels do not.
NOTHING = 0, 0, 0
OF_DROPOUT = 1, 0, 0
OF_REFERENCE = dict(avg_pool=(0, 0, 8), avg_pool_to=(0, 0, 8), resize=(0, 0, 8), upsample=(2, 0, 8))


@pytest.fixture
def cupy():
    with use_fake_cupy() as module:
        yield module


def each_sample(keep=lambda sample: True):
    rows = {name: sample for name, sample in TABLE.items() if keep(sample)}
    return pytest.mark.parametrize('sample', rows.values(), ids=rows)


# ---- Helpers

def assert_alike(on_gpu, expected, tol):
    """The arrays of `on_gpu` are on the GPU and agree with NumPy's `expected`, field by field."""
    if isinstance(expected, tuple | list):
        assert type(on_gpu) is type(expected) and len(on_gpu) == len(expected)
        for a, b in zip(on_gpu, expected):
            assert_alike(a, b, tol)
    elif isinstance(expected, dict):
        assert on_gpu.keys() == expected.keys()
        assert_alike([*on_gpu.values()], [*expected.values()], tol)
    elif hasattr(expected, 'toarray'):
        assert_alike(on_gpu.toarray(), expected.toarray(), tol)
    elif isinstance(expected, np.ndarray | np.generic):
        assert type(on_gpu).__module__ == 'cupy', f'{type(on_gpu)} is not on the GPU'
        assert on_gpu.shape == expected.shape
        # only switches, which are integers, may have another width
        if on_gpu.dtype.kind not in 'iu' or expected.dtype.kind not in 'iu':
            assert on_gpu.dtype == expected.dtype, f'{on_gpu.dtype} instead of {expected.dtype}'
        assert_close(on_gpu.get(), expected, tol if expected.dtype.kind == 'f' else 0)
    else:
        assert type(on_gpu) is type(expected) and on_gpu == expected


def assert_close(a, b, tol):
    error = np.max(np.abs(np.subtract(a, b, dtype='float64')), initial=0)
    rms = np.mean(np.square(b, dtype='float64')) ** .5
    assert error <= tol * max(1, rms), f'differs by {error:.3g}'


def allowed_transfers(sample, implementation):
    """How often this sample's op may exchange data with the host, forward and backward."""
    if sample.op == 'dropout' and sample.kwargs.get('train'):
        return OF_DROPOUT
    uses_kernel = implementation == 'kernels' and find_kernel(
        sample.op, False, *sample.args, **sample.kwargs)
    return NOTHING if uses_kernel else OF_REFERENCE.get(sample.op, NOTHING)


def transfers(stats):
    return stats.uploads, stats.downloads, stats.synchronisations


def forward_backward(sample, dy):
    """-> y, cache, the new running statistics, the gradients"""
    y, cache, *state = forward(sample)
    return y, cache, state, backward(sample, dy, cache)


def reference_results(sample):
    """Of the reference on NumPy: -> dy, (y, cache, new running statistics, gradients)"""
    with reference_only():
        dy = some_dy(forward(sample)[0])
        return dy, forward_backward(sample, dy)


def check(cupy, sample, dy, expected, implementation):
    """The sample on the GPU gives the expected results with no more transfers than allowed."""
    on_gpu = changed(sample, cupy.asarray)
    gpu_dy = cupy.asarray(dy) if dy.shape else dy
    cupy.stats.reset()
    with IMPLEMENTATIONS[implementation]():
        results = forward_backward(on_gpu, gpu_dy)
    counted = transfers(cupy.stats)
    tol = rounding(sample, expected[0]) if sample.args[0].dtype == 'float32' else 1e-12
    assert_alike(results, expected, tol)
    allowed = allowed_transfers(on_gpu, implementation)
    assert counted == allowed, 'uploads, downloads, synchronisations'


# ---- The table

@pytest.mark.parametrize('implementation', IMPLEMENTATIONS)
@pytest.mark.parametrize('dtype', ['float32', 'float64'])
@each_sample()
def test_an_op_on_the_gpu_agrees_with_the_host(cupy, sample, dtype, implementation):
    sample = cast(sample, dtype)
    check(cupy, sample, *reference_results(sample), implementation)


@pytest.mark.parametrize('kwargs', [{}, dict(stride=2, pad=1), dict(dilation=2), dict(groups=2)])
def test_the_matrix_of_a_convolution_is_built_on_the_gpu(cupy, kwargs):
    rng = np.random.default_rng(1)
    x = rng.standard_normal((1, 4, 7, 6))
    w = rng.standard_normal((2, 4 // kwargs.get('groups', 1), 3, 3))
    y, cache = ops.conv2d(x, w, **kwargs)
    m = ops.conv_matrix(cupy.asarray(w), x.shape[2:], **kwargs)
    assert_alike(m @ cupy.asarray(x).ravel(), y.ravel(), 1e-12)
    assert_alike(m.T @ cupy.asarray(y).ravel(), ops.conv2d.backward(y, cache)[0].ravel(), 1e-12)


# ---- Mixed arrays and transfers inside an op are found

MISTAKES = {
    'a NumPy array': (
        lambda x: np.maximum(x, np.zeros(x.shape, x.dtype)), TypeError, 'Unsupported type'),
    'a conversion to NumPy': (
        lambda x: np.maximum(np.asarray(x), 0), TypeError, 'Implicit conversion'),
    'a NumPy index': (
        lambda x: x[np.arange(len(x))], TypeError, 'Unsupported type'),
    'a result on the host': (
        lambda x: np.maximum(x.get(), 0), AssertionError, 'is not on the GPU'),
    'a detour over the host': (
        lambda x: sys.modules['cupy'].asarray(np.maximum(x.get(), 0)), AssertionError,
        'uploads, downloads, synchronisations'),
    'a condition on values': (
        lambda x: x.clip(0) if (x > 0).any() else 0 * x, AssertionError,
        'uploads, downloads, synchronisations'),
    'unwritten memory': (
        lambda x: sys.modules['cupy'].empty_like(x), AssertionError, 'differs by nan'),
    'a wider dtype': (
        lambda x: x.clip(0) * np.float64(1), AssertionError, 'float64 instead of float32'),
}


@pytest.mark.parametrize('relu, error, message', MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_inside_an_op_is_found(cupy, monkeypatch, relu, error, message):
    sample = cast(TABLE['relu-0'], 'float32')
    dy, expected = reference_results(sample)

    def planted(x):
        y = relu(x)
        return y, (y,)

    planted.backward = lambda dy, cache: (dy * cupy.asarray(cache[0] > 0),)
    monkeypatch.setattr(ops, 'relu', planted)
    with pytest.raises(error, match=message):
        check(cupy, sample, dy, expected, 'reference')
