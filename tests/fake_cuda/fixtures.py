"""The real CuPy as a fixture; tests/conftest.py makes it known to all tests."""
import os

import pytest


@pytest.fixture
def real_cupy():
    """CuPy over the stand-in driver, without tapes of other tests, which had other thresholds.

    Each array is an allocation of its own, of NaN at first: without CuPy's pool the driver sees
    where an array ends; see memory.cpp.
    """
    if 'FAKE_CUDA_WHEEL' not in os.environ:
        message = ('the marks cupy and gpuproof need the stand-in driver: '
                   'python tests/fake_cuda/run.py -m pytest -m "cupy or gpuproof"')
        assert not os.environ.get('CI'), message
        pytest.skip(message)
    import cupy

    from tinyfcn.kernels.gpu import tape
    tape.forget()
    before = cupy.cuda.get_allocator()
    cupy.cuda.set_allocator(None)
    try:
        yield cupy
        cupy.cuda.runtime.deviceSynchronize()       # an error of a kernel belongs to this test
    finally:
        cupy.cuda.set_allocator(before)


@pytest.fixture
def pool(real_cupy):
    """CuPy's memory pool, in use, empty and without a limit."""
    pool = real_cupy.get_default_memory_pool()
    pool.free_all_blocks()
    real_cupy.cuda.set_allocator(pool.malloc)           # real_cupy restores what was set before
    yield pool
    pool.set_limit(size=0)
