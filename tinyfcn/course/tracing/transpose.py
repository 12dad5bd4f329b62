"""y = Mᵀ x, three ways on the same numbers: stamps, zeros between, the matrix transposed."""
import numpy as np

from ... import ops
from ...geometry import axes, transposed_size
from .captions import added, at, sum_of_products
from .grid import (
    busiest,
    empty,
    every,
    filled,
    grid,
    image,
    names,
    padded,
    planes,
    steps,
    upto,
    windows,
)


def scatter(x, w, stride=1, pad=0):
    """Each x stamps w onto y, and stamps add; what pad cuts off in the end is soft.

    x (C, H, W), w (C, kh, kw) -> Player with the grids x, w, y (with what pad cuts off)
    """
    x, w = image(x, 'x'), image(w, 'w')
    cut, _ = ops.conv_transpose2d(x[None], w[:, None], stride=stride, pad=pad)
    _, rim = padded(cut[0], pad)

    def after(n):
        return ops.conv_transpose2d(upto(x, n)[None], w[:, None], stride=stride)[0][0, 0]

    y, places, kernel = after(x.size), every(x.shape), every(w.shape[1:])
    taps = windows(y.shape, w.shape[1:], stride)

    def frame(n):
        (c, *place), x_n = places[n], float(x.flat[n])
        before, y, window = after(n), after(n + 1), taps[n % len(taps)]
        tap = busiest(taps, n)
        i, j = window[tap]
        stamp = added(f'y{at([i, j])}', before[i, j], (x_n, w[c].flat[tap]), y[i, j])
        xs, ws = names('x', x)[c], names('w', w)[c]
        return dict(say=f'y += {xs}{at(place)} · {ws}:  {stamp}',
                    set=filled(['y'], [y], window),
                    lit={xs: [place], ws: kernel, 'y': window})

    title = 'output y, so far' + (': pad cuts its rim off' if rim else '')
    grids = [*planes('x', 'input x', x), *planes('w', 'kernel w', w),
             grid('y', title, 0 * y, soft=rim)]
    return steps('Transposed convolution: each x stamps w', grids, len(places), frame,
                 soft='cut off')


def zero_insert(x, w, stride=1, pad=0):
    """Zeros between the x, ksize − 1 − pad zeros around; then the turned kernel slides over that.

    x (C, H, W), w (C, kh, kw) -> Player with the grids x, spread, w (turned), y
    """
    x, w = image(x, 'x'), image(w, 'w')
    around = [k - 1 - p for k, p in zip(w.shape[1:], axes(pad, 'pad'))]
    if min(around) < 0:
        raise ValueError(f'pad {pad} is larger than ksize − 1 for a kernel of '
                         f'{w.shape[1]}×{w.shape[2]}: no zeros are left to put around x')
    # a transposed convolution with the 1×1 kernel 1 does nothing but spread
    one = np.ones((1, 1, 1, 1))
    apart = [ops.conv_transpose2d(plane, one, stride=stride)[0][0, 0] for plane in x[:, None, None]]
    real, _ = ops.conv_transpose2d(np.ones_like(x[:1])[None], one, stride=stride)
    spread, _ = padded(np.stack(apart), around)
    zeros = np.argwhere(padded(real[0], around)[0][0] == 0).tolist()
    turned = np.ascontiguousarray(w[:, ::-1, ::-1])
    y = ops.conv2d(spread[None], turned[None])[0][0, 0]
    cols = ops.im2col(spread[None], w.shape[1:])[0][0]
    taps, places = windows(spread.shape[1:], w.shape[1:]), every(y.shape)
    soft = {tuple(cell) for cell in zeros}

    def frame(n):
        met = [k for k in range(len(cols)) if tuple(taps[n][k % len(taps[n])]) not in soft]
        return dict(say=sum_of_products(f'y{at(places[n])}', turned.ravel()[met], cols[met, n],
                                        y.flat[n]),
                    set=filled(['y'], [y], [places[n]]),
                    lit={**dict.fromkeys(names('spread', x), taps[n]),
                         **dict.fromkeys(names('w', w), every(w.shape[1:])), 'y': [places[n]]})

    grids = [*planes('x', 'input x', x), *planes('spread', 'x with zeros between and around',
                                                 spread, zeros),
             *planes('w', 'w, turned', turned), grid('y', 'output y', empty(*y.shape))]
    return steps('Transposed convolution: zeros between, and a convolution', grids, len(places),
                 frame, soft='zeros put in')


def transposed(x, w, stride=1, pad=0):
    """Mᵀ x: each x times its column of Mᵀ, which was a row of M, and all of them added.

    x (C, H, W), w (C, kh, kw) -> Player with the grids Mᵀ, x and y as columns
    """
    x, w = image(x, 'x'), image(w, 'w')
    size = transposed_size(x.shape[1:], w.shape[1:], stride, pad)
    high, wide = size[0] * size[1], x.size
    blank = grid('Mᵀ', 'Mᵀ: a column for each x', empty(high, wide))
    m = ops.conv_matrix(w[:, None], size, stride, pad)
    dense = m.toarray().T
    taps = [np.sort(m.indices[a:b]).tolist() for a, b in zip(m.indptr, m.indptr[1:])]

    def after(n):
        return m.T @ upto(x, n).reshape(-1, 1)

    def frame(n):
        y, column = after(n + 1), [[i, 0] for i in taps[n]]
        say = f'x[{n}] is nowhere: pad cuts all of its stamp off'
        if column:
            i, _ = column[busiest([[[i, 0] for i in each] for each in taps], n)]
            say = added(f'y[{i}]', after(n)[i, 0], (x.flat[n], dense[i, n]), y[i, 0])
            say = f'y += x[{n}] · column {n}:  {say}'
        return dict(say=say,
                    set={**filled(['Mᵀ'], [dense], [[i, n] for i in range(high)]),
                         **filled(['y'], [y], column)},
                    lit={'Mᵀ': [[i, n] for i in taps[n]], 'x': [[n, 0]], 'y': column})

    blank['soft'] = [[i, n] for n in range(wide) for i in range(high) if i not in taps[n]]
    grids = [blank, grid('x', 'x', x.reshape(-1, 1)),
             grid('y', 'y, so far', np.zeros((high, 1)))]
    return steps('Transposed convolution: y = Mᵀ x', grids, wide, frame, soft='no tap: 0')
