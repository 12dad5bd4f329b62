"""Picture files: written whole or not at all, and marked as written by tinyfcn."""
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..files import open_atomic
from ..files.overwrite import MARK
from .colours import check_label, palette

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from PIL.Image import Image as PILImage

# the formats of a figure, and what each calls the program that wrote it
FIGURE_METADATA: dict[str, dict[str, Any]] = {
    '.png': dict(Software=MARK), '.svg': dict(Creator=MARK, Date=None), '.pdf': dict(Creator=MARK)}


def write_label(path: str | PathLike[str], label: NDArray[Any],
                table: NDArray[np.uint8] | None = None) -> None:
    """A .png of mode P whose pixels are the classes.   label (H, W)

    table (256, 3): the colours of the classes, as of `class_colours`; by default VOC's

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_label(f'{folder}/label.png', np.zeros((4, 5), 'uint8'))
    """
    from PIL import Image
    label = check_label(label)
    if label.ndim != 2 or not label.size:
        raise ValueError(f'{path}: the label has shape {label.shape}; one class for each pixel of '
                         f'an image is needed, (H, W)')
    image = Image.fromarray(label)
    image.putpalette((palette() if table is None else table).tobytes())
    write_png(path, image)


def write_png(path: str | PathLike[str], image: 'PILImage') -> None:
    """A PIL image as a .png, which keeps every colour exactly. An existing file is replaced.

    >>> import tempfile
    >>> from PIL import Image
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_png(f'{folder}/image.png', Image.new('RGB', (5, 4)))
    """
    from PIL.PngImagePlugin import PngInfo
    if Path(path).suffix.lower() != '.png':
        raise ValueError(f'{path}: only a .png keeps colours that stand for classes; give the file '
                         f'the ending .png')
    mark = PngInfo()
    mark.add_text('Software', MARK)
    with open_atomic(path) as file:
        image.save(file, 'PNG', pnginfo=mark)


def write_figure(path: str | PathLike[str], figure: 'Figure') -> None:
    """A matplotlib figure as a .png, .svg or .pdf. An existing file is replaced."""
    suffix = figure_suffix(path)
    with open_atomic(path) as file:
        figure.savefig(file, format=suffix[1:], metadata=FIGURE_METADATA[suffix])


def figure_suffix(path: str | PathLike[str]) -> str:
    """The ending of a file for a figure, if it names a format.

    >>> figure_suffix('net.SVG')
    '.svg'
    """
    suffix = Path(path).suffix.lower()
    if suffix not in FIGURE_METADATA:
        raise ValueError(f'{path}: unknown image format; give the file one of the endings '
                         f'{", ".join(FIGURE_METADATA)}')
    return suffix
