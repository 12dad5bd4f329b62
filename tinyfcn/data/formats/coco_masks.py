"""The masks of COCO: polygons and run lengths, pixel by pixel as pycocotools draws them.

pycocotools stores a mask column by column, as lengths of runs: of 0 first, then of 1, and so on.
Here a run begins where a pixel is toggled, so that a mask is the parity of a running sum.
"""
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..labels import Array

SCALE = 5                       # steps along an outline for each pixel, as in pycocotools
MAX_STEPS = 20_000_000          # along one outline; a photo has a few thousand


def draw_polygon(points: Sequence[float], height: int, width: int) -> NDArray[np.bool_]:
    """The pixels of a polygon x1, y1, x2, y2, … as pycocotools draws it. -> (H, W) bool

    Its outline is followed in steps of 1/5 pixel. Wherever it enters another column, the pixel
    there and all below it are toggled.

    >>> draw_polygon([1, 1, 3, 1, 3, 3, 1, 3], 4, 4).astype(int)
    array([[0, 0, 0, 0],
           [0, 1, 1, 0],
           [0, 1, 1, 0],
           [0, 0, 0, 0]])
    """
    corners = np.trunc(SCALE * np.asarray(points, 'float64') + .5).astype('int64')
    x, y = _outline(*corners.reshape(-1, 2).T)
    enters = np.flatnonzero(x[1:] != x[:-1]) + 1
    column = (np.minimum(x[enters], x[enters - 1]) + .5) / SCALE - .5
    row = (np.minimum(y[enters], y[enters - 1]) + .5) / SCALE - .5
    is_centre = (np.floor(column) == column) & (column >= 0) & (column <= width - 1)
    rows = np.ceil(row[is_centre].clip(0, height)).astype('int64')
    return _toggle(column[is_centre].astype('int64') * height + rows, height, width)


def _outline(x: Array, y: Array) -> tuple[Array, Array]:
    """Every step along the edges of a closed polygon. -> x and y, integers

    An edge advances by one along its longer axis, from its lower end there to the upper one, and
    is rounded along the other; then it is put into the direction of the polygon.
    """
    to_x = np.roll(x, -1)
    to_y = np.roll(y, -1)
    across = abs(to_x - x)
    down = abs(to_y - y)
    is_flat = across >= down
    flips = np.where(is_flat, x > to_x, y > to_y)
    length = np.maximum(across, down)
    if length.sum() > MAX_STEPS:
        raise ValueError(f'its outline is more than {MAX_STEPS // SCALE:,} pixels long')
    low_x = np.where(flips, to_x, x)
    low_y = np.where(flips, to_y, y)
    rise = np.where(is_flat, np.where(flips, y - to_y, to_y - y), np.where(flips, x - to_x,
                                                                           to_x - x))
    slope = rise / np.maximum(length, 1)

    edge = np.repeat(np.arange(len(x)), length + 1)
    first = np.cumsum(length + 1) - (length + 1)
    step = np.arange(len(edge)) - first[edge]
    step = np.where(flips[edge], length[edge] - step, step)
    flat = is_flat[edge]
    start = np.where(flat, low_y[edge], low_x[edge])
    rounded = np.trunc(start + slope[edge] * step + .5).astype('int64')
    along = step + np.where(flat, low_x[edge], low_y[edge])
    return np.where(flat, along, rounded), np.where(flat, rounded, along)


def decode_counts(counts: Sequence[int], height: int, width: int) -> NDArray[np.bool_]:
    """A mask from the lengths of its runs. -> (H, W) bool

    >>> decode_counts([1, 2, 1], 2, 2).astype(int)
    array([[0, 1],
           [1, 0]])
    """
    lengths = np.asarray(counts)
    if lengths.dtype.kind not in 'iu' or lengths.ndim != 1 or (lengths < 0).any():
        raise ValueError('its counts are not a list of whole numbers, 0 or more')
    total = sum(map(int, counts))
    if total != height * width:
        raise ValueError(f'its counts are of {total:,} pixels, and the image has '
                         f'{height}×{width} = {height * width:,}')
    return _toggle(np.cumsum(lengths)[:-1], height, width)


def decode_text(text: str) -> list[int]:
    """The counts in a compressed run-length text.

    Every count is written in digits of five bits, the lowest first, with a sixth bit that says
    whether another digit follows; from the fourth on, it is the difference to the second last one.

    >>> decode_text('0204')
    [0, 2, 0, 6]
    """
    counts: list[int] = []
    value = 0
    shift = 0
    for character in text:
        digit = ord(character) - 48
        if not 0 <= digit < 64:
            raise ValueError(f'its counts have the character {character!r}, which no compressed '
                             f'run lengths have')
        value |= (digit & 31) << shift
        shift += 5
        if digit & 32:
            if shift > 60:
                raise ValueError('its counts have a number of more than 60 bits')
            continue
        if digit & 16:                                  # the sign
            value -= 1 << shift
        counts.append(value + counts[-2] if len(counts) > 2 else value)
        value = 0
        shift = 0
    if shift:
        raise ValueError('its counts are cut short')
    return counts


def _toggle(positions: Array, height: int, width: int) -> NDArray[np.bool_]:
    """Pixels that are 1 after an odd number of toggles, column by column. -> (H, W) bool"""
    mask = np.zeros(width * height, bool)
    positions = positions[positions < len(mask)]
    if len(positions):
        first = positions.min()
        toggles = np.bincount(positions - first) % 2 == 1
        is_odd = np.logical_xor.accumulate(toggles)
        mask[first:first + len(is_odd)] = is_odd
        mask[first + len(is_odd):] = is_odd[-1]
    return mask.reshape(width, height).T
