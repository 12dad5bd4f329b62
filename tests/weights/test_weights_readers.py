"""Files of the official writers are read back equal; what they must not hold is refused."""
import builtins
import os
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
from optional_deps import needed
from weights_samples import (
    LITTLE_CAFFE,
    LITTLE_KERAS,
    as_numpy,
    caffemodel,
    floats,
    keras_file,
    state_dict,
    tent,
)

from tinyfcn import weights
from tinyfcn.weights import FormatError, caffe, file, keras_h5, npz, torch_pickle


def equal(arrays, expected):
    assert arrays.keys() == expected.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(array, expected[name], strict=True)
        assert array.flags.writeable and array.flags.c_contiguous, name


# ---- Caffe

def caffe_load(folder, layers, **how):
    (folder / 'x.caffemodel').write_bytes(caffemodel(layers, **how))
    assert file.kind(folder / 'x.caffemodel') == 'caffe'
    return caffe.load(folder / 'x.caffemodel')


@pytest.mark.parametrize('how', [{}, dict(old_shapes=True), dict(doubles=True),
                                 dict(v1=True), dict(v1=True, old_shapes=True)], ids=str)
def test_both_generations_of_caffe(tmp_path, how):
    arrays, about = caffe_load(tmp_path, LITTLE_CAFFE, **how)
    equal(arrays, {f'{name}.{end}': array for name, _, blobs in LITTLE_CAFFE
                   for end, array in zip('wb', blobs)})
    assert about == dict(name='small', bilinear={})


@pytest.mark.parametrize('v1', [False, True])
def test_a_bilinear_deconvolution_is_told_and_left(tmp_path, v1):
    layers = [('up2', 'Deconvolution', [tent(3, 4)]), ('up32', 'Deconvolution', [tent(2, 63)]),
              ('grouped', 'Deconvolution', [tent(3, 5)[range(3), range(3)][:, None]]),
              ('one', 'Deconvolution', [tent(1, 4)])]
    arrays, about = caffe_load(tmp_path, layers, v1=v1)
    assert arrays == {} and about['bilinear'] == dict(up2=(4, 4), up32=(63, 63), grouped=(5, 5),
                                                      one=(4, 4))


def test_a_learned_deconvolution_is_returned(tmp_path):
    off = tent(3, 4)
    off[0, 1, 2, 2] = 1e-3                              # one number between two classes
    learned = {'off': off, 'flat': 0 * tent(3, 4), 'double': 2 * tent(2, 4),
               'half': np.ascontiguousarray(tent(3, 4)[:, :2])}
    arrays, about = caffe_load(tmp_path, [(name, 'Deconvolution', [w])
                                          for name, w in learned.items()])
    equal(arrays, {f'{name}.w': w for name, w in learned.items()})
    assert about['bilinear'] == {}
    arrays, _ = caffe_load(tmp_path, [('b', 'Deconvolution', [tent(2, 4), floats(2)])])
    assert [*arrays] == ['b.w', 'b.b']


def test_the_blobs_of_other_layers_are_numbered(tmp_path):
    arrays, _ = caffe_load(tmp_path, [('bn', 'BatchNorm', [floats(3), floats(3), floats(1)]),
                                      ('scale', 'Scale', [floats(3)])])
    assert [*arrays] == ['bn.0', 'bn.1', 'bn.2', 'scale.0']


def message(number, data):
    return bytes([number << 3 | 2, len(data)]) + data


@pytest.mark.parametrize('data, words', [
    (b'\x0a\x05small', 'no layer in it has weights'),
    (b'\x0a\x7fsmall', 'field 1 ends at byte 129, and what it stands in at byte 7: truncated'),
    (b'\x0a\xff\xff', 'a number runs past byte 3'),
    (b'\x0a' + b'\xff' * 12, 'a number of more than ten bytes'),
    (b'\x0a\x00\x0b', 'wire type 3 at byte 3'),
    (message(2, message(6, message(5, b'12345'))), '5 bytes at byte 6 are no whole number of <f4'),
    (message(2, message(6, message(5, b'1234') + b'\x08\x07')),
     r'a blob of shape \(7, 0, 0, 0\) holds 1 numbers'),
    (message(2, message(6, message(7, b'\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01')
                        + message(5, b'1234'))), r'a blob of shape \(18446744073709551615,\)'),
    (message(2, b'\x28\x04' + message(6, message(5, b'1234'))), r'\.w has shape \(1,\); 4 axes'),
    (message(2, message(4, b'\xff') + message(6, b'')), 'damaged, or no .caffemodel .*utf-8'),
], ids=range(10))
def test_a_damaged_caffemodel_is_described(tmp_path, data, words):
    (tmp_path / 'x.caffemodel').write_bytes(data)
    with pytest.raises(FormatError, match=f'x.caffemodel: .*{words}'):
        caffe.load(tmp_path / 'x.caffemodel')


def test_layers_that_contradict_themselves(tmp_path):
    with pytest.raises(FormatError, match=r"two layers have weights called \['a.b', 'a.w'\]"):
        caffe_load(tmp_path, [('a', 'InnerProduct', [floats(2, 3), floats(2)])] * 2)
    with pytest.raises(FormatError, match=r'the blobs of a are \[\(2, 3\), \(3,\)\]'):
        caffe_load(tmp_path, [('a', 'InnerProduct', [floats(2, 3), floats(3)])])
    whole = caffemodel(LITTLE_CAFFE)
    (tmp_path / 'x').write_bytes(whole[:-10])
    with pytest.raises(FormatError, match=f'ends at byte {len(whole):,}, and what it stands in '
                                          f'at byte {len(whole) - 10:,}: truncated'):
        caffe.load(tmp_path / 'x')


# ---- torch

FORMS = pytest.mark.parametrize('zipped', [True, False], ids=['zip', 'older'])


@FORMS
@pytest.mark.parametrize('protocol', [2, 4, 5])
def test_state_dicts_of_torch(tmp_path, zipped, protocol):
    torch, path = needed('torch'), tmp_path / 'x.pth'
    saved = state_dict()
    expected = {name: as_numpy(tensor) for name, tensor in saved.items()}
    how = dict(_use_new_zipfile_serialization=zipped, pickle_protocol=protocol)
    torch.save(saved, path, **how)
    assert file.kind(path) == 'torch'
    arrays, about = torch_pickle.load(path)
    equal(arrays, expected)
    assert about == {}
    torch.save({'epoch': 3, 'state_dict': saved, 'optimizer': {'m': [torch.ones(2)], 'lr': 1e-3}},
               path, **how)
    equal(torch_pickle.load(path)[0], expected)


@FORMS
def test_a_real_modules_state(tmp_path, zipped):
    torch = needed('torch')
    module = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4))
    torch.save(module.state_dict(), tmp_path / 'x', _use_new_zipfile_serialization=zipped)
    equal(torch_pickle.load(tmp_path / 'x')[0],
          {name: as_numpy(tensor) for name, tensor in module.state_dict().items()})


class Evil:
    def __init__(self, call, *given):
        self.call = call, given

    def __reduce__(self):
        return self.call


@FORMS
@pytest.mark.parametrize('protocol', [2, 4])
def test_a_pickle_that_would_run_code_is_refused_and_does_not(tmp_path, zipped, protocol):
    torch, path, proof = needed('torch'), tmp_path / 'x.pth', tmp_path / 'proof'
    evil = {'posix.system': Evil(os.system, f'touch {proof}'),
            'builtins.eval': Evil(eval, f'open({str(proof)!r}, "w")'),
            'builtins.exec': Evil(exec, f'open({str(proof)!r}, "w")'),
            'builtins.getattr': Evil(getattr, Path(proof), 'touch')}
    for name, thing in evil.items():
        how = dict(_use_new_zipfile_serialization=zipped, pickle_protocol=protocol)
        torch.save({'w': torch.ones(2), 'x': thing}, path, **how)
        with pytest.raises(FormatError, match='its pickle would run .*nothing was run'):
            torch_pickle.load(path)
        assert not proof.exists(), name


@FORMS
def test_what_is_no_state_dict_is_refused(tmp_path, zipped):
    torch, path = needed('torch'), tmp_path / 'x.pth'
    how = dict(_use_new_zipfile_serialization=zipped)
    for thing, words in [
            (torch.nn.Linear(2, 2), 'would run torch.nn.modules.linear.Linear; nothing was run'),
            (torch.ones(3), 'a Tensor was saved, not a dict of tensors'),
            ([torch.ones(3)], 'a list was saved'),
            ({'epoch': 3}, r"no tensors are in it, but \['epoch'\]"),
            ({(1, 2): torch.ones(3)}, 'a key of type tuple'),
            ({'x': torch.ones(3, dtype=torch.complex64)}, 'would run torch.ComplexFloatStorage'),
            ({'x': torch.ones(1).expand(9)}, r'x \(9,\) reaches beyond its storage of 1 numbers'),
            ({'x': {1, 2}}, 'its pickle')]:
        torch.save(thing, path, **how)
        with pytest.raises(FormatError, match=f'x.pth: .*{words}'):
            torch_pickle.load(path)


def test_a_pickle_of_another_kind_is_refused(tmp_path):
    (tmp_path / 'x').write_bytes(pickle.dumps({'w': 1}))
    with pytest.raises(FormatError, match='no file of torch.save'):
        torch_pickle.load(tmp_path / 'x')


class Told(pickle.Pickler):
    def persistent_id(self, thing):
        return thing.call[1][0] if isinstance(thing, Evil) else None


def test_a_pickle_that_would_take_ages_is_refused_at_once(tmp_path):
    torch, path, ages = needed('torch'), tmp_path / 'x.pth', ()
    for _ in range(64):
        ages = ages, ages                               # 2⁶⁴ tuples, to whoever spells them out
    for told in [('storage', torch.FloatStorage, ages, 'cpu', 3),
                 ('storage', torch.FloatStorage, '0', 'cpu', ages),
                 ('storage', torch.FloatStorage, '0', 'cpu', 3, ages)]:
        with zipfile.ZipFile(path, 'w') as archive, archive.open('x/data.pkl', 'w') as file:
            Told(file, 2).dump({'w': Evil(None, told)})
        with pytest.raises(FormatError, match='storage .* numbers, of which .* is seen'):
            torch_pickle.load(path)


def rewritten(path, change=lambda name, data: data, **how):
    """The zip at `path` once more, each member through `change`."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, 'w', **how) as archive:
        for name, data in members.items():
            archive.writestr(name, change(name, data))


def test_zips_that_torch_does_not_write(tmp_path):
    torch, path = needed('torch'), tmp_path / 'x.pth'

    def refused(words, *change, **how):
        torch.save({'w': torch.ones(3)}, path)
        rewritten(path, *change, **how)
        with pytest.raises(FormatError, match=words):
            torch_pickle.load(path)
    refused('packed, as torch.save never does', compression=zipfile.ZIP_DEFLATED)
    refused('big-endian', lambda name, data: b'big' if name.endswith('byteorder') else data)
    refused('its storage has 2 of 3', lambda name, data: data[:8] if '/data/' in name else data)
    refused('EMPTY_SET, which no state dict needs',
            lambda name, data: b'\x8f.' if name.endswith('.pkl') else data)
    with zipfile.ZipFile(path, 'a') as archive:
        archive.writestr('archive/constants.pkl', b'')
    with pytest.raises(FormatError, match='a TorchScript archive'):
        torch_pickle.load(path)


def test_an_older_file_cut_short(tmp_path):
    torch, path = needed('torch'), tmp_path / 'x.pth'
    torch.save({'w': torch.ones(9)}, path, _use_new_zipfile_serialization=False)
    data = path.read_bytes()
    path.write_bytes(data[:-4])
    with pytest.raises(FormatError, match=rf'truncated: 9 numbers begin at byte {len(data) - 36} '
                                          rf'of {len(data) - 4}; get the file again'):
        torch_pickle.load(path)


# ---- npz, Keras

@pytest.mark.parametrize('save', [np.savez, np.savez_compressed])
def test_npz(tmp_path, save):
    arrays = {'fire2/w': floats(3, 4), 'half': floats(3).astype('float16'), 'n': np.arange(3),
              'big': floats(2).astype('>f4'), 'turned': floats(3, 4).T, 'one': np.array(2.)}
    save(tmp_path / 'x.npz', **arrays)
    assert file.kind(tmp_path / 'x.npz') == 'npz'
    equal(npz.load(tmp_path / 'x.npz')[0],
          {**arrays, 'half': arrays['half'].astype('float32'), 'big': arrays['big'].astype('f4')})


def test_npz_that_is_refused(tmp_path, monkeypatch):
    path = tmp_path / 'x.npz'
    for array, words in [(np.array([{}]), 'allow_pickle=False'), (np.array(['a']), 'x is <U1'),
                         (np.array([1j]), 'x is complex128; weights are')]:
        np.savez(path, x=array)
        with pytest.raises(FormatError, match=f'x.npz: .*{words}'):
            npz.load(path)
    np.savez(path, x=np.zeros(1000))
    monkeypatch.setattr(npz, 'MOST', 999)
    with pytest.raises(FormatError, match='would fill 8,128 bytes; the limit is 999'):
        npz.load(path)


@pytest.mark.parametrize('how', [{}, dict(whole_model=True), dict(libver='latest')], ids=str)
def test_keras(tmp_path, how):
    keras_file(tmp_path / 'x.h5', LITTLE_KERAS, **how)
    assert file.kind(tmp_path / 'x.h5') == 'keras'
    squeeze, dense, bn = (LITTLE_KERAS[name] for name in ('fire2/squeeze1x1', 'dense', 'bn'))
    equal(keras_h5.load(tmp_path / 'x.h5')[0], {
        'fire2/squeeze1x1.w': np.ascontiguousarray(squeeze['uniform2'].transpose(3, 2, 0, 1)),
        'fire2/squeeze1x1.b': squeeze['fire2/squeeze1x1_b'],
        'dense.w': np.ascontiguousarray(dense['dense/kernel:0'].T),
        'dense.b': dense['dense/bias:0'], **{f'bn.{name}': array for name, array in bn.items()}})


def test_keras_that_is_refused(tmp_path):
    h5py, path = needed('h5py'), tmp_path / 'x.h5'
    np.zeros(9, 'f4').tofile(tmp_path / 'raw')
    outside = [dict(external=[(str(tmp_path / 'raw'), 0, 36)])]
    for more, words in [*((how, 'conv/w lies in another file') for how in outside),
                        (dict(chunks=(1024,), shape=1 << 40), 'its arrays would fill'),
                        (dict(dtype='S3'), r'conv/w is \|S3; weights are')]:
        with h5py.File(path, 'w') as made:
            group = made.create_group('conv')
            group.attrs['weight_names'] = [b'w']
            group.create_dataset('w', **{'shape': 9, 'dtype': 'f4', **more})
        with pytest.raises(FormatError, match=f'x.h5: .*{words}'):
            keras_h5.load(path)
    with h5py.File(path, 'w') as made:
        made['data'] = floats(3)
    with pytest.raises(FormatError, match=r"no layer of Keras has weights; it holds \['data'\]"):
        keras_h5.load(path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(FormatError, match='truncated file'):
        keras_h5.load(path)


def test_without_h5py_the_remedy_is_told(tmp_path, monkeypatch):
    found = builtins.__import__

    def without(name, *more):
        if name == 'h5py':
            raise ImportError(name)
        return found(name, *more)
    monkeypatch.setattr(builtins, '__import__', without)
    with pytest.raises(FormatError, match=r'x.h5: .*pip install tinyfcn\[h5\]'):
        keras_h5.load(tmp_path / 'x.h5')


# ---- Real files

@pytest.mark.realdata
def test_a_real_npz_and_a_real_h5_are_the_same_net():
    needed('h5py')
    if 'TINYFCN_DATA' not in os.environ:
        pytest.skip('TINYFCN_DATA names no folder of real data')
    folder = Path(os.environ['TINYFCN_DATA']) / 'weights'
    whole, about = weights.read(folder / 'squeezenet_v1.1_oihw_fp32.npz')
    body, same = weights.read(folder / 'squeezenet_v1.1_notop_fp32_keras.h5')
    assert sum(array.size for array in whole.values()) == 1_235_496
    assert whole.keys() - body.keys() == {'conv10.w', 'conv10.b'} and len(body) == 50
    for name, array in body.items():
        np.testing.assert_allclose(array, whole[name], rtol=2 ** -10, atol=1e-6, err_msg=name)
    assert about['preprocess'] == same['preprocess'] and about['preprocess']['order'] == 'BGR'
