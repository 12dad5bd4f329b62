"""y = rows · x · columnsᵀ on every plane, as dense products: BLAS is faster than a sparse product.

Every op that is one thin matrix along each axis comes here: upsampling, resizing, averaging, and
the backward of each. In channels-last memory no value has to be moved before either product. A few
lines of `rows` read only a band of x, so that product is made band by band. The order of the two
products is the one in which `columns` multiplies the smaller image.
"""
import numpy as np

from ..registry import kernel
from .blocking import channels_last, parallel_for

BAND = 32               # lines of `rows` in a product


def _accepts(x, rows, columns):
    if not (x.dtype == rows.dtype == columns.dtype == 'float32' and x.ndim == 4 and x.size > 0):
        return False
    # a dense product multiplies every pixel of a line, mostly by 0, and 0 times infinity is NaN
    return bool(-np.inf < x.min() and x.max() < np.inf)


@kernel('separable', 'numpy', accepts=_accepts)
def separable(x, rows, columns):
    pixels = channels_last(x)
    down = rows.toarray()
    across = columns.toarray()
    if len(down) < x.shape[2]:
        y = _along_columns(across, _along_rows(down, pixels))
    else:
        y = _along_rows(down, _along_columns(across, pixels))
    return y.transpose(0, 3, 1, 2), (x.shape, rows, columns)


def _along_rows(matrix, x):
    """(OH, H) times (N, H, W, C) -> (N, OH, W, C)"""
    n, h, w, c = x.shape
    y = np.empty((n, len(matrix), w, c), x.dtype)
    x = x.reshape(n, h, w * c)
    bands = [(image, top) for image in range(n) for top in range(0, len(matrix), BAND)]

    def multiply(part):
        for image, top in bands[part]:
            band = matrix[top:top + BAND]
            used = band.any(0).nonzero()[0]             # the rows of x that the band reads
            read = slice(used[0], used[-1] + 1) if len(used) else slice(0)
            out = y[image, top:top + BAND].reshape(len(band), w * c)
            np.matmul(band[:, read], x[image, read], out=out)

    # to move a value takes as long as 8 multiplications
    parallel_for(multiply, count=len(bands), cost=8 * BAND * w * c)
    return y


def _along_columns(matrix, x):
    """(OW, W) times (N, H, W, C) -> (N, H, OW, C)"""
    n, h, w, c = x.shape
    y = np.empty((n * h, len(matrix), c), x.dtype)
    x = x.reshape(n * h, w, c)

    def multiply(part):
        np.matmul(matrix, x[part], out=y[part])

    parallel_for(multiply, count=n * h, cost=w * len(matrix) * c)
    return y.reshape(n, h, len(matrix), c)
