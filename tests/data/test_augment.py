"""Random augmentation: how often each change comes, and that a label goes with its image."""
import numpy as np
import pytest
from training_samples import small_dataset

from tinyfcn.data.augment import augment
from tinyfcn.data.batches import sample
from tinyfcn.data.dataset import Dataset
from tinyfcn.data.transforms import flip_left_right

# all of them at once, with an image of about 9×12 pixels
AUGMENTATION = dict(flip=True, scale_range=(.6, 1.7), crop_size=(8, 7), elastic_sigma=.5)


def test_half_of_the_images_are_flipped():
    dataset = small_dataset(7)
    n_flipped = 0
    for position in range(400):
        name, image, label = sample(dataset, position, 3, flip=True)
        original_image, original_label = dataset[int(name)]
        flipped_image, flipped_label = flip_left_right(original_image, original_label)
        is_flipped = np.array_equal(image, flipped_image)
        assert is_flipped or np.array_equal(image, original_image)
        np.testing.assert_array_equal(label, flipped_label if is_flipped else original_label)
        n_flipped += is_flipped
    assert abs(n_flipped - 200) < 50


def test_factors_are_log_uniform_between_both_limits():
    """Of factors from ½ to 2, as many are below 1 as above."""
    dataset = small_dataset(3, (40, 60), same_size=True)
    sizes = [sample(dataset, position, 0, scale_range=(.5, 2)).image.shape[:2]
             for position in range(200)]
    assert all(20 <= h <= 80 and 30 <= w <= 120 and abs(h / w - 2 / 3) < .05 for h, w in sizes)
    assert 80 < sum(h < 40 for h, _ in sizes) < 120 and len({*sizes}) > 30


@pytest.mark.parametrize('size, shape', [((6, 5), (6, 5)), ((90, 5), (9, 5)), ((6, 90), (6, 12)),
                                         ((9, 12), (9, 12)), ([6, 5], (6, 5))])
def test_a_crop_is_no_larger_than_the_image(size, shape):
    dataset = small_dataset(3, (9, 12), same_size=True)
    samples = [sample(dataset, position, 0, crop_size=size) for position in range(30)]
    assert {(one.image.shape, one.label.shape) for one in samples} == {((*shape, 3), shape)}
    if shape == (6, 5):
        assert len({one.image.tobytes() for one in samples}) > 20


def test_a_label_goes_with_its_image_through_all_augmentation():
    """Where the label is 1 the image is bright, before and after."""
    def read(name):
        label = np.zeros((30, 40), 'uint8')
        label[8:22, 5:25] = 1
        return np.repeat(label[..., None] * np.uint8(200), 3, 2), label

    dataset = Dataset(['dark', 'bright'], ['a'], read)
    augmentation = dict(AUGMENTATION, crop_size=(24, 30))
    for position in range(20):
        _, image, label = sample(dataset, position, 0, replace=True, **augmentation)
        assert image.shape[:2] == label.shape
        bright = image[..., 0] > 100
        assert (bright == label).mean() > .9


def test_augmentation_is_a_function_of_its_random_stream():
    image, label = small_dataset()[0]
    first, again, other = (augment(image, label, np.random.default_rng(seed), **AUGMENTATION)
                           for seed in (0, 0, 1))
    np.testing.assert_array_equal(first[0], again[0])
    np.testing.assert_array_equal(first[1], again[1])
    assert not np.array_equal(first[0], other[0])


def test_without_options_nothing_is_changed():
    image, label = small_dataset()[0]
    same_image, same_label = augment(image, label, np.random.default_rng(0))
    assert same_image is image and same_label is label
