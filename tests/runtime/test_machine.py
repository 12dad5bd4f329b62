"""What is reported of the machine: its memory, its libraries, its GPU."""
from pathlib import Path

import numpy as np
import pytest

from tinyfcn.runtime.gpu import gpu_status
from tinyfcn.runtime.machine import available_memory, machine_info

CGROUP = Path('/sys/fs/cgroup')


def test_available_memory_is_a_part_of_all_memory():
    available = available_memory()
    assert isinstance(available, int)
    assert available > 1 << 20
    if Path('/proc/meminfo').exists():
        text = Path('/proc/meminfo').read_text()
        kilobytes = int(text.split('MemTotal:')[1].split()[0])
        assert available <= kilobytes * 1024


def test_available_memory_is_within_the_limit_of_a_container():
    """A container may take less than its host has; the kernel kills what takes more."""
    files = [CGROUP / 'memory.max', CGROUP / 'memory/memory.limit_in_bytes']
    limits = [file.read_text().strip() for file in files if file.exists()]
    if not limits or 'max' in limits:
        pytest.skip('no limit is set here')
    assert available_memory() <= min(map(int, limits))


def test_machine_info_has_what_can_change_the_last_bit():
    info = machine_info()
    assert info.keys() == {'python', 'numpy', 'cpu', 'blas', 'blas_version', 'blas_kernel',
                           'blas_threads'}
    assert info['numpy'] == np.__version__
    assert info == machine_info()
    assert info['blas'] in ('openblas', 'mkl', 'blis', None)


def test_the_gpu_is_checked_up_to_the_first_failure():
    status = gpu_status()
    names = [check.check for check in status]
    assert names == ['wheel', 'driver', 'toolkit', 'kernel'][:len(status)]
    assert all(check.ok is True for check in status[:-1])
    if len(status) < 4:
        assert status[-1].ok is False
        assert len(status[-1].message) > 20
