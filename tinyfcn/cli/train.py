"""Train a net by a recipe.

The run is kept in a folder: checkpoints, curves, a page of predictions and
metrics.jsonl with the loss of every step. Ctrl-C saves a checkpoint, and the
same command with --resume continues: on one machine, with the same libraries
and as many threads, bit for bit as if it had not been stopped.

  tinyfcn train --list                  all recipes, and what each needs
  tinyfcn train folder --list           what can be set, and to what
  tinyfcn train folder --data my        your own images/, masks/ and classes.txt
  tinyfcn train folder --data my --weights googlenet
  tinyfcn train folder --data my --find-lr
  tinyfcn train folder --data my --set patience=5 freeze='conv1*,fire*'
  tinyfcn train voc-fcn32s --set lr=1e-4 loss=mean

Recipe folder starts from random weights. With ImageNet weights, which
--weights names or `tinyfcn weights get` has fetched, fewer images are enough:
with those of GoogLeNet it is recipe folder-googlenet, and with those of
SqueezeNet, which are a tenth as large, recipe folder-squeezenet.

With patience=5 training stops early, once five validations in a row have found
no better mean IU. With freeze only weights whose names match none of these
patterns are trained. --find-lr does not train: it tries learning rates in a
hundred steps, suggests one, and draws the loss over them.

There is a recipe for every row of the paper's tables, with the scores that the
paper reports. In voc-fcn32s, voc-fcn16s, voc-fcn8s and voc-fcn8s-at-once the
loss is a sum over pixels, as in the authors' nets (lr 1e-10, momentum 0.99, one
image a step); in voc-fcn8s-table2 it is a mean, as in the paper (lr 1e-4,
twenty images a step). A learning rate for a summed loss is rejected with a mean
loss, and vice versa.
"""
import argparse
import shlex
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from ..data import Dataset
from ..data.labels import by_output
from ..files import printable
from ..net import Net
from ..runtime.machine import has_numba
from ..training import recipes, run as runs
from ..training.requirements import require_apart
from ..training.run_files import LOG, Row, read_rows
from ..weights.find import find_weights
from .device import add_device_arguments
from .find_lr import show_lr
from .first_weights import describe_start, initial_weights, recipe_for_folder, recipe_of_run
from .output import say
from .paths import add_data_argument, data_folder, train_val_sets
from .progress import show_progress
from .recipe_list import field_list, recipe_list
from .run_folder import RUN_FILES, require_own_run, run_data_folder
from .tables import score_table


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('recipe', metavar='RECIPE', nargs='?', help='the name of a recipe')
    parser.add_argument('--list', action='store_true',
                        help='print a table of the recipes, with what each needs; or all fields '
                             'of RECIPE, which --set changes')
    add_data_argument(parser)
    parser.add_argument('--weights', type=Path, nargs='+', action='extend', default=[],
                        metavar='FILE',
                        help='the weights to start from: a file, the folder of a run, or a name '
                             'that `tinyfcn weights list` shows (default: best.safetensors of the '
                             'run that the recipe builds on, or what `tinyfcn weights get` has '
                             'fetched)')
    parser.add_argument('--run', type=Path, metavar='FOLDER', dest='run_folder',
                        help='the folder of the run (default: runs/RECIPE; with images of your '
                             'own, the name of their folder stands for `folder`)')
    parser.add_argument('--resume', action='store_true',
                        help='continue the run in that folder from its last checkpoint')
    parser.add_argument('--overwrite', action='store_true',
                        help='overwrite files of the same names there that tinyfcn did not write, '
                             'and a damaged run.json')
    parser.add_argument('--set', type=recipe_change, nargs='+', action='extend', default=[],
                        metavar='KEY=VALUE',
                        help='change the recipe, for example lr=1e-4 steps=500; of several values '
                             'for a key the last is used')
    parser.add_argument('--find-lr', action='store_true',
                        help='do not train: try learning rates in a hundred steps, suggest one, '
                             'and draw the loss over them into find-lr.png')
    parser.add_argument('--tensorboard', action='store_true',
                        help='write an event file as well, which `tensorboard --logdir runs` shows')
    add_device_arguments(parser)


def run(args: argparse.Namespace) -> None:
    if args.list or args.recipe == 'list':
        show_list(args)
        return
    if args.recipe is None:
        raise ValueError('name a recipe, such as `tinyfcn train folder --data FOLDER`; `tinyfcn '
                         'train --list` prints a table of all')
    if args.find_lr and args.resume:
        raise ValueError('--find-lr tries learning rates from the start of a run: leave out '
                         '--resume')
    changes = dict(args.set)
    recipe = get_recipe(args.recipe, changes)
    folder = args.run_folder or default_run_folder(args.recipe, args.data)
    if args.resume and not args.run_folder:
        folder = run_to_resume(folder, args.recipe)
    require_own_run(folder, args.overwrite)
    root = args.data or (remembered_data(folder, args.overwrite) if args.resume else None)
    train, valid = train_val_sets(recipe, root)
    resumes = args.resume and has_run(folder)
    name = args.recipe
    if name == 'folder':
        name = (recipe_of_run(folder, changes) if resumes
                else recipe_for_folder(args.weights, changes))
        recipe = get_recipe(name, changes)
    files = {} if resumes else initial_weights(recipe, args.weights)
    note = partial(say, file=sys.stderr)
    if not has_numba() and args.device == 'cpu':
        note('Numba is not installed, so every op runs its reference: pip install numba makes '
             'training about twice as fast')
    net = runs.build_net(recipe, train, args.seed, files, note,
                         'preprocess' in changes).to(args.device)

    if recipe.freeze and not files and not resumes:
        note('freeze keeps weights that are random: start from trained ones, with --weights')

    if args.find_lr:
        require_apart(folder, train, valid)
        show_lr(net, train, recipe, args.seed, folder, args.overwrite)
        return
    if args.tensorboard:
        note(f'`tensorboard --logdir {shlex.quote(str(folder.parent))}` shows the loss and the '
             f"scores as they come (pip install 'tinyfcn[tensorboard]')")
    rows = runs.run(folder, net, train, valid, recipe, args.seed, shlex.join(args.command),
                    args.resume, data_location(recipe, root), note, args.overwrite,
                    args.tensorboard,
                    {suffix: find_weights(path) for suffix, path in files.items()})
    title = '\n  '.join(describe_run(name, recipe, net, train, valid, root)
                        + describe_start(name, files, resumes))
    title = f'{title}\nIn {folder}:'
    how_to_continue = f'run the same command with --resume to continue in {folder}'
    scores = show_progress(rows, recipe, title, how_to_continue)
    if not scores:                                      # the run was finished before
        return
    say()
    rows_of_table = last_and_best(str(folder), scores, folder)
    say(score_table(rows_of_table, recipe.target, recipe.source))
    for line in describe_missed([*rows_of_table.values()][-1], train):
        say(line)
    written = [name for name in RUN_FILES if (folder / name).exists()]
    say(f'\nIn {folder}: {", ".join(written)}')


def describe_run(name: str, recipe: recipes.Recipe, net: Net, train: Dataset, valid: Dataset,
                 root: Path | None) -> list[str]:
    """What is trained, and on what: a line each."""
    count = sum(w.size for w in net.params.values())
    others = 'other' if len(valid) == 1 else 'others'
    return [f'{name}: training {recipe.net} ({count:,} parameters) on {len(train):,} images, '
            f'validating on {len(valid):,} {others}',
            *([f'{root}: {train.description}'] if train.description else [])]


def describe_missed(scores: Row, dataset: Dataset) -> Iterator[str]:
    """A sentence for classes of which no pixel was predicted right, if there are some."""
    classes, *_ = by_output(dataset.classes).values()
    missed = [name for name, iu in zip(classes, scores['iu']) if iu == 0]
    if missed:
        yield (f'No pixel is predicted right of: {printable(", ".join(missed))}. Longer training '
               f'helps, or weights for rare classes')


def show_list(args: argparse.Namespace) -> None:
    """Print all recipes, or the fields of one."""
    name = args.recipe
    changes = dict(args.set)
    if name in (None, 'list'):
        say(recipe_list({name: recipes.get_recipe(name) for name in recipes.RECIPES}))
        return
    if name == 'folder':
        name = recipe_for_folder(args.weights, changes)
    say(f'{name}\n\n{field_list(get_recipe(name, changes))}')


def last_and_best(name: str, last: Row, folder: Path) -> dict[str, Row]:
    """The scores of the last validation, and of the best one if that was another."""
    rows = [row for row in read_rows(folder / LOG, lambda note: None)
            if row.get('mean_iu') is not None]
    best = max(rows, key=lambda row: row['mean_iu'], default=last)
    if best['mean_iu'] == last['mean_iu']:
        return {name: last}
    return {f'{name}, step {last["step"]:,}': last, f'the best, step {best["step"]:,}': best}


def get_recipe(name: str, changes: dict[str, Any]) -> recipes.Recipe:
    """The recipe of this name, with some fields changed."""
    if name not in recipes.RECIPES and Path(name).is_dir():
        raise ValueError(f'no recipe called {printable(name)!r}; to train on the images in a '
                         f'folder: `tinyfcn train folder --data {printable(shlex.quote(name))}`; '
                         f'`tinyfcn train --list` prints a table of all')
    return recipes.get_recipe(name, **changes)


# ---- the folder and the data ---------------------------------------------------------------------

def default_run_folder(recipe_name: str, data: Path | None) -> Path:
    """runs/RECIPE; for images of your own, the name of their folder in place of `folder`.

    >>> default_run_folder('folder-squeezenet', Path('my')).as_posix()
    'runs/my-squeezenet'
    """
    own = data.resolve().name if data else ''
    if own and recipe_name.split('-')[0] == 'folder':
        recipe_name = own + recipe_name.removeprefix('folder')
    return Path('runs') / recipe_name


def run_to_resume(folder: Path, recipe_name: str) -> Path:
    """`folder`, or runs/RECIPE, where version 0.1 kept runs on images of your own."""
    old = Path('runs') / recipe_name
    if not has_run(folder) and (old / runs.LAST).exists():
        say(f'{folder} holds no run: resuming the one in {old}', sys.stderr)
        return old
    return folder


def has_run(folder: Path) -> bool:
    """Whether there is a checkpoint to resume from."""
    return any((folder / file).exists() for file in (runs.LAST, runs.BEST))


def remembered_data(folder: Path, overwrite: bool) -> Path | None:
    """The folder of data in run.json; None if that is damaged and may be overwritten."""
    try:
        return run_data_folder(folder)
    except ValueError:
        if not overwrite:
            raise
        return None


def data_location(recipe: recipes.Recipe, root: Path | None) -> tuple[str, Path | None]:
    """The name of the data set and its folder, which run.json keeps."""
    assert recipe.train                                 # get_recipe has checked it
    name = recipe.train[0]
    return name, None if name == 'shapes' else (root or data_folder()).resolve()


def recipe_change(text: str) -> tuple[str, Any]:
    """'lr=1e-4' -> ('lr', 0.0001)"""
    key, equals, value = text.partition('=')
    if not equals:
        raise argparse.ArgumentTypeError(f'{printable(text, limit=40)!r} is not KEY=VALUE, such '
                                         f'as lr=1e-4')
    return key, recipes.parse_value(value)
