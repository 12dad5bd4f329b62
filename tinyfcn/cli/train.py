"""Train a net by a recipe.

The run is kept in a folder: checkpoints, curves, a page of predictions and
metrics.jsonl with the loss of every step. Ctrl-C saves a checkpoint, and the
same command with --resume continues bit for bit as if it had not been stopped.

  tinyfcn train folder --data my        your own images/, masks/ and classes.txt
  tinyfcn train stanford-16s --weights squeezenet.npz
  tinyfcn train voc-fcn32s --set lr=1e-4 loss=mean

There is a recipe for every row of the paper's tables, with the scores that the
paper reports. In voc-fcn32s, voc-fcn16s, voc-fcn8s and voc-fcn8s-at-once the
loss is a sum over pixels, as in the authors' nets (lr 1e-10, momentum 0.99, one
image a step); in voc-fcn8s-table2 it is a mean, as in the paper (lr 1e-4,
twenty images a step). A learning rate for a summed loss is rejected with a mean
loss, and vice versa.
"""
import argparse
import shlex
from ast import literal_eval
from pathlib import Path
from typing import Any

from ..training import recipes, run as runs
from .device import add_device_arguments
from .paths import add_data_argument, train_val_sets
from .progress import follow
from .tables import score_table


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('recipe', metavar='RECIPE',
                        help='the name of a recipe; a wrong name lists them all')
    add_data_argument(parser)
    parser.add_argument('--weights', type=Path, nargs='+', default=[], metavar='FILE',
                        help='the weights to start from (default: best.safetensors of the run that '
                             'the recipe builds on)')
    parser.add_argument('--run', type=Path, metavar='FOLDER', dest='run_folder',
                        help='the folder of the run (default: runs/RECIPE)')
    parser.add_argument('--resume', action='store_true',
                        help='continue the run in that folder from its last checkpoint')
    parser.add_argument('--set', type=recipe_change, nargs='+', default=[], metavar='KEY=VALUE',
                        help='change the recipe, for example lr=1e-4 steps=500')
    add_device_arguments(parser)


def run(args: argparse.Namespace) -> None:
    recipe = recipes.get_recipe(args.recipe, **dict(args.set))
    folder = args.run_folder or Path('runs') / args.recipe
    train, valid = train_val_sets(recipe, args.data)
    resumes = args.resume and (folder / 'last.safetensors').exists()
    files = {} if resumes else initial_weights(recipe, args.weights)
    net = runs.build_net(recipe, train.classes, args.seed, files).to(args.device)
    print(f'{args.recipe}: training {net} on {len(train):,} images, validating on {len(valid):,} '
          f'others. In {folder}:')

    rows = runs.run(folder, net, train, valid, recipe, args.seed, shlex.join(args.command),
                    args.resume)
    scores = follow(rows, recipe, folder)
    print()
    print(score_table({args.recipe: scores}, recipe.target, recipe.source))
    print(f'\ncurves.png, predictions.png and best.safetensors are in {folder}')


def initial_weights(recipe: recipes.Recipe, files: list[Path]) -> dict[str, Path]:
    """The files of weights that a recipe starts from, by the suffix of the branch they are for.

    `files` are those of the command line; without them, the best weights of earlier runs are taken.
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
                             f'{" and ".join(names.values())}: --weights needs as many files')
        return dict(zip(names, files))
    found = {suffix: Path('runs') / name / 'best.safetensors' for suffix, name in names.items()}
    for name, file in zip(names.values(), found.values()):
        if not file.exists():
            raise ValueError(f'this recipe starts from the weights of {name}: give --weights FILE, '
                             f'or if {name} is a recipe, train it first (it writes {file})')
    return found


def recipe_change(text: str) -> tuple[str, Any]:
    """'lr=1e-4' -> ('lr', 0.0001)"""
    key, equals, value = text.partition('=')
    if not equals:
        raise argparse.ArgumentTypeError(f'{text!r} is not KEY=VALUE, such as lr=1e-4')
    try:
        return key, literal_eval(value)
    except (ValueError, SyntaxError):
        return key, value                               # a word without quotes, such as sum
