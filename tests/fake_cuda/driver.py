"""What the stand-in driver counts, and what it can be told.

    with counting() as counts:              launches, copies, waits … inside
        net.forward(image)
    counts['launches']

    with recording() as lines: ...          a line for each of them, in order
    with computing(False): ...              kernels, products and copies do nothing: host time alone
    with memory_limit(1 << 30): ...         the device has 1 GiB
    with threads_reversed(): ...            the last thread of a kernel runs first
    with failing('im2col'): ...             the next launch of a kernel with this name fails

A failing kernel behaves as on a GPU: the launch succeeds, the next wait raises the error (with
CUDA_LAUNCH_BLOCKING=1 the launch does), and every later call raises it too. In another process the
environment says the same: FAKE_CUDA_FAIL=im2col,hang,3 and FAKE_CUDA_MEMORY=1000000000.
"""
import ctypes
import os
from contextlib import contextmanager
from functools import cache

COUNTERS = ('launches', 'uploads', 'downloads', 'device_copies', 'fills', 'allocations', 'waits',
            'events', 'products', 'tf32_products', 'uploaded_bytes', 'downloaded_bytes')
ACTIONS = 'error', 'hang', 'kill'
MEMORY = 8 << 30        # bytes of the device


@cache
def library():
    """The driver that importer.py has loaded."""
    driver = ctypes.CDLL('libcuda.so.1')
    driver.fake_cuda_recorded.restype = ctypes.c_char_p
    return driver


@contextmanager
def counting():
    """A dict that holds, behind the block, how often each of COUNTERS happened inside."""
    before = _counters()
    counts = {}
    try:
        yield counts
    finally:
        counts.update({name: after - first
                       for name, first, after in zip(COUNTERS, before, _counters())})


def _counters():
    values = (ctypes.c_int64 * len(COUNTERS))()
    library().fake_cuda_counts(values)
    return [*values]


@contextmanager
def recording():
    """A list that holds, behind the block, a line for each call of the driver inside."""
    lines = []
    library().fake_cuda_record(1)
    try:
        yield lines
    finally:
        library().fake_cuda_record(0)
        lines += library().fake_cuda_recorded().decode().splitlines()


@contextmanager
def computing(on):
    """computing(False): kernels, products and copies are counted, and do nothing."""
    library().fake_cuda_compute(int(on))
    try:
        yield
    finally:
        library().fake_cuda_compute(1)
        _forget_arrays()


@contextmanager
def threads_reversed():
    """The last block and thread of a kernel runs first: no result may depend on the order."""
    library().fake_cuda_reverse(1)
    try:
        yield
    finally:
        library().fake_cuda_reverse(0)


@contextmanager
def memory_limit(limit):
    """The device has so many bytes."""
    _limit_memory(limit)
    try:
        yield
    finally:
        _limit_memory(MEMORY)


@contextmanager
def failing(kernel, action='error', after=0):
    """A launch of a kernel whose name contains `kernel` fails, after so many that succeed.

    action: 'error' (an illegal address), 'hang' (the call never returns) or 'kill' (the process).
    Behind the block all is well again, which on a GPU only a new process brings.
    """
    _fail(kernel, action, after)
    try:
        yield
    finally:
        library().fake_cuda_reset()
        _forget_arrays()


def read_environment():
    """Do what FAKE_CUDA_FAIL and FAKE_CUDA_MEMORY say."""
    if 'FAKE_CUDA_MEMORY' in os.environ:
        _limit_memory(int(os.environ['FAKE_CUDA_MEMORY']))
    if 'FAKE_CUDA_FAIL' in os.environ:
        kernel, *rest = os.environ['FAKE_CUDA_FAIL'].split(',')
        _fail(kernel, action=rest[0] if rest else 'error', after=int(rest[1]) if rest[1:] else 0)


def _forget_arrays():
    """Forget what ops keep on the GPU for later calls: made while nothing ran, it has no values."""
    from tinyfcn.kernels.gpu import tape, upsample
    upsample._matrix.cache_clear()
    tape.forget()


def _limit_memory(limit):
    library().fake_cuda_memory(ctypes.c_int64(limit))


def _fail(kernel, action, after):
    if action not in ACTIONS:
        raise ValueError(f'a kernel may {", ".join(ACTIONS)}, and not {action!r}')
    library().fake_cuda_fail(kernel.encode(), action.encode(), ctypes.c_int64(after))
