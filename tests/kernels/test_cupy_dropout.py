"""Dropout with the real CuPy: the units of the CPU, and a bit for each of them is uploaded."""
import numpy as np
import pytest
from fake_cuda import driver

from tinyfcn import ops

pytestmark = pytest.mark.cupy


@pytest.mark.parametrize('shape', [(2, 3, 9, 10), (1, 3, 5, 7)], ids=['540 units', '105 units'])
@pytest.mark.parametrize('dtype', ['float32', 'float64'])
@pytest.mark.parametrize('p', [0., .3, .5, 1.])
def test_the_units_of_the_cpu_are_dropped(shape, dtype, p, real_cupy):
    rng = np.random.default_rng(1)
    x = rng.standard_normal(shape).astype(dtype)
    dy = rng.standard_normal(shape).astype(dtype)
    y, cache = ops.dropout.reference(x, p, train=True, rng=np.random.default_rng(2))
    dx, = ops.dropout.backward(dy, cache)
    on_gpu, dy_on_gpu = map(real_cupy.asarray, (x, dy))
    with driver.counting() as counts:
        y_on_gpu, gpu_cache = ops.dropout(on_gpu, p, train=True, rng=np.random.default_rng(2))
        dx_on_gpu, = ops.dropout.backward(dy_on_gpu, gpu_cache)
    np.testing.assert_array_equal(y_on_gpu.get(), y)
    np.testing.assert_array_equal(dx_on_gpu.get(), dx)
    np.testing.assert_array_equal(gpu_cache[1].get(), cache[1])
    assert (counts['launches'], counts['waits'], counts['uploads']) == (2, 0, 1)
    assert counts['uploaded_bytes'] == -(-x.size // 8)
