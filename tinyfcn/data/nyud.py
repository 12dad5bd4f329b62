"""NYUDv2 (Silberman et al. 2012) in 40 classes: indoor scenes with depth."""
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..files import ImageError, open_image, printable
from .dataset import Dataset
from .images import read_image, read_label, size_mismatch
from .labels import Array
from .lists import read_split
from .mat import from_one_based, read_mat

CLASSES = tuple('''wall, floor, cabinet, bed, chair, sofa, table, door, window, bookshelf, picture,
counter, blinds, desk, shelves, curtain, dresser, pillow, mirror, floor mat, clothes, ceiling,
books, refridgerator, television, paper, towel, shower curtain, box, whiteboard, person,
night stand, toilet, sink, lamp, bathtub, bag, otherstructure, otherfurniture,
otherprop'''.replace('\n', ' ').split(', '))
# the folders whose channels are joined
SENSORS = {'rgb': ['images'], 'hha': ['hha'], 'rgbd': ['images', 'depth'],
           'rgb_hha': ['images', 'hha']}


def nyud(root: str | Path, split: str | Path = 'train', sensors: str = 'rgb') -> Dataset:
    """root/data/{images,hha,depth}/img_<name>.png and root/segmentation/img_<name>.mat, or .png.

    The image has 3 channels (sensors 'rgb', 'hha'), 4 ('rgbd': the fourth is the logarithm of the
    depth in millimetres) or 6 ('rgb_hha'). In the files void is 0 and the classes are 1 … 40.
    """
    root = Path(root)
    if sensors not in SENSORS:
        raise ValueError(f'sensors is {sensors!r}; it must be one of '
                         f'{", ".join(map(repr, SENSORS))}')

    def files(name: str) -> list[Path]:
        images = [root / 'data' / folder / f'img_{name}.png' for folder in SENSORS[sensors]]
        png = root / 'segmentation' / f'img_{name}.png'
        mat = root / 'segmentation' / f'img_{name}.mat'
        return [*images, png if png.exists() else mat]

    def read(name: str) -> tuple[Array, Array]:
        *images, path = files(name)
        stored = read_mat(path, 'segmentation') if path.suffix == '.mat' else read_label(path)
        label = from_one_based(stored)
        channels = [_read_sensor(image, label.shape) for image in images]
        return np.dstack(channels), label

    return Dataset(CLASSES, read_split(root, split), read, files)


def _read_sensor(path: Path, mask_size: tuple[int, ...]) -> Array:
    if path.parent.name == 'depth':
        return read_log_depth(path, mask_size)
    return read_image(path, mask_size)


def read_log_depth(path: Path, mask_size: tuple[int, ...]) -> NDArray[np.float32]:
    """ln of the depth in millimetres, from a 16-bit greyscale PNG. -> (H, W) float32"""
    with open_image(path) as image:
        if not image.mode.startswith('I'):
            raise ImageError(f'{printable(path)}: {image.mode} pixels; a depth is in millimetres, '
                             f'as a greyscale PNG of 16 bits')
        depth = np.array(image)
    if depth.shape != mask_size:
        raise size_mismatch(path, '{}×{} pixels'.format(*depth.shape), 'mask', mask_size)
    missing = depth <= 0
    if missing.any():
        row, column = np.argwhere(missing)[0]
        raise ImageError(f'{printable(path)}: depth 0 at row {row}, column {column}, and '
                         f'{np.count_nonzero(missing):,} such pixels in all; fill in the missing '
                         f'depths first')
    log_depth: NDArray[np.float32] = np.log(depth.astype('float32'))
    return log_depth
