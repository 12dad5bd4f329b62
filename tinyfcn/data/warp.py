"""Rotation and elastic deformation: each pixel, and its label, is read at another place."""
from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from .labels import Array, Label, map_labels
from .transforms import Window

Floats: TypeAlias = NDArray[np.float64]

BAND = 1 << 14          # pixels that are read at once


def window_coordinates(window: Window) -> Floats:
    """The row and the column of each pixel of a window. -> (2, h, w)"""
    rows, columns = (np.arange(side.start, side.stop, dtype='float64') for side in window)
    return np.stack(np.meshgrid(rows, columns, indexing='ij'))


def turn(at: Floats, degrees: float, window: Window) -> Floats:
    """Coordinates (2, h, w) turned about the middle of a window: what is read there is rotated.

    The image turns counter-clockwise.
    """
    middle_row, middle_column = ((side.start + side.stop - 1) / 2 for side in window)
    y = at[0] - middle_row
    x = at[1] - middle_column
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.stack([c * y + s * x + middle_row, c * x - s * y + middle_column])


def rescale_coordinates(at: Floats, shape: Sequence[int], old_shape: Sequence[int]) -> Floats:
    """Coordinates (2, h, w) in an image of one shape as those in the image it was scaled from."""
    scale = np.array([old / new for old, new in zip(old_shape, shape)])[:, None, None]
    return at if (scale == 1).all() else (at + .5) * scale - .5


def read_at(image: Array, label: Label, at: Floats) -> tuple[Array, Label]:
    """y[i, j] = x(at[0, i, j], at[1, i, j]), for the image and its label.

    image (H, W, C), label (H, W) or {output: (H, W)}, at (2, h, w) -> (h, w, C), (h, w)
    The image is read bilinearly, the label at the nearest pixel, so that no class is invented.
    Outside the image its mirror image is read.
    """
    return (_read_in_bands(_read_bilinear, image, at),
            map_labels(lambda part: _read_in_bands(_read_nearest, part, at), label))


def _read_in_bands(read: Callable[[Array, Floats], Array], x: Array, at: Floats) -> Array:
    """read(x, at), of a few rows at a time: what is computed for them stays in the cache."""
    x = np.ascontiguousarray(x)
    rows = max(1, BAND // at.shape[2])
    return np.concatenate([read(x, at[:, top:top + rows])
                           for top in range(0, at.shape[1], rows)])


def _read_bilinear(image: Array, at: Floats) -> Array:
    height, width, channels = image.shape
    floor = np.floor(at)
    top, left = floor.astype(np.intp)
    y, x = at - floor
    rows = [_mirror(row, height) * width for row in (top, top + 1)]
    columns = [_mirror(column, width) for column in (left, left + 1)]
    corners = [(row + column) * channels for row in rows for column in columns]
    values = image.reshape(-1)
    read = np.empty((*at.shape[1:], channels), image.dtype)
    for channel in range(channels):
        a, b, c, d = (values.take(i + channel).astype('float64') for i in corners)
        above = a + x * (b - a)
        below = c + x * (d - c)
        between = above + y * (below - above)
        read[..., channel] = np.floor(between + .5) if image.dtype.kind in 'iu' else between
    return read


def _read_nearest(label: Array, at: Floats) -> Array:
    height, width = label.shape
    row, column = np.floor(at + .5).astype(np.intp)
    pixels = _mirror(row, height) * width + _mirror(column, width)
    read: Array = label.reshape(-1).take(pixels)
    return read


def _mirror(i: NDArray[np.intp], n: int) -> NDArray[np.intp]:
    """… 1 0 | 0 1 … n−1 | n−1 n−2 …"""
    if i.min() >= 0 and i.max() < n:
        return i
    i = i - i // (2 * n) * (2 * n)                      # i % (2 * n), in half its time
    return np.minimum(i, 2 * n - 1 - i)
