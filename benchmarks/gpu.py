"""FCN-8s on VGG-16, 500×500, on a GPU, beside PyTorch on the same GPU in the same run.

    python3 benchmarks/gpu.py                   within nine minutes; results/gpu.jsonl
    python3 benchmarks/gpu.py --parts smoke nets --seconds 200
    python3 benchmarks/gpu.py --device cpu --width 1/16 --size 64       to try it out

The parts, in this order:

    smoke       errors of products and of one layer, and what this GPU reaches
    nets        forward and a step of SGD, one image and eight, in float32 and tf32, timed
                alternately with PyTorch. In float32 other scores than PyTorch's are not timed
    layers      every op alone
    memory      of each program, when no other holds any
    compiled    the nets by torch.compile, in the layout that was faster

Every row is written when it is measured. A row that fails, hangs or kills its process is named, and
a new process goes on; so is what there was no time for. Without PyTorch, or if it has no CUDA,
tinyfcn alone is timed.
"""
import argparse
import sys
from contextlib import nullcontext
from copy import deepcopy
from fractions import Fraction
from functools import cache, partial
from gc import collect
from itertools import product
from pathlib import Path

# import from the repository: tinyfcn need not be installed on the GPU machine
sys.path.append(str(Path(__file__).parents[1]))

# isort: split
from timing import RESULTS, describe_machine, random_batch, random_net, sgd_step, time_alternately

# isort: split
import gpu_smoke
import gpu_timing
from gpu_jobs import Job, describe, read_log, run_jobs, supervise, worker_command
from gpu_layers import layers, time_layer, time_loss, time_update
from gpu_tables import NAMES, print_report, speed_section

import tinyfcn
from tinyfcn.dispatch import exact
from tinyfcn.runtime.backend import to_numpy

NAME = 'fcn8s'
PARTS = 'smoke', 'nets', 'layers', 'memory', 'compiled'
PRECISIONS = 'float32', 'tf32'
BATCHES = 1, 8
TOLERANCES = dict(float32=1e-3, tf32=2e-2)      # of the scores, in units of the largest
SECONDS = 520                                   # for everything
COMPILE_SECONDS = 60                            # that must be left to compile one more net
BUDGET = 5.                                     # seconds for a row
HOST_ROUNDS = 9
LOG = 'gpu.jsonl'


# ---- The nets ------------------------------------------------------------------------------------

@cache
def host_net(width):
    """FCN-8s with random weights, on the host."""
    return random_net(NAME, width=width)


@cache
def device_nets(width, device, gpu_torch):
    """-> tinyfcn's net on the device, {layout: the same net of PyTorch}"""
    net = host_net(width)
    torch_nets = gpu_torch.make_torch_nets(net, device) if gpu_torch else {}
    return deepcopy(net).to(device), torch_nets


def tinyfcn_function(net, what, batch, args):
    """A function of one forward pass or one step of tinyfcn."""
    image, label = random_batch(net, args.size, batch)
    image = gpu_timing.to_device(image, args.device)
    label = gpu_timing.to_device(label.astype('uint8'), args.device)
    return sgd_step(net, image, label) if what == 'step' else lambda: net.forward(image)


def torch_functions(torch_nets, what, batch, args, compile_net=lambda module: module):
    """{layout: the same function of PyTorch}, on the same images."""
    if not torch_nets:
        return {}
    image, label = random_batch(host_net(args.width), args.size, batch)
    if what == 'step':
        return args.torch.steps(torch_nets, image, label, compile_net)
    return args.torch.forwards(torch_nets, image, compile_net)


def time_row(what, net, torch_nets, args, compile_net=lambda module: module):
    """The row with its times. What fails of PyTorch is named, and the rest is timed."""
    row = dict(what, first={}, missing={})
    if args.torch:
        args.torch.set_precision(row['precision'])
    torch_runs = torch_functions(torch_nets, row['what'], row['batch'], args, compile_net)
    for name, run in [*torch_runs.items()]:
        try:
            # cuDNN chooses its algorithms in the first run, and nets are compiled
            row['first'][name] = gpu_timing.seconds(run, args.device)
        except Exception as error:
            row['missing'][name] = describe(error)
            del torch_runs[name]
    with gpu_timing.in_precision(row['precision'], args.device):
        runs = {'tinyfcn': tinyfcn_function(net, row['what'], row['batch'], args), **torch_runs}
        row['first']['tinyfcn'] = gpu_timing.seconds(runs['tinyfcn'], args.device)
        if row['what'] == 'forward':
            row['differences'] = compare_scores(runs, row['precision'])
        row['host'] = {name: gpu_timing.host_seconds(run, args.device, args.host_rounds)
                       for name, run in runs.items()}
        runs = {name: gpu_timing.synchronized(run, args.device) for name, run in runs.items()}
        row['times'] = time_alternately(runs, args.budget, max_rounds=31)
    return row


def compare_scores(runs, precision):
    """{layout: the largest difference from tinyfcn's scores}; in float32 it must be small."""
    own, *scores = (to_numpy(run()) if name == 'tinyfcn' else run().cpu().numpy()
                    for name, run in runs.items())
    differences = {}
    for name, score in zip([*runs][1:], scores):
        differences[name] = float(abs(own - score).max() / abs(own).max())
        if precision == 'float32' and not differences[name] <= TOLERANCES[precision]:
            raise ArithmeticError(f'{name} differs from tinyfcn by {differences[name]:.1g} of the '
                                  f'largest score: not timed')
    return differences


# ---- The jobs ------------------------------------------------------------------------------------

def make_jobs(args):
    """The jobs of the chosen parts, in order."""
    makers = dict(smoke=smoke_jobs, nets=net_jobs, layers=layer_jobs, memory=memory_jobs,
                  compiled=compiled_jobs)
    yield Job('machine', partial(describe_run, args))
    for part in PARTS:
        if part in args.parts:
            for job in makers[part](args):
                yield job._replace(run=partial(run_alone, job.run, args))


def run_alone(run, args):
    """The rows of a job. It leaves neither memory nor kernels that run, whose errors come late."""
    for row in run():
        yield dict(row, exact=args.exact)
    gpu_timing.wait(args.device)
    empty_pools(args)


def empty_pools(args):
    collect()
    gpu_timing.empty_pool(args.device)
    if args.torch and args.device == 'gpu':
        args.torch.torch.cuda.empty_cache()


def describe_run(args):
    yield dict(part='machine', machine=describe_machine(), size=args.size, width=args.width,
               gpu=gpu_timing.describe_gpu(args.device), without_torch=args.without_torch)


def smoke_jobs(args):
    device, precisions = args.device, args.precisions
    net = partial(host_net, args.width)
    yield Job('products', partial(gpu_smoke.product_errors, device, precisions))
    yield Job('ceilings', partial(ceilings, args))
    for implementation in gpu_smoke.IMPLEMENTATIONS:
        yield Job(f'{gpu_smoke.CONV}, {implementation}',
                  lambda implementation=implementation: gpu_smoke.time_conv(
                      net(), args.size, implementation, device, precisions, args.budget / 20))


def ceilings(args):
    sizes = {} if args.size >= (500, 500) else dict(size=256, copied=1 << 20)
    yield dict(part='ceilings', **gpu_timing.ceilings(args.device, budget=args.budget / 5, **sizes))


def net_jobs(args):
    for precision, batch, what in product(args.precisions, args.batches, ('forward', 'step')):
        row = dict(part='nets', precision=precision, batch=batch, what=what)
        yield Job(f'{what}, {precision}, {batch}', partial(time_net, row, args))


def time_net(row, args):
    yield time_row(row, *device_nets(args.width, args.device, args.torch), args)


def layer_jobs(args):
    net = tinyfcn.build(NAME, seed=None, width=args.width)
    options = args.device, args.budget / 20, args.torch
    for layer in layers(net, args.size):
        yield Job(layer.name, partial(time_one_op, time_layer, args, layer, *options))
    yield Job('loss', partial(time_one_op, time_loss, args, net, args.size, *options))
    yield Job('update', partial(time_one_op, time_update, args, net, *options))


def time_one_op(measure, args, *options):
    if args.torch:
        args.torch.set_precision('float32')
    return measure(*options)


def memory_jobs(args):
    """In float32. The CPU of a dry run has no pool to look at."""
    if args.device == 'cpu':
        return
    for program, batch, what in product(NAMES if args.torch else NAMES[:1], args.batches,
                                        ('forward', 'step')):
        yield Job(f'memory, {program}, {what}, {batch}',
                  partial(measure_memory, program, what, batch, args))


def measure_memory(program, what, batch, args):
    """A row: bytes in use and held by the pool, for weights, gradients, momentum and all arrays."""
    device_nets.cache_clear()
    empty_pools(args)
    net = host_net(args.width)

    def run():
        if program == 'tinyfcn':
            function = tinyfcn_function(deepcopy(net).to(args.device), what, batch, args)
        else:
            args.torch.set_precision('float32')
            torch_nets = args.torch.make_torch_nets(net, args.device, [program])
            function = torch_functions(torch_nets, what, batch, args)[program]
        for _ in range(2):                      # the second run has the momentum of the first
            gpu_timing.seconds(function, args.device)

    if program == 'tinyfcn':
        run()
        memory = dict(held=gpu_timing.pool_bytes(args.device))
    else:
        memory = args.torch.peak_memory(run)
    yield dict(part='memory', batch=batch, what=what, program=program, memory=memory)


def compiled_jobs(args):
    """Forward first: it compiles faster."""
    if not args.torch:
        return
    for what, precision, batch in product(('forward', 'step'), args.precisions, args.batches):
        row = dict(part='compiled', precision=precision, batch=batch, what=what)
        yield Job(f'compiled {what}, {precision}, {batch}', partial(time_compiled, row, args),
                  share=1, needs=args.compile_seconds)


def time_compiled(row, args):
    """A row of PyTorch's compiled net, in the layout that was faster without."""
    import torch
    same = {key: row[key] for key in ('precision', 'batch', 'what')}
    eager = next((each for each in read_log(args.log).rows
                  if each['part'] == 'nets' and same.items() <= each.items()), None)
    if not eager or not {*eager['times']} & {*NAMES[1:]}:
        raise ValueError('PyTorch was not timed without compiling')
    layout = min({*eager['times']} & {*NAMES[1:]},
                 key=lambda name: eager['times'][name]['median'])
    torch._dynamo.reset()
    net, torch_nets = device_nets(args.width, args.device, args.torch)
    row = time_row(dict(row, layout=layout), net, {layout: torch_nets[layout]}, args,
                   lambda module: torch.compile(module, backend=args.compiler))
    if row['missing']:
        raise RuntimeError(row['missing'][layout])
    yield row


# ---- The processes -------------------------------------------------------------------------------

def import_torch(device):
    """-> gpu_torch, or None; why it is not used, or ''"""
    try:
        import gpu_torch
    except ImportError as error:
        return None, f'{error}: install PyTorch to compare with it'
    import torch
    if device == 'gpu' and not torch.cuda.is_available():
        return None, f'PyTorch {torch.__version__} finds no GPU'
    return gpu_torch, ''


def work(args):
    """Run the jobs that are left in this process. -> its exit code"""
    on_gpu = args.device == 'gpu'
    gpu_timing.describe_gpu(args.device)        # ends here if there is none
    args.precisions = PRECISIONS if on_gpu else PRECISIONS[:1]
    args.compiler = 'inductor' if on_gpu else 'eager'
    args.batches = BATCHES
    args.budget = BUDGET
    args.host_rounds = HOST_ROUNDS
    args.compile_seconds = COMPILE_SECONDS
    if args.width != 1:                         # to try it out
        args.batches = 1, 2
        args.budget = .1
        args.host_rounds = 1
        args.compile_seconds = 1
    args.torch, args.without_torch = import_torch(args.device)
    with exact() if args.exact else nullcontext():
        return run_jobs(make_jobs(args), args.log, args.worker,
                        partial(gpu_timing.is_usable, args.device))


def parse_args(options):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--out', type=Path, default=RESULTS, metavar='FOLDER')
    parser.add_argument('--seconds', type=float, default=SECONDS, help='for all parts')
    parser.add_argument('--parts', nargs='+', choices=PARTS, default=PARTS)
    parser.add_argument('--exact', action='store_true', help='without Winograd')
    parser.add_argument('--device', choices=('gpu', 'cpu'), default='gpu')
    parser.add_argument('--width', type=Fraction, default=1, help='of the net, to try it out')
    parser.add_argument('--size', type=int, nargs='+', default=[500], help='of the images')
    parser.add_argument('--worker', type=float, metavar='DEADLINE', help=argparse.SUPPRESS)
    args = parser.parse_args(options)
    args.width = float(args.width)
    args.size = tuple(args.size * 2)[:2]
    args.log = args.out / LOG
    return args


def main():
    args = parse_args(None)
    if args.worker:
        sys.exit(work(args))
    args.out.mkdir(parents=True, exist_ok=True)
    args.log.unlink(missing_ok=True)
    log = supervise(worker_command(__file__, *sys.argv[1:]), args.log, args.seconds)
    sys.exit(print_report(speed_section(log), log))


if __name__ == '__main__':
    main()
