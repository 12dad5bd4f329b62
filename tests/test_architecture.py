"""The architecture as one table: which package may import which.

violations(folder) reads a copy of the package with `ast` and runs none of it. Each violation names
the file, the line, what stands there and the rule. The last part of this file breaks a copy of the
package once for every rule and checks that the violation is found.
"""
import ast
import os
import subprocess
import sys
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from shutil import copytree, ignore_patterns
from typing import NamedTuple

import pytest

import tinyfcn
from tinyfcn import ops

PACKAGE = Path(tinyfcn.__file__).parent

# Layer by layer, from the bottom up: what each package (a folder, or one file) may import.
# `*` is anything. Nothing imports upwards, and packages of one layer are independent unless one
# of them is named here.
MAY_IMPORT = {
    # 1: what knows nothing of nets
    'geometry':   '',
    'files':      '',
    'runtime':    '',
    'kernels':    'geometry runtime',
    'dispatch':   'kernels',                # the registry; kernels name ops by string
    'fetch':      'files',
    # 2: arrays and dicts in and out, independent of each other
    'data':       'fetch files runtime geometry',
    'weights':    'fetch files runtime geometry',
    'viz':        'files runtime geometry',
    'optim':      'dispatch runtime',
    'metrics':    'dispatch geometry runtime',
    'gradcheck':  'dispatch runtime',
    # 3
    'ops':        'dispatch geometry runtime',
    # 4
    'net':        'ops geometry runtime weights',
    # 5
    'init':       'ops',
    'layers':     'init net ops geometry',
    'models':     'layers init net data weights fetch files',
    # 6
    'prediction': 'net ops data metrics viz weights files geometry runtime',
    'training':   'prediction models layers net ops data metrics optim viz weights files geometry '
                  'runtime',
    # 7
    'course':     'training prediction models layers init net ops data metrics optim gradcheck viz '
                  'weights fetch files dispatch geometry runtime',
    'explain':    'course training prediction models layers init net ops data metrics viz weights '
                  'files geometry runtime',
    # 8
    'cli':        '*',
    '__init__':   '*',
    '__main__':   'cli runtime',
}

# These are imported from outside by nothing but …
ONLY_IN = {
    'cupy':         'runtime kernels.gpu',
    'cupyx':        'runtime kernels.gpu',
    'cupy_backends': 'kernels.gpu',
    'numba':        'kernels.cpu',
    'llvmlite':     'kernels.cpu',
    'matplotlib':   'viz',
    'mpi4py':       'runtime.distributed',
    'onnx':         'weights.export.onnx_file',
    'imageio_ffmpeg': 'prediction.video',
    'argparse':     'cli course.grade.__main__',
    'lessons':      '',                     # the folders beside the package
    'benchmarks':   '',
    'docs':         '',
    'tests':        '',
}
# … and these names are used by nothing but
ONLY_USED_IN = {'print': 'cli.output course.grade.__main__',
                'import_module': '__init__ cli kernels.registry',
                '__import__': ''}

# These import nothing but the standard library from outside
STANDARD_LIBRARY_ONLY = ('models', 'geometry', 'training.recipes', 'net.alignment',
                         'runtime.blas')
ONLY_MAIN = {'cli': '__main__'}             # nothing else imports these, `*` or not

ENTRIES = 23                                # beside __init__ and __main__
FUNCTION_LINES = 60
PACKED_SHARE = .03                          # of all assignments: a, b = c, d
NO_BACKWARD = {'conv_matrix'}               # a matrix, whose transpose is M.T


# ---- Reading a package

class Module(NamedTuple):
    """A file: its tree, and all nodes of the tree."""

    tree: ast.Module
    nodes: tuple[ast.AST, ...]


@cache                                      # of a copy that is broken all files but one are known
def parse(text):
    tree = ast.parse(text)
    return Module(tree, tuple(ast.walk(tree)))


def violations(folder):
    """-> a line for everything in the package at `folder` that the table does not allow"""
    modules = {path.relative_to(folder): parse(path.read_text('utf-8'))
               for path in sorted(folder.rglob('*.py'))}
    found = []
    for file, module in modules.items():
        for line, what, rule in [*unlisted(file), *forbidden_imports(file, module),
                                 *forbidden_names(file, module), *long_functions(module)]:
            found.append(f'{file}:{line}: {what}; {rule}')
    return [*found, *incomplete_ops(modules), *cycles(modules), *too_many_entries(folder)]


def module_of(file):
    """'kernels/cpu/conv.py' -> 'kernels.cpu.conv'"""
    parts = [*file.parent.parts, file.stem]
    return '.'.join(parts[:-1] if file.stem == '__init__' and len(parts) > 1 else parts)


def package_of(file):
    return module_of(file).split('.')[0]


def is_in(module, names):
    return any(f'{module}.'.startswith(f'{name}.') for name in names.split())


def unlisted(file):
    if package_of(file) not in MAY_IMPORT:
        yield 1, 'a package without a row', 'every package has a row in MAY_IMPORT'


def imported(file, module):
    """-> line, 'net.Net' or 'os.path' as seen from the package, and whether it is of the package"""
    for node in module.nodes:
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = ['tinyfcn', *file.parent.parts][:len(file.parts) + 1 - node.level]
            base = [*above * bool(node.level), *filter(None, [node.module])]
            names = ['.'.join([*base, alias.name]) for alias in node.names]
        else:
            continue
        for name in names:
            ours = name.split('.')[0] == 'tinyfcn'
            yield node.lineno, name.removeprefix('tinyfcn').lstrip('.') if ours else name, ours


def forbidden_imports(file, module):
    package, name_of_module = package_of(file), module_of(file)
    allowed = MAY_IMPORT.get(package, '*')
    for line, name, ours in imported(file, module):
        what, first = f'imports {name or "tinyfcn"}', name.split('.')[0]
        if ours and allowed != '*' and not is_in(name, f'{package} {allowed}'):
            yield line, what, f'{package} may import {allowed or "no other package"}'
        places = (ONLY_MAIN if ours else ONLY_IN).get(first)
        is_own = ours and first == package
        if places is not None and not is_own and not is_in(name_of_module, places):
            yield line, what, f'{only(places)} may import {first}'
        if (not ours and is_in(name_of_module, ' '.join(STANDARD_LIBRARY_ONLY))
                and first not in sys.stdlib_module_names):
            yield line, what, f'{name_of_module} imports nothing but the standard library'


def forbidden_names(file, module):
    for node in module.nodes:
        name = getattr(node, 'id', getattr(node, 'attr', None))     # print, importlib.import_module
        places = ONLY_USED_IN.get(name)
        if places is not None and not is_in(module_of(file), places):
            yield node.lineno, f'uses {name}', f'{only(places)} may use it'


def only(places):
    return f'only {places}' if places else 'no module'


def long_functions(module):
    for node in module.nodes:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            lines = node.end_lineno - node.lineno + 1
            if lines > FUNCTION_LINES:
                yield (node.lineno, f'{node.name} has {lines} lines',
                       f'a function has at most {FUNCTION_LINES}')


def incomplete_ops(modules):
    """Every op in ops.__all__ is defined once and has a @backward_of."""
    functions = [(file, node) for file, module in modules.items() if package_of(file) == 'ops'
                 for node in module.tree.body if isinstance(node, ast.FunctionDef)]
    has_backward = {decoration.args[0].id for _, node in functions
                    for decoration in node.decorator_list
                    if isinstance(decoration, ast.Call) and decoration.func.id == 'backward_of'}
    first = {}
    for file, node in functions:
        if not node.name.startswith('_') and first.setdefault(node.name, node) is not node:
            yield f'{file}:{node.lineno}: defines {node.name} again; an op has one name'
    init = modules[Path('ops/__init__.py')].tree
    public = next(ast.literal_eval(node.value) for node in init.body
                  if isinstance(node, ast.Assign) and node.targets[0].id == '__all__')
    for name in sorted({*public} - has_backward - NO_BACKWARD):
        yield f'ops/__init__.py: {name} has no backward; an op is a pair'


def cycles(modules):
    """Modules that import each other in a circle, whether at the top or inside a function."""
    names = {module_of(file) for file in modules}
    edges = {}
    for file, module in modules.items():
        importer = module_of(file)
        edges.setdefault(importer, set())
        for _, name, ours in imported(file, module):
            if not ours:
                continue
            target = next((name[:len(name) - cut] for cut in range(len(name) + 1)
                           if name[:len(name) - cut] in names), '__init__')
            # an __init__ imports its own modules, and they it: that is the folder, not a circle
            if not (importer.startswith(f'{target}.') or target.startswith(f'{importer}.')):
                edges[importer].add(target)
    done = set()
    for start in edges:
        yield from _circles_from(start, edges, done, [])


def _circles_from(module, edges, done, path):
    if module in path:
        yield 'a circle: ' + ' -> '.join([*path[path.index(module):], module])
        return
    if module in done:
        return
    for target in sorted(edges.get(module, ())):
        yield from _circles_from(target, edges, done, [*path, module])
    done.add(module)


def too_many_entries(folder):
    entries = [path.name for path in folder.iterdir()
               if path.name not in ('__init__.py', '__main__.py', '__pycache__')]
    if len(entries) > ENTRIES:
        yield f'{len(entries)} entries in the package; at most {ENTRIES}'


def packed_assignments(tree):
    """-> the assignments of a tuple to a tuple, and all assignments"""
    assignments = [node for node in ast.walk(tree) if isinstance(node, ast.Assign)]
    packed = [node for node in assignments
              if isinstance(node.value, ast.Tuple) and isinstance(node.targets[0], ast.Tuple)]
    return packed, assignments


# ---- The package as it is

def test_the_package_follows_the_table():
    found = violations(PACKAGE)
    assert not found, '\n' + '\n'.join(found)


def test_the_table_names_only_packages_that_it_lists():
    named = ' '.join([*MAY_IMPORT.values(), *ONLY_IN.values(), *ONLY_USED_IN.values(),
                      *STANDARD_LIBRARY_ONLY]).split()
    assert {name.split('.')[0] for name in named} <= {'*', *MAY_IMPORT}


def test_one_statement_a_line():
    packed, every = 0, 0
    for path in PACKAGE.rglob('*.py'):
        own_packed, own = packed_assignments(ast.parse(path.read_text('utf-8')))
        packed += len(own_packed)
        every += len(own)
    assert packed < PACKED_SHARE * every, f'{packed} of {every} assignments pack tuples'


def test_every_op_has_its_backward():
    assert all(callable(getattr(ops, name).backward) for name in {*ops.__all__} - NO_BACKWARD)


def test_importing_tinyfcn_loads_nothing_heavy():
    """What it loads decides how long it takes."""
    script = ('import sys\n'
              'import tinyfcn\n'
              'tinyfcn.Net, tinyfcn.build, tinyfcn.ops\n'
              'print(*{name.split(".")[0] for name in sys.modules})')
    loaded = subprocess.run([sys.executable, '-c', script], check=True, capture_output=True,
                            text=True, cwd=PACKAGE.parent).stdout.split()
    assert not {'matplotlib', 'scipy', 'cupy', 'mpi4py', 'numba', 'PIL'}.intersection(loaded)


def test_ruff_passes():
    if not find_spec('ruff'):
        assert os.environ.get('CI') != 'true', 'ruff is not installed: pip install ruff'
        pytest.skip('ruff is not installed')
    root = PACKAGE.parent
    folders = [name for name in ('tinyfcn', 'tests', 'benchmarks') if (root / name).is_dir()]
    ruff = subprocess.run([sys.executable, '-m', 'ruff', 'check', '--no-cache', '--quiet',
                           '--output-format=concise', *folders],
                          cwd=root, capture_output=True, text=True)
    assert ruff.returncode == 0, '\n' + ruff.stdout + ruff.stderr


# ---- A package that is broken: file, old text ('' is the top), new text, the violation

BROKEN = {
    'an independent module imports a net': (
        'metrics.py', '', 'from .net import Net\n',
        'metrics.py:1: imports net.Net; metrics may import dispatch geometry runtime'),
    'two independent modules': (
        'optim.py', '', 'from . import metrics\n',
        'optim.py:1: imports metrics; optim may import dispatch runtime'),
    'a file of a package': (
        'data/voc.py', '', 'from ..runtime.gpu import to_gpu\nfrom ..ops import crop\n',
        'data/voc.py:2: imports ops.crop; data may import fetch files runtime geometry'),
    'upwards': (
        'ops/conv.py', '', 'from ..net import Net\n',
        'ops/conv.py:1: imports net.Net; ops may import dispatch geometry runtime'),
    'prediction imports training': (
        'prediction/predict.py', '', 'from ..training import fit\n',
        'prediction/predict.py:1: imports training.fit; prediction may import'),
    'geometry imports something': (
        'geometry.py', '', 'from .dispatch import accelerated\n',
        'geometry.py:1: imports dispatch.accelerated; geometry may import no other package'),
    'a model calls ops': (
        'models/fcn.py', '', 'from ..ops import conv2d\n',
        'models/fcn.py:1: imports ops.conv2d; models may import layers init net'),
    'inside a function': (
        'models/unet.py', '', 'def unet(n):\n    import numpy as np\n',
        'models/unet.py:2: imports numpy; models.unet imports nothing but the standard library'),
    'geometry is whole numbers': (
        'geometry.py', '', 'import numpy\n',
        'geometry.py:1: imports numpy; geometry imports nothing but the standard library'),
    'an op imports a kernel': (
        'ops/pool.py', '', 'from .. import kernels\n',
        'ops/pool.py:1: imports kernels; ops may import dispatch geometry runtime'),
    'a kernel imports its op': (
        'kernels/cpu/pool.py', '', 'from ...ops.pool import max_pool\n',
        'kernels/cpu/pool.py:1: imports ops.pool.max_pool; kernels may import geometry runtime'),
    'the public API from inside': (
        'viz/nets.py', '', 'import matplotlib\nfrom tinyfcn import build\n',
        'viz/nets.py:2: imports build; viz may import files runtime geometry'),
    'the whole package': (
        'optim.py', '', 'import tinyfcn\n',
        'optim.py:1: imports tinyfcn; optim may import dispatch runtime'),
    'the command line': (
        '__init__.py', '', 'from .cli import main\n',
        '__init__.py:1: imports cli.main; only __main__ may import cli'),
    'a GPU': (
        'net/net.py', '', 'import cupy.cuda\n',
        'net/net.py:1: imports cupy.cuda; only runtime kernels.gpu may import cupy'),
    'a GPU in a kernel for the CPU': (
        'kernels/cpu/conv.py', '', 'import cupy\n',
        'kernels/cpu/conv.py:1: imports cupy; only runtime kernels.gpu may import cupy'),
    'sparse on a GPU': (
        'ops/matrix.py', '', 'from cupyx.scipy import sparse\n',
        'ops/matrix.py:1: imports cupyx.scipy.sparse; only runtime kernels.gpu may import cupyx'),
    'Numba outside its kernels': (
        'ops/conv.py', '', 'import numba\n',
        'ops/conv.py:1: imports numba; only kernels.cpu may import numba'),
    'a figure': (
        'layers.py', '', 'from matplotlib import pyplot\n',
        'layers.py:1: imports matplotlib.pyplot; only viz may import matplotlib'),
    'MPI': (
        'training/loop.py', '', 'from mpi4py import MPI\n',
        'training/loop.py:1: imports mpi4py.MPI; only runtime.distributed may import mpi4py'),
    'ONNX': (
        'weights/export/onnx_ops.py', '', 'import onnx\n',
        'onnx_ops.py:1: imports onnx; only weights.export.onnx_file may import onnx'),
    'arguments': (
        'training/loop.py', '', 'import argparse\n',
        'training/loop.py:1: imports argparse; only cli course.grade.__main__ may import argparse'),
    'the course': (
        'course/exercises/pooling.py', '', 'from lessons import answers\n',
        'course/exercises/pooling.py:1: imports lessons.answers; no module may import lessons'),
    'the tests': (
        'gradcheck.py', '', 'from tests import samples\n',
        'gradcheck.py:1: imports tests.samples; no module may import tests'),
    'printing': (
        'net/net.py', '', 'print()\n', 'net/net.py:1: uses print; only cli.output '
        'course.grade.__main__ may use it'),
    'print passed on': (
        'training/loop.py', '', 'say = print\n',
        'training/loop.py:1: uses print; only cli.output '
        'course.grade.__main__ may use it'),
    'an import by string': (
        'optim.py', '', 'import importlib\nimportlib.import_module("tinyfcn.net")\n',
        'optim.py:2: uses import_module; only __init__ cli kernels.registry may use it'),
    'an unlisted file': (
        'extra.py', '', '"""More."""\n',
        'extra.py:1: a package without a row; every package has a row in MAY_IMPORT'),
    'an unlisted folder': (
        'extra/more.py', '', '',
        'extra/more.py:1: a package without a row; every package has a row in MAY_IMPORT'),
    'one entry too many': (
        'extra1.py', '', '', f'entries in the package; at most {ENTRIES}'),
    'a long function': (
        'optim.py', '', 'def f():\n' + '    pass\n' * FUNCTION_LINES,
        f'a function has at most {FUNCTION_LINES}'),
    'a circle': (
        'net/alignment.py', '', 'from .graph import Graph\n',
        'a circle: net.alignment -> net.graph -> net.alignment'),
    'a circle inside a function': (
        'data/lists.py', '', 'def f():\n    from .voc import voc\n',
        'a circle: data.lists -> data.voc -> data.lists'),
    'half a pair': (
        'ops/pointwise.py', '@backward_of(scale)\n', '',
        'ops/__init__.py: scale has no backward; an op is a pair'),
    'two ops of one name': (
        'ops/norm.py', '', 'def crop(x): ...\n',
        'crop again; an op has one name'),
}


@pytest.mark.parametrize('file, old, new, violation', BROKEN.values(), ids=BROKEN)
def test_a_planted_violation_is_named(tmp_path, file, old, new, violation):
    copy = copytree(PACKAGE, tmp_path / 'tinyfcn', ignore=ignore_patterns('__pycache__'))
    if file == 'extra1.py':                             # as many as it takes, whatever there is now
        for i in range(2, 2 + ENTRIES):
            (copy / f'extra{i}.py').touch()
    (copy / file).parent.mkdir(exist_ok=True)
    text = (copy / file).read_text('utf-8') if (copy / file).exists() else ''
    assert old in text
    (copy / file).write_text(text.replace(old, new, 1), 'utf-8')
    found = [line for line in violations(copy) if violation in line]
    assert found, '\n'.join(violations(copy))
