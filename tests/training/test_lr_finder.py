"""The rate that find_lr suggests, and that it changes nothing."""
import numpy as np
import pytest
from training_samples import bits, make_recipe, small_dataset, small_net

from tinyfcn.training import make_optimizer, train
from tinyfcn.training.lr_finder import STEPS, find_lr, smooth, suggest_lr


def test_its_steps_are_those_of_a_training_with_growing_rates():
    """The first step has the loss of any training; from then on the rate grows a millionfold."""
    net = small_net(norm=True, drop=.3)
    net.step = 7
    before = bits(net)
    found = find_lr(net, small_dataset(), make_recipe(lr=1e-3, iter_size=2))
    assert bits(net) == before and net.step == 7
    [first, *_] = train(net, small_dataset(), make_recipe(iter_size=2), make_optimizer(
        make_recipe()))
    assert found.loss[0] == first['loss']
    np.testing.assert_allclose(found.lr, np.geomspace(1e-6, 1, STEPS)[:len(found.lr)])
    assert len(found.lr) == len(found.loss) == len(found.smoothed)


def test_the_same_seed_finds_the_same():
    first, second, other = (find_lr(small_net(), small_dataset(), make_recipe(), seed, steps=20)
                            for seed in (0, 0, 1))
    assert first == second != other


def test_a_rate_a_thousand_times_too_high_or_too_low_finds_about_the_same():
    """Of a net that learns to threshold the red channel."""
    rates = [find_lr(small_net(), small_dataset(), make_recipe(lr=lr, weight_decay=0.)).suggestion
             for lr in (3e-3, .03, .3)]
    assert max(rates) <= 4 * min(rates)


def test_it_ends_once_the_loss_is_three_times_as_high_and_survives_what_is_no_number():
    found = find_lr(small_net(), small_dataset(), make_recipe(lr=1.))
    last, *earlier = found.smoothed[::-1]
    assert len(found.lr) < STEPS and last > 3 * min(earlier)
    net = small_net()
    net.params['conv1.w'][:] = np.nan
    found = find_lr(net, small_dataset(), make_recipe(lr=1e3))
    assert found == ([], [], [], None)


@pytest.mark.parametrize('losses, expected', [
    ([1.] * 60, None),                                  # no fall
    ([1., 2.] * 30, None),                              # noise
    ([*np.linspace(1, 3, 60)], None),                   # it only grows
    ([], None)])
def test_nothing_is_suggested_where_the_loss_does_not_fall(losses, expected):
    assert suggest_lr([*np.geomspace(1e-6, 1, 60)][:len(losses)], losses) is expected


def test_the_suggestion_is_where_four_fifths_of_the_fall_are_done():
    rates = np.geomspace(1e-5, 1, 101)
    losses = [2.] * 40 + [*np.linspace(2, 1, 41)] + [1.] * 20
    smoothed = np.array(smooth(losses))
    first = rates[np.flatnonzero(smoothed <= 1.2 + 1e-12)[0]]
    assert suggest_lr([*rates], losses) == float(f'{first:.0e}')
    assert suggest_lr([*rates], [100 * loss for loss in losses]) == suggest_lr([*rates], losses)


def test_the_mean_is_over_five_steps_on_either_side():
    losses = np.random.default_rng(0).random(30)
    expected = [losses[max(0, i - 5):i + 6].mean() for i in range(30)]
    np.testing.assert_allclose(smooth([*losses]), expected)
