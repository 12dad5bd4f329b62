"""Before any training: what to expect of a data set, and how to train on it.

Reads the masks, and prints and draws the share of each class; the ceiling,
which is the score of the masks themselves once they are reduced to one class
for each cell of 32, 16, 8 or 4 pixels and enlarged again, as in the paper's
table of upper bounds; objects smaller than a cell; and what is too thin for
one. Then it suggests a net, a recipe and what helps rare classes, with the
reasons, and times a few steps for the time and the memory on this machine.

  tinyfcn plan my                       a folder of your own; draws plan.png
  tinyfcn plan camvid --data FOLDER -o camvid.png
"""
import argparse
import os
import shlex
from collections.abc import Iterator, Sequence
from math import prod
from pathlib import Path
from textwrap import wrap

from .. import viz
from ..data import Dataset
from ..data.statistics import STRIDES, LabelStatistics, label_statistics
from ..files import make_folder, printable, require_own
from ..metrics import scores
from ..training.advice import Advice, Stage, advise, names_of, stages_of_set
from ..training.recipes import get_recipe
from ..training.trial import Trial, largest_image
from ..viz.colours import class_colours
from ..viz.files import figure_suffix
from .bar import show_bar
from .first_weights import best_of_run, default_weights
from .folders import NAMED
from .output import say
from .paths import Location, add_data_argument, find_dataset, train_val_sets
from .tables import MAX_NAME, in_percent
from .trial import run_trial

OWN_RECIPE = 'folder-squeezenet'        # for images of one's own: its nets have all strides
MAX_IMAGES = 1000               # whose masks are read, spread evenly
MAX_PIXELS = 200_000_000        # of all of them, about a minute
BUSY_SHARE = .25                # of all cores: what other programs use before it is mentioned
WIDTH = 100                     # of a line
SMALL_SIDE = 64                 # pixels: smaller images are not for nets that begin by pooling


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('dataset', metavar='DATASET',
                        help='a folder of your own, or the name of a data set, such as camvid')
    add_data_argument(parser)
    parser.add_argument('-o', '--output', type=Path, default=Path('plan.png'), metavar='FILE',
                        help='the picture to write: .png, .svg or .pdf (default: %(default)s)')
    parser.add_argument('--overwrite', action='store_true',
                        help='overwrite a file there that tinyfcn did not write')


def run(args: argparse.Namespace) -> None:
    figure_suffix(args.output)
    require_own(args.output, args.overwrite)
    load = load_of_others()
    found = find_dataset(args.dataset, args.data)
    is_own = found.name == 'folder'
    first = OWN_RECIPE if is_own else [*stages_of_set(found.name).values()][0].recipe
    train, valid = train_val_sets(get_recipe(first), found.folder)
    if is_own and min(largest_image(train)[1]) < SMALL_SIDE:
        first = 'folder'
    numbers = select_images(train)
    statistics = label_statistics(train, show_bar(numbers, len(numbers), 'mask'))
    if not statistics.pixels.any():
        raise ValueError(f'{printable(args.dataset)}: no pixel of the masks has a class; '
                         f'`tinyfcn check` reads all of them')
    advice = advise(statistics, found.name, len(train), first if is_own else '')
    if train.description:
        say(f'{found.folder}: {train.description}')
    for line in [*describe_data(statistics, train, valid), '',
                 *describe_advice(advice, found, args), '']:
        say(line)
    make_folder(args.output.parent)
    title = f'{args.dataset}: {len(train):,} images'
    try:
        trials = [run_trial(stage, found.folder, args.seed)
                  for stage in show_bar(advice.stages, len(advice.stages), 'trial', in_logs=False)]
    except ValueError:                                  # such as too little memory for a step
        draw(args.output, title, statistics, train, advice.reasons)
        raise
    costs = [*describe_costs(advice, trials, len(valid), load)]
    for line in costs:
        say(line)
    draw(args.output, title, statistics, train, [*advice.reasons, *costs])
    say(f'\n{args.output}')


def select_images(dataset: Dataset) -> range:
    """The numbers of the images whose masks are read: all, or so many that it takes a minute."""
    _, size = largest_image(dataset)
    count = min(MAX_IMAGES, max(1, MAX_PIXELS // prod(size)))
    return range(0, len(dataset), -(-len(dataset) // count))


# ---- the data ------------------------------------------------------------------------------------

def describe_data(found: LabelStatistics, train: Dataset, valid: Dataset) -> Iterator[str]:
    """Sizes; a table of the classes and their ceilings; a table of small objects and thin parts."""
    smallest, largest = ('{}×{}'.format(*extreme(found.sizes, key=prod)) for extreme in (min, max))
    sizes = f'of {smallest}' if smallest == largest else f'from {smallest} to {largest}'
    read = '' if len(found.sizes) == len(train) else f'; {len(found.sizes):,} masks were read'
    yield (f'{len(train):,} images to train on, {sizes} pixels (rows × columns), and '
           f'{len(valid):,} to validate; '
           f'{found.void / (found.pixels.sum() + found.void):.1%} of the pixels are void{read}')
    if absent := [i for i, pixels in enumerate(found.pixels) if not pixels]:
        yield f'no pixel is {names_of(absent, found)}'
    yield ''
    by_stride = {stride: scores(hist) for stride, hist in found.confusion.items()}
    rows = [[name, f'{100 * found.shares[i]:.2f}%', f'{found.images[i]:,}',
             *(in_percent(own['iu'][i]) for own in by_stride.values())]
            for i, name in present_classes(found)]
    rows.append(['mean IU', '', '', *(in_percent(own['mean_iu']) for own in by_stride.values())])
    yield from table(['class', 'share', 'images', *(f'IU at {stride}' for stride in STRIDES)], rows)
    yield ('The ceiling: the IU of the masks themselves, reduced to one class for each cell of '
           '32×32 … 4×4 pixels\nand enlarged again. A net with scores at this stride is hardly '
           'ever better.')
    yield ''
    rows = [[name, f'{found.objects[i]:,}',
             *(f'{found.small_objects[stride][i] / found.objects[i]:.0%}' for stride in STRIDES),
             *(f'{found.thin[stride][i] / found.pixels[i]:.0%}' for stride in STRIDES)]
            for i, name in present_classes(found)]
    yield from table(['class', 'objects', *(f'<{stride}²' for stride in STRIDES),
                      *(f'thin {stride}' for stride in STRIDES)], rows)
    yield ('<16²: objects, which are connected parts of a class, of fewer pixels than a cell at '
           'stride 16.\nthin 16: the pixels of a class where no square of 16×16 pixels fits into '
           'it.')


def present_classes(found: LabelStatistics) -> list[tuple[int, str]]:
    """The number and the name of each class that has pixels."""
    return [(i, printable(name, limit=MAX_NAME)) for i, name in enumerate(found.classes)
            if found.pixels[i]]


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """The first column to the left, all others to the right."""
    widths = [max(map(len, column)) for column in zip(header, *rows)]
    for row in [header, *rows]:
        yield '  '.join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]).rstrip()


def draw(path: Path, title: str, found: LabelStatistics, train: Dataset,
         notes: Sequence[str]) -> None:
    """The tables as a picture, above the advice and the costs."""
    present = [i for i, _ in present_classes(found)]
    by_stride = {stride: scores(hist) for stride, hist in found.confusion.items()}
    small = {stride: own[present] / found.objects[present]
             for stride, own in found.small_objects.items()}
    thin = {stride: own[present] / found.pixels[present] for stride, own in found.thin.items()}
    viz.draw_plan(
        path, title, [found.classes[i] for i in present], found.shares[present],
        ceilings={stride: own['iu'][present] for stride, own in by_stride.items()},
        small=small, thin=thin, means={stride: own['mean_iu'] for stride, own in by_stride.items()},
        notes=notes, colours=class_colours(found.classes, train.colours)[present])


# ---- the advice ----------------------------------------------------------------------------------

def describe_advice(advice: Advice, found: Location, args: argparse.Namespace) -> Iterator[str]:
    """Commands that can be pasted, then the reasons."""
    yield 'Suggested:'
    for command in commands(advice, found, args):
        yield f'  {command}'
    if advice.reasons:
        yield 'Because:'
    for reason in advice.reasons:
        yield from wrap(reason, WIDTH, initial_indent='  ', subsequent_indent='      ')


def commands(advice: Advice, found: Location, args: argparse.Namespace) -> Iterator[str]:
    """`tinyfcn train …` for each stage; before them the weights, if they are not there."""
    start = get_recipe(advice.stages[0].recipe).init_from
    if isinstance(start, str) and default_weights(start) is None:
        yield f'tinyfcn weights get {start}'
    before = None
    for stage in advice.stages:
        words = ['tinyfcn', 'train', stage.recipe]
        if found.name == 'folder':
            words += ['--data', str(found.folder)]
        elif args.data:
            words += ['--data', str(args.data)]
        for part, path in NAMED.items():
            words += [f'--{part}', str(path)]
        if stage.changes:
            words += ['--set', *(f'{key}={value}' for key, value in stage.changes.items())]
        if found.name == 'folder':
            folder = own_run_folder(stage, found)
            if before:
                words += ['--weights', before]
            words += ['--run', folder]
            before = folder
        yield shlex.join(words)


def own_run_folder(stage: Stage, found: Location) -> str:
    """runs/my-16s, by the net."""
    net = get_recipe(stage.recipe, **stage.changes).net or ''
    return best_of_run(f'{found.folder.resolve().name}-{net.rpartition("_")[2]}').parent.as_posix()


# ---- time and memory -----------------------------------------------------------------------------

def load_of_others() -> float:
    """How many cores other programs keep busy: the mean of the last minute; 0 if not known."""
    return os.getloadavg()[0] if hasattr(os, 'getloadavg') else 0.


def describe_costs(advice: Advice, trials: Sequence[Trial], n_valid: int,
                   load: float) -> Iterator[str]:
    """The time and the memory of each stage on this machine, and of all of them."""
    total = 0.
    for stage, trial in zip(advice.stages, trials):
        recipe = get_recipe(stage.recipe, **stage.changes)
        seconds = trial.seconds(recipe, n_valid)
        total += seconds
        memory = f' and {trial.memory / 1e9:.2g} GB of memory' if trial.memory else ''
        yield (f'{recipe.net}: {trial.step:.2g} s a step; {recipe.steps:,} steps, with '
               f'validations, take about {duration(seconds)}{memory}')
    if len(trials) > 1:
        yield f'all together: about {duration(total)} on this machine'
    cores = os.cpu_count() or 1
    if load > BUSY_SHARE * cores:
        yield (f'other programs were using {min(load, cores):.1f} of {cores} cores: without them '
               f'it takes less time')


def duration(seconds: float) -> str:
    """'40 s', '12 minutes', '3.5 hours' or '6 days'

    >>> duration(100), duration(1000), duration(1e5), duration(1e6)
    ('100 s', '17 minutes', '28 hours', '12 days')
    """
    if seconds < 120:
        return f'{seconds:.0f} s'
    if seconds < 7200:
        return f'{seconds / 60:.0f} minutes'
    if seconds < 48 * 3600:
        return f'{seconds / 3600:.2g} hours'
    return f'{seconds / 86400:.0f} days'
