"""Every net on the real CuPy, forward and backward: the scores and the gradients of the host.

In float64 two correct nets agree to rounding. In float32 a ReLU near 0 may be on in one and off in
the other, so gradients are compared by direction.
"""
from contextlib import nullcontext

import numpy as np
import pytest
from fake_cuda.driver import counting
from gpu_check import CLASSIFIER_SIZE, SIZE, SIZES, cosine, make_net

from tinyfcn.dispatch import reference_only
from tinyfcn.models import NETS
from tinyfcn.runtime.backend import to_numpy

pytestmark = [pytest.mark.cupy, pytest.mark.usefixtures('real_cupy')]

# of different kinds, for float32 and the references; test_cupy_ops.py has every op in each
FEW = 'fcn8s', 'segnet_basic', 'unet_same', 'fcn_squeezenet_4s'
WIDTH = 1 / 32
MAX_COSINE_GAP = 1e-3               # allowed 1 − cosine between two gradients in float32


def image_size(name):
    return SIZES.get(name, CLASSIFIER_SIZE if NETS[name].n_class == 1000 else SIZE)


def random_arrays(net, size):
    """-> an image, a gradient for each output"""
    rng = np.random.default_rng(1)
    sizes = net.sizes(size)
    outputs = net.outputs(train=False)
    shapes = [(net.data.channels, *size)]
    shapes += [(net[output].channels, *sizes[output]) for output in outputs]
    image, *grads = (rng.standard_normal((1, *shape)).astype(net.dtype) for shape in shapes)
    return image, dict(zip(outputs, grads))


def pass_through(net, image, output_grads):
    """Forward and backward -> {output: its scores}, {weight: its gradient}"""
    scores = net.forward(image, keep=True)
    if not isinstance(scores, dict):
        scores = dict(zip(output_grads, [scores]))
    return scores, net.backward(**output_grads)


def compare_devices(name, dtype, implementation=nullcontext):
    """-> (scores, gradients) of the GPU, of the host"""
    net = make_net(name, dtype, WIDTH)
    image, output_grads = random_arrays(net, image_size(name))
    expected = pass_through(net, image, output_grads)
    net.to('gpu')
    on_gpu = net.bring(image), {output: net.bring(d) for output, d in output_grads.items()}
    with implementation(), counting() as counts:
        found = pass_through(net, *on_gpu)
    if implementation is nullcontext:           # references may build sparse matrices
        assert (counts['uploads'], counts['downloads'], counts['waits']) == (0, 0, 0)
    return [{key: to_numpy(a) for key, a in arrays.items()} for arrays in found], expected


def largest_error(found, expected):
    """In units of the largest value, or of 1 where all are smaller."""
    assert found.keys() == expected.keys()
    for key, b in expected.items():
        assert (found[key].shape, found[key].dtype) == (b.shape, b.dtype), key
    return max(np.abs(found[key] - b).max() / max(1, np.abs(b).max())
               for key, b in expected.items())


@pytest.mark.parametrize('name', NETS)
def test_a_net_computes_on_the_gpu_what_it_computes_on_the_host(name):
    """Without a wait, and without a copy between host and GPU."""
    for found, expected in zip(*compare_devices(name, 'float64')):
        assert largest_error(found, expected) <= 1e-12


@pytest.mark.parametrize('name', FEW)
def test_the_references_compute_the_same(name):
    for found, expected in zip(*compare_devices(name, 'float64', reference_only)):
        assert largest_error(found, expected) <= 1e-12


@pytest.mark.parametrize('name', FEW)
def test_a_net_in_float32(name):
    (scores, grads), (true_scores, true_grads) = compare_devices(name, 'float32')
    assert largest_error(scores, true_scores) <= 1e-4
    assert grads.keys() == true_grads.keys()
    for key, true in true_grads.items():
        assert cosine(grads[key], true) >= 1 - MAX_COSINE_GAP, key


@pytest.mark.parametrize('images', [1, 2])
def test_fewer_steps_compute_the_same_bits(images):
    """conv with relu, upsample with crop, parts of a concat: as net.walk computes them."""
    net = make_net('fcn_squeezenet_4s').to('gpu')
    rng = np.random.default_rng(0)
    image = net.bring(rng.standard_normal((images, 3, 64, 64), 'float32'))
    results = []
    for keep in True, False:
        score = net.forward(image, train=True, keep=keep)
        dscore = np.random.default_rng(1).standard_normal(score.shape, 'float32')
        grads = net.backward(score=net.bring(dscore))
        results.append(dict(grads, score=score))
    for key, expected in results[0].items():
        np.testing.assert_array_equal(results[1][key].get(), expected.get(), err_msg=key)
