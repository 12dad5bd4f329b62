"""The folder of a run: whether it is one, and which data its run remembers."""
from pathlib import Path

from ..files import require_own
from ..training.run import read_run_info

RUN_FILES = ('run.json', 'last.safetensors', 'best.safetensors', 'metrics.jsonl', 'curves.png',
             'predictions.png')


def require_own_run(folder: Path, overwrite: bool = False) -> None:
    """Raise if there is a file in the folder that no run of tinyfcn has written."""
    for name in RUN_FILES:
        require_own(folder / name, overwrite)
        if (folder / name).exists():                    # a run, then, and the other files are its
            return


def run_data_folder(path: Path) -> Path | None:
    """The folder given by --data to the run that wrote these weights; None if that is not known.

    path: of a file of weights, or of the folder of the run
    """
    info = read_run_info(path if path.is_dir() else path.parent)
    folder = (info.get('data') or {}).get('folder')
    return Path(folder) if folder else None
