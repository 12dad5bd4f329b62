"""A process of its own for a notebook, with limits, and calls into it."""
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Timer
from typing import Any

from .codec import decode, encode

MEMORY = 1 << 32                # bytes
RUN_SECONDS = 300               # for all cells
CALL_SECONDS = 60               # for all cases of an exercise
MAX_REPLY = 1 << 26             # bytes of a line
PACKAGE = Path(__file__).parents[3]     # the folder that tinyfcn is in


class Stopped(Exception):
    """The process has ended, or had to be ended: why."""


class StudentProcess:
    """with StudentProcess(cells) as student: student.call('im2col_mine', args)

    errors: {number of a code cell: the error that it ended in}
    functions: the names of its functions
    network: what has closed the network: 'the kernel', or only 'Python'
    """

    def __init__(self, cells: list[str], run_seconds: float = RUN_SECONDS) -> None:
        self.errors: dict[int, str] = {}
        self.functions: set[str] = set()
        self.network = ''
        self.limit = 0.                 # seconds of what runs now
        self.is_late = False
        self.folder = TemporaryDirectory(ignore_cleanup_errors=True)
        self.process = subprocess.Popen(
            [sys.executable, '-m', f'{__package__}.student'], cwd=self.folder.name,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            env=self._environment(), start_new_session=True)
        try:
            self._run(cells, run_seconds)
        except BaseException:
            self.close()
            raise

    def _environment(self) -> dict[str, str]:
        """Little: a notebook should not see the keys that others keep in variables."""
        kept = {name: os.environ[name] for name in ('PATH', 'SYSTEMROOT', 'LANG')
                if name in os.environ}
        folder = self.folder.name
        return dict(kept, HOME=folder, TMPDIR=folder, TINYFCN_CACHE=os.path.join(folder, 'cache'),
                    IPYTHONDIR=os.path.join(folder, 'ipython'), MPLBACKEND='Agg',
                    MPLCONFIGDIR=folder, PYTHONPATH=str(PACKAGE), OPENBLAS_NUM_THREADS='1',
                    TINYFCN_THREADS='1')

    def _run(self, cells: list[str], seconds: float) -> None:
        cell = 0
        with self.time_limit(seconds):
            try:
                self._send(dict(cells=cells, memory=MEMORY, cpu=int(seconds + CALL_SECONDS)))
                self.network = str(self._receive().get('network', ''))
                while True:
                    reply = self._receive()
                    if 'functions' in reply:
                        self.functions = {*map(str, reply['functions'])}
                        return
                    cell = int(reply.get('cell', cell))
                    if 'error' in reply:
                        self.errors[cell] = str(reply['error'])
            except Stopped as stop:
                where = f'code cell {cell}' if cell else 'its start'
                raise Stopped(f'{where}: {stop}') from None

    def call(self, function: str, args: tuple[Any, ...]) -> dict[str, Any]:
        """Call a function of the notebook. -> the reply of notebook_run.answer, decoded"""
        self._send(dict(function=function, args=[encode(arg) for arg in args]))
        reply = self._receive()
        try:
            if 'returned' in reply:
                reply = dict(returned=decode(reply['returned']), args=[*map(decode, reply['args'])])
            return reply
        except (ValueError, TypeError, KeyError, RecursionError):
            raise Stopped('it answered with something unreadable') from None

    @contextmanager
    def time_limit(self, seconds: float) -> Iterator[None]:
        """Kill the process if the block takes longer."""
        timer = Timer(seconds, self._kill)
        self.limit = seconds
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _kill(self, is_late: bool = True) -> None:
        self.is_late = is_late
        with suppress(ProcessLookupError, PermissionError):
            if hasattr(os, 'killpg'):
                os.killpg(self.process.pid, signal.SIGKILL)     # with all that it has started
            else:
                self.process.kill()

    def _send(self, request: dict[str, Any]) -> None:
        assert self.process.stdin
        with suppress(OSError):                         # it has ended: the reply will say so
            self.process.stdin.write(json.dumps(request).encode() + b'\n')
            self.process.stdin.flush()

    def _receive(self) -> dict[str, Any]:
        """The next reply. Raises Stopped if the process ends, is late or writes anything else."""
        assert self.process.stdout
        line = self.process.stdout.readline(MAX_REPLY)
        if not line and self.is_late:
            raise Stopped(f'not done within {self.limit:g} s')
        if not line:
            raise Stopped(f'its process ended{self._exit_reason()}')
        try:
            reply = json.loads(line)
        except (ValueError, RecursionError):
            reply = None
        if not isinstance(reply, dict):
            raise Stopped('it answered with something unreadable')
        return reply

    def _exit_reason(self) -> str:
        """', killed by SIGSEGV', where a signal is the reason."""
        code = self.process.wait()
        if code >= 0:
            return ''
        return f', killed by {signal.Signals(-code).name}'

    def close(self) -> None:
        """End the process and remove its folder."""
        self._kill(is_late=False)
        self.process.wait()
        for pipe in self.process.stdin, self.process.stdout:
            with suppress(OSError):
                if pipe:
                    pipe.close()
        self.folder.cleanup()
