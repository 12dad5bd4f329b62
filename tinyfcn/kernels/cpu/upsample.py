"""y = U x Vᵀ on every plane as dense products: BLAS is quicker than a sparse walk.

Whatever is one thin matrix along each axis comes here: upsampling, resizing, averaging, and the
backward of each. In channels-last memory neither product moves a value beforehand. A few rows of
U read only a band of x, so its product is made band by band; V meets the smaller of the images.
"""
import numpy as np

from ..registry import kernel
from .blocking import channels_last, spread

BAND = 32               # rows of U at a time


def _suits(x, rows, columns):
    return x.dtype == rows.dtype == columns.dtype == 'float32' and x.ndim == 4 and x.size > 0


@kernel('separable', 'numpy', accepts=_suits)
def separable(x, rows, columns):
    n, c, h, w = x.shape
    pixels, down, across = channels_last(x), rows.toarray(), columns.toarray()
    if len(down) < h:
        y = _along_columns(across, _along_rows(down, pixels))
    else:
        y = _along_rows(down, _along_columns(across, pixels))
    return y.transpose(0, 3, 1, 2), (x.shape, rows, columns)


def _along_rows(matrix, x):
    """(OH, H) times (N, H, W, C) -> (N, OH, W, C)"""
    n, h, w, c = x.shape
    y, x = np.empty((n, len(matrix), w, c), x.dtype), x.reshape(n, h, w * c)

    bands = [(i, top) for i in range(n) for top in range(0, len(matrix), BAND)]

    def multiply(part):
        for picture, top in bands[part]:
            own = matrix[top:top + BAND]
            meets = own.any(0).nonzero()[0]
            band = slice(meets[0], meets[-1] + 1) if len(meets) else slice(0)
            out = y[picture, top:top + BAND].reshape(len(own), w * c)
            np.matmul(own[:, band], x[picture, band], out=out)

    spread(multiply, len(bands), 8 * BAND * w * c)              # to move a value is as dear
    return y


def _along_columns(matrix, x):
    """(OW, W) times (N, H, W, C) -> (N, H, OW, C)"""
    n, h, w, c = x.shape
    y, x = np.empty((n * h, len(matrix), c), x.dtype), x.reshape(n * h, w, c)

    def multiply(own):
        np.matmul(matrix, x[own], out=y[own])

    spread(multiply, n * h, w * len(matrix) * c)
    return y.reshape(n, h, len(matrix), c)
