"""Lists of names, one a line, and what is in a folder."""
from collections import Counter
from pathlib import Path


def read_split(folder, split):
    """The names in <folder>/<split>.txt, or in the list that `split` is the path of."""
    path = Path(split) if Path(split).suffix else folder / f'{split}.txt'
    if not path.is_file():
        lists = ', '.join(sorted(found.name for found in path.parent.glob('*.txt')))
        raise FileNotFoundError(f'{path}: no such list; of lists {path.parent} has '
                                f'{lists or "none"}')
    return read_list(path)


def read_split_or_all(folder, split, every):
    """As read_split; in a folder without lists, None and 'train' are `every` picture."""
    lists = [name for name in ('train', 'val', 'test') if (folder / f'{name}.txt').exists()]
    return every() if split is None or split == 'train' and not lists else read_split(folder, split)


def read_list(path):
    """The names in a text file, one a line. A name is no path: it leads nowhere else."""
    names = []
    for number, name in read_lines(path):
        if '/' in name or '\\' in name or '..' in name:
            raise ValueError(f'{path}, line {number}: {name!r} is a path; the name of a picture is '
                             f'needed')
        names.append(name)
    if not names:
        raise ValueError(f'{path}: no name in it; write the names of pictures, one a line')
    return names


def read_lines(path):
    """-> number, text of every line that is not blank; from Windows too"""
    for number, line in enumerate(Path(path).read_bytes().splitlines(), start=1):
        try:
            text = line.decode('utf-8-sig').strip()
        except UnicodeDecodeError:
            text = '\0'
        if '\0' in text:                                # as of UTF-16
            raise ValueError(f'{path}, line {number}: {line[:40]!r} is not UTF-8; save the file as '
                             f'UTF-8')
        if text:
            yield number, text


def stems(folder, suffix):
    """The names of the files of a folder that have this suffix, in order."""
    found = sorted(path.stem for path in Path(folder).glob(f'*{suffix}'))
    if not found:
        raise ValueError(f'{folder}: no file *{suffix}; {inventory(folder)}')
    return found


def existing(path):
    """The path of a file that is there."""
    if not path.is_file():
        raise FileNotFoundError(f'{path}: no such file; {inventory(path.parent)}')
    return path


def inventory(folder):
    """What a folder has, in words: 'masks has 12 .png, 1 .txt'."""
    if not Path(folder).is_dir():
        return f'{folder} is no folder'
    suffixes = Counter(path.suffix or 'without suffix' for path in Path(folder).iterdir())
    counts = ', '.join(f'{count:,} {suffix}' for suffix, count in suffixes.most_common(6))
    return f'{folder} has {counts or "nothing in it"}'
