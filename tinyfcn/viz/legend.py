"""Words, and squares of colour that they explain, drawn by Pillow: quick, and sharp at any size."""
from math import ceil
from pathlib import Path

INK, FAINT, LINE = (34, 38, 46), (112, 117, 127), (200, 203, 208)   # bluish, as no class is


def font(size, bold=False):
    """DejaVu Sans, which comes with matplotlib, at so many pixels."""
    import matplotlib
    from PIL import ImageFont
    name = 'DejaVuSans-Bold.ttf' if bold else 'DejaVuSans.ttf'
    return ImageFont.truetype(Path(matplotlib.get_data_path(), 'fonts', 'ttf', name), size)


def legend(entries, width, size):
    """Squares of colour with their words.   entries [(colour, words)] -> image

    It is `width` wide, or as wide as its longest words; letters are `size` pixels high.
    """
    from PIL import Image, ImageDraw
    letters, gap, high = font(size), round(1.5 * size), round(1.7 * size)
    widths = [gap + ceil(letters.getlength(words)) for _, words in entries]
    lefts, wide = columns(widths, width, gap)
    page = Image.new('RGB', (max(width, wide), high * ceil(len(entries) / len(lefts))), 'white')
    draw = ImageDraw.Draw(page)
    for i, (colour, words) in enumerate(entries):
        x, y = lefts[i % len(lefts)], i // len(lefts) * high + (high - size) // 2
        draw.rectangle((x, y, x + size - 1, y + size - 1), tuple(map(int, colour)), LINE)
        draw.text((x + gap, y + size / 2), words, INK, letters, 'lm')
    return page


def columns(widths, width, gap):
    """The most columns that have room, filled row by row -> where each begins, how wide all are."""
    for count in range(len(widths), 0, -1):
        wides = [max(widths[i::count]) + gap for i in range(count)]
        if sum(wides) - gap <= width or count == 1:
            return [sum(wides[:i]) for i in range(count)], sum(wides) - gap
    return [0], 0


def cut(words, letters, width):
    """As much of the words as `width` has room for."""
    if letters.getlength(words) <= width:
        return words
    while words and letters.getlength(words + '…') > width:
        words = words[:-1]
    return words + '…'
