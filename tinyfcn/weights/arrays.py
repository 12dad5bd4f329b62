"""The arrays of weight files as the ops need them: floats in this machine's byte order."""
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..files import FormatError

Arrays = dict[str, NDArray[Any]]

MAX_BYTES = 8 << 30     # a file may hold this many bytes of arrays; VGG-16 has half a GiB


def to_native(name: str, array: NDArray[Any]) -> NDArray[Any]:
    """`array` in this machine's byte order, C-contiguous and writeable; float16 as float32.

    `name` is for the error message.
    """
    if array.dtype.kind not in 'fiub':
        raise FormatError(f'{name} is {array.dtype}; weights are floats, integers or bools')
    # the ops compute in float32 and float64
    dtype = np.dtype('float32') if array.dtype == 'float16' else array.dtype.newbyteorder('=')
    native: NDArray[Any] = np.require(array, dtype, ['C', 'W'])
    return native


def from_bfloat16(bits: NDArray[Any]) -> NDArray[np.float32]:
    """bfloat16 is the upper half of a float32.   (…) of uint16 -> (…) of float32"""
    return (bits.astype('uint32') << 16).view(np.float32)


def check_size(total: int, limit: int, what: str = 'arrays') -> None:
    """Refuse a file whose arrays would fill more memory than `limit` bytes."""
    if total > limit:
        raise FormatError(f'its {what} would fill {total:,} bytes; the limit is {limit:,}')
