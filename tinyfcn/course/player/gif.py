"""The same trace as moving pictures, for pages on which no script runs."""
from importlib.util import find_spec
from pathlib import Path

CELL, LETTER, SIZE = 30, 8.2, 13    # of a cell, of a letter in it, of the letters: pixels
MARGIN, GAP, WIDE = 16, 26, 920     # of the picture, between grids, of the picture at most
LINE, RULER = 20, 58                # of text, of a ruler
INK, FAINT, RULE, PAPER = '#1f2733', '#5d6878', '#ccd3dc', '#ffffff'
SOFT, SOFT_INK, SAY = '#eff2f6', '#616c7e', '#f5f7fa'
LIT, LIT_EDGE, MADE, MADE_EDGE = '#ffe5b8', '#b85c00', '#cfe4fc', '#1a62ad'
PACE, END = 700, 2500               # milliseconds: of a frame, of the last


def write(path, trace):
    """Every frame drawn, in one palette."""
    from PIL import Image, ImageDraw
    width, height, draw = rulers(trace) if trace['kind'] == 'ruler' else grids(trace)
    letters, bold = font('DejaVuSansMono'), font('DejaVuSans-Bold', SIZE + 2)
    width = max(width, round(bold.getlength(trace['title'])) + 2 * MARGIN)
    says = [wrapped(frame['say'], letters, width - 3 * MARGIN) for frame in trace['frames']]
    high = LINE * max(map(len, says)) + 12
    pictures = []
    for n, lines in enumerate(says):
        image = Image.new('RGB', (width, height + high + 3 * MARGIN + LINE), PAPER)
        pen = ImageDraw.Draw(image)
        pen.text((MARGIN, MARGIN + 8), trace['title'], INK, bold, 'lm')
        draw(pen, n, MARGIN + LINE + 8)
        top = height + 2 * MARGIN + LINE
        pen.rectangle((MARGIN, top, width - MARGIN, top + high), SAY)
        pen.rectangle((MARGIN, top, MARGIN + 3, top + high), MADE_EDGE)
        for i, line in enumerate(lines):
            pen.text((MARGIN + 14, top + 6 + LINE * (i + .5)), line, INK, letters, 'lm')
        pictures.append(image)
    some = Image.new('RGB', (width, 3 * pictures[0].height))          # with colours of all kinds
    for i, n in enumerate((0, len(says) // 2, len(says) - 1)):
        some.paste(pictures[n], (0, i * pictures[0].height))
    palette = some.quantize(64)
    first, *others = (image.quantize(palette=palette, dither=Image.Dither.NONE)
                      for image in pictures)
    first.save(path, save_all=True, append_images=others, loop=0, optimize=True,
               duration=[PACE] * len(others) + [END])


def font(name, size=SIZE):
    """DejaVu lies beside matplotlib, which need not be loaded for it; it knows ᵀ and −."""
    from PIL import ImageFont
    home = Path(find_spec('matplotlib').origin).parent
    return ImageFont.truetype(home / 'mpl-data' / 'fonts' / 'ttf' / f'{name}.ttf', size)


def wrapped(words, letters, width):
    """Lines no wider than `width`, broken at spaces."""
    lines = ['']
    for word in words.split(' '):
        longer = f'{lines[-1]} {word}' if lines[-1] else word
        if letters.getlength(longer) <= width or not lines[-1]:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


# ---- grids --------------------------------------------------------------------------------------

def grids(trace):
    """-> width, height of all grids, and what draws frame n of them."""
    title, letters = font('DejaVuSans'), font('DejaVuSansMono')
    placed, right, top, rows = [], 0, 0, {}
    for grid in trace['grids']:
        rows.setdefault(grid['row'], []).append(grid)
    for _, row in sorted(rows.items()):
        left = low = 0
        for grid in row:
            high, many, wide = len(grid['values']), len(grid['values'][0]), _wide(grid, trace)
            broad = round(max(many * wide, title.getlength(grid['title'])))
            if left and left + broad > WIDE:
                left, top, low = 0, low, low
            placed.append((grid, MARGIN + left, top, wide))
            left += broad + GAP
            right, low = max(right, left - GAP), max(low, top + high * CELL + LINE + GAP // 2)
        top = low

    def draw(pen, n, head):
        for grid, x, y, wide in placed:
            pen.text((x, head + y + LINE / 2), grid['title'], FAINT, title, 'lm')
            _board(pen, grid, trace['frames'][:n + 1], x, head + y + LINE + 4, wide, letters)

    return right + 2 * MARGIN + 2, top, draw


def _wide(grid, trace):
    written = [value for frame in trace['frames']
               for *_, value in frame['set'].get(grid['name'], ())]
    longest = max(map(len, [*written, *(value for row in grid['values'] for value in row)]))
    return max(CELL, round(10 + LETTER * longest))


def _board(pen, grid, frames, left, top, wide, letters):
    name, frame = grid['name'], frames[-1]
    values = {(i, j): value for i, row in enumerate(grid['values']) for j, value in enumerate(row)}
    for each in frames:
        values.update({(i, j): value for i, j, value in each['set'].get(name, ())})
    lit = {tuple(cell) for cell in frame.get('lit', {}).get(name, ())}
    made = {(i, j) for i, j, _ in frame['set'].get(name, ())} & lit
    soft = {tuple(cell) for cell in [*grid.get('soft', ()), *frame.get('soft', {}).get(name, ())]}

    def corners(i, j):
        return left + j * wide, top + i * CELL, left + (j + 1) * wide, top + (i + 1) * CELL

    for cell, value in values.items():
        paler = cell in soft and value and cell not in lit
        paper = MADE if cell in made else LIT if cell in lit else SOFT if paler else PAPER
        pen.rectangle(corners(*cell), paper, RULE)
        x0, y0, x1, y1 = corners(*cell)
        pen.text(((x0 + x1) / 2, (y0 + y1) / 2), value, SOFT_INK if paler else INK, letters, 'mm')
    for cells, edge in (lit - made, LIT_EDGE), (made, MADE_EDGE):
        for i, j in cells:
            x0, y0, x1, y1 = corners(i, j)
            sides = {(i - 1, j): (x0, y0, x1, y0), (i + 1, j): (x0, y1, x1, y1),
                     (i, j - 1): (x0, y0, x0, y1), (i, j + 1): (x1, y0, x1, y1)}
            for beside in sides.keys() - cells:
                pen.line(sides[beside], edge, 2)


# ---- rulers -------------------------------------------------------------------------------------

def rulers(trace):
    """-> width, height of all lines, and what draws frame n of them."""
    title, lines, (low, high) = font('DejaVuSans', SIZE - 1), trace['lines'], trace['extent']
    scale = (WIDE - 2 * MARGIN) / (high - low + 1)

    def x(pixel):
        return MARGIN + (pixel - low + .5) * scale

    def draw(pen, n, head):
        frame, marked = trace['frames'][n], []
        ends = lines[0]['points'][0] - .5, lines[0]['points'][-1] + .5
        pen.rectangle((x(ends[0]), head, x(ends[1]), head + RULER * len(lines)), SOFT)
        for i, line in enumerate(lines):
            y, points = head + 16 + i * RULER, line['points']
            pen.line((x(low - .5), y, x(high + .5), y), RULE)
            start, stop = span = frame.get('spans', {}).get(line['name'], (1, 0))
            if start <= stop:
                pen.rounded_rectangle((x(start - .5), y - 8, x(stop + .5), y + 8), 4, LIT, LIT_EDGE)
            apart = (points[1] - points[0]) * scale if len(points) > 1 else 8
            r = max(.5, min(4, .3 * apart))
            for p in points:
                seen = span[0] <= p <= span[1]
                pen.ellipse((x(p) - r, y - r, x(p) + r, y + r), LIT_EDGE if seen else FAINT)
            marked += [(x(points[k]), y) for k in frame.get('lit', {}).get(line['name'], ())]
            pen.text((MARGIN, y + 22), line['title'], INK, title, 'lm')
        pen.line(marked, MADE_EDGE, 1)
        for a, b in marked:
            pen.ellipse((a - 6, b - 6, a + 6, b + 6), MADE, MADE_EDGE, 2)

    return WIDE, RULER * len(lines), draw
