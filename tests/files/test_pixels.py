"""Values of any number of channels and any depth are read as other programs wrote them."""
import io
import struct

import numpy as np
import pytest
from PIL import Image
from tiff_samples import FOLDER, PNGS, TIFFS, values_of

from tinyfcn.files import ImageError
from tinyfcn.files.pixels import read_head, read_pixels
from tinyfcn.files.tiff import ORIENTATION, turn_upright


@pytest.mark.parametrize('name', TIFFS)
def test_a_tiff_is_read_as_tifffile_wrote_it(name):
    dtype, channels, _ = TIFFS[name]
    values = values_of(dtype, channels)
    if name == 'white_is_0':
        values = ~values                                # so that 0 is black
    pixels = read_pixels(FOLDER / f'{name}.tif')
    assert pixels.dtype == dtype
    np.testing.assert_array_equal(pixels, values)
    head = read_head(FOLDER / f'{name}.tif')
    assert head == (*values.shape[:2], channels - head.has_alpha, name == 'alpha', dtype, False)


@pytest.mark.parametrize('name', PNGS)
def test_a_png_of_16_bits_is_read_as_opencv_wrote_it(name):
    pixels = read_pixels(FOLDER / f'{name}.png')
    assert pixels.dtype == 'uint16'
    np.testing.assert_array_equal(pixels, values_of('uint16', PNGS[name]))


@pytest.mark.parametrize('array', [
    values_of('uint8', 1)[..., 0], values_of('uint16', 5), values_of('float32', 2).astype('>f4'),
    np.asfortranarray(values_of('int16', 3)), values_of('float16', 4), values_of('int64', 1),
    values_of('uint8', 3) > 99], ids=lambda array: f'{array.dtype} {array.shape}')
def test_an_array_is_read_as_numpy_saved_it(tmp_path, array):
    np.save(tmp_path / 'a.npy', array)
    pixels = read_pixels(tmp_path / 'a.npy')
    np.testing.assert_array_equal(pixels, array.reshape(*array.shape[:2], -1))
    assert pixels.dtype.isnative and pixels.dtype == array.dtype.newbyteorder('=')
    head = read_head(tmp_path / 'a.npy')
    assert head == (*pixels.shape, False, pixels.dtype.name, False)


@pytest.mark.parametrize('mode, channels, has_alpha', [
    ('1', 1, False), ('L', 1, False), ('LA', 1, True), ('P', 3, False), ('RGB', 3, False),
    ('RGBA', 3, True), ('CMYK', 3, False)])
def test_plain_images_are_of_8_bits(tmp_path, mode, channels, has_alpha):
    image = Image.fromarray(values_of('uint8', 4), 'RGBA').convert(mode)
    image.save(tmp_path / 'a.tif')
    head = read_head(tmp_path / 'a.tif')
    assert head == (*image.size[::-1], channels, has_alpha, 'uint8', True)
    pixels = read_pixels(tmp_path / 'a.tif')
    assert pixels.shape[2] == channels + has_alpha and pixels.dtype == 'uint8'
    shown = image.convert('RGBA' if has_alpha and channels == 3 else 'RGB')
    if channels == 3:
        np.testing.assert_array_equal(pixels, np.array(shown))


def test_an_orientation_turns_pixels_as_pillow_turns_an_image(tmp_path):
    from PIL import ImageOps
    values = values_of('uint8', 3)
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[ORIENTATION] = orientation
        Image.fromarray(values).save(file := io.BytesIO(), 'PNG', exif=exif)
        upright = ImageOps.exif_transpose(Image.open(file))
        np.testing.assert_array_equal(turn_upright(values, orientation), np.array(upright))
    data = bytearray((FOLDER / 'plain.tif').read_bytes())
    deep = read_pixels(FOLDER / 'plain.tif')
    at = data.index(struct.pack('<HHI', 284, 3, 1))     # its planes; a tag that need not be there
    data[at:at + 12] = struct.pack('<HHII', ORIENTATION, 3, 1, 6)
    (tmp_path / 'turned.tif').write_bytes(data)
    np.testing.assert_array_equal(read_pixels(tmp_path / 'turned.tif'), np.rot90(deep, -1))


def test_a_preview_in_a_tiff_is_no_channel(tmp_path):
    """Nor is a second page of colours, or of another size."""
    pages = [Image.fromarray(values_of('uint8', 3)), Image.new('RGB', (37, 21)),
             Image.new('RGB', (5, 5))]
    pages[0].save(tmp_path / 'a.tif', save_all=True, append_images=pages[1:])
    np.testing.assert_array_equal(read_pixels(tmp_path / 'a.tif'), values_of('uint8', 3))


@pytest.mark.parametrize('name', ['plain.tif', 'lzw.tif', 'tiles.tif', 'tiles_in_planes.tif',
                                  'pages.tif', 'big.tif', 'deep_colours.png', 'array.npy'])
def test_damage_raises_only_errors_that_name_the_file(tmp_path, name):
    path = tmp_path / name
    if name == 'array.npy':
        np.save(path, values_of('uint16', 4))
    else:
        path.write_bytes((FOLDER / name).read_bytes())
    intact = path.read_bytes()
    is_head = np.frombuffer(intact, 'uint8')[:400]      # where a byte tells more than a pixel
    rng = np.random.default_rng(3)
    rejected = 0
    for _ in range(40):
        data = bytearray(intact)
        for at in rng.integers(0, rng.choice([len(is_head), len(data)]), rng.integers(1, 4)):
            data[at] = rng.integers(256)
        path.write_bytes(data[:rng.integers(len(data)) if rng.random() < .3 else None])
        try:
            read_head(path)
            read_pixels(path)
        except ImageError as error:
            assert str(error).startswith(f'{path}: ') and '\n' not in str(error)
            rejected += 1
    assert rejected > 10
