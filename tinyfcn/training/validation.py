"""Validation of a net during its training: the metrics, and a page of predictions."""
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .. import metrics, viz
from ..data.dataset import Dataset
from ..data.labels import Array, Label, by_output
from ..net import Net
from ..prediction.evaluation import add_confusion, predict_all, total_confusion
from .run_files import Row

FIRST = 2               # images on the page: the first ones of the data set,
WORST = 2               # and those with the lowest mean IU


class Example(NamedTuple):
    """An image on the page of predictions."""
    choice: str         # 'first' or 'worst'
    mean_iu: float      # of the classes that the image or its prediction has
    name: str
    image: Array
    label: Label
    pred: Label


class Validation(NamedTuple):
    """The metrics of all validation images, and some of the images."""
    row: Row            # for metrics.jsonl, still without the step
    examples: list[Example]


def validate(net: Net, valid: Dataset) -> Validation:
    """Predict all images of `valid`. -> their metrics, the first images and the worst

    For a net with several outputs, the metrics of the first one, and those of each other output
    under its name. Of several ranks each predicts a share of the images, and all get the metrics.
    """
    hists: dict[str, Any] = {}
    first: list[Example] = []
    worst: list[Example] = []
    for name, image, label, pred in predict_all(net, valid):
        add_confusion(hists, valid, label, pred)
        choice = 'first' if len(first) < FIRST else 'worst'
        example = Example(choice, _mean_iu(valid, label, pred), name, image, label, pred)
        if choice == 'first':
            first.append(example)
        else:
            worst = sorted([*worst, example], key=lambda each: each.mean_iu)[:WORST]
    totals = total_confusion(hists, valid)
    by_name = {output: json_scores(metrics.scores(hist)) for output, hist in totals.items()}
    output, *others = by_name
    row = by_name[output] | {other: by_name[other] for other in others}
    return Validation(row, [*first, *worst])


def draw_examples(path: Path, examples: list[Example], valid: Dataset) -> None:
    """Draw images, their labels and the predictions of the first output."""
    output, classes = next(iter(by_output(valid.classes).items()))
    rows = [(each.name, each.image, by_output(each.label)[output],
             by_output(each.pred)[output]) for each in examples]
    are_all = len(examples) == len(valid)               # then no choice has to be explained
    choices = ['' if are_all else f'one of the {each.choice}: ' for each in examples]
    captions = [[f'{choice}mean IU {each.mean_iu:.3f}'] for choice, each in zip(choices, examples)]
    viz.draw_page(path, rows, classes, ['prediction'], captions, valid.colours)


def _mean_iu(valid: Dataset, label: Label, pred: Label) -> float:
    """The mean IU of the first output in one image; 1 where all of it is void."""
    output, classes = next(iter(by_output(valid.classes).items()))
    hist = metrics.confusion(by_output(label)[output], by_output(pred)[output], len(classes))
    mean_iu = metrics.scores(hist)['mean_iu']
    return 1. if np.isnan(mean_iu) else mean_iu


def json_scores(scores: Mapping[str, Any]) -> Row:
    """Scores with None in place of nan, which JSON does not have."""
    def number(x: float) -> float | None:
        return None if np.isnan(x) else float(x)

    return {key: [number(x) for x in value] if key == 'iu' else number(value)
            for key, value in scores.items()}
