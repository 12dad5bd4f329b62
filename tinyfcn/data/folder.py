"""Your own pictures: images, masks, and the names of the classes."""
from pathlib import Path

from .dataset import Dataset
from .images import read_label, read_pair
from .lists import inventory, read_lines, read_split_or_all

SUFFIXES = '.jpg .jpeg .png .bmp .tif .tiff .webp .gif .ppm .pgm'.split()


def folder(root, split=None):
    """root/images/<name>.* with root/masks/<name>.*, and root/classes.txt, one class a line.

    A grey or palette mask holds numbers: 0 is the first class, 255 is void. For RGB masks a line
    is 'R G B name', and 'R G B void' says what is void. root/<split>.txt may list names.
    """
    root = Path(root)
    classes, colours = read_classes(root / 'classes.txt')
    images, masks = by_stem(root / 'images'), by_stem(root / 'masks')

    def files(name):
        return [found.get(name, root / place / f'{name}.png')
                for found, place in [(images, 'images'), (masks, 'masks')]]

    def read(name):
        return read_pair(*files(name), lambda path: read_label(path, colours))

    return Dataset(classes, read_split_or_all(root, split, lambda: images), read, files)


def read_classes(path):
    """-> the names; {(red, green, blue): number} of the lines that begin with a colour"""
    if not path.is_file():
        raise FileNotFoundError(f'{path}: no such file; write the names of the classes, one a '
                                f'line, that of number 0 first. {inventory(path.parent)}')
    names, colours = [], {}
    for line, text in read_lines(path):
        *colour, name = text.split(None, 3)
        if len(colour) < 3 or not all(part.isdecimal() for part in colour):
            colour, name = [], text
        colour = tuple(map(int, colour))
        if name in names or colour in colours or max(colour, default=0) > 255:
            raise ValueError(f'{path}, line {line}: {text!r}; every class has one line, and a '
                             f'colour of its own, of three numbers 0 … 255')
        if name == 'void' and not colour:
            raise ValueError(f"{path}, line {line}: void is no class; it is 255 in grey and "
                             f"palette masks, and in RGB masks what a line 'R G B void' says")
        if colour:
            colours[colour] = 255 if name == 'void' else len(names)
        if name != 'void':                              # which may have colours, but no number
            names.append(name)
    if not 1 <= len(names) <= 255:
        raise ValueError(f'{path}: {len(names)} classes; there may be 1 … 255, one a line')
    return names, colours


def by_stem(place):
    """{stem: path} of the pictures in a folder, whatever their kind."""
    found = {}
    for path in sorted(place.iterdir()) if place.is_dir() else []:
        if path.suffix.lower() not in SUFFIXES or path.name.startswith('.'):
            continue
        if path.stem in found:
            raise ValueError(f'{path} and {found[path.stem].name}: two pictures of one name; '
                             f'rename one of them')
        found[path.stem] = path
    if not found:
        raise ValueError(f'{place}: no pictures ({", ".join(SUFFIXES)}); {inventory(place)}')
    return found
