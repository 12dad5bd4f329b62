"""The grades of a notebook."""
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..exercises.checker import find_result
from .notebook import read_notebook
from .process import CALL_SECONDS, RUN_SECONDS, Stopped, StudentProcess


class Grade(NamedTuple):
    """The grade of an exercise."""
    exercise: str
    state: str          # 'correct', 'wrong', 'not written', 'missing', or 'not graded'
    message: str = ''
    hint: str = ''


class Graded(NamedTuple):
    """A graded notebook."""
    grades: list[Grade]
    remarks: list[str]  # cells that ended in an error
    network: str        # what has closed it: 'the kernel', only 'Python', or '' if nothing ran


class RemoteFunction:
    """A function of a notebook, called in the process of the notebook.

    stopped: why that process has ended in a call, or ''
    """

    def __init__(self, student: StudentProcess, name: str) -> None:
        self.student = student
        self.name = name
        self.stopped = ''

    def __call__(self, *args: Any) -> Any:
        try:
            reply = self.student.call(self.name, args)
        except Stopped as stop:
            self.stopped = self.stopped or str(stop)
            raise
        if 'unwritten' in reply:
            raise NotImplementedError
        if 'returned' not in reply:
            raise _error(str(reply.get('error', '')))
        for arg, used in zip(args, reply['args']):      # find_result sees what was changed
            if isinstance(arg, np.ndarray) and isinstance(used, np.ndarray):
                if arg.shape == used.shape:
                    arg[...] = used
        return reply['returned']


def _error(text: str) -> Exception:
    """An error that is described as the one in the process of the notebook."""
    name, _, message = text.partition(': ')
    error: Exception = type(name or 'Exception', (Exception,), {})(message)
    return error


def grade_notebook(path: Path, run_seconds: float = RUN_SECONDS,
                   call_seconds: float = CALL_SECONDS) -> Graded:
    """Run a notebook in a process of its own, and compare its functions with the library's.

    A ValueError says that the file is not a notebook, or has no exercise.
    """
    notebook = read_notebook(path)
    grades = []
    errors: dict[int, str] = {}
    network = ''
    waiting = dict(notebook.functions)
    while waiting:                      # a process that has ended is started again for the others
        try:
            student = StudentProcess(notebook.cells, run_seconds)
        except Stopped as stop:
            grades += [Grade(name, 'not graded', str(stop)) for name in waiting]
            break
        with closing(student):
            errors, network = student.errors, student.network
            while waiting:
                exercise, function = next(iter(waiting.items()))
                del waiting[exercise]
                grades.append(_grade(student, exercise, function, call_seconds))
                if grades[-1].state == 'not graded':
                    break
    remarks = [f'code cell {number} ended in {error}' for number, error in errors.items()]
    return Graded(grades, remarks, network)


def _grade(student: StudentProcess, exercise: str, function: str, seconds: float) -> Grade:
    if function not in student.functions:
        return Grade(exercise, 'missing', f'there is no function {function}')
    remote = RemoteFunction(student, function)
    with student.time_limit(seconds):
        result = find_result(exercise, remote)
    if remote.stopped:
        return Grade(exercise, 'not graded', remote.stopped)
    state = 'correct' if result.correct else 'wrong' if result.written else 'not written'
    return Grade(exercise, state, '' if result.correct else result.message, result.hint)
