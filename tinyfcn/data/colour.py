"""Brightness, contrast, saturation and hue: one affine map of red, green and blue, y = Ax + b.

Each of the four is such a map, so all together are, and an image is read once.
"""
from typing import NamedTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray

from .labels import Array

# the luma of red, green and blue (ITU-R 601)
GREY = np.array([.299, .587, .114])
# of a colour over ImageNet
PHOTO_MEAN = .449 * 255
PHOTO_STD = .226 * 255


class ColourChange(NamedTuple):
    """Factors of brightness, contrast and saturation, 1 for none, and a turn of the hue."""

    brightness: float = 1.
    contrast: float = 1.
    saturation: float = 1.
    hue: float = 0.                     # of the whole circle


def change_colour(image: Array, change: ColourChange) -> Array:
    """y = brightness · (m + contrast · (Sx − m)), where S changes saturation and hue.

    image (H, W, C): its first three channels are red, green and blue; further ones stay as they
    are. One or two channels have no colour: there S = 1. m is the mean grey of the image. Values of
    an integer dtype are rounded and kept in its range.
    """
    n = min(image.shape[2], 3)
    x = image[..., :n].transpose(2, 0, 1).astype('float32', order='C')
    if n == 3:
        grey = GREY
        # einsum and sums: the thread that prepares batches never calls BLAS
        colour = np.einsum('ij,jk->ik', saturation_matrix(change.saturation),
                           hue_matrix(change.hue))
    else:
        grey = np.full(n, 1 / n)
        colour = np.eye(n)
    mean_grey = (x.mean((1, 2), dtype='float64') * grey).sum()
    matrix = change.brightness * change.contrast * colour
    offset = change.brightness * (1 - change.contrast) * mean_grey
    x = np.einsum('cd,dhw->chw', matrix.astype('float32'), x)
    x += np.float32(offset)
    changed = image.copy()
    changed[..., :n] = round_to(image.dtype, x).transpose(1, 2, 0)
    return changed


def change_as_photo(image: Array, change: ColourChange) -> Array:
    """The same for values in other units than 0 … 255, such as kelvin, or those of a 16-bit sensor.

    image (H, W, C). Each channel is brought to the mean and the standard deviation of a
    photo, and back: a factor of values that are all far from 0 would move them by many deviations.
    """
    # one channel at a time, which is faster than image.std((0, 1))
    mean = np.array([channel.mean() for channel in image.transpose(2, 0, 1)], 'float32')
    std = np.array([channel.std() for channel in image.transpose(2, 0, 1)], 'float32')
    unit = np.where(std > 0, std, 1) / np.float32(PHOTO_STD)
    changed: Array = change_colour((image - mean) / unit + np.float32(PHOTO_MEAN), change)
    changed -= np.float32(PHOTO_MEAN)
    changed *= unit
    changed += mean
    return round_to(image.dtype, changed)


def saturation_matrix(factor: float) -> NDArray[np.float64]:
    """y = grey(x) + factor · (x − grey(x)): 0 leaves the grey, 1 the colour as it is."""
    return factor * np.eye(3) + (1 - factor) * GREY


def hue_matrix(turn: float) -> NDArray[np.float64]:
    """Turn the colours by this part of a circle about the axis of grey, which keeps the grey.

    A third of the circle makes green of red, and blue of green.
    """
    angle = 2 * np.pi * turn
    c, s = np.cos(angle), np.sin(angle)
    # Rodrigues' formula for the axis (1, 1, 1) / √3
    across = np.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]]) / 3 ** .5
    rotation = c * np.eye(3) + (1 - c) / 3 + s * across
    # that keeps the sum of red, green and blue; add what keeps their grey, of unequal weights
    matrix: NDArray[np.float64] = rotation + GREY - np.einsum('i,ij->j', GREY, rotation)
    return matrix


def round_to(dtype: DTypeLike, values: NDArray[np.float32]) -> Array:
    """Values rounded, and kept in the range, where the dtype is one of integers."""
    dtype = np.dtype(dtype)
    if dtype.kind in 'iu':
        limits = np.iinfo(dtype)
        np.rint(values, out=values).clip(limits.min, limits.max, out=values)
    return values.astype(dtype, copy=False)
