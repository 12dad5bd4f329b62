"""CamVid in the split of SegNet: 11 classes of street scenes filmed from a car, 480×360."""
from pathlib import Path

import numpy as np

from .dataset import Dataset
from .images import read_pair
from .labels import VOID, Array
from .paths import file_stems

CLASSES = 'sky building pole road pavement tree sign fence car pedestrian bicyclist'.split()


def camvid(root: str | Path, split: str = 'train') -> Dataset:
    """root/<split> and root/<split>annot/<name>.png, in which 11 is void."""
    root = Path(root)
    folder = root / split
    suffix = '.jpg' if any(folder.glob('*.jpg')) else '.png'

    def files(name: str) -> tuple[Path, Path]:
        return folder / f'{name}{suffix}', root / f'{split}annot' / f'{name}.png'

    def read(name: str) -> tuple[Array, Array]:
        image, label = read_pair(*files(name))
        return image, np.where(label == len(CLASSES), VOID, label)

    return Dataset(CLASSES, file_stems(folder, suffix), read, files)
