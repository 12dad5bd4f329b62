"""A Keras .h5: groups in groups, of which those that are layers have an attribute weight_names.

That attribute is looked for, and never read: on a damaged list of texts HDF5 loops for ever, where
no Ctrl-C reaches it. A kernel is known by its axes.
"""
import os

from ..files import FormatError, reading
from .dtypes import plain
from .file import MOST

SWELL = 1000        # bytes of arrays to a byte of file; a few bytes can declare any number of zeros


def load(path):
    """-> {'<layer>.w': array, '<layer>.b': array, …}, {}

    w: HWIO becomes OIHW, and (in, out) of a dense layer (out, in); b (out,). The arrays of a layer
    without a kernel, such as batch norm, are <layer>.<name>, as in 'bn1.gamma:0'.
    """
    try:
        import h5py
    except ImportError:
        raise FormatError(f'{path}: h5py reads this kind of file, and is not installed: '
                          f'pip install tinyfcn[h5]') from None
    with reading(path, 'Keras .h5'), h5py.File(path, 'r') as file:
        items = []                  # a walk along the links within the file, and along no others
        root = file['model_weights'] if 'model_weights' in file else file       # of a whole model
        root.visititems(lambda name, item: items.append((name, item)))
        found = [(name, item) for name, item in items if isinstance(item, h5py.Dataset)]
        _refuse(found, min(MOST, SWELL * os.path.getsize(path)))
        layers = {name: {} for name, item in items if 'weight_names' in item.attrs}
        for name, item in found:
            layer = next((layer for layer in layers if name.startswith(f'{layer}/')), None)
            if layer is not None:
                layers[layer][name.split('/')[-1]] = plain(name, item[()])
        arrays = {name: array for layer, own in layers.items()
                  for name, array in _named(layer, own)}
        if not arrays:
            raise FormatError(f'an HDF5 file in which no layer of Keras has weights; it holds '
                              f'{[name for name, _ in items][:5]}')
        return arrays, {}


def _refuse(found, most):
    for name, item in found:
        if item.external or item.is_virtual:
            raise FormatError(f'{name} lies in another file: only what is in this one is read')
    if (total := sum(item.size * item.dtype.itemsize for _, item in found if item.shape)) > most:
        raise FormatError(f'its arrays would fill {total:,} bytes; the limit is {most:,}')


def _named(layer, own):
    """A kernel and perhaps a bias are w and b; the arrays of any other layer keep their names."""
    w, *more = sorted(own.values(), key=lambda array: -array.ndim) or [None]
    if w is None or w.ndim not in (2, 4) or [b.ndim for b in more] not in ([], [1]):
        yield from ((f'{layer}.{name}', array) for name, array in own.items())
    else:
        w = w.transpose(3, 2, 0, 1) if w.ndim == 4 else w.T
        yield f'{layer}.w', plain(layer, w)
        yield from ((f'{layer}.b', b) for b in more)
