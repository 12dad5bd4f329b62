"""Where things lie: sets in folders, the weights of a run."""
import os
from pathlib import Path

# what --data takes
DATA = dict(type=Path, metavar='FOLDER', help='where the set lies, or the folder of sets '
            '(default: $TINYFCN_DATA, or data)')


# whose archive a set comes in, where it has another name
ARCHIVES = dict(voc=['voc2012', 'voc2011'], **dict.fromkeys(
    ('nyud_rgb', 'nyud_rgbd', 'nyud_hha', 'nyud_rgb_hha'), ['nyud']))


def home():
    """Where sets lie, unless somebody says otherwise."""
    return Path(os.environ.get('TINYFCN_DATA', 'data'))


def located(name, root=None):
    """A set's name and its folder; a folder of one's own may stand for its name."""
    from ..data import SETS
    from ..data.fetch import SOURCES, ready
    if name not in SETS and Path(name).is_dir():
        return 'folder', Path(name)
    root = root or home()
    for archive in ARCHIVES.get(name, [name]):
        if archive in SOURCES and (found := ready(archive, root)):
            return name, found
    return name, root / name if (root / name).is_dir() else root


def opened(name, root, split):
    """A set by its name, or by the folder of one's own."""
    from ..data import load_dataset
    name, folder = located(name, root)
    return load_dataset(name, folder, split)


def sets(recipe, root):
    """The pictures to learn from, and the others to be judged by: val.txt, or a fifth held out."""
    from ..data.dataset import hold_out
    name, split = recipe['train']
    pictures = opened(name, root, split)
    if recipe['valid']:
        return pictures, opened(recipe['valid'][0], root, recipe['valid'][1])
    if (located(name, root)[1] / 'val.txt').exists():
        return pictures, opened(name, root, 'val')
    return hold_out(pictures)


def file_in(path):
    """A file of weights: of a run's folder the best."""
    if path.is_dir():
        path = path / 'best.safetensors'
    if not path.is_file():
        raise FileNotFoundError(f'{path}: no such file; a file of weights, or the folder of a run '
                                f'is needed')
    return path
