"""What the machine can do at most: multiply-adds from registers alone, and bytes from memory.

    python benchmarks/peak.py

For as many threads as TINYFCN_THREADS says. The other benchmarks say what share of this they reach:
an op that makes so many multiply-adds, and must read and write so many bytes, takes at least
`least_seconds` by whichever of the two takes longer. A row of so many bytes is measured by arrays
as large, which may lie in a cache.
"""
from math import log
from time import perf_counter

from timing import THREADS, check_machine, measure_rows, np, save, threads_of

# isort: split
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from tinyfcn.kernels.cpu.jit import compiled
from tinyfcn.kernels.cpu.simd import FLOATS, LANES, SIZE, call, splat
from tinyfcn.kernels.cpu.vec import ZERO, full, load, total
from tinyfcn.runtime.threads import parallel, split_range

CHAINS = 12             # multiply-adds under way at once: each waits for the one before it
ROUNDS = 2_000_000      # of all chains, about 5 ms
MEGABYTES = 1, 4, 16, 64, 256
REPEATS = 20


@intrinsic
def multiply_add(typing, rounds, factor):
    """CHAINS vectors, each of them `rounds` times v = v · factor + factor. -> a sum that needs all
    of them"""
    def emit(context, b, sig, args):
        rounds, factor = args
        factor = splat(b, factor)
        before, loop, end = b.block, b.append_basic_block('loop'), b.append_basic_block('end')
        b.branch(loop)
        b.position_at_end(loop)
        i = b.phi(SIZE)
        vectors = [b.phi(FLOATS) for _ in range(CHAINS)]
        results = [call(b, f'llvm.fma.v{LANES}f32', FLOATS, v, factor, factor) for v in vectors]
        following = b.add(i, SIZE(1))
        i.add_incoming(SIZE(0), before)
        i.add_incoming(following, loop)
        for number, (vector, result) in enumerate(zip(vectors, results)):
            vector.add_incoming(ir.Constant(FLOATS, [float(number)] * LANES), before)
            vector.add_incoming(result, loop)
        b.cbranch(b.icmp_signed('<', following, rounds), loop, end)
        b.position_at_end(end)
        total = results[0]
        for result in results[1:]:
            total = b.fadd(total, result)
        return b.extract_element(total, ir.IntType(32)(0))
    return types.float32(types.intp, types.float32), emit


@compiled
def run(rounds, factor):
    return multiply_add(rounds, factor)


@compiled
def read(address, count):
    """The sum of `count` floats, a multiple of 8 · LANES: by eight chains, as each add waits."""
    a = b = c = d = e = f = g = h = full(ZERO)
    for at in range(address, address + 4 * count, 32 * LANES):
        a = a + load(at, LANES)
        b = b + load(at + 4 * LANES, LANES)
        c = c + load(at + 8 * LANES, LANES)
        d = d + load(at + 12 * LANES, LANES)
        e = e + load(at + 16 * LANES, LANES)
        f = f + load(at + 20 * LANES, LANES)
        g = g + load(at + 24 * LANES, LANES)
        h = h + load(at + 28 * LANES, LANES)
    return total((a + b) + (c + d) + (e + f) + (g + h))


def seconds_in_parallel(function, parts):
    """The least time of function(part) for all parts, a thread for each."""
    least = float('inf')
    for _ in range(REPEATS):
        start = perf_counter()
        parallel(function, parts)
        least = min(least, perf_counter() - start)
    return least


def measure_flops():
    """The most multiply-adds a second, times two."""
    run(1, np.float32(.5))                              # compiles it
    seconds = seconds_in_parallel(lambda _: run(ROUNDS, np.float32(.5)), range(THREADS))
    return THREADS * 2 * LANES * CHAINS * ROUNDS / seconds


def measure_bandwidth(megabytes):
    """The most bytes a second: of those read, and of those read and written by a copy."""
    x = np.ones((megabytes << 18) // 2, 'float32')
    y = np.ones_like(x)
    block = 8 * LANES
    parts = [slice(block * part.start, block * part.stop)
             for part in split_range(x.size // block)]
    read(x.ctypes.data, block)

    def read_both(part):
        for array in x, y:
            read(array[part].ctypes.data, part.stop - part.start)

    return dict(megabytes=megabytes,
                read=(x.nbytes + y.nbytes) / seconds_in_parallel(read_both, parts),
                copy=(x.nbytes + y.nbytes) / seconds_in_parallel(
                    lambda part: np.copyto(y[part], x[part]), parts))


def measure():
    return dict(flops=measure_flops(), bandwidth=[measure_bandwidth(size) for size in MEGABYTES])


def least_seconds(peak, multiply_adds, nbytes):
    """What an op takes at least, on a machine with this peak."""
    closest = min(peak['bandwidth'], key=lambda row: abs(log(row['megabytes'] * 1e6 / nbytes)))
    return max(2 * multiply_adds / peak['flops'], nbytes / max(closest['read'], closest['copy']))


def machine_peak():
    """The row for THREADS threads, measured unless this run of the benchmarks has it."""
    rows = measure_rows('peak', [({}, measure)], lambda row: None)
    return next(row for row in rows if row['threads'] == THREADS)


def print_row(row):
    print(f'{threads_of(row)}: {row["flops"] / 1e9:.0f} GFLOP/s')
    for size in row['bandwidth']:
        print(f'{size["megabytes"]:4} MB: read {size["read"] / 1e9:.0f} GB/s, copy '
              f'{size["copy"] / 1e9:.0f} GB/s')


def main():
    machine = check_machine()
    save('peak', measure_rows('peak', [({}, measure)], print_row), machine)


if __name__ == '__main__':
    main()
