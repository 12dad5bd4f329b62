"""L14: the same line for any array; and an array that NumPy cannot reach, where there is no GPU.

`Elsewhere` behaves as an array on a GPU does, and stricter: only its own module computes with it.
"""
import sys
from contextlib import contextmanager
from types import ModuleType

import numpy as np

from .exercise import Exercise, whole


class Elsewhere:
    """An array in a memory of its own; .get() brings a copy of it to NumPy."""
    __module__ = 'cupy'             # by this name array_module() asks for the module, see `lent`
    __array_ufunc__ = None          # np.add and the operators of NumPy leave it alone

    def __init__(self, host):
        self._host = host

    def get(self):
        return self._host.copy()

    def __array__(self, dtype=None, copy=None):
        raise TypeError('this array is not in the memory of NumPy')

    def __array_function__(self, function, types, args, kwargs):
        raise TypeError('functions of NumPy do not know this array; its own module has the same')

    def __array_namespace__(self, api_version=None):
        return MODULE

    def __getattr__(self, name):
        if name.startswith('_'):
            raise AttributeError(name)
        return _out(getattr(self._host, name))

    def __getitem__(self, key):
        return _out(self._host[_in(key)])

    def __len__(self):
        return len(self._host)

    def __float__(self):
        return float(self._host)

    def __repr__(self):
        return f'elsewhere {self._host!r}'


def _operator(name):
    return lambda self, *others: _out(getattr(self._host, name)(*map(_in, others)))


for _name in ('neg abs add radd sub rsub mul rmul truediv rtruediv pow rpow '
              'lt le gt ge eq ne').split():
    setattr(Elsewhere, f'__{_name}__', _operator(f'__{_name}__'))


class Module(ModuleType):
    """What NumPy has, under the same names, for arrays that are elsewhere."""
    ndarray = Elsewhere

    def __getattr__(self, name):
        if name.startswith('__'):
            raise AttributeError(name)
        return _out(getattr(np, name))

    def asarray(self, x, dtype=None):
        return Elsewhere(np.array(x.get() if isinstance(x, Elsewhere) else x, dtype))

    array = asarray

    def asnumpy(self, x):
        return x.get()


def _out(value):
    """What came of the host's arrays, made ours: arrays and numbers, and functions that give them.
    """
    if isinstance(value, (np.ndarray, np.generic)):
        return Elsewhere(np.asarray(value))
    if callable(value) and not isinstance(value, type):
        return lambda *args, **how: _out(value(*map(_in, args),
                                               **{key: _in(v) for key, v in how.items()}))
    return value


def _in(value):
    if isinstance(value, (tuple, list)):
        return type(value)(map(_in, value))
    if isinstance(value, np.ndarray):
        raise TypeError('one array is of NumPy and one is not: bring both to one device')
    return value._host if isinstance(value, Elsewhere) else value


MODULE = Module('cupy')


@contextmanager
def lent(args):
    """Inside, `sys.modules` knows the module of these arguments, if one of them is elsewhere.

    It is the one place where array_module() looks, and only for the length of this call.
    """
    if not any(isinstance(arg, Elsewhere) for arg in args):
        yield
        return
    missing = object()
    kept = sys.modules.get(MODULE.__name__, missing)
    sys.modules[MODULE.__name__] = MODULE
    try:
        yield
    finally:
        if kept is missing:
            sys.modules.pop(MODULE.__name__, None)
        else:
            sys.modules[MODULE.__name__] = kept


def normalised(x):
    return (x - x.mean()) / x.std()


def on_the_host(x):
    return normalised(x.get() if hasattr(x, 'get') else x)


def of_numpy(x):
    return (x - np.mean(x)) / np.std(x)


def copied(x):
    return normalised(np.asarray(x))


ANYWHERE = Exercise('x', 'y', [
    (whole(4),),
    (Elsewhere(whole(4)),),
    (whole(2, 3),),
    (Elsewhere(whole(2, 3)),),
], normalised, {
    'NumPy is spelled here, and knows nothing of an array on a GPU: ask the array whose it is, '
    'xp = array_module(x), and say xp for np.': of_numpy,
    'np.asarray would bring the array to NumPy, which a GPU refuses: compute where x is, with '
    'xp = array_module(x).': copied,
    'The answer was brought to NumPy: it stays where x is, and so can go on into the next layer.':
        on_the_host,
    'This divides by the variance: the deviation is its root.':
        lambda x: (x - x.mean()) / x.var(),
    'The mean is that of each column: here it is that of all numbers.':
        lambda x: (x - x.mean(0)) / x.std(0),
    'The deviation is computed with n − 1: here it is the root of the mean square, with n.':
        lambda x: (x - x.mean()) / x.std(ddof=1),
    'The deviation is missing: divide by it.': lambda x: x - x.mean(),
})

EXERCISES = dict(anywhere=ANYWHERE)
