"""L05: what is the transpose of im2col, and how a convolution sends its gradient back."""
import numpy as np

from ... import ops
from .convolution import conv
from .exercise import Exercise, whole


def image(cols, size, ksize, stride, pad):
    return ops.col2im(cols, size, ksize, stride, pad)[0]


def padded(cols, size, ksize, stride, pad):
    """With its padding still around it."""
    return image(cols, [n + 2 * pad for n in size], ksize, stride, 0)


def overwritten(by_tap):
    """x = for x +=: where windows overlap, who comes last is left."""
    def slip(cols, size, ksize, stride, pad):
        (h, w), (kh, kw), n = size, ksize, len(cols)
        c = cols.shape[1] // (kh * kw)
        oh, ow = ((m + 2 * pad - k) // stride + 1 for m, k in zip(size, ksize))
        x, cols = np.zeros((n, c, h + 2 * pad, w + 2 * pad)), cols.reshape(n, c, kh, kw, oh, ow)
        for first in np.ndindex(*(ksize if by_tap else (oh, ow))):
            for second in np.ndindex(*((oh, ow) if by_tap else ksize)):
                (ky, kx), (i, j) = (first, second) if by_tap else (second, first)
                x[:, :, stride * i + ky, stride * j + kx] = cols[:, :, ky, kx, i, j]
        return x[:, :, pad:pad + h, pad:pad + w]
    return slip


def averaged(cols, *how):
    count = image(np.ones_like(cols), *how)
    return image(cols, *how) / np.maximum(count, 1)


def taps_swapped(cols, size, ksize, *how):
    n, rows, count = cols.shape
    turned = cols.reshape(n, -1, ksize[1], ksize[0], count).swapaxes(2, 3)
    return image(turned.reshape(cols.shape), size, ksize, *how)


def taps_first(cols, size, ksize, *how):
    n, rows, count = cols.shape
    turned = cols.reshape(n, ksize[0] * ksize[1], -1, count).swapaxes(1, 2)
    return image(turned.reshape(cols.shape), size, ksize, *how)


def windows_swapped(cols, size, ksize, stride, pad):
    oh, ow = ((m + 2 * pad - k) // stride + 1 for m, k in zip(size, ksize))
    turned = cols.reshape(*cols.shape[:2], ow, oh).swapaxes(2, 3)
    return image(turned.reshape(cols.shape), size, ksize, stride, pad)


COL2IM = Exercise('cols size ksize stride pad', 'x', [
    (whole(1, 4, 4), (3, 3), (2, 2), 1, 0),
    (whole(1, 6, 4), (3, 4), (2, 3), 1, 0),
    (whole(1, 8, 4), (3, 3), (2, 2), 1, 0),
    (whole(1, 4, 16), (3, 3), (2, 2), 1, 1),
    (whole(1, 9, 6), (5, 7), (3, 3), 2, 0),
    (whole(2, 18, 12), (6, 7), (3, 2), 2, 1),
], image, {
    'Windows overlap, and what they bring to a pixel is added: +=. With = only what comes last is '
    'left.': overwritten(True),
    'Windows overlap, and what they bring to a pixel is added: +=. With = only the last window is '
    'left.': overwritten(False),
    'This is the mean over the windows: the transpose of reading a pixel several times is adding '
    'as often, nothing is divided.': averaged,
    'ky and kx are swapped: row c·kh·kw + ky·kw + kx of cols is tap (ky, kx).': taps_swapped,
    'The taps are read before the channels: row c·kh·kw + ky·kw + kx of cols belongs to channel '
    'c.': taps_first,
    'The windows are read column by column: column i·OW + j of cols is window (i, j).':
        windows_swapped,
    'The padding is still there: cut `pad` rows and columns off all four sides.': padded,
    'The padding is cut off below and at the right only: the image begins at row and column `pad`.':
        lambda cols, size, *how: padded(cols, size, *how)[:, :, :size[0], :size[1]],
})


def backward(dy, x, w, stride, pad):
    _, cache = ops.conv2d(x, w, np.zeros(len(w)), stride, pad)
    return ops.conv2d.backward(dy, cache)


def slipping(change):
    """change(dx, dw, db, dy, x, w, stride, pad), after the library's own gradients."""
    return lambda *case: change(*backward(*case), *case)


def flipped(dy, x, w, *how):
    return backward(dy, x, w[..., ::-1, ::-1], *how)[0], *backward(dy, x, w, *how)[1:]


def uncut(dx, dw, db, dy, x, w, stride, pad):
    wide = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    return backward(dy, wide, w, stride, 0)[0], dw, db


def cut_wrongly(dx, dw, db, dy, x, w, stride, pad):
    wide, *_ = uncut(dx, dw, db, dy, x, w, stride, pad)
    return wide[:, :, :x.shape[2], :x.shape[3]], dw, db


def too_small(dx, dw, db, dy, x, w, stride, pad):
    return ops.conv_transpose2d(dy, w, None, stride, pad)[0], dw, db


def a_backward(n, c, h, wide, k, kh, kw, stride=1, pad=0, at=0):
    x, w, b, *how = (whole(n, c, h, wide, at=at), whole(k, c, kh, kw, at=at + 1), np.zeros(k),
                     stride, pad)
    return whole(*conv(x, w, b, *how).shape, at=at + 2), x, w, *how


CONV2D_BACKWARD = Exercise('dy x w stride pad', 'dx dw db', [
    a_backward(1, 1, 3, 3, 1, 2, 2),
    a_backward(1, 1, 3, 4, 1, 2, 3),
    a_backward(1, 1, 3, 3, 1, 3, 3, pad=1),
    a_backward(2, 1, 3, 3, 2, 2, 2),
    a_backward(1, 1, 6, 5, 1, 2, 3, stride=2),
    a_backward(2, 3, 6, 7, 2, 3, 2, stride=2, pad=1),
], backward, {
    'dx: the kernel is turned once too often. dx = Mᵀ dy stamps w as it is at every window; only '
    'who writes it as a convolution turns w.': flipped,
    'dx still has the padding around it: cut `pad` rows and columns off all four sides.':
        slipping(uncut),
    'dx: the padding is cut off below and at the right only; the image begins at row and column '
    '`pad`.': slipping(cut_wrongly),
    'dx is smaller than x: the last rows and columns, which no window has reached, have gradient '
    '0.': slipping(too_small),
    'dw is turned: dw[…, ky, kx] = Σ x[…, i + ky, j + kx] · dy[…, i, j].':
        slipping(lambda dx, dw, db, *_: (dx, dw[..., ::-1, ::-1], db)),
    'dw has the gradient of the last picture alone: add those of all pictures, +=.':
        lambda dy, x, w, *how: (backward(dy, x, w, *how)[0],
                                backward(dy[-1:], x[-1:], w, *how)[1], dy.sum((0, 2, 3))),
    'dw is divided by the number of pictures: the gradient is that of the sum; who wants a mean '
    'divides the loss.': slipping(lambda dx, dw, db, dy, *_: (dx, dw / len(dy), db)),
    'db keeps the pictures apart: b is the same for all of them, so sum over N, OH and OW.':
        slipping(lambda dx, dw, db, dy, *_: (dx, dw, dy.sum((2, 3)))),
    'db is a mean: b is added to every pixel, so its gradient is the sum of dy over them.':
        slipping(lambda dx, dw, db, dy, *_: (dx, dw, dy.mean((0, 2, 3)))),
})

EXERCISES = dict(col2im=COL2IM, conv2d_backward=CONV2D_BACKWARD)
