"""What is advised for labels of different kinds, and whether it can be trained."""
import numpy as np
import pytest

from tinyfcn.data.dataset import Dataset
from tinyfcn.data.statistics import label_statistics
from tinyfcn.models import NETS
from tinyfcn.training.advice import advise
from tinyfcn.training.recipes import RECIPES, get_recipe

OWN = 'folder-squeezenet'


def statistics(block, size=(64, 96), rare=0, classes=('sky', 'tree', 'bird')):
    """Blocks of two classes like a chessboard, and `rare` pixels of a third."""
    rows, columns = (np.arange(n) // block for n in size)
    label = ((rows[:, None] + columns) % 2).astype('uint8')
    label.ravel()[:rare] = 2
    return label_statistics(Dataset(classes, ['one'], lambda name: (
        np.zeros((*size, 3), 'uint8'), label)))


def nets(advice):
    return [get_recipe(stage.recipe, **stage.changes).net for stage in advice.stages]


def test_large_objects_need_no_fine_stride():
    coarse = advise(statistics(64), 'folder', 1000, OWN)
    fine = advise(statistics(5), 'folder', 1000, OWN)
    own = get_recipe(OWN).net
    assert nets(coarse) == [own], 'what is whole at every stride'
    assert nets(fine)[-1] == 'fcn_squeezenet_4s' and set(nets(fine)) <= set(NETS)
    assert 'a net of stride 4: mean IU can be at most' in fine.reasons[0]


def test_finer_stages_have_lower_rates():
    stages = advise(statistics(5), 'folder', 1000, OWN).stages
    rates = [get_recipe(stage.recipe, **stage.changes).lr for stage in stages]
    assert rates == sorted(rates, reverse=True) and len({*rates}) == len(stages)


def test_a_rare_class_gets_another_loss():
    found = statistics(64, rare=5)
    advice = advise(found, 'folder', 1000, OWN)
    assert all(stage.changes['loss'] == 'ce+dice' for stage in advice.stages)
    assert 'rare_classes' not in advice.stages[0].changes, 'the only image has it'
    reason, = (reason for reason in advice.reasons if 'bird' in reason)
    # one image has all three classes, so the second of them has the median frequency
    assert f'class_weight=median weighs it {found.median_weights[2]:.2g} times' in reason
    assert found.median_weights[2] == pytest.approx(np.sort(found.pixels)[1] / 5)
    plain = advise(statistics(64), 'folder', 1000, OWN)
    assert not {'loss', 'class_weight'} & {*plain.stages[0].changes}


def test_a_rare_class_of_few_images_is_drawn_more_often():
    labels = {str(i): np.full((40, 40), i % 2, 'uint8') for i in range(10)}
    labels['3'][:4, :4] = 2
    found = label_statistics(Dataset(('sky', 'tree', 'bird'), labels, lambda name: (
        np.zeros((40, 40, 3), 'uint8'), labels[name])))
    advice = advise(found, 'folder', 1000, OWN)
    assert advice.stages[0].changes['rare_classes'] == .5
    assert any('bird: only in 1 of 10 images' in reason for reason in advice.reasons)


def test_a_summed_loss_stays_one():
    """The learning rate of such a recipe is one for a sum."""
    stage, = advise(statistics(64, rare=5), 'sbd', 100).stages
    recipe = get_recipe(stage.recipe, **stage.changes)
    assert recipe.loss == 'sum' and recipe.class_weight == 'median'


@pytest.mark.parametrize('count, epochs, reason', [(20_000, 4, 'show each of 20,000 images 4 time'),
                                                   (10, None, 'what helps most is more images')])
def test_many_images_need_more_steps(count, epochs, reason):
    advice = advise(statistics(64), 'folder', count, OWN)
    assert any(reason in text for text in advice.reasons)
    recipe = get_recipe(OWN)
    steps = advice.stages[0].changes.get('steps')
    assert steps == (epochs and epochs * count // (recipe.batch * recipe.iter_size))


def test_the_stages_of_a_data_set_are_its_recipes():
    assert [stage.recipe for stage in advise(statistics(5), 'camvid', 367).stages] == [
        'camvid-16s', 'camvid-8s', 'camvid-4s']
    assert [stage.recipe for stage in advise(statistics(64), 'camvid', 367).stages] == [
        'camvid-16s']


@pytest.mark.parametrize('name', sorted({recipe['train'][0] for recipe in RECIPES.values()
                                         if recipe['train'][0] != 'folder'}))
def test_every_data_set_with_a_recipe_has_an_advice(name):
    for stage in advise(statistics(64), name, 100).stages:
        assert get_recipe(stage.recipe, **stage.changes).train[0] == name
