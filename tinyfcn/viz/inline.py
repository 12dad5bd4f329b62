"""Small images and matrices, as the output of a notebook's cell."""
from collections.abc import Mapping
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..files import printable

if TYPE_CHECKING:
    from PIL.Image import Image as PILImage


def side_by_side(images: Mapping[str, NDArray[Any]], width: float = 1.75) -> 'PILImage':
    """A row of images under their titles -> a PIL image of 32 colours, to keep notebooks small

    images {title: (H, W) or (H, W, 3)}; width in inches of each

    >>> side_by_side({'black': np.zeros((4, 6)), 'ramp': np.arange(24).reshape(4, 6)}).size
    (350, 148)
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from PIL import Image
    figure = Figure(figsize=(width * len(images), .85 * width), layout='constrained', dpi=100)
    axes = figure.subplots(1, len(images), squeeze=False)[0]
    for ax, (title, image) in zip(axes, images.items()):
        ax.imshow(image, cmap='gray', interpolation='nearest')
        ax.set_title(printable(title, keep='\n'), fontsize=9, parse_math=False)
        ax.axis('off')
    canvas = FigureCanvasAgg(figure)
    canvas.draw()                                           # type: ignore[no-untyped-call]
    rgb = np.array(canvas.buffer_rgba())[..., :3]           # type: ignore[no-untyped-call]
    return Image.fromarray(rgb).quantize(32)


def heat(values: NDArray[Any]) -> NDArray[np.uint8]:
    """Numbers (H, W) as colours, from black for the lowest to yellow -> (H, W, 3) uint8

    >>> heat(np.arange(6).reshape(2, 3)).shape
    (2, 3, 3)
    """
    from matplotlib import colormaps
    low = values.min()
    stretched = (values - low) / max(float(values.max() - low), 1e-12)
    rgba: NDArray[np.uint8] = colormaps['inferno'](stretched, bytes=True)
    return rgba[..., :3]


class HTML(str):
    """A string that a notebook shows as HTML."""

    def _repr_html_(self) -> str:
        return str(self)


def show_matrices(**arrays: ArrayLike) -> HTML:
    """Small matrices side by side, with their numbers; what is not zero is coloured.

    >>> 'dx for dy' in show_matrices(dx_for_dy=[[0, 1.5], [-2, 0]])
    True
    """
    tables = []
    for name, array in arrays.items():
        title = escape(printable(name.replace('_', ' ')))
        rows = []
        for row in np.asarray(array):
            rows.append(''.join(map(_cell, row)))
        tables.append(f'<table style="display:inline-table;margin:.5em;text-align:right">'
                      f'<caption style="white-space:nowrap">{title}</caption>'
                      f'<tr>{"<tr>".join(rows)}</table>')
    return HTML(''.join(tables))


def _cell(value: float) -> str:
    return f'<td style="background:#fa06">{value:g}' if value else '<td>0'
