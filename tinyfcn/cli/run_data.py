"""The data that a run was trained on, as its folder remembers it."""
from pathlib import Path

from ..training.run import read_run_info


def run_data_folder(path: Path) -> Path | None:
    """The folder given by --data to the run that wrote these weights; None if that is not known.

    path: of a file of weights, or of the folder of the run
    """
    info = read_run_info(path if path.is_dir() else path.parent)
    folder = (info.get('data') or {}).get('folder')
    return Path(folder) if folder else None
