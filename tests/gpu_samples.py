"""One table of what the kernels of a GPU stand in for, and how a sample of each is drawn.

    ROWS['max_pool']            pick -> Sample, as samples.py has them; pick(lo, hi) is an int

To add a row: a function of pick that gives a Sample whose op is the name of an @accelerated
function, in ops or in MORE. All that test_gpuproof_kernels.py asks then runs on it: forward and
backward (where it has one) against the readable bodies, each array that is written to, both orders
of threads, both widths of REAL, and the sanitizers. The draws must suit: a test fails where no
kernel was launched, and where a kernel of a .cu file was launched by no row. SMALL lowers sizes
below which a stand-in leaves an op alone, or takes another road; COARSE are rows that round more.
"""
import numpy as np
from samples import PICKERS, Sample, a_conv2d, changed, seed, stream

from tinyfcn import optim
from tinyfcn.kernels.gpu import conv as gpu_conv

MORE = dict(sgd_update=optim.sgd_update, adam_update=optim.adam_update)


def with_ties(op):
    """Pools of few values, so that the first of equals matters; some are no numbers."""
    def draw(pick):
        sample, odd = PICKERS[op](pick), (np.nan, -np.inf, np.inf, 0.)[pick(0, 3)]
        rng = stream(seed(pick))
        x = rng.integers(-2, 3, sample.args[0].shape).astype('float64')
        x[rng.random(x.shape) < pick(0, 3) / 4] = odd
        return sample._replace(args=(x,))
    return draw


def relu(pick):
    return changed(PICKERS['relu'](pick), np.copy)


def dropout(pick):
    sample = PICKERS['dropout'](pick)
    sample.kwargs['train'] = True
    return sample


def pooled(op):
    """Switches as a pool gives them, so that each pixel has few windows to ask."""
    def draw(pick):
        n, c, h, w = pick(1, 2), pick(1, 2), pick(2, 7), pick(2, 7)
        rng = stream(seed(pick))
        rows, columns = (2 * np.arange(-(-size // 2)) for size in (h, w))
        at = (rows[:, None] + rng.integers(0, 2, (n, c, len(rows), len(columns)))).clip(0, h - 1) \
            * w + (columns + rng.integers(0, 2, (n, c, len(rows), len(columns)))).clip(0, w - 1)
        values = rng.standard_normal((n, c, h, w) if op == 'take' else at.shape)
        at = at.astype(('int64', 'int32', 'uint8')[pick(0, 2)])
        return Sample(op, (values, at), {} if op == 'take' else dict(size=(h, w)))
    return draw


def either(*draws):
    return lambda pick: draws[pick(0, len(draws) - 1)](pick)


def weights(pick, count):
    """A weight, its gradient, and what an optimiser remembers of it: its squares are positive."""
    rng, shape = stream(seed(pick)), (pick(1, 5), pick(1, 300))
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
    """A window of 3×3 at every pixel, over an image of several tiles."""
    return a_conv2d((pick(3, 11), pick(3, 11)), pick(1, 3), pick(1, 3), 3, pick(1, 2),
                    bias=pick(0, 1) > 0, at=seed(pick), pad=pick(0, 2))


ROWS = {
    **{op: PICKERS[op] for op in (
        'conv2d', 'conv_transpose2d', 'im2col', 'col2im', 'avg_pool', 'avg_pool_to', 'upsample',
        'resize', 'batch_norm', 'local_response_norm', 'softmax_cross_entropy')},
    **{op: either(PICKERS[op], with_ties(op)) for op in ('max_pool', 'max_switches')},
    **{op: either(PICKERS[op], pooled(op)) for op in ('take', 'unpool')},
    'winograd': winograd, 'relu': relu, 'dropout': dropout, 'sgd_update': sgd_update, 'adam_update': adam_update,
}
SMALL = (gpu_conv, 'DEPTH', 1), (gpu_conv, 'PLACES', 1)
COARSE = dict(conv2d=1e-4, conv_transpose2d=1e-4, winograd=1e-4)    # of the largest, in float32
