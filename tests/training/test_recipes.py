"""Every recipe is valid, starts from weights that exist, and agrees with the paper."""
import json

import pytest

from tinyfcn import data
from tinyfcn.models import NETS
from tinyfcn.training import Recipe, get_recipe
from tinyfcn.training.recipes import RECIPES, parse_value

CLASSIFIERS = {name for name, (_, _, n_class) in NETS.items() if n_class == 1000}
ALL = pytest.mark.parametrize('name', RECIPES)


def initial_weights(name):
    """The names of the classifiers and recipes from whose weights a recipe starts."""
    init_from = get_recipe(name).init_from
    if init_from is None:
        return []
    return [*init_from.values()] if isinstance(init_from, dict) else [init_from]


@ALL
def test_every_recipe_is_complete(name):
    recipe = get_recipe(name)
    assert recipe.net in NETS and recipe.net not in CLASSIFIERS
    if recipe.preprocess is None:                       # as the weights say, which it begins with
        start = initial_weights(name)[0]
        assert start in ('squeezenet', 'googlenet') or start in RECIPES
    else:
        assert recipe.preprocess.keys() == {'order', 'scale', 'mean', 'std'}
        assert {len(recipe.preprocess[key]) for key in ('mean', 'std')} == {NETS[recipe.net][1]}
    assert 0 < recipe.validate_every <= recipe.steps


@ALL
def test_every_data_set_of_a_recipe_exists(name):
    recipe = get_recipe(name)
    assert recipe.train[0] in data.DATASETS
    assert recipe.valid is None or recipe.valid[0] in data.DATASETS


@ALL
def test_stages_start_from_a_classifier_or_from_random_weights(name):
    pending = [name]
    found = set()
    while pending:
        last = pending.pop()
        assert len(found) < 20, f'{name} starts from itself'
        for start in initial_weights(last):
            found.add(start)
            if start not in CLASSIFIERS:
                assert start in RECIPES, f'{last} starts from {start}, which does not exist'
                pending.append(start)
    assert found <= {*CLASSIFIERS, *RECIPES} - {name}


@ALL
def test_a_finer_stage_has_no_higher_learning_rate_than_the_coarser_one(name):
    for start in set(initial_weights(name)) & RECIPES.keys():
        assert get_recipe(name).lr <= get_recipe(start).lr
        assert get_recipe(name).loss == get_recipe(start).loss


# ---- the numbers of the paper and of the reference nets ------------------------------------------

# net, loss, lr, momentum, batches a step, steps, initial weights; the solvers of the reference nets
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

# net, lr, initial weights, as the paper has them: a mean over twenty images, momentum 0.9
PAPER = {
    'voc-alexnet-table1':      ('fcn_alexnet', 1e-3, 'alexnet'),
    'voc-vgg16-table1':        ('fcn32s', 1e-4, 'vgg16'),
    'voc-googlenet-table1':    ('fcn_googlenet', 5e-5, 'googlenet'),
    'voc-fcn32s-fixed-table2': ('fcn32s_fixed', 1e-4, 'vgg16'),
    'voc-fcn32s-table2':       ('fcn32s', 1e-4, 'vgg16'),
    'voc-fcn16s-table2':       ('fcn16s', 1e-6, 'voc-fcn32s-table2'),
    'voc-fcn8s-table2':        ('fcn8s', 1e-8, 'voc-fcn16s-table2'),
}

# pixel acc, mean acc, mean IU, f.w. IU
TARGETS = {
    'voc-fcn32s': (90.48, 76.48, 63.63, 83.46), 'voc-fcn16s': (91.00, 78.07, 65.01, 84.26),
    'voc-fcn8s': (91.22, 77.61, 65.51, 84.54), 'voc-fcn8s-at-once': (91.13, 78.50, 65.40, 84.43),
    'voc-fcn32s-fixed-table2': (83.0, 59.7, 45.4, 72.0),
    'voc-fcn32s-table2': (89.1, 73.3, 59.4, 81.4),
    'voc-fcn16s-table2': (90.0, 75.7, 62.4, 83.0), 'voc-fcn8s-table2': (90.3, 75.9, 62.7, 83.2),
    'nyud-rgb-32s': (60.0, 42.2, 29.2, 43.9), 'nyud-rgbd-32s': (61.5, 42.4, 30.5, 45.5),
    'nyud-hha-32s': (57.1, 35.2, 24.2, 40.4), 'nyud-rgb-hha-32s': (64.3, 44.9, 32.8, 48.0),
    'nyud-rgb-hha-16s': (65.4, 46.1, 34.0, 49.5), 'siftflow-16s': (85.2, 51.7, 39.5, 76.1),
}
MEAN_IU_ONLY = {'voc-fcn-alexnet': 48.0, 'voc-alexnet-table1': 39.8, 'voc-vgg16-table1': 56.0,
                'voc-googlenet-table1': 42.5, 'voc-deconvnet-2': 69.6,
                'voc-deeplab-resnet101': 76.35, 'voc-pspnet': 85.41}


@pytest.mark.parametrize('name', SOLVERS)
def test_recipes_of_the_reference_nets_are_their_solvers(name):
    recipe = get_recipe(name)
    assert recipe.batch == 1 and recipe.lr_power == 0 and recipe.optimizer == 'sgd'
    assert recipe.weight_decay == 5e-4 and recipe.replace and not recipe.flip
    assert SOLVERS[name] == (recipe.net, recipe.loss, recipe.lr, recipe.momentum,
                             recipe.iter_size, recipe.steps, recipe.init_from)


@pytest.mark.parametrize('name', PAPER)
def test_recipes_of_the_tables_are_as_the_paper_describes(name):
    recipe = get_recipe(name)
    assert PAPER[name] == (recipe.net, recipe.lr, recipe.init_from)
    assert (recipe.loss, recipe.momentum, recipe.batch * recipe.iter_size) == ('mean', .9, 20)
    assert recipe.weight_decay == 5e-4 and recipe.lr_power == 0 and not recipe.flip


@pytest.mark.parametrize('name', sorted({*SOLVERS, *PAPER} - {'voc-fcn-alexnet'}))
def test_biases_learn_twice_as_fast_and_do_not_decay(name):
    assert get_recipe(name).rules == {'*.b': dict(lr=2, decay=0)}


def test_in_alexnet_the_rule_is_for_the_score_layer_only():
    assert get_recipe('voc-fcn-alexnet').rules == {'score_fr.b': dict(lr=2, decay=0)}


def test_targets_are_the_published_scores():
    keys = 'pixel_acc', 'mean_acc', 'mean_iu', 'fw_iu'
    wanted = {name: dict(zip(keys, scores)) for name, scores in TARGETS.items()}
    wanted |= {name: dict(mean_iu=score) for name, score in MEAN_IU_ONLY.items()}
    recipes = {name: get_recipe(name) for name in RECIPES}
    with_target = {name: recipe for name, recipe in recipes.items() if recipe.target}
    assert {name: recipe.target for name, recipe in with_target.items()} == wanted
    assert all(recipe.source for recipe in with_target.values())


@pytest.mark.parametrize('name, train, valid', [
    ('voc-fcn8s', ('sbd', 'train'), ('voc', 'seg11valid')),
    ('voc-vgg16-table1', ('voc', 'train'), ('voc', 'val')),
    ('siftflow-16s', ('siftflow', 'trainval'), ('siftflow', 'test'))])
def test_training_and_validation_sets(name, train, valid):
    assert (get_recipe(name).train, get_recipe(name).valid) == (train, valid)


@pytest.mark.parametrize('name, mean', [
    ('voc-fcn32s', (104.00699, 116.66877, 122.67892)),
    ('nyud-rgb-32s', (116.190, 97.203, 92.318)),
    ('nyud-rgbd-32s', (116.190, 97.203, 92.318, 7.844)),
    ('nyud-hha-32s', (132.431, 94.076, 118.477)),
    ('nyud-rgb-hha-32s', (116.190, 97.203, 92.318, 132.431, 94.076, 118.477)),
    ('siftflow-32s', (114.578, 115.294, 108.353))])
def test_means(name, mean):
    """Blue comes first, where there is color; HHA keeps its order."""
    preprocess = get_recipe(name).preprocess
    assert preprocess['mean'] == mean
    assert set(preprocess['std']) == {1} and preprocess['scale'] == 1
    assert preprocess['order'] == ('RGB' if name == 'nyud-hha-32s' else 'BGR')


# ---- what is rejected ----------------------------------------------------------------------------

@pytest.mark.parametrize('name, changes, message', [
    ('voc-fcn33s', {}, "no recipe called 'voc-fcn33s'; did you mean voc-fcn32s, .*list"),
    ('voc-fcn32s', dict(stpes=5, learning_rate=1),
     'voc-fcn32s: no field called learning_rate, stpes; the fields are net, train, valid'),
    ('voc-fcn32s', dict(loss='max'),
     r"loss is 'max'; it must be 'sum' or 'mean' of .*, 'focal', 'dice' or 'ce\+dice'"),
    ('folder-unet', dict(loss='ce+dice'),
     'border_weight weighs single pixels, .* border_weight=None'),
    ('voc-fcn32s', dict(lr=0), 'lr is 0; it must be a number above 0'),
    ('voc-fcn32s', dict(lr=-1e-10), 'lr is -1e-10; it must be a number above 0'),
    ('voc-fcn32s', dict(lr=float('nan')), 'lr is nan; it must be a number above 0'),
    ('voc-fcn32s', dict(lr='fast'), "lr is 'fast'; it must be a number above 0"),
    ('voc-fcn32s', dict(steps=0), 'steps is 0; '), ('voc-fcn32s', dict(batch=-1), 'batch is -1'),
    ('voc-fcn32s', dict(steps=None), 'steps is None'),
    ('voc-fcn32s', dict(validate_every=0), 'validate_every is 0'),
    ('voc-fcn32s', dict(iter_size=0), 'iter_size is 0'),
    ('voc-fcn32s', dict(optimizer='lbfgs'), "optimizer is 'lbfgs'; it must be 'sgd' or 'adam'")])
def test_invalid_recipes_are_rejected_with_the_field_and_what_it_must_be(name, changes, message):
    with pytest.raises(ValueError, match=message):
        get_recipe(name, **changes)


def test_a_wrong_name_is_answered_with_near_ones_and_not_with_all():
    listing = '`tinyfcn train --list` prints a table of all'
    with pytest.raises(ValueError, match=f"^no recipe called 'foldr'; did you mean folder, "
                                         f"folder-unet\\? {listing}$"):
        get_recipe('foldr')
    with pytest.raises(ValueError, match=f"^no recipe called 'x'; {listing}$"):
        get_recipe('x')


@pytest.mark.parametrize('changes', [
    dict(steps=2.5), dict(batch=1.5), dict(iter_size=2.5), dict(validate_every=1.5),
    dict(lr=float('inf')), dict(momentum='high'), dict(weight_decay='some'),
    dict(lr_power='linear'), dict(scale_range=3), dict(scale_range=(0, 1)), dict(crop_size=32),
    dict(crop_size=(0, 5)), dict(rules=5), dict(train='voc'), dict(train=None),
    dict(preprocess='BGR'), dict(border_weight=5), dict(border_weight=(10, 0)),
    dict(elastic_sigma=0), dict(elastic_sigma='much'), dict(rotation=-5), dict(rotation=181),
    dict(colour=.4), dict(colour=(.4, .4, .4)), dict(colour=(0, 0, 0, 1.5)), dict(blur=0),
    dict(blur=1e6), dict(noise=-1), dict(noise='some'), dict(rare_classes=0),
    dict(rare_classes=1.01), dict(rare_classes=True)])
def test_values_that_the_command_line_can_pass_are_rejected_with_the_field(changes):
    """`--set steps=2.5` passes a number, and `momentum=high` a string."""
    (key, value), = changes.items()
    with pytest.raises(ValueError, match=rf'^{key} is'):
        get_recipe('stanford-16s', **changes)


@pytest.mark.parametrize('name, lr', [('voc-fcn32s', 1e-4), ('voc-fcn8s', 1e-3),
                                      ('siftflow-16s', 1e-5)])
def test_the_lr_of_a_mean_is_rejected_with_a_sum(name, lr):
    with pytest.raises(ValueError, match=rf'lr {lr:g} suits a mean loss, and this loss is a sum: '
                                         r'.* 187,500 times .*loss="mean", or an lr such as 1e-10'):
        get_recipe(name, lr=lr)
    get_recipe(name, lr=lr, loss='mean')
    assert get_recipe(name, lr=1e-9).lr == 1e-9


@pytest.mark.parametrize('name, lr', [('voc-fcn32s-table2', 1e-10), ('stanford-16s', 1e-12)])
def test_the_lr_of_a_sum_is_rejected_with_a_mean(name, lr):
    with pytest.raises(ValueError, match=rf'lr {lr:g} suits a summed loss, and this loss is a '
                                         r'mean: .*loss="sum", or an lr such as 1e-4'):
        get_recipe(name, lr=lr)
    get_recipe(name, lr=lr, loss='sum')


def test_changing_only_the_loss_is_rejected():
    for name, loss, factor in ('voc-fcn8s', 'mean', 1), ('voc-fcn16s-table2', 'sum', 10):
        with pytest.raises(ValueError, match='lr 1e-.* suits a'):
            get_recipe(name, loss=loss, lr=get_recipe(name).lr * factor)


def test_a_change_leaves_other_recipes_unchanged():
    changed = get_recipe('voc-fcn32s', lr=2e-10, rules={})
    changed.preprocess['order'] = 'RGB'
    other = get_recipe('voc-fcn32s')
    assert other.lr == 1e-10 and other.rules and other.preprocess['order'] == 'BGR'


# ---- as a dict -----------------------------------------------------------------------------------

@ALL
def test_a_recipe_survives_json(name):
    recipe = get_recipe(name)
    assert Recipe.from_dict(json.loads(json.dumps(recipe.to_dict()))) == recipe


def test_the_field_that_is_near_is_named():
    with pytest.raises(ValueError, match=r'no field called step; did you mean steps\?$'):
        get_recipe('folder', step=20)


def test_names_of_version_0_1_are_read_only_in_its_files():
    """They are converted in a dict that has all of them; `--set every=5` is a mistake."""
    with pytest.raises(ValueError, match='no field called every; '):
        get_recipe('stanford-16s', every=5)
    with pytest.raises(ValueError, match='no field called adam, every; '):
        Recipe.from_dict(dict(lr=.1, steps=5, every=5, adam=True))


# ---- values of any kind --------------------------------------------------------------------------

@pytest.mark.parametrize('text', [
    'scale_range=(1,1e999)', 'scale_range=(1.2,.8)', "net=['fcn8s']", 'init_from=5', 'init_from={}',
    "init_from={'color':1}", 'net_kwargs=5', "net_kwargs={'width':{1,2}}", 'net_kwargs={1:2}',
    "rules={'*.b':5}", "rules={'*.b':{'lr':'high'}}", "rules={'*.b':{'momentum':1}}",
    'rules={5:{}}',
    "loss_at={'nosuch':'a'}", 'loss_at={}', 'class_weight=()', 'class_weight=(1,-1)',
    'class_weight={1}', 'class_weight=mean', 'target=5', "target={'mean_iu':'high'}", 'source=5',
    'lr=' + '-' * 5000 + '1', 'lr=' + '(' * 5000, 'lr=' + '9' * 5000, 'lr=1e999', 'lr=True',
    'lr=10**400', 'steps=' + '9' * 400, 'flip=yes', 'replace=1', "train=('folder',5)",
    "valid=('folder',)", 'crop_size=(True,2)', 'momentum=-.1', "preprocess={'order':'RGB'}",
    "preprocess={'order':'RGB','scale':1,'mean':(1,1,1),'std':(1,0,1)}",
    "preprocess={'order':'RGB','scale':1,'mean':(1,1,1),'std':(1,1)}",
    "preprocess={'order':5,'scale':1,'mean':(1,),'std':(1,)}", 'border_weight=(1,1e999)',
    'lr=\x1b[2J'])
def test_any_value_of_a_wrong_type_is_rejected_with_its_field(text):
    key, _, value = text.partition('=')
    with pytest.raises(ValueError) as error:
        get_recipe('stanford-16s', **{key: parse_value(value)})
    message = str(error.value)
    assert message.startswith(f'{key} is ') and '; it must be ' in message
    assert len(message) < 300 and message.isprintable()


@pytest.mark.parametrize('text, value', [
    ('1e-4', 1e-4), (' 5', 5), ('(1, 2)', (1, 2)), ('mean', 'mean'), ('None', None),
    ("{'*.b': {'lr': 2}}", {'*.b': {'lr': 2}}), ('two words', 'two words'), ('', ''),
    ('-' * 5000, '-' * 5000), ('[' * 5000, '[' * 5000), ('9' * 20_000, '9' * 20_000)])
def test_a_text_of_the_command_line_is_a_value_or_a_word(text, value):
    assert parse_value(text) == value


def test_two_schedules_of_the_learning_rate_are_rejected():
    with pytest.raises(ValueError, match='lr_power is 0.9 and lr_step is 5; .* set lr_power=0 or'):
        get_recipe('stanford-16s', lr_step=5)
    assert get_recipe('stanford-16s', lr_step=5, lr_power=0).lr_step == 5


@pytest.mark.parametrize('wrong, near', [('voc-fcn8', 'voc-fcn8s'), ('folder-squeeznet',
                                                                     'folder-squeezenet')])
def test_a_recipe_of_a_similar_name_is_offered(wrong, near):
    with pytest.raises(ValueError, match=rf'did you mean .*{near}'):
        get_recipe(wrong)


# ---- of other versions ---------------------------------------------------------------------------

def test_a_saved_recipe_may_have_a_field_more_or_less():
    """Another version may have written it; what it does not have is at its default."""
    recipe = get_recipe('stanford-16s')
    saved = json.loads(json.dumps(recipe.to_dict()))
    assert Recipe.from_saved({**saved, 'of_the_future': 1}, 'run.json') == recipe
    del saved['elastic_sigma'], saved['source']
    assert Recipe.from_saved(saved, 'run.json') == recipe


@pytest.mark.parametrize('saved', [5, None, [], {}, dict(lr=.1), dict(lr='a', steps=1), {5: 6}])
def test_a_saved_recipe_of_another_shape_is_rejected_with_its_file(saved):
    with pytest.raises(ValueError, match='^run.json: '):
        Recipe.from_saved(saved, 'run.json')


@pytest.mark.parametrize('name', [name for name in RECIPES if name.startswith('folder')])
def test_images_of_the_users_own_are_cropped(name):
    """A photo of 12 million pixels would take some 20 GB a step."""
    assert max(get_recipe(name).crop_size) < 400
