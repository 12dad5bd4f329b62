"""Tables of scores, as text."""
import numpy as np

METRICS = dict(pixel_acc='pixel acc', mean_acc='mean acc', mean_iu='mean IU', fw_iu='f.w. IU')

# FCN-8s on VOC 2012 test, in the order of its classes, as later papers' tables repeat it; the
# background, which they leave out, is what is missing to the mean of 62.2
PAPER_VOC_TEST = dict(zip(
    'background aeroplane bicycle bird boat bottle bus car cat chair cow diningtable dog horse '
    'motorbike person pottedplant sheep sofa train tvmonitor'.split(),
    (91.2, 76.8, 34.2, 68.9, 49.4, 60.3, 75.3, 74.7, 77.6, 21.4, 62.5, 46.8, 71.8, 63.9, 76.5,
     73.9, 45.2, 72.4, 37.4, 70.9, 55.1)))


def table(rows, aims=None, cites='', seconds=None):
    """The four metrics in per cent, a row each; what the paper reached; how long each took."""
    rows = {name: [100 * scores[key] if scores.get(key) is not None else None for key in METRICS]
            for name, scores in rows.items()}
    if aims:
        rows[f'aim: {cites}'] = [aims.get(key) for key in METRICS]
    wide = max(map(len, rows))
    lines = [' ' * wide + ''.join(f'{word:>11}' for word in METRICS.values())
             + '   seconds' * bool(seconds)]
    for name, values in rows.items():
        took = f'{seconds[name]:10.0f}' if seconds and name in seconds else ''
        lines.append(f'{name:{wide}}' + ''.join(f'{percent(value):>11}' for value in values) + took)
    return '\n'.join(lines)


def percent(value):
    return '–' if value is None or np.isnan(value) else f'{value:.1f}'


def per_class(scores, hist, classes):
    """IU of every class; that a class is nowhere is said, and no mean counts it."""
    paper = PAPER_VOC_TEST if tuple(classes) == tuple(PAPER_VOC_TEST) else {}
    wide = max(map(len, classes))
    lines = [f'{"class":{wide}}     IU   share' + '   FCN-8s, VOC 2012 test' * bool(paper)]
    for name, iu, true in zip(classes, scores['iu'], hist.sum(1)):
        share = f'{100 * true / hist.sum():6.1f}%'
        value = 'absent' if np.isnan(iu) else f'{100 * iu:6.1f}'
        lines.append(f'{name:{wide}} {value} {share}' + (f'{paper[name]:24.1f}' if paper else ''))
    there = int((~np.isnan(scores['iu'])).sum())
    return '\n'.join([*lines, f'mean IU is over the {there} of {len(classes)} classes that are '
                              f'true or predicted somewhere'])
