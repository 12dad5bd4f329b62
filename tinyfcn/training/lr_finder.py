"""Find a learning rate: train a copy of a net while the rate grows, and watch the loss.

With a rate that is too small the loss hardly falls, and with one that is too large it grows. A
hundred steps whose rate grows a millionfold show both (Smith, Cyclical Learning Rates for Training
Neural Networks, WACV 2017). The suggestion is the rate at which the loss has fallen by four fifths
of all that it falls. Its order of magnitude can be trusted, its first digit cannot.
"""
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from copy import deepcopy
from dataclasses import replace
from statistics import fmean
from typing import NamedTuple

from ..data.dataset import Dataset
from ..net import Net
from ..runtime.distributed import world
from .diverged import Diverged
from .loop import StepRow, make_optimizer, train
from .recipes import Recipe

STEPS = 100
FACTOR = 1000           # the rates begin at lr / FACTOR of the recipe, and end at lr · FACTOR
REACH = 5               # steps on either side over which the loss is averaged
GROWN = 3               # the loss has diverged once it is so many times as high as it has been
SHARE = .8              # of the fall of the loss, at which the suggestion is
MIN_FALL = .05          # of the first loss: a fall that is more than noise


class LearningRates(NamedTuple):
    """The losses of steps with growing learning rates, and the rate to train with."""
    lr: list[float]
    loss: list[float]
    smoothed: list[float]
    suggestion: float | None    # None if the loss falls nowhere


def find_lr(net: Net, dataset: Dataset, recipe: Recipe, seed: int = 0, steps: int = STEPS,
            report: Callable[[StepRow], object] | None = None) -> LearningRates:
    """Train a copy of the net for so many steps, from lr / 1000 to lr · 1000 of the recipe.

    It ends before that once the loss is three times as high as it has been. The net is not changed.
    report: is called with the row of each step, for example print

    >>> import tinyfcn
    >>> dataset = tinyfcn.data.load_dataset('shapes', size=(32, 48))
    >>> net = tinyfcn.build('tiny_8s', len(dataset.classes), width=1/8)
    >>> found = find_lr(net, dataset, tinyfcn.training.get_recipe('shapes-8s'), steps=30)
    >>> 1e-4 < found.suggestion < 1
    True
    """
    if world().size > 1:
        raise ValueError('one process finds a learning rate: start this command without mpiexec')
    rates: list[float] = []
    losses: list[float] = []
    smoothed: list[float] = []
    for row in _train_with_growing_lr(deepcopy(net), dataset, recipe, seed, steps):
        rates.append(row['lr'])
        losses.append(row['loss'])
        smoothed = smooth(losses)
        if report:
            report(row)
        if smoothed[-1] > GROWN * min(smoothed):
            break
    return LearningRates(rates, losses, smoothed, suggest_lr(rates, losses))


def _train_with_growing_lr(net: Net, dataset: Dataset, recipe: Recipe, seed: int,
                           steps: int) -> Iterator[StepRow]:
    """A row for each step, until the loss is no number any more."""
    def growing_lr(recipe: Recipe, step: int) -> float:
        return float(recipe.lr * FACTOR ** (2 * step / max(steps - 1, 1) - 1))

    short = replace(recipe, steps=steps)
    rows = train(net, dataset, short, make_optimizer(short), seed, schedule=growing_lr)
    with closing(rows), suppress(Diverged):
        yield from rows


def smooth(losses: Sequence[float]) -> list[float]:
    """The mean of each loss with those of the five steps before it and after it.

    >>> smooth([4., 1., 1.])
    [2.0, 2.0, 2.0]
    """
    return [fmean(losses[max(0, i - REACH):i + REACH + 1]) for i in range(len(losses))]


def suggest_lr(rates: Sequence[float], losses: Sequence[float]) -> float | None:
    """The rate at which the loss has fallen by four fifths of its fall; None if it hardly falls.

    >>> suggest_lr([10. ** (i / 10 - 6) for i in range(60)], [3.] * 30 + [2.5] * 10 + [2.] * 20)
    0.01
    """
    if not losses:
        return None
    smoothed = smooth(losses)
    first = smoothed[0]
    fall = first - min(smoothed)
    if fall < MIN_FALL * first:
        return None
    reached = next(i for i, loss in enumerate(smoothed) if loss <= first - SHARE * fall)
    return float(f'{rates[reached]:.0e}')
