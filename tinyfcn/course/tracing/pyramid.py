"""The bins of a pyramid, each the mean of what lies in it."""
import numpy as np

from ... import ops
from ..player import short
from .captions import TERMS, at, equals
from .grid import empty, every, filled, image, names, planes, steps


def avg_pool_to(x, bins):
    """A grid of bins over x, whatever its size: where it does not come out even, bins overlap.

    x (C, H, W) -> Player with the grids x, y
    """
    x = image(x, 'x')
    y, cache = ops.avg_pool_to(x[None], bins)
    xs, ys, places = names('x', x), names('y', x), every(y.shape[1:])

    def frame(n):
        c, i, j = places[n]
        one = np.zeros_like(y)
        one[0, c, i, j] = 1
        share, = ops.avg_pool_to.backward(one, cache)
        cells, value = np.argwhere(share[0, c]).tolist(), float(y[0, c, i, j])
        seen = [float(x[c][tuple(cell)]) for cell in cells]
        told = ', '.join(map(short, seen)) if len(seen) <= TERMS else f'all {len(seen)}'
        return dict(say=f'{ys[c]}{at([i, j])} = mean({told}) {equals(*seen, value)} {short(value)}',
                    set=filled([ys[c]], [y[0, c]], [[i, j]]),
                    lit={xs[c]: cells, ys[c]: [[i, j]]})

    grids = [*planes('x', 'x', x), *planes('y', 'y: the mean of each bin', empty(*y.shape[1:]))]
    return steps('Bins of a pyramid', grids, len(places), frame)
