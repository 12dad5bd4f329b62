"""An overlay takes an image as `tinyfcn.predict` does: a path, a PIL image or an array."""
import numpy as np
import pytest
from PIL import Image

from tinyfcn import build, predict
from tinyfcn.viz import overlay

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
