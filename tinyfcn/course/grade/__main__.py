"""`python -m tinyfcn.course.grade`: the grades of notebooks, as a table."""
import argparse
import csv
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from io import StringIO, TextIOWrapper
from pathlib import Path

from ...files import open_atomic, printable
from .grading import Grade, Graded, grade_notebook
from .process import CALL_SECONDS, RUN_SECONDS

BAD_INPUT = 2
DESCRIPTION = f'''\
Grade notebooks of the course: each exercise is correct, wrong, not written, missing or not graded.
A wrong one comes with the first wrong number, and with the hint that its author would get.

Each notebook runs in a process of its own, with {RUN_SECONDS} s for its cells, {CALL_SECONDS} s for
an exercise, 4 GB of memory, no network, and an empty folder that is removed afterwards. Its
functions are called there and compared here, so that to overwrite check() changes nothing.
This does not contain: the code runs with your rights, and can read and delete your files. Grade
notebooks of strangers in a container, or under an account that owns nothing. On Windows memory is
not limited, and outside Linux the network is closed for Python alone.'''
HEADER = Grade('exercise', 'grade', 'what is wrong')


def main(argv: Sequence[str] | None = None) -> int:
    """Grade the notebooks that are named. -> exit code: 2 if a file is not a notebook"""
    parser = argparse.ArgumentParser('python -m tinyfcn.course.grade', description=DESCRIPTION,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('notebooks', nargs='+', type=Path, metavar='NOTEBOOK')
    parser.add_argument('--csv', type=Path, metavar='FILE',
                        help='write the table, with the hints, to a file for a spreadsheet, too')
    args = parser.parse_args(argv)
    if not find_spec('IPython'):
        parser.error('IPython runs the cells, and is not installed: pip install "tinyfcn[lessons]"')

    width = max(len(printable(path)) for path in args.notebooks)
    show('notebook', HEADER, width)
    table: list[tuple[str, Grade]] = []
    code = 0
    for path in args.notebooks:
        try:
            graded = grade_notebook(path)
        except (OSError, ValueError) as error:
            code = BAD_INPUT
            graded = Graded([Grade('', 'not graded', str(error))], [], '')
        table += [(str(path), grade) for grade in graded.grades]
        for grade in graded.grades:
            show(printable(path), grade, width)
        for remark in graded.remarks:
            print(' ' * width, f' {printable(remark)}', flush=True)
    if args.csv:
        write_csv(args.csv, table)
    return code


def show(notebook: str, grade: Grade, width: int) -> None:
    """Print a row of the table, and the hint below it."""
    row = f'{notebook:{width}}  {grade.exercise:21} {grade.state:11}'
    print(f'{row}  {printable(grade.message)}'.rstrip(), flush=True)
    if grade.hint:
        print(f'{" " * len(row)}  {printable(grade.hint, limit=None)}', flush=True)


def write_csv(path: Path, table: list[tuple[str, Grade]]) -> None:
    """The table in a file of its own."""
    text = StringIO()
    writer = csv.writer(text)
    writer.writerow(['notebook', 'exercise', 'grade', 'what is wrong', 'hint'])
    writer.writerows([notebook, *map(as_text_cell, grade)] for notebook, grade in table)
    with open_atomic(path) as file:
        file.write(text.getvalue().encode('utf-8-sig'))     # as Excel expects it


def as_text_cell(text: str) -> str:
    """The text, so that no spreadsheet takes it for a formula, as it does what begins with =.

    >>> as_text_cell('=1+1')
    "'=1+1"
    """
    return f"'{text}" if text.startswith(('=', '+', '-', '@', '\t', '\r')) else text


if __name__ == '__main__':
    if isinstance(sys.stdout, TextIOWrapper):           # a terminal of Windows may lack characters
        sys.stdout.reconfigure(errors='backslashreplace')
    sys.exit(main())
