"""Nothing that is not finite is ever saved, and a run that diverged can go on from before."""
import json
from itertools import islice

import numpy as np
import pytest
from training_samples import bits, make_recipe, small_dataset, small_net

from tinyfcn.training import checkpoint
from tinyfcn.training.diverged import Diverged
from tinyfcn.training.run import run

LAST = 'last.safetensors'
BEST = 'best.safetensors'
VALID = small_dataset(2, seed=9)
pytestmark = pytest.mark.usefixtures('no_drawing')


def start(folder, recipe, net=None, resume=False, log=print):
    return run(folder, net or small_net(norm=True), small_dataset(), VALID, recipe, resume=resume,
               log=log)


def is_finite(path):
    saved = checkpoint.load(path)
    arrays = [*saved.weights.values()]
    arrays += [value for values in saved.memory.values() for value in values.values()]
    return all(np.isfinite(array).all() for array in arrays)


@pytest.mark.parametrize('changes', [
    dict(lr=1e30), dict(lr=1e38, optimizer='adam', rules={}), dict(lr=1e20, optimizer='adam'),
    dict(lr=1e38, momentum=0.)])
def test_a_run_that_diverges_ends_with_an_error_and_keeps_finite_checkpoints(tmp_path, changes):
    recipe = make_recipe(**changes, steps=12, validate_every=1)
    steps = []
    with pytest.raises(Diverged) as error:
        for row in start(tmp_path, recipe):
            steps.append(row['step'])
    message = str(error.value)
    saved = [path for path in (tmp_path / LAST, tmp_path / BEST) if path.exists()]
    assert all(map(is_finite, saved))
    if tmp_path / LAST in saved:
        step = checkpoint.load(tmp_path / LAST).about['run']['step']
        assert step == steps[-1]
        assert f'{LAST} is of step {step} and finite: --resume --set lr=0.01 continues' in message
    else:
        assert 'There is no checkpoint yet' in message and not steps


ARRAYS = {'weight': lambda net, optimizer: net.params['conv1.w'],
          'running statistic': lambda net, optimizer: net.state['norm1.var'],
          'memory of the optimizer': lambda net, optimizer: optimizer.velocity['conv1.w']}


@pytest.mark.parametrize('value', [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize('which', ARRAYS)
def test_a_checkpoint_with_any_value_that_is_not_finite_is_not_written(tmp_path, which, value):
    from tinyfcn.training import make_optimizer, train
    net, recipe = small_net(norm=True), make_recipe(steps=1)
    optimizer = make_optimizer(recipe)
    [*train(net, small_dataset(), recipe, optimizer)]
    path = tmp_path / 'a.safetensors'
    checkpoint.save(path, {**net.params, **net.state}, optimizer.memory, {})
    before = path.read_bytes()
    ARRAYS[which](net, optimizer).flat[1] = value
    with pytest.raises(Diverged, match=r'(conv1.w|norm1.var) are not finite'):
        checkpoint.save(path, {**net.params, **net.state}, optimizer.memory, {})
    assert path.read_bytes() == before and [*tmp_path.iterdir()] == [path]


def test_stopping_a_run_that_has_diverged_does_not_save_it(tmp_path):
    net = small_net(norm=True)
    rows = start(tmp_path, make_recipe(steps=9, validate_every=2), net)
    [*islice(rows, 4)]                                  # step 2 was saved, 3 is done
    before = (tmp_path / LAST).read_bytes()
    net.params['conv1.w'][0] = np.nan
    with pytest.raises(Diverged, match='the weights conv1.w are not finite. Nothing was saved at '
                                       'step 3; .*last.safetensors is of step 2 and finite'):
        rows.close()
    assert (tmp_path / LAST).read_bytes() == before


def test_a_net_that_diverged_is_not_even_validated(tmp_path):
    """Its scores mean nothing, and no row may say that they do."""
    net = small_net(norm=True)
    rows = start(tmp_path, make_recipe(steps=9, validate_every=2), net)
    next(rows)
    net.state['norm1.mean'][0] = np.inf                 # not read in training
    with pytest.raises(Diverged, match='norm1.mean are not finite. There is no checkpoint yet'):
        list(rows)
    assert 'mean_iu' not in (tmp_path / 'metrics.jsonl').read_text()
    assert not [*tmp_path.glob('*.safetensors')]


def test_a_smaller_learning_rate_goes_on_from_the_last_good_step(tmp_path):
    """lr may change on the way, and run.json tells when it did. Nothing else may."""
    recipe = make_recipe(steps=6, lr=.1)
    rows = start(tmp_path, recipe)
    [*islice(rows, 3)]
    rows.close()
    notes = []
    smaller = make_recipe(steps=6, lr=.01)
    with pytest.raises(ValueError, match='differs in momentum: resume with the same command .--set '
                                         'momentum=0.9., or start'):
        next(start(tmp_path, make_recipe(steps=6, lr=.01, momentum=.5), resume=True))
    resumed = [*start(tmp_path, smaller, resume=True, log=notes.append)]
    assert notes == ['lr is 0.01 from step 2 on; it was 0.1']
    assert [row['lr'] for row in resumed if 'lr' in row] == [.01] * 4
    info = json.loads((tmp_path / 'run.json').read_text())
    assert info['changes'] == [[2, 'lr', .1, .01]] and info['recipe']['lr'] == .01
    assert checkpoint.load(tmp_path / LAST).about['run']['recipe']['lr'] == .01


def test_without_a_folder_the_error_speaks_of_no_checkpoint():
    from tinyfcn.training import fit
    net = small_net()
    with pytest.raises(Diverged) as error:
        fit(net, small_dataset(), make_recipe(lr=1e30, steps=40))
    assert 'checkpoint' not in str(error.value)


def test_the_comparison_can_fail(tmp_path):
    """A finite net is saved, and is_finite tells the difference."""
    net = small_net()
    checkpoint.save(tmp_path / 'a.safetensors', net.params, {}, {})
    assert is_finite(tmp_path / 'a.safetensors') and bits(net)
