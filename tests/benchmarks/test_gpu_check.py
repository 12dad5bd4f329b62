"""tests/gpu_check.py and parts of the benchmarks on the real CuPy, over the stand-in driver.

So on a GPU they will run to their end and report what is wrong. These tests say nothing about the
rounding and the speed of a GPU.
"""
import sys
from pathlib import Path
from time import monotonic

import gpu_check
import numpy as np
import pytest
from gpu_run_data import write_data
from samples import TABLE

from tinyfcn.runtime.gpu import to_gpu

sys.path.append(str(Path(__file__).parents[2] / 'benchmarks'))
with pytest.MonkeyPatch.context() as patch:             # the benchmarks use two; tests need one
    patch.setenv('TINYFCN_THREADS', '1')
    import gpu_run
    import gpu_tables
    import gpu_timing
    import pack_data
    from gpu_jobs import read_log, run_jobs

pytestmark = pytest.mark.cupy

SAMPLES = ('conv2d-all-pairs', 'max_pool-padded', 'batch_norm-training', 'dropout-keeps-all',
        'softmax_cross_entropy-both-weights-mean', 'concat-many')


@pytest.mark.parametrize('name', SAMPLES)
def test_an_op_is_checked_by_reference_and_kernel_in_both_dtypes(real_cupy, name):
    rows = [*gpu_check.check_op(name, TABLE[name])]
    assert {(row.part, row.dtype) for row in rows} == {
        (part, dtype) for part in ('op, reference', 'op, kernel')
        for dtype in ('float32', 'float64')}
    assert all(row.ok for row in rows), [*map(str, rows)]


def test_a_wrong_result_is_reported(real_cupy, monkeypatch):
    """Inputs that are wrong by 1e-3, and inputs that are NaN."""
    for factor in (1.001, np.nan):
        monkeypatch.setattr(gpu_check, 'to_gpu', lambda x, factor=factor: to_gpu(
            x * np.asarray(factor, x.dtype) if x.dtype.kind == 'f' else x))
        rows = [*gpu_check.check_op('conv2d-all-pairs', TABLE['conv2d-all-pairs'])]
        assert not any(row.ok for row in rows)


def test_an_exception_is_a_failed_row(real_cupy):
    def broken():
        raise MemoryError('out of memory')

    row = gpu_check.measure('net, scores', 'fcn8s', 'float32', broken)
    assert not row.ok and str(row).endswith('float32: MemoryError: out of memory')


@pytest.mark.parametrize('dtype', gpu_check.TOLERANCES)
def test_a_net(real_cupy, dtype):
    rows = [*gpu_check.check_net('tiny_8s', dtype, width=1 / 4, size=(17, 20))]
    assert len(rows) == 2 and all(row.ok for row in rows), [*map(str, rows)]


@pytest.mark.parametrize('optimizer', gpu_check.OPTIMIZERS)
def test_a_training(real_cupy, optimizer):
    rows = [*gpu_check.check_training('tiny_8s', optimizer, 'float64')]
    assert len(rows) == 3 and all(row.ok for row in rows), [*map(str, rows)]


def test_two_runs_with_one_seed_agree(real_cupy, monkeypatch):
    row, = gpu_check.check_determinism('tiny_8s')
    assert row.ok, str(row)
    train_net = gpu_check.train_net
    rates = iter((1e-2, 2e-2))

    def train_at_another_rate(*args):
        monkeypatch.setitem(gpu_check.OPTIMIZERS, 'SGD', dict(lr=next(rates)))
        return train_net(*args)

    monkeypatch.setattr(gpu_check, 'train_net', train_at_another_rate)
    row, = gpu_check.check_determinism('tiny_8s')
    assert row.error > 0 and not row.ok


def test_a_part_of_it_on_the_stand_in_driver(real_cupy, tmp_path, monkeypatch):
    """Without --steps: the speed of a copy decides how many steps there is time for."""
    monkeypatch.setattr(gpu_run, 'WARM_UP_STEPS', 1)
    monkeypatch.setattr(gpu_run, 'TIMED_STEPS', 1)
    (tmp_path / 'data').mkdir()
    pack_data.pack(write_data(tmp_path / 'data'), tmp_path / 'data.zip')
    gpu_run.unpack(tmp_path / 'data.zip', tmp_path)
    args = gpu_run.parse_args([
        'data.zip', '--out', str(tmp_path), '--parts', 'scratch', '--width', '1/16',
        '--work', str(tmp_path), '--worker', str(monotonic() + 6)])
    run_jobs(gpu_run.make_jobs(args), args.log, args.worker)
    log = read_log(args.log)
    row, = gpu_tables.rows_of(log, 'stage')
    assert 'stand-in driver, no GPU' in gpu_tables.first_row(log, 'machine')['gpu']
    assert 1 <= row['steps'] <= row['recipe']['steps'] < 40_000 and row['epochs'] > 0
    assert not log.failed, log.failed


def test_ceilings_count_bytes_and_flops(real_cupy):
    for device in 'cpu', 'gpu':
        found = gpu_timing.ceilings(device, size=64, copied=1 << 16, budget=.05)
        assert found['copy'] > 0 and found['product, float32'] > 0
        assert ('product, tf32' in found) == (device == 'gpu')
