"""A player shows a trace step by step in any page, without network, widgets or dependencies.

A trace is plain data, one of two kinds. Grids of numbers:

    dict(kind='grid', title=…, grids=[dict(name, title, values, row, dim)], frames=[…],
         dim_legend='what dim cells are')               padding if it is missing
        a frame: caption, an equation; set {grid: [[i, j, value], …]};
                 highlight, dim {grid: [[i, j], …]}

Lines of points, aligned with the pixels of an image:

    dict(kind='alignment', title=…, extent=[first, last], lines=[dict(name, title, points)],
         frames=[…], drag='name of a line', whose point k is frame k)
        a frame: caption; highlight {line: [k, …]}; spans {line: [from, to]}
        the first line is the image

Values that a frame sets remain in the frames after it. A value is None while its cell is empty.
The `dim` cells of a grid are dim in every frame.
"""
import html
import json
import re
from math import isfinite
from pathlib import Path
from typing import Any

from ...files import printable

SCRIPTS = dict(grid=['player.mjs', 'grids.mjs'], alignment=['player.mjs', 'alignment.mjs'])
STYLES = dict(grid=['player.css', 'grids.css'], alignment=['player.css', 'alignment.css'])
TRAILING_COMMENT = re.compile(r'\s{2,}// .*')
MAX_TEXT = 1000             # characters of a title or a caption
CELL_HEIGHT = 30            # pixels
OTHER_HEIGHT = 190          # pixels: of everything that is not a grid


class Player:
    """A trace that shows itself at the end of a notebook cell.

    player[i] -> {grid: rows of values, None where empty} after frame i; of an alignment the frame

    >>> grid = dict(name='x', title='x', values=[[1.0, None]], row=0)
    >>> frames = [dict(caption='x[1] = 2', set={'x': [[0, 1, 2.0]]}, highlight={})]
    >>> player = Player(dict(kind='grid', title='a row', grids=[grid], frames=frames))
    >>> player
    <Player of 1 frames: a row>
    >>> player[0]
    {'x': [[1.0, 2.0]]}
    """

    def __init__(self, trace: dict[str, Any]) -> None:
        self.trace = trace

    def __len__(self) -> int:
        return len(self.trace['frames'])

    def __getitem__(self, i: int) -> dict[str, Any]:
        i = range(len(self))[i]                         # negative indices, and IndexError
        if self.trace['kind'] == 'alignment':
            frame: dict[str, Any] = self.trace['frames'][i]
            return frame
        state = {grid['name']: [list(row) for row in grid['values']]
                 for grid in self.trace['grids']}
        for frame in self.trace['frames'][:i + 1]:
            for name, cells in frame.get('set', {}).items():
                for row, column, value in cells:
                    state[name][row][column] = value
        return state

    def __repr__(self) -> str:
        return f'<Player of {len(self)} frames: {printable(self.trace["title"])}>'

    def _repr_html_(self) -> str:
        """An iframe, so that names and styles cannot collide with those of the page around it."""
        # the page is full of ", so ' quotes it
        page = self.page().replace('&', '&amp;').replace("'", '&#39;')
        return (f'<iframe title="{html.escape(printable(self.trace["title"]))}" '
                f'style="width:100%;height:{self._estimated_height()}px;border:0" '
                f"srcdoc='{page}'></iframe>")

    def page(self) -> str:
        """A complete HTML page with its script and style inside."""
        script = _join_files(SCRIPTS[self.trace['kind']])
        style = _join_files(STYLES[self.trace['kind']])
        trace = json.dumps(format_values(self.trace), ensure_ascii=False, separators=(',', ':'))
        trace = trace.replace('<', '\\u003c')           # "</script>" in a string ends the script
        return (f'<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n'
                f'<meta name="viewport" content="width=device-width, initial-scale=1">\n'
                f'<title>{html.escape(printable(self.trace["title"]))}</title>\n'
                f'<link rel="icon" href="data:,">\n<style>\n{style}\n</style>\n'
                f'<main class="player"></main>\n<script type="module">\n{script}\n'
                f"play(document.querySelector('main'), {trace})\n</script>\n</html>\n")

    def save(self, path: str | Path) -> None:
        """Write an HTML page (.html) or an animated GIF (.gif)."""
        path = Path(path)
        if path.suffix == '.html':
            path.write_text(self.page(), 'utf-8')
        elif path.suffix == '.gif':
            from .gif import write_gif  # only here, for it needs Pillow
            write_gif(path, format_values(self.trace))
        else:
            raise ValueError(f'{path}: a player is saved as .html or .gif')

    def _estimated_height(self) -> int:
        """In pixels; the page corrects it when it has measured itself."""
        if self.trace['kind'] == 'alignment':
            return OTHER_HEIGHT + 2 * CELL_HEIGHT * len(self.trace['lines'])
        most_cells: dict[int, int] = {}
        for grid in self.trace['grids']:
            row = grid.get('row', 0)
            most_cells[row] = max(most_cells.get(row, 0), len(grid['values']))
        return OTHER_HEIGHT + sum(CELL_HEIGHT * (cells + 2) for cells in most_cells.values())


def _join_files(names: list[str]) -> str:
    """The files without indentation and comments: every player in a notebook carries a copy."""
    lines = []
    for name in names:
        for line in (Path(__file__).parent / name).read_text('utf-8').splitlines():
            line = TRAILING_COMMENT.sub('', line).strip()
            if line and not line.startswith(('//', '/*')):
                lines.append(line)
    return '\n'.join(lines)


def format_values(trace: dict[str, Any]) -> dict[str, Any]:
    """The trace with every value as text, so that pages and GIFs show the same."""
    trace = _with_printable_texts(trace)
    if trace['kind'] == 'alignment':
        return trace
    grids = []
    for grid in trace['grids']:
        values = [[format_number(value) for value in row] for row in grid['values']]
        grids.append({**grid, 'values': values})
    frames = []
    for frame in trace['frames']:
        cells_by_grid = {name: [[i, j, format_number(value)] for i, j, value in cells]
                         for name, cells in frame.get('set', {}).items()}
        frames.append({**frame, 'set': cells_by_grid})
    return {**trace, 'grids': grids, 'frames': frames}


def _with_printable_texts(value: Any) -> Any:
    """What a trace holds, in which no text has characters that a page or a font cannot show."""
    if isinstance(value, str):
        return printable(value, limit=MAX_TEXT)
    if isinstance(value, dict):
        return {_with_printable_texts(key): _with_printable_texts(item)
                for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_with_printable_texts(item) for item in value]
    return value


def format_number(value: float | str | None) -> str:
    """Three significant digits, integers in full, '' for None.

    >>> format_number(7.0), format_number(-1 / 3), format_number(1230.5), format_number(1.2e-7)
    ('7', '−0.333', '1230', '1.2e−7')
    """
    if value is None:
        return ''
    if isinstance(value, str):
        return value
    if not isfinite(value):
        return str(float(value)).replace('-', '−').replace('inf', '∞')
    if value == int(value) and abs(value) < 1e7:
        return str(int(value)).replace('-', '−')
    text = f'{value:.3g}'
    if 1e-4 <= abs(float(text)) < 1e7:
        text = f'{float(text):f}'.rstrip('0').rstrip('.')
    elif 'e' in text:
        digits, power = text.split('e')
        text = f'{digits}e{int(power)}'
    return text.replace('-', '−')
