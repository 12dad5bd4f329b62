"""Every CPU kernel but convolution, against its reference implementation.

Hypothesis chooses geometry, layout and values. Blocks have a few values, so that small images have
many of them and several threads share the work.
"""
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from samples import LAYOUTS, PICKERS, changed, picks, relaid

from tinyfcn import ops
from tinyfcn.dispatch import reference_only
from tinyfcn.kernels import registry
from tinyfcn.kernels.cpu import blocking, loss, max_switches, pointwise, pool, upsample
from tinyfcn.kernels.registry import find_kernel
from tinyfcn.ops.matrix import separable
from tinyfcn.ops.shape import crop_backward

OPS = ('max_pool max_switches avg_pool avg_pool_to upsample resize relu dropout crop '
       'local_response_norm softmax_cross_entropy').split()
SEPARABLE = 'avg_pool', 'avg_pool_to', 'upsample', 'resize'


@pytest.fixture(autouse=True, scope='module')
def small_blocks():
    with pytest.MonkeyPatch.context() as change:
        change.setenv('TINYFCN_THREADS', '2')
        for module in pool, max_switches, loss, pointwise:
            change.setattr(module, 'BLOCK', 8)
        change.setattr(pointwise, 'MIN_SIZE', 1)
        change.setattr(blocking, 'MIN_WORK', 1)
        change.setattr(upsample, 'BAND', 2)
        yield


# ---- Helpers

def to_float32(sample):
    return changed(sample, lambda v: v.astype('float32') if v.dtype.kind == 'f' else v)


def kernel_for(op, *args, **kwargs):
    found = find_kernel(op, False, *args, **kwargs)
    assert found, f'there is no kernel for {op}'
    return found


def calls_with_kernels(sample):
    """-> (name, op, args, kwargs) of each call in this op, forward and back, that has a kernel."""
    with reference_only():
        op = getattr(ops, sample.op)
        y, cache, *_ = op(*sample.args, **deepcopy(sample.kwargs))      # each run draws anew
    dy = np.random.default_rng(1).standard_normal(np.shape(y)).astype('float32')
    if sample.op in SEPARABLE:
        _, rows, columns = cache
        yield 'separable', separable, (sample.args[0], rows, columns), {}
        yield 'separable', separable, (dy, rows.T, columns.T), {}
        return
    if sample.op == 'crop':
        yield 'crop_backward', crop_backward, (dy, cache), {}
        return
    yield sample.op, getattr(ops, sample.op), sample.args, sample.kwargs
    backward = f'{sample.op}_backward'
    if any(backward == name for name, _ in registry._kernels):
        yield backward, getattr(ops, sample.op).backward, (dy, cache), {}


def assert_close(a, b, tol=2e-6):
    """Equal in type and, up to float32's rounding of a short sum, in value; in every field."""
    if isinstance(b, tuple):
        assert len(a) == len(b)
        for one, other in zip(a, b):
            assert_close(one, other, tol)
    elif hasattr(b, 'toarray'):
        assert_close(a.toarray(), b.toarray(), 0)
    elif isinstance(b, np.ndarray) and b.dtype.kind == 'f':
        assert a.shape == b.shape and a.dtype == b.dtype
        finite = np.isfinite(b)
        np.testing.assert_array_equal(a[~finite], b[~finite])
        difference = np.abs(a[finite] - b[finite]).max(initial=0)
        assert difference <= tol * np.abs(b[finite]).max(initial=1)
    elif isinstance(b, np.ndarray | np.float64):
        np.testing.assert_allclose(a, b, rtol=tol)
    else:
        assert a == b


def check(sample):
    for call in calls_with_kernels(sample):
        check_call(*call)


def check_call(name, op, args, kwargs):
    """The kernel gives what the reference gives, twice the same bits, and changes no argument."""
    with reference_only():
        expected = op(*args, **deepcopy(kwargs))
    before = [a.tobytes() for a in args if isinstance(a, np.ndarray)]
    for a in args:
        if isinstance(a, np.ndarray):
            a.flags.writeable = False
    kernel = kernel_for(name, *args, **kwargs)
    first, second = (kernel(*args, **deepcopy(kwargs)) for _ in range(2))
    assert_close(first, expected)
    assert_close(first, second, 0)
    assert [a.tobytes() for a in args if isinstance(a, np.ndarray)] == before


def supported_sample(op, pick):
    """A sample that the kernel accepts; test_ops.py covers what is left to the reference."""
    sample = to_float32(PICKERS[op](pick))
    if op in ('max_pool', 'max_switches'):
        ksize, kwargs = (pick(1, 3), pick(1, 3)), dict(ceil=bool(pick(0, 1)))
        stride = (None, 2, (1, 2), 3)[pick(0, 3)]
        pad = tuple(pick(0, k - 1) for k in ksize)
        size = tuple(k + pick(0, 6) for k in ksize)
        values = np.random.default_rng(pick(0, 9999)).integers(-2, 3, (2, pick(1, 3), *size))
        sample = sample._replace(args=(values.astype('float32'),),          # with many ties
                                 kwargs=dict(kwargs, ksize=ksize, stride=stride, pad=pad))
    if op == 'dropout':
        sample.kwargs['train'] = True
    if op == 'softmax_cross_entropy':
        reduce = 'mean' if sample.kwargs['reduce'] == 'mean' else 'sum'
        sample = sample._replace(kwargs=dict(ignore=sample.kwargs['ignore'], reduce=reduce))
    layout = pick(0, len(LAYOUTS))
    return relaid(LAYOUTS[layout], sample) if layout < len(LAYOUTS) else sample


# ---- Each against its reference

@pytest.mark.parametrize('op', OPS)
@settings(derandomize=True, max_examples=150, deadline=None, database=None,
          suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_a_kernel_agrees_with_its_reference(op, data):
    check(supported_sample(op, lambda lo, hi: data.draw(st.integers(lo, hi))))


@pytest.mark.parametrize('op', OPS)
def test_float64_is_left_to_the_reference(op):
    sample = supported_sample(op, picks(1))
    for name, _, args, kwargs in calls_with_kernels(sample):
        doubles = [a.astype('float64') if isinstance(a, np.ndarray) and a.dtype.kind == 'f' else a
                   for a in args]
        assert find_kernel(name, False, *doubles, **kwargs) is None


@pytest.mark.parametrize('op', ['max_pool', 'max_switches'])
@pytest.mark.parametrize('bad', [np.nan, -np.inf, np.inf])
@pytest.mark.parametrize('ksize, stride, pad', [(2, 2, 0), (3, 2, 0), (3, 1, 1)])
def test_a_pool_of_nan_and_infinity(op, bad, ksize, stride, pad):
    """NaN is larger than all numbers, and the first wins; a window's first −∞ may be padding."""
    rng = np.random.default_rng(1)
    x = rng.integers(-1, 2, (2, 3, 9, 8)).astype('float32')
    x[rng.random(x.shape) < .8] = bad
    kwargs = dict(ksize=ksize, stride=stride, pad=pad)
    sample = PICKERS[op](picks(1))._replace(args=(x,), kwargs=kwargs)
    forward, *backward = calls_with_kernels(sample)
    check_call(*forward)
    for name, op, args, kwargs in backward:
        _, largest, _ = args[1]
        if not largest.min() > -np.inf:                 # only the reference knows which was first
            assert find_kernel(name, False, *args, **kwargs) is None
        else:
            check_call(name, op, args, kwargs)


def test_relu_overwrites_its_input_on_request():
    x = np.random.default_rng(1).standard_normal((2, 3, 5, 4), dtype='float32')
    for relu in kernel_for('relu', x), ops.relu.reference:
        for read in x.copy(), x.copy().transpose(0, 2, 3, 1):
            y, (cached,) = relu(read, overwrite=True)
            assert cached is y and np.shares_memory(y, read) and y.strides == read.strides
            np.testing.assert_array_equal(np.sort(y, None), np.sort(np.maximum(x, 0), None))


def test_invalid_arguments_are_rejected_by_the_reference():
    x, label = np.ones((1, 2, 4, 4), 'float32'), np.ones((1, 4, 4), 'uint8')
    label[0, 2, 3] = 7
    with pytest.raises(ValueError, match='label 7 at row 2, column 3'):
        ops.softmax_cross_entropy(x, label)
    with pytest.raises(ValueError, match='does not fit into an image of 2×4'):
        ops.max_pool(x[:, :, :2], 3, ceil=False)
    y, cache = ops.max_pool(x, 2)
    with pytest.raises(ValueError, match='the shape of y'):
        ops.max_pool.backward(y[:, :, 1:], cache)


def test_four_threads_at_once():
    samples = [supported_sample(op, picks(i, 3)) for op in OPS for i in range(4)]
    calls = [(kernel_for(name, *args, **kwargs), args, kwargs)
             for sample in samples for name, _, args, kwargs in calls_with_kernels(sample)]

    def run(call):
        kernel, args, kwargs = call
        return kernel(*args, **deepcopy(kwargs))

    expected = [run(call) for call in calls]
    with ThreadPoolExecutor(4) as threads:
        for _ in range(3):
            for result, same in zip(threads.map(run, calls), expected):
                assert_close(result, same, 0)
