"""What a trial says of a training: no less time than its images take, and the largest of them."""
from dataclasses import replace
from time import sleep

import numpy as np
from PIL import Image
from training_samples import bits, draw_nothing, make_recipe, small_dataset, small_net

from tinyfcn.data.dataset import Dataset
from tinyfcn.training.trial import Trial, subset_with_largest, try_steps

READ_SECONDS = .004


def slow(dataset):
    """A data set whose images take some time to read, far more than a step of `small_net`."""
    def read(name):
        sleep(READ_SECONDS)
        return dataset.read(name)

    return Dataset(dataset.classes, dataset.names, read)


def test_steps_and_images_take_as_long_as_reading_them(monkeypatch):
    """Also where the first batches were prepared during a validation."""
    draw_nothing(monkeypatch)
    trial = try_steps(small_net(), slow(small_dataset()), slow(small_dataset(2)),
                      make_recipe(batch=2), seconds=.001)
    assert trial.step > READ_SECONDS, 'two images a step, less what is still prepared'
    assert trial.image >= READ_SECONDS
    assert trial.validation >= 0 and trial.memory > 1e7


def test_the_seconds_of_a_training():
    trial = Trial(step=.5, image=.1, validation=2., memory=0)
    recipe = make_recipe(steps=25, validate_every=10)                   # at 10, 20 and 25
    assert trial.seconds(recipe, n_valid=4) == 25 * .5 + 3 * (2 + 4 * .1)
    assert trial.seconds(replace(recipe, steps=20), n_valid=4) == 20 * .5 + 2 * (2 + 4 * .1)


def test_the_largest_image_is_among_few(tmp_path):
    for i in range(9):
        Image.fromarray(np.zeros((4, 10 + (i == 5), 3), 'uint8')).save(tmp_path / f'{i}.png')
    dataset = Dataset(['sky'], map(str, range(9)), lambda name: None,
                      lambda name: [tmp_path / f'{name}.png'])
    assert subset_with_largest(dataset, 3).names == ['5', '0', '3']
    assert subset_with_largest(dataset, 1).names == ['5']


def test_the_rate_of_a_trial_changes_hardly_any_weight(monkeypatch):
    draw_nothing(monkeypatch)
    net = small_net()
    before = {name: w.copy() for name, w in net.params.items()}
    try_steps(net, small_dataset(), small_dataset(2), make_recipe(lr=1e3), .001)
    assert all(abs(w - before[name]).max() < 1e-3 for name, w in net.params.items())
    assert bits(net) != bits(small_net()), 'it was trained'
