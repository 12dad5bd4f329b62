"""Random augmentation of one image and its label."""
from collections.abc import Sequence

import numpy as np

from .blur_and_noise import add_noise, gaussian_blur
from .colour import ColourChange, change_as_photo, change_colour
from .labels import Array, Label, by_output
from .transforms import (
    Window,
    crop,
    flip_left_right,
    random_window,
    rescale,
    scaled_shape,
    window_near,
)
from .unet_augmentation import elastic_displacement
from .warp import read_at, rescale_coordinates, turn, window_coordinates


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
    image, label = _move_pixels(image, label, rng, scale_range, crop_size, elastic_sigma, rotation,
                                crop_near)
    if flip and rng.random() < .5:
        image, label = flip_left_right(image, label)
    if colour:
        *changes, hue = rng.uniform(-1, 1, 4) * colour
        brightness, contrast, saturation = (max(0, 1 + change) for change in changes)
        change = change_colour if image.dtype == 'uint8' else change_as_photo
        image = change(image, ColourChange(brightness, contrast, saturation, hue))
    if blur:
        image = gaussian_blur(image, rng.uniform(0, blur))
    if noise:
        image = add_noise(image, rng.uniform(0, noise), rng)
    return image, label


def _move_pixels(image: Array, label: Label, rng: np.random.Generator,
                 scale_range: Sequence[float] | None, crop_size: Sequence[int] | None,
                 elastic_sigma: float | None, rotation: float | None,
                 crop_near: tuple[str, int] | None) -> tuple[Array, Label]:
    """Rescale, crop, deform and rotate."""
    shape: Sequence[int] = image.shape[:2]              # of the image once it is rescaled
    if scale_range:
        factor = np.exp(rng.uniform(*np.log(scale_range)))
        shape = scaled_shape(shape, factor)
        if not rotation:
            image, label = rescale(image, label, factor)
    displacement = elastic_displacement(shape, elastic_sigma, rng) if elastic_sigma else None
    window = _window(label, shape, crop_size, crop_near, rng)
    if displacement is None and not rotation:
        return crop(image, label, window) if crop_size else (image, label)
    at = window_coordinates(window)
    if displacement is not None:
        at += displacement[(slice(None), *window)]
    if rotation:
        # also rescales: of a large image no more is read than there is in the window
        at = turn(at, rng.uniform(-rotation, rotation), window)
        at = rescale_coordinates(at, shape, image.shape)
    return read_at(image, label, at)


def _window(label: Label, shape: Sequence[int], size: Sequence[int] | None,
            near: tuple[str, int] | None, rng: np.random.Generator) -> Window:
    """All of an image of this shape, or a window of this size: near a class, or anywhere.

    The label may not be rescaled to the shape yet.
    """
    if not size:
        return slice(0, shape[0]), slice(0, shape[1])
    if near:
        output, number = near
        own = by_output(label)[output]
        pixels = np.flatnonzero(own == number)
        if pixels.size:
            pixel = divmod(int(rng.choice(pixels)), own.shape[1])
            scaled = [int((i + .5) * new / old) for i, new, old in zip(pixel, shape, own.shape)]
            return window_near(scaled, shape, size, rng)
    return random_window(shape, size, rng)
