"""Nets as diagrams, as in the paper's Figure 3.

What pools, predicts or fuses is a grid as coarse as its stride, and the convolutions between are
bars.
"""
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np

from ..files import printable
from .files import figure_suffix, write_figure
from .legend import MAX_NAME
from .net_layout import (
    BAR,
    LINE_HEIGHT,
    UPSAMPLING,
    BoxLike,
    NetLike,
    Place,
    deepest_detour,
    detour_depths,
    is_score,
    layout,
    name_lines,
    op_name,
    row_bottoms,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INCH = .72                  # a grid's side in inches
LINE = '#666666'
COLOURS = {'data': '#bbbbbb', 'conv2d': '#3b6ea5', 'score': '#e08a3c',
           **dict.fromkeys(['max_pool', 'avg_pool', 'take'], '#7ba7cf'),
           **dict.fromkeys(UPSAMPLING, '#f2c48d'),
           **dict.fromkeys(['add', 'concat', 'multiply'], '#7fae6a')}


def draw_net(net: NetLike, path: str | PathLike[str], dpi: float = 110) -> None:
    """The net as a diagram, in an image file.

    >>> import tempfile, tinyfcn
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     draw_net(tinyfcn.build('fcn8s', width=1/64, seed=None), f'{folder}/fcn8s.png')
    """
    from matplotlib.figure import Figure
    figure_suffix(path)                         # raises before anything is drawn
    places, arrows = layout(net)
    detours = detour_depths(places, arrows)
    bottoms = row_bottoms(places, detours)
    places = {name: place._replace(y=bottoms[place.row]) for name, place in places.items()}

    left = -.3
    right = max(place.right for place in places.values()) + .3
    low = bottoms[-1] - .25 - deepest_detour(detours, places, len(bottoms) - 1)
    high = 1.23 + LINE_HEIGHT * name_lines(places, 0)
    figure = Figure(figsize=(INCH * (right - left), INCH * (high - low)), dpi=dpi)
    ax = figure.add_axes((0, 0, 1, 1))
    ax.set(xlim=(left, right), ylim=(low, high))
    ax.axis('off')

    row_ends: dict[int, float] = {}
    for place in places.values():
        row_ends[place.row] = max(place.x, row_ends.get(place.row, place.x))
    for arrow in arrows:
        source = places[arrow.source]
        detour = detours.get((arrow.source, arrow.target))
        _draw_arrow(ax, source, places[arrow.target], arrow.text,
                    source.x == row_ends[source.row], detour)
    for name, place in places.items():
        if name in net.boxes:
            _draw_box(ax, net.boxes[name], place)
        else:
            _draw_continuation(ax, name, place)
    write_figure(path, figure)


def _draw_box(ax: 'Axes', box: BoxLike, place: Place) -> None:
    from matplotlib.patches import Rectangle
    x, _, width, y = place
    kind = 'score' if is_score(box) else op_name(box) or 'data'
    colour = COLOURS.get(kind, '#cccccc')
    ax.add_patch(Rectangle((x, y), width, 1, facecolor=colour, edgecolor='#333333', lw=.7))
    if width == BAR:
        _write(ax, place.middle, y + .5, box.name.split('/')[-1], rotation=90, ha='center',
               va='center', fontsize=5, color='white')
        return

    cells = 1                                   # a grid of stride 32 has 2×2 cells
    if box.alignment and box.op:
        cells = int(np.clip(64 / float(box.alignment.scale[0]), 2, 16))
    for i in range(1, cells):
        ax.plot([x + i / cells] * 2, [y, y + 1], color='#333333', lw=.35)
        ax.plot([x, x + 1], [y + i / cells] * 2, color='#333333', lw=.35)
    name = '\n'.join(box.name.rsplit('/', 1)) if box.op else 'image'
    _write(ax, x + .5, y + 1.06, name, ha='center', va='bottom', fontsize=6.5, color='#222222')


def _draw_continuation(ax: 'Axes', name: str, place: Place) -> None:
    """The name of the box that a line goes on from."""
    _write(ax, place.x, place.y + .54, name, ha='left', va='bottom', fontsize=5.5, color=LINE)


def _write(ax: 'Axes', x: float, y: float, text: str, **kwargs: Any) -> None:
    """Text that is not known beforehand; a $ in it begins no formula."""
    ax.text(x, y, printable(text, keep='\n', limit=MAX_NAME), parse_math=False, **kwargs)


def _draw_arrow(ax: 'Axes', source: Place, target: Place, text: str, is_row_end: bool,
                detour: float | None) -> None:
    """Along the row, or below it by `detour`; or down to another row.

    Down it leaves from below the box, or from the right of the last box of a row.
    """
    if detour:
        _draw_detour(ax, source, target, text, detour)
        return
    y0 = source.y + .5
    y1 = target.y + .5
    before_target = target.x - .17
    if source.row == target.row:
        points = [(source.right, y0)]
    elif is_row_end:
        points = [(source.right, y0), (before_target, y0), (before_target, y1)]
    else:
        points = [(source.middle, y0), (source.middle, y1)]
    points.append((target.x - .08, y1))
    ax.plot([x for x, _ in points], [y for _, y in points], lw=.8, color=LINE, zorder=0)
    _draw_arrow_head(ax, (before_target, y1), (target.x, y1))
    if text:
        ax.text(target.x - .21, y1 + .06, text, ha='right', va='bottom', fontsize=5.5, color=LINE)


def _draw_detour(ax: 'Axes', source: Place, target: Place, text: str, detour: float) -> None:
    """From below the one box to below the other, right and left of their middles."""
    start = source.middle + source.width / 6
    end = target.middle - target.width / 6
    row_y = target.y
    start_y = row_y if source.width else row_y + .5     # a line begins in the middle of its row
    y = row_y - detour
    ax.plot([start, start, end, end], [start_y, y, y, row_y], lw=.8, color=LINE, zorder=0)
    _draw_arrow_head(ax, (end, y), (end, row_y))
    if text:
        ax.text((start + end) / 2, y + .02, text, ha='center', va='bottom', fontsize=5.5,
                color=LINE)


def _draw_arrow_head(ax: 'Axes', start: tuple[float, float], end: tuple[float, float]) -> None:
    ax.annotate('', end, start, zorder=0,
                arrowprops=dict(arrowstyle='-|>', lw=.8, color=LINE, shrinkA=0, shrinkB=0))
