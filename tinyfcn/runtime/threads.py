"""As many threads as there are cores, each with one thread of BLAS while all of them work.

    parallel(function, shares(count))           function(part) for every part, all at once
"""
import os
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from functools import cache
from threading import Lock


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


@contextmanager
def one_thread():
    """Inside, whatever this thread calls has this one thread, of BLAS too."""
    token = _at_work.set(True)
    try:
        with one_blas_thread():
            yield
    finally:
        _at_work.reset(token)


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
