"""The kitchen: fast stand-ins for readable bodies. Nobody needs to come in to understand the house.

A stand-in names its op by string and returns the same values, the cache field by field:

    @stand_in('relu', 'numpy', suits=lambda x: x.dtype == 'float32')
    def relu(x): ...
"""
from ..backend import array_module

_stand_ins = {}     # (op, 'numpy' or 'cupy') -> [(suits, function), ...]


def stand_in(op, module, suits):
    """Offer the decorated function for `op` on arrays of `module` whenever suits(…) holds."""
    def register(function):
        _stand_ins.setdefault((op, module), []).append((suits, function))
        return function
    return register


def find(op, *args, **kwargs):
    """The first stand-in for `op` that suits these arguments; None if there is none."""
    if not any(op == name for name, _ in _stand_ins):
        return None
    module = array_module(args[0]).__name__
    for suits, function in _stand_ins.get((op, module), ()):
        if suits(*args, **kwargs):
            return function
    return None
