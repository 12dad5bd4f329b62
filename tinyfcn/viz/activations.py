"""The strongest channel of each box for one image, as a row of tiles."""
from collections.abc import Mapping, Sequence
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..files import printable
from .files import figure_suffix, write_figure
from .images import as_colours
from .legend import MAX_NAME

TILES_PER_ROW = 5
MAX_CHANNEL = 24            # characters of the name of a channel


def draw_activations(values: Mapping[str, NDArray[Any]], path: str | PathLike[str],
                     image: NDArray[Any] | None = None,
                     channels: Mapping[str, Sequence[str]] | None = None) -> None:
    """As in DeconvNet's figure of its activations.   {box: (C, h, w)} -> an image file

    Of each box the channel with the largest mean magnitude is drawn, dark where it is zero.
    image (H, W, C): what the net saw, drawn before them
    channels {box: names of its channels}, such as the classes of scores; others are counted from 1

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     draw_activations({'conv1': np.ones((2, 8, 8))}, f'{folder}/conv1.png')
    """
    from matplotlib.figure import Figure
    figure_suffix(path)                         # raises before anything is drawn
    rows = -(-(len(values) + (image is not None)) // TILES_PER_ROW)
    h, w = max((y.shape[1:] for y in values.values()), key=np.prod)
    figure = Figure(figsize=(2.2 * TILES_PER_ROW, rows * (2.2 * h / w + .35)), dpi=110,
                    layout='constrained')
    tiles = figure.subplots(rows, TILES_PER_ROW, squeeze=False).ravel()
    for ax in tiles:
        ax.axis('off')
    if image is not None:
        tiles[0].imshow(as_colours(image))
        tiles[0].set_title('the image\n{}×{}'.format(*image.shape[:2]), fontsize=7)
        tiles = tiles[1:]
    for ax, (name, y) in zip(tiles, values.items()):
        strongest = int(abs(y).mean((1, 2)).argmax())
        ax.imshow(abs(y[strongest]), cmap='inferno', interpolation='nearest')
        h, w = y.shape[1:]
        names = (channels or {}).get(name, [])
        channel = (printable(names[strongest], limit=MAX_CHANNEL) if len(names) == len(y) else
                   f'channel {strongest + 1} of {len(y)}')
        title = f'{printable(name, limit=MAX_NAME)}\n{h}×{w}, {channel}'
        ax.set_title(title, fontsize=7, parse_math=False)
    write_figure(path, figure)
