"""Sizes, colours and letters of all GIFs."""
from base64 import b64decode
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path

# pixels
LETTER_SIZE = 13
MARGIN = 16             # around the image
GAP = 26                # between grids, maps or pictures
MAX_WIDTH = 920         # of the image
TEXT_LINE = 20

# the colours of player.css
INK = '#1f2733'
FAINT = '#5d6878'
RULE = '#ccd3dc'
PAPER = '#ffffff'
DIM = '#eff2f6'
DIM_INK = '#616c7e'
CAPTION = '#f5f7fa'
HIGHLIGHT = '#ffe5b8'
HIGHLIGHT_EDGE = '#b85c00'
WRITTEN = '#cfe4fc'
WRITTEN_EDGE = '#1a62ad'
POSITIVE = '#5aa0dc'


def load_font(name, size=LETTER_SIZE):
    """DejaVu from matplotlib's folder (matplotlib itself is not imported); it has ᵀ and −."""
    from PIL import ImageFont
    folder = Path(find_spec('matplotlib').origin).parent
    return ImageFont.truetype(folder / 'mpl-data' / 'fonts' / 'ttf' / f'{name}.ttf', size)


def wrap_text(text, font, width):
    """Lines no wider than `width` pixels, broken at spaces."""
    lines = ['']
    for word in text.split(' '):
        longer = f'{lines[-1]} {word}' if lines[-1] else word
        if font.getlength(longer) <= width or not lines[-1]:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def open_picture(uri, width):
    """The picture of a data URI, this many pixels wide."""
    from PIL import Image
    with Image.open(BytesIO(b64decode(uri.partition(',')[2]))) as image:
        size = round(width), max(1, round(width * image.height / image.width))
        return image.convert('RGB').resize(size, Image.Resampling.NEAREST)


def make_pen(image):
    from PIL import ImageDraw
    return ImageDraw.Draw(image)
