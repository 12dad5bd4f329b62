"""The course: lessons run and have their parts, solutions are right, experiments can be tried."""
import ast
import json
import re
from pathlib import Path

import pytest

import tinyfcn
from tinyfcn import layers, ops
from tinyfcn.course.player.page import SCRIPTS, TRACE_SCRIPTS, part_texts
from tinyfcn.net import errors

pytestmark = pytest.mark.lessons

FOLDER = Path(__file__).parents[2] / 'lessons'
LESSONS = sorted(FOLDER.glob('l[0-9][0-9]_*.py'))
STEPPED_LESSONS = '12', '13'                    # these step through a net box by box
MAX_CPU_SECONDS = 20                            # of one lesson
MAX_ASSERTS = 3                                 # in a cell that is not folded
MAX_TOTAL_CPU_SECONDS = 240
EXPORTED = {*tinyfcn.__all__, *ops.__all__, *(
    name for name, value in vars(layers).items()
    if getattr(value, '__module__', '') == layers.__name__ and not name.startswith('_'))}

each = pytest.mark.parametrize('path', LESSONS, ids=lambda path: path.stem)
cpu_seconds = {}


# ---- the parts of a lesson -----------------------------------------------------------------------

def test_the_course_is_complete():
    assert [path.name[1:3] for path in LESSONS] == [f'{i:02}' for i in range(20)]


def code_of(cells):
    return [text for kind, text in cells if kind != 'markdown']


def text_of(cells):
    return '\n\n'.join(text for kind, text in cells if kind == 'markdown')


def exercises(cells):
    """-> [(code of the stub, [(exercise, function) that it checks], the cell after it)]"""
    found = []
    for (kind, stub), after in zip(cells, [*cells[1:], ('', '')]):
        calls = kind != 'markdown' and [
            (node.args[0].value, ast.unparse(node.args[1])) for node in ast.walk(ast.parse(stub))
            if isinstance(node, ast.Call) and getattr(node.func, 'id', '') == 'check'
            and isinstance(node.args[0], ast.Constant)]
        if calls:
            found.append((stub, calls, after))
    return found


def solution(after):
    """The one block of Python in the folded solution, in the cell after an exercise."""
    folded = re.findall(r'<details>\s*<summary>Solution</summary>(.*?)</details>', after[1], re.S)
    assert after[0] == 'markdown' and len(folded) == 1, 'no folded solution after an exercise'
    blocks = re.findall(r'^```python\n(.*?)^```$', folded[0], re.S | re.M)
    assert len(blocks) == 1, f'{len(blocks)} blocks of Python in a solution'
    return blocks[0]


@each
def test_a_lesson_has_its_parts(path, course):
    cells = course.read_cells(path)
    number = path.name[1:3]
    kind, first = cells[0]
    assert kind == 'markdown' and re.match(rf'# {number}\. \S', first)
    bold = re.findall(r'\*\*([^*]+)\*\*', first)
    questions = [text for text in bold if text.endswith('?')]
    assert len(questions) == 1, 'one question in bold, in the first cell'
    assert 'show_source(' in ''.join(code_of(cells)), 'it shows source code of the library'
    if number in STEPPED_LESSONS:
        assert 'next(' in ''.join(code_of(cells)), 'it steps through a net, one box at a time'
    assert '\n## What PyTorch calls this\n' in f'\n{text_of(cells)}\n'

    found = exercises(cells)
    assert found
    for stub, calls, after in found:
        assert 'raise NotImplementedError' in stub
        last = ast.parse(stub).body[-1]
        assert isinstance(last, ast.Expr) and ast.unparse(last).startswith('check('), calls
        assert solution(after)

    questions = text_of(cells).partition('\n## Three questions\n')[2]
    assert questions.count('<details>') == questions.count('</details>') == 3


@each
def test_the_rows_of_a_table_have_as_many_cells(path, course):
    """Markdown shows a table with a cell too many as plain text."""
    text = re.sub(r'`[^`]*`', '', text_of(course.read_cells(path)))
    for table in re.findall(r'(?:^\|.*\n?)+', text, re.M):
        assert len({row.count('|') for row in table.splitlines()}) == 1, table


def defined_names(source):
    """Names that a piece of code defines or assigns, except imports and arguments."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            yield node.name
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id


@each
def test_no_name_of_the_library_is_used_for_something_else(path, course):
    cells = course.read_cells(path)
    sources = [*code_of(cells), *(solution(after) for *_, after in exercises(cells))]
    taken = sorted({*defined_names('\n'.join(sources))} & EXPORTED)
    assert not taken


def imported_names(source):
    return {(alias.asname or alias.name).partition('.')[0] for node in ast.walk(ast.parse(source))
            if isinstance(node, (ast.Import, ast.ImportFrom)) for alias in node.names}


@each
def test_no_import_is_used_for_something_else(path, course):
    """`y, cache = ops.relu(x)` would replace a function `cache` for every cell that runs again."""
    source = '\n'.join(code_of(course.read_cells(path)))
    assert not imported_names(source) & {*defined_names(source)}


def test_the_check_for_names_of_the_library_works():
    source = 'def im2col(pad):\n    pass\nfor crop in ():\n    scale, x = 1, 2\n'
    assert {*defined_names(source)} & EXPORTED == {'im2col', 'crop', 'scale'}
    assert EXPORTED >= {'build', 'conv2d', 'max_switches', 'conv', 'deconv', 'data'}


def is_check(statement):
    """Whether a statement only asserts or imports."""
    return isinstance(statement, (ast.Assert, ast.Import, ast.ImportFrom))


@each
def test_a_reader_sees_the_idea_and_not_the_drawing(path, course):
    """Cells that draw, or only check or import, are folded, except for experiments."""
    for kind, text in course.read_cells(path):
        if kind != 'code' or '# try:' in text:
            continue
        body = ast.parse(text).body
        assert not all(map(is_check, body)), f'fold: {text}'
        asserts = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Assert)]
        assert len(asserts) <= MAX_ASSERTS, f'fold the checks: {text}'
        assert not re.search(r'\b(plt|ax|axes)\.\w+\(', text), f'fold the drawing: {text}'


@each
def test_a_folded_cell_says_what_it_does(path, course):
    """JupyterLab shows the first line of a folded cell."""
    for kind, text in course.read_cells(path):
        if kind == 'folded':
            assert text.startswith(('# ', 'import ', 'from ', 'assert ')), text


@each
def test_the_minutes_of_a_lesson_are_honest(path, course):
    cells = course.read_cells(path)
    minutes = course.reading_minutes(cells)
    assert f'\n*About {minutes} minutes, with its exercises.*\n' in f'{cells[0][1]}\n'


def test_the_pages_say_how_long_the_course_is(course):
    minutes = {path.name[1:3]: course.reading_minutes(course.read_cells(path)) for path in LESSONS}
    readme = (FOLDER / 'README.md').read_text('utf-8')
    assert f'about {round(sum(minutes.values()) / 60)} hours' in readme
    for page in readme, text_of(course.read_cells(LESSONS[0])):
        short = re.search(r'short way is\s(.*?about \d+ hours)', page, re.S)[1]
        chosen = re.findall(r'\b\d\d\b', short)
        hours = round(sum(minutes[number] for number in chosen) / 60)
        assert len(chosen) == 6 and short.endswith(f'about {hours} hours')


# ---- its experiments -----------------------------------------------------------------------------

CHANGE = 'Change this and run again'
# side = 24           # try: 6, 40           the reader puts one of these values in place of 24
TRY = re.compile(r'^(?P<name>\w[\w, ]*) = (?P<value>.+?) +# try: (?P<values>.+)$', re.M)


def experiments(cells):
    """The cells that are made to be changed."""
    return [text for kind, text in cells if kind == 'code' and '# try:' in text]


def changed_cells(cell):
    """The cell with each value that it proposes, one at a time."""
    for line in TRY.finditer(cell):
        for value in ast.parse(f'[{line["values"]}]').body[0].value.elts:
            changed = f'{line["name"]} = {ast.unparse(value)}'
            yield cell[:line.start()] + changed + cell[line.end():]


def names_of(source):
    return {node.id for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Name)}


@each
def test_every_change_has_a_cell_of_its_own(path, course):
    cells = course.read_cells(path)
    proposed = experiments(cells)
    assert 1 <= text_of(cells).count(CHANGE) <= len(proposed)
    for cell in proposed:
        lines = [*TRY.finditer(cell)]
        assert len(lines) == cell.count('# try:'), 'a line is not NAME = VALUE  # try: VALUE, VALUE'
        assert len([*changed_cells(cell)]) >= 2, 'too few values to try'
        assert not any(isinstance(node, ast.Assert) for node in ast.walk(ast.parse(cell)))
        own = {name.strip() for line in lines for name in line['name'].split(',')}
        others = names_of('\n'.join(other for other in code_of(cells) if other != cell))
        assert not own & others, 'a change here would reach other cells'


def test_the_values_to_try_are_found():
    cell = 'a, b = 1, {}   # try: (2, dict(x=3)), (4, 5)\nc = [[0]]   # try: [[1, 2]]\nprint(a)'
    assert [text.splitlines() for text in changed_cells(cell)] == [
        ['a, b = (2, dict(x=3))', 'c = [[0]]   # try: [[1, 2]]', 'print(a)'],
        ['a, b = (4, 5)', 'c = [[0]]   # try: [[1, 2]]', 'print(a)'],
        ['a, b = 1, {}   # try: (2, dict(x=3)), (4, 5)', 'c = [[1, 2]]', 'print(a)']]


# ---- its notebook --------------------------------------------------------------------------------

@each
def test_the_notebook_is_made_from_this_script(path, course):
    """make docs and GitHub show the notebook as it is; python lessons/course.py remakes it."""
    notebook = path.with_suffix('.ipynb')
    assert notebook.exists(), f'python lessons/course.py {path.name[1:3]}'
    nb = course.nbformat.read(notebook, as_version=4)
    course.nbformat.validate(nb)
    cells = [(cell.cell_type if 'tags' not in cell.metadata else 'folded', cell.source)
             for cell in nb.cells]
    assert cells == course.read_cells(path)
    for cell in nb.cells:
        assert cell.metadata == (course.FOLDED if cell.metadata.get('tags') else {})

    code_cells = [cell for cell in nb.cells if cell.cell_type == 'code']
    counts = [cell.execution_count for cell in code_cells]
    assert counts == [*range(1, len(code_cells) + 1)]
    size = sum(len(json.dumps(cell.outputs, ensure_ascii=False)) for cell in code_cells)
    assert size <= 100_000

    outputs = [output for cell in code_cells for output in cell.outputs]
    kinds = {output.output_type for output in outputs}
    assert kinds <= {'stream', 'display_data', 'execute_result'}
    types = {mime for output in outputs for mime in output.get('data', {})}
    assert types <= {*course.OUTPUT_TYPES}
    html = ''.join(output.data.get('text/html', '') for output in outputs if 'data' in output)
    assert '<iframe' in html, 'it has a player'


@each
def test_its_players_have_the_scripts_and_styles_of_this_package(path):
    """A change of tinyfcn/course/player needs the notebooks again: python lessons/course.py"""
    text = path.with_suffix('.ipynb').read_text('utf-8')
    found = {*re.findall(r'(data-[\w-]+-[0-9a-f]{8})=', text)}
    assert found and found <= {*all_part_names()}


def all_part_names():
    """The names of the scripts and styles that players may have, which end in their checksums."""
    traces = [dict(kind=kind) for kind in SCRIPTS]
    traces += [dict(kind='grid', edit=dict(function=name)) for name in TRACE_SCRIPTS]
    return [name for trace in traces for name in part_texts(trace)]


# os.times() counts the CPU time of the process and of its children that have ended
CPU_TIME_CELL = 'import os\nprint(sum(os.times()[:4]))'


@each
def test_it_runs_its_solutions_are_right_and_its_experiments_can_be_tried(path, course,
                                                                          monkeypatch):
    """All cells, as a reader runs them; its solutions; each experiment, which all of these must
    have left as it was; then each experiment with each value that it proposes.

    Its length is measured as CPU time, which is the same on a busy machine.
    """
    # a player that has all its parts is the same whenever it is shown
    monkeypatch.setattr(course, 'share_parts', list)
    files_before = {*FOLDER.iterdir()}
    cells = course.read_cells(path)
    solution_cells = []
    for _, calls, after in exercises(cells):
        checks = [f'result = check({name!r}, {function})\nassert result.correct, result'
                  for name, function in calls]
        solution_cells.append(('code', '\n'.join([solution(after), *checks])))
    proposed = experiments(cells)
    again = [('code', cell) for cell in proposed]
    changed = [('code', text) for cell in proposed for text in changed_cells(cell)]
    nb = course.new_notebook([*cells, *solution_cells, ('code', CPU_TIME_CELL), *again, *changed])
    course.execute(nb, FOLDER)

    end = len(cells) + len(solution_cells)
    cpu_seconds[path.stem] = float(nb.cells[end].outputs[0].text)
    assert cpu_seconds[path.stem] <= MAX_CPU_SECONDS
    assert {*FOLDER.iterdir()} - files_before <= {FOLDER / '__pycache__'}, 'it leaves files'

    first_run = {cell.source: shown(cell) for cell in nb.cells[:len(cells)]
                 if cell.cell_type == 'code'}
    for cell in nb.cells[end + 1:end + 1 + len(again)]:
        assert shown(cell) == first_run[cell.source], f'not the same after Run All: {cell.source}'


def shown(cell):
    """What the outputs of a cell show, without its number."""
    return [output.get('text') or output.data for output in cell.outputs]


def test_all_of_them_are_short():
    assert sum(cpu_seconds.values()) <= MAX_TOTAL_CPU_SECONDS, cpu_seconds


def test_error_messages_name_existing_lessons():
    """The error of an op names the lesson that explains it; other messages may name one too."""
    texts = {path.name[1:3]: path.read_text('utf-8') for path in LESSONS}
    for op, number in errors.LESSONS.items():
        assert hasattr(ops, op) and op in texts[number], f'{op}, lesson {number}'
    package = Path(tinyfcn.__file__).parent
    named = {number for path in package.rglob('*.py')
             for number in re.findall(r'lesson (\d+)', path.read_text('utf-8'))}
    assert {'10', '15'} <= named <= texts.keys()


def test_the_readme_lists_all_lessons():
    listed = re.findall(r'\[(\d\d)\. (.+?)\]\((l.+?)\.ipynb\)',
                        (FOLDER / 'README.md').read_text('utf-8'))
    titles = [path.read_text('utf-8').splitlines()[1] for path in LESSONS]
    assert [f'# # {number}. {title}' for number, title, _ in listed] == titles
    assert [name for *_, name in listed] == [path.stem for path in LESSONS]


def test_the_glossary_is_sorted_and_links_to_lessons():
    page = (FOLDER / 'glossary.md').read_text('utf-8')
    entries = re.findall(r'^- \*\*(.+?)\*\*(.*?)(?=\n- |\Z)', page, re.S | re.M)
    terms = [term for term, _ in entries]
    assert len(terms) > 60 and terms == sorted({*terms}, key=str.lower)
    for term, explanation in entries:
        links = re.findall(r'\[\d\d\]\((l.+?)\)', explanation)
        assert links and all((FOLDER / link).with_suffix('.py').exists() for link in links), term


# ---- how a notebook is made ----------------------------------------------------------------------

SAMPLE = """# %% [markdown]
# # 98. A sample
#
# **Does it work?**

# %%
import sys

import matplotlib.pyplot as plt

plt.plot([1, 2]);

# %%
for i in range(3):
    print(i, flush=True)
    sys.stdout.flush()
    print('progress', file=sys.stderr, flush=True)
{*'abcdefgh'}
"""


@pytest.fixture
def sample(tmp_path):
    def write(text):
        path = tmp_path / 'l98_sample.py'
        path.write_text(text, 'utf-8')
        return path
    return write


def test_two_runs_give_the_same_notebook(course, sample):
    path = sample(SAMPLE)
    nb = course.make_notebook(path)
    first_run = path.with_suffix('.ipynb').read_bytes()
    course.make_notebook(path)
    assert path.with_suffix('.ipynb').read_bytes() == first_run
    _, plot_cell, print_cell = nb.cells
    assert [[*output.data] for output in plot_cell.outputs] == [['image/png']]
    assert [output.output_type for output in print_cell.outputs] == ['stream', 'execute_result']
    assert print_cell.outputs[0].text == '0\n1\n2\n'


def test_a_notebook_does_not_show_the_weights_of_its_maker(course, sample, tmp_path, monkeypatch):
    (tmp_path / 'weights').mkdir()
    monkeypatch.setenv('TINYFCN_CACHE', str(tmp_path))
    nb = course.make_notebook(sample('# %%\nimport os\nos.listdir(os.environ["TINYFCN_CACHE"])'))
    assert nb.cells[0].outputs[0].data == {'text/plain': '[]'}


def test_a_product_does_not_depend_on_the_cores_of_the_machine(course, sample, monkeypatch):
    """Threads of BLAS add in another order, and each step of a training enlarges the difference."""
    script = sample('# %%\nfrom threadpoolctl import threadpool_info\nimport numpy\n'
                    '{each["num_threads"] for each in threadpool_info()}')
    for count in '1', '2':
        monkeypatch.setenv('OPENBLAS_NUM_THREADS', count)
        nb = course.make_notebook(script)
        assert nb.cells[0].outputs[0].data == {'text/plain': '{1}'}


@pytest.mark.parametrize('text, message', [
    ('# %%\nobject()', r'<object at 0x\w+>, another one each time'),
    ('# %%\nimport warnings\nwarnings.warn("old")', 'code cell 1 warns: .*old'),
    ('# %%\n1 / 0', 'ZeroDivisionError'),
    ('# %%\nimport socket\nsocket.create_connection(("203.0.113.1", 9), 1)',
     'must run without a network'),
    ('# %%\nimport urllib.request as r\nr.urlopen("http://example.org", timeout=1)',
     'must run without a network, and this one connects to example.org'),
    ('x = 1', "line 1: 'x = 1' is read as '# %%'; each cell begins with # %%"),
    ('# %% [md]\n# text', "the cell 'text' has {'region_name': 'md'}"),
    ('# %% tags=["hide"]\nx = 1', r"the cell 'x = 1' has {'tags': \['hide'\]}"),
    ('# %% [markdown]\n# text\nx = 1', "line 3: 'x = 1' is read as '# x = 1'"),
])
def test_scripts_that_cannot_become_a_notebook(text, message, course, sample):
    with pytest.raises(ValueError, match=r'(?s)l98_sample\.py.*' + message):
        course.make_notebook(sample(text))
    assert not sample(text).with_suffix('.ipynb').exists()


def test_connections_to_this_machine_are_allowed(course, sample):
    script = ('# %%\nimport socket\nserver = socket.create_server(("localhost", 0))\n'
              'socket.create_connection(server.getsockname()).close()\nserver.close()')
    course.make_notebook(sample(script))


def test_an_unknown_number(course, capsys):
    assert course.main(['77']) == 2
    assert 'no lesson 77; there are' in capsys.readouterr().err
