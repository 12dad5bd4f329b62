"""Nets as figures, and a heat map over a picture.

As in the paper's Figure 3, what pools, predicts or fuses is a grid as coarse as its stride, and
convolutions in between are bars. A sum of two ways goes on in a row below; what is read over other
boxes' heads comes from underneath.
"""
import numpy as np

BAR, GRID, GAP, ROW = .17, 1., .36, 1.6             # in units of a grid's side
INCH, LINE = .72, '#666666'                         # of a grid's side, of an arrow
COLOURS = {'data': '#bbbbbb', 'conv2d': '#3b6ea5', 'score': '#e08a3c',
           **dict.fromkeys(['max_pool', 'avg_pool', 'take'], '#7ba7cf'),
           **dict.fromkeys(['upsample', 'conv_transpose2d', 'unpool', 'resize'], '#f2c48d'),
           **dict.fromkeys(['add', 'concat', 'multiply'], '#7fae6a')}
UNDER, DEEPER = .2, .14                             # how deep below, and by how much the next one
# drawn as the arrow through them
PASSED = {'relu', 'leaky_relu', 'dropout', 'crop', 'scale', 'local_response_norm', 'batch_norm',
          'channels', 'avg_pool_to', 'pad', 'max_switches'}


def draw_net(net, path, dpi=110):
    """The net as a figure, in a file."""
    from matplotlib.figure import Figure as Canvas
    at, arrows = layout(net)
    wide, deep = max(x + w for x, _, w in at.values()), depths(at, arrows)
    rows = 1 + max(row for _, row, _ in at.values())
    left, right, low, high = -.3, wide + .3, -ROW * (rows - 1) - .25, 1.4
    low -= max([d for (_, target), d in deep.items() if at[target][1] == rows - 1], default=0.)
    canvas = Canvas(figsize=(INCH * (right - left), INCH * (high - low)), dpi=dpi)
    ax = canvas.add_axes((0, 0, 1, 1))
    ax.set(xlim=(left, right), ylim=(low, high))
    ax.axis('off')
    ends = {row: max(x for x, r, _ in at.values() if r == row) for _, row, _ in at.values()}
    for source, target, words in arrows:
        x, row, _ = at[source]
        _arrow(ax, at[source], at[target], words, x == ends[row], deep.get((source, target)))
    for name, (x, row, width) in at.items():
        _box(ax, net, net[name], x, -ROW * row, width)
    canvas.savefig(path)


def draw_heatmap(image, heat, place, path, title):
    """Where in the image a classifier sees a class: the paper's Figure 2.

    image (H, W, 3) uint8, heat (h, w) the class' score at each place, place of the box over it
    """
    from matplotlib.figure import Figure as Canvas
    h, w, _ = image.shape
    (top, bottom), (left, right) = (
        (float(shift - scale / 2), float(shift + scale * (n - .5)))
        for shift, scale, n in zip(place.shift, place.scale, heat.shape))
    canvas = Canvas(figsize=(10, 10 * h / w / 2 + .6), dpi=110, layout='constrained')
    for ax in canvas.subplots(1, 2):
        ax.imshow(image, extent=(0, w, h, 0))
        ax.axis('off')
    shown = ax.imshow(heat, extent=(left, right, bottom, top), cmap='inferno', alpha=.7, vmin=0)
    ax.set(xlim=(0, w), ylim=(h, 0))
    canvas.colorbar(shown, ax=ax, shrink=.8, label='score')
    canvas.suptitle(title, fontsize=11)
    canvas.savefig(path)


def layout(net):
    """Where each box is drawn -> {name: (x, row, width)}, [(from, to, what the arrow passes)]."""
    at, arrows, drawn_as, ends, lowest, outputs = {}, [], {}, {}, 0, net.outputs()
    for box in net.boxes.values():
        sources = [drawn_as[name] for name in box.inputs]
        if box.op and box.op.__name__ in PASSED and box.name not in outputs:
            drawn, words = sources[0]
            drawn_as[box.name] = drawn, _cut(box) or words
            continue
        sources = list(dict.fromkeys((drawn, _cut(box) or words) for drawn, words in sources))
        rows = [at[drawn][1] for drawn, _ in sources] or [0]
        row = min(rows) if box.op and box.op.__name__ == 'concat' else max(rows)
        if len(sources) == 1 and ends[row] != sources[0][0]:            # a second way out of a box
            if _is_score(box) or sources[0][0] == 'data':               # that does not come back
                row = lowest = lowest + 1
        ends[row] = box.name
        width = BAR if _is_bar(box) else GRID
        right = [at[drawn][0] + at[drawn][2] for drawn, _ in sources] or [-GAP]
        taken = [x + w for x, r, w in at.values() if r == row and x + w > max(right)]
        near = GAP * (.35 if width == BAR else 1.7 if any(words for _, words in sources) else 1)
        at[box.name] = max([*right, *taken]) + near, row, width
        arrows += [(drawn, box.name, words) for drawn, words in sources]
        drawn_as[box.name] = box.name, ''
        if box.op and box.op.__name__ == 'take':                        # one pool, not two
            drawn_as[box.inputs[1]] = box.name, ''
    return at, arrows


def depths(at, arrows):
    """How deep under its row an arrow goes that others' boxes stand in the way of."""
    spans = {(source, target): (at[source][0], at[target][0]) for source, target, _ in arrows
             if at[source][1] == at[target][1] and any(
                 row == at[source][1] and at[source][0] < x < at[target][0]
                 for x, row, _ in at.values())}
    deep = {}
    for way, (a, b) in sorted(spans.items(), key=lambda item: item[1][1] - item[1][0]):
        inside = [deep[other] for other, (c, d) in spans.items() if other in deep
                  and at[other[0]][1] == at[way[0]][1] and a < d and c < b]
        deep[way] = min(max(inside, default=UNDER - DEEPER) + DEEPER, 1.)
    return deep


def _cut(box):
    return f'crop {box.kwargs["offset"][0]}' if box.op and box.op.__name__ == 'crop' else ''


def _is_score(box):
    return box.name.startswith('score')


def _is_bar(box):
    """Convolutions on the way, and pools that keep the stride."""
    if box.op is None or _is_score(box):
        return False
    return box.op.__name__ == 'conv2d' or box.kwargs.get('stride') == 1


def _box(ax, net, box, x, y, width):
    from matplotlib.patches import Rectangle
    kind = 'score' if _is_score(box) else box.op.__name__ if box.op else 'data'
    colour = COLOURS.get(kind, '#cccccc')
    ax.add_patch(Rectangle((x, y), width, 1, facecolor=colour, edgecolor='#333333', lw=.7))
    if width == BAR:
        ax.text(x + BAR / 2, y + .5, box.name.split('/')[-1], rotation=90, ha='center',
                va='center', fontsize=5, color='white')
        return
    cells = 1
    if box.alignment and box.op:
        cells = int(np.clip(64 / float(box.alignment.scale[0]), 2, 16))
    for i in range(1, cells):
        ax.plot([x + i / cells] * 2, [y, y + 1], color='#333333', lw=.35)
        ax.plot([x, x + 1], [y + i / cells] * 2, color='#333333', lw=.35)
    name = box.name.replace('/', '\n') if box.op else 'image'
    ax.text(x + .5, y + 1.06, name, ha='center', va='bottom', fontsize=6.5, color='#222222')


def _arrow(ax, source, target, words, last, deep):
    """Along the row, or under it; or down, from below the box, or from its right where its row ends
    there.
    """
    (x0, row0, w0), (x1, row1, w1) = source, target
    y0, y1, near = .5 - ROW * row0, .5 - ROW * row1, x1 - .17
    if deep:
        start, end, under = x0 + w0 / 2, x1 + w1 / 2, -ROW * row0 - deep
        ax.plot([start, start, end, end], [-ROW * row0, under, under, -ROW * row0], lw=.8,
                color=LINE, zorder=0)
        ax.annotate('', (end, -ROW * row0), (end, under), zorder=0,
                    arrowprops=dict(arrowstyle='-|>', lw=.8, color=LINE, shrinkA=0, shrinkB=0))
        if words:
            ax.text((start + end) / 2, under + .02, words, ha='center', va='bottom', fontsize=5.5,
                    color=LINE)
        return
    if row0 == row1:
        way = [(x0 + w0, y0)]
    elif last:
        way = [(x0 + w0, y0), (near, y0), (near, y1)]
    else:
        way = [(x0 + w0 / 2, y0), (x0 + w0 / 2, y1)]
    ax.plot(*zip(*way, (x1 - .08, y1)), lw=.8, color=LINE, zorder=0)
    ax.annotate('', (x1, y1), (near, y1), zorder=0,
                arrowprops=dict(arrowstyle='-|>', lw=.8, color=LINE, shrinkA=0, shrinkB=0))
    if words:
        ax.text(x1 - .21, y1 + .06, words, ha='right', va='bottom', fontsize=5.5, color=LINE)
