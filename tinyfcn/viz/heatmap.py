"""A heat map over an image."""
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..files import printable
from .files import figure_suffix, write_figure
from .images import as_colours

# in inches
PANEL = 4.6                 # the longer side of the image
MARGIN = .12
TITLE = .42                 # the height of the title,
LETTER = .09                # and the width of a letter of it
BAR = .16                   # the width of the colour bar,
BAR_LABELS = .62            # and of its numbers and its label
MAX_ASPECT = 8.             # a longer image is squeezed


def draw_heatmap(image: NDArray[np.uint8], heat: NDArray[Any], alignment: Any,
                 path: str | PathLike[str], title: str, label: str = 'score') -> None:
    """Where in the image a classifier finds a class, as in the paper's Figure 2.

    image (H, W, 3) uint8; heat (h, w), the scores of one class, or what `label` calls them;
    alignment of the box of the score, whose scale and shift place them in the image

    >>> import tempfile, tinyfcn
    >>> box = tinyfcn.build('squeezenet', width=1/8, seed=None)['conv10']
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     draw_heatmap(np.zeros((64, 64, 3), 'uint8'), np.ones((4, 4)), box.alignment,
    ...                  f'{folder}/heat.png', 'tabby cat')
    """
    from matplotlib.figure import Figure
    figure_suffix(path)                         # raises before anything is drawn
    image = as_colours(image)
    h, w, _ = image.shape
    edges = []
    for shift, scale, n in zip(alignment.shift, alignment.scale, heat.shape):
        edges.append((float(shift - scale / 2), float(shift + scale * (n - .5))))
    (top, bottom), (left, right) = edges

    aspect = min(max(h / w, 1 / MAX_ASPECT), MAX_ASPECT)
    panel_width = PANEL * min(1, 1 / aspect)
    panel_height = PANEL * min(1, aspect)
    width = 2 * panel_width + 3 * MARGIN + BAR + BAR_LABELS
    height = panel_height + TITLE + MARGIN
    figure = Figure(figsize=(width, height), dpi=110)

    def add_axes(x: float, axes_width: float) -> Any:
        return figure.add_axes((x / width, MARGIN / height, axes_width / width,
                                panel_height / height))

    middle = 2 * MARGIN + panel_width
    photo = add_axes(MARGIN, panel_width)
    photo.imshow(image, extent=(0, w, h, 0), aspect='auto')
    found = add_axes(middle, panel_width)
    found.imshow(image, extent=(0, w, h, 0), aspect='auto')
    heat_map = found.imshow(heat, extent=(left, right, bottom, top), aspect='auto', cmap='inferno',
                            alpha=.7, vmin=0 if heat.max() > 0 else None)
    found.set(xlim=(0, w), ylim=(h, 0))
    for ax in photo, found:
        ax.axis('off')
    figure.colorbar(heat_map, cax=add_axes(middle + panel_width + MARGIN, BAR), label=label)
    figure.suptitle(printable(title, limit=int(width / LETTER)), fontsize=11,
                    y=1 - MARGIN / height, parse_math=False)
    write_figure(path, figure)
