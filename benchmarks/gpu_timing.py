"""The GPU of a benchmark: what it is, how long work takes, its memory, its peak speed.

    seconds(run)                of one run, including all work that it starts on the GPU
    host_seconds(run)           until run() returns, while the GPU may still compute
    time_short(functions)       medians of functions that are too short for a clock
    ceilings()                  the bytes and the multiplications a second that this GPU reaches

The device is 'cpu' in a dry run: everything works the same, and there is nothing to wait for.
"""
from contextlib import nullcontext
from math import ceil
from statistics import median
from time import perf_counter

from timing import np, peak_memory, time_alternately

from tinyfcn.runtime.gpu import gpu_status, precision, to_gpu

MIN_SECONDS = .01       # that a clock measures; shorter work is repeated
GIBI = 1 << 30


def describe_gpu(device):
    """GPU, driver and versions; exits with the failed check and the remedy without a usable GPU."""
    if device == 'cpu':
        return 'none, a dry run on the CPU'
    checks = gpu_status()
    for check, ok, message in checks:
        if not ok:
            raise SystemExit(f'no GPU to measure, {check}: {message}')
    return '; '.join(message for _, _, message in checks)


def to_device(a, device):
    """A NumPy array on the device."""
    return to_gpu(a) if device == 'gpu' else a


def wait(device):
    """Wait until all work on the device is done, PyTorch's too."""
    if device == 'gpu':
        import cupy
        cupy.cuda.Device().synchronize()


def pool_bytes(device):
    """The bytes that CuPy's pool holds. It never returns any, so this is the maximum so far."""
    if device == 'cpu':
        return peak_memory()
    import cupy
    return cupy.get_default_memory_pool().total_bytes()


def is_usable(device):
    """Whether this process can still compute on the device: after a CUDA error it cannot."""
    if device == 'cpu':
        return True
    import cupy
    try:
        empty_pool(device)                      # too little memory is no reason to give up
        return float(cupy.ones(3).sum()) == 3
    except Exception:
        return False


def empty_pool(device):
    """Return the unused memory of CuPy's pool to the GPU."""
    if device == 'gpu':
        import cupy
        cupy.get_default_memory_pool().free_all_blocks()


def synchronized(run, device):
    """A function that calls run() and waits for its end on the device."""
    def run_and_wait():
        run()
        wait(device)
    return run_and_wait


def seconds(run, device):
    began = perf_counter()
    synchronized(run, device)()
    return perf_counter() - began


def host_seconds(run, device, rounds=9):
    """The median of the seconds until run() returns, while the device may still compute."""
    times = []
    for _ in range(rounds):
        wait(device)
        began = perf_counter()
        run()
        times.append(perf_counter() - began)
    wait(device)
    return median(times)


def time_short(functions, device, budget):
    """Time short functions alternately, each repeated. -> {name: dict(median, …)} of one run"""
    repeated = {}
    counts = {}
    for name, run in functions.items():
        run()                                           # compiles, and allocates its memory
        seconds(run, device)
        counts[name] = ceil(MIN_SECONDS / max(seconds(run, device), 1e-6))
        repeated[name] = synchronized(_repeat(run, counts[name]), device)
    return {name: {key: value if key == 'rounds' else value / counts[name]
                   for key, value in times.items()}
            for name, times in time_alternately(repeated, budget).items()}


def _repeat(run, count):
    def run_many():
        for _ in range(count):
            run()
    return run_many


def ceilings(device, size=8192, copied=GIBI, budget=1.):
    """-> dict of the bytes/s of a copy, read and written, and the flop/s of matrix products

    `batched` is the kind of product that Winograd uses: 36 at once.
    """
    rng = np.random.default_rng(0)
    small = size // 16
    shapes = (size, size), (size, size), (36, small, small), (36, small, size), copied // 4
    a, b, c, d, x = (to_device(rng.standard_normal(shape, 'float32'), device) for shape in shapes)
    y = to_device(np.zeros(copied // 4, 'float32'), device)

    def copy():
        y[...] = x

    times = time_short(dict(copy=copy), device, budget)
    results = dict(copy=2 * x.nbytes / times['copy']['median'])
    for name in ('float32', 'tf32') if device == 'gpu' else ('float32',):
        with in_precision(name, device):
            times = time_short(dict(product=lambda: a @ b,
                                    batched=lambda: multiply(c, d, device)), device,
                               2 * budget)
        for run, multiplications in dict(product=size ** 3, batched=c.size * size).items():
            results[f'{run}, {name}'] = 2 * multiplications / times[run]['median']
    return results


def multiply(a, b, device):
    """a @ b; of several matrices at once by the function that the kernels use."""
    if device == 'cpu' or a.ndim == 2:
        return a @ b
    from tinyfcn.kernels.gpu import product
    return product.multiply(a, b)


def in_precision(name, device):
    """tinyfcn's precision on the GPU; a CPU has only one."""
    return precision(name) if device == 'gpu' else nullcontext()
