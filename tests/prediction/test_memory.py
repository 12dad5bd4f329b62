"""Predictions of large images stay within the memory, whatever the options; and `longest`."""
import os
import subprocess
import sys
from textwrap import dedent

import numpy as np
import pytest
from test_prediction import random_image
from training_samples import CENTRED, small_net

from tinyfcn import build, evaluate, predict
from tinyfcn.cli import parse
from tinyfcn.cli.predict_options import predict_options
from tinyfcn.data.dataset import Dataset
from tinyfcn.data.transforms import prepare, rescale
from tinyfcn.net.summary import peak
from tinyfcn.ops import resize
from tinyfcn.prediction import crf, multiscale, tiles
from tinyfcn.prediction.multiscale import average_probabilities

RNG = np.random.default_rng(9)
IMAGE = random_image(60, 200)
PROBABILITIES = 8 * 60 * 200 * (2 * 3 + 3)          # two of 3 classes, and the image, in float64


@pytest.fixture
def net():
    """A net that predicts every class somewhere; it records the size of every image it is given."""
    n = small_net('float64')
    n.params['score.b'] -= n.forward(prepare(IMAGE, CENTRED, 'float64')).mean((0, 2, 3))
    forward = n.forward
    n.sizes_given = []

    def recording_forward(x, **kwargs):
        n.sizes_given.append(x.shape[2:])
        return forward(x, **kwargs)

    n.forward = recording_forward
    return n


def tile_memory(n, core=32):
    """The bytes that a tile takes with its margins."""
    return peak(n, [2 * tiles.tile_margin(n) + core] * 2)


@pytest.mark.parametrize('options', [
    {}, dict(flip=True), dict(scales=(.5, 1)), dict(window=50)], ids=str)
def test_with_any_options_an_image_too_large_is_predicted_in_tiles(net, options):
    expected = predict(net, IMAGE, **options)
    assert len(np.unique(expected)) > 1
    whole = max(net.sizes_given)
    net.sizes_given.clear()
    memory = tile_memory(net) + bool(options) * PROBABILITIES
    np.testing.assert_array_equal(predict(net, IMAGE, max_memory=memory, **options), expected)
    assert max(net.sizes_given)[1] < whole[1], 'in tiles'


@pytest.mark.parametrize('options', [{}, dict(flip=True)], ids=str)
def test_a_data_set_is_predicted_within_the_available_memory(net, options, monkeypatch):
    def read(name):
        return IMAGE, np.zeros(IMAGE.shape[:2], 'uint8')

    dataset = Dataset('abc', ['photo'], read)
    expected = evaluate(net, dataset, **options)
    net.sizes_given.clear()
    memory = (tile_memory(net) + bool(options) * PROBABILITIES) / tiles.MEMORY_SHARE
    for module in tiles, multiscale:
        monkeypatch.setattr(module, 'available_memory', lambda x=None: memory)
    found = evaluate(net, dataset, **options)
    assert found['pixel_acc'] == expected['pixel_acc']
    assert max(net.sizes_given)[1] < 200


def test_the_ranks_of_a_machine_share_its_memory(net, monkeypatch):
    class FourRanks:
        local_size = 4

    weights = sum(w.nbytes for w in net.params.values())
    monkeypatch.setattr(tiles, 'available_memory', lambda x=None: 10 ** 6)
    assert tiles.usable_memory(net) == 800_000 + weights
    monkeypatch.setattr(tiles, 'world', FourRanks)
    assert tiles.usable_memory(net) == 200_000 + weights


def test_too_little_memory_for_the_probabilities_names_another_way(net):
    with pytest.raises(ValueError, match=r'3 classes in 60×200 pixels take 1 MB .* longest=640'):
        predict(net, IMAGE, flip=True, max_memory=5e5)
    with pytest.raises(ValueError, match=r'CRF of 60×200 pixels .* 1 MB may be used: .*longest='):
        predict(net, IMAGE, crf=crf.SETTINGS['deconvnet'], max_memory=1e6)
    assert not net.sizes_given, 'refused before anything is computed'


@pytest.mark.parametrize('h, w, n_class', [(30, 200, 3), (90, 90, 21), (2, 900, 5)])
def test_the_memory_of_the_crf_is_bounded(h, w, n_class):
    """Of noise, in which no two pixels share a lattice point."""
    import tracemalloc
    prob = np.full((n_class, h, w), 1 / n_class, 'float32')
    image = RNG.integers(0, 256, (h, w, 3)).astype('uint8')
    tracemalloc.start()
    crf.mean_field(prob, image, crf.SETTINGS['deeplab_resnet101'], iterations=1)
    taken = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert .4 < taken / crf.memory_needed((h, w), n_class) < 1


@pytest.mark.parametrize('most', [40, 11])
@pytest.mark.parametrize('options', [{}, dict(flip=True)], ids=str)
def test_where_memory_ends_before_its_time_smaller_tiles_follow(net, most, options):
    """An array of more than `most` rows cannot be had, whatever the system said before."""
    expected = predict(net, IMAGE, **options)
    forward = net.forward

    def limited_forward(x, **kwargs):
        if x.shape[2] > most:
            raise MemoryError
        return forward(x, **kwargs)

    net.forward = limited_forward
    for memory in None, tile_memory(net) + bool(options) * PROBABILITIES:
        np.testing.assert_array_equal(predict(net, IMAGE, memory, **options), expected)
    net.forward = lambda x, **kwargs: limited_forward(np.empty((1, 3, 99, 9)))
    with pytest.raises(MemoryError):
        predict(net, IMAGE)


LIMITED = '''
    import resource
    import numpy as np
    import tinyfcn
    from tinyfcn.net.summary import peak
    from tinyfcn.layers import conv, relu
    net = tinyfcn.Net(3)
    net.conv = conv(net.data, 32, 3, pad=1)
    net.relu = relu(net.conv)
    net.score = conv(net.relu, 4, 1)
    net.about['preprocess'] = dict(order='RGB', scale=1/255, mean=(0,) * 3, std=(1,) * 3)
    small = np.zeros((64, 64, 3), 'uint8')
    tinyfcn.predict(net, small, longest=32, flip=True)      # compiled kernels, threads, imports
    image = np.random.default_rng(0).integers(0, 256, (800, 1000, 3), 'uint8')
    size = next(int(line.split()[1]) for line in open('/proc/self/status')
                if line.startswith('VmSize'))
    limit = (size << 10) + (100 << 20)
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    assert peak(net, image.shape[:2]) > 100 << 20, 'the whole would not fit'
    for options in {}, dict(flip=True), dict(longest=640, flip=True):
        print(tinyfcn.predict(net, image, **options).shape)
'''


@pytest.mark.skipif(sys.platform != 'linux', reason='reads /proc')
def test_an_address_space_limit_is_kept():
    done = subprocess.run([sys.executable, '-c', dedent(LIMITED)], capture_output=True, text=True,
                          env=dict(os.environ, TINYFCN_THREADS='1'), timeout=300)
    assert done.stdout == '(800, 1000)\n' * 3, done.stderr


# ---- longest

def test_a_larger_image_is_reduced_and_its_probabilities_are_enlarged(net):
    reduced = rescale(IMAGE, {}, 100 / 200)[0]
    p = average_probabilities(net, reduced)['score']
    enlarged, _ = resize(p[None], (60, 200))
    net.sizes_given.clear()
    pred = predict(net, IMAGE, longest=100)
    assert net.sizes_given == [(30, 100)]
    assert pred.dtype == 'uint8' and len(np.unique(pred)) > 1
    np.testing.assert_array_equal(pred, enlarged[0].argmax(0))


def test_an_image_that_is_small_enough_is_not_reduced(net):
    np.testing.assert_array_equal(predict(net, IMAGE, longest=200), predict(net, IMAGE))
    assert {*net.sizes_given} == {(60, 200)}


def test_the_command_line_has_the_option():
    args = parse(['predict', 'net', 'image', '--longest', '640'])
    assert predict_options(args) == {'longest': 640}
    assert predict_options(parse(['eval', 'net', '--longest', '640'])) == {'longest': 640}


def test_the_crf_refines_the_reduced_image(net):
    settings = crf.SETTINGS['deconvnet']
    reduced = rescale(IMAGE, {}, 50 / 200)[0]
    q = crf.mean_field(average_probabilities(net, reduced)['score'], reduced, settings)
    enlarged, _ = resize(q[None], (60, 200))
    np.testing.assert_array_equal(predict(net, IMAGE, longest=50, crf=settings),
                                  enlarged[0].argmax(0))


@pytest.mark.parametrize('option, message', [
    (dict(longest=0), 'longest is 0; give a number of pixels, such as 640'),
    (dict(scales=(1, 0)), 'a scale is 0; give factors above 0'),
    (dict(scales=(float('inf'),)), 'a scale is inf'),
    (dict(window=0), 'window is 0; give a number of pixels')])
def test_options_without_sense_are_refused(net, option, message):
    with pytest.raises(ValueError, match=message):
        predict(net, IMAGE, **option)


# ---- what is not finite

def test_an_image_that_is_not_finite_is_refused():
    n = build('tiny_8s', 3, channels=4, width=1/8)
    n.about['preprocess'] = dict(order='RGB', scale=1, mean=(0,) * 4, std=(1,) * 4)
    image = np.zeros((8, 9, 4), 'float32')
    image[5, 7, 3] = np.nan
    with pytest.raises(ValueError, match='image: nan at row 5, column 7, channel 3, and 1 such'):
        predict(n, image)


@pytest.mark.parametrize('options', [{}, dict(flip=True), dict(longest=100)], ids=str)
@pytest.mark.parametrize('value', [np.nan, np.inf, -np.inf])
def test_scores_that_are_not_finite_are_refused(net, value, options):
    net.params['score.b'][2] = value
    with pytest.raises(ValueError, match=r'score of class \d at row 0, column \d+ is (nan|-?inf), '
                                         'which is no score'):
        predict(net, IMAGE, **options)


def test_a_classifier_is_refused():
    n = build('squeezenet', 3, width=1/8)
    n.about['preprocess'] = CENTRED
    with pytest.raises(ValueError, match='1×1 scores for an image of 60×200 pixels: this net does'):
        predict(n, IMAGE)


def test_more_classes_than_fit_into_a_byte():
    n = build('tiny_8s', 300, width=1/8)
    n.about['preprocess'] = CENTRED
    n.params['score.b' if 'score.b' in n.params else 'score_fr.b'][299] = 1e9
    assert predict(n, IMAGE[:, :40]).max() == 299


def test_an_output_called_score_among_others_is_one_of_them():
    from tinyfcn.prediction.predict import unwrap_single
    assert unwrap_single({'score': 1}) == 1
    assert unwrap_single({'score': 1, 'score_geo': 2}) == {'score': 1, 'score_geo': 2}
