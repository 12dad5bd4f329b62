"""Text files that list the names of images, one a line."""
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path


def read_split(folder: Path, split: str | Path) -> list[str]:
    """The names in <folder>/<split>.txt, or in the file that `split` is the path of."""
    path = Path(split) if Path(split).suffix else folder / f'{split}.txt'
    if not path.is_file():
        found = ', '.join(sorted(other.name for other in path.parent.glob('*.txt')))
        raise FileNotFoundError(f'{path}: no such list; the .txt files in {path.parent} are: '
                                f'{found or "none"}')
    return read_list(path)


def read_split_or_all(folder: Path, split: str | Path | None,
                      all_names: Callable[[], Iterable[str]]) -> list[str]:
    """As read_split. All names where `split` is None, or 'train' in a folder without lists."""
    has_lists = any((folder / f'{name}.txt').exists() for name in ('train', 'val', 'test'))
    if split is None or split == 'train' and not has_lists:
        return list(all_names())
    return read_split(folder, split)


def read_list(path: str | Path) -> list[str]:
    """The names in a text file, one a line. A path is not a name: it could leave the data set."""
    names = []
    for number, name in read_lines(path):
        if '/' in name or '\\' in name or '..' in name:
            raise ValueError(f'{path}, line {number}: {name!r} is a path; write the name of an '
                             f'image, without folder and suffix')
        names.append(name)
    if not names:
        raise ValueError(f'{path}: the list is empty; write the names of images, one a line')
    return names


def read_lines(path: str | Path) -> Iterator[tuple[int, str]]:
    """-> number and text of each line that is not blank. A BOM and Windows line ends are fine."""
    for number, line in enumerate(Path(path).read_bytes().splitlines(), start=1):
        try:
            text = line.decode('utf-8-sig').strip()
        except UnicodeDecodeError:
            text = '\0'
        if '\0' in text:                                # UTF-16 has zero bytes
            raise ValueError(f'{path}, line {number}: {line[:40]!r} is not UTF-8; save the file as '
                             f'UTF-8')
        if text:
            yield number, text
