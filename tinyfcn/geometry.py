"""Sizes: how many windows fit, and what becomes of (H, W) on its way through an op.

Every `…_size(size, …)` is asked twice, by the op that computes and by the net that only counts.
"""
from operator import index


def axes(value, name, least=0):
    """An int or a pair of ints -> (along the height, along the width), each at least `least`."""
    try:
        y, x = (index(v) for v in (value if hasattr(value, '__len__') else (value, value)))
    except (TypeError, ValueError):
        raise TypeError(f'{name} is {value!r}: an int or a pair of ints is needed') from None
    if min(y, x) < least:
        raise ValueError(f'{name} is {value!r}: it must be at least {least}')
    return y, x


def count(value, name):
    """A whole number, 1 or more."""
    try:
        value = index(value)
    except TypeError:
        raise TypeError(f'{name} is {value!r}: a whole number is needed') from None
    if value < 1:
        raise ValueError(f'{name} is {value}: it must be at least 1')
    return value


def extent(shape, channels, pictures=None):
    """The (H, W) at the end of an image's shape; channels and pictures, if it has them, agree."""
    if not hasattr(shape, '__len__'):
        raise TypeError(f'{shape!r} is no shape of an image, such as (H, W)')
    if not 2 <= len(shape) <= 4:
        raise ValueError(f'{tuple(shape)} is no shape of an image: (H, W), (C, H, W), (N, C, H, W)')
    *leading, h, w = shape
    for what, said, have in zip(('channels', 'pictures'), leading[::-1], (channels, pictures)):
        if have not in (None, said):
            raise ValueError(f'the shape {tuple(shape)} has {said} {what}; {have} are there')
    return axes((h, w), 'the size of the image', 1)


def window(ksize, stride, pad, dilation=1):
    """The four numbers of a window, each for both axes."""
    return (axes(ksize, 'ksize', 1), axes(stride, 'stride', 1), axes(pad, 'pad'),
            axes(dilation, 'dilation', 1))


def conv_size(size, ksize, stride=1, pad=0, dilation=1):
    """⌊(H + 2·pad − dilation·(k−1) − 1) / stride⌋ + 1, for both axes."""
    ksize, stride, pad, dilation = window(ksize, stride, pad, dilation)
    reach = [d * (k - 1) + 1 for k, d in zip(ksize, dilation)]
    if any(r > n + 2 * p for n, r, p in zip(size, reach, pad)):
        raise ValueError(f'a window of {reach[0]}×{reach[1]} does not fit into an image of '
                         f'{size[0]}×{size[1]} padded by {pad[0]}×{pad[1]}')
    return tuple((n + 2 * p - r) // s + 1 for n, r, s, p in zip(size, reach, stride, pad))


def leftover(size, ksize, stride=1, pad=0, dilation=1):
    """The remainder of that division: the last rows and columns, which no window reaches."""
    ksize, stride, pad, dilation = window(ksize, stride, pad, dilation)
    return tuple((n + 2 * p - d * (k - 1) - 1) % s
                 for n, k, s, p, d in zip(size, ksize, stride, pad, dilation))


def transposed_size(size, ksize, stride=1, pad=0, dilation=1, output_padding=0):
    """(H − 1)·stride + dilation·(k−1) + 1 − 2·pad + output_padding: what conv_size takes to H."""
    ksize, stride, pad, dilation = window(ksize, stride, pad, dilation)
    extra = axes(output_padding, 'output_padding')
    if any(e >= s for e, s in zip(extra, stride)):
        raise ValueError(f'output_padding {extra} must be smaller than stride {stride}: '
                         f'a convolution rounds no more away')
    whole = [(n - 1) * s + d * (k - 1) + 1 + e
             for n, k, s, d, e in zip(size, ksize, stride, dilation, extra)]
    if any(n <= 2 * p for n, p in zip(whole, pad)):
        raise ValueError(f'pad {pad} leaves nothing of an output of {whole[0]}×{whole[1]}')
    return tuple(n - 2 * p for n, p in zip(whole, pad))


def pool_size(size, ksize, stride=None, pad=0, ceil=True):
    """⌈(H + 2·pad − k) / stride⌉ + 1, less a window that would begin beyond image and left pad.

    This is Caffe's rule. ceil=False rounds down.
    """
    ksize, stride, pad, _ = window(ksize, ksize if stride is None else stride, pad)
    if any(p >= k for k, p in zip(ksize, pad)):
        raise ValueError(f'pad {pad} must be smaller than ksize {ksize}: '
                         f'a window would lie wholly in the padding')
    if not ceil:
        return conv_size(size, ksize, stride, pad)
    counts = [-((k - n - 2 * p) // s) + 1 for n, k, s, p in zip(size, ksize, stride, pad)]
    out = tuple(c - ((c - 1) * s >= n + p) for c, n, s, p in zip(counts, size, stride, pad))
    if min(out) < 1:
        raise ValueError(f'a window of {ksize[0]}×{ksize[1]} every {stride[0]}×{stride[1]} pixels '
                         f'finds no place in an image of {size[0]}×{size[1]} '
                         f'padded by {pad[0]}×{pad[1]}')
    return out


def bilinear_size(factor, ksize=None):
    """The window of the bilinear tent that upsamples by `factor`: 2·factor, or one less.

    Odd factors take the odd window unless told, as Caffe's surgery does.
    """
    factor = axes(factor, 'factor', 1)
    ksize = axes([2 * f - f % 2 for f in factor] if ksize is None else ksize, 'ksize', 1)
    if any((k + 1) // 2 != f for k, f in zip(ksize, factor)):
        raise ValueError(f'a tent of {ksize} does not upsample by {factor}: '
                         f'ksize is 2·factor or 2·factor − 1')
    return ksize


def crop_size(size, like, offset=0):
    """(H, W) of `like`, which must lie within size, beginning at offset."""
    (h, w), (top, left) = axes(like, 'size', 1), axes(offset, 'offset')
    if top + h > size[0] or left + w > size[1]:
        raise ValueError(f'{h}×{w} at offset ({top}, {left}) does not fit into '
                         f'{size[0]}×{size[1]}: a crop never reaches outside')
    return h, w


def pad_size(size, before, after):
    """before + H + after."""
    return tuple(n + a + b for n, a, b in zip(size, before, after))


def same_size(size, *others):
    """(H, W), one for all."""
    for other in others:
        if other != size:
            raise ValueError(f'{other[0]}×{other[1]} beside {size[0]}×{size[1]}: crop one of them')
    return size


def last_size(*sizes):
    """(H, W) of the last: of what a box is made like."""
    return sizes[-1]


def given_size(*_, size):
    """(H, W) whatever came."""
    return size
