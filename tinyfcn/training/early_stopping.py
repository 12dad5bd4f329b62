"""When a run stops early: once `patience` validations in a row have found no better mean IU.

What decides is in every checkpoint, so that a resumed run stops at the same step.
"""
from typing import NamedTuple

from .recipes import Recipe


class Progress(NamedTuple):
    """How many steps of a run are done, and how good it has been."""
    step: int                   # steps that are done
    best: float                 # the best mean IU so far
    best_step: int              # the step of that validation; 0 before there is one

    def after_validation(self, step: int, mean_iu: float | None) -> 'Progress':
        """The progress after a validation. mean_iu: None where all pixels are void

        >>> Progress(20, .5, 10).after_validation(30, .4)
        Progress(step=30, best=0.5, best_step=10)
        >>> Progress(20, .5, 10).after_validation(30, .6)
        Progress(step=30, best=0.6, best_step=30)
        """
        if mean_iu is not None and mean_iu > self.best:
            return Progress(step, mean_iu, step)
        return self._replace(step=step)


def stops_early(progress: Progress, recipe: Recipe) -> bool:
    """Whether as many validations have followed the best one as the recipe has patience for.

    >>> recipe = Recipe(lr=.1, steps=100, validate_every=10, patience=2)
    >>> stops_early(Progress(20, .5, 10), recipe), stops_early(Progress(30, .5, 10), recipe)
    (False, True)
    """
    if recipe.patience is None or progress.step >= recipe.steps:
        return False
    # validations follow every so many steps, and the best one is one of them
    every = recipe.validate_every
    return progress.step // every - progress.best_step // every >= recipe.patience


def describe_stop(progress: Progress, recipe: Recipe, best_file: str) -> str:
    """Why a run has stopped early, and how to go on."""
    assert recipe.patience is not None
    validations = 'the last validation has'
    if recipe.patience > 1:
        validations = f'the last {recipe.patience} validations have'
    if progress.best_step:
        found = (f'found a better mean IU than {100 * progress.best:.1f}, of step '
                 f'{progress.best_step:,}, which {best_file} holds')
    else:
        found = 'found a mean IU above 0'
    return (f'stopped early at step {progress.step:,} of {recipe.steps:,}: {validations} not '
            f'{found}; to go on, --resume --set patience={2 * recipe.patience}, or patience=None')
