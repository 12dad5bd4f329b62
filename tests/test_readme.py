"""What README shows is so: its examples run, and its figure is the one in the package."""
import doctest
import inspect
import os
import re
import shlex
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
from bad_input_samples import whole
from PIL import Image

from tinyfcn import build
from tinyfcn.cli import main
from tinyfcn.models.fcn import stride8
from tinyfcn.runtime.gpu import gpu_status

ROOT = Path(__file__).parents[1]
README = (ROOT / 'README.md').read_text('utf-8')


def test_the_examples_run_and_print_what_is_shown():
    text = README.replace('```', '')
    example = doctest.DocTestParser().get_doctest(text, {}, 'README.md', 'README.md', 0)
    assert len(example.examples) > 20
    assert doctest.DocTestRunner().run(example).failed == 0


def test_the_figure_is_the_one_in_the_package():
    shown = re.search(r'def stride8.*?```', README, re.S).group().removesuffix('```')
    true = re.sub(r'    """.*?"""\n', '', inspect.getsource(stride8), flags=re.S)
    assert shown == true


def test_the_family_is_as_its_nets_are(capsys):
    shown = re.search(r'\n(\| net .*?)```', README, re.S).group(1)
    names = re.findall(r'^\| (\w+)', shown, re.M)[1:]
    assert len(names) > 10 and main(['summary', *names]) == 0
    assert shown == capsys.readouterr().out


def test_the_targets_exist():
    targets = set(re.findall(r'^make ([\w-]+)', README, re.M))
    makefile = (ROOT / 'Makefile').read_text('utf-8')
    assert targets == {'demo', 'test', 'lessons', 'site', 'gpu-check'}
    assert all(re.search(rf'^{target}:', makefile, re.M) for target in targets)


def test_its_pictures_are_there():
    for path in re.findall(r'!\[.*?\]\((.*?)\)', README):
        with Image.open(ROOT / path) as picture:
            assert picture.width > 500


# ---- every command, on real files, through the real command line ---------------------------------

COMMANDS = [shlex.split(re.split(r'\s{3,}', line)[0]) for line in
            re.findall(r'^tinyfcn .*', README, re.M)]
SHORT = {('train', 'folder'): ['--set', 'steps=4', 'validate_every=2'],         # else they run for an hour
         ('train', 'stanford-16s'): ['--set', 'steps=2', 'validate_every=2']}


@pytest.fixture(scope='module')
def place(tmp_path_factory):
    """A folder with the files that README speaks of."""
    place = tmp_path_factory.mktemp('place')
    whole(place / 'my')
    for i in range(9):
        for folder, suffix in ('images', '.jpg'), ('masks', '.png'):
            (place / f'my/{folder}/{i}{suffix}').write_bytes(
                (place / f'my/{folder}/one{suffix}').read_bytes())
    rng = np.random.default_rng(3)
    Image.fromarray(rng.integers(0, 255, (60, 90, 3), 'uint8')).save(place / 'photo.jpg')
    net = build('squeezenet')
    np.savez(place / 'squeezenet.npz', **{
        name.replace('.w', '.weight').replace('.b', '.bias'): w for name, w in net.params.items()})
    stanford = place / 'iccv09Data'
    for folder, suffix in ('images', 'jpg'), ('labels', 'png'):
        (stanford / folder).mkdir(parents=True)
        for i in range(12):
            data = rng.integers(0, 8, (48, 64), 'uint8')
            Image.fromarray(data).save(stanford / f'{folder}/{i}.{suffix}')
    for name in 'horizons.txt', 'README':
        (stanford / name).touch()
    with tarfile.open(place / 'iccv09Data.tar.gz', 'w:gz') as archive:
        archive.add(stanford, 'iccv09Data')
    return place


def test_every_command_is_here():
    assert len(COMMANDS) >= 14
    said = {words[1] for words in COMMANDS}
    assert said == {'check', 'train', 'predict', 'eval', 'doctor', 'data', 'summary', 'draw',
                    'weights'}                                          # and demo, by make


@pytest.mark.parametrize('words', COMMANDS, ids=' '.join)
def test_the_command_runs(words, place):
    """In README's order, each after those before it; where no GPU computes, it says so."""
    more = SHORT.get(tuple(words[1:3]), [])
    ran = subprocess.run([sys.executable, '-m', *words, *more], cwd=place, capture_output=True,
                         text=True, env={**os.environ, 'PYTHONWARNINGS': 'error'})
    if 'gpu' in words and not gpu_status()[-1][1]:
        assert ran.returncode == 2 and 'no usable GPU' in ran.stderr
    else:
        assert ran.returncode == 0, ran.stderr
    assert 'Traceback' not in ran.stderr
