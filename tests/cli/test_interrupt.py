"""Ctrl-C, SIGTERM, closed terminals and too little memory, at any moment of real commands."""
import os
import signal
import subprocess
import sys
import time
from shutil import copy

import pytest
from kill_campaign import processes_of
from portable import pty, resource
from training_samples import CENTRED, write_bright_halves

from tinyfcn import build
from tinyfcn.training import checkpoint

TIMEOUT = 60            # seconds after which a test that hangs fails
SETTINGS = ['net=fcn_squeezenet_8s', 'init_from=None', 'steps=100000', 'validate_every=100000',
            'iter_size=2', 'batch=2', 'optimizer=sgd', 'lr=0.01', 'crop_size=(24,32)']
ENVIRONMENT = {**os.environ, 'PYTHONWARNINGS': 'error', 'TINYFCN_THREADS': '2'}


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    return write_bright_halves(tmp_path_factory.mktemp('set'))


# a traceback of Python itself, before it has begun with this package, is not ours to prevent
SCRIPT = ('import sys\n'
          'from tinyfcn.__main__ import main\n'
          'print("begun", flush=True)\n'
          'sys.exit(main())')


def command(*args):
    return [sys.executable, '-c', SCRIPT, *map(str, args)]


def train(data, folder):
    return command('train', 'folder', '--data', data, '--run', folder, '--set', *SETTINGS)


def start(args, **options):
    return subprocess.Popen(args, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            text=True, **options)


def wait_for_rows(process, folder, count=2):
    log = folder / 'metrics.jsonl'
    end = time.monotonic() + TIMEOUT
    while not log.exists() or log.read_bytes().count(b'\n') < count:
        assert process.poll() is None and time.monotonic() < end, process.communicate()
        time.sleep(.005)


def assert_nothing_stays(folder):
    """Neither a process nor a temporary file."""
    assert not processes_of(folder)
    assert not [*folder.glob('.*')]


# ---- Training

@pytest.mark.crash
def test_a_hangup_saves_as_ctrl_c_does(data, tmp_path):
    """A shell that ends repeats the signal of its terminal: it is not the second Ctrl-C."""
    process = start(train(data, tmp_path / 'run'))
    wait_for_rows(process, tmp_path / 'run')
    for _ in range(3):
        process.send_signal(signal.SIGHUP)
    _, stderr = process.communicate(timeout=TIMEOUT)
    assert process.returncode == 75 and 'Traceback' not in stderr
    assert '--resume' in stderr
    assert_nothing_stays(tmp_path / 'run')


@pytest.mark.crash
@pytest.mark.parametrize('ignores', [False, True], ids=['as it is', 'nohup'])
def test_a_run_whose_terminal_is_closed(ignores, data, tmp_path):
    """It saves and ends; under nohup it goes on, though its terminal is gone."""
    def prepare():
        os.setsid()
        os.close(os.open(os.ttyname(0), os.O_RDWR))     # makes it the terminal of this session
        if ignores:
            signal.signal(signal.SIGHUP, signal.SIG_IGN)

    here, there = pty.openpty()
    process = subprocess.Popen(train(data, tmp_path / 'run'), env=ENVIRONMENT, stdin=there,
                               stdout=there, stderr=there, preexec_fn=prepare)
    os.close(there)
    wait_for_rows(process, tmp_path / 'run')
    os.close(here)
    if ignores:
        wait_for_rows(process, tmp_path / 'run', 10)
        process.terminate()
    assert process.wait(timeout=TIMEOUT) == 75
    step = checkpoint.load(tmp_path / 'run/last.safetensors').about['run']['step']
    assert step >= 10 or not ignores
    assert_nothing_stays(tmp_path / 'run')


@pytest.mark.crash
@pytest.mark.parametrize('pause', [.002, .05])
def test_a_storm_of_ctrl_c(pause, data, tmp_path):
    process = start(train(data, tmp_path / 'run'))
    wait_for_rows(process, tmp_path / 'run')
    while process.poll() is None:
        process.send_signal(signal.SIGINT)
        time.sleep(pause)
    _, stderr = process.communicate(timeout=TIMEOUT)
    assert process.returncode == 75 and 'Traceback' not in stderr
    assert stderr.count('tinyfcn: ') == 1, stderr
    assert_nothing_stays(tmp_path / 'run')


@pytest.mark.crash
@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_a_signal_while_a_run_starts(number, data, tmp_path):
    """During imports, while the data set is read, while threads start."""
    for i in range(6):
        folder = tmp_path / str(i)
        process = start(train(data, folder))
        assert process.stdout.readline() == 'begun\n'
        time.sleep(.02 + .15 * i)
        process.send_signal(number)
        _, stderr = process.communicate(timeout=TIMEOUT)
        assert 'Traceback' not in stderr, (i, stderr)
        assert process.returncode in (75, -number, 128 + number), (i, stderr)
        if number != signal.SIGKILL:
            assert_nothing_stays(folder)
        assert not processes_of(folder)


# ---- Other commands

@pytest.mark.crash
@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_command_that_is_stopped_cleans_up(number, data, tmp_path):
    n = build('tiny_8s', 2)
    n.about['preprocess'] = CENTRED
    n.save(tmp_path / 'net.safetensors')
    images = tmp_path / 'images'
    images.mkdir()
    for i in range(300):
        copy(data / 'images/00.png', images / f'{i:03}.png')
    for i in range(3):
        out = tmp_path / f'out{i}'
        process = start(command('predict', tmp_path / 'net.safetensors', images, '-o', out))
        while process.poll() is None and not (out.exists() and any(out.iterdir())):
            time.sleep(.005)
        time.sleep(.03 * i)
        process.send_signal(number)
        _, stderr = process.communicate(timeout=TIMEOUT)
        assert 'Traceback' not in stderr
        assert process.returncode == 128 + number, stderr
        assert not [*out.glob('.*')]


@pytest.mark.crash
def test_ctrl_c_during_imports_prints_no_traceback():
    for i in range(8):
        process = start(command('train', '--help'), stdin=subprocess.DEVNULL)
        assert process.stdout.readline() == 'begun\n'
        time.sleep(.02 + .02 * i)
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=TIMEOUT)
        assert stderr in ('', '\ntinyfcn: aborted\n'), (i, stderr)
        assert process.returncode in (0, -signal.SIGINT, 130)


# a signal in a callback, whose exceptions Python ignores, and one before the command has begun
IGNORED = (
    'import signal, sys, time, weakref\n'
    'from tinyfcn import cli\n'
    'from tinyfcn.__main__ import main\n'
    'class Thing: pass\n'
    'def run(argv=None):\n'
    '    if sys.argv[1] == "callback":\n'
    '        thing = Thing()\n'
    '        ref = weakref.ref(thing, lambda ref: signal.raise_signal(signal.SIGTERM))\n'
    '        del thing\n'
    '        time.sleep(20)\n'
    '    signal.raise_signal(signal.SIGTERM)\n'
    'cli.main = run\n'
    'sys.exit(main())')


@pytest.mark.parametrize('when', ['callback', 'start'])
def test_no_signal_is_lost_or_prints_a_traceback(when):
    run = subprocess.run([sys.executable, '-c', IGNORED, when], env=ENVIRONMENT,
                         capture_output=True, text=True, timeout=15)
    assert (run.returncode, run.stdout, run.stderr) == (143, '', '')


@pytest.mark.parametrize('limit', [100, 400])
def test_too_little_address_space_is_reported_in_a_sentence(limit):
    def limit_address_space():
        resource.setrlimit(resource.RLIMIT_AS, (limit << 20, limit << 20))

    run = subprocess.run(command('summary', 'tiny_8s'), env=ENVIRONMENT, capture_output=True,
                         text=True, preexec_fn=limit_address_space)
    assert run.returncode == 2
    assert run.stderr.startswith(f'tinyfcn: this process may take {(limit << 20) / 1e6:.0f} MB')
    assert run.stderr.count('\n') == 1
