"""Jobs on a GPU: each may raise, hang or be killed, and the others still run.

    jobs = [Job('conv1_2', run), …]             run() yields rows, dicts of what was measured
    run_jobs(jobs, path, deadline)              in a worker process: those that the log has not yet
    log = supervise(command, path, seconds)     start workers until all jobs are done

After a CUDA error every later call of a process fails. So the worker ends after such a job, and a
new one goes on with the next. A worker that hangs is killed, and so is the last one when the time
is up. The log is a file of JSON lines, each written as soon as it is known:

    {"jobs": ["conv1_2", …], "pid": 99}         a worker has started; all jobs, in their order
    {"job": "conv1_2", "begin": 60}             it may take 60 seconds
    {"job": "conv1_2", "row": {…}}              a job may have several rows
    {"job": "conv1_2", "end": 3.2}              it took so many seconds; or "failed": why

Jobs that have ended or failed are not run again with the same log.
"""
import json
import os
import signal
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from subprocess import STDOUT, Popen, TimeoutExpired
from time import monotonic, sleep  # monotonic: one clock for all processes of a machine
from typing import Any, NamedTuple

from tqdm import tqdm

START_SECONDS = 90.     # in which a worker must have begun a job, or the next one
FRESH_WORKER = 3        # exit code: another process must go on
MAX_STARTS = 2          # of workers, one after the other, that get no job done
POLL_SECONDS = .05
MESSAGE = 300           # characters of an error
SHOWN_NAMES = 8         # of the jobs that there was no time for


class Job(NamedTuple):
    """Something to measure."""

    name: str                           # no other job has it
    run: Callable[[], Iterable[dict[str, Any]]]
    # after `limit` seconds and this share of the seconds left it is taken to hang
    limit: float = 10.
    share: float = .2
    needs: float = 0.                   # seconds that must be left to begin it


@dataclass
class Log:
    """What the lines of a log say."""

    rows_of: dict[str, list[dict[str, Any]]] = field(default_factory=dict)      # each job's
    planned: list[str] = field(default_factory=list)
    ended: set[str] = field(default_factory=set)
    failed: dict[str, str] = field(default_factory=dict)        # {job: why}
    running: str | None = None
    stopped: str = ''                   # why no further worker was started

    @property
    def rows(self):
        return [row for rows in self.rows_of.values() for row in rows]

    @property
    def done(self):
        return self.ended | self.failed.keys()

    @property
    def not_run(self):
        """The jobs that there was no time for, in their order."""
        return [name for name in self.planned if name not in self.done]

    def add(self, event):
        job = event.get('job')
        if 'jobs' in event:
            self.planned += [name for name in event['jobs'] if name not in self.planned]
            self.running = None
        elif 'begin' in event:
            self.running = job
            self.rows_of[job] = []          # it may have begun before, and not ended
        elif 'row' in event:
            self.rows_of.setdefault(job, []).append(event['row'])
        elif 'end' in event:
            self.ended.add(job)
            self.running = None
        elif job:
            self.failed[job] = event['failed']
            self.running = None
        else:
            self.stopped = event['stopped']


def read_log(path):
    """The Log of a file; an empty one where there is no file."""
    log = Log()
    text = path.read_text('utf-8') if path.exists() else ''
    for event in _events(text):
        log.add(event)
    return log


def _events(text):
    for line in text.splitlines():
        with suppress(json.JSONDecodeError):    # a line that was being written when its worker died
            yield json.loads(line)


def append(path, event):
    """Write one line, at once: what is written stays, however this process ends."""
    with path.open('ab', buffering=0) as file:
        file.write(f'{json.dumps(event)}\n'.encode())


# ---- The worker ----------------------------------------------------------------------------------

def run_jobs(jobs, path, deadline, is_usable=lambda: True):
    """Run the jobs that the log has not yet, while time is left. -> the exit code of the worker

    deadline: by monotonic()
    is_usable(): asked after a failure, whether this process can still compute on its device
    """
    jobs = list(jobs)
    done = read_log(path).done
    append(path, dict(jobs=[job.name for job in jobs], pid=os.getpid()))
    for job in jobs:
        left = deadline - monotonic()
        if job.name in done or left < max(job.needs, 0):
            continue
        if not _run(job, path, job.limit + job.share * left) and not is_usable():
            return FRESH_WORKER
    return 0


def _run(job, path, limit):
    """Whether the job ran to its end."""
    append(path, dict(job=job.name, begin=round(limit, 1)))
    began = monotonic()
    try:
        for row in job.run():
            append(path, dict(job=job.name, row=row))
    except Exception as error:                  # the other jobs go on
        append(path, dict(job=job.name, failed=describe(error)))
        return False
    append(path, dict(job=job.name, end=round(monotonic() - began, 3)))
    return True


def describe(error):
    """In one line, of a compiler too."""
    return f'{type(error).__name__}: {" ".join(str(error).split())[:MESSAGE]}'


# ---- The supervisor ------------------------------------------------------------------------------

def supervise(command, path, seconds):
    """Run workers, `command --worker DEADLINE`, until all is done or the time is up. -> the Log

    Failures are printed as they come, and on a terminal how many jobs are done. What the workers
    print goes to a file beside the log, with the suffix .txt.
    """
    deadline = monotonic() + seconds
    output = path.with_suffix('.txt')
    fruitless = 0
    with tqdm(desc=path.stem, disable=None) as bar:
        while monotonic() < deadline:
            done = read_log(path).done
            reason = _run_worker([*map(str, command), '--worker', str(deadline)], path, output,
                                 deadline, bar)
            log = read_log(path)
            if not reason or monotonic() >= deadline:
                break
            if log.running:
                _append_and_show(path, dict(job=log.running, failed=reason), bar)
                continue
            fruitless = fruitless + 1 if log.done == done else 0
            if fruitless == MAX_STARTS:
                append(path, dict(stopped=f'{reason}; {output.name} ends: {last_line(output)}'))
                break
    return read_log(path)


def _run_worker(command, path, output, deadline, bar):
    """Start a worker and wait for its end, or kill it. -> why it ended; '' if it did all"""
    position = path.stat().st_size if path.exists() else 0
    with output.open('ab') as file:
        worker = Popen(command, stdout=file, stderr=STDOUT, start_new_session=True)
    limit = START_SECONDS
    since = monotonic()
    try:
        while True:
            code = worker.poll()
            events, position = _read_on(path, position)
            for event in events:
                _show(event, bar)
                if 'row' not in event:
                    limit = event.get('begin', START_SECONDS)
                    since = monotonic()
            if code is not None:
                return _reason(code)
            if monotonic() > deadline:
                return 'the time was up'
            if monotonic() > since + limit:
                return f'not done after {limit:g} s: killed'
            sleep(POLL_SECONDS)
    finally:
        _kill(worker)


def _append_and_show(path, event, bar):
    append(path, event)
    _show(event, bar)


def _show(event, bar):
    """Move the bar on, print a failure."""
    if 'jobs' in event:
        bar.total = len(event['jobs'])
    elif 'end' in event:
        bar.update()
    elif 'failed' in event:
        bar.update()
        bar.write(f'FAILED: {event["job"]}: {event["failed"]}')


def _read_on(path, position):
    """-> the events behind this position of a log, the position behind them"""
    if not path.exists():
        return [], position
    with path.open('rb') as file:
        file.seek(position)
        complete = file.read().rpartition(b'\n')[0]
    return list(_events(complete.decode())), position + len(complete) + bool(complete)


def _reason(code):
    if code < 0:
        return f'its process was killed by {signal.Signals(-code).name}'
    return f'its process ended with exit code {code}' if code else ''


def _kill(worker):
    """Kill the worker, if it still runs, and the processes that it started."""
    with suppress(ProcessLookupError):
        os.killpg(worker.pid, signal.SIGKILL)
    with suppress(TimeoutExpired):              # a process in its driver may take long to die
        worker.wait(5)


def last_line(path):
    lines = path.read_text('utf-8', 'replace').strip().splitlines()
    return lines[-1] if lines else ''


def worker_command(script, *options):
    return [sys.executable, *map(str, (script, *options))]


def failure_lines(log):
    """Lines of Markdown: what failed, and what there was no time for."""
    yield from (f'- FAILED: {job}: {why}' for job, why in log.failed.items())
    if log.stopped:
        yield f'- STOPPED: {log.stopped}'
    if log.not_run:
        names = '; '.join(log.not_run[:SHOWN_NAMES])
        yield (f'- No time was left for {len(log.not_run)} of {len(log.planned)}; the first are '
               f'{names}')
