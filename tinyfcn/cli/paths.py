"""Where data sets and weights are: found by their names, or in folders of your own."""
import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ..data import DATASETS, Dataset, load_dataset
from ..data.dataset import hold_out
from ..data.fetch import fetched_root
from ..data.folder import has_split
from ..data.paths import IMAGE_SUFFIXES
from ..data.sources import SOURCES
from ..files import printable
from ..weights.find import find_weights
from .folders import NAMED, add_folder_arguments
from .names import did_you_mean
from .output import say

if TYPE_CHECKING:
    from ..training.recipes import Recipe

# data sets whose archive has another name; the first one that is there is used
ARCHIVES = dict(
    dict.fromkeys(('voc', 'voc_animals'), ['voc2012', 'voc2011']),
    **dict.fromkeys(('nyud_rgb', 'nyud_rgbd', 'nyud_hha', 'nyud_rgb_hha'), ['nyud']))


class Location(NamedTuple):
    """A name that load_dataset knows, and the folder that the data set is in."""
    name: str
    folder: Path


def add_data_argument(parser: argparse.ArgumentParser) -> None:
    """--data, --images and --masks, for commands that read or write data sets."""
    parser.add_argument('--data', type=Path, metavar='FOLDER',
                        help='the folder of the data set, or the one that holds all data sets '
                             '(default: $TINYFCN_DATA, or data)')
    add_folder_arguments(parser)


def data_folder() -> Path:
    """The folder that holds all data sets, where --data does not name another."""
    return Path(os.environ.get('TINYFCN_DATA', 'data'))


def find_dataset(name: str, root: Path | None = None) -> Location:
    """Where a data set is. `name` may also be a folder of your own images and labels."""
    if name not in DATASETS:
        if Path(name).is_dir():
            return Location('folder', Path(name))
        if Path(name).is_file():
            raise ValueError(f'{printable(name)}: a file; name the folder that it is in, or, of '
                             f'an archive, the folder that you unpacked it into')
        listed = f'there are {", ".join(DATASETS)}'
        raise ValueError(f'{name}: neither a folder nor the name of a data set; '
                         f'{did_you_mean(name, DATASETS, listed)}')
    if name == 'folder' and root is None and not data_folder().is_dir():
        raise ValueError('name the folder of your images with --data FOLDER; it holds images/, '
                         'masks/ and classes.txt, or an export of LabelMe, CVAT or COCO')
    is_own = root is None and Path(name).is_dir() and not (data_folder() / name).exists()
    root = root or data_folder()
    for archive in archives(name):
        if fetched := fetched_root(archive, root):
            return Location(name, fetched)
    if is_own:
        raise ValueError(f'{name}: the name of a data set that is not in {printable(root)}, and of '
                         f'a folder; for the folder write ./{name}')
    return Location(name, root / name if (root / name).is_dir() else root)


def archives(name: str) -> list[str]:
    """The archives that `tinyfcn data` can fetch this data set from."""
    return [archive for archive in ARCHIVES.get(name, [name]) if archive in SOURCES]


def open_dataset(name: str, root: Path | None, split: str) -> Dataset:
    """A split of a data set, by its name or by a folder of your own."""
    found = find_dataset(name, root)
    return load_split(found, split)


def load_split(found: Location, split: str) -> Dataset:
    """A split of a data set that was found; of one's own, the folders that were named."""
    return load_dataset(found.name, found.folder, split,
                        **(NAMED if found.name == 'folder' else {}))


def train_val_sets(recipe: 'Recipe', root: Path | None) -> tuple[Dataset, Dataset]:
    """The training set and the validation set of a recipe.

    A recipe that names no validation set takes the images that val.txt lists, or holds out a fifth.
    """
    if recipe.train is None:
        raise ValueError('this run does not say what it was trained on: name a data set')
    name, split = recipe.train
    train = open_dataset(name, root, split)
    if recipe.valid:
        valid_name, valid_split = recipe.valid
        return train, open_dataset(valid_name, root, valid_split)
    return split_off_validation(name, root, train)


def split_off_validation(name: str, root: Path | None,
                         train: Dataset) -> tuple[Dataset, Dataset]:
    """The split val, if there is one, or a fifth of `train`, and those left to train on."""
    found = find_dataset(name, root)
    has_val = (has_split(found.folder, 'val', **NAMED) if found.name == 'folder' else
               (found.folder / 'val.txt').exists())
    if has_val:
        return train, open_dataset(name, root, 'val')
    return hold_out(train)


def validation_set(name: str, root: Path | None) -> Dataset:
    """The split val of a data set; of a folder of your own, what `train folder` validates on."""
    if find_dataset(name, root).name != 'folder':
        return open_dataset(name, root, 'val')
    _, valid = split_off_validation(name, root, open_dataset(name, root, 'train'))
    return valid


def weights_file(path: Path) -> Path:
    """The file of weights that an argument names; `path` itself if it is the folder of a run.

    A name of `tinyfcn weights list` is looked up in the cache, and downloaded if it is not there.
    Of a run the best checkpoint is taken, and if it has none the last one.
    """
    if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file():
        raise ValueError(f'{path}: an image, where a file of weights or the folder of a run is '
                         f'needed; these come first, the images after them')
    last = path / 'last.safetensors'
    if last.exists() and not (path / 'best.safetensors').exists():
        say(f'{path} has no best.safetensors, as no validation has had a score yet: taking '
            f'last.safetensors', sys.stderr)
        return last
    return path if path.is_dir() else find_weights(path)
