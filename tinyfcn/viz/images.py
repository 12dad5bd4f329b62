"""An image, however it is given, as an array."""
from os import PathLike
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from PIL.Image import Image as PILImage

ImageInput: TypeAlias = 'str | PathLike[str] | PILImage | NDArray[Any]'


def to_rgb(image: ImageInput) -> NDArray[Any]:
    """A path or a PIL image -> (H, W, 3) uint8, RGB, as `tinyfcn.predict` reads it; arrays as is.

    The EXIF orientation of a file is applied: an image is drawn as a person sees it.
    """
    if isinstance(image, np.ndarray):
        return image
    from PIL import Image, ImageOps
    if isinstance(image, (str, PathLike)):
        with Image.open(image) as stored:
            return _pixels(ImageOps.exif_transpose(stored), image)
    if isinstance(image, Image.Image):
        return _pixels(image, 'image')
    raise TypeError(f'image is {type(image).__name__}; give a path, a PIL image, or an array '
                    f'(H, W, 3) of uint8, RGB')


def _pixels(image: 'PILImage', name: object) -> NDArray[np.uint8]:
    if image.mode.startswith(('I', 'F')):
        raise ValueError(f'{name} has {image.mode} pixels, of more than 8 bits: scale it to '
                         f'0 … 255 and save it as RGB first')
    if image.mode == 'P':                       # its palette may have transparent colours
        image = image.convert('RGBA')
    return np.array(image.convert('RGB'))
