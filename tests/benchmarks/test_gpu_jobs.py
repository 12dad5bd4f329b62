"""Jobs of benchmarks/gpu_jobs.py: some raise, are killed, hang; others have no time left."""
import sys
from pathlib import Path
from time import monotonic

import pytest

sys.path.append(str(Path(__file__).parents[2] / 'benchmarks'))

# isort: split
from gpu_jobs import Job, append, failure_lines, read_log, run_jobs, supervise, worker_command

BENCHMARKS = Path(__file__).parents[2] / 'benchmarks'
WORKER = f'''
import os, signal, subprocess, sys, time
from pathlib import Path
sys.path.append({str(BENCHMARKS)!r})
from gpu_jobs import Job, run_jobs

spoiled = False

def rows():
    yield dict(name='first', pid=os.getpid())
    yield dict(name='second', pid=os.getpid())

def raises():
    raise ValueError('no such thing')

def spoils():
    global spoiled
    spoiled = True
    raise OSError('illegal address')

def kills():
    os.kill(os.getpid(), signal.SIGKILL)

def hangs():
    yield dict(name='child', pid=subprocess.Popen(['sleep', '60']).pid)
    time.sleep(60)

def sleeps():
    time.sleep(60)

jobs = [Job('rows', rows), Job('sleeps', sleeps), Job('raises', raises), Job('spoils', spoils),
        Job('kills', kills), Job('hangs', hangs, limit=.2, share=0), Job('last', rows)]
jobs = [job for job in jobs if job.name in sys.argv[2:]]
path = Path(sys.argv[1])
sys.exit(run_jobs(jobs, path, float(sys.argv[-1]), lambda: not spoiled))
'''


@pytest.fixture
def run_worker(tmp_path):
    """A function of jobs and seconds -> the Log"""
    script = tmp_path / 'worker.py'
    script.write_text(WORKER)
    path = tmp_path / 'log.jsonl'
    return lambda jobs, seconds: supervise(worker_command(script, path, *jobs), path, seconds)


def test_every_other_job_is_done_and_each_failure_has_its_reason(run_worker, capsys):
    names = 'rows', 'raises', 'spoils', 'kills', 'hangs', 'last'
    log = run_worker(names, 30)
    assert log.planned == [*names] and log.ended == {'rows', 'last'} and not log.not_run
    assert log.failed == dict(
        raises='ValueError: no such thing', spoils='OSError: illegal address',
        kills='its process was killed by SIGKILL', hangs='not done after 0.2 s: killed')
    first, second, child, *last = log.rows
    assert first['pid'] == second['pid'] != last[0]['pid'] == last[1]['pid']
    assert has_ended(child['pid'])                      # what a worker has started ends with it
    assert 'FAILED: kills: its process was killed by SIGKILL' in capsys.readouterr().out


def has_ended(pid):
    """Whether a process is gone, or a zombie that nothing has waited for."""
    try:
        return Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()[0] in 'ZX'
    except FileNotFoundError:
        return True


def test_when_the_time_is_up_the_rest_is_named(run_worker):
    for seconds in 0, .2, 2, 20:                        # a busy machine needs more for the start
        began = monotonic()
        log = run_worker(['rows', 'sleeps', 'last'], seconds)
        assert monotonic() - began < seconds + 10
        if log.ended:
            break
    assert log.ended == {'rows'} and log.not_run == ['sleeps', 'last'] and not log.failed
    assert [*failure_lines(log)] == [
        '- No time was left for 2 of 3; the first are sleeps; last']


def test_a_worker_that_does_not_start_is_not_started_for_ever(tmp_path):
    script = tmp_path / 'worker.py'
    script.write_text('raise SystemExit("no GPU computes")')
    log = supervise(worker_command(script), tmp_path / 'log.jsonl', 30)
    assert log.stopped == 'its process ended with exit code 1; log.txt ends: no GPU computes'
    assert [*failure_lines(log)] == [f'- STOPPED: {log.stopped}']


def test_a_second_run_does_what_the_first_one_had_no_time_for(tmp_path):
    calls = []

    def job(name, **needs):
        return Job(name, lambda: calls.append(name) or [dict(name=name)], **needs)

    path = tmp_path / 'log.jsonl'
    run_jobs([job('short'), job('long', needs=1e9)], path, monotonic() + 60)
    log = read_log(path)
    assert calls == ['short'] and log.not_run == ['long']
    append(path, dict(job='long', begin=9))
    append(path, dict(job='long', row=dict(name='half of it')))
    with path.open('a') as file:                        # the process was killed while it wrote
        file.write('{"job": "long", "ro\n')
    assert read_log(path).running == 'long'
    run_jobs([job('short'), job('long')], path, monotonic() + 60)
    assert calls == ['short', 'long']
    assert read_log(path).rows == [dict(name='short'), dict(name='long')]
