"""The statistics of labels, beside the labels themselves."""
import numpy as np
import pytest

from tinyfcn.data.ceiling import through_cells
from tinyfcn.data.class_weights import median_frequency
from tinyfcn.data.dataset import Dataset
from tinyfcn.data.objects import thin_pixels
from tinyfcn.data.statistics import STRIDES, label_statistics
from tinyfcn.metrics import confusion

RNG = np.random.default_rng(5)
CLASSES = 'sky', 'tree', 'bird'
LABELS = {name: RNG.choice([0, 1, 2, 255], (size[0] // 5, size[1] // 5)).repeat(5, 0).repeat(5, 1)
          for name, size in dict(one=(40, 60), two=(25, 35), three=(60, 50)).items()}


def dataset(classes=CLASSES, wrap=lambda label: label):
    return Dataset(classes, LABELS, lambda name: (np.zeros((*LABELS[name].shape, 3), 'uint8'),
                                                  wrap(LABELS[name].astype('uint8'))))


def test_the_sums_over_all_labels():
    found = label_statistics(dataset())
    assert found.classes == CLASSES and found.sizes == [(40, 60), (25, 35), (60, 50)]
    every = np.concatenate([label.ravel() for label in LABELS.values()])
    assert found.pixels.tolist() == [(every == i).sum() for i in range(3)]
    assert found.void == (every == 255).sum() and found.shares.sum() == pytest.approx(1)
    assert found.images.tolist() == [3, 3, 3]
    assert found.median_weights == median_frequency(dataset())
    for stride in STRIDES:
        hists = [confusion(label, through_cells(label, stride), 3) for label in LABELS.values()]
        assert (found.confusion[stride] == sum(hists)).all()
        thin = [label[thin_pixels(label, stride)] for label in LABELS.values()]
        assert (found.thin[stride] == np.bincount(np.concatenate(thin), minlength=3)).all()
    assert found.thin[8].all() and not found.thin[4].any(), 'the parts are squares of 5 × 5'


def test_objects_smaller_than_a_cell():
    label = np.zeros((40, 40), 'uint8')
    label[2:7, 2:7] = 1                                 # 25 pixels
    label[20:30, 20:30] = 1                             # 100
    label[0, 39] = 2
    single = Dataset(CLASSES, ['one'], lambda name: (np.zeros((40, 40, 3), 'uint8'), label))
    found = label_statistics(single)
    assert found.objects.tolist() == [1, 2, 1]
    small = {stride: own.tolist() for stride, own in found.small_objects.items()}
    assert small == {32: [0, 2, 1], 16: [0, 2, 1], 8: [0, 1, 1], 4: [0, 0, 1]}


def test_some_images_and_the_first_of_several_outputs():
    found = label_statistics(dataset(), [2])
    assert found.sizes == [(60, 50)]
    several = dataset(dict(score=CLASSES, other=('a',)),
                      lambda label: dict(score=label, other=label * 0))
    assert (label_statistics(several).pixels == label_statistics(dataset()).pixels).all()
