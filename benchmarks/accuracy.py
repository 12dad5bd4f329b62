"""FCN-SqueezeNet on real pictures, by tinyfcn and by PyTorch: the same net, weights, order, recipe.

    python benchmarks/accuracy.py --data FOLDER --set stanford --seeds 0 1 2 --stages 16s 8s 4s

Each stage of each rival runs in a process of its own and leaves a JSON in results/accuracy/; what
is there already is not done again. Each goes on from its own weights of the stage before, which
with the predictions stay in runs/accuracy/. Judged are whole pictures of the development split, by
tinyfcn.metrics. --epochs 0.02 tries it out, and writes nothing to results/.
"""
import argparse
import json
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from statistics import mean
from time import perf_counter

from side_by_side import RESULTS, machine, peak, warn

# isort: split
import numpy as np
from rivals import RIVALS

from tinyfcn import metrics, viz
from tinyfcn.data import load_dataset
from tinyfcn.data.dataset import hold_out
from tinyfcn.files import open_atomic
from tinyfcn.training import recipes, run

FOLDERS = dict(stanford='stanford_background', camvid='camvid', voc_animals='voc_animals')
IMAGENET = 'weights/squeezenet_v1.1_oihw_fp32.npz'
RUNS = RESULTS.parent.parent / 'runs' / 'accuracy'
SHOWN, POINTS = 4, 100          # pictures whose predictions are kept; points of a curve
STYLE = dict(tinyfcn=dict(color='#0072b2', lw=2), pytorch=dict(color='#d55e00', lw=1))
METRICS = dict(pixel_acc='pixel acc', mean_acc='mean acc', mean_iu='mean IU', fw_iu='f.w. IU')

# A step moves a score by rate·|x|² for each unit of its error, and |x|² is large at fire5 and fire3
# (STAGING.md). To scale a skip by s, as FCN-8s at once does, is to scale its weights' rate by s².
GENTLE = {'*.b': dict(lr=2, decay=0), 'score_fire?.w': dict(lr=1 / 30, decay=30)}

# name: finest stride, whose recipe, whose weights (None: ImageNet's), what differs
STAGES = {
    '16s': (16, 16, None, {}), '8s': (8, 8, '16s', {}), '4s': (4, 4, '8s', {}),
    # as long at the same rates without a new skip: what is won by training on
    '16s-on': (16, 8, '16s', {}), '16s-long': (16, 4, '16s-on', {}), '8s-on': (8, 4, '8s', {}),
    # all skips from the first step on: as they are; gently
    '4s-naive': (4, 16, None, {}), '4s-at-once': (4, 16, None, dict(rules=GENTLE)),
    # staged and gentle: the trunk may go on at a higher rate
    '8s-gentle': (8, 8, '16s', dict(rules=GENTLE)),
    '4s-gentle': (4, 4, '8s-gentle', dict(rules=GENTLE, lr=3e-4)),
    '16s-scaled': (16, 16, None, dict(scale_range=(.7, 1.4))),
    '8s-scaled': (8, 8, '16s-scaled', dict(scale_range=(.7, 1.4), rules=GENTLE)),
    '4s-scaled': (4, 4, '8s-scaled', dict(scale_range=(.7, 1.4), rules=GENTLE, lr=3e-4)),
}


def planned(set_name, stage, epochs=1.):
    """The recipe of a stage, or so much of its steps; and the stage that it goes on from."""
    stride, like, start, changes = STAGES[stage]
    recipe = recipes.get_recipe(f'{set_name}-{like}s', net=f'fcn_squeezenet_{stride}s', **changes)
    return replace(recipe, steps=max(1, round(epochs * recipe.steps))), start


def opened(recipe, data):
    """What is learned from, and what judges; a test set never does."""
    name, split = recipe.train
    pictures, valid = load_dataset(name, data / FOLDERS[name], split), recipe.valid
    return (pictures, load_dataset(name, data / FOLDERS[name], valid[1])) if valid else \
        hold_out(pictures)


def where(set_name, stage, seed, rival, epochs=1.):
    """The paths of a result: its JSON, its weights, its first predictions."""
    kept = RUNS if epochs == 1 else RUNS / f'{epochs:g} epochs'
    noted = RESULTS / 'accuracy' if epochs == 1 else kept
    name = f'{set_name}-{stage}-{seed}-{rival}'
    return noted / f'{name}.json', kept / f'{name}.safetensors', kept / f'{name}.npz'


def learn(data, set_name, stage, seed, rival, epochs):
    """One stage of one rival, in a process that does nothing else; its result is written down."""
    from tqdm import tqdm
    recipe, start = planned(set_name, stage, epochs)
    pictures, valid = opened(recipe, data)
    begin = where(set_name, start, seed, rival, epochs)[1] if start else data / IMAGENET
    net = run.build_net(recipe, pictures.classes, seed, {'': begin})
    noted, weights, predicted = where(set_name, stage, seed, rival, epochs)
    for path in noted, weights:
        path.parent.mkdir(parents=True, exist_ok=True)
    found, one = warn(machine()), RIVALS[rival](net)
    began = perf_counter()
    losses = [*tqdm(one.losses(pictures, recipe, seed), noted.stem, recipe.steps, disable=None)]
    trained, most, hist, shown = perf_counter(), peak(), 0, []
    for label, pred in one.predict_all(valid):
        hist = hist + metrics.confusion(label, pred, len(pictures.classes))
        shown += [pred][:SHOWN - len(shown)]
    judged = perf_counter()
    net.save(weights)
    np.savez(predicted, *shown)
    result = dict(
        set=set_name, stage=stage, seed=seed, rival=rival, recipe=recipe.to_dict(),
        machine=found,
        pictures=len(pictures), judged_by=len(valid), scores=run.json_scores(metrics.scores(hist)),
        train_seconds=trained - began, judge_seconds=judged - trained, peak=most,
        losses=[float(np.mean(part)) for part in np.array_split(losses, min(POINTS, len(losses)))])
    with open_atomic(noted) as file:                      # last: what is noted is done
        file.write(json.dumps(result, indent=1).encode())


# ---- What became of it

def noted_in(folder=RESULTS / 'accuracy', set_name=''):
    """All results, in the order of sets, stages, rivals and seeds."""
    results = [json.loads(path.read_text('utf-8')) for path in folder.glob(f'{set_name}*.json')]
    orders = dict(set=[*FOLDERS], stage=[*STAGES], rival=[*RIVALS])
    return sorted(results, key=lambda r: (*(order.index(r[key]) for key, order in orders.items()),
                                          r['seed']))


def summed(results):
    """One dict for each set, stage and rival: means over the seeds, mean IU of each."""
    groups = {}
    for r in results:
        groups.setdefault((r['set'], r['stage'], r['rival']), []).append(r)
    for (set_name, stage, rival), group in groups.items():
        scores = {key: 100 * mean(r['scores'][key] for r in group) for key in METRICS}
        yield dict(scores, set=set_name, stage=stage, rival=rival,
                   each=[100 * r['scores']['mean_iu'] for r in group],
                   seconds=mean(r['train_seconds'] for r in group),
                   peak=max(r['peak'] for r in group),
                   busy=any((r['machine']['busy'] or 0) > .2 for r in group))


def section(results):
    """Lines of Markdown: a row for each set, stage and rival."""
    if not results:
        return
    yield '## Accuracy on real pictures, in per cent\n'
    yield f'| set | stage | by | {" | ".join(METRICS.values())} | each seed | seconds | peak GB |'
    yield '|' + ' --- |' * (6 + len(METRICS))
    yield from map(line, summed(results))
    yield '\n\\* others kept the machine busy: not to be quoted; the pace, below, is.\n'
    yield from (f'![](results/accuracy/{name}.png)\n' for name in {r['set']: 0 for r in results})


def line(row):
    scores = ' | '.join(f'{row[key]:.1f}' for key in METRICS)
    each = ', '.join(f'{iu:.1f}' for iu in row['each'])
    return (f'| {row["set"]} | {row["stage"]} | {row["rival"]} | {scores} | {each} | '
            f'{row["seconds"]:.0f}{"*" * row["busy"]} | {row["peak"] / 1e9:.2f} |')


def curves(results, path):
    """The losses of both rivals, a stage beside the other."""
    from matplotlib.figure import Figure
    stages = list(dict.fromkeys(r['stage'] for r in results))
    figure = Figure(figsize=(1 + 3.5 * len(stages), 3.2), layout='constrained')
    for ax, stage in zip(figure.subplots(1, len(stages), squeeze=False)[0], stages):
        for r in (r for r in results if r['stage'] == stage):
            steps = (np.arange(len(r['losses'])) + .5) * r['recipe']['steps'] / len(r['losses'])
            ax.plot(steps, r['losses'], **STYLE[r['rival']], label=f'{r["rival"]}, {r["seed"]}')
        ax.set(title=f'{r["set"]} {stage}', xlabel='step', ylabel='loss')
    figure.axes[0].legend(fontsize=7)
    figure.savefig(path, dpi=120)


def page(data, results, epochs, path):
    """The first pictures that judge, and what the rivals of one seed make of each."""
    valid = opened(recipes.Recipe.from_dict(results[0]['recipe']), data)[1]
    keys = 'set', 'stage', 'seed', 'rival'
    preds = [np.load(where(*(r[key] for key in keys), epochs)[2]) for r in results]
    rows = [(valid.names[i], *valid[i], *(pred[key] for pred in preds))
            for i, key in enumerate(preds[0].files)]
    viz.draw_page(path, rows, valid.classes, [f'{r["stage"]}, {r["rival"]}' for r in results])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--data', type=Path, required=True, metavar='FOLDER')
    parser.add_argument('--set', choices=FOLDERS, default='stanford')
    parser.add_argument('--seeds', type=int, nargs='+', default=[0])
    parser.add_argument('--stages', nargs='+', choices=STAGES, default=['16s', '8s', '4s'])
    parser.add_argument('--epochs', type=float, default=1., help='so much of each recipe')
    parser.add_argument('--only', choices=RIVALS)
    args = parser.parse_args()
    jobs = [(args.set, stage, seed, rival, args.epochs) for seed in args.seeds
            for stage in args.stages for rival in ([args.only] if args.only else RIVALS)]
    for job in jobs:
        if not where(*job)[0].exists():
            with ProcessPoolExecutor(1, get_context('spawn')) as process:
                process.submit(learn, args.data, *job).result()
        print(*map(line, summed([json.loads(where(*job)[0].read_text('utf-8'))])), flush=True)
    noted, weights, _ = where(*jobs[0])
    results = noted_in(noted.parent, args.set)
    print('', *section(results), sep='\n')
    curves(results, noted.with_name(f'{args.set}.png'))
    own = [r for r in results if r['seed'] == args.seeds[0] and r['stage'] in args.stages]
    page(args.data, own, args.epochs, weights.with_name(f'{args.set}-page-{args.seeds[0]}.png'))


if __name__ == '__main__':
    main()
