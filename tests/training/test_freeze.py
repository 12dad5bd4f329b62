"""Frozen weights stay as they are, to the bit; batch norm keeps its statistics; runs resume."""
from itertools import islice

import numpy as np
import pytest
from training_samples import CENTRED, bits, make_recipe, small_dataset, small_net

import tinyfcn
from tinyfcn import ops
from tinyfcn.data.transforms import prepare
from tinyfcn.training import checkpoint, make_optimizer, step_memory, train
from tinyfcn.training.run import run

TRUNK = ('conv1.*', 'norm1.*')
pytestmark = pytest.mark.usefixtures('no_drawing')


def trained(net, **changes):
    recipe = make_recipe(**changes)
    rows = list(train(net, small_dataset(), recipe, make_optimizer(recipe)))
    return net, rows


@pytest.mark.parametrize('changes', [dict(), dict(iter_size=3), dict(optimizer='adam', rules={})])
def test_only_what_is_not_frozen_changes(changes):
    before = bits(small_net(norm=True))
    after = bits(trained(small_net(norm=True), freeze=TRUNK, **changes)[0])
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {'score.w', 'score.b'}
    everything = bits(trained(small_net(norm=True), **changes)[0])
    assert {name for name in before if before[name] != everything[name]} == {*before}


def test_a_frozen_batch_norm_computes_as_in_prediction():
    """The loss is that of the net's predictions; with statistics of the batch it is another."""
    def statistics_of_other_images():
        net = small_net('float64', norm=True)
        net.state['norm1.mean'] += .3
        return net

    _, [row] = trained(statistics_of_other_images(), freeze=TRUNK, steps=1)
    image, label = small_dataset().read(row['names'][0])
    prepared = prepare(image, CENTRED).astype('float64')
    of_predictions, of_batch = (
        ops.softmax_cross_entropy(statistics_of_other_images().forward(prepared, train=train),
                                  label[None], reduce='mean')[0] for train in (False, True))
    np.testing.assert_allclose(row['loss'], of_predictions, rtol=1e-12)
    assert abs(of_batch - row['loss']) > 1e-3


def test_the_patterns_of_the_net_hold_too_and_are_all_that_is_left_afterwards():
    net = small_net()
    net.frozen = {'score.b'}
    before = bits(net)
    trained(net, freeze='conv1.w')
    after = bits(net)
    assert {name for name in before if before[name] != after[name]} == {'conv1.b', 'score.w'}
    assert net.frozen == {'score.b'}


def test_a_run_with_frozen_weights_resumes_to_the_bit_and_saves_a_net_that_is_not_frozen(tmp_path):
    recipe = make_recipe(freeze=TRUNK)
    datasets = small_dataset(), small_dataset(2, seed=9)
    nets = [small_net(norm=True, drop=.3) for _ in range(3)]
    list(run(tmp_path / 'whole', nets[0], *datasets, recipe))
    stream = run(tmp_path / 'stopped', nets[1], *datasets, recipe)
    list(islice(stream, 4))
    stream.close()
    list(run(tmp_path / 'stopped', nets[2], *datasets, recipe, resume=True))
    assert bits(nets[0]) == bits(nets[2])
    last = checkpoint.load(tmp_path / 'stopped/last.safetensors')
    assert last.about['frozen'] == [] and last.memory['velocity'].keys() == {'score.w', 'score.b'}
    with pytest.raises(ValueError, match='differs in freeze: resume with the same command'):
        list(run(tmp_path / 'stopped', small_net(norm=True, drop=.3), *datasets, make_recipe(),
                 resume=True))


@pytest.mark.parametrize('freeze, message', [
    ('fire*', "freeze has 'fire\\*', which matches none of the weights of this net: conv1.w, con"),
    ('conv1*,\x1b', r"freeze has '.x1b', which"),
    ('*', 'freeze is \\*, which matches all weights of this net: leave some to train, such as')])
def test_patterns_that_cannot_be_meant_are_refused(freeze, message):
    with pytest.raises(ValueError, match=message):
        trained(small_net(), freeze=freeze)


def test_a_text_is_a_list_of_patterns():
    assert make_recipe(freeze='conv*,fc6.w').freeze == ('conv*', 'fc6.w')
    with pytest.raises(ValueError, match='freeze is 5; it must be None, or patterns'):
        make_recipe(freeze=5)


def test_a_step_with_a_frozen_trunk_takes_less_memory():
    net = tinyfcn.build('fcn_squeezenet_16s', n_class=3)
    dataset = small_dataset(size=(200, 300))
    everything, head = (step_memory(net, make_recipe(freeze=freeze), dataset)
                        for freeze in (None, 'conv1*,fire*'))
    assert head < everything / 2
