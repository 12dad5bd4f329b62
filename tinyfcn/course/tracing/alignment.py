"""Maps over the image: where the units of boxes sit, along both axes."""
import numpy as np

from ...viz import as_colours
from ...viz.data_uri import image_uri
from ..player import Player
from .grid import MAX_FRAMES

IMAGE = 'image'             # the map of the pixels; every other map has the name of its box


def fusion(net, size, *names, image=None):
    """Which units sit over one pixel, say of pool4, its crop and upscore2; drag that of the last.

    size (H, W) of the image -> Player with a frame for each unit of the last name
    image: (H, W, 3), to show under the units
    """
    names = _check_names(names)
    last = names[-1]
    maps = _make_maps(net, names, size)
    aligned = maps[1:]                                      # without the pixels

    def frame(unit):
        pixel = _centre(maps[-1], unit)
        units = {map_['name']: found for map_ in aligned if (found := _unit_at(map_, pixel))}
        texts = [f'{name}{_text(units[name])}' if name in units else f'no unit of {name}'
                 for name in names]
        return dict(caption=f'pixel {_text(pixel)}: {", ".join(texts)}', units=units)

    return _make_player(f'Over the same pixels: {", ".join(names)}', maps, last, frame, image)


def receptive_field(net, *names, size, image=None):
    """What a unit of the last box reads of each box before it, and of the image; drag it.

    size (H, W) of the image -> Player with a frame for each unit of the last name
    image: (H, W, 3), to show under the units
    """
    names = _check_names(names)
    last = names[-1]
    maps = _make_maps(net, names, size)
    for name in {*names} - _boxes_before(net, last):
        raise ValueError(f'{name} is not on the branch along which {last} sees most of the image: '
                         f'name boxes between data and {last}, or make {name} the last')
    reach = {IMAGE: (1, 1), **{name: net[name].alignment.field for name in names}}

    def field_in(name, centre):
        """The span [from, to] of the centres that are read, for each axis."""
        half = [(a - b) / 2 for a, b in zip(reach[last], reach[name])]
        return [[float(c - h), float(c + h)] for c, h in zip(centre, half)]

    def frame(unit):
        centre = _centre(maps[-1], unit)
        fields = {map_['name']: field_in(map_['name'], centre) for map_ in maps}
        counts = [f'{_count(map_, fields[map_["name"]])} of {map_["name"]}'
                  for map_ in maps[-2:0:-1]]
        rows, columns = (f'{_number(a)} … {_number(b)}' for a, b in fields[IMAGE])
        seen = ', '.join([*counts, f'pixels {rows} by {columns}'])
        return dict(caption=f'{last}{_text(unit)} at pixel {_text(centre)} sees {seen}',
                    units={last: unit}, fields=fields)

    return _make_player(f'The receptive field of a unit of {last}', maps, last, frame, image)


def _check_names(names):
    names = [name for name in names if name != 'data']      # the image has a map of its own
    if not names:
        raise ValueError("name the boxes to show over the image, the one to drag last: "
                         "'pool4', 'upscore2'")
    return names


def _make_maps(net, names, size):
    """The maps to draw: the image, and each box."""
    sizes = net.sizes(size)
    image = dict(name=IMAGE, title=f'image: {_by(sizes["data"])} pixels', size=[*sizes['data']],
                 scale=[1, 1], shift=[0, 0])
    return [image, *(_make_map(net[name], sizes[name]) for name in names)]


def _make_map(box, size):
    if not box.alignment:
        raise ValueError(f'{box} has {box.alignment}')
    title = f'{box}: {_by(size)}, {str(box.alignment).removeprefix("image = ")}'
    if 'offset' in box.kwargs:
        title += f', crop {box.kwargs["offset"][1]}'
    return dict(name=box.name, title=title, size=[*size],
                scale=[float(scale) for scale in box.alignment.scale],
                shift=[float(shift) for shift in box.alignment.shift])


def _make_player(title, maps, last, frame, image):
    high, wide = maps[-1]['size']
    if high * wide > MAX_FRAMES:
        raise ValueError(f'{last} has {high}×{wide} units, too many steps to follow; '
                         f'the limit is {MAX_FRAMES}: take a smaller size')
    frames = [frame([*unit]) for unit in np.ndindex(high, wide)]
    extent = [_extent(axis, maps, frames) for axis in (0, 1)]
    trace = dict(kind='alignment', title=title, extent=extent, maps=maps, frames=frames, drag=last)
    return Player(with_image(trace, image, maps[0]['size']))


def with_image(trace, image, size):
    """The trace with a picture of this (H, W) to draw under its units."""
    if image is None:
        return trace
    image = as_colours(np.asarray(image))
    if image.shape[:2] != tuple(size):
        raise ValueError(f'image is {_by(image.shape)}, and the net is shown for {_by(size)}: '
                         f'give both the same size')
    return {**trace, 'image': image_uri(image, is_photo=True)}


def _extent(axis, maps, frames):
    """The first and the last pixel of anything to draw."""
    ends = [_centre(map_, unit)[axis] for map_ in maps
            for unit in ([0, 0], [n - 1 for n in map_['size']])]
    for frame in frames:
        ends += [end for field in frame.get('fields', {}).values() for end in field[axis]]
    return [float(min(ends)), float(max(ends))]


def _centre(map_, unit):
    """The pixel on which a unit is centred."""
    return [scale * i + shift for i, scale, shift in zip(unit, map_['scale'], map_['shift'])]


def _unit_at(map_, pixel):
    """The unit that is centred on a pixel, or None."""
    unit = [(p - shift) / scale for p, scale, shift in zip(pixel, map_['scale'], map_['shift'])]
    is_inside = all(i == int(i) and 0 <= i < n for i, n in zip(unit, map_['size']))
    return [int(i) for i in unit] if is_inside else None


def _count(map_, field):
    """How many units have their centres in a field: 7×7."""
    counts = []
    for n, scale, shift, (low, high) in zip(map_['size'], map_['scale'], map_['shift'], field):
        counts.append(sum(low <= scale * i + shift <= high for i in range(n)))
    return _by(counts)


def _boxes_before(net, name):
    """The boxes between the image and this one, along the branch with the largest fields."""
    boxes = set()
    while name != 'data':
        boxes.add(name)
        name = max(net[name].inputs, key=lambda read: net[read].alignment.field[1])
    return boxes


def _by(size):
    return f'{size[0]}×{size[1]}'


def _text(pair):
    return f'[{_number(pair[0])},{_number(pair[1])}]'


def _number(value):
    """12.5, −91.5: positions are multiples of 1/8 or so, and are shown exactly."""
    return f'{float(value):g}'.replace('-', '−')
