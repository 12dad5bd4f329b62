"""Two ranks beside one process, the time of an all-reduce, and a model of many GPUs.

    python benchmarks/scaling.py                    needs pip install "tinyfcn[mpi]"

The model of `allreduce_model` is compared with what is measured here, and then extrapolated to 8,
64 and 1,024 GPUs, whose figures are assumptions: nothing was measured on several GPUs.
"""
import json
import os
import subprocess
import sys
from pathlib import Path
from time import perf_counter

from allreduce_model import (
    FCN_BYTES,
    GPU_FLOPS,
    IMAGES_PER_GPU,
    LINKS,
    extrapolate,
    fit_link,
    predict_step,
    ring_time,
)
from timing import RESULTS, check_machine, np, run_in_subprocess, save, tinyfcn

from tinyfcn.data.dataset import Dataset
from tinyfcn.runtime import all_reduce, distributed
from tinyfcn.training import loop, recipes

RECIPE = 'stanford-16s'
SIZE = 240, 320         # as in Stanford Background
N_CLASS = 8
IMAGES = 64
STEPS = 10
WARM_UP = 2             # steps
SIZES = [1 << 10, 1 << 16, 1 << 20, 1 << 22, 1 << 24, 1 << 26, FCN_BYTES]
ROUNDS = 7                                      # of each all-reduce; the first warms up


# ---- What a rank measures ------------------------------------------------------------------------

def measure_all_reduce():
    """-> [(bytes, seconds)] of sums over the ranks, each a median"""
    world = distributed.world()
    measured = []
    for size in SIZES:
        x = np.ones(size // 4, 'float32')
        seconds = []
        for _ in range(ROUNDS):
            world.barrier()
            began = perf_counter()
            total = world.begin_all_reduce()
            total.add('x', x)
            total.result()
            seconds.append(perf_counter() - began)
        measured.append((size, float(np.median(seconds[1:]))))
    return measured


def measure_training():
    """-> images a second by the recipe stanford-16s, seconds a step, and of them in all-reduce"""
    recipe = recipes.get_recipe(RECIPE, steps=WARM_UP + STEPS, lr=1e-6)
    net = tinyfcn.build(recipe.net, n_class=N_CLASS)
    spent = [0.]                                # a list, so that `timed` can add to it
    for method in 'add', 'result':              # `result` waits, for a slower rank as well
        function = getattr(all_reduce.AllReduce, method)
        setattr(all_reduce.AllReduce, method, timed(function, spent))
    for row in loop.train(net, random_dataset(), recipe, loop.make_optimizer(recipe)):
        if row['step'] == WARM_UP:
            began = perf_counter()
            spent[0] = 0.
    step = (perf_counter() - began) / STEPS
    images = recipe.batch * recipe.iter_size
    return dict(images_per_second=images / step, step=step, all_reduce=spent[0] / STEPS,
                images_per_step=images, bytes=sum(w.nbytes for w in net.params.values()))


def timed(function, spent):
    """`function`, adding its seconds to spent[0]."""
    def run(*args):
        began = perf_counter()
        try:
            return function(*args)
        finally:
            spent[0] += perf_counter() - began
    return run


def random_dataset():
    """In memory, so that reading files is not measured."""
    rng = np.random.default_rng(0)
    pairs = [(rng.integers(0, 256, (*SIZE, 3)).astype('uint8'),
              rng.integers(0, N_CLASS, SIZE).astype('uint8')) for _ in range(IMAGES)]
    return Dataset(map(str, range(N_CLASS)), map(str, range(IMAGES)),
                   lambda name: pairs[int(name)])


def run_on_ranks(ranks, function, threads=1):
    """What rank 0 returns of the function of this name."""
    environ = dict(TINYFCN_THREADS=str(threads), OPENBLAS_NUM_THREADS=str(threads))
    if ranks == 1:
        return run_in_subprocess(__file__, function, **environ)
    mpiexec = Path(sys.executable).with_name('mpiexec')
    process = subprocess.run([mpiexec, '-n', str(ranks), sys.executable, __file__, function],
                             check=True, stdout=subprocess.PIPE, text=True,
                             env={**os.environ, **environ})
    return json.loads(process.stdout.splitlines()[-1])


# ---- The page ------------------------------------------------------------------------------------

def load_results(path=RESULTS / 'scaling.json'):
    """The rows of the last run, or {}."""
    return json.loads(path.read_text('utf-8'))['rows'] if path.exists() else {}


def markdown_section(found):
    """What was measured, what the model predicts of it, and its extrapolation to many GPUs."""
    if not found:
        return
    one = found['one']
    two = found['two']
    yield '## Several ranks\n\n![](results/scaling.png)\n'
    yield (f'The recipe {RECIPE} on this machine, 320×240 pixels, {one["images_per_step"]} images '
           f'a step. *all-reduce* includes waiting for the slower rank.\n')
    yield '| | images/s | all-reduce, of a step |\n| --- | --- | --- |'
    for name, row in (('one core', found['single']), ('two cores', one),
                      ('two ranks, a core each', two)):
        yield (f'| {name} | {row["images_per_second"]:.2f} | '
               f'{row["all_reduce"] / row["step"]:.1%} |')
    speedup = two['images_per_second'] / one['images_per_second']
    yield (f'\nTwo ranks train {speedup:.2f} times as fast as one with two cores. The all-reduce '
           f'of 134 million float32 over both takes {found["all_reduce"][-1][1]:.2f} s '
           f'({found["bandwidth"] / 1e9:.1f} GB/s, {found["latency"] * 1e6:.0f} µs). The model '
           f'predicts {found["predicted"]:.3f} s for a step of two ranks, of which '
           f'{found["waits"] / found["predicted"]:.1%} is waiting; measured: '
           f'{two["step"]:.3f} s.\n')
    yield (f'Extrapolated: FCN-8s on 500×500 pixels, GPUs that sustain {GPU_FLOPS / 1e12:.0f} '
           f'TFLOP/s, a ring all-reduce of float32 gradients that overlaps the backward pass. '
           f'**Nothing of this was measured**; the GPUs and the links are assumptions.\n')
    yield '| GPUs | link | GB/s | µs | images per GPU | images/s | efficiency | without overlap |'
    yield '|' + ' --- |' * 8
    for row in found['gpus']:
        link = LINKS[row['gpus']]
        yield (f'| {row["gpus"]:,} | {row["link"]} | {link.bandwidth / 1e9:.0f} | '
               f'{link.latency * 1e6:.0f} | {row["images_per_gpu"]} '
               f'| {row["images_per_second"]:,.0f} | {row["efficiency"]:.0%} '
               f'| {row["without_overlap"]:.0%} |')
    yield ''


def draw(path, found):
    """The all-reduce beside its model; the efficiency of many GPUs."""
    import matplotlib
    matplotlib.use('agg')
    from matplotlib import pyplot as plt
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4))
    sizes, seconds = zip(*found['all_reduce'])
    left.loglog(sizes, seconds, 'o-', label='measured')
    left.loglog(sizes, [ring_time(size, 2, found['bandwidth'], found['latency']) for size in sizes],
                '--', label='ring: latency and bandwidth')
    left.set(title='All-reduce over two ranks', xlabel='bytes', ylabel='seconds')
    for i, images in enumerate(IMAGES_PER_GPU):
        rows = [row for row in found['gpus'] if row['images_per_gpu'] == images]
        for key, style in (('efficiency', 'o-'), ('without_overlap', 'o--')):
            right.semilogx([row['gpus'] for row in rows], [row[key] for row in rows], style,
                           color=f'C{i}', label=f'{key.replace("_", " ")}, {images} per GPU')
    right.set(title='Model: FCN-8s on many GPUs', xlabel='GPUs', ylim=(0, 1.05))
    right.set_xticks([*LINKS], [f'{gpus:,}' for gpus in LINKS])
    left.legend(fontsize=8)
    right.legend(fontsize=8, loc='upper left', bbox_to_anchor=(1, 1))
    figure.savefig(path, dpi=120, bbox_inches='tight')


def main():
    machine = check_machine()
    found = dict(single=run_on_ranks(1, 'measure_training'),
                 one=run_on_ranks(1, 'measure_training', threads=2),
                 two=run_on_ranks(2, 'measure_training'),
                 all_reduce=run_on_ranks(2, 'measure_all_reduce'))
    found['bandwidth'], found['latency'] = fit_link(found['all_reduce'])
    net = tinyfcn.build(recipes.get_recipe(RECIPE).net, n_class=N_CLASS, seed=None)
    images = found['single']['images_per_step']
    found['predicted'], found['waits'] = predict_step(
        net, SIZE, found['single']['step'] / images, 2, found['bandwidth'], found['latency'],
        images // 2)
    found['gpus'] = [*extrapolate()]
    save('scaling', found, machine)
    draw(RESULTS / 'scaling.png', found)
    print('\n'.join(markdown_section(found)))


if __name__ == '__main__':
    if sys.argv[1:]:
        distributed.world().mute()
        print(json.dumps(globals()[sys.argv[1]]()))
    else:
        main()
