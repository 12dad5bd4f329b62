"""The path of a gradient descent, drawn into a GIF."""
from .style import DIM, HIGHLIGHT_EDGE, MARGIN, POSITIVE, RULE, make_pen

SIZE = 560, 240         # pixels
CONTOURS = 9
RADIUS = 3


def layout_path(trace):
    """-> width and height in pixels, and a function that draws the path up to frame n"""
    scale = min(half / (1.25 * abs(w)) for half, w in zip((SIZE[0] / 2, SIZE[1] / 2),
                                                          trace['start']))
    highest = sum(c * w * w for c, w in zip(trace['curvature'], trace['start'])) / 2

    def draw(image, n, offset):
        pen = make_pen(image)
        middle = MARGIN + SIZE[0] / 2, offset + SIZE[1] / 2

        def place(w):
            x = middle[0] + scale * w[0]
            y = middle[1] - scale * w[1]
            return (min(max(x, MARGIN), MARGIN + SIZE[0]),
                    min(max(y, offset), offset + SIZE[1]))

        pen.rectangle((MARGIN, offset, MARGIN + SIZE[0], offset + SIZE[1]), DIM, RULE)
        for k in range(CONTOURS, 0, -1):
            loss = highest * (k / CONTOURS) ** 2
            a, b = ((2 * loss / c) ** .5 for c in trace['curvature'])
            pen.ellipse((*place((-a, b)), *place((a, -b))), None, POSITIVE)
        points = [place(frame['point']) for frame in trace['frames'][:n + 1]]
        if n:
            pen.line(points, HIGHLIGHT_EDGE, 2)
        for x, y in points:
            pen.ellipse((x - RADIUS, y - RADIUS, x + RADIUS, y + RADIUS), HIGHLIGHT_EDGE)

    return SIZE[0] + 2 * MARGIN, SIZE[1], draw
