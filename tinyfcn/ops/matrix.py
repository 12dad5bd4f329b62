"""The matrix itself, as a sparse one: M, its transpose M.T, and ops that are one M per axis.

    M = conv_matrix(w, (H, W))
    M @ x.ravel()       is conv2d(x, w)
    M.T @ y.ravel()     is conv_transpose2d(y, w)

Bilinear upsampling is an M.T that is the same for every class and separable, y = U x Vᵀ: two thin
products, and no dense deconvolution. Resizing and averaging (pool.py) are of that form too.
"""
from ..dispatch import accelerated, backward_of
from ..geometry import axes, bilinear_size, conv_size, count, extent, transposed_size
from ..runtime.backend import array_module, sparse_module
from .arguments import floats, gradient, integers
from .conv import im2col

LARGEST = 5e7       # entries: 0.6 GB, what a laptop still builds in seconds


def conv_matrix(w, shape, stride=1, pad=0, dilation=1, groups=1):
    """The sparse M of conv2d(·, w): a row for each output, a column for each pixel.

    w (K, C/groups, kh, kw), integers welcome; `shape` ends with (H, W) -> (K·OH·OW, C·H·W)
    Rows and columns are in (C, H, W) order whatever the strides of an image: flatten with ravel().
    """
    xp = array_module(w)
    integers(4, w=w) if w.dtype.kind in 'iu' else floats(4, w=w)
    k, depth, kh, kw = w.shape
    if k % count(groups, 'groups'):
        raise ValueError(f'groups={groups} does not divide the {k} filters of w {w.shape}')
    c, (h, wide) = depth * groups, extent(shape, depth * groups)
    oh, ow = conv_size((h, wide), (kh, kw), stride, pad, dilation)
    if w.size * oh * ow > LARGEST:
        raise ValueError(f'this matrix would have {w.size * oh * ow:.2g} entries, of which '
                         f'{LARGEST:.0e} fit: take a smaller image or fewer channels, or conv2d')
    # im2col of the pixels' own numbers says which pixel each tap meets; 0 is padding
    numbers = xp.arange(1., c * h * wide + 1).reshape(1, c, h, wide)
    meets, _ = im2col(numbers, (kh, kw), stride, pad, dilation)
    meets = meets.astype('int64').reshape(groups, 1, -1, oh * ow) - 1       # (G, 1, taps, places)
    outputs = xp.arange(k * oh * ow).reshape(groups, k // groups, 1, oh * ow)
    values = w.reshape(groups, k // groups, -1, 1)
    outputs, meets, values = xp.broadcast_arrays(outputs, meets, values)
    real = meets >= 0
    return sparse_module(w).csr_array((values[real], (outputs[real], meets[real])),
                                      shape=(k * oh * ow, c * h * wide))


@accelerated
def separable(x, rows, columns):
    """y = rows · x · columnsᵀ on every plane.

    x (N, C, H, W), sparse rows (OH, H), sparse columns (OW, W) -> y (N, C, OH, OW)
    """
    n, c, h, w = x.shape
    oh, ow = rows.shape[0], columns.shape[0]
    y = columns @ x.reshape(n * c * h, w).T                                 # (OW, N·C·H)
    y = rows @ y.reshape(ow, n * c, h).transpose(2, 1, 0).reshape(h, -1)    # (OH, N·C·OW)
    y = y.reshape(oh, n * c, ow).transpose(1, 0, 2).reshape(n, c, oh, ow)
    return y, (x.shape, rows, columns)


@backward_of(separable)
def separable_backward(dy, cache):
    """dx = rowsᵀ · dy · columns."""
    shape, rows, columns = cache
    gradient(dy, (*shape[:2], rows.shape[0], columns.shape[0]), x=rows.data)
    return separable(dy, rows.T, columns.T)[0], None, None


def bilinear_1d(ksize):
    """The bilinear kernel along one axis, 1 − |i − centre| / slope.   tent(4) is 1 3 3 1 / 4"""
    centre, slope = (ksize - 1) / 2, (ksize + 1) // 2
    return [1 - abs(i - centre) / slope for i in range(ksize)]


@accelerated
def upsample(x, factor, ksize=None, pad=0):
    """y = Mᵀ x, M sliding a tent with stride `factor`: the reference nets' fixed deconvolution.

    x (N, C, H, W) -> y (N, C, (H−1)·factor + ksize − 2·pad, …)
    ksize is 2·factor, or one less; unless told, even factors take the even and odd the odd one
    """
    xp = floats(4, x=x)
    factor, ksize, pad = axes(factor, 'factor', 1), bilinear_size(factor, ksize), axes(pad, 'pad')

    def matrix(n, f, k, p):
        w = xp.asarray(bilinear_1d(k), x.dtype).reshape(1, 1, k, 1)
        return conv_matrix(w, (n, 1), (f, 1), (p, 0)).T

    size = transposed_size(x.shape[2:], ksize, factor, pad)
    return separable(x, *map(matrix, size, factor, ksize, pad))


@backward_of(upsample)
def upsample_backward(dy, cache):
    return separable.backward(dy, cache)[:1]


@accelerated
def resize(x, size, align_corners=False):
    """Bilinear to any size: of the two nearest pixels along an axis, the nearer weighs more.

    x (N, C, H, W) -> y (N, C, *size)
    The images' edges lie on one another, or with align_corners the centres of their corner pixels.
    """
    xp = floats(4, x=x)

    def matrix(n, out):
        if align_corners:
            at = xp.arange(float(out)) * ((n - 1) / max(out - 1, 1))
        else:
            at = ((xp.arange(float(out)) + .5) * (n / out) - .5).clip(0, n - 1)
        return thin_matrix(x, (1 - abs(at[:, None] - xp.arange(n))).clip(0))

    return separable(x, *map(matrix, x.shape[2:], axes(size, 'size', 1)))


@backward_of(resize)
def resize_backward(dy, cache):
    return separable.backward(dy, cache)[:1]


def thin_matrix(x, weights):
    """A matrix along one axis, sparse, to multiply x with.   weights (OH, H)"""
    return sparse_module(x).csr_array(weights.astype(x.dtype))
