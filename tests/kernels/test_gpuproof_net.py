"""Whole nets on the fake GPU learn and predict as on the host, and a step waits only once.

With the reference implementations alone, and with the GPU kernels.
"""
from contextlib import nullcontext

import numpy as np
import pytest
from fake_cupy import use_fake_cupy
from PIL import Image
from training_samples import CENTRED, CLASSES, make_recipe, small_dataset, small_net

from tinyfcn import build, evaluate, fit, load, predict
from tinyfcn.cli import main
from tinyfcn.data import shapes
from tinyfcn.dispatch import reference_only
from tinyfcn.runtime import backend
from tinyfcn.runtime.backend import array_module
from tinyfcn.runtime.gpu import gpu_status, limit_gpu_memory, precision
from tinyfcn.training import checkpoint
from tinyfcn.training.gradients import loss_and_gradients
from tinyfcn.training.loop import make_optimizer, train
from tinyfcn.training.run import run

pytestmark = pytest.mark.gpuproof

both_implementations = pytest.mark.parametrize(
    'implementation', [reference_only, nullcontext], ids=['reference', 'kernels'])


@pytest.fixture
def cupy():
    with use_fake_cupy() as module:
        yield module


def assert_alike(a, b, tol=1e-12):
    """Two nets agree in every weight and every running statistic."""
    for name, w in {**b.params, **b.state}.items():
        other = {**a.params, **a.state}[name]
        other, w = (x if backend.on_host(x) else x.get() for x in (other, w))
        assert abs(other - w).max() <= tol * max(1, abs(w).max()), name


@both_implementations
@pytest.mark.parametrize('options', [
    dict(momentum=.9, weight_decay=.01), dict(optimizer='adam'),
    dict(loss='sum', lr=1e-7, class_weight='median')], ids=['sgd', 'adam', 'weighted'])
def test_a_net_trains_on_the_gpu_as_on_the_host(implementation, options, cupy):
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
    assert not any(map(backend.on_host, gpu_net.params.values()))
    assert_alike(gpu_net, host_net)


@pytest.mark.parametrize('name', ['fcn8s', 'fcn_googlenet', 'unet_same'])
def test_a_step_waits_once_and_uploads_image_label_and_dropout_masks(name, cupy):
    n = build(name, len(CLASSES), width=1/16).to('gpu')
    n.about['preprocess'] = CENTRED
    dropouts = sum(box.op.__name__ == 'dropout' for box in n.route(True))
    recipe = make_recipe(lr=1e-4)
    dataset = small_dataset(size=(32, 32), same_size=True)
    rows = train(n, dataset, recipe, make_optimizer(recipe))
    for _ in range(2):
        cupy.stats.reset()
        next(rows)
        stats = cupy.stats
        assert (stats.synchronisations, stats.downloads) == (1, 0)
        assert stats.uploads == 2 + dropouts, stats
    rows.close()


@pytest.mark.parametrize('images', [1, 2])
def test_fewer_steps_compute_the_same_bits(images, cupy):
    """conv with relu, upsample with crop, parts of a concat: as net.walk computes them."""
    n = build('fcn_squeezenet_4s', len(CLASSES), width=1/16).to('gpu')
    rng = np.random.default_rng(0)
    image = cupy.asarray(rng.standard_normal((images, 3, 64, 64), 'float32'))
    results = []
    for keep in True, False:
        score = n.forward(image, train=True, keep=keep)
        dscore = np.random.default_rng(1).standard_normal(score.shape, 'float32')
        grads = n.backward(score=cupy.asarray(dscore))
        results.append(dict(grads, score=score))
    for key, expected in results[0].items():
        np.testing.assert_array_equal(results[1][key].get(), expected.get(), err_msg=key)


def test_a_check_that_waits_is_counted(cupy, monkeypatch):
    """The test above would fail if an op read its values on the host."""
    from tinyfcn import ops
    add = ops.add

    def add_with_check(*xs):
        assert bool((xs[0] == xs[0]).all())
        return add(*xs)
    add_with_check.backward = add.backward
    n = build('fcn8s', len(CLASSES), width=1/16).to('gpu')
    n.about['preprocess'] = CENTRED
    n.fuse_pool4.op = add_with_check
    recipe = make_recipe(lr=1e-4)
    dataset = small_dataset(size=(32, 32), same_size=True)
    rows = train(n, dataset, recipe, make_optimizer(recipe))
    cupy.stats.reset()
    next(rows)
    assert cupy.stats.synchronisations == 2
    rows.close()


def test_a_net_on_the_gpu_rejects_an_image_on_the_host(cupy):
    n = small_net().to('gpu')
    with pytest.raises(TypeError, match='cupy .* numpy'):
        n.forward(np.zeros((1, 3, 5, 5), 'float32'))
    assert array_module(n.forward(n.bring(np.zeros((1, 3, 5, 5), 'float32')))) is cupy


def test_an_invalid_label_is_rejected_before_the_upload(cupy):
    n = small_net().to('gpu')
    label = np.zeros((1, 5, 6), 'uint8')
    label[0, 3, 4] = 7
    with pytest.raises(ValueError, match='7 at row 3, column 4 of .* 0'):
        loss_and_gradients(n, np.zeros((1, 3, 5, 6), 'float32'), label, make_recipe())


def test_a_diverging_loss_names_the_first_box(cupy):
    n = small_net().to('gpu')
    n.params['conv1.b'][...] = 3e38
    with pytest.raises(ValueError, match=r'step 1, .*lr 0.1.*(score|conv1) = .*first box'):
        fit(n, small_dataset(), make_recipe(), device='gpu')


@both_implementations
def test_predictions_do_not_depend_on_the_device(implementation, cupy):
    n = small_net('float64', seed=3)
    dataset = small_dataset(size=(40, 50))
    image = dataset[0][0]
    multiscale = dict(scales=(.5, 1), flip=True, window=32)

    def predictions():
        return [predict(n, image), predict(n, image, max_memory=4e5),
                predict(n, image, **multiscale)]

    on_host = predictions()
    assert len(np.unique(on_host[0])) > 1
    scores = evaluate(n, dataset)
    with implementation():
        n.to('gpu')
        assert all(isinstance(pred, np.ndarray) and (pred == same).all()
                   for pred, same in zip(predictions(), on_host))
        np.testing.assert_equal(evaluate(n, dataset), scores)


def test_a_run_resumes_on_either_device(cupy, tmp_path):
    """Started on the GPU, stopped, resumed on the host; and the other way round."""
    recipe = make_recipe(steps=4, validate_every=2, momentum=.9)
    data = small_dataset(), small_dataset(2)
    uninterrupted = small_net('float64', norm=True, drop=.3)
    [*run(tmp_path / 'uninterrupted', uninterrupted, *data, recipe)]
    for first, second in ('gpu', 'cpu'), ('cpu', 'gpu'):
        stopped = small_net('float64', norm=True, drop=.3).to(first)
        rows = run(tmp_path / first, stopped, *data, recipe)
        next(row for row in rows if row['step'] == 3)
        rows.close()
        assert checkpoint.load(tmp_path / first / 'last.safetensors')[2]['run']['step'] == 3
        resumed = small_net('float64', norm=True, drop=.3, seed=5).to(second)
        resumed.seed = 0
        [*run(tmp_path / first, resumed, *data, recipe, resume=True)]
        assert_alike(resumed, uninterrupted)


def test_weight_files_are_the_same_from_either_device(cupy, tmp_path):
    n = build('tiny_16s', 3)
    n.save(tmp_path / 'cpu.safetensors')
    n.to('gpu').save(tmp_path / 'gpu.safetensors')
    assert (tmp_path / 'cpu.safetensors').read_bytes() == (
        tmp_path / 'gpu.safetensors').read_bytes()
    assert_alike(load(tmp_path / 'gpu.safetensors'), n.to('cpu'), 0)


def test_the_command_line_trains_and_predicts_on_the_gpu(cupy, tmp_path, monkeypatch, capsys):
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


def test_every_check_of_the_gpu_passes(cupy):
    names = [check for check, ok, _ in gpu_status() if ok]
    assert names == ['wheel', 'driver', 'toolkit', 'kernel']


def test_precision_is_restored_after_its_block(cupy):
    from cupy._core import _routines_linalg as linalg
    with precision('tf32'):
        assert linalg.get_compute_type('f') == linalg.COMPUTE_TYPE_TF32
        with precision('float32'):
            assert linalg.get_compute_type('f') == linalg.COMPUTE_TYPE_DEFAULT
        assert linalg.get_compute_type('f') == linalg.COMPUTE_TYPE_TF32
    assert linalg.get_compute_type('f') == linalg.COMPUTE_TYPE_DEFAULT


def test_memory_is_limited_in_bytes_or_per_cent(cupy):
    pool = cupy.get_default_memory_pool()
    limit_gpu_memory('25%')
    assert pool.get_limit() == 1 << 32
    limit_gpu_memory(10 ** 9)
    assert pool.get_limit() == 10 ** 9
