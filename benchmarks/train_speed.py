"""The time of a training step by the recipe of each data set, beside PyTorch: A B A B …

    python benchmarks/train_speed.py --data FOLDER      a minute a data set, on an idle machine

The first stage of each data set, as `tinyfcn train` runs it, and as PyTorch does in accuracy.py: a
step reads and flips four images, does forward, loss and backward, and updates the weights.
"""
import argparse
import json
from pathlib import Path

from timing import RESULTS, check_machine, is_busy, save, time_alternately

# isort: split
from accuracy import FOLDERS, IMAGENET, load_train_valid, stage_recipe
from competitors import COMPETITORS

from tinyfcn.training import run

BUDGET = 60             # seconds for each data set
MAX_ROUNDS = 200


def step_functions(data, set_name):
    """{competitor: a function that does one more step}, each with its own net"""
    recipe, _ = stage_recipe(set_name, '16s')
    dataset, _ = load_train_valid(recipe, data)
    functions = {}
    for name, competitor in COMPETITORS.items():
        net = run.build_net(recipe, dataset.classes, files={'': data / IMAGENET})
        functions[name] = competitor(net).train(dataset, recipe, 0).__next__
    return functions


def load_results(path=RESULTS / 'train_speed.json'):
    """What the last run measured, or {}."""
    return json.loads(path.read_text('utf-8')) if path.exists() else {}


def markdown_section(found):
    """A row for each data set."""
    if not found:
        return
    yield '## Training speed: seconds for a step of four images\n'
    yield '| data set | tinyfcn | PyTorch |'
    yield '| --- | --- | --- |'
    for row in found['rows']:
        ours = row['tinyfcn']
        theirs = row['pytorch']
        yield (f'| {row["set"]} | {ours["median"]:.3f} ({ours["least"]:.3f} … {ours["most"]:.3f}) '
               f'| {theirs["median"]:.3f} ({theirs["least"]:.3f} … {theirs["most"]:.3f}), '
               f'×{theirs["median"] / ours["median"]:.2f} |')
    if is_busy(found['machine']):
        yield '\nOther programs kept the machine busy: do not quote these numbers.'
    yield ''


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--data', type=Path, required=True, metavar='FOLDER')
    parser.add_argument('--budget', type=float, default=BUDGET, metavar='SECONDS')
    args = parser.parse_args()
    machine = check_machine()
    rows = []
    for set_name in FOLDERS:
        times = time_alternately(step_functions(args.data, set_name), args.budget, MAX_ROUNDS)
        rows.append(dict(set=set_name, **times))
        print(*markdown_section(dict(machine=machine, rows=rows[-1:])), sep='\n')
    save('train_speed', rows, machine)


if __name__ == '__main__':
    main()
