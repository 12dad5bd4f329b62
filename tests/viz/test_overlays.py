"""An overlay takes an image as `tinyfcn.predict` does: a path, a PIL image or an array."""
import numpy as np
import pytest
from PIL import Image

from tinyfcn import build, predict
from tinyfcn.viz import overlay
from tinyfcn.viz.overlays import overlay_frame

PIXELS = np.random.default_rng(0).integers(0, 256, (24, 40, 3), 'uint8')
LABEL = np.arange(24 * 40).reshape(24, 40) // 480


def test_path_pil_image_and_array_give_the_same_overlay(tmp_path):
    image = Image.fromarray(PIXELS)
    image.save(tmp_path / 'photo.png')
    expected = np.asarray(overlay(PIXELS, LABEL, ['sky', 'road']))
    for given in tmp_path / 'photo.png', str(tmp_path / 'photo.png'), image:
        assert (np.asarray(overlay(given, LABEL, ['sky', 'road'])) == expected).all()


@pytest.mark.parametrize('mode', ['L', 'P', 'RGBA'])
def test_other_modes_become_rgb(mode):
    image = Image.fromarray(PIXELS).convert(mode)
    expected = overlay(np.array(image.convert('RGB')), LABEL, ['sky', 'road'])
    assert (np.asarray(overlay(image, LABEL, ['sky', 'road'])) == np.asarray(expected)).all()


def test_the_orientation_of_a_photo_is_that_of_its_prediction(tmp_path):
    """A photo stored on its side, with an EXIF orientation that turns it."""
    exif = Image.Exif()
    exif[0x0112] = 6                                    # turn by 90° to see it upright
    Image.fromarray(PIXELS).save(tmp_path / 'photo.jpg', exif=exif)
    net = build('tiny_8s', n_class=3, width=1/8)
    net.about['preprocess'] = dict(order='RGB', scale=1, mean=(0, 0, 0), std=(1, 1, 1))
    mask = predict(net, tmp_path / 'photo.jpg')
    assert mask.shape == (40, 24)
    drawn = overlay(tmp_path / 'photo.jpg', mask, ['sky', 'road', 'tree'])
    assert drawn.height > drawn.width * .9


def test_other_types_and_deeper_pixels_are_refused():
    with pytest.raises(TypeError, match='image is list; give a path, a PIL image, or an array'):
        overlay(PIXELS.tolist(), LABEL, ['sky', 'road'])
    with pytest.raises(ValueError, match='I;16 pixels'):
        overlay(Image.fromarray(PIXELS[..., 0].astype('uint16')), LABEL, ['sky', 'road'])


def test_side_by_side_shows_the_image_and_the_overlay():
    zoom = 480 // 40
    both = np.asarray(overlay(PIXELS, LABEL, ['sky', 'road'], side_by_side=True))
    alone = np.asarray(overlay(PIXELS, LABEL, ['sky', 'road']))
    image = PIXELS.repeat(zoom, 0).repeat(zoom, 1)
    assert (both[:24 * zoom, :480] == image).all()
    assert (both[:24 * zoom, -480:] == alone[:24 * zoom]).all()
    assert (both[:24 * zoom, 480:-480] == 255).all() and both.shape[1] > 960


@pytest.mark.parametrize('size', [(25, 41), (481, 603)])
def test_frames_of_a_video_have_one_even_size(size):
    """And one legend, whatever classes they have."""
    image = np.full((*size, 3), 90, 'uint8')
    one = overlay_frame(image, np.zeros(size, int), ['sky', 'road'])
    other = overlay_frame(image, np.ones(size, int), ['sky', 'road'])
    assert one.shape == other.shape and one.shape[0] % 2 == one.shape[1] % 2 == 0
    rows = size[0] * max(1, 480 // size[1])
    assert (one[rows:] == other[rows:]).all() and (one[rows:] < 255).any()
    assert (one[:rows] != other[:rows]).any()


def test_a_legend_that_would_take_half_of_a_frame_is_left_out():
    classes = [f'a class of a long name {i}' for i in range(200)]
    frame = overlay_frame(np.zeros((240, 480, 3), 'uint8'), np.zeros((240, 480), int), classes)
    assert frame.shape == (240, 480, 3)
