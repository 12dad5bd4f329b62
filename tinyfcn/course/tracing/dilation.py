"""Windows with holes, one on the other: which pixels a unit sees through them."""
import numpy as np

from ... import ops
from .captions import at, sum_of
from .grid import empty, filled, grid, steps


def ways(dilations):
    """By how many ways each pixel of a row reaches one unit; what no way reaches stays empty.

    dilations: how far the 3 taps of each window lie apart, from the image upwards
    -> Player with the grids conv2, conv1, …, image. All taps are 1: gradients count the ways.
    """
    wide, taps = 1 + 2 * sum(dilations), np.ones((1, 1, 1, 3))
    row, holes = np.zeros((1, 1, 1, wide)), [0, *reversed(dilations)]
    caches = [ops.conv2d(row, taps, pad=(0, hole), dilation=(1, hole))[1] for hole in dilations]
    row[..., wide // 2] = 1                             # the one unit, in the middle
    counts = [row]
    for cache in reversed(caches):
        counts.append(ops.conv2d.backward(counts[-1], cache)[0])
    counts, cells = [count[0, 0] for count in counts], [np.argwhere(c[0, 0]).tolist()
                                                        for c in counts]
    names = [*(f'conv{i}' for i in range(len(dilations), 0, -1)), 'image']

    def frame(n):
        return dict(say=said(n), set=filled([names[n]], [counts[n]], cells[n]),
                    lit=dict(zip(names[max(0, n - 1):n + 1], cells[max(0, n - 1):])))

    def said(n):
        """How many are seen, and of one that several ways reach how they add."""
        if n == 0:
            return f'one unit of {names[0]}'
        field, j, hole = 1 + 2 * sum(holes[:n + 1]), int(counts[n].argmax()), holes[n]
        seen = f'{names[n]}: {len(cells[n])} of {field} cells are seen'
        above = [float(counts[n - 1][0, k]) for k in (j - hole, j, j + hole) if 0 <= k < wide]
        above = [value for value in above if value]
        return f'{seen};  {sum_of(at([j]), above, counts[n][0, j])}' if len(above) > 1 else seen

    titles = [f'{name}: {f"taps {hole} apart" if hole > 1 else "no holes"}'
              for name, hole in zip(names, holes[1:])]
    grids = [grid(name, title, empty(1, wide), i)
             for i, (name, title) in enumerate(zip(names, [*titles, 'image']))]
    return steps(f'The ways from the image to one unit of {names[0]}', grids, len(names), frame)
