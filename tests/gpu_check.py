"""Compare every op, every net and short trainings on a GPU with the CPU: make gpu-check.

    python3 tests/gpu_check.py                  a table and each failure; exits 1 if one failed
    python3 tests/gpu_check.py --write          also a section of GPU_STATUS.md
    python3 tests/gpu_check.py --record LOG     only that section, of an earlier run
    python3 tests/gpu_check.py --parts ops nets trainings full          also FCN-8s at full width
    python3 tests/gpu_check.py --seconds 120    what there is no time for is named

The CPU's result is the expected one: for an op its reference implementation in float64, for a net
the same net by reference implementations, so that nothing is compiled for this CPU. Errors are in
units of the largest expected value (of 1, if all are smaller). In float32 two correct nets may
differ by a per cent in a gradient, because a ReLU near 0 may be on or off; the direction of the
gradient is the same. So in float32 directions are compared.

Every result is written at once, and a new process goes on where one was killed or has seen a CUDA
error. Kernels run one at a time, so that an error is that of its own op.
"""
import argparse
import os
import subprocess
import sys
from contextlib import nullcontext
from copy import deepcopy
from datetime import datetime, timezone
from functools import partial
from math import inf
from pathlib import Path
from typing import NamedTuple

# import from the repository: tinyfcn need not be installed on the GPU machine
sys.path.append(str(Path(__file__).parents[1]))
sys.path.append(str(Path(__file__).parents[1] / 'benchmarks'))

# isort: split
import numpy as np
import samples
import training_samples
from gpu_jobs import (
    Job,
    describe,
    failure_lines,
    read_log,
    run_jobs,
    supervise,
    worker_command,
)

from tinyfcn import build, evaluate, fit, ops
from tinyfcn.dispatch import reference_only
from tinyfcn.kernels.gpu import tape
from tinyfcn.models import NETS
from tinyfcn.runtime.backend import array_module, to_numpy
from tinyfcn.runtime.gpu import gpu_status, to_gpu

ROOT = Path(__file__).parents[1]
STATUS_FILE = ROOT / 'GPU_STATUS.md'
HEADING = '## Runs on a GPU, newest first\n'
NONE_YET = '\nNone yet.\n'
PARTS = 'ops', 'nets', 'trainings', 'full'
SECONDS = 1800
ENVIRON = dict(CUDA_LAUNCH_BLOCKING='1', NUMBA_DISABLE_JIT='1')
# of these jobs the first results are most wanted
FIRST = 'net fcn8s,', 'net segnet_basic,', 'op winograd', 'op softmax_cross_entropy'
TOLERANCES = dict(float32=1e-4, float64=1e-10)
MAX_COSINE_GAP = 1e-3                   # allowed 1 − cosine between two gradients, in float32
IMPLEMENTATIONS = {'op, reference': reference_only, 'op, kernel': nullcontext}
WIDTH = 1 / 16
SIZE = 48, 61
SIZES = {'unet': (173, 180), 'deconvnet': (193, 200), 'edeconvnet': (193, 200)}
CLASSIFIER_SIZE = 227, 240
TRAINED_NETS = 'fcn8s', 'segnet_basic'  # dropout, skips, crops; batch_norm, unpool, LRN
OPTIMIZERS = dict(SGD=dict(lr=1e-2), Adam=dict(lr=1e-3, optimizer='adam'))
DATASET = training_samples.small_dataset()
# the samples of the table are too small for Winograd
WINOGRAD = {f'winograd-pad{pad}': samples.a_conv2d((33, 41), c=32, k=48, ksize=3, n=2, pad=pad)
            for pad in (0, 1, 2)}


class Row(NamedTuple):
    """An error and its tolerance; `message` is set where an exception prevented the measurement."""

    part: str
    name: str
    dtype: str
    error: float
    tolerance: float
    message: str = ''

    @property
    def ok(self):
        return self.error <= self.tolerance     # False for NaN

    def __str__(self):
        result = self.message or f'error {self.error:.1e}'
        return f'{self.part}, {self.name}, {self.dtype}: {result}'


def measure(part, name, dtype, compute_error, tolerance=None):
    """A Row with the error that compute_error() returns. An exception is a failed Row."""
    if tolerance is None:
        tolerance = TOLERANCES[dtype]
    try:
        return Row(part, name, dtype, float(compute_error()), tolerance)
    except Exception as error:                  # the other checks go on
        return Row(part, name, dtype, inf, tolerance, describe(error))


def largest_error(results, expected):
    """The largest error of arrays on the GPU; None must be expected where a result is None."""
    if [x is None for x in results] != [x is None for x in expected]:
        raise ValueError('a gradient is missing, or there is one too many')
    return max(_error(a, b) for a, b in zip(results, expected) if b is not None)


def _error(a, b):
    if array_module(a) is np:
        raise TypeError('a result is on the host')
    if a.shape != b.shape:
        raise ValueError(f'the shape is {a.shape}, and should be {b.shape}')
    return np.abs(to_numpy(a) - b).max(initial=0) / max(1, np.abs(b).max(initial=0))


# ---- What is compared ----------------------------------------------------------------------------

def check_op(name, sample):
    """Rows for one of samples.TABLE: by the reference and by the kernel, in both dtypes."""
    for dtype in TOLERANCES:
        typed = cast(sample, dtype)
        with reference_only():
            expected = run(cast(typed, 'float64'))
        for part, implementation in IMPLEMENTATIONS.items():
            with implementation():
                row = measure(part, name, dtype, lambda typed=typed, expected=expected: (
                    largest_error(run(typed, to_gpu), expected)))
            yield row


def cast(sample, dtype):
    return samples.changed(sample, lambda v: v.astype(dtype) if v.dtype.kind == 'f' else v)


def run(sample, to_device=lambda x: x):
    """-> y, new running statistics, and the gradients for a dy that is the same everywhere"""
    op = getattr(ops, sample.op)
    fresh = sample._replace(kwargs=deepcopy(sample.kwargs))     # so that its rng starts anew
    on_device = samples.changed(fresh, to_device)
    y, cache, *state = op(*on_device.args, **on_device.kwargs)
    dy = np.random.default_rng(1).standard_normal(y.shape).astype(str(y.dtype))
    new_statistics = [new for pair in state for new in pair]
    return [y, *new_statistics, *op.backward(to_device(dy), cache)]


def check_net(name, dtype, width=WIDTH, size=None):
    """Rows for scores and gradients of a net, without dropout and with fixed running statistics."""
    is_classifier = NETS[name][2] == 1000
    size = size or SIZES.get(name, CLASSIFIER_SIZE if is_classifier else SIZE)
    label = f'{name}, width {width:g}'
    scores = {}
    gradients = {}

    def score_error():
        image = np.random.default_rng(1).standard_normal((1, NETS[name][1], *size)).astype(dtype)
        for device, to_device in (('cpu', np.asarray), ('gpu', to_gpu)):
            net = make_net(name, dtype, width).to(device)
            y = net.forward(to_device(image), keep=True)
            y = y if isinstance(y, dict) else {net.outputs(train=False)[0]: y}
            dy = {output: np.random.default_rng(2).standard_normal(score.shape).astype(dtype)
                  for output, score in y.items()}
            grads = net.backward(**{output: to_device(d) for output, d in dy.items()})
            scores[device] = [*y.values()]
            gradients[device] = [*grads.values()]
        return largest_error(scores['gpu'], scores['cpu'])

    def cosine_gap():
        return 1 - min(cosine(to_numpy(a), b)
                       for a, b in zip(gradients['gpu'], gradients['cpu']))

    row = measure('net, scores', label, dtype, score_error)
    yield row
    if row.message:                             # then there are no gradients
        return
    if dtype == 'float32':
        yield measure('net, gradients: 1 − cosine', label, dtype, cosine_gap, MAX_COSINE_GAP)
    else:
        yield measure('net, gradients', label, dtype,
                      lambda: largest_error(gradients['gpu'], gradients['cpu']))


def make_net(name, dtype='float32', width=WIDTH, n_class=None):
    """A net whose zero weights are small random values: else a padded border is on ReLU's kink."""
    net = build(name, n_class, width=width, dtype=dtype)
    rng = np.random.default_rng(3)
    for w in net.params.values():
        if not w.any():
            w += (.02 * rng.standard_normal(w.shape)).astype(dtype)
    return net


def cosine(a, b):
    a = a.ravel().astype('float64')
    b = b.ravel().astype('float64')
    return a @ b / max(np.linalg.norm(a) * np.linalg.norm(b), 1e-300)


def check_training(name, optimizer, dtype):
    """Rows for three steps of two batches of two images, with dropout: losses, weights, scores."""
    label = f'{name}, {optimizer}'
    nets = {}
    losses = {}

    def loss_error():
        for device in 'cpu', 'gpu':
            nets[device], losses[device] = train_net(name, optimizer, dtype, device)
        return max(abs(losses['gpu'] / losses['cpu'] - 1))

    def weight_error():
        return largest_error([*nets['gpu'].params.values()], [*nets['cpu'].params.values()])

    def metric_error():
        on_gpu = evaluate(nets['gpu'], DATASET)
        on_cpu = evaluate(nets['cpu'], DATASET)
        return max(abs(on_gpu[key] - on_cpu[key]) for key in ('pixel_acc', 'mean_acc', 'fw_iu'))

    row = measure('training, losses', label, dtype, loss_error)
    yield row
    if row.message:                             # then there are no weights
        return
    if dtype == 'float64':      # in float32 Adam makes a whole step of a rounding error around 0
        yield measure('training, weights', label, dtype, weight_error)
        yield measure('training, evaluated', label, dtype, metric_error)


def train_net(name, optimizer, dtype, device):
    """-> the trained net, the loss of each step"""
    net = make_net(name, dtype, n_class=len(DATASET.classes))
    recipe = training_samples.make_recipe(steps=3, batch=2, iter_size=2, flip=True,
                                          **OPTIMIZERS[optimizer])
    return net, np.array([row['loss'] for row in fit(net, DATASET, recipe, device=device)])


def check_determinism(name):
    """A Row: how many weights differ after two trainings on the GPU with the same seed."""
    def count_different():
        weights = []
        for _ in range(2):
            net, _ = train_net(name, 'SGD', 'float32', 'gpu')
            weights.append({key: to_numpy(w).tobytes()
                            for key, w in {**net.params, **net.state}.items()})
        return sum(weights[0][key] != weights[1][key] for key in weights[0])

    yield measure('weights that differ between two runs', name, 'float32', count_different, 0)


def check_tapes(name, width):
    """A Row: how many results of a net whose ops replay tapes differ from those of the ops."""
    def count_different():
        net = make_net(name, width=width).to('gpu')
        image = to_gpu(np.random.default_rng(1).standard_normal((1, 3, *SIZE), 'float32'))
        results = {}
        for tape.enabled in False, True:
            for _ in range(2 + tape.MAX_ATTEMPTS):
                score = net.forward(image, train=True)
                grads = net.backward(score=score)
            results[tape.enabled] = [to_numpy(x).tobytes() for x in (score, *grads.values())]
        return sum(a != b for a, b in zip(*results.values(), strict=True))

    yield measure('results that differ between tapes and ops', f'{name}, width {width:g}',
                  'float32', count_different, 0)


# ---- The jobs ------------------------------------------------------------------------------------

def make_jobs(parts):
    """The jobs of these parts, most wanted first."""
    makers = dict(ops=op_jobs, nets=net_jobs, trainings=training_jobs, full=full_jobs)
    jobs = [Job(name, partial(check_until_unusable, check, *args))
            for part in parts for name, check, *args in makers[part]()]
    yield Job('machine', describe_run)
    yield from sorted(jobs, key=lambda job: rank(job.name))


def rank(name):
    """The lower, the more is it wanted."""
    return next((i for i, prefix in enumerate(FIRST) if name.startswith(prefix)), len(FIRST))


def op_jobs():
    for name, sample in (WINOGRAD | samples.TABLE).items():
        yield f'op {name}', check_op, name, sample


def net_jobs():
    for dtype in TOLERANCES:
        for name in NETS:
            yield f'net {name}, {dtype}', check_net, name, dtype


def training_jobs():
    for dtype in TOLERANCES:
        for name in TRAINED_NETS:
            for optimizer in OPTIMIZERS:
                yield (f'training of {name}, {optimizer}, {dtype}', check_training, name, optimizer,
                       dtype)
    for name in TRAINED_NETS:
        yield f'two runs of {name}', check_determinism, name
        yield f'tapes of {name}', check_tapes, name, 1 / 2


def full_jobs():
    yield 'fcn8s at full width', check_net, 'fcn8s', 'float32', 1, (500, 500)


def check_until_unusable(check, *args):
    """The rows of a check as dicts, up to an error after which this process cannot compute."""
    for row in check(*args):
        yield row._asdict()
        if row.message and not is_usable():
            raise OSError('this process cannot compute on the GPU any more')


def is_usable():
    return gpu_status()[-1].ok


def describe_run():
    yield dict(part='machine', hardware=describe_gpu())


# ---- The report ----------------------------------------------------------------------------------

def markdown_section(log):
    """Lines for GPU_STATUS.md: date, GPU, the largest error of each part, every failure."""
    rows = [Row(**row) for row in log.rows if row['part'] != 'machine']
    parts = {}
    for row in rows:
        parts.setdefault((row.part, row.dtype), []).append(row)
    now = datetime.now(timezone.utc)
    count = count_failures(log)
    yield f'\n### {now:%Y-%m-%d %H:%M} UTC: {f"{count} FAILED" if count else "all passed"}\n'
    yield from (f'{"; ".join(row["hardware"])}.\n' for row in log.rows if row['part'] == 'machine')
    yield '| what | dtype | compared | largest error | of | tolerance |'
    yield '|' + ' --- |' * 6
    for (part, dtype), of_part in parts.items():
        worst = max(of_part, key=lambda row: (not row.ok, row.error))
        yield (f'| {part} | {dtype} | {len(of_part)} | {worst.error:.1e} | {worst.name} | '
               f'{worst.tolerance:g} |')
    yield ''
    yield from (f'- FAILED: {row}' for row in rows if not row.ok)
    yield from failure_lines(log)


def count_failures(log):
    """Of rows and of whole jobs."""
    bad_rows = [row for row in log.rows if row['part'] != 'machine' and not Row(**row).ok]
    return len(bad_rows) + len(log.failed) + bool(log.stopped)


def insert_section(page, section):
    """The page with one more section, above the earlier ones."""
    before, heading, runs = page.partition(HEADING)
    if not heading:
        raise ValueError(f'{STATUS_FILE.name} has no line {HEADING.strip()!r}')
    return before + heading + section + runs.replace(NONE_YET, '', 1)


def describe_gpu():
    """GPU, driver and versions; exits with the failed check and the remedy without a usable GPU."""
    checks = gpu_status()
    for check, ok, message in checks:
        if not ok:
            raise SystemExit(f'no GPU to check, {check}: {message}')
    query = 'nvidia-smi', '--query-gpu=name,driver_version', '--format=csv,noheader'
    try:
        driver = subprocess.run(query, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        driver = 'driver unknown: nvidia-smi failed'
    return [driver, *(message for _, _, message in checks), f'NumPy {np.__version__}']


def report(log, write):
    """Print the section, and write it into the page if it is asked for; exit if nothing was run."""
    if not log.rows:
        raise SystemExit(log.stopped or 'nothing was compared')
    section = '\n'.join(markdown_section(log)) + '\n'
    print(section)
    if write:
        page = STATUS_FILE.read_text('utf-8')
        STATUS_FILE.write_text(insert_section(page, section), 'utf-8')


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--parts', nargs='+', choices=PARTS, default=PARTS[:-1])
    parser.add_argument('--seconds', type=float, default=SECONDS, help='for all parts')
    parser.add_argument('--write', action='store_true', help=f'also add to {STATUS_FILE.name}')
    parser.add_argument('--record', type=Path, metavar='LOG', help='of an earlier run, no new one')
    parser.add_argument('--out', type=Path, default=ROOT / 'runs' / 'gpu', metavar='FOLDER')
    parser.add_argument('--worker', type=float, metavar='DEADLINE', help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.record and not args.record.exists():
        parser.error(f'{args.record}: no such file')
    log_file = args.out / 'gpu_check.jsonl'
    if args.worker:
        os.environ.update(ENVIRON)              # before CuPy and Numba are imported
        describe_gpu()                          # ends here if there is none
        return run_jobs(make_jobs(args.parts), log_file, args.worker, is_usable)
    if args.record:
        report(read_log(args.record), write=True)
        return 0
    args.out.mkdir(parents=True, exist_ok=True)
    log_file.unlink(missing_ok=True)
    log = supervise(worker_command(__file__, *sys.argv[1:]), log_file, args.seconds)
    report(log, args.write)
    return int(count_failures(log) > 0)


if __name__ == '__main__':
    sys.exit(main())
