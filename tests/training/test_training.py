"""A training step follows the equations, twenty steps agree with PyTorch, and the loss falls."""
import os
from copy import deepcopy
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from threading import Barrier
from types import SimpleNamespace
from zlib import crc32

import numpy as np
import pytest
from optional_deps import needs_torch, torch, torch_oracle
from oracle_net import run as run_with
from training_samples import CENTRED, CLASSES, bits, make_recipe, small_dataset, small_net

from tinyfcn import Net, build, weights
from tinyfcn.data import load_dataset
from tinyfcn.data.batches import batches, sample
from tinyfcn.data.dataset import Dataset, hold_out
from tinyfcn.data.shapes import generate
from tinyfcn.data.transforms import prepare
from tinyfcn.layers import add, conv, crop, max_pool, relu, upsample
from tinyfcn.prediction.evaluation import evaluate
from tinyfcn.training import (
    fit,
    get_recipe,
    learning_rate,
    loop,
    make_optimizer,
    recipes,
    train,
)
from tinyfcn.training.gradients import NumberedBatch, loss_and_gradients


def train_all(net, dataset, recipe, seed=0, start=0, optimizer=None):
    """All steps from `start` on. -> the rows"""
    optimizer = optimizer or make_optimizer(recipe)
    return [*train(net, dataset, recipe, optimizer, seed, start)]


# ---- the equations, written out ------------------------------------------------------------------

def loss_by_hand(params, x, label, reduce):
    """Two convolutions, softmax and cross entropy of one image. -> loss, gradients"""
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), (2, 3))
    z = np.einsum('nchwij,kcij->nkhw', windows, params['conv1.w'])
    z += params['conv1.b'][:, None, None]
    a = z * (z > 0)
    score = np.einsum('nchw,kc->nkhw', a, params['score.w'][:, :, 0, 0])
    score += params['score.b'][:, None, None]
    p = np.exp(score) / np.exp(score).sum(1, keepdims=True)
    truth = (np.arange(3)[:, None, None] == label[:, None]) * 1.
    count = (label != 255).sum() if reduce == 'mean' else 1
    loss = -(truth * np.log(p)).sum() / count
    dscore = (p - truth) * (label != 255)[:, None] / count
    dz = np.einsum('nkhw,kc->nchw', dscore, params['score.w'][:, :, 0, 0]) * (z > 0)
    dscore_w = np.einsum('nkhw,nchw->kc', dscore, a)[:, :, None, None]
    return loss, {'conv1.w': np.einsum('nkhw,nchwij->kcij', dz, windows),
                  'conv1.b': dz.sum((0, 2, 3)), 'score.b': dscore.sum((0, 2, 3)),
                  'score.w': dscore_w}


@pytest.mark.parametrize('reduce, lr', [('mean', .1), ('sum', 1e-6)])
def test_five_steps_written_out(reduce, lr):
    """v ← .9 v + lr·(Σ of three gradients / 3 + λ·w), w ← w − v; a bias twice as fast, λ = 0."""
    dataset = small_dataset()
    net = small_net('float64')
    recipe = make_recipe(loss=reduce, lr=lr, iter_size=3, weight_decay=.01, lr_power=.9)
    params = {name: w.copy() for name, w in net.params.items()}
    velocity = {name: 0 * w for name, w in params.items()}
    for step, row in enumerate(train(net, dataset, recipe, make_optimizer(recipe), seed=2)):
        lr_now = lr * (1 - step / 5) ** .9
        total = dict.fromkeys(params, 0)
        losses = []
        for name in row['names']:
            image, label = dataset[int(name)]
            x = prepare(image, CENTRED, 'float64')
            loss, grads = loss_by_hand(params, x, label[None], reduce)
            losses.append(loss)
            total = {name: total[name] + g for name, g in grads.items()}
        for name, w in params.items():
            factor, decay = (2, 0) if name.endswith('.b') else (1, .01)
            update = factor * lr_now * (total[name] / 3 + decay * w)
            velocity[name] = .9 * velocity[name] + update
            params[name] = w - velocity[name]
        assert row['step'] == step + 1 and row['lr'] == pytest.approx(lr_now, rel=1e-12)
        assert len(row['names']) == 3 and row['loss'] == pytest.approx(np.mean(losses), rel=1e-12)
        for name, w in params.items():
            assert abs(net.params[name] - w).max() < 1e-12
    initial = small_net('float64').params
    assert step == 4 and any(abs(w - initial[name]).max() > 1e-6 for name, w in params.items())


def test_the_sum_is_the_mean_times_the_number_of_pixels():
    net = small_net('float64')
    image, label = small_dataset()[0]
    x = prepare(image, CENTRED, 'float64')
    pixels = (label != 255).sum()
    total, total_grads = loss_and_gradients(net, x, label[None], make_recipe(loss='sum', lr=1e-6))
    mean, mean_grads = loss_and_gradients(net, x, label[None], make_recipe(loss='mean'))
    assert pixels < label.size and total == pytest.approx(mean * pixels, rel=1e-12)
    for name, g in mean_grads.items():
        np.testing.assert_allclose(total_grads[name], g * pixels, rtol=1e-10, atol=1e-10)


def test_learning_rates_of_a_polynomial_and_of_a_constant_schedule():
    polynomial = make_recipe(lr=.5, steps=4, lr_power=1.)
    assert [learning_rate(polynomial, step) for step in range(4)] == pytest.approx(
        [.5, .375, .25, .125])
    constant = make_recipe(lr=.5, steps=4)
    assert [learning_rate(constant, step) for step in range(4)] == [.5] * 4


def void_dataset():
    dataset = small_dataset()

    def read(name):
        image, label = dataset.read(name)
        return image, np.full_like(label, 255)

    return Dataset(CLASSES, dataset.names, read)


@pytest.mark.parametrize('loss', ['mean', 'sum'])
def test_images_of_void_change_weights_only_by_decay(loss):
    net = small_net('float64')
    before = {name: w.copy() for name, w in net.params.items()}
    recipe = make_recipe(loss=loss, lr=1e-7, weight_decay=.5, momentum=0., steps=1)
    row, = train_all(net, void_dataset(), recipe)
    assert row['loss'] == 0
    for name, w in net.params.items():
        factor = 1 if name.endswith('.b') else 1 - 1e-7 * .5
        np.testing.assert_allclose(w, before[name] * factor, rtol=1e-15)
    without_decay = small_net('float64')
    train_all(without_decay, void_dataset(), make_recipe(weight_decay=0., steps=3))
    assert bits(without_decay) == bits(small_net('float64'))


# ---- several outputs -----------------------------------------------------------------------------

def two_headed_dataset():
    single = small_dataset(4, (20, 24))

    def read(name):
        image, label = single.read(name)
        return image, dict(score_sem=label, score_geo=np.where(label == 2, 255, label))

    classes = dict(score_sem=CLASSES, score_geo=('low', 'high', 'far'))
    return Dataset(classes, single.names, read)


def test_two_heads_learn_each_from_its_label():
    """SIFT Flow's net: the loss is the sum of both, ln 3 + ln 3 as long as scores are zero."""
    net = build('siftflow_32s', n_class=3, width=1/64)
    dataset = two_headed_dataset()
    before = bits(net)
    rows = train_all(net, dataset, make_recipe(steps=3, lr=.1, momentum=0.))
    assert rows[0]['loss'] == pytest.approx(2 * np.log(3), rel=1e-6)
    assert rows[-1]['loss'] < rows[0]['loss']
    after = bits(net)
    assert after['score_fr_sem.w'] != before['score_fr_sem.w']
    assert after['score_fr_geo.w'] != before['score_fr_geo.w']
    scores = evaluate(net, dataset)
    assert scores.keys() == {'score_sem', 'score_geo'} and len(scores['score_geo']['iu']) == 3


def test_a_head_does_not_learn_from_the_label_of_the_other():
    """With a void label a head stays as it was, while the other one learns."""
    dataset = two_headed_dataset()
    net = build('siftflow_32s', n_class=3, width=1/64)

    def read(name):
        image, label = dataset.read(name)
        return image, dict(label, score_geo=np.full_like(label['score_geo'], 255))

    without_geo = Dataset(dataset.classes, dataset.names, read)
    row, = train_all(net, without_geo, make_recipe(steps=1, weight_decay=0.))
    assert row['loss'] == pytest.approx(np.log(3), rel=1e-6)
    assert not net.params['score_fr_geo.w'].any() and net.params['score_fr_sem.w'].any()


# ---- losses that are not finite ------------------------------------------------------------------

def dataset_with_infinity(bad_name):
    """Float images, one of which has an infinite value."""
    def read(name):
        image = np.random.default_rng(int(name)).random((8, 9, 3)).astype('float32')
        if name == bad_name:
            image[3, 4] = np.inf
        return image, np.zeros((8, 9), 'uint8')

    return Dataset(CLASSES, '01234', read)


def train_until_error(net, dataset, recipe):
    """-> the message, the rows before, whether weights and momentum stayed those of the last row"""
    optimizer = make_optimizer(recipe)
    rows = []
    after_row = None

    def state():
        return bits(net), {name: v.tobytes() for name, v in optimizer.velocity.items()}

    with pytest.raises(ValueError, match='Try a smaller lr$') as error:
        for row in train(net, dataset, recipe, optimizer):
            rows.append(row)
            after_row = state()
    return str(error.value), rows, after_row is None or state() == after_row


def test_an_infinity_in_an_image_is_reported():
    message, rows, unchanged = train_until_error(small_net(), dataset_with_infinity('3'),
                                                 make_recipe(steps=5, lr=.01))
    assert len(rows) < 5 and '3' not in [name for row in rows for name in row['names']]
    assert f'at step {len(rows) + 1}, image 3, lr 0.01' in message and unchanged
    assert 'the image itself is not finite' in message


def test_a_weight_that_is_nan_is_reported():
    net = small_net()
    net.params['score.w'][0, 0] = np.nan
    before = bits(net)
    message, rows, _ = train_until_error(net, small_dataset(), make_recipe(lr=.01))
    assert not rows and bits(net) == before
    assert 'the loss is nan at step 1, image ' in message
    assert 'the weights score.w are not finite' in message


def test_a_learning_rate_far_too_high_is_reported():
    message, rows, unchanged = train_until_error(small_net(), small_dataset(),
                                                 make_recipe(lr=1e30, steps=40))
    assert unchanged and rows
    assert f'at step {len(rows) + 1}, image ' in message and 'lr 1e+30' in message


def test_scores_too_far_apart_to_subtract_are_reported():
    """Each score is finite and their difference is not: no box can be named."""
    net = small_net()
    net.params['score.w'][:] = 0
    net.params['score.b'][:] = 3e38, -3e38, 0
    message, rows, _ = train_until_error(net, small_dataset(), make_recipe(lr=.01))
    assert not rows and 'the loss is' in message and 'at step 1' in message


def test_after_a_training_images_have_their_own_size():
    """That of pretrained weights, 520 for torchvision's, is not that of the images trained on."""
    net = small_net()
    net.about['shorter_side'] = 520
    fit(net, small_dataset(), make_recipe(steps=1))
    assert 'shorter_side' not in net.about


def test_preprocess_comes_from_the_recipe_or_from_the_weights():
    unknown = small_net()
    del unknown.about['preprocess']
    with pytest.raises(ValueError, match='neither the recipe nor the weights say how images are'):
        train_all(unknown, small_dataset(), make_recipe(preprocess=None))
    known = small_net()
    train_all(known, small_dataset(), make_recipe(preprocess=None))
    train_all(unknown, small_dataset(), make_recipe())
    assert bits(unknown) == bits(known) and unknown.about['preprocess'] == CENTRED


# ---- randomness ----------------------------------------------------------------------------------

@pytest.mark.parametrize('changes', [dict(), dict(optimizer='adam', rules={}),
                                     dict(iter_size=2, batch=2)])
def test_a_run_is_a_function_of_its_seed(changes):
    results = []
    for seed in 1, 1, 2:
        net = small_net(norm=True, drop=.3)
        train_all(net, small_dataset(), make_recipe(**changes, flip=True, replace=True), seed)
        results.append(bits(net))
    assert results[0] == results[1] != results[2]


def test_dropout_differs_from_batch_to_batch():
    """With the same image each time and weights that stay, the loss still differs."""
    dataset = small_dataset(1)
    recipe = make_recipe(loss='sum', lr=1e-300, weight_decay=0., steps=6)
    losses = [row['loss'] for row in train_all(small_net('float64', drop=.5), dataset, recipe)]
    assert len({*losses}) == 6

    net = small_net('float64', drop=.5)
    two_a_step = replace(recipe, iter_size=2)
    steps = []
    for row in train(net, dataset, two_a_step, make_optimizer(two_a_step)):
        steps.append(net.step)
        if row['step'] <= 3:                            # its two batches are two steps of before
            pair = losses[2 * row['step'] - 2:2 * row['step']]
            assert row['loss'] == pytest.approx(sum(pair) / 2, rel=1e-12)
    assert steps == [1, 3, 5, 7, 9, 11]


@pytest.mark.parametrize('changes', [dict(), dict(optimizer='adam', rules={}),
                                     dict(iter_size=2, lr_power=.9)])
def test_starting_at_a_later_step_resumes(changes):
    recipe = make_recipe(**changes, steps=6, flip=True)
    whole = small_net(norm=True, drop=.3)
    rows = train_all(whole, small_dataset(), recipe, seed=3)

    resumed = small_net(norm=True, drop=.3)
    optimizer = make_optimizer(recipe)
    first_rows = [*islice(train(resumed, small_dataset(), recipe, optimizer, 3), 2)]
    other_rows = train_all(resumed, small_dataset(), recipe, 3, start=2, optimizer=optimizer)
    assert first_rows + other_rows == rows
    assert bits(whole) == bits(resumed)


# ---- the batches of a step, side by side ---------------------------------------------------------

@pytest.mark.parametrize('changes, at_once', [
    ({}, True), (dict(threads='1'), False), (dict(batches=1), False), (dict(memory=0), False),
    (dict(norm=True), False), (dict(ranks=2), False)])
def test_batches_of_small_nets_are_computed_at_once(changes, at_once, monkeypatch):
    """Not those of a net with running statistics, nor of several ranks."""
    asked = SimpleNamespace(**dict(threads='2', batches=2, memory=1 << 28, norm=False, ranks=1)
                            | changes)
    monkeypatch.setenv('TINYFCN_THREADS', asked.threads)
    monkeypatch.setattr(loop, 'MEMORY_AT_ONCE', asked.memory)
    monkeypatch.setattr(loop, 'world', lambda: SimpleNamespace(size=asked.ranks))
    both = Barrier(2 if at_once else 1, timeout=60)
    real = loop.loss_and_gradients

    def compute_beside_another(*args, **kwargs):
        both.wait()
        return real(*args, **kwargs)

    monkeypatch.setattr(loop, 'loss_and_gradients', compute_beside_another)
    net = small_net(norm=asked.norm)
    recipe = make_recipe(iter_size=asked.batches)
    stream = batches(small_dataset(), CENTRED)
    step_batches = [NumberedBatch(i, next(stream)) for i in range(asked.batches)]
    stream.close()
    results = loop.iter_batch_gradients(net, step_batches, recipe)
    assert isinstance(results, list) == at_once
    assert [{*dict(grads)} for _, grads in results] == [{*net.params}] * asked.batches


def test_batches_computed_at_once_give_the_same_bits(monkeypatch):
    recipe = make_recipe(iter_size=3, flip=True)
    results = []
    for threads, memory in ('2', 1 << 28), ('3', 1 << 28), ('1', 1 << 28), ('2', 0):
        monkeypatch.setenv('TINYFCN_THREADS', threads)
        monkeypatch.setattr(loop, 'MEMORY_AT_ONCE', memory)
        net = small_net('float64', drop=.3)
        results.append((train_all(net, small_dataset(), recipe, seed=1), bits(net)))
    assert all(result == results[0] for result in results[1:])


def test_an_error_in_a_batch_beside_others_is_reported(monkeypatch):
    monkeypatch.setenv('TINYFCN_THREADS', '2')
    net = small_net()
    net.params['conv1.w'][0, 0, 0, 0] = np.nan
    with pytest.raises(ValueError, match='the weights conv1.w are not finite'):
        train_all(net, small_dataset(), make_recipe(iter_size=4))


# ---- fit -----------------------------------------------------------------------------------------

def test_fit_takes_a_dict_and_fills_in_defaults():
    """`validate_every` is not needed: fit does not validate."""
    rows = fit(small_net(), small_dataset(), dict(lr=.1, steps=3))
    assert [row['step'] for row in rows] == [1, 2, 3] and rows[0]['lr'] == .1
    assert rows == train_all(small_net(), small_dataset(), make_recipe(steps=3))


def test_fit_takes_a_recipe():
    assert fit(small_net(), small_dataset(), make_recipe(steps=3)) == \
        train_all(small_net(), small_dataset(), make_recipe(steps=3))


@pytest.mark.parametrize('recipe, message', [
    (dict(lr=.1, steps=3, validate_every=1, momentun=.5), 'momentun'),
    (dict(lr=1e-11, steps=3, validate_every=1), 'lr 1e-11'),
    (dict(lr=.1, validate_every=1), 'steps is None'),
    ('folder-squeeze', "'folder-squeeze'")])
def test_fit_rejects_invalid_recipes(recipe, message):
    net = small_net()
    before = bits(net)
    with pytest.raises(ValueError, match=message):
        fit(net, small_dataset(), recipe)
    assert bits(net) == before


def test_fit_takes_the_name_of_a_recipe(monkeypatch):
    monkeypatch.setitem(recipes.RECIPES, 'short', dict(
        lr=.1, steps=2, train=('shapes', 'train')))
    assert len(fit(small_net(), small_dataset(), 'short', seed=1)) == 2


def small_fcn(n_class):
    """A trunk at stride 4 and a skip at 2: enough to see the outline of a shape."""
    n = Net(3)
    n.conv1   = conv(n.data, 16, 3, pad=1)
    n.pool1   = max_pool(relu(n.conv1), 2)
    n.conv2   = conv(n.pool1, 32, 3, pad=1)
    n.pool2   = max_pool(relu(n.conv2), 2)
    n.conv3   = conv(n.pool2, 32, 3, pad=1)
    n.score_a = conv(relu(n.conv3), n_class, 1)
    n.score_b = conv(n.conv1, n_class, 1)
    n.up_a    = crop(upsample(n.score_a, 4), like=n.score_b)
    n.score   = add(n.up_a, n.score_b)
    return n


def test_two_images_are_overfitted():
    dataset = Dataset(['ground', 'disc', 'square'], '01', lambda name: generate(
        0, int(name), (48, 64), 3, .1))
    net = small_fcn(3)
    rows = fit(net, dataset, dict(lr=.01, optimizer='adam', rules={}, weight_decay=0., steps=120,
                                  batch=2, lr_power=.9, preprocess=CENTRED))
    assert rows[-1]['loss'] < .1 * rows[0]['loss']
    assert evaluate(net, dataset)['pixel_acc'] > .97


# ---- compared with PyTorch -----------------------------------------------------------------------

def train_with_torch(net, dataset, recipe, names):
    """Train in PyTorch on the same images in the same order. -> the losses, the final weights

    Caffe's order of momentum is written out; dropout drops the units that our net drops.
    """
    params = {key: torch.tensor(w, requires_grad=True) for key, w in net.params.items()}
    velocity = dict.fromkeys(params, 0.)
    losses = []
    number = 0
    for step, step_names in enumerate(names):
        loss = 0.
        lr = recipe.lr * (1 - step / recipe.steps) ** recipe.lr_power
        for name in step_names:
            sampled = sample(dataset, number, 0, flip=recipe.flip)
            assert sampled.name == name
            x = torch.tensor(prepare(sampled.image, recipe.preprocess, net.dtype))
            rng = np.random.default_rng((net.seed, number, crc32(b'drop9')))
            dropout = partial(torch_oracle.dropout, rng=rng)
            oracle = SimpleNamespace(**{**vars(torch_oracle), 'dropout': dropout})
            score = run_with(net, oracle, x, params, train=True)['score']
            label = torch.tensor(sampled.label[None].copy())
            batch_loss = torch_oracle.softmax_cross_entropy(score, label, reduce=recipe.loss)
            batch_loss.backward()                       # adds to the gradients of this step
            loss += batch_loss.item() / len(step_names)
            number += 1
        losses.append(loss)
        with torch.no_grad():
            for key, w in params.items():
                factor, decay = (2, 0) if key.endswith('.b') else (1, recipe.weight_decay)
                update = factor * lr * (w.grad / len(step_names) + decay * w)
                velocity[key] = recipe.momentum * velocity[key] + update
                w -= velocity[key]
                w.grad = None
    return losses, {key: w.detach().numpy() for key, w in params.items()}


def largest_relative_difference(a, b):
    return max(abs(x - y) / abs(y) for x, y in zip(a, b))


@needs_torch
@pytest.mark.parametrize('p', [0., .5])
@pytest.mark.parametrize('reduce, lr', [('mean', .05), ('sum', 1e-6)])
def test_twenty_steps_as_in_torch(p, reduce, lr):
    """A narrow FCN-SqueezeNet in float64: losses to 1e-5 of each, weights to 1e-6."""
    dataset = small_dataset(7, (24, 30))
    net = build('fcn_squeezenet_8s', n_class=3, width=1/8, dtype='float64', seed=1)
    net.drop9.kwargs['p'] = p
    rng = np.random.default_rng(2)
    for w in net.params.values():
        if not w.any():                                 # a zero bias lies on the kink of a ReLU
            w += .1 * rng.standard_normal(w.shape)
    torch_net = deepcopy(net)
    recipe = make_recipe(loss=reduce, lr=lr, steps=20, iter_size=2, lr_power=.9, flip=True)
    rows = train_all(net, dataset, recipe)
    losses, torch_params = train_with_torch(torch_net, dataset, recipe,
                                            [row['names'] for row in rows])
    own_losses = [row['loss'] for row in rows]
    assert len(losses) == 20 and largest_relative_difference(own_losses, losses) < 1e-5
    assert max(abs(w - torch_params[name]).max() for name, w in net.params.items()) < 1e-6
    assert abs(losses[0] - losses[-1]) > 1e-3 * losses[0], 'the loss does not change'


# ---- on real images ------------------------------------------------------------------------------

DATA = Path(os.environ.get('TINYFCN_DATA', 'nowhere'))


@pytest.mark.realdata
@pytest.mark.skipif(not DATA.is_dir(), reason='TINYFCN_DATA names no folder of real data')
@needs_torch
def test_twenty_real_steps_as_in_torch():
    """The recipe stanford-16s from ImageNet weights, with its flips and its dropout.

    In float64, where only a mistake could make the nets differ: such high rates double the rounding
    error of a float32 again and again, to 5e-4 of the loss in twenty steps.
    """
    dataset, _ = hold_out(load_dataset('stanford', DATA / 'stanford_background', 'train'))
    arrays, about = weights.read(DATA / 'weights/squeezenet_v1.1_oihw_fp32.npz')
    recipe = get_recipe('stanford-16s', preprocess=about['preprocess'])
    nets = [build(recipe.net, len(dataset.classes), dtype='float64') for _ in range(2)]
    for net in nets:
        weights.transplant(net, arrays)
    own_net, torch_net = nets
    stream = train(own_net, dataset, recipe, make_optimizer(recipe))
    rows = [*islice(stream, 20)]
    stream.close()
    losses, _ = train_with_torch(torch_net, dataset, recipe, [row['names'] for row in rows])
    difference = largest_relative_difference([row['loss'] for row in rows], losses)
    print(f'{losses[0]:.4f} … {losses[-1]:.4f}; the largest difference is {difference:.1e} of the '
          f'loss')
    assert len(losses) == 20 and difference < 1e-9 and losses[-1] < .8 * losses[0]
