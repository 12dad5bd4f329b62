"""Ranks compute what one process does, up to rounding; they agree bit for bit and end together.

Tests marked mpi start real jobs with mpiexec: `mpi_sums.py`, `mpi_steps.py` and the command line.
"""
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from shutil import copytree

import mpi_steps
import mpi_sums
import numpy as np
import pytest
from kill_campaign import read_run
from mpi_jobs import ENDS_WITHIN, ENVIRONMENT, assert_one_message, mpi, start_job, wait_for
from training_samples import make_recipe, write_bright_halves

from tinyfcn.prediction import analyse_errors, evaluate
from tinyfcn.runtime import distributed
from tinyfcn.training import checkpoint
from tinyfcn.training.loop import rank_batches

HERE = Path(__file__).parent
ROUNDING = dict(float32=1e-6, float64=1e-14)


# ---- One process

def test_one_process_has_everything_to_itself():
    world = distributed.SingleProcess()
    sums = world.begin_all_reduce()
    x = np.ones(3)
    sums.add('x', x)
    world.barrier()
    assert (world.rank, world.size) == (0, 1)
    assert [*range(5)][world.rank_slice] == [0, 1, 2, 3, 4]
    assert sums.result()['x'] is x
    assert world.broadcast(x) is x


@pytest.mark.parametrize('variables', [
    {}, dict(PMI_SIZE='1'), dict(SLURM_STEP_NUM_TASKS='1'), dict(SLURM_NTASKS='8')])
def test_a_job_of_one_process_is_a_single_process(variables, monkeypatch):
    """A batch script of Slurm has SLURM_NTASKS, but is not one of these tasks."""
    for key in (*distributed.SIZE_VARIABLES, *variables):
        monkeypatch.delenv(key, raising=False)
    for key, value in variables.items():
        monkeypatch.setenv(key, value)
    assert isinstance(distributed.world.__wrapped__(), distributed.SingleProcess)


@pytest.mark.parametrize('key', distributed.SIZE_VARIABLES)
def test_ranks_without_mpi4py_report_what_to_install(key):
    script = ('import sys\n'
              'sys.modules["mpi4py"] = None\n'
              'from tinyfcn.cli import main\n'
              'sys.exit(main(["summary", "fcn8s"]))')
    run = subprocess.run([sys.executable, '-c', script], env={**ENVIRONMENT, key: '4'},
                         capture_output=True, text=True)
    assert run.returncode == 2
    assert 'Traceback' not in run.stderr
    assert '4 processes were started' in run.stderr
    assert '"tinyfcn[mpi]"' in run.stderr


@pytest.mark.parametrize('batches, ranks', [(4, 1), (4, 2), (4, 4), (5, 3)])
def test_the_batches_of_a_step_are_split_between_the_ranks(batches, ranks):
    recipe = make_recipe(iter_size=batches)
    of_ranks = [[*rank_batches(recipe, rank, ranks)] for rank in range(ranks)]
    assert sorted(sum(of_ranks, [])) == [*range(batches)]
    counts = [len(own) for own in of_ranks]
    assert max(counts) - min(counts) <= 1


@pytest.mark.parametrize('batch, remedy', [
    (4, 'iter_size=4 batch=1 splits the same images'),
    (1, 'iter_size=4 makes a step of as many batches')])
def test_more_ranks_than_batches_are_refused(batch, remedy):
    with pytest.raises(ValueError, match=f'4 ranks split the batches of a step.*{remedy}'):
        rank_batches(make_recipe(iter_size=1, batch=batch), 0, 4)


# ---- Agreement

def agree(monkeypatch, *descriptions):
    """What require_agreement does on a rank of a job with these descriptions."""
    class Job(distributed.SingleProcess):
        size = len(descriptions)

        def all_gather(self, value):
            return [*descriptions]

    monkeypatch.setattr(distributed, 'world', Job)
    distributed.require_agreement(descriptions[0])


@pytest.mark.parametrize('descriptions', [
    [{}], [dict(seed=0)], [dict(seed=0)] * 3,
    [dict(recipe=dict(lr=.1, rules={'*.b': dict(lr=2)}), net={'conv.w': (3, 3)})] * 2])
def test_ranks_that_agree_go_on(descriptions, monkeypatch):
    agree(monkeypatch, *descriptions)


@pytest.mark.parametrize('descriptions, message', [
    ([dict(seed=0), dict(seed=1)], 'seed: 0 on rank 0, 1 on rank 1'),
    ([dict(seed=0), dict(seed=0), dict(seed='0')], "seed: 0 on rank 0, '0' on rank 2"),
    ([dict(seed=0), {}], 'seed: 0 on rank 0, nothing on rank 1'),
    ([dict(recipe=dict(rules={'*.b': dict(lr=2)})), dict(recipe=dict(rules={'*.b': dict(lr=1)}))],
     'recipe rules *.b lr: 2 on rank 0, 1 on rank 1'),
    ([dict.fromkeys('abcdef', 0), dict.fromkeys('abcdef', 1)],
     'c: 0 on rank 0, 1 on rank 1; 3 more): start all ranks with the same'),
    ([dict(name='sky'), dict(name='\x1b[2J')], "name: 'sky' on rank 0, '\\x1b[2J' on rank 1"),
])
def test_ranks_that_do_not_agree_are_refused(descriptions, message, monkeypatch):
    with pytest.raises(ValueError) as error:
        agree(monkeypatch, *descriptions)
    assert message in str(error.value)


# ---- Several ranks

@mpi
@pytest.mark.parametrize('ranks', [2, 3])
def test_sums_of_many_kinds_of_arrays(ranks, tmp_path):
    """Small and large, in any memory order, of integers too: the same bits on every rank."""
    code, stderr = wait_for(start_job(ranks, HERE / 'mpi_sums.py', tmp_path))
    assert code == 0, stderr
    sums = [np.load(tmp_path / f'{rank}.npz') for rank in range(ranks)]
    for name in sums[0].files:
        expected = sum(mpi_sums.sample(name, rank) for rank in range(ranks))
        found = sums[0][name]
        assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
        # the sum of at most three numbers of size 1 is rounded twice
        atol = 4 * np.finfo('f4').eps if found.dtype == 'f4' else 1e-15
        np.testing.assert_allclose(found, expected, rtol=0, atol=atol)
        assert all(other[name].tobytes() == found.tobytes() for other in sums)


@pytest.fixture(scope='module', params=['float32', 'float64'])
def one_process(request):
    """Twelve steps in one process. -> dtype, its net, its rows"""
    return request.param, *mpi_steps.trained_net(request.param)


@mpi
@pytest.mark.parametrize('ranks', [2, 4])
def test_ranks_agree_bit_for_bit_and_with_one_process_up_to_rounding(one_process, ranks, tmp_path):
    dtype, net, rows = one_process
    code, stderr = wait_for(start_job(ranks, HERE / 'mpi_steps.py', tmp_path, dtype))
    assert code == 0, stderr
    reports = [json.loads((tmp_path / f'{rank}.json').read_text()) for rank in range(ranks)]
    for key in 'size', 'losses', 'weights', 'mean_iu', 'errors':
        assert all(report[key] == reports[0][key] for report in reports), key
    assert reports[0]['size'] == ranks

    # every image of a step is used by exactly one rank, and every rank has some
    for step, row in enumerate(rows):
        names = [report['names'][step] for report in reports]
        assert sorted(sum(names, [])) == sorted(row['names'])
        assert all(names)

    weights = np.load(tmp_path / 'weights.npz')
    initial = mpi_steps.new_net(dtype).params
    moved = max(abs(w - initial[name]).max() for name, w in net.params.items())
    difference = max(abs(w - weights[name]).max() for name, w in net.params.items())
    assert difference <= ROUNDING[dtype]
    assert moved > .01
    np.testing.assert_allclose(reports[0]['losses'], [row['loss'] for row in rows],
                               rtol=ROUNDING[dtype])

    # evaluated by one process, their weights have the same score
    for name, w in {**net.params, **net.state}.items():
        w[...] = weights[name]
    assert evaluate(net, mpi_steps.held_out_images())['mean_iu'] == reports[0]['mean_iu']
    analysis = analyse_errors(net, mpi_steps.held_out_images())
    assert analysis.by_cause.tolist() == reports[0]['errors']


# ---- How jobs end

SETTINGS = ['net=fcn_squeezenet_8s', 'init_from=None', 'steps=16', 'validate_every=8',
            'iter_size=2', 'batch=2', 'optimizer=sgd', 'lr=0.01', 'crop_size=(24,32)']


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    return write_bright_halves(tmp_path_factory.mktemp('set'))


def train_command(data, folder, *more):
    return ['train', 'folder', '--data', data, '--run', folder, '--seed', '5', '--resume',
            '--set', *SETTINGS, *more]


def finish(ranks, data, folder):
    """Train to the end. -> what the run folder then holds"""
    code, stderr = wait_for(start_job(ranks, '-m', 'tinyfcn', *train_command(data, folder)))
    assert code == 0, stderr
    return read_run(folder)


@pytest.fixture(scope='module')
def uninterrupted(data, tmp_path_factory):
    return finish(2, data, tmp_path_factory.mktemp('uninterrupted') / 'run')


def start_until_checkpoint(data, folder):
    """A job of two ranks that has saved a checkpoint. -> process, {rank: its process id}"""
    process = start_job(2, '-m', 'tinyfcn', *train_command(data, folder))
    while not (folder / 'last.safetensors').exists() and process.poll() is None:
        time.sleep(.01)
    ranks = {}
    for path in Path('/proc').glob('[0-9]*'):
        try:
            environ = (path / 'environ').read_bytes().split(b'\0')
            command = (path / 'cmdline').read_bytes()
        except OSError:                                 # it has ended, or belongs to another user
            continue
        for rank in range(2):
            if f'PMI_RANK={rank}'.encode() in environ and bytes(folder) in command:
                ranks[rank] = int(path.name)
    return process, ranks


@mpi
def test_a_killed_rank_ends_the_job_which_resumes(data, uninterrupted, tmp_path):
    process, ranks = start_until_checkpoint(data, tmp_path / 'run')
    os.kill(ranks[1], signal.SIGKILL)
    code, _ = wait_for(process, ENDS_WITHIN)
    assert code not in (0, 2, 75)
    assert checkpoint.load(tmp_path / 'run/last.safetensors').about['run']['step'] == 8
    assert finish(2, data, tmp_path / 'run') == uninterrupted


@mpi
def test_ctrl_c_saves_and_one_rank_resumes_what_two_began(data, uninterrupted, tmp_path):
    process, _ = start_until_checkpoint(data, tmp_path / 'run')
    process.send_signal(signal.SIGINT)
    code, stderr = wait_for(process, ENDS_WITHIN)
    assert code == 75
    assert_one_message(stderr, '--resume')
    found = finish(1, data, tmp_path / 'run')
    assert found.keys() == uninterrupted.keys()
    for key, value in uninterrupted.items():
        if key.startswith('last '):
            of_one, of_two = (np.frombuffer(each, 'float32') for each in (found[key], value))
            np.testing.assert_allclose(of_one, of_two, rtol=0, atol=ROUNDING['float32'])


@mpi
def test_two_ranks_stop_early_at_the_same_step(data, tmp_path):
    """At this rate nothing gets better; and resumed, they have nothing to do."""
    command = train_command(data, tmp_path / 'run', 'lr=1e-9', 'validate_every=2', 'patience=2')
    for _ in range(2):
        code, stderr = wait_for(start_job(2, '-m', 'tinyfcn', *command))
        assert code == 0 and 'stopped early at step 6 of 16' in stderr, stderr
    assert checkpoint.load(tmp_path / 'run/last.safetensors').about['run']['step'] == 6


@mpi
def test_two_ranks_find_no_learning_rate(data, tmp_path):
    command = [word for word in train_command(data, tmp_path / 'run') if word != '--resume']
    code, stderr = wait_for(start_job(2, '-m', 'tinyfcn', *command, '--find-lr'), ENDS_WITHIN)
    assert code == 2
    assert_one_message(stderr, 'one process finds a learning rate')


@mpi
def test_an_image_that_a_rank_cannot_read_ends_the_job(data, tmp_path):
    damaged = copytree(data, tmp_path / 'set')
    for path in (damaged / 'images').iterdir():
        path.write_bytes(path.read_bytes()[:-100])
    job = start_job(2, '-m', 'tinyfcn', *train_command(damaged, tmp_path / 'run'))
    code, stderr = wait_for(job, ENDS_WITHIN)
    assert code == 2
    assert_one_message(stderr, '.png')


@mpi
def test_a_full_disk_ends_the_job(data, uninterrupted, tmp_path):
    """A limit on the size of a file acts like a full disk. The previous checkpoint stays."""
    folder = tmp_path / 'run'
    process, ranks = start_until_checkpoint(data, folder)
    os.kill(ranks[0], signal.SIGKILL)
    wait_for(process, ENDS_WITHIN)
    before = (folder / 'last.safetensors').read_bytes()
    # world() comes before the limit, for the memory that ranks share is a file too
    script = ('import resource, signal, sys\n'
              'from tinyfcn import cli\n'
              'from tinyfcn.runtime import distributed\n'
              'distributed.world()\n'
              'signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n'
              f'resource.setrlimit(resource.RLIMIT_FSIZE, ({len(before) // 2},) * 2)\n'
              'sys.exit(cli.main(sys.argv[1:]))')
    resumed = start_job(2, '-c', script, *train_command(data, folder))
    code, stderr = wait_for(resumed)            # it trains until its next checkpoint
    assert code == 2
    assert_one_message(stderr, '--resume')
    assert (folder / 'last.safetensors').read_bytes() == before
    assert finish(2, data, folder) == uninterrupted


@mpi
def test_an_uncaught_exception_of_one_rank_ends_the_ranks_that_wait_for_it():
    """In a user's own script under plain mpiexec, which alone would wait for ever."""
    script = ('from tinyfcn.runtime.distributed import world\n'
              'if world().rank == 1: 1 / 0\n'
              'world().barrier()')
    code, stderr = wait_for(start_job(2, '-c', script), ENDS_WITHIN)
    assert code == 1
    assert stderr.count('ZeroDivisionError') == 1


@mpi
def test_an_error_of_all_ranks_is_printed_once(data, tmp_path):
    job = start_job(3, '-m', 'tinyfcn', *train_command(data, tmp_path))
    code, stderr = wait_for(job, ENDS_WITHIN)
    assert code == 2
    assert_one_message(stderr, '3 ranks split the batches of a step, and this recipe has 2')
