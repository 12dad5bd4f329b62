"""What the channels of images are: colours, or the values of other sensors, of any depth.

Images of red, green and blue of 8 bits need none of this. Those of other channels are read as they
are stored, and the net's `preprocess` brings them to the range that its weights expect. Red, green
and blue come first in memory, whatever their order in the files, since nets and drawings expect
them there.
"""
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from ..files import printable
from ..files.pixels import MAX_CHANNELS, Head, read_head
from .lists import read_lines

COLOURS = 'red', 'green', 'blue'
FILE = 'channels.txt'
MAX_NAME = 255                  # characters


class Channels(NamedTuple):
    """The channels of images, in the order of the files, and the type of their values."""

    names: tuple[str, ...]
    dtype: str                  # 'uint8', 'uint16', …; 'float32' for floats of any length

    @property
    def has_colours(self) -> bool:
        """Whether red, green and blue are among the channels.

        >>> Channels(('blue', 'green', 'red', 'infrared'), 'uint16').has_colours
        True
        """
        return {*COLOURS} <= {*self.names}

    @property
    def order(self) -> list[int]:
        """Which channel of a file comes first in memory, second, …: red, green and blue come first.

        >>> Channels(('blue', 'green', 'red', 'infrared'), 'uint16').order
        [2, 1, 0, 3]
        """
        numbers = [*range(len(self.names))]
        if not self.has_colours:
            return numbers
        colours = [self.names.index(colour) for colour in COLOURS]
        return colours + [i for i in numbers if i not in colours]

    @property
    def in_order(self) -> tuple[str, ...]:
        """The names in the order of `order`."""
        return tuple(self.names[i] for i in self.order)

    def __str__(self) -> str:
        return f'{_count(len(self.names))} of {self.dtype} ({printable(", ".join(self.names))})'

    def to_about(self) -> dict[str, Any]:
        """As a file of weights keeps it."""
        return dict(names=[*self.names], dtype=self.dtype)

    @classmethod
    def from_about(cls, value: Mapping[str, Any]) -> 'Channels':
        """The inverse of `to_about`."""
        return cls(tuple(value['names']), value['dtype'])


RGB = Channels(COLOURS, 'uint8')
GREY = Channels(('grey',), 'uint8')


def value_type(dtype: str) -> str:
    """The type that stands for this one: floats of all lengths are alike."""
    return 'float32' if dtype.startswith('float') else dtype


def default_names(n: int) -> tuple[str, ...]:
    """Names for n channels: of three and more the first are red, green and blue.

    >>> default_names(4), default_names(2)
    (('red', 'green', 'blue', 'channel 4'), ('channel 1', 'channel 2'))
    """
    if n == 1:
        return GREY.names
    names = [f'channel {i + 1}' for i in range(n)]
    if n >= len(COLOURS):
        names[:len(COLOURS)] = COLOURS
    return tuple(names)


def find_channels(root: Path, images: Iterable[Path]) -> Channels:
    """The channels of the images of a folder: those of the first image.

    Plain images, of grey, colours or a palette of 8 bits, have red, green and blue, and
    transparency is no channel, unless root/channels.txt says otherwise.
    """
    head = None
    first = next(iter(images), root)
    with suppress(OSError, ValueError):                 # reading this image will report it
        head = read_head(first)
    file = root / FILE
    names = read_names(file) if file.exists() else None
    if head is None:
        return Channels(names or COLOURS, RGB.dtype)
    if names is None:
        names = COLOURS if head.is_plain else default_names(head.channels)
    elif not fits(head, len(names)):
        raise ValueError(f'{printable(file)} names {_count(len(names))}, and {printable(first)} '
                         f'has {describe_head(head)}; name each channel in a line of its own')
    return Channels(names, value_type(head.dtype))


def fits(head: Head, n: int) -> bool:
    """Whether an image can be read as one of n channels.

    With transparency it has one channel more. Plain images become grey, and grey ones colours.
    """
    is_grey = head.channels == 1 and head.dtype == 'uint8'
    return (n in (head.channels, head.channels + head.has_alpha)
            or head.is_plain and n in (1, 3) or is_grey and n == 3)


def describe_head(head: Head) -> str:
    """How many channels an image has."""
    return f'{_count(head.channels)}{" and transparency" * head.has_alpha} of {head.dtype}'


def _count(n: int) -> str:
    return '1 channel' if n == 1 else f'{n} channels'


def read_names(path: Path) -> tuple[str, ...]:
    """The names of channels.txt, one a line."""
    source = printable(path)
    names: list[str] = []
    for line, text in read_lines(path):
        name = text.lower() if text.lower() in COLOURS else text
        if name in names:
            raise ValueError(f"{source}, line {line}: '{printable(name)}' for the second time; "
                             f"every channel has one line, and a name of its own")
        if len(name) > MAX_NAME or printable(name, limit=None) != name:
            raise ValueError(f"{source}, line {line}: '{printable(name, limit=40)}' is no name; "
                             f"write at most {MAX_NAME} characters that can be printed")
        names.append(name)
    if not 1 <= len(names) <= MAX_CHANNELS:
        raise ValueError(f'{source}: {len(names)} channels; write 1 … {MAX_CHANNELS} names, one a '
                         f'line, in the order of the files')
    return tuple(names)
