"""The vectors that the loops compute with, and that no loop leaves its arrays."""
import ctypes
import faulthandler
import mmap
import os
from copy import deepcopy

import numpy as np
import pytest
from samples import channels_last, picks, relaid
from test_cpu_pool import (
    OPS,
    RATES,
    calls_with_kernels,
    kernel_for,
    supported_sample,
    update_arrays,
)

from tinyfcn.kernels import registry
from tinyfcn.kernels.cpu import vec
from tinyfcn.kernels.cpu.jit import compiled
from tinyfcn.kernels.cpu.simd import LANES


@compiled
def exp_of_each(x, y, count):
    for i in range(0, count, LANES):
        vec.store(y + 4 * i, count - i, vec.exp(vec.load(x + 4 * i, count - i)))


@compiled
def reduce(x, results):
    """The sum, the largest, and how many of the first three lanes there are."""
    v = vec.load(x, LANES)
    results[0] = vec.total(v)
    results[1] = vec.largest(v)
    results[2] = vec.total(vec.where(vec.first_lanes(3), vec.full(vec.ONE), vec.full(vec.ZERO)))


def exp(x):
    y = np.empty_like(x)
    exp_of_each(x.ctypes.data, y.ctypes.data, x.size)
    return y


def test_exp_is_right_to_two_units_in_the_last_place():
    x = np.linspace(-87, 88, 100_003, dtype='float32')
    true = np.exp(x.astype('float64'))
    ulp = np.spacing(true.astype('float32'))
    assert (abs(exp(x) - true) / ulp).max() <= 2


def test_exp_at_its_ends():
    x = np.array([0, -0., -87.5, -1e6, -np.inf, np.nan], 'float32')
    np.testing.assert_array_equal(exp(x), np.array([1, 1, 0, 0, 0, np.nan], 'float32'))


def test_all_lanes_to_one_number():
    results = np.empty(3, 'float32')
    x = np.arange(LANES, dtype='float32') - 3
    reduce(x.ctypes.data, results)
    assert results.tolist() == [x.sum(), x.max(), 3]


# ---- Arrays that end where a page begins that cannot be read or written

PAGE = mmap.PAGESIZE


def guarded(shape, dtype, at_end):
    """Uninitialised memory with a forbidden page behind it (or, at_end=False, before it)."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    pages = -(-size // PAGE) + 2
    memory = mmap.mmap(-1, pages * PAGE)
    start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    for page in 0, pages - 1:
        assert libc.mprotect(ctypes.c_void_p(start + page * PAGE), PAGE, 0) == 0
    offset = (pages - 1) * PAGE - size if at_end else PAGE
    return np.frombuffer(memory, dtype, int(np.prod(shape)), offset).reshape(shape)


libc = ctypes.CDLL(None, use_errno=True)


def in_a_child(function):
    """Call it in a fork of this process. -> its exit code, or minus the signal that ended it"""
    child = os.fork()
    if not child:
        faulthandler.disable()
        code = 1
        try:
            function()
            code = 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def guarded_copy(x, at_end):
    """A copy in the same order of memory."""
    order = sorted(range(x.ndim), key=lambda axis: -abs(x.strides[axis]))
    y = guarded([x.shape[axis] for axis in order], x.dtype, at_end).transpose(np.argsort(order))
    y[...] = x
    return y


def guarded_value(value, at_end):
    if isinstance(value, tuple):
        return tuple(guarded_value(v, at_end) for v in value)
    return guarded_copy(value, at_end) if isinstance(value, np.ndarray) else value


def run_guarded(kernel, args, kwargs, at_end):
    with pytest.MonkeyPatch.context() as change:
        args = guarded_value(args, at_end)
        # results are guarded too
        change.setattr(np, 'empty', lambda shape, dtype=float: guarded(shape, dtype, at_end))
        kernel(*args, **deepcopy(kwargs))


@pytest.mark.skipif(not hasattr(os, 'fork'), reason='pages are protected in a forked process')
@pytest.mark.parametrize('at_end', [True, False])
@pytest.mark.parametrize('op', [*OPS, *RATES])
def test_no_loop_leaves_its_arrays(op, at_end, monkeypatch):
    monkeypatch.setenv('TINYFCN_THREADS', '1')
    monkeypatch.setattr(registry, 'MIN_SIZE', 1)
    calls = [call for i in range(24) for call in sample_calls(op, i)]
    for kernel, args, kwargs in calls:                  # compiled before the fork
        kernel(*deepcopy(args), **deepcopy(kwargs))
    assert in_a_child(lambda: [run_guarded(*call, at_end) for call in calls]) == 0


def sample_calls(op, number):
    if op in RATES:
        arrays = tuple(np.ones(5 * number + 3, 'float32') for _ in update_arrays(op))
        yield kernel_for(op, *arrays, **RATES[op]), arrays, RATES[op]
        return
    sample = supported_sample(op, picks(number, 7))
    if number == 0 and op in ('max_pool', 'max_switches'):      # each pixel is a window's first
        x = np.ones((1, LANES + 1, 2, 3), 'float32')
        sample = sample._replace(args=(x,), kwargs=dict(ksize=1))
    sample = relaid(channels_last, sample)
    for name, _, args, kwargs in calls_with_kernels(sample):
        yield kernel_for(name, *args, **kwargs), args, kwargs


@pytest.mark.skipif(not hasattr(os, 'fork'), reason='pages are protected in a forked process')
def test_the_guard_page_notices_one_float_too_many():
    x = guarded((3,), 'float32', at_end=True)
    y = np.empty(3, 'float32')
    assert in_a_child(lambda: exp_of_each(x.ctypes.data, y.ctypes.data, 3)) == 0
    assert in_a_child(lambda: exp_of_each(x.ctypes.data, y.ctypes.data, 4)) < 0
