"""The matrix of a convolution as a sparse matrix M, its transpose M.T, and ops with one M per axis.

    M = conv_matrix(w, (H, W))
    M @ x.ravel()       is conv2d(x, w)
    M.T @ y.ravel()     is conv_transpose2d(y, w)

Bilinear upsampling is an M.T that is the same for every class and separable, y = U x Vᵀ: two thin
products, and no dense deconvolution. Resizing and averaging (pool.py) are of that form too.
"""
from collections.abc import Callable, Sequence
from functools import lru_cache, wraps
from typing import Any, Literal, TypeVar, cast

import numpy as np

from ..dispatch import accelerated, backward_of
from ..geometry import (
    axes,
    bilinear_size,
    conv_size,
    extent,
    flag,
    image_size,
    scaled_size,
    scales,
    transposed_size,
)
from ..runtime.backend import array_module, sparse_module
from .arguments import Array, Cache, Pair, check_gradient, choice, floats, integers
from .conv import check_filters, im2col

F = TypeVar('F', bound=Callable[..., Any])

LARGEST = 5e7       # entries: 0.6 GB, what a laptop still builds in seconds


def conv_matrix(w: Array, shape: Sequence[int], stride: Pair = 1, pad: Pair = 0,
                dilation: Pair = 1, groups: int = 1) -> Any:
    """The sparse M of conv2d(·, w): a row for each output, a column for each pixel.

    w (K, C/groups, kh, kw), floats or integers; `shape` ends with (H, W)
    -> a scipy.sparse (or cupyx) csr_array (K·OH·OW, C·H·W)
    Rows and columns are in (C, H, W) order whatever the strides of an image: flatten with ravel().

    >>> import numpy as np
    >>> M = conv_matrix(np.array([[[[1, 2]]]]), (1, 3))
    >>> M.toarray()
    array([[1, 2, 0],
           [0, 1, 2]])
    """
    xp = array_module(w)
    if w.dtype.kind in 'iu':
        integers(4, w=w)
    else:
        floats(4, w=w)
    groups = check_filters(w, groups)
    k, depth, kh, kw = w.shape
    c = depth * groups
    h, wide = extent(shape, c)
    oh, ow = conv_size((h, wide), (kh, kw), stride, pad, dilation)
    if w.size * oh * ow > LARGEST:
        raise ValueError(f'this matrix would have {w.size * oh * ow:.2g} entries, of which '
                         f'{LARGEST:.0e} are allowed: take a smaller image or fewer channels, '
                         f'or use conv2d')
    # im2col of the pixels' own numbers says which pixel lies under each tap; 0 is padding
    numbers = xp.arange(1., c * h * wide + 1).reshape(1, c, h, wide)
    meets, _ = im2col(numbers, (kh, kw), stride, pad, dilation)
    meets = meets.astype('int64').reshape(groups, 1, -1, oh * ow) - 1       # (G, 1, taps, places)
    outputs = xp.arange(k * oh * ow).reshape(groups, k // groups, 1, oh * ow)
    values = w.reshape(groups, k // groups, -1, 1)
    outputs, meets, values = xp.broadcast_arrays(outputs, meets, values)
    real = meets >= 0
    return sparse_module(w).csr_array((values[real], (outputs[real], meets[real])),
                                      shape=(k * oh * ow, c * h * wide))


def keep_matrices(make: F) -> F:
    """Make each matrix for NumPy once: to make it takes longer than to multiply by it.

    On a GPU none is kept, as there may be several.
    """
    make_once = lru_cache(maxsize=100)(make)

    @wraps(make)
    def find(xp: Any, *args: Any) -> Any:
        return make_once(xp, *args) if xp is np else make(xp, *args)
    return cast(F, find)


@accelerated
def separable(x: Array, rows: Any, columns: Any) -> tuple[Array, Cache]:
    """y = rows · x · columnsᵀ on every plane.

    x (N, C, H, W), sparse rows (OH, H), sparse columns (OW, W) -> y (N, C, OH, OW)
    """
    n, c, h, w = x.shape
    oh = rows.shape[0]
    ow = columns.shape[0]
    y = columns @ x.reshape(n * c * h, w).T                                 # (OW, N·C·H)
    y = y.reshape(ow, n * c, h).transpose(2, 1, 0).reshape(h, n * c * ow)
    y = rows @ y                                                            # (OH, N·C·OW)
    y = y.reshape(oh, n * c, ow).transpose(1, 0, 2).reshape(n, c, oh, ow)
    return y, (x.shape, rows, columns)


@backward_of(separable)
def separable_backward(dy: Array, cache: Any) -> tuple[Array, None, None]:
    """dx = rowsᵀ · dy · columns."""
    shape, rows, columns = cache
    check_gradient(dy, (*shape[:2], rows.shape[0], columns.shape[0]), x=rows.data)
    dx, _ = separable(dy, rows.T, columns.T)
    return dx, None, None


def bilinear_1d(ksize: int) -> list[float]:
    """The bilinear kernel along one axis, 1 − |i − centre| / slope.

    >>> bilinear_1d(4)
    [0.25, 0.75, 0.75, 0.25]
    """
    centre = (ksize - 1) / 2
    slope = (ksize + 1) // 2
    return [1 - abs(i - centre) / slope for i in range(ksize)]


@accelerated
def upsample(x: Array, factor: Pair, ksize: Pair | None = None, pad: Pair = 0,
             ) -> tuple[Array, Cache]:
    """y = Mᵀ x, M of the bilinear kernel at stride `factor`: the paper's fixed deconvolution.

    x (N, C, H, W) -> y (N, C, (H−1)·factor + ksize − 2·pad, …)
    ksize is 2·factor or one less; by default the even one for an even factor, else the odd one

    >>> import numpy as np
    >>> y, cache = upsample(np.array([[[[0., 4.]]]]), 2, pad=1)
    >>> y[0, 0]                     # at its edges part of the kernel lies outside the image
    array([[0.  , 0.75, 2.25, 2.25],
           [0.  , 0.75, 2.25, 2.25]])
    """
    xp = floats(4, x=x)
    ksize = bilinear_size(factor, ksize)
    factor = axes(factor, 'factor', 1)
    pad = axes(pad, 'pad')
    size = transposed_size(x.shape[2:], ksize, factor, pad)
    rows, columns = (bilinear_matrix(xp, x.dtype, *axis)
                     for axis in zip(size, factor, ksize, pad))
    return separable(x, rows, columns)


@keep_matrices
def bilinear_matrix(xp: Any, dtype: Any, n: int, factor: int, ksize: int, pad: int, start: int = 0,
                    count: int | None = None) -> Any:
    """Of one axis along which `n` pixels are made, of these `count` from `start` on."""
    w = xp.asarray(bilinear_1d(ksize), dtype).reshape(1, 1, ksize, 1)
    matrix = conv_matrix(w, (n, 1), (factor, 1), (pad, 0)).T
    if xp is np:
        matrix = matrix.tocsr()                         # what kernels/cpu reads
    return matrix if count is None else matrix.tocsr()[start:start + count]


@backward_of(upsample)
def upsample_backward(dy: Array, cache: Any) -> tuple[Array]:
    dx, *_ = separable.backward(dy, cache)
    return dx,


@accelerated
def resize(x: Array, size: Pair | None = None, align_corners: bool = False,
           scale: float | Sequence[float] | None = None,
           mode: Literal['bilinear', 'nearest'] = 'bilinear') -> tuple[Array, Cache]:
    """Interpolation to any size, bilinear or by the nearest pixel.

    x (N, C, H, W) -> y (N, C, *size); scale=s in place of size makes ⌊H·s⌋ × ⌊W·s⌋
    The edges of both images coincide, or with align_corners the centres of their corner pixels.
    'nearest' takes pixel ⌊i·H/OH⌋ for row i. Where ⌊H·s⌋ is less than H·s, pixels are still s times
    as many, and the lower and right edge of y end a part of a pixel earlier.

    >>> import numpy as np
    >>> y, cache = resize(np.array([[[[0., 4.]]]]), (1, 3), align_corners=True)
    >>> y[0, 0]
    array([[0., 2., 4.]])
    >>> resize(np.array([[[[0., 4.]]]]), scale=2, mode='nearest')[0][0, 0]
    array([[0., 0., 4., 4.],
           [0., 0., 4., 4.]])
    """
    xp = floats(4, x=x)
    nearest = choice(mode, 'mode', 'bilinear', 'nearest') == 'nearest'
    align_corners = flag(align_corners, 'align_corners')
    if nearest and align_corners:
        raise ValueError("align_corners is for mode='bilinear': a pixel that is copied has no "
                         "place between two others")
    factors: tuple[float, float] | None = None
    if size is not None and scale is None:
        sizes = image_size(*axes(size, 'size', 1))
    elif scale is not None and size is None:
        factors = scales(scale)
        sizes = scaled_size(x.shape[2:], factors)
    else:
        raise TypeError(f'size is {size!r} and scale is {scale!r}: exactly one of them is needed')

    rows, columns = (_resize_matrix(xp, x.dtype, nearest, align_corners, *axis)
                     for axis in zip(x.shape[2:], sizes, factors or (None, None)))
    return separable(x, rows, columns)


@keep_matrices
def _resize_matrix(xp: Any, dtype: Any, nearest: bool, align_corners: bool, n: int, out: int,
                   factor: float | None) -> Any:
    # along an axis whose size stays, pixels stay
    pixels, outputs = (n, out) if factor is None or n == out else (1, factor)
    i = xp.arange(float(out))[:, None]
    if nearest:
        at = i * pixels / outputs + 1e-9                        # 33 / 1.1 is 29.999999999999996
        return sparse_rows(xp, dtype, n, at.astype('int64'), xp.ones((1, 1)))
    if align_corners:
        at = i * ((n - 1) / max(out - 1, 1))
    else:
        at = ((i + .5) * (pixels / outputs) - .5).clip(0, n - 1)
    before_and_after = xp.floor(at) + xp.arange(2)
    weights = 1 - abs(at - before_and_after)
    return sparse_rows(xp, dtype, n, before_and_after.astype('int64'), weights)


@backward_of(resize)
def resize_backward(dy: Array, cache: Any) -> tuple[Array]:
    dx, *_ = separable.backward(dy, cache)
    return dx,


def sparse_rows(xp: Any, dtype: Any, n: int, pixels: Array, weights: Any) -> Any:
    """The matrix of one axis: output i is the sum of weights[i, t] times pixel pixels[i, t].

    pixels (OH, T), those outside 0 … n−1 do not count -> sparse (OH, n)
    """
    outputs = xp.arange(len(pixels))[:, None]
    outputs, pixels, weights = xp.broadcast_arrays(outputs, pixels, weights)
    # a stored 0 would make NaN of a pixel that is not finite
    real = (pixels >= 0) & (pixels < n) & (weights != 0)
    entries = weights[real].astype(dtype), (outputs[real], pixels[real])
    return sparse_module(pixels).csr_array(entries, shape=(len(pixels), n))
