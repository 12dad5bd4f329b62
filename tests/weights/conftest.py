"""Fixtures: a local mirror, an empty cache, and weights in the table of sources."""
import pytest
from local_mirror import server  # noqa: F401

from tinyfcn.weights.sources import SOURCES, WeightsSource


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """The cache folder, which does not exist yet."""
    monkeypatch.setenv('TINYFCN_CACHE', str(tmp_path / 'cache'))
    return tmp_path / 'cache'


@pytest.fixture
def table(monkeypatch, cache):
    """table('small', Row …) adds weights of this name to the table. -> the folder for its files"""
    def add(name, *rows):
        monkeypatch.setitem(SOURCES, name, WeightsSource(
            [row.source() for row in rows], 'squeezenet', 1000, 'free', 'A. Uthor, 2026', 'small'))
        return cache / 'weights' / name
    return add


@pytest.fixture
def log():
    return []
