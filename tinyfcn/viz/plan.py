"""What to expect of a data set, as one picture: classes, ceilings, small objects, thin parts."""
from collections.abc import Mapping, Sequence
from os import PathLike
from textwrap import wrap
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..files import printable
from .colours import class_colours
from .curves import FAINT, INK
from .files import figure_suffix, write_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# in inches
WIDTH = 11.
ROW = .27                   # of a class
LINE = .2                   # of a note
TOP = 1.25                  # the title and the headings
BOTTOM = .25
LETTERS = 125               # in a line of the notes
MAX_NAME = 22
LEAST_SHARE = 1e-4          # that is written as a number
DARK = .6                   # cells of higher values have white numbers

ByStride = Mapping[int, NDArray[Any]]       # {stride: (C,)}, shares of 1


class Column(NamedTuple):
    """A table of numbers, with a row for each class and a column for each stride."""
    heading: str
    values: ByStride
    badness: ByStride       # 0 … 1, for the colours


def draw_plan(path: str | PathLike[str], title: str, classes: Sequence[str],
              shares: NDArray[Any], ceilings: ByStride, small: ByStride, thin: ByStride,
              means: Mapping[int, float], notes: Sequence[str] = (),
              colours: NDArray[np.uint8] | None = None) -> None:
    """The shares of the classes; at each stride ceilings of IU, small objects and thin parts.

    ceilings, small, thin: {stride: (C,)}; means: {stride: mean IU}; colours (C, 3) of the classes

    >>> import tempfile
    >>> values = {16: np.array([.9, .5])}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     draw_plan(f'{folder}/plan.png', 'my', ['sky', 'bird'], np.array([.9, .1]), values,
    ...               values, values, {16: .7})
    """
    from matplotlib.figure import Figure
    figure_suffix(path)                                 # raises before anything is drawn
    lines = [line for note in notes
             for line in wrap(printable(note, limit=None), LETTERS, subsequent_indent='    ')]
    body = ROW * (len(classes) + 1)
    height = TOP + body + LINE * (len(lines) + 1) + BOTTOM
    figure = Figure(figsize=(WIDTH, height), dpi=110)

    def add_axes(left: float, width: float) -> Any:
        axes = figure.add_axes((left, 1 - (TOP + body) / height, width, body / height))
        axes.set(ylim=(len(classes) + .5, -.5), yticks=[])
        axes.tick_params(length=0, labelsize=9, colors=INK)
        axes.spines[:].set_visible(False)
        return axes

    names = [printable(name, limit=MAX_NAME) for name in classes]
    _draw_shares(add_axes(.17, .17), names, shares,
                 class_colours(classes) if colours is None else colours)
    ceilings = {stride: np.append(own, means[stride]) for stride, own in ceilings.items()}
    columns = [
        Column('ceiling of IU,\nin %, at stride', ceilings,
               {stride: 1 - own for stride, own in ceilings.items()}),
        Column('objects smaller than\na cell, in %', small, small),
        Column('pixels of parts thinner\nthan a cell, in %', thin, thin)]
    for column, left in zip(columns, (.42, .62, .82)):
        _draw_column(add_axes(left, .16), column, len(classes) + 1)
    figure.text(.02, 1 - .2 / height, printable(title, limit=100), fontsize=13, color=INK,
                va='top', parse_math=False)
    for i, line in enumerate(lines):
        figure.text(.02, (height - TOP - body - LINE * (i + 1)) / height, line, fontsize=9,
                    color=INK, va='top', parse_math=False)
    write_figure(path, figure)


def _draw_shares(axes: 'Axes', names: Sequence[str], shares: NDArray[Any],
                 table: NDArray[np.uint8]) -> None:
    """A bar for each class, in its colour."""
    rows = np.arange(len(names))
    largest = shares.max()
    axes.barh(rows, shares, .72, color=table[:len(rows)] / 255, edgecolor=FAINT, lw=.5)
    for row, share in enumerate(shares.tolist()):
        text = f'{100 * share:.3g} %' if share >= LEAST_SHARE else 'below 0.01 %'
        axes.text(share + .02 * largest, row, text, fontsize=8.5, color=INK, va='center')
    axes.set(xlim=(0, 1.35 * largest), xticks=[], yticks=[*rows, len(names)])
    axes.set_yticklabels([*names, 'mean'], parse_math=False)
    axes.set_title('share of the pixels', fontsize=9, color=INK, loc='left', pad=22)


def _draw_column(axes: 'Axes', column: Column, rows: int) -> None:
    """A cell for each class and stride, the darker the worse."""
    values = np.full((rows, len(column.values)), np.nan)
    badness = values.copy()
    for i, stride in enumerate(column.values):
        values[:len(column.values[stride]), i] = column.values[stride]
        badness[:len(column.badness[stride]), i] = column.badness[stride]
    axes.imshow(badness, cmap='Oranges', vmin=0, vmax=1, aspect='auto')
    for row, i in np.argwhere(~np.isnan(values)).tolist():
        axes.text(i, row, f'{100 * values[row, i]:.0f}', ha='center', va='center', fontsize=8.5,
                  color='white' if badness[row, i] > DARK else INK)
    axes.set(ylim=(rows - .5, -.5), xticks=range(len(column.values)))
    axes.set_xticklabels([*map(str, column.values)])
    axes.xaxis.tick_top()
    axes.set_title(column.heading, fontsize=9, color=INK, loc='left', pad=8)
