"""Fixtures: a local mirror, a data set in the table of sources, and a log."""
import threading

import pytest
from local_mirror import LENGTH, SHA256, Server

from tinyfcn.data.sources import SOURCES, DatasetSource
from tinyfcn.fetch import download
from tinyfcn.fetch.source import Source


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv('no_proxy', '*')
    monkeypatch.setattr(download, 'WAIT', .01)
    server = Server()
    thread = threading.Thread(target=server.serve_forever, args=(.01,))
    thread.start()
    yield server
    server.is_over.set()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def small(monkeypatch):
    """small(mirror …) adds a data set 'small' with these mirrors to SOURCES."""
    def add(*mirrors, checksum=SHA256, size=LENGTH, lists=None):
        archive = Source('small.tar', mirrors, checksum, size)
        monkeypatch.setitem(SOURCES, 'small', DatasetSource(
            archive, ['images', 'labels'], lists or {}, 'free', 'no citation'))
    return add


@pytest.fixture
def log():
    return []
