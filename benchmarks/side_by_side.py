"""Two or more that do the same work, timed in turn: A B A B …, so that a drift meets all alike.

    rows = alternate({'tinyfcn': ours, 'PyTorch': theirs}, budget=10)
    save('conv', rows)                          results/conv.json, with the machine and the date

Medians, with the least and the most beside them; two threads each; what is compared in memory
runs in a process of its own. A machine that does other work is named as such, loudly.
"""
import json
import os
import subprocess
import sys
from datetime import datetime, timezone
from gc import collect
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from time import perf_counter, sleep

import tinyfcn.runtime.backend  # before NumPy and PyTorch: it may choose the kernel of BLAS

# isort: split
import numpy as np

from tinyfcn import ops, optim
from tinyfcn.runtime.machine import machine_info
from tinyfcn.runtime.malloc import tune_allocator
from tinyfcn.runtime.threads import thread_count

# as the command line does; a rival in the same process gains by it too
tune_allocator()

THREADS = 2
RESULTS = Path(__file__).parent / 'results'
SGD = dict(lr=0., momentum=.99, weight_decay=5e-4)     # all that it takes, and nothing moves
PACKAGES = 'numpy scipy torch onnx onnxruntime openvino'.split()

os.environ.setdefault('TINYFCN_THREADS', str(THREADS))


# ---- Time ----------------------------------------------------------------------------------------

def alternate(rivals, budget=5., most=15):
    """Every rival once, again and again, while `budget` seconds last.

    {name: function} -> {name: dict(median, least, most, rounds)} in seconds. The first round warms
    up, and counts only where it has taken all the time.
    """
    seconds, start = {name: [] for name in rivals}, perf_counter()
    while True:
        collect()
        for name, run in rivals.items():
            sleep(.01)                          # threads that spin for more work give up
            began = perf_counter()
            run()
            seconds[name].append(perf_counter() - began)
        rounds, spent = len(seconds[name]) - 1, perf_counter() - start
        if rounds == 0 and spent < budget:
            start = perf_counter()
        elif rounds == most or spent * (rounds + 1) / max(1, rounds) > budget:
            return {name: spread(all[1:] or all) for name, all in seconds.items()}


def spread(seconds):
    return dict(median=median(seconds), least=min(seconds), most=max(seconds), rounds=len(seconds))


def words(row, unit=1e3):
    """A row as a line: each rival's median, and how much quicker the first is than it."""
    (_, first), *_ = row.items()
    return '  '.join(f'{name} {took["median"] * unit:.4g} (×{took["median"] / first["median"]:.2f})'
                     for name, took in row.items())


# ---- Processes -----------------------------------------------------------------------------------

def apart(*args, **environ):
    """The JSON that a script prints at last, run in a process of its own."""
    ran = subprocess.run([sys.executable, *map(str, args)], stdout=subprocess.PIPE, text=True,
                         env={**os.environ, **environ}, check=True)
    return json.loads(ran.stdout.splitlines()[-1])


def peak():
    """The most memory that this process has held, and beside it one that it began, in bytes."""
    from resource import RUSAGE_CHILDREN, RUSAGE_SELF, getrusage
    return sum(getrusage(who).ru_maxrss for who in (RUSAGE_SELF, RUSAGE_CHILDREN)) * (
        1 if sys.platform == 'darwin' else 1024)


# ---- The machine ---------------------------------------------------------------------------------

def machine():
    """Without which a number is none: CPU, cores, versions, kernel of BLAS, date. -> dict"""
    found = dict(machine_info(), cpu=cpu(), cores=os.cpu_count(), threads=thread_count(),
                 busy=busy(), date=datetime.now(timezone.utc).isoformat(timespec='seconds'))
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    return found


def cpu():
    """Its name, and the widest vectors that it has."""
    try:
        lines = Path('/proc/cpuinfo').read_text('utf-8').splitlines()
    except OSError:
        import platform
        return platform.processor()
    info = dict(line.split('\t: ', 1) for line in lines if '\t: ' in line)
    widest = [flag for flag in ('avx2', 'avx512f') if flag in info.get('flags', '').split()]
    return ' '.join([info.get('model name', 'CPU').strip(), *widest[-1:]])


def busy(seconds=1.):
    """How many cores others keep busy just now; None where nobody says."""
    def ticks():
        with open('/proc/stat') as file:
            user, nice, system, idle, waiting, *rest = map(int, file.readline().split()[1:])
        return user + nice + system + sum(rest), idle + waiting

    try:
        before = ticks()
        sleep(seconds)
        worked, idle = (b - a for a, b in zip(before, ticks()))
    except OSError:
        return None
    return round(os.cpu_count() * worked / max(1, worked + idle), 2)


def start():
    """The machine before anything is measured, with a warning if it has other work."""
    return warn(machine())


def save(name, rows, before=None):
    """results/<name>.json, and a warning if the machine had other work, then or `before`."""
    found = machine()
    if before and before['busy']:
        found['busy'] = max(found['busy'], before['busy'])
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f'{name}.json'
    path.write_text(json.dumps(dict(machine=found, rows=rows), indent=1) + '\n', 'utf-8')
    print(f'{path.name}: {len(rows)} rows')
    warn(found)


def warn(found):
    """A machine that does other work measures that, too."""
    if found['busy'] and found['busy'] > .2:
        print(f'WARNING: others keep {found["busy"]} cores of this machine busy: '
              f'these numbers are not to be quoted', file=sys.stderr)
    return found


# ---- What all of them run on ---------------------------------------------------------------------

def some_net(name, seed=1, **variant):
    """A net whose every weight is drawn anew: a score layer that begins at zero proves nothing."""
    net, rng = tinyfcn.build(name, seed=None, **variant), np.random.default_rng(seed)
    for w in net.params.values():               # in place: no copy counts as memory
        rng.standard_normal(out=w, dtype='float32')
        w *= (2 / max(1, w[0].size)) ** .5 if w.ndim > 1 else .02
    return net


def some_image(net, size, batch=1, seed=2):
    """-> image (N, C, H, W) and a label for every pixel, a tenth of them void"""
    rng, (h, w) = np.random.default_rng(seed), size
    image = rng.standard_normal((batch, net.data.channels, h, w), dtype='float32')
    label = rng.integers(0, net.score.channels, (batch, h, w))
    label[rng.random(label.shape) < .1] = 255
    return image, label


def a_step(net, image, label):
    """One step of SGD, dropout and all, to run again and again."""
    sgd = optim.SGD(**SGD)

    def step():
        _, dscore = ops.softmax_cross_entropy(net.forward(image, train=True), label)
        sgd.step(net.params, net.backward(score=dscore))
        net.step += 1                           # another dropout
    return step
