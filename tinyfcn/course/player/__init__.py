"""A trace, played step by step in any page: no network, no widget, no dependency.

    dict(kind='grid', title=…, grids=[dict(name, title, values, row, soft)], frames=[…],
         soft='what a soft cell is, padding unless told')
        a frame: say, an equation; set {grid: [[i, j, value], …]}; lit, soft {grid: [[i, j], …]}
    dict(kind='ruler', title=…, extent=[first, last], lines=[dict(name, title, points)], frames=[…],
         drag='name of a line', whose point k is frame k)
        a frame: say; lit {line: [k, …]}; spans {line: [from, to]}; the first line lies under all

What a frame sets stays. Values are None while empty; `soft` of a grid holds in every frame.
"""
import html
import json
from math import isfinite
from pathlib import Path

SCRIPTS = dict(grid=['player.mjs', 'grids.mjs'], ruler=['player.mjs', 'rulers.mjs'])
STYLES = ['player.css']
CELL, AROUND = 30, 190              # pixels: of a row of cells, of all that is not a grid


class Player:
    """A trace that shows itself when it ends a notebook's cell.

    player[i] -> {grid: rows of values, None where empty} as they stand at frame i; of a ruler the
    frame itself
    """

    def __init__(self, trace):
        self.trace = trace

    def __len__(self):
        return len(self.trace['frames'])

    def __getitem__(self, i):
        i = range(len(self))[i]
        if self.trace['kind'] == 'ruler':
            return self.trace['frames'][i]
        state = {grid['name']: [list(row) for row in grid['values']]
                 for grid in self.trace['grids']}
        for frame in self.trace['frames'][:i + 1]:
            for name, cells in frame.get('set', {}).items():
                for row, column, value in cells:
                    state[name][row][column] = value
        return state

    def __repr__(self):
        return f'<Player of {len(self)} frames: {self.trace["title"]}>'

    def _repr_html_(self):
        """A frame of its own: names in it cannot meet those of the page around."""
        page = self.page().replace('&', '&amp;').replace("'", '&#39;')      # full of "
        return (f'<iframe title="{html.escape(self.trace["title"])}" '
                f'style="width:100%;height:{self._height()}px;border:0" '
                f"srcdoc='{page}'></iframe>")

    def page(self):
        """One HTML page that needs nothing else."""
        script, style = _joined(SCRIPTS[self.trace['kind']]), _joined(STYLES)
        # "</script>" inside of a string would end the script
        trace = json.dumps(said(self.trace), ensure_ascii=False, separators=(',', ':'))
        trace = trace.replace('<', '\\u003c')
        return (f'<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n'
                f'<meta name="viewport" content="width=device-width, initial-scale=1">\n'
                f'<title>{html.escape(self.trace["title"])}</title>\n'
                f'<link rel="icon" href="data:,">\n<style>\n{style}\n</style>\n'
                f'<main class="player"></main>\n<script type="module">\n{script}\n'
                f"play(document.querySelector('main'), {trace})\n</script>\n</html>\n")

    def save(self, path):
        """As a page, .html, or as moving pictures, .gif."""
        path = Path(path)
        if path.suffix == '.html':
            path.write_text(self.page(), 'utf-8')
        elif path.suffix == '.gif':
            from .gif import write  # here, for a page needs no Pillow
            write(path, said(self.trace))
        else:
            raise ValueError(f'{path}: a player is saved as .html or .gif')

    def _height(self):
        """A guess, until the page in the frame has measured itself."""
        if self.trace['kind'] == 'ruler':
            return AROUND + 2 * CELL * len(self.trace['lines'])
        rows = {}
        for grid in self.trace['grids']:
            row = grid.get('row', 0)
            rows[row] = max(rows.get(row, 0), len(grid['values']))
        return AROUND + sum(CELL * (high + 2) for high in rows.values())


def _joined(names):
    """The files without indents and comments: every cell of a notebook carries them."""
    lines = [line.strip() for name in names
             for line in (Path(__file__).parent / name).read_text('utf-8').splitlines()]
    return '\n'.join(line for line in lines if line and not line.startswith(('//', '/*')))


def said(trace):
    """The trace with every value as it is written in its cell: pages and pictures write alike."""
    if trace['kind'] == 'ruler':
        return trace
    grids = [{**grid, 'values': [[short(value) for value in row] for row in grid['values']]}
             for grid in trace['grids']]
    frames = [{**frame, 'set': {name: [[i, j, short(value)] for i, j, value in cells]
                                for name, cells in frame.get('set', {}).items()}}
              for frame in trace['frames']]
    return {**trace, 'grids': grids, 'frames': frames}


def short(value):
    """Three digits, whole numbers whole: 7, −0.333, 1230.5 is 1230, 1.2e−7; None is empty."""
    if value is None or isinstance(value, str):
        return value or ''
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
