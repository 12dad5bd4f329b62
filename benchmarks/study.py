"""Which recipe trains an FCN best on a laptop? Nets × schedules × augmentations, with seeds.

    python benchmarks/study.py --data FOLDER --set stanford 'squeezenet-*-flip' --seeds 0 1

A trial is called net-schedule-augmentation. Every schedule shows the net each image as often. Each
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

from timing import RESULTS, check_machine

# isort: split
import numpy as np
from accuracy import CURVE_POINTS, FOLDERS, METRICS, PREPROCESS, load_train_valid

from tinyfcn.files import open_atomic
from tinyfcn.training import recipes, run

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
AUGMENTATIONS = dict(
    flip=dict(flip=True),
    full=dict(flip=True, scale_range=(.7, 1.4), rotation=8., colour=(.3, .3, .3, .05)))
# no larger than most images: it only bounds those that were enlarged
CROP = dict(stanford=(320, 320), camvid=(360, 480), voc_animals=(320, 320))


def stages(net, schedule):
    """[(stride, share of the epochs, fields of the recipe)], each from the weights before"""
    if schedule == 'staged':
        return [(16, .5, SGD), (8, .25, dict(SGD, lr=3e-4)), (4, .25, dict(SGD, lr=1e-4))]
    if schedule == 'once':
        return [(4, 1., dict(SGD, rules={'*.b': dict(lr=2, decay=0), **SCALED_SKIPS[net]}))]
    if schedule == 'naive':
        return [(4, 1., SGD)]
    return [(4, 1., dict(ADAM, lr=float(schedule.removeprefix('adam'))))]


SCHEDULES = 'staged', 'once', 'naive', 'adam1e-4', 'adam3e-4'
TRIALS = ['-'.join(parts) for parts in product(WEIGHTS, SCHEDULES, AUGMENTATIONS)]


def stage_recipes(set_name, trial):
    """The recipes of a trial, one for each stage."""
    net, schedule, augmentation = trial.split('-', 1)[0], *trial.split('-', 1)[1].rsplit('-', 1)
    n_images = dict(stanford=458, camvid=367, voc_animals=2509)[set_name]
    for stride, share, fields in stages(net, schedule):
        steps = round(share * EPOCHS[set_name] * n_images / 4)
        yield recipes.Recipe(
            net=f'fcn_{net}_{stride}s', preprocess=PREPROCESS, train=(set_name, 'train'),
            valid=CAMVID_VAL if set_name == 'camvid' else None, steps=steps, lr_power=.9,
            iter_size=4, validate_every=-(-steps // VALIDATIONS), crop_size=CROP[set_name],
            **AUGMENTATIONS[augmentation], **fields)


def run_trial(data, set_name, trial, seed):
    """Train all stages, each from the last checkpoint of the one before; write the result."""
    from tqdm import tqdm
    name = f'{set_name}-{trial}-{seed}'
    weights = data / WEIGHTS[trial.split('-')[0]]
    machine = check_machine()
    trained = []
    for recipe in stage_recipes(set_name, trial):
        folder = RUNS / name / recipe.net
        dataset, valid = load_train_valid(recipe, data)
        net = run.build_net(recipe, dataset.classes, seed, {'': weights})
        rows = run.run(folder, net, dataset, valid, recipe, seed, resume=folder.exists())
        for _ in tqdm(rows, f'{name} {recipe.net}', recipe.steps, mininterval=30, disable=None):
            pass
        weights = folder / run.LAST
        log = (folder / 'metrics.jsonl').read_text('utf-8')
        rows = [json.loads(line) for line in log.splitlines()]
        trained.append(dict(recipe=recipe.to_dict(), **summarise(rows)))
    result = dict(set=set_name, trial=trial, seed=seed, machine=machine,
                  train_images=len(dataset), valid_images=len(valid), stages=trained)
    STUDY.mkdir(parents=True, exist_ok=True)
    with open_atomic(STUDY / f'{name}.json') as file:
        file.write(json.dumps(result, indent=1).encode())


def summarise(rows):
    """-> the mean losses of parts of a run, and its validations"""
    steps = [row for row in rows if 'loss' in row]
    losses = np.array_split([row['loss'] for row in steps], min(CURVE_POINTS, len(steps)))
    validations = [{key: row[key] for key in ('step', *METRICS, 'iu')}
                   for row in rows if 'mean_iu' in row]
    return dict(losses=[float(np.mean(part)) for part in losses], validations=validations)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('trials', nargs='*', default=['*'], metavar='PATTERN',
                        help=f'of {", ".join(TRIALS)}')
    parser.add_argument('--data', type=Path, required=True, metavar='FOLDER')
    parser.add_argument('--set', choices=FOLDERS, default='stanford')
    parser.add_argument('--seeds', type=int, nargs='+', default=[0])
    args = parser.parse_args()
    chosen = [trial for pattern in args.trials for trial in TRIALS if fnmatchcase(trial, pattern)]
    for seed, trial in product(args.seeds, dict.fromkeys(chosen)):
        path = STUDY / f'{args.set}-{trial}-{seed}.json'
        if not path.exists():
            with ProcessPoolExecutor(1, get_context('spawn')) as process:
                process.submit(run_trial, args.data, args.set, trial, seed).result()
            result = json.loads(path.read_text('utf-8'))
            print(path.stem, result['stages'][-1]['validations'][-1], flush=True)


if __name__ == '__main__':
    main()
