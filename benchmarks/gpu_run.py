"""The full run on a card, within ten minutes: real pictures, staged as the paper stages them.

    python benchmarks/gpu_run.py runs/gpu_data.zip                      into runs/gpu
    python benchmarks/gpu_run.py runs/gpu_data.zip --device cpu --steps 2 --width 1/16

The archive is pack_data.py's. Every stage goes on from the weights of the one before, and takes as
many steps of its recipe as its share of the time has room for, by the pace of a few steps that
teach a copy. What comes back: gpu_run.json, gpu_run.png (the losses) and for each part a page of
predictions; no weights. The first two may go to benchmarks/results; the pages have their terms.
"""
import argparse
import json
import sys
from contextlib import closing
from copy import deepcopy
from dataclasses import replace
from fractions import Fraction
from functools import cache
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from zipfile import ZipFile

# the repository as it lies: on a machine that is lent nothing gets installed
sys.path.append(str(Path(__file__).parents[1]))

# isort: split
from timing import RESULTS, describe_machine

# isort: split
import accuracy
import card
import numpy as np
from gpu_tables import curves, line
from pack_data import NOTE

from tinyfcn import metrics, viz, weights
from tinyfcn.data import load_dataset
from tinyfcn.data.dataset import Dataset, hold_out
from tinyfcn.files import open_atomic
from tinyfcn.prediction.predict import predict_all
from tinyfcn.training import loop, recipes, run
from tinyfcn.training.recipes.ours import CENTRED

FOLDERS = dict(accuracy.FOLDERS, voc='voc_native')
SECONDS = 540                   # of the ten minutes that a command may take
SHARES = {'vgg': 15, 'camvid': 25, 'camvid scaled': 25, 'animals': 15, 'scratch': 20}
LEAST = {'vgg': 200}            # steps of a stage, however long they take
SEED, WARM, PACED, SHOWN, POINTS = 0, 3, 5, 4, 100

# four pictures in an array, where the recipe has four arrays of one: of CamVid, whose pictures have
# one size, that differs by how void pixels count; and a card is not kept waiting for launches
FOUR = dict(batch=4, iter_size=1)
VOC = dict(train=('voc', 'train'), valid=None)          # the pictures that are at hand
SCRATCH = dict(net_kwargs=dict(width=1 / 2), preprocess=CENTRED, optimizer='adam', lr=1e-3,
               lr_power=.9, batch=8, weight_decay=0., crop_size=(256, 256),
               scale_range=(.75, 1.5), flip=True)


def stages():
    """-> part, stage, recipe"""
    for stride in 32, 16, 8:
        yield 'vgg', f'{stride}s', recipes.get_recipe(f'voc-fcn{stride}s', **VOC)
    for part, name, own in (('camvid', 'camvid', ''), ('camvid scaled', 'camvid', '-scaled'),
                            ('animals', 'voc_animals', '')):
        for stride in 16, 8, 4:
            recipe, _ = accuracy.stage_recipe(name, f'{stride}s{own}')
            yield part, f'{stride}s', replace(recipe, **FOUR)
    yield 'scratch', 'segnet', recipes.get_recipe('camvid-segnet', **SCRATCH)


def opened(recipe, data):
    """What is learned from, and what judges; each picture is read once, and then remembered."""
    name, split = recipe.train
    pictures, valid = load_dataset(name, data / FOLDERS[name], split), recipe.valid
    parts = (pictures, load_dataset(name, data / FOLDERS[name], valid[1])) if valid else \
        hold_out(pictures)
    return [Dataset(p.classes, p.names, cache(p.read), p.files) for p in parts]


def begun(recipe, classes, data, before):
    """The net of a stage: with the weights of the one before, or ImageNet's, or as it was drawn."""
    whole = recipe.net_kwargs.get('width', 1) == 1
    files = {'': data / accuracy.IMAGENET} if recipe.init_from == 'squeezenet' and whole else None
    net = run.build_net(recipe, classes, SEED, files)
    if before:
        weights.transplant(net, before.params)
    return net


def pace(net, pictures, recipe):
    """Seconds that a step takes, of a copy of the net."""
    recipe = replace(recipe, steps=WARM + PACED)
    with closing(loop.train(deepcopy(net), pictures, recipe, loop.make_optimizer(recipe),
                                SEED)) as rows:
        list(islice(rows, WARM))
        began = perf_counter()
        list(rows)
    return (perf_counter() - began) / PACED


def learn(part, stage, recipe, before, args, seconds):
    """One stage, taught and judged. -> its net, its row, some predictions"""
    if args.width != 1:
        width = recipe.net_kwargs.get('width', 1) * args.width
        recipe = replace(recipe, net_kwargs=dict(recipe.net_kwargs, width=width))
    pictures, valid = opened(recipe, args.data)
    card.emptied(args.device)
    net = begun(recipe, pictures.classes, args.data, before).to(args.device)
    steps = args.steps or max(LEAST.get(part, 1), min(
        recipe.steps, int(seconds / pace(net, pictures, recipe))))
    recipe = replace(recipe, steps=steps)
    if args.steps:
        valid = valid.subset(valid.names[:SHOWN])
    began = perf_counter()
    losses = [row['loss'] for row in loop.train(net, pictures, recipe,
                                                    loop.make_optimizer(recipe), SEED)]
    taught, memory, hist, shown = perf_counter(), card.held(args.device), 0, []
    for i, row in enumerate(predict_all(net, valid)):
        hist = hist + metrics.confusion(*row[2:], len(pictures.classes))
        shown += [row] * (i % max(1, len(valid) // SHOWN) == 0)     # neighbours look alike
    seen = recipe.steps * recipe.batch * recipe.iter_size
    return net.to('cpu'), dict(
        part=part, stage=stage, recipe=recipe.to_dict(), pictures=len(pictures),
        judged_by=len(valid),
        scores=run.json_scores(metrics.scores(hist)), epochs=seen / len(pictures),
        train_seconds=taught - began, judge_seconds=perf_counter() - taught,
        images_per_second=seen / (taught - began), memory=memory,
        losses=[float(np.mean(some)) for some in np.array_split(losses, min(POINTS, len(losses)))],
    ), shown


# ---- What comes back -----------------------------------------------------------------------------

def page(name, classes, seen, path):
    """Some of the pictures that judge, and what each stage makes of them."""
    rows = [(*same[0][:3], *(pred for *_, pred in same)) for same in zip(*seen.values())]
    viz.draw_page(path, rows, classes, [f'{name} {stage}' for stage in seen])


def go(args, clock):
    """All stages of the parts that are asked for, each noted when it is done."""
    plan = [each for each in stages() if each[0] in args.parts]
    found = dict(machine=describe_machine(), card=card.words(args.device),
                 data=json.loads((args.data / NOTE).read_text('utf-8')), rows=[])
    shares = [SHARES[part] * recipe.steps / sum(other.steps for name, _, other in plan
                                                   if name == part) for part, _, recipe in plan]
    net, seen, last = None, {}, None
    for i, (part, stage, recipe) in enumerate(plan):
        if part != last:
            net, seen, last = None, {}, part
        left = args.seconds - (perf_counter() - clock)
        net, row, seen[stage] = learn(part, stage, recipe, net, args,
                                      left * shares[i] / sum(shares[i:]))
        found['rows'].append(row)
        with open_atomic(args.out / 'gpu_run.json') as file:
            file.write(json.dumps(found, indent=1).encode())
        page(part, net.about['classes'], seen, args.out / f'{part.replace(" ", "-")}.png')
        curves(found['rows'], args.out / 'gpu_run.png')
        print(line(row), flush=True)


def main():
    clock, parser = perf_counter(), argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('archive', type=Path)
    parser.add_argument('--out', type=Path, default=RESULTS.parents[1] / 'runs' / 'gpu')
    parser.add_argument('--parts', nargs='+', choices=SHARES, default=[*SHARES])
    parser.add_argument('--seconds', type=float, default=SECONDS, help='for all parts')
    parser.add_argument('--device', choices=('cpu', 'gpu'), default='gpu')
    parser.add_argument('--steps', type=int, help='of every stage, to try it out')
    parser.add_argument('--width', type=Fraction, default=1, help='of every net, to try it out')
    args = parser.parse_args()
    args.width = float(args.width)
    args.out.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as folder, ZipFile(args.archive) as archive:
        archive.extractall(folder)
        args.data = Path(folder)
        go(args, clock)


if __name__ == '__main__':
    main()
