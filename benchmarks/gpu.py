"""FCN-8s on VGG-16, 500×500, on a GPU, beside PyTorch on the same GPU in the same run.

    python benchmarks/gpu.py                    within nine minutes; results/gpu.json
    python benchmarks/gpu.py --device cpu --width 1/16 --size 64        to try it out

Forward and a step of SGD, one image and eight, in float32 and tf32, timed alternately with PyTorch;
then every op alone, the memory of each program in a process of its own, and compiled PyTorch in the
layout that was faster. Scores are compared before anything is timed. Every result is written at
once, and what there was no time for is named.
"""
import argparse
import json
import sys
from fractions import Fraction
from itertools import product
from pathlib import Path
from time import perf_counter

# import from the repository: tinyfcn need not be installed on the GPU machine
sys.path.append(str(Path(__file__).parents[1]))

# isort: split
from timing import (
    RESULTS,
    describe_machine,
    random_batch,
    random_net,
    run_in_subprocess,
    sgd_step,
    time_alternately,
)

# isort: split
import gpu_timing
import gpu_torch
import torch
from gpu_layers import layers
from torch_nets import assert_close

from tinyfcn.files import open_atomic
from tinyfcn.runtime.backend import to_numpy

NAME = 'fcn8s'
PRECISIONS = 'float32', 'tf32'
BATCHES = 1, 8
TOLERANCES = dict(float32=1e-3, tf32=2e-2)      # of the scores, in units of the largest
SECONDS = 520                                   # for everything
MIN_COMPILE_SECONDS = 45                        # that must be left to compile one more net
BUDGET = 5.                                     # seconds for a row


def time_nets(net, torch_nets, args):
    """-> a row for each precision, batch, and forward or step; PyTorch eager, in both layouts"""
    for precision, batch, what in product(args.precisions, BATCHES, ('forward', 'step')):
        row = dict(precision=precision, batch=batch, what=what)
        yield time_row(row, net, torch_nets, args)


def time_row(row, net, torch_nets, args, compile_net=lambda module: module):
    """The row with its times, or with the error: of a compiler, or of too little memory."""
    gpu_torch.set_precision(row['precision'])
    try:
        functions = torch_functions(net, torch_nets, row['what'], row['batch'], args, compile_net)
        row['first'] = {name: gpu_timing.seconds(run, args.device)
                        for name, run in functions.items()}
        row['times'] = time_beside(net, functions, row, args)
    except Exception as error:
        row['failed'] = f'{type(error).__name__}: {str(error)[:200]}'
    empty_pools(args.device)
    return row


def tinyfcn_function(net, what, batch, args):
    """A function of one forward pass or one step of tinyfcn."""
    image, label = random_batch(net, args.size, batch)
    image = gpu_timing.to_device(image, args.device)
    label = gpu_timing.to_device(label.astype('uint8'), args.device)
    return sgd_step(net, image, label) if what == 'step' else lambda: net.forward(image)


def torch_functions(net, torch_nets, what, batch, args, compile_net=lambda module: module):
    """{layout: the same function of PyTorch}, on the same images."""
    image, label = random_batch(net, args.size, batch)
    if what == 'step':
        return gpu_torch.steps(torch_nets, image, label, compile_net)
    return gpu_torch.forwards(torch_nets, image, compile_net)


def time_beside(net, torch_runs, row, args):
    """Times of tinyfcn and of PyTorch's functions. Their scores are compared first."""
    with gpu_timing.in_precision(row['precision'], args.device):
        functions = {'tinyfcn': tinyfcn_function(net, row['what'], row['batch'], args),
                     **torch_runs}
        # cuDNN chooses its algorithms in this run, and tinyfcn's kernels are compiled
        results = [run() for run in functions.values()]
        if row['what'] == 'forward':
            for name, score in zip(torch_runs, results[1:]):
                assert_close(to_numpy(results[0]), score.cpu().numpy(), name,
                             TOLERANCES[row['precision']])
        del results
        functions = {name: gpu_timing.synchronized(run, args.device)
                     for name, run in functions.items()}
        return time_alternately(functions, args.budget, max_rounds=31)


def empty_pools(device):
    gpu_timing.empty_pool(device)
    if device == 'gpu':
        torch.cuda.empty_cache()


def time_compiled(net, torch_nets, rows, args):
    """As time_nets, by torch.compile, in the layout that was faster."""
    rows = [row for row in rows if 'times' in row]
    for row in sorted(rows, key=lambda row: row['what']):       # forward first: it compiles faster
        layout = min(gpu_torch.LAYOUTS, key=lambda name: row['times'][name]['median'])
        compiled = {key: row[key] for key in ('precision', 'batch', 'what')} | dict(layout=layout)
        if args.seconds_left() < args.min_compile_seconds:
            yield dict(compiled, failed='no time was left')
        else:
            torch._dynamo.reset()
            yield time_row(compiled, net, {layout: torch_nets[layout]}, args,
                           lambda module: torch.compile(module, backend=args.compiler))


def measure_memory(args):
    """-> rows: the peak memory of each program, in a process that does nothing else"""
    for batch in BATCHES:
        for what in 'forward', 'step':
            row = dict(batch=batch, what=what)
            for program in ('tinyfcn', *gpu_torch.LAYOUTS):
                row[program] = run_in_subprocess(
                    __file__, '--memory-of', program, what, batch, '--device', args.device,
                    '--width', args.width, '--size', *args.size)
            yield row


def memory_of(args):
    """-> dict of bytes: the peak in use and held by the pool, and what the GPU has lost"""
    program, what, batch = args.memory_of
    free_before = gpu_timing.free_bytes(args.device)
    net = random_net(NAME, width=float(args.width))
    if program == 'tinyfcn':
        run = tinyfcn_function(net.to(args.device), what, int(batch), args)
    else:
        gpu_torch.set_precision('float32')
        torch_net = gpu_torch.TorchNet(net, share_memory=True).to(
            gpu_torch.torch_device(args.device), memory_format=gpu_torch.LAYOUTS[program])
        run = torch_functions(net, {program: torch_net}, what, int(batch), args)[program]
    for _ in range(2):                          # the second run has the momentum of the first
        gpu_timing.seconds(run, args.device)
    if program == 'tinyfcn':
        memory = dict(held=gpu_timing.pool_bytes(args.device))
    else:
        memory = gpu_torch.memory(args.device)
    return dict(memory, gpu=free_before - gpu_timing.free_bytes(args.device))


def run_all(args):
    """Run all parts; every row is written when it is done."""
    results = dict(machine=describe_machine(), gpu=gpu_timing.describe_gpu(args.device),
                   size=args.size, failed={})

    def write():
        with open_atomic(args.out / 'gpu.json') as file:
            file.write(json.dumps(results, indent=1).encode())

    def collect(part, rows):
        results[part] = []
        try:
            for row in rows:
                results[part].append(row)
                print(part, json.dumps(row), flush=True)
                write()
        except Exception as error:              # the other parts go on
            results['failed'][part] = f'{type(error).__name__}: {error}'
            print(part, results['failed'][part], flush=True)
            write()
        return results[part]

    on_gpu = args.device == 'gpu'
    args.precisions = PRECISIONS if on_gpu else PRECISIONS[:1]
    args.compiler = 'inductor' if on_gpu else 'eager'
    args.budget = BUDGET if on_gpu else .1
    args.min_compile_seconds = MIN_COMPILE_SECONDS if on_gpu else 1
    sizes = {} if on_gpu else dict(size=256, copied=1 << 20)

    collect('ceilings', [gpu_timing.ceilings(args.device, **sizes)])
    empty_pools(args.device)
    net = random_net(NAME, width=float(args.width))
    torch_nets = gpu_torch.make_torch_nets(net, args.device)
    net.to(args.device)
    rows = collect('nets', time_nets(net, torch_nets, args))
    gpu_torch.set_precision('float32')
    collect('layers', layers(net, args.size, args.device, args.budget / 20))
    empty_pools(args.device)
    collect('memory', measure_memory(args))
    collect('compiled', time_compiled(net, torch_nets, rows, args))


def main():
    began = perf_counter()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--out', type=Path, default=RESULTS, metavar='FOLDER')
    parser.add_argument('--device', choices=('gpu', 'cpu'), default='gpu')
    parser.add_argument('--width', type=Fraction, default=1, help='of the net, to try it out')
    parser.add_argument('--size', type=int, nargs='+', default=[500], help='of the images')
    parser.add_argument('--memory-of', nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args()
    args.size = tuple(args.size * 2)[:2]
    args.seconds_left = lambda: SECONDS - (perf_counter() - began)
    if args.memory_of:
        print(json.dumps(memory_of(args)))
    else:
        args.out.mkdir(parents=True, exist_ok=True)
        run_all(args)


if __name__ == '__main__':
    main()
