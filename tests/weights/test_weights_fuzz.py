"""Damaged files, by the ten thousand: a reader reads, or says FormatError, and nothing else."""
import io
import os

import numpy as np
import pytest
from optional_deps import needed
from weights_samples import (
    LITTLE_CAFFE,
    LITTLE_KERAS,
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
    safetensors_file as storage,
    torch_pickle,
)

pytestmark = pytest.mark.fuzz
COUNT = 10_000


@pytest.fixture
def folder(tmp_path):
    """In memory, where there is such a place: the disk is not what is tested."""
    if not os.access('/dev/shm', os.W_OK):
        yield tmp_path
        return
    from tempfile import TemporaryDirectory
    with TemporaryDirectory(dir='/dev/shm') as name:
        yield tmp_path.__class__(name)


def of_caffe(path):
    return [caffemodel(LITTLE_CAFFE), caffemodel(LITTLE_CAFFE, v1=True, old_shapes=True)]


def of_torch(path):
    torch, files = needed('torch'), []
    for zipped in (True, False):
        torch.save(state_dict(), path, _use_new_zipfile_serialization=zipped)
        files.append(path.read_bytes())
    return files


def of_numpy(path):
    files = []
    for save in (np.savez, np.savez_compressed):
        save(file := io.BytesIO(), **{'a.weight': floats(3, 4), 'b': np.arange(4)})
        files.append(file.getvalue())
    return files


def of_keras(path):
    files = []
    for version in ('earliest', 'latest'):
        keras_file(path, LITTLE_KERAS, libver=version)
        files.append(path.read_bytes())
    return files


def of_safetensors(path):
    weights.save(path, {'a.w': floats(3, 4), 'b': np.arange(4)}, dict(net='fcn8s', steps=[1, 2]))
    return [path.read_bytes(), needed('safetensors.numpy').save({'a': floats(3, 4)}, {'by': 'me'})]


def mutated(data, rng):
    """One to three times: flip a bit, insert bytes, delete some, or cut the end off."""
    data = bytearray(data)
    for _ in range(rng.integers(1, 4)):
        what, at, count = rng.integers(10), int(rng.integers(len(data) + 1)), rng.integers(1, 17)
        if what < 5 and data:
            data[at % len(data)] ^= 1 << rng.integers(8)
        elif what < 7:
            data[at:at] = rng.bytes(count)
        elif what < 9:
            del data[at:at + count]
        else:
            del data[at:]
    return bytes(data)


@pytest.mark.parametrize('load, files', [
    (caffe.load, of_caffe), (torch_pickle.load, of_torch), (npz.load, of_numpy),
    (keras_h5.load, of_keras), (storage.load, of_safetensors)],
    ids=['caffe', 'torch', 'npz', 'keras', 'safetensors'])
def test_a_damaged_file_is_read_or_refused(folder, load, files):
    rng, path = np.random.default_rng(7), folder / 'damaged'
    files, read, refused = files(path), 0, 0
    for i in range(COUNT):
        path.write_bytes(mutated(files[i % len(files)], rng))
        try:
            arrays, _ = load(path)
        except FormatError as error:
            assert str(error).startswith(f'{path}: ')
            refused += 1
        else:
            assert all(isinstance(array, np.ndarray) for array in arrays.values())
            read += 1
    assert read + refused == COUNT and min(read, refused) > COUNT / 100, (read, refused)


def test_the_front_door_says_nothing_else_either(folder):
    rng, path = np.random.default_rng(8), folder / 'damaged'
    files = [data for make in (of_caffe, of_torch, of_numpy, of_safetensors) for data in make(path)]
    for i in range(COUNT // 5):
        path.write_bytes(mutated(files[i % len(files)], rng))
        try:
            weights.read(path)
        except FormatError:
            pass


def test_of_ten_thousand_flipped_bits_none_is_silent(folder):
    rng, path = np.random.default_rng(9), folder / 'own'
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
