"""Images drawn for their classes: how often, which ones, and where the stream starts."""
from collections import Counter

import numpy as np
import pytest

from tinyfcn.data import rare_classes
from tinyfcn.data.batches import sample
from tinyfcn.data.dataset import Dataset
from tinyfcn.data.rare_classes import draw_for_class, find_class_images


def one_in_fifty(n=50, two_outputs=False):
    """Images of class 0, of which every other has class 1, and one alone class 2; no class 3."""
    reads = Counter()

    def read(name):
        reads[name] += 1
        label = np.zeros((30, 40), 'uint8')
        label[:3] = 255
        if int(name) % 2:
            label[10:, 20:] = 1
        if int(name) == 7:
            label[22:25, 31:34] = 2
        image = np.repeat(label[..., None], 3, axis=2)
        return image, dict(a=label, b=np.zeros_like(label)) if two_outputs else label

    classes = 'wxyz'
    dataset = Dataset(dict(a=classes, b=classes) if two_outputs else classes, map(str, range(n)),
                      read)
    return dataset, reads


def test_the_images_of_each_class_are_found_once():
    dataset, reads = one_in_fifty()
    found = find_class_images(dataset)
    assert [(each.output, each.number) for each in found] == [('score', i) for i in range(3)]
    assert [each.images.tolist() for each in found] == [[*range(50)], [*range(1, 50, 2)], [7]]
    for seed in range(20):
        draw_for_class(dataset, np.random.default_rng(seed))
    assert set(reads.values()) == {1} and len(reads) == 50


def test_every_class_is_drawn_as_often_and_each_of_its_images():
    """Each of three gets 1000 ± 26 of 3000 draws, each of the 25 images of one of them 40 ± 6."""
    dataset, _ = one_in_fifty()
    drawn = [draw_for_class(dataset, np.random.default_rng(seed)) for seed in range(3000)]
    counts = Counter(number for _, (_, number) in drawn)
    assert counts.keys() == {0, 1, 2} and max(abs(n - 1000) for n in counts.values()) < 4 * 26
    images = Counter(i for i, (_, number) in drawn if number == 1)
    assert len(images) == 25 and max(abs(n - 40) for n in images.values()) < 4 * 6


def test_a_share_of_the_images_is_drawn_for_a_class_and_the_crop_has_it():
    dataset, _ = one_in_fifty()
    samples = [sample(dataset, position, 0, rare_classes=.6, crop_size=(8, 8), rotation=90)
               for position in range(500)]
    rare = [one for one in samples if one.name == '7']
    # a fifth of all, and of the others one in fifty: 104 ± 9
    assert abs(len(rare) - 104) < 4 * 9
    assert sum(2 in one.label for one in rare) > .85 * len(rare)
    without = [sample(dataset, position, 0, crop_size=(8, 8), rotation=90)
               for position in range(500)]
    assert sum(2 in one.label for one in without) < 5


def test_samples_are_a_function_of_the_seed_and_the_position():
    dataset, _ = one_in_fifty()
    options = dict(rare_classes=.5, crop_size=(9, 9), flip=True)
    first = [sample(dataset, position, 3, **options) for position in range(30)]
    find_class_images.cache_clear()
    for position in reversed(range(30)):
        again = sample(one_in_fifty()[0], position, 3, **options)
        assert again.name == first[position].name
        assert (again.label == first[position].label).all()
    other = [sample(dataset, position, 4, **options).name for position in range(30)]
    assert other != [one.name for one in first]


def test_without_it_the_stream_is_what_it_was():
    """The images that are not drawn for a class come at their own positions."""
    dataset, _ = one_in_fifty()
    plain = [sample(dataset, position, 0).name for position in range(60)]
    mixed = [sample(dataset, position, 0, rare_classes=.3).name for position in range(60)]
    assert .5 < np.mean([a == b for a, b in zip(plain, mixed)]) < .9


@pytest.mark.parametrize('two_outputs', [False, True])
def test_labels_of_several_outputs(two_outputs):
    dataset, _ = one_in_fifty(two_outputs=two_outputs)
    found = [(each.output, each.number) for each in find_class_images(dataset)]
    assert found == ([('a', 0), ('a', 1), ('a', 2), ('b', 0)] if two_outputs
                     else [('score', 0), ('score', 1), ('score', 2)])
    one = sample(dataset, 1, 0, rare_classes=1, crop_size=(5, 5))
    assert (one.label['a'] if two_outputs else one.label).shape == (5, 5)


def test_of_many_images_evenly_spread_ones_are_read(monkeypatch):
    monkeypatch.setattr(rare_classes, 'SCANNED', 20)
    dataset, reads = one_in_fifty(45)
    find_class_images(dataset)
    assert [*reads] == [str(i) for i in range(0, 45, 3)]


def test_where_all_labels_are_void_images_come_as_without():
    dataset = Dataset('ab', '0123', lambda name: (np.zeros((2, 2, 3), 'uint8'),
                                                 np.full((2, 2), 255, 'uint8')))
    assert draw_for_class(dataset, np.random.default_rng(0)) is None
    names = [sample(dataset, position, 0, rare_classes=1).name for position in range(4)]
    assert sorted(names) == ['0', '1', '2', '3']
