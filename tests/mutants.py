"""Mutation tests: plant a bug, run the suite, and see whether a test fails.

    python tests/mutants.py                 all groups: make mutants
    python tests/mutants.py pool loss       some groups
    python tests/mutants.py --check         only whether every bug still fits the source

The bugs are in mutant_bugs.py. One at a time goes into a copy of the repository. If the tests of
its group pass, all other tests run; if they pass too, the bug has survived and is shown.
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
TIMEOUT = 'did not end within'
# without PyTorch, which takes a second to import: the suite must find the bugs without it
PYTEST = "import sys, pytest; sys.modules['torch'] = None; sys.exit(pytest.console_main())"
KINDS = 'index sign stride accumulate rounding lifetime randomness'.split()
LEAST_BUGS = dict(conv=20, pool=20, loss=20)
LEAST_KILLED = .95

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
    'net': [Subset(('net/test_graph.py', 'net/test_alignment.py', 'net/test_net.py'))],
    'family': [
        Subset(('training/test_heads.py', 'prediction/test_multiscale.py',
                'data/test_unet_augmentation.py')),
        Subset(('prediction/test_crf.py', 'prediction/test_prediction.py', 'net/test_summary.py')),
        Subset(('runtime/test_workers.py', 'training/test_training.py')),
    ],
}


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
    """The bugs that no longer fit the source: planted in vain, they would count as survivors."""
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


def first_failure(folder, tests, keywords='', limit=60):
    """-> the first test that fails; None if all pass"""
    try:
        run = run_python(folder, '-c', PYTEST, '-x', '-q', '--tb=no', '-p', 'no:cacheprovider',
                         *tests, '-k', keywords, limit=limit)
    except subprocess.TimeoutExpired:
        return f'{TIMEOUT} {limit} s'
    if run.returncode == 0:
        return None
    found = re.search(r'^(?:FAILED|ERROR) (.+?)(?: - .*)?$', run.stdout, re.M)
    assert found and run.returncode in (1, 2), f'pytest itself failed:\n{run.stdout}{run.stderr}'
    return found[1]


def failure_in_subset(subset, folder):
    return first_failure(folder, [f'tests/{file}' for file in subset.files], subset.keywords)


def find_bug(bug, folder):
    """Plant the bug. -> the first test that fails; None if the bug survives"""
    file = folder / 'tinyfcn' / bug.file
    text = file.read_text('utf-8')
    try:
        file.write_text(text.replace(bug.old, bug.new), 'utf-8')
        for subset in SUBSETS[bug.group]:
            if test := failure_in_subset(subset, folder):
                return test
        # all others, except the tests of style: a line that is too long does not find a bug
        test = first_failure(folder, ['tests', '--ignore=tests/test_architecture.py'], limit=300)
    finally:
        file.write_text(text, 'utf-8')
    if test and not test.startswith(TIMEOUT):   # the subsets are known to pass, the rest is not
        require_pass(first_failure(folder, [test.split('::')[0]], limit=300))
    return test


def require_pass(failed_test):
    if failed_test:
        sys.exit(f'{failed_test} fails without any bug: mend it first')


# ---- The report

def main(groups):
    start = perf_counter()
    bugs = bugs_of(groups)
    survivors = {group: [] for group in groups}
    with TemporaryDirectory() as parent, ThreadPoolExecutor(COPIES) as pool:
        folders = Queue()
        for i in range(COPIES):
            folders.put(copy_repository(Path(parent, f'copy{i}')))

        def in_a_copy(work):
            folder = folders.get()
            try:
                return work(folder)
            finally:
                folders.put(folder)

        subsets = dict.fromkeys(subset for group in groups for subset in SUBSETS[group])
        for test in pool.map(in_a_copy, [partial(failure_in_subset, subset) for subset in subsets]):
            require_pass(test)
        for bug, test in zip(bugs, pool.map(in_a_copy, [partial(find_bug, bug) for bug in bugs])):
            print(f'{bug.group:6}  {bug.kind:10}  {bug.mistake:.58}'.ljust(80), test or 'SURVIVED',
                  flush=True)
            if not test:
                survivors[bug.group].append(bug)
    print(f'\n{"group":8} {"planted":>7} {"killed":>7}')
    passed = True
    for group, alive in survivors.items():
        count = sum(bug.group == group for bug in bugs)
        share = 1 - len(alive) / count
        passed &= share >= LEAST_KILLED and count >= LEAST_BUGS.get(group, 0)
        print(f'{group:8} {count:7} {count - len(alive):7} {share:6.0%}')
    for bug in sum(survivors.values(), []):
        print(f'\nsurvived: {bug.mistake}  ({bug.group}, {bug.kind})\n  {bug.file}\n'
              f'    - {bug.old}\n    + {bug.new}')
    print(f'\n{len(bugs)} bugs in {perf_counter() - start:.0f} s')
    return 0 if passed else 1


if __name__ == '__main__':
    check_only = '--check' in sys.argv
    asked = [word for word in sys.argv[1:] if word != '--check'] or list(BUGS)
    if unknown := set(asked) - set(BUGS):
        sys.exit(f'{", ".join(unknown)}: no such group; there are {", ".join(BUGS)}')
    if complaints := list(misfits(bugs_of(asked))):
        sys.exit('\n'.join(complaints))
    sys.exit(0 if check_only else main(asked))
