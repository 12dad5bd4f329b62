"""Squares of colour with their names, drawn by Pillow: fast, and sharp at any size."""
from collections.abc import Iterable, Sequence
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..files import printable

if TYPE_CHECKING:
    from PIL.Image import Image as PILImage
    from PIL.ImageFont import FreeTypeFont

# all slightly blue, which no colour of a class is
INK = 34, 38, 46
FAINT = 112, 117, 127
LINE = 200, 203, 208

MAX_NAME = 60           # characters of a name that are drawn

# a square's colour, red, green, blue; its name
Entry = tuple[Iterable[int], str]


def load_font(size: int, bold: bool = False) -> 'FreeTypeFont':
    """DejaVu Sans, which is part of matplotlib; `size` in pixels."""
    import matplotlib
    from PIL import ImageFont
    name = 'DejaVuSans-Bold.ttf' if bold else 'DejaVuSans.ttf'
    return ImageFont.truetype(Path(matplotlib.get_data_path(), 'fonts', 'ttf', name), size)


def draw_legend(entries: Sequence[Entry], width: int, size: int) -> 'PILImage':
    """Squares of colour with their names.   [(colour, name)] -> image

    It is `width` pixels wide, or as wide as its longest name; the font is `size` pixels high.
    """
    from PIL import Image, ImageDraw
    font = load_font(size)
    gap = round(1.5 * size)
    row_height = round(1.7 * size)
    names = [printable(name, limit=MAX_NAME) for _, name in entries]
    widths = [gap + ceil(font.getlength(name)) for name in names]
    lefts, needed_width = fit_columns(widths, width, gap)
    rows = ceil(len(entries) / len(lefts))
    image = Image.new('RGB', (max(width, needed_width), row_height * rows), 'white')
    draw = ImageDraw.Draw(image)
    for i, ((colour, _), name) in enumerate(zip(entries, names)):
        x = lefts[i % len(lefts)]
        y = i // len(lefts) * row_height + (row_height - size) // 2
        fill: tuple[Any, ...] = tuple(map(int, colour))
        draw.rectangle((x, y, x + size - 1, y + size - 1), fill, LINE)
        draw.text((x + gap, y + size / 2), name, INK, font, 'lm')
    return image


def fit_columns(widths: Sequence[int], width: int, gap: int) -> tuple[list[int], int]:
    """As many columns as fit, filled row by row -> where each begins, the width of all."""
    for count in range(len(widths), 0, -1):
        column_widths = [max(widths[i::count]) + gap for i in range(count)]
        total = sum(column_widths) - gap
        if total <= width or count == 1:
            return [sum(column_widths[:i]) for i in range(count)], total
    return [0], 0


def truncate(text: str, font: 'FreeTypeFont', width: int) -> str:
    """The text, or as much of it as fits into `width` pixels, and an ellipsis."""
    text = printable(text)
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + '…') > width:
        text = text[:-1]
    return text + '…'
