"""Random augmentation of one image and its label."""
from collections.abc import Sequence

import numpy as np

from .colour import ColourChange, change_colour
from .labels import Array, Label
from .transforms import flip_left_right, random_crop, rescale, rotate
from .unet_augmentation import elastic_deform


def augment(image: Array, label: Label, rng: np.random.Generator, flip: bool = False,
            scale_range: Sequence[float] | None = None, crop_size: Sequence[int] | None = None,
            elastic_sigma: float | None = None, rotation: float | None = None,
            colour: Sequence[float] | None = None) -> tuple[Array, Label]:
    """Rescale, rotate, deform, crop, flip and recolour, in this order, each only if asked for.

    flip: with probability ½, left to right
    scale_range: (low, high), between which the factor is log-uniform
    crop_size: (height, width) of a window at a random position
    elastic_sigma: the standard deviation of the deformation, in pixels
    rotation: the largest angle, in degrees, to either side
    colour: (brightness, contrast, saturation, hue), the largest change of each: (.4, .4, .4, .1)
    for factors from .6 to 1.4 and a tenth of the circle of hues to either side
    """
    if scale_range:
        image, label = rescale(image, label, np.exp(rng.uniform(*np.log(scale_range))))
    if rotation:
        image, label = rotate(image, label, rng.uniform(-rotation, rotation))
    if elastic_sigma:
        image, label = elastic_deform(image, label, elastic_sigma, rng)
    if crop_size:
        image, label = random_crop(image, label, crop_size, rng)
    if flip and rng.random() < .5:
        image, label = flip_left_right(image, label)
    if colour:
        *factors, hue = rng.uniform(-1, 1, 4) * colour
        image = change_colour(image, ColourChange(*(1 + np.array(factors)), hue))
    return image, label
