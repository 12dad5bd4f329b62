"""Whole nets on the card that is not there: they learn and answer as on the host, and wait once.

By the readable bodies alone, and with the stand-ins of kernels/gpu_*.py.
"""
from contextlib import nullcontext

import numpy as np
import pytest
from fake_cupy import lent
from PIL import Image
from training_samples import CENTRED, CLASSES, make_recipe, small_dataset, small_net

from tinyfcn import build, evaluate, fit, load, predict
from tinyfcn.cli import main
from tinyfcn.data import shapes
from tinyfcn.data.dataset import Dataset
from tinyfcn.dispatch import reference_only
from tinyfcn.runtime.backend import array_module, on_host
from tinyfcn.runtime.gpu import gpu_status, limit_gpu_memory, precision
from tinyfcn.training import checkpoint
from tinyfcn.training.loop import make_optimizer, train
from tinyfcn.training.run import run

pytestmark = pytest.mark.gpuproof

WAYS = pytest.mark.parametrize('way', [reference_only, nullcontext], ids=['bodies', 'stand-ins'])


@pytest.fixture
def cupy():
    with lent() as module:
        yield module


def alike(a, b, tol=1e-12):
    """Two nets agree in every weight and every running statistic."""
    for name, w in {**b.params, **b.state}.items():
        own = {**a.params, **a.state}[name]
        own, w = (x if on_host(x) else x.get() for x in (own, w))
        assert abs(own - w).max() <= tol * max(1, abs(w).max()), name


@WAYS
@pytest.mark.parametrize('how', [dict(momentum=.9, weight_decay=.01), dict(optimizer='adam'),
                                 dict(loss='sum', lr=1e-7, class_weight='median')],
                         ids=['sgd', 'adam', 'weighted'])
def test_a_net_learns_on_the_card_as_on_the_host(way, how, cupy):
    # before a batch norm a bias has no gradient but rounding, and Adam makes steps of that
    here, there = (small_net('float64', norm='optimizer' not in how, drop=.3) for _ in range(2))
    how = make_recipe(**dict(how, steps=4, batch=2, iter_size=2, flip=True))
    chosen = small_dataset(same_size=True)
    losses = [row['loss'] for row in fit(here, chosen, how)]
    with way():
        rows = fit(there, chosen, how, device='gpu')
    np.testing.assert_allclose([row['loss'] for row in rows], losses, rtol=1e-12)
    assert all(type(row['loss']) is float for row in rows)
    assert not any(map(on_host, there.params.values()))
    alike(there, here)


@pytest.mark.parametrize('name', ['fcn8s', 'fcn_googlenet', 'unet_same'])
def test_a_step_waits_once_and_sends_up_the_picture_and_what_was_drawn(name, cupy):
    n = build(name, len(CLASSES), width=1/16).to('gpu')
    n.about['preprocess'] = CENTRED
    drawn = sum(box.op.__name__ == 'dropout' for box in n.route(True))
    rows = train(n, small_dataset(size=(32, 32), same_size=True), how := make_recipe(lr=1e-4), make_optimizer(how))
    for _ in range(2):
        cupy.stats.reset()
        next(rows)
        stats = cupy.stats
        assert (stats.synchronisations, stats.downloads) == (1, 0)
        assert stats.uploads == 2 + drawn, stats
    rows.close()


def test_a_check_that_waits_is_seen(cupy, monkeypatch):
    """What the test above would say if an op looked at its numbers."""
    from tinyfcn import ops
    body = ops.add

    def nosy(*xs):
        assert bool((xs[0] == xs[0]).all())
        return body(*xs)
    nosy.backward = body.backward
    n = build('fcn8s', len(CLASSES), width=1/16).to('gpu')
    n.about['preprocess'] = CENTRED
    n.fuse_pool4.op = nosy
    rows = train(n, small_dataset(size=(32, 32), same_size=True), how := make_recipe(lr=1e-4), make_optimizer(how))
    cupy.stats.reset()
    next(rows)
    assert cupy.stats.synchronisations == 2
    rows.close()


def test_an_image_of_the_host_is_refused_by_a_net_on_the_card(cupy):
    n = small_net().to('gpu')
    with pytest.raises(TypeError, match=r'w is of cupy and x of numpy: bring both to one device'):
        n.forward(np.zeros((1, 3, 5, 5), 'float32'))
    assert array_module(n.forward(n.bring(np.zeros((1, 3, 5, 5), 'float32')))) is cupy


def test_a_label_that_the_net_does_not_know_never_goes_up(cupy):
    def read(name):
        image, label = good.read(name)
        label[3, 4] = 7
        return image, label
    good = small_dataset(same_size=True)         # a set of eight classes, and a net of three
    with pytest.raises(ValueError, match='label 7 at row 3, column 4 of picture 0'):
        fit(small_net(), Dataset('abcdefgh', good.names, read), make_recipe(), device='gpu')


def test_a_loss_that_diverges_is_told_where(cupy):
    n = small_net().to('gpu')
    n.params['conv1.b'][...] = 3e38
    with pytest.raises(ValueError, match=r'the loss is \w+ at step 1, picture \d+, lr 0.1; '
                                         r'(score|conv1) = .*: the first box whose values'):
        fit(n, small_dataset(), make_recipe(), device='gpu')


@WAYS
def test_what_a_net_says_does_not_depend_on_where_it_is(way, cupy):
    n, chosen = small_net('float64', seed=3), small_dataset(size=(40, 50))
    image, views = chosen[0][0], dict(scales=(.5, 1), flip=True, window=32)
    here = [predict(n, image), predict(n, image, max_memory=4e5), predict(n, image, **views)]
    assert len(np.unique(here[0])) > 1
    scores = evaluate(n, chosen)
    with way():
        n.to('gpu')
        there = [predict(n, image), predict(n, image, max_memory=4e5), predict(n, image, **views)]
        assert all(isinstance(pred, np.ndarray) and (pred == own).all()
                   for pred, own in zip(there, here))
        np.testing.assert_equal(evaluate(n, chosen), scores)


def test_a_run_goes_on_from_its_checkpoint_on_either_device(cupy, tmp_path):
    """Begun on the card, stopped, gone on with on the host; and the other way about."""
    how = make_recipe(steps=4, validate_every=2, momentum=.9)
    whole = small_net('float64', norm=True, drop=.3)
    [*run(tmp_path / 'whole', whole, small_dataset(), small_dataset(2), how)]
    for first, second in ('gpu', 'cpu'), ('cpu', 'gpu'):
        rows = run(tmp_path / first, small_net('float64', norm=True, drop=.3).to(first), small_dataset(),
                   small_dataset(2), how)
        next(row for row in rows if row['step'] == 3)
        rows.close()
        assert checkpoint.load(tmp_path / first / 'last.safetensors')[2]['run']['step'] == 3
        last = small_net('float64', norm=True, drop=.3, seed=5).to(second)
        last.seed = 0
        [*run(tmp_path / first, last, small_dataset(), small_dataset(2), how, resume=True)]
        alike(last, whole)


def test_a_file_is_the_same_from_either_device(cupy, tmp_path):
    n = build('tiny_16s', 3)
    n.save(tmp_path / 'here.safetensors')
    n.to('gpu').save(tmp_path / 'there.safetensors')
    assert (tmp_path / 'here.safetensors').read_bytes() == (
        tmp_path / 'there.safetensors').read_bytes()
    alike(load(tmp_path / 'there.safetensors'), n.to('cpu'), 0)


def test_the_command_line_trains_judges_and_predicts_on_the_card(cupy, tmp_path, monkeypatch,
                                                                 capsys):
    monkeypatch.chdir(tmp_path)
    small = '--set steps=1 validate_every=1 batch=1'.split()
    Image.new('RGB', (40, 30)).save('grey.png')
    gpu = '--device gpu --precision tf32 --gpu-memory 50%'.split()
    monkeypatch.setitem(shapes.SPLITS, 'val', (2, 1))
    assert main(['train', 'shapes-32s', *small, *gpu]) == 0, capsys.readouterr().err
    assert cupy.get_default_memory_pool().get_limit() == 1 << 33
    assert main(['predict', 'runs/shapes-32s', 'grey.png', *gpu]) == 0
    assert (tmp_path / 'predictions/grey.png').exists()
    assert cupy.stats.uploads > 10


def test_all_layers_of_the_card_answer(cupy):
    names = [layer for layer, fine, _ in gpu_status() if fine]
    assert names == ['wheel', 'driver', 'toolkit', 'kernel']


def test_precision_lasts_as_long_as_its_block(cupy):
    from cupy._core import _routines_linalg as linalg
    with precision('tf32'):
        assert linalg.get_compute_type('f') == linalg.COMPUTE_TYPE_TF32
        with precision('float32'):
            assert linalg.get_compute_type('f') == linalg.COMPUTE_TYPE_DEFAULT
        assert linalg.get_compute_type('f') == linalg.COMPUTE_TYPE_TF32
    assert linalg.get_compute_type('f') == linalg.COMPUTE_TYPE_DEFAULT


def test_memory_is_limited_in_bytes_or_as_a_share(cupy):
    pool = cupy.get_default_memory_pool()
    limit_gpu_memory('25%')
    assert pool.get_limit() == 1 << 32
    limit_gpu_memory(10 ** 9)
    assert pool.get_limit() == 10 ** 9
