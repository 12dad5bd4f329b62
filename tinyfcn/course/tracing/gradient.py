"""Backward: where windows overlap, gradients add."""
import numpy as np

from ... import ops
from ...geometry import axes
from .captions import increment, subscript
from .grid import (
    all_cells,
    as_array,
    cells_in,
    channel_names,
    first_values,
    make_grid,
    make_grids,
    make_player,
    most_covered,
    pad_planes,
    padding_cells,
    set_cells,
    value_colours,
    window_cells,
)


def backward(x, w, dy, stride=1, pad=0):
    """For each number of dy: dw += dy · its window of x, and dx += dy · w in that window.

    x (C, H, W), w (C, kh, kw), dy (OH, OW) -> Player with the grids x (padded), w, dy, dw, dx
    """
    w = as_array(w, 'w')
    dy = as_array(dy, 'dy')
    padded, padding = pad_planes(as_array(x, 'x'), pad)
    _, cache = ops.conv2d(padded[None], w[None], stride=stride)
    windows = window_cells(padded.shape[1:], w.shape[1:], stride)
    outputs = all_cells(dy.shape[1:])
    taps = all_cells(w.shape[1:])
    x_names = channel_names('x', padded)
    w_names = channel_names('w', w)
    dx_names = channel_names('dx', padded)
    dw_names = channel_names('dw', w)

    def gradients_after(n):
        """dx and dw of the first n numbers of dy."""
        dx, dw, _ = ops.conv2d.backward(first_values(dy, n)[None], cache)
        return dx[0], dw[0]

    def frame(n):
        _, dw_before = gradients_after(n)
        dx, dw = gradients_after(n + 1)
        # the caption shows the sum of one cell, dw[0,0]: it reads the first cell of each window
        i, j = windows[n][0]
        factors = dy.flat[n], padded[0, i, j]
        sum_text = increment(f'{dw_names[0]}[0,0]', dw_before.flat[0], factors, dw.flat[0])
        cell = subscript(outputs[n])
        changed = set_cells(dw_names, dw, taps)
        changed.update(set_cells(dx_names, dx, windows[n]))
        highlight = {'dy': [outputs[n]]}
        highlight.update(dict.fromkeys([*x_names, *dx_names], windows[n]))
        highlight.update(dict.fromkeys([*w_names, *dw_names], taps))
        sums = []
        for targets, reads in ((cells_in(dw_names, taps), cells_in(x_names, windows[n])),
                               (cells_in(dx_names, windows[n]), cells_in(w_names, taps))):
            sums += [dict(cell=target, terms=[[['dy', *outputs[n]], read]], how='add')
                     for target, read in zip(targets, reads)]
        return dict(caption=f'dy{cell}:  dw += dy · window,  dx += dy · w,  {sum_text}',
                    set=changed, highlight=highlight, sums=sums)

    grids = [*make_grids('x', 'input x, padded' if padding else 'input x', padded, padding,
                         colours=value_colours(padded)),
             *make_grids('w', 'kernel w', w, colours='signed'),
             make_grid('dy', 'dy', dy[0], colours='signed'),
             *make_grids('dw', 'dw, so far', np.zeros_like(w), sign='→', colours='signed'),
             *make_grids('dx', 'dx, so far', np.zeros_like(padded), padding, colours='signed')]
    return make_player('Backward: each dy adds to dw and dx', grids, len(outputs), frame)


def col2im(cols, size, ksize, stride=1, pad=0):
    """Column by column, each number is added to the pixel that im2col read it from.

    cols (C·kh·kw, OH·OW), size (H, W) -> Player with the grids cols, x (padded)
    """
    cols = as_array(cols, 'cols', 2)
    size = axes(size, 'size', 1)
    padded_size = [n + 2 * p for n, p in zip(size, axes(pad, 'pad'))]
    windows = window_cells(padded_size, ksize, stride)

    def x_after(n):
        """The sums x (padded) after the first n columns."""
        first_columns = np.zeros_like(cols)
        first_columns[:, :n] = cols[:, :n]
        return ops.col2im(first_columns[None], padded_size, ksize, stride)[0][0]

    zeros = x_after(0)
    padding = padding_cells(size, pad)
    x_names = channel_names('x', zeros)

    def frame(n):
        x = x_after(n + 1)
        row = most_covered(windows, n)          # of cols: in channel 0, so it is the tap's number
        i, j = windows[n][row]
        name = f'{x_names[0]}{subscript([i, j])}'
        caption = increment(name, x_after(n)[0, i, j], (cols[row, n],), x[0, i, j])
        column = [[k, n] for k in range(len(cols))]
        sums = [dict(cell=target, terms=[[['cols', *read]]], how='add')
                for target, read in zip(cells_in(x_names, windows[n]), column)]
        return dict(caption=caption,
                    set=set_cells(x_names, x, windows[n]),
                    highlight={'cols': column, **dict.fromkeys(x_names, windows[n])}, sums=sums)

    title = 'x, so far: pad is cropped' if padding else 'x, so far'
    grids = [make_grid('cols', 'cols: a column for each window', cols,
                       colours=value_colours(cols)),
             *make_grids('x', title, zeros, padding, sign='→',
                         colours=value_colours(x_after(cols.shape[1])))]
    return make_player('col2im: every column is added back', grids, cols.shape[1], frame)
