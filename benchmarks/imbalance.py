"""A class of few pixels: what each loss makes of it.

    TINYFCN_THREADS=1 python benchmarks/imbalance.py        some minutes

The images are the generated shapes of four classes; every fourth has one small cross more, the
fifth class, which is 0.4 % of all pixels. The same net is trained from the same weights, on the
same images for as many steps, with another loss each time, and with three seeds. Only scores are
measured, so other programs do not matter. docs/imbalance.md explains the losses and has the table.
--steps N is for a trial.
"""
import argparse

from markdown_table import table
from timing import save

# isort: split
import numpy as np

import tinyfcn
from tinyfcn import metrics
from tinyfcn.data import shapes
from tinyfcn.data.class_weights import median_frequency
from tinyfcn.data.dataset import Dataset
from tinyfcn.training import Recipe, get_recipe

CLASSES = *shapes.CLASSES[:4], 'cross'
CROSS = CLASSES.index('cross')
SIZE = 64, 96
TRAIN = dict(seed=1, images=400)
TEST = dict(seed=3, images=200)
SEEDS = 0, 1, 2
STEPS = 1500
WIDTH = 1/2

# What is changed in a recipe that takes the mean of the cross-entropy
ROWS = {
    "loss='mean'": {},
    "loss='mean', class_weight='median'": dict(class_weight='median'),
    "loss='mean', rare_classes=.5": dict(rare_classes=.5),
    "loss='focal'": dict(loss='focal'),
    "loss='dice'": dict(loss='dice'),
    "loss='ce+dice'": dict(loss='ce+dice'),
    "loss='ce+dice', rare_classes=.5": dict(loss='ce+dice', rare_classes=.5),
}


# ---- the images ----------------------------------------------------------------------------------

def shapes_with_a_small_cross(seed, images):
    """A data set of generated images; every fourth has a cross of 10 to 16 pixels."""
    pairs = [shapes.generate(seed, index, SIZE, n_class=4, difficulty=.15)
             for index in range(images)]
    for index in range(0, images, 4):
        add_cross(np.random.default_rng((seed, index, CROSS)), *pairs[index])
    return Dataset(CLASSES, map(str, range(images)), lambda name: pairs[int(name)])


def add_cross(rng, image, label):
    """Draw a cross of one colour, turned at random, where there was background."""
    y, x = np.mgrid[:SIZE[0], :SIZE[1]]
    radius = rng.uniform(5, 8)
    turn = rng.uniform(0, 2 * np.pi)
    colour = rng.integers(0, 256, 3)
    while True:
        top, left = (rng.uniform(radius, length - radius) for length in SIZE)
        u = ((x - left) * np.cos(turn) + (y - top) * np.sin(turn)) / radius
        v = ((y - top) * np.cos(turn) - (x - left) * np.sin(turn)) / radius
        inside = shapes.SIGNED_DISTANCE['cross'](u, v) < 0
        if not label[inside].any():
            break
    image[inside] = (colour + rng.normal(0, 6, (inside.sum(), 3))).clip(0, 255)
    label[inside] = CROSS


def class_shares(dataset):
    """The share of the pixels of each class, of all that are not void."""
    counts = sum(np.bincount(label.ravel(), minlength=256)[:len(CLASSES)] for _, label in dataset)
    return (counts / counts.sum()).tolist()


# ---- training and scores -------------------------------------------------------------------------

def train_net(changes, seed, steps, train_set):
    """A net of random weights, trained with these changes of the recipe."""
    recipe = Recipe(**{**get_recipe('shapes-8s').to_dict(), **dict(
        init_from=None, lr=3e-3, steps=steps, flip=True), **changes})
    net = tinyfcn.build('tiny_8s', len(CLASSES), width=WIDTH, seed=seed)
    tinyfcn.fit(net, train_set, recipe, seed=seed)
    return net


def evaluate(net, test_set):
    """-> scores in per cent"""
    hist = sum(metrics.confusion(label, tinyfcn.predict(net, image), len(CLASSES))
               for image, label in test_set)
    scores = metrics.scores(hist)
    values = dict(mean_iu=scores['mean_iu'], pixel_acc=scores['pixel_acc'],
                  iu=scores['iu'][CROSS], others=np.delete(scores['iu'], CROSS).mean(),
                  recall=hist[CROSS, CROSS] / hist[CROSS].sum(),
                  precision=hist[CROSS, CROSS] / max(1, hist[:, CROSS].sum()))
    return {name: 100 * float(value) for name, value in values.items()}


# ---- results -------------------------------------------------------------------------------------

def table_lines(rows):
    """Means over the seeds, in per cent; of the IU of the cross also the least and the largest."""
    def mean(row, name):
        return f'{np.mean([run[name] for run in row["runs"]]):.1f}'

    def cells(row):
        iu = [run['iu'] for run in row['runs']]
        return [f'`{row["name"]}`', f'{np.mean(iu):.1f} ({min(iu):.1f} … {max(iu):.1f})',
                *(mean(row, name) for name in ('recall', 'precision', 'others', 'mean_iu'))]

    yield from table(['recipe', 'IU of the cross', 'recall', 'precision', 'mean IU of the others',
                      'mean IU'], map(cells, rows))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--rows', nargs='+', choices=ROWS, default=[*ROWS], metavar='ROW')
    parser.add_argument('--steps', type=int, default=STEPS, help='fewer, for a trial')
    args = parser.parse_args()
    train_set = shapes_with_a_small_cross(**TRAIN)
    test_set = shapes_with_a_small_cross(**TEST)
    shares = class_shares(train_set)
    for name, share, weight in zip(CLASSES, shares, median_frequency(train_set)):
        print(f'{name:10} {share:7.2%} of the pixels, class_weight {weight:.2f}')
    rows = []
    for name in args.rows:
        runs = [evaluate(train_net(ROWS[name], seed, args.steps, train_set), test_set)
                for seed in SEEDS]
        rows.append(dict(name=name, changes=ROWS[name], steps=args.steps, shares=shares, runs=runs))
        print(f'{name}: IU of the cross ' + ', '.join(f'{run["iu"]:.1f}' for run in runs),
              flush=True)
    if args.steps == STEPS and args.rows == [*ROWS]:
        save('imbalance', rows)
    print('', *table_lines(rows), sep='\n')


if __name__ == '__main__':
    main()
