"""The stand-in driver under the real CuPy: what it counts, what it computes, what it finds."""
import os
import subprocess
import sys

import numpy as np
import pytest
from fake_cuda import driver

from tinyfcn import ops

pytestmark = pytest.mark.cupy
# after an error that stays, freeing an array fails, which CuPy can only print
frees_fail_too = pytest.mark.filterwarnings('ignore::pytest.PytestUnraisableExceptionWarning')

REVERSE = '''
extern "C" __global__ void reverse(const float* x, float* y)
{
    __shared__ float tile[256];
    tile[threadIdx.x] = x[blockIdx.x * 256 + threadIdx.x];
    __syncthreads();
    y[blockIdx.x * 256 + threadIdx.x] = tile[255 - threadIdx.x];
}
extern "C" __global__ void sum_of_warp(const float* x, float* y)
{
    float sum = x[threadIdx.x];
    for (int by = 16; by; by /= 2)
        sum += __shfl_down_sync(0xffffffff, sum, by);
    if (threadIdx.x % 32 == 0)
        y[threadIdx.x / 32] = sum;
}
extern "C" __global__ void unwritten(float* y)
{
    __shared__ float tile[32];
    y[threadIdx.x] = tile[threadIdx.x];
}
extern "C" __global__ void last_of_all(int* y) { *y = blockIdx.x * blockDim.x + threadIdx.x; }
extern "C" __global__ void beyond(float* y) { y[threadIdx.x + 1] = 0; }
'''


@pytest.fixture
def cupy(real_cupy):
    return real_cupy


def kernel(cupy, name):
    return cupy.RawModule(code=REVERSE, options=('--std=c++17',)).get_function(name)


def test_calls_are_counted_and_recorded(cupy):
    x = cupy.asarray(np.arange(6, dtype='float32'))
    with driver.counting() as counts, driver.recording() as lines:
        (x + 1).get()
    happened = {name: count for name, count in counts.items() if count}
    assert happened == dict(launches=1, allocations=1, downloads=1, waits=1, downloaded_bytes=24)
    assert lines[0] == 'allocate 24' and lines[1].startswith('launch cupy_add__float32')


def test_threads_of_a_block_wait_for_each_other(cupy):
    x = cupy.arange(512, dtype='float32')
    y = cupy.empty_like(x)
    kernel(cupy, 'reverse')((2,), (256,), (x, y))
    np.testing.assert_array_equal(y.get(), x.get().reshape(2, 256)[:, ::-1].ravel())


def test_a_warp_shuffles(cupy):
    x = np.random.default_rng(0).integers(0, 100, 96).astype('float32')
    y = cupy.empty(3, 'float32')
    kernel(cupy, 'sum_of_warp')((1,), (96,), (cupy.asarray(x), y))
    np.testing.assert_array_equal(y.get(), x.reshape(3, 32).sum(1))


def test_threads_run_in_both_orders(cupy):
    y = cupy.zeros((), 'int32')
    kernel(cupy, 'last_of_all')((3,), (64,), (y,))
    assert y.get() == 3 * 64 - 1
    with driver.threads_reversed():
        kernel(cupy, 'last_of_all')((3,), (64,), (y,))
    assert y.get() == 0


def test_memory_that_was_never_written_is_nan(cupy):
    assert np.isnan(cupy.empty(3, 'float32').get()).all()
    y = cupy.zeros(32, 'float32')
    kernel(cupy, 'unwritten')((1,), (32,), (y,))
    assert np.isnan(y.get()).all()


@frees_fail_too
def test_a_write_behind_an_array_is_found(cupy):
    y = cupy.zeros(32, 'float32')
    with driver.failing('no kernel'):               # which resets the error behind the block
        kernel(cupy, 'beyond')((1,), (32,), (y,))
        with pytest.raises(cupy.cuda.runtime.CUDARuntimeError, match='illegal memory access'):
            y.get()


def pinned_like(cupy, x):
    memory = cupy.cuda.alloc_pinned_memory(x.nbytes)
    array = np.frombuffer(memory, x.dtype, x.size)
    array[:] = x
    return array


def test_a_download_to_pinned_memory_arrives_with_the_next_wait(cupy):
    host = pinned_like(cupy, np.zeros(3, 'float32'))
    stream = cupy.cuda.Stream(non_blocking=True)
    with stream:
        cupy.ones(3, 'float32').get(stream=stream, out=host, blocking=False)
        np.testing.assert_array_equal(host, [0, 0, 0])
        stream.synchronize()
    np.testing.assert_array_equal(host, [1, 1, 1])


@frees_fail_too
def test_pinned_memory_that_changes_before_its_upload_ends_is_found(cupy):
    host = pinned_like(cupy, np.zeros(3, 'float32'))
    stream = cupy.cuda.Stream(non_blocking=True)
    x = cupy.empty(3, 'float32')
    with driver.failing('no kernel'):               # which resets the error behind the block
        x.set(host, stream)
        stream.synchronize()
        host[0] = 1                                 # the upload has ended
        stream.synchronize()
        x.set(host, stream)
        host[0] = 2
        with pytest.raises(cupy.cuda.runtime.CUDARuntimeError, match='illegal memory access'):
            stream.synchronize()


def test_nothing_is_kept_of_what_was_not_computed(cupy):
    x = np.random.default_rng(0).standard_normal((1, 1, 3, 5)).astype('float32')
    with driver.computing(False):
        for _ in range(4):
            ops.upsample(cupy.asarray(x), 2)
    y, _ = ops.upsample(cupy.asarray(x), 2)
    expected, _ = ops.upsample(x, 2)
    np.testing.assert_allclose(y.get(), expected, rtol=1e-6)


def test_memory_is_limited(cupy):
    with driver.memory_limit(1 << 20):
        cupy.empty(1 << 16, 'float32')
        with pytest.raises(Exception, match='out of memory'):
            cupy.empty(1 << 20, 'float32')
    cupy.empty(1 << 20, 'float32')


@pytest.mark.parametrize('grid, block, shared', [((1,), (1025,), 0), ((1, 70000), (1,), 0),
                                                 ((1,), (256,), 50 << 10)])
def test_a_launch_that_a_gpu_would_refuse_fails(cupy, grid, block, shared):
    x = cupy.zeros(512, 'float32')
    with pytest.raises(cupy.cuda.driver.CUDADriverError, match='invalid'):
        kernel(cupy, 'reverse')(grid, block, (x, x), shared_mem=shared)


@frees_fail_too
@pytest.mark.parametrize('blocking', [False, True])
def test_a_failed_kernel_is_reported_late_and_for_ever(cupy, monkeypatch, blocking):
    monkeypatch.setenv('CUDA_LAUNCH_BLOCKING', str(int(blocking)))
    x = cupy.zeros(3, 'float32')
    with driver.failing('multiply'):
        y = x + 1
        if blocking:
            with pytest.raises(Exception, match='illegal memory access'):
                x * 2
        else:
            x * 2
            y = x + 1                               # what is launched behind it succeeds
        for _ in range(2):
            with pytest.raises(Exception, match='illegal memory access'):
                y.get()
        with pytest.raises(Exception, match='illegal memory access'):
            cupy.zeros(3)
    np.testing.assert_array_equal((x + 1).get(), [1, 1, 1])


@pytest.mark.parametrize('failure, memory, code, message', [
    ('add,kill', 1 << 30, -9, ''), ('add', 1 << 30, 1, 'illegal memory access'),
    ('multiply', 1 << 10, 1, 'Out of memory')])
def test_the_environment_says_what_fails_in_another_process(failure, memory, code, message):
    program = 'import cupy; print(float(cupy.ones(1000, "float32")[0] + 1))'
    done = subprocess.run([sys.executable, '-c', program], capture_output=True, text=True, env={
        **os.environ, 'FAKE_CUDA_FAIL': failure, 'FAKE_CUDA_MEMORY': str(memory)})
    assert done.returncode == code
    assert message in done.stdout + done.stderr


def test_products_equal_numpy_and_tf32_rounds_their_factors(cupy):
    from cupy._core import _routines_linalg as linalg
    rng = np.random.default_rng(0)
    a = rng.standard_normal((5, 64)).astype('float32')
    b = rng.standard_normal((64, 7)).astype('float32')
    exact = a.astype('float64') @ b
    errors = {}
    for name in 'COMPUTE_TYPE_DEFAULT', 'COMPUTE_TYPE_TF32':
        before = linalg.get_compute_type('f')
        linalg.set_compute_type('f', getattr(linalg, name))
        try:
            with driver.counting() as counts:
                y = cupy.asarray(a) @ cupy.asarray(b)
        finally:
            linalg.set_compute_type('f', before)
        assert counts['products'] == 1
        assert counts['tf32_products'] == (name == 'COMPUTE_TYPE_TF32')
        errors[name] = np.abs(y.get() - exact).max() / np.abs(exact).max()
    assert errors['COMPUTE_TYPE_DEFAULT'] < 1e-7
    assert 1e-5 < errors['COMPUTE_TYPE_TF32'] < 1e-3


def test_a_function_that_is_not_there_says_so(cupy, capfd):
    with pytest.raises(RuntimeError, match='CUSOLVER'):
        cupy.linalg.svd(cupy.eye(3))
    assert 'cusolverDn' in capfd.readouterr().err


def test_events_measure_time_of_the_host(cupy):
    start, end = cupy.cuda.Event(), cupy.cuda.Event()
    start.record()
    end.record()
    end.synchronize()
    assert 0 <= cupy.cuda.get_elapsed_time(start, end) < 1000
