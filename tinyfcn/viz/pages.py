"""A page of predictions beside the truth: what a net predicts, and where it is wrong."""
from collections.abc import Iterable, Iterator, Mapping, Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..files import printable
from .colours import ERRORS, VOID, check_pair, class_colours, class_shares, error_map
from .files import write_png
from .images import as_colours
from .legend import Entry, draw_legend
from .tiles import FONT_SIZE, heading_strip, label_tile, make_tile, stack, tile_strip

if TYPE_CHECKING:
    from PIL.Image import Image as PILImage

# of a tile's longer side, in pixels: a smaller image is enlarged, a larger one reduced
MIN_SIDE = 200
MAX_SIDE = 320


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
    strips = [heading_strip(headings, tile_width)]
    strips += [tile_strip(*row, tile_width) for row in zip(tiles, texts)]
    legends = _legends(checked, classes, table, show_errors)
    strips += [draw_legend(entries, strips[0].width, FONT_SIZE) for entries in legends]
    write_png(path, stack(strips))


def _check_row(classes: Sequence[str], count: int, name: str, image: NDArray[Any],
               *labels: NDArray[Any]) -> PageRow:
    """A row whose sizes agree, and whose labels have no values but classes and void."""
    if len(labels) != 1 + count:
        raise ValueError(f'{printable(name)}: {len(labels)} labels; one truth, and a prediction '
                         f'for each of {count} titles are needed')
    image = as_colours(np.asarray(image))
    try:
        truth, *preds = (check_pair(image, label, len(classes))[1] for label in labels)
        return PageRow(name, image, truth, preds)
    except ValueError as error:
        raise ValueError(f'{printable(name)}: {error}') from None


def _tile_side(rows: list[PageRow]) -> int:
    """The longer side of every tile; small images are enlarged by a whole number."""
    side: int = max(max(row.image.shape[:2]) for row in rows)
    return side * -(-MIN_SIDE // side) if side < MIN_SIDE else min(side, MAX_SIDE)


def _row_tiles(row: PageRow, side: int, table: NDArray[np.uint8],
               show_errors: bool) -> 'list[PILImage]':
    tiles = [make_tile(row.image, side, 'LANCZOS')]
    tiles += [label_tile(table[label], side) for label in (row.truth, *row.preds)]
    if show_errors:
        tiles.append(make_tile(error_map(row.truth, row.preds[0]), side))
    return tiles


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
