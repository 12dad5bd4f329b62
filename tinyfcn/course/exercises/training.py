"""L10, L12, L13: weights that move, from a file, from a loss; and what they are shown."""
from types import SimpleNamespace

import numpy as np

from ... import ops
from ...data.transforms import prepare
from ...optim import SGD
from ...weights.transplant import transplant
from .exercise import Exercise, whole


def filters(w, channels, size):
    """Into a net of one weight, as any file of weights goes into a net."""
    net = SimpleNamespace(params={'fc.w': np.zeros((len(w), channels, *size))})
    transplant(net, {'fc.w': w})
    return net.params['fc.w']


TO_CONV = Exercise('w channels size', 'filters', [
    (whole(1, 4), 1, (2, 2)),
    (whole(2, 4), 1, (2, 2)),
    (whole(1, 8), 2, (2, 2)),
    (whole(2, 12), 2, (2, 3)),
    (whole(4, 36), 4, (3, 3)),
], filters, {
    'The weights are read in (h, w, channels) order: a row of w begins with all of channel 0.':
        lambda w, channels, size: w.reshape(len(w), *size, channels).transpose(0, 3, 1, 2),
    'Rows and columns are swapped: within a channel the weights go row by row.':
        lambda w, channels, size: w.reshape(len(w), channels, *size[::-1]).swapaxes(2, 3),
    'The filters are flipped: a convolution of nets does not turn its kernel, so nothing is '
    'turned here.': lambda *case: filters(*case)[..., ::-1, ::-1],
    'The first axis of the memory runs fastest (order="F"): in NumPy and in these files it is the '
    'last one.': lambda w, channels, size: w.reshape(len(w), channels, *size, order='F'),
    'The classes are not the first axis any more: (K, channels, h, w).':
        lambda *case: filters(*case).swapaxes(0, 1),
})


def loss(score, label):
    return ops.softmax_cross_entropy(score, label)


def mean_over(count):
    """Divided by a number of pixels."""
    def slip(score, label):
        total, dscore = loss(score, label)
        return total / count(label), dscore / count(label)
    return slip


def unshifted(score, label):
    """exp of a large score is infinite."""
    p = np.exp(score) / np.exp(score).sum(1, keepdims=True)
    valid = label != 255
    at = np.where(valid, label, 0)[:, None]
    dscore = (p - (np.arange(score.shape[1])[:, None, None] == at)) * valid[:, None]
    picked = np.take_along_axis(p, at, 1)[:, 0]
    return -np.log(picked[valid]).sum(), dscore


def softmax(score, axis=1):
    p = np.exp(score - score.max(axis, keepdims=True))
    return p / p.sum(axis, keepdims=True)


def void_moves(score, label):
    """No class is true there, so p itself is left as the gradient."""
    total, dscore = loss(score, label)
    return total, dscore + softmax(score) * (label == 255)[:, None]


def over_columns(score, label):
    return (loss(score, label)[0],
            loss(score, label)[1] - (softmax(score) - softmax(score, 3)) * (label != 255)[:, None])


def a_loss(n, c, h, w, void=0, times=1., at=0):
    rng = np.random.default_rng((at, n, c, h, w))
    label = rng.integers(0, c, (n, h, w))
    label.flat[rng.permutation(label.size)[:void]] = 255
    return times * whole(n, c, h, w, at=at), label


LOSS = Exercise('score label', 'loss dscore', [
    (np.array([[[[1.]], [[2.]]]]), np.array([[[0]]])),
    a_loss(1, 2, 1, 3, void=1, times=.25),
    a_loss(1, 3, 2, 2, times=.25),
    a_loss(2, 3, 2, 3, void=4, times=.25),
    a_loss(1, 3, 2, 2, void=1, times=500.),
    (whole(1, 2, 2, 2), np.full((1, 2, 2), 255)),
], loss, {
    'The loss is divided by the number of valid pixels: the sum is asked for, as the paper '
    'trains.': mean_over(lambda label: max(1, (label != 255).sum())),
    'The loss is divided by the number of all pixels: the sum is asked for, as the paper trains.':
        mean_over(lambda label: label.size),
    'exp of a large score is infinite: subtract the largest score of each pixel first, which '
    'changes no probability.': unshifted,
    'Void pixels have a gradient: dscore is 0 where the label is 255.': void_moves,
    'Void is counted as class 0: a pixel whose label is 255 adds nothing, to neither of them.':
        lambda score, label: loss(score, np.where(label == 255, 0, label)),
    'dscore has the other sign: it is softmax(score) − truth, uphill; sgd subtracts it.':
        lambda *case: (loss(*case)[0], -loss(*case)[1]),
    'dscore is the softmax alone: subtract 1 at the true class.':
        lambda score, label: (loss(score, label)[0], softmax(score) * (label != 255)[:, None]),
    'The softmax of dscore runs along the columns of the picture: at each pixel it runs over the '
    'classes, axis 1.': over_columns,
    'The loss has the other sign: −Σ log p.': lambda *case: (-loss(*case)[0], loss(*case)[1]),
})

MEAN = 104, 117, 123


def prepared(image, order='BGR', mean=MEAN, dtype='float32'):
    return prepare(image, dict(order=order, scale=1, mean=mean, std=(1, 1, 1)), dtype)[0]


PREPROCESS = Exercise('image', 'x', [
    (np.array([[[200, 150, 120]]], 'uint8'),),
    (np.array([[[10, 20, 30], [40, 250, 60]]], 'uint8'),),
    (np.random.default_rng(1).integers(0, 256, (2, 3, 3), 'uint8'),),
    (np.random.default_rng(2).integers(0, 256, (5, 4, 3), 'uint8'),),
], prepared, {
    'The channels are still red, green, blue: turn them round, these weights know blue first.':
        lambda image: prepared(image, 'RGB'),
    'The mean is subtracted before the channels are turned: 104 is that of blue.':
        lambda image: prepared(image, mean=MEAN[::-1]),
    'The mean is subtracted from whole numbers of 8 bits, which have no negative ones and go '
    'round: turn the image into float32 first.':
        lambda image: (image[:, :, ::-1] - np.array(MEAN, 'uint8')).transpose(2, 0, 1)
            .astype('float32'),
    'The channels are still the last axis: (3, H, W).':
        lambda image: prepared(image).transpose(1, 2, 0),
    'Rows and columns are swapped: .T turns all three axes round, .transpose(2, 0, 1) moves the '
    'channels alone.': lambda image: prepared(image).swapaxes(1, 2),
    'The numbers are divided by 255: these weights were trained on 0 … 255 less the mean.':
        lambda image: prepared(image) / np.float32(255),
    'This is float64: nets compute in float32, so ask for it before subtracting.':
        lambda image: prepared(image, dtype='float64'),
    'The mean is not subtracted.': lambda image: prepared(image, mean=(0, 0, 0)),
})


def sgd(w, g, v, lr, momentum, decay):
    optimiser, params = SGD(lr, momentum, decay), {'w': w.copy()}
    optimiser.velocity['w'] = v.copy()
    optimiser.step(params, {'w': g})
    return params['w'], optimiser.velocity['w']


def stepping(rule):
    """rule(w, g, v, lr, momentum, decay) -> the new v, by which w falls."""
    return lambda w, *how: (w - rule(w, *how), rule(w, *how))


def rate_last(w, g, v, lr, m, decay):
    v = m * v + g + decay * w
    return w - lr * v, v


SGD_STEP = Exercise('w g v lr momentum decay', 'w v', [
    (np.array([4.]), np.array([2.]), np.array([0.]), .5, 0., 0.),
    (np.array([4.]), np.array([2.]), np.array([1.]), .5, .5, 0.),
    (np.array([4.]), np.array([2.]), np.array([1.]), .5, .5, .25),
    (whole(2, 3), whole(2, 3, at=1), whole(2, 3, at=2), .1, .9, .01),
], sgd, {
    'The rate is applied to the velocity: that is PyTorch. In Caffe v ← μ·v + lr·g, w ← w − v.':
        rate_last,
    'The decay acts on nothing: g + decay·w takes the place of g.':
        lambda w, g, v, lr, m, decay: sgd(w, g, v, lr, m, 0),
    'The decay is not multiplied by the rate: it belongs to the gradient, lr·(g + decay·w).':
        stepping(lambda w, g, v, lr, m, decay: m * v + lr * g + decay * w),
    'The decay pulls at w beside the velocity, as AdamW does: here it goes into the velocity.':
        lambda w, g, v, lr, m, decay: (sgd(w, g, v, lr, m, 0)[0] - lr * decay * w,
                                       sgd(w, g, v, lr, m, 0)[1]),
    'The decay has the other sign: it makes w smaller, so it is added to the gradient.':
        lambda w, g, v, lr, m, decay: sgd(w, g, v, lr, m, -decay),
    'The gradient is damped by 1 − momentum: Caffe takes all of it, v ← μ·v + lr·g.':
        stepping(lambda w, g, v, lr, m, decay: m * v + (1 - m) * lr * (g + decay * w)),
    'The momentum is not used: v ← μ·v + lr·g remembers the steps before.':
        lambda w, g, v, lr, m, decay: sgd(w, g, v, lr, 0., decay),
    'w climbs: it moves against the gradient, w ← w − v.':
        lambda w, *how: (2 * w - sgd(w, *how)[0], sgd(w, *how)[1]),
    'The old velocity comes back: return the new one.':
        lambda w, g, v, *how: (sgd(w, g, v, *how)[0], v),
    'w moves by the old velocity: renew v first, then subtract it.':
        lambda w, g, v, *how: (w - v, sgd(w, g, v, *how)[1]),
})

EXERCISES = dict(to_conv=TO_CONV, softmax_cross_entropy=LOSS, preprocess=PREPROCESS, sgd=SGD_STEP)
