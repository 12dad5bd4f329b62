"""Random augmentation: how often each change comes, and that a label goes with its image."""
import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import affine_transform, map_coordinates, rotate
from training_samples import small_dataset

from tinyfcn.data.augment import augment
from tinyfcn.data.batches import sample
from tinyfcn.data.dataset import Dataset
from tinyfcn.data.transforms import flip_left_right

# all of them at once, with an image of about 9×12 pixels
AUGMENTATION = dict(flip=True, scale_range=(.6, 1.7), crop_size=(8, 7), elastic_sigma=.5,
                    rotation=8, colour=(.2, .2, .2, .05), blur=.5, noise=.05)


# ---- each change: the mask is that of another implementation, with the same random numbers -------

MASK = np.random.default_rng(5).choice([0, 1, 4, 255], (24, 31)).astype('uint8')


def flip_with_pillow(rng):
    flipped = Image.fromarray(MASK).transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    return flipped if rng.random() < .5 else MASK


def scale_with_whole_numbers(rng):
    """Pillow's nearest pixel adds up rounding errors, and is another one where it is a tie."""
    factor = np.exp(rng.uniform(np.log(.5), np.log(2)))
    h, w = round(24 * factor), round(31 * factor)
    return [[MASK[(2 * i + 1) * 24 // (2 * h), (2 * j + 1) * 31 // (2 * w)] for j in range(w)]
            for i in range(h)]


def crop_with_pillow(rng):
    top, left = rng.integers(24 - 9 + 1), rng.integers(31 - 13 + 1)
    return Image.fromarray(MASK).crop((left, top, left + 13, top + 9))


def rotate_with_scipy(rng):
    return rotate(MASK, rng.uniform(-50, 50), reshape=False, order=0, mode='reflect')


def scale_and_rotate_with_scipy(rng):
    """One affine map: pixels of the larger image, turned about its middle, as those of the mask."""
    factor = np.exp(rng.uniform(np.log(.5), np.log(2)))
    size = np.array([round(24 * factor), round(31 * factor)])
    angle = np.radians(rng.uniform(-50, 50))
    turned = [[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]
    matrix = np.diag([24, 31] / size) @ turned
    middle = np.array([24, 31]) / 2 - .5
    offset = middle - matrix @ ((size - 1) / 2)
    return affine_transform(MASK, matrix, offset, tuple(size), order=0, mode='reflect')


def deform_with_scipy(rng):
    nodes = rng.normal(0, 3., (2, 3, 3))
    displacement = np.stack([bicubic(24) @ axis @ bicubic(31).T for axis in nodes])
    return map_coordinates(MASK, np.indices((24, 31)) + displacement, order=0, mode='reflect')


def bicubic(n):
    """Keys' cubic convolution with a = −½ from three nodes to n pixels. -> (n, 3)"""
    d = abs((np.arange(n)[:, None] + .5) * 3 / n - .5 - np.arange(3))
    near = 1.5 * d ** 3 - 2.5 * d ** 2 + 1
    far = -.5 * d ** 3 + 2.5 * d ** 2 - 4 * d + 2
    weights = np.where(d < 1, near, np.where(d < 2, far, 0))
    return weights / weights.sum(1, keepdims=True)      # of the nodes that there are


def keep_mask(rng):
    return MASK


@pytest.mark.parametrize('change, other', [
    (dict(flip=True), flip_with_pillow), (dict(scale_range=(.5, 2)), scale_with_whole_numbers),
    (dict(crop_size=(9, 13)), crop_with_pillow), (dict(rotation=50), rotate_with_scipy),
    (dict(scale_range=(.5, 2), rotation=50), scale_and_rotate_with_scipy),
    (dict(elastic_sigma=3.), deform_with_scipy), (dict(colour=(.4, .4, .4, .1)), keep_mask),
    (dict(blur=2.), keep_mask), (dict(noise=.2), keep_mask)],
    ids=lambda value: getattr(value, '__name__', str(value)))
def test_the_mask_is_that_of_another_implementation(change, other):
    image = np.repeat(MASK[..., None], 3, axis=2)
    seen = set()
    for seed in range(20):
        changed, label = augment(image, MASK, np.random.default_rng(seed), **change)
        expected = np.asarray(other(np.random.default_rng(seed)))
        np.testing.assert_array_equal(label, expected, f'seed {seed}')
        assert label.dtype == changed.dtype == 'uint8' and changed.shape[:2] == label.shape
        seen.add(changed.tobytes())
    assert len(seen) > 1


@pytest.mark.parametrize('channels', [1, 3, 5])
@pytest.mark.parametrize('dtype', ['uint8', 'uint16', 'float32'])
def test_all_changes_keep_the_channels_and_the_dtype(channels, dtype):
    image = np.random.default_rng(0).integers(0, 256, (20, 25, channels)).astype(dtype)
    label = dict(a=np.zeros((20, 25), 'uint8'), b=np.ones((20, 25), 'uint8'))
    changed, labels = augment(image, label, np.random.default_rng(1), **AUGMENTATION)
    assert changed.shape == (8, 7, channels) and changed.dtype == dtype
    assert {name: set(own.flat) for name, own in labels.items()} == dict(a={0}, b={1})


# ---- how often -----------------------------------------------------------------------------------

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


@pytest.mark.parametrize('others', [{}, dict(rotation=180, elastic_sigma=.3, flip=True,
                                              scale_range=(.8, 1.25))])
def test_a_crop_near_a_class_has_a_pixel_of_it(others):
    """Of sixteen pixels in 4,800; one in seven of the windows anywhere has one."""
    label = np.zeros((60, 80), 'uint8')
    label[12:16, 60:64] = 1
    image = np.zeros((60, 80, 3), 'uint8')

    def crops(seed, **options):
        return augment(image, label, np.random.default_rng(seed), crop_size=(16, 16), **others,
                       **options)[1]

    assert all(1 in crops(seed, crop_near=('score', 1)) for seed in range(100))
    for near in None, ('score', 2):                     # a class that the image does not have
        assert sum(1 in crops(seed, crop_near=near) for seed in range(100)) < 30


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
