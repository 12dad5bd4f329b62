"""Find the file of weights that a user means: a path, the folder of a run, or a published name."""
from functools import cache
from pathlib import Path

from ..fetch.progress import Progress, write_line
from ..files import printable
from .cache import cached_weights, fetch_weights
from .sources import SOURCES, source_name, unknown_name

CHECKPOINTS = 'best.safetensors', 'last.safetensors'


def find_weights(path: str | Path) -> Path:
    """`path` itself, the best file of weights in the folder of a run, or the file of a name.

    A name of `tinyfcn weights list` is looked up in the cache, and downloaded if it is not there.
    A file or a folder of that name takes precedence.
    """
    path = Path(path)
    name = str(path)
    if not path.exists():
        if source_name(name):
            return weights_by_name(name)
        raise FileNotFoundError(_describe_missing(path))
    if source_name(name):
        _log_name_clash(name)
    if not path.is_dir():
        return path
    for checkpoint in CHECKPOINTS:
        if (path / checkpoint).is_file():
            return path / checkpoint
    runs = sorted(str(file.parent) for file in path.glob('*/last.safetensors'))
    if runs:
        advice = f'it holds the runs {", ".join(runs[:8])}: give one of them'
    else:
        names = sorted(file.name for file in path.iterdir())
        advice = (f'it holds {", ".join(names[:8]) or "nothing"}. Train a net first '
                  f'(tinyfcn train), or give a file of weights')
    raise FileNotFoundError(f'{path}: neither best.safetensors nor last.safetensors is in this '
                            f'folder; {advice}')


def weights_by_name(name: str) -> Path:
    """The file of these weights in the cache, downloaded if it is not there; progress on stderr."""
    if found := cached_weights(name):
        return found
    with Progress() as report:
        return fetch_weights(name, report=report, log=write_line)


def published_name(file: Path) -> str | None:
    """The name of the weights that are published in a file of this name, perhaps converted."""
    return next((name for name, row in SOURCES.items()
                 if any(Path(source.file).stem == file.stem for source in row.files)), None)


def _describe_missing(path: Path) -> str:
    if len(path.parts) == 1 and not path.suffix:
        return f'{path}: no such file or folder, and {unknown_name(str(path))}'
    return (f'{path}: no such file; give a file of weights, the folder of a run, or a name that '
            f'`tinyfcn weights list` shows')


@cache                                                  # once for each name
def _log_name_clash(name: str) -> None:
    write_line(f'{printable(name)} is the name of pretrained weights and of a file or folder here, '
               f'which is used: to use the weights, run tinyfcn in another folder')
