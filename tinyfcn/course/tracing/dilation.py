"""Stacked dilated convolutions: which pixels a unit depends on, and by how many paths."""
import numpy as np

from ... import ops
from .captions import subscript, sum_of
from .grid import empty, make_grid, make_player, set_cells


def paths(dilations):
    """The number of paths from each pixel of a row to one unit; a pixel without one stays empty.

    dilations: of convolutions with 3 taps, from the image upwards
    -> Player with the grids conv2, conv1, …, image. All taps are 1, so gradients count paths.
    """
    counts = _count_paths(dilations)
    cells = [np.argwhere(count).tolist() for count in counts]
    wide = counts[0].shape[1]
    from_top = [*reversed(dilations)]
    names = [*(f'conv{i}' for i in range(len(dilations), 0, -1)), 'image']

    def frame(n):
        first = max(0, n - 1)
        return dict(caption=caption(n),
                    set=set_cells([names[n]], [counts[n]], cells[n]),
                    highlight=dict(zip(names[first:n + 1], cells[first:])), sums=sums(n))

    def above(n, j):
        """The cells of the row above that add their paths to cell j."""
        dilation = from_top[n - 1]
        return [k for k in (j - dilation, j, j + dilation) if 0 <= k < wide and counts[n - 1][0, k]]

    def sums(n):
        """How the paths of each cell add."""
        if n == 0:
            return []
        return [dict(cell=[names[n], 0, j], name=subscript([j]),
                     terms=[[[names[n - 1], 0, k]] for k in above(n, j)])
                for _, j in cells[n]]

    def caption(n):
        """How many cells have a path, and how the paths of the cell with the most of them add."""
        if n == 0:
            return f'one unit of {names[0]}'
        field = 1 + 2 * sum(from_top[:n])
        text = f'{names[n]}: {len(cells[n])} of {field} cells have a path'
        j = int(counts[n].argmax())
        terms = [float(counts[n - 1][0, k]) for k in above(n, j)]
        if len(terms) == 1:
            return text
        return f'{text};  {sum_of(subscript([j]), terms, counts[n][0, j])}'

    titles = [f'{name}: dilation {dilation}' for name, dilation in zip(names, from_top)]
    grids = [make_grid(name, title, empty(1, wide), i, colours='shade')
             for i, (name, title) in enumerate(zip(names, [*titles, 'image']))]
    return make_player(f'The paths from the image to one unit of {names[0]}', grids, len(names),
                       frame)


def _count_paths(dilations):
    """The gradients of the unit in the middle, (1, width) each, from the last layer downwards."""
    wide = 1 + 2 * sum(dilations)
    taps = np.ones((1, 1, 1, 3))
    row = np.zeros((1, 1, 1, wide))
    caches = []
    for dilation in dilations:
        _, cache = ops.conv2d(row, taps, pad=(0, dilation), dilation=(1, dilation))
        caches.append(cache)
    gradient = row.copy()
    gradient[..., wide // 2] = 1
    counts = [gradient]
    for cache in reversed(caches):
        gradient, *_ = ops.conv2d.backward(gradient, cache)
        counts.append(gradient)
    return [count[0, 0] for count in counts]
