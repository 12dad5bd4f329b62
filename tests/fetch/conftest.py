"""Fixtures: a local mirror, a data set in the table of sources, and a log."""
import pytest
from local_mirror import LENGTH, SHA256, server  # noqa: F401

from tinyfcn.data.sources import SOURCES, DatasetSource
from tinyfcn.fetch.source import Source


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
