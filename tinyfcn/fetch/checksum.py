"""Checksums of files, as their publishers give them."""
import hashlib
from pathlib import Path

from ..files import open_regular

CHUNK = 1 << 20
ALGORITHMS = {32: 'md5', 40: 'sha1', 64: 'sha256'}      # by the number of hex digits


def file_digest(path: Path, algorithm: str) -> str:
    """The checksum of a file in hex digits."""
    # MD5 and SHA-1 detect damage, which is all that is asked of them here
    digest = hashlib.new(algorithm, usedforsecurity=False)
    with open_regular(path) as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def checksum_problem(path: Path, expected: str) -> str:
    """How the checksum of a file differs from `expected`; '' if it does not."""
    algorithm = ALGORITHMS[len(expected)]
    found = file_digest(path, algorithm)
    return '' if found == expected else f'its {algorithm} is {found} instead of {expected}'
