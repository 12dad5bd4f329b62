"""Time two or more implementations in turn: A B A B …, so that a drift affects all alike.

    times = time_alternately({'tinyfcn': ours, 'PyTorch': theirs}, budget=10)
    rows = measure_rows('conv', measurements, print_row)    each is stored as soon as it is measured
    save('conv', rows)                          results/conv.json, with the machine and the date

Medians, with the least and the most beside them. TINYFCN_THREADS says how many threads each
competitor has, two if it is not set. Memory is measured in one process for each competitor. If
other programs keep the machine busy, a warning says so.

An interrupted run goes on where it ended: its rows are in runs/bench/. They are measured anew after
an edit of tinyfcn, or when that folder is deleted. With QUICK=1, for a trial, everything is called
once, and what is written goes to runs/quick/.
"""
import json
import os
import subprocess
import sys
from datetime import datetime, timezone
from gc import collect, freeze, unfreeze
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from time import perf_counter, sleep

from thread_setting import THREADS

# isort: split
import tinyfcn.runtime.backend  # before NumPy and PyTorch: it may choose the kernel of BLAS

# isort: split
import numpy as np

from tinyfcn import ops, optim
from tinyfcn.runtime.machine import machine_info
from tinyfcn.runtime.malloc import tune_allocator
from tinyfcn.runtime.threads import thread_count

# as the command line does; it helps a competitor in the same process, too
tune_allocator()

QUICK = bool(os.environ.get('QUICK'))
BENCHMARKS = Path(__file__).parent
RESULTS = BENCHMARKS / 'results'
TRIAL = BENCHMARKS.parent / 'runs' / 'quick'
UNFINISHED = TRIAL if QUICK else BENCHMARKS.parent / 'runs' / 'bench'
SGD = dict(lr=0., momentum=.99, weight_decay=5e-4)     # the full update, but no weight changes
PYTORCH = 'PyTorch', 'PyTorch channels_last'           # its layouts; the faster one counts
PACKAGES = 'numpy scipy numba torch onnx onnxruntime openvino'.split()
MAX_BUSY = .2           # cores that other programs may use, for a result to be quoted


# ---- Time ----------------------------------------------------------------------------------------

def time_alternately(functions, budget=5., max_rounds=15, min_rounds=0):
    """Call every function once, again and again, for `budget` seconds.

    {name: function} -> {name: dict(median, least, most, rounds)} in seconds. The first round warms
    up; it counts only if it took the whole budget and no other one was asked for.
    """
    seconds = {name: [] for name in functions}
    collect()
    freeze()                                    # so that `collect` searches only what is new: 0.1 s
    start = perf_counter()
    while True:
        collect()
        for name, run in functions.items():
            sleep(.01)                          # until threads that spin for more work have stopped
            began = perf_counter()
            run()
            seconds[name].append(perf_counter() - began)
        rounds = len(seconds[name]) - 1
        spent = perf_counter() - start
        if rounds == 0 and (min_rounds or spent < budget) and not QUICK:
            start = perf_counter()
        elif (QUICK or rounds == max_rounds
              or rounds >= min_rounds and spent * (rounds + 1) / max(1, rounds) > budget):
            unfreeze()
            return {name: summarize(all_[1:] or all_) for name, all_ in seconds.items()}


def summarize(seconds):
    return dict(median=median(seconds), least=min(seconds), most=max(seconds), rounds=len(seconds))


def format_times(times, unit=1e3):
    """One line: each median and least time, and the ratio of its median to the first one's."""
    first = next(iter(times.values()))
    return '  '.join(f'{name} {own["median"] * unit:.4g}, least {own["least"] * unit:.4g} '
                     f'(×{own["median"] / first["median"]:.2f})' for name, own in times.items())


def ratio(times, names=PYTORCH):
    """How many times as long as tinyfcn the fastest of these takes; None if none was measured."""
    medians = [times[name]['median'] for name in names if name in times]
    return min(medians) / times['tinyfcn']['median'] if medians else None


def threads_of(row):
    return f'{row["threads"]} thread{"s" * (row["threads"] > 1)}'


# ---- Rows ----------------------------------------------------------------------------------------

def measure_rows(name, measurements, print_row):
    """-> the rows of results/<name>.json with any number of threads

    measurements: pairs of a dict, which says what is measured, and a function, which measures it
    and returns a dict. A row has both, `threads`, and how many cores other programs used meanwhile.
    """
    path = UNFINISHED / f'{name}.jsonl'
    sources = hash_sources()
    lines = path.read_text('utf-8').splitlines() if path.exists() else []
    rows = [row for row in map(json.loads, lines) if row['sources'] == sources]
    for what, measure in measurements:
        what = json.loads(json.dumps(dict(what, threads=THREADS)))      # tuples become lists
        row = next((row for row in rows if what.items() <= row.items()), None)
        if row is None:
            before = computed_seconds()
            row = dict(what, **measure())
            row.update(busy=other_load(before), sources=sources)
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open('a', encoding='utf-8') as file:
                file.write(json.dumps(row) + '\n')
            rows.append(row)
        print_row(row)
        sys.stdout.flush()
    return rows


def hash_sources():
    """Rows are kept until an edit of the package."""
    paths = sorted(Path(tinyfcn.__file__).parent.rglob('*.py'))
    return sha256(b''.join(path.read_bytes() for path in paths)).hexdigest()[:16]


def computed_seconds():
    """-> seconds since start-up, those of all cores together that programs used, and our own"""
    own = sum(os.times()[:4])
    try:
        return perf_counter(), read_ticks()[0] / os.sysconf('SC_CLK_TCK'), own
    except OSError:                             # not Linux
        return None


def other_load(before):
    """How many cores other programs have kept busy since computed_seconds() gave `before`."""
    if before is None:
        return None
    wall, everyone, own = (b - a for a, b in zip(before, computed_seconds()))
    return round(max(0., everyone - own) / max(wall, .01), 2)


# ---- Processes -----------------------------------------------------------------------------------

def run_in_subprocess(*args, **environ):
    """The JSON on the last line that a script prints."""
    process = subprocess.run([sys.executable, *map(str, args)], stdout=subprocess.PIPE, text=True,
                             env={**os.environ, **environ}, check=True)
    return json.loads(process.stdout.splitlines()[-1])


def peak_memory():
    """The peak of this process plus that of its largest child, in bytes."""
    from resource import RUSAGE_CHILDREN, RUSAGE_SELF, getrusage
    unit = 1 if sys.platform == 'darwin' else 1024
    return unit * sum(getrusage(who).ru_maxrss for who in (RUSAGE_SELF, RUSAGE_CHILDREN))


# ---- The machine ---------------------------------------------------------------------------------

def describe_machine():
    """CPU, cores, versions, kernel of BLAS, other load, date. -> dict"""
    machine = dict(machine_info(), cpu=cpu_name(), cores=os.cpu_count(), threads=thread_count(),
                   busy=busy_cores(),
                   date=datetime.now(timezone.utc).isoformat(timespec='seconds'))
    for name in PACKAGES:
        try:
            machine[name] = version(name)
        except PackageNotFoundError:
            machine[name] = None
    return machine


def cpu_name():
    """Its name, and its widest vector instructions."""
    try:
        lines = Path('/proc/cpuinfo').read_text('utf-8').splitlines()
    except OSError:
        import platform
        return platform.processor()
    info = dict(line.split('\t: ', 1) for line in lines if '\t: ' in line)
    widest = [flag for flag in ('avx2', 'avx512f') if flag in info.get('flags', '').split()]
    return ' '.join([info.get('model name', 'CPU').strip(), *widest[-1:]])


def busy_cores(seconds=1.):
    """How many cores other programs keep busy now; None where /proc/stat does not exist."""
    try:
        before = read_ticks()
        sleep(seconds)
        busy, idle = (b - a for a, b in zip(before, read_ticks()))
    except OSError:
        return None
    return round(os.cpu_count() * busy / max(1, busy + idle), 2)


def read_ticks():
    """-> how long all cores have been busy, and idle, in ticks of the system's clock"""
    with open('/proc/stat') as file:
        user, nice, system, idle, waiting, *rest = map(int, file.readline().split()[1:9])
    return user + nice + system + sum(rest), idle + waiting


def check_machine():
    """-> the description of the machine; warns if other programs keep it busy"""
    machine = describe_machine()
    warn_if_busy(machine)
    return machine


def save(name, rows, machine_before=None):
    """Write results/<name>.json; warn if the machine was busy before or after the measurement."""
    machine = describe_machine()
    if machine_before and machine_before['busy']:
        machine['busy'] = max(machine['busy'], machine_before['busy'])
    folder = TRIAL if QUICK else RESULTS
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f'{name}.json'
    path.write_text(json.dumps(dict(machine=machine, rows=rows), indent=1) + '\n', 'utf-8')
    print(f'{path.name}: {len(rows)} rows')
    warn_if_busy(machine)


def is_busy(machine):
    return bool(machine['busy']) and machine['busy'] > MAX_BUSY


def warn_if_busy(machine):
    if is_busy(machine):
        print(f'WARNING: other programs use {machine["busy"]} cores of this machine: do not quote '
              f'these numbers', file=sys.stderr)


# ---- What is measured ----------------------------------------------------------------------------

def random_net(name, seed=1, **variant):
    """A net with random weights everywhere; zeros in the score layers would hide differences."""
    net = tinyfcn.build(name, seed=None, **variant)
    rng = np.random.default_rng(seed)
    for w in net.params.values():               # in place, so that memory has no copy
        rng.standard_normal(out=w, dtype='float32')
        w *= (2 / max(1, w[0].size)) ** .5 if w.ndim > 1 else .02
    return net


def random_batch(net, size, batch=1, seed=2):
    """-> image (N, C, H, W), label (N, H, W), a tenth of it void"""
    rng = np.random.default_rng(seed)
    h, w = size
    image = rng.standard_normal((batch, net.data.channels, h, w), dtype='float32')
    label = rng.integers(0, net.score.channels, (batch, h, w))
    label[rng.random(label.shape) < .1] = 255
    return image, label


def sgd_step(net, image, label):
    """A function that does one step of SGD, with dropout."""
    sgd = optim.SGD(**SGD)

    def step():
        _, dscore = ops.softmax_cross_entropy(net.forward(image, train=True), label)
        sgd.step(net.params, net.backward(score=dscore))
        net.step += 1                           # other units are dropped in the next one
    return step
