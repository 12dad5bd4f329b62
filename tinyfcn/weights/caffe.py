"""A .caffemodel, both generations, without protobuf: a message is a run of (number, wire, value).

    NetParameter        2: V1LayerParameter …       100: LayerParameter …
    V1LayerParameter    4: name   5: type (enum)    6: BlobProto …
    LayerParameter      1: name   2: type (text)    7: BlobProto …
    BlobProto           5: floats   8: doubles   7: shape   1 2 3 4: num channels height width

Every length is checked against the message around it before anything is read.

Budget: the arrays, the largest four times (that is how a bilinear one is recognised), and 40 times
the names and lists; 2 s for each megabyte of fields, and .01 s a megabyte of packed numbers.
"""
import mmap
from collections.abc import Iterator
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..files import FormatError, describe_read_errors, open_regular
from .arrays import MAX_AXES, Arrays
from .bilinear import is_bilinear

# wire types
VARINT = 0
EIGHT = 1
BYTES = 2
FOUR = 5
# a layer that has more is none of a net
MAX_NAME = 1000                 # bytes
MAX_BLOBS = 64
TYPES_V1 = {4: 'Convolution', 14: 'InnerProduct', 39: 'Deconvolution'}


class LayerFields(NamedTuple):
    """The field numbers of a layer message."""
    name: int
    type: int
    blobs: int


# by the field of NetParameter that the layer stands in
LAYER_FIELDS = {100: LayerFields(1, 2, 7), 2: LayerFields(4, 5, 6)}


class Span(NamedTuple):
    """Bytes start … end − 1 of the file."""
    start: int
    end: int


class Field(NamedTuple):
    """One field of a message: a whole number if the wire type is VARINT, else its bytes."""
    number: int
    wire: int
    varint: int
    span: Span


class Layer(NamedTuple):
    """One layer of the file, of either generation."""
    name: str
    type: str
    blobs: list[NDArray[Any]]


def load(path: str | Path) -> tuple[Arrays, dict[str, Any]]:
    """-> {'conv1_1.w': array, …}, dict(name='…', bilinear={'upscore': (64, 64), …})

    w: (out, in/groups, kh, kw) of a convolution, (in, out/groups, kh, kw) of a deconvolution,
    (out, in) of an inner product; b (out,). A deconvolution with bilinear weights is fixed: its
    ksize is listed in `bilinear`, and its weights are not returned; those of a learned one are.
    The blobs of any other layer (BatchNorm, Scale, …) are name.0, name.1, … in Caffe's order.
    """
    with open_regular(path) as file, describe_read_errors(path, '.caffemodel'):
        data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        arrays: Arrays = {}
        net_name = ''
        bilinear: dict[str, tuple[int, ...]] = {}

        for field in _fields(data, Span(0, len(data))):
            if (field.number, field.wire) == (1, BYTES):
                net_name = _text(data, field.span)
            if field.number not in LAYER_FIELDS or field.wire != BYTES:
                continue
            layer = _layer(data, field.span, LAYER_FIELDS[field.number])
            weights = _named_blobs(layer)
            only_w = [*weights] == [f'{layer.name}.w']
            if layer.type == 'Deconvolution' and only_w and is_bilinear(*layer.blobs):
                bilinear[layer.name] = layer.blobs[0].shape[2:]
                continue
            if twice := weights.keys() & arrays.keys():
                raise FormatError(f'two layers have weights called {sorted(twice)}')
            arrays.update(weights)

        if not arrays and not bilinear:
            raise FormatError('no layer in it has weights: is it a .caffemodel? One older than '
                              'Caffe of 2014 needs its upgrade_net_proto_binary first')
        return arrays, dict(name=net_name, bilinear=bilinear)


def _layer(data: mmap.mmap, message: Span, numbers: LayerFields) -> Layer:
    name = ''
    type_ = ''
    blobs = []
    for field in _fields(data, message):
        key = field.number, field.wire
        if key == (numbers.name, BYTES):
            name = _text(data, field.span)
        elif key == (numbers.type, BYTES):
            type_ = _text(data, field.span)
        elif key == (numbers.type, VARINT):
            type_ = TYPES_V1.get(field.varint, str(field.varint))
        elif key == (numbers.blobs, BYTES):
            blobs.append(_blob(data, field.span))
        if len(blobs) > MAX_BLOBS:
            raise FormatError(f'{name} has more than {MAX_BLOBS} blobs; no layer needs that')
    return Layer(name, type_, blobs)


def _text(data: mmap.mmap, span: Span) -> str:
    if span.end - span.start > MAX_NAME:
        raise FormatError(f'a name of {span.end - span.start:,} bytes at byte {span.start:,}; that '
                          f'of a layer has less than {MAX_NAME:,}')
    return data[slice(*span)].decode()


def _named_blobs(layer: Layer) -> Arrays:
    """The blobs of one layer by name; w and b have the shapes that `load` promises."""
    name, type_, blobs = layer
    if type_ not in TYPES_V1.values():
        return {f'{name}.{i}': blob for i, blob in enumerate(blobs)}

    weights = dict(zip((f'{name}.w', f'{name}.b'), blobs))
    axes_of_w = 2 if type_ == 'InnerProduct' else 4
    for (key, blob), axes in zip(weights.items(), (axes_of_w, 1)):
        blob = blob.reshape(blob.shape[-axes:])                 # older files: (1, 1, out, in)
        if blob.ndim != axes:
            raise FormatError(f'{key} has shape {blob.shape}; {axes} axes are needed')
        weights[key] = blob

    sizes = {len(blob) for blob in weights.values()}
    if len(blobs) > 2 or type_ != 'Deconvolution' and len(sizes) > 1:
        raise FormatError(f'the blobs of {name} are {[blob.shape for blob in blobs]}: '
                          f'w (out, …) and b (out,) are needed')
    return weights


def _blob(data: mmap.mmap, message: Span) -> NDArray[Any]:
    shape = None
    old_shape: dict[int, int] = {}                              # num, channels, height, width
    floats = bytearray()
    doubles = bytearray()
    view = memoryview(data)
    for field in _fields(data, message):
        if (field.number, field.wire) == (7, BYTES):
            shape = _shape(data, field.span)
        elif field.number in (1, 2, 3, 4) and field.wire == VARINT:
            old_shape[field.number] = field.varint
        elif field.number in (5, 8) and field.wire != VARINT:   # packed, or one number at a time
            _check_whole(field.span, 4 if field.number == 5 else 8)
            numbers = floats if field.number == 5 else doubles
            numbers += view[slice(*field.span)]

    if doubles:                                                 # instead of floats, as in Caffe
        array = np.frombuffer(doubles, '<f8').astype('float32')
    else:
        array = np.frombuffer(floats, '<f4').astype('float32', copy=False)
    if shape is None:
        shape = [old_shape.get(axis, 0) for axis in (1, 2, 3, 4)] if old_shape else [array.size]
    if prod(shape) != array.size:
        raise FormatError(f'a blob of shape {tuple(shape)} holds {array.size:,} numbers')
    return array.reshape(shape)


def _shape(data: mmap.mmap, message: Span) -> list[int]:
    shape = []
    for field in _fields(data, message):
        if (field.number, field.wire) == (1, VARINT):
            shape.append(field.varint)
        elif (field.number, field.wire) == (1, BYTES):
            i, end = field.span
            while i < end:
                size, i = _varint(data, i, end)
                shape.append(size)
                _check_axes(shape)
        _check_axes(shape)
    return shape


def _check_axes(shape: list[int]) -> None:
    if len(shape) > MAX_AXES:
        raise FormatError(f'a blob of more than {MAX_AXES} axes; no layer needs that')


def _check_whole(span: Span, itemsize: int) -> None:
    length = span.end - span.start
    if length % itemsize:
        raise FormatError(f'{length} bytes at byte {span.start:,} are not a whole number of '
                          f'<f{itemsize}')


def _fields(data: mmap.mmap, message: Span) -> Iterator[Field]:
    """The fields of a message, in the order of the file."""
    i, end = message
    while i < end:
        key, i = _varint(data, i, end)
        number = key >> 3
        wire = key & 7
        varint = 0
        start = i
        if wire == VARINT:
            varint, i = _varint(data, i, end)
        elif wire == BYTES:
            length, start = _varint(data, i, end)
            i = start + length
        elif wire in (EIGHT, FOUR):
            i += 4 if wire == FOUR else 8
        else:
            raise FormatError(f'wire type {wire} at byte {i:,}: damaged, or not a .caffemodel')
        if i > end:
            raise FormatError(f'field {number} ends at byte {i:,}, but the message around it at '
                              f'byte {end:,}: truncated or damaged; get the file again')
        yield Field(number, wire, varint, Span(start, i))


def _varint(data: mmap.mmap, i: int, end: int) -> tuple[int, int]:
    """Seven bits a byte, the lowest first; the eighth says that more follow. -> value, next byte"""
    value = 0
    for shift in range(0, 70, 7):
        if i >= end:
            raise FormatError(f'a number runs past byte {end:,}: truncated or damaged; get the '
                              f'file again')
        byte = data[i]
        value |= (byte & 127) << shift
        i += 1
        if byte < 128:
            return value, i
    raise FormatError(f'a number of more than ten bytes before byte {i:,}: damaged, or not a '
                      f'.caffemodel')
