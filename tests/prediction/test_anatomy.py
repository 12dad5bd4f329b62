"""The cause of every error in an image, beside loops over its pixels."""
import numpy as np
import pytest

from tinyfcn import build
from tinyfcn.data.ceiling import through_cells
from tinyfcn.prediction.anatomy import (
    BORDER,
    CLASSES,
    RIGHT,
    SMALL,
    STRIDE,
    border_distance,
    find_causes,
    object_sizes,
    score_stride,
    stride_in_image,
)

RNG = np.random.default_rng(12)


def blocks(h, w, side=4, values=(0, 1, 2, 255)):
    """A random label of square blocks."""
    label = RNG.choice(values, [-(-n // side) for n in (h, w)])
    return label.repeat(side, 0).repeat(side, 1)[:h, :w].astype('uint8')


def neighbours(i, j, shape, corners):
    """The pixels that touch a pixel, along an edge or also at a corner."""
    for y in range(max(0, i - 1), min(shape[0], i + 2)):
        for x in range(max(0, j - 1), min(shape[1], j + 2)):
            if (y, x) != (i, j) and (corners or y == i or x == j):
                yield y, x


def distances_by_loops(label):
    border = [(i, j) for i, j in np.ndindex(label.shape)
              if any(label[at] != label[i, j] for at in neighbours(i, j, label.shape, False))]
    return np.array([[1 + min(np.hypot(i - y, j - x) for y, x in border)
                      for j in range(label.shape[1])] for i in range(label.shape[0])])


def sizes_by_flood(label):
    sizes = np.zeros(label.shape, int)
    for start in np.ndindex(label.shape):
        if not sizes[start]:
            found, waiting = {start}, [start]
            while waiting:
                for at in neighbours(*waiting.pop(), label.shape, True):
                    if label[at] == label[start] and at not in found:
                        found.add(at)
                        waiting.append(at)
            for at in found:
                sizes[at] = len(found)
    return sizes


def test_distances_and_sizes_equal_loops_over_pixels():
    label = blocks(14, 17, side=5)
    assert border_distance(label) == pytest.approx(distances_by_loops(label), abs=1e-12)
    label = blocks(14, 17, side=2)
    assert (object_sizes(label) == sizes_by_flood(label)).all()


def test_a_label_without_a_border_is_far_from_one():
    assert (border_distance(np.zeros((3, 4), 'uint8')) == np.inf).all()
    assert (object_sizes(np.zeros((3, 4), 'uint8')) == 12).all()


def test_a_wrong_pixel_has_the_first_cause_that_applies():
    """Each cause alone, both ways round, and void beside errors of every cause."""
    label = blocks(40, 48, side=6)
    pred = np.where(RNG.random(label.shape) < .5, blocks(40, 48, values=(0, 1, 2)), label)
    small = object_sizes(label) < 100
    near = border_distance(label) <= 2
    ceiling = through_cells(label, 8)
    causes = find_causes(label, pred, ceiling, small, near)
    coarse = ceiling != label
    for at in np.ndindex(label.shape):
        reasons = [cause for cause, applies in ((STRIDE, coarse[at]), (SMALL, small[at]),
                                                (BORDER, near[at]), (CLASSES, True)) if applies]
        expected = reasons[0] if pred[at] != label[at] else RIGHT
        assert causes[at] == (255 if label[at] == 255 else expected), at
    assert {*np.unique(causes)} == {STRIDE, SMALL, BORDER, CLASSES, RIGHT, 255}
    assert not (find_causes(label, pred, label, small, near) == STRIDE).any()


@pytest.mark.parametrize('name, stride', [
    ('fcn32s', 32), ('fcn16s', 16), ('fcn8s', 8), ('fcn_squeezenet_4s', 4), ('segnet', 1),
    ('unet', 1), ('fcn_resnet50', 8), ('pspnet', 8)])
def test_the_stride_of_the_finest_scores(name, stride):
    assert score_stride(build(name, width=1/16, seed=None)) == stride


def test_each_output_has_its_stride():
    net = build('siftflow_16s', width=1/16, seed=None)
    assert [score_stride(net, output) for output in net.outputs(train=False)] == [16, 16]


def test_the_stride_counts_pixels_of_the_image_as_it_was():
    net = build('fcn8s', width=1/16, seed=None)
    assert stride_in_image(net, 'score', (480, 640)) == 8
    assert stride_in_image(net, 'score', (480, 640), longest=320) == 16
    assert stride_in_image(net, 'score', (480, 640), longest=1000) == 8     # it enlarges nothing
    assert stride_in_image(net, 'score', (480, 640), scales=[1, 2]) == 4
    net.about['shorter_side'] = 240
    assert stride_in_image(net, 'score', (480, 640)) == 16
    assert stride_in_image(net, 'score', (480, 640), scales=[1]) == 8       # as `predict` has it
