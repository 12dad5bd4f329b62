"""The same trace as an animated GIF, for pages on which no script runs."""
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

# pixels
CELL = 30               # of a grid
LETTER_WIDTH = 8.2
LETTER_SIZE = 13
MARGIN = 16             # around the image
GAP = 26                # between grids
MAX_WIDTH = 920         # of the image
TEXT_LINE = 20
POINT_LINE = 58         # of an alignment: between two lines of points

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

# milliseconds
FRAME_TIME = 700
LAST_FRAME_TIME = 2500


class PlacedGrid(NamedTuple):
    """A grid and where it is drawn, in pixels."""
    grid: dict
    left: int
    top: int
    cell_width: int


def write_gif(path, trace):
    """Draw every frame, and write all of them with one palette."""
    images = draw_frames(trace)
    frames = quantize(images)
    durations = [FRAME_TIME] * (len(frames) - 1) + [LAST_FRAME_TIME]
    frames[0].save(path, save_all=True, append_images=frames[1:], loop=0, optimize=True,
                   duration=durations)


def draw_frames(trace):
    """-> a list of RGB images: the title, the grids or lines, and the caption below them"""
    from PIL import Image, ImageDraw
    layout = layout_lines if trace['kind'] == 'alignment' else layout_grids
    width, height, draw = layout(trace)
    font = load_font('DejaVuSansMono')
    title_font = load_font('DejaVuSans-Bold', LETTER_SIZE + 2)
    width = max(width, round(title_font.getlength(trace['title'])) + 2 * MARGIN)
    captions = [wrap_text(frame['caption'], font, width - 3 * MARGIN) for frame in trace['frames']]
    caption_height = TEXT_LINE * max(map(len, captions)) + 12
    caption_top = height + 2 * MARGIN + TEXT_LINE

    images = []
    for n, lines in enumerate(captions):
        size = width, caption_top + caption_height + MARGIN
        image = Image.new('RGB', size, PAPER)
        pen = ImageDraw.Draw(image)
        pen.text((MARGIN, MARGIN + 8), trace['title'], INK, title_font, 'lm')
        draw(pen, n, MARGIN + TEXT_LINE + 8)
        bottom = caption_top + caption_height
        pen.rectangle((MARGIN, caption_top, width - MARGIN, bottom), CAPTION)
        pen.rectangle((MARGIN, caption_top, MARGIN + 3, bottom), WRITTEN_EDGE)
        for i, line in enumerate(lines):
            middle = caption_top + 6 + TEXT_LINE * (i + .5)
            pen.text((MARGIN + 14, middle), line, INK, font, 'lm')
        images.append(image)
    return images


def quantize(images):
    """All images in one palette, made from the first, the middle and the last of them."""
    from PIL import Image
    width, height = images[0].size
    sample = Image.new('RGB', (width, 3 * height))
    for i, n in enumerate((0, len(images) // 2, len(images) - 1)):
        sample.paste(images[n], (0, i * height))
    palette = sample.quantize(64)
    return [image.quantize(palette=palette, dither=Image.Dither.NONE) for image in images]


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


# ---- grids --------------------------------------------------------------------------------------

def layout_grids(trace):
    """-> width and height of all grids in pixels, and a function that draws frame n of them"""
    title_font = load_font('DejaVuSans')
    font = load_font('DejaVuSansMono')
    placed, width, height = place_grids(trace, title_font)

    def draw(pen, n, offset):
        frames = trace['frames'][:n + 1]
        for grid, left, top, cell_width in placed:
            middle = offset + top + TEXT_LINE / 2
            pen.text((left, middle), grid['title'], FAINT, title_font, 'lm')
            draw_grid(pen, grid, frames, left, offset + top + TEXT_LINE + 4, cell_width, font)

    return width + 2 * MARGIN + 2, height, draw


def place_grids(trace, title_font):
    """Row below row; a row that is too wide continues below.   -> placed grids, width, height"""
    rows = {}
    for grid in trace['grids']:
        rows.setdefault(grid['row'], []).append(grid)

    placed = []
    width = 0
    top = 0
    for _, row in sorted(rows.items()):
        left = 0
        bottom = 0
        for grid in row:
            columns = len(grid['values'][0])
            cell_width = find_cell_width(grid, trace)
            grid_width = round(max(columns * cell_width, title_font.getlength(grid['title'])))
            if left and left + grid_width > MAX_WIDTH:
                left = 0
                top = bottom
            placed.append(PlacedGrid(grid, MARGIN + left, top, cell_width))
            width = max(width, left + grid_width)
            left += grid_width + GAP
            grid_height = len(grid['values']) * CELL + TEXT_LINE + GAP // 2
            bottom = max(bottom, top + grid_height)
        top = bottom
    return placed, width, top


def find_cell_width(grid, trace):
    """Wide enough for the longest text that any frame writes into this grid."""
    texts = [text for row in grid['values'] for text in row]
    for frame in trace['frames']:
        texts += [text for *_, text in frame['set'].get(grid['name'], ())]
    return max(CELL, round(10 + LETTER_WIDTH * max(map(len, texts))))


def draw_grid(pen, grid, frames, left, top, cell_width, font):
    """Draw a grid as it is after the last of these frames."""
    name = grid['name']
    frame = frames[-1]
    texts = {(i, j): text for i, row in enumerate(grid['values']) for j, text in enumerate(row)}
    for earlier in frames:
        texts.update({(i, j): text for i, j, text in earlier['set'].get(name, ())})
    highlighted = {tuple(cell) for cell in frame.get('highlight', {}).get(name, ())}
    written = {(i, j) for i, j, _ in frame['set'].get(name, ())} & highlighted
    dim = {tuple(cell) for cell in [*grid.get('dim', ()), *frame.get('dim', {}).get(name, ())]}

    def corners(i, j):
        x = left + j * cell_width
        y = top + i * CELL
        return x, y, x + cell_width, y + CELL

    for cell, text in texts.items():
        paper = PAPER
        ink = INK
        if cell in written:
            paper = WRITTEN
        elif cell in highlighted:
            paper = HIGHLIGHT
        elif cell in dim and text:
            paper = DIM
            ink = DIM_INK
        x0, y0, x1, y1 = corners(*cell)
        pen.rectangle((x0, y0, x1, y1), paper, RULE)
        pen.text(((x0 + x1) / 2, (y0 + y1) / 2), text, ink, font, 'mm')

    draw_outline(pen, highlighted - written, corners, HIGHLIGHT_EDGE)
    draw_outline(pen, written, corners, WRITTEN_EDGE)


def draw_outline(pen, cells, corners, colour):
    """A line wherever one of these cells borders on a cell that is not among them."""
    for i, j in cells:
        x0, y0, x1, y1 = corners(i, j)
        edges = {(i - 1, j): (x0, y0, x1, y0), (i + 1, j): (x0, y1, x1, y1),
                 (i, j - 1): (x0, y0, x0, y1), (i, j + 1): (x1, y0, x1, y1)}
        for neighbour in edges.keys() - cells:
            pen.line(edges[neighbour], colour, 2)


# ---- alignments ---------------------------------------------------------------------------------

def layout_lines(trace):
    """-> width and height of all lines in pixels, and a function that draws frame n of them"""
    font = load_font('DejaVuSans', LETTER_SIZE - 1)
    lines = trace['lines']
    low, high = trace['extent']
    scale = (MAX_WIDTH - 2 * MARGIN) / (high - low + 1)

    def x(pixel):
        return MARGIN + (pixel - low + .5) * scale

    def draw(pen, n, offset):
        frame = trace['frames'][n]
        image = lines[0]['points']
        pen.rectangle((x(image[0] - .5), offset,
                       x(image[-1] + .5), offset + POINT_LINE * len(lines)), DIM)
        highlighted = []
        for i, line in enumerate(lines):
            y = offset + 16 + i * POINT_LINE
            pen.line((x(low - .5), y, x(high + .5), y), RULE)
            span = frame.get('spans', {}).get(line['name'])
            draw_points(pen, line['points'], span, x, y, scale)
            indices = frame.get('highlight', {}).get(line['name'], ())
            highlighted += [(x(line['points'][k]), y) for k in indices]
            pen.text((MARGIN, y + 22), line['title'], INK, font, 'lm')
        pen.line(highlighted, WRITTEN_EDGE, 1)
        for a, b in highlighted:
            pen.ellipse((a - 6, b - 6, a + 6, b + 6), WRITTEN, WRITTEN_EDGE, 2)

    return MAX_WIDTH, POINT_LINE * len(lines), draw


def draw_points(pen, points, span, x, y, scale):
    """The points of a line, and the span [from, to] behind them, which may be None."""
    if span:
        start, stop = span
        pen.rounded_rectangle((x(start - .5), y - 8, x(stop + .5), y + 8), 4,
                              HIGHLIGHT, HIGHLIGHT_EDGE)
    spacing = (points[1] - points[0]) * scale if len(points) > 1 else 8
    radius = max(.5, min(4, .3 * spacing))
    for p in points:
        inside = span and span[0] <= p <= span[1]
        colour = HIGHLIGHT_EDGE if inside else FAINT
        pen.ellipse((x(p) - radius, y - radius, x(p) + radius, y + radius), colour)
