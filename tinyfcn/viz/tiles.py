"""Pages of small images in rows: tiles with texts under them, in strips one below the other."""
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .legend import FAINT, INK, LINE, load_font, truncate

if TYPE_CHECKING:
    from PIL.Image import Image as PILImage

MARGIN = 24                 # of the page
GAP = 14                    # between tiles
FONT_SIZE = 13
ALIKE = 40                  # colours at this distance or less are hard to tell apart


def make_tile(pixels: NDArray[np.uint8], side: int, resampling: str = 'NEAREST') -> 'PILImage':
    """In a thin frame. NEAREST leaves each pixel of a label the colour of one class."""
    from PIL import Image, ImageOps
    image = Image.fromarray(pixels)
    width, height = (max(1, round(side * n / max(image.size))) for n in image.size)
    resized = image.resize((width, height), Image.Resampling[resampling])
    return ImageOps.expand(resized, 1, LINE)


def label_tile(pixels: NDArray[np.uint8], side: int) -> 'PILImage':
    """As `make_tile`, with a white line between two classes of nearly the same colour."""
    from PIL import Image
    tile = np.array(make_tile(pixels, side))
    inside = tile[1:-1, 1:-1]                           # the frame
    edge = np.zeros(inside.shape[:2], bool)
    signed = inside.astype('int32')
    for axis in 0, 1:
        distance = np.square(np.diff(signed, axis=axis)).sum(2)
        rows, columns = distance.shape
        edge[:rows, :columns] |= (distance > 0) & (distance <= ALIKE ** 2)
    inside[edge] = 255
    return Image.fromarray(tile)


def heading_strip(headings: list[str], tile_width: int) -> 'PILImage':
    from PIL import Image, ImageDraw
    width = len(headings) * (tile_width + GAP) - GAP
    strip = Image.new('RGB', (width, 2 * FONT_SIZE), 'white')
    draw = ImageDraw.Draw(strip)
    font = load_font(FONT_SIZE + 1, bold=True)
    for i, heading in enumerate(headings):
        middle = i * (tile_width + GAP) + tile_width / 2
        draw.text((middle, FONT_SIZE * .8), truncate(heading, font, tile_width), INK, font, 'mm')
    return strip


def tile_strip(tiles: 'list[PILImage]', texts: list[str], tile_width: int) -> 'PILImage':
    """Tiles in a row, each in the middle of its column, with its text below."""
    from PIL import Image, ImageDraw
    tile_height = max(tile.height for tile in tiles)
    font = load_font(FONT_SIZE)
    width = len(tiles) * (tile_width + GAP) - GAP
    strip = Image.new('RGB', (width, tile_height + 2 * FONT_SIZE + GAP // 2), 'white')
    draw = ImageDraw.Draw(strip)
    for i, (tile, text) in enumerate(zip(tiles, texts)):
        left = i * (tile_width + GAP)
        strip.paste(tile, (left + (tile_width - tile.width) // 2, 0))
        draw.text((left + tile_width / 2, tile_height + FONT_SIZE),
                  truncate(text, font, tile_width), FAINT, font, 'mm')
    return strip


def stack(strips: 'list[PILImage]') -> 'PILImage':
    """One below the other."""
    from PIL import Image
    width = max(strip.width for strip in strips) + 2 * MARGIN
    height = sum(strip.height for strip in strips) + 2 * MARGIN
    page = Image.new('RGB', (width, height), 'white')
    y = MARGIN
    for strip in strips:
        page.paste(strip, (MARGIN, y))
        y += strip.height
    return page
