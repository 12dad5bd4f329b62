"""A file of weights: told by its first bytes, refused in a sentence.

Every reader of this wing takes a path and gives ({name: array}, about); `about` is a dict of what
the file says beside its arrays. What cannot be read is a FormatError, whatever is wrong with it.
"""
import os
import zipfile

from ..files import FormatError, reading

MOST = 8 << 30       # bytes of arrays: larger ones are refused; VGG-16 has half a GiB

# What a file begins with, and why it is then no file of weights
STRANGE = {
    b'<': 'this is a page of HTML or XML: a failed download? Open the address in a browser',
    b'version https://git-lfs': 'this is a git-lfs pointer, a note that says where the file is: '
                                'run `git lfs pull`',
    b'\x1f\x8b': 'this is packed by gzip: unpack it first (gunzip)',
    b'\x93NUMPY': 'this is a single array (.npy); weights have names: save them with numpy.savez',
    b'\x80': 'this is a pickle, but not of torch.save; it may run anything, and is not opened',
    b'name:': 'this is a prototxt, which says how the net is built; its weights are in the '
              '.caffemodel',
}


def kind(path):
    """Which reader a file needs, by its first bytes: a suffix is only what somebody hoped.

    -> 'safetensors', 'torch', 'npz', 'keras' or 'caffe'
    """
    with reading(path, 'file of weights'):
        size = os.path.getsize(path)
        with open(path, 'rb') as file:
            head = file.read(64)
        if not size:
            raise FormatError('the file is empty: a failed download? Get it again')
        if head[5:9] == b'\0\0\0{':                     # a length of 8 bytes, then JSON
            return 'safetensors'
        if head.startswith(b'\x89HDF\r\n\x1a\n'):
            return 'keras'
        if head.startswith(b'PK'):
            return _kind_of_zip(path, size)
        if head[:1] == b'\x80' and b'\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.' in head:
            return 'torch'                              # its older form: a pickled magic number
        for start, what in STRANGE.items():
            if head.lstrip(b'\xef\xbb\xbf \t\r\n').lower().startswith(start.lower()):
                raise FormatError(what)
        if head[0] in (0x0a, 0x12, 0x1a) or head.startswith(b'\xa2\x06'):
            return 'caffe'                              # fields 1, 2, 3 or 100 of NetParameter
        raise FormatError(f'{size:,} bytes that begin with {head[:8]!r}: none of the files of '
                          f'weights known here, .safetensors, .caffemodel, .pth, .npz and .h5')


def _kind_of_zip(path, size):
    if not zipfile.is_zipfile(path):
        raise FormatError(f'a zip whose index, which stands at its end, is missing: {size:,} bytes '
                          f'came, and there were more. Get the file again')
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
    if any(name.split('/')[-1] == 'data.pkl' for name in names):
        return 'torch'
    if names and all(name.endswith('.npy') for name in names):
        return 'npz'
    raise FormatError(f'a zip, but neither of torch.save nor of numpy.savez; it holds '
                      f'{", ".join(names[:5]) or "nothing"}')
