"""What the decorators of an op do: its backward, and the kernels that may run in its place.

    y, cache = conv2d(x, w, b)                  the op
    dx, dw, db = conv2d.backward(dy, cache)     @backward_of(conv2d)
    conv2d.reference(x, w, b)                   the reference implementation, always
    with reference_only(): ...                  the reference implementation of every op
    with exact(): ...                           no kernel that rounds more than its reference
"""
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from enum import IntEnum
from functools import wraps
from inspect import signature
from typing import Any, Generic, ParamSpec, Protocol, TypeVar, cast

from .kernels.registry import find_kernel

P = ParamSpec('P')
R_co = TypeVar('R_co', covariant=True)


class Backward(Protocol):
    """backward(dy, cache, want=None) -> a tuple, one gradient (or None) for each array read."""

    def __call__(self, dy: Any, cache: Any, want: Any = None) -> tuple[Any, ...]: ...


class Op(Protocol, Generic[P, R_co]):
    """A function of arrays, its backward, and its reference implementation."""

    __name__: str
    backward: Backward
    reference: Callable[..., Any]

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co: ...


class _Kernels(IntEnum):
    """Which kernels may run."""

    ALL = 0
    EXACT = 1
    NONE = 2


_allowed: ContextVar[_Kernels] = ContextVar('allowed', default=_Kernels.ALL)


def backward_of(forward: Callable[..., Any]) -> Callable[[Callable[..., Any]], Backward]:
    """Make the decorated function forward.backward(dy, cache, want=None).

    `want` says for each array whether its gradient is needed. A backward that saves work by it has
    the argument; for any other it is ignored.

    >>> def double(x):
    ...     return 2 * x, None
    >>> @backward_of(double)
    ... def double_backward(dy, cache):
    ...     return 2 * dy,
    >>> double.backward(3, None)
    (6,)
    """
    op = cast(Any, forward)

    def attach(backward: Callable[..., Any]) -> Backward:
        if 'want' in signature(backward).parameters:
            op.backward = backward
        else:
            @wraps(backward)
            def ignore_want(dy: Any, cache: Any, want: Any = None) -> Any:
                return backward(dy, cache)
            op.backward = ignore_want
        return cast(Backward, op.backward)
    return attach


def accelerated(reference: Callable[P, R_co]) -> Op[P, R_co]:
    """Let a kernel run in place of `reference` where one accepts the arguments.

    >>> @accelerated
    ... def double(x):
    ...     return 2 * x
    >>> double(3), double.reference(3)
    (6, 6)
    """
    name = reference.__name__

    @wraps(reference)
    def run(*args: P.args, **kwargs: P.kwargs) -> R_co:
        allowed = _allowed.get()
        function = None
        if allowed is not _Kernels.NONE:
            function = find_kernel(name, allowed is _Kernels.EXACT, *args, **kwargs)
        return cast(R_co, (function or reference)(*args, **kwargs))

    op = cast(Any, run)
    op.reference = reference
    return cast('Op[P, R_co]', op)


def reference_only() -> AbstractContextManager[None]:
    """Inside this block, in this thread, every op runs its reference implementation.

    >>> from tinyfcn import ops
    >>> import numpy as np
    >>> with reference_only():
    ...     y, cache = ops.relu(np.array([-1., 2.]))
    >>> y
    array([0., 2.])
    """
    return _allow_at_most(_Kernels.NONE)


def exact() -> AbstractContextManager[None]:
    """Inside this block, in this thread, no kernel runs that was registered as inexact.

    >>> from tinyfcn import ops
    >>> import numpy as np
    >>> with exact():
    ...     y, cache = ops.relu(np.array([-1., 2.]))
    >>> y
    array([0., 2.])
    """
    return _allow_at_most(_Kernels.EXACT)


@contextmanager
def _allow_at_most(allowed: _Kernels) -> Iterator[None]:
    token = _allowed.set(max(allowed, _allowed.get()))
    try:
        yield
    finally:
        _allowed.reset(token)
