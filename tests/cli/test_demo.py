"""The demo: three stages, each from the one before, a table and a page; shortened, except in CI."""
import json
import re
import shlex
import subprocess
import sys
from contextlib import redirect_stdout
from io import StringIO

import numpy as np
import pytest
from PIL import Image

from tinyfcn.cli import main
from tinyfcn.cli.demo import own_command
from tinyfcn.data.shapes import SPLITS
from tinyfcn.training import checkpoint, get_recipe, recipes

ROW = r'^{} +([\d.]+) +([\d.]+) +([\d.]+) +([\d.]+)'


def scores_in(output, name):
    """The row of a net in the table that the demo prints: its four metrics."""
    return [float(number) for number in re.search(ROW.format(name), output, re.M).groups()]


def run_short_demo(folder):
    """The real command, with few steps a stage and few validation and test images."""
    with pytest.MonkeyPatch.context() as patch:
        for stride in 32, 16, 8:
            name = f'shapes-{stride}s'
            patch.setitem(recipes.RECIPES, name,
                          recipes.RECIPES[name] | dict(steps=4, validate_every=4))
        for split in 'val', 'test':
            seed, _ = SPLITS[split]
            patch.setitem(SPLITS, split, (seed, 6))
        return main(['demo', '--seed', '4', '-o', str(folder)])


@pytest.fixture(scope='module')
def short_demo(tmp_path_factory):
    """-> its folder, its exit code, and what it has printed"""
    folder = tmp_path_factory.mktemp('demo')
    with redirect_stdout(StringIO()) as printed:
        code = run_short_demo(folder)
    return folder, code, printed.getvalue()


def test_it_trains_three_stages_and_draws_them(short_demo):
    folder, code, printed = short_demo
    assert code == 0
    assert 'These nets know background, disc, triangle, ring, flower' in printed
    assert re.search(r'^  \S.* train folder --data FOLDER$', printed, re.M)
    with Image.open(folder / 'demo.png') as page:
        assert page.width > 1000 and len(np.unique(np.asarray(page))) > 100
    for stride in 32, 16, 8:
        rows = (folder / f'shapes-{stride}s/metrics.jsonl').read_text().splitlines()
        assert [json.loads(row)['step'] for row in rows] == [1, 2, 3, 4, 4]


def test_each_stage_starts_from_the_weights_of_the_one_before(short_demo):
    """After four steps the trunk has changed, but not far from that of the stage before."""
    folder, _, _ = short_demo
    before, after = (checkpoint.load(folder / f'shapes-{stride}s/last.safetensors').weights
                     for stride in (32, 16))
    assert get_recipe('shapes-16s').init_from == 'shapes-32s'
    for name in 'conv5_1.w', 'fc6.w':
        difference = np.linalg.norm(after[name] - before[name])
        assert 0 < difference < .5 * np.linalg.norm(before[name])


def test_a_second_demo_starts_again(short_demo):
    """It replaces the files of an earlier demo; with the same seed it has the same losses."""
    folder, _, _ = short_demo
    log = folder / 'shapes-8s/metrics.jsonl'

    def losses():
        return [json.loads(row).get('loss') for row in log.read_text().splitlines()]

    before = losses()
    assert run_short_demo(folder) == 0
    assert losses() == before


def test_it_ends_with_commands_that_can_be_typed(monkeypatch, tmp_path):
    """As it was called itself: by a path, by its name, or by `python -m`."""
    monkeypatch.chdir(tmp_path)
    program = tmp_path / '.venv/bin/tinyfcn'
    program.parent.mkdir(parents=True)
    program.touch(mode=0o755)
    monkeypatch.setenv('PATH', str(tmp_path / 'nowhere'))
    monkeypatch.setattr(sys, 'argv', ['.venv/bin/tinyfcn', 'demo'])
    assert own_command() == '.venv/bin/tinyfcn'
    monkeypatch.setattr(sys, 'argv', [str(program), 'demo'])
    assert own_command() == '.venv/bin/tinyfcn'
    monkeypatch.setenv('PATH', str(program.parent))
    assert own_command() == 'tinyfcn'
    monkeypatch.setattr(sys, 'argv', ['/lib/tinyfcn/__main__.py', 'demo'])
    assert own_command() == f'{shlex.quote(sys.executable)} -m tinyfcn'
    (tmp_path / 'another').mkdir()
    monkeypatch.chdir(tmp_path / 'another')
    monkeypatch.setattr(sys, 'argv', [str(program), 'demo'])
    monkeypatch.setenv('PATH', '')
    assert own_command() == str(program)


def test_what_is_not_of_a_demo_is_not_overwritten(tmp_path, capsys):
    for name in 'demo.png', 'shapes-16s/last.safetensors':
        theirs = tmp_path / name.replace('/', '_') / name
        theirs.parent.mkdir(parents=True)
        theirs.write_text('by another program')
        assert main(['demo', '-o', str(tmp_path / name.replace('/', '_'))]) == 2
        assert f'{theirs}: exists' in capsys.readouterr().err
        assert theirs.read_text() == 'by another program'


def test_an_output_that_is_a_file_is_rejected(tmp_path, capsys, monkeypatch):
    seed, _ = SPLITS['test']
    monkeypatch.setitem(SPLITS, 'test', (seed, 1))      # images that are generated before that
    taken = tmp_path / 'taken'
    taken.write_text('a file where a folder is expected')
    assert main(['demo', '-o', str(taken)]) == 2
    stderr = capsys.readouterr().err
    assert stderr.startswith('tinyfcn: ') and str(taken) in stderr and 'Traceback' not in stderr


@pytest.mark.demo
def test_the_whole_demo(tmp_path):
    """Each stage is better than the one before, on images that none was trained on."""
    result = subprocess.run([sys.executable, '-m', 'tinyfcn', 'demo', '-o', str(tmp_path)],
                            capture_output=True, text=True)
    print(result.stdout)
    assert result.returncode == 0, result.stderr
    background, *stages = (scores_in(result.stdout, name)
                           for name in ('all background', 'FCN-32s', 'FCN-16s', 'FCN-8s'))
    mean_iu = [row[2] for row in stages]
    assert background[2] < 20 < mean_iu[0]
    assert mean_iu[1] - mean_iu[0] > 3 and mean_iu[2] - mean_iu[1] > 3
    assert mean_iu[2] >= 80
