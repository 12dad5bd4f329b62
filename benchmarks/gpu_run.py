"""Train on a GPU within ten minutes: real images, in the stages of the paper.

    python benchmarks/gpu_run.py runs/gpu_data.zip                      into runs/gpu
    python benchmarks/gpu_run.py runs/gpu_data.zip --device cpu --steps 2 --width 1/16

The archive comes from pack_data.py. Every stage starts from the weights of the one before. It takes
as many steps of its recipe as its share of the time allows, by the speed of a few steps on a copy.
Results: gpu_run.json, gpu_run.png (the losses) and a page of predictions for each part; no weights.
The first two may be copied to benchmarks/results; the pages show images with terms of their own.
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

# import from the repository: tinyfcn need not be installed on the GPU machine
sys.path.append(str(Path(__file__).parents[1]))

# isort: split
from timing import RESULTS, describe_machine

# isort: split
import accuracy
import gpu_timing
import numpy as np
from gpu_tables import draw_losses, training_line
from pack_data import NOTE

from tinyfcn import metrics, viz, weights
from tinyfcn.data import load_dataset
from tinyfcn.data.dataset import Dataset, hold_out
from tinyfcn.files import open_atomic
from tinyfcn.prediction.evaluation import predict_all
from tinyfcn.training import loop, recipes, run
from tinyfcn.training.recipes.ours import CENTRED
from tinyfcn.training.validation import json_scores

FOLDERS = dict(accuracy.FOLDERS, voc='voc_native')
SECONDS = 540                   # of the ten minutes that a command may take
SHARES = {'vgg': 15, 'camvid': 25, 'camvid scaled': 25, 'animals': 15, 'scratch': 20}
MIN_STEPS = {'vgg': 200}        # of a stage, however long they take
SEED = 0
WARM_UP_STEPS = 3
TIMED_STEPS = 5
SHOWN = 4                       # images on a page
POINTS = 100                    # of a loss curve

# A batch of four images, where the recipe has four batches of one. The images of CamVid have one
# size, so this differs only in the weight of void pixels; and a GPU needs fewer launches.
BATCH_OF_FOUR = dict(batch=4, iter_size=1)
VOC = dict(train=('voc', 'train'), valid=None)          # the images in the archive
SCRATCH = dict(net_kwargs=dict(width=1 / 2), preprocess=CENTRED, optimizer='adam', lr=1e-3,
               lr_power=.9, batch=8, weight_decay=0., crop_size=(256, 256),
               scale_range=(.75, 1.5), flip=True)


def stages():
    """-> part, stage, recipe"""
    for stride in 32, 16, 8:
        yield 'vgg', f'{stride}s', recipes.get_recipe(f'voc-fcn{stride}s', **VOC)
    for part, name, variant in (('camvid', 'camvid', ''), ('camvid scaled', 'camvid', '-scaled'),
                                ('animals', 'voc_animals', '')):
        for stride in 16, 8, 4:
            recipe, _ = accuracy.stage_recipe(name, f'{stride}s{variant}')
            yield part, f'{stride}s', replace(recipe, **BATCH_OF_FOUR)
    yield 'scratch', 'segnet', recipes.get_recipe('camvid-segnet', **SCRATCH)


def load_data(recipe, folder):
    """-> training and validation set; each image is read once and kept in memory"""
    name, split = recipe.train
    dataset = load_dataset(name, folder / FOLDERS[name], split)
    if recipe.valid:
        parts = dataset, load_dataset(name, folder / FOLDERS[name], recipe.valid[1])
    else:
        parts = hold_out(dataset)
    return [Dataset(part.classes, part.names, cache(part.read), part.files) for part in parts]


def build_stage_net(recipe, classes, folder, before):
    """A net with the weights of the stage before it, or of ImageNet, or random ones."""
    full_width = recipe.net_kwargs.get('width', 1) == 1
    pretrained = recipe.init_from == 'squeezenet' and full_width
    net = run.build_net(recipe, classes, SEED,
                        {'': folder / accuracy.IMAGENET} if pretrained else None)
    if before:
        weights.transplant(net, before.params)
    return net


def seconds_per_step(net, dataset, recipe):
    """Of a copy of the net."""
    recipe = replace(recipe, steps=WARM_UP_STEPS + TIMED_STEPS)
    optimizer = loop.make_optimizer(recipe)
    with closing(loop.train(deepcopy(net), dataset, recipe, optimizer, SEED)) as rows:
        list(islice(rows, WARM_UP_STEPS))
        began = perf_counter()
        list(rows)
    return (perf_counter() - began) / TIMED_STEPS


def train_stage(part, stage, recipe, before, args, seconds):
    """Train and evaluate one stage. -> its net, its row, some predictions"""
    if args.width != 1:
        width = recipe.net_kwargs.get('width', 1) * args.width
        recipe = replace(recipe, net_kwargs=dict(recipe.net_kwargs, width=width))
    dataset, valid = load_data(recipe, args.data)
    gpu_timing.empty_pool(args.device)
    net = build_stage_net(recipe, dataset.classes, args.data, before).to(args.device)
    if args.steps:
        steps = args.steps
        valid = valid.subset(valid.names[:SHOWN])
    else:
        affordable = int(seconds / seconds_per_step(net, dataset, recipe))
        steps = max(MIN_STEPS.get(part, 1), min(recipe.steps, affordable))
    recipe = replace(recipe, steps=steps)

    began = perf_counter()
    optimizer = loop.make_optimizer(recipe)
    losses = [row['loss'] for row in loop.train(net, dataset, recipe, optimizer, SEED)]
    trained = perf_counter()
    memory = gpu_timing.pool_bytes(args.device)

    hist = 0
    shown = []
    for i, row in enumerate(predict_all(net, valid)):
        hist = hist + metrics.confusion(row.label, row.pred, len(dataset.classes))
        if i % max(1, len(valid) // SHOWN) == 0:                # neighbours look alike
            shown.append(row)
    images = recipe.steps * recipe.batch * recipe.iter_size
    parts = np.array_split(losses, min(POINTS, len(losses)))
    return net.to('cpu'), dict(
        part=part, stage=stage, recipe=recipe.to_dict(), images=len(dataset),
        valid_images=len(valid), scores=json_scores(metrics.scores(hist)),
        epochs=images / len(dataset), train_seconds=trained - began,
        eval_seconds=perf_counter() - trained, images_per_second=images / (trained - began),
        memory=memory, losses=[float(np.mean(some)) for some in parts]), shown


# ---- Results -------------------------------------------------------------------------------------

def draw_predictions(name, classes, shown, path):
    """Some validation images, and the predictions of each stage."""
    rows = [(*of_image[0][:3], *(row.pred for row in of_image))
            for of_image in zip(*shown.values())]
    viz.draw_page(path, rows, classes, [f'{name} {stage}' for stage in shown])


def run_all(args, began):
    """Run all stages of the chosen parts; each is written when it is done."""
    plan = [each for each in stages() if each[0] in args.parts]
    results = dict(machine=describe_machine(), gpu=gpu_timing.describe_gpu(args.device),
                   data=json.loads((args.data / NOTE).read_text('utf-8')), rows=[])
    shares = []
    for part, _, recipe in plan:
        steps_of_part = sum(other.steps for name, _, other in plan if name == part)
        shares.append(SHARES[part] * recipe.steps / steps_of_part)

    net = last_part = None
    shown = {}
    for i, (part, stage, recipe) in enumerate(plan):
        if part != last_part:
            net = None
            shown = {}
            last_part = part
        seconds_left = args.seconds - (perf_counter() - began)
        net, row, shown[stage] = train_stage(part, stage, recipe, net, args,
                                             seconds_left * shares[i] / sum(shares[i:]))
        results['rows'].append(row)
        with open_atomic(args.out / 'gpu_run.json') as file:
            file.write(json.dumps(results, indent=1).encode())
        page = args.out / f'{part.replace(" ", "-")}.png'
        draw_predictions(part, net.about['classes'], shown, page)
        draw_losses(results['rows'], args.out / 'gpu_run.png')
        print(training_line(row), flush=True)


def main():
    began = perf_counter()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
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
        run_all(args, began)


if __name__ == '__main__':
    main()
