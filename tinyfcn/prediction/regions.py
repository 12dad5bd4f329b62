"""The regions of a mask and their outlines, along the edges of the pixels.

A region is a set of pixels of one class, each beside another one of it (not only at a corner).
Its outlines enclose exactly its pixels: pixel (row, column) is the square from (column, row) to
(column + 1, row + 1) in the coordinates x, y.
"""
from collections.abc import Iterator
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..data.labels import VOID, Array

Ring: TypeAlias = Array                 # (corners, 2): x, y; the last corner joins the first

# the four sides of a pixel in the order in which an outline goes around it, the pixel on its right
# as one sees it: (rows, columns) to the neighbour on this side, then the corner (x, y) at which an
# edge along this side begins, and the one at which it ends
SIDES = (
    ((-1, 0), (0, 0), (1, 0)),          # above: to the right
    ((0, 1), (1, 0), (1, 1)),           # right: down
    ((1, 0), (1, 1), (0, 1)),           # below: to the left
    ((0, -1), (0, 1), (0, 0)),          # left: up
)


class Region(NamedTuple):
    """Connected pixels of one class. Pixels that they enclose lie in holes."""

    number: int                         # the class
    area: int                           # in pixels
    box: tuple[int, int, int, int]      # x, y, width, height
    outline: Ring
    holes: list[Ring]


def find_regions(mask: Array, tolerance: float = 0) -> list[Region]:
    """Find the regions of a mask (H, W), by class and from top to bottom. Void is in none.

    tolerance: leave out corners of the outlines that these move by at most so many pixels. With 0
    the outlines are exact

    >>> mask = np.array([[1, 1, 1], [1, 0, 1], [1, 1, 1]])
    >>> [(region.number, region.area, len(region.holes)) for region in find_regions(mask)]
    [(0, 1, 0), (1, 8, 1)]
    >>> find_regions(mask)[0].outline.tolist()
    [[1, 1], [2, 1], [2, 2], [1, 2]]
    """
    mask = np.asarray(mask)
    if mask.ndim != 2 or mask.dtype.kind not in 'iu':
        raise ValueError(f'the mask has shape {mask.shape} and is {mask.dtype}; one class for each '
                         f'pixel is needed, (H, W) integers')
    components, numbers = label_components(mask)
    rings: list[list[Ring]] = [[] for _ in numbers]
    for component, ring in trace_rings(components):
        rings[component].append(ring)
    areas = np.bincount(components[components >= 0], minlength=len(numbers))
    return [_region(number, int(area), own, tolerance)
            for number, area, own in zip(numbers, areas, rings)]


def _region(number: int, area: int, rings: list[Ring], tolerance: float) -> Region:
    """Of its rings, the outline is the only one that goes around its pixels clockwise."""
    rings = sorted(rings, key=signed_area, reverse=True)
    left, top = rings[0].min(0).tolist()
    right, bottom = rings[0].max(0).tolist()
    if tolerance:
        simple = [simplify(ring, tolerance) for ring in rings]
        # what is smaller than the tolerance has no area left: holes are left out, regions stay
        rings = [rings[0] if len(simple[0]) < 3 else simple[0],
                 *(ring for ring in simple[1:] if len(ring) > 2)]
    return Region(number, area, (left, top, right - left, bottom - top), rings[0], rings[1:])


def label_components(mask: Array) -> tuple[NDArray[np.int32], list[int]]:
    """Number the regions of a mask, and list the class of each. Void pixels are −1."""
    from scipy.ndimage import label
    components = np.full(mask.shape, -1, 'int32')
    numbers: list[int] = []
    for number in np.unique(mask[mask != VOID]).tolist():
        of_class, count = label(mask == number)
        inside = of_class > 0
        components[inside] = of_class[inside] + (len(numbers) - 1)
        numbers += [number] * count
    return components, numbers


def signed_area(ring: Ring) -> float:
    """Above 0 for a ring that goes clockwise as one sees it, with y downwards; below 0 for holes.

    >>> signed_area(np.array([[0, 0], [2, 0], [2, 1], [0, 1]]))
    2.0
    """
    x, y = ring.T.astype(float)
    return float(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2


# ---- Along the edges of the pixels

def trace_rings(components: Array) -> Iterator[tuple[int, Ring]]:
    """All outlines and holes of numbered regions (H, W), where −1 is none. -> (number, ring)

    No ring touches itself: where two pixels of a region meet only at a corner, its ring turns left.
    """
    owner, side, start, end = _straight_edges(components)
    # the edge that follows at the corner where one ends: on the left if there is one, or else on
    # the right; a straight one would be a part of it
    height, width = components.shape
    corners = (height + 1) * (width + 1)

    def key(side: Array, corner: Array) -> Array:
        x, y = corner.T
        keys: Array = (owner.astype('int64') * 4 + side) * corners + y * (width + 1) + x
        return keys

    starts = key(side, start)
    order = np.argsort(starts)
    ordered = starts[order]
    follower = np.empty(len(starts), 'int64')
    for turn in 1, -1:                                  # right, then left where that is possible
        wanted = key((side + turn) % 4, end)
        at = np.searchsorted(ordered, wanted).clip(max=max(len(ordered) - 1, 0))
        found = ordered[at] == wanted
        follower[found] = order[at[found]]
    followers = follower.tolist()
    done = [False] * len(followers)
    for first in range(len(followers)):
        edges = []
        edge = first
        while not done[edge]:
            done[edge] = True
            edges.append(edge)
            edge = followers[edge]
        if edges:
            yield int(owner[first]), start[edges]


def _straight_edges(components: Array) -> tuple[Array, Array, Array, Array]:
    """The straight parts of all rings. -> region, side, start (n, 2), end (n, 2)"""
    padded = np.pad(components, 1, constant_values=-1)
    inside = components >= 0
    height, width = components.shape
    parts = []
    for number, ((rows, columns), begins_at, ends_at) in enumerate(SIDES):
        beside = padded[1 + rows:1 + rows + height, 1 + columns:1 + columns + width]
        on_edge = inside & (beside != components)
        # whether the edge goes on at the next pixel in its direction
        along = np.subtract(ends_at, begins_at)[::-1]   # (rows, columns)
        first = on_edge & ~_continues(on_edge, components, -along)
        last = on_edge & ~_continues(on_edge, components, along)
        # in the order of the lines that they lie on, so that each first has its last
        if columns:
            first_at, last_at = (np.argwhere(ends.T)[:, ::-1] for ends in (first, last))
        else:
            first_at, last_at = (np.argwhere(ends) for ends in (first, last))
        parts.append((components[tuple(first_at.T)], np.full(len(first_at), number),
                      first_at[:, ::-1] + begins_at, last_at[:, ::-1] + ends_at))
    owner, side, start, end = (np.concatenate(columns) for columns in zip(*parts))
    return owner, side, start, end


def _continues(on_edge: Array, components: Array, step: Array) -> Array:
    """Whether the pixel one step on has the same edge, and is of the same region."""
    shifted_edge = np.roll(on_edge, tuple(-step), (0, 1))
    shifted = np.roll(components, tuple(-step), (0, 1))
    result: Array = shifted_edge & (shifted == components)
    rows, columns = step
    if rows:
        result[-1 if rows > 0 else 0] = False
    if columns:
        result[:, -1 if columns > 0 else 0] = False
    return result


# ---- Through the centres of the pixels

def centre_line(ring: Ring) -> Ring:
    """The outline through the centres of the outermost pixels of a region, half a pixel within.

    Programs that fill a polygon and draw its outline, too, get the pixels of the region from it.

    >>> centre_line(np.array([[0, 0], [3, 0], [3, 2], [0, 2]])).tolist()
    [[0.5, 0.5], [2.5, 0.5], [2.5, 1.5], [0.5, 1.5]]
    """
    outgoing = np.sign(np.roll(ring, -1, 0) - ring)     # the direction of the edge after a corner
    incoming = np.roll(outgoing, 1, 0)                  # and of that before it
    # to the right of the direction x, y, where the region is, is -y, x
    before = ring + (incoming[:, ::-1] * (-1, 1) - incoming) / 2
    after = ring + (outgoing[:, ::-1] * (-1, 1) + outgoing) / 2
    # around a pixel both are its centre; where the ring turns left, they are those of two pixels
    # that touch at this corner
    points = np.stack([before, after], 1).reshape(-1, 2)
    differs = (points != np.roll(points, 1, 0)).any(1)
    line: Ring = points[differs] if differs.any() else points[:1]
    return line


# ---- Fewer corners

def simplify(ring: Ring, tolerance: float) -> Ring:
    """Leave out corners, so that the ring moves by at most `tolerance` pixels (Douglas & Peucker).

    >>> simplify(np.array([[0, 0], [4, 0], [4, 1], [5, 1], [5, 8], [0, 8]]), 1).tolist()
    [[0, 0], [5, 1], [5, 8], [0, 8]]
    """
    closed = np.concatenate([ring, ring[:1]])
    farthest = int(np.hypot(*(ring - ring[0]).T).argmax())
    kept = {0, farthest}
    parts = [(0, farthest), (farthest, len(ring))]
    while parts:
        first, last = parts.pop()
        if last - first < 2:
            continue
        distance = _distance_to_segment(closed[first + 1:last], closed[first], closed[last])
        worst = int(distance.argmax())
        if distance[worst] > tolerance:
            middle = first + 1 + worst
            kept.add(middle)
            parts += [(first, middle), (middle, last)]
    simple: Ring = ring[sorted(kept)]
    return simple


def _distance_to_segment(points: Array, start: Array, end: Array) -> Array:
    """Of each point (n, 2) from the straight line that joins two others."""
    along = end - start
    length = float(along @ along)
    share = ((points - start) @ along / length).clip(0, 1) if length else np.zeros(len(points))
    x, y = (points - start - share[:, None] * along).T
    distance: Array = np.hypot(x, y)
    return distance
