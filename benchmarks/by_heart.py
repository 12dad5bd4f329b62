"""Four real pictures of CamVid, learned by heart by every member of FCN's family.

    python benchmarks/by_heart.py --data FOLDER         some minutes of one core each

A net that cannot learn four pictures by heart has a mistake in it, or cannot say what they show.
Members, sizes and recipe are those of family.py but for OWN. Each stops when 97 % of all pixels
are right; results/by_heart/ has a JSON for each, and a chart. --steps N tries it out.
"""
import argparse
from pathlib import Path
from time import perf_counter

import family
from family import MEMBERS, RUNS, busy, where
from side_by_side import RESULTS, machine, warn

from tinyfcn.training import loop

# Four of the coarsest: of these, free scores on every eighth pixel can say 98.4 % at 121×161, and
# of four that were chosen blindly 96.4
PICTURES = '0006R0_f03000', '0016E5_05820', '0016E5_06270', '0016E5_06660'
COUSINS = [member for member in MEMBERS if not member.startswith('fcn')]

# U-Net has no batch norm and begins slowly; SegNet-Basic of 8 channels stood still at 77 %, and
# DeconvNet, which sends all that it knows through one or two places, at 87 % by the others' rate
OWN = dict(deconvnet=dict(lr=1e-2, steps=800), unet=dict(steps=800), unet_same=dict(steps=800),
           segnet_basic=dict(net_kwargs=dict(width=1/4)))
BAR, EVERY = .97, 25


def learn(data, member, steps=None):
    """One member, in a process that does nothing else; its result is written down."""
    from tqdm import tqdm
    how = dict(lr=3e-3, flip=False) | OWN.get(member, {}) | (dict(steps=steps) if steps else {})
    recipe, frame = family.planned(member, **how)
    pictures = family.opened(data, 'train').subset(PICTURES)
    net, found = family.begun(recipe, pictures.classes), warn(machine())
    rows, known, began = loop.train(net, family.framed(pictures, frame), recipe,
                                        loop.make_optimizer(recipe)), [], perf_counter()
    for row in tqdm(rows, member, recipe.steps, disable=None):
        if row['step'] % EVERY == 0 or row['step'] == recipe.steps:
            scores, shown = family.judged(net, pictures, frame)
            known.append((row['step'], scores['pixel_acc']))
            if known[-1][1] > BAR:
                break
    family.write_down(where('by_heart', member, steps), shown, member=member,
                      recipe=recipe.to_dict(),
                      frame=frame, machine=found, known=known, seconds=perf_counter() - began)


def noted_in(folder=RESULTS / 'by_heart'):
    return family.noted_in(folder)


def section(results):
    """Lines of Markdown: a row for each member."""
    if not results:
        return
    yield '## Four pictures by heart\n\n![](results/by_heart/by_heart.png)\n'
    yield '| member | steps | pixel acc, % | seconds |\n|' + ' --- |' * 4
    yield from map(line, results)
    yield '\n\\* the machine did other work meanwhile: not to be quoted.\n'


def line(r):
    steps, right = r['known'][-1]
    return f'| {r["member"]} | {steps} | {100 * right:.1f} | {r["seconds"]:.0f}{busy(r)} |'


def chart(results, path):
    """How many pixels each member has right, step by step."""
    from matplotlib.figure import Figure
    figure = Figure(figsize=(7, 4), layout='constrained')
    ax = figure.subplots()
    for r in results:
        steps, right = zip(*r['known'])
        ax.plot(steps, [100 * part for part in right], lw=1.2, label=r['member'])
    ax.axhline(100 * BAR, color='black', lw=.8)
    ax.set(xlabel='step', ylabel='pixel acc, %', ylim=(40, 100))
    ax.legend(fontsize=7, loc='lower right')
    figure.savefig(path, dpi=120)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--data', type=Path, required=True, metavar='FOLDER')
    parser.add_argument('--members', nargs='+', choices=COUSINS, default=COUSINS)
    parser.add_argument('--steps', type=int, help='fewer steps, to try it out')
    args = parser.parse_args()
    for r in family.in_turn(learn, 'by_heart', args.data, args.members, args.steps):
        print(line(r), flush=True)
    folder = where('by_heart', '', args.steps)[0].parent
    results = noted_in(folder)
    chart(results, folder / 'by_heart.png')
    print('', *section(results), sep='\n')
    family.page(family.opened(args.data, 'train').subset(PICTURES), 'by_heart', results, args.steps,
                RUNS / 'by_heart.png')


if __name__ == '__main__':
    main()
