"""Convolution and its transpose: one matrix M(w), used both ways.

    y = M x         conv2d              gather: every output looks through its window
    x = Mᵀ y        conv_transpose2d    scatter: every input stamps its window
    dw = ⟨x, y⟩     weight_gradient     correlate: what both backwards share

Each is the other's backward. M is not built here (matrix.py does): im2col and a product apply it.
"""
from itertools import product

from ..dispatch import accelerated, backward_of
from ..geometry import axes, conv_size, count, extent, leftover, transposed_size, window
from .arguments import floats, gradient, shaped


@accelerated
def im2col(x, ksize, stride=1, pad=0, dilation=1):
    """Every window, unrolled into a column: channel by channel, row by row.

    x (N, C, H, W) -> (N, C·kh·kw, OH·OW)
    """
    xp = floats(4, x=x)
    n, c, kh, kw, oh, ow = shape = _windows(x.shape, ksize, stride, pad, dilation)
    _, stride, pad, dilation = geometry = window(ksize, stride, pad, dilation)
    rows, columns = _taps(kh, oh, stride[0], dilation[0]), _taps(kw, ow, stride[1], dilation[1])
    padded = xp.pad(x, ((0, 0), (0, 0), (pad[0], pad[0]), (pad[1], pad[1])))
    cols = xp.empty(shape, x.dtype)
    for i, j in product(range(kh), range(kw)):
        cols[:, :, i, j] = padded[:, :, rows[i], columns[j]]
    return cols.reshape(n, c * kh * kw, oh * ow), (x.shape, *geometry)


@backward_of(im2col)
def im2col_backward(dy, cache):
    n, c, kh, kw, oh, ow = _windows(*cache)
    gradient(dy, (n, c * kh * kw, oh * ow))
    return col2im(dy, *cache)[:1]


@accelerated
def col2im(cols, shape, ksize, stride=1, pad=0, dilation=1):
    """The transpose of im2col: every column is added back onto the pixels it was read from.

    cols (N, C·kh·kw, OH·OW) -> (N, C, H, W); `shape` ends with (H, W)
    """
    xp = floats(3, cols=cols)
    (kh, kw), stride, pad, dilation = geometry = window(ksize, stride, pad, dilation)
    n, c = len(cols), cols.shape[1] // (kh * kw)
    h, w = extent(shape, c, n)
    *_, oh, ow = windows = _windows((n, c, h, w), *geometry)
    shaped((n, c * kh * kw, oh * ow), f'{kh}·{kw} rows for each channel and a column for each of '
                                      f'{oh}×{ow} windows', cols=cols)
    rows, columns = _taps(kh, oh, stride[0], dilation[0]), _taps(kw, ow, stride[1], dilation[1])
    padded = xp.zeros((n, c, h + 2 * pad[0], w + 2 * pad[1]), cols.dtype)
    cols = cols.reshape(windows)
    for i, j in product(range(kh), range(kw)):
        padded[:, :, rows[i], columns[j]] += cols[:, :, i, j]       # windows overlap: add
    x = padded[:, :, pad[0]:pad[0] + h, pad[1]:pad[1] + w]
    return x, (x.shape, *geometry)


@backward_of(col2im)
def col2im_backward(dy, cache):
    shape, *geometry = cache
    gradient(dy, shape)
    return im2col(dy, *geometry)[:1]


@accelerated
def conv2d(x, w, b=None, stride=1, pad=0, dilation=1, groups=1):
    """y = M(w) x + b.

    x (N, C, H, W), w (K, C/groups, kh, kw), b (K,) -> y (N, K, OH, OW)
    """
    _fit(x, w, b, groups)
    geometry = dict(stride=stride, pad=pad, dilation=dilation)
    oh, ow = conv_size(x.shape[2:], w.shape[2:], **geometry)
    cols, _ = im2col(x, w.shape[2:], **geometry)
    cols = cols.reshape(len(x), groups, -1, oh * ow)                # (N, G, C/G·kh·kw, OH·OW)
    y = (_by_group(w, groups) @ cols).reshape(len(x), len(w), oh, ow)
    return y if b is None else y + b[:, None, None], (x, w, b, geometry, groups)


@backward_of(conv2d)
@accelerated
def conv2d_backward(dy, cache, want=None):
    """dx = Mᵀ dy, dw = ⟨x, dy⟩, db = Σ dy."""
    x, w, b, geometry, groups = cache
    want = want or (True, True, True)
    gradient(dy, (len(x), len(w), *conv_size(x.shape[2:], w.shape[2:], **geometry)), x=x)
    dx = dw = db = None
    if want[0]:
        unseen = leftover(x.shape[2:], w.shape[2:], **geometry)     # pixels that no window reached
        dx, _ = conv_transpose2d(dy, w, **geometry, groups=groups, output_padding=unseen)
    if want[1]:
        dw = weight_gradient(x, dy, w.shape, geometry, groups)
    if b is not None and want[2]:
        db = dy.sum((0, 2, 3))
    return dx, dw, db


@accelerated
def conv_transpose2d(x, w, b=None, stride=1, pad=0, dilation=1, groups=1, output_padding=0):
    """y = M(w)ᵀ x + b, where w is the w of the convolution whose transpose this is.

    x (N, C, H, W), w (C, K/groups, kh, kw), b (K,) -> y (N, K, OH, OW)
    output_padding: how many last rows and columns of y that convolution would round away
    """
    _fit(x, w, b, groups, transposed=True)
    geometry = dict(stride=stride, pad=pad, dilation=dilation)
    size = transposed_size(x.shape[2:], w.shape[2:], **geometry, output_padding=output_padding)
    pixels = x.reshape(len(x), groups, len(w) // groups, -1)        # (N, G, C/G, H·W)
    cols = _by_group(w, groups).swapaxes(1, 2) @ pixels             # (N, G, K/G·kh·kw, H·W)
    y, _ = col2im(cols.reshape(len(x), -1, cols.shape[3]), size, w.shape[2:], **geometry)
    return y if b is None else y + b[:, None, None], (x, w, b, geometry, groups, size)


@backward_of(conv_transpose2d)
@accelerated
def conv_transpose2d_backward(dy, cache, want=None):
    """dx = M dy, dw = ⟨dy, x⟩, db = Σ dy."""
    x, w, b, geometry, groups, size = cache
    want = want or (True, True, True)
    gradient(dy, (len(x), w.shape[1] * groups, *size), x=x)
    dx = dw = db = None
    if want[0]:
        dx, _ = conv2d(dy, w, **geometry, groups=groups)
    if want[1]:
        dw = weight_gradient(dy, x, w.shape, geometry, groups)
    if b is not None and want[2]:
        db = dy.sum((0, 2, 3))
    return dx, dw, db


def weight_gradient(x, y, shape, geometry, groups):
    """dw of ⟨M(w) x, y⟩: each tap's pixels times y, over all places and pictures."""
    cols, _ = im2col(x, shape[2:], **geometry)
    cols = cols.reshape(len(x), groups, -1, cols.shape[2])          # (N, G, C/G·kh·kw, OH·OW)
    y = y.reshape(len(x), groups, -1, cols.shape[3])                # (N, G, K/G, OH·OW)
    return (y @ cols.swapaxes(2, 3)).sum(0).reshape(shape)


def _windows(shape, ksize, stride, pad, dilation):
    """(N, C, H, W) -> (N, C, kh, kw, OH, OW): the shape of all windows, which im2col flattens."""
    kh, kw = axes(ksize, 'ksize', 1)
    return *shape[:2], kh, kw, *conv_size(shape[2:], ksize, stride, pad, dilation)


def _taps(k, out, stride, dilation):
    """The pixels that each of an axis' k taps meets, over all `out` windows."""
    return [slice(i * dilation, i * dilation + stride * out, stride) for i in range(k)]


def _by_group(w, groups):
    """(K, C/G, kh, kw) -> (G, K/G, C/G·kh·kw): the filters of each group, one a row."""
    return w.reshape(groups, len(w) // groups, -1)


def _fit(x, w, b, groups, transposed=False):
    """Refuse filters that read or make another number of channels than there are."""
    floats(4, x=x, w=w)
    if len(w) % count(groups, 'groups'):
        raise ValueError(f'groups={groups!r} does not divide the {len(w)} filters of w {w.shape}')
    makes, reads = len(w), w.shape[1] * groups
    if transposed:
        makes, reads = reads, makes
    if x.shape[1] != reads:
        raise ValueError(f'x has {x.shape[1]} channels; w {w.shape} with groups={groups} '
                         f'reads {reads}')
    if b is not None:
        floats(w=w, b=b)
        shaped((makes,), 'one value for each channel that is made', b=b)
