"""SBD (Hariharan et al. 2011): outlines for 11,355 pictures of VOC, on which the paper trains."""
from pathlib import Path

from .dataset import Dataset
from .images import read_pair
from .lists import read_split
from .mat import read_mat
from .voc import CLASSES


def sbd(root, split='train'):
    """root/img/<name>.jpg, root/cls/<name>.mat and root/<split>.txt, with the classes of VOC."""
    root = Path(root)

    def files(name):
        return root / 'img' / f'{name}.jpg', root / 'cls' / f'{name}.mat'

    def read(name):
        return read_pair(*files(name), lambda path: read_mat(path, 'GTcls', 'Segmentation'))

    return Dataset(CLASSES, read_split(root, split), read, files)
