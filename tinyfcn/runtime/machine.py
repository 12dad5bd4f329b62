"""The machine: what may change the last bit of a result, and how much memory is free."""
import platform

import numpy as np

from .backend import on_host


def machine():
    """All that may change the last bit of a result: versions, the kernel of BLAS, threads. -> dict

    BLAS picks its kernel by the CPU that it finds, not by the one that it was built on.
    """
    from threadpoolctl import threadpool_info
    blas = [info for info in threadpool_info() if info['user_api'] == 'blas'
            and 'numpy' in info['filepath']] or [{}]
    return dict(python=platform.python_version(), numpy=np.__version__, cpu=platform.machine(),
                blas=blas[0].get('internal_api'), blas_version=blas[0].get('version'),
                blas_kernel=blas[0].get('architecture'), blas_threads=blas[0].get('num_threads'))


def free_memory(x=None):
    """Bytes that a program may still take, of the device where x is; where nobody says, 2 GiB."""
    if x is not None and not on_host(x):
        import cupy
        return cupy.cuda.runtime.memGetInfo()[0] + cupy.get_default_memory_pool().free_bytes()
    try:
        with open('/proc/meminfo') as file:
            lines = dict(line.split(':') for line in file)
        return int(lines['MemAvailable'].split()[0]) * 1024
    except (OSError, KeyError):
        return 2 << 30
