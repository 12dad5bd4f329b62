"""One thread for tiny matrices, and the time that each share of the tests took."""
import os
import signal
import tempfile
from collections import Counter
from pathlib import Path

import portable
import pytest

# before NumPy is loaded: on matrices so small a second thread only waits for the first
os.environ.setdefault('OPENBLAS_NUM_THREADS', '1')
# what the user who runs the tests has fetched is none of their business; there is nothing here
os.environ['TINYFCN_CACHE'] = os.path.join(tempfile.gettempdir(), f'tinyfcn-tests-{os.getpid()}')
# a shell starts what it runs in the background with Ctrl-C ignored, and nohup with the signal of a
# closed terminal, and some tests send them
signal.signal(signal.SIGINT, signal.default_int_handler)
if hasattr(signal, 'SIGHUP'):
    signal.signal(signal.SIGHUP, signal.SIG_DFL)

SHARES = dict(core=90, family=40, training=60, kernels=50,                  # seconds, make test
              lessons=240, gpuproof=150, crash=90, fuzz=60, mpi=45, browser=60, explain=60,
              realdata=60, onnx=30, demo=300, mutants=60, compiled=240, cupy=240, package=90,
              docs=120, lite=120)
MARKS = [share for share in SHARES if share not in ('core', 'family', 'training', 'kernels')]
# the share of a folder, unless a mark says another; all other tests are of the core
SHARE_OF = dict(models='family', weights='family', viz='family', cli='family',
                data='training', formats='training', fetch='training', training='training',
                prediction='training',
                benchmarks='training', runtime='kernels', kernels='kernels')


pytest_plugins = ['published', 'fake_cuda.fixtures', 'chromium']

spent = Counter()


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call():
    try:
        return (yield)
    except AttributeError as error:
        if portable.is_missing(error):
            pytest.skip(f'os.{error.name} is missing on this system')
        raise


def pytest_runtest_logreport(report):
    # keywords hold marks, but also the names of folders, such as training
    marks = [mark for mark in MARKS if mark in report.keywords]
    share = marks[0] if marks else SHARE_OF.get(Path(report.fspath).parent.name, 'core')
    spent[share] += report.duration


def pytest_terminal_summary(terminalreporter):
    # a test that is left out is no proof: say once what was missing
    for reason in sorted({skip.longrepr[2] for skip in terminalreporter.stats.get('skipped', ())}):
        terminalreporter.write_line(reason)
    for share, seconds in spent.items():
        late = '' if seconds <= SHARES[share] else '   over its share'
        terminalreporter.write_line(f'{share:9} {seconds:4.0f} s of {SHARES[share]}{late}')
