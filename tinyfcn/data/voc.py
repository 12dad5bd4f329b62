"""PASCAL VOC 2011 and 2012, as VOCdevkit lays them out, and any set in that layout."""
from pathlib import Path

import numpy as np

from .dataset import Dataset
from .images import read_pair
from .labels import VOID
from .lists import read_split

CLASSES = '''background aeroplane bicycle bird boat bottle bus car cat chair cow diningtable dog
horse motorbike person pottedplant sheep sofa train tvmonitor'''.split()


def voc(root, split='train', only=None):
    """root/JPEGImages, root/SegmentationClass and root/ImageSets/Segmentation/<split>.txt.

    `split` may be the path of a list too, such as the 736 names of seg11valid. `only` keeps some
    classes beside the background, numbered anew; all others become void.
    """
    root = Path(root)
    kept = CLASSES if only is None else ['background', *only]
    if unknown := sorted(set(kept) - set(CLASSES)):
        raise ValueError(f'VOC has no class {", ".join(unknown)}; it has {", ".join(CLASSES)}')
    number = np.arange(256, dtype='uint8')      # what VOC has not stays, to be seen as a mistake
    number[:len(CLASSES)] = VOID
    number[[CLASSES.index(name) for name in kept]] = range(len(kept))

    def files(name):
        return root / 'JPEGImages' / f'{name}.jpg', root / 'SegmentationClass' / f'{name}.png'

    def read(name):
        image, label = read_pair(*files(name))
        return image, np.where(label > VOID, label, number[label.clip(max=VOID)])

    names = read_split(root / 'ImageSets' / 'Segmentation', split)
    return Dataset(kept, names, read, files)
