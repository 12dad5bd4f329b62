"""Files of the official writers are read back equal; dangerous and damaged ones are refused."""
import builtins
import os
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
from optional_deps import needed
from weights_samples import (
    SMALL_CAFFE,
    SMALL_KERAS,
    as_numpy,
    bilinear_kernel,
    caffemodel,
    floats,
    keras_file,
    state_dict,
)

from tinyfcn import weights
from tinyfcn.weights import FormatError, caffe, keras_h5, npz, torch_pickle
from tinyfcn.weights.detect import detect_format


def assert_equal(arrays, expected):
    assert arrays.keys() == expected.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(array, expected[name], strict=True)
        assert array.flags.writeable and array.flags.c_contiguous, name


# ---- Caffe

def load_caffemodel(folder, layers, **kwargs):
    (folder / 'x.caffemodel').write_bytes(caffemodel(layers, **kwargs))
    assert detect_format(folder / 'x.caffemodel') == 'caffe'
    return caffe.load(folder / 'x.caffemodel')


@pytest.mark.parametrize('kwargs', [{}, dict(old_shapes=True), dict(doubles=True),
                                 dict(v1=True), dict(v1=True, old_shapes=True)], ids=str)
def test_both_generations_of_caffe(tmp_path, kwargs):
    arrays, about = load_caffemodel(tmp_path, SMALL_CAFFE, **kwargs)
    assert_equal(arrays, {f'{name}.{end}': array for name, _, blobs in SMALL_CAFFE
                   for end, array in zip('wb', blobs)})
    assert about == dict(name='small', bilinear={})


@pytest.mark.parametrize('v1', [False, True])
def test_a_bilinear_deconvolution_is_listed_and_not_returned(tmp_path, v1):
    grouped = bilinear_kernel(3, 5)[range(3), range(3)][:, None]
    layers = [('up2', 'Deconvolution', [bilinear_kernel(3, 4)]),
              ('up32', 'Deconvolution', [bilinear_kernel(2, 63)]),
              ('grouped', 'Deconvolution', [grouped]),
              ('one', 'Deconvolution', [bilinear_kernel(1, 4)])]
    arrays, about = load_caffemodel(tmp_path, layers, v1=v1)
    assert arrays == {} and about['bilinear'] == dict(up2=(4, 4), up32=(63, 63), grouped=(5, 5),
                                                      one=(4, 4))


def test_a_learned_deconvolution_is_returned(tmp_path):
    mixed = bilinear_kernel(3, 4)
    mixed[0, 1, 2, 2] = 1e-3                            # one weight between two classes
    learned = {'mixed': mixed, 'flat': 0 * bilinear_kernel(3, 4),
               'double': 2 * bilinear_kernel(2, 4),
               'half': np.ascontiguousarray(bilinear_kernel(3, 4)[:, :2])}
    arrays, about = load_caffemodel(tmp_path, [(name, 'Deconvolution', [w])
                                          for name, w in learned.items()])
    assert_equal(arrays, {f'{name}.w': w for name, w in learned.items()})
    assert about['bilinear'] == {}
    with_bias = [('b', 'Deconvolution', [bilinear_kernel(2, 4), floats(2)])]
    arrays, _ = load_caffemodel(tmp_path, with_bias)
    assert [*arrays] == ['b.w', 'b.b']


def test_the_blobs_of_other_layers_are_numbered(tmp_path):
    arrays, _ = load_caffemodel(tmp_path, [('bn', 'BatchNorm', [floats(3), floats(3), floats(1)]),
                                      ('scale', 'Scale', [floats(3)])])
    assert [*arrays] == ['bn.0', 'bn.1', 'bn.2', 'scale.0']


def field(number, data):
    return bytes([number << 3 | 2, len(data)]) + data


@pytest.mark.parametrize('data, message', [
    (b'\x0a\x05small', 'no layer in it has weights'),
    (b'\x0a\x7fsmall', 'field 1 ends at byte 129, but the message around it at byte 7: truncated'),
    (b'\x0a\xff\xff', 'a number runs past byte 3'),
    (b'\x0a' + b'\xff' * 12, 'a number of more than ten bytes'),
    (b'\x0a\x00\x0b', 'wire type 3 at byte 3'),
    (field(2, field(6, field(5, b'12345'))), '5 bytes at byte 6 are not a whole '
                                                 'number of <f4'),
    (field(2, field(6, field(5, b'1234') + b'\x08\x07')),
     r'a blob of shape \(7, 0, 0, 0\) holds 1 numbers'),
    (field(2, field(6, field(7, b'\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01')
                        + field(5, b'1234'))), r'a blob of shape \(18446744073709551615,\)'),
    (field(2, b'\x28\x04' + field(6, field(5, b'1234'))), r'\.w has shape \(1,\); 4 axes'),
    (field(2, field(4, b'\xff') + field(6, b'')), 'damaged, or not a .caffemodel .*utf-8'),
], ids=range(10))
def test_a_damaged_caffemodel_is_described(tmp_path, data, message):
    (tmp_path / 'x.caffemodel').write_bytes(data)
    with pytest.raises(FormatError, match=f'x.caffemodel: .*{message}'):
        caffe.load(tmp_path / 'x.caffemodel')


def test_contradictory_layers_are_refused(tmp_path):
    with pytest.raises(FormatError, match=r"two layers have weights called \['a.b', 'a.w'\]"):
        load_caffemodel(tmp_path, [('a', 'InnerProduct', [floats(2, 3), floats(2)])] * 2)
    with pytest.raises(FormatError, match=r'the blobs of a are \[\(2, 3\), \(3,\)\]'):
        load_caffemodel(tmp_path, [('a', 'InnerProduct', [floats(2, 3), floats(3)])])
    whole = caffemodel(SMALL_CAFFE)
    (tmp_path / 'x').write_bytes(whole[:-10])
    with pytest.raises(FormatError, match=f'ends at byte {len(whole):,}, but .* '
                                          f'at byte {len(whole) - 10:,}: truncated'):
        caffe.load(tmp_path / 'x')


# ---- torch

FORMS = pytest.mark.parametrize('zipped', [True, False], ids=['zip', 'older'])


@FORMS
@pytest.mark.parametrize('protocol', [2, 4, 5])
def test_state_dicts_of_torch(tmp_path, zipped, protocol):
    torch = needed('torch')
    path = tmp_path / 'x.pth'
    saved = state_dict()
    expected = {name: as_numpy(tensor) for name, tensor in saved.items()}
    kwargs = dict(_use_new_zipfile_serialization=zipped, pickle_protocol=protocol)
    torch.save(saved, path, **kwargs)
    assert detect_format(path) == 'torch'
    arrays, about = torch_pickle.load(path)
    assert_equal(arrays, expected)
    assert about == {}
    torch.save({'epoch': 3, 'state_dict': saved, 'optimizer': {'m': [torch.ones(2)], 'lr': 1e-3}},
               path, **kwargs)
    assert_equal(torch_pickle.load(path)[0], expected)


@FORMS
def test_a_real_modules_state(tmp_path, zipped):
    torch = needed('torch')
    module = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4))
    torch.save(module.state_dict(), tmp_path / 'x', _use_new_zipfile_serialization=zipped)
    assert_equal(torch_pickle.load(tmp_path / 'x')[0],
          {name: as_numpy(tensor) for name, tensor in module.state_dict().items()})


class Call:
    """Pickles as a call of a function."""

    def __init__(self, function, *args):
        self.call = function, args

    def __reduce__(self):
        return self.call


@FORMS
@pytest.mark.parametrize('protocol', [2, 4])
def test_a_pickle_that_would_run_code_is_refused_and_does_not(tmp_path, zipped, protocol):
    torch = needed('torch')
    path = tmp_path / 'x.pth'
    proof = tmp_path / 'proof'
    calls = {'posix.system': Call(os.system, f'touch {proof}'),
            'builtins.eval': Call(eval, f'open({str(proof)!r}, "w")'),
            'builtins.exec': Call(exec, f'open({str(proof)!r}, "w")'),
            'builtins.getattr': Call(getattr, Path(proof), 'touch')}
    for name, call in calls.items():
        kwargs = dict(_use_new_zipfile_serialization=zipped, pickle_protocol=protocol)
        torch.save({'w': torch.ones(2), 'x': call}, path, **kwargs)
        with pytest.raises(FormatError, match='its pickle would run .*nothing was run'):
            torch_pickle.load(path)
        assert not proof.exists(), name


@FORMS
def test_other_objects_than_state_dicts_are_refused(tmp_path, zipped):
    torch = needed('torch')
    path = tmp_path / 'x.pth'
    kwargs = dict(_use_new_zipfile_serialization=zipped)
    for saved, message in [
            (torch.nn.Linear(2, 2), 'would run torch.nn.modules.linear.Linear; nothing was run'),
            (torch.ones(3), 'a Tensor was saved, not a dict of tensors'),
            ([torch.ones(3)], 'a list was saved'),
            ({'epoch': 3}, r"no tensors are in it, but \['epoch'\]"),
            ({(1, 2): torch.ones(3)}, 'a key of type tuple'),
            ({'x': torch.ones(3, dtype=torch.complex64)}, 'would run torch.ComplexFloatStorage'),
            ({'x': torch.ones(1).expand(9)}, r'x \(9,\) reaches beyond its storage of 1 numbers'),
            ({'x': {1, 2}}, 'its pickle')]:
        torch.save(saved, path, **kwargs)
        with pytest.raises(FormatError, match=f'x.pth: .*{message}'):
            torch_pickle.load(path)


def test_a_plain_pickle_is_refused(tmp_path):
    (tmp_path / 'x').write_bytes(pickle.dumps({'w': 1}))
    with pytest.raises(FormatError, match='not a file of torch.save'):
        torch_pickle.load(tmp_path / 'x')


class StoragePickler(pickle.Pickler):
    """Pickles the argument of a Call as the description of a storage."""

    def persistent_id(self, value):
        return value.call[1][0] if isinstance(value, Call) else None


def test_a_pickle_that_would_take_ages_is_refused_at_once(tmp_path):
    torch = needed('torch')
    path = tmp_path / 'x.pth'
    nested = ()
    for _ in range(64):
        nested = nested, nested                         # 2⁶⁴ tuples, if printed or hashed
    for description in [('storage', torch.FloatStorage, nested, 'cpu', 3),
                 ('storage', torch.FloatStorage, '0', 'cpu', nested),
                 ('storage', torch.FloatStorage, '0', 'cpu', 3, nested)]:
        with zipfile.ZipFile(path, 'w') as archive, archive.open('x/data.pkl', 'w') as file:
            StoragePickler(file, 2).dump({'w': Call(None, description)})
        with pytest.raises(FormatError, match='storage .* numbers, viewed as'):
            torch_pickle.load(path)


def rewrite_zip(path, change=lambda name, data: data, **kwargs):
    """The zip at `path` once more, each member through `change`."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, 'w', **kwargs) as archive:
        for name, data in members.items():
            archive.writestr(name, change(name, data))


def test_zips_that_torch_does_not_write(tmp_path):
    torch = needed('torch')
    path = tmp_path / 'x.pth'

    def check_refused(message, *change, **kwargs):
        torch.save({'w': torch.ones(3)}, path)
        rewrite_zip(path, *change, **kwargs)
        with pytest.raises(FormatError, match=message):
            torch_pickle.load(path)
    check_refused('compressed, which torch.save never does', compression=zipfile.ZIP_DEFLATED)
    check_refused('big-endian', lambda name, data: b'big' if name.endswith('byteorder') else data)
    check_refused('its storage has 2 of 3',
                  lambda name, data: data[:8] if '/data/' in name else data)
    check_refused('EMPTY_SET, which no state dict needs',
                  lambda name, data: b'\x8f.' if name.endswith('.pkl') else data)
    with zipfile.ZipFile(path, 'a') as archive:
        archive.writestr('archive/constants.pkl', b'')
    with pytest.raises(FormatError, match='a TorchScript archive'):
        torch_pickle.load(path)


def test_a_truncated_file_of_the_older_form(tmp_path):
    torch = needed('torch')
    path = tmp_path / 'x.pth'
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
    assert detect_format(tmp_path / 'x.npz') == 'npz'
    assert_equal(npz.load(tmp_path / 'x.npz')[0],
          {**arrays, 'half': arrays['half'].astype('float32'), 'big': arrays['big'].astype('f4')})


def test_npz_files_that_are_refused(tmp_path, monkeypatch):
    path = tmp_path / 'x.npz'
    for array, message in [(np.array([{}]), 'allow_pickle=False'), (np.array(['a']), 'x is <U1'),
                         (np.array([1j]), 'x is complex128; weights are')]:
        np.savez(path, x=array)
        with pytest.raises(FormatError, match=f'x.npz: .*{message}'):
            npz.load(path)
    np.savez(path, x=np.zeros(1000))
    monkeypatch.setattr(npz, 'MAX_BYTES', 999)
    with pytest.raises(FormatError, match='would fill 8,128 bytes; the limit is 999'):
        npz.load(path)


@pytest.mark.parametrize('kwargs', [{}, dict(whole_model=True), dict(libver='latest')], ids=str)
def test_keras(tmp_path, kwargs):
    keras_file(tmp_path / 'x.h5', SMALL_KERAS, **kwargs)
    assert detect_format(tmp_path / 'x.h5') == 'keras'
    squeeze, dense, bn = (SMALL_KERAS[name] for name in ('fire2/squeeze1x1', 'dense', 'bn'))
    assert_equal(keras_h5.load(tmp_path / 'x.h5')[0], {
        'fire2/squeeze1x1.w': np.ascontiguousarray(squeeze['uniform2'].transpose(3, 2, 0, 1)),
        'fire2/squeeze1x1.b': squeeze['fire2/squeeze1x1_b'],
        'dense.w': np.ascontiguousarray(dense['dense/kernel:0'].T),
        'dense.b': dense['dense/bias:0'], **{f'bn.{name}': array for name, array in bn.items()}})


def test_keras_files_that_are_refused(tmp_path):
    h5py = needed('h5py')
    path = tmp_path / 'x.h5'
    np.zeros(9, 'f4').tofile(tmp_path / 'raw')
    outside = [dict(external=[(str(tmp_path / 'raw'), 0, 36)])]
    for more, message in [*((kwargs, 'conv/w lies in another file') for kwargs in outside),
                        (dict(chunks=(1024,), shape=1 << 40), 'its arrays would fill'),
                        (dict(dtype='S3'), r'conv/w is \|S3; weights are')]:
        with h5py.File(path, 'w') as made:
            group = made.create_group('conv')
            group.attrs['weight_names'] = [b'w']
            group.create_dataset('w', **{'shape': 9, 'dtype': 'f4', **more})
        with pytest.raises(FormatError, match=f'x.h5: .*{message}'):
            keras_h5.load(path)
    with h5py.File(path, 'w') as made:
        made['data'] = floats(3)
    with pytest.raises(FormatError, match=r"no Keras layer has weights; it holds \['data'\]"):
        keras_h5.load(path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(FormatError, match='truncated file'):
        keras_h5.load(path)


def test_two_arrays_of_one_name_in_a_keras_layer_are_refused(tmp_path):
    """A model inside a model is one layer, with the arrays of all of its own layers."""
    keras_file(tmp_path / 'x.h5', {'inner': {'conv1/kernel:0': floats(1, 1, 2, 2),
                                             'conv2/kernel:0': floats(1, 1, 2, 2)}})
    with pytest.raises(FormatError, match=r"inner has two arrays called 'kernel:0'.*inner one"):
        keras_h5.load(tmp_path / 'x.h5')


def test_without_h5py_the_message_says_how_to_install_it(tmp_path, monkeypatch):
    original_import = builtins.__import__

    def import_without_h5py(name, *more):
        if name == 'h5py':
            raise ImportError(name)
        return original_import(name, *more)
    monkeypatch.setattr(builtins, '__import__', import_without_h5py)
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
