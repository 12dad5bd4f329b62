"""PASCAL VOC 2011 and 2012, as VOCdevkit lays them out, and any set in that layout."""
from pathlib import Path

import numpy as np

from .pictures import VOID, Pictures, read_list
from .transforms import read_image, read_label

CLASSES = '''background aeroplane bicycle bird boat bottle bus car cat chair cow diningtable dog
horse motorbike person pottedplant sheep sofa train tvmonitor'''.split()


def voc(root, split='train', only=None):
    """root/JPEGImages, root/SegmentationClass and root/ImageSets/Segmentation/<split>.txt.

    `split` may be the path of a list too, such as the 736 names of seg11valid. `only` keeps some
    classes beside the background, numbered anew; all others become void.
    """
    root, path = Path(root), Path(split)
    if not path.suffix:
        path = root / 'ImageSets' / 'Segmentation' / f'{split}.txt'
    kept = CLASSES if only is None else ['background', *only]
    if unknown := sorted(set(kept) - set(CLASSES)):
        raise ValueError(f'VOC has no class {", ".join(unknown)}; it has {", ".join(CLASSES)}')
    number = np.full(256, VOID, 'uint8')
    number[[CLASSES.index(name) for name in kept]] = range(len(kept))

    def read(name):
        image = read_image(root / 'JPEGImages' / f'{name}.jpg')
        label = read_label(root / 'SegmentationClass' / f'{name}.png')
        # of all classes none is renumbered, so that one that VOC has not is seen as a mistake
        return image, label if only is None else number[label]

    return Pictures(kept, read_list(path), read)
