"""Which kernel may run in place of which reference op.

    @kernel('relu', 'numpy', accepts=lambda x: x.dtype == 'float32')
    def relu(x): ...

A kernel names its op by string and returns what the reference returns, the cache field by field.
One that rounds more than the reference is registered with exact=False, and exact() turns it off.
"""
from collections.abc import Callable
from importlib import import_module
from typing import Any, NamedTuple

# the kernels for an array library are imported when the first array of it reaches an op
PACKAGES = {'numpy': 'tinyfcn.kernels.cpu', 'cupy': 'tinyfcn.kernels.gpu'}


class Kernel(NamedTuple):
    """A function that may replace an op whenever accepts(…), called like the op, is true."""

    accepts: Callable[..., Any]
    exact: bool
    function: Callable[..., Any]


_kernels: dict[tuple[str, str], list[Kernel]] = {}      # by (op, 'numpy' or 'cupy')


def kernel(op: str, library: str, accepts: Callable[..., Any], exact: bool = True):
    """Register the decorated function for `op` on arrays of `library`, 'numpy' or 'cupy'."""
    def register(function):
        _kernels.setdefault((op, library), []).append(Kernel(accepts, exact, function))
        return function
    return register


def find_kernel(op: str, exact_only: bool, *args, **kwargs) -> Callable[..., Any] | None:
    """The first kernel for `op` that accepts these arguments; None if there is none."""
    first = next(iter((*args, *kwargs.values())), None)
    library = type(first).__module__.split('.')[0]      # of no array: the reference refuses it
    if library not in PACKAGES:
        return None
    import_module(PACKAGES[library])
    for candidate in _kernels.get((op, library), ()):
        if (candidate.exact or not exact_only) and candidate.accepts(*args, **kwargs):
            return candidate.function
    return None
