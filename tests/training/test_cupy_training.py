"""Trainings on the real CuPy: the weights of the host, bit for bit the same when resumed.

A step waits for the GPU once, for its loss, and uploads image, label and dropout masks alone.
"""
from contextlib import nullcontext
from functools import partial

import numpy as np
import pytest
from training_samples import CENTRED, CLASSES, bits, make_recipe, small_dataset, small_net

from tinyfcn import build, fit
from tinyfcn.dispatch import reference_only
from tinyfcn.runtime.backend import on_host, to_numpy
from tinyfcn.training import checkpoint
from tinyfcn.training.gradients import loss_and_gradients
from tinyfcn.training.run import run

pytestmark = [pytest.mark.cupy, pytest.mark.usefixtures('real_cupy')]

both_implementations = pytest.mark.parametrize(
    'implementation', [reference_only, nullcontext], ids=['reference', 'kernels'])
# a net with all that a run has to restore: running statistics, dropout
stateful_net = partial(small_net, 'float64', norm=True, drop=.3)


def weights_of(net):
    """Weights and running statistics on the host."""
    return {name: to_numpy(w) for name, w in {**net.params, **net.state}.items()}


def assert_alike(a, b, tol=1e-12):
    """Two nets agree in every weight and every running statistic."""
    others = weights_of(a)
    for name, w in weights_of(b).items():
        assert abs(others[name] - w).max() <= tol * max(1, abs(w).max()), name


# ---- The same as on the host

@both_implementations
@pytest.mark.parametrize('options', [
    dict(momentum=.9, weight_decay=.01), dict(optimizer='adam'),
    dict(loss='sum', lr=1e-7, class_weight='median')], ids=['sgd', 'adam', 'weighted'])
def test_a_net_trains_on_the_gpu_as_on_the_host(implementation, options):
    # a bias before a batch norm has no gradient but rounding errors, and Adam scales those up
    norm = 'optimizer' not in options
    host_net, gpu_net = (small_net('float64', norm=norm, drop=.3) for _ in range(2))
    recipe = make_recipe(**dict(options, steps=4, batch=2, iter_size=2, flip=True))
    dataset = small_dataset(same_size=True)
    losses = [row['loss'] for row in fit(host_net, dataset, recipe)]
    with implementation():
        rows = fit(gpu_net, dataset, recipe, device='gpu')
    np.testing.assert_allclose([row['loss'] for row in rows], losses, rtol=1e-12)
    assert all(type(row['loss']) is float for row in rows)
    assert not any(map(on_host, gpu_net.params.values()))
    assert_alike(gpu_net, host_net)


@pytest.mark.parametrize('loss', ['focal', 'dice', 'ce+dice'])
def test_every_loss_trains_on_the_gpu(loss):
    host_net, gpu_net = stateful_net(), stateful_net()
    recipe = make_recipe(loss=loss, steps=3)
    losses = [row['loss'] for row in fit(host_net, small_dataset(), recipe)]
    rows = fit(gpu_net, small_dataset(), recipe, device='gpu')
    np.testing.assert_allclose([row['loss'] for row in rows], losses, rtol=1e-12)
    assert_alike(gpu_net, host_net)


def test_an_invalid_label_is_rejected_before_the_upload():
    n = small_net().to('gpu')
    label = np.zeros((1, 5, 6), 'uint8')
    label[0, 3, 4] = 7
    with pytest.raises(ValueError, match='7 at row 3, column 4 of .* 0'):
        loss_and_gradients(n, np.zeros((1, 3, 5, 6), 'float32'), label, make_recipe())


def test_a_diverging_loss_names_the_first_box():
    n = small_net().to('gpu')
    n.params['conv1.b'][...] = 3e38
    with pytest.raises(ValueError, match=r'step 1, .*lr 0.1.*(score|conv1) = .*first box'):
        fit(n, small_dataset(), make_recipe(), device='gpu')


# ---- The same again

def test_two_trainings_with_one_seed_have_the_same_bits():
    nets = [build('fcn8s', len(CLASSES), width=1/16) for _ in range(2)]
    for net in nets:
        net.about['preprocess'] = CENTRED
        fit(net, small_dataset(2, size=(33, 35)), make_recipe(lr=1e-3, steps=2), device='gpu')
    assert bits(nets[0].to('cpu')) == bits(nets[1].to('cpu'))
    assert bits(nets[0]) != bits(build('fcn8s', len(CLASSES), width=1/16))


@pytest.mark.parametrize('optimizer', ['sgd', 'adam'])
def test_a_run_resumes_bit_for_bit(optimizer, tmp_path, no_drawing):
    recipe = make_recipe(steps=4, validate_every=2, momentum=.9, optimizer=optimizer)
    data = small_dataset(), small_dataset(2)
    uninterrupted = stateful_net().to('gpu')
    [*run(tmp_path / 'uninterrupted', uninterrupted, *data, recipe)]

    rows = run(tmp_path / 'stopped', stateful_net().to('gpu'), *data, recipe)
    next(row for row in rows if row['step'] == 3)
    rows.close()
    resumed = stateful_net(seed=5).to('gpu')
    resumed.seed = 0
    [*run(tmp_path / 'stopped', resumed, *data, recipe, resume=True)]

    assert not any(map(on_host, {**resumed.params, **resumed.state}.values()))
    saved, expected = (checkpoint.load(tmp_path / name / 'last.safetensors')
                       for name in ('stopped', 'uninterrupted'))
    for found, wanted in zip((saved.weights, *saved.memory.values()),
                             (expected.weights, *expected.memory.values()), strict=True):
        assert found.keys() == wanted.keys()
        for name, value in wanted.items():
            assert np.asarray(found[name]).tobytes() == np.asarray(value).tobytes(), name
    assert bits(resumed.to('cpu')) == bits(uninterrupted.to('cpu'))


def test_a_run_goes_on_on_the_other_device(tmp_path, no_drawing):
    """Started on the GPU, stopped, resumed on the host; and the other way round."""
    recipe = make_recipe(steps=4, validate_every=2, momentum=.9)
    data = small_dataset(), small_dataset(2)
    uninterrupted = stateful_net()
    [*run(tmp_path / 'uninterrupted', uninterrupted, *data, recipe)]
    for first, second in ('gpu', 'cpu'), ('cpu', 'gpu'):
        rows = run(tmp_path / first, stateful_net().to(first), *data, recipe)
        next(row for row in rows if row['step'] == 3)
        rows.close()
        assert checkpoint.load(tmp_path / first / 'last.safetensors').about['run']['step'] == 3
        resumed = stateful_net(seed=5).to(second)
        resumed.seed = 0
        [*run(tmp_path / first, resumed, *data, recipe, resume=True)]
        assert_alike(resumed, uninterrupted)
