"""What weights begin as."""
import numpy as np
import pytest

from tinyfcn import Net
from tinyfcn.init import bilinear, he_normal, ones, zeros
from tinyfcn.layers import conv, deconv, upsample

RNG = np.random.default_rng(2)


@pytest.mark.parametrize('init', [zeros, ones, he_normal, bilinear])
def test_float32_of_the_shape(init):
    w = init((3, 3, 4, 2), RNG)
    assert w.shape == (3, 3, 4, 2) and w.dtype == 'float32'


def test_he_normal_keeps_the_variance_through_relu():
    w = he_normal((64, 50, 3, 3), RNG)
    assert abs(w.mean()) < 1e-3 and abs(w.std() * (50 * 9 / 2) ** .5 - 1) < .01


def test_fan_in_of_a_deconv():
    n = Net(32, seed=1)
    n.up = deconv(n.data, 64, 4, stride=2)
    n.same = deconv(n.data, 64, 3, groups=2)
    assert abs(n.params['up.w'].std() * (32 * 4 / 2) ** .5 - 1) < .02
    assert abs(n.params['same.w'].std() * (16 * 9 / 2) ** .5 - 1) < .03
    x = RNG.standard_normal((1, 32, 20, 20)).astype('float32')
    assert abs(n.forward(x)['up'].var() / 2 - 1) < .15


@pytest.mark.parametrize('factor, ksize', [(2, 4), (2, 3), (8, 16), (3, 5)])
def test_a_bilinear_deconv_starts_as_upsample(factor, ksize):
    n = Net(3, 'float64')
    n.learned = deconv(n.data, 3, ksize, stride=factor, bias=False, init=bilinear)
    n.fixed = upsample(n.data, factor, ksize)
    y = n.forward(RNG.standard_normal((2, 3, 5, 4)))
    np.testing.assert_allclose(y['learned'], y['fixed'], atol=1e-6)     # its weights are float32


def test_bilinear_weights_are_diagonal():
    w = bilinear((2, 2, 4, 4), RNG)
    np.testing.assert_array_equal(w[0, 0] * 16, np.outer([1, 3, 3, 1], [1, 3, 3, 1]))
    assert not w[0, 1].any() and not w[1, 0].any()
    n = Net(2)
    with pytest.raises(ValueError, match=r'w \(2, 3, 4, 4\) cannot be bilinear'):
        n.up = deconv(n.data, 3, 4, stride=2, init=bilinear)
    assert 'up' not in n.boxes


def test_a_score_layer_begins_at_zero_on_request():
    n = Net(2)
    n.score = conv(n.data, 3, 1, init=zeros)
    assert not n.forward(np.ones((1, 2, 3, 3), 'float32')).any()
