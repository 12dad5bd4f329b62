"""L16: one line of code for any array module.

Where there is no GPU, `DeviceArray` takes the place of a GPU array. It is as strict as one: NumPy's
functions cannot reach it, only its own module computes with it.
"""
import sys
from contextlib import contextmanager
from types import ModuleType

import numpy as np

from .exercise import Exercise, integers


class DeviceArray:
    """An array in a memory of its own; .get() copies it into a NumPy array."""
    __module__ = 'cupy'             # array_module() goes by this name, see register_device
    __array_ufunc__ = None          # NumPy's ufuncs and operators refuse it

    def __init__(self, host):
        self._host = host

    def get(self):
        return self._host.copy()

    def __array__(self, dtype=None, copy=None):
        raise TypeError('this array is not in the memory of NumPy')

    def __array_function__(self, function, types, args, kwargs):
        raise TypeError('NumPy functions do not accept this array; its own module has the same '
                        'functions')

    def __array_namespace__(self, api_version=None):
        return DEVICE_MODULE

    def __getattr__(self, name):
        if name.startswith('_'):
            raise AttributeError(name)
        return _wrap(getattr(self._host, name))

    def __getitem__(self, key):
        return _wrap(self._host[_unwrap(key)])

    def __len__(self):
        return len(self._host)

    def __float__(self):
        return float(self._host)

    def __repr__(self):
        return f'device {self._host!r}'


def _operator(name):
    return lambda self, *others: _wrap(getattr(self._host, name)(*map(_unwrap, others)))


for _name in ('neg abs add radd sub rsub mul rmul truediv rtruediv pow rpow '
              'lt le gt ge eq ne').split():
    setattr(DeviceArray, f'__{_name}__', _operator(f'__{_name}__'))


class DeviceModule(ModuleType):
    """The functions of NumPy, under the same names, for device arrays."""
    ndarray = DeviceArray

    def __getattr__(self, name):
        if name.startswith('__'):
            raise AttributeError(name)
        return _wrap(getattr(np, name))

    def asarray(self, x, dtype=None):
        return DeviceArray(np.array(x.get() if isinstance(x, DeviceArray) else x, dtype))

    array = asarray

    def asnumpy(self, x):
        return x.get()


def _wrap(value):
    """A NumPy array or number as a DeviceArray, a NumPy function as one that takes and gives them.
    """
    if isinstance(value, (np.ndarray, np.generic)):
        return DeviceArray(np.asarray(value))
    if callable(value) and not isinstance(value, type):
        def function(*args, **kwargs):
            kwargs = {key: _unwrap(argument) for key, argument in kwargs.items()}
            return _wrap(value(*map(_unwrap, args), **kwargs))
        return function
    return value


def _unwrap(value):
    """The NumPy array behind a DeviceArray, also inside of tuples and lists."""
    if isinstance(value, (tuple, list)):
        return type(value)(map(_unwrap, value))
    if isinstance(value, np.ndarray):
        raise TypeError('one array is a NumPy array and the other is not: '
                        'bring both to one device')
    return value._host if isinstance(value, DeviceArray) else value


DEVICE_MODULE = DeviceModule('cupy')


@contextmanager
def register_device(args):
    """Put the module of device arrays into sys.modules, if one of the arguments is such an array.

    array_module() looks for it there. It is restored when the call is over, so that a real cupy is
    never hidden from anything else.
    """
    if not any(isinstance(arg, DeviceArray) for arg in args):
        yield
        return
    missing = object()
    original = sys.modules.get(DEVICE_MODULE.__name__, missing)
    sys.modules[DEVICE_MODULE.__name__] = DEVICE_MODULE
    try:
        yield
    finally:
        if original is missing:
            sys.modules.pop(DEVICE_MODULE.__name__, None)
        else:
            sys.modules[DEVICE_MODULE.__name__] = original


def standardize(x):
    return (x - x.mean()) / x.std()


def copied_to_host(x):
    return standardize(x.get() if hasattr(x, 'get') else x)


def with_numpy_functions(x):
    return (x - np.mean(x)) / np.std(x)


def with_asarray(x):
    return standardize(np.asarray(x))


STANDARDIZE = Exercise(inputs='x', outputs='y', cases=[
    (integers(4),),
    (DeviceArray(integers(4)),),
    (integers(2, 3),),
    (DeviceArray(integers(2, 3)),),
], solution=standardize, mistakes={
    'This calls NumPy by name, and NumPy cannot read an array on a GPU. Get the module of x with '
    'xp = array_module(x), and write xp where np stands.': with_numpy_functions,
    'np.asarray tries to copy the array to NumPy, which a GPU array refuses. Compute where x is, '
    'with xp = array_module(x).': with_asarray,
    'The answer was copied to NumPy. Leave it on the device of x, so that the next layer can use '
    'it.': copied_to_host,
    'This divides by the variance. The standard deviation is its square root.':
        lambda x: (x - x.mean()) / x.var(),
    'The mean and the standard deviation are those of each column. Take them over all numbers '
    'of x.': lambda x: (x - x.mean(0)) / x.std(0),
    'The standard deviation is computed with n − 1. Use n here: the square root of the mean '
    'squared deviation.': lambda x: (x - x.mean()) / x.std(ddof=1),
    'The division by the standard deviation is missing.': lambda x: x - x.mean(),
})

EXERCISES = dict(standardize=STANDARDIZE)
