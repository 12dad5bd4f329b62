"""Pictures side by side, or in rows and columns with links, drawn into a GIF."""
from typing import NamedTuple

from .style import (
    DIM,
    FAINT,
    HIGHLIGHT_EDGE,
    INK,
    MARGIN,
    MAX_WIDTH,
    RULE,
    TEXT_LINE,
    load_font,
    make_pen,
    open_picture,
)

DEFAULT_WIDTH = 200     # pixels
SPACE = 30              # between pictures


class Place(NamedTuple):
    """Where a picture is drawn, in pixels."""
    left: int
    top: int
    width: int
    height: int


def layout_pictures(trace):
    """-> width and height of all pictures in pixels, and a function that draws frame n of them"""
    panels = trace['panels']
    places = _table(panels) if 'row' in panels[0] else _row(trace)
    font = load_font('DejaVuSans', 12)

    def draw(image, n, offset):
        pen = make_pen(image)
        frame = trace['frames'][n]
        for link in trace.get('links', ()):
            _draw_link(pen, link, places, offset, link in frame['links'])
        for panel in panels:
            place = places[panel['name']]
            top = offset + place.top
            bottom = top + place.height
            number = frame['show'].get(panel['name'])
            if number is None:
                pen.rectangle((place.left, top, place.left + place.width, bottom), DIM, RULE)
            else:
                picture = open_picture(trace['images'][number], _width_of(trace, number, panel))
                image.paste(picture, (place.left, top))
            title = frame.get('titles', {}).get(panel['name'], panel['title'])
            pen.text((place.left, bottom + 10), title, INK, font, 'lm')

    width = max(place.left + place.width for place in places.values())
    height = max(place.top + place.height for place in places.values())
    return width + MARGIN, height + TEXT_LINE, draw


def _width_of(trace, number, panel):
    """Of a picture, in pixels."""
    if 'widths' in trace:
        return min(trace['widths'][number], MAX_WIDTH - 2 * MARGIN)
    return panel.get('width', DEFAULT_WIDTH)


def _table(panels):
    """{name: Place} of pictures in rows and columns."""
    places = {}
    for panel in panels:
        size = panel['width']
        places[panel['name']] = Place(MARGIN + panel['column'] * (size + SPACE),
                                      panel['row'] * (size + SPACE), size, size)
    return places


def _row(trace):
    """The same for pictures side by side; where each has a width of its own, below each other."""
    places = {}
    left = MARGIN
    top = 0
    for panel in trace['panels']:
        numbers = {frame['show'][panel['name']] for frame in trace['frames']}
        widths = [_width_of(trace, number, panel) for number in numbers]
        height = max(open_picture(trace['images'][number], width).height
                     for number, width in zip(numbers, widths))
        places[panel['name']] = Place(left, top, max(widths), height)
        if 'widths' in trace:
            top += height + TEXT_LINE + SPACE // 2
        else:
            left += max(widths) + SPACE
    return places


def _draw_link(pen, link, places, offset, is_marked):
    """A line from the middle of one picture to that of another; the pictures are drawn over it."""
    ends = [(place.left + place.width / 2, offset + place.top + place.height / 2)
            for place in map(places.get, link)]
    pen.line(ends, HIGHLIGHT_EDGE if is_marked else FAINT, 4 if is_marked else 2)
