"""Which recipe trains an FCN best on a laptop? Nets × schedules × variations, with seeds.

    python benchmarks/study.py --data FOLDER --set stanford 'squeezenet-*-flip' --seeds 0 1
    python benchmarks/study.py --data FOLDER 'googlenet-adam1e-4-full' --by pytorch
    python benchmarks/study.py                      only the table and the plots, of all results

A trial is called net-schedule-variation. Every schedule shows the net each image as often. Each
stage is a run in runs/study/, which an interrupted study resumes; the scores, the losses and all
validations of a trial go to results/study/. Nothing here sees a test set: Stanford Background and
VOC animals hold out a fifth of their training images, CamVid has its validation set.
"""
import argparse
import json
from concurrent.futures import ProcessPoolExecutor
from fnmatch import fnmatchcase
from itertools import product
from multiprocessing import get_context
from pathlib import Path
from statistics import mean

from timing import RESULTS, check_machine

# isort: split
import numpy as np
from accuracy import CURVE_POINTS, FOLDERS, METRICS, PREPROCESS, STYLE, load_train_valid
from competitors import COMPETITORS

from tinyfcn import metrics
from tinyfcn.files import open_atomic
from tinyfcn.training import recipes, run
from tinyfcn.training.recipes.paper import MEAN, SUM
from tinyfcn.training.validation import json_scores

RUNS = RESULTS.parent.parent / 'runs' / 'study'
STUDY = RESULTS / 'study'
CAMVID_VAL = ('camvid', 'val')
VALIDATIONS = 4         # of each stage

WEIGHTS = dict(squeezenet='weights/squeezenet_v1.1_oihw_fp32.npz',
               googlenet='weights/googlenet_bvlc_oihw_fp32.npz')
EPOCHS = dict(stanford=16, camvid=20, voc_animals=4)

SGD = dict(lr=1e-3, weight_decay=5e-4)
# A skip's rate is divided by how much larger than the last map's the square of its input is, so
# that a step changes all scores alike (STAGING.md)
SCALED_SKIPS = dict(
    squeezenet={'score_fire?.w': dict(lr=1 / 30, decay=30)},
    googlenet={'score_inception_4e.w': dict(lr=1 / 5, decay=5),
               'score_inception_3b.w': dict(lr=1 / 30, decay=30),
               'score_conv2.w': dict(lr=1 / 30, decay=30)})
ADAM = dict(optimizer='adam', weight_decay=0., rules={})
COLOUR = (.3, .3, .3, .05)
FULL = dict(flip=True, scale_range=(.7, 1.4), rotation=8., colour=COLOUR)
VARIATIONS = dict(
    plain={}, flip=dict(flip=True), colour=dict(flip=True, colour=COLOUR), full=FULL,
    weights=dict(FULL, class_weight='median'), dice=dict(FULL, loss='ce+dice'))
# no larger than most images: it only bounds those that were enlarged
CROP = dict(stanford=(320, 320), camvid=(360, 480), voc_animals=(320, 320))


# the paper's FCN-GoogLeNet at stride 32, by its own recipe and by that of the reference nets
PAPER = dict(MEAN, lr=5e-5, lr_power=None, crop_size=None)
SUMMED = dict(SUM, lr_power=None, iter_size=1, crop_size=None)


def stages(net, schedule):
    """[(stride, share of the epochs, fields of the recipe)], each from the weights before"""
    if schedule == 'staged':
        return [(16, .5, SGD), (8, .25, dict(SGD, lr=3e-4)), (4, .25, dict(SGD, lr=1e-4))]
    if schedule == 'once':
        return [(4, 1., dict(SGD, rules={'*.b': dict(lr=2, decay=0), **SCALED_SKIPS[net]}))]
    if schedule == 'naive':
        return [(4, 1., SGD)]
    if schedule == 'paper':
        return [(32, 1., PAPER)]
    if schedule == 'summed':
        return [(32, 1., SUMMED)]
    return [(4, 1., dict(ADAM, lr=float(schedule.removeprefix('adam'))))]


SCHEDULES = 'staged', 'once', 'naive', 'adam1e-4', 'adam3e-4', 'paper', 'summed'
TRIALS = ['-'.join(parts) for parts in product(WEIGHTS, SCHEDULES, VARIATIONS)]
N_IMAGES = dict(stanford=458, camvid=367, voc_animals=2509)      # to train on, about
NET_NAMES = dict(squeezenet='SqueezeNet', googlenet='GoogLeNet')
TITLES = dict(stanford='Stanford Background', camvid='CamVid', voc_animals='VOC animals')
SCHEDULE_NAMES = dict(
    staged='SGD: strides 16, 8, 4 one after another', once='SGD, at once, skips at lower rates',
    naive='SGD, at once', paper='stride 32, the paper’s', summed='stride 32, summed loss',
    **{'adam1e-4': 'Adam 1e-4, at once', 'adam3e-4': 'Adam 3e-4, at once'})
COLOURS = dict(zip(SCHEDULES, ('#0072b2', '#009e73', '#d55e00', '#cc79a7', '#e69f00', '#000000',
                               '#888888')))
DASHES = dict(plain='-', flip='--', full='-')


def stage_recipes(set_name, trial):
    """The recipes of a trial, one for each stage."""
    net, schedule, variation = split_name(trial)
    for stride, share, fields in stages(net, schedule):
        own = dict(lr_power=.9, iter_size=4, crop_size=CROP[set_name], **VARIATIONS[variation])
        own.update(fields)
        steps = round(share * EPOCHS[set_name] * N_IMAGES[set_name] / own['iter_size'])
        own.update(steps=steps, validate_every=-(-steps // VALIDATIONS), replace=False)
        yield recipes.Recipe(
            net=f'fcn_{net}' if stride == 32 else f'fcn_{net}_{stride}s', preprocess=PREPROCESS,
            train=(set_name, 'train'), valid=CAMVID_VAL if set_name == 'camvid' else None, **own)


def split_name(trial):
    """'googlenet-adam1e-4-full' -> net, schedule, variation; a schedule may have a hyphen"""
    net, rest = trial.split('-', 1)
    return net, *rest.rsplit('-', 1)


def result_path(set_name, trial, seed, by):
    name = f'{set_name}-{trial}-{seed}'
    return STUDY / f'{name}.json' if by == 'tinyfcn' else STUDY / f'{name}-{by}.json'


def run_trial(data, set_name, trial, seed, by):
    """Train all stages, each from the weights of the one before; write the result."""
    weights = data / WEIGHTS[split_name(trial)[0]]
    machine = check_machine()
    trained = []
    for recipe in stage_recipes(set_name, trial):
        dataset, valid = load_train_valid(recipe, data)
        net = run.build_net(recipe, dataset.classes, seed, {'': weights})
        train_stage = train_by_run if by == 'tinyfcn' else train_by_pytorch
        folder = RUNS / result_path(set_name, trial, seed, by).stem / recipe.net
        losses, validations, weights = train_stage(folder, net, dataset, valid, recipe, seed)
        curve = np.array_split(losses, min(CURVE_POINTS, len(losses)))
        trained.append(dict(recipe=recipe.to_dict(), validations=validations,
                            losses=[float(np.mean(part)) for part in curve]))
    result = dict(set=set_name, trial=trial, seed=seed, by=by, machine=machine,
                  train_images=len(dataset), valid_images=len(valid), stages=trained)
    STUDY.mkdir(parents=True, exist_ok=True)
    with open_atomic(result_path(set_name, trial, seed, by)) as file:
        file.write(json.dumps(result, indent=1).encode())


def train_by_run(folder, net, dataset, valid, recipe, seed):
    """A run, resumed where it stopped. -> losses, validations, the last weights"""
    from tqdm import tqdm
    rows = run.run(folder, net, dataset, valid, recipe, seed, resume=folder.exists())
    for _ in tqdm(rows, str(folder.relative_to(RUNS)), recipe.steps, mininterval=30, disable=None):
        pass
    log = (folder / 'metrics.jsonl').read_text('utf-8')
    rows = [json.loads(line) for line in log.splitlines()]
    validations = [{key: row[key] for key in ('step', *METRICS, 'iu')}
                   for row in rows if 'mean_iu' in row]
    return [row['loss'] for row in rows if 'loss' in row], validations, folder / run.LAST


def train_by_pytorch(folder, net, dataset, valid, recipe, seed):
    """From the first step to the last. -> losses, the last validation, the weights"""
    from tqdm import tqdm
    trainer = COMPETITORS['pytorch'](net)
    losses = [*tqdm(trainer.train(dataset, recipe, seed), str(folder.relative_to(RUNS)),
                    recipe.steps, mininterval=30, disable=None)]
    hist = sum(metrics.confusion(label, pred, len(dataset.classes))
               for label, pred in trainer.predict_all(valid))
    folder.mkdir(parents=True, exist_ok=True)
    weights = folder / 'last.safetensors'
    net.save(weights)
    scores = json_scores(metrics.scores(hist))
    last = {key: scores[key] for key in (*METRICS, 'iu')}
    return losses, [dict(last, step=recipe.steps)], weights


# ---- Results

def load_results(folder=STUDY):
    """All results, in the order of data sets, nets, schedules, variations, programs and seeds."""
    results = [json.loads(path.read_text('utf-8')) for path in folder.glob('*.json')]
    sets = [*FOLDERS]
    programs = [*COMPETITORS]
    return sorted(results, key=lambda r: (sets.index(r['set']), TRIALS.index(r['trial']),
                                          programs.index(r['by']), r['seed']))


def group_by_trial(results):
    """{(set, trial, program): the results of all seeds}"""
    groups = {}
    for r in results:
        groups.setdefault((r['set'], r['trial'], r['by']), []).append(r)
    return groups


def last_scores(result):
    return result['stages'][-1]['validations'][-1]


def markdown_section(results):
    """A row for each data set, trial and program."""
    if not results:
        return
    yield '## Which recipe trains an FCN best? In per cent\n'
    yield ('Nets at stride 4 unless said otherwise, from ImageNet weights, after the same number '
           'of images. *full* is flip, scale .7 to 1.4, rotation by 8° and colour; *colour* is '
           'flip and colour; *weights* is full with class weights, *dice* full with the loss '
           'ce+dice.\n')
    metric_names = ' | '.join(METRICS.values())
    yield (f'| data set | net | schedule | variation | by | {metric_names} | '
           f'mean IU of each seed |')
    yield '|' + ' --- |' * (6 + len(METRICS))
    for (set_name, trial, by), group in group_by_trial(results).items():
        net, schedule, variation = split_name(trial)
        scores = [f'{100 * mean(last_scores(r)[key] for r in group):.1f}' for key in METRICS]
        each = ', '.join(f'{100 * last_scores(r)["mean_iu"]:.1f}' for r in group)
        cells = [TITLES[set_name], NET_NAMES[net], SCHEDULE_NAMES[schedule], variation, by,
                 *scores, each]
        yield f'| {" | ".join(cells)} |'
    yield ''
    for name in dict.fromkeys(r['set'] for r in results):
        yield f'![](results/study-{name}.png)\n'
    if both_programs(results):
        yield '![](results/study-losses.png)\n'


def both_programs(results):
    """{(set, trial): {program: the result of its first seed}} of trials that PyTorch trained too"""
    found = {}
    for (set_name, trial, by), group in group_by_trial(results).items():
        found.setdefault((set_name, trial), {})[by] = group[0]
    return {key: programs for key, programs in found.items() if len(programs) > 1}


def draw_losses(pairs, path):
    """The losses of both programs, a panel for each trial."""
    from matplotlib.figure import Figure
    figure = Figure(figsize=(1 + 3.6 * len(pairs), 3.4), layout='constrained')
    for ax, ((set_name, trial), programs) in zip(figure.subplots(1, len(pairs), squeeze=False)[0],
                                                 pairs.items()):
        for by, result in programs.items():
            losses = [loss for stage in result['stages'] for loss in stage['losses']]
            steps = sum(stage['recipe']['steps'] for stage in result['stages'])
            ax.plot((np.arange(len(losses)) + .5) * steps / len(losses), losses, label=by,
                    **STYLE[by])
        ax.set(title=f'{TITLES[set_name]}\n{trial}', xlabel='step', ylabel='loss')
        ax.grid(alpha=.3)
    figure.axes[0].legend()
    figure.savefig(path, dpi=150)


def curve(result):
    """-> epochs and mean IU, in per cent, of all validations"""
    epochs = []
    scores = []
    before = 0
    for stage in result['stages']:
        for row in stage['validations']:
            images = row['step'] * stage['recipe']['iter_size']
            epochs.append(before + images / result['train_images'])
            scores.append(100 * row['mean_iu'])
        before = epochs[-1]
    return epochs, scores


def draw_curves(set_name, results, path):
    """Mean IU by epochs: a panel for each net, a colour for each schedule."""
    from matplotlib.figure import Figure
    results = [r for r in results if r['by'] == 'tinyfcn'
               and split_name(r['trial'])[2] in DASHES and len(curve(r)[0]) > 1]
    nets = [net for net in WEIGHTS if any(r['trial'].startswith(net) for r in results)]
    figure = Figure(figsize=(2 + 4.5 * len(nets), 4.2), layout='constrained')
    axes = figure.subplots(1, len(nets), squeeze=False, sharey=True)[0]
    labels = {}
    for net, ax in zip(nets, axes):
        for r in results:
            own_net, schedule, variation = split_name(r['trial'])
            if own_net == net:
                line, = ax.plot(*curve(r), DASHES[variation] + 'o', ms=3, lw=1.5,
                                color=COLOURS[schedule])
                labels.setdefault(f'{SCHEDULE_NAMES[schedule]}; {variation}', line)
        ax.set(title=f'{TITLES[set_name]}, FCN-4s on {NET_NAMES[net]}', xlabel='epochs')
        ax.grid(alpha=.3)
    axes[0].set(ylabel='mean IU of the validation images, %')
    figure.legend(labels.values(), labels, loc='outside lower center', ncols=2, fontsize=8,
                  frameon=False)
    figure.savefig(path, dpi=150)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('trials', nargs='*', default=['*'], metavar='PATTERN',
                        help=f'of {", ".join(TRIALS)}')
    parser.add_argument('--data', type=Path, metavar='FOLDER',
                        help='without it, only the table and the plots are written')
    parser.add_argument('--set', choices=FOLDERS, default='stanford')
    parser.add_argument('--seeds', type=int, nargs='+', default=[0])
    parser.add_argument('--by', choices=COMPETITORS, default='tinyfcn')
    args = parser.parse_args()
    chosen = [trial for pattern in args.trials for trial in TRIALS if fnmatchcase(trial, pattern)]
    if args.data:
        for seed, trial in product(args.seeds, dict.fromkeys(chosen)):
            path = result_path(args.set, trial, seed, args.by)
            if not path.exists():
                with ProcessPoolExecutor(1, get_context('spawn')) as process:
                    process.submit(run_trial, args.data, args.set, trial, seed, args.by).result()
            result = json.loads(path.read_text('utf-8'))
            print(path.stem, last_scores(result), flush=True)
    results = load_results()
    print(*markdown_section(results), sep='\n')
    for name in dict.fromkeys(r['set'] for r in results):
        draw_curves(name, [r for r in results if r['set'] == name], RESULTS / f'study-{name}.png')
    if both_programs(results):
        draw_losses(both_programs(results), RESULTS / 'study-losses.png')


if __name__ == '__main__':
    main()
