"""The errors of a net on a data set: every part is a confusion matrix, and the parts add up."""
import numpy as np
import pytest
from training_samples import CENTRED, small_dataset, small_net

from tinyfcn import Dataset, Net, build, load_dataset, metrics
from tinyfcn.data.ceiling import through_cells
from tinyfcn.data.dataset import hold_out
from tinyfcn.data.statistics import label_statistics
from tinyfcn.layers import conv, resize
from tinyfcn.prediction import ErrorAnalysis, analyse_errors, evaluate, predict_all
from tinyfcn.prediction.analysis import BEST, SHOWN_SIDE, WORST
from tinyfcn.prediction.anatomy import (
    N_CAUSES,
    border_distance,
    find_causes,
    object_sizes,
)

CLASSES = 'sky', 'tree', 'road', 'never'


def labelled(number, side=9, size=(60, 80)):
    """An image, its label of blocks with void, and a prediction with errors of every cause."""
    rng = np.random.default_rng(number)
    rows, columns = (-(-n // side) for n in size)
    label = rng.choice([0, 0, 0, 1, 2, 255], (rows, columns))
    label = label.repeat(side, 0).repeat(side, 1)[:size[0], :size[1]].astype('uint8')
    pred = np.roll(np.where(label == 255, 0, label), number % 5, 1)
    pred[:20, :30] = 1
    image = rng.integers(0, 256, (*size, 3)).astype('uint8')
    return image, label, pred


@pytest.fixture(scope='module')
def analysis():
    analysis = ErrorAnalysis(CLASSES, small=150, border=3)
    for number in range(20):
        analysis.add(str(number), *labelled(number), stride=8)
    return analysis


def test_all_parts_add_up_to_the_confusion_matrix(analysis):
    hist = sum(metrics.confusion(*labelled(number)[1:], len(CLASSES)) for number in range(20))
    assert (analysis.confusion == hist).all()
    assert (analysis.by_size.sum(0) == hist).all()
    assert (analysis.by_cause.sum(0) == hist - np.diag(hist.diagonal())).all()
    assert analysis.by_cause.sum((1, 2)).all(), 'every cause is there'
    assert analysis.void == sum((labelled(number)[1] == 255).sum() for number in range(20)) > 0


def test_the_shares_of_causes_and_of_pairs_add_up(analysis):
    causes = analysis.causes()
    wrong = analysis.confusion.sum() - analysis.confusion.trace()
    assert sum(cause.pixels for cause in causes) == wrong
    assert sum(cause.share for cause in causes) == pytest.approx(1, abs=1e-12)
    missing = 1 - analysis.scores['mean_iu']
    assert sum(cause.gain for cause in causes) == pytest.approx(missing, abs=1e-12)
    assert causes[-1].mean_iu == 1
    pairs = analysis.pairs()
    assert sum(pair.pixels for pair in pairs) == wrong
    assert sum(pair.share for pair in pairs) == pytest.approx(1, abs=1e-12)
    assert [pair.pixels for pair in pairs] == sorted((pair.pixels for pair in pairs), reverse=True)
    for pair in pairs:
        assert sum(pair.by_cause) == pair.pixels == analysis.confusion[pair.true, pair.pred]


def test_the_ceiling_is_that_of_labels_at_the_stride(analysis):
    hist = 0
    for number in range(20):
        label = labelled(number)[1]
        hist += metrics.confusion(label, through_cells(label, 8), len(CLASSES))
    assert (analysis.ceiling == hist).all() and hist.trace() < hist.sum()


def test_a_gain_is_that_of_predictions_which_are_corrected(analysis):
    """The pixels of the first causes are made right, and everything is evaluated again."""
    for last, cause in enumerate(analysis.causes()):
        hist = 0
        for number in range(20):
            _, label, pred = labelled(number)
            found = find_causes(label, pred, through_cells(label, 8), object_sizes(label) < 150,
                                border_distance(label) <= 3)
            corrected = np.where(found <= last, label, pred)
            hist += metrics.confusion(label, corrected, len(CLASSES))
        assert cause.mean_iu == pytest.approx(metrics.scores(hist)['mean_iu'], abs=1e-12)


def test_a_band_is_evaluated_alone(analysis):
    """By labels in which everything farther from a border is void."""
    bands = {band.distance: band for band in analysis.bands()}
    total = analysis.confusion
    wrong = total.sum() - total.trace()
    for distance in 1, 4, 11:
        hist = 0
        for number in range(20):
            _, label, pred = labelled(number)
            near = np.where(border_distance(label) <= distance, label, 255)
            hist += metrics.confusion(near, pred, len(CLASSES))
        scores = metrics.scores(hist)
        band = bands[distance]
        assert band.mean_iu == pytest.approx(scores['mean_iu'], abs=1e-12)
        assert band.pixel_acc == pytest.approx(scores['pixel_acc'], abs=1e-12)
        assert band.pixels == pytest.approx(hist.sum() / total.sum(), abs=1e-12)
        assert band.errors == pytest.approx((hist.sum() - hist.trace()) / wrong, abs=1e-12)


def test_objects_are_counted_by_their_size():
    label = np.zeros((100, 100), 'uint8')
    label[10:15, 10:30] = 1                             # 100 pixels
    label[40:60, 40:60] = 1                             # 400
    label[80:85, 0:4] = 255                             # void is no object
    analysis = ErrorAnalysis(['ground', 'box'], small=200)
    analysis.add('one', np.zeros((100, 100, 3), 'uint8'), label, np.where(label == 255, 0, label))
    analysis.add('two', np.zeros((100, 100, 3), 'uint8'), label, np.zeros_like(label))
    small, medium, large = analysis.sizes()
    assert [each.objects for each in (small, medium, large)] == [2, 2, 2]
    assert [each.pixels for each in (small, medium)] == [200, 800]
    assert (small.accuracy, medium.accuracy, large.accuracy) == (.5, .5, 1)


# ---- Of a net ------------------------------------------------------------------------------------

def test_the_scores_are_those_of_evaluate():
    net, dataset = small_net(), small_dataset()
    for options in {}, dict(flip=True, scales=[1, 1.5]):
        analysis = analyse_errors(net, dataset, small=9, **options)
        scores = evaluate(net, dataset, **options)
        assert analysis.scores.pop('iu') == pytest.approx(scores.pop('iu'), abs=0)
        for name in scores:
            assert analysis.scores[name] == scores[name]
        assert [each.name for each in analysis.images] == dataset.names


def test_the_ceiling_is_the_one_that_plan_predicts():
    dataset = load_dataset('shapes', size=(60, 80)).subset(['0', '1', '2', '3'])
    net = build('tiny_8s', n_class=5, width=1/8)
    net.about['preprocess'] = CENTRED
    ceiling = analyse_errors(net, dataset).ceiling
    assert (ceiling == label_statistics(dataset).confusion[8]).all()
    assert .5 < metrics.scores(ceiling)['mean_iu'] < 1


def test_several_outputs_have_an_analysis_each():
    n = Net(3)
    n.features = conv(n.data, 4, 3, stride=4, pad=1)
    n.sem = conv(n.features, 3, 1)
    n.score_sem = resize(n.sem, like=n.data)
    n.score_geo = conv(n.data, 2, 1)
    n.about['preprocess'] = CENTRED
    classes = dict(score_sem=['sky', 'tree', 'road'], score_geo=['flat', 'upright'])
    image = np.random.default_rng(1).integers(0, 256, (40, 50, 3)).astype('uint8')
    label = {output: (image[..., 0] % len(own)).astype('uint8') for output, own in classes.items()}
    dataset = Dataset(classes, ['one'], lambda name: (image, label))
    analyses = analyse_errors(n, dataset)
    scores = evaluate(n, dataset)
    assert [analyses[output].scores['pixel_acc'] for output in classes] == [
        scores[output]['pixel_acc'] for output in classes]
    assert [analyses[output].strides for output in classes] == [{4}, {1}]


def test_analyses_of_two_halves_add_up_to_that_of_all():
    """As those of two ranks do."""
    net, dataset = small_net(), small_dataset(40)
    whole = analyse_errors(net, dataset, small=9)
    half, other = (analyse_errors(net, part, small=9) for part in hold_out(dataset, .5))
    half.merge(other)
    for counts in 'by_cause', 'by_distance', 'by_size', 'ceiling', 'void':
        assert np.array_equal(getattr(half, counts), getattr(whole, counts))
    assert half.objects == pytest.approx(whole.objects)
    assert sorted(half.images) == sorted(whole.images)
    assert [each.score for each in half.worst()] == [each.score for each in whole.worst()]
    assert [each.score for each in half.best()] == [each.score for each in whole.best()]


def test_the_worst_and_the_best_images_are_kept():
    net, dataset = small_net(), small_dataset(40)
    analysis = analyse_errors(net, dataset)
    own = {}
    for name, _, label, pred in predict_all(net, dataset):
        own[name] = metrics.scores(metrics.confusion(label, pred, 3))['mean_iu']
    ranked = sorted(own.values())
    assert [each.score.mean_iu for each in analysis.worst()] == ranked[:WORST]
    assert [each.score.mean_iu for each in analysis.best()] == ranked[::-1][:BEST]
    assert all(own[each.score.name] == each.score.mean_iu for each in analysis.shown)


# ---- Special cases -------------------------------------------------------------------------------

def test_a_perfect_prediction_has_no_cause():
    image, label, _ = labelled(0)
    analysis = ErrorAnalysis(CLASSES)
    analysis.add('one', image, label, np.where(label == 255, 0, label), stride=32)
    assert analysis.pairs() == [] and not analysis.by_cause.any()
    assert {(cause.pixels, cause.share, cause.gain) for cause in analysis.causes()} == {(0, 0, 0)}


def test_void_is_nowhere():
    image, label, pred = labelled(0)
    analysis = ErrorAnalysis(CLASSES)
    analysis.add('one', image, np.full_like(label, 255), pred)
    assert analysis.void == label.size and not analysis.confusion.any()
    assert analysis.images == analysis.shown == analysis.bands() == []
    assert len(analysis.causes()) == N_CAUSES


def test_a_prediction_of_an_unknown_class_is_refused():
    image, label, pred = labelled(0)
    with pytest.raises(ValueError, match=r'pred 4 at .*: there are classes 0 … 3'):
        ErrorAnalysis(CLASSES).add('one', image, label, np.full_like(pred, 4))


@pytest.mark.parametrize('channels, dtype', [(1, 'uint8'), (2, 'float32'), (4, 'uint8'),
                                             (3, 'float32')])
def test_images_of_any_channels_are_shown_in_rgb(channels, dtype):
    _, label, pred = labelled(0, size=(20, 2 * SHOWN_SIDE))
    image = (1000 * np.random.default_rng(1).random((*label.shape, channels))).astype(dtype)
    analysis = ErrorAnalysis(CLASSES)
    analysis.add('one', image, label, pred)
    shown, = analysis.shown
    assert shown.image.shape == (10, SHOWN_SIDE, 3) and shown.image.dtype == 'uint8'
    assert shown.label.shape == shown.pred.shape == shown.causes.shape == (10, SHOWN_SIDE)
    assert shown.image.std() > 20
