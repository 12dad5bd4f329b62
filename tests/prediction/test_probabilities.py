"""Probabilities are those whose largest is the prediction, whatever the options."""
import numpy as np
import pytest
from training_samples import CENTRED, small_net

from tinyfcn import predict
from tinyfcn.data.transforms import prepare
from tinyfcn.prediction import predict_probabilities
from tinyfcn.prediction.crf import SETTINGS
from tinyfcn.prediction.multiscale import softmax
from tinyfcn.prediction.probability_files import write_probabilities, write_probability_images

IMAGE = np.random.default_rng(2).integers(0, 256, (45, 38, 3)).astype('uint8')


def several_classes():
    """A net of random weights, in which several classes win somewhere."""
    net = small_net('float64')
    scores = predict_probabilities(net, IMAGE).mean((1, 2))
    net.params['score.b'] -= np.log(scores)
    return net


@pytest.mark.parametrize('options', [
    dict(), dict(longest=30), dict(scales=(.5, 1), flip=True), dict(window=32),
    dict(crf=SETTINGS['deconvnet'])], ids=str)
def test_the_largest_is_the_prediction(options):
    net = several_classes()
    prob = predict_probabilities(net, IMAGE, **options)
    assert prob.shape == (3, 45, 38) and (prob >= 0).all()
    np.testing.assert_allclose(prob.sum(0), 1, atol=1e-5)
    mask = predict(net, IMAGE, **options)
    assert len(np.unique(mask)) > 1
    np.testing.assert_array_equal(prob.argmax(0), mask)


def test_without_options_it_is_the_softmax_of_the_scores():
    net = small_net('float64')
    x = prepare(IMAGE, CENTRED, net.dtype)
    np.testing.assert_array_equal(predict_probabilities(net, IMAGE), softmax(net.forward(x))[0])


def test_where_the_net_sees_another_size_they_are_resized_to_the_image():
    net = small_net('float64')
    net.about['shorter_side'] = 24
    prob = predict_probabilities(net, IMAGE)
    assert prob.shape == (3, 45, 38)
    np.testing.assert_array_equal(prob.argmax(0), predict(net, IMAGE))


def test_too_little_memory_is_said_before_anything_is_computed():
    with pytest.raises(ValueError, match='probabilities of 3 classes in 45×38 pixels take'):
        predict_probabilities(small_net(), IMAGE, max_memory=1000)


def test_files(tmp_path):
    prob = predict_probabilities(small_net(), IMAGE)
    write_probabilities(tmp_path / 'a.npz', prob, ['sky', 'tree/bush', 'Straße'])
    assert b'tinyfcn' in (tmp_path / 'a.npz').read_bytes()[:100]        # so it may be overwritten
    with np.load(tmp_path / 'a.npz', allow_pickle=False) as file:
        np.testing.assert_array_equal(file['probabilities'], prob)
        assert file['classes'].tolist() == ['sky', 'tree/bush', 'Straße']
    with pytest.raises(ValueError, match='written as .npz'):
        write_probabilities(tmp_path / 'a.txt', prob, ['sky'] * 3)
    with pytest.raises(ValueError):                     # a class without a file
        write_probability_images([tmp_path / 'sky.png'], prob)
