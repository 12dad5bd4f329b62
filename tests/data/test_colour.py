"""Changes of colour: against Pillow's, SciPy's rotation, and the definition."""
import ast
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageEnhance
from scipy.spatial.transform import Rotation

import tinyfcn
from tinyfcn.data.blur_and_noise import add_noise, gaussian_blur
from tinyfcn.data.colour import (
    GREY,
    PHOTO_MEAN,
    PHOTO_STD,
    ColourChange,
    change_as_photo,
    change_colour,
    hue_matrix,
)

RNG = np.random.default_rng(3)
RGB = RNG.integers(0, 256, (24, 31, 3)).astype('uint8')


@pytest.mark.parametrize('change, enhance', [
    ('brightness', ImageEnhance.Brightness), ('contrast', ImageEnhance.Contrast),
    ('saturation', ImageEnhance.Color)])
@pytest.mark.parametrize('factor', [0., .6, 1., 1.7])
def test_colours_are_those_of_pillow(change, enhance, factor):
    """Up to one grey level: Pillow rounds the grey of each pixel, and their mean."""
    got = change_colour(RGB, ColourChange(**{change: factor}))
    expected = np.asarray(enhance(Image.fromarray(RGB)).enhance(factor))
    assert got.dtype == 'uint8'
    assert abs(got.astype(int) - expected).max() <= (1 if factor % 1 else 0)


@pytest.mark.parametrize('turn', [-.5, -.1, .04, 1 / 3])
def test_a_turn_of_the_hue_is_a_rotation_that_keeps_the_grey(turn):
    rotation = Rotation.from_rotvec(2 * np.pi * turn * np.ones(3) / 3 ** .5).as_matrix()
    x = RNG.uniform(0, 255, (3, 50))
    y = hue_matrix(turn) @ x
    np.testing.assert_allclose(GREY @ y, GREY @ x)
    difference = y - rotation @ x
    np.testing.assert_allclose(difference, difference[:1].repeat(3, 0), atol=1e-9)
    np.testing.assert_allclose(hue_matrix(turn) @ np.full(3, 7.), np.full(3, 7.))


def test_all_together_are_one_after_another():
    """Without the rounding and the range of integers."""
    image = RGB.astype('float32')
    change = ColourChange(1.3, .7, 1.2, .08)
    expected = change_colour(image, ColourChange(hue=change.hue))
    for name in 'saturation', 'contrast', 'brightness':
        expected = change_colour(expected, ColourChange(**{name: getattr(change, name)}))
    got = change_colour(image, change)
    assert got.dtype == 'float32'
    np.testing.assert_allclose(got, expected, atol=2e-3)


@pytest.mark.parametrize('channels', [1, 2, 4, 6])
@pytest.mark.parametrize('dtype', ['uint8', 'uint16', 'float32'])
def test_any_number_of_channels_and_bits(channels, dtype):
    """Further channels than red, green and blue stay; one or two have no hue."""
    image = RNG.integers(0, 200, (9, 8, channels)).astype(dtype)
    changed = change_colour(image, ColourChange(1.1, 1.2, .5, .2))
    assert changed.shape == image.shape and changed.dtype == dtype
    assert (changed[..., 3:] == image[..., 3:]).all() and (changed != image)[..., 0].any()
    if channels < 3:
        x = image.astype('float64')
        expected = 1.1 * (x.mean() + 1.2 * (x - x.mean()))
        if dtype == 'float32':
            np.testing.assert_allclose(changed, expected, atol=1e-3)
        else:
            limit = np.iinfo(dtype).max
            np.testing.assert_allclose(changed, expected.clip(0, limit), atol=.5 + 1e-3)


def test_integers_keep_their_range():
    bright = change_colour(RGB, ColourChange(brightness=2., contrast=2.))
    assert bright.max() == 255 and bright.min() == 0
    assert (bright >= RGB)[RGB > 150].all() and (bright <= RGB)[RGB < 40].all()


@pytest.mark.parametrize('channels', [1, 3, 5])
def test_values_in_other_units_are_changed_as_those_of_a_photo(channels):
    """Temperatures in kelvin, of 300 ± 2: a factor of brightness moves them by half a deviation."""
    kelvin = RNG.normal(300, 2, (30, 40, channels)).astype('float32')
    mean, std = kelvin.mean((0, 1)), kelvin.std((0, 1))
    photo = (kelvin - mean) / std * PHOTO_STD + PHOTO_MEAN
    change = ColourChange(1.2, .8, 1.3, .05)
    expected = (change_colour(photo, change) - PHOTO_MEAN) / PHOTO_STD * std + mean
    changed = change_as_photo(kelvin, change)
    assert changed.dtype == 'float32'
    np.testing.assert_allclose(changed, expected, atol=2e-3)
    assert .5 < abs(changed - kelvin)[..., 0].mean() < 2
    plain = np.full((3, 4, channels), 7, 'float32')     # without a deviation
    assert np.isfinite(change_as_photo(plain, change)).all()


# ---- blur and noise ------------------------------------------------------------------------------

@pytest.mark.parametrize('sigma', [.1, .8, 2.5])
@pytest.mark.parametrize('dtype', ['uint8', 'uint16', 'float32'])
def test_blur_by_the_definition(sigma, dtype):
    image = (RGB.astype('float64') * (1 if dtype == 'uint8' else 200)).astype(dtype)[..., :2]
    radius = int(4 * sigma + .5)
    kernel = np.exp(-np.arange(-radius, radius + 1) ** 2 / (2 * sigma ** 2))
    expected = np.pad(image.astype('float64'), [(radius, radius)] * 2 + [(0, 0)], 'symmetric')
    for axis in 0, 1:
        expected = np.apply_along_axis(np.convolve, axis, expected, kernel / kernel.sum(), 'valid')
    got = gaussian_blur(image, sigma)
    assert got.dtype == dtype
    atol = .01 if dtype == 'float32' else .51
    np.testing.assert_allclose(got, expected, atol=atol, rtol=1e-5)


@pytest.mark.parametrize('dtype', ['uint8', 'uint16', 'float32'])
def test_noise_is_a_part_of_the_deviation_of_each_channel(dtype):
    rng = np.random.default_rng(0)
    image = rng.normal((90, 120), (10, 40), (200, 200, 2)).clip(0, 255)
    image = (image * (1 if dtype == 'uint8' else 150)).astype(dtype)
    noise = add_noise(image, .2, rng).astype('float64') - image
    deviation = image.std((0, 1), dtype='float64')
    # of 40,000 values the standard deviation has an error of .35 %, and what is cut off at 0
    # and 255, in one of 400 values, makes it smaller
    np.testing.assert_allclose(noise.std((0, 1)), .2 * deviation, rtol=.025)
    np.testing.assert_allclose(noise.mean((0, 1)), 0, atol=5 * .2 * deviation.max() / 200)


# ---- the thread that prepares batches ------------------------------------------------------------

BLAS = 'dot', 'vdot', 'inner', 'tensordot', 'matmul', 'multi_dot', 'linalg', 'einsum_path'
PREPARING = ('augment', 'batches', 'blur_and_noise', 'colour', 'dataset', 'labels', 'rare_classes',
             'transforms', 'warp')


@pytest.mark.parametrize('module', PREPARING)
def test_the_thread_that_prepares_batches_calls_no_blas(module):
    """A product of matrices there would take threads of BLAS from the one that trains."""
    path = Path(tinyfcn.__file__).parent / 'data' / f'{module}.py'
    for node in ast.walk(ast.parse(path.read_text('utf-8'))):
        name = getattr(node, 'attr', getattr(node, 'id', getattr(node, 'arg', '')))
        assert not isinstance(node, ast.MatMult) and name not in (*BLAS, 'optimize'), (
            f'{path.name}: a product of matrices')
