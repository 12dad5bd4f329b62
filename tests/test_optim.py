"""Updates computed by hand, 50 steps beside PyTorch, and what is refused."""
from copy import deepcopy

import numpy as np
import pytest
from optional_deps import needs_torch, torch

from tinyfcn.optim import SGD, Adam, fixed, poly, step

with_both = pytest.mark.parametrize(
    'make', [lambda **kwargs: SGD(.1, momentum=.9, **kwargs), Adam], ids=['SGD', 'Adam'])


def scalar(w, dtype='float64'):
    return {'w': np.array([w], dtype)}


def random_weights(seed, dtype='float64'):
    rng = np.random.default_rng(seed)
    return {name: rng.standard_normal(shape).astype(dtype)
            for name, shape in (('conv.w', (3, 2, 2)), ('conv.b', (3,)), ('score.w', (2, 3)))}


def test_sgd_in_the_order_of_caffe_by_hand():
    params = scalar(2.)
    sgd = SGD(.1, momentum=.9, weight_decay=.5, rules={'w': dict(lr=2, decay=.5)})
    sgd.step(params, scalar(3.), scale=.5)              # g = 1.5 + .25·2 = 2, v = .2·2
    assert sgd.velocity['w'] == pytest.approx([.4]) and params['w'] == pytest.approx([1.6])
    sgd.step(params, scalar(3.), scale=.5)              # g = 1.5 + .25·1.6 = 1.9, v = .36 + .2·1.9
    assert sgd.velocity['w'] == pytest.approx([.74]) and params['w'] == pytest.approx([.86])


def test_a_new_lr_leaves_the_old_velocity():
    """v = .1, then .9·.1 + .01·1 = .1: Caffe. PyTorch scales all of it: .01·(.9·1 + 1) = .019."""
    params = scalar(1.)
    sgd = SGD(.1, momentum=.9)
    sgd.step(params, scalar(1.))
    sgd.lr = .01
    sgd.step(params, scalar(1.))
    assert params['w'] == pytest.approx([.8])


@needs_torch
def test_pytorch_scales_the_old_velocity_too():
    w = torch.ones(1, dtype=torch.float64, requires_grad=True)
    sgd = torch.optim.SGD([w], .1, momentum=.9)
    w.grad = torch.ones_like(w)
    sgd.step()
    sgd.param_groups[0]['lr'] = .01
    sgd.step()
    assert w.item() == pytest.approx(.9 - .019)


@needs_torch
@pytest.mark.parametrize('name, kwargs', [
    ('SGD', dict()),
    ('SGD', dict(momentum=.9)),
    ('SGD', dict(momentum=.99, weight_decay=.05)),
    ('Adam', dict()),
    ('Adam', dict(betas=(.8, .95), eps=1e-3, weight_decay=.05)),
])
def test_50_steps_beside_pytorch(name, kwargs):
    """With the biases at twice the lr and no decay."""
    params = random_weights(0)
    theirs = {k: torch.tensor(w, requires_grad=True) for k, w in params.items()}
    ours = dict(SGD=SGD, Adam=Adam)[name](lr=.02, rules={'*.b': dict(lr=2, decay=0)}, **kwargs)
    groups = [dict(params=[theirs['conv.w'], theirs['score.w']]),
              dict(params=[theirs['conv.b']], lr=.04, weight_decay=0.)]
    reference = getattr(torch.optim, name)(groups, lr=.02, **kwargs)
    for seed in range(1, 51):
        grads = random_weights(seed)
        ours.step(params, grads)
        for k, w in theirs.items():
            w.grad = torch.tensor(grads[k])
        reference.step()
    for k, w in params.items():
        assert abs(w - theirs[k].detach().numpy()).max() <= 1e-12


def test_the_first_step_of_adam_is_lr():
    params = {'w': np.zeros(3)}
    Adam(lr=.01).step(params, {'w': np.array([1e-3, -5., 1e4])})
    assert params['w'] == pytest.approx([-.01, .01, -.01], rel=1e-4)


def test_adam_counts_the_steps_of_each_weight():
    late = {'early': np.zeros(2), 'late': np.zeros(2)}
    grad = np.array([1., -2.])
    adam = Adam(lr=.01)
    for _ in range(10):
        adam.step(late, {'early': grad})
    adam.step(late, {'late': grad})
    assert adam.count == {'early': 10, 'late': 1}
    fresh = {'late': np.zeros(2)}
    Adam(lr=.01).step(fresh, {'late': grad})
    assert (late['late'] == fresh['late']).all()


def test_rules_apply_in_order():
    params = {name: np.ones(1) for name in ('conv.w', 'conv.b', 'score.b')}
    rules = {'*.b': dict(lr=2, decay=0), 'score.*': dict(lr=10)}
    SGD(.1, weight_decay=1., rules=rules).step(params, {name: np.ones(1) for name in params})
    assert params['conv.w'] == pytest.approx([1 - .1 * 2])      # the gradient and the decay
    assert params['conv.b'] == pytest.approx([1 - .2])
    assert params['score.b'] == pytest.approx([1 - 1.])         # the later lr, the earlier decay


@with_both
def test_only_weights_with_a_gradient_are_updated(make):
    params = random_weights(0)
    grads = random_weights(1)
    arrays = dict(params)                                       # updated in place
    del grads['score.w']
    make(weight_decay=.1).step(params, grads)
    assert (arrays['score.w'] == random_weights(0)['score.w']).all()
    assert all((arrays[k] != random_weights(0)[k]).all() for k in grads)
    assert all(params[k] is arrays[k] for k in params)


@with_both
def test_gradients_are_only_read(make):
    grads = random_weights(1)
    for grad in grads.values():
        grad.flags.writeable = False
    params = random_weights(0)
    optimizer = make(weight_decay=.1)
    for _ in range(3):
        optimizer.step(params, grads, scale=.5)
    assert all((grads[k] == random_weights(1)[k]).all() for k in grads)


@with_both
def test_scale_makes_the_mean_of_accumulated_gradients(make):
    batches = [random_weights(seed) for seed in range(1, 21)]
    total = {k: sum(grads[k] for grads in batches) for k in batches[0]}
    mean = {k: np.mean([grads[k] for grads in batches], 0) for k in batches[0]}
    a = random_weights(0)
    b = random_weights(0)
    make(weight_decay=.1).step(a, total, scale=1 / 20)
    make(weight_decay=.1).step(b, mean)
    assert all(abs(a[k] - b[k]).max() < 1e-12 for k in a)


@with_both
def test_float32_stays_float32(make):
    params = random_weights(0, 'float32')
    optimizer = make(weight_decay=.1)
    optimizer.step(params, random_weights(1, 'float32'), scale=.7)
    memory = [m for name in ('velocity', 'mean', 'square')
              for m in getattr(optimizer, name, {}).values()]
    assert len(memory) >= len(params)
    assert all(array.dtype == 'float32' for array in [*params.values(), *memory])


@with_both
@pytest.mark.parametrize('widened', ['lr', 'weight_decay', 'scale'])
def test_numpy_scalars_act_like_python_floats(make, widened):
    """A NumPy float64 would make float32 arrays compute in float64: slower, and not bit for bit."""
    plain = random_weights(0, 'float32')
    wide = random_weights(0, 'float32')
    for params, kind in ((plain, float), (wide, np.float64)):
        number = dict(lr=.3, weight_decay=.1, scale=.7)
        number[widened] = kind(number[widened])
        optimizer = make(weight_decay=number['weight_decay'])
        optimizer.lr = number['lr']
        for seed in range(1, 6):
            optimizer.step(params, random_weights(seed, 'float32'), scale=number['scale'])
    assert all((plain[k] == wide[k]).all() for k in plain)


@with_both
def test_a_copy_is_independent_and_gives_the_same_steps(make):
    params = random_weights(0)
    optimizer = make()
    for seed in range(1, 4):
        optimizer.step(params, random_weights(seed))
    params_copy, optimizer_copy = deepcopy((params, optimizer))
    for own, arrays in ((optimizer, params), (optimizer_copy, params_copy)):
        for seed in range(4, 8):
            own.step(arrays, random_weights(seed))
    assert all((params[k] == params_copy[k]).all() for k in params)


def test_weight_decay_has_no_effect_with_the_summed_loss():
    """It is lr·λ·100 a step, 100 from the momentum: 5e-7 of a weight in 100 000 steps."""
    for dtype in ('float64', 'float32'):
        params = scalar(1., dtype)
        sgd = SGD(lr=1e-10, momentum=.99, weight_decay=5e-4)
        for _ in range(1500):
            sgd.step(params, scalar(0., dtype))
        assert 100_000 * sgd.velocity['w'] == pytest.approx([5e-7], rel=1e-4)
    assert params['w'] == 1                                     # in float32 nothing changes at all


@with_both
@pytest.mark.parametrize('rules, changes, message', [
    ({'*.bias': dict(lr=2)}, {}, r"rule '\*\.bias' matches none of the params \['conv\.w', 'conv"),
    (None, {'fc6.w': np.ones(2)}, r"grads has 'fc6\.w'; the params are \['conv\.w', 'conv\.b'"),
    (None, {'score.w': np.ones((3, 2))},
     r'gradient of score\.w is float64 \(3, 2\); the weight is float64 \(2, 3\)'),
    (None, {'score.w': np.ones((2, 3), 'float32')},
     r'gradient of score\.w is float32 \(2, 3\); the weight is float64 \(2, 3\)'),
])
def test_refused_before_any_update(make, rules, changes, message):
    params = random_weights(0)
    optimizer = make(rules=rules)
    with pytest.raises(ValueError, match=message):
        optimizer.step(params, random_weights(1) | changes)
    assert all((params[k] == random_weights(0)[k]).all() for k in params)


@with_both
def test_rules_multiply_only_lr_and_decay(make):
    with pytest.raises(ValueError, match=r"rule '\*\.b' has \['lr_mult'\]; .* lr and decay"):
        make(rules={'*.b': dict(lr_mult=2)})


def test_fixed_and_step():
    assert [fixed(.1, it) for it in (0, 1000)] == [.1, .1]
    assert ([step(.1, it, every=10) for it in (0, 9, 10, 19, 20)]
            == pytest.approx([.1, .1, .01, .01, .001]))
    assert step(.1, 10, every=10, gamma=.5) == pytest.approx(.05)


def test_poly():
    found = [poly(.01, it, 100) for it in (0, 25, 50, 75, 90)]
    assert found == pytest.approx([.01, .007719, .005359, .002872, .001259], abs=5e-7)
    assert poly(.01, 50, 100, power=2) == pytest.approx(.0025)
    assert poly(.01, 100, 100) == 0
    with pytest.raises(ValueError, match='iteration 101 is beyond the 100'):
        poly(.01, 101, 100)


ONE = np.ones(2)


@pytest.mark.parametrize('call, message', [
    (lambda: SGD(lr='a'), "lr is 'a': a number is needed"),
    (lambda: SGD(lr=None), 'lr is None'),
    (lambda: SGD(lr=.1, momentum=None), 'momentum is None'),
    (lambda: SGD(lr=.1, weight_decay='x'), "weight_decay is 'x'"),
    (lambda: SGD(lr=.1, rules={'*.b': dict(lr='2')}), "lr of rule '\\*.b' is '2'"),
    (lambda: Adam(betas=3), 'betas is 3: a pair'),
    (lambda: Adam(betas=(.9, None)), 'beta2 is None'),
    (lambda: SGD(lr=.1).step({'w': [1.]}, {'w': ONE}), 'the weight w: list is not an array'),
    (lambda: SGD(lr=.1).step({'w': ONE}, {'w': None}), 'the gradient of w: NoneType is not'),
    (lambda: SGD(lr=.1).step({'w': ONE}, {'w': np.ma.array(ONE)}), 'of w: MaskedArray is not a')])
def test_what_is_no_number_or_no_array_is_refused(call, message):
    with pytest.raises(TypeError, match=message):
        call()


def test_a_learning_rate_that_became_no_number_is_refused():
    sgd = SGD(lr=.1)
    sgd.lr = 'fast'
    with pytest.raises(TypeError, match="lr is 'fast'"):
        sgd.step({'w': ONE}, {'w': ONE})
