"""One table of sample inputs, which feeds every test of an op.

    TABLE['conv2d-depthwise']       an edge case, chosen by hand
    TABLE['conv2d-7']               a random one
    conv2d(pick)                    how random ones are drawn: pick(lo, hi) is an int in lo … hi

The table draws from a seeded generator, test_random_geometry.py from hypothesis: one description
serves both. Numbers are of unit scale, off the kink of relu, and without ties under a max.
"""
from typing import NamedTuple
from zlib import crc32

import numpy as np

from tinyfcn import ops


class Sample(NamedTuple):
    """ops.<op>(*args, **kwargs): arrays (or None, for no bias) in args, all else in kwargs."""
    op: str
    args: tuple
    kwargs: dict


def changed(sample, change):
    """The sample with change(array) in place of every array; all else stays."""
    def maybe(v):
        return change(v) if isinstance(v, np.ndarray) else v
    return sample._replace(args=tuple(map(maybe, sample.args)),
                           kwargs={key: maybe(v) for key, v in sample.kwargs.items()})


# ---- Values

def stream(at):
    """Numbers that no plain seed gives: were dy drawn like x, it would hide a wrong gradient."""
    return np.random.default_rng((at, 1))


def normal(rng, *shape):
    return rng.standard_normal(shape)


def off_zero(rng, *shape):
    """Normal, and at least 1e-3 from the kink of relu: no finite difference crosses it."""
    x = normal(rng, *shape)
    return x + np.copysign(1e-3, x)


def distinct(rng, *shape):
    """−2 … 2 in random order, at least 1e-3 apart (up to 4000 values).

    No finite difference changes which value of a window is largest.
    """
    count = int(np.prod(shape))
    return (4 * rng.permutation(count) / count - 2).reshape(shape)


# ---- Memory: the same values, laid out in other strides

def channels_last(x):
    """(N, C, H, W) whose channels lie side by side."""
    axis = min(1, x.ndim - 1)
    return np.moveaxis(np.ascontiguousarray(np.moveaxis(x, axis, -1)), -1, axis)


def transposed(x):
    return np.asfortranarray(x)


def backwards(x):
    flip = (slice(None, None, -1),) * x.ndim
    return np.ascontiguousarray(x[flip])[flip]


def with_gaps(x):
    return np.repeat(x, 2, axis=-1)[..., ::2]


LAYOUTS = channels_last, transposed, backwards, with_gaps


def relaid(layout, sample):
    """The same sample, every array in another layout."""
    return changed(sample, layout)


# ---- Geometry

def both(v):
    """An int or a pair -> a pair."""
    return v if isinstance(v, tuple) else (v, v)


def some(pick, lo, hi):
    """An int, or a pair of ints: every geometry is one or the other."""
    return (pick(lo, hi), pick(lo, hi)) if pick(0, 1) else pick(lo, hi)


def seed(pick):
    return pick(0, 9999)


def image(pick, most=6):
    return pick(1, most), pick(1, most)


def window(pick):
    """A window and an image that it fits into. -> (H, W), ksize, the other geometry"""
    ksize, dilation, pad = some(pick, 1, 3), some(pick, 1, 2), some(pick, 0, 2)
    reach = [d * (k - 1) + 1 for k, d in zip(both(ksize), both(dilation))]
    least = [max(1, r - 2 * p) for r, p in zip(reach, both(pad))]
    size = tuple(pick(n, n + 4) for n in least)
    return size, ksize, dict(stride=some(pick, 1, 3), pad=pad, dilation=dilation)


def windows(size, ksize, stride=1, pad=0, dilation=1):
    """How many windows fit."""
    return tuple((n + 2 * p - d * (k - 1) - 1) // s + 1 for n, k, s, p, d in
                 zip(size, both(ksize), both(stride), both(pad), both(dilation)))


# ---- Convolution

def a_conv2d(size, c=2, k=3, ksize=3, n=2, bias=True, at=0, groups=1, **kwargs):
    rng = stream(at)
    x, w = normal(rng, n, c, *size), normal(rng, k, c // groups, *both(ksize))
    b = normal(rng, k) if bias else None
    return Sample('conv2d', (x, w, b), dict(kwargs, groups=groups))


def conv2d(pick):
    (size, ksize, kwargs), groups = window(pick), pick(1, 3)
    return a_conv2d(size, groups * pick(1, 2), groups * pick(1, 2), ksize, pick(1, 2),
                    bias=pick(0, 3) > 0, at=seed(pick), groups=groups, **kwargs)


CONV2D = {
    '1x1-image': a_conv2d((1, 1), ksize=1),
    '1x1-image-padded': a_conv2d((1, 1), ksize=3, pad=1),
    'kernel-as-large-as-image': a_conv2d((4, 5), ksize=(4, 5)),
    'kernel-larger-than-image': a_conv2d((2, 3), ksize=(4, 5), pad=1),
    'stride-larger-than-kernel': a_conv2d((8, 9), ksize=2, stride=3),
    'rows-no-window-reaches': a_conv2d((6, 8), ksize=2, stride=4),
    'large-pad': a_conv2d((2, 3), c=1, k=2, ksize=3, pad=10),
    'large-pad-and-stride': a_conv2d((2, 3), c=1, k=2, ksize=3, pad=11, stride=4),
    'dilation': a_conv2d((6, 7), ksize=3, dilation=2),
    'dilation-pair': a_conv2d((7, 5), ksize=(3, 2), dilation=(2, 3), pad=(1, 0)),
    'all-pairs': a_conv2d((7, 6), ksize=(3, 2), stride=(2, 1), pad=(0, 2), dilation=(1, 2)),
    'groups': a_conv2d((5, 4), c=4, k=6, groups=2, pad=1),
    'depthwise': a_conv2d((5, 4), c=4, k=4, groups=4, pad=1),
    'depthwise-multiplied': a_conv2d((5, 4), c=3, k=6, groups=3, stride=2),
    'no-bias': a_conv2d((5, 4), bias=False),
    'one-image-one-channel': a_conv2d((4, 4), c=1, k=1, n=1),
    'channels-last': relaid(channels_last, a_conv2d((5, 4), c=3, pad=1)),
    'transposed-memory': relaid(transposed, a_conv2d((5, 4), c=3, stride=2)),
    'negative-strides': relaid(backwards, a_conv2d((5, 4), c=4, k=4, groups=2)),
}


def a_conv_transpose2d(size, c=3, k=2, ksize=3, n=2, bias=True, at=0, groups=1, **kwargs):
    rng = stream(at)
    x, w = normal(rng, n, c, *size), normal(rng, c, k // groups, *both(ksize))
    b = normal(rng, k) if bias else None
    return Sample('conv_transpose2d', (x, w, b), dict(kwargs, groups=groups))


def conv_transpose2d(pick):
    size, groups = image(pick, 4), pick(1, 3)
    ksize, stride, dilation = some(pick, 1, 3), some(pick, 1, 3), some(pick, 1, 2)
    extra = tuple(pick(0, s - 1) for s in both(stride))
    whole = [(n - 1) * s + d * (k - 1) + 1 + e for n, k, s, d, e in
             zip(size, both(ksize), both(stride), both(dilation), extra)]
    pad = tuple(pick(0, min(2, (n - 1) // 2)) for n in whole)           # at least one row is left
    return a_conv_transpose2d(size, groups * pick(1, 2), groups * pick(1, 2), ksize, pick(1, 2),
                              bias=pick(0, 3) > 0, at=seed(pick), groups=groups, stride=stride,
                              pad=pad, dilation=dilation, output_padding=extra)


CONV_TRANSPOSE2D = {
    '1x1-image': a_conv_transpose2d((1, 1)),
    'doubling': a_conv_transpose2d((3, 4), ksize=4, stride=2, pad=1),
    'stride-larger-than-kernel': a_conv_transpose2d((3, 2), ksize=2, stride=3),
    'output-padding': a_conv_transpose2d((3, 2), stride=2, pad=1, output_padding=1),
    'output-padding-pair': a_conv_transpose2d((3, 2), stride=(3, 2), output_padding=(2, 0)),
    'output-padding-beyond-the-stamps': a_conv_transpose2d((2, 2), ksize=1, stride=4,
                                                           output_padding=3),
    'dilation': a_conv_transpose2d((3, 2), stride=2, dilation=(2, 3)),
    'pad-cuts-almost-all': a_conv_transpose2d((2, 3), ksize=3, pad=(1, 2)),
    'all-pairs': a_conv_transpose2d((3, 4), ksize=(3, 2), stride=(1, 3), pad=(2, 1),
                                    dilation=(2, 1), output_padding=(0, 2)),
    'groups': a_conv_transpose2d((3, 2), c=4, k=6, groups=2, stride=2),
    'depthwise': a_conv_transpose2d((3, 2), c=4, k=4, groups=4, stride=2, ksize=4, pad=1),
    'no-bias': a_conv_transpose2d((3, 2), bias=False),
    'channels-last': relaid(channels_last, a_conv_transpose2d((3, 2), stride=2)),
    'negative-strides': relaid(backwards, a_conv_transpose2d((3, 2), c=4, groups=2)),
}


def an_im2col(size, ksize, c=2, n=2, at=0, **kwargs):
    return Sample('im2col', (normal(stream(at), n, c, *size),),
                  dict(kwargs, ksize=ksize))


def im2col(pick):
    size, ksize, kwargs = window(pick)
    return an_im2col(size, ksize, pick(1, 3), pick(1, 2), seed(pick), **kwargs)


IM2COL = {
    '1x1-image': an_im2col((1, 1), 1),
    'whole-image': an_im2col((3, 4), (3, 4)),
    'stride-larger-than-kernel': an_im2col((7, 8), 2, stride=3),
    'large-pad': an_im2col((2, 3), 3, pad=9),
    'all-pairs': an_im2col((7, 6), (3, 2), stride=(2, 1), pad=(0, 2), dilation=(1, 2)),
    'channels-last': relaid(channels_last, an_im2col((4, 5), 3, c=3)),
}


def a_col2im(shape, ksize, c=2, n=2, at=0, **kwargs):
    rows, count = c * int(np.prod(both(ksize))), int(np.prod(windows(shape[-2:], ksize, **kwargs)))
    return Sample('col2im', (normal(stream(at), n, rows, count),),
                  dict(kwargs, shape=shape, ksize=ksize))


def col2im(pick):
    size, ksize, kwargs = window(pick)
    return a_col2im(size, ksize, pick(1, 3), pick(1, 2), seed(pick), **kwargs)


COL2IM = {
    '1x1-image': a_col2im((1, 1), 1),
    'whole-image': a_col2im((3, 4), (3, 4)),
    'rows-no-window-reaches': a_col2im((7, 8), 2, stride=4),
    'large-pad': a_col2im((2, 3), 3, pad=9),
    'shape-with-channels': a_col2im((2, 4, 5), 3, stride=2),
    'shape-with-batch': a_col2im((2, 2, 4, 5), 3, dilation=(1, 2)),
    'transposed-memory': relaid(transposed, a_col2im((4, 5), 3, c=3, pad=1)),
}


# ---- Pooling

def a_pool(op, size, ksize, c=2, n=2, at=0, **kwargs):
    values = normal if op == 'avg_pool' else distinct
    return Sample(op, (values(stream(at), n, c, *size),), dict(kwargs, ksize=ksize))


def pool(op, pick):
    ksize, stride, ceil = some(pick, 1, 4), some(pick, 1, 4) if pick(0, 3) else None, pick(0, 1)
    pad = pick(0, min(both(ksize)) - 1)
    if pick(0, 1):
        pad = pad, pick(0, both(ksize)[1] - 1)
    step = both(stride or ksize)
    spare = [s - 1 if ceil else 0 for s in step]            # a last window may hang over by these
    dilation = some(pick, 1, 3) if pick(0, 2) == 0 else 1
    reach = [d * (k - 1) + 1 for k, d in zip(both(ksize), both(dilation))]
    least = [max(1, r - 2 * p - e) for r, p, e in zip(reach, both(pad), spare)]
    size = tuple(pick(n, n + 5) for n in least)
    kwargs = dict(stride=stride, pad=pad, ceil=bool(ceil), dilation=dilation)
    if not all(map(reads_the_image, size, both(ksize), step, both(pad), both(dilation))):
        kwargs['dilation'] = 1
        size = tuple(max(n, k) for n, k in zip(size, both(ksize)))
    if op == 'avg_pool' and pick(0, 1):
        kwargs['count_include_pad'] = False
    return a_pool(op, size, ksize, pick(1, 2), pick(1, 2), seed(pick), **kwargs)


def reads_the_image(n, k, s, p, d):
    """Whether each window that begins in the padding has a tap inside n pixels."""
    return all(any(0 <= start + d * tap < n for tap in range(k)) for start in range(-p, 0, s))


def max_pool(pick):
    return pool('max_pool', pick)


def max_switches(pick):
    return pool('max_switches', pick)


def avg_pool(pick):
    return pool('avg_pool', pick)


def pools(op):
    return {
        '1x1-image': a_pool(op, (1, 1), 1),
        'halving': a_pool(op, (4, 6), 2),
        'ceil-hangs-over': a_pool(op, (5, 7), 2),
        'floor-rounds-down': a_pool(op, (5, 7), 2, ceil=False),
        'ceil-hangs-over-overlapping': a_pool(op, (6, 8), 3, stride=2),
        'window-hangs-over-the-padding': a_pool(op, (4, 4), 3, stride=2, pad=1),
        'last-window-dropped': a_pool(op, (5, 5), 2, stride=3, pad=1),
        'one-axis-drops-its-last-window': a_pool(op, (5, 6), 2, stride=3, pad=1),
        'image-smaller-than-window': a_pool(op, (2, 2), 3, stride=2),
        'padded': a_pool(op, (5, 4), 3, stride=1, pad=1),
        'pad-almost-ksize': a_pool(op, (5, 4), 4, stride=2, pad=3),
        'stride-larger-than-kernel': a_pool(op, (8, 9), 2, stride=3),
        'all-pairs': a_pool(op, (5, 7), (3, 2), stride=(1, 2), pad=(1, 0)),
        'whole-image': a_pool(op, (4, 5), (4, 5)),
        'channels-last': relaid(channels_last, a_pool(op, (5, 4), 2, c=3)),
        'negative-strides': relaid(backwards, a_pool(op, (5, 4), 3, stride=1, c=3)),
        'dilated': a_pool(op, (7, 8), 3, stride=1, dilation=2),
        'dilated-pair-and-padded': a_pool(op, (7, 6), (3, 2), stride=2, pad=(2, 1),
                                          dilation=(2, 3)),
        'dilated-hangs-over': a_pool(op, (6, 7), 2, stride=2, dilation=3),
        'dilated-floor': a_pool(op, (6, 7), 2, stride=2, dilation=3, ceil=False),
        'dilated-by-more-than-the-stride': a_pool(op, (9, 9), 3, stride=1, pad=1, dilation=4),
        'window-far-larger-than-image': a_pool(op, (3, 4), 1000),
        'pad-and-window-far-larger-than-image': a_pool(op, (3, 4), 9, stride=1, pad=8),
    }


AVG_POOL = {
    **pools('avg_pool'),
    'image-alone': a_pool('avg_pool', (5, 4), 3, stride=1, pad=1, count_include_pad=False),
    'image-alone-hangs-over': a_pool('avg_pool', (6, 8), 3, stride=2, pad=1,
                                     count_include_pad=False),
    'image-alone-pad-almost-ksize': a_pool('avg_pool', (5, 4), 4, stride=2, pad=3,
                                           count_include_pad=False),
    'image-alone-dilated': a_pool('avg_pool', (7, 6), 3, stride=2, pad=2, dilation=2,
                                  count_include_pad=False),
}


def an_avg_pool_to(size, bins, c=2, n=2, at=0):
    return Sample('avg_pool_to', (normal(stream(at), n, c, *size),),
                  dict(bins=bins))


def avg_pool_to(pick):
    return an_avg_pool_to(image(pick, 9), some(pick, 1, 6), pick(1, 3), pick(1, 2), seed(pick))


AVG_POOL_TO = {
    '1x1-image': an_avg_pool_to((1, 1), 1),
    'one-bin': an_avg_pool_to((5, 4), 1),
    'even-bins': an_avg_pool_to((6, 4), (3, 2)),
    'bins-share-pixels': an_avg_pool_to((7, 5), (3, 2)),
    'a-bin-for-each-pixel': an_avg_pool_to((3, 4), (3, 4)),
    'more-bins-than-pixels': an_avg_pool_to((2, 3), (5, 4)),
    'channels-last': relaid(channels_last, an_avg_pool_to((7, 5), 3)),
}


def a_take(size, out, c=2, n=2, at=0, dtype='int64'):
    rng = stream(at)
    switches = rng.integers(0, size[0] * size[1], (n, c, *out)).astype(dtype)
    return Sample('take', (normal(rng, n, c, *size), switches), {})


def take(pick):
    return a_take(image(pick), image(pick), pick(1, 3), pick(1, 2), seed(pick))


TAKE = {
    '1x1-image': a_take((1, 1), (1, 1)),
    'one-pixel-many-times': a_take((1, 1), (3, 4)),
    'more-than-there-are': a_take((2, 3), (5, 4)),
    'int32-switches': a_take((4, 5), (2, 3), dtype='int32'),
    'uint8-switches': a_take((4, 5), (2, 3), dtype='uint8'),
    'uint64-switches': a_take((4, 5), (2, 3), dtype='uint64'),
    'channels-last': relaid(channels_last, a_take((4, 5), (2, 3), c=3)),
}


def an_unpool(size, out, c=2, n=2, at=0, dtype='int64'):
    rng = stream(at)
    switches = rng.integers(0, size[-2] * size[-1], (n, c, *out)).astype(dtype)
    return Sample('unpool', (normal(rng, n, c, *out), switches), dict(size=size))


def unpool(pick):
    return an_unpool(image(pick), image(pick), pick(1, 3), pick(1, 2), seed(pick))


UNPOOL = {
    '1x1-image': an_unpool((1, 1), (1, 1)),
    'overlapping-windows': an_unpool((1, 2), (3, 4)),
    'most-pixels-stay-zero': an_unpool((6, 6), (1, 2)),
    'size-with-channels': an_unpool((2, 4, 5), (2, 3)),
    'int32-switches': an_unpool((4, 5), (2, 3), dtype='int32'),
    'uint8-switches': an_unpool((4, 5), (2, 3), dtype='uint8'),
    'uint64-switches': an_unpool((4, 5), (2, 3), dtype='uint64'),
    'transposed-memory': relaid(transposed, an_unpool((4, 5), (2, 3), c=3)),
}


# ---- Fixed upsampling

def an_upsample(size, factor, c=2, n=2, at=0, **kwargs):
    return Sample('upsample', (normal(stream(at), n, c, *size),),
                  dict(kwargs, factor=factor))


def upsample(pick):
    size, factor = image(pick, 4), some(pick, 1, 4)
    ksize = tuple(2 * f - pick(0, 1) for f in both(factor))
    whole = [(n - 1) * f + k for n, f, k in zip(size, both(factor), ksize)]
    pad = tuple(pick(0, min(2, (n - 1) // 2)) for n in whole)
    kwargs = dict(ksize=ksize, pad=pad) if pick(0, 2) else {}
    return an_upsample(size, factor, pick(1, 3), pick(1, 2), seed(pick), **kwargs)


UPSAMPLE = {
    '1x1-image': an_upsample((1, 1), 2),
    'by-one': an_upsample((3, 4), 1),
    'by-two-cut-to-double': an_upsample((3, 4), 2, pad=1),
    'odd-factor': an_upsample((3, 2), 3),
    'odd-factor-even-ksize': an_upsample((3, 2), 3, ksize=6),
    'even-factor-odd-ksize': an_upsample((3, 2), 4, ksize=7),
    'all-pairs': an_upsample((3, 2), (2, 3), ksize=(3, 6), pad=(1, 0)),
    'by-eight': an_upsample((2, 2), 8, c=1, n=1),
    'channels-last': relaid(channels_last, an_upsample((3, 4), 2, c=3)),
}


def a_resize(size, to=None, c=2, n=2, at=0, **kwargs):
    return Sample('resize', (normal(stream(at), n, c, *size),), dict(kwargs, size=to))


def resize(pick):
    to, corners = some(pick, 1, 8), bool(pick(0, 1))
    arguments = image(pick), to, pick(1, 3), pick(1, 2), seed(pick)
    kwargs = dict(align_corners=corners)
    if pick(0, 2) == 0:
        kwargs = dict(mode='nearest')
    if pick(0, 2) == 0:                                     # at least one row and column are left
        kwargs['scale'] = some_scale(pick)
        arguments = arguments[0], None, *arguments[2:]
    return a_resize(*arguments, **kwargs)


def some_scale(pick):
    """1 … 4 in steps of a quarter, or one for each axis."""
    return (pick(4, 16) / 4, pick(4, 16) / 4) if pick(0, 1) else pick(4, 16) / 4


RESIZE = {
    '1x1-image': a_resize((1, 1), (3, 4)),
    '1x1-image-aligned': a_resize((1, 1), (3, 4), align_corners=True),
    'to-one-pixel': a_resize((3, 4), 1),
    'to-one-pixel-aligned': a_resize((3, 4), 1, align_corners=True),
    'same-size': a_resize((3, 4), (3, 4)),
    'doubled': a_resize((3, 4), (6, 8)),
    'doubled-aligned': a_resize((3, 4), (6, 8), align_corners=True),
    'shrunk': a_resize((7, 9), (3, 2)),
    'shrunk-aligned': a_resize((7, 9), (3, 2), align_corners=True),
    'higher-and-narrower': a_resize((3, 7), (5, 4)),
    'channels-last': relaid(channels_last, a_resize((3, 4), (5, 7), c=3)),
    'scaled': a_resize((3, 4), scale=2),
    'scaled-down': a_resize((7, 9), scale=.5),
    'scaled-to-no-whole-number': a_resize((5, 7), scale=(1.3, .6)),
    'scaled-aligned': a_resize((3, 4), scale=1.7, align_corners=True),
    'nearest': a_resize((3, 4), (6, 7), mode='nearest'),
    'nearest-shrunk': a_resize((7, 9), (3, 2), mode='nearest'),
    'nearest-one-pixel': a_resize((1, 1), (3, 4), mode='nearest'),
    'scaled-to-the-same-height': a_resize((3, 7), scale=1.1),
    'nearest-scaled': a_resize((5, 4), scale=(1.5, .75), mode='nearest'),
}


# ---- Pointwise

def a_pointwise(op, *shape, at=0, count=1, **kwargs):
    rng = stream(at)
    return Sample(op, tuple(off_zero(rng, *shape) for _ in range(count)), kwargs)


def shape(pick):
    return pick(1, 3), pick(1, 4), *image(pick)


def relu(pick):
    return a_pointwise('relu', *shape(pick), at=seed(pick))


def leaky_relu(pick):
    return a_pointwise('leaky_relu', *shape(pick), at=seed(pick), slope=pick(-5, 15) / 10)


def dropout(pick):
    return a_pointwise('dropout', *shape(pick), at=seed(pick), p=pick(0, 10) / 10,
                       train=pick(0, 3) > 0, rng=np.random.default_rng(seed(pick)))


def add(pick):
    return a_pointwise('add', *shape(pick), at=seed(pick), count=pick(1, 4))


def multiply(pick):
    return a_pointwise('multiply', *shape(pick), at=seed(pick), count=2)


def scale(pick):
    return a_pointwise('scale', *shape(pick), at=seed(pick), factor=pick(-30, 30) / 10)


def pointwise(op, count=1, **kwargs):
    return {
        'one-value': a_pointwise(op, 1, 1, 1, 1, count=count, **kwargs),
        'a-vector': a_pointwise(op, 7, count=count, **kwargs),
        'channels-last': relaid(channels_last, a_pointwise(op, 2, 3, 4, 5, count=count, **kwargs)),
        'negative-strides': relaid(backwards, a_pointwise(op, 2, 3, 4, 5, count=count, **kwargs)),
    }


def the_same(op, count):
    """One array handed in `count` times, as a fan-out in a net does."""
    sample = a_pointwise(op, 2, 2, 3, 4)
    return sample._replace(args=sample.args * count)


# a test copies the rng before it runs a sample
DRAWN = dict(train=True, rng=np.random.default_rng(0))
DROPOUT = {
    **pointwise('dropout', p=.5, **DRAWN),
    'not-training': a_pointwise('dropout', 2, 3, 4, 5),
    'keeps-all': a_pointwise('dropout', 2, 3, 4, 5, p=0., **DRAWN),
    'drops-nearly-all': a_pointwise('dropout', 2, 3, 4, 5, p=.99, **DRAWN),
    'drops-all': a_pointwise('dropout', 2, 3, 4, 5, p=1., **DRAWN),
}

ADD = {
    **pointwise('add', count=3),
    'a-single-one': a_pointwise('add', 2, 2, 3, 4),
    'five': a_pointwise('add', 2, 2, 3, 4, count=5),
    'the-same-twice': the_same('add', 2),
}


# ---- Shape

def a_concat(size, *cs, n=2, at=0):
    rng = stream(at)
    return Sample('concat', tuple(normal(rng, n, c, *size) for c in cs), {})


def concat(pick):
    return a_concat(image(pick), *(pick(1, 3) for _ in range(pick(1, 4))),
                    n=pick(1, 3), at=seed(pick))


CONCAT = {
    'a-single-one': a_concat((3, 4), 2),
    'two': a_concat((3, 4), 2, 3),
    'many': a_concat((1, 2), 1, 2, 1, 3, 1, 2),
    'channels-last': relaid(channels_last, a_concat((3, 4), 3, 2)),
}


def a_channels(start, stop, c=5, size=(3, 4), n=2, at=0):
    return Sample('channels', (normal(stream(at), n, c, *size),),
                  dict(start=start, stop=stop))


def channels(pick):
    start, width, more = pick(0, 3), pick(1, 3), pick(0, 3)
    return a_channels(start, start + width, start + width + more, image(pick), pick(1, 2),
                      seed(pick))


CHANNELS = {
    'first': a_channels(0, 1),
    'last': a_channels(4, 5),
    'all': a_channels(0, 5),
    'channels-last': relaid(channels_last, a_channels(1, 3)),
}


def a_crop(size, to, offset=0, c=2, n=2, at=0):
    return Sample('crop', (normal(stream(at), n, c, *size),),
                  dict(size=to, offset=offset))


def crop(pick):
    to, offset = some(pick, 1, 4), some(pick, 0, 3)
    size = tuple(t + o + pick(0, 2) for t, o in zip(both(to), both(offset)))
    return a_crop(size, to, offset, pick(1, 3), pick(1, 2), seed(pick))


CROP = {
    '1x1-image': a_crop((1, 1), 1),
    'nothing': a_crop((3, 4), (3, 4)),
    'top-left': a_crop((5, 6), 3),
    'bottom-right': a_crop((5, 6), (2, 3), (3, 3)),
    'one-pixel': a_crop((5, 6), 1, (2, 4)),
    'channels-last': relaid(channels_last, a_crop((5, 6), 3, (1, 2))),
}


def a_pad(size, before, c=2, n=2, at=0, **kwargs):
    return Sample('pad', (normal(stream(at), n, c, *size),),
                  dict(kwargs, before=before))


def pad(pick):
    kwargs = dict(after=some(pick, 0, 3)) if pick(0, 1) else {}
    return a_pad(image(pick, 4), some(pick, 0, 3), pick(1, 3), pick(1, 2), seed(pick),
                 value=pick(-10, 10) / 4, **kwargs)


PAD = {
    '1x1-image': a_pad((1, 1), 1),
    'nothing': a_pad((3, 4), 0),
    'large': a_pad((2, 3), 100, c=1, n=1),
    'only-before': a_pad((2, 3), (1, 2), after=0),
    'only-after': a_pad((2, 3), 0, after=(2, 1)),
    'with-ones': a_pad((2, 3), 1, value=1.),
    'channels-last': relaid(channels_last, a_pad((3, 4), (2, 1))),
}


# ---- Normalisation

def a_batch_norm(size=(4, 5), c=3, n=2, at=0, **kwargs):
    rng = stream(at)
    x = normal(rng, n, c, *size) * rng.uniform(.5, 2, c)[:, None, None]
    w, b, mean, var = normal(rng, c), normal(rng, c), normal(rng, c), rng.uniform(.5, 2, c)
    return Sample('batch_norm', (x, w, b, mean, var), kwargs)


def batch_norm(pick):
    size = pick(3, 5), pick(3, 5)           # at least 18 values a channel, or their spread is tiny
    return a_batch_norm(size, pick(1, 4), pick(2, 3), seed(pick), train=pick(0, 2) > 0,
                        frozen=pick(0, 3) == 0, eps=10. ** pick(-6, -2), momentum=pick(0, 10) / 10)


BATCH_NORM = {
    'not-training': a_batch_norm(),
    'not-training-1x1': a_batch_norm((1, 1), n=1),
    'training': a_batch_norm(train=True),
    'training-many-images-of-1x1': a_batch_norm((1, 1), n=24, train=True),
    'frozen': a_batch_norm(train=True, frozen=True),
    'one-channel': a_batch_norm(c=1, train=True),
    'large-eps': a_batch_norm(train=True, eps=.5),
    'statistics-stay': a_batch_norm(train=True, momentum=0.),
    'statistics-of-the-batch-alone': a_batch_norm(train=True, momentum=1.),
    'channels-last': relaid(channels_last, a_batch_norm(train=True)),
}


def a_local_response_norm(c=6, size_=(3, 2), n=2, at=0, **kwargs):
    return Sample('local_response_norm', (normal(stream(at), n, c, *size_),), kwargs)


def local_response_norm(pick):
    return a_local_response_norm(pick(1, 7), image(pick, 3), pick(1, 2), seed(pick),
                                 size=pick(1, 8), alpha=pick(1, 20) / 10,
                                 beta=pick(1, 8) / 4, k=pick(2, 8) / 2)


LOCAL_RESPONSE_NORM = {
    'alexnet': a_local_response_norm(),
    'strong': a_local_response_norm(alpha=1., beta=.75, k=2.),
    'each-for-itself': a_local_response_norm(size=1, alpha=1.),
    'one-channel': a_local_response_norm(1, alpha=.5),
    'window-larger-than-channels': a_local_response_norm(3, size=9, alpha=1.),
    'window-far-larger-than-channels': a_local_response_norm(3, size=10 ** 6, alpha=1e6),
    'even': a_local_response_norm(size=4, alpha=1.),
    'of-two': a_local_response_norm(size=2, alpha=1.),
    'even-larger-than-channels': a_local_response_norm(3, size=8, alpha=1.),
    'channels-last': relaid(channels_last, a_local_response_norm(size=3, alpha=1.)),
}


# ---- Loss

def a_loss(size=(3, 4), c=4, n=2, at=0, ignored=.2, ignore=255, dtype='int64', times=1.,
           by_class=False, by_pixel=False, reduce='sum', **kwargs):
    rng = stream(at)
    score, label = times * normal(rng, n, c, *size), rng.integers(0, c, (n, *size))
    label = np.where(rng.random(label.shape) < ignored, ignore, label).astype(dtype)
    kwargs = dict(kwargs, ignore=ignore, reduce=reduce)
    if by_class:
        kwargs['class_weight'] = rng.uniform(.5, 2, c)
    if by_pixel:
        kwargs['pixel_weight'] = rng.uniform(.5, 2, label.shape)
    return Sample('softmax_cross_entropy', (score, label), kwargs)


def softmax_cross_entropy(pick):
    return a_loss(image(pick, 4), pick(1, 5), pick(1, 2), seed(pick), pick(0, 4) / 4,
                  (255, 255, 0, -1, 77)[pick(0, 4)], by_class=pick(0, 1) > 0,
                  by_pixel=pick(0, 1) > 0, reduce=('sum', 'mean', 'none')[pick(0, 2)],
                  label_smoothing=max(0, pick(-10, 10)) / 10)


SOFTMAX_CROSS_ENTROPY = {
    'one-pixel': a_loss((1, 1), n=1, ignored=0),
    'all-ignored': a_loss(ignored=1),
    'all-ignored-mean': a_loss(ignored=1, reduce='mean'),
    'none-ignored': a_loss(ignored=0),
    'one-class': a_loss(c=1),
    'two-classes': a_loss(c=2, ignored=0),
    'mean': a_loss(reduce='mean'),
    'class-weight': a_loss(by_class=True),
    'pixel-weight': a_loss(by_pixel=True),
    'both-weights-mean': a_loss(by_class=True, by_pixel=True, reduce='mean'),
    'each-pixel': a_loss(reduce='none'),
    'each-pixel-weighted': a_loss(reduce='none', by_class=True, by_pixel=True),
    'each-pixel-all-ignored': a_loss(reduce='none', ignored=1),
    'smooth': a_loss(label_smoothing=.1),
    'smooth-mean': a_loss(label_smoothing=.1, reduce='mean'),
    'smooth-each-pixel': a_loss(label_smoothing=.2, reduce='none'),
    'smooth-both-weights-mean': a_loss(label_smoothing=.3, by_class=True, by_pixel=True,
                                       reduce='mean'),
    'no-label-left': a_loss(label_smoothing=1., by_class=True),
    'ignore-class-0': a_loss(ignore=0),
    'ignore-minus-one': a_loss(ignore=-1),
    'ignore-beyond-uint8': a_loss(ignore=1000),
    'uint8-labels': a_loss(dtype='uint8'),
    'int8-labels-too-narrow-for-255': a_loss(dtype='int8', ignored=0),
    'uint64-labels': a_loss(dtype='uint64'),
    'int32-labels-mean': a_loss(dtype='int32', reduce='mean'),
    'huge-scores': a_loss(times=1e4),
    'huge-scores-mean': a_loss(times=1e4, by_class=True, reduce='mean'),
    'channels-last': relaid(channels_last, a_loss(c=3)),
    'negative-strides': relaid(backwards, a_loss(c=3)),
}


def a_focal_loss(gamma=2., **kwargs):
    sample = a_loss(**kwargs)
    return Sample('focal_loss', sample.args, dict(sample.kwargs, gamma=gamma))


def focal_loss(pick):
    sample = softmax_cross_entropy(pick)
    del sample.kwargs['label_smoothing']
    return Sample('focal_loss', sample.args,
                  dict(sample.kwargs, gamma=(0, .5, 1., 2., 3.5)[pick(0, 4)]))


FOCAL_LOSS = {
    'one-pixel': a_focal_loss(size=(1, 1), n=1, ignored=0),
    'all-ignored': a_focal_loss(ignored=1),
    'all-ignored-mean': a_focal_loss(ignored=1, reduce='mean'),
    'one-class': a_focal_loss(c=1),
    'one-class-as-cross-entropy': a_focal_loss(c=1, gamma=0),
    'as-cross-entropy': a_focal_loss(gamma=0),
    'root': a_focal_loss(gamma=.5),
    'steep': a_focal_loss(gamma=10),
    'both-weights-mean': a_focal_loss(by_class=True, by_pixel=True, reduce='mean'),
    'each-pixel': a_focal_loss(reduce='none', by_class=True),
    'ignore-class-0': a_focal_loss(ignore=0),
    'uint8-labels': a_focal_loss(dtype='uint8'),
    # p is within 1e-13 of 1 or of 0, so that 1 − p and log p lose their digits where they may
    'sure': a_focal_loss(times=15.),
    'sure-root': a_focal_loss(times=15., gamma=.5),
    'huge-scores': a_focal_loss(times=1e4),
    'negative-strides': relaid(backwards, a_focal_loss(c=3)),
}


def a_dice_loss(**kwargs):
    sample = a_loss(**kwargs)
    del sample.kwargs['reduce']
    return Sample('dice_loss', sample.args, sample.kwargs)


def dice_loss(pick):
    return a_dice_loss(size=image(pick, 4), c=pick(1, 5), n=pick(1, 2), at=seed(pick),
                       ignored=pick(0, 4) / 4, ignore=(255, 255, 0, -1, 77)[pick(0, 4)],
                       by_class=pick(0, 1) > 0)


def with_labels(sample, change):
    """The sample with change(label) in place of its label."""
    score, label = sample.args
    return sample._replace(args=(score, change(label)))


DICE_LOSS = {
    'one-pixel': a_dice_loss(size=(1, 1), n=1, ignored=0),
    'all-ignored': a_dice_loss(ignored=1),
    'all-ignored-weighted': a_dice_loss(ignored=1, by_class=True),
    'none-ignored': a_dice_loss(ignored=0),
    'one-class': a_dice_loss(c=1),
    'two-classes': a_dice_loss(c=2),
    'class-weight': a_dice_loss(by_class=True),
    'only-class-2': with_labels(a_dice_loss(ignored=0), lambda label: 0 * label + 2),
    'a-class-of-one-pixel': with_labels(
        a_dice_loss(c=2, ignored=0),
        lambda label: np.arange(label.size).reshape(label.shape) // (label.size - 1)),
    'no-class-3': with_labels(
        a_dice_loss(by_class=True), lambda label: np.where(label == 3, 255, label)),
    'ignore-class-0': a_dice_loss(ignore=0),
    'ignore-minus-one': a_dice_loss(ignore=-1),
    'uint8-labels': a_dice_loss(dtype='uint8'),
    'uint64-labels': a_dice_loss(dtype='uint64'),
    'huge-scores': a_dice_loss(times=1e4, by_class=True),
    'channels-last': relaid(channels_last, a_dice_loss(c=3)),
    'negative-strides': relaid(backwards, a_dice_loss(c=3)),
}


# ---- The table

EDGES = dict(
    conv2d=CONV2D, conv_transpose2d=CONV_TRANSPOSE2D, im2col=IM2COL, col2im=COL2IM,
    max_pool=pools('max_pool'), max_switches=pools('max_switches'), avg_pool=AVG_POOL,
    avg_pool_to=AVG_POOL_TO, take=TAKE, unpool=UNPOOL, upsample=UPSAMPLE, resize=RESIZE,
    relu=pointwise('relu'), leaky_relu=pointwise('leaky_relu'), dropout=DROPOUT, add=ADD,
    multiply={**pointwise('multiply', 2), 'square': the_same('multiply', 2)},
    scale=pointwise('scale', factor=-.5), concat=CONCAT, channels=CHANNELS, crop=CROP, pad=PAD,
    batch_norm=BATCH_NORM, local_response_norm=LOCAL_RESPONSE_NORM,
    softmax_cross_entropy=SOFTMAX_CROSS_ENTROPY, focal_loss=FOCAL_LOSS, dice_loss=DICE_LOSS,
)
LOSSES = 'softmax_cross_entropy', 'focal_loss', 'dice_loss'
RANDOM_ROWS = dict(conv2d=20, max_pool=48, softmax_cross_entropy=28)        # all others 12
NAMES = [name for name in ops.__all__ if name != 'conv_matrix']             # see test_matrix.py
PICKERS = {name: globals()[name] for name in NAMES}


def picks(*seed):
    """pick(lo, hi) -> int, from a seeded generator."""
    rng = np.random.default_rng(seed)
    return lambda lo, hi: int(rng.integers(lo, hi + 1))


def random_samples(name, count):
    """`count` samples of one op; the first few are rows of the table."""
    return [PICKERS[name](picks(crc32(name.encode()), i)) for i in range(count)]


TABLE = {}
for _name in NAMES:
    TABLE |= {f'{_name}-{edge}': sample for edge, sample in EDGES[_name].items()}
    TABLE |= {f'{_name}-{i}': sample for i, sample in
              enumerate(random_samples(_name, RANDOM_ROWS.get(_name, 12)))}
