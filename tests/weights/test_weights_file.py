"""A tinyfcn file: saved arrays are read back, damage is detected, a failed save changes nothing."""
import json
import os
import zipfile

import numpy as np
import pytest
from optional_deps import needed
from safetensors import safe_open
from safetensors.numpy import load_file, save_file
from weights_samples import floats

from tinyfcn import weights
from tinyfcn.files import atomic
from tinyfcn.weights import FormatError, safetensors_file

ARRAYS = {'score.w': floats(2, 3, 1, 1), 'score.b': floats(2).astype('float64'),
          'transposed': floats(4, 3).T, 'empty': np.zeros((0, 3), 'int8'), 'scalar': np.array(3.5),
          'half': np.arange(3, dtype='float16'), 'große': np.array([True, False]),
          'big': np.arange(4, dtype='>u2')}
ABOUT = {'net': 'fcn8s', 'n_class': 21, 'Straße': [1, None, .5]}


@pytest.fixture
def path(tmp_path):
    weights.save(tmp_path / 'own.safetensors', ARRAYS, ABOUT)
    return tmp_path / 'own.safetensors'


def test_saved_arrays_are_read_back(path):
    arrays, about = safetensors_file.load(path)
    assert about == ABOUT and [*arrays] == [*ARRAYS]
    for name, array in arrays.items():
        assert array.dtype == ARRAYS[name].dtype.newbyteorder('=') and array.flags.writeable, name
        np.testing.assert_array_equal(array, ARRAYS[name], strict=name != 'big')
    read, about = weights.read(path)
    assert [*read] == [*ARRAYS]
    assert about == {'source': 'tinyfcn', 'preprocess': None, 'format': 'safetensors', **ABOUT}


def test_the_same_arrays_give_the_same_bytes(path):
    first = path.read_bytes()
    weights.save(path, ARRAYS, ABOUT)
    assert path.read_bytes() == first


def test_the_official_safetensors_reader_reads_it(path):
    for name, array in load_file(path).items():
        np.testing.assert_array_equal(array, ARRAYS[name])
    with safe_open(path, 'numpy') as file:
        assert json.loads(file.metadata()['tinyfcn'][9:])['about'] == ABOUT


def test_a_safetensors_of_another_program_has_no_about(tmp_path):
    arrays = {name: np.ascontiguousarray(array) for name, array in ARRAYS.items()}
    save_file(arrays, tmp_path / 'x', {'format': 'pt'})
    read, about = safetensors_file.load(tmp_path / 'x')
    assert about == {} and read.keys() == arrays.keys()
    assert read['half'].dtype == 'float32' and read['score.b'].dtype == 'float64'
    for name in arrays:
        np.testing.assert_array_equal(read[name], arrays[name])


def test_torch_float16_and_bfloat16_become_float32(tmp_path):
    torch = needed('torch')
    save = needed('safetensors.torch').save_file
    x = torch.from_numpy(floats(5, 3))
    save({'b': x.bfloat16(), 'h': x.half(), 'x': x}, tmp_path / 'x')
    read, _ = safetensors_file.load(tmp_path / 'x')
    assert {array.dtype.name for array in read.values()} == {'float32'}
    np.testing.assert_array_equal(read['b'], x.bfloat16().float().numpy())
    np.testing.assert_array_equal(read['h'], x.half().float().numpy())


def test_no_arrays_and_no_about(tmp_path):
    weights.save(tmp_path / 'x', {})
    assert safetensors_file.load(tmp_path / 'x') == ({}, {})


# ---- Damage

@pytest.mark.parametrize('arrays, about', [({}, {}), ({'w': floats(3)}, {'é': 1})],
                         ids=['none', 'one'])
def test_every_flipped_bit_of_the_header_is_detected(tmp_path, arrays, about):
    weights.save(tmp_path / 'x', arrays, about)
    data = bytearray((tmp_path / 'x').read_bytes())
    end = 8 + int.from_bytes(data[:8], 'little')
    for bit in range(8 * end):
        data[bit // 8] ^= 1 << bit % 8
        (tmp_path / 'x').write_bytes(data)
        with pytest.raises(FormatError):
            weights.read(tmp_path / 'x')
        data[bit // 8] ^= 1 << bit % 8


def test_damage_is_reported_with_the_array_and_the_file(path):
    data = bytearray(path.read_bytes())
    at = data.index(ARRAYS['score.w'].tobytes())
    data[at] ^= 1
    path.write_bytes(data)
    with pytest.raises(FormatError, match=r'own\.safetensors: damaged: score\.w is not what was '
                                          r'saved \(another CRC-32\); get the file again'):
        weights.read(path)


@pytest.mark.parametrize('change, message', [
    (lambda data: data[:-3], r'truncated: [\d,]+ bytes of [\d,]+; get'),
    (lambda data: data[:40], r'40 bytes, and the header alone has [\d,]+: truncated'),
    (lambda data: data + b'more', 'damaged, or not a safetensors file'),
    (lambda data: data.replace(b'"fcn8s', b'"fcn9s').replace(b'\\"fcn8s', b'\\"fcn9s'),
     'damaged: its header is not what was saved'),
    (lambda data: data.replace(b'"tinyfcn"', b'"tinyfcm"'),
     r"damaged: a tinyfcn file with the metadata \['tinyfcm'\]"),
    (lambda data: data.replace(b'{"dtype":"F32","shape":[2,3,1,1]',
                               b'{"dtype":"F32","shape":[3,2,1,1]'), 'damaged: score.w is not'),
    (lambda data: data.replace(b'"score.b":{', b'"score.c":{'),
     r"damaged: \['score.b', 'score.c'\] should be both in the list"),
], ids=['end', 'header', 'longer', 'about', 'key', 'shape', 'name'])
def test_damage_is_described(path, change, message):
    data = path.read_bytes()
    assert change(data) != data
    path.write_bytes(change(data))
    with pytest.raises(FormatError, match=message):
        weights.read(path)


def test_a_dtype_that_numpy_does_not_have(tmp_path):
    torch = needed('torch')
    save = needed('safetensors.torch').save_file
    save({'x': torch.zeros(4, dtype=torch.float8_e4m3fn)}, tmp_path / 'x')
    with pytest.raises(FormatError, match='x is F8_E4M3, which NumPy does not know'):
        safetensors_file.load(tmp_path / 'x')


# ---- A failed save leaves the old file

def fail(*_):
    raise OSError(28, 'No space left on device')


@pytest.mark.parametrize('call', ['fsync', 'replace'])
def test_a_failure_leaves_the_old_file_and_no_other(path, monkeypatch, call):
    old = path.read_bytes()
    monkeypatch.setattr(os, call, fail)
    with pytest.raises(OSError, match='No space left'):
        weights.save(path, {'w': floats(9)}, {})
    assert path.read_bytes() == old and os.listdir(path.parent) == [path.name]


@pytest.mark.parametrize('has_name', [True, False])
def test_ctrl_c_leaves_the_old_file_and_no_other(path, monkeypatch, has_name):
    """The new file may have a name already, or be without one until it is complete."""
    if has_name:
        monkeypatch.setattr(atomic, 'OPEN_FILES', path / 'nowhere')
    elif not hasattr(os, 'O_TMPFILE') or not os.path.isdir(atomic.OPEN_FILES):
        pytest.skip('files without a name are of Linux')
    old = path.read_bytes()
    files_meanwhile = []

    def interrupted(_):
        files_meanwhile.extend(os.listdir(path.parent))
        raise KeyboardInterrupt
    monkeypatch.setattr(os, 'fsync', interrupted)
    with pytest.raises(KeyboardInterrupt):
        weights.save(path, {'w': floats(9)}, {})
    assert len(files_meanwhile) == 1 + has_name         # the old one, and the new one
    assert path.read_bytes() == old and os.listdir(path.parent) == [path.name]


def test_the_file_and_then_its_folder_are_flushed(path, monkeypatch):
    calls = []
    fsync = os.fsync
    replace = os.replace
    monkeypatch.setattr(os, 'fsync', lambda fd: calls.append('fsync') or fsync(fd))
    monkeypatch.setattr(os, 'replace', lambda *names: calls.append('replace') or replace(*names))
    weights.save(path, {'w': floats(9)}, {})
    assert calls == ['fsync', 'replace', 'fsync'][:3 if os.name == 'posix' else 2]


def test_a_symbolic_link_is_not_followed(path):
    link = path.with_name('latest')
    link.symlink_to(path)
    before = path.read_bytes()
    with pytest.raises(ValueError, match='latest: a link'):
        weights.save(link, {'w': floats(9)}, {})
    assert link.is_symlink() and path.read_bytes() == before


def test_the_file_has_the_usual_permissions(path):
    mask = os.umask(0o022)
    os.umask(mask)
    assert os.stat(path).st_mode & 0o777 == 0o666 & ~mask


def test_arrays_that_cannot_be_saved_are_refused_before_anything_is_written(tmp_path):
    for bad in np.array(['a']), np.array([1j]), np.array([None]):
        with pytest.raises(ValueError, match='w is .*; weights are floats, integers or bools'):
            weights.save(tmp_path / 'x', {'w': bad})
    with pytest.raises(TypeError, match='not JSON serializable'):
        weights.save(tmp_path / 'x', {}, {'net': object()})
    assert not os.listdir(tmp_path)


# ---- The format of a file, by its first bytes

@pytest.mark.parametrize('data, message', [
    (b'', 'the file is empty: a failed download'),
    (b'\n<!DOCTYPE html><html>', 'a page of HTML or XML: a failed download'),
    (b'version https://git-lfs.github.com/spec/v1\noid sha256:1',
     'git-lfs pointer.*run `git lfs pull`'),
    (b'\x1f\x8b\x08\0', 'packed by gzip: unpack it first'),
    (b'\x93NUMPY\x01\0', 'a single array'),
    (b'\x80\x04\x95\0', 'a pickle, but not of torch.save'),
    (b'name: "VGG_ILSVRC_16"\ninput: "data"', 'prototxt.*its weights are in the .caffemodel'),
    (b'{"error": 404}', r"14 bytes that begin with b'\{\"error\"': not one of the known"),
    (b'PK\x03\x04 and the download stopped.', 'a zip without its index.* after 30 bytes'),
], ids=['empty', 'HTML', 'lfs', 'gzip', 'npy', 'pickle', 'prototxt', 'JSON', 'truncated zip'])
def test_a_file_without_weights_is_described(tmp_path, data, message):
    (tmp_path / 'vgg16.caffemodel').write_bytes(data)
    with pytest.raises(FormatError, match=f'vgg16.caffemodel: .*{message}'):
        weights.read(tmp_path / 'vgg16.caffemodel')


def test_a_zip_of_another_program_and_a_missing_file(tmp_path):
    with zipfile.ZipFile(tmp_path / 'x.keras', 'w') as archive:
        archive.writestr('model.weights.h5', b'')
    with pytest.raises(FormatError, match='neither of torch.save nor of numpy.savez; it holds '
                                          'model.weights.h5'):
        weights.read(tmp_path / 'x.keras')
    with pytest.raises(FileNotFoundError, match='nowhere'):
        weights.read(tmp_path / 'nowhere')
