"""Reopen a step of a run, and write a page about it.

The page has the images of the step, augmented as the net saw them, what the
net predicted before it, the loss, and the gradient of every box. The weights
before a step are computed once more, by training up to it from the last
checkpoint before it: nothing of the run is changed.

  tinyfcn replay runs/my 140                    writes runs/my/step-140.html
  tinyfcn replay runs/my 3 --weights squeezenet -o page.html
"""
import argparse
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from ..files import make_folder, printable, require_own
from ..training import Recipe, replay, run as runs
from ..training.loop import make_optimizer
from ..training.replay_page import describe_loss, write_replay_page
from .bar import show_bar
from .device import add_device_arguments
from .first_weights import initial_weights
from .output import say
from .paths import add_data_argument, train_val_sets
from .run_folder import run_data_folder
from .values import positive_number


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('run_folder', type=Path, metavar='RUN', help='the folder of a run')
    parser.add_argument('step', type=positive_number, metavar='STEP',
                        help='the number of the step, as in metrics.jsonl: from 1 on')
    parser.add_argument('-o', '--output', type=Path, metavar='FILE',
                        help='the page to write (default: RUN/step-STEP.html)')
    parser.add_argument('--overwrite', action='store_true',
                        help='overwrite a file there that tinyfcn did not write')
    add_data_argument(parser)
    parser.add_argument('--weights', type=Path, nargs='+', action='extend', default=[],
                        metavar='FILE',
                        help='the weights that the run started from, where it does not know them')
    add_device_arguments(parser)


def run(args: argparse.Namespace) -> None:
    info = read_run(args.run_folder)
    seed, changes = info['seed'], info.get('changes') or []
    last_recipe = Recipe.from_saved(info['recipe'], str(args.run_folder / 'run.json'))
    recipe = replay.recipe_of_step(last_recipe, changes, args.step)
    if args.step > recipe.steps:
        raise ValueError(f'step {args.step:,}: this run has {recipe.steps:,} steps')
    output = args.output or args.run_folder / f'step-{args.step}.html'
    require_own(output, args.overwrite)
    root = args.data or run_data_folder(args.run_folder)
    train, valid = train_val_sets(recipe, root)

    net = runs.build_net(recipe, train, seed).to(args.device)
    optimizer = make_optimizer(recipe)
    note = partial(say, file=sys.stderr)
    done = replay.restore_before(args.run_folder, args.step, net, optimizer, last_recipe, seed,
                                 runs.fingerprints(train, valid), note)
    if not done:
        files = run_weights(info, last_recipe, args.weights)
        net = runs.build_net(recipe, train, seed, files, note).to(args.device)
    logged = replay.logged_losses(args.run_folder, note)
    rows = replay.steps_before(net, train, last_recipe, changes, optimizer, seed, done, args.step)
    compare_losses(rows, logged, args.step - 1 - done)
    step = replay.replay_step(net, train, recipe, seed, args.step, logged)

    make_folder(output.parent)
    names = ', '.join(dict.fromkeys(sample.name for sample in step.samples))
    write_replay_page(output, step, net, train.classes,
                      f'Step {step.step:,} of {printable(args.run_folder)}',
                      f'{recipe.net}, {recipe.optimizer}, learning rate {step.lr:.4g}, seed '
                      f'{seed}')
    say(f'step {step.step:,}, images {printable(names)}: loss {describe_loss(step)}')
    say(printable(output))


def read_run(folder: Path) -> dict[str, Any]:
    """The run.json of a folder, which must be that of a run."""
    info = runs.read_run_info(folder)
    if not info:
        raise ValueError(f'{printable(folder)}: not the folder of a run; it has no run.json')
    return info


def run_weights(info: dict[str, Any], recipe: Recipe, given: list[Path]) -> dict[str, Path]:
    """The files of weights that the run started from, by branch: those given, or those it notes."""
    noted = info.get('weights')
    if given or noted is None:
        return initial_weights(recipe, given)
    for file in noted.values():
        if not Path(file).exists():
            raise ValueError(f'{printable(file)}: the run started from this file of weights, which '
                             f'is gone; give it with --weights FILE')
    return {suffix: Path(file) for suffix, file in noted.items()}


def compare_losses(rows: Iterator[Any], logged: dict[int, float], count: int) -> None:
    """Go through the steps before, and say where their losses first differ from the log."""
    differs = None
    for row in show_bar(rows, count, 'step'):
        before = logged.get(row['step'])
        if differs is None and before is not None and before != row['loss']:
            differs = row['step'], before, row['loss']
    if differs:
        say('from step {:,} on the losses are not those of the run: it has logged {!r}, and here '
            'it is {!r}'.format(*differs), sys.stderr)
