"""Why a pixel has its class: the parts of its scores, their fields, and the gradient."""
import numpy as np
import pytest

from tinyfcn import build
from tinyfcn.data.transforms import prepare
from tinyfcn.layers import conv, pad
from tinyfcn.net import Net
from tinyfcn.prediction import predict
from tinyfcn.prediction.pixel import Window, explain_pixel, score_layers

PREPROCESS = dict(order='RGB', scale=1 / 64, mean=(2, 2, 2), std=(1, 1, 1))
PHOTO = np.random.default_rng(0).integers(0, 256, (90, 120, 3), dtype='uint8')


def net_with_scores(name, width=1/8):
    """A net whose score layers are not zero, as they are before training."""
    net = build(name, n_class=4, width=width)
    rng = np.random.default_rng(1)
    for weight, w in net.params.items():
        if weight.startswith('score'):
            w[...] = rng.normal(0, .1, w.shape)
    net.about['preprocess'] = PREPROCESS
    return net


@pytest.mark.parametrize('name, layers', [
    ('tiny_8s', ['score_fr', 'score_pool4', 'score_pool3']),
    ('fcn8s', ['score_fr', 'score_pool4', 'score_pool3']),
    ('fcn_squeezenet_4s', ['score_fr', 'score_fire5', 'score_fire3']),
    ('fcn_googlenet_4s', ['score_fr', 'score_inception_4e', 'score_inception_3b', 'score_conv2']),
    ('segnet', ['score'])])
def test_the_parts_add_up_to_the_score(name, layers):
    net = net_with_scores(name)
    score = net.forward(prepare(PHOTO, PREPROCESS))[0]
    mask = predict(net, PHOTO)
    for row, column in (40, 60), (0, 0), (89, 119):
        found = explain_pixel(net, PHOTO, row, column)
        assert list(found.parts) == layers
        assert len(layers) == 1 or all(part.any() for part in found.parts.values())
        scale = abs(score).max()
        assert abs(sum(found.parts.values()) - found.score).max() <= 1e-5 * scale
        assert abs(found.score - score[:, row, column]).max() <= 1e-5 * scale
        assert found.mask[row, column] == mask[row, column]


def test_a_part_depends_on_no_pixel_outside_its_field():
    net = net_with_scores('tiny_8s')
    found = explain_pixel(net, PHOTO, 40, 60)
    for name, (top, bottom, left, right) in found.fields.items():
        changed = 255 - PHOTO
        changed[top:bottom, left:right] = PHOTO[top:bottom, left:right]
        part = explain_pixel(net, changed, 40, 60).parts[name]
        np.testing.assert_allclose(part, found.parts[name], rtol=1e-5, atol=1e-6)
    top, bottom, left, right = found.fields['score_pool3']
    assert 0 < top < 40 < bottom < 90 and 0 < left < 60 < right < 120
    changed = PHOTO.copy()
    changed[top:bottom, left:right] = 255 - changed[top:bottom, left:right]
    part = explain_pixel(net, changed, 40, 60).parts['score_pool3']
    assert abs(part - found.parts['score_pool3']).max() > 1e-3


def test_the_gradient_is_that_of_the_score_of_the_best_class():
    net = net_with_scores('tiny_8s').astype('float64')
    found = explain_pixel(net, PHOTO, 40, 60)
    row, column = np.unravel_index(found.gradient.argmax(), found.gradient.shape)
    x = prepare(PHOTO, PREPROCESS, 'float64')
    best = found.score.argmax()
    eps = 1e-6
    slopes = []
    for channel in range(3):
        step = np.zeros_like(x)
        step[0, channel, row, column] = eps
        high, low = (net.forward(x + sign * step)[0, best, 40, 60] for sign in (1, -1))
        slopes.append((high - low) / (2 * eps))
    assert abs(np.linalg.norm(slopes) - found.gradient.max()) <= 1e-5 * found.gradient.max()


def test_a_reduced_image_is_explained_at_the_same_place():
    found = explain_pixel(net_with_scores('tiny_8s'), PHOTO, 88, 118, longest=60)
    assert found.image.shape == (45, 60, 3)
    assert found.pixel == (44, 59)


def test_what_cannot_be_explained_is_refused():
    net = net_with_scores('tiny_8s')
    with pytest.raises(ValueError, match='column 120, row 3 is outside of the image'):
        explain_pixel(net, PHOTO, 3, 120)
    with pytest.raises(ValueError, match='several outputs, score_sem, score_geo'):
        explain_pixel(build('siftflow_8s', width=1/16, seed=None), PHOTO, 3, 3)
    assert score_layers(build('fcn_resnet50', seed=None)) == ['classifier/4']


def test_a_pixel_that_no_unit_reaches_has_an_empty_field():
    net = Net()
    net.score_fr = conv(net.data, 2, 3)                 # nothing for the outermost pixels
    net.score = pad(net.score_fr, 1)
    net.about['preprocess'] = PREPROCESS
    found = explain_pixel(net, PHOTO, 0, 60)
    assert found.fields == {'score_fr': Window(0, 0, 0, 0)}
    assert not found.score.any() and not found.parts['score_fr'].any()
    assert explain_pixel(net, PHOTO, 1, 60).fields == {'score_fr': Window(0, 3, 59, 62)}
