"""Two ranks beside one process, the time of an all-reduce, and what that means for many cards.

    python benchmarks/scaling.py                    needs pip install "tinyfcn[mpi]"

The model of `ring` is checked against what was measured here, and then drawn out to 8, 64 and
1,024 cards, whose figures are assumptions: nothing was measured on cards.
"""
import json
import os
import subprocess
import sys
from pathlib import Path
from time import perf_counter

from ring import CARD, FULL, LINKS, SHARES, drawn_out, fitted, predicted, ring
from side_by_side import RESULTS, apart, np, save, start, tinyfcn

from tinyfcn.data.dataset import Dataset
from tinyfcn.runtime import distributed
from tinyfcn.training import loop, recipes

SIZE, PICTURES, N_CLASS = (240, 320), 64, 8     # as Stanford's
STEPS, WARM = 10, 2
SIZES = [1 << 10, 1 << 16, 1 << 20, 1 << 22, 1 << 24, 1 << 26, FULL]           # bytes


# ---- What a rank measures ------------------------------------------------------------------------

def all_reduce():
    """-> [(bytes, seconds)] of sums over the ranks, the median of a few"""
    ranks, found = distributed.world(), []
    for size in SIZES:
        x, rounds = np.ones(size // 4, 'float32'), []
        for _ in range(7):
            ranks.barrier()
            began, total = perf_counter(), ranks.all_reduce()
            total.add('x', x)
            total.result()
            rounds.append(perf_counter() - began)
        found.append((size, float(np.median(rounds[1:]))))
    return found


def training_rate():
    """-> images/s of the recipe stanford-16s, seconds a step, and of them in sums over the ranks"""
    how, spent = recipes.get_recipe('stanford-16s', steps=WARM + STEPS, lr=1e-6), [0.]
    net, pictures = tinyfcn.build(how.net, n_class=N_CLASS), random_pictures()
    for method in 'add', 'result':                # begun, and waited for: for slower ranks as well
        setattr(distributed.AllReduce, method, timed(getattr(distributed.AllReduce, method), spent))
    for row in loop.train(net, pictures, how, loop.make_optimizer(how)):
        if row['step'] == WARM:
            began, spent[0] = perf_counter(), 0.
    step = (perf_counter() - began) / STEPS
    pictures = how.batch * how.iter_size
    return dict(images=pictures / step, step=step, adding=spent[0] / STEPS, pictures=pictures,
                bytes=sum(w.nbytes for w in net.params.values()))


def timed(function, spent):
    def run(*args):
        began = perf_counter()
        try:
            return function(*args)
        finally:
            spent[0] += perf_counter() - began
    return run


def random_pictures():
    """In memory, so that nothing but learning is measured."""
    rng = np.random.default_rng(0)
    held = [(rng.integers(0, 256, (*SIZE, 3)).astype('uint8'),
             rng.integers(0, N_CLASS, SIZE).astype('uint8')) for _ in range(PICTURES)]
    return Dataset(map(str, range(N_CLASS)), map(str, range(PICTURES)),
                    lambda name: held[int(name)])


def on_ranks(ranks, what, threads=1):
    """What rank 0 of so many has measured."""
    environ = dict(TINYFCN_THREADS=str(threads), OPENBLAS_NUM_THREADS=str(threads))
    if ranks == 1:
        return apart(__file__, what, **environ)
    mpiexec = Path(sys.executable).with_name('mpiexec')
    ran = subprocess.run([mpiexec, '-n', str(ranks), sys.executable, __file__, what], check=True,
                         stdout=subprocess.PIPE, text=True, env={**os.environ, **environ})
    return json.loads(ran.stdout.splitlines()[-1])


# ---- The page ------------------------------------------------------------------------------------

def noted_in(path=RESULTS / 'scaling.json'):
    """What the last run found, or nothing."""
    return json.loads(path.read_text('utf-8'))['rows'] if path.exists() else {}


def section(found):
    """Lines of Markdown: what was measured, the model beside it, and many cards."""
    if not found:
        return
    two, one = found['two'], found['one']
    yield '## Several ranks\n\n![](results/scaling.png)\n'
    yield (f'The recipe stanford-16s on this machine, 320×240 pixels, {one["pictures"]} pictures a '
           f'step. *adding*: begun and waited for, also for the slower rank.\n')
    yield '| | images/s | adding, of a step |\n| --- | --- | --- |'
    for words, row in (('one core', found['single']), ('two cores', one),
                       ('two ranks, a core each', two)):
        yield f'| {words} | {row["images"]:.2f} | {row["adding"] / row["step"]:.1%} |'
    yield (f'\nTwo ranks learn {two["images"] / one["images"]:.2f} times as fast as one with two '
           f'cores. 134 million float32 are added up over both in '
           f'{found["all_reduce"][-1][1]:.2f} s ({found["bandwidth"] / 1e9:.1f} GB/s, '
           f'{found["latency"] * 1e6:.0f} µs). The model says {found["predicted"]:.3f} s for a '
           f'step of two ranks, of which {found["waits"] / found["predicted"]:.1%} is waiting; '
           f'it took {two["step"]:.3f} s.\n')
    yield (f'Drawn out: FCN-8s on 500×500 pixels, cards that do {CARD / 1e12:.0f} TFLOP/s all in '
           f'all, gradients in float32 around a ring while the walk back goes on. **Nothing of '
           f'this was measured**; the cards and the links are assumptions.\n')
    yield '| cards | link | GB/s | µs | pictures a card | images/s | efficiency | without overlap |'
    yield '|' + ' --- |' * 8
    for row in found['cards']:
        _, bandwidth, latency = LINKS[row['cards']]
        yield (f'| {row["cards"]:,} | {row["link"]} | {bandwidth / 1e9:.0f} | {latency * 1e6:.0f} '
               f'| {row["share"]} | {row["images"]:,.0f} | {row["efficiency"]:.0%} '
               f'| {row["without_overlap"]:.0%} |')
    yield ''


def draw(path, found):
    """The all-reduce beside its model; the efficiency of many cards."""
    import matplotlib
    matplotlib.use('agg')
    from matplotlib import pyplot as plt
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4))
    sizes, seconds = zip(*found['all_reduce'])
    left.loglog(sizes, seconds, 'o-', label='measured')
    left.loglog(sizes, [ring(size, 2, found['bandwidth'], found['latency']) for size in sizes],
                '--', label='ring: latency and bandwidth')
    left.set(title='Two ranks add up', xlabel='bytes', ylabel='seconds')
    for i, share in enumerate(SHARES):
        rows = [row for row in found['cards'] if row['share'] == share]
        for key, style in (('efficiency', 'o-'), ('without_overlap', 'o--')):
            right.semilogx([row['cards'] for row in rows], [row[key] for row in rows], style,
                           color=f'C{i}', label=f'{key.replace("_", " ")}, {share} a card')
    right.set(title='Model: FCN-8s on many cards', xlabel='cards', ylim=(0, 1.05))
    right.set_xticks([*LINKS], [f'{cards:,}' for cards in LINKS])
    left.legend(fontsize=8)
    right.legend(fontsize=8, loc='upper left', bbox_to_anchor=(1, 1))
    figure.savefig(path, dpi=120, bbox_inches='tight')


def main():
    before = start()
    found = dict(single=on_ranks(1, 'training_rate'), one=on_ranks(1, 'training_rate', threads=2),
                 two=on_ranks(2, 'training_rate'), all_reduce=on_ranks(2, 'all_reduce'))
    found['bandwidth'], found['latency'] = fitted(found['all_reduce'])
    net = tinyfcn.build(recipes.get_recipe('stanford-16s').net, n_class=N_CLASS, seed=None)
    single = found['single']
    found['predicted'], found['waits'] = predicted(
        net, SIZE, single['step'] / single['pictures'], 2, found['bandwidth'], found['latency'],
        single['pictures'] // 2)
    found['cards'] = [*drawn_out()]
    save('scaling', found, before)
    draw(RESULTS / 'scaling.png', found)
    print('\n'.join(section(found)))


if __name__ == '__main__':
    if sys.argv[1:]:
        distributed.world().mute()
        print(json.dumps(globals()[sys.argv[1]]()))
    else:
        main()
