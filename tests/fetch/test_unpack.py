"""Archives: the right come out whole; the hostile and damaged are named, and leave nothing."""
import gzip
import io
import os
import resource
import stat
import tarfile
import zipfile
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from test_weights_fuzz import mutated

from tinyfcn.fetch import unpack as unpacking
from tinyfcn.fetch.unpack import unpack

RNG = np.random.default_rng(5)
SET = {'set/images/a.jpg': RNG.bytes(3000), 'set/images/b.jpg': RNG.bytes(700),
       'set/labels/a.txt': b'0 1 2 3\n' * 90, 'set/labels/ü b.txt': b'', 'set/train.txt': b'a\nb\n'}


def tar_of(files, kind='w:', form=tarfile.GNU_FORMAT):
    """files: {name: bytes, or a TarInfo type with a linkname, None for a folder}, or pairs."""
    with tarfile.open(fileobj=(out := io.BytesIO()), mode=kind, format=form) as tar:
        for name, content in files.items() if isinstance(files, dict) else files:
            info, data = tarfile.TarInfo(name), b''
            if content is None:
                info.type = tarfile.DIRTYPE
            elif isinstance(content, tuple):
                info.type, info.linkname = content
            else:
                info.size, data = len(content), content
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def zip_of(files, method=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(out := io.BytesIO(), 'w', method) as zipped:
        for name, content in files.items() if isinstance(files, dict) else files:
            info = zipfile.ZipInfo(name if content is not None else name + '/')
            info.filename = info.orig_filename = name if content is not None else name + '/'
            info.compress_type = method
            if isinstance(content, tuple):
                info.external_attr, content = content[0] << 16, content[1].encode()
            zipped.writestr(info, content or b'')
    return out.getvalue()


def found(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes()
            for path in folder.rglob('*') if path.is_file()}


def written(tmp_path, data):
    path = tmp_path / 'archive'
    path.write_bytes(data)
    return path


WHOLE = {
    'tar': tar_of(SET), 'pax': tar_of(SET, form=tarfile.PAX_FORMAT), 'tar.gz': tar_of(SET, 'w:gz'),
    'zip': zip_of(SET), 'stored zip': zip_of(SET, zipfile.ZIP_STORED),
    'with folders': tar_of({'set': None, 'set/images': None, './set/': None, **SET}),
    'zip with folders': zip_of({'set': None, **SET}),
    'zip with a comment': None,
}
with zipfile.ZipFile(commented := io.BytesIO(zip_of(SET)), 'a') as _zipped:
    _zipped.comment = b'0123456789' * 4
WHOLE['zip with a comment'] = commented.getvalue()


@pytest.mark.parametrize('data', WHOLE.values(), ids=WHOLE)
def test_what_is_right_comes_out_whole(tmp_path, data):
    archive, seen = written(tmp_path, data), []
    unpack(archive, tmp_path / 'new', lambda *done: seen.append(done))
    assert found(tmp_path / 'new') == SET
    assert seen and all(0 < done <= len(data) == total and name == 'archive'
                        for done, total, name in seen)


def test_long_names_and_large_files(tmp_path):
    files = {'d' * 120 + '/' + 'n' * 150 + '.png': RNG.bytes(3 << 20)}
    for form in tarfile.GNU_FORMAT, tarfile.PAX_FORMAT:
        unpack(written(tmp_path, tar_of(files, form=form)), tmp_path / f'new{form}')
        assert found(tmp_path / f'new{form}') == files


def test_nothing_is_written_over(tmp_path):
    (tmp_path / 'new').mkdir()
    (tmp_path / 'new/mine.txt').write_text('mine')
    with pytest.raises(FileExistsError):
        unpack(written(tmp_path, tar_of(SET)), tmp_path / 'new')
    assert (tmp_path / 'new/mine.txt').read_text() == 'mine'


def sparse_by_pax():
    """A regular file by its type; a list of holes goes before it."""
    info = tarfile.TarInfo('set/a')
    info.size, info.pax_headers = 1, {'GNU.sparse.map': '9,1', 'GNU.sparse.size': '10'}
    return info.tobuf(tarfile.PAX_FORMAT) + b'1'.ljust(512, b'\0') + bytes(1024)


NAMES = {
    '..': ('../evil', 'leads out of the folder'),
    'a .. within': ('set/../../evil', 'leads out of the folder'),
    'absolute': ('/evil', 'is no path from the folder downwards'),
    'backslash': ('set\\..\\evil', 'is no path from the folder downwards'),
    'drive': ('C:evil', 'is no path from the folder downwards'),
    'a device of Windows': ('set/NUL.txt', 'has the name of a device'),
    'a bell': ('set/\a', 'has a name that not every system can write'),
    'a dot at its end': ('set/a.', 'has a name that not every system can write'),
    'too long a name': ('n' * 256, 'has a name that not every system can write'),
}
LINK, HARD = tarfile.SYMTYPE, tarfile.LNKTYPE
HOSTILE = {
    **{f'{kind}: {what}': (make([(name, b'evil')]), complaint)
       for what, (name, complaint) in NAMES.items()
       for kind, make in [('tar', tar_of), ('zip', zip_of)]},
    'tar: symlink': (tar_of({'set/a': (LINK, '/etc/passwd')}), "'set/a' is neither a file nor"),
    'zip: symlink': (zip_of({'set/a': (stat.S_IFLNK, '/etc/passwd')}), "'set/a' is neither a file"),
    'tar: through a symlink': (tar_of([('x', (LINK, '..')), ('x/evil', b'evil')]),
                               "'x' is neither"),
    'zip: through a symlink': (zip_of([('x', (stat.S_IFLNK, '..')), ('x/evil', b'evil')]),
                               "'x' is neither"),
    'tar: hardlink': (tar_of({'set/a': (HARD, '../outside')}), "'set/a' is neither a file nor"),
    'tar: device': (tar_of({'set/a': (tarfile.CHRTYPE, '')}), "'set/a' is neither a file nor"),
    'zip: device': (zip_of({'set/a': (stat.S_IFCHR, '')}), "'set/a' is neither a file nor"),
    'tar: pipe': (tar_of({'set/a': (tarfile.FIFOTYPE, '')}), "'set/a' is neither a file nor"),
    'tar: sparse': (tar_of({'set/a': (tarfile.GNUTYPE_SPARSE, '')}), "'set/a' is neither a file"),
    'tar: bomb': (gzip.compress(tar_of({'set/a': bytes(64 << 20)})), 'a bomb'),
    'tar: bomb at its end': (gzip.compress(tar_of({'set/a': b'1'}) + bytes(64 << 20)), 'a bomb'),
    'tar: sparse by pax': (sparse_by_pax(), "'set/a' is neither a file nor"),
    'zip: bomb': (zip_of({'set/a': bytes(64 << 20)}), 'set/a swells it to over .* a bomb'),
    'zip: many that are small': (zip_of({f'{i}': bytes(4 << 20) for i in range(16)}), 'a bomb'),
    'tar: twice': (tar_of([('set/a', b'1'), ('./set//a', b'2')]), './set//a comes twice'),
    'zip: twice': (zip_of([('set/a', b'1'), ('./set//a', b'2')]), './set//a comes twice'),
    'tar: below a file': (tar_of([('a', b'1'), ('a/b', b'2')]), 'a/b lies in what is also a file'),
    'zip: a folder and a file': (zip_of([('a', b'1'), ('a', None)]), 'lies in what is also a file'),
}


@pytest.mark.parametrize('data, complaint', HOSTILE.values(), ids=HOSTILE)
def test_what_is_hostile_is_named_and_leaves_nothing(tmp_path, data, complaint):
    inner = tmp_path / 'inner'
    inner.mkdir()
    (tmp_path / 'outside').write_text('safe')
    archive = written(inner, data)
    with pytest.raises(ValueError, match=complaint) as error:
        unpack(archive, inner / 'new')
    assert str(error.value).startswith(f'{archive}: ')
    assert [*inner.iterdir()] == [archive] and found(tmp_path)['outside'] == b'safe'
    assert {path.name for path in tmp_path.iterdir()} == {'inner', 'outside'}


def test_more_members_than_any_set_has(tmp_path, monkeypatch):
    monkeypatch.setattr(unpacking, 'MEMBERS', len(SET) - 1)
    with pytest.raises(ValueError, match='archive: more than 4 members; this is no data set'):
        unpack(written(tmp_path, WHOLE['zip']), tmp_path / 'new')


def huge_header():
    """What comes before a member, and claims to be 1 GiB long."""
    info = tarfile.TarInfo('header')
    info.type, info.size = tarfile.XHDTYPE, 1 << 30
    return info.tobuf()


DAMAGED = {
    'nothing': (b'', 'no .tar, .tar.gz or .zip'),
    'a web page': (b'<!doctype html><title>404</title>' * 40, 'a web page'),
    'no members': (tar_of({}), 'nothing is in it'),
    'no members in a zip': (zip_of({}), 'nothing is in it'),
    'half a tar': (WHOLE['tar'][:3000], 'damaged'),
    'a tar without its end': (tar_of({'a': b'1'})[:1024], 'damaged or cut short at byte 1,024'),
    'half a tar.gz': (WHOLE['tar.gz'][:2000], 'damaged'),
    'half a zip': (WHOLE['zip'][:2000], 'damaged'),
    'a header in the middle': (WHOLE['tar'][:3584] + b'x' + WHOLE['tar'][3585:],
                               'damaged or cut short at byte 3,584'),
    'a flipped bit in a tar.gz': (WHOLE['tar.gz'][:-6] + b'xxxxxx', 'damaged'),
    'encrypted': (WHOLE['zip'].replace(b'PK\1\2\x14\x03\x14\0\0\0', b'PK\1\2\x14\x03\x14\0\1\0'),
                  'is encrypted, or packed by another method'),
    'bzip2 in a zip': (zip_of(SET, zipfile.ZIP_BZIP2), 'by another method'),
    'a header of a GiB': (gzip.compress(huge_header() + bytes(1 << 20)), 'of 1,073,741,824 bytes'),
}


@pytest.mark.parametrize('data, complaint', DAMAGED.values(), ids=DAMAGED)
def test_what_is_damaged_is_named(tmp_path, data, complaint):
    archive = written(tmp_path, data)
    with pytest.raises(ValueError, match=complaint) as error:
        unpack(archive, tmp_path / 'new')
    assert str(error.value).startswith(f'{archive}: ')
    assert [*tmp_path.iterdir()] == [archive]


def test_a_list_of_members_that_was_cut(tmp_path):
    """zipfile goes by the length of the list alone: a whole last entry may be missing unseen."""
    data = bytearray(zip_of({'aa': b'1', 'bb': b'2'}))
    assert data[-22:-18] == b'PK\5\6'
    entry = int.from_bytes(data[-10:-6], 'little') // 2
    start = int.from_bytes(data[-6:-2], 'little')
    data[-10:-6], data[-6:-2] = (n.to_bytes(4, 'little') for n in (entry, start + entry))
    del data[start:start + entry]
    data[-6:-2] = start.to_bytes(4, 'little')
    with pytest.raises(ValueError, match='its list of members is not as long as it says'):
        unpack(written(tmp_path, bytes(data)), tmp_path / 'new')


@pytest.mark.parametrize('data', [WHOLE['tar'], WHOLE['zip']], ids=['tar', 'zip'])
def test_ctrl_c_leaves_nothing(tmp_path, data):
    def report(*done):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        unpack(written(tmp_path, data), tmp_path / 'new', report)
    assert not (tmp_path / 'new').exists()


@pytest.mark.parametrize('make', [tar_of, zip_of])
def test_a_full_disk_is_called_so(tmp_path, make):
    archive = written(tmp_path, make({'a': RNG.bytes(1 << 18)}))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 17, limits[1]))     # as near as one comes
    try:
        with pytest.raises(OSError, match='File too large'):
            unpack(archive, tmp_path / 'new')
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not (tmp_path / 'new').exists()


# ---- Damage by chance

@pytest.mark.parametrize('count', [150, pytest.param(2000, marks=pytest.mark.fuzz)])
@pytest.mark.parametrize('kind', ['tar', 'pax', 'tar.gz', 'zip'])
def test_what_is_damaged_is_refused_or_whole(tmp_path, kind, count):
    """In a tar only headers have a checksum: a picture, or a pax name, may differ unseen."""
    rng, whole, refused = np.random.default_rng(11), 0, 0
    with TemporaryDirectory(dir='/dev/shm' if os.access('/dev/shm', os.W_OK) else None) as name:
        folder = tmp_path.__class__(name)
        for i in range(count):
            archive = written(folder, mutated(WHOLE[kind], rng))
            try:
                unpack(archive, folder / f'{i}')
            except ValueError as error:
                assert str(error).startswith(f'{archive}: ')
                assert not (folder / f'{i}').exists()
                refused += 1
            else:
                files = found(folder / f'{i}')
                if kind in ('tar', 'pax'):
                    assert sorted(map(len, files.values())) == sorted(map(len, SET.values()))
                else:
                    assert files == SET
                whole += 1
    assert refused > count / 10 and (whole or kind == 'tar.gz'), (whole, refused)   # one long CRC
