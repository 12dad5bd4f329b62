"""Stand-ins for all but convolution, against the bodies they stand in for.

Geometry, layout and values are hypothesis' choice. Blocks of a few values, so that small images
have many and several threads share them.
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
from tinyfcn.kernels.cpu import (
    blocking as rows,
    loss,
    max_switches as switches,
    pointwise,
    pool,
    upsample,
)
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
        for module in pool, switches, loss, pointwise:
            change.setattr(module, 'BLOCK', 8)
        change.setattr(pointwise, 'LARGE', 1)
        change.setattr(rows, 'CHEAP', 1)
        change.setattr(upsample, 'BAND', 2)
        yield


# ---- Helpers

def single(sample):
    return changed(sample, lambda v: v.astype('float32') if v.dtype.kind == 'f' else v)


def stand_in(op, *args, **kwargs):
    found = find_kernel(op, False, *args, **kwargs)
    assert found, f'nothing stands in for {op}'
    return found


def forward(sample, found):
    """What was found runs; an rng among `how` starts anew."""
    return found(*sample.args, **deepcopy(sample.kwargs))


def compared(sample):
    """-> (name, stand-in, body, args, how) of all that the kitchen does of this op."""
    with reference_only():
        y, cache, *_ = forward(sample, getattr(ops, sample.op))
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
    back = f'{sample.op}_backward'
    if any(back == name for name, _ in registry._kernels):
        yield back, getattr(ops, sample.op).backward, (dy, cache), {}


def close(a, b, tol=2e-6):
    """Equal in kind and, up to float32's rounding of a short sum, in value; through all fields."""
    if isinstance(b, tuple):
        assert len(a) == len(b)
        for one, other in zip(a, b):
            close(one, other, tol)
    elif hasattr(b, 'toarray'):
        close(a.toarray(), b.toarray(), 0)
    elif isinstance(b, np.ndarray) and b.dtype.kind == 'f':
        assert a.shape == b.shape and a.dtype == b.dtype
        finite = np.isfinite(b)
        np.testing.assert_array_equal(a[~finite], b[~finite])
        apart, most = np.abs(a[finite] - b[finite]).max(initial=0), np.abs(b[finite]).max(initial=1)
        assert apart <= tol * most
    elif isinstance(b, np.ndarray | np.float64):
        np.testing.assert_allclose(a, b, rtol=tol)
    else:
        assert a == b


def judge(sample):
    for called in compared(sample):
        judged(*called)


def judged(name, body, args, kwargs):
    with reference_only():
        true = body(*args, **deepcopy(kwargs))
    before = [a.tobytes() for a in args if isinstance(a, np.ndarray)]
    for a in args:
        if isinstance(a, np.ndarray):
            a.flags.writeable = False
    found = stand_in(name, *args, **kwargs)
    once, twice = (found(*args, **deepcopy(kwargs)) for _ in range(2))
    close(once, true)
    close(once, twice, 0)
    assert [a.tobytes() for a in args if isinstance(a, np.ndarray)] == before


def mine(op, pick):
    """A sample that suits: what does not is left to the body, and to test_ops.py."""
    sample = single(PICKERS[op](pick))
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
        sample = sample._replace(kwargs={key: value for key, value in sample.kwargs.items()
                                      if not key.endswith('weight')})
    layout = pick(0, len(LAYOUTS))
    return relaid(LAYOUTS[layout], sample) if layout < len(LAYOUTS) else sample


# ---- Each against its body

@pytest.mark.parametrize('op', OPS)
@settings(derandomize=True, max_examples=150, deadline=None, database=None,
          suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_a_stand_in_gives_what_the_body_gives(op, data):
    judge(mine(op, lambda lo, hi: data.draw(st.integers(lo, hi))))


@pytest.mark.parametrize('op', OPS)
def test_float64_is_left_to_the_body(op):
    sample = mine(op, picks(1))
    for name, _, args, kwargs in compared(sample):
        twice = [a.astype('float64') if isinstance(a, np.ndarray) and a.dtype.kind == 'f' else a
                 for a in args]
        assert find_kernel(name, False, *twice, **kwargs) is None


@pytest.mark.parametrize('op', ['max_pool', 'max_switches'])
@pytest.mark.parametrize('bad', [np.nan, -np.inf, np.inf])
@pytest.mark.parametrize('ksize, stride, pad', [(2, 2, 0), (3, 2, 0), (3, 1, 1)])
def test_a_pool_of_what_is_no_number(op, bad, ksize, stride, pad):
    """NaN is larger than all, and the first counts; the first −∞ of a window may be padding."""
    rng = np.random.default_rng(1)
    x = rng.integers(-1, 2, (2, 3, 9, 8)).astype('float32')
    x[rng.random(x.shape) < .8] = bad
    kwargs = dict(ksize=ksize, stride=stride, pad=pad)
    sample = PICKERS[op](picks(1))._replace(args=(x,), kwargs=kwargs)
    forward, *backward = compared(sample)
    judged(*forward)
    for name, body, args, kwargs in backward:
        _, largest, _ = args[1]
        if not largest.min() > -np.inf:                 # the body alone knows which was first
            assert find_kernel(name, False, *args, **kwargs) is None
        else:
            judged(name, body, args, kwargs)


def test_relu_overwrites_what_it_is_told_to():
    x = np.random.default_rng(1).standard_normal((2, 3, 5, 4), dtype='float32')
    for body in stand_in('relu', x), ops.relu.reference:
        for read in x.copy(), x.copy().transpose(0, 2, 3, 1):
            y, (cached,) = body(read, overwrite=True)
            assert cached is y and np.shares_memory(y, read) and y.strides == read.strides
            np.testing.assert_array_equal(np.sort(y, None), np.sort(np.maximum(x, 0), None))


def test_what_does_not_suit_is_refused_by_the_body():
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
    samples = [mine(op, picks(i, 3)) for op in OPS for i in range(4)]
    calls = [(stand_in(name, *args, **kwargs), args, kwargs)
             for sample in samples for name, _, args, kwargs in compared(sample)]

    def run(call):
        found, args, kwargs = call
        return found(*args, **deepcopy(kwargs))

    alone = [run(call) for call in calls]
    with ThreadPoolExecutor(4) as threads:
        for _ in range(3):
            for ours, true in zip(threads.map(run, calls), alone):
                close(ours, true, 0)
