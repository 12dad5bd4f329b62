"""How far a training is: lines in a log file, a bar on a terminal."""
import io
import re
import sys

import pytest

from tinyfcn.cli import bar
from tinyfcn.cli.bar import Bar, show_bar
from tinyfcn.cli.progress import show_progress
from tinyfcn.training import Recipe

RECIPE = Recipe(lr=.1, steps=4, validate_every=2, batch=2)


def rows_of_a_run():
    for step in range(1, 5):
        yield dict(step=step, loss=.5, lr=.1, seconds=float(step))
        if step % 2 == 0:
            yield dict(step=step, mean_iu=None if step == 2 else .571, pixel_acc=.9,
                       seconds=float(step))


class Terminal(io.StringIO):
    encoding = 'utf-8'

    def isatty(self):
        return True


def test_a_log_file_gets_a_line_now_and_then(capsys, monkeypatch):
    monkeypatch.setattr(bar, 'LINE_SECONDS', 0)
    scores = show_progress(rows_of_a_run(), RECIPE, 'a title', 'resume')
    printed = capsys.readouterr()
    assert scores['mean_iu'] == .571
    assert printed.out.splitlines()[0] == 'a title' and '\r' not in printed.err
    lines = printed.err.splitlines()
    assert len(lines) == 4
    assert re.fullmatch(r'  1 of 4 steps, \S+ steps/s, \S+ left, loss 0.5, 2.0 images/s', lines[0])
    assert lines[3].endswith('mean IU –')               # of the validation after step 2


def test_a_command_without_stderr_shows_no_progress(monkeypatch):
    monkeypatch.setattr(sys, 'stderr', None)
    assert [*show_bar('abc', 3, 'image')] == [*'abc']


def test_a_bar_may_have_no_lines_in_a_log_file(capsys, monkeypatch):
    monkeypatch.setattr(bar, 'LINE_SECONDS', 0)
    assert [*show_bar('ab', 2, 'trial', in_logs=False)] == ['a', 'b']
    assert not capsys.readouterr().err
    assert [*show_bar('a', 1, 'trial')] and '1 of 1 trials' in capsys.readouterr().err


def test_lines_are_not_printed_more_often(capsys):
    show_progress(rows_of_a_run(), RECIPE, 'a title', 'resume')
    assert not capsys.readouterr().err


def test_a_terminal_shows_no_mean_iu_before_a_validation(monkeypatch):
    monkeypatch.setattr(sys, 'stderr', Terminal())
    show_progress(rows_of_a_run(), RECIPE, 'a title', 'resume')
    drawn = sys.stderr.getvalue().split('\r')
    first = [text for text in drawn if ' 1/4 ' in text]
    assert '4/4' in drawn[-1] and not any('mean IU' in text for text in first)


def test_validations_are_in_per_cent(capsys):
    show_progress(rows_of_a_run(), RECIPE, 'a title', 'resume')
    assert [line.split() for line in capsys.readouterr().out.splitlines()[1:]] == [
        'step 2 mean IU – pixel acc 90.0 2 s'.split(),
        'step 4 mean IU 57.1 pixel acc 90.0 4 s'.split()]


def test_the_title_is_not_printed_before_an_error(capsys):
    def failing_rows():
        raise ValueError('this folder holds a run')
        yield

    with pytest.raises(ValueError, match='holds a run'):
        show_progress(failing_rows(), RECIPE, 'a title', 'resume')
    assert not capsys.readouterr().out


def test_what_was_done_before_is_not_part_of_the_rate(monkeypatch):
    times = iter([0, 0, 0, 10, 10, 10])
    monkeypatch.setattr(bar, 'perf_counter', lambda: next(times, 10))
    with Bar(100, 'step') as steps:
        steps.start(50)
        steps.update(60)
        assert steps.line() == '  60 of 100 steps, 1 steps/s, 00:40 left'


def test_the_first_step_counts_for_the_rate_with_its_time(capsys, monkeypatch):
    monkeypatch.setattr(bar, 'LINE_SECONDS', 0)
    now = [0.]
    monkeypatch.setattr(bar, 'perf_counter', lambda: now[0])

    def slow_rows():
        for row in rows_of_a_run():
            now[0] += 10
            yield row

    show_progress(slow_rows(), RECIPE, 'a title', 'resume')
    assert capsys.readouterr().err.startswith('  1 of 4 steps, 0.1 steps/s, 00:30 left')


def test_show_bar_yields_the_items():
    assert [*show_bar('abc', 3, 'image')] == [*'abc']
