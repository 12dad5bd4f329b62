"""The regions of masks in the formats of annotation tools: COCO, LabelMe and GeoJSON.

Each function returns the content of a file, which `write_json` writes. Regions of a class that is
called background are left out, as these tools expect: what is not outlined is background.
"""
import json
from collections.abc import Iterable, Sequence
from os import PathLike
from typing import Any, TypeAlias

import numpy as np

from ..data.labels import VOID, Array
from ..files import open_atomic
from ..files.overwrite import MARK
from ..viz.colours import is_background
from .regions import Region, Ring, centre_line, find_regions, signed_area, simplify

Json: TypeAlias = 'dict[str, Any]'

LABELME_VERSION = '5.5.0'       # of the format, which has been the same since 4


def start_coco(classes: Sequence[str]) -> Json:
    """A COCO data set without images. Class i has the category id i + 1, as ids begin at 1.

    >>> start_coco(['sky', 'tree'])['categories'][1]
    {'id': 2, 'name': 'tree', 'supercategory': ''}
    """
    categories = [dict(id=i + 1, name=name, supercategory='') for i, name in enumerate(classes)]
    return dict(info=dict(description='predicted regions', contributor=MARK), licenses=[],
                images=[], annotations=[], categories=categories)


def add_to_coco(coco: Json, image_name: str, mask: Array, tolerance: float = 0) -> None:
    """Add an image and the regions of its mask (H, W) to a COCO data set, in place.

    A region is one polygon. COCO's polygons have no holes: a line leads into each hole, around it,
    and back.

    >>> coco = start_coco(['sky', 'tree'])
    >>> add_to_coco(coco, 'a.jpg', np.array([[0, 1]]))
    >>> coco['annotations'][1]['segmentation']
    [[1, 0, 2, 0, 2, 1, 1, 1]]
    """
    classes = [category['name'] for category in coco['categories']]
    height, width = mask.shape
    image_id = len(coco['images']) + 1
    coco['images'].append(dict(id=image_id, file_name=image_name, width=width, height=height))
    for region in foreground(mask, classes, tolerance):
        coco['annotations'].append(dict(
            id=len(coco['annotations']) + 1, image_id=image_id, category_id=region.number + 1,
            segmentation=[join_holes(region).reshape(-1).tolist()], area=region.area,
            bbox=list(region.box), iscrowd=0))


def to_labelme(mask: Array, classes: Sequence[str], image_name: str, tolerance: float = 0) -> Json:
    """A LabelMe file for the mask (H, W) of an image, image_name as seen from the file's folder.

    LabelMe's polygons have no holes, and later ones lie over earlier ones: large regions come
    first, then those that they enclose. Background is outlined where a region may enclose it.

    >>> to_labelme(np.array([[0, 0], [0, 1]]), ['background', 'car'], 'a.jpg')['shapes'][0]['label']
    'car'
    """
    height, width = mask.shape
    found = [region for region in check_regions(mask, classes, 0)
             if not is_background(classes[region.number])
             or not _touches_border(region, height, width)]
    found.sort(key=lambda region: -signed_area(region.outline))
    shapes: list[Json] = [dict(label=classes[region.number], shape_type='polygon',
                               points=_labelme_points(region, tolerance), group_id=None,
                               description='', flags={}, mask=None) for region in found]
    return dict(generator=MARK, version=LABELME_VERSION, flags={}, shapes=shapes,
                imagePath=image_name, imageData=None, imageHeight=height, imageWidth=width)


def to_geojson(mask: Array, classes: Sequence[str], tolerance: float = 0) -> Json:
    """A GeoJSON FeatureCollection for a mask (H, W), in pixels, with y downwards.

    >>> feature = to_geojson(np.array([[0, 0], [0, 1]]), ['background', 'car'])['features'][0]
    >>> feature['properties']
    {'class': 'car', 'number': 1, 'area': 1}
    >>> feature['geometry']['coordinates']
    [[[1, 1], [2, 1], [2, 2], [1, 2], [1, 1]]]
    """
    features: list[Json] = []
    for region in foreground(mask, classes, tolerance):
        rings = [np.concatenate([ring, ring[:1]]).tolist()
                 for ring in (region.outline, *region.holes)]
        features.append(dict(
            type='Feature', geometry=dict(type='Polygon', coordinates=rings),
            properties={'class': classes[region.number], 'number': region.number,
                        'area': region.area}))
    return dict(generator=MARK, type='FeatureCollection', features=features)


def write_json(path: str | PathLike[str], content: Json) -> None:
    """Write a file that these functions have made. An existing file is replaced.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_json(f'{folder}/annotations.json', start_coco(['sky', 'tree']))
    """
    with open_atomic(path) as file:
        file.write(json.dumps(content, separators=(',', ':')).encode())


# ---- Which regions

def check_regions(mask: Array, classes: Sequence[str], tolerance: float) -> list[Region]:
    """The regions of a mask, if each pixel is a class or void."""
    found = find_regions(mask, tolerance)
    for region in found:
        if not 0 <= region.number < len(classes):
            x, y = region.outline[0].tolist()
            raise ValueError(f'the mask has class {region.number} at row {y}, column {x}; there '
                             f'are {len(classes)} classes, 0 … {len(classes) - 1}, and {VOID} is '
                             f'void')
    return found


def foreground(mask: Array, classes: Sequence[str], tolerance: float) -> Iterable[Region]:
    """The regions of all classes but background."""
    return (region for region in check_regions(mask, classes, tolerance)
            if not is_background(classes[region.number]))


def _touches_border(region: Region, height: int, width: int) -> bool:
    left, top, region_width, region_height = region.box
    return not (left and top and left + region_width < width and top + region_height < height)


# ---- Polygons without holes

def join_holes(region: Region) -> Ring:
    """Outline and holes as one ring, with a line to each hole that is passed in both directions.

    The line goes to the left from the hole's leftmost corner, through pixels of the region.
    """
    ring = region.outline
    for hole in sorted(region.holes, key=lambda ring: int(ring[:, 0].min())):
        corner = np.lexsort((hole[:, 1], hole[:, 0]))[0]
        x, y = hole[corner]
        edge, meets_at = _edge_to_the_left(ring, x, y)
        to_hole = [[meets_at, y]]
        around = np.roll(hole, -corner, 0)
        ring = np.concatenate([ring[:edge + 1], to_hole, around, around[:1], to_hole,
                               ring[edge + 1:]])
    return ring


def _edge_to_the_left(ring: Ring, x: float, y: float) -> tuple[int, float]:
    """The nearest edge of a ring to the left of a point, as its first corner; and where it is."""
    ends = np.roll(ring, -1, 0)
    crosses = (np.minimum(ring[:, 1], ends[:, 1]) <= y) & (y < np.maximum(ring[:, 1], ends[:, 1]))
    edges = np.flatnonzero(crosses)
    (x0, y0), (x1, y1) = ring[edges].T, ends[edges].T
    crossings = x0 + (y - y0) * (x1 - x0) / (y1 - y0)
    is_left = crossings <= x
    if not is_left.any():                               # simplified rings may cross
        return 0, float(ring[0, 0])
    nearest = np.where(is_left, crossings, -np.inf).argmax()
    return int(edges[nearest]), float(crossings[nearest])


def _labelme_points(region: Region, tolerance: float) -> list[list[float]]:
    """The outline; of at least three points, as LabelMe requires, also around a single pixel."""
    points: list[list[float]] = simplify(centre_line(region.outline), tolerance).tolist()
    return points + points[-1:] * (3 - len(points))
