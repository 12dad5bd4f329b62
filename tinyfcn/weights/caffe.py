"""A .caffemodel, both generations, without protobuf: a message is a run of (number, wire, value).

    NetParameter        2: V1LayerParameter …       100: LayerParameter …
    V1LayerParameter    4: name   5: type (enum)    6: BlobProto …
    LayerParameter      1: name   2: type (text)    7: BlobProto …
    BlobProto           5: floats   8: doubles   7: shape   1 2 3 4: num channels height width

Every length is checked against the message around it before anything is read.
"""
import mmap
from math import prod

import numpy as np

from ..files import FormatError, reading

LAYER, LAYER_V1 = 100, 2
FIELDS = {LAYER: (1, 2, 7), LAYER_V1: (4, 5, 6)}                # name, type, blobs
TYPES_V1 = {4: 'Convolution', 14: 'InnerProduct', 39: 'Deconvolution'}
VARINT, EIGHT, BYTES, FOUR = 0, 1, 2, 5                         # wire types


def load(path):
    """-> {'conv1_1.w': array, …}, dict(name='…', bilinear={'upscore': (64, 64), …})

    w: (out, in/groups, kh, kw) of a convolution, (in, out/groups, kh, kw) of a deconvolution,
    (out, in) of an inner product; b (out,). A deconvolution that is bilinear is fixed: it is told
    in `bilinear` with its ksize, and its weights stay behind; a learned one is returned.
    The blobs of any other layer (BatchNorm, Scale, …) are name.0, name.1, … in Caffe's order.
    """
    with reading(path, '.caffemodel'), open(path, 'rb') as file:
        data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        arrays, about = {}, dict(name='', bilinear={})
        for number, wire, value in _fields(data, 0, len(data)):
            if (number, wire) == (1, BYTES):
                about['name'] = data[slice(*value)].decode()
            if number not in FIELDS or wire != BYTES:
                continue
            name, what, blobs = _layer(data, *value, *FIELDS[number])
            own = _named(name, what, blobs)
            if what == 'Deconvolution' and [*own] == [f'{name}.w'] and is_bilinear(*blobs):
                about['bilinear'][name], own = blobs[0].shape[2:], {}
            if twice := own.keys() & arrays.keys():
                raise FormatError(f'two layers have weights called {sorted(twice)}')
            arrays.update(own)
        if not arrays and not about['bilinear']:
            raise FormatError('no layer in it has weights: is it a .caffemodel? One older than '
                              'Caffe of 2014 needs its upgrade_net_proto_binary first')
        return arrays, about


def is_bilinear(w):
    """A tent from each channel to itself, 0 elsewhere.   w (C, C, kh, kw), or grouped (C, 1, …)

    Along one axis the tent is 1 − |i − (k − 1)/2| / ⌈k/2⌉, which Caffe calls its bilinear filler.
    """
    channels, depth, *ksize = w.shape
    if depth not in (1, channels):
        return False
    tents = (1 - abs(np.arange(k) - (k - 1) / 2) / ((k + 1) // 2) for k in ksize)
    expected = np.zeros_like(w)
    expected[range(channels), range(channels) if depth > 1 else 0] = np.outer(*tents)
    return bool(abs(w - expected).max(initial=0) < 1e-6)


def _layer(data, start, end, name_at, type_at, blobs_at):
    """One layer -> its name, its type as text, its blobs"""
    name, what, blobs = '', '', []
    for number, wire, value in _fields(data, start, end):
        if (number, wire) == (name_at, BYTES):
            name = data[slice(*value)].decode()
        elif (number, wire) == (type_at, BYTES):
            what = data[slice(*value)].decode()
        elif (number, wire) == (type_at, VARINT):
            what = TYPES_V1.get(value, str(value))
        elif (number, wire) == (blobs_at, BYTES):
            blobs.append(_blob(data, *value))
    return name, what, blobs


def _named(name, what, blobs):
    """The blobs of one layer by name; those that are w and b have the shapes that `load` tells."""
    if what not in TYPES_V1.values():
        return {f'{name}.{i}': blob for i, blob in enumerate(blobs)}
    own = dict(zip((f'{name}.w', f'{name}.b'), blobs))
    for (key, blob), axes in zip(own.items(), (2 if what == 'InnerProduct' else 4, 1)):
        own[key] = blob = blob.reshape(blob.shape[-axes:])      # of old (1, 1, out, in)
        if blob.ndim != axes:
            raise FormatError(f'{key} has shape {blob.shape}; {axes} axes are needed')
    sizes = [len(blob) for blob in own.values()]
    if len(blobs) > 2 or what != 'Deconvolution' and len({*sizes}) > 1:
        raise FormatError(f'the blobs of {name} are {[blob.shape for blob in blobs]}: '
                          f'w (out, …) and b (out,) are needed')
    return own


def _blob(data, start, end):
    shape, old, parts = None, {}, []
    for number, wire, value in _fields(data, start, end):
        if (number, wire) == (7, BYTES):
            shape = _shape(data, *value)
        elif number in (1, 2, 3, 4) and wire == VARINT:
            old[number] = value
        elif number in (5, 8) and wire != VARINT:               # packed, or one number at a time
            parts.append(_numbers(data, *value, '<f4' if number == 5 else '<f8'))
    array = np.concatenate(parts or [[]], dtype='float32')
    if shape is None:
        shape = [old.get(axis, 0) for axis in (1, 2, 3, 4)] if old else [array.size]
    if prod(shape) != array.size:
        raise FormatError(f'a blob of shape {tuple(shape)} holds {array.size:,} numbers')
    return array.reshape(shape)


def _shape(data, start, end):
    shape = []
    for number, wire, value in _fields(data, start, end):
        if (number, wire) == (1, VARINT):
            shape.append(value)
        elif (number, wire) == (1, BYTES):
            i, stop = value
            while i < stop:
                size, i = _varint(data, i, stop)
                shape.append(size)
    return shape


def _numbers(data, start, end, dtype):
    count, rest = divmod(end - start, np.dtype(dtype).itemsize)
    if rest:
        raise FormatError(f'{end - start} bytes at byte {start:,} are no whole number of {dtype}')
    return np.frombuffer(data, dtype, count, start)


def _fields(data, start, end):
    """The fields of the message in data[start:end] -> number, wire type, value or (start, end)"""
    i = start
    while i < end:
        key, i = _varint(data, i, end)
        number, wire = key >> 3, key & 7
        if wire == VARINT:
            value, i = _varint(data, i, end)
        elif wire in (EIGHT, BYTES, FOUR):
            length, i = _varint(data, i, end) if wire == BYTES else (4 if wire == FOUR else 8, i)
            value = i, i + length
            i += length
        else:
            raise FormatError(f'wire type {wire} at byte {i:,}: damaged, or no .caffemodel')
        if i > end:
            raise FormatError(f'field {number} ends at byte {i:,}, and what it stands in at byte '
                              f'{end:,}: truncated or damaged; get the file again')
        yield number, wire, value


def _varint(data, i, end):
    """Seven bits a byte, the lowest first; the eighth says that more follow. -> value, next byte"""
    value = 0
    for shift in range(0, 70, 7):
        if i >= end:
            raise FormatError(f'a number runs past byte {end:,}: truncated or damaged; get the '
                              f'file again')
        value |= (data[i] & 127) << shift
        i += 1
        if data[i - 1] < 128:
            return value, i
    raise FormatError(f'a number of more than ten bytes before byte {i:,}: damaged, or no '
                      f'.caffemodel')
