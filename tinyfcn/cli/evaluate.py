"""Evaluate a net on a data set.

Prints pixel accuracy, mean accuracy, mean IU and frequency weighted IU, then
the IU of every class.

  tinyfcn eval runs/folder --data my    on the validation set of its run
  tinyfcn eval fcn8s.safetensors voc --data /data/voc2012
  tinyfcn eval runs/folder my --split train --scales .75 1 1.25 --flip
"""
import argparse
from pathlib import Path

from tqdm import tqdm

from .. import load, metrics, viz
from ..data.dataset import Dataset
from ..data.labels import by_output
from ..prediction.predict import add_confusion, predict_all, total_confusion
from ..training import Recipe
from .device import add_device_arguments
from .paths import add_data_argument, open_dataset, train_val_sets
from .predict_options import add_predict_arguments, predict_options
from .tables import iu_table, score_table


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('weights', type=Path, metavar='WEIGHTS',
                        help='a file of weights, or the folder of a run')
    parser.add_argument('dataset', nargs='?', metavar='DATASET',
                        help='its name, such as voc, or a folder of your own (default: the '
                             'validation set of the run)')
    add_data_argument(parser)
    parser.add_argument('--split', default='val',
                        help='of the data set that is named (default: %(default)s)')
    parser.add_argument('--export', type=Path, metavar='FOLDER',
                        help='also write the predictions as palette PNGs, as the VOC evaluation '
                             'server expects them')
    add_predict_arguments(parser)
    add_device_arguments(parser)


def run(args: argparse.Namespace) -> None:
    net = load(args.weights).to(args.device)
    run_state = net.about.get('run')                    # of a file that a run wrote
    recipe = Recipe.from_dict(run_state['recipe']) if run_state else None
    dataset = evaluation_set(args, recipe)
    hists: dict = {}
    predictions = tqdm(predict_all(net, dataset, **predict_options(args)), total=len(dataset),
                       unit='image', disable=None)
    for name, _, label, pred in predictions:
        add_confusion(hists, dataset, label, pred)
        if args.export:
            export(args.export, name, by_output(pred))

    for head, hist in total_confusion(hists, dataset).items():
        scores = metrics.scores(hist)
        print(score_table({f'{args.weights}: {head}': scores}, recipe.target if recipe else None,
                          recipe.source if recipe else ''))
        print()
        print(iu_table(scores, hist, by_output(dataset.classes)[head]))
    if args.export:
        print(f'\n{len(dataset):,} predictions as palette PNGs: {args.export}')


def evaluation_set(args: argparse.Namespace, recipe: Recipe | None) -> Dataset:
    """The data set of the command line, or the validation set of the run that trained the net."""
    if args.dataset:
        return open_dataset(args.dataset, args.data, args.split)
    if not recipe:
        raise ValueError(f'{args.weights} does not say what it was trained on: name a data set')
    _, valid = train_val_sets(recipe, args.data)
    return valid


def export(folder: Path, name: str, preds: dict) -> None:
    """Write a prediction as FOLDER/OUTPUT/NAME.png for each output of the net."""
    for head, pred in preds.items():
        (folder / head).mkdir(parents=True, exist_ok=True)
        viz.write_label(folder / head / f'{name}.png', pred)
