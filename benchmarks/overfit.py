"""Every net of FCN's family overfits four real images of CamVid.

    python benchmarks/overfit.py --data FOLDER          some minutes of one core each

A net that cannot overfit four images has a bug, or its output is too coarse for them. Nets, image
size and recipe are those of family.py, except for CHANGES. Each stops when 97 % of all pixels are
right; results/overfit/ has a JSON for each, and a chart. --steps N is for a trial.
"""
import argparse
from pathlib import Path
from time import perf_counter

import family
from family import MEMBERS, RUNS, busy_mark, result_paths
from timing import RESULTS, check_machine

from tinyfcn.training import loop

# The four with the largest regions: with one free score for every eighth pixel, 98.4 % of their
# pixels can be right at 121×161, and 96.4 % of four images chosen at random
IMAGES = '0006R0_f03000', '0016E5_05820', '0016E5_06270', '0016E5_06660'
NETS = [member for member in MEMBERS if not member.startswith('fcn')]

# U-Net has no batch norm and starts slowly. By the recipe of the others SegNet-Basic, with 8
# channels, stays at 77 %, and DeconvNet, whose smallest map has one or two positions, at 87 %.
CHANGES = dict(deconvnet=dict(lr=1e-2, steps=800), unet=dict(steps=800), unet_same=dict(steps=800),
               segnet_basic=dict(net_kwargs=dict(width=1/4)))
TARGET = .97            # the pixel accuracy at which training stops
EVALUATE_EVERY = 25     # steps


def train_member(data, member, steps=None):
    """Train one member until it reaches TARGET; write its result."""
    from tqdm import tqdm
    changes = dict(lr=3e-3, flip=False) | CHANGES.get(member, {})
    if steps:
        changes['steps'] = steps
    recipe, frame = family.member_recipe(member, **changes)
    dataset = family.load_camvid(data, 'train').subset(IMAGES)
    net = family.build_member(recipe, dataset.classes)
    machine = check_machine()
    pixel_acc = []
    began = perf_counter()
    rows = loop.train(net, family.add_frame(dataset, frame), recipe, loop.make_optimizer(recipe))
    for row in tqdm(rows, member, recipe.steps, disable=None):
        if row['step'] % EVALUATE_EVERY == 0 or row['step'] == recipe.steps:
            scores, shown = family.evaluate(net, dataset, frame)
            pixel_acc.append((row['step'], scores['pixel_acc']))
            if scores['pixel_acc'] > TARGET:
                break
    family.write_result(result_paths('overfit', member, steps), shown, member=member,
                        recipe=recipe.to_dict(), frame=frame, machine=machine,
                        pixel_acc=pixel_acc, seconds=perf_counter() - began)


def load_results(folder=RESULTS / 'overfit'):
    return family.load_results(folder)


def markdown_section(results):
    """A row for each net."""
    if not results:
        return
    yield '## Overfitting four images\n\n![](results/overfit/overfit.png)\n'
    yield '| net | steps | pixel acc, % | seconds |\n|' + ' --- |' * 4
    yield from map(table_row, results)
    yield '\n\\* other programs kept the machine busy: do not quote.\n'


def table_row(r):
    steps, accuracy = r['pixel_acc'][-1]
    return f'| {r["member"]} | {steps} | {100 * accuracy:.1f} | {r["seconds"]:.0f}{busy_mark(r)} |'


def draw_chart(results, path):
    """The pixel accuracy of each net, over the steps."""
    from matplotlib.figure import Figure
    figure = Figure(figsize=(7, 4), layout='constrained')
    ax = figure.subplots()
    for r in results:
        steps, accuracy = zip(*r['pixel_acc'])
        ax.plot(steps, [100 * share for share in accuracy], lw=1.2, label=r['member'])
    ax.axhline(100 * TARGET, color='black', lw=.8)
    ax.set(xlabel='step', ylabel='pixel acc, %', ylim=(40, 100))
    ax.legend(fontsize=7, loc='lower right')
    figure.savefig(path, dpi=120)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--data', type=Path, required=True, metavar='FOLDER')
    parser.add_argument('--members', nargs='+', choices=NETS, default=NETS)
    parser.add_argument('--steps', type=int, help='fewer steps, for a trial')
    args = parser.parse_args()
    for r in family.run_members(train_member, 'overfit', args.data, args.members, args.steps):
        print(table_row(r), flush=True)
    folder = result_paths('overfit', '', args.steps).result.parent
    results = load_results(folder)
    draw_chart(results, folder / 'overfit.png')
    print('', *markdown_section(results), sep='\n')
    dataset = family.load_camvid(args.data, 'train').subset(IMAGES)
    family.draw_predictions(dataset, 'overfit', results, args.steps, RUNS / 'overfit.png')


if __name__ == '__main__':
    main()
