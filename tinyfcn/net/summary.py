"""A net as a table: what each box is, where it sits, what it owns and what it costs."""


def summary(net, size=None):
    """One line a box: stride, field and first pixel over the image, parameters; then every crop.

    With size=(H, W) also its own size for such an image, multiply-adds and megabytes.
    """
    sizes = net.sizes(size) if size else {}
    head = ['box', 'channels', 'stride', 'sees', 'begins', 'parameters']
    head += ['size', 'multiply-adds', 'MB'] if size else []
    rows = [[box.line, *_columns(net, box, sizes)] for box in net.boxes.values()]
    totals = ['all', '', '', '', '', f'{sum(w.size for w in net.params.values()):,}']
    if size:
        totals += ['', f'{sum(multiply_adds(net, box, sizes) for box in net.boxes.values()):,}',
                   f'{sum(megabytes(net, box, sizes) for box in net.boxes.values()):,.1f}']
    rows = [head, *rows, totals]
    wide = [max(map(len, column)) for column in zip(*rows)]
    table = ['  '.join(cell.rjust(w) if i else cell.ljust(w)
                       for i, (cell, w) in enumerate(zip(row, wide))).rstrip() for row in rows]
    return '\n'.join([*table, *_crops(net)])


UP = {'upsample': 'tents', 'conv_transpose2d': 'deconv', 'unpool': 'switches', 'resize': 'resize'}
JOINED = {'add': 'sum', 'concat': 'concat', 'multiply': 'product'}
NORMALISED = {'batch_norm': 'batch', 'local_response_norm': 'LRN'}


def beside(nets):
    """What parts nets from each other, a row of Markdown each.   {name: net} -> text"""
    rows = [['net', 'parameters', 'deep', 'stride', 'sees', 'holes', 'normalised', 'joins by',
             'comes up by']]
    for name, net in nets.items():
        route = net.route(train=False)
        ops = dict.fromkeys(box.op.__name__ for box in route)
        places = [box.alignment for box in route]
        field = max(max(net[head].alignment.field) for head in net.outputs(False)
                    if net[head].alignment)
        holes = {hole for box in route for hole in _pair(box.kwargs.get('dilation', 1))} - {1}
        rows.append([
            name, f'{sum(w.size for w in net.params.values()):,}', str(depth(net)),
            f'{float(max(max(alignment.scale) for alignment in places if alignment)):g}',
            f'{float(field):g}' if all(places) else 'all', ', '.join(map(str, sorted(holes))),
            *(', '.join(call_text[op] for op in call_text if op in ops)
              for call_text in (NORMALISED, JOINED, UP))])
    wide = [max(map(len, column)) for column in zip(*rows)]
    rows.insert(1, ['-' * w for w in wide])
    return '\n'.join('| ' + ' | '.join(cell.ljust(w) for cell, w in zip(row, wide)) + ' |'
                     for row in rows)


def _pair(value):
    return value if isinstance(value, tuple) else (value, value)


def depth(net):
    """The most convolutions that any way from the image to a score leads through."""
    deep = {'data': 0}
    for box in net.route():
        deep[box.name] = max(deep[name] for name in box.inputs) + (box.op.__name__ == 'conv2d')
    return max(deep.values())


def multiply_adds(net, box, sizes):
    """Each weight of a convolution, once for every place it is laid on; others are not counted."""
    w = net.params.get(f'{box.name}.w')
    if w is None or w.ndim != 4:
        return 0
    # a transposed convolution stamps its window at the places of its input
    at = box.inputs[0] if box.op.__name__ == 'conv_transpose2d' else box.name
    h, wide = sizes[at]
    return w.size * h * wide


def megabytes(net, box, sizes):
    """What the box's value takes for one image."""
    h, wide = sizes[box.name]
    return box.channels * h * wide * (8 if net.dtype == 'float64' else 4) / 1e6


def peak(net, size):
    """Bytes that `forward` takes at most for one image of `size`, and that the weights take.

    At every box: what is still to be read, what it makes, and in float64 the columns of a
    convolution's readable body; in float32 `kernels` make a block of them at a time.
    """
    sizes, route = net.sizes(size, train=False), net.route(train=False)
    last = {name: box for box in route for name in box.inputs}
    alive, most = {'data'}, 0.
    for box in route:
        alive.add(box.name)
        most = max(most, sum(megabytes(net, net[name], sizes) for name in alive)
                   + _columns_megabytes(net, box, sizes))
        alive -= {name for name in box.inputs if last[name] is box}
    weights = sum(w.nbytes for w in {**net.params, **net.state}.values())
    return 1e6 * most + weights


def _columns_megabytes(net, box, sizes):
    w = net.params.get(f'{box.name}.w')
    if net.dtype == 'float32' or w is None or w.ndim != 4 or w.shape[2:] == (1, 1):
        return 0.
    x = net[box.inputs[0]]
    at = x if box.op.__name__ == 'conv_transpose2d' else box
    taps = w.shape[2] * w.shape[3]
    return megabytes(net, at, sizes) / at.channels * (x if at is box else box).channels * taps


def _columns(net, box, sizes):
    own = sum(net.params[f'{box.name}.{weight}'].size for weight in box.weights)
    alignment = ['', '', '']
    if box.alignment:
        alignment = [_both(box.alignment.scale), _both(box.alignment.field),
                     _both(box.alignment.shift)]
    cells = [str(box.channels), *alignment, f'{own:,}' if own else '']
    if sizes:
        cost = multiply_adds(net, box, sizes)
        cells += ['{}×{}'.format(*sizes[box.name]), f'{cost:,}' if cost else '',
                  f'{megabytes(net, box, sizes):,.1f}']
    return cells


def _crops(net):
    """Why every crop begins where it does: (begins of like − begins of x) / stride."""
    for box in net.boxes.values():
        if box.op and box.op.__name__ == 'crop' and box.alignment:
            x, like = net[box.inputs[0]], net[box.like]
            sums = [f'({float(b):g} − {float(a):g}) / {float(s):g} = {offset}'.replace('− -', '+ ')
                    for a, b, s, offset in
                    zip(x.alignment.shift, like.alignment.shift, x.alignment.scale,
                        box.kwargs['offset'])]
            yield (f'\n{box.line}\n  {x} begins at {_both(x.alignment.shift)} and {like} at '
                   f'{_both(like.alignment.shift)}, with stride {_both(x.alignment.scale)}: '
                   + ', '.join(dict.fromkeys(sums)))


def _both(pair):
    """One number where the axes agree, else two."""
    y, x = (f'{float(v):g}' for v in pair)
    return y if y == x else f'{y}, {x}'
