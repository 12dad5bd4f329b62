"""Multi-scale, flipped and sliding-window inference: the mean of several predictions.

    average_probabilities(net, image, scales=(.75, 1, 1.25), flip=True, window=321)

Each prediction is resized to the size of the image, mirrored back where the image was mirrored,
and averaged with the others.
"""
from collections.abc import Iterable, Mapping, Sequence
from math import ceil, inf
from typing import Any

import numpy as np

from ..data.labels import Array
from ..data.transforms import prepare, rescale
from ..net.net import Net
from ..ops import resize
from ..runtime.backend import on_host, to_numpy
from ..runtime.machine import available_memory
from .tiles import MEMORY_SHARE, Piece, iter_scores, join, max_stride, usable_memory

OVERLAP = 1 / 3         # of a window, at least, lies over the one before


def average_probabilities(net: Net, image: Array, scales: Iterable[float] = (1,),
                          flip: bool = False, window: int | None = None,
                          max_memory: float | None = None) -> dict[str, Array]:
    """The mean of softmax(score) over all predictions.   (H, W, 3) uint8 -> {output: (C, H, W)}

    scales: factors of the image's size
    flip: also predict the mirrored image
    window: predict in overlapping windows of this many pixels
    max_memory: in bytes; by default most of what is available
    """
    scales = list(scales)
    check_scales(scales)
    require_window(net, window)
    flips = (False, True) if flip else (False,)
    count = len(scales) * len(flips)
    preprocess = get_preprocess(net)
    max_memory = memory_for_tiles(net, image, scales, window, max_memory)
    h, w = image.shape[:2]
    total = {output: np.zeros((net[output].channels, h, w), net.dtype)
             for output in net.outputs(train=False)}
    for scale in scales:
        scaled = image if scale == 1 else rescale(image, {}, scale)[0]
        for flipped in flips:
            x = prepare(scaled[:, ::-1] if flipped else scaled, preprocess, net.dtype)
            # a view of the mean that lies as x does
            mean = {output: p[..., ::-1] if flipped else p for output, p in total.items()}
            if scale == 1 and window is None:
                add_pieces(mean, iter_scores(net, x, max_memory), count)
            else:
                add_resized(mean, predict_windows(net, x, window, max_memory), count)
    return total


def add_pieces(mean: Mapping[str, Array], pieces: Iterable[Piece], count: int) -> None:
    """mean += softmax(scores)/count, piece by piece, in place.   {output: (C, H, W)}"""
    for rows, columns, scores in pieces:
        for output, score in scores.items():
            mean[output][:, rows, columns] += softmax(score)[0] / count


def add_resized(mean: Mapping[str, Array], prob: Mapping[str, Array], count: int) -> None:
    """mean += prob/count, each (1, C, h, w) at the size of its mean (C, H, W), in place.

    One class after another: a resized copy of all of them would take as much memory as the mean.
    """
    for output, p in prob.items():
        for i, of_class in enumerate(mean[output]):
            one = p[:, i:i + 1]
            if one.shape[2:] != of_class.shape:
                one, _ = resize(one, of_class.shape)
            of_class += one[0, 0] / count


def argmax_resized(p: Array, size: tuple[int, int]) -> Array:
    """argmax over the classes of p (C, h, w), resized to (H, W).   -> (H, W) integers

    As in `add_resized`, one class after another.
    """
    if p.shape[1:] == size:
        whole: Array = p.argmax(0)
        return whole
    best = np.full(size, -inf, p.dtype)
    label = np.zeros(size, 'int16')
    for i in range(len(p)):
        resized, _ = resize(p[None, i:i + 1], size)
        is_better = resized[0, 0] > best
        label[is_better] = i
        best[is_better] = resized[0, 0][is_better]
    return label


def resize_probabilities(p: Array, size: tuple[int, int]) -> Array:
    """p (C, h, w) resized to (C, H, W), one class after another."""
    if p.shape[1:] == size:
        return p
    whole = np.empty((len(p), *size), p.dtype)
    for i, of_class in enumerate(whole):
        resized, _ = resize(p[None, i:i + 1], size)
        of_class[:] = resized[0, 0]
    return whole


def check_scales(scales: Sequence[float]) -> None:
    if not scales:
        raise ValueError('scales is empty; give at least one factor, such as scales=(1,)')
    for scale in scales:
        if not 0 < scale < inf:
            raise ValueError(f'a scale is {scale}; give factors above 0, such as .75 or 1.25')


def require_window(net: Net, window: int | None) -> None:
    """Raise for a window smaller than the largest stride: its coarsest map would be one score."""
    if window is None:
        return
    if window < 1:
        raise ValueError(f'window is {window}; give a number of pixels, such as 321')
    stride = max_stride(net)
    if window < stride:
        raise ValueError(f'window is {window}, and the largest stride of this net is {stride}: '
                         f'give at least {stride}, better the size of the images that it was '
                         f'trained on')


def memory_for_tiles(net: Net, image: Array, scales: Sequence[float], window: int | None,
                     max_memory: float | None) -> float:
    """What is left of max_memory beside the probabilities of all pixels, in bytes.

    These are on the host: their mean, of the size of the image, and those of the largest scale.
    """
    memory = usable_memory(net) if max_memory is None else max_memory
    h, w, channels = image.shape
    scaled_h, scaled_w = (max(n * max(scales), window or 0) for n in (h, w))
    n_class = sum(net[output].channels for output in net.outputs(train=False))
    numbers = n_class * h * w + (n_class + channels) * scaled_h * scaled_w
    needed = np.dtype(net.dtype).itemsize * numbers
    is_on_gpu = not on_host(*net.params.values())
    limit = MEMORY_SHARE * available_memory() if is_on_gpu else memory
    require_memory_for_classes(n_class, (h, w), needed, limit)
    return memory if is_on_gpu else memory - needed


def require_memory_for_classes(n_class: int, size: tuple[int, int], needed: float,
                               limit: float) -> None:
    """Raise if the probabilities of an image take more bytes than may be used."""
    if needed > limit:
        raise ValueError(f'the probabilities of {n_class} classes in {size[0]}×{size[1]} pixels '
                         f'take {needed / 1e6:,.0f} MB of memory, and {limit / 1e6:,.0f} MB may be '
                         f'used: reduce the image with longest=640 (--longest 640), or leave out '
                         f'scales, flip, window and crf')


def get_preprocess(net: Net) -> Mapping[str, Any]:
    """How images are preprocessed for the weights of this net."""
    preprocess: Mapping[str, Any] | None = net.about.get('preprocess')
    if not preprocess:
        raise ValueError('this net does not say how images are preprocessed for its weights; set '
                         'net.about["preprocess"] = dict(order="BGR", scale=1, mean=(…), '
                         'std=(1, 1, 1))')
    return preprocess


def predict_windows(net: Net, x: Array, window: int | None = None,
                    max_memory: float = inf) -> dict[str, Array]:
    """softmax(score) of x (1, C, H, W), averaged where windows overlap. -> {output: (1, C, H, W)}

    An image smaller than the window is padded with zeros, which are the mean colour.
    """
    h, w = x.shape[2:]
    if window is None:
        return join(iter_scores(net, x, max_memory), (h, w), softmax)
    x = np.pad(x, [(0, 0), (0, 0), (0, max(0, window - h)), (0, max(0, window - w))])
    size = x.shape[2:]
    count = np.zeros(size, x.dtype)
    total: dict[str, Array] = {}
    for top in window_starts(size[0], window):
        for left in window_starts(size[1], window):
            at = (..., slice(top, top + window), slice(left, left + window))
            count[at] += 1
            part = np.ascontiguousarray(x[at])
            for output, p in predict_windows(net, part, None, max_memory).items():
                if output not in total:
                    total[output] = np.zeros((1, p.shape[1], *size), p.dtype)
                total[output][at] += p
    for p in total.values():
        p /= count
    return {output: p[:, :, :h, :w] for output, p in total.items()}


def window_starts(size: int, window: int) -> list[int]:
    """Where windows begin along an axis: the first at 0; the last ends at `size`.

    >>> window_starts(10, 6)
    [0, 4]
    """
    steps = ceil((size - window) / (window * (1 - OVERLAP)))
    return [(size - window) * i // max(1, steps) for i in range(steps + 1)]


def softmax(score: Array) -> Array:
    """(1, C, H, W) -> the same shape, positive and with sum 1 over C, on the host."""
    score = to_numpy(score)
    p: Array = score - score.max(1, keepdims=True)
    np.exp(p, out=p)
    p /= p.sum(1, keepdims=True)
    return p
