"""SBD (Hariharan et al. 2011): outlines for 11,355 images of VOC, on which the paper trains."""
from pathlib import Path

from .dataset import Dataset
from .images import read_pair
from .labels import Array
from .lists import read_split
from .mat import read_mat
from .voc import CLASSES


def sbd(root: str | Path, split: str | Path = 'train') -> Dataset:
    """root/img/<name>.jpg, root/cls/<name>.mat and root/<split>.txt, with the classes of VOC."""
    root = Path(root)

    def files(name: str) -> tuple[Path, Path]:
        return root / 'img' / f'{name}.jpg', root / 'cls' / f'{name}.mat'

    def read(name: str) -> tuple[Array, Array]:
        return read_pair(*files(name), lambda path: read_mat(path, 'GTcls', 'Segmentation'))

    return Dataset(CLASSES, read_split(root, split), read, files)
