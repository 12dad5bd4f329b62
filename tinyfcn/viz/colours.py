"""A colour for every class, and image files whose pixels are classes."""
from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..files import open_atomic

if TYPE_CHECKING:
    from PIL.Image import Image as PILImage

VOID = 255
# these three differ in brightness, too, for a print without colours
ERRORS = {'right': (222, 222, 222), 'wrong': (200, 30, 45), 'void, not evaluated': (255, 255, 255)}


def palette(n: int = 256) -> NDArray[np.uint8]:
    """VOC's colours: bits 0, 1, 2 of a class are the highest of red, green, blue; then 3, 4, 5 …

    -> (n, 3) uint8

    >>> palette(3).tolist()
    [[0, 0, 0], [128, 0, 0], [0, 128, 0]]
    """
    number = np.arange(n)[:, None]
    colour = np.zeros((n, 3), 'int64')
    for digit in range(8):
        colour |= (number >> (3 * digit + np.arange(3)) & 1) << (7 - digit)
    return colour.astype('uint8')


def colours(label: NDArray[Any], n_class: int | None = None) -> NDArray[np.uint8]:
    """Each pixel in the colour of its class.   label (…) integers -> (…, 3) uint8

    Classes are 0 … n_class−1, or any number below 255, which is void and cream.

    >>> colours(np.array([[0, 1]])).tolist()
    [[[0, 0, 0], [128, 0, 0]]]
    """
    return palette()[check_label(label, n_class)]


def error_map(truth: NDArray[Any], pred: NDArray[Any]) -> NDArray[np.uint8]:
    """Pale grey where pred is right, red where it is wrong, white at void.   (H, W) -> (H, W, 3)

    >>> error_map(np.array([[1, 2, 255]]), np.array([[1, 1, 1]])).tolist()
    [[[222, 222, 222], [200, 30, 45], [255, 255, 255]]]
    """
    row = np.where(truth == VOID, 2, pred != truth)
    return np.array([*ERRORS.values()], 'uint8')[row]


def class_shares(label: NDArray[Any], classes: Sequence[str]) -> list[tuple[int, str, float]]:
    """The classes that a label has, in order -> [(class, name, its share of all but void)].

    >>> class_shares(np.array([[0, 0, 2, 255]]), ['sky', 'tree', 'road'])[0][:2]
    (0, 'sky')
    """
    label = check_label(label, len(classes))
    count = np.bincount(label[label != VOID], minlength=len(classes))
    return [(i, classes[i], count[i] / count.sum()) for i in np.flatnonzero(count).tolist()]


def write_label(path: str | PathLike[str], label: NDArray[Any]) -> None:
    """A .png of mode P whose pixels are the classes and whose colours are VOC's.   label (H, W)

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
    image.putpalette(palette().tobytes())
    write_png(path, image)


def write_png(path: str | PathLike[str], image: 'PILImage') -> None:
    """A PIL image as a .png, which keeps every colour exactly. An existing file is replaced.

    >>> import tempfile
    >>> from PIL import Image
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_png(f'{folder}/image.png', Image.new('RGB', (5, 4)))
    """
    if Path(path).suffix.lower() != '.png':
        raise ValueError(f'{path}: only a .png keeps colours that stand for classes; give the file '
                         f'the ending .png')
    with open_atomic(path) as file:
        image.save(file, 'PNG')


def check_label(label: NDArray[Any], n_class: int | None = None) -> NDArray[np.uint8]:
    """-> label as uint8, if each value is a class or void"""
    label = np.asarray(label)
    if label.dtype.kind not in 'iu':
        raise ValueError(f'label is {label.dtype}; an array of integers is needed')
    classes = VOID if n_class is None else n_class
    invalid = (label < 0) | (label >= classes) & (label != VOID)
    if invalid.any():
        first = tuple(np.argwhere(invalid)[0].tolist())
        raise ValueError(f'label {label[first]} at {first}, and {invalid.sum():,} such pixels in '
                         f'all; there are classes 0 … {classes - 1}, and {VOID} is void')
    return label.astype('uint8')


def check_pair(image: NDArray[Any], label: NDArray[Any],
               n_class: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """-> image, label, if both have one size, the image is uint8 and the label valid"""
    image = np.asarray(image)
    label = np.asarray(label)
    if image.shape != (*label.shape, 3) or not label.size or image.dtype != 'uint8':
        raise ValueError(f'the image has shape {image.shape} and is {image.dtype}, its label has '
                         f'shape {label.shape}; (H, W, 3) of uint8 and (H, W) are needed')
    return image, check_label(label, n_class)
