"""Which channels the images of a folder have: those of the files, or as channels.txt says."""
import numpy as np
import pytest
from bad_input_samples import save
from PIL import Image
from tiff_samples import FOLDER, values_of

from tinyfcn.data import Dataset, load_dataset
from tinyfcn.data.channel_statistics import channel_statistics
from tinyfcn.data.channels import RGB, Channels
from tinyfcn.data.check import find_problems
from tinyfcn.data.images import image_size, read_image, read_label

RGBA = values_of('uint8', 4)
LABEL = values_of('uint8', 1)[..., 0] % 2


def write_set(root, channels='', **images):
    """A folder of images {name: a PIL image, an array, or the name of a file of fixtures}."""
    (root / 'images').mkdir()
    for name, image in images.items():
        if isinstance(image, str):
            suffix = image[image.index('.'):]
            (root / f'images/{name}{suffix}').write_bytes((FOLDER / image).read_bytes())
        elif isinstance(image, np.ndarray):
            np.save(root / f'images/{name}.npy', image)
        else:
            image.save(root / f'images/{name}.png')
        save(root / f'masks/{name}.png', LABEL)
    (root / 'classes.txt').write_text('sky\ntree\n')
    if channels:
        (root / 'channels.txt').write_text('\n'.join(channels))
    return load_dataset('folder', root)


@pytest.mark.parametrize('image, names, dtype, values', [
    ('plain.tif', ('red', 'green', 'blue', 'channel 4'), 'uint16', values_of('uint16', 4)),
    ('alpha.tif', RGB.names, 'uint16', values_of('uint16', 4)[..., :3]),
    ('signed.tif', ('channel 1', 'channel 2'), 'int16', values_of('int16', 2)),
    ('doubles.tif', ('grey',), 'float32', values_of('float64', 1)),
    ('deep_alpha.png', RGB.names, 'uint16', values_of('uint16', 4)[..., :3]),
    ('deep_grey.png', ('grey',), 'uint16', values_of('uint16', 1)),
    ('pages.tif', RGB.names, 'uint16', values_of('uint16', 3)),
    (values_of('uint8', 5), (*RGB.names, 'channel 4', 'channel 5'), 'uint8', values_of('uint8', 5)),
    (values_of('float16', 2), ('channel 1', 'channel 2'), 'float32', values_of('float16', 2)),
    (RGBA[..., :3], RGB.names, 'uint8', RGBA[..., :3]),
    (Image.fromarray(RGBA), RGB.names, 'uint8', RGBA[..., :3]),
    (Image.fromarray(RGBA[..., 0]), RGB.names, 'uint8', RGBA[..., [0, 0, 0]]),
], ids=lambda value: value if isinstance(value, str) else '')
def test_the_channels_are_those_of_the_first_image(tmp_path, image, names, dtype, values):
    dataset = write_set(tmp_path, one=image, two=image)
    assert dataset.channels == (names, dtype)
    assert not [*find_problems(dataset, {})]
    pixels, label = dataset[1]
    assert pixels.dtype == ('uint8' if dtype == 'uint8' else 'float32')
    np.testing.assert_array_equal(pixels, values.astype(pixels.dtype))
    is_rgb = dataset.channels == RGB
    assert is_rgb == (f'channel{"s" * (len(names) > 1)} of {dtype}' not in dataset.description)
    assert dataset.subset(['one']).channels == dataset.channels


def test_names_of_channels_put_red_green_and_blue_first(tmp_path):
    """As a satellite stores them."""
    dataset = write_set(tmp_path, ('Blue', 'GREEN', 'red', 'near infrared'), one='plain.tif')
    assert dataset.channels.names == ('blue', 'green', 'red', 'near infrared')
    assert dataset.channels.in_order == ('red', 'green', 'blue', 'near infrared')
    np.testing.assert_array_equal(dataset[0][0], values_of('uint16', 4)[..., [2, 1, 0, 3]])


@pytest.mark.parametrize('names, values', [
    (('x-ray',), np.array(Image.fromarray(RGBA[..., :3]).convert('L'))[..., None]),
    (('red', 'green', 'blue', 'depth'), RGBA),
    (('VV', 'VH', 'angle'), RGBA[..., :3]),
    (('blue', 'green', 'red'), RGBA[..., 2::-1])])
def test_names_of_channels_say_what_a_png_holds(tmp_path, names, values):
    """Else it has three channels, and its transparency is none."""
    dataset = write_set(tmp_path, names, one=Image.fromarray(RGBA))
    assert not [*find_problems(dataset, summary := {})]
    assert not summary['notes']                         # of transparency that is dropped
    np.testing.assert_array_equal(dataset[0][0], values)


@pytest.mark.parametrize('lines, message', [
    (('red', 'green'), r'channels\.txt names 2 channels, and .*one\.tif has 4 channels of uint16; '
                       r'name each channel in a line of its own'),
    (('a', 'b', 'c', 'a'), r"channels\.txt, line 4: 'a' for the second time; every channel has"),
    (('a', 'b', 'c\x1b[2J', 'd'), r"channels\.txt, line 3: 'c\\x1b\[2J' is no name; write at most"),
    (('a', 'b', 'c', 'd' * 300), r'channels\.txt, line 4: .* is no name; write at most 255'),
    ((' ',), r'channels\.txt: 0 channels; write 1 … 256 names, one a line'),
    (map(str, range(300)), r'channels\.txt: 300 channels; write 1 … 256 names')])
def test_a_bad_list_of_channels_is_reported(tmp_path, lines, message):
    with pytest.raises(ValueError, match=message) as caught:
        write_set(tmp_path, lines, one='plain.tif')
    assert str(caught.value).isprintable()


def test_a_damaged_first_image_is_reported_when_it_is_read(tmp_path):
    (tmp_path / 'images').mkdir()
    save(tmp_path / 'masks/one.png', LABEL)
    (tmp_path / 'classes.txt').write_text('sky\ntree\n')
    (tmp_path / 'images/one.npy').write_bytes(b'')
    problem, = find_problems(load_dataset('folder', tmp_path), {})
    assert problem.startswith(f'{tmp_path}/images/one.npy: not an image: the file is empty')


def test_a_grey_photo_that_a_camera_turned_is_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(RGBA[..., 0]).save(tmp_path / 'a.png', exif=exif)
    grey = Channels(('x-ray',), 'uint8')
    turned = np.rot90(RGBA[..., :1], -1)
    np.testing.assert_array_equal(read_image(tmp_path / 'a.png', None, grey), turned)
    stored = read_image(tmp_path / 'a.png', RGBA.shape[:2], grey)
    np.testing.assert_array_equal(stored, RGBA[..., :1])


def test_an_array_of_8_bits_is_read_as_a_photo(tmp_path):
    """Where red, green and blue are expected: by a net, or among photos."""
    np.save(tmp_path / 'rgb.npy', RGBA[..., :3])
    np.save(tmp_path / 'grey.npy', RGBA[..., 0])
    np.testing.assert_array_equal(read_image(tmp_path / 'rgb.npy'), RGBA[..., :3])
    np.testing.assert_array_equal(read_image(tmp_path / 'grey.npy'), RGBA[..., [0, 0, 0]])
    for path in FOLDER / 'plain.tif', FOLDER / 'bytes.tif', FOLDER / 'floats.tif':
        with pytest.raises(ValueError, match=f'{path.name}: .* and the other images have 3 '
                                             r'channels of uint8 \(red, green, blue\); '):
            read_image(path)


def test_the_size_of_an_image_of_any_format(tmp_path):
    np.save(tmp_path / 'a.npy', RGBA)
    Image.fromarray(RGBA).save(tmp_path / 'a.webp')
    for path in tmp_path / 'a.npy', tmp_path / 'a.webp', FOLDER / 'tiles.tif':
        assert image_size(path) == RGBA.shape[:2]


def test_a_mask_may_be_an_array(tmp_path):
    np.save(tmp_path / 'mask.npy', LABEL.astype('int64') + 255)
    np.testing.assert_array_equal(read_label(tmp_path / 'mask.npy'), LABEL + 255.)
    np.save(tmp_path / 'bool.npy', LABEL > 0)
    assert read_label(tmp_path / 'bool.npy').dtype == 'uint8'
    for array in RGBA, LABEL / 2:
        np.save(tmp_path / 'bad.npy', array)
        with pytest.raises(ValueError, match=r'bad\.npy: \d channels of .*; a mask holds the numb'):
            read_label(tmp_path / 'bad.npy')


def test_statistics_are_those_of_all_pixels():
    """Also of a channel whose spread is far smaller than its mean."""
    rng = np.random.default_rng(0)
    images = {str(i): rng.normal([3, 1e5], [50, .5], (4, 5 + i, 2)).astype('float32')
              for i in range(6)}
    dataset = Dataset(['sky'], images, lambda name: (images[name], None))
    pixels = np.concatenate([image.reshape(-1, 2) for image in images.values()]).astype('float64')
    found = channel_statistics(dataset)
    np.testing.assert_allclose(found.mean, pixels.mean(0), rtol=1e-9)
    np.testing.assert_allclose(found.std, pixels.std(0), rtol=1e-6)
