"""Mean and spread of each channel over the images of a data set."""
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .dataset import Dataset

# as many images as have about MAX_VALUES, but some at least
MAX_VALUES = 100_000_000
MIN_IMAGES = 10
MAX_IMAGES = 200


class ChannelStatistics(NamedTuple):
    """The mean and the standard deviation of each channel, (C,)."""

    mean: NDArray[np.float64]
    std: NDArray[np.float64]


def channel_statistics(dataset: Dataset) -> ChannelStatistics:
    """Over all pixels of up to 200 images, which are spread evenly over the data set.

    >>> image = np.arange(12, dtype='float32').reshape(2, 3, 2)
    >>> dataset = Dataset(['sky'], ['one'], lambda name: (image, np.zeros((2, 3), 'uint8')))
    >>> channel_statistics(dataset).mean.tolist()
    [5.0, 6.0]
    """
    first = _read(dataset, dataset.names[0])
    n_images = int(np.clip(MAX_VALUES // first.size, MIN_IMAGES, MAX_IMAGES))
    numbers = np.unique(np.linspace(0, len(dataset) - 1, n_images).astype(int))
    pixels = 0
    total = np.zeros(first.shape[2])
    squares = np.zeros(first.shape[2])
    centre = first.mean((0, 1), dtype='float64')        # else a small spread is lost in the squares
    for i in numbers:
        image = _read(dataset, dataset.names[i])
        values = image.reshape(-1, image.shape[2]) - centre
        pixels += len(values)
        total += values.sum(0)
        squares += (values ** 2).sum(0)
    mean = total / pixels
    return ChannelStatistics(centre + mean, np.sqrt(np.maximum(squares / pixels - mean ** 2, 0)))


def _read(dataset: Dataset, name: str) -> NDArray[Any]:
    image, _ = dataset.read(name)
    return image
