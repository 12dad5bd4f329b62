"""Download a file from a mirror; an interrupted download continues at its last byte."""
import errno
import os
import re
import shutil
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPMessage, HTTPResponse
from pathlib import Path
from typing import NamedTuple
from urllib.request import Request

from ..files import open_atomic, printable, read_text
from .http import Unavailable, open_url, unavailable_on_error

# report(bytes done, bytes in total or None, mirror or file) is called first and after each chunk
Report = Callable[[int, int | None, str], object]

CHUNK = 1 << 20                         # bytes
MAX_BYTES = 1 << 33                     # of a file whose size is not known: 8 GiB
WAIT = 2                                # seconds before the next try
TRIES = 3                               # in a row that each bring less than a chunk
NO_SPACE = errno.ENOSPC, errno.EDQUOT, errno.EFBIG
LENGTH = re.compile('[0-9]{1,19}')
CONTENT_RANGE = re.compile('bytes ([0-9]{1,19})-[0-9]{1,19}/([0-9]{1,19}|[*])')


class Version(NamedTuple):
    """Which version of a file a mirror has: its ETag, or its date, and its length if known."""

    tag: str
    length: int | None


def download(mirror: str, part: Path, size: int | None = None, report: Report | None = None,
             max_bytes: int | None = None) -> None:
    """Complete the file `part` from where it ends. Raises Unavailable if this mirror cannot.

    The mirror's version of the file is noted beside it, in .tag: the rest of one version is never
    appended to the beginning of another. `size`, if known, is verified before the download. Of a
    file of unknown size at most `max_bytes` are read.
    """
    limit = size or max_bytes or MAX_BYTES
    first = _length(part)
    tries_left = TRIES
    while True:
        before = _length(part)
        try:
            return _resume(mirror, part, size, limit, report)
        except Unavailable as error:
            has_progressed = _length(part) - before >= CHUNK
            tries_left = (TRIES if has_progressed else tries_left) - 1
            # a mirror that cannot be reached at all would only keep the next one waiting
            is_alive = error.is_reached or _length(part) != first
            if not (error.retry and is_alive and tries_left):
                raise
        time.sleep(WAIT)


def check_free_space(folder: Path, needed: int) -> None:
    """Raise before anything is written if the disk of `folder` has fewer than `needed` bytes."""
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise OSError(f'{printable(folder)}: {needed:,} bytes are needed and {free:,} are free; '
                      f'free some space, or name a folder on another disk')


def remove_part(part: Path) -> None:
    """Remove a partial download and the note of its version; either may be missing."""
    for path in part, version_file(part):
        path.unlink(missing_ok=True)


def can_continue(part: Path) -> bool:
    """Whether a download continues at the end of `part`, and does not begin again."""
    return bool(_length(part)) and _read_version(part) is not None


def version_file(part: Path) -> Path:
    """Where the version of a partial download is noted."""
    return part.with_suffix('.tag')


def _length(part: Path) -> int:
    """How many bytes there are; none where a link or a pipe stands in place of the file."""
    try:
        found = part.lstat()
    except FileNotFoundError:
        return 0
    return found.st_size if stat.S_ISREG(found.st_mode) else 0


def _resume(mirror: str, part: Path, size: int | None, limit: int, report: Report | None) -> None:
    """One request: the whole file, or the rest of it after the bytes that `part` has."""
    noted = _read_version(part)
    start = _length(part) if noted else 0
    headers = {'User-Agent': 'tinyfcn'}
    if noted and start:                                 # If-Range: unless the file has changed
        headers['Range'] = f'bytes={start}-'
        headers['If-Range'] = noted.tag
    if report:
        report(start, size, mirror)                     # it may take a while to answer
    with open_url(Request(mirror, headers=headers), limit) as response:
        if not start and response.status in (206, 416):
            raise Unavailable(f'HTTP {response.status}, though no part of the file was requested')
        if response.status == 416:
            version_file(part).unlink()
            is_end = response.headers['Content-Range'] == f'bytes */{start}'
            if is_end and noted and noted.length in (start, None):
                return                                  # the part is already complete
            raise Unavailable('it does not have this part of the file')
        is_whole = response.status != 206               # Range was ignored, or the file is new
        if is_whole:
            start = 0
            total = _content_length(response)
        else:
            total = _total_length(response, start, noted, part)
        if size and total not in (size, None):
            raise Unavailable(f'{total:,} bytes instead of {size:,}', retry=False)
        if total and total > limit:
            raise Unavailable(f'{total:,} bytes are more than {limit:,}', retry=False)
        check_free_space(part.parent, (total or size or start) - start)
        _append(response, part, start, total, limit, is_whole, mirror, report)


def _content_length(response: HTTPResponse) -> int | None:
    text = response.headers['Content-Length']
    if text is None or response.chunked:
        return None
    if not LENGTH.fullmatch(text):
        raise Unavailable(f'its length is {printable(text, limit=40)!r}', retry=False)
    return int(text)


def _total_length(response: HTTPResponse, start: int, noted: Version | None,
                  part: Path) -> int | None:
    """The length of the file whose rest is sent; raises if it is another one than requested."""
    found = CONTENT_RANGE.fullmatch(response.headers['Content-Range'] or '')
    if not found or int(found[1]) != start:
        version_file(part).unlink()
        raise Unavailable('it sent another part of the file than requested')
    length = None if found[2] == '*' else int(found[2])
    # a server may not know If-Range, and send the rest of another version
    if not noted or not _may_be_same(noted, Version(_tag(response.headers), length)):
        version_file(part).unlink()
        raise Unavailable('it sent the rest of another version of the file')
    return length


def _append(response: HTTPResponse, part: Path, at: int, total: int | None, limit: int,
            is_whole: bool, mirror: str, report: Report | None) -> None:
    """Write the response to the end of `part`; a whole file replaces what is there."""
    def read_chunk() -> bytes:
        size = CHUNK if total is None else min(CHUNK, total - at)
        chunk: bytes = unavailable_on_error(response.read1, size)
        return chunk

    chunk = read_chunk()
    if is_whole:
        if chunk.lstrip()[:1] == b'<':                  # from a proxy, say; the part is kept
            raise Unavailable('a web page instead of the file', retry=False)
        remove_part(part)
        _note_version(part, Version(_tag(response.headers), total))
    with describe_disk_errors(part), open(part, 'ab', opener=open_no_link) as file:
        while chunk and at <= limit:
            file.write(chunk)
            at += len(chunk)
            if report:
                report(at, total, mirror)
            chunk = read_chunk()
        file.flush()
        os.fsync(file.fileno())
        length = os.fstat(file.fileno()).st_size
    if length != at:
        remove_part(part)
        raise Unavailable('another process downloads the same file', retry=False)
    if at > limit:
        remove_part(part)
        raise Unavailable(f'more than {limit:,} bytes', retry=False)
    if total is not None and at < total:
        raise Unavailable(f'the connection ended at byte {at:,} of {total:,}')


@contextmanager
def describe_disk_errors(part: Path) -> Iterator[None]:
    """Errors of the disk inside the block name the file, and say what to do."""
    try:
        yield
    except OSError as error:
        reason = error.strerror
        if error.errno in NO_SPACE:
            reason = f'{reason}; free some space, and run the command again: it continues here'
        raise OSError(error.errno, reason, str(part)) from None


def open_no_link(path: str, flags: int) -> int:
    """An opener for `open` that does not follow a link."""
    return os.open(path, flags | getattr(os, 'O_NOFOLLOW', 0), 0o666)


# ---- versions ------------------------------------------------------------------------------------

def _tag(headers: HTTPMessage) -> str:
    """The ETag, or the date. A weak ETag (W/…) does not tell versions apart byte by byte."""
    etag = headers['ETag'] or ''
    tag = etag if etag.startswith('"') else headers['Last-Modified'] or ''
    return tag if _is_valid(tag) else ''


def _is_valid(tag: str) -> bool:
    """Whether a tag can be sent in a header. Other tags are neither noted nor used."""
    return tag.isascii() and tag.isprintable() and not tag.startswith('W/') and bool(tag.strip())


def _may_be_same(old: Version, new: Version) -> bool:
    return old.tag == new.tag and (old.length == new.length or None in (old.length, new.length))


def _note_version(part: Path, version: Version) -> None:
    if version.tag:
        with open_atomic(version_file(part)) as file:
            file.write(f'{version.tag}\n{version.length or ""}\n'.encode())


def _read_version(part: Path) -> Version | None:
    """What is noted of the version of a part; None if it must be downloaded again."""
    try:
        tag, _, length = read_text(version_file(part), CHUNK).partition('\n')
    except (OSError, ValueError):                       # no note, or a damaged one
        return None
    if not _is_valid(tag):
        return None
    return Version(tag, int(length) if LENGTH.fullmatch(length.strip()) else None)
