"""A trace that shows itself at the end of a notebook cell."""
from pathlib import Path
from typing import Any

from ...files import printable
from .last_frame import grid_values
from .page import make_output, make_page
from .text import format_values


class Player:
    """A trace that shows itself at the end of a notebook cell.

    player[i] -> {grid: rows of values, None where empty} after frame i; of other kinds the frame

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
        if self.trace['kind'] == 'grid':
            return grid_values(self.trace, i)
        frame: dict[str, Any] = self.trace['frames'][i]
        return frame

    def __repr__(self) -> str:
        return f'<Player of {len(self)} frames: {printable(self.trace["title"])}>'

    def _repr_html_(self) -> str:
        return make_output(self.trace)

    def page(self) -> str:
        """A complete HTML page with its script and style inside."""
        return make_page(self.trace)

    def save(self, path: str | Path) -> None:
        """Write an HTML page (.html) or an animated GIF (.gif)."""
        path = Path(path)
        if path.suffix == '.html':
            path.write_text(self.page(), 'utf-8')
        elif path.suffix == '.gif':
            from .gifs import write_gif  # only here, for it needs Pillow
            write_gif(path, format_values(self.trace))
        else:
            raise ValueError(f'{path}: a player is saved as .html or .gif')
