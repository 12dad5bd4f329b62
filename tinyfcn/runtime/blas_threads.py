"""How many threads BLAS has: one, where several threads of ours call it.

    with one_blas_thread():
        parallel(multiply, parts)               each part has one BLAS thread

BLAS has threads of its own. If n threads called it, each would start n BLAS threads, which would
compete for the cores.
"""
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from threading import Lock
from typing import Any

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
