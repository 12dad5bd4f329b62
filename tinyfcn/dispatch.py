"""The decorations of an op: its backward, and the stand-ins that may run in its place.

    y, cache = conv2d(x, w, b)                  the op
    dx, dw, db = conv2d.backward(dy, cache)     @backward_of(conv2d)
    conv2d.reference(x, w, b)                   the readable body, whatever stands in for it
    with reference_only(): ...                  every readable body, everywhere
    with exact(): ...                           no stand-in that rounds more than its body does
"""
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from inspect import signature

from .kernels.registry import find_kernel

_ALL, _EXACT, _NONE = range(3)                      # which stand-ins may run
_strictness = ContextVar('strictness', default=_ALL)


def backward_of(forward):
    """forward.backward(dy, cache, want=None) -> a tuple, one gradient for each array it reads.

    `want` says of each whether it is needed; a backward that saves work by it names the argument.
    """
    def attach(backward):
        if 'want' in signature(backward).parameters:
            forward.backward = backward
        else:
            @wraps(backward)
            def heedless(dy, cache, want=None):
                return backward(dy, cache)
            forward.backward = heedless
        return forward.backward
    return attach


def accelerated(body):
    """Let `kernels/` stand in for `body` where an array suits; `.reference` is always the body."""
    @wraps(body)
    def choose(*args, **kwargs):
        strictness = _strictness.get()
        if strictness == _NONE:
            return body(*args, **kwargs)
        function = find_kernel(body.__name__, strictness == _EXACT, *args, **kwargs) or body
        return function(*args, **kwargs)

    choose.reference = body
    return choose


def reference_only():
    """Inside this block (and this thread) every op runs its readable body."""
    return _at_least(_NONE)


def exact():
    """Inside this block (and this thread) no stand-in runs that was registered as inexact."""
    return _at_least(_EXACT)


@contextmanager
def _at_least(strictness):
    token = _strictness.set(max(strictness, _strictness.get()))
    try:
        yield
    finally:
        _strictness.reset(token)
