"""A net as a table: each box's alignment with the image, its parameters and its costs."""
from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from ..geometry import Pair, Size, axes
from ..runtime.machine import has_numba
from .alignment import Alignment
from .box import Box
from .graph import Graph
from .plan import make_plan

MAX_FIRST = 72                  # characters in the first column of a summary


def summary(net: Graph, size: Pair | None = None) -> str:
    """One line a box: stride, receptive field, first pixel, parameters; then every crop.

    With size=(H, W) also each box's size for such an image, its multiply-adds and megabytes.
    """
    sizes = net.sizes(size) if size else {}
    head = ['box', 'channels', 'stride', 'field', 'begins', 'parameters']
    totals = ['all', '', '', '', '', f'{sum(w.size for w in net.params.values()):,}']
    if size:
        head += ['size', 'multiply-adds', 'MB']
        boxes = net.boxes.values()
        totals += ['', f'{sum(multiply_adds(net, box, sizes) for box in boxes):,}',
                   f'{sum(megabytes(net, box, sizes) for box in boxes):,.1f}']
    rows = [[box.line, *_columns(net, box, sizes)] for box in net.boxes.values()]
    return '\n'.join([*_aligned_rows([head, *rows, totals]), *_explain_crops(net)])


def _aligned_rows(rows: Sequence[Sequence[str]]) -> list[str]:
    """Columns as wide as their widest cell, the first to the left and all others to the right.

    A long first cell has a line of its own, with its other cells on the next one.
    """
    widths = [max(map(len, column)) for column in zip(*rows)]
    widths[0] = max(len(row[0]) for row in rows if len(row[0]) <= MAX_FIRST)
    lines = []
    for first, *others in rows:
        if len(first) > MAX_FIRST:
            lines.append(first)
            first = ''
        cells = [first.ljust(widths[0]), *map(str.rjust, others, widths[1:])]
        lines.append('  '.join(cells).rstrip())
    return lines


# how the columns of compare_nets call the ops
UPSAMPLING = {'upsample': 'bilinear', 'conv_transpose2d': 'deconv', 'unpool': 'switches',
              'resize': 'resize'}
FUSION = {'add': 'sum', 'concat': 'concat', 'multiply': 'product'}
NORMALISATION = {'batch_norm': 'batch', 'local_response_norm': 'LRN'}


def compare_nets(nets: Mapping[str, Graph]) -> str:
    """How nets differ, as a Markdown table with a row for each.   {name: net} -> text"""
    rows = [['net', 'parameters', 'conv depth', 'stride', 'receptive field', 'dilation',
             'normalisation', 'fusion', 'upsampling']]
    for name, net in nets.items():
        route = net.route(train=False)
        ops = {box.op.__name__ for box in route}
        alignments = [box.alignment for box in route if isinstance(box.alignment, Alignment)]
        stride = max(max(alignment.scale) for alignment in alignments)
        heads = [net[head].alignment for head in net.outputs(False)]
        field = max((max(head.field) for head in heads if isinstance(head, Alignment)), default=0)
        dilations = {dilation for box in route
                     for dilation in axes(box.kwargs.get('dilation', 1), 'dilation')} - {1}
        rows.append([
            name,
            f'{sum(w.size for w in net.params.values()):,}',
            str(depth(net)),
            f'{float(stride):g}',
            f'{float(field):g}' if len(alignments) == len(route) else 'all',
            ', '.join(map(str, sorted(dilations))),
            _names_of(ops, NORMALISATION),
            _names_of(ops, FUSION),
            _names_of(ops, UPSAMPLING),
        ])
    widths = [max(map(len, column)) for column in zip(*rows)]
    rows.insert(1, ['-' * width for width in widths])
    return '\n'.join('| ' + ' | '.join(cell.ljust(width) for cell, width in zip(row, widths)) + ' |'
                     for row in rows)


def _names_of(ops: Iterable[str], names: Mapping[str, str]) -> str:
    return ', '.join(name for op, name in names.items() if op in ops)


def depth(net: Graph) -> int:
    """The largest number of convolutions on any path from the image to a score."""
    deepest = {'data': 0}
    for box in net.route():
        is_conv = box.op.__name__ == 'conv2d'
        deepest[str(box.name)] = max(deepest[name] for name in box.inputs) + is_conv
    return max(deepest.values())


def multiply_adds(net: Graph, box: Box, sizes: Mapping[str, Size]) -> int:
    """The weights of a convolution times the places of its window; other ops count as 0."""
    w = net.params.get(f'{box.name}.w')
    if w is None or w.ndim != 4:
        return 0
    # a transposed convolution has one window for each place of its input
    at = box.inputs[0] if box.op.__name__ == 'conv_transpose2d' else box.name
    h, wide = sizes[str(at)]
    return int(w.size * h * wide)


def megabytes(net: Graph, box: Box, sizes: Mapping[str, Size]) -> float:
    """The memory of the box's value for one image."""
    h, wide = sizes[str(box.name)]
    return box.channels * h * wide * (8 if net.dtype == 'float64' else 4) / 1e6


def peak(net: Graph, size: Pair) -> float:
    """The most bytes that `forward` takes for one image of `size`, weights included.

    Counted at every step: the values that are still to be read, the one it makes, and what the op
    makes on the way, as far as it is as large as a value.
    """
    plan = make_plan(net, axes(size, 'the size of the image', 1), train=False, fused=True)
    alive = {'data'}
    most = 0.
    for step in plan.steps:
        alive.add(step.part[0] if step.part else step.name)     # a part lies in a value that counts
        values = sum(megabytes(net, net[name], plan.sizes) for name in alive)
        most = max(most, values + _scratch_megabytes(net, step.box, plan.sizes))
        alive.difference_update(plan.last_reads[step.name])
    weights = sum(w.nbytes for w in {**net.params, **net.state}.values())
    return 1e6 * most + weights


def _scratch_megabytes(net: Graph, box: Box, sizes: Mapping[str, Size]) -> float:
    """What an op makes on its way from its inputs to its value, for one image."""
    if box.op.__name__ == 'batch_norm':
        return 2 * megabytes(net, box, sizes)           # x̂, and w·x̂
    if box.op.__name__ == 'upsample':                   # along one axis, before the other
        return megabytes(net, box, sizes) / min(axes(box.kwargs['factor'], 'factor'))
    # of convolutions the columns of im2col, which the compiled kernels for float32 do not need
    w = net.params.get(f'{box.name}.w')
    has_kernels = net.dtype == 'float32' and has_numba()
    if has_kernels or w is None or w.ndim != 4 or w.shape[2:] == (1, 1):
        return 0.
    x = net[box.inputs[0]]
    taps = w.shape[2] * w.shape[3]
    # the columns have a row of `taps` for each channel on the large side of the convolution and a
    # column for each place on its small side, which for a transposed convolution is x
    small, large = (x, box) if box.op.__name__ == 'conv_transpose2d' else (box, x)
    return megabytes(net, small, sizes) / small.channels * large.channels * int(taps)


def _columns(net: Graph, box: Box, sizes: Mapping[str, Size]) -> list[str]:
    parameters = sum(net.params[f'{box.name}.{weight}'].size for weight in box.weights)
    alignment = ['', '', '']
    if isinstance(box.alignment, Alignment):
        alignment = [_format_pair(box.alignment.scale), _format_pair(box.alignment.field),
                     _format_pair(box.alignment.shift)]
    cells = [str(box.channels), *alignment, f'{parameters:,}' if parameters else '']
    if sizes:
        cost = multiply_adds(net, box, sizes)
        cells += ['{}×{}'.format(*sizes[str(box.name)]), f'{cost:,}' if cost else '',
                  f'{megabytes(net, box, sizes):,.1f}']
    return cells


def _explain_crops(net: Graph) -> Iterator[str]:
    """Why every crop begins where it does: (first pixel of like − first pixel of x) / stride."""
    for box in net.boxes.values():
        if not box.op or box.op.__name__ != 'crop':
            continue
        x = net[box.inputs[0]]
        like = net[box.like]
        own, target = x.alignment, like.alignment
        if not (isinstance(own, Alignment) and isinstance(target, Alignment)):
            continue
        sums = [f'({float(b):g} − {float(a):g}) / {float(scale):g} = {offset}'.replace('− -', '+ ')
                for a, b, scale, offset in
                zip(own.shift, target.shift, own.scale, box.kwargs['offset'])]
        yield (f'\n{box.line}\n  {x} begins at {_format_pair(own.shift)} and {like} at '
               f'{_format_pair(target.shift)}, with stride {_format_pair(own.scale)}: '
               + ', '.join(dict.fromkeys(sums)))


def _format_pair(pair: Iterable[Any]) -> str:
    """One number where the axes agree, else two."""
    y, x = (f'{float(v):g}' for v in pair)
    return y if y == x else f'{y}, {x}'
