"""An image with its classes over it."""
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..files import printable
from .colours import VOID, check_pair, class_colours, class_shares, is_background
from .images import ImageInput, image_pixels
from .legend import MAX_NAME, draw_legend

if TYPE_CHECKING:
    from PIL.Image import Image as PILImage

MIN_SIDE = 480          # a smaller image is enlarged
FONT_SHARE = 80         # the font is this part of the longer side,
MIN_FONT_SHARE = 8      # and at most this part of the shorter one


def overlay(image: ImageInput, label: NDArray[Any], classes: Sequence[str],
            colours: Mapping[str, Sequence[int]] | None = None) -> 'PILImage':
    """The image half in the colours of its classes, outlined, over a legend with their shares.

    image: a path, a PIL image, or an array (H, W, 3) uint8, RGB
    label (H, W): the class of every pixel. Where it is void (255), or a class that is called
    background, the image keeps its colours
    colours: {class: (red, green, blue)}; other classes have the colours of `class_colours`
    -> a PIL image: `.save(path)` it. A small image is enlarged, by a whole number

    >>> label = np.array([[0, 0, 1], [0, 1, 1]])
    >>> drawn = overlay(np.zeros((2, 3, 3), 'uint8'), label, ['sky', 'road'])
    >>> drawn.mode, drawn.width >= 480
    ('RGB', True)
    """
    from PIL import Image
    pixels, label = check_pair(image_pixels(image), label, len(classes))
    table = class_colours(classes, colours)
    untinted = [VOID, *(i for i, name in enumerate(classes) if is_background(name))]
    tinted = pixels // 2
    tinted += (table // 2)[label]
    keeps_colours = np.isin(label, untinted)
    tinted[keeps_colours] = pixels[keeps_colours]

    zoom = max(1, MIN_SIDE // max(label.shape))
    if zoom > 1:
        tinted = tinted.repeat(zoom, 0).repeat(zoom, 1)
        label = label.repeat(zoom, 0).repeat(zoom, 1)
    height, width = label.shape
    font_size = max(13, min(max(label.shape) // FONT_SHARE, min(label.shape) // MIN_FONT_SHARE))
    tinted[_outlines(label, 1 + font_size // 25)] = 255

    shares = sorted(class_shares(label, classes), key=lambda share: -share[2])
    entries = [(table[i], f'{printable(name, limit=MAX_NAME)}  {_percent(share)}')
               for i, name, share in shares]
    legend = draw_legend(entries, max(width, 36 * font_size) - 2 * font_size, font_size)

    page = Image.new('RGB', (max(width, legend.width + 2 * font_size),
                             height + legend.height + font_size), 'white')
    page.paste(Image.fromarray(tinted), (0, 0))
    page.paste(legend, (font_size, height + font_size // 2))
    return page


def _outlines(label: NDArray[Any], width: int) -> NDArray[np.bool_]:
    """The pixels to the right of which, or below, another class begins within `width` pixels."""
    edge = np.zeros(label.shape, bool)
    for distance in range(1, width + 1):
        edge[:, :-distance] |= label[:, distance:] != label[:, :-distance]
        edge[:-distance] |= label[distance:] != label[:-distance]
    return edge


def _percent(share: float) -> str:
    return f'{100 * share:.1f} %' if share >= .0005 else '< 0.1 %'
