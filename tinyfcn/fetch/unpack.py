"""Unpack an archive that is not trusted.

    unpack('VOCtrainval_11-May-2012.tar', 'voc2012')

.tar, .tar.gz and .zip are recognised by their content. Only folders and regular files with plain
names are written, below `folder`, each once. Anything else is refused by name, and nothing is left.
"""
import gzip
import io
import shutil
import stat
import tarfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from .download import Report

MAX_MEMBERS = 500_000                   # more than any data set has
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


def unpack(archive, folder, report: Report | None = None):
    """Write the content of `archive` to the new folder `folder`, or raise and leave nothing.

    report(done, total, name of the archive) is called with bytes of the archive.
    """
    archive = Path(archive)
    folder = Path(folder)
    size = archive.stat().st_size
    limit = min(MAX_BYTES, MAX_RATIO * size + CHUNK)
    members = 0
    written = 0
    folder.mkdir(parents=True)
    try:
        for member in _members(archive, limit):
            members += 1
            if members > MAX_MEMBERS:
                raise ValueError(f'{archive}: more than {MAX_MEMBERS:,} members; no data set has '
                                 f'as many')
            path = folder / _safe_path(archive, member.name)
            if member.is_folder:
                _make_folder(archive, member.name, path)
                continue
            _make_folder(archive, member.name, path.parent)
            with _create(archive, member.name, path) as file:
                for chunk, done in member.chunks:
                    written += len(chunk)
                    if written > limit:
                        raise ValueError(f'{archive}: {member.name} expands it from {size:,} to '
                                         f'over {limit:,} bytes, more than any data set: a '
                                         f'decompression bomb')
                    file.write(chunk)
                    if report:
                        report(done, size, archive.name)
        if not members:
            raise ValueError(f'{archive}: the archive is empty; get it again')
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


# ---- what is written -----------------------------------------------------------------------------

def _safe_path(archive, name):
    """The name as a relative path that stays below the folder."""
    def refusal(why):
        return ValueError(f'{archive}: the member {name!r} {why}; get the archive elsewhere')

    if name.startswith('/') or '\\' in name or ':' in name:
        raise refusal('is not a path relative to the folder (/, \\ or a drive)')
    parts = [part for part in name.split('/') if part not in ('', '.')]
    if '..' in parts:
        raise refusal('points outside the folder (..)')
    if any(part.split('.')[0].strip().lower() in DEVICES for part in parts):
        raise refusal('has the name of a device')
    if (not name.isprintable() or len(name) > 1000
            or any(part != part.rstrip(' .') or len(part.encode()) > 255 for part in parts)):
        raise refusal('has a name that not every system can write')
    return Path(*parts)


def _make_folder(archive, name, folder):
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise ValueError(f'{archive}: {name} is in a folder that is also a file; get the archive '
                         f'elsewhere') from None


def _create(archive, name, path):
    try:
        return open(path, 'xb')                         # x: an existing file is an error
    except FileExistsError:
        raise ValueError(f'{archive}: {name} occurs twice, or in two spellings that are the same '
                         f'file here; get the archive elsewhere') from None


# ---- what is read --------------------------------------------------------------------------------

@contextmanager
def _describe_errors(archive):
    """Any error from a damaged archive becomes a ValueError that names the archive.

    The block must only read: the error of a full disk must stay what it is.
    """
    try:
        yield
    except Refused as error:
        raise ValueError(f'{archive}: {error}') from None
    except (FileNotFoundError, IsADirectoryError, PermissionError):
        raise
    except Exception as error:
        raise ValueError(f'{archive}: damaged ({type(error).__name__}: {error}); get it '
                         f'again') from None


def _members(archive, limit) -> Iterator[Member]:
    """The members of a .tar, .tar.gz or .zip."""
    with _describe_errors(archive), open(archive, 'rb') as file:
        head = file.read(512)
        file.seek(0)
        if head[:4] in (b'PK\3\4', b'PK\5\6'):
            yield from _zip_members(archive, file)
        elif head[:2] == b'\x1f\x8b':
            with gzip.GzipFile(fileobj=file) as plain:
                yield from _tar_members(archive, file, _LimitedFile(plain, limit))
        elif head[257:262] == b'ustar' or tarfile.is_tarfile(io.BytesIO(head)):
            yield from _tar_members(archive, file, _LimitedFile(file, limit))
        else:
            page = ': a web page' if head.lstrip()[:1] == b'<' else ''
            raise Refused(f'not a .tar, .tar.gz or .zip (it begins with {head[:16]!r}{page}); get '
                          f'it again')


def _chunks(archive, content, position):
    """The content of a member in chunks; position() is how far the archive has been read."""
    with _describe_errors(archive):
        while chunk := content.read(CHUNK):
            yield chunk, position()


def _not_a_file(name):
    return Refused(f'the member {name!r} is neither a file nor a folder but a link, a device or '
                   f'the like; get the archive elsewhere')


class _LimitedFile:
    """A file that is never read further than `limit`, nor by more than a chunk at once.

    tarfile reads as much as a header claims that the next header takes.
    """

    def __init__(self, file, limit):
        self.file = file
        self.limit = limit
        self.seek = file.seek
        self.tell = file.tell

    def read(self, size):
        if size > CHUNK or self.tell() > self.limit:
            raise Refused(f'a header of {size:,} bytes, or more than {self.limit:,} bytes in all, '
                          f'more than any data set: a decompression bomb')
        return self.file.read(size)


def _tar_members(archive, file, plain) -> Iterator[Member]:
    """`file` is the archive, `plain` its uncompressed content."""
    with tarfile.open(fileobj=plain, mode='r:') as tar:
        while (member := tar.next()) is not None:
            tar.members.clear()     # type: ignore[attr-defined]    # a list that would only grow
            is_plain = member.type in (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.DIRTYPE)
            if not is_plain or member.issparse():
                raise _not_a_file(member.name)
            content = None if member.isdir() else tar.extractfile(member)
            yield Member(member.name, member.isdir(), _chunks(archive, content, file.tell))
        # tarfile takes a header that it cannot read for the end, but the end is a block of zeros
        plain.seek(tar.offset)
        if plain.read(512) != bytes(512):
            raise Refused(f'damaged or cut short at byte {tar.offset:,}; get it again')
        while plain.read(CHUNK):                        # gzip verifies its checksum at the end
            pass


def _zip_members(archive, file) -> Iterator[Member]:
    with zipfile.ZipFile(file) as zipped:
        members = zipped.infolist()
        _verify_member_count(archive, file, len(members))
        for member in members:
            kind = stat.S_IFMT(member.external_attr >> 16)
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise _not_a_file(member.orig_filename)
            is_encrypted = member.flag_bits & 1
            if is_encrypted or member.compress_type not in (zipfile.ZIP_STORED,
                                                            zipfile.ZIP_DEFLATED):
                raise Refused(f'the member {member.orig_filename!r} is encrypted, or compressed '
                              f'by another method than deflate; unpack it by hand')
            content = None if member.is_dir() else zipped.open(member)
            yield Member(member.orig_filename, member.is_dir(),
                         _chunks(archive, content, file.tell))


def _verify_member_count(archive, file, count):
    """zipfile goes by the length of the list of members alone: whole entries may be missing."""
    file.seek(max(0, archive.stat().st_size - ZIP_TRAILER))
    end = file.read()
    end = end[end.rfind(b'PK\5\6'):]
    claimed = int.from_bytes(end[10:12], 'little')
    if claimed not in (count & 0xFFFF, 0xFFFF):
        raise Refused('damaged: its list of members does not have the length it claims; get it '
                      'again')
