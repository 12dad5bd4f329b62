"""A run that is killed at any moment resumes bit for bit, from the command line.

Each run is a real process of the real command line, stopped by a real signal while it trains,
validates, draws or saves. The exit codes are checked: a signal after the end would prove nothing.
"""
import random
import signal
import subprocess
import sys
import time
from shutil import copytree

import kill_campaign
import pytest
from kill_campaign import (
    ENVIRONMENT,
    arguments,
    count_rows,
    finish,
    read_run,
    start,
    wait_for_rows,
)
from training_samples import write_bright_halves

from tinyfcn.training import checkpoint

pytestmark = pytest.mark.crash


@pytest.fixture(scope='module')
def dataset(tmp_path_factory):
    return write_bright_halves(tmp_path_factory.mktemp('dataset'))


@pytest.fixture(scope='module')
def uninterrupted(dataset, tmp_path_factory):
    return kill_campaign.uninterrupted(dataset, tmp_path_factory.mktemp('undisturbed') / 'run')


@pytest.fixture(scope='module')
def interrupted(dataset, tmp_path_factory):
    """The folder of a run that was stopped by SIGTERM at a random moment, three times."""
    folder = tmp_path_factory.mktemp('interrupted') / 'run'
    rng = random.Random(1)
    for _ in range(3):
        process = start(dataset, folder)
        wait_for_rows(process, folder, count_rows(folder) + 1)
        time.sleep(rng.uniform(0, .2))
        process.terminate()
        process.communicate(timeout=60)
        assert process.returncode == 75
    return folder


def test_a_campaign_of_kills(dataset, uninterrupted, tmp_path):
    """Of the process that trains, by four signals."""
    spent = kill_campaign.spend(kill_campaign.KILLS, kill_campaign.KILLS_OF_PROCESS, dataset,
                                tmp_path, uninterrupted)
    print(spent)
    assert spent.total() == kill_campaign.KILLS


def test_a_campaign_of_two_trainings_in_one_folder(dataset, uninterrupted, tmp_path):
    for number in range(kill_campaign.FIGHTS):
        found = kill_campaign.fight(dataset, tmp_path / str(number), random.Random(number))
        assert found == uninterrupted


@pytest.mark.parametrize('lost', ['momentum', 'step', 'a bit of a weight'])
def test_a_run_that_loses_something_ends_differently(dataset, uninterrupted, interrupted, tmp_path,
                                                     lost):
    """The comparison can fail."""
    folder = copytree(interrupted, tmp_path / 'run')
    path = folder / 'last.safetensors'
    weights, memory, about = checkpoint.load(path)
    if lost == 'momentum':
        memory = {kind: {} for kind in memory}
    elif lost == 'step':
        about['run']['step'] -= 1
    else:
        weights['conv1.w'].view('uint32').flat[0] ^= 1
    about.pop('machine')
    checkpoint.save(path, weights, memory, about)
    finish(start(dataset, folder))
    assert read_run(folder)['last conv1.w'] != uninterrupted['last conv1.w']


def test_ctrl_c_once_saves(dataset, tmp_path):
    process = start(dataset, tmp_path / 'run', more=['steps=100000', 'validate_every=100000'])
    wait_for_rows(process, tmp_path / 'run', 1)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 75 and 'Traceback' not in stderr
    assert '--resume' in stderr
    assert (tmp_path / 'run/last.safetensors').exists()


def test_ctrl_c_twice_exits_at_once(dataset, tmp_path):
    """In the middle of a step that would take minutes: it is not finished, and nothing is saved."""
    process = start(dataset, tmp_path / 'run', more=['iter_size=100000'])
    while not (tmp_path / 'run/metrics.jsonl').exists():
        assert process.poll() is None, process.communicate()
        time.sleep(.01)
    for _ in range(2):
        time.sleep(.5)
        process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=20)
    assert process.returncode == 75 and 'Traceback' not in stderr
    assert not [*(tmp_path / 'run').glob('*.safetensors')]


def train_with_file_limit(limit, dataset, folder):
    """Train where no file can have more than `limit` bytes, which stands for a full disk."""
    script = (f'import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); '
              f'resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit})); '
              f'from tinyfcn.cli import main; sys.exit(main(sys.argv[1:]))')
    _, _, *command = arguments(dataset, folder)
    return subprocess.run([sys.executable, '-c', script, *command], env=ENVIRONMENT,
                          capture_output=True, text=True)


def test_a_full_disk(dataset, uninterrupted, interrupted, tmp_path):
    """The previous checkpoint stays."""
    folder = copytree(interrupted, tmp_path / 'run')
    before = {path.name: path.read_bytes() for path in folder.glob('*.safetensors')}
    limit = len(before['last.safetensors']) // 2
    result = train_with_file_limit(limit, dataset, folder)
    assert result.returncode == 2 and 'Traceback' not in result.stderr
    assert 'File too large' in result.stderr and '.safetensors' in result.stderr
    assert 'The previous checkpoint is unchanged: free disk space, then --resume' in result.stderr
    assert {path.name: path.read_bytes() for path in folder.glob('*.safetensors')} == before
    assert not [*folder.glob('.*')]
    finish(start(dataset, folder))
    assert read_run(folder) == uninterrupted


def test_a_disk_that_is_full_from_the_start(dataset, tmp_path):
    result = train_with_file_limit(9000, dataset, tmp_path / 'run')
    assert result.returncode == 2 and 'Errno' not in result.stderr
    assert 'There is no checkpoint yet: free disk space, then start again' in result.stderr
    assert not [*(tmp_path / 'run').glob('*.safetensors')]
