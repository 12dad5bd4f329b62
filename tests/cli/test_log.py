"""What the package logs, as a command shows it on stderr."""
import logging

import pytest

from tinyfcn.cli import log as cli_log, main

log = logging.getLogger('tinyfcn.somewhere')


@pytest.fixture
def shown(monkeypatch, capsys):
    """-> a function: the lines on stderr, as of a new process"""
    package = logging.getLogger('tinyfcn')
    monkeypatch.setattr(package, 'handlers', [])
    monkeypatch.setattr(package, 'level', package.level)
    for _ in range(2):                                  # a second command shows nothing twice
        assert main(['train', 'list']) == 0
    return lambda: capsys.readouterr().err.splitlines()


def test_progress_is_shown_at_once_and_then_now_and_then(shown, monkeypatch):
    times = iter([100, 101, 104.9, 105.1, 107])
    monkeypatch.setattr(cli_log, 'perf_counter', lambda: next(times))
    for loops in range(5):
        log.info('compiling kernels, once: %d done', loops)
    assert shown() == ['compiling kernels, once: 0 done', 'compiling kernels, once: 3 done']


def test_every_warning_is_shown(shown):
    for number in 1, 2:
        log.warning('warning %d', number)
    assert shown() == ['warning 1', 'warning 2']
