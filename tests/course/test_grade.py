"""Grading notebooks: their code runs in a process of its own, and decides nothing."""
import csv
import json
import os
import re
import socket
import time
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from tinyfcn.course import progress
from tinyfcn.course.exercises.array_backend import DeviceArray
from tinyfcn.course.exercises.checker import EXERCISES, find_result
from tinyfcn.course.grade import grade_notebook
from tinyfcn.course.grade.__main__ import as_text_cell, main
from tinyfcn.course.grade.codec import decode, encode
from tinyfcn.course.grade.notebook import read_notebook

SGD = '''
def sgd_mine(w, g, v, lr, momentum, decay):
    v = momentum * v + lr * (g + decay * w)
    return w - v, v
'''


@pytest.fixture
def write(tmp_path):
    """Writes a notebook with these cells, which begin with a title if they are text."""
    def write(*cells, name='student.ipynb'):
        kinds = ['markdown' if cell.startswith('# ') else 'code' for cell in cells]
        content = dict(cells=[dict(cell_type=kind, source=cell.splitlines(keepends=True))
                              for kind, cell in zip(kinds, cells)])
        path = tmp_path / name
        path.write_text(json.dumps(content), 'utf-8')
        return path
    return write


# ---- Without running anything

def test_the_exercises_are_those_of_the_lesson_and_those_that_are_checked(write):
    path = write('# 07. Pooling', '%matplotlib inline\n!ls\ncheck("sgd", my_step)',
                 'check("unpool", f)', 'check("nothing", f)', 'no Python', 'check(name, f)')
    assert read_notebook(path).functions == dict(max_pool='max_pool_mine', unpool='f',
                                                 sgd='my_step')


@pytest.mark.parametrize('text', ['', 'x', '[]', '{"cells": 5}', '{"cells": [{}]}', '[' * 99_999])
def test_what_is_not_a_notebook_is_rejected(tmp_path, text):
    path = tmp_path / 'any.ipynb'
    path.write_text(text)
    with pytest.raises(ValueError, match=r'any\.ipynb is not a notebook'):
        read_notebook(path)


def test_a_notebook_without_an_exercise_is_rejected(write):
    with pytest.raises(ValueError, match='it has no exercise: neither a title'):
        read_notebook(write('# Notes', 'x = 1'))


@pytest.mark.parametrize('name', EXERCISES)
def test_arguments_and_results_of_every_exercise_can_be_sent(name):
    """The solution is correct, and a mistake gets its hint, on the other side of the wire."""
    def sent(function):
        def call(*args):
            args = decode(json.loads(json.dumps(encode(args))))
            return decode(json.loads(json.dumps(encode(function(*args)))))
        return call

    exercise = EXERCISES[name]
    assert find_result(name, sent(exercise.solution)).correct
    hint, mistake = next(iter(exercise.mistakes.items()))
    assert find_result(name, sent(mistake)).hint == hint


@pytest.mark.parametrize('value', [
    None, ..., True, 3, 2.5, 'a', [1, (2, None)], {'a': 1, 2: [3.]}, np.float32(1.5),
    np.arange(6.)[::-2], np.zeros((2, 0)), float('inf')])
def test_a_value_is_the_same_after_it_was_sent(value):
    again = decode(json.loads(json.dumps(encode(value))))
    np.testing.assert_equal(again, value)
    assert getattr(again, 'dtype', None) == getattr(value, 'dtype', None)


def test_other_values_become_what_can_be_described():
    assert type(decode(encode(Path()))).__name__ == type(Path()).__name__
    assert type(decode(encode(np.array([None])))).__name__ == 'array of objects'
    assert decode(encode(Fraction(1, 2))) == .5
    device = decode(encode(DeviceArray(np.ones(2))))
    assert isinstance(device, DeviceArray) and device.get().tolist() == [1, 1]


@pytest.mark.parametrize('forged', [
    {'array': 'AAAA', 'dtype': 'O', 'shape': [1]}, {'array': 'AAAA', 'dtype': '<f8', 'shape': [9]},
    {'array': 'AA', 'dtype': 'f4', 'shape': [10 ** 12]}, {'array': 5, 'dtype': 'f4', 'shape': []}])
def test_a_forged_array_is_rejected(forged):
    with pytest.raises((ValueError, TypeError)):
        decode(forged)


def test_a_cell_of_a_spreadsheet_is_no_formula():
    assert [*map(as_text_cell, ('=1+1', '@x', 'y is 1'))] == ["'=1+1", "'@x", 'y is 1']


def test_the_command_says_which_file_is_no_notebook(tmp_path, capsys):
    pytest.importorskip('IPython')
    (tmp_path / 'a.ipynb').write_text('{}')
    table = tmp_path / 'grades.csv'
    assert main([str(tmp_path / 'a.ipynb'), str(tmp_path / 'b.ipynb'), '--csv', str(table)]) == 2
    printed = capsys.readouterr().out
    assert re.search(r'a\.ipynb +not graded +a\.ipynb is not a notebook$', printed, re.M)
    assert re.search(r'b\.ipynb +not graded +\S+b\.ipynb: no such file', printed, re.M)
    rows = [*csv.reader(table.read_text('utf-8-sig').splitlines())]
    assert len(rows) == 3 and rows[1][2] == 'not graded'


# ---- Notebooks that run

FORGERY = '''
import tinyfcn.course.exercises.checker as checker
import tinyfcn.course.exercises.compare as compare
from tinyfcn.course.exercises import Result

def check(name, mine):
    return Result(name, True, 'correct')

checker.check = check
checker.EXERCISES.clear()
compare.same_outcome = checker.same_outcome = lambda a, b: True
'''
MISTAKE = '''
def to_conv_mine(w, channels, size):
    return w.reshape(len(w), channels, *size)[..., ::-1, ::-1]

check('to_conv', to_conv_mine)
'''


def states(graded):
    return {grade.exercise: grade.state for grade in graded.grades}


@pytest.mark.lessons
def test_the_notebook_decides_nothing(write, monkeypatch):
    monkeypatch.setenv('SECRET_KEY', 'of the teacher')
    path = write(
        '# 11. Convolutionalised', '%config InlineBackend.x = 1\nimport os\nimport numpy as np',
        FORGERY, MISTAKE, SGD + 'check("sgd", sgd_mine)',
        'def my_mean(hist):\n    raise NotImplementedError\ncheck("mean_iu", my_mean)',
        'check("bilinear", bilinear_mine)', 'print(open("x", "w").write("y"))\nassert 1 == 2',
        'assert "SECRET_KEY" not in os.environ\nassert os.listdir(os.environ["HOME"])')
    graded = grade_notebook(path)
    assert states(graded) == dict(to_conv='wrong', sgd='correct', mean_iu='not written',
                                  bilinear='missing')
    assert 'are flipped' in graded.grades[0].hint
    failed = {int(re.search(r'code cell (\d+)', remark)[1]) for remark in graded.remarks}
    assert {6, 7} <= failed and 8 not in failed         # a cell that fails stops no other
    assert progress().passed == {}                      # the ledger is the teacher's


@pytest.mark.lessons
def test_a_notebook_has_no_network(write):
    with socket.create_server(('127.0.0.1', 0)) as server:
        server.settimeout(0)
        address = server.getsockname()
        connect = f'import socket\nsocket.create_connection({address}, 5)'
        graded = grade_notebook(write(connect, SGD + 'check("sgd", sgd_mine)'))
        with pytest.raises(BlockingIOError):
            server.accept()
    assert graded.network in ('the kernel', 'Python')
    assert states(graded) == dict(sgd='correct')
    assert graded.remarks[0].startswith('code cell 1 ended in OSError')


@pytest.mark.lessons
def test_a_cell_that_does_not_end_is_stopped(write):
    path = write('import time\ntime.sleep(1000)', SGD + 'check("sgd", sgd_mine)')
    graded = grade_notebook(path, run_seconds=8)
    assert states(graded) == dict(sgd='not graded')
    assert 'not done within 8 s' in graded.grades[0].message


@pytest.mark.lessons
def test_a_function_that_hangs_or_crashes_does_not_stop_the_others(write):
    """Nor does one that asks for too much memory; a check() in the notebook does not run."""
    path = write(
        'import os\nimport time\nimport numpy as np\n'
        'def hang(hist):\n    time.sleep(1000)\ncheck("mean_iu", hang)',
        'def crash(*args):\n    os.kill(os.getpid(), 9)\ncheck("im2col", crash)',
        'def hungry(factor):\n    return np.ones(10 ** 10)\ncheck("bilinear", hungry)',
        SGD + 'check("sgd", sgd_mine)')
    graded = grade_notebook(path, call_seconds=3)
    messages = {grade.exercise: (grade.state, grade.message) for grade in graded.grades}
    assert messages['mean_iu'] == ('not graded', 'not done within 3 s')
    assert messages['im2col'] == ('not graded', 'its process ended, killed by SIGKILL')
    assert messages['bilinear'][0] == 'wrong' and 'MemoryError' in messages['bilinear'][1]
    assert messages['sgd'][0] == 'correct'


@pytest.mark.lessons
def test_what_a_notebook_has_started_ends_with_it(write):
    path = write('import subprocess\ndef start(hist):\n'
                 '    raise ValueError(subprocess.Popen(["sleep", "1000"]).pid)\n'
                 'check("mean_iu", start)')
    message = grade_notebook(path).grades[0].message
    pid = int(re.search(r'ValueError: (\d+)', message)[1])
    for _ in range(100):
        with suppress(FileNotFoundError):
            if Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()[0] != 'Z':
                time.sleep(.1)
                continue
        return
    os.kill(pid, 9)
    pytest.fail(f'process {pid} is still there')


@pytest.mark.lessons
def test_the_command_prints_a_table(write, capsys):
    assert main([str(write(SGD + 'check("sgd", sgd_mine)'))]) == 0
    assert re.search(r'^\S+student\.ipynb  sgd +correct$', capsys.readouterr().out, re.M)
