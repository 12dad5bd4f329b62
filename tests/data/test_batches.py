"""The stream of batches: what comes when, how it is made ready, who makes it, and how it ends."""
import threading
from collections import Counter
from itertools import count, islice
from time import monotonic, sleep

import numpy as np
import pytest
from training_samples import CENTRED, pictures

from tinyfcn.data.batches import AHEAD, batches, drawn, together
from tinyfcn.data.dataset import Dataset
from tinyfcn.data.transforms import mirror, prepare

ALL_CHANCES = dict(replace=True, mirrored=True, scales=(.6, 1.7), size=(8, 7), bent=.5)


def first(count, *args, **how):
    """The first batches of a stream, which is then closed."""
    stream = batches(*args, **how)
    try:
        return [*islice(stream, count)]
    finally:
        stream.close()


def same(a, b):
    return a[0] == b[0] and all(np.array_equal(x, y) for x, y in zip(a[1:], b[1:]))


# ---- which comes when ----------------------------------------------------------------------------

@pytest.mark.parametrize('how', [{}, dict(replace=True), ALL_CHANCES,
                                 dict(ALL_CHANCES, replace=False, batch=3)])
def test_the_same_stream_from_wherever_it_begins(how):
    whole = first(9, pictures(), CENTRED, seed=4, **how)
    for start in range(6):
        part = first(3, pictures(), CENTRED, seed=4, numbers=count(start), **how)
        assert all(map(same, part, whole[start:]))
    others = first(9, pictures(), CENTRED, seed=5, **how)
    assert not all(map(same, others, whole))


def names(count, chosen, **how):
    return [drawn(chosen, at, **how)[0] for at in range(count)]


def test_every_picture_comes_once_before_any_comes_again():
    chosen = pictures(8, same=True)
    drawn_names = names(40, chosen, seed=1)
    epochs = [drawn_names[i:i + 8] for i in range(0, 40, 8)]
    assert all(sorted(epoch) == chosen.names for epoch in epochs)
    assert len({*map(tuple, epochs)}) == 5
    assert names(8, chosen, seed=2) != epochs[0]


def test_a_batch_may_lie_across_two_epochs():
    rows = first(6, pictures(4), CENTRED, batch=3)
    assert Counter(name for row in rows[:4] for name in row[0]) == dict.fromkeys('0123', 3)
    assert [len(row[0]) for row in rows] == [3] * 6


def test_with_replacement_every_picture_is_as_likely():
    """Of 4000 draws each of ten gets 400 ± 19; a fault of five such is one in a million."""
    count = Counter(names(4000, pictures(10, (1, 1)), seed=0, replace=True))
    assert len(count) == 10 and max(abs(n - 400) for n in count.values()) < 5 * 19
    drawn_names = names(4000, pictures(10, (1, 1)), seed=0, replace=True)
    again = sum(a == b for a, b in zip(drawn_names, drawn_names[1:]))
    assert abs(again - 400) < 5 * 19                    # one in ten comes twice running


# ---- how it is changed ---------------------------------------------------------------------------

def test_half_of_them_are_mirrored():
    chosen = pictures(7)
    mirrored = 0
    for at in range(400):
        name, image, label = drawn(chosen, at, 3, mirrored=True)
        original = chosen[int(name)]
        turned = mirror(*original)
        assert np.array_equal(image, turned[0]) or np.array_equal(image, original[0])
        if np.array_equal(image, turned[0]):
            mirrored += 1
            np.testing.assert_array_equal(label, turned[1])
    assert abs(mirrored - 200) < 50


def test_factors_lie_between_both_and_evenly_by_their_logarithm():
    """As many are made smaller than 1 as are made larger, of factors from 1/2 to 2."""
    chosen = pictures(3, (40, 60), same=True)
    sizes = [drawn(chosen, at, 0, scales=(.5, 2))[1].shape[:2] for at in range(200)]
    assert all(20 <= h <= 80 and 30 <= w <= 120 and abs(h / w - 2 / 3) < .05 for h, w in sizes)
    assert 80 < sum(h < 40 for h, _ in sizes) < 120 and len({*sizes}) > 30


@pytest.mark.parametrize('size, shape', [((6, 5), (6, 5)), ((90, 5), (9, 5)), ((6, 90), (6, 12)),
                                         ((9, 12), (9, 12)), ([6, 5], (6, 5))])
def test_a_window_is_no_larger_than_the_picture(size, shape):
    chosen = pictures(3, (9, 12), same=True)
    seen = [drawn(chosen, at, 0, size=size) for at in range(30)]
    assert {(image.shape, label.shape) for _, image, label in seen} == {((*shape, 3), shape)}
    if shape == (6, 5):
        assert len({image.tobytes() for _, image, _ in seen}) > 20


def test_a_label_goes_with_its_image_through_all_chances():
    """Where the label says so, the image is bright: as it was before."""
    def read(name):
        label = np.zeros((30, 40), 'uint8')
        label[8:22, 5:25] = 1
        return np.repeat(label[..., None] * np.uint8(200), 3, 2), label

    chosen = Dataset(['dark', 'bright'], ['a'], read)
    for at in range(20):
        _, image, label = drawn(chosen, at, 0, **dict(ALL_CHANCES, size=(24, 30)))
        assert image.shape[:2] == label.shape
        inside = image[..., 0] > 100
        assert (inside == label).mean() > .9


# ---- how it is put together ----------------------------------------------------------------------

def test_padding_is_right_and_below_with_the_mean_and_void():
    images = [np.full((1, 3, h, w), float(h), 'float32') for h, w in ((2, 5), (4, 3))]
    labels = [np.full((2, 5), 7, 'uint8'), np.full((4, 3), 8, 'uint8')]
    image, label = together(images, labels)
    assert image.shape == (2, 3, 4, 5) and label.shape == (2, 4, 5)
    assert (image.dtype, label.dtype) == ('float32', 'uint8')
    assert (image[0, :, :2] == 2).all() and not image[0, :, 2:].any()
    assert (image[1, :, :, :3] == 4).all() and not image[1, :, :, 3:].any()
    assert (label[0, :2] == 7).all() and (label[0, 2:] == 255).all()
    assert (label[1, :, :3] == 8).all() and (label[1, :, 3:] == 255).all()


def test_a_batch_is_what_prepare_makes_of_its_pictures():
    chosen = pictures(5)
    (batch, image, label), = first(1, chosen, CENTRED, batch=5)
    assert image.shape == (5, 3, 11, 13) and image.dtype == 'float32'
    for name, x, own in zip(batch, image, label):
        original, truth = chosen[int(name)]
        h, w = truth.shape
        np.testing.assert_array_equal(x[:, :h, :w], prepare(original, CENTRED)[0])
        np.testing.assert_array_equal(own[:h, :w], truth)
        assert not x[:, h:].any() and (own[:, w:] == 255).all()


def test_labels_by_output():
    whole = pictures()

    def read(name):
        image, label = whole.read(name)
        return image, dict(score_sem=label, score_geo=np.where(label == 255, label, label // 2))

    chosen = Dataset(dict(score_sem='abc', score_geo='de'), whole.names, read)
    plain = first(2, whole, CENTRED, batch=4, **ALL_CHANCES)
    for (_, image, label), (_, x, own) in zip(first(2, chosen, CENTRED, batch=4, **ALL_CHANCES),
                                              plain):
        np.testing.assert_array_equal(image, x)
        np.testing.assert_array_equal(label['score_sem'], own)
        valid = own != 255
        np.testing.assert_array_equal(label['score_geo'][valid], own[valid] // 2)


# ---- who makes it, and how it ends ---------------------------------------------------------------

class Watched(Exception):
    pass


def watched(chosen, seen, fails=None):
    def read(name):
        seen.append((name, threading.current_thread()))
        if name == fails:
            raise Watched(f'{name}.png: damaged')
        return chosen.read(name)

    return Dataset(chosen.classes, chosen.names, read)


def test_another_thread_makes_it_and_a_few_ahead():
    seen = []
    stream = batches(watched(pictures(), seen), CENTRED)
    next(stream)
    until = monotonic() + 5
    while len(seen) <= AHEAD and monotonic() < until:
        sleep(.01)
    sleep(.05)
    assert len(seen) == 1 + AHEAD                       # the net is at the first: no more than that
    threads = {thread for _, thread in seen}
    assert len(threads) == 1 and threading.current_thread() not in threads
    stream.close()
    assert not threads.pop().is_alive()


@pytest.mark.parametrize('ahead', [0, 1, 5])
def test_closing_ends_the_thread(ahead):
    before = threading.active_count()
    first(ahead, pictures(), CENTRED)
    assert threading.active_count() == before


def test_nobody_asks_for_another_and_the_thread_ends_all_the_same():
    before = threading.active_count()
    stream = batches(pictures(), CENTRED)
    next(stream)
    assert threading.active_count() == before + 1
    del stream
    assert threading.active_count() == before


@pytest.mark.parametrize('batch', [1, 2])
def test_an_error_comes_at_its_batch_and_not_before(batch):
    before, order = threading.active_count(), names(6, pictures(), seed=0)
    for place, fails in enumerate(order):
        stream = batches(watched(pictures(), [], fails), CENTRED, batch)
        for _ in range(place // batch):
            next(stream)
        with pytest.raises(Watched, match=f'{fails}.png: damaged'):
            next(stream)
        assert threading.active_count() == before
