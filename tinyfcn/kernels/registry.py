"""Which kernel may run in place of which reference op.

    @kernel('relu', 'numpy', accepts=lambda x: x.dtype == 'float32')
    def relu(x): ...

A kernel names its op by string and returns what the reference returns, the cache field by field.
One that rounds more than the reference is registered with exact=False, and exact() turns it off.
"""
from collections.abc import Callable
from importlib import import_module
from typing import Any, Literal, NamedTuple, TypeVar

import numpy as np

from ..runtime.backend import HOST_ARRAYS

Library = Literal['numpy', 'cupy']
F = TypeVar('F', bound=Callable[..., Any])

# the kernels of an array library are imported when the first of its arrays reaches an op
PACKAGES: dict[str, str] = {'numpy': 'tinyfcn.kernels.cpu', 'cupy': 'tinyfcn.kernels.gpu'}


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
    """The first kernel for `op` that accepts these arguments; None if there is none."""
    values = *args, *kwargs.values()
    first = values[0] if values else None
    library = type(first).__module__.split('.')[0]
    if library not in PACKAGES:
        return None                                     # not an array: the reference rejects it
    if any(isinstance(v, np.ndarray) and type(v) not in HOST_ARRAYS for v in values):
        return None                                     # np.matrix, a masked array: likewise
    import_module(PACKAGES[library])
    for candidate in _kernels.get((op, library), ()):
        if candidate.exact or not exact_only:
            if candidate.accepts(*args, **kwargs):
                return candidate.function
    return None
