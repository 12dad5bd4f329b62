"""Generated images: always the same, labelled where shapes are drawn, as difficult as asked."""
import subprocess
import sys
from itertools import combinations

import numpy as np
import pytest

from tinyfcn.data.labels import VOID
from tinyfcn.data.shapes import CLASSES, SIGNED_DISTANCE, generate


def test_an_image_is_a_function_of_seed_and_index():
    image, label = generate(3, 7)
    assert (image.shape, image.dtype) == ((96, 128, 3), 'uint8')
    assert (label.shape, label.dtype) == ((96, 128), 'uint8')
    for seed, index, same in [(3, 7, True), (3, 8, False), (4, 7, False)]:
        assert np.array_equal(generate(seed, index)[0], image) == same


def test_it_is_the_same_in_another_process():
    code = ('import zlib; from tinyfcn.data.shapes import generate; '
            'print(zlib.crc32(b"".join(a.tobytes() for a in generate(5, 1))))')
    printed = {subprocess.run([sys.executable, '-c', code], capture_output=True, text=True,
                              check=True).stdout for _ in range(2)}
    assert len(printed) == 1


@pytest.mark.parametrize('n_class', [2, 6, 21])
def test_every_class_occurs_and_no_other(n_class):
    counts = np.zeros(256, int)
    for index in range(60 + 10 * n_class):
        counts += np.bincount(generate(0, index, (48, 64), n_class)[1].ravel(), minlength=256)
    assert counts[:n_class].all() and counts[VOID]
    assert not counts[n_class:VOID].any()
    assert .3 < counts[0] / counts.sum() < .8, 'the share of background'


def test_a_void_border_separates_every_shape_from_the_rest():
    for index in range(20):
        label = generate(1, index)[1].astype(int)
        for a, b in (label[1:], label[:-1]), (label[:, 1:], label[:, :-1]):
            touching = (a != b) & (a != VOID) & (b != VOID)
            assert not touching.any()


def test_the_label_lies_on_the_shape():
    """At difficulty 0 the image differs from its background inside the label, and only there."""
    found = 0
    for index in range(80):
        image, label = generate(2, index, difficulty=0)
        if len(np.unique(label[label != VOID])) == 2:       # one class beside background
            background = np.median(image[label == 0], axis=0)
            difference = np.linalg.norm(image - background, axis=2)
            inside = difference[(label > 0) & (label != VOID)]
            assert np.median(inside) > 2 * np.median(difference[label == 0])
            found += 1
    assert found > 3


def test_difficulty_makes_shapes_smaller_and_noise_stronger():
    noise = []
    area = []
    for difficulty in 0, 1:
        scenes = [generate(4, i, difficulty=difficulty) for i in range(40)]
        noise.append(np.mean([np.abs(np.diff(image.astype(int), axis=1)).mean()
                              for image, _ in scenes]))
        area.append(np.mean([np.median(np.bincount(label[(label > 0) & (label < VOID)])[1:])
                             for _, label in scenes if ((label > 0) & (label < VOID)).any()]))
    assert noise[1] > 2 * noise[0] and area[1] < .8 * area[0]


@pytest.mark.parametrize('name', SIGNED_DISTANCE)
def test_a_shape_fills_the_unit_circle(name):
    v, u = np.mgrid[-1.5:1.5:151j, -1.5:1.5:151j]
    inside = SIGNED_DISTANCE[name](u, v) < 0
    assert np.hypot(u, v)[inside].max() < 1.32, 'the corners of a square extend furthest'
    assert inside[np.hypot(u, v) < 1].mean() > .2
    assert np.hypot(u, v)[inside].max() > .85


def test_shapes_differ_at_every_rotation():
    v, u = np.mgrid[-1.2:1.2:61j, -1.2:1.2:61j]

    def rotated(name, angle):
        return SIGNED_DISTANCE[name](u * np.cos(angle) + v * np.sin(angle),
                                     v * np.cos(angle) - u * np.sin(angle)) < 0

    def iou(a, b):
        return (a & b).sum() / (a | b).sum()

    angles = np.linspace(0, 2 * np.pi, 12, endpoint=False)
    for a, b in combinations(SIGNED_DISTANCE, 2):
        assert max(iou(rotated(a, 0), rotated(b, angle)) for angle in angles) < .9, (a, b)


@pytest.mark.parametrize('kwargs, message', [
    (dict(n_class=1), 'n_class is 1; it must be 2 … 21'), (dict(n_class=22), 'n_class is 22'),
    (dict(difficulty=1.5), 'difficulty is 1.5; it must be between 0 and 1')])
def test_invalid_arguments(kwargs, message):
    assert len(CLASSES) == 21
    with pytest.raises(ValueError, match=message):
        generate(0, 0, **kwargs)
