"""Scores computed by hand and by plain loops, and what is refused."""
import numpy as np
import pytest

from tinyfcn.metrics import confusion, scores

VOID = 255
LABEL = np.array([[0, 0, 0, 1], [0, 0, 1, 1], [0, 2, 2, VOID], [VOID, 2, 2, 2]], 'uint8')
PRED = np.array([[0, 0, 1, 1], [0, 0, 1, 1], [0, 2, 0, 2], [1, 2, 2, 2]])
MEANS = 'pixel_acc', 'mean_acc', 'mean_iu', 'fw_iu'


def test_scores_by_hand():
    hist = confusion(LABEL, PRED, 3)
    assert hist.dtype == 'int64'
    assert hist.tolist() == [[5, 1, 0], [0, 3, 0], [1, 0, 4]]
    found = scores(hist)
    assert found['iu'] == pytest.approx([5 / 7, 3 / 4, 4 / 5], abs=1e-15)
    expected = [.857143, .877778, .754762, .752551]
    assert [found[mean] for mean in MEANS] == pytest.approx(expected, abs=5e-7)
    assert all(type(found[mean]) is float for mean in MEANS)


def test_absent_classes():
    """Class 3 has no pixels and counts in no mean. Class 4 is only predicted: IU 0, no accuracy."""
    pred = PRED.copy()
    pred[0, 0] = 4
    found = scores(confusion(LABEL, pred, 5))
    assert np.isnan(found['iu']).tolist() == [False, False, False, True, False]
    assert found['iu'][4] == 0
    expected = [.785714, .822222, .530357, .691327]
    assert [found[mean] for mean in MEANS] == pytest.approx(expected, abs=5e-7)


def test_scores_of_a_data_set_are_not_the_means_over_its_images():
    labels = np.array([[0, 0, 0, 0], [1, 1, 0, 0]])
    preds = np.array([[0, 0, 0, 1], [1, 1, 0, 0]])
    hists = [confusion(label, pred, 2) for label, pred in zip(labels, preds)]
    assert scores(sum(hists))['iu'] == pytest.approx([5 / 6, 2 / 3])
    assert scores(sum(hists))['mean_iu'] == pytest.approx(.75)
    assert np.mean([scores(hist)['mean_iu'] for hist in hists]) == pytest.approx(.6875)
    assert (confusion(labels, preds, 2) == sum(hists)).all()


@pytest.mark.parametrize('label', [np.full((2, 5), VOID), np.zeros((0, 5), int)])
def test_without_pixels_every_score_is_nan(label):
    hist = confusion(label, np.zeros(label.shape, int), 3)
    found = scores(hist)
    assert hist.tolist() == [[0] * 3] * 3
    assert np.isnan(found['iu']).tolist() == [True] * 3
    assert all(np.isnan(found[mean]) for mean in MEANS)


def test_ignored_pixels_do_not_count_whatever_is_predicted_there():
    label = np.array([0, 1, 7, 1])
    pred = np.array([0, 1, 99, 0])
    assert confusion(label, pred, 2, ignore=7).tolist() == [[1, 0], [1, 1]]
    assert confusion(label % 7, pred % 2, 2, ignore=0).tolist() == [[0, 0], [1, 1]]


@pytest.mark.parametrize('dtype', ['uint8', 'int8', 'int32', 'uint64'])
def test_any_integer_dtype(dtype):
    label = np.array([0, 19, 20, 20], dtype)
    pred = np.array([0, 20, 20, 19], dtype)
    hist = confusion(label, pred, 21)                   # 20·21 + 20 = 440 does not fit into 8 bits
    assert hist.sum() == 4
    assert hist[0, 0] == hist[19, 20] == hist[20, 20] == hist[20, 19] == 1


def scores_by_loops(label, pred, n_class):
    """The definitions, one pixel and one class at a time. -> hist, the four means, the IUs"""
    n = [[0] * n_class for _ in range(n_class)]
    for true, predicted in zip(label.ravel().tolist(), pred.ravel().tolist()):
        if true != VOID:
            n[true][predicted] += 1
    total = 0
    right = 0
    fw = 0
    accuracies = []
    ious = []
    for i in range(n_class):
        true = sum(n[i])
        predicted = sum(row[i] for row in n)
        total += true
        right += n[i][i]
        if true:
            accuracies.append(n[i][i] / true)
        if true + predicted:
            ious.append(n[i][i] / (true + predicted - n[i][i]))
            fw += true * ious[-1]
    means = right / total, sum(accuracies) / len(accuracies), sum(ious) / len(ious), fw / total
    return n, means, ious


@pytest.mark.parametrize('seed', range(30))
def test_against_plain_loops(seed):
    rng = np.random.default_rng(seed)
    n_class = int(rng.integers(1, 12))
    label, pred = rng.integers(0, n_class, (2, 2, 7, 5))
    label[rng.random(label.shape) < .2] = VOID
    n, means, ious = scores_by_loops(label, pred, n_class)
    hist = confusion(label, pred, n_class)
    found = scores(hist)
    assert hist.tolist() == n
    assert [found[mean] for mean in MEANS] == pytest.approx(means, rel=1e-12)
    assert found['iu'][~np.isnan(found['iu'])] == pytest.approx(ious, rel=1e-12)


def with_pixels(label, first, second):
    label = label.astype('int64')
    label[2, 1] = first
    label[3, 3] = second
    return label


@pytest.mark.parametrize('label, pred, message', [
    (with_pixels(LABEL, -1, 9), PRED, r'label -1 at \(2, 1\): .* 0 … 2, .* 255 .*; 2 of 16 pixels'),
    (LABEL, with_pixels(PRED, 3, 0), r'pred 3 at \(2, 1\): .* 0 … 2, .* 255 .*; 1 of 16 pixels'),
    (LABEL, PRED[:3], r'label has shape \(4, 4\) and pred \(3, 4\)'),
    (LABEL, PRED[None], r'label has shape \(4, 4\) and pred \(1, 4, 4\)'),
])
def test_refused_values_and_shapes(label, pred, message):
    with pytest.raises(ValueError, match=message):
        confusion(label, pred, 3)


@pytest.mark.parametrize('label, pred, message', [
    (LABEL.tolist(), PRED, 'label is list; an array of integers is needed'),
    (LABEL, PRED.astype('float32'), 'pred is float32; an array of integers is needed'),
    (LABEL, PRED > 0, 'pred is bool; an array of integers is needed'),
])
def test_refused_types(label, pred, message):
    with pytest.raises(TypeError, match=message):
        confusion(label, pred, 3)


def test_scores_refuse_a_matrix_that_is_not_square():
    with pytest.raises(ValueError, match=r'hist has shape \(1, 3\)'):
        scores(np.ones((1, 3), int))
