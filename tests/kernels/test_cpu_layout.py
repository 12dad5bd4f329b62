"""Forward and backward through a net, every array stays channels-last, where kernels are fast."""
import numpy as np
import pytest

from tinyfcn import build, ops
from tinyfcn.kernels import registry
from tinyfcn.kernels.cpu import conv


@pytest.mark.parametrize('name, width, size', [
    ('fcn8s', 1 / 4, (40, 50)), ('fcn_squeezenet_4s', 1, (70, 60)), ('fcn_googlenet', 1, (60, 50))])
def test_every_activation_and_gradient_of_a_net_is_channels_last(name, width, size, monkeypatch):
    """From the first convolution to the score, and back: the channels of a pixel stay adjacent."""
    monkeypatch.setattr(registry, 'MIN_SIZE', 1)            # small arrays as in large images
    monkeypatch.setattr(conv, 'SMALL', 1)
    net, rng = build(name, width=width), np.random.default_rng(1)
    net.forward(rng.standard_normal((2, 3, *size)).astype('float32'), train=True, keep=True)
    score = net.values['score']
    net.backward(score=ops.softmax_cross_entropy(score, np.ones((2, *size), 'uint8'))[1])
    for kind, arrays in (('value', net.values), ('gradient', net.grads)):
        wrong = [box for box in net.boxes if box != 'data' and box in arrays
                 and arrays[box].shape[1] > 1 and arrays[box].strides[1] != 4]
        assert not wrong, f'{kind} of {", ".join(wrong)}: not channels-last'
        assert len(arrays) > 20
