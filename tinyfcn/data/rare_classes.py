"""Images drawn for their classes, so that those of rare classes come as often as others."""
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .dataset import Dataset
from .labels import by_output

SCANNED = 5000          # images, at most, whose labels are read; of more, evenly spread ones


class ClassImages(NamedTuple):
    """A class of an output, and the numbers of the images that have it."""

    output: str
    number: int
    images: NDArray[np.int64]


def draw_for_class(dataset: Dataset,
                   rng: np.random.Generator) -> tuple[int, tuple[str, int]] | None:
    """Draw one of the classes, each as often as any other, and one of the images that have it.

    -> the number of the image, (output, class); None where all labels are void

    >>> labels = {'a': [[0, 0]], 'b': [[0, 1]], 'c': [[0, 0]]}
    >>> dataset = Dataset(['sky', 'bird'], labels,
    ...                   lambda name: (np.zeros((1, 2, 3)), np.array(labels[name])))
    >>> drawn = [draw_for_class(dataset, np.random.default_rng(seed)) for seed in range(1000)]
    >>> sum(one == (1, ('score', 1)) for one in drawn)
    525
    """
    classes = find_class_images(dataset)
    if not classes:
        return None
    drawn = classes[rng.integers(len(classes))]
    return int(rng.choice(drawn.images)), (drawn.output, drawn.number)


@lru_cache(1)                           # the labels are read once in a training
def find_class_images(dataset: Dataset) -> list[ClassImages]:
    """The images of each class that any image has."""
    images: dict[tuple[str, int], list[int]] = {}
    for i in range(0, len(dataset), -(-len(dataset) // SCANNED)):
        for output, label in by_output(dataset[i][1]).items():
            n_class = len(by_output(dataset.classes)[output])
            counts = np.bincount(label.ravel(), minlength=n_class)[:n_class]
            for number in np.flatnonzero(counts):
                images.setdefault((output, int(number)), []).append(i)
    return [ClassImages(output, number, np.array(found))
            for (output, number), found in sorted(images.items())]
