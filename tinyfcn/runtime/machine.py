"""The machine: everything that can change the last bit of a result, and its available memory."""
import platform
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .backend import on_host


def machine_info() -> dict[str, Any]:
    """What can change the last bit of a result: versions, the BLAS kernel, the thread count.

    BLAS chooses its kernel by the CPU that it runs on, not by the one that it was built on.
    """
    from threadpoolctl import threadpool_info
    blas: dict[str, Any] = {}
    for library in threadpool_info():
        if library['user_api'] == 'blas' and 'numpy' in library['filepath']:
            blas = library
            break
    return dict(
        python=platform.python_version(),
        numpy=np.__version__,
        cpu=platform.machine(),
        blas=blas.get('internal_api'),
        blas_version=blas.get('version'),
        blas_kernel=blas.get('architecture'),
        blas_threads=blas.get('num_threads'),
    )


def available_memory(x: NDArray[Any] | None = None) -> int:
    """Bytes that the device of x can still give; 2 GiB where the system does not report it.

    On the CPU this is MemAvailable of /proc/meminfo (Linux).
    """
    if x is not None and not on_host(x):
        import cupy
        free, _ = cupy.cuda.runtime.memGetInfo()
        return int(free + cupy.get_default_memory_pool().free_bytes())
    try:
        with open('/proc/meminfo') as file:
            lines = dict(line.split(':') for line in file)
        kilobytes = int(lines['MemAvailable'].split()[0])
    except (OSError, KeyError):
        return 2 << 30
    return kilobytes * 1024
