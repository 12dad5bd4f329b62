"""Start jobs of several ranks with mpiexec, and see how they end."""
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

MPIEXEC = Path(sys.executable).with_name('mpiexec')
ENVIRONMENT = {**os.environ, 'OPENBLAS_NUM_THREADS': '1', 'PYTHONWARNINGS': 'error'}
ENDS_WITHIN = 10        # seconds, when one rank has ended or none can go on


def mpi(test):
    """A test with real ranks. Without MPI it is skipped, and with CI=true it fails."""
    installed = MPIEXEC.exists() and find_spec('mpi4py')
    if not installed and os.environ.get('CI') != 'true':
        test = pytest.mark.skip(reason='mpi4py is not installed: pip install "tinyfcn[mpi]"')(test)
    return pytest.mark.mpi(test)


def start_job(ranks, *args):
    """Start a Python program on so many ranks."""
    return subprocess.Popen([MPIEXEC, '-n', str(ranks), sys.executable, *map(str, args)],
                            env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            text=True)


def wait_for(process, seconds=100):
    """-> exit code, stderr"""
    try:
        _, stderr = process.communicate(timeout=seconds)
    finally:
        process.kill()
    return process.returncode, stderr


def assert_one_message(stderr, message):
    """Nothing but one line with this message, and a note that there is nothing to resume."""
    lines = [line for line in stderr.splitlines() if line and 'no checkpoint to resume' not in line]
    assert len(lines) == 1 and message in lines[0], stderr
