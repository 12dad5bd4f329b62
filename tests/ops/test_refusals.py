"""What an op does not understand it refuses, in a sentence with the numbers in it.

Nothing is silently cast, broadcast, cropped or rounded: first what each op refuses on its own, then
what every op refuses of every array, and of every dy.
"""
from copy import deepcopy
from inspect import signature
from itertools import product

import numpy as np
import pytest
from samples import LOSSES, NAMES

from tinyfcn import ops


def zeros(*shape, dtype='float64'):
    return np.zeros(shape, dtype)


X = zeros(2, 3, 5, 6)
W = zeros(4, 3, 3, 3)                           # of a convolution from 3 channels to 4
V = zeros(3, 4, 3, 3)                           # of the transpose of one from 4 to 3
S = zeros(2, 3, 2, 2, dtype=int)                # switches: the top left corner
LABEL = zeros(2, 5, 6, dtype=int)
FIVE = [zeros(3) for _ in range(4)]             # w, b, mean, var of a batch_norm
DRAW = dict(train=True, rng=np.random.default_rng(0))


def loss(label=LABEL, **kwargs):
    return ops.softmax_cross_entropy(X, label, **kwargs)


def labelled(value, at=(1, 2, 3)):
    label = LABEL.copy()
    label[at] = value
    return label


def window(op, *more):
    """What any op with a window refuses of it."""
    return [
        (TypeError, r'ksize is 2\.5', lambda: op(X, *more, 2.5)),
        (TypeError, r'ksize is \(1, 2, 3\)', lambda: op(X, *more, (1, 2, 3))),
        (ValueError, r'ksize is 0\b.* at least 1', lambda: op(X, *more, 0)),
        (ValueError, r'stride is \(1, 0\).* at least 1', lambda: op(X, *more, 2, stride=(1, 0))),
        (ValueError, r'pad is -1\b.* at least 0', lambda: op(X, *more, 2, pad=-1)),
        (TypeError, r"pad is 'same'", lambda: op(X, *more, 2, pad='same')),
    ]


def pooling(op):
    return [
        *window(op),
        (ValueError, r'pad \(2, 2\) must be smaller than ksize \(2, 2\)', lambda: op(X, 2, pad=2)),
        (ValueError, r'pad \(0, 1\).*ksize \(2, 1\)', lambda: op(X, (2, 1), pad=(0, 1))),
        (ValueError, r'8×8 with stride 3×3 .*5×6', lambda: op(X, 8, stride=3)),
        (ValueError, r'7×7 does not fit .*5×6', lambda: op(X, 7, ceil=False)),
        (ValueError, r'stride is -1', lambda: op(X, 2, stride=-1)),
    ]


OWN = dict(
    im2col=[
        *window(ops.im2col),
        (ValueError, r'7×7 does not fit .*5×6 padded by 0×0', lambda: ops.im2col(X, 7)),
        (ValueError, r'9×9 does not fit .*5×6 padded by 1×1',
         lambda: ops.im2col(X, 3, pad=1, dilation=4)),
        (ValueError, r'dilation is 0', lambda: ops.im2col(X, 3, dilation=0)),
    ],
    col2im=[
        (ValueError, r'\(2, 17, 4\).*\(2, 16, 4\)', lambda: ops.col2im(zeros(2, 17, 4), (3, 3), 2)),
        (ValueError, r'\(2, 16, 5\).*\(2, 16, 4\)', lambda: ops.col2im(zeros(2, 16, 5), (3, 3), 2)),
        (ValueError, r'\(3, 3, 3\) has 3 channels.* 4',
         lambda: ops.col2im(zeros(2, 16, 4), (3, 3, 3), 2)),
        (ValueError, r'\(7, 4, 3, 3\)',
         lambda: ops.col2im(zeros(2, 16, 4), (7, 4, 3, 3), 2)),
        (ValueError, r'\(3,\)', lambda: ops.col2im(zeros(2, 16, 4), (3,), 2)),
        (ValueError, r'at least 1', lambda: ops.col2im(zeros(2, 16, 4), (3, 0), 2)),
        (ValueError, r'4×4 does not fit .*3×3', lambda: ops.col2im(zeros(2, 16, 4), (3, 3), 4)),
        (ValueError, r'stride is 0', lambda: ops.col2im(zeros(2, 16, 4), (3, 3), 2, stride=0)),
        (TypeError, r'\b9\b', lambda: ops.col2im(zeros(2, 16, 4), 9, 2)),
    ],
    conv2d=[
        (ValueError, r'x has 3 channels.*\(4, 2, 3, 3\).* reads 2',
         lambda: ops.conv2d(X, zeros(4, 2, 3, 3))),
        (ValueError, r'x has 3 channels.*groups=2 reads 6', lambda: ops.conv2d(X, W, groups=2)),
        (ValueError, r'groups=3 does not divide the 4 filters',
         lambda: ops.conv2d(X, zeros(4, 1, 3, 3), groups=3)),
        (ValueError, r'groups is 0', lambda: ops.conv2d(X, W, groups=0)),
        (ValueError, r'groups=8', lambda: ops.conv2d(X, W, groups=8)),
        ((TypeError, ValueError), r'groups.*1\.0', lambda: ops.conv2d(X, W, groups=1.)),
        (ValueError, r'b has shape \(3,\); \(4,\)', lambda: ops.conv2d(X, W, zeros(3))),
        (ValueError, r'b has shape \(1,\); \(4,\)', lambda: ops.conv2d(X, W, zeros(1))),
        (ValueError, r'3×3 does not fit .*2×6', lambda: ops.conv2d(X[:, :, :2], W)),
        (ValueError, r'stride is 0', lambda: ops.conv2d(X, W, stride=0)),
        (ValueError, r'pad is \(0, -1\)', lambda: ops.conv2d(X, W, pad=(0, -1))),
        (TypeError, r'dilation is 1\.5', lambda: ops.conv2d(X, W, dilation=1.5)),
    ],
    conv_transpose2d=[
        (ValueError, r'x has 3 channels.*\(4, 3, 3, 3\).* reads 4',
         lambda: ops.conv_transpose2d(X, W)),
        (ValueError, r'groups=2 does not divide the 3 filters',
         lambda: ops.conv_transpose2d(X, V, groups=2)),
        (ValueError, r'groups is -1', lambda: ops.conv_transpose2d(X, V, groups=-1)),
        (ValueError, r'b has shape \(3,\); \(4,\)',
         lambda: ops.conv_transpose2d(X, V, zeros(3))),
        (ValueError, r'output_padding \(2, 2\).* stride \(2, 2\)',
         lambda: ops.conv_transpose2d(X, V, stride=2, output_padding=2)),
        (ValueError, r'output_padding \(0, 1\).* stride \(2, 1\)',
         lambda: ops.conv_transpose2d(X, V, stride=(2, 1), output_padding=(0, 1))),
        (ValueError, r'output_padding is -1',
         lambda: ops.conv_transpose2d(X, V, output_padding=-1)),
        (ValueError, r'pad \(4, 4\) leaves nothing .*7×8',
         lambda: ops.conv_transpose2d(X, V, pad=4)),
        (ValueError, r'stride is \(0, 1\)', lambda: ops.conv_transpose2d(X, V, stride=(0, 1))),
    ],
    conv_matrix=[
        (ValueError, r'w has shape \(3, 3\); 4 axes', lambda: ops.conv_matrix(zeros(3, 3), (5, 5))),
        (ValueError, r'groups=3 does not divide the 4 filters',
         lambda: ops.conv_matrix(W, (5, 6), groups=3)),
        (ValueError, r'\(2, 5, 6\) has 2 channels.* 3', lambda: ops.conv_matrix(W, (2, 5, 6))),
        (ValueError, r'\(2, 3, 5, 6, 7\)', lambda: ops.conv_matrix(W, (2, 3, 5, 6, 7))),
        (ValueError, r'3×3 does not fit .*2×2', lambda: ops.conv_matrix(W, (2, 2))),
        (ValueError, r'5\.4e\+07 entries', lambda: ops.conv_matrix(W, (709, 709))),
        (TypeError, r'list', lambda: ops.conv_matrix(W.tolist(), (5, 6))),
        (TypeError, r'w is float16', lambda: ops.conv_matrix(W.astype('float16'), (5, 6))),
        (TypeError, r'w is complex128', lambda: ops.conv_matrix(W + 0j, (5, 6))),
    ],
    max_switches=pooling(ops.max_switches),
    max_pool=pooling(ops.max_pool),
    avg_pool=pooling(ops.avg_pool),
    avg_pool_to=[
        (ValueError, r'bins is 0', lambda: ops.avg_pool_to(X, 0)),
        (ValueError, r'bins is \(2, -1\)', lambda: ops.avg_pool_to(X, (2, -1))),
        (TypeError, r'bins is 2\.0', lambda: ops.avg_pool_to(X, 2.)),
        (TypeError, r'bins is \(1, 2, 3\)', lambda: ops.avg_pool_to(X, (1, 2, 3))),
        (TypeError, r'bins is None', lambda: ops.avg_pool_to(X, None)),
    ],
    take=[
        (ValueError, r'from 0 to 30; .*5×6 .*0 … 29', lambda: ops.take(X, S + [[0, 30], [0, 0]])),
        (ValueError, r'from -1 to 0', lambda: ops.take(X, S - [[0, 1], [0, 0]])),
        (ValueError, r'\(2, 1, 2, 2\).*\(2, 3, 2, 2\)', lambda: ops.take(X, S[:, :1])),
        (ValueError, r'\(1, 3, 2, 2\).*\(2, 3, 2, 2\)', lambda: ops.take(X, S[:1])),
        (ValueError, r'switches has shape \(2, 3, 4\)', lambda: ops.take(X, S.reshape(2, 3, 4))),
        (TypeError, r'switches is float64', lambda: ops.take(X, S * 1.)),
    ],
    unpool=[
        (ValueError, r'from 0 to 12; .*3×4 .*0 … 11',
         lambda: ops.unpool(S * 1., S + [[0, 12], [0, 0]], (3, 4))),
        (ValueError, r'from -5 to 0', lambda: ops.unpool(S * 1., S - [[0, 5], [0, 0]], (3, 4))),
        (ValueError, r'\(1, 3, 2, 2\).*\(2, 3, 2, 2\)', lambda: ops.unpool(S * 1., S[:1], (3, 4))),
        (ValueError, r'\(2, 3, 2, 1\).*\(2, 3, 2, 2\)',
         lambda: ops.unpool(S * 1., S[..., :1], (3, 4))),
        (ValueError, r'\(4,\)', lambda: ops.unpool(S * 1., S, (4,))),
        (ValueError, r'\(0, 4\)', lambda: ops.unpool(S * 1., S, (0, 4))),
        (ValueError, r'\b7\b.* 3\b', lambda: ops.unpool(S * 1., S, (7, 3, 4))),
        (TypeError, r'\b12\b', lambda: ops.unpool(S * 1., S, 12)),
    ],
    upsample=[
        (ValueError, r'factor is 0', lambda: ops.upsample(X, 0)),
        (TypeError, r'factor is 1\.5', lambda: ops.upsample(X, 1.5)),
        (ValueError, r'\(5, 5\) does not upsample by \(2, 2\)', lambda: ops.upsample(X, 2, 5)),
        (ValueError, r'\(2, 2\) does not upsample by \(2, 2\)', lambda: ops.upsample(X, 2, 2)),
        (ValueError, r'\(4, 4\) does not upsample by \(2, 3\)', lambda: ops.upsample(X, (2, 3), 4)),
        (ValueError, r'pad is -1', lambda: ops.upsample(X, 2, pad=-1)),
        (ValueError, r'pad \(6, 6\) leaves nothing .*12×14', lambda: ops.upsample(X, 2, pad=6)),
    ],
    resize=[
        (ValueError, r'size is 0', lambda: ops.resize(X, 0)),
        (ValueError, r'size is \(4, -4\)', lambda: ops.resize(X, (4, -4))),
        (TypeError, r'size is 2\.5', lambda: ops.resize(X, 2.5)),
        (TypeError, r'size is \(2, 3, 4, 5\)', lambda: ops.resize(X, (2, 3, 4, 5))),
        (TypeError, r'size is None', lambda: ops.resize(X, None)),
    ],
    crop=[
        (ValueError, r'6×6 at offset \(0, 0\) .*5×6', lambda: ops.crop(X, 6)),
        (ValueError, r'3×3 at offset \(3, 3\) .*5×6', lambda: ops.crop(X, 3, 3)),
        (ValueError, r'3×4 at offset \(0, 3\) .*5×6', lambda: ops.crop(X, (3, 4), (0, 3))),
        (ValueError, r'offset is -1', lambda: ops.crop(X, 3, -1)),
        (ValueError, r'size is 0', lambda: ops.crop(X, 0)),
        (TypeError, r'offset is \.?0?\.5', lambda: ops.crop(X, 3, .5)),
    ],
    pad=[
        (ValueError, r'before is -1', lambda: ops.pad(X, -1)),
        (ValueError, r'after is \(0, -2\)', lambda: ops.pad(X, 1, (0, -2))),
        (TypeError, r'before is 1\.0', lambda: ops.pad(X, 1.)),
        (TypeError, r'before is \(\(1, 1\), \(2, 2\)\)', lambda: ops.pad(X, ((1, 1), (2, 2)))),
        (TypeError, r'value', lambda: ops.pad(X, 1, value=[1., 2.])),
        (TypeError, r'value', lambda: ops.pad(X, 1, value=1j)),
    ],
    channels=[
        (ValueError, r'channels 1 … 3 .* 3', lambda: ops.channels(X, 1, 4)),
        (ValueError, r'channels 3 … 3 .* 3', lambda: ops.channels(X, 3, 4)),
        (ValueError, r'\b2\b.*\b1\b', lambda: ops.channels(X, 2, 2)),
        (ValueError, r'\b2\b.*\b0\b', lambda: ops.channels(X, 2, 1)),
        (ValueError, r'-1', lambda: ops.channels(X, -1, 2)),
        (TypeError, r'1\.5', lambda: ops.channels(X, 0, 1.5)),
    ],
    concat=[
        (ValueError, r'x2 has shape \(1, 3, 5, 6\); \(2, 3, 5, 6\)',
         lambda: ops.concat(X, X[:1])),
        (ValueError, r'x2 has shape \(2, 3, 4, 6\)', lambda: ops.concat(X, X[:, :, :4])),
        (ValueError, r'x3 has shape \(2, 3, 5, 1\)', lambda: ops.concat(X, X, X[..., :1])),
        (ValueError, r'at least one', lambda: ops.concat()),
        (TypeError, r'x1: .*list', lambda: ops.concat([X, X])),
        (TypeError, r'x2 is float32 and x1 is float64', lambda: ops.concat(X, np.float32(X))),
    ],
    add=[
        (ValueError, r'x2 has shape \(1, 3, 5, 6\); \(2, 3, 5, 6\)', lambda: ops.add(X, X[:1])),
        (ValueError, r'x2 has shape \(2, 1, 5, 6\)', lambda: ops.add(X, X[:, :1])),
        (ValueError, r'x3 has shape \(3, 5, 6\)', lambda: ops.add(X, X, X[0])),
        (ValueError, r'at least one', lambda: ops.add()),
        (TypeError, r'x2: .*float', lambda: ops.add(X, 1.)),
    ],
    multiply=[
        (ValueError, r'b has shape \(1, 3, 5, 6\); \(2, 3, 5, 6\)', lambda: ops.multiply(X, X[:1])),
        (ValueError, r'b has shape \(2, 1, 5, 6\)', lambda: ops.multiply(X, X[:, :1])),
        (ValueError, r'b has shape \(2, 3, 5, 6\); \(2, 1, 5, 6\)',
         lambda: ops.multiply(X[:, :1], X)),
        (ValueError, r'b has shape \(3, 5, 6\)', lambda: ops.multiply(X, X[0])),
        (TypeError, r'b: .*float', lambda: ops.multiply(X, 2.)),
    ],
    dropout=[
        (ValueError, r'p is 1\.5', lambda: ops.dropout(X, 1.5, **DRAW)),
        (ValueError, r'p is -0\.1', lambda: ops.dropout(X, -.1, **DRAW)),
        (ValueError, r'p is 50\.0', lambda: ops.dropout(X, 50, **DRAW)),
        (ValueError, r'p is nan', lambda: ops.dropout(X, np.nan, **DRAW)),
        (ValueError, r'p is 2\.0', lambda: ops.dropout(X, 2., train=False)),
        (ValueError, r'rng', lambda: ops.dropout(X, .5, train=True)),
    ],
    batch_norm=[
        (ValueError, r'w has shape \(4,\); \(3,\)', lambda: ops.batch_norm(X, zeros(4), *FIVE[1:])),
        (ValueError, r'b has shape \(1,\); \(3,\)',
         lambda: ops.batch_norm(X, FIVE[0], zeros(1), *FIVE[2:])),
        (ValueError, r'mean has shape \(3, 1\)',
         lambda: ops.batch_norm(X, *FIVE[:2], zeros(3, 1), FIVE[3])),
        (ValueError, r'var has shape \(2,\)', lambda: ops.batch_norm(X, *FIVE[:3], zeros(2))),
        (ValueError, r'\(1, 3, 1, 1\) has one value',
         lambda: ops.batch_norm(X[:1, :, :1, :1], *FIVE, train=True)),
        (TypeError, r'var is float32 and x is float64',
         lambda: ops.batch_norm(X, *FIVE[:3], np.float32(FIVE[3]))),
    ],
    local_response_norm=[
        (TypeError, r'k is None', lambda: ops.local_response_norm(X, k=None)),
        (ValueError, r'size is 0', lambda: ops.local_response_norm(X, 0)),
        (ValueError, r'size is -1', lambda: ops.local_response_norm(X, -1)),
        (TypeError, r'size is 5\.0', lambda: ops.local_response_norm(X, 5.)),
        (TypeError, r'size is \(', lambda: ops.local_response_norm(X, (5, 5))),
    ],
    softmax_cross_entropy=[
        (ValueError, r'label 3 at row 2, column 3 of image 1.* 3 classes',
         lambda: loss(labelled(3))),
        (ValueError, r'label -1 at row 2, column 3 of image 1', lambda: loss(labelled(-1))),
        (ValueError, r'label 255 .* 0 is ignored', lambda: loss(labelled(255), ignore=0)),
        (ValueError, r'30 (such )?pixels', lambda: loss(labelled(9, 0))),
        (ValueError, r'label has shape \(1, 5, 6\); \(2, 5, 6\)', lambda: loss(LABEL[:1])),
        (ValueError, r'label has shape \(2, 1, 5, 6\)', lambda: loss(LABEL[:, None])),
        (TypeError, r'label is float64', lambda: loss(LABEL * 1.)),
        (TypeError, r'label is bool', lambda: loss(LABEL > 0)),
        (ValueError, r"reduce is 'total'", lambda: loss(reduce='total')),
        (ValueError, r'class_weight has shape \(2,\); \(3,\)',
         lambda: loss(class_weight=zeros(2))),
        (ValueError, r'pixel_weight has shape \(5, 6\); \(2, 5, 6\)',
         lambda: loss(pixel_weight=zeros(5, 6))),
        (TypeError, r'class_weight is float32',
         lambda: loss(class_weight=zeros(3, dtype='float32'))),
        (TypeError, r'pixel_weight is int64', lambda: loss(pixel_weight=LABEL)),
    ],
    focal_loss=[
        (ValueError, r'label 3 at row 2, column 3 of image 1.* 3 classes',
         lambda: ops.focal_loss(X, labelled(3))),
        (ValueError, r'label has shape \(1, 5, 6\); \(2, 5, 6\)',
         lambda: ops.focal_loss(X, LABEL[:1])),
        (ValueError, r'gamma is -0\.5: .* at least 0',
         lambda: ops.focal_loss(X, LABEL, gamma=-.5)),
        (ValueError, r'gamma is nan', lambda: ops.focal_loss(X, LABEL, gamma=np.nan)),
        (ValueError, r'gamma is inf', lambda: ops.focal_loss(X, LABEL, gamma=np.inf)),
        (TypeError, r"gamma is '2'", lambda: ops.focal_loss(X, LABEL, gamma='2')),
        (ValueError, r"reduce is 'total'", lambda: ops.focal_loss(X, LABEL, reduce='total')),
    ],
    dice_loss=[
        (ValueError, r'label 3 at row 2, column 3 of image 1.* 3 classes',
         lambda: ops.dice_loss(X, labelled(3))),
        (ValueError, r'label 255 .* 0 is ignored',
         lambda: ops.dice_loss(X, labelled(255), ignore=0)),
        (ValueError, r'label has shape \(2, 1, 5, 6\)',
         lambda: ops.dice_loss(X, LABEL[:, None])),
        (TypeError, r'label is float64', lambda: ops.dice_loss(X, LABEL * 1.)),
        (ValueError, r'class_weight has shape \(2,\); \(3,\)',
         lambda: ops.dice_loss(X, LABEL, class_weight=zeros(2))),
    ],
)
ROWS = {f'{name}-{i}': row for name, rows in OWN.items() for i, row in enumerate(rows)}


def test_five_refusals_for_every_op_with_a_geometry():
    simple = {'relu', 'leaky_relu', 'scale'}
    assert set(OWN) | simple == set(ops.__all__)
    assert all(len(rows) >= 5 for name, rows in OWN.items() if name not in simple)


@pytest.mark.parametrize('error, sentence, call', ROWS.values(), ids=ROWS)
def test_own_refusals(error, sentence, call):
    with pytest.raises(error, match=sentence):
        call()


# ---- What every op refuses of every array

EXAMPLE = dict(                                 # a sound call of each op, with every array it knows
    add=((X, X, X), {}), multiply=((X, X), {}), concat=((X, X), {}), relu=((X,), {}),
    leaky_relu=((X,), {}), dropout=((X,), DRAW), scale=((X,), dict(factor=2.)),
    conv2d=((X, W, zeros(4)), {}), conv_transpose2d=((X, V, zeros(4)), {}),
    im2col=((X,), dict(ksize=2)), col2im=((zeros(2, 12, 20),), dict(shape=(5, 6), ksize=2)),
    max_switches=((X,), dict(ksize=2)), max_pool=((X,), dict(ksize=2)),
    avg_pool=((X,), dict(ksize=2)), avg_pool_to=((X,), dict(bins=2)),
    take=((X, S), {}), unpool=((S * 1., S), dict(size=(5, 6))),
    upsample=((X,), dict(factor=2)), resize=((X,), dict(size=4)),
    crop=((X,), dict(size=3)), pad=((X,), dict(before=1)), channels=((X,), dict(start=1, stop=3)),
    batch_norm=((X, *FIVE), {}), local_response_norm=((X,), {}),
    softmax_cross_entropy=((X, LABEL), dict(class_weight=zeros(3), pixel_weight=zeros(2, 5, 6))),
    focal_loss=((X, LABEL), dict(class_weight=zeros(3), pixel_weight=zeros(2, 5, 6))),
    dice_loss=((X, LABEL), dict(class_weight=zeros(3))),
)
ANY_RANK = 'relu', 'leaky_relu', 'dropout', 'scale'
DAMAGE = dict(
    list=lambda v: v.tolist(), int=lambda v: v.astype(int), float16=lambda v: v.astype('float16'),
    complex=lambda v: v + 0j, float32=lambda v: v.astype('float32'), rank=lambda v: v[None],
)


def named(op):
    """The arrays of the example: {name: array}."""
    (args, kwargs), names = EXAMPLE[op], list(signature(getattr(ops, op)).parameters)
    if names == ['xs']:
        names = [f'x{i}' for i in range(1, len(args) + 1)]
    given = *zip(names, args), *kwargs.items()
    return {name: v for name, v in given if isinstance(v, np.ndarray)}


def damaged():
    """op, the name of an array, and how to damage it: all that must be refused."""
    for op in NAMES:
        arrays = named(op)
        for name, harm in product(arrays, DAMAGE):
            whole = arrays[name].dtype.kind == 'i'
            lonely = sum(v.dtype.kind == 'f' for v in arrays.values()) == 1
            sound = (harm == 'int' and whole or harm == 'float32' and lonely and not whole
                     or harm == 'rank' and op in ANY_RANK)
            if not sound:
                yield op, name, harm


@pytest.mark.parametrize('op, name, harm', list(damaged()))
def test_shared_refusals(op, name, harm):
    args, kwargs = deepcopy(EXAMPLE[op])
    broken = DAMAGE[harm](named(op)[name])
    if name in kwargs:
        kwargs[name] = broken
    else:
        at = list(named(op)).index(name)
        args = *args[:at], broken, *args[at + 1:]
    with pytest.raises(ValueError if harm == 'rank' else TypeError, match=rf'\b{name}\b'):
        getattr(ops, op)(*args, **kwargs)


@pytest.mark.parametrize('op', NAMES)
def test_the_valid_example_is_accepted(op):
    backward(op, lambda dy: dy)


# ---- What every backward refuses of dy

WITH_DY = [name for name in NAMES if name not in ('max_switches', *LOSSES)]
MEETS = [                                       # their backward multiplies dy by what they kept
    'conv2d', 'conv_transpose2d', 'relu', 'leaky_relu', 'multiply', 'batch_norm',
    'local_response_norm', 'avg_pool', 'avg_pool_to', 'upsample', 'resize']
WRONG_SHAPE = dict(
    one=lambda dy: dy.ravel()[:1].reshape((1,) * dy.ndim),
    fewer_pictures=lambda dy: dy[:1],
    more_pictures=lambda dy: np.repeat(dy, 2, axis=0),
    fewer_channels=lambda dy: dy[:, :1],
    narrower=lambda dy: dy[..., :1],
    wider=lambda dy: np.repeat(dy, 2, axis=-1),
    another_axis=lambda dy: dy[None],
)


def backward(op, harm):
    args, kwargs = deepcopy(EXAMPLE[op])
    y, cache, *_ = getattr(ops, op)(*args, **kwargs)
    return getattr(ops, op).backward(harm(np.zeros(np.shape(y))), cache)


@pytest.mark.parametrize('harm', WRONG_SHAPE)
@pytest.mark.parametrize('op', WITH_DY)
def test_dy_of_another_shape_is_refused(op, harm):
    with pytest.raises(ValueError, match=r'has shape \('):
        backward(op, WRONG_SHAPE[harm])


@pytest.mark.parametrize('harm, kind', [
    ('list', 'list'), ('int', 'int64'), ('float16', 'float16'), ('complex', 'complex128')])
@pytest.mark.parametrize('op', WITH_DY)
def test_dy_of_another_kind_is_refused(op, harm, kind):
    with pytest.raises(TypeError, match=rf'\b{kind}\b'):
        backward(op, DAMAGE[harm])


@pytest.mark.parametrize('op', MEETS)
def test_dy_of_another_precision_is_refused_where_it_meets_an_array(op):
    with pytest.raises(TypeError, match=r'\bdy\b.*float'):
        backward(op, DAMAGE['float32'])


@pytest.mark.parametrize('dy', [np.ones(2), [1.], 1j, None])
@pytest.mark.parametrize('op', LOSSES)
def test_the_dy_of_a_loss_is_a_number(op, dy):
    _, dscore = getattr(ops, op)(X, LABEL)
    with pytest.raises(TypeError):
        getattr(ops, op).backward(dy, dscore)
