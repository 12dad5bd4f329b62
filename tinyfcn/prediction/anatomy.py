"""Why the pixels of one image are wrong: the grid of scores, small objects, borders, classes."""
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..data.labels import VOID, Array
from ..net.net import Net

# The causes of errors. A wrong pixel has the first one that applies to it
STRIDE = 0              # the true label, resampled to the stride of the scores, is wrong there, too
SMALL = 1               # it belongs to a small object
BORDER = 2              # it is near a border between two classes
CLASSES = 3             # none of these: inside of something large, taken for another class
N_CAUSES = 4
RIGHT = 254             # in the place of a cause

INTERPOLATIONS = {'crop', 'upsample', 'conv_transpose2d', 'resize'}


def find_causes(label: Array, pred: Array, ceiling: Array, is_small: NDArray[np.bool_],
                is_near: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """The cause of the error in every wrong pixel; RIGHT where pred is right, VOID at void.

    label, pred (H, W) -> (H, W)
    ceiling (H, W): the label, resampled to the stride of the scores. is_small (H, W): the pixels of
    small objects. is_near (H, W): those near a border.

    >>> label = np.array([[0, 0, 0, 0, 0, 0, 1, 1, 1]])
    >>> pred = np.array([[1, 0, 0, 0, 0, 1, 1, 1, 1]])
    >>> near = border_distance(label) <= 1
    >>> find_causes(label, pred, label, object_sizes(label) < 3, near).tolist()
    [[3, 254, 254, 254, 254, 2, 254, 254, 254]]
    """
    causes = np.full(label.shape, CLASSES, 'uint8')
    causes[is_near] = BORDER
    causes[is_small] = SMALL
    causes[ceiling != label] = STRIDE
    causes[pred == label] = RIGHT
    causes[label == VOID] = VOID
    return causes


def border_distance(label: Array) -> NDArray[np.float64]:
    """How far each pixel is from the nearest border; 1 on both sides of it, inf without any.

    label (H, W) -> (H, W). A border is between two pixels, above or beside each other, whose labels
    differ, be one of them void: data sets often draw objects with an outline of void. Where the
    image ends is no border.

    >>> border_distance(np.array([[0, 0, 0, 1, 1]])).tolist()
    [[3.0, 2.0, 1.0, 1.0, 2.0]]
    """
    from scipy.ndimage import distance_transform_edt
    at_border = np.zeros(label.shape, bool)
    for before, after in ((np.s_[:-1], np.s_[1:]), (np.s_[:, :-1], np.s_[:, 1:])):
        differ = label[before] != label[after]
        at_border[before] |= differ
        at_border[after] |= differ
    if not at_border.any():
        return np.full(label.shape, np.inf)
    distance: NDArray[np.float64] = 1 + distance_transform_edt(~at_border)
    return distance


def object_sizes(label: Array) -> NDArray[np.int32]:
    """For each pixel, how many pixels its object has: those of its class that touch.

    label (H, W) -> (H, W). Pixels touch along an edge or at a corner.

    >>> object_sizes(np.array([[1, 0, 0], [0, 1, 0]])).tolist()
    [[2, 4, 4], [4, 2, 4]]
    """
    from scipy.ndimage import label as number_parts
    sizes = np.zeros(label.shape, 'int32')
    for value in np.unique(label):
        inside = label == value
        parts, _ = number_parts(inside, np.ones((3, 3)))
        sizes[inside] = np.bincount(parts.ravel())[parts[inside]]
    return sizes


def score_stride(net: Net, output: str = 'score') -> int:
    """The stride of the finest scores that an output is interpolated from.

    It is 8 for FCN-8s, whose last sum of scores is at stride 8, and 1 for a U-Net. A net that has
    no alignment with the image counts as one of stride 1.

    >>> from tinyfcn import build
    >>> [score_stride(build(name, seed=None)) for name in ('fcn32s', 'fcn8s', 'unet')]
    [32, 8, 1]
    """
    box = net[output]
    name = box.op and box.op.__name__
    if name in INTERPOLATIONS:
        return score_stride(net, box.inputs[0])
    if name == 'add':
        return min(score_stride(net, each) for each in box.inputs)
    alignment: Any = box.alignment
    return int(np.ceil(float(max(alignment.scale)))) if alignment else 1


def stride_in_image(net: Net, output: str, size: tuple[int, int],
                    scales: Sequence[float] | None = None, longest: int | None = None) -> int:
    """`score_stride` in pixels of an image of this size, which `predict` may have resized.

    scales, longest: those of `predict`
    """
    factor = 1.
    shorter_side: int | None = net.about.get('shorter_side')
    if longest is not None:
        factor = max(1., max(size) / longest)
    elif shorter_side and scales is None:
        factor = min(size) / shorter_side
    return max(1, round(score_stride(net, output) * factor / max(scales or [1])))
