"""Ten thousand damaged files: a reader returns arrays or raises FormatError, and nothing else."""
import io
import os

import numpy as np
import pytest
from optional_deps import needed
from weights_samples import (
    SMALL_CAFFE,
    SMALL_KERAS,
    caffemodel,
    floats,
    keras_file,
    state_dict,
)

from tinyfcn import weights
from tinyfcn.weights import (
    FormatError,
    caffe,
    keras_h5,
    npz,
    safetensors_file,
    torch_pickle,
)

pytestmark = pytest.mark.fuzz
COUNT = 10_000


@pytest.fixture
def folder(tmp_path):
    """In memory where the system has /dev/shm, as the disk is not what is tested."""
    if not os.access('/dev/shm', os.W_OK):
        yield tmp_path
        return
    from tempfile import TemporaryDirectory
    with TemporaryDirectory(dir='/dev/shm') as name:
        yield tmp_path.__class__(name)


def caffe_files(path):
    return [caffemodel(SMALL_CAFFE), caffemodel(SMALL_CAFFE, v1=True, old_shapes=True)]


def torch_files(path):
    torch = needed('torch')
    files = []
    for zipped in (True, False):
        torch.save(state_dict(), path, _use_new_zipfile_serialization=zipped)
        files.append(path.read_bytes())
    return files


def npz_files(path):
    files = []
    for save in (np.savez, np.savez_compressed):
        save(file := io.BytesIO(), **{'a.weight': floats(3, 4), 'b': np.arange(4)})
        files.append(file.getvalue())
    return files


def keras_files(path):
    files = []
    for version in ('earliest', 'latest'):
        keras_file(path, SMALL_KERAS, libver=version)
        files.append(path.read_bytes())
    return files


def safetensors_files(path):
    weights.save(path, {'a.w': floats(3, 4), 'b': np.arange(4)}, dict(net='fcn8s', steps=[1, 2]))
    return [path.read_bytes(), needed('safetensors.numpy').save({'a': floats(3, 4)}, {'by': 'me'})]


def damage(data, rng):
    """One to three times: flip a bit, insert bytes, delete some, or cut the end off."""
    data = bytearray(data)
    for _ in range(rng.integers(1, 4)):
        kind = rng.integers(10)
        at = int(rng.integers(len(data) + 1))
        count = rng.integers(1, 17)
        if kind < 5 and data:
            data[at % len(data)] ^= 1 << rng.integers(8)
        elif kind < 7:
            data[at:at] = rng.bytes(count)
        elif kind < 9:
            del data[at:at + count]
        else:
            del data[at:]
    return bytes(data)


@pytest.mark.parametrize('load, write_files', [
    (caffe.load, caffe_files), (torch_pickle.load, torch_files), (npz.load, npz_files),
    (keras_h5.load, keras_files), (safetensors_file.load, safetensors_files)],
    ids=['caffe', 'torch', 'npz', 'keras', 'safetensors'])
def test_a_damaged_file_is_read_or_refused(folder, load, write_files):
    rng = np.random.default_rng(7)
    path = folder / 'damaged'
    files = write_files(path)
    read = 0
    refused = 0
    for i in range(COUNT):
        path.write_bytes(damage(files[i % len(files)], rng))
        try:
            arrays, _ = load(path)
        except FormatError as error:
            assert str(error).startswith(f'{path}: ')
            refused += 1
        else:
            assert all(isinstance(array, np.ndarray) for array in arrays.values())
            read += 1
    assert read + refused == COUNT and min(read, refused) > COUNT / 100, (read, refused)


def test_weights_read_raises_nothing_but_format_error(folder):
    rng = np.random.default_rng(8)
    path = folder / 'damaged'
    files = [data for write_files in (caffe_files, torch_files, npz_files, safetensors_files)
             for data in write_files(path)]
    for i in range(COUNT // 5):
        path.write_bytes(damage(files[i % len(files)], rng))
        try:
            weights.read(path)
        except FormatError:
            pass


def test_each_of_ten_thousand_flipped_bits_is_detected(folder):
    rng = np.random.default_rng(9)
    path = folder / 'own'
    arrays = {'conv1_1.w': floats(8, 3, 3, 3), 'conv1_1.b': floats(8).astype('float64'),
              'n': np.arange(30, dtype='uint8'), 'none': np.zeros(0)}
    weights.save(path, arrays, dict(net='fcn8s', preprocess=dict(order='BGR', mean=[1., 2.5, 3.])))
    data = bytearray(path.read_bytes())
    for bit in rng.integers(8 * len(data), size=COUNT):
        data[bit // 8] ^= 1 << bit % 8
        path.write_bytes(data)
        with pytest.raises(FormatError):
            weights.read(path)
        data[bit // 8] ^= 1 << bit % 8
    for length in range(len(data)):
        path.write_bytes(data[:length])
        with pytest.raises(FormatError):
            weights.read(path)
    path.write_bytes(data)
    assert weights.read(path)[0].keys() == arrays.keys()
