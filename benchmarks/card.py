"""The card: what it is, how long its work takes, how much of its memory is held, what it can do.

    seconds(run)                                of one run, the card waited for
    repeated(run)                               as often as a clock needs, as one function
    ceilings()                                  bytes and sums a second that this card reaches

The device is 'cpu' in a dry run: the same words, and nothing to wait for.
"""
from math import ceil
from time import perf_counter

from timing import np, peak_memory, time_alternately

from tinyfcn.runtime.gpu import gpu_status, precision, to_gpu
from tinyfcn.runtime.machine import available_memory

ENOUGH = .01            # seconds that a clock is to be held against
GIGA = 1 << 30


def words(device):
    """What computes, layer by layer; an error with the remedy where nothing does."""
    if device == 'cpu':
        return 'none, a dry run on the CPU'
    found = gpu_status()
    for layer, fine, said in found:
        if not fine:
            raise SystemExit(f'no card to measure, {layer}: {said}')
    return '; '.join(said for _, _, said in found)


def placed(a, device):
    """A NumPy array on the device."""
    return to_gpu(a) if device == 'gpu' else a


def waited(device):
    """Until all that was begun on the device is done, PyTorch's work too."""
    if device == 'gpu':
        import cupy
        cupy.cuda.Device().synchronize()


def held(device):
    """The bytes that CuPy's pool holds, which gives none back: the most that it held so far."""
    if device == 'cpu':
        return peak_memory()
    import cupy
    return cupy.get_default_memory_pool().total_bytes()


def free(device):
    """The bytes of the card that nobody has taken: a library's workspace is taken, too."""
    if device == 'cpu':
        return available_memory()
    import cupy
    return cupy.cuda.runtime.memGetInfo()[0]


def emptied(device):
    """What is free in the pools goes back to the card."""
    if device == 'gpu':
        import cupy
        cupy.get_default_memory_pool().free_all_blocks()


def synced(run, device):
    """run(), and its end waited for."""
    def whole():
        run()
        waited(device)
    return whole


def seconds(run, device):
    began = perf_counter()
    synced(run, device)()
    return perf_counter() - began


def in_turn(rivals, device, budget):
    """Medians of short work in turn, each often enough for a clock. -> {name: dict(median, …)}"""
    many, times = {}, {}
    for name, run in rivals.items():
        run()                                           # compiles, and takes its memory
        seconds(run, device)
        times[name] = ceil(ENOUGH / max(seconds(run, device), 1e-6))
        many[name] = synced(_often(run, times[name]), device)
    return {name: {key: value if key == 'rounds' else value / times[name]
                   for key, value in row.items()}
            for name, row in time_alternately(many, budget).items()}


def _often(run, count):
    def again():
        for _ in range(count):
            run()
    return again


def ceilings(device, size=8192, copied=GIGA):
    """-> dict of bytes/s of a copy, read and written, and of sums·2/s of products of matrices

    `batched` is the product in which Winograd's transforms meet: 36 of them at once.
    """
    rng, few = np.random.default_rng(0), size // 16
    a, b, c, d, x = (placed(rng.standard_normal(shape, 'float32'), device) for shape in (
        (size, size), (size, size), (36, few, few), (36, few, size), copied // 4))
    y = placed(np.zeros(copied // 4, 'float32'), device)

    def copy():
        y[...] = x

    found = dict(copy=2 * x.nbytes / in_turn({'': copy}, device, 1.)['']['median'])
    for name in ('float32', 'tf32') if device == 'gpu' else ('float32',):
        with in_precision(name, device):
            runs = dict(product=lambda: a @ b, batched=lambda: c @ d)
            took = in_turn(runs, device, 2.)
        for run, sums in dict(product=size ** 3, batched=c.size * size).items():
            found[f'{run}, {name}'] = 2 * sums / took[run]['median']
    return found


def in_precision(name, device):
    """tinyfcn's precision; a CPU has but one."""
    from contextlib import nullcontext
    return precision(name) if device == 'gpu' else nullcontext()
