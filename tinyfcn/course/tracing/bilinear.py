"""Bilinear upsampling along one axis: every value puts up a tent, and tents add."""
import numpy as np

from ... import ops
from .captions import at, sum_of
from .grid import filled, grid, image, steps, upto


def bilinear(values, factor):
    """Tents, one for each value, overlap and add.

    values (n,), factor an int -> Player with the grids values, tents, y
    """
    values = image(values, 'values', rank=1)
    many = len(values)

    def upsampled(x):
        return ops.upsample(x.reshape(1, 1, 1, many), (1, factor))[0][0, 0]

    tents = np.concatenate([upsampled(values * (np.arange(many) == n)) for n in range(many)])
    reach = np.concatenate([upsampled(1. * (np.arange(many) == n)) for n in range(many)]) > 0

    def frame(n):
        y, under = upsampled(upto(values, n + 1)), np.flatnonzero(reach[n]).tolist()
        most = max(under, key=lambda j: (int(reach[:n + 1, j].sum()), -j))
        stand = [float(tents[k, most]) for k in range(n + 1) if reach[k, most]]
        return dict(say=sum_of(f'y{at([most])}', stand, y[0, most]),
                    set={**filled(['tents'], [tents], [[n, j] for j in under]),
                         **filled(['y'], [y], [[0, j] for j in under])},
                    lit={'values': [[0, n]], 'tents': [[n, j] for j in under],
                         'y': [[0, j] for j in under]})

    blank = np.full(tents.shape, np.nan)
    grids = [grid('values', 'values', values[None]),
             grid('tents', 'tents: value × tent, one in each row', blank, 1),
             grid('y', 'y, so far: each column added', blank[:1], 2)]
    return steps(f'Bilinear, ×{factor}: tents overlap and add', grids, many, frame)
