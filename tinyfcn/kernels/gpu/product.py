"""Matrix products by cuBLAS, of batches in any order of memory, in the precision that is asked for.

cupy.matmul copies a transposed batch, and multiplies batches in full float32 even where
`runtime.gpu.precision` asks for tf32. cuBLAS itself does neither, so it is called here directly.
"""
from typing import NamedTuple

import numpy as np

from ...runtime.backend import array_module
from ...runtime.gpu import uses_tf32
from .tape import call_library

# Rows of scratch memory are so many values long, or a multiple: 128 bytes of float32, so that each
# begins where a GPU loads vectors from, and where a line of its cache begins.
RUN = 32

# cuBLAS computes out = α · a @ b + β · out, and reads α and β in host memory: α is 1, β 0 or 1
ZERO_AND_ONE = {char: np.array([0, 1], char) for char in 'fd'}
ADDRESSES = {char: [numbers[i:].ctypes.data for i in (0, 1)]
             for char, numbers in ZERO_AND_ONE.items()}


def round_up(count):
    """The next multiple of RUN."""
    return -(-count // RUN) * RUN


def multiply(a, b, out=None, add=False):
    """a @ b; with `add`, out + a @ b.

    a (N, m, k), b (N, k, n) -> out (N, m, n); an a or b of N = 1 is the factor of all others.
    Matrices may be transposed, and rows longer than what is used of them.
    """
    batch = max(len(a), len(b))
    _, m, k = a.shape
    n = b.shape[2]
    if out is None:
        out = array_module(a).empty((batch, m, n), a.dtype)
    _check(a, b, out, (batch, m, n))
    # cuBLAS takes a row for a column, so it sees every matrix transposed: outᵀ = bᵀ aᵀ
    a, b, out_memory = _memory(a), _memory(b), _memory(out)
    if out_memory.array is not out or out_memory.transposed:
        raise ValueError(f'out has strides {out.strides}: a product is written in rows, each of '
                         f'them contiguous')
    _call_cublas(b, a, out_memory, (n, m, k), batch, add)
    return out


class Memory(NamedTuple):
    """A batch of matrices as cuBLAS reads it."""

    array: object
    transposed: bool    # whether columns, and not rows, are contiguous
    leading: int        # from one row, or column, to the next, in values
    stride: int         # from one matrix to the next, in values


def _memory(x):
    """x (N, rows, columns), or a copy where neither its rows nor its columns are contiguous."""
    count, rows, columns = x.shape
    batch_step, row_step, column_step = (step // x.itemsize for step in x.strides)
    stride = batch_step if count > 1 else 0
    if column_step == 1 and row_step >= columns:
        return Memory(x, False, row_step, stride)
    if row_step == 1 and column_step >= rows:
        return Memory(x, True, column_step, stride)
    return Memory(x.copy('C'), False, columns, rows * columns if count > 1 else 0)


def _check(a, b, out, shape):
    """cuBLAS checks no sizes: it would read whatever memory follows."""
    batch, m, n = shape
    if a.shape[2] != b.shape[1] or {len(a), len(b)} - {1, batch}:
        raise ValueError(f'{a.shape} @ {b.shape}: the last axis of the first must be as long as '
                         f'the second axis of the other, and both must have as many matrices or '
                         f'one')
    if out.shape != shape:
        raise ValueError(f'out has shape {out.shape}; {a.shape} @ {b.shape} makes {shape}')
    if a.dtype.char not in ADDRESSES or not a.dtype == b.dtype == out.dtype:
        raise TypeError(f'a is {a.dtype}, b {b.dtype} and out {out.dtype}: all must be float32, or '
                        f'all float64')


def _call_cublas(left, right, out, sizes, batch, add):
    """One product by GemmEx, which may split its sum over multiprocessors; a batch in one call."""
    from cupy_backends.cuda.libs import cublas

    xp = array_module(left.array)
    char = left.array.dtype.char
    if char == 'f':
        kind = xp.cuda.runtime.CUDA_R_32F
        precision = (cublas.CUBLAS_COMPUTE_32F_FAST_TF32 if uses_tf32()
                     else cublas.CUBLAS_COMPUTE_32F)
    else:
        kind = xp.cuda.runtime.CUDA_R_64F
        precision = cublas.CUBLAS_COMPUTE_64F
    zero, one = ADDRESSES[char]
    operands = []
    for x in (left, right, out):
        operands.append([x.array, kind, x.leading])
        if batch > 1:
            operands[-1].append(x.stride)
    arguments = [xp.cuda.get_cublas_handle(), left.transposed, right.transposed, *sizes, one,
                 *operands[0], *operands[1], one if add else zero, *operands[2]]
    if batch > 1:
        arguments.append(batch)
    call_library(cublas.gemmStridedBatchedEx if batch > 1 else cublas.gemmEx,
                 *arguments, precision, cublas.CUBLAS_GEMM_DEFAULT, written=out.array)
