"""L01: the confusion matrix, and the mean IU that is read off it."""
import numpy as np

from ... import metrics
from .exercise import Exercise


def confusion_case(h, w, n_class, n_void=0, seed=0, dtype='int64'):
    """The label and the prediction of a small image, with n_void void pixels in the label."""
    rng = np.random.default_rng((seed, h, w, n_class))
    label, pred = rng.integers(0, n_class, (2, h, w)).astype(dtype)
    label.flat[rng.permutation(h * w)[:n_void]] = 255
    return label, pred, n_class


def confusion(label, pred, n_class):
    return metrics.confusion(label, pred, n_class)


def pairs_counted_once(label, pred, n_class):
    hist = np.zeros((n_class, n_class), 'int64')
    valid = label != 255
    hist[label[valid], pred[valid]] += 1
    return hist


def uint8_overflow(label, pred, n_class):
    """n_class · label wraps around at 256."""
    valid = label != 255
    pairs = (label[valid] * np.array(n_class, label.dtype) + pred[valid]).astype('int64')
    hist = np.zeros(n_class * n_class, 'int64')
    np.add.at(hist, pairs, 1)
    return hist.reshape(n_class, n_class)


def count_void(label, pred, n_class):
    """255 is an index that hist does not have."""
    hist = np.zeros((n_class, n_class), 'int64')
    for true, predicted in zip(label.ravel(), pred.ravel()):
        hist[true, predicted] += 1
    return hist


def bincount_of_any_length(label, pred, n_class):
    """Without minlength it ends at the largest pair that occurs."""
    valid = label != 255
    pairs = n_class * label[valid].astype('int64') + pred[valid].astype('int64')
    return np.bincount(pairs).reshape(n_class, n_class)


def void_as_background(label, pred, n_class):
    return confusion(np.where(label == 255, 0, label).astype(label.dtype), pred, n_class)


def background_as_void(label, pred, n_class):
    return confusion(np.where(label == 0, 255, label), pred, n_class)


CONFUSION = Exercise(inputs='label pred n_class', outputs='hist', cases=[
    (np.array([[0, 1], [1, 1]]), np.array([[0, 0], [1, 1]]), 2),
    (np.array([[0, 255], [1, 1]]), np.array([[0, 0], [0, 1]]), 2),
    confusion_case(2, 3, 3, seed=1),
    confusion_case(4, 4, 3, n_void=5, seed=2),
    confusion_case(6, 7, 5, n_void=6, seed=3, dtype='uint8'),
    confusion_case(40, 40, 21, n_void=90, seed=4, dtype='uint8'),
], solution=confusion, mistakes={
    'Void pixels are counted. A pixel whose label is 255 belongs in no cell, whatever was '
    'predicted there.': void_as_background,
    'Rows and columns are swapped. The label chooses the row, the prediction the column.':
        lambda *case: confusion(*case).T,
    'hist[label, pred] += 1 counts each pair only once, however often it occurs. np.add.at counts '
    'every pixel, and so does np.bincount of n_class·label + pred.': pairs_counted_once,
    'n_class·label is computed in uint8, which wraps around at 256. Convert the label to int64 '
    'first.': uint8_overflow,
    'Class 0 is left out. It is a class like any other, also where it is called background: only '
    '255 is left out.': background_as_void,
    'A label of 255 is void, and hist has no row for it. Leave these pixels out before you count.':
        count_void,
    'np.bincount ends at the largest number that occurs. With minlength=n_class·n_class it has an '
    'entry for each pair.': bincount_of_any_length,
})


def count_classes(hist):
    """For each class: the pixels that are correct, labelled so, and predicted so."""
    return hist.diagonal(), hist.sum(1), hist.sum(0)


def mean_over_classes(function):
    """The mean of function(correct, labelled, predicted), with NumPy's own rules of division."""
    return lambda hist: float(np.mean(function(*count_classes(hist))))


def divide_or_zero(a, b):
    """a / b, and 0 where b is 0."""
    return a / np.where(b > 0, b, 1)


def over_labelled_classes(hist):
    labelled_classes = hist.sum(1) > 0
    correct, labelled, predicted = (part[labelled_classes] for part in count_classes(hist))
    return float(np.mean(correct / (labelled + predicted - correct)))


def of_summed_classes(hist):
    correct = hist.diagonal().sum()
    return float(correct / (2 * hist.sum() - correct))


def divide_integers(hist):
    """Class by class with Python's integers, for which 0 / 0 is an error."""
    ious = [correct / (labelled + predicted - correct)
            for correct, labelled, predicted in np.transpose(count_classes(hist)).tolist()]
    return sum(ious) / len(ious)


def correct_pixels_counted_twice(hist):
    return float(np.nanmean(hist.diagonal() / (hist.sum(1) + hist.sum(0))))


MEAN_IU = Exercise(inputs='hist', outputs='mean_iu', cases=[
    (np.array([[4, 2], [0, 1]]),),
    (np.array([[3, 1], [1, 5]]),),
    (np.array([[4, 1, 0], [2, 3, 0], [0, 0, 0]]),),     # class 2 neither labelled nor predicted
    (np.array([[6, 1, 2], [1, 3, 0], [0, 0, 0]]),),     # class 2 predicted, but never labelled
    (np.array([[9, 0, 3, 1], [2, 0, 2, 0], [1, 0, 7, 0], [0, 0, 0, 2]]),),
], solution=lambda hist: metrics.scores(hist)['mean_iu'], mistakes={
    'A class that is neither labelled nor predicted has IU 0 / 0, which is nan, and so the mean is '
    'nan too. Leave it out, as np.nanmean does.':
        mean_over_classes(lambda correct, labelled, predicted:
                          correct / (labelled + predicted - correct)),
    'A class that is neither labelled nor predicted counts as 0. The net has made no mistake '
    'there: leave it out of the mean.':
        mean_over_classes(lambda correct, labelled, predicted:
                          divide_or_zero(correct, labelled + predicted - correct)),
    'A class that is predicted but never labelled is left out. Its IU is 0, and it counts.':
        over_labelled_classes,
    'This is the mean accuracy. The union also has the pixels that are only predicted to be of '
    'the class.': lambda hist: metrics.scores(hist)['mean_acc'],
    'These are shares of the predicted pixels. The union also has the pixels of the class that '
    'were predicted as another one.':
        mean_over_classes(lambda correct, labelled, predicted: divide_or_zero(correct, predicted)),
    'A class that is neither labelled nor predicted has a union of 0, and 0 / 0 is an error. Leave '
    'it out of the mean.': divide_integers,
    'This is the pixel accuracy. Take the IU of each class first, then the mean over the classes.':
        lambda hist: metrics.scores(hist)['pixel_acc'],
    'The union counts the correct pixels twice, in the row and in the column. Subtract them once.':
        correct_pixels_counted_twice,
    'This is the IU of all classes taken together, in which large classes dominate. Divide class '
    'by class, then take the mean.': of_summed_classes,
})

EXERCISES = dict(confusion=CONFUSION, mean_iu=MEAN_IU)
