"""Backward: where windows overlap, gradients add."""
from ... import ops
from ...geometry import axes, extent
from .captions import added, at
from .grid import busiest, every, filled, grid, image, names, padded, planes, steps, upto, windows


def backward(x, w, dy, stride=1, pad=0):
    """One dy after the other: dw += dy · its window of x, dx += dy · w there.

    x (C, H, W), w (C, kh, kw), dy (OH, OW) -> Player with the grids x (padded), w, dy, dw, dx
    """
    x, w, dy = image(x, 'x'), image(w, 'w'), image(dy, 'dy')
    x, rim = padded(x, pad)
    _, cache = ops.conv2d(x[None], w[None], stride=stride)
    taps, places = windows(x.shape[1:], w.shape[1:], stride), every(dy.shape[1:])
    xs, ws, dxs, dws = (names(name, x) for name in ('x', 'w', 'dx', 'dw'))
    kernel = every(w.shape[1:])

    def after(n):
        """dx and dw of the first n of dy."""
        dx, dw, _ = ops.conv2d.backward(upto(dy, n)[None], cache)
        return dx[0], dw[0]

    def frame(n):
        (_, before), (dx, dw), d = after(n), after(n + 1), dy.flat[n]
        first = x[0][tuple(taps[n][0])]
        sums = added(f'{dws[0]}[0,0]', before.flat[0], (d, first), dw.flat[0])
        return dict(say=f'dy{at(places[n])}:  dw += dy · window,  dx += dy · w,  {sums}',
                    set={**filled(dws, dw, kernel), **filled(dxs, dx, taps[n])},
                    lit={'dy': [places[n]], **dict.fromkeys([*xs, *dxs], taps[n]),
                         **dict.fromkeys([*ws, *dws], kernel)})

    grids = [*planes('x', 'input x, padded' if rim else 'input x', x, rim),
             *planes('w', 'kernel w', w), grid('dy', 'dy', dy[0]),
             *planes('dw', 'dw, so far', 0 * w), *planes('dx', 'dx, so far', 0 * x, rim)]
    return steps('Backward: each dy stamps dw and dx', grids, len(places), frame)


def col2im(cols, size, ksize, stride=1, pad=0):
    """A column after the other, added back onto the pixels it was read from.

    cols (C·kh·kw, OH·OW), size (H, W) -> Player with the grids cols, x (padded)
    """
    cols, (h, w) = image(cols, 'cols', 2), extent(size, None)
    wide = [n + 2 * p for n, p in zip((h, w), axes(pad, 'pad'))]
    taps = windows(wide, ksize, stride)

    def after(n):
        return ops.col2im(upto(cols.T, n * len(cols)).T[None], wide, ksize, stride)[0][0]

    zeros = after(0)
    _, rim = padded(zeros[:, :h, :w], pad)
    xs = names('x', zeros)

    def frame(n):
        x, tap = after(n + 1), busiest(taps, n)
        i, j = taps[n][tap]
        return dict(say=added(f'{xs[0]}{at([i, j])}', after(n)[0, i, j], (cols[tap, n],),
                              x[0, i, j]),
                    set=filled(xs, x, taps[n]),
                    lit={'cols': [[k, n] for k in range(len(cols))], **dict.fromkeys(xs, taps[n])})

    grids = [grid('cols', 'cols: a column for each window', cols),
             *planes('x', 'x, so far: pad is cut off' if rim else 'x, so far', zeros, rim)]
    return steps('col2im: every column is added back', grids, cols.shape[1], frame)
