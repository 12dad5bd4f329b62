"""The trimap curve: how good a prediction is near the borders between classes."""
from collections.abc import Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any

from .curves import FAINT, INK
from .files import figure_suffix, write_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def draw_border_curve(path: str | PathLike[str], bands: Sequence[Any], pixel_acc: float,
                      mean_iu: float) -> None:
    """The scores within some pixels of a border, and the share of all errors that are there.

    bands: rows with a distance, and the pixels, errors, pixel_acc and mean_iu up to there, as of
    `ErrorAnalysis.bands`; pixel_acc, mean_iu: those of all pixels; path: .png, .svg or .pdf

    >>> import tempfile
    >>> from tinyfcn.prediction.analysis import Band
    >>> bands = [Band(1, .1, .5, .6, .5), Band(2, .2, .7, .7, .6)]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     draw_border_curve(f'{folder}/border.png', bands, .9, .8)
    """
    figure_suffix(path)                         # raises before anything is drawn
    write_figure(path, border_figure(bands, pixel_acc, mean_iu))


def border_figure(bands: Sequence[Any], pixel_acc: float, mean_iu: float) -> 'Figure':
    """The figure of `draw_border_curve`."""
    from matplotlib.figure import Figure
    figure = Figure(figsize=(9, 3.1), dpi=110, layout='constrained')
    scores, shares = figure.subplots(1, 2)
    _draw(scores, bands, 'pixel_acc', 'pixel accuracy', '#d55e00', pixel_acc)
    _draw(scores, bands, 'mean_iu', 'mean IU', '#0072b2', mean_iu)
    scores.set_title('scores of these pixels (dashed: of all pixels)', fontsize=10, color=INK)
    _draw(shares, bands, 'errors', 'of all errors', '#aa1133')
    _draw(shares, bands, 'pixels', 'of all pixels', '#8890a0')
    shares.set_title('their share', fontsize=10, color=INK)
    for ax in scores, shares:
        ax.grid(color='#e6e8eb', lw=.7)
        ax.tick_params(which='both', colors=INK, length=0, labelsize=9)
        ax.spines[:].set_visible(False)
        ax.set_xlim(1, max(2, bands[-1].distance))
        ax.set_xlabel('pixels within this distance from a border', color=INK, fontsize=9)
        ax.yaxis.set_major_formatter(lambda value, _: f'{value:g} %')
        ax.xaxis.get_major_locator().set_params(integer=True)
        ax.legend(frameon=False, fontsize=9, labelcolor=INK)
    shares.set_ylim(0, 100)
    return figure


def _draw(ax: 'Axes', bands: Sequence[Any], key: str, name: str, colour: str,
          of_all: float | None = None) -> None:
    ax.plot([band.distance for band in bands], [100 * getattr(band, key) for band in bands],
            color=colour, lw=2, marker='o', ms=4, mec='white', mew=.6, label=name)
    if of_all is not None:
        ax.axhline(100 * of_all, color=colour, lw=1, ls=(0, (4, 3)), zorder=1)
    ax.axhline(0, color=FAINT, lw=0)
