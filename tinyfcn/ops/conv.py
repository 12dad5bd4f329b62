"""Convolution and its transpose: one matrix M(w), used both ways.

    y = M x         conv2d              gather: every output reads its window
    x = Mᵀ y        conv_transpose2d    scatter: every input adds to its window
    dw = ⟨x, y⟩     weight_gradient     correlate: shared by both backwards

Each is the other's backward. M is not built here (matrix.py builds it): im2col and a matrix product
apply it.
"""
from collections.abc import Sequence
from itertools import product
from math import prod
from typing import Any

from ..dispatch import accelerated, backward_of
from ..geometry import axes, conv_size, count, extent, leftover, transposed_size, window
from .arguments import Array, Cache, Pair, check_gradient, check_shape, floats


@accelerated
def im2col(x: Array, ksize: Pair, stride: Pair = 1, pad: Pair = 0, dilation: Pair = 1,
           ) -> tuple[Array, Cache]:
    """Every window, unrolled into a column: channel by channel, row by row.

    x (N, C, H, W) -> (N, C·kh·kw, OH·OW)

    >>> import numpy as np
    >>> cols, cache = im2col(np.arange(9.).reshape(1, 1, 3, 3), 2)
    >>> cols[0]
    array([[0., 1., 3., 4.],
           [1., 2., 4., 5.],
           [3., 4., 6., 7.],
           [4., 5., 7., 8.]])
    """
    xp = floats(4, x=x)
    n, c, kh, kw, oh, ow = shape = _windows(x.shape, ksize, stride, pad, dilation)
    _, stride, pad, dilation = geometry = window(ksize, stride, pad, dilation)
    rows = _taps(kh, oh, stride[0], dilation[0])
    columns = _taps(kw, ow, stride[1], dilation[1])
    padded = xp.pad(x, ((0, 0), (0, 0), (pad[0], pad[0]), (pad[1], pad[1])))
    cols = xp.empty(shape, x.dtype)
    for i, j in product(range(kh), range(kw)):
        cols[:, :, i, j] = padded[:, :, rows[i], columns[j]]
    return cols.reshape(n, c * kh * kw, oh * ow), (x.shape, *geometry)


@backward_of(im2col)
def im2col_backward(dy: Array, cache: Any) -> tuple[Array]:
    n, c, kh, kw, oh, ow = _windows(*cache)
    check_gradient(dy, (n, c * kh * kw, oh * ow))
    dx, _ = col2im(dy, *cache)
    return dx,


@accelerated
def col2im(cols: Array, shape: Sequence[int], ksize: Pair, stride: Pair = 1, pad: Pair = 0,
           dilation: Pair = 1) -> tuple[Array, Cache]:
    """The transpose of im2col: every column is added back onto the pixels it was read from.

    cols (N, C·kh·kw, OH·OW) -> (N, C, H, W); `shape` ends with (H, W)

    >>> import numpy as np
    >>> x, cache = col2im(np.ones((1, 4, 4)), (3, 3), 2)    # how many windows read each pixel
    >>> x[0, 0]
    array([[1., 2., 1.],
           [2., 4., 2.],
           [1., 2., 1.]])
    """
    xp = floats(3, cols=cols)
    (kh, kw), stride, pad, dilation = geometry = window(ksize, stride, pad, dilation)
    n = len(cols)
    c = cols.shape[1] // (kh * kw)
    h, w = extent(shape, c, n)
    *_, oh, ow = windows = _windows((n, c, h, w), *geometry)
    reason = f'{kh}·{kw} rows for each channel and a column for each of {oh}×{ow} windows'
    check_shape((n, c * kh * kw, oh * ow), reason, cols=cols)
    rows = _taps(kh, oh, stride[0], dilation[0])
    columns = _taps(kw, ow, stride[1], dilation[1])
    padded = xp.zeros((n, c, h + 2 * pad[0], w + 2 * pad[1]), cols.dtype)
    cols = cols.reshape(windows)
    for i, j in product(range(kh), range(kw)):
        padded[:, :, rows[i], columns[j]] += cols[:, :, i, j]       # windows overlap: add
    x = padded[:, :, pad[0]:pad[0] + h, pad[1]:pad[1] + w]
    return x, (x.shape, *geometry)


@backward_of(col2im)
def col2im_backward(dy: Array, cache: Any) -> tuple[Array]:
    shape, *geometry = cache
    check_gradient(dy, shape)
    dcols, _ = im2col(dy, *geometry)
    return dcols,


@accelerated
def conv2d(x: Array, w: Array, b: Array | None = None, stride: Pair = 1, pad: Pair = 0,
           dilation: Pair = 1, groups: int = 1) -> tuple[Array, Cache]:
    """y = M(w) x + b.

    x (N, C, H, W), w (K, C/groups, kh, kw), b (K,) -> y (N, K, OH, OW)

    >>> import numpy as np
    >>> y, cache = conv2d(np.ones((1, 3, 8, 8)), np.ones((5, 3, 3, 3)), stride=2, pad=1)
    >>> y.shape
    (1, 5, 4, 4)
    >>> dx, dw, db = conv2d.backward(y, cache)
    >>> dx.shape, dw.shape, db
    ((1, 3, 8, 8), (5, 3, 3, 3), None)
    """
    groups = _check_channels(x, w, b, groups)
    geometry = dict(stride=stride, pad=pad, dilation=dilation)
    oh, ow = conv_size(x.shape[2:], w.shape[2:], **geometry)
    cols, _ = im2col(x, w.shape[2:], **geometry)
    cols = cols.reshape(len(x), groups, w[0].size, oh * ow)         # (N, G, C/G·kh·kw, OH·OW)
    y = (_by_group(w, groups) @ cols).reshape(len(x), len(w), oh, ow)
    return y if b is None else y + b[:, None, None], (x, w, b, geometry, groups)


@backward_of(conv2d)
@accelerated
def conv2d_backward(dy: Array, cache: Any, want: Sequence[bool] | None = None,
                    ) -> tuple[Array | None, Array | None, Array | None]:
    """dx = Mᵀ dy, dw = ⟨x, dy⟩, db = Σ dy."""
    x, w, b, geometry, groups = cache
    want = want or (True, True, True)
    check_gradient(dy, (len(x), len(w), *conv_size(x.shape[2:], w.shape[2:], **geometry)), x=x)
    dx = dw = db = None
    if want[0]:
        # the last rows and columns, which no window reached
        unseen = leftover(x.shape[2:], w.shape[2:], **geometry)
        dx, _ = conv_transpose2d(dy, w, **geometry, groups=groups, output_padding=unseen)
    if want[1]:
        dw = weight_gradient(x, dy, w.shape, geometry, groups)
    if b is not None and want[2]:
        db = dy.sum((0, 2, 3))
    return dx, dw, db


@accelerated
def conv_transpose2d(x: Array, w: Array, b: Array | None = None, stride: Pair = 1, pad: Pair = 0,
                     dilation: Pair = 1, groups: int = 1, output_padding: Pair = 0,
                     ) -> tuple[Array, Cache]:
    """y = M(w)ᵀ x + b, where w is the w of the convolution whose transpose this is.

    x (N, C, H, W), w (C, K/groups, kh, kw), b (K,) -> y (N, K, OH, OW)
    output_padding: the number of last rows and columns of y that the convolution would round away

    >>> import numpy as np
    >>> y, cache = conv_transpose2d(np.ones((1, 1, 1, 2)), np.ones((1, 1, 1, 2)), stride=2)
    >>> y[0, 0]
    array([[1., 1., 1., 1.]])
    """
    groups = _check_channels(x, w, b, groups, transposed=True)
    geometry = dict(stride=stride, pad=pad, dilation=dilation)
    size = transposed_size(x.shape[2:], w.shape[2:], **geometry, output_padding=output_padding)
    h, wide = x.shape[2:]
    pixels = x.reshape(len(x), groups, len(w) // groups, h * wide)  # (N, G, C/G, H·W)
    cols = _by_group(w, groups).swapaxes(1, 2) @ pixels             # (N, G, K/G·kh·kw, H·W)
    cols = cols.reshape(len(x), groups * w[0].size, h * wide)
    y, _ = col2im(cols, size, w.shape[2:], **geometry)
    return y if b is None else y + b[:, None, None], (x, w, b, geometry, groups, size)


@backward_of(conv_transpose2d)
@accelerated
def conv_transpose2d_backward(dy: Array, cache: Any, want: Sequence[bool] | None = None,
                              ) -> tuple[Array | None, Array | None, Array | None]:
    """dx = M dy, dw = ⟨dy, x⟩, db = Σ dy."""
    x, w, b, geometry, groups, size = cache
    want = want or (True, True, True)
    check_gradient(dy, (len(x), w.shape[1] * groups, *size), x=x)
    dx = dw = db = None
    if want[0]:
        dx, _ = conv2d(dy, w, **geometry, groups=groups)
    if want[1]:
        dw = weight_gradient(dy, x, w.shape, geometry, groups)
    if b is not None and want[2]:
        db = dy.sum((0, 2, 3))
    return dx, dw, db


def weight_gradient(x: Array, y: Array, shape: Sequence[int], geometry: Any, groups: int) -> Array:
    """dw of ⟨M(w) x, y⟩: the pixels under each tap times y, summed over all windows and images."""
    cols, _ = im2col(x, shape[2:], **geometry)
    windows = cols.shape[2]
    cols = cols.reshape(len(x), groups, prod(shape[1:]), windows)   # (N, G, C/G·kh·kw, OH·OW)
    y = y.reshape(len(x), groups, shape[0] // groups, windows)      # (N, G, K/G, OH·OW)
    dw: Array = (y @ cols.swapaxes(2, 3)).sum(0).reshape(shape)
    return dw


def _windows(shape: Sequence[int], ksize: Pair, stride: Pair, pad: Pair, dilation: Pair,
             ) -> tuple[int, ...]:
    """(N, C, H, W) -> (N, C, kh, kw, OH, OW): the shape of all windows, which im2col flattens."""
    kh, kw = axes(ksize, 'ksize', 1)
    return *shape[:2], kh, kw, *conv_size(shape[2:], ksize, stride, pad, dilation)


def _taps(k: int, out: int, stride: int, dilation: int) -> list[slice]:
    """The pixels under each of the k taps of an axis, over all `out` windows."""
    return [slice(i * dilation, i * dilation + stride * out, stride) for i in range(k)]


def _by_group(w: Array, groups: int) -> Array:
    """(K, C/G, kh, kw) -> (G, K/G, C/G·kh·kw): the filters of each group, one a row."""
    return w.reshape(groups, len(w) // groups, -1)


def _check_channels(x: Array, w: Array, b: Array | None, groups: int, transposed: bool = False,
                    ) -> int:
    """Refuse filters whose channels do not agree with those of x and b. -> groups"""
    floats(4, x=x, w=w)
    groups = check_filters(w, groups)
    makes = len(w)
    reads = w.shape[1] * groups
    if transposed:
        makes, reads = reads, makes
    if x.shape[1] != reads:
        raise ValueError(f'x has {x.shape[1]} channels; w {w.shape} with groups={groups} '
                         f'reads {reads}')
    if b is not None:
        floats(w=w, b=b)
        check_shape((makes,), 'one value for each output channel', b=b)
    return groups


def check_filters(w: Array, groups: int) -> int:
    """Refuse a w (K, C/groups, kh, kw) whose filters do not make that many groups. -> groups"""
    if not len(w):
        raise ValueError(f'w has shape {w.shape}: it has no filters')
    groups = count(groups, 'groups')
    if len(w) % groups:
        raise ValueError(f'groups={groups} does not divide the {len(w)} filters of w {w.shape}')
    return groups
