"""How long a step of a recipe takes, on the pictures of each set, beside PyTorch: A B A B …

    python benchmarks/pace.py --data FOLDER         a minute a set, on an idle machine

The first stage of each set, as `tinyfcn train` runs it, and as PyTorch does in accuracy.py:
four pictures a step, read and mirrored by the way, forward, loss, backward, and the weights move.
"""
import argparse
import json
from pathlib import Path

from side_by_side import RESULTS, alternate, save, start

# isort: split
from accuracy import FOLDERS, IMAGENET, opened, planned
from rivals import RIVALS

from tinyfcn.training import run

BUDGET = 60             # seconds for each set


def paces(data, set_name):
    """{rival: function that takes one step more}, each with a net of its own"""
    recipe, _ = planned(set_name, '16s')
    pictures, _ = opened(recipe, data)
    steps = {}
    for name, rival in RIVALS.items():
        net = run.build_net(recipe, pictures.classes, files={'': data / IMAGENET})
        steps[name] = rival(net).losses(pictures, recipe, 0).__next__
    return steps


def noted_in(path=RESULTS / 'pace.json'):
    """What the last run found, or nothing."""
    return json.loads(path.read_text('utf-8')) if path.exists() else {}


def section(found):
    """Lines of Markdown: a row for each set."""
    if not found:
        return
    yield '## The pace of the recipes: seconds for a step of four pictures\n'
    yield '| set | tinyfcn | PyTorch |'
    yield '| --- | --- | --- |'
    for row in found['rows']:
        ours, theirs = row['tinyfcn'], row['pytorch']
        yield (f'| {row["set"]} | {ours["median"]:.3f} ({ours["least"]:.3f} … {ours["most"]:.3f}) '
               f'| {theirs["median"]:.3f} ({theirs["least"]:.3f} … {theirs["most"]:.3f}), '
               f'×{theirs["median"] / ours["median"]:.2f} |')
    if found['machine']['busy'] and found['machine']['busy'] > .2:
        yield '\nThe machine did other work meanwhile: not to be quoted.'
    yield ''


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--data', type=Path, required=True, metavar='FOLDER')
    parser.add_argument('--budget', type=float, default=BUDGET, metavar='SECONDS')
    before, args = start(), parser.parse_args()
    rows = []
    for set_name in FOLDERS:
        rows.append(dict(set=set_name, **alternate(paces(args.data, set_name), args.budget, 200)))
        print(*section(dict(machine=before, rows=rows[-1:])), sep='\n')
    save('pace', rows, before)


if __name__ == '__main__':
    main()
