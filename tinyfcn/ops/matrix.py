"""The matrix itself: a convolution as sparse M, its transpose as M.T, and maps that are one small matrix per axis.

    M = conv_matrix(w, (H, W));   M @ x.ravel()  is  conv2d(x, w);   M.T @ y.ravel()  is  conv_transpose2d(y, w)

Bilinear upsampling by a factor is such an M.T, the same for every class and separable, y = U x Vᵀ: so it runs as two
thin sparse products and no dense deconvolution is ever needed. Resizing and averaging are of the same form.
"""
from ..backend import array_module, sparse_module
from ..geometry import axes, conv_size, extent, tent_size, transposed_size
from ..pair import accelerated, backward_of
from .arguments import floats, gradient
from .conv import im2col

LARGEST = 5e7                                   # entries of a matrix that still fits a laptop: 0.6 GB


def conv_matrix(w, shape, stride=1, pad=0, dilation=1, groups=1):
    """The sparse M of conv2d(·, w): one row for each output, one column for each pixel, both in (C, H, W) order.

    w (K, C/groups, kh, kw), integers welcome; `shape` ends with (H, W) -> (K·OH·OW, C·H·W)
    """
    xp, (k, depth, kh, kw) = array_module(w), w.shape
    if groups not in range(1, k + 1) or k % groups:
        raise ValueError(f'groups={groups!r} does not divide the {k} filters of w {w.shape}')
    c, (h, wide) = depth * groups, extent(shape, depth * groups)
    oh, ow = conv_size((h, wide), (kh, kw), stride, pad, dilation)
    if w.size * oh * ow > LARGEST:
        raise ValueError(f'this matrix would hold {w.size * oh * ow:.2g} entries, {LARGEST:.0e} is the most that '
                         f'conv_matrix builds: take a smaller image or fewer channels, or call conv2d')
    # im2col of the pixels' own numbers says which pixel each tap meets; 0 is padding
    numbers = xp.arange(1., c * h * wide + 1).reshape(1, c, h, wide)
    meets, _ = im2col(numbers, (kh, kw), stride, pad, dilation)
    meets = meets.astype('int64').reshape(groups, 1, depth * kh * kw, oh * ow) - 1
    outputs = xp.arange(k * oh * ow).reshape(groups, k // groups, 1, oh * ow)
    rows, columns, values = xp.broadcast_arrays(outputs, meets, w.reshape(groups, k // groups, -1, 1))
    real = columns >= 0
    return sparse_module(w).csr_array((values[real], (rows[real], columns[real])),
                                      shape=(k * oh * ow, c * h * wide))


def separable(x, rows, columns):
    """y = rows · x · columnsᵀ on every plane.

    x (N, C, H, W), sparse rows (OH, H), sparse columns (OW, W) -> y (N, C, OH, OW)
    """
    n, c, h, w = x.shape
    oh, ow = rows.shape[0], columns.shape[0]
    y = columns @ x.reshape(n * c * h, w).T                                     # (OW, N·C·H)
    y = rows @ y.reshape(ow, n * c, h).transpose(2, 1, 0).reshape(h, -1)        # (OH, N·C·OW)
    return y.reshape(oh, n * c, ow).transpose(1, 0, 2).reshape(n, c, oh, ow), (rows, columns)


@backward_of(separable)
def separable_backward(dy, cache):
    """dx = rowsᵀ · dy · columns."""
    rows, columns = cache
    floats(4, dy=dy)
    gradient(dy, (*dy.shape[:2], rows.shape[0], columns.shape[0]))
    return separable(dy, rows.T, columns.T)[0], None, None


@accelerated
def upsample(x, factor, ksize=None, pad=0):
    """y = Mᵀ x, where M slides a bilinear tent with stride `factor`: the fixed deconvolution of the reference nets.

    x (N, C, H, W) -> y (N, C, (H−1)·factor + ksize − 2·pad, …); ksize is 2·factor (less 1 where odd) unless told
    """
    xp = floats(4, x=x)
    factor, ksize, pad = axes(factor, 'factor', 1), tent_size(factor, ksize), axes(pad, 'pad')
    size = transposed_size(x.shape[2:], ksize, factor, pad)
    tents = (xp.asarray(tent(k), x.dtype).reshape(1, 1, k, 1) for k in ksize)
    return separable(x, *(conv_matrix(t, (n, 1), (f, 1), (p, 0)).T for t, n, f, p in zip(tents, size, factor, pad)))


@backward_of(upsample)
def upsample_backward(dy, cache):
    return separable.backward(dy, cache)[:1]


def tent(ksize):
    """The bilinear kernel along one axis: 1 at its centre, 0 after (ksize + 1) // 2 steps. tent(4) is 1 3 3 1 / 4."""
    return [1 - abs(i - (ksize - 1) / 2) / ((ksize + 1) // 2) for i in range(ksize)]


@accelerated
def resize(x, size, align_corners=False):
    """Bilinear to any size: between the two nearest pixels, the nearer weighs more.

    x (N, C, H, W) -> y (N, C, *size). align_corners lays corner pixels on corner pixels, else corner edges on edges.
    """
    xp = floats(4, x=x)

    def matrix(n, out):
        i = xp.arange(float(out))
        at = i * ((n - 1) / max(out - 1, 1)) if align_corners else ((i + .5) * (n / out) - .5).clip(0, n - 1)
        return _sparse(x, (1 - abs(at[:, None] - xp.arange(n))).clip(0))

    return separable(x, *map(matrix, x.shape[2:], axes(size, 'size', 1)))


@backward_of(resize)
def resize_backward(dy, cache):
    return separable.backward(dy, cache)[:1]


def averages(x, first, end, n):
    """The (OH, H) matrix of means: row i averages the pixels first[i] … end[i]−1 of n; those beyond the image are 0."""
    pixels = array_module(x).arange(n)
    inside = (pixels >= first[:, None]) & (pixels < end[:, None])
    return _sparse(x, inside / (end - first)[:, None])


def _sparse(x, dense):
    return sparse_module(x).csr_array(dense.astype(x.dtype))
