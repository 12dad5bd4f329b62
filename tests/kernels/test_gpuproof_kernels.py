"""The very text of every .cu file against the readable bodies, without a GPU.

The table gpu_samples.py says what to run. A stand-in gets the strict arrays of strict_cupy.py, and
its kernels are what host_cuda.py makes of their text: threads forward, threads backward, under the
address and under the thread sanitizer. Then bugs are planted, and each has to be caught.
"""
from copy import deepcopy
from pathlib import Path

import cuda_emulator
import numpy as np
import pytest
from fake_cupy import lent
from gpu_samples import COARSE, MORE, ROWS, SMALL
from hypothesis import HealthCheck, given, settings, strategies as st
from samples import LAYOUTS, a_loss, a_pointwise, a_pool, a_take, changed, picks, relaid

from tinyfcn import ops
from tinyfcn.dispatch import reference_only
from tinyfcn.kernels.gpu import launch as gpu

pytestmark = pytest.mark.gpuproof

TOLERANCE = dict(float32=1e-5, float64=1e-12)       # of the largest: sums come in another order


@pytest.fixture(autouse=True, scope='module')
def every_road():
    cuda_emulator.compiler()
    with pytest.MonkeyPatch.context() as change:
        for room, name, value in SMALL:
            change.setattr(room, name, value)
        yield


# ---- Helpers

def through(value, change):
    """The same with every array changed, through all fields."""
    if isinstance(value, tuple):
        return tuple(through(each, change) for each in value)
    if isinstance(value, dict):
        return {key: through(each, change) for key, each in value.items()}
    return change(value)


def back(x):
    """From the card: as NumPy has it, and sparse matrices with their zeros."""
    return through(x, lambda v: back(v.toarray()) if hasattr(v, 'toarray')
                   else getattr(v, '_host', v))


def close(a, b, tol):
    """Equal in kind and, up to rounding, in value; what is no number is where it should be."""
    if isinstance(b, tuple):
        assert len(a) == len(b)
        for one, other in zip(a, b):
            close(one, other, tol)
    elif isinstance(b, np.ndarray | np.generic) and b.dtype.kind == 'f':
        assert (a.dtype, a.shape) == (b.dtype, b.shape)
        finite = np.isfinite(b)
        np.testing.assert_array_equal(a[~finite], b[~finite])
        apart, most = np.abs(a[finite] - b[finite]).max(initial=0), np.abs(b[finite]).max(initial=1)
        assert apart <= tol * most
    else:
        np.testing.assert_equal(a, b)


def single(sample, dtype='float32'):
    return changed(sample, lambda v: v.astype(dtype) if v.dtype.kind == 'f' else v)


def judge(sample, tol=TOLERANCE['float32']):
    """An op gives on the card what its bodies give here: values, what it wrote to, gradients."""
    op = getattr(ops, sample.op, None) or MORE[sample.op]
    with lent() as cupy:
        args, kwargs = through((sample.args, deepcopy(sample.kwargs)), lambda v: (
            cupy.asarray(v) if isinstance(v, np.ndarray) else v))
        got = op(*args, **kwargs)
        with reference_only():
            written = deepcopy(sample.args)
            true = op(*written, **deepcopy(sample.kwargs))
        close(back(args), written, tol if true is None else 0)
        if true is None:
            return
        close(back(got), back(true), tol)
        if sample.op != 'max_switches':                 # a position has no gradient
            dy = np.random.default_rng(1).standard_normal(true[0].shape)
            dy = dy.astype(true[0].dtype) if true[0].shape else 1.5
            with reference_only():
                grads = op.backward(dy, true[1])
            own = op.backward(cupy.asarray(dy) if true[0].shape else dy, got[1])
            close(back(own), grads, tol)


def tolerance(name, dtype='float32'):
    return COARSE[name] if name in COARSE and dtype == 'float32' else TOLERANCE[dtype]


# ---- Each against its body

@pytest.mark.parametrize('name', ROWS)
@settings(derandomize=True, max_examples=40, deadline=None, database=None,
          suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_a_kernel_gives_what_the_body_gives(name, data):
    def pick(lo, hi):
        return data.draw(st.integers(lo, hi))

    dtype, layout = ('float32', 'float64')[pick(0, 1)], pick(0, len(LAYOUTS))
    sample = single(ROWS[name](pick), dtype)
    if layout < len(LAYOUTS) and sample.op not in MORE:         # those are written in place
        sample = relaid(LAYOUTS[layout], sample)
    with cuda_emulator.running(order=('forward', 'reverse')[pick(0, 1)]), \
            pytest.MonkeyPatch.context() as change:
        change.setattr(gpu, 'BLOCKS', (1, 1 << 16)[pick(0, 1)])
        judge(sample, tolerance(name, dtype))


@pytest.mark.parametrize('sanitize', ['address', 'thread'])
@pytest.mark.parametrize('name', ROWS)
def test_a_kernel_keeps_to_its_arrays_and_its_own_outputs(name, sanitize):
    with cuda_emulator.running(sanitize=sanitize):
        judge(single(ROWS[name](picks(4))), tolerance(name))


def test_no_kernel_is_left_out():
    of = {}
    for name, draw in ROWS.items():
        cuda_emulator.launched.clear()
        for i in range(8):
            judge(single(draw(picks(i))), tolerance(name))
        of[name] = set(cuda_emulator.launched)
    assert all(of.values()), of                         # else a body ran, and no stand-in
    there = {kernel for path in gpu.FOLDER.glob('*.cu') for kernel in gpu.signatures(str(path))}
    assert set().union(*of.values()) == there


# ---- A label or a switch that points beside shows, though the host never looked

def test_a_label_that_is_no_class_makes_the_loss_no_number():
    with lent() as cupy:
        score, label = np.zeros((1, 3, 2, 2), 'float32'), np.array([[[0, 1], [7, 255]]])
        loss, dscore = ops.softmax_cross_entropy(cupy.asarray(score), cupy.asarray(label))
    assert np.isnan(back(loss))
    assert (np.isnan(back(dscore)) == [[[False, False], [True, False]]]).all()


def test_a_switch_beside_its_plane_takes_no_number():
    with lent() as cupy:
        x, switches = np.ones((1, 2, 2, 2), 'float32'), np.array([[[[0, 4]], [[-1, 3]]]])
        y, _ = ops.take(cupy.asarray(x), cupy.asarray(switches))
    np.testing.assert_array_equal(back(y), [[[[1, np.nan]], [[np.nan, 1]]]])


# ---- Planted bugs: file, old text, new text; what to run, how; what is said of it

HANGS_OVER = a_pool('max_pool', (5, 7), 2)
LOSS = a_loss((17, 19))                             # more pixels than a block has threads
BUGS = {
    'reads beyond the image': (
        'pool', 'left + kw < w ? left + kw : w;', 'left + kw;',
        HANGS_OVER, dict(sanitize='address'), 'heap-buffer-overflow'),
    'a later one of equals': (
        'pool', 'value > most ||', 'value >= most ||',
        HANGS_OVER._replace(args=(np.ones((1, 1, 5, 7)),)), {}, None),
    'no barrier before the sum': (                  # what one block misses the next one adds
        'loss', '= own;\n    __syncthreads();', '= own;', LOSS, dict(sanitize='thread'),
        'data race'),
    'no barrier within the sum': (
        'loss', '        __syncthreads();\n    }', '    }', LOSS, {}, None),
    'a barrier that some never reach': (
        'loss', 'held[threadIdx.x] = own;', 'if (threadIdx.x % 2) return;', LOSS, {},
        'wait at a barrier'),
    'another type than the guest gives': (
        'pool', 'const long long* switches,              // planes * windows',
        'const int* switches,                    // planes * windows',
        a_take((4, 5), (2, 3)), {}, 'take: switches is int64; this kernel reads int32'),
    'another size than the guest gives': (
        'pool', 'const REAL* x,                          // planes * pixels',
        'const REAL* x,                          // planes * windows',
        a_take((4, 5), (2, 3)), {}, 'take: x has 80 values'),
    'a value that nobody writes': (
        'pointwise', 'dx[i] = dy[i]', 'if (i) dx[i] = dy[i]',
        a_pointwise('relu', 2, 3, 4, 5), {}, None),
    'a value that two write': (
        'pointwise', 'dx[i] = dy[i]', 'dx[i / 2] = dy[i]',
        a_pointwise('relu', 2, 3, 4, 5), dict(sanitize='thread'), 'data race'),
    'waits for its neighbour': (
        'pointwise', 'dx[i] = dy[i]', 'dx[i] = (i ? 0 * dx[i - 1] : 0) + dy[i]',
        a_pointwise('relu', 2, 3, 4, 5), dict(order='reverse'), None),
}


@pytest.mark.parametrize('file, old, new, sample, kwargs, words', BUGS.values(), ids=BUGS)
def test_a_planted_bug_is_caught(file, old, new, sample, kwargs, words, tmp_path, monkeypatch):
    text = (gpu.FOLDER / f'{file}.cu').read_text('utf-8')
    assert text.count(old) == 1
    with cuda_emulator.running(**kwargs):
        judge(single(sample))                           # fine, until
    Path(tmp_path / f'{file}.cu').write_text(text.replace(old, new), 'utf-8')
    monkeypatch.setattr(gpu, 'FOLDER', tmp_path)
    with cuda_emulator.running(**kwargs), \
            pytest.raises((AssertionError, RuntimeError, TypeError, ValueError), match=words):
        judge(single(sample))
