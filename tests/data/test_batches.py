"""The stream of batches: their order, how they are collated, the thread, and how it ends."""
import threading
from collections import Counter
from itertools import count, islice
from time import sleep

import numpy as np
import pytest
from training_samples import CENTRED, small_dataset

from tinyfcn.data.batches import PREFETCH, batches, collate, sample
from tinyfcn.data.dataset import Dataset
from tinyfcn.data.transforms import prepare

# every option that draws from a random stream
RANDOM = dict(replace=True, rare_classes=.5, flip=True, scale_range=(.6, 1.7), crop_size=(8, 7),
              elastic_sigma=.5, rotation=20, colour=(.3, .3, .3, .1), blur=1., noise=.1)


def first_batches(n, *args, **kwargs):
    """The first batches of a stream, which is then closed."""
    stream = batches(*args, **kwargs)
    try:
        return [*islice(stream, n)]
    finally:
        stream.close()


def are_equal(a, b):
    return (a.names == b.names and np.array_equal(a.image, b.image)
            and np.array_equal(a.label, b.label))


# ---- the order -----------------------------------------------------------------------------------

@pytest.mark.parametrize('options', [{}, dict(replace=True), RANDOM,
                                     dict(RANDOM, replace=False, batch=3)])
def test_the_stream_is_the_same_wherever_it_starts(options):
    whole = first_batches(9, small_dataset(), CENTRED, seed=4, **options)
    for start in range(6):
        part = first_batches(3, small_dataset(), CENTRED, seed=4, numbers=count(start), **options)
        assert all(map(are_equal, part, whole[start:]))
    other_seed = first_batches(9, small_dataset(), CENTRED, seed=5, **options)
    assert not all(map(are_equal, other_seed, whole))


def sample_names(n, dataset, **kwargs):
    return [sample(dataset, position, **kwargs).name for position in range(n)]


def test_every_image_comes_once_in_an_epoch():
    dataset = small_dataset(8, same_size=True)
    names = sample_names(40, dataset, seed=1)
    epochs = [names[i:i + 8] for i in range(0, 40, 8)]
    assert all(sorted(epoch) == dataset.names for epoch in epochs)
    assert len({*map(tuple, epochs)}) == 5
    assert sample_names(8, dataset, seed=2) != epochs[0]


def test_a_batch_may_lie_in_two_epochs():
    rows = first_batches(6, small_dataset(4), CENTRED, batch=3)
    counts = Counter(name for row in rows[:4] for name in row.names)
    assert counts == dict.fromkeys('0123', 3)
    assert [len(row.names) for row in rows] == [3] * 6


def test_with_replacement_every_image_is_as_likely():
    """Each of ten gets 400 ± 19 of 4000 draws; a deviation of five times that is one in 10⁶."""
    names = sample_names(4000, small_dataset(10, (1, 1)), seed=0, replace=True)
    counts = Counter(names)
    assert len(counts) == 10 and max(abs(n - 400) for n in counts.values()) < 5 * 19
    repeats = sum(a == b for a, b in zip(names, names[1:]))
    assert abs(repeats - 400) < 5 * 19                  # one in ten comes twice in a row


# ---- collate -------------------------------------------------------------------------------------

def test_padding_is_right_and_below_with_the_mean_and_void():
    images = [np.full((1, 3, h, w), float(h), 'float32') for h, w in ((2, 5), (4, 3))]
    labels = [np.full((2, 5), 7, 'uint8'), np.full((4, 3), 8, 'uint8')]
    image, label = collate(images, labels)
    assert image.shape == (2, 3, 4, 5) and label.shape == (2, 4, 5)
    assert (image.dtype, label.dtype) == ('float32', 'uint8')
    assert (image[0, :, :2] == 2).all() and not image[0, :, 2:].any()
    assert (image[1, :, :, :3] == 4).all() and not image[1, :, :, 3:].any()
    assert (label[0, :2] == 7).all() and (label[0, 2:] == 255).all()
    assert (label[1, :, :3] == 8).all() and (label[1, :, 3:] == 255).all()


def test_a_batch_holds_its_images_prepared():
    dataset = small_dataset(5)
    batch, = first_batches(1, dataset, CENTRED, batch=5)
    assert batch.image.shape == (5, 3, 11, 13) and batch.image.dtype == 'float32'
    for name, x, padded_label in zip(*batch):
        image, label = dataset[int(name)]
        h, w = label.shape
        np.testing.assert_array_equal(x[:, :h, :w], prepare(image, CENTRED)[0])
        np.testing.assert_array_equal(padded_label[:h, :w], label)
        assert not x[:, h:].any() and (padded_label[:, w:] == 255).all()


def test_labels_by_output():
    plain = small_dataset()

    def read(name):
        image, label = plain.read(name)
        return image, dict(score_sem=label, score_geo=np.where(label == 255, label, label // 2))

    two_outputs = Dataset(dict(score_sem='abc', score_geo='de'), plain.names, read)
    options = dict(RANDOM, rare_classes=None, batch=4)      # there are other classes to draw
    for got, expected in zip(first_batches(2, two_outputs, CENTRED, **options),
                             first_batches(2, plain, CENTRED, **options)):
        np.testing.assert_array_equal(got.image, expected.image)
        np.testing.assert_array_equal(got.label['score_sem'], expected.label)
        valid = expected.label != 255
        np.testing.assert_array_equal(got.label['score_geo'][valid], expected.label[valid] // 2)


# ---- the thread, and how it ends -----------------------------------------------------------------

class ReadError(Exception):
    pass


def recording(dataset, reads, fails_at=None):
    """The same data set, which records (name, thread) of each read, and fails at one name."""
    def read(name):
        reads.append((name, threading.current_thread()))
        if name == fails_at:
            raise ReadError(f'{name}.png: damaged')
        return dataset.read(name)

    return Dataset(dataset.classes, dataset.names, read)


def test_another_thread_prefetches_a_few_batches():
    reads = []
    stream = batches(recording(small_dataset(), reads), CENTRED)
    next(stream)
    for _ in range(500):
        if len(reads) > PREFETCH:
            break
        sleep(.01)
    sleep(.05)                                          # time in which it could read too many
    assert len(reads) == 1 + PREFETCH
    threads = {thread for _, thread in reads}
    assert len(threads) == 1 and threading.current_thread() not in threads
    stream.close()
    assert not threads.pop().is_alive()


@pytest.mark.parametrize('n', [0, 1, 5])
def test_closing_the_stream_ends_the_thread(n):
    before = threading.active_count()
    first_batches(n, small_dataset(), CENTRED)
    assert threading.active_count() == before


def test_deleting_the_stream_ends_the_thread():
    before = threading.active_count()
    stream = batches(small_dataset(), CENTRED)
    next(stream)
    assert threading.active_count() == before + 1
    del stream
    assert threading.active_count() == before


@pytest.mark.parametrize('batch', [1, 2])
def test_an_error_is_raised_at_its_batch_and_not_before(batch):
    before = threading.active_count()
    order = sample_names(6, small_dataset(), seed=0)
    for position, name in enumerate(order):
        stream = batches(recording(small_dataset(), [], fails_at=name), CENTRED, batch)
        for _ in range(position // batch):
            next(stream)
        with pytest.raises(ReadError, match=f'{name}.png: damaged'):
            next(stream)
        assert threading.active_count() == before
