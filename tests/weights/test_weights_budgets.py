"""Small files that want much: each reader keeps the budget that its docstring states.

Every file is read in a process of its own, with a limit on its memory and a time after which it is
killed; the time is generous, against a hang only.
"""
import io
import json
import os
import pickle
import struct
import sys
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from bounded_reader import bounded_reader
from optional_deps import needed
from scipy.io import savemat
from weights_samples import SMALL_KERAS, dagnn_layers, floats, keras_file

from tinyfcn import weights
from tinyfcn.weights import keras_h5, npz, torch_pickle, unpickle
from tinyfcn.weights.arrays import FREE_BYTES, MAX_EXPANSION

pytestmark = pytest.mark.skipif(not sys.platform.startswith('linux'),
                                reason='measures memory by /proc of Linux')

# bytes that a reader may need: so many times the file, and so many more
MULTIPLE = 100
CONSTANT = 64 << 20


@pytest.fixture(scope='module')
def reader():
    with bounded_reader() as process:
        yield process


def check(reader, path, kind, message=''):
    """Read the file within the budget; it must be read, or refused with this in the message."""
    outcome = reader.read(path)
    assert outcome.kind == kind and message in outcome.message, outcome
    assert 'damaged, or not' not in outcome.message
    assert len(outcome.message) < 3000
    size = Path(path).stat().st_size
    assert outcome.memory <= MULTIPLE * size + CONSTANT, (outcome.memory, size)
    return outcome


# ---- torch: pickles by hand, opcode by opcode

MARK, TUPLE, TUPLE1, TUPLE2, REDUCE, STOP = b'(', b't', b'\x85', b'\x86', b'R', b'.'
DICT = b'ccollections\nOrderedDict\n'
PARAMETER = b'ctorch._utils\n_rebuild_parameter\n'
TENSOR = b'ctorch._utils\n_rebuild_tensor_v2\n'


def text(value):
    return b'X' + struct.pack('<I', len(value)) + value.encode()


def integer(value):
    data = pickle.encode_long(value)
    return b'\x8b' + struct.pack('<I', len(data)) + data


def put(index):
    return b'r' + struct.pack('<I', index)


def get(index):
    return b'j' + struct.pack('<I', index)


def storage(key, size):
    return (MARK + text('storage') + b'ctorch\nFloatStorage\n' + text(key) + text('cpu')
            + integer(size) + TUPLE + b'Q')


def tensor(storage_, shape, stride):
    return (TENSOR + MARK + storage_ + integer(0) + shape + stride + b'\x89' + DICT + b')R'
            + TUPLE + REDUCE)


def tuple_of(*values):
    return MARK + b''.join(map(integer, values)) + TUPLE


def torch_file(path, program, **storages):
    with zipfile.ZipFile(path, 'w') as archive:
        archive.writestr('x/data.pkl', b'\x80\x02' + program + STOP)
        for key, data in storages.items():
            archive.writestr(f'x/data/{key}', data)
    return path


def test_a_state_dict_by_hand_is_read(reader, tmp_path):
    program = (b'}' + MARK + text('w') + tensor(storage('a', 6), tuple_of(2, 3), tuple_of(3, 1))
               + b'u')
    path = torch_file(tmp_path / 'x.pth', program, a=floats(6).tobytes())
    np.testing.assert_array_equal(torch_pickle.load(path)[0]['w'], floats(6).reshape(2, 3))


def test_torch_a_list_that_becomes_a_dict_again_and_again(reader, tmp_path):
    pairs = b']' + put(0) + MARK + b''.join(
        text(f'{i}') + b'N' + TUPLE2 for i in range(4000)) + b'e'
    path = torch_file(tmp_path / 'x.pth', pairs + 400 * (DICT + get(0) + TUPLE1 + REDUCE))
    check(reader, path, 'refused', 'copies the same values again and again')


@pytest.mark.parametrize('call', [PARAMETER + get(0) + REDUCE, get(0) + b'Q'],
                         ids=['call', 'storage'])
def test_torch_a_long_tuple_of_arguments_again_and_again(reader, tmp_path, call):
    path = torch_file(tmp_path / 'x.pth', MARK + 200_000 * b'N' + TUPLE + put(0) + 8_000 * call)
    check(reader, path, 'refused', 'its pickle calls something with (None, None')


def tensors_of_one_storage(path, count, size):
    """A file of `count` tensors that are all the same `size` floats."""
    program = b'}' + MARK + text('0') + tensor(storage('a', size) + put(0), tuple_of(size),
                                               tuple_of(1))
    for i in range(1, count):
        program += text(f'{i}') + tensor(get(0), tuple_of(size), tuple_of(1))
    return torch_file(path, program + b'u', a=bytes(4 * size))


def test_torch_two_thousand_tensors_of_one_storage(reader, tmp_path):
    path = tensors_of_one_storage(tmp_path / 'x.pth', 2000, 250_000)
    check(reader, path, 'refused', 'its tensors would fill 2,000,000,000 bytes')


def test_torch_tied_weights_are_read(reader, tmp_path):
    path = tensors_of_one_storage(tmp_path / 'x.pth', 8, 250_000)
    assert check(reader, path, 'read').size == 8 * 4 * 250_000


def test_torch_storages_that_overlap_in_the_zip(reader, tmp_path):
    """A thousand members of the zip are the same megabyte."""
    size = 250_000
    program = b'}' + MARK
    for i in range(1000):
        program += text(f'{i}') + tensor(storage(f'{i}', size), tuple_of(1), tuple_of(1))
    path = torch_file(tmp_path / 'x.pth', program + b'u')
    add_overlapping(path, [f'x/data/{i}' for i in range(1000)], bytes(4 * size), zipfile.ZIP_STORED)
    check(reader, path, 'refused', 'its 1,000 storages have 1,000,000,000 bytes')


@pytest.mark.parametrize('axes', [tuple_of(*[1 << 40] * 5000), tuple_of(1 << 80_000, 2)],
                         ids=['many', 'large'])
def test_torch_a_shape_of_many_or_of_large_axes(reader, tmp_path, axes):
    program = b'}' + MARK + text('w') + tensor(storage('a', 1), axes + put(1), get(1)) + b'u'
    check(reader, torch_file(tmp_path / 'x.pth', program, a=bytes(4)), 'refused',
          'whole numbers are needed')


def test_torch_a_pickle_of_too_many_opcodes(reader, tmp_path):
    path = torch_file(tmp_path / 'x.pth', (unpickle.MAX_OPCODES + 10) * b'}')
    check(reader, path, 'refused', 'more than 500,000 opcodes')


# ---- Caffe

def varint(value):
    data = bytearray()
    while value > 127:
        data.append(value & 127 | 128)
        value >>= 7
    return bytes([*data, value])


def field(number, data):
    return varint(number << 3 | 2) + varint(len(data)) + data


def layer(name, *blobs, type_='Convolution'):
    return field(100, field(1, name.encode()) + field(2, type_.encode())
                 + b''.join(field(7, blob) for blob in blobs))


def shape(*sizes):
    return field(7, field(1, b''.join(map(varint, sizes))))


@pytest.mark.parametrize('packed', [True, False])
def test_caffe_a_hundred_thousand_axes(reader, tmp_path, packed):
    sizes = 100_000 * [1 << 63]
    axes = shape(*sizes) if packed else field(7, b''.join(b'\x08' + varint(size) for size in sizes))
    (tmp_path / 'x').write_bytes(layer('a', axes))
    check(reader, tmp_path / 'x', 'refused', 'a blob of more than 32 axes')


def test_caffe_floats_one_at_a_time(reader, tmp_path):
    values = floats(1000, 40)
    fields = np.empty(values.size, [('key', 'u1'), ('value', '<f4')])
    fields['key'] = 5 << 3 | 5
    fields['value'] = values.ravel()
    (tmp_path / 'x').write_bytes(layer('a', shape(1000, 40) + fields.tobytes(),
                                       type_='InnerProduct'))
    outcome = check(reader, tmp_path / 'x', 'read')
    assert outcome.size == values.nbytes and outcome.memory < 8 * values.nbytes + (8 << 20)
    np.testing.assert_array_equal(weights.read_raw(tmp_path / 'x')[0]['a.w'], values)


def test_caffe_a_long_name_of_many_blobs(reader, tmp_path):
    (tmp_path / 'x').write_bytes(layer(100_000 * 'a', *10_000 * [b''], type_='x'))
    check(reader, tmp_path / 'x', 'refused', 'a name of 100,000 bytes')
    (tmp_path / 'x').write_bytes(layer('a', *10_000 * [b''], type_='x'))
    check(reader, tmp_path / 'x', 'refused', 'a has more than 64 blobs')


def test_caffe_an_empty_blob_of_a_huge_shape(reader, tmp_path):
    (tmp_path / 'x').write_bytes(layer('a', shape(1 << 30, 1, 0, 0), type_='Deconvolution'))
    assert check(reader, tmp_path / 'x', 'read').size == 0


# ---- npz

def npy(array):
    np.lib.format.write_array(file := io.BytesIO(), array)
    return file.getvalue()


def add_overlapping(path, names, data, compression=zipfile.ZIP_DEFLATED):
    """Append members to a zip, or make one, of which all share the same bytes."""
    with zipfile.ZipFile(path, 'a', compression) as archive:
        archive.writestr(names[0], data)
        first = archive.getinfo(names[0])
        for name in names[1:]:
            member = zipfile.ZipInfo(name)
            for key in ('compress_type', 'CRC', 'compress_size', 'file_size', 'header_offset'):
                setattr(member, key, getattr(first, key))
            archive.filelist.append(member)
    return path


def test_npz_overlapping_members(reader, tmp_path):
    path = add_overlapping(tmp_path / 'x.npz', [f'{i}.npy' for i in range(1000)],
                           npy(np.zeros(500_000, 'f4')))
    check(reader, path, 'refused', 'its arrays would fill 2,000,128,000 bytes; the limit is ')


def test_npz_a_megabyte_of_zeros(reader, tmp_path):
    path = tmp_path / 'x.npz'
    with zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as archive:
        with archive.open('x.npy', 'w', force_zip64=True) as file:
            file.write(npy(np.zeros(0, 'f4')))
            for _ in range(50):
                file.write(bytes(1 << 20))
    check(reader, path, 'refused', 'its arrays would fill')


def test_npz_a_member_that_declares_more_than_it_has(reader, tmp_path):
    header = npy(np.zeros(0, 'f4')).replace(b'(0,), }                ', b'(9000000000,), }       ')
    assert b'9000000000' in header
    with zipfile.ZipFile(tmp_path / 'x.npz', 'w') as archive:
        archive.writestr('x.npy', header + bytes(8))
    check(reader, tmp_path / 'x.npz', 'refused',
          'x is float32 of shape (9000000000,), but 8 bytes follow')


def test_npz_a_member_that_claims_more_than_the_file_has(tmp_path):
    np.savez(tmp_path / 'x.npz', x=floats(3))
    data = bytearray((tmp_path / 'x.npz').read_bytes())
    at = data.index(b'PK\1\2') + 20                     # the compressed size in the list
    data[at:at + 4] = b'\xff\xff\xff\x7f'
    (tmp_path / 'x.npz').write_bytes(data)
    with bounded_reader(limit=512 << 20) as reader:
        check(reader, tmp_path / 'x.npz', 'refused', 'claims more bytes than the file has')


def test_npz_sparse_weights_are_read(reader, tmp_path):
    sparse = np.zeros((1000, 1000), 'f4')
    sparse[:, ::20] = floats(1000, 50)
    np.savez_compressed(tmp_path / 'x.npz', w=sparse, small=np.zeros(100_000))
    assert (tmp_path / 'x.npz').stat().st_size < sparse.nbytes / 8
    assert check(reader, tmp_path / 'x.npz', 'read').size == sparse.nbytes + 800_000


def test_npz_other_compressions_are_refused(reader, tmp_path):
    with zipfile.ZipFile(tmp_path / 'x.npz', 'w', zipfile.ZIP_LZMA) as archive:
        archive.writestr('x.npy', npy(floats(3)))
    check(reader, tmp_path / 'x.npz', 'refused', 'in a way that numpy.savez never does')


# ---- Keras

@pytest.fixture
def h5(tmp_path):
    """A path, and a function that opens it for writing with one layer that has weights."""
    h5py = needed('h5py')

    def create():
        file = h5py.File(tmp_path / 'x.h5', 'w', libver='latest')
        file.create_group('conv').attrs['weight_names'] = [b'w']
        return file
    return tmp_path / 'x.h5', create


def test_h5_three_thousand_groups_deep(reader, h5):
    path, create = h5
    with create() as file:
        group = file
        for _ in range(3000):
            group = group.create_group('a')
    check(reader, path, 'refused', 'is nested deeper than 32 groups')


def test_h5_a_group_in_itself_and_long_names(reader, h5):
    path, create = h5
    with create() as file:
        file['conv/w'] = floats(3)
        file['conv/loop'] = file['conv']
    assert check(reader, path, 'read').names == ['conv.w']
    with create() as file:
        file['conv/' + 2000 * 'w'] = floats(3)
    check(reader, path, 'refused', 'has more than 1000 characters')


@pytest.mark.parametrize('kwargs', [
    dict(shape=1 << 28), dict(shape=1 << 28, chunks=(1 << 20,), compression='gzip'),
    dict(shape=4, maxshape=(None,), chunks=(1 << 28,), compression='gzip')],
    ids=['declared', 'compressed', 'chunk'])
def test_h5_more_than_the_file_has(reader, h5, kwargs):
    path, create = h5
    with create() as file:
        file.create_dataset('conv/w', dtype='f4', **kwargs)
    check(reader, path, 'refused', 'its arrays would fill 1,073,741,824 bytes')


def test_h5_many_layers_are_read_in_a_short_time(reader, h5):
    path, create = h5
    with create() as file:
        for i in range(400):
            file[f'layer{i}/w'] = floats(1)
            file[f'layer{i}'].attrs['weight_names'] = [b'w']
    assert len(check(reader, path, 'read').names) == 100


@pytest.mark.parametrize('name', ['conv/w', 'other', 'model_weights'])
def test_h5_a_link_into_another_file_is_refused(reader, h5, tmp_path, name):
    h5py = needed('h5py')
    keras_file(tmp_path / 'secret.h5', SMALL_KERAS)
    path, create = h5
    with create() as file:
        file[name] = h5py.ExternalLink(str(tmp_path / 'secret.h5'), '/dense')
    check(reader, path, 'refused', f'{name} is a link to another file')


def test_h5_a_soft_link_is_not_followed_out_of_the_file(reader, h5, tmp_path):
    h5py = needed('h5py')
    path, create = h5
    with create() as file:
        file['conv/w'] = floats(3)
        file['conv/b'] = h5py.SoftLink('/nowhere')
    assert check(reader, path, 'read').names == ['conv.w']


def test_h5_arrays_of_other_files_are_refused(reader, h5, tmp_path):
    h5py = needed('h5py')
    keras_file(tmp_path / 'secret.h5', SMALL_KERAS)
    path, create = h5
    with create() as file:
        layout = h5py.VirtualLayout((8, 3), 'f4')
        layout[:] = h5py.VirtualSource(tmp_path / 'secret.h5', 'dense/dense/kernel:0', (8, 3))
        file.create_virtual_dataset('conv/w', layout)
    check(reader, path, 'refused', 'conv/w lies in another file')
    np.zeros(9, 'f4').tofile(tmp_path / 'raw')
    with create() as file:
        file.create_dataset('conv/w', 9, 'f4', external=[(str(tmp_path / 'raw'), 0, 36)])
    check(reader, path, 'refused', 'conv/w lies in another file')


# ---- safetensors

def safetensors_file_of(path, header, data=b''):
    header = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(len(header).to_bytes(8, 'little') + header + data)
    return path


def entry(start, end, *shape, dtype='F32'):
    return dict(dtype=dtype, shape=shape, data_offsets=[start, end])


@pytest.mark.parametrize('header, data, message', [
    ({f'{i}': entry(0, 4000, 1000) for i in range(2000)}, bytes(4000),
     'and the one before it ends at byte'),
    ({'a': entry(0, 4, 1), 'b': entry(8, 12, 1)}, bytes(12), 'an array begins at byte'),
    ({'a': entry(0, 4, 1 << 40)}, bytes(4), 'F32 of shape [1099511627776] in the bytes [0, 4]'),
    ({'a': entry(0, 4, *[1] * 33)}, bytes(4), 'a is F32 of shape [1, 1, 1'),
    ({'a': entry(0, 1 << 50, 1 << 48)}, bytes(4), 'truncated: 102 bytes of 1,125,899,906,842,722'),
    ({'a': entry(-4, 0, 1)}, bytes(4), 'a is F32 of shape [1] in the bytes [-4, 0]'),
    ({'a': [1]}, b'', 'a is described by [1]'),
], ids=['overlap', 'gap', 'shape', 'axes', 'size', 'negative', 'list'])
def test_safetensors_sizes_that_cannot_be(reader, tmp_path, header, data, message):
    path = safetensors_file_of(tmp_path / 'x', header, data)
    check(reader, path, 'refused', message)


def test_safetensors_headers_are_bounded(reader, tmp_path):
    path = safetensors_file_of(tmp_path / 'x', b'{"a":[' + 4_000_000 * b'[],' + b'[]]}')
    check(reader, path, 'refused', 'a header of 12,000,010 bytes')
    path = safetensors_file_of(tmp_path / 'x', b'{"a":' + 100_000 * b'[')
    assert reader.read(path).kind == 'refused'


def test_safetensors_are_read_without_a_second_copy(reader, tmp_path):
    weights.save(tmp_path / 'x', {f'{i}.w': np.ones(1 << 18, 'f4') for i in range(32)})
    outcome = check(reader, tmp_path / 'x', 'read')
    assert outcome.memory < 1.25 * outcome.size


# ---- MatConvNet: elements by hand

def element(kind, data):
    return struct.pack('<II', kind, len(data)) + data + bytes(-len(data) % 8)


def matrix(kind, shape, content, name=b''):
    return element(14, element(6, struct.pack('<II', kind, 0))
                   + element(5, struct.pack(f'<{len(shape)}i', *shape)) + element(1, name)
                   + content)


def mat_file(path, *variables, compress=False):
    if compress:
        packed = [zlib.compress(variable) for variable in variables]
        variables = [struct.pack('<II', 15, len(data)) + data for data in packed]
    path.write_bytes(b'MATLAB 5.0 MAT-file'.ljust(124) + b'\0\1IM' + b''.join(variables))
    return path


CELL, STRUCT, SINGLE = 1, 2, 7
NAMES = element(5, struct.pack('<i', 8)) + element(1, b'name\0\0\0\0')


def test_mat_a_huge_array_of_structs_or_of_cells(reader, tmp_path):
    for kind, names in (CELL, b''), (STRUCT, NAMES), (STRUCT, NAMES[:16] + element(1, b'')):
        path = mat_file(tmp_path / 'x', matrix(kind, (1 << 30, 1), names, b'layers'),
                        matrix(STRUCT, (1, 1), NAMES, b'params'))
        outcome = reader.read(path)
        assert outcome.kind == 'refused' and outcome.memory < CONSTANT, outcome


def test_mat_a_matrix_of_a_million_axes(reader, tmp_path):
    path = mat_file(tmp_path / 'x', matrix(SINGLE, [1] * 1_000_000, b'', b'layers'))
    assert '1000000 axes' in reader.read(path).message


def test_mat_cells_in_cells(reader, tmp_path):
    """The one that is looked into is unboxed again and again, and each time is smaller."""
    inner = matrix(CELL, (1, 1), b'')
    for _ in range(2000):
        inner = matrix(CELL, (1, 1), inner)
    path = mat_file(tmp_path / 'x', matrix(CELL, (1, 1), inner, b'net'))
    assert reader.read(path).kind == 'refused'


def test_mat_zeros_that_are_compressed(reader, tmp_path):
    variable = matrix(SINGLE, (1 << 11, 1 << 12), element(7, bytes(1 << 25)), b'layers')
    outcome = reader.read(mat_file(tmp_path / 'x', variable, compress=True))
    assert outcome.kind == 'refused' and 'and a net is far smaller' in outcome.message
    assert outcome.memory < CONSTANT


def test_mat_small_integers_that_become_floats(reader, tmp_path):
    """A few kilobytes of bytes may fill four times as much, and no more."""
    layers = dagnn_layers([(f'c{i}', 'Conv', [np.ones((3, 3, 64, 64), 'uint8')])
                           for i in range(20)])
    savemat(tmp_path / 'x', layers, appendmat=False)
    assert check(reader, tmp_path / 'x', 'read').size == 20 * 4 * 9 * 64 * 64


# ---- Any format

def test_a_large_file_where_memory_is_short_is_not_called_damaged(tmp_path):
    weights.save(tmp_path / 'x', {'w': np.zeros(6 << 20, 'f4')})
    with bounded_reader(limit=8 << 20) as small:
        outcome = small.read(tmp_path / 'x')
    assert 'MemoryError' in outcome.kind and 'damaged' not in outcome.message

def test_the_limit_of_all_formats_is_the_same():
    assert npz.MAX_BYTES == keras_h5.MAX_BYTES == torch_pickle.MAX_BYTES
    assert MAX_EXPANSION == 16 and FREE_BYTES == 16 << 20


@pytest.mark.parametrize('name', ['caffe', 'keras_h5', 'matconvnet', 'npz', 'safetensors_file',
                                  'torch_pickle'])
def test_a_pipe_is_refused_by_every_reader(reader, tmp_path, name):
    os.mkfifo(tmp_path / 'x')
    outcome = reader.read(tmp_path / 'x', name)
    assert 'a pipe or a device, not a file' in outcome.message and 'damaged' not in outcome.message
