"""torchvision's nets: weights saved by torch.save are loaded by name and give the same scores.

The nets in PyTorch are those of torchvision_nets.py, and at full width torchvision's own where it
is installed.
"""
import re
import warnings
from functools import cache
from importlib import import_module

import numpy as np
import pytest
from optional_deps import needs_torch, torch

from tinyfcn import build, ops, predict, weights

torchvision_nets = torch and import_module('torchvision_nets')

SEGMENTERS = {'fcn_resnet50': 'FCN on ResNet-50', 'fcn_resnet101': 'FCN on ResNet-101',
              'deeplabv3_resnet50': 'DeepLab v3 on ResNet-50',
              'deeplabv3_resnet101': 'DeepLab v3 on ResNet-101'}
CLASSIFIERS = {'resnet50': 'ResNet-50', 'resnet101': 'ResNet-101',
               'alexnet_torchvision': 'AlexNet'}
# as torchvision publishes them: all, without the auxiliary head
PARAMETERS = {'fcn_resnet50': (35_322_218, 32_957_013), 'fcn_resnet101': (54_314_346, 51_949_141),
              'deeplabv3_resnet50': (42_004_074, 39_638_869),
              'deeplabv3_resnet101': (60_996_202, 58_630_997),
              'resnet50': (25_557_032,) * 2, 'resnet101': (44_549_160,) * 2,
              'alexnet_torchvision': (61_100_840,) * 2}
WIDTH = 1/16
RNG = np.random.default_rng(8)


@cache
def blank(name):
    """A net with zero weights."""
    return build(name, seed=None, width=WIDTH)


def image(*size, dtype='float32', n=2):
    return RNG.standard_normal((n, 3, *size)).astype(dtype)


def torch_net(name, dtype='float32', **kwargs):
    net = torchvision_nets.randomise(torchvision_nets.torch_net(name, WIDTH, **kwargs))
    return net.to(getattr(torch, dtype)).eval()


def loaded(name, path, dtype='float32', **kwargs):
    """A net of ours with the weights of the file, and what `transplant` reports."""
    net = build(name, width=WIDTH, dtype=dtype, **kwargs)
    return net, weights.transplant(net, weights.read(path)[0])


def assert_close(ours, theirs, tol, what=None):
    theirs = theirs.detach().numpy()
    assert ours.shape == theirs.shape
    assert abs(ours - theirs).max() <= tol * abs(theirs).max(), what


# ---- the same architecture ---------------------------------------------------------------------

@pytest.mark.parametrize('name', PARAMETERS)
def test_parameters(name):
    sizes = {box: w.size for box, w in build(name, seed=None).params.items()}
    without_aux = sum(size for box, size in sizes.items() if not box.startswith('aux'))
    assert (sum(sizes.values()), without_aux) == PARAMETERS[name]


@pytest.mark.parametrize('name', SEGMENTERS)
def test_a_first_block_keeps_the_dilation_of_the_layer_before(name):
    net = blank(name)
    dilations = [[net[f'layer{layer}/{block}/conv2'].kwargs['dilation'] for block in (0, 1, 2)]
                 for layer in (1, 2, 3, 4)]
    assert dilations == [[1, 1, 1], [1, 1, 1], [1, 2, 2], [2, 4, 4]]
    last = net['layer4/2'].alignment
    assert last.scale == (8, 8) and last.shift == (0, 0)
    # 32 less than where all blocks of layer3 and layer4 have the dilation of the layer
    assert int(last.field[0]) == (1027 if '101' in name else 483) - 2 * 8 * (1 + 2) - 8


@pytest.mark.parametrize('name', SEGMENTERS)
def test_what_the_heads_read_and_drop(name):
    net = blank(name)
    first, dropped = ('classifier/0', .1) if 'fcn' in name else ('classifier/0/convs/0/0', .5)
    assert net['aux_classifier/0'].inputs == [f'layer3/{22 if "101" in name else 5}']
    assert net[first].inputs == ['layer4/2']
    rates = [box.kwargs['p'] for box in net.boxes.values() if box.op is ops.dropout]
    assert rates == [.1, dropped]                       # of aux, of score


def test_the_branches_of_deeplab():
    net = blank('deeplabv3_resnet50')
    convs = [net[f'classifier/0/convs/{i}/{int(i == 4)}'] for i in range(5)]
    assert [box.kwargs['dilation'] for box in convs] == [1, 12, 24, 36, 1]
    assert [box.kwargs['pad'] for box in convs] == [0, 12, 24, 36, 0]
    assert net['classifier/0/concat'].inputs == [
        *(f'classifier/0/convs/{i}/2' for i in range(4)), 'classifier/0/concat/resize1']
    resized = [box for box in net.boxes.values() if box.op is ops.resize]
    assert [(box.inputs, box.like, box.kwargs['align_corners']) for box in resized] == [
        (['aux_classifier/4'], 'data', False), (['classifier/0/convs/4/3'], 'layer4/2', False),
        (['classifier/4'], 'data', False)]


@pytest.mark.parametrize('h', [*range(1, 40), 223, 224, 225, 520])
def test_rows_of_the_scores_before_they_are_resized(h):
    """All strides round down, so 224 rows become 28. Were the pool to round up, it were 29."""
    assert blank('fcn_resnet50').sizes((h, 8))['classifier/4'] == (-(-h // 8), 1)


@pytest.mark.parametrize('name, why', [
    ('fcn_resnet50', 'score is classifier/4, stretched to the size of the image'),
    ('deeplabv3_resnet50', 'averaged into 1×1 bins')])
def test_tiles_are_refused(name, why):
    net = build(name, width=WIDTH)
    net.about['preprocess'] = dict(order='RGB', scale=1, mean=(0,) * 3, std=(1,) * 3)
    photo = np.zeros((20, 30, 3), 'uint8')
    assert predict(net, photo).shape == (20, 30)
    with pytest.raises(ValueError, match=why):
        predict(net, photo, max_memory=1)


# ---- the same scores ---------------------------------------------------------------------------

@needs_torch
@pytest.mark.parametrize('dtype, tol', [('float32', 1e-4), ('float64', 1e-9)])
@pytest.mark.parametrize('name', SEGMENTERS)
def test_scores_of_a_segmenter(tmp_path, name, dtype, tol):
    theirs = torch_net(name, dtype)
    torch.save(theirs.state_dict(), tmp_path / 'x.pth')
    about = weights.read(tmp_path / 'x.pth')[1]
    assert about['source'] == f'{SEGMENTERS[name]} of torchvision'
    assert about['preprocess'] == dict(order='RGB', scale=1/255, mean=(.485, .456, .406),
                                       std=(.229, .224, .225))
    assert about['shorter_side'] == 520
    ours, report = loaded(name, tmp_path / 'x.pth', dtype)
    assert not (report.unused or report.missing or report.reshaped)
    for size in (33, 41), (48, 64), (57, 30), (1, 9):
        x = image(*size, dtype=dtype)
        with torch.no_grad():
            expected = theirs(torch.from_numpy(x))['out']
        assert_close(ours.forward(x), expected, tol, size)
        assert abs(expected[0] - expected[1]).max() > .01 * abs(expected).max()


@needs_torch
@pytest.mark.parametrize('dtype, tol', [('float32', 1e-4), ('float64', 1e-9)])
@pytest.mark.parametrize('name', CLASSIFIERS)
def test_scores_of_a_classifier(tmp_path, name, dtype, tol):
    """The ResNets at every size; AlexNet's fully connected layers at its own."""
    theirs = torch_net(name, dtype)
    torch.save(theirs.state_dict(), tmp_path / 'x.pth')
    about = weights.read(tmp_path / 'x.pth')[1]
    assert about['source'] == f'{CLASSIFIERS[name]} of torchvision'
    assert about['preprocess']['order'] == 'RGB' and about['preprocess']['mean'][0] == .485
    ours, report = loaded(name, tmp_path / 'x.pth', dtype)
    assert not (report.unused or report.missing)
    for size in [(224, 224)] if 'alexnet' in name else [(224, 224), (65, 50)]:
        x = image(*size, dtype=dtype)
        with torch.no_grad():
            expected = theirs(torch.from_numpy(x))
        assert_close(ours.forward(x)[:, :, 0, 0], expected, tol, size)


@needs_torch
@pytest.mark.parametrize('name', SEGMENTERS)
def test_a_step_of_training(tmp_path, name):
    """Scores, the gradients of all weights and the new running statistics, without dropout."""
    theirs = torch_net(name, 'float64', n_class=5).train()
    torch.save(theirs.state_dict(), tmp_path / 'x.pth')
    ours, _ = loaded(name, tmp_path / 'x.pth', 'float64', n_class=5)
    for module in theirs.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.
    for box in ours.boxes.values():
        if box.op is ops.dropout:
            box.kwargs['p'] = 0.

    x = image(26, 33, dtype='float64', n=4)
    expected = theirs(torch.from_numpy(x))
    scores = ours.forward(x, train=True)
    assert scores.keys() == {'aux', 'score'}
    assert_close(scores['score'], expected['out'], 1e-9)
    assert_close(scores['aux'], expected['aux'], 1e-9)

    seeds = {output: RNG.standard_normal(y.shape) for output, y in scores.items()}
    (torch.sum(expected['out'] * torch.from_numpy(seeds['score']))
     + torch.sum(expected['aux'] * torch.from_numpy(seeds['aux']))).backward()
    grads = ours.backward(**seeds)
    assert grads.keys() == ours.params.keys()
    for theirs_name, w in theirs.named_parameters():
        assert_close(grads[our_name(theirs_name)], w.grad, 1e-9, theirs_name)
    for theirs_name, array in theirs.named_buffers():
        if 'num_batches' not in theirs_name:
            assert_close(ours.state[our_name(theirs_name)], array, 1e-9, theirs_name)


def our_name(name):
    """backbone.layer1.0.bn1.running_mean -> layer1/0/bn1.mean"""
    box, _, array = name.removeprefix('backbone.').rpartition('.')
    return box.replace('.', '/') + '.' + {'weight': 'w', 'bias': 'b', 'running_mean': 'mean',
                                          'running_var': 'var'}[array]


# ---- files that have less, or other classes ----------------------------------------------------

@needs_torch
@pytest.mark.parametrize('name', ['fcn_resnet50', 'deeplabv3_resnet50'])
def test_a_file_without_the_auxiliary_head(tmp_path, name):
    theirs = torch_net(name)
    torch.save(torchvision_nets.without_aux(theirs.state_dict()), tmp_path / 'x.pth')
    ours, report = loaded(name, tmp_path / 'x.pth')
    assert {re.sub(r'\..*', '', array) for array in report.missing} == \
        {'aux_classifier/0', 'aux_classifier/1', 'aux_classifier/4'}
    x = image(40, 24)
    with torch.no_grad():
        assert_close(ours.forward(x), theirs(torch.from_numpy(x))['out'], 1e-4)


@needs_torch
@pytest.mark.parametrize('name', ['fcn_resnet50', 'deeplabv3_resnet50'])
def test_for_other_classes_all_but_the_scores_is_copied(tmp_path, name):
    torch.save(torch_net(name).state_dict(), tmp_path / 'x.pth')
    ours, report = loaded(name, tmp_path / 'x.pth', n_class=8)
    heads = [f'{head}/4.{array}' for head in ('aux_classifier', 'classifier') for array in 'wb']
    assert sorted(report.unused) == sorted(heads) and not report.missing
    assert not ours.forward(image(9, 17)).any()         # the new scores begin at zero


@needs_torch
def test_resnets_fill_the_trunk_of_a_segmenter(tmp_path):
    torch.save(torch_net('resnet50').state_dict(), tmp_path / 'x.pth')
    ours, report = loaded('deeplabv3_resnet50', tmp_path / 'x.pth')
    assert report.unused == ['fc.w', 'fc.b']
    assert all('classifier/' in name for name in report.missing)
    deeper, report = loaded('fcn_resnet101', tmp_path / 'x.pth')
    assert 'layer3/6/conv1.w' in report.missing and 'layer3/5/conv1.w' in report.copied


# ---- torchvision itself ------------------------------------------------------------------------

@pytest.fixture(scope='module')
def torchvision_models():
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        try:
            models = import_module('torchvision.models')
        except (ImportError, OSError, RuntimeError) as error:   # it is there, for another PyTorch
            pytest.skip(f'torchvision cannot be imported: {error}')
    segmentation = import_module('torchvision.models.segmentation')

    def make(name):
        if name in SEGMENTERS:
            return getattr(segmentation, name)(weights=None, weights_backbone=None, aux_loss=True)
        return getattr(models, name.removesuffix('_torchvision'))(weights=None)
    return make


@needs_torch
@pytest.mark.parametrize('name', PARAMETERS)
def test_the_nets_of_these_tests_are_torchvisions(torchvision_models, name):
    own = torchvision_nets.randomise(torchvision_nets.torch_net(name)).eval()
    theirs = torchvision_models(name).eval()
    theirs.load_state_dict(own.state_dict())            # raises unless names and shapes are equal
    assert [*theirs.state_dict()] == [*own.state_dict()]
    x = torch.from_numpy(image(224, 224, n=1) if name in CLASSIFIERS else image(65, 50, n=1))
    with torch.no_grad():
        expected, got = theirs(x), own(x)
    pairs = [(expected[key], got[key]) for key in ('out', 'aux')] if name in SEGMENTERS else \
        [(expected, got)]
    for one, other in pairs:
        assert_close(other.numpy(), one, 1e-5)
