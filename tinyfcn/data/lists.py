"""Text files that list the names of images, one a line."""
import os
from collections.abc import Collection, Iterator
from pathlib import Path

from ..files import open_regular, printable
from ..files.regular import MAX_TEXT
from .paths import IMAGE_SUFFIXES

MAX_NAME = 255                  # bytes: file systems allow no more
MAX_LINES = 2_000_000
HELD_OUT = 'val', 'test'        # splits that are not trained on


def read_split(folder: Path, split: str | Path) -> list[str]:
    """The names that a list has.

    A split with a suffix is the path of the list, such as 'lists/mine.txt'. Without one, such as
    'train', it stands for <folder>/train.txt.
    """
    path = Path(split) if Path(split).suffix else folder / f'{split}.txt'
    if not os.path.exists(path):
        found = ', '.join(sorted(other.name for other in path.parent.glob('*.txt')))
        raise FileNotFoundError(f'{printable(path)}: no such list; the .txt files in '
                                f'{printable(path.parent)} are: {printable(found) or "none"}')
    return read_list(path)


def read_split_or_all(folder: Path, split: str | Path | None, known: Collection[str]) -> list[str]:
    """As read_split, for a data set whose images are `known`. Names in lists may have a suffix.

    split None: all images. 'train', if there is no train.txt: all that no other list names.
    """
    if split is None:
        return list(known)
    if split != 'train' or os.path.exists(folder / 'train.txt'):
        return [_without_suffix(name, known) for name in read_split(folder, split)]
    lists = [other for other in HELD_OUT if os.path.exists(folder / f'{other}.txt')]
    held_out = {_without_suffix(name, known)
                for other in lists for name in read_split(folder, other)}
    rest = [name for name in known if name not in held_out]
    if not rest:
        raise ValueError(f'{printable(folder)}: {" and ".join(f"{name}.txt" for name in lists)} '
                         f'names all {len(known):,} images, so none is left to train on; write '
                         f'train.txt, or a shorter list')
    return rest


def _without_suffix(name: str, known: Collection[str]) -> str:
    """'IMG_1.jpg' -> 'IMG_1', unless there is an image IMG_1.jpg.png"""
    stem, suffix = os.path.splitext(name)
    return stem if name not in known and suffix.lower() in IMAGE_SUFFIXES else name


def read_list(path: str | Path) -> list[str]:
    """The names in a text file, one a line.

    A path is refused: with .. in it, it would name a file outside the data set.
    """
    names = []
    for number, name in read_lines(path):
        if '/' in name or '\\' in name or name == '..':
            raise ValueError(f"{printable(path)}, line {number}: '{printable(name)}' is a path; "
                             f"write the name of an image, without its folder")
        length = len(name.encode())
        if length > MAX_NAME:
            raise ValueError(f'{printable(path)}, line {number}: a name of {length:,} bytes; a '
                             f'file has at most {MAX_NAME}. Write the name of an image')
        names.append(name)
    if not names:
        raise ValueError(f'{printable(path)}: the list is empty; write the names of images, one a '
                         f'line')
    return names


def read_lines(path: str | Path) -> Iterator[tuple[int, str]]:
    """-> number and text of each line that is not blank. A BOM and Windows line ends are fine."""
    for number, line in enumerate(read_bytes(path).splitlines(), start=1):
        text = _decode(line)
        if text is None:
            raise ValueError(f'{printable(path)}, line {number}: {line[:40]!r} is not UTF-8; save '
                             f'the file as UTF-8')
        if text:
            yield number, text


def read_bytes(path: str | Path) -> bytes:
    """The content of a list, which has a limit."""
    with open_regular(path) as file:
        data = file.read(MAX_TEXT + 1)
    if len(data) > MAX_TEXT:
        raise ValueError(f'{printable(path)}: more than {MAX_TEXT:,} bytes; this is no list')
    if data.count(b'\n') + data.count(b'\r') > MAX_LINES:   # each of which becomes an object
        raise ValueError(f'{printable(path)}: more than {MAX_LINES:,} lines; this is no list')
    return data


def _decode(line: bytes) -> str | None:
    """The text of a line; None if it is not UTF-8. UTF-16 has zero bytes, which no text has."""
    try:
        text = line.decode('utf-8-sig')
    except UnicodeDecodeError:
        return None
    return None if '\0' in text else text.strip()
