"""A page of augmented images, each with its label below: what a training sees."""
from collections.abc import Iterable, Mapping, Sequence
from os import PathLike
from textwrap import wrap
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..files import printable
from .colours import VOID, check_pair, class_colours, class_shares
from .files import write_png
from .images import as_colours
from .legend import FAINT, INK, Entry, draw_legend, load_font
from .tiles import FONT_SIZE, heading_strip, label_tile, make_tile, stack, tile_strip

if TYPE_CHECKING:
    from PIL.Image import Image as PILImage

SIDE = 200                  # of a tile's longer side, in pixels
FRAME = 2                   # pixels by which its frame makes a tile wider
GAP = 4                     # between an image and its label
LETTER = .56                # the mean width of a letter, as a part of the font's size

# an image (H, W, C) and its label (H, W)
Pair = tuple[NDArray[Any], NDArray[Any]]


def draw_augmented(path: str | PathLike[str], rows: Iterable[tuple[str, Sequence[Pair]]],
                   classes: Sequence[str], title: str = '', note: str = '',
                   colours: Mapping[str, Sequence[int]] | None = None) -> None:
    """Each row is an image as it is, and then as it is augmented, with the labels below.

    rows: (name, [(image, label), …]), each with as many pairs; path: a .png
    title, note: text above the rows, such as a recipe and the changes that it makes
    colours: {class: (red, green, blue)}; other classes have the colours of `class_colours`

    >>> import tempfile
    >>> image = np.zeros((4, 6, 3), 'uint8')
    >>> label = np.eye(4, 6, dtype='uint8')
    >>> pairs = [(image, label), (image[:, ::-1], label[:, ::-1])]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     draw_augmented(f'{folder}/page.png', [('eye', pairs)], ['0', '1'])
    """
    checked = [(name, _check(name, pairs, len(classes))) for name, pairs in rows]
    counts = {len(pairs) for _, pairs in checked}
    if len(counts) != 1 or 0 in counts:
        raise ValueError(f'{path}: {len(checked)} rows with {sorted(counts)} images; a page has at '
                         f'least one row, and as many images in each')
    table = class_colours(classes, colours)
    headings = ['as it is', *(f'augmented {i}' for i in range(1, counts.pop()))]
    strips = [heading_strip(headings, SIDE + FRAME)]
    for name, pairs in checked:
        tiles = _pair_tiles([(image, table[label]) for image, label in pairs])
        sizes = ['{}×{}'.format(*label.shape) for _, label in pairs]
        strips.append(tile_strip(tiles, [f'{printable(name)}, {sizes[0]}', *sizes[1:]],
                                 SIDE + FRAME))
    strips.append(draw_legend(_legend(checked, classes, table), strips[0].width, FONT_SIZE))
    strips.insert(0, _text_strip(title, note, strips[0].width))
    write_png(path, stack(strips))


def _check(name: str, pairs: Sequence[Pair],
           n_class: int) -> list[tuple[NDArray[np.uint8], NDArray[np.uint8]]]:
    """The images as colours, equally bright where their values are equal, and their labels."""
    pixels = [image.reshape(-1, 1, image.shape[-1]) for image, _ in pairs]
    colours = as_colours(np.concatenate(pixels)) if pixels else np.empty(0)
    ends = np.cumsum([len(part) for part in pixels])
    try:
        return [check_pair(part.reshape(*image.shape[:2], -1), label, n_class)
                for part, (image, label) in zip(np.split(colours, ends[:-1]), pairs)]
    except ValueError as error:
        raise ValueError(f'{printable(name)}: {error}') from None


def _pair_tiles(pairs: Sequence[Pair]) -> 'list[PILImage]':
    """Each image, and below the highest image of the row all labels, in the colours of classes."""
    from PIL import Image
    images = [make_tile(image, SIDE, 'LANCZOS') for image, _ in pairs]
    top = max(image.height for image in images) + GAP
    tiles = []
    for image, (_, label) in zip(images, pairs):
        lower = label_tile(label, SIDE)
        tile = Image.new('RGB', (image.width, top + lower.height), 'white')
        tile.paste(image, (0, 0))
        tile.paste(lower, (0, top))
        tiles.append(tile)
    return tiles


def _text_strip(title: str, note: str, width: int) -> 'PILImage':
    from PIL import Image, ImageDraw
    letters = max(20, int(width / (LETTER * FONT_SIZE)))
    lines = [(line, INK, True) for line in wrap(printable(title, limit=None), letters)]
    lines += [(line, FAINT, False) for line in wrap(printable(note, limit=None), letters)]
    height = round(1.6 * FONT_SIZE)
    strip = Image.new('RGB', (width, height * len(lines) + FONT_SIZE), 'white')
    draw = ImageDraw.Draw(strip)
    for i, (line, colour, bold) in enumerate(lines):
        draw.text((0, i * height), line, colour, load_font(FONT_SIZE, bold))
    return strip


def _legend(rows: Iterable[tuple[str, Sequence[Pair]]], classes: Sequence[str],
            table: NDArray[np.uint8]) -> list[Entry]:
    """The classes that occur, and void."""
    labels = np.concatenate([label.ravel() for _, pairs in rows for _, label in pairs])
    entries: list[Entry] = [(table[i], name) for i, name, _ in class_shares(labels, classes)]
    if (labels == VOID).any():
        entries.append((table[VOID], 'void'))
    return entries
