"""The course: every lesson runs, has its parts, and its exercises can be solved as it says."""
import ast
import json
import os
import re
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from time import perf_counter

import pytest

import tinyfcn
from tinyfcn import layers, ops
from tinyfcn.net import errors

pytestmark = pytest.mark.lessons

FOLDER = Path(__file__).parents[2] / 'lessons'
LESSONS = sorted(FOLDER.glob('l[0-9][0-9]_*.py'))
WALKS = '05', '11'                              # in these a net is walked box by box
EXPORTED = {*tinyfcn.__all__, *ops.__all__, *(
    name for name, value in vars(layers).items()
    if getattr(value, '__module__', '') == layers.__name__ and not name.startswith('_'))}

each = pytest.mark.parametrize('path', LESSONS, ids=lambda path: path.stem)
took = {}


@pytest.fixture(scope='module')
def course():
    for tool in 'nbformat', 'nbclient', 'ipykernel':
        if not find_spec(tool):
            assert not os.environ.get('CI'), f'{tool} is not installed: make test-more does it'
            pytest.skip(f'{tool} is not installed: make test-more does it')
    sys.path.append(str(FOLDER))
    return import_module('course')


@pytest.fixture(autouse=True)
def all_threads(monkeypatch):
    """A lesson runs as its reader runs it."""
    monkeypatch.delenv('OPENBLAS_NUM_THREADS', raising=False)


# ---- what is in a lesson -------------------------------------------------------------------------

def test_the_course_is_complete():
    assert [path.name[1:3] for path in LESSONS] == [f'{i:02}' for i in range(18)]


def code(cells):
    return [text for kind, text in cells if kind == 'code']


def text(cells):
    return '\n\n'.join(text for kind, text in cells if kind == 'markdown')


def exercises(cells):
    """-> [(code of the stub, [(name, mine) it checks], the cell after it)]"""
    found = []
    for (kind, stub), after in zip(cells, [*cells[1:], ('', '')]):
        calls = kind == 'code' and [
            (node.args[0].value, ast.unparse(node.args[1])) for node in ast.walk(ast.parse(stub))
            if isinstance(node, ast.Call) and getattr(node.func, 'id', '') == 'check'
            and isinstance(node.args[0], ast.Constant)]
        if calls:
            found.append((stub, calls, after))
    return found


def solution(after):
    """The one block of Python that is folded into the cell after an exercise."""
    folded = re.findall(r'<details>\s*<summary>Solution</summary>(.*?)</details>', after[1], re.S)
    assert after[0] == 'markdown' and len(folded) == 1, 'no folded solution after an exercise'
    blocks = re.findall(r'^```python\n(.*?)^```$', folded[0], re.S | re.M)
    assert len(blocks) == 1, f'{len(blocks)} blocks of Python in a solution'
    return blocks[0]


@each
def test_a_lesson_has_its_parts(path, course):
    cells = course.read(path)
    number, (kind, first) = path.name[1:3], cells[0]
    assert kind == 'markdown' and re.match(rf'# {number}\. \S', first)
    asked = [bold for bold in re.findall(r'\*\*([^*]+)\*\*', first) if bold.endswith('?')]
    assert len(asked) == 1, 'one question in bold, in the first cell'
    assert 'show_source(' in ''.join(code(cells)), 'the real source of something'
    if number in WALKS:
        assert 'next(' in ''.join(code(cells)), 'a walk, a box at a time'
    assert '\n## What PyTorch calls this\n' in f'\n{text(cells)}\n'

    found = exercises(cells)
    assert found
    for stub, calls, after in found:
        assert 'raise NotImplementedError' in stub
        last = ast.parse(stub).body[-1]
        assert isinstance(last, ast.Expr) and ast.unparse(last).startswith('check('), calls
        assert solution(after)

    questions = text(cells).partition('\n## Three questions\n')[2]
    assert questions.count('<details>') == questions.count('</details>') == 3


def defined(source):
    """Names that a piece of code defines or assigns; its imports and arguments apart."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            yield node.name
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id


@each
def test_no_name_of_the_library_is_used_for_something_else(path, course):
    cells = course.read(path)
    sources = [*code(cells), *(solution(after) for *_, after in exercises(cells))]
    taken = sorted({*defined('\n'.join(sources))} & EXPORTED)
    assert not taken


def test_such_a_name_would_be_found():
    source = 'def im2col(pad):\n    pass\nfor crop in ():\n    scale, x = 1, 2\n'
    assert {*defined(source)} & EXPORTED == {'im2col', 'crop', 'scale'}
    assert EXPORTED >= {'build', 'conv2d', 'max_switches', 'conv', 'deconv', 'data'}


# ---- its notebook --------------------------------------------------------------------------------

@each
def test_the_notebook_is_of_this_script(path, course):
    """make site and GitHub show what was executed last: python lessons/course.py does it anew."""
    notebook = path.with_suffix('.ipynb')
    assert notebook.exists(), f'python lessons/course.py {path.name[1:3]}'
    nb = course.nbformat.read(notebook, as_version=4)
    course.nbformat.validate(nb)
    assert [(cell.cell_type, cell.source) for cell in nb.cells] == course.read(path)

    ran = [cell for cell in nb.cells if cell.cell_type == 'code']
    assert [cell.execution_count for cell in ran] == [*range(1, len(ran) + 1)]
    assert sum(len(json.dumps(cell.outputs, ensure_ascii=False)) for cell in ran) <= 100_000
    shown = [(output.output_type, *output.get('data', {})) for cell in ran
             for output in cell.outputs]
    assert {kind for kind, *_ in shown} <= {'stream', 'display_data', 'execute_result'}
    assert {kind for _, *kinds in shown for kind in kinds} <= {*course.KEPT}
    html = ''.join(output.data.get('text/html', '') for cell in ran for output in cell.outputs
                   if 'data' in output)
    assert '<iframe' in html, 'a player'


@each
def test_it_runs_and_its_solutions_are_right(path, course):
    before = {*FOLDER.iterdir()}
    start = perf_counter()
    cells = course.read(path)
    solved = [('code', f'{solution(after)}\n' + '\n'.join(
        f'result = check({name!r}, {mine})\nassert result.correct, result'
        for name, mine in calls)) for _, calls, after in exercises(cells)]
    course.execute(course.notebook([*cells, *solved]), FOLDER)
    took[path.stem] = perf_counter() - start
    assert took[path.stem] <= 20
    assert {*FOLDER.iterdir()} - before <= {FOLDER / '__pycache__'}, 'it leaves files'


def test_all_of_them_are_short():
    assert sum(took.values()) <= 240, took


def test_errors_send_their_reader_to_a_lesson_that_is_there():
    """An op's error names the lesson that speaks of it; other messages may name one too."""
    texts = {path.name[1:3]: path.read_text('utf-8') for path in LESSONS}
    for op, number in errors.LESSONS.items():
        assert hasattr(ops, op) and op in texts[number], f'{op}, lesson {number}'
    package = Path(tinyfcn.__file__).parent
    said = [number for path in package.rglob('*.py')
            for number in re.findall(r'lesson (\d+)', path.read_text('utf-8'))]
    assert {'09', '13'} <= {*said} <= texts.keys()


def test_the_list_names_them():
    listed = re.findall(r'\[(\d\d)\. (.+?)\]\((l.+?)\.ipynb\)',
                        (FOLDER / 'README.md').read_text('utf-8'))
    titles = [path.read_text('utf-8').splitlines()[1] for path in LESSONS]
    assert [f'# # {number}. {title}' for number, title, _ in listed] == titles
    assert [name for *_, name in listed] == [path.stem for path in LESSONS]


def test_the_glossary_is_in_order_and_leads_to_lessons():
    page = (FOLDER / 'glossary.md').read_text('utf-8')
    entries = re.findall(r'^- \*\*(.+?)\*\*(.*?)(?=\n- |\Z)', page, re.S | re.M)
    words = [word for word, _ in entries]
    assert len(words) > 60 and words == sorted({*words}, key=str.lower)
    for word, said in entries:
        links = re.findall(r'\[\d\d\]\((l.+?)\)', said)
        assert links and all((FOLDER / link).with_suffix('.py').exists() for link in links), word


# ---- how a notebook is made ----------------------------------------------------------------------

SAMPLE = """# %% [markdown]
# # 98. A sample
#
# **Does it hold?**

# %%
import sys

import matplotlib.pyplot as plt

plt.plot([1, 2]);

# %%
for i in range(3):
    print(i, flush=True)
    sys.stdout.flush()
    print('moment', file=sys.stderr, flush=True)
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
    nb = course.make(path)
    first = path.with_suffix('.ipynb').read_bytes()
    course.make(path)
    assert path.with_suffix('.ipynb').read_bytes() == first
    _, drawn, told = nb.cells
    assert [[*output.data] for output in drawn.outputs] == [['image/png']]
    assert [output.output_type for output in told.outputs] == ['stream', 'execute_result']
    assert told.outputs[0].text == '0\n1\n2\n'


@pytest.mark.parametrize('text, complaint', [
    ('# %%\nobject()', r'<object at 0x\w+>, another one each time'),
    ('# %%\nimport warnings\nwarnings.warn("old")', 'code cell 1 warns: .*old'),
    ('# %%\n1 / 0', 'ZeroDivisionError'),
    ('# %%\nimport socket\nsocket.create_connection(("203.0.113.1", 9), 1)', 'needs no network'),
    ('# %%\nimport urllib.request as r\nr.urlopen("http://example.org", timeout=1)',
     'needs no network, and this one asks for example.org'),
    ('x = 1', 'line 1: before the first cell'),
    ('# %% [md]\n# text', r"line 1: '# %% \[md\]' begins no cell"),
    ('# %% [markdown]\n# text\nx = 1', 'line 3: text without its "# "'),
])
def test_what_no_lesson_may_do(text, complaint, course, sample):
    with pytest.raises(ValueError, match=r'(?s)l98_sample\.py.*' + complaint):
        course.make(sample(text))
    assert not sample(text).with_suffix('.ipynb').exists()


def test_this_machine_may_be_asked(course, sample):
    course.make(sample('# %%\nimport socket\nserver = socket.create_server(("localhost", 0))\n'
                       'socket.create_connection(server.getsockname()).close()\nserver.close()'))


def test_an_unknown_number(course, capsys):
    assert course.main(['77']) == 2
    assert 'no lesson 77; there are' in capsys.readouterr().err
