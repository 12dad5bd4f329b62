"""Prediction in tiles equals prediction at once, within its memory; metrics count all pixels."""
import os
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from training_samples import CENTRED, CLASSES, small_dataset, small_net

import tinyfcn
from tinyfcn import Net, build, metrics
from tinyfcn.data.dataset import Dataset
from tinyfcn.data.images import ImageError
from tinyfcn.data.lists import read_split
from tinyfcn.data.transforms import prepare
from tinyfcn.data.voc import CLASSES as VOC_CLASSES
from tinyfcn.kernels import registry
from tinyfcn.layers import avg_pool_to, conv, resize
from tinyfcn.net.summary import peak
from tinyfcn.prediction.evaluation import add_confusion, evaluate, predict_all
from tinyfcn.prediction.predict import argmax_mask, predict
from tinyfcn.prediction.tiles import (
    iter_tiles,
    join,
    largest_tile,
    max_stride,
    mirror_pad,
    predict_scores,
    tile_margin,
)

RNG = np.random.default_rng(5)


def thin_net(name, n_class=5, dtype='float64'):
    """A net of 1/16 of the width with random weights, in which every class wins somewhere."""
    n = build(name, n_class, width=1/16, dtype=dtype)
    rng = np.random.default_rng(3)
    for w in n.params.values():
        if not w.any():
            w += .1 * rng.standard_normal(w.shape)
    n.forward(mirror_pad(n, prepare(random_image(60, 90), CENTRED, dtype)), keep=True)
    for name in n.params:
        box, _, kind = name.rpartition('.')
        if box.startswith('score') and kind == 'b':     # or one class would win everywhere
            n.params[name] -= n.values[box].mean((0, 2, 3))
    n.about['preprocess'] = CENTRED
    return n


def random_image(*size):
    """Coloured blocks with noise over them."""
    blocks = RNG.integers(0, 200, [-(-n // 20) for n in size] + [3])
    image = blocks.repeat(20, 0).repeat(20, 1)[:size[0], :size[1]]
    return (image + RNG.integers(0, 56, image.shape)).astype('uint8')


# ---- Tiles

@pytest.mark.parametrize('name, size', [
    ('fcn32s', (11, 453)), ('fcn16s', (451, 10)), ('fcn8s', (9, 455)), ('fcn_alexnet', (37, 453)),
    ('fcn_squeezenet_4s', (37, 303)), ('fcn_squeezenet_16s', (301, 153)),
    ('segnet_basic', (37, 303)), ('unet_same', (33, 303)), ('unet', (33, 303)),
    ('unet', (300, 21))])
def test_tiles_equal_the_whole(name, size):
    """In float64, where sums in another order have the same argmax."""
    n = thin_net(name)
    x = prepare(random_image(*size), CENTRED, 'float64')
    whole = argmax_mask(predict_scores(n, x)['score'])
    core = 6 * max_stride(n)
    tiled = join(iter_tiles(n, x, core), size, argmax_mask)
    assert max(size) > core + tile_margin(n), 'every tile sees all of the image'
    assert len(np.unique(whole)) > 1
    np.testing.assert_array_equal(tiled['score'], whole)
    assert tiled['score'].dtype == 'uint8'
    assert tiled.keys() == {'score'}


def tile_error(n, x, left, core, margin):
    """The difference of a tile's scores from those of the whole, relative to the largest."""
    whole = n.forward(x)[:, :, :, left:left + core]
    begin = max(0, left - margin)
    tile = n.forward(np.ascontiguousarray(x[:, :, :, begin:left + core + margin]))
    tile = tile[:, :, :, left - begin:][:, :, :, :core]
    assert tile.shape == whole.shape
    return abs(tile - whole).max() / abs(whole).max()


@pytest.mark.parametrize('name', ['fcn8s', 'fcn_squeezenet_4s', 'fcn_alexnet'])
def test_the_margin_and_the_start_of_a_tile_are_needed(name):
    n = thin_net(name)
    x = prepare(random_image(11, 651), CENTRED, 'float64')
    stride = max_stride(n)
    margin = tile_margin(n)
    left = -(-margin // stride) * stride + stride
    assert tile_error(n, x, left, 3 * stride, margin) < 1e-12
    assert tile_error(n, x, left, 3 * stride, stride) > 1e-6, 'a narrower margin'
    assert tile_error(n, x, left + 1, 3 * stride - 1, margin) > 1e-6, 'not at a multiple of stride'


@pytest.mark.parametrize('name, stride, margin', [
    ('fcn32s', 32, 256), ('fcn8s', 32, 256), ('fcn_squeezenet_16s', 16, 128)])
def test_the_margin_is_half_of_the_receptive_field(name, stride, margin):
    n = build(name, width=1/64, seed=None)
    assert (max_stride(n), tile_margin(n)) == (stride, margin)
    assert margin - stride < n.score.alignment.field[0] / 2 <= margin


def test_an_image_too_large_for_the_memory_is_predicted_in_tiles():
    n = thin_net('fcn_squeezenet_4s')
    image = random_image(33, 3603)
    memory = peak(n, [2 * tile_margin(n) + 64] * 2)
    assert peak(n, image.shape[:2]) > memory
    assert largest_tile(n, memory) == 64
    pred = predict(n, image, max_memory=memory)
    assert len(np.unique(pred)) > 2
    np.testing.assert_array_equal(pred, predict(n, image))


@pytest.mark.parametrize('name', ['fcn32s', 'fcn8s', 'fcn_squeezenet_4s', 'fcn_alexnet'])
def test_no_tile_takes_more_than_the_memory(name):
    n = build(name, width=1/16, seed=None)
    smallest = peak(n, [2 * tile_margin(n) + max_stride(n)] * 2)
    for memory in smallest, 1.5 * smallest, 6 * smallest:
        core = largest_tile(n, memory)
        tile = 2 * tile_margin(n) + core
        assert core % max_stride(n) == 0
        assert peak(n, (tile, tile)) <= memory
    assert largest_tile(n, 6 * smallest) > largest_tile(n, smallest)
    assert largest_tile(n, 1e15, longest=300) == 512        # with any memory


def test_too_little_memory_for_the_smallest_tile_is_an_error():
    n = thin_net('fcn_squeezenet_16s')
    with pytest.raises(ValueError, match='memory'):
        predict(n, random_image(40, 50), max_memory=1e5)


def test_a_net_without_alignment_cannot_be_tiled():
    n = Net(3)
    n.conv = conv(n.data, 3, 3, pad=1)
    n.bins = avg_pool_to(n.conv, 2)
    n.score = resize(n.bins, like=n.data)
    n.about['preprocess'] = CENTRED
    assert predict(n, random_image(20, 30)).shape == (20, 30)
    with pytest.raises(ValueError, match='cannot predict it in tiles: no alignment'):
        predict(n, random_image(20, 30), max_memory=1)


# ---- One image

@pytest.mark.parametrize('name', ['fcn32s', 'fcn8s', 'fcn_squeezenet_4s', 'fcn_alexnet'])
@pytest.mark.parametrize('size', [(1, 1), (1, 50), (33, 2)])
def test_images_of_any_size(name, size):
    image = random_image(*size)
    n = thin_net(name)
    pred = predict(n, image)
    score = n.forward(prepare(image, CENTRED, 'float64'))
    assert pred.dtype == 'uint8'
    assert pred.shape == size
    np.testing.assert_array_equal(pred, score[0].argmax(0))


def test_several_outputs_give_a_dict():
    n = thin_net('siftflow_16s', 33)
    pred = predict(n, random_image(20, 30))
    assert pred.keys() == {'score_sem', 'score_geo'}
    assert all(own.shape == (20, 30) for own in pred.values())
    assert pred['score_geo'].max() < 3 <= pred['score_sem'].max()
    x = prepare(random_image(9, 330), CENTRED, 'float64')
    tiled = join(iter_tiles(n, x, 64), (9, 330), argmax_mask)
    for output, score in n.forward(x).items():
        np.testing.assert_array_equal(tiled[output], argmax_mask(score))


def test_a_net_without_preprocess_is_refused():
    with pytest.raises(ValueError, match=r'net.about\["preprocess"\] = dict\(order='):
        predict(build('fcn_squeezenet_16s', seed=None), random_image(5, 5))


def test_another_number_of_channels_is_refused():
    with pytest.raises(ValueError, match='channels'):
        predict(small_net(), random_image(5, 6)[..., :2])


# ---- What an image may be

def colour_net():
    """A net whose prediction depends on the colour of each pixel."""
    n = Net(3)
    n.score = conv(n.data, 5, 1)
    n.params['score.w'][...] = np.random.default_rng(6).standard_normal((5, 3, 1, 1))
    n.about['preprocess'] = CENTRED
    return n


def test_a_path_a_pil_image_and_an_array_give_the_same_mask(tmp_path):
    n = colour_net()
    image = random_image(20, 30)
    expected = predict(n, image)
    assert len(np.unique(expected)) > 1
    path = tmp_path / 'photo.png'
    Image.fromarray(image).save(path)
    with Image.open(path) as from_file:
        for same in str(path), path, Image.fromarray(image), from_file:
            np.testing.assert_array_equal(tinyfcn.predict(n, same), expected)


@pytest.mark.parametrize('mode', ['L', 'P', 'RGBA', 'CMYK', '1'])
def test_a_pil_image_of_any_mode_is_read_as_its_file_would_be(mode, tmp_path):
    image = Image.fromarray(random_image(20, 30)).convert(mode)
    path = tmp_path / 'photo.tif'
    image.save(path)
    n = colour_net()
    np.testing.assert_array_equal(predict(n, image), predict(n, path))


def test_a_file_is_predicted_upright_and_a_pil_image_as_it_is(tmp_path):
    """A camera stores the orientation in EXIF; what is drawn of a PIL image are its pixels."""
    n = colour_net()
    image = random_image(20, 30)
    exif = Image.Exif()
    exif[0x0112] = 6                                    # rotate by 270 degrees to see it upright
    path = tmp_path / 'photo.png'
    Image.fromarray(image).save(path, exif=exif)
    upright = np.rot90(image, -1)
    np.testing.assert_array_equal(predict(n, path), predict(n, np.ascontiguousarray(upright)))
    with Image.open(path) as stored:
        np.testing.assert_array_equal(predict(n, stored), predict(n, image))


def test_arrays_of_more_channels_may_be_floats():
    """RGB and the logarithm of the depth, as of NYUDv2."""
    n = Net(4)
    n.score = conv(n.data, 2, 1)
    n.about['preprocess'] = dict(order='BGR', scale=1, mean=(0,) * 4, std=(1,) * 4)
    assert predict(n, np.zeros((5, 6, 4), 'float32')).shape == (5, 6)


@pytest.mark.parametrize('image, found', [
    (np.zeros((5, 6, 3)), r'an array \(5, 6, 3\) of float64'),
    (np.zeros((5, 6), 'uint8'), r'an array \(5, 6\) of uint8'),
    (np.zeros((1, 5, 6, 3), 'uint8'), r'an array \(1, 5, 6, 3\) of uint8'),
    ([[[0, 0, 0]]], 'list'),
    (b'photo.jpg', 'bytes'),
    (None, 'NoneType')])
def test_anything_else_is_refused_and_told_what_is_accepted(image, found):
    with pytest.raises(TypeError, match=f'image is {found}; give a path, a PIL image, or an array '
                                        r'\(H, W, 3\) of uint8'):
        predict(small_net(), image)


def test_pil_images_of_more_than_8_bits_are_refused():
    with pytest.raises(ValueError, match='I;16.* 8 bits'):
        predict(small_net(), Image.new('I;16', (6, 5)))


def test_a_missing_or_damaged_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match='nowhere.jpg'):
        predict(small_net(), tmp_path / 'nowhere.jpg')
    (tmp_path / 'text.jpg').write_text('not an image')
    with pytest.raises(ImageError, match='text.jpg'):
        predict(small_net(), tmp_path / 'text.jpg')


# ---- Memory

@pytest.mark.parametrize('name, size, width', [(name, size, 1/8) for name, size in [
    ('fcn8s', (60, 70)), ('fcn32s', (1, 1)), ('fcn_squeezenet_16s', (160, 120)),
    ('fcn_squeezenet_4s', (160, 120)), ('fcn_alexnet', (90, 80)), ('siftflow_8s', (40, 50))]] + [
        ('tiny_8s', (320, 240), 1), ('segnet_basic', (60, 80), 1), ('cae_fcn', (160, 120), 1)])
@pytest.mark.parametrize('compiled', [True, False], ids=['compiled', 'references'])
def test_the_predicted_peak_is_the_memory_taken(name, size, width, compiled, monkeypatch):
    """Traced by tracemalloc, to which NumPy reports every array: at most 1.25 of the prediction.

    And at least a half of it, or images would be tiled without need.
    """
    monkeypatch.setattr(registry, 'MIN_SIZE', 1 if compiled else 1 << 62)   # as for large images
    monkeypatch.setattr('tinyfcn.kernels.cpu.conv.SMALL', 1)
    monkeypatch.setattr('tinyfcn.net.summary.has_numba', lambda: compiled)
    n = build(name, width=width)
    x = np.zeros((1, 3, *size), 'float32')
    n.forward(x)                                        # makes what is made only once
    n.values.clear()
    tracemalloc.start()
    n.forward(x)
    taken = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    predicted = peak(n, size) - sum(w.nbytes for w in n.params.values())
    assert .5 < taken / predicted < 1.25, f'{taken:,} bytes taken, {predicted:,} predicted'


def test_the_peak_grows_with_dtype_and_size():
    n = build('fcn16s', width=1/16, seed=None)
    assert peak(n.astype('float64'), (50, 60)) > 1.9 * peak(n, (50, 60))
    assert peak(n, (500, 600)) > 4 * peak(n, (50, 60))


def test_the_peak_by_hand():
    """conv1 4×3×3 on 5×6 of 3 channels: 3 in, 4 out, in float64 27 columns; relu overwrites."""
    n = small_net(channels=4)
    weights = sum(w.size for w in n.params.values())
    assert peak(n.astype('float64'), (5, 6)) == pytest.approx(8 * (30 * (3 + 4 + 27) + weights))
    assert peak(n, (5, 6)) == pytest.approx(4 * (30 * (3 + 4) + weights))


# ---- A data set

def test_the_metrics_are_those_of_all_pixels_at_once():
    n = small_net()
    dataset = small_dataset(5)
    predictions = list(predict_all(n, dataset))
    labels = np.concatenate([prediction.label.ravel() for prediction in predictions])
    preds = np.concatenate([prediction.pred.ravel() for prediction in predictions])
    expected = metrics.scores(metrics.confusion(labels, preds, 3))
    found = evaluate(n, dataset)
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        np.testing.assert_array_equal(found[key], value)
    each = [evaluate(n, dataset.subset([name]))['mean_iu'] for name in dataset.names]
    assert found['mean_iu'] != pytest.approx(np.mean(each)), 'it is the mean over images'


def test_the_name_of_a_data_set_is_refused_in_its_place():
    with pytest.raises(TypeError, match=r"dataset is 'palette'; give .* tinyfcn.data.load_dataset"):
        evaluate(small_net(), 'palette')


def test_predictions_come_with_their_image():
    n = small_net()
    dataset = small_dataset(3)
    predictions = list(predict_all(n, dataset))
    assert [prediction.name for prediction in predictions] == dataset.names
    for i, (_, image, label, pred) in enumerate(predictions):
        np.testing.assert_array_equal(image, dataset[i][0])
        np.testing.assert_array_equal(label, dataset[i][1])
        np.testing.assert_array_equal(pred, predict(n, image))


def constant_net(number):
    """A net that predicts this class everywhere."""
    n = small_net()
    n.params['score.w'][:] = 0
    n.params['score.b'][:] = 0
    n.params['score.b'][number] = 1
    return n


def test_classes_without_pixels():
    def read(name):
        return np.zeros((4, 5, 3), 'uint8'), np.zeros((4, 5), 'uint8')

    dataset = Dataset(CLASSES, ['a'], read)
    scores = evaluate(constant_net(1), dataset)         # 1 is predicted, 0 true, 2 neither
    np.testing.assert_array_equal(scores['iu'], [0, 0, np.nan])
    assert (scores['pixel_acc'], scores['mean_iu']) == (0, 0)
    np.testing.assert_array_equal(evaluate(constant_net(0), dataset)['iu'], [1, np.nan, np.nan])


def test_a_net_that_predicts_other_classes_is_refused():
    def read(name):
        return np.zeros((4, 5, 3), 'uint8'), np.zeros((4, 5), 'uint8')

    four_classes = small_dataset(2, classes=('ground', 'blob', 'stripe', 'more'))
    assert len(evaluate(small_net(), four_classes)['iu']) == 4
    two_classes = Dataset(CLASSES[:2], ['a'], read)
    with pytest.raises(ValueError, match='pred 2 at .* there are classes 0 … 1'):
        evaluate(constant_net(2), two_classes)


# ---- Real masks

DATA = Path(os.environ.get('TINYFCN_DATA', 'nowhere'))


@pytest.mark.realdata
@pytest.mark.skipif(not DATA.is_dir(), reason='TINYFCN_DATA names no folder of real data')
def test_the_metrics_of_736_real_masks():
    """Of the masks and themselves shifted by (3, 5), counted class by class without a matrix."""
    names = read_split(DATA / 'lists', 'voc2011_seg11valid')
    dataset = Dataset(VOC_CLASSES, names, None)
    hists = {}
    right, true, predicted = np.zeros((3, 21), int)
    pixels = 0
    for name in names:
        with Image.open(DATA / f'seg11valid_masks/{name}.png') as mask:
            label = np.array(mask)
        pred = np.roll(label, (3, 5), (0, 1))
        pred[pred == 255] = 0
        add_confusion(hists, dataset, label, pred)
        valid = label != 255
        pixels += int(valid.sum())
        of_label = np.bincount(label[valid], minlength=256)
        of_pred = np.bincount(pred[valid], minlength=256)
        for c in np.flatnonzero(of_label + of_pred):
            is_true = (label == c) & valid
            is_predicted = (pred == c) & valid
            right[c] += np.count_nonzero(is_true & is_predicted)
            true[c] += np.count_nonzero(is_true)
            predicted[c] += np.count_nonzero(is_predicted)
    found = metrics.scores(hists['score'])
    iu = right / (true + predicted - right)
    expected = dict(pixel_acc=right.sum() / pixels, mean_acc=(right / true).mean(),
                    mean_iu=iu.mean(), fw_iu=(true * iu).sum() / pixels)
    print({key: round(100 * value, 4) for key, value in expected.items()}, f'{pixels:,} pixels')
    assert len(names) == 736
    assert true.all()
    for key, value in expected.items():
        assert abs(found[key] - value) < 1e-12
    assert abs(found['iu'] - iu).max() < 1e-12
