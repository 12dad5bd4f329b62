"""COCO: one JSON file for many images, with polygons and run lengths.

Masks are those of pycocotools (`annToMask`): the parts of an annotation are united. Annotations are
drawn in the order of the file, the later over the earlier ones; crowds (iscrowd) are void, and
beneath all others.
"""
from collections.abc import Mapping, Sequence
from functools import lru_cache, reduce
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...files import ImageError, printable
from ..classes import MAX_CLASSES, Classes, is_control, number_classes, outside_number
from ..json_file import read_json, require_key, require_type
from ..labels import VOID, Array
from .coco_masks import decode_counts, decode_text, draw_polygon
from .label_files import (
    Files,
    LabelFiles,
    ReadImage,
    class_number,
    count,
    describe_classes,
    find_image,
    folder_of_most,
    group_by_split,
    images_by_file_name,
    names_of,
    read_image_of,
    repeated,
    repeated_image,
)
from .splits import split_in

MAX_COORDINATE = 100_000
WHAT = 'a JSON of COCO'
EXPORT = 'export it again as COCO'


class CocoImage(NamedTuple):
    """A row of `images`, with its annotations and their numbers in the file."""

    row: Mapping[str, Any]
    annotations: list[tuple[int, Mapping[str, Any]]]


class CocoFile(NamedTuple):
    """What a JSON file holds."""

    path: Path
    images: dict[int | str, CocoImage]                  # by id
    categories: dict[int, str]                          # {id: name}


def is_coco(head: bytes) -> bool:
    """Whether a JSON file that begins like this is one of COCO's."""
    return any(key in head for key in (b'"annotations"', b'"categories"', b'"file_name"'))


def read_coco(root: Path, paths: Sequence[Path], classes: Classes | None,
              folder: Path) -> LabelFiles:
    """The images that these JSON files label.

    Without a list of classes they are sorted by the id of their category. Files whose names, or
    whose folders, say train, val or test are the splits.
    """
    chosen = _choose(paths)
    content = [parse_coco(path) for path in chosen]
    if classes is None:
        categories = sorted({pair for file in content for pair in file.categories.items()})
        classes = number_classes(name for _, name in categories)
        if len(classes.names) > MAX_CLASSES:
            raise ValueError(f'{printable(chosen[0])}: {len(classes.names)} categories; at most '
                             f'{MAX_CLASSES} are possible. List those you need in classes.txt')
    stored = images_by_file_name(folder)
    rows = [(file, image) for file in content for image in file.images.values()]
    near = {file.path: [*_folders_near(root, file.path), folder] for file in content}
    most = folder_of_most(stored, folder)
    images = [_image_path(most, image, near[file.path], stored) for file, image in rows]
    names = names_of(images, folder)
    if doubles := repeated(names):
        raise repeated_image(doubles[0], names, [file.path for file, _ in rows],
                             'rename one of the two, in "file_name" too')
    files = {name: (image, file.path) for name, image, (file, _) in zip(names, images, rows)}
    by_image = {image: row for image, (_, row) in zip(images, rows)}
    by_path = {file.path: file for file in content}
    known = classes

    def read(files: Files, read_image: ReadImage) -> tuple[Array, Array]:
        image_path, path = files
        if image_path not in by_image:                  # a list names an image that is not there
            raise ImageError(f'{printable(path)}: no image {printable(image_path.name)} in it; '
                             f'correct the list of names')
        return _read_labelled(image_path, by_path[path], by_image[image_path], known, read_image)

    splits = group_by_split(names, [file.path.relative_to(root) for file, _ in rows])
    shown = ' and '.join(printable(path.relative_to(root)) for path in chosen[:3])
    described = describe_classes(classes, 'by the ids of their categories')
    return LabelFiles(f'COCO, {count(len(rows), "image")} in {shown}; {described}', classes, files,
                      read, splits, root)


def _choose(paths: Sequence[Path]) -> list[Path]:
    """Those that hold segmentations: of COCO's own files, captions_… and person_… do not."""
    instances = [path for path in paths if path.name.startswith('instances')]
    return instances or list(paths)


def _folders_near(root: Path, path: Path) -> list[Path]:
    """Where to look for the images of a JSON file: in its folder, and in those of its split."""
    split = split_in(path.relative_to(root))
    folders = [folder for above in (root, root / 'images') if above.is_dir()
               for folder in sorted(above.iterdir()) if folder.is_dir()]
    own = [folder for folder in folders if split and split_in(Path(folder.name)) == split]
    return [path.parent, root, *own]


def _image_path(folder: Path, image: CocoImage, near: Sequence[Path],
                stored: Mapping[str, Sequence[Path]]) -> Path:
    file_name = image.row['file_name']
    found = find_image(stored, file_name, near)
    return found or folder / Path(file_name.replace('\\', '/')).name


# ---- masks ---------------------------------------------------------------------------------------

def _read_labelled(image_path: Path, file: CocoFile, image: CocoImage,
                   classes: Classes, read_image: ReadImage) -> tuple[Array, Array]:
    source = printable(file.path, limit=None)
    height, width = image.row.get('height'), image.row.get('width')
    stated = (height, width) if type(height) is int and type(width) is int else None
    pixels = read_image_of(image_path, stated, source, read_image)
    label = np.full(pixels.shape[:2], outside_number(classes), 'uint8')
    size = label.shape
    crowds = [pair for pair in image.annotations if pair[1].get('iscrowd')]
    others = [pair for pair in image.annotations if not pair[1].get('iscrowd')]
    for number, annotation in [*crowds, *others]:
        place = (f"{source}: annotation {number} (id {printable(annotation.get('id'), limit=20)}, "
                 f"image {printable(image_path.name)!r})")
        category = annotation.get('category_id')
        if category not in file.categories:
            raise ImageError(f'{place}: its category_id is {printable(category, limit=20)}, and '
                             f'no category has this id; {EXPORT}, or add it to "categories"')
        name = file.categories[category]
        is_crowd = bool(annotation.get('iscrowd'))
        value = VOID if is_crowd else class_number(name, classes, place)
        label[draw_annotation(annotation, size, place)] = value
    return pixels, label


def draw_annotation(annotation: Mapping[str, Any], size: tuple[int, ...],
                    place: str) -> NDArray[np.bool_]:
    """The pixels of an annotation, as pycocotools' annToMask has them. -> (H, W) bool"""
    height, width = size
    shape = annotation.get('segmentation')
    if shape is None or shape == []:
        raise ImageError(f'{place}: it has no segmentation, which is a polygon or run lengths; '
                         f'draw its outline, or remove the annotation')
    try:
        if isinstance(shape, dict):
            return _decode(shape, height, width)
        if isinstance(shape, list):
            parts = [draw_polygon(_coordinates(polygon), height, width) for polygon in shape]
            return reduce(np.logical_or, parts)
    except ValueError as error:
        raise ImageError(f'{place}: {error}; {EXPORT}, or remove the annotation') from None
    raise ImageError(f'{place}: its segmentation is {printable(shape, limit=40)}, neither a list '
                     f'of polygons nor run lengths; {EXPORT}')


def _decode(shape: Mapping[str, Any], height: int, width: int) -> NDArray[np.bool_]:
    counts = shape.get('counts')
    if shape.get('size') != [height, width]:
        raise ValueError(f'its run lengths have the size {printable(shape.get("size"), limit=40)}, '
                         f'and the image has [{height}, {width}]')
    if isinstance(counts, str):
        counts = decode_text(counts)
    if not isinstance(counts, list) or not all(type(length) is int for length in counts):
        raise ValueError('its counts are neither a text nor a list of whole numbers')
    return decode_counts(counts, height, width)


def _coordinates(polygon: object) -> list[float]:
    if not isinstance(polygon, list) or not all(type(part) in (int, float) for part in polygon):
        raise ValueError(f'its polygon is {printable(polygon, limit=40)}, not a list of numbers '
                         f'x1, y1, x2, y2, …')
    if len(polygon) % 2 or len(polygon) < 6:
        raise ValueError(f'its polygon has {len(polygon)} numbers, and one needs x and y of at '
                         f'least 3 points')
    far = [part for part in polygon if not abs(part) <= MAX_COORDINATE]         # or NaN
    if far:
        raise ValueError(f'its polygon has the coordinate {far[0]:g}, far outside of any image')
    return polygon


# ---- the file ------------------------------------------------------------------------------------

def parse_coco(path: Path) -> CocoFile:
    """The images, annotations and categories of a JSON file."""
    stat = path.stat()
    return _cached_file(path, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=4)                   # a folder is opened for training, validation and test
def _cached_file(path: Path, date: int, size: int) -> CocoFile:
    source = printable(path, limit=None)
    data = require_type(read_json(path, WHAT), dict, source, f'{WHAT} should be; {EXPORT}')
    rows: dict[str, list[Any]] = {}
    for key in 'images', 'categories', 'annotations':
        rows[key] = require_type(require_key(data, key, source, f'this is not {WHAT}: {EXPORT}'),
                                 list, source, f'a list of {key} should be; {EXPORT}')
        for number, row in enumerate(rows[key], start=1):
            require_type(row, dict, f'{source}: row {number} of {key}',
                         f'a table should be; {EXPORT}')
    if not rows['images']:
        raise ValueError(f'{source}: its list of images is empty; {EXPORT}')
    if rows['annotations'] and not any(row.get('segmentation') for row in rows['annotations']):
        raise ValueError(f'{source}: none of its {len(rows["annotations"]):,} annotations has a '
                         f'segmentation; boxes alone cannot be trained on: draw outlines')
    categories = _parse_categories(rows['categories'], source)
    images: dict[int | str, CocoImage] = {}
    for number, row in enumerate(rows['images'], start=1):
        place = f'{source}: row {number} of images'
        key = require_type(require_key(row, 'id', place, EXPORT), (int, str), place,
                           f'its id should be; {EXPORT}')
        name = require_type(require_key(row, 'file_name', place, EXPORT), str, place,
                            f'its file_name should be; {EXPORT}')
        if not Path(name.replace('\\', '/')).name or '\0' in name:
            raise ValueError(f'{place}: {printable(name)!r} is no name of a file; {EXPORT}')
        if key in images:
            raise ValueError(f'{place}: its id {key} is that of another image, too; {EXPORT}')
        images[key] = CocoImage(row, [])
    for number, row in enumerate(rows['annotations'], start=1):
        key = row.get('image_id')
        if not isinstance(key, (int, str)) or key not in images:
            raise ValueError(f'{source}: annotation {number}: its image_id is '
                             f'{printable(key, limit=20)}, and no image has this id; {EXPORT}')
        images[key].annotations.append((number, row))
    return CocoFile(path, images, _without_groups(categories, rows))


def _without_groups(categories: dict[int, str],
                    rows: Mapping[str, Sequence[Mapping[str, Any]]]) -> dict[int, str]:
    """Without those that only name a group of others, as Roboflow writes, and that nothing has."""
    groups = [row.get('supercategory') for row in rows['categories']
              if row.get('supercategory') != row['name'].strip()]
    used = {row.get('category_id') for row in rows['annotations']
            if isinstance(row.get('category_id'), int)}
    return {id: name for id, name in categories.items() if name not in groups or id in used}


def _parse_categories(rows: Sequence[Mapping[str, Any]], source: str) -> dict[int, str]:
    categories: dict[int, str] = {}
    for number, row in enumerate(rows, start=1):
        place = f'{source}: row {number} of categories'
        key = require_type(require_key(row, 'id', place, EXPORT), int, place,
                           f'its id should be; {EXPORT}')
        name = require_type(require_key(row, 'name', place, EXPORT), str, place,
                            f'its name should be; {EXPORT}').strip()
        if not name or any(map(is_control, name)):
            raise ValueError(f"{place}: '{printable(name)}' is no name; give it one that can be "
                             f"printed")
        if key in categories or name in categories.values():
            raise ValueError(f'{place}: another one has its id {key} or its name '
                             f'{printable(name)!r}, too; give each its own')
        categories[key] = name
    if not categories:
        raise ValueError(f'{source}: its list of categories is empty; {EXPORT}')
    return categories
