"""CamVid in the split of SegNet: 11 classes of a street, seen from a car, 480×360."""
from pathlib import Path

import numpy as np

from .dataset import Dataset
from .images import read_pair
from .labels import VOID
from .lists import stems

CLASSES = 'sky building pole road pavement tree sign fence car pedestrian bicyclist'.split()


def camvid(root, split='train'):
    """root/<split> with root/<split>annot/<name>.png, whose 11 is void."""
    root = Path(root)
    folder = root / split
    suffix = '.jpg' if any(folder.glob('*.jpg')) else '.png'

    def files(name):
        return folder / f'{name}{suffix}', root / f'{split}annot' / f'{name}.png'

    def read(name):
        image, label = read_pair(*files(name))
        return image, np.where(label == len(CLASSES), VOID, label)

    return Dataset(CLASSES, stems(folder, suffix), read, files)
