"""A trial of a training in a process of its own, whose memory is that of the training alone.

`python -m tinyfcn.cli.trial` reads what to try as JSON on stdin, and prints the result as JSON.
"""
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from ..runtime.malloc import tune_allocator
from ..training.advice import Stage
from ..training.first_weights import build_net
from ..training.recipes import get_recipe
from ..training.trial import Trial, try_steps
from .folders import NAMED
from .output import say
from .paths import train_val_sets

# as the weights say that such a recipe starts from
PREPROCESS = dict(order='BGR', scale=1, mean=(104., 117., 123.), std=(1, 1, 1))


def run_trial(stage: Stage, root: Path, seed: int = 0) -> Trial:
    """The time and the memory of a stage, from random weights.   root: of its data set"""
    question = json.dumps(dict(
        recipe=stage.recipe, changes=stage.changes, root=os.path.abspath(root), seed=seed,
        folders={part: str(path) for part, path in NAMED.items()}))
    paths = [str(Path(__file__).parents[2]), os.environ.get('PYTHONPATH')]
    process = subprocess.Popen(
        [sys.executable, '-m', __name__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        encoding='utf-8', env=dict(os.environ, PYTHONPATH=os.pathsep.join(filter(None, paths))))
    try:
        printed, _ = process.communicate(question)
    finally:
        process.kill()                                  # does nothing once it has ended
        process.wait()
    if process.returncode or not printed:
        raise ValueError(f'the trial of {stage.recipe} ended with code {process.returncode}; if '
                         f'the system ended it, there was not enough memory: crop_size=256,256 '
                         f'or batch=1 takes less')
    answer = json.loads(printed.splitlines()[-1])
    if 'error' in answer:
        raise ValueError(answer['error'])
    return Trial(**answer)


def main() -> None:
    """Answer with a Trial, or with the message of an error that a user can do something about."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)        # Ctrl-C is for the process that waits
    tune_allocator()                                    # as `tinyfcn train` does
    question = json.loads(sys.stdin.read())
    try:
        answer = try_stage(**question)._asdict()
    except MemoryError:
        answer = dict(error='there is not enough memory for a step')
    except (ValueError, OSError) as error:
        answer = dict(error=str(error))
    say(json.dumps(answer))


def try_stage(recipe: str, changes: dict[str, Any], root: str, seed: int,
              folders: dict[str, str]) -> Trial:
    """A few steps of a recipe, some fields of which are changed; folders: of --images, --masks"""
    NAMED.update({part: Path(path) for part, path in folders.items()})
    changed = get_recipe(recipe, **changes)
    train, valid = train_val_sets(changed, Path(root))
    net = build_net(changed, train, seed)
    if not net.about.get('preprocess'):
        net.about['preprocess'] = PREPROCESS
    return try_steps(net, train, valid, changed)


if __name__ == '__main__':
    main()
