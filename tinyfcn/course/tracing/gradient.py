"""Backward: where windows overlap, gradients add."""
from ... import ops
from ...geometry import axes, extent
from .captions import increment, subscript
from .grid import (
    all_cells,
    as_array,
    channel_names,
    first_values,
    make_grid,
    make_grids,
    make_player,
    most_covered,
    pad_planes,
    set_cells,
    window_cells,
)


def backward(x, w, dy, stride=1, pad=0):
    """For each dy: dw += dy · its window of x, and dx += dy · w in that window.

    x (C, H, W), w (C, kh, kw), dy (OH, OW) -> Player with the grids x (padded), w, dy, dw, dx
    """
    x = as_array(x, 'x')
    w = as_array(w, 'w')
    dy = as_array(dy, 'dy')
    x, padding = pad_planes(x, pad)
    _, cache = ops.conv2d(x[None], w[None], stride=stride)
    windows = window_cells(x.shape[1:], w.shape[1:], stride)
    outputs = all_cells(dy.shape[1:])
    taps = all_cells(w.shape[1:])
    x_names, w_names, dx_names, dw_names = (channel_names(name, x)
                                            for name in ('x', 'w', 'dx', 'dw'))

    def gradients_after(n):
        """dx and dw of the first n numbers of dy."""
        dx, dw, _ = ops.conv2d.backward(first_values(dy, n)[None], cache)
        return dx[0], dw[0]

    def frame(n):
        _, dw_before = gradients_after(n)
        dx, dw = gradients_after(n + 1)
        factors = dy.flat[n], x[0][tuple(windows[n][0])]
        sum_text = increment(f'{dw_names[0]}[0,0]', dw_before.flat[0], factors, dw.flat[0])
        cell = subscript(outputs[n])
        return dict(caption=f'dy{cell}:  dw += dy · window,  dx += dy · w,  {sum_text}',
                    set={**set_cells(dw_names, dw, taps), **set_cells(dx_names, dx, windows[n])},
                    highlight={'dy': [outputs[n]],
                               **dict.fromkeys([*x_names, *dx_names], windows[n]),
                               **dict.fromkeys([*w_names, *dw_names], taps)})

    grids = [*make_grids('x', 'input x, padded' if padding else 'input x', x, padding),
             *make_grids('w', 'kernel w', w), make_grid('dy', 'dy', dy[0]),
             *make_grids('dw', 'dw, so far', 0 * w),
             *make_grids('dx', 'dx, so far', 0 * x, padding)]
    return make_player('Backward: each dy adds to dw and dx', grids, len(outputs), frame)


def col2im(cols, size, ksize, stride=1, pad=0):
    """Column by column, added back onto the pixels it was read from.

    cols (C·kh·kw, OH·OW), size (H, W) -> Player with the grids cols, x (padded)
    """
    cols = as_array(cols, 'cols', 2)
    h, w = extent(size, None)
    padded_size = [n + 2 * p for n, p in zip((h, w), axes(pad, 'pad'))]
    windows = window_cells(padded_size, ksize, stride)

    def x_after(n):
        """x of the first n columns."""
        part = first_values(cols.T, n * len(cols)).T
        return ops.col2im(part[None], padded_size, ksize, stride)[0][0]

    zeros = x_after(0)
    _, padding = pad_planes(zeros[:, :h, :w], pad)
    x_names = channel_names('x', zeros)

    def frame(n):
        x = x_after(n + 1)
        tap = most_covered(windows, n)
        i, j = windows[n][tap]
        name = f'{x_names[0]}{subscript([i, j])}'
        caption = increment(name, x_after(n)[0, i, j], (cols[tap, n],), x[0, i, j])
        return dict(caption=caption,
                    set=set_cells(x_names, x, windows[n]),
                    highlight={'cols': [[k, n] for k in range(len(cols))],
                               **dict.fromkeys(x_names, windows[n])})

    title = 'x, so far: pad is cropped' if padding else 'x, so far'
    grids = [make_grid('cols', 'cols: a column for each window', cols),
             *make_grids('x', title, zeros, padding)]
    return make_player('col2im: every column is added back', grids, cols.shape[1], frame)
