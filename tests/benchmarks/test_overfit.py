"""The family beside FCN: what its benchmark compares, and four real pictures learned by heart."""
import json
import os
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from training_samples import CENTRED, CLASSES, small_dataset

from tinyfcn import build, predict
from tinyfcn.prediction.multiscale import first_score_offset
from tinyfcn.training.loop import loss_and_gradients, make_optimizer

sys.path.append(str(Path(__file__).parents[2] / 'benchmarks'))
with pytest.MonkeyPatch.context() as patch:             # it asks for two threads; tests need none
    patch.setenv('TINYFCN_THREADS', '1')
    import by_heart
    import family

DATA = Path(os.environ.get('TINYFCN_DATA', 'nowhere'))


# ---- what is compared ----------------------------------------------------------------------------

@pytest.mark.parametrize('member', family.MEMBERS)
def test_every_member_scores_every_pixel_of_a_picture(member):
    """Of 121×161, with as much around it as the net needs; with 8 channels to begin with."""
    recipe, frame = family.planned(member)
    net = family.begun(recipe, ['a', 'b'])
    make_optimizer(recipe)._refuse(net.params, {})           # its rules match
    first = next(w for w in net.params.values() if w.ndim == 4)
    assert len(first) == 8
    margin, rows = first_score_offset(net.score.alignment), net.sizes((121 + 2 * frame, 161 + 2 * frame))
    assert margin in (0, frame)
    high, wide = rows['score']
    assert high >= 121 + 2 * (frame - margin) and wide >= 161 + 2 * (frame - margin)


def test_a_frame_is_as_narrow_as_it_may_be():
    for member, how in family.MEMBERS.items():
        if frame := how.get('frame'):
            net = build(member, 2, width=1/16, seed=None)
            least = first_score_offset(net.score.alignment)
            assert least == frame or not least
            if not least:
                with pytest.raises(ValueError):
                    net.sizes((119 + 2 * frame, 161 + 2 * frame))


def test_batch_norm_that_nobody_has_taught_learns():
    net = family.begun(family.planned('deeplab_resnet101')[0], CLASSES)
    before = {name: w.copy() for name, w in net.state.items()}
    x, label = np.random.default_rng(0).standard_normal((2, 3, 17, 17), 'float32'), np.zeros(
        (2, 17, 17), 'uint8')
    _, grads = loss_and_gradients(net, x, label, family.planned('deeplab_resnet101')[0])
    assert grads.keys() == net.params.keys()
    assert all((net.state[name] != w).any() for name, w in before.items())


def test_what_is_said_of_a_framed_picture():
    """As of the picture with its mirror images around, and of these nothing."""
    chosen, net = small_dataset(3), build('tiny_8s', 3)
    net.about['preprocess'] = CENTRED
    for i, w in enumerate(net.params.values()):
        w += .1 * np.random.default_rng(i).standard_normal(w.shape).astype('float32')
    wide = family.framed(chosen, 7)
    for i, (label, pred) in enumerate(family.said(net, chosen, 7)):
        image, whole = wide[i]
        assert (label == chosen[i][1]).all() and (pred == predict(net, image)[7:-7, 7:-7]).all()
        assert (image[7:-7, 7:-7] == chosen[i][0]).all() and (image[6] == image[7]).all()
        assert (whole == 255).sum() == (label == 255).sum() + whole.size - label.size
    plain = [pred for _, pred in family.said(net, chosen, 0)]
    assert all((pred == predict(net, chosen[i][0])).all() for i, pred in enumerate(plain))


# ---- a whole result ------------------------------------------------------------------------------

@pytest.fixture
def place(tmp_path, monkeypatch):
    """Four pictures under the names of those that are learned by heart."""
    rng = np.random.default_rng(0)
    for split in 'train', 'val':
        for folder in split, f'{split}annot':
            (tmp_path / 'camvid' / folder).mkdir(parents=True)
        for name in by_heart.PICTURES:
            image = rng.integers(0, 256, (48, 64, 3), 'uint8')
            Image.fromarray(image).save(tmp_path / f'camvid/{split}/{name}.png')
            Image.fromarray(image[..., 0] // 25).save(tmp_path / f'camvid/{split}annot/{name}.png')
    monkeypatch.setattr(family, 'RESULTS', tmp_path / 'results')
    monkeypatch.setattr(family, 'RUNS', tmp_path / 'runs')
    for module in family, by_heart:
        monkeypatch.setattr(module, 'machine', lambda: dict(busy=.5))   # it looks for a second
    return tmp_path


def test_a_member_leaves_its_result(place):
    family.learn(place, 'cae_fcn', 2)
    noted, predicted = family.where('family', 'cae_fcn', 2)
    result = json.loads(noted.read_text())
    assert result['recipe']['steps'] == 2 and result['parameters'] == 128_441
    assert 0 <= result['scores']['mean_iu'] < .5 and np.load(predicted)['arr_0'].shape == (121, 161)
    assert not (place / 'results').exists(), 'a trial is no result'
    assert family.where('family', 'cae_fcn')[0] == place / 'results/family/cae_fcn.json'
    results = family.noted_in(noted.parent)
    for busy, star in (0., ''), (1., r'\*'):              # a busy machine is named
        results[0]['machine']['busy'] = busy
        lines = '\n'.join(family.section(results))
        assert re.search(rf'\| cae_fcn \| 128,441 \| \d+\.\d\d{star} \| ', lines), lines
    results = family.noted_in(noted.parent)
    family.page(family.opened(place, 'val'), 'family', results, 2, place / 'page.png')
    assert drawn(place / 'page.png')
    assert [*family.in_turn(None, 'family', place, ['cae_fcn'], 2)] == results, 'it is not redone'


def test_what_is_learned_by_heart_is_drawn(place, monkeypatch):
    monkeypatch.setattr(by_heart, 'EVERY', 1)
    by_heart.learn(place, 'cae_fcn', 2)
    noted, _ = family.where('by_heart', 'cae_fcn', 2)
    (result,) = by_heart.noted_in(noted.parent)
    (one, _), (two, right) = result['known']
    assert (one, two) == (1, 2) and 0 <= right < .9
    assert f'| cae_fcn | 2 | {100 * right:.1f} | ' in '\n'.join(by_heart.section([result]))
    by_heart.chart([result], place / 'chart.png')
    assert drawn(place / 'chart.png')


def drawn(path):
    with Image.open(path) as picture:
        return picture.width > picture.height and len(picture.getcolors(1 << 20)) > 50


@pytest.mark.parametrize('module', [family, by_heart])
def test_without_results_there_is_no_section(tmp_path, module):
    assert not [*module.section(module.noted_in(tmp_path))]


# ---- on real pictures ----------------------------------------------------------------------------

@pytest.mark.realdata
@pytest.mark.skipif(not DATA.is_dir(), reason='TINYFCN_DATA names no folder of real data')
def test_four_real_pictures_are_learned_by_heart(place):
    """By one member; benchmarks/by_heart.py does it with all of them."""
    by_heart.learn(DATA, 'deeplab_resnet101', 150)
    assert json.loads(family.where('by_heart', 'deeplab_resnet101', 150)[0].read_text())[
        'known'][-1][1] > by_heart.BAR


@pytest.mark.realdata
@pytest.mark.skipif(not DATA.is_dir(), reason='TINYFCN_DATA names no folder of real data')
def test_none_of_them_is_had_at_a_glance():
    pictures = family.opened(DATA, 'train').subset(by_heart.PICTURES)
    labels = [pictures[i][1] for i in range(len(pictures))]
    assert [label.shape for label in labels] == [(121, 161)] * 4
    for label in labels:
        assert len(np.unique(label)) >= 7 and np.bincount(label.ravel()).max() < .7 * label.size
