"""Brightness, contrast, saturation and hue: one affine map of red, green and blue, y = Ax + b.

Each of the four is such a map, so all together are, and an image is read once.
"""
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .labels import Array

GREY = np.array([.299, .587, .114])                     # the luma of red, green and blue (ITU-R 601)


class ColourChange(NamedTuple):
    """Factors of brightness, contrast and saturation, 1 for none, and a turn of the hue."""

    brightness: float = 1.
    contrast: float = 1.
    saturation: float = 1.
    hue: float = 0.                     # of the whole circle


def change_colour(image: Array, change: ColourChange) -> Array:
    """y = brightness · (m + contrast · (Sx − m)), where S changes saturation and hue.

    image (H, W, C): its first three channels are red, green and blue; the others stay
    m is the mean grey of the image. Values of an integer dtype are rounded and kept in its range.
    """
    rgb = image[..., :3].transpose(2, 0, 1).astype('float32', order='C')
    colour = saturation_matrix(change.saturation) @ hue_matrix(change.hue)
    mean_grey = rgb.mean((1, 2), dtype='float64') @ GREY
    matrix = change.brightness * change.contrast * colour
    offset = change.brightness * (1 - change.contrast) * mean_grey
    rgb = np.einsum('cd,dhw->chw', matrix.astype('float32'), rgb)
    rgb += np.float32(offset)
    if image.dtype.kind in 'iu':
        limits = np.iinfo(image.dtype)
        np.rint(rgb, out=rgb).clip(limits.min, limits.max, out=rgb)
    changed = image.copy()
    changed[..., :3] = rgb.transpose(1, 2, 0)
    return changed


def saturation_matrix(factor: float) -> NDArray[np.float64]:
    """y = grey(x) + factor · (x − grey(x)): 0 leaves the grey, 1 the colour as it is."""
    return factor * np.eye(3) + (1 - factor) * np.outer(np.ones(3), GREY)


def hue_matrix(turn: float) -> NDArray[np.float64]:
    """Turn the colours by this part of a circle about the axis of grey, which keeps the grey.

    The plane of colours without grey is that of the differences x − grey(x).
    """
    # two axes of that plane, at right angles in the sense that all hues are equally far apart
    towards_red = np.array([1., -.5, -.5]) * 2 / 3
    towards_green = np.array([0., 1., -1.]) / 3 ** .5
    coordinates = np.stack([towards_red, towards_green])
    angle = 2 * np.pi * turn
    c, s = np.cos(angle), np.sin(angle)
    turned = coordinates.T @ np.array([[c, -s], [s, c]]) @ coordinates * 1.5
    mean = np.full((3, 3), 1 / 3)
    rotation = turned + mean                            # keeps the mean of red, green and blue …
    # … and then the grey, whose weights are not equal
    return rotation + np.outer(np.ones(3), GREY - GREY @ rotation)
