"""The wheel and the source archive: built, checked, and used outside the repository."""
import re
import subprocess
import sys
import tarfile
import zipfile
from importlib import import_module
from shutil import copy, copytree, ignore_patterns

import pytest
import test_readme
from test_readme import README, ROOT, STEPS

import tinyfcn

# the files of a user with images, and a server for the weights that README names
folder_with_files, environment = test_readme.folder_with_files, test_readme.environment

sys.path.append(str(ROOT / '.ci'))
release = import_module('release')

FOLDERS = ['tinyfcn', 'tests', 'docs', 'lessons', 'benchmarks', '.ci']
ADDRESS = 'https://git.example/someone/tinyfcn'
ASSERT_INSTALLED = 'import sys, tinyfcn; assert tinyfcn.__file__.startswith(sys.prefix)'


def files_below(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob('*') if path.is_file()}


# ---- One version, and a release of it ------------------------------------------------------------

def test_the_version_is_the_same_everywhere():
    assert release.read_version(ROOT) == tinyfcn.__version__
    citation = (ROOT / 'CITATION.cff').read_text('utf-8')
    assert f'\nversion: {tinyfcn.__version__}\n' in citation
    changelog = (ROOT / 'CHANGELOG.md').read_text('utf-8')
    assert re.findall(r'^## (\S+)', changelog, re.M)[0] == tinyfcn.__version__


@pytest.fixture
def checkout(tmp_path):
    """What the script of a release reads, of a version that has a date."""
    (tmp_path / 'tinyfcn').mkdir()
    for name in 'README.md', 'pyproject.toml', 'tinyfcn/__init__.py':
        (tmp_path / name).write_text((ROOT / name).read_text('utf-8'), 'utf-8')
    (tmp_path / 'CHANGELOG.md').write_text(
        f'# Changelog\n\n## {tinyfcn.__version__} (1 May 2027)\n\nMore.\n\n## 0.1.0\n\nAll.\n')
    return tmp_path


def test_a_release_writes_its_notes_and_its_address(checkout):
    tag = f'v{tinyfcn.__version__}'
    release.prepare(checkout, tag, ADDRESS, checkout / 'notes.md')
    assert (checkout / 'notes.md').read_text('utf-8') == 'More.\n'
    project, page = ((checkout / name).read_text('utf-8') for name in ('pyproject.toml',
                                                                       'README.md'))
    assert 'example.org' not in project and f'Issues = "{ADDRESS}/issues"' in project
    assert f'git clone {ADDRESS} tinyfcn' in page
    assert f']({ADDRESS}/raw/{tag}/benchmarks/results/demo.png)' in page
    assert f'[nets.md]({ADDRESS}/blob/{tag}/docs/nets.md)' in page
    assert all(re.match('https?:|#', link) for link in re.findall(r'\]\(([^)]*)\)', page))


@pytest.mark.parametrize('file, old, new, what', [
    ('tinyfcn/__init__.py', tinyfcn.__version__, '9.9', 'the tag of this version is v9.9'),
    ('CHANGELOG.md', '1 May 2027', 'not released', 'write its date'),
    ('CHANGELOG.md', f'## {tinyfcn.__version__}', '## 7.0', 'has no section'),
], ids=['tag', 'date', 'notes'])
def test_a_release_that_is_not_ready_is_refused(checkout, file, old, new, what):
    path = checkout / file
    path.write_text(path.read_text('utf-8').replace(old, new), 'utf-8')
    with pytest.raises(ValueError, match=what):
        release.prepare(checkout, f'v{tinyfcn.__version__}', ADDRESS, checkout / 'notes.md')


# ---- The two archives ----------------------------------------------------------------------------

@pytest.fixture(scope='module')
def source(tmp_path_factory):
    """A copy of the repository, in which archives are built."""
    folder = tmp_path_factory.mktemp('build') / 'tinyfcn'
    for name in FOLDERS:
        copytree(ROOT / name, folder / name, ignore=ignore_patterns('__pycache__', 'api', '_build'))
    for path in ROOT.iterdir():
        if path.is_file() and not path.name.startswith('.'):
            copy(path, folder)
    return folder


@pytest.fixture(scope='module')
def archives(source):
    """(wheel, source archive); the wheel is built from the source archive."""
    subprocess.run([sys.executable, '-m', 'build', source], check=True, capture_output=True)
    [wheel], [archive] = (source / 'dist').glob('*.whl'), (source / 'dist').glob('*.tar.gz')
    return wheel, archive


@pytest.fixture(scope='module')
def unpacked(archives, tmp_path_factory):
    folder = tmp_path_factory.mktemp('unpacked')
    with tarfile.open(archives[1]) as archive:
        archive.extractall(folder, filter='data')
    [unpacked] = folder.iterdir()
    return unpacked


@pytest.mark.package
def test_the_package_index_would_accept_them(archives):
    subprocess.run([sys.executable, '-m', 'twine', 'check', '--strict', *archives], check=True)


@pytest.mark.package
def test_the_wheel_holds_the_package_and_nothing_else(source, archives):
    about = f'tinyfcn-{tinyfcn.__version__}.dist-info'
    with zipfile.ZipFile(archives[0]) as wheel:
        names = {*wheel.namelist()}
    assert f'{about}/licenses/LICENSE' in names
    own = {name.removeprefix('tinyfcn/') for name in names if not name.startswith(about)}
    assert own == files_below(source / 'tinyfcn')


@pytest.mark.package
def test_the_source_archive_holds_what_its_tests_and_pages_need(source, unpacked):
    for folder in FOLDERS:
        assert files_below(unpacked / folder) == files_below(source / folder)
    for path in re.findall(r'\]\(([^:)#]*)', README):
        assert (unpacked / path).is_file(), path
    run_tests = [sys.executable, '-m', 'pytest', '-p', 'no:cacheprovider']
    for args in ['--collect-only'], ['tests/test_metrics.py', 'tests/models/test_load.py']:
        subprocess.run([*run_tests, *args], cwd=unpacked, check=True)


@pytest.mark.package
def test_every_step_of_readme_works_in_an_empty_environment(
        archives, tmp_path, folder_with_files, environment):
    """The wheel is installed with what it depends on; its command is found, and runs each step."""
    subprocess.run([sys.executable, '-m', 'venv', tmp_path], check=True)
    programs = tmp_path / ('Scripts' if sys.platform == 'win32' else 'bin')
    python = programs / 'python'
    subprocess.run([python, '-m', 'pip', 'install', '--quiet', archives[0]], check=True)
    shown = subprocess.run([programs / 'tinyfcn', '--version'], check=True, capture_output=True,
                           text=True)
    assert shown.stdout == f'tinyfcn {tinyfcn.__version__}\n'
    steps = [(kind, step) for page, kind, step in STEPS if page == 'README.md']
    assert len(steps) > 8
    for kind, step in [('script', ASSERT_INSTALLED), *steps]:
        done = test_readme.run_step(kind, step, folder_with_files, environment, python)
        test_readme.check_step(done, step, has_onnx=False)
