"""A file from a mirror, and the rest of it when the first part is here already."""
import os
import shutil
import time
from http.client import HTTPException
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

CHUNK = 1 << 20
TIMEOUT, WAIT = 30, 2                   # seconds: of silence; before asking again
TRIES = 3                               # in a row that bring nothing


class Unavailable(Exception):
    """Why a mirror does not give a file; `again`: it may, when asked once more."""

    def __init__(self, why, again=True):
        super().__init__(why)
        self.again = again


def download(mirror, part, size=None, report=None):
    """Fill the file `part` from where it ends; Unavailable when this mirror will not.

    Beside it, in .tag, lies what the mirror calls this version of the file: a part of one version
    is never gone on with by another. report(done, total or None, mirror) counts the bytes.
    """
    left = TRIES
    while True:
        before = _length(part)
        try:
            return _go_on(mirror, part, tag_of(part), size, report)
        except Unavailable as error:
            left = TRIES - 1 if _length(part) - before >= CHUNK else left - 1
            if not (error.again and left):
                raise
        time.sleep(WAIT)


def room(folder, needed):
    """Refuse what the disk of `folder` cannot hold, before it is begun."""
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise OSError(f'{folder}: {needed:,} bytes are needed and {free:,} are free; make room, or '
                      f'name a folder on another disk')


def remove(part):
    """The part, and its tag; either may be gone already."""
    for path in part, tag_of(part):
        path.unlink(missing_ok=True)


def tag_of(part):
    return part.with_suffix('.tag')


def _length(path):
    return path.stat().st_size if path.exists() else 0


def _go_on(mirror, part, tag, size, report):
    at = _length(part) if tag.exists() else 0
    headers = {'User-Agent': 'tinyfcn'}
    if at:                                              # the rest, if it is still the same file
        headers.update({'Range': f'bytes={at}-', 'If-Range': tag.read_text('utf-8')})
    response = _asked(urlopen, Request(mirror, headers=headers), timeout=TIMEOUT)
    with response:
        if response.status == 416:                      # a part that is whole, or of nothing known
            tag.unlink()
            if response.headers['Content-Range'] == f'bytes */{at}':
                return
            raise Unavailable('it has no such part of the file')
        whole = response.status != 206                  # Range ignored, or a new version
        if whole:
            at = 0
        elif not (response.headers['Content-Range'] or '').startswith(f'bytes {at}-'):
            tag.unlink()
            raise Unavailable('it sent another part than was asked for')
        length = response.headers['Content-Length'] or ''
        total = at + int(length) if length.isdecimal() else None
        if size and total not in (size, None):
            raise Unavailable(f'{total:,} bytes, and it should be {size:,}', again=False)
        room(part.parent, (total or size or at) - at)

        def more():
            return _asked(response.read1, CHUNK if total is None else min(CHUNK, total - at))

        chunk = more()
        if whole:
            if chunk.lstrip()[:1] == b'<':              # of a proxy, say; the part stays as it is
                raise Unavailable('a web page, and no archive', again=False)
            remove(part)
            _remember(tag, response.headers)
        with open(part, 'ab') as file:
            while chunk:
                file.write(chunk)
                at += len(chunk)
                if report:
                    report(at, total, mirror)
                chunk = more()
            file.flush()
            os.fsync(file.fileno())
    if total is not None and at < total:
        raise Unavailable(f'cut short at byte {at:,} of {total:,}')


def _remember(tag, headers):
    """A weak ETag (W/…) names what looks the same, and may differ in its bytes."""
    version = headers['ETag'] or ''
    if not version.startswith('"'):
        version = headers['Last-Modified'] or ''
    if version:
        tag.write_text(version, 'utf-8')


def _asked(call, *args, **how):
    """The network's many failures as one; what the disk says is another matter."""
    try:
        return call(*args, **how)
    except HTTPError as error:
        if error.code == 416:
            return error                                # it is a response as well
        with error:
            again = error.code >= 500 or error.code in (408, 429)
            raise Unavailable(f'HTTP {error.code} {error.reason}', again) from None
    except URLError as error:
        raise Unavailable(str(error.reason)) from None
    except (OSError, HTTPException, ValueError) as error:
        raise Unavailable(f'{type(error).__name__}: {error}') from None
