"""Where a file is available."""
from collections.abc import Sequence
from typing import NamedTuple


class Source(NamedTuple):
    """A file, its mirrors, and its published checksum and size; None if they are not published.

    The number of hex digits tells the kind of checksum: 32 are MD5, 40 SHA-1, 64 SHA-256. Fewer
    than 32 are the first digits of the SHA-256, as in the names of PyTorch's files.
    """

    file: str
    mirrors: Sequence[str]
    checksum: str | None = None
    size: int | None = None
