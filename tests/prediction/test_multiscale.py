"""Multi-scale, flipped and sliding-window inference, and nets whose scores begin inside."""
import numpy as np
import pytest
from training_samples import CENTRED, small_net

from tinyfcn import Net, build
from tinyfcn.cli import parse
from tinyfcn.cli.predict_options import predict_options
from tinyfcn.data.transforms import prepare, rescale
from tinyfcn.layers import conv
from tinyfcn.prediction import crf
from tinyfcn.prediction.multiscale import (
    average_probabilities,
    predict_windows,
    softmax,
    window_starts,
)
from tinyfcn.prediction.predict import predict
from tinyfcn.prediction.tiles import predict_scores

RNG = np.random.default_rng(4)
IMAGE = RNG.integers(0, 256, (23, 31, 3)).astype('uint8')


def predict_once(n, image):
    """softmax(score) of one forward pass.   -> (C, H, W)"""
    return softmax(n.forward(prepare(image, CENTRED, n.dtype)))[0]


def test_a_single_prediction_is_the_softmax():
    n = small_net('float64')
    p = average_probabilities(n, IMAGE)['score']
    np.testing.assert_allclose(p.sum(0), 1, rtol=1e-12)
    np.testing.assert_array_equal(p, predict_once(n, IMAGE))
    np.testing.assert_array_equal(predict(n, IMAGE), p.argmax(0))


def test_the_prediction_of_a_flipped_image_is_flipped_back():
    n = small_net('float64')
    flipped_image = IMAGE[:, ::-1]
    p = average_probabilities(n, IMAGE, flip=True)['score']
    flipped_back = predict_once(n, flipped_image)[..., ::-1]
    np.testing.assert_allclose(p, (predict_once(n, IMAGE) + flipped_back) / 2)
    np.testing.assert_allclose(average_probabilities(n, flipped_image, flip=True)['score'],
                               p[..., ::-1], atol=1e-15)
    np.testing.assert_array_equal(predict(n, IMAGE, flip=True), p.argmax(0))


def test_scales_are_averaged_at_the_size_of_the_image():
    n = small_net('float64')
    p = average_probabilities(n, IMAGE, scales=(1, 2))['score']
    larger = predict_once(n, rescale(IMAGE, {}, 2)[0])
    fine = larger.reshape(3, 23, 2, 31, 2)
    assert p.shape == (3, 23, 31)
    np.testing.assert_allclose(p.sum(0), 1, rtol=1e-12)
    # half way between two pixels of the larger image, bilinear is the mean of the four
    expected = (predict_once(n, IMAGE) + fine.mean((2, 4))) / 2
    np.testing.assert_allclose(p, expected, atol=1e-12)
    with pytest.raises(ValueError, match='scales'):
        average_probabilities(n, IMAGE, scales=())


@pytest.mark.parametrize('size, window', [(10, 10), (11, 10), (23, 10), (100, 33), (7, 1)])
def test_windows_cover_everything_and_overlap_by_a_third(size, window):
    starts = window_starts(size, window)
    assert starts[0] == 0
    assert starts[-1] == size - window
    assert all(b - a <= max(1, 2 * window / 3) + 1 for a, b in zip(starts, starts[1:]))
    assert {*range(size)} == {i for start in starts for i in range(start, start + window)}


def test_windows_of_a_net_with_a_receptive_field_of_1_equal_the_whole():
    n = Net(3, 'float64')
    n.score = conv(n.data, 4, 1)
    x = RNG.standard_normal((1, 3, 23, 31))
    for window in 5, 12, 29, 40:
        np.testing.assert_allclose(predict_windows(n, x, window)['score'], softmax(n.forward(x)),
                                   atol=1e-13)


def test_a_window_below_the_stride_of_the_scores_is_refused():
    n = build('tiny_8s', 3, width=1/8)
    n.about['preprocess'] = CENTRED
    with pytest.raises(ValueError, match='window is 31, .* stride .* 32: give at least 32'):
        predict(n, IMAGE, window=31)
    assert predict(n, IMAGE, window=32).shape == (23, 31)


def test_an_image_smaller_than_the_window_is_padded():
    n = small_net('float64')
    forward = n.forward
    sizes = []

    def recording_forward(x, **kwargs):
        sizes.append(x.shape[2:])
        return forward(x, **kwargs)

    n.forward = recording_forward
    assert average_probabilities(n, IMAGE, window=40)['score'].shape == (3, 23, 31)
    assert sizes == [(40, 40)]


def test_without_padding_the_image_is_mirrored_around_its_border():
    """As in U-Net. A kernel of ones over a ramp shows which pixels a score depends on."""
    n = Net(1, 'float64')
    n.score = conv(n.data, 1, 5, bias=False, init=lambda shape, rng: np.ones(shape))
    x = np.arange(20.).reshape(1, 1, 4, 5)
    padded = np.pad(x[0, 0], 2, mode='symmetric')
    expected = [[padded[i:i + 5, j:j + 5].sum() for j in range(5)] for i in range(4)]
    np.testing.assert_array_equal(predict_scores(n, x)['score'][0, 0], expected)


def test_unet_predicts_every_pixel():
    n = build('unet', 3, width=1/32)
    n.about['preprocess'] = CENTRED
    n.params['score.w'] += RNG.standard_normal(n.params['score.w'].shape).astype('float32')
    assert predict(n, IMAGE).shape == (23, 31)
    with pytest.raises(ValueError, match='even the smallest tile takes'):
        predict(n, IMAGE, max_memory=1)


def test_the_crf_refines_the_averaged_probabilities():
    for name, settings in crf.SETTINGS.items():
        args = parse(['predict', 'net', 'image', '--crf', name])
        assert predict_options(args) == dict(crf=settings)
    n = small_net('float64')
    n.params['score.b'] -= n.forward(prepare(IMAGE, CENTRED, 'float64')).mean((0, 2, 3))
    settings = crf.SETTINGS['deconvnet']
    refined = predict(n, IMAGE, crf=settings, flip=True)
    p = average_probabilities(n, IMAGE, flip=True)['score']
    np.testing.assert_array_equal(refined, crf.mean_field(p, IMAGE, settings).argmax(0))
    assert (refined != p.argmax(0)).any()
