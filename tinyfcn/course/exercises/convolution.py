"""L02 to L04: convolution by loops, as columns, and as a matrix."""
import numpy as np

from ... import ops
from .exercise import Exercise, whole


def conv(x, w, b, stride, pad):
    return ops.conv2d(x, w, b, stride, pad)[0]


def strides_forgotten(axis):
    """The windows along one axis stand side by side, as many as there should be."""
    def slip(x, w, b, stride, pad):
        oh, ow = conv(x, w, b, stride, pad).shape[2:]
        y = conv(x, w, b, 1, pad)
        return y[:, :, :oh, ::stride] if axis == 'rows' else y[:, :, ::stride, :ow]
    return slip


def padded_after(x, w, b, stride, pad):
    return conv(np.pad(x, ((0, 0), (0, 0), (0, 2 * pad), (0, 2 * pad))), w, b, stride, 0)


def a_conv(n, c, h, w, k, kh, kw, stride=1, pad=0, at=0):
    return whole(n, c, h, w, at=at), whole(k, c, kh, kw, at=at + 1), whole(k, at=9), stride, pad


CONV2D = Exercise('x w b stride pad', 'y', [
    a_conv(1, 1, 3, 3, 1, 2, 2),
    a_conv(1, 1, 3, 4, 1, 2, 3),
    a_conv(1, 1, 4, 4, 1, 3, 3, pad=1),
    a_conv(1, 1, 5, 5, 1, 2, 2, stride=2),
    a_conv(1, 2, 3, 3, 3, 2, 2),
    a_conv(2, 3, 6, 5, 2, 3, 2, stride=2, pad=1),
], conv, {
    'The kernel is flipped. A convolution of nets does not turn it: w[0, 0] meets the top left '
    'pixel of the window.': lambda x, w, *how: conv(x, w[..., ::-1, ::-1], *how),
    'Rows and columns of the kernel are swapped: w[…, ky, kx] meets row i + ky, column j + kx.':
        lambda x, w, *how: conv(x, w.swapaxes(2, 3), *how),
    'The bias is missing: b[k] is added to every pixel of output channel k.':
        lambda x, w, b, *how: conv(x, w, 0 * b, *how),
    'The bias is added once for every channel that is read: add it once, after the sum.':
        lambda x, w, b, *how: conv(x, w, x.shape[1] * b, *how),
    'Only the last channel is left: sum over the input channels with +=, not =.':
        lambda x, w, *how: conv(x[:, -1:], w[:, -1:], *how),
    'Only the first channel is read: sum over all input channels.':
        lambda x, w, *how: conv(x[:, :1], w[:, :1], *how),
    'The stride is forgotten along the rows: window i begins at row stride·i.':
        strides_forgotten('rows'),
    'The stride is forgotten along the columns: window j begins at column stride·j.':
        strides_forgotten('columns'),
    'The padding is missing: put `pad` zeros on all four sides first.':
        lambda x, w, b, stride, pad: conv(x, w, b, stride, 0),
    'All the padding lies below and at the right: half of it belongs above and at the left.':
        padded_after,
})


def columns(x, ksize, stride, pad):
    return ops.im2col(x, ksize, stride, pad)[0]


def taps_first(x, ksize, stride, pad):
    cols, c = columns(x, ksize, stride, pad), x.shape[1]
    return cols.reshape(len(x), c, ksize[0] * ksize[1], -1).swapaxes(1, 2).reshape(cols.shape)


def taps_swapped(x, ksize, stride, pad):
    cols = columns(x, ksize, stride, pad)
    return cols.reshape(len(x), x.shape[1], *ksize, -1).swapaxes(2, 3).reshape(cols.shape)


def down_first(x, ksize, stride, pad):
    cols = columns(x, ksize, stride, pad)
    size = ops.conv2d(x, np.ones((1, x.shape[1], *ksize)), None, stride, pad)[0].shape[2:]
    return cols.reshape(len(x), -1, *size).swapaxes(2, 3).reshape(cols.shape)


IM2COL = Exercise('x ksize stride pad', 'cols', [
    (whole(1, 1, 3, 3), (2, 2), 1, 0),
    (whole(1, 1, 3, 4), (2, 3), 1, 0),
    (whole(1, 2, 3, 3), (2, 2), 1, 0),
    (whole(1, 1, 3, 3), (2, 2), 1, 1),
    (whole(1, 1, 4, 5), (2, 2), 2, 0),
    (whole(2, 3, 5, 6), (3, 2), 2, 1),
], columns, {
    'The taps come before the channels: the rows of cols are ordered channel by channel, and '
    'within a channel tap by tap, as w.reshape(K, -1) is.': taps_first,
    'ky and kx are swapped: within a channel the taps go row by row, (ky, kx) is row ky·kw + kx.':
        taps_swapped,
    'The windows go down the columns first: window (i, j) is column i·OW + j.': down_first,
    'A window is a column here and a row in yours: swap the last two axes.':
        lambda *case: columns(*case).swapaxes(1, 2),
    'The stride is forgotten along the columns of the image.':
        lambda x, ksize, stride, pad: columns(x, ksize, (stride, 1), pad),
    'The stride is forgotten along the rows of the image.':
        lambda x, ksize, stride, pad: columns(x, ksize, (1, stride), pad),
    'The padding is missing: put `pad` zeros on all four sides first.':
        lambda x, ksize, stride, pad: columns(x, ksize, stride, 0),
})


def matrix(w, size, stride, pad):
    return ops.conv_matrix(w, size, stride, pad).toarray()


def parted(w, size, stride, pad):
    """The matrix with every axis for itself: K, OH, OW, C, H, W."""
    image = np.zeros((1, w.shape[1], *size))
    made = conv(image, w.astype('float64'), None, stride, pad).shape[2:]
    return matrix(w, size, stride, pad).reshape(len(w), *made, w.shape[1], *size)


def reordered(*axes):
    def slip(*case):
        return parted(*case).transpose(axes).reshape(matrix(*case).shape)
    return slip


def around(w, size, stride, pad):
    """A tap in the padding has a negative index, by which Python counts from the end."""
    blocks = 0 * parted(w, size, stride, pad)
    for k, i, j, c, ky, kx in np.ndindex(*blocks.shape[:4], *w.shape[2:]):
        row, column = stride * i + ky - pad, stride * j + kx - pad
        if row < size[0] and column < size[1]:
            blocks[k, i, j, c, row, column] += w[k, c, ky, kx]
    return blocks.reshape(matrix(w, size, stride, pad).shape)


def strided_as(pick):
    """The stride along one axis alone, in a matrix that is as high as it should be."""
    def slip(w, size, stride, pad):
        k, oh, ow, *image = parted(w, size, stride, pad).shape
        whole_matrix = parted(w, size, 1, pad)
        rows, cols = pick(stride)
        blocks = whole_matrix[:, :(oh - 1) * rows + 1:rows, :(ow - 1) * cols + 1:cols]
        return blocks.reshape(k * oh * ow, -1)
    return slip


CONV_MATRIX = Exercise('w size stride pad', 'M', [
    (whole(1, 1, 2, 2), (3, 3), 1, 0),
    (whole(1, 1, 2, 3), (3, 4), 1, 0),
    (whole(1, 1, 2, 2), (4, 5), 2, 0),
    (whole(1, 1, 3, 3), (3, 3), 1, 1),
    (whole(2, 3, 2, 2), (3, 4), 1, 0),
    (whole(2, 2, 3, 2), (5, 4), 2, 1),
], matrix, {
    'This is Mᵀ: an output is a row of M, a pixel of the image a column.':
        lambda *case: matrix(*case).T,
    'The kernel is flipped: w[…, 0, 0] stands at the top left pixel of the window.':
        lambda w, *how: matrix(w[..., ::-1, ::-1], *how),
    'ky and kx are swapped: w[…, ky, kx] stands at row i + ky, column j + kx of the image.':
        lambda w, *how: matrix(w.swapaxes(2, 3), *how),
    'The outputs are ordered with the channels last: row k·OH·OW + i·OW + j is output (k, i, j).':
        reordered(1, 2, 0, 3, 4, 5),
    'The pixels are ordered with the channels last: column c·H·W + row·W + column is a pixel.':
        reordered(0, 1, 2, 4, 5, 3),
    'A tap in the padding has got an index below 0, by which Python counts from the end: it meets '
    'a zero, so leave it out.': around,
    'The stride is forgotten along the columns: output (i, j) begins at column stride·j − pad.':
        strided_as(lambda stride: (stride, 1)),
    'The stride is forgotten along the rows: output (i, j) begins at row stride·i − pad.':
        strided_as(lambda stride: (1, stride)),
})

EXERCISES = dict(conv2d=CONV2D, im2col=IM2COL, conv_matrix=CONV_MATRIX)
