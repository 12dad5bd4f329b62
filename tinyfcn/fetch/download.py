"""Download a file from a mirror; a download that was cut off continues at its last byte."""
import os
import shutil
import time
from collections.abc import Callable
from http.client import HTTPException, HTTPMessage, HTTPResponse
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

# report(bytes done, bytes in total or None, mirror or file) is called as bytes come
Report = Callable[[int, int | None, str], object]

CHUNK = 1 << 20                         # bytes
TIMEOUT = 30                            # seconds of silence
WAIT = 2                                # seconds before the next try
TRIES = 3                               # in a row that bring less than a chunk


class Unavailable(Exception):
    """Why a mirror does not deliver a file; `retry`: whether another try may succeed."""

    def __init__(self, why: str, retry: bool = True):
        super().__init__(why)
        self.retry = retry


def download(mirror: str, part: Path, size: int | None = None,
             report: Report | None = None) -> None:
    """Complete the file `part` from where it ends. Raises Unavailable if this mirror cannot.

    The mirror's version of the file is noted beside it, in .tag: the rest of one version is never
    appended to the beginning of another. `size`, if known, is verified before the download.
    """
    tries_left = TRIES
    while True:
        before = _length(part)
        try:
            return _resume(mirror, part, size, report)
        except Unavailable as error:
            has_progressed = _length(part) - before >= CHUNK
            tries_left = (TRIES if has_progressed else tries_left) - 1
            if not (error.retry and tries_left):
                raise
        time.sleep(WAIT)


def check_free_space(folder: Path, needed: int) -> None:
    """Raise before anything is written if the disk of `folder` has fewer than `needed` bytes."""
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise OSError(f'{folder}: {needed:,} bytes are needed and {free:,} are free; free some '
                      f'space, or name a folder on another disk')


def remove_part(part: Path) -> None:
    """Remove a partial download and the note of its version; either may be missing."""
    for path in part, version_file(part):
        path.unlink(missing_ok=True)


def version_file(part: Path) -> Path:
    """Where the version of a partial download is noted."""
    return part.with_suffix('.tag')


def _length(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _resume(mirror: str, part: Path, size: int | None, report: Report | None) -> None:
    """One request: the whole file, or the rest of it after the bytes that `part` has."""
    version = version_file(part)
    start = _length(part) if version.exists() else 0
    headers = {'User-Agent': 'tinyfcn'}
    if start:                                           # If-Range: unless the file has changed
        headers['Range'] = f'bytes={start}-'
        headers['If-Range'] = version.read_text('utf-8')
    request = Request(mirror, headers=headers)
    with _unavailable_on_error(urlopen, request, timeout=TIMEOUT) as response:
        if response.status == 416:                      # range not satisfiable
            version.unlink()
            if response.headers['Content-Range'] == f'bytes */{start}':
                return                                  # the part is already complete
            raise Unavailable('it does not have this part of the file')
        is_whole = response.status != 206               # Range was ignored, or the file is new
        if is_whole:
            start = 0
        elif not (response.headers['Content-Range'] or '').startswith(f'bytes {start}-'):
            version.unlink()
            raise Unavailable('it sent another part of the file than requested')
        length = response.headers['Content-Length'] or ''
        total = start + int(length) if length.isdecimal() else None
        if size and total not in (size, None):
            raise Unavailable(f'{total:,} bytes instead of {size:,}', retry=False)
        check_free_space(part.parent, (total or size or start) - start)
        _append(response, part, start, total, is_whole, mirror, report)


def _append(response: HTTPResponse, part: Path, at: int, total: int | None, is_whole: bool,
            mirror: str, report: Report | None) -> None:
    """Write the response to the end of `part`; a whole file replaces what is there."""
    def read_chunk():
        most = CHUNK if total is None else min(CHUNK, total - at)
        return _unavailable_on_error(response.read1, most)

    chunk = read_chunk()
    if is_whole:
        if chunk.lstrip()[:1] == b'<':                  # from a proxy, say; the part is kept
            raise Unavailable('a web page instead of an archive', retry=False)
        remove_part(part)
        _note_version(part, response.headers)
    with open(part, 'ab') as file:
        while chunk:
            file.write(chunk)
            at += len(chunk)
            if report:
                report(at, total, mirror)
            chunk = read_chunk()
        file.flush()
        os.fsync(file.fileno())
    if total is not None and at < total:
        raise Unavailable(f'the connection ended at byte {at:,} of {total:,}')


def _note_version(part: Path, headers: HTTPMessage) -> None:
    """By its ETag, or its date. A weak ETag (W/…) does not tell versions apart byte by byte."""
    version = headers['ETag'] or ''
    if not version.startswith('"'):
        version = headers['Last-Modified'] or ''
    if version:
        version_file(part).write_text(version, 'utf-8')


def _unavailable_on_error(call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """call(…), in which every failure of the network becomes Unavailable.

    It must not write to the disk: a full disk is not the mirror's fault.
    """
    try:
        return call(*args, **kwargs)
    except HTTPError as error:
        if error.code == 416:
            return error                                # it can be read like a response
        with error:
            retry = error.code >= 500 or error.code in (408, 429)
            raise Unavailable(f'HTTP {error.code} {error.reason}', retry) from None
    except URLError as error:
        raise Unavailable(str(error.reason)) from None
    except (OSError, HTTPException, ValueError) as error:
        raise Unavailable(f'{type(error).__name__}: {error}') from None
