"""Kill trainings at random moments and resume them, until the kills of a campaign are spent.

A run is killed four times and then finished; what is then in its folder must equal, bit for bit,
what an undisturbed run has. `make test-more` spends a few kills; all of them, ten to
twenty minutes on two cores:

    TINYFCN_CAMPAIGN=full python -m pytest -m "crash or mpi" -k campaign
"""
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from tinyfcn.training import checkpoint

IS_FULL = os.environ.get('TINYFCN_CAMPAIGN') == 'full'
KILLS_OF_A_RUN = 4
KILLS = 72 if IS_FULL else 8            # of one process
KILLS_OF_RANKS = 24 if IS_FULL else 2
FIGHTS = 20 if IS_FULL else 1           # two trainings in one folder
SETTINGS = ['net=fcn_squeezenet_8s', 'init_from=None', 'steps=60', 'validate_every=20',
            'iter_size=2', 'batch=2', 'optimizer=sgd', 'lr=0.01', 'scale_range=(.7,1.3)',
            'crop_size=(24,32)']
ENVIRONMENT = {**os.environ, 'OPENBLAS_NUM_THREADS': '1', 'PYTHONWARNINGS': 'error',
               'TINYFCN_THREADS': '2'}
TIMEOUT = 120           # seconds after which a run that hangs fails


class Kill(NamedTuple):
    """A signal to a process of the run, numbered as they start: 0 was started by the test."""
    process: int
    number: int
    codes: tuple[int, ...]              # exit codes that are right then


STOPPED = 75
KILLS_OF_PROCESS = [
    Kill(0, signal.SIGKILL, (-9,)),
    Kill(0, signal.SIGTERM, (STOPPED, -15, 143)),
    Kill(0, signal.SIGINT, (STOPPED, -2, 130)),
    Kill(0, signal.SIGHUP, (STOPPED, -1, 129)),
]
KILLS_OF_JOB = [
    Kill(0, signal.SIGKILL, (-9,)),     # mpiexec
    Kill(0, signal.SIGINT, (STOPPED,)),
    Kill(1, signal.SIGKILL, (9, 137)),  # a rank
    Kill(2, signal.SIGKILL, (9, 137)),
    Kill(1, signal.SIGTERM, (STOPPED,)),
    Kill(2, signal.SIGINT, (STOPPED,)),
    Kill(2, signal.SIGHUP, (STOPPED,)),
]


def arguments(dataset, folder, *more):
    return ['-m', 'tinyfcn', 'train', 'folder', '--data', str(dataset), '--run', str(folder),
            '--seed', '5', '--resume', '--set', *SETTINGS, *more]


def start(dataset, folder, launcher=(), more=()):
    return subprocess.Popen([*launcher, sys.executable, *arguments(dataset, folder, *more)],
                            env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            text=True)


def finish(process):
    """-> stderr of a run that ends well"""
    stdout, stderr = process.communicate(timeout=TIMEOUT)
    assert process.returncode == 0, (process.returncode, stdout, stderr)
    return stderr


def uninterrupted(dataset, folder, launcher=()):
    """-> what is in the folder of an undisturbed run"""
    finish(start(dataset, folder, launcher))
    return read_run(folder)


def fight(dataset, folder, rng):
    """Start two trainings in one folder: one is refused; kill the other, and finish."""
    both = [start(dataset, folder) for _ in range(2)]
    end = time.monotonic() + TIMEOUT
    while all(process.poll() is None for process in both) and time.monotonic() < end:
        time.sleep(.005)
    both.sort(key=lambda process: process.poll() is None)
    refused, winner = both
    _, stderr = refused.communicate(timeout=TIMEOUT)
    assert refused.returncode == 2, stderr
    assert 'another process is training in this folder' in stderr
    wait_for_rows(winner, folder, 1)
    time.sleep(.5 * rng.random())
    winner.kill()
    winner.communicate(timeout=TIMEOUT)
    finish(start(dataset, folder))
    return read_run(folder)


def spend(kills, kinds, dataset, folder, expected, launcher=()):
    """Spend so many kills on runs in `folder`, two runs at a time. -> how many of each kind"""
    rng = random.Random(17)
    plan = [(kinds[i % len(kinds)], rng.random(), rng.random() < .2) for i in range(kills)]
    rng.shuffle(plan)
    plan = iter(plan)
    runs = iter(lambda: [*islice(plan, KILLS_OF_A_RUN)], [])

    def one(numbered):
        number, own_kills = numbered
        run = folder / str(number)
        spent = []
        for kill, moment, at_start in own_kills:
            while not (code := interrupt(dataset, run, kill, moment, at_start, launcher)):
                (run / 'last.safetensors').rename(folder / f'{number}.ended')
                for path in run.iterdir():              # it ended before: from the beginning
                    path.unlink()
            spent.append((kill.process, signal.Signals(kill.number).name, code))
        finish(start(dataset, run, launcher))
        return run, spent

    with ThreadPoolExecutor(2) as pool:
        done = [*pool.map(one, enumerate(runs))]
    for run, spent in done:
        found = read_run(run)
        assert found.keys() == expected.keys()
        different = [key for key in found if found[key] != expected[key]]
        assert not different, (run, spent, different)
    assert not [*folder.glob('*/.*')]
    return Counter(each for _, spent in done for each in spent)


def interrupt(dataset, folder, kill, moment, at_start, launcher):
    """Start or resume a run and kill one of its processes. -> exit code, 0 if it ended before"""
    process = start(dataset, folder, launcher)
    if at_start and kill.number != signal.SIGINT and not kill.process:
        time.sleep(.2 + 2 * moment)                     # while modules are imported, and later
    else:
        wait_for_rows(process, folder, count_rows(folder) + 1)
        time.sleep(.5 * moment)
    victims = [process.pid, *processes_of(folder, process.pid)]
    if len(victims) > kill.process:
        try:
            os.kill(victims[kill.process], kill.number)
        except ProcessLookupError:                      # it has just ended
            pass
    _, stderr = process.communicate(timeout=TIMEOUT)
    assert process.returncode in (0, *kill.codes), (kill, process.returncode, stderr)
    assert 'Traceback' not in stderr, (kill, stderr)
    end = time.monotonic() + 10
    while remaining := processes_of(folder):
        assert time.monotonic() < end, (kill, remaining)
        time.sleep(.02)
    return process.returncode


def wait_for_rows(process, folder, count):
    end = time.monotonic() + TIMEOUT
    while count_rows(folder) < count and process.poll() is None and time.monotonic() < end:
        time.sleep(.005)


def count_rows(folder):
    log = folder / 'metrics.jsonl'
    return log.read_bytes().count(b'\n') if log.exists() else 0


def processes_of(folder, without=None):
    """The ids of all processes with this folder on their command line, the oldest first."""
    found = []
    for path in Path('/proc').glob('[0-9]*'):
        try:
            if bytes(folder) in (path / 'cmdline').read_bytes().split(b'\0'):
                found.append(int(path.name))
        except OSError:                                 # it has ended
            pass
    return sorted({*found} - {without})


def read_run(folder):
    """Everything that has to be the same: weights, memory, state, rows except for the seconds."""
    contents = {}
    for name in 'last', 'best':
        saved = checkpoint.load(folder / f'{name}.safetensors')
        for key, w in saved.weights.items():
            contents[f'{name} {key}'] = w.tobytes()
        for kind, values in saved.memory.items():
            for key, w in values.items():
                contents[f'{name} {kind} {key}'] = w.tobytes()
        contents[name] = json.dumps(saved.about['run'], sort_keys=True)
    rows = [json.loads(line) for line in (folder / 'metrics.jsonl').read_text().splitlines()]
    for row in rows:
        del row['seconds']
    contents['rows'] = json.dumps(rows)
    return contents
