"""Your own images: a folder of images, one of masks, and the names of the classes."""
import os
import unicodedata
from collections.abc import Container, Mapping
from pathlib import Path
from typing import NamedTuple

from ..files import describe_folder, printable
from .dataset import Dataset
from .images import Colour, read_label, read_pair
from .labels import VOID, Array
from .layouts import describe_layout
from .lists import read_lines, read_split_or_all
from .paths import images_by_stem

MAX_CLASSES = 255
MAX_NAME = 255                  # characters of the name of a class
# the mask of IMG.jpg may be IMG.png, or have one of these in addition, such as IMG_mask.png
MASK_ENDINGS = '_mask', '-mask', '_label', '-label'
# Unicode's controls, lone surrogates and line breaks; and what reverses the direction of a text
CONTROL_CATEGORIES = 'Cc', 'Cs', 'Zl', 'Zp'
DIRECTIONS = 'LRE', 'RLE', 'PDF', 'LRO', 'RLO', 'LRI', 'RLI', 'FSI', 'PDI'


class Classes(NamedTuple):
    """The names of the classes, and the numbers of their colours in RGB masks."""

    names: list[str]
    colours: dict[Colour, int]


def folder(root: str | Path, split: str | Path | None = None) -> Dataset:
    """root/images/<name>.*, root/masks/<name>.* and root/classes.txt, one class a line.

    Greyscale and palette masks hold numbers: 0 is the first class and 255 is void. For RGB masks a
    line of classes.txt is 'R G B name', and 'R G B void' is the colour of void; predictions are
    drawn in these colours. root/<split>.txt may list names; without train.txt, what val.txt and
    test.txt do not list is trained on.
    """
    root = Path(root)
    is_complete = all(os.path.exists(root / part) for part in ('images', 'masks', 'classes.txt'))
    if not is_complete and (layout := describe_layout(root)):
        raise ValueError(f'{printable(root)}: {layout}')
    classes = read_classes(root / 'classes.txt')
    images = images_by_stem(root / 'images')
    masks = masks_by_image(root, images)

    def files(name: str) -> tuple[Path, Path]:
        # a missing file is reported as .png when it is opened
        return (images.get(name, root / 'images' / f'{name}.png'),
                masks.get(name, root / 'masks' / f'{name}.png'))

    def read(name: str) -> tuple[Array, Array]:
        return read_pair(*files(name), lambda path: read_label(path, classes.colours))

    colours = {classes.names[number]: colour for colour, number in classes.colours.items()
               if number != VOID}
    return Dataset(classes.names, read_split_or_all(root, split, images), read, files, colours)


# ---- masks ---------------------------------------------------------------------------------------

def masks_by_image(root: Path, images: Container[str]) -> dict[str, Path]:
    """{name of an image: its mask}. A mask without an image has its own name here."""
    stored = images_by_stem(root / 'masks')
    masks: dict[str, Path] = {}
    for name, path in stored.items():
        image = _image_of(name, images, stored)
        if image in masks:
            raise ValueError(f'{printable(masks[image])} and {printable(path.name)}: two masks of '
                             f'one image; remove one of them')
        masks[image] = path
    return masks


def masks_without_image(root: str | Path) -> list[Path]:
    """The masks of a folder that belong to no image in it."""
    root = Path(root)
    images = images_by_stem(root / 'images')
    return [path for name, path in masks_by_image(root, images).items() if name not in images]


def _image_of(mask: str, images: Container[str], masks: Mapping[str, Path]) -> str:
    """The name of the image that a mask belongs to: its own, or that without an ending."""
    for ending in MASK_ENDINGS:
        image = mask[:-len(ending)]
        if (mask not in images and mask.lower().endswith(ending) and image in images
                and image not in masks):
            return image
    return mask


# ---- classes -------------------------------------------------------------------------------------

def read_classes(path: Path) -> Classes:
    """The lines 'name' or 'R G B name' of classes.txt; void has a colour, but no number."""
    source = printable(path)
    if not os.path.exists(path):
        raise FileNotFoundError(f'{source}: no such file; write the names of the classes, one a '
                                f'line, that of number 0 first. '
                                f'{describe_folder(path.parent)}')
    names: list[str] = []
    colours: dict[Colour, int] = {}
    for line, text in read_lines(path):
        name, colour = _parse_class(text)
        if len(name) > MAX_NAME:
            raise ValueError(f"{source}, line {line}: '{printable(name, limit=40)}' is a name of "
                             f"{len(name):,} characters; write at most {MAX_NAME}")
        if any(map(_is_control, name)):
            raise ValueError(f"{source}, line {line}: '{printable(name)}' has a control character; "
                             f"write a name that can be printed")
        if name in names or colour in colours or max(colour, default=0) > 255:
            raise ValueError(f"{source}, line {line}: '{printable(text)}'; every class has one "
                             f"line, and a colour of its own, of three numbers 0 … 255")
        if name == 'void' and not colour:
            raise ValueError(f"{source}, line {line}: void is not a class; it is 255 in greyscale "
                             f"and palette masks, and a line 'R G B void' gives its colour in RGB "
                             f"masks")
        if colour:
            colours[colour] = VOID if name == 'void' else len(names)
        if name != 'void':
            names.append(name)
    if not 1 <= len(names) <= MAX_CLASSES:
        raise ValueError(f'{source}: {len(names)} classes; write 1 … {MAX_CLASSES}, one a line')
    return Classes(names, colours)


def _parse_class(text: str) -> tuple[str, Colour]:
    """'128 0 64 road sign' -> 'road sign', (128, 0, 64); a line without a colour is all name."""
    *colour, name = text.split(None, 3)
    if len(colour) < 3 or not all(part.isdecimal() and len(part) < 4 for part in colour):
        return text, ()
    return name, tuple(map(int, colour))


def _is_control(character: str) -> bool:
    """Whether a terminal or a drawing would obey this character, and not show it."""
    return (unicodedata.category(character) in CONTROL_CATEGORIES
            or unicodedata.bidirectional(character) in DIRECTIONS)
