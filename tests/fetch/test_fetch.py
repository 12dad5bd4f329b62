"""Data sets over HTTP, from a real server on this machine that fails in every way it can."""
import hashlib
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from test_unpack import found, tar_of, zip_of

from tinyfcn.data.fetch import _unpacked, fetch
from tinyfcn.data.sources import SOURCES, Source
from tinyfcn.fetch import download
from tinyfcn.fetch.download import Unavailable

RNG = np.random.default_rng(6)
SET = {'in/set/images/a.jpg': RNG.bytes(40_000), 'in/set/labels/a.txt': b'0 1\n', 'in/readme': b''}
TAR = tar_of(SET)
OTHER = tar_of({name: data[::-1] for name, data in SET.items()})
SHA256, LENGTH = hashlib.sha256(TAR).hexdigest(), len(TAR)


class Server(ThreadingHTTPServer):
    """moods[path]: what it does with one request after the other; the last mood stays.

    'ok' knows Range and If-Range; 'cut' sends half of what was asked; 'cut:N' sends N bytes.
    """
    daemon_threads = True

    def __init__(self):
        super().__init__(('127.0.0.1', 0), Handler)
        self.data, self.moods, self.tags, self.asked, self.over = {}, {}, {}, [], threading.Event()

    def serve(self, path, data, *moods, **tag):
        self.data[path], self.moods[path] = data, [*moods] or ['ok']
        self.tags[path] = {name.replace('_', '-'): value for name, value in tag.items()} or {
            'ETag': f'"{hashlib.md5(data).hexdigest()}"'}
        return f'http://127.0.0.1:{self.server_port}/{path}'

    def handle_error(self, request, client_address):
        pass                                            # a client that hung up


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *args):
        pass

    def do_GET(self):
        server, path = self.server, self.path[1:]
        asked = self.headers.get('Range')
        server.asked.append((path, asked))
        moods = server.moods[path]
        mood, _, count = (moods.pop(0) if len(moods) > 1 else moods[0]).partition(':')
        data, tags = server.data[path], server.tags[path]
        if mood.isdecimal():
            return self.send_error(int(mood))
        if mood == 'html':
            data, asked = b'<!doctype html><p>Please log in', None
        if asked and self.headers.get('If-Range') not in tags.values() or mood == 'whole':
            asked = None
        start = int(re.fullmatch(r'bytes=(\d+)-', asked).group(1)) if asked else 0
        if start >= len(data):
            self.send_response(416)
            self.send_header('Content-Range', f'bytes */{len(data)}')
            return self.end_headers()
        self.send_response(206 if asked else 200)
        for name, value in tags.items():
            self.send_header(name, value)
        if asked:
            shift = mood == 'shifted'
            self.send_header('Content-Range', f'bytes {start + shift}-{len(data) - 1}/{len(data)}')
        rest = data[start:]
        if mood != 'endless':
            self.send_header('Content-Length', str(1 << 60 if mood == 'vast' else len(rest)))
        self.end_headers()
        if mood == 'cut' or mood == 'stall':
            rest = rest[:int(count or len(rest) // 2)]
        self.wfile.write(rest)
        if mood == 'stall':
            self.server.over.wait(5)


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv('no_proxy', '*')
    monkeypatch.setattr(download, 'WAIT', .01)
    server = Server()
    thread = threading.Thread(target=server.serve_forever, args=(.01,))
    thread.start()
    yield server
    server.over.set()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def little(monkeypatch):
    """little(mirror …) makes a data set 'little' that can be had from them."""
    def make(*mirrors, checksum=SHA256, size=LENGTH, lists=None):
        monkeypatch.setitem(SOURCES, 'little', Source(
            'little.tar', mirrors, checksum, size, 'images labels', lists or {}, 'free', 'nobody'))
    return make


@pytest.fixture
def lines():
    return []


def is_ready(root, folder, files=SET):
    assert root == folder / 'little/in/set'
    assert found(folder / 'little') == files
    return True


def only(folder, *names):
    return sorted(path.name for path in folder.iterdir()) == sorted(names)


# ---- All is well

def test_a_set_is_fetched_once(server, little, tmp_path, lines):
    url, seen = server.serve('a', TAR), []
    little(url)
    root = fetch('little', tmp_path / 'data', report=lambda *done: seen.append(done),
                 say=lines.append)
    assert is_ready(root, tmp_path / 'data')
    assert only(tmp_path / 'data', 'little', 'little.tar')
    assert (len(TAR), len(TAR), url) in seen            # the end of the download
    assert {where for _, _, where in seen} == {url, 'little.tar'}
    assert lines == [f'{tmp_path}/data/little.tar is not needed any more']
    assert fetch('little', tmp_path / 'data', say=lines.append) == root
    assert lines[1:] == [f'{root} is there already: nothing is written']
    assert server.asked == [('a', None)]


@pytest.mark.parametrize('algorithm', ['md5', 'sha1', 'sha256'])
def test_checksums_of_three_kinds(server, little, tmp_path, algorithm):
    little(server.serve('a', OTHER), server.serve('b', TAR),
           checksum=hashlib.new(algorithm, TAR).hexdigest())
    assert is_ready(fetch('little', tmp_path), tmp_path)


def test_an_archive_that_is_there_is_not_fetched(server, little, tmp_path):
    little(server.serve('a', TAR))
    (tmp_path / 'little.tar').write_bytes(TAR)
    assert is_ready(fetch('little', tmp_path), tmp_path) and not server.asked


def test_a_zip_of_no_told_length(server, little, tmp_path):
    little(server.serve('a', zip_of(SET), 'endless'), size=None, checksum=None)
    assert is_ready(fetch('little', tmp_path), tmp_path)


def test_lists_come_along_or_are_missed(server, little, tmp_path, lines):
    little(server.serve('a', TAR), lists={
        'labels/train.txt': server.serve('t', b'a\n'), 'val.txt': server.serve('v', b'', '404')})
    root = fetch('little', tmp_path, say=lines.append)
    assert (root / 'labels/train.txt').read_bytes() == b'a\n'
    assert only(root, 'images', 'labels') and only(root / 'labels', 'a.txt', 'train.txt')
    assert lines[-1].endswith(f'/v: HTTP 404 Not Found; this list is missing: put it at '
                              f'{root}/val.txt')
    server.serve('v', b'b\n')
    fetch('little', tmp_path)                           # the set is there; its list comes after it
    assert (root / 'val.txt').read_bytes() == b'b\n'


# ---- The line breaks

def test_a_cut_download_goes_on(server, little, tmp_path):
    little(server.serve('a', TAR, 'cut', 'cut', 'ok'))
    assert is_ready(fetch('little', tmp_path), tmp_path)
    half, quarter = len(TAR) // 2, len(TAR) // 2 + (len(TAR) - len(TAR) // 2) // 2
    assert server.asked == [('a', None), ('a', f'bytes={half}-'), ('a', f'bytes={quarter}-')]


def test_the_next_run_goes_on_too(server, little, tmp_path):
    little(server.serve('a', TAR, 'cut:10000', '503', '503', '503'))
    with pytest.raises(OSError, match='HTTP 503'):
        fetch('little', tmp_path)
    server.moods['a'] = ['ok']
    assert is_ready(fetch('little', tmp_path), tmp_path)
    assert server.asked[-1] == ('a', 'bytes=10000-')
    assert only(tmp_path, 'little', 'little.tar')       # no part is left


def test_a_long_file_over_a_bad_line(server, little, tmp_path):
    """Tries are counted only while they bring nothing."""
    files = {**SET, 'in/long': RNG.bytes(8 << 20)}
    data = tar_of(files)
    little(server.serve('a', data, f'cut:{5 << 18}'), size=len(data),
           checksum=hashlib.md5(data).hexdigest())
    assert is_ready(fetch('little', tmp_path), tmp_path, files)
    assert len(server.asked) == 7 > download.TRIES


def test_a_server_that_knows_no_range(server, little, tmp_path):
    little(server.serve('a', TAR, 'cut', 'whole'))
    assert is_ready(fetch('little', tmp_path), tmp_path)
    assert len(server.asked) == 2


def test_a_server_that_stalls(server, little, tmp_path, lines, monkeypatch):
    monkeypatch.setattr(download, 'TIMEOUT', .1)
    monkeypatch.setattr(download, 'TRIES', 2)
    little(server.serve('a', TAR, 'stall:0'), server.serve('b', TAR))
    assert is_ready(fetch('little', tmp_path, say=lines.append), tmp_path)
    assert 'timed out' in lines[0] and [path for path, _ in server.asked] == ['a', 'a', 'b']


def test_a_part_that_is_whole(server, little, tmp_path):
    """Its last byte came, and then the power went."""
    url = server.serve('a', TAR)
    little(url, checksum=None, size=None)
    download.download(url, part := tmp_path / 'x.part')
    download.download(url, part)
    assert part.read_bytes() == TAR and server.asked == [('a', None), ('a', f'bytes={len(TAR)}-')]
    part.write_bytes(TAR + b'too long')
    download.tag_of(part).write_text(server.tags['a']['ETag'])
    download.download(url, part)                        # 416, and then from the beginning
    assert part.read_bytes() == TAR


@pytest.mark.parametrize('old, new', [
    (dict(ETag='"1"'), dict(ETag='"2"')), (dict(ETag='W/"1"'), dict(ETag='W/"1"')),
    (dict(Last_Modified='Mon, 02 Mar 2026 10:00:00 GMT'),
     dict(Last_Modified='Mon, 02 Mar 2026 10:00:01 GMT')), (dict(Server='x'), dict(Server='x'))],
    ids=['ETag', 'weak ETag', 'Last-Modified', 'nothing'])
def test_a_file_that_changes_between_its_parts(server, little, tmp_path, old, new):
    little(server.serve('a', TAR, 'cut', '503', **old), checksum=None, size=None)
    with pytest.raises(OSError, match='HTTP 503'):
        fetch('little', tmp_path)
    server.serve('a', OTHER, **new)
    root = fetch('little', tmp_path)
    assert (root / 'images/a.jpg').read_bytes() == SET['in/set/images/a.jpg'][::-1]


def test_another_part_than_was_asked_for(server, little, tmp_path):
    little(server.serve('a', TAR, 'cut', 'shifted', 'ok'))
    assert is_ready(fetch('little', tmp_path), tmp_path)
    assert [asked for _, asked in server.asked] == [None, f'bytes={len(TAR) // 2}-', None]


def test_a_process_that_is_killed(server, tmp_path):
    """kill -9 in the middle of a download; the next run goes on at its byte."""
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
    came = part.stat().st_size
    assert 0 < came <= 20000
    download.download(url, part)
    assert part.read_bytes() == TAR and server.asked[1:] == [('a', f'bytes={came}-')]


@pytest.mark.parametrize('size', [None, LENGTH])
def test_a_web_page_in_between_costs_nothing(server, little, tmp_path, size):
    """Of a network that wants a login: the part that has come must outlive it."""
    little(server.serve('a', TAR, 'cut', 'html'), size=size)
    with pytest.raises(OSError, match='a web page|31 bytes, and it should be'):
        fetch('little', tmp_path)
    server.moods['a'] = ['ok']
    assert is_ready(fetch('little', tmp_path), tmp_path)
    assert server.asked[-1] == ('a', f'bytes={LENGTH // 2}-')


# ---- The mirrors are bad

@pytest.mark.parametrize('data, mood, complaint, asked', [
    (TAR, 'html', '31 bytes, and it should be', 1), (TAR, '404', 'HTTP 404 Not Found', 1),
    (TAR, '403', 'HTTP 403 Forbidden', 1), (TAR, '503', 'HTTP 503 Service Unavailable', 3),
    (TAR, 'cut:0', 'cut short at byte 0 of', 3), (OTHER, 'ok', 'its sha256 is ', 1),
    (TAR + b'\0', 'ok', f'{len(TAR) + 1:,} bytes, and it should be {len(TAR):,}', 1)])
def test_the_next_mirror_is_asked(server, little, tmp_path, lines, data, mood, complaint, asked):
    bad, good = server.serve('bad', data, mood), server.serve('good', TAR)
    little(bad, good)
    assert is_ready(fetch('little', tmp_path, say=lines.append), tmp_path)
    assert lines[0].startswith(f'{bad}: {complaint}')
    assert [path for path, _ in server.asked] == ['bad'] * asked + ['good']
    assert only(tmp_path, 'little', 'little.tar')


def test_a_web_page_for_an_archive_of_unknown_length(server, little, tmp_path, lines):
    little(server.serve('a', TAR, 'html'), server.serve('b', TAR), size=None, checksum=None)
    assert is_ready(fetch('little', tmp_path, say=lines.append), tmp_path)
    assert lines[0].endswith('/a: a web page, and no archive')


def test_all_mirrors_fail(server, little, tmp_path):
    nobody = 'http://127.0.0.1:9/little.tar'            # nobody listens there
    little(server.serve('a', TAR, '404'), server.serve('b', OTHER), nobody)
    with pytest.raises(OSError) as error:
        fetch('little', tmp_path)
    first, a, b, c, last = str(error.value).splitlines()
    assert first == 'little could not be had from any mirror:'
    assert 'a: HTTP 404' in a and 'b: its sha256 is' in b and b.endswith('what came is removed')
    assert c.startswith(f'  {nobody}: [Errno ') and 'refused' in c
    assert last == ('get little.tar from elsewhere, and then: tinyfcn data little --from '
                    'little.tar')
    assert only(tmp_path)


# ---- An archive of one's own, and one that nobody vouches for

def test_from_a_file(server, little, tmp_path, lines):
    little(server.serve('a', TAR))
    (mine := tmp_path / 'mine').write_bytes(TAR)
    root = fetch('little', tmp_path / 'data', file=mine, say=lines.append)
    assert is_ready(root, tmp_path / 'data') and not lines
    assert not server.asked and mine.read_bytes() == TAR and only(tmp_path / 'data', 'little')


@pytest.mark.parametrize('data, complaint', [
    (OTHER, 'its sha256 is .* and it should be .*; it is another archive, or damaged'),
    (TAR[:-1], f'{len(TAR) - 1:,} bytes, and it should be {len(TAR):,}')])
def test_from_a_wrong_file(server, little, tmp_path, data, complaint):
    little(server.serve('a', TAR))
    (mine := tmp_path / 'mine').write_bytes(data)
    with pytest.raises(ValueError, match=complaint) as error:
        fetch('little', tmp_path / 'data', file=mine)
    assert str(error.value).startswith(f'{mine}: ') and mine.read_bytes() == data
    assert only(tmp_path / 'data')


def test_from_a_file_that_is_another_set(little, tmp_path):
    little(checksum=None, size=None)
    (mine := tmp_path / 'mine').write_bytes(tar_of({'images/a.jpg': b''}))
    with pytest.raises(ValueError, match='no folder in it has images, labels, as the set should'):
        fetch('little', tmp_path / 'data', file=mine)
    assert mine.exists() and only(tmp_path / 'data')


def test_without_a_published_checksum(server, little, tmp_path, lines):
    little(server.serve('a', TAR), checksum=None)
    fetch('little', tmp_path, say=lines.append)
    assert lines[0] == ('nobody has published a checksum of little.tar, so it cannot be checked; '
                        f'the SHA-256 of this one is {SHA256}')
    assert (tmp_path / 'little.tar.sha256').read_text() == f'{SHA256}  little.tar\n'
    (tmp_path / 'little').rename(tmp_path / 'old')
    (tmp_path / 'little.tar').write_bytes(OTHER)        # same length, changed since
    assert is_ready(fetch('little', tmp_path, say=lines.append), tmp_path)
    assert 'its sha256 is' in lines[2] and lines[2].endswith('it is little.tar.bad now, and is '
                                                             'fetched anew')
    assert (tmp_path / 'little.tar.bad').read_bytes() == OTHER


def test_a_damaged_archive_that_nobody_vouches_for(server, little, tmp_path):
    little(server.serve('a', TAR[:2000]), checksum=None, size=None)
    with pytest.raises(ValueError, match='little.tar: damaged .* is little.tar.bad now'):
        fetch('little', tmp_path)
    assert only(tmp_path, 'little.tar.bad', 'little.tar.sha256')
    server.serve('a', TAR)
    assert is_ready(fetch('little', tmp_path), tmp_path)


# ---- Here

def test_an_interrupted_extraction_leaves_no_set(server, little, tmp_path):
    def report(done, total, where):
        if where == 'little.tar':
            raise KeyboardInterrupt

    little(server.serve('a', TAR))
    with pytest.raises(KeyboardInterrupt):
        fetch('little', tmp_path, report=report)
    assert only(tmp_path, 'little.tar')
    (tmp_path / '.little.part/in').mkdir(parents=True)  # and this is what a kill would leave
    assert is_ready(fetch('little', tmp_path), tmp_path)
    assert only(tmp_path, 'little', 'little.tar')


def test_a_folder_that_is_no_such_set(little, tmp_path):
    little()
    (tmp_path / 'little/images').mkdir(parents=True)
    with pytest.raises(ValueError, match='no folder in it has images, labels.*; move it away'):
        fetch('little', tmp_path)
    assert only(tmp_path / 'little', 'images')


def test_room_is_looked_for_first(server, little, tmp_path):
    little(server.serve('a', TAR, 'vast'), server.serve('b', TAR), size=None)
    with pytest.raises(OSError, match=f'{tmp_path}: 1,152,921,504,606,846,976 bytes are needed'):
        fetch('little', tmp_path)
    assert only(tmp_path) and server.asked == [('a', None)]


def test_room_for_what_is_unpacked(little, tmp_path):
    little()
    with open(tmp_path / 'vast.tar', 'wb') as file:     # of one hole
        file.truncate(shutil.disk_usage(tmp_path).free + (1 << 30))
    with pytest.raises(OSError, match='bytes are needed and .* are free; make room'):
        _unpacked(tmp_path / 'vast.tar', tmp_path / 'little', SOURCES['little'], None)
    assert only(tmp_path, 'vast.tar')


def test_a_full_disk_is_no_fault_of_the_mirror(server, little, tmp_path):
    """Its limit is on one file, which is as near to a full disk as one comes everywhere."""
    little(server.serve('a', TAR), server.serve('b', TAR))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
    try:
        with pytest.raises(OSError, match='File too large'):
            fetch('little', tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert server.asked == [('a', None)]
    assert is_ready(fetch('little', tmp_path), tmp_path)            # and goes on, given room
    assert server.asked[1:] == [('a', 'bytes=20000-')]


def test_two_at_once(little, tmp_path):
    fcntl = pytest.importorskip('fcntl')
    little()
    handle = os.open(tmp_path, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_SH)              # the weakest that keeps others out
        with pytest.raises(ValueError, match='somebody else is fetching into it'):
            fetch('little', tmp_path)
    finally:
        os.close(handle)


def test_an_unknown_set(tmp_path):
    with pytest.raises(ValueError, match="'voc' is no data set that can be fetched; there are"):
        fetch('voc', tmp_path / 'data')
    assert only(tmp_path)


def test_unavailable_says_whether_to_ask_again():
    assert Unavailable('x').again and not Unavailable('x', again=False).again


# ---- The table

def test_the_table():
    assert {*SOURCES} == {'voc2011', 'voc2012', 'sbd', 'nyud', 'siftflow', 'stanford', 'camvid'}
    for name, source in SOURCES.items():
        assert source.mirrors and source.holds and source.terms and source.cite, name
        for mirror in [*source.mirrors, *source.lists.values()]:
            assert re.fullmatch(r'https?://[\w.-]+/[\w./~-]+', mirror), mirror
        assert re.fullmatch('[0-9a-f]{32}|[0-9a-f]{40}|[0-9a-f]{64}', source.checksum or '0' * 32)
        assert json.dumps(source)
