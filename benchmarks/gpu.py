"""FCN-8s on VGG-16, 500×500, on a card: beside PyTorch on the same card, in the same run.

    python benchmarks/gpu.py                    within nine minutes; results/gpu.json
    python benchmarks/gpu.py --device cpu --width 1/16 --size 64        to try it out

Forward and a step of SGD, one picture and eight, in float32 and in tf32, A B A B …, each waited
for; then every op alone, the memory of each in a process of its own, and PyTorch compiled, in
whichever layout was quicker. The scores agree first. What is done is written down at once, and what
the time has no room for is named.
"""
import argparse
import json
import sys
from fractions import Fraction
from itertools import product
from pathlib import Path
from time import perf_counter

# the repository as it lies: on a machine that is lent nothing gets installed
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
import card
import gpu_rivals
import torch
from card import placed
from gpu_layers import layers
from torch_nets import assert_close

from tinyfcn.files import open_atomic
from tinyfcn.runtime.backend import to_numpy

NAME, PRECISIONS, BATCHES = 'fcn8s', ('float32', 'tf32'), (1, 8)
APART = dict(float32=1e-3, tf32=2e-2)           # of the largest score
SECONDS, COMPILING = 520, 45                    # of all; of what has to be left to compile one more
BUDGET = 5.                                     # of a row


def nets(net, torch_nets, args):
    """-> a row for each precision, batch, and forward or step; PyTorch eager, in both layouts"""
    for precision, batch, what in product(args.precisions, BATCHES, ('forward', 'step')):
        yield attempt(dict(precision=precision, batch=batch, what=what), net, torch_nets, args)


def attempt(row, net, torch_nets, args, compiled=lambda module: module):
    """The row with its times; where it fails, with the reason: a compiler's, a memory's."""
    gpu_rivals.set_precision(row['precision'])
    try:
        runs = theirs(net, torch_nets, row['what'], row['batch'], args, compiled)
        row['first'] = {name: card.seconds(run, args.device) for name, run in runs.items()}
        row['times'] = in_turn(net, runs, row, args)
    except Exception as error:
        row['failed'] = f'{type(error).__name__}: {str(error)[:200]}'
    emptied(args.device)
    return row


def ours(net, what, batch, args):
    """-> a function of one forward or of one step"""
    image, label = random_batch(net, args.size, batch)
    image, label = placed(image, args.device), placed(label.astype('uint8'), args.device)
    return sgd_step(net, image, label) if what == 'step' else lambda: net.forward(image)


def theirs(net, torch_nets, what, batch, args, compiled=lambda module: module):
    """-> {layout: such a function}, on the same pictures"""
    image, label = random_batch(net, args.size, batch)
    if what == 'step':
        return gpu_rivals.steps(torch_nets, image, label, compiled)
    return gpu_rivals.forwards(torch_nets, image, compiled)


def in_turn(net, rivals, row, args):
    """Beside ours, each waited for; the scores of all agree first."""
    with card.in_precision(row['precision'], args.device):
        runs = {'tinyfcn': ours(net, row['what'], row['batch'], args), **rivals}
        first = [run() for run in runs.values()]        # cuDNN has chosen; our kernels are compiled
        if row['what'] == 'forward':
            for name, score in zip(rivals, first[1:]):
                assert_close(to_numpy(first[0]), score.cpu().numpy(), name, APART[row['precision']])
        del first
        synced = {name: card.synced(run, args.device) for name, run in runs.items()}
        return time_alternately(synced, args.budget, max_rounds=31)


def emptied(device):
    card.emptied(device)
    if device == 'gpu':
        torch.cuda.empty_cache()


def compiled(net, torch_nets, rows, args):
    """As `nets`, by torch.compile, in the layout that was quicker."""
    rows = [row for row in rows if 'times' in row]
    for row in sorted(rows, key=lambda row: row['what']):       # forwards first: they compile fast
        layout = min(gpu_rivals.LAYOUTS, key=lambda name: row['times'][name]['median'])
        found = {key: row[key] for key in ('precision', 'batch', 'what')} | dict(layout=layout)
        if args.left() < args.compiling:
            yield dict(found, failed='no time was left')
        else:
            torch._dynamo.reset()
            yield attempt(found, net, {layout: torch_nets[layout]}, args,
                          lambda module: torch.compile(module, backend=args.compiler))


def memory(args):
    """-> rows: the most that each held, in a process that does nothing else"""
    for batch in BATCHES:
        for what in 'forward', 'step':
            row = dict(batch=batch, what=what)
            for rival in ('tinyfcn', *gpu_rivals.LAYOUTS):
                row[rival] = run_in_subprocess(
                    __file__, '--hold', rival, what, batch, '--device', args.device,
                    '--width', args.width, '--size', *args.size)
            yield row


def hold(args):
    """-> dict of bytes: the most in use and held by a pool, what is gone from the card by then"""
    (rival, what, batch), before = args.hold, card.free(args.device)
    net = random_net(NAME, width=float(args.width))
    if rival == 'tinyfcn':
        run = ours(net.to(args.device), what, int(batch), args)
    else:
        gpu_rivals.set_precision('float32')
        torch_net = gpu_rivals.TorchNet(net, share_memory=True).to(
            gpu_rivals.torch_device(args.device), memory_format=gpu_rivals.LAYOUTS[rival])
        run = theirs(net, {rival: torch_net}, what, int(batch), args)[rival]
    for _ in range(2):                              # the second has SGD's velocities from the first
        card.seconds(run, args.device)
    found = dict(held=card.held(args.device)) if rival == 'tinyfcn' else \
        gpu_rivals.memory(args.device)
    return dict(found, card=before - card.free(args.device))


def go(args):
    """All parts, written down row by row."""
    found = dict(machine=describe_machine(), card=card.words(args.device), size=args.size,
                 failed={})

    def note(part, rows):
        found[part] = []
        try:
            for row in rows:
                found[part].append(row)
                print(part, json.dumps(row), flush=True)
                write()
        except Exception as error:                      # one part stops none of the others
            found['failed'][part] = f'{type(error).__name__}: {error}'
            print(part, found['failed'][part], flush=True)
            write()
        return found[part]

    def write():
        with open_atomic(args.out / 'gpu.json') as file:
            file.write(json.dumps(found, indent=1).encode())

    args.precisions = PRECISIONS if args.device == 'gpu' else PRECISIONS[:1]
    args.compiler = 'inductor' if args.device == 'gpu' else 'eager'
    args.budget, args.compiling = (BUDGET, COMPILING) if args.device == 'gpu' else (.1, 1)
    large = {} if args.device == 'gpu' else dict(size=256, copied=1 << 20)
    note('ceilings', [card.ceilings(args.device, **large)])
    emptied(args.device)
    net = random_net(NAME, width=float(args.width))
    torch_nets = gpu_rivals.twins_of(net, args.device)
    net.to(args.device)
    rows = note('nets', nets(net, torch_nets, args))
    gpu_rivals.set_precision('float32')
    note('layers', layers(net, args.size, args.device, args.budget / 20))
    emptied(args.device)
    note('memory', memory(args))
    note('compiled', compiled(net, torch_nets, rows, args))


def main():
    began, parser = perf_counter(), argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--out', type=Path, default=RESULTS, metavar='FOLDER')
    parser.add_argument('--device', choices=('gpu', 'cpu'), default='gpu')
    parser.add_argument('--width', type=Fraction, default=1, help='of the net, to try it out')
    parser.add_argument('--size', type=int, nargs='+', default=[500], help='of the pictures')
    parser.add_argument('--hold', nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args()
    args.size = tuple(args.size * 2)[:2]
    args.left = lambda: SECONDS - (perf_counter() - began)
    if args.hold:
        print(json.dumps(hold(args)))
    else:
        args.out.mkdir(parents=True, exist_ok=True)
        go(args)


if __name__ == '__main__':
    main()
