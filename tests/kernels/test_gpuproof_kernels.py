"""Every kernel of every .cu file against the reference implementations, without a GPU.

gpu_samples.py says what to run. Arrays are those of fake_cupy, and cuda_emulator.py compiles and
runs the kernels: threads in order, threads in reverse, with the address and the thread sanitizer.
Then bugs are planted, and each must be caught.
"""
from copy import deepcopy
from pathlib import Path

import cuda_emulator
import numpy as np
import pytest
from fake_cupy import use_fake_cupy
from gpu_samples import MORE_OPS, ROUGH_TOLERANCE, SAMPLERS, SMALL_THRESHOLDS
from hypothesis import HealthCheck, given, settings, strategies as st
from samples import LAYOUTS, a_loss, a_pointwise, a_pool, a_take, changed, picks, relaid

from tinyfcn import ops
from tinyfcn.dispatch import reference_only
from tinyfcn.kernels.gpu import launch

pytestmark = pytest.mark.gpuproof

# of the largest value: sums are in another order
TOLERANCE = dict(float32=1e-5, float64=1e-12)


@pytest.fixture(autouse=True, scope='module')
def small_thresholds():
    cuda_emulator.require_compiler()
    with pytest.MonkeyPatch.context() as change:
        for module, name, value in SMALL_THRESHOLDS:
            change.setattr(module, name, value)
        yield


# ---- Helpers

def map_arrays(value, change):
    """The same tuples and dicts, with change(x) in place of every other value."""
    if isinstance(value, tuple):
        return tuple(map_arrays(each, change) for each in value)
    if isinstance(value, dict):
        return {key: map_arrays(each, change) for key, each in value.items()}
    return change(value)


def download(x):
    """The same in NumPy arrays; sparse matrices become dense ones."""
    def to_numpy(value):
        if hasattr(value, 'toarray'):
            return download(value.toarray())
        return getattr(value, '_host', value)

    return map_arrays(x, to_numpy)


def assert_close(a, b, tol):
    """Equal in type and, up to rounding, in value; NaN and ∞ at the same places."""
    if isinstance(b, tuple):
        assert len(a) == len(b)
        for one, other in zip(a, b):
            assert_close(one, other, tol)
    elif isinstance(b, np.ndarray | np.generic) and b.dtype.kind == 'f':
        assert (a.dtype, a.shape) == (b.dtype, b.shape)
        finite = np.isfinite(b)
        np.testing.assert_array_equal(a[~finite], b[~finite])
        difference = np.abs(a[finite] - b[finite]).max(initial=0)
        assert difference <= tol * np.abs(b[finite]).max(initial=1)
    else:
        np.testing.assert_equal(a, b)


def single(sample, dtype='float32'):
    return changed(sample, lambda v: v.astype(dtype) if v.dtype.kind == 'f' else v)


def check(sample, tol=TOLERANCE['float32']):
    """An op on the GPU agrees with its reference: values, arrays written in place, gradients."""
    op = getattr(ops, sample.op, None) or MORE_OPS[sample.op]
    with use_fake_cupy() as cupy:
        def upload(value):
            return cupy.asarray(value) if isinstance(value, np.ndarray) else value

        args, kwargs = map_arrays((sample.args, deepcopy(sample.kwargs)), upload)
        result = op(*args, **kwargs)
        with reference_only():
            true_args = deepcopy(sample.args)
            true_result = op(*true_args, **deepcopy(sample.kwargs))
        writes_in_place = true_result is None
        assert_close(download(args), true_args, tol if writes_in_place else 0)
        if writes_in_place:
            return
        assert_close(download(result), download(true_result), tol)
        if sample.op == 'max_switches':                 # positions have no gradient
            return

        true_y, true_cache, *_ = true_result
        dy = np.random.default_rng(1).standard_normal(true_y.shape)
        dy = dy.astype(true_y.dtype) if true_y.shape else 1.5
        with reference_only():
            true_grads = op.backward(dy, true_cache)
        grads = op.backward(upload(dy), result[1])
        assert_close(download(grads), true_grads, tol)


def tolerance(name, dtype='float32'):
    if dtype == 'float32' and name in ROUGH_TOLERANCE:
        return ROUGH_TOLERANCE[name]
    return TOLERANCE[dtype]


# ---- Each against its reference

@pytest.mark.parametrize('name', SAMPLERS)
@settings(derandomize=True, max_examples=40, deadline=None, database=None,
          suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_a_kernel_agrees_with_its_reference(name, data):
    def pick(lo, hi):
        return data.draw(st.integers(lo, hi))

    dtype, layout = ('float32', 'float64')[pick(0, 1)], pick(0, len(LAYOUTS))
    sample = single(SAMPLERS[name](pick), dtype)
    if layout < len(LAYOUTS) and sample.op not in MORE_OPS:         # those are written in place
        sample = relaid(LAYOUTS[layout], sample)
    with cuda_emulator.emulate(order=('forward', 'reverse')[pick(0, 1)]), \
            pytest.MonkeyPatch.context() as change:
        change.setattr(launch, 'MAX_BLOCKS', (1, 1 << 16)[pick(0, 1)])
        check(sample, tolerance(name, dtype))


@pytest.mark.parametrize('sanitize', ['address', 'thread'])
@pytest.mark.parametrize('name', SAMPLERS)
def test_the_sanitizers_find_nothing(name, sanitize):
    with cuda_emulator.emulate(sanitize=sanitize):
        check(single(SAMPLERS[name](picks(4))), tolerance(name))


def test_no_kernel_is_left_out():
    launched = {}
    for name, sampler in SAMPLERS.items():
        cuda_emulator.launched.clear()
        for i in range(8):
            check(single(sampler(picks(i))), tolerance(name))
        launched[name] = set(cuda_emulator.launched)
    assert all(launched.values()), launched             # else only the reference ran
    all_kernels = {kernel for path in launch.FOLDER.glob('*.cu')
                   for kernel in launch.signatures(str(path))}
    assert set().union(*launched.values()) == all_kernels


# ---- An invalid label or switch is visible in the result, though the host does not check it

def test_a_label_that_is_not_a_class_makes_the_loss_nan():
    with use_fake_cupy() as cupy:
        score, label = np.zeros((1, 3, 2, 2), 'float32'), np.array([[[0, 1], [7, 255]]])
        loss, dscore = ops.softmax_cross_entropy(cupy.asarray(score), cupy.asarray(label))
    assert np.isnan(download(loss))
    assert (np.isnan(download(dscore)) == [[[False, False], [True, False]]]).all()


def test_a_switch_outside_its_plane_takes_nan():
    with use_fake_cupy() as cupy:
        x, switches = np.ones((1, 2, 2, 2), 'float32'), np.array([[[[0, 4]], [[-1, 3]]]])
        y, _ = ops.take(cupy.asarray(x), cupy.asarray(switches))
    np.testing.assert_array_equal(download(y), [[[[1, np.nan]], [[np.nan, 1]]]])


# ---- Planted bugs: file, old code, new code; the sample to run, how; a part of the message

OVERHANGING = a_pool('max_pool', (5, 7), 2)
LOSS = a_loss((17, 19))                             # more pixels than threads in a block
BUGS = {
    'a read outside the image': (
        'pool', 'left + kw < w ? left + kw : w;', 'left + kw;',
        OVERHANGING, dict(sanitize='address'), 'heap-buffer-overflow'),
    'the last of equal pixels': (
        'pool', 'value > best ||', 'value >= best ||',
        OVERHANGING._replace(args=(np.ones((1, 1, 5, 7)),)), {}, None),
    'no barrier before the sum': (                  # right results, but a race
        'loss', '= own;\n    __syncthreads();', '= own;', LOSS, dict(sanitize='thread'),
        'data race'),
    'no barrier within the sum': (
        'loss', '        __syncthreads();\n    }', '    }', LOSS, {}, None),
    'a barrier that some threads never reach': (
        'loss', 'shared[threadIdx.x] = own;', 'if (threadIdx.x % 2) return;', LOSS, {},
        'wait at a barrier'),
    'another type than the caller passes': (
        'pool', 'const long long* switches,              // planes * windows',
        'const int* switches,                    // planes * windows',
        a_take((4, 5), (2, 3)), {}, 'take: switches is int64; this kernel reads int32'),
    'another size than the caller passes': (
        'pool', 'const REAL* x,                          // planes * pixels',
        'const REAL* x,                          // planes * windows',
        a_take((4, 5), (2, 3)), {}, 'take: x has 80 values'),
    'a value that no thread writes': (
        'pointwise', 'dx[i] = dy[i]', 'if (i) dx[i] = dy[i]',
        a_pointwise('relu', 2, 3, 4, 5), {}, None),
    'a value that two threads write': (
        'pointwise', 'dx[i] = dy[i]', 'dx[i / 2] = dy[i]',
        a_pointwise('relu', 2, 3, 4, 5), dict(sanitize='thread'), 'data race'),
    'a thread that reads its neighbour\'s result': (
        'pointwise', 'dx[i] = dy[i]', 'dx[i] = (i ? 0 * dx[i - 1] : 0) + dy[i]',
        a_pointwise('relu', 2, 3, 4, 5), dict(order='reverse'), None),
}


@pytest.mark.parametrize('file, old, new, sample, kwargs, message', BUGS.values(), ids=BUGS)
def test_a_planted_bug_is_caught(file, old, new, sample, kwargs, message, tmp_path, monkeypatch):
    code = (launch.FOLDER / f'{file}.cu').read_text('utf-8')
    assert code.count(old) == 1
    with cuda_emulator.emulate(**kwargs):
        check(single(sample))                           # passes before the bug is planted
    Path(tmp_path / f'{file}.cu').write_text(code.replace(old, new), 'utf-8')
    monkeypatch.setattr(launch, 'FOLDER', tmp_path)
    with cuda_emulator.emulate(**kwargs), \
            pytest.raises((AssertionError, RuntimeError, TypeError, ValueError), match=message):
        check(single(sample))
