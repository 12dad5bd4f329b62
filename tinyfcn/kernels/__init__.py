"""The kitchen: fast stand-ins for readable bodies. Nobody needs to come in to understand the house.

A stand-in names its op by string and returns the same values, the cache field by field:

    @stand_in('relu', 'numpy', suits=lambda x: x.dtype == 'float32')
    def relu(x): ...

One that rounds more than its body says exact=False; exact() turns it off.
"""
_stand_ins = {}     # (op, 'numpy' or 'cupy') -> [(suits, exact, function), ...]


def stand_in(op, module, suits, exact=True):
    """Offer the decorated function for `op` on arrays of `module` whenever suits(…) holds."""
    def register(function):
        _stand_ins.setdefault((op, module), []).append((suits, exact, function))
        return function
    return register


def find(op, exact_only, *args, **kwargs):
    """The first stand-in for `op` that suits these arguments; None if there is none."""
    if not any(op == name for name, _ in _stand_ins):
        return None
    first = next(iter((*args, *kwargs.values())), None)
    module = type(first).__module__.split('.')[0]           # what is no array the body refuses
    for suits, exact, function in _stand_ins.get((op, module), ()):
        if (exact or not exact_only) and suits(*args, **kwargs):
            return function
    return None


# at the end: they decorate with what stands above
from . import (  # noqa: E402, F401, I001
    conv, gpu_columns, gpu_conv, gpu_loss, gpu_norm, gpu_pointwise, gpu_pool, gpu_update,
    gpu_upsample, loss, norm, pointwise, pool, switches, upsample)
