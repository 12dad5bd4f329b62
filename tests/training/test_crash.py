"""A run that is killed at any moment resumes bit for bit, from the command line.

Each run is a real process of the real command line, stopped by a real signal while it trains,
validates, draws or saves. The exit codes are checked: a signal after the end would prove nothing.
"""
import os
import random
import signal
import subprocess
import sys
import time

import kill_campaign
import pytest
from kill_campaign import read_run
from training_samples import write_bright_halves

from tinyfcn.training import checkpoint

pytestmark = pytest.mark.crash

SETTINGS = ['net=fcn_squeezenet_8s', 'init_from=None', 'steps=90', 'validate_every=30',
            'iter_size=2', 'batch=2', 'optimizer=sgd', 'lr=0.01', 'scale_range=(.7,1.3)',
            'crop_size=(24,32)']
ENVIRONMENT = {**os.environ, 'OPENBLAS_NUM_THREADS': '1', 'PYTHONWARNINGS': 'error'}


@pytest.fixture(scope='module')
def dataset(tmp_path_factory):
    return write_bright_halves(tmp_path_factory.mktemp('dataset'))


def arguments(dataset, folder, *more):
    return ['train', 'folder', '--data', str(dataset), '--run', str(folder), '--seed', '5',
            '--set', *SETTINGS, *more]


def start(dataset, folder, *more):
    command = [sys.executable, '-m', 'tinyfcn', *arguments(dataset, folder, *more)]
    return subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True)


def finish(dataset, folder, *more):
    process = start(dataset, folder, *more)
    output = process.communicate(timeout=120)
    assert process.returncode == 0, output
    return read_run(folder)


@pytest.fixture(scope='module')
def uninterrupted(dataset, tmp_path_factory):
    return finish(dataset, tmp_path_factory.mktemp('uninterrupted') / 'run')


def interrupt_three_times(dataset, folder, signal_number, rng):
    """Start a run and stop it by a signal at a random moment, three times. -> exit codes"""
    log = folder / 'metrics.jsonl'
    codes = []
    for _ in range(3):
        process = start(dataset, folder, '--resume')
        rows = count_lines(log)
        while count_lines(log) <= rows and process.poll() is None:
            time.sleep(.005)
        time.sleep(rng.uniform(0, .35))
        process.send_signal(signal_number)
        process.communicate(timeout=60)
        codes.append(process.returncode)
    return codes


def count_lines(path):
    return path.read_bytes().count(b'\n') if path.exists() else 0


def test_a_campaign_of_kills(dataset, tmp_path):
    """Of the process that trains, and of its worker, by four signals."""
    kill_campaign.finish(kill_campaign.start(dataset, tmp_path / 'undisturbed'))
    uninterrupted = read_run(tmp_path / 'undisturbed')
    spent = kill_campaign.spend(kill_campaign.KILLS, kill_campaign.KILLS_OF_PROCESS, dataset,
                                tmp_path, uninterrupted)
    print(spent)
    assert spent.total() == kill_campaign.KILLS


def test_a_campaign_of_two_trainings_in_one_folder(dataset, tmp_path):
    kill_campaign.finish(kill_campaign.start(dataset, tmp_path / 'undisturbed'))
    uninterrupted = read_run(tmp_path / 'undisturbed')
    for number in range(kill_campaign.FIGHTS):
        found = kill_campaign.fight(dataset, tmp_path / str(number), random.Random(number))
        assert found == uninterrupted


@pytest.mark.parametrize('lost', ['momentum', 'step', 'a bit of a weight'])
def test_a_run_that_loses_something_ends_differently(dataset, uninterrupted, tmp_path, lost):
    """The comparison can fail."""
    codes = interrupt_three_times(dataset, tmp_path / 'run', signal.SIGTERM, random.Random(1))
    assert codes == [75] * 3
    path = tmp_path / 'run/last.safetensors'
    weights, memory, about = checkpoint.load(path)
    if lost == 'momentum':
        memory = {kind: {} for kind in memory}
    elif lost == 'step':
        about['run']['step'] -= 1
    else:
        weights['conv1.w'].view('uint32').flat[0] ^= 1
    about.pop('machine')
    checkpoint.save(path, weights, memory, about)
    contents = finish(dataset, tmp_path / 'run', '--resume')
    assert contents['last conv1.w'] != uninterrupted['last conv1.w']


def test_ctrl_c_once_saves(dataset, tmp_path):
    process = start(dataset, tmp_path / 'run', 'steps=100000', 'validate_every=100000')
    while not count_lines(tmp_path / 'run/metrics.jsonl'):
        time.sleep(.01)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 75 and 'Traceback' not in stderr
    assert '--resume' in stderr
    assert (tmp_path / 'run/last.safetensors').exists()


def test_ctrl_c_twice_exits_at_once(dataset, tmp_path):
    """In the middle of a step that would take minutes: it is not finished, and nothing is saved."""
    process = start(dataset, tmp_path / 'run', 'iter_size=100000')
    while not (tmp_path / 'run/metrics.jsonl').exists():
        time.sleep(.01)
    for _ in range(2):
        time.sleep(.5)
        process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=20)
    assert process.returncode == 75 and 'Traceback' not in stderr
    assert not [*(tmp_path / 'run').glob('*.safetensors')]


def test_a_full_disk(dataset, uninterrupted, tmp_path):
    """A limit on the size of a file stands for a full disk: the previous checkpoint stays."""
    folder = tmp_path / 'run'
    codes = interrupt_three_times(dataset, folder, signal.SIGTERM, random.Random(2))
    assert codes == [75] * 3
    before = {path.name: path.read_bytes() for path in folder.glob('*.safetensors')}
    limit = len(before['last.safetensors']) // 2
    script = (f'import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); '
              f'resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit})); '
              f'from tinyfcn.cli import main; sys.exit(main(sys.argv[1:]))')
    result = subprocess.run([sys.executable, '-c', script,
                             *arguments(dataset, folder, '--resume')],
                            env=ENVIRONMENT, capture_output=True, text=True)
    assert result.returncode == 2 and 'Traceback' not in result.stderr
    assert 'File too large' in result.stderr and '.safetensors' in result.stderr
    assert 'The previous checkpoint is unchanged: free disk space, then --resume' in result.stderr
    assert {path.name: path.read_bytes() for path in folder.glob('*.safetensors')} == before
    assert not [*folder.glob('.*')]
    assert finish(dataset, folder, '--resume') == uninterrupted


def test_a_disk_that_is_full_from_the_start(dataset, tmp_path):
    script = ('import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); '
              'resource.setrlimit(resource.RLIMIT_FSIZE, (9000, 9000)); '
              'from tinyfcn.cli import main; sys.exit(main(sys.argv[1:]))')
    result = subprocess.run([sys.executable, '-c', script, *arguments(dataset, tmp_path / 'run')],
                            env=ENVIRONMENT, capture_output=True, text=True)
    assert result.returncode == 2 and 'Errno' not in result.stderr
    assert 'There is no checkpoint yet: free disk space, then start again' in result.stderr
    assert not [*(tmp_path / 'run').glob('*.safetensors')]
