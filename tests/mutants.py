"""Mutation tests: plant a bug, run the suite, and see whether a test fails.

    python tests/mutants.py                 all groups: make mutants
    python tests/mutants.py pool loss       some groups
    python tests/mutants.py --check         only whether every bug still fits the source

The bugs are in mutant_bugs.py. One at a time goes into a copy of the repository. A test that fails
has found it. The tests of its group run first, then all others; if they pass too, the bug has
survived and is shown.
"""
import ast
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from queue import Queue
from shutil import copytree, ignore_patterns
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import NamedTuple

from mutant_bugs import BUGS

ROOT = Path(__file__).resolve().parent.parent
COPIES = 2                                      # of the repository, each with a test run of its own
# PyTorch is hidden: it takes a second to import, and the suite must find the bugs without it.
# Hypothesis need not look for the smallest example that fails
PYTEST = """
import sys, pytest
sys.modules['torch'] = None

class WithoutShrinking:
    def pytest_configure(self):
        from hypothesis import Phase, settings
        settings.register_profile('mutants', phases=[Phase.explicit, Phase.generate])
        settings.load_profile('mutants')

sys.exit(pytest.main(plugins=[WithoutShrinking()]))
"""
KINDS = 'index sign stride accumulate rounding lifetime randomness'.split()
MIN_BUGS = dict(conv=20, pool=20, loss=20, cpu=60)
MIN_FOUND = .95                                 # of the bugs of a group

# The tests that run first for a group, the fastest before the slowest. Hypothesis comes last,
# because it spends time on shrinking what it finds.
STAGES = (['ops/test_adjoint.py', 'ops/test_refusals.py', 'ops/test_matrix.py'],
          ['ops/test_ops.py'], ['ops/test_random_geometry.py'])
KEYWORDS = {
    'conv': 'conv or col',
    'pool': 'pool or take or switch',
    'loss': 'softmax or score or loss',
    'matrix': 'matrix or upsample or resize',
    'others': 'norm or relu or drop or add or multiply or scale or concat or channels or crop '
              'or pad',
}


class Subset(NamedTuple):
    """Some test files, and what pytest's -k selects of them."""

    files: tuple[str, ...]
    keywords: str = ''


SUBSETS = {
    **{group: [Subset(tuple(files), keywords) for files in STAGES]
       for group, keywords in KEYWORDS.items()},
    'net': [Subset(('net/test_graph.py', 'net/test_alignment.py', 'net/test_net.py')),
            Subset(('net/test_plan.py',))],
    'family': [                     # training, prediction and what they read
        Subset(('training/test_heads.py', 'prediction/test_multiscale.py',
                'data/test_unet_augmentation.py')),
        Subset(('training/test_early_stopping.py', 'training/test_freeze.py',
                'training/test_lr_finder.py', 'training/test_event_file.py')),
        Subset(('data/test_warp.py', 'data/test_colour.py', 'data/test_rare_classes.py',
                'data/test_augment.py')),
        Subset(('prediction/test_crf.py', 'prediction/test_prediction.py', 'net/test_summary.py')),
        Subset(('runtime/test_threads.py', 'training/test_training.py')),
    ],
}

# of the group 'cpu', for each file of kernels/cpu: a bug there compiles all kernels anew, so as few
# tests as possible run first, and the tests of kernels and ops alone run last
LOOPS = 'ops/test_not_finite.py', 'kernels/test_cpu_pool.py', 'kernels/test_cpu_vec.py'
CONVOLUTIONS = 'kernels/test_cpu_direct.py', 'kernels/test_cpu_conv.py'
CPU_SUBSETS = {
    'jit': Subset(('kernels/test_cpu_jit.py',)),
    'vec': Subset(LOOPS, 'exp or lanes or relu or max_pool or max_switches or pool_of_nan'),
    'pool': Subset(LOOPS, 'max_pool or max_switches or pool_of_nan'),
    'loss': Subset(LOOPS, 'softmax_cross_entropy or loss'),
    'dice': Subset(LOOPS, 'dice_loss'),
    'norm': Subset(LOOPS, 'local_response_norm'),
    'batch_norm': Subset(LOOPS, 'batch_norm or variance'),
    'upsample': Subset(LOOPS, 'avg_pool or upsample or resize'),
    'pointwise': Subset(LOOPS, 'relu or dropout'),
    'update': Subset(LOOPS, 'update'),
    'shape': Subset(LOOPS, 'crop'),
    'images': Subset(LOOPS, 'relu or max_pool'),
    'winograd': Subset(CONVOLUTIONS, 'winograd or rounding'),
    'winograd_matrices': Subset(('kernels/test_winograd_errors.py',)),
    'dropout': Subset(('kernels/test_dropout_draws.py',)),
    'small_maps': Subset(CONVOLUTIONS, 'small_maps or layers'),
    'conv': Subset(CONVOLUTIONS),
    'blocking': Subset(CONVOLUTIONS),
}
OTHER_CPU_FILES = Subset(CONVOLUTIONS, 'direct or layers or relu')


class Bug(NamedTuple):
    """A mistake: in which file, which text becomes which."""

    group: str
    file: str
    kind: str
    mistake: str
    old: str
    new: str


def bugs_of(groups):
    return [Bug(group, file, *row) for group in groups
            for file, rows in BUGS[group].items() for row in rows]


def misfits(bugs):
    """A complaint for each bug that cannot be planted, because the source has changed since."""
    for bug in bugs:
        text = (ROOT / 'tinyfcn' / bug.file).read_text('utf-8')
        where = f'{bug.file}: {bug.mistake}'
        if (count := text.count(bug.old)) != 1:
            yield f'{where}: the old text occurs {count} times: {bug.old!r}'
            continue
        if bug.kind not in KINDS:
            yield f'{where}: kind {bug.kind!r} is none of {KINDS}'
        try:
            ast.parse(text.replace(bug.old, bug.new))
        except SyntaxError as error:
            yield f'{where}: {error}'


def subsets_of(bug):
    """What runs first to find a bug."""
    if bug.group == 'cpu':
        return [CPU_SUBSETS.get(Path(bug.file).stem, OTHER_CPU_FILES)]
    return SUBSETS[bug.group]


# ---- Running tests in a copy of the repository

def copy_repository(folder):
    """Copy the repository, and check that Python imports tinyfcn from the copy."""
    copytree(ROOT, folder, ignore=ignore_patterns('.*', '__pycache__', '*.egg-info', 'runs'))
    where = run_python(folder, '-c', 'import tinyfcn; print(tinyfcn.__file__)').stdout.strip()
    assert Path(where).resolve().is_relative_to(folder.resolve()), where
    return folder


def run_python(folder, *args, limit=60):
    # no bytecode: a file that changes twice in a second would look unchanged
    env = {**os.environ, 'PYTHONPATH': str(folder), 'PYTHONDONTWRITEBYTECODE': '1',
           'OPENBLAS_NUM_THREADS': '1', 'CI': ''}
    return subprocess.run([sys.executable, *args], cwd=folder, env=env, timeout=limit,
                          capture_output=True, text=True)


class Failure(NamedTuple):
    """The first test that failed; or none, because the run did not end, or was ended."""

    test: str | None
    message: str


def first_failure(folder, tests, keywords='', limit=60):
    """-> Failure; None if all tests pass"""
    try:
        run = run_python(folder, '-c', PYTEST, '-x', '-q', '--tb=no', '-p', 'no:cacheprovider',
                         *tests, '-k', keywords, limit=limit)
    except subprocess.TimeoutExpired:
        return Failure(None, f'did not end within {limit} s')
    if run.returncode == 0:
        return None
    if run.returncode < 0:                      # compiled code has left its arrays, say
        return Failure(None, f'ended by signal {-run.returncode}')
    found = re.search(r'^(?:FAILED|ERROR) (.+?)(?: - .*)?$', run.stdout, re.M)
    assert found and run.returncode in (1, 2), f'pytest itself failed:\n{run.stdout}{run.stderr}'
    return Failure(found[1], found[1])


def failure_in_subset(subset, folder):
    return first_failure(folder, [f'tests/{file}' for file in subset.files], subset.keywords,
                         limit=300)


def plant(bug, folder):
    """Plant the bug, run the tests, and restore the file. -> Failure; None if the bug survives"""
    file = folder / 'tinyfcn' / bug.file
    text = file.read_text('utf-8')
    try:
        file.write_text(text.replace(bug.old, bug.new), 'utf-8')
        for subset in subsets_of(bug):
            if failure := failure_in_subset(subset, folder):
                return failure
        # all others, except the tests of style: a line that is too long does not find a bug
        others = ['tests/kernels', 'tests/ops'] if bug.group == 'cpu' else ['tests']
        failure = first_failure(folder, [*others, '--ignore=tests/test_architecture.py'],
                                limit=900)
    finally:
        file.write_text(text, 'utf-8')
    # before any bug only the subsets were run: does this file pass without the bug?
    if failure and failure.test:
        require_pass(first_failure(folder, [failure.test.split('::')[0]], limit=300))
    return failure


def require_pass(failure):
    if failure:
        sys.exit(f'{failure.message} fails without any bug: mend it first')


def run_all(bugs):
    """Plant each bug, several at a time, each in a copy of its own. -> (bug, Failure or None)"""
    with TemporaryDirectory() as parent, ThreadPoolExecutor(COPIES) as pool:
        copies = Queue()
        for i in range(COPIES):
            copies.put(copy_repository(Path(parent, f'copy{i}')))

        def in_a_copy(function, *args):
            folder = copies.get()
            try:
                return function(*args, folder)
            finally:
                copies.put(folder)

        subsets = dict.fromkeys(subset for bug in bugs for subset in subsets_of(bug))
        for failure in pool.map(partial(in_a_copy, failure_in_subset), subsets):
            require_pass(failure)
        yield from zip(bugs, pool.map(partial(in_a_copy, plant), bugs))


# ---- The report

def main(groups):
    start = perf_counter()
    bugs = bugs_of(groups)
    survivors = []
    for bug, failure in run_all(bugs):
        print(f'{bug.group:6}  {bug.kind:10}  {bug.mistake:.58}'.ljust(80),
              failure.message if failure else 'SURVIVED', flush=True)
        if not failure:
            survivors.append(bug)
    passed = report(bugs, survivors, groups)
    print(f'\n{len(bugs)} bugs in {perf_counter() - start:.0f} s')
    return 0 if passed else 1


def report(bugs, survivors, groups):
    """Print how many bugs were found, and those that were not. -> whether that is enough"""
    print(f'\n{"group":8} {"planted":>7} {"found":>7}')
    passed = True
    for group in groups:
        planted = sum(bug.group == group for bug in bugs)
        found = planted - sum(bug.group == group for bug in survivors)
        passed &= found >= MIN_FOUND * planted and planted >= MIN_BUGS.get(group, 0)
        print(f'{group:8} {planted:7} {found:7} {found / planted:6.0%}')
    for bug in survivors:
        print(f'\nsurvived: {bug.mistake}  ({bug.group}, {bug.kind})\n  {bug.file}\n'
              f'    - {bug.old}\n    + {bug.new}')
    return passed


if __name__ == '__main__':
    check_only = '--check' in sys.argv
    asked_for = [word for word in sys.argv[1:] if word != '--check'] or list(BUGS)
    if unknown := set(asked_for) - set(BUGS):
        sys.exit(f'{", ".join(unknown)}: no such group; there are {", ".join(BUGS)}')
    if complaints := list(misfits(bugs_of(asked_for))):
        sys.exit('\n'.join(complaints))
    sys.exit(0 if check_only else main(asked_for))
