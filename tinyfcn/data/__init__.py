"""Data sets: images and their labels, read, checked, augmented and batched.

    load_dataset(name, root, split)     a data set of this list
    Dataset                             the class of them all, for your own
"""
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from . import camvid, folder, nyud, sbd, shapes, siftflow, stanford, voc
from .dataset import Dataset
from .sources import require_data

__all__ = ['DATASETS', 'Dataset', 'load_dataset']

ANIMALS = 'cat', 'cow', 'dog', 'horse', 'person', 'sheep'

# name: f(root, split) -> Dataset
DATASETS: dict[str, Callable[..., Dataset]] = {
    'voc': voc.voc, 'sbd': sbd.sbd, 'siftflow': siftflow.siftflow,
    'stanford': stanford.stanford, 'camvid': camvid.camvid,
    'voc_animals': partial(voc.voc, only=ANIMALS), 'folder': folder.folder,
    'shapes': shapes.shapes,
    **{f'nyud_{sensors}': partial(nyud.nyud, sensors=sensors) for sensors in nyud.SENSORS},
}


def load_dataset(name: str, root: str | Path | None = None, split: str | Path | None = 'train',
                 **kwargs: Any) -> Dataset:
    """A data set by its name. `root` is its folder; 'shapes' is generated and needs none.

    >>> dataset = load_dataset('shapes', split='val', size=(48, 64), n_class=3)
    >>> dataset.classes
    ('background', 'disc', 'triangle')
    >>> image, label = dataset[0]
    >>> image.shape, label.shape
    ((48, 64, 3), (48, 64))
    """
    if name not in DATASETS:
        own = f"images of your own are load_dataset('folder', {name!r})"
        advice = own if Path(name).is_dir() else f'the data sets are {", ".join(DATASETS)}'
        raise ValueError(f'{name!r} is not a data set; {advice}')
    if name != 'shapes':
        if root is None:
            raise ValueError(f'{name}: root is missing; pass the folder of the data set')
        require_data(name, Path(root))
    return DATASETS[name](root, split, **kwargs)
