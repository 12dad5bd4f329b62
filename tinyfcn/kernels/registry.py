"""Which kernel may run in place of which reference op.

    @kernel('relu', 'numpy', accepts=lambda x: x.dtype == 'float32')
    def relu(x): ...

A kernel names its op by string and returns what the reference returns, the cache field by field.
One that rounds more than the reference is registered with exact=False, and exact() turns it off.
"""
import logging
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from importlib import import_module
from typing import Any, Literal, NamedTuple, TypeVar

import numpy as np

from ..runtime.backend import HOST_ARRAYS
from ..runtime.machine import has_numba

Library = Literal['numpy', 'cupy']
F = TypeVar('F', bound=Callable[..., Any])

# the kernels of an array library are imported when the first of its arrays reaches an op; those of
# NumPy need Numba, which takes a second to import, so an array that is worth it must come first
PACKAGES: dict[str, str] = {'numpy': 'tinyfcn.kernels.cpu', 'cupy': 'tinyfcn.kernels.gpu'}

MIN_SIZE = 1 << 14          # values of the largest array that a kernel for the CPU is worth


class Kernel(NamedTuple):
    """A function that may replace an op whenever accepts(…), called like the op, is true."""

    accepts: Callable[..., Any]
    exact: bool
    function: Callable[..., Any]


_kernels: dict[tuple[str, str], list[Kernel]] = {}      # by (op, library)


def kernel(op: str, library: Library, accepts: Callable[..., Any],
           exact: bool = True) -> Callable[[F], F]:
    """Register the decorated function for `op` on the arrays of `library`."""
    def register(function: F) -> F:
        _kernels.setdefault((op, library), []).append(Kernel(accepts, exact, function))
        return function
    return register


def find_kernel(op: str, exact_only: bool, *args: Any, **kwargs: Any) -> Callable[..., Any] | None:
    """The first kernel for `op` that accepts these arguments, or its tape; None if there is none.
    """
    values = *args, *kwargs.values()
    first = values[0] if values else None
    library = type(first).__module__.split('.')[0]
    if library not in PACKAGES:
        return None                                     # not an array: the reference rejects it
    if any(isinstance(v, np.ndarray) and type(v) not in HOST_ARRAYS for v in values):
        return None                                     # np.matrix, a masked array: likewise
    if library == 'numpy' and max(_sizes(values)) < MIN_SIZE:
        return None
    package = _import_kernels(library)
    if package is None:
        return None
    # where Python is slower than the kernels, a call may be recorded (gpu/tape.py)
    call = package.find_call(op, exact_only, args, kwargs) if library == 'cupy' else None
    if call and call.tape:
        replay: Callable[..., Any] = call.replay
        return replay
    for candidate in _kernels.get((op, library), ()):
        if candidate.exact or not exact_only:
            if candidate.accepts(*args, **kwargs):
                return call.record(candidate.function) if call else candidate.function
    return None


def _sizes(values: Iterable[Any]) -> Iterator[int]:
    """Of all arrays, and of those in tuples, such as the cache of an op."""
    for value in values:
        if isinstance(value, np.ndarray):
            yield value.size
        elif isinstance(value, tuple):
            yield from _sizes(value)


@cache
def _import_kernels(library: str) -> Any:
    """-> the package of a library's kernels; None where they need Numba and there is none for them
    """
    try:
        return import_module(PACKAGES[library])
    except ImportError as error:
        if library == 'cupy':
            raise
        if has_numba():
            logging.getLogger(__name__).warning(
                'Numba compiles no kernels here, so every op runs its reference: %s', error)
        return None
