"""The backend is the array: what made x also computes with x.

There is no global device and no flag, so nothing can disagree with the data.
"""
import sys
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

# with the operators of an array; numpy.matrix and numpy.ma.MaskedArray have others
HOST_ARRAYS = np.ndarray, np.memmap

def is_cupy(x: object) -> bool:
    """Whether x is an array of CuPy, without importing CuPy."""
    return type(x).__module__.split('.')[0] == 'cupy'


def array_module(x: object) -> ModuleType:
    """The library that x belongs to: numpy or cupy.

    A cupy array exists only where cupy has been imported already, so this imports nothing.

    >>> array_module(np.zeros(3)).__name__
    'numpy'
    """
    if type(x) in HOST_ARRAYS:
        return np
    if is_cupy(x):
        return sys.modules['cupy']
    if isinstance(x, np.ndarray):
        raise TypeError(f'{type(x).__name__} is not a plain array, its operators are others: '
                        f'convert it with numpy.asarray, a masked array with its filled()')
    raise TypeError(f'{type(x).__name__} is not an array: convert it with numpy.asarray')


def sparse_module(x: object) -> ModuleType:
    """The sparse matrices that multiply x: scipy.sparse or cupyx.scipy.sparse."""
    if array_module(x) is np:
        import scipy.sparse
        sparse: ModuleType = scipy.sparse
    else:
        import cupyx.scipy.sparse
        sparse = cupyx.scipy.sparse
    return sparse


def on_host(*arrays: object) -> bool:
    """Whether the values of all arrays can be read without waiting for a GPU.

    Values are checked before they are uploaded: to read them afterwards would stall the GPU.
    """
    return all(array_module(x) is np for x in arrays)


def to_numpy(x: Any) -> Any:
    """x on the host: a NumPy array or a number as it is, a CuPy array as a copy.

    The copy waits until the GPU has computed x.
    """
    return x.get() if is_cupy(x) else x


def to_device_of(x: NDArray[Any], other: NDArray[Any]) -> NDArray[Any]:
    """x on the device where `other` is: x itself, or a copy."""
    if array_module(x) is array_module(other):
        return x
    copy: NDArray[Any] = to_numpy(x) if on_host(other) else array_module(other).asarray(x)
    return copy
