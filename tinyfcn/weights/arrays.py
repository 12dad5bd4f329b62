"""The arrays of weight files as the ops need them: floats in this machine's byte order.

The cost of reading any file, also a malicious one, is bounded: its arrays take at most
MAX_EXPANSION times the size of the file and FREE_BYTES more, which is checked by the sizes that the
file declares, before anything is allocated for them. While they are read, a reader needs memory for
a second copy of its largest array, and for the names, numbers and pickled values of the header.
Each reader says how much that is, and how long it takes for each megabyte of the file.
"""
from collections.abc import Sequence
from typing import Any
from zipfile import ZipInfo

import numpy as np
from numpy.typing import NDArray

from ..files import FormatError

Arrays = dict[str, NDArray[Any]]

MAX_BYTES = 8 << 30     # a file may hold this many bytes of arrays; VGG-16 has half a GiB
# a file may fill this many times its own size, and so much more: float16 doubles, compressed
# weights are a little larger than their file, and sparse ones several times larger
MAX_EXPANSION = 16
FREE_BYTES = 16 << 20
MAX_AXES = 32           # of an array; a weight has at most 5
MAX_SIZE = 1 << 63      # of one axis


def check_dtype(name: str, dtype: np.dtype[Any]) -> None:
    """Refuse all but floats, integers and bools; `name` is for the error message."""
    if dtype.kind not in 'fiub':
        raise FormatError(f'{name} is {dtype}; weights are floats, integers or bools')


def to_native(name: str, array: NDArray[Any]) -> NDArray[Any]:
    """`array` in this machine's byte order, C-contiguous and writeable; float16 as float32.

    `name` is for the error message.
    """
    check_dtype(name, array.dtype)
    # the ops compute in float32 and float64
    dtype = np.dtype('float32') if array.dtype == 'float16' else array.dtype.newbyteorder('=')
    native: NDArray[Any] = np.require(array, dtype, ['C', 'W'])
    return native


def from_bfloat16(bits: NDArray[Any]) -> NDArray[np.float32]:
    """bfloat16 is the upper half of a float32.   (…) of uint16 -> (…) of float32"""
    wide = bits.astype('uint32')
    wide <<= 16
    return wide.view(np.float32)


def largest_expansion(file_size: int) -> int:
    """The bytes that the arrays of a file of this size may fill."""
    return MAX_EXPANSION * file_size + FREE_BYTES


def check_size(total: int, limit: int, what: str = 'arrays') -> None:
    """Refuse a file whose arrays would fill more memory than `limit` bytes."""
    if total > limit:
        raise FormatError(f'its {what} would fill {total:,} bytes; the limit is {limit:,}, for a '
                          f'file of this size')


def are_sizes(values: object) -> bool:
    """Whether these are a few whole numbers, none negative, as the sizes of an array's axes are."""
    return (isinstance(values, (list, tuple)) and len(values) <= MAX_AXES
            and all(type(size) is int and 0 <= size < MAX_SIZE for size in values))


def check_members(members: Sequence[ZipInfo], file_size: int) -> None:
    """Refuse a zip whose list claims more than the file has: zipfile allocates it, then reads."""
    if max((member.compress_size for member in members), default=0) > file_size:
        raise FormatError('a member claims more bytes than the file has: damaged; get the file '
                          'again')
