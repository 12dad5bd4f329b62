"""Jobs of several ranks end soon and together, with one message, and leave nothing behind.

A rank that was started otherwise, that leaves, is asked to stop or dies; mpiexec's own processes
killed. Each job is a real one, started with mpiexec.
"""
import os
import re
import signal
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from shutil import copytree

import kill_campaign
import pytest
from mpi_jobs import ENDS_WITHIN, ENVIRONMENT, MPIEXEC, assert_one_message, mpi, wait_for
from training_samples import write_bright_halves

from tinyfcn.training import checkpoint

SHARED_MEMORY = Path('/dev/shm')
SETTINGS = ['net=tiny_8s', 'init_from=None', 'steps=100000', 'validate_every=100000',
            'iter_size=2', 'batch=2', 'optimizer=sgd', 'lr=0.01', 'crop_size=(24,32)']


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    return write_bright_halves(tmp_path_factory.mktemp('set'))


@pytest.fixture(autouse=True)
def nothing_stays():
    """No process of the job, and no shared memory."""
    before = set(SHARED_MEMORY.glob('mpich_shm_*'))
    yield
    assert not [*set(SHARED_MEMORY.glob('mpich_shm_*')) - before]


def train(data, folder, *settings, seed=5):
    return ['-m', 'tinyfcn', 'train', 'folder', '--data', data, '--run', folder, '--seed', seed,
            '--set', *SETTINGS, *settings]


@contextmanager
def start(*ranks, **environ):
    """Start a job of which each rank runs Python with its own arguments."""
    command = [str(MPIEXEC)]
    for args in ranks:
        command += [*[':'] * (len(command) > 1), '-n', '1', sys.executable, *map(str, args)]
    job = subprocess.Popen(command, env={**ENVIRONMENT, **environ}, stdout=subprocess.PIPE,
                           stderr=subprocess.PIPE, text=True)
    processes = []
    try:
        yield job, processes
    finally:
        job.kill()
        job.communicate()
        for process in processes:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)


def wait_until(condition, job):
    end = time.monotonic() + 60
    while not condition():
        assert job.poll() is None and time.monotonic() < end, job.communicate()
        time.sleep(.01)


def children(process):
    """The process ids of the children of a process, oldest first."""
    text = Path(f'/proc/{process}/task/{process}/children').read_text()
    return [int(number) for number in text.split()]


def assert_ended(*processes):
    end = time.monotonic() + ENDS_WITHIN
    while any(is_alive(process) for process in processes) and time.monotonic() < end:
        time.sleep(.02)
    assert not [process for process in processes if is_alive(process)]


def is_alive(process):
    try:
        return Path(f'/proc/{process}/stat').read_text().rsplit(')', 1)[1].split()[0] != 'Z'
    except OSError:
        return False


@contextmanager
def start_training(data, folder, *more):
    """A job of two ranks that trains. -> job, [launcher, rank 0, rank 1]"""
    with start(train(data, folder, *more), train(data, folder, *more)) as (job, processes):
        wait_until(lambda: (folder / 'metrics.jsonl').exists()
                   and (folder / 'metrics.jsonl').read_bytes().count(b'\n') > 2, job)
        (launcher,) = children(job.pid)
        processes += [launcher, *children(launcher)]
        assert len(processes) == 3
        yield job, processes


# ---- Ranks that were started otherwise

@mpi
@pytest.mark.parametrize('settings, seed, messages', [
    (['lr=0.02', 'steps=7', 'batch=3'], 5, [
        'recipe lr: 0.01 on rank 0, 0.02 on rank 1', 'recipe steps: 100000 on rank 0, 7 on rank 1',
        'recipe batch: 2 on rank 0, 3 on rank 1']),
    (['validate_every=7', 'net=tiny_32s'], 6, [
        'recipe validate_every: 100000 on rank 0, 7 on rank 1',
        "recipe net: 'tiny_8s' on rank 0, 'tiny_32s' on rank 1", 'seed: 5 on rank 0, 6 on rank 1']),
], ids=['recipe', 'net and seed'])
def test_ranks_with_another_recipe_are_refused(settings, seed, messages, data, tmp_path):
    with start(train(data, tmp_path / 'run'),
               train(data, tmp_path / 'run', *settings, seed=seed)) as (job, _):
        code, stderr = wait_for(job, ENDS_WITHIN)
    assert code == 2
    for message in messages:
        assert_one_message(stderr, message)


@mpi
def test_ranks_with_other_images_are_refused(data, tmp_path):
    other = copytree(data, tmp_path / 'other')
    for folder in 'images', 'masks':
        (other / folder / '07.png').unlink()
    with start(train(data, tmp_path / 'run'), train(other, tmp_path / 'run')) as (job, _):
        code, stderr = wait_for(job, ENDS_WITHIN)
    assert code == 2
    assert_one_message(stderr, '_images images: ')


@mpi
def test_copies_of_the_images_may_have_other_dates(data, tmp_path):
    other = copytree(data, tmp_path / 'other')
    for path in other.rglob('*.png'):
        os.utime(path, (0, 0))
    first = train(data, tmp_path / 'run', 'steps=1')
    with start(first, train(other, tmp_path / 'run', 'steps=1')) as (job, _):
        code, stderr = wait_for(job)
    assert code == 0, stderr


@mpi
@pytest.mark.parametrize('second, message', [
    (['-m', 'tinyfcn', 'summary', 'tiny_8s'],
     "command: 'train' on rank 0, 'summary' on rank 1"),
    (['-m', 'tinyfcn', '--help'], "command: 'train' on rank 0, None on rank 1"),
    (['-m', 'tinyfcn', 'train', '--help'], 'rank 1 has ended, and rank 0 waits for it'),
], ids=['another', 'help', 'help of the command'])
def test_a_rank_with_another_command_ends_the_job(second, message, data, tmp_path):
    with start(train(data, tmp_path / 'run'), second) as (job, _):
        code, stderr = wait_for(job, ENDS_WITHIN)
    assert code == 2
    assert_one_message(stderr, message)


@mpi
@pytest.mark.parametrize('rank, end', [
    (0, 'sys.exit()'), (1, 'sys.exit(3)'), (0, 'os._exit(0)'), (1, 'os._exit(3)')])
def test_a_rank_that_leaves_early_ends_the_job(rank, end):
    """In a user's own script. os._exit is noticed by mpiexec, which ends the others at once."""
    script = ('import os, sys\n'
              'from tinyfcn.runtime import job_watch\n'
              'from tinyfcn.runtime.distributed import world\n'
              'job_watch.PATIENCE = .5\n'
              f'if world().rank == {rank}: {end}\n'
              'world().barrier()')
    with start(['-c', script], ['-c', script]) as (job, _):
        _, stderr = wait_for(job, ENDS_WITHIN)
    if '_exit' not in end:
        assert f'rank {rank} has ended, and rank {1 - rank} waits for it' in stderr
        assert stderr.count('\nOSError: ') == 1


@mpi
def test_ranks_that_leave_one_after_another_are_waited_for():
    """Rank 0 still writes when the others have nothing left to do: longer than their patience."""
    script = ('import time\n'
              'from tinyfcn.runtime import job_watch\n'
              'from tinyfcn.runtime.distributed import world\n'
              'job_watch.PATIENCE = .1\n'
              'world().barrier()\n'
              'if world().rank == 0:\n'
              '    time.sleep(1)\n'
              '    print("written")')
    with start(['-c', script], ['-c', script], ['-c', script]) as (job, _):
        stdout, stderr = job.communicate(timeout=60)
    assert (job.returncode, stdout, stderr) == (0, 'written\n', '')


# ---- Signals and deaths

@mpi
@pytest.mark.parametrize('rank, number', [
    (1, signal.SIGINT), (0, signal.SIGTERM), (1, signal.SIGHUP)])
def test_a_rank_that_is_asked_to_stop_stops_all(rank, number, data, tmp_path):
    with start_training(data, tmp_path / 'run') as (job, (launcher, *ranks)):
        os.kill(ranks[rank], number)
        code, stderr = wait_for(job, ENDS_WITHIN)
        assert_ended(launcher, *ranks)
    assert code == 75
    lines = [line for line in stderr.splitlines() if line.startswith('tinyfcn: ')]
    assert len(lines) == 1 and '--resume' in lines[0], stderr
    assert 'Traceback' not in stderr
    stopped_at = int(re.search('stopped at step ([0-9]+)', stderr)[1])
    assert checkpoint.load(tmp_path / 'run/last.safetensors').about['run']['step'] == stopped_at


@mpi
@pytest.mark.parametrize('victim', [0, 1, 2], ids=['launcher', 'rank 0', 'rank 1'])
def test_a_killed_process_ends_the_job(victim, data, tmp_path):
    with start_training(data, tmp_path / 'run') as (job, processes):
        os.kill(processes[victim], signal.SIGKILL)
        code, _ = wait_for(job, ENDS_WITHIN)
        assert_ended(*processes)
    assert code not in (0, 2, 75)


@mpi
def test_a_killed_mpiexec_ends_the_job(data, tmp_path):
    with start_training(data, tmp_path / 'run') as (job, processes):
        job.kill()
        assert_ended(*processes)


@mpi
def test_a_storm_of_ctrl_c_ends_the_job(data, tmp_path):
    with start_training(data, tmp_path / 'run') as (job, processes):
        for _ in range(20):
            with suppress(ProcessLookupError):
                job.send_signal(signal.SIGINT)
            time.sleep(.02)
        _, stderr = wait_for(job, ENDS_WITHIN)
        assert_ended(*processes)
    assert 'Traceback' not in stderr
    assert not [*tmp_path.glob('run/.*.tmp')]


@mpi
def test_a_campaign_of_kills(data, tmp_path):
    """Of mpiexec and of ranks, by four signals: what is resumed ends with the same bits."""
    launcher = [MPIEXEC, '-n', '2']
    expected = kill_campaign.uninterrupted(data, tmp_path / 'undisturbed', launcher)
    spent = kill_campaign.spend(kill_campaign.KILLS_OF_RANKS, kill_campaign.KILLS_OF_JOB, data,
                                tmp_path, expected, launcher)
    print(spent)
    assert spent.total() == kill_campaign.KILLS_OF_RANKS


@mpi
def test_the_last_message_is_not_lost():
    """The job ends at once after it, when mpiexec is busy with a lot of output before it."""
    script = ('import sys\n'
              'from tinyfcn.runtime.distributed import world\n'
              'if world().rank == 0:\n'
              '    with world().abort_with(7):\n'
              '        print("x" * 300_000, file=sys.stderr)\n'
              '        print("the last message", file=sys.stderr)\n'
              'world().barrier()')
    for _ in range(5):
        with start(['-c', script], ['-c', script]) as (job, _):
            code, stderr = wait_for(job, ENDS_WITHIN)
        assert code == 7
        assert stderr.endswith('the last message\n')
