"""A real HTTP server on this machine that fails in many ways, and a small data set to serve."""
import hashlib
import io
import re
import threading
from collections.abc import Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple

import numpy as np
import pytest
from test_unpack import tar_of

from tinyfcn.fetch import download
from tinyfcn.fetch.source import Source

RNG = np.random.default_rng(6)
FILES = {'in/set/images/a.jpg': RNG.bytes(40_000), 'in/set/labels/a.txt': b'0 1\n',
         'in/readme': b''}
TAR = tar_of(FILES)
# of the same length
OTHER = tar_of({name: data[::-1] for name, data in FILES.items()})
SHA256 = hashlib.sha256(TAR).hexdigest()
LENGTH = len(TAR)
HALF = LENGTH // 2


def npz_bytes(seed, count=2000):
    """A small file of weights."""
    file = io.BytesIO()
    np.savez(file, **{'conv1.w': np.random.default_rng(seed).standard_normal(count, 'float32')})
    return file.getvalue()


class Row(NamedTuple):
    """A file of weights that a row of their table is to have, and its mirrors."""
    data: bytes
    file: str = 'small.npz'
    mirrors: Sequence[str] = ()
    checksum: str | None = ''           # '' is the SHA-256 of the data

    def source(self):
        checksum = hashlib.sha256(self.data).hexdigest() if self.checksum == '' else self.checksum
        return Source(self.file, self.mirrors, checksum)


class Server(ThreadingHTTPServer):
    """behaviours[path]: what it does with one request after another; the last one is repeated.

    'ok' handles Range and If-Range; 'cut' sends half of what is requested, 'cut:N' only N bytes,
    'stall:N' N bytes and then nothing; 'whole' ignores Range; 'shifted' sends another range;
    'html' sends a web page; 'endless' gives no length, 'vast' one of 2⁶⁰; '404' that status;
    'slow:N' sends all of it, N bytes at a time, a hundredth of a second apart.
    A function is called with the handler of the request, and sends what it likes.
    """
    daemon_threads = True

    def __init__(self):
        super().__init__(('127.0.0.1', 0), Handler)
        self.data = {}
        self.behaviours = {}
        self.tags = {}                                  # headers that name the version
        self.requests = []                              # (path, Range)
        self.is_over = threading.Event()

    def serve(self, path, data, *behaviours, **tags):
        self.data[path] = data
        self.behaviours[path] = [*behaviours] or ['ok']
        self.tags[path] = {name.replace('_', '-'): value for name, value in tags.items()} or {
            'ETag': f'"{hashlib.md5(data).hexdigest()}"'}
        return f'http://127.0.0.1:{self.server_port}/{path}'

    def handle_error(self, request, client_address):
        pass                                            # a client that hung up


@contextmanager
def running_server():
    """A server that answers until the end of the block."""
    server = Server()
    thread = threading.Thread(target=server.serve_forever, args=(.01,))
    thread.start()
    try:
        yield server
    finally:
        server.is_over.set()
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def server(monkeypatch):
    """For tests that fetch; their conftest.py imports it."""
    monkeypatch.setenv('no_proxy', '*')
    monkeypatch.setattr(download, 'WAIT', .01)
    with running_server() as server:
        yield server


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *args):
        pass

    def do_GET(self):
        server = self.server
        path = self.path[1:]
        wanted = self.headers.get('Range')
        server.requests.append((path, wanted))
        behaviours = server.behaviours[path]
        behaviour = behaviours.pop(0) if len(behaviours) > 1 else behaviours[0]
        if callable(behaviour):
            return behaviour(self)
        behaviour, _, count = behaviour.partition(':')
        data = server.data[path]
        tags = server.tags[path]
        if behaviour.isdecimal():
            return self.send_error(int(behaviour))
        if behaviour == 'html':
            data = b'<!doctype html><p>Please log in'
            wanted = None
        if wanted and self.headers.get('If-Range') not in tags.values() or behaviour == 'whole':
            wanted = None
        start = int(re.fullmatch(r'bytes=(\d+)-', wanted).group(1)) if wanted else 0
        if start >= len(data):
            self.send_response(416)
            self.send_header('Content-Range', f'bytes */{len(data)}')
            return self.end_headers()
        self.send_response(206 if wanted else 200)
        for name, value in tags.items():
            self.send_header(name, value)
        if wanted:
            first = start + (behaviour == 'shifted')
            self.send_header('Content-Range', f'bytes {first}-{len(data) - 1}/{len(data)}')
        rest = data[start:]
        if behaviour != 'endless':
            self.send_header('Content-Length', str(1 << 60 if behaviour == 'vast' else len(rest)))
        self.end_headers()
        if behaviour in ('cut', 'stall'):
            rest = rest[:int(count or len(rest) // 2)]
        if behaviour == 'slow':
            for at in range(0, len(rest), int(count)):
                self.wfile.write(rest[at:at + int(count)])
                if self.server.is_over.wait(.01):
                    break
            return
        self.wfile.write(rest)
        if behaviour == 'stall':
            self.server.is_over.wait(5)
