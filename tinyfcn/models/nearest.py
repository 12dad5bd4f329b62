"""The nets of `build` that a file of unknown weights is most similar to."""
from pathlib import Path

from ..files import FormatError
from ..weights import read_raw
from ..weights.names import is_known
from ..weights.nearest import compare_with_nets, describe_nearest
from . import NETS, build


def describe_unknown(file: Path) -> str:
    """A line for each of the nearest nets; '' if the source is known, or no net is similar."""
    try:
        arrays, _ = read_raw(file)
    except FormatError:
        return ''
    if is_known(arrays):
        return ''
    shapes = {}
    for name in NETS:
        net = build(name, seed=None)                    # zeros, which take no memory
        shapes[name] = {key: w.shape for key, w in {**net.params, **net.state}.items()}
    return describe_nearest(compare_with_nets(arrays, shapes))
