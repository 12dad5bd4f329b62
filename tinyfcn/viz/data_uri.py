"""Pictures as text inside a page, which then is one file and needs nothing from outside."""
from base64 import b64encode
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.figure import Figure

QUALITY = 88                    # of a JPEG


def image_uri(pixels: NDArray[np.uint8], is_photo: bool = False) -> str:
    """The address of a picture that holds the picture itself.   pixels (H, W, 3)

    is_photo: as a JPEG, which is smaller; a PNG keeps every colour.

    >>> image_uri(np.zeros((2, 3, 3), 'uint8'))[:22]
    'data:image/png;base64,'
    """
    from PIL import Image
    image = Image.fromarray(pixels)
    file = BytesIO()
    if is_photo:
        image.save(file, 'JPEG', quality=QUALITY)
        return as_uri('image/jpeg', file.getvalue())
    if image.getcolors(256):                            # None if there are more
        image = image.quantize(256)
    image.save(file, 'PNG', optimize=True)
    return as_uri('image/png', file.getvalue())


def figure_uri(figure: 'Figure') -> str:
    """The address of a matplotlib figure, sharp on a screen of many pixels."""
    file = BytesIO()
    figure.savefig(file, format='png', dpi=200)
    return as_uri('image/png', file.getvalue())


def as_uri(kind: str, data: bytes) -> str:
    """The address of a file of this kind that holds these bytes."""
    return f'data:{kind};base64,{b64encode(data).decode()}'
