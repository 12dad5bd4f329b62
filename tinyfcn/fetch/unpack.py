"""Unpack an archive that is not trusted.

    unpack('VOCtrainval_11-May-2012.tar', 'voc2012')

.tar, .tar.gz and .zip are recognised by their content. Only folders and regular files with plain
names are written, below `folder`, each once. Anything else is refused by name, and nothing is left.

An archive of s bytes may expand to 100 s bytes and to 1,000 + s / 64 files and folders. Unpacking
takes a few MB of memory; of a zip, whose list of members is read at once, 20 times that list.
"""
import gzip
import io
import math
import os
import stat
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from ..files import ReadError, open_regular, printable
from .download import Report

MAX_MEMBERS = 500_000                   # files and folders, more than any data set has
FREE_MEMBERS = 1_000                    # however small the archive; beyond them …
BYTES_PER_MEMBER = 64                   # … each takes at least this much of it, compressed
MAX_DEPTH = 32                          # folders in folders
MAX_NAME = 1_000                        # bytes
MAX_HEADERS = 1 << 16                   # bytes before one member of a tar: long names, pax keys
MAX_KEYS = 100                          # pax keys that one member has
MAX_ZIP_LIST = 1 << 25                  # bytes of the list of members of a zip
MAX_BYTES = 1 << 36                     # 64 GiB
MAX_RATIO = 100                         # images hardly compress, tables of numbers about 20 times
CHUNK = 1 << 20
# names that Windows reserves, whatever their suffix
DEVICES = {'con', 'prn', 'aux', 'nul',
           *(f'{port}{i}' for port in ('com', 'lpt') for i in range(10))}
ZIP_TRAILER = 65_557                    # the most that the end record of a zip and its comment take


class Member(NamedTuple):
    """A file or folder in an archive; its content in chunks, each with the position after it."""

    name: str
    is_folder: bool
    chunks: Iterator[tuple[bytes, int]]


class Refused(Exception):
    """Why an archive is not unpacked; the message does not name the archive yet."""


def unpack(archive: str | Path, folder: str | Path, report: Report | None = None) -> None:
    """Write the content of `archive` to the new folder `folder`, or raise and leave nothing.

    report(done, total, name of the archive) is called with bytes of the archive.
    """
    archive = Path(archive)
    folder = Path(folder)
    with open_regular(archive) as file:
        size = os.fstat(file.fileno()).st_size
    folder.mkdir(parents=True)
    try:
        _write_members(archive, size, folder, report)
    except BaseException as error:
        remove_folder(folder)
        if isinstance(error, Refused):
            raise ValueError(f'{printable(archive)}: {error}') from None
        raise


def _write_members(archive: Path, size: int, folder: Path, report: Report | None) -> None:
    limit = min(MAX_BYTES, MAX_RATIO * size + CHUNK)
    target = _Target(size, folder)
    written = 0
    for member in _members(archive, limit):
        target.count()
        path = folder / _safe_path(member)
        target.make_folder(member.name, path if member.is_folder else path.parent)
        if member.is_folder:
            continue
        with _create(member.name, path) as file:
            for chunk, done in member.chunks:
                written += len(chunk)
                if written > limit:
                    raise Refused(f'{printable(member.name)} expands it from {size:,} to over '
                                  f'{limit:,} bytes, more than any data set: a decompression bomb')
                file.write(chunk)
                if report:
                    report(done, size, archive.name)
    if not target.members:
        raise Refused('the archive is empty; get it again')


def remove_folder(folder: Path) -> None:
    """Remove a folder and all in it, as far as the system allows, with few files open at once."""
    if not folder.is_symlink():
        for path, folders, files in os.walk(folder, topdown=False):
            for name in [*files, *folders]:
                _remove(os.path.join(path, name))
    _remove(folder)


def _remove(path: str | Path) -> None:
    """Remove a file, a link or an empty folder."""
    with suppress(OSError):
        if os.path.isdir(path) and not os.path.islink(path):
            os.rmdir(path)
        else:
            os.unlink(path)


# ---- what is written -----------------------------------------------------------------------------

class _Target:
    """The folder that an archive is written to; what is in it is counted."""

    def __init__(self, size: int, folder: Path) -> None:
        self.size = size
        self.max_members = min(MAX_MEMBERS, FREE_MEMBERS + size // BYTES_PER_MEMBER)
        self.folders = {folder}
        self.members = 0

    def count(self) -> None:
        """One member more, or one folder that is made for it."""
        self.members += 1
        if self.members > self.max_members:
            raise Refused(f'more than {self.max_members:,} members in {self.size:,} bytes; no data '
                          f'set has as many')

    def make_folder(self, name: str, folder: Path) -> None:
        """Make a folder and those that it is in; `name` is the member that needs them."""
        if folder in self.folders:
            return
        self.make_folder(name, folder.parent)
        self.count()
        try:
            folder.mkdir(exist_ok=True)                 # it exists where a and A are one folder
        except (FileExistsError, NotADirectoryError):
            raise Refused(f'{printable(name)} is in a folder that is also a file; get the archive '
                          f'elsewhere') from None
        self.folders.add(folder)


def _safe_path(member: Member) -> Path:
    """The name of a member as a relative path that stays below the folder."""
    name = member.name

    def refusal(why: str) -> Refused:
        return Refused(f"the member '{printable(name)}' {why}; get the archive elsewhere")

    if name.startswith('/') or '\\' in name or ':' in name:
        raise refusal('is not a path relative to the folder (/, \\ or a drive)')
    parts = [part for part in name.split('/') if part not in ('', '.')]
    if not parts and not member.is_folder:              # './' is the folder itself
        raise refusal('has no name')
    if '..' in parts:
        raise refusal('points outside the folder (..)')
    if len(parts) > MAX_DEPTH:
        raise refusal(f'is in {len(parts) - 1} folders, one in another')
    if any(part.split('.')[0].strip().lower() in DEVICES for part in parts):
        raise refusal('has the name of a device')
    if (not name.isprintable() or len(name.encode()) > MAX_NAME
            or any(part != part.rstrip(' .') or len(part.encode()) > 255 for part in parts)):
        raise refusal('has a name that not every system can write')
    return Path(*parts)


def _create(name: str, path: Path) -> BinaryIO:
    try:
        return open(path, 'xb')                         # x: an existing file is an error
    except FileExistsError:
        raise Refused(f'{printable(name)} occurs twice, or in two spellings that are the same file '
                      f'here; get the archive elsewhere') from None


# ---- what is read --------------------------------------------------------------------------------

@contextmanager
def _refuse_damaged() -> Iterator[None]:
    """Any error from a damaged archive becomes Refused.

    The block must only read: the error of a full disk must stay what it is.
    """
    try:
        yield
    except (Refused, FileNotFoundError, IsADirectoryError, PermissionError, ReadError):
        raise
    except Exception as error:
        raise Refused(f'damaged ({type(error).__name__}: {printable(error)}); get it '
                      f'again') from None


def _members(archive: Path, limit: int) -> Iterator[Member]:
    """The members of a .tar, .tar.gz or .zip."""
    with _refuse_damaged(), open_regular(archive) as file:
        head = file.read(512)
        file.seek(0)
        if head[:4] in (b'PK\3\4', b'PK\5\6'):
            yield from _zip_members(file)
        elif head[:2] == b'\x1f\x8b':
            with gzip.GzipFile(fileobj=file) as plain:
                yield from _tar_members(file, _LimitedFile(plain, limit))
        elif _is_tar(head):
            yield from _tar_members(file, _LimitedFile(file, limit))
        else:
            page = ': a web page' if head.lstrip()[:1] == b'<' else ''
            raise Refused(f'not a .tar, .tar.gz or .zip (it begins with {head[:16]!r}{page}); get '
                          f'it again')


def _is_tar(head: bytes) -> bool:
    """Whether this is a header, or the end of an empty tar. tarfile would also try to unpack it."""
    try:
        tarfile.TarInfo.frombuf(head, 'utf-8', 'surrogateescape')
    except tarfile.HeaderError:
        return head[257:262] == b'ustar' or head == bytes(512)
    return True


def _chunks(content: Any, size: int,
            position: Callable[[], int]) -> Iterator[tuple[bytes, int]]:
    """The content of a member in chunks; position() is how far the archive has been read."""
    with _refuse_damaged():
        while chunk := content.read(CHUNK):
            size -= len(chunk)
            yield chunk, position()
        if size:                                        # zipfile goes by the checksum alone
            raise Refused('damaged: a file does not have the length it claims; get it again')


def _not_a_file(name: str) -> Refused:
    return Refused(f"the member '{printable(name)}' is neither a file nor a folder but a link, a "
                   f"device or the like; get the archive elsewhere")


class _LimitedFile:
    """A file that is never read further than `limit`, and of headers only MAX_HEADERS in a row.

    tarfile reads as much as a header claims that the next header takes, and as many headers as
    there are before a member.
    """

    def __init__(self, file: Any, limit: int) -> None:
        self.file = file
        self.limit = limit
        self.seek = file.seek
        self.tell = file.tell
        self.headers_left: float = MAX_HEADERS

    def read(self, size: int) -> bytes:
        if size > self.headers_left:
            raise Refused(f'a header of {size:,} bytes, or {MAX_HEADERS:,} bytes of headers before '
                          f'one member, more than any data set: a decompression bomb')
        if self.tell() > self.limit:
            raise Refused(f'more than {self.limit:,} bytes, more than any data set: a '
                          f'decompression bomb')
        self.headers_left -= size
        data: bytes = self.file.read(size)
        return data


def _tar_members(file: BinaryIO, plain: _LimitedFile) -> Iterator[Member]:
    """`file` is the archive, `plain` its uncompressed content."""
    readable: Any = plain               # as far as tarfile reads a file
    with tarfile.open(fileobj=readable, mode='r:') as tar:
        while (member := _next_member(tar, plain)) is not None:
            tar.members.clear()     # type: ignore[attr-defined]    # a list that would only grow
            is_plain = member.type in (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.DIRTYPE)
            if not is_plain or member.issparse():
                raise _not_a_file(member.name)
            content = None if member.isdir() else tar.extractfile(member)
            yield Member(member.name, member.isdir(), _chunks(content, member.size, file.tell))
        # tarfile takes a header that it cannot read for the end, and a block of zeros in the
        # middle, too. At the true end there is such a block, and nothing after it
        plain.seek(tar.offset)
        if plain.read(512) != bytes(512):
            raise Refused(f'damaged or cut short at byte {tar.offset:,}; get it again')
        while chunk := plain.read(CHUNK):               # gzip verifies its checksum at the end
            if chunk.strip(b'\0'):
                raise Refused(f'damaged: members follow its end at byte {tar.offset:,}; get it '
                              f'again')


def _next_member(tar: tarfile.TarFile, plain: _LimitedFile) -> tarfile.TarInfo | None:
    plain.headers_left = MAX_HEADERS
    # without a first member Python 3.10 would seek to before the archive
    member = tar.next() if tar.offset else None
    plain.headers_left = math.inf                       # what follows is the content of the member
    if member and len(member.pax_headers) > MAX_KEYS:   # each is copied for every member
        raise Refused(f'{len(member.pax_headers):,} pax keys; get the archive elsewhere')
    return member


class _ZipReader:
    """A zip as zipfile reads it, but that its list of members has a limit."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.seek = file.seek
        self.tell = file.tell
        self.seekable = file.seekable

    def read(self, size: int = -1) -> bytes:
        if size > MAX_ZIP_LIST:                         # members are read in chunks
            raise Refused(f'its list of members has more than {MAX_ZIP_LIST:,} bytes; unpack it by '
                          f'hand')
        return self.file.read(size)


def _zip_members(file: BinaryIO) -> Iterator[Member]:
    with zipfile.ZipFile(_ZipReader(file)) as zipped:
        members = zipped.infolist()
        _verify_member_count(file, len(members))
        for member in members:
            kind = stat.S_IFMT(member.external_attr >> 16)
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise _not_a_file(member.orig_filename)
            is_encrypted = member.flag_bits & 1
            if is_encrypted or member.compress_type not in (zipfile.ZIP_STORED,
                                                            zipfile.ZIP_DEFLATED):
                raise Refused(f"the member '{printable(member.orig_filename)}' is encrypted, or "
                              f"compressed by another method than deflate; unpack it by hand")
            content = None if member.is_dir() else zipped.open(member)
            yield Member(member.orig_filename, member.is_dir(),
                         _chunks(content, member.file_size, file.tell))


def _verify_member_count(file: BinaryIO, count: int) -> None:
    """zipfile goes by the length of the list of members alone: whole entries may be missing."""
    size = file.seek(0, io.SEEK_END)
    file.seek(max(0, size - ZIP_TRAILER))
    end = file.read()
    end = end[end.rfind(b'PK\5\6'):]
    claimed = int.from_bytes(end[10:12], 'little')
    if claimed not in (count & 0xFFFF, 0xFFFF):
        raise Refused('damaged: its list of members does not have the length it claims; get it '
                      'again')
