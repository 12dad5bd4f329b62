"""CVAT: one XML file for many images, with shapes ("CVAT for images 1.1").

Masks are those that CVAT exports as "Segmentation mask 1.1": shapes are drawn by z_order, the later
over the earlier ones, and polygons as pycocotools draws them. An ellipse covers the pixels whose
centre it covers, where CVAT's differs by a pixel along its outline. A hole is a shape of
`background` over another one.
"""
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import numpy as np
from numpy.typing import NDArray

from ...files import ImageError, open_regular, printable
from ..classes import Classes, is_control, number_classes, outside_number
from ..json_file import MAX_JSON
from ..labels import Array
from .coco_masks import decode_counts, draw_polygon
from .label_files import (
    Files,
    LabelFiles,
    ReadImage,
    class_number,
    count,
    describe_classes,
    find_image,
    folder_of_most,
    images_by_file_name,
    names_of,
    read_image_of,
    repeated,
    repeated_image,
)
from .splits import SPLITS

MAX_COORDINATE = 100_000
SHAPES = 'polygon', 'box', 'ellipse', 'mask'
NO_AREA = 'polyline', 'points', 'cuboid', 'skeleton'
EXPORT = "export the task as 'CVAT for images 1.1' again"


class CvatFile(NamedTuple):
    """What an XML file holds: its images, and the names of its labels in their order."""

    images: list[Element]
    labels: list[str]


def is_cvat(head: bytes) -> bool:
    """Whether an XML file that begins like this is one of CVAT's."""
    return b'<annotations>' in head


def read_cvat(root: Path, paths: Sequence[Path], classes: Classes | None,
              folder: Path) -> LabelFiles:
    """The images that these XML files label. Without a list, classes are in CVAT's order."""
    content = {path: parse_cvat(path) for path in paths}
    if classes is None:
        classes = number_classes(name for file in content.values() for name in file.labels)
    stored = images_by_file_name(folder)
    rows = [(path, image) for path, file in content.items() for image in file.images]
    most = folder_of_most(stored, folder)
    images = [_image_path(folder, path, image, stored, most) for path, image in rows]
    names = names_of(images, folder)
    if doubles := repeated(names):
        raise repeated_image(doubles[0], names, [path for path, _ in rows],
                             'rename one of the two')
    files = {name: (image, path) for name, image, (path, _) in zip(names, images, rows)}
    by_image = {image: row for image, (_, row) in zip(images, rows)}
    known = classes

    def read(files: Files, read_image: ReadImage) -> tuple[Array, Array]:
        image_path, path = files
        if image_path not in by_image:                  # a list names an image that is not there
            raise ImageError(f'{printable(path)}: no image {printable(image_path.name)} in it; '
                             f'correct the list of names')
        return _read_labelled(image_path, path, by_image[image_path], known, read_image)

    splits: dict[str, list[str]] = {}
    for name, (_, row) in zip(names, rows):
        subset = (row.get('subset') or '').lower()
        splits.setdefault(SPLITS.get(subset, ''), []).append(name)
    shown = ' and '.join(printable(path.relative_to(root)) for path in list(paths)[:3])
    described = describe_classes(classes, 'in the order of the export')
    return LabelFiles(f'CVAT, {count(len(rows), "image")} in {shown}; {described}', classes, files,
                      read, {} if '' in splits else splits, root)


def _read_labelled(image_path: Path, path: Path, row: Element, classes: Classes,
                   read_image: ReadImage) -> tuple[Array, Array]:
    source = printable(path, limit=None)
    place = f'{source}: image {printable(image_path.name)!r}'
    height, width = (_number(row, key, place) for key in ('height', 'width'))
    image = read_image_of(image_path, (int(height), int(width)), source, read_image)
    label = np.full(image.shape[:2], outside_number(classes), 'uint8')
    numbered = [(number, shape) for number, shape in enumerate(row, start=1)
                if shape.tag not in ('tag', *NO_AREA)]
    for number, shape in enumerate(row, start=1):
        if shape.tag in NO_AREA:
            raise ImageError(f'{place}, shape {number}: a {shape.tag} has no area; draw it as a '
                             f'polygon, or remove it')
    for number, shape in sorted(numbered, key=lambda pair: _z_order(pair[1], place)):
        name = shape.get('label') or ''
        own = f'{place}, shape {number} ({printable(name, limit=40)!r})'
        try:
            mask = draw_shape(shape, label.shape, own)
        except ImageError:
            raise
        except ValueError as error:
            raise ImageError(f'{own}: {error}; draw it again, or remove it') from None
        label[mask] = class_number(name, classes, own)
    return image, label


# ---- shapes --------------------------------------------------------------------------------------

def draw_shape(shape: Element, size: Sequence[int], place: str) -> NDArray[np.bool_]:
    """The pixels of a shape. -> (H, W) bool"""
    height, width = size
    if shape.tag == 'polygon':
        return draw_polygon(_points(shape, place), height, width)
    if shape.tag == 'mask':
        return _decode(shape, height, width, place)
    angle = np.deg2rad(_number(shape, 'rotation', place, '0'))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    if shape.tag == 'box':
        left, top, right, bottom = (_number(shape, key, place)
                                    for key in ('xtl', 'ytl', 'xbr', 'ybr'))
        corners = np.array([[left, top], [right, top], [right, bottom], [left, bottom]])
        centre = np.array([left + right, top + bottom]) / 2
        return draw_polygon(((corners - centre) @ turn.T + centre).ravel().tolist(), height, width)
    if shape.tag == 'ellipse':
        x, y, half_width, half_height = (_number(shape, key, place)
                                         for key in ('cx', 'cy', 'rx', 'ry'))
        rows, columns = np.mgrid[:height, :width] + .5          # CVAT counts from the corner
        across, down = np.moveaxis(np.stack([columns - x, rows - y], axis=-1) @ turn, -1, 0)
        inside: NDArray[np.bool_] = ((across * half_height) ** 2 + (down * half_width) ** 2
                                     <= (half_width * half_height) ** 2)
        return inside
    raise ImageError(f'{place}: {printable(shape.tag, limit=40)} is not a shape that is known; '
                     f'there are {", ".join(SHAPES)}. {EXPORT}')


def _decode(shape: Element, height: int, width: int, place: str) -> NDArray[np.bool_]:
    """A mask: run lengths, row by row, of the rectangle that it stands in."""
    left, top, own_width, own_height = (int(_number(shape, key, place))
                                        for key in ('left', 'top', 'width', 'height'))
    text = shape.get('rle') or ''
    try:
        lengths = [int(part) for part in text.split(',')]
    except ValueError:
        raise ImageError(f'{place}: its rle is {printable(text, limit=40)!r}, not a list of whole '
                         f'numbers; {EXPORT}') from None
    if min(left, top, own_width, own_height) < 0 or left + own_width > width \
            or top + own_height > height:
        raise ValueError(f'its mask of {own_height}×{own_width} pixels from row {top}, column '
                         f'{left} is beyond the image of {height}×{width}')
    mask = np.zeros((height, width), bool)
    # rows in place of columns: a mask of the other orientation, turned back
    mask[top:top + own_height, left:left + own_width] = decode_counts(
        lengths, own_width, own_height).T
    return mask


def _points(shape: Element, place: str) -> list[float]:
    """'1.5,2;3,4;5,6' -> [1.5, 2, 3, 4, 5, 6]"""
    text = shape.get('points') or ''
    try:
        pairs = [[float(part) for part in pair.split(',')] for pair in text.split(';')]
    except ValueError:
        pairs = []
    if len(pairs) < 3 or any(len(pair) != 2 for pair in pairs):
        raise ImageError(f'{place}: its points are {printable(text, limit=40)!r}, not x,y;x,y;x,y '
                         f'or more; {EXPORT}')
    points = [part for pair in pairs for part in pair]
    far = [part for part in points if not abs(part) <= MAX_COORDINATE]          # or NaN
    if far:
        raise ValueError(f'its points have the coordinate {far[0]:g}, far outside of any image')
    return points


def _number(element: Element, key: str, place: str, default: str | None = None) -> float:
    text = element.get(key, default)
    try:
        value = float(text or '')
    except ValueError:
        value = float('nan')
    if not abs(value) <= MAX_COORDINATE:
        raise ImageError(f'{place}: its {key} is {printable(text, limit=40)!r}, not a number of '
                         f'pixels; {EXPORT}')
    return value


def _z_order(shape: Element, place: str) -> float:
    return _number(shape, 'z_order', place, '0')


# ---- the file ------------------------------------------------------------------------------------

def parse_cvat(path: Path) -> CvatFile:
    """The images of an XML file, and its labels."""
    stat = path.stat()
    return _cached_file(path, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=4)                   # a folder is opened for training, validation and test
def _cached_file(path: Path, date: int, size: int) -> CvatFile:
    source = printable(path, limit=None)
    with open_regular(path) as file:
        data = file.read(MAX_JSON + 1)
    if len(data) > MAX_JSON:
        raise ValueError(f'{source}: more than {MAX_JSON:,} bytes; export fewer images at once')
    if b'<!DOCTYPE' in data or b'<!ENTITY' in data:     # which may expand to anything
        raise ValueError(f'{source}: it has a DOCTYPE, which no export of CVAT has; {EXPORT}')
    try:
        root = ElementTree.fromstring(data)
    except ElementTree.ParseError as error:
        line, column = error.position
        reason = str(error).partition(':')[0]
        raise ValueError(f'{source}, line {line}, column {column + 1}: not XML '
                         f'({printable(reason)}); it is cut short or was edited: {EXPORT}'
                         ) from None
    images = root.findall('image')
    if not images:
        boxes = ', of a video' if root.find('track') is not None else ''
        raise ValueError(f'{source}: no <image> in it{boxes}; {EXPORT}')
    for number, image in enumerate(images, start=1):
        name = image.get('name') or ''
        if not Path(name.replace('\\', '/')).name or '\0' in name:
            raise ValueError(f'{source}: image {number} has no name; {EXPORT}')
    labels = [(element.text or '').strip() for element in root.findall('meta//labels/label/name')]
    # without <meta>, in the order in which they occur
    labels = labels or [shape.get('label') or '' for image in images for shape in image]
    for name in labels:
        if not name or any(map(is_control, name)):
            raise ValueError(f"{source}: label '{printable(name, limit=60)}' is no name; rename it "
                             f"in CVAT")
    return CvatFile(images, labels)


def _image_path(folder: Path, path: Path, image: Element,
                stored: dict[str, list[Path]], most: Path) -> Path:
    name = image.get('name') or ''
    found = find_image(stored, name, [path.parent, folder / 'images', folder])
    return found or most / Path(name.replace('\\', '/')).name
