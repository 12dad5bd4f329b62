"""The loss over the learning rate, while it grows from step to step."""
from collections.abc import Sequence
from os import PathLike

from .curves import FAINT, INK
from .files import figure_suffix, write_figure

LOSS = '#a9c9e2'
SMOOTHED = '#0072b2'
SUGGESTION = '#d55e00'


def draw_lr_curve(path: str | PathLike[str], lr: Sequence[float], loss: Sequence[float],
                  smoothed: Sequence[float], suggestion: float | None = None,
                  of_recipe: float | None = None) -> None:
    """The loss of each step and a smoothed loss, over the learning rate of the step.

    suggestion, of_recipe: rates that are marked

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     draw_lr_curve(f'{folder}/lr.png', [.01, .1, 1], [3, 2, 4], [3, 2.5, 3], .1)
    """
    from matplotlib.figure import Figure
    figure_suffix(path)                                     # raises before anything is drawn
    figure = Figure(figsize=(8, 4), dpi=110, layout='constrained')
    ax = figure.subplots()
    ax.grid(color='#e6e8eb', lw=.7)
    ax.tick_params(which='both', colors=INK, length=0, labelsize=9)
    ax.spines[:].set_visible(False)
    ax.plot(lr, loss, color=LOSS, lw=.8, label='loss of a step')
    ax.plot(lr, smoothed, color=SMOOTHED, lw=1.8, label='smoothed')
    if suggestion is not None:
        ax.axvline(suggestion, color=SUGGESTION, lw=1.6, label=f'suggested: {suggestion:g}')
    if of_recipe is not None:
        ax.axvline(of_recipe, color=FAINT, lw=1.2, ls=(0, (4, 3)),
                   label=f'of the recipe: {of_recipe:g}')
    # a loss that diverges would flatten all that comes before
    low = min(smoothed)
    high = max(smoothed[0], low)
    ax.set_ylim(low - .15 * (high - low) - 1e-9, high + .35 * (high - low) + 1e-9)
    ax.set_xscale('log')
    ax.set_xlabel('learning rate, which grows from step to step', color=INK)
    ax.set_ylabel('loss', color=INK)
    ax.legend(frameon=False, fontsize=9, labelcolor=INK, loc='upper left', bbox_to_anchor=(1.01, 1))
    write_figure(path, figure)
