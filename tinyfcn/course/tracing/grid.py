"""What traces of numbers are made of: planes as grids, the cells of a window, frames."""
import numpy as np

from ... import ops
from ...geometry import axes
from ..player import Player

FRAMES, CELLS = 400, 900            # more than these nobody steps through, or reads
AXES = {3: '(C, H, W) or (H, W)', 2: '(rows, columns)', 1: '(n,)'}


def image(x, name, rank=3):
    """The reader's numbers -> (C, H, W) float64, or of another rank; (H, W) is one channel."""
    try:
        x = np.array(x, 'float64')
    except (TypeError, ValueError):
        raise ValueError(f'{name} is no array of numbers: rows of equal length are needed, '
                         f'such as [[1, 2], [3, 4]]') from None
    if rank == 3 and x.ndim == 2:
        x = x[None]
    if x.ndim != rank or not x.size:
        raise ValueError(f'{name} has shape {x.shape}; {AXES[rank]} is needed, '
                         f'with something in it')
    _readable(name, x.shape[-2:])
    return x


def names(name, x):
    """What the grids of x (C, H, W) are called: x, or x[0], x[1], … where it has channels."""
    return [name] if len(x) == 1 else [f'{name}[{c}]' for c in range(len(x))]


def grid(name, title, x, row=0, soft=()):
    """A plane of numbers, (H, W), as a grid; its `soft` cells are so in every frame."""
    _readable(name, x.shape)
    values = [[None if value != value else value for value in line] for line in x.tolist()]
    return dict(name=name, title=title, values=values, row=row, soft=list(soft))


def planes(name, title, x, soft=()):
    """A grid for every channel of x (C, H, W), one below the other."""
    return [grid(each, title if len(x) == 1 else f'{title}, channel {c}', plane, c, soft)
            for c, (each, plane) in enumerate(zip(names(name, x), x))]


def empty(*shape):
    """A plane in which nothing stands yet: nan is an empty cell."""
    return np.broadcast_to(np.nan, shape)


def upto(x, count):
    """The first `count` numbers of x, and zeros."""
    part = np.zeros_like(x)
    part.flat[:count] = x.flat[:count]
    return part


def padded(x, pad):
    """x (C, H, W) with its padding, and the cells of the padding."""
    pad = axes(pad, 'pad')
    wide, _ = ops.pad(x[None], pad, pad)
    inside, _ = ops.pad(np.ones_like(x[None]), pad, pad)
    return wide[0], np.argwhere(inside[0, 0] == 0).tolist()


def windows(size, ksize, stride=1, dilation=1):
    """windows(...)[n] = the cells [i, j] of window n over a plane, in im2col's own order."""
    numbers = np.arange(float(size[0] * size[1])).reshape(1, 1, *size)
    cols, _ = ops.im2col(numbers, ksize, stride, 0, dilation)
    return [[list(divmod(int(cell), size[1])) for cell in column] for column in cols[0].T]


def busiest(taps, n):
    """Which cell of window n most windows before it have met: there it is seen that they add."""
    again, n = divmod(n, len(taps))                     # each channel goes over all places anew
    before = again * taps + taps[:n]
    hits = [sum(cell in window for window in before) for cell in taps[n]]
    return hits.index(max(hits))


def every(shape):
    """All cells of an array, row by row."""
    return [list(cell) for cell in np.ndindex(*shape)]


def filled(names, planes, cells):
    """{name: [[i, j, value], …]}: what a frame writes into these cells of each plane."""
    return {name: [[i, j, float(plane[i, j])] for i, j in cells]
            for name, plane in zip(names, planes)}


def steps(title, grids, count, frame, **more):
    """frame(0), frame(1), … over the grids, unless they are too many. -> Player"""
    if count > FRAMES:
        raise ValueError(f'{count} steps are too many to follow, {FRAMES} are the most: '
                         f'take a smaller array, or a larger stride')
    return Player(dict(kind='grid', title=title, grids=grids, **more,
                       frames=[frame(n) for n in range(count)]))


def _readable(name, shape):
    high, wide = shape if len(shape) == 2 else (1, *shape)
    if high * wide > CELLS:
        raise ValueError(f'{name} would be a grid of {high}×{wide} cells, {CELLS} are the most '
                         f'that can be read: take a smaller array')
