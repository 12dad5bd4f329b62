"""The rows of a run as an event file, which TensorBoard shows.

    pip install 'tinyfcn[tensorboard]'
    tensorboard --logdir runs

An event file is a sequence of records: the length of an event and the event, each followed by a
checksum. An event is a message of protobuf: the time, the step, and numbers by tag. Both formats
are so small that they are written here, without TensorFlow or TensorBoard.

The file is a copy of metrics.jsonl. A run that is resumed writes it anew, so it never holds a step
twice, and a run that was trained without it gets all steps that it has done. It is written in
place: a TensorBoard that is running goes on from where it was, as each row has its old length.
"""
import os
import struct
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from time import time
from typing import Any, TypeAlias

from ..data.labels import by_output
from .run_files import Row

Scalars: TypeAlias = dict[str, float]

# TensorBoard reads all files that have tfevents in their names
EVENTS = 'events.out.tfevents.0.tinyfcn'
VERSION = b'brain.Event:2'      # of the format, in the first record
POLYNOMIAL = 0x82f63b78         # of CRC-32C, in reversed order of its bits


class EventFile:
    """The event file of a run, in place of the one that was there.

    history: the rows that are done. classes: their names, or those of each output of the net
    """

    def __init__(self, folder: Path, history: Sequence[Row], classes: Any) -> None:
        self.classes = by_output(classes or ())
        self.path = folder / EVENTS
        now = time()
        content = record(event(now, 0) + field(3, VERSION))
        for row, ago in zip(history, seconds_ago(history)):
            content += self._record(row, now - ago)
        # a link that was put in its place is not followed
        flags = os.O_WRONLY | os.O_CREAT | getattr(os, 'O_NOFOLLOW', 0) | getattr(os, 'O_BINARY', 0)
        with open(self.path, 'wb', opener=lambda path, _: os.open(path, flags, 0o666)) as file:
            file.write(content)
            file.truncate()

    def write(self, rows: Iterable[Row]) -> None:
        """Append rows."""
        with open(self.path, 'ab') as file:
            file.write(b''.join(self._record(row, time()) for row in rows))

    def _record(self, row: Row, seconds: float) -> bytes:
        return record(event(seconds, row['step']) + summary(scalars(row, self.classes)))


def seconds_ago(history: Sequence[Row]) -> list[float]:
    """How long before the last row each row was; pauses between two commands do not count.

    >>> seconds_ago([dict(seconds=1), dict(seconds=3), dict(seconds=2)])    # resumed after the 2nd
    [4.0, 2.0, 0.0]
    """
    total = 0.
    before = 0.
    times = []
    for row in history:
        seconds = row.get('seconds') or 0
        total += seconds - before if seconds >= before else seconds
        before = seconds
        times.append(total)
    return [total - at for at in times]


def scalars(row: Row, classes: dict[str, Sequence[str]]) -> Scalars:
    """The numbers of a row by their tags, of which TensorBoard groups those of one folder.

    >>> scalars(dict(step=3, loss=.5, lr=.1, seconds=1.), {})
    {'train/loss': 0.5, 'train/lr': 0.1}
    >>> scalars(dict(step=3, mean_iu=.5, iu=[.5, None]), dict(score=('sky', 'road')))
    {'val/mean_iu': 0.5, 'val_iu/sky': 0.5}
    """
    part = 'train' if 'loss' in row else 'val'
    names = next(iter(classes.values()), ())
    return dict(_scalars(row, part, names, classes))


def _scalars(row: Row, part: str, names: Sequence[str],
             classes: dict[str, Sequence[str]]) -> Iterator[tuple[str, float]]:
    for key, value in row.items():
        if isinstance(value, dict):                     # the scores of another output
            yield from _scalars(value, f'{part}_{key}', classes.get(key, ()), {})
        elif key == 'iu':
            for name, iu in zip(names, value):
                if iu is not None:
                    yield f'{part}_iu/{name}', iu
        elif key not in ('step', 'seconds') and value is not None:
            yield f'{part}/{key}', value


# ---- the format ----------------------------------------------------------------------------------

def event(seconds: float, step: int) -> bytes:
    """A message Event of protobuf: wall_time = 1, step = 2. Its other fields may follow."""
    return b'\x09' + struct.pack('<d', seconds) + b'\x10' + varint(step)


def summary(numbers: Scalars) -> bytes:
    """The field summary = 5 of an Event: a value = 1 for each number, with tag = 1 and the number.
    """
    values = b''
    for tag, number in numbers.items():
        name = field(1, tag.encode('utf-8', 'replace'))
        values += field(1, name + b'\x15' + struct.pack('<f', number))         # simple_value = 2
    return field(5, values)


def field(number: int, content: bytes) -> bytes:
    """A field of bytes: its number and type, its length, and the bytes."""
    return varint(number << 3 | 2) + varint(len(content)) + content


def varint(number: int) -> bytes:
    """A whole number in groups of 7 bits, the last ones first; the top bit says that more follow.

    >>> varint(300).hex()
    'ac02'
    """
    groups = bytearray()
    while number > 127:
        groups.append(number & 127 | 128)
        number >>= 7
    return bytes([*groups, number])


def record(data: bytes) -> bytes:
    """A record of TFRecord: length, checksum of the length, data, checksum of the data."""
    length = struct.pack('<Q', len(data))
    return length + masked_crc(length) + data + masked_crc(data)


def masked_crc(data: bytes) -> bytes:
    """The CRC-32C of some bytes, rotated and shifted as TFRecord wants it."""
    crc = crc32c(data)
    return struct.pack('<I', ((crc >> 15 | crc << 17) + 0xa282ead8) & 0xffffffff)


def crc32c(data: bytes) -> int:
    """The checksum of Castagnoli.

    >>> hex(crc32c(b'123456789'))
    '0xe3069283'
    """
    crc = 0xffffffff
    for byte in data:
        crc = CRC_TABLE[(crc ^ byte) & 255] ^ crc >> 8
    return crc ^ 0xffffffff


def _crc_of_byte(byte: int) -> int:
    for _ in range(8):
        byte = byte >> 1 ^ (POLYNOMIAL if byte & 1 else 0)
    return byte


CRC_TABLE = [_crc_of_byte(byte) for byte in range(256)]
