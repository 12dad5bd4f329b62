"""Training on images of other channels than red, green and blue of 8 bits, and what comes of it."""
import numpy as np
import pytest
from PIL import Image
from training_samples import bits, make_recipe

import tinyfcn
from tinyfcn import load_dataset, predict
from tinyfcn.data.batches import batches, sample
from tinyfcn.data.colour import PHOTO_STD
from tinyfcn.prediction import evaluate
from tinyfcn.prediction.predict import load_image
from tinyfcn.training import Recipe, fit
from tinyfcn.training.channels import standardise
from tinyfcn.training.run import build_net, run

SIZE = 48, 40
NAMES = 'blue', 'green', 'red', 'infrared'
BGR = dict(order='BGR', scale=1., mean=(104., 117., 123.), std=(1., 1., 1.))
NET = dict(net='tiny_32s', net_kwargs=dict(width=1 / 8))


def write_set(root, dtype='uint16', names=NAMES, count=5):
    """Arrays of these channels, each with a mean and a spread of its own."""
    rng = np.random.default_rng(0)
    for folder in 'images', 'masks':
        (root / folder).mkdir(parents=True, exist_ok=True)
    for i in range(count):
        label = rng.integers(0, 2, SIZE).astype('uint8')
        image = rng.normal(0, 1, (*SIZE, len(names))) + label[..., None]
        image = (image * range(5, 5 + len(names)) + range(50, 50 + len(names)))
        image = image.astype(dtype) if dtype == 'uint8' else (image * 100).astype(dtype)
        np.save(root / f'images/{i}.npy', image)
        Image.fromarray(label).save(root / f'masks/{i}.png')
    (root / 'classes.txt').write_text('sky\ntree\n')
    (root / 'channels.txt').write_text('\n'.join(names))
    return load_dataset('folder', root)


@pytest.fixture(scope='module')
def infrared(tmp_path_factory):
    return write_set(tmp_path_factory.mktemp('infrared'))


@pytest.fixture(scope='module')
def photo_weights(tmp_path_factory):
    """Weights of a net for photos, as those of ImageNet."""
    net = tinyfcn.build('tiny_32s', n_class=2, width=1 / 8, seed=5)
    net.about['preprocess'] = BGR
    path = tmp_path_factory.mktemp('weights') / 'photos.safetensors'
    net.save(path)
    return path


# ---- preparing the images ------------------------------------------------------------------------

@pytest.mark.parametrize('of_photos, spread', [
    (None, 1.), (BGR, PHOTO_STD),
    (dict(order='RGB', scale=1 / 255, mean=(.5,) * 3, std=(.2, .25, .3)), PHOTO_STD / 255 / .25)])
def test_each_channel_gets_the_mean_0_and_the_spread_of_photos(infrared, of_photos, spread):
    preprocess = standardise(infrared, of_photos)
    batch = next(batches(infrared, preprocess, batch=len(infrared), numbers=[0]))
    pixels = batch.image.transpose(1, 0, 2, 3).reshape(len(NAMES), -1)
    np.testing.assert_allclose(pixels.mean(1), 0, atol=1e-3 * spread)
    np.testing.assert_allclose(pixels.std(1), spread, rtol=1e-3)
    # blue has the smallest values: last in RGB, first in BGR
    assert np.argmin(preprocess['mean']) == (0 if of_photos == BGR else 2)


def test_channels_without_colours_stay_in_their_order(tmp_path):
    dataset = write_set(tmp_path, names=('VV', 'VH', 'angle'))
    preprocess = standardise(dataset, BGR)
    assert preprocess['order'] == 'RGB' and [*preprocess['mean']] == sorted(preprocess['mean'])


def test_a_channel_of_one_value_becomes_0(tmp_path):
    dataset = write_set(tmp_path, names=('a', 'b'))
    for path in tmp_path.glob('images/*'):
        np.save(path, np.dstack([np.load(path)[..., 0], np.full(SIZE, 7, 'uint16')]))
    batch = next(batches(dataset, standardise(dataset, None), numbers=[0]))
    assert not batch.image[:, 1].any() and batch.image[:, 0].any()


def test_channels_without_colours_have_no_hue(tmp_path):
    """A hue would mix the first three: here each keeps its own values, up to a line."""
    dataset = write_set(tmp_path, names=('VV', 'VH', 'angle'))
    _, changed, _ = sample(dataset, 0, 0, colour=(.3, .3, .9, .5))
    name, image, _ = sample(dataset, 0, 0)
    for i in range(3):
        line = np.polynomial.Polynomial.fit(image[..., i].ravel(), changed[..., i].ravel(), 1)
        np.testing.assert_allclose(line(image[..., i]), changed[..., i], rtol=1e-4)


# ---- the first layer -----------------------------------------------------------------------------

@pytest.mark.parametrize('names, rule', [
    (('x-ray',), 'the one channel gets their sum'),
    (('VV', 'VH'), 'each of the 2 channels gets their sum, divided by 2'),
    (NAMES, 'these keep them, and each other channel gets their mean'),
    (('red', 'green', 'blue', 'a', 'b'), 'each other channel gets their mean, divided by 2')])
def test_the_first_layer_of_weights_for_photos_is_adapted(tmp_path, photo_weights, names, rule):
    dataset = write_set(tmp_path, names=names)
    lines = []
    net = build_net(make_recipe(**NET, preprocess=None), dataset, 0, {'': photo_weights},
                    lines.append)
    photos = tinyfcn.load(photo_weights)
    grey = np.random.default_rng(1).normal(0, 1, (1, 1, 40, 40)).astype('float32')
    of_photo = photos.forward(grey.repeat(3, 1), until='conv1_1')
    ours = net.forward(grey.repeat(len(names), 1), until='conv1_1')
    factor = 4 / 3 if len(names) > 3 else 1             # see `adapt_first_layer`
    np.testing.assert_allclose(ours, factor * of_photo, rtol=1e-4, atol=1e-5)
    assert lines[0].startswith('conv1_1 has weights for red, green and blue: ')
    assert lines[0].endswith(rule)
    assert f'images of {dataset.channels}: each channel is prepared to' in lines[1]


def test_weights_for_the_same_channels_bring_their_preprocess(infrared, tmp_path):
    recipe = make_recipe(**NET)
    first = build_net(recipe, infrared, 3)
    first.about['preprocess'] = dict(first.about['preprocess'], mean=(1., 2., 3., 4.))
    first.save(tmp_path / 'first.safetensors')
    second = build_net(recipe, infrared, 0, {'': tmp_path / 'first.safetensors'})
    assert second.about['channels'] == dict(names=[*NAMES], dtype='uint16')
    assert tuple(second.about['preprocess']['mean']) == (1, 2, 3, 4)
    assert bits(first) == bits(second)
    other = write_set(tmp_path / 'other', names=('a', 'b', 'c', 'd'))
    with pytest.raises(ValueError, match=r'first\.safetensors was trained on images of 4 channels '
                                         r'of uint16 \(blue.*, and these have .*\(a, b, c, d\)'):
        build_net(recipe, other, 0, {'': tmp_path / 'first.safetensors'})


# ---- a run ---------------------------------------------------------------------------------------

def test_a_run_on_four_channels_resumes_is_loaded_and_predicts(infrared, photo_weights, tmp_path,
                                                               no_drawing):
    recipe = make_recipe(**NET, preprocess=None, steps=4, flip=True, colour=(.2, .2, .2, .1),
                         rotation=10., noise=.05)
    valid = infrared.subset(['0', '1'])

    def rows(folder, stop=None, resume=False):
        net = build_net(recipe, infrared, 0, {} if resume else {'': photo_weights})
        found = []
        training = run(tmp_path / folder, net, infrared, valid, recipe, resume=resume)
        for row in training:
            found.append(row)
            if row['step'] == stop:
                break
        training.close()
        return net, found

    whole, all_rows = rows('whole')
    rows('stopped', stop=3)
    renamed = build_net(recipe, infrared)
    renamed.about['channels'] = dict(names=['red', 'green', 'blue', 'infrared'], dtype='uint16')
    with pytest.raises(ValueError, match=r'last\.safetensors is of a run on images of .*\(blue, .*'
                                         r', and these have .*\(red, .*: resume with the same '
                                         r'images and channels\.txt'):
        next(run(tmp_path / 'stopped', renamed, infrared, valid, recipe, resume=True))
    resumed, _ = rows('stopped', resume=True)
    assert bits(resumed) == bits(whole)

    net = tinyfcn.load(tmp_path / 'whole' / 'last.safetensors')
    assert net.about['channels'] == dict(names=[*NAMES], dtype='uint16')
    path, _ = infrared.files('0')
    image, _ = infrared[0]
    pred = predict(net, path)
    assert pred.shape == SIZE
    np.testing.assert_array_equal(pred, predict(net, image))
    stored = np.load(path)                              # uint16, and in the order of the net
    np.testing.assert_array_equal(pred, predict(net, stored[..., [2, 1, 0, 3]]))
    assert evaluate(net, valid)['mean_iu'] == all_rows[-1]['mean_iu']


def test_images_of_other_channels_are_refused(infrared, tmp_path):
    net = build_net(make_recipe(**NET), infrared)
    np.save(tmp_path / 'a.npy', np.zeros((*SIZE, 3), 'uint16'))
    with pytest.raises(ValueError, match=r'a\.npy: 3 channels of uint16, and the images that the '
                                         r'net was trained on have 4 channels of uint16 \(blue'):
        predict(net, tmp_path / 'a.npy')
    Image.new('RGBA', SIZE).save(tmp_path / 'a.png')
    with pytest.raises(ValueError, match=r'a\.png: 3 channels and transparency of uint8, and .*'
                                         r'have 4 channels of uint16 .*; convert'):
        predict(net, tmp_path / 'a.png')
    with pytest.raises(TypeError, match=r'image is an array .* of uint8; give .*\(H, W, 4\), as '
                                        r'the net was trained on 4 channels of uint16 \(blue'):
        predict(net, np.zeros((*SIZE, 4), 'uint8'))
    with pytest.raises(ValueError, match=r'a PIL image of mode RGB, and the net was trained on 4'):
        predict(net, Image.new('RGB', SIZE))
    other = write_set(tmp_path, names=('a', 'b', 'c', 'd'))
    for use in evaluate, lambda net, dataset: fit(net, dataset, make_recipe(**NET)):
        with pytest.raises(ValueError, match=r'the net was trained on 4 channels of uint16 \(blue, '
                                             r'.*, and the images have .*\(a, b, c, d\)'):
            use(net, other)


def test_fit_takes_a_net_that_one_has_built(infrared):
    recipe = Recipe(lr=1e-3, steps=2, optimizer='adam', rules={}, preprocess=BGR)
    net = tinyfcn.build('tiny_32s', n_class=2, channels=4, width=1 / 8)
    fit(net, infrared, recipe)
    assert net.about['channels']['dtype'] == 'uint16' and len(net.about['preprocess']['mean']) == 4
    assert predict(net, infrared[0][0]).shape == SIZE
    with pytest.raises(ValueError, match=r'the images have 4 channels of uint16 .*, and the net '
                                         r'reads 3: build the net with channels=4'):
        fit(tinyfcn.build('tiny_32s', n_class=2, width=1 / 8), infrared, recipe)


@pytest.mark.parametrize('names, image', [
    (('x-ray',), Image.new('L', SIZE, 60)), (('x-ray',), Image.new('RGB', SIZE, 'red')),
    (('VV', 'VH'), Image.new('LA', SIZE, (3, 9))),
    (('blue', 'green', 'red', 'depth'), Image.new('RGBA', SIZE, (1, 2, 3, 4)))])
def test_a_pil_image_of_8_bits_is_read_as_its_file(tmp_path, names, image):
    dataset = write_set(tmp_path, 'uint8', names)
    net = build_net(make_recipe(**NET, preprocess=None), dataset)
    image.save(tmp_path / 'a.png')
    seen = [load_image(given, net) for given in (image, tmp_path / 'a.png')]
    np.testing.assert_array_equal(*seen)
    assert seen[0].shape[2] == len(names) and seen[0].any()
