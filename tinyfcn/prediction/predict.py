"""The class of every pixel of an image of any size."""
import sys
from collections.abc import Iterable, Mapping
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, TypeGuard, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..data.channels import GREY, RGB, Channels, value_type
from ..data.images import read_image, require_finite
from ..data.labels import Array
from ..data.transforms import prepare, reduce_to, resize_shorter
from ..files.images import require_8_bits, to_rgb
from ..files.pixels import plain_pixels
from ..net.net import Net, require_net
from ..runtime.backend import to_numpy
from ..runtime.machine import available_memory
from ..viz import as_colours
from .crf import mean_field, require_memory
from .multiscale import (
    argmax_resized,
    average_probabilities,
    get_preprocess,
    require_memory_for_classes,
    resize_probabilities,
)
from .tiles import MEMORY_SHARE, iter_scores, join, usable_memory

if TYPE_CHECKING:
    from PIL.Image import Image  # a type alone: PIL is imported on first use

Mask: TypeAlias = NDArray[np.uint8]
Input: TypeAlias = 'str | PathLike[str] | Image | Array'
T = TypeVar('T')


# A net with several outputs gives a dict. `X | dict[str, X]` would make every user check which of
# the two it is, although nearly all nets have one output. `X | Any` is the convention of typeshed
# for this: a type checker treats the result as X, and accepts it where a dict is needed.
def predict(net: Net, image: Input, max_memory: float | None = None,
            crf: Mapping[str, float] | None = None, scales: Iterable[float] | None = None,
            flip: bool = False, window: int | None = None,
            longest: int | None = None) -> Mask | Any:
    """The class of every pixel: argmax over its scores, or over its mean probabilities.

    If net.about has a shorter_side, and neither scales nor longest are given, the image is resized
    so that its shorter side has that many pixels, and the probabilities are resized back.

    -> (H, W) uint8; a net with several outputs gives a dict of masks, {output: (H, W)}

    image: the path of an image file, a PIL image, or an array (H, W, 3) uint8, RGB; other channels
    as in `load_image`
    scales: average the predictions for the image enlarged and reduced by these factors
    flip: average those for the image and its mirror image
    window: predict in overlapping windows of this many pixels, and average where they overlap
    crf: a row of `prediction.crf.SETTINGS`, to refine the probabilities by the fully connected CRF
    longest: first reduce a larger image, so that its longer side has this many pixels; the
    probabilities are enlarged again
    max_memory: in bytes; by default most of the available memory. Scores that take more are
    predicted in tiles that overlap by the receptive field, so the result is identical

    >>> import tinyfcn
    >>> net = tinyfcn.build('tiny_8s', n_class=3, width=1/8)
    >>> net.about['preprocess'] = dict(order='RGB', scale=1, mean=(0, 0, 0), std=(1, 1, 1))
    >>> predict(net, np.zeros((40, 50, 3), 'uint8')).shape
    (40, 50)
    """
    require_net(net)
    image = load_image(image, net)
    size = image.shape[:2]
    resized = _resize(net, image, scales, longest)
    if not (crf or flip or window is not None or scales is not None or resized is not image):
        x = prepare(image, get_preprocess(net), net.dtype)
        memory = usable_memory(net) if max_memory is None else max_memory
        return unwrap_single(join(iter_scores(net, x, memory), size, argmax_mask))
    prob = _average(net, resized, max_memory, crf, scales, flip, window)
    return unwrap_single({output: as_mask(argmax_resized(p, size), len(p))
                          for output, p in prob.items()})


def predict_probabilities(net: Net, image: Input, max_memory: float | None = None,
                          crf: Mapping[str, float] | None = None,
                          scales: Iterable[float] | None = None, flip: bool = False,
                          window: int | None = None, longest: int | None = None) -> Array | Any:
    """The probability of every class in every pixel: softmax over its scores, or a mean of such.

    The arguments are those of `predict`, which gives the most probable class of every pixel.
    -> (C, H, W), with sum 1 over C; a net with several outputs gives a dict, {output: (C, H, W)}

    >>> import tinyfcn
    >>> net = tinyfcn.build('tiny_8s', n_class=3, width=1/8)
    >>> net.about['preprocess'] = dict(order='RGB', scale=1, mean=(0, 0, 0), std=(1, 1, 1))
    >>> prob = predict_probabilities(net, np.zeros((40, 50, 3), 'uint8'))
    >>> prob.shape, float(prob[:, 7, 9].sum().round(3))
    ((3, 40, 50), 1.0)
    """
    require_net(net)
    image = load_image(image, net)
    size = image.shape[:2]
    n_class = sum(net[output].channels for output in net.outputs(train=False))
    require_memory_for_classes(
        n_class, size, n_class * image[..., 0].size * np.dtype(net.dtype).itemsize,
        MEMORY_SHARE * available_memory() if max_memory is None else max_memory)
    prob = _average(net, _resize(net, image, scales, longest), max_memory, crf, scales, flip,
                    window)
    return unwrap_single({output: resize_probabilities(p, size) for output, p in prob.items()})


def _average(net: Net, image: Array, max_memory: float | None, crf: Mapping[str, float] | None,
             scales: Iterable[float] | None, flip: bool, window: int | None) -> dict[str, Array]:
    """The mean probabilities of an image (H, W, C) of the size in which the net sees it."""
    if crf:
        n_class = max(net[output].channels for output in net.outputs(train=False))
        require_memory(image.shape[:2], n_class, max_memory)
    factors = (1,) if scales is None else scales
    prob = average_probabilities(net, image, factors, flip, window, max_memory)
    if not crf:
        return prob
    colours = as_colours(image)                         # a net may read others, such as depth
    return {output: mean_field(p, colours, crf) for output, p in prob.items()}


def _resize(net: Net, image: Array, scales: Iterable[float] | None,
            longest: int | None) -> Array:
    """The image as the net sees it: scales are factors of its own size, unless it is reduced."""
    return image if scales is not None and longest is None else resize_for(net, image, longest)


def channels_of(net: Net) -> Channels:
    """The channels that a net reads: those it was trained on, or red, green and blue of 8 bits."""
    known = net.about.get('channels')
    if known:
        return Channels.from_about(known)
    return GREY if net['data'].channels == 1 else RGB


def load_image(image: Input, net: Net | None = None) -> Array:
    """A path, a PIL image or an array -> (H, W, 3) uint8, RGB, or as the images that a net reads.

    For nets that read other channels, an array (H, W, C) has red, green and blue first, and is of
    uint8, of finite floats, or of the type that the net was trained on.

    >>> load_image(np.zeros((4, 5, 3), 'uint8')).shape
    (4, 5, 3)
    """
    channels = RGB if net is None else channels_of(net)
    if isinstance(image, (str, PathLike)):
        return read_image(Path(image), None, channels, 'the images that the net was trained on')
    if _is_pil(image):
        return _pixels_of_pil(image, channels)
    found = type(image).__name__
    if isinstance(image, np.ndarray):
        found = f'an array {image.shape} of {image.dtype}'
        if image.ndim == 3 and image.size and _has_type(image, channels):
            require_finite(image, 'image')
            return image if image.dtype.kind == 'f' or image.dtype == 'uint8' else \
                image.astype('float32')
    if channels == RGB:
        wanted = 'an array (H, W, 3) of uint8, RGB'
    else:
        wanted = f'an array (H, W, {len(channels.names)}), as the net was trained on {channels}'
    raise TypeError(f'image is {found}; give a path, a PIL image, or {wanted}')


def _has_type(image: Array, channels: Channels) -> bool:
    """Whether the values of an array are of the type that a net was trained on.

    Data sets deliver values of more than 8 bits as floats.
    """
    if image.dtype.kind == 'f':
        return channels.dtype != 'uint8' or image.shape[2] != 3
    return value_type(image.dtype.name) == channels.dtype


def _pixels_of_pil(image: 'Image', channels: Channels) -> Array:
    """A PIL image as it is, without its orientation. -> (H, W, C), red green blue first"""
    n = len(channels.names)
    if channels.dtype == 'uint8':
        require_8_bits(image, 'image')
        pixels = to_rgb(image) if n == 3 else plain_pixels(image.convert('L') if n == 1 else image)
        if pixels.shape[2] == n:
            return pixels if channels == RGB else pixels[..., channels.order]
    elif channels.dtype == 'uint16' and n == 1 and image.mode.startswith('I'):
        return np.array(image)[..., None].astype('float32')
    raise ValueError(f'image is a PIL image of mode {image.mode}, and the net was trained on '
                     f'{channels}: give a path or an array')


def resize_for(net: Net, image: Array, longest: int | None = None) -> Array:
    """Resize an image (H, W, C) for a net.

    If `longest` is given, an image whose longer side has more pixels is reduced to that; otherwise,
    if net.about has a shorter_side, the shorter side gets that many pixels.
    """
    if longest is not None:
        return reduce_to(image, longest)
    return resize_shorter(image, net.about.get('shorter_side'))


def _is_pil(image: object) -> 'TypeGuard[Image]':
    """Whether this is a PIL image, without importing PIL."""
    pil = sys.modules.get('PIL.Image')
    return pil is not None and isinstance(image, pil.Image)


def argmax_mask(score: Array) -> Array:
    """The best class of every pixel of one image.   (1, C, H, W) -> (H, W), on the host"""
    return as_mask(to_numpy(score[0].argmax(0)), score.shape[1])


def as_mask(label: Array, n_class: int) -> Array:
    """The class of every pixel as uint8; as uint16 if there are more classes than fit into it."""
    return label.astype('uint8' if n_class <= 256 else 'uint16')


def unwrap_single(outputs: dict[str, T]) -> T | Any:
    """The inverse of `by_output`: the value of the only output, or the dict of several."""
    return outputs['score'] if outputs.keys() == {'score'} else outputs
