"""A net as an ONNX model: what `forward` computes, for ONNX Runtime and other programs.

The input `data` has (batch, channels, height, width) float32, prepared as the metadata says. With
the preprocessing in the graph it is called `image`, and is red green blue 0 … 255. The metadata are
texts in JSON:

    preprocess    how to prepare an image: dict(order, scale, mean, std)
    shorter_side  to how many pixels to resize it before that, if the weights were trained so
    classes       the names of the classes
    net           the arguments of tinyfcn.build
"""
from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...files import open_atomic
from ...geometry import Size
from ...runtime.backend import to_numpy
from .onnx_graph import OnnxGraph
from .onnx_ops import translate
from .protocols import Net

# the oldest ones with all that is needed; ONNX Runtime 1.15 of May 2023 runs them
OPSET = 16
IR_VERSION = 8
MAX_BYTES = 2_000_000_000       # of the weights: a file of protobuf has less than 2 GiB
# sizes of two images, large enough for every net, for which `axes_of` compares those of a box
PROBES = (1000, 1203), (1301, 1102)


def save_onnx(net: Net, path: str | Path, size: Size | None = None,
              with_preprocess: bool = False) -> None:
    """Write the model to a file.   size: (H, W) of all images; None: any that the net can take."""
    data = make_model(net, size, with_preprocess).SerializeToString()
    with open_atomic(path) as file:
        file.write(data)


def make_model(net: Net, size: Size | None = None, with_preprocess: bool = False) -> Any:
    """-> onnx.ModelProto"""
    onnx = import_onnx()
    preprocess = net.about.get('preprocess')
    if with_preprocess:
        require_preprocess(net)
    total = sum(4 * w.size for w in (*net.params.values(), *net.state.values()))
    if total > MAX_BYTES:
        raise ValueError(f'weights of {total:,} bytes: a file of ONNX holds less than 2 GiB')

    graph = OnnxGraph(onnx.helper, net.sizes(size, train=False) if size else None)
    source = input_name(net, with_preprocess)
    graph.values['data'] = source
    if preprocess:
        if with_preprocess:
            add_preprocess(graph, source, preprocess)
        preprocess = remaining_preprocess(preprocess, with_preprocess)
    add_boxes(graph, net)
    for output in net.outputs(train=False):
        if graph.values[output] != output:              # a box that returns its input
            graph.begin(output)
            graph.finish(graph.node('Identity', graph.values[output]))

    model = onnx.helper.make_model(
        onnx.helper.make_graph(
            graph.nodes, str(net.about.get('build', {}).get('name', 'net')),
            [describe_value(onnx, net, size, 'data', source)],
            [describe_value(onnx, net, size, output, output)
             for output in net.outputs(train=False)]),
        producer_name='tinyfcn', ir_version=IR_VERSION,
        opset_imports=[onnx.helper.make_opsetid('', OPSET)])
    onnx.helper.set_model_props(model, metadata(net, preprocess))
    for name, array in graph.constants.items():         # last: make_model copies the graph
        model.graph.initializer.append(onnx.numpy_helper.from_array(array, name))
    return model


def input_name(net: Net, with_preprocess: bool) -> str:
    """The name of the input; 'data_image' if a box of the net, in the autoencoder, is 'image'."""
    if not with_preprocess:
        return 'data'
    return 'data_image' if 'image' in net.boxes else 'image'


def require_preprocess(net: Net) -> None:
    """Raise if the preprocessing cannot go into the graph."""
    preprocess = net.about.get('preprocess')
    if not preprocess:
        raise ValueError('the net does not say how images are prepared for it, so this cannot go '
                         'into the graph')
    channels = net.boxes['data'].channels
    if len(preprocess['mean']) != channels:
        raise ValueError(f'the net reads {channels} channels, and its preprocess has a mean of '
                         f'{len(preprocess["mean"])} values; one for each channel is needed')


def remaining_preprocess(preprocess: Mapping[str, Any], with_preprocess: bool) -> dict[str, Any]:
    """The preprocess of the model's input; without effect if the graph contains it."""
    if not with_preprocess:
        return dict(preprocess)
    channels = len(preprocess['mean'])
    return dict(preprocess, order='RGB', scale=1., mean=[0.] * channels, std=[1.] * channels)


def add_preprocess(graph: OnnxGraph, image: str, preprocess: Mapping[str, Any]) -> None:
    """(scale · image − mean) / std, in the order of channels that the weights were trained on."""
    graph.begin('data')
    mean, std = (np.reshape(preprocess[key], (-1, 1, 1)) for key in ('mean', 'std'))
    if preprocess['order'] == 'BGR':
        image = graph.node('Gather', image, graph.constant([2, 1, 0, *range(3, len(mean))]), axis=1)
    scaled = graph.node('Mul', image, graph.constant(preprocess['scale'], 'float32'))
    centred = graph.node('Sub', scaled, graph.constant(mean, 'float32'))
    graph.finish(graph.node('Div', centred, graph.constant(std, 'float32')))


def add_boxes(graph: OnnxGraph, net: Net) -> None:
    arrays = {**net.params, **net.state}
    for box in net.route(train=False):
        graph.begin(box.name)
        for name in box.reads:
            if name in arrays:
                graph.weight(name, to_numpy(arrays[name]))
        inputs = [graph.values.get(name, name) for name in box.reads]
        try:
            graph.finish(translate(graph, box, inputs))
        except ValueError as error:
            raise ValueError(f'{error}\n  in     {box.line}') from None


def describe_value(onnx: Any, net: Net, size: Size | None, box: str, name: str) -> Any:
    """The type and shape of an input or an output."""
    return onnx.helper.make_tensor_value_info(
        name, onnx.TensorProto.FLOAT, ['batch', net.boxes[box].channels, *axes_of(net, box, size)])


def axes_of(net: Net, box: str, size: Size | None = None) -> Sequence[int | str]:
    """(H, W) of a box: numbers if known, else names; those of the image are height and width."""
    if size:
        return net.sizes(size, train=False)[box]
    try:
        sizes = [net.sizes(probe, train=False)[box] for probe in PROBES]
    except ValueError:                                  # a net that cannot take images so large
        sizes = []
    if len({*sizes}) == 1:                              # the same for every image, as of a mean
        return sizes[0]
    if sizes == [*PROBES]:
        return 'height', 'width'
    return f'{box}_height', f'{box}_width'


def metadata(net: Net, preprocess: Mapping[str, Any] | None) -> dict[str, str]:
    """The metadata of the file, each a text in JSON."""
    about = dict(preprocess=preprocess, shorter_side=net.about.get('shorter_side'),
                 classes=net.about.get('classes'), net=net.about.get('build'))
    return {key: json.dumps(value) for key, value in about.items() if value}


def import_onnx() -> Any:
    """The package onnx, which is optional."""
    try:
        import onnx
    except ModuleNotFoundError:
        raise ValueError("an .onnx file is written with the package onnx, which is not installed: "
                         "pip install 'tinyfcn[onnx]', or pip install onnx") from None
    return onnx
