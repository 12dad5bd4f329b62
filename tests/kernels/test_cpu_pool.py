"""Every CPU kernel but convolution, against its reference implementation.

Hypothesis chooses geometry, layout and values. A row is enough for a thread, so that several
threads share small images, and there are more and fewer channels than a vector has lanes.
"""
import multiprocessing
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from importlib import import_module
from inspect import signature

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from samples import LAYOUTS, PICKERS, Sample, changed, picks, relaid, with_gaps

from tinyfcn import ops, optim
from tinyfcn.dispatch import reference_only
from tinyfcn.kernels import registry
from tinyfcn.kernels.registry import find_kernel
from tinyfcn.ops.matrix import separable
from tinyfcn.ops.shape import crop_backward

images = pytest.importorskip('tinyfcn.kernels.cpu.images', exc_type=ImportError)
pool = pytest.importorskip('tinyfcn.kernels.cpu.pool', exc_type=ImportError)

OPS = ('max_pool max_switches avg_pool avg_pool_to upsample resize relu leaky_relu dropout crop '
       'local_response_norm batch_norm softmax_cross_entropy dice_loss').split()
SEPARABLE = 'avg_pool', 'avg_pool_to', 'upsample', 'resize'


@pytest.fixture(autouse=True, scope='module')
def small_blocks():
    with pytest.MonkeyPatch.context() as change:
        change.setenv('TINYFCN_THREADS', '2')
        change.setattr(images, 'MIN_VALUES', 1)
        change.setattr(registry, 'MIN_SIZE', 1)
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
    if (backward, 'numpy') in registry._kernels:
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
    if op == 'local_response_norm':
        sample.kwargs['beta'] = .75                     # the reference computes other powers
    if op == 'softmax_cross_entropy':
        sample.kwargs['label_smoothing'] = 0
    sample = with_more_channels(sample, pick(0, 1) * pick(0, 40))
    layout = pick(0, len(LAYOUTS))
    return relaid(LAYOUTS[layout], sample) if layout < len(LAYOUTS) else sample


def with_more_channels(sample, more):
    """The sample with this many channels added to its image, and to what it has for each."""
    x, *rest = sample.args
    if x.ndim != 4:
        return sample
    n, _, h, w = x.shape
    added = np.random.default_rng(more).integers(-8, 9, (n, more, h, w)).astype('float32') / 4
    if sample.op == 'batch_norm':
        rest = [np.resize(of_channel, x.shape[1] + more) for of_channel in rest]
    kwargs = dict(sample.kwargs)
    if kwargs.get('class_weight') is not None:
        kwargs['class_weight'] = np.resize(kwargs['class_weight'], x.shape[1] + more)
    return sample._replace(args=(np.concatenate([x, added], axis=1), *rest), kwargs=kwargs)


# ---- Each against its reference

@pytest.mark.parametrize('op', OPS)
@settings(derandomize=True, max_examples=300, deadline=None, database=None,
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
    check(sample)


def test_relu_overwrites_its_input_on_request():
    x = np.random.default_rng(1).standard_normal((2, 3, 5, 4), dtype='float32')
    assert kernel_for('relu', x, overwrite=True)
    assert kernel_for('relu', x.transpose(0, 3, 1, 2), overwrite=True)
    for relu in ops.relu, ops.relu.reference:
        for read in x.copy(), x.copy().transpose(0, 3, 1, 2), x.copy().transpose(0, 2, 3, 1):
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
    with pytest.raises(ValueError, match='size is 0: it must be at least 1'):
        ops.local_response_norm(x, size=0)
    y, cache = ops.max_pool(x, 2)
    with pytest.raises(ValueError, match='the shape of y'):
        ops.max_pool.backward(y[:, :, 1:], cache)


def test_the_loss_of_a_long_row():
    rng = np.random.default_rng(1)
    score = rng.standard_normal((1, 9, 2, 700)).astype('float32')
    check(Sample('softmax_cross_entropy', (score, rng.integers(0, 9, (1, 2, 700))), {}))


@pytest.mark.parametrize('spread', [0, 1000])
def test_the_variance_of_values_far_from_zero(spread):
    """Whether the rows are far from one another, too: no difference of two huge sums."""
    rng = np.random.default_rng(1)
    x = 1000 + rng.standard_normal((2, 3, 9, 700)) + spread * rng.standard_normal((2, 1, 9, 1))
    x = x.astype('float32')
    zero, one = np.zeros(3, 'float32'), np.ones(3, 'float32')
    *_, (mean, var) = kernel_for('batch_norm', x, one, zero, zero, zero, True, momentum=1.)(
        x, one, zero, zero, zero, True, momentum=1.)
    x = x.astype('float64')
    np.testing.assert_allclose(mean, x.mean((0, 2, 3)), rtol=1e-6)
    np.testing.assert_allclose(var, x.var((0, 2, 3), ddof=1), rtol=1e-5)


def test_the_loss_of_many_pixels_is_added_in_float64():
    score = np.zeros((1, 3, 97, 103), 'float32')
    loss, _ = ops.softmax_cross_entropy(score, np.ones((1, 97, 103), 'uint8'))
    np.testing.assert_allclose(loss, 97 * 103 * float(np.log(np.float32(3))), rtol=1e-9)


def test_a_small_variance_about_a_large_mean():
    """Means of rows that were rounded like their sums would differ by more than the pixels do."""
    rng = np.random.default_rng(1)
    x = (1000 + .01 * rng.standard_normal((2, 20, 30, 200))).astype('float32')
    zero = np.zeros(20, 'float32')
    args = x, zero + 1, zero, zero, zero
    _, _, (mean, var) = kernel_for('batch_norm', *args)(*args, train=True, momentum=1.)
    true = x.astype('float64')
    np.testing.assert_allclose(mean, true.mean((0, 2, 3)), rtol=1e-7)
    np.testing.assert_allclose(var, true.var((0, 2, 3), ddof=1), rtol=2e-4)


def test_switches_of_images_that_float32_cannot_number_are_left_to_the_reference(monkeypatch):
    x = np.ones((1, 2, 4, 5), 'float32')
    monkeypatch.setattr(pool, 'MAX_PIXELS', 20)
    assert find_kernel('max_switches', False, x, 2)
    monkeypatch.setattr(pool, 'MAX_PIXELS', 19)
    assert not find_kernel('max_switches', False, x, 2)


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


# ---- Threads

@pytest.mark.parametrize('op', OPS)
def test_the_bits_do_not_depend_on_the_number_of_threads(op, monkeypatch):
    for i in range(6):
        for name, _, args, kwargs in calls_with_kernels(supported_sample(op, picks(i, 5))):
            kernel = kernel_for(name, *args, **kwargs)
            results = []
            for count in 1, 2, 3, 5:
                monkeypatch.setenv('TINYFCN_THREADS', str(count))
                results.append(kernel(*args, **deepcopy(kwargs)))
            for result in results[1:]:
                assert_same_bits(result, results[0])


@pytest.mark.parametrize('op', OPS)
def test_a_thread_writes_no_row_of_another(op, monkeypatch):
    """Else it would matter which of them is first: here, the last."""
    monkeypatch.setenv('TINYFCN_THREADS', '5')
    for i in range(6):
        for name, _, args, kwargs in calls_with_kernels(supported_sample(op, picks(i, 5))):
            kernel = kernel_for(name, *args, **kwargs)
            expected = kernel(*args, **deepcopy(kwargs))
            with monkeypatch.context() as change:
                change.setattr(images, 'parallel', lambda function, parts: [
                    function(part) for part in reversed(parts)])
                assert_same_bits(kernel(*args, **deepcopy(kwargs)), expected)


def test_a_small_sum_of_a_large_array_is_worth_threads(monkeypatch):
    monkeypatch.setattr(images, 'MIN_VALUES', 1000)
    parts = []
    monkeypatch.setattr(images, 'parallel', lambda function, found: parts.extend(found))
    images.rows_in_parallel(None, [np.empty((2, 5, 20, 16), 'float32'),
                                   np.empty((2, 5, 1, 16), 'float32')])
    assert parts == [slice(0, 5), slice(5, 10)]


def assert_same_bits(a, b):
    if isinstance(a, tuple):
        for one, other in zip(a, b, strict=True):
            assert_same_bits(one, other)
    elif isinstance(a, np.ndarray | np.float64):
        assert a.tobytes() == b.tobytes()


def test_a_forked_child_has_threads_of_its_own_and_the_same_bits():
    calls = [(kernel_for(name, *args, **kwargs), args, kwargs) for op in OPS
             for name, _, args, kwargs in calls_with_kernels(supported_sample(op, picks(2, 5)))]
    results = [kernel(*args, **deepcopy(kwargs)) for kernel, args, kwargs in calls]

    def compare():
        for (kernel, args, kwargs), result in zip(calls, results):
            assert_same_bits(kernel(*args, **deepcopy(kwargs)), result)

    child = multiprocessing.get_context('fork').Process(target=compare)
    child.start()
    child.join(60)
    assert child.exitcode == 0


@pytest.mark.parametrize(
    'name', ['batch_norm', 'loss', 'norm', 'pointwise', 'pool', 'update', 'upsample'])
def test_a_loop_is_compiled_once_for_all_layouts(name):
    """In all tests of this process: for addresses, and for arrays that its kernel has made."""
    compiled = [f for f in vars(import_module(f'tinyfcn.kernels.cpu.{name}')).values()
                if hasattr(f, 'signatures')]
    loops = [f for f in compiled if {'stop', 'size'}.intersection(signature(f.py_func).parameters)]
    assert loops and all(len(loop.signatures) <= 1 for loop in loops)


# ---- The updates of the optimizers, which change their arguments

RATES = {'sgd_update': dict(lr=.01, momentum=.9, decay=5e-4, scale=.25),
         'adam_update': dict(lr=.01, betas=(.9, .999), eps=1e-3, decay=5e-4, scale=.25, t=3)}


@pytest.mark.parametrize('name', RATES)
@pytest.mark.parametrize('shape', [(1,), (2, 3, 5), (4, 16, 1, 1), (103, 5), (7, 3, 3, 3)])
def test_an_update_has_the_bits_of_its_reference(name, shape):
    rng = np.random.default_rng(1)
    update = getattr(optim, name)
    arrays = [rng.standard_normal(shape).astype('float32') for _ in update_arrays(name)]
    arrays[-1] = abs(arrays[-1])                        # a mean square
    kernel = kernel_for(name, *arrays, **RATES[name])
    expected = [a.copy() for a in arrays]
    update.reference(*expected, **RATES[name])
    gradient = arrays[1].copy()
    kernel(*arrays, **RATES[name])
    for a, b in zip(arrays, expected):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(arrays[1], gradient)


@pytest.mark.parametrize('name', RATES)
def test_an_update_of_views_with_gaps_is_left_to_the_reference(name):
    arrays = [with_gaps(np.ones((4, 6), 'float32')) for _ in update_arrays(name)]
    assert find_kernel(name, False, *arrays, **RATES[name]) is None


def update_arrays(name):
    return ('w', 'g', 'v') if name == 'sgd_update' else ('w', 'g', 'm', 's')
