"""Which exercises have been passed: check() records them, progress() shows them.

A passed exercise is an empty file in the user's cache folder. Its time is that of the first pass.
"""
from contextlib import suppress
from datetime import date
from pathlib import Path
from typing import NamedTuple

from ..fetch.cache import cache_folder
from ..files import make_folder
from .contents import EXERCISES_OF


class Progress(NamedTuple):
    """The exercises that have been passed, each with its date."""
    passed: dict[str, date]

    def __repr__(self):
        names = {name for names in EXERCISES_OF.values() for name in names}
        width = max(map(len, names))
        lines = [f'{len(names & {*self.passed})} of {len(names)} exercises passed', '',
                 f'lesson  {"exercise":{width}}  passed on']
        for lesson, in_lesson in EXERCISES_OF.items():
            lines += [f'{lesson:6}  {name:{width}}  {self.passed.get(name, "–")}'
                      for name in in_lesson]
        return '\n'.join(lines)


def progress() -> Progress:
    """The exercises of the course that you have passed on this computer, and when.

    >>> progress().passed
    {}
    """
    folder = ledger_folder()
    if not folder.is_dir():
        return Progress({})
    files = sorted(folder.iterdir(), key=lambda file: file.stat().st_mtime)
    return Progress({file.name: date.fromtimestamp(file.stat().st_mtime) for file in files})


def ledger_folder() -> Path:
    """The folder that has a file for each passed exercise."""
    return cache_folder() / 'course' / 'passed'


def record_pass(name: str) -> None:
    """Keep that an exercise was passed, if it is the first time."""
    # an answer is no less correct where nothing can be written; the file may be there already
    with suppress(OSError, ValueError):
        (make_folder(ledger_folder()) / name).touch(exist_ok=False)
