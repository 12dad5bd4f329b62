"""Every op, every net and a training on the card, each beside the same on the CPU: make gpu-check.

    python3 tests/gpu_check.py                  a table, and each failure by name; 1 if there is one
    python3 tests/gpu_check.py --write          its block into GPU_STATUS.md, too
    python3 tests/gpu_check.py --full           and FCN-8s at full width on 500×500

The truth is the CPU's: of an op its readable body in float64, of a net the same net. Errors are in
units of the largest true value (of 1, where all are smaller). In float32 two right nets may part by
a per cent in a gradient at a ReLU's kink, and yet point the same way: there the direction counts.
"""
import argparse
import subprocess
import sys
from contextlib import nullcontext
from copy import deepcopy
from datetime import datetime, timezone
from math import inf
from pathlib import Path
from typing import NamedTuple

# the repository as it lies: on a machine that is lent nothing gets installed
sys.path.append(str(Path(__file__).parents[1]))

# isort: split
import numpy as np
import samples
import training_samples

from tinyfcn import build, evaluate, fit, ops
from tinyfcn.dispatch import reference_only
from tinyfcn.models import NETS
from tinyfcn.runtime.backend import array_module, to_numpy
from tinyfcn.runtime.gpu import gpu_status, to_gpu

PAGE = Path(__file__).parents[1] / 'GPU_STATUS.md'
HEADING = '## Runs on a card, the newest first\n'
NONE_YET = '\nNone yet.\n'
BARS = dict(float32=1e-4, float64=1e-10)
WIDTH = 1 / 16
SIZE, SIZES = (48, 61), {'unet': (173, 180), 'deconvnet': (193, 200), 'edeconvnet': (193, 200)}
LEARNERS = 'fcn8s', 'segnet_basic'      # dropout, skips, crops; batch_norm, unpool, LRN
MOVERS = dict(SGD=dict(lr=1e-2), Adam=dict(lr=1e-3, optimizer='adam'))
PICTURES = training_samples.small_dataset()


class Row(NamedTuple):
    """How far something is from the truth, and how far it may be; words, where it broke."""
    part: str
    name: str
    dtype: str
    error: float
    bar: float
    words: str = ''

    @property
    def fine(self):
        return self.error <= self.bar               # nan is not

    def __str__(self):
        return f'{self.part}, {self.name}, {self.dtype}: {self.words or f"{self.error:.1e} apart"}'


def row(part, name, dtype, error, bar=None):
    """A row of what error() says; whatever it raises is a failure, and does not stop the others."""
    bar = BARS[dtype] if bar is None else bar
    try:
        return Row(part, name, dtype, float(error()), bar)
    except Exception as broke:
        return Row(part, name, dtype, inf, bar, f'{type(broke).__name__}: {broke}')


def apart(ours, true):
    """The largest difference of arrays on the card from those of the CPU; each has its None."""
    if [x is None for x in ours] != [x is None for x in true]:
        raise ValueError('a gradient is missing, or there is one too many')
    return max(_apart(a, b) for a, b in zip(ours, true) if b is not None)


def _apart(a, b):
    if array_module(a) is np:
        raise TypeError('an array came back to the host')
    if a.shape != b.shape:
        raise ValueError(f'the shape is {a.shape}, and should be {b.shape}')
    return np.abs(to_numpy(a) - b).max(initial=0) / max(1, np.abs(b).max(initial=0))


# ---- What is compared ----------------------------------------------------------------------------

def of_op(name, sample):
    """A row of the table of samples: by the body and by the stand-in, in both dtypes."""
    for dtype in BARS:
        own = floats(sample, dtype)
        with reference_only():
            true = run(floats(own, 'float64'))
        for part, how in {'op, body': reference_only, 'op, stand-in': nullcontext}.items():
            with how():
                found = row(part, name, dtype, lambda own=own, true=true: apart(
                    run(own, to_gpu), true))
            yield found


def floats(sample, dtype):
    return samples.changed(sample, lambda v: v.astype(dtype) if v.dtype.kind == 'f' else v)


def run(sample, bring=lambda x: x):
    """-> y, new running statistics, and the gradients under a dy that is the same everywhere"""
    op = getattr(ops, sample.op)
    fresh = sample._replace(kwargs=deepcopy(sample.kwargs))     # its rng too
    given = samples.changed(fresh, bring)
    y, cache, *state = op(*given.args, **given.kwargs)
    dy = np.random.default_rng(1).standard_normal(y.shape).astype(str(y.dtype))
    return [y, *(new for pair in state for new in pair), *op.backward(bring(dy), cache)]


def of_net(name, dtype, width=WIDTH, size=None):
    """Scores and gradients of a whole net, dropout and running statistics at rest."""
    size = size or SIZES.get(name, (227, 240) if NETS[name][2] == 1000 else SIZE)
    found, what = {}, f'{name}, width {width:g}'

    def scores():
        true, ours = (a_net(name, dtype, width) for _ in range(2))
        rng = np.random.default_rng(1)
        image = rng.standard_normal((1, NETS[name][1], *size)).astype(dtype)
        ours.to('gpu')
        for key, net, bring in (('true', true, np.asarray), ('ours', ours, to_gpu)):
            y = net.forward(bring(image), keep=True)
            y = y if isinstance(y, dict) else {net.outputs(train=False)[0]: y}
            seeds = {head: np.random.default_rng(2).standard_normal(score.shape).astype(dtype)
                     for head, score in y.items()}
            grads = net.backward(**{head: bring(d) for head, d in seeds.items()})
            found[key] = [*y.values()], [*grads.values()]
        return apart(found['ours'][0], found['true'][0])

    def directions():
        return 1 - min(cosine(to_numpy(a), b)
                       for a, b in zip(found['ours'][1], found['true'][1]))

    yield row('net, scores', what, dtype, scores)
    if dtype == 'float32':
        yield row('net, gradients: 1 − cosine', what, dtype, directions, 1e-3)
    else:
        yield row('net, gradients', what, dtype,
                  lambda: apart(found['ours'][1], found['true'][1]))


def a_net(name, dtype='float32', width=WIDTH, n_class=None):
    """With scores that do not begin at zero, and no ReLU on its kink where the image is padded."""
    net, rng = build(name, n_class, width=width, dtype=dtype), np.random.default_rng(3)
    for w in net.params.values():
        if not w.any():
            w += (.02 * rng.standard_normal(w.shape)).astype(dtype)
    return net


def cosine(a, b):
    a, b = a.ravel().astype('float64'), b.ravel().astype('float64')
    return a @ b / max(np.linalg.norm(a) * np.linalg.norm(b), 1e-300)


def of_training(name, optimizer, dtype):
    """Three steps of two batches of two, chance and all: each loss; what is judged afterwards."""
    found = {}

    def losses():
        found.update({device: trained(name, optimizer, dtype, device) for device in ('cpu', 'gpu')})
        return max(abs(found['gpu'][1] / found['cpu'][1] - 1))

    def confused():
        ours, true = (evaluate(found[key][0], PICTURES) for key in ('gpu', 'cpu'))
        return max(abs(ours[key] - true[key]) for key in ('pixel_acc', 'mean_acc', 'fw_iu'))

    yield row('training, losses', f'{name}, {optimizer}', dtype, losses)
    if dtype == 'float64':              # in float32 Adam makes a whole step of a rounding about 0
        yield row('training, weights', f'{name}, {optimizer}', dtype, lambda: apart(
            *([*found[key][0].params.values()] for key in ('gpu', 'cpu'))))
        yield row('training, judged', f'{name}, {optimizer}', dtype, confused)


def trained(name, optimizer, dtype, device):
    """-> the net after it, the loss of each step"""
    net = a_net(name, dtype, n_class=len(PICTURES.classes))
    recipe = training_samples.make_recipe(steps=3, batch=2, iter_size=2, flip=True,
                                     **MOVERS[optimizer])
    return net, np.array([step['loss'] for step in fit(net, PICTURES, recipe, device=device)])


def twice(name):
    """One seed, two trainings on the card: the same bytes."""
    def differ():
        one, other = (trained(name, 'SGD', 'float32', 'gpu')[0] for _ in range(2))
        bits = [{key: to_numpy(w).tobytes() for key, w in {**net.params, **net.state}.items()}
                for net in (one, other)]
        return sum(bits[0][key] != bits[1][key] for key in bits[0])

    yield row('weights that differ, one seed twice', name, 'float32', differ, 0)


def everything(full=False):
    """All rows, as they are found."""
    for name, sample in samples.TABLE.items():
        yield from of_op(name, sample)
    for dtype in BARS:
        for name in NETS:
            yield from of_net(name, dtype)
        for name in LEARNERS:
            for optimizer in MOVERS:
                yield from of_training(name, optimizer, dtype)
    for name in LEARNERS:
        yield from twice(name)
    if full:
        yield from of_net('fcn8s', 'float32', width=1, size=(500, 500))


# ---- What is said of it --------------------------------------------------------------------------

def block(rows, found):
    """Markdown for GPU_STATUS.md: the date, the card, the worst of each part, all that failed."""
    failed, parts = [row for row in rows if not row.fine], {}
    for one in rows:
        parts.setdefault((one.part, one.dtype), []).append(one)
    now = datetime.now(timezone.utc)
    yield f'\n### {now:%Y-%m-%d %H:%M} UTC: {f"{len(failed)} FAILED" if failed else "all fine"}\n'
    yield f'{"; ".join(found)}.\n'
    yield '| what | dtype | compared | worst | of | may be |'
    yield '|' + ' --- |' * 6
    for (part, dtype), own in parts.items():
        worst = max(own, key=lambda one: (not one.fine, one.error))
        yield (f'| {part} | {dtype} | {len(own)} | {worst.error:.1e} | {worst.name} | '
               f'{worst.bar:g} |')
    yield ''
    yield from (f'- FAILED: {one}' for one in failed)


def written(page, text):
    """The page with one more block, above those of before."""
    head, heading, runs = page.partition(HEADING)
    if not heading:
        raise ValueError(f'{PAGE.name} has no line {HEADING.strip()!r}')
    return head + heading + text + runs.replace(NONE_YET, '', 1)


def card():
    """What computes, in words; ends here, with the layer and the remedy, where nothing does."""
    found = gpu_status()
    for layer, fine, words in found:
        if not fine:
            raise SystemExit(f'no card to check, {layer}: {words}')
    asked = 'nvidia-smi', '--query-gpu=name,driver_version', '--format=csv,noheader'
    try:
        driver = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        driver = 'nvidia-smi says nothing'
    return [driver, *(words for _, _, words in found), f'NumPy {np.__version__}']


def main():
    from tqdm import tqdm
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--full', action='store_true', help='FCN-8s at full width, too')
    parser.add_argument('--write', action='store_true', help=f'into {PAGE.name}, too')
    args, found = parser.parse_args(), card()
    rows = [*tqdm(everything(args.full), disable=None)]
    text = '\n'.join(block(rows, found)) + '\n'
    print(text)
    if args.write:
        PAGE.write_text(written(PAGE.read_text('utf-8'), text), 'utf-8')
    return not all(row.fine for row in rows)


if __name__ == '__main__':
    sys.exit(main())
