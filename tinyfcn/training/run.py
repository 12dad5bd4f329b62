"""A run: the folder in which a training keeps everything, and from which it resumes.

    run.json            the commands, the seed, the recipe, the machine, the data set
    metrics.jsonl       a row for each step, and one for each validation
    last.safetensors    the latest checkpoint
    best.safetensors    the checkpoint with the best mean IU so far
    curves.png          the loss and the metrics
    predictions.png     predictions for a few validation images
"""
import shlex
from collections.abc import Generator, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from .. import optim
from ..data.check import find_overlaps
from ..data.dataset import Dataset
from ..data.fingerprint import fingerprint
from ..data.folder import has_split
from ..files import lock_folder, make_folder, printable
from ..net import Net
from ..prediction.tiles import NotFinite
from ..runtime.distributed import world
from .diverged import Diverged
from .early_stopping import Progress, describe_stop, stops_early
from .event_file import EventFile
from .first_weights import build_net
from .loop import StepRow, make_optimizer, train
from .ranks import require_same_data
from .recipes import Recipe
from .requirements import (
    require_apart,
    require_files,
    require_predictable,
    require_readable,
    require_trainable,
)
from .resume import open_run
from .run_files import Log, Row, read_run_info, update_run_info
from .validation import Validation, validate
from .writer import BEST, LAST, RunWriter

__all__ = ['BEST', 'LAST', 'Row', 'build_net', 'read_run_info', 'run']

IN_USE = ('another process is training in this folder; wait until it has ended, or choose another '
          'folder with --run')
HASHED_BYTES = 1 << 26          # of a data set whose fingerprint hashes the contents of its files


def ignore(note: str) -> None:
    """A log that keeps nothing."""


def run(folder: str | Path, net: Net, dataset: Dataset, valid: Dataset, recipe: Recipe,
        seed: int = 0, command: str = '', resume: bool = False,
        data: tuple[str, Path | None] | None = None, log: Log = ignore, overwrite: bool = False,
        tensorboard: bool = False,
        weights: Mapping[str, str | Path] | None = None) -> Generator[Row, None, None]:
    """Train and write into the folder; yields a row after each step and after each validation.

    A row is yielded after it is written to metrics.jsonl. Closing this generator stops the run
    between two steps and saves a checkpoint; a process that is killed leaves the previous one. Of
    several ranks all read the folder, and only rank 0 writes into it. No second process can train
    in the folder meanwhile.

    data: the name of the data set and its folder, to be found in run.json later
    weights: the files that the net started from, as for `build_net`, to be found there too
    log: is called with each sentence that a user should know, for example print
    overwrite: replace files of the same names that no run has written, and a damaged run.json
    tensorboard: write an event file as well, with all rows of metrics.jsonl

    >>> import os, tempfile, tinyfcn
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
        yield from train_without_writing(net, dataset, valid, recipe, optimizer, seed, progress)
        return

    if folder.exists() and not folder.is_dir():
        raise ValueError(f'{printable(folder)}: a file, not a folder; choose another with --run')
    require_apart(folder, dataset, valid)
    existed = folder.exists()
    with lock_folder(make_folder(folder), IN_USE), removed_if_empty(folder, existed):
        data_prints = fingerprints(dataset, valid)
        progress, info = open_run(folder, net, optimizer, recipe, seed, resume, overwrite,
                                  data_prints, log)
        require_trainable(net, dataset, recipe, optimizer)
        _require_data(net, dataset, valid, data, log)
        world().broadcast(progress)
        _log_if_finished(folder, progress, recipe, log)
        update_run_info(folder, info, command, seed, recipe, data, weights)
        writer = RunWriter(folder, net, optimizer, recipe, seed, progress, data_prints, log)
        with closing(writer):
            if tensorboard:
                writer.events = EventFile(folder, writer.history, net.about.get('classes'))
            try:
                yield from train_and_write(writer, dataset, valid)
            except Diverged as error:
                raise Diverged(f'{error}. {writer.describe_checkpoint()}') from None


def _log_if_finished(folder: Path, progress: Progress, recipe: Recipe, log: Log) -> None:
    if progress.step >= recipe.steps:
        log(f'{folder}: this run is finished, all of its {recipe.steps:,} steps are done')
    elif stops_early(progress, recipe):
        log(f'{folder}: this run has {describe_stop(progress, recipe, BEST)}')


@contextmanager
def removed_if_empty(folder: Path, existed: bool) -> Iterator[None]:
    """Remove a folder that did not exist before if an error leaves it empty.

    Inside its lock, so that a process that is refused does not remove the folder of another.
    """
    try:
        yield
    except BaseException:
        if not existed:
            with suppress(OSError):                     # it is not empty
                folder.rmdir()
        raise


def _require_data(net: Net, dataset: Dataset, valid: Dataset,
                  data: tuple[str, Path | None] | None, log: Log) -> None:
    """Raise if a file cannot be read or an image cannot be predicted; log what is odd."""
    require_files(dataset, 'training')
    require_files(valid, 'validation')
    require_predictable(net, valid)
    for which, part in ('training', dataset), ('validation', valid):
        try:
            require_readable(part, which, log)
        except ValueError as error:
            remedy = f'; {check_command(*data, which)} lists all that is wrong' if data else ''
            raise ValueError(f'{error}{remedy}') from None
    for overlap in find_overlaps(dict(train=dataset, val=valid)):
        log(overlap)


def check_command(name: str, root: Path | None, which: str) -> str:
    """`tinyfcn check my`, for the name of a data set and its folder."""
    is_own = name == 'folder' and root is not None
    words = [str(root)] if is_own else [name, *(['--data', str(root)] if root else [])]
    with suppress(OSError, ValueError):                 # a folder that is given by --images, too
        if which == 'validation' and (root is None or not is_own or has_split(root, 'val')):
            words += ['--split', 'val']                 # else it is a part of the training set
    return f'`tinyfcn check {printable(shlex.join(words), limit=None)}`'


def train_and_write(writer: RunWriter, dataset: Dataset,
                    valid: Dataset) -> Generator[Row, None, None]:
    """Train from the step that the writer has reached. Closing the generator saves a checkpoint."""
    net, recipe = writer.net, writer.recipe
    if stops_early(writer.progress, recipe):
        return
    if recipe.rare_classes:
        writer.say('reading all masks once, to see which image has which classes')
    step_rows = train(net, dataset, recipe, writer.optimizer, writer.seed, writer.step)
    with closing(step_rows):
        try:
            for step_row in step_rows:
                writer.progress = writer.progress._replace(step=step_row['step'])
                validation = None
                if is_validation_step(writer.step, recipe):
                    writer.require_finite()             # predictions of such a net are meaningless
                    validation = _validate_or_save(writer, valid)
                yield from writer.write(without_names(step_row), validation, valid)
                if stops_early(writer.progress, recipe):
                    writer.say(describe_stop(writer.progress, recipe, BEST))
                    return
        except GeneratorExit:
            with writer.name_disk_errors():
                writer.save_checkpoint('last')
            raise


def _validate_or_save(writer: RunWriter, valid: Dataset) -> Validation:
    """Validate; if an image cannot be read, the steps until here are not lost."""
    try:
        return _validate(writer.net, valid)
    except Diverged:
        raise
    except (OSError, ValueError) as error:
        with writer.name_disk_errors():
            writer.save_checkpoint('last')
        folder = printable(writer.folder)
        raise ValueError(f'{error}. The weights of step {writer.step} are saved in {LAST}: '
                         f'--resume continues from there if the file is again what it was; if it '
                         f'is another, --weights {folder} --run FOLDER starts from them') from None


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
                          progress: Progress) -> Generator[Row, None, None]:
    """What `run` does on all ranks but the first: the same steps and validations."""
    if stops_early(progress, recipe):
        return
    for step_row in train(net, dataset, recipe, optimizer, seed, progress.step):
        step = step_row['step']
        yield dict(without_names(step_row), seconds=0.)
        if is_validation_step(step, recipe):
            row = _validate(net, valid).row
            yield dict(step=step, seconds=0., **row)
            progress = progress.after_validation(step, row['mean_iu'])
            if stops_early(progress, recipe):
                return


def without_names(row: StepRow) -> Row:
    """The row for metrics.jsonl, without the names of images: the recipe and the seed give them."""
    return {key: value for key, value in row.items() if key != 'names'}


def is_validation_step(step: int, recipe: Recipe) -> bool:
    """Whether the net is validated after this step."""
    return step % recipe.validate_every == 0 or step == recipe.steps


def fingerprints(dataset: Dataset, valid: Dataset) -> dict[str, Any]:
    """The fingerprint of the training set, in which `valid` is that of the validation set."""
    def of(part: Dataset) -> dict[str, Any]:
        found = fingerprint(part)
        if 0 < found['bytes'] <= HASHED_BYTES:          # read in a moment
            found = fingerprint(part, contents=True)
        return found

    return dict(of(dataset), valid=of(valid))
