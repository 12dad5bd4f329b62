"""Nothing on the way through a net, forward or back, gives up the layout that all are fast in."""
import numpy as np
import pytest

from tinyfcn import build, ops


@pytest.mark.parametrize('name, width, size', [
    ('fcn8s', 1 / 4, (40, 50)), ('fcn_squeezenet_4s', 1, (70, 60)), ('fcn_googlenet', 1, (60, 50))])
def test_no_activation_of_a_net_leaves_its_layout(name, width, size):
    """From the first convolution to the score, and back: the channels of a pixel stay together.

    In nets so thin that convolution is left to its body, which has another layout, they would not.
    """
    net, rng = build(name, width=width), np.random.default_rng(1)
    net.forward(rng.standard_normal((2, 3, *size)).astype('float32'), train=True, keep=True)
    score = net.values['score']
    net.backward(score=ops.softmax_cross_entropy(score, np.ones((2, *size), 'uint8'))[1])
    for kind, arrays in (('value', net.values), ('gradient', net.grads)):
        lost = [box for box in net.boxes if box != 'data' and box in arrays
                and arrays[box].shape[1] > 1 and arrays[box].strides[1] != 4]
        assert not lost, f'{kind} of {", ".join(lost)}: not channels-last'
        assert len(arrays) > 20
