"""A data set: pictures by number, each an image and a label of one size, void being 255."""
from collections import Counter
from pathlib import Path
from zlib import crc32

import numpy as np

VOID = 255


class PictureError(ValueError):
    """A picture or a mask that cannot be used: which file, what is wrong in it, what to do."""


class Pictures:
    """`len(set)` pairs: set[i] -> image (H, W, C), label (H, W) uint8 of 0 … n_class−1, 255.

    `classes` are the names of the classes, `names` of the pictures; read(name) gives a pair and
    files(name) the paths that it comes from, the label's last. Where a net has several outputs,
    classes and label are dicts by their names, and each label has a file.
    """

    def __init__(self, classes, names, read, files=lambda name: ()):
        self.classes = classes if isinstance(classes, dict) else tuple(classes)
        self.names, self.read, self.files = list(names), read, files
        if not self.names:
            raise ValueError('no pictures: a data set needs at least one')

    def __len__(self):
        return len(self.names)

    def __getitem__(self, i):
        name = self.names[i]
        image, label = self.read(name)
        for _, where, part, classes in self.parts(name, label):
            if image.shape[:2] != part.shape:
                raise PictureError('{}: the image has {}×{} pixels and its label {}×{}'.format(
                    name, *image.shape[:2], *part.shape))
            if odd := beyond(part, len(classes)):
                raise PictureError(not_a_class(where, *odd, 1, len(classes), np.unique(part)))
        return image, each_label(lambda part: part.astype('uint8', copy=False), label)

    def of(self, names):
        """The same set with some of its pictures."""
        return Pictures(self.classes, names, self.read, self.files)

    def parts(self, name, label):
        """-> for each output of a net: its name, where its label was read, label, classes"""
        labels, classes = by_output(label), by_output(self.classes)
        where = [*self.files(name)[-len(labels):]] or [name] * len(labels)
        return [(key, file, labels[key], classes[key]) for key, file in zip(labels, where)]


def hold_out(pictures, share=.2):
    """-> the rest, and about this share of the pictures, held out to judge by.

    Each name decides for itself (its CRC-32): the same on every machine, and no picture changes
    sides when others are added.
    """
    def is_held(name):
        return crc32(name.encode()) < share * 2 ** 32

    held = [name for name in pictures.names if is_held(name)]
    rest = [name for name in pictures.names if not is_held(name)]
    if not held or not rest:
        raise ValueError(f'of {len(pictures)} pictures {len(held)} would be held out by a share of '
                         f'{share:g}: choose another, or list them in files of their own')
    return pictures.of(rest), pictures.of(held)


# ---- a label, or several by the output of a net that learns them ---------------------------------

def by_output(value):
    """{'score': value}, as a net of one output calls it; a dict by output stays what it is."""
    return value if isinstance(value, dict) else {'score': value}


def each_label(change, label):
    """change(label), or of several a dict."""
    if isinstance(label, dict):
        return {key: change(part) for key, part in label.items()}
    return change(label)


def beyond(label, n_class):
    """The first pixel that is neither a class nor void -> value, row, column, how many; or None."""
    odd = ((label < 0) | (label >= n_class)) & (label != VOID)
    if not odd.any():
        return None
    row, column = np.unravel_index(odd.argmax(), odd.shape)
    return tuple(map(int, (label[row, column], row, column, np.count_nonzero(odd))))


def not_a_class(where, value, row, column, pixels, files, n_class, values):
    values = [str(value) for value in values]
    return (f'{where}: label {value} at row {row}, column {column}; there are {n_class} classes '
            f'(0 … {n_class - 1}) and {VOID} is void. {pixels:,} such pixel{"s"[:pixels > 1]} in '
            f'{files} file{"s"[:files > 1]}. Values seen: {", ".join(values[:30])}'
            f'{", …" if len(values) > 30 else ""}')


def median_frequency(pictures):
    """Rare classes weigh more: median(f) / f for each, f its share of the pixels of the pictures
    that have it (Eigen & Fergus 2015). A class that no picture has weighs 1. -> list
    """
    n_class = len(pictures.classes)
    own, seen = np.zeros(n_class), np.zeros(n_class)
    for i in range(len(pictures)):
        _, label = pictures[i]
        counts = np.bincount(label.ravel(), minlength=n_class)[:n_class]
        own += counts
        seen += (counts > 0) * counts.sum()
    f = own[own > 0] / seen[own > 0]
    weights = np.ones(n_class)
    weights[own > 0] = np.median(f) / f
    return weights.tolist()


# ---- lists of names, and folders -----------------------------------------------------------------

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
