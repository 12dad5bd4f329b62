"""Random augmentation of one image and its label."""
from collections.abc import Sequence

import numpy as np

from .blur_and_noise import add_noise, gaussian_blur
from .colour import ColourChange, change_colour
from .labels import Array, Label, by_output
from .transforms import Window, crop, flip_left_right, random_window, rescale, window_near
from .unet_augmentation import elastic_displacement
from .warp import read_at, turn, window_coordinates


def augment(image: Array, label: Label, rng: np.random.Generator, flip: bool = False,
            scale_range: Sequence[float] | None = None, crop_size: Sequence[int] | None = None,
            elastic_sigma: float | None = None, rotation: float | None = None,
            colour: Sequence[float] | None = None, blur: float | None = None,
            noise: float | None = None, crop_near: tuple[str, int] | None = None,
            ) -> tuple[Array, Label]:
    """Rescale, crop, deform, rotate, flip, recolour, blur and add noise, each only if asked for.

    flip: with probability ½, left to right
    scale_range: (low, high), between which the factor is log-uniform
    crop_size: (height, width) of a window at a random position
    elastic_sigma: the standard deviation of the deformation, in pixels
    rotation: the largest angle, in degrees, to either side
    colour: (brightness, contrast, saturation, hue), the largest change of each: (.4, .4, .4, .1)
    for factors from .6 to 1.4 and a tenth of the circle of hues to either side
    blur: the largest standard deviation of a Gaussian, in pixels
    noise: the largest standard deviation of Gaussian noise, as a part of that of the image
    crop_near: (output, class) of which the crop has a pixel, where the label has any

    >>> label = np.arange(32, dtype='uint8').reshape(4, 8)
    >>> image = np.stack([label, label, label], axis=2)
    >>> image, label = augment(image, label, np.random.default_rng(2), flip=True, crop_size=(2, 3))
    >>> label
    array([[19, 18, 17],
           [27, 26, 25]], dtype=uint8)
    >>> bool((image[..., 0] == label).all())
    True
    """
    if scale_range:
        image, label = rescale(image, label, np.exp(rng.uniform(*np.log(scale_range))))
    displacement = elastic_displacement(image.shape, elastic_sigma, rng) if elastic_sigma else None
    window = _window(image, label, crop_size, crop_near, rng)
    if displacement is not None or rotation:            # read once, and only what is in the window
        at = window_coordinates(window)
        if displacement is not None:
            at += displacement[(slice(None), *window)]
        if rotation:
            at = turn(at, rng.uniform(-rotation, rotation), window)
        image, label = read_at(image, label, at)
    elif crop_size:
        image, label = crop(image, label, window)
    if flip and rng.random() < .5:
        image, label = flip_left_right(image, label)
    if colour:
        *changes, hue = rng.uniform(-1, 1, 4) * colour
        brightness, contrast, saturation = (max(0, 1 + change) for change in changes)
        image = change_colour(image, ColourChange(brightness, contrast, saturation, hue))
    if blur:
        image = gaussian_blur(image, rng.uniform(0, blur))
    if noise:
        image = add_noise(image, rng.uniform(0, noise), rng)
    return image, label


def _window(image: Array, label: Label, size: Sequence[int] | None,
            near: tuple[str, int] | None, rng: np.random.Generator) -> Window:
    """The whole image, or a window of this size: near a random pixel of a class, or anywhere."""
    if not size:
        return slice(0, image.shape[0]), slice(0, image.shape[1])
    if near:
        output, number = near
        own = by_output(label)[output]
        pixels = np.flatnonzero(own == number)
        if pixels.size:
            pixel = divmod(int(rng.choice(pixels)), own.shape[1])
            return window_near(pixel, own.shape, size, rng)
    return random_window(image.shape, size, rng)
