"""FCN-SqueezeNet on real images, by tinyfcn and PyTorch: the same net, weights, batches and recipe.

    python benchmarks/accuracy.py --data FOLDER --set stanford --seeds 0 1 2 --stages 16s 8s 4s

Each stage of each competitor runs in its own process and writes a JSON to results/accuracy/;
existing ones are not computed again. A stage starts from its competitor's weights of the stage
before, which are in runs/accuracy/ with the predictions. Whole images of the validation split are
evaluated by tinyfcn.metrics. With --epochs 0.02, for a trial, nothing is written to results/.
"""
import argparse
import json
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from statistics import mean
from time import perf_counter
from typing import Any, NamedTuple

from timing import RESULTS, check_machine, is_busy, peak_memory

# isort: split
import numpy as np
from competitors import COMPETITORS

from tinyfcn import metrics, viz
from tinyfcn.data import load_dataset
from tinyfcn.data.dataset import hold_out
from tinyfcn.files import open_atomic
from tinyfcn.training import recipes, run
from tinyfcn.training.validation import json_scores

FOLDERS = dict(stanford='stanford_background', camvid='camvid', voc_animals='voc_animals')
IMAGENET = 'weights/squeezenet_v1.1_oihw_fp32.npz'
# as these weights need it; stages may also start from random ones
PREPROCESS = dict(order='BGR', scale=1, mean=(104., 117., 123.), std=(1, 1, 1))
RUNS = RESULTS.parent.parent / 'runs' / 'accuracy'
SHOWN = 4               # images whose predictions are kept
CURVE_POINTS = 100      # of the loss, in a result
STYLE = dict(tinyfcn=dict(color='#0072b2', lw=2), pytorch=dict(color='#d55e00', lw=1))
METRICS = dict(pixel_acc='pixel acc', mean_acc='mean acc', mean_iu='mean IU', fw_iu='f.w. IU')

# A step changes a score by rate·|x|² for each unit of its error, and |x|² is large at fire5 and
# fire3 (STAGING.md). To scale a skip by s, as FCN-8s at once does, is to scale its weights' rate by
# s².
SCALED_SKIPS = {'*.b': dict(lr=2, decay=0), 'score_fire?.w': dict(lr=1 / 30, decay=30)}


class Stage(NamedTuple):
    """A net and how it is trained."""
    stride: int                         # of its finest score
    recipe_stride: int                  # it is trained by the recipe for this stride
    init_from: str | None               # the stage whose weights it starts from; None: ImageNet's
    changes: dict[str, Any] = {}        # of the recipe


STAGES = {
    '16s': Stage(16, 16, None),
    '8s': Stage(8, 8, '16s'),
    '4s': Stage(4, 4, '8s'),
    # the same steps and rates without a new skip: what longer training alone gains
    '16s-on': Stage(16, 8, '16s'),
    '16s-long': Stage(16, 4, '16s-on'),
    '8s-on': Stage(8, 4, '8s'),
    # all skips from the first step on, unscaled or scaled
    '4s-naive': Stage(4, 16, None),
    '4s-at-once': Stage(4, 16, None, dict(rules=SCALED_SKIPS)),
    # one after another and scaled: the backbone may have a higher rate
    '8s-gentle': Stage(8, 8, '16s', dict(rules=SCALED_SKIPS)),
    '4s-gentle': Stage(4, 4, '8s-gentle', dict(rules=SCALED_SKIPS, lr=3e-4)),
    # with images of random scale
    '16s-scaled': Stage(16, 16, None, dict(scale_range=(.7, 1.4))),
    '8s-scaled': Stage(8, 8, '16s-scaled', dict(scale_range=(.7, 1.4), rules=SCALED_SKIPS)),
    '4s-scaled': Stage(4, 4, '8s-scaled',
                       dict(scale_range=(.7, 1.4), rules=SCALED_SKIPS, lr=3e-4)),
}


class ResultPaths(NamedTuple):
    result: Path            # a JSON
    weights: Path
    predictions: Path       # of the first images


def stage_recipe(set_name, stage, epochs=1.):
    """-> the recipe of a stage, with this share of its steps; the stage that it starts from"""
    stride, recipe_stride, init_from, changes = STAGES[stage]
    recipe = recipes.get_recipe(f'{set_name}-{recipe_stride}s', net=f'fcn_squeezenet_{stride}s',
                                preprocess=PREPROCESS, **changes)
    return replace(recipe, steps=max(1, round(epochs * recipe.steps))), init_from


def load_train_valid(recipe, data):
    """-> the training and the validation set of a recipe; test sets are never used"""
    name, split = recipe.train
    dataset = load_dataset(name, data / FOLDERS[name], split)
    if not recipe.valid:
        return hold_out(dataset)
    return dataset, load_dataset(name, data / FOLDERS[name], recipe.valid[1])


def result_paths(set_name, stage, seed, competitor, epochs=1.):
    kept = RUNS if epochs == 1 else RUNS / f'{epochs:g} epochs'
    results = RESULTS / 'accuracy' if epochs == 1 else kept
    name = f'{set_name}-{stage}-{seed}-{competitor}'
    return ResultPaths(results / f'{name}.json', kept / f'{name}.safetensors', kept / f'{name}.npz')


def train_stage(data, set_name, stage, seed, competitor, epochs):
    """Train and evaluate one stage of one competitor; write its result."""
    from tqdm import tqdm
    recipe, init_from = stage_recipe(set_name, stage, epochs)
    dataset, valid = load_train_valid(recipe, data)
    weights = data / IMAGENET
    if init_from:
        weights = result_paths(set_name, init_from, seed, competitor, epochs).weights
    net = run.build_net(recipe, dataset.classes, seed, {'': weights})
    paths = result_paths(set_name, stage, seed, competitor, epochs)
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)

    machine = check_machine()
    trainer = COMPETITORS[competitor](net)
    began = perf_counter()
    losses = [*tqdm(trainer.train(dataset, recipe, seed), paths.result.stem, recipe.steps,
                    disable=None)]
    trained = perf_counter()
    peak = peak_memory()
    hist = 0
    shown = []
    for label, pred in trainer.predict_all(valid):
        hist = hist + metrics.confusion(label, pred, len(dataset.classes))
        if len(shown) < SHOWN:
            shown.append(pred)
    evaluated = perf_counter()

    net.save(paths.weights)
    np.savez(paths.predictions, *shown)
    curve = np.array_split(losses, min(CURVE_POINTS, len(losses)))
    result = dict(
        set=set_name, stage=stage, seed=seed, competitor=competitor, recipe=recipe.to_dict(),
        machine=machine, train_images=len(dataset), valid_images=len(valid),
        scores=json_scores(metrics.scores(hist)), train_seconds=trained - began,
        evaluate_seconds=evaluated - trained, peak=peak,
        losses=[float(np.mean(part)) for part in curve])
    with open_atomic(paths.result) as file:     # last, as its existence means that all is written
        file.write(json.dumps(result, indent=1).encode())


# ---- Results

def load_results(folder=RESULTS / 'accuracy', set_name=''):
    """All results, in the order of data sets, stages, competitors and seeds."""
    results = [json.loads(path.read_text('utf-8')) for path in folder.glob(f'{set_name}*.json')]
    orders = dict(set=[*FOLDERS], stage=[*STAGES], competitor=[*COMPETITORS])
    return sorted(results, key=lambda r: (*(order.index(r[key]) for key, order in orders.items()),
                                          r['seed']))


def average_over_seeds(results):
    """One dict for each data set, stage and competitor: means over the seeds, mean IU of each."""
    groups = {}
    for r in results:
        groups.setdefault((r['set'], r['stage'], r['competitor']), []).append(r)
    for (set_name, stage, competitor), group in groups.items():
        scores = {key: 100 * mean(r['scores'][key] for r in group) for key in METRICS}
        yield dict(scores, set=set_name, stage=stage, competitor=competitor,
                   each=[100 * r['scores']['mean_iu'] for r in group],
                   seconds=mean(r['train_seconds'] for r in group),
                   peak=max(r['peak'] for r in group),
                   busy=any(is_busy(r['machine']) for r in group))


def markdown_section(results):
    """A row for each data set, stage and competitor."""
    if not results:
        return
    yield '## Accuracy on real images, in per cent\n'
    metric_names = ' | '.join(METRICS.values())
    yield f'| data set | stage | by | {metric_names} | mean IU of each seed | seconds | peak GB |'
    yield '|' + ' --- |' * (6 + len(METRICS))
    yield from map(table_row, average_over_seeds(results))
    yield ('\n\\* other programs kept the machine busy: do not quote; training speed is measured '
           'below.\n')
    for name in dict.fromkeys(r['set'] for r in results):
        yield f'![](results/accuracy/{name}.png)\n'


def table_row(row):
    scores = ' | '.join(f'{row[key]:.1f}' for key in METRICS)
    each = ', '.join(f'{iu:.1f}' for iu in row['each'])
    return (f'| {row["set"]} | {row["stage"]} | {row["competitor"]} | {scores} | {each} | '
            f'{row["seconds"]:.0f}{"*" * row["busy"]} | {row["peak"] / 1e9:.2f} |')


def draw_losses(results, path):
    """The losses of both competitors, one panel for each stage."""
    from matplotlib.figure import Figure
    stages = list(dict.fromkeys(r['stage'] for r in results))
    figure = Figure(figsize=(1 + 3.5 * len(stages), 3.2), layout='constrained')
    for ax, stage in zip(figure.subplots(1, len(stages), squeeze=False)[0], stages):
        for r in (r for r in results if r['stage'] == stage):
            steps = (np.arange(len(r['losses'])) + .5) * r['recipe']['steps'] / len(r['losses'])
            ax.plot(steps, r['losses'], **STYLE[r['competitor']],
                    label=f'{r["competitor"]}, {r["seed"]}')
        ax.set(title=f'{r["set"]} {stage}', xlabel='step', ylabel='loss')
    figure.axes[0].legend(fontsize=7)
    figure.savefig(path, dpi=120)


def draw_predictions(data, results, epochs, path):
    """The first validation images, with the predictions of all results of one seed."""
    recipe = recipes.Recipe.from_dict(results[0]['recipe'])
    _, valid = load_train_valid(recipe, data)
    preds = []
    for r in results:
        paths = result_paths(r['set'], r['stage'], r['seed'], r['competitor'], epochs)
        preds.append(np.load(paths.predictions))
    rows = [(valid.names[i], *valid[i], *(pred[key] for pred in preds))
            for i, key in enumerate(preds[0].files)]
    viz.draw_page(path, rows, valid.classes, [f'{r["stage"]}, {r["competitor"]}' for r in results])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--data', type=Path, required=True, metavar='FOLDER')
    parser.add_argument('--set', choices=FOLDERS, default='stanford')
    parser.add_argument('--seeds', type=int, nargs='+', default=[0])
    parser.add_argument('--stages', nargs='+', choices=STAGES, default=['16s', '8s', '4s'])
    parser.add_argument('--epochs', type=float, default=1., help='this share of each recipe')
    parser.add_argument('--only', choices=COMPETITORS)
    args = parser.parse_args()
    competitors = [args.only] if args.only else COMPETITORS
    jobs = [(args.set, stage, seed, competitor, args.epochs) for seed in args.seeds
            for stage in args.stages for competitor in competitors]
    for job in jobs:
        path = result_paths(*job).result
        if not path.exists():
            with ProcessPoolExecutor(1, get_context('spawn')) as process:
                process.submit(train_stage, args.data, *job).result()
        result = json.loads(path.read_text('utf-8'))
        print(*map(table_row, average_over_seeds([result])), flush=True)
    paths = result_paths(*jobs[0])
    results = load_results(paths.result.parent, args.set)
    print('', *markdown_section(results), sep='\n')
    draw_losses(results, paths.result.with_name(f'{args.set}.png'))
    of_first_seed = [r for r in results if r['seed'] == args.seeds[0] and r['stage'] in args.stages]
    draw_predictions(args.data, of_first_seed, args.epochs,
                     paths.weights.with_name(f'{args.set}-page-{args.seeds[0]}.png'))


if __name__ == '__main__':
    main()
