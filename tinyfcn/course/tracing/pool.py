"""Max pooling, the switches it leaves, and back through them."""
from ... import ops
from ...geometry import axes
from ..player import short
from .captions import at
from .grid import empty, every, filled, image, names, planes, steps, upto


def max_pool(x, ksize, stride=None):
    """The largest of each window, and its switch; then each y is put back where it came from.

    x (C, H, W) -> Player with the grids x, y, switches, unpooled
    """
    x = image(x, 'x')
    y, _ = ops.max_pool(x[None], ksize, stride)
    switches, _ = ops.max_switches(x[None], ksize, stride)
    size, places = x.shape[1:], every(y.shape[1:])
    ksize, stride = axes(ksize, 'ksize', 1), axes(ksize if stride is None else stride, 'stride', 1)
    xs, ys, ss, backs = (names(name, x) for name in ('x', 'y', 'switches', 'unpooled'))

    def forth(c, place, value, switch, cell):
        window = [[i, j] for i, j in every(size)
                  if all(s * p <= n < s * p + k
                         for n, s, p, k in zip((i, j), stride, place, ksize))]
        seen = ', '.join(short(x[c, i, j]) for i, j in window)
        return dict(say=f'{ys[c]}{at(place)} = max({seen}) = {short(value)}, found at {at(cell)}: '
                        f'switch {cell[0]}·{size[1]} + {cell[1]} = {switch}',
                    set={ys[c]: [[*place, value]], ss[c]: [[*place, switch]]},
                    lit={xs[c]: window, ys[c]: [place], ss[c]: [place]})

    def back(c, place, value, switch, cell, n):
        x_back, _ = ops.unpool(upto(y, n + 1), switches, size)
        say = f'switch {switch} is {at(cell)}: {backs[c]}{at(cell)} += {short(value)}'
        written = (filled(backs, x_back[0], every(size)) if n == 0 else
                   filled([backs[c]], x_back[0, [c]], [cell]))
        return dict(say=say, set=written, lit={ys[c]: [place], ss[c]: [place], backs[c]: [cell]})

    def frame(n):
        c, *place = places[n % len(places)]
        value, switch = float(y[0, c][tuple(place)]), int(switches[0, c][tuple(place)])
        seen = c, place, value, switch, list(divmod(switch, size[1]))
        return forth(*seen) if n < len(places) else back(*seen, n - len(places))

    blank = empty(*y.shape[1:])
    grids = [*planes('x', 'input x', x), *planes('y', 'y: the largest', blank),
             *planes('switches', 'switches: where it was', blank),
             *planes('unpooled', 'unpooled: back in place', empty(*x.shape))]
    return steps('Max pooling, and back through its switches', grids, 2 * len(places), frame)
