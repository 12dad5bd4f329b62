"""Labels: the class of each pixel, 0 … n_class−1, and 255 for void.

A net with several outputs is trained on a dict of labels, one for each output.
"""
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any, Literal, NamedTuple, Protocol, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

VOID = 255
MAX_VALUES = 30         # how many values of a mask an error message lists

Array: TypeAlias = NDArray[Any]
Label: TypeAlias = 'Array | dict[str, Array]'
T = TypeVar('T')


class InvalidPixel(NamedTuple):
    """A pixel that is neither a class nor void, and how many such pixels there are."""

    value: int
    row: int
    column: int
    pixels: int


class GridAlignment(Protocol):
    """Along each axis, unit i is centred on pixel scale·i + shift of the image."""

    @property
    def scale(self) -> tuple[Fraction, Fraction]: ...

    @property
    def shift(self) -> tuple[Fraction, Fraction]: ...


class NoAlignment(Protocol):
    """No alignment with the image; its text says why."""

    def __bool__(self) -> Literal[False]: ...


def by_output(value: T | dict[str, T]) -> dict[str, T]:
    """A dict by output stays as it is; anything else belongs to the one output, 'score'."""
    if isinstance(value, dict):
        return value
    return {'score': value}


def map_labels(fn: Callable[[Array], Array], label: Label) -> Label:
    """fn(label), or for a dict the dict of fn applied to each label."""
    if isinstance(label, dict):
        return {output: fn(part) for output, part in label.items()}
    return fn(label)


def first_invalid(label: Array, n_class: int) -> InvalidPixel | None:
    """The first pixel that is neither a class nor void; None where there is none."""
    invalid = ((label < 0) | (label >= n_class)) & (label != VOID)
    if not invalid.any():
        return None
    row, column = np.unravel_index(invalid.argmax(), invalid.shape)
    return InvalidPixel(int(label[row, column]), int(row), int(column),
                        int(np.count_nonzero(invalid)))


def invalid_label_message(source: object, pixel: InvalidPixel, files: int, n_class: int,
                          values: Sequence[object] | Array) -> str:
    """Where the first invalid pixel is, how many there are in `files` files, all values found."""
    listed = ', '.join(str(value) for value in values[:MAX_VALUES])
    more = ', …' if len(values) > MAX_VALUES else ''
    pixels = 'pixel' if pixel.pixels == 1 else 'pixels'
    in_files = 'file' if files == 1 else 'files'
    return (f'{source}: label {pixel.value} at row {pixel.row}, column {pixel.column}; there are '
            f'{n_class} classes (0 … {n_class - 1}) and {VOID} is void. {pixel.pixels:,} such '
            f'{pixels} in {files} {in_files}. Values found: {listed}{more}')


def labels_at(label: Array, alignment: GridAlignment | NoAlignment,
              size: Sequence[int]) -> Array:
    """The label of the pixel that each unit of a box is centred on; void outside the image.

    label (N, H, W), the alignment of the box with the image, its size (rows, columns)
    -> (N, rows, columns). A unit half-way between two pixels takes the first.
    """
    if label.shape[1:] == tuple(size) and (not alignment or not any(alignment.shift)):
        return label
    if not alignment:
        raise ValueError('the scores are {}×{} and the label is {}×{}: {}'.format(
            *size, *label.shape[1:], alignment))
    axes = zip(size, alignment.scale, alignment.shift)
    for axis, (count, scale, shift) in enumerate(axes, start=1):
        at = np.ceil(float(scale) * np.arange(count) + float(shift) - .5).astype(int)
        outside = (at < 0) | (at >= label.shape[axis])
        inside_label = label.take(np.where(outside, 0, at), axis)
        label = np.where(np.expand_dims(outside, [0, 3 - axis]), VOID, inside_label)
    return label
