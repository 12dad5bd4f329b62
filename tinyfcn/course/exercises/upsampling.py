"""L07, L08, L11: the convolution's transpose, its bilinear kernel, and what is added to it."""
import numpy as np

from ... import ops
from .exercise import Exercise, whole


def transposed(x, w, stride, pad):
    return ops.conv_transpose2d(x, w, None, stride, pad)[0]


def padded(x, w, stride, pad):
    """Zeros all around, where `pad` rows and columns should have been cut off."""
    return np.pad(transposed(x, w, stride, 0), ((0, 0), (0, 0), (pad, pad), (pad, pad)))


def input_padded(x, w, stride, pad):
    return transposed(np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad))), w, stride, 0)


def cut_at_the_end(x, w, stride, pad):
    h, wide = transposed(x, w, stride, pad).shape[2:]
    return transposed(x, w, stride, 0)[:, :, :h, :wide]


def overwritten(x, w, stride, pad):
    y = 0 * transposed(x, w, stride, 0)
    stamps, (kh, kw) = np.einsum('nchw,ckuv->hwnkuv', x, w), w.shape[2:]
    for i, j in np.ndindex(x.shape[2:]):
        y[:, :, stride * i:stride * i + kh, stride * j:stride * j + kw] = stamps[i, j]
    h, wide = y.shape[2:]
    return y[:, :, pad:h - pad, pad:wide - pad]


def one_stride(x, w, stride, pad):
    """Zeros are put between the rows of x alone."""
    return transposed(x, w, (stride, 1), pad)


def a_transposed(n, c, h, wide, k, kh, kw, stride=1, pad=0, at=0):
    return whole(n, c, h, wide, at=at), whole(c, k, kh, kw, at=at + 1), stride, pad


CONV_TRANSPOSE2D = Exercise('x w stride pad', 'y', [
    a_transposed(1, 1, 2, 2, 1, 2, 2),
    a_transposed(1, 1, 2, 3, 1, 3, 2, stride=2),
    a_transposed(1, 1, 2, 2, 1, 3, 3, pad=1),
    a_transposed(1, 2, 2, 3, 2, 3, 3, stride=2),
    a_transposed(1, 2, 3, 2, 3, 4, 4, stride=2, pad=1),
    a_transposed(2, 3, 3, 4, 2, 3, 4, stride=3, pad=1),
], transposed, {
    'Padding is added: in the transpose it is cut, `pad` rows and columns off all four sides '
    'of y.': padded,
    'x is padded: in the transpose padding is cut, `pad` rows and columns off all four sides of '
    'y.': input_padded,
    'The padding is forgotten: cut `pad` rows and columns off all four sides of y.':
        lambda x, w, stride, pad: transposed(x, w, stride, 0),
    'The padding is cut off below and at the right only: y begins at row and column `pad`.':
        cut_at_the_end,
    'Stamps overlap and add up: +=. With = the last one is left.': overwritten,
    'The kernel is turned: every pixel of x stamps w as it is. Only who puts zeros between the '
    'pixels and slides turns it.':
        lambda x, w, *how: transposed(x, w[..., ::-1, ::-1], *how),
    'ky and kx are swapped: x[i, j] stamps w[ky, kx] onto row stride·i + ky, column stride·j + kx.':
        lambda x, w, *how: transposed(x, w.swapaxes(2, 3), *how),
    'The channels of w are swapped: w is (in, out, kh, kw), that of the convolution whose '
    'transpose this is.': lambda x, w, *how: transposed(x, w.swapaxes(0, 1), *how),
    'The stride is forgotten: the stamp of x[i, j] begins at row stride·i, column stride·j.':
        lambda x, w, stride, pad: transposed(x, w, 1, pad),
    'The stride is forgotten along the columns: the stamp of x[i, j] begins at column stride·j.':
        one_stride,
})


def tent(factor):
    """What one pixel of 1 becomes."""
    return ops.upsample(np.ones((1, 1, 1, 1)), factor, 2 * factor)[0][0, 0]


def slope(centre, width):
    """1 − |i − centre| / width along both axes, for 2·factor taps."""
    def slip(factor):
        i = np.arange(2 * factor)
        w = np.clip(1 - abs(i - centre(factor)) / width(factor), 0, None)
        return np.outer(w, w)
    return slip


BILINEAR = Exercise('factor', 'w', [(2,), (3,), (4,), (8,)], tent, {
    'The centre is a pixel too far: 2·factor taps have their centre between two pixels, at '
    'factor − ½.': slope(lambda f: f, lambda f: f),
    'The centre is half a pixel too early: factor − 1 is that of a kernel of 2·factor − 1 taps; '
    '2·factor taps have theirs at factor − ½.': slope(lambda f: f - 1, lambda f: f),
    'The ends are 0: this tent reaches from the first tap to the last, and aligns corners. It '
    'reaches half a pixel beyond: 1 − |i − centre| / factor.':
        slope(lambda f: f - .5, lambda f: f - .5),
    'The tent is too wide: 1 − |i − centre| / factor.': slope(lambda f: f - .5, lambda f: 2 * f),
    'The kernel sums to 1, and so makes the picture dark: each output meets only one tap in '
    'factor², so it has to sum to factor².': lambda factor: tent(factor) / factor ** 2,
    'The two axes are added: their tents are multiplied, np.outer.':
        lambda factor: np.add.outer(*2 * [tent(factor).sum(0) / factor]) / 2,
    'This repeats every pixel, the nearest one: bilinear falls off with the distance.':
        slope(lambda f: f - .5, lambda f: 1e9),
})


def fuse(coarse, skip, offset):
    up, _ = ops.upsample(coarse, 2)
    return up + ops.crop(skip, up.shape[2:], offset)[0]


def cropped(where):
    """where(free, offset): from which row and column on, of `free` that are too many."""
    def slip(coarse, skip, offset):
        size = ops.upsample(coarse, 2)[0].shape[2:]
        at = [where(n - m, offset) for n, m in zip(skip.shape[2:], size)]
        return fuse(coarse, skip, at)
    return slip


def repeated(coarse, skip, offset):
    up = coarse.repeat(2, 2).repeat(2, 3)
    return up + ops.crop(skip, up.shape[2:], offset)[0]


def joined(coarse, skip, offset):
    up, _ = ops.upsample(coarse, 2)
    return np.concatenate([up, ops.crop(skip, up.shape[2:], offset)[0]], 1)


def a_fusion(n, c, h, w, offset, more, at=0):
    size = [2 * m + 2 + offset + more for m in (h, w)]
    return whole(n, c, h, w, at=at), whole(n, c, *size, at=at + 1), offset


FUSE = Exercise('coarse skip offset', 'y', [
    a_fusion(1, 1, 1, 1, 1, 0),
    a_fusion(1, 1, 1, 2, 0, 2),
    a_fusion(1, 2, 2, 1, 2, 1),
    a_fusion(2, 3, 2, 3, 5, 6),
    a_fusion(1, 2, 3, 2, 9, 8),
], fuse, {
    'The skip is not cut at its offset: y[i, j] = up[i, j] + skip[i + offset, j + offset].':
        cropped(lambda free, offset: 0),
    'The skip is cut from its middle: the grids lie over one another at the offset, which is what '
    'L09 is about.': cropped(lambda free, offset: free // 2),
    'The offset is counted from the end: it is the number of rows above and columns at the left '
    'that are cut off.': cropped(lambda free, offset: free - offset),
    'The skip is cut one row and column too late: unit `offset` of it lies over unit 0.':
        cropped(lambda free, offset: min(free, offset + 1)),
    'Every pixel of coarse is repeated: ops.upsample(coarse, 2) is bilinear, and two rows and '
    'columns larger.': repeated,
    'The two are joined along the channels, as U-Net does: FCN adds them.': joined,
    'Only the cropped skip is left: add it to the upsampled scores.':
        lambda coarse, *skip: fuse(0 * coarse, *skip),
})

EXERCISES = dict(conv_transpose2d=CONV_TRANSPOSE2D, bilinear=BILINEAR, fuse=FUSE)
