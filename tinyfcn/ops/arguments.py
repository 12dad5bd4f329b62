"""What every op checks about its arguments: nothing is cast, broadcast or moved silently."""
from collections.abc import Sequence
from numbers import Real
from typing import Any, TypeAlias

from numpy.typing import NDArray

from ..geometry import Pair
from ..runtime.backend import array_module

__all__ = ['Array', 'Cache', 'Pair', 'check_gradient', 'check_shape', 'choice', 'floats',
           'integers', 'number', 'numbered', 'share']

Array: TypeAlias = NDArray[Any]                 # of NumPy, or of CuPy with the same methods
Cache: TypeAlias = tuple[Any, ...]              # what the forward of an op keeps for its backward


def floats(rank: int | None = None, /, **arrays: Array) -> Any:
    """Refuse all but float32 or float64 arrays of one dtype, one array library and this rank.

    -> the library, numpy or cupy
    A batch may have no images; along every other axis there is at least one value.
    """
    (first, x), *_ = arrays.items()
    for name, array in arrays.items():
        module = _module_of(name, array)
        if array.dtype not in ('float32', 'float64'):
            raise TypeError(f'{name} is {array.dtype}; ops compute in float32 or float64: '
                            f'{name}.astype("float32")')
        if module is not array_module(x):
            raise TypeError(f'{name} is a {module.__name__} array and {first} a '
                            f'{array_module(x).__name__} array: move both to one device')
        if array.dtype != x.dtype:
            raise TypeError(f'{name} is {array.dtype} and {first} is {x.dtype}: cast one of them')
        _check_rank(rank, name, array)
        if 0 in array.shape[1:]:
            raise ValueError(f'{name} has shape {array.shape}: only the first axis, the number of '
                             f'images, may be 0')
    return module


def integers(rank: int, /, **arrays: Array) -> Any:
    """Refuse all but integer arrays (labels, switches) of this rank. -> the array library"""
    for name, array in arrays.items():
        module = _module_of(name, array)
        if array.dtype.kind not in 'iu':
            raise TypeError(f'{name} is {array.dtype}; integers are needed')
        _check_rank(rank, name, array)
    return module


def check_shape(shape: Sequence[int], reason: str, /, **arrays: Array) -> None:
    """Refuse arrays of any other shape, which NumPy would broadcast."""
    for name, array in arrays.items():
        if array.shape != tuple(shape):
            raise ValueError(f'{name} has shape {array.shape}; {tuple(shape)} is needed, {reason}')


def check_gradient(dy: Array, shape: Sequence[int], **cached: Array) -> None:
    """Refuse a dy without the shape of y and the dtype of the cached arrays."""
    floats(dy=dy, **cached)
    check_shape(shape, 'the shape of y', dy=dy)


def numbered(xs: Sequence[Array]) -> dict[str, Array]:
    """(a, b, …) -> {'x1': a, 'x2': b, …}, for ops that read any number of arrays."""
    if not xs:
        raise ValueError('at least one array is needed')
    return {f'x{i}': x for i, x in enumerate(xs, start=1)}


def number(value: float, name: str) -> float:
    """A Python float, beside which an array keeps its dtype; a NumPy number would widen it."""
    if not isinstance(value, Real):
        raise TypeError(f'{name} is {value!r}: a number is needed')
    try:
        return float(value)
    except OverflowError:
        raise ValueError(f'{name} is {value!r}: no float is as large') from None


def share(value: float, name: str) -> float:
    """A Python float in 0 … 1."""
    value = number(value, name)
    if not 0 <= value <= 1:
        raise ValueError(f'{name} is {value!r}: a number in 0 … 1 is needed')
    return value


def choice(value: str, name: str, *choices: str) -> str:
    """One of these words."""
    if not (isinstance(value, str) and value in choices):
        raise ValueError(f'{name} is {value!r}: it is one of {", ".join(map(repr, choices))}')
    return value


def _module_of(name: str, array: Array) -> Any:
    try:
        return array_module(array)
    except TypeError as error:
        raise TypeError(f'{name}: {error}') from None


def _check_rank(rank: int | None, name: str, array: Array) -> None:
    if not array.ndim:
        raise ValueError(f'{name} is a single number: {name}.reshape(1) is an array of one')
    if rank not in (None, array.ndim):
        axes = {4: ': (N, C, H, W)', 3: ': (N, …, …)'}.get(rank, '')
        raise ValueError(f'{name} has shape {array.shape}; {rank} axes are needed{axes}')
