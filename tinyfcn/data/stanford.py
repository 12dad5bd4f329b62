"""Stanford Background (Gould, Fulton & Koller 2009): 8 classes of outdoor scenes, 320×240."""
from pathlib import Path

import numpy as np

from .dataset import Dataset
from .images import ImageError, read_label, read_pair
from .labels import VOID
from .lists import existing, read_split_or_all, stems

CLASSES = 'sky tree road grass water building mountain foreground'.split()


def stanford(root, split=None):
    """root/images/<name>.jpg with root/labels/<name>.png, or <name>.regions.txt as published.

    `split` is a list of names (root/<split>.txt, or a path); without it all images are taken.
    """
    root = Path(root)

    def files(name):
        drawn, written = (root / 'labels' / f'{name}{end}' for end in ('.png', '.regions.txt'))
        return root / 'images' / f'{name}.jpg', drawn if drawn.exists() else written

    def read(name):
        image, label = files(name)
        return read_pair(image, label, read_regions if label.suffix == '.txt' else read_label)

    names = read_split_or_all(root, split, lambda: stems(root / 'images', '.jpg'))
    return Dataset(CLASSES, names, read, files)


def read_regions(path):
    """A row of numbers for each row of pixels; below 0 nobody knows. -> (H, W)"""
    try:
        text = existing(path).read_text('utf-8').strip()
        label = np.loadtxt(text.splitlines() or ['no rows'], dtype='int64', ndmin=2)
    except ValueError as error:
        raise ImageError(f'{path}: not a row of whole numbers for each row of pixels '
                           f'({error}); get it again') from None
    return np.where(label < 0, VOID, label)
