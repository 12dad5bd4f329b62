"""What every op asks of its arrays: nothing is cast, broadcast or moved in silence."""
from numbers import Real

from ..runtime.backend import array_module


def floats(rank=None, **arrays):
    """Refuse all but float32 or float64 arrays of one dtype, of one module, and of this rank.

    -> the module, numpy or cupy
    """
    (first, x), *_ = arrays.items()
    for name, array in arrays.items():
        module = _module_of(name, array)
        if array.dtype not in ('float32', 'float64'):
            raise TypeError(f'{name} is {array.dtype}; ops compute in float32 or float64: '
                            f'{name}.astype("float32")')
        if module is not array_module(x):
            raise TypeError(f'{name} is of {module.__name__} and {first} of '
                            f'{array_module(x).__name__}: bring both to one device')
        if array.dtype != x.dtype:
            raise TypeError(f'{name} is {array.dtype} and {first} is {x.dtype}: cast one of them')
        _ranked(rank, name, array)
        if not array.size:
            raise ValueError(f'{name} has shape {array.shape}: there is nothing in it')
    return module


def integers(rank, **arrays):
    """Refuse all but arrays of whole numbers, labels and switches, of this rank. -> the module"""
    for name, array in arrays.items():
        module = _module_of(name, array)
        if array.dtype.kind not in 'iu':
            raise TypeError(f'{name} is {array.dtype}; whole numbers are needed')
        _ranked(rank, name, array)
    return module


def shaped(shape, why, **arrays):
    """Refuse arrays of another shape, which NumPy would broadcast."""
    for name, array in arrays.items():
        if array.shape != tuple(shape):
            raise ValueError(f'{name} has shape {array.shape}; {tuple(shape)} is needed, {why}')


def gradient(dy, shape, **beside):
    """dy has the shape of y, and the dtype of the arrays that it will meet."""
    floats(dy=dy, **beside)
    shaped(shape, 'the shape of y', dy=dy)


def numbered(xs):
    """(a, b, …) -> {'x1': a, 'x2': b, …}, for ops that read any number of arrays."""
    if not xs:
        raise ValueError('at least one array is needed')
    return {f'x{i}': x for i, x in enumerate(xs, start=1)}


def number(value, name):
    """A Python float: an array keeps its dtype beside it, beside a NumPy number it would widen."""
    if not isinstance(value, Real):
        raise TypeError(f'{name} is {value!r}: a number is needed')
    return float(value)


def _module_of(name, array):
    try:
        return array_module(array)
    except TypeError as error:
        raise TypeError(f'{name}: {error}') from None


def _ranked(rank, name, array):
    if rank not in (None, array.ndim):
        axes = {4: ': (N, C, H, W)', 3: ': (N, …, …)'}.get(rank, '')
        raise ValueError(f'{name} has shape {array.shape}; {rank} axes are needed{axes}')
