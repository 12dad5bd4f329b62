"""DeepLab and PSPNet: the papers' numbers, where their scores lie, and how they train.

What is true of every net in NETS is in test_models.py: sizes, first loss, the same net in PyTorch.
"""
from functools import cache
from types import SimpleNamespace

import numpy as np
import pytest
from optional_deps import needs_torch, torch, torch_oracle
from oracle_net import run
from test_models import unsettled

from tinyfcn import Net, build, ops
from tinyfcn.gradcheck import check_net
from tinyfcn.layers import conv, upsample
from tinyfcn.models.deeplab import deeplab_aspp, deeplab_largefov, deeplab_resnet101
from tinyfcn.models.pspnet import auxiliary, pspnet, pyramid
from tinyfcn.models.resnet import DEEP, resnet_trunk
from tinyfcn.net.summary import depth
from tinyfcn.prediction.predict import argmax_mask, predict
from tinyfcn.prediction.tiles import iter_tiles, join, max_stride, tile_margin
from tinyfcn.weights.transplant import transplant

VGG, RESNET = [deeplab_largefov, deeplab_aspp], [deeplab_resnet101, pspnet]
RNG = np.random.default_rng(6)


def drawn(draw, width=1/16, dtype='float64', seed=0, **how):
    n = Net(3, dtype, seed)
    draw(n, width=width, **how)
    return n


@cache
def blank(draw):
    """The full net with zero weights."""
    return drawn(draw, 1, 'float32', None)


def image(*shape):
    return RNG.standard_normal(shape)


# ---- the papers' numbers -----------------------------------------------------------------------

@pytest.mark.parametrize('draw, count, training', [
    (deeplab_largefov, 20_505_429, 0), (deeplab_aspp, 37_877_652, 0),
    (deeplab_resnet101, 44_048_532, 0),
    (pspnet, 65_708_501, 1024 * 256 * 9 + 2 * 256 + 257 * 21)])
def test_parameters(draw, count, training):
    sizes = {name: w.size for name, w in blank(draw).params.items()}
    aux = sum(size for name, size in sizes.items() if name.startswith('aux'))
    assert (sum(sizes.values()) - aux, aux) == (count, training)


@pytest.mark.parametrize('blocks, count', [((3, 4, 23, 3), 42_500_160), ((3, 4, 6, 3), 23_508_032)])
def test_parameters_of_resnet_without_its_classifier(blocks, count):
    n = drawn(resnet_trunk, 1, 'float32', None, blocks=blocks)
    assert sum(w.size for w in n.params.values()) == count


@pytest.mark.parametrize('draw, fields', [
    (deeplab_largefov, dict(pool5=227, pool5a=243, fc6_12=435, score8=435)),
    (deeplab_aspp, dict(pool5=227, fc6_6=323, fc6_12=419, fc6_18=515, fc6_24=611, score8=611)),
    # by hand: 11 at pool1, then 24 + 64 + 23·32 + 3·64, and 24·16 for the farthest taps
    (deeplab_resnet101, {'pool1': 11, 'layer4/2': 1027, 'score8_6': 1123, 'score8': 1411}),
    # 4 more for the deep stem; 8 less, for the first 3×3 of layer2 still stands at stride 4
    (pspnet, {'pool1': 15, 'layer4/2': 1023, 'conv5': 1039})])
def test_fields(draw, fields):
    n = blank(draw)
    assert {name: n[name].alignment.field for name in fields} == \
        {name: (field, field) for name, field in fields.items()}
    assert n.score8.alignment.scale == (8, 8)


@pytest.mark.parametrize('draw, convolutions, relus', [
    (deeplab_largefov, 16, 13 + 2), (deeplab_aspp, 16, 13 + 4 * 2),
    (deeplab_resnet101, 101, 1 + 33 * 3),                   # the 101 of its name
    (pspnet, 3 + 33 * 3 + 3, 3 + 33 * 3 + 4 + 1 + 1)])      # four branches, conv5, aux
def test_depth(draw, convolutions, relus):
    n = blank(draw)
    assert depth(n) == convolutions
    assert sum(box.op is ops.relu for box in n.boxes.values()) == relus


def test_pyramid():
    n = blank(pspnet)
    assert n.ppm.channels == 2048 + 4 * 512
    assert [box.kwargs['bins'] for box in n.boxes.values() if 'bins' in box.kwargs] == \
        [(bins, bins) for bins in (1, 2, 3, 6)]
    assert [(box.like, box.kwargs['align_corners']) for box in n.boxes.values()
            if box.op is ops.resize] == 4 * [('layer4/2', True)]


@pytest.mark.parametrize('draw, halving', [
    (deeplab_largefov, ['pool1', 'pool2', 'pool3']), (deeplab_aspp, ['pool1', 'pool2', 'pool3']),
    (deeplab_resnet101, ['conv1', 'pool1', 'layer2/0/conv1', 'layer2/0/downsample/0']),
    (pspnet, ['conv1', 'pool1', 'layer2/0/conv2', 'layer2/0/downsample/0'])])
def test_what_halves_the_size(draw, halving):
    strides = {name: box.kwargs['stride'] for name, box in blank(draw).boxes.items()
               if box.kwargs.get('stride', 1) != 1}
    assert strides == dict.fromkeys(halving, 2)


@pytest.mark.parametrize('draw, expected', [
    (deeplab_largefov, {2: 3, 12: 1}), (deeplab_aspp, {2: 3, 6: 1, 12: 1, 18: 1, 24: 1}),
    (deeplab_resnet101, {2: 23, 4: 3, 6: 1, 12: 1, 18: 1, 24: 1}), (pspnet, {2: 23, 4: 3})])
def test_dilations(draw, expected):
    """How many convolutions are dilated by how much; each keeps the size by as much padding."""
    dilated = [box for box in blank(draw).boxes.values() if box.kwargs.get('dilation', 1) > 1]
    dilations = [box.kwargs['dilation'] for box in dilated]
    assert {d: dilations.count(d) for d in dilations} == expected
    assert [box.kwargs['pad'] for box in dilated] == dilations


# ---- where the scores lie ----------------------------------------------------------------------

@pytest.mark.parametrize('draw', VGG + RESNET)
def test_scores_lie_on_every_eighth_pixel(draw):
    n = blank(draw)
    assert n.score8.alignment.shift == (0, 0) and n.score.kwargs['offset'] == (7, 7)
    for h in range(1, 101):
        rows = n.sizes((h, 101 - h), train=False)['score8'][0]
        assert rows == (-(-(h - 1) // 8) + 1 if draw in VGG else (h + 1) // 8 + 1), h
    for h, rows in (321, 41), (473, 60), (513, 65), (713, 90):          # what the papers use
        assert n.sizes((h, h))['score8'] == (rows, rows)


@pytest.mark.parametrize('draw', RESNET)
def test_pool1_rounds_up_as_in_caffe(draw):
    """Unlike in torchvision's classifier, from which the weights may come."""
    assert blank(draw).sizes((224, 64))['pool1'] == (57, 17)


@pytest.mark.parametrize('draw', VGG + RESNET)
def test_where_the_last_score_lies_on_the_last_row_they_are_resized_corner_to_corner(draw):
    n = unsettled(drawn(draw))
    score = n.forward(image(1, 3, 33, 49), keep=True)
    true, _ = ops.resize(n.values['score8'], (33, 49), align_corners=True)
    assert np.ptp(true) > 0
    assert abs(score - true).max() <= 1e-12 * abs(true).max()       # the same sums in another order


@pytest.mark.parametrize('draw', VGG + RESNET)
@pytest.mark.parametrize('size', [(38, 31), (1, 8)])
def test_at_any_size_every_eighth_pixel_has_its_own_score(draw, size):
    n = unsettled(drawn(draw))
    score = n.forward(image(1, 3, *size), keep=True)[:, :, ::8, ::8]
    own = n.values['score8'][:, :, :score.shape[2], :score.shape[3]]
    np.testing.assert_array_equal(score, own)


@pytest.mark.parametrize('draw, size', [(deeplab_largefov, (11, 453)), (deeplab_aspp, (517, 9))])
def test_tiles_equal_the_whole_image(draw, size):
    """Were the scores resized to the image, a tile would stretch otherwise than the whole."""
    n, x = unsettled(drawn(draw)), image(1, 3, *size)
    whole, core = argmax_mask(n.forward(x)), 6 * max_stride(n)
    assert max(size) > core + tile_margin(n), 'some tile does not see all of the image'
    assert len(np.unique(whole)) > 1
    tiled = join(iter_tiles(n, x, core), size, argmax_mask)
    np.testing.assert_array_equal(tiled['score'], whole)


def test_pspnet_refuses_tiles():
    n = drawn(pspnet)
    n.about['preprocess'] = dict(order='RGB', scale=1, mean=(0,) * 3, std=(1,) * 3)
    image = np.zeros((20, 30, 3), 'uint8')
    assert predict(n, image).shape == (20, 30)
    with pytest.raises(ValueError, match='averaged into 1×1 bins'):
        predict(n, image, max_memory=1)


# ---- how they train ----------------------------------------------------------------------------

@pytest.mark.parametrize('draw', VGG + RESNET)
def test_the_first_loss_may_be_taken_at_stride_8(draw):
    n, label = drawn(draw), RNG.integers(0, 21, (2, 25, 33))
    score8 = n.forward(image(2, 3, 25, 33), train=True, until='score8')
    loss, dscore8 = ops.softmax_cross_entropy(score8, label[:, ::8, ::8], reduce='mean')
    assert abs(loss - np.log(21)) < 1e-12
    moving = {name for name, grad in n.backward(score8=dscore8).items() if grad.any()}
    assert moving == {name for name in n.params if name.startswith('score8')}


@pytest.mark.parametrize('draw', VGG)
def test_they_take_the_convolutions_of_vgg16(draw):
    classifier, n = build('vgg16', width=1/16), drawn(draw)
    report = transplant(n, classifier.params)
    assert sorted(report.copied) == sorted(name for name in n.params if name.startswith('conv'))
    assert len(report.copied) == 2 * 13 and not report.reshaped


def test_the_batch_norm_of_deeplab_is_frozen():
    n = unsettled(drawn(deeplab_resnet101))
    before = {name: w.copy() for name, w in n.state.items()}
    score = n.forward(image(1, 3, 9, 10), train=True)
    grads = n.backward(score=np.ones_like(score))
    norms = {f'{name}.{own}' for name, box in n.boxes.items() if box.state for own in 'wb'}
    assert len(norms) == 2 * 104 and grads.keys() == n.params.keys() - norms
    for name, w in before.items():
        np.testing.assert_array_equal(n.state[name], w)


@needs_torch
def test_a_step_of_pspnet_equals_pytorch():
    """Of a batch, its batch norm learning and both heads seeded; without dropout."""
    n = unsettled(drawn(pspnet))
    n.drop5.kwargs['p'] = n.aux_drop.kwargs['p'] = 0.
    x = image(3, 3, 33, 26)
    params = {name: torch.tensor(w, requires_grad=True) for name, w in n.params.items()}
    state = {name: torch.tensor(w) for name, w in n.state.items()}
    still = SimpleNamespace(**{**vars(torch_oracle), 'dropout': lambda x, p, train: x})
    values = run(n, still, torch.tensor(x), params | state, train=True)
    ours = n.forward(x, train=True)
    assert ours.keys() == {'aux', 'score'}
    seeds = {head: RNG.standard_normal(y.shape) for head, y in ours.items()}
    sum((values[head] * torch.tensor(seed)).sum() for head, seed in seeds.items()).backward()
    grads = n.backward(**seeds)
    assert grads.keys() == params.keys()
    theirs = {**{head: values[head].detach() for head in ours}, **state,
              **{name: w.grad for name, w in params.items()}}
    for name, y in {**ours, **n.state, **grads}.items():
        true = theirs[name].numpy()
        assert abs(y - true).max() <= 1e-9 * max(1, abs(true).max()), name


def test_aux_is_for_training_only():
    n = drawn(pspnet)
    assert n.outputs() == ['aux', 'score'] and n.outputs(train=False) == ['score']
    with pytest.raises(ValueError, match=r'(?s)take a larger batch.*ppm/bn1 = batch_norm'):
        n.forward(image(1, 3, 40, 40), train=True)


# ---- gradients ---------------------------------------------------------------------------------

def test_deeplab_passes_check_net():
    report = check_net(drawn(deeplab_largefov, 1/64, n_class=3), image(1, 3, 13, 18), directions=1)
    assert report.ok, str(report)
    assert len(report.rows) == 1 + 2 * 16


def test_a_little_pspnet_passes_check_net():
    """One block a layer. A normalised value of few is steep, so the batch is of eighteen."""
    n = Net(3, 'float64', seed=2)
    x = resnet_trunk(n, 1/64, DEEP, blocks=(1, 1, 1, 1))
    auxiliary(n, n['layer3/0'], 3, 1/64)
    pyramid(n, x, 1/64)
    n.score8 = conv(n.ppm, 3, 1)
    n.score = upsample(n.score8, 2)
    report = check_net(n, image(18, 3, 9, 9), directions=1)
    assert report.ok, str(report)
    assert len(report.rows) == 1 + len(n.params)
