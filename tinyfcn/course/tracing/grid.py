"""The parts of a trace of numbers: arrays as grids, the cells of a window, frames."""
import numpy as np

from ... import ops
from ...geometry import axes
from ..player import Player

MAX_FRAMES = 400                    # more than a reader would step through
MAX_CELLS = 900                     # more than a reader could read
SHAPES = {3: '(C, H, W) or (H, W)', 2: '(rows, columns)', 1: '(n,)'}


def as_array(x, name, rank=3):
    """The reader's numbers as float64, (C, H, W) or of another rank; (H, W) is one channel."""
    try:
        x = np.array(x, 'float64')
    except (TypeError, ValueError):
        raise ValueError(f'{name} is not an array of numbers: it needs rows of equal length, '
                         f'such as [[1, 2], [3, 4]]') from None
    if rank == 3 and x.ndim == 2:
        x = x[None]
    if x.ndim != rank or not x.size:
        raise ValueError(f'{name} has shape {x.shape}; {SHAPES[rank]} is needed, and not empty')
    check_size(name, x.shape[-2:])
    return x


def channel_names(name, x):
    """The names of the grids of x (C, H, W): x, or x[0], x[1], … if it has several channels."""
    return [name] if len(x) == 1 else [f'{name}[{c}]' for c in range(len(x))]


def make_grid(name, title, x, row=0, dim=(), **more):
    """A plane of numbers (H, W) as a grid; nan is an empty cell. `dim` cells stay dim.

    more: its sign and its colours
    """
    check_size(name, x.shape)
    values = [[None if value != value else value for value in line] for line in x.tolist()]
    return dict(name=name, title=title, values=values, row=row, dim=list(dim), **more)


def make_grids(name, title, x, dim=(), **more):
    """A grid for every channel of x (C, H, W), one below the other."""
    grids = []
    for c, (channel_name, plane) in enumerate(zip(channel_names(name, x), x)):
        channel_title = title if len(x) == 1 else f'{title}, channel {c}'
        grids.append(make_grid(channel_name, channel_title, plane, dim=dim, **more))
        if c:
            grids[-1]['below'] = True
    return grids


def empty(*shape):
    """Nothing but empty cells: nan."""
    return np.broadcast_to(np.nan, shape)


def first_values(x, count):
    """x with zeros behind its first `count` numbers."""
    part = np.zeros_like(x)
    part.flat[:count] = x.flat[:count]
    return part


def pad_planes(x, pad):
    """x (C, H, W) with its padding, and the cells [i, j] of the padding."""
    pad = axes(pad, 'pad')
    padded, _ = ops.pad(x[None], pad, pad)
    return padded[0], padding_cells(x.shape[1:], pad)


def padding_cells(size, pad):
    """The cells [i, j] of the padding around a plane of `size`."""
    pad = axes(pad, 'pad')
    inside, _ = ops.pad(np.ones((1, 1, *size)), pad, pad)
    return np.argwhere(inside[0, 0] == 0).tolist()


def window_cells(size, ksize, stride=1, dilation=1):
    """For each window over a plane the list of its cells [i, j], in the order of im2col."""
    numbers = np.arange(float(size[0] * size[1])).reshape(1, 1, *size)
    cols, _ = ops.im2col(numbers, ksize, stride, 0, dilation)
    return [[list(divmod(int(cell), size[1])) for cell in column] for column in cols[0].T]


def most_covered(windows, n):
    """Number of the cell of window n that lies in most windows before it: its sum has most terms.

    n counts on over several channels, each of which goes over all windows.
    """
    channel, n = divmod(n, len(windows))
    earlier = channel * windows + windows[:n]
    counts = [sum(cell in window for window in earlier) for cell in windows[n]]
    return counts.index(max(counts))


def all_cells(shape):
    """The indices of all cells of an array, row by row."""
    return [list(cell) for cell in np.ndindex(*shape)]


def set_cells(names, planes, cells):
    """{name: [[i, j, value], …]}: what a frame writes into these cells of each plane."""
    return {name: [[i, j, float(plane[i, j])] for i, j in cells]
            for name, plane in zip(names, planes)}


def cells_in(names, cells):
    """[name, i, j] of these cells in each of the grids."""
    return [[name, *cell] for name in names for cell in cells]


def pair_up(*lists):
    """The terms of a sum of products: the first cell of each list, the second of each, …"""
    return [list(term) for term in zip(*lists)]


def value_colours(x):
    """How numbers are coloured: as an image if none is negative, else by their signs."""
    return 'shade' if np.nanmin(x) >= 0 else 'signed'


def editable(function, numbers, **arrays):
    """What a reader may change in the page, if it fits into its controls.   -> entry of a trace"""
    numbers = {name: axes(value, name, 0) for name, value in numbers.items()}
    if any(a != b for a, b in numbers.values()):
        return {}
    return dict(edit=dict(function=function,
                          arrays={name: x.tolist() for name, x in arrays.items()},
                          numbers={name: a for name, (a, _) in numbers.items()}))


def make_player(title, grids, count, frame, **more):
    """The frames frame(0), frame(1), … over the grids.   -> Player

    more: further entries of the trace, such as dim_legend and edit
    """
    if count > MAX_FRAMES:
        raise ValueError(f'{count} steps are too many to follow, the limit is {MAX_FRAMES}: '
                         f'take a smaller array, or a larger stride')
    frames = [frame(n) for n in range(count)]
    return Player(dict(kind='grid', title=title, grids=grids, frames=frames, **more))


def check_size(name, shape):
    """Refuse what has more cells than a reader can read."""
    high, wide = shape if len(shape) == 2 else (1, *shape)
    if high * wide > MAX_CELLS:
        raise ValueError(f'{name} would be a grid of {high}×{wide} cells, too many to read; '
                         f'the limit is {MAX_CELLS}: take a smaller array')
