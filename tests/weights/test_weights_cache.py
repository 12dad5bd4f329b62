"""Weights by name: fetched, verified once, and then found without being read again."""
import hashlib
import io
import os
import threading

import numpy as np
import pytest
from local_mirror import Row, npz_bytes
from portable import resource
from weights_samples import SMALL_CAFFE, caffemodel

from tinyfcn.fetch import files
from tinyfcn.weights import cache as weights_cache
from tinyfcn.weights.cache import cached_weights, fetch_weights

DATA = npz_bytes(1)
OTHER = npz_bytes(2)
SHA256 = hashlib.sha256(DATA).hexdigest()
ADVICE = 'and then: tinyfcn weights get small --from small.npz'


def names_in(folder):
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


# ---- without failures ----------------------------------------------------------------------------

def test_weights_are_fetched_once(server, table, log):
    url = server.serve('a', DATA)
    folder = table('small', Row(DATA, mirrors=[url]))
    reports = []
    assert cached_weights('small') is None and not folder.exists()
    path = fetch_weights('small', report=lambda *args: reports.append(args), log=log.append)
    assert path == folder / 'small.npz' and path.read_bytes() == DATA
    assert names_in(folder) == ['small.npz', 'small.npz.verified']
    assert reports[0] == (0, None, url) and reports[-1] == (len(DATA), len(DATA), url)
    assert log == [f'small.npz agrees with its SHA-256 {SHA256}', 'licence: free',
                   'cite: A. Uthor, 2026', 'note: small']
    assert cached_weights('small') == path
    assert fetch_weights('small', log=log.append) == path
    assert log[4:] == [f'{path} exists already'] and len(server.requests) == 1


def test_another_name_of_the_same_weights(table, cache, monkeypatch):
    folder = table('caffenet', Row(DATA))
    folder.mkdir(parents=True)
    (folder / 'small.npz').write_bytes(DATA)
    assert cached_weights('alexnet') == cached_weights('caffenet') == folder / 'small.npz'
    assert fetch_weights('alexnet') == folder / 'small.npz'


def test_unknown_names(cache):
    assert cached_weights('voc-fcn32s') is None and cached_weights('../../etc') is None
    with pytest.raises(ValueError, match='no weights are called .sqeezenet.; did you mean squee'):
        fetch_weights('sqeezenet')
    assert not cache.exists()


def test_a_second_file_serves_too(server, table, log):
    folder = table('small', Row(DATA, 'small.npz', [server.serve('a', DATA, '404')]),
                   Row(OTHER, 'small.safetensors', [server.serve('b', OTHER)]))
    path = fetch_weights('small', log=log.append)
    assert path == folder / 'small.safetensors' == cached_weights('small')
    assert '/a: HTTP 404' in log[0]
    (folder / 'small.npz').write_bytes(DATA)            # the first one is preferred
    assert cached_weights('small') == folder / 'small.npz' == fetch_weights('small')


# ---- how a file is known to be right -------------------------------------------------------------

@pytest.fixture
def reads(monkeypatch):
    """The files that are read to be verified."""
    paths = []
    verify = weights_cache.file_problem
    monkeypatch.setattr(weights_cache, 'file_problem',
                        lambda path, source: paths.append(path) or verify(path, source))
    return paths


def test_a_verified_file_is_not_read_again(server, table, reads):
    folder = table('small', Row(DATA, mirrors=[server.serve('a', DATA)]))
    path = fetch_weights('small')
    assert cached_weights('small') == cached_weights('small') == path and not reads
    os.utime(path, ns=(0, 0))                           # it may have changed: once more
    assert cached_weights('small') == cached_weights('small') == path and reads == [path]
    (folder / 'small.npz.verified').write_bytes(b'\xff')
    assert cached_weights('small') == cached_weights('small') == path and len(reads) == 2


def test_a_file_that_is_put_there_by_hand_is_verified(table, reads):
    folder = table('small', Row(DATA))
    folder.mkdir(parents=True)
    path = folder / 'small.npz'
    path.write_bytes(OTHER)
    assert cached_weights('small') is None and names_in(folder) == ['small.npz']
    path.write_bytes(DATA)
    assert cached_weights('small') == cached_weights('small') == path and reads == [path, path]


def test_another_checksum_in_the_table_is_compared(server, table, log):
    folder = table('small', Row(DATA, mirrors=[server.serve('a', DATA)]))
    fetch_weights('small')
    table('small', Row(OTHER, mirrors=[server.serve('b', OTHER)]))
    assert cached_weights('small') is None
    assert fetch_weights('small', log=log.append).read_bytes() == OTHER
    assert 'it is small.npz.bad now, and is fetched again' in log[0]
    assert (folder / 'small.npz.bad').read_bytes() == DATA


def test_a_damaged_file_is_set_aside(server, table, log):
    table('small', Row(DATA, mirrors=[server.serve('a', DATA)]))
    path = fetch_weights('small')
    path.write_bytes(DATA[:-1])
    assert cached_weights('small') is None
    assert fetch_weights('small', log=log.append).read_bytes() == DATA
    assert cached_weights('small') == path and 'licence: free' in log


def test_a_cache_that_cannot_be_written(server, table, monkeypatch):
    """Of many users, say: the file is verified on every use."""
    folder = table('small', Row(DATA))
    folder.mkdir(parents=True)
    (folder / 'small.npz').write_bytes(DATA)

    def refuse(path):
        raise PermissionError(13, 'Permission denied', str(path))

    monkeypatch.setattr(weights_cache, 'open_atomic', refuse)
    assert cached_weights('small') == folder / 'small.npz' and names_in(folder) == ['small.npz']


def test_a_cache_that_cannot_be_made(table, cache):
    table('small', Row(DATA))
    cache.write_bytes(b'')
    with pytest.raises(OSError, match='cannot be made a folder .*File exists.* TINYFCN_CACHE'):
        fetch_weights('small')
    assert cached_weights('small') is None


def test_without_a_home_nothing_is_in_the_cache(table, monkeypatch):
    """A training that only looks for weights goes on without them."""
    table('small', Row(DATA))
    monkeypatch.delenv('TINYFCN_CACHE')
    monkeypatch.setattr(os.path, 'expanduser', lambda path: path)
    monkeypatch.delenv('XDG_CACHE_HOME', raising=False)
    assert cached_weights('small') is None
    with pytest.raises(ValueError, match='there is no home folder'):
        fetch_weights('small')


# ---- without a published checksum ----------------------------------------------------------------

def test_a_page_is_not_taken_for_weights(server, table, log):
    """A file without a checksum has at least to look like weights."""
    mirrors = [server.serve('a', b'version https://git-lfs'), server.serve('b', DATA)]
    folder = table('small', Row(DATA, mirrors=mirrors, checksum=None))
    path = fetch_weights('small', log=log.append)
    assert path.read_bytes() == DATA and cached_weights('small') == path
    assert f'the SHA-256 of this file is {SHA256}' in log[2]
    assert names_in(folder) == ['small.npz', 'small.npz.bad', 'small.npz.sha256',
                                'small.npz.verified']
    path.write_bytes(OTHER)                             # at least it must stay what it was
    assert cached_weights('small') is None


def test_half_a_file_is_not_taken_for_weights(server, table, log):
    """Of a mirror that does not say how long the file is."""
    data = caffemodel(SMALL_CAFFE)
    for cut in 1, len(data) // 2, len(data) - 1:
        url = server.serve(f'{cut}', data[:cut], 'endless')
        folder = table(f'small{cut}', Row(data, 'a.caffemodel', [url], checksum=None))
        with pytest.raises(ValueError, match='it is a.caffemodel.bad now'):
            fetch_weights(f'small{cut}')
        assert cached_weights(f'small{cut}') is None
        table(f'small{cut}', Row(data, 'a.caffemodel', [server.serve('all', data, 'endless')],
                                 checksum=None))
        assert fetch_weights(f'small{cut}') == cached_weights(f'small{cut}') == (
            folder / 'a.caffemodel')


def test_a_page_in_the_cache_is_not_taken_for_weights(table):
    folder = table('small', Row(DATA, checksum=None))
    folder.mkdir(parents=True)
    (folder / 'small.npz').write_bytes(b'<html>')
    assert cached_weights('small') is None


# ---- a copy of one's own -------------------------------------------------------------------------

def test_from_a_file(table, tmp_path, log):
    folder = table('small', Row(OTHER, 'other.npz'), Row(DATA))
    own = tmp_path / 'own'
    own.write_bytes(DATA)
    path = fetch_weights('small', own, log=log.append)
    assert path == folder / 'small.npz' == cached_weights('small') and own.read_bytes() == DATA
    assert names_in(folder) == ['small.npz', 'small.npz.verified'] and 'licence: free' in log


def test_from_a_wrong_file(table, tmp_path):
    folder = table('small', Row(OTHER, 'other.npz'), Row(DATA, checksum=None))
    own = tmp_path / 'own'
    own.write_bytes(DATA)
    with pytest.raises(ValueError) as error:
        fetch_weights('small', own)
    first, second, third = str(error.value).splitlines()
    assert first == f'{own} is another file than these, or damaged:'
    assert second.startswith('  other.npz: its sha256 is ')
    assert third == ('  small.npz: no checksum is published, so only a file of this name is taken '
                     'for it')
    assert names_in(folder) == []
    named = own.rename(tmp_path / 'small.npz')
    assert fetch_weights('small', named).read_bytes() == DATA
    with pytest.raises(ValueError, match='this is a page of HTML'):
        named.write_bytes(b'<html>')
        table('small', Row(DATA, checksum=None))
        (folder / 'small.npz').unlink()
        fetch_weights('small', named)
    with pytest.raises(FileNotFoundError, match='nowhere.npz: no such file'):
        fetch_weights('small', tmp_path / 'nowhere.npz')


# ---- failures ------------------------------------------------------------------------------------

def test_all_mirrors_fail(server, table):
    table('small', Row(DATA, mirrors=[server.serve('a', OTHER), 'http://127.0.0.1:9/small.npz']),
          Row(DATA, 'net-1234abcd.pth', [server.serve('c', DATA)], '1234abcd'))
    with pytest.raises(OSError) as error:
        fetch_weights('small')
    lines = str(error.value).splitlines()
    assert lines[0] == 'small.npz could not be fetched from any mirror:'
    assert '/a: its sha256 is' in lines[1] and 'refused' in lines[2]
    assert lines[3] == 'net-1234abcd.pth could not be fetched from any mirror:'
    assert 'instead of 1234abcd, the 8 digits in its name' in lines[4]
    assert lines[5:] == ['Get one of these files in another way:',
                         f'  small.npz (SHA-256 {SHA256})',
                         '  net-1234abcd.pth (SHA-256 that begins with 1234abcd)', ADVICE]


def test_the_advice_names_a_file_of_which_nothing_is_known(table):
    table('small', Row(DATA, checksum=None))
    with pytest.raises(OSError) as error:
        fetch_weights('small')
    assert str(error.value).splitlines()[1:] == ['Get this file in another way:', '  small.npz',
                                                 ADVICE]


def test_two_threads_download_once(server, table):
    folder = table('small', Row(DATA, mirrors=[server.serve('a', DATA, 'slow:1000')]))
    found = []
    threads = [threading.Thread(target=lambda: found.append(fetch_weights('small')))
               for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [folder / 'small.npz'] * 3 and server.requests == [('a', None)]


def test_a_full_disk_is_not_blamed_on_the_mirror(server, table):
    """A limit on the size of a file stands in for a full disk."""
    folder = table('small', Row(DATA, mirrors=[server.serve('a', DATA), server.serve('b', DATA)]))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3_000, limits[1]))
    try:
        with pytest.raises(OSError, match='File too large; free some space, and run the command ag'
                                          'ain: it continues here') as error:
            fetch_weights('small')
        assert error.value.filename.startswith(f'{folder}/small.npz.')
        assert cached_weights('small') is None
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert fetch_weights('small').read_bytes() == DATA
    assert server.requests == [('a', None), ('a', 'bytes=3000-')]


def test_the_name_comes_after_the_data(server, table, monkeypatch):
    """All of a file is flushed before it is renamed, or a power cut leaves a name without data."""
    events = []
    rename = os.replace
    flush = os.fsync
    monkeypatch.setattr(os, 'replace', lambda old, new: (rename(old, new),
                                                         events.append(('name', str(new)))))
    monkeypatch.setattr(os, 'fsync', lambda handle: (
        flush(handle), events.append(('flush', os.readlink(f'/proc/self/fd/{handle}')))))
    folder = table('small', Row(DATA, mirrors=[server.serve('a', DATA)]))
    monkeypatch.setattr(files, 'download', lambda mirror, part, *_: part.write_bytes(DATA))
    fetch_weights('small')
    named = events.index(('name', f'{folder}/small.npz'))
    assert events[named - 1][0] == 'flush' and events[named - 1][1].endswith('.part')
    assert events[named + 1] == ('flush', str(folder))


def test_npz_bytes_are_weights():
    with np.load(io.BytesIO(DATA)) as arrays:
        assert [*arrays] == ['conv1.w']
