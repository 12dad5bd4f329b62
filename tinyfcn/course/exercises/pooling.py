"""L06: max pooling, and unpooling with its switches."""
import numpy as np

from ... import ops
from .exercise import Exercise, integers


def max_pool(x, ksize, stride):
    return ops.max_pool(x, ksize, stride)[0]


def pad_with_zeros(x, ksize, stride):
    """The last windows reach beyond the edge, where this has zeros."""
    output_size = max_pool(x, ksize, stride).shape[2:]
    missing = [(size - 1) * stride + ksize - n for n, size in zip(x.shape[2:], output_size)]
    padding = [(0, max(0, count)) for count in missing]
    return max_pool(np.pad(x, ((0, 0), (0, 0), *padding)), ksize, stride)


def forget_stride(axis):
    """Stride 1 along one axis, and as many windows as there should be."""
    def mistake(x, ksize, stride):
        oh, ow = max_pool(x, ksize, stride).shape[2:]
        strides = (1, stride) if axis == 'rows' else (stride, 1)
        return max_pool(x, ksize, strides)[:, :, :oh, :ow]
    return mistake


def max_over_channels(x, ksize, stride):
    y = max_pool(x, ksize, stride)
    return np.broadcast_to(y.max(1, keepdims=True), y.shape)


MAX_POOL = Exercise('x ksize stride', 'y', [
    (integers(1, 1, 4, 4), 2, 2),
    (integers(1, 1, 3, 5), 2, 2),
    (-1 - abs(integers(1, 1, 3, 3)), 2, 2),
    (integers(1, 1, 5, 6), 3, 2),
    (integers(2, 2, 5, 7), 3, 3),
    (integers(1, 3, 8, 6), 3, 2),
], max_pool, {
    'The number of windows is rounded down. Round it up, ⌈(H − k) / stride⌉ + 1: the last window '
    'may reach beyond the edge.':
        lambda x, ksize, stride: ops.max_pool(x, ksize, stride, ceil=False)[0],
    'Beyond the edge you have zeros, which are larger than negative pixels. Take the maximum over '
    'the pixels only.': pad_with_zeros,
    'This is the mean of each window. Take the maximum.': lambda *case: ops.avg_pool(*case)[0],
    'This is the minimum of each window. Take the maximum.':
        lambda x, *args: -max_pool(-x, *args),
    'The stride is taken to be ksize. Windows begin every `stride` pixels, and may overlap.':
        lambda x, ksize, stride: max_pool(x, ksize, ksize),
    'The stride is missing along the rows. Window i begins at row stride·i.':
        forget_stride('rows'),
    'The stride is missing along the columns. Window j begins at column stride·j.':
        forget_stride('columns'),
    'This is the maximum over all channels. Pool each channel separately.': max_over_channels,
})


def unpool(y, switches, size):
    return ops.unpool(y, switches, size)[0]


def keep_last_value(y, switches, size):
    planes = y.shape[:2]
    x = np.zeros((*planes, size[0] * size[1]))
    np.put_along_axis(x, switches.reshape(*planes, -1), y.reshape(*planes, -1), 2)
    return x.reshape(*planes, *size)


def switches_by_column(y, switches, size):
    return unpool(y, switches % size[0] * size[1] + switches // size[0], size)


def width_of_y(y, switches, size):
    return unpool(y, switches // size[1] * y.shape[3] + switches % size[1], size)


def all_into_first_plane(y, switches, size):
    x = np.zeros((*y.shape[:2], *size))
    for index in np.ndindex(y.shape):
        x.flat[switches[index]] += y[index]
    return x


def ones_at_switches(y, switches, size):
    return (unpool(np.ones_like(y), switches, size) > 0) * 1.


def unpool_case(n, c, h, w, ksize, stride, seed=0):
    switches, _ = ops.max_switches(integers(n, c, h, w, seed=seed), ksize, stride)
    return integers(*switches.shape, seed=seed + 1), switches, (h, w)


UNPOOL = Exercise('y switches size', 'x', [
    unpool_case(1, 1, 4, 4, 2, 2),
    unpool_case(1, 1, 3, 5, 2, 2),
    (np.array([[[[2., 3.], [4., 5.]]]]), np.array([[[[4, 4], [4, 8]]]]), (3, 3)),
    unpool_case(1, 2, 4, 5, 3, 1),
    unpool_case(2, 3, 5, 7, 3, 2),
], unpool, {
    'Windows overlap, so two switches may point to one pixel, and their values should be added. '
    'x[s] = y and x[s] += y both keep only the last one; np.add.at adds them.': keep_last_value,
    'The switch is read as column·H + row. It is row·W + column.': switches_by_column,
    'The switch is split with the width of y. It counts in rows of the image before pooling: '
    'row·W + column.': width_of_y,
    'All values are in the first plane. A switch counts within its own image and channel.':
        all_into_first_plane,
    'The switches are set to 1. Put the value of y where its switch points.': ones_at_switches,
})

EXERCISES = dict(max_pool=MAX_POOL, unpool=UNPOOL)
