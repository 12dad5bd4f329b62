"""The nets of `build` that a file of unknown weights is most similar to."""
from functools import cache
from pathlib import Path

from ..files import FormatError
from ..weights import read_raw
from ..weights.arrays import Arrays
from ..weights.names import is_known
from ..weights.nearest import compare_with_nets, describe_nearest
from . import NETS, build


def describe_unknown(file: Path) -> str:
    """What `describe_nets` says of a file; '' if its source is known."""
    try:
        arrays, _ = read_raw(file)
    except FormatError:
        return ''
    return '' if is_known(arrays) else describe_nets(arrays)


def describe_nets(arrays: Arrays) -> str:
    """Lines for a message: the nearest nets, and what is missing; '' if no net is similar."""
    lines = describe_nearest(compare_with_nets(arrays, {name: _shapes(name) for name in NETS}))
    return lines and f'\nThe nearest nets of tinyfcn:\n{lines}'


@cache
def _shapes(name: str) -> dict[str, tuple[int, ...]]:
    """{weight: shape} of a net as in its paper."""
    net = build(name, seed=None)                        # zeros, which take no memory
    return {key: w.shape for key, w in {**net.params, **net.state}.items()}
