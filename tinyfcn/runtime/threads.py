"""A thread for each core, each with one BLAS thread while all of them compute.

    parallel(function, split_range(count))      function(part) for every part, concurrently

NumPy releases the interpreter's lock inside its loops, so threads do run side by side. BLAS has
threads of its own. While ours compute, it is limited to one for each, or n threads would start n
BLAS threads each and compete for the cores.
"""
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from contextvars import ContextVar, copy_context
from functools import cache
from threading import Lock
from typing import Any, TypeVar

Part = TypeVar('Part')
Result = TypeVar('Result')


MAX_THREADS = 1024      # more than any machine has cores; so many still start


def thread_count() -> int:
    """TINYFCN_THREADS, or else the number of cores that this process may use."""
    setting = os.environ.get('TINYFCN_THREADS', '')
    if setting:
        return _parse_count(setting)
    if hasattr(os, 'sched_getaffinity'):                # on Linux only
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@cache                                                  # every op asks for it
def _parse_count(setting: str) -> int:
    digits = setting.strip()
    if not (digits.isascii() and digits.isdigit() and len(digits) <= len(str(MAX_THREADS))
            and 1 <= int(digits) <= MAX_THREADS):
        raise ValueError(f'TINYFCN_THREADS is {setting[:30]!r}; set it to a number of threads, 1 '
                         f'to {MAX_THREADS:,}')
    return int(digits)


def split_range(count: int, min_length: float = 1) -> list[slice]:
    """Split range(count) into one slice a thread, none shorter than `min_length`.

    A problem that is too small to split is one slice, which `parallel` computes without a thread.
    """
    parts = max(1, min(thread_count(), int(count // min_length)))
    ends = [count * i // parts for i in range(parts + 1)]
    return [slice(start, stop) for start, stop in zip(ends, ends[1:])]


_is_working = ContextVar('_is_working', default=False)


def parallel(function: Callable[[Part], Result], parts: Iterable[Part]) -> list[Result]:
    """[function(part) for part in parts], on all threads, each with one BLAS thread.

    The calling thread works too, so a pool that is busy delays no caller. A call from within a
    part is a plain loop. Context variables such as those of exact() hold inside. The first error
    is raised here, and no further part is begun after it.
    """
    parts = list(parts)
    if len(parts) < 2 or _is_working.get() or thread_count() < 2:
        return [function(part) for part in parts]

    results: list[Any] = [None] * len(parts)
    waiting = deque(enumerate(parts))

    def take() -> tuple[int, Part] | None:
        try:
            return waiting.popleft()
        except IndexError:
            return None

    def work() -> None:
        _is_working.set(True)
        try:
            while item := take():
                number, part = item
                results[number] = function(part)
        finally:
            waiting.clear()                             # empty, unless function raised

    with one_blas_thread():
        pool = _pool(os.getpid(), thread_count() - 1)
        helpers = []
        # where memory or a limit leaves no further thread, those that there are do the work
        with suppress(RuntimeError):
            for _ in parts[1:thread_count()]:
                helpers.append(pool.submit(copy_context().run, work))
        try:
            copy_context().run(work)
        finally:
            # a helper that has not begun is not needed any more; wait for those that have
            started = [helper for helper in helpers if not helper.cancel()]
            errors = [helper.exception() for helper in started]
    for error in errors:
        if error:
            raise error
    return results


@contextmanager
def one_thread() -> Iterator[None]:
    """Inside, everything that this thread calls runs on this one thread, BLAS too."""
    token = _is_working.set(True)
    try:
        with one_blas_thread():
            yield
    finally:
        _is_working.reset(token)


@cache
def _pool(process: int, size: int) -> ThreadPoolExecutor:
    """The pool of a process: a forked child has none of its parent's threads."""
    return ThreadPoolExecutor(size, 'tinyfcn')


# One entry for each block that is inside `one_blas_thread`, in any thread. The first entry made
# holds the thread counts to restore, the others are empty.
_limits: list[list[tuple[Any, int]]] = []
_limits_lock = Lock()


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Inside, BLAS has one thread. The last block to end, in any thread, restores its threads."""
    with _limits_lock:
        entry = [] if _limits else [(blas, blas.num_threads) for blas in _blas_libraries()]
        _limits.append(entry)
        for blas, _ in entry:
            _set_blas_threads(blas, 1)
    try:
        yield
    finally:
        with _limits_lock:
            # from the end: the first entry is popped by whichever block ends last
            for blas, count in _limits.pop():
                _set_blas_threads(blas, count)


@cache
def _blas_libraries() -> list[Any]:
    """NumPy's BLAS, found once: to find it takes longer than a small product."""
    from threadpoolctl import ThreadpoolController
    libraries: list[Any] = ThreadpoolController().select(user_api='blas').lib_controllers
    return libraries


def _set_blas_threads(blas: Any, count: int) -> None:
    blas.set_num_threads(count)
    # In newer versions only the thread that set a limit may undo it; blocks end in any order
    clear = getattr(blas, 'clear_controlling_thread', None)
    if clear:
        clear()
