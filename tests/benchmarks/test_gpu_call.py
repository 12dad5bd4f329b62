"""The two calls of benchmarks/gpu_call.py, rehearsed on the real CuPy over the stand-in driver.

In each a kernel fails as an illegal access does, one worker is killed and one hangs. Both calls end
by themselves inside their seconds, and have measured the rest. The times mean nothing.
"""
import json
import os
import signal
import sys
import tarfile
from pathlib import Path
from subprocess import PIPE, Popen
from threading import Event, Thread
from time import monotonic

import pytest
from gpu_run_data import write_data

sys.path.append(str(Path(__file__).parents[2] / 'benchmarks'))

# isort: split
from gpu_jobs import read_log
from gpu_tables import rows_of

pytestmark = pytest.mark.cupy
BENCHMARKS = Path(__file__).parents[2] / 'benchmarks'
MAX_FILES = 8                       # that come back from a machine that is lent


class Disturber(Thread):
    """Sends a signal to the worker of a log as soon as it begins a certain job."""

    def __init__(self, signals):
        super().__init__(daemon=True)
        self.signals = signals              # {(log, job): signal}
        self.sent = []
        self.ended = Event()

    def run(self):
        while not self.ended.wait(.02):
            for (path, job), number in [*self.signals.items()]:
                pid = self.worker_in(path, job)
                if pid:
                    os.kill(pid, number)
                    self.sent.append(job)
                    del self.signals[path, job]

    def worker_in(self, path, job):
        """The process that runs this job now, or None."""
        if not path.exists() or read_log(path).running != job:
            return None
        lines = [json.loads(line) for line in path.read_text('utf-8').splitlines()]
        return [line['pid'] for line in lines if 'pid' in line][-1]


def call(*options, seconds, signals, kernel):
    """Run a call while it is disturbed. -> what it printed"""
    command = [sys.executable, BENCHMARKS / 'gpu_call.py', *options, '--seconds', seconds,
               '--width', '1/16']
    disturber = Disturber(signals)
    disturber.start()
    began = monotonic()
    process = Popen([*map(str, command)], stdout=PIPE, text=True,
                    env=dict(os.environ, FAKE_CUDA_FAIL=kernel))
    try:
        output, _ = process.communicate(timeout=2 * seconds)
    finally:
        process.kill()
        disturber.ended.set()
    assert process.returncode == 0, output
    assert monotonic() - began < seconds
    assert len(disturber.sent) == 2, disturber.sent
    return output


def check_folder(out, output):
    assert len([*out.iterdir()]) <= MAX_FILES
    assert all(path.is_file() for path in out.iterdir())
    assert (out / 'report.md').read_text('utf-8') in output
    with tarfile.open(out / 'call.tar.gz') as file:
        return file.getnames()


def test_call_a(real_cupy, tmp_path):
    """A Winograd kernel fails: the rest is timed without Winograd."""
    bench = tmp_path / 'gpu.jsonl'
    output = call('a', '--out', tmp_path, '--size', 64, seconds=75, kernel='transform_input',
                  signals={(bench, 'forward, float32, 8'): signal.SIGKILL,
                           (bench, 'forward, tf32, 1'): signal.SIGSTOP})
    log = read_log(bench)
    assert log.failed['forward, float32, 8'] == 'its process was killed by SIGKILL'
    assert 'killed' in log.failed['forward, tf32, 1'] and len(log.failed) == 2, log.failed
    assert {'products', 'ceilings', 'step, float32, 8', 'step, tf32, 1', 'conv1_1'} <= log.ended
    machine, = rows_of(log, 'machine')
    assert machine['without_torch']
    assert 'PyTorch is not measured' in output and 'without Winograd' in output
    check = read_log(tmp_path / 'gpu_check.jsonl')
    bad = [row for row in check.rows if row.get('message')]
    assert {'winograd-pad1'} <= {row['name'] for row in bad}
    assert all('illegal memory access' in row['message'] for row in bad)
    assert {'op softmax_cross_entropy-0'} <= check.ended or len(check.ended) > 3, check
    assert any(name.startswith('kernels/') for name in check_folder(tmp_path, output))


def test_call_b(real_cupy, tmp_path):
    out = tmp_path / 'out'
    log_file = out / 'gpu_run.jsonl'
    import pack_data
    pack_data.pack(write_data(tmp_path / 'data'), tmp_path / 'data.zip')
    output = call('b', tmp_path / 'data.zip', '--out', out, seconds=75, kernel='adam_update',
                  signals={(log_file, 'vgg 16s'): signal.SIGKILL,
                           (log_file, 'camvid 8s'): signal.SIGSTOP})
    log = read_log(log_file)
    assert log.failed['vgg 16s'] == 'its process was killed by SIGKILL'
    assert 'killed' in log.failed['camvid 8s']
    assert 'illegal memory access' in log.failed['scratch segnet'] and len(log.failed) == 3
    assert {'vgg 8s', 'camvid 4s', 'page of camvid', 'curves'} <= log.ended
    assert 'pages/camvid.png' in check_folder(out, output)
