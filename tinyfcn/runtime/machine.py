"""The machine: everything that can change the last bit of a result, and its available memory."""
import platform
from collections.abc import Iterator
from contextlib import suppress
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .backend import on_host
from .malloc import free_heap_bytes
from .threads import thread_count

UNKNOWN_MEMORY = 2 << 30        # bytes, where the system does not report any
PROC = Path('/proc')
CGROUP = Path('/sys/fs/cgroup')
# of a control group: its limit, what it uses, and how much of this are files that were read
CGROUP_V1 = 'memory.limit_in_bytes', 'memory.usage_in_bytes', 'total_inactive_file'
CGROUP_V2 = 'memory.max', 'memory.current', 'inactive_file'


def machine_info() -> dict[str, Any]:
    """What can change the last bit of a result: versions, kernels, numbers of threads.

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
        # what compiles the loops of kernels/cpu; those of version 0.1 were written in NumPy
        kernels=f'numba {version("numba")}' if find_spec('numba') else 'references',
        threads=thread_count(),                         # an op is split into as many parts
    )


def has_numba() -> bool:
    """Whether Numba is installed, which compiles the kernels for the CPU. Nothing is imported."""
    return find_spec('numba') is not None


def available_memory(x: NDArray[Any] | None = None) -> int:
    """Bytes that the device of x can still give; 2 GiB where the system does not report it.

    On the CPU this is the least of MemAvailable in /proc/meminfo, what the control group of a
    container or a batch system leaves, and what `ulimit -v` leaves of the address space (Linux).
    """
    if x is not None and not on_host(x):
        import cupy
        free, _ = cupy.cuda.runtime.memGetInfo()
        return int(free + cupy.get_default_memory_pool().free_bytes())
    limits = [*_system_memory(), *_control_group_memory(), *_address_space()]
    return max(0, min(limits, default=UNKNOWN_MEMORY))


def peak_memory() -> int:
    """The most bytes of memory that this process has had so far; 0 where that is not known."""
    with suppress(OSError, ValueError, KeyError):
        # ru_maxrss below would be that of the process which started this one, if that had more
        return _table(PROC / 'self/status')['VmHWM'] * 1024
    with suppress(ImportError, AttributeError):         # on Windows; in a browser
        import resource
        unit = 1 if platform.system() == 'Darwin' else 1024
        return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return 0


def _system_memory() -> Iterator[int]:
    with suppress(OSError, ValueError, KeyError):
        yield _table(PROC / 'meminfo')['MemAvailable'] * 1024


def _control_group_memory() -> Iterator[int]:
    """What every control group that this process is in leaves, from the innermost to the outermost.

    A line of /proc/self/cgroup names the group: '4:memory:/jobs/7' (version 1) or '0::/jobs/7'
    (version 2). In a container its files are at the top, whatever the name.
    """
    with suppress(OSError):
        for line in (PROC / 'self/cgroup').read_text().splitlines():
            _, _, rest = line.partition(':')
            controllers, _, group = rest.partition(':')
            if 'memory' in controllers.split(','):
                root, names = CGROUP / 'memory', CGROUP_V1
            elif not controllers:
                root, names = CGROUP, CGROUP_V2
            else:
                continue
            inner = root / group.strip('/')
            for folder in inner, *inner.parents:
                yield from _left_in_group(folder, *names)
                if folder == root:
                    break


def _left_in_group(folder: Path, limit: str, usage: str, cache: str) -> Iterator[int]:
    """The limit of one control group less what is used, apart from files that can be dropped."""
    with suppress(OSError, ValueError):                 # no limit is 'max', or there is no file
        left = int((folder / limit).read_text()) - int((folder / usage).read_text())
        with suppress(OSError, ValueError, KeyError):
            left += _table(folder / 'memory.stat')[cache]
        yield left


def _address_space() -> Iterator[int]:
    with suppress(ImportError, AttributeError, OSError, ValueError):
        import resource
        limit, _ = resource.getrlimit(resource.RLIMIT_AS)
        if limit != resource.RLIM_INFINITY:
            pages = int((PROC / 'self/statm').read_text().split()[0])
            yield limit - pages * resource.getpagesize() + free_heap_bytes()


def _table(path: Path) -> dict[str, int]:
    """{name: number} from lines such as 'MemTotal:  1024 kB' or 'inactive_file 4096'"""
    words = [line.replace(':', ' ').split() for line in path.read_text().splitlines()]
    return {row[0]: int(row[1]) for row in words if len(row) > 1}
