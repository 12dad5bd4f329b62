"""Random augmentation of one image and its label."""
from collections.abc import Sequence

import numpy as np

from .labels import Array, Label
from .transforms import flip_left_right, random_crop, rescale
from .unet_augmentation import elastic_deform


def augment(image: Array, label: Label, rng: np.random.Generator, flip: bool = False,
            scale_range: Sequence[float] | None = None, crop_size: Sequence[int] | None = None,
            elastic_sigma: float | None = None) -> tuple[Array, Label]:
    """Rescale, deform, crop and flip, in this order, each only if it is asked for.

    flip: with probability ½, left to right
    scale_range: (low, high), between which the factor is log-uniform
    crop_size: (height, width) of a window at a random position
    elastic_sigma: the standard deviation of the deformation, in pixels
    """
    if scale_range:
        image, label = rescale(image, label, np.exp(rng.uniform(*np.log(scale_range))))
    if elastic_sigma:
        image, label = elastic_deform(image, label, elastic_sigma, rng)
    if crop_size:
        image, label = random_crop(image, label, crop_size, rng)
    if flip and rng.random() < .5:
        image, label = flip_left_right(image, label)
    return image, label
