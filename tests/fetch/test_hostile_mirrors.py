"""Mirrors that never end, lie, or change their file: the next is asked, and nothing is mixed."""
import os
import re
import socket

import pytest
from local_mirror import FILES, HALF, LENGTH, OTHER, SHA256, TAR
from test_fetch import holds_only, is_complete
from test_unpack import files_in, tar_of

from tinyfcn.data.fetch import fetch_dataset
from tinyfcn.fetch import download, http
from tinyfcn.fetch.download import version_file
from tinyfcn.fetch.http import Unavailable

ZEROS = bytes(1 << 16)


def send(handler, *lines, body=b''):
    """A status line, headers and content, whatever they are."""
    handler.wfile.write('\r\n'.join([*lines, '', '']).encode('latin-1') + body)
    handler.close_connection = True


def send_for_ever(handler, piece):
    """Until the client hangs up, or the test is over."""
    handler.close_connection = True
    while not handler.server.is_over.is_set():
        handler.wfile.write(piece)


def reply(*lines, body=b''):
    return lambda handler: send(handler, *lines, body=body)


def no_length_and_no_end(handler):
    send(handler, 'HTTP/1.1 200 OK')
    send_for_ever(handler, b'x' + ZEROS)


def chunks_without_end(handler):
    send(handler, 'HTTP/1.1 200 OK', 'Transfer-Encoding: chunked')
    send_for_ever(handler, b'1\r\nx\r\n' * 1000)


def trailers_without_end(handler):
    send(handler, 'HTTP/1.1 200 OK', 'Transfer-Encoding: chunked', body=b'1\r\nx\r\n0\r\n')
    send_for_ever(handler, b'x: y\r\n' * 1000)


def provisional_replies_without_end(handler):
    send_for_ever(handler, b'HTTP/1.1 100 Continue\r\n\r\n' * 1000)


def headers_without_end(handler):
    handler.wfile.write(b'HTTP/1.1 200 OK\r\n')
    send_for_ever(handler, b'x: ' + ZEROS[:60_000].replace(b'\0', b'y') + b'\r\n')


def redirect_without_end(handler):
    send(handler, 'HTTP/1.1 302 Found', 'Location: /nowhere')
    send_for_ever(handler, ZEROS)


FAULTS = {
    'a body without an end': (no_length_and_no_end, f'more than {LENGTH:,} bytes'),
    'chunks without an end': (chunks_without_end, f'more than {LENGTH:,} bytes'),
    'trailers without an end': (trailers_without_end, 'its reply has no end'),
    'provisional replies without an end': (provisional_replies_without_end, 'its reply has no end'),
    'headers without an end': (headers_without_end, 'its reply has no end'),
    'an unasked 416': (reply('HTTP/1.1 416 Range Not Satisfiable', 'Content-Range: bytes */0'),
                       'HTTP 416, though no part'),
    'an unasked 206': (
        reply('HTTP/1.1 206 Partial Content', f'Content-Range: bytes 0-9/{LENGTH}',
              'Content-Length: 10', body=TAR[:10]),
        'HTTP 206, though no part of the file was requested'),
    'a length of 5,000 digits': (
        reply('HTTP/1.1 200 OK', f'Content-Length: {"9" * 5000}', body=TAR),
        "its length is '9999"),
    'a length below zero': (
        reply('HTTP/1.1 200 OK', 'Content-Length: -1', body=TAR), "its length is '-1'"),
    'a redirect to ftp': (reply('HTTP/1.1 302 Found', 'Location: ftp://127.0.0.1:9/small.tar'),
                          'it redirects to ftp://127.0.0.1:9/small.tar, which is not HTTP'),
    'a redirect to a file': (reply('HTTP/1.1 302 Found', 'Location: file:///etc/passwd'),
                             'HTTP 302'),
    'a redirect to itself': (reply('HTTP/1.1 302 Found', 'Location: /a'),
                             'HTTP 302 it redirects without end: Found'),
    'a redirect to a broken address': (reply('HTTP/1.1 302 Found', 'Location: http://[::1'),
                                       'ValueError'),
    'no HTTP at all': (reply('hello'), 'BadStatusLine'),
    'nothing': (lambda handler: setattr(handler, 'close_connection', True), ''),
}


@pytest.mark.parametrize('behaviour, problem', FAULTS.values(), ids=FAULTS)
def test_after_any_fault_the_next_mirror_is_asked(server, small, tmp_path, log, behaviour, problem):
    bad = server.serve('a', TAR, behaviour)
    small(bad, server.serve('b', TAR))
    (tmp_path / 'data').mkdir()
    root = fetch_dataset('small', tmp_path / 'data', log=log.append)
    assert is_complete(root, tmp_path / 'data')
    assert log[0].startswith(f'{bad}: ') and len(log[0]) < 500
    assert not problem or re.search(problem, log[0]), log[0]
    assert holds_only(tmp_path / 'data', 'small', 'small.tar')


@pytest.mark.parametrize('data', [TAR[:2000], tar_of({'images/a.jpg': b''}), b'hello'],
                         ids=['damaged', 'of another data set', 'none'])
def test_after_an_archive_that_cannot_be_used_the_next_mirror_is_asked(server, small, tmp_path, log,
                                                                      data):
    """No checksum is published, so that only unpacking shows it."""
    bad = server.serve('a', data)
    small(bad, server.serve('b', TAR), checksum=None, size=None)
    assert is_complete(fetch_dataset('small', tmp_path, log=log.append), tmp_path)
    assert log[1].startswith(f'{bad}: ') and log[1].endswith('(it is small.tar.bad now)')
    assert (tmp_path / 'small.tar.bad').read_bytes() == data
    assert (tmp_path / 'small.tar.sha256').read_text() == f'{SHA256}  small.tar\n'


def test_the_content_of_a_redirect_is_not_read(server, small, tmp_path):
    server.serve('nowhere', TAR)
    small(server.serve('a', TAR, redirect_without_end))
    assert is_complete(fetch_dataset('small', tmp_path), tmp_path)
    assert [path for path, _ in server.requests] == ['a', 'nowhere']


def test_a_file_of_unknown_size_has_a_limit_too(server, small, tmp_path, log, monkeypatch):
    monkeypatch.setattr(download, 'MAX_BYTES', 2 * LENGTH)
    small(server.serve('a', TAR, no_length_and_no_end), server.serve('vast', TAR, 'vast'),
          server.serve('b', TAR), size=None)
    assert is_complete(fetch_dataset('small', tmp_path, log=log.append), tmp_path)
    assert log[0].endswith(f'/a: more than {2 * LENGTH:,} bytes')
    assert f'/vast: {1 << 60:,} bytes are more than {2 * LENGTH:,}' in log[1]


def test_a_list_without_an_end_is_cut_off(server, small, tmp_path, log):
    small(server.serve('a', TAR), lists={
        'labels/train.txt': server.serve('t', b'', no_length_and_no_end),
        'labels/val.txt': server.serve('v', b'a', 'vast')})
    root = fetch_dataset('small', tmp_path, log=log.append)
    assert holds_only(root / 'labels', 'a.txt')
    train, val = log[-2:]
    assert '/t: more than 16,777,216 bytes; this list is missing' in train
    assert '/v: 1,152,921,504,606,846,976 bytes are more than 16,777,216; this list' in val


@pytest.mark.parametrize('data', [b'\0\0', b'../../etc/passwd\n', b'a' * 5000, b'\n'])
def test_a_list_that_is_none_is_not_kept(server, small, tmp_path, log, data):
    small(server.serve('a', TAR), lists={'labels/train.txt': server.serve('t', data)})
    root = fetch_dataset('small', tmp_path, log=log.append)
    assert holds_only(root / 'labels', 'a.txt')
    assert log[-1].startswith(f'{server.serve("t", data)}: ') and 'this list is missing' in log[-1]


@pytest.mark.parametrize('where', ['headers', 'content', 'chunks'])
def test_a_mirror_of_a_byte_a_second_is_left(server, small, tmp_path, log, monkeypatch, where):
    """Time is counted in reads here: each takes a second."""
    seconds = iter(range(10 ** 9))
    monkeypatch.setattr(http, 'monotonic', lambda: next(seconds))

    def drip(handler):
        lines = ['HTTP/1.1 200 OK']
        if where == 'chunks':
            lines.append('Transfer-Encoding: chunked')
        if where == 'headers':
            handler.wfile.write(b'HTTP/1.1 200 OK\r\nx: ')
        else:
            send(handler, *lines)
        handler.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while not handler.server.is_over.wait(.001):
            handler.wfile.write(b'0')

    bad = server.serve('a', TAR, drip)
    small(bad, server.serve('b', TAR))
    assert is_complete(fetch_dataset('small', tmp_path, log=log.append), tmp_path)
    assert log[0] == f'{bad}: it sends fewer than 1,000 bytes a second'
    assert [path for path, _ in server.requests] == ['a', 'b']


def test_a_reply_has_a_limit_of_time(server, small, tmp_path, log, monkeypatch):
    monkeypatch.setattr(http, 'MAX_SECONDS', 0)
    small(server.serve('a', TAR))
    with pytest.raises(OSError, match='/a: it took more than 0 seconds'):
        fetch_dataset('small', tmp_path)


def test_what_a_server_says_is_printable(server, small, tmp_path):
    small(server.serve('a', TAR, reply('HTTP/1.1 404 \x1b[2J\x9b31mgone', 'Content-Length: 0')))
    with pytest.raises(OSError, match=r'HTTP 404 \\x1b\[2J\\x9b31mgone') as error:
        fetch_dataset('small', tmp_path)
    assert str(error.value).replace('\n', '').isprintable()


# ---- two versions are never mixed ----------------------------------------------------------------

def part_of(data):
    """Send the rest of `data` after what was requested, whatever If-Range says."""
    def behave(handler):
        start = int(handler.headers['Range'][6:-1])
        tag = handler.server.tags[handler.path[1:]]
        send(handler, 'HTTP/1.1 206 Partial Content', f'Content-Length: {len(data) - start}',
             f'Content-Range: bytes {start}-{len(data) - 1}/{len(data)}',
             *(f'{key}: {value}' for key, value in tag.items()), body=data[start:])
    return behave


def first_half(server, small, tmp_path, **tags):
    """A fetch of TAR that is interrupted half-way; the version is that of `tags`."""
    small(server.serve('a', TAR, 'cut', '503', **tags), checksum=None, size=None)
    with pytest.raises(OSError, match='HTTP 503'):
        fetch_dataset('small', tmp_path)
    part, = tmp_path.glob('*.part')
    assert part.read_bytes() == TAR[:HALF]
    return part


OLD_DATE = 'Mon, 02 Mar 2026 10:00:00 GMT'


@pytest.mark.parametrize('old, new', [
    (dict(ETag='"1"'), dict(ETag='"2"')), (dict(ETag='"1"'), dict(Server='x')),
    (dict(Last_Modified=OLD_DATE), dict(Last_Modified='Mon, 02 Mar 2026 10:00:01 GMT')),
    (dict(Last_Modified=OLD_DATE), dict(Server='x'))],
    ids=['ETag', 'no ETag', 'Last-Modified', 'no date'])
def test_a_server_that_ignores_if_range(server, small, tmp_path, old, new):
    first_half(server, small, tmp_path, **old)
    server.serve('a', OTHER, part_of(OTHER), 'whole', **new)
    root = fetch_dataset('small', tmp_path)
    assert files_in(root) == {name[7:]: data[::-1] for name, data in FILES.items()
                              if name != 'in/readme'}


def test_a_version_of_another_length_with_the_same_date(server, small, tmp_path):
    first_half(server, small, tmp_path, Last_Modified=OLD_DATE)
    longer = OTHER + bytes(10240)
    server.serve('a', longer, part_of(longer), 'whole', Last_Modified=OLD_DATE)
    root = fetch_dataset('small', tmp_path)
    assert (root / 'images/a.jpg').read_bytes() == FILES['in/set/images/a.jpg'][::-1]


def test_a_new_version_that_is_as_long_as_the_part(server, tmp_path):
    """416 then says that there is no more, though the part is half of the old version."""
    part = tmp_path / 'x.part'
    url = server.serve('a', TAR, 'cut', '404')
    with pytest.raises(Unavailable):
        download.download(url, part)
    new = OTHER[:HALF]
    server.serve('a', new, reply('HTTP/1.1 416 No', f'Content-Range: bytes */{HALF}'), 'ok')
    download.download(url, part)
    assert part.read_bytes() == new


@pytest.mark.parametrize('tag', [b'', b'\n', b'\0\xff', b'"1"\r\nHost: evil', b'W/"1"',
                                 '"1" ü€'.encode()])
def test_a_part_whose_version_is_not_known_is_begun_again(server, small, tmp_path, tag):
    part = first_half(server, small, tmp_path, ETag='"1"')
    version_file(part).write_bytes(tag)
    server.serve('a', OTHER, 'ok', Server='x')
    root = fetch_dataset('small', tmp_path)
    assert (root / 'images/a.jpg').read_bytes() == FILES['in/set/images/a.jpg'][::-1]
    assert server.requests[-1] == ('a', None)


def test_a_part_without_a_version_is_not_continued(server, small, tmp_path):
    """Also where the server sends a part from byte 0 on, unasked."""
    part = first_half(server, small, tmp_path, ETag='"1"')
    version_file(part).unlink()

    def from_zero(handler):
        send(handler, 'HTTP/1.1 206 Partial Content', f'Content-Length: {LENGTH}',
             f'Content-Range: bytes 0-{LENGTH - 1}/{LENGTH}', body=OTHER)

    server.serve('a', OTHER, from_zero, 'ok', ETag='"2"')
    root = fetch_dataset('small', tmp_path)
    assert (root / 'images/a.jpg').read_bytes() == FILES['in/set/images/a.jpg'][::-1]


def test_the_version_is_noted_before_the_first_byte(server, tmp_path):
    part = tmp_path / 'x.part'
    download.download(server.serve('a', TAR, ETag='"1"'), part)
    assert version_file(part).read_text() == f'"1"\n{LENGTH}\n'


def test_a_link_in_place_of_a_part_is_not_followed(server, small, tmp_path):
    part = first_half(server, small, tmp_path, ETag='"1"')
    precious = tmp_path / 'precious'
    part.rename(precious)
    part.symlink_to(precious)
    server.behaviours['a'] = ['ok']
    assert is_complete(fetch_dataset('small', tmp_path), tmp_path)
    assert precious.read_bytes() == TAR[:HALF] and not list(tmp_path.glob('*.part'))


# ---- an archive that is not a file ---------------------------------------------------------------

@pytest.mark.parametrize('device', ['/dev/zero', 'pipe'])
@pytest.mark.parametrize('checksum', [None, SHA256])
def test_from_a_device(small, tmp_path, device, checksum):
    small(checksum=checksum, size=None)
    path = device
    if device == 'pipe':
        path = tmp_path / 'pipe'
        os.mkfifo(path)
    with pytest.raises(ValueError, match=f'{path}: a pipe or a device, not a file'):
        fetch_dataset('small', tmp_path / 'data', archive=path)
    assert holds_only(tmp_path / 'data')
