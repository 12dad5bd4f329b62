"""A plan changes how a net runs and nothing of what it computes: the walk is the definition."""
import copy
import pickle

import numpy as np
import pytest

from tinyfcn import Net, build, ops
from tinyfcn.kernels import registry
from tinyfcn.layers import add, concat, conv, crop, max_pool, relu, upsample
from tinyfcn.models import NETS
from tinyfcn.net.plan import MAX_PLANS, make_plan

# their last window is as large as what is left of an image of 224 pixels
WHOLE_IMAGE = 'vgg16', 'alexnet', 'alexnet_torchvision', 'googlenet', 'deconvnet', 'edeconvnet'


def random_net(name, dtype):
    """Small random numbers for every weight that is 0: zeros hide what is behind them."""
    rng = np.random.default_rng(5)
    net = build(name, width=1 / 16, dtype=dtype)
    for w in net.params.values():
        if not w.any():
            w += .1 * rng.standard_normal(w.shape).astype(dtype)
    return net


def image_for(name, dtype):
    size = (224, 224) if name in WHOLE_IMAGE else (188, 188) if name == 'unet' else (40, 56)
    shape = 2, NETS[name].channels, *size
    return np.random.default_rng(3).standard_normal(shape).astype(dtype)


def outcome(net, image, walks):
    """Scores, gradients and running state of one step. `walks`: box by box instead of by a plan."""
    if walks:
        for _ in net.walk(image, train=True, keep=False):
            pass
    else:
        net.forward(image, train=True)
    scores = {name: net.values[name] for name in net.outputs()}
    rng = np.random.default_rng(8)
    grads = net.backward(**{name: rng.standard_normal(y.shape).astype(y.dtype)
                            for name, y in scores.items()})
    return {**{f'score {name}': y for name, y in scores.items()}, **grads, **net.state}


@pytest.mark.parametrize('name', NETS)
def test_a_plan_computes_what_the_walk_computes(name):
    """To rounding, since a value may lie in another order of memory, in which sums are made."""
    net, image = random_net(name, 'float64'), image_for(name, 'float64')
    walked = outcome(copy.deepcopy(net), image, walks=True)
    planned = outcome(net, image, walks=False)
    assert planned.keys() == walked.keys()
    for key, expected in walked.items():
        np.testing.assert_allclose(planned[key], expected, rtol=0,
                                   atol=1e-14 * (abs(expected).max() + 1e-30), err_msg=key)
    outputs = net.outputs(train=False)
    net.forward(image, until=outputs)
    planned = [net.values[name] for name in outputs]
    for _ in net.walk(image):
        pass
    for name, y in zip(outputs, planned):
        np.testing.assert_allclose(y, net.values[name], rtol=1e-12, err_msg=name)


@pytest.mark.parametrize('name', ['fcn8s', 'fcn_squeezenet_4s', 'fcn_googlenet', 'fcn_resnet50',
                                  'unet_same', 'segnet_basic', 'deeplab_largefov', 'pspnet'])
def test_a_plan_computes_what_the_walk_computes_with_kernels(name, monkeypatch):
    """They may add in another order: to a millionth of the largest."""
    monkeypatch.setattr(registry, 'MIN_SIZE', 1)
    net, image = random_net(name, 'float32'), image_for(name, 'float32')
    walked = outcome(copy.deepcopy(net), image, walks=True)
    planned = outcome(net, image, walks=False)
    for key, expected in walked.items():
        np.testing.assert_allclose(planned[key], expected, rtol=0,
                                   atol=1e-6 * (abs(expected).max() + 1e-30), err_msg=key)


# ---- what becomes one step ----------------------------------------------------------------------

def steps_of(net, size=(16, 16), train=True, **options):
    return [step.name for step in make_plan(net, size, train, fused=True, **options).steps]


def test_a_squeezenet_has_no_step_for_a_relu_a_crop_or_a_copy():
    net = build('fcn_squeezenet_4s', width=1 / 16)
    plan = make_plan(net, (64, 64), train=True, fused=True)
    assert not {step.op for step in plan.steps} & {ops.relu, ops.crop, ops.concat, ops.upsample}
    assert len(plan.steps) == len(net.route()) - 25 - 3     # 25 ReLUs and 3 crops


def fire(n, read_by):
    n.left = conv(n.data, 2, 1)
    n.relu_left = relu(n.left)
    n.right = conv(n.data, 3, 3, pad=1)
    n.relu_right = relu(n.right)
    n.both = concat(n.relu_left, n.relu_right)
    if read_by:
        n.other = add(n[read_by], n[read_by])
    return n


def test_a_value_that_two_boxes_read_is_computed():
    assert steps_of(fire(Net(2), None)) == ['relu_left', 'relu_right', 'both']
    assert steps_of(fire(Net(2), 'left'))[:3] == ['left', 'relu_left', 'relu_right']


def test_a_value_that_is_asked_for_is_computed():
    n = fire(Net(2), None)
    assert steps_of(n, until=['left', 'both']) == ['left', 'relu_left', 'relu_right', 'both']
    image = np.random.default_rng(0).standard_normal((1, 2, 8, 8)).astype('float32')
    values = n.forward(image, until=['left', 'relu_left', 'both'])
    np.testing.assert_array_equal(values['relu_left'], np.maximum(values['left'], 0))
    np.testing.assert_array_equal(values['both'][:, :2], values['relu_left'])


def test_parts_of_a_concat_lie_in_it():
    n = fire(Net(2), 'relu_left')
    image = np.random.default_rng(0).standard_normal((1, 2, 8, 8)).astype('float32')
    both = n.forward(image, until=['relu_left', 'both'])
    assert np.shares_memory(both['relu_left'], both['both'])


@pytest.mark.parametrize('read', [['relu_left', 'relu_left'], ['relu_left', 'data']])
def test_a_concat_of_other_values_copies_them(read):
    n = fire(Net(2), None)
    n.twice = concat(*(n[name] for name in read))
    image = np.random.default_rng(0).standard_normal((1, 2, 8, 8)).astype('float32')
    values = n.forward(image, until=['relu_left', 'twice'])
    second = values['relu_left'] if read[1] == 'relu_left' else image
    np.testing.assert_array_equal(values['twice'],
                                  np.concatenate([values['relu_left'], second], axis=1))


def test_a_part_of_two_concats_is_copied_into_the_second():
    n = fire(Net(2), None)
    n.again = concat(n.relu_right, n.relu_left)
    image = np.random.default_rng(0).standard_normal((1, 2, 8, 8)).astype('float32')
    values = n.forward(image, until=['both', 'again'])
    np.testing.assert_array_equal(values['again'], values['both'][:, [2, 3, 4, 0, 1]])


def test_an_upsampling_that_is_cropped_keeps_its_own_crop():
    n = Net(1)
    n.pool = max_pool(n.data, 2)
    n.up = upsample(n.pool, 2, 4)
    n.cut = crop(n.up, like=n.data)
    assert steps_of(n, (9, 8)) == ['pool', 'cut']
    image = np.random.default_rng(0).standard_normal((1, 1, 9, 8)).astype('float32')
    y, _ = ops.upsample(ops.max_pool(image, 2)[0], 2, 4)
    np.testing.assert_array_equal(n.forward(image), y[:, :, 1:10, 1:9])


def test_the_walk_takes_every_box():
    n = fire(Net(2), None)
    image = np.zeros((1, 2, 8, 8), 'float32')
    n.forward(image)
    for keep in True, False:
        assert [box.name for box, _ in n.walk(image, keep=keep)] == [*n.boxes][1:]
    n.forward(image, keep=True)
    assert [*n.values] == [*n.boxes]


def test_an_error_names_the_box_whose_arrays_do_not_fit():
    n = fire(Net(2), None)
    n.params['left.w'] = np.zeros((2, 3, 1, 1), 'float32')
    with pytest.raises(ValueError, match=r'left = conv\(data, 2, 1\)'):
        n.forward(np.zeros((1, 2, 8, 8), 'float32'))


# ---- plans are kept -----------------------------------------------------------------------------

def test_a_plan_is_made_once_for_each_size_and_mode(monkeypatch):
    n = fire(Net(2), None)
    for _ in range(3):
        for size in (8, 8), (8, 9):
            for train in False, True:
                n.forward(np.zeros((1, 2, *size), 'float32'), train=train)
    assert len(n._plans.kept) == 4
    for width in range(1, MAX_PLANS + 20):
        n.forward(np.zeros((1, 2, 3, width), 'float32'))
    assert len(n._plans.kept) <= MAX_PLANS


def test_a_plan_follows_what_is_frozen_and_what_is_added():
    n = fire(Net(2), None)
    image = np.ones((1, 2, 8, 8), 'float32')
    y = n.forward(image, train=True)
    assert set(n.backward(both=y)) == set(n.params)
    n.frozen = {'left.*'}
    y = n.forward(image, train=True)
    assert set(n.backward(both=y)) == {'right.w', 'right.b'}
    n.score = conv(n.both, 1, 1)
    assert n.forward(image).shape == (1, 1, 8, 8)


def test_copies_share_plans_and_keep_their_own_boxes():
    n = fire(Net(2), None)
    image = np.ones((1, 2, 8, 8), 'float32')
    n.forward(image)
    one, two = copy.copy(n), copy.copy(n)
    assert one._plans is n._plans
    one.score = conv(one.both, 1, 1)
    two.score = conv(two.both, 7, 1)
    assert one.forward(image).shape == (1, 1, 8, 8)
    assert two.forward(image).shape == (1, 7, 8, 8)
    assert n.forward(image).shape == (1, 5, 8, 8)
    for other in copy.deepcopy(n), pickle.loads(pickle.dumps(n)):
        assert not other._plans.kept
        np.testing.assert_array_equal(other.forward(image), n.forward(image))
