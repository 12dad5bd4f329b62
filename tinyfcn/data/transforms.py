"""Changes to an image and its label together, and how an image becomes the input of a net."""
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import DTypeLike

from .labels import Array, Label, map_labels

# the rows and the columns of a part of an image
Window: TypeAlias = tuple[slice, slice]

MAX_PIXELS = 1 << 26            # of an image that is enlarged, unasked, for some weights


def flip_left_right(image: Array, label: Label) -> tuple[Array, Label]:
    """y[:, j] = x[:, W−1−j]"""
    return image[:, ::-1], map_labels(lambda part: part[:, ::-1], label)


def crop(image: Array, label: Label, window: Window) -> tuple[Array, Label]:
    """The pixels of a window."""
    return image[window], map_labels(lambda part: part[window], label)


def random_window(shape: Sequence[int], size: Sequence[int], rng: np.random.Generator) -> Window:
    """A window of (height, width) at a random position; along an axis no larger than the image."""
    first = [int(rng.integers(max(0, n - length) + 1)) for n, length in zip(shape, size)]
    return _window_from(first, shape, size)


def window_near(pixel: Sequence[int], shape: Sequence[int], size: Sequence[int],
                rng: np.random.Generator) -> Window:
    """A window with this pixel (row, column) anywhere in its middle half, if the image allows it.

    So the pixel stays inside when a square window is rotated.
    """
    first = []
    for at, n, length in zip(pixel, shape, size):
        offset = int(rng.integers(length // 4, length - length // 4))
        first.append(min(max(0, at - offset), max(0, n - length)))
    return _window_from(first, shape, size)


def _window_from(first: Sequence[int], shape: Sequence[int], size: Sequence[int]) -> Window:
    rows, columns = (slice(start, min(start + length, n))
                     for start, length, n in zip(first, size, shape))
    return rows, columns


def rescale(image: Array, label: Label, factor: float) -> tuple[Array, Label]:
    """Resize by `factor`: the image bilinear, the label nearest, so that no class is invented.

    image (H, W, C), any dtype, which is kept. When shrinking, each pixel of the image averages
    those that it replaces.
    """
    size = scaled_shape(image.shape, factor)
    rows, columns = (((np.arange(new) + .5) * old / new).astype(int)
                     for new, old in zip(size, image.shape))
    return (resize_image(image, *size),
            map_labels(lambda part: part[rows[:, None], columns], label))


def scaled_shape(shape: Sequence[int], factor: float) -> tuple[int, int]:
    """The height and the width of an image that is rescaled."""
    height, width = (max(1, round(n * factor)) for n in shape[:2])
    return height, width


def resize_image(image: Array, h: int, w: int) -> Array:
    """The image (H, W, C) with h rows and w columns, bilinear as in `rescale`."""
    from PIL import Image
    channels = [Image.fromarray(np.ascontiguousarray(channel)).resize(
        (w, h), Image.Resampling.BILINEAR) for channel in image.transpose(2, 0, 1)]
    return np.stack([np.asarray(channel) for channel in channels], axis=2)


def resize_shorter(image: Array, pixels: int | None) -> Array:
    """The image (H, W, C) with `pixels` on its shorter side; None leaves it as it is.

    The longer side is rounded down, as torchvision does it.

    >>> resize_shorter(np.zeros((30, 40, 3), 'uint8'), 60).shape
    (60, 80, 3)
    """
    shorter = min(image.shape[:2])
    if pixels is None or pixels == shorter:
        return image
    h, w = (n * pixels // shorter for n in image.shape[:2])
    if h * w > MAX_PIXELS:
        raise ValueError(f'an image of {image.shape[0]}×{image.shape[1]} pixels would have '
                         f'{h:,}×{w:,} with {pixels} on its shorter side: give another size with '
                         f'longest=640 (--longest 640), or a part of the image')
    return resize_image(image, h, w)


def reduce_to(image: Array, longest: int | None) -> Array:
    """The image (H, W, C) with at most `longest` pixels on its longer side."""
    if longest is None:
        return image
    if longest < 1:
        raise ValueError(f'longest is {longest}; give a number of pixels, such as 640')
    longer = max(image.shape[:2])
    return image if longer <= longest else rescale(image, {}, longest / longer)[0]


def prepare(image: Array, preprocess: Mapping[str, Any], dtype: DTypeLike = 'float32') -> Array:
    """(scale · image − mean) / std, in the channel order that the weights were trained on.

    image (H, W, C), red green blue and further channels -> (1, C, H, W)
    preprocess: dict(order, scale, mean, std). 'BGR' reverses the first three channels, if there
    are as many. mean and std have a value for each channel, in that order.
    """
    x = image.transpose(2, 0, 1).astype(dtype, order='C')       # faster one channel after another
    if preprocess['order'] == 'BGR' and len(x) > 2:
        x[:3] = x[2::-1]
    mean, std = (np.asarray(preprocess[key], dtype)[..., None, None] for key in ('mean', 'std'))
    if {mean.shape, std.shape} != {(len(x), 1, 1)}:
        raise ValueError(f'the image has {len(x)} channels, but preprocess has a mean of '
                         f'{mean.size} and a std of {std.size} values; give one for each channel')
    normalised: Array = (x * float(preprocess['scale']) - mean) / std
    return normalised[None]
