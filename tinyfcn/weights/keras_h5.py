"""A Keras .h5: a group for each layer, whose weight_names say in which order its arrays stand."""
import os
from math import prod

from .file import MOST, FormatError, plain, reading

SWELL = 1000        # bytes of arrays to a byte of file; a few bytes can declare any number of zeros


def load(path):
    """-> {'<layer>.w': array, '<layer>.b': array, …}, {}

    w: HWIO becomes OIHW, and (in, out) of a dense layer (out, in); b (out,). The arrays of a layer
    that begins otherwise (batch norm) are <layer>.0, <layer>.1, … in the order of the file.
    """
    try:
        import h5py
    except ImportError:
        raise FormatError(f'{path}: h5py reads this kind of file, and is not installed: '
                          f'pip install tinyfcn[h5]') from None
    with reading(path, 'Keras .h5'), h5py.File(path, 'r') as file:
        root = file['model_weights'] if 'model_weights' in file else file   # of a whole model
        if 'layer_names' not in root.attrs:
            raise FormatError(f'an HDF5 file, but not of Keras: it lists no layer_names; it holds '
                              f'{[*root][:5]}')
        datasets = _datasets(root, h5py.Dataset, SWELL * os.path.getsize(path))
        arrays = {}
        for layer in _texts(root.attrs['layer_names']):
            names = _texts(root[layer].attrs['weight_names'])
            blobs = [datasets[f'{layer}/{name}'] for name in names]
            arrays.update(_named(layer, [plain(layer, blob[()]) for blob in blobs]))
        if not arrays:
            raise FormatError('none of its layers has weights')
        return arrays, {}


def _datasets(root, dataset, most):
    """Every dataset in the file by its path: links out of the file are never followed."""
    found = {}
    root.visititems(lambda name, item: found.update({name: item} if isinstance(item, dataset)
                                                    else {}))
    for name, item in found.items():
        if item.external or item.is_virtual:
            raise FormatError(f'{name} lies in another file: only what is in this one is read')
    total = sum(prod(item.shape) * item.dtype.itemsize for item in found.values())
    if total > min(most, MOST):
        raise FormatError(f'its arrays would fill {total:,} bytes; the limit is '
                          f'{min(most, MOST):,}')
    return found


def _named(layer, blobs):
    if not blobs or blobs[0].ndim not in (2, 4):
        return {f'{layer}.{i}': blob for i, blob in enumerate(blobs)}
    w = blobs[0].transpose(3, 2, 0, 1) if blobs[0].ndim == 4 else blobs[0].T
    own = dict(zip((f'{layer}.w', f'{layer}.b'), [plain(layer, w), *blobs[1:]]))
    if len(blobs) > 2 or len(blobs) == 2 and blobs[1].ndim != 1:
        raise FormatError(f'layer {layer} has arrays of the shapes {[b.shape for b in blobs]}: '
                          f'a kernel and a bias are needed')
    return own


def _texts(names):
    """What HDF5 stores as bytes or as text -> list of str"""
    return [name.decode() if isinstance(name, bytes) else str(name) for name in names]
