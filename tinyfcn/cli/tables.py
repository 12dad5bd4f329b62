"""Tables of scores, as text."""
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..files import printable

MAX_NAME = 40                   # characters of a class
METRICS = dict(pixel_acc='pixel acc', mean_acc='mean acc', mean_iu='mean IU', fw_iu='f.w. IU')

# IU of FCN-8s on VOC 2012 test, as tables in later papers give it. They leave out the background:
# it follows from the other twenty and from the mean, 62.2.
PAPER_VOC_TEST = {
    'background': 91.2, 'aeroplane': 76.8, 'bicycle': 34.2, 'bird': 68.9, 'boat': 49.4,
    'bottle': 60.3, 'bus': 75.3, 'car': 74.7, 'cat': 77.6, 'chair': 21.4, 'cow': 62.5,
    'diningtable': 46.8, 'dog': 71.8, 'horse': 63.9, 'motorbike': 76.5, 'person': 73.9,
    'pottedplant': 45.2, 'sheep': 72.4, 'sofa': 37.4, 'train': 70.9, 'tvmonitor': 55.1,
}


def score_table(scores: Mapping[str, Mapping[str, Any]], target: Mapping[str, float] | None = None,
                source: str = '', seconds: Mapping[str, float] | None = None) -> str:
    """The four metrics in per cent, a row for each entry of `scores`.

    target: the scores of a publication, as a last row; source: which publication.
    seconds: the training time of each row.
    """
    rows = {}
    for name, row_scores in scores.items():
        rows[printable(name)] = [in_percent(row_scores.get(key)) for key in METRICS]
    if target:
        rows[f'target: {printable(source)}'] = [percent(target.get(key)) for key in METRICS]

    width = max(map(len, rows))
    header = ' ' * width + ''.join(f'{name:>11}' for name in METRICS.values())
    lines = [header + '   seconds' if seconds else header]
    for name, values in rows.items():
        line = f'{name:{width}}' + ''.join(f'{value:>11}' for value in values)
        if seconds and name in seconds:
            line += f'{seconds[name]:10.0f}'
        lines.append(line)
    return '\n'.join(lines)


def percent(value: float | None) -> str:
    """'57.1', or '–' where there is no value."""
    return '–' if value is None or np.isnan(value) else f'{value:.1f}'


def in_percent(share: float | None) -> str:
    """.571 -> '57.1'"""
    return percent(share if share is None else 100 * share)


def iu_table(scores: Mapping[str, Any], hist: NDArray[Any], classes: Sequence[str]) -> str:
    """IU of every class and its share of the labelled pixels; beside the paper's IU for VOC.

    A class that is neither in the labels nor in the predictions is 'absent', and not in the mean.
    """
    paper = PAPER_VOC_TEST if tuple(classes) == tuple(PAPER_VOC_TEST) else {}
    names = [printable(name, limit=MAX_NAME) for name in classes]
    width = max(map(len, names))
    header = f'{"class":{width}}     IU   share'
    lines = [header + '   FCN-8s, VOC 2012 test' if paper else header]
    total = hist.sum() or 1                             # 0 where every pixel is void
    for name, iu, pixels in zip(names, scores['iu'], hist.sum(1)):
        share = f'{100 * pixels / total:6.1f}%'
        value = 'absent' if np.isnan(iu) else f'{100 * iu:6.1f}'
        line = f'{name:{width}} {value} {share}'
        if paper:
            line += f'{paper[name]:24.1f}'
        lines.append(line)
    present = int((~np.isnan(scores['iu'])).sum())
    lines.append(f'mean IU is over the {present} of {len(classes)} classes that are in the labels '
                 f'or in the predictions')
    return '\n'.join(lines)
