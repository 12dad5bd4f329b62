"""Each op in ONNX: a function of the graph, the box and the names of what it reads.

Its last node gives the value of the box. It raises ValueError for what ONNX cannot express, and
comments say how an op differs from its namesake in ONNX.
"""
from collections.abc import Callable
from typing import Any

import numpy as np

from ...geometry import axes, window
from ..bilinear import bilinear_kernel
from .onnx_graph import OnnxGraph
from .protocols import Box

# ---- convolution and its transpose ---------------------------------------------------------------

def conv2d(graph: OnnxGraph, box: Box, x: str, w: str, b: str = '') -> str:
    return graph.node('Conv', x, w, b, group=box.kwargs['groups'], **_window(box))


def conv_transpose2d(graph: OnnxGraph, box: Box, x: str, w: str, b: str = '') -> str:
    extra = axes(box.kwargs.get('output_padding', 0), 'output_padding')
    return graph.node('ConvTranspose', x, w, b, group=box.kwargs['groups'],
                      output_padding=list(extra), **_window(box))


def upsample(graph: OnnxGraph, box: Box, x: str) -> str:
    """A transposed convolution of each channel with a bilinear kernel."""
    factor = axes(box.kwargs['factor'], 'factor', 1)
    pad = axes(box.kwargs['pad'], 'pad')
    kernel = bilinear_kernel(axes(box.kwargs['ksize'], 'ksize', 1))
    kernels = np.broadcast_to(kernel, (box.channels, 1, *kernel.shape))
    return graph.node('ConvTranspose', x, graph.constant(kernels, 'float32'),
                      group=box.channels, strides=list(factor), pads=[*pad, *pad])


def resize(graph: OnnxGraph, box: Box, x: str) -> str:
    size = graph.size(str(box.like))
    if box.kwargs['mode'] == 'nearest':
        # ONNX computes i·(1/scale) in float32, which may fall below a whole number
        for axis in 2, 3:
            x = graph.node('Gather', x, _nearest(graph, x, size, axis), axis=axis)
        return x
    shape = graph.node('Concat', graph.shape(x, 0, 2), size, axis=0)
    transform = 'align_corners' if box.kwargs['align_corners'] else 'half_pixel'
    return graph.node('Resize', x, '', '', shape, mode='linear',
                      coordinate_transformation_mode=transform)


def _nearest(graph: OnnxGraph, x: str, size: str, axis: int) -> str:
    """⌊i·H / OH⌋ for every output i."""
    outputs = graph.node('Gather', size, graph.constant(axis - 2))
    pixels = graph.node('Gather', graph.shape(x, 0, 4), graph.constant(axis))
    i = graph.node('Range', graph.constant(0), outputs, graph.constant(1))
    return graph.node('Div', graph.node('Mul', i, pixels), outputs)


def _window(box: Box) -> dict[str, Any]:
    kwargs = box.kwargs
    _, stride, pad, dilation = window(1, kwargs['stride'], kwargs['pad'],
                                      kwargs.get('dilation', 1))
    return dict(strides=list(stride), pads=[*pad, *pad], dilations=list(dilation))


# ---- pooling -------------------------------------------------------------------------------------

def max_pool(graph: OnnxGraph, box: Box, x: str) -> str:
    return graph.node('MaxPool', x, **_pool_window(box))


def avg_pool(graph: OnnxGraph, box: Box, x: str) -> str:
    geometry = _pool_window(box)
    if geometry.pop('dilations') != [1, 1]:
        raise ValueError('ONNX of this version has no dilated average')
    top, left, bottom, right = geometry['pads']
    include_pad = int(box.kwargs['count_include_pad'])
    if include_pad and (top, left) != (bottom, right):
        # padding counts, and the pixels beyond it, which ONNX needs to round up, do not
        pads = graph.constant([0, 0, top, left, 0, 0, top, left])
        x = graph.node('Pad', x, pads)
        geometry['pads'] = [0, 0, bottom - top, right - left]
        include_pad = 0
    return graph.node('AveragePool', x, count_include_pad=include_pad, **geometry)


def max_switches(graph: OnnxGraph, box: Box, x: str) -> str:
    """ONNX counts pixels over the whole array, a switch those of its plane."""
    indices = graph.node('MaxPool', x, unused=1, **_pool_window(box))
    return graph.node('Mod', indices, graph.shape(graph.flat(x), 2, 3))


def take(graph: OnnxGraph, box: Box, x: str, switches: str) -> str:
    flat = graph.node('GatherElements', graph.flat(x), graph.flat(switches), axis=2)
    return graph.node('Reshape', flat, graph.shape(switches, 0, 4))


def unpool(graph: OnnxGraph, box: Box, y: str, switches: str) -> str:
    """Add y at the switches to an array of zeros. ONNX's MaxUnpool does not add."""
    like = str(box.like)
    planes = graph.shape(y, 0, 2)
    pixels = graph.shape(graph.flat(graph.values[like]), 2, 3)
    zeros = graph.node('Expand', graph.constant(0, 'float32'),
                       graph.node('Concat', planes, pixels, axis=0))
    flat = graph.node('ScatterElements', zeros, graph.flat(switches), graph.flat(y), axis=2,
                      reduction='add')
    return graph.node('Reshape', flat,
                      graph.node('Concat', planes, graph.size(like), axis=0))


def avg_pool_to(graph: OnnxGraph, box: Box, x: str) -> str:
    """A matrix for each axis, y = rows · x · columnsᵀ, made when the size is known."""
    rows, columns = axes(box.kwargs['bins'], 'bins', 1)
    if rows == columns == 1:
        return graph.node('GlobalAveragePool', x)
    y = graph.node('MatMul', _bins(graph, x, 2, rows), x)
    return graph.node('MatMul', y, graph.node('Transpose', _bins(graph, x, 3, columns)))


def _bins(graph: OnnxGraph, x: str, axis: int, bins: int) -> str:
    """(bins, H): row i has 1/count at the pixels ⌊i·H/bins⌋ … ⌈(i+1)·H/bins⌉ − 1."""
    i = np.arange(bins)[:, None]
    count = graph.node('Gather', graph.shape(x, 0, 4), graph.constant(axis))
    divisor = graph.constant(bins)
    first = graph.node('Div', graph.node('Mul', graph.constant(i), count), divisor)
    last = graph.node('Add', graph.node('Mul', graph.constant(i + 1), count),
                      graph.constant(bins - 1))
    end = graph.node('Div', last, divisor)              # rounded up, by the bins − 1 more
    pixels = graph.node('Range', graph.constant(0), count, graph.constant(1))
    inside = graph.node('And', graph.node('GreaterOrEqual', pixels, first),
                        graph.node('Less', pixels, end))
    float32 = 1                                         # as ONNX numbers types
    return graph.node('Div', graph.node('Cast', inside, to=float32),
                      graph.node('Cast', graph.node('Sub', end, first), to=float32))


def _pool_window(box: Box) -> dict[str, Any]:
    """The geometry of a pool, in which rounding up becomes more padding at the lower right.

    stride − 1 rows more admit a last window that is cut off, and fewer do if it would begin beyond
    the image. ONNX's own `ceil_mode` keeps such a window in some versions and drops it in others.
    """
    kwargs = box.kwargs
    ksize, stride, pad, dilation = window(
        kwargs['ksize'], kwargs['ksize'] if kwargs['stride'] is None else kwargs['stride'],
        kwargs['pad'], kwargs['dilation'])
    reach = [d * (k - 1) + 1 for k, d in zip(ksize, dilation)]
    after = [min(p + s, r) - 1 if kwargs['ceil'] else p for p, s, r in zip(pad, stride, reach)]
    if any(p >= k for p, k in zip((*pad, *after), ksize * 2)):
        raise ValueError(f'ONNX has no pool of {ksize[0]}×{ksize[1]} with dilation {dilation} and '
                         f'as much padding')
    return dict(kernel_shape=list(ksize), strides=list(stride), pads=[*pad, *after],
                dilations=list(dilation))


# ---- elementwise ops -----------------------------------------------------------------------------

def relu(graph: OnnxGraph, box: Box, x: str) -> str:
    return graph.node('Relu', x)


def leaky_relu(graph: OnnxGraph, box: Box, x: str) -> str:
    return graph.node('LeakyRelu', x, alpha=float(box.kwargs['slope']))


def dropout(graph: OnnxGraph, box: Box, x: str) -> str:
    """The identity outside training."""
    return x


def scale(graph: OnnxGraph, box: Box, x: str) -> str:
    return graph.node('Mul', x, graph.constant(box.kwargs['factor'], 'float32'))


def add(graph: OnnxGraph, box: Box, x: str, *others: str) -> str:
    for other in others:
        x = graph.node('Add', x, other)
    return x


def multiply(graph: OnnxGraph, box: Box, a: str, b: str) -> str:
    return graph.node('Mul', a, b)


# ---- channels, crops and padding -----------------------------------------------------------------

def concat(graph: OnnxGraph, box: Box, *xs: str) -> str:
    return graph.node('Concat', *xs, axis=1)


def channels(graph: OnnxGraph, box: Box, x: str) -> str:
    return graph.node('Slice', x, graph.constant([box.kwargs['start']]),
                      graph.constant([box.kwargs['stop']]), graph.constant([1]))


def crop(graph: OnnxGraph, box: Box, x: str) -> str:
    offset = axes(box.kwargs['offset'], 'offset')
    return graph.node('Slice', x, graph.constant(offset), graph.size(str(box.like), offset),
                      graph.constant([2, 3]))


def pad(graph: OnnxGraph, box: Box, x: str) -> str:
    before = axes(box.kwargs['before'], 'before')
    after = axes(box.kwargs['after'], 'after')
    return graph.node('Pad', x, graph.constant([0, 0, *before, 0, 0, *after]),
                      graph.constant(box.kwargs['value'], 'float32'))


# ---- normalisation -------------------------------------------------------------------------------

def batch_norm(graph: OnnxGraph, box: Box, x: str, w: str, b: str, mean: str, var: str) -> str:
    return graph.node('BatchNormalization', x, w, b, mean, var,
                      epsilon=float(box.kwargs['eps']))


def local_response_norm(graph: OnnxGraph, box: Box, x: str) -> str:
    size = int(box.kwargs['size'])
    if size % 2 == 0:
        raise ValueError(f'response norm over {size} channels: ONNX has one more after than before '
                         f'each channel, tinyfcn one more before; take an odd size')
    return graph.node('LRN', x, size=size, alpha=float(box.kwargs['alpha']),
                      beta=float(box.kwargs['beta']), bias=float(box.kwargs['k']))


TRANSLATIONS: dict[str, Callable[..., str]] = {
    function.__name__: function for function in (
        conv2d, conv_transpose2d, upsample, resize, max_pool, avg_pool, max_switches, take, unpool,
        avg_pool_to, relu, leaky_relu, dropout, scale, add, multiply, concat, channels, crop, pad,
        batch_norm, local_response_norm)}


def translate(graph: OnnxGraph, box: Box, inputs: list[str]) -> str:
    """Append the nodes of a box. -> the name of its value"""
    op = box.op.__name__
    if op not in TRANSLATIONS:
        raise ValueError(f'{op} has no counterpart in ONNX')
    return TRANSLATIONS[op](graph, box, *inputs)
