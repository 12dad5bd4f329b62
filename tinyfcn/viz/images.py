"""An image, however it is given, as an array."""
from os import PathLike
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..files import open_image
from ..files.images import require_8_bits, to_rgb, to_upright

if TYPE_CHECKING:
    from PIL.Image import Image as PILImage

ImageInput: TypeAlias = 'str | PathLike[str] | PILImage | NDArray[Any]'


def image_pixels(image: ImageInput) -> NDArray[Any]:
    """A path or a PIL image -> (H, W, 3) uint8, RGB, as `tinyfcn.predict` reads it; arrays as is.

    The EXIF orientation of a file is applied: an image is drawn as a person sees it.
    """
    if isinstance(image, np.ndarray):
        return image
    from PIL import Image
    if isinstance(image, (str, PathLike)):
        with open_image(image) as stored:
            require_8_bits(stored, image)
            return to_rgb(to_upright(stored))
    if isinstance(image, Image.Image):
        require_8_bits(image, 'image')
        return to_rgb(image)
    raise TypeError(f'image is {type(image).__name__}; give a path, a PIL image, or an array '
                    f'(H, W, 3) of uint8, RGB')
