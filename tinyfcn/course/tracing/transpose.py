"""y = Mᵀ x in three ways, on the same numbers: scatter, zero insertion, the transposed matrix."""
import numpy as np

from ... import ops
from ...geometry import axes, transposed_size
from .captions import (
    increment,
    subscript,
    sum_of_products,
    window_formula,
    window_subscript,
)
from .grid import (
    all_cells,
    as_array,
    cells_in,
    channel_names,
    check_size,
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
        formula = f'y{window_subscript(window[0])} += {x_name}{subscript(cell)} · {w_name}[a,b]'
        return dict(formula=formula,
                    caption=f'y += {x_name}{subscript(cell)} · {w_name}:  {sum_text}',
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
        return dict(formula=window_formula(outputs[n], 'w', 'expanded', len(x), window[0]),
                    caption=caption,
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
                       frame, dim_legend='inserted zeros',
                       **editable('zero_insert', dict(stride=stride, pad=pad), x=x, w=w))


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
    """y = Mᵀ x: each x times its column of Mᵀ, folded to the size of y, and all of them added.

    x (C, H, W), w (C, kh, kw) -> Player with the grids x, w, y, Mᵀ[0], Mᵀ[1], …: column n is the
    kernel at the place where x number n adds it, and is row n of M
    """
    x = as_array(x, 'x')
    w = as_array(w, 'w')
    size = transposed_size(x.shape[1:], w.shape[1:], stride, pad)
    check_size('Mᵀ', (size[0] * size[1], x.size))
    m = ops.conv_matrix(w[:, None], size, stride, pad)
    columns = m.toarray().reshape(-1, *size)
    taps = _taps_of(x, w, size, stride, pad)
    inputs = all_cells(x.shape)
    names = [f'Mᵀ[{n}]' for n in range(x.size)]

    def y_after(n):
        """y of the first n numbers of x."""
        return (m.T @ first_values(x, n).ravel()).reshape(size)

    def frame(n):
        c, *cell = inputs[n]
        x_name = channel_names('x', x)[c]
        w_name = channel_names('w', w)[c]
        y = y_after(n + 1)
        window = [pixel for pixel, _ in taps[n]]
        if window:
            i, j = window[most_covered([[pixel for pixel, _ in each] for each in taps], n)]
            factors = x.flat[n], columns[n, i, j]
            sum_text = increment(f'y{subscript([i, j])}', y_after(n)[i, j], factors, y[i, j])
            caption = f'y += {x_name}{subscript(cell)} · column {n}:  {sum_text}'
        else:
            caption = f'{x_name}{subscript(cell)} adds nothing: pad crops its whole window'
        copies = [dict(cell=[names[n], *pixel], terms=[[[w_name, *tap]]], how='copy')
                  for pixel, tap in taps[n]]
        sums = [dict(cell=['y', *pixel], how='add',
                     terms=[[[x_name, *cell], [names[n], *pixel]]]) for pixel in window]
        return dict(formula=f'y[i,j] += {x_name}{subscript(cell)} · {names[n]}[i,j]',
                    caption=caption,
                    set={**set_cells([names[n]], [columns[n]], all_cells(size)),
                         **set_cells(['y'], [y], window)},
                    highlight={x_name: [cell], w_name: [tap for _, tap in taps[n]],
                               names[n]: window, 'y': window}, sums=[*copies, *sums])

    grids = [*make_grids('x', 'input x', x, colours=value_colours(x)),
             *make_grids('w', 'kernel w', w, colours='signed'),
             make_grid('y', 'output y, so far', np.zeros(size), sign='→',
                       colours=value_colours(y_after(x.size)))]
    for n, name in enumerate(names):
        reached = [pixel for pixel, _ in taps[n]]
        dim = [pixel for pixel in all_cells(size) if pixel not in reached]
        grids.append(make_grid(name, f'Mᵀ, column {n}', empty(*size), 1, dim, colours='signed'))
    return make_player('Transposed convolution: y = Mᵀ x, each column as an image', grids, x.size,
                       frame, dim_legend='no tap: 0',
                       **editable('transposed_matrix', dict(stride=stride, pad=pad), x=x, w=w))


def _taps_of(x, w, size, stride, pad):
    """For each x the pixels of y that it adds to, each with its cell of the kernel."""
    pads = axes(pad, 'pad')
    whole = [n + 2 * p for n, p in zip(size, pads)]
    windows = window_cells(whole, w.shape[1:], stride)
    cells = all_cells(w.shape[1:])
    taps = []
    for window in len(x) * windows:
        pixels = [[i - pads[0], j - pads[1]] for i, j in window]
        taps.append([(pixel, tap) for pixel, tap in zip(pixels, cells)
                     if all(0 <= k < n for k, n in zip(pixel, size))])
    return taps
