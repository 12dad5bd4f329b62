"""A map of the scores of each class: those that a classifier averages over the image."""
from typing import NamedTuple

from ..data.labels import Array
from ..data.transforms import prepare, resize_shorter
from ..net.alignment import Alignment, Unaligned
from ..net.box import Box
from ..net.net import Net, require_net
from ..ops import avg_pool, conv2d, dropout
from ..runtime.backend import to_numpy
from .classify import is_classifier
from .multiscale import get_preprocess
from .predict import Input, load_image, resize_for

FINER = 1.5                     # factor by which an image is enlarged for the map of a classifier


class ClassMap(NamedTuple):
    """The scores of all classes at every position in an image."""

    image: Array                # (H, W, C), at the size at which the net saw it
    scores: Array               # (n_class, h, w)
    alignment: Alignment        # of the scores with this image


def class_map(net: Net, image: Input) -> ClassMap:
    """The scores of a segmentation net, or those that a classifier averages over all positions.

    For a classifier with net.about['shorter_side'] the image is larger by a factor FINER than in
    `classify`, for a finer map.

    >>> import tinyfcn, numpy as np
    >>> net = tinyfcn.build('squeezenet', n_class=3, width=1/16)
    >>> net.about['preprocess'] = dict(order='RGB', scale=1, mean=(0, 0, 0), std=(1, 1, 1))
    >>> class_map(net, np.ones((64, 80, 3), 'uint8')).scores.shape
    (3, 3, 4)
    """
    require_net(net)
    if net.outputs(train=False) != ['score']:
        raise ValueError(f'a net of several outputs, {", ".join(net.outputs(train=False))}, has no '
                         f'single map of scores')
    image = load_image(image, net)
    box = net['score']
    if is_classifier(net):
        box = net[box.inputs[0]]                        # the last box averages over all positions
        side = net.about.get('shorter_side')
        image = resize_shorter(image, side and round(FINER * side))
    else:
        image = resize_for(net, image)
    features = _features_before_average(net, box)
    alignment = features.alignment
    if isinstance(alignment, Unaligned):
        raise ValueError(f'this net has no map of scores: {alignment}')
    x = prepare(image, get_preprocess(net), net.dtype)
    scores = net.forward(x, until=features.name)
    if features is not box:
        bias = net.params.get(f'{box.name}.b')
        scores, _ = conv2d(scores, net.params[f'{box.name}.w'], bias)
    return ClassMap(image, to_numpy(scores[0]), alignment)


def _features_before_average(net: Net, box: Box) -> Box:
    """The box that GoogLeNet averages over 7×7 positions before its last convolution; else `box`.

    The convolution is 1×1. Both are linear, so it may come first, with scores at each position.
    """
    if box.op is not conv2d or net.params[f'{box.name}.w'].shape[2:] != (1, 1):
        return box
    before = net[box.inputs[0]]
    if before.op is dropout:                        # only training drops
        before = net[before.inputs[0]]
    return net[before.inputs[0]] if before.op is avg_pool else box
