"""The cache folder, waiting for others, and files of several sources, from mirrors or a copy."""
import errno
import hashlib
import os
import socket
import sys
import threading
from importlib.util import find_spec
from pathlib import Path

import pytest
from local_mirror import LENGTH, OTHER, SHA256, TAR
from test_fetch import holds_only

from tinyfcn.fetch import cache, download
from tinyfcn.fetch.cache import cache_folder, wait_for_lock
from tinyfcn.fetch.checksum import checksum_problem, describe_agreement
from tinyfcn.fetch.files import copy_file, download_file, find_file
from tinyfcn.fetch.http import Unavailable
from tinyfcn.fetch.interrupt import DownloadStopped
from tinyfcn.fetch.source import Source

# ---- where ---------------------------------------------------------------------------------------


@pytest.fixture
def no_names(monkeypatch):
    for name in 'TINYFCN_CACHE', 'XDG_CACHE_HOME', 'LOCALAPPDATA':
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv('HOME', '/home/me')
    monkeypatch.setattr(sys, 'platform', 'linux')


@pytest.mark.parametrize('platform, names, folder', [
    ('linux', {}, '/home/me/.cache/tinyfcn'),
    ('linux', dict(XDG_CACHE_HOME='/big'), '/big/tinyfcn'),
    ('linux', dict(XDG_CACHE_HOME='relative'), '/home/me/.cache/tinyfcn'),
    ('linux', dict(XDG_CACHE_HOME='/big', TINYFCN_CACHE='/mine'), '/mine'),
    ('linux', dict(TINYFCN_CACHE='~/mine'), '/home/me/mine'),
    ('linux', dict(TINYFCN_CACHE=''), '/home/me/.cache/tinyfcn'),
    ('darwin', {}, '/home/me/Library/Caches/tinyfcn'),
    ('darwin', dict(XDG_CACHE_HOME='/big'), '/big/tinyfcn'),
    ('win32', dict(LOCALAPPDATA='/users/me/local'), '/users/me/local/tinyfcn')])
def test_the_cache_folder(no_names, monkeypatch, platform, names, folder):
    monkeypatch.setattr(sys, 'platform', platform)
    for name, value in names.items():
        monkeypatch.setenv(name, value)
    assert cache_folder() == Path(folder)


def test_a_relative_cache_folder_is_in_the_working_directory(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv('TINYFCN_CACHE', 'mine')
    assert cache_folder() == tmp_path / 'mine' and holds_only(tmp_path)


def test_without_a_home(no_names, monkeypatch):
    monkeypatch.setattr(os.path, 'expanduser', lambda path: path)
    with pytest.raises(ValueError, match='no home folder .* environment variable TINYFCN_CACHE'):
        cache_folder()


def test_a_home_that_nobody_has(no_names, monkeypatch):
    monkeypatch.setenv('TINYFCN_CACHE', '~no-such-user/cache')
    with pytest.raises(ValueError, match='TINYFCN_CACHE is ~no-such-user/cache, and there is no'):
        cache_folder()


# ---- waiting -------------------------------------------------------------------------------------

@pytest.mark.skipif(not find_spec('fcntl'), reason='folders have no locks without fcntl')
def test_the_second_waits_for_the_first(tmp_path, log, monkeypatch):
    monkeypatch.setattr(cache, 'POLL_SECONDS', .01)
    events = []
    waits = threading.Event()

    def second():
        with wait_for_lock(tmp_path, lambda line: (log.append(line), waits.set())):
            events.append('second')

    with wait_for_lock(tmp_path):
        thread = threading.Thread(target=second)
        thread.start()
        assert waits.wait(10)
        events.append('first')
    thread.join()
    assert events == ['first', 'second']
    assert log == [f'another process is fetching into {tmp_path}; waiting for it']


def test_an_error_in_the_block_is_not_taken_for_a_lock(tmp_path):
    with pytest.raises(ValueError, match='mine'), wait_for_lock(tmp_path):
        raise ValueError('mine')
    with wait_for_lock(tmp_path):
        pass


# ---- a checksum that is a prefix -----------------------------------------------------------------

def test_a_prefix_of_the_checksum(server, tmp_path, log):
    source = Source(f'net-{SHA256[:8]}.pth', [server.serve('a', OTHER), server.serve('b', TAR)],
                    SHA256[:8])
    path = download_file([source], tmp_path, Path, log=log.append)
    assert path.read_bytes() == TAR
    found = hashlib.sha256(OTHER).hexdigest()
    assert log == [
        f'{source.mirrors[0]}: its sha256 begins with {found[:8]} instead of {SHA256[:8]}, the 8 '
        f'digits in its name; the download is removed',
        f'{source.file} agrees with the 8 digits in its name, a prefix of the SHA-256']
    assert find_file([source], tmp_path, Path) == path


def test_what_is_said_of_checksums(tmp_path):
    path = tmp_path / 'a'
    path.write_bytes(TAR)
    for checksum in SHA256[:8], SHA256[:31], SHA256, hashlib.md5(TAR).hexdigest():
        assert not checksum_problem(path, checksum)
        assert checksum_problem(path, checksum[::-1]).startswith('its ')
    assert describe_agreement('0' * 40) == f'agrees with its SHA-1 {"0" * 40}'


# ---- several sources -----------------------------------------------------------------------------

def test_another_file_is_taken_where_the_first_cannot_be_had(server, tmp_path, log):
    sources = [Source('a.pth', [server.serve('a', TAR, 'cut:3000', '404')], SHA256),
               Source('b.safetensors', [server.serve('b', OTHER)])]
    path = download_file(sources, tmp_path, Path, log=log.append)
    assert path == tmp_path / 'b.safetensors' and path.read_bytes() == OTHER
    assert 'HTTP 404' in log[0] and 'no checksum of b.safetensors is published' in log[1]
    assert holds_only(tmp_path, 'b.safetensors', 'b.safetensors.sha256')
    assert find_file(sources, tmp_path, Path) == path


def test_all_files_of_all_mirrors_fail(server, tmp_path, log):
    sources = [Source('a.pth', [server.serve('a', TAR, '404'), server.serve('b', OTHER)], SHA256),
               Source('c.npz', [server.serve('c', b'', '503')])]
    with pytest.raises(OSError) as error:
        download_file(sources, tmp_path, Path, 'get it elsewhere', log=log.append)
    assert not log                                      # the error says it all
    a, first, second, c, third, advice = str(error.value).splitlines()
    assert a == 'a.pth could not be fetched from any mirror:'
    assert c == 'c.npz could not be fetched from any mirror:'
    assert '/a: HTTP 404' in first and '/b: its sha256 is' in second and '/c: HTTP 503' in third
    assert advice == 'get it elsewhere' and holds_only(tmp_path)


def test_where_a_part_is_kept_the_error_says_so(server, tmp_path):
    source = Source('a.pth', [server.serve('a', TAR, 'cut:3000', '503')], SHA256)
    with pytest.raises(OSError) as error:
        download_file([source], tmp_path, Path, 'get it elsewhere')
    _, _, kept, advice = str(error.value).splitlines()
    assert kept == 'The part that has arrived is kept: the same command continues there.'
    assert advice == 'get it elsewhere'


@pytest.mark.parametrize('version, stop', [({}, DownloadStopped), ({'x': 'y'}, KeyboardInterrupt)])
def test_ctrl_c(server, tmp_path, version, stop):
    """A mirror that gives no version of its file must send all of it again."""
    def press(done, total, source):
        if done:
            raise KeyboardInterrupt

    source = Source('a.pth', [server.serve('a', TAR, 'slow:3000', **version)], SHA256)
    with pytest.raises(KeyboardInterrupt) as error:
        download_file([source], tmp_path, Path, report=press)
    assert error.type is stop
    if version:
        return
    assert str(error.value) == ('stopped; the part of a.pth that has arrived is kept: the same '
                                'command continues there')
    assert download_file([source], tmp_path, Path).read_bytes() == TAR
    assert server.requests[-1][1].startswith('bytes=')


def test_a_file_in_a_folder_that_is_read_only(tmp_path, monkeypatch):
    def refuse(path, missing_ok=False):
        raise OSError(errno.EROFS, 'Read-only file system', str(path))

    (tmp_path / 'a').write_bytes(TAR)
    monkeypatch.setattr(Path, 'unlink', refuse)
    assert find_file([Source('a', ['http://127.0.0.1:9/a'], SHA256)], tmp_path, Path)


# ---- a mirror that is dead, and a file that two write --------------------------------------------

def test_a_mirror_that_cannot_be_reached_is_asked_once(tmp_path, monkeypatch):
    """Else a machine without a network would wait for each of them several times."""
    monkeypatch.setattr(download, 'WAIT', 1e9)
    with pytest.raises(Unavailable, match='refused') as error:
        download.download('http://127.0.0.1:9/a', tmp_path / 'a.part')
    assert not error.value.is_reached


def test_a_machine_without_a_network(tmp_path, monkeypatch):
    def no_name(*_):
        raise socket.gaierror(socket.EAI_NONAME, 'Name or service not known')

    monkeypatch.setenv('no_proxy', '*')
    monkeypatch.setattr(socket, 'getaddrinfo', no_name)
    with pytest.raises(Unavailable) as error:
        download.download('http://example.org/a', tmp_path / 'a.part')
    assert str(error.value) == 'Name or service not known; is this machine online?'
    assert not error.value.is_reached


def test_a_part_that_was_damaged_is_begun_again(server, tmp_path, log):
    """By the same command."""
    source = Source('a.pth', [server.serve('a', TAR, 'cut:3000', '503')], SHA256)
    with pytest.raises(OSError, match='HTTP 503'):
        download_file([source], tmp_path, Path)
    part, = tmp_path.glob('*.part')
    part.write_bytes(OTHER[:3000])
    server.behaviours['a'] = ['ok']
    assert download_file([source], tmp_path, Path, log=log.append).read_bytes() == TAR
    assert server.requests[-2:] == [('a', 'bytes=3000-'), ('a', None)] and not log


def test_a_connection_that_breaks_is_tried_again(server, tmp_path, monkeypatch):
    """Also where it cannot be made again at once."""
    url = server.serve('a', TAR, 'cut:3000', 'ok')
    open_url = download.open_url
    tries = []

    def no_network(request, limit):
        tries.append(request)
        if len(tries) == 2:
            raise Unavailable('no network', is_reached=False)
        return open_url(request, limit)

    monkeypatch.setattr(download, 'open_url', no_network)
    download.download(url, tmp_path / 'a.part')
    assert (tmp_path / 'a.part').read_bytes() == TAR and len(tries) == 3


def test_two_that_write_one_file_do_not_mix_it(server, tmp_path):
    """File systems without locks do not keep the second out."""
    part = tmp_path / 'a.part'

    def interfere(done, total, source):
        if done == LENGTH:
            with open(part, 'ab') as file:
                file.write(b'!')

    with pytest.raises(Unavailable, match='another process downloads the same file'):
        download.download(server.serve('a', TAR), part, report=interfere)
    assert holds_only(tmp_path)


# ---- a copy --------------------------------------------------------------------------------------

def test_a_copy_is_verified(tmp_path):
    own = tmp_path / 'own'
    folder = tmp_path / 'cache'
    folder.mkdir()
    reports = []
    source = Source('a.pth', [], SHA256)
    own.write_bytes(OTHER)
    with pytest.raises(ValueError, match='own: its sha256 is .* it is another file, or damaged'):
        copy_file(own, source, folder)
    assert holds_only(folder)
    own.write_bytes(TAR)
    (folder / 'a.pth.copy.part').symlink_to(own)        # it is not written through
    path = copy_file(own, source, folder, lambda *args: reports.append(args))
    assert path.read_bytes() == TAR == own.read_bytes() and not path.is_symlink()
    assert reports[-1] == (LENGTH, LENGTH, 'own') and holds_only(folder, 'a.pth')
