"""L15: a kernel with holes, and where a net needs them once its strides are gone."""
import numpy as np

from ... import ops
from .exercise import Exercise, whole


def spread(w, dilation):
    """A transposed convolution with the 1×1 kernel 1 does nothing but put zeros between."""
    k, c, kh, kw = w.shape
    apart, _ = ops.conv_transpose2d(w.reshape(k * c, 1, kh, kw), np.ones((1, 1, 1, 1)),
                                    stride=dilation)
    return apart.reshape(k, c, *apart.shape[2:])


def zeros_behind(w, dilation):
    more = dilation - 1
    return np.pad(spread(w, dilation), ((0, 0), (0, 0), (0, more), (0, more)))


def repeated(w, dilation):
    high, wide = spread(w, dilation).shape[2:]
    return w.repeat(dilation, 2).repeat(dilation, 3)[:, :, :high, :wide]


WITH_HOLES = Exercise('w dilation', 'wide', [
    (whole(1, 1, 2, 2), 2),
    (whole(1, 1, 2, 3), 3),
    (whole(1, 2, 3, 2), 2),
    (whole(2, 3, 3, 3), 1),
    (whole(2, 3, 3, 3), 4),
], spread, {
    'A hole too many: the taps lie `dilation` apart, so dilation − 1 zeros stand between two of '
    'them.': lambda w, dilation: spread(w, dilation + 1),
    'There are zeros behind the last taps too: they stand between two taps only, and the size is '
    '(k − 1)·dilation + 1.': zeros_behind,
    'Only the rows lie apart: the columns do, too.':
        lambda w, dilation: spread(w, (dilation, 1)),
    'Only the columns lie apart: the rows do, too.':
        lambda w, dilation: spread(w, (1, dilation)),
    'The taps are repeated: zeros stand between them.': repeated,
    'The channels lie apart: only the last two axes are rows and columns.':
        lambda w, dilation: spread(w.transpose(2, 3, 0, 1), dilation).transpose(2, 3, 0, 1),
})


def dense(strides, most):
    """What DeepLab does to a classifier: no larger stride, and holes that make up for it."""
    return walked(strides, most, lambda hole, dropped: hole * dropped)


def walked(strides, most, later, at_once=False):
    """later(hole, dropped): the hole of the layers after one whose stride is dropped."""
    step, hole, kept, holes = 1, 1, [], []
    for stride in strides.tolist():
        here, hole_before = stride, hole
        if step * stride > most:
            here, hole = 1, later(hole, stride)
        step *= here
        kept.append(here)
        holes.append(hole if at_once else hole_before)
    return np.array(kept), np.array(holes)


DENSE = Exercise('strides most', 'kept holes', [
    (np.array([2, 2, 1]), 2),
    (np.array([1, 2, 1, 2, 1]), 2),
    (np.array([2, 2, 2, 2, 1]), 2),
    (np.array([1, 2, 1, 2, 1, 2, 1, 2, 1, 2, 1]), 8),                   # VGG-16, fc6 the last
    (np.array([2, 1, 4, 1, 3, 2, 1]), 2),
], dense, {
    'The strides are dropped, and the windows see less than they were taught: the layers after a '
    'dropped stride need holes.': lambda *case: walked(*case, lambda hole, dropped: 1),
    'A layer has the holes of the strides that were dropped before it: its own counts for the '
    'layers after it.': lambda *case: walked(*case, lambda hole, dropped: hole * dropped, True),
    'Holes multiply: after three dropped strides of 2 the taps lie 8 apart.':
        lambda *case: walked(*case, lambda hole, dropped: hole + dropped),
    'Holes stay and multiply: the last dropped stride alone does not make up for those before it.':
        lambda *case: walked(*case, lambda hole, dropped: dropped),
    'A stride that leads to `most` itself is kept: drop those that would lead beyond it.':
        lambda strides, most: dense(strides, most / 2),
    'Nothing is dropped: where the product of the strides would be above `most`, a stride becomes '
    '1.': lambda strides, most: dense(strides, np.inf),
})

EXERCISES = dict(with_holes=WITH_HOLES, dense=DENSE)
