"""A picture seen more than once: at several scales, mirrored, through a window that slides.

    probabilities(net, image, scales=(.75, 1, 1.25), mirrored=True, window=321) -> {head: (C, H, W)}

What a net says of all views is brought to the size of the image and averaged.
"""
from math import ceil

import numpy as np

from ..data.labels import by_output
from ..data.transforms import prepare, rescale
from ..ops import resize
from ..runtime.backend import array_module, to_numpy

OVERLAP = 1 / 3         # of a window, at least, lies over the one before


def probabilities(net, image, scales=(1,), mirrored=False, window=None):
    """The mean over all views of softmax(score).   (H, W, 3) uint8 -> {head: (C, H, W)}"""
    views = [(factor, turned) for factor in scales for turned in (False, True)[:1 + mirrored]]
    if not views:
        raise ValueError('no scales: a picture is seen at one or more, such as scales=(1,)')
    total = {}
    for factor, turned in views:
        seen = image if factor == 1 else rescale(image, {}, factor)[0]
        x = prepare(seen[:, ::-1] if turned else seen, preprocess_of(net), net.dtype)
        for head, p in predict_windows(net, x, window).items():
            p, _ = resize(p, image.shape[:2]) if p.shape[2:] != image.shape[:2] else (p, None)
            total[head] = total.get(head, 0) + (p[..., ::-1] if turned else p)[0] / len(views)
    return total


def preprocess_of(net):
    """How an image is made ready for this net: its weights know."""
    if not net.about.get('preprocess'):
        raise ValueError('nobody knows how images were prepared for this net; set net.about['
                         '"preprocess"] = dict(order="BGR", scale=1, mean=(…), std=(1, 1, 1))')
    return net.about['preprocess']


def predict_windows(net, x, window=None):
    """softmax(score) of x (1, C, H, W), and where windows overlap their mean. -> {head: array}"""
    if window is None:
        return {head: softmax(own) for head, own in scores(net, x).items()}
    h, w = x.shape[2:]
    x = np.pad(x, [(0, 0), (0, 0), (0, max(0, window - h)), (0, max(0, window - w))])
    count, total = np.zeros(x.shape[2:], x.dtype), {}
    for top in window_starts(x.shape[2], window):
        for left in window_starts(x.shape[3], window):
            at = ..., slice(top, top + window), slice(left, left + window)
            count[at] += 1
            for head, p in predict_windows(net, np.ascontiguousarray(x[at])).items():
                whole = total.setdefault(head, np.zeros((1, p.shape[1], *count.shape), p.dtype))
                whole[at] += p
    return {head: (whole / count)[:, :, :h, :w] for head, whole in total.items()}


def window_starts(size, window):
    """Where windows begin along an axis: the first at 0, the last ends with it."""
    steps = ceil((size - window) / (window * (1 - OVERLAP)))
    return [(size - window) * i // max(1, steps) for i in range(steps + 1)]


def scores(net, x):
    """What the net says of every pixel of x (1, C, H, W), by head."""
    score = by_output(net.forward(net.bring(mirror_pad(net, x))))
    return {head: own[:, :, :x.shape[2], :x.shape[3]] for head, own in score.items()}


def mirror_pad(net, x):
    """x, and for a net whose convolutions are not padded its mirror images around.

    "Extrapolated by mirroring" (U-Net): else its first score would lie inside the image.
    """
    margin = max(margin_of(net[head].alignment) for head in net.outputs(train=False))
    around = [(0, 0), (0, 0), (margin, margin), (margin, margin)]
    return array_module(x).pad(x, around, mode='symmetric') if margin else x


def margin_of(place):
    """How many pixels of the image lie before its first score."""
    return max(0, *map(ceil, place.shift)) if place else 0


def softmax(score):
    """(1, C, H, W) -> the same, positive and 1 in sum over C, on the host."""
    score = to_numpy(score)
    p = np.exp(score - score.max(1, keepdims=True))
    return p / p.sum(1, keepdims=True)
