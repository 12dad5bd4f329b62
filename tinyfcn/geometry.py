"""Where windows fall: sizes of outputs, and the place of every box over the image in exact fractions."""
from fractions import Fraction
from math import gcd
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


def extent(shape, channels=None):
    """The (H, W) of an image's shape, whose leading axes may be left off; `channels`, where given, must agree."""
    if not 2 <= len(shape) <= 4:
        raise ValueError(f'{tuple(shape)} is not the shape of an image: (H, W), (C, H, W) or (N, C, H, W)')
    if channels is not None and len(shape) > 2 and shape[-3] != channels:
        raise ValueError(f'the shape {tuple(shape)} has {shape[-3]} channels where {channels} are needed')
    return axes(shape[-2:], 'the image size', 1)


def conv_size(size, ksize, stride=1, pad=0, dilation=1):
    """floor((H + 2·pad − dilation·(k−1) − 1) / stride) + 1, for both axes."""
    ksize, stride, dilation = axes(ksize, 'ksize', 1), axes(stride, 'stride', 1), axes(dilation, 'dilation', 1)
    pad = axes(pad, 'pad')
    reach = [d * (k - 1) + 1 for k, d in zip(ksize, dilation)]
    if any(r > n + 2 * p for n, r, p in zip(size, reach, pad)):
        raise ValueError(f'a window of {reach[0]}×{reach[1]} does not fit into an image of {size[0]}×{size[1]} '
                         f'padded by {pad[0]}×{pad[1]}')
    return tuple((n + 2 * p - r) // s + 1 for n, r, s, p in zip(size, reach, stride, pad))


def leftover(size, ksize, stride=1, pad=0, dilation=1):
    """(H + 2·pad − dilation·(k−1) − 1) mod stride: the last rows and columns, which conv_size rounds away."""
    ksize, stride, dilation = axes(ksize, 'ksize', 1), axes(stride, 'stride', 1), axes(dilation, 'dilation', 1)
    return tuple((n + 2 * p - d * (k - 1) - 1) % s
                 for n, k, s, p, d in zip(size, ksize, stride, axes(pad, 'pad'), dilation))


def transposed_size(size, ksize, stride=1, pad=0, dilation=1, output_padding=0):
    """(H − 1)·stride + dilation·(k−1) + 1 − 2·pad + output_padding: the image that conv_size takes back to H."""
    ksize, stride, dilation = axes(ksize, 'ksize', 1), axes(stride, 'stride', 1), axes(dilation, 'dilation', 1)
    pad, extra = axes(pad, 'pad'), axes(output_padding, 'output_padding')
    if any(e >= s for e, s in zip(extra, stride)):
        raise ValueError(f'output_padding {extra} must be smaller than stride {stride}: no convolution rounds more away')
    out = tuple((n - 1) * s + d * (k - 1) + 1 - 2 * p + e
                for n, k, s, p, d, e in zip(size, ksize, stride, pad, dilation, extra))
    if min(out) < 1:
        raise ValueError(f'pad {pad} leaves nothing of the {out[0] + 2 * pad[0]}×{out[1] + 2 * pad[1]} output')
    return out


def pool_size(size, ksize, stride=None, pad=0, ceil=True):
    """ceil((H + 2·pad − k) / stride) + 1, less a last window that would begin beyond image + left pad (Caffe)."""
    ksize, pad = axes(ksize, 'ksize', 1), axes(pad, 'pad')
    stride = ksize if stride is None else axes(stride, 'stride', 1)
    if any(p >= k for k, p in zip(ksize, pad)):
        raise ValueError(f'pad {pad} must be smaller than ksize {ksize}: a window would lie wholly in the padding')
    if not ceil:
        return conv_size(size, ksize, stride, pad)
    counts = [-((k - n - 2 * p) // s) + 1 for n, k, s, p in zip(size, ksize, stride, pad)]
    out = tuple(c - ((c - 1) * s >= n + p) for c, n, s, p in zip(counts, size, stride, pad))
    if min(out) < 1:
        raise ValueError(f'a window of {ksize[0]}×{ksize[1]} every {stride[0]}×{stride[1]} finds no place in an image '
                         f'of {size[0]}×{size[1]} padded by {pad[0]}×{pad[1]}')
    return out


def tent_size(factor, ksize=None):
    """The window of a bilinear tent that upsamples by `factor`: 2·factor or one less; odd factors take the odd one."""
    factor = axes(factor, 'factor', 1)
    ksize = [2 * f - f % 2 for f in factor] if ksize is None else axes(ksize, 'ksize', 1)
    if any((k + 1) // 2 != f for k, f in zip(ksize, factor)):
        raise ValueError(f'a tent over {tuple(ksize)} does not upsample by {factor}: ksize is 2·factor or 2·factor − 1')
    return tuple(ksize)


class Place:
    """Unit i of a box sits at pixel scale·i + shift of the image and sees `field` pixels; one Fraction per axis."""

    def __init__(self, scale=(1, 1), shift=(0, 0), field=(1, 1)):
        self.scale, self.shift, self.field = (tuple(map(Fraction, v)) for v in (scale, shift, field))

    def __eq__(self, other):
        return isinstance(other, Place) and (self.scale, self.shift) == (other.scale, other.shift)

    def __repr__(self):
        y, x = (f'{float(a):g}·i {"−" if b < 0 else "+"} {abs(float(b)):g}' for a, b in zip(self.scale, self.shift))
        return f'image = {y}' if y == x else f'image = ({y}, {x})'

    def window(self, ksize, stride=1, pad=0, dilation=1):
        """Under a window: the centre of its taps; the field widens by the taps' reach."""
        ksize, stride, pad, dilation = (axes(v, 'geometry') for v in (ksize, stride, pad, dilation))
        reach = [d * (k - 1) for k, d in zip(ksize, dilation)]
        return Place([s * t for s, t in zip(self.scale, stride)],
                     [b + s * (Fraction(r, 2) - p) for b, s, r, p in zip(self.shift, self.scale, reach, pad)],
                     [f + s * r for f, s, r in zip(self.field, self.scale, reach)])

    def transposed(self, ksize, stride=1, pad=0, dilation=1):
        """Under a transposed window: the grid gets finer; an output sees the inputs whose windows reach it."""
        ksize, stride, pad, dilation = (axes(v, 'geometry') for v in (ksize, stride, pad, dilation))
        fine = [s / t for s, t in zip(self.scale, stride)]
        seen = [(-(-k * gcd(t, d) // t) - 1) * d // gcd(t, d) for k, t, d in zip(ksize, stride, dilation)]
        return Place(fine,
                     [b - s * (Fraction(d * (k - 1), 2) - p)
                      for b, s, k, p, d in zip(self.shift, fine, ksize, pad, dilation)],
                     [f + s * n for f, s, n in zip(self.field, self.scale, seen)])

    def moved(self, offset):
        """After cutting `offset` units off the top and left (negative: after padding them on)."""
        offset = [offset, offset] if isinstance(offset, int) else offset
        return Place(self.scale, [b + s * o for b, s, o in zip(self.shift, self.scale, offset)], self.field)

    def offset_of(self, other):
        """How many of this box's units lie before unit 0 of `other`; None where they share no grid."""
        offset = [(b - a) / s for a, b, s in zip(self.shift, other.shift, self.scale)]
        return tuple(offset) if self.scale == other.scale else None


class Nowhere:
    """No place over the image, and why: whatever reads such a box is nowhere too."""

    def __init__(self, why):
        self.why = why

    def __bool__(self):
        return False

    def __repr__(self):
        return f'no place over the image: {self.why}'

    def window(self, *_, **__):
        return self

    transposed = moved = window
