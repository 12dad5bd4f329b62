"""L01: a confusion matrix, and the number that is read off it."""
import numpy as np

from ... import metrics
from .exercise import Exercise


def labels(h, w, n_class, void=0, at=0, dtype='int64'):
    """Truth and prediction of one small picture; so many pixels of the truth are void."""
    rng = np.random.default_rng((at, h, w, n_class))
    label, pred = rng.integers(0, n_class, (2, h, w)).astype(dtype)
    label.flat[rng.permutation(h * w)[:void]] = 255
    return label, pred, n_class


def counted(label, pred, n_class):
    """The library's own, without its refusals."""
    return metrics.confusion(label, pred, n_class)


def once(label, pred, n_class):
    hist, valid = np.zeros((n_class, n_class), 'int64'), label != 255
    hist[label[valid], pred[valid]] += 1
    return hist


def narrow(label, pred, n_class):
    """uint8 · 21 goes round at 256."""
    valid = label != 255
    pairs = (label[valid] * np.array(n_class, label.dtype) + pred[valid]).astype('int64')
    hist = np.zeros(n_class * n_class, 'int64')
    np.add.at(hist, pairs, 1)
    return hist.reshape(n_class, n_class)


CONFUSION = Exercise('label pred n_class', 'hist', [
    (np.array([[0, 1], [1, 1]]), np.array([[0, 0], [1, 1]]), 2),
    (np.array([[0, 255], [1, 1]]), np.array([[0, 0], [0, 1]]), 2),
    labels(2, 3, 3, at=1),
    labels(4, 4, 3, void=5, at=2),
    labels(6, 7, 5, void=6, at=3, dtype='uint8'),
    labels(40, 40, 21, void=90, at=4, dtype='uint8'),
], counted, {
    'Void is counted: a pixel whose label is 255 drops into no cell, whatever is predicted there.':
        lambda label, pred, n_class:
            counted(np.where(label == 255, 0, label).astype(label.dtype), pred, n_class),
    'Rows and columns are swapped: the truth chooses the row, the prediction the column.':
        lambda *case: counted(*case).T,
    'hist[label, pred] += 1 counts a pair once, however often it comes. np.bincount of '
    'n_class·label + pred counts every pixel, and so does np.add.at.': once,
    'n_class·label is computed in uint8, which goes round at 256: turn the label into int64 first.':
        narrow,
    'Class 0 is a class as any other, also when it is called background: only 255 is left out.':
        lambda label, pred, n_class:
            counted(np.where(label == 0, 255, label), pred, n_class),
})


def parts(hist):
    """Right pixels, true ones, predicted ones, of each class."""
    return hist.diagonal(), hist.sum(1), hist.sum(0)


def mean(function):
    """The mean over the classes of function(right, true, predicted), as NumPy divides."""
    return lambda hist: float(np.mean(function(*parts(hist))))


def divided(a, b):
    """a / b, 0 where there is nothing to divide by."""
    return a / np.where(b > 0, b, 1)


def over_true(hist):
    right, true, predicted = (part[hist.sum(1) > 0] for part in parts(hist))
    return float(np.mean(right / (true + predicted - right)))


def of_sums(hist):
    right = hist.diagonal().sum()
    return float(right / (2 * hist.sum() - right))


MEAN_IU = Exercise('hist', 'mean_iu', [
    (np.array([[3, 1], [1, 5]]),),
    (np.array([[4, 2], [0, 1]]),),
    (np.array([[4, 1, 0], [2, 3, 0], [0, 0, 0]]),),         # no class 2, neither true nor predicted
    (np.array([[6, 1, 2], [1, 3, 0], [0, 0, 0]]),),         # class 2 predicted, and never true
    (np.array([[9, 0, 3, 1], [2, 0, 2, 0], [1, 0, 7, 0], [0, 0, 0, 2]]),),
], lambda hist: metrics.scores(hist)['mean_iu'], {
    'A class that is neither true nor predicted is 0 / 0, which is nan, and so is every mean with '
    'it: leave it out, as np.nanmean does.':
        mean(lambda right, true, predicted: right / (true + predicted - right)),
    'A class that is neither true nor predicted is no failure of the net: leave it out of the '
    'mean, do not count it as 0.':
        mean(lambda right, true, predicted: divided(right, true + predicted - right)),
    'A class that is predicted and never true is wrong wherever it is seen: its IU is 0, and it '
    'counts.': over_true,
    'This is the mean accuracy: the union has the pixels that are predicted to be of the class, '
    'too.': lambda hist: metrics.scores(hist)['mean_acc'],
    'This is the pixel accuracy: take the IU of each class first, then the mean over classes.':
        lambda hist: metrics.scores(hist)['pixel_acc'],
    'The union counts the right pixels twice: they are in the row and in the column, so subtract '
    'them once.': lambda hist: float(np.nanmean(hist.diagonal() / (hist.sum(1) + hist.sum(0)))),
    'This is the IU of all classes summed: large classes rule it. Divide class by class, then '
    'take the mean.': of_sums,
})

EXERCISES = dict(confusion=CONFUSION, mean_iu=MEAN_IU)
