"""Arguments and results of a function as JSON, and back.

Whoever writes the JSON can make nothing run here: no pickle, no objects, only arrays and numbers.
"""
from base64 import b64decode, b64encode
from numbers import Real
from typing import Any

import numpy as np

from ..exercises.array_backend import DeviceArray


def encode(value: Any) -> Any:
    """A value as what json.dumps takes.

    >>> decode(encode({'stride': 2, 'x': (np.ones(2), None)}))
    {'stride': 2, 'x': (array([1., 1.]), None)}
    """
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, DeviceArray):
        return {'device': encode(value.get())}
    if isinstance(value, np.ndarray | np.generic):
        return _encode_array(np.asarray(value))
    if isinstance(value, Real):                         # a Fraction too
        return value if isinstance(value, int) else float(value)
    if isinstance(value, tuple | list):
        return {type(value).__name__: [encode(each) for each in value]}
    if isinstance(value, dict):
        return {'dict': [[encode(key), encode(each)] for key, each in value.items()]}
    if value is ...:
        return {'ellipsis': True}
    return {'other': type(value).__name__}


def _encode_array(array: np.ndarray) -> Any:
    if array.dtype.kind not in 'biufc':
        return {'other': 'array of objects'}
    data = b64encode(np.ascontiguousarray(array).tobytes()).decode()
    return {'array': data, 'dtype': array.dtype.str, 'shape': list(array.shape)}


def decode(value: Any) -> Any:
    """The value again; of one that cannot be sent an empty object of a class of the same name."""
    if not isinstance(value, dict):
        return value
    if 'array' in value:
        flat = np.frombuffer(b64decode(value['array']), np.dtype(value['dtype']))
        return flat.reshape(value['shape']).copy()
    if 'device' in value:
        return DeviceArray(decode(value['device']))
    if 'tuple' in value:
        return tuple(map(decode, value['tuple']))
    if 'list' in value:
        return [*map(decode, value['list'])]
    if 'dict' in value:
        return {decode(key): decode(each) for key, each in value['dict']}
    if 'ellipsis' in value:
        return ...
    return type(str(value['other']), (), {})()
