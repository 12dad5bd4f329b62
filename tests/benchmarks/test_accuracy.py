"""What is said beside the paper and beside PyTorch is measured as it says."""
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
from tinyfcn.layers import conv, relu, scale
from tinyfcn.training.loop import make_optimizer, train

sys.path.append(str(Path(__file__).parents[2] / 'benchmarks'))
with pytest.MonkeyPatch.context() as patch:             # they ask for two threads; tests need none
    patch.setenv('TINYFCN_THREADS', '1')
    import accuracy
    import limits
    import rivals
    import upper_bound

LABEL = np.array([[0, 0, 3, 3, 3],
                  [0, 0, 3, 7, 3],
                  [0, 5, 5, 255, 3],
                  [5, 5, 5, 5, 3]], 'uint8')


# ---- upper bounds --------------------------------------------------------------------------------

@pytest.mark.parametrize('way', upper_bound.WAYS)
def test_cells_of_a_pixel_lose_nothing(way):
    """But void, where it is no class; and then nothing else."""
    pred = upper_bound.there_and_back(LABEL, 1, *upper_bound.WAYS[way])
    known = LABEL != 255
    assert (pred == LABEL)[known].all() and (pred[~known] == 255).all() == upper_bound.WAYS[way][-1]
    assert upper_bound.mean_iu(upper_bound.confused(LABEL, pred)) == 100


@pytest.mark.parametrize('way, cells', [
    ('middle pixel, repeated', [[0, 7, 3], [5, 5, 3]]),         # rows 1, 3; columns 1, 3, the last
    ('commonest class, repeated', [[0, 3, 3], [5, 5, 3]])])
def test_cells_of_two_pixels_by_hand(way, cells):
    pred = upper_bound.there_and_back(LABEL, 2, *upper_bound.WAYS[way])
    assert (pred == np.repeat(np.repeat(cells, 2, 0), 2, 1)[:, :5]).all()


def test_an_edge_between_two_cells_stays_where_it_is():
    """Bilinear upsampling about the pixels that were taken: half-way, to the pixel."""
    label = np.repeat([[2, 9]], 8, 1) * np.ones((16, 1), 'uint8')
    for way in ('middle pixel, bilinear', 'commonest class, bilinear', 'shares, bilinear'):
        pred = upper_bound.there_and_back(label, 4, *upper_bound.WAYS[way])
        assert abs(int((pred == 2).sum(1)[0]) - 8) <= ('middle' in way)


def test_void_is_a_mistake_in_favour_of_none():
    label, pred = np.array([0, 0, 0, 1, 255]), np.array([0, 0, 255, 1, 1])
    hist = upper_bound.confused(label, pred)
    assert hist.sum() == 4 and hist[0, 0] == 2 and hist[0, 21] == 1 and hist[1, 1] == 1
    assert upper_bound.mean_iu(hist) == pytest.approx(100 * (2 / 3 + 1) / 2)


def test_coarser_is_worse(tmp_path):
    for i in range(6):
        Image.fromarray(shapes.generate(0, i)[1]).save(tmp_path / f'{i}.png')
    found = upper_bound.bounds(sorted(tmp_path.iterdir()), 'commonest class, bilinear')
    assert [*found.values()] == sorted(found.values()) and found[4] > 90 > 60 > found[64]


# ---- limits --------------------------------------------------------------------------------------

def test_a_scene_is_as_large_as_what_was_learned_from():
    for height in limits.HEIGHTS:
        image, label = limits.scene(height, 1)
        assert label.shape == (max(128, height), max(160, height * 5 // 4)) == image.shape[:2]
    image, label = limits.scene(32, 1)
    whole, mask = shapes.generate(limits.SEED, 16 + 6, (32, 40), **limits.HOW)   # second row, third
    assert (image[32:64, 80:120] == whole).all() and (label[32:64, 80:120] == mask).all()


# ---- stages --------------------------------------------------------------------------------------

@pytest.mark.parametrize('set_name', accuracy.FOLDERS)
@pytest.mark.parametrize('stage', accuracy.STAGES)
def test_every_stage_has_a_recipe_and_goes_on_from_a_coarser_one(set_name, stage):
    how, start = accuracy.planned(set_name, stage)
    stride = accuracy.STAGES[stage][0]
    assert how.net == f'fcn_squeezenet_{stride}s' and how.train == (set_name, 'train')
    assert start is None or accuracy.STAGES[start][0] >= stride
    [*make_optimizer(how).blocks(build(how.net, 3, width=1/16).params, {})]    # its rules match
    assert accuracy.planned(set_name, stage, .25)[0].steps == round(how.steps / 4)


def test_a_gentle_rate_is_a_scaled_skip():
    """Features times s, or the rate of their zero weights times s²: the same scores, ever after.

    Not so the decay, which a rate would scale too: it is given back.
    """
    s = accuracy.GENTLE['score_fire?.w']['lr'] ** .5

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

    plain, scaled = net(False), net(True)
    how = make_recipe(lr=.3, steps=6, weight_decay=.01)
    gentle = replace(how, rules=accuracy.GENTLE)
    for n, own in (plain, gentle), (scaled, how):
        assert len([*train(n, small_dataset(), own, make_optimizer(own))]) == 6
    assert abs(plain.params['score_fire3.w']).max() > 1e-3
    np.testing.assert_allclose(plain.params['score_fire3.w'], s * scaled.params['score_fire3.w'],
                               rtol=1e-9, atol=1e-15)
    coarse = net(False)
    [*train(coarse, small_dataset(), how, make_optimizer(how))]
    assert abs(coarse.params['score_fire3.w'] - plain.params['score_fire3.w']).max() > 1e-3


# ---- beside PyTorch ------------------------------------------------------------------------------

def begun():
    """A thin net, no bias of which lies on the kink of a ReLU; its scores begin at zero."""
    n, rng = build('fcn_squeezenet_8s', n_class=3, width=1/8, seed=1), np.random.default_rng(2)
    for name, w in n.params.items():
        if name.endswith('.b'):
            w += .1 * rng.standard_normal(w.shape).astype('float32')
    n.about['preprocess'] = CENTRED
    return n


@needs_torch
def test_both_rivals_learn_the_same():
    """Eight steps of dropout, mirrors and a falling rate, to a thousandth in float32.

    Another seed drops other units: then their losses part by far more.
    """
    chosen = small_dataset(7, (24, 30))
    how = make_recipe(lr=.05, steps=8, iter_size=2, lr_power=.9, flip=True, weight_decay=.01)
    nets = dict(tinyfcn=begun(), pytorch=begun(), other=begun())
    nets['other'].seed = 2
    both = {name: rivals.RIVALS['pytorch' if name == 'other' else name](n)
            for name, n in nets.items()}
    torch.set_num_threads(1)                            # small pictures: a second would only wait
    losses = {name: np.array([*one.losses(chosen, how, 3)]) for name, one in both.items()}
    assert abs(losses['tinyfcn'] / losses['pytorch'] - 1).max() < 1e-3
    assert abs(losses['tinyfcn'] / losses['other'] - 1).max() > 3e-3
    for name, w in nets['tinyfcn'].params.items():
        other = nets['pytorch'].params[name]
        assert abs(w - other).max() < 1e-3 * max(1, abs(w).max()), name
    moved = nets['tinyfcn'].params['score_fire5.w']
    assert abs(moved - begun().params['score_fire5.w']).max() > .01
    preds = [[*both[name].predict_all(chosen)] for name in ('tinyfcn', 'pytorch')]
    assert len(preds[0]) == 7
    for (label, ours), (their_label, theirs) in zip(*preds):
        assert (label == their_label).all() and (ours == theirs).mean() > .99


# ---- a whole result ------------------------------------------------------------------------------

@pytest.fixture
def place(tmp_path, monkeypatch):
    """Forty pictures in the layout of Stanford Background, and weights that nobody learned."""
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
    monkeypatch.setattr(accuracy, 'machine', lambda: dict(busy=0))      # it looks for a second
    return tmp_path


def test_a_stage_leaves_its_result_and_the_next_goes_on(place):
    """One step of each; the second begins with what the first one has learned, skip apart."""
    for stage in '16s', '8s':
        accuracy.learn(place, 'stanford', stage, 0, 'tinyfcn', 1e-4)
    noted, weights, predicted = accuracy.where('stanford', '8s', 0, 'tinyfcn', 1e-4)
    result = json.loads(noted.read_text())
    assert result['pictures'] + result['judged_by'] == 40 and result['recipe']['steps'] == 1
    assert 0 <= result['scores']['mean_iu'] < .5 and len(result['losses']) == 1
    assert len(np.load(predicted).files) == accuracy.SHOWN and weights.exists()
    assert not (place / 'results').exists(), 'a trial is no result'
    results = accuracy.noted_in(noted.parent)
    assert [r['stage'] for r in results] == ['16s', '8s']
    accuracy.curves(results, place / 'curves.png')
    accuracy.page(place, results, 1e-4, place / 'page.png')
    for drawn in 'curves.png', 'page.png':
        with Image.open(place / drawn) as picture:
            assert picture.width > picture.height and len(picture.getcolors(1 << 20)) > 50


def test_seeds_are_summed_up():
    def result(seed, mean_iu, rival='tinyfcn'):
        return dict(set='stanford', stage='16s', seed=seed, rival=rival, train_seconds=10 + seed,
                    peak=1e9 + seed, machine=dict(busy=.3 * seed),
                    scores=dict(pixel_acc=.8, mean_acc=.7, mean_iu=mean_iu, fw_iu=.75))

    ours, theirs = accuracy.summed([result(0, .5), result(1, .6), result(0, .4, 'pytorch')])
    assert ours['mean_iu'] == pytest.approx(55) and ours['each'] == pytest.approx([50, 60])
    assert ours['seconds'] == 10.5 and ours['peak'] == 1e9 + 1 and theirs['rival'] == 'pytorch'
    lines = [*accuracy.section([result(0, .5), result(1, .6)])]
    assert '| stanford | 16s | tinyfcn | 80.0 | 70.0 | 55.0 | 75.0 | 50.0, 60.0 | 10* |' in lines[3]
