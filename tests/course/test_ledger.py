"""The ledger: check() records what was passed, progress() shows it, and nothing else changes."""
import ast
import os
import re
from datetime import date
from pathlib import Path

import pytest

from tinyfcn.course import progress
from tinyfcn.course.contents import EXERCISES_OF
from tinyfcn.course.exercises import check
from tinyfcn.course.exercises.checker import EXERCISES
from tinyfcn.course.ledger import ledger_folder

LESSONS = Path(__file__).parents[2] / 'lessons'


def to_conv(w, channels, size):
    return w.reshape(len(w), channels, *size)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv('TINYFCN_CACHE', str(tmp_path / 'cache'))
    return tmp_path / 'cache'


def test_it_has_the_exercises_that_were_passed(cache):
    assert progress().passed == {}
    check('bilinear', lambda factor: 0.)
    check('mean_iu', lambda hist: None)
    assert progress().passed == {} and not cache.exists()
    assert check('to_conv', to_conv).correct
    assert progress().passed == {'to_conv': date.today()}
    text = repr(progress())
    assert text.startswith(f'1 of {len(EXERCISES)} exercises passed\n')
    assert re.search(rf'^11 +to_conv +{date.today()}$', text, re.M)
    assert re.search(r'^09 +bilinear +–$', text, re.M)


def test_the_first_pass_counts(cache):
    check('to_conv', to_conv)
    os.utime(ledger_folder() / 'to_conv', (0, 1_000_000_000))
    assert check('to_conv', to_conv).correct
    assert not check('to_conv', lambda *case: 0.).correct
    assert progress().passed == {'to_conv': date(2001, 9, 9)}


def test_an_answer_is_correct_where_nothing_can_be_written(cache):
    cache.write_text('a file where a folder is needed')
    assert check('to_conv', to_conv).correct
    assert progress().passed == {}


def test_the_contents_are_those_of_the_lessons():
    found = {}
    for path in sorted(LESSONS.glob('l[0-9][0-9]_*.py')):
        calls = [node for node in ast.walk(ast.parse(path.read_text('utf-8')))
                 if isinstance(node, ast.Call) and getattr(node.func, 'id', '') == 'check']
        found[path.name[1:3]] = tuple(call.args[0].value for call in calls)
    assert EXERCISES_OF == found
    assert {name for names in found.values() for name in names} == {*EXERCISES}
