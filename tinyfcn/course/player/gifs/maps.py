"""Maps of units over the image, drawn into a GIF."""
from .style import (
    DIM,
    FAINT,
    GAP,
    HIGHLIGHT_EDGE,
    INK,
    MARGIN,
    MAX_WIDTH,
    PAPER,
    TEXT_LINE,
    WRITTEN,
    WRITTEN_EDGE,
    load_font,
    make_pen,
    open_picture,
)

LARGEST = 260           # pixels: width of a map
DENSEST = 3             # pixels between two units
TABLE_LEFT = 330        # pixels
HALF = .5               # of a pixel: positions are those of centres


def layout_maps(trace):
    """-> width and height of all maps in pixels, and a function that draws frame n of them"""
    maps = trace['maps']
    (top, bottom), (left, right) = trace['extent']
    count = len(maps)
    width = min(LARGEST, (MAX_WIDTH - 2 * MARGIN - (count - 1) * GAP) // count)
    scale = width / (right - left + 1)
    height = round((bottom - top + 1) * scale)
    font = load_font('DejaVuSans', 11)

    def draw(image, n, offset):
        pen = make_pen(image)
        frame = trace['frames'][n]
        for k, each in enumerate(maps):
            x = MARGIN + k * (width + GAP)
            name, _, where = each['title'].partition(': ')
            pen.text((x, offset + 6), name, INK, font, 'lm')
            pen.text((x, offset + 6 + TEXT_LINE), where, FAINT, font, 'lm')
            view = MapView(image, trace, each, x, offset + 2 * TEXT_LINE, scale)
            view.draw_tiles()
            if field := frame.get('fields', {}).get(each['name']):
                view.outline(field, each['scale'], HIGHLIGHT_EDGE)
            if unit := frame['units'].get(each['name']):
                view.outline(view.centre_of(unit), each['scale'], WRITTEN_EDGE, WRITTEN)

    return 2 * MARGIN + count * width + (count - 1) * GAP, height + 2 * TEXT_LINE, draw


def layout_stack(trace):
    """-> the same of a stack: a line for each layer, and the map of the one of this frame"""
    frames = trace['frames']
    ends = []
    for frame in frames:
        ends += [frame['shift'], frame['shift'] + frame['scale'] * (frame['size'] - 1)]
    extent = [[min(ends), max(ends)]] * 2
    pixels = dict(size=[trace['size']] * 2, scale=[1, 1], shift=[0, 0])
    scale = LARGEST / (max(ends) - min(ends) + 1)
    font = load_font('DejaVuSansMono', 12)
    longest = max(len(layer['name']) for layer in trace['layers'])
    high = max(LARGEST, (len(frames) + 1) * TEXT_LINE)

    def draw_table(pen, n, offset):
        head = f'{"":{longest}} {"size":>6}{"scale":>7}{"shift":>8}'
        pen.text((TABLE_LEFT, offset + 10), head, FAINT, font, 'lm')
        for k, (layer, each) in enumerate(zip(trace['layers'], frames)):
            top = offset + (k + 1) * TEXT_LINE
            if k == n:
                pen.rectangle((TABLE_LEFT - 6, top, MAX_WIDTH - MARGIN, top + TEXT_LINE), WRITTEN)
            numbers = f'{each["size"]:6}{each["scale"]:7g}{each["shift"]:8g}'.replace('-', '−')
            text = f'{layer["name"]:{longest}} {numbers}'
            pen.text((TABLE_LEFT, top + 10), text, INK, font, 'lm')

    def draw(image, n, offset):
        draw_table(make_pen(image), n, offset)
        frame = frames[n]
        each = dict(size=[frame['size']] * 2, scale=[frame['scale']] * 2,
                    shift=[frame['shift']] * 2)
        shown = {**trace, 'extent': extent, 'maps': [pixels]}
        view = MapView(image, shown, each, MARGIN, offset, scale)
        view.draw_tiles()
        centre = view.centre_of([frame['size'] // 2] * 2)
        view.outline(centre, [frame['field']] * 2, HIGHLIGHT_EDGE)
        view.outline(centre, each['scale'], WRITTEN_EDGE, WRITTEN)

    return MAX_WIDTH, high, draw


class MapView:
    """A map, and where on the GIF it is drawn."""

    def __init__(self, image, trace, map_, left, top, scale):
        self.image = image
        self.pen = make_pen(image)
        self.trace = trace
        self.map = map_
        self.origin = top - (trace['extent'][0][0] - HALF) * scale, \
            left - (trace['extent'][1][0] - HALF) * scale
        self.scale = scale

    def box(self, spans, size):
        """The corners on the GIF of spans [from, to] of centres, each of something of this size."""
        ends = [[origin + (end + sign * n / 2) * self.scale
                 for end, sign in zip(span, (-1, 1))]
                for span, n, origin in zip(spans, size, self.origin)]
        (top, bottom), (left, right) = self._cut(ends)
        return left, top, right, bottom

    def _cut(self, ends):
        """Nothing is drawn beyond the extent, into the next map."""
        cut = []
        for (low, high), (first, last), origin in zip(ends, self.trace['extent'], self.origin):
            limits = [origin + (first - HALF) * self.scale, origin + (last + HALF) * self.scale]
            cut.append([max(low, limits[0]), min(high, limits[1])])
        return cut

    def centre_of(self, unit):
        centre = [scale * i + shift
                  for i, scale, shift in zip(unit, self.map['scale'], self.map['shift'])]
        return [[c, c] for c in centre]

    def outline(self, spans, size, edge, fill=None):
        self.pen.rectangle(self.box(spans, size), fill, edge, 2)

    def draw_tiles(self):
        """The picture, and the lines between the units."""
        self.pen.rectangle(self.box(self.trace['extent'], (1, 1)), DIM)
        pixels = self.trace['maps'][0]
        left, top, right, bottom = self.box([[0, n - 1] for n in pixels['size']], (1, 1))
        self.pen.rectangle((left, top, right, bottom), PAPER, FAINT)
        if 'image' in self.trace:
            picture = open_picture(self.trace['image'], right - left)
            self.image.paste(picture, (round(left), round(top)))
        last = [n - 1 for n in self.map['size']]
        corners = [self.centre_of([0, 0]), self.centre_of(last)]
        spans = [[first[0], end[0]] for first, end in zip(*corners)]
        left, top, right, bottom = self.box(spans, self.map['scale'])
        self.pen.rectangle((left, top, right, bottom), None, FAINT)
        if min(self.map['scale']) * self.scale < DENSEST:
            return
        for i in range(1, self.map['size'][0]):
            y = top + i * self.map['scale'][0] * self.scale
            self.pen.line((left, y, right, y), FAINT)
        for j in range(1, self.map['size'][1]):
            x = left + j * self.map['scale'][1] * self.scale
            self.pen.line((x, top, x, bottom), FAINT)
