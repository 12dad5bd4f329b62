"""Generated pictures: the same for ever, labelled where they are painted, as hard as asked."""
import subprocess
import sys

import numpy as np
import pytest

from tinyfcn.data.labels import VOID
from tinyfcn.data.shapes import CLASSES, OUTSIDE, picture


def test_a_picture_is_a_function_of_seed_and_index():
    image, label = picture(3, 7)
    assert (image.shape, image.dtype) == ((96, 128, 3), 'uint8')
    assert (label.shape, label.dtype) == ((96, 128), 'uint8')
    for seed, index, same in [(3, 7, True), (3, 8, False), (4, 7, False)]:
        assert np.array_equal(picture(seed, index)[0], image) == same


def test_it_is_the_same_in_another_process():
    code = ('import zlib; from tinyfcn.data.shapes import picture; '
            'print(zlib.crc32(b"".join(a.tobytes() for a in picture(5, 1))))')
    said = {subprocess.run([sys.executable, '-c', code], capture_output=True, text=True,
                           check=True).stdout for _ in range(2)}
    assert len(said) == 1


@pytest.mark.parametrize('n_class', [2, 6, 21])
def test_every_class_appears_and_no_other(n_class):
    count = np.zeros(256, int)
    for index in range(60 + 10 * n_class):
        count += np.bincount(picture(0, index, (48, 64), n_class)[1].ravel(), minlength=256)
    assert count[:n_class].all() and count[VOID]
    assert not count[n_class:VOID].any()
    assert .3 < count[0] / count.sum() < .8, 'much of a picture is background, and not all of it'


def test_a_void_border_parts_every_shape_from_the_rest():
    for index in range(20):
        label = picture(1, index)[1].astype(int)
        for a, b in (label[1:], label[:-1]), (label[:, 1:], label[:, :-1]):
            touching = (a != b) & (a != VOID) & (b != VOID)
            assert not touching.any()


def test_the_label_lies_on_the_shape():
    """On plain ground a shape differs from it, inside its label and nowhere else."""
    found = 0
    for index in range(80):
        image, label = picture(2, index, difficulty=0)
        if len(np.unique(label[label != VOID])) == 2:       # background and one kind
            ground = np.median(image[label == 0], axis=0)
            apart = np.linalg.norm(image - ground, axis=2)
            inside = apart[(label > 0) & (label != VOID)]
            assert np.median(inside) > 2 * np.median(apart[label == 0])
            found += 1
    assert found > 3


def test_difficulty_makes_shapes_smaller_and_noise_louder():
    noise, area = [], []
    for difficulty in 0, 1:
        pictures = [picture(4, i, difficulty=difficulty) for i in range(40)]
        noise.append(np.mean([np.abs(np.diff(image.astype(int), axis=1)).mean()
                              for image, _ in pictures]))
        area.append(np.mean([np.median(np.bincount(label[(label > 0) & (label < VOID)])[1:])
                             for _, label in pictures if ((label > 0) & (label < VOID)).any()]))
    assert noise[1] > 2 * noise[0] and area[1] < .8 * area[0]


@pytest.mark.parametrize('kind', OUTSIDE)
def test_a_kind_fills_its_circle_and_does_not_leave_it(kind):
    v, u = np.mgrid[-1.5:1.5:151j, -1.5:1.5:151j]
    inside = OUTSIDE[kind](u, v) < 0
    assert np.hypot(u, v)[inside].max() < 1.32, 'the corners of a square reach furthest'
    assert inside[np.hypot(u, v) < 1].mean() > .2
    assert np.hypot(u, v)[inside].max() > .85


def test_kinds_differ_even_when_they_are_turned():
    v, u = np.mgrid[-1.2:1.2:61j, -1.2:1.2:61j]

    def turned(kind, angle):
        return OUTSIDE[kind](u * np.cos(angle) + v * np.sin(angle),
                             v * np.cos(angle) - u * np.sin(angle)) < 0

    kinds = list(OUTSIDE)
    for i, a in enumerate(kinds):
        for b in kinds[i + 1:]:
            overlap = max((turned(a, 0) & turned(b, t)).sum() / (turned(a, 0) | turned(b, t)).sum()
                          for t in np.linspace(0, 2 * np.pi, 12, endpoint=False))
            assert overlap < .9, (a, b)


@pytest.mark.parametrize('how, why', [
    (dict(n_class=1), r'n_class is 1: 2 … 21 are there'), (dict(n_class=22), 'n_class is 22'),
    (dict(difficulty=1.5), 'difficulty is 1.5: between 0 and 1')])
def test_what_cannot_be_painted(how, why):
    assert len(CLASSES) == 21
    with pytest.raises(ValueError, match=why):
        picture(0, 0, **how)
