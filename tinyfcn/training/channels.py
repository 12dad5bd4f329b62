"""How a net comes to read images of other channels than red, green and blue of 8 bits."""
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..data.channel_statistics import channel_statistics
from ..data.channels import RGB, Channels
from ..data.colour import PHOTO_STD
from ..data.dataset import Dataset
from ..files import printable
from ..net import Net

DIGITS = 6                      # of a mean and a standard deviation

Preprocess = dict[str, Any]


def preprocess_for(net: Net, dataset: Dataset,
                   of_photos: Mapping[str, Any] | None) -> Preprocess | None:
    """How the images of a data set are prepared for a net.

    of_photos: as the recipe or weights prepare photos. It stays for red, green and blue of 8 bits,
    and where the net has been trained on the channels already.
    """
    if dataset.channels == RGB or net.about.get('channels'):
        return dict(of_photos) if of_photos else None
    n = len(dataset.channels.names)
    if net['data'].channels != n:
        raise ValueError(f'the images have {dataset.channels}, and the net reads '
                         f'{net["data"].channels}: build the net with channels={n}')
    return standardise(dataset, of_photos)


def standardise(dataset: Dataset, of_photos: Mapping[str, Any] | None) -> Preprocess:
    """The preprocess that gives each channel of these images the mean 0 and the spread of photos.

    (x − mean of the channel) / standard deviation of the channel · s, where s is the standard
    deviation that of_photos leaves to a colour of a photo; 1 without it.
    """
    mean, std = channel_statistics(dataset)
    spread = 1.
    order = 'RGB'
    if of_photos:
        spread = PHOTO_STD * of_photos['scale'] / float(np.mean(of_photos['std']))
        order = of_photos['order'] if dataset.channels.has_colours else order
    std = np.where(std > 0, std, 1) / spread            # a channel of one value becomes 0
    if order == 'BGR':
        mean, std = (np.concatenate([x[2::-1], x[3:]]) for x in (mean, std))
    return dict(order=order, scale=1., mean=_rounded(mean), std=_rounded(std))


def _rounded(values: Any) -> tuple[float, ...]:
    return tuple(float(f'{value:.{DIGITS}g}') for value in values)


def describe_channels(channels: Channels, preprocess: Mapping[str, Any]) -> str:
    """What is done to the images, as a sentence."""
    names = [*channels.in_order]
    if preprocess['order'] == 'BGR':
        names[:3] = names[2::-1]
    means = ', '.join(f'{printable(name)} {mean:.4g}'
                      for name, mean in zip(names, preprocess['mean']))
    return (f'images of {channels}: each channel is prepared to the mean 0 and the spread of '
            f'photos, by its mean ({means}) and standard deviation over the training images')
