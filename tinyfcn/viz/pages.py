"""A page of predictions beside the truth: what a net sees, and where it is mistaken."""
import numpy as np

from .colours import ERRORS, VOID, colours, errors, matched, palette, present, write_picture
from .legend import FAINT, INK, LINE, cut, font, legend

SMALL, LARGE = 200, 320             # of a tile's longer side: is enlarged to, made smaller to
MARGIN, GAP, SIZE = 24, 14, 13      # of the page, between tiles, of the letters


def draw_page(path, rows, classes, titles, captions=None):
    """Image, truth and each prediction under its title; of a single prediction its errors too.

    rows [(name, image, truth, *preds)]
    captions, for each row: what stands under each of its predictions
    """
    rows = [_checked(classes, len(titles), *row) for row in rows]
    if not rows:
        raise ValueError(f'{path}: no rows; a page shows at least one picture')
    captions = captions or [[''] * len(titles) for _ in rows]
    if [*map(len, captions)] != [len(titles)] * len(rows):
        raise ValueError(f'{path}: {[*map(len, captions)]} captions; for each of {len(rows)} rows '
                         f'one under each of {len(titles)} predictions is needed')
    side, heads = _side(rows), ['image', 'truth', *titles]
    tiles = [[_tile(image, side, 'LANCZOS'), *(_tile(colours(label), side) for label in labels)]
             for _, image, *labels in rows]
    words = [[name, '', *under] for (name, *_), under in zip(rows, captions)]
    if len(titles) == 1:
        heads.append('errors')
        for (_, _, truth, pred), drawn, said in zip(rows, tiles, words):
            drawn.append(_tile(errors(truth, pred), side))
            said.append(_wrong(truth, pred))
    wide = max(tile.width for drawn in tiles for tile in drawn)
    strips = [_heads(heads, wide), *(_strip(*row, wide) for row in zip(tiles, words))]
    keys = _keys(rows, classes, len(titles) == 1)
    strips += [legend(entries, strips[0].width, SIZE) for entries in keys]
    write_picture(path, _stack(strips))


def _checked(classes, count, name, image, *labels):
    """A row whose sizes agree and whose labels have nothing but classes and void."""
    if len(labels) != 1 + count:
        raise ValueError(f'{name}: {len(labels)} labels; one truth, and a prediction for each of '
                         f'{count} titles are needed')
    try:
        labels = [matched(image, label, len(classes))[1] for label in labels]
        return name, np.asarray(image), *labels
    except ValueError as error:
        raise ValueError(f'{name}: {error}') from None


def _side(rows):
    """The longer side of every tile; that of small images is enlarged by a whole number."""
    side = max(max(image.shape[:2]) for _, image, *_ in rows)
    return side * -(-SMALL // side) if side < SMALL else min(side, LARGE)


def _tile(pixels, side, sampling='NEAREST'):
    """In a thin frame. NEAREST leaves each pixel of a label the colour of one class."""
    from PIL import Image, ImageOps
    image = Image.fromarray(pixels)
    size = [max(1, round(side * n / max(image.size))) for n in image.size]
    return ImageOps.expand(image.resize(size, Image.Resampling[sampling]), 1, LINE)


def _heads(heads, wide):
    from PIL import Image, ImageDraw
    strip = Image.new('RGB', (len(heads) * (wide + GAP) - GAP, 2 * SIZE), 'white')
    draw, letters = ImageDraw.Draw(strip), font(SIZE + 1, bold=True)
    for i, head in enumerate(heads):
        middle = i * (wide + GAP) + wide / 2, SIZE * .8
        draw.text(middle, cut(head, letters, wide), INK, letters, 'mm')
    return strip


def _strip(tiles, words, wide):
    """Tiles in a row, each in the middle of its column, with its words below."""
    from PIL import Image, ImageDraw
    high, letters = max(tile.height for tile in tiles), font(SIZE)
    strip = Image.new('RGB', (len(tiles) * (wide + GAP) - GAP, high + 2 * SIZE + GAP // 2), 'white')
    draw = ImageDraw.Draw(strip)
    for i, (tile, said) in enumerate(zip(tiles, words)):
        left = i * (wide + GAP)
        strip.paste(tile, (left + (wide - tile.width) // 2, 0))
        draw.text((left + wide / 2, high + SIZE), cut(said, letters, wide), FAINT, letters, 'mm')
    return strip


def _wrong(truth, pred):
    wrong = (truth != pred)[truth != VOID]
    return f'{100 * wrong.mean():.1f} % wrong' if wrong.size else 'all void'


def _keys(rows, classes, single):
    """The legends: the classes that are seen; and how errors are painted."""
    labels = np.concatenate([label.ravel() for _, _, *labels in rows for label in labels])
    seen = [(palette()[i], name) for i, name, _ in present(labels, classes)]
    yield seen + [(palette()[VOID], 'void')] * bool((labels == VOID).any())
    if single:
        yield [(colour, words) for words, colour in ERRORS.items()]


def _stack(strips):
    """One below the other."""
    from PIL import Image
    page = Image.new('RGB', (max(strip.width for strip in strips) + 2 * MARGIN,
                             sum(strip.height for strip in strips) + 2 * MARGIN), 'white')
    y = MARGIN
    for strip in strips:
        page.paste(strip, (MARGIN, y))
        y += strip.height
    return page
