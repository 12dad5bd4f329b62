"""Checksums of files, as their publishers give them."""
import hashlib
from pathlib import Path

from ..files import open_regular

CHUNK = 1 << 20
ALGORITHMS = {32: 'md5', 40: 'sha1', 64: 'sha256'}      # by the number of hex digits
NAMES = dict(md5='MD5', sha1='SHA-1', sha256='SHA-256')
PREFIX_DIGITS = range(8, 32)                            # of a SHA-256 in the name of a file


def algorithm_of(checksum: str) -> str:
    """The kind of a checksum; the beginning of a SHA-256 is compared with a SHA-256."""
    return 'sha256' if len(checksum) in PREFIX_DIGITS else ALGORITHMS[len(checksum)]


def file_digest(path: Path, algorithm: str) -> str:
    """The checksum of a file in hex digits."""
    # MD5 and SHA-1 are used against damage, not against forgery
    digest = hashlib.new(algorithm, usedforsecurity=False)
    with open_regular(path) as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def checksum_problem(path: Path, expected: str) -> str:
    """How the checksum of a file differs from `expected`; '' if it does not."""
    algorithm = algorithm_of(expected)
    found = file_digest(path, algorithm)
    digits = len(expected)
    if found[:digits] == expected:
        return ''
    if digits in PREFIX_DIGITS:
        return (f'its {algorithm} begins with {found[:digits]} instead of {expected}, the {digits} '
                f'digits in its name')
    return f'its {algorithm} is {found} instead of {expected}'


def describe_agreement(checksum: str) -> str:
    """With what a verified file agrees, as a message.

    >>> describe_agreement('b8a52dc0')
    'agrees with the 8 digits in its name, a prefix of the SHA-256'
    """
    if len(checksum) in PREFIX_DIGITS:
        return f'agrees with the {len(checksum)} digits in its name, a prefix of the SHA-256'
    return f'agrees with its {describe_checksum(checksum)}'


def describe_checksum(checksum: str) -> str:
    """The kind and the digits of a checksum.

    >>> describe_checksum('b8a52dc0')
    'SHA-256 that begins with b8a52dc0'
    """
    begins = 'that begins with ' if len(checksum) in PREFIX_DIGITS else ''
    return f'{NAMES[algorithm_of(checksum)]} {begins}{checksum}'
