"""The benchmark of FCN's family of nets, and of overfitting four real images."""
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
from tinyfcn.prediction.tiles import first_score_offset
from tinyfcn.training.loop import loss_and_gradients, make_optimizer

sys.path.append(str(Path(__file__).parents[2] / 'benchmarks'))
with pytest.MonkeyPatch.context() as patch:             # benchmarks use two threads; tests use one
    patch.setenv('TINYFCN_THREADS', '1')
    import family
    import overfit

DATA = Path(os.environ.get('TINYFCN_DATA', 'nowhere'))


# ---- what is compared ----------------------------------------------------------------------------

@pytest.mark.parametrize('member', family.MEMBERS)
def test_every_member_scores_every_pixel_of_an_image(member):
    """Of 121×161, with the frame that the net needs; the first convolution has 8 channels."""
    recipe, frame = family.member_recipe(member)
    net = family.build_member(recipe, ['a', 'b'])
    [*make_optimizer(recipe).blocks(net.params, {})]        # its rules match
    first = next(w for w in net.params.values() if w.ndim == 4)
    assert len(first) == 8
    margin = first_score_offset(net.score.alignment)
    assert margin in (0, frame)
    height, width = net.sizes((121 + 2 * frame, 161 + 2 * frame))['score']
    assert height >= 121 + 2 * (frame - margin) and width >= 161 + 2 * (frame - margin)


def test_a_frame_is_as_narrow_as_possible():
    for member, changes in family.MEMBERS.items():
        if frame := changes.get('frame'):
            net = build(member, 2, width=1/16, seed=None)
            needed = first_score_offset(net.score.alignment)
            assert needed in (frame, 0)
            if not needed:
                with pytest.raises(ValueError):
                    net.sizes((119 + 2 * frame, 161 + 2 * frame))


def test_batch_norm_without_pretrained_weights_is_trained():
    recipe, _ = family.member_recipe('deeplab_resnet101')
    net = family.build_member(recipe, CLASSES)
    before = {name: w.copy() for name, w in net.state.items()}
    x = np.random.default_rng(0).standard_normal((2, 3, 17, 17), 'float32')
    label = np.zeros((2, 17, 17), 'uint8')
    _, grads = loss_and_gradients(net, x, label, recipe)
    assert grads.keys() == net.params.keys()
    assert all((net.state[name] != w).any() for name, w in before.items())


def test_the_prediction_of_a_framed_image():
    """That of the image surrounded by its mirrored pixels, without the predictions there."""
    dataset = small_dataset(3)
    net = build('tiny_8s', 3)
    net.about['preprocess'] = CENTRED
    for i, w in enumerate(net.params.values()):
        w += .1 * np.random.default_rng(i).standard_normal(w.shape).astype('float32')
    framed = family.add_frame(dataset, 7)
    for i, (label, pred) in enumerate(family.predict_framed(net, dataset, 7)):
        framed_image, framed_label = framed[i]
        image, own_label = dataset[i]
        assert (label == own_label).all()
        assert (pred == predict(net, framed_image)[7:-7, 7:-7]).all()
        assert (framed_image[7:-7, 7:-7] == image).all()
        assert (framed_image[6] == framed_image[7]).all()
        in_frame = framed_label.size - label.size
        assert (framed_label == 255).sum() == (label == 255).sum() + in_frame
    unframed = [pred for _, pred in family.predict_framed(net, dataset, 0)]
    assert all((pred == predict(net, dataset[i][0])).all() for i, pred in enumerate(unframed))


# ---- a whole result ------------------------------------------------------------------------------

@pytest.fixture
def data(tmp_path, monkeypatch):
    """Four images under the names of those that the benchmark overfits."""
    rng = np.random.default_rng(0)
    for split in 'train', 'val':
        for folder in split, f'{split}annot':
            (tmp_path / 'camvid' / folder).mkdir(parents=True)
        for name in overfit.IMAGES:
            image = rng.integers(0, 256, (48, 64, 3), 'uint8')
            Image.fromarray(image).save(tmp_path / f'camvid/{split}/{name}.png')
            Image.fromarray(image[..., 0] // 25).save(tmp_path / f'camvid/{split}annot/{name}.png')
    monkeypatch.setattr(family, 'RESULTS', tmp_path / 'results')
    monkeypatch.setattr(family, 'RUNS', tmp_path / 'runs')
    for module in family, overfit:
        monkeypatch.setattr(module, 'check_machine', lambda: dict(busy=.5))     # it takes a second
    return tmp_path


def test_a_member_writes_its_result(data):
    family.train_member(data, 'cae_fcn', 2)
    paths = family.result_paths('family', 'cae_fcn', 2)
    result = json.loads(paths.result.read_text())
    assert result['recipe']['steps'] == 2 and result['parameters'] == 128_441
    assert 0 <= result['scores']['mean_iu'] < .5
    assert np.load(paths.predictions)['arr_0'].shape == (121, 161)
    assert not (data / 'results').exists(), 'a trial does not count as a result'
    assert family.result_paths('family', 'cae_fcn').result == data / 'results/family/cae_fcn.json'
    results = family.load_results(paths.result.parent)
    for busy, star in (0., ''), (1., r'\*'):              # a busy machine is marked
        results[0]['machine']['busy'] = busy
        lines = '\n'.join(family.markdown_section(results))
        assert re.search(rf'\| cae_fcn \| 128,441 \| \d+\.\d\d{star} \| ', lines), lines
    results = family.load_results(paths.result.parent)
    valid = family.load_camvid(data, 'val')
    family.draw_predictions(valid, 'family', results, 2, data / 'page.png')
    assert is_drawing(data / 'page.png')
    again = [*family.run_members(None, 'family', data, ['cae_fcn'], 2)]
    assert again == results, 'it is not computed again'


def test_overfitting_is_recorded_and_drawn(data, monkeypatch):
    monkeypatch.setattr(overfit, 'EVALUATE_EVERY', 1)
    overfit.train_member(data, 'cae_fcn', 2)
    (result,) = overfit.load_results(family.result_paths('overfit', 'cae_fcn', 2).result.parent)
    (first_step, _), (last_step, accuracy) = result['pixel_acc']
    assert (first_step, last_step) == (1, 2) and 0 <= accuracy < .9
    row = f'| cae_fcn | 2 | {100 * accuracy:.1f} | '
    assert row in '\n'.join(overfit.markdown_section([result]))
    overfit.draw_chart([result], data / 'chart.png')
    assert is_drawing(data / 'chart.png')


def is_drawing(path):
    with Image.open(path) as image:
        return image.width > image.height and len(image.getcolors(1 << 20)) > 50


@pytest.mark.parametrize('module', [family, overfit])
def test_without_results_there_is_no_section(tmp_path, module):
    assert not [*module.markdown_section(module.load_results(tmp_path))]


# ---- on real images ------------------------------------------------------------------------------

@pytest.mark.realdata
@pytest.mark.skipif(not DATA.is_dir(), reason='TINYFCN_DATA names no folder of real data')
def test_a_member_overfits_four_real_images(data):
    """One member; benchmarks/overfit.py does it with all of them."""
    overfit.train_member(DATA, 'deeplab_resnet101', 150)
    path = family.result_paths('overfit', 'deeplab_resnet101', 150).result
    assert json.loads(path.read_text())['pixel_acc'][-1][1] > overfit.TARGET


@pytest.mark.realdata
@pytest.mark.skipif(not DATA.is_dir(), reason='TINYFCN_DATA names no folder of real data')
def test_no_class_covers_most_of_these_images():
    dataset = family.load_camvid(DATA, 'train').subset(overfit.IMAGES)
    labels = [dataset[i][1] for i in range(len(dataset))]
    assert [label.shape for label in labels] == [(121, 161)] * 4
    for label in labels:
        assert len(np.unique(label)) >= 7 and np.bincount(label.ravel()).max() < .7 * label.size
