"""The parts of a notebook that grading needs. Nothing of it is run here."""
import ast
import json
import re
from pathlib import Path
from typing import Any, NamedTuple

from ...files import printable, read_text
from ..contents import EXERCISES_OF
from ..exercises.checker import EXERCISES


class Notebook(NamedTuple):
    """The code of a notebook, and its exercises with the names of their functions."""
    cells: list[str]
    functions: dict[str, str]           # {exercise: the name of the function that is checked}


def read_notebook(path: Path) -> Notebook:
    """Read a notebook. Its exercises are those of its lesson, and all that it checks."""
    cells = _read_cells(path)
    code = [source for kind, source in cells if kind == 'code']
    text = '\n'.join(source for kind, source in cells if kind == 'markdown')
    title = re.search(r'^# (\d\d)\. ', text, re.M)
    of_lesson = EXERCISES_OF.get(title[1], ()) if title else ()
    functions = {name: f'{name}_mine' for name in of_lesson}
    for cell in code:
        functions.update(_checked_functions(cell))
    if not functions:
        raise ValueError('it has no exercise: neither a title such as "# 03. …" nor check(…)')
    return Notebook(code, functions)


def _read_cells(path: Path) -> list[tuple[str, str]]:
    """The (kind, source) of each cell."""
    try:
        content: Any = json.loads(read_text(path))
        return [(str(cell['cell_type']), ''.join(cell['source'])) for cell in content['cells']]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise ValueError(f'{printable(path.name)} is not a notebook') from None


def _checked_functions(cell: str) -> dict[str, str]:
    """{exercise: function} of the calls check('exercise', function) in a cell."""
    # lines for IPython, such as %matplotlib and !ls, are no Python
    source = re.sub(r'^\s*[%!].*$', 'pass', cell, flags=re.M)
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return {}
    found = {}
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name('check'),
                          args=[ast.Constant(str() as exercise), ast.Name(function)]):
                if exercise in EXERCISES:
                    found[exercise] = function
    return found
