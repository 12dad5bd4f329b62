"""Good archives are unpacked completely; malicious and damaged ones are named and leave nothing."""
import gzip
import io
import lzma
import os
import stat
import tarfile
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from bounded_reader import bounded_reader
from portable import resource
from test_weights_fuzz import damage

from tinyfcn.fetch import unpack as unpack_module
from tinyfcn.fetch.unpack import remove_folder, unpack

RNG = np.random.default_rng(5)
FILES = {'set/images/a.jpg': RNG.bytes(3000), 'set/images/b.jpg': RNG.bytes(700),
         'set/labels/a.txt': b'0 1 2 3\n' * 90, 'set/labels/ü b.txt': b'',
         'set/train.txt': b'a\nb\n'}


def tar_of(files, mode='w:', form=tarfile.GNU_FORMAT):
    """files: {name: bytes, (TarInfo type, linkname), or None for a folder}, or such pairs."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode, format=form) as tar:
        for name, content in files.items() if isinstance(files, dict) else files:
            info = tarfile.TarInfo(name)
            data = b''
            if content is None:
                info.type = tarfile.DIRTYPE
            elif isinstance(content, tuple):
                info.type, info.linkname = content
            else:
                info.size = len(content)
                data = content
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def zip_of(files, method=zipfile.ZIP_DEFLATED):
    """files: {name: bytes, (file type, link target), or None for a folder}, or such pairs."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, 'w', method) as zipped:
        for name, content in files.items() if isinstance(files, dict) else files:
            if content is None:
                name += '/'
            info = zipfile.ZipInfo(name)
            info.filename = name                        # ZipInfo has changed what is unusual in it
            info.orig_filename = name
            info.compress_type = method
            if isinstance(content, tuple):
                file_type, target = content
                info.external_attr = file_type << 16
                content = target.encode()
            zipped.writestr(info, content or b'')
    return out.getvalue()


def with_comment(zip_bytes):
    out = io.BytesIO(zip_bytes)
    with zipfile.ZipFile(out, 'a') as zipped:
        zipped.comment = b'0123456789' * 4
    return out.getvalue()


def files_in(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes()
            for path in folder.rglob('*') if path.is_file()}


def write_archive(folder, data):
    path = folder / 'archive'
    path.write_bytes(data)
    return path


GOOD = {
    'tar': tar_of(FILES),
    'pax': tar_of(FILES, form=tarfile.PAX_FORMAT),
    'tar.gz': tar_of(FILES, 'w:gz'),
    'zip': zip_of(FILES),
    'stored zip': zip_of(FILES, zipfile.ZIP_STORED),
    'with folders': tar_of({'set': None, 'set/images': None, './set/': None, **FILES}),
    'zip with folders': zip_of({'set': None, **FILES}),
    'zip with a comment': with_comment(zip_of(FILES)),
}


@pytest.mark.parametrize('data', GOOD.values(), ids=GOOD)
def test_a_good_archive_is_unpacked_completely(tmp_path, data):
    archive = write_archive(tmp_path, data)
    reports = []
    unpack(archive, tmp_path / 'new', lambda *args: reports.append(args))
    assert files_in(tmp_path / 'new') == FILES
    assert reports and all(0 < done <= len(data) == total and name == 'archive'
                           for done, total, name in reports)


def test_long_names_and_large_files(tmp_path):
    files = {'d' * 120 + '/' + 'n' * 150 + '.png': RNG.bytes(3 << 20)}
    for form in tarfile.GNU_FORMAT, tarfile.PAX_FORMAT:
        unpack(write_archive(tmp_path, tar_of(files, form=form)), tmp_path / f'new{form}')
        assert files_in(tmp_path / f'new{form}') == files


def test_nothing_is_overwritten(tmp_path):
    (tmp_path / 'new').mkdir()
    (tmp_path / 'new/own.txt').write_text('own')
    with pytest.raises(FileExistsError):
        unpack(write_archive(tmp_path, tar_of(FILES)), tmp_path / 'new')
    assert (tmp_path / 'new/own.txt').read_text() == 'own'


def sparse_by_pax():
    """A regular file by its type, but a pax header before it lists the gaps of a sparse file."""
    info = tarfile.TarInfo('set/a')
    info.size = 1
    info.pax_headers = {'GNU.sparse.map': '9,1', 'GNU.sparse.size': '10'}
    return info.tobuf(tarfile.PAX_FORMAT) + b'1'.ljust(512, b'\0') + bytes(1024)


def tar_with_header(kind, keys, times=1):
    """A file after pax headers, of its own or for all that follow."""
    text = b''.join(f'{len(key) + len(value) + 5} {key}={value}\n'.encode()
                    for key, value in keys.items())
    header = tarfile.TarInfo('header')
    header.type = kind
    header.size = len(text)
    text += bytes(-len(text) % 512)
    return (header.tobuf() + text) * times + tar_of({'set/a': b'1'})


NAMES = {
    '..': ('../evil', 'points outside the folder'),
    'a .. within': ('set/../../evil', 'points outside the folder'),
    'absolute': ('/evil', 'is not a path relative to the folder'),
    'backslash': ('set\\..\\evil', 'is not a path relative to the folder'),
    'drive': ('C:evil', 'is not a path relative to the folder'),
    'a device of Windows': ('set/NUL.txt', 'has the name of a device'),
    'a bell': ('set/\a', 'has a name that not every system can write'),
    'a dot at its end': ('set/a.', 'has a name that not every system can write'),
    'no name': ('./.', 'has no name'),
    'too long a name': ('n' * 256, 'has a name that not every system can write'),
}
NESTED = [('/'.join('d' * 200) + f'/{i}', b'') for i in range(3)]
NOT_A_FILE = "'set/a' is neither a file nor a folder"
BOMB = 'decompression bomb'
BELOW_A_FILE = 'is in a folder that is also a file'
MALICIOUS = {
    **{f'{kind}: {what}': (make([(name, b'evil')]), message)
       for what, (name, message) in NAMES.items()
       for kind, make in [('tar', tar_of), ('zip', zip_of)]},
    'tar: symlink': (tar_of({'set/a': (tarfile.SYMTYPE, '/etc/passwd')}), NOT_A_FILE),
    'zip: symlink': (zip_of({'set/a': (stat.S_IFLNK, '/etc/passwd')}), NOT_A_FILE),
    'tar: through a symlink': (tar_of([('x', (tarfile.SYMTYPE, '..')), ('x/evil', b'evil')]),
                               "'x' is neither"),
    'zip: through a symlink': (zip_of([('x', (stat.S_IFLNK, '..')), ('x/evil', b'evil')]),
                               "'x' is neither"),
    'tar: hardlink': (tar_of({'set/a': (tarfile.LNKTYPE, '../outside')}), NOT_A_FILE),
    'tar: device': (tar_of({'set/a': (tarfile.CHRTYPE, '')}), NOT_A_FILE),
    'zip: device': (zip_of({'set/a': (stat.S_IFCHR, '')}), NOT_A_FILE),
    'tar: pipe': (tar_of({'set/a': (tarfile.FIFOTYPE, '')}), NOT_A_FILE),
    'tar: sparse': (tar_of({'set/a': (tarfile.GNUTYPE_SPARSE, '')}), NOT_A_FILE),
    'tar: sparse by pax': (sparse_by_pax(), NOT_A_FILE),
    'tar: bomb': (gzip.compress(tar_of({'set/a': bytes(64 << 20)})), BOMB),
    'tar: bomb at its end': (gzip.compress(tar_of({'set/a': b'1'}) + bytes(64 << 20)), BOMB),
    'zip: bomb': (zip_of({'set/a': bytes(64 << 20)}), f'set/a expands it .* {BOMB}'),
    'zip: many that are small': (zip_of({f'{i}': bytes(4 << 20) for i in range(16)}), BOMB),
    'tar: folders in folders': (tar_of(NESTED), 'is in 200 folders, one in another'),
    'zip: folders in folders': (zip_of(NESTED), 'is in 200 folders, one in another'),
    'tar: a pax header of many keys': (
        tar_with_header(tarfile.XHDTYPE, {f'k{i:05}': 'v' for i in range(20_000)}), 'header of'),
    'tar: keys for all members': (
        tar_with_header(tarfile.XGLTYPE, {f'k{i:05}': 'v' for i in range(500)}), '500 pax keys'),
    'tar: headers before headers': (
        tar_with_header(tarfile.XHDTYPE, {f'k{i:05}': 'v' for i in range(100)}, 200), 'headers'),
    'tar: twice': (tar_of([('set/a', b'1'), ('./set//a', b'2')]), './set//a occurs twice'),
    'zip: twice': (zip_of([('set/a', b'1'), ('./set//a', b'2')]), './set//a occurs twice'),
    'tar: below a file': (tar_of([('a', b'1'), ('a/b', b'2')]), f'a/b {BELOW_A_FILE}'),
    'zip: a folder and a file': (zip_of([('a', b'1'), ('a', None)]), BELOW_A_FILE),
}


@pytest.mark.parametrize('data, message', MALICIOUS.values(), ids=MALICIOUS)
def test_a_malicious_archive_is_named_and_leaves_nothing(tmp_path, data, message):
    inner = tmp_path / 'inner'
    inner.mkdir()
    (tmp_path / 'outside').write_text('safe')
    archive = write_archive(inner, data)
    with pytest.raises(ValueError, match=message) as error:
        unpack(archive, inner / 'new')
    assert str(error.value).startswith(f'{archive}: ')
    assert [*inner.iterdir()] == [archive] and files_in(tmp_path)['outside'] == b'safe'
    assert {path.name for path in tmp_path.iterdir()} == {'inner', 'outside'}


def test_more_members_than_any_data_set_has(tmp_path, monkeypatch):
    monkeypatch.setattr(unpack_module, 'MAX_MEMBERS', len(FILES) - 1)
    with pytest.raises(ValueError, match='archive: more than 4 members'):
        unpack(write_archive(tmp_path, GOOD['zip']), tmp_path / 'new')


def test_more_folders_than_a_small_archive_may_have(tmp_path, monkeypatch):
    """Folders count, too: here 20 files need 620 of them."""
    monkeypatch.setattr(unpack_module, 'FREE_MEMBERS', 60)
    files = [(f'{i}/' + '/'.join('d' * 30) + '/x', b'') for i in range(20)]
    archive = write_archive(tmp_path, gzip.compress(tar_of(files)))
    with pytest.raises(ValueError, match=r'archive: more than \d\d members in \d\d\d bytes; no'):
        unpack(archive, tmp_path / 'new')
    assert [*tmp_path.iterdir()] == [archive]


def test_the_members_of_an_archive_take_some_of_its_bytes(tmp_path):
    """Empty files of 6 bytes each in a .tar.gz: half a million would take a minute."""
    data = gzip.compress(tar_of([(f'{i}', b'') for i in range(2000)]))
    with pytest.raises(ValueError, match=r'archive: more than 1,\d\d\d members'):
        unpack(write_archive(tmp_path, data), tmp_path / 'new')


def huge_header():
    """A header that claims that the next one is 1 GiB long."""
    info = tarfile.TarInfo('header')
    info.type = tarfile.XHDTYPE
    info.size = 1 << 30
    return info.tobuf()


def without_content(data):
    """A zip whose list says that its first member takes no bytes, and has the checksum of none."""
    at = data.index(b'PK\1\2') + 16
    return data[:at] + bytes(8) + data[at + 8:]


DAMAGED = {
    'nothing': (b'', 'not a .tar, .tar.gz or .zip'),
    'a web page': (b'<!doctype html><title>404</title>' * 40, 'a web page'),
    'no members': (tar_of({}), 'the archive is empty'),
    'no members in a zip': (zip_of({}), 'the archive is empty'),
    'half a tar': (GOOD['tar'][:3000], 'damaged'),
    'a tar without its end': (tar_of({'a': b'1'})[:1024], 'damaged or cut short at byte 1,024'),
    'half a tar.gz': (GOOD['tar.gz'][:2000], 'damaged'),
    'half a zip': (GOOD['zip'][:2000], 'damaged'),
    'a header in the middle': (GOOD['tar'][:3584] + b'x' + GOOD['tar'][3585:],
                               'damaged or cut short at byte 3,584'),
    'a flipped bit in a tar.gz': (GOOD['tar.gz'][:-6] + b'xxxxxx', 'damaged'),
    'encrypted': (GOOD['zip'].replace(b'PK\1\2\x14\x03\x14\0\0\0', b'PK\1\2\x14\x03\x14\0\1\0'),
                  'is encrypted, or compressed by another method'),
    'bzip2 in a zip': (zip_of(FILES, zipfile.ZIP_BZIP2), 'by another method'),
    'zeros in the middle': (GOOD['tar'][:3584] + bytes(1024) + GOOD['tar'][3584:],
                            'members follow its end at byte 3,584'),
    'a member of a zip without content': (without_content(GOOD['zip']), 'the length it claims'),
    'a .tar.xz': (lzma.compress(GOOD['tar']), 'not a .tar, .tar.gz or .zip'),
    'a small .tar.xz': (lzma.compress(tar_of({'a': b'1'})), 'not a .tar, .tar.gz or .zip'),
    'a header of a GiB': (gzip.compress(huge_header() + bytes(1 << 20)), 'of 1,073,741,824 bytes'),
}


@pytest.mark.parametrize('data, message', DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_archive_is_named(tmp_path, data, message):
    archive = write_archive(tmp_path, data)
    with pytest.raises(ValueError, match=message) as error:
        unpack(archive, tmp_path / 'new')
    assert str(error.value).startswith(f'{archive}: ')
    assert [*tmp_path.iterdir()] == [archive]


def test_a_list_of_members_that_was_cut(tmp_path):
    """zipfile relies on its length in bytes, so it would not notice that an entry is missing."""
    data = bytearray(zip_of({'aa': b'1', 'bb': b'2'}))
    assert data[-22:-18] == b'PK\5\6'
    entry = int.from_bytes(data[-10:-6], 'little') // 2
    start = int.from_bytes(data[-6:-2], 'little')
    del data[start:start + entry]
    data[-10:-6] = entry.to_bytes(4, 'little')
    data[-6:-2] = start.to_bytes(4, 'little')
    with pytest.raises(ValueError, match='damaged: its list of members'):
        unpack(write_archive(tmp_path, bytes(data)), tmp_path / 'new')


@pytest.mark.parametrize('data', [GOOD['tar'], GOOD['zip']], ids=['tar', 'zip'])
def test_ctrl_c_leaves_nothing(tmp_path, data):
    def report(*args):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        unpack(write_archive(tmp_path, data), tmp_path / 'new', report)
    assert not (tmp_path / 'new').exists()


@pytest.mark.parametrize('make', [tar_of, zip_of])
def test_a_full_disk_is_reported_as_such(tmp_path, make):
    archive = write_archive(tmp_path, make({'a': RNG.bytes(1 << 18)}))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 17, limits[1]))     # stands in for a full disk
    try:
        with pytest.raises(OSError, match='File too large'):
            unpack(archive, tmp_path / 'new')
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not (tmp_path / 'new').exists()


# ---- random damage -------------------------------------------------------------------------------

COUNT = int(os.environ.get('TINYFCN_FUZZ', 1000))
ADDRESSES = 512 << 20           # bytes of RLIMIT_AS beyond those at the beginning
MEMORY = 32 << 20               # bytes that an archive of some kilobytes may need
SECONDS = 5                     # of the processor for one archive


def headers_at(data):
    return [at for at in range(0, len(data) - 511, 512) if data[at + 257:at + 262] == b'ustar']


def damage_inside(data, rng):
    """Damage what a checksum would give away, and make that right again."""
    if data[:2] == b'\x1f\x8b':
        return gzip.compress(damage_inside(gzip.decompress(data), rng), 1)
    is_zip = data[:2] == b'PK'
    new = bytearray(damage(data, rng) if not is_zip and rng.integers(2) else data)
    headers = [0, new.index(b'PK\1\2')] if is_zip else headers_at(new)
    for at in rng.choice(headers, 2) if headers else ():
        new[at + rng.integers(80 if is_zip else 500)] = rng.choice([0, 255, *b'./0172xgLKS'])
    for at in headers_at(new):
        new[at + 148:at + 156] = b' ' * 8
        new[at + 148:at + 156] = b'%06o\0 ' % sum(new[at:at + 512])
    return bytes(new)


def unpack_damaged(kind, change, count):
    """How many damaged archives were unpacked and how many refused, within the limits."""
    rng = np.random.default_rng(11)
    counts = dict(read=0, refused=0)
    with (TemporaryDirectory(dir='/dev/shm' if os.access('/dev/shm', os.W_OK) else None) as name,
          bounded_reader(limit=ADDRESSES) as reader):
        new = Path(name, 'inner/new')
        new.parent.mkdir()
        for i in range(count):
            archive = write_archive(new.parent, change(GOOD[kind], rng))
            outcome = reader.read(archive, f'tinyfcn.fetch.unpack.unpack {new}')
            assert outcome.kind in counts and outcome.message.isprintable(), (i, outcome)
            assert outcome.memory <= MEMORY and outcome.seconds <= SECONDS, (i, outcome)
            assert os.listdir(name) == ['inner']
            counts[outcome.kind] += 1
            if outcome.kind == 'refused':
                assert outcome.message.startswith(f'{archive}: ')
                assert os.listdir(new.parent) == ['archive']
                continue
            yield files_in(new)
            assert sorted(os.listdir(new.parent)) == ['archive', 'new']
            remove_folder(new)
    # a .tar.gz has one checksum over everything, so hardly any damage goes unnoticed
    assert counts['refused'] > count / 10 and (counts['read'] or kind == 'tar.gz'), counts


@pytest.mark.parametrize('count', [150, pytest.param(COUNT, marks=pytest.mark.fuzz)])
@pytest.mark.parametrize('kind', ['tar', 'pax', 'tar.gz', 'zip'])
def test_a_damaged_archive_is_refused_or_complete(kind, count):
    """In a tar only headers have a checksum: a damaged image or pax name is not detected."""
    for files in unpack_damaged(kind, damage, count):
        if kind in ('tar', 'pax'):
            assert sorted(map(len, files.values())) == sorted(map(len, FILES.values()))
        else:
            assert files == FILES


@pytest.mark.fuzz
@pytest.mark.parametrize('kind', ['tar', 'pax', 'tar.gz', 'zip'])
def test_damage_that_no_checksum_shows_is_refused_or_stays_in_the_folder(kind):
    for _ in unpack_damaged(kind, damage_inside, COUNT):
        pass


# ---- few open files, a bounded list of members ---------------------------------------------------

def test_a_refused_archive_leaves_nothing_where_few_files_may_be_open(tmp_path):
    """What it left before: folders so deep that removing them opened too many at once."""
    deep = [('/'.join('d' * 30) + f'/{i}', b'') for i in range(9)]
    archive = write_archive(tmp_path, tar_of([*deep, ('../evil', b'')]))
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    opened = max(int(name) for name in os.listdir('/proc/self/fd'))
    resource.setrlimit(resource.RLIMIT_NOFILE, (opened + 8, limits[1]))
    try:
        with pytest.raises(ValueError, match='points outside'):
            unpack(archive, tmp_path / 'new')
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert [*tmp_path.iterdir()] == [archive]


def test_the_list_of_a_zip_is_not_read_beyond_its_limit(tmp_path, monkeypatch):
    """zipfile reads it whole, and makes an object of each entry."""
    monkeypatch.setattr(unpack_module, 'MAX_ZIP_LIST', 10_000)
    archive = write_archive(tmp_path, zip_of({f'{i:030}': b'' for i in range(200)}))
    with pytest.raises(ValueError, match='archive: its list of members has more than 10,000 bytes'):
        unpack(archive, tmp_path / 'new')
    assert [*tmp_path.iterdir()] == [archive]


def test_a_pipe_is_no_archive(tmp_path):
    os.mkfifo(tmp_path / 'archive')
    with pytest.raises(ValueError, match='archive: a pipe or a device, not a file'):
        unpack(tmp_path / 'archive', tmp_path / 'new')
    assert not (tmp_path / 'new').exists()


def test_names_are_shown_printable(tmp_path):
    archive = write_archive(tmp_path, tar_of([('a', b'1'), ('a/\u202e\x1b[2J', b'2')]))
    with pytest.raises(ValueError) as error:
        unpack(archive, tmp_path / 'new')
    assert str(error.value).isprintable()
