"""Rotated and deformed images and labels are those of SciPy, to the last bit."""
import numpy as np
import pytest
from scipy.ndimage import map_coordinates, rotate

from tinyfcn.data.warp import read_at, turn, window_coordinates

RNG = np.random.default_rng(12)
IMAGE = RNG.integers(0, 256, (23, 30, 3)).astype('uint8')
LABEL = RNG.choice([0, 2, 5, 255], (23, 30)).astype('uint8')
WHOLE = slice(0, 23), slice(0, 30)


def rotated(degrees, image=IMAGE, label=LABEL, window=WHOLE):
    return read_at(image, label, turn(window_coordinates(window), degrees, window))


@pytest.mark.parametrize('degrees', [-170., -33.3, .01, 7., 61.8])
def test_rotation_is_that_of_scipy(degrees):
    image, label = rotated(degrees)
    assert image.dtype == label.dtype == 'uint8'
    np.testing.assert_array_equal(
        label, rotate(LABEL, degrees, reshape=False, order=0, mode='reflect'))
    np.testing.assert_array_equal(
        image, rotate(IMAGE, degrees, reshape=False, order=1, mode='reflect'))


@pytest.mark.parametrize('turns', range(4))
def test_quarter_turns_are_counter_clockwise(turns):
    square = slice(0, 23), slice(2, 25)
    image, label = rotated(90. * turns, window=square)
    np.testing.assert_array_equal(label, np.rot90(LABEL[square], turns))
    np.testing.assert_array_equal(image, np.rot90(IMAGE[square], turns))


@pytest.mark.parametrize('dtype', ['uint8', 'uint16', 'int16', 'float32', 'float64'])
@pytest.mark.parametrize('reach', [1, 20, 500])
def test_reading_anywhere_is_that_of_scipy(dtype, reach):
    """Also far outside, and for any number of channels; the image need not be contiguous."""
    rng = np.random.default_rng(reach)
    image = (rng.normal(0, 9000, (30, 5, 23)) if dtype in ('float32', 'float64', 'int16')
             else rng.integers(0, np.iinfo(dtype).max + 1, (30, 5, 23))).astype(dtype)
    image = image.transpose(2, 0, 1)
    at = window_coordinates(WHOLE) + rng.normal(0, reach, (2, 23, 30))
    got, label = read_at(image, dict(a=LABEL, b=LABEL[::-1]), at)
    expected = np.stack([map_coordinates(channel, at, order=1, mode='reflect')
                         for channel in image.transpose(2, 0, 1)], axis=2)
    assert got.dtype == image.dtype
    if dtype in ('float32', 'float64'):
        np.testing.assert_allclose(got, expected, rtol=1e-6, atol=1e-2)
    else:
        np.testing.assert_array_equal(got, expected)
    for own, stored in zip(label.values(), (LABEL, LABEL[::-1])):
        np.testing.assert_array_equal(
            own, map_coordinates(stored, at, order=0, mode='reflect'))


def test_a_window_is_a_part_of_the_whole():
    """A window about the middle of the image, rotated, is the middle of the rotated image."""
    window = slice(4, 19), slice(10, 20)
    image, label = rotated(25., window=window)
    whole_image, whole_label = rotated(25.)
    np.testing.assert_array_equal(image, whole_image[window])
    np.testing.assert_array_equal(label, whole_label[window])


def test_more_rows_than_are_read_at_once():
    label = np.arange(300 * 200, dtype='int32').reshape(300, 200)
    window = slice(0, 300), slice(0, 200)
    image, same = read_at(label[..., None], label, window_coordinates(window))
    assert (same == label).all() and (image[..., 0] == label).all()
