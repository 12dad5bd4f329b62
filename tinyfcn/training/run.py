"""A run: the folder in which a training keeps everything, and from which it resumes.

    run.json            the commands, the seed, the recipe, the machine, the data set
    metrics.jsonl       a row for each step, and one for each validation
    last.safetensors    the latest checkpoint
    best.safetensors    the checkpoint with the best mean IU so far
    curves.png          the loss and the metrics
    predictions.png     predictions for a few validation images
"""
import os
import shlex
from collections.abc import Generator, Mapping
from contextlib import closing
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from .. import optim, weights
from ..data.dataset import Dataset
from ..data.fingerprint import fingerprint, fingerprint_differences, only_dates_differ
from ..data.labels import by_output
from ..files import lock_folder, make_folder, printable
from ..models import build
from ..net import Net
from ..prediction.tiles import NotFinite
from ..runtime.distributed import world
from . import checkpoint
from .diverged import Diverged
from .loop import StepRow, make_optimizer, train
from .ranks import require_same_data
from .recipes import Recipe
from .requirements import require_trainable
from .run_files import LOG, RUN_INFO, Change, Log, Row, read_run_info, update_run_info
from .validation import Validation, validate
from .writer import BEST, CURVES, LAST, PAGE, Progress, RunWriter

__all__ = ['BEST', 'LAST', 'Row', 'build_net', 'read_run_info', 'run']

Classes: TypeAlias = 'tuple[str, ...] | dict[str, tuple[str, ...]]'

IN_USE = ('another process is training in this folder; wait until it has ended, or choose another '
          'folder with --run')
# what may differ between the command that began a run and the one that resumes it
DESCRIPTIVE = 'target', 'source'
CHANGEABLE = 'lr',
HASHED_BYTES = 1 << 26          # of a data set whose fingerprint hashes the contents of its files


def ignore(note: str) -> None:
    """A log that keeps nothing."""


# ---- the net -------------------------------------------------------------------------------------

def build_net(recipe: Recipe, classes: Classes, seed: int = 0,
              files: Mapping[str, str | Path] | None = None) -> Net:
    """The net of a recipe, with its first weights.

    files: {'': file} of weights whose names are those of the net's boxes. For a net with several
    branches, {suffix: file}: with {'color': file} the weights of conv1_1 go to conv1_1color.

    >>> recipe = Recipe(net='tiny_8s', lr=.1, steps=10, net_kwargs=dict(width=1/8))
    >>> build_net(recipe, ('sky', 'tree'))
    <Net of 36 boxes, 4,256 parameters>
    """
    if recipe.net is None:
        raise ValueError('net is None; the recipe needs the name of a net, such as fcn8s')
    class_names, *_ = by_output(classes).values()       # of the first output
    try:
        net = build(recipe.net, len(class_names), seed=seed, **recipe.net_kwargs)
    except TypeError as error:                          # an argument that the net does not have
        raise ValueError(f'net_kwargs is {recipe.net_kwargs}, which {recipe.net} does not take: '
                         f'{error}') from None
    net.about.update(classes=classes, preprocess=recipe.preprocess)
    for suffix, file in (files or {}).items():
        arrays, about = weights.read(file)
        renamed = {}
        for name, array in arrays.items():
            box, _, weight = name.rpartition('.')
            renamed[f'{box}{suffix}.{weight}'] = array
        weights.transplant(net, renamed)
        net.about['preprocess'] = resolve_preprocess(net.about['preprocess'],
                                                     about.get('preprocess'), file, suffix)
    return net


def resolve_preprocess(known: dict[str, Any] | None, of_file: dict[str, Any] | None,
                       file: str | Path, suffix: str = '') -> dict[str, Any] | None:
    """How images are preprocessed, when it is known and a file of weights says it, too.

    known: from the recipe, or from the file of another branch
    Order and scale must agree: weights for BGR images give bad scores for RGB images, and no error.
    A branch (suffix) may read channels beyond the first three, which no order reverses. Means may
    be rounded differently, and a net of several branches has one for all its channels.
    """
    if known and of_file:
        for key in ('scale',) if suffix else ('order', 'scale'):
            if known[key] != of_file[key]:
                raise ValueError(f'{file} was trained on images of {key} {of_file[key]!r}, and '
                                 f'the recipe preprocesses them with {known[key]!r}: change '
                                 f'its preprocess')
    return known or of_file


# ---- the run -------------------------------------------------------------------------------------

def run(folder: str | Path, net: Net, dataset: Dataset, valid: Dataset, recipe: Recipe,
        seed: int = 0, command: str = '', resume: bool = False,
        data: tuple[str, Path | None] | None = None, log: Log = ignore,
        ) -> Generator[Row, None, None]:
    """Train and write into the folder; yields a row after each step and after each validation.

    A row is yielded after it is written to metrics.jsonl. Closing this generator stops the run
    between two steps and saves a checkpoint. A process that is killed leaves the previous
    checkpoint, from which the run resumes just as well. Of several ranks all read the folder, and
    only rank 0 writes into it. No second process can train in the folder meanwhile.

    data: the name of the data set and its folder, to be found in run.json later
    log: is called with each sentence that a user should know, for example print

    >>> import tempfile, tinyfcn
    >>> valid = tinyfcn.data.load_dataset('shapes', split='val', size=(32, 48)).subset('012')
    >>> recipe = tinyfcn.training.get_recipe('shapes-8s', steps=4, validate_every=2)
    >>> net = build_net(recipe, valid.classes)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     rows = run(folder, net, valid, valid, recipe)
    ...     steps = [row['step'] for row in rows]       # trains
    ...     files = sorted(os.listdir(folder))
    >>> steps
    [1, 2, 2, 3, 4, 4]
    >>> files[-2:]
    ['predictions.png', 'run.json']
    """
    folder = Path(folder)
    optimizer = make_optimizer(recipe)
    require_same_data(dataset, valid)
    if world().rank:
        progress = world().broadcast(None)
        yield from train_without_writing(net, dataset, valid, recipe, optimizer, seed,
                                         progress.step)
        return

    if folder.exists() and not folder.is_dir():
        raise ValueError(f'{printable(folder)}: a file, not a folder; choose another with --run')
    with lock_folder(make_folder(folder), IN_USE):
        marks = fingerprints(dataset, valid)
        progress, changes = open_run(folder, net, optimizer, recipe, seed, resume, marks, log)
        require_trainable(net, dataset, recipe, optimizer)
        world().broadcast(progress)
        if progress.step >= recipe.steps:
            log(f'{folder}: this run is finished, all of its {recipe.steps:,} steps are done')
        update_run_info(folder, command, seed, recipe, data, changes)
        writer = RunWriter(folder, net, optimizer, recipe, seed, progress, marks, log)
        with closing(writer):
            try:
                yield from train_and_write(writer, dataset, valid)
            except Diverged as error:
                raise Diverged(f'{error}. {writer.describe_checkpoint()}') from None


def train_and_write(writer: RunWriter, dataset: Dataset,
                    valid: Dataset) -> Generator[Row, None, None]:
    """Train from the step that the writer has reached. Closing the generator saves a checkpoint."""
    net, recipe = writer.net, writer.recipe
    step_rows = train(net, dataset, recipe, writer.optimizer, writer.seed, writer.step)
    with closing(step_rows):
        try:
            for step_row in step_rows:
                writer.step = step_row['step']
                validation = None
                if is_validation_step(writer.step, recipe):
                    writer.require_finite()             # predictions of such a net are meaningless
                    validation = _validate(net, valid)
                yield from writer.write(without_names(step_row), validation, valid)
        except GeneratorExit:
            with writer.name_disk_errors():
                writer.save_checkpoint('last')
            raise


def _validate(net: Net, valid: Dataset) -> Validation:
    try:
        with np.errstate(all='ignore'):
            return validate(net, valid)
    except NotFinite as error:
        score, _, _ = str(error).partition(', which')
        raise Diverged(f'the weights are finite, and so large that a score is not: {score}') \
            from None


def train_without_writing(net: Net, dataset: Dataset, valid: Dataset, recipe: Recipe,
                          optimizer: optim.SGD | optim.Adam, seed: int,
                          first_step: int) -> Generator[Row, None, None]:
    """What `run` does on all ranks but the first: the same steps and validations."""
    for step_row in train(net, dataset, recipe, optimizer, seed, first_step):
        yield dict(without_names(step_row), seconds=0.)
        if is_validation_step(step_row['step'], recipe):
            yield dict(step=step_row['step'], seconds=0., **_validate(net, valid).row)


def without_names(row: StepRow) -> Row:
    """The row for metrics.jsonl, without the names of images: the recipe and the seed give them."""
    return {key: value for key, value in row.items() if key != 'names'}


def is_validation_step(step: int, recipe: Recipe) -> bool:
    """Whether the net is validated after so many steps."""
    return step % recipe.validate_every == 0 or step == recipe.steps


def fingerprints(dataset: Dataset, valid: Dataset) -> dict[str, Any]:
    """The fingerprint of the training set, in which `valid` is that of the validation set."""
    def of(part: Dataset) -> dict[str, Any]:
        found = fingerprint(part)
        if 0 < found['bytes'] <= HASHED_BYTES:          # read in a moment
            found = fingerprint(part, contents=True)
        return found

    return dict(of(dataset), valid=of(valid))


# ---- resuming ------------------------------------------------------------------------------------

def open_run(folder: Path, net: Net, optimizer: optim.SGD | optim.Adam, recipe: Recipe, seed: int,
             resume: bool, marks: dict[str, Any], log: Log) -> tuple[Progress, list[Change]]:
    """Read what a folder holds, and change none of it. -> how far its run is, what is changed

    net and optimizer get the state of its last checkpoint. marks: the fingerprints of the data
    """
    for name in RUN_INFO, LOG, LAST, BEST, CURVES, PAGE:
        if (folder / name).is_symlink():
            raise ValueError(f'{printable(folder / name)}: a link to '
                             f'{printable(os.readlink(folder / name))}, which a run would replace; '
                             f'remove it, or choose another folder with --run')
    info = read_run_info(folder)
    # both hold the whole state. A kill between the two leaves the best one alone
    found = [folder / name for name in (LAST, BEST) if (folder / name).exists()]
    if found and not resume:
        raise ValueError(f'{printable(folder)} already holds a run: --resume continues it, --run '
                         f'FOLDER chooses another folder')
    if found:
        progress, changes = restore(found[0], net, optimizer, recipe, seed, marks, log)
        if found[0].name == BEST:
            log(f'{printable(folder)} has no {LAST}: the run goes on from {BEST}, of step '
                f'{progress.step}')
        return progress, changes
    if (folder / LOG).exists() and not info:
        raise ValueError(f'{printable(folder / LOG)}: no {RUN_INFO} beside it says that a run of '
                         f'tinyfcn wrote it: choose another folder with --run, or move it away')
    if resume:
        log(f'{printable(folder)}: there is no checkpoint to resume from; the run begins at step 0')
    return Progress(step=0, best=0.), []


def restore(path: Path, net: Net, optimizer: optim.SGD | optim.Adam, recipe: Recipe, seed: int,
            marks: dict[str, Any], log: Log) -> tuple[Progress, list[Change]]:
    """Bring net and optimizer into the state of a checkpoint; the run must be the same."""
    saved = checkpoint.load(path)
    state = checkpoint.require_run_state(path, saved.about)
    changes = _require_same_recipe(path, state, recipe, seed)
    for change in changes:
        log(f'{change.field} is {change.after!r} from step {change.step} on; it was '
            f'{change.before!r}')
    _require_same_data(path, saved.about, marks, log)
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
    return Progress(state['step'], state['best']), changes


def _require_same_recipe(path: Path, state: dict[str, Any], recipe: Recipe,
                         seed: int) -> list[Change]:
    """Raise unless only fields differ that may be changed on the way. -> those"""
    before = Recipe.from_saved(state['recipe'], f'the recipe in {printable(path)}')
    differing = differing_fields(before, recipe)
    fixed = sorted(set(differing) - set(CHANGEABLE))
    if fixed or state['seed'] != seed:
        settings = ' '.join(shlex.quote(f'{name}={getattr(before, name)!r}') for name in fixed)
        if settings:
            settings = f' (--set {settings})'
        if state['seed'] != seed:
            fixed.append('seed')
        raise ValueError(f'{printable(path)} is of a run with another {", ".join(sorted(fixed))}: '
                         f'resume with the same command{settings}, or start a new run with --run '
                         f'FOLDER')
    return [Change(state['step'], name, getattr(before, name), getattr(recipe, name))
            for name in differing]


def differing_fields(a: Recipe, b: Recipe) -> list[str]:
    """The fields in which two recipes differ, of those that training depends on."""
    return [field.name for field in fields(Recipe) if field.name not in DESCRIPTIVE
            and getattr(a, field.name) != getattr(b, field.name)]


def _require_same_data(path: Path, about: dict[str, Any], marks: dict[str, Any],
                       log: Log) -> None:
    """Raise if the data set is not that of the checkpoint. Version 0.1 noted only its classes."""
    names = by_output(about.get('classes') or {})
    classes = {output: [*of_output] for output, of_output in names.items()}
    then = about['run'].get('data') or dict(classes=classes)
    for what, before, now in [('training', then, marks),
                              ('validation', then.get('valid', {}), marks['valid'])]:
        if differences := fingerprint_differences(before, now):
            raise ValueError(f'{printable(path)}: the {what} set is not that of this run: '
                             f'{"; ".join(differences)}. Resume with the same data (--data), or '
                             f'start a new run with --run FOLDER')
        if only_dates_differ(before, now):
            log(f'files of the {what} set have another date than at the last checkpoint, and the '
                f'same size: a copy, or were they changed?')


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
