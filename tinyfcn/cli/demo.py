"""Train FCN-32s, FCN-16s and FCN-8s on generated images.

Each net starts from the weights of the one before, as in the paper. Prints a
table of scores on test images, and draws test images with the three
predictions. Takes a few minutes and needs no files. The nets know the five
classes of these images, and nothing else.

With --with mine.py your own solutions of the lessons' exercises train a small
FCN-8s on small images: conv2d, conv2d_backward, im2col, col2im, max_pool,
unpool, conv_transpose2d, bilinear, softmax_cross_entropy, sgd, preprocess,
confusion, mean_iu. First each is checked; then it is compared with the
library's, in its result and in its time.
"""
import argparse
import os
import shlex
import shutil
import sys
from pathlib import Path
from time import perf_counter

import numpy as np

from .. import metrics, viz
from ..data import Dataset, load_dataset
from ..files import require_own
from ..net import Net
from ..prediction import evaluate, predict
from ..training import recipes, run as runs
from .device import add_device_arguments
from .output import say
from .own_demo import run_own_demo
from .paths import train_val_sets
from .progress import show_progress
from .run_folder import require_own_run
from .tables import score_table

STRIDES = 32, 16, 8
DRAWN = 5                       # test images in the drawing


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('-o', '--output', type=Path, default=Path('runs/demo'), metavar='FOLDER',
                        help='where to write everything (default: %(default)s)')
    parser.add_argument('--with', type=Path, dest='own', metavar='FILE',
                        help='a file of Python with your own functions, such as conv2d_mine, which '
                             'train in place of the library\'s')
    add_device_arguments(parser)


def run(args: argparse.Namespace) -> None:
    if args.own:
        if args.device != 'cpu':
            raise ValueError('functions of your own compute on the CPU: leave out --device')
        run_own_demo(args.own, args.output)
        return
    page = args.output / 'demo.png'
    require_own_demo(args.output, page)
    test = load_dataset('shapes', split='test')
    scores: dict[str, metrics.Scores] = {'all background': background_scores(test)}
    seconds: dict[str, float] = {}
    nets: dict[str, Net] = {}
    init_files: dict[str, Path] = {}
    for stride in STRIDES:
        label = f'FCN-{stride}s'
        start = perf_counter()
        nets[label], checkpoint = train_stage(args, f'shapes-{stride}s', label, init_files)
        seconds[label] = perf_counter() - start
        scores[label] = evaluate(nets[label], test)
        init_files = {'': checkpoint}

    say(f'\nOn {len(test)} test images, in per cent:\n{score_table(scores, seconds=seconds)}')
    draw(page, nets, test)
    say(f'\nTest images with the three predictions: {page}')
    say(f'These nets know {", ".join(test.classes)}, and would find them in any photo. To train '
        f'on images of your own:\n'
        f'  {own_command()} check FOLDER             # it has images/, masks/ and classes.txt\n'
        f'  {own_command()} train folder --data FOLDER')


def require_own_demo(folder: Path, page: Path) -> None:
    """Raise if a file that would be overwritten is not of an earlier demo."""
    stages = [folder / f'shapes-{stride}s' for stride in STRIDES]
    for stage in stages:
        require_own_run(stage)
    require_own(page, overwrite=all((stage / 'run.json').exists() for stage in stages))


def train_stage(args: argparse.Namespace, name: str, label: str,
                init_files: dict[str, Path]) -> tuple[Net, Path]:
    """Train a net by the recipe `name`. -> the net, and its last checkpoint"""
    recipe = recipes.get_recipe(name)
    folder = args.output / name
    train, valid = train_val_sets(recipe, None)
    net = runs.build_net(recipe, train.classes, args.seed, init_files).to(args.device)
    origin = 'from the weights of the net before' if init_files else 'from random weights'
    title = f'{label}: {net}, {recipe.steps} steps of {recipe.batch} images, {origin}'

    for file in 'best.safetensors', 'last.safetensors':
        (folder / file).unlink(missing_ok=True)         # of an earlier demo
    rows = runs.run(folder, net, train, valid, recipe, args.seed, shlex.join(args.command),
                    data=('shapes', None), log=say, weights=init_files)
    show_progress(rows, recipe, title, 'the next demo starts again')
    return net, folder / 'last.safetensors'


def background_scores(dataset: Dataset) -> metrics.Scores:
    """The scores of predicting background everywhere."""
    n_class = len(dataset.classes)
    hist = np.zeros((n_class, n_class), np.int64)
    for i in range(len(dataset)):
        label = np.asarray(dataset[i][1])
        hist += metrics.confusion(label, np.zeros_like(label), n_class)
    return metrics.scores(hist)


def draw(path: Path, nets: dict[str, Net], dataset: Dataset) -> None:
    """The first images of a data set, their labels and what each net predicts."""
    rows = []
    for i in range(DRAWN):
        image, label = dataset[i]
        preds = [predict(net, image) for net in nets.values()]
        rows.append((dataset.names[i], image, label, *preds))
    viz.draw_page(path, rows, dataset.classes, list(nets))


def own_command() -> str:
    """How this program can be called from here: 'tinyfcn', or '.venv/bin/tinyfcn'."""
    program = Path(sys.argv[0]).absolute()
    if program.stem != 'tinyfcn':                       # python -m tinyfcn
        return f'{from_here(Path(sys.executable))} -m tinyfcn'
    found = shutil.which('tinyfcn')
    if found and Path(found).resolve() == program.resolve():
        return 'tinyfcn'
    return from_here(program)


def from_here(path: Path) -> str:
    """The path as a shell takes it, relative to this folder if it is in it."""
    if path.is_relative_to(Path.cwd()):
        path = path.relative_to(Path.cwd())
    return shlex.quote(os.fspath(path))
