"""The plan of the house as one table: who may import whom, and how large a room may grow.

complaints(folder) reads a copy of the package with `ast` and runs none of it. What it finds it
names: file, line, what stands there, and the rule. The last half of this file breaks a copy of the
house once for every rule, and looks whether the complaint comes.
"""
import ast
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from shutil import copytree, ignore_patterns

import mutants
import pytest

import tinyfcn
from tinyfcn import ops

HOUSE = Path(tinyfcn.__file__).parent

STAIR = 'models net layers init ops place figure box errors summary geometry'
WINGS = 'data metrics optim checkpoint weights distributed viz gradcheck crf'

# A room (a file, or a folder with all its files) may import these and itself. `*` is anything.
MAY_IMPORT = {
    # the stair, from the top down
    '__main__':     'cli',
    'cli':          '*',
    '__init__':     '*',
    'run':          f'training prediction models {WINGS} backend storage',
    'training':     f'backprop walkers prediction recipes {STAIR} {WINGS} backend pair storage',
    'backprop':     f'{STAIR} data backend',
    'walkers':      'distributed threads',
    'prediction':   f'views {STAIR} data metrics crf distributed backend',
    'views':        f'{STAIR} data backend',
    'recipes':      '',
    'models':       'net layers init',
    'layers':       'box place init ops geometry',
    'init':         'ops.matrix',
    # storage for net.save alone
    'net':          'box errors figure summary backend geometry storage',
    'summary':      '',
    'errors':       '',
    'figure':       'box errors place geometry',
    'box':          'geometry',
    'place':        'geometry',
    'ops':          'pair backend geometry',
    'pair':         'kernels',
    'backend':      '',
    'threads':      '',
    'memory':       '',
    'geometry':     '',
    'storage':      '',
    # beside it
    'kernels':      'backend threads pair geometry',
    'player':       '',
    'tracing':      'player ops metrics geometry crf',
    'lessons':      'ops metrics place optim weights.transplant data.transforms crf',
    # and the wings, which do not see each other
    **dict.fromkeys(WINGS.split(), 'backend pair storage'),
}

# These are imported from outside by nobody but …
ALONE = {
    'cupy':         'backend kernels',
    'cupyx':        'backend kernels',
    'matplotlib':   'viz',
    'mpi4py':       'distributed',
    'argparse':     'cli',
    'lessons':      '',         # the folders beside the package
    'benchmarks':   '',
    'tests':        '',
}
# … and said by nobody but
SPOKEN = {'print': 'cli', 'import_module': '__init__', '__import__': ''}

PURE = 'models recipes place geometry'          # these import nothing but the standard library
PRIVATE = {'cli': '__main__'}                   # nobody else imports these, `*` or not

LINES, DOCSTRING, MODULE_DOCSTRING = 200, 8, 14
NO_BACKWARD = {'conv_matrix'}                   # a matrix, whose transpose is M.T


# ---- The inspector

def complaints(folder):
    """-> one line for everything in the package at `folder` that its plan does not allow"""
    trees = {path.relative_to(folder): ast.parse(path.read_text('utf-8'))
             for path in sorted(folder.rglob('*.py'))}
    return [f'{file}:{line}: {what}; {rule}'
            for file, tree in trees.items()
            for line, what, rule in [*rooms(file), *imports(file, tree), *words(file, tree),
                                     *budget(file, tree, folder)]] + [*pairs(trees)]


def room_of(file):
    return file.parts[0].removesuffix('.py')


def rooms(file):
    if room_of(file) not in MAY_IMPORT:
        yield 1, 'an unlisted room', 'every room has a line in MAY_IMPORT'


def imported(file, tree):
    """-> line, 'net.Net' or 'os.path' as seen from the house, and whether it is of the house"""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            up = ['tinyfcn', *file.parent.parts][:len(file.parts) + 1 - node.level]
            base = [*up * bool(node.level), *filter(None, [node.module])]
            names = ['.'.join([*base, alias.name]) for alias in node.names]
        else:
            continue
        for name in names:
            ours = name.split('.')[0] == 'tinyfcn'
            yield node.lineno, name.removeprefix('tinyfcn').lstrip('.') if ours else name, ours


def imports(file, tree):
    room = room_of(file)
    allowed = MAY_IMPORT.get(room, '*').split()
    for line, name, ours in imported(file, tree):
        what, first = f'imports {name or "tinyfcn"}', name.split('.')[0]
        if ours and not any(may == '*' or f'{name}.'.startswith(f'{may}.')
                            for may in (room, *allowed)):
            yield line, what, f'{room} may import {" ".join(allowed) or "no other room"}'
        few = (PRIVATE if ours else ALONE).get(first, room)
        if room not in few.split() and not (ours and first == room):
            yield line, what, f'{only(few)} may import {first}'
        if not ours and room in PURE.split() and first not in sys.stdlib_module_names:
            yield line, what, f'{room} imports nothing but the standard library'


def words(file, tree):
    for node in ast.walk(tree):
        name = getattr(node, 'id', getattr(node, 'attr', None))     # print, importlib.import_module
        few = SPOKEN.get(name, room_of(file))
        if room_of(file) not in few.split():
            yield node.lineno, f'says {name}', f'{only(few)} may say it'


def only(rooms):
    return f'only {rooms}' if rooms else 'nobody'


def budget(file, tree, folder):
    lines = len((folder / file).read_text('utf-8').splitlines())
    if lines > LINES:
        yield lines, f'{lines} lines', f'a room has at most {LINES}'
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)):
            most = MODULE_DOCSTRING if isinstance(node, ast.Module) else DOCSTRING
            said, name = ast.get_docstring(node) or '', getattr(node, 'name', 'the room')
            if len(said.splitlines()) > most:
                yield (getattr(node, 'lineno', 1), f'the docstring of {name} has '
                       f'{len(said.splitlines())} lines', f'it has at most {most}')


def pairs(trees):
    """Every op in ops.__all__ is defined once and has a @backward_of."""
    functions = [(file, node) for file, tree in trees.items() if room_of(file) == 'ops'
                 for node in tree.body if isinstance(node, ast.FunctionDef)]
    has_backward = {decoration.args[0].id for _, node in functions
                    for decoration in node.decorator_list
                    if isinstance(decoration, ast.Call) and decoration.func.id == 'backward_of'}
    first = {}
    for file, node in functions:
        if not node.name.startswith('_') and first.setdefault(node.name, node) is not node:
            yield f'{file}:{node.lineno}: defines {node.name} again; an op has one name'
    public = next(ast.literal_eval(node.value) for node in trees[Path('ops/__init__.py')].body
                  if isinstance(node, ast.Assign) and node.targets[0].id == '__all__')
    for name in sorted({*public} - has_backward - NO_BACKWARD):
        yield f'ops/__init__.py: {name} has no backward; an op is a pair'


# ---- The house stands

def test_the_house_stands():
    found = complaints(HOUSE)
    assert not found, '\n' + '\n'.join(found)


def test_the_table_knows_the_rooms_it_names():
    named = ' '.join([*MAY_IMPORT.values(), *ALONE.values(), *SPOKEN.values(), PURE]).split()
    assert {name.split('.')[0] for name in named} <= {'*', *MAY_IMPORT}


def test_every_op_has_its_backward():
    assert all(callable(getattr(ops, name).backward) for name in {*ops.__all__} - NO_BACKWARD)


def test_the_front_door_opens_quickly_and_loads_nothing_heavy():
    script = ('import sys, time\n'
              'start = time.perf_counter()\n'
              'import tinyfcn\n'
              'print(time.perf_counter() - start)\n'
              'tinyfcn.Net, tinyfcn.build, tinyfcn.ops\n'
              'print(*{name.split(".")[0] for name in sys.modules})')
    runs = [subprocess.run([sys.executable, '-c', script], check=True, capture_output=True,
                           text=True, cwd=HOUSE.parent).stdout.splitlines() for _ in range(3)]
    assert min(float(seconds) for seconds, _ in runs) < .3
    assert not {'matplotlib', 'scipy', 'cupy', 'mpi4py'}.intersection(runs[0][1].split())


def test_every_planted_bug_still_finds_its_line():
    """`make mutants` plants them; here it is only seen that the package has not outgrown them."""
    assert not list(mutants.stale(mutants.planted(mutants.BUGS)))


def test_ruff_is_content():
    if not find_spec('ruff'):
        assert os.environ.get('CI') != 'true', 'ruff is not installed: pip install ruff'
        pytest.skip('ruff is not installed')
    root = HOUSE.parent
    folders = [name for name in ('tinyfcn', 'tests', 'benchmarks') if (root / name).is_dir()]
    ruff = subprocess.run([sys.executable, '-m', 'ruff', 'check', '--no-cache', '--quiet',
                           '--output-format=concise', *folders],
                          cwd=root, capture_output=True, text=True)
    assert ruff.returncode == 0, '\n' + ruff.stdout + ruff.stderr


# ---- And falls where it is broken: file, old text ('' is the top), new text, the complaint

BROKEN = {
    'a wing enters the stair': (
        'metrics.py', '', 'from .net import Net\n',
        'metrics.py:1: imports net.Net; metrics may import backend pair storage'),
    'a wing sees a wing': (
        'optim.py', '', 'from . import metrics\n',
        'optim.py:1: imports metrics; optim may import backend pair storage'),
    'a wing of many files': (
        'data/voc.py', '', 'from ..backend import to_gpu\nfrom ..ops import crop\n',
        'data/voc.py:2: imports ops.crop; data may import backend pair storage'),
    'up the stair': (
        'ops/conv.py', '', 'from ..net import Net\n',
        'ops/conv.py:1: imports net.Net; ops may import pair backend geometry'),
    'the net knows an op': (
        'net.py', '', 'import tinyfcn.ops.conv\n',
        'net.py:1: imports ops.conv; net may import box errors figure summary backend geometry '
        'storage'),
    'the foot of the stair': (
        'geometry.py', '', 'from .pair import accelerated\n',
        'geometry.py:1: imports pair.accelerated; geometry may import no other room'),
    'more than the tent': (
        'init.py', '', 'from .ops import conv2d\n',
        'init.py:1: imports ops.conv2d; init may import ops.matrix'),
    'a model calls ops': (
        'models/fcn.py', '', 'from ..ops import conv2d\n',
        'models/fcn.py:1: imports ops.conv2d; models may import net layers init'),
    'inside a function': (
        'models/unet.py', '', 'def unet(n):\n    import numpy as np\n',
        'models/unet.py:2: imports numpy; models imports nothing but the standard library'),
    'geometry is whole numbers': (
        'geometry.py', '', 'import numpy\n',
        'geometry.py:1: imports numpy; geometry imports nothing but the standard library'),
    'into the kitchen': (
        'ops/pool.py', '', 'from .. import kernels\n',
        'ops/pool.py:1: imports kernels; ops may import pair backend geometry'),
    'through the front door': (
        'viz.py', '', 'import matplotlib\nfrom tinyfcn import build\n',
        'viz.py:2: imports build; viz may import backend pair storage'),
    'the whole house': (
        'crf.py', '', 'import tinyfcn\n',
        'crf.py:1: imports tinyfcn; crf may import backend pair storage'),
    'the command line': (
        '__init__.py', '', 'from .cli import main\n',
        '__init__.py:1: imports cli.main; only __main__ may import cli'),
    'a GPU': (
        'net.py', '', 'import cupy.cuda\n',
        'net.py:1: imports cupy.cuda; only backend kernels may import cupy'),
    'sparse on a GPU': (
        'ops/matrix.py', '', 'from cupyx.scipy import sparse\n',
        'ops/matrix.py:1: imports cupyx.scipy.sparse; only backend kernels may import cupyx'),
    'a picture': (
        'layers.py', '', 'from matplotlib import pyplot\n',
        'layers.py:1: imports matplotlib.pyplot; only viz may import matplotlib'),
    'many ranks': (
        'training.py', '', 'from mpi4py import MPI\n',
        'training.py:1: imports mpi4py.MPI; only distributed may import mpi4py'),
    'arguments': (
        'training.py', '', 'import argparse\n',
        'training.py:1: imports argparse; only cli may import argparse'),
    'the course': (
        'lessons.py', '', 'from lessons import answers\n',
        'lessons.py:1: imports lessons.answers; nobody may import lessons'),
    'the tests': (
        'gradcheck.py', '', 'from tests import samples\n',
        'gradcheck.py:1: imports tests.samples; nobody may import tests'),
    'a word to the screen': (
        'net.py', '', 'print()\n', 'net.py:1: says print; only cli may say it'),
    'a word handed on': (
        'training.py', '', 'say = print\n', 'training.py:1: says print; only cli may say it'),
    'an import in disguise': (
        'optim.py', '', 'import importlib\nimportlib.import_module("tinyfcn.net")\n',
        'optim.py:2: says import_module; only __init__ may say it'),
    'an unlisted room': (
        'attic.py', '', '"""Old things."""\n',
        'attic.py:1: an unlisted room; every room has a line in MAY_IMPORT'),
    'an unlisted wing': (
        'cellar/wine.py', '', '',
        'cellar/wine.py:1: an unlisted room; every room has a line in MAY_IMPORT'),
    'a long room': (
        'attic.py', '', '\n' * 201, 'attic.py:201: 201 lines; a room has at most 200'),
    'a long docstring': (
        'pair.py', '', 'def talk():\n    """So\n' + '\n' * 7 + '    on."""\n',
        'pair.py:1: the docstring of talk has 9 lines; it has at most 8'),
    'a long preface': (
        'crf.py', '', '"""So\n' + '\n' * 13 + 'on."""\n',
        'crf.py:1: the docstring of the room has 15 lines; it has at most 14'),
    'half a pair': (
        'ops/pointwise.py', '@backward_of(scale)\n', '',
        'ops/__init__.py: scale has no backward; an op is a pair'),
    'two ops of one name': (
        'ops/norm.py', '', 'def crop(x): ...\n',
        'crop again; an op has one name'),
}


@pytest.mark.parametrize('file, old, new, complaint', BROKEN.values(), ids=BROKEN)
def test_what_is_broken_is_named(tmp_path, file, old, new, complaint):
    house = copytree(HOUSE, tmp_path / 'tinyfcn', ignore=ignore_patterns('__pycache__'))
    (house / file).parent.mkdir(exist_ok=True)
    text = (house / file).read_text('utf-8') if (house / file).exists() else ''
    assert old in text
    (house / file).write_text(text.replace(old, new, 1), 'utf-8')
    found = [line for line in complaints(house) if complaint in line]
    assert len(found) == 1, complaints(house)
