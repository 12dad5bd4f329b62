"""The bins of pyramid pooling, each the mean of its pixels."""
import numpy as np

from ... import ops
from ..player import format_number
from .captions import MAX_TERMS, equal_sign, subscript
from .grid import (
    all_cells,
    as_array,
    channel_names,
    empty,
    make_grids,
    make_player,
    set_cells,
    value_colours,
)


def avg_pool_to(x, bins):
    """bins × bins means of x, whatever its size; if it is not a multiple of bins, they overlap.

    x (C, H, W) -> Player with the grids x, y
    """
    x = as_array(x, 'x')
    y, cache = ops.avg_pool_to(x[None], bins)
    x_names = channel_names('x', x)
    y_names = channel_names('y', x)
    outputs = all_cells(y.shape[1:])

    def pixels_of(output):
        """The pixels of a bin: those to which it sends a gradient."""
        dy = np.zeros_like(y)
        dy[(0, *output)] = 1
        dx, = ops.avg_pool_to.backward(dy, cache)
        return np.argwhere(dx[0, output[0]]).tolist()

    def frame(n):
        c, i, j = outputs[n]
        pixels = pixels_of(outputs[n])
        value = float(y[0, c, i, j])
        values = [float(x[c][tuple(pixel)]) for pixel in pixels]
        if len(values) <= MAX_TERMS:
            terms = ', '.join(map(format_number, values))
        else:
            terms = f'all {len(values)}'
        caption = (f'{y_names[c]}{subscript([i, j])} = mean({terms}) '
                   f'{equal_sign(*values, value)} {format_number(value)}')
        return dict(caption=caption,
                    set=set_cells([y_names[c]], [y[0, c]], [[i, j]]),
                    highlight={x_names[c]: pixels, y_names[c]: [[i, j]]},
                    sums=[dict(cell=[y_names[c], i, j], how='mean',
                               terms=[[[x_names[c], *pixel]] for pixel in pixels])])

    grids = [*make_grids('x', 'x', x, colours=value_colours(x)),
             *make_grids('y', 'y: the mean of each bin', empty(*y.shape[1:]), sign='→',
                         colours=value_colours(x))]
    return make_player('The bins of pyramid pooling', grids, len(outputs), frame)
