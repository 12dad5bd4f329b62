"""L06: the largest of each window, and the way back."""
import numpy as np

from ... import ops
from .exercise import Exercise, whole


def pool(x, ksize, stride):
    return ops.max_pool(x, ksize, stride)[0]


def zeros_beyond(x, ksize, stride):
    """The last windows hang over the edge, onto zeros."""
    more = [(size - 1) * stride + ksize - n for n, size in
            zip(x.shape[2:], pool(x, ksize, stride).shape[2:])]
    return pool(np.pad(x, ((0, 0), (0, 0), *((0, max(0, m)) for m in more))), ksize, stride)


def side_by_side(axis):
    """The stride along one axis is 1, and there are as many windows as there should be."""
    def slip(x, ksize, stride):
        oh, ow = pool(x, ksize, stride).shape[2:]
        how = (1, stride) if axis == 'rows' else (stride, 1)
        return pool(x, ksize, how)[:, :, :oh, :ow]
    return slip


MAX_POOL = Exercise('x ksize stride', 'y', [
    (whole(1, 1, 4, 4), 2, 2),
    (whole(1, 1, 3, 5), 2, 2),
    (-1 - abs(whole(1, 1, 3, 3)), 2, 2),
    (whole(1, 1, 5, 6), 3, 2),
    (whole(2, 2, 5, 7), 3, 3),
    (whole(1, 3, 8, 6), 3, 2),
], pool, {
    'The number of windows is rounded down: the last one may hang over the edge, '
    '⌈(H − k) / stride⌉ + 1.': lambda *case: ops.max_pool(*case, ceil=False)[0],
    'Beyond the edge there are zeros, and one of them has won over negative pixels: only pixels '
    'take part.': zeros_beyond,
    'This is the mean of each window: the largest is asked for.':
        lambda *case: ops.avg_pool(*case)[0],
    'This is the smallest of each window: the largest is asked for.':
        lambda x, *how: -pool(-x, *how),
    'The stride is taken to be ksize: windows may overlap, they begin every `stride` pixels.':
        lambda x, ksize, stride: pool(x, ksize, ksize),
    'The stride is forgotten along the rows: window i begins at row stride·i.':
        side_by_side('rows'),
    'The stride is forgotten along the columns: window j begins at column stride·j.':
        side_by_side('columns'),
    'The largest of all channels is taken: each channel is pooled for itself.':
        lambda x, *how: np.broadcast_to(pool(x, *how).max(1, keepdims=True), pool(x, *how).shape),
})


def unpooled(y, switches, size):
    return ops.unpool(y, switches, size)[0]


def last_alone(y, switches, size):
    x = np.zeros((*y.shape[:2], size[0] * size[1]))
    np.put_along_axis(x, switches.reshape(*y.shape[:2], -1), y.reshape(*y.shape[:2], -1), 2)
    return x.reshape(*y.shape[:2], *size)


def down_first(y, switches, size):
    return unpooled(y, switches % size[0] * size[1] + switches // size[0], size)


def narrow_rows(y, switches, size):
    wide = y.shape[3]
    return unpooled(y, switches // size[1] * wide + switches % size[1], size)


def one_plane(y, switches, size):
    x = np.zeros((*y.shape[:2], *size))
    for index in np.ndindex(y.shape):
        x.flat[switches[index]] += y[index]
    return x


def as_a_gradient(y, switches, size):
    """One where a switch points, as many as point there."""
    return (unpooled(np.ones_like(y), switches, size) > 0) * 1.


def a_pooling(n, c, h, w, ksize, stride, at=0):
    switches, _ = ops.max_switches(whole(n, c, h, w, at=at), ksize, stride)
    return whole(*switches.shape, at=at + 1), switches, (h, w)


UNPOOL = Exercise('y switches size', 'x', [
    a_pooling(1, 1, 4, 4, 2, 2),
    a_pooling(1, 1, 3, 5, 2, 2),
    (np.array([[[[2., 3.], [4., 5.]]]]), np.array([[[[4, 4], [4, 8]]]]), (3, 3)),
    a_pooling(1, 2, 4, 5, 3, 1),
    a_pooling(2, 3, 5, 7, 3, 2),
], unpooled, {
    'Windows overlap, so two switches may point to one pixel, and their values add. x[s] = y and '
    'x[s] += y both keep the last one alone; np.add.at adds.': last_alone,
    'The switch is read as column·H + row: it is row·W + column.': down_first,
    'The switch is taken apart with the width of y: it counts in rows of the image that was '
    'pooled, row·W + column.': narrow_rows,
    'All planes have landed in the first one: a switch counts within its own picture and channel.':
        one_plane,
    'Ones are put back: put the value of y where its switch points.': as_a_gradient,
})

EXERCISES = dict(max_pool=MAX_POOL, unpool=UNPOOL)
