"""Lines of points: where the units of boxes sit over the image, along its width."""
from ..player import Player
from .grid import MAX_CELLS, MAX_FRAMES

IMAGE = 'image'             # the line of the pixels; every other line has the name of its box


def fusion(net, size, *names):
    """Which units sit over one pixel, say of pool4, its crop and upscore2; drag the last line.

    size (H, W) of the image -> Player; highlighted are the units at the position of unit k of the
    last name
    """
    names = _check_names(names)
    last = names[-1]
    lines, positions = _make_lines(net, names, size)

    def frame(k):
        pixel = positions[last][k]
        highlight = {name: [points.index(pixel)] for name, points in positions.items()
                     if pixel in points}
        units = [f'{name}[{highlight[name][0]}]' if name in highlight else f'no unit of {name}'
                 for name in names]
        return dict(caption=f'pixel {_number(pixel)}: {", ".join(units)}', highlight=highlight)

    return _make_player(f'Over the same pixels: {", ".join(names)}', lines, positions, last, frame)


def receptive_field(net, *names, size):
    """What a unit of the last box reads of each box before it, and of the image; drag it.

    size (H, W) of the image -> Player; the spans follow from the alignments in the net
    """
    names = _check_names(names)
    last = names[-1]
    lines, positions = _make_lines(net, names, size)
    fields = {IMAGE: 1, **{name: net[name].alignment.field[1] for name in names}}
    for name in {*names} - _boxes_before(net, last):
        raise ValueError(f'{name} is not on the branch along which {last} sees most of the image: '
                         f'name boxes between data and {last}, or make {name} the last')

    def frame(k):
        centre = positions[last][k]
        spans = {}
        counts = {}
        for name, field in fields.items():
            reach = (fields[last] - field) / 2
            low = float(centre - reach)
            high = float(centre + reach)
            spans[name] = [low, high]
            counts[name] = sum(low <= position <= high for position in positions[name])
        parts = [f'{counts[name]} of {name}' for name in reversed(names[:-1])]
        low, high = map(_number, spans[IMAGE])
        parts.append(f'pixels {low} … {high}')
        return dict(caption=f'{last}[{k}] at pixel {_number(centre)} sees {", ".join(parts)} '
                            f'({_number(fields[last])} wide)',
                    highlight={last: [k]}, spans=spans)

    title = f'The receptive field of a unit of {last}'
    return _make_player(title, lines, positions, last, frame)


def _check_names(names):
    names = [name for name in names if name != 'data']      # the image has a line of its own
    if not names:
        raise ValueError("name the boxes to show over the image, the one to drag last: "
                         "'pool4', 'upscore2'")
    return names


def _make_lines(net, names, size):
    """The lines to draw, and {name: positions of its units} as exact fractions."""
    sizes = net.sizes(size)
    positions = {IMAGE: list(range(sizes['data'][1]))}
    titles = {IMAGE: f'image, {size[1]} pixels wide'}
    for name in names:
        box = net[name]
        if not box.alignment:
            raise ValueError(f'{name} has {box.alignment}')
        scale = box.alignment.scale[1]
        shift = box.alignment.shift[1]
        positions[name] = [shift + scale * i for i in range(sizes[name][1])]
        sign = '−' if shift < 0 else '+'
        titles[name] = f'{name}: {_number(scale)}·i {sign} {_number(abs(shift))}'
        if 'offset' in box.kwargs:
            titles[name] += f', crop {box.kwargs["offset"][1]}'
    for name, points in positions.items():
        if len(points) > MAX_CELLS:
            raise ValueError(f'{name} is {len(points)} wide, too many points to tell apart; '
                             f'the limit is {MAX_CELLS}: take a smaller size')
    lines = [dict(name=name, title=titles[name], points=[float(p) for p in points])
             for name, points in positions.items()]
    return lines, positions


def _make_player(title, lines, positions, last, frame):
    count = len(positions[last])
    if count > MAX_FRAMES:
        raise ValueError(f'{last} is {count} wide, too many steps to follow; '
                         f'the limit is {MAX_FRAMES}: take a smaller size')
    frames = [frame(k) for k in range(count)]
    ends = [p for points in positions.values() for p in (points[0], points[-1])]
    for each in frames:
        for span in each.get('spans', {}).values():
            ends += span
    extent = [float(min(ends)), float(max(ends))]
    return Player(dict(kind='alignment', title=title, extent=extent, lines=lines, frames=frames,
                       drag=last))


def _boxes_before(net, name):
    """The boxes between the image and this one, along the branch with the largest fields."""
    boxes = set()
    while name != 'data':
        boxes.add(name)
        name = max(net[name].inputs, key=lambda read: net[read].alignment.field[1])
    return boxes


def _number(value):
    """12.5, −91.5: positions are multiples of 1/8 or so, and are shown exactly."""
    return f'{float(value):g}'.replace('-', '−')
