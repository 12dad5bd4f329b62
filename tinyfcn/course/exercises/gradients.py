"""L06, L13: the transpose of im2col, the gradients of a convolution, and those of a whole net."""
from itertools import product

import numpy as np

from ... import layers, ops
from ...geometry import conv_size
from ...net import Net
from .convolution import conv
from .exercise import Exercise, integers


def col2im(cols, size, ksize, stride, pad):
    return ops.col2im(cols, size, ksize, stride, pad)[0]


def keep_padding(cols, size, ksize, stride, pad):
    return col2im(cols, [n + 2 * pad for n in size], ksize, stride, 0)


def overwrite(keep):
    """x[…] = … in place of x[…] += …: where windows overlap, only the last value remains.

    keep: 'last tap' if the outer loop goes over the taps, 'last window' if over the windows
    """
    def mistake(cols, size, ksize, stride, pad):
        h, w = size
        kh, kw = ksize
        n = len(cols)
        c = cols.shape[1] // (kh * kw)
        oh, ow = conv_size(size, ksize, stride, pad)
        taps = np.ndindex(kh, kw)
        windows = np.ndindex(oh, ow)
        if keep == 'last tap':
            pairs = list(product(taps, windows))
        else:
            pairs = [(tap, window) for window, tap in product(windows, taps)]
        x = np.zeros((n, c, h + 2 * pad, w + 2 * pad))
        cols = cols.reshape(n, c, kh, kw, oh, ow)
        for (ky, kx), (i, j) in pairs:
            x[:, :, stride * i + ky, stride * j + kx] = cols[:, :, ky, kx, i, j]
        return x[:, :, pad:pad + h, pad:pad + w]
    return mistake


def crop_to_minus_pad(cols, size, ksize, stride, pad):
    return keep_padding(cols, size, ksize, stride, pad)[:, :, pad:-pad, pad:-pad]


def forget_stride(cols, size, ksize, stride, pad):
    """The right number of windows, but side by side."""
    n = len(cols)
    kh, kw = ksize
    h, w = size
    oh, ow = conv_size(size, ksize, stride, pad)
    cols = cols.reshape(n, -1, kh, kw, oh, ow)
    x = np.zeros((*cols.shape[:2], h + 2 * pad, w + 2 * pad))
    for i, j in np.ndindex(oh, ow):
        x[:, :, i:i + kh, j:j + kw] += cols[..., i, j]
    return x[:, :, pad:pad + h, pad:pad + w]


def average(cols, *args):
    count = col2im(np.ones_like(cols), *args)
    return col2im(cols, *args) / np.maximum(count, 1)


def swap_taps(cols, size, ksize, *args):
    """(N, C·kh·kw, OH·OW), read as (N, C, kw, kh, OH·OW)"""
    kh, kw = ksize
    n, _, count = cols.shape
    swapped = cols.reshape(n, -1, kw, kh, count).swapaxes(2, 3)
    return col2im(swapped.reshape(cols.shape), size, ksize, *args)


def taps_before_channels(cols, size, ksize, *args):
    """(N, C·kh·kw, OH·OW), read as (N, kh·kw, C, OH·OW)"""
    kh, kw = ksize
    n, _, count = cols.shape
    swapped = cols.reshape(n, kh * kw, -1, count).swapaxes(1, 2)
    return col2im(swapped.reshape(cols.shape), size, ksize, *args)


def windows_by_column(cols, size, ksize, stride, pad):
    """(N, C·kh·kw, OH·OW), read as (N, C·kh·kw, OW, OH)"""
    oh, ow = conv_size(size, ksize, stride, pad)
    swapped = cols.reshape(*cols.shape[:2], ow, oh).swapaxes(2, 3)
    return col2im(swapped.reshape(cols.shape), size, ksize, stride, pad)


def positions_before_taps(cols, size, ksize, stride, pad):
    """(N, C·kh·kw, OH·OW), read as (N, C, OH, OW, kh, kw)"""
    n, _, count = cols.shape
    kh, kw = ksize
    moved = cols.reshape(n, -1, count, kh * kw).swapaxes(2, 3)
    return col2im(moved.reshape(cols.shape), size, ksize, stride, pad)


COL2IM = Exercise(inputs='cols size ksize stride pad', outputs='x', cases=[
    (integers(1, 4, 4), (3, 3), (2, 2), 1, 0),
    (integers(1, 6, 4), (3, 4), (2, 3), 1, 0),
    (integers(1, 8, 4), (3, 3), (2, 2), 1, 0),
    (integers(1, 4, 16), (3, 3), (2, 2), 1, 1),
    (integers(1, 9, 6), (5, 7), (3, 3), 2, 0),
    (integers(2, 18, 12), (6, 7), (3, 2), 2, 1),
], solution=col2im, mistakes={
    'Where windows overlap only one value is left, that of the last tap. Add the values of all '
    'windows: +=, not =.': overwrite(keep='last tap'),
    'Where windows overlap only one value is left, that of the last window. Add the values of all '
    'windows: +=, not =.': overwrite(keep='last window'),
    'This is the mean over the windows. Add their values without dividing: im2col reads a pixel '
    'several times, and its transpose adds as often.': average,
    'ky and kx are swapped. Row c·kh·kw + ky·kw + kx of cols is tap (ky, kx).': swap_taps,
    'The rows of cols are read tap by tap. They are ordered channel by channel: row '
    'c·kh·kw + ky·kw + kx belongs to channel c.': taps_before_channels,
    'The windows are read from top to bottom first. Column i·OW + j of cols is window (i, j).':
        windows_by_column,
    'cols is read in the order (N, C, OH, OW, kh, kw). Its rows are the taps and its columns the '
    'windows: reshape it to (N, C, kh, kw, OH, OW).': positions_before_taps,
    'The stride is missing. Window (i, j) begins at row stride·i and column stride·j.':
        forget_stride,
    'The padding is still there. Crop `pad` rows and columns on all four sides.': keep_padding,
    'The padding is cropped at the bottom and at the right only. The image begins at row and '
    'column `pad`.':
        lambda cols, size, *args: keep_padding(cols, size, *args)[:, :, :size[0], :size[1]],
    'x[:, :, pad:-pad, pad:-pad] is empty when pad is 0, for −0 is 0. Crop pad:pad + H and '
    'pad:pad + W.': crop_to_minus_pad,
})


def conv2d_backward(dy, x, w, stride, pad):
    _, cache = ops.conv2d(x, w, np.zeros(len(w)), stride, pad)
    return ops.conv2d.backward(dy, cache)


def change_gradients(change):
    """The mistake that turns the correct gradients into wrong ones.

    change(dx, dw, db, dy, x, w, stride, pad) -> dx, dw, db
    """
    return lambda *case: change(*conv2d_backward(*case), *case)


def flip_kernel(dy, x, w, *args):
    _, dw, db = conv2d_backward(dy, x, w, *args)
    dx, _, _ = conv2d_backward(dy, x, w[..., ::-1, ::-1], *args)
    return dx, dw, db


def keep_padding_of_dx(dx, dw, db, dy, x, w, stride, pad):
    padded = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    return conv2d_backward(dy, padded, w, stride, 0)[0], dw, db


def crop_dx_to_minus_pad(dx, dw, db, dy, x, w, stride, pad):
    padded, _, _ = keep_padding_of_dx(dx, dw, db, dy, x, w, stride, pad)
    return padded[:, :, pad:-pad, pad:-pad], dw, db


def crop_dx_at_bottom_right(dx, dw, db, dy, x, w, stride, pad):
    padded, _, _ = keep_padding_of_dx(dx, dw, db, dy, x, w, stride, pad)
    return padded[:, :, :x.shape[2], :x.shape[3]], dw, db


def drop_last_rows_of_dx(dx, dw, db, dy, x, w, stride, pad):
    # without output_padding the result ends with the last window
    return ops.conv_transpose2d(dy, w, None, stride, pad)[0], dw, db


def dw_of_last_image(dy, x, w, *args):
    dx, _, db = conv2d_backward(dy, x, w, *args)
    _, dw, _ = conv2d_backward(dy[-1:], x[-1:], w, *args)
    return dx, dw, db


def dw_of_first_image(dy, x, w, *args):
    dx, _, db = conv2d_backward(dy, x, w, *args)
    _, dw, _ = conv2d_backward(dy[:1], x[:1], w, *args)
    return dx, dw, db


def dw_of_each_image(dy, x, w, *args):
    dx, _, db = conv2d_backward(dy, x, w, *args)
    each = [conv2d_backward(dy[n:n + 1], x[n:n + 1], w, *args)[1] for n in range(len(x))]
    return dx, np.stack(each), db


def backward_case(x_shape, w_shape, stride=1, pad=0):
    """x (N, C, H, W), w (K, C, kh, kw), and a dy of the shape of y"""
    x = integers(*x_shape)
    w = integers(*w_shape, seed=1)
    y = conv(x, w, np.zeros(len(w)), stride, pad)
    dy = integers(*y.shape, seed=2)
    return dy, x, w, stride, pad


CONV2D_BACKWARD = Exercise(inputs='dy x w stride pad', outputs='dx dw db', cases=[
    backward_case((1, 1, 3, 3), (1, 1, 2, 2)),
    backward_case((1, 1, 3, 4), (1, 1, 2, 3)),
    backward_case((1, 1, 3, 3), (1, 1, 3, 3), pad=1),
    backward_case((2, 1, 3, 3), (2, 1, 2, 2)),
    backward_case((1, 1, 6, 5), (1, 1, 2, 3), stride=2),
    backward_case((2, 3, 6, 7), (2, 3, 3, 2), stride=2, pad=1),
], solution=conv2d_backward, mistakes={
    'dx is made with a flipped w. dx = Mᵀ dy adds dy·w at every window, with w as it is. (If you '
    'write it as a convolution of dy, flip w once.)': flip_kernel,
    'dx still has the padding around it. Crop `pad` rows and columns on all four sides.':
        change_gradients(keep_padding_of_dx),
    'dx: x[:, :, pad:-pad, pad:-pad] is empty when pad is 0, for −0 is 0. Crop pad:pad + H and '
    'pad:pad + W.': change_gradients(crop_dx_to_minus_pad),
    'dx: the padding is cropped at the bottom and at the right only. The image begins at row and '
    'column `pad`.': change_gradients(crop_dx_at_bottom_right),
    'dx is smaller than x. The last rows and columns, which are in no window, have gradient 0.':
        change_gradients(drop_last_rows_of_dx),
    'dw is flipped: dw[k, c, ky, kx] = Σ x[n, c, stride·i + ky, stride·j + kx] · dy[n, k, i, j], '
    'with x padded.':
        change_gradients(lambda dx, dw, db, *_: (dx, dw[..., ::-1, ::-1], db)),
    'dw is the gradient of the last image only. Add the gradients of all images, +=.':
        dw_of_last_image,
    'dw is the gradient of the first image only. Add the gradients of all images.':
        dw_of_first_image,
    'dw has an axis for the images. All images use the same w, so their gradients are added: '
    '.sum(0).': dw_of_each_image,
    'dw comes first. The order is that of the inputs: dx, dw, db.':
        change_gradients(lambda dx, dw, db, *_: (dw, dx, db)),
    'db is a single number. b has one for each output channel, so sum over N, OH and OW only.':
        change_gradients(lambda dx, dw, db, *_: (dx, dw, db.sum())),
    'dw is divided by the number of images. Do not divide: dw is the sum over the images. For a '
    'mean, divide the loss.': change_gradients(lambda dx, dw, db, dy, *_: (dx, dw / len(dy), db)),
    'db is not summed over the images. b is the same for all of them, so sum over N, OH and OW.':
        change_gradients(lambda dx, dw, db, dy, *_: (dx, dw, dy.sum((2, 3)))),
    'db is a mean. b is added to every pixel, so its gradient is the sum of dy over all pixels.':
        change_gradients(lambda dx, dw, db, dy, *_: (dx, dw, dy.mean((0, 2, 3)))),
})


def backpropagate(F, dscore):
    """By the library: a net of single numbers, in which value i is Σ F[i, j]·value[j]."""
    net = Net(channels=1, dtype='float64')
    values = [net.data]
    for i, row in enumerate(F[1:], start=1):
        terms = [layers.scale(values[j], float(row[j])) for j in np.flatnonzero(row)]
        net[f'value{i}'] = layers.add(*terms) if len(terms) > 1 else terms[0]
        values.append(net[f'value{i}'])
    net.forward(np.ones((1, 1, 1, 1)), keep=True)
    net.backward(**{values[-1].name: np.full((1, 1, 1, 1), dscore)})
    return np.array([net.grads[box.name].item() for box in values])


def pass_back(rule, order=reversed):
    """Go through the values; rule(d, F[i], i, F) changes the gradients d of those that i reads."""
    def mistake(F, dscore):
        d = np.zeros(len(F))
        d[-1] = dscore
        for i in order(range(len(F))):
            rule(d, F[i], i, F)
        return d
    return mistake


def add_all(d, row, i, F):
    d += row * d[i]


def add_unscaled(d, row, i, F):
    d += (row != 0) * d[i]


def add_factors(d, row, i, F):
    d += row


def add_columns(d, row, i, F):
    d += F[:, i] * d[i]


def assign(d, row, i, F):
    d[row != 0] = row[row != 0] * d[i]


def only_first(d, row, i, F):
    for j in np.flatnonzero(row)[:1]:
        d[j] += row[j] * d[i]


def without_the_last(F, dscore):
    d = backpropagate(F, dscore)
    d[-1] = 0
    return d


BACKPROPAGATE = Exercise(inputs='F dscore', outputs='d', cases=[
    (np.array([[0., 0], [2, 0]]), 3.),
    (np.array([[0., 0, 0], [2, 0, 0], [0, 3, 0]]), 1.),
    (np.array([[0., 0, 0, 0], [2, 0, 0, 0], [0, 3, 0, 0], [0, 1, 4, 0]]), 1.),
    (np.array([[0., 0, 0, 0], [2, 0, 0, 0], [5, 0, 0, 0], [3, 1, 4, 0]]), 2.),
    (np.array([[0., 0, 0, 0, 0], [1, 0, 0, 0, 0], [2, -1, 0, 0, 0], [0, 3, 2, 0, 0],
               [4, 0, -2, 1, 0]]), -1.5),
], solution=backpropagate, mistakes={
    'A value that is read twice gets the sum of its gradients: +=, not =.': pass_back(assign),
    'Go through the values from the last to the first: a gradient is complete when all that read '
    'the value have passed theirs on.': pass_back(add_all, order=iter),
    'The factors are left out. Value j receives F[i, j] times the gradient of value i.':
        pass_back(add_unscaled),
    'Only the factors are added. Value j receives F[i, j] times the gradient of value i.':
        pass_back(add_factors),
    'Value i reads the values of row i of F. This takes column i.': pass_back(add_columns),
    'It starts with 1. The gradient of the last value is dscore.':
        lambda F, dscore: backpropagate(F, 1.),
    'The gradient of the last value is missing: it is dscore.': without_the_last,
    'These are integers. Gradients have fractions: make d by np.zeros(n), without a dtype.':
        lambda F, dscore: backpropagate(F, float(int(dscore))).astype(int),
    'Only the first of the values that a value reads gets a gradient. Go through all of them.':
        pass_back(only_first),
})

EXERCISES = dict(col2im=COL2IM, conv2d_backward=CONV2D_BACKWARD, backpropagate=BACKPROPAGATE)
