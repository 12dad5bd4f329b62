"""Two ops in one: what a plan (net/plan.py) runs in place of a pair of boxes.

    conv_relu       y = max(conv2d(x, w, b), 0)
    upsample_crop   y = crop(upsample(x))
    join            y = concat(x1, x2, …), of parts that lie in y already

Each is defined by the ops it joins. A kernel saves what lies between them: the product before ReLU
is never written, the pixels that are cut away are never computed, the parts are never copied.
"""
from collections.abc import Sequence
from typing import Any

from ..dispatch import accelerated, backward_of
from ..geometry import axes, bilinear_size, crop_size, transposed_size
from .arguments import Array, Cache, Pair, floats
from .conv import conv2d
from .matrix import bilinear_matrix, separable
from .pointwise import relu
from .shape import concat


@accelerated
def conv_relu(x: Array, w: Array, b: Array | None = None, stride: Pair = 1, pad: Pair = 0,
              dilation: Pair = 1, groups: int = 1, out: Array | None = None,
              ) -> tuple[Array, Cache]:
    """y = max(conv2d(x, w, b), 0), in the memory of `out` where that is given.

    x (N, C, H, W), w (K, C/groups, kh, kw), b (K,), out (N, K, OH, OW) -> y (N, K, OH, OW)
    """
    y, cache = conv2d(x, w, b, stride=stride, pad=pad, dilation=dilation, groups=groups)
    y, _ = relu(y, overwrite=True)
    if out is not None:
        out[...] = y
        y = out
    return y, (cache, y)


@backward_of(conv_relu)
@accelerated
def conv_relu_backward(dy: Array, cache: Any, want: Sequence[bool] | None = None,
                       ) -> tuple[Array | None, ...]:
    conv_cache, y = cache
    dy, = relu.backward(dy, (y,))
    return conv2d.backward(dy, conv_cache, want)


@accelerated
def upsample_crop(x: Array, factor: Pair, size: Pair, offset: Pair = 0, ksize: Pair | None = None,
                  pad: Pair = 0) -> tuple[Array, Cache]:
    """The part of upsample(x, factor, ksize, pad) that crop(·, size, offset) takes.

    x (N, C, H, W) -> y (N, C, *size)
    The matrices of upsampling lose the rows of the pixels that are cut away.
    """
    xp = floats(4, x=x)
    ksize = bilinear_size(factor, ksize)
    factor = axes(factor, 'factor', 1)
    pad = axes(pad, 'pad')
    whole = transposed_size(x.shape[2:], ksize, factor, pad)
    size = crop_size(whole, size, offset)
    rows, columns = (bilinear_matrix(xp, x.dtype, *axis)
                     for axis in zip(whole, factor, ksize, pad, axes(offset, 'offset'), size))
    return separable(x, rows, columns)


@backward_of(upsample_crop)
def upsample_crop_backward(dy: Array, cache: Any) -> tuple[Array]:
    dx, *_ = separable.backward(dy, cache)
    return dx,


def join(*xs: Array, out: Array | None) -> tuple[Array, Any]:
    """concat of arrays that were written into `out`, side by side; without it they are copied."""
    return concat(*xs) if out is None else (out, [x.shape for x in xs])


@backward_of(join)
def join_backward(dy: Array, cache: Any) -> tuple[Array, ...]:
    return concat.backward(dy, cache)
