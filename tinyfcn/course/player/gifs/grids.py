"""Grids of numbers, drawn into a GIF."""
from typing import NamedTuple

from .style import (
    DIM,
    DIM_INK,
    FAINT,
    GAP,
    HIGHLIGHT,
    HIGHLIGHT_EDGE,
    INK,
    MARGIN,
    MAX_WIDTH,
    PAPER,
    RULE,
    TEXT_LINE,
    WRITTEN,
    WRITTEN_EDGE,
    load_font,
    make_pen,
)

CELL = 30               # pixels
LETTER_WIDTH = 8.2


class PlacedGrid(NamedTuple):
    """A grid and where it is drawn, in pixels."""
    grid: dict
    left: int
    top: int
    cell_width: int


def layout_grids(trace):
    """-> width and height of all grids in pixels, and a function that draws frame n of them"""
    title_font = load_font('DejaVuSans')
    font = load_font('DejaVuSansMono')
    placed, width, height = place_grids(trace, title_font)

    def draw(image, n, offset):
        pen = make_pen(image)
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
        channels = rows.setdefault(grid['row'], [])
        if grid.get('below'):
            channels[-1].append(grid)
        else:
            channels.append([grid])

    placed = []
    width = 0
    top = 0
    for _, row in sorted(rows.items()):
        left = 0
        bottom = 0
        for grids in row:
            cell_widths = [find_cell_width(grid, trace) for grid in grids]
            wide = round(max(
                max(len(grid['values'][0]) * cell_width, title_font.getlength(grid['title']))
                for grid, cell_width in zip(grids, cell_widths)))
            if left and left + wide > MAX_WIDTH:
                left = 0
                top = bottom
            grid_top = top
            for grid, cell_width in zip(grids, cell_widths):
                placed.append(PlacedGrid(grid, MARGIN + left, grid_top, cell_width))
                grid_top += len(grid['values']) * CELL + TEXT_LINE + GAP // 2
            bottom = max(bottom, grid_top)
            width = max(width, left + wide)
            left += wide + GAP
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
