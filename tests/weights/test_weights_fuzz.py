"""Ten thousand damaged files: a reader returns arrays or raises FormatError, and nothing else.

It does so in a process of its own with little memory and little time, so that a file that would
fill the memory or never end fails the test. TINYFCN_FUZZ=60000 tries more files.
"""
import io
import os
import sys
import zipfile

import numpy as np
import pytest
from bounded_reader import bounded_reader
from optional_deps import needed
from scipy.io import savemat
from weights_samples import (
    SMALL_CAFFE,
    SMALL_KERAS,
    as_hwio,
    caffemodel,
    dagnn_layers,
    floats,
    keras_file,
    meta,
    state_dict,
)

from tinyfcn import weights
from tinyfcn.weights import FormatError

pytestmark = [pytest.mark.fuzz, pytest.mark.skipif(
    not sys.platform.startswith('linux'), reason='measures memory by /proc of Linux')]
COUNT = int(os.environ.get('TINYFCN_FUZZ', 10_000))
ADDRESSES = 512 << 20           # bytes of RLIMIT_AS beyond those at the beginning
MEMORY = 96 << 20               # bytes that a file of some kilobytes may need
SECONDS = 5                     # of the processor for one file


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


def mat_files(path):
    layers = dagnn_layers([('conv1', 'Conv', [as_hwio(floats(4, 3, 3, 3)), floats(4, 1)]),
                           ('up', 'ConvTranspose', [as_hwio(floats(2, 2, 4, 4))])])
    files = []
    for compressed in (False, True):
        savemat(path, dict(layers, meta=meta(classes=['a', 'b'])), do_compression=compressed)
        files.append(path.read_bytes())
    return files


def damage(data, rng):
    """One to three times: flip a bit, insert, delete, overwrite or repeat bytes, or cut the end."""
    data = bytearray(data)
    for _ in range(rng.integers(1, 4)):
        kind = rng.integers(13)
        at = int(rng.integers(len(data) + 1))
        count = rng.integers(1, 17)
        if kind < 5 and data:
            data[at % len(data)] ^= 1 << rng.integers(8)
        elif kind < 7:
            data[at:at] = rng.bytes(count)
        elif kind < 9:
            del data[at:at + count]
        elif kind < 11:
            width = 1 << rng.integers(4)                # of a number
            data[at:at + width] = [b'\0', b'\xff', b'\x7f'][rng.integers(3)] * width
        elif kind < 12:
            data[at:at] = data[at:at + 8 * count] * int(count)
        else:
            del data[at:]
    return bytes(data)


def damage_inside(data, rng):
    """Damage what a checksum or a length would give away, and make that right again."""
    if data.startswith(b'PK'):
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = {member: archive.read(member) for member in archive.infolist()}
        chosen = rng.integers(len(members))
        with zipfile.ZipFile(out := io.BytesIO(), 'w') as archive:
            for i, (member, content) in enumerate(members.items()):
                archive.writestr(member.filename, damage(content, rng) if i == chosen else content,
                                 member.compress_type)
        return out.getvalue()
    end = 8 + int.from_bytes(data[:8], 'little')
    if data[5:9] == b'\0\0\0{':                         # safetensors
        header = damage(data[8:end], rng)
        return len(header).to_bytes(8, 'little') + header + data[end:]
    return damage(data, rng)


def outcomes(folder, name, files, count, seed, damage_inside=damage_inside, addresses=ADDRESSES,
             memory=MEMORY):
    """How many damaged files were read and how many refused, within the limits.

    The files themselves are read. They are damaged a few at a time, as two processes that wait for
    each other after each one take twice as long.
    """
    rng = np.random.default_rng(seed)
    paths = [folder / f'damaged-{i:02}' for i in range(50)]
    counts = dict(read=0, refused=0)
    with bounded_reader(limit=addresses) as reader:
        for data in files:
            paths[0].write_bytes(data)
            assert reader.read(paths[0], name).kind == 'read'
        for start in range(0, count, len(paths)):
            batch = paths[:count - start]
            for i, path in enumerate(batch, start):
                change = damage if rng.integers(2) else damage_inside
                path.write_bytes(change(files[i % len(files)], rng))
            for i, (path, outcome) in enumerate(zip(batch, reader.read_all(batch, name)), start):
                beginnings = f'{path}: ', f'{path}, line '
                assert outcome.kind in counts and outcome.message.isprintable(), (i, outcome)
                refused_rightly = outcome.message.startswith(beginnings)
                assert outcome.kind == 'read' or refused_rightly, (i, outcome)
                assert outcome.memory <= memory and outcome.seconds <= SECONDS, (i, outcome)
                counts[outcome.kind] += 1
    return counts


@pytest.mark.parametrize('name, write_files', [
    ('caffe', caffe_files), ('torch_pickle', torch_files), ('npz', npz_files),
    ('keras_h5', keras_files), ('safetensors_file', safetensors_files), ('matconvnet', mat_files)])
def test_a_damaged_file_is_read_or_refused(folder, name, write_files):
    counts = outcomes(folder, name, write_files(folder / 'x'), COUNT, seed=7)
    assert min(counts.values()) > COUNT / 100, counts


def whole_nets(path):
    """A net of a known source in each format: the five convolutions of two AlexNets."""
    torch = needed('torch')
    convs = {f'conv{i}': (floats(4, 3, 3, 3) if i == 1 else floats(4, 2, 3, 3), floats(4))
             for i in range(1, 6)}
    arrays = {f'{box}.{kind}': array for box, pair in convs.items()
              for kind, array in zip('wb', pair)}
    state = {f'features.{i}.weight': torch.from_numpy(w)
             for i, (w, _) in zip((0, 3, 6, 8, 10), convs.values())}
    np.savez(file := io.BytesIO(), **arrays)
    yield file.getvalue()
    yield caffemodel([(box, 'Convolution', pair) for box, pair in convs.items()])
    savemat(path, dagnn_layers([(box, 'Conv', [as_hwio(w), b[:, None]])
                                for box, (w, b) in convs.items()]))
    yield path.read_bytes()
    torch.save(dict(model=state, epoch=1), path)
    yield path.read_bytes()
    yield needed('safetensors.torch').save(state)
    weights.save(path, arrays, dict(source='CaffeNet'))
    yield path.read_bytes()


def test_weights_read_raises_nothing_but_format_error(folder):
    outcomes(folder, 'read', [*whole_nets(folder / 'x')], COUNT // 5, seed=8)


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
