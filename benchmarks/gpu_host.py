"""Host time on a GPU: how long Python needs to ask for a forward pass and for a step of FCN-8s.

    python benchmarks/gpu_host.py                               on a GPU
    python tests/fake_cuda/run.py benchmarks/gpu_host.py        on the stand-in driver

A GPU computes what was asked for while Python asks for more; where it is faster, it stands still.
What is measured is the CPU time of this thread, with and without tapes (kernels/gpu/tape.py). On
the stand-in driver kernels do nothing, and what is asked of it is counted. Its times are those of
Python on this machine, and say nothing about a GPU.
"""
import argparse
import os
import sys
from fractions import Fraction
from pathlib import Path
from statistics import median
from time import thread_time

# import from the repository: tinyfcn need not be installed on the GPU machine
sys.path.append(str(Path(__file__).parents[1]))

# isort: split
import gpu_timing
from markdown_table import table
from timing import random_batch, sgd_step

import tinyfcn
from tinyfcn.kernels.gpu import tape

ON_STAND_IN = 'FAKE_CUDA_TESTS' in os.environ       # as tests/fake_cuda/run.py sets it
COUNTED = 'launches', 'products', 'allocations', 'uploads', 'waits'
WARM_UP = 5                                         # runs, after which every tape is made


def host_times(run, rounds):
    """-> the median and the least CPU seconds of run(), with all waiting left out"""
    for _ in range(WARM_UP):
        run()
    seconds = []
    for _ in range(rounds):
        gpu_timing.wait('gpu')
        began = thread_time()
        run()
        seconds.append(thread_time() - began)
    gpu_timing.wait('gpu')
    return median(seconds), min(seconds)


def count_calls(run):
    """-> how often each of COUNTED happens in run(), as the stand-in driver counts"""
    from fake_cuda.driver import counting
    with counting() as counts:
        run()
    return [counts[name] for name in COUNTED]


def measure(functions, rounds):
    """-> the rows of the table"""
    for name, run in functions.items():
        for enabled in False, True:
            tape.enabled = enabled
            times = host_times(run, rounds)
            yield [name, 'tapes' if enabled else 'as written',
                   *(f'{1e3 * seconds:.2f}' for seconds in times),
                   *(count_calls(run) if ON_STAND_IN else [])]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--net', default='fcn8s')
    parser.add_argument('--width', type=Fraction, default=Fraction(1))
    parser.add_argument('--size', type=int, default=500, help='of the image, in pixels')
    parser.add_argument('--batch', type=int, default=1)
    parser.add_argument('--rounds', type=int, default=40)
    args = parser.parse_args()
    print(gpu_timing.describe_gpu('gpu'))
    net = tinyfcn.build(args.net, seed=None, width=float(args.width)).to('gpu')
    image, label = (gpu_timing.to_device(x, 'gpu') for x in
                    random_batch(net, (args.size, args.size), args.batch))
    functions = {'forward': lambda: net.forward(image),
                 'step': sgd_step(net, image, label.astype('uint8'))}
    header = ['', '', 'median ms', 'least ms', *(COUNTED if ON_STAND_IN else [])]

    if ON_STAND_IN:
        from fake_cuda.driver import computing
        with computing(False):
            rows = [*measure(functions, args.rounds)]
    else:
        rows = [*measure(functions, args.rounds)]
    print('\n'.join(table(header, rows)))


if __name__ == '__main__':
    main()
