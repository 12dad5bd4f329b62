"""Sizes: how many windows fit, and the (H, W) that an op makes of its input's (H, W).

Every `…_size(size, …)` is called by the op when it runs and by the net when it computes sizes only.
"""
from collections.abc import Sequence
from math import floor
from numbers import Real
from operator import index
from typing import Any, TypeAlias

Pair: TypeAlias = int | Sequence[int]       # one number for both axes, or (rows, columns)
Size: TypeAlias = tuple[int, int]           # (rows, columns)

LIMIT = 1 << 31         # of every number here, and of the pixels of an image: one channel is 8 GB


def axes(value: Pair, name: str, least: int = 0) -> Size:
    """An int or a pair of ints -> (along the height, along the width), each at least `least`."""
    if type(value) is int and least <= value < LIMIT:       # a step asks a thousand times
        return value, value
    pair: Any = value if hasattr(value, '__len__') else (value, value)
    try:
        if tuple(map(type, pair)) != (int, int):
            pair = [int(index(v)) for v in pair]
        y, x = pair
    except (TypeError, ValueError):
        raise TypeError(f'{name} is {value!r}: an int or a pair of ints is needed') from None
    if y < least or x < least:
        raise ValueError(f'{name} is {value!r}: it must be at least {least}')
    if y >= LIMIT or x >= LIMIT:
        raise ValueError(f'{name} is {value!r}: it must be less than 2³¹')
    return y, x


def flag(value: bool, name: str) -> bool:
    """True or False, of Python or NumPy, or the integers 1 and 0."""
    if type(value).__name__ not in ('bool', 'bool_', 'int') or value not in (0, 1):
        raise TypeError(f'{name} is {value!r}: True or False is needed')
    return bool(value)


def integer(value: int, name: str) -> int:
    """Any integer, of Python or NumPy."""
    try:
        return int(index(value))
    except TypeError:
        raise TypeError(f'{name} is {value!r}: an integer is needed') from None


def count(value: int, name: str) -> int:
    """An integer, 1 or more."""
    value = integer(value, name)
    if value < 1:
        raise ValueError(f'{name} is {value}: it must be at least 1')
    if value >= LIMIT:
        raise ValueError(f'{name} is {value}: it must be less than 2³¹')
    return value


def image_size(rows: int, columns: int) -> Size:
    """(rows, columns) of an image that an op would make; refused before any memory is asked for."""
    if rows * columns >= LIMIT:
        raise ValueError(f'the result would have {rows}×{columns} pixels, {rows * columns:.2g}: '
                         f'fewer than 2³¹ are allowed')
    return rows, columns


def extent(shape: Any, channels: int, batch: int | None = None) -> Size:
    """The (H, W) at the end of an image's shape; channels and batch size, if given, must agree."""
    if not hasattr(shape, '__len__'):
        raise TypeError(f'{shape!r} is not the shape of an image, such as (H, W)')
    if not 2 <= len(shape) <= 4:
        raise ValueError(f'{tuple(shape)} is not the shape of an image: (H, W), (C, H, W) or '
                         f'(N, C, H, W)')
    *leading, h, w = shape
    for name, given, actual in zip(('channels', 'images'), leading[::-1], (channels, batch)):
        if actual not in (None, given):
            raise ValueError(f'the shape {tuple(shape)} has {given} {name}; the array has {actual}')
    return axes((h, w), 'the size of the image', 1)


def window(ksize: Pair, stride: Pair, pad: Pair, dilation: Pair = 1,
           ) -> tuple[Size, Size, Size, Size]:
    """The four numbers of a window, each for both axes."""
    return (axes(ksize, 'ksize', 1), axes(stride, 'stride', 1), axes(pad, 'pad'),
            axes(dilation, 'dilation', 1))


def _reach(ksize: Size, dilation: Size) -> Size:
    """How many pixels a window spans, with its gaps."""
    rows, columns = (d * (k - 1) + 1 for k, d in zip(ksize, dilation))
    return rows, columns


def conv_size(size: Sequence[int], ksize: Pair, stride: Pair = 1, pad: Pair = 0,
              dilation: Pair = 1) -> Size:
    """⌊(H + 2·pad − dilation·(k−1) − 1) / stride⌋ + 1, for both axes."""
    ksize, stride, pad, dilation = window(ksize, stride, pad, dilation)
    reach = _reach(ksize, dilation)
    if any(r > n + 2 * p for n, r, p in zip(size, reach, pad)):
        raise ValueError(f'a window of {reach[0]}×{reach[1]} does not fit into an image of '
                         f'{size[0]}×{size[1]} padded by {pad[0]}×{pad[1]}')
    return image_size(*((n + 2 * p - r) // s + 1
                        for n, r, s, p in zip(size, reach, stride, pad)))


def leftover(size: Sequence[int], ksize: Pair, stride: Pair = 1, pad: Pair = 0,
             dilation: Pair = 1) -> Size:
    """The remainder of that division: how many last rows and columns no window reaches."""
    ksize, stride, pad, dilation = window(ksize, stride, pad, dilation)
    rows, columns = ((n + 2 * p - d * (k - 1) - 1) % s
                     for n, k, s, p, d in zip(size, ksize, stride, pad, dilation))
    return rows, columns


def transposed_size(size: Sequence[int], ksize: Pair, stride: Pair = 1, pad: Pair = 0,
                    dilation: Pair = 1, output_padding: Pair = 0) -> Size:
    """(H − 1)·stride + dilation·(k−1) + 1 − 2·pad + output_padding: the inverse of conv_size."""
    ksize, stride, pad, dilation = window(ksize, stride, pad, dilation)
    extra = axes(output_padding, 'output_padding')
    if any(e >= s for e, s in zip(extra, stride)):
        raise ValueError(f'output_padding {extra} must be smaller than stride {stride}, '
                         f'the most that a convolution rounds away')
    whole = [(n - 1) * s + d * (k - 1) + 1 + e
             for n, k, s, d, e in zip(size, ksize, stride, dilation, extra)]
    if any(n <= 2 * p for n, p in zip(whole, pad)):
        raise ValueError(f'pad {pad} leaves nothing of an output of {whole[0]}×{whole[1]}')
    return image_size(*(n - 2 * p for n, p in zip(whole, pad)))


def pool_size(size: Sequence[int], ksize: Pair, stride: Pair | None = None, pad: Pair = 0,
              ceil: bool = True, dilation: Pair = 1) -> Size:
    """⌈(H + 2·pad − r) / stride⌉ + 1, less a window that would begin beyond image and left pad.

    r = dilation·(k−1) + 1 is what a window reaches over. This is Caffe's rule. ceil=False rounds
    down.
    """
    ksize, stride, pad, dilation = window(ksize, ksize if stride is None else stride, pad, dilation)
    reach = _reach(ksize, dilation)
    if any(p >= r for r, p in zip(reach, pad)):
        raise ValueError(f'pad {pad} must be smaller than ksize {ksize}: '
                         f'a window would lie entirely in the padding')
    if flag(ceil, 'ceil'):
        counts = [-((r - n - 2 * p) // s) + 1 for n, r, s, p in zip(size, reach, stride, pad)]
        rows, columns = (c - ((c - 1) * s >= n + p)
                         for c, n, s, p in zip(counts, size, stride, pad))
    else:
        rows, columns = conv_size(size, ksize, stride, pad, dilation)
    if min(rows, columns) < 1:
        raise ValueError(f'a window of {reach[0]}×{reach[1]} with stride {stride[0]}×{stride[1]} '
                         f'does not fit into an image of {size[0]}×{size[1]} '
                         f'padded by {pad[0]}×{pad[1]}')
    if any(map(_misses_the_image, size, (rows, columns), ksize, stride, pad, dilation)):
        raise ValueError(f'with dilation {dilation} and pad {pad} a window of {ksize} reads no '
                         f'pixel of an image of {size[0]}×{size[1]}')
    return image_size(rows, columns)


def is_dense(dilation: Pair) -> bool:
    """Whether a window with this dilation has no gaps."""
    return axes(dilation, 'dilation', 1) == (1, 1)


def useful_taps(n: int, ksize: int, pad: int, dilation: int = 1) -> int:
    """How many of a window's taps can lie inside n pixels; all later ones lie behind them."""
    return min(ksize, (n - 1 + pad) // dilation + 1)


def _misses_the_image(n: int, out: int, k: int, s: int, p: int, d: int) -> bool:
    """Whether all taps of a window lie in the padding, on both sides of n pixels."""
    if d == 1:
        return False                                # a window without gaps reads the first pixel
    starts = range(-p, min(0, out * s - p), s)      # windows that begin in the padding
    first_taps = ((start, -(start // d)) for start in starts)       # at pixel 0 or just behind it
    return any(tap >= k or start + d * tap >= n for start, tap in first_taps)


def bilinear_size(factor: Pair, ksize: Pair | None = None) -> Size:
    """The size of the bilinear kernel that upsamples by `factor`: 2·factor or one less.

    By default an odd factor takes the odd size, as in the authors' surgery.py.
    """
    factor = axes(factor, 'factor', 1)
    ksize = axes([2 * f - f % 2 for f in factor] if ksize is None else ksize, 'ksize', 1)
    if any((k + 1) // 2 != f for k, f in zip(ksize, factor)):
        raise ValueError(f'a bilinear kernel of {ksize} does not upsample by {factor}: '
                         f'ksize is 2·factor or 2·factor − 1')
    return ksize


def crop_size(size: Sequence[int], like: Pair, offset: Pair = 0) -> Size:
    """(H, W) of `like`, which must lie within size, beginning at offset."""
    h, w = axes(like, 'size', 1)
    top, left = axes(offset, 'offset')
    if top + h > size[0] or left + w > size[1]:
        raise ValueError(f'{h}×{w} at offset ({top}, {left}) does not fit into '
                         f'{size[0]}×{size[1]}: a crop may not reach outside')
    return h, w


def pad_size(size: Size, before: Size, after: Size) -> Size:
    """before + H + after."""
    return image_size(*(n + a + b for n, a, b in zip(size, before, after)))


def scales(scale: float | Sequence[float]) -> tuple[float, float]:
    """A number or a pair of numbers -> by how much the height and the width grow."""
    pair: Any = scale if hasattr(scale, '__len__') else (scale, scale)
    if len(pair) != 2 or not all(isinstance(s, Real) for s in pair):
        raise TypeError(f'scale is {scale!r}: a number or a pair of numbers is needed')
    if not all(0 < s < LIMIT for s in pair):
        raise ValueError(f'scale is {scale!r}: it must be more than 0 and less than 2³¹')
    return float(pair[0]), float(pair[1])


def scaled_size(size: Sequence[int], scale: tuple[float, float]) -> Size:
    """⌊H · scale⌋ and ⌊W · scale⌋."""
    rows, columns = (floor(n * s) for n, s in zip(size, scale))
    if not rows * columns:
        raise ValueError(f'scale {scale} leaves nothing of an image of {size[0]}×{size[1]}')
    return image_size(rows, columns)


def same_size(size: Size, *others: Size) -> Size:
    """The (H, W) that all inputs have; refused where they differ."""
    for other in others:
        if other != size:
            raise ValueError(f'{other[0]}×{other[1]} and {size[0]}×{size[1]} differ: crop one of '
                             f'them')
    return size


def last_size(*sizes: Size) -> Size:
    """The (H, W) of the last input: the box that `like` names."""
    return sizes[-1]


def given_size(*_: Size, size: Size) -> Size:
    """A fixed (H, W), whatever the input."""
    return size
