"""The two calls of benchmarks/gpu_call.py, rehearsed on the real CuPy over the stand-in driver.

In each of them a kernel fails as by an illegal access, one worker is killed and one hangs. Both end
by themselves inside their seconds, and have measured the rest. Their times mean nothing.
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
from pack_data import pack

pytestmark = pytest.mark.cupy
CALL = Path(__file__).parents[2] / 'benchmarks' / 'gpu_call.py'
SECONDS = 120
MAX_FILES = 8                       # that come back from a machine that is lent
KILLED = 'its process was killed by SIGKILL'


class Call:
    """A call in a process of its own, whose workers get a signal when they begin certain jobs."""

    def __init__(self, out, log, signals, kernel, *options):
        self.out = out
        self.log = out / log
        self.signals = signals              # {job: signal}
        command = [sys.executable, CALL, *options, '--out', out, '--seconds', SECONDS,
                   '--width', '1/16']
        self.began = monotonic()
        self.process = Popen([*map(str, command)], stdout=PIPE, text=True,
                             env=dict(os.environ, FAKE_CUDA_FAIL=kernel))
        self.ended = Event()
        self.disturber = Thread(target=self.disturb, daemon=True)
        self.disturber.start()

    def disturb(self):
        while self.signals and not self.ended.wait(.02):
            running = read_log(self.log).running
            if running in self.signals:
                lines = [json.loads(line) for line in self.log.read_text('utf-8').splitlines()]
                os.kill([line['pid'] for line in lines if 'pid' in line][-1],
                        self.signals.pop(running))

    def wait(self):
        """-> the Log, and what was printed"""
        try:
            output, _ = self.process.communicate(timeout=2 * SECONDS)
        finally:
            self.process.kill()
            self.ended.set()
        assert monotonic() - self.began < SECONDS
        assert self.process.returncode == 0 and not self.signals, output
        assert (self.out / 'report.md').read_text('utf-8') in output
        assert len([*self.out.iterdir()]) <= MAX_FILES
        assert all(path.is_file() for path in self.out.iterdir())
        return read_log(self.log), output

    def packed(self):
        """The names in the archive that comes back."""
        with tarfile.open(self.out / 'call.tar.gz') as file:
            return file.getnames()


@pytest.fixture(scope='module')
def calls(tmp_path_factory):
    """Both at once: a hanging process needs no core."""
    folder = tmp_path_factory.mktemp('calls')
    (folder / 'data').mkdir()
    pack(write_data(folder / 'data'), folder / 'data.zip')
    calls = [
        Call(folder / 'a', 'gpu.jsonl', {'step, float32, 1': signal.SIGKILL,
                                         'forward, float32, 8': signal.SIGSTOP},
             'transform_input', 'a', '--size', 64),
        Call(folder / 'b', 'gpu_run.jsonl', {'vgg 16s': signal.SIGKILL,
                                             'camvid 8s': signal.SIGSTOP},
             'adam_update', 'b', folder / 'data.zip')]
    yield calls
    for call in calls:
        call.process.kill()


def test_call_a(real_cupy, calls):
    """A kernel of Winograd fails in the check, so the rest is timed without Winograd."""
    call, _ = calls
    log, output = call.wait()
    assert log.failed.pop('step, float32, 1') == KILLED
    assert log.failed.pop('forward, float32, 8').endswith('s: killed')
    assert not log.failed
    assert {'products', 'ceilings', 'conv1_2, all kernels', 'forward, float32, 1',
            'step, float32, 8'} <= log.ended
    assert all({*row['times']} == {'tinyfcn'} for row in log.rows if 'times' in row)
    assert 'PyTorch is not measured' in output and 'Without Winograd' in output
    check = read_log(call.out / 'gpu_check.jsonl')
    bad = [row for row in check.rows if row.get('message')]
    assert bad and all('illegal memory access' in row['message'] for row in bad)
    assert 'op winograd-pad0' in check.failed and check.not_run
    assert any(name.startswith('kernels/') for name in call.packed())


def test_call_b(real_cupy, calls):
    """A kernel of Adam fails, which the last stage alone uses."""
    _, call = calls
    log, output = call.wait()
    assert log.failed.pop('vgg 16s') == KILLED
    assert log.failed.pop('camvid 8s').endswith('s: killed')
    assert 'illegal memory access' in log.failed.pop('scratch segnet')
    assert not log.failed and not log.not_run
    assert {'vgg 8s', 'camvid 4s', 'page of camvid', 'curves'} <= log.ended
    assert '- FAILED: camvid 8s: not done after' in output
    assert {'pages/camvid.png', 'pages/vgg.png'} <= {*call.packed()}
    assert (call.out / 'gpu_run.png').exists()
