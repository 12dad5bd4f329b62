"""The backend is the array: whoever made x computes with x. No flag can disagree with the data."""
import os
import platform
import sys
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from functools import cache
from threading import Lock

import numpy as np


def array_module(x):
    """numpy or cupy, whichever made x; whoever made a cupy array has imported cupy already."""
    if isinstance(x, np.ndarray):
        return np
    if type(x).__module__.split('.')[0] == 'cupy':
        return sys.modules['cupy']
    raise TypeError(f'{type(x).__name__} is no array: numpy.asarray makes one')


def sparse_module(x):
    """scipy.sparse or cupyx.scipy.sparse, whichever multiplies x."""
    if array_module(x) is np:
        import scipy.sparse
        return scipy.sparse
    import cupyx.scipy.sparse
    return cupyx.scipy.sparse


# ---- Threads ------------------------------------------------------------------------------------

def threads():
    """How many threads may compute: TINYFCN_THREADS, else as many as this process has cores."""
    said = os.environ.get('TINYFCN_THREADS', '')
    if not said:
        has = getattr(os, 'sched_getaffinity', None)            # Linux alone tells
        return len(has(0)) if has else os.cpu_count() or 1
    if not said.isdecimal() or int(said) < 1:
        raise ValueError(f'TINYFCN_THREADS is {said!r}: a number of threads, 1 or more, is needed')
    return int(said)


def shares(count, least=1):
    """range(count) in as many slices as there are threads, none shorter than `least`. -> [slice]

    A problem too small to be shared is one slice, and costs no thread.
    """
    parts = max(1, min(threads(), int(count // least)))
    ends = [count * i // parts for i in range(parts + 1)]
    return [slice(*ends[i:i + 2]) for i in range(parts)]


_at_work = ContextVar('at_work', default=False)


def parallel(function, parts):
    """[function(part) for part in parts], on all threads at once, each with one thread of BLAS.

    The caller's thread works too, so a busy pool delays nobody; a call from within a part is a
    plain loop. What was set around the call, such as exact(), holds inside; an error surfaces.
    """
    parts = list(parts)
    if len(parts) < 2 or _at_work.get() or threads() < 2:
        return [function(part) for part in parts]
    done, waiting = [None] * len(parts), deque(enumerate(parts))

    def take():
        try:
            return waiting.popleft()
        except IndexError:
            return None

    def work():
        _at_work.set(True)
        try:
            while item := take():
                number, part = item
                done[number] = function(part)
        finally:
            waiting.clear()                                     # after an error begin no other

    with one_blas_thread():
        pool = _pool(os.getpid(), threads() - 1)
        helpers = [pool.submit(copy_context().run, work) for _ in parts[1:threads()]]
        try:
            copy_context().run(work)
        finally:
            started = [helper for helper in helpers if not helper.cancel()]
            errors = [helper.exception() for helper in started]
    for error in filter(None, errors):
        raise error
    return done


@cache
def _pool(process, size):
    """A child made by fork has none of its parent's threads, and so a pool of its own."""
    return ThreadPoolExecutor(size, 'tinyfcn')


_counting, _limits = Lock(), []     # one entry for each who is inside; the first knows what was


@contextmanager
def one_blas_thread():
    """Inside, BLAS has one thread; the last to leave, of any thread, brings back what was."""
    with _counting:
        _limits.append([] if _limits else [(blas, blas.num_threads) for blas in _blas()])
        for blas, _ in _limits[-1]:
            _limit(blas, 1)
    try:
        yield
    finally:
        with _counting:
            was = _limits.pop()                                 # the first entry leaves last
            for blas, threads in was:
                _limit(blas, threads)


@cache
def _blas():
    """NumPy's BLAS, found once: to look for it takes longer than a small product."""
    from threadpoolctl import ThreadpoolController
    return ThreadpoolController().select(user_api='blas').lib_controllers


def _limit(blas, threads):
    blas.set_num_threads(threads)
    # newer versions let only the thread that limits undo it; ours may leave in any order
    getattr(blas, 'clear_controlling_thread', lambda: None)()


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


def keep_memory():
    """Let glibc keep what is freed: fresh pages cost a tenth of a training step. -> whether so

    It holds for the whole process: for whoever owns it, the command line or a benchmark.
    """
    import ctypes
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):                # another libc
        return False
    trim_threshold, mmap_max = -1, -4                           # as malloc.h numbers them
    return bool(mallopt(mmap_max, 0) and mallopt(trim_threshold, -1))


def free_memory():
    """Bytes that a program may still take; where nobody says, 2 GiB."""
    try:
        with open('/proc/meminfo') as file:
            lines = dict(line.split(':') for line in file)
        return int(lines['MemAvailable'].split()[0]) * 1024
    except (OSError, KeyError):
        return 2 << 30


def gpu_status():
    """Whether CuPy can compute here, layer by layer, up to the first that fails.

    -> [(layer, fine, words)] of wheel, driver, kernel
    """
    try:
        import cupy
    except ImportError:
        return [('wheel', False, 'CuPy is not installed: pip install "tinyfcn[cuda12x]"')]
    layers = [('wheel', True, f'CuPy {cupy.__version__}')]
    try:
        count = cupy.cuda.runtime.getDeviceCount()
    except Exception as error:
        return [*layers, ('driver', False, f'{error}: is an NVIDIA driver installed?')]
    layers.append(('driver', True, f'{count} GPU'))
    try:                                                # a driver alone counts, but cannot compute
        right = float((cupy.arange(3) + 1).sum()) == 6
    except Exception as error:
        return [*layers, ('kernel', False, f'{error}: pip install "tinyfcn[cuda12x]" brings '
                                           f'the toolkit')]
    return [*layers, ('kernel', right, 'computes' if right else 'computes 1 + 2 + 3 wrongly')]
