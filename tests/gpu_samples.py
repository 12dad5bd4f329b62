"""The table of ops that have a GPU kernel, and how a random sample of each is drawn.

    SAMPLERS['max_pool']        pick -> Sample, as in samples.py; pick(low, high) is an int

To add a row, write a function of `pick` that returns a Sample whose op is the name of an
@accelerated function of ops or of MORE_OPS. test_gpuproof_kernels.py then compares its kernels with
the reference: forward and backward, arrays written in place, both thread orders, both widths of
REAL, and under the sanitizers. The kernels must accept the samples: a test fails if a row launches
none, or if no row launches a kernel of some .cu file.

SMALL_THRESHOLDS lowers the sizes from which on an op has a kernel, or a certain algorithm.
WRITE_IN_PLACE names the ops that write into their arguments.
"""
import numpy as np
from samples import PICKERS, Sample, a_conv2d, changed, seed, stream

from tinyfcn import ops, optim
from tinyfcn.kernels.gpu import conv, im2col
from tinyfcn.ops import fused

WRITE_IN_PLACE = dict(sgd_update=optim.sgd_update, adam_update=optim.adam_update)
MORE_OPS = dict(WRITE_IN_PLACE, conv_relu=fused.conv_relu, upsample_crop=fused.upsample_crop)


def with_ties(op):
    """Pools of few different values, so that the first of equal ones matters; some are NaN or ∞."""
    def sampler(pick):
        sample = PICKERS[op](pick)
        special = (np.nan, -np.inf, np.inf, 0.)[pick(0, 3)]
        rng = stream(seed(pick))
        x = rng.integers(-2, 3, sample.args[0].shape).astype('float64')
        x[rng.random(x.shape) < pick(0, 3) / 4] = special
        return sample._replace(args=(x,))
    return sampler


def relu(pick):
    return changed(PICKERS['relu'](pick), np.copy)


def dropout(pick):
    sample = PICKERS['dropout'](pick)
    sample.kwargs['train'] = True
    return sample


def pool_switches(op):
    """take and unpool with switches as a max pool of 2×2 makes them."""
    def sampler(pick):
        n = pick(1, 2)
        c = pick(1, 2)
        h = pick(2, 7)
        w = pick(2, 7)
        rng = stream(seed(pick))
        rows, columns = (2 * np.arange(-(-size // 2)) for size in (h, w))
        shape = n, c, len(rows), len(columns)
        row = (rows[:, None] + rng.integers(0, 2, shape)).clip(0, h - 1)
        column = (columns + rng.integers(0, 2, shape)).clip(0, w - 1)
        switches = row * w + column
        values = rng.standard_normal((n, c, h, w) if op == 'take' else shape)
        switches = switches.astype(('int64', 'int32', 'uint8')[pick(0, 2)])
        return Sample(op, (values, switches), {} if op == 'take' else dict(size=(h, w)))
    return sampler


def one_of(*samplers):
    return lambda pick: samplers[pick(0, len(samplers) - 1)](pick)


def weights(pick, count):
    """A weight, its gradient, and the optimizer's state; the last array is not negative."""
    rng = stream(seed(pick))
    shape = pick(1, 5), pick(1, 300)
    *arrays, last = (rng.standard_normal(shape) for _ in range(count))
    return *arrays, np.abs(last)


def rates(pick):
    return dict(lr=pick(0, 10) / 100, decay=pick(0, 2) / 10, scale=(1., .25)[pick(0, 1)])


def sgd_update(pick):
    return Sample('sgd_update', weights(pick, 3), dict(rates(pick), momentum=pick(0, 9) / 10))


def adam_update(pick):
    return Sample('adam_update', weights(pick, 4), dict(rates(pick), betas=(.9, .999), eps=1e-8,
                                                  t=pick(1, 50)))


def winograd(pick):
    """3×3 at stride 1, over an image of several tiles."""
    return a_conv2d((pick(3, 11), pick(3, 11)), pick(1, 3), pick(1, 3), 3, pick(1, 2),
                    bias=pick(0, 1) > 0, at=seed(pick), pad=pick(0, 2))


def one_image(pick):
    """Lines of 4 or 8 outputs, which a product writes without another pass."""
    return a_conv2d((pick(2, 6), 4 * pick(1, 2)), pick(1, 3), pick(1, 3), (pick(1, 2), 1), 1,
                    bias=pick(0, 1) > 0, at=seed(pick))


def conv_relu(pick):
    return one_of(PICKERS['conv2d'], winograd, one_image)(pick)._replace(op='conv_relu')


def upsample_crop(pick):
    """A part of what is upsampled, anywhere in it."""
    sample = PICKERS['upsample'](pick)
    y, _ = ops.upsample(*sample.args, **sample.kwargs)
    size = tuple(pick(1, n) for n in y.shape[2:])
    offset = tuple(pick(0, n - part) for n, part in zip(y.shape[2:], size))
    return sample._replace(op='upsample_crop',
                           kwargs=dict(sample.kwargs, size=size, offset=offset))


SAMPLERS = {
    **{op: PICKERS[op] for op in (
        'conv2d', 'conv_transpose2d', 'im2col', 'col2im', 'avg_pool', 'avg_pool_to', 'upsample',
        'resize', 'batch_norm', 'local_response_norm', 'softmax_cross_entropy')},
    **{op: one_of(PICKERS[op], with_ties(op)) for op in ('max_pool', 'max_switches')},
    **{op: one_of(PICKERS[op], pool_switches(op)) for op in ('take', 'unpool')},
    'winograd': winograd, 'conv_relu': conv_relu, 'upsample_crop': upsample_crop, 'relu': relu,
    'dropout': dropout, 'sgd_update': sgd_update, 'adam_update': adam_update,
}
SMALL_THRESHOLDS = ((conv, 'WINOGRAD_CHANNELS', 1), (conv, 'WINOGRAD_WINDOWS', 1),
                    (im2col, 'MIN_SUM', 20))
