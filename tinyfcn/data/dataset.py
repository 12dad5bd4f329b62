"""A data set: images by number, each with a label of the same size, void being 255."""
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from zlib import crc32

import numpy as np

from ..files import ImageError, printable
from .channels import RGB, Channels
from .labels import Array, Label, by_output, first_invalid, invalid_label_message, map_labels


class OutputLabel(NamedTuple):
    """The label for one output of a net."""

    output: str
    source: str | Path              # the file it was read from, else the name of the image
    label: Array
    classes: tuple[str, ...]


def _no_files(name: str) -> Sequence[Path]:
    return ()


class Dataset:
    """dataset[i] -> image (H, W, C), label (H, W) uint8 with 0 … n_class−1 and 255 for void.

    classes: the names of the classes. names: the names of the images. read(name) returns an image
    and its label. files(name) lists the files they come from, those of the image first.
    For a net with several outputs classes and label are dicts, keyed by output. Each label then has
    a file of its own; these come last, in the order of the dict.
    colours: {class: (red, green, blue)} where the classes have colours to be drawn in.
    description: what its files are, in one line.
    channels: those of the images, if they are others than red, green and blue of 8 bits.

    >>> def read(name):
    ...     image = np.zeros((2, 3, 3), 'uint8')
    ...     return image, np.array([[0, 1, 255], [0, 0, 1]])
    >>> dataset = Dataset(['background', 'cell'], ['one', 'two'], read)
    >>> image, label = dataset[1]
    >>> len(dataset), image.shape, label.dtype
    (2, (2, 3, 3), dtype('uint8'))
    """

    def __init__(self, classes: Iterable[str] | Mapping[str, Iterable[str]], names: Iterable[str],
                 read: Callable[[str], tuple[Array, Label]],
                 files: Callable[[str], Sequence[Path]] = _no_files,
                 colours: Mapping[str, Sequence[int]] | None = None,
                 description: str = '', channels: Channels = RGB) -> None:
        # `| Any` is the dict of several outputs. Typed as a dict, every user of a single output,
        # which is nearly every user, would have to rule it out first
        self.classes: tuple[str, ...] | Any
        if isinstance(classes, Mapping):
            self.classes = {output: tuple(own) for output, own in classes.items()}
        else:
            self.classes = tuple(classes)
        self.names = list(names)
        self.read = read
        self.files = files
        self.colours = dict(colours or {})
        self.description = description
        self.channels = channels
        if not self.names:
            raise ValueError('no images: a data set needs at least one')

    def __repr__(self) -> str:
        classes = ', '.join(name for names in by_output(self.classes).values() for name in names)
        return f'<Dataset of {len(self):,} images, classes {printable(classes)}>'

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, i: int) -> tuple[Array, Array | Any]:
        name = self.names[i]
        image, label = self.read(name)
        for own in self.output_labels(name, label):
            if image.shape[:2] != own.label.shape:
                raise ImageError('{}: the image has {}×{} pixels and its label {}×{}'.format(
                    printable(name), *image.shape[:2], *own.label.shape))
            if invalid := first_invalid(own.label, len(own.classes)):
                raise ImageError(invalid_label_message(own.source, invalid, 1, len(own.classes),
                                                       np.unique(own.label)))
        return image, map_labels(lambda numbers: numbers.astype('uint8', copy=False), label)

    def subset(self, names: Iterable[str]) -> 'Dataset':
        """The same data set with only these images."""
        return Dataset(self.classes, names, self.read, self.files, self.colours,
                       self.description, self.channels)

    def output_labels(self, name: str, label: Label) -> list[OutputLabel]:
        """The label of an image for each output, with its file and its classes."""
        labels = by_output(label)
        classes = by_output(self.classes)
        files = self.files(name)
        sources: Sequence[str | Path] = files[-len(labels):] if files else [name] * len(labels)
        return [OutputLabel(output, source, labels[output], classes[output])
                for output, source in zip(labels, sources, strict=True)]


def require_dataset(dataset: object) -> None:
    """Raise if a data set is its folder or its name."""
    if not isinstance(dataset, Dataset):
        raise TypeError(f'dataset is {dataset!r:.60}; give a data set, such as '
                        f'tinyfcn.data.load_dataset(name, folder)')


def hold_out(dataset: Dataset, share: float = .2) -> tuple[Dataset, Dataset]:
    """Split off about this share of the images for validation. -> the rest, the held-out images

    Whether an image is held out depends only on its name: its CRC-32 is as good as a random number
    from 0 to 2³². So the split is the same on every machine, and adding images moves none from one
    side to the other.

    >>> def read(name):
    ...     return np.zeros((2, 3, 3), 'uint8'), np.zeros((2, 3), 'uint8')
    >>> dataset = Dataset(['background'], [f'{i:03}' for i in range(100)], read)
    >>> rest, held_out = hold_out(dataset)
    >>> len(rest) + len(held_out), held_out.names[:3]
    (100, ['000', '004', '008'])
    """
    limit = share * 2 ** 32
    held_out = [name for name in dataset.names if _hash(name) < limit]
    rest = [name for name in dataset.names if _hash(name) >= limit]
    if not held_out or not rest:
        raise ValueError(f'to validate on, {len(held_out)} of {len(dataset)} images would be held '
                         f'out: add images, or list those to train on in train.txt and those to '
                         f'validate on in val.txt')
    return dataset.subset(rest), dataset.subset(held_out)


def _hash(name: str) -> int:
    return crc32(name.encode('utf-8', 'backslashreplace'))      # a file name may be no UTF-8
