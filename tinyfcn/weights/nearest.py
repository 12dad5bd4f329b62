"""The nets that a file of unknown weights is most similar to, and how it differs from them."""
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from ..files import printable
from .arrays import Arrays
from .layouts import TORCH_SUFFIXES
from .names import is_counter, without_prefixes

Shape = tuple[int, ...]

MAX_NAMES = 3                   # of each kind in a message
MAX_NETS = 3
MIN_SIMILARITY = .1             # below which a net is not called near


class Comparison(NamedTuple):
    """The arrays of a file compared with the weights of a net, by name."""
    net: str
    same: list[str]
    other_shape: list[str]      # 'score_fr.w is (60, 4096, 1, 1) and not (21, 4096, 1, 1)'
    missing: list[str]          # weights that are not in the file
    unused: list[str]           # arrays that the net does not have

    @property
    def similarity(self) -> float:
        """1 if all names and shapes are the same; a name with another shape counts half."""
        count = len(self.same) + len(self.other_shape) + len(self.missing) + len(self.unused)
        return (len(self.same) + len(self.other_shape) / 2) / max(1, count)


def compare_with_nets(arrays: Arrays,
                      nets: Mapping[str, Mapping[str, Shape]]) -> list[Comparison]:
    """The nets that are similar to the file, the nearest first.   nets: {net: {weight: shape}}

    The names of the file may have PyTorch's dots, suffixes and prefixes.

    >>> import numpy as np
    >>> found, = compare_with_nets({'module.fire2/conv.weight': np.ones((4, 2))},
    ...                            {'a': {'fire2/conv.w': (4, 3), 'fire2/conv.b': (4,)}, 'b': {}})
    >>> found.net, found.other_shape, found.missing
    ('a', ['fire2/conv.w is (4, 2) and not (4, 3)'], ['fire2/conv.b'])
    """
    shapes = {_our_name(name): array.shape for name, array in without_prefixes(arrays).items()
              if not is_counter(array)}
    found = []
    for net, wanted in nets.items():
        shared = shapes.keys() & wanted.keys()
        if not shared:
            continue
        differs = {name for name in shared if not _fits(shapes[name], wanted[name])}
        found.append(Comparison(
            net, [name for name in wanted if name in shared - differs],
            [f'{name} is {shapes[name]} and not {wanted[name]}' for name in wanted
             if name in differs],
            [name for name in wanted if name not in shared],
            [name for name in shapes if name not in shared]))
    near = [comparison for comparison in found if comparison.similarity >= MIN_SIMILARITY]
    return sorted(near, key=lambda comparison: -comparison.similarity)


def describe_nearest(comparisons: Iterable[Comparison]) -> str:
    """The message: a line for each of the nearest nets.

    >>> print(describe_nearest([Comparison('fcn8s', ['fc6.w'] * 9, [], ['score_fr.w'], ['fc8.w'])]))
    fcn8s: 9 of 10 weights; missing score_fr.w; unused fc8.w
    """
    lines = []
    for comparison in [*comparisons][:MAX_NETS]:
        same = len(comparison.same)
        total = same + len(comparison.other_shape) + len(comparison.missing)
        parts = [f'{comparison.net}: {same} of {total} weights']
        for what, names in [('of another shape', comparison.other_shape),
                            ('missing', comparison.missing), ('unused', comparison.unused)]:
            if names:
                more = f' and {len(names) - MAX_NAMES} more' if len(names) > MAX_NAMES else ''
                parts.append(f'{what} {", ".join(names[:MAX_NAMES])}{more}')
        lines.append(printable('; '.join(parts), limit=1000))
    return '\n'.join(lines)


def _our_name(name: str) -> str:
    """'layer1.0.conv1.weight' -> 'layer1/0/conv1.w'"""
    suffix = next((suffix for suffix in TORCH_SUFFIXES if name.endswith(suffix)), None)
    if suffix is None:
        return name
    return name.removesuffix(suffix).replace('.', '/') + (TORCH_SUFFIXES[suffix] or suffix)


def _fits(shape: Shape, wanted: Shape) -> bool:
    """Whether `transplant` can use it: an fc layer fills a convolution of as many numbers."""
    if len(shape) == 2 and len(wanted) == 4:
        return shape == (wanted[0], wanted[1] * wanted[2] * wanted[3])
    return shape == wanted
