"""Fetch weights while connections break, disks fill and processes are killed, and watch the cache.

Every run has a cache and a mirror of its own, and one kind of trouble. While it lasts the cache is
looked at all the time: whatever has the final name of a file must be all of the right one. In the
end the file must be there, and nothing else of it. `make test-more` does a few runs; all of them,
about three minutes on two cores:

    TINYFCN_CAMPAIGN=full python -m pytest -m crash -k cache
"""
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from local_mirror import npz_bytes, running_server

IS_FULL = os.environ.get('TINYFCN_CAMPAIGN') == 'full'
RUNS = 200 if IS_FULL else 10
FILE = 'small.npz'
DATA = npz_bytes(1, count=700_000)      # 2.8 MB
OTHER = npz_bytes(2, count=700_000)
SHA256 = hashlib.sha256(DATA).hexdigest()
CUTS = 10
TIMEOUT = 60            # seconds after which a process that hangs fails
DEAD = 'http://127.0.0.1:9/small.npz'
FAILED = 2              # exit code
KILLED = -signal.SIGKILL


class Run:
    """A cache, a mirror and a random number generator, and what was seen of the cache."""

    def __init__(self, number, folder, server):
        self.rng = random.Random(number)
        self.cache = folder / str(number)
        self.final = self.cache / 'weights/small' / FILE
        self.server = server
        self.path = f'{number}'                         # of the file on the server
        self.mirrors = [server.serve(self.path, DATA)]
        self.checksum = SHA256
        self.looks = Counter()
        self.is_over = threading.Event()

    def start(self, *arguments, limit=None):
        job = json.dumps(dict(rows=[[FILE, self.mirrors, self.checksum]], limit=limit))
        return subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name('weights_job.py')), job, 'small',
             *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            cwd=Path(__file__).parents[2],
            env={**os.environ, 'TINYFCN_CACHE': str(self.cache), 'no_proxy': '*',
                 'PYTHONPATH': '.', 'OPENBLAS_NUM_THREADS': '1'})

    def behave(self, *behaviours):
        self.server.behaviours[self.path] = [*behaviours]

    def finish(self):
        """Fetch without trouble."""
        self.behave('ok')
        end(self.start(), 0)

    def watch(self):
        """Look at the file until the run is over; each version of it is read once."""
        seen = set()
        while not self.is_over.wait(.002):
            self.looks['looks'] += 1
            try:
                found = self.final.stat()
                version = found.st_ino, found.st_size, found.st_mtime_ns
                if version not in seen:
                    seen.add(version)
                    is_right = self.final.read_bytes() == DATA
                    self.looks['right' if is_right else 'wrong'] += 1
            except FileNotFoundError:
                pass


def kill_after(run, process, seconds):
    """kill -9 a process, if it has not ended yet."""
    time.sleep(run.rng.uniform(*seconds))
    process.kill()
    end(process, KILLED, 0)
    run.looks['killed'] += process.returncode == KILLED


def end(process, *codes):
    """-> stderr of a process that ends with one of these codes"""
    stdout, stderr = process.communicate(timeout=TIMEOUT)
    assert process.returncode in codes, (process.returncode, stdout, stderr)
    assert 'Traceback' not in stderr, stderr
    return stderr


# ---- trouble -------------------------------------------------------------------------------------

def cuts(run):
    """The connection breaks at ten random places; the file is not begun again."""
    run.behave(*(f'cut:{run.rng.randrange(len(DATA) // CUTS)}' for _ in range(CUTS)), 'ok')
    while True:
        process = run.start()
        end(process, 0, FAILED)                         # after three short pieces in a row
        if process.returncode == 0:
            break
    ranges = [wanted for path, wanted in run.server.requests if path == run.path]
    starts = [int(wanted[6:-1]) if wanted else 0 for wanted in ranges]
    assert len(ranges) == CUTS + 1 and starts == sorted(starts), starts


def wrong_file(run):
    """The first mirror has another file, or something else."""
    data = run.rng.choice([OTHER, DATA[:-1], DATA + b'\0', DATA[:9] + b'\0' + DATA[10:], b'<html>'])
    run.checksum = SHA256[:run.rng.choice([8, 64])]
    run.mirrors.insert(0, run.server.serve(f'{run.path}.wrong', data))
    end(run.start(), 0)


def dead_mirror(run):
    run.mirrors.insert(0, DEAD)
    assert DEAD not in end(run.start(), 0).splitlines()


def slow_mirror(run):
    run.behave(f'slow:{run.rng.randrange(50_000, 200_000)}')
    end(run.start(), 0)


def two_at_once(run):
    run.behave(f'slow:{run.rng.randrange(100_000, 1_000_000)}')
    both = [run.start() for _ in range(2)]
    for process in both:
        end(process, 0)
    assert len([path for path, _ in run.server.requests if path == run.path]) == 1


def full_disk(run):
    error = end(run.start(limit=run.rng.randrange(1, len(DATA))), FAILED)
    assert 'File too large; free some space' in error, error


def kill(run):
    """kill -9, three times, at any moment; then it goes on."""
    run.behave(f'slow:{run.rng.randrange(50_000, 500_000)}')
    for _ in range(3):
        kill_after(run, run.start(), (.1, .7))


def kill_a_copy(run):
    """The same, while a file of one's own is copied."""
    own = run.cache.with_suffix('.npz')
    own.write_bytes(DATA)
    for _ in range(3):
        kill_after(run, run.start('--from', own), (.1, .4))


def kill_one_of_two(run):
    """The other one continues."""
    run.behave(f'slow:{run.rng.randrange(50_000, 500_000)}')
    both = [run.start() for _ in range(2)]
    victim, other = both if run.rng.random() < .5 else both[::-1]
    kill_after(run, victim, (.1, .7))
    end(other, 0)


def damage(run):
    """What lies in the cache is damaged: it is set aside, and fetched again."""
    run.finish()
    run.is_over.set()                                   # that it is wrong now is no surprise
    data = bytearray(DATA)
    data[run.rng.randrange(len(data))] ^= 1
    run.final.write_bytes(run.rng.choice([bytes(data), data[:run.rng.randrange(len(data))]]))
    run.finish()
    run.final.with_name(f'{FILE}.bad').unlink()


TROUBLES = [cuts, wrong_file, dead_mirror, slow_mirror, two_at_once, full_disk, kill, kill_a_copy,
            kill_one_of_two, damage]


# ---- all runs ------------------------------------------------------------------------------------

def one_run(number, folder):
    """-> the trouble of this run, and what was seen of the cache"""
    trouble = TROUBLES[number % len(TROUBLES)]
    with running_server() as server:
        run = Run(number, folder, server)
        watcher = threading.Thread(target=run.watch)
        watcher.start()
        try:
            trouble(run)
            run.finish()
        finally:
            run.is_over.set()
            watcher.join()
    assert run.final.read_bytes() == DATA
    assert not run.looks['wrong'], (trouble.__name__, number)
    left = sorted(path.name for path in run.final.parent.iterdir())
    assert left == [FILE, f'{FILE}.verified'], (trouble.__name__, number, left)
    return trouble.__name__, run.looks


def campaign(folder):
    """-> how many runs there were of each kind, and what was seen of the cache"""
    kinds = Counter()
    looks = Counter()
    with ThreadPoolExecutor(2) as pool:
        for kind, seen in pool.map(lambda number: one_run(number, folder), range(RUNS)):
            kinds[kind] += 1
            looks += seen
    return kinds, looks
