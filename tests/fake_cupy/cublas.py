"""cuBLAS of the fake GPU: the product of matrices at addresses, which lie column by column.

It rejects what cuBLAS rejects: a leading dimension shorter than a column, and types that do not
belong together. Factors of float32 lose 13 bits where tf32 is asked for. Like cuBLAS it knows no
bounds of an array.
"""
import ctypes

import numpy as np

from .device import make_module

CUBLAS_GEMM_DEFAULT = -1
CUBLAS_COMPUTE_32F = 68
CUBLAS_COMPUTE_64F = 70
CUBLAS_COMPUTE_32F_FAST_TF32 = 77

# by the type of all three matrices and the precision of the products
DTYPES = {(0, CUBLAS_COMPUTE_32F): 'float32', (0, CUBLAS_COMPUTE_32F_FAST_TF32): 'float32',
          (1, CUBLAS_COMPUTE_64F): 'float64'}
precisions = []         # of all products, one after the other


def gemmEx(handle, transa, transb, m, n, k, alpha, A, Atype, lda, B, Btype, ldb, beta, C, Ctype,
           ldc, computeType, algo):
    gemmStridedBatchedEx(handle, transa, transb, m, n, k, alpha, A, Atype, lda, 0, B, Btype, ldb, 0,
                         beta, C, Ctype, ldc, 0, 1, computeType, algo)


def gemmStridedBatchedEx(handle, transa, transb, m, n, k, alpha, A, Atype, lda, strideA, B, Btype,
                         ldb, strideB, beta, C, Ctype, ldc, strideC, batchCount, computeType, algo):
    """C = alpha · op(A) · op(B) + beta · C, where op(A) is (m, k) and op(B) (k, n)."""
    if not Atype == Btype == Ctype or (Atype, computeType) not in DTYPES:
        raise ValueError(f'CUBLAS_STATUS_NOT_SUPPORTED: types {Atype}, {Btype} and {Ctype}, '
                         f'computed in {computeType}')
    dtype = np.dtype(DTYPES[Atype, computeType])
    precisions.append(computeType)
    alpha, beta = (values_at(address, 1, dtype)[0] for address in (alpha, beta))
    for i in range(batchCount):
        a, b, c = (matrix_at(address + i * stride * dtype.itemsize, rows, columns, leading, dtype)
                   for address, stride, rows, columns, leading in (
                       (A, strideA, *((k, m) if transa else (m, k)), lda),
                       (B, strideB, *((n, k) if transb else (k, n)), ldb),
                       (C, strideC, m, n, ldc)))
        a = a.T if transa else a
        b = b.T if transb else b
        if computeType == CUBLAS_COMPUTE_32F_FAST_TF32:
            a, b = as_tf32(a), as_tf32(b)
        c[...] = alpha * (a @ b) + (beta * c if beta else 0)    # where beta is 0, C is not read


def matrix_at(address, rows, columns, leading, dtype):
    """A view of the memory of a matrix whose columns are `leading` values apart."""
    if leading < max(1, rows):
        raise ValueError(f'CUBLAS_STATUS_INVALID_VALUE: columns of {rows} values cannot be '
                         f'{leading} apart')
    memory = values_at(address, leading * (columns - 1) + rows, dtype)
    return np.lib.stride_tricks.as_strided(memory, (rows, columns),
                                           (dtype.itemsize, leading * dtype.itemsize))


def values_at(address, count, dtype):
    memory = (ctypes.c_char * (count * dtype.itemsize)).from_address(address)
    return np.frombuffer(memory, dtype)


def as_tf32(x):
    """x rounded to 11 bits, to the nearest number."""
    bits = np.array(x, 'float32').view('uint32')
    return ((bits + 0x1000) & np.uint32(0xFFFFE000)).view('float32')


CUBLAS = make_module('cupy_backends.cuda.libs.cublas', **{
    name: value for name, value in globals().items() if name.startswith(('gemm', 'CUBLAS_'))})
LIBS = make_module('cupy_backends.cuda.libs', cublas=CUBLAS)
BACKENDS = [make_module('cupy_backends'), make_module('cupy_backends.cuda'), LIBS, CUBLAS]
