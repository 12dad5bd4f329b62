"""A data set: pictures by number, each an image and a label of one size, void being 255."""
from zlib import crc32

import numpy as np

from .images import ImageError
from .labels import beyond, by_output, each_label, not_a_class


class Dataset:
    """`len(set)` pairs: set[i] -> image (H, W, C), label (H, W) uint8 of 0 … n_class−1, 255.

    `classes` are the names of the classes, `names` of the pictures; read(name) gives a pair and
    files(name) the paths that it comes from, the label's last. Where a net has several outputs,
    classes and label are dicts by their names, and each label has a file.
    """

    def __init__(self, classes, names, read, files=lambda name: ()):
        self.classes = classes if isinstance(classes, dict) else tuple(classes)
        self.names, self.read, self.files = list(names), read, files
        if not self.names:
            raise ValueError('no pictures: a data set needs at least one')

    def __len__(self):
        return len(self.names)

    def __getitem__(self, i):
        name = self.names[i]
        image, label = self.read(name)
        for _, where, part, classes in self.parts(name, label):
            if image.shape[:2] != part.shape:
                raise ImageError('{}: the image has {}×{} pixels and its label {}×{}'.format(
                    name, *image.shape[:2], *part.shape))
            if odd := beyond(part, len(classes)):
                raise ImageError(not_a_class(where, *odd, 1, len(classes), np.unique(part)))
        return image, each_label(lambda part: part.astype('uint8', copy=False), label)

    def of(self, names):
        """The same set with some of its pictures."""
        return Dataset(self.classes, names, self.read, self.files)

    def parts(self, name, label):
        """-> for each output of a net: its name, where its label was read, label, classes"""
        labels, classes = by_output(label), by_output(self.classes)
        where = [*self.files(name)[-len(labels):]] or [name] * len(labels)
        return [(key, file, labels[key], classes[key]) for key, file in zip(labels, where)]


def hold_out(pictures, share=.2):
    """-> the rest, and about this share of the pictures, held out to judge by.

    Each name decides for itself (its CRC-32): the same on every machine, and no picture changes
    sides when others are added.
    """
    def is_held(name):
        return crc32(name.encode()) < share * 2 ** 32

    held = [name for name in pictures.names if is_held(name)]
    rest = [name for name in pictures.names if not is_held(name)]
    if not held or not rest:
        raise ValueError(f'of {len(pictures)} pictures {len(held)} would be held out by a share of '
                         f'{share:g}: choose another, or list them in files of their own')
    return pictures.of(rest), pictures.of(held)


# ---- a label, or several by the output of a net that learns them ---------------------------------


def median_frequency(pictures):
    """Rare classes weigh more: median(f) / f for each, f its share of the pixels of the pictures
    that have it (Eigen & Fergus 2015). A class that no picture has weighs 1. -> list
    """
    n_class = len(pictures.classes)
    own, seen = np.zeros(n_class), np.zeros(n_class)
    for i in range(len(pictures)):
        _, label = pictures[i]
        counts = np.bincount(label.ravel(), minlength=n_class)[:n_class]
        own += counts
        seen += (counts > 0) * counts.sum()
    f = own[own > 0] / seen[own > 0]
    weights = np.ones(n_class)
    weights[own > 0] = np.median(f) / f
    return weights.tolist()


# ---- lists of names, and folders -----------------------------------------------------------------
