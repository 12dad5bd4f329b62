"""Weights for other programs: a state dict for torch, .safetensors and .npz."""
import builtins
import json
from importlib import import_module
from zipfile import ZipFile

import numpy as np
import pytest
from export_samples import CAFFE, TORCH, sample
from optional_deps import needs_torch, torch

import tinyfcn
from tinyfcn import ops, weights
from tinyfcn.files import require_own
from tinyfcn.weights import torch_pickle
from tinyfcn.weights.export import (
    export_net,
    is_prepared_as_in_torchvision,
    require_format,
    torchvision_layout,
)
from tinyfcn.weights.export.onnx_ops import TRANSLATIONS
from tinyfcn.weights.export.torch_file import save_state_dict
from tinyfcn.weights.export.torch_names import state_dict

TORCHVISION = ('vgg16', 'squeezenet', 'alexnet_torchvision', 'resnet50', 'resnet101',
               'fcn_resnet50', 'fcn_resnet101', 'deeplabv3_resnet50', 'deeplabv3_resnet101')
nn = torch and torch.nn


def assert_same_arrays(found, expected):
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array, err_msg=name, strict=True)


def arrays_of(net):
    return {**net.params, **net.state}


# ---- .npz and .safetensors ---------------------------------------------------------------------

def test_npz(tmp_path):
    net = sample('tiny_8s')
    export_net(net, tmp_path / 'net.npz')
    with np.load(tmp_path / 'net.npz') as found:
        assert json.loads(found['tinyfcn.json'])['build'] == net.about['build']
        assert_same_arrays({name: found[name] for name in found if name != 'tinyfcn.json'},
                           arrays_of(net))


def test_safetensors(tmp_path):
    net = sample('tiny_8s', CAFFE, dtype='float64')
    export_net(net, tmp_path / 'net.safetensors')
    found = tinyfcn.load(tmp_path / 'net.safetensors')
    assert_same_arrays(arrays_of(found), arrays_of(net))
    assert found.about['preprocess'] == CAFFE and found.dtype == 'float64'


# ---- .pth --------------------------------------------------------------------------------------

ODD = {'scalar': np.float32(3).reshape(()), 'empty': np.zeros((0, 3), 'float32'),
       'double': np.linspace(0, 1, 7), 'transposed': np.arange(6, dtype='float32').reshape(2, 3).T,
       'big endian': np.arange(3, dtype='>f4'), 'ü': np.ones((1, 1, 1, 1, 1), 'float32')}


def test_a_state_dict_is_read_back_here(tmp_path):
    save_state_dict(tmp_path / 'x.pth', ODD, {})
    found, _ = torch_pickle.load(tmp_path / 'x.pth')
    assert_same_arrays(found, {name: np.asarray(array, array.dtype.newbyteorder('='))
                               for name, array in ODD.items()})


@needs_torch
@pytest.mark.parametrize('mmap', [False, True])
def test_torch_reads_a_state_dict(tmp_path, mmap):
    save_state_dict(tmp_path / 'x.pth', ODD, {})
    found = torch.load(tmp_path / 'x.pth', weights_only=True, mmap=mmap)
    assert type(found).__name__ == 'OrderedDict' and [*found] == [*ODD]
    for name, tensor in found.items():
        assert tensor.is_contiguous() and not tensor.requires_grad
        np.testing.assert_array_equal(tensor.numpy(), ODD[name], err_msg=name)


@needs_torch
def test_it_holds_what_torch_itself_would_save(tmp_path):
    """The same members but for torch's own version, and the same values in them."""
    export_net(sample('tiny_8s'), tmp_path / 'ours.pth')
    torch.save(torch.load(tmp_path / 'ours.pth'), tmp_path / 'theirs.pth')
    with ZipFile(tmp_path / 'ours.pth') as ours, ZipFile(tmp_path / 'theirs.pth') as theirs:
        members = [name.partition('/')[2] for name in ours.namelist()]
        there = {name.partition('/')[2]: name for name in theirs.namelist()}
        assert {*members} - {'tinyfcn.json'} <= {*there}
        for name in members:
            if name not in ('data.pkl', 'tinyfcn.json'):
                assert ours.read(f'tinyfcn/{name}') == theirs.read(there[name]), name


@pytest.mark.parametrize('name', ['fcn8s', 'tiny_8s', 'googlenet'])
def test_other_nets_keep_their_names(name):
    """With PyTorch's words for weights and running statistics."""
    net = sample(name)
    found = state_dict(net)
    assert torchvision_layout(net) is None
    words = {'w': 'weight', 'b': 'bias', 'mean': 'running_mean', 'var': 'running_var'}
    for ours, array in arrays_of(net).items():
        box, short_name = ours.split('.')
        assert found[f'{box}.{words[short_name]}'] is array


# ---- the nets of torchvision -------------------------------------------------------------------

@pytest.mark.parametrize('name', TORCHVISION)
def test_torchvisions_names_are_read_back_as_the_same_net(tmp_path, name):
    net = sample(name)
    save_state_dict(tmp_path / 'net.pth', state_dict(net), {})      # and do not say which net it is
    arrays, about = weights.read(tmp_path / 'net.pth')
    assert about['source'].endswith(' of torchvision') and about['build']['name'] == name
    copy = tinyfcn.build(name, width=1/16, seed=None)
    report = weights.transplant(copy, arrays)
    assert not report.missing and not report.unused
    assert_same_arrays(arrays_of(copy), arrays_of(net))


def fire(c, squeezed, expanded):
    """torchvision's, of which each half of the output has a branch of its own."""
    class Fire(nn.Module):
        def __init__(self):
            super().__init__()
            self.squeeze = nn.Conv2d(c, squeezed, 1)
            self.expand1x1 = nn.Conv2d(squeezed, expanded, 1)
            self.expand3x3 = nn.Conv2d(squeezed, expanded, 3, padding=1)

        def forward(self, x):
            x = torch.relu(self.squeeze(x))
            return torch.relu(torch.cat([self.expand1x1(x), self.expand3x3(x)], 1))
    return Fire()


def features_and_classifier(features, classifier):
    class Classifier(nn.Module):
        def __init__(self):
            super().__init__()
            self.features = nn.Sequential(*features)
            self.classifier = nn.Sequential(*classifier)

        def forward(self, x):
            x = self.features(x)
            if isinstance(self.classifier[0], nn.Linear):
                x = x.flatten(1)
            return self.classifier(x).flatten(1)
    return Classifier()


def torch_vgg16():
    features = []
    c = 3
    for depth, count in (4, 2), (8, 2), (16, 3), (32, 3), (32, 3):
        for _ in range(count):
            features += [nn.Conv2d(c, depth, 3, padding=1), nn.ReLU()]
            c = depth
        features.append(nn.MaxPool2d(2))
    return features_and_classifier(features, [
        nn.Linear(49 * c, 256), nn.ReLU(), nn.Dropout(), nn.Linear(256, 256), nn.ReLU(),
        nn.Dropout(), nn.Linear(256, 1000)])


def torch_squeezenet():
    pool = [nn.MaxPool2d(3, 2, ceil_mode=True)]
    return features_and_classifier(
        [nn.Conv2d(3, 4, 3, 2), nn.ReLU(), *pool, fire(4, 2, 4), fire(8, 2, 4), *pool,
         fire(8, 2, 8), fire(16, 2, 8), *pool, fire(16, 4, 12), fire(24, 4, 12), fire(24, 4, 16),
         fire(32, 4, 16)],
        [nn.Dropout(), nn.Conv2d(32, 1000, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1)])


def torch_net(name):
    """torchvision's net at a sixteenth of its width, written out."""
    own = dict(vgg16=torch_vgg16, squeezenet=torch_squeezenet)
    if name in own:
        return own[name]()
    return import_module('torchvision_nets').torch_net(name, 1/16)


@needs_torch
@pytest.mark.parametrize('name', TORCHVISION)
def test_torchvisions_nets_load_them_and_score_the_same(tmp_path, name):
    net = sample(name)
    export_net(net, tmp_path / 'net.pth')
    theirs = torch_net(name).eval()
    theirs.load_state_dict(torch.load(tmp_path / 'net.pth', weights_only=True))     # strict
    size = (33, 41) if 'resnet' in name else (224, 224)
    x = np.random.default_rng(1).standard_normal((2, 3, *size)).astype('float32')
    with torch.no_grad():
        expected = theirs(torch.from_numpy(x))
    expected = (expected['out'] if isinstance(expected, dict) else expected).numpy()
    score = net.forward(x).reshape(expected.shape)
    assert abs(score - expected).max() <= 1e-5 * max(1, abs(expected).max())


def test_images_as_in_torchvision_are_told_from_others():
    assert is_prepared_as_in_torchvision(TORCH)
    for other in CAFFE, dict(TORCH, order='BGR'), dict(TORCH, scale=1.):
        assert not is_prepared_as_in_torchvision(other)


# ---- and back again ----------------------------------------------------------------------------

@pytest.mark.parametrize('suffix', ['.pth', '.npz', '.safetensors'])
@pytest.mark.parametrize('name, kwargs', [
    ('squeezenet', {}), ('fcn8s_at_once', dict(n_class=4)), ('deeplabv3_resnet50', {}),
    ('fcn16s', dict(up='learned')), ('nyud_rgb_hha_32s', {}), ('segnet', dict(dtype='float64')),
    ('fcn32s_fixed', dict(seed=7))], ids=str)
def test_tinyfcn_loads_what_it_has_exported(tmp_path, name, kwargs, suffix):
    """The same net, with the same preprocessing, which no name of a layer says."""
    net = sample(name, CAFFE, **kwargs)
    net.about['classes'] = [f'class {i}' for i in range(net.score.channels)]
    export_net(net, tmp_path / f'x{suffix}')
    found = tinyfcn.load(tmp_path / f'x{suffix}')
    assert_same_arrays(arrays_of(found), arrays_of(net))
    assert (found.seed, found.frozen, found.dtype) == (net.seed, net.frozen, net.dtype)
    assert {key: found.about[key] for key in net.about} == net.about


@pytest.mark.parametrize('note, message', [
    (b'[1]', "should be a dict"), (b'{', 'JSONDecodeError'), (b'[' * 100_000, 'RecursionError'),
    (b' ' * (9 << 20), 'longer than'), (b'{"build": 3}', "its entry 'build' is 3")],
    ids=['list', 'broken', 'deep', 'long', 'build'])
@pytest.mark.parametrize('suffix', ['.pth', '.npz'])
def test_a_note_of_somebody_else_is_refused(tmp_path, note, message, suffix):
    export_net(sample('tiny_8s'), tmp_path / f'x{suffix}')
    with (ZipFile(tmp_path / f'x{suffix}') as ours,
          ZipFile(tmp_path / f'y{suffix}', 'w') as theirs):
        for name in ours.namelist():
            theirs.writestr(name, note if name.endswith('tinyfcn.json') else ours.read(name))
    with pytest.raises(weights.FormatError, match=message):
        tinyfcn.load(tmp_path / f'y{suffix}')


# ---- every format ------------------------------------------------------------------------------

@pytest.mark.parametrize('name', ['a.pth', 'a.PT', 'a.npz', 'a.safetensors'])
def test_a_file_of_ours_may_be_replaced_and_is_the_same_again(tmp_path, name):
    path = tmp_path / name
    export_net(sample('tiny_8s'), path)
    before = path.read_bytes()
    require_own(path)
    export_net(sample('tiny_8s'), path)
    assert path.read_bytes() == before


def test_every_op_has_a_counterpart_in_onnx():
    parts_of_others = {'col2im', 'conv_matrix', 'dice_loss', 'focal_loss', 'im2col',
                       'softmax_cross_entropy'}
    assert {*TRANSLATIONS} == {*ops.__all__} - parts_of_others


def test_other_suffixes_are_refused():
    for name in 'net.tflite', 'net', '.onnx', 'x\x1b.h5':
        with pytest.raises(ValueError, match='name a file with the suffix .onnx, .pth') as error:
            require_format(name)
        assert '\x1b' not in str(error.value)


def test_a_size_is_for_onnx_only(tmp_path):
    for kwargs in dict(size=(2, 3)), dict(with_preprocess=True):
        with pytest.raises(ValueError, match='only an .onnx file'):
            export_net(sample('tiny_8s', CAFFE), tmp_path / 'net.npz', **kwargs)
    assert not [*tmp_path.iterdir()]


def test_without_the_package_onnx(tmp_path, monkeypatch):
    def refuse(name, *args, **kwargs):
        if name.split('.')[0] == 'onnx':
            raise ModuleNotFoundError(name=name)
        return original(name, *args, **kwargs)
    original = builtins.__import__
    monkeypatch.setattr(builtins, '__import__', refuse)
    with pytest.raises(ValueError, match=r'pip install .tinyfcn\[onnx\]'):
        export_net(sample('tiny_8s'), tmp_path / 'net.onnx')
    assert not [*tmp_path.iterdir()]
