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
import gpu_call
from gpu_jobs import Log, read_log
from pack_data import pack

SECONDS = int(os.environ.get('REHEARSAL_SECONDS', '120'))        # more on a busy machine
MAX_FILES = 8                       # that come back from a machine that is lent
KILLED = 'its process was killed by SIGKILL'


class Call:
    """A call in a process of its own, whose workers get a signal when they begin certain jobs."""

    def __init__(self, out, log, signals, kernel, *options):
        self.out = out
        self.log = out / log
        self.signals = signals              # {job: signal}
        command = [sys.executable, gpu_call.__file__, *options, '--out', out, '--seconds', SECONDS,
                   '--width', '1/32']
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
        Call(folder / 'a', 'gpu.jsonl', {'forward, float32, 1': signal.SIGKILL,
                                         'step, float32, 1': signal.SIGSTOP},
             'transform_input', 'a', '--size', 64),
        Call(folder / 'b', 'gpu_run.jsonl', {'vgg 16s': signal.SIGKILL,
                                             'camvid 8s': signal.SIGSTOP},
             'adam_update', 'b', folder / 'data.zip')]
    yield calls
    for call in calls:
        call.process.kill()


@pytest.mark.cupy
def test_call_a(real_cupy, calls):
    """A kernel of Winograd fails in the check, so the rest is timed without Winograd."""
    call, _ = calls
    log, output = call.wait()
    assert log.failed['forward, float32, 1'] == KILLED
    assert log.failed['step, float32, 1'].endswith('s: killed')
    assert {'products', 'ceilings', 'conv1_2, all kernels', 'forward, float32, 2'} <= log.ended
    assert not any('PyTorch' in row['times'] for row in log.rows if 'times' in row)
    assert 'PyTorch is not measured' in output and 'Without Winograd' in output
    check = read_log(call.out / 'gpu_check.jsonl')
    bad = [row for row in check.rows if row.get('message')]
    assert bad and all('illegal memory access' in row['message'] for row in bad)
    assert 'op winograd-pad0' in check.failed and check.not_run
    assert any(name.startswith('kernels/') for name in call.packed())


@pytest.mark.cupy
def test_call_b(real_cupy, calls):
    """A kernel of Adam fails, which the last stage alone uses."""
    _, call = calls
    log, output = call.wait()
    assert {*log.failed} == {'vgg 16s', 'camvid 8s', 'scratch segnet'} and not log.not_run
    assert log.failed['vgg 16s'] == KILLED
    assert log.failed['camvid 8s'].endswith('s: killed')
    assert 'illegal memory access' in log.failed['scratch segnet']
    assert {'vgg 8s', 'camvid 4s', 'page of camvid', 'curves'} <= log.ended
    assert '- FAILED: camvid 8s: not done after' in output
    assert {'pages/camvid.png', 'pages/vgg.png'} <= {*call.packed()}
    assert (call.out / 'gpu_run.png').exists()


# ---- What a call decides -------------------------------------------------------------------------

def product(precision, ok):
    return dict(what='product', precision=precision, error=.5, ok=ok)


def test_a_smoke_test_that_fails_ends_the_call():
    good = [product('float32', True), product('tf32', False)]
    assert not gpu_call.what_is_wrong(Log({'products': good}))
    assert not gpu_call.what_is_wrong(Log(planned=['products']))    # no time yet, so later
    wrong = gpu_call.what_is_wrong(Log({'products': [*good, product('float32', False)]}))
    assert wrong == 'a product in float32 has the error 5.0e-01'
    assert gpu_call.what_is_wrong(Log(failed=dict(products='no memory'))) == 'no memory'
    assert gpu_call.what_is_wrong(Log(stopped='no driver')) == 'no driver'


@pytest.mark.parametrize('name, error, failed, without', [
    ('winograd-pad1', 1e-5, {}, False), ('winograd-pad1', float('nan'), {}, True),
    ('conv2d-all-pairs', 1., {}, False), ('conv2d-all-pairs', 0., {'op winograd-pad0': '?'}, True)])
def test_a_wrong_sample_of_winograd_turns_it_off(name, error, failed, without):
    row = dict(part='op, kernel', name=name, error=error, tolerance=1e-4)
    check = Log({'machine': [dict(part='machine')], f'op {name}': [row]}, failed=failed)
    assert gpu_call.winograd_failed(check) == without


@pytest.mark.parametrize('arguments, message', [
    (['a', 'data.zip'], 'call b needs an archive'), (['b'], 'call b needs an archive'),
    (['b', 'data.zip'], 'data.zip: no such file'), (['a'], 'is not empty: name another folder')])
def test_wrong_arguments_cost_no_time(arguments, message, tmp_path, monkeypatch, capsys):
    (tmp_path / 'gpu.jsonl').touch()
    monkeypatch.setattr(sys, 'argv', ['gpu_call.py', *arguments, '--out', str(tmp_path)])
    with pytest.raises(SystemExit):
        gpu_call.parse_args()
    assert message in capsys.readouterr().err


def test_kernels_come_back_and_nothing_else_is_unpacked(tmp_path):
    out, work, next_work = (tmp_path / name for name in ('out', 'work', 'next'))
    for path in work / 'kernels' / 'a.cubin', out / 'pages' / 'vgg.png':
        path.parent.mkdir(parents=True)
        path.write_text(path.name)
    gpu_call.pack(out, work)
    assert [path.name for path in out.iterdir()] == ['call.tar.gz']
    gpu_call.unpack_kernels(out / 'call.tar.gz', next_work)
    assert [path.name for path in next_work.rglob('*')] == ['kernels', 'a.cubin']
