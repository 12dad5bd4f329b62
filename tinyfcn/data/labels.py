"""Labels: the class of each pixel, 0 … n_class−1, and 255 for void.

A net with several outputs is trained on a dict of labels, one for each output.
"""
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any, Literal, NamedTuple, Protocol, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..files import printable

VOID = 255
MAX_LISTED_VALUES = 30  # of those in a mask that an error message reports

Array: TypeAlias = NDArray[Any]
Label: TypeAlias = 'Array | dict[str, Array]'
T = TypeVar('T')


class InvalidPixel(NamedTuple):
    """The first pixel that is neither a class nor void, and how many such pixels there are."""

    value: int
    row: int
    column: int
    n_invalid: int


class GridAlignment(Protocol):
    """Where a feature map lies on the image: its pixel i at scale·i + shift, along each axis."""

    @property
    def scale(self) -> tuple[Fraction, Fraction]: ...

    @property
    def shift(self) -> tuple[Fraction, Fraction]: ...


class NoAlignment(Protocol):
    """Stands where a feature map has no alignment with the image; str() of it gives the reason."""

    def __bool__(self) -> Literal[False]: ...


def by_output(value: T | dict[str, T]) -> dict[str, T]:
    """As a dict by output: a dict stays as it is; a single value is that of the output 'score'.

    >>> by_output(['sky', 'tree'])
    {'score': ['sky', 'tree']}
    """
    if isinstance(value, dict):
        return value
    return {'score': value}


def map_labels(fn: Callable[[Array], Array], label: Label) -> Label:
    """fn(label), or for a dict the dict of fn applied to each label."""
    if isinstance(label, dict):
        return {output: fn(own) for output, own in label.items()}
    return fn(label)


def first_invalid(label: Array, n_class: int) -> InvalidPixel | None:
    """The first pixel of a label (H, W) that is neither a class nor void; None if all are."""
    invalid = ((label < 0) | (label >= n_class)) & (label != VOID)
    if not invalid.any():
        return None
    row, column = np.unravel_index(invalid.argmax(), invalid.shape)
    return InvalidPixel(int(label[row, column]), int(row), int(column),
                        int(np.count_nonzero(invalid)))


def invalid_label_message(source: object, pixel: InvalidPixel, files: int, n_class: int,
                          values: Sequence[object] | Array) -> str:
    """Say where the first invalid pixel is, how many there are in `files` files, and all `values`.

    source: the mask that has the pixel. values: all that occur in the masks.
    """
    listed = ', '.join(str(value) for value in values[:MAX_LISTED_VALUES])
    more = ', …' if len(values) > MAX_LISTED_VALUES else ''
    pixels = 'pixel' if pixel.n_invalid == 1 else 'pixels'
    in_files = 'file' if files == 1 else 'files'
    return (f'{printable(source)}: label {pixel.value} at row {pixel.row}, column {pixel.column}; '
            f'there are {n_class} classes (0 … {n_class - 1}) and {VOID} is void. '
            f'{pixel.n_invalid:,} such {pixels} in {files} {in_files}. '
            f'Values found: {listed}{more}')


def labels_at(label: Array, alignment: GridAlignment | NoAlignment,
              size: Sequence[int]) -> Array:
    """The value of a label, or of a map of weights, under each pixel of a feature map.

    label (N, H, W), the alignment of the map with the image, its size (rows, columns)
    -> (N, rows, columns). Half-way between two values the first is taken; outside the image it is
    void. Weights are 255 there, too, which does not matter, since void has no loss.
    """
    has_size = label.shape[1:] == tuple(size)
    if has_size and (not alignment or _is_on_image_grid(alignment)):
        return label
    if not alignment:
        raise ValueError('the scores are {}×{} and the label is {}×{}: {}'.format(
            *size, *label.shape[1:], alignment))
    axes = zip(size, alignment.scale, alignment.shift)
    for axis, (count, scale, shift) in enumerate(axes, start=1):
        nearest = np.ceil(float(scale) * np.arange(count) + float(shift) - .5).astype(int)
        outside = (nearest < 0) | (nearest >= label.shape[axis])
        inside_label = label.take(np.where(outside, 0, nearest), axis)
        # outside is (rows) or (columns): one value for all of (N, ·, W) or (N, H, ·)
        along_axis = outside[:, None] if axis == 1 else outside
        label = np.where(along_axis, VOID, inside_label)
    return label


def _is_on_image_grid(alignment: GridAlignment) -> bool:
    return all(scale == 1 for scale in alignment.scale) and not any(alignment.shift)
