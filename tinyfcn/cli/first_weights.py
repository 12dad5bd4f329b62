"""The weights from which `tinyfcn train` starts: named ones, an earlier run's, or the cache's."""
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from .. import weights
from ..files import printable
from ..training import recipes, run as runs
from ..weights.cache import cached_weights
from ..weights.sources import SOURCES, source_name
from .paths import weights_file

# {recipe: the classifier whose ImageNet weights it starts from}, the most accurate one first
FOLDER_RECIPES = {'folder-googlenet': 'googlenet', 'folder-squeezenet': 'squeezenet'}
# a weight of each that the other does not have
MARKS = dict(googlenet='inception_3a/1x1.w', squeezenet='fire2/squeeze1x1.w')
# fields of a recipe by which a user chooses another net, with the rest of recipe `folder`
OF_THE_NET = {'net', 'net_kwargs', 'init_from'}


# ---- recipe `folder`, which stands for several recipes -------------------------------------------

def recipe_for_folder(files: list[Path], changes: dict[str, Any]) -> str:
    """The recipe of a new run of `folder`: the best one whose ImageNet weights are there."""
    if changes.keys() & OF_THE_NET:
        return 'folder'
    for name, classifier in FOLDER_RECIPES.items():
        if files:
            is_there = all(has_weights_of(classifier, file) for file in files)
        else:
            is_there = default_weights(classifier) is not None
        if is_there:
            return name
    return 'folder'


def recipe_of_run(folder: Path, changes: dict[str, Any]) -> str:
    """The recipe with which a run of `folder` began.

    If its checkpoint cannot be read, resuming will report why.
    """
    if changes.keys() & OF_THE_NET:
        return 'folder'
    checkpoint = folder / runs.LAST
    file = checkpoint if checkpoint.exists() else folder / runs.BEST
    with suppress(OSError, ValueError):
        for name, classifier in FOLDER_RECIPES.items():
            if has_weights_of(classifier, file):
                return name
    return 'folder'


def describe_start(name: str, files: Mapping[str, Path], resumes: bool) -> list[str]:
    """Lines on the weights from which a run starts, and how to get better ones."""
    if files:
        return [f'starting from {" and ".join(map(printable, files.values()))}']
    if name == 'folder' and not resumes:
        return ['starting from random weights. From ImageNet weights fewer images are enough:',
                '`tinyfcn weights get googlenet`, 54 MB, or squeezenet, 5 MB, and start again with '
                'another --run FOLDER']
    return []


def has_weights_of(classifier: str, path: Path) -> bool:
    """Whether the weights of a file, a run or a name are this classifier's, or of an FCN on it."""
    if (row := source_name(str(path))) and not path.exists():
        return SOURCES[row].net == classifier
    arrays, _ = weights.read(path)
    return MARKS[classifier] in arrays


# ---- the files -----------------------------------------------------------------------------------

def initial_weights(recipe: recipes.Recipe, files: list[Path]) -> dict[str, Path]:
    """The files of weights that a recipe starts from, by the suffix of the branch they are for.

    `files` are those of the command line, or names of pretrained weights, which are downloaded if
    they are not in the cache. Without them, the best weights of earlier runs are taken, or what is
    in the cache; nothing is downloaded.
    """
    start = recipe.init_from
    if start is None and not files:
        return {}
    if isinstance(start, dict):
        names = start
    else:
        names = {'': start or 'a file'}
    if files:
        if len(files) != len(names):
            raise ValueError(f'this recipe starts from the weights of '
                             f'{" and ".join(names.values())}: --weights takes {len(names)}, and '
                             f'{len(files)} are given')
        return dict(zip(names, map(weights_file, files)))
    found = {}
    for suffix, name in names.items():
        file = default_weights(name)
        if file is None:
            raise ValueError(f'this recipe starts from the weights of {name}: '
                             f'{how_to_get(name)}')
        found[suffix] = file
    return found


def default_weights(name: str) -> Path | None:
    """The best weights of an earlier run of this name, else those in the cache, if any."""
    best = best_of_run(name)
    return best if best.exists() else cached_weights(name)


def best_of_run(name: str) -> Path:
    return Path('runs') / name / runs.BEST


def how_to_get(name: str) -> str:
    """What to do if the weights that a recipe starts from are missing."""
    if name in recipes.RECIPES:
        return f'give --weights FILE, or train it first, which writes {best_of_run(name)}'
    if source_name(name):
        return f'`tinyfcn weights get {name}` fetches them; or give others with --weights FILE'
    return f'give --weights FILE, or put it at {best_of_run(name)}'
