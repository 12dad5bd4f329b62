"""Report on the machine: Python, NumPy, BLAS and its speed, kernels, GPU, memory and disk.

Gives advice where something slows tinyfcn down or will not work.
"""
import argparse
import os
import shutil
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from time import perf_counter

import numpy as np

from .. import __version__
from ..runtime.gpu import gpu_status
from ..runtime.machine import available_memory, has_numba, machine_info
from .output import say

CPUINFO = Path('/proc/cpuinfo')
DISK_FOR_A_RUN = 5e9            # bytes: three checkpoints of FCN-8s, and some room


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """None of its own."""


def run(args: argparse.Namespace) -> None:
    facts = machine_info()
    say(f'tinyfcn    {__version__}, Python {facts["python"]}, NumPy {facts["numpy"]}')
    say(f'BLAS       {facts["blas"]} {facts["blas_version"]}, kernel {facts["blas_kernel"]}, '
          f'{facts["blas_threads"]} threads of its own: {matmul_rate():.0f} GFLOP/s in float32')
    for advice in blas_advice(facts):
        say(f'           {advice}')
    say(f'kernels    {kernel_line()}')
    source = 'TINYFCN_THREADS' if os.environ.get('TINYFCN_THREADS') else 'one a core'
    say(f'threads    {facts["threads"]}: {source}')
    for check, ok, message in gpu_status():
        say(f'GPU        {check if ok else f"none to use, {check}"}: {message}')
    say(f'memory     {available_memory() / 1e9:.1f} GB available; a training step of FCN-8s on '
          f'500×500 pixels takes about 3')
    disk = shutil.disk_usage('.').free
    say(f'disk       {disk / 1e9:.1f} GB free in this folder')
    if disk < DISK_FOR_A_RUN:
        say('           a run of FCN-8s keeps two checkpoints of 1.1 GB while it writes a third')


def kernel_line() -> str:
    """What computes the ops on the CPU."""
    if not has_numba():
        return ('Numba is not installed, so every op runs its reference: pip install numba makes '
                'training about twice as fast')
    try:
        from ..kernels.cpu.simd import LANES
    except ImportError as error:
        return f'not those compiled by Numba, so every op runs its reference: {error}'
    return f'compiled by Numba {version("numba")} for vectors of {LANES} floats'


def matmul_rate(n: int = 1024) -> float:
    """GFLOP/s of the product of two n×n matrices: the best of eight."""
    a = np.random.default_rng(0).standard_normal((n, n), 'float32')
    seconds = []
    for _ in range(8):
        start = perf_counter()
        a @ a
        seconds.append(perf_counter() - start)
    return 2 * n ** 3 / min(seconds) / 1e9


def blas_advice(facts: dict) -> Iterator[str]:
    """What could make BLAS faster."""
    if (facts['blas'] == 'openblas' and facts['blas_kernel'] == 'Haswell' and CPUINFO.exists()
            and 'avx512f' in CPUINFO.read_text()):
        yield ('this CPU has AVX-512, and OpenBLAS has chosen a kernel without it: try '
               'OPENBLAS_CORETYPE=SkylakeX')
