"""A Keras .h5: nested groups, of which those that are layers have an attribute weight_names.

Only the presence of that attribute is tested; its value is never read: on a damaged list of strings
HDF5 loops for ever, and Ctrl-C cannot stop it. A kernel is recognised by its number of axes.

Nothing outside the file is ever opened: links into other files, arrays whose bytes lie in another
file and arrays that are put together from others are refused. So are groups that are nested deeper
than those of any net, since HDF5's time grows with the square of the depth.

Budget: the arrays, the largest one twice, and 20 times the groups and names; 1 s a megabyte.
"""
import os
from collections.abc import Iterator
from math import prod
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from ..files import FormatError, describe_read_errors, open_regular, printable
from .arrays import MAX_BYTES, Arrays, check_dtype, check_size, largest_expansion, to_native

MAX_DEPTH = 32                  # of groups in groups
MAX_NAME = 1000                 # characters of a name, with those of the groups around it
KERAS_3 = ("this is a .weights.h5 of Keras 3, which numbers the arrays of a layer and drops the "
           "layer's own name; in Keras, model.save('net.h5') writes the older form, which is read")


def load(path: str | Path) -> tuple[Arrays, dict[str, Any]]:
    """-> {'<layer>.w': array, '<layer>.b': array, …}, {}

    w: HWIO becomes OIHW, and (in, out) of a dense layer (out, in); b (out,). The arrays of a layer
    without a kernel, such as batch norm, are <layer>.<name>, as in 'bn1.gamma:0'.
    """
    try:
        import h5py
    except ImportError:
        raise FormatError(f'{printable(path)}: reading this format needs h5py, which is not '
                          f'installed: pip install tinyfcn[h5]') from None

    with open_regular(path) as regular:                 # HDF5 opens a pipe, and waits
        size = os.fstat(regular.fileno()).st_size
    with describe_read_errors(path, 'Keras .h5'), h5py.File(path, 'r') as file:
        _check_links(file)
        root = file['model_weights'] if 'model_weights' in file else file       # of a whole model
        items: list[tuple[str, Any]] = []
        root.visititems(lambda name, item: items.append((name, item)))

        datasets = [(name, item) for name, item in items
                    if isinstance(item, h5py.Dataset) and item.shape is not None]
        _check_datasets(datasets, min(MAX_BYTES, largest_expansion(size)))

        layers = _read_layers([name for name, item in items if 'weight_names' in item.attrs],
                              datasets)
        arrays = {name: array for layer, weights in layers.items()
                  for name, array in _renamed_weights(layer, weights)}
        if not arrays:
            if any('vars' in name.split('/') for name, _ in datasets):
                raise FormatError(KERAS_3)
            raise FormatError(f'an HDF5 file in which no Keras layer has weights; it holds '
                              f'{[name for name, _ in items][:5]}')
        return arrays, {}


def _check_links(file: Any) -> None:
    """Refuse links out of the file, before anything is looked up by its name, and deep groups."""
    from h5py import h5l

    def problem(name: bytes, info: Any) -> str | None:
        shown = name[:40].decode(errors='replace')
        if info.type not in (h5l.TYPE_HARD, h5l.TYPE_SOFT):
            return f'{shown} is a link to another file: only what is in this one is read'
        if len(name) > MAX_NAME:
            return f'{shown}… has more than {MAX_NAME} characters; no net needs such names'
        if name.count(b'/') > MAX_DEPTH:
            return f'{shown}… is nested deeper than {MAX_DEPTH} groups; no net needs that'
        return None
    if found := file.id.links.visit(problem, info=True):    # what is raised there is lost
        raise FormatError(found)


def _check_datasets(datasets: list[tuple[str, Any]], limit: int) -> None:
    total = 0
    for name, item in datasets:
        if item.external or item.is_virtual:
            raise FormatError(f'{name} lies in another file: only what is in this one is read')
        check_dtype(name, item.dtype)
        # HDF5 unpacks a chunk as a whole, which may be larger than the array
        count = max(prod(item.shape), prod(item.chunks or ()))
        total += count * item.dtype.itemsize
    check_size(total, limit)


def _read_layers(names: list[str], datasets: list[tuple[str, Any]]) -> dict[str, Arrays]:
    """-> {layer: {the last part of its name: array}}"""
    layers: dict[str, Arrays] = {name: {} for name in names}
    for name, item in datasets:
        layer = next((group for group in _groups_of(name) if group in layers), None)
        if layer is None:
            continue
        last = name.split('/')[-1]
        if last in layers[layer]:
            raise FormatError(f'{layer} has two arrays called {last!r}: it is a model inside a '
                              f'model; save the weights of the inner one')
        layers[layer][last] = to_native(name, item[()])
    return layers


def _groups_of(name: str) -> Iterator[str]:
    """'a/b/c' -> 'a', 'a/b'"""
    for i, character in enumerate(name):
        if character == '/':
            yield name[:i]


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
