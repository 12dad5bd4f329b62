"""Nets as diagrams, and a heat map over an image.

As in the paper's Figure 3, what pools, predicts or fuses is a grid as coarse as its stride, and the
convolutions between are bars. A sum continues in the row below; an arrow past other boxes runs
below the row.
"""
from collections.abc import Mapping, Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# lengths in units of a grid's side
BAR = .17                   # the width of a convolution's box
GRID = 1.                   # of any other box
GAP = .36                   # between boxes
ROW = 1.6                   # from one row to the next
DETOUR = .2                 # how far below its row an arrow runs
DETOUR_STEP = .14           # how much further below an arrow that it crosses
MAX_DETOUR = 1.
INCH = .72                  # a grid's side in inches
LINE = '#666666'
COLOURS = {'data': '#bbbbbb', 'conv2d': '#3b6ea5', 'score': '#e08a3c',
           **dict.fromkeys(['max_pool', 'avg_pool', 'take'], '#7ba7cf'),
           **dict.fromkeys(['upsample', 'conv_transpose2d', 'unpool', 'resize'], '#f2c48d'),
           **dict.fromkeys(['add', 'concat', 'multiply'], '#7fae6a')}
# ops without a box of their own: the arrow to the next box stands for them
NOT_DRAWN = {'relu', 'leaky_relu', 'dropout', 'crop', 'scale', 'local_response_norm', 'batch_norm',
             'channels', 'avg_pool_to', 'pad', 'max_switches'}


class BoxLike(Protocol):
    """What is drawn of a `tinyfcn.Box`."""

    @property
    def name(self) -> str: ...
    @property
    def op(self) -> Any: ...
    @property
    def inputs(self) -> Sequence[str]: ...
    @property
    def kwargs(self) -> Mapping[str, Any]: ...
    @property
    def alignment(self) -> Any: ...


class NetLike(Protocol):
    """What is drawn of a `tinyfcn.Net`."""

    @property
    def boxes(self) -> Mapping[str, BoxLike]: ...
    def outputs(self) -> Sequence[str]: ...


class Place(NamedTuple):
    """Where a box is drawn: its left edge, its row and its width."""
    x: float
    row: int
    width: float

    @property
    def right(self) -> float:
        return self.x + self.width

    @property
    def middle(self) -> float:
        return self.x + self.width / 2


class Arrow(NamedTuple):
    """From one box to another; `text` names what it passes, such as a crop."""
    source: str
    target: str
    text: str


class _Source(NamedTuple):
    """The box that stands for an input in the diagram, and the text of the arrow from it."""
    box: str
    text: str


def draw_net(net: NetLike, path: str | PathLike[str], dpi: float = 110) -> None:
    """The net as a diagram, in an image file.

    >>> import tempfile, tinyfcn
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     draw_net(tinyfcn.build('fcn8s', width=1/64, seed=None), f'{folder}/fcn8s.png')
    """
    from matplotlib.figure import Figure
    places, arrows = layout(net)
    detours = detour_depths(places, arrows)
    rows = 1 + max(place.row for place in places.values())

    left = -.3
    right = max(place.right for place in places.values()) + .3
    below_last_row = [depth for arrow, depth in detours.items()
                      if places[arrow[1]].row == rows - 1]
    low = -ROW * (rows - 1) - .25 - max(below_last_row, default=0.)
    high = 1.4
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
        _draw_box(ax, net.boxes[name], place)
    figure.savefig(path)


def draw_heatmap(image: NDArray[np.uint8], heat: NDArray[Any], alignment: Any,
                 path: str | PathLike[str], title: str) -> None:
    """Where in the image a classifier finds a class, as in the paper's Figure 2.

    image (H, W, 3) uint8; heat (h, w), the scores of one class; alignment of the box of the score,
    whose scale and shift place them in the image

    >>> import tempfile, tinyfcn
    >>> box = tinyfcn.build('squeezenet', width=1/8, seed=None)['conv10']
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     draw_heatmap(np.zeros((64, 64, 3), 'uint8'), np.ones((4, 4)), box.alignment,
    ...                  f'{folder}/heat.png', 'tabby cat')
    """
    from matplotlib.figure import Figure
    h, w, _ = image.shape
    edges = []
    for shift, scale, n in zip(alignment.shift, alignment.scale, heat.shape):
        edges.append((float(shift - scale / 2), float(shift + scale * (n - .5))))
    (top, bottom), (left, right) = edges

    figure = Figure(figsize=(10, 10 * h / w / 2 + .6), dpi=110, layout='constrained')
    axes = figure.subplots(1, 2)
    for ax in axes:
        ax.imshow(image, extent=(0, w, h, 0))
        ax.axis('off')
    heat_map = axes[1].imshow(heat, extent=(left, right, bottom, top), cmap='inferno', alpha=.7,
                              vmin=0)
    axes[1].set(xlim=(0, w), ylim=(h, 0))
    figure.colorbar(heat_map, ax=axes[1], shrink=.8, label='score')
    figure.suptitle(title, fontsize=11)
    figure.savefig(path)


def layout(net: NetLike) -> tuple[dict[str, Place], list[Arrow]]:
    """Where each box is drawn, and the arrows between them -> {name: Place}, [Arrow]

    >>> import tinyfcn
    >>> places, arrows = layout(tinyfcn.build('fcn16s', width=1/64, seed=None))
    >>> places['fuse_pool4'].row
    1
    >>> arrows[-1]
    Arrow(source='upscore16', target='score', text='crop 27')
    """
    places: dict[str, Place] = {}
    arrows = []
    drawn_as: dict[str, _Source] = {}           # by name of a box, drawn or not
    row_ends: dict[int, str] = {}               # the last box of each row
    lowest_row = 0
    outputs = net.outputs()

    for box in net.boxes.values():
        inputs = [drawn_as[name] for name in box.inputs]
        if _op_name(box) in NOT_DRAWN and box.name not in outputs:
            drawn_as[box.name] = _Source(inputs[0].box, _crop_text(box) or inputs[0].text)
            continue

        sources = [_Source(source.box, _crop_text(box) or source.text) for source in inputs]
        sources = list(dict.fromkeys(sources))
        rows = [places[source.box].row for source in sources] or [0]
        row = min(rows) if _op_name(box) == 'concat' else max(rows)
        # a second path out of a box that does not return to its row has a row of its own
        if len(sources) == 1 and row_ends[row] != sources[0].box:
            if _is_score(box) or sources[0].box == 'data':
                lowest_row += 1
                row = lowest_row
        row_ends[row] = box.name

        places[box.name] = _place(box, row, sources, places)
        arrows += [Arrow(source.box, box.name, source.text) for source in sources]
        drawn_as[box.name] = _Source(box.name, '')
        if _op_name(box) == 'take':             # max_switches and take are one pool
            drawn_as[box.inputs[1]] = _Source(box.name, '')
    return places, arrows


def _place(box: BoxLike, row: int, sources: list[_Source], places: dict[str, Place]) -> Place:
    """To the right of its inputs, and of the boxes of its row that end further right."""
    width = BAR if _is_bar(box) else GRID
    inputs_end = max([places[source.box].right for source in sources] or [-GAP])
    row_end = max([place.right for place in places.values() if place.row == row],
                  default=inputs_end)
    gap = GAP
    if width == BAR:
        gap *= .35
    elif any(source.text for source in sources):
        gap *= 1.7                              # space for the text
    return Place(max(inputs_end, row_end) + gap, row, width)


def detour_depths(places: Mapping[str, Place],
                  arrows: Sequence[Arrow]) -> dict[tuple[str, str], float]:
    """How far below its row each arrow runs that would pass over other boxes; shortest first."""
    spans = {}
    for source, target, _ in arrows:
        start = places[source]
        end = places[target]
        between = (place for place in places.values()
                   if place.row == start.row and start.x < place.x < end.x)
        if start.row == end.row and any(between):
            spans[source, target] = start.x, end.x

    depths: dict[tuple[str, str], float] = {}
    for arrow, (start_x, end_x) in sorted(spans.items(), key=lambda item: item[1][1] - item[1][0]):
        row = places[arrow[0]].row
        crossed = [depth for other, depth in depths.items()
                   if places[other[0]].row == row
                   and start_x < spans[other][1] and spans[other][0] < end_x]
        deepest = max(crossed, default=DETOUR - DETOUR_STEP)
        depths[arrow] = min(deepest + DETOUR_STEP, MAX_DETOUR)
    return depths


def _op_name(box: BoxLike) -> str:
    """The name of its op; '' of the net's input."""
    return box.op.__name__ if box.op else ''


def _crop_text(box: BoxLike) -> str:
    return f'crop {box.kwargs["offset"][0]}' if _op_name(box) == 'crop' else ''


def _is_score(box: BoxLike) -> bool:
    return box.name.startswith('score')


def _is_bar(box: BoxLike) -> bool:
    """Convolutions other than scores, and pools of stride 1."""
    if box.op is None or _is_score(box):
        return False
    return _op_name(box) == 'conv2d' or box.kwargs.get('stride') == 1


def _draw_box(ax: 'Axes', box: BoxLike, place: Place) -> None:
    from matplotlib.patches import Rectangle
    x, row, width = place
    y = -ROW * row
    kind = 'score' if _is_score(box) else _op_name(box) or 'data'
    colour = COLOURS.get(kind, '#cccccc')
    ax.add_patch(Rectangle((x, y), width, 1, facecolor=colour, edgecolor='#333333', lw=.7))
    if width == BAR:
        ax.text(place.middle, y + .5, box.name.split('/')[-1], rotation=90, ha='center',
                va='center', fontsize=5, color='white')
        return

    cells = 1                                   # a grid of stride 32 has 2×2 cells
    if box.alignment and box.op:
        cells = int(np.clip(64 / float(box.alignment.scale[0]), 2, 16))
    for i in range(1, cells):
        ax.plot([x + i / cells] * 2, [y, y + 1], color='#333333', lw=.35)
        ax.plot([x, x + 1], [y + i / cells] * 2, color='#333333', lw=.35)
    name = box.name.replace('/', '\n') if box.op else 'image'
    ax.text(x + .5, y + 1.06, name, ha='center', va='bottom', fontsize=6.5, color='#222222')


def _draw_arrow(ax: 'Axes', source: Place, target: Place, text: str, is_row_end: bool,
                detour: float | None) -> None:
    """Along the row, or below it by `detour`; or down to another row.

    Down it leaves from below the box, or from the right of the last box of a row.
    """
    if detour:
        _draw_detour(ax, source, target, text, detour)
        return
    y0 = .5 - ROW * source.row
    y1 = .5 - ROW * target.row
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
    """From below the one box to below the other."""
    start = source.middle
    end = target.middle
    row_y = -ROW * source.row
    y = row_y - detour
    ax.plot([start, start, end, end], [row_y, y, y, row_y], lw=.8, color=LINE, zorder=0)
    _draw_arrow_head(ax, (end, y), (end, row_y))
    if text:
        ax.text((start + end) / 2, y + .02, text, ha='center', va='bottom', fontsize=5.5,
                color=LINE)


def _draw_arrow_head(ax: 'Axes', start: tuple[float, float], end: tuple[float, float]) -> None:
    ax.annotate('', end, start, zorder=0,
                arrowprops=dict(arrowstyle='-|>', lw=.8, color=LINE, shrinkA=0, shrinkB=0))
