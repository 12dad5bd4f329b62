"""What the labels of a data set are like: classes, objects, and how exactly a stride tells them."""
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from .ceiling import through_cells
from .class_weights import balance
from .dataset import Dataset
from .labels import VOID, Array, by_output
from .objects import object_areas, thin_pixels

STRIDES = 32, 16, 8, 4


@dataclass
class LabelStatistics:
    """Sums over the labels of several images. Arrays (C,) have a value for each class.

    At each stride, by_stride has: an object is small if it has fewer pixels than a cell, and pixels
    are thin where no square as large as a cell fits into their class.
    """

    classes: tuple[str, ...]
    sizes: list[tuple[int, int]]        # (height, width) of each image
    void: int                           # pixels
    pixels: Array                       # (C,)
    images: Array                       # (C,): in how many images the class is
    seen: Array                         # (C,): the pixels of these images that are not void
    objects: Array                      # (C,): connected parts
    small_objects: dict[int, Array]     # {stride: (C,)}
    thin: dict[int, Array]              # {stride: (C,)} pixels
    confusion: dict[int, Array]         # {stride: (C, C)} of the labels and themselves at a stride

    @property
    def shares(self) -> Array:
        """The share of each class in the pixels that are not void.   (C,)"""
        shares: Array = self.pixels / max(1, self.pixels.sum())
        return shares

    @property
    def median_weights(self) -> list[float]:
        """What class_weight='median' weighs each class with."""
        return balance(self.pixels, self.seen)


def label_statistics(dataset: Dataset, numbers: Iterable[int] | None = None) -> LabelStatistics:
    """The statistics of the labels of the first output.

    numbers: those of the images to read, or a progress bar over them; by default all

    >>> label = np.zeros((8, 8), 'uint8')
    >>> label[3:5, 4] = 1
    >>> dataset = Dataset(['sky', 'bird'], ['one'], lambda name: (np.zeros((8, 8, 3)), label))
    >>> statistics = label_statistics(dataset)
    >>> statistics.pixels, statistics.small_objects[4], statistics.thin[4]
    (array([62,  2]), array([0, 1]), array([0, 2]))
    """
    classes, *_ = by_output(dataset.classes).values()
    found = _no_labels(tuple(classes))
    for i in range(len(dataset)) if numbers is None else numbers:
        _, labels = dataset[i]
        label, *_ = by_output(labels).values()
        _add(found, label)
    return found


def _no_labels(classes: tuple[str, ...]) -> LabelStatistics:
    n = len(classes)

    def zeros() -> Array:
        return np.zeros(n, 'int64')

    return LabelStatistics(
        classes, sizes=[], void=0, pixels=zeros(), images=zeros(), seen=zeros(),
        objects=zeros(),
        small_objects={stride: zeros() for stride in STRIDES},
        thin={stride: zeros() for stride in STRIDES},
        confusion={stride: np.zeros((n, n), 'int64') for stride in STRIDES})


def _add(found: LabelStatistics, label: Array) -> None:
    """Count one label."""
    n_class = len(found.classes)
    is_known = label != VOID
    known = label[is_known].astype('int64')
    counts = np.bincount(known, minlength=n_class)
    found.sizes.append((label.shape[0], label.shape[1]))
    found.void += label.size - known.size
    found.pixels += counts
    found.images += counts > 0
    found.seen += (counts > 0) * counts.sum()
    areas = object_areas(label)
    for number, own in areas.items():
        found.objects[number] += len(own)
    for stride in STRIDES:
        for number, own in areas.items():
            found.small_objects[stride][number] += np.count_nonzero(own < stride * stride)
        found.thin[stride] += np.bincount(label[thin_pixels(label, stride)], minlength=n_class)
        pairs = known * n_class + through_cells(label, stride)[is_known]
        found.confusion[stride] += np.bincount(pairs, minlength=n_class ** 2).reshape(n_class, -1)
