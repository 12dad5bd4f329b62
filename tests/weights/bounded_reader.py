"""Read files in a process of its own, which has little memory and little time.

Such a process answers one file after another. It measures the memory that each needed at most, and
how long it took; a limit of the system (RLIMIT_AS) stands behind it, and a time limit that kills.
"""
import json
import os
import select
import subprocess
import sys
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from time import process_time
from typing import NamedTuple

from tinyfcn import weights

STATUS = Path('/proc/self/status')
LIMIT = 2 << 30                 # bytes of addresses beyond those that the process begins with
TIMEOUT = 30                    # seconds without an answer


class Outcome(NamedTuple):
    """What became of one file."""
    kind: str                   # 'read', 'refused', or what else was raised
    message: str
    memory: int                 # bytes at most, beyond those before
    seconds: float              # of the processor
    names: list                 # of the arrays that were read
    size: int                   # bytes of these arrays


class BoundedReader:
    """A process that reads files: `name` is a function of tinyfcn.weights, or a module's `load`.

    Or any function, as in 'tinyfcn.data.mat.read_mat S': words after it are arguments. Weights are
    refused by FormatError, other files by ValueError.
    """

    def __init__(self, limit=LIMIT):
        self.lines = deque()            # answers that have come and were not asked for yet
        self.process = subprocess.Popen(
            [sys.executable, __file__, str(limit)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            text=True, env={**os.environ, 'PYTHONPATH': os.pathsep.join(sys.path)})

    def read(self, path, name='read_raw', timeout=TIMEOUT):
        """-> Outcome.   AssertionError if the process dies or does not answer."""
        self.ask(path, name)
        return self.answer(path, timeout)

    def read_all(self, paths, name):
        """-> the Outcome of each of a few files. The process need not wait for us between them."""
        for path in paths:
            self.ask(path, name)
        return [self.answer(path) for path in paths]

    def ask(self, path, name):
        print(json.dumps([str(path), name]), file=self.process.stdin, flush=True)

    def answer(self, path, timeout=TIMEOUT):
        if not self.lines:
            self.receive(path, timeout)
        return Outcome(*json.loads(self.lines.popleft()))

    def receive(self, path, timeout):
        """Wait for whole lines, as many as there are."""
        received = b''
        while not received.endswith(b'\n'):
            answered, _, _ = select.select([self.process.stdout], [], [], timeout)
            if not answered:
                self.close()
                raise AssertionError(f'{path}: no answer within {timeout} s')
            part = os.read(self.process.stdout.fileno(), 1 << 16)
            assert part, f'{path}: the process died, with exit code {self.process.wait()}'
            received += part
        self.lines.extend(received.splitlines())

    def close(self):
        self.process.stdin.close()
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


@contextmanager
def bounded_reader(**kwargs):
    reader = BoundedReader(**kwargs)
    try:
        yield reader
    finally:
        reader.close()


def status(key):
    """Bytes, by a line of /proc/self/status."""
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith(f'{key}:'))
    return int(line.split()[1]) << 10


def read(path, name):
    name, *args = name.split(' ')
    module, _, function = name.rpartition('.')
    reader = getattr(import_module(module) if module else weights, function)
    load = getattr(reader, 'load', reader)
    refusal = ValueError if module else weights.FormatError
    arrays = {}
    message = ''
    Path('/proc/self/clear_refs').write_text('5')       # the peak begins anew
    before = status('VmRSS')
    start = process_time()
    try:
        found = load(Path(path), *args)
        if isinstance(found, Iterator):
            found = [*found]
        if not module:
            arrays, _ = found
        kind = 'read'
    except refusal as error:
        kind = 'refused'
        message = str(error)
    except Exception as error:
        kind = type(error).__name__
        message = str(error)
    seconds = process_time() - start
    memory = max(0, status('VmHWM') - before)
    size = sum(array.nbytes for array in arrays.values())
    return Outcome(kind, message, memory, seconds, [*arrays][:100], size)


def serve(limit):
    try:                                                # before the limit holds
        import_module('h5py')
    except ImportError:
        pass
    most = status('VmSize') + limit
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    for line in sys.stdin:
        print(json.dumps(read(*json.loads(line))), flush=True)


if __name__ == '__main__':
    serve(int(sys.argv[1]))
