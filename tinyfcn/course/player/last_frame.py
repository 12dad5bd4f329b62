"""The last frame of a player as plain HTML, for pages on which no script runs.

GitHub, a notebook that is not trusted and some readers of mail remove the iframe of a player and
keep its tables.
"""
from html import escape
from typing import Any

from .text import format_number, with_printable_texts

READ = ' style="background:#fa03"'
WRITTEN = ' style="background:#39f4"'
TABLE = '<table style="display:inline-table;margin:.5em;text-align:right;vertical-align:top">'


def last_frame(trace: dict[str, Any]) -> str:
    """The title, what is shown in the last frame, and its caption."""
    trace = with_printable_texts(trace)
    tables = {'grid': _grids, 'alignment': _maps, 'stack': _stack, 'images': _images,
              'descent': _descent}
    frame = trace['frames'][-1]
    return (f'<p><b>{escape(trace["title"])}</b>, the last of {len(trace["frames"])} steps</p>'
            f'{tables[trace["kind"]](trace, frame)}<p>{escape(frame["caption"])}</p>')


def grid_values(trace: dict[str, Any], index: int) -> dict[str, list[list[Any]]]:
    """{grid: rows of values, None where empty} after frame `index`."""
    values = {grid['name']: [list(row) for row in grid['values']] for grid in trace['grids']}
    for frame in trace['frames'][:index + 1]:
        for name, cells in frame.get('set', {}).items():
            for row, column, value in cells:
                values[name][row][column] = value
    return values


def _grids(trace: dict[str, Any], frame: dict[str, Any]) -> str:
    """A table for each grid; what the frame reads and writes is coloured."""
    values = grid_values(trace, len(trace['frames']) - 1)
    lines: dict[int, list[str]] = {}
    for grid in trace['grids']:
        name = grid['name']
        read = {tuple(cell) for cell in frame.get('highlight', {}).get(name, ())}
        written = {(i, j) for i, j, _ in frame.get('set', {}).get(name, ())} & read
        rows = []
        for i, row in enumerate(values[name]):
            cells = []
            for j, value in enumerate(row):
                colour = WRITTEN if (i, j) in written else READ if (i, j) in read else ''
                cells.append(f'<td{colour}>{escape(format_number(value))}')
            rows.append('<tr>' + ''.join(cells))
        sign = f'{escape(grid["sign"])} ' if grid.get('sign') else ''
        lines.setdefault(grid.get('row', 0), []).append(
            f'{TABLE}<caption>{sign}{escape(grid["title"])}</caption>{"".join(rows)}</table>')
    return ''.join(f'<div>{"".join(tables)}</div>' for _, tables in sorted(lines.items()))


def _maps(trace: dict[str, Any], frame: dict[str, Any]) -> str:
    """A line of text for each map: what it is, and which unit or pixels this frame shows."""
    rows = []
    for each in trace['maps']:
        unit = frame['units'].get(each['name'], ())
        where = ', '.join(map(format_number, unit))
        if field := frame.get('fields', {}).get(each['name']):
            where = ' by '.join(' … '.join(map(format_number, span)) for span in field)
        rows.append(f'<tr><td style="text-align:left">{escape(each["title"])}<td>{where}')
    return f'{TABLE}{"".join(rows)}</table>'


def _stack(trace: dict[str, Any], frame: dict[str, Any]) -> str:
    """A line for each layer; without a script every caption is shown, not only the last."""
    rows = [f'<tr><td style="text-align:left">{escape(each["caption"])}'
            for each in trace['frames'][:-1]]
    return f'{TABLE}{"".join(rows)}</table>'


def _images(trace: dict[str, Any], frame: dict[str, Any]) -> str:
    cells = []
    for panel in trace['panels']:
        if panel['name'] not in frame['show']:
            continue
        title = frame.get('titles', {}).get(panel['name'], panel['title'])
        image = trace['images'][frame['show'][panel['name']]]
        cells.append(f'<td style="text-align:center"><img src="{escape(image)}" alt="" '
                     f'width="{panel.get("width", 120)}"><br>{escape(title)}')
    return f'{TABLE}<tr>{"".join(cells)}</table>'


def _descent(trace: dict[str, Any], frame: dict[str, Any]) -> str:
    w0, w1 = map(format_number, frame['point'])
    return f'<p>w = ({w0}, {w1})</p>'
