"""The class of every pixel of an image of any size."""
import sys
from collections.abc import Iterable, Mapping
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, TypeGuard, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..data.images import read_image
from ..data.labels import Array
from ..data.transforms import prepare, reduce_to, resize_shorter
from ..files.images import require_8_bits, to_rgb
from ..net.net import Net, require_net
from ..runtime.backend import to_numpy
from .crf import mean_field, require_memory
from .multiscale import argmax_resized, get_preprocess, predict_probabilities
from .tiles import iter_scores, join, usable_memory

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

    image: the path of an image file, a PIL image, or an array (H, W, 3) uint8, RGB
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
    image = load_image(image)
    size = image.shape[:2]
    resized = image if scales is not None and longest is None else resize_for(net, image, longest)
    if not (crf or flip or window is not None or scales is not None or resized is not image):
        x = prepare(image, get_preprocess(net), net.dtype)
        memory = usable_memory(net) if max_memory is None else max_memory
        return unwrap_single(join(iter_scores(net, x, memory), size, argmax_mask))

    factors = (1,) if scales is None else scales
    if crf:
        n_class = max(net[output].channels for output in net.outputs(train=False))
        require_memory(resized.shape[:2], n_class, max_memory)
    prob = predict_probabilities(net, resized, factors, flip, window, max_memory)
    if crf:
        # the CRF compares colours; a net may read more channels, such as depth
        prob = {output: mean_field(p, resized[..., :3], crf) for output, p in prob.items()}
    return unwrap_single({output: as_mask(argmax_resized(p, size), len(p))
                          for output, p in prob.items()})


def load_image(image: Input) -> Array:
    """A path, a PIL image or an array -> (H, W, 3) uint8, RGB.

    For nets that read other channels, such as depth, an array (H, W, C) of uint8, or of finite
    floats if C is not 3, is returned unchanged.

    >>> load_image(np.zeros((4, 5, 3), 'uint8')).shape
    (4, 5, 3)
    """
    if isinstance(image, (str, PathLike)):
        return read_image(Path(image))
    if _is_pil(image):
        require_8_bits(image, 'image')
        return to_rgb(image)
    found = type(image).__name__
    if isinstance(image, np.ndarray):
        found = f'an array {image.shape} of {image.dtype}'
        if image.ndim == 3 and image.size:
            if image.dtype == 'uint8':
                return image
            if image.dtype.kind == 'f' and image.shape[2] != 3:
                _require_finite(image)
                return image
    raise TypeError(f'image is {found}; give a path, a PIL image, or an array (H, W, 3) of uint8, '
                    f'RGB')


def _require_finite(image: Array) -> None:
    invalid = np.argwhere(~np.isfinite(image))
    if len(invalid):
        row, column, channel = invalid[0].tolist()
        raise ValueError(f'image is {image[row, column, channel]} at row {row}, column {column}, '
                         f'channel {channel}, and {len(invalid):,} such values in all; replace '
                         f'them, for example by the mean')


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
