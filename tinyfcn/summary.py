"""A net as a table: what each box is, where it sits, and what it owns."""


def summary(net, size=None):
    """One line a box: stride, receptive field and first pixel over the image, parameters.

    With size=(H, W) also the box's own height and width for such an image.
    """
    sizes = net.sizes(size) if size else {}
    head = ['box', 'channels', *['size'] * bool(size), 'stride', 'sees', 'begins', 'parameters']
    rows = [head]
    for box in net.boxes.values():
        count = sum(net.params[f'{box.name}.{own}'].size for own in box.weights)
        place = [_both(v) for v in (box.place.scale, box.place.field, box.place.shift)] \
            if box.place else ['', '', '']
        extent = ['{}×{}'.format(*sizes[box.name])] if size else []
        rows.append([box.line, str(box.channels), *extent, *place, f'{count:,}' if count else ''])
    total = sum(w.size for w in net.params.values())
    rows.append(['', *[''] * (len(head) - 2), f'{total:,}'])
    wide = [max(len(row[i]) for row in rows) for i in range(len(head))]
    return '\n'.join('  '.join(cell.rjust(w) if i else cell.ljust(w)
                               for i, (cell, w) in enumerate(zip(row, wide))) for row in rows)


def _both(pair):
    """One number where the axes agree, else two."""
    y, x = (f'{float(v):g}' for v in pair)
    return y if y == x else f'{y}, {x}'
