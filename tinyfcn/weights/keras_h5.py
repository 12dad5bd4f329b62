"""A Keras .h5: nested groups, of which those that are layers have an attribute weight_names.

Only the presence of that attribute is tested; its value is never read: on a damaged list of strings
HDF5 loops for ever, and Ctrl-C cannot stop it. A kernel is recognised by its number of axes.
"""
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from ..files import FormatError, describe_read_errors
from .arrays import MAX_BYTES, Arrays, check_size, to_native

# a file may declare this many bytes of arrays for each of its own; a few bytes can declare any
# number of zeros
MAX_EXPANSION = 1000


def load(path: str | Path) -> tuple[Arrays, dict[str, Any]]:
    """-> {'<layer>.w': array, '<layer>.b': array, …}, {}

    w: HWIO becomes OIHW, and (in, out) of a dense layer (out, in); b (out,). The arrays of a layer
    without a kernel, such as batch norm, are <layer>.<name>, as in 'bn1.gamma:0'.
    """
    try:
        import h5py
    except ImportError:
        raise FormatError(f'{path}: reading this format needs h5py, which is not installed: '
                          f'pip install tinyfcn[h5]') from None

    with describe_read_errors(path, 'Keras .h5'), h5py.File(path, 'r') as file:
        # visititems follows hard links only, never a link into another file
        items: list[tuple[str, Any]] = []
        root = file['model_weights'] if 'model_weights' in file else file       # of a whole model
        root.visititems(lambda name, item: items.append((name, item)))

        datasets = [(name, item) for name, item in items if isinstance(item, h5py.Dataset)]
        _check_datasets(datasets, min(MAX_BYTES, MAX_EXPANSION * os.path.getsize(path)))

        layers: dict[str, Arrays] = {name: {} for name, item in items
                                     if 'weight_names' in item.attrs}
        for name, item in datasets:
            layer = next((layer for layer in layers if name.startswith(f'{layer}/')), None)
            if layer is not None:
                layers[layer][name.split('/')[-1]] = to_native(name, item[()])

        arrays = {name: array for layer, weights in layers.items()
                  for name, array in _renamed_weights(layer, weights)}
        if not arrays:
            raise FormatError(f'an HDF5 file in which no Keras layer has weights; it holds '
                              f'{[name for name, _ in items][:5]}')
        return arrays, {}


def _check_datasets(datasets: list[tuple[str, Any]], limit: int) -> None:
    for name, item in datasets:
        if item.external or item.is_virtual:
            raise FormatError(f'{name} lies in another file: only what is in this one is read')
    check_size(sum(item.size * item.dtype.itemsize for _, item in datasets if item.shape), limit)


def _renamed_weights(layer: str, weights: Arrays) -> Iterator[tuple[str, NDArray[Any]]]:
    """A kernel and perhaps a bias are w and b; the arrays of any other layer keep their names."""
    by_axes = sorted(weights.values(), key=lambda array: -array.ndim)
    axes = [array.ndim for array in by_axes]
    if axes not in ([2], [4], [2, 1], [4, 1]):
        for name, array in weights.items():
            yield f'{layer}.{name}', array
        return

    w, *bias = by_axes
    yield f'{layer}.w', to_native(layer, w.transpose(3, 2, 0, 1) if w.ndim == 4 else w.T)
    for b in bias:
        yield f'{layer}.b', b
