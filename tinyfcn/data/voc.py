"""PASCAL VOC 2011 and 2012, and other sets with the folders and the 21 classes of VOC."""
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..files import printable
from .dataset import Dataset
from .images import read_pair
from .labels import VOID, Array
from .lists import read_split

CLASSES = '''background aeroplane bicycle bird boat bottle bus car cat chair cow diningtable dog
horse motorbike person pottedplant sheep sofa train tvmonitor'''.split()


def voc(root: str | Path, split: str | Path = 'train', only: Sequence[str] | None = None,
        ) -> Dataset:
    """root/JPEGImages, root/SegmentationClass and root/ImageSets/Segmentation/<split>.txt.

    `split` may also be the path of a list, such as that of the 736 names of seg11valid.
    only: the classes that are kept. They become 1, 2, … in this order, the background stays 0, and
    all others become void.
    """
    root = Path(root)
    kept = CLASSES if only is None else ['background', *only]
    if unknown := sorted(set(kept) - set(CLASSES)):
        raise ValueError(f'VOC has no class {printable(", ".join(unknown))}; its classes are '
                         f'{", ".join(CLASSES)}')
    if len(set(kept)) < len(kept):
        raise ValueError(f'only names {", ".join(only or ())}: each class once, and not the '
                         f'background, which is always kept')
    new_number = np.arange(256, dtype='uint8')  # numbers VOC does not have stay, to be reported
    new_number[:len(CLASSES)] = VOID
    new_number[[CLASSES.index(name) for name in kept]] = range(len(kept))

    def files(name: str) -> tuple[Path, Path]:
        return root / 'JPEGImages' / f'{name}.jpg', root / 'SegmentationClass' / f'{name}.png'

    def read(name: str) -> tuple[Array, Array]:
        image, label = read_pair(*files(name))
        # a mask of more than 8 bits may have numbers beyond the table; they stay, too
        is_in_table = (label >= 0) & (label <= VOID)
        return image, np.where(is_in_table, new_number[label.clip(0, VOID)], label)

    names = read_split(root / 'ImageSets' / 'Segmentation', split)
    return Dataset(kept, names, read, files)
