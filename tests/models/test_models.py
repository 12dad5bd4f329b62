"""Every net of the paper: its numbers, its sizes, its gradients, and the same net in PyTorch."""
import re
from functools import cache, partial

import autograd_ops
import numpy as np
import pytest
from autograd import value_and_grad
from optional_deps import needs_torch, torch, torch_oracle
from oracle_net import run

from tinyfcn import Net, build, load, ops
from tinyfcn.geometry import pool_size
from tinyfcn.gradcheck import check_net
from tinyfcn.layers import add, conv, crop, max_pool, relu, upsample
from tinyfcn.models import NETS
from tinyfcn.net.summary import depth

CLASSIFIERS = [name for name in NETS if NETS[name].n_class == 1000]
# their scores lie otherwise, or are products: test_decoders has them
OWN = 'cae', 'deconvnet', 'edeconvnet', 'unet'
SEGMENTERS = [name for name in NETS if name not in (*CLASSIFIERS, *OWN)]
RNG = np.random.default_rng(5)


@cache
def blank(name):
    """The full net with zero weights."""
    return build(name, seed=None)


def unsettled(net):
    """Small random numbers for every bias and score layer: zeros hide what is behind them."""
    for w in net.params.values():
        if not w.any():
            w += .1 * RNG.standard_normal(w.shape).astype(w.dtype)
    return net


def image(name, *size, dtype='float32'):
    return RNG.standard_normal((1, NETS[name][1], *size)).astype(dtype)


# ---- the paper's numbers -----------------------------------------------------------------------

PARAMETERS = dict(
    vgg16=138_357_544, alexnet=60_965_224, googlenet=6_998_552, squeezenet=1_235_496,
    resnet101=44_549_160,
    fcn32s=134_346_581, fcn32s_fixed=134_346_581, fcn16s=134_357_354, fcn8s=134_362_751,
    fcn8s_at_once=134_362_751, fcn_alexnet=56_954_261, fcn_googlenet=5_995_077,
    fcn_alexnet_torchvision=57_089_877,
    fcn_googlenet_16s=5_995_077 + 832 * 21 + 21, fcn_googlenet_8s=5_995_077 + (832 + 480) * 21 + 42,
    fcn_googlenet_4s=5_995_077 + (832 + 480 + 192) * 21 + 63,
    nyud_rgb_32s=134_424_424, nyud_hha_32s=134_424_424, nyud_rgbd_32s=134_424_424 + 576,
    nyud_rgb_hha_32s=2 * 134_424_424, siftflow_32s=134_408_036)


@pytest.mark.parametrize('name', PARAMETERS)
def test_parameters(name):
    assert sum(w.size for w in blank(name).params.values()) == PARAMETERS[name]


@pytest.mark.parametrize('name, added', [('fcn32s', 1_806_336), ('fcn16s', 458_640),
                                         ('fcn8s', 127_008), ('fcn_alexnet', 1_750_329)])
def test_learned_upsampling_adds_a_dense_deconvolution(name, added):
    n = build(name, seed=None, up='learned')
    assert sum(w.size for w in n.params.values()) == PARAMETERS[name] + added
    assert n.sizes((375, 500)) == blank(name).sizes((375, 500))


@pytest.mark.parametrize('name, layers, field, seen_by, crops', [
    ('fcn_alexnet', 8, 355, 'score_fr', [18]),
    ('fcn_alexnet_torchvision', 8, 355, 'score_fr', [18]),
    ('fcn32s', 16, 404, 'score_fr', [19]),
    ('fcn16s', 16, 404, 'score_fr', [5, 27]),
    ('fcn8s', 16, 404, 'score_fr', [5, 9, 31]),
    ('fcn_googlenet', 22, 715, 'score_fr', [98]),
    ('googlenet', 22, 907, 'pool5/7x7_s1', []),             # what the paper counts
    ('siftflow_8s', 16, 404, 'score_fr_geo', [5, 9, 31] * 2),
    ('nyud_rgb_hha_16s', 16, 404, 'score_fused', [5, 27]),
    ('fcn_squeezenet_4s', 18, 207, 'score_fr', [0, 0, 8]),
    ('fcn_googlenet_16s', 22, 715, 'score_fr', [0, 17]),
    ('fcn_googlenet_8s', 22, 715, 'score_fr', [0, 0, 17]),
    ('fcn_googlenet_4s', 22, 715, 'score_fr', [0, 0, 0, 17]),
])
def test_depth_field_stride_and_crops(name, layers, field, seen_by, crops):
    n = blank(name)
    place = n[seen_by].alignment
    assert depth(n) == layers
    assert place.field == (field, field)
    assert place.scale[0] == (16 if 'squeeze' in name else 32)
    assert [box.kwargs['offset'] for box in n.boxes.values() if 'offset' in box.kwargs] == \
        [(offset, offset) for offset in crops]


# ---- sizes -------------------------------------------------------------------------------------

# of the reference nets: H -> conv1_1, pool1 … pool5, fc6, and what is upscored
SIZES = {1: (199, 100, 50, 25, 13, 7, 1, 64, 4, 80, 10, 88),
         224: (422, 211, 106, 53, 27, 14, 8, 288, 18, 304, 38, 312),
         333: (531, 266, 133, 67, 34, 17, 11, 384, 24, 400, 50, 408),
         375: (573, 287, 144, 72, 36, 18, 12, 416, 26, 432, 54, 440),
         500: (698, 349, 175, 88, 44, 22, 16, 544, 34, 560, 70, 568),
         640: (838, 419, 210, 105, 53, 27, 21, 704, 44, 720, 90, 728)}


@pytest.mark.parametrize('h', SIZES)
def test_sizes_of_the_reference_nets(h):
    nets = [blank(name).sizes((h, 500)) for name in ('fcn32s', 'fcn16s', 'fcn8s')]
    eight, boxes = nets[2], ['conv1_1', 'pool1', 'pool2', 'pool3', 'pool4', 'pool5', 'fc6']
    have = [eight[box][0] for box in boxes]
    have += [nets[0]['upscore'][0], eight['upscore2'][0], nets[1]['upscore16'][0],
             eight['upscore_pool4'][0], eight['upscore8'][0]]
    assert tuple(have) == SIZES[h]


@pytest.mark.parametrize('h, boxes', [(500, (173, 86, 43, 21, 16, 543)),
                                      (375, (142, 71, 35, 17, 12, 415))])
def test_sizes_of_alexnet(h, boxes):
    sizes = blank('fcn_alexnet').sizes((h, h))
    assert tuple(sizes[name][0] for name in ('conv1', 'pool1', 'pool2', 'pool5', 'fc6',
                                             'upscore')) == boxes
    assert blank('alexnet').sizes((227, 227))['fc8'] == (1, 1)


@pytest.mark.parametrize('name', SEGMENTERS)
def test_the_score_has_the_size_of_the_image_for_every_height(name):
    n = blank(name)
    for h in range(1, 601):
        sizes = n.sizes((h, 2 * h + 1))
        assert all(sizes[score] == (h, 2 * h + 1) for score in n.outputs()), h


@pytest.mark.parametrize('size, conv1, pool1, layer4', [
    ((224, 224), (112, 112), (56, 56), (7, 7)), ((64, 96), (32, 48), (16, 24), (2, 3)),
    ((225, 225), (113, 113), (57, 57), (8, 8)), ((33, 41), (17, 21), (9, 11), (2, 2))])
def test_sizes_of_torchvisions_resnet(size, conv1, pool1, layer4):
    """7×7, 3×3 and 3×3 windows of stride 2, all rounded down. Rounded up, 112 rows become 57."""
    sizes = blank('resnet101').sizes(size)
    assert (sizes['conv1'], sizes['pool1'], sizes['layer4/2']) == (conv1, pool1, layer4)
    assert sizes['score'] == (1, 1)


def test_pools_that_round_down_lose_rows():
    """With floor, FCN-32s' upscored map is too small for 500 and 375, and fits 224 by luck."""
    n = build('fcn32s', seed=None, width=1/64)
    for box in n.boxes.values():
        if box.op is ops.max_pool:
            box.kwargs['ceil'], box.output_size = False, partial(pool_size, ksize=2, ceil=False)
    assert n.sizes((224, 224))['score'] == (224, 224)
    for h in 500, 375:
        with pytest.raises(ValueError, match=rf'(?s){h}×{h} at offset \(19, 19\).*score = crop'):
            n.sizes((h, h))


@pytest.mark.parametrize('name', SEGMENTERS)
def test_real_images_of_a_dozen_sizes(name):
    n = build(name, width=1/64)
    for size in [(1, 1), (1, 2), (2, 9), (5, 5), (17, 1), (16, 16), (31, 32), (33, 63), (40, 50),
                 (64, 64), (65, 3), (75, 100)]:
        score = n.forward(image(name, *size))
        for y in score.values() if isinstance(score, dict) else [score]:
            assert y.shape[2:] == size
    nothing = n.forward(image(name, 40, 50)[:0])
    for y in nothing.values() if isinstance(nothing, dict) else [nothing]:
        assert y.shape[0] == 0 and y.shape[2:] == (40, 50)


# ---- how training begins -----------------------------------------------------------------------

@pytest.mark.parametrize('name', SEGMENTERS)
def test_the_first_loss_is_ln_of_the_classes_and_only_scores_get_gradients(name):
    n = build(name, width=1/16)
    x = np.concatenate([image(name, 40, 30) for _ in range(2)])     # one has no variance in bins
    scores = n.forward(x, train=True)
    scores = scores if isinstance(scores, dict) else {'score': scores}
    seeds = {}
    for head, score in scores.items():
        classes = score.shape[1]
        label = RNG.integers(0, classes, (2, 40, 30))
        loss, seeds[head] = ops.softmax_cross_entropy(score, label, reduce='mean')
        assert abs(loss - np.log(classes)) < 1e-6
    moving = {name for name, grad in n.backward(**seeds).items() if grad.any()}
    assert moving == {name for name in n.params if re.search('score|classifier/4', name)}


def test_googlenet_may_be_trained_with_auxiliary_scores():
    n = build('fcn_googlenet_8s', n_class=4, width=1/16, aux=True)
    x = image('fcn_googlenet_8s', 33, 38)
    scores = n.forward(x, train=True)
    assert {name: score.shape for name, score in scores.items()} == dict.fromkeys(
        ['score', 'aux_4a', 'aux_4d'], (1, 4, 33, 38))
    grads = n.backward(**{name: np.ones_like(score) for name, score in scores.items()})
    assert grads['aux_score_4a.w'].any() and grads['aux_score_4d.w'].any()
    assert n.outputs(train=False) == ['score'] and n.forward(x).shape == (1, 4, 33, 38)


def test_fcn32s_fixed_trains_only_its_scores():
    n = build('fcn32s_fixed', width=1/64)
    score = n.forward(image('fcn32s', 9, 9), train=True)
    assert set(n.backward(score=np.ones_like(score))) == {'score_fr.w', 'score_fr.b'}


def test_a_zero_skip_leaves_the_coarse_scores_on_their_pixels():
    """Up by 2 and by 16 equals up by 32 on a ramp; a crop that is off by one shows as 1/32."""
    scores = {}
    for name in 'fcn32s', 'fcn16s', 'fcn8s':
        n = build(name, n_class=1, width=1/64)
        walk = n.walk(image(name, 200, 232))
        for box, y in walk:
            if box.name == 'score_fr':                  # a lesson may reach into a walk
                n.values['score_fr'] = np.zeros_like(y) + np.arange(y.shape[3], dtype='float32')
        scores[name] = n.values['score'][0, 0, 60:140, 60:170]
    assert np.ptp(scores['fcn32s'][0]) > 3
    np.testing.assert_allclose(scores['fcn16s'], scores['fcn32s'], atol=1e-5)
    np.testing.assert_allclose(scores['fcn8s'], scores['fcn32s'], atol=1e-5)


# ---- fully connected is a convolution ----------------------------------------------------------

def test_every_cell_of_fc6_is_the_dense_layer_on_its_window():
    n = unsettled(build('vgg16', width=1/32, dtype='float64'))
    n.forward(image('vgg16', 256, 288, dtype='float64'), keep=True)
    pool5, fc6 = n.values['pool5'][0], n.values['fc6'][0]
    dense, b = n.params['fc6.w'].reshape(len(fc6), -1), n.params['fc6.b']
    assert fc6.shape[1:] == (2, 3)
    for i, j in np.ndindex(2, 3):
        cell = dense @ pool5[:, i:i + 7, j:j + 7].ravel() + b
        np.testing.assert_allclose(fc6[:, i, j], cell, rtol=1e-11, atol=1e-12)


def test_without_padding_every_cell_is_the_classifier_on_its_crop():
    """With padding it is not: inside the image a cell sees pixels where its crop sees zeros."""
    def classifier(pad):
        n = Net(2, 'float64', seed=3)
        n.conv1 = conv(n.data, 4, 3, pad=pad)
        n.pool1 = max_pool(relu(n.conv1), 2)
        n.score = conv(n.pool1, 3, 3)
        return unsettled(n)

    x = RNG.standard_normal((1, 2, 14, 12))
    for pad, agrees in (0, True), (1, False):
        n = classifier(pad)
        place, cells = n.score.alignment, n.forward(x)[0]
        field = int(place.field[0]) - 2 * pad
        for i, j in [(1, 1), (2, 1)]:
            top, left = (int(s * k + b - (f - 1) / 2) + pad for s, k, b, f in
                         zip(place.scale, (i, j), place.shift, place.field))
            alone = n.forward(x[:, :, top:top + field, left:left + field])[0, :, 0, 0]
            assert np.allclose(alone, cells[:, i, j]) == agrees


# ---- gradients of whole nets -------------------------------------------------------------------

def test_fcn8s_passes_check_net():
    # chosen for it: among so many units some images put one within 1e-6 of its kink
    x = np.random.default_rng(0).standard_normal((1, 3, 19, 24))
    report = check_net(build('fcn8s', width=1/32, n_class=5), x)
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
    n, x = little_fcn(), RNG.standard_normal((2, 2, 7, 9))
    label = RNG.integers(0, 3, (2, 7, 9))
    label[0, :2] = 255
    score = n.forward(x, train=True)
    loss, dscore = ops.softmax_cross_entropy(score, label)
    grads = n.backward(score=dscore)

    def objective(params):
        return autograd_ops.softmax_cross_entropy(run(n, autograd_ops, x, params)['score'], label)

    true_loss, true_grads = value_and_grad(objective)(n.params)
    assert abs(loss - true_loss) <= 1e-9 * loss
    assert set(grads) == set(true_grads)
    for name, grad in true_grads.items():
        assert abs(grads[name] - grad).max() <= 1e-9 * max(1, abs(grad).max()), name


# ---- the same net in PyTorch -------------------------------------------------------------------

def in_torch(net, x):
    params = {name: torch.tensor(w, requires_grad=True) for name, w in net.params.items()}
    state = {name: torch.tensor(w) for name, w in net.state.items()}
    values = run(net, torch_oracle, torch.tensor(x), params | state)
    return {name: values[name] for name in net.outputs(train=False)}, params


@needs_torch
@pytest.mark.parametrize('name', ['fcn32s', 'fcn16s', 'fcn8s'])
def test_float32_scores_equal_pytorch(name):
    n = unsettled(build(name, width=1/16))
    x = image(name, 45, 52)
    score = in_torch(n, x)[0]['score'].detach().numpy()
    assert abs(n.forward(x) - score).max() <= 1e-4 * abs(score).max()


@needs_torch
@pytest.mark.parametrize('name', [*CLASSIFIERS, *SEGMENTERS])
def test_float64_scores_and_gradients_equal_pytorch(name):
    n = unsettled(build(name, width=1/16, dtype='float64'))
    if name in CLASSIFIERS:
        x = image(name, 227, 230, dtype='float64')
    else:
        x = image(name, 33, 38, dtype='float64')
    scores, params = in_torch(n, x)
    dscores = {head: RNG.standard_normal(score.shape) for head, score in scores.items()}
    sum((score * torch.tensor(dscores[head])).sum() for head, score in scores.items()).backward()
    ours = n.forward(x, keep=True)                  # without dropout, and yet with all caches
    ours = ours if isinstance(ours, dict) else {'score': ours}
    for head, score in scores.items():
        true = score.detach().numpy()
        assert abs(ours[head] - true).max() <= 1e-9 * abs(true).max()
    n.frozen = set()
    grads = n.backward(**dscores)
    assert set(grads) >= {name for name in params if name.startswith('score')}
    for name, grad in grads.items():
        true = params[name].grad.numpy()
        assert abs(grad - true).max() <= 1e-9 * max(1, abs(true).max()), name


# ---- build -------------------------------------------------------------------------------------

def test_channels_classes_dtype_and_names():
    n = build('fcn32s', n_class=5, channels=6, width=1/64, dtype='float64')
    assert n.forward(np.zeros((2, 6, 9, 8))).shape == (2, 5, 9, 8)
    with pytest.raises(ValueError, match="no net called 'fcn4s'; did you mean 'fcn8s'. there are"):
        build('fcn4s')
    with pytest.raises(ValueError, match="up is 'lerned': 'fixed' or 'learned'"):
        build('fcn8s', up='lerned')


@pytest.mark.parametrize('name', ['fcn8s', 'squeezenet'])
@pytest.mark.parametrize('wrong, error, why', [
    (dict(n_class=0), ValueError, 'n_class is 0: it must be at least 1'),
    (dict(n_class=-1), ValueError, 'n_class is -1: it must be at least 1'),
    (dict(n_class='4'), TypeError, "n_class is '4': an integer is needed"),
    (dict(n_class=2.5), TypeError, 'n_class is 2.5: an integer is needed'),
    (dict(channels=0), ValueError, 'channels is 0: it must be at least 1'),
    (dict(channels=-3), ValueError, 'channels is -3: it must be at least 1'),
    (dict(channels='3'), TypeError, "channels is '3': an integer is needed"),
    (dict(width=0), ValueError, 'width is 0: a finite number above 0 is needed'),
    (dict(width=-1), ValueError, 'width is -1: a finite number above 0'),
    (dict(width=float('nan')), ValueError, 'width is nan: a finite number above 0'),
    (dict(width=float('inf')), ValueError, 'width is inf: a finite number above 0'),
    (dict(width='a'), TypeError, "width is 'a': a finite number above 0"),
    (dict(width=None), TypeError, 'width is None: a finite number above 0'),
    (dict(width=True), TypeError, 'width is True: a finite number above 0'),
    (dict(dtype='int64'), ValueError, "dtype is 'int64': a net computes in 'float32' or 'float64'"),
    (dict(dtype='float16'), ValueError, "dtype is 'float16'"),
    (dict(dtype='nonsense'), ValueError, "dtype is 'nonsense'"),
    (dict(dtype=None), ValueError, 'dtype is None'),
    (dict(seed=-1), ValueError, 'seed is -1: an integer of 0 or more, or None'),
    (dict(seed='a'), ValueError, "seed is 'a': an integer of 0 or more"),
    (dict(seed=.5), ValueError, 'seed is 0.5: an integer of 0 or more'),
    (dict(stem=3), TypeError, "has no variant 'stem'"),
    (dict(n=3), TypeError, "has no variant 'n'"),
])
def test_build_refuses_what_makes_no_net(name, wrong, error, why):
    with pytest.raises(error, match=why):
        build(name, **{'width': 1/64, **wrong})


@pytest.mark.parametrize('name', [5, None, ['fcn8s']])
def test_build_refuses_what_is_no_name(name):
    with pytest.raises(ValueError, match='no net called .*there are vgg16, '):
        build(name)


@pytest.mark.parametrize('up', [None, 5, ['learned']])
def test_build_refuses_what_is_no_way_to_upsample(up):
    with pytest.raises(ValueError, match="up is .*: 'fixed' or 'learned'"):
        build('fcn8s', up=up)


def test_a_variant_that_a_net_lacks_is_refused_with_those_it_has():
    with pytest.raises(TypeError, match="^fcn8s has no variant 'down'; it has up$"):
        build('fcn8s', down='learned')
    with pytest.raises(TypeError, match="^vgg16 has no variant 'up'; it has none$"):
        build('vgg16', up='learned')
    with pytest.raises(TypeError, match="^siftflow_8s has no variant 'head'; it has none$"):
        build('siftflow_8s', head=None)             # part of the name


@pytest.mark.parametrize('name', NETS)
def test_every_net_refuses_a_width_of_nothing(name):
    with pytest.raises(ValueError, match='width is 0'):
        NETS[name].draw(Net(NETS[name].channels), width=0)


def test_numbers_of_numpy_are_saved_as_those_of_python(tmp_path):
    n = build('fcn32s', n_class=np.int64(3), channels=np.uint8(3), width=np.float32(1/64),
              seed=np.int32(2), dtype=np.float64)
    n.save(tmp_path / 'x')
    assert load(tmp_path / 'x').about['build'] == \
        dict(name='fcn32s', n_class=3, channels=3, width=1/64)
