"""L07: max pooling, and unpooling with its switches."""
import numpy as np

from ... import ops
from .exercise import Exercise, integers


def max_pool(x, ksize, stride):
    return ops.max_pool(x, ksize, stride)[0]


def pad_with_zeros(x, ksize, stride):
    """Zeros where the last windows reach beyond the image, as if they were pixels."""
    output_size = max_pool(x, ksize, stride).shape[2:]
    covered = [(count - 1) * stride + ksize for count in output_size]
    padding = [(0, max(0, c - size)) for c, size in zip(covered, x.shape[2:])]
    return max_pool(np.pad(x, ((0, 0), (0, 0), *padding)), ksize, stride)


def forget_stride(direction):
    """Stride 1 in the 'vertical' or the 'horizontal' direction, and the right number of windows."""
    def mistake(x, ksize, stride):
        oh, ow = max_pool(x, ksize, stride).shape[2:]
        strides = (1, stride) if direction == 'vertical' else (stride, 1)
        return max_pool(x, ksize, strides)[:, :, :oh, :ow]
    return mistake


def count_strides(x, ksize, stride):
    """⌈H / stride⌉ windows, also one that begins in the last pixels of another."""
    oh, ow = (-(-length // stride) for length in x.shape[2:])
    y = np.empty((*x.shape[:2], oh, ow))
    for i, j in np.ndindex(oh, ow):
        top = i * stride
        left = j * stride
        y[:, :, i, j] = x[:, :, top:top + ksize, left:left + ksize].max((2, 3))
    return y


def leave_the_image(x, ksize, stride):
    """Pixel by pixel, also those beyond the edge."""
    oh, ow = max_pool(x, ksize, stride).shape[2:]
    y = np.full((*x.shape[:2], oh, ow), -np.inf)
    for i, j, ky, kx in np.ndindex(oh, ow, ksize, ksize):
        pixels = x[:, :, stride * i + ky, stride * j + kx]
        y[:, :, i, j] = np.maximum(y[:, :, i, j], pixels)
    return y


def max_over_everything(x, *args):
    y = max_pool(x, *args)
    return np.broadcast_to(y.max((0, 1)), y.shape)


def max_over_channels(x, ksize, stride):
    y = max_pool(x, ksize, stride)
    return np.broadcast_to(y.max(1, keepdims=True), y.shape)


MAX_POOL = Exercise(inputs='x ksize stride', outputs='y', cases=[
    (integers(1, 1, 4, 4), 2, 2),
    (integers(1, 1, 3, 5), 2, 2),
    (-1 - abs(integers(1, 1, 3, 3)), 2, 2),         # all pixels are negative
    (integers(1, 1, 5, 6), 3, 2),
    (integers(2, 2, 5, 7), 3, 3),
    (integers(1, 3, 8, 6), 3, 2),
], solution=max_pool, mistakes={
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
    'The vertical stride is missing. Window (i, j) begins at row stride·i.':
        forget_stride('vertical'),
    'The horizontal stride is missing. Window (i, j) begins at column stride·j.':
        forget_stride('horizontal'),
    'This is the maximum over all channels. Pool each channel separately.': max_over_channels,
    'This is the maximum over all images and channels. Take it over rows and columns only: '
    '.max((2, 3)).': max_over_everything,
    'There are ⌈H / stride⌉ windows. The last one begins where the one before it does not reach '
    'the edge: ⌈(H − k) / stride⌉ + 1.': count_strides,
    'The last window reaches beyond the edge, and there are no pixels. Skip them, or take a slice, '
    'which ends at the edge.': leave_the_image,
})


def unpool(y, switches, size):
    """y, switches (N, C, OH, OW), size (H, W) -> x (N, C, H, W)"""
    return ops.unpool(y, switches, size)[0]


def keep_last_value(y, switches, size):
    """x[switch] = y in place of x[switch] += y."""
    n, c = y.shape[:2]
    h, w = size
    x = np.zeros((n, c, h * w))
    np.put_along_axis(x, switches.reshape(n, c, -1), y.reshape(n, c, -1), 2)
    return x.reshape(n, c, h, w)


def switches_by_column(y, switches, size):
    h, w = size
    column, row = np.divmod(switches, h)
    return unpool(y, row * w + column, size)


def divide_by_height(y, switches, size):
    x = np.zeros((*y.shape[:2], *size))
    for index in np.ndindex(y.shape):
        row, column = divmod(switches[index], size[0])
        x[(*index[:2], row, column)] += y[index]
    return x


def width_of_y(y, switches, size):
    _, w = size
    row, column = np.divmod(switches, w)
    return unpool(y, row * y.shape[3] + column, size)


def all_into_first_plane(y, switches, size):
    x = np.zeros((*y.shape[:2], *size))
    for index in np.ndindex(y.shape):
        x.flat[switches[index]] += y[index]
    return x


def ones_at_switches(y, switches, size):
    return (unpool(np.ones_like(y), switches, size) > 0) * 1.


def unpool_case(n, c, h, w, ksize, stride, seed=0):
    """The switches of an image of integers, and other integers to put there."""
    switches, _ = ops.max_switches(integers(n, c, h, w, seed=seed), ksize, stride)
    return integers(*switches.shape, seed=seed + 1), switches, (h, w)


UNPOOL = Exercise(inputs='y switches size', outputs='x', cases=[
    unpool_case(1, 1, 4, 4, 2, 2),
    unpool_case(1, 1, 3, 5, 2, 2),
    # three windows of a 3×3 image have their maximum at its centre, pixel 4
    (np.array([[[[2., 3.], [4., 5.]]]]), np.array([[[[4, 4], [4, 8]]]]), (3, 3)),
    unpool_case(1, 2, 4, 5, 3, 1),
    unpool_case(2, 3, 5, 7, 3, 2),
], solution=unpool, mistakes={
    'Windows overlap, so two switches may point to one pixel, and their values should be added. '
    'x[s] = y and x[s] += y both keep only the last one; np.add.at adds them.': keep_last_value,
    'The switch is read as column·H + row. It is row·W + column.': switches_by_column,
    'The switch is divided by the number of rows. It is row·W + column, so divide by W, size[1].':
        divide_by_height,
    'The pixels are counted with the width of y. Compute the flat index with the width of the '
    'image before pooling: row·W + column.': width_of_y,
    'All values are in the first plane. A switch counts within its own image and channel.':
        all_into_first_plane,
    'x is 1 wherever a switch points. Put the value of y there.': ones_at_switches,
})

EXERCISES = dict(max_pool=MAX_POOL, unpool=UNPOOL)
