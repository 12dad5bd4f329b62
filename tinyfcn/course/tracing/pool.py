"""Max pooling with its switches, and unpooling by them."""
from typing import NamedTuple

from ... import ops
from ...geometry import axes
from ..player import format_number
from .captions import subscript, window_subscript
from .grid import (
    all_cells,
    as_array,
    channel_names,
    editable,
    empty,
    first_values,
    make_grids,
    make_player,
    set_cells,
    value_colours,
)


class Maximum(NamedTuple):
    """The maximum of one window."""
    channel: int
    output: list            # its cell in y, [i, j]
    value: float
    switch: int             # its flat index in the plane of x
    pixel: list             # the same as a cell of x, [i, j]


def max_pool(x, ksize, stride=None):
    """The maximum of each window and its switch; then each y goes back to where it came from.

    x (C, H, W) -> Player with the grids x, y, switches, unpooled
    """
    x = as_array(x, 'x')
    y, _ = ops.max_pool(x[None], ksize, stride)
    switches, _ = ops.max_switches(x[None], ksize, stride)
    size = x.shape[1:]
    outputs = all_cells(y.shape[1:])
    ksize_pair = axes(ksize, 'ksize', 1)
    stride_pair = ksize_pair if stride is None else axes(stride, 'stride', 1)
    x_names, y_names, switch_names, unpooled_names = (
        channel_names(name, x) for name in ('x', 'y', 'switches', 'unpooled'))


    def maximum(n):
        c, *output = outputs[n]
        switch = int(switches[0, c][tuple(output)])
        value = float(y[0, c][tuple(output)])
        return Maximum(c, output, value, switch, list(divmod(switch, size[1])))

    def pool_frame(n):
        c, output, value, switch, pixel = maximum(n)
        window = _window(output, size, ksize_pair, stride_pair)
        values = ', '.join(format_number(x[c, i, j]) for i, j in window)
        caption = (f'{y_names[c]}{subscript(output)} = max({values}) = {format_number(value)}, '
                   f'found at {subscript(pixel)}: '
                   f'switch {pixel[0]}·{size[1]} + {pixel[1]} = {switch}')
        formula = (f'{y_names[c]}{subscript(output)} = '
                   f'max[a,b] {x_names[c]}{window_subscript(window[0])}')
        return dict(formula=formula, caption=caption,
                    set={y_names[c]: [[*output, value]], switch_names[c]: [[*output, switch]]},
                    highlight={x_names[c]: window, y_names[c]: [output],
                               switch_names[c]: [output]},
                    sums=[dict(cell=[y_names[c], *output], how='max',
                               terms=[[[x_names[c], *cell]] for cell in window])])

    def unpool_frame(n):
        c, output, value, switch, pixel = maximum(n)
        unpooled, _ = ops.unpool(first_values(y, n + 1), switches, size)
        name = unpooled_names[c]
        if n == 0:
            written = set_cells(unpooled_names, unpooled[0], all_cells(size))
        else:
            written = set_cells([name], unpooled[0, [c]], [pixel])
        caption = (f'switch {switch} is {subscript(pixel)}: '
                   f'{name}{subscript(pixel)} += {format_number(value)}')
        return dict(formula=f'{name}{subscript(pixel)} += {y_names[c]}{subscript(output)}',
                    caption=caption, set=written,
                    highlight={y_names[c]: [output], switch_names[c]: [output], name: [pixel]},
                    sums=[dict(cell=[name, *pixel], how='copy',
                               terms=[[[y_names[c], *output]]])])

    def frame(n):
        return pool_frame(n) if n < len(outputs) else unpool_frame(n - len(outputs))

    numbers = dict(ksize=ksize_pair, stride=stride_pair)
    return make_player('Max pooling, and unpooling by its switches', _grids(x, y),
                       2 * len(outputs), frame, **editable('max_pool', numbers, x=x))


def _window(output, size, ksize, stride):
    """The pixels of a window; the last one may reach beyond the edge."""
    starts = [s * i for s, i in zip(stride, output)]
    return [cell for cell in all_cells(size)
            if all(start <= n < start + k for n, start, k in zip(cell, starts, ksize))]


def _grids(x, y):
    """Of x, and still empty of what is computed from it."""
    blank = empty(*y.shape[1:])
    colours = value_colours(x)
    return [*make_grids('x', 'input x', x, colours=colours),
            *make_grids('y', 'y: the maximum', blank, sign='→', colours=colours),
            *make_grids('switches', 'switches: where it was', blank),
            *make_grids('unpooled', 'unpooled: back in place', empty(*x.shape), sign='→',
                        colours=colours)]
