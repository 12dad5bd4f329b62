"""The net of a command that does not need its weights."""
from pathlib import Path

from .. import build, load
from ..net import Net
from ..weights.sources import SOURCES, source_name
from .paths import weights_file


def named_net(name: str, n_class: int | None) -> Net:
    """The net of a file or a run, with its weights; or of a name, without weights."""
    if Path(name).exists():
        return load(weights_file(Path(name)))
    if row := source_name(name):
        return build(SOURCES[row].net, n_class or SOURCES[row].n_class, seed=None)
    return build(name, n_class, seed=None)
