"""How far a download is: a bar on a terminal, lines in a log file, nothing without stderr."""
import os
import struct
import sys
from contextlib import contextmanager

import pytest
from portable import fcntl, pty, termios

from tinyfcn.fetch import progress
from tinyfcn.fetch.progress import Progress

MIRROR = 'https://example.org/weights/of/a/very/deep/net/small.npz'


@contextmanager
def terminal(monkeypatch):
    """-> a list: what a terminal that is stderr in the block was sent, once it has ended"""
    controller, handle = pty.openpty()
    fcntl.ioctl(handle, termios.TIOCSWINSZ, struct.pack('4H', 24, 120, 0, 0))
    sent = []
    with os.fdopen(handle, 'w') as screen, monkeypatch.context() as patch:
        patch.setattr(sys, 'stderr', screen)
        yield sent
        screen.flush()
        os.set_blocking(controller, False)
        try:
            while piece := os.read(controller, 1 << 16):
                sent.append(piece.decode())
        except BlockingIOError:                         # that was all
            pass
    os.close(controller)


def test_a_bar_on_a_terminal(monkeypatch):
    with terminal(monkeypatch) as sent, Progress() as report:
        report(0, None, MIRROR)
        report(1_000_000, 5_000_000, MIRROR)
        report(5_000_000, 5_000_000, MIRROR)
        report(100, 200, 'small.npz\x1b[2J')
    text = ''.join(sent)
    assert MIRROR[-progress.SOURCE_WIDTH:] in text and 'https' not in text
    assert '100/200' in text
    assert r'small.npz\x1b[2J' in text and '\x1b[2J' not in text.replace(r'\x1b[2J', '')


def test_no_bar_before_there_is_something_to_show(monkeypatch):
    with terminal(monkeypatch) as sent, Progress():
        pass
    assert not sent


def test_lines_in_a_log(capsys, monkeypatch):
    seconds = iter([10, 15, 31, 32])
    monkeypatch.setattr(progress, 'perf_counter', lambda: next(seconds))
    monkeypatch.setattr(progress, 'LINE_SECONDS', 20)
    with Progress() as report:
        report(0, 5_000_000, MIRROR)
        report(1_000_000, 5_000_000, MIRROR)
        report(2_000_000, 5_000_000, MIRROR)
    assert capsys.readouterr().err.splitlines() == [f'  0 of 5 MB, {MIRROR}',
                                                    f'  2 of 5 MB, {MIRROR}']


def test_without_stderr(monkeypatch):
    monkeypatch.setattr(sys, 'stderr', None)
    with Progress() as report:
        report(0, 5, MIRROR)
        report(5, 5, MIRROR)


def test_a_log_that_cannot_be_written(monkeypatch):
    """The program that read it has ended; the download continues."""
    full = open('/dev/full', 'w', buffering=1)
    with monkeypatch.context() as patch, Progress() as report:
        patch.setattr(sys, 'stderr', full)
        report(0, 5, MIRROR)
    with pytest.raises(OSError):
        full.close()                                    # what it has not written yet
