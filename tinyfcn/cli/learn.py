"""The command that learns: train."""
import argparse
import shlex
from ast import literal_eval
from contextlib import closing
from pathlib import Path

from ..runtime.distributed import world
from .device import device
from .interrupt import Interrupted, interruptible
from .tables import table
from .where import DATA, sets


def train(args):
    """Train a net by a recipe; everything is kept in a folder, from which --resume goes on."""
    from ..training import recipes, run
    recipe = recipes.recipe(args.recipe, **dict(args.set))
    folder = args.run_folder or Path('runs') / args.recipe
    pictures, valid = sets(recipe, args.data)
    net = run.begin(recipe, pictures.classes, args.seed,
                    {} if args.resume and (folder / 'last.safetensors').exists()
                    else sources(recipe, args.weights)).to(args.device)
    print(f'{args.recipe}: {net} learns from {len(pictures):,} pictures, and is judged on '
          f'{len(valid):,} others. In {folder}:')
    rows = run.run(folder, net, pictures, valid, recipe, args.seed, shlex.join(args.command),
                   args.resume)
    judged = follow(rows, recipe, folder)
    print(f'\n{table({args.recipe: judged}, recipe["aims"], recipe["cites"])}')
    print(f'\ncurves.png, predictions.png and best.safetensors are in {folder}')


def follow(rows, recipe, folder):
    """Show a run as it goes. -> its last validation"""
    from tqdm import tqdm
    judged, start = {}, None
    with closing(rows), tqdm(total=recipe['steps'], unit='step', disable=None) as bar, \
            interruptible(bar.write) as asked:
        for row in rows:
            if start is None:
                start = bar.initial = bar.n = row['step'] - 1
            if 'loss' in row:
                bar.update(row['step'] - bar.n)
                pictures = recipe['batch'] * recipe['iter_size'] * (row['step'] - start)
                bar.set_postfix_str(f'loss {row["loss"]:.4g}, mean IU '
                                    f'{judged.get("mean_iu") or 0:.3f}, '
                                    f'{pictures / max(row["seconds"], 1e-9):.1f} images/s')
            else:
                judged = row
                bar.write(f'  step {row["step"]:6}   mean IU {row["mean_iu"] or 0:.3f}   pixel acc '
                          f'{row["pixel_acc"] or 0:.3f}   {row["seconds"]:.0f} s')
            if asked() and row['step'] < recipe['steps'] and not world().rank:
                rows.close()
                raise Interrupted(f'stopped at step {row["step"]} of {recipe["steps"]}; the same '
                                  f'command with --resume goes on in {folder}')
    return judged


def sources(recipe, files):
    """{suffix: file} of the weights that a recipe begins with."""
    start = recipe['start']
    if start is None:
        start = 'a file' if files else {}
    wanted = start if isinstance(start, dict) else {'': start}
    if files:
        if len(files) != len(wanted):
            raise ValueError(f'this recipe begins with the weights of '
                             f'{" and ".join(wanted.values())}: --weights needs as many files')
        return dict(zip(wanted, files))
    found = {suffix: Path('runs') / name / 'best.safetensors' for suffix, name in wanted.items()}
    for name, file in zip(wanted.values(), found.values()):
        if not file.exists():
            raise ValueError(f'this recipe begins with the weights of {name}: --weights FILE, or '
                             f'where {name} is a recipe train it first (it would be {file})')
    return found


def change(text):
    """'lr=1e-4' -> ('lr', 0.0001)."""
    key, equals, value = text.partition('=')
    if not equals:
        raise argparse.ArgumentTypeError(f'{text!r} is no change: KEY=VALUE, as in lr=1e-4')
    try:
        return key, literal_eval(value)
    except (ValueError, SyntaxError):
        return key, value                               # a word, such as sum


def arguments(command):
    """What each command takes."""
    c = command(train)
    c.add_argument('recipe', metavar='RECIPE', help='a wrong name lists them all')
    c.add_argument('--data', **DATA)
    c.add_argument('--weights', type=Path, nargs='+', default=[], metavar='FILE',
                   help='to begin with (default: the best of the run that the recipe goes on from)')
    c.add_argument('--run', type=Path, metavar='FOLDER', dest='run_folder',
                   help='what everything is kept in (default: runs/RECIPE)')
    c.add_argument('--resume', action='store_true', help='go on where the run in there stands')
    c.add_argument('--set', type=change, nargs='+', default=[], metavar='KEY=VALUE',
                   help='change the recipe, as in lr=1e-4 steps=500')
    device(c)
