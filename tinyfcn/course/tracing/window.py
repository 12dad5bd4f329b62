"""y = M x, three ways: a window at a time, columns of windows, rows of the matrix."""
import numpy as np

from ... import ops
from .captions import at, sum_of_products
from .grid import empty, every, filled, grid, image, names, padded, planes, steps, windows


def convolution(x, w, stride=1, pad=0, dilation=1):
    """window × kernel = one output.

    x (C, H, W), w (C, kh, kw) -> Player with the grids x (padded), w, y
    """
    x, w = image(x, 'x'), image(w, 'w')
    x, rim, cols, y, taps = _slide(x, w, stride, pad, dilation)
    places, kernel = every(y.shape), every(w.shape[1:])

    def frame(n):
        return dict(say=sum_of_products(f'y{at(places[n])}', w.ravel(), cols[:, n], y.flat[n]),
                    set=filled(['y'], [y], [places[n]]),
                    lit={**dict.fromkeys(names('x', x), taps[n]),
                         **dict.fromkeys(names('w', w), kernel), 'y': [places[n]]})

    grids = [*planes('x', _input(rim), x, rim), *planes('w', 'kernel w', w),
             grid('y', 'output y', empty(*y.shape))]
    return steps('Convolution: window × kernel = one output', grids, len(places), frame)


def im2col(x, w, stride=1, pad=0):
    """window -> column -> output.

    x (C, H, W), w (C, kh, kw) -> Player with the grids x (padded), w as a column, cols, y
    """
    x, w = image(x, 'x'), image(w, 'w')
    x, rim, cols, y, taps = _slide(x, w, stride, pad)
    places, kernel = every(y.shape), w.reshape(-1, 1)

    def frame(n):
        column = [[i, n] for i in range(len(cols))]
        return dict(say=sum_of_products(f'y{at(places[n])}', w.ravel(), cols[:, n], y.flat[n]),
                    set={**filled(['cols'], [cols], column), **filled(['y'], [y], [places[n]])},
                    lit={**dict.fromkeys(names('x', x), taps[n]), 'w': every(kernel.shape),
                         'cols': column, 'y': [places[n]]})

    grids = [*planes('x', _input(rim), x, rim), grid('y', 'output y', empty(*y.shape)),
             grid('w', 'w', kernel, len(x)),
             grid('cols', 'cols: a column for each window', empty(*cols.shape), len(x))]
    return steps('im2col: every window becomes a column', grids, len(places), frame)


def matrix(x, w, stride=1, pad=0):
    """Row after row of M times x, as one column, is y.

    x (C, H, W), w (C, kh, kw) -> Player with the grids M, x and y as columns
    """
    x, w = image(x, 'x'), image(w, 'w')
    y = ops.conv2d(x[None], w[None], stride=stride, pad=pad)[0].reshape(-1, 1)
    blank = grid('M', 'M: a row for each output, a column for each pixel', empty(len(y), x.size))
    m = ops.conv_matrix(w[None], x.shape, stride, pad)
    dense, pixels = m.toarray(), range(x.size)
    taps = [np.sort(m.indices[a:b]).tolist() for a, b in zip(m.indptr, m.indptr[1:])]

    def frame(n):
        return dict(say=sum_of_products(f'y[{n}]', dense[n, taps[n]], x.flat[taps[n]], y[n, 0]),
                    set={**filled(['M'], [dense], [[n, j] for j in pixels]),
                         **filled(['y'], [y], [[n, 0]])},
                    lit={'M': [[n, j] for j in taps[n]], 'x': [[j, 0] for j in taps[n]],
                         'y': [[n, 0]]})

    blank['soft'] = [[n, j] for n in range(len(y)) for j in pixels if j not in taps[n]]
    grids = [blank, grid('x', 'x', x.reshape(-1, 1)), grid('y', 'y', empty(*y.shape))]
    return steps('Convolution as a matrix: y = M x', grids, len(y), frame, soft='no tap: 0')


def _slide(x, w, stride, pad, dilation=1):
    """x with its padding, where that is, the columns, y, and the cells of every window."""
    how = dict(stride=stride, dilation=dilation)
    x, rim = padded(x, pad)
    y, _ = ops.conv2d(x[None], w[None], **how)
    cols, _ = ops.im2col(x[None], w.shape[1:], **how)
    return x, rim, cols[0], y[0, 0], windows(x.shape[1:], w.shape[1:], **how)


def _input(rim):
    return 'input x, padded' if rim else 'input x'
