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
    y = np.ascontiguousarray(channels_last(x))
    axes = [(1, rows), (2, columns)]
    if rows.shape[0] > rows.shape[1]:
        axes.reverse()
    for axis, matrix in axes:
        y = _product(matrix.tocsr(), y, axis)
    return y.transpose(0, 3, 1, 2), (x.shape, rows, columns)


def _product(matrix, x, axis):
    """The matrix times one axis of x (N, H, W, C), whose pixels are adjacent."""
    shape = list(x.shape)
    shape[axis] = matrix.shape[0]
    y = np.empty(shape, x.dtype)
    arrays = x, y
    if axis == 1:                                       # a row of pixels is one long vector
        arrays = [a.reshape(*a.shape[:2], 1, -1) for a in arrays]
    entries = [np.ascontiguousarray(a, dtype) for a, dtype in (
        (matrix.indptr, 'int32'), (matrix.indices, 'int32'), (matrix.data, 'float32'))]
    rows_in_parallel(_weighted_sums, arrays, axis, *entries)
    return y


@compiled
def _weighted_sums(x, y, axis, indptr, indices, values, start, stop):
    """y[n, i, j] = Σ values[k] · x[n, indices[k], j]; along axis 2 x[n, i, indices[k]].

    Two vectors at a time, so that there is less to count for each.
    """
    for row in range(start, stop):
        n, i = divmod(row, y.rows)
        for j in range(y.columns):
            if axis == 1:
                out, origin, stride = i, pixel(x, n, 0, j, 0), x.row_stride
            else:
                out, origin, stride = j, pixel(x, n, i, 0, 0), x.column_stride
            for c in range(0, x.channels, 2 * LANES):
                left = x.channels - c
                first = full(ZERO)
                second = full(ZERO)
                for k in range(indptr[out], indptr[out + 1]):
                    at = origin + stride * indices[k] + 4 * c
                    value = values[k]
                    first = first + value * load(at, left)
                    second = second + value * load(at + 4 * LANES, left - LANES)
                store(pixel(y, n, i, j, c), left, first)
                store(pixel(y, n, i, j, c + LANES), left - LANES, second)
