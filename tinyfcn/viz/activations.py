"""The strongest channel of each box for one image, as a row of tiles."""
from collections.abc import Mapping
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..files import printable
from .files import figure_suffix, write_figure
from .legend import MAX_NAME

TILES_PER_ROW = 5


def draw_activations(values: Mapping[str, NDArray[Any]], path: str | PathLike[str]) -> None:
    """As in DeconvNet's figure of its activations.   {box: (C, h, w)} -> an image file

    Of each box the channel with the largest mean magnitude is drawn, dark where it is zero.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     draw_activations({'conv1': np.ones((2, 8, 8))}, f'{folder}/conv1.png')
    """
    from matplotlib.figure import Figure
    figure_suffix(path)                         # raises before anything is drawn
    rows = -(-len(values) // TILES_PER_ROW)
    h, w = max((y.shape[1:] for y in values.values()), key=np.prod)
    figure = Figure(figsize=(2.2 * TILES_PER_ROW, rows * (2.2 * h / w + .35)), dpi=110,
                    layout='constrained')
    tiles = figure.subplots(rows, TILES_PER_ROW, squeeze=False).ravel()
    for ax in tiles:
        ax.axis('off')
    for ax, (name, y) in zip(tiles, values.items()):
        strongest = int(abs(y).mean((1, 2)).argmax())
        ax.imshow(abs(y[strongest]), cmap='inferno', interpolation='nearest')
        h, w = y.shape[1:]
        title = f'{printable(name, limit=MAX_NAME)}\n{h}×{w}, channel {strongest} of {len(y)}'
        ax.set_title(title, fontsize=7, parse_math=False)
    write_figure(path, figure)
