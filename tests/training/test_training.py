"""A step of training is what the equations say; twenty of them are PyTorch's; and they learn."""
import os
from copy import deepcopy
from functools import partial
from itertools import islice
from pathlib import Path
from types import SimpleNamespace
from zlib import crc32

import numpy as np
import pytest
from optional_deps import needs_torch, torch, torch_oracle
from oracle_net import run as run_by
from training_samples import CENTRED, CLASSES, bits, net, pictures, recipe

from tinyfcn import Net, build, weights
from tinyfcn.data import load_dataset
from tinyfcn.data.batches import drawn
from tinyfcn.data.dataset import Dataset, hold_out
from tinyfcn.data.shapes import picture
from tinyfcn.data.transforms import prepare
from tinyfcn.layers import add, conv, crop, max_pool, relu, upsample
from tinyfcn.runtime.workers import may_fork
from tinyfcn.training import loop, recipes
from tinyfcn.training.loop import evaluate, fit, gradients, learning_rate, make_optimizer, train


def rows_of(n, chosen, kwargs, seed=0, start=0, optimizer=None):
    return [*train(n, chosen, kwargs, optimizer or make_optimizer(kwargs), seed, start)]


# ---- the equations, written out ------------------------------------------------------------------

def by_hand(params, x, label, reduce):
    """Two convolutions, softmax and cross entropy of one picture. -> loss, gradients"""
    pad = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(pad, (3, 3), (2, 3))
    z = np.einsum('nchwij,kcij->nkhw', windows, params['conv1.w'])
    z += params['conv1.b'][:, None, None]
    a = z * (z > 0)
    score = np.einsum('nchw,kc->nkhw', a, params['score.w'][:, :, 0, 0])
    score += params['score.b'][:, None, None]
    p = np.exp(score) / np.exp(score).sum(1, keepdims=True)
    truth = (np.arange(3)[:, None, None] == label[:, None]) * 1.
    over = (label != 255).sum() if reduce == 'mean' else 1
    loss = -(truth * np.log(p)).sum() / over
    d = (p - truth) * (label != 255)[:, None] / over
    dz = np.einsum('nkhw,kc->nchw', d, params['score.w'][:, :, 0, 0]) * (z > 0)
    return loss, {'conv1.w': np.einsum('nkhw,nchwij->kcij', dz, windows),
                  'conv1.b': dz.sum((0, 2, 3)), 'score.b': d.sum((0, 2, 3)),
                  'score.w': np.einsum('nkhw,nchw->kc', d, a)[:, :, None, None]}


@pytest.mark.parametrize('reduce, lr', [('mean', .1), ('sum', 1e-6)])
def test_five_steps_written_out(reduce, lr):
    """v ← .9 v + lr·(Σ of three gradients / 3 + λ·w), w ← w − v; a bias twice as fast, λ = 0."""
    chosen, n = pictures(), net('float64')
    kwargs = recipe(loss=reduce, lr=lr, iter_size=3, weight_decay=.01, poly=.9)
    params = {name: w.copy() for name, w in n.params.items()}
    velocity = {name: 0 * w for name, w in params.items()}
    for step, row in enumerate(train(n, chosen, kwargs, make_optimizer(kwargs), seed=2)):
        now, total, losses = lr * (1 - step / 5) ** .9, dict.fromkeys(params, 0), []
        for name in row['names']:
            image, label = chosen[int(name)]
            loss, grads = by_hand(params, prepare(image, CENTRED, 'float64'), label[None], reduce)
            losses.append(loss)
            total = {name: total[name] + g for name, g in grads.items()}
        for name, w in params.items():
            fast, decay = (2, 0) if name.endswith('.b') else (1, .01)
            velocity[name] = .9 * velocity[name] + fast * now * (total[name] / 3 + decay * w)
            params[name] = w - velocity[name]
        assert row['step'] == step + 1 and row['lr'] == pytest.approx(now, rel=1e-12)
        assert len(row['names']) == 3 and row['loss'] == pytest.approx(np.mean(losses), rel=1e-12)
        for name, w in params.items():
            assert abs(n.params[name] - w).max() < 1e-12
    assert step == 4 and any(abs(w - net('float64').params[name]).max() > 1e-6
                             for name, w in params.items())


def test_the_sum_is_the_mean_times_its_pixels():
    n, (image, label) = net('float64'), pictures()[0]
    x, pixels = prepare(image, CENTRED, 'float64'), (label != 255).sum()
    (total, dtotal), (mean, dmean) = (
        gradients(n, x, label[None], recipe(loss=loss)) for loss in ('sum', 'mean'))
    assert pixels < label.size and total == pytest.approx(mean * pixels, rel=1e-12)
    for name, g in dmean.items():
        np.testing.assert_allclose(dtotal[name], g * pixels, rtol=1e-10, atol=1e-10)


def test_the_rate():
    assert [learning_rate(recipe(lr=.5, steps=4, poly=1.), step) for step in range(4)] == \
        pytest.approx([.5, .375, .25, .125])
    assert [learning_rate(recipe(lr=.5, steps=4), step) for step in range(4)] == [.5] * 4


def void_pictures():
    chosen = pictures()
    return Dataset(CLASSES, chosen.names, lambda name: (
        chosen.read(name)[0], np.full_like(chosen.read(name)[1], 255)))


@pytest.mark.parametrize('loss', ['mean', 'sum'])
def test_a_picture_without_a_label_changes_nothing_but_by_decay(loss):
    n = net('float64')
    before = {name: w.copy() for name, w in n.params.items()}
    kwargs = recipe(loss=loss, lr=1e-7, weight_decay=.5, momentum=0., steps=1)
    row, = rows_of(n, void_pictures(), kwargs)
    assert row['loss'] == 0
    for name, w in n.params.items():
        kept = 1 if name.endswith('.b') else 1 - 1e-7 * .5
        np.testing.assert_allclose(w, before[name] * kept, rtol=1e-15)
    still = net('float64')
    rows_of(still, void_pictures(), recipe(weight_decay=0., steps=3))
    assert bits(still) == bits(net('float64'))


# ---- many outputs --------------------------------------------------------------------------------

def two_headed():
    whole = pictures(4, (20, 24))

    def read(name):
        image, label = whole.read(name)
        return image, dict(score_sem=label, score_geo=np.where(label == 2, 255, label))

    return Dataset(dict(score_sem=CLASSES, score_geo=('low', 'high', 'far')), whole.names, read)


def test_two_heads_learn_each_from_its_label():
    """SIFT Flow's net: the loss is the sum of both, ln 3 + ln 3 as long as scores are zero."""
    n, chosen = build('siftflow_32s', n_class=3, width=1/64), two_headed()
    before = bits(n)
    kwargs = recipe(steps=3, lr=.1, momentum=0.)
    rows = rows_of(n, chosen, kwargs)
    assert rows[0]['loss'] == pytest.approx(2 * np.log(3), rel=1e-6)
    assert rows[-1]['loss'] < rows[0]['loss']
    assert bits(n)['score_fr_sem.w'] != before['score_fr_sem.w']
    assert bits(n)['score_fr_geo.w'] != before['score_fr_geo.w']
    scores = evaluate(n, chosen)
    assert scores.keys() == {'score_sem', 'score_geo'} and len(scores['score_geo']['iu']) == 3


def test_the_other_heads_label_is_not_learned_from():
    """With its labels void, a head stays where it was, and the other one does not."""
    chosen, n = two_headed(), build('siftflow_32s', n_class=3, width=1/64)
    blind = Dataset(chosen.classes, chosen.names, lambda name: (chosen.read(name)[0], dict(
        chosen.read(name)[1], score_geo=np.full_like(chosen.read(name)[1]['score_geo'], 255))))
    row, = rows_of(n, blind, recipe(steps=1, weight_decay=0.))
    assert row['loss'] == pytest.approx(np.log(3), rel=1e-6)
    assert not n.params['score_fr_geo.w'].any() and n.params['score_fr_sem.w'].any()


# ---- numbers that are none -----------------------------------------------------------------------

def depths(bad_at):
    """Pictures of floats, one of which holds an infinity."""
    def read(name):
        image = np.random.default_rng(int(name)).random((8, 9, 3)).astype('float32')
        if name == bad_at:
            image[3, 4] = np.inf
        return image, np.zeros((8, 9), 'uint8')

    return Dataset(CLASSES, '01234', read)


def diverging(n, chosen, kwargs, start=0):
    """-> what was said, the steps before; the weights and the memory as they were then"""
    optimizer, rows, kept = make_optimizer(kwargs), [], None
    with pytest.raises(ValueError, match='A smaller lr') as told:
        for row in train(n, chosen, kwargs, optimizer, 0, start):
            rows.append(row)
            kept = bits(n), {name: v.tobytes() for name, v in optimizer.velocity.items()}
    now = bits(n), {name: v.tobytes() for name, v in optimizer.velocity.items()}
    return str(told.value), rows, kept is None or now == kept


def test_an_infinity_in_a_picture_is_told():
    said, rows, unmoved = diverging(net(), depths('3'), recipe(steps=5, lr=.01))
    assert len(rows) < 5 and '3' not in [name for row in rows for name in row['names']]
    assert f'at step {len(rows) + 1}, picture 3, lr 0.01' in said and unmoved


def test_a_weight_that_is_no_number_is_told():
    n = net()
    n.params['score.w'][0, 0] = np.nan
    before = bits(n)
    said, rows, _ = diverging(n, pictures(), recipe(lr=.01))
    assert not rows and bits(n) == before
    assert 'the loss is nan at step 1, picture ' in said
    assert 'the weights score.w are not finite any more' in said


def test_a_rate_far_too_high_is_told():
    said, rows, unmoved = diverging(net(), pictures(), recipe(lr=1e30, steps=40))
    assert unmoved and rows
    assert f'at step {len(rows) + 1}, picture ' in said and 'lr 1e+30' in said


def test_scores_too_far_apart_to_subtract_are_told():
    """Each is finite, their difference is none: no box is at fault, and it is still a sentence."""
    n = net()
    n.params['score.w'][:], n.params['score.b'][:] = 0, [3e38, -3e38, 0]
    said, rows, _ = diverging(n, pictures(), recipe(lr=.01))
    assert not rows and 'the loss is' in said and 'at step 1' in said


def test_nobody_knows_how_images_are_prepared():
    n = net()
    del n.about['preprocess']
    with pytest.raises(ValueError, match='neither the recipe nor the weights say how images are'):
        rows_of(n, pictures(), recipe(preprocess=None))
    own = net()                                         # the weights know
    rows_of(own, pictures(), recipe(preprocess=None))
    rows_of(n, pictures(), recipe())                    # or the recipe does, and tells the net
    assert bits(n) == bits(own) and n.about['preprocess'] == CENTRED


# ---- chance --------------------------------------------------------------------------------------

@pytest.mark.parametrize('kwargs', [dict(), dict(adam=True, rules={}), dict(iter_size=2, batch=2)])
def test_a_run_is_a_function_of_its_seed(kwargs):
    made = []
    for seed in 1, 1, 2:
        n = net(norm=True, drop=.3)
        rows_of(n, pictures(), recipe(**kwargs, mirrored=True, replace=True), seed)
        made.append(bits(n))
    assert made[0] == made[1] != made[2]


def test_dropout_differs_from_picture_to_picture():
    """The very same picture each time, and weights that stand still: the loss differs yet."""
    one = pictures(1)
    kwargs = recipe(lr=1e-300, weight_decay=0., steps=6)
    rows = rows_of(net('float64', drop=.5), one, {**kwargs, 'loss': 'sum'})
    losses = [row['loss'] for row in rows]
    assert len({*losses}) == 6
    n, steps = net('float64', drop=.5), []
    for row in train(n, one, {**kwargs, 'iter_size': 2, 'loss': 'sum'}, make_optimizer(kwargs)):
        steps.append(n.step)
        if row['step'] <= 3:                            # the two of a step are those two of before
            two = losses[2 * row['step'] - 2:2 * row['step']]
            assert row['loss'] == pytest.approx(sum(two) / 2, rel=1e-12)
    assert steps == [1, 3, 5, 7, 9, 11]


@pytest.mark.parametrize('kwargs', [dict(), dict(adam=True, rules={}), dict(iter_size=2, poly=.9)])
def test_to_begin_in_the_middle_is_to_go_on(kwargs):
    kwargs = recipe(**kwargs, steps=6, mirrored=True)
    whole, parted = net(norm=True, drop=.3), net(norm=True, drop=.3)
    optimizer = make_optimizer(kwargs)
    rows = rows_of(whole, pictures(), kwargs, seed=3)
    early = [*islice(train(parted, pictures(), kwargs, optimizer, 3), 2)]
    assert early + rows_of(parted, pictures(), kwargs, 3, start=2, optimizer=optimizer) == rows
    assert bits(whole) == bits(parted)


# ---- side by side ------------------------------------------------------------------------------

@pytest.mark.parametrize('norm, small, walked', [(False, 1 << 28, 2), (False, 0, 1),
                                                 (True, 1 << 28, 1)])
def test_batches_of_small_nets_are_walked_side_by_side(norm, small, walked, monkeypatch):
    """A loss that is the number of the process tells who walked. Running state forbids others."""
    monkeypatch.setattr(loop, 'WORKER_MEMORY', small)
    monkeypatch.setenv('TINYFCN_THREADS', '2')
    real = loop.gradients
    monkeypatch.setattr(loop, 'gradients', lambda *args: (os.getpid(), real(*args)[1]))
    row, = rows_of(net(norm=norm), pictures(), recipe(iter_size=4, steps=1))
    assert (row['loss'] == os.getpid()) == (walked == 1 or not may_fork())


def test_side_by_side_is_one_after_another(monkeypatch):
    kwargs, made = recipe(iter_size=3, mirrored=True), []
    for threads, small in ('2', 1 << 28), ('2', 1 << 28), ('1', 1 << 28), ('2', 0):
        monkeypatch.setenv('TINYFCN_THREADS', threads)
        monkeypatch.setattr(loop, 'WORKER_MEMORY', small)
        n = net('float64', drop=.3)
        made.append((rows_of(n, pictures(), kwargs, seed=1), n))
    (rows, n), *others = made
    for other_rows, other in others:
        assert bits(other) == bits(n) and other_rows == rows


def test_what_goes_wrong_side_by_side_is_told(monkeypatch):
    monkeypatch.setenv('TINYFCN_THREADS', '2')
    n = net()
    n.params['conv1.w'][0, 0, 0, 0] = np.nan
    with pytest.raises(ValueError, match='the weights conv1.w are not finite any more'):
        rows_of(n, pictures(), recipe(iter_size=4))


# ---- fit -----------------------------------------------------------------------------------------

def test_fit_by_a_dict_of_what_differs():
    """What is not said is as in PLAIN; how often to validate is nothing that fit needs."""
    rows = fit(net(), pictures(), dict(lr=.1, steps=3))
    assert [row['step'] for row in rows] == [1, 2, 3] and rows[0]['lr'] == .1
    own = net()
    assert rows == rows_of(own, pictures(), recipe(steps=3))


@pytest.mark.parametrize('kwargs, why', [
    (dict(lr=.1, steps=3, every=1, momentun=.5), 'momentun'),
    (dict(lr=1e-11, steps=3, every=1), 'lr 1e-11 is one of a summed loss'),
    (dict(lr=.1, every=1), 'steps is None'),
    ('folder-squeeze', "no recipe called 'folder-squeeze'")])
def test_fit_refuses_what_no_recipe_is(kwargs, why):
    n = net()
    before = bits(n)
    with pytest.raises(ValueError, match=why):
        fit(n, pictures(), kwargs)
    assert bits(n) == before


def test_fit_by_name(monkeypatch):
    monkeypatch.setitem(recipes.RECIPES, 'short', dict(
        lr=.1, steps=2, train=('shapes', 'train')))
    assert len(fit(net(), pictures(), 'short', seed=1)) == 2


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


def test_two_pictures_are_learned_by_heart():
    chosen = Dataset(['ground', 'disc', 'square'], '01', lambda name: picture(
        0, int(name), (48, 64), 3, .1))
    n = small_fcn(3)
    rows = fit(n, chosen, dict(lr=.01, adam=True, rules={}, weight_decay=0., steps=120, every=1,
                               batch=2, poly=.9, preprocess=CENTRED))
    assert rows[-1]['loss'] < .1 * rows[0]['loss']
    assert evaluate(n, chosen)['pixel_acc'] > .97


# ---- beside PyTorch ------------------------------------------------------------------------------

def curve_by_torch(n, chosen, kwargs, names):
    """The losses of PyTorch, of the same pictures in the same order, and the weights it ends with.

    Caffe's order of momentum, written out; dropout draws what our net draws.
    """
    params = {key: torch.tensor(w, requires_grad=True) for key, w in n.params.items()}
    velocity, losses, number = {key: 0. for key in params}, [], 0
    for step, seen in enumerate(names):
        loss, lr = 0., kwargs['lr'] * (1 - step / kwargs['steps']) ** kwargs['poly']
        for name in seen:
            found, image, label = drawn(chosen, number, 0, mirrored=kwargs['mirrored'])
            assert found == name
            x = torch.tensor(prepare(image, kwargs['preprocess'], n.dtype))
            rng = np.random.default_rng((n.seed, number, crc32(b'drop9')))
            drawing = dict(dropout=partial(torch_oracle.dropout, rng=rng))
            oracle = SimpleNamespace(**{**vars(torch_oracle), **drawing})
            score = run_by(n, oracle, x, params, train=True)['score']
            own = torch_oracle.softmax_cross_entropy(score, torch.tensor(label[None].copy()),
                                                     reduce=kwargs['loss'])
            own.backward()                              # adds to what the others of the step gave
            loss, number = loss + own.item() / len(seen), number + 1
        losses.append(loss)
        with torch.no_grad():
            for key, w in params.items():
                fast, decay = (2, 0) if key.endswith('.b') else (1, kwargs['weight_decay'])
                velocity[key] = (kwargs['momentum'] * velocity[key]
                                 + fast * lr * (w.grad / len(seen) + decay * w))
                w -= velocity[key]
                w.grad = None
    return losses, {key: w.detach().numpy() for key, w in params.items()}


def worst(a, b):
    return max(abs(x - y) / abs(y) for x, y in zip(a, b))


@needs_torch
@pytest.mark.parametrize('p', [0., .5])
@pytest.mark.parametrize('reduce, lr', [('mean', .05), ('sum', 1e-6)])
def test_twenty_steps_as_torch(p, reduce, lr):
    """A thin FCN-SqueezeNet in float64: losses to 1e-5 of each, weights as near."""
    chosen = pictures(7, (24, 30))
    n = build('fcn_squeezenet_8s', n_class=3, width=1/8, dtype='float64', seed=1)
    n.drop9.kwargs['p'], rng = p, np.random.default_rng(2)
    for w in n.params.values():
        if not w.any():                                 # a zero bias lies on the kink of a ReLU
            w += .1 * rng.standard_normal(w.shape)
    twin = deepcopy(n)
    kwargs = recipe(loss=reduce, lr=lr, steps=20, iter_size=2, poly=.9, mirrored=True)
    rows = rows_of(n, chosen, kwargs)
    losses, theirs = curve_by_torch(twin, chosen, kwargs, [row['names'] for row in rows])
    assert len(losses) == 20 and worst([row['loss'] for row in rows], losses) < 1e-5
    assert max(abs(w - theirs[name]).max() for name, w in n.params.items()) < 1e-6
    assert abs(losses[0] - losses[-1]) > 1e-3 * losses[0], 'it moves'


# ---- on real pictures ----------------------------------------------------------------------------

DATA = Path(os.environ.get('TINYFCN_DATA', 'nowhere'))


@pytest.mark.realdata
@pytest.mark.skipif(not DATA.is_dir(), reason='TINYFCN_DATA names no folder of real data')
@needs_torch
def test_twenty_real_steps_as_torch():
    """The recipe stanford-16s, from ImageNet's weights, mirrored and dropped out as it says.

    In float64, where only a mistake could part two nets: such high rates double a float32's last
    bit again and again, to 5e-4 of the loss in twenty steps.
    """
    kwargs = recipes.recipe('stanford-16s')
    chosen, _ = hold_out(load_dataset('stanford', DATA / 'stanford_background', 'train'))
    arrays, _ = weights.read(DATA / 'weights/squeezenet_v1.1_oihw_fp32.npz')
    ours, twin = (build(kwargs['net'], len(chosen.classes), dtype='float64') for _ in range(2))
    for n in ours, twin:
        weights.transplant(n, arrays)
    stream = train(ours, chosen, kwargs, make_optimizer(kwargs))
    rows = [*islice(stream, 20)]
    stream.close()
    losses, _ = curve_by_torch(twin, chosen, kwargs, [row['names'] for row in rows])
    apart = worst([row['loss'] for row in rows], losses)
    print(f'{losses[0]:.4f} … {losses[-1]:.4f}; the largest difference is {apart:.1e} of the loss')
    assert len(losses) == 20 and apart < 1e-9 and losses[-1] < .8 * losses[0]
