"""A page of predictions beside the truth: what a net predicts, and where it is wrong."""
from collections.abc import Iterable, Iterator, Mapping, Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..files import printable
from .colours import ERRORS, VOID, check_pair, class_colours, class_shares, error_map
from .files import write_png
from .legend import FAINT, INK, LINE, Entry, draw_legend, load_font, truncate

if TYPE_CHECKING:
    from PIL.Image import Image as PILImage

# of a tile's longer side, in pixels: a smaller image is enlarged, a larger one reduced
MIN_SIDE = 200
MAX_SIDE = 320
MARGIN = 24                 # of the page
GAP = 14                    # between tiles
FONT_SIZE = 13


class PageRow(NamedTuple):
    """One image with its truth and its predictions, checked."""
    name: str
    image: NDArray[np.uint8]
    truth: NDArray[np.uint8]
    preds: list[NDArray[np.uint8]]


def draw_page(path: str | PathLike[str], rows: Iterable[Sequence[Any]], classes: Sequence[str],
              titles: Sequence[str], captions: Sequence[Sequence[str]] | None = None,
              colours: Mapping[str, Sequence[int]] | None = None) -> None:
    """Image, truth and each prediction under its title; of a single prediction its errors too.

    rows: (name, image, truth, pred, …), with one prediction for each title; path: a .png
    captions: for each row, a text under each of its predictions
    colours: {class: (red, green, blue)}; other classes have the colours of `class_colours`

    >>> import tempfile
    >>> image = np.zeros((4, 6, 3), 'uint8')
    >>> truth = np.eye(4, 6, dtype='uint8')
    >>> row = 'eye', image, truth, 0 * truth
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     draw_page(f'{folder}/page.png', [row], ['0', '1'], ['all 0'])
    """
    checked = [_check_row(classes, len(titles), *row) for row in rows]
    if not checked:
        raise ValueError(f'{path}: no rows; a page shows at least one image')
    if not captions:
        captions = [[''] * len(titles) for _ in checked]
    lengths = [len(row) for row in captions]
    if lengths != [len(titles)] * len(checked):
        raise ValueError(f'{path}: {lengths} captions; for each of {len(checked)} rows one under '
                         f'each of {len(titles)} predictions is needed')

    show_errors = len(titles) == 1
    headings = ['image', 'truth', *titles] + ['errors'] * show_errors
    side = _tile_side(checked)
    table = class_colours(classes, colours)
    tiles = [_row_tiles(row, side, table, show_errors) for row in checked]
    texts = []
    for row, own_captions in zip(checked, captions):
        text = [row.name, '', *own_captions]
        texts.append([*text, _error_rate(row.truth, row.preds[0])] if show_errors else text)

    tile_width = max(tile.width for row_tiles in tiles for tile in row_tiles)
    strips = [_heading_strip(headings, tile_width)]
    strips += [_row_strip(*row, tile_width) for row in zip(tiles, texts)]
    legends = _legends(checked, classes, table, show_errors)
    strips += [draw_legend(entries, strips[0].width, FONT_SIZE) for entries in legends]
    write_png(path, _stack(strips))


def _check_row(classes: Sequence[str], count: int, name: str, image: NDArray[Any],
               *labels: NDArray[Any]) -> PageRow:
    """A row whose sizes agree, and whose labels have no values but classes and void."""
    if len(labels) != 1 + count:
        raise ValueError(f'{printable(name)}: {len(labels)} labels; one truth, and a prediction '
                         f'for each of {count} titles are needed')
    try:
        truth, *preds = (check_pair(image, label, len(classes))[1] for label in labels)
        return PageRow(name, np.asarray(image), truth, preds)
    except ValueError as error:
        raise ValueError(f'{printable(name)}: {error}') from None


def _tile_side(rows: list[PageRow]) -> int:
    """The longer side of every tile; small images are enlarged by a whole number."""
    side: int = max(max(row.image.shape[:2]) for row in rows)
    return side * -(-MIN_SIDE // side) if side < MIN_SIDE else min(side, MAX_SIDE)


def _row_tiles(row: PageRow, side: int, table: NDArray[np.uint8],
               show_errors: bool) -> 'list[PILImage]':
    tiles = [_tile(row.image, side, 'LANCZOS')]
    tiles += [_tile(table[label], side) for label in (row.truth, *row.preds)]
    if show_errors:
        tiles.append(_tile(error_map(row.truth, row.preds[0]), side))
    return tiles


def _tile(pixels: NDArray[np.uint8], side: int, resampling: str = 'NEAREST') -> 'PILImage':
    """In a thin frame. NEAREST leaves each pixel of a label the colour of one class."""
    from PIL import Image, ImageOps
    image = Image.fromarray(pixels)
    width, height = (max(1, round(side * n / max(image.size))) for n in image.size)
    resized = image.resize((width, height), Image.Resampling[resampling])
    return ImageOps.expand(resized, 1, LINE)


def _heading_strip(headings: list[str], tile_width: int) -> 'PILImage':
    from PIL import Image, ImageDraw
    width = len(headings) * (tile_width + GAP) - GAP
    strip = Image.new('RGB', (width, 2 * FONT_SIZE), 'white')
    draw = ImageDraw.Draw(strip)
    font = load_font(FONT_SIZE + 1, bold=True)
    for i, heading in enumerate(headings):
        middle = i * (tile_width + GAP) + tile_width / 2
        draw.text((middle, FONT_SIZE * .8), truncate(heading, font, tile_width), INK, font, 'mm')
    return strip


def _row_strip(tiles: 'list[PILImage]', texts: list[str], tile_width: int) -> 'PILImage':
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


def _error_rate(truth: NDArray[np.uint8], pred: NDArray[np.uint8]) -> str:
    wrong = (truth != pred)[truth != VOID]
    return f'{100 * wrong.mean():.1f} % wrong' if wrong.size else 'all void'


def _legends(rows: list[PageRow], classes: Sequence[str], table: NDArray[np.uint8],
             show_errors: bool) -> Iterator[list[Entry]]:
    """One of the classes that occur; and one of the colours of errors."""
    labels = np.concatenate([label.ravel() for row in rows for label in (row.truth, *row.preds)])
    entries: list[Entry] = [(table[i], name) for i, name, _ in class_shares(labels, classes)]
    if (labels == VOID).any():
        entries.append((table[VOID], 'void'))
    yield entries
    if show_errors:
        yield [(colour, name) for name, colour in ERRORS.items()]


def _stack(strips: 'list[PILImage]') -> 'PILImage':
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
