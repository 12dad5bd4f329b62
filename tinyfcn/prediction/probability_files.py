"""Probabilities as files: numbers in an .npz, or a grey .png for each class."""
from collections.abc import Sequence
from os import PathLike
from pathlib import Path

import numpy as np

from ..data.labels import Array
from ..files import make_folder, open_atomic
from ..viz import write_png


def write_probabilities(path: str | PathLike[str], prob: Array, classes: Sequence[str]) -> None:
    """An .npz with `probabilities` (C, H, W) and the names of the `classes`.

    `written_by_tinyfcn` in it says that a later prediction may replace the file.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_probabilities(f'{folder}/a.npz', np.full((2, 3, 4), .5), ['sky', 'tree'])
    ...     with np.load(f'{folder}/a.npz') as file:
    ...         print(file['probabilities'].shape, file['classes'])
    (2, 3, 4) ['sky' 'tree']
    """
    if Path(path).suffix.lower() != '.npz':
        raise ValueError(f'{path}: probabilities are written as .npz; give the file this ending')
    with open_atomic(path) as file:
        # the first name marks the file as one of tinyfcn: it stands in its head
        np.savez_compressed(file, written_by_tinyfcn=True, classes=np.array(classes),
                            probabilities=prob)


def write_probability_images(paths: Sequence[Path], prob: Array) -> None:
    """A grey .png for each class: black is 0, white 1.   prob (C, H, W)

    >>> import tempfile
    >>> from PIL import Image
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_probability_images([Path(folder, 'sky.png')], np.array([[[0, 1]]]))
    ...     with Image.open(Path(folder, 'sky.png')) as file:
    ...         print(np.array(file))
    [[  0 255]]
    """
    from PIL import Image
    for path, of_class in zip(paths, prob, strict=True):
        make_folder(path.parent)
        write_png(path, Image.fromarray((of_class * 255).round().astype('uint8')))
