"""Bilinear upsampling along one axis: a bilinear kernel for every value, and overlaps add."""
import numpy as np

from ... import ops
from ..player import format_number
from .captions import subscript, sum_of
from .grid import as_array, first_values, make_grid, make_player, set_cells


def bilinear(values, factor):
    """One scaled bilinear kernel for each value; where they overlap, they add.

    values (n,), factor an int -> Player with the grids values, kernels, y
    """
    values = as_array(values, 'values', rank=1)
    count = len(values)

    def upsample(x):
        return ops.upsample(x.reshape(1, 1, 1, count), (1, factor))[0][0, 0]

    one_hot = np.eye(count)
    kernels = np.concatenate([upsample(values * one) for one in one_hot])
    reach = np.concatenate([upsample(one) for one in one_hot]) > 0
    centre = factor - (1 + factor % 2) / 2              # of the first kernel

    def frame(n):
        y = upsample(first_values(values, n + 1))
        columns = np.flatnonzero(reach[n]).tolist()
        # the caption is about the column in which most kernels add, the first such one
        column = max(columns, key=lambda j: (int(reach[:n + 1, j].sum()), -j))
        terms = [float(kernels[k, column]) for k in range(n + 1) if reach[k, column]]
        row = [[n, j] for j in columns]
        output = [[0, j] for j in columns]
        sums = [dict(cell=['y', 0, j], name=f'y[{j}]',
                     terms=[[['kernels', k, j]] for k in range(n + 1) if reach[k, j]])
                for j in columns]
        middle = format_number(factor * n + centre)
        return dict(formula=f'kernels[{n},j] = values[{n}] · (1 − |j − {middle}| / {factor})',
                    caption=sum_of(f'y{subscript([column])}', terms, y[0, column]),
                    set={**set_cells(['kernels'], [kernels], row),
                         **set_cells(['y'], [y], output)},
                    highlight={'values': [[0, n]], 'kernels': row, 'y': output}, sums=sums)

    blank = np.full(kernels.shape, np.nan)
    grids = [make_grid('values', 'values', values[None], colours='bars'),
             make_grid('kernels', 'value × bilinear kernel, one in each row', blank, 1,
                       colours='bars'),
             make_grid('y', 'y, so far: Σ of each column', blank[:1], 2,
                       colours='bars')]
    return make_player(f'Bilinear upsampling, ×{factor}: kernels overlap and add', grids, count,
                       frame)
