"""An archive of pictures, unpacked by somebody who trusts nobody.

    unpack('VOCtrainval_11-May-2012.tar', 'voc2012')

.tar, .tar.gz and .zip, known by what is in them. Out come folders and regular files of plain names,
below `folder`, each written once; anything else is refused by name, and then nothing is left.
"""
import gzip
import io
import shutil
import stat
import tarfile
import zipfile
from contextlib import contextmanager
from pathlib import Path

MEMBERS, BYTES = 500_000, 1 << 36       # no set has as many; 64 GiB
RATIO = 100                             # pictures hardly shrink, rows of numbers to a 20th or so
CHUNK = 1 << 20
DEVICES = {'con', 'prn', 'aux', 'nul',                  # of Windows, whatever the suffix
           *(f'{port}{i}' for port in ('com', 'lpt') for i in range(10))}


def unpack(archive, folder, report=None):
    """Write what is in `archive` to the new folder `folder`, or raise and leave nothing.

    report(done, total, name of the archive) is called as it goes, in bytes of the archive.
    """
    archive, folder = Path(archive), Path(folder)
    size, members, written = archive.stat().st_size, 0, 0
    most = min(BYTES, RATIO * size + CHUNK)
    folder.mkdir(parents=True)
    try:
        for name, is_folder, chunks in _members(archive, most):
            members += 1
            if members > MEMBERS:
                raise ValueError(f'{archive}: more than {MEMBERS:,} members; this is no data set')
            path = folder / _plain(archive, name)
            if is_folder:
                _make(archive, name, path)
                continue
            _make(archive, name, path.parent)
            try:
                file = open(path, 'xb')                 # x: a second one of a name is refused
            except FileExistsError:
                raise ValueError(f'{archive}: {name} comes twice, or under two spellings that are '
                                 f'one here; get the archive elsewhere') from None
            with file:
                for chunk, done in chunks:
                    written += len(chunk)
                    if written > most:
                        raise ValueError(f'{archive}: {name} swells it to over {most:,} bytes from '
                                         f'{size:,}, as no data set does: a bomb')
                    file.write(chunk)
                    if report:
                        report(done, size, archive.name)
        if not members:
            raise ValueError(f'{archive}: nothing is in it; get it again')
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _plain(archive, name):
    """The name as a path that can lead nowhere but down."""
    def refused(why):
        return ValueError(f'{archive}: the member {name!r} {why}; get the archive elsewhere')

    if name.startswith('/') or '\\' in name or ':' in name:
        raise refused('is no path from the folder downwards (/, \\ or a drive)')
    parts = [part for part in name.split('/') if part not in ('', '.')]
    if '..' in parts:
        raise refused('leads out of the folder (..)')
    if any(part.split('.')[0].strip().lower() in DEVICES for part in parts):
        raise refused('has the name of a device')
    if (not name.isprintable() or len(name) > 1000
            or any(part != part.rstrip(' .') or len(part.encode()) > 255 for part in parts)):
        raise refused('has a name that not every system can write')
    return Path(*parts)


def _make(archive, name, folder):
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise ValueError(f'{archive}: {name} lies in what is also a file; get the archive '
                         f'elsewhere') from None


@contextmanager
def _reading(archive):
    """Whatever a damaged archive sets off in here becomes a ValueError that names it.

    Only reading is done in here: a disk that is full must stay what it is.
    """
    try:
        yield
    except _Refused as error:
        raise ValueError(f'{archive}: {error}') from None
    except (FileNotFoundError, IsADirectoryError, PermissionError):
        raise
    except Exception as error:
        raise ValueError(f'{archive}: damaged ({type(error).__name__}: {error}); get it '
                         f'again') from None


class _Refused(Exception):
    pass


def _members(archive, most):
    """-> name, whether it is a folder, and its chunks, each with how far the archive is read"""
    with _reading(archive), open(archive, 'rb') as file:
        head = file.read(512)
        file.seek(0)
        if head[:4] in (b'PK\3\4', b'PK\5\6'):
            yield from _of_zip(archive, file)
        elif head[:2] == b'\x1f\x8b':
            with gzip.GzipFile(fileobj=file) as plain:
                yield from _of_tar(archive, file, _Guarded(plain, most))
        elif head[257:262] == b'ustar' or tarfile.is_tarfile(io.BytesIO(head)):
            yield from _of_tar(archive, file, _Guarded(file, most))
        else:
            page = ': a web page' if head.lstrip()[:1] == b'<' else ''
            raise _Refused(f'no .tar, .tar.gz or .zip (it begins with {head[:16]!r}{page}); get '
                           f'it again')


def _chunks(archive, file, place):
    with _reading(archive):
        while chunk := file.read(CHUNK):
            yield chunk, place()


# ---- tar

class _Guarded:
    """A file that is never read further than `most`, nor by more than a chunk at once.

    tarfile reads a header of any length that the header before it claims.
    """

    def __init__(self, file, most):
        self.file, self.most, self.seek, self.tell = file, most, file.seek, file.tell

    def read(self, size):
        if size > CHUNK or self.tell() > self.most:
            raise _Refused(f'a header of {size:,} bytes, or over {self.most:,} bytes in all, as no '
                           f'data set has: a bomb')
        return self.file.read(size)


def _of_tar(archive, file, plain):
    with tarfile.open(fileobj=plain, mode='r:') as tar:
        while (member := tar.next()) is not None:
            tar.members.clear()                         # a list that would only grow
            if member.type not in (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.DIRTYPE) or (
                    member.issparse()):
                raise _Refused(f'the member {member.name!r} is neither a file nor a folder but a '
                               f'link, a device or the like; get the archive elsewhere')
            content = None if member.isdir() else tar.extractfile(member)
            yield member.name, member.isdir(), _chunks(archive, content, file.tell)
        # a header that cannot be read looks to tarfile like the end; the end is a block of zeros
        plain.seek(tar.offset)
        if plain.read(512) != bytes(512):
            raise _Refused(f'damaged or cut short at byte {tar.offset:,}; get it again')
        while plain.read(CHUNK):                        # gzip has its checksum behind the last byte
            pass


# ---- zip

def _of_zip(archive, file):
    with zipfile.ZipFile(file) as zipped:
        members = zipped.infolist()
        file.seek(max(0, archive.stat().st_size - 65_557))
        end = file.read()
        end = end[end.rfind(b'PK\5\6'):]
        if int.from_bytes(end[10:12], 'little') not in (len(members) & 0xFFFF, 0xFFFF):
            raise _Refused('damaged: its list of members is not as long as it says; get it again')
        for member in members:
            kind = stat.S_IFMT(member.external_attr >> 16)
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise _Refused(f'the member {member.orig_filename!r} is neither a file nor a '
                               f'folder but a link, a device or the like; get the archive '
                               f'elsewhere')
            if member.flag_bits & 1 or member.compress_type not in (zipfile.ZIP_STORED,
                                                                    zipfile.ZIP_DEFLATED):
                raise _Refused(f'the member {member.orig_filename!r} is encrypted, or packed by '
                               f'another method than deflate; unpack it by hand')
            content = None if member.is_dir() else zipped.open(member)
            yield member.orig_filename, member.is_dir(), _chunks(archive, content, file.tell)
