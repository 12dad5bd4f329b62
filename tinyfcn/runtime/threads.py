"""A thread for each core.

    parallel(function, split_range(count))      function(part) for every part, concurrently

NumPy and compiled loops release the interpreter's lock, so threads do run side by side. They are
started once, and then wait for work: to wake a thread takes less time than to start one. Around
parts that call BLAS belongs one_blas_thread, of blas_threads.py.
"""
import atexit
import ctypes
import os
import sys
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from contextvars import ContextVar, copy_context
from functools import cache, partial
from queue import SimpleQueue
from threading import Thread
from typing import Any, TypeAlias, TypeVar

Part = TypeVar('Part')
Result = TypeVar('Result')
Calls: TypeAlias = 'SimpleQueue[Callable[[], None] | None]'
Errors: TypeAlias = 'SimpleQueue[BaseException | None]'


MAX_THREADS = 1024      # more than any machine has cores; so many still start
HAS_THREADS = sys.platform != 'emscripten'      # Python in a browser has none


def thread_count() -> int:
    """TINYFCN_THREADS, or else the number of cores that this process may use."""
    setting = os.environ.get('TINYFCN_THREADS', '')
    if setting:
        return _parse_count(setting)
    if not HAS_THREADS:
        return 1
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
    """[function(part) for part in parts], on all threads.

    The calling thread works too, so threads that are busy delay no caller. A call from within a
    part is a plain loop. Context variables such as those of exact() hold inside. The first error
    is raised here, and no further part is begun after it.
    """
    parts = list(parts)
    helpers = min(len(parts), thread_count()) - 1
    if helpers < 1 or _is_working.get():
        return [function(part) for part in parts]

    results: list[Any] = [None] * len(parts)
    stop = [None] * (helpers + 1)                       # one for each thread
    waiting = deque([*enumerate(parts), *stop])

    def work() -> None:
        try:
            for number, part in iter(waiting.popleft, None):
                results[number] = function(part)
        finally:
            waiting.extendleft(stop)                    # no further part, if function raised

    token = _is_working.set(True)
    try:
        _run_with_helpers(work, helpers)
    finally:
        _is_working.reset(token)
    return results


def _run_with_helpers(work: Callable[[], None], count: int) -> None:
    """Run work() here and in up to `count` other threads at once."""
    calls, threads = _helpers(os.getpid())
    # where memory or a limit leaves no further thread, those that there are do the work
    with suppress(RuntimeError, MemoryError):
        while len(threads) < count:
            thread = Thread(target=_make_calls, args=[calls], name='tinyfcn', daemon=True)
            thread.start()
            threads.append(thread)
    count = min(count, len(threads))
    _keep_off_this_cpu(threads)

    offers = dict.fromkeys(range(count), work)
    errors: Errors = SimpleQueue()
    for number in range(count):
        calls.put(partial(copy_context().run, _help, offers, number, errors))
    try:
        work()
    finally:
        # a thread that has not begun is not needed any more; wait for those that have
        begun = [number for number in range(count) if not offers.pop(number, None)]
        raised = [errors.get() for _ in begun]
    for error in raised:
        if error:
            raise error


def _keep_off_this_cpu(threads: list[Thread]) -> None:
    """Let the threads run on every CPU but the one that the caller is on.

    After a pause Linux may wake a thread on the CPU of its caller, and moves it to an idle one only
    after some milliseconds, in which a whole layer is computed.
    """
    get_cpu = _cpu_getter()
    if not get_cpu:
        return
    now = get_cpu(), len(threads)
    if _kept_off.get(os.getpid()) == now:
        return
    _kept_off[os.getpid()] = now
    others = os.sched_getaffinity(0) - {now[0]}
    if len(others) < len(threads):
        return                                          # they need all CPUs that there are
    for thread in threads:
        if thread.native_id:
            with suppress(OSError):                     # forbidden, as in some containers
                os.sched_setaffinity(thread.native_id, others)


_kept_off: dict[int, tuple[int, int]] = {}      # by process: the CPU, and how many threads


@cache
def _cpu_getter() -> Callable[[], int] | None:
    """A function -> the number of the CPU that it is called on; None on other systems."""
    libc = ctypes.CDLL(None) if sys.platform == 'linux' else None
    return getattr(libc, 'sched_getcpu', None)


def _help(offers: dict[int, Callable[[], None]], number: int, errors: Errors) -> None:
    """Run the work that is offered, unless it is done already."""
    work = offers.pop(number, None)
    if work:
        try:
            work()
        except BaseException as error:
            errors.put(error)
        else:
            del work                                    # and the arrays that it refers to
            errors.put(None)


def _make_calls(calls: Calls) -> None:
    """What a thread runs: it waits for a call and makes it, until it gets None."""
    while call := calls.get():
        call()


@cache
def _helpers(process: int) -> tuple[Calls, list[Thread]]:
    """The calls and the threads of a process: a forked child has none of its parent's threads."""
    calls: Calls = SimpleQueue()
    threads: list[Thread] = []

    @atexit.register
    def end() -> None:
        for _ in threads:
            calls.put(None)
        for thread in threads:
            thread.join()

    return calls, threads
