"""What one core, and all that are used, could multiply and add at most: FMA from registers alone.

    python benchmarks/peak.py
"""
from time import perf_counter

from timing import THREADS, np

# isort: split
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from tinyfcn.kernels.cpu.jit import compiled
from tinyfcn.kernels.cpu.simd import FLOATS, LANES, SIZE, call, splat
from tinyfcn.runtime.threads import parallel

CHAINS = 12             # multiply-adds under way at once: each waits for the one before it
ROUNDS = 2_000_000      # of all chains, about 5 ms


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


def measure_peak(threads, repeats=20):
    """The most GFLOP/s that so many threads reach together."""
    least = float('inf')
    for _ in range(repeats):
        start = perf_counter()
        parallel(lambda _: run(ROUNDS, np.float32(.5)), range(threads))
        least = min(least, perf_counter() - start)
    return threads * 2 * LANES * CHAINS * ROUNDS / least / 1e9


def main():
    for threads in sorted({1, THREADS}):
        print(f'{threads} thread{"s" * (threads > 1)}: {measure_peak(threads):.0f} GFLOP/s')


if __name__ == '__main__':
    main()
