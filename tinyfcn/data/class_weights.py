"""Weights that balance frequent and rare classes in the loss."""
import numpy as np

from .dataset import Dataset
from .labels import Array, by_output


def median_frequency(dataset: Dataset) -> list[float]:
    """w_c = median(f) / f_c, so that rare classes weigh more (Eigen & Fergus 2015).

    f_c is the share of the pixels that are c, in the images that have c at all. A class that no
    image has weighs 1.

    >>> labels = {'a': np.array([[0, 0, 0, 1]]), 'b': np.array([[0, 0, 0, 0]])}
    >>> dataset = Dataset(['sky', 'bird'], labels, lambda name: (np.zeros((1, 4, 3)), labels[name]))
    >>> [round(weight, 2) for weight in median_frequency(dataset)]
    [0.64, 2.25]
    """
    n_class = len(dataset.classes)
    own = np.zeros(n_class)             # pixels of each class
    seen = np.zeros(n_class)            # pixels of the images that have it
    for i in range(len(dataset)):
        label, = by_output(dataset[i][1]).values()
        counts = np.bincount(label.ravel(), minlength=n_class)[:n_class]
        own += counts
        seen += (counts > 0) * counts.sum()
    return balance(own, seen)


def balance(own: Array, seen: Array) -> list[float]:
    """The weights of `median_frequency`, from sums over all images.

    own (C,): pixels of each class; seen (C,): pixels that are not void in the images that have it

    >>> balance(np.array([90, 10]), np.array([100, 50]))
    [0.6111111111111112, 2.75]
    """
    found = own > 0
    f = own[found] / seen[found]
    weights = np.ones(len(own))
    weights[found] = np.median(f) / f
    return [float(weight) for weight in weights]
