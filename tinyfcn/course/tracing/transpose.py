"""y = Mᵀ x in three ways, on the same numbers: scatter, zero insertion, the transposed matrix."""
import numpy as np

from ... import ops
from ...geometry import axes, transposed_size
from .captions import increment, subscript, sum_of_products
from .grid import (
    all_cells,
    as_array,
    cells_in,
    channel_names,
    editable,
    empty,
    first_values,
    make_grid,
    make_grids,
    make_player,
    most_covered,
    pad_planes,
    padding_cells,
    pair_up,
    set_cells,
    value_colours,
    window_cells,
)


def scatter(x, w, stride=1, pad=0):
    """Each x adds x·w to a window of y; what pad crops in the end is dim.

    x (C, H, W), w (C, kh, kw) -> Player with the grids x, w, y (with what pad crops)
    """
    x = as_array(x, 'x')
    w = as_array(w, 'w')
    cropped, _ = ops.conv_transpose2d(x[None], w[:, None], stride=stride, pad=pad)
    border = padding_cells(cropped.shape[2:], pad)

    def y_after(n):
        """y of the first n numbers of x."""
        y, _ = ops.conv_transpose2d(first_values(x, n)[None], w[:, None], stride=stride)
        return y[0, 0]

    y = y_after(x.size)
    inputs = all_cells(x.shape)
    taps = all_cells(w.shape[1:])
    windows = window_cells(y.shape, w.shape[1:], stride)

    def frame(n):
        c, *cell = inputs[n]
        before = y_after(n)
        after = y_after(n + 1)
        window = windows[n % len(windows)]
        tap = most_covered(windows, n)
        i, j = window[tap]
        x_name = channel_names('x', x)[c]
        w_name = channel_names('w', w)[c]
        factors = float(x.flat[n]), w[c].flat[tap]
        sum_text = increment(f'y{subscript([i, j])}', before[i, j], factors, after[i, j])
        sums = [dict(cell=['y', *target], how='add',
                     terms=[[[x_name, *cell], [w_name, *tap_cell]]])
                for target, tap_cell in zip(window, taps)]
        return dict(caption=f'y += {x_name}{subscript(cell)} · {w_name}:  {sum_text}',
                    set=set_cells(['y'], [after], window),
                    highlight={x_name: [cell], w_name: taps, 'y': window}, sums=sums)

    title = 'output y, so far' + (': pad crops its border' if border else '')
    grids = [*make_grids('x', 'input x', x, colours=value_colours(x)),
             *make_grids('w', 'kernel w', w, sign='×', colours='signed'),
             make_grid('y', title, 0 * y, dim=border, sign='→', colours=value_colours(y))]
    return make_player('Transposed convolution: each x adds x·w', grids, len(inputs), frame,
                       dim_legend='cropped',
                       **editable('scatter', dict(stride=stride, pad=pad), x=x, w=w))


def zero_insert(x, w, stride=1, pad=0):
    """Zeros between the x and ksize − 1 − pad around; then a convolution with the flipped kernel.

    x (C, H, W), w (C, kh, kw) -> Player with the grids x, expanded, w (flipped), y
    """
    x = as_array(x, 'x')
    w = as_array(w, 'w')
    border = [k - 1 - p for k, p in zip(w.shape[1:], axes(pad, 'pad'))]
    if min(border) < 0:
        raise ValueError(f'pad {pad} is larger than ksize − 1 for a kernel of '
                         f'{w.shape[1]}×{w.shape[2]}: no zeros are left to put around x')
    expanded, zeros = _insert_zeros(x, stride, border)
    flipped = np.ascontiguousarray(w[:, ::-1, ::-1])
    y = ops.conv2d(expanded[None], flipped[None])[0][0, 0]
    cols = ops.im2col(expanded[None], w.shape[1:])[0][0]
    windows = window_cells(expanded.shape[1:], w.shape[1:])
    outputs = all_cells(y.shape)
    zero_cells = {tuple(cell) for cell in zeros}
    names = channel_names('expanded', x)
    w_names = channel_names('w', w)
    taps = all_cells(w.shape[1:])
    weights = cells_in(w_names, taps)

    def frame(n):
        window = windows[n]
        rows = [k for k in range(len(cols)) if tuple(window[k % len(window)]) not in zero_cells]
        caption = sum_of_products(f'y{subscript(outputs[n])}', flipped.ravel()[rows],
                                  cols[rows, n], y.flat[n])
        terms = pair_up(weights, cells_in(names, window))
        return dict(caption=caption,
                    set=set_cells(['y'], [y], [outputs[n]]),
                    highlight={**dict.fromkeys(names, window), **dict.fromkeys(w_names, taps),
                               'y': [outputs[n]]},
                    sums=[dict(cell=['y', *outputs[n]], terms=[terms[k] for k in rows])])

    grids = [*make_grids('x', 'input x', x, colours=value_colours(x)),
             *make_grids('expanded', 'x with zeros between and around', expanded, zeros, sign='→',
                         colours=value_colours(x)),
             *make_grids('w', 'w, flipped', flipped, sign='∗', colours='signed'),
             make_grid('y', 'output y', empty(*y.shape), sign='=', colours=value_colours(y))]
    return make_player('Transposed convolution: insert zeros, then convolve', grids, len(outputs),
                       frame, dim_legend='inserted zeros')


def _insert_zeros(x, stride, border):
    """x with stride − 1 zeros between its pixels and a border of zeros, and the cells of these."""
    # a transposed convolution with the 1×1 kernel 1 does nothing but put zeros between
    one = np.ones((1, 1, 1, 1))
    planes = [ops.conv_transpose2d(plane, one, stride=stride)[0][0, 0]
              for plane in x[:, None, None]]
    is_pixel, _ = ops.conv_transpose2d(np.ones_like(x[:1])[None], one, stride=stride)
    expanded, _ = pad_planes(np.stack(planes), border)
    is_pixel, _ = pad_planes(is_pixel[0], border)
    return expanded, np.argwhere(is_pixel[0] == 0).tolist()


def transposed_matrix(x, w, stride=1, pad=0):
    """y = Mᵀ x: each x times its column of Mᵀ, which is a row of M, and all of them added.

    x (C, H, W), w (C, kh, kw) -> Player with the grids Mᵀ, x and y as columns
    """
    x = as_array(x, 'x')
    w = as_array(w, 'w')
    size = transposed_size(x.shape[1:], w.shape[1:], stride, pad)
    high = size[0] * size[1]
    wide = x.size
    matrix_grid = make_grid('Mᵀ', 'Mᵀ: a column for each x', empty(high, wide), colours='signed')
    m = ops.conv_matrix(w[:, None], size, stride, pad)
    dense = m.toarray().T
    taps = [np.sort(m.indices[a:b]).tolist() for a, b in zip(m.indptr, m.indptr[1:])]
    matrix_grid['dim'] = [[i, n] for n in range(wide) for i in range(high) if i not in taps[n]]
    columns = [[[i, 0] for i in rows] for rows in taps]

    def y_after(n):
        """y of the first n numbers of x."""
        return m.T @ first_values(x, n).reshape(-1, 1)

    def frame(n):
        y = y_after(n + 1)
        column = columns[n]
        if column:
            i, _ = column[most_covered(columns, n)]
            factors = x.flat[n], dense[i, n]
            sum_text = increment(f'y[{i}]', y_after(n)[i, 0], factors, y[i, 0])
            caption = f'y += x[{n}] · column {n}:  {sum_text}'
        else:
            caption = f'x[{n}] adds nothing: pad crops its whole window'
        return dict(caption=caption,
                    set={**set_cells(['Mᵀ'], [dense], [[i, n] for i in range(high)]),
                         **set_cells(['y'], [y], column)},
                    highlight={'Mᵀ': [[i, n] for i in taps[n]], 'x': [[n, 0]], 'y': column},
                    sums=[dict(cell=['y', i, 0], name=f'y[{i}]', how='add',
                               terms=[[['x', n, 0], ['Mᵀ', i, n]]]) for i in taps[n]])

    grids = [matrix_grid,
             make_grid('x', 'x', x.reshape(-1, 1), sign='·', colours=value_colours(x)),
             make_grid('y', 'y, so far', np.zeros((high, 1)), sign='=',
                       colours=value_colours(y_after(wide)))]
    return make_player('Transposed convolution: y = Mᵀ x', grids, wide, frame,
                       dim_legend='no tap: 0')
