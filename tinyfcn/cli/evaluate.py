"""Evaluate a net on a data set.

Prints pixel accuracy, mean accuracy, mean IU and frequency weighted IU, then
the IU of every class.

  tinyfcn eval runs/my                  on the validation set of its run
  tinyfcn eval fcn8s.safetensors voc --data /data/voc2012
  tinyfcn eval fcn_resnet50 voc --data /data/voc2012
                                        `tinyfcn weights list` shows such names
  tinyfcn eval runs/my --scales .75 1 1.25 --flip
  tinyfcn eval runs/my --report page.html
                                        where the errors come from: a page
"""
import argparse
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from .. import load, metrics, viz
from ..data.dataset import Dataset
from ..data.fingerprint import (
    fingerprint,
    fingerprint_differences,
    is_fingerprint,
    only_dates_differ,
)
from ..data.labels import by_output
from ..files import make_folder, printable, require_own
from ..net import Net
from ..prediction.analysis import ErrorAnalysis, add_errors, begin_analyses, total_analyses
from ..prediction.classify import is_classifier
from ..prediction.evaluation import add_confusion, predict_all, total_confusion
from ..prediction.multiscale import require_window
from ..prediction.report import require_report_name, write_report
from ..prediction.report_sections import CAUSE_NAMES
from ..runtime.distributed import world
from ..training import Recipe
from ..weights.sources import source_name
from .bar import show_bar
from .device import add_device_arguments
from .output import say
from .paths import (
    add_data_argument,
    open_dataset,
    train_val_sets,
    validation_set,
    weights_file,
)
from .predict_options import add_predict_arguments, predict_options
from .run_folder import run_data_folder
from .tables import in_percent, iu_table, score_table

Confusions: TypeAlias = dict[str, NDArray[np.int64]]            # by output, (C, C)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('weights', type=Path, metavar='WEIGHTS',
                        help='a file of weights, the folder of a run, or the name of pretrained '
                             'weights')
    parser.add_argument('dataset', nargs='?', metavar='DATASET',
                        help='its name, such as voc, or a folder of your own (default: the '
                             'validation set of the run)')
    add_data_argument(parser)
    parser.add_argument('--split',
                        help='the split of DATASET (default: val; of a folder without val.txt, the '
                             'images that `train folder` holds out), or of the data of the run')
    parser.add_argument('--export', type=Path, metavar='FOLDER',
                        help='also write the predictions as palette PNGs, as the VOC evaluation '
                             'server expects them')
    parser.add_argument('--report', type=Path, metavar='FILE.html',
                        help='also write a page: the scores, the confusion matrix, the worst '
                             'images, and how much is lost to the grid of scores, to small '
                             'objects, to borders and to each pair of classes')
    parser.add_argument('--overwrite', action='store_true',
                        help='let --export and --report overwrite files that tinyfcn did not write')
    add_predict_arguments(parser)
    add_device_arguments(parser)


def run(args: argparse.Namespace) -> None:
    if args.report:
        require_report_name(args.report)
        require_own(args.report, args.overwrite)
    dataset = named_set(args)                           # raises before weights are downloaded
    file = weights_file(args.weights)
    net = load(file).to(args.device)
    if is_classifier(net):
        raise ValueError(f'{args.weights} scores an image as a whole, and these metrics are of '
                         f'pixels: give a net for segmentation, such as fcn_resnet50')
    require_window(net, args.window)
    run_state = net.about.get('run')                    # of a file that a run wrote
    recipe = None
    if run_state and 'recipe' in run_state:
        recipe = Recipe.from_saved(run_state['recipe'], str(args.weights))
    root = args.data or run_data_folder(file)
    if dataset is None:
        dataset = set_of_run(args, recipe, root)
    require_same_classes(net, dataset)
    if args.export:
        require_own_exports(args.export, net, dataset.names, args.overwrite)
    is_validation_set = not (args.dataset or args.split)
    notes = changes_of_data(run_state, dataset) if is_validation_set else []
    if trained_on := count_trained_on(dataset, recipe, root):
        notes.append(f'{trained_on:,} of these {len(dataset):,} images were trained on: on new '
                     f'images, scores are lower')
    for note in notes:
        say(note)

    analyses = begin_analyses(dataset) if args.report else {}
    confusions = count_confusions(args, net, dataset, analyses)
    for output, confusion in confusions.items():
        scores = metrics.scores(confusion)
        title = f'{args.weights}: {output}' if len(confusions) > 1 else str(args.weights)
        if recipe and is_validation_set:                # what the target is for
            table = score_table({title: scores}, recipe.target, recipe.source)
        else:
            table = score_table({title: scores})
        say(f'{table}\n')
        say(iu_table(scores, confusion, by_output(dataset.classes)[output]))
    if args.report:
        save_report(args, net, total_analyses(analyses), notes)
    if args.export:
        say(f'\n{len(dataset):,} predictions as palette PNGs: {args.export}')


def count_confusions(args: argparse.Namespace, net: Net, dataset: Dataset,
                     analyses: Mapping[str, ErrorAnalysis]) -> Confusions:
    """Predict all images, export the predictions, and add them to the analyses, in place."""
    options = predict_options(args)
    confusions: Confusions = {}
    predictions = predict_all(net, dataset, **options)
    for prediction in show_bar(predictions, len(dataset), 'image'):
        add_confusion(confusions, dataset, prediction.label, prediction.pred)
        add_errors(analyses, net, prediction, options)
        if args.export:
            export(args.export, prediction.name, by_output(prediction.pred), dataset)
    return total_confusion(confusions, dataset)


# ---- the report ----------------------------------------------------------------------------------

def save_report(args: argparse.Namespace, net: Net, analyses: dict[str, ErrorAnalysis],
                notes: Iterable[str]) -> None:
    """Write the page of --report; of several ranks the first one writes it."""
    if world().rank:
        return
    make_folder(args.report.parent)
    write_report(args.report, analyses, f'How well {args.weights} segments {set_name(args)}',
                 describe_prediction(args, net), notes)
    say()
    for output, analysis in analyses.items():
        causes = zip(CAUSE_NAMES, analysis.causes())
        shares = [f'{name} {in_percent(cause.share)} %' for name, cause in causes]
        title = f'errors of {output}' if len(analyses) > 1 else 'errors'
        say(f'{title}: {", ".join(shares)}')
    say(f'a page about them: {args.report}')


def set_name(args: argparse.Namespace) -> str:
    """The data set of the command line, in words."""
    if args.split:
        return f'the split {args.split} of {args.dataset or "its data"}'
    return f'the validation set of {args.dataset}' if args.dataset else 'its validation set'


def describe_prediction(args: argparse.Namespace, net: Net) -> str:
    """The net and the options that images are predicted with."""
    size = sum(weight.size for weight in net.params.values())
    name = (net.about.get('build') or {}).get('name', 'a net')
    parts = [f'{name}, {size:,} parameters']
    for name, value in predict_options(args).items():
        shown = args.crf if name == 'crf' else value
        if isinstance(shown, list):
            shown = ' '.join(f'{each:g}' for each in shown)
        parts.append(name if shown is True else f'{name} {shown}')
    return ', '.join(parts)


# ---- the data set --------------------------------------------------------------------------------

def named_set(args: argparse.Namespace) -> Dataset | None:
    """The data set of the command line; None if that of the run that trained the net is meant."""
    if args.dataset:
        if args.split:
            return open_dataset(args.dataset, args.data, args.split)
        return validation_set(args.dataset, args.data)
    if source_name(str(args.weights)) and not args.weights.exists():
        raise ValueError(f'{args.weights} was not trained by a run of tinyfcn: name a data set')
    return None


def set_of_run(args: argparse.Namespace, recipe: Recipe | None, root: Path | None) -> Dataset:
    """The validation set of the run that trained the net, or another split of its data."""
    if not recipe or not recipe.train:
        raise ValueError(f'{args.weights} does not say what it was trained on: name a data set')
    if root and not root.is_dir():
        raise ValueError(f'{root}: the folder with the data of this run is not there; say with '
                         f'--data FOLDER where it is')
    if args.split:
        return open_dataset(recipe.train[0], root, args.split)
    _, valid = train_val_sets(recipe, root)
    return valid


def require_same_classes(net: Net, dataset: Dataset) -> None:
    """Raise if the classes of a data set are not those that the net was trained on."""
    known = by_output(net.about.get('classes') or {})
    for output, classes in by_output(dataset.classes).items():
        if output not in net.outputs(train=False):
            raise ValueError(f'the data set has labels for {output}, and the net has no such '
                             f'output: {", ".join(net.outputs(train=False))}')
        # a net that was saved without names is compared by their number
        names = known.get(output) or [*classes, *map(str, range(len(classes), 256))]
        n_class = net[output].channels
        for i in range(max(n_class, len(classes))):
            then = names[i] if i < n_class else None
            now = classes[i] if i < len(classes) else None
            if then != now:
                raise ValueError(f'class {i} is {quote(then)} for the net and {quote(now)} in the '
                                 f'data set, so scores would be of the wrong classes. The classes '
                                 f'of the net are {", ".join(map(printable, names[:n_class]))}: '
                                 f'list those of the data set in this order, in its classes.txt; '
                                 f'masks of numbers then need these numbers')


def quote(name: str | None) -> str:
    return 'missing' if name is None else f'{printable(name)!r}'


def changes_of_data(run_state: Mapping[str, Any] | None, valid: Dataset) -> list[str]:
    """In what a validation set differs from that of the run; a sentence each."""
    marks = (run_state or {}).get('data') or {}         # version 0.1 wrote none
    if not is_fingerprint(marks):
        return ['what the file of weights says of its data set cannot be read, so it is not '
                'compared']
    then = marks.get('valid') or {}
    now = fingerprint(valid, contents=bool(then.get('contents')))
    if only_dates_differ(then, now):
        return ['files of the validation set have another date than at the training, and the same '
                'size: a copy, or were they changed?']
    return [f'since the training, the validation set has changed: {difference}'
            for difference in fingerprint_differences(then, now)]


def count_trained_on(dataset: Dataset, recipe: Recipe | None, root: Path | None) -> int:
    """How many images of a data set the net was trained on, as far as the training set is here.

    Generated images have no files: there all of them are compared at once, by a fingerprint.
    """
    if not recipe:
        return 0
    try:
        train, _ = train_val_sets(recipe, root)
    except (OSError, ValueError):
        return 0
    trained_on = image_files(train)
    if not trained_on:
        return len(dataset) if fingerprint(train) == fingerprint(dataset) else 0
    return len(trained_on & image_files(dataset))


def image_files(dataset: Dataset) -> set[Path]:
    """The files of all images; none of a data set that is generated."""
    return {Path(files[0]).resolve() for name in dataset.names if (files := dataset.files(name))}


# ---- the predictions as files --------------------------------------------------------------------

def require_own_exports(folder: Path, net: Net, names: Iterable[str], overwrite: bool) -> None:
    """Raise if one of the files to be written is not tinyfcn's own."""
    for output in net.outputs(train=False):
        for name in names:
            require_own(export_file(folder, output, name), overwrite)


def export(folder: Path, name: str, preds: dict, dataset: Dataset) -> None:
    """Write the prediction for each output of the net, in the colours of its classes."""
    for output, pred in preds.items():
        file = export_file(folder, output, name)
        file.parent.mkdir(parents=True, exist_ok=True)
        classes = by_output(dataset.classes)[output]
        viz.write_label(file, pred, viz.class_colours(classes, dataset.colours))


def export_file(folder: Path, output: str, name: str) -> Path:
    return folder / output / f'{name}.png'
