"""A data set: pictures by number, each an image and a label of one size, void being 255."""
from pathlib import Path

import numpy as np

VOID = 255


class Pictures:
    """`len(set)` pairs: set[i] -> image (H, W, 3) uint8, label (H, W) uint8 of 0 … n_class−1, 255.

    `classes` are the names of the classes, `names` of the pictures; read(name) gives a pair.
    """

    def __init__(self, classes, names, read):
        self.classes, self.names, self.read = tuple(classes), list(names), read
        if not self.names:
            raise ValueError('no pictures: a data set needs at least one')

    def __len__(self):
        return len(self.names)

    def __getitem__(self, i):
        name = self.names[i]
        image, label = self.read(name)
        if image.shape[:2] != label.shape:
            raise ValueError('{}: the image has {}×{} pixels and its label {}×{}'.format(
                name, *image.shape[:2], *label.shape))
        strange = (label >= len(self.classes)) & (label != VOID)
        if strange.any():
            row, column = np.argwhere(strange)[0]
            values = ', '.join(map(str, np.unique(label)))
            raise ValueError(f'{name}: label {label[row, column]} at row {row}, column {column}, '
                             f'and {strange.sum():,} such pixels in all; there are '
                             f'{len(self.classes)} classes, 0 … {len(self.classes) - 1}, and '
                             f'{VOID} is void. Its values are {values}')
        return image, label


def read_list(path):
    """The names in a text file, one a line. A name is no path: it leads nowhere else."""
    names = []
    for number, line in enumerate(Path(path).read_text('utf-8-sig').splitlines(), start=1):
        name = line.strip()
        if '/' in name or '\\' in name or '..' in name:
            raise ValueError(f'{path}, line {number}: {name!r} is a path; the name of a picture is '
                             f'needed')
        if name:
            names.append(name)
    return names


def stems(folder, suffix):
    """The names of the files of a folder that have this suffix, in order."""
    folder = Path(folder)
    if not folder.is_dir():
        raise ValueError(f'{folder}: no such folder')
    found = sorted(path.stem for path in folder.glob(f'*{suffix}'))
    if not found:
        others = ', '.join(sorted({path.suffix for path in folder.iterdir()}))
        raise ValueError(f'{folder}: no {suffix} in it; there is {others or "nothing"}')
    return found
