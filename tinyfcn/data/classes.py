"""The classes of images of your own: their names, and their colours in masks."""
import os
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ..files import describe_folder, printable
from .images import Colour
from .json_file import read_json
from .labels import VOID
from .lists import read_lines

MAX_CLASSES = 255
MAX_NAME = 255                  # characters of the name of a class
BACKGROUND = 'background'
# Unicode's controls, lone surrogates and line breaks; and what reverses the direction of a text
CONTROL_CATEGORIES = 'Cc', 'Cs', 'Zl', 'Zp'
DIRECTIONS = 'LRE', 'RLE', 'PDF', 'LRO', 'RLO', 'LRI', 'RLI', 'FSI', 'PDI'
# LabelMe's names for what has no class, and for what is left over
LABELME_IGNORE = '__ignore__'
LABELME_BACKGROUND = '_background_'
# a colour in a line of another form than 'R G B name'
COLOUR = r'(?P<red>\d{1,3})[\s,;]+(?P<green>\d{1,3})[\s,;]+(?P<blue>\d{1,3})'


class Classes(NamedTuple):
    """The names of the classes, and the numbers of their colours in RGB masks."""

    names: list[str]
    colours: dict[Colour, int]
    source: str = 'classes.txt'         # the name of the file that has them; '' without one


class Entry(NamedTuple):
    """A class as a file has it: where, its name, its colour, or () without one."""

    place: str                          # such as 'line 3'
    text: str                           # what stands there
    name: str
    colour: Colour


def find_classes(root: Path) -> Classes | None:
    """The classes that a file in the folder lists; None if there is no such file."""
    for name, read in READERS.items():
        if os.path.lexists(root / name):
            return _collect(root / name, read(root / name))
    return None


def read_classes(path: Path) -> Classes:
    """The lines 'name' or 'R G B name' of classes.txt; void has a colour, but no number."""
    return _collect(path, _read_text(path))


def missing_classes(root: Path, found: str = '') -> FileNotFoundError:
    """An error to raise where no file lists the classes. found: what the masks hold."""
    others = sorted(path.name for path in root.glob('*.txt')
                    if path.stem not in ('train', 'val', 'test', 'channels'))
    renamed = f'If {printable(others[0])} lists them, rename it. ' if others else ''
    return FileNotFoundError(
        f'{printable(root / "classes.txt")}: no such file; write the names of the classes, one a '
        f'line, that of number 0 first. {renamed}{found}{describe_folder(root)}')


def number_classes(names: Iterable[str]) -> Classes:
    """Classes of polygons, where no file lists them: the background is 0, then these.

    >>> number_classes(['cat', 'dog', 'void']).names
    ['background', 'cat', 'dog']
    """
    own = [name for name in dict.fromkeys(names) if not is_void(name) and not is_background(name)]
    return Classes([BACKGROUND, *own], {}, '')


def is_background(name: str) -> bool:
    return name in (BACKGROUND, LABELME_BACKGROUND)


def is_void(name: str) -> bool:
    return name in ('void', LABELME_IGNORE)


def outside_number(classes: Classes) -> int:
    """What a pixel is that no polygon covers: the background, or void without such a class."""
    return classes.names.index(BACKGROUND) if BACKGROUND in classes.names else VOID


def is_control(character: str) -> bool:
    """Whether a terminal or a drawing would obey this character, and not show it."""
    return (unicodedata.category(character) in CONTROL_CATEGORIES
            or unicodedata.bidirectional(character) in DIRECTIONS)


def _collect(path: Path, entries: Iterable[Entry]) -> Classes:
    """The classes in the order of a file, each checked."""
    source = printable(path)
    names: list[str] = []
    colours: dict[Colour, int] = {}
    for place, text, name, colour in entries:
        if is_background(name):
            name = BACKGROUND
        if len(name) > MAX_NAME:
            raise ValueError(f"{source}, {place}: '{printable(name, limit=40)}' is a name of "
                             f"{len(name):,} characters; write at most {MAX_NAME}")
        if any(map(is_control, name)):
            raise ValueError(f"{source}, {place}: '{printable(name)}' has a control character; "
                             f"write a name that can be printed")
        if problem := _problem_of(name, colour, names, colours):
            raise ValueError(f"{source}, {place}: '{printable(text)}'; {problem}")
        if name == 'void' and not colour:
            raise ValueError(f"{source}, {place}: void is not a class; it is 255 in greyscale "
                             f"and palette masks, and a line 'R G B void' gives its colour in RGB "
                             f"masks")
        if colour:
            colours[colour] = VOID if is_void(name) else len(names)
        if not is_void(name):
            names.append(name)
    if not 1 <= len(names) <= MAX_CLASSES:
        raise ValueError(f'{source}: {len(names)} classes; write 1 … {MAX_CLASSES}, one a line')
    return Classes(names, colours, path.name)


def _problem_of(name: str, colour: Colour, names: Sequence[str],
                colours: Mapping[Colour, int]) -> str:
    """What is wrong with a class beside those before it; '' if nothing."""
    if not name:
        return 'every class has a name'
    if name in names:
        return f'{printable(name)!r} is listed twice; remove one of the two lines'
    if colour in colours:
        return 'every class has one line, and a colour of its own'
    if max(colour, default=0) > 255:
        return 'every class has a colour of three numbers 0 … 255'
    return ''


# ---- the files that tools write ------------------------------------------------------------------

def _read_text(path: Path) -> Iterator[Entry]:
    """Lines 'name' or 'R G B name'."""
    if not os.path.exists(path):
        raise missing_classes(path.parent)
    lines = list(read_lines(path))
    for first in 0, 1:
        if len(lines) > 1 and all(_begins_with(text, number)
                                  for number, (_, text) in enumerate(lines, start=first)):
            raise ValueError(f"{printable(path)}, line {lines[0][0]}: '{printable(lines[0][1])}' "
                             f"begins with a number; write only the names, for the first line is "
                             f"class 0, and so on")
    for line, text in lines:
        name, colour = _parse_class(text)
        if not colour and (right := _in_order(text)):
            raise ValueError(f"{printable(path)}, line {line}: '{printable(text)}' is not "
                             f"'R G B name'; write '{printable(right)}'")
        yield Entry(f'line {line}', text, name, colour)


def _begins_with(text: str, number: int) -> bool:
    """Whether a number stands before a name, as in '1 cat', '1: cat' or '1, cat'."""
    return re.match(rf'{number}[\s:=.,;)]+[^\W\d]', text) is not None


def _in_order(text: str) -> str:
    """'road 128 0 64' or '128,0,64,road' -> '128 0 64 road'; '' of another line."""
    if len(text) > MAX_NAME:
        return ''
    match = (re.fullmatch(rf'(?P<name>.*[^\W\d].*?)[\s,;:=]+{COLOUR}', text)
             or re.fullmatch(rf'{COLOUR}[\s,;:=]+(?P<name>.*[^\W\d].*)', text))
    return '{red} {green} {blue} {name}'.format(**match.groupdict()) if match else ''


def _parse_class(text: str) -> tuple[str, Colour]:
    """'128 0 64 road sign' -> 'road sign', (128, 0, 64); a line without a colour is all name."""
    *colour, name = text.split(None, 3)
    if len(colour) < 3 or not all(part.isdecimal() and len(part) < 4 for part in colour):
        return text, ()
    return name, tuple(map(int, colour))


def _read_labelmap(path: Path) -> Iterator[Entry]:
    """CVAT's lines 'name:R,G,B:parts:actions', of which the first is a comment."""
    for line, text in read_lines(path):
        if text.startswith('#'):
            continue
        match = re.fullmatch(r'(.+?):(?:(\d{1,3}),(\d{1,3}),(\d{1,3}))?:[^:]*:[^:]*', text)
        if not match:
            raise ValueError(f"{printable(path)}, line {line}: '{printable(text, limit=80)}' is "
                             f"not 'name:R,G,B::'; export from CVAT again, or write classes.txt")
        name, *colour = match.groups()
        yield Entry(f'line {line}', text, name.strip(),
                    tuple(int(part) for part in colour if part is not None))


def _read_json(path: Path) -> Iterator[Entry]:
    """{name: colour}, or a list of {"name": …, "color": …}, also below "classes" or "labels".

    A colour is [R, G, B] or "#rrggbb".
    """
    table = read_json(path, 'a table of colours')
    if isinstance(table, dict):
        below = next((table[key] for key in ('classes', 'labels')
                      if isinstance(table.get(key), list)), None)
        table = below if below is not None else [
            dict(name=name, color=colour) for name, colour in table.items()]
    if not isinstance(table, list):
        raise ValueError(f'{printable(path)}: not a table of colours; write '
                         f'{{"name": [R, G, B], …}}')
    for number, row in enumerate(table, start=1):
        place = f'class {number}'
        if isinstance(row, str):
            row = dict(name=row)
        name = next((row[key] for key in ('name', 'title', 'readable') if key in row), None
                    ) if isinstance(row, dict) else None
        if not isinstance(name, str):
            raise ValueError(f'{printable(path)}, {place}: {printable(row, limit=80)} has no '
                             f'name; write {{"name": …, "color": [R, G, B]}}')
        value = row.get('color', row.get('colour'))
        yield Entry(place, f'{name}: {value}', name.strip(), _parse_colour(path, place, value))


def _parse_colour(path: Path, place: str, value: Any) -> Colour:
    """[0, 128, 255] or '#0080ff' -> (0, 128, 255); None -> ()"""
    if value is None:
        return ()
    if isinstance(value, str) and re.fullmatch('#[0-9a-fA-F]{6}', value):
        return tuple(bytes.fromhex(value[1:]))
    if (isinstance(value, list) and len(value) == 3
            and all(type(part) is int and part >= 0 for part in value)):
        return tuple(value)
    raise ValueError(f'{printable(path)}, {place}: {printable(value, limit=60)} is no colour; '
                     f'write [R, G, B], three numbers 0 … 255, or "#rrggbb"')


# the first that is there is taken
READERS: dict[str, Callable[[Path], Iterator[Entry]]] = {
    'classes.txt': _read_text,
    'class_names.txt': _read_text,                      # of labelme2voc
    'labels.txt': _read_text,                           # of LabelMe
    'labelmap.txt': _read_labelmap,                     # of CVAT
    'classes.json': _read_json,
    'colors.json': _read_json,
    'colours.json': _read_json,
}
