"""State dicts as they are found: nested in checkpoints, in half precision, beside other things."""
import argparse
import sys
from collections import Counter, OrderedDict, defaultdict
from datetime import datetime
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from optional_deps import needed
from weights_samples import floats

from tinyfcn import weights
from tinyfcn.weights import FormatError, torch_pickle
from tinyfcn.weights.layouts import CAFFENET, FIRE

FORMS = pytest.mark.parametrize('zipped', [True, False], ids=['zip', 'older'])
PROTOCOLS = pytest.mark.parametrize('protocol', [2, 4, 5])
ARRAYS = {'conv1.weight': floats(3, 2), 'conv1.bias': floats(3)}


@pytest.fixture
def save(tmp_path):
    torch = needed('torch')

    def save(saved, zipped=True, protocol=2):
        torch.save(saved, tmp_path / 'x.pth', pickle_protocol=protocol,
                   _use_new_zipfile_serialization=zipped)
        return tmp_path / 'x.pth'
    return save


def tensors(arrays=ARRAYS):
    torch = needed('torch')
    return OrderedDict((name, torch.from_numpy(array)) for name, array in arrays.items())


def assert_read(path, expected=ARRAYS):
    arrays, about = torch_pickle.load(path)
    assert arrays.keys() == expected.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(array, expected[name], strict=True)
    return about


@pytest.mark.parametrize('keys', [
    ['state_dict'], ['model'], ['model_state_dict'], ['model_state'], ['net'], ['network'],
    ['weights'], ['params'], ['module'], ['model', 'state_dict'], ['net', 'module', 'params']],
    ids='.'.join)
def test_a_state_dict_is_found_in_a_checkpoint(save, keys):
    saved = tensors()
    optimizer = {'state': {0: {'momentum': saved['conv1.bias']}}}
    for key in reversed(keys):
        saved = {'epoch': 3, key: saved, 'optimizer': optimizer}
    assert_read(save(saved))


def test_a_tensor_beside_the_state_dict_is_not_taken_for_it(save):
    torch = needed('torch')
    assert_read(save({'step': torch.tensor(3), 'state_dict': tensors(), 'loss': torch.ones(2)}))


@FORMS
@PROTOCOLS
def test_what_programs_save_beside_the_weights(save, zipped, protocol):
    """pytorch-fcn's trainer, torchvision's references, and others: none of it is made."""
    torch = needed('torch')
    layer = torch.nn.Linear(2, 3)
    optimizer = torch.optim.Adam(layer.parameters())
    layer(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    scheduler = torch.optim.lr_scheduler.MultiStepLR(optimizer, [3, 5])
    about = assert_read(save({
        'epoch': 3, 'arch': 'FCN8sAtOnce', 'best_mean_iu': np.float64(.65),
        'history': np.arange(3), 'single': np.float32(2),
        'args': argparse.Namespace(lr=1e-3, data=Path('voc'), device=torch.device('cpu')),
        'counts': Counter('aab'), 'logs': defaultdict(list, loss=[1., 2.]),
        'size': torch.Size([3, 4]), 'dtype': torch.float16,
        'date': datetime(2026, 11, 30),
        'model_state_dict': tensors(), 'optim_state_dict': optimizer.state_dict(),
        'lr_scheduler': scheduler.state_dict()}, zipped, protocol))
    assert about == dict(arch='FCN8sAtOnce')


def test_a_checkpoint_of_lightning(save, monkeypatch):
    """Its options are a class of its own, which need not be installed."""
    name = 'lightning_fabric.utilities.data'
    module = ModuleType(name)
    for depth in range(1, 4):
        monkeypatch.setitem(sys.modules, name.rsplit('.', 3 - depth)[0], module)
    module.AttributeDict = type('AttributeDict', (dict,), dict(__module__=name))
    path = save({
        'epoch': 1, 'pytorch-lightning_version': '2.5', 'callbacks': {'ModelCheckpoint': {'k': 1}},
        'hyper_parameters': module.AttributeDict(lr=1e-3, layers=[3, 4]), 'hparams_name': 'kwargs',
        'state_dict': tensors({f'model.{name}': w for name, w in ARRAYS.items()})})
    assert_read(path, {f'model.{name}': w for name, w in ARRAYS.items()})


def test_what_is_dropped_has_limits_too(save):
    class Call:
        def __reduce__(self):
            return argparse.Namespace, tuple(range(9))
    with pytest.raises(FormatError, match='its pickle calls something with'):
        torch_pickle.load(save({'model': tensors(), 'x': Call()}))


def test_objects_of_other_classes_are_refused(save):
    torch = needed('torch')
    with pytest.raises(FormatError, match=r'would run torch\.nn\.modules.*nothing was run'):
        torch_pickle.load(save({'model': torch.nn.Linear(2, 2)}))


# ---- precision

@pytest.mark.parametrize('dtype', ['float16', 'bfloat16', 'float32', 'float64'])
@pytest.mark.parametrize('writer', ['torch', 'safetensors', 'npz'])
def test_half_precision_becomes_single(tmp_path, dtype, writer):
    torch = needed('torch')
    arrays = {f'module.{box}.weight': floats(2, 2, 1, 1) for box in ('conv1', *FIRE, 'conv10')}
    path = tmp_path / 'x'
    typed = {name: torch.from_numpy(array).to(getattr(torch, dtype))
             for name, array in arrays.items()}
    if writer == 'torch':
        torch.save(typed, path)
    elif writer == 'safetensors':
        needed('safetensors.torch').save_file(typed, path)
    elif dtype == 'bfloat16':
        pytest.skip('NumPy has no bfloat16')
    else:
        with path.open('wb') as file:
            np.savez(file, **{name: tensor.numpy() for name, tensor in typed.items()})
    read, about = weights.read(path)
    assert about['source'] == 'SqueezeNet v1.1, npz'
    for name, tensor in typed.items():
        array = read[name.removeprefix('module.').replace('.weight', '.w')]
        assert array.dtype == ('float64' if dtype == 'float64' else 'float32')
        np.testing.assert_array_equal(array, tensor.double().numpy())


def test_a_prefix_in_a_nested_state_dict(save):
    names = {f'features.{i}': box for i, box in zip((0, 3, 6, 8, 10), CAFFENET)}
    saved = {f'module.{name}.weight': floats(3, 3, 1, 1) for name in names}
    arrays, about = weights.read(save({'state_dict': tensors(saved), 'epoch': 1}))
    assert [*arrays] == [f'{box}.w' for box in CAFFENET]
    assert about['source'] == 'AlexNet of torchvision'
