"""`tinyfcn train RECIPE --find-lr`: a learning rate for this net and these images."""
from pathlib import Path

from .. import viz
from ..data import Dataset
from ..files import make_folder, require_own
from ..net import Net
from ..training.lr_finder import STEPS, LearningRates, find_lr
from ..training.recipes import Recipe
from .bar import Bar
from .output import say

PICTURE = 'find-lr.png'


def show_lr(net: Net, dataset: Dataset, recipe: Recipe, seed: int, folder: Path,
            overwrite: bool = False) -> None:
    """Print a learning rate, and draw the curve that it follows from into the folder of the run."""
    picture = folder / PICTURE
    require_own(picture, overwrite)
    say(f'trying learning rates from {recipe.lr / 1000:.2g} on, in up to {STEPS} steps')
    with Bar(STEPS, 'step') as bar:
        found = find_lr(net, dataset, recipe, seed, report=lambda row: bar.update(
            row['step'], f'lr {row["lr"]:.2g}, loss {row["loss"]:.4g}'))
    say(describe(found, recipe))
    if found.lr:
        make_folder(folder)
        viz.draw_lr_curve(picture, found.lr, found.loss, found.smoothed, found.suggestion,
                          recipe.lr)
        say(f'the curve: {picture}')


def describe(found: LearningRates, recipe: Recipe) -> str:
    """What to set, or why nothing is suggested."""
    if not found.lr:
        return (f'the first step diverges: try again with a much smaller one, --set '
                f'lr={recipe.lr / 1e4:.0e}')
    lowest = found.lr[found.smoothed.index(min(found.smoothed))]
    if found.suggestion is not None:
        return (f'suggested: --set lr={found.suggestion:g}; the recipe has lr={recipe.lr:g}. The '
                f'loss is lowest at {lowest:.1g}, and with higher rates it grows')
    if lowest <= 10 * found.lr[0]:
        return (f'the loss grows from the smallest rates on, {found.lr[0]:.1g}: try again with '
                f'--set lr={recipe.lr / 1e3:.0e}')
    return (f'the loss does not fall at any rate from {found.lr[0]:.1g} to {found.lr[-1]:.1g}: '
            f'try again with --set lr={recipe.lr * 1e3:.0e}, or see whether images and labels '
            f'belong together (`tinyfcn check`)')
