"""PASCAL VOC 2011 and 2012 in the layout of VOCdevkit, and any data set in that layout."""
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from .dataset import Dataset
from .images import read_pair
from .labels import VOID, Array
from .lists import read_split

CLASSES = '''background aeroplane bicycle bird boat bottle bus car cat chair cow diningtable dog
horse motorbike person pottedplant sheep sofa train tvmonitor'''.split()


def voc(root: str | Path, split: str | Path = 'train', only: Sequence[str] | None = None,
        ) -> Dataset:
    """root/JPEGImages, root/SegmentationClass and root/ImageSets/Segmentation/<split>.txt.

    `split` may also be the path of a list, such as the 736 names of seg11valid. `only` keeps these
    classes and the background, renumbered in this order; all others become void.
    """
    root = Path(root)
    kept = CLASSES if only is None else ['background', *only]
    if unknown := sorted(set(kept) - set(CLASSES)):
        raise ValueError(f'VOC has no class {", ".join(unknown)}; its classes are '
                         f'{", ".join(CLASSES)}')
    new_number = np.arange(256, dtype='uint8')  # numbers VOC does not have stay, to be reported
    new_number[:len(CLASSES)] = VOID
    new_number[[CLASSES.index(name) for name in kept]] = range(len(kept))

    def files(name: str) -> tuple[Path, Path]:
        return root / 'JPEGImages' / f'{name}.jpg', root / 'SegmentationClass' / f'{name}.png'

    def read(name: str) -> tuple[Array, Array]:
        image, label = read_pair(*files(name))
        return image, np.where(label > VOID, label, new_number[label.clip(max=VOID)])

    names = read_split(root / 'ImageSets' / 'Segmentation', split)
    return Dataset(kept, names, read, files)
