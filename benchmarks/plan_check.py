"""What `tinyfcn plan` predicts, beside what then happens: the ceiling, the time and the memory.

    python benchmarks/plan_check.py --data FOLDER               Stanford Background, CamVid
    python benchmarks/plan_check.py --data FOLDER --steps 100   fewer steps, for a trial

Each stage is predicted from a few steps, and then trained by `tinyfcn train`, on a machine that
does nothing else. The ceiling is predicted from the training masks, and compared with that of the
validation masks, and with the mean IU that the net reaches, which has to be lower.
"""
import argparse
import json
import os
import shlex
import subprocess
import sys
from functools import cache
from pathlib import Path

from timing import RESULTS, check_machine, measure_rows, save

# isort: split
from accuracy import FOLDERS, IMAGENET

from tinyfcn.cli.paths import train_val_sets
from tinyfcn.cli.trial import run_trial
from tinyfcn.data.statistics import STRIDES, label_statistics
from tinyfcn.metrics import scores
from tinyfcn.training.advice import Stage, net_stride
from tinyfcn.training.recipes import get_recipe

RUNS = RESULTS.parent.parent / 'runs' / 'plan'
SETS = 'stanford', 'camvid'
STAGES = '16s', '8s', '4s'
# of the difference between what is predicted and what happens
MAX_TIME = .25
MAX_MEMORY = .15


@cache                          # they are those of all stages
def ceilings(set_name, root):
    """-> {stride: mean IU} of the training masks, and of the validation masks"""
    found = map(label_statistics, train_val_sets(get_recipe(f'{set_name}-16s'), root))
    return [{stride: scores(own.confusion[stride])['mean_iu'] for stride in STRIDES}
            for own in found]


def measure(data, set_name, stage, changes):
    """-> what was predicted for a stage, and what happened"""
    root = data / FOLDERS[set_name]
    name = f'{set_name}-{stage}'
    recipe = get_recipe(name, **changes)
    _, valid = train_val_sets(recipe, root)
    trial = run_trial(Stage(name, changes), root)
    before = [RUNS / f'{set_name}-{own}' for own in STAGES[:STAGES.index(stage)]]
    weights = next((folder for folder in reversed(before) if folder.exists()), data / IMAGENET)
    happened = train_stage(name, root, weights, changes)
    stride = net_stride(recipe)
    of_train, of_valid = ceilings(set_name, root)
    return dict(predicted=dict(seconds=trial.seconds(recipe, len(valid)), memory=trial.memory,
                               ceiling=of_train[stride]),
                happened=dict(happened, ceiling=of_valid[stride]))


def train_stage(name, root, weights, changes):
    """`tinyfcn train` in a process of its own. -> its seconds, peak memory, and last mean IU"""
    folder = RUNS / name
    command = [sys.executable, '-m', 'tinyfcn', 'train', name, '--data', root, '--weights', weights,
               '--run', folder]
    if folder.exists():
        raise SystemExit(f'{folder}: an earlier run; delete it to measure again')
    if changes:
        command += ['--set', *(f'{key}={value}' for key, value in changes.items())]
    command = [*map(str, command)]
    print(shlex.join(command), flush=True)
    process = subprocess.Popen(command)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f'{name}: ended with {os.waitstatus_to_exitcode(status)}')
    rows = [json.loads(row) for row in (folder / 'metrics.jsonl').read_text('utf-8').splitlines()]
    unit = 1 if sys.platform == 'darwin' else 1024
    return dict(seconds=rows[-1]['seconds'], memory=usage.ru_maxrss * unit,
                mean_iu=rows[-1]['mean_iu'])


def difference(row, key):
    """How much more was predicted than happened, as a share of what happened."""
    return row['predicted'][key] / row['happened'][key] - 1


def print_row(row):
    predicted, happened = row['predicted'], row['happened']
    print(f'{row["set"]}-{row["stage"]}: {predicted["seconds"]:.0f} s predicted, '
          f'{happened["seconds"]:.0f} s ({difference(row, "seconds"):+.0%}); '
          f'{predicted["memory"] / 1e6:.0f} MB predicted, {happened["memory"] / 1e6:.0f} MB '
          f'({difference(row, "memory"):+.0%}); ceiling {100 * predicted["ceiling"]:.1f} '
          f'predicted, {100 * happened["ceiling"]:.1f} of the validation masks, mean IU '
          f'{100 * happened["mean_iu"]:.1f}')


def load_results(path=RESULTS / 'plan_check.json'):
    """The rows of the last measurement, or none."""
    return json.loads(path.read_text('utf-8'))['rows'] if path.exists() else []


def markdown_section(rows):
    """What was predicted, and what happened."""
    if not rows:
        return
    yield '## What `tinyfcn plan` predicts\n'
    yield ('The time and the memory of each stage, from a few steps before it, beside those of the '
           'whole training; and the ceiling of mean IU, from the training masks, beside that of '
           'the validation masks and what the net reached.\n')
    yield ('| set | stage | seconds: predicted, measured | MB: predicted, measured | ceiling: '
           'training, validation masks | mean IU |')
    yield '| --- | --- | --- | --- | --- | --- |'
    for row in rows:
        predicted, happened = row['predicted'], row['happened']
        cells = [row['set'], row['stage']]
        for key, unit in ('seconds', 1), ('memory', 1e6):
            cells.append(f'{predicted[key] / unit:.0f}, {happened[key] / unit:.0f} '
                         f'({difference(row, key):+.0%})')
        cells += [f'{100 * predicted["ceiling"]:.1f}, {100 * happened["ceiling"]:.1f}',
                  f'{100 * happened["mean_iu"]:.1f}']
        yield f'| {" | ".join(cells)} |'
    yield ''


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--data', type=Path, required=True, metavar='FOLDER')
    parser.add_argument('--sets', nargs='+', choices=SETS, default=SETS)
    parser.add_argument('--stages', nargs='+', choices=STAGES, default=STAGES)
    parser.add_argument('--steps', type=int, help='of each stage (default: as in its recipe)')
    args = parser.parse_args()
    machine = check_machine()
    changes = dict(steps=args.steps, validate_every=max(1, args.steps // 2)) if args.steps else {}
    measurements = [
        (dict(set=set_name, stage=stage, **changes),
         lambda set_name=set_name, stage=stage: measure(args.data, set_name, stage, changes))
        for set_name in args.sets for stage in args.stages]
    rows = measure_rows('plan_check', measurements, print_row)
    missed = [row for row in rows if abs(difference(row, 'seconds')) > MAX_TIME
              or abs(difference(row, 'memory')) > MAX_MEMORY
              or row['happened']['mean_iu'] > row['predicted']['ceiling']]
    print(f'{len(missed)} of {len(rows)} predictions miss their bar: {MAX_TIME:.0%} of the time, '
          f'{MAX_MEMORY:.0%} of the memory')
    if not args.steps:
        save('plan_check', rows, machine)


if __name__ == '__main__':
    main()
