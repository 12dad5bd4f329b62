"""Why skips come one after another: how large their inputs are, the first steps, the end.

    python benchmarks/staging.py --data FOLDER          two minutes; STAGING.md tells the story

Three panels in results/staging.png: |x|² of what each score layer reads, with ImageNet's weights;
the losses of the first steps; mean IU after all of them, as accuracy.py found it.
"""
import argparse
import json
from pathlib import Path
from statistics import mean

from side_by_side import RESULTS, save

# isort: split
import numpy as np
from accuracy import IMAGENET, noted_in, opened, planned
from rivals import RIVALS
from tqdm import tqdm

from tinyfcn.data.transforms import prepare
from tinyfcn.training import run

TAPS = dict(fire3=4, fire5=8, fire9=16)                 # the box that is read, and its stride
PICTURES, STEPS = 40, 40
FIRST = {'16s': 'stride 16 alone', '4s-naive': 'all strides, one rate',
         '4s-at-once': 'all strides, skips at a thirtieth'}
LAST = {'16s': '16s', '16s-long': '16s, trained\nas long', '4s-naive': '4s, all\nat once',
        '8s': '8s, from\nthe 16s', '4s': '4s, from\nthe 8s'}
BLUE, ORANGE, GREEN = '#0072b2', '#d55e00', '#009e73'


def begun(data, stage):
    """The net of a stage as ImageNet leaves it, the pictures it learns from, its recipe."""
    recipe, _ = planned('stanford', stage)
    pictures, _ = opened(recipe, data)
    return run.build_net(recipe, pictures.classes, 0, {'': data / IMAGENET}), pictures, recipe


def sizes(data):
    """{box: (|x|² of a place, |mean x|²)} over all places of some pictures"""
    net, pictures, recipe = begun(data, '4s-naive')
    squares, means = {name: [] for name in TAPS}, {name: [] for name in TAPS}
    for i in tqdm(range(PICTURES), 'sizes', disable=None):
        seen = net.forward(prepare(pictures[i][0], recipe.preprocess), until=[*TAPS])
        for name, x in seen.items():
            squares[name].append(float((x ** 2).sum(1).mean()))
            means[name].append(x.mean((0, 2, 3)))
    return {name: [mean(squares[name]), float((np.mean(means[name], 0) ** 2).sum())]
            for name in TAPS}


def first_steps(data):
    """{stage: the losses of its first steps}"""
    found = {}
    for stage in FIRST:
        net, pictures, recipe = begun(data, stage)
        losses = RIVALS['tinyfcn'](net).losses(pictures, recipe, 0)
        found[stage] = [loss for _, loss in zip(tqdm(range(STEPS), stage, disable=None), losses)]
        losses.close()
    return found


def last_scores():
    """{stage: mean IU of each seed}, in per cent"""
    found = {}
    for r in noted_in(set_name='stanford'):
        if r['rival'] == 'tinyfcn':
            found.setdefault(r['stage'], []).append(100 * r['scores']['mean_iu'])
    return {stage: found[stage] for stage in LAST if stage in found}


def draw(rows, path):
    from matplotlib.figure import Figure
    figure = Figure(figsize=(13, 3.6), layout='constrained')
    left, middle, right = figure.subplots(1, 3)
    names = [f'{name}\nstride {stride}' for name, stride in TAPS.items()]
    for shift, label, color, which in (-.2, '|x|² of a place', BLUE, 0), (
            .2, '|mean x|²', ORANGE, 1):
        bars = left.bar(np.arange(len(TAPS)) + shift, [rows['sizes'][name][which] for name in TAPS],
                        .38, label=label, color=color)
        left.bar_label(bars, fmt='{:,.0f}', fontsize=8)
    left.set(title='What a score layer reads', yscale='log', xticks=range(len(TAPS)),
             xticklabels=names)
    left.legend(loc='upper right')
    left.margins(y=.12)
    for (stage, label), color in zip(FIRST.items(), (BLUE, ORANGE, GREEN)):
        middle.plot(np.arange(1, STEPS + 1), rows['first'][stage], color=color, label=label)
    middle.set(title='The first steps', xlabel='step', ylabel='loss', yscale='log')
    middle.legend()
    for i, (stage, scores) in enumerate(rows['last'].items()):
        color = ORANGE if 'naive' in stage else BLUE
        right.plot([i] * len(scores), scores, 'o', color=color, alpha=.5)
        right.annotate(f'{mean(scores):.1f}', (i + .12, mean(scores)), va='center')
    right.set(title='Mean IU in the end; a dot is a seed', xticks=range(len(rows['last'])),
              xticklabels=[LAST[stage] for stage in rows['last']])
    right.margins(.2)
    right.grid(axis='y', alpha=.3)
    right.tick_params(axis='x', labelsize=8)
    figure.savefig(path, dpi=120)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--data', type=Path, metavar='FOLDER', help='else it is only drawn anew')
    data, path = parser.parse_args().data, RESULTS / 'staging.json'
    if data:
        rows = dict(sizes=sizes(data), first=first_steps(data))
    else:
        rows = json.loads(path.read_text('utf-8'))['rows']
    rows['last'] = last_scores()
    if data:
        save('staging', rows)
    draw(rows, RESULTS / 'staging.png')
    print(json.dumps({key: rows[key] for key in ('sizes', 'last')}, indent=1))


if __name__ == '__main__':
    main()
