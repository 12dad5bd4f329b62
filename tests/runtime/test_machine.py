"""What is reported of the machine: its memory, its libraries, its GPU."""
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tinyfcn.runtime import machine
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


@pytest.fixture
def system(tmp_path, monkeypatch):
    """A function that writes the files of a machine with 8,000 bytes of memory."""
    monkeypatch.setattr(machine, 'PROC', tmp_path / 'proc')
    monkeypatch.setattr(machine, 'CGROUP', tmp_path / 'cgroup')

    def write(files):
        memory = {'proc/meminfo': 'MemTotal: 9 kB\nMemAvailable:  8 kB\n'}
        for name, text in {**memory, **files}.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    return write


V1 = {
    'proc/self/cgroup': '5:cpu:/\n4:cpuset,memory:/jobs/7\n0::/\n',
    'cgroup/memory/memory.limit_in_bytes': '9223372036854771712',
    'cgroup/memory/memory.usage_in_bytes': '100',
    'cgroup/memory/jobs/7/memory.limit_in_bytes': '5000',
    'cgroup/memory/jobs/7/memory.usage_in_bytes': '2000',
    'cgroup/memory/jobs/7/memory.stat': 'cache 999\ntotal_inactive_file 500\n'}
V2 = {
    'proc/self/cgroup': '0::/user/slice\n',
    'cgroup/memory.max': 'max\n',
    'cgroup/user/memory.max': '6000\n',
    'cgroup/user/memory.current': '2500\n',
    'cgroup/user/memory.stat': 'inactive_file 1\nfile 100\n',
    'cgroup/user/slice/memory.max': 'max\n',
    'cgroup/user/slice/memory.current': '2500\n'}


@pytest.mark.parametrize('files, available', [
    ({}, 8 * 1024),
    (V1, 5000 - 2000 + 500),
    (V2, 6000 - 2500 + 1),
    # a container sees its own group at the top, and the name that the host gave it
    ({'proc/self/cgroup': '0::/docker/12ab\n', 'cgroup/memory.max': '4000',
      'cgroup/memory.current': '1000'}, 3000),
    ({'proc/self/cgroup': '4:memory:/docker/12ab\n', 'cgroup/memory/memory.limit_in_bytes': '4000',
      'cgroup/memory/memory.usage_in_bytes': '4001'}, 0),
    ({'proc/self/cgroup': 'nonsense\n\n', 'proc/meminfo': 'nonsense'}, machine.UNKNOWN_MEMORY),
], ids=['no group', 'version 1', 'version 2', 'container 2', 'container 1', 'damaged'])
def test_available_memory_is_what_the_control_group_leaves(files, available, system):
    system(files)
    assert available_memory() == available


def test_available_memory_is_what_the_address_space_leaves():
    script = ('import resource\n'
              'from tinyfcn.runtime.machine import available_memory\n'
              'resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))\n'
              'before = available_memory()\n'
              'block = bytearray(1 << 28)\n'
              'print(before < 1 << 30, before - available_memory() >= 1 << 28)')
    run = subprocess.run([sys.executable, '-c', script], capture_output=True, text=True)
    assert run.stdout.split() == ['True', 'True'], run.stderr


def test_machine_info_has_what_can_change_the_last_bit(monkeypatch):
    info = machine_info()
    assert info.keys() == {'python', 'numpy', 'cpu', 'blas', 'blas_version', 'blas_kernel',
                           'blas_threads', 'threads', 'kernels'}
    assert info['numpy'] == np.__version__
    assert info == machine_info()
    assert info['blas'] in ('openblas', 'mkl', 'blis', None)
    monkeypatch.setenv('TINYFCN_THREADS', '3')
    assert machine_info() == dict(info, threads=3)


def test_the_gpu_is_checked_up_to_the_first_failure():
    status = gpu_status()
    names = [check.check for check in status]
    assert names == ['wheel', 'driver', 'toolkit', 'kernel'][:len(status)]
    assert all(check.ok is True for check in status[:-1])
    if len(status) < 4:
        assert status[-1].ok is False
        assert len(status[-1].message) > 20
