"""Labels in MATLAB files: SciPy writes them, and the reader here survives any damage."""
import os
import struct

import numpy as np
import pytest
from bad_input_samples import LABEL
from scipy.io import loadmat, savemat

from tinyfcn.data.mat import read_mat

RNG = np.random.default_rng(4)
TYPES = 'int8 uint8 int16 uint16 int32 uint32 int64 uint64 float32 float64 bool'.split()


@pytest.mark.parametrize('compressed', [False, True])
@pytest.mark.parametrize('dtype', TYPES)
def test_it_reads_what_scipy_writes(tmp_path, dtype, compressed):
    path = tmp_path / 'x.mat'
    for shape in (1, 1), (1, 3), (7, 5), (40, 56):
        array = RNG.integers(0, 2 if dtype == 'bool' else 100, shape).astype(dtype)
        cell = np.empty((1, 1), object)
        cell[0, 0] = array
        savemat(path, dict(other='text', S=array, boxed=cell,
                           GT=dict(names='abc', Segmentation=array, inner=dict(x=array))),
                do_compression=compressed)
        expected = loadmat(path)['S']
        for keys in ['S'], ['boxed'], ['GT', 'Segmentation'], ['GT', 'inner', 'x']:
            label = read_mat(path, *keys)
            np.testing.assert_array_equal(label, expected)
            assert label.dtype.kind in 'iu' and label.dtype.isnative


def test_it_reads_the_other_order_of_bytes(tmp_path):
    numbers = np.arange(6).reshape(2, 3)
    elements = [struct.pack('>IIII', 6, 8, 12, 0), struct.pack('>IIii', 5, 8, 2, 3),
                struct.pack('>HHcxxx', 1, 1, b'S'), struct.pack('>II', 3, 12)
                + numbers.T.astype('>i2').tobytes() + bytes(4)]
    matrix = b''.join(elements)
    (tmp_path / 'x.mat').write_bytes(b'MATLAB 5.0'.ljust(124) + b'\1\0MI'
                                     + struct.pack('>II', 14, len(matrix)) + matrix)
    np.testing.assert_array_equal(read_mat(tmp_path / 'x.mat', 'S'), numbers)
    np.testing.assert_array_equal(loadmat(tmp_path / 'x.mat')['S'], numbers)


@pytest.mark.parametrize('value, found', [
    ('words', 'text'), ({'x': 1}, 'a struct'), (np.array([LABEL, 'x'], object), 'a cell array')])
def test_other_things_than_numbers_are_named(tmp_path, value, found):
    savemat(tmp_path / 'x.mat', dict(S=value))
    with pytest.raises(ValueError, match=rf'x\.mat: S is {found}; a label is a matrix of integers'):
        read_mat(tmp_path / 'x.mat', 'S')


@pytest.mark.parametrize('count', [
    100, pytest.param(int(os.environ.get('TINYFCN_FUZZ', 2000)), marks=pytest.mark.fuzz)])
@pytest.mark.parametrize('compressed', [False, True])
def test_damage_is_reported_and_never_ends_the_process(tmp_path, count, compressed):
    path = tmp_path / 'x.mat'
    boundaries = np.array([LABEL, LABEL[:3]], object)
    savemat(path, dict(GTcls=dict(Boundaries=boundaries, Segmentation=LABEL)),
            do_compression=compressed)
    intact = path.read_bytes()
    refused = 0
    for _ in range(count):
        data = bytearray(intact)
        for at in RNG.integers(0, len(data), RNG.integers(1, 4)):
            data[at] = RNG.choice([0, 1, 127, 128, 255, RNG.integers(256)])
        path.write_bytes(data[:RNG.integers(len(data)) if RNG.random() < .2 else None])
        try:
            read_mat(path, 'GTcls', 'Segmentation')
        except ValueError as error:
            assert str(error).startswith(f'{path}: ') and str(error).isprintable()
            refused += 1
    assert refused > count / 20
