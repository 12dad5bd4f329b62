"""NYUDv2 (Silberman et al. 2012) in 40 classes: indoor scenes with their depth."""
from pathlib import Path

import numpy as np

from .dataset import Dataset
from .images import ImageError, opened, read_image, read_label, size_mismatch
from .lists import read_split
from .mat import from_one, read_mat

CLASSES = tuple('''wall, floor, cabinet, bed, chair, sofa, table, door, window, bookshelf, picture,
counter, blinds, desk, shelves, curtain, dresser, pillow, mirror, floor mat, clothes, ceiling,
books, refridgerator, television, paper, towel, shower curtain, box, whiteboard, person,
night stand, toilet, sink, lamp, bathtub, bag, otherstructure, otherfurniture,
otherprop'''.replace('\n', ' ').split(', '))
SENSORS = {'rgb': ['images'], 'hha': ['hha'], 'rgbd': ['images', 'depth'],
           'rgb_hha': ['images', 'hha']}


def nyud(root, split='train', sensors='rgb'):
    """root/data/{images,hha,depth}/img_<name>.png with root/segmentation/img_<name>.mat, or .png.

    The image has 3 channels (sensors 'rgb', 'hha'), 4 ('rgbd': the fourth is the logarithm of
    millimetres) or 6 ('rgb_hha'). In the files void is 0 and the classes are 1 … 40.
    """
    root = Path(root)
    if sensors not in SENSORS:
        raise ValueError(f'sensors is {sensors!r}: {", ".join(map(repr, SENSORS))}')

    def files(name):
        seen = [root / 'data' / folder / f'img_{name}.png' for folder in SENSORS[sensors]]
        drawn, written = (root / 'segmentation' / f'img_{name}{end}' for end in ('.png', '.mat'))
        return *seen, drawn if drawn.exists() else written

    def read(name):
        *seen, path = files(name)
        label = from_one(read_mat(path, 'segmentation') if path.suffix == '.mat'
                         else read_label(path))
        return np.dstack([(read_log_depth if path.parent.name == 'depth' else read_image)(
            path, label.shape) for path in seen]), label

    return Dataset(CLASSES, read_split(root, split), read, files)


def read_log_depth(path, like):
    """ln of a depth in millimetres, a grey PNG of 16 bits. -> (H, W) float32"""
    with opened(path) as image:
        if not image.mode.startswith('I'):
            raise ImageError(f'{path}: {image.mode} pixels; a depth is in millimetres, as a grey '
                               f'PNG of 16 bits')
        depth = np.array(image)
    if depth.shape != like:
        raise size_mismatch(path, '{}×{} pixels'.format(*depth.shape), 'mask', like)
    if not (depth > 0).all():
        row, column = np.argwhere(depth <= 0)[0]
        raise ImageError(f'{path}: depth 0 at row {row}, column {column}, and '
                           f'{np.count_nonzero(depth <= 0):,} such pixels in all; fill in what '
                           f'the sensor has missed first')
    return np.log(depth.astype('float32'))
