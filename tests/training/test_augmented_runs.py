"""With all augmentation on, a run resumes bit for bit, and each change reaches the net."""
from itertools import islice

import pytest
from training_samples import make_recipe, small_dataset, small_net

from tinyfcn.training import checkpoint
from tinyfcn.training.loop import AUGMENTATION, make_optimizer, train
from tinyfcn.training.run import run

pytestmark = pytest.mark.usefixtures('no_drawing')
ALL_ON = dict(replace=True, rare_classes=.5, flip=True, scale_range=(.7, 1.4), crop_size=(8, 8),
              elastic_sigma=.5, rotation=20, colour=(.3, .3, .3, .1), blur=1., noise=.1)


def start_run(folder, resume=False):
    recipe = make_recipe(steps=4, iter_size=2, class_weight='median', **ALL_ON)
    net = small_net(norm=True, drop=.3)
    if resume:                                          # the weights come from the checkpoint
        for w in net.params.values():
            w += 1
    return run(folder, net, small_dataset(9), small_dataset(2, seed=9), recipe, seed=5,
               command='train', resume=resume)


def weights(folder):
    saved = checkpoint.load(folder / 'last.safetensors')
    return {name: w.tobytes() for name, w in saved.weights.items()}


def test_all_of_them_are_on():
    assert {*ALL_ON} == {*AUGMENTATION} and all(ALL_ON.values())


@pytest.mark.parametrize('n_rows', [1, 4])
def test_a_stopped_run_ends_as_if_it_had_not_been(tmp_path, n_rows):
    rows = [*start_run(tmp_path / 'whole')]
    stream = start_run(tmp_path / 'part')
    first_rows = [*islice(stream, n_rows)]
    stream.close()
    assert first_rows[-1]['step'] < 4
    other_rows = [*start_run(tmp_path / 'part', resume=True)]
    losses = [[row['loss'] for row in own if 'loss' in row]
              for own in (rows, first_rows + other_rows)]
    assert losses[0] == losses[1] and len(losses[0]) == 4
    assert weights(tmp_path / 'part') == weights(tmp_path / 'whole')


def test_every_change_changes_the_losses():
    def losses(**changes):
        recipe = make_recipe(steps=3, batch=2, **changes)
        return [row['loss'] for row in train(small_net(), small_dataset(4), recipe,
                                             make_optimizer(recipe), seed=1)]

    plain = losses()
    assert losses() == plain
    for name, value in ALL_ON.items():
        assert losses(**{name: value}) != plain, name
