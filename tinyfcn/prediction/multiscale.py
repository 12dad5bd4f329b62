"""Multi-scale, flipped and sliding-window inference: the mean of several predictions.

    predict_probabilities(net, image, scales=(.75, 1, 1.25), flip=True, window=321)

Each prediction is resized to the size of the image, mirrored back where the image was mirrored,
and averaged with the others.
"""
from collections.abc import Iterable, Mapping
from math import ceil
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..data.labels import by_output
from ..data.transforms import prepare, rescale
from ..net.alignment import Alignment, Unaligned
from ..net.net import Net
from ..ops import resize
from ..runtime.backend import array_module, to_numpy

Array: TypeAlias = NDArray[Any]

OVERLAP = 1 / 3         # of a window, at least, lies over the one before


def predict_probabilities(net: Net, image: Array, scales: Iterable[float] = (1,),
                          flip: bool = False, window: int | None = None) -> dict[str, Array]:
    """The mean of softmax(score) over all predictions.   (H, W, 3) uint8 -> {output: (C, H, W)}

    scales: factors of the image's size; flip: also predict the mirrored image;
    window: predict in overlapping windows of so many pixels
    """
    scales = list(scales)
    if not scales:
        raise ValueError('scales is empty; give at least one factor, such as scales=(1,)')
    flips = (False, True) if flip else (False,)
    count = len(scales) * len(flips)
    preprocess = get_preprocess(net)
    total: dict[str, Any] = {}
    for scale in scales:
        scaled = image if scale == 1 else rescale(image, {}, scale)[0]
        for flipped in flips:
            x = prepare(scaled[:, ::-1] if flipped else scaled, preprocess, net.dtype)
            for output, p in predict_windows(net, x, window).items():
                if p.shape[2:] != image.shape[:2]:
                    p, _ = resize(p, image.shape[:2])
                if flipped:
                    p = p[..., ::-1]
                total[output] = total.get(output, 0) + p[0] / count
    return total


def get_preprocess(net: Net) -> Mapping[str, Any]:
    """How images are preprocessed for the weights of this net."""
    preprocess: Mapping[str, Any] | None = net.about.get('preprocess')
    if not preprocess:
        raise ValueError('this net does not say how images are preprocessed for its weights; set '
                         'net.about["preprocess"] = dict(order="BGR", scale=1, mean=(…), '
                         'std=(1, 1, 1))')
    return preprocess


def predict_windows(net: Net, x: Array, window: int | None = None) -> dict[str, Array]:
    """softmax(score) of x (1, C, H, W), averaged where windows overlap. -> {output: (1, C, H, W)}

    An image smaller than the window is padded with zeros, which are the mean colour.
    """
    if window is None:
        return {output: softmax(score) for output, score in predict_scores(net, x).items()}
    h, w = x.shape[2:]
    x = np.pad(x, [(0, 0), (0, 0), (0, max(0, window - h)), (0, max(0, window - w))])
    size = x.shape[2:]
    count = np.zeros(size, x.dtype)
    total: dict[str, Array] = {}
    for top in window_starts(size[0], window):
        for left in window_starts(size[1], window):
            at = (..., slice(top, top + window), slice(left, left + window))
            count[at] += 1
            for output, p in predict_windows(net, np.ascontiguousarray(x[at])).items():
                if output not in total:
                    total[output] = np.zeros((1, p.shape[1], *size), p.dtype)
                total[output][at] += p
    return {output: (p / count)[:, :, :h, :w] for output, p in total.items()}


def window_starts(size: int, window: int) -> list[int]:
    """Where windows begin along an axis: the first at 0; the last ends at `size`.

    >>> window_starts(10, 6)
    [0, 4]
    """
    steps = ceil((size - window) / (window * (1 - OVERLAP)))
    return [(size - window) * i // max(1, steps) for i in range(steps + 1)]


def predict_scores(net: Net, x: Array) -> dict[str, Array]:
    """The scores of every pixel of x (1, C, H, W). -> {output: (1, classes, H, W)}"""
    score = by_output(net.forward(net.bring(mirror_pad(net, x))))
    h, w = x.shape[2:]
    return {output: own[:, :, :h, :w] for output, own in score.items()}


def mirror_pad(net: Net, x: Array) -> Array:
    """x, padded by mirroring where the net's convolutions are not padded.

    "Extrapolated by mirroring" (U-Net): without it the first score would lie inside the image.
    """
    margin = max(first_score_offset(net[output].alignment) for output in net.outputs(train=False))
    if not margin:
        return x
    around = [(0, 0), (0, 0), (margin, margin), (margin, margin)]
    padded: Array = array_module(x).pad(x, around, mode='symmetric')
    return padded


def first_score_offset(alignment: Alignment | Unaligned) -> int:
    """How many pixels of the image lie before its first score."""
    if isinstance(alignment, Unaligned):
        return 0
    return max(0, *map(ceil, alignment.shift))


def softmax(score: Array) -> Array:
    """(1, C, H, W) -> the same shape, positive and with sum 1 over C, on the host."""
    score = to_numpy(score)
    p = np.exp(score - score.max(1, keepdims=True))
    result: Array = p / p.sum(1, keepdims=True)
    return result
