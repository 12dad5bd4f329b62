"""Reading a picture: every kind that people have, and every kind that cannot be read."""
import io

import numpy as np
import pytest
from PIL import Image

from tinyfcn.data import transforms
from tinyfcn.data.transforms import prepare, read_image

RNG = np.random.default_rng(6)
RGB = RNG.integers(0, 256, (12, 20, 3)).astype('uint8')


@pytest.mark.parametrize('mode', ['RGB', 'L', 'RGBA', 'LA', 'P', 'CMYK', '1'])
def test_every_mode_of_eight_bits_becomes_rgb(tmp_path, mode):
    path = tmp_path / ('picture.tif' if mode == 'CMYK' else 'picture.png')
    Image.fromarray(RGB).convert(mode).save(path)
    x = read_image(path)
    assert x.shape == (12, 20, 3) and x.dtype == 'uint8'
    if mode in ('RGB', 'RGBA'):
        np.testing.assert_array_equal(x, RGB)


def test_a_picture_is_turned_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6                            # the camera was held on its side
    Image.fromarray(RGB).save(tmp_path / 'turned.png', exif=exif)
    np.testing.assert_array_equal(read_image(tmp_path / 'turned.png'), np.rot90(RGB, -1))


def jpeg():
    file = io.BytesIO()
    Image.fromarray(RGB).resize((200, 120)).save(file, 'JPEG')
    return file.getvalue()


def deep(array):
    file = io.BytesIO()
    Image.fromarray(array).save(file, 'TIFF')
    return file.getvalue()


@pytest.mark.parametrize('data, why', [
    (b'', 'the file is empty: a failed download?'),
    (b'<!DOCTYPE html><html>', 'a page of HTML: a failed download?'),
    (b'nonsense', "no picture, it begins with b'nonsense'"),
    (jpeg()[:len(jpeg()) * 6 // 10], r'damaged \(.*truncated.*\), of [\d,]+ bytes'),
    (deep(np.zeros((4, 4), 'uint16')), 'more than 8 bits; scale them'),
    (deep(np.zeros((4, 4), 'float32')), 'more than 8 bits; scale them'),
])
def test_what_is_no_picture_is_refused_by_name(tmp_path, data, why):
    path = tmp_path / 'picture.jpg'
    path.write_bytes(data)
    with pytest.raises(ValueError, match=why) as caught:
        read_image(path)
    assert str(path) in str(caught.value)


def test_too_many_pixels_are_refused_before_they_are_decoded(tmp_path, monkeypatch):
    path = tmp_path / 'large.png'
    Image.fromarray(RGB).save(path)
    monkeypatch.setattr(transforms, 'LARGEST', 239)
    with pytest.raises(ValueError, match=r'20×12 pixels are more than 239'):
        read_image(path)


def test_a_missing_file_says_so_itself(tmp_path):
    with pytest.raises(FileNotFoundError, match='nowhere.png'):
        read_image(tmp_path / 'nowhere.png')


@pytest.mark.parametrize('order', ['RGB', 'BGR'])
def test_prepare(order):
    """The mean is in the order of the net's channels, whatever the file's is."""
    tag = dict(order=order, scale=1/255, mean=(.1, .2, .3), std=(1., 2., 4.))
    x = prepare(RGB, tag)
    assert x.shape == (1, 3, 12, 20) and x.dtype == 'float32' and x.flags.c_contiguous
    for i, (mean, std) in enumerate(zip(tag['mean'], tag['std'])):
        channel = RGB[:, :, i if order == 'RGB' else 2 - i]
        np.testing.assert_allclose(x[0, i], (channel / 255 - mean) / std, atol=1e-6)
