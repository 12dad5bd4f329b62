"""Any step of a run, computed once more to the last bit."""
import json
import re
from contextlib import closing

import numpy as np
import pytest

from tinyfcn.cli import main
from tinyfcn.data import load_dataset
from tinyfcn.data.batches import batches
from tinyfcn.training import Recipe, checkpoint, get_recipe, replay, run as runs
from tinyfcn.training.loop import make_optimizer
from tinyfcn.training.replay_page import shares

DATA = load_dataset('shapes', size=(32, 48)).subset(['0', '1', '2', '3', '4', '5'])
VALID = load_dataset('shapes', split='val', size=(32, 48)).subset(['0', '1'])
# batches of one at random scale, and momentum: what a step depends on
RECIPE = get_recipe('shapes-8s', steps=7, validate_every=3, batch=1, iter_size=2, lr=.01,
                    optimizer='sgd', scale_range=(.8, 1.2), crop_size=(30, 40), flip=True,
                    net_kwargs=dict(width=1/8))


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """The folder of a run that ended at step 7, and was validated at 3, 6 and 7."""
    folder = tmp_path_factory.mktemp('run') / 'my'
    net = runs.build_net(RECIPE, DATA.classes, seed=5)
    for _ in runs.run(folder, net, DATA, VALID, RECIPE, seed=5):
        pass
    return folder


def replayed(folder, step, recipe=RECIPE, changes=()):
    """-> the step, the net before it, and how many steps a checkpoint spared"""
    net = runs.build_net(recipe, DATA.classes, seed=5)
    optimizer = make_optimizer(recipe)
    done = replay.restore_before(folder, step, net, optimizer, recipe, 5,
                                 runs.fingerprints(DATA, VALID), print)
    before = [*replay.steps_before(net, DATA, recipe, changes, optimizer, 5, done, step)]
    assert [row['step'] for row in before] == [*range(done + 1, step)]
    logged = replay.logged_losses(folder, print)
    recipe_now = replay.recipe_of_step(recipe, changes, step)
    return replay.replay_step(net, DATA, recipe_now, 5, step, logged), net, done


@pytest.mark.parametrize('step', [1, 2, 4, 7])
def test_a_step_has_its_loss_to_the_last_bit(folder, step):
    found, _, _ = replayed(folder, step)
    rows = [json.loads(line) for line in (folder / 'metrics.jsonl').read_text().splitlines()]
    logged, = (row for row in rows if row['step'] == step and 'loss' in row)
    assert found.loss == found.logged_loss == logged['loss']
    assert found.lr == logged['lr']
    assert len(found.losses) == len(found.samples) == 2
    assert np.mean(found.losses) == pytest.approx(found.loss)


def test_the_gradients_are_those_of_the_loss_at_the_weights_before_the_step(folder):
    """A small step against them lowers the loss of the same images as they foretell."""
    found, net, _ = replayed(folder, 4)
    square = sum(float((g.astype('float64') ** 2).sum()) for g in found.gradients.values())
    rate = 1e-4 / square
    for name, g in found.gradients.items():
        net.params[name] -= np.float32(rate) * g
    after = replay.replay_step(net, DATA, RECIPE, 5, 4, {})
    assert after.logged_loss is None
    assert found.loss - after.loss == pytest.approx(1e-4, rel=.15)


def test_training_begins_at_the_last_checkpoint_before_the_step(folder):
    best = checkpoint.load(folder / runs.BEST).about['run']['step']
    assert checkpoint.load(folder / runs.LAST).about['run']['step'] == 7
    spared = {step: replayed(folder, step)[2] for step in (best, 7)}
    assert spared == {best: 0, 7: best}


def test_nothing_changes_in_the_folder(folder):
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    replayed(folder, 3)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_a_changed_learning_rate_counts_from_its_step_on():
    recipe = Recipe(lr=.01, steps=100)
    changes = [[20, 'lr', .1, .05], [50, 'lr', .05, .01]]
    rates = {step: replay.recipe_of_step(recipe, changes, step).lr for step in (1, 20, 21, 50, 51)}
    assert rates == {1: .1, 20: .1, 21: .05, 50: .05, 51: .01}


def test_batches_of_given_numbers_all_come():
    """The last ones were prepared, and never given."""
    for count in (0, 1, 3, 9):
        with closing(batches(DATA, RECIPE.preprocess, numbers=range(2, 2 + count))) as stream:
            assert len([*stream]) == count


def test_captions_are_the_legend_of_a_page_and_name_void_and_the_rarest_class():
    label = np.zeros((100, 100), 'uint8')
    label[0, 0] = 1
    label[:50] = np.where(label[:50] == 0, 255, 1)
    colours = np.arange(256)[:, None].repeat(3, 1)
    text = re.sub('<span[^#]*(#..)[^>]*></span>', r'[\1]', shares(label, ['sky', '<b>'], colours))
    assert text == '[#00]sky 50.0 %, [#ff]void 50.0 %, [#01]&lt;b&gt; < 0.1 %'


# ---- tinyfcn replay ------------------------------------------------------------------------------

def test_the_command_writes_a_page(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    changes = ['steps=3', 'validate_every=3', 'batch=2', "net_kwargs={'width': 0.125}"]
    assert main(['train', 'shapes-32s', '--set', *changes, '--run', 'my']) == 0
    capsys.readouterr()
    assert main(['replay', 'my', '2']) == 0
    out = capsys.readouterr().out
    assert out.startswith('step 2, images ') and 'to the last bit the loss that the run' in out
    page = (tmp_path / 'my/step-2.html').read_text('utf-8')
    assert page.count('<img ') == 6 and 'score_fr' in page and '://' not in page
    assert main(['replay', 'my', '4']) == 2
    assert 'step 4: this run has 3 steps' in capsys.readouterr().err
    # a run that started from weights knows their file
    weights = ['--weights', 'my', '--run', 'second']
    assert main(['train', 'shapes-16s', '--set', *changes, *weights]) == 0
    capsys.readouterr()
    assert main(['replay', 'second', '2']) == 0
    assert 'to the last bit the loss that the run' in capsys.readouterr().out
    (tmp_path / 'my/best.safetensors').unlink()
    (tmp_path / 'my/last.safetensors').unlink()
    assert main(['replay', 'second', '2']) == 2
    err = capsys.readouterr().err
    assert 'the run started from this file of weights, which is gone' in err
    (tmp_path / 'empty').mkdir()
    assert main(['replay', 'empty', '1']) == 2
    assert 'empty: not the folder of a run' in capsys.readouterr().err
