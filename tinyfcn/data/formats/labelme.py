"""LabelMe: a JSON file for each image, with shapes that lie one over the other.

Masks are those of LabelMe itself (`shapes_to_label`): shapes are drawn in the order of the file,
the later over the earlier ones, by Pillow. A line is 10 pixels wide, a point has a radius of 5.
A hole is a shape of `background` over another one.
"""
import base64
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...files import ImageError, printable
from ...files.images import MAX_PIXELS
from ..classes import READERS, Classes, is_control, number_classes, outside_number
from ..json_file import read_json, require_key, require_type
from ..labels import Array
from ..paths import IMAGE_SUFFIXES
from .label_files import (
    Files,
    LabelFiles,
    ReadImage,
    class_number,
    count,
    describe_classes,
    find_image,
    group_by_split,
    images_by_file_name,
    names_of,
    read_image_of,
)

if TYPE_CHECKING:
    from PIL.ImageDraw import ImageDraw

LINE_WIDTH = 10
POINT_RADIUS = 5
MAX_COORDINATE = 100_000
OFTEN = 4                       # files with a label, for one that resembles it to be a slip
MAX_SLIPS = 3                   # that are described
# how many points a shape has: exactly so many, or for a negative number at least so many
POINTS = {'polygon': -3, 'rectangle': 2, 'circle': 2, 'line': 2, 'linestrip': -2, 'point': 1,
          'oriented_rectangle': 4, 'mask': 2}

WHAT = 'a JSON of LabelMe'
EXPORT = 'save it again in LabelMe'


def is_labelme(head: bytes) -> bool:
    """Whether a JSON file that begins like this is one of LabelMe's."""
    return b'"shapes"' in head or b'"imagePath"' in head


def read_labelme(root: Path, paths: Sequence[Path], classes: Classes | None,
                 folder: Path) -> LabelFiles:
    """The images that these JSON files label. Without a list, classes are sorted by name."""
    paths = [path for path in paths if path.name not in READERS]
    slips = ''
    if classes is None:
        counts = Counter(label for path in paths for label in _head(path).labels)
        _require_different(counts, paths)
        classes = number_classes(sorted(counts))
        slips = _describe_slips(counts, paths)
    stored = images_by_file_name(folder)
    images = [_image_of(path, stored) for path in paths]
    _require_one_each(images, paths)
    labelled = set(images)
    n_others = sum(path not in labelled for group in stored.values() for path in group)
    left_out = f', {count(n_others, "image")} without one left out' if n_others else ''
    names = names_of(images, folder)
    files = dict(zip(names, zip(images, paths)))
    known = classes

    def read(files: Files, read_image: ReadImage) -> tuple[Array, Array]:
        return _read_labelled(*files, known, read_image)

    splits = group_by_split(names, [path.parent.relative_to(root) for path in paths])
    described = describe_classes(classes, 'sorted by name')
    return LabelFiles(f'LabelMe, {count(len(paths), "JSON file")}{left_out}; {described}{slips}',
                      classes, files, read, splits, root)


def _require_different(counts: Mapping[str, int], paths: Sequence[Path]) -> None:
    """Raise for two labels that differ only in capitals, or in spaces around them."""
    first: dict[str, str] = {}
    for label in counts:
        other = first.setdefault(label.strip().casefold(), label)
        if other != label:
            rare, common = sorted([label, other], key=lambda label: counts[label])
            raise ImageError(f'{_place_of(rare, paths)}: the label {printable(rare)!r}, and '
                             f'elsewhere {printable(common)!r}; rename one of them, or list both '
                             f'in classes.txt if they are two classes')


def _describe_slips(counts: Mapping[str, int], paths: Sequence[Path]) -> str:
    """Labels of one file that resemble those of many, as a slip of the pen does."""
    often = [label for label, times in counts.items() if times >= OFTEN]
    slips = [(label, near[0]) for label, times in sorted(counts.items())
             if times == 1 and (near := get_close_matches(label, often, n=1, cutoff=.7))]
    return ''.join(f'; {printable(label)!r} is only in {_place_of(label, paths)}: did you mean '
                   f'{printable(near)!r}?' for label, near in slips[:MAX_SLIPS])


def _place_of(label: str, paths: Sequence[Path]) -> str:
    return printable(next(path for path in paths if label in _head(path).labels), limit=None)


def _read_labelled(image_path: Path, path: Path, classes: Classes,
                   read_image: ReadImage) -> tuple[Array, Array]:
    source = printable(path, limit=None)
    data = _read(path)
    height, width = data.get('imageHeight'), data.get('imageWidth')
    stated = (height, width) if type(height) is int and type(width) is int else None
    image = read_image_of(image_path, stated, source, read_image)
    label = np.full(image.shape[:2], outside_number(classes), 'uint8')
    for number, shape in enumerate(data['shapes'], start=1):
        place = f'{source}: shape {number}'
        name = _name_of(shape, place)
        place = f"{place} ({printable(name, limit=40)!r})"
        label[draw_shape(shape, label.shape, place)] = class_number(name, classes, place)
    return image, label


# ---- shapes --------------------------------------------------------------------------------------

def draw_shape(shape: Mapping[str, Any], size: Sequence[int], place: str) -> NDArray[np.bool_]:
    """The pixels of a shape, as LabelMe draws it. -> (H, W) bool"""
    kind = shape.get('shape_type') or 'polygon'         # the first versions had only polygons
    if kind not in POINTS:
        raise ImageError(f'{place}: shape_type {printable(kind, limit=40)!r} is not a shape that '
                         f'has pixels; there are {", ".join(POINTS)}. Draw it as one of these')
    points = _points_of(shape, kind, place)
    if kind == 'mask':
        return _paste_mask(shape, points, size, place)
    from PIL import Image, ImageDraw
    image = Image.new('L', (size[1], size[0]))
    _draw(ImageDraw.Draw(image), kind, points)
    return np.array(image).astype(bool)


def _draw(draw: 'ImageDraw', kind: str, points: list[tuple[float, float]]) -> None:
    if kind in ('circle', 'point'):
        x, y = points[0]
        radius = math.dist(*points) if kind == 'circle' else POINT_RADIUS
        draw.ellipse(((x - radius, y - radius), (x + radius, y + radius)), outline=1, fill=1)
    elif kind == 'rectangle':
        (x0, y0), (x1, y1) = points
        draw.rectangle(((min(x0, x1), min(y0, y1)), (max(x0, x1), max(y0, y1))), outline=1, fill=1)
    elif kind in ('line', 'linestrip'):
        draw.line(points, fill=1, width=LINE_WIDTH)
    else:
        draw.polygon(points, outline=1, fill=1)


def _points_of(shape: Mapping[str, Any], kind: str, place: str) -> list[tuple[float, float]]:
    points = require_type(require_key(shape, 'points', place, EXPORT), list, place,
                          f'a list of points should be; {EXPORT}')
    for number, point in enumerate(points, start=1):
        if (not isinstance(point, list) or len(point) != 2
                or not all(type(part) in (int, float) for part in point)):
            raise ImageError(f'{place}: point {number} is {printable(point, limit=60)}, not '
                             f'[x, y]; {EXPORT}')
        if not all(abs(part) <= MAX_COORDINATE for part in point):      # nor is it NaN
            raise ImageError(f'{place}: point {number}, {printable(point, limit=60)}, is far '
                             f'outside of any image; {EXPORT}')
    needed = POINTS[kind]
    if len(points) != needed and not (needed < 0 and len(points) >= -needed):
        least = 'at least ' if needed < 0 else ''
        raise ImageError(f'{place}: a {kind} of {count(len(points), "point")}; it has '
                         f'{least}{abs(needed)}. Draw it again, or remove it')
    return [(x, y) for x, y in points]


def _paste_mask(shape: Mapping[str, Any], points: list[tuple[float, float]],
                size: Sequence[int], place: str) -> NDArray[np.bool_]:
    """The pixels of a shape that holds a PNG of the rectangle between its two points."""
    from PIL import Image
    left, top, right, bottom = (int(part) for point in points for part in point)
    text = require_type(require_key(shape, 'mask', place, EXPORT), str, place,
                        f'a PNG in base64 should be; {EXPORT}')
    try:
        with Image.open(BytesIO(base64.b64decode(text, validate=True)), formats=['PNG']) as png:
            if png.width * png.height > MAX_PIXELS:
                raise ValueError(f'{png.width}×{png.height} pixels')
            pixels = np.array(png).astype(bool)
    except Exception as error:                          # Pillow raises whatever it comes across
        raise ImageError(f'{place}: its mask is not a PNG in base64 ({printable(error, limit=80)}'
                         f'); {EXPORT}') from None
    if pixels.shape != (bottom - top + 1, right - left + 1) or min(left, top) < 0:
        raise ImageError(f'{place}: its mask has {"×".join(map(str, pixels.shape))} pixels, and '
                         f'its points are of {bottom - top + 1}×{right - left + 1} from row {top}, '
                         f'column {left}; {EXPORT}')
    mask = np.zeros(size, bool)
    inside = mask[top:bottom + 1, left:right + 1]
    inside[:] = pixels[:inside.shape[0], :inside.shape[1]]
    return mask


# ---- the file ------------------------------------------------------------------------------------

def _read(path: Path) -> dict[str, Any]:
    """The content of a JSON file, of which the shapes are a list of dicts."""
    source = printable(path, limit=None)
    data: dict[str, Any] = require_type(read_json(path, WHAT), dict, source,
                                        f'{WHAT} should be; {EXPORT}')
    shapes = require_type(require_key(data, 'shapes', source,
                                      f'this is not {WHAT}: move it to another folder'),
                          list, source, f'a list of shapes should be; {EXPORT}')
    for number, shape in enumerate(shapes, start=1):
        require_type(shape, dict, f'{source}: shape {number}', f'a shape should be; {EXPORT}')
    return data


def _is_name(text: str) -> bool:
    return bool(text.strip()) and not any(map(is_control, text))


def _name_of(shape: Mapping[str, Any], place: str) -> str:
    name: str = require_type(require_key(shape, 'label', place, EXPORT), str, place,
                             f'the name of a class should be; {EXPORT}')
    if not _is_name(name):
        raise ImageError(f"{place}: its label '{printable(name, limit=60)}' is no name; give it "
                         f"one in LabelMe")
    return name


class Head(NamedTuple):
    """What has to be known of each JSON file before any image is read."""

    image_path: str                                     # '' if it has none
    labels: frozenset[str]


def _head(path: Path) -> Head:
    """The head of a JSON file; of a damaged one nothing, which reading its image will report."""
    stat = path.stat()
    return _cached_head(path, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=20_000)              # a folder is opened for training, validation and test
def _cached_head(path: Path, date: int, size: int) -> Head:
    try:
        data = _read(path)
        image_path = data.get('imagePath')
        labels = [shape.get('label') for shape in data['shapes']]
    except (OSError, ValueError):
        return Head('', frozenset())
    return Head(image_path if isinstance(image_path, str) else '',
                frozenset(label for label in labels if isinstance(label, str) and _is_name(label)))


def _image_of(path: Path, stored: Mapping[str, Sequence[Path]]) -> Path:
    """The image that a JSON file labels: by its imagePath, else by the name of the file."""
    stated = _head(path).image_path
    suffixes = [*IMAGE_SUFFIXES, *map(str.upper, IMAGE_SUFFIXES)]
    for name in [stated, *(path.stem + suffix for suffix in suffixes)]:
        if found := find_image(stored, name, [path.parent, path.parent.parent]):
            return found
    return path.with_name(Path(stated.replace('\\', '/')).name or f'{path.stem}.jpg')


def _require_one_each(images: Sequence[Path], paths: Sequence[Path]) -> None:
    """Raise if two JSON files are of one image."""
    first: dict[Path, Path] = {}
    for image, path in zip(images, paths):
        other = first.setdefault(image, path)
        if other != path:
            raise ImageError(f'{printable(path)} and {printable(other.name)}: both label the image '
                             f'{printable(image.name)}; correct the imagePath of one of them, or '
                             f'remove it')
