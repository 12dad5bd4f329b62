"""L02 to L04: convolution by loops, by im2col, and as a matrix."""
import numpy as np

from ... import ops
from ...geometry import conv_size
from .exercise import Exercise, integers


def conv(x, w, b, stride, pad):
    return ops.conv2d(x, w, b, stride, pad)[0]


def forget_stride(axis):
    """Stride 1 along one axis, and as many windows as there should be."""
    def mistake(x, w, b, stride, pad):
        oh, ow = conv(x, w, b, stride, pad).shape[2:]
        y = conv(x, w, b, 1, pad)
        return y[:, :, :oh, ::stride] if axis == 'rows' else y[:, :, ::stride, :ow]
    return mistake


def forget_both_strides(x, w, b, stride, pad):
    oh, ow = conv(x, w, b, stride, pad).shape[2:]
    return conv(x, w, b, 1, pad)[:, :, :oh, :ow]


def square_output(x, w, b, stride, pad):
    """As many columns as rows."""
    y = conv(x, w, b, stride, pad)
    return y[..., :y.shape[2]]


def size_without_padding(x, w, b, stride, pad):
    oh, ow = conv_size(x.shape[2:], w.shape[2:], stride, 0)
    return conv(x, w, b, stride, pad)[:, :, :oh, :ow]


def pad_bottom_right(x, w, b, stride, pad):
    return conv(np.pad(x, ((0, 0), (0, 0), (0, 2 * pad), (0, 2 * pad))), w, b, stride, 0)


def pad_all_axes(x, w, b, stride, pad):
    """Image 0 and channel 0 are zeros then, for loops over the numbers of images and channels."""
    padded = np.pad(x, pad)[:x.shape[0], :x.shape[1]]
    return conv(padded, w, b, stride, 0)


def multiply_padded_channels(x, w, b, stride, pad):
    n = len(x)
    k, _, kh, kw = w.shape
    oh, ow = conv(x, w, b, stride, pad).shape[2:]
    x = np.pad(x, pad)
    y = np.empty((n, k, oh, ow))
    for i, j in np.ndindex(oh, ow):
        window = x[:, :, stride * i:stride * i + kh, stride * j:stride * j + kw]
        y[:, :, i, j] = window.reshape(n, -1) @ w.reshape(k, -1).T + b
    return y


def sum_over_images(x, w, b, stride, pad):
    y = conv(x, w, 0 * b, stride, pad).sum(0, keepdims=True) + b[:, None, None]
    return np.repeat(y, len(x), 0)


def conv_case(n, c, h, w, k, kh, kw, stride=1, pad=0, seed=0):
    x = integers(n, c, h, w, seed=seed)
    weights = integers(k, c, kh, kw, seed=seed + 1)
    bias = integers(k, seed=9)
    return x, weights, bias, stride, pad


CONV2D = Exercise(inputs='x w b stride pad', outputs='y', cases=[
    conv_case(1, 1, 3, 3, 1, 2, 2),
    conv_case(1, 1, 3, 5, 1, 2, 3),
    conv_case(1, 1, 4, 4, 1, 3, 3, pad=1),
    conv_case(1, 1, 5, 5, 1, 2, 2, stride=2),
    conv_case(1, 2, 3, 3, 3, 2, 2),
    conv_case(2, 1, 3, 3, 1, 2, 2),
    conv_case(2, 3, 6, 5, 2, 3, 2, stride=2, pad=1),
], solution=conv, mistakes={
    'The kernel is flipped. Convolution in neural nets does not flip it: w[0, 0] is '
    'multiplied by the top left pixel of the window.':
        lambda x, w, *args: conv(x, w[..., ::-1, ::-1], *args),
    'Rows and columns of the kernel are swapped. w[…, ky, kx] is multiplied by row i + ky, '
    'column j + kx.': lambda x, w, *args: conv(x, w.swapaxes(2, 3), *args),
    'The bias is missing. Add b[k] to every pixel of output channel k.':
        lambda x, w, b, *args: conv(x, w, 0 * b, *args),
    'The bias is added once for each input channel. Add it only once, after the sum over the '
    'channels.': lambda x, w, b, *args: conv(x, w, x.shape[1] * b, *args),
    'Only the last input channel is left in y. Sum over the input channels with +=, not =.':
        lambda x, w, *args: conv(x[:, -1:], w[:, -1:], *args),
    'Only the first input channel is used. Sum over all input channels.':
        lambda x, w, *args: conv(x[:, :1], w[:, :1], *args),
    'The stride is missing along the rows. Window i begins at row stride·i.':
        forget_stride('rows'),
    'The stride is missing along the columns. Window j begins at column stride·j.':
        forget_stride('columns'),
    'The stride is missing. Window (i, j) begins at row stride·i and column stride·j.':
        forget_both_strides,
    'The output has as many columns as rows. Compute OH from H and kh, and OW from W and kw.':
        square_output,
    'OH and OW are too small: the image has 2·pad more rows and columns with its padding. OH is '
    '(H + 2·pad − kh) // stride + 1.': size_without_padding,
    'The padding is missing. First put `pad` zeros on all four sides.':
        lambda x, w, b, stride, pad: conv(x, w, b, stride, 0),
    'All the padding is at the bottom and at the right. Half of it belongs at the top and at the '
    'left.': pad_bottom_right,
    'np.pad(x, pad) pads all four axes, also images and channels. Pad the last two: '
    'np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad))).': pad_all_axes,
    'np.pad(x, pad) has padded the channels, too, and the shapes no longer fit. Pad the last two '
    'axes: np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad))).': multiply_padded_channels,
    'The sum runs over the images, too. Each image has a y of its own: sum over the channels and '
    'the window only.': sum_over_images,
})


def im2col(x, ksize, stride, pad):
    return ops.im2col(x, ksize, stride, pad)[0]


def taps_before_channels(x, ksize, stride, pad):
    cols = im2col(x, ksize, stride, pad)
    c = x.shape[1]
    return cols.reshape(len(x), c, ksize[0] * ksize[1], -1).swapaxes(1, 2).reshape(cols.shape)


def swap_taps(x, ksize, stride, pad):
    cols = im2col(x, ksize, stride, pad)
    return cols.reshape(len(x), x.shape[1], *ksize, -1).swapaxes(2, 3).reshape(cols.shape)


def without_transpose(x, ksize, stride, pad):
    """Windows (N, C, OH, OW, kh, kw), flattened as they are."""
    cols = im2col(x, ksize, stride, pad)
    n, rows, count = cols.shape
    return cols.reshape(n, x.shape[1], -1, count).swapaxes(2, 3).reshape(n, rows, count)


def windows_by_column(x, ksize, stride, pad):
    cols = im2col(x, ksize, stride, pad)
    size = ops.conv2d(x, np.ones((1, x.shape[1], *ksize)), None, stride, pad)[0].shape[2:]
    return cols.reshape(len(x), -1, *size).swapaxes(2, 3).reshape(cols.shape)


def miss_last_windows(x, ksize, stride, pad):
    """range(0, H − kh, stride), without the + 1."""
    padded = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    return im2col(padded[:, :, :-1, :-1], ksize, stride, 0)


IM2COL = Exercise(inputs='x ksize stride pad', outputs='cols', cases=[
    (integers(1, 1, 3, 3), (2, 2), 1, 0),
    (integers(1, 1, 3, 4), (2, 3), 1, 0),
    (integers(1, 2, 3, 3), (2, 2), 1, 0),
    (integers(1, 1, 3, 3), (2, 2), 1, 1),
    (integers(1, 1, 4, 5), (2, 2), 2, 0),
    (integers(2, 3, 5, 6), (3, 2), 2, 1),
], solution=im2col, mistakes={
    'The rows of cols are ordered tap by tap. Order them channel by channel, and within a channel '
    'tap by tap, as in w.reshape(K, -1).': taps_before_channels,
    'ky and kx are swapped. Within a channel the taps are in row order: (ky, kx) is row '
    'ky·kw + kx.': swap_taps,
    'The windows are in column order. Window (i, j) is column i·OW + j of cols.':
        windows_by_column,
    'In your answer a window is a row. It should be a column: swap the last two axes.':
        lambda *case: im2col(*case).swapaxes(1, 2),
    'The axis of the images is missing. The shape is (N, C·kh·kw, OH·OW), also for a single image.':
        lambda *case: im2col(*case)[0],
    'Only the first image has columns. cols[n] holds those of image n.':
        lambda x, *args: im2col(x[:1], *args),
    'The last windows are missing. A window has H − kh + 1 positions along H pixels: '
    'range(0, H − kh + 1, stride), with the padding in H.': miss_last_windows,
    'The stride is missing. Windows begin at every `stride`-th row and column.':
        lambda x, ksize, stride, pad: im2col(x, ksize, 1, pad),
    'The stride is missing along the columns of the image.':
        lambda x, ksize, stride, pad: im2col(x, ksize, (stride, 1), pad),
    'The stride is missing along the rows of the image.':
        lambda x, ksize, stride, pad: im2col(x, ksize, (1, stride), pad),
    'The padding is missing. First put `pad` zeros on all four sides.':
        lambda x, ksize, stride, pad: im2col(x, ksize, stride, 0),
    'The windows are flattened in the order (C, OH, OW, kh, kw). Move the taps before the '
    'positions first: windows.transpose(0, 1, 4, 5, 2, 3).': without_transpose,
    'np.pad(x, pad) pads all four axes, also images and channels. Pad the last two: '
    'np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad))).':
        lambda x, ksize, stride, pad: im2col(np.pad(x, pad), ksize, stride, 0),
})


def conv_matrix(w, size, stride, pad):
    return ops.conv_matrix(w, size, stride, pad).toarray()


def as_blocks(w, size, stride, pad):
    """The matrix with separate axes: (K, OH, OW, C, H, W)."""
    image = np.zeros((1, w.shape[1], *size))
    output_size = conv(image, w.astype('float64'), None, stride, pad).shape[2:]
    matrix = conv_matrix(w, size, stride, pad)
    return matrix.reshape(len(w), *output_size, w.shape[1], *size)


def reorder(*axes):
    def mistake(*case):
        return as_blocks(*case).transpose(axes).reshape(conv_matrix(*case).shape)
    return mistake


def wrap_padding(w, size, stride, pad):
    """A tap in the padding has a negative index, which Python counts from the end."""
    blocks = 0 * as_blocks(w, size, stride, pad)
    for k, i, j, c, ky, kx in np.ndindex(*blocks.shape[:4], *w.shape[2:]):
        row = stride * i + ky - pad
        column = stride * j + kx - pad
        if row < size[0] and column < size[1]:
            blocks[k, i, j, c, row, column] += w[k, c, ky, kx]
    return blocks.reshape(conv_matrix(w, size, stride, pad).shape)


def assign_wrapped_padding(w, size, stride, pad):
    """The same with =, so that the last tap of a pixel is left; without a check of the last row."""
    blocks = 0 * as_blocks(w, size, stride, pad)
    for k, i, j, c, ky, kx in np.ndindex(*blocks.shape[:4], *w.shape[2:]):
        row = stride * i + ky - pad
        column = stride * j + kx - pad
        if row < size[0] and column < size[1]:
            blocks[k, i, j, c, row, column] = w[k, c, ky, kx]
    return blocks.reshape(conv_matrix(w, size, stride, pad).shape)


def leave_the_image(w, size, stride, pad):
    """No check at all: an index beyond the last row or column is an error."""
    M = 0 * as_blocks(w, size, stride, pad)
    for i, j, a, b in np.ndindex(*M.shape[1:3], *w.shape[2:]):
        M[:, i, j, :, i * stride + a - pad, j * stride + b - pad] = w[:, :, a, b]
    return M.reshape(conv_matrix(w, size, stride, pad).shape)


def ignore_padding(w, size, stride, pad):
    """Tap a of output i is on row stride·i + a, as if the image began with its padding."""
    blocks = 0 * as_blocks(w, size, stride, pad)
    for i, j, ky, kx in np.ndindex(*blocks.shape[1:3], *w.shape[2:]):
        row = stride * i + ky
        column = stride * j + kx
        if row < size[0] and column < size[1]:
            blocks[:, i, j, :, row, column] = w[:, :, ky, kx]
    return blocks.reshape(conv_matrix(w, size, stride, pad).shape)


def stride_one_axis(steps):
    """The stride along one axis or none, in a matrix of the correct height.

    steps(stride) -> steps along the rows and the columns of the outputs of stride 1
    """
    def mistake(w, size, stride, pad):
        k, oh, ow, *_ = as_blocks(w, size, stride, pad).shape
        row_step, column_step = steps(stride)
        blocks = as_blocks(w, size, 1, pad)
        blocks = blocks[:, :(oh - 1) * row_step + 1:row_step]
        blocks = blocks[:, :, :(ow - 1) * column_step + 1:column_step]
        return blocks.reshape(k * oh * ow, -1)
    return mistake


CONV_MATRIX = Exercise(inputs='w size stride pad', outputs='M', cases=[
    (integers(1, 1, 2, 2), (3, 3), 1, 0),
    (integers(1, 1, 2, 3), (3, 4), 1, 0),
    (integers(1, 1, 2, 2), (4, 5), 2, 0),
    (integers(1, 1, 3, 3), (3, 3), 1, 1),
    (integers(1, 1, 3, 3), (2, 2), 1, 1),
    (integers(2, 3, 2, 2), (3, 4), 1, 0),
    (integers(2, 2, 3, 2), (5, 4), 2, 1),
], solution=conv_matrix, mistakes={
    'This is Mᵀ. An output is a row of M, a pixel of the image is a column.':
        lambda *case: conv_matrix(*case).T,
    'The kernel is flipped. w[…, 0, 0] belongs to the top left pixel of the window.':
        lambda w, *args: conv_matrix(w[..., ::-1, ::-1], *args),
    'ky and kx are swapped. w[…, ky, kx] belongs to row i + ky, column j + kx of the image.':
        lambda w, *args: conv_matrix(w.swapaxes(2, 3), *args),
    'The outputs are ordered with the channels last. Row k·OH·OW + i·OW + j is output (k, i, j).':
        reorder(1, 2, 0, 3, 4, 5),
    'The pixels are ordered with the channels last. Column c·H·W + row·W + column is the pixel '
    '(c, row, column).': reorder(0, 1, 2, 4, 5, 3),
    'A tap in the padding has a negative index, which Python counts from the end. Such a tap is '
    'multiplied by a zero, so leave it out.': wrap_padding,
    'A tap in the padding has a negative index, which Python counts from the end: it overwrites a '
    'weight there. Leave it out: 0 <= row < H and 0 <= column < W.': assign_wrapped_padding,
    'A tap in the padding has no column. Leave it out: 0 <= row < H and 0 <= column < W.':
        leave_the_image,
    'The stride is missing along the columns. Output (i, j) begins at column stride·j − pad.':
        stride_one_axis(lambda stride: (stride, 1)),
    'The stride is missing along the rows. Output (i, j) begins at row stride·i − pad.':
        stride_one_axis(lambda stride: (1, stride)),
    'The stride is missing. Output (i, j) begins at row stride·i − pad, column stride·j − pad.':
        stride_one_axis(lambda stride: (1, 1)),
    'The padding is missing. Tap (ky, kx) of output (i, j) is on row stride·i + ky − pad, column '
    'stride·j + kx − pad.': ignore_padding,
    'M has columns for the padding. It has one for each pixel of the image: C·H·W.':
        lambda w, size, stride, pad: conv_matrix(w, [n + 2 * pad for n in size], stride, 0),
})

EXERCISES = dict(conv2d=CONV2D, im2col=IM2COL, conv_matrix=CONV_MATRIX)
