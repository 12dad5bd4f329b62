"""Your own images: a folder of images, one of masks, and the names of the classes."""
from pathlib import Path
from typing import NamedTuple

from ..files import describe_folder
from .dataset import Dataset
from .images import Colour, read_label, read_pair
from .labels import VOID, Array
from .lists import read_lines, read_split_or_all
from .paths import images_by_stem

MAX_CLASSES = 255


class Classes(NamedTuple):
    """The names of the classes, and the numbers of their colours in RGB masks."""

    names: list[str]
    colours: dict[Colour, int]


def folder(root: str | Path, split: str | Path | None = None) -> Dataset:
    """root/images/<name>.*, root/masks/<name>.* and root/classes.txt, one class a line.

    Greyscale and palette masks hold numbers: 0 is the first class and 255 is void. For RGB masks a
    line of classes.txt is 'R G B name', and 'R G B void' is the colour of void. root/<split>.txt
    may list names.
    """
    root = Path(root)
    classes = read_classes(root / 'classes.txt')
    images = images_by_stem(root / 'images')
    masks = images_by_stem(root / 'masks')

    def files(name: str) -> tuple[Path, Path]:
        # a missing file is reported as .png when it is opened
        return (images.get(name, root / 'images' / f'{name}.png'),
                masks.get(name, root / 'masks' / f'{name}.png'))

    def read(name: str) -> tuple[Array, Array]:
        return read_pair(*files(name), lambda path: read_label(path, classes.colours))

    return Dataset(classes.names, read_split_or_all(root, split, lambda: images), read, files)


def read_classes(path: Path) -> Classes:
    """The lines 'name' or 'R G B name' of classes.txt; void has a colour, but no number."""
    if not path.is_file():
        raise FileNotFoundError(f'{path}: no such file; write the names of the classes, one a '
                                f'line, that of number 0 first. {describe_folder(path.parent)}')
    names: list[str] = []
    colours: dict[Colour, int] = {}
    for line, text in read_lines(path):
        name, colour = _parse_class(text)
        if name in names or colour in colours or max(colour, default=0) > 255:
            raise ValueError(f'{path}, line {line}: {text!r}; every class has one line, and a '
                             f'colour of its own, of three numbers 0 … 255')
        if name == 'void' and not colour:
            raise ValueError(f"{path}, line {line}: void is not a class; it is 255 in greyscale "
                             f"and palette masks, and a line 'R G B void' gives its colour in RGB "
                             f"masks")
        if colour:
            colours[colour] = VOID if name == 'void' else len(names)
        if name != 'void':
            names.append(name)
    if not 1 <= len(names) <= MAX_CLASSES:
        raise ValueError(f'{path}: {len(names)} classes; write 1 … {MAX_CLASSES}, one a line')
    return Classes(names, colours)


def _parse_class(text: str) -> tuple[str, Colour]:
    """'128 0 64 road sign' -> 'road sign', (128, 0, 64); a line without a colour is all name."""
    *colour, name = text.split(None, 3)
    if len(colour) < 3 or not all(part.isdecimal() for part in colour):
        return text, ()
    return name, tuple(map(int, colour))
