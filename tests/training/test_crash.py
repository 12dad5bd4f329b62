"""Killed at any moment, a run goes on as if nothing had happened: to the last bit, by the command.

Each run is a real process of the real command line, ended by a real signal while it trains,
validates, draws or saves. Kills that came too late would prove nothing, so they are counted.
"""
import json
import os
import random
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from training_samples import bright_halves

from tinyfcn.training import checkpoint

pytestmark = pytest.mark.crash

SETTINGS = ['net=fcn_squeezenet_8s', 'start=None', 'steps=90', 'every=30', 'iter_size=2', 'batch=2',
            'adam=False', 'lr=0.01', 'scales=(.7,1.3)', 'size=(24,32)']
ENVIRONMENT = {**os.environ, 'OPENBLAS_NUM_THREADS': '1', 'PYTHONWARNINGS': 'error'}


@pytest.fixture(scope='module')
def pictures(tmp_path_factory):
    return bright_halves(tmp_path_factory.mktemp('set'))


def words(pictures, folder, *more):
    return ['train', 'folder', '--data', str(pictures), '--run', str(folder), '--seed', '5',
            '--set', *SETTINGS, *more]


def start(pictures, folder, *more):
    return subprocess.Popen([sys.executable, '-m', 'tinyfcn', *words(pictures, folder, *more)],
                            env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            text=True)


def finish(pictures, folder, *more):
    process = start(pictures, folder, *more)
    said = process.communicate(timeout=120)
    assert process.returncode == 0, said
    return what_it_left(folder)


def what_it_left(folder):
    """Everything that must be the same: weights, memory, state, rows; but for the seconds."""
    left = {}
    for name in 'last', 'best':
        weights, memory, about = checkpoint.load(folder / f'{name}.safetensors')
        left |= {f'{name} {key}': w.tobytes() for key, w in weights.items()}
        left |= {f'{name} {kind} {key}': w.tobytes() for kind, values in memory.items()
                 for key, w in values.items()}
        left[name] = json.dumps(about['run'], sort_keys=True)
    rows = [json.loads(line) for line in (folder / 'metrics.jsonl').read_text().splitlines()]
    left['rows'] = json.dumps([{key: row[key] for key in row if key != 'seconds'} for row in rows])
    return left


@pytest.fixture(scope='module')
def whole(pictures, tmp_path_factory):
    return finish(pictures, tmp_path_factory.mktemp('whole') / 'run')


def interrupted(pictures, folder, kind, chance):
    """Start, end it by a signal at a random moment, three times over. -> exit codes"""
    codes = []
    for _ in range(3):
        process = start(pictures, folder, '--resume')
        log, rows = folder / 'metrics.jsonl', count(folder / 'metrics.jsonl')
        while count(log) <= rows and process.poll() is None:
            time.sleep(.005)
        time.sleep(chance.uniform(0, .35))
        process.send_signal(kind)
        process.communicate(timeout=60)
        codes.append(process.returncode)
    return codes


def count(path):
    return path.read_bytes().count(b'\n') if path.exists() else 0


@pytest.mark.parametrize('kind, code', [(signal.SIGKILL, -9), (signal.SIGTERM, 75)])
def test_a_run_that_is_killed_three_times(pictures, whole, tmp_path, kind, code):
    """Eight runs of each kind, two at a time."""
    def one(number):
        folder, chance = tmp_path / str(number), random.Random(number)
        return interrupted(pictures, folder, kind, chance), finish(pictures, folder, '--resume')

    with ThreadPoolExecutor(2) as pool:
        runs = [*pool.map(one, range(8))]
    assert [codes for codes, _ in runs] == [[code] * 3] * 8
    for _, left in runs:
        assert left.keys() == whole.keys()
        assert not [key for key in whole if left[key] != whole[key]]
    assert not [*tmp_path.glob('*/.*.tmp')]


@pytest.mark.parametrize('forget', ['the momentum', 'the step', 'a bit of a weight'])
def test_a_run_that_forgets_something_ends_elsewhere(pictures, whole, tmp_path, forget):
    """The comparison has teeth."""
    codes = interrupted(pictures, tmp_path / 'run', signal.SIGTERM, random.Random(1))
    assert codes == [75] * 3
    path = tmp_path / 'run/last.safetensors'
    weights, memory, about = checkpoint.load(path)
    if forget == 'the momentum':
        memory = {kind: {} for kind in memory}
    elif forget == 'the step':
        about['run']['step'] -= 1
    else:
        weights['conv1.w'].view('uint32').flat[0] ^= 1
    about.pop('machine')
    checkpoint.save(path, weights, memory, about)
    left = finish(pictures, tmp_path / 'run', '--resume')
    assert left['last conv1.w'] != whole['last conv1.w']


def test_ctrl_c_once_saves(pictures, tmp_path):
    process = start(pictures, tmp_path / 'run', 'steps=100000', 'every=100000')
    while not count(tmp_path / 'run/metrics.jsonl'):
        time.sleep(.01)
    process.send_signal(signal.SIGINT)
    _, complaint = process.communicate(timeout=60)
    assert process.returncode == 75 and 'Traceback' not in complaint
    assert 'with --resume goes on in' in complaint
    assert (tmp_path / 'run/last.safetensors').exists()


def test_ctrl_c_twice_leaves_now(pictures, tmp_path):
    """In the middle of a step that would take minutes: it is not ended, and nothing is saved."""
    process = start(pictures, tmp_path / 'run', 'iter_size=100000')
    while not (tmp_path / 'run/metrics.jsonl').exists():
        time.sleep(.01)
    for _ in range(2):
        time.sleep(.5)
        process.send_signal(signal.SIGINT)
    _, complaint = process.communicate(timeout=20)
    assert process.returncode == 75 and 'Traceback' not in complaint
    assert 'left at once' in complaint
    assert not [*(tmp_path / 'run').glob('*.safetensors')]


def test_a_full_disk(pictures, whole, tmp_path):
    """A limit on the size of a file stands for a disk that is full: the old checkpoint stays."""
    folder = tmp_path / 'run'
    assert interrupted(pictures, folder, signal.SIGTERM, random.Random(2)) == [75] * 3
    before = {path.name: path.read_bytes() for path in folder.glob('*.safetensors')}
    limit = len(before['last.safetensors']) // 2
    script = (f'import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); '
              f'resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit})); '
              f'from tinyfcn.cli import main; sys.exit(main(sys.argv[1:]))')
    ran = subprocess.run([sys.executable, '-c', script, *words(pictures, folder, '--resume')],
                         env=ENVIRONMENT, capture_output=True, text=True)
    assert ran.returncode == 2 and 'Traceback' not in ran.stderr
    assert 'File too large' in ran.stderr and '.safetensors' in ran.stderr
    assert 'The checkpoint before is as it was: make room, then --resume' in ran.stderr
    assert {path.name: path.read_bytes() for path in folder.glob('*.safetensors')} == before
    assert not [*folder.glob('.*')]
    assert finish(pictures, folder, '--resume') == whole
