"""What a user asks of a GPU, on the real CuPy: nets move there and predict; memory and precision
are limited as the user says.
"""
from contextlib import nullcontext

import numpy as np
import pytest
from fake_cuda.driver import counting, memory_limit
from PIL import Image
from training_samples import bits, small_dataset, small_net

from tinyfcn import build, evaluate, load, predict
from tinyfcn.cli import main
from tinyfcn.data import shapes
from tinyfcn.dispatch import reference_only
from tinyfcn.runtime.backend import array_module, on_host
from tinyfcn.runtime.gpu import gpu_status, limit_gpu_memory, precision, to_gpu

pytestmark = pytest.mark.cupy


# ---- Moving

def test_a_net_moves_there_and_back_unchanged(real_cupy):
    n = small_net(norm=True)
    before = bits(n)
    assert n.to('gpu') is n
    assert not any(map(on_host, [*n.params.values(), *n.state.values()]))
    assert all(to_gpu(w) is w for w in n.params.values())
    assert bits(n.to('cpu')) == before
    assert all(map(on_host, n.params.values()))


def test_a_net_on_the_gpu_rejects_an_image_on_the_host(real_cupy):
    n = small_net().to('gpu')
    image = np.zeros((1, 3, 5, 5), 'float32')
    with pytest.raises(TypeError, match='cupy .* numpy'):
        n.forward(image)
    assert array_module(n.forward(n.bring(image))) is real_cupy


def test_weight_files_are_the_same_from_either_device(real_cupy, tmp_path):
    n = build('tiny_16s', 3)
    n.save(tmp_path / 'cpu.safetensors')
    n.to('gpu').save(tmp_path / 'gpu.safetensors')
    assert (tmp_path / 'cpu.safetensors').read_bytes() == (
        tmp_path / 'gpu.safetensors').read_bytes()
    assert bits(load(tmp_path / 'gpu.safetensors')) == bits(n.to('cpu'))


# ---- Predictions

@pytest.mark.parametrize('implementation', [reference_only, nullcontext],
                         ids=['reference', 'kernels'])
def test_predictions_do_not_depend_on_the_device(real_cupy, implementation):
    n = small_net('float64', seed=3)
    dataset = small_dataset(size=(40, 50))
    image = dataset[0][0]
    multiscale = dict(scales=(.5, 1), flip=True, window=32)

    def predictions():
        return [predict(n, image), predict(n, image, max_memory=4e5),
                predict(n, image, **multiscale)]

    by_host = predictions()
    assert len(np.unique(by_host[0])) > 1
    scores = evaluate(n, dataset)
    with implementation():
        n.to('gpu')
        assert all(isinstance(pred, np.ndarray) and (pred == same).all()
                   for pred, same in zip(predictions(), by_host))
        np.testing.assert_equal(evaluate(n, dataset), scores)


def test_where_memory_is_short_an_image_is_predicted_in_tiles(pool):
    """Memory that another program takes meanwhile: CuPy's error is a MemoryError."""
    n = small_net(channels=64).to('gpu')
    image = np.random.default_rng(1).integers(0, 256, (200, 210, 3), 'uint8')
    whole = predict(n, image)
    needed = pool.total_bytes()
    pool.free_all_blocks()
    with memory_limit(needed // 2):
        with pytest.raises(MemoryError, match='Out of memory'):
            n.forward(to_gpu(np.zeros((1, 3, 200, 210), 'float32')))
        np.testing.assert_array_equal(predict(n, image, max_memory=1e12), whole)


def test_the_command_line_trains_and_predicts_on_the_gpu(pool, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Image.new('RGB', (40, 30)).save('grey.png')
    gpu = '--device gpu --precision tf32 --gpu-memory 50%'.split()
    monkeypatch.setitem(shapes.SPLITS, 'val', (2, 1))
    small = '--set steps=1 validate_every=1 batch=1'.split()
    with memory_limit(1 << 34), counting() as counts:
        assert main(['train', 'shapes-32s', *small, *gpu]) == 0, capsys.readouterr().err
        assert pool.get_limit() == 1 << 33
        assert main(['predict', 'runs/shapes-32s', 'grey.png', *gpu]) == 0
    assert (tmp_path / 'predictions/grey.png').exists()
    assert counts['launches'] > 100 and counts['tf32_products'] > 10


# ---- Status, precision, memory

def test_every_check_of_the_gpu_passes(real_cupy):
    assert [check for check, ok, _ in gpu_status() if ok] == [
        'wheel', 'driver', 'toolkit', 'kernel']


def test_a_net_multiplies_in_the_precision_of_its_block(real_cupy):
    n = build('tiny_8s', 3, width=1/2).to('gpu')
    image = to_gpu(np.random.default_rng(0).standard_normal((1, 3, 40, 40)).astype('float32'))
    products = {}
    for name in 'float32', 'tf32':
        with precision(name), counting() as counts:
            n.forward(image)
        products[name] = counts
    with counting() as after:
        n.forward(image)
    assert products['tf32']['tf32_products'] == products['tf32']['products'] > 5
    assert products['float32']['tf32_products'] == after['tf32_products'] == 0


def test_blocks_of_precision_may_be_nested(real_cupy):
    from cupy._core import _routines_linalg as linalg
    with precision('tf32'):
        with precision('float32'):
            assert linalg.get_compute_type('f') == linalg.COMPUTE_TYPE_DEFAULT
        assert linalg.get_compute_type('f') == linalg.COMPUTE_TYPE_TF32
    assert linalg.get_compute_type('f') == linalg.COMPUTE_TYPE_DEFAULT


def test_memory_is_limited_in_bytes_or_per_cent(pool):
    with memory_limit(1 << 34):
        limit_gpu_memory('25%')
        assert pool.get_limit() == 1 << 32
    limit_gpu_memory(10 ** 6)
    to_gpu(np.zeros(10 ** 5))
    with pytest.raises(MemoryError, match='Out of memory allocating .* limit'):
        to_gpu(np.zeros(10 ** 6))
