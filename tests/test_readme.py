"""README.md and docs/*.md are true: their examples and commands run, their figures are measured."""
import ast
import doctest
import hashlib
import inspect
import os
import re
import shlex
import subprocess
import sys
import tarfile
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from bad_input_samples import write_dataset
from local_mirror import running_server
from packaging.requirements import Requirement
from PIL import Image
from published import random_net

from tinyfcn import build
from tinyfcn.cli import COMMANDS, main, parse
from tinyfcn.data import voc
from tinyfcn.data.imagenet import class_names
from tinyfcn.models import NETS
from tinyfcn.models.fcn import stride8
from tinyfcn.runtime.gpu import gpu_status
from tinyfcn.weights.export import export_net

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[1]
# in this order: later pages use files that the commands of earlier ones have written
PAGES = ['README.md', 'docs/data.md', 'docs/images.md', 'docs/plan.md', 'docs/augmentation.md',
         'docs/training.md', 'docs/imbalance.md', 'docs/evaluation.md', 'docs/predict.md',
         'docs/nets.md', 'docs/cluster.md', 'docs/seven-loops.md', 'docs/engine.md',
         'docs/alignment.md', 'docs/kernels.md', 'docs/reproducibility.md', 'docs/paper.md',
         'docs/faq.md', 'docs/index.md', 'docs/course.md', 'docs/howto.md', 'docs/explanation.md',
         'docs/results.md', 'docs/api.md', 'docs/explainer.md']
TEXTS = {page: (ROOT / page).read_text('utf-8') for page in PAGES}
README = TEXTS['README.md']
CODE_BLOCKS = [(page, language, block) for page, text in TEXTS.items()
               for language, block in re.findall(r'^```(\w*)\n(.*?)^```', text, re.M | re.S)]


def test_every_page_is_here():
    assert {path.name for path in (ROOT / 'docs').glob('*.md')} == {
        Path(page).name for page in PAGES[1:]}


def test_readme_is_short():
    assert len(README.splitlines()) <= 200


def test_the_way_from_nothing_to_a_command_that_is_found():
    first = next(block for page, _, block in CODE_BLOCKS if page == 'README.md')
    lines = [line.split('#')[0].split() for line in first.splitlines()]
    assert [line[:2] for line in lines] == [
        ['git', 'clone'], ['make', 'demo'], ['make', 'test'], ['.', '.venv/bin/activate']]
    start = ' '.join(README.partition('## Segment')[0].split())
    without_make = [r'python -m venv .venv', r'.venv\Scripts\activate', 'pip install ".[fast]"',
                    'tinyfcn demo']
    assert re.search('.*'.join(re.escape(f'`{line}`') for line in without_make), start)
    assert 'its nets know nothing else' in start        # so they are not for photos


def test_no_page_teaches_to_evaluate_on_the_training_images():
    modules = [import_module(f'tinyfcn.cli.{command.module}') for command in COMMANDS.values()]
    texts = [*TEXTS.values(), *(module.__doc__ for module in modules)]
    assert not re.findall('tinyfcn eval .*--split train', '\n'.join(texts))
    assert 'with the same libraries and as many threads' in ' '.join(README.split())


# ---- Examples and figures ------------------------------------------------------------------------

@pytest.mark.parametrize('page', [page for page in PAGES if '>>>' in TEXTS[page]])
def test_the_examples_print_what_is_shown(page):
    text = TEXTS[page].replace('```', '')
    example = doctest.DocTestParser().get_doctest(text, {}, page, page, 0)
    assert len(example.examples) >= 3
    assert doctest.DocTestRunner().run(example).failed == 0


def test_there_are_as_many_examples_as_ever():
    assert sum(text.count('>>> ') for text in TEXTS.values()) > 28


def test_the_first_code_is_the_three_line_way():
    first = next(block for _, language, block in CODE_BLOCKS if language == 'python')
    calls = [ast.unparse(node.func) for node in ast.walk(ast.parse(first))
             if isinstance(node, ast.Call)]
    assert {'tinyfcn.load', 'tinyfcn.predict', 'tinyfcn.viz.overlay'} <= {*calls}
    assert len(ast.parse(first).body) == 4              # with the import


def test_stride8_is_the_one_in_the_package():
    shown = next(block for _, _, block in CODE_BLOCKS if 'def stride8' in block)
    source = re.sub(r'    """.*?"""\n', '', inspect.getsource(stride8), flags=re.S)
    assert shown == source


def test_the_comparison_of_nets_is_what_summary_prints(capsys):
    shown = next(block for _, _, block in CODE_BLOCKS if block.startswith('| net '))
    names = re.findall(r'^\| (\w+)', shown, re.M)[1:]
    assert len(names) > 10 and main(['summary', *names]) == 0
    assert shown == capsys.readouterr().out


def test_all_nets_are_listed():
    listed = TEXTS['docs/nets.md'].partition('```')[0]
    assert {*re.findall(r'`(\w+)`', listed)} == {*NETS}


def test_the_results_are_those_of_the_benchmarks():
    """Each number of the tables is in RESULTS.md, and so is no other one."""
    section = re.search(r'## Results.*?(?=\n## )', README, re.S).group()
    measured = (ROOT / 'benchmarks/RESULTS.md').read_text('utf-8')
    numbers = re.findall(r'\d+\.\d+', section)
    assert len(numbers) > 25
    assert not [number for number in numbers if f'{number}' not in measured]
    for row in 'fcn8s', 'fcn_squeezenet_4s':
        assert re.search(rf'\| {row} \| 500×500 \| 1 ', measured)


# ---- What the pages name exists ------------------------------------------------------------------

def test_the_make_targets_exist():
    targets = {target for text in TEXTS.values() for target in re.findall(r'^make ([\w-]+)', text,
                                                                          re.M)}
    makefile = (ROOT / 'Makefile').read_text('utf-8')
    assert targets == {'demo', 'test', 'lessons', 'docs', 'lite', 'gpu-check'}
    assert all(re.search(rf'^{target}:', makefile, re.M) for target in targets)


@pytest.mark.parametrize('page', PAGES)
def test_the_drawings_and_links_exist(page):
    folder = (ROOT / page).parent
    for path in re.findall(r'!\[.*?\]\((.*?)\)', TEXTS[page]):
        with Image.open(folder / path) as drawing:
            assert drawing.width > 500
    for link in re.findall(r'(?<!!)\[.*?\]\(([^:)]*)\)', TEXTS[page]):
        path, _, anchor = link.partition('#')
        assert (folder / path).is_file(), link
        assert not anchor or anchor in anchors(folder / path), link


def anchors(page):
    """Of its headings, as GitHub makes them."""
    headings = re.findall(r'^#+ (.*)$', page.read_text('utf-8'), re.M)
    return {re.sub(r'[^\w\s-]', '', heading).lower().replace(' ', '-') for heading in headings}


def test_the_folders_of_the_layout_exist():
    layout = README.partition('## Layout')[2]
    folders = [name for name in re.findall(r'`([\w/]+/)`', layout)]
    assert len(folders) > 12 and all((ROOT / name).is_dir() for name in folders)
    packages = {f'tinyfcn/{path.parent.name}/' for path in (ROOT / 'tinyfcn').glob('*/__init__.py')}
    assert packages <= {*folders}


def test_the_dependencies_and_extras_are_those_of_the_package():
    project = tomllib.loads((ROOT / 'pyproject.toml').read_text('utf-8'))['project']
    section = ' '.join(re.search(r'## Install.*?(?=\n## )', README, re.S).group().split())
    for requirement in project['dependencies']:
        assert f'{Requirement(requirement).name} (' in section
    for extra in project['optional-dependencies']:
        assert f'`{extra}`' in section, extra


# ---- Every command and every script runs, on real files ------------------------------------------

def shell_commands(block):
    """The command lines of a block without language, as words; comments are left out."""
    for line in block.splitlines():
        if line.startswith(('tinyfcn ', 'mpiexec ')):
            yield shlex.split(line, comments=True)


STEPS = []                      # (page, 'command' or 'script', words or source), in their order
for page, language, block in CODE_BLOCKS:
    is_quoted = page == 'docs/seven-loops.md' or 'def stride8' in block     # from a file
    if language == 'python' and '>>>' not in block and not is_quoted:
        STEPS.append((page, 'script', block))
    if not language:
        STEPS += [(page, 'command', words) for words in shell_commands(block)]

# some steps instead of hundreds
FEWER_STEPS = {('train', 'folder'): ['--set', 'steps=4', 'validate_every=2'],
               **{('train', f'stanford-{stride}s'): ['--set', 'steps=2', 'validate_every=2']
                  for stride in (16, 8, 4)}}


@pytest.fixture(scope='module')
def folder_with_files(tmp_path_factory):
    """A folder with the files that the pages name."""
    folder = tmp_path_factory.mktemp('user')
    write_dataset(folder / 'my')
    for i in range(9):
        for kind, suffix in ('images', '.jpg'), ('masks', '.png'):
            (folder / f'my/{kind}/{i}{suffix}').write_bytes(
                (folder / f'my/{kind}/one{suffix}').read_bytes())
    rng = np.random.default_rng(3)
    Image.fromarray(rng.integers(0, 255, (60, 90, 3), 'uint8')).save(folder / 'photo.jpg')
    (folder / 'frames').mkdir()
    for i in range(2):
        (folder / f'frames/{i}.jpg').write_bytes((folder / 'photo.jpg').read_bytes())
    for stride in 32, 16, 8:                            # what `make demo` leaves
        run = folder / f'runs/demo/shapes-{stride}s'
        run.mkdir(parents=True)
        net = random_net(f'tiny_{stride}s', 5)
        net.about.update(classes=[*'abcde'],
                         preprocess=dict(order='RGB', scale=1, mean=(0, 0, 0), std=(1, 1, 1)))
        net.save(run / 'best.safetensors')
    net = build('squeezenet')
    np.savez(folder / 'squeezenet.npz', **{
        name.replace('.w', '.weight').replace('.b', '.bias'): w for name, w in net.params.items()})
    stanford = folder / 'iccv09Data'
    for kind, suffix in ('images', 'jpg'), ('labels', 'png'):
        (stanford / kind).mkdir(parents=True)
        for i in range(12):
            data = rng.integers(0, 8, (48, 64), 'uint8')
            Image.fromarray(data).save(stanford / f'{kind}/{i}.{suffix}')
    for name in 'horizons.txt', 'README':
        (stanford / name).touch()
    with tarfile.open(folder / 'iccv09Data.tar.gz', 'w:gz') as archive:
        archive.add(stanford, 'iccv09Data')
    return folder


# Python runs it when it starts, in every command: the names of weights that the pages use are those
# of small files on a server on this machine
SITE = """
from tinyfcn.fetch.source import Source
from tinyfcn.weights.sources import SOURCES
for name, source in {sources}.items():
    SOURCES[name] = SOURCES[name]._replace(files=[Source(*source)])
"""


@pytest.fixture(scope='module')
def environment(tmp_path_factory):
    """Of the commands: weights by name come from a server on this machine; an empty cache."""
    caffe = dict(order='BGR', scale=1, mean=(104, 117, 123), std=(1, 1, 1))
    nets = dict(squeezenet=build('squeezenet'), googlenet=build('googlenet'),
                fcn_resnet50=random_net('fcn_resnet50', 21))
    for net, classes, side in zip(nets.values(), [class_names(), class_names(), voc.CLASSES],
                                  [64, 224, 64]):
        net.about.update(preprocess=caffe, classes=[*classes], shorter_side=side)
    site = tmp_path_factory.mktemp('site')
    with running_server() as server:
        sources = {}
        for name, net in nets.items():
            file = site / f'{name}.pth'
            export_net(net, file)
            data = file.read_bytes()
            sources[name] = (file.name, [server.serve(file.name, data)],
                             hashlib.sha256(data).hexdigest())
        (site / 'sitecustomize.py').write_text(SITE.format(sources=sources))
        path = os.pathsep.join([str(site), *filter(None, [os.environ.get('PYTHONPATH')])])
        yield {**os.environ, 'PYTHONWARNINGS': 'error', 'PYTHONPATH': path, 'no_proxy': '*',
               'TINYFCN_CACHE': str(site / 'cache')}


def test_every_command_is_shown():
    shown = [words[1] for _, kind, words in STEPS if kind == 'command' and words[0] == 'tinyfcn']
    assert len(shown) >= 14
    assert {*shown} == {*COMMANDS} - {'demo'}                           # which make runs


def run_step(kind, step, folder, environment, python=sys.executable):
    """A command or a script of a page, with fewer steps of training. -> the completed process"""
    args = ['-c', step]
    if kind == 'command':
        args = ['-m', *step, *FEWER_STEPS.get(tuple(step[1:3]), [])]
    return subprocess.run([python, *args], cwd=folder, capture_output=True, text=True,
                          env=environment)


def check_step(done, step, has_onnx):
    """It has worked, or said what is missing here: a GPU, onnx."""
    assert 'Traceback' not in done.stderr, done.stderr
    if 'gpu' in step and not gpu_status()[-1].ok:
        assert done.returncode == 2 and 'GPU' in done.stderr
    elif step[-1].endswith('.onnx') and not has_onnx:
        assert done.returncode == 2 and "pip install 'tinyfcn[onnx]'" in done.stderr
    else:
        assert done.returncode == 0, done.stderr


@pytest.mark.demo
@pytest.mark.parametrize('kind, step', [step[1:] for step in STEPS],
                         ids=[f'{page} {kind} {i}' for i, (page, kind, _) in enumerate(STEPS)])
def test_the_command_or_script_runs(kind, step, folder_with_files, environment):
    """In the order of the pages, each after those before it."""
    if kind == 'command' and step[0] == 'mpiexec':
        parse(step[step.index('tinyfcn') + 1:])         # only its arguments are checked
        return
    check_step(run_step(kind, step, folder_with_files, environment), step,
               has_onnx=bool(find_spec('onnx')))


@pytest.mark.demo
def test_the_script_of_readme_writes_its_overlay(folder_with_files):
    with Image.open(folder_with_files / 'overlay.png') as overlay:
        assert overlay.width >= 90
