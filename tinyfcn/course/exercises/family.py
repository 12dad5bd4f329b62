"""L17: what U-Net lays beside what comes up, and the bins of PSPNet."""
import numpy as np

from ... import ops
from .exercise import Exercise, whole


def join(up, skip, where=lambda free: free // 2):
    """where(free): from which row and column on, of `free` that are too many."""
    size = up.shape[2:]
    offset = [where(n - m) for n, m in zip(skip.shape[2:], size)]
    return ops.concat(up, ops.crop(skip, size, offset)[0])[0]


def cropped(up, skip):
    return join(up, skip)[:, up.shape[1]:]


def padded(up, skip):
    """As its most used copy does: what came up grows to the size of the skip."""
    before = [(n - m) // 2 for n, m in zip(skip.shape[2:], up.shape[2:])]
    after = [n - m - b for n, m, b in zip(skip.shape[2:], up.shape[2:], before)]
    return ops.concat(ops.pad(up, before, after)[0], skip)[0]


def a_join(n, c, h, w, d, rows, columns, at=0):
    return whole(n, c, h, w, at=at), whole(n, d, h + rows, w + columns, at=at + 1)


JOIN = Exercise('up skip', 'y', [
    a_join(1, 1, 1, 1, 1, 2, 2),
    a_join(1, 1, 2, 1, 1, 4, 4),
    a_join(1, 2, 2, 2, 1, 2, 4),
    a_join(2, 2, 2, 3, 2, 4, 4),
    a_join(1, 3, 3, 2, 2, 8, 8),
], join, {
    'The skip is cut at its top left: U-Net loses as much on each side, so take its middle.':
        lambda *case: join(*case, lambda free: 0),
    'The skip is cut at its bottom right: U-Net loses as much on each side, so take its middle.':
        lambda *case: join(*case, lambda free: free),
    'The skip comes first: here what came up does, then the skip. The weights of the next layer '
    'know them by their place.':
        lambda up, skip: ops.concat(cropped(up, skip), up)[0],
    'What came up is made larger: the skip is made smaller, for zeros would be seen as something.':
        padded,
    'They lie below each other: join them along the channels, axis 1.':
        lambda up, skip: np.concatenate([up, cropped(up, skip)], 2),
    'What came up is missing: lay it beside the cropped skip.': cropped,
})


def pyramid(x, bins):
    return ops.avg_pool_to(x, bins)[0]


def binned(edges, function=np.mean):
    """edges(length, bins) -> where each bin begins and ends, along either axis."""
    def slip(x, bins):
        rows, columns = (edges(length, bins) for length in x.shape[2:])
        return np.stack([np.stack([function(x[:, :, a:b, c:d], axis=(2, 3)) for c, d in columns],
                                  -1) for a, b in rows], -2)
    return slip


def fair(n, bins):
    return [(i * n // bins, -(-(i + 1) * n // bins)) for i in range(bins)]


def apart(n, bins):
    return [(i * n // bins, max((i + 1) * n // bins, i * n // bins + 1)) for i in range(bins)]


def rest_lost(n, bins):
    each = max(1, n // bins)
    return [(min(i * each, n - 1), min((i + 1) * each, n)) for i in range(bins)]


def of_one_size(n, bins):
    """A pooling of one window, which fits whole."""
    stride = n // bins
    return [(i * stride, i * stride + n - (bins - 1) * stride) for i in range(bins)]


PYRAMID = Exercise('x bins', 'y', [
    (whole(1, 1, 2, 2), 1),
    (whole(1, 1, 4, 4), 2),
    (whole(1, 1, 3, 3), 2),
    (whole(1, 1, 5, 4), 3),
    (whole(2, 3, 7, 8), 3),
    (whole(1, 2, 11, 9), 6),
], pyramid, {
    'Where it does not come out even, bins overlap: bin i ends at (i + 1)·H / bins rounded up.':
        binned(apart),
    'The rows and columns that are left over lie in no bin: bin i begins at i·H / bins, rounded '
    'down, and ends at (i + 1)·H / bins, rounded up.': binned(rest_lost),
    'All bins have one size and stride, as in a pooling: each has edges of its own, i·H / bins '
    'rounded down and (i + 1)·H / bins rounded up.': binned(of_one_size),
    'This is the largest of each bin: the mean is asked for.': binned(fair, np.max),
    'This is the sum of each bin: divide it by how many pixels lie there.': binned(fair, np.sum),
    'Every bin has the mean of the whole: that is the pyramid with a single bin.':
        lambda x, bins: np.broadcast_to(pyramid(x, 1), (*x.shape[:2], bins, bins)),
    'Rows and columns are swapped.': lambda x, bins: pyramid(x, bins).swapaxes(2, 3),
})

EXERCISES = dict(join=JOIN, pyramid=PYRAMID)
