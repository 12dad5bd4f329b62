"""What every road of a convolution shares: pixels with their channels side by side, row by row.

The shape stays (N, C, H, W); the memory is (N, H, W, C), where a window is a few long runs and a
row block of an image is small enough to stay in the cache.
"""
from math import prod
from threading import local

import numpy as np

from ...runtime.threads import parallel, shares

CHEAP = 1 << 24         # multiplications of a ms; for less no second thread is worth waking
IN_PIECES = 13000       # values of a matrix that is small enough to multiply in pieces, measured
KEPT = 1 << 23          # values that a thread keeps of each kind, 32 MB

_kept = local()


def scratch(name, *shape):
    """Memory to work in, kept by this thread: fresh pages would cost a part of every layer."""
    size, kept = prod(shape), _kept.__dict__
    if name not in kept or kept[name].size < size:
        if size > KEPT:
            return np.empty(shape, 'float32')
        kept[name] = np.empty(size, 'float32')
    return kept[name][:size].reshape(shape)


def spread(work, count, cost):
    """work(slice) over range(count), shared by the threads where it costs enough. -> [result]

    `cost` is how many multiplications each of the `count` takes.
    """
    return parallel(work, shares(count, CHEAP // cost + 1))


def channels_last(x):
    """(N, C, H, W) of any strides -> (N, H, W, C) with the channels of a pixel side by side."""
    x = x.transpose(0, 2, 3, 1)
    if x.shape[3] == 1 or x.strides[3] == x.itemsize:
        return x
    y = np.empty(x.shape, x.dtype)

    def turn(part):
        for here in blocks(part, x.shape[1], x.shape[1]):
            y[here] = x[here]

    spread(turn, len(x) * x.shape[1], 8 * x[0, 0].size)         # to copy is as dear as 8 products
    return y


def blocks(part, rows, most):
    """A slice of all pictures' rows, in even blocks of at most `most` rows or of whole pictures.

    -> (slice of pictures, slice of rows) …
    """
    at = part.start
    while at < part.stop:
        picture, top = divmod(at, rows)
        whole = (part.stop - at) // rows
        if top == 0 and whole and most >= rows:
            count = _even(whole, most // rows)
            yield slice(picture, picture + count), slice(0, rows)
            at += count * rows
        else:
            count = _even(min(rows - top, part.stop - at), most)
            yield slice(picture, picture + 1), slice(top, top + count)
            at += count


def _even(count, most):
    """The size of a part, when `count` are cut into as few as possible, evenly."""
    return -(-count // -(-count // most))


def rows_in(pictures, rows):
    """How many rows a block has."""
    return (pictures.stop - pictures.start) * (rows.stop - rows.start)


def fill(patch, images, top, left, beyond=0):
    """patch[:, i, j] = images[:, top + i, left + j], and `beyond` outside the image."""
    (_, h, w, _), (_, rows, columns, _) = images.shape, patch.shape
    a, b = _inside(h, top, rows)
    c, d = _inside(w, left, columns)
    patch[:, :a] = patch[:, b:] = patch[:, a:b, :c] = patch[:, a:b, d:] = beyond
    patch[:, a:b, c:d] = images[:, top + a:top + b, left + c:left + d]


def _inside(size, start, count):
    """Which of start, start + 1, … are in range(size), as a first and a last."""
    first = min(max(0, -start), count)
    return first, max(first, min(count, size - start))


def meeting(pixels, out, stride, shift):
    """Which windows y meet a pixel y·stride + shift, and which pixels those are. -> two slices"""
    first = max(0, -(-(pixels.start - shift) // stride))
    last = max(first, min(out, -(-(pixels.stop - shift) // stride)))
    start = first * stride + shift - pixels.start
    return slice(first, last), slice(start, start + (last - first - 1) * stride + 1, stride)


def multiply(a, b, out):
    """a @ b over the last two axes, in pieces where b is small: OpenBLAS packs none of them.

    Up to 10⁶ multiplications it takes matrices as they lie, measured up to a half faster.
    """
    (*leading, p, c), k = a.shape, b.shape[-1]
    step = _even(p, max(1, min(p, 10 ** 6 // (c * k))))
    if c * k > IN_PIECES or step == p:
        np.matmul(a, b, out=out)
        return
    whole = p // step * step
    pieces = [m[..., :whole, :].reshape(*leading, -1, step, m.shape[-1]) for m in (a, out)]
    np.matmul(pieces[0], b[..., None, :, :], out=pieces[1])
    if whole < p:
        np.matmul(a[..., whole:, :], b, out=out[..., whole:, :])


def sum_rows(dy):
    """db = Σ dy over all pixels, block by block so that no small value meets a huge sum.

    (N, H, W, C) -> (C,)
    """
    def add_up(part):
        rows = (dy[here].reshape(-1, dy.shape[3]) for here in blocks(part, dy.shape[1], 8))
        return sum(np.ones(len(each), dy.dtype) @ each for each in rows)    # BLAS adds up quicker

    return sum(spread(add_up, len(dy) * dy.shape[1], 8 * dy[0, 0].size))
