"""Fetching data sets over HTTP, from a local server that fails in many ways."""
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from local_mirror import FILES, HALF, LENGTH, OTHER, RNG, SHA256, TAR
from portable import resource
from test_unpack import files_in, tar_of, zip_of

from tinyfcn.data.fetch import fetch_dataset, fetched_root
from tinyfcn.data.sources import SOURCES
from tinyfcn.fetch import download, http
from tinyfcn.fetch.archives import unpack_to
from tinyfcn.fetch.http import Unavailable


def is_complete(root, folder, files=FILES):
    assert root == folder / 'small/in/set'
    assert files_in(folder / 'small') == files
    return True


def holds_only(folder, *names):
    return sorted(path.name for path in folder.iterdir()) == sorted(names)


# ---- without failures ----------------------------------------------------------------------------

def test_a_data_set_is_fetched_once(server, small, tmp_path, log):
    url = server.serve('a', TAR)
    reports = []
    small(url)
    root = fetch_dataset('small', tmp_path / 'data', report=lambda *args: reports.append(args),
                         log=log.append)
    assert is_complete(root, tmp_path / 'data')
    assert holds_only(tmp_path / 'data', 'small', 'small.tar')
    assert (LENGTH, LENGTH, url) in reports             # the end of the download
    assert {source for _, _, source in reports} == {url, 'small.tar'}
    assert log == [f'{tmp_path}/data/small.tar is no longer needed']
    assert fetch_dataset('small', tmp_path / 'data', log=log.append) == root
    assert log[1:] == [f'{root} exists already: nothing is written']
    assert server.requests == [('a', None)]
    assert fetched_root('small', tmp_path / 'data') == root
    assert fetched_root('small', tmp_path) is None


@pytest.mark.parametrize('algorithm', ['md5', 'sha1', 'sha256'])
def test_checksums_of_three_kinds(server, small, tmp_path, algorithm):
    small(server.serve('a', OTHER), server.serve('b', TAR),
           checksum=hashlib.new(algorithm, TAR).hexdigest())
    assert is_complete(fetch_dataset('small', tmp_path), tmp_path)


def test_an_archive_that_is_there_is_not_fetched(server, small, tmp_path):
    small(server.serve('a', TAR))
    (tmp_path / 'small.tar').write_bytes(TAR)
    assert is_complete(fetch_dataset('small', tmp_path), tmp_path) and not server.requests


def test_a_zip_of_unknown_length(server, small, tmp_path):
    small(server.serve('a', zip_of(FILES), 'endless'), size=None, checksum=None)
    assert is_complete(fetch_dataset('small', tmp_path), tmp_path)


def test_lists_are_fetched_or_reported_missing(server, small, tmp_path, log):
    small(server.serve('a', TAR), lists={
        'labels/train.txt': server.serve('t', b'a\n'), 'val.txt': server.serve('v', b'', '404')})
    root = fetch_dataset('small', tmp_path, log=log.append)
    assert (root / 'labels/train.txt').read_bytes() == b'a\n'
    assert holds_only(root, 'images', 'labels')
    assert holds_only(root / 'labels', 'a.txt', 'train.txt')
    assert log[-1].endswith(f'/v: HTTP 404 Not Found; this list is missing: put it at '
                            f'{root}/val.txt')
    server.serve('v', b'b\n')
    fetch_dataset('small', tmp_path)                           # only the list is fetched
    assert (root / 'val.txt').read_bytes() == b'b\n'


# ---- interrupted downloads -----------------------------------------------------------------------

def test_a_cut_download_continues(server, small, tmp_path):
    small(server.serve('a', TAR, 'cut', 'cut', 'ok'))
    assert is_complete(fetch_dataset('small', tmp_path), tmp_path)
    three_quarters = HALF + (LENGTH - HALF) // 2
    assert server.requests == [('a', None), ('a', f'bytes={HALF}-'),
                               ('a', f'bytes={three_quarters}-')]


def test_the_next_run_continues_too(server, small, tmp_path):
    small(server.serve('a', TAR, 'cut:10000', '503', '503', '503'))
    with pytest.raises(OSError, match='HTTP 503'):
        fetch_dataset('small', tmp_path)
    server.behaviours['a'] = ['ok']
    assert is_complete(fetch_dataset('small', tmp_path), tmp_path)
    assert server.requests[-1] == ('a', 'bytes=10000-')
    assert holds_only(tmp_path, 'small', 'small.tar')       # no part is left


def test_a_long_file_over_a_bad_connection(server, small, tmp_path):
    """Only tries that bring less than a chunk are counted."""
    files = {**FILES, 'in/long': RNG.bytes(8 << 20)}
    data = tar_of(files)
    small(server.serve('a', data, f'cut:{5 << 18}'), size=len(data),
           checksum=hashlib.md5(data).hexdigest())
    assert is_complete(fetch_dataset('small', tmp_path), tmp_path, files)
    assert len(server.requests) == 7 > download.TRIES


def test_a_server_that_ignores_range(server, small, tmp_path):
    small(server.serve('a', TAR, 'cut', 'whole'))
    assert is_complete(fetch_dataset('small', tmp_path), tmp_path)
    assert len(server.requests) == 2


def test_a_server_that_stalls(server, small, tmp_path, log, monkeypatch):
    monkeypatch.setattr(http, 'TIMEOUT', .1)
    monkeypatch.setattr(download, 'TRIES', 2)
    small(server.serve('a', TAR, 'stall:0'), server.serve('b', TAR))

    def be_patient(line):
        log.append(line)
        monkeypatch.setattr(http, 'TIMEOUT', 30)

    assert is_complete(fetch_dataset('small', tmp_path, log=be_patient), tmp_path)
    assert 'timed out' in log[0] and [path for path, _ in server.requests] == ['a', 'a', 'b']


def test_a_part_that_is_complete(server, small, tmp_path):
    """A run ended between the last byte and the renaming."""
    url = server.serve('a', TAR)
    small(url, checksum=None, size=None)
    part = tmp_path / 'x.part'
    download.download(url, part)
    download.download(url, part)
    assert part.read_bytes() == TAR
    assert server.requests == [('a', None), ('a', f'bytes={LENGTH}-')]
    part.write_bytes(TAR + b'too long')
    download.version_file(part).write_text(server.tags['a']['ETag'])
    download.download(url, part)                        # 416, then from the beginning
    assert part.read_bytes() == TAR


@pytest.mark.parametrize('old, new', [
    (dict(ETag='"1"'), dict(ETag='"2"')), (dict(ETag='W/"1"'), dict(ETag='W/"1"')),
    (dict(Last_Modified='Mon, 02 Mar 2026 10:00:00 GMT'),
     dict(Last_Modified='Mon, 02 Mar 2026 10:00:01 GMT')), (dict(Server='x'), dict(Server='x'))],
    ids=['ETag', 'weak ETag', 'Last-Modified', 'nothing'])
def test_a_file_that_changes_between_two_requests(server, small, tmp_path, old, new):
    small(server.serve('a', TAR, 'cut', '503', **old), checksum=None, size=None)
    with pytest.raises(OSError, match='HTTP 503'):
        fetch_dataset('small', tmp_path)
    server.serve('a', OTHER, **new)
    root = fetch_dataset('small', tmp_path)
    assert (root / 'images/a.jpg').read_bytes() == FILES['in/set/images/a.jpg'][::-1]


def test_another_range_than_requested(server, small, tmp_path):
    small(server.serve('a', TAR, 'cut', 'shifted', 'ok'))
    assert is_complete(fetch_dataset('small', tmp_path), tmp_path)
    assert [wanted for _, wanted in server.requests] == [None, f'bytes={HALF}-', None]


def test_a_download_continues_after_kill_9(server, tmp_path):
    url = server.serve('a', TAR, 'stall:20000', 'ok')
    program = ('import sys; from pathlib import Path; from tinyfcn.fetch.download import download;'
               'download(sys.argv[1], Path(sys.argv[2]))')
    part = tmp_path / 'x.part'
    process = subprocess.Popen([sys.executable, '-c', program, url, str(part)])
    try:
        for _ in range(500):
            if part.exists() and part.stat().st_size:
                break
            time.sleep(.02)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    received = part.stat().st_size
    assert 0 < received <= 20000
    download.download(url, part)
    assert part.read_bytes() == TAR and server.requests[1:] == [('a', f'bytes={received}-')]


@pytest.mark.parametrize('size', [None, LENGTH])
def test_a_web_page_does_not_replace_the_part(server, small, tmp_path, size):
    """A network that requires a login sends one; the part must survive it."""
    small(server.serve('a', TAR, 'cut', 'html'), size=size)
    with pytest.raises(OSError, match='a web page|31 bytes'):
        fetch_dataset('small', tmp_path)
    server.behaviours['a'] = ['ok']
    assert is_complete(fetch_dataset('small', tmp_path), tmp_path)
    assert server.requests[-1] == ('a', f'bytes={HALF}-')


# ---- bad mirrors ---------------------------------------------------------------------------------

@pytest.mark.parametrize('data, behaviour, problem, n_requests', [
    (TAR, 'html', '31 bytes instead of', 1), (TAR, '404', 'HTTP 404 Not Found', 1),
    (TAR, '403', 'HTTP 403 Forbidden', 1), (TAR, '503', 'HTTP 503 Service Unavailable', 3),
    (TAR, 'cut:0', 'the connection ended at byte 0 of', 3), (OTHER, 'ok', 'its sha256 is ', 1),
    (TAR + b'\0', 'ok', f'{LENGTH + 1:,} bytes instead of {LENGTH:,}', 1)])
def test_the_next_mirror_is_tried(server, small, tmp_path, log, data, behaviour, problem,
                                  n_requests):
    bad = server.serve('bad', data, behaviour)
    good = server.serve('good', TAR)
    small(bad, good)
    assert is_complete(fetch_dataset('small', tmp_path, log=log.append), tmp_path)
    assert log[0].startswith(f'{bad}: {problem}')
    assert [path for path, _ in server.requests] == ['bad'] * n_requests + ['good']
    assert holds_only(tmp_path, 'small', 'small.tar')


def test_a_web_page_for_an_archive_of_unknown_length(server, small, tmp_path, log):
    small(server.serve('a', TAR, 'html'), server.serve('b', TAR), size=None, checksum=None)
    assert is_complete(fetch_dataset('small', tmp_path, log=log.append), tmp_path)
    assert log[0].endswith('/a: a web page instead of the file')


def test_all_mirrors_fail(server, small, tmp_path):
    unreachable = 'http://127.0.0.1:9/small.tar'       # no server listens on this port
    small(server.serve('a', TAR, '404'), server.serve('b', OTHER), unreachable)
    with pytest.raises(OSError) as error:
        fetch_dataset('small', tmp_path)
    first, a, b, c, last = str(error.value).splitlines()
    assert first == 'small.tar could not be fetched from any mirror:'
    assert 'a: HTTP 404' in a and 'b: its sha256 is' in b and b.endswith('the download is removed')
    assert c == f'  {unreachable}: Connection refused'
    assert last == ('get small.tar from elsewhere, and then: tinyfcn data small --from '
                    'small.tar')
    assert holds_only(tmp_path)


# ---- an archive of one's own, and one without a published checksum -------------------------------

def test_from_a_file(server, small, tmp_path, log):
    small(server.serve('a', TAR))
    own = tmp_path / 'own'
    own.write_bytes(TAR)
    root = fetch_dataset('small', tmp_path / 'data', archive=own, log=log.append)
    assert is_complete(root, tmp_path / 'data') and not log
    assert not server.requests and own.read_bytes() == TAR
    assert holds_only(tmp_path / 'data', 'small')


@pytest.mark.parametrize('data, message', [
    (OTHER, f'its sha256 is .* instead of {SHA256}; it is another file, or damaged'),
    (TAR[:-1], f'{LENGTH - 1:,} bytes instead of {LENGTH:,}')])
def test_from_a_wrong_file(server, small, tmp_path, data, message):
    small(server.serve('a', TAR))
    own = tmp_path / 'own'
    own.write_bytes(data)
    with pytest.raises(ValueError, match=message) as error:
        fetch_dataset('small', tmp_path / 'data', archive=own)
    assert str(error.value).startswith(f'{own}: ') and own.read_bytes() == data
    assert holds_only(tmp_path / 'data')


def test_from_a_file_of_another_data_set(small, tmp_path):
    small(checksum=None, size=None)
    own = tmp_path / 'own'
    own.write_bytes(tar_of({'images/a.jpg': b''}))
    with pytest.raises(ValueError, match='no folder in it has images, labels, as this'):
        fetch_dataset('small', tmp_path / 'data', archive=own)
    assert own.exists() and holds_only(tmp_path / 'data')


def test_without_a_published_checksum(server, small, tmp_path, log):
    small(server.serve('a', TAR), checksum=None)
    fetch_dataset('small', tmp_path, log=log.append)
    assert 'small.tar' in log[0] and log[0].endswith(f'the SHA-256 of this file is {SHA256}')
    assert (tmp_path / 'small.tar.sha256').read_text() == f'{SHA256}  small.tar\n'
    (tmp_path / 'small').rename(tmp_path / 'old')
    (tmp_path / 'small.tar').write_bytes(OTHER)        # same length, changed since
    assert is_complete(fetch_dataset('small', tmp_path, log=log.append), tmp_path)
    assert 'its sha256 is' in log[2] and 'it is small.tar.bad now' in log[2]
    assert (tmp_path / 'small.tar.bad').read_bytes() == OTHER


def test_a_damaged_archive_without_a_published_checksum(server, small, tmp_path):
    small(server.serve('a', TAR[:2000]), checksum=None, size=None)
    with pytest.raises(ValueError, match='small.tar: damaged .* is small.tar.bad now'):
        fetch_dataset('small', tmp_path)
    assert holds_only(tmp_path, 'small.tar.bad', 'small.tar.sha256')
    server.serve('a', TAR)
    assert is_complete(fetch_dataset('small', tmp_path), tmp_path)


# ---- the disk of this machine --------------------------------------------------------------------

def test_interrupted_unpacking_leaves_no_data_set(server, small, tmp_path):
    def report(done, total, source):
        if source == 'small.tar':
            raise KeyboardInterrupt

    small(server.serve('a', TAR))
    with pytest.raises(KeyboardInterrupt):
        fetch_dataset('small', tmp_path, report=report)
    assert holds_only(tmp_path, 'small.tar')
    (tmp_path / '.small.part/in').mkdir(parents=True)  # as a kill would leave it
    assert is_complete(fetch_dataset('small', tmp_path), tmp_path)
    assert holds_only(tmp_path, 'small', 'small.tar')


def test_a_link_in_place_of_what_a_kill_left_is_not_followed(server, small, tmp_path):
    precious = tmp_path / 'precious'
    precious.mkdir()
    (precious / 'photo.jpg').touch()
    (tmp_path / 'data').mkdir()
    (tmp_path / 'data/.small.part').symlink_to(precious)
    small(server.serve('a', TAR))
    assert is_complete(fetch_dataset('small', tmp_path / 'data'), tmp_path / 'data')
    assert holds_only(precious, 'photo.jpg')
    (tmp_path / 'data/small').rename(tmp_path / 'old')
    (tmp_path / 'data/.small.part').mkdir()
    (tmp_path / 'data/.small.part/link').symlink_to(precious)
    assert is_complete(fetch_dataset('small', tmp_path / 'data'), tmp_path / 'data')
    assert holds_only(precious, 'photo.jpg')


def test_names_of_folders_are_shown_printable(server, small, tmp_path, log):
    folder = tmp_path / 'a\x1b[2J'
    small(server.serve('a', TAR), checksum=None)
    fetch_dataset('small', folder, log=log.append)
    fetch_dataset('small', folder, log=log.append)
    assert len(log) > 2 and all(line.isprintable() for line in log)
    own = folder / 'own\x1b.tar'
    for data in TAR[:999], b'<html>':
        own.write_bytes(data)
        (folder / 'small').rename(tmp_path / f'{len(data)}') if (folder / 'small').exists() else 0
        small(server.serve('a', TAR), checksum=None, size=None)
        with pytest.raises(ValueError) as error:
            fetch_dataset('small', folder, archive=own)
        assert str(error.value).isprintable()
    (folder / 'small').mkdir()
    with pytest.raises(ValueError) as error:
        fetch_dataset('small', folder)
    assert str(error.value).isprintable()


def test_the_name_of_a_new_data_set_survives_a_power_cut(server, small, tmp_path, monkeypatch):
    """Its folder is flushed after each renaming; whatever is not flushed may be gone."""
    events = []
    rename = os.replace
    flush = os.fsync
    monkeypatch.setattr(os, 'replace', lambda old, new: (rename(old, new),
                                                         events.append(('name', Path(new)))))
    monkeypatch.setattr(os, 'fsync', lambda handle: (
        flush(handle), events.append(('flush', Path(os.readlink(f'/proc/self/fd/{handle}'))))))
    small(server.serve('a', TAR), lists={'labels/train.txt': server.serve('t', b'a\n')})
    root = fetch_dataset('small', tmp_path)
    for path in tmp_path / 'small.tar', tmp_path / 'small', root / 'labels/train.txt':
        named = events.index(('name', path))
        assert ('flush', path.parent) in events[named:], path


def test_a_folder_that_holds_something_else(small, tmp_path):
    small()
    (tmp_path / 'small/images').mkdir(parents=True)
    with pytest.raises(ValueError, match='no folder in it has images, labels.*; move it away'):
        fetch_dataset('small', tmp_path)
    assert holds_only(tmp_path / 'small', 'images')


def test_free_space_is_checked_before_the_download(server, small, tmp_path, monkeypatch):
    monkeypatch.setattr(download, 'MAX_BYTES', 1 << 61)
    small(server.serve('a', TAR, 'vast'), server.serve('b', TAR), size=None)
    with pytest.raises(OSError, match=f'{tmp_path}: 1,152,921,504,606,846,976 bytes are needed'):
        fetch_dataset('small', tmp_path)
    assert holds_only(tmp_path) and server.requests == [('a', None)]


def test_free_space_is_checked_before_unpacking(small, tmp_path):
    small()
    with open(tmp_path / 'vast.tar', 'wb') as file:     # sparse
        file.truncate(shutil.disk_usage(tmp_path).free + (1 << 30))
    with pytest.raises(OSError, match=f'{tmp_path}: .* bytes are needed and .* are free'):
        unpack_to(tmp_path / 'vast.tar', tmp_path / 'small', lambda folder: folder)
    assert holds_only(tmp_path, 'vast.tar')


def test_a_full_disk_is_not_blamed_on_the_mirror(server, small, tmp_path):
    """A limit on the size of a file stands in for a full disk."""
    small(server.serve('a', TAR), server.serve('b', TAR))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
    try:
        with pytest.raises(OSError, match='File too large'):
            fetch_dataset('small', tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert server.requests == [('a', None)]
    assert is_complete(fetch_dataset('small', tmp_path), tmp_path)    # continues, given space
    assert server.requests[1:] == [('a', 'bytes=20000-')]


def test_two_processes_at_once(small, tmp_path):
    fcntl = pytest.importorskip('fcntl')
    small()
    handle = os.open(tmp_path, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_SH)              # the weakest that excludes others
        with pytest.raises(ValueError, match=f'{tmp_path}: another process is fetching'):
            fetch_dataset('small', tmp_path)
    finally:
        os.close(handle)


def test_an_unknown_data_set(tmp_path):
    with pytest.raises(ValueError, match="'voc' is not a data set that can be fetched.* voc2011"):
        fetch_dataset('voc', tmp_path / 'data')
    assert holds_only(tmp_path)


def test_unavailable_says_whether_to_retry():
    assert Unavailable('x').retry and not Unavailable('x', retry=False).retry


# ---- the table of sources ------------------------------------------------------------------------

def test_the_table():
    assert {*SOURCES} == {'voc2011', 'voc2012', 'sbd', 'nyud', 'siftflow', 'stanford', 'camvid'}
    for name, source in SOURCES.items():
        archive = source.archive
        assert archive.mirrors and source.contents and source.terms and source.citation, name
        for mirror in [*archive.mirrors, *source.lists.values()]:
            assert re.fullmatch(r'https?://[\w.-]+/[\w./~-]+', mirror), mirror
        assert re.fullmatch('[0-9a-f]{32}|[0-9a-f]{40}|[0-9a-f]{64}', archive.checksum or '0' * 32)
        assert json.dumps(source)
