"""The benchmarks beside the paper and beside PyTorch measure what they claim to."""
import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from optional_deps import needs_torch, torch
from PIL import Image
from training_samples import CENTRED, make_recipe, small_dataset

from tinyfcn import Net, build
from tinyfcn.data import shapes
from tinyfcn.data.ceiling import through_cells
from tinyfcn.layers import conv, relu, scale
from tinyfcn.training.loop import make_optimizer, train

sys.path.append(str(Path(__file__).parents[2] / 'benchmarks'))
with pytest.MonkeyPatch.context() as patch:             # benchmarks use two threads; tests use one
    patch.setenv('TINYFCN_THREADS', '1')
    import accuracy
    import competitors
    import limits
    import plan_check
    import upper_bound

LABEL = np.array([[0, 0, 3, 3, 3],
                  [0, 0, 3, 7, 3],
                  [0, 5, 5, 255, 3],
                  [5, 5, 5, 5, 3]], 'uint8')


# ---- upper bounds --------------------------------------------------------------------------------

@pytest.mark.parametrize('way', upper_bound.WAYS)
def test_cells_of_one_pixel_change_nothing(way):
    """Except for void, where it is no class."""
    pred = upper_bound.resample(LABEL, 1, *upper_bound.WAYS[way])
    known = LABEL != 255
    assert (pred == LABEL)[known].all() and (pred[~known] == 255).all() == upper_bound.WAYS[way][-1]
    assert upper_bound.mean_iu(upper_bound.confusion_with_void(LABEL, pred)) == 100


@pytest.mark.parametrize('way, cells', [
    ('middle pixel, repeated', [[0, 7, 3], [5, 5, 3]]),         # rows 1, 3; columns 1, 3, the last
    ('commonest class, repeated', [[0, 3, 3], [5, 5, 3]])])
def test_cells_of_two_pixels_by_hand(way, cells):
    pred = upper_bound.resample(LABEL, 2, *upper_bound.WAYS[way])
    assert (pred == np.repeat(np.repeat(cells, 2, 0), 2, 1)[:, :5]).all()


def test_an_edge_between_two_cells_keeps_its_position():
    """Bilinear upsampling from the sampled pixels puts it half-way, to one pixel."""
    label = np.repeat([[2, 9]], 8, 1) * np.ones((16, 1), 'uint8')
    for way in ('middle pixel, bilinear', 'commonest class, bilinear', 'shares, bilinear'):
        pred = upper_bound.resample(label, 4, *upper_bound.WAYS[way])
        assert abs(int((pred == 2).sum(1)[0]) - 8) <= ('middle' in way)


def test_the_package_reduces_labels_as_the_nearest_way_to_the_paper_does():
    """By matrices here, by the four cells around each pixel there."""
    label = shapes.generate(0, 3, (96, 128))[1]
    label[38:43] = 255                                  # no whole cell
    way = upper_bound.WAYS['commonest class, bilinear, no void']
    for stride in 4, 8, 16, 32:
        found = through_cells(label, stride)
        assert (found == upper_bound.resample(label, stride, *way))[label != 255].all()
        assert (found[label == 255] == 255).all() and (found != label).any()


def test_void_is_an_error_but_no_false_positive():
    label = np.array([0, 0, 0, 1, 255])
    pred = np.array([0, 0, 255, 1, 1])
    hist = upper_bound.confusion_with_void(label, pred)
    assert hist.sum() == 4 and hist[0, 0] == 2 and hist[0, 21] == 1 and hist[1, 1] == 1
    assert upper_bound.mean_iu(hist) == pytest.approx(100 * (2 / 3 + 1) / 2)


def test_larger_factors_give_lower_bounds(tmp_path):
    for i in range(6):
        Image.fromarray(shapes.generate(0, i)[1]).save(tmp_path / f'{i}.png')
    found = upper_bound.bounds(sorted(tmp_path.iterdir()), 'commonest class, bilinear')
    assert [*found.values()] == sorted(found.values()) and found[4] > 90 > 60 > found[64]


# ---- limits --------------------------------------------------------------------------------------

def test_a_scene_is_at_least_as_large_as_a_training_image():
    for height in limits.HEIGHTS:
        image, label = limits.scene(height, 1)
        assert label.shape == (max(128, height), max(160, height * 5 // 4)) == image.shape[:2]
    image, label = limits.scene(32, 1)
    # the second scene of 4×4 images: its second row, third column
    whole, mask = shapes.generate(limits.SEED, 16 + 6, (32, 40), **limits.KWARGS)
    assert (image[32:64, 80:120] == whole).all() and (label[32:64, 80:120] == mask).all()


# ---- stages --------------------------------------------------------------------------------------

@pytest.mark.parametrize('set_name', accuracy.FOLDERS)
@pytest.mark.parametrize('stage', accuracy.STAGES)
def test_every_stage_has_a_recipe_and_starts_from_a_coarser_one(set_name, stage):
    recipe, init_from = accuracy.stage_recipe(set_name, stage)
    stride = accuracy.STAGES[stage].stride
    assert recipe.net == f'fcn_squeezenet_{stride}s' and recipe.train == (set_name, 'train')
    assert init_from is None or accuracy.STAGES[init_from].stride >= stride
    params = build(recipe.net, 3, width=1/16).params
    [*make_optimizer(recipe).blocks(params, {})]            # its rules match
    quarter, _ = accuracy.stage_recipe(set_name, stage, .25)
    assert quarter.steps == round(recipe.steps / 4)


def test_a_reduced_rate_equals_a_scaled_skip():
    """Features times s, or the rate of their zero weights times s², give the same scores.

    The rate scales the weight decay, too, so the decay is divided by the same factor.
    """
    s = accuracy.SCALED_SKIPS['score_fire?.w']['lr'] ** .5

    def net(scaled):
        n = Net(3, 'float64', seed=0)
        n.conv1 = conv(n.data, 4, 3, pad=1)
        n.fire3 = relu(n.conv1)
        if scaled:
            n.scale3 = scale(n.fire3, s)
        n.score_fire3 = conv(n.scale3 if scaled else n.fire3, 3, 1)
        n.params['score_fire3.w'][:] = 0
        n.about['preprocess'] = CENTRED
        return n

    plain = net(False)
    scaled = net(True)
    recipe = make_recipe(lr=.3, steps=6, weight_decay=.01)
    reduced = replace(recipe, rules=accuracy.SCALED_SKIPS)
    for n, own in (plain, reduced), (scaled, recipe):
        assert len([*train(n, small_dataset(), own, make_optimizer(own))]) == 6
    assert abs(plain.params['score_fire3.w']).max() > 1e-3
    np.testing.assert_allclose(plain.params['score_fire3.w'], s * scaled.params['score_fire3.w'],
                               rtol=1e-9, atol=1e-15)
    unscaled = net(False)
    [*train(unscaled, small_dataset(), recipe, make_optimizer(recipe))]
    assert abs(unscaled.params['score_fire3.w'] - plain.params['score_fire3.w']).max() > 1e-3


# ---- beside PyTorch ------------------------------------------------------------------------------

def small_net():
    """With random biases, as zeros would be on the kink of a ReLU; its scores start at zero."""
    n = build('fcn_squeezenet_8s', n_class=3, width=1/8, seed=1)
    rng = np.random.default_rng(2)
    for name, w in n.params.items():
        if name.endswith('.b'):
            w += .1 * rng.standard_normal(w.shape).astype('float32')
    n.about['preprocess'] = CENTRED
    return n


@needs_torch
def test_both_competitors_train_alike():
    """Eight steps of dropout, flips and a falling rate, to a thousandth in float32.

    With another seed other units are dropped, and the losses differ by far more.
    """
    dataset = small_dataset(7, (24, 30))
    recipe = make_recipe(lr=.05, steps=8, iter_size=2, lr_power=.9, flip=True, weight_decay=.01)
    nets = dict(tinyfcn=small_net(), pytorch=small_net(), other=small_net())
    nets['other'].seed = 2
    trainers = dict(tinyfcn=competitors.TinyFCN(nets['tinyfcn']),
                    pytorch=competitors.PyTorch(nets['pytorch']),
                    other=competitors.PyTorch(nets['other']))
    torch.set_num_threads(1)                            # small images leave a second one idle
    losses = {name: np.array([*trainer.train(dataset, recipe, 3)])
              for name, trainer in trainers.items()}
    assert abs(losses['tinyfcn'] / losses['pytorch'] - 1).max() < 1e-3
    assert abs(losses['tinyfcn'] / losses['other'] - 1).max() > 3e-3
    for name, w in nets['tinyfcn'].params.items():
        other = nets['pytorch'].params[name]
        assert abs(w - other).max() < 1e-3 * max(1, abs(w).max()), name
    trained = nets['tinyfcn'].params['score_fire5.w']
    assert abs(trained - small_net().params['score_fire5.w']).max() > .01
    preds = [[*trainers[name].predict_all(dataset)] for name in ('tinyfcn', 'pytorch')]
    assert len(preds[0]) == 7
    for (label, ours), (their_label, theirs) in zip(*preds):
        assert (label == their_label).all() and (ours == theirs).mean() > .99


# ---- a whole result ------------------------------------------------------------------------------

@pytest.fixture
def data(tmp_path, monkeypatch):
    """Forty images in the layout of Stanford Background, and random weights."""
    rng = np.random.default_rng(0)
    for name in 'images', 'labels':
        (tmp_path / 'stanford_background' / name).mkdir(parents=True)
    for i in range(40):
        image = rng.integers(0, 256, (24, 32, 3), 'uint8')
        Image.fromarray(image).save(tmp_path / f'stanford_background/images/{i}.jpg')
        Image.fromarray(image[..., 0] // 32).save(tmp_path / f'stanford_background/labels/{i}.png')
    names = '\n'.join(map(str, range(40)))
    (tmp_path / 'stanford_background/train.txt').write_text(names)
    build('squeezenet').save(tmp_path / 'weights.safetensors')
    monkeypatch.setattr(accuracy, 'IMAGENET', 'weights.safetensors')
    monkeypatch.setattr(accuracy, 'RUNS', tmp_path / 'runs')
    monkeypatch.setattr(accuracy, 'RESULTS', tmp_path / 'results')
    monkeypatch.setattr(accuracy, 'check_machine', lambda: dict(busy=0))    # it takes a second
    return tmp_path


def test_a_stage_writes_its_result_and_the_next_starts_from_it(data):
    """One step of each; the second starts from the weights of the first, except for its skip."""
    for stage in '16s', '8s':
        accuracy.train_stage(data, 'stanford', stage, 0, 'tinyfcn', 1e-4)
    paths = accuracy.result_paths('stanford', '8s', 0, 'tinyfcn', 1e-4)
    result = json.loads(paths.result.read_text())
    assert result['train_images'] + result['valid_images'] == 40 and result['recipe']['steps'] == 1
    assert 0 <= result['scores']['mean_iu'] < .5 and len(result['losses']) == 1
    assert len(np.load(paths.predictions).files) == accuracy.SHOWN and paths.weights.exists()
    assert not (data / 'results').exists(), 'a trial does not count as a result'
    results = accuracy.load_results(paths.result.parent)
    assert [r['stage'] for r in results] == ['16s', '8s']
    accuracy.draw_losses(results, data / 'curves.png')
    accuracy.draw_predictions(data, results, 1e-4, data / 'page.png')
    for drawn in 'curves.png', 'page.png':
        with Image.open(data / drawn) as image:
            assert image.width > image.height and len(image.getcolors(1 << 20)) > 50


def test_seeds_are_averaged():
    def result(seed, mean_iu, competitor='tinyfcn'):
        return dict(set='stanford', stage='16s', seed=seed, competitor=competitor,
                    train_seconds=10 + seed, peak=1e9 + seed, machine=dict(busy=.3 * seed),
                    scores=dict(pixel_acc=.8, mean_acc=.7, mean_iu=mean_iu, fw_iu=.75))

    results = [result(0, .5), result(1, .6), result(0, .4, 'pytorch')]
    ours, theirs = accuracy.average_over_seeds(results)
    assert ours['mean_iu'] == pytest.approx(55) and ours['each'] == pytest.approx([50, 60])
    assert ours['seconds'] == 10.5 and ours['peak'] == 1e9 + 1 and theirs['competitor'] == 'pytorch'
    lines = [*accuracy.markdown_section([result(0, .5), result(1, .6)])]
    assert '| stanford | 16s | tinyfcn | 80.0 | 70.0 | 55.0 | 75.0 | 50.0, 60.0 | 10* |' in lines[3]


# ---- what plan predicts --------------------------------------------------------------------------

def test_what_was_predicted_stands_beside_what_happened():
    row = dict(set='camvid', stage='16s',
               predicted=dict(seconds=110., memory=3e8, ceiling=.7),
               happened=dict(seconds=100., memory=4e8, ceiling=.72, mean_iu=.5))
    assert plan_check.difference(row, 'seconds') == pytest.approx(.1)
    lines = [*plan_check.markdown_section([row])]
    assert '| camvid | 16s | 110, 100 (+10%) | 300, 400 (-25%) | 70.0, 72.0 | 50.0 |' in lines
    assert not [*plan_check.markdown_section([])]
