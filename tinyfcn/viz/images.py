"""An image, however it is given, as an array."""
from os import PathLike
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..files import open_image
from ..files.images import require_8_bits, to_rgb, to_upright
from ..files.pixels import read_head, read_pixels

if TYPE_CHECKING:
    from PIL.Image import Image as PILImage

DARKEST = 1                 # per cent of the values of a channel that are drawn black,
BRIGHTEST = 99              # and from which on they are drawn at full brightness

ImageInput: TypeAlias = 'str | PathLike[str] | PILImage | NDArray[Any]'


def image_pixels(image: ImageInput) -> NDArray[Any]:
    """A path or a PIL image -> (H, W, 3) uint8, RGB, as `tinyfcn.predict` reads it; arrays as is.

    The EXIF orientation of a file is applied: an image is drawn as a person sees it. Files of other
    channels, or of more than 8 bits, are drawn by `as_colours`.
    """
    if isinstance(image, np.ndarray):
        return image
    from PIL import Image
    if isinstance(image, (str, PathLike)):
        head = read_head(image)
        if not head.is_plain:
            pixels = read_pixels(image)[..., :head.channels]
            return as_colours(pixels if head.dtype == 'uint8' else pixels.astype('float32'))
        with open_image(image) as stored:
            return to_rgb(to_upright(stored))
    if isinstance(image, Image.Image):
        require_8_bits(image, 'image')
        return to_rgb(image)
    raise TypeError(f'image is {type(image).__name__}; give a path, a PIL image, or an array '
                    f'(H, W, 3) of uint8, RGB')


def as_colours(image: NDArray[Any]) -> NDArray[Any]:
    """An image of any channels and depth as one to look at. -> (H, W, 3) uint8

    image (H, W, C), uint8 or float32, as data sets deliver it; other arrays are returned as they
    are. Of three channels and more the first are red, green and blue; of fewer, the first is grey.
    Values that are not of 8 bits are stretched, each channel from its darkest to its brightest
    per cent.

    >>> as_colours(np.array([[[0., 7., 9.], [500., 9., 8.]]], 'float32')).tolist()
    [[[0, 0, 255], [255, 255, 0]]]
    """
    if image.ndim != 3 or image.dtype not in ('uint8', 'float32') or not image.size:
        return image
    if image.dtype == 'uint8' and image.shape[2] == 3:
        return image
    shown = image[..., :3] if image.shape[2] >= 3 else image[..., [0, 0, 0]]
    if shown.dtype == 'uint8':
        return np.ascontiguousarray(shown)
    low, high = np.percentile(shown, [DARKEST, BRIGHTEST], axis=(0, 1))
    stretched = (shown - low) / np.where(high > low, high - low, 1)
    colours: NDArray[np.uint8] = (stretched.clip(0, 1) * 255).round().astype('uint8')
    return colours
