"""Why skips are added one after another: the size of their inputs, the first steps, the results.

    python benchmarks/staging.py --data FOLDER          two minutes; see STAGING.md

Three panels in results/staging.png: |x|² of the input of each score layer, with ImageNet's weights;
the losses of the first steps; the final mean IU, measured by accuracy.py.
"""
import argparse
import json
from pathlib import Path
from statistics import mean

from timing import RESULTS, save

# isort: split
import numpy as np
from accuracy import IMAGENET, load_results, load_train_valid, stage_recipe
from competitors import COMPETITORS
from tqdm import tqdm

from tinyfcn.data.transforms import prepare
from tinyfcn.training import run

STRIDES = dict(fire3=4, fire5=8, fire9=16)              # of the boxes that score layers read
IMAGES = 40
STEPS = 40
FIRST = {'16s': 'stride 16 alone', '4s-naive': 'all strides, one rate',
         '4s-at-once': 'all strides, skips at a thirtieth'}
FINAL = {'16s': '16s', '16s-long': '16s, trained\nas long', '4s-naive': '4s, all\nat once',
        '8s': '8s, from\nthe 16s', '4s': '4s, from\nthe 8s'}
BLUE = '#0072b2'
ORANGE = '#d55e00'
GREEN = '#009e73'


def build_stage(data, stage):
    """-> the net of a stage with ImageNet's weights, its training set, its recipe"""
    recipe, _ = stage_recipe('stanford', stage)
    dataset, _ = load_train_valid(recipe, data)
    return run.build_net(recipe, dataset.classes, 0, {'': data / IMAGENET}), dataset, recipe


def input_sizes(data):
    """{box: (mean of |x|², |mean x|²)} over all positions of some images"""
    net, dataset, recipe = build_stage(data, '4s-naive')
    squares = {name: [] for name in STRIDES}
    means = {name: [] for name in STRIDES}
    for i in tqdm(range(IMAGES), 'sizes', disable=None):
        values = net.forward(prepare(dataset[i][0], recipe.preprocess), until=[*STRIDES])
        for name, x in values.items():
            squares[name].append(float((x ** 2).sum(1).mean()))
            means[name].append(x.mean((0, 2, 3)))
    return {name: [mean(squares[name]), float((np.mean(means[name], 0) ** 2).sum())]
            for name in STRIDES}


def first_steps(data):
    """{stage: the losses of its first steps}"""
    first_losses = {}
    for stage in FIRST:
        net, dataset, recipe = build_stage(data, stage)
        losses = COMPETITORS['tinyfcn'](net).train(dataset, recipe, 0)
        steps = tqdm(range(STEPS), stage, disable=None)
        first_losses[stage] = [loss for _, loss in zip(steps, losses)]
        losses.close()
    return first_losses


def final_scores():
    """{stage: mean IU of each seed}, in per cent"""
    found = {}
    for r in load_results(set_name='stanford'):
        if r['competitor'] == 'tinyfcn':
            found.setdefault(r['stage'], []).append(100 * r['scores']['mean_iu'])
    return {stage: found[stage] for stage in FINAL if stage in found}


def draw(rows, path):
    from matplotlib.figure import Figure
    figure = Figure(figsize=(13, 3.6), layout='constrained')
    left, middle, right = figure.subplots(1, 3)
    names = [f'{name}\nstride {stride}' for name, stride in STRIDES.items()]
    for shift, label, color, which in ((-.2, 'mean of |x|²', BLUE, 0),
                                       (.2, '|mean x|²', ORANGE, 1)):
        heights = [rows['sizes'][name][which] for name in STRIDES]
        bars = left.bar(np.arange(len(STRIDES)) + shift, heights, .38, label=label, color=color)
        left.bar_label(bars, fmt='{:,.0f}', fontsize=8)
    left.set(title='The input of each score layer', yscale='log', xticks=range(len(STRIDES)),
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
    right.set(title='Final mean IU; a dot is a seed', xticks=range(len(rows['last'])),
              xticklabels=[FINAL[stage] for stage in rows['last']])
    right.margins(.2)
    right.grid(axis='y', alpha=.3)
    right.tick_params(axis='x', labelsize=8)
    figure.savefig(path, dpi=120)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--data', type=Path, metavar='FOLDER',
                        help='without it, only the plot is drawn')
    data = parser.parse_args().data
    path = RESULTS / 'staging.json'
    if data:
        rows = dict(sizes=input_sizes(data), first=first_steps(data))
    else:
        rows = json.loads(path.read_text('utf-8'))['rows']
    rows['last'] = final_scores()
    if data:
        save('staging', rows)
    draw(rows, RESULTS / 'staging.png')
    print(json.dumps({key: rows[key] for key in ('sizes', 'last')}, indent=1))


if __name__ == '__main__':
    main()
