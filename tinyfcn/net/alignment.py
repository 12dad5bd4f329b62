"""Where a box lies over the image, in exact fractions. Crop offsets are derived from it.

    unit i is centred on pixel  scale·i + shift  of the image; its receptive field is `field` pixels
"""
from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from typing import Any, Literal, Protocol, TypeAlias

from ..geometry import Pair, Size, axes, window

Fractions: TypeAlias = tuple[Fraction, Fraction]        # (along the height, along the width)


class HasAlignment(Protocol):
    """A box, as far as this module knows it."""

    alignment: Any

    def __str__(self) -> str: ...


class Alignment:
    """scale, shift and receptive field: a Fraction for each axis. The image has (1, 0, 1)."""

    def __init__(self, scale: Iterable[float | Fraction] = (1, 1),
                 shift: Iterable[float | Fraction] = (0, 0),
                 field: Iterable[float | Fraction] = (1, 1)) -> None:
        self.scale = _fractions(scale)
        self.shift = _fractions(shift)
        self.field = _fractions(field)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Alignment):
            return NotImplemented
        return (self.scale, self.shift) == (other.scale, other.shift)

    def __str__(self) -> str:
        y, x = (f'{float(scale):g}·i {"−" if shift < 0 else "+"} {abs(float(shift)):g}'
                for scale, shift in zip(self.scale, self.shift))
        return f'image = {y}' if y == x else f'image = ({y}, {x})'

    def window(self, ksize: Pair, stride: Pair = 1, pad: Pair = 0, dilation: Pair = 1) -> Alignment:
        """After a convolution or pool: centred on the window, and a field wider by its reach."""
        ksize, stride, pad, dilation = window(ksize, stride, pad, dilation)
        reach = [d * (k - 1) for k, d in zip(ksize, dilation)]
        return Alignment([s * t for s, t in zip(self.scale, stride)],
                         [b + s * (Fraction(r, 2) - p)
                          for b, s, r, p in zip(self.shift, self.scale, reach, pad)],
                         [f + s * r for f, s, r in zip(self.field, self.scale, reach)])

    def transposed(self, ksize: Pair, stride: Pair = 1, pad: Pair = 0, dilation: Pair = 1,
                   ) -> Alignment:
        """After a transposed convolution: a finer grid; a unit reads all inputs that reach it."""
        ksize, stride, pad, dilation = window(ksize, stride, pad, dilation)
        reach = [d * (k - 1) for k, d in zip(ksize, dilation)]
        fine = [s / t for s, t in zip(self.scale, stride)]
        return Alignment(fine,
                         [b - s * (Fraction(r, 2) - p)
                          for b, s, r, p in zip(self.shift, fine, reach, pad)],
                         [f + s * r for f, s, r in zip(self.field, fine, reach)])

    def resampled_to(self, like: Alignment | Unaligned) -> Alignment | Unaligned:
        """On the grid of `like`: each of its units reads some of the nearest units here."""
        if isinstance(like, Unaligned):
            return like
        return Alignment(like.scale, like.shift, [f + s for f, s in zip(self.field, self.scale)])

    def shifted(self, offset: Iterable[int]) -> Alignment:
        """After a crop of `offset` rows and columns at the top left; negative where it pads."""
        return Alignment(self.scale,
                         [b + s * o for b, s, o in zip(self.shift, self.scale, offset)], self.field)


class Unaligned:
    """No alignment with the image, and the reason. Boxes that read such a box are unaligned too."""

    def __init__(self, reason: str) -> None:
        self.reason = reason

    def __bool__(self) -> Literal[False]:
        return False

    def __str__(self) -> str:
        return f'no alignment with the image: {self.reason}'

    def window(self, *_: Any, **__: Any) -> Unaligned:
        return self

    transposed = window
    shifted = window

    def resampled_to(self, like: Alignment | Unaligned) -> Alignment | Unaligned:
        """What is resampled to the grid of `like` has its alignment again."""
        return like


def _fractions(values: Iterable[float | Fraction]) -> Fractions:
    y, x = (Fraction(value) for value in values)
    return y, x


def common_alignment(x: HasAlignment, *others: HasAlignment) -> Alignment | Unaligned:
    """The alignment that all boxes share, with the widest field; refused where they differ."""
    alignment: Alignment | Unaligned = x.alignment
    for other in others:
        if isinstance(alignment, Unaligned):
            return alignment
        if isinstance(other.alignment, Unaligned):
            return other.alignment
        if alignment != other.alignment:
            raise ValueError(f'{x} and {other} do not lie over the same pixels: {x.alignment} '
                             f'against {other.alignment}; crop one like the other')
        field = map(max, alignment.field, other.alignment.field)
        alignment = Alignment(alignment.scale, alignment.shift, field)
    return alignment


def offset_between(x: HasAlignment, like: HasAlignment) -> Size:
    """How many units of x precede unit 0 of `like`: 19; 5, 27; 5, 9, 31 for FCN-32s, 16s, 8s."""
    for box in (x, like):
        if not box.alignment:
            raise ValueError(f'{box} has {box.alignment}; give the crop as offset=(rows, columns)')
    if x.alignment.scale != like.alignment.scale:
        raise ValueError(f'{x} and {like} have no common grid: {x.alignment} against '
                         f'{like.alignment}; bring them to one stride first; lesson 10 shows how')
    offset = [(b - a) / scale for a, b, scale
              in zip(x.alignment.shift, like.alignment.shift, x.alignment.scale)]
    if any(o.denominator != 1 for o in offset):
        raise ValueError(f'{x} begins {", ".join(f"{float(o):g}" for o in offset)} units before '
                         f'{like}, between two pixels: upsample with a bilinear kernel that is one '
                         f'smaller (ksize = 2·factor − 1), or change a pad; lesson 10 shows why')
    if min(offset) < 0:
        raise ValueError(f'{x} begins {float(-min(offset)):g} units after {like}: it needs more '
                         f'padding upstream')
    return axes([int(o) for o in offset], 'offset')
