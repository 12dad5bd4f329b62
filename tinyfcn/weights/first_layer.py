"""The first convolution of a net for photos, made one for images of other channels."""
from typing import Any

from numpy.typing import NDArray

from ..runtime.backend import array_module


def adapt_first_layer(w: NDArray[Any], channels: int, has_colours: bool = True) -> NDArray[Any]:
    """Weights for red, green and blue (K, 3, kh, kw) -> for these channels (K, C, kh, kw)

    If the channels begin with red, green and blue, these keep their weights, and the others share
    the mean of the three: each gets mean / (C − 3). Otherwise each gets 3 · mean / C. So an image
    with the same values in all channels gives what a grey photo gives, or a third more.

    >>> import numpy as np
    >>> w = np.array([1., 2, 6]).reshape(1, 3, 1, 1)
    >>> [adapt_first_layer(w, c).ravel().tolist() for c in (1, 2, 4, 5)]
    [[9.0], [4.5, 4.5], [1.0, 2.0, 6.0, 3.0], [1.0, 2.0, 6.0, 1.5, 1.5]]
    """
    xp = array_module(w)
    mean = w.mean(1, keepdims=True)
    if channels > 3 and has_colours:
        further = xp.repeat(mean / (channels - 3), channels - 3, 1)
        widened: NDArray[Any] = xp.concatenate([w, further], 1)
        return widened
    shared: NDArray[Any] = xp.repeat(mean * 3 / channels, channels, 1)
    return shared


def describe_adaptation(box: str, channels: int, has_colours: bool) -> str:
    """The same as a sentence.

    >>> describe_adaptation('conv1', 1, True)
    'conv1 has weights for red, green and blue: the one channel gets their sum'
    """
    if channels == 1:
        rule = 'the one channel gets their sum'
    elif channels > 3 and has_colours:
        share = f', divided by {channels - 3}' if channels > 4 else ''
        rule = f'these keep them, and each other channel gets their mean{share}'
    else:
        rule = f'each of the {channels} channels gets their sum, divided by {channels}'
    return f'{box} has weights for red, green and blue: {rule}'
