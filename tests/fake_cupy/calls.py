"""Functions, methods, ufuncs and operators of the fake CuPy: NumPy computes, CuPy's rules are kept.

A call must fit CuPy's own signature. Its arrays are on the GPU, and so is the result. Where CuPy
makes the host wait, stats count it. Dtypes are promoted as in NumPy 2, which CuPy 14 follows;
test_gpuproof_array.py compares the tables. Results are in C order, as a GPU writes them, except for
views and for functions that KEEP the ORDER of their argument.
"""
from functools import partial
from types import ModuleType

import numpy as np

from .array import fill_with_garbage, get_attribute, ndarray, stats, unwrap, wrap
from .surface import (
    ARRAY_PARAMETERS,
    ATOMIC_ADD,
    HAS_AT,
    HAS_REDUCE,
    KEEPS_ORDER,
    SURFACE,
    SYNCHRONISING,
    UPLOADING,
    check_call,
    look_up,
)


def make_function(space, name, numpy_function):
    """cupy.<space>.<name>, computed by a function of NumPy."""
    def call(*args, **kwargs):
        arguments = check_call(space, name, args, kwargs)
        first = next(iter(arguments), None)
        if first in ARRAY_PARAMETERS and isinstance(arguments[first], (list, tuple)):
            raise TypeError(f'Unsupported type {type(arguments[first])}: cupy.{name} takes arrays')
        if name in SYNCHRONISING or name == 'where' and len(arguments) == 1:
            stats.wait()
        result = wrap_result(name, compute(numpy_function, args, kwargs), args)
        if name.startswith('empty'):
            fill_with_garbage(result)
        return kwargs.get('out') if kwargs.get('out') is not None else result

    return call


def make_method(name, x):
    """x.name(…), for ndarray."""
    def call(*args, **kwargs):
        check_call('ndarray', name, args, kwargs)
        if name in SYNCHRONISING:
            stats.wait()
        replacement = REPLACEMENTS.get(name)
        numpy_method = partial(replacement, unwrap(x)) if replacement else getattr(unwrap(x), name)
        result = wrap_result(name, compute(numpy_method, args, kwargs), [x])
        return kwargs.get('out') if kwargs.get('out') is not None else result

    return call


def compute(numpy_function, args, kwargs):
    """Call it on the host's numbers, without NumPy's warnings: a GPU divides by zero silently."""
    kwargs = {key: unwrap(value) for key, value in kwargs.items()}
    with np.errstate(all='ignore'):
        return numpy_function(*map(unwrap, args), **kwargs)


def wrap_result(name, result, args):
    """The result as arrays of CuPy, in C order unless a view or of a KEEPS_ORDER function."""
    if isinstance(result, np.ndarray) and name not in KEEPS_ORDER:
        is_view = any(isinstance(x, ndarray) and np.may_share_memory(x._host, result)
                      for x in args)
        if not is_view:
            result = np.asarray(result, order='C')
    return wrap(result)


def make_upload(name):
    """array, asarray and the like: the only functions that accept NumPy arrays, and copy them."""
    numpy_function = getattr(np, name)

    def call(x, *args, **kwargs):
        check_call('', name, (x, *args), kwargs)
        kwargs.pop('blocking', None)
        if isinstance(x, ndarray) or _contains_arrays(x):
            return wrap_result(name, compute(numpy_function, (x, *args), kwargs), [x])
        stats.uploads += 1
        return wrap(np.array(numpy_function(x, *args, **kwargs)))       # never the host's memory

    return call


def _contains_arrays(x):
    return isinstance(x, (list, tuple)) and any(isinstance(part, ndarray) for part in x)


def take(a, indices, axis=None, out=None):
    return np.take(a, indices, axis, out, mode='wrap')


def take_along_axis(a, indices, axis):
    return np.take_along_axis(a, indices % (a.size if axis is None else a.shape[axis]), axis)


# CuPy wraps an index outside the array around, where NumPy raises an error
REPLACEMENTS = dict(take=take, take_along_axis=take_along_axis)


class Ufunc:
    """cupy.add and the like."""

    def __init__(self, name):
        self.name = name
        self.numpy_ufunc = getattr(np, name)

    def __call__(self, *args, out=None, **kwargs):
        check_call('', self.name, args, kwargs)
        self._reject_lists(*args, out)
        if 'where' in kwargs and out is None:
            raise TypeError(f'cupy.{self.name} writes nothing where `where` is false: pass out=')
        inputs = self.numpy_ufunc.nin
        outs = args[inputs:] or (out,)
        args = args[:inputs]
        if outs[0] is None:
            return wrap_result(self.name, compute(self.numpy_ufunc, args, kwargs), ())
        compute(self.numpy_ufunc, args, dict(kwargs, out=outs))
        return outs[0] if len(outs) == 1 else outs

    def at(self, x, key, value=None):
        if self.name not in HAS_AT:
            raise NotImplementedError(f'`cupy_{self.name}.at` is not supported yet')
        if self.name == 'add' and x.dtype.char not in ATOMIC_ADD:
            raise TypeError(f'scatter_add only supports int32, float16, float32, float64, uint32, '
                            f'uint64, as data type: not {x.dtype}')
        self._reject_lists(value)
        self.numpy_ufunc.at(x._host, x._key(key)[0], unwrap(value))

    def reduce(self, x, axis=0, dtype=None, out=None, keepdims=False):
        if self.name not in HAS_REDUCE:
            raise NotImplementedError(f'`cupy_{self.name}.reduce` is not supported yet')
        method = dict(add='sum', multiply='prod')[self.name]
        return getattr(x, method)(axis, dtype, out, keepdims)

    def outer(self, a, b, **kwargs):
        return wrap_result(self.name, compute(self.numpy_ufunc.outer, (a, b), kwargs), ())

    def _reject_lists(self, *operands):
        for x in operands:
            if isinstance(x, (list, tuple)):
                raise TypeError(f'Unsupported type {type(x)}: cupy.{self.name} takes arrays and '
                                f'numbers')


class Namespace(ModuleType):
    """The module cupy, or a part of it: what CuPy has, computed by NumPy's names."""

    def __init__(self, space, numpy_module):
        super().__init__('.'.join(filter(None, ['cupy', space])))
        self._space = space
        self._numpy_module = numpy_module

    def __getattr__(self, name):
        if name.startswith('__'):
            raise AttributeError(name)
        called = look_up(self._space, name)
        original = REPLACEMENTS.get(name) or getattr(self._numpy_module, name)
        is_type = isinstance(original, type)
        if called.startswith('ufunc') or name == 'matmul':
            value = Ufunc(name)
        elif name in UPLOADING:
            value = make_upload(name)
        elif isinstance(original, float | None):                        # nan, newaxis
            value = original
        elif is_type and issubclass(original, np.generic | np.dtype):   # float32
            value = original
        elif is_type or isinstance(original, ModuleType):   # random: numbers are drawn on the host
            raise AttributeError(f'the fake CuPy has no {name}')
        else:
            value = make_function(self._space, name, original)
        setattr(self, name, value)
        return value


# ---- The operators of an array

CUPY = Namespace('', np)
OPERATORS = {'add': 'add', 'sub': 'subtract', 'mul': 'multiply', 'truediv': 'true_divide',
             'mod': 'remainder', 'floordiv': 'floor_divide', 'pow': 'power', 'matmul': 'matmul',
             'and': 'bitwise_and', 'or': 'bitwise_or', 'xor': 'bitwise_xor', 'divmod': 'divmod',
             'lshift': 'left_shift', 'rshift': 'right_shift', 'lt': 'less', 'le': 'less_equal',
             'gt': 'greater', 'ge': 'greater_equal', 'eq': 'equal', 'ne': 'not_equal',
             'neg': 'negative', 'pos': 'positive', 'abs': 'absolute', 'invert': 'invert'}


def make_operator(prefix, ufunc):
    """a + b (prefix ''), b + a from the right ('r'), or a += b ('i')."""
    def operate(self, *others):
        if any(type(other).__module__.startswith('cupyx') for other in others):
            return NotImplemented                               # the sparse matrix multiplies
        operands = (*others, self) if prefix == 'r' else (self, *others)
        return getattr(CUPY, ufunc)(*operands, out=self if prefix == 'i' else None)
    return operate


def array_ufunc(self, ufunc, method, *inputs, **kwargs):
    """np.exp(x) calls cupy.exp(x), as in CuPy, which rejects a mixture of arrays."""
    function = getattr(CUPY, ufunc.__name__)
    if 'out' in kwargs:
        kwargs['out'], = kwargs['out']
    return (function if method == '__call__' else getattr(function, method))(*inputs, **kwargs)


def array_function(self, function, types, args, kwargs):
    """np.concatenate(…) and the like call CuPy's function of the same name."""
    found = CUPY
    for name in (*function.__module__.split('.')[1:], function.__name__):
        found = getattr(found, name, None)
    return found(*args, **kwargs) if found else NotImplemented


for _name, _ufunc in OPERATORS.items():
    for _prefix in ('', 'r', 'i'):
        if f'__{_prefix}{_name}__' in SURFACE['ndarray']:       # CuPy has no __imatmul__
            setattr(ndarray, f'__{_prefix}{_name}__', make_operator(_prefix, _ufunc))
ndarray.__array_ufunc__ = array_ufunc
ndarray.__array_function__ = array_function
ndarray.__getattr__ = lambda self, name: get_attribute(self, name, make_method)
