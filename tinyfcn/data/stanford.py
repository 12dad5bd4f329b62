"""Stanford Background (Gould, Fulton & Koller 2009): 8 classes of outdoor scenes, 320×240."""
from pathlib import Path

import numpy as np

from ..files import ImageError, printable, read_text
from .dataset import Dataset
from .images import read_label, read_pair
from .labels import VOID, Array
from .lists import read_split_or_all
from .paths import file_stems, require_file

CLASSES = 'sky tree road grass water building mountain foreground'.split()


def stanford(root: str | Path, split: str | Path | None = None) -> Dataset:
    """root/images/<name>.jpg and root/labels/<name>.png, or <name>.regions.txt as published.

    `split` is a list of names, root/<split>.txt or a path; without it all images are taken, and
    for 'train' without train.txt those that val.txt and test.txt do not name.
    """
    root = Path(root)

    def files(name: str) -> tuple[Path, Path]:
        png = root / 'labels' / f'{name}.png'
        text = root / 'labels' / f'{name}.regions.txt'
        return root / 'images' / f'{name}.jpg', png if png.exists() else text

    def read(name: str) -> tuple[Array, Array]:
        image, label = files(name)
        return read_pair(image, label, read_regions if label.suffix == '.txt' else read_label)

    names = read_split_or_all(root, split, file_stems(root / 'images', '.jpg'))
    return Dataset(CLASSES, names, read, files)


def read_regions(path: Path) -> Array:
    """A line of integers for each row of pixels; below 0 is void. -> (H, W)"""
    try:
        text = read_text(require_file(path)).strip()
        label = np.loadtxt(text.splitlines() or ['no rows'], dtype='int64', ndmin=2,
                           comments=None)
    except ValueError as error:
        raise ImageError(f'{printable(path)}: not a line of integers for each row of pixels '
                         f'({printable(error)}); get it again') from None
    return np.where(label < 0, VOID, label)
