"""A confusion matrix as a picture."""
from collections.abc import Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..files import printable
from .curves import FAINT, INK
from .files import figure_suffix, write_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# in inches
SIDE = 9.                   # of the matrix at most,
CELL = .52                  # and of each cell at most
LETTER = .085               # the width of a letter of a name
MARGIN = .35

MAX_NUMBERED = 30           # classes up to which a cell shows its number
MAX_LETTERS = 24            # of a name
MISSING = '□'
ABSENT = '#eef0f3'


def draw_confusion(path: str | PathLike[str], hist: NDArray[Any], classes: Sequence[str]) -> None:
    """Of 100 pixels of each class, how many are predicted to be of each class.

    Classes have their numbers, too. A class without pixels has a grey row.
    hist (C, C): as of `metrics.confusion`, a row for each true class; path: .png, .svg or .pdf

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     draw_confusion(f'{folder}/confusion.png', np.array([[3, 1], [0, 4]]), ['sky', 'tree'])
    """
    figure_suffix(path)                         # raises before anything is drawn
    write_figure(path, confusion_figure(hist, classes))


def confusion_figure(hist: NDArray[Any], classes: Sequence[str]) -> 'Figure':
    """The figure of `draw_confusion`."""
    from matplotlib.figure import Figure
    n = len(classes)
    if hist.shape != (n, n):
        raise ValueError(f'hist has shape {hist.shape} and there are {n} classes; a row and a '
                         f'column for each class is needed')
    names = [f'{i} {_drawable(name)}' for i, name in enumerate(classes)]
    true = hist.sum(1, keepdims=True)
    percent = 100 * hist / np.where(true > 0, true, np.nan)
    cell = min(CELL, SIDE / n)
    font_size = min(9, 62 * cell / 3)
    name_width = LETTER * font_size / 9 * max(map(len, names)) + MARGIN
    width = name_width + n * cell + MARGIN
    height = name_width + n * cell + MARGIN
    figure = Figure(figsize=(width, height), dpi=110)
    ax = figure.add_axes((name_width / width, MARGIN / height, n * cell / width,
                          n * cell / height))
    ax.set_facecolor(ABSENT)
    ax.imshow(percent, cmap='Blues', vmin=0, vmax=100, aspect='auto')
    ax.set_xticks(range(n), names, rotation=90)
    ax.set_yticks(range(n), names)
    ax.xaxis.tick_top()
    ax.xaxis.set_label_position('top')
    ax.tick_params(colors=INK, length=0, labelsize=font_size)
    for label in [*ax.get_xticklabels(), *ax.get_yticklabels()]:
        label.set_parse_math(False)
    edges = np.arange(1, n) - .5
    for draw_lines in ax.hlines, ax.vlines:
        draw_lines(edges, -.5, n - .5, color='white', lw=1.2 * min(1, 3 * cell))
    ax.set(xlim=(-.5, n - .5), ylim=(n - .5, -.5))
    ax.spines[:].set_visible(False)
    ax.set_xlabel('predicted class (columns); true class (rows)', color=INK, fontsize=9)
    if n <= MAX_NUMBERED:
        _write_numbers(ax, percent, font_size)
    return figure


def _drawable(name: str) -> str:
    """The name with a square for every character that matplotlib's own font does not have."""
    from matplotlib.font_manager import findfont, get_font
    font = get_font(findfont('DejaVu Sans'))
    return ''.join(character if font.get_char_index(ord(character)) else MISSING
                   for character in printable(name, limit=MAX_LETTERS))


def _write_numbers(ax: Any, percent: NDArray[Any], font_size: float) -> None:
    """In each cell; nothing where it would be 0."""
    for (i, j), value in np.ndenumerate(percent):
        if value >= .5:
            ax.text(j, i, f'{value:.0f}', ha='center', va='center', fontsize=font_size,
                    color='white' if value > 55 else INK)
        elif np.isnan(value) and i == j:
            ax.text(j, i, '–', ha='center', va='center', fontsize=font_size, color=FAINT)
