"""Rulers: where the units of boxes lie over the image, along its width."""
from ..player import Player
from .grid import CELLS, FRAMES

IMAGE = 'image'                     # the line of the pixels; of the others each is named as its box


def fusion(net, size, *names):
    """Which units of pool4, of its crop and of upscore2 sit on one pixel; drag one of the last.

    size (H, W) of the image -> Player; lit are all units at the place of unit k of the last name
    """
    names, last = _named(names)
    lines, where = _lines(net, names, size)

    def frame(k):
        pixel = where[last][k]
        lit = {name: [where[name].index(pixel)] for name in where if pixel in where[name]}
        units = [f'{name}[{lit[name][0]}]' if name in lit else f'no unit of {name}'
                 for name in names]
        return dict(say=f'pixel {_number(pixel)}: {", ".join(units)}', lit=lit)

    return _play(f'Over the same pixels: {", ".join(names)}', lines, where, last, frame)


def places(net, *names, size):
    """What a pixel of the last box sees of each box before it, and of the image; drag it.

    size (H, W) of the image -> Player; the spans follow from the places that the net itself keeps
    """
    names, last = _named(names)
    lines, where = _lines(net, names, size)
    fields = {IMAGE: 1, **{name: net[name].alignment.field[1] for name in names}}
    for name in {*names} - _way(net, last):
        raise ValueError(f'{name} is not on the way along which {last} sees most of the image: '
                         f'name boxes between data and {last}, or make {name} the last')

    def frame(k):
        centre = where[last][k]
        reach = {name: (fields[last] - field) / 2 for name, field in fields.items()}
        spans = {name: [float(centre - r), float(centre + r)] for name, r in reach.items()}
        seen = {name: sum(low <= p <= high for p in where[name])
                for name, (low, high) in spans.items()}
        parts = [f'{seen[name]} of {name}' for name in reversed(names[:-1])]
        low, high = map(_number, spans[IMAGE])
        return dict(say=f'{last}[{k}] at pixel {_number(centre)} sees '
                        f'{", ".join([*parts, f"pixels {low} … {high}"])} '
                        f'({_number(fields[last])} wide)',
                    lit={last: [k]}, spans=spans)

    return _play(f'What a pixel of {last} sees', lines, where, last, frame)


def _named(names):
    names = [name for name in names if name != 'data']      # which is the image, and always there
    if not names:
        raise ValueError("name the boxes to lay over the image, the last one to be dragged: "
                         "'pool4', 'upscore2'")
    return names, names[-1]


def _lines(net, names, size):
    """The lines to draw, and where each unit sits, in exact fractions."""
    sizes = net.sizes(size)
    where, titles = {IMAGE: list(range(sizes['data'][1]))}, {IMAGE: f'image, {size[1]} pixels wide'}
    for name in names:
        box, count = net[name], sizes[name][1]
        if not box.alignment:
            raise ValueError(f'{name} has {box.alignment}')
        scale, shift = box.alignment.scale[1], box.alignment.shift[1]
        where[name] = [shift + scale * i for i in range(count)]
        sign = '−' if shift < 0 else '+'
        titles[name] = f'{name}: {_number(scale)}·i {sign} {_number(abs(shift))}'
        if 'offset' in box.kwargs:
            titles[name] += f', crop {box.kwargs["offset"][1]}'
    for name, points in where.items():
        if len(points) > CELLS:
            raise ValueError(f'{name} is {len(points)} wide, {CELLS} are the most that can be told '
                             f'apart: take a smaller size')
    return [dict(name=name, title=titles[name], points=[float(p) for p in points])
            for name, points in where.items()], where


def _play(title, lines, where, last, frame):
    count = len(where[last])
    if count > FRAMES:
        raise ValueError(f'{last} is {count} wide, {FRAMES} steps are the most to follow: '
                         f'take a smaller size')
    frames = [frame(k) for k in range(count)]
    ends = [p for points in where.values() for p in (points[0], points[-1])]
    ends += [p for each in frames for span in each.get('spans', {}).values() for p in span]
    return Player(dict(kind='ruler', title=title, extent=[float(min(ends)), float(max(ends))],
                       lines=lines, frames=frames, drag=last))


def _way(net, name):
    """The boxes from the image to this one along which it sees most."""
    way = set()
    while name != 'data':
        way.add(name)
        name = max(net[name].inputs, key=lambda read: net[read].alignment.field[1])
    return way


def _number(value):
    """12.5, −91.5: places are halves, quarters, eighths, and stay exact."""
    return f'{float(value):g}'.replace('-', '−')
