"""The dtypes of weight files as the ops know them: floats in this machine's byte order."""
import numpy as np

from ..files import FormatError


def plain(name, array):
    """`array` in this machine's byte order and rows; float16 becomes float32, which ops know."""
    if array.dtype.kind not in 'fiub':
        raise FormatError(f'{name} is {array.dtype}; weights are floats, integers or bools')
    dtype = 'float32' if array.dtype == 'float16' else array.dtype.newbyteorder('=')
    return np.require(array, dtype, 'CW')


def from_bfloat16(bits):
    """bfloat16 is the upper half of a float32.   (…) of uint16 -> (…) of float32"""
    return (bits.astype('uint32') << 16).view('float32')
