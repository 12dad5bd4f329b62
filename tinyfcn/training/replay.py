"""Reopen a step of a run: its images, its loss to the bit, the gradient of every weight.

The weights before a step follow from the recipe, the seed and the initial weights. So the run is
trained once more up to that step, from the last checkpoint before it, and nothing is written.
"""
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .. import optim
from ..data.batches import Sample, batches, sample
from ..data.dataset import Dataset
from ..data.labels import Array
from ..net import Net
from ..runtime.backend import to_numpy
from . import checkpoint
from .freeze import frozen_weights
from .gradients import NumberedBatch
from .loop import AUGMENTATION, StepRow, accumulate_gradients, learning_rate, train
from .recipes import Recipe
from .resume import restore
from .run_files import LOG, Change, Log, read_rows
from .writer import BEST, LAST


class ReplayedStep(NamedTuple):
    """One step, before it changes the weights."""

    step: int                           # from 1 on
    lr: float
    loss: float
    logged_loss: float | None           # the same in metrics.jsonl; None if it has no such row
    losses: list[float]                 # of each batch
    samples: list[Sample]               # the images as the net saw them, augmented
    gradients: dict[str, Array]         # by weight, the mean over the batches


def recipe_of_step(recipe: Recipe, changes: Sequence[Sequence[Any]], step: int) -> Recipe:
    """The recipe that a step was made by, where the user changed it on the way.

    changes: of run.json: [step from which on, field, before, after]

    >>> recipe = Recipe(lr=.01, steps=100)
    >>> changes = [[50, 'lr', .1, .01]]
    >>> [recipe_of_step(recipe, changes, step).lr for step in (50, 51)]
    [0.1, 0.01]
    """
    for change in reversed([Change(*values) for values in changes]):
        if step <= change.step:
            recipe = replace(recipe, **{change.field: change.before})
    return recipe


def restore_before(folder: Path, step: int, net: Net, optimizer: optim.SGD | optim.Adam,
                   recipe: Recipe, seed: int, data_prints: dict[str, Any], log: Log) -> int:
    """Give net and optimizer the state of the last checkpoint before a step. -> its step, or 0

    data_prints: the fingerprints of the data sets, which must be those of the run
    """
    found: list[tuple[int, Path]] = []
    for path in (folder / LAST, folder / BEST):
        if path.exists():
            state = checkpoint.require_run_state(path, checkpoint.load(path).about)
            if state['step'] < step:
                found.append((state['step'], path))
    if not found:
        return 0
    done, path = max(found)
    restore(path, net, optimizer, recipe, seed, data_prints, log)
    return done


def steps_before(net: Net, dataset: Dataset, recipe: Recipe, changes: Sequence[Sequence[Any]],
                 optimizer: optim.SGD | optim.Adam, seed: int, done: int,
                 step: int) -> Iterator[StepRow]:
    """Train from `done` steps to those before `step`; yields their rows."""
    while done < step - 1:
        recipe_now = recipe_of_step(recipe, changes, done + 1)
        with closing(train(net, dataset, recipe_now, optimizer, seed, done)) as rows:
            for row in rows:
                yield row
                done = row['step']
                if done == step - 1 or recipe_of_step(recipe, changes, done + 1) != recipe_now:
                    break


def replay_step(net: Net, dataset: Dataset, recipe: Recipe, seed: int, step: int,
                logged: Mapping[int, float]) -> ReplayedStep:
    """Compute a step, and leave the weights as they are before it.

    recipe: of this step. logged: the loss of each step in metrics.jsonl
    """
    augmentation = {name: getattr(recipe, name) for name in AUGMENTATION}
    size = recipe.iter_size
    numbers = range((step - 1) * size, step * size)
    with closing(batches(dataset, net.about['preprocess'], recipe.batch, seed, iter(numbers),
                         **augmentation)) as stream:
        step_batches = [NumberedBatch(number, batch) for number, batch in zip(numbers, stream)]
    state = dict(net.state)
    with frozen_weights(net, recipe):
        losses, sums = accumulate_gradients(net, step_batches, recipe)
        grads = sums.result()
    net.state.update(state)
    positions = range((step - 1) * size * recipe.batch, step * size * recipe.batch)
    return ReplayedStep(
        step, learning_rate(recipe, step - 1), float(sum(losses)) / size, logged.get(step),
        [float(loss) for loss in losses],
        [sample(dataset, position, seed, **augmentation) for position in positions],
        {name: to_numpy(grads[name]) / size for name in net.params if name in grads})


def logged_losses(folder: Path, log: Log) -> dict[int, float]:
    """The loss of each step in metrics.jsonl."""
    return {row['step']: row['loss'] for row in read_rows(folder / LOG, log) if 'loss' in row}


def box_norms(arrays: Mapping[str, Array]) -> dict[str, float]:
    """The norm of all weights of each box.   {'conv1.w': …, 'conv1.b': …} -> {'conv1': 3.2}

    >>> box_norms({'conv1.w': np.array([3.]), 'conv1.b': np.array([4.])})
    {'conv1': 5.0}
    """
    squares: dict[str, float] = {}
    for name, array in arrays.items():
        box = name.rpartition('.')[0]
        squares[box] = squares.get(box, 0.) + float(np.sum(np.square(array, dtype='float64')))
    return {box: square ** .5 for box, square in squares.items()}
