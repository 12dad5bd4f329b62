"""An image with its classes over it."""
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..files import printable
from .colours import VOID, check_pair, class_colours, class_shares, is_background, share_text
from .images import ImageInput, image_pixels
from .legend import MAX_NAME, draw_legend

if TYPE_CHECKING:
    from PIL.Image import Image as PILImage

MIN_SIDE = 480          # a smaller image is enlarged
FONT_SHARE = 80         # the font is this part of the longer side,
MIN_FONT_SHARE = 8      # and at most this part of the shorter one
GAP = 8                 # pixels between two images side by side


def overlay(image: ImageInput, label: NDArray[Any], classes: Sequence[str],
            colours: Mapping[str, Sequence[int]] | None = None,
            side_by_side: bool = False) -> 'PILImage':
    """The image half in the colours of its classes, outlined, over a legend with their shares.

    image: a path, a PIL image, or an array (H, W, 3) uint8, RGB; other channels as in `as_colours`
    label (H, W): the class of every pixel. Where it is void (255), or a class that is called
    background, the image keeps its colours
    colours: {class: (red, green, blue)}; other classes have the colours of `class_colours`
    side_by_side: the image as it is stands on the left
    -> a PIL image: `.save(path)` it. A small image is enlarged, by a whole number

    >>> label = np.array([[0, 0, 1], [0, 1, 1]])
    >>> drawn = overlay(np.zeros((2, 3, 3), 'uint8'), label, ['sky', 'road'])
    >>> drawn.mode, drawn.width >= 480
    ('RGB', True)
    """
    from PIL import Image
    picture, font_size = _draw_classes(image_pixels(image), label, classes, colours, side_by_side)
    height, width = picture.shape[:2]
    table = class_colours(classes, colours)
    shares = sorted(class_shares(label, classes), key=lambda share: -share[2])
    entries = [(table[i], f'{printable(name, limit=MAX_NAME)}  {share_text(share)}')
               for i, name, share in shares]
    legend = draw_legend(entries, width - 2 * font_size, font_size)

    page = Image.new('RGB', (max(width, legend.width + 2 * font_size),
                             height + legend.height + font_size), 'white')
    page.paste(Image.fromarray(picture), (0, 0))
    page.paste(legend, (font_size, height + font_size // 2))
    return page


def overlay_frame(image: NDArray[Any], label: NDArray[Any], classes: Sequence[str],
                  colours: Mapping[str, Sequence[int]] | None = None,
                  side_by_side: bool = False) -> NDArray[np.uint8]:
    """As `overlay`, for a frame of a video: the legend has all classes, so that it never moves.

    -> (H', W', 3), the same for all frames (H, W) of a video, and even, as videos need it. A legend
    of more than half the height of the frame is left out

    >>> overlay_frame(np.zeros((99, 99, 3), 'uint8'), np.zeros((99, 99), int), ['sky']).shape
    (430, 396, 3)
    """
    picture, font_size = _draw_classes(image, label, classes, colours, side_by_side)
    height, width = picture.shape[:2]
    table = class_colours(classes, colours)[:len(classes)]
    legend = _legend_of_all(tuple(classes), table.tobytes(), width - 2 * font_size, font_size)
    parts = [picture]
    if len(legend) <= height // 2 and legend.shape[1] <= width - 2 * font_size:
        around = [(font_size // 2, font_size // 2), (font_size, width - font_size -
                                                     legend.shape[1]), (0, 0)]
        parts.append(np.pad(legend, around, constant_values=255))
    page = np.concatenate(parts)
    return np.pad(page, [(0, len(page) % 2), (0, width % 2), (0, 0)], constant_values=255)


@lru_cache(maxsize=8)
def _legend_of_all(classes: tuple[str, ...], table: bytes, width: int,
                   font_size: int) -> NDArray[np.uint8]:
    """A legend without shares, which is drawn once for all frames of a video."""
    colours = np.frombuffer(table, 'uint8').reshape(-1, 3)
    entries = [(colour, printable(name, limit=MAX_NAME)) for colour, name in zip(colours, classes)]
    return np.array(draw_legend(entries, width, font_size))


def _draw_classes(image: NDArray[Any], label: NDArray[Any], classes: Sequence[str],
                  colours: Mapping[str, Sequence[int]] | None,
                  side_by_side: bool) -> tuple[NDArray[np.uint8], int]:
    """The image in the colours of its classes, enlarged if it is small; a font size that fits."""
    pixels, label = check_pair(image, label, len(classes))
    table = class_colours(classes, colours)
    tinted = pixels // 2
    tinted += (table // 2)[label]
    is_untinted = np.zeros(len(table), bool)            # by class
    is_untinted[[VOID, *(i for i, name in enumerate(classes) if is_background(name))]] = True
    keeps_colours = is_untinted[label]
    tinted[keeps_colours] = pixels[keeps_colours]

    zoom = max(1, MIN_SIDE // max(label.shape))
    tinted, pixels, label = (_enlarge(each, zoom) for each in (tinted, pixels, label))
    font_size = max(13, min(max(label.shape) // FONT_SHARE, min(label.shape) // MIN_FONT_SHARE))
    tinted[_outlines(label, 1 + font_size // 25)] = 255
    if side_by_side:
        gap = np.full((len(label), GAP, 3), 255, 'uint8')
        tinted = np.concatenate([pixels, gap, tinted], 1)
    return tinted, font_size


def _enlarge(image: NDArray[Any], zoom: int) -> NDArray[Any]:
    return image if zoom == 1 else image.repeat(zoom, 0).repeat(zoom, 1)


def _outlines(label: NDArray[Any], width: int) -> NDArray[np.bool_]:
    """The pixels to the right of which, or below, another class begins within `width` pixels."""
    edge = np.zeros(label.shape, bool)
    for distance in range(1, width + 1):
        edge[:, :-distance] |= label[:, distance:] != label[:, :-distance]
        edge[:-distance] |= label[distance:] != label[:-distance]
    return edge
