"""What `tinyfcn predict --why X,Y` prints and draws for one pixel of one image."""
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .. import viz
from ..files import make_folder, printable, require_own
from ..net import Net
from ..prediction.pixel import PixelScore, explain_pixel
from .output import say
from .predict_files import require_apart

SHOWN = 6                       # classes with the highest scores
MAX_CLASS = 20                  # characters of each


def explain_image(net: Net, images: Sequence[Path], x: int, y: int, folder: Path,
                  overwrite: bool, options: Mapping[str, Any]) -> None:
    """Write IMAGE.why.png for a single image, and print the parts of the scores at (x, y).

    options: of `predict`, of which only longest is possible here
    """
    if len(images) != 1:
        raise ValueError(f'--why explains a pixel of one image, and there are {len(images):,}')
    if averaged := [f'--{name}' for name in options if name != 'longest']:
        raise ValueError(f'--why explains one pass of the net, and {", ".join(averaged)} would '
                         f'change its result afterwards: leave it out')
    image, = images
    file = folder / f'{image.stem}.why.png'
    require_apart(file, image)
    require_own(file, overwrite)
    found = explain_pixel(net, image, y, x, **options)
    classes = net.about.get('classes') or [f'class {i}' for i in range(len(found.score))]
    make_folder(folder)
    viz.draw_pixel(file, found.image, found.mask, found.pixel, found.parts, found.fields,
                   found.gradient, classes, net.about.get('colours'))
    say(describe(found, classes))
    say(printable(file))


def describe(found: PixelScore, classes: Sequence[str]) -> str:
    """A table of the highest scores and their parts, and how much of the image each part sees."""
    rows = [['', *found.parts, 'score']]
    for n in np.argsort(-found.score, kind='stable')[:SHOWN]:
        numbers = [*(part[n] for part in found.parts.values()), found.score[n]]
        rows.append([printable(classes[n], limit=MAX_CLASS), *(f'{x:+.2f}' for x in numbers)])
    seen = [f'{bottom - top}×{right - left}' for top, bottom, left, right in found.fields.values()]
    rows.append(['pixels it sees', *seen, ''])
    widths = [max(map(len, column)) for column in zip(*rows)]
    return '\n'.join('  '.join([row[0].ljust(widths[0]),
                                *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:]))])
                     .rstrip() for row in rows)
