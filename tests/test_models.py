"""FCN-32s, 16s and 8s: the paper's numbers, the reference nets' sizes, two other arithmetics."""
import os

import numpy as np
import pytest
import taps
from autograd import value_and_grad
from oracle_net import run

from tinyfcn import Net, build
from tinyfcn.gradcheck import check_net
from tinyfcn.layers import add, conv, crop, max_pool, relu, upsample
from tinyfcn.ops import softmax_cross_entropy

try:
    import torch
    import torch_oracle
except ModuleNotFoundError:
    if os.environ.get('CI') == 'true':
        raise                                   # there PyTorch is installed, and its tests must run
    torch = None

NETS = 'fcn32s', 'fcn16s', 'fcn8s'
RNG = np.random.default_rng(5)


def unsettled(net):
    """Small random numbers for every bias and score layer: zeros hide what is behind them."""
    for w in net.params.values():
        if not w.any():
            w += .1 * RNG.standard_normal(w.shape).astype(w.dtype)
    return net


@pytest.mark.parametrize('name, count', [('fcn32s', 134_346_581), ('fcn16s', 134_357_354),
                                         ('fcn8s', 134_362_751)])
def test_parameters(name, count):
    assert sum(w.size for w in build(name, seed=None).params.values()) == count


# facts of the reference nets: H -> conv1, pool1 … pool5, fc6, and what is upscored
SIZES = {1: (199, 100, 50, 25, 13, 7, 1, 64, 4, 80, 10, 88),
         224: (422, 211, 106, 53, 27, 14, 8, 288, 18, 304, 38, 312),
         333: (531, 266, 133, 67, 34, 17, 11, 384, 24, 400, 50, 408),
         375: (573, 287, 144, 72, 36, 18, 12, 416, 26, 432, 54, 440),
         500: (698, 349, 175, 88, 44, 22, 16, 544, 34, 560, 70, 568),
         640: (838, 419, 210, 105, 53, 27, 21, 704, 44, 720, 90, 728)}


@pytest.mark.parametrize('h', SIZES)
def test_sizes_of_the_reference_nets(h):
    nets = [build(name, seed=None, width=1/64).sizes((h, 500)) for name in NETS]
    eight, boxes = nets[2], ['conv1_1', 'pool1', 'pool2', 'pool3', 'pool4', 'pool5', 'fc6']
    have = [eight[box][0] for box in boxes]
    have += [nets[0]['upscore'][0], eight['upscore2'][0], nets[1]['upscore16'][0],
             eight['upscore_pool4'][0], eight['upscore8'][0]]
    assert tuple(have) == SIZES[h]
    assert all(sizes['score'] == (h, 500) for sizes in nets)


@pytest.mark.parametrize('name', NETS)
def test_every_height_comes_back(name):
    n = build(name, seed=None, width=1/64)
    assert all(n.sizes((h, 2 * h + 1))['score'] == (h, 2 * h + 1) for h in range(1, 601))


def test_untrained_scores_are_zero_and_the_loss_is_ln_of_the_classes():
    n, label = build('fcn8s', width=1/32), RNG.integers(0, 21, (1, 20, 30))
    score = n.forward(RNG.standard_normal((1, 3, 20, 30)).astype('float32'), train=True)
    loss, dscore = softmax_cross_entropy(score, label, reduce='mean')
    assert abs(loss - np.log(21)) < 1e-6
    grads = n.backward(score=dscore)
    moving = {name for name, grad in grads.items() if grad.any()}
    assert moving == {f'score_{at}.{own}' for at in ('fr', 'pool4', 'pool3') for own in 'wb'}


def test_channels_classes_dtype_and_names():
    n = build('fcn32s', n_class=5, channels=6, width=1/64, dtype='float64')
    assert n.forward(np.zeros((2, 6, 9, 8))).shape == (2, 5, 9, 8)
    with pytest.raises(ValueError, match="no net called 'fcn4s'; there are fcn32s, fcn16s, fcn8s"):
        build('fcn4s')


# ---- gradients of the whole net ------------------------------------------------------------------

def test_fcn8s_passes_check_net():
    report = check_net(build('fcn8s', width=1/16, n_class=5), RNG.standard_normal((1, 3, 19, 24)))
    assert report.ok, str(report)
    assert len(report.rows) == 1 + 2 * 18


def little_fcn():
    """Trunk, skip, crop and fusion in a dozen boxes."""
    n = Net(2, 'float64', seed=4)
    n.conv1 = conv(n.data, 3, 3, pad=6)
    n.pool1 = max_pool(relu(n.conv1), 2)
    n.conv2 = conv(n.pool1, 4, 3, pad=1)
    n.pool2 = max_pool(relu(n.conv2), 2)
    n.score2 = conv(n.pool2, 3, 3)
    n.up2 = upsample(n.score2, 2)
    n.score1 = conv(n.pool1, 3, 1)
    n.skip = crop(n.score1, like=n.up2)
    n.fuse = add(n.up2, n.skip)
    n.up1 = upsample(n.fuse, 2)
    n.score = crop(n.up1, like=n.data)
    return unsettled(n)


def test_trunk_skip_crop_and_loss_equal_hips_autograd():
    n, image = little_fcn(), RNG.standard_normal((2, 2, 7, 9))
    label = RNG.integers(0, 3, (2, 7, 9))
    label[0, :2] = 255
    score = n.forward(image, train=True)
    loss, dscore = softmax_cross_entropy(score, label)
    grads = n.backward(score=dscore)

    def objective(params):
        return taps.softmax_cross_entropy(run(n, taps, image, params)['score'], label)

    true_loss, true_grads = value_and_grad(objective)(n.params)
    assert abs(loss - true_loss) <= 1e-9 * loss
    assert set(grads) == set(true_grads)
    for name, grad in true_grads.items():
        assert abs(grads[name] - grad).max() <= 1e-9 * max(1, abs(grad).max()), name


# ---- the same net in PyTorch ---------------------------------------------------------------------

def in_torch(net, image):
    params = {name: torch.tensor(w, requires_grad=True) for name, w in net.params.items()}
    return run(net, torch_oracle, torch.tensor(image), params)['score'], params


@pytest.mark.skipif(torch is None, reason='PyTorch is not installed: pip install torch==2.13.0')
@pytest.mark.parametrize('name', NETS)
def test_float32_scores_equal_pytorch(name):
    n = unsettled(build(name, width=1/16))
    image = RNG.standard_normal((1, 3, 45, 52)).astype('float32')
    score = in_torch(n, image)[0].detach().numpy()
    assert abs(n.forward(image) - score).max() <= 1e-4 * abs(score).max()


@pytest.mark.skipif(torch is None, reason='PyTorch is not installed: pip install torch==2.13.0')
@pytest.mark.parametrize('name', NETS)
def test_float64_scores_and_gradients_equal_pytorch(name):
    n = unsettled(build(name, width=1/16, dtype='float64'))
    image = RNG.standard_normal((1, 3, 33, 38))
    score, params = in_torch(n, image)
    dscore = RNG.standard_normal(score.shape)
    score.backward(torch.tensor(dscore))
    ours = n.forward(image, keep=True)                  # without dropout, and yet with all caches
    score = score.detach().numpy()
    assert abs(ours - score).max() <= 1e-9 * abs(score).max()
    for name, grad in n.backward(score=dscore).items():
        true = params[name].grad.numpy()
        assert abs(grad - true).max() <= 1e-9 * max(1, abs(true).max()), name
