"""Stanford Background (Gould, Fulton & Koller 2009): 8 classes of outdoor scenes, 320×240."""
from pathlib import Path

import numpy as np

from .pictures import VOID, Pictures, read_list, stems
from .transforms import read_image, read_label

CLASSES = 'sky tree road grass water building mountain foreground'.split()


def stanford(root, split=None):
    """root/images/<name>.jpg with root/labels/<name>.png, or <name>.regions.txt as published.

    `split` is a list of names (root/<split>.txt, or a path); without it all images are taken.
    """
    root = Path(root)
    if split is None:
        names = stems(root / 'images', '.jpg')
    else:
        names = read_list(split if Path(split).suffix else root / f'{split}.txt')

    def read(name):
        drawn, written = (root / 'labels' / f'{name}{end}' for end in ('.png', '.regions.txt'))
        label = read_label(drawn) if drawn.exists() else read_regions(written)
        return read_image(root / 'images' / f'{name}.jpg'), label

    return Pictures(CLASSES, names, read)


def read_regions(path):
    """A row of numbers for each row of pixels; below 0 nobody knows. -> (H, W) uint8"""
    try:
        label = np.loadtxt(path, dtype='int64', ndmin=2)
    except ValueError as error:
        raise ValueError(f'{path}: not a row of whole numbers for each row of pixels '
                         f'({error})') from None
    return np.where(label < 0, VOID, label.clip(max=254)).astype('uint8')
