"""A run: the folder into which a training writes, and from which it resumes.

    run.json            the commands, the seed, the recipe, the machine
    metrics.jsonl       a line for each step, and one for each validation
    last.safetensors    the latest checkpoint
    best.safetensors    the checkpoint with the best mean IU so far
    curves.png          the loss and the metrics
    predictions.png     predictions for a few validation images
"""
import json
from collections.abc import Generator, Mapping
from contextlib import closing
from dataclasses import fields
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from .. import metrics, optim, viz, weights
from ..data.dataset import Dataset
from ..data.labels import Array, Label, by_output
from ..files import open_atomic
from ..models import build
from ..net import Net
from ..prediction.predict import add_confusion, predict_all, total_confusion
from ..runtime.distributed import world
from ..runtime.machine import machine_info
from . import checkpoint
from .loop import StepRow, make_optimizer, train
from .recipes import Recipe

PAGE_IMAGES = 4                 # in predictions.png
CHECKPOINT_SECONDS = 600        # between two checkpoints, where validations are rarer

# a line of metrics.jsonl
Row: TypeAlias = dict[str, Any]
Classes: TypeAlias = 'tuple[str, ...] | dict[str, tuple[str, ...]]'


class Progress(NamedTuple):
    """How far a run is."""
    step: int                   # steps that are done
    best: float                 # the best mean IU so far


# ---- the net -------------------------------------------------------------------------------------

def build_net(recipe: Recipe, classes: Classes, seed: int = 0,
              files: Mapping[str, str | Path] | None = None) -> Net:
    """The net of a recipe, with the weights of {'': file}, or {suffix: file} for its branches."""
    if recipe.net is None:
        raise ValueError('net is None; the recipe needs the name of a net, such as fcn8s')
    n_class = len(next(iter(by_output(classes).values())))
    net = build(recipe.net, n_class, seed=seed, **recipe.net_kwargs)
    net.about.update(classes=classes, preprocess=recipe.preprocess)
    for suffix, file in (files or {}).items():
        arrays, about = weights.read(file)
        renamed = {}
        for name, array in arrays.items():
            box, _, weight = name.rpartition('.')
            renamed[f'{box}{suffix}.{weight}'] = array
        weights.transplant(net, renamed)
        net.about['preprocess'] = resolve_preprocess(recipe.preprocess, about.get('preprocess'),
                                                     file)
    return net


def resolve_preprocess(of_recipe: dict[str, Any] | None, of_file: dict[str, Any] | None,
                       file: str | Path) -> dict[str, Any] | None:
    """How images are preprocessed, when recipe and weights both say; they must agree.

    Weights for BGR images give bad scores for RGB images, and no error.
    """
    if of_recipe and of_file:
        for key in 'order', 'scale':
            if of_recipe[key] != of_file[key]:
                raise ValueError(f'{file} was trained on images of {key} {of_file[key]!r}, and '
                                 f'the recipe preprocesses them with {of_recipe[key]!r}: change '
                                 f'its preprocess')
    return of_recipe or of_file


# ---- the run -------------------------------------------------------------------------------------

def run(folder: str | Path, net: Net, dataset: Dataset, valid: Dataset, recipe: Recipe,
        seed: int = 0, command: str = '', resume: bool = False) -> Generator[Row, None, None]:
    """Train and write into the folder; yields a row after each step and after each validation.

    A row is yielded after it is written to metrics.jsonl. Closing this generator stops the run
    between two steps and saves a checkpoint. A process that is killed leaves the previous
    checkpoint, from which the run resumes just as well. Of several ranks all read the folder, and
    only rank 0 writes into it.

    recipe = get_recipe('shapes-8s', init_from=None)
    rows = run('runs/mine', build_net(recipe, dataset.classes), dataset, valid, recipe)
    for row in rows:
        if enough(row):
            rows.close()
    """
    folder = Path(folder)
    optimizer = make_optimizer(recipe)
    progress = Progress(step=0, best=0.)
    if (folder / 'last.safetensors').exists():
        if not resume:
            raise ValueError(f'{folder} already holds a run: --resume continues it, --run FOLDER '
                             f'chooses another folder')
        progress = restore(folder / 'last.safetensors', net, optimizer, recipe, seed)
    progress = world().broadcast(progress)
    if world().rank:
        yield from train_without_writing(net, dataset, valid, recipe, optimizer, seed,
                                         progress.step)
        return

    folder.mkdir(parents=True, exist_ok=True)
    append_run_info(folder / 'run.json', command, seed, recipe)
    writer = RunWriter(folder, net, optimizer, recipe, seed, progress)
    step_rows = train(net, dataset, recipe, optimizer, seed, progress.step)
    with closing(step_rows), closing(writer):
        try:
            for step_row in step_rows:
                writer.step = step_row['step']
                rows = [_without_names(step_row)]
                if is_validation_step(writer.step, recipe):
                    rows.append(dict(step=writer.step, **validate(net, valid, folder)))
                writer.write(rows)
                yield from rows
        except GeneratorExit:
            writer.save_checkpoint('last')
            raise
        except OSError as error:
            raise OSError(f'{error}, at step {writer.step}. The previous checkpoint is unchanged: '
                          f'make room, then --resume') from None


class RunWriter:
    """Writes the rows, the checkpoints and the curves of one run."""

    def __init__(self, folder: Path, net: Net, optimizer: optim.SGD | optim.Adam, recipe: Recipe,
                 seed: int, progress: Progress) -> None:
        self.folder = folder
        self.net = net
        self.optimizer = optimizer
        self.recipe = recipe
        self.seed = seed
        self.step = progress.step
        self.best = progress.best
        self.history = truncate_log(folder / 'metrics.jsonl', progress.step)
        self.log = open(folder / 'metrics.jsonl', 'a', encoding='utf-8')
        self.start_time = perf_counter()
        self.checkpoint_time = self.start_time

    def write(self, rows: list[Row]) -> None:
        """Log the row of a step, and that of a validation after it; save what is due.

        Rows are written before the checkpoint: resuming from the one before drops them again.
        """
        for row in rows:
            row['seconds'] = round(perf_counter() - self.start_time, 3)
            self.log.write(json.dumps(row) + '\n')
        self.log.flush()
        self.history += rows
        is_validated = len(rows) > 1
        if is_validated:
            mean_iu = rows[-1]['mean_iu'] or 0.         # None where every label is void
            if mean_iu > self.best:
                self.best = mean_iu
                self.save_checkpoint('best')
            viz.draw_curves(self.folder / 'curves.png', self.history)
        if is_validated or perf_counter() - self.checkpoint_time > CHECKPOINT_SECONDS:
            self.save_checkpoint('last')
            self.checkpoint_time = perf_counter()

    def save_checkpoint(self, name: str) -> None:
        """Write the whole state into NAME.safetensors."""
        run_state = dict(step=self.step, best=self.best, recipe=self.recipe.to_dict(),
                         seed=self.seed)
        about = dict(self.net.about, seed=self.net.seed, frozen=sorted(self.net.frozen),
                     run=run_state)
        checkpoint.save(self.folder / f'{name}.safetensors',
                        {**self.net.params, **self.net.state}, self.optimizer.memory, about)

    def close(self) -> None:
        self.log.close()


def _without_names(row: StepRow) -> Row:
    return {key: value for key, value in row.items() if key != 'names'}


def is_validation_step(step: int, recipe: Recipe) -> bool:
    return step % recipe.validate_every == 0 or step == recipe.steps


def train_without_writing(net: Net, dataset: Dataset, valid: Dataset, recipe: Recipe,
                          optimizer: optim.SGD | optim.Adam, seed: int,
                          step: int) -> Generator[Row, None, None]:
    """What `run` does on all ranks but the first: the same steps and validations."""
    for step_row in train(net, dataset, recipe, optimizer, seed, step):
        yield dict(step_row, seconds=0.)
        if is_validation_step(step_row['step'], recipe):
            yield dict(step=step_row['step'], seconds=0., **validate(net, valid))


# ---- resuming ------------------------------------------------------------------------------------

def restore(path: str | Path, net: Net, optimizer: optim.SGD | optim.Adam,
            recipe: Recipe, seed: int) -> Progress:
    """Bring net and optimizer into the state of a checkpoint; the run must be the same."""
    saved = checkpoint.load(path)
    then = saved.about['run']
    other = differing_fields(Recipe.from_dict(then['recipe'], f'the recipe in {path}'), recipe)
    if then['seed'] != seed:
        other.append('seed')
    if other:
        raise ValueError(f'{path} is of a run with another {", ".join(sorted(other))}: resume '
                         f'with the same command, or start a new run with --run FOLDER')

    own = {**net.params, **net.state}
    own_shapes = {name: array.shape for name, array in own.items()}
    if own_shapes != {name: array.shape for name, array in saved.weights.items()}:
        raise ValueError(f'{path} does not hold the weights of {recipe.net}; start a new run with '
                         f'--run FOLDER')
    for name, array in own.items():
        array[...] = net.bring(saved.weights[name])
    for kind, values in saved.memory.items():
        for name, value in values.items():
            optimizer.memory[kind][name] = net.bring(value) if np.ndim(value) else value
    net.about['preprocess'] = saved.about['preprocess']
    return Progress(then['step'], then['best'])


def differing_fields(a: Recipe, b: Recipe) -> list[str]:
    """The fields in which two recipes differ, of those that training depends on."""
    return [field.name for field in fields(Recipe) if field.name not in ('target', 'source')
            and getattr(a, field.name) != getattr(b, field.name)]


def truncate_log(path: Path, step: int) -> list[Row]:
    """Cut metrics.jsonl after the rows of `step`, for later steps are computed again. -> the rows
    """
    rows: list[Row] = []
    for line in path.read_text('utf-8').splitlines() if path.exists() else []:
        try:
            rows.append(json.loads(line))
        except ValueError:                              # a kill cut the last line
            break
    rows = [row for row in rows if row['step'] <= step]
    with open_atomic(path) as file:
        file.write(''.join(json.dumps(row) + '\n' for row in rows).encode())
    return rows


def append_run_info(path: Path, command: str, seed: int, recipe: Recipe) -> None:
    """Add a command to run.json; seed, recipe and machine stand there once."""
    try:
        commands = json.loads(path.read_text('utf-8'))['commands']
    except (OSError, ValueError, KeyError):             # missing or damaged: start a new list
        commands = []
    info = dict(commands=[*commands, command], seed=seed, recipe=recipe.to_dict(),
                machine=machine_info())
    with open_atomic(path) as file:
        file.write(json.dumps(info, indent=1, ensure_ascii=False).encode())


# ---- validation ----------------------------------------------------------------------------------

def validate(net: Net, valid: Dataset, folder: Path | None = None) -> Row:
    """The metrics on all images of `valid`, and predictions.png in the folder. -> dict for JSON

    Of a net with several outputs the metrics of the others stand under their names.
    """
    hists: dict[str, Any] = {}
    shown: list[tuple[str, Array, Label, Label]] = []
    for name, image, label, pred in predict_all(net, valid):
        add_confusion(hists, valid, label, pred)
        if len(shown) < PAGE_IMAGES:
            shown.append((name, image, label, pred))
    totals = total_confusion(hists, valid)
    by_head = {head: json_scores(metrics.scores(hist)) for head, hist in totals.items()}
    first, *others = by_head
    if folder:
        page = [(name, image[..., :3], by_output(label)[first], by_output(pred)[first])
                for name, image, label, pred in shown]
        viz.draw_page(folder / 'predictions.png', page, by_output(valid.classes)[first],
                      ['prediction'])
    return by_head[first] | {head: by_head[head] for head in others}


def json_scores(scores: Mapping[str, Any]) -> Row:
    """Scores with None in place of nan, which JSON does not have."""
    def number(x: float) -> float | None:
        return None if np.isnan(x) else float(x)

    return {key: [number(x) for x in value] if key == 'iu' else number(value)
            for key, value in scores.items()}
