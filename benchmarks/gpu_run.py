"""Train on a GPU within ten minutes: real images, in the stages of the paper.

    python3 benchmarks/gpu_run.py runs/gpu_data.zip                     into runs/gpu
    python3 benchmarks/gpu_run.py runs/gpu_data.zip --device cpu --steps 2 --width 1/16

The archive comes from pack_data.py. Every stage starts from the weights of the one before. It takes
as many steps of its recipe as its share of the time allows, by the speed of a few steps on a copy,
and stops where it takes half as long again. A stage that fails is named, and the next one starts
from the last weights that there are.

Results: gpu_run.jsonl, a line for each stage; gpu_run.png, the losses; pages/, predictions of each
part. No weights. The first two may be copied to benchmarks/results; the pages show images with
terms of their own.
"""
import argparse
import json
import sys
from contextlib import closing
from copy import deepcopy
from dataclasses import replace
from fractions import Fraction
from functools import cache, partial
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic, perf_counter
from zipfile import ZipFile

# import from the repository: tinyfcn need not be installed on the GPU machine
sys.path.append(str(Path(__file__).parents[1]))

# isort: split
from timing import RESULTS, describe_machine

# isort: split
import accuracy
import gpu_timing
import numpy as np
from gpu_jobs import Job, read_log, run_jobs, supervise, worker_command
from gpu_tables import draw_losses, print_report, rows_of, training_section
from pack_data import NOTE

from tinyfcn import load, metrics, viz, weights
from tinyfcn.data import load_dataset
from tinyfcn.data.dataset import Dataset, hold_out
from tinyfcn.prediction.evaluation import predict_all
from tinyfcn.training import loop, recipes, run
from tinyfcn.training.recipes.ours import CENTRED
from tinyfcn.training.validation import json_scores

FOLDERS = dict(accuracy.FOLDERS, voc='voc_native')
SECONDS = 540                   # of the ten minutes that a command may take
SHARES = {'vgg': 15, 'camvid': 25, 'camvid scaled': 25, 'animals': 15, 'scratch': 20}
MIN_STEPS = {'vgg': 200}        # of a stage, where its time need not be overrun by half
SEED = 0
WARM_UP_STEPS = 3
TIMED_STEPS = 5
TIMED_IMAGES = 2
SHOWN = 4                       # images on a page
POINTS = 100                    # of a loss curve
COMPILE_SHARE = .12             # of the seconds left, to compile its kernels
MARGIN = .9                     # of its seconds, for which a stage plans steps
OVERRUN = 1.5                   # of its seconds, after which it stops
PICTURE_SECONDS = 2             # for a page, at the end
LOG = 'gpu_run.jsonl'

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


@cache
def load_split(name, split, folder):
    """A data set of which each image is read once and kept in memory."""
    dataset = load_dataset(name, folder / FOLDERS[name], split)
    return Dataset(dataset.classes, dataset.names, cache(dataset.read), dataset.files)


def load_data(recipe, folder):
    """-> training and validation set"""
    name, split = recipe.train
    if recipe.valid:
        return load_split(name, split, folder), load_split(name, recipe.valid[1], folder)
    return hold_out(load_split(name, split, folder))


def build_stage_net(recipe, classes, args, before):
    """A net with the weights of the stage before it, or of ImageNet, or random ones."""
    full_width = recipe.net_kwargs.get('width', 1) == 1
    pretrained = recipe.init_from == 'squeezenet' and full_width
    net = run.build_net(recipe, classes, SEED,
                        {'': args.work / accuracy.IMAGENET} if pretrained else None)
    if before.exists():
        weights.transplant(net, load(before).params)
    return net


# ---- One stage -----------------------------------------------------------------------------------

def plan_steps(recipe, least, seconds, of_step, of_evaluation):
    """The steps for which there is time; at least so many, where it need not be overrun by half."""
    affordable = int((MARGIN * seconds - of_evaluation) / of_step)
    if least * of_step + of_evaluation <= OVERRUN * seconds:
        affordable = max(affordable, least)
    return max(1, min(recipe.steps, affordable))


def seconds_per_step(net, dataset, recipe):
    """Of a copy of the net."""
    recipe = replace(recipe, steps=WARM_UP_STEPS + TIMED_STEPS)
    optimizer = loop.make_optimizer(recipe)
    with closing(loop.train(deepcopy(net), dataset, recipe, optimizer, SEED)) as rows:
        list(islice(rows, WARM_UP_STEPS))
        began = perf_counter()
        list(rows)
    return (perf_counter() - began) / TIMED_STEPS


def seconds_per_image(net, valid):
    """Of a prediction, after a first one."""
    some = valid.subset(valid.names[:1 + TIMED_IMAGES])
    predictions = predict_all(net, some)
    next(predictions)
    began = perf_counter()
    rest = list(predictions)
    return (perf_counter() - began) / max(1, len(rest))


def train_until(net, dataset, recipe, deadline):
    """Train for the steps of the recipe, or to the deadline. -> the loss of each step"""
    losses = []
    with closing(loop.train(net, dataset, recipe, loop.make_optimizer(recipe), SEED)) as rows:
        for row in rows:
            losses.append(row['loss'])
            if monotonic() > deadline:
                break
    return losses


def evaluate(net, valid, kept):
    """-> the scores. Some predictions are kept in this file, for a page."""
    hist = 0
    shown = {}
    for i, row in enumerate(predict_all(net, valid)):
        hist = hist + metrics.confusion(row.label, row.pred, len(valid.classes))
        if i % max(1, len(valid) // SHOWN) == 0:                # neighbours look alike
            shown[row.name] = row.pred
    np.savez(kept, **shown)
    return json_scores(metrics.scores(hist))


def run_stage(part, stage, recipe, share, args):
    """Train and evaluate one stage. -> its row"""
    if args.width != 1:
        width = recipe.net_kwargs.get('width', 1) * args.width
        recipe = replace(recipe, net_kwargs=dict(recipe.net_kwargs, width=width))
    dataset, valid = load_data(recipe, args.work)
    gpu_timing.empty_pool(args.device)
    before = args.work / f'{part}.safetensors'
    net = build_stage_net(recipe, dataset.classes, args, before).to(args.device)
    if args.steps:
        valid = valid.subset(valid.names[:SHOWN])
        began = monotonic()
        deadline = args.worker
        steps = args.steps
    else:
        # the first calls compile kernels, so the seconds of the stage are counted from here
        of_evaluation = len(valid) * seconds_per_image(net, valid)
        of_step = seconds_per_step(net, dataset, recipe)
        began = monotonic()
        seconds = share * (args.worker - began - PICTURE_SECONDS * (len(args.parts) + 1))
        deadline = began + OVERRUN * seconds - of_evaluation
        steps = plan_steps(recipe, MIN_STEPS.get(part, 1), seconds, of_step, of_evaluation)
    recipe = replace(recipe, steps=steps)
    losses = train_until(net, dataset, recipe, deadline)
    trained = monotonic()
    memory = gpu_timing.pool_bytes(args.device)
    scores = evaluate(net, valid, args.work / f'{part}-{stage}.npz')
    yield stage_row(part, stage, recipe, losses, scores, images=len(dataset),
                    valid_images=len(valid), train_seconds=trained - began,
                    eval_seconds=monotonic() - trained, memory=memory)
    net.to('cpu').save(before)


def stage_row(part, stage, recipe, losses, scores, **known):
    images = len(losses) * recipe.batch * recipe.iter_size
    parts = np.array_split(losses, min(POINTS, len(losses)))
    return dict(known, part='stage', name=part, stage=stage, recipe=recipe.to_dict(),
                steps=len(losses), scores=scores, epochs=images / known['images'],
                images_per_second=images / known['train_seconds'],
                losses=[float(np.mean(some)) for some in parts])


# ---- The jobs ------------------------------------------------------------------------------------

def make_jobs(args):
    """The stages of the chosen parts, then the pictures."""
    plan = [each for each in stages() if each[0] in args.parts]
    shares = []
    for part, _, recipe in plan:
        steps_of_part = sum(other.steps for name, _, other in plan if name == part)
        shares.append(SHARES[part] * recipe.steps / steps_of_part)
    yield Job('machine', partial(describe_run, args))
    for i, (part, stage, recipe) in enumerate(plan):
        share = shares[i] / sum(shares[i:])
        yield Job(f'{part} {stage}', partial(run_stage, part, stage, recipe, share, args),
                  share=min(1, COMPILE_SHARE + OVERRUN * share))
    for part in args.parts:
        yield Job(f'page of {part}', partial(draw_part, part, args))
    yield Job('curves', partial(draw_curves, args))


def describe_run(args):
    yield dict(part='machine', machine=describe_machine(),
               gpu=gpu_timing.describe_gpu(args.device),
               data=json.loads((args.work / NOTE).read_text('utf-8')))


def draw_part(part, args):
    """Some validation images, and the predictions of each stage that was run."""
    preds = {}
    for name, stage, recipe in stages():
        kept = args.work / f'{name}-{stage}.npz'
        if name == part and kept.exists():
            _, valid = load_data(recipe, args.work)
            with np.load(kept) as file:
                preds[stage] = dict(file)
    if preds:
        rows = [(name, *valid[valid.names.index(name)], *(pred[name] for pred in preds.values()))
                for name in next(iter(preds.values()))]
        pages = args.out / 'pages'
        pages.mkdir(exist_ok=True)
        viz.draw_page(pages / f'{part.replace(" ", "-")}.png', rows, valid.classes,
                      [f'{part} {stage}' for stage in preds])
    return ()


def draw_curves(args):
    rows = rows_of(read_log(args.log), 'stage')
    if rows:
        draw_losses(rows, args.out / 'gpu_run.png')
    return ()


# ---- The processes -------------------------------------------------------------------------------

def unpack(archive, folder):
    with ZipFile(archive) as file:
        file.extractall(folder)


def parse_args(options):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('archive', type=Path)
    parser.add_argument('--out', type=Path, default=RESULTS.parents[1] / 'runs' / 'gpu')
    parser.add_argument('--parts', nargs='+', choices=SHARES, default=[*SHARES])
    parser.add_argument('--seconds', type=float, default=SECONDS, help='for all parts')
    parser.add_argument('--device', choices=('cpu', 'gpu'), default='gpu')
    parser.add_argument('--steps', type=int, help='of every stage, to try it out')
    parser.add_argument('--width', type=Fraction, default=1, help='of every net, to try it out')
    parser.add_argument('--work', type=Path, help=argparse.SUPPRESS)
    parser.add_argument('--worker', type=float, metavar='DEADLINE', help=argparse.SUPPRESS)
    args = parser.parse_args(options)
    args.width = float(args.width)
    args.log = args.out / LOG
    return args


def train_all(options, seconds):
    """Run all stages in workers, with the data and the weights between them in a folder. -> Log"""
    args = parse_args(options)
    began = monotonic()
    with TemporaryDirectory() as work:
        unpack(args.archive, work)
        command = worker_command(__file__, *options, '--work', work)
        return supervise(command, args.log, seconds - (monotonic() - began))


def main():
    args = parse_args(None)
    if args.worker:
        gpu_timing.describe_gpu(args.device)    # ends here if there is none
        sys.exit(run_jobs(make_jobs(args), args.log, args.worker,
                          partial(gpu_timing.is_usable, args.device)))
    args.out.mkdir(parents=True, exist_ok=True)
    args.log.unlink(missing_ok=True)
    log = train_all(sys.argv[1:], args.seconds)
    sys.exit(print_report(training_section(log), log))


if __name__ == '__main__':
    main()
