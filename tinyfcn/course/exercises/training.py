"""L05, L11, L14, L15: fully connected weights as kernels, the loss, preprocessing, and SGD."""
from types import SimpleNamespace

import numpy as np

from ... import ops
from ...data.transforms import prepare
from ...optim import SGD
from ...weights.transplant import transplant
from .exercise import Exercise, integers


def to_conv(w, channels, size):
    """By the library's own transplant, into a net with a single weight."""
    net = SimpleNamespace(params={'fc.w': np.zeros((len(w), channels, *size))})
    transplant(net, {'fc.w': w})
    return net.params['fc.w']


TO_CONV = Exercise(inputs='w channels size', outputs='kernels', cases=[
    (integers(1, 4), 1, (2, 2)),
    (integers(2, 4), 1, (2, 2)),
    (integers(1, 8), 2, (2, 2)),
    (integers(2, 12), 2, (2, 3)),
    (integers(4, 36), 4, (3, 3)),
], solution=to_conv, mistakes={
    'The weights are read in the order (h, w, channels). A row of w begins with all the weights of '
    'channel 0.':
        lambda w, channels, size: w.reshape(len(w), *size, channels).transpose(0, 3, 1, 2),
    'Rows and columns are swapped. Within a channel the weights are in row order.':
        lambda w, channels, size: w.reshape(len(w), channels, *size[::-1]).swapaxes(2, 3),
    'The kernels have their columns first. `size` is (h, w), and the shape (K, channels, h, w).':
        lambda w, channels, size: w.reshape(len(w), channels, *size[::-1]),
    'The channels are the last axis. The shape is (K, channels, h, w).':
        lambda w, channels, size: w.reshape(len(w), *size, channels),
    'The kernels are flipped. Convolution in neural nets does not flip its kernel, so nothing is '
    'flipped here.': lambda *case: to_conv(*case)[..., ::-1, ::-1],
    'The first axis varies fastest in memory (order="F"). In NumPy and in these files the last one '
    'does.': lambda w, channels, size: w.reshape(len(w), channels, *size, order='F'),
    'The classes are no longer the first axis. The shape is (K, channels, h, w).':
        lambda *case: to_conv(*case).swapaxes(0, 1),
})


def softmax_cross_entropy(score, label):
    return ops.softmax_cross_entropy(score, label)


def divide_by(count):
    """Loss and gradient divided by count(label)."""
    def mistake(score, label):
        loss, dscore = softmax_cross_entropy(score, label)
        return loss / count(label), dscore / count(label)
    return mistake


def overflowing_exp(score, label):
    """exp of a large score is infinite."""
    p = np.exp(score) / np.exp(score).sum(1, keepdims=True)
    valid = label != 255
    true_class = np.where(valid, label, 0)[:, None]
    one_hot = np.arange(score.shape[1])[:, None, None] == true_class
    dscore = (p - one_hot) * valid[:, None]
    p_true = np.take_along_axis(p, true_class, 1)[:, 0]
    return -np.log(p_true[valid]).sum(), dscore


def softmax(score, axis=1):
    p = np.exp(score - score.max(axis, keepdims=True))
    return p / p.sum(axis, keepdims=True)


def gradient_at_void(score, label):
    """The one-hot label is 0 there, so p itself remains as the gradient."""
    loss, dscore = softmax_cross_entropy(score, label)
    return loss, dscore + softmax(score) * (label == 255)[:, None]


def softmax_over_columns(score, label):
    loss, dscore = softmax_cross_entropy(score, label)
    return loss, dscore - (softmax(score) - softmax(score, 3)) * (label != 255)[:, None]


def void_as_class_0(score, label):
    return softmax_cross_entropy(score, np.where(label == 255, 0, label))


def negate_dscore(score, label):
    loss, dscore = softmax_cross_entropy(score, label)
    return loss, -dscore


def softmax_as_dscore(score, label):
    loss, _ = softmax_cross_entropy(score, label)
    return loss, softmax(score) * (label != 255)[:, None]


def negate_loss(score, label):
    loss, dscore = softmax_cross_entropy(score, label)
    return -loss, dscore


def log_of_zero(score, label):
    """exp of a very negative number is 0, and its logarithm is −infinity."""
    loss, dscore = softmax_cross_entropy(score, label)
    p_true = np.take_along_axis(softmax(score), np.where(label == 255, 0, label)[:, None], 1)
    return -np.log(p_true[:, 0][label != 255]).sum(), dscore


def subtract_largest_of_all(score, label):
    return overflowing_exp(score - score.max(), label)


def one_softmax_for_all(score, label):
    valid = label != 255
    true_class = np.where(valid, label, 0)[:, None]
    p = softmax(score, None)
    one_hot = np.arange(score.shape[1])[:, None, None] == true_class
    p_true = np.take_along_axis(p, true_class, 1)[:, 0]
    return -np.log(p_true[valid]).sum(), (p - one_hot) * valid[:, None]


def index_with_void(score, label):
    """Pixel by pixel; there is no class 255."""
    loss = 0.
    dscore = softmax(score)
    for n, i, j in np.ndindex(label.shape):
        loss -= np.log(dscore[n, :, i, j][label[n, i, j]])
        dscore[n, :, i, j][label[n, i, j]] -= 1
    return loss, dscore


def loss_case(n, c, h, w, n_void=0, scale=1., seed=0):
    rng = np.random.default_rng((seed, n, c, h, w))
    label = rng.integers(0, c, (n, h, w))
    label.flat[rng.permutation(label.size)[:n_void]] = 255
    return scale * integers(n, c, h, w, seed=seed), label


SOFTMAX_CROSS_ENTROPY = Exercise(inputs='score label', outputs='loss dscore', cases=[
    (np.array([[[[1.]], [[2.]]]]), np.array([[[0]]])),
    loss_case(1, 2, 1, 3, n_void=1, scale=.25),
    loss_case(1, 3, 2, 2, scale=.25),
    loss_case(2, 3, 2, 3, n_void=4, scale=.25),
    loss_case(1, 3, 2, 2, n_void=1, scale=500.),
    (integers(1, 2, 2, 2), np.full((1, 2, 2), 255)),
], solution=softmax_cross_entropy, mistakes={
    'The loss is divided by the number of valid pixels. Return the sum, with which the paper '
    'trains.': divide_by(lambda label: max(1, (label != 255).sum())),
    'The loss is divided by the number of all pixels. Return the sum, with which the paper trains.':
        divide_by(lambda label: label.size),
    'exp of a large score overflows. First subtract the largest score of each pixel, which changes '
    'no probability.': overflowing_exp,
    'Void pixels have a gradient. dscore is 0 where the label is 255.': gradient_at_void,
    'Void counts as class 0. A pixel whose label is 255 adds nothing, neither to the loss nor to '
    'the gradient.': void_as_class_0,
    'dscore has the wrong sign. It is softmax(score) − one-hot label, and SGD subtracts it.':
        negate_dscore,
    'dscore is the softmax alone. Subtract 1 at the true class.': softmax_as_dscore,
    'The softmax in dscore runs along the columns of the image. At each pixel it runs over the '
    'classes, axis 1.': softmax_over_columns,
    'The loss has the wrong sign: it is −Σ log p.': negate_loss,
    'A probability has become 0, and its logarithm −infinity. Compute log p without p: the score, '
    'less the largest of its pixel, less the log of the sum of exp.': log_of_zero,
    'The largest score of all pixels is subtracted. Where all scores are much smaller, every exp '
    'is 0. Subtract the largest of each pixel: score.max(1, keepdims=True).':
        subtract_largest_of_all,
    'The probabilities of all pixels together sum to 1. Those of each pixel should: sum over the '
    'classes only, .sum(1, keepdims=True).': one_softmax_for_all,
    'A label of 255 is void, and there is no class 255. Skip these pixels.': index_with_void,
})

MEAN = 104, 117, 123


def preprocess(image, order='BGR', mean=MEAN, dtype='float32'):
    return prepare(image, dict(order=order, scale=1, mean=mean, std=(1, 1, 1)), dtype)[0]


def subtract_in_uint8(image):
    difference = image[:, :, ::-1] - np.array(MEAN, 'uint8')
    return difference.transpose(2, 0, 1).astype('float32')


def subtract_along_columns(image):
    """Of three numbers, one is for each column: the last axis is that of the columns by then."""
    return preprocess(image, mean=(0, 0, 0)) - np.float32(MEAN)


PREPROCESS = Exercise(inputs='image', outputs='x', cases=[
    (np.array([[[200, 150, 120]]], 'uint8'),),
    (np.array([[[10, 20, 30], [40, 250, 60]]], 'uint8'),),
    (np.random.default_rng(1).integers(0, 256, (2, 3, 3), 'uint8'),),
    (np.random.default_rng(2).integers(0, 256, (5, 4, 3), 'uint8'),),
], solution=preprocess, mistakes={
    'The channels are still red, green, blue. Reverse them: these weights expect blue first.':
        lambda image: preprocess(image, 'RGB'),
    'The mean is subtracted before the channels are reversed. 104 is the mean of blue.':
        lambda image: preprocess(image, mean=MEAN[::-1]),
    'The mean is subtracted in uint8, which has no negative numbers and wraps around. Convert the '
    'image to float32 first.': subtract_in_uint8,
    'The channels are still the last axis. The shape is (3, H, W).':
        lambda image: preprocess(image).transpose(1, 2, 0),
    'Rows and columns are swapped. .T reverses all three axes; .transpose(2, 0, 1) only moves the '
    'channels to the front.': lambda image: preprocess(image).swapaxes(1, 2),
    'The numbers are divided by 255. These weights were trained on 0 … 255 minus the mean.':
        lambda image: preprocess(image) / np.float32(255),
    'This is float64. Nets compute in float32: the image has to be float32, and so has an array of '
    'the three means.':
        lambda image: preprocess(image, dtype='float64'),
    'reshape does not move an axis, it only regroups the numbers. Move the channels to the front '
    'by .transpose(2, 0, 1).':
        lambda image: preprocess(image).transpose(1, 2, 0).reshape(3, *image.shape[:2]),
    'The columns are reversed, and not the channels. The channels are the last axis: '
    'image[:, :, ::-1].': lambda image: preprocess(image[:, ::-1], 'RGB'),
    'The means are subtracted along the columns: NumPy aligns them with the last axis. Subtract '
    'them before the channels move, or as means[:, None, None].': subtract_along_columns,
    'The mean is not subtracted.': lambda image: preprocess(image, mean=(0, 0, 0)),
    'Only the axes are moved. Convert the image to float32, reverse its channels and subtract the '
    'mean.': lambda image: image.transpose(2, 0, 1),
})


def sgd(w, g, v, lr, momentum, decay):
    optimizer = SGD(lr, momentum, decay)
    optimizer.velocity['w'] = v.copy()
    params = {'w': w.copy()}
    optimizer.step(params, {'w': g})
    return params['w'], optimizer.velocity['w']


def update_by(rule):
    """rule(w, g, v, lr, momentum, decay) -> the new v, which is subtracted from w."""
    def mistake(w, *args):
        v = rule(w, *args)
        return w - v, v
    return mistake


def lr_times_velocity(w, g, v, lr, momentum, decay):
    v = momentum * v + g + decay * w
    return w - lr * v, v


def decoupled_decay(w, g, v, lr, momentum, decay):
    new_w, new_v = sgd(w, g, v, lr, momentum, 0)
    return new_w - lr * decay * w, new_v


def wrong_direction(w, *args):
    new_w, new_v = sgd(w, *args)
    return 2 * w - new_w, new_v


def scaled_velocity(w, g, v, lr, momentum, decay):
    v = lr * (momentum * v + g + decay * w)
    return w - v, v


def negative_velocity(w, g, v, lr, momentum, decay):
    v = momentum * v - lr * (g + decay * w)
    return w + v, v


def velocity_of_new_w(w, g, v, lr, momentum, decay):
    new_w, _ = sgd(w, g, v, lr, momentum, decay)
    return new_w, momentum * v + lr * (g + decay * new_w)


def return_old_velocity(w, g, v, *args):
    new_w, _ = sgd(w, g, v, *args)
    return new_w, v


def move_by_old_velocity(w, g, v, *args):
    _, new_v = sgd(w, g, v, *args)
    return w - v, new_v


SGD_STEP = Exercise(inputs='w g v lr momentum decay', outputs='w v', cases=[
    (np.array([4.]), np.array([2.]), np.array([0.]), .5, 0., 0.),
    (np.array([4.]), np.array([2.]), np.array([1.]), .5, .5, 0.),
    (np.array([4.]), np.array([2.]), np.array([1.]), .5, .5, .25),
    (integers(2, 3), integers(2, 3, seed=1), integers(2, 3, seed=2), .1, .9, .01),
], solution=sgd, mistakes={
    'The learning rate multiplies the velocity, as in PyTorch. In Caffe v ← μ·v + lr·g, '
    'w ← w − v.': lr_times_velocity,
    'The weight decay is missing. Write g + decay·w in place of g.':
        lambda w, g, v, lr, m, decay: sgd(w, g, v, lr, m, 0),
    'The weight decay is not multiplied by the learning rate. It belongs to the gradient: '
    'lr·(g + decay·w).': update_by(lambda w, g, v, lr, m, decay: m * v + lr * g + decay * w),
    'The weight decay is applied to w directly, as in AdamW. Here it goes into the velocity.':
        decoupled_decay,
    'The weight decay has the wrong sign. It makes w smaller, so add decay·w to the gradient.':
        lambda w, g, v, lr, m, decay: sgd(w, g, v, lr, m, -decay),
    'The gradient is multiplied by 1 − momentum. Caffe takes all of it: v ← μ·v + lr·g.':
        update_by(lambda w, g, v, lr, m, decay: m * v + (1 - m) * lr * (g + decay * w)),
    'The momentum is not used. v ← μ·v + lr·g keeps a part of the steps before.':
        lambda w, g, v, lr, m, decay: sgd(w, g, v, lr, 0., decay),
    'w moves along the gradient. It should move against it: w ← w − v.': wrong_direction,
    'The learning rate multiplies the old velocity too. It belongs to the gradient alone: '
    'v ← μ·v + lr·g.': scaled_velocity,
    'v has the other sign. Here the gradient is added to it, and v is subtracted from w.':
        negative_velocity,
    'The decay in v uses the new w. Compute v once, from the old w, and subtract it.':
        velocity_of_new_w,
    'The order is w, v.': lambda *case: sgd(*case)[::-1],
    'The old velocity is returned. Return the new one.': return_old_velocity,
    'w moves by the old velocity. Update v first, then subtract it.': move_by_old_velocity,
})

EXERCISES = dict(to_conv=TO_CONV, softmax_cross_entropy=SOFTMAX_CROSS_ENTROPY,
                 preprocess=PREPROCESS, sgd=SGD_STEP)
