"""Which reader a file of weights needs, by its first bytes."""
import os
import zipfile
from pathlib import Path
from typing import BinaryIO

from ..files import FormatError, describe_read_errors, open_regular
from .note import MEMBER as NOTE

# {first bytes of files that are not weights: the message}
NOT_WEIGHTS = {
    b'<': 'this is a page of HTML or XML: a failed download? Open the address in a browser',
    b'version https://git-lfs': 'this is a git-lfs pointer, a note that says where the file is: '
                                'run `git lfs pull`',
    b'\x1f\x8b': 'this is packed by gzip: unpack it first (gunzip)',
    b'\x93NUMPY': 'this is a single array (.npy); weights have names: save them with numpy.savez',
    b'\x80': 'this is a pickle, but not of torch.save; it may run anything, and is not opened',
    b'MATLAB 7.3': 'this is a .mat of MATLAB 7.3, which is HDF5: in MATLAB, save it with -v7',
    b'name:': 'this is a prototxt, which says how the net is built; its weights are in the '
              '.caffemodel',
}


def detect_format(path: str | Path) -> str:
    """The name of one of the formats in LOADERS, by content: a suffix may be wrong.

    A file of no known format is a FormatError that says what it seems to be.
    """
    with open_regular(path) as file, describe_read_errors(path, 'file of weights'):
        size = os.fstat(file.fileno()).st_size
        head = file.read(64)
        if not size:
            raise FormatError('the file is empty: a failed download? Get it again')
        if head[5:9] == b'\0\0\0{':                     # a length of 8 bytes, then JSON
            return 'safetensors'
        if head.startswith(b'\x89HDF\r\n\x1a\n'):
            return 'keras'
        if head.startswith(b'PK'):
            return _zip_format(file, size)
        if head[:1] == b'\x80' and b'\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.' in head:
            return 'torch'                              # its older form: a pickled magic number

        if head.startswith(b'MATLAB 5.0 MAT-file'):
            return 'matconvnet'
        text = head.lstrip(b'\xef\xbb\xbf \t\r\n').lower()
        for start, explanation in NOT_WEIGHTS.items():
            if text.startswith(start.lower()):
                raise FormatError(explanation)

        if head[0] in (0x0a, 0x12, 0x1a) or head.startswith(b'\xa2\x06'):
            return 'caffe'                              # fields 1, 2, 3 or 100 of NetParameter
        raise FormatError(f'{size:,} bytes that begin with {head[:8]!r}: not one of the known '
                          f'formats, .safetensors, .caffemodel, .pth, .npz, .h5 and .mat')


def _zip_format(file: BinaryIO, size: int) -> str:
    if not zipfile.is_zipfile(file):
        raise FormatError(f'a zip without its index, which is at its end: the download stopped '
                          f'after {size:,} bytes. Get the file again')
    with zipfile.ZipFile(file) as archive:
        names = archive.namelist()
    if any(name.split('/')[-1] == 'data.pkl' for name in names):
        return 'torch'
    if names and all(name.endswith('.npy') or name == NOTE for name in names):
        return 'npz'
    advice = ''
    if 'model.weights.h5' in names:
        advice = (". This is a .keras file: in Keras, model.save('net.h5') writes the older form, "
                  "which is read")
    raise FormatError(f'a zip, but neither of torch.save nor of numpy.savez; it holds '
                      f'{", ".join(names[:5]) or "nothing"}{advice}')
