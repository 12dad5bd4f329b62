"""Validate every image and mask of a data set, before training on it.

Each problem is reported with file, value, pixel and what to do; then the share
of each class is printed, and for images of your own what a training step takes.

  tinyfcn check my                      a folder of your own; its first line says
                                        which format was found in it
  tinyfcn check voc --split train
"""
import argparse
import os
import shlex
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from time import perf_counter

from ..data import Dataset
from ..data.check import FileProblems, find_overlaps, find_problems
from ..data.folder import has_split, unused_labels
from ..data.labels import by_output
from ..data.manifest import verify_manifest, write_manifest
from ..files import printable
from ..net import Net
from ..training import recipes
from ..training.loop import make_optimizer, train
from ..training.memory import require_memory, step_memory
from ..training.run import build_net
from .bar import show_bar
from .first_weights import initial_weights, recipe_for_folder
from .folders import NAMED
from .output import say
from .paths import Location, add_data_argument, find_dataset, load_split, open_dataset

PRINTED = 20                            # problems; the others are only counted
SPLITS = 'train', 'val', 'test'         # of which no two should have an image in common
OWN_RECIPE = 'folder'                   # the recipe for images of one's own
TIMED_STEPS = 3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('dataset', metavar='DATASET',
                        help='the name of a data set, such as voc, or a folder of your own')
    add_data_argument(parser)
    parser.add_argument('--split', default='train', help='of the data set (default: %(default)s)')
    parser.add_argument('--write-manifest', action='store_true',
                        help='write manifest.sha256 with the SHA-256 of every file, which later '
                             'checks compare with')


def run(args: argparse.Namespace) -> None:
    dataset = open_dataset(args.dataset, args.data, args.split)
    found = find_dataset(args.dataset, args.data)
    manifest = found.folder / 'manifest.sha256'
    if dataset.description:
        say(f'{found.folder}: {dataset.description}')
    summary: dict = {}
    numbers = show_bar(range(len(dataset)), len(dataset), 'image')
    problems = [*find_problems(dataset, summary, numbers),
                *find_problems_of_names(found, dataset, args.split)]
    if os.path.lexists(manifest) and not args.write_manifest:
        problems += verify_manifest(dataset, manifest)

    for problem in problems[:PRINTED]:
        say(f'  {problem}')
    if len(problems) > PRINTED:
        say(f'  … and {len(problems) - PRINTED:,} more')
    for line in describe(summary, by_output(dataset.classes)):
        say(line)
    if problems:
        noun = 'problem' if len(problems) == 1 else 'problems'
        images = 'image' if len(dataset) == 1 else 'images'
        raise ValueError(f'{len(problems):,} {noun} in {len(dataset):,} {images}')
    say('no problems')
    if args.write_manifest:
        write_manifest(dataset, manifest)
        say(f'{manifest}: the SHA-256 of every file; later checks compare with it')
    if found.name == OWN_RECIPE and args.split == 'train':
        say(describe_step(found, dataset))


def find_problems_of_names(found: Location, dataset: Dataset, split: str) -> Iterator[str]:
    """Images in two splits, and masks that belong to no image."""
    splits = {split: dataset}
    for other in SPLITS:
        if split in SPLITS and other != split and _may_have(found, other):
            try:
                splits[other] = load_split(found, other)
            except (OSError, ValueError) as error:
                if found.name == OWN_RECIPE or os.path.lexists(found.folder / f'{other}.txt'):
                    yield str(error)
    yield from find_overlaps(splits)
    problems = FileProblems()
    for mask in unused_labels(found.folder, **NAMED) if found.name == OWN_RECIPE else ():
        images = dataset.files(dataset.names[0])[0].parent
        problems.add([mask], f'{printable(mask)}: no image of this name in {printable(images)}; '
                             f'rename it, or remove the mask')
    yield from problems.sentences()


def _may_have(found: Location, split: str) -> bool:
    """Whether there may be such a split; of one's own images it is known."""
    return (found.name != OWN_RECIPE or os.path.lexists(found.folder / f'{split}.txt')
            or has_split(found.folder, split, **NAMED))


def describe(summary: dict, classes: dict[str, tuple[str, ...]]) -> Iterator[str]:
    """The sizes of the images and the share of each class that occurs, line by line."""
    if summary['images']:
        smallest = '{}×{}'.format(*summary['smallest'])
        largest = '{}×{}'.format(*summary['largest'])
        images = 'image' if summary['images'] == 1 else 'images'
        sizes = f'of {smallest}' if smallest == largest else f'from {smallest} to {largest}'
        yield f'{summary["images"]:,} {images}, {sizes} pixels (rows × columns)'
    labels = summary['labels']
    for output, label in labels.items():
        pixels = label['pixels']
        total = sum(pixels.values())
        if not total:                                   # no mask could be read, or all are void
            continue
        shares = f'shares of {output}' if len(labels) > 1 else 'shares'
        yield f'{shares}: void {label["void"]:.1%}; of the rest'
        for name in classes[output]:
            if pixels.get(name):                        # a note names the others
                yield f'  {name:20} {pixels[name] / total:7.2%}'
    yield from summary['notes']


# ---- a training step -----------------------------------------------------------------------------

def describe_step(found: Location, dataset: Dataset) -> str:
    """The memory and the time that a training step on images of one's own takes on this machine."""
    command = f'`tinyfcn train {OWN_RECIPE} --data {shlex.quote(str(found.folder))}`'
    recipe = recipes.get_recipe(recipe_for_folder([], {}))
    net = build_net(recipe, dataset, files=initial_weights(recipe, []))
    try:
        require_memory(net, recipe, dataset)
    except ValueError as error:
        return f'{command}: {error}'
    memory = step_memory(net, recipe, dataset) / 1e9
    seconds = step_seconds(net, recipe, dataset)
    total = seconds * recipe.steps
    duration = f'{total:.0f} s' if total < 120 else f'{total / 60:.0f} minutes'
    return (f'{command}: a step takes about {seconds:.2g} s and {max(memory, .01):.2g} GB of '
            f'memory, {recipe.steps:,} steps about {duration}')


def step_seconds(net: Net, recipe: recipes.Recipe, dataset: Dataset) -> float:
    """The measured time of a training step, without the first, which compiles kernels."""
    short_recipe = replace(recipe, steps=1 + TIMED_STEPS)
    with closing(train(net, dataset, short_recipe, make_optimizer(short_recipe))) as rows:
        next(rows)
        start = perf_counter()
        for _ in rows:
            pass
        return (perf_counter() - start) / TIMED_STEPS
