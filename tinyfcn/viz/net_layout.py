"""Where the boxes of a net are drawn, and the arrows between them.

As in the paper's Figure 3, a sum continues in the row below, and an arrow past other boxes runs
below the row. A net that goes down and up again with arrows across is a U, a row for each stride.
A very long net is folded into lines.
"""
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

# lengths in units of a grid's side
BAR = .17                   # the width of a convolution's box
GRID = 1.                   # of any other box
GAP = .36                   # between boxes
ROW = 1.6                   # from one row to the next, at least
LINE_HEIGHT = .17           # of a name
DETOUR = .2                 # how far below its row an arrow runs
DETOUR_STEP = .14           # how much further below an arrow that it crosses
MAX_DETOUR = 1.
MAX_WIDTH = 36.             # a wider net is folded into lines
LINE_WIDTH = 24.            # of about this width
CONTINUATION = 1.3          # at the begin of a line, for the name of the box that it goes on from
UPSAMPLING = {'upsample', 'conv_transpose2d', 'unpool', 'resize'}
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
    """Where a box is drawn: its left edge, its row, its width and its bottom."""
    x: float
    row: int
    width: float
    y: float = 0.           # depends on the arrows below the row above; `draw_net` sets it

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
        if op_name(box) in NOT_DRAWN and box.name not in outputs:
            drawn_as[box.name] = _Source(inputs[0].box, _crop_text(box) or inputs[0].text)
            continue

        sources = [_Source(source.box, _crop_text(box) or source.text) for source in inputs]
        sources = list(dict.fromkeys(sources))
        rows = [places[source.box].row for source in sources] or [0]
        row = min(rows) if op_name(box) == 'concat' else max(rows)
        # a second path out of a box that does not return to its row has a row of its own
        if len(sources) == 1 and row_ends[row] != sources[0].box:
            if is_score(box) or sources[0].box == 'data':
                lowest_row += 1
                row = lowest_row
        row_ends[row] = box.name

        places[box.name] = _place(box, row, sources, places)
        arrows += [Arrow(source.box, box.name, source.text) for source in sources]
        drawn_as[box.name] = _Source(box.name, '')
        if op_name(box) == 'take':              # max_switches and take are one pool
            drawn_as[box.inputs[1]] = _Source(box.name, '')
    if levels := _levels_of_u(net, places, arrows):
        places = _in_levels(places, levels)
    if max(place.right for place in places.values()) > MAX_WIDTH:
        return _fold(places, arrows)
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


def op_name(box: BoxLike) -> str:
    """The name of its op; '' of the net's input."""
    return box.op.__name__ if box.op else ''


def _crop_text(box: BoxLike) -> str:
    return f'crop {box.kwargs["offset"][0]}' if op_name(box) == 'crop' else ''


def is_score(box: BoxLike) -> bool:
    return box.name.startswith('score')


def _is_bar(box: BoxLike) -> bool:
    """Convolutions other than scores, and pools of stride 1."""
    if box.op is None or is_score(box):
        return False
    return op_name(box) == 'conv2d' or box.kwargs.get('stride') == 1


# ---- Below the rows

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


def row_bottoms(places: Mapping[str, Place],
                detours: Mapping[tuple[str, str], float]) -> list[float]:
    """The y of the bottom of each row, below the names of its boxes and the arrows above these."""
    bottoms = [0.]
    for row in range(1, 1 + max(place.row for place in places.values())):
        arrows = deepest_detour(detours, places, row - 1)
        names = LINE_HEIGHT * name_lines(places, row)
        bottoms.append(bottoms[-1] - max(ROW, 1.3 + arrows + names))
    return bottoms


def deepest_detour(detours: Mapping[tuple[str, str], float], places: Mapping[str, Place],
                   row: int) -> float:
    """How far the arrows of a row run below it."""
    return max((depth for (source, _), depth in detours.items() if places[source].row == row),
               default=0.)


def name_lines(places: Mapping[str, Place], row: int) -> int:
    """The most lines of a name above a box of a row."""
    return max(1 + ('/' in name) for name, place in places.items() if place.row == row)


# ---- A net that goes down and up again

def _levels_of_u(net: NetLike, places: Mapping[str, Place],
                 arrows: Sequence[Arrow]) -> dict[str, int]:
    """{box: its row} if the net is drawn as a U, else {}.

    Rows are strides, the finest on top. What upsamples stands in the row that it reads from. The
    net is a U if it is one path, and two or more arrows cross from its way down to its way up.
    """
    strides: dict[str, float] = {}
    inputs = {arrow.target: arrow.source for arrow in reversed(arrows)}
    for name in places:
        box = net.boxes[name]
        if not box.alignment or max(place.row for place in places.values()):
            return {}
        strides[name] = float(box.alignment.scale[0])
        if op_name(box) in UPSAMPLING:
            strides[name] = float(net.boxes[inputs[name]].alignment.scale[0])
    levels = sorted({*strides.values()})
    rows = {name: levels.index(stride) for name, stride in strides.items()}

    deepest = max(rows, key=lambda name: rows[name])
    across = [*detour_depths(places, arrows)]
    is_u = len(across) > 1 and all(
        rows[source] == rows[target] and places[source].x < places[deepest].x < places[target].x
        for source, target in across)
    return rows if is_u else {}


def _in_levels(places: Mapping[str, Place], levels: Mapping[str, int]) -> dict[str, Place]:
    """Each box in its row; a bar at the begin of a row leaves space for the arrow from below."""
    moved: dict[str, Place] = {}
    shift = 0.
    before = None
    for name, place in places.items():
        if before and levels[before] != levels[name]:
            shift += max(0., GAP - (place.x - places[before].right))
        moved[name] = place._replace(x=place.x + shift, row=levels[name])
        before = name
    return moved


# ---- Lines

def _fold(places: Mapping[str, Place],
          arrows: Sequence[Arrow]) -> tuple[dict[str, Place], list[Arrow]]:
    """Lines of about LINE_WIDTH, one below the other.

    A line ends where all arrows that go on come from one box. That box is named at the begin of the
    next line by a place without width, NAME…, from which these arrows come then.
    """
    folded: dict[str, Place] = {}
    new_arrows = list(arrows)
    rows_above = 0
    indent = 0.
    names = sorted(places, key=lambda name: places[name].x)
    while names:
        left = places[names[0]].x
        end = _line_end(names, places, new_arrows)
        line = names[:end]
        names = names[end:]
        rows = sorted({places[name].row for name in line})
        for name in line:
            place = places[name]
            row = rows_above + rows.index(place.row)
            folded[name] = place._replace(x=place.x - left + indent, row=row)
        if names:
            rows_above += len(rows)
            source = next(arrow.source for arrow in new_arrows
                          if arrow.source in line and arrow.target in names)
            begin = f'{source.removesuffix("…")}…'
            folded[begin] = Place(0., rows_above, 0.)
            indent = CONTINUATION
            new_arrows = [arrow._replace(source=begin) if arrow.target in names
                          and arrow.source == source else arrow for arrow in new_arrows]
    return folded, new_arrows


def _line_end(names: Sequence[str], places: Mapping[str, Place],
              arrows: Sequence[Arrow]) -> int:
    """How many of the boxes, from left to right, are on a line."""
    left = places[names[0]].x
    end = 0
    if places[names[-1]].right - left <= LINE_WIDTH:
        return len(names)
    for i in range(1, len(names)):
        here = {*names[:i]}
        going_on = {arrow.source for arrow in arrows
                    if arrow.source in here and arrow.target not in here}
        if going_on == {names[i - 1]}:
            if places[names[i - 1]].right - left > LINE_WIDTH and end:
                return end
            end = i
    return len(names)
