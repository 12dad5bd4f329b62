"""Why a pixel has its class: the parts of its scores, its receptive fields, its gradient."""
from collections.abc import Mapping, Sequence
from os import PathLike
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..files import printable
from .colours import class_colours, class_shares, share_text
from .files import figure_suffix, write_figure
from .images import as_colours
from .legend import MAX_NAME

PANEL = 4.                          # inches, the longer side of an image
SHOWN = 6                           # classes with the highest scores
LISTED = 8                          # classes in the legend of the mask
# of each part, grey with a pattern, which no class has: the fill and hatch of its bars, and the
# line of its frame
PartStyle: TypeAlias = tuple[str, str, str]
PART_STYLES = (('#4d4d4d', '', '-'), ('#c4c4c4', '////', '--'), ('white', 'xxxx', ':'),
               ('#8a8a8a', '....', '-.'))
BRIGHTEST = 99.5                    # percentile of the gradient that is drawn white


def draw_pixel(path: str | PathLike[str], image: NDArray[np.uint8], mask: NDArray[Any],
               pixel: tuple[int, int], parts: Mapping[str, NDArray[Any]],
               fields: Mapping[str, Sequence[int]], gradient: NDArray[Any],
               classes: Sequence[str],
               colours: Mapping[str, Sequence[int]] | None = None) -> None:
    """The image with the fields, the mask, the gradient, and the parts of each score as bars.

    image (H, W, 3); mask (H, W); pixel: row and column; parts {score layer: (n_class,)}
    fields {score layer: (top, bottom, left, right)}; gradient (H, W)
    colours: {class: (red, green, blue)}, as for `overlay`

    >>> import tempfile
    >>> parts = dict(score_fr=np.array([1., 2]), score_pool4=np.array([.5, -1]))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     draw_pixel(f'{folder}/why.png', np.zeros((40, 50, 3), 'uint8'),
    ...                np.zeros((40, 50), 'uint8'), (20, 10), parts,
    ...                {name: (5, 35, 0, 25) for name in parts}, np.ones((40, 50)),
    ...                ['sky', 'road'])
    """
    from matplotlib.figure import Figure
    figure_suffix(path)                         # raises before anything is drawn
    h, w = mask.shape
    panel_w, panel_h = PANEL * min(1, w / h), PANEL * min(1, h / w)
    figure = Figure(figsize=(3 * panel_w + 1, panel_h + 3.6), dpi=110, layout='constrained')
    grid = figure.add_gridspec(2, 3, height_ratios=(panel_h, 3))
    photo, segmented, sensitive = (figure.add_subplot(grid[0, i]) for i in range(3))
    styles = dict(zip(parts, PART_STYLES * len(parts)))

    photo.imshow(as_colours(image))
    _draw_fields(photo, fields, styles)
    table = class_colours(classes, colours)
    segmented.imshow(table[mask])
    _draw_class_legend(segmented, mask, classes, table)
    brightest = np.percentile(gradient, BRIGHTEST) or gradient.max() or 1
    sensitive.imshow(gradient, cmap='inferno', vmin=0, vmax=brightest)
    best = printable(classes[int(mask[pixel])], limit=MAX_NAME)
    titles = ('what each part can see', f'the mask: {best} here',
              f'gradient of the score of {best}')
    for ax, title in zip((photo, segmented, sensitive), titles):
        ax.set_title(title, fontsize=10, parse_math=False)
        ax.plot(pixel[1], pixel[0], '+', color='white', markersize=13, markeredgewidth=3)
        ax.plot(pixel[1], pixel[0], '+', color='black', markersize=12, markeredgewidth=1.2)
        ax.set(xlim=(-.5, w - .5), ylim=(h - .5, -.5))
        ax.axis('off')
    _draw_parts(figure.add_subplot(grid[1, :]), parts, classes, styles)
    write_figure(path, figure)


def _draw_fields(ax: Any, fields: Mapping[str, Sequence[int]],
                 styles: Mapping[str, PartStyle]) -> None:
    """The receptive field of each part as a frame; the widest outermost."""
    from matplotlib.patches import Rectangle
    for name, (top, bottom, left, right) in fields.items():
        _, _, line = styles[name]
        for colour, width, style in (('white', 3.6, '-'), ('black', 2., line)):
            ax.add_patch(Rectangle((left - .5, top - .5), right - left, bottom - top, fill=False,
                                   edgecolor=colour, linewidth=width, linestyle=style,
                                   label=printable(name, limit=MAX_NAME)
                                   if colour == 'black' else None))
    ax.legend(fontsize=8, loc='upper center', bbox_to_anchor=(.5, 0), ncols=3, frameon=False,
              handlelength=3)


def _draw_class_legend(ax: Any, mask: NDArray[Any], classes: Sequence[str],
                       table: NDArray[np.uint8]) -> None:
    """The classes of a mask with their shares, the largest first, below it."""
    from matplotlib.patches import Patch
    shares = sorted(class_shares(mask, classes), key=lambda share: -share[2])
    patches = [Patch(facecolor=table[i] / 255, edgecolor='grey', linewidth=.6,
                     label=f'{printable(name, limit=MAX_NAME)} {share_text(share)}')
               for i, name, share in shares[:LISTED]]
    ax.legend(handles=patches, fontsize=8, loc='upper center', bbox_to_anchor=(.5, 0), ncols=2,
              frameon=False)


def _draw_parts(ax: Any, parts: Mapping[str, NDArray[Any]], classes: Sequence[str],
                styles: Mapping[str, PartStyle]) -> None:
    """For each class a bar for each part of its score, and a bar for their sum, the score."""
    score = np.sum(list(parts.values()), axis=0)
    shown = np.argsort(-score, kind='stable')[:SHOWN]
    bars = [(printable(name, limit=MAX_NAME), part, styles[name]) for name, part in parts.items()]
    bars.append(('score: their sum', score, ('black', '', '-')))
    width = .8 / len(bars)
    for i, (label, values, (fill, hatch, _)) in enumerate(bars):
        positions = np.arange(len(shown)) - .4 + (i + .5) * width
        drawn = ax.bar(positions, values[shown], width * .92, facecolor=fill, hatch=hatch,
                       edgecolor='black', linewidth=.8, label=label)
        ax.bar_label(drawn, fmt='{:+.2f}', fontsize=7.5, padding=1)
    labels = [f'{printable(classes[n], limit=MAX_NAME)}\n{score[n]:+.2f}' for n in shown]
    ax.set_xticks(range(len(shown)), labels, fontsize=9, parse_math=False)
    ax.axhline(0, color='grey', linewidth=.8)
    ax.margins(y=.15)
    ax.set_title('each score is the sum of its parts', fontsize=10)
    ax.spines[['top', 'right']].set_visible(False)
    ax.legend(fontsize=8, loc='upper right', ncols=2)
