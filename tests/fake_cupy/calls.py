"""The functions, methods and operators of CuPy: NumPy computes, and CuPy's rules are kept.

A call must fit CuPy's own signature. Its arrays are on the card, and so is what comes out; the
host waits where CuPy would. The kinds of numbers widen as in NumPy 2, and so they do in CuPy 14:
test_gpuproof_array.py compares the tables. Results lie in C order, as a card writes them, but for
views and for what KEEPs the order of its argument.
"""
from functools import partial
from types import ModuleType

import numpy as np

from .array import attribute, device, garbage, host, ndarray, stats
from .names import ADDED, AT, CREATE, FIRST, KEEP, REDUCE, SURFACE, WAIT, fits, known


def function(space, name, twin):
    """cupy.<space>.<name>, computed by `twin` of NumPy."""
    def call(*args, **kwargs):
        given = fits(space, name, args, kwargs)
        first = next(iter(given), None)
        if first in FIRST and isinstance(given[first], (list, tuple)):
            raise TypeError(f'Unsupported type {type(given[first])}: cupy.{name} takes arrays')
        if name in WAIT or name == 'where' and len(given) == 1:
            stats.wait()
        result = ordered(name, run(twin, args, kwargs), args)
        if name.startswith('empty'):
            garbage(result)
        return kwargs.get('out') if kwargs.get('out') is not None else result

    return call


def method(name, x):
    """x.name(…), for ndarray."""
    def call(*args, **kwargs):
        fits('ndarray', name, args, kwargs)
        if name in WAIT:
            stats.wait()
        twin = TWINS.get(name)
        twin = partial(twin, host(x)) if twin else getattr(host(x), name)
        result = ordered(name, run(twin, args, kwargs), [x])
        return kwargs.get('out') if kwargs.get('out') is not None else result

    return call


def run(twin, args, kwargs):
    """A card divides by zero in silence."""
    with np.errstate(all='ignore'):
        return twin(*map(host, args), **{key: host(value) for key, value in kwargs.items()})


def ordered(name, result, args):
    """On the card, and in C order unless it is a view or keeps what it was given."""
    if isinstance(result, np.ndarray) and name not in KEEP:
        if not any(isinstance(x, ndarray) and np.may_share_memory(x._host, result) for x in args):
            result = np.asarray(result, order='C')
    return device(result)


def create(name):
    """array, asarray and the like: here alone the host's numbers come up, as a copy."""
    twin = getattr(np, name)

    def call(x, *args, **kwargs):
        fits('', name, (x, *args), kwargs)
        kwargs.pop('blocking', None)
        if isinstance(x, ndarray) or _on_card(x):
            return ordered(name, run(twin, (x, *args), kwargs), [x])
        stats.uploads += 1
        return device(np.array(twin(x, *args, **kwargs)))       # never the host's own memory

    return call


def _on_card(x):
    return isinstance(x, (list, tuple)) and any(isinstance(part, ndarray) for part in x)


def take(a, indices, axis=None, out=None):
    return np.take(a, indices, axis, out, mode='wrap')


def take_along_axis(a, indices, axis):
    return np.take_along_axis(a, indices % (a.size if axis is None else a.shape[axis]), axis)


TWINS = dict(take=take, take_along_axis=take_along_axis)        # outside wraps, where NumPy refuses


class Ufunc:
    """cupy.add and the like."""

    def __init__(self, name):
        self.name, self.twin = name, getattr(np, name)

    def __call__(self, *args, out=None, **kwargs):
        fits('', self.name, args, kwargs)
        self._refuse(*args, out)
        if 'where' in kwargs and out is None:
            raise TypeError(f'cupy.{self.name} writes nothing where `where` is false: give it out=')
        args, outs = args[:self.twin.nin], args[self.twin.nin:] or (out,)
        if outs[0] is None:
            return ordered(self.name, run(self.twin, args, kwargs), ())
        run(self.twin, args, dict(kwargs, out=outs))
        return outs[0] if len(outs) == 1 else outs

    def at(self, x, key, value=None):
        if self.name not in AT:
            raise NotImplementedError(f'`cupy_{self.name}.at` is not supported yet')
        if self.name == 'add' and x.dtype.char not in ADDED:
            raise TypeError(f'scatter_add only supports int32, float16, float32, float64, uint32, '
                            f'uint64, as data type: not {x.dtype}')
        self._refuse(value)
        self.twin.at(x._host, x._key(key)[0], host(value))

    def reduce(self, x, axis=0, dtype=None, out=None, keepdims=False):
        if self.name not in REDUCE:
            raise NotImplementedError(f'`cupy_{self.name}.reduce` is not supported yet')
        return getattr(x, dict(add='sum', multiply='prod')[self.name])(axis, dtype, out, keepdims)

    def outer(self, a, b, **kwargs):
        return ordered(self.name, run(self.twin.outer, (a, b), kwargs), ())

    def _refuse(self, *operands):
        for x in operands:
            if isinstance(x, (list, tuple)):
                raise TypeError(f'Unsupported type {type(x)}: cupy.{self.name} takes arrays and '
                                f'numbers')


class Space(ModuleType):
    """cupy, or a part of it: what CuPy has, by the names of NumPy."""

    def __init__(self, space, twin):
        super().__init__('.'.join(filter(None, ['cupy', space])))
        self._space, self._twin = space, twin

    def __getattr__(self, name):
        if name.startswith('__'):
            raise AttributeError(name)
        called, twin = known(self._space, name), TWINS.get(name) or getattr(self._twin, name)
        kind = isinstance(twin, type)
        if called.startswith('ufunc') or name == 'matmul':
            thing = Ufunc(name)
        elif name in CREATE:
            thing = create(name)
        elif isinstance(twin, float | None) or kind and issubclass(twin, np.generic | np.dtype):
            thing = twin                                        # nan, newaxis, float32
        elif kind or isinstance(twin, ModuleType):              # random: chance is of the host
            raise AttributeError(f'the stand-in for CuPy has no {name}')
        else:
            thing = function(self._space, name, twin)
        setattr(self, name, thing)
        return thing


# ---- What an array does with them

CUPY = Space('', np)
OPERATORS = {'add': 'add', 'sub': 'subtract', 'mul': 'multiply', 'truediv': 'true_divide',
             'mod': 'remainder', 'floordiv': 'floor_divide', 'pow': 'power', 'matmul': 'matmul',
             'and': 'bitwise_and', 'or': 'bitwise_or', 'xor': 'bitwise_xor', 'divmod': 'divmod',
             'lshift': 'left_shift', 'rshift': 'right_shift', 'lt': 'less', 'le': 'less_equal',
             'gt': 'greater', 'ge': 'greater_equal', 'eq': 'equal', 'ne': 'not_equal',
             'neg': 'negative', 'pos': 'positive', 'abs': 'absolute', 'invert': 'invert'}


def operator(kind, ufunc):
    """a + b, b + a from the right ('r'), or a += b ('i')."""
    def operate(self, *others):
        if any(type(other).__module__.startswith('cupyx') for other in others):
            return NotImplemented                               # a sparse matrix multiplies
        pair = (*others, self) if kind == 'r' else (self, *others)
        return getattr(CUPY, ufunc)(*pair, out=self if kind == 'i' else None)
    return operate


def of_numpy(self, ufunc, method, *inputs, **kwargs):
    """np.exp(x) is cupy.exp(x), as CuPy has it; so a mixture is seen there."""
    thing = getattr(CUPY, ufunc.__name__)
    if 'out' in kwargs:
        kwargs['out'], = kwargs['out']
    return (thing if method == '__call__' else getattr(thing, method))(*inputs, **kwargs)


def function_of_numpy(self, function, types, args, kwargs):
    thing = CUPY
    for name in (*function.__module__.split('.')[1:], function.__name__):
        thing = getattr(thing, name, None)
    return thing(*args, **kwargs) if thing else NotImplemented


for _name, _ufunc in OPERATORS.items():
    for _kind in ('', 'r', 'i'):
        if f'__{_kind}{_name}__' in SURFACE['ndarray']:         # it has no __imatmul__
            setattr(ndarray, f'__{_kind}{_name}__', operator(_kind, _ufunc))
ndarray.__array_ufunc__, ndarray.__array_function__ = of_numpy, function_of_numpy
ndarray.__getattr__ = lambda self, name: attribute(self, name, method)
