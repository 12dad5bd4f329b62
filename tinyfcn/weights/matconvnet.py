"""A .mat of MatConvNet, in its DagNN form or its older SimpleNN form, without MATLAB.

    DagNN       layers(i).name, .type, .params {'conv1_1f', 'conv1_1b'}    params(i).name, .value
    SimpleNN    layers{i}.name, .type, .weights {filters, biases}
    both        meta.normalization.averageImage, meta.classes.description

These are variables of the file, or fields of one variable `net`. Images are RGB, 0 … 255 minus the
average.

Budget: the arrays, the largest one twice, and 100 times the names; if the file is compressed also
what it expands to, twice. 2 s a megabyte of names, and .1 s a megabyte of numbers.
"""
import mmap
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from numpy.typing import NDArray

from ..files import FormatError, describe_read_errors, open_regular
from ..files.mat import (
    CELL,
    STRUCT,
    TEXT,
    Matrix,
    read_cells,
    read_fields,
    read_numbers,
    read_structs,
    read_text,
    read_variables,
    unbox,
)
from .arrays import MAX_BYTES, Arrays, check_size, largest_expansion, to_native

MAX_WEIGHTS = 64                # of a layer
CONVOLUTIONS = 'dagnn.Conv', 'dagnn.ConvTranspose', 'conv', 'convt'


class Layer(NamedTuple):
    """A layer, and its weights in MATLAB's order."""
    name: str
    type: str
    weights: list[NDArray[Any]]


def load(path: str | Path) -> tuple[Arrays, dict[str, Any]]:
    """-> {'conv1_1.w': array, …}, dict(preprocess=…, classes=[…])

    w: (kh, kw, in, out) becomes (out, in, kh, kw), and for a deconvolution, (kh, kw, out, in)
    becomes (in, out, kh, kw); b (out,). The weights of any other layer are name.0, name.1, … .
    preprocess and classes are absent if the file does not have them.
    """
    with open_regular(path) as file, describe_read_errors(path, '.mat of MatConvNet'):
        size = os.fstat(file.fileno()).st_size
        limit = min(MAX_BYTES, largest_expansion(size))
        data = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        variables = read_variables(data, limit, 'a net')
        net = read_fields(unbox(variables['net'])) if 'net' in variables else variables
        if 'layers' not in net:
            raise FormatError(f'no net of MatConvNet, which has layers; it holds '
                              f'{", ".join(filter(None, net)) or "nothing"}')
        arrays: Arrays = {}
        for layer in _layers(net):
            weights = _named_weights(layer)
            if twice := weights.keys() & arrays.keys():
                raise FormatError(f'two layers have weights called {sorted(twice)}')
            arrays.update(weights)
            check_size(sum(array.nbytes for array in arrays.values()), limit)
        if not arrays:
            raise FormatError('no layer in it has weights')
        return arrays, _about(net)


def _layers(net: dict[str, Matrix]) -> Iterator[Layer]:
    layers = net['layers']
    if layers.kind == CELL:
        yield from map(_simple_layer, read_cells(layers))
        return
    if 'params' not in net:
        raise FormatError('it has layers, and no params: not a net of MatConvNet')
    params = {_text(fields, 'name'): fields['value'] for fields in read_structs(net['params'])}
    for fields in read_structs(layers):
        names = [read_text(unbox(cell)) for cell in _cells(fields.get('params'))]
        if missing := [name for name in names if name not in params]:
            raise FormatError(f'its layers use params that it does not have, or twice: '
                              f'{missing[:5]}')
        weights = [read_numbers(params.pop(name)) for name in names]
        yield Layer(_text(fields, 'name'), _text(fields, 'type'), weights)


def _simple_layer(cell: Matrix) -> Layer:
    fields = read_fields(unbox(cell))
    if 'weights' in fields:
        weights = _cells(fields['weights'])
    else:                                               # an older form still
        weights = [fields[key] for key in ('filters', 'biases') if key in fields]
    return Layer(_text(fields, 'name'), _text(fields, 'type'), [*map(read_numbers, weights)])


def _named_weights(layer: Layer) -> Arrays:
    name, type_, weights = layer
    if len(weights) > MAX_WEIGHTS:
        raise FormatError(f'{name} has more than {MAX_WEIGHTS} weights; no layer needs that')
    if type_ not in CONVOLUTIONS:
        return {f'{name}.{i}': _as_floats(name, w) for i, w in enumerate(weights)}
    named = {}
    for kind, w in zip('wb', weights):
        if kind == 'w':
            if w.ndim > 4:
                raise FormatError(f'{name} has filters of shape {w.shape}; 4 axes are needed')
            # MATLAB drops the last axes if they have a size of 1
            w = w.reshape(w.shape + (1,) * (4 - w.ndim)).transpose(3, 2, 0, 1)
        elif not w.size:                                # of a layer without biases
            continue
        named[f'{name}.{kind}'] = _as_floats(name, w if kind == 'w' else w.reshape(-1))
    return named


def _as_floats(name: str, array: NDArray[Any]) -> NDArray[Any]:
    """Numbers as floats: MATLAB stores whole ones as integers."""
    if array.dtype.kind != 'f':
        array = array.astype('float32')
    return to_native(name, array)


def _about(net: dict[str, Matrix]) -> dict[str, Any]:
    """The mean of its images and the names of its classes, as far as the file has them."""
    meta = _struct(net.get('meta')) or net
    about: dict[str, Any] = {}
    average = _struct(meta.get('normalization')).get('averageImage')
    if average is not None and average.kind > TEXT:
        image = read_numbers(average).astype('float64')
        if image.size != 3 and image.ndim == 3:         # an average of each pixel
            image = image.mean((0, 1))
        mean = image.reshape(-1)
        if mean.shape == (3,):
            about['preprocess'] = dict(order='RGB', scale=1., mean=tuple(mean.tolist()),
                                       std=(1., 1., 1.))
    description = _struct(meta.get('classes')).get('description')
    if description is not None and description.kind == CELL:
        names = [unbox(cell) for cell in read_cells(description)]
        if names and all(name.kind == TEXT for name in names):
            about['classes'] = [read_text(name) for name in names]
    return about


def _struct(matrix: Matrix | None) -> dict[str, Matrix]:
    """The fields of a struct, which may be absent or empty."""
    if matrix is None:
        return {}
    matrix = unbox(matrix)
    return next(read_structs(matrix), {}) if matrix.kind == STRUCT else {}


def _cells(matrix: Matrix | None) -> list[Matrix]:
    """The matrices in a cell array, which may be absent, empty, or a single matrix."""
    if matrix is None:
        return []
    if matrix.kind == CELL:
        return [*read_cells(matrix)]
    return [matrix] if all(matrix.shape) else []


def _text(fields: dict[str, Matrix], key: str) -> str:
    return read_text(unbox(fields[key])) if key in fields else ''
