"""Pictures and their labels: read, checked, made ready for a net."""
from functools import partial

from . import camvid, folder, nyud, sbd, shapes, siftflow, stanford, voc
from .dataset import Dataset  # noqa: F401 (public)

ANIMALS = 'cat', 'cow', 'dog', 'horse', 'person', 'sheep'

# name: f(root, split) -> Pictures
SETS = {
    'voc': voc.voc, 'sbd': sbd.sbd, 'siftflow': siftflow.siftflow,
    'stanford': stanford.stanford, 'camvid': camvid.camvid,
    'voc_animals': partial(voc.voc, only=ANIMALS), 'folder': folder.folder,
    'shapes': shapes.shapes,
    **{f'nyud_{sensors}': partial(nyud.nyud, sensors=sensors) for sensors in nyud.SENSORS},
}


def load_dataset(name, root=None, split='train', **how):
    """A data set by its name, from the folder it lies in. -> Pictures"""
    if name not in SETS:
        raise ValueError(f'no data set called {name!r}; there are {", ".join(SETS)}')
    if root is None and name != 'shapes':
        raise ValueError(f'{name}: in which folder is it? root is missing')
    return SETS[name](root, split, **how)
