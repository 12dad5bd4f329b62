"""What a run writes while it trains: rows, checkpoints, curves and a page of predictions.

A power cut may come at any moment. What a checkpoint counts on is on the disk before it: rows are
flushed to the disk before the checkpoint that says how many steps are done, the bytes of a file
before its name, and the name of a folder before the files in it.
"""
import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter
from typing import Any

from .. import optim, viz
from ..data.dataset import Dataset
from ..net import Net
from . import checkpoint
from .diverged import require_finite
from .early_stopping import Progress
from .event_file import EventFile
from .recipes import Recipe
from .run_files import LOG, Log, Row, as_line, truncate_log
from .validation import Validation, draw_examples

LAST = 'last.safetensors'
BEST = 'best.safetensors'
CURVES = 'curves.png'
PAGE = 'predictions.png'
CHECKPOINT_SECONDS = 600        # between two checkpoints, where validations are rarer
SAFE_LR = .01                   # which an error proposes at most
# of a write, where a limit is reached: of the disk, of the file, or of the user's share of the disk
NO_SPACE = {errno.ENOSPC, errno.EFBIG, getattr(errno, 'EDQUOT', errno.ENOSPC)}


class RunWriter:
    """Writes the rows, the checkpoints and the pictures of one run into its folder."""

    def __init__(self, folder: Path, net: Net, optimizer: optim.SGD | optim.Adam, recipe: Recipe,
                 seed: int, progress: Progress, data: dict[str, Any], log: Log) -> None:
        self.folder = folder
        self.net = net
        self.optimizer = optimizer
        self.recipe = recipe
        self.seed = seed
        self.data = data                                # the fingerprint
        self.say = log
        self.progress = progress
        # the step of last.safetensors; None before there is one
        self.saved_step = progress.step if progress.step and (folder / LAST).exists() else None
        self.history = truncate_log(folder / LOG, progress.step, log)
        self.log = _open_to_append(folder / LOG)
        self.events: EventFile | None = None            # of TensorBoard
        self.start_time = perf_counter()
        self.checkpoint_time = self.start_time

    @property
    def step(self) -> int:
        """The steps that are done."""
        return self.progress.step

    def write(self, step_row: Row, validation: Validation | None, valid: Dataset) -> list[Row]:
        """Log a step, and the validation after it; save what is due. -> the rows, as written

        Rows are written before the checkpoint: resuming from the one before drops them again.
        """
        rows = [step_row]
        if validation is not None:
            rows.append(dict(step=self.step, **validation.row))
        seconds = round(perf_counter() - self.start_time, 3)
        rows = [dict(row, seconds=seconds) for row in rows]
        with self.name_disk_errors():
            for row in rows:
                _write_all(self.log, as_line(row))
            if self.events:
                self.events.write(rows)
            self.history += rows
            is_due = perf_counter() - self.checkpoint_time > CHECKPOINT_SECONDS
            if validation is not None:
                self._save_if_best(validation.row['mean_iu'])
            if validation is not None or is_due:
                self.save_checkpoint('last')
                self.checkpoint_time = perf_counter()
            if validation is not None:
                viz.draw_curves(self.folder / CURVES, self.history)
                draw_examples(self.folder / PAGE, validation.examples, valid)
        return rows

    def _save_if_best(self, mean_iu: float | None) -> None:
        if mean_iu is None:
            self.say(f'step {self.step}: all pixels of the validation images are void, so no '
                     f'{BEST} is written')
        before = self.progress
        self.progress = before.after_validation(before.step, mean_iu)
        if self.progress.best_step > before.best_step:
            self.save_checkpoint('best')

    def save_checkpoint(self, name: str) -> None:
        """Write the whole state into NAME.safetensors, if all of it is finite."""
        os.fsync(self.log)
        run_state = dict(self.progress._asdict(), recipe=self.recipe.to_dict(), seed=self.seed,
                         data=self.data)
        about = dict(self.net.about, seed=self.net.seed, frozen=sorted(self.net.frozen),
                     run=run_state)
        arrays = {**self.net.params, **self.net.state}
        checkpoint.save(self.folder / f'{name}.safetensors', arrays, self.optimizer.memory, about)
        if name == 'last':
            self.saved_step = self.step

    def require_finite(self) -> None:
        """Raise Diverged if weights, running statistics or the optimizer's memory are not finite.

        A gradient that was not finite has made the memory of the optimizer so.
        """
        memory = checkpoint.memory_arrays(self.optimizer.memory)
        require_finite({**self.net.params, **self.net.state, **memory})

    def describe_checkpoint(self) -> str:
        """Which checkpoint there is, and how to continue from it with a smaller learning rate."""
        lower = f'--set lr={min(self.recipe.lr / 10, SAFE_LR):g}'
        if self.saved_step is None:
            return (f'There is no checkpoint yet, and none was written at step {self.step}: the '
                    f'same command with {lower} starts again')
        return (f'Nothing was saved at step {self.step}; {self.folder / LAST} is of step '
                f'{self.saved_step} and finite: --resume {lower} continues from there')

    @contextmanager
    def name_disk_errors(self) -> Iterator[None]:
        """Inside, an error of the disk says what is still there and what to do."""
        try:
            yield
        except OSError as error:
            if error.errno in NO_SPACE:
                remedy = 'free disk space'
            else:
                remedy = 'see that the folder can be written again'
            if any((self.folder / name).exists() for name in (LAST, BEST)):
                remedy = f'The previous checkpoint is unchanged: {remedy}, then --resume'
            else:
                remedy = f'There is no checkpoint yet: {remedy}, then start again'
            reason = f'{error.filename or self.folder / LOG}: {error.strerror or error}'
            raise OSError(f'{reason}, at step {self.step}. {remedy}') from None

    def close(self) -> None:
        os.close(self.log)


def _open_to_append(path: Path) -> int:
    """A file that truncate_log has written; a link that was put in its place is not followed."""
    flags = os.O_WRONLY | os.O_APPEND
    for name in 'O_NOFOLLOW', 'O_CLOEXEC', 'O_BINARY':
        flags |= getattr(os, name, 0)
    return os.open(path, flags)


def _write_all(file: int, data: bytes) -> None:
    """Write without a buffer: a later error would find a part of the row in it."""
    while data:
        data = data[os.write(file, data):]
