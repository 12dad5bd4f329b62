"""Images of every mode are read or rejected; image and label are transformed together."""
import io

import numpy as np
import pytest
from PIL import Image

from tinyfcn import files
from tinyfcn.data.images import read_image
from tinyfcn.data.transforms import (
    crop,
    flip_left_right,
    prepare,
    random_window,
    rescale,
    window_near,
)

RNG = np.random.default_rng(6)
RGB = RNG.integers(0, 256, (12, 20, 3)).astype('uint8')


@pytest.mark.parametrize('mode', ['RGB', 'L', 'RGBA', 'LA', 'P', 'CMYK', '1'])
def test_every_mode_of_eight_bits_becomes_rgb(tmp_path, mode):
    path = tmp_path / ('image.tif' if mode == 'CMYK' else 'image.png')
    Image.fromarray(RGB).convert(mode).save(path)
    x = read_image(path)
    assert x.shape == (12, 20, 3) and x.dtype == 'uint8'
    if mode in ('RGB', 'RGBA'):
        np.testing.assert_array_equal(x, RGB)


def test_the_exif_orientation_is_applied(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6                            # rotated by 90°
    Image.fromarray(RGB).save(tmp_path / 'rotated.png', exif=exif)
    np.testing.assert_array_equal(read_image(tmp_path / 'rotated.png'), np.rot90(RGB, -1))


def jpeg_bytes():
    file = io.BytesIO()
    Image.fromarray(RGB).resize((200, 120)).save(file, 'JPEG')
    return file.getvalue()


def tiff_bytes(array):
    file = io.BytesIO()
    Image.fromarray(array).save(file, 'TIFF')
    return file.getvalue()


@pytest.mark.parametrize('data, message', [
    (b'', 'empty'),
    (b'<!DOCTYPE html><html>', 'HTML'),
    (b'nonsense', "b'nonsense'"),
    (jpeg_bytes()[:len(jpeg_bytes()) * 6 // 10], r'damaged \(.*truncated.*\), of [\d,]+ bytes'),
    (tiff_bytes(np.zeros((4, 4), 'uint16')), 'I;16 pixels .* 8 bits'),
    (tiff_bytes(np.zeros((4, 4), 'float32')), 'F pixels .* 8 bits'),
])
def test_a_file_that_is_no_image_is_rejected_by_name(tmp_path, data, message):
    path = tmp_path / 'image.jpg'
    path.write_bytes(data)
    with pytest.raises(ValueError, match=message) as caught:
        read_image(path)
    assert str(path) in str(caught.value)


def test_too_many_pixels_are_rejected_before_they_are_decoded(tmp_path, monkeypatch):
    path = tmp_path / 'large.png'
    Image.fromarray(RGB).save(path)
    monkeypatch.setattr(files.images, 'MAX_PIXELS', 239)
    with pytest.raises(ValueError, match=r'large\.png: 20×12 .* 239'):
        read_image(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match='nowhere.png'):
        read_image(tmp_path / 'nowhere.png')


@pytest.mark.parametrize('order', ['RGB', 'BGR'])
def test_prepare(order):
    """The mean is in the order of the net's channels."""
    preprocess = dict(order=order, scale=1/255, mean=(.1, .2, .3), std=(1., 2., 4.))
    x = prepare(RGB, preprocess)
    assert x.shape == (1, 3, 12, 20) and x.dtype == 'float32' and x.flags.c_contiguous
    for i, (mean, std) in enumerate(zip(preprocess['mean'], preprocess['std'])):
        channel = RGB[:, :, i if order == 'RGB' else 2 - i]
        np.testing.assert_allclose(x[0, i], (channel / 255 - mean) / std, atol=1e-6)


def test_prepare_six_channels():
    """Only the first three are reordered; the mean has a value for each channel."""
    image = np.dstack([RGB, RGB[::-1]]).astype('float32')
    preprocess = dict(order='BGR', scale=1., mean=range(6), std=[2.] * 6)
    x = prepare(image, preprocess)[0].transpose(1, 2, 0)
    expected = np.dstack([RGB[:, :, ::-1], RGB[::-1]])
    np.testing.assert_array_equal(x, (expected.astype('float32') - np.arange(6)) / 2)
    with pytest.raises(ValueError, match='the image has 4 channels.* a mean of 6'):
        prepare(image[:, :, :4], preprocess)


# ---- image and label together --------------------------------------------------------------------

LABEL = RNG.choice([0, 3, 7, 255], (12, 20)).astype('uint8')
BOTH = dict(score_sem=LABEL, score_geo=LABEL[::-1])


def test_flip_left_right():
    image, label = flip_left_right(RGB, LABEL)
    assert (image[3, 0] == RGB[3, 19]).all() and (label == LABEL[:, ::-1]).all()
    again = flip_left_right(image, label)
    assert (again[0] == RGB).all() and (again[1] == LABEL).all()
    both = flip_left_right(RGB, BOTH)[1]
    assert (both['score_geo'] == LABEL[::-1, ::-1]).all() and (both['score_sem'] == label).all()


def test_random_windows_take_every_position_and_the_same_for_image_and_label():
    numbers = np.arange(240).reshape(12, 20)                # each pixel is its own number
    image = np.dstack([numbers] * 3)
    rng = np.random.default_rng(0)
    positions = set()
    for _ in range(400):
        window = random_window(image.shape, (9, 18), rng)
        cropped, label = crop(image, dict(a=numbers, b=-numbers), window)
        assert cropped.shape == (9, 18, 3) and (cropped[:, :, 1] == label['a']).all()
        top, left = divmod(label['a'][0, 0], 20)
        np.testing.assert_array_equal(label['b'], -numbers[top:top + 9, left:left + 18])
        positions.add((top, left))
    assert positions == {(top, left) for top in range(4) for left in range(3)}


@pytest.mark.parametrize('size, shape', [
    ((12, 20), (12, 20)), ((30, 5), (12, 5)), ((99, 99), (12, 20))])
def test_a_window_is_no_larger_than_the_image(size, shape):
    rng = np.random.default_rng(0)
    for window in random_window(RGB.shape, size, rng), window_near((3, 4), RGB.shape, size, rng):
        image, label = crop(RGB, LABEL, window)
        assert image.shape[:2] == label.shape == shape


@pytest.mark.parametrize('size', [(1, 1), (2, 3), (8, 8), (11, 5), (40, 7), (40, 50)])
def test_a_window_near_a_pixel_has_it_in_its_middle_half_or_ends_at_the_border(size):
    rng = np.random.default_rng(1)
    shape = 30, 40
    positions = set()
    for _ in range(300):
        pixel = [int(rng.integers(n)) for n in shape]
        for at, side, length, n in zip(pixel, window_near(pixel, shape, size, rng), size, shape):
            assert 0 <= side.start <= at < side.stop <= n
            assert side.stop - side.start == min(length, n)
            in_middle = length // 4 <= at - side.start < length - length // 4
            assert in_middle or side.start == 0 or side.stop == n
            positions.add(at - side.start)
    assert len(positions) > max(size) / 3 or max(size) < 4


@pytest.mark.parametrize('factor, shape', [
    (.5, (6, 10)), (.75, (9, 15)), (1, (12, 20)), (1.3, (16, 26)), (2, (24, 40)), (.01, (1, 1))])
def test_rescale_invents_no_class(factor, shape):
    image, label = rescale(RGB, LABEL, factor)
    assert image.shape == (*shape, 3) and image.dtype == 'uint8' and label.dtype == 'uint8'
    assert label.shape == shape and set(np.unique(label)) <= set(np.unique(LABEL))
    both = rescale(RGB, BOTH, factor)[1]
    np.testing.assert_array_equal(both['score_sem'], label)
    if factor == 1:
        assert (image == RGB).all() and (label == LABEL).all()


def test_rescale_by_hand():
    """Twice as large: the image bilinear between pixel centres, each label twice."""
    ramp = np.arange(4.)[None, :, None] * np.ones((4, 1, 5))
    image, label = rescale(ramp.astype('float32'), LABEL[:4, :4], 2)
    expected = np.clip(np.arange(8) / 2 - .25, 0, 3)
    expected = np.broadcast_to(expected[None, :, None], (8, 8, 5))
    np.testing.assert_allclose(image, expected, atol=1e-6)
    assert image.dtype == 'float32'
    np.testing.assert_array_equal(label, LABEL[:4, :4].repeat(2, 0).repeat(2, 1))
    np.testing.assert_array_equal(rescale(RGB[:, :18], LABEL[:, :18], 1/3)[1], LABEL[1::3, 1:18:3])


def test_rescale_agrees_with_pillow():
    image = np.dstack([RGB, RGB[:, ::-1, :1]])
    got = rescale(image, LABEL, .7)[0]
    with Image.fromarray(RGB) as pillow_image:
        expected = pillow_image.resize((14, 8), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(got[:, :, :3], expected)


# ---- the orientation of image and mask -----------------------------------------------------------

def test_an_image_is_rotated_as_its_mask_is(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(RGB).save(tmp_path / 'rotated.png', exif=exif)
    upright = np.rot90(RGB, -1)
    np.testing.assert_array_equal(read_image(tmp_path / 'rotated.png', mask_size=(20, 12)), upright)
    np.testing.assert_array_equal(read_image(tmp_path / 'rotated.png', mask_size=(12, 20)), RGB)
    with pytest.raises(ValueError, match=r'rotated\.png: 20×12 .* 12×20 .* 12×12'):
        read_image(tmp_path / 'rotated.png', mask_size=(12, 12))
