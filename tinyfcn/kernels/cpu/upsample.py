"""y = rows · x · columnsᵀ on every plane: upsampling, resizing, averaging, and their backward.

    z[i]    = Σ rows[i, k] · x[k]               a row of y is the sum of a few rows of x
    y[i, j] = Σ columns[j, k] · z[i, k]         and then a pixel that of a few pixels

Both matrices are sparse: of row i only the entries indptr[i] … indptr[i + 1] are stored, and only
those are multiplied. The order of the products is the one in which `columns`, whose vectors are as
short as a pixel, has fewer rows to compute.
"""
import numpy as np

from ..registry import kernel
from .blocking import channels_last
from .images import pixel, rows_in_parallel
from .jit import compiled
from .simd import LANES
from .vec import ZERO, full, load, store


@kernel('separable', 'numpy', accepts=lambda x, rows, columns: (
    x.dtype == rows.dtype == columns.dtype == 'float32' and x.ndim == 4 and x.size > 0))
def separable(x, rows, columns):
    pixels = np.ascontiguousarray(channels_last(x))     # a row of pixels is one vector
    products = [(_along_rows, 1, rows), (_along_columns, 2, columns)]
    if rows.shape[0] > rows.shape[1]:
        products.reverse()
    y = pixels
    for loop, axis, matrix in products:
        y = _product(loop, axis, matrix, y)
    return y.transpose(0, 3, 1, 2), (x.shape, rows, columns)


def _product(loop, axis, matrix, x):
    """The matrix times `axis` of x (N, H, W, C)."""
    matrix = matrix.tocsr()
    shape = list(x.shape)
    shape[axis] = matrix.shape[0]
    y = np.empty(shape, x.dtype)
    entries = [np.ascontiguousarray(a, dtype) for a, dtype in (
        (matrix.indptr, 'int32'), (matrix.indices, 'int32'), (matrix.data, 'float32'))]
    rows_in_parallel(loop, [x, y], *entries)
    return y


@compiled
def _along_rows(x, y, indptr, indices, values, start, stop):
    length = x.columns * x.channels
    for row in range(start, stop):
        n, i = divmod(row, y.rows)
        for c in range(0, length, LANES):
            result = full(ZERO)
            for k in range(indptr[i], indptr[i + 1]):
                line = load(pixel(x, n, indices[k], 0, c), length - c)
                result = result + full(values[k]) * line
            store(pixel(y, n, i, 0, c), length - c, result)


@compiled
def _along_columns(x, y, indptr, indices, values, start, stop):
    for row in range(start, stop):
        n, i = divmod(row, y.rows)
        for j in range(y.columns):
            for c in range(0, x.channels, LANES):
                result = full(ZERO)
                for k in range(indptr[j], indptr[j + 1]):
                    value = load(pixel(x, n, i, indices[k], c), x.channels - c)
                    result = result + full(values[k]) * value
                store(pixel(y, n, i, j, c), x.channels - c, result)
