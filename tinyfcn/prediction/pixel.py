"""Why a pixel has its class: the parts of its scores.

Above its score layers an FCN only crops, adds and upsamples. That is linear, so a score is the sum
of what each score layer contributes to it: score = score_fr + score_pool4 + score_pool3.
"""
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from .. import ops
from ..data.labels import Array
from ..data.transforms import prepare
from ..net.alignment import Unaligned
from ..net.net import Net, require_net
from ..runtime.backend import to_numpy
from .multiscale import get_preprocess
from .predict import Input, load_image, resize_for

# y(a + b) = y(a) + y(b), without a bias
LINEAR = ops.crop, ops.pad, ops.add, ops.scale, ops.upsample, ops.resize


class Window(NamedTuple):
    """Rows top … bottom−1 and columns left … right−1 of an image."""

    top: int
    bottom: int
    left: int
    right: int


class PixelScore(NamedTuple):
    """The scores of one pixel, and where they come from."""

    image: Array                        # (H, W, C), at the size at which the net saw it
    mask: Array                         # (H, W), the class of every pixel
    pixel: tuple[int, int]              # row and column
    score: Array                        # (n_class,)
    parts: Mapping[str, Array]          # {score layer: (n_class,)}; their sum is `score`
    fields: Mapping[str, Window]        # {score layer: the pixels that its part depends on}
    gradient: Array                     # (H, W), |∂(score of the pixel's class)/∂image|


def explain_pixel(net: Net, image: Input, row: int, column: int,
                  longest: int | None = None) -> PixelScore:
    """The parts of the scores of a pixel, their receptive fields, and the gradient of the best.

    row, column: of the image as it is given; longest: as in `predict`

    >>> import tinyfcn
    >>> net = tinyfcn.build('tiny_8s', n_class=3, width=1/8)
    >>> net.about['preprocess'] = dict(order='RGB', scale=1, mean=(0, 0, 0), std=(1, 1, 1))
    >>> found = explain_pixel(net, np.zeros((40, 50, 3), 'uint8'), row=20, column=10)
    >>> list(found.parts)
    ['score_fr', 'score_pool4', 'score_pool3']
    """
    require_net(net)
    if net.outputs(train=False) != ['score']:
        raise ValueError(f'a net of several outputs, {", ".join(net.outputs(train=False))}, has no '
                         f'single score for a pixel')
    image = load_image(image, net)
    if not (0 <= row < len(image) and 0 <= column < image.shape[1]):
        raise ValueError(f'column {column}, row {row} is outside of the image, which has '
                         f'{image.shape[1]} columns and {len(image)} rows, counted from 0')
    resized = resize_for(net, image, longest)
    y, x = (position * new // old for position, new, old
            in zip((row, column), resized.shape, image.shape))

    layers = score_layers(net)
    data = net.bring(prepare(resized, get_preprocess(net), net.dtype))
    score = net.forward(data, keep=True)
    if score.shape[2:] != resized.shape[:2]:
        raise ValueError(f'the scores are {score.shape[2]}×{score.shape[3]} and the image is '
                         f'{resized.shape[0]}×{resized.shape[1]}: this net has no score for each '
                         f'pixel')
    mask = to_numpy(score[0].argmax(0))
    best = int(mask[y, x])
    dscore = score * 0
    dscore[0, best, y, x] = 1
    net.backward(score=dscore)
    dimage = to_numpy(net.grads['data'][0])
    fields = {name: receptive_field(net, name, best, dimage.shape[1:]) for name in layers}
    parts = {name: part_of_score(net, layers, name, data)[:, y, x] for name in layers}
    return PixelScore(resized, mask, (y, x), to_numpy(score[0, :, y, x]), parts, fields,
                      np.sqrt((dimage ** 2).sum(0)))


def score_layers(net: Net) -> list[str]:
    """The boxes above which everything up to `score` is linear, in the order of the net."""
    found = set()
    above = [net['score']]
    while above:
        box = above.pop()
        if box.op in LINEAR:
            above += [net[name] for name in box.inputs]
        else:
            found.add(box.name)
    return [box.name for box in net.route(train=False) if box.name in found]


def class_boxes(net: Net, output: str) -> set[str]:
    """The boxes with a channel for each class of an output: score layers and all above them."""
    found = set()
    above = [output]
    while above:
        name = above.pop()
        found.add(name)
        if net[name].op in LINEAR:
            above += net[name].inputs
    return found


def part_of_score(net: Net, layers: list[str], name: str, data: Array) -> Array:
    """The scores (n_class, H, W) if of all score layers only this one had values."""
    for box, y in net.walk(data, keep=False):
        if box.name in layers and box.name != name:
            net.values[box.name] = y * 0
    score: Array = to_numpy(net.values['score'][0])
    return score


def receptive_field(net: Net, layer: str, n: int, size: tuple[int, int]) -> Window:
    """The pixels on which channel n of those units of a layer depends that have a gradient."""
    alignment = net[layer].alignment
    if isinstance(alignment, Unaligned):                # the whole image
        return Window(0, size[0], 0, size[1])
    gradient = to_numpy(net.grads[layer][0, n])
    if not gradient.any():                              # at a border the coarsest units may end
        return Window(0, 0, 0, 0)
    edges = []
    for axis in (0, 1):
        units = np.flatnonzero(gradient.any(1 - axis))
        reach = (float(alignment.field[axis]) - 1) / 2
        centres = [float(alignment.scale[axis]) * int(unit) + float(alignment.shift[axis])
                   for unit in (units[0], units[-1])]
        edges += [max(0, int(np.ceil(centres[0] - reach))),
                  min(size[axis], int(np.floor(centres[1] + reach)) + 1)]
    return Window(*edges)
