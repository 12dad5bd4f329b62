"""L19: the skip connections of U-Net, and the pyramid pooling of PSPNet."""
import numpy as np

from ... import ops
from .exercise import Exercise, integers


def concat_skip(up, skip, offset_rule=lambda free: free // 2):
    """offset_rule(free): where to begin, along an axis on which the skip is `free` larger."""
    size = up.shape[2:]
    offset = [offset_rule(n - m) for n, m in zip(skip.shape[2:], size)]
    return ops.concat(up, ops.crop(skip, size, offset)[0])[0]


def crop_at(offset_rule):
    return lambda up, skip: concat_skip(up, skip, offset_rule)


def cropped_skip(up, skip):
    return concat_skip(up, skip)[:, up.shape[1]:]


def pad_upsampled(up, skip):
    """As a widespread copy of U-Net does: the upsampled map grows to the size of the skip."""
    before = [(n - m) // 2 for n, m in zip(skip.shape[2:], up.shape[2:])]
    after = [n - m - b for n, m, b in zip(skip.shape[2:], up.shape[2:], before)]
    return ops.concat(ops.pad(up, before, after)[0], skip)[0]


def one_offset(up, skip):
    """The offset of the rows, for the columns too."""
    top = (skip.shape[2] - up.shape[2]) // 2
    h, w = up.shape[2:]
    return np.concatenate([up, skip[:, :, top:top + h, top:top + w]], 1)


def concat_case(n, c, h, w, d, more_rows, more_columns, seed=0):
    up = integers(n, c, h, w, seed=seed)
    skip = integers(n, d, h + more_rows, w + more_columns, seed=seed + 1)
    return up, skip


CONCAT_SKIP = Exercise(inputs='up skip', outputs='y', cases=[
    concat_case(1, 1, 1, 1, 1, 2, 2),
    concat_case(1, 1, 2, 1, 1, 4, 4),
    concat_case(1, 2, 2, 2, 1, 2, 4),
    concat_case(2, 2, 2, 3, 2, 4, 4),
    concat_case(1, 3, 3, 2, 2, 8, 8),
], solution=concat_skip, mistakes={
    'The skip is cropped at its top left. U-Net loses as much on each side, so take the centre.':
        crop_at(lambda free: 0),
    'The skip is cropped at its bottom right. U-Net loses as much on each side, so take the '
    'centre.': crop_at(lambda free: free),
    'The skip comes first. Put `up` first, then the skip: the weights of the next layer expect the '
    'channels in this order.': lambda up, skip: ops.concat(cropped_skip(up, skip), up)[0],
    '`up` is padded. Crop the skip instead: the next layer would take padded zeros for features.':
        pad_upsampled,
    'The two are stacked along the rows. Concatenate them along the channels, axis 1.':
        lambda up, skip: np.concatenate([up, cropped_skip(up, skip)], 2),
    'The columns are cropped at the offset of the rows. Each axis has its own.': one_offset,
    'The cropped skip is added to `up`, as in FCN. U-Net concatenates the two.':
        lambda up, skip: up + cropped_skip(up, skip)[:, :1],
    '`up` is missing. Concatenate it with the cropped skip.': cropped_skip,
})


def pyramid_pool(x, bins):
    return ops.avg_pool_to(x, bins)[0]


def pool_bins(bin_edges, reduce=np.mean):
    """bin_edges(length, bins) -> [(start, stop)] of the bins along one axis."""
    def mistake(x, bins):
        rows, columns = (bin_edges(length, bins) for length in x.shape[2:])
        lines = []
        for top, bottom in rows:
            pooled = [reduce(x[:, :, top:bottom, left:right], axis=(2, 3))
                      for left, right in columns]
            lines.append(np.stack(pooled, -1))
        return np.stack(lines, -2)
    return mistake


def correct_edges(n, bins):
    return [(i * n // bins, -(-(i + 1) * n // bins)) for i in range(bins)]


def disjoint_edges(n, bins):
    return [(i * n // bins, max((i + 1) * n // bins, i * n // bins + 1)) for i in range(bins)]


def nearest_edges(n, bins):
    return [(round(i * n / bins), max(round((i + 1) * n / bins), round(i * n / bins) + 1))
            for i in range(bins)]


def rows_for_columns(x, bins):
    """The edges of the rows, for the columns too."""
    h, w = x.shape[2:]
    wide = np.pad(x, ((0, 0), (0, 0), (0, 0), (0, max(0, h - w))), mode='edge')
    return pyramid_pool(wide[..., :h], bins)


def edges_without_remainder(n, bins):
    size = max(1, n // bins)
    return [(min(i * size, n - 1), min((i + 1) * size, n)) for i in range(bins)]


def edges_of_one_size(n, bins):
    """The windows of an ordinary pooling that covers all n pixels."""
    stride = n // bins
    return [(i * stride, i * stride + n - (bins - 1) * stride) for i in range(bins)]


PYRAMID_POOL = Exercise(inputs='x bins', outputs='y', cases=[
    (integers(1, 1, 2, 2), 1),
    (integers(1, 1, 4, 4), 2),
    (integers(1, 1, 3, 3), 2),
    (integers(1, 1, 5, 4), 3),
    (integers(2, 3, 7, 8), 3),
    (integers(1, 2, 11, 9), 6),
], solution=pyramid_pool, mistakes={
    'The bins do not overlap. Where H is not a multiple of bins they do: bin i ends at '
    '(i + 1)·H / bins, rounded up.': pool_bins(disjoint_edges),
    'The edges are rounded to the nearest row. Bin i begins at i·H / bins, rounded down, and ends '
    'at (i + 1)·H / bins, rounded up.': pool_bins(nearest_edges),
    'The columns have the edges of the rows. Bin j along W begins at j·W / bins.': rows_for_columns,
    'The rows and columns that remain are in no bin. Bin i begins at i·H / bins, rounded down, and '
    'ends at (i + 1)·H / bins, rounded up.': pool_bins(edges_without_remainder),
    'All bins have the same size and stride, as in ordinary pooling. Here each has edges of its '
    'own: i·H / bins rounded down and (i + 1)·H / bins rounded up.': pool_bins(edges_of_one_size),
    'This is the maximum of each bin. Take the mean.': pool_bins(correct_edges, np.max),
    'This is the sum of each bin. Divide it by the number of pixels in the bin.':
        pool_bins(correct_edges, np.sum),
    'Every bin has the mean of the whole map. That is the pyramid with a single bin.':
        lambda x, bins: np.broadcast_to(pyramid_pool(x, 1), (*x.shape[:2], bins, bins)),
    'Rows and columns are swapped.': lambda x, bins: pyramid_pool(x, bins).swapaxes(2, 3),
})

EXERCISES = dict(concat_skip=CONCAT_SKIP, pyramid_pool=PYRAMID_POOL)
