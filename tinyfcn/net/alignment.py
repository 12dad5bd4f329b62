"""Where a box sits over the image, in exact fractions: crops fall out of this, nobody types 19.

    unit i sits at pixel  scale·i + shift  of the image, and sees at most `field` pixels around it
"""
from fractions import Fraction

from ..geometry import axes, window


class Alignment:
    """scale, shift, field: one Fraction for each axis. The image itself has (1, 0, 1)."""

    def __init__(self, scale=(1, 1), shift=(0, 0), field=(1, 1)):
        self.scale, self.shift, self.field = (tuple(map(Fraction, v))
                                              for v in (scale, shift, field))

    def __eq__(self, other):
        if not isinstance(other, Alignment):
            return NotImplemented
        return (self.scale, self.shift) == (other.scale, other.shift)

    def __str__(self):
        y, x = (f'{float(scale):g}·i {"−" if shift < 0 else "+"} {abs(float(shift)):g}'
                for scale, shift in zip(self.scale, self.shift))
        return f'image = {y}' if y == x else f'image = ({y}, {x})'

    def window(self, ksize, stride=1, pad=0, dilation=1):
        """Through a window: the centre of its taps, and a field wider by their reach."""
        ksize, stride, pad, dilation = window(ksize, stride, pad, dilation)
        reach = [d * (k - 1) for k, d in zip(ksize, dilation)]
        return Alignment([s * t for s, t in zip(self.scale, stride)],
                     [b + s * (Fraction(r, 2) - p)
                      for b, s, r, p in zip(self.shift, self.scale, reach, pad)],
                     [f + s * r for f, s, r in zip(self.field, self.scale, reach)])

    def transposed(self, ksize, stride=1, pad=0, dilation=1):
        """Through a transposed window: a finer grid, seen by all whose stamps reach a unit."""
        ksize, stride, pad, dilation = window(ksize, stride, pad, dilation)
        reach = [d * (k - 1) for k, d in zip(ksize, dilation)]
        fine = [s / t for s, t in zip(self.scale, stride)]
        return Alignment(fine,
                     [b - s * (Fraction(r, 2) - p)
                      for b, s, r, p in zip(self.shift, fine, reach, pad)],
                     [f + s * r for f, s, r in zip(self.field, fine, reach)])

    def resampled_to(self, like):
        """On the finer grid of `like`: each unit goes to some of those that lie around it."""
        return like and Alignment(like.scale, like.shift,
                              [f + s for f, s in zip(self.field, self.scale)])

    def shifted(self, offset):
        """After cutting `offset` rows and columns off the top and left; below 0, after adding."""
        return Alignment(self.scale,
                     [b + s * o for b, s, o in zip(self.shift, self.scale, offset)], self.field)


class Unaligned:
    """No place over the image, and why. Whatever reads such a box is nowhere too."""

    def __init__(self, why):
        self.why = why

    def __bool__(self):
        return False

    def __str__(self):
        return f'no place over the image: {self.why}'

    def window(self, *_, **__):
        return self

    transposed = shifted = window

    def resampled_to(self, like):
        """What is brought to the grid of `like` is there again."""
        return like


def common_alignment(x, *others):
    """The place that all share, as wide as the widest field; refused where they lie apart."""
    alignment = x.alignment
    for other in others:
        if not alignment or not other.alignment:
            return alignment and other.alignment
        if alignment != other.alignment:
            raise ValueError(f'{x} and {other} do not lie over the same pixels: {x.alignment} '
                             f'against {other.alignment}; crop one like the other')
        field = map(max, alignment.field, other.alignment.field)
        alignment = Alignment(alignment.scale, alignment.shift, field)
    return alignment


def offset_between(x, like):
    """How many units of x lie before unit 0 of `like`: 19; 5, 27; 5, 9, 31 for FCN-32s, 16s, 8s."""
    for box in (x, like):
        if not box.alignment:
            raise ValueError(f'{box} has {box.alignment}; say where to cut: offset=(rows, columns)')
    if x.alignment.scale != like.alignment.scale:
        raise ValueError(f'{x} and {like} have no common grid: {x.alignment} against '
                         f'{like.alignment}; bring them to one stride first; lesson 09 shows how')
    offset = [(b - a) / scale for a, b, scale
              in zip(x.alignment.shift, like.alignment.shift, x.alignment.scale)]
    if any(o.denominator != 1 for o in offset):
        raise ValueError(f'{x} lies {", ".join(f"{float(o):g}" for o in offset)} units before '
                         f'{like}, between two pixels: upsample with a tent that is one smaller '
                         f'(ksize = 2·factor − 1), or change a pad; lesson 09 shows why')
    if min(offset) < 0:
        raise ValueError(f'{x} begins {float(-min(offset)):g} units after {like}: it needs more '
                         f'padding upstream')
    return axes([int(o) for o in offset], 'offset')
