"""The engine: gradients add where a value was read twice, and values live as long as promised."""
import copy
import pickle
import tracemalloc

import numpy as np
import pytest

from tinyfcn import Net
from tinyfcn.gradcheck import check_net
from tinyfcn.layers import (
    add,
    avg_pool,
    avg_pool_to,
    batch_norm,
    channels,
    concat,
    conv,
    crop,
    deconv,
    dropout,
    leaky_relu,
    local_response_norm,
    max_pool,
    max_switches,
    multiply,
    pad,
    relu,
    resize,
    scale,
    take,
    unpool,
    upsample,
)

RNG = np.random.default_rng(7)


def image(*shape, dtype='float32'):
    return np.random.default_rng(3).standard_normal(shape).astype(dtype)


def chain(length=4, width=3):
    """data -> conv1 -> relu1 -> conv2 -> …"""
    n = Net(width)
    x = n.data
    for i in range(1, length + 1):
        x = n[f'conv{i}'] = conv(x, width, 3, pad=1)
        x = n[f'relu{i}'] = relu(x)
    return n


# ---- where a value is read twice, its gradients add --------------------------------------------

def test_diamond():
    """Engines that overwrite at a fan-out say 5 or 3 where the answer is 3 + 5."""
    n = Net(1, dtype='float64')
    n.top = conv(n.data, 1, 1)
    n.left = scale(n.top, 3)
    n.right = scale(n.top, 5)
    n.bottom = add(n.left, n.right)
    n.params['top.w'][...] = 2
    y = n.forward(np.ones((1, 1, 1, 1)), train=True, keep=True)
    assert y.item() == 16
    grads = n.backward(bottom=np.ones((1, 1, 1, 1)))
    assert grads['top.b'].item() == 8
    assert grads['top.w'].item() == 8
    assert n.grads['data'].item() == 16


def test_three_way_fan_out():
    n = Net(1, dtype='float64')
    n.top = conv(n.data, 1, 1)
    for factor in 2, 3, 5:
        n[f'times{factor}'] = scale(n.top, factor)
    n.sum = add(n.times2, n.times3, n.times5)
    n.forward(np.ones((1, 1, 1, 1)), train=True)
    assert n.backward(sum=np.ones((1, 1, 1, 1)))['top.b'].item() == 10


@pytest.mark.parametrize('word, slope', [(add, 2), (multiply, 6)])
def test_one_box_reads_a_value_twice(word, slope):
    n = Net(1, dtype='float64')
    n.top = scale(n.data, 3)
    n.both = word(n.top, n.top)
    n.forward(np.ones((1, 1, 1, 1)), keep=True)
    n.backward(both=np.ones((1, 1, 1, 1)))
    assert n.grads['top'].item() == slope


def test_a_gradient_that_add_hands_to_both_its_inputs_is_never_written_to():
    n = Net(1, dtype='float64')
    n.top = scale(n.data, 1)
    n.left = scale(n.top, 3)
    n.sum = add(n.left, n.top)
    n.forward(np.ones((1, 1, 1, 1)), keep=True)
    seed = np.ones((1, 1, 1, 1))
    n.backward(sum=seed)
    assert (n.grads['top'].item(), n.grads['left'].item(), seed.item()) == (4, 1, 1)


def two_heads():
    n = Net(2, dtype='float64')
    n.trunk = conv(n.data, 3, 3, pad=1)
    n.score_sem = conv(n.trunk, 4, 1)
    n.score_geo = conv(n.trunk, 2, 1)
    return n


def test_two_outputs_have_two_gradients():
    n, x = two_heads(), image(1, 2, 4, 5, dtype='float64')
    scores = n.forward(x, train=True)
    assert list(scores) == ['score_sem', 'score_geo']
    seeds = {name: RNG.standard_normal(y.shape) for name, y in scores.items()}
    both = n.backward(**seeds)
    alone = []
    for name, seed in seeds.items():
        n.forward(x, train=True)
        alone.append(n.backward(**{name: seed}))
    assert set(alone[0]) == {'trunk.w', 'trunk.b', 'score_sem.w', 'score_sem.b'}
    np.testing.assert_allclose(both['trunk.w'], alone[0]['trunk.w'] + alone[1]['trunk.w'])
    np.testing.assert_array_equal(both['score_geo.w'], alone[1]['score_geo.w'])


# ---- what is not needed is not done ------------------------------------------------------------

def test_no_work_below_a_frozen_prefix():
    n, x = chain(), image(1, 3, 6, 6)
    n.frozen = {'conv1.*', 'conv2.?'}
    *_, (_, y) = n.walk(x, train=True, keep=False)
    assert set(n.caches) == {'conv3', 'relu3', 'conv4', 'relu4'}
    steps = {box.name: dreads for box, dreads in n.walk_back(relu4=np.ones_like(y))}
    assert list(steps) == ['relu4', 'conv4', 'relu3', 'conv3']
    assert steps['conv3'][0] is None, 'no weight needs the gradient below conv3'
    n.forward(x, train=True)
    assert set(n.backward(relu4=np.ones_like(y))) == {'conv3.w', 'conv3.b', 'conv4.w', 'conv4.b'}


def test_one_frozen_weight_of_a_box_is_not_computed():
    n, x = chain(1), image(1, 3, 4, 4)
    n.frozen = {'conv1.w'}
    y = n.forward(x, train=True)
    assert set(n.backward(relu1=np.ones_like(y))) == {'conv1.b'}


def test_a_frozen_weight_gets_no_gradient_where_its_op_computes_one_all_the_same():
    n = Net(1)
    n.conv = conv(n.data, 2, 1)
    n.bn = batch_norm(n.conv)
    n.frozen = {'bn.*'}
    y = n.forward(image(2, 1, 3, 3), train=True)
    assert set(n.backward(bn=y)) == {'conv.w', 'conv.b'}


def test_all_frozen_is_no_gradient_at_all():
    n, x = chain(1), image(1, 3, 4, 4)
    n.frozen = {'*'}
    y = n.forward(x, train=True)
    assert not n.caches and n.backward(relu1=np.ones_like(y)) == {}


def test_the_image_gets_a_gradient_only_where_all_is_kept():
    n, x = chain(1), image(1, 3, 4, 4)
    y = n.forward(x, train=True)
    n.backward(relu1=np.ones_like(y))
    assert 'data' not in n.grads
    n.forward(x, keep=True)
    n.backward(relu1=np.ones_like(y))
    assert n.grads['data'].shape == x.shape


def test_until_runs_only_the_boxes_it_needs():
    n, x = two_heads(), image(1, 2, 4, 5, dtype='float64')
    assert [box.name for box, _ in n.walk(x, until='score_geo')] == ['trunk', 'score_geo']
    geo = n.forward(x, until='score_geo')
    np.testing.assert_array_equal(geo, n.forward(x)['score_geo'])
    n.forward(x, train=True, until='trunk')
    assert set(n.backward(trunk=np.ones((1, 3, 4, 5)))) == {'trunk.w', 'trunk.b'}


def test_until_may_need_the_size_of_a_box_that_it_does_not_read():
    n = Net(1)
    n.small = max_pool(n.data, 2)
    n.deep = max_pool(n.small, 2)
    n.up = upsample(n.deep, 2)
    n.cut = crop(n.up, like=n.small, offset=1)
    n.more = relu(n.cut)
    assert n.forward(image(1, 1, 9, 9), until='cut').shape == (1, 1, 5, 5)


def test_like_needs_its_box_to_run_but_does_not_read_it():
    n = Net(1)
    n.small = max_pool(n.data, 2)
    n.cut = crop(n.data, like=n.small, offset=0)
    assert n.forward(image(1, 1, 4, 4), until='cut').shape == (1, 1, 2, 2)
    assert n.outputs() == ['small', 'cut']


def test_boxes_called_aux_run_only_in_training():
    n, x = Net(1), image(1, 1, 4, 4)
    n.trunk = conv(n.data, 2, 3, pad=1)
    n.aux_score = conv(n.trunk, 2, 1)
    n.score = conv(n.trunk, 2, 1)
    assert n.forward(x).shape == (1, 2, 4, 4)
    assert set(n.forward(x, train=True)) == {'aux_score', 'score'}
    assert n.outputs(train=False) == ['score']
    n.faux = relu(n.score)
    assert n.outputs(train=False) == ['faux'], 'aux is how a name begins'
    with pytest.raises(ValueError, match="'aux_score' runs in training only: pass train=True"):
        n.forward(x, until='aux_score')
    assert n.forward(x, train=True, until='aux_score').shape[1] == 2


# ---- walk is forward, one step at a time -------------------------------------------------------

def test_walk_step_by_step_is_forward_and_walk_back_is_backward():
    n, x = chain(), image(2, 3, 7, 5)
    y = n.forward(x, train=True)
    grads = n.backward(relu4=np.ones_like(y))
    walk = n.walk(x)
    box, first = next(walk)
    assert (box.name, first.shape) == ('conv1', (2, 3, 7, 5))
    assert list(n.values) == ['data', 'conv1']
    for box, last in walk:
        assert n.values[box.name] is last
    np.testing.assert_array_equal(last, y)
    back = n.walk_back(relu4=np.ones_like(y))
    box, (drelu,) = next(back)
    assert box.name == 'relu4' and n.grads['conv4'] is drelu
    visited = [box.name for box, _ in back]
    assert visited == ['conv4', 'relu3', 'conv3', 'relu2', 'conv2', 'relu1', 'conv1']
    for name, grad in grads.items():
        np.testing.assert_array_equal(n.grads[name], grad)


# ---- lives -------------------------------------------------------------------------------------

def test_forward_never_holds_more_than_two_activations_of_a_chain():
    n, most = chain(5), 0
    for _ in n.walk(image(1, 3, 4, 4), keep=False):
        most = max(most, len(n.values))
    assert most == 1, 'what a box has read is gone when the next one starts'
    assert list(n.values) == ['relu5'] and not n.caches


def test_backward_frees_the_caches_of_a_head_without_a_gradient():
    n = two_heads()
    n.forward(image(1, 2, 4, 5, dtype='float64'), train=True)
    n.backward(score_sem=np.ones((1, 4, 4, 5)))
    assert not n.caches


def test_a_value_lives_until_its_last_reader():
    n = Net(1)
    n.early = scale(n.data, 2)
    n.middle = scale(n.early, 2)
    n.late = add(n.middle, n.early)
    held = [set(n.values) for _ in n.walk(image(1, 1, 2, 2), keep=False)]
    assert held == [{'early'}, {'early', 'middle'}, {'late'}]


def test_like_does_not_keep_a_value_alive():
    n = Net(1)
    n.small = max_pool(n.data, 2)
    n.up = upsample(n.small, 2)
    n.score = crop(n.up, like=n.data, offset=1)
    held = [set(n.values) for _ in n.walk(image(1, 1, 4, 4), keep=False)]
    assert held == [{'small'}, {'up'}, {'score'}]


def test_keep_keeps_every_value_cache_and_gradient():
    n, x = chain(2), image(1, 3, 4, 4)
    y = n.forward(x, keep=True)
    assert list(n.values) == ['data', 'conv1', 'relu1', 'conv2', 'relu2']
    n.backward(relu2=np.ones_like(y))
    assert set(n.grads) == {*n.values, *n.params} and set(n.caches) == {*n.values} - {'data'}


def memory_of(steps):
    """(the most that was held, what is held after each step), in bytes."""
    tracemalloc.start()
    held = [tracemalloc.get_traced_memory()[0] for _ in steps]
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return most, held


def pointwise_chain(length=8):
    n = Net(8)
    n.first = conv(n.data, 8, 1)                # so that there is something to learn
    for i in range(length):
        n[f'leaky{i}'] = leaky_relu(list(n.boxes.values())[-1])
    return n


def test_inference_holds_two_activations_however_deep_the_net():
    n, x = pointwise_chain(), image(1, 8, 128, 128)
    n.forward(x)                                # compiles what is compiled only once
    most, _ = memory_of(n.walk(x, keep=False))
    assert most < 4.5 * x.nbytes, 'input and output of one box, and what its op needs meanwhile'


def test_walk_back_frees_each_cache_as_it_passes():
    n, x = pointwise_chain(), image(1, 8, 128, 128)
    n.forward(x, train=True)                    # compiles what is compiled only once
    n.backward(leaky7=x)
    tracemalloc.start()
    n.forward(x, train=True)
    full = tracemalloc.get_traced_memory()[0]
    held = [tracemalloc.get_traced_memory()[0] for _ in n.walk_back(leaky7=x)]
    tracemalloc.stop()
    assert full > 8 * x.nbytes, 'every cache is there when the walk back begins'
    assert all(a - b > .9 * x.nbytes for a, b in zip(held[1:-1], held[2:])), held
    assert held[-1] < 4 * x.nbytes and not n.caches


# ---- a batch without images

@pytest.mark.parametrize('train', [False, True])
def test_no_images_have_no_scores_and_gradients_of_zero(train):
    n = chain()
    n.pool = max_pool(n.relu4, 2)
    n.score = upsample(n.pool, 2, pad=1)
    score = n.forward(image(0, 3, 6, 8), train=train, keep=True)
    assert (score.shape, score.dtype) == ((0, 3, 6, 8), 'float32')
    grads = n.backward(score=score)
    assert grads.keys() == n.params.keys()
    assert all(grad.shape == n.params[name].shape and not grad.any()
               for name, grad in grads.items())
    assert n.grads['data'].shape == (0, 3, 6, 8)


# ---- sizes, without running --------------------------------------------------------------------

def random_word(n, rng):
    """A box that reads one or two of n's, drawn at random; it may not fit."""
    names = list(n.boxes)
    x, other = n[str(rng.choice(names[-3:]))], n[str(rng.choice(names))]
    k, s, p, d = (int(v) for v in rng.integers((1, 1, 0, 1), (4, 3, 3, 3)))
    words = [lambda: conv(x, 4, (k, 3), s, (p, 1), d, groups=2), lambda: relu(x),
             lambda: deconv(x, 4, (k + 2, 3), (s, 2), (1, 0)), lambda: max_pool(x, 3, s, 1),
             lambda: avg_pool(x, k, ceil=False), lambda: avg_pool_to(x, (k, s)),
             lambda: upsample(x, s + 1, pad=p % 2), lambda: add(x, other),
             lambda: concat(x, other), lambda: channels(x, 1, 3), lambda: pad(x, (p, s), k),
             lambda: crop(x, like=other, offset=p), lambda: resize(x, like=other),
             lambda: batch_norm(x), lambda: local_response_norm(x, 3), lambda: dropout(x)]
    return words[rng.integers(len(words))]()


def random_net(rng, boxes=8):
    n = Net(4)
    while len(n.boxes) < boxes:
        name = f'box{len(n.boxes)}'
        try:
            n[name] = random_word(n, rng)
            n.sizes((13, 11))
        except ValueError:                          # does not fit: draw again
            n.boxes.pop(name, None)
    return n


@pytest.mark.parametrize('seed', range(40))
def test_sizes_are_the_real_shapes(seed):
    n = random_net(np.random.default_rng(seed))
    n.forward(image(1, 4, 13, 11), keep=True)
    assert n.sizes((13, 11)) == {name: y.shape[2:] for name, y in n.values.items()}
    assert {name: box.channels for name, box in n.boxes.items()} == \
        {name: y.shape[1] for name, y in n.values.items()}


# ---- every word, differentiated through a walk -------------------------------------------------

def every_word():
    n = Net(4)
    n.c1 = conv(n.data, 4, 3, pad=1, groups=2)
    n.bn = batch_norm(n.c1)
    n.lrn = local_response_norm(relu(n.bn), 3, alpha=.5)
    n.switches = max_switches(n.lrn, 2)
    n.pool = take(n.lrn, n.switches)
    n.c2 = conv(n.pool, 6, (3, 1), stride=1, pad=(1, 0), dilation=(1, 2), bias=False)
    n.drop = dropout(leaky_relu(n.c2, .1), .3)
    n.up = deconv(n.drop, 4, 2, stride=2)
    n.unpooled = unpool(channels(n.drop, 1, 5), n.switches, like=n.lrn)
    n.fixed = upsample(n.drop, 2, pad=1)
    n.wide = concat(n.up, n.unpooled, n.fixed)
    n.cut = crop(pad(n.wide, 1), like=n.data)
    n.mixed = multiply(scale(n.cut, .5), n.wide)
    n.pyramid = resize(avg_pool_to(n.mixed, (2, 3)), like=n.data)
    n.smooth = avg_pool(n.mixed, 3, 1, 1)
    n.most = max_pool(n.smooth, 2, 1)
    n.score = add(n.pyramid, n.mixed)
    return n


def test_every_layer_passes_check_net():
    report = check_net(every_word(), image(2, 4, 8, 6))
    assert report.ok, str(report)
    assert {row.name for row in report.rows} == {'data', *every_word().params}


def test_running_statistics_move_in_training_alone():
    n, x = Net(3), image(2, 3, 5, 5) + 4
    n.bn = batch_norm(n.data)
    n.forward(x)
    assert not n.state['bn.mean'].any()
    y = n.forward(x, train=True)
    np.testing.assert_allclose(n.state['bn.mean'], .1 * x.mean((0, 2, 3)), rtol=1e-6)
    np.testing.assert_allclose(y.mean((0, 2, 3)), 0, atol=1e-6)
    m = Net(3)
    m.bn = batch_norm(m.data, frozen=True)
    m.forward(x, train=True)
    assert not m.state['bn.mean'].any()


# ---- randomness is a function of (seed, step, box) ---------------------------------------------

def test_randomness_is_a_function_of_seed_step_and_box():
    def masks(seed=0, step=0):
        n = Net(1, seed=seed)
        n.first = dropout(n.data)
        n.second = dropout(n.data)
        n.step = step
        y = n.forward(np.ones((1, 1, 20, 20), 'float32'), train=True)
        return y['first'], y['second']

    first, second = masks()
    np.testing.assert_array_equal(first, masks()[0])
    others = [second, masks(step=1)[0], masks(seed=1)[0]]
    assert not any(np.array_equal(first, other) for other in others)
    assert set(np.unique(first)) == {0, 2}


def test_weights_are_a_function_of_seed_and_name():
    a, b = chain(2), chain(4)
    np.testing.assert_array_equal(a.params['conv2.w'], b.params['conv2.w'])
    assert not np.array_equal(a.params['conv1.w'], a.params['conv2.w'])
    other, double, blank = Net(3, seed=1), Net(3, 'float64'), Net(3, seed=None)
    for n in other, double, blank:
        n.conv1 = conv(n.data, 3, 3)
    assert not np.array_equal(other.params['conv1.w'], a.params['conv1.w'])
    np.testing.assert_array_equal(double.params['conv1.w'], a.params['conv1.w'])
    assert double.params['conv1.w'].dtype == 'float64' and not blank.params['conv1.w'].any()


# ---- copies ------------------------------------------------------------------------------------

@pytest.mark.parametrize('twin', [copy.copy, copy.deepcopy,
                                  lambda n: pickle.loads(pickle.dumps(n))])
def test_a_net_survives_copy_deepcopy_and_pickle(twin):
    n, x = every_word(), image(2, 4, 8, 6)
    n.frozen = {'bn.*'}
    y = n.forward(x, train=True)
    m = twin(n)
    assert not m.values and not m.caches, 'a copy does not carry the last walk along'
    for name, score in m.forward(x, train=True).items():
        np.testing.assert_array_equal(score, y[name])
    m.extra = relu(m.score)
    m.frozen.add('c1.*')
    assert 'extra' not in n.boxes and n.frozen == {'bn.*'}


def test_a_deep_net_survives_pickle():
    assert len(pickle.loads(pickle.dumps(chain(600, width=1))).boxes) == 1201


def test_astype_is_a_copy():
    n, x = chain(2), image(1, 3, 5, 5)
    m = n.astype('float64')
    m.params['conv1.w'][...] = 0
    assert n.params['conv1.w'].all() and m.forward(x.astype('float64')).dtype == 'float64'
    np.testing.assert_allclose(n.astype('float64').forward(x.astype('float64')), n.forward(x),
                               atol=1e-5)


# ---- relu takes the memory of what dies there

def walk_values(net, image, **kwargs):
    """Every value of a forward pass. Its array may be overwritten by a later box."""
    return {box.name: y for box, y in net.walk(image, **kwargs)}


def reluing(first, *, twice=False):
    """A conv, what is under test, a relu over it; and, if asked, another reader of the same."""
    n = Net(channels=2)
    n.below = conv(n.data, 3, 3, pad=1)
    n.first = first(n.below)
    n.relu = relu(n.first)
    n.above = add(n.relu, n.first) if twice else conv(n.relu, 3, 1)
    return n


FIRST = {'conv': lambda x: conv(x, 3, 1), 'max_pool': lambda x: max_pool(x, 2),
         'dropout': lambda x: dropout(x), 'crop': lambda x: crop(x, like=x)}


@pytest.mark.parametrize('train', [False, True])
@pytest.mark.parametrize('name', FIRST)
def test_relu_overwrites_what_a_box_with_weights_made_and_no_other_value(name, train):
    net, x = reluing(FIRST[name]), image(1, 2, 6, 8)
    computed = walk_values(net, x, train=train, keep=False)
    assert np.shares_memory(computed['first'], computed['relu']) == (name == 'conv')
    kept = walk_values(net, x, train=train, keep=True)
    assert not np.shares_memory(kept['first'], kept['relu'])
    assert kept['first'].min() < 0 or name != 'conv'
    np.testing.assert_array_equal(kept['above'], computed['above'])
    if train:
        dy = np.ones_like(kept['above'])
        grads = net.backward(above=dy)
        net.forward(x, train=True)
        again = net.backward(above=dy)
        for weight in again:
            np.testing.assert_array_equal(again[weight], grads[weight])


def test_relu_leaves_alone_what_another_reads_too():
    net, x = reluing(FIRST['conv'], twice=True), image(1, 2, 6, 8)
    computed = walk_values(net, x, keep=False)
    assert computed['first'].min() < 0
    np.testing.assert_array_equal(computed['above'], computed['relu'] + computed['first'])
