"""tinyfcn's own file: a .safetensors that any reader can open, and whose every bit is checked.

    save('fcn8s.safetensors', net.params, dict(net='fcn8s', n_class=21))
    arrays, about = load('fcn8s.safetensors')

The format itself carries no checksum. Ours has one note in its metadata, called 'tinyfcn': the
CRC-32 of a JSON text that holds `about` and, by name, the CRC-32 of every array.
"""
import json
import os
from contextlib import contextmanager, suppress
from pathlib import Path
from zlib import crc32

import numpy as np
import safetensors
from safetensors.numpy import save as packed

KEY = 'tinyfcn'
DTYPES = dict(F64='float64', F32='float32', F16='float16', I64='int64', U64='uint64', I32='int32',
              U32='uint32', I16='int16', U16='uint16', I8='int8', U8='uint8', BOOL='bool')


def save(path, arrays, about=None):
    """Write {name: array}, and a dict that JSON knows. `path` is replaced whole, or left as it is.

    An array may have any dtype of DTYPES; it is read back as it was.
    """
    arrays = {name: np.asarray(array) for name, array in arrays.items()}
    for name, array in arrays.items():
        if array.dtype.name not in DTYPES.values():
            raise ValueError(f'{name} is {array.dtype}; weights are floats, integers or bools')
        arrays[name] = _little(array)
    sums = {name: _crc(name, array) for name, array in arrays.items()}
    text = json.dumps(dict(about=about or {}, crc32=sums), separators=(',', ':'))
    data = packed(arrays, {KEY: f'{crc32(text.encode()):08x} {text}'})
    with replacing(path) as file:
        file.write(data)


def load(path):
    """-> {name: array}, about.   Every bit of an own file is checked before anything is given.

    A .safetensors from elsewhere has nothing to check by: its about is {}, and its float16 and
    bfloat16 become float32. All other dtypes stay what they are.
    """
    with reading(path, 'safetensors file'):
        note, arrays = _parts(path)
        if note is None:
            return {name: plain(name, array) for name, array in arrays.items()}, {}
        about, sums = _checked(note)
        if odd := sums.keys() ^ arrays.keys():
            raise FormatError(f'damaged: {sorted(odd)} should be both in the list of arrays and '
                              f'in the file; get the file again')
        for name, array in arrays.items():
            if _crc(name, array) != sums[name]:
                raise FormatError(f'damaged: {name} is not what was saved (another CRC-32); get '
                                  f'the file again')
        return {name: arrays[name] for name in sums}, about     # in the order of saving


def weights_only(arrays):
    """Without what only a run needs that goes on from its checkpoint: names that begin with ~."""
    return {name: array for name, array in arrays.items() if not name.startswith('~')}


def is_ours(path):
    """Whether `save` wrote this file."""
    with reading(path, 'safetensors file'), open(path, 'rb') as file:
        return _note(file) is not None


def _parts(path):
    """-> the note, or None; and the arrays as they lie in the file"""
    with open(path, 'rb') as file:
        note = _note(file)
        file.seek(0)
        return note, {name: _array(name, **tensor)
                      for name, tensor in safetensors.deserialize(file.read())}


def _note(file):
    """Our text in the metadata; a damaged key must not make of our file a file from elsewhere."""
    size = os.fstat(file.fileno()).st_size
    length = int.from_bytes(file.read(8), 'little')
    if size < 8 + length:
        raise FormatError(f'{size:,} bytes, and the header alone has {8 + length:,}: truncated, or '
                          f'no safetensors file; get the file again')
    header = json.loads(file.read(length))
    metadata = header.pop('__metadata__', None) or {}
    needed = 8 + length + max((tensor['data_offsets'][1] for tensor in header.values()), default=0)
    if size < needed:
        raise FormatError(f'truncated: {size:,} bytes of {needed:,}; get the file again')
    if not any(KEY in key or 'crc32' in value for key, value in metadata.items()):
        return None
    if [*metadata] != [KEY]:
        raise FormatError(f'damaged: a file of tinyfcn with the metadata {[*metadata]}; get the '
                          f'file again')
    return metadata[KEY]


def _checked(note):
    """'01234567 {"about": …, "crc32": …}' -> about, crc32"""
    crc, _, text = note.partition(' ')
    if crc != f'{crc32(text.encode()):08x}':
        raise FormatError('damaged: its header is not what was saved (another CRC-32); get the '
                          'file again')
    return json.loads(text).values()


def _array(name, dtype, shape, data):
    if dtype == 'BF16':
        return from_bfloat16(np.frombuffer(data, '<u2').reshape(shape))
    if dtype not in DTYPES:
        raise FormatError(f'{name} is {dtype}, which NumPy does not know')
    little = np.dtype(DTYPES[dtype]).newbyteorder('<')
    return np.require(np.frombuffer(data, little).reshape(shape), DTYPES[dtype], 'W')


def _crc(name, array):
    """CRC-32 over name, dtype, shape and bytes."""
    head = f'{name} {array.dtype.name} {array.shape}'.encode()
    return crc32(_little(array).reshape(-1).view('uint8'), crc32(head))


def _little(array):
    """Row by row, the lowest byte of a number first: as it lies in the file."""
    return np.asarray(array, array.dtype.newbyteorder('<'), order='C')


class FormatError(ValueError):
    """A file of weights that cannot be read: which one, what was found in it, what to do."""


@contextmanager
def reading(path, what):
    """Whatever a damaged file sets off in here becomes a FormatError that names the file."""
    try:
        yield
    except FormatError as error:
        raise FormatError(f'{path}: {error}') from None
    except (FileNotFoundError, IsADirectoryError, PermissionError):
        raise                                           # these say themselves what is wrong
    except Exception as error:
        raise FormatError(f'{path}: damaged, or no {what} ({type(error).__name__}: {error}); '
                          f'get the file again') from None


@contextmanager
def replacing(path):
    """-> an open new file that takes the place of `path` when all has gone well, or vanishes.

    A name in a folder changes in one step: a reader finds the old file or the new one, and as
    file and folder are flushed also after a power cut.
    """
    path = Path(os.path.realpath(path))                 # of a link, the file it leads to
    new = path.with_name(f'.{path.name}.{os.getpid()}.tmp')
    for left in path.parent.glob(f'.{path.name}.*.tmp'):
        if os.name == 'posix' and _is_over(left.suffixes[-2][1:]):      # its process was killed
            left.unlink(missing_ok=True)
    try:
        with open(new, 'wb') as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(new, path)
    except BaseException as error:                      # Ctrl-C leaves no litter either
        with suppress(OSError):                         # a locked folder has nothing to remove
            new.unlink()
        if isinstance(error, OSError) and error.errno:  # a full disk says not which file it was
            raise OSError(error.errno, error.strerror, str(path)) from None
        raise
    if os.name == 'posix':                              # elsewhere a folder cannot be opened
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def plain(name, array):
    """`array` in this machine's byte order and rows; float16 becomes float32, which ops know."""
    if array.dtype.kind not in 'fiub':
        raise FormatError(f'{name} is {array.dtype}; weights are floats, integers or bools')
    dtype = 'float32' if array.dtype == 'float16' else array.dtype.newbyteorder('=')
    return np.require(array, dtype, 'CW')


def from_bfloat16(bits):
    """bfloat16 is the upper half of a float32.   (…) of uint16 -> (…) of float32"""
    return (bits.astype('uint32') << 16).view('float32')


def _is_over(pid):
    """Whether no such process runs any more; elsewhere than on POSIX to ask could end it."""
    try:
        os.kill(int(pid), 0)
    except (ValueError, OSError) as error:
        return isinstance(error, ProcessLookupError)
    return False
