"""Machine code is kept, found again, and never taken for that of another function."""
import logging
import math
import os
import subprocess
import sys
from itertools import count
from pathlib import Path
from shutil import copytree
from types import SimpleNamespace

import numpy as np
import pytest

import tinyfcn
from tinyfcn.kernels.cpu import jit

ROOT = Path(tinyfcn.__file__).parent.parent
# a convolution that is computed by Numba, and how often it had to compile
SCRIPT = '''
import numpy as np
from tinyfcn import ops
x = np.ones((1, 16, 40, 40), 'float32')
w = np.ones((32, 16, 3, 3), 'float32')
y, _ = ops.conv2d(x, w)
assert (y == 144).all()
from tinyfcn.kernels.cpu import direct, tile
gather = direct.gather_with(*tile.choose_shape(38, 32))
print(sum(gather.stats.cache_misses.values()), sum(gather.stats.cache_hits.values()))
'''


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(jit, 'folders', lambda: [tmp_path])
    return tmp_path


def plus(constant):
    """A function with a constant, compiled anew or found again."""
    def add(x):
        return x + constant
    return jit.compiled(add)


def hits(function):
    return sum(function.stats.cache_hits.values())


def test_machine_code_is_found_again(folder):
    first, second = plus(1), plus(1)
    assert first(2) == second(2) == 3
    assert (hits(first), hits(second)) == (0, 1)
    assert len([*folder.iterdir()]) == 1


def test_constants_and_types_are_told_apart(folder):
    assert (plus(1)(2), plus(2)(2), plus(1)(2.5)) == (3, 4, 3.5)
    assert len([*folder.iterdir()]) == 3
    assert (plus(1)(2), plus(2)(2), plus(1)(2.5)) == (3, 4, 3.5)


def test_a_function_outside_the_folder_is_told_from_itself_before_an_edit(folder):
    """Of the same module, name and signature: another constant, operator or function called."""
    def in_module(source):
        names = dict(__name__='outside', compiled=jit.compiled, math=math)
        exec(f'@compiled\ndef f(x):\n    return {source}', names)
        return names['f']

    for source, value in (('x + 1', 3), ('x + 2', 4), ('x * 2', 4), ('math.exp(x)', math.exp(2)),
                          ('math.log(x)', math.log(2))):
        f, again = in_module(source), in_module(source)
        assert f(2) == again(2) == value
        assert (hits(f), hits(again)) == (0, 1), source


def test_every_source_file_counts(tmp_path):
    (tmp_path / 'a.py').write_text('x = 1')
    (tmp_path / 'b.py').write_text('y = 1')
    before = jit.hash_sources(tmp_path)
    assert jit.hash_sources(tmp_path) == before
    for name in 'a.py', 'b.py':
        whole = (tmp_path / name).read_text()
        (tmp_path / name).write_text(f'{whole}2')
        assert jit.hash_sources(tmp_path) != before
        (tmp_path / name).write_text(whole)
    table = tmp_path / 'a table elsewhere'
    table.write_text('z = 1')
    assert jit.hash_sources(tmp_path) == before != jit.hash_sources(tmp_path, table)
    matrices = jit.HERE.parent / 'winograd_matrices.py'
    assert jit.hash_sources(jit.HERE, matrices) == jit.SOURCES


def test_cpus_are_told_apart():
    """By the name and the features that Numba compiles for, as in a folder that machines share."""
    def name(*cpu):
        codegen = SimpleNamespace(magic_tuple=lambda: cpu)
        return jit.Cache(plus)._file_name('int64(int64)', codegen)
    assert name('x86_64', 'haswell', '+avx2') == name('x86_64', 'haswell', '+avx2')
    assert len({name('x86_64', 'haswell', '+avx2'), name('x86_64', 'haswell', '+avx'),
                name('x86_64', 'skylake', '+avx2'), name('aarch64', 'haswell', '+avx2')}) == 4


def test_a_damaged_file_is_compiled_again(folder):
    plus(1)(2)
    [path] = folder.iterdir()
    whole = path.read_bytes()
    for damaged in b'', whole[:-1], whole[:40] + b'x' + whole[41:]:
        path.write_bytes(damaged)
        again, mended = plus(1), plus(1)
        assert again(2) == mended(2) == 3
        assert (hits(again), hits(mended)) == (0, 1)


def test_code_of_sources_before_an_edit_is_deleted(folder, monkeypatch):
    plus(1)(2)
    monkeypatch.setattr(jit, 'SOURCES', 'f' * 16)
    edited = plus(1)
    assert edited(2) == 3 and hits(edited) == 0
    assert [path.name.split('-')[1] for path in folder.iterdir()] == ['f' * 16]


def test_a_folder_that_cannot_be_written_is_no_error(tmp_path, monkeypatch):
    occupied = tmp_path / 'a file'
    occupied.touch()
    monkeypatch.setattr(jit, 'folders', lambda: [occupied, occupied / 'x', tmp_path / 'free'])
    plus(1)(2)
    again = plus(1)
    assert again(2) == 3 and hits(again) == 1
    monkeypatch.setattr(jit, 'folders', lambda: [occupied])
    assert plus(1)(2) == 3


# ---- What is logged

@pytest.fixture
def messages(folder, monkeypatch, caplog):
    """-> a function: what was logged since the last call, as in a new process"""
    monkeypatch.setattr(jit, 'progress', jit.Progress())
    seconds = count()                                   # one between any two looks at the clock
    monkeypatch.setattr(jit, 'perf_counter', lambda: next(seconds))
    jit.warn_of_no_folder.cache_clear()
    caplog.set_level(logging.INFO, 'tinyfcn')

    def new_messages():
        texts = [record.getMessage() for record in caplog.records]
        caplog.clear()
        return texts
    return new_messages


def test_progress_counts_loops_with_the_functions_in_them(messages):
    inner = plus(1)

    @jit.compiled
    def loop(x):
        return inner(x) + inner(x * .5)                 # compiled for two types

    assert loop(2) == 5
    assert messages() == ['compiling kernels, once', 'compiling kernels, once: 1 done, 3 s']
    plus(2)(3)
    assert messages() == ['compiling kernels, once: 2 done, 4 s']
    plus(2)(3)                                          # found again
    assert messages() == []


def test_a_library_is_silent(folder, capfd, monkeypatch):
    monkeypatch.setattr(jit, 'progress', jit.Progress())
    # a command that ran in this process shows the log
    monkeypatch.setattr(logging.getLogger('tinyfcn'), 'handlers', [])
    assert plus(1)(2) == 3
    assert capfd.readouterr() == ('', '')


def test_it_is_said_once_that_code_cannot_be_kept(messages, tmp_path, monkeypatch):
    occupied = tmp_path / 'a file'
    occupied.touch()
    monkeypatch.setattr(jit, 'folders', lambda: [occupied, occupied / 'x'])
    plus(1)(2)
    plus(2)(2)
    kept = [text for text in messages() if 'kept' in text]
    assert kept == [f'compiled kernels cannot be kept in {occupied} or {occupied / "x"}, so every '
                    f'process compiles them again; set NUMBA_CACHE_DIR to a folder that can be '
                    f'written']


# ---- Folders that cannot be written

def test_a_full_disk_leaves_no_part_of_a_file(folder):
    resource = pytest.importorskip('resource', reason='limits are set on POSIX only')
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        assert plus(1)(2) == 3
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert [*folder.iterdir()] == []
    plus(1)(2)
    again = plus(1)
    assert again(2) == 3 and hits(again) == 1


def test_a_user_without_a_home_has_no_cache(monkeypatch):
    """As in a container that runs with a number for a user."""
    monkeypatch.delenv('XDG_CACHE_HOME', raising=False)
    monkeypatch.setattr(jit.os.path, 'expanduser', lambda path: path)
    monkeypatch.setattr(jit.numba.config, 'CACHE_DIR', '')
    assert [*jit.folders()] == [jit.HERE / '__pycache__']


def run(root, **environment):
    """Run SCRIPT with the package in `root`. -> the process"""
    return subprocess.Popen(
        [sys.executable, '-c', SCRIPT], cwd=root, text=True, stdout=subprocess.PIPE,
        env=dict(os.environ, PYTHONPATH=str(root), PYTHONDONTWRITEBYTECODE='1', **environment))


def output(process):
    out, _ = process.communicate(timeout=300)
    assert process.returncode == 0
    return out.split()


@pytest.mark.compiled
def test_an_edit_of_any_file_is_seen(tmp_path):
    copytree(ROOT / 'tinyfcn', tmp_path / 'tinyfcn', ignore=lambda folder, names: ['__pycache__'])
    assert output(run(tmp_path)) == ['1', '0']
    assert output(run(tmp_path)) == ['0', '1']
    with open(tmp_path / 'tinyfcn/kernels/cpu/simd.py', 'a') as file:
        file.write('# an edit\n')
    assert output(run(tmp_path)) == ['1', '0']
    assert output(run(tmp_path)) == ['0', '1']


def test_copies_of_the_package_do_not_delete_each_other_s_code(tmp_path, monkeypatch):
    monkeypatch.setattr(jit.numba.config, 'CACHE_DIR', str(tmp_path))
    plus(1)(2)
    [kept] = tmp_path.rglob(f'*{jit.SUFFIX}')
    monkeypatch.setattr(jit, 'HERE', tmp_path / 'another copy')
    monkeypatch.setattr(jit, 'SOURCES', 'f' * 16)
    plus(1)(2)
    assert kept.exists() and len([*tmp_path.rglob(f'*{jit.SUFFIX}')]) == 2


@pytest.mark.compiled
def test_without_a_folder_for_machine_code(tmp_path):
    """Neither the folder of the sources can be written, nor the user's cache."""
    copytree(ROOT / 'tinyfcn', tmp_path / 'tinyfcn', ignore=lambda folder, names: ['__pycache__'])
    occupied = tmp_path / 'tinyfcn/kernels/cpu/__pycache__'
    occupied.touch()
    for _ in range(2):
        assert output(run(tmp_path, XDG_CACHE_HOME=str(occupied))) == ['1', '0']
    cache = tmp_path / 'cache'
    assert output(run(tmp_path, XDG_CACHE_HOME=str(cache))) == ['1', '0']
    assert output(run(tmp_path, XDG_CACHE_HOME=str(cache))) == ['0', '1']


@pytest.mark.compiled
def test_several_processes_compile_at_once(tmp_path):
    others = [run(ROOT, NUMBA_CACHE_DIR=str(tmp_path)) for _ in range(3)]
    for process in others:
        output(process)
    assert output(run(ROOT, NUMBA_CACHE_DIR=str(tmp_path))) == ['0', '1']
    files = [path for path in tmp_path.rglob('*') if path.is_file()]
    assert files and all(path.suffix == jit.SUFFIX for path in files)


@pytest.mark.compiled
@pytest.mark.parametrize('numba', ['absent', 'switched off', 'for another NumPy', 'without FMA'])
def test_without_numba_every_op_runs_its_reference(numba, tmp_path):
    """And where it is installed in vain, that is said once."""
    absent = "import sys; sys.modules['numba'] = None" if numba == 'absent' else ''
    script = absent + '''
import numpy as np
from tinyfcn import build, ops
from tinyfcn.kernels import registry
x = np.ones((1, 16, 40, 40), 'float32')
w = np.ones((32, 16, 3, 3), 'float32')
assert registry.find_kernel('conv2d', False, x, w) is None
assert (ops.conv2d(x, w)[0] == 144).all()
net = build('fcn_squeezenet_4s')
net.forward(np.ones((1, 3, 64, 64), 'float32'), train=True)
'''
    (tmp_path / 'numba.py').write_text("raise ImportError('Numba needs NumPy 1.26 or less')")
    environment, reason = {
        'absent': ({}, None),
        'switched off': ({'NUMBA_DISABLE_JIT': '1'}, 'NUMBA_DISABLE_JIT is set'),
        'for another NumPy': ({'PYTHONPATH': str(tmp_path)}, 'Numba needs NumPy 1.26 or less'),
        'without FMA': ({'NUMBA_CPU_NAME': 'generic', 'NUMBA_CPU_FEATURES': ''},
                        'this CPU has no vector instructions that the compiled kernels could use'),
    }[numba]
    done = subprocess.run([sys.executable, '-c', script], cwd=ROOT, timeout=300, text=True,
                          env={**os.environ, **environment}, stderr=subprocess.PIPE)
    assert done.returncode == 0, done.stderr
    said = f'Numba compiles no kernels here, so every op runs its reference: {reason}\n'
    assert done.stderr == (said if reason else '')


@pytest.mark.compiled
def test_the_kernels_for_a_cpu_with_avx2(tmp_path):
    """Other lanes and other tiles: all tests of the CPU's kernels once more."""
    simd = pytest.importorskip('tinyfcn.kernels.cpu.simd')
    if not {'avx2', 'fma'} <= simd.cpu_features():
        pytest.skip('this CPU has no AVX2')
    tests = sorted(map(str, Path(__file__).parent.glob('test_cpu_*.py')))
    done = subprocess.run(
        [sys.executable, '-m', 'pytest', '-q', *tests, 'tests/ops/test_not_finite.py'], cwd=ROOT,
        text=True, capture_output=True, timeout=600,
        env=dict(os.environ, NUMBA_CPU_NAME='haswell', NUMBA_CACHE_DIR=str(tmp_path)))
    assert done.returncode == 0, done.stdout[-3000:]


def test_arrays_of_any_layout_share_one_machine_code(folder):
    """Compiled for addresses: a read-only or a sliced array is no other type."""
    from tinyfcn.kernels.convolution import Geometry
    from tinyfcn.kernels.cpu import direct, tile
    from tinyfcn.kernels.cpu.vec import LOWEST
    geometry = Geometry((1, 1), (1, 1), (1, 1))
    x = np.ones((2, 20, 20, 32), 'float32')
    w = np.ones((32, 16, 3, 3), 'float32')
    read_only = x.copy()
    read_only.flags.writeable = False
    y = np.empty((2, 20, 20, 48), 'float32')
    for part in x[..., :16], read_only[:, :, :, 16:], x[::-1, ::2, :, 8:24]:
        for filters in w, w[:, ::-1, ::-1].copy()[:, ::-1, ::-1]:
            direct.convolve(part, filters, None, y[:, :part.shape[1], :, 8:40], geometry, LOWEST)
    assert len(direct.gather_with(*tile.choose_shape(20, 32)).signatures) == 1
    assert len(direct.pack.signatures) == 1
