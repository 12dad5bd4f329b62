"""A net as a page reads it: its boxes in JSON, and all of its weights in half precision."""
from __future__ import annotations

from base64 import b64encode
from inspect import Parameter, signature
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..geometry import axes
from ..net import Box, Net
from ..net.box import FLAGS
from ..ops import scale

PAIRS = {'after', 'before', 'bins', 'dilation', 'factor', 'ksize', 'offset', 'output_padding',
         'pad', 'stride'}
SUPPLIED = FLAGS | {'out'}              # by the walk


def describe_net(net: Net) -> dict[str, Any]:
    """The boxes that run in prediction, in order, and the shape of every weight.

    >>> import tinyfcn
    >>> net = tinyfcn.build('tiny_8s', n_class=7)
    >>> description = describe_net(net)
    >>> description['boxes'][0]['line']
    'conv1_1 = conv(data, 16, 3, pad=1, bias=False)'
    """
    route = net.route(train=False)
    arrays = {**net.params, **net.state}
    names = [name for box in route for name in box.reads if name in arrays]
    return dict(boxes=[describe_box(box) for box in route], outputs=net.outputs(train=False),
                arrays={name: list(arrays[name].shape) for name in names})


def describe_box(box: Box) -> dict[str, Any]:
    """The op, what it reads, and all of its arguments, both axes apart."""
    alignment = None
    if box.alignment:
        alignment = {key: [float(value) for value in getattr(box.alignment, key)]
                     for key in ('scale', 'shift', 'field')}
    kwargs = op_arguments(box.op, box.kwargs)
    if box.like:
        kwargs.pop('size', None)            # that of `like`
    return dict(name=box.name, line=box.line, op=box.op.__name__, inputs=[*box.inputs],
                like=box.like, weights=box.reads[len(box.inputs):], channels=box.channels,
                kwargs=kwargs, alignment=alignment)


def op_arguments(op: Any, kwargs: dict[str, Any]) -> dict[str, Any]:
    """All arguments of an op but its arrays: these, or their defaults. Pairs become lists."""
    arguments = {name: parameter.default for name, parameter in signature(op).parameters.items()
                 if parameter.default is not Parameter.empty and name not in SUPPLIED}
    arguments.pop('b', None)
    arguments.update({name: value for name, value in kwargs.items() if name not in SUPPLIED})
    if 'stride' in arguments and arguments['stride'] is None:
        arguments['stride'] = arguments['ksize']
    pairs = PAIRS if op is not scale else set()         # its factor is one number
    return {name: [*axes(value, name)] if name in pairs and value is not None else value
            for name, value in arguments.items()}


def pack_weights(net: Net) -> str:
    """The weights in the order of `arrays`, as half floats, little-endian, in base64."""
    arrays = {**net.params, **net.state}
    names = describe_net(net)['arrays']
    halves = [check_half(name, arrays[name]).ravel() for name in names]
    return b64encode(np.concatenate(halves).astype('<f2').tobytes()).decode()


def check_half(name: str, w: NDArray[Any]) -> NDArray[Any]:
    """w in half precision; refused where it is too large for that."""
    with np.errstate(over='ignore'):
        half = w.astype('float16')
    if not np.isfinite(half).all():
        raise ValueError(f'{name} has values beyond 65504, which a page cannot hold: '
                         f'the largest is {np.abs(w).max():.3g}')
    return half
