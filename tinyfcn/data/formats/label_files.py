"""What a folder holds: images, the files with their labels, and how these are read."""
import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import NamedTuple
from unicodedata import normalize

from ...files import ImageError, printable
from ..classes import Classes, is_background, is_void, outside_number
from ..labels import VOID, Array
from ..paths import IMAGE_SUFFIXES
from .splits import split_in

MAX_DEPTH = 4                   # folders within folders that are looked into

Files = tuple[Path, Path]       # an image, and the file with its label
ReadImage = Callable[[Path, 'tuple[int, ...] | None'], Array]       # path, size of the mask


class LabelFiles(NamedTuple):
    """The labels of a folder, as one of the formats has them."""

    description: str                            # such as 'LabelMe, 12 JSON files'
    classes: Classes
    files: Mapping[str, Files]                  # by the name of the image
    read: Callable[[Files, ReadImage], tuple[Array, Array]]     # -> image, label
    splits: Mapping[str, list[str]]             # names, as the format itself splits them, or {}
    lists: Path                                 # the folder of train.txt, val.txt and test.txt
    unused: Sequence[Path] = ()                 # labels that belong to no image


# ---- finding images ------------------------------------------------------------------------------

def walk_files(root: Path, suffixes: Sequence[str]) -> list[Path]:
    """The files below a folder that have one of these suffixes, sorted; hidden ones are not."""
    found: list[Path] = []
    for folder, folders, names in os.walk(root):
        depth = len(Path(folder).relative_to(root).parts)
        folders[:] = sorted(name for name in folders
                            if depth < MAX_DEPTH and not name.startswith('.'))
        found += [Path(folder, name) for name in sorted(names)
                  if not name.startswith('.') and name.lower().endswith(tuple(suffixes))]
    return found


def images_by_file_name(root: Path) -> dict[str, list[Path]]:
    """{name of a file: the images of this name} below a folder."""
    found: dict[str, list[Path]] = {}
    for path in walk_files(root, IMAGE_SUFFIXES):
        found.setdefault(normalize('NFC', path.name), []).append(path)
    return found


def find_image(stored: Mapping[str, Sequence[Path]], file_name: str,
               near: Sequence[Path]) -> Path | None:
    """The image that a label file calls file_name, which may have folders in it.

    stored: from `images_by_file_name`, so nothing outside of the folder of data is opened.
    near: folders in which to look first; where several images have the name, theirs is taken.
    """
    parts = [part for part in file_name.replace('\\', '/').split('/') if part not in ('', '.')]
    if not parts:
        return None
    # some systems write an accent as a character of its own
    candidates = stored.get(normalize('NFC', parts[-1]), ())
    if len(candidates) == 1:
        return candidates[0]
    for folder in near:
        path = Path(os.path.normpath(folder.joinpath(*parts)))
        if path in candidates:
            return path
    for length in range(len(parts), 0, -1):             # the longest end that fits only one
        fitting = [path for path in candidates if path.parts[-length:] == tuple(parts[-length:])]
        if len(fitting) > 1:
            fitting = [path for path in fitting if any(path.is_relative_to(folder)
                                                       for folder in near)]
        if len(fitting) == 1:
            return fitting[0]
    return None


def folder_of_most(stored: Mapping[str, Sequence[Path]], root: Path) -> Path:
    """The folder in which most images are, so that a missing one is asked for there."""
    counts = Counter(path.parent for paths in stored.values() for path in paths)
    return counts.most_common(1)[0][0] if counts else root


def names_of(paths: Sequence[Path], root: Path) -> list[str]:
    """A name for each image: that of the file, with its folders where two would be equal.

    >>> names_of([Path('my/a.jpg'), Path('my/b.jpg')], Path('my'))
    ['a', 'b']
    >>> names_of([Path('my/x/a.jpg'), Path('my/y/a.jpg')], Path('my'))
    ['x/a', 'y/a']
    """
    stems = [path.stem for path in paths]
    if len(set(stems)) == len(stems):
        return stems
    return [Path(os.path.relpath(path, root)).with_suffix('').as_posix() for path in paths]


def group_by_split(names: Sequence[str], paths: Sequence[Path]) -> dict[str, list[str]]:
    """{split: names} if each of these paths speaks of a split; else {}

    >>> group_by_split(['a', 'b'], [Path('train/a.json'), Path('val/b.json')])
    {'train': ['a'], 'val': ['b']}
    """
    split_of = {path: split_in(path) for path in dict.fromkeys(paths)}
    splits: dict[str, list[str]] = {}
    for name, path in zip(names, paths):
        splits.setdefault(split_of[path], []).append(name)
    return {} if '' in splits else splits


def read_image_of(path: Path, stated: tuple[int, int] | None, source: str,
                  read_image: ReadImage) -> Array:
    """An image of the size that its label file states, if it states one."""
    if not path.exists():
        raise FileNotFoundError(f'{printable(path)}: no such file, and {source} has labels for it; '
                                f'put the image there, or remove its labels; if all images are '
                                f'elsewhere, name their folder: --images FOLDER')
    image = read_image(path, None)
    size = image.shape[:2]
    if stated is None or size == stated:
        return image
    if size == stated[::-1]:                            # labelled as it is stored, before turning
        try:
            return read_image(path, stated)
        except ImageError:
            pass
    raise ImageError('{}: the labels are of {}×{} pixels (rows × columns), and {} has {}×{}; use '
                     'the image that was labelled, of its full size'.format(
                         source, *stated, printable(path), *size))


# ---- names of classes ----------------------------------------------------------------------------

def class_number(name: str, classes: Classes, place: str) -> int:
    """The number of a class, or void. What is called background is as what no shape covers."""
    if is_void(name):
        return VOID
    if is_background(name):
        return outside_number(classes)
    if name in classes.names:
        return classes.names.index(name)
    near = get_close_matches(name, classes.names, n=1, cutoff=.6)
    near += [other for other in classes.names if other.casefold() == name.casefold()]
    known = printable(', '.join(classes.names), limit=120)
    hint = f'did you mean {printable(near[-1])!r}?' if near else f'known are {known}.'
    source = classes.source or 'the list of classes'
    remedy = f'add it to {source}' if classes.source else 'list all classes in classes.txt'
    raise ImageError(f'{place}: {printable(name, limit=60)!r} is not in {source}; {hint} Rename '
                     f'it, or {remedy}')


def describe_classes(classes: Classes, order: str) -> str:
    """'3 classes from labels.txt; pixels in no shape are background'

    order: in which they are, where no file lists them
    """
    source = f'from {classes.source}' if classes.source else f'({order})'
    outside = ('background' if 'background' in classes.names else
               f"void, as {classes.source} has no class 'background'")
    return f'{count(len(classes.names), "class")} {source}; pixels in no shape are {outside}'


def count(n: int, noun: str) -> str:
    """'1 image', '2 images'"""
    if n == 1:
        return f'1 {noun}'
    return f'{n:,} {noun}es' if noun.endswith('s') else f'{n:,} {noun}s'


def repeated_image(name: object, names: Sequence[str], paths: Sequence[Path],
                   advice: str) -> ImageError:
    """An error to raise where two images have one name. paths: the label file of each image."""
    first, *others = dict.fromkeys(path for own, path in zip(names, paths) if own == name)
    if others:
        return ImageError(f'{printable(first)} and {printable(others[0].name)}: both label the '
                          f'image {printable(name)}; if one is a copy of the other, remove it')
    return ImageError(f'{printable(first)}: two images are called {printable(name)}; {advice}')


def repeated(values: Iterable[object]) -> list[object]:
    """The values that occur more than once."""
    return [value for value, times in Counter(values).items() if times > 1]
