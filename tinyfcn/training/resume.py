"""Resume a run from its folder; another net, recipe, seed or data set is refused."""
import os
import shlex
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from .. import optim
from ..data.channels import RGB, Channels
from ..data.fingerprint import fingerprint_differences, only_dates_differ
from ..data.labels import by_output
from ..files import FormatError, printable, require_own
from ..net import Net
from . import checkpoint
from .early_stopping import Progress
from .event_file import EVENTS
from .recipes import Recipe
from .run_files import LOG, RUN_INFO, Change, Log, read_run_info
from .writer import BEST, CURVES, LAST, PAGE

# fields of a recipe that may differ when a run is resumed
DESCRIPTIVE = 'target', 'source'
CHANGEABLE = 'lr', 'patience'


def open_run(folder: Path, net: Net, optimizer: optim.SGD | optim.Adam, recipe: Recipe, seed: int,
             resume: bool, overwrite: bool, data_prints: dict[str, Any],
             log: Log) -> tuple[Progress, dict[str, Any]]:
    """Read the run in a folder, without changing a file. -> its progress, the contents of run.json

    net and optimizer get the state of its last checkpoint.
    data_prints: the fingerprints of the data sets
    overwrite: files that no run has written, and a damaged run.json, count as missing
    """
    for name in RUN_INFO, LOG, LAST, BEST, CURVES, PAGE, EVENTS:
        if (folder / name).is_symlink():
            raise ValueError(f'{printable(folder / name)}: a link to '
                             f'{printable(os.readlink(folder / name))}, which a run would replace; '
                             f'remove it, or choose another folder with --run')
    info = _read_info(folder, overwrite, log)
    # both hold the whole state; a run that is killed early may have only the best one
    found = [path for path in (folder / LAST, folder / BEST)
             if path.exists() and not (overwrite and _is_foreign(path))]
    if found and not resume:
        raise ValueError(f'{printable(folder)} already holds a run: --resume continues it, --run '
                         f'FOLDER chooses another folder')
    if found:
        progress, changes = restore(found[0], net, optimizer, recipe, seed, data_prints, log)
        if found[0].name == BEST:
            log(f'{printable(folder)} has no {LAST}: the run continues from {BEST}, of step '
                f'{progress.step}')
        return progress, dict(info, changes=[*(info.get('changes') or []), *changes])
    if (folder / LOG).exists() and not info and not overwrite:
        raise ValueError(f'{printable(folder / LOG)}: no {RUN_INFO} beside it says that a run of '
                         f'tinyfcn wrote it: choose another folder with --run, or move it away')
    if resume:
        log(f'{printable(folder)}: there is no checkpoint to resume from; the run begins at step 0')
    return Progress(step=0, best=0., best_step=0), info


def _read_info(folder: Path, overwrite: bool, log: Log) -> dict[str, Any]:
    try:
        return read_run_info(folder)
    except ValueError:
        if not overwrite:
            raise
    log(f'{printable(folder / RUN_INFO)} cannot be read and is replaced: the commands of the run '
        f'until now are lost')
    return {}


def _is_foreign(path: Path) -> bool:
    try:
        require_own(path)
    except ValueError:
        return True
    return False


def restore(path: Path, net: Net, optimizer: optim.SGD | optim.Adam, recipe: Recipe, seed: int,
            data_prints: dict[str, Any], log: Log) -> tuple[Progress, list[Change]]:
    """Give net and optimizer the state of a checkpoint, which must be of the same run."""
    saved, state = _read_checkpoint(path)
    changes = _require_same_recipe(path, state, recipe, seed)
    for change in changes:
        log(f'{change.field} is {change.after!r} from step {change.step} on; it was '
            f'{change.before!r}')
    _require_same_data(path, saved.about, data_prints, log)
    _require_same_channels(path, saved.about, net)
    _require_same_arrays(path, saved, net, optimizer, recipe)
    if differences := checkpoint.machine_differences(saved.about):
        log(f'this machine is not the one of the checkpoint ({"; ".join(differences)}): what is '
            f'computed from here on may differ in the last bits')

    for name, array in {**net.params, **net.state}.items():
        array[...] = net.bring(saved.weights[name])
    for kind, values in saved.memory.items():
        for name, value in values.items():
            # Adam's counts of steps are numbers and stay on the host
            optimizer.memory[kind][name] = net.bring(value) if np.ndim(value) else value
    net.about['preprocess'] = saved.about['preprocess']
    # which earlier versions did not note: then its validations are counted from here on
    best_step = state.get('best_step', state['step'])
    return Progress(state['step'], state['best'], best_step), changes


def _read_checkpoint(path: Path) -> tuple[checkpoint.Checkpoint, dict[str, Any]]:
    """-> the checkpoint, the state of its run; an error says from where a run can continue"""
    try:
        return _read_as_saved(path)
    except FormatError as error:
        reason = str(error).removesuffix('; get the file again')
        raise FormatError(f'{reason}. {_damage_advice(path)}') from None


def _read_as_saved(path: Path) -> tuple[checkpoint.Checkpoint, dict[str, Any]]:
    saved = checkpoint.load(path)
    return saved, checkpoint.require_run_state(path, saved.about)


def _damage_advice(path: Path) -> str:
    """What to do if a checkpoint is damaged.

    A run does not continue from the best one unasked: it may be of a much earlier step, and there
    may be a copy of the last one elsewhere.
    """
    best = path.with_name(BEST)
    if path != best and best.exists():
        try:
            _, state = _read_as_saved(best)
        except (OSError, ValueError):
            pass
        else:
            return (f'{BEST} is complete, of step {state["step"]}: move {LAST} away, and --resume '
                    f'continues from there')
    return 'No other checkpoint of this run can be read: start a new run with --run FOLDER'


def _require_same_recipe(path: Path, state: dict[str, Any], recipe: Recipe,
                         seed: int) -> list[Change]:
    """Raise if more than the CHANGEABLE fields differ. -> the changes"""
    before = Recipe.from_saved(state['recipe'], f'the recipe in {printable(path)}')
    differing = differing_fields(before, recipe)
    if recipe.preprocess is None:                       # then it is that of the checkpoint
        differing = [name for name in differing if name != 'preprocess']
    fixed = sorted(set(differing) - set(CHANGEABLE))
    if fixed or state['seed'] != seed:
        settings = ' '.join(shlex.quote(f'{name}={getattr(before, name)!r}') for name in fixed)
        if settings:
            settings = f' (--set {settings})'
        if state['seed'] != seed:
            fixed.append('seed')
        raise ValueError(f'{printable(path)} is of a run that differs in '
                         f'{", ".join(sorted(fixed))}: resume with the same command{settings}, or '
                         f'start a new run with --run FOLDER')
    return [Change(state['step'], name, getattr(before, name), getattr(recipe, name))
            for name in differing]


def differing_fields(a: Recipe, b: Recipe) -> list[str]:
    """The fields in which two recipes differ, of those that training depends on."""
    return [field.name for field in fields(Recipe) if field.name not in DESCRIPTIVE
            and getattr(a, field.name) != getattr(b, field.name)]


def _require_same_data(path: Path, about: dict[str, Any], data_prints: dict[str, Any],
                       log: Log) -> None:
    """Raise if the data set is not that of the checkpoint. Version 0.1 noted only its classes."""
    names = by_output(about.get('classes') or {})
    classes = {output: [*of_output] for output, of_output in names.items()}
    then = about['run'].get('data') or dict(classes=classes)
    for what, before, now in [('training', then, data_prints),
                              ('validation', then.get('valid', {}), data_prints['valid'])]:
        if differences := fingerprint_differences(before, now):
            raise ValueError(f'{printable(path)}: the {what} set is not that of this run: '
                             f'{"; ".join(differences)}. Resume with the same data (--data), or '
                             f'start a new run with --run FOLDER')
        if only_dates_differ(before, now):
            log(f'files of the {what} set have another date than at the last checkpoint, and the '
                f'same size: a copy, or were they changed?')


def _require_same_channels(path: Path, about: dict[str, Any], net: Net) -> None:
    """Raise if channels.txt, or the first image, has other channels than those of the run."""
    before, now = (Channels.from_about(found['channels']) if found.get('channels') else RGB
                   for found in (about, net.about))
    if before != now:
        raise ValueError(f'{printable(path)} is of a run on images of {before}, and these have '
                         f'{now}: resume with the same images and channels.txt, or start a new run '
                         f'with --run FOLDER')


def _require_same_arrays(path: Path, saved: checkpoint.Checkpoint, net: Net,
                         optimizer: optim.SGD | optim.Adam, recipe: Recipe) -> None:
    """Raise unless the arrays of a checkpoint are those of the net and its optimizer."""
    shapes = {name: array.shape for name, array in {**net.params, **net.state}.items()}
    if shapes != {name: array.shape for name, array in saved.weights.items()}:
        raise ValueError(f'{printable(path)} does not hold the weights of {recipe.net}; start a '
                         f'new run with --run FOLDER')
    for kind, values in saved.memory.items():
        for name, value in values.items():
            if kind not in optimizer.memory or name not in net.params or \
                    np.ndim(value) and np.shape(value) != shapes[name]:
                raise ValueError(f'{printable(path)} does not hold the memory of this optimizer: '
                                 f'{printable(kind)} of {printable(name)}; start a new run with '
                                 f'--run FOLDER')
