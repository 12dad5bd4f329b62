"""What fifty images teach: `tinyfcn train folder` by its default recipe and by earlier ones.

    python benchmarks/few_images.py --data FOLDER               three data sets; 8 minutes a recipe

Every recipe trains for the same time: CPU seconds of one thread, by the speed of a few steps. The
fifty images are drawn from those that train in benchmarks/study.py, and the held-out images are
evaluated. *before* are the defaults of version 0.1, without ImageNet weights and with them.
"""
import argparse
import json
import os
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from time import process_time

os.environ['TINYFCN_THREADS'] = '1'         # so that the CPU time of a process is its own time

# isort: split
from timing import RESULTS, check_machine, save

# isort: split
import numpy as np
from accuracy import FOLDERS, METRICS, PREPROCESS, load_train_valid
from study import TITLES, WEIGHTS

from tinyfcn import metrics
from tinyfcn.prediction.evaluation import predict_all
from tinyfcn.training import loop, recipes, run
from tinyfcn.training.recipes.ours import SQUEEZENET, TINY
from tinyfcn.training.validation import json_scores

IMAGES = 50
SECONDS = 480           # about what the default recipe takes with one thread
TIMED_STEPS = 4
OWN = dict(train=('folder', 'train'), steps=1000, validate_every=100)
RECIPES = {
    'random weights, before': (None, recipes.Recipe(
        **dict(TINY, **OWN, net='tiny_8s', lr=3e-3, lr_power=.9, flip=True))),
    'SqueezeNet, before': ('squeezenet', recipes.Recipe(
        **dict(SQUEEZENET, **OWN, net='fcn_squeezenet_16s', lr=1e-3))),
    'random weights': (None, recipes.get_recipe('folder')),
    'SqueezeNet': ('squeezenet', recipes.get_recipe('folder-squeezenet')),
    'GoogLeNet': ('googlenet', recipes.get_recipe('folder-googlenet'))}


def fifty_images(data, set_name, seed):
    """-> some training images, all validation images"""
    dataset, valid = load_train_valid(recipes.get_recipe(f'{set_name}-googlenet'), data)
    names = np.random.default_rng(seed).permutation(dataset.names)[:IMAGES]
    return dataset.subset([*names]), valid


def seconds_per_step(net, dataset, recipe, seed):
    """CPU seconds, after the first steps have compiled the kernels."""
    rows = loop.train(net, dataset, replace(recipe, steps=3 * TIMED_STEPS),
                      loop.make_optimizer(recipe), seed)
    for _ in range(TIMED_STEPS):
        next(rows)
    began = process_time()
    for _ in range(2 * TIMED_STEPS):
        next(rows)
    return (process_time() - began) / (2 * TIMED_STEPS)


def train(data, set_name, name, seed, seconds):
    """-> a row: the scores of one recipe after this time"""
    from tqdm import tqdm
    classifier, recipe = RECIPES[name]
    dataset, valid = fifty_images(data, set_name, seed)
    weights = None
    if classifier:
        weights = {'': data / WEIGHTS[classifier]}
        recipe = replace(recipe, preprocess=PREPROCESS)

    def build():
        return run.build_net(recipe, dataset.classes, seed, weights)

    steps = max(1, round(seconds / seconds_per_step(build(), dataset, recipe, seed)))
    recipe = replace(recipe, steps=steps)
    net = build()
    began = process_time()
    rows = loop.train(net, dataset, recipe, loop.make_optimizer(recipe), seed)
    for _ in tqdm(rows, f'{set_name}, {name}', steps, mininterval=30, disable=None):
        pass
    trained = process_time() - began
    hist = sum(metrics.confusion(row.label, row.pred, len(valid.classes))
               for row in predict_all(net, valid))
    scores = json_scores(metrics.scores(hist))
    return dict(set=set_name, recipe=name, seed=seed, net=recipe.net, steps=steps, seconds=trained,
                valid_images=len(valid), **{key: scores[key] for key in METRICS})


def load_results(path=RESULTS / 'few_images.json'):
    """The rows of the last measurement, or none."""
    return json.loads(path.read_text('utf-8'))['rows'] if path.exists() else []


def markdown_section(rows):
    """A row for each data set and recipe."""
    if not rows:
        return
    yield f'## What {IMAGES} images teach: `tinyfcn train folder`, in per cent\n'
    yield (f'Each recipe trained on {IMAGES} images for about {SECONDS} CPU seconds of one thread: '
           'the time of its first steps set their number. *before*: the defaults of version 0.1.\n')
    yield f'| data set | starts from | net | steps | seconds | {" | ".join(METRICS.values())} |'
    yield '|' + ' --- |' * (5 + len(METRICS))
    for row in rows:
        scores = [f'{100 * row[key]:.1f}' for key in METRICS]
        cells = [TITLES[row['set']], row['recipe'], row['net'], f'{row["steps"]:,}',
                 f'{row["seconds"]:.0f}', *scores]
        yield f'| {" | ".join(cells)} |'
    yield ''


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--data', type=Path, required=True, metavar='FOLDER')
    parser.add_argument('--sets', nargs='+', choices=FOLDERS, default=[*FOLDERS])
    parser.add_argument('--seconds', type=float, default=SECONDS, help='for a trial: fewer')
    parser.add_argument('--seed', type=int, default=0)
    args = parser.parse_args()
    machine = check_machine()
    for set_name in args.sets:
        rows = []
        for name in RECIPES:
            with ProcessPoolExecutor(1, get_context('spawn')) as process:
                rows.append(process.submit(train, args.data, set_name, name, args.seed,
                                           args.seconds).result())
            print(json.dumps(rows[-1]), flush=True)
        print(*markdown_section(rows), sep='\n')
        if args.seconds == SECONDS:         # the other data sets keep their rows
            others = [row for row in load_results() if row['set'] != set_name]
            save('few_images', [*others, *rows], machine)


if __name__ == '__main__':
    main()
