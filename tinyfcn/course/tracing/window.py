"""y = M x in three ways: window by window, by im2col, and row by row of the matrix."""
from typing import NamedTuple

import numpy as np

from ... import ops
from ...geometry import axes
from .captions import subscript, sum_of_products, window_formula
from .grid import (
    all_cells,
    as_array,
    cells_in,
    channel_names,
    editable,
    empty,
    make_grid,
    make_grids,
    make_player,
    pad_planes,
    pair_up,
    set_cells,
    value_colours,
    window_cells,
)


class Convolution(NamedTuple):
    """A convolution by the ops, and which cells each window reads."""
    x: np.ndarray               # with its padding, (C, H, W)
    padding: list               # the cells of the padding
    cols: np.ndarray            # of im2col, (C·kh·kw, OH·OW)
    y: np.ndarray               # (OH, OW)
    windows: list               # of each output the list of its cells


def convolution(x, w, stride=1, pad=0, dilation=1):
    """window × kernel = one output.

    x (C, H, W), w (C, kh, kw) -> Player with the grids x (padded), w, y

    >>> player = convolution([[1, 2], [-3, 4]], [[2, -1], [1, 0]])
    >>> player.trace['frames'][0]['caption']
    'y[0,0] = 2·1 − 1·2 + 1·(−3) + 0·4 = −3'
    """
    image = as_array(x, 'x')
    w = as_array(w, 'w')
    x, padding, cols, y, windows = _convolve(image, w, stride, pad, dilation)
    outputs = all_cells(y.shape)
    taps = all_cells(w.shape[1:])
    x_names = channel_names('x', x)
    w_names = channel_names('w', w)
    weights = cells_in(w_names, taps)
    step = axes(dilation, 'dilation', 1)

    def frame(n):
        caption = sum_of_products(f'y{subscript(outputs[n])}', w.ravel(), cols[:, n], y.flat[n])
        terms = pair_up(weights, cells_in(x_names, windows[n]))
        formula = window_formula(outputs[n], 'w', 'x', len(x), windows[n][0], step)
        return dict(formula=formula, caption=caption,
                    set=set_cells(['y'], [y], [outputs[n]]),
                    highlight={**dict.fromkeys(x_names, windows[n]),
                               **dict.fromkeys(w_names, taps), 'y': [outputs[n]]},
                    sums=[dict(cell=['y', *outputs[n]], terms=terms)])

    grids = [*make_grids('x', _input_title(padding), x, padding, colours=value_colours(x)),
             *make_grids('w', 'kernel w', w, sign='∗', colours='signed'),
             make_grid('y', 'output y', empty(*y.shape), sign='=', colours=value_colours(y))]
    numbers = dict(stride=stride, pad=pad, dilation=dilation)
    return make_player('Convolution: window × kernel = one output', grids, len(outputs), frame,
                       **editable('convolution', numbers, x=image, w=w))


def im2col(x, w, stride=1, pad=0):
    """window -> column -> output.

    x (C, H, W), w (C, kh, kw) -> Player with the grids x (padded), w as a column, cols, y
    """
    image = as_array(x, 'x')
    w = as_array(w, 'w')
    x, padding, cols, y, windows = _convolve(image, w, stride, pad)
    outputs = all_cells(y.shape)
    kernel = w.reshape(-1, 1)
    x_names = channel_names('x', x)

    def frame(n):
        column = [[i, n] for i in range(len(cols))]
        caption = sum_of_products(f'y{subscript(outputs[n])}', w.ravel(), cols[:, n], y.flat[n])
        reads = cells_in(x_names, windows[n])
        copies = [dict(cell=['cols', *cell], terms=[[read]], how='copy')
                  for cell, read in zip(column, reads)]
        terms = pair_up(cells_in(['w'], all_cells(kernel.shape)), cells_in(['cols'], column))
        return dict(formula=f'y{subscript(outputs[n])} = Σ[k] w[k,0] · cols[k,{n}]',
                    caption=caption,
                    set={**set_cells(['cols'], [cols], column),
                         **set_cells(['y'], [y], [outputs[n]])},
                    highlight={**dict.fromkeys(x_names, windows[n]),
                               'w': all_cells(kernel.shape), 'cols': column, 'y': [outputs[n]]},
                    sums=[*copies, dict(cell=['y', *outputs[n]], terms=terms)])

    grids = [*make_grids('x', _input_title(padding), x, padding, colours=value_colours(x)),
             make_grid('y', 'output y', empty(*y.shape), sign='→', colours=value_colours(y)),
             make_grid('w', 'w', kernel, 1, colours='signed'),
             make_grid('cols', 'cols: a column for each window', empty(*cols.shape), 1,
                       sign='·', colours=value_colours(cols))]
    return make_player('im2col: every window becomes a column', grids, len(outputs), frame,
                       **editable('im2col', dict(stride=stride, pad=pad), x=image, w=w))


def matrix(x, w, stride=1, pad=0):
    """y = M x, row by row of M.

    x (C, H, W), w (C, kh, kw) -> Player with the grids M, x and y as columns
    """
    x = as_array(x, 'x')
    w = as_array(w, 'w')
    y = ops.conv2d(x[None], w[None], stride=stride, pad=pad)[0].reshape(-1, 1)
    title = 'M: a row for each output, a column for each pixel'
    matrix_grid = make_grid('M', title, empty(len(y), x.size), colours='signed')
    m = ops.conv_matrix(w[None], x.shape, stride, pad)
    dense = m.toarray()
    pixels = range(x.size)
    taps = [np.sort(m.indices[a:b]).tolist() for a, b in zip(m.indptr, m.indptr[1:])]
    matrix_grid['dim'] = [[n, j] for n in range(len(y)) for j in pixels if j not in taps[n]]

    def frame(n):
        caption = sum_of_products(f'y[{n}]', dense[n, taps[n]], x.flat[taps[n]], y[n, 0])
        return dict(formula=f'y[{n}] = Σ[j] M[{n},j] · x[j]', caption=caption,
                    set={**set_cells(['M'], [dense], [[n, j] for j in pixels]),
                         **set_cells(['y'], [y], [[n, 0]])},
                    highlight={'M': [[n, j] for j in taps[n]],
                               'x': [[j, 0] for j in taps[n]],
                               'y': [[n, 0]]},
                    sums=[dict(cell=['y', n, 0], name=f'y[{n}]',
                               terms=[[['M', n, j], ['x', j, 0]] for j in taps[n]])])

    grids = [matrix_grid,
             make_grid('x', 'x', x.reshape(-1, 1), sign='·', colours=value_colours(x)),
             make_grid('y', 'y', empty(*y.shape), sign='=', colours=value_colours(y))]
    return make_player('Convolution as a matrix: y = M x', grids, len(y), frame,
                       dim_legend='no tap: 0')


def _convolve(x, w, stride, pad, dilation=1):
    """-> Convolution"""
    geometry = dict(stride=stride, dilation=dilation)
    x, padding = pad_planes(x, pad)
    y, _ = ops.conv2d(x[None], w[None], **geometry)
    cols, _ = ops.im2col(x[None], w.shape[1:], **geometry)
    windows = window_cells(x.shape[1:], w.shape[1:], **geometry)
    return Convolution(x, padding, cols[0], y[0, 0], windows)


def _input_title(padding):
    return 'input x, padded' if padding else 'input x'
