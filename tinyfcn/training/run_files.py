"""run.json and metrics.jsonl: written, and read again with every value checked.

    run.json            the commands, the seed, the recipe, the machine, the data set
    metrics.jsonl       a row for each step, and one for each validation
"""
import json
import os
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from math import isfinite
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

from ..files import open_atomic, open_regular, printable, read_text
from ..runtime.machine import machine_info
from .recipes import Recipe

RUN_INFO = 'run.json'
LOG = 'metrics.jsonl'
MAX_LINE = 1 << 20              # bytes of a row; one of 255 classes has 6,000
SCORES = 'pixel_acc', 'mean_acc', 'mean_iu', 'fw_iu'

# A row of metrics.jsonl: {'step': 8, 'loss': …, 'lr': …, 'seconds': …} of a step, and
# {'step': 8, 'mean_iu': …, 'iu': […], …, 'seconds': …} of a validation
Row: TypeAlias = dict[str, Any]
# gets what a user should know of a run: one sentence each
Log: TypeAlias = Callable[[str], object]


class Change(NamedTuple):
    """A field of the recipe that is another one from a step on."""
    step: int
    field: str
    before: Any
    after: Any


# ---- run.json ------------------------------------------------------------------------------------

def read_run_info(folder: str | Path) -> dict[str, Any]:
    """The content of a run's run.json, as a run writes it; {} if there is none.

    commands: of the user, one for each start. seed, recipe, machine: of the run.
    data: {'name': of the data set, 'folder': where it was, or None}; missing if not known.
    weights: {suffix of a branch: the file that its weights came from}; missing if there was none.
    changes: [[step, field, before, after], …]: changes of the recipe on the way.
    """
    path = Path(folder) / RUN_INFO
    if not os.path.lexists(path):
        return {}
    try:
        info = json.loads(read_text(path))
    except (ValueError, RecursionError) as error:
        raise _not_a_run(path, printable(error)) from None
    if not isinstance(info, dict):
        raise _not_a_run(path, 'it is no dict')
    for key, accepts in INFO_KEYS.items():
        if not accepts(info.get(key)):
            raise _not_a_run(path, f'its {key} is {printable(repr(info.get(key)), limit=60)}')
    return info


def _not_a_run(path: Path, reason: str) -> ValueError:
    return ValueError(f'{printable(path)}: not the run.json of a run ({reason}); choose another '
                      f'folder with --run, or move this file away')


def _is_recipe(value: Any) -> bool:
    try:
        Recipe.from_saved(value, RUN_INFO)
    except (ValueError, RecursionError):
        return False
    return True


def _is_data(value: Any) -> bool:
    if value is None:
        return True
    return isinstance(value, dict) and isinstance(value.get('name'), str) and \
        isinstance(value.get('folder'), (str, type(None)))


def _is_weights(value: Any) -> bool:
    if value is None:
        return True
    return isinstance(value, dict) and all(isinstance(file, str) for file in value.values())


def _is_list_of(kind: type, value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(part, kind) for part in value)


INFO_KEYS: dict[str, Callable[[Any], bool]] = dict(
    commands=partial(_is_list_of, str), seed=lambda value: type(value) is int, recipe=_is_recipe,
    machine=lambda value: isinstance(value, dict), data=_is_data, weights=_is_weights,
    changes=lambda value: value is None or _is_list_of(list, value))


def update_run_info(folder: Path, before: dict[str, Any], command: str, seed: int, recipe: Recipe,
                    data: tuple[str, Path | None] | None = None,
                    weights: Mapping[str, str | Path] | None = None) -> None:
    """Write run.json: earlier commands and changes of the recipe are kept, all else is replaced."""
    info = dict(tinyfcn='a run of `tinyfcn train`', commands=[*before.get('commands', []), command],
                seed=seed, recipe=recipe.to_dict(), machine=machine_info(),
                changes=before.get('changes') or [])
    if data:
        name, root = data
        info['data'] = dict(name=name, folder=root and str(Path(root).absolute()))
    elif before.get('data'):
        info['data'] = before['data']
    if weights:
        info['weights'] = {suffix: str(Path(file).absolute()) for suffix, file in weights.items()}
    elif before.get('weights'):
        info['weights'] = before['weights']
    with open_atomic(folder / RUN_INFO) as file:
        # a path that is not UTF-8 has characters that only an escape can write
        file.write(json.dumps(info, indent=1, ensure_ascii=True).encode())


# ---- metrics.jsonl -------------------------------------------------------------------------------

def read_rows(path: Path, log: Log) -> list[Row]:
    """The rows of metrics.jsonl; what is not a row is left out, and log gets a note.

    The last line may be cut, since a process may be killed while it writes. That is not noted.
    """
    rows: list[Row] = []
    damaged: list[int] = []
    lines = [*_read_lines(path)] if path.exists() else []
    for number, line in enumerate(lines, 1):
        row = _parse_row(line)
        if row:
            rows.append(row)
        elif line.strip() and (number < len(lines) or line.endswith(b'\n')):
            damaged.append(number)
    if damaged:
        shown = ', '.join(map(str, damaged[:5])) + (' …' if len(damaged) > 5 else '')
        log(f'{printable(path)}: {len(damaged)} of {len(lines)} lines are no rows of a run and '
            f'left out (line {shown})')
    return rows


def truncate_log(path: Path, step: int, log: Log) -> list[Row]:
    """Keep the rows of metrics.jsonl up to `step`, for later steps are computed again. -> the rows
    """
    rows = [row for row in read_rows(path, log) if row['step'] <= step]
    if missing := step - len({row['step'] for row in rows if 'loss' in row}):
        log(f'{printable(path)}: the rows of {missing} of the first {step} steps are missing; the '
            f'weights are not affected')
    with open_atomic(path) as file:
        file.write(b''.join(as_line(row) for row in rows))
    return rows


def as_line(row: Row) -> bytes:
    """A row as metrics.jsonl has it."""
    return json.dumps(row).encode() + b'\n'


def _read_lines(path: Path) -> Iterator[bytes]:
    """The lines of a file, of which one that is too long comes in parts."""
    with open_regular(path) as file:
        while line := file.readline(MAX_LINE):
            yield line


def _parse_row(line: bytes) -> Row | None:
    """The row in a line; None if it is not one that a run writes."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(row, dict) or type(row.get('step')) is not int or row['step'] < 1:
        return None
    if 'loss' in row:
        values = [row['loss'], row.get('lr')]
        return row if all(map(_is_number, values)) else None
    scores = [row.get(name, 'missing') for name in SCORES]
    iu = row.get('iu')
    if not isinstance(iu, list) or not all(map(_is_score, [*scores, *iu])):
        return None
    return row


def _is_number(value: Any) -> bool:
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return False
    return abs(value) < 1e300 and isfinite(value)


def _is_score(value: Any) -> bool:
    return value is None or _is_number(value) and 0 <= value < 1.001     # 1 as rounded
