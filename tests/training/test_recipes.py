"""Every recipe is whole, leads back to a classifier, and says what the paper says."""
import pytest

from tinyfcn import data
from tinyfcn.models import NETS
from tinyfcn.training import recipes
from tinyfcn.training.recipes import PLAIN, RECIPES, recipe

CLASSIFIERS = {name for name, (_, _, n_class) in NETS.items() if n_class == 1000}
ALL = pytest.mark.parametrize('name', RECIPES)


def begins_with(name):
    """The names of the weights that a recipe begins with."""
    start = recipe(name)['start']
    return [*start.values()] if isinstance(start, dict) else [start] * (start is not None)


@ALL
def test_every_recipe_is_whole(name):
    made = recipe(name)
    assert made.keys() == PLAIN.keys()
    assert made['net'] in NETS and made['net'] not in CLASSIFIERS
    assert made['preprocess'].keys() == {'order', 'scale', 'mean', 'std'}
    assert len(made['preprocess']['mean']) == len(made['preprocess']['std']) == \
        NETS[made['net']][1]
    assert 0 < made['every'] <= made['steps']


@ALL
def test_every_set_of_a_recipe_is_there(name):
    made = recipe(name)
    for what in 'train', 'valid':
        if made[what] is not None or what == 'train':
            assert made[what][0] in data.SETS, f'{name}: {what} is {made[what]}'


@ALL
def test_stages_lead_back_to_a_classifier_or_to_nothing(name):
    way, ends = [name], set()
    while way:
        last = way.pop()
        assert len(ends) < 20, f'{name} goes round in circles'
        for start in begins_with(last):
            ends.add(start)
            if start not in CLASSIFIERS:
                assert start in RECIPES, f'{last} begins with {start}, which nobody makes'
                way.append(start)
    assert ends <= {*CLASSIFIERS, *RECIPES} - {name}


@ALL
def test_a_finer_stage_steps_no_further_than_the_coarser_one(name):
    for start in set(begins_with(name)) & RECIPES.keys():
        assert recipe(name)['lr'] <= recipe(start)['lr']
        assert recipe(name)['loss'] == recipe(start)['loss']


# ---- the figures of the paper and of the reference nets ------------------------------------------

# net, loss, lr, momentum, pictures a step, steps, begins with; solvers of the reference nets
SOLVERS = {
    'voc-fcn-alexnet':   ('fcn_alexnet', 'mean', 1e-4, .9, 20, 100_000, 'alexnet'),
    'voc-fcn32s':        ('fcn32s', 'sum', 1e-10, .99, 1, 100_000, 'vgg16'),
    'voc-fcn16s':        ('fcn16s', 'sum', 1e-12, .99, 1, 100_000, 'voc-fcn32s'),
    'voc-fcn8s':         ('fcn8s', 'sum', 1e-14, .99, 1, 100_000, 'voc-fcn16s'),
    'voc-fcn8s-at-once': ('fcn8s_at_once', 'sum', 1e-10, .99, 1, 300_000, 'vgg16'),
    'nyud-rgb-32s':      ('nyud_rgb_32s', 'sum', 1e-10, .99, 1, 300_000, 'vgg16'),
    'nyud-rgbd-32s':     ('nyud_rgbd_32s', 'sum', 1e-10, .99, 1, 300_000, 'vgg16'),
    'nyud-hha-32s':      ('nyud_hha_32s', 'sum', 1e-10, .99, 1, 300_000, 'vgg16'),
    'nyud-rgb-hha-32s':  ('nyud_rgb_hha_32s', 'sum', 1e-12, .99, 1, 300_000,
                          dict(color='nyud-rgb-32s', hha='nyud-hha-32s')),
    'siftflow-32s':      ('siftflow_32s', 'sum', 1e-10, .99, 1, 300_000, 'vgg16'),
    'siftflow-16s':      ('siftflow_16s', 'sum', 1e-12, .99, 1, 300_000, 'siftflow-32s'),
    'siftflow-8s':       ('siftflow_8s', 'sum', 1e-12, .99, 1, 300_000, 'siftflow-16s'),
}

# net, lr, begins with; of the paper's own words: a mean over twenty pictures, momentum 0.9
PAPERS = {
    'voc-alexnet-table1':      ('fcn_alexnet', 1e-3, 'alexnet'),
    'voc-vgg16-table1':        ('fcn32s', 1e-4, 'vgg16'),
    'voc-googlenet-table1':    ('fcn_googlenet', 5e-5, 'googlenet'),
    'voc-fcn32s-fixed-table2': ('fcn32s_fixed', 1e-4, 'vgg16'),
    'voc-fcn32s-table2':       ('fcn32s', 1e-4, 'vgg16'),
    'voc-fcn16s-table2':       ('fcn16s', 1e-6, 'voc-fcn32s-table2'),
    'voc-fcn8s-table2':        ('fcn8s', 1e-8, 'voc-fcn16s-table2'),
}

# pixel acc, mean acc, mean IU, f.w. IU
AIMS = {
    'voc-fcn32s': (90.48, 76.48, 63.63, 83.46), 'voc-fcn16s': (91.00, 78.07, 65.01, 84.26),
    'voc-fcn8s': (91.22, 77.61, 65.51, 84.54), 'voc-fcn8s-at-once': (91.13, 78.50, 65.40, 84.43),
    'voc-fcn32s-fixed-table2': (83.0, 59.7, 45.4, 72.0),
    'voc-fcn32s-table2': (89.1, 73.3, 59.4, 81.4),
    'voc-fcn16s-table2': (90.0, 75.7, 62.4, 83.0), 'voc-fcn8s-table2': (90.3, 75.9, 62.7, 83.2),
    'nyud-rgb-32s': (60.0, 42.2, 29.2, 43.9), 'nyud-rgbd-32s': (61.5, 42.4, 30.5, 45.5),
    'nyud-hha-32s': (57.1, 35.2, 24.2, 40.4), 'nyud-rgb-hha-32s': (64.3, 44.9, 32.8, 48.0),
    'nyud-rgb-hha-16s': (65.4, 46.1, 34.0, 49.5), 'siftflow-16s': (85.2, 51.7, 39.5, 76.1),
}
MEAN_IU_ALONE = {'voc-fcn-alexnet': 48.0, 'voc-alexnet-table1': 39.8, 'voc-vgg16-table1': 56.0,
                 'voc-googlenet-table1': 42.5, 'voc-deconvnet-2': 69.6,
                 'voc-deeplab-resnet101': 76.35, 'voc-pspnet': 85.41}


@pytest.mark.parametrize('name', SOLVERS)
def test_the_solvers_of_the_reference_nets(name):
    made = recipe(name)
    assert made['batch'] == 1 and made['poly'] == 0 and not made['adam']
    assert made['weight_decay'] == 5e-4 and made['replace'] and not made['mirrored']
    assert SOLVERS[name] == tuple(made[key] for key in (
        'net', 'loss', 'lr', 'momentum', 'iter_size', 'steps', 'start'))


@pytest.mark.parametrize('name', PAPERS)
def test_the_words_of_the_paper(name):
    made = recipe(name)
    assert PAPERS[name] == (made['net'], made['lr'], made['start'])
    assert (made['loss'], made['momentum'], made['batch'] * made['iter_size']) == ('mean', .9, 20)
    assert made['weight_decay'] == 5e-4 and made['poly'] == 0 and not made['mirrored']


@pytest.mark.parametrize('name', {*SOLVERS, *PAPERS} - {'voc-fcn-alexnet'})
def test_biases_learn_twice_as_fast_and_do_not_decay(name):
    assert recipe(name)['rules'] == {'*.b': dict(lr=2, decay=0)}


def test_of_alexnet_the_rule_is_for_the_score_alone():
    assert recipe('voc-fcn-alexnet')['rules'] == {'score_fr.b': dict(lr=2, decay=0)}


def test_what_is_aimed_at():
    keys = 'pixel_acc', 'mean_acc', 'mean_iu', 'fw_iu'
    wanted = {name: dict(zip(keys, row)) for name, row in AIMS.items()}
    wanted |= {name: dict(mean_iu=score) for name, score in MEAN_IU_ALONE.items()}
    assert {name: made['aims'] for name, made in RECIPES.items() if made.get('aims')} == wanted
    assert all(made['cites'] for made in RECIPES.values() if made.get('aims'))


@pytest.mark.parametrize('name, train, valid', [
    ('voc-fcn8s', ('sbd', 'train'), ('voc', 'seg11valid')),
    ('voc-vgg16-table1', ('voc', 'train'), ('voc', 'val')),
    ('siftflow-16s', ('siftflow', 'trainval'), ('siftflow', 'test'))])
def test_what_is_learned_from_and_judged_on(name, train, valid):
    assert (recipe(name)['train'], recipe(name)['valid']) == (train, valid)


@pytest.mark.parametrize('name, mean', [
    ('voc-fcn32s', (104.00699, 116.66877, 122.67892)),
    ('nyud-rgb-32s', (116.190, 97.203, 92.318)),
    ('nyud-rgbd-32s', (116.190, 97.203, 92.318, 7.844)),
    ('nyud-hha-32s', (132.431, 94.076, 118.477)),
    ('nyud-rgb-hha-32s', (116.190, 97.203, 92.318, 132.431, 94.076, 118.477)),
    ('siftflow-32s', (114.578, 115.294, 108.353))])
def test_means(name, mean):
    """Blue first where there is blue; HHA is what it is."""
    prepared = recipe(name)['preprocess']
    assert prepared['mean'] == mean and set(prepared['std']) == {1} and prepared['scale'] == 1
    assert prepared['order'] == ('RGB' if name == 'nyud-hha-32s' else 'BGR')


# ---- what is refused -----------------------------------------------------------------------------

@pytest.mark.parametrize('name, changes, why', [
    ('voc-fcn33s', {}, "no recipe called 'voc-fcn33s'; there are voc-fcn32s, voc-fcn16s, v"),
    ('voc-fcn32s', dict(stpes=5, learning_rate=1), 'voc-fcn32s has no learning_rate, stpes; it has '
                                                   'net, train, valid'),
    ('voc-fcn32s', dict(loss='max'), "loss is 'max': sum or mean, over the pixels of a batch"),
    ('voc-fcn32s', dict(lr=0), 'lr is 0: a number above 0'),
    ('voc-fcn32s', dict(lr=-1e-10), 'lr is -1e-10: a number above 0'),
    ('voc-fcn32s', dict(lr=float('nan')), 'lr is nan: a number above 0'),
    ('voc-fcn32s', dict(lr='fast'), "lr is 'fast': a number above 0"),
    ('voc-fcn32s', dict(steps=0), 'steps is 0: a '), ('voc-fcn32s', dict(batch=-1), 'batch is -1'),
    ('voc-fcn32s', dict(steps=None), 'steps is None'), ('voc-fcn32s', dict(every=0), 'every is 0'),
    ('voc-fcn32s', dict(iter_size=0), 'iter_size is 0')])
def test_what_no_recipe_is(name, changes, why):
    with pytest.raises(ValueError, match=why):
        recipe(name, **changes)


@pytest.mark.parametrize('changes', [
    dict(steps=2.5), dict(batch=1.5), dict(iter_size=2.5), dict(every=1.5), dict(lr=float('inf')),
    dict(momentum='high'), dict(weight_decay='some'), dict(poly='linear'), dict(scales=3),
    dict(scales=(0, 1)), dict(size=32), dict(size=(0, 5)), dict(rules=5), dict(train='voc'),
    dict(train=None), dict(preprocess='BGR'), dict(gaps=5), dict(gaps=(10, 0)), dict(bent=0),
    dict(bent='much')])
def test_what_the_command_line_can_say_and_no_recipe_is(changes):
    """`--set steps=2.5` is a number, and `momentum=high` a word: a sentence that names the key."""
    (key, value), = changes.items()
    with pytest.raises(ValueError, match=rf'{key} is'):
        recipe('stanford-16s', **changes)


@pytest.mark.parametrize('name, lr', [('voc-fcn32s', 1e-4), ('voc-fcn8s', 1e-3),
                                      ('siftflow-16s', 1e-5)])
def test_the_lr_of_a_mean_beside_a_sum(name, lr):
    with pytest.raises(ValueError, match=rf'lr {lr:g} is one of a mean loss, and this one is the '
                                         r'sum: .* 187,500 times as far, .*loss="mean", or an lr '
                                         r'such as 1e-10'):
        recipe(name, lr=lr)
    recipe(name, lr=lr, loss='mean')
    assert recipe(name, lr=1e-9)['lr'] == 1e-9


@pytest.mark.parametrize('name, lr', [('voc-fcn32s-table2', 1e-10), ('stanford-16s', 1e-12)])
def test_the_lr_of_a_sum_beside_a_mean(name, lr):
    with pytest.raises(ValueError, match=rf'lr {lr:g} is one of a summed loss, and this one is the '
                                         r'mean: it would stand still. loss="sum", or an lr such'):
        recipe(name, lr=lr)
    recipe(name, lr=lr, loss='sum')


def test_only_the_loss_is_changed_and_the_lr_is_of_the_other():
    for name, loss in ('voc-fcn8s', 'mean'), ('voc-fcn16s-table2', 'sum'):
        with pytest.raises(ValueError, match='lr 1e-.* is one of a'):
            recipe(name, loss=loss, lr={**PLAIN, **RECIPES[name]}['lr'] * (1 if loss == 'mean'
                                                                          else 10))


def test_a_change_changes_no_one_elses():
    recipe('stanford-16s', lr=.5, rules={})
    assert recipe('stanford-16s')['lr'] == 1e-3 and recipes.PLAIN['rules']
