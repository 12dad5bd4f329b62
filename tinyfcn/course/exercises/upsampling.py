"""L08, L09, L12: transposed convolution, its bilinear kernel, and the fusion with a skip."""
import numpy as np

from ... import ops
from ...ops.matrix import bilinear_1d
from .exercise import Exercise, integers


def conv_transpose2d(x, w, stride, pad):
    return ops.conv_transpose2d(x, w, None, stride, pad)[0]


def add_padding(x, w, stride, pad):
    """Zeros all around, where `pad` rows and columns should be cropped."""
    padding = ((0, 0), (0, 0), (pad, pad), (pad, pad))
    return np.pad(conv_transpose2d(x, w, stride, 0), padding)


def pad_input(x, w, stride, pad):
    padding = ((0, 0), (0, 0), (pad, pad), (pad, pad))
    return conv_transpose2d(np.pad(x, padding), w, stride, 0)


def crop_bottom_right(x, w, stride, pad):
    high, wide = conv_transpose2d(x, w, stride, pad).shape[2:]
    return conv_transpose2d(x, w, stride, 0)[:, :, :high, :wide]


def crop_to_minus_pad(x, w, stride, pad):
    return conv_transpose2d(x, w, stride, 0)[:, :, pad:-pad, pad:-pad]


def overwrite(x, w, stride, pad):
    kh, kw = w.shape[2:]
    y = 0 * conv_transpose2d(x, w, stride, 0)
    scaled_kernels = np.einsum('nchw,ckuv->hwnkuv', x, w)
    for i, j in np.ndindex(x.shape[2:]):
        window = y[:, :, stride * i:stride * i + kh, stride * j:stride * j + kw]
        window[...] = scaled_kernels[i, j]
    high, wide = y.shape[2:]
    return y[:, :, pad:high - pad, pad:wide - pad]


def stride_rows_only(x, w, stride, pad):
    return conv_transpose2d(x, w, (stride, 1), pad)


def windows_side_by_side(x, w, stride, pad):
    """The right size, but the windows are one row and one column apart."""
    y = 0 * conv_transpose2d(x, w, stride, 0)
    together = conv_transpose2d(x, w, 1, 0)
    high, wide = together.shape[2:]
    y[:, :, :high, :wide] = together
    high, wide = y.shape[2:]
    return y[:, :, pad:high - pad, pad:wide - pad]


def transpose_case(n, c, h, wide, k, kh, kw, stride=1, pad=0, seed=0):
    x = integers(n, c, h, wide, seed=seed)
    w = integers(c, k, kh, kw, seed=seed + 1)
    return x, w, stride, pad


CONV_TRANSPOSE2D = Exercise(inputs='x w stride pad', outputs='y', cases=[
    transpose_case(1, 1, 2, 2, 1, 2, 2),
    transpose_case(1, 1, 2, 3, 1, 3, 2, stride=2),
    transpose_case(1, 1, 2, 2, 1, 3, 3, pad=1),
    transpose_case(1, 2, 2, 3, 2, 3, 3, stride=2),
    transpose_case(1, 2, 3, 2, 3, 4, 4, stride=2, pad=1),
    transpose_case(2, 3, 3, 4, 2, 3, 4, stride=3, pad=1),
], solution=conv_transpose2d, mistakes={
    'Padding is added to y. In the transpose it is cropped: `pad` rows and columns on all four '
    'sides of y.': add_padding,
    'x is padded. In the transpose the padding is cropped from y: `pad` rows and columns on all '
    'four sides.': pad_input,
    'The padding is ignored. Crop `pad` rows and columns on all four sides of y.':
        lambda x, w, stride, pad: conv_transpose2d(x, w, stride, 0),
    'y[:, :, pad:-pad, pad:-pad] is empty when pad is 0, for −0 is 0. Crop pad:H − pad and '
    'pad:W − pad.': crop_to_minus_pad,
    'The padding is cropped at the bottom and at the right only. y begins at row and column `pad`.':
        crop_bottom_right,
    'Where windows overlap only the last value is left. Add them up: +=, not =.': overwrite,
    'The kernel is flipped. Every pixel of x adds x·w to y, with w as it is. Only if you put zeros '
    'between the pixels and then convolve is w flipped.':
        lambda x, w, *args: conv_transpose2d(x, w[..., ::-1, ::-1], *args),
    'ky and kx are swapped. x[i, j] adds w[ky, kx] to row stride·i + ky, column stride·j + kx.':
        lambda x, w, *args: conv_transpose2d(x, w.swapaxes(2, 3), *args),
    'The channels of w are swapped. w is (in, out, kh, kw), that of the convolution whose '
    'transpose this is.': lambda x, w, *args: conv_transpose2d(x, w.swapaxes(0, 1), *args),
    'The stride is ignored. The window of x[i, j] in y begins at row stride·i, column stride·j.':
        lambda x, w, stride, pad: conv_transpose2d(x, w, 1, pad),
    'The windows are side by side. The window of x[i, j] in y begins at row stride·i, column '
    'stride·j.': windows_side_by_side,
    'Only the first channel of x is used. Each channel of x has a kernel for each channel of y: '
    'sum over the channels of x.': lambda x, w, *args: conv_transpose2d(x[:, :1], w[:1], *args),
    'The stride is missing along the columns. The window of x[i, j] in y begins at column '
    'stride·j.': stride_rows_only,
})


def bilinear(factor):
    """What upsampling makes of one pixel with the value 1."""
    return ops.upsample(np.ones((1, 1, 1, 1)), factor, 2 * factor)[0][0, 0]


def triangle(centre, width):
    """1 − |i − centre| / width along both axes, for 2·factor taps; functions of factor."""
    def mistake(factor):
        i = np.arange(2 * factor)
        w = np.clip(1 - abs(i - centre(factor)) / width(factor), 0, None)
        return np.outer(w, w)
    return mistake


def add_axes(factor):
    w = bilinear(factor).sum(0) / factor
    return np.add.outer(w, w) / 2


BILINEAR = Exercise(inputs='factor', outputs='w', cases=[(2,), (3,), (4,), (8,)],
                    solution=bilinear, mistakes={
    'The centre is half a pixel too late. 2·factor taps have their centre between two pixels, at '
    'factor − ½.': triangle(lambda f: f, lambda f: f),
    'The centre is half a pixel too early. factor − 1 is the centre of 2·factor − 1 taps; 2·factor '
    'taps have theirs at factor − ½.': triangle(lambda f: f - 1, lambda f: f),
    'The first and the last tap are 0: this kernel is too narrow, and aligns the corners. It '
    'reaches half a pixel further: 1 − |i − centre| / factor.':
        triangle(lambda f: f - .5, lambda f: f - .5),
    'The kernel is too wide: it is 1 − |i − centre| / factor.':
        triangle(lambda f: f - .5, lambda f: 2 * f),
    'The kernel sums to 1, which makes the image dark. Each output uses only one tap in factor², '
    'so the kernel has to sum to factor².': lambda factor: bilinear(factor) / factor ** 2,
    'This is the kernel of odd size, 2·factor − 1, with its centre on a pixel. Here it has '
    '2·factor taps, and the centre is between two of them, at factor − ½.':
        lambda factor: np.outer(bilinear_1d(2 * factor - 1), bilinear_1d(2 * factor - 1)),
    'This is the kernel along one axis. In two dimensions it is the product of two: '
    'np.outer(w, w).': lambda factor: bilinear(factor).sum(0) / factor,
    'The odd numbers still have to be divided, by 2·factor along each axis.':
        lambda factor: bilinear(factor) * (2 * factor) ** 2,
    'The kernels of the two axes are added. Multiply them, with np.outer.': add_axes,
    'This is nearest-neighbour interpolation. A bilinear kernel decreases with the distance.':
        triangle(lambda f: f - .5, lambda f: 1e9),
})


def fuse(coarse, skip, offset):
    up, _ = ops.upsample(coarse, 2)
    return up + ops.crop(skip, up.shape[2:], offset)[0]


def crop_at(offset_rule):
    """offset_rule(free, offset): where to crop, along an axis on which the skip is `free` larger"""
    def mistake(coarse, skip, offset):
        size = ops.upsample(coarse, 2)[0].shape[2:]
        free = [n - m for n, m in zip(skip.shape[2:], size)]
        offsets = [offset_rule(*axis) for axis in zip(free, np.broadcast_to(offset, 2).tolist())]
        return fuse(coarse, skip, offsets)
    return mistake


def first_offset_only(coarse, skip, offset):
    return fuse(coarse, skip, np.ravel(offset)[0].item())


def slice_by_pair(coarse, skip, offset):
    """A slice that begins at a pair is an error."""
    up, _ = ops.upsample(coarse, 2)
    h, w = up.shape[2:]
    return up + skip[:, :, offset:offset + h, offset:offset + w]


def slice_to_end(coarse, skip, offset):
    up, _ = ops.upsample(coarse, 2)
    top, left = np.broadcast_to(offset, 2)
    return up + skip[:, :, top:-top, left:-left]


def crop_upsampled(coarse, skip, offset):
    up, _ = ops.upsample(coarse, 2)
    top, left = np.broadcast_to(offset, 2)
    return up[:, :, top:, left:] + skip


def keep_the_pair(coarse, skip, offset):
    """What ops.upsample returns is taken for the array."""
    up = ops.upsample(coarse, 2)
    return up + ops.crop(skip, up.shape[2:], offset)[0]


def repeat_pixels(coarse, skip, offset):
    up = coarse.repeat(2, 2).repeat(2, 3)
    return up + ops.crop(skip, up.shape[2:], offset)[0]


def concatenate(coarse, skip, offset):
    up, _ = ops.upsample(coarse, 2)
    return np.concatenate([up, ops.crop(skip, up.shape[2:], offset)[0]], 1)


def fuse_case(n, c, h, w, offset, more, seed=0):
    top, left = np.broadcast_to(offset, 2).tolist()
    size = 2 * h + 2 + top + more, 2 * w + 2 + left + more
    return integers(n, c, h, w, seed=seed), integers(n, c, *size, seed=seed + 1), offset


FUSE = Exercise(inputs='coarse skip offset', outputs='y', cases=[
    fuse_case(1, 1, 1, 1, 1, 0),
    fuse_case(1, 1, 1, 2, 0, 2),
    fuse_case(1, 2, 2, 1, 2, 1),
    fuse_case(2, 3, 2, 3, 5, 6),
    fuse_case(1, 2, 3, 2, 9, 8),
    fuse_case(1, 1, 1, 2, (2, 1), 1),
], solution=fuse, mistakes={
    'The skip is not cropped at its offset: y[i, j] = up[i, j] + skip[i + offset, j + offset].':
        crop_at(lambda free, offset: 0),
    'The skip is cropped at its centre. The two grids are aligned at the offset, see lesson 10.':
        crop_at(lambda free, offset: free // 2),
    'The offset is counted from the end. It is the number of rows to crop at the top and of '
    'columns at the left.': crop_at(lambda free, offset: free - offset),
    'The skip is cropped one row and one column too late. Its unit `offset` is aligned with unit '
    '0.': crop_at(lambda free, offset: min(free, offset + 1)),
    'Every pixel of coarse is repeated. ops.upsample(coarse, 2) is bilinear, and gives two more '
    'rows and columns.': repeat_pixels,
    'The two are concatenated, as in U-Net. FCN adds them.': concatenate,
    'The first number of the offset is used for rows and columns. A pair is (rows, columns).':
        first_offset_only,
    'The offset may be a pair (rows, columns), and a pair cannot begin a slice. '
    'np.broadcast_to(offset, 2) gives two numbers for either.': slice_by_pair,
    'ops.upsample returns a pair, as each op does. Take the first of the two: '
    'doubled, _ = ops.upsample(coarse, 2).': keep_the_pair,
    'The cropped skip must be as large as the upsampled scores. A slice that ends at −offset is '
    'not: it ends at offset + h, offset + w.': slice_to_end,
    'The upsampled scores are cropped. Crop the skip: it is the larger one.': crop_upsampled,
    'Only the cropped skip is left. Add the upsampled scores to it.':
        lambda coarse, *args: fuse(0 * coarse, *args),
})

EXERCISES = dict(conv_transpose2d=CONV_TRANSPOSE2D, bilinear=BILINEAR, fuse=FUSE)
