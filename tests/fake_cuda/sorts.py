"""The sorts of thrust, which CuPy's wheel holds as code of a GPU: NumPy does them."""
import ctypes
from math import prod

import numpy as np


def replace(thrust):
    """Replace the functions of the module cupy.cuda.thrust."""
    thrust.sort = sort
    thrust.argsort = argsort
    thrust.lexsort = lexsort


def view(pointer, count, dtype):
    """The values in device memory, which is host memory."""
    memory = (ctypes.c_char * (count * np.dtype(dtype).itemsize)).from_address(pointer)
    return np.frombuffer(memory, dtype)


def sort(dtype, data_start, keys_start, shape, *memory):
    data = view(data_start, prod(shape), dtype).reshape(shape)
    data[...] = np.sort(data, -1)


def argsort(dtype, idx_start, data_start, keys_start, shape, *memory):
    data = view(data_start, prod(shape), dtype).reshape(shape)
    order = np.argsort(data, -1, kind='stable')
    view(idx_start, prod(shape), 'int64').reshape(shape)[...] = order
    data[...] = np.take_along_axis(data, order, -1)


def lexsort(dtype, idx_start, keys_start, k, n, *memory):
    view(idx_start, n, 'int64')[:] = np.lexsort(view(keys_start, k * n, dtype).reshape(k, n))
